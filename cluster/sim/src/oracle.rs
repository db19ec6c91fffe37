//! The oracles: each looks at one promise, in a file of its own.

pub mod agreement;
pub(crate) mod batches;
pub mod convergence;
pub mod durable;
pub mod exactly_once;
pub mod linear;
pub(crate) mod past;
pub mod post;
pub mod raft;
pub mod ring;
pub mod timers;
