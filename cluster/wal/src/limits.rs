//! Bounds of the log.

use crate::format;

/// Bytes of an entry's payload; a larger one is refused by `submit`.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a vote, a commit mark, a purge mark or a meta record; larger is refused: each is copied to every segment.
pub const STATE_BYTES_MAX: usize = 1024;
/// Groups of one log; a record of one more is refused: each segment begins with the state of all.
pub const GROUPS_MAX: usize = 1024;
/// Bytes of submitted records that one job writes; what is more waits for the next job.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of submitted records that no job has taken; beyond it `submit` answers busy.
pub const PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of the smallest segment that options may ask for; less is raised to it.
pub const SEGMENT_BYTES_MIN: u64 = 4 * 1024;
/// Bytes of a new log's first segment; each segment is twice as long as the one before.
pub const SEGMENT_BYTES_FIRST: u64 = 4 * 1024 * 1024;
/// Bytes of the longest segment; segments grow no further, and a longer file is refused as damaged.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of durable entries kept in memory; older ones are read from disk.
pub const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Bytes that recovery reads ahead; it holds no more than this or one batch.
pub const READ_AHEAD_BYTES: usize = 256 * 1024;

/// Bytes of the state of all groups at the beginning of a segment, at most.
pub(crate) const CHECKPOINT_BYTES_MAX: usize =
    GROUPS_MAX * (format::RECORD_HEAD_BYTES + 4 * (format::RECORD_HEAD_BYTES + STATE_BYTES_MAX));

const _: () = assert!(RECORD_BYTES_MAX + format::RECORD_HEAD_BYTES <= BATCH_BYTES_MAX);
const _: () = assert!(SEGMENT_BYTES_FIRST <= SEGMENT_BYTES_MAX);
// One batch with a checkpoint always fits a segment.
const _: () = assert!(
    format::HEADER_BYTES as usize
        + CHECKPOINT_BYTES_MAX
        + BATCH_BYTES_MAX
        + format::batch_bytes(0)
        + format::ROLL_BYTES as usize
        <= SEGMENT_BYTES_MAX as usize
);
