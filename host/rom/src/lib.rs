//! Runs ROMs: WebAssembly programs with WASI, a `Host`, and nothing else.
//!
//! [`Programs`] compiles a component once and keeps it by content hash; [`Programs::run`] gives it arguments, streams,
//! folders and a `Host` narrowed to what the program declares and its user allows. A ROM is async: each call it makes
//! is a future here, so many are in flight; a ROM that computes gives way every [`limits::EPOCH`].
//!
//! Knows nothing of cluster, libp2p, openraft or modules.
//!
//! # Invariants
//! - A program reaches only what it declares and its user allows (`narrow::tests`, `rule::tests`).
//! - Bytes that are no program are refused by what they are (`program::tests`).

mod bindings;
mod handles;
pub mod limits;
mod narrow;
mod program;
mod rule;
mod run;
mod state;

pub use narrow::{Allowed, Grant};
pub use program::{Program, Programs};
pub use rule::Rule;
pub use run::{Given, Preopen, Streams};
pub use wasmtime_wasi::p2::pipe::MemoryOutputPipe as Pipe;
