//! Composes a node of its parts: disk, clock and threads of this machine, libp2p, the vat, Raft over the log, the
//! executor; and serves the system's own objects over them.
//!
//! [`Node::start`] takes a state folder and answers callers when it returns; everything acknowledged before a crash is
//! there after the next start. What callers reach are `Host`, `Anchor`, `Module` and the mounted modules themselves;
//! mounts are created and removed by sagas over two groups, completed at the next start if a crash cut them short.
//!
//! [`Node`] is this machine's form, behind the default feature `real`; below it [`Opened`] and [`Serving`] are a node
//! over whatever ports they are given.
//!
//! Knows nothing of wgpu, winit, argv, the environment and configuration files.
//!
//! # Invariants
//! - A state folder has one node, one identity and a known version (`state::tests`).
//! - A blob is whole and checked, or it is not there (`blobs::tests`).
//! - What was acknowledged is there after a start on the same folder (`tests/node.rs`).
//! - What calls cost is what their callers count: `accounts::tests`, `tests/operate.rs` of the command line.
//! - A node holds to its budgets, and refuses before the log: `budget::pace::tests`, `tests/budget_cpu.rs`,
//!   `tests/budget_memory.rs`, `tests/budget_disk.rs`.
//! - A session that nobody holds any more ends, whoever restarted meanwhile (`vat::sessions` in isx-sim).
//! - Callers without the owner's rights see public members only (`tests/node.rs`).
//! - Last values are in no log, are nobody's but their caller's, and who follows has the newest of each however slow he is:
//!   `values::kept::tests`, `tests/values.rs`, `vat::volatile` in isx-sim.
//!
//! # Example
//! A program brings a node along, and another reaches it over the network: see [`Node::dev`] and `isx_client::dial`.

mod accounts;
mod admission;
mod anchor;
mod blobs;
mod budget;
mod dry_run;
#[cfg(feature = "real")]
mod figures;
mod follow;
mod gate;
mod gauges;
mod host;
pub mod limits;
mod links;
mod logs;
mod metered;
mod migration;
mod module;
mod mounted;
#[cfg(feature = "real")]
mod node;
#[cfg(feature = "real")]
mod operation;
mod past;
#[cfg(feature = "planted")]
mod planted;
#[cfg(not(feature = "planted"))]
#[path = "planted_disabled.rs"]
mod planted;
mod presence;
#[cfg(feature = "real")]
pub mod real;
mod saga;
mod serving;
mod sessions;
mod shared;
mod source;
#[cfg(feature = "real")]
mod state;
mod upkeep;
mod values;

pub use budget::{Budgets, Machine, Space};
/// What a node keeps of the past of its mounts.
pub use isx_raft::Rule as HistoryRule;
#[cfg(feature = "real")]
pub use node::{Config, Node, StartError};
#[cfg(feature = "planted")]
pub use planted::Bug;
pub use serving::{Opened, Parts, ServeError, Serving};
#[cfg(feature = "real")]
pub use state::StateError;
