//! Known bugs, put back by tests to see that they are caught.

/// A bug that a log could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A job is done before its bytes are synced.
    AckBeforeSync,
    /// A failed sync counts as done.
    IgnoreSyncError,
    /// A failed sync is tried again, and believed.
    RetrySync,
    /// Checksums of records are not compared.
    ChecksumIgnored,
    /// Whatever does not read is cut off, with everything after it.
    CutAtBadChecksum,
    /// The folder is not synced after a segment was created.
    DirectoryUnsynced,
    /// A batch of votes alone is not synced.
    VoteUnsynced,
    /// Votes are written after the entries submitted behind them.
    VoteReordered,
    /// A segment is removed before the purge that allows it is durable.
    RemovedEarly,
    /// Recovery relies on bytes that it found but did not sync.
    RecoveryUnsynced,
    /// Recovery leaves the torn tail in place and writes over its beginning.
    TailKept,
}

impl Bug {
    /// Every bug that can be planted.
    pub const ALL: &'static [Self] = &[
        Self::AckBeforeSync,
        Self::IgnoreSyncError,
        Self::RetrySync,
        Self::ChecksumIgnored,
        Self::CutAtBadChecksum,
        Self::DirectoryUnsynced,
        Self::VoteUnsynced,
        Self::VoteReordered,
        Self::RemovedEarly,
        Self::RecoveryUnsynced,
        Self::TailKept,
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
}

impl crate::Options {
    /// Plants `bug`. For tests.
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}
