//! Declares the ports through which every other crate reaches network, disk, clock, randomness and tasks.
//!
//! Everything above these traits is deterministic: given the same answers from the ports it does the same thing. A
//! node implements them with libp2p, files, the kernel's clocks and threads; the simulator with one seed.
//!
//! Knows nothing of any other crate of the workspace, nor of a runtime.
//!
//! # Invariants
//! - Traits and plain data only: no implementation lives here.
//! - Every waiting function says whether dropping its future is safe.

mod clock;
mod disk;
mod entropy;
mod net;
mod spawn;

pub use clock::{Clock, Instant, WallTime};
pub use disk::{Disk, DiskError, File, OpenMode};
pub use entropy::Entropy;
pub use net::{Incoming, Net, NetError, PeerId, Protocol, Stream};
pub use spawn::{Job, Lane, Spawn, Task};

/// The five ports of one node, cloned into each of its parts.
#[derive(Clone)]
pub struct Ports {
    /// Streams to peers.
    pub net: std::sync::Arc<dyn Net>,
    /// Files.
    pub disk: std::sync::Arc<dyn Disk>,
    /// Time.
    pub clock: std::sync::Arc<dyn Clock>,
    /// Randomness.
    pub entropy: std::sync::Arc<dyn Entropy>,
    /// Tasks and lanes.
    pub spawn: std::sync::Arc<dyn Spawn>,
}
