//! Linearizability, key by key: is there one order of the operations that respects their times and explains every
//! answer?
//!
//! The search of Wing and Gong as Lowe improved it ("Testing for linearizability", 2016): operations are put in order
//! one by one, undone where that leads nowhere, and a set of (operations done, state) remembers what leads nowhere.
//! Keys are independent, so each is searched alone.

use crate::findings::Findings;
use crate::history::{Action, Operation};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Steps of one search; a history that needs more counts as a finding, never as correct.
pub const STEPS_MAX: usize = 4_000_000;

/// What a search says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Not,
    /// The search was given up.
    GaveUp,
}

/// Judges a history, key by key.
pub fn check(history: &[Operation], findings: &Findings) {
    let mut keys: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(operation.key).or_default().push(*operation);
    }
    for (key, operations) in keys {
        let verdict = judge(&operations);
        if verdict != Verdict::Linearizable {
            findings.report("linearizable", format_args!("key {key}, {} operations: {verdict:?}", operations.len()));
        }
    }
}

/// A register and a counter; a key uses one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    register: Option<u64>,
    counter: u64,
}

impl State {
    /// The state after the operation, if its answer fits.
    fn step(self, action: Action) -> Option<Self> {
        match action {
            Action::Put(value) => Some(Self { register: Some(value), ..self }),
            Action::Get(value) => (self.register == value).then_some(self),
            Action::Swap(expected, new, told) => {
                let fits = self.register == expected;
                let after = if fits { Self { register: Some(new), ..self } } else { self };
                told.is_none_or(|told| told == fits).then_some(after)
            }
            Action::Add(n, total) => {
                let after = self.counter.wrapping_add(n);
                total.is_none_or(|total| total == after).then_some(Self { counter: after, ..self })
            }
            Action::Take(n, told) => {
                let left = self.counter.checked_sub(n);
                let after = Self { counter: left.unwrap_or(self.counter), ..self };
                told.is_none_or(|told| told == left).then_some(after)
            }
            Action::Total(total) => (self.counter == total).then_some(self),
            // What it does it does later.
            Action::Postpone(_) => Some(self),
        }
    }
}

/// Begins and ends in the order of time, as a list from which operations are lifted and put back.
struct Events {
    /// For each event its operation, and whether it is the begin.
    events: Vec<(usize, bool)>,
    next: Vec<usize>,
    before: Vec<usize>,
    /// The event of each operation's end.
    end: Vec<usize>,
}

impl Events {
    /// Event 0 stands before all.
    fn new(operations: &[Operation]) -> Self {
        let never = Duration::MAX;
        let mut times: Vec<(Duration, bool, usize)> = Vec::new();
        for (index, operation) in operations.iter().enumerate() {
            times.push((operation.begin, false, index));
            times.push((operation.end.unwrap_or(never), true, index));
        }
        // Of what happens at one time begins come first: they overlap.
        times.sort_unstable();
        let mut events = vec![(usize::MAX, false)];
        events.extend(times.iter().map(|(_, is_end, operation)| (*operation, !is_end)));
        let count = events.len();
        let mut end = vec![0; operations.len()];
        for (place, (operation, begins)) in events.iter().enumerate().skip(1) {
            if !begins {
                end[*operation] = place;
            }
        }
        let next = (1..=count).collect();
        let before = std::iter::once(0).chain(0..count).collect();
        Self { events, next, before, end }
    }

    fn unlink(&mut self, event: usize) {
        let (before, next) = (self.before[event], self.next[event]);
        self.next[before] = next;
        self.before[next] = before;
    }

    fn relink(&mut self, event: usize) {
        let (before, next) = (self.before[event], self.next[event]);
        self.next[before] = event;
        self.before[next] = event;
    }
}

/// Searches for an order.
pub fn judge(operations: &[Operation]) -> Verdict {
    let mut list = Events::new(operations);
    let finish = list.events.len();
    let mut done = vec![0u64; operations.len().div_ceil(64)];
    let mut open = operations.iter().filter(|operation| operation.end.is_some()).count();
    let mut seen: BTreeSet<(Vec<u64>, State)> = BTreeSet::new();
    let mut stack: Vec<(usize, State)> = Vec::new();
    let mut state = State::default();
    let mut at = list.next[0];
    for _ in 0..STEPS_MAX {
        // Operations without an end may stay undone.
        if open == 0 || at == finish {
            return Verdict::Linearizable;
        }
        let (operation, begins) = list.events[at];
        if begins {
            let after = state.step(operations[operation].action);
            let mut with = done.clone();
            with[operation / 64] |= 1 << (operation % 64);
            match after {
                Some(after) if seen.insert((with.clone(), after)) => {
                    stack.push((at, state));
                    (state, done) = (after, with);
                    open -= usize::from(operations[operation].end.is_some());
                    list.unlink(at);
                    list.unlink(list.end[operation]);
                    at = list.next[0];
                }
                _ => at = list.next[at],
            }
        } else if operations[operation].end.is_none() {
            at = list.next[at];
        } else {
            let Some((event, before)) = stack.pop() else { return Verdict::Not };
            let (operation, _) = list.events[event];
            done[operation / 64] &= !(1 << (operation % 64));
            state = before;
            open += usize::from(operations[operation].end.is_some());
            list.relink(list.end[operation]);
            list.relink(event);
            at = list.next[event];
        }
    }
    Verdict::GaveUp
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Add, Get, Put, Swap, Take, Total};

    /// Operations as (begin, end, action); an end of 0 never came.
    fn check(operations: &[(u64, u64, Action)], verdict: Verdict) {
        let operations: Vec<Operation> = operations
            .iter()
            .map(|(begin, end, action)| Operation {
                key: 0,
                client: 0,
                action: *action,
                begin: Duration::from_secs(*begin),
                end: (*end > 0).then(|| Duration::from_secs(*end)),
            })
            .collect();
        assert_eq!(judge(&operations), verdict, "{operations:?}");
    }

    #[test]
    fn sound_histories_pass() {
        check(&[], Verdict::Linearizable);
        check(&[(1, 2, Put(1)), (3, 4, Get(Some(1)))], Verdict::Linearizable);
        check(&[(1, 5, Put(1)), (2, 3, Get(None)), (3, 4, Get(Some(1)))], Verdict::Linearizable);
        check(&[(1, 2, Add(3, Some(3))), (3, 4, Add(2, Some(5))), (5, 6, Total(5))], Verdict::Linearizable);
        check(&[(1, 2, Swap(None, 1, Some(true))), (3, 4, Swap(None, 2, Some(false)))], Verdict::Linearizable);
        check(&[(1, 9, Add(3, Some(5))), (2, 8, Add(2, Some(2)))], Verdict::Linearizable);
        check(&[(1, 4, Take(3, Some(Some(0)))), (2, 3, Add(3, Some(3)))], Verdict::Linearizable);
        check(&[(1, 4, Take(3, Some(None))), (2, 3, Add(3, Some(3)))], Verdict::Linearizable);
    }

    #[test]
    fn what_was_never_answered_may_or_may_not_have_happened() {
        check(&[(1, 0, Put(1)), (2, 3, Get(None)), (4, 5, Get(Some(1)))], Verdict::Linearizable);
        check(&[(1, 0, Put(1)), (2, 3, Get(None))], Verdict::Linearizable);
        check(&[(1, 0, Add(4, None)), (2, 3, Total(4)), (4, 5, Total(4))], Verdict::Linearizable);
        check(&[(1, 0, Add(4, None)), (2, 3, Total(4)), (4, 5, Total(0))], Verdict::Not);
    }

    #[test]
    fn planted_anomalies_are_found() {
        // A stale read.
        check(&[(1, 2, Put(1)), (3, 4, Put(2)), (5, 6, Get(Some(1)))], Verdict::Not);
        // A lost write.
        check(&[(1, 2, Put(1)), (3, 4, Get(None))], Verdict::Not);
        // A value that nobody wrote.
        check(&[(1, 2, Put(1)), (3, 4, Get(Some(9)))], Verdict::Not);
        // Reads that go back in time.
        check(&[(1, 9, Put(1)), (2, 3, Get(Some(1))), (4, 5, Get(None))], Verdict::Not);
        // A doubled effect.
        check(&[(1, 2, Add(3, Some(3))), (3, 4, Total(6))], Verdict::Not);
        // Two swaps of one value that both went well, and one that did not and should have.
        check(&[(1, 4, Swap(None, 1, Some(true))), (2, 5, Swap(None, 2, Some(true)))], Verdict::Not);
        check(&[(1, 2, Put(1)), (3, 4, Swap(Some(1), 2, Some(false)))], Verdict::Not);
        // Something taken that was not there, and something there that was not taken.
        check(&[(1, 2, Take(3, Some(Some(0))))], Verdict::Not);
        check(&[(1, 2, Add(3, Some(3))), (3, 4, Take(3, Some(None)))], Verdict::Not);
        // Two answers that can not both be.
        check(&[(1, 4, Add(1, Some(1))), (2, 5, Add(1, Some(1)))], Verdict::Not);
    }
}
