//! Why the log refuses.

use crate::record::Group;
use isx_port::DiskError;

/// Everything that can go wrong with the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WalError {
    /// Bytes that were durable are not what was written. Cause: bit rot, a lost or misdirected write, a removed file.
    /// Nothing was changed; keep the folder and repair the node from its peers.
    #[error("{file}: damaged at byte {offset}: {what}")]
    Damaged {
        /// The segment.
        file: String,
        /// Where in it.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// Entries that no purge covers lie in a segment that is gone. Repair the node from its peers.
    #[error("group {} lacks its entries up to {upto}: an older segment is gone", group.0)]
    Lost {
        /// The group.
        group: Group,
        /// The last entry missing.
        upto: u64,
    },
    /// The log belongs to another node. Give the node its own folder.
    #[error("{file}: the log of another node")]
    Foreign {
        /// The segment.
        file: String,
    },
    /// Another version of isx wrote the log. Start that one.
    #[error("{file}: log format {found}, this version reads 1")]
    Version {
        /// The segment.
        file: String,
        /// The format found.
        found: u32,
    },
    /// An entry does not follow the one before it. The caller's error; nothing was submitted.
    #[error("group {} expects entry {expected}, not {found}", group.0)]
    Gap {
        /// The group.
        group: Group,
        /// The index that may be appended.
        expected: u64,
        /// The index given.
        found: u64,
    },
    /// A record is larger than its limit. Nothing was submitted.
    #[error("a record of {bytes} bytes, at most {bytes_max}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// One group more than the limit. Nothing was submitted.
    #[error("more than {} groups", crate::limits::GROUPS_MAX)]
    TooManyGroups,
    /// Too much waits to be written. Nothing was submitted; try later.
    #[error("too much waits to be written")]
    Busy,
    /// Too much waits to be written because the disk is full. Nothing was submitted; free space, then it goes on.
    #[error("the disk is full")]
    Full,
    /// The entry was purged while it was being read. Ask for the log's range again.
    #[error("entry {index} of group {} was purged", group.0)]
    Purged {
        /// The group.
        group: Group,
        /// The entry.
        index: u64,
    },
    /// The disk failed.
    #[error("the disk failed")]
    Disk(#[from] DiskError),
    /// A write or sync failed before: nothing about unsynced bytes is known, so the process must end and recover.
    #[error("the log has failed: {text}")]
    Fatal {
        /// The first failure.
        text: String,
    },
}
