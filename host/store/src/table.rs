//! One table's maps: rows by primary key, entries by index, the hash sum, the counter.

use crate::database::Usage;
use crate::hash::Sum;
use crate::limits::{ENTRY_OVERHEAD_BYTES, ROW_OVERHEAD_BYTES};
use crate::packed::{Entry, Key, Row};
use crate::plan::TablePlan;
use imbl::{OrdMap, OrdSet};
use isx_row::{Code, Error};

/// The state of a table. Cloning is cheap; rows are taken as checked.
#[derive(Clone, Default)]
pub(crate) struct TableState {
    pub(crate) rows: OrdMap<Key, Row>,
    /// In the order of the schema's indexes.
    pub(crate) indexes: Vec<IndexState>,
    pub(crate) sum: Sum,
    /// What its rows are counted for, without the entries of indexes: so that a table is left behind without a walk over it.
    pub(crate) bytes: u64,
    /// The last number given out by auto_inc.
    pub(crate) last: u64,
}

/// The state of an index.
#[derive(Clone, Default)]
pub(crate) struct IndexState {
    pub(crate) entries: OrdSet<Entry>,
    /// What the entries are counted for: so that an index is dropped without a walk over it.
    pub(crate) bytes: u64,
}

impl IndexState {
    /// The first entry at or after `bytes`.
    pub(crate) fn first(&self, bytes: &[u8]) -> Option<&Entry> {
        self.entries.get_next(bytes)
    }

    fn insert(&mut self, entry: Entry) {
        self.bytes += entry_bytes(&entry);
        self.entries.insert(entry);
    }

    fn remove(&mut self, entry: &Entry) {
        self.bytes = self.bytes.saturating_sub(entry_bytes(entry));
        self.entries.remove(entry);
    }
}

impl TableState {
    pub(crate) fn new(plan: &TablePlan) -> Self {
        Self { indexes: plan.indexes.iter().map(|_| IndexState::default()).collect(), ..Self::default() }
    }

    /// Refuses entries that a unique index has for another row.
    pub(crate) fn check_unique(&self, plan: &TablePlan, key: &Key, entries: &[Entry]) -> Result<(), Error> {
        for (position, ((index, state), entry)) in plan.indexes.iter().zip(&self.indexes).zip(entries).enumerate() {
            let indexed = indexed(entry);
            let other = |found: &Entry| found.starts_with(indexed) && primary(found) != &**key;
            let taken = index.unique && state.first(indexed).is_some_and(other);
            if taken {
                let name = plan.table.indexes.get(position).map_or("", |index| &index.name);
                return Err(Error::new(Code::Duplicate, format!("table {}: index {name} is unique", plan.table.name)));
            }
        }
        Ok(())
    }

    /// Puts a row with its entries in the place of what is under its key; returns that.
    pub(crate) fn put(
        &mut self,
        plan: &TablePlan,
        key: &Key,
        row: Row,
        entries: Vec<Entry>,
        usage: &mut Usage,
    ) -> Option<Row> {
        usage.add(cost(key, &row, &entries));
        self.bytes += cost(key, &row, &[]).bytes;
        if plan.is_durable() {
            self.sum.add(Sum::of_row(plan.id, key, &row));
        }
        let old = self.rows.insert(key.clone(), row);
        let mut old_entries = Vec::new();
        if let Some(old) = &old {
            old_entries = self.forget(plan, key, old, usage);
        }
        for (position, entry) in entries.into_iter().enumerate() {
            let Some(index) = self.indexes.get_mut(position) else { continue };
            match old_entries.get(position) {
                Some(old) if *old == entry => continue,
                Some(old) => index.remove(old),
                None => {}
            }
            index.insert(entry);
        }
        old
    }

    /// Takes away the row under a key.
    pub(crate) fn take(&mut self, plan: &TablePlan, key: &Key, usage: &mut Usage) -> Option<Row> {
        let old = self.rows.remove(key)?;
        let entries = self.forget(plan, key, &old, usage);
        for (index, entry) in self.indexes.iter_mut().zip(&entries) {
            index.remove(entry);
        }
        Some(old)
    }

    /// Takes a row that has left the map out of the sum and the account; returns the entries it had.
    fn forget(&mut self, plan: &TablePlan, key: &Key, old: &Row, usage: &mut Usage) -> Vec<Entry> {
        // The keys of a stored row were made when it came in: they can be made again.
        let entries = plan.entries(old, key).unwrap_or_default();
        if plan.is_durable() {
            self.sum.subtract(Sum::of_row(plan.id, key, old));
        }
        usage.subtract(cost(key, old, &entries));
        self.bytes = self.bytes.saturating_sub(cost(key, old, &[]).bytes);
        entries
    }
}

/// What a row with its entries is counted for.
pub(crate) fn cost(key: &Key, row: &Row, entries: &[Entry]) -> Usage {
    let entries = entries.iter().map(entry_bytes).sum::<u64>();
    Usage { bytes: key.len() as u64 + row.len() as u64 + ROW_OVERHEAD_BYTES + entries, rows: 1 }
}

/// The primary key at the end of an entry.
pub(crate) fn primary(entry: &[u8]) -> &[u8] {
    parts(entry).1
}

/// The key of the indexed columns at the beginning of an entry.
pub(crate) fn indexed(entry: &[u8]) -> &[u8] {
    parts(entry).0
}

fn entry_bytes(entry: &Entry) -> u64 {
    entry.len() as u64 + ENTRY_OVERHEAD_BYTES
}

fn parts(entry: &[u8]) -> (&[u8], &[u8]) {
    let Some((rest, length)) = entry.split_last_chunk() else { return (entry, &[]) };
    rest.split_at(rest.len().saturating_sub(usize::from(u16::from_le_bytes(*length))))
}
