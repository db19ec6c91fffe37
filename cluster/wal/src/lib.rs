//! Keeps the logs and votes of all raft groups of a node in one log on disk: a machine without a thread.
//!
//! Records of every group go in one stream, in the order submitted. [`Wal::submit`] makes a record readable and gives
//! a [`Ticket`]; [`Wal::take_job`] gives what is to be written, at most one [`Job`] at a time; its owner performs it
//! where it may block, and hands the result to [`Wal::completed`], which says up to which ticket everything is durable.
//! Whatever is submitted while a job is out goes with the next: one write and one sync for all of it.
//!
//! The stream lies in preallocated segments, each beginning with the state of all groups, so that the oldest can be
//! removed when no group has entries in it. [`Wal::open`] cuts a torn tail of bytes that were never acknowledged and
//! refuses any other damage with file and offset; `decisions/001-torn-or-damaged.md` says how the two are told apart.
//!
//! Knows nothing of raft, of what is in an entry, of threads, and of any file system but [`isx_port::Disk`].
//!
//! # Invariants
//! - Nothing durable is lost and nothing never submitted appears, whatever a crash leaves of unsynced writes: recovery
//!   gives the state after a prefix of the stream, at least up to the last ticket reported (`crash_points` in isx-sim).
//! - No bit can flip unnoticed (`every_flipped_bit_is_refused_or_harmless` in isx-sim).
//! - After a failed write or sync nothing is acknowledged (`a_failed_sync_is_final`).
//! - A full disk refuses before anything is half-written, and goes on when there is space (`a_full_disk_waits`).
//!
//! # Example
//! ```
//! # use isx_wal::{Entry, Group, LogIdentity, Options, Record, Wal, WalError};
//! # fn example(disk: &dyn isx_port::Disk) -> Result<(), WalError> {
//! let (mut wal, _) = Wal::open(disk, Options::new("wal", LogIdentity(*b"cluster-and-node")))?;
//! let group = Group(1);
//! wal.submit(group, Record::Vote(b"term 1".as_slice().into()))?;
//! let entry = Entry { index: 0, term: 1, payload: b"hello".as_slice().into() };
//! let ticket = wal.submit(group, Record::Entry(entry.clone()))?;
//! assert_eq!(wal.entries(group, 0..1, usize::MAX).perform(disk)?, [entry]); // readable, not yet durable
//!
//! while let Some(job) = wal.take_job() {
//!     let done = job.perform(disk); // on a lane that may block
//!     let completion = wal.completed(done)?;
//!     assert_eq!(completion.durable, ticket);
//! }
//! # Ok(())
//! # }
//! ```

mod cache;
mod error;
mod fetch;
mod format;
mod index;
mod job;
pub mod limits;
#[cfg(feature = "planted")]
mod planted;
#[cfg(not(feature = "planted"))]
#[path = "planted_disabled.rs"]
mod planted;
mod record;
mod recovery;
mod tail;
mod wal;

pub use error::WalError;
pub use fetch::Fetch;
pub use job::{Done, Job};
#[cfg(feature = "planted")]
pub use planted::Bug;
pub use record::{Bytes, Entry, Group, LogIdentity, Purged, Record, State, Ticket};
pub use recovery::{Cut, Recovered};
pub use wal::{Completion, Laggard, Options, Wal};
