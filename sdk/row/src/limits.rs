//! Limits that both sides of a boundary must share. Each has a unit and says what happens at it.

/// Nesting of types and values; deeper is refused by schema checks and decoders.
pub const TYPE_DEPTH_MAX: usize = 16;
/// Bytes of a row, of a call's arguments and of its answer; larger is refused, larger things are blobs.
pub const VALUE_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a memcomparable key; longer is refused, an index would hold more key than row.
pub const KEY_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a name of a table, column, function, index or module; longer is refused.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a module's version; longer is refused at publish.
pub const VERSION_TEXT_BYTES_MAX: usize = 64;
/// Columns of a table, fields of a struct, variants of an enum, arguments; more are refused.
pub const FIELDS_MAX: usize = 256;
/// Tables of a module; more are refused at publish.
pub const TABLES_MAX: usize = 256;
/// Reducers and queries of a module; more are refused at publish.
pub const FUNCTIONS_MAX: usize = 1024;
/// The least distance between the times of a schedule, in microseconds; less is refused: each time is an entry.
pub const SCHEDULE_EVERY_MIN_US: i64 = 10_000;
/// The greatest, in microseconds: 400 days; a calendar says more.
pub const SCHEDULE_EVERY_MAX_US: i64 = 400 * 24 * 3600 * 1_000_000;
/// Other modules that a module is linked to; more are refused at publish.
pub const LINKS_MAX: usize = 64;
/// Bytes of the path of a module that another is linked to; longer is refused at publish.
pub const LINK_PATH_BYTES_MAX: usize = 255;
/// Indexes of a table; more are refused at publish.
pub const INDEXES_MAX: usize = 16;
/// Bytes of a canonical schema; larger is refused before it is decoded.
pub const SCHEMA_BYTES_MAX: usize = 1024 * 1024;
/// Preconditions of a call; more are refused.
pub const CONDITIONS_MAX: usize = 64;
/// Bytes of a call's preconditions together; more are refused.
pub const CONDITIONS_BYTES_MAX: usize = 64 * 1024;
/// Sequences a session may have open: a call further than this above `done_below` is refused.
pub const SESSION_WINDOW: u64 = 1024;

const _: () = assert!(KEY_BYTES_MAX < VALUE_BYTES_MAX);
const _: () = assert!(SCHEMA_BYTES_MAX >= VALUE_BYTES_MAX);
const _: () = assert!(NAME_BYTES_MAX <= u8::MAX as usize && VERSION_TEXT_BYTES_MAX <= u8::MAX as usize);
const _: () = assert!(LINK_PATH_BYTES_MAX <= u8::MAX as usize);
