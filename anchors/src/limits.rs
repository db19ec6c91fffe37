//! Limits of the tree of names. Each has a unit and says what happens at it.

/// Bytes of one name; longer is refused.
pub const NAME_BYTES_MAX: usize = 128;
/// Names in a path from the root, and so the depth of the tree; deeper is refused.
pub const DEPTH_MAX: usize = 16;
/// Children of an anchor; one more is refused.
pub const CHILDREN_MAX: u32 = 4096;
/// Homes of a cluster; one more is refused.
pub const HOMES_MAX: usize = 1024;
/// Aliases of a home; one more is refused.
pub const ALIASES_MAX: usize = 8;
/// Bytes of a cell's value; larger is refused, larger things belong into a module's table.
pub const CELL_BYTES_MAX: usize = 64 * 1024;
/// Bytes that all anchors of a home take together, as [`ANCHOR_BYTES`] counts them; what would exceed it is refused,
/// removing works.
pub const HOME_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes an anchor counts for beside its name, cell and plan: what it costs in memory.
pub const ANCHOR_BYTES: u64 = 256;
/// Bytes of the plan of a mount that is being created; larger is refused.
pub const PLAN_BYTES_MAX: usize = 32 * 1024;
/// Entries in one page of a listing; a larger page is cut.
pub const PAGE_MAX: usize = 256;
/// Changes kept for watchers; older are dropped, and a watcher behind them lists again.
pub const CHANGES_KEPT_MAX: usize = 4096;

/// Bytes of an error's text in a format; a longer text is cut.
pub const ERROR_TEXT_BYTES_MAX: usize = 1024;

const _: () = assert!(CELL_BYTES_MAX as u64 + ANCHOR_BYTES < HOME_BYTES_MAX);
const _: () = assert!(NAME_BYTES_MAX * DEPTH_MAX < PLAN_BYTES_MAX);
