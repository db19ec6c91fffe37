//! The state folder: one node's at a time, of a known version, with the node's identity.

use isx_raft::Rule;
use isx_row::Code;
use rustix::fs::{FlockOperation, flock};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What the version file says.
const VERSION: &str = "isx state 1\n";
/// The identity that says that the log has begun.
const BEGUN: &str = "begun";

/// Why a state folder can not be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it. Stop that one, or name another folder.
    #[error("the state folder {path} is in use by another node; stop it, or give another --state-dir")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Made by a version this one does not know. Use that version.
    #[error("the state folder {path} is of another version ({found:?}); start it with the isx that made it")]
    Version {
        /// The folder.
        path: PathBuf,
        /// What its version file says.
        found: String,
    },
    /// The identity is damaged. Restore the file from a backup; a new identity would be another node.
    #[error("the identity in {path} is damaged; restore the file from a backup")]
    Identity {
        /// The file.
        path: PathBuf,
    },
    /// An identity is gone, and the log that it belongs to is there. As [`StateError::Identity`].
    #[error("the identity in {path} is gone; restore the file from a backup")]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error(
        "the state folder can not be used: {path}: {source}; it must be writable and have room, or give another --state-dir"
    )]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StateError {
    /// The code that says what to do about it.
    pub fn code(&self) -> Code {
        match self {
            Self::InUse { .. } => Code::Taken,
            Self::Version { .. } => Code::Unsupported,
            Self::Identity { .. } | Self::Gone { .. } => Code::Damaged,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => Code::Busy,
            Self::Io { .. } => Code::Fatal,
        }
    }
}

/// A state folder, held until dropped.
pub struct StateFolder {
    path: PathBuf,
    // Holds the lock.
    _lock: fs::File,
}

impl StateFolder {
    /// Makes the folder if it is missing, and takes it.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn take(path: &Path) -> Result<Self, StateError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| StateError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let lock_path = path.join("lock");
        let lock = private().write(true).create(true).truncate(false).open(&lock_path).map_err(failed(&lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| StateError::InUse { path: path.into() })?;

        let version_path = path.join("version");
        match fs::read_to_string(&version_path) {
            Ok(found) if found == VERSION => {}
            Ok(found) => return Err(StateError::Version { path: path.into(), found: found.trim().into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(&version_path, VERSION.as_bytes()).map_err(failed(&version_path))?;
            }
            Err(source) => return Err(StateError::Io { path: version_path, source }),
        }
        Ok(Self { path: path.into(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the log has begun: an empty one, or an identity that is missing, is a loss from then on.
    pub fn has_begun(&self) -> bool {
        self.path.join(BEGUN).exists()
    }

    /// Notes that the log has begun.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn begin(&self, fresh: impl FnOnce() -> [u8; 32]) -> Result<(), StateError> {
        self.identity(BEGUN, fresh).map(drop)
    }

    /// 32 bytes that are made once, before the log begins, and never change: of a key, of the cluster's id.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn identity(&self, name: &str, fresh: impl FnOnce() -> [u8; 32]) -> Result<[u8; 32], StateError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => identity_bytes(&bytes).ok_or(StateError::Identity { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_begun() => Err(StateError::Gone { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = fresh();
                let mut bytes = key.to_vec();
                bytes.extend_from_slice(&blake3::hash(&key).as_bytes()[..4]);
                write_whole(&path, &bytes).map_err(|source| StateError::Io { path, source })?;
                Ok(key)
            }
            Err(source) => Err(StateError::Io { path, source }),
        }
    }

    /// What is kept of the past of mounts: what is asked for, which is remembered; else what was the last time, else this.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn history(&self, asked: Option<Rule>, otherwise: Rule) -> Result<Rule, StateError> {
        let path = self.path.join("history");
        if let Some(rule) = asked {
            let text = format!("{rule}\n");
            write_whole(&path, text.as_bytes()).map_err(|source| StateError::Io { path, source })?;
            return Ok(rule);
        }
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(otherwise),
            // What can not be read drops nothing.
            read => Ok(read.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_else(|| {
                tracing::error!(path = %path.display(), "what is kept of the past can not be read: all is; say it with --history");
                Rule::All
            })),
        }
    }
}

/// A key followed by four bytes of its hash.
fn identity_bytes(bytes: &[u8]) -> Option<[u8; 32]> {
    let (key, check) = bytes.split_at_checked(32)?;
    let key: [u8; 32] = key.try_into().ok()?;
    (check == &blake3::hash(&key).as_bytes()[..4]).then_some(key)
}

fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.mode(0o600);
    options
}

/// Writes a file whole or not at all, durably.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = private().write(true).create(true).truncate(true).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_node_and_one_identity() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        let first = StateFolder::take(&path).unwrap();
        assert!(matches!(StateFolder::take(&path), Err(StateError::InUse { .. })));
        assert_eq!(first.identity("key", || [7; 32]).unwrap(), [7; 32]);
        drop(first);
        let again = StateFolder::take(&path).unwrap();
        assert_eq!(again.identity("key", || panic!("made once")).unwrap(), [7; 32]);
    }

    #[test]
    fn what_is_kept_of_the_past_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::take(root.path()).unwrap();
        assert_eq!(folder.history(None, Rule::All).unwrap(), Rule::All);
        assert_eq!(folder.history(Some(Rule::Revisions(9)), Rule::All).unwrap(), Rule::Revisions(9));
        assert_eq!(folder.history(None, Rule::All).unwrap(), Rule::Revisions(9));
        fs::write(root.path().join("history"), "much").unwrap();
        assert_eq!(folder.history(None, Rule::Revisions(1)).unwrap(), Rule::All);
    }

    #[test]
    fn other_versions_and_damaged_identities_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = StateFolder::take(root.path()).unwrap();
        folder.identity("key", || [7; 32]).unwrap();
        let mut damaged = fs::read(root.path().join("key")).unwrap();
        damaged[3] ^= 1;
        fs::write(root.path().join("key"), damaged).unwrap();
        assert!(matches!(folder.identity("key", || [8; 32]), Err(StateError::Identity { .. })));
        fs::remove_file(root.path().join("key")).unwrap();
        assert_eq!(folder.identity("key", || [8; 32]).unwrap(), [8; 32], "nothing has begun");
        folder.begin(|| [1; 32]).unwrap();
        fs::remove_file(root.path().join("key")).unwrap();
        assert!(matches!(folder.identity("key", || [9; 32]), Err(StateError::Gone { .. })));
        drop(folder);
        fs::write(root.path().join("version"), "isx state 2\n").unwrap();
        assert!(matches!(StateFolder::take(root.path()), Err(StateError::Version { .. })));
    }
}
