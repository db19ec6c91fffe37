//! The SDK that this program carries: put into a project, so that its guests build without network.

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use std::fs;
use std::path::Path;

/// Where a project has it: below the folder of its manifest, and in no repository.
pub const FOLDER: &str = ".isx";
/// The SDK's crate in that folder, as manifests name it.
pub const CRATE: &str = ".isx/sdk/guest";

/// The workspace of the SDK and all it needs, packed when this program was built.
const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sdk.tar.gz"));
/// The file that says which archive a folder was made from.
const STAMP: &str = "stamp";

/// Puts the SDK into a project, where it is not this one already.
///
/// # Errors
/// What can not be written.
pub fn put(project: &Path) -> Result<()> {
    let stamp = isx_row::ContentHash::of(ARCHIVE).to_string();
    let folder = project.join(FOLDER);
    let is_there = || fs::read_to_string(folder.join(STAMP)).is_ok_and(|there| there == stamp);
    if is_there() {
        return Ok(());
    }
    // Made beside it and put in its place whole: a half of it would not build.
    let fresh = project.join(format!("{FOLDER}.{}", std::process::id()));
    let made = unpack(&fresh, &stamp).and_then(|()| {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(fs::rename(&fresh, &folder)?)
    });
    if made.is_err() {
        // What was begun is in nobody's way.
        let _ = fs::remove_dir_all(&fresh);
        // Another command may have put it there meanwhile.
        if is_there() {
            return Ok(());
        }
    }
    made.with_context(|| format!("the SDK can not be put into {}", folder.display()))
}

fn unpack(folder: &Path, stamp: &str) -> Result<()> {
    fs::create_dir(folder)?;
    let mut archive = tar::Archive::new(GzDecoder::new(ARCHIVE));
    // Cargo builds again what is newer than what it built.
    archive.set_preserve_mtime(false);
    archive.unpack(folder)?;
    fs::write(folder.join(".gitignore"), "*\n")?;
    Ok(fs::write(folder.join(STAMP), stamp)?)
}

/// Puts the SDK into the project of a guest that names it: the guest's folder or one above.
///
/// # Errors
/// As [`put`].
pub fn put_for(guest: &Path) -> Result<()> {
    let Ok(guest) = guest.canonicalize() else { return Ok(()) };
    let names_it =
        |folder: &&Path| fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains(CRATE));
    guest.ancestors().find(names_it).map_or(Ok(()), put)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_put_once_and_anew_when_it_is_another() {
        let project = tempfile::tempdir().unwrap();
        put(project.path()).unwrap();
        let library = project.path().join(CRATE).join("src/lib.rs");
        assert!(library.is_file());
        fs::write(&library, "mine").unwrap();
        put(project.path()).unwrap();
        assert_eq!(fs::read_to_string(&library).unwrap(), "mine", "it is this one: left alone");
        fs::write(project.path().join(FOLDER).join(STAMP), "older").unwrap();
        put(project.path()).unwrap();
        assert_ne!(fs::read_to_string(&library).unwrap(), "mine");
        let left: Vec<_> = fs::read_dir(project.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [FOLDER]);
    }

    #[test]
    fn only_projects_that_name_it_get_it() {
        let project = tempfile::tempdir().unwrap();
        let guest = project.path().join("module");
        fs::create_dir(&guest).unwrap();
        fs::write(guest.join("Cargo.toml"), "[dependencies]\nisx.workspace = true\n").unwrap();
        put_for(&guest).unwrap();
        assert!(!project.path().join(FOLDER).exists());
        let manifest = format!("[workspace.dependencies]\nisx = {{ package = \"isx-sdk\", path = \"{CRATE}\" }}\n");
        fs::write(project.path().join("Cargo.toml"), manifest).unwrap();
        put_for(&guest).unwrap();
        assert!(project.path().join(CRATE).is_dir());
    }
}
