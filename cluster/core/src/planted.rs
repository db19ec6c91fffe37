//! Known bugs, put back by tests to see that they are caught.

use crate::{Machine, Restore};

/// A bug that a machine could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A call of a session that was answered runs again.
    RunAgain,
    /// The answer to the lowest sequence that a session may still ask for is dropped, too.
    DoneBelowOffByOne,
    /// A restored snapshot comes without the sessions.
    SessionsNotRestored,
    /// A restored change ring lacks its newest transaction.
    RingCutAtRestore,
    /// Log time is what the last entry says, even if it goes back.
    TimeFromEntry,
    /// A commit bears the time of the commit before it.
    StampedBefore,
    /// The calls of an entry run by session and not in order.
    BatchSorted,
    /// Times of a schedule that were missed are not counted.
    MissedForgotten,
    /// A message that ran runs again when it comes again.
    DeliveredTwice,
    /// A call is made although its preconditions do not hold.
    ConditionIgnored,
    /// The last row of a table does not move with it.
    RowLeftBehind,
    /// Calls of mounts that see each other do not run in order.
    BundleUnordered,
}

impl Bug {
    /// Every bug that can be planted.
    pub const ALL: &'static [Self] = &[
        Self::RunAgain,
        Self::DoneBelowOffByOne,
        Self::SessionsNotRestored,
        Self::RingCutAtRestore,
        Self::TimeFromEntry,
        Self::StampedBefore,
        Self::BatchSorted,
        Self::MissedForgotten,
        Self::DeliveredTwice,
        Self::ConditionIgnored,
        Self::RowLeftBehind,
        Self::BundleUnordered,
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

impl Machine {
    /// Plants `bug`. For tests.
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}

impl Restore {
    /// Plants `bug`, in the machine that is restored, too. For tests.
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}
