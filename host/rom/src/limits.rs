//! Bounds of a ROM.

use std::time::Duration;

/// Bytes of a ROM's component; a larger file is refused before it is read into the compiler.
pub const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of linear memory of one ROM; growing beyond fails in the guest.
pub const MEMORY_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Elements of each table of one ROM; growing beyond fails in the guest.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Core instances, tables and memories of one ROM; a component that wants more is refused.
pub const INSTANCES_MAX: usize = 64;
/// Object and stream handles a ROM may hold; one more is a trap that names this bound.
pub const HANDLES_MAX: usize = 65_536;
/// Bytes of standard output, and of standard error, that wait for their reader; a ROM that writes more waits with them.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// How often a ROM that computes gives way to the host's other tasks.
pub const EPOCH: Duration = Duration::from_millis(10);
/// Bytes of the `isx:wants` section; a larger one is refused.
pub const WANTS_BYTES_MAX: usize = 16 * 1024;
/// Rules that a ROM may declare, and that may be allowed.
pub const RULES_MAX: usize = 256;
/// Compiled ROMs kept in the cache folder; the oldest goes first.
pub const CACHED_MAX: usize = 64;

const _: () = assert!(WANTS_BYTES_MAX >= RULES_MAX, "a rule takes at least a byte");
