//! The store keeps the typed tables of one mount in persistent ordered maps and changes them in transactions.
//!
//! A [`Database`] is a root: cloning it is free, so queries, snapshots, forks and diffs each hold a version of their
//! own while the original goes on. A [`Transaction`] changes the maps in place and keeps an undo log, so that rolling
//! back costs what was changed, and no clone of the root makes the maps copy their nodes. What a transaction did are its
//! [`Changes`]; [`Database::install`] brings another copy of the same root to the same state without running anything.
//! A [`Snapshot`] cuts a root into chunks known by their content, a [`Restore`] puts them together and checks them.
//! [`Executor`] is the seam to whatever runs module code, a [`transcript::Transcript`] what one execution did, for another to
//! do again.
//!
//! Rows are the canonical bytes of [`isx_row::codec`], keys the memcomparable bytes of [`isx_row::key`]; nothing here
//! decodes a value. Dropping the last root that holds a map costs time in proportion to its rows: whoever applies
//! entries sends old roots elsewhere to be dropped ([`Database`] is `Send`).
//!
//! Knows nothing of IO, clocks, randomness, WebAssembly, Raft, or what the rows mean.
//!
//! # Invariants
//! - A transaction that is rolled back, to a savepoint or wholly, leaves no trace, counters included:
//!   `model::random_transactions`.
//! - Installing a transaction's changes on the root it began with gives the root it ended with: `model::random_transactions`.
//! - The incremental state hash is the one computed from the rows: `model::random_transactions` ([`Database::audit`]).
//! - A refused operation changes nothing: `model::random_transactions`, `transactions::refusals`.
//! - Bytes from outside are refused or mean what they say; they never panic: `snapshots::mutations_are_refused`,
//!   `changes::mutations_are_refused`.
//! - An unchanged region of a table keeps the content hashes of its chunks: `snapshots::unchanged_regions_keep_their_chunks`.
//!
//! # Example
//! ```
//! use isx_row::schema::{Column, Schema, Table, TableKind};
//! use isx_row::{Field, Type, Value, codec};
//! use isx_store::Database;
//! use std::sync::Arc;
//!
//! let column = |name: &str, ty| Column { name: name.into(), ty, default: None, since: 1 };
//! let table = Table {
//!     name: "greeting".into(),
//!     kind: TableKind::Durable,
//!     public: true,
//!     version: 1,
//!     columns: vec![column("id", Type::U64), column("text", Type::String)],
//!     primary_key: vec![0],
//!     auto_inc: Some(0),
//!     indexes: vec![],
//! };
//! let fields: Vec<Field> = table.columns.iter().map(|c| Field { name: c.name.clone(), ty: c.ty.clone() }).collect();
//! let schema = Schema { name: "hello".into(), version: "0.1.0".into(), tables: vec![table], ..Schema::default() };
//!
//! let mut database = Database::new(Arc::new(schema))?;
//! let before = database.clone();
//! let greeting = database.table("greeting").ok_or("declared above")?;
//! let mut transaction = database.begin();
//! let row = codec::encode_record(1, &fields, &[Value::U64(0), Value::String("hi".into())])?;
//! let stored = transaction.insert(greeting, &row)?;
//! assert_eq!(codec::decode_record(&fields, &stored)?.1[0], Value::U64(1));
//! let changes = transaction.commit();
//!
//! let mut replica = before;
//! replica.install(&changes)?;
//! assert_eq!(replica.state_hash(), database.state_hash());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod changes;
mod database;
mod executor;
mod hash;
pub mod limits;
mod manifest;
mod packed;
mod plan;
mod post;
mod reader;
mod reads;
mod restore;
mod scan;
mod snapshot;
mod table;
mod transaction;
pub mod transcript;
mod upgrade;

pub use changes::{Change, Changes};
pub use database::{Database, Limits, Usage};
pub use executor::{Cause, EntryContext, Executed, ExecutionId, Executor, Hold, Invocation, Joined, JoinedChanges};
pub use manifest::{ChunkRecord, Manifest};
pub use packed::{Key, Row};
pub use plan::{IndexId, TableId};
pub use post::{Linked, Listener, Message, MessageKind, event_of};
pub use reads::Reads;
pub use restore::Restore;
pub use scan::{Chunk, Direction, Position, Scan};
pub use snapshot::{Snapshot, SnapshotChunk};
pub use transaction::{Savepoint, Transaction};
pub use upgrade::{How, Move};
