//! What the log knows of one group: its state, and where each of its entries lies.

use crate::record::{Bytes, Entry, Record, State};
use std::collections::VecDeque;
use std::ops::Range;

/// Where an entry lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// One entry.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) sequence: u64,
    pub(crate) term: u64,
    pub(crate) payload_bytes: usize,
    /// None while no job has taken it.
    pub(crate) place: Option<Place>,
    /// None when it must be read from its place.
    pub(crate) payload: Option<Bytes>,
}

impl Slot {
    pub(crate) fn new(sequence: u64, entry: &Entry, place: Option<Place>) -> Self {
        let payload_bytes = entry.payload.len();
        Self { sequence, term: entry.term, payload_bytes, place, payload: Some(entry.payload.clone()) }
    }
}

/// One group.
#[derive(Debug, Default)]
pub(crate) struct GroupLog {
    pub(crate) state: State,
    /// The entries, one after another, the last being `state.next - 1`.
    slots: VecDeque<Slot>,
    /// Entries below this lie in segments that are gone: a purge must cover them by the end of recovery.
    lost_below: u64,
}

impl GroupLog {
    /// The indexes that can be read.
    pub(crate) fn range(&self) -> Range<u64> {
        let end = self.state.next.unwrap_or(0);
        end - self.slots.len() as u64..end
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Slot> {
        let range = self.range();
        range.contains(&index).then(|| &self.slots[(index - range.start) as usize])
    }

    pub(crate) fn get_mut(&mut self, index: u64) -> Option<&mut Slot> {
        let range = self.range();
        range.contains(&index).then(|| &mut self.slots[(index - range.start) as usize])
    }

    /// The oldest segment that the group needs.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.slots.front()?.place.map(|place| place.segment)
    }

    /// Does `record`; returns the entries that it dropped. An entry's index was checked by the caller.
    pub(crate) fn apply(&mut self, sequence: u64, record: &Record, place: Option<Place>) -> Vec<Slot> {
        let before = self.range();
        self.state.apply(record);
        match record {
            Record::Entry(entry) => {
                self.slots.push_back(Slot::new(sequence, entry, place));
                Vec::new()
            }
            Record::Truncate { .. } => {
                let next = self.state.next.unwrap_or(0);
                self.lost_below = self.lost_below.min(next);
                let kept = next.saturating_sub(before.start).min(before.end - before.start);
                self.slots.drain(kept as usize..).collect()
            }
            Record::Purge { upto, .. } => {
                let dropped = upto.saturating_add(1).saturating_sub(before.start).min(before.end - before.start);
                self.slots.drain(..dropped as usize).collect()
            }
            Record::Vote(_) | Record::Committed(_) | Record::Meta(_) => Vec::new(),
        }
    }

    /// A group whose earlier entries lie in segments that are gone.
    pub(crate) fn adopt(state: State) -> Self {
        let lost_below = state.next.unwrap_or(0);
        Self { state, slots: VecDeque::new(), lost_below }
    }

    /// Entries that should be there and are not: up to which.
    pub(crate) fn lost(&self) -> Option<u64> {
        let purged = self.state.purged.as_ref().map_or(0, |purged| purged.upto.saturating_add(1));
        (self.lost_below > purged).then(|| self.lost_below - 1)
    }
}
