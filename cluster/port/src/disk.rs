//! Files with exactly the operations whose crash behaviour we can name and simulate.
//!
//! Paths are relative to the node's state folder, `/`-separated, without `..`. The functions block: they are called on
//! a [`crate::Lane`] made for that, never on a task.

use std::io;

/// What [`Disk::open`] may do to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Read an existing file.
    Read,
    /// Read and write an existing file.
    ReadWrite,
    /// Create a file that must not exist; read and write it.
    CreateNew,
}

/// Why a disk operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DiskError {
    /// The path names nothing. Cause: first start, or a lost directory entry.
    #[error("{path}: no such file")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// `CreateNew` found a file.
    #[error("{path}: already exists")]
    Exists {
        /// The path asked for.
        path: String,
    },
    /// No space, quota or inodes. Nothing is corrupted; free space and go on.
    #[error("{path}: the disk is full")]
    Full {
        /// The path written.
        path: String,
    },
    /// The device failed. After a failed sync nothing about unsynced bytes is known: the process must end.
    #[error("{path}: {kind}: {text}")]
    Io {
        /// The path.
        path: String,
        /// The kind of the operating system's error.
        kind: io::ErrorKind,
        /// Its text.
        text: String,
    },
}

/// An open file. Handles are cheap to share; reads and writes carry their offset.
pub trait File: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> Result<u64, DiskError>;
    /// Whether the length is 0.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }
    /// Fills `into` from `offset`; an error if the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), DiskError>;
    /// Writes all of `bytes` at `offset`, growing the file; not durable before [`File::sync`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Reserves and zero-fills up to `length` bytes, so that later writes below it need no metadata.
    fn allocate(&self, length: u64) -> Result<(), DiskError>;
    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> Result<(), DiskError>;
    /// Makes contents and length durable (fdatasync). An error is final for the process: never retried.
    fn sync(&self) -> Result<(), DiskError>;
}

/// The state folder of one node.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &str, mode: OpenMode) -> Result<Box<dyn File>, DiskError>;
    /// Creates a folder and its parents; no error if it exists. Durable after [`Disk::sync_dir`] of the parent.
    fn create_dir(&self, path: &str) -> Result<(), DiskError>;
    /// Names in a folder, sorted; empty if the folder does not exist.
    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError>;
    /// Renames, replacing `to` atomically. Durable after [`Disk::sync_dir`] of the folder.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file.
    fn remove(&self, path: &str) -> Result<(), DiskError>;
    /// Makes the folder's entries durable: creations, renames and removals before it.
    fn sync_dir(&self, dir: &str) -> Result<(), DiskError>;
}
