//! The tree keeps the names of a cluster: homes, the anchors below them, their cells and mounts.
//!
//! [`Tree::apply`] takes one [`Operation`] after the other and answers each; every replica that applies the same ones
//! ends with the same tree, and a refusal leaves no trace. Walking, listing and reading never change anything. A clone
//! of a tree is free. Every change has a revision, and the last ones are kept, so that a watcher continues where it
//! was. Whoever holds an anchor gives a [`Place`] from there: nothing above can be named.
//!
//! A path's mount is created and removed in steps, here and in the mount's group; [`BindingState`] says how far it is,
//! each step may be repeated, and [`Tree::pending`] lists what is under way.
//!
//! `/self` is no name here: whoever dials resolves it. [`wire`] and [`sum`] are the primitives of the formats and hashes
//! here and in the machine that replicates the tree.
//!
//! Knows nothing of IO, Raft, libp2p or WebAssembly.
//!
//! # Invariants
//! - The tree does what a naive model does: `model::tree_is_the_model`.
//! - A refused operation leaves no trace; a repeated step of a saga changes nothing: `model::tree_is_the_model`.
//! - A denied name and a missing name are refused alike: `model::denied_and_missing_look_alike`.
//! - The state hash kept is the one of the records: `model::tree_is_the_model`, by restoring.
//! - Bytes from outside never panic and have one encoding a value: `model::hostile_bytes`.
//!
//! # Example
//! ```
//! use isx_anchors::{Caller, Name, Operation, Path, Place, Tree};
//! use isx_row::{HomeId, Principal};
//!
//! let owner = [7; 32];
//! let cluster = Caller { who: Principal::anonymous(), trusted: true };
//! let caller = Caller { who: Principal::of_peer(&owner), trusted: false };
//! let mut tree = Tree::default();
//! tree.apply(&cluster, &Operation::MakeHome { home: HomeId([1; 16]), owner, alias: Name::new("beta")? })?;
//!
//! let place = Place::absolute(Path::parse("/beta/motd")?);
//! tree.apply(&caller, &Operation::Set { place: place.clone(), value: b"hello".to_vec() })?;
//! assert_eq!(tree.get(&caller, &place)?, Some(&b"hello"[..]));
//!
//! let stranger = Caller { who: Principal::anonymous(), trusted: false };
//! assert_eq!(tree.get(&stranger, &place).unwrap_err().text, "/beta/motd is not found");
//! # Ok::<(), isx_row::Error>(())
//! ```

mod anchor;
mod apply;
pub mod limits;
mod operation;
mod path;
mod record;
pub mod sum;
mod tree;
pub mod wire;

pub use anchor::{Anchor, AnchorId, Binding, BindingState, Caller, Cell, GroupId};
pub use operation::{Happening, Operation, Place, Reply, TreeChange};
pub use path::{Name, Path};
pub use record::TreeRestore;
pub use tree::{Entry, EntryKind, Home, Tree, TreeResume};
