//! Bounds of the guest side.

/// Rows of the first chunk of a scan: a scan that is cut short should not have copied much.
pub const CHUNK_ROWS_FIRST: u32 = 32;
/// Rows of a chunk at most; the host also ends a chunk by its bytes.
pub const CHUNK_ROWS_MAX: u32 = 2_048;

const _: () = assert!(CHUNK_ROWS_FIRST <= CHUNK_ROWS_MAX);
