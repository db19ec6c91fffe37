//! Small files of this user that say what isx may do for him: read with bounds, changed whole and under a lock.

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of such a file; a larger one is refused unread.
pub const BYTES_MAX: u64 = 1024 * 1024;

/// What the file says; `None` where there is none.
///
/// # Errors
/// When it can not be read, is too large, or others may write it: what it allows would be theirs.
pub fn read(path: &Path) -> Result<Option<String>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("can not read {}", path.display())),
    };
    ensure!(metadata.is_file(), "{} is no file; move it away", path.display());
    let ours = metadata.uid() == rustix::process::getuid().as_raw();
    ensure!(
        ours && metadata.permissions().mode() & 0o022 == 0,
        "{} may be written by others: read it, then `chown $USER` and `chmod 600` it",
        path.display()
    );
    ensure!(metadata.len() <= BYTES_MAX, "{} has more than {BYTES_MAX} bytes; move it away", path.display());
    fs::read_to_string(path).map(Some).with_context(|| format!("can not read {}", path.display()))
}

/// Changes the file: what `change` makes of what it says is there whole, or not at all. Two at once wait for each other.
///
/// # Errors
/// As [`read`], what `change` refuses, and what can not be written.
pub fn change(path: &Path, change: impl FnOnce(Option<String>) -> Result<String>) -> Result<()> {
    let failed = || format!("can not write {}", path.display());
    let _lock = lock(path).with_context(failed)?;
    let text = change(read(path)?)?;
    ensure!(text.len() as u64 <= BYTES_MAX, "{} would have more than {BYTES_MAX} bytes", path.display());
    let draft = beside(path, ".draft");
    let mut file = private().truncate(true).open(&draft).with_context(failed)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&draft, path)).with_context(failed)
}

/// Removes the file, whatever it is; what it said, where that could be read.
///
/// # Errors
/// What can not be removed.
pub fn remove(path: &Path) -> Result<Option<String>> {
    let failed = || format!("can not remove {}", path.display());
    let _lock = lock(path).with_context(failed)?;
    let text = read(path).unwrap_or(None);
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(failed),
        _ => Ok(text),
    }
}

/// Others that change the file wait until this is dropped.
fn lock(path: &Path) -> std::io::Result<File> {
    let lock = private().truncate(false).open(beside(path, ".lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_changed_whole_and_for_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read(&path).unwrap(), None);
        change(&path, |was| Ok(format!("{was:?}"))).unwrap();
        assert!(change(&path, |_| anyhow::bail!("no")).is_err());
        assert_eq!(read(&path).unwrap().as_deref(), Some("None"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        let open = read(&path).unwrap_err().to_string();
        assert!(open.contains("chmod 600"), "{open}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(change(&path, |_| Ok("x".repeat(BYTES_MAX as usize + 1))).is_err());
        fs::write(&path, "x".repeat(BYTES_MAX as usize + 1)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("has more than"));

        assert_eq!(remove(&path).unwrap(), None, "too large to be read");
        assert_eq!(remove(&path).unwrap(), None, "not there");
        change(&path, |was| Ok(format!("{was:?}"))).unwrap();
        assert_eq!(remove(&path).unwrap().as_deref(), Some("None"));
    }
}
