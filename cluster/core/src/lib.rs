//! The machine turns a group's log into state: an entry goes in, outcomes and effects come out.
//!
//! A [`Request`] is what callers propose; a leader batches those that wait into an [`Entry`]; committed, every replica
//! gives it to its [`Machine`], which answers each request with an [`Outcome`] and says what leaves for subscribers.
//! Group 0 keeps the tree of names and the members; the others keep mounts: a module's record, its tables, the answers
//! it owes its sessions, its change ring. A [`View`] is one version, free to hold, for queries, subscriptions and
//! snapshots. What module code does comes from an [`isx_store::Executor`], or from the entry itself in mode `effects`.
//!
//! A mount is created and removed in steps over two groups: the tree reserves the path, the mount's group makes or
//! drops the mount, the tree marks it ready or frees the path. Every step may be repeated, and a dropped mount's id is
//! remembered, so that no late step brings it back.
//!
//! Knows nothing of tokio, clocks, randomness, libp2p, openraft or wasmtime: time and randomness come in entries.
//!
//! # Invariants
//! - A call in a session runs once, whatever is repeated, reordered or batched: `exactly_once::*`.
//! - State and outcomes do not depend on where batches are cut: `batches::batched_equals_unbatched`.
//! - Installing effects ends where executing ends: `batches::effects_equal_calls`.
//! - A hold leaves no trace: `holds::*`.
//! - A restored snapshot goes on as the machine it was taken of; a damaged one is refused: `snapshots::*`.
//! - Inside the ring a subscription continues without gap; outside it is told to begin again: `ring::*`.
//! - Bytes from outside never panic and have one encoding a value: `formats::*`.
//! - Log time never goes back, and a tick twice is harmless: `groups::time_never_goes_back`.
//! - A session's rows go with it, and its hooks see it come and go: `presence::*`.
//! - A message between mounts runs once and in order, and is settled once: `post::*`.
//! - What a call does in other mounts of its bundle is kept with its own or not at all, and a bundle waits as one: `bundles::*`.
//! - Rows move to a new module's tables all or not at all, wherever it stops on the way: `migrations::*`.
//! - A schedule and a due row run once, whatever is proposed and however late: `timers::*`.
//! - What is applied a second time ends where it ended the first, at every revision: `past::*`.
//!
//! # Example
//! ```
//! use isx_anchors::{GroupId, Name};
//! use isx_cluster::{Entry, EntryHeader, FEATURE_LEVEL, Machine, Request, twin::Twin};
//! use isx_row::{HomeId, Time};
//! use isx_store::Executor;
//!
//! let executor = Twin::default();
//! let execution = executor.execution_id();
//! let mut machine = Machine::new(GroupId::TREE, execution);
//! let join = Request::Join { peer: [7; 32], home: HomeId([1; 16]), alias: Name::new("beta")?, addresses: vec![] };
//!
//! let header = EntryHeader { level: FEATURE_LEVEL, execution, time: Time(1) };
//! let bytes = Entry::pack(header, &[0; 32], &[join.pack()?])?;
//! machine.apply(1, &Entry::decode(&bytes)?, &executor)?;
//! assert_eq!(machine.view().members().count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod condition;
mod entry;
mod group;
mod inbox;
pub mod limits;
mod machine;
mod mount;
mod moving;
mod outcome;
mod past;
#[cfg(feature = "planted")]
mod planted;
#[cfg(not(feature = "planted"))]
#[path = "planted_disabled.rs"]
mod planted;
mod presence;
mod request;
mod ring;
mod session;
mod snapshot;
mod timers;
#[cfg(feature = "twin")]
pub mod twin;
mod view;

pub use entry::{Effect, Entry, EntryHeader, Mode, Packed, Record};
pub use group::{FEATURE_LEVEL, Member};
pub use machine::{Applied, Effects, Hold, LogLine, Machine, MountEffects};
pub use outcome::{CallAnswer, Outcome};
pub use past::{Goal, Past, Step, StepKind};
#[cfg(feature = "planted")]
pub use planted::Bug;
pub use presence::Connected;
pub use request::{ModuleRecord, ReducerCall, Request, SessionCall, put_links, take_links};
pub use ring::{Resume, Transaction};
pub use snapshot::{ChunkRef, Manifest, Restore, SnapshotChunk, SnapshotHead, SnapshotWriter};
pub use view::{Migration, MountView, Outgoing, QueryCall, View};
