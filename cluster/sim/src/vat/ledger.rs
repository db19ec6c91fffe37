//! What callers asked a counter to move by: no two calls of a run move one by the same amount, so that whoever sees a
//! counter move knows which call did it, and sees each at most once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a counter moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Move {
    Up(u64),
    Down(u64),
}

impl Move {
    /// The move from one count to another.
    pub(crate) fn between(old: u64, new: u64) -> Self {
        if new >= old { Self::Up(new - old) } else { Self::Down(old - new) }
    }
}

/// What is known of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It may have happened, or may happen yet.
    Asked,
    /// It happened.
    Done,
    /// It did not happen and never will.
    Refused,
}

/// The calls of a run. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    last: u64,
    calls: BTreeMap<(u64, Move), Known>,
}

impl Ledger {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An amount that no call has had.
    pub(crate) fn amount(&self) -> u64 {
        let mut inner = self.inner();
        inner.last += 1;
        inner.last
    }

    /// Notes what is known of a call.
    pub(crate) fn note(&self, key: u64, moved: Move, known: Known) {
        self.inner().calls.insert((key, moved), known);
    }

    /// What is wrong with the moves that somebody saw, each as often as it came; `whole`, if there were no others.
    pub(crate) fn judge(&self, seen: &BTreeMap<(u64, Move), u64>, whole: bool) -> Vec<String> {
        let inner = self.inner();
        let unasked = seen.iter().filter_map(|(call, count)| match (inner.calls.get(call), count) {
            (Some(Known::Asked | Known::Done), 1) => None,
            (known, count) => Some(format!("{call:?}, {known:?}, happened {count} times")),
        });
        let done =
            inner.calls.iter().filter(|(call, known)| whole && **known == Known::Done && !seen.contains_key(call));
        let missing = done.map(|(call, _)| format!("{call:?} was answered and never happened"));
        unasked.chain(missing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seen: &[(u64, Move, u64)], wrong: usize) {
        let ledger = Ledger::default();
        ledger.note(1, Move::Up(1), Known::Done);
        ledger.note(1, Move::Up(2), Known::Asked);
        ledger.note(1, Move::Down(3), Known::Refused);
        let seen = seen.iter().map(|(key, moved, count)| ((*key, *moved), *count)).collect();
        let found = ledger.judge(&seen, true);
        assert_eq!(found.len(), wrong, "{found:?}");
    }

    #[test]
    fn each_call_happens_once_if_answered_and_at_most_once_if_not() {
        check(&[(1, Move::Up(1), 1)], 0);
        check(&[(1, Move::Up(1), 1), (1, Move::Up(2), 1)], 0);
        check(&[], 1);
        check(&[(1, Move::Up(1), 2)], 1);
        check(&[(1, Move::Up(1), 1), (1, Move::Up(2), 2)], 1);
        check(&[(1, Move::Up(1), 1), (1, Move::Down(3), 1)], 1);
        check(&[(1, Move::Up(1), 1), (2, Move::Up(1), 1)], 1);
    }
}
