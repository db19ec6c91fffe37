//! The runtime file: how the programs of one user on one machine find their node.
//!
//! `<runtime folder>/isx/<peer>.json`, mode 0600, holds the node's address, peer id, process and a secret that gives
//! the owner's root. A file whose process is gone is stale: skipped by [`find`], removed by the next node of its state
//! folder.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a runtime file; a larger one is none.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a node says of itself to its own user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// Version of this file's format.
    pub version: u32,
    /// The node's peer id in libp2p's text form.
    pub peer: String,
    /// Addresses it listens on.
    pub addresses: Vec<String>,
    /// Gives the owner's root at login; 64 hexadecimal digits.
    pub secret: String,
    /// The node's process.
    pub process: u32,
    /// Its state folder.
    pub state_dir: PathBuf,
    /// Its alias.
    pub alias: String,
    /// Whether it ends with its starter and callers.
    pub embedded: bool,
}

/// The version of the format.
pub const VERSION: u32 = 1;

/// The folder of runtime files, made.
///
/// # Errors
/// When it can not be made, and as [`path`].
pub fn folder() -> Result<PathBuf> {
    let folder = path()?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.with_context(|| format!("can not make the runtime folder {}", folder.display()))?;
    // Somebody else may have been faster.
    path()
}

/// The folder of runtime files, made or not: `$XDG_RUNTIME_DIR/isx`, else a folder of this user in the temporary folder.
///
/// # Errors
/// When it belongs to somebody else: its files would be his.
pub fn path() -> Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let folder = match crate::places::folder_in(std::env::var_os("XDG_RUNTIME_DIR")) {
        Some(runtime) => runtime.join("isx"),
        None => std::env::temp_dir().join(format!("isx-{user}")),
    };
    match fs::metadata(&folder) {
        Ok(metadata) if metadata.uid() == user && metadata.permissions().mode() & 0o077 == 0 => Ok(folder),
        Ok(_) => bail!("the runtime folder {} is open to others; remove it, or set XDG_RUNTIME_DIR", folder.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(folder),
        Err(error) => Err(error).with_context(|| format!("can not read the runtime folder {}", folder.display())),
    }
}

/// A written runtime file; removed when dropped.
pub struct Written {
    path: PathBuf,
}

impl Drop for Written {
    fn drop(&mut self) {
        // The next reader sees that the process is gone, should this fail.
        let _ = fs::remove_file(&self.path);
    }
}

impl Runtime {
    /// Writes the file, whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<Written> {
        let path = folder.join(format!("{}.json", self.peer));
        let draft = folder.join(format!("{}.{}.draft", self.peer, self.process));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        fs::rename(&draft, &path).with_context(|| format!("can not write {}", path.display()))?;
        Ok(Written { path })
    }

    /// Whether the node's process still runs.
    pub fn is_alive(&self) -> bool {
        let process = i32::try_from(self.process).ok().and_then(rustix::process::Pid::from_raw);
        process.is_some_and(|process| rustix::process::test_kill_process(process).is_ok())
    }

    fn read(path: &Path) -> Option<Self> {
        let metadata = fs::symlink_metadata(path).ok()?;
        let ours = metadata.is_file() && metadata.uid() == rustix::process::getuid().as_raw();
        if !ours || metadata.permissions().mode() & 0o077 != 0 || metadata.len() > FILE_BYTES_MAX {
            return None;
        }
        let runtime: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (runtime.version == VERSION).then_some(runtime)
    }
}

/// The running nodes of this user on this machine; those started to stay come first, then by alias.
pub fn find(folder: &Path) -> Result<Vec<Runtime>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries.with_context(|| format!("can not read {}", folder.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        let named = path.extension().is_some_and(|extension| extension == "json");
        found.extend(named.then(|| Runtime::read(&path)).flatten().filter(Runtime::is_alive));
    }
    found.sort_by(|a, b| (a.embedded, &a.alias, &a.peer).cmp(&(b.embedded, &b.alias, &b.peer)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(process: u32) -> Runtime {
        Runtime {
            version: VERSION,
            peer: "12D3KooWtest".into(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            secret: "00".repeat(32),
            process,
            state_dir: "/nowhere".into(),
            alias: "alpha".into(),
            embedded: false,
        }
    }

    #[test]
    fn a_living_node_is_found_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let here = runtime(std::process::id());
        let written = here.write(folder.path()).unwrap();
        assert_eq!(find(folder.path()).unwrap(), [here]);
        drop(written);
        assert_eq!(find(folder.path()).unwrap(), []);
        assert_eq!(find(&folder.path().join("missing")).unwrap(), [], "no node has run yet");
    }

    #[test]
    fn files_of_the_dead_the_open_and_the_strange_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let _dead = runtime(i32::MAX as u32 - 1).write(folder.path()).unwrap();
        assert_eq!(find(folder.path()).unwrap(), [], "its process is gone");

        let open = Runtime { peer: "open".into(), ..runtime(std::process::id()) };
        let _open = open.write(folder.path()).unwrap();
        fs::set_permissions(folder.path().join("open.json"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(folder.path().join("junk.json"), b"{").unwrap();
        assert_eq!(find(folder.path()).unwrap(), [], "readable by others, or no runtime file");
    }
}
