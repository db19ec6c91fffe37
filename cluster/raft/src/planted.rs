//! Known bugs, put back by tests to see that they are caught.

use isx_cluster::{Machine, Restore};

/// A bug that a node could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Appended entries count as durable before they are.
    FlushedEarly,
    /// A vote is given and not written.
    VoteNotSaved,
    /// A linearizable read gives what this node has applied.
    ReadWithoutIndex,
    /// The manifest of a snapshot is renamed into place, and neither it nor the folder is synced.
    SnapshotUnsynced,
    /// More of the log is dropped than the snapshot covers.
    PurgeAhead,
    /// An installed snapshot moves the applied index, and not the state.
    InstallKeepsState,
    /// An installed snapshot does not replace the one on disk.
    InstallNotKept,
    /// Who follows is not told that an installed snapshot skipped entries.
    InstallHidesGap,
    /// A tail of the log that conflicts with the leader's is not dropped.
    TruncateForgotten,
    /// A snapshot lacks the members.
    MembersForgotten,
    /// Log time is the leader's wall clock.
    TimeFromWall,
    /// A timer that another node may fire is not looked at again.
    TimerGivenUp,
    /// The past is begun one entry behind its base.
    BaseOffByOne,
    /// One of the machine's.
    Machine(isx_cluster::Bug),
    /// One of the log's.
    Log(isx_wal::Bug),
}

impl Bug {
    /// Every bug of a node's own that can be planted.
    pub const ALL: &'static [Self] = &[
        Self::FlushedEarly,
        Self::VoteNotSaved,
        Self::ReadWithoutIndex,
        Self::SnapshotUnsynced,
        Self::PurgeAhead,
        Self::InstallKeepsState,
        Self::InstallNotKept,
        Self::InstallHidesGap,
        Self::TruncateForgotten,
        Self::MembersForgotten,
        Self::TimeFromWall,
        Self::TimerGivenUp,
        Self::BaseOffByOne,
    ];
}

/// The bug planted, if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted(Option<Bug>);

impl Planted {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn has(self, bug: Bug) -> bool {
        self.0 == Some(bug)
    }

    fn of_machine(self) -> Option<isx_cluster::Bug> {
        match self.0? {
            Bug::Machine(bug) => Some(bug),
            Bug::TimeFromWall => Some(isx_cluster::Bug::TimeFromEntry),
            _ => None,
        }
    }

    pub(crate) fn in_machine(self, machine: &mut Machine) {
        if let Some(bug) = self.of_machine() {
            machine.plant(bug);
        }
    }

    pub(crate) fn in_restore(self, restore: &mut Restore) {
        if let Some(bug) = self.of_machine() {
            restore.plant(bug);
        }
    }

    pub(crate) fn in_log(self, options: &mut isx_wal::Options) {
        if let Some(Bug::Log(bug)) = self.0 {
            options.plant(bug);
        }
    }
}

impl crate::Options {
    /// Plants `bug`. For tests.
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}
