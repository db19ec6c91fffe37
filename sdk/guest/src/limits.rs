//! Bounds of the guest side.

/// Rows of the first chunk of a scan: a scan that is cut short should not have copied much.
pub const CHUNK_ROWS_FIRST: u32 = 32;
/// Rows of a chunk at most; the host also ends a chunk by its bytes.
pub const CHUNK_ROWS_MAX: u32 = 2_048;
/// Bytes of standard input that a ROM reads at a time.
pub const INPUT_BYTES: usize = 16 * 1024;
/// Bytes of a line of standard input; a longer one is an error, so that no input fills the memory.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(CHUNK_ROWS_FIRST <= CHUNK_ROWS_MAX);
