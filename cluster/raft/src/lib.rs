//! Keeps the groups of a node in agreement with its peers: openraft over the ports, and nothing of openraft outside.
//!
//! [`Raft::start`] opens the node's log and snapshots and starts its groups: [`TREE`] and [`MOUNTS`]. A request given to
//! [`Raft::propose`] waits with others for the next entry, is replicated, applied on every replica and answered.
//! [`Raft::read`] gives a version of the state, [`Raft::follow`] what is applied as it is applied. Everything runs on
//! the node's `Spawn`, `Clock` and `Entropy`; no runtime is needed, and a simulation of it is exact.
//!
//! From below: `runtime` is openraft's runtime over the ports; `format`, `message` and `frame` are the bytes in files and
//! on the wire; `log` is openraft's log over the one log of the node, `snapshot` and `replica` its state machine over the
//! replicated machine; `network` asks peers and `serve` answers them; `batch` gathers requests into entries,
//! `tick` adds those that time makes due, `post` those that carry messages between mounts; `history` keeps what is behind
//! the log, and `past` goes through it again.
//!
//! Knows nothing of libp2p, wasmtime, tokio's runtime, or what entries mean.
//!
//! # Invariants
//! - An acknowledged request is in the durable log of a quorum and applied: the oracle `durable` of isx-sim.
//! - A failed write or sync ends the node; nothing is acknowledged after it: `a_failed_sync_ends_the_node` in isx-sim.
//! - A full disk is waited out, by the log and by snapshots: `a_snapshot_waits_for_room` in isx-sim.
//! - `busy` and `not_leader` mean: in no log. Whatever has left is answered, `deadline` or `unknown`: the oracles
//!   `exactly_once` and `linear` of isx-sim.
//! - What time makes due happens in an idle group, and nothing else is written there: `time_alone_ends_sessions` in isx-sim.
//! - A crash between any two steps of writing a snapshot leaves one that loads: the seeds of isx-sim.
//! - Bytes of peers and files have one encoding, never panic, and allocate no more than their bounds:
//!   `format::tests`, `message::tests`, `frame::tests`.
//! - Any revision that is kept can be rebuilt, and is what it was, after crashes and purges: the oracle `past` of isx-sim.
//! - The storage is what openraft expects: `openraft_storage_suite` in isx-sim.
//!
//! # Example
//! ```
//! # async fn example(ports: isx_port::Ports, executor: std::sync::Arc<dyn isx_store::Executor>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use isx_raft::{Consistency, MOUNTS, Options, Origin, Raft};
//! use std::time::Duration;
//!
//! let options = Options::single(*b"cluster-identity", ports.net.local(), Origin::New);
//! let raft = Raft::start(ports.clone(), options, executor).await?;
//! let deadline = ports.clock.now().after(Duration::from_secs(5));
//! raft.wait_leader(MOUNTS, deadline).await?;
//! raft.propose(MOUNTS, isx_cluster::Request::Tick, deadline).await?;
//! assert!(raft.read(MOUNTS, Consistency::Linearizable, deadline).await?.mounts().next().is_none());
//! raft.stop().await?;
//! # Ok(())
//! # }
//! ```

mod batch;
#[cfg(feature = "conformance")]
pub mod conformance;
mod figures;
mod format;
mod frame;
mod history;
pub mod inspect;
pub mod limits;
mod log;
mod message;
mod network;
mod pace;
mod past;
#[cfg(feature = "planted")]
mod planted;
#[cfg(not(feature = "planted"))]
#[path = "planted_disabled.rs"]
mod planted;
mod post;
mod raft;
mod replica;
mod runtime;
mod serve;
mod snapshot;
mod tick;
mod types;

pub use figures::{GroupFigures, LogFigures, Observed};
pub use history::{Retention, Rule};
pub use isx_wal::Group;
pub use past::{Moment, Replayed};
#[cfg(feature = "planted")]
pub use planted::Bug;
pub use raft::{
    Change, Consistency, Follow, GroupStatus, MOUNTS, Options, Origin, Raft, Role, StartError, TREE, Voting,
};
