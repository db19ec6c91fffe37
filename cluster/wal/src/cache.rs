//! Which entries' payloads are in memory: those not durable yet, and the last durable ones up to a number of bytes.

use crate::record::Group;
use std::collections::BTreeMap;

/// Entries in memory, by their sequence.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: BTreeMap<u64, (Group, u64, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { entries: BTreeMap::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn insert(&mut self, sequence: u64, group: Group, index: u64, bytes: usize) {
        self.entries.insert(sequence, (group, index, bytes));
        self.bytes += bytes;
    }

    pub(crate) fn remove(&mut self, sequence: u64) {
        if let Some((_, _, bytes)) = self.entries.remove(&sequence) {
            self.bytes -= bytes;
        }
    }

    /// The oldest durable entry, removed, if there is more than the bound.
    pub(crate) fn evict(&mut self, durable: u64) -> Option<(Group, u64)> {
        let first = self.entries.first_entry()?;
        if self.bytes <= self.bytes_max || *first.key() > durable {
            return None;
        }
        let (group, index, bytes) = first.remove();
        self.bytes -= bytes;
        Some((group, index))
    }
}
