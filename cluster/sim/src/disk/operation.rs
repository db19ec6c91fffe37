//! What can be done to a disk, and what makes it durable.

use std::sync::Arc;

/// One change of the disk, as it happened.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A file was created under a name.
    Create {
        /// Its path.
        path: String,
        /// The number by which later operations name it.
        file: u64,
    },
    /// A folder was created.
    CreateDir {
        /// Its path.
        path: String,
    },
    /// Bytes were written.
    Write {
        /// The file.
        file: u64,
        /// Where.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file was filled with zeros up to a length.
    Allocate {
        /// The file.
        file: u64,
        /// The length.
        length: u64,
    },
    /// A file was cut.
    Truncate {
        /// The file.
        file: u64,
        /// The length.
        length: u64,
    },
    /// A file was synced.
    Sync {
        /// The file.
        file: u64,
    },
    /// A sync failed: what it should have made durable never will be, though reads still see it.
    SyncFailed {
        /// The file.
        file: u64,
    },
    /// A file was renamed.
    Rename {
        /// Its old path.
        from: String,
        /// Its new path.
        to: String,
        /// The file.
        file: u64,
    },
    /// A file was removed.
    Remove {
        /// Its path.
        path: String,
        /// The file.
        file: u64,
    },
    /// A folder was synced.
    SyncDir {
        /// Its path.
        dir: String,
    },
}

impl Operation {
    pub(super) fn changes_names(&self) -> bool {
        self.folder().is_some()
    }

    /// The folder whose sync makes a change of names durable.
    pub(super) fn folder(&self) -> Option<&str> {
        match self {
            Self::Create { path, .. } | Self::CreateDir { path } | Self::Remove { path, .. } => Some(folder(path)),
            Self::Rename { to, .. } => Some(folder(to)),
            _ => None,
        }
    }

    /// The file whose sync makes a change of contents durable.
    pub(super) fn file(&self) -> Option<u64> {
        match self {
            Self::Write { file, .. } | Self::Allocate { file, .. } | Self::Truncate { file, .. } => Some(*file),
            _ => None,
        }
    }
}

/// The folder that a path is in.
pub(super) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
