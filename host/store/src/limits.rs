//! Limits of the store. Each has a unit and says what happens at it.

use isx_row::limits::VALUE_BYTES_MAX;

/// Bytes a database may hold unless its mount says otherwise; beyond it inserts and growing updates are refused with
/// `limit`, deletes work. State is in memory.
pub const DATABASE_BYTES_MAX_DEFAULT: u64 = 1024 * 1024 * 1024;
/// Rows a database may hold unless its mount says otherwise; beyond it inserts are refused with `limit`.
pub const DATABASE_ROWS_MAX_DEFAULT: u64 = 16 * 1024 * 1024;
/// Bytes a row is counted for beyond its key and its encoding: its place in the map and its allocation. An estimate that
/// is the same everywhere, since refusals are part of the replicated state.
pub const ROW_OVERHEAD_BYTES: u64 = 72;
/// Bytes an index entry is counted for beyond its own: its place in the map.
pub const ENTRY_OVERHEAD_BYTES: u64 = 32;

/// Bytes of keys and rows, before and after, that one transaction may touch; more is refused with `limit`. Its changes
/// must fit what a replica installs at once and what a change ring keeps.
pub const TRANSACTION_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Operations of one transaction that changed a row; more are refused with `limit`.
pub const TRANSACTION_CHANGES_MAX: usize = 256 * 1024;
/// Bytes of encoded changes; larger are refused before they are decoded.
pub const CHANGES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Messages of a mount that wait to be delivered to one other; a call that would send more is refused with `limit`.
pub const OUTBOX_MESSAGES_MAX: u64 = 16 * 1024;
/// Bytes of them, beside what the database may hold.
pub const OUTBOX_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Hooks of other mounts that hear of changes in a mount's tables; more are refused.
pub const LISTENERS_MAX: u64 = 256;
/// Messages, and calls that are passed on, one after the other that one call may lead to; more are refused: it goes round
/// in circles.
pub const HOPS_MAX: u8 = 16;

/// Ranges of a table that are told apart in what a view read of it; with more it has read all of the table.
pub const READ_RANGES_MAX: usize = 64;
/// Bytes of the bounds of all that a view read; what is beyond counts as all of its table.
pub const READ_BYTES_MAX: usize = 64 * 1024;
/// Rows of one chunk of a scan; the scan goes on from its position.
pub const SCAN_ROWS_MAX: usize = 4096;
/// Bytes of one chunk of a scan, but for its last row; the scan goes on from its position.
pub const SCAN_BYTES_MAX: usize = 1024 * 1024;

/// Bytes below which a snapshot chunk is not cut: bounds the number of chunks.
pub const CHUNK_BYTES_MIN: usize = 64 * 1024;
/// Bytes after [`CHUNK_BYTES_MIN`] at which a snapshot chunk is cut on average.
pub const CHUNK_BYTES_MEAN: usize = 256 * 1024;
/// Bytes of a snapshot chunk; a chunk is cut before the row that would exceed it, and a larger one is refused.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a snapshot's manifest; a larger one is refused before it is decoded.
pub const MANIFEST_BYTES_MAX: usize = 16 * 1024 * 1024;

// A chunk that may not be cut yet has room for one more row.
const _: () = assert!(CHUNK_BYTES_MIN + VALUE_BYTES_MAX + 64 < CHUNK_BYTES_MAX);
const _: () = assert!(CHUNK_BYTES_MIN + CHUNK_BYTES_MEAN < CHUNK_BYTES_MAX);
const _: () = assert!(SCAN_BYTES_MAX >= VALUE_BYTES_MAX);
const _: () = assert!(MANIFEST_BYTES_MAX > isx_row::limits::SCHEMA_BYTES_MAX);
const _: () = assert!(TRANSACTION_BYTES_MAX + TRANSACTION_CHANGES_MAX * 16 < CHANGES_BYTES_MAX);
// Lengths of keys are written as u16.
const _: () = assert!(isx_row::limits::KEY_BYTES_MAX < u16::MAX as usize);
