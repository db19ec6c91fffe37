//! Bounds of calls, those of the executor, which a test holds together: outcomes depend on them. And of what is written of
//! them.

/// Levels of hooks set off by hooks; a deeper one ends the call with `limit`.
pub const HOOK_DEPTH_MAX: u8 = 8;
/// Hooks of one call; one more ends it with `limit`.
pub const HOOKS_MAX: usize = 4096;
/// Bytes of random that a function may ask for at once; more is answered `limit`.
pub const RANDOM_BYTES_MAX: u32 = 4096;
/// Bytes of a chunk of a scan, but for its last row; the scan goes on from its position.
pub const SCAN_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the text of a module's own error; longer is cut.
pub const ERROR_TEXT_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a line that a call logs; longer is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4 * 1024;
/// Lines of a call that are kept; further ones are left out.
pub const LOG_LINES_MAX: usize = 256;
/// Bytes of the transcript of one mount; what comes after is left out, and `isx test` says so.
pub const TRANSCRIPT_BYTES_MAX: usize = 64 * 1024 * 1024;
