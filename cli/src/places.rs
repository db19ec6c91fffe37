//! Folders and keys of this user.

use crate::arguments::Global;
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a key's file.
const KEY_BYTES: u64 = 32;

/// The host's name, which is the default alias.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
    if word.is_empty() { "node".into() } else { word }
}

/// Where a node called `alias` keeps its state.
pub fn state_dir(global: &Global, alias: &str) -> Result<PathBuf> {
    match &global.state_dir {
        Some(folder) => Ok(folder.clone()),
        None => Ok(base("XDG_STATE_HOME", ".local/state")?.join("isx").join(alias)),
    }
}

/// Where what may be deleted is kept; made for this user alone, since compiled code from there is run.
pub fn cache_dir(global: &Global) -> Result<PathBuf> {
    let folder = cache_path(global)?;
    private(&folder)?;
    Ok(folder)
}

/// The same, made or not.
pub fn cache_path(global: &Global) -> Result<PathBuf> {
    match &global.cache_dir {
        Some(folder) => Ok(folder.clone()),
        None => Ok(base("XDG_CACHE_HOME", ".cache")?.join("isx")),
    }
}

/// What this user's commands keep beside the state of nodes; made for this user alone.
pub fn user_state(global: &Global) -> Result<PathBuf> {
    let folder = match &global.state_dir {
        Some(folder) => folder.clone(),
        None => base("XDG_STATE_HOME", ".local/state")?.join("isx"),
    };
    private(&folder)?;
    Ok(folder)
}

/// Where this user's key and contexts lie; made for this user alone.
pub fn config_dir(global: &Global) -> Result<PathBuf> {
    let folder = config_path(global)?;
    private(&folder)?;
    Ok(folder)
}

/// The same, made or not.
pub fn config_path(global: &Global) -> Result<PathBuf> {
    match &global.config_dir {
        Some(folder) => Ok(folder.clone()),
        None => Ok(base("XDG_CONFIG_HOME", ".config")?.join("isx")),
    }
}

/// The file of this user's key.
pub fn user_key_path(global: &Global) -> Result<PathBuf> {
    Ok(config_path(global)?.join("key"))
}

/// The seed of this user's key, made once.
pub fn user_key(global: &Global) -> Result<[u8; 32]> {
    let folder = config_dir(global)?;
    let path = user_key_path(global)?;
    if path.exists() {
        return key(&path);
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let draft = folder.join(format!("key.{}.draft", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(&seed)?;
    file.sync_all()?;
    // Two first commands at once: the key that is there first stays.
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(seed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => key(&path),
        Err(error) => Err(error).with_context(|| format!("can not write {}", path.display())),
    }
}

/// The seed of the key in a file.
///
/// # Errors
/// When others may read it, who could speak as this user, or it is another's; and when it is no key.
pub fn key(path: &Path) -> Result<[u8; 32]> {
    let failed = || format!("can not read the key {}", path.display());
    let file = fs::File::open(path).with_context(failed)?;
    ensure!(
        is_secret(&file.metadata().with_context(failed)?),
        "the key {0} is open to others: `chmod 600 {0}`, and `chown $USER` it where it is another's",
        path.display()
    );
    let mut bytes = Vec::new();
    file.take(KEY_BYTES + 1).read_to_end(&mut bytes).with_context(failed)?;
    let seed = bytes.try_into().ok();
    seed.with_context(|| {
        format!("{} is no key: restore it, or move it away and the next command makes another", path.display())
    })
}

/// Whether a file is this user's or root's, and nobody else's to read.
pub fn is_secret(metadata: &fs::Metadata) -> bool {
    [rustix::process::geteuid().as_raw(), 0].contains(&metadata.uid()) && metadata.mode() & 0o077 == 0
}

/// The folder that a variable names; one that is empty or relative says nothing, as the XDG specification has it.
pub fn folder_in(variable: Option<OsString>) -> Option<PathBuf> {
    variable.map(PathBuf::from).filter(|folder| folder.is_absolute())
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(folder) = folder_in(std::env::var_os(variable)) {
        return Ok(folder);
    }
    let home = std::env::var_os("HOME").with_context(|| format!("neither {variable} nor HOME is set"))?;
    Ok(PathBuf::from(home).join(below_home))
}

fn private(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("can not make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, [7; 32]).unwrap();
        for (mode, is_good) in [(0o600, true), (0o400, true), (0o640, false), (0o602, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = key(&path).err().map(|error| error.to_string());
            let cured = error.as_ref().is_none_or(|error| error.contains(&format!("`chmod 600 {}`", path.display())));
            assert_eq!((error.is_none(), cured), (is_good, true), "{mode:o}: {error:?}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [7; 33]).unwrap();
        assert!(key(&path).unwrap_err().to_string().contains("is no key"));
    }

    #[test]
    fn only_an_absolute_folder_counts() {
        assert_eq!(folder_in(Some("/a".into())), Some("/a".into()));
        assert_eq!([None, Some("".into()), Some("a/b".into())].map(folder_in), [None, None, None]);
    }
}
