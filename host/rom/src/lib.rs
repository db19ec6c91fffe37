//! Runs ROMs: WebAssembly programs with WASI, a `Host`, and nothing else.
//!
//! [`Programs`] compiles a component once and keeps it by content hash; [`Programs::run`] gives it arguments, streams,
//! folders and a `Host` narrowed to what the program declares and its user allows. A ROM is async: each call it makes
//! is a future here, so many are in flight; a ROM that computes gives way every [`limits::EPOCH`], and one that writes waits
//! for its reader alone. A command of any toolchain, which exports `wasi:cli/run@0.2`, has WASI and no `Host`.
//!
//! Knows nothing of cluster, libp2p, openraft or modules.
//!
//! # Invariants
//! - A program reaches only what it declares and its user allows (`narrow::tests`, `rule::tests`).
//! - Bytes that are no program are refused by what they are (`program::tests`).
//! - A call lives as long as its future in the program, and all of them as long as the run (`tests/run.rs`).
//! - What a program writes is bounded while nobody reads it, and is all written when its run is over (`output::tests`).

mod bindings;
mod handles;
pub mod limits;
mod narrow;
mod output;
mod program;
mod rule;
mod run;
mod state;

pub use narrow::{Allowed, Grant};
pub use program::{Program, Programs};
pub use rule::Rule;
pub use run::{Access, Given, Preopen, READER_GONE, Streams};
