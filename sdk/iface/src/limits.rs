//! Bounds that both sides of an interface must know.

use isx_row::limits::VALUE_BYTES_MAX;

/// Entries or rows in one page; a larger `limit` is taken as this one.
pub const PAGE_COUNT_MAX: usize = 256;
/// Bytes of the content of one page: a page ends before the entry or row that would pass it, but holds at least one.
pub const PAGE_BYTES_MAX: usize = VALUE_BYTES_MAX - 4 * 1024;
/// Bytes of one chunk of an upload or of a schema; larger ones are refused, for they would not fit into a payload.
pub const CHUNK_BYTES_MAX: usize = 192 * 1024;
/// Bytes of a published component; larger is refused before the first chunk.
pub const COMPONENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Items that a stream's producer runs ahead of its consumer; then it waits.
pub const STREAM_AHEAD_COUNT_MAX: usize = 64;

const _: () = assert!(CHUNK_BYTES_MAX < PAGE_BYTES_MAX, "a chunk fits into a payload with room for its neighbours");
