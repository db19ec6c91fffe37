//! No bugs: the twin of the file that plants them for tests.

use isx_cluster::{Machine, Restore};

/// The bugs whose places the code names.
#[derive(Clone, Copy)]
pub(crate) enum Bug {
    FlushedEarly,
    VoteNotSaved,
    ReadWithoutIndex,
    SnapshotUnsynced,
    PurgeAhead,
    InstallKeepsState,
    InstallNotKept,
    InstallHidesGap,
    TruncateForgotten,
    MembersForgotten,
    TimeFromWall,
    TimerGivenUp,
    BaseOffByOne,
}

/// Nothing is planted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planted;

impl Planted {
    pub(crate) const NONE: Self = Self;

    pub(crate) fn has(self, _: Bug) -> bool {
        false
    }

    pub(crate) fn in_machine(self, _: &mut Machine) {}

    pub(crate) fn in_restore(self, _: &mut Restore) {}

    pub(crate) fn in_log(self, _: &mut isx_wal::Options) {}
}
