//! Simulates whole clusters on one thread from one seed, and judges them.
//!
//! Nodes are isx-raft with all below it (core, wal) over simulated ports: an [`Executor`] that runs tasks, timers and
//! lanes in an order drawn from the seed, a [`SimNet`] that delays, cuts and resets, disks that fill, fail and crash by
//! six models ([`disk`]), clocks that drift and jump. Clients call under sessions and insist, use cells of the tree, make
//! and remove mounts; a nemesis does harm and then heals; oracles, one file each, judge what happened. Everything is
//! drawn from the seed, so [`run`] of one seed is always the same run, and a failing seed is its own test case.
//!
//! Seeds of [`Kind::Node`] run everything above that, too: isx-node with isx-exec and a module in WebAssembly, and
//! programs that dial it with isx-client over isx-vat ([`run_node`]). capnp-rpc walks maps of random order, so their runs are judged by the oracles alone.
//!
//! Knows nothing of libp2p, tokio's runtime, or real time.
//!
//! # Invariants
//! - Two runs of one seed of [`Kind::Raft`] are the same, to the bytes on their disks: `one_seed_is_one_run`.
//! - Every bug that can be planted in a node is caught, and which oracle does it at which seed is written down:
//!   `every_planted_bug_is_caught`.
//! - So is every bug that can be planted above Raft, in a node or a client: `every_bug_planted_in_a_node_or_a_client_is_caught`.
//! - The checker finds planted anomalies: `oracle::linear::tests::planted_anomalies_are_found`.
//! - openraft's own storage suite passes over the simulated disk: `openraft_storage_suite`.
//!
//! # Example
//! ```
//! use isx_sim::{Options, run};
//! use std::time::Duration;
//!
//! let report = run(4, Options { voters: 1, duration: Duration::from_secs(2) });
//! assert_eq!(report.findings, Vec::<String>::new());
//! ```

mod client;
mod clock;
pub mod disk;
mod executor;
mod findings;
mod history;
mod local;
mod nemesis;
mod net;
pub mod oracle;
mod random;
mod run;
mod trace;
mod tree;
mod vat;
mod world;

pub use clock::{SimClock, SimEntropy};
pub use executor::{Executor, LaneTimes, Life};
pub use findings::Findings;
pub use history::{Action, History, Operation};
pub use net::{SimNet, Weather};
pub use random::Random;
pub use run::{Kind, Options, Report, run, run_with};
pub use trace::Trace;
pub use vat::{ConfigureNode, Modules, run_node, run_node_with};
pub use world::{Configure, HISTORY_BYTES_MAX, Node, World};
