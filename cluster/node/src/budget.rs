//! What a node may take of its machine, and how it is held to that: before the log, never after.
//!
//! Processor time: callers wait while the node owes some. State in memory and files on disk: what would make them larger is
//! refused while there is no room, what makes them smaller works. Nothing that is in the log is held up and no outcome depends
//! on any of it, so replicas with other budgets stay the same.

mod pace;
mod room;

pub(crate) use pace::Running;
pub(crate) use room::{Demand, Full, Taken};

use isx_iface::host::Budget;
use isx_port::{Clock, Instant};
use isx_raft::Raft;
use isx_row::Error;
use pace::Pace;
use room::Room;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What a node may take; as much as there is of what is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Processor time of the process and of children it waited for, in thousandths of a processor.
    pub cpu_milli: Option<u64>,
    /// Bytes of state: rows, indexes and messages as the store counts them, change rings, the tree of names; and rows of
    /// volatile tables. Not the code of modules, what calls under way use, and what is read of the past.
    pub memory_bytes: Option<u64>,
    /// Bytes of the files in the state folder.
    pub disk_bytes: Option<u64>,
}

/// What a node takes of its machine. Asking may block for a moment.
pub trait Machine: Send + Sync + 'static {
    /// Processor time since the process began, with that of children it waited for.
    fn cpu(&self) -> Duration;
    /// What the state folder takes.
    fn space(&self) -> Space;
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// The log.
    pub log_bytes: u64,
    /// The past of mounts, beside older snapshots.
    pub history_bytes: u64,
    /// Published modules.
    pub blob_bytes: u64,
    /// Snapshots and everything else.
    pub rest_bytes: u64,
}

impl Space {
    /// All together.
    pub fn total_bytes(&self) -> u64 {
        self.log_bytes + self.history_bytes + self.blob_bytes + self.rest_bytes
    }
}

/// A part of a machine that a node has a budget of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Cpu,
    Memory,
    Disk,
}

impl Resource {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// How a node does with a resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) resource: Resource,
    /// What it takes now: bytes, or thousandths of a processor. None where that can not be said.
    pub(crate) used: Option<u64>,
    /// What it may take.
    pub(crate) max: Option<u64>,
    /// Calls that were refused for it.
    pub(crate) refused_count: u64,
    /// How long calls have waited for it, all together.
    pub(crate) waited: Duration,
}

impl From<Account> for Budget {
    fn from(account: Account) -> Self {
        Self { resource: account.resource.word().into(), used: account.used, max: account.max }
    }
}

/// Holds a node to its budgets.
pub(crate) struct Governor {
    pace: Pace,
    room: Room,
}

impl Governor {
    pub(crate) fn new(budgets: Budgets, machine: Option<Arc<dyn Machine>>, clock: Arc<dyn Clock>) -> Self {
        let pace = Pace::new(budgets.cpu_milli, machine.clone(), clock);
        Self { pace, room: Room::new(budgets, machine) }
    }

    /// Waits until a call may begin that has no other way to its outcome than through the log, or asks a query.
    ///
    /// # Errors
    /// `busy` at the deadline, or when too many wait: it is in no log.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(crate) async fn paced(&self, deadline: Instant) -> Result<Running<'_>, Error> {
        self.pace.enter(deadline).await
    }

    /// Whether there is anything to be held to.
    pub(crate) fn is_limited(&self) -> bool {
        self.pace.is_limited() || self.room.is_limited()
    }

    /// Whether room has to be looked for.
    pub(crate) fn has_bounds(&self) -> bool {
        self.room.is_limited()
    }

    /// Admits what adds to log and state, until what is returned is dropped.
    ///
    /// # Errors
    /// [`Full`]: `limit` where there is no room, `busy` where there soon will be, with the flag and the cure.
    pub(crate) fn admit(&self, raft: &Raft, demand: Demand) -> Result<Taken<'_>, Full<'_>> {
        self.room.admit(raft, demand)
    }

    /// Admits a file of so many bytes beside log and state.
    ///
    /// # Errors
    /// `limit` or `busy`, as [`Governor::admit`].
    pub(crate) fn admit_file(&self, raft: &Raft, bytes: u64) -> Result<(), Error> {
        self.room.admit_file(raft, bytes).map_err(Full::refuse)
    }

    /// The bytes of what is kept in memory beside the state; whoever keeps it counts them here.
    pub(crate) fn kept_bytes(&self) -> Arc<AtomicU64> {
        self.room.kept_bytes()
    }

    /// Admits so many more bytes of what is kept in memory beside the state.
    ///
    /// # Errors
    /// `limit` where there is no room.
    pub(crate) fn admit_kept(&self, raft: &Raft, bytes: usize) -> Result<(), Error> {
        self.room.admit_kept(raft, bytes as u64).map_err(Full::refuse)
    }

    /// Looks how much the state folder takes; what is to be done for room. Blocks for a look at each file.
    pub(crate) fn look(&self) -> Option<MakeRoom> {
        self.room.look()
    }

    /// How the node does.
    pub(crate) fn accounts(&self, raft: &Raft) -> [Account; 3] {
        let [memory, disk] = self.room.accounts(raft);
        [self.pace.account(), memory, disk]
    }
}

/// What makes room on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MakeRoom {
    /// The log is long.
    ShortenLog,
    /// The log is short: the past has to give way.
    ForgetPast,
}

/// The longest segment of the log of a node with so much disk: a small one does not spend it on what is only reserved.
#[cfg(feature = "real")]
pub(crate) fn segment_bytes(disk_bytes: u64) -> u64 {
    room::segment_bytes(disk_bytes)
}
