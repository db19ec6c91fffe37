//! The ports of a real machine: files, the kernel's clocks and randomness, tokio tasks and lane threads.

mod disk;
mod measured;
mod spawn;

pub use disk::Folder;
pub use isx_net::{SystemClock, SystemEntropy};
pub(crate) use measured::Meter;
pub use spawn::Threads;
