//! The ports of a real machine: files, the kernel's clocks and randomness, tokio tasks and lane threads.

mod disk;
mod measured;
mod room;
mod spawn;

pub use disk::Folder;
pub use isx_net::{SystemClock, SystemEntropy};
pub(crate) use measured::Meter;
pub use measured::{cpu, memory_bytes, space};
pub(crate) use room::keep_room;
pub use spawn::Threads;
