//! What a transaction did: the rows it changed, net, in the order in which it first touched them.
//!
//! Encoding: version (u8, 1), count of changes (u32), count of counters (u32), the changes, the counters. A change is its
//! table (u16), flags (u8; bit 0: there was a row, bit 1: there is one), the key's length (u16) and bytes, and for each row,
//! old before new, its length (u32) and bytes. A counter is a table (u16) and the last number given out (u64). Numbers are
//! little-endian. No key comes twice, no change is without effect, counters ascend by table.

use crate::limits::CHANGES_BYTES_MAX;
use crate::packed::{Key, Row};
use crate::plan::TableId;
use crate::reader::Reader;
use isx_row::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use isx_row::{Code, Error};
use std::collections::BTreeMap;

const VERSION: u8 = 1;

/// The changes of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    rows: Vec<Change>,
    /// The last number given out by auto_inc, for each table where it changed, ascending.
    counters: Vec<(TableId, u64)>,
}

/// A change of one row; at least one of `old` and `new` is there, and they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The table.
    pub table: TableId,
    /// The primary key.
    pub key: Key,
    /// The row that was there, as it was stored: [`crate::Database::complete`] gives it the columns added since.
    pub old: Option<Row>,
    /// The row that is there now; for an event table, the row that was there for this transaction.
    pub new: Option<Row>,
}

impl Change {
    /// Bytes of key and rows.
    pub(crate) fn len(&self) -> usize {
        self.key.len() + self.old.as_ref().map_or(0, |row| row.len()) + self.new.as_ref().map_or(0, |row| row.len())
    }
}

impl Changes {
    pub(crate) fn new(rows: Vec<Change>, counters: Vec<(TableId, u64)>) -> Self {
        Self { rows, counters }
    }

    /// Whether nothing changed, no counter either.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.counters.is_empty()
    }

    /// These changes without those of some tables.
    #[must_use]
    pub fn without(mut self, tables: impl Fn(TableId) -> bool) -> Self {
        self.rows.retain(|change| !tables(change.table));
        self.counters.retain(|(table, _)| !tables(*table));
        self
    }

    /// These changes and those of a later transaction, as if one had made both.
    #[must_use]
    pub fn then(mut self, later: Self) -> Self {
        self.rows.extend(later.rows);
        let mut counters: BTreeMap<TableId, u64> = self.counters.into_iter().collect();
        counters.extend(later.counters);
        Self { rows: net(self.rows), counters: counters.into_iter().collect() }
    }

    /// The number of changed rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The changed rows, in the order in which the transaction first touched them.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.rows.iter()
    }

    pub(crate) fn counters(&self) -> &[(TableId, u64)] {
        &self.counters
    }

    /// The length of [`Changes::encode`].
    pub fn encoded_len(&self) -> usize {
        let row = |row: &Option<Row>| row.as_ref().map_or(0, |row| 4 + row.len());
        let rows = self.rows.iter().map(|change| 5 + change.key.len() + row(&change.old) + row(&change.new));
        9 + rows.sum::<usize>() + self.counters.len() * 10
    }

    /// Appends the one encoding of these changes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        out.push(VERSION);
        out.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.counters.len() as u32).to_le_bytes());
        for change in &self.rows {
            out.extend_from_slice(&change.table.0.to_le_bytes());
            out.push(u8::from(change.old.is_some()) | u8::from(change.new.is_some()) << 1);
            out.extend_from_slice(&(change.key.len() as u16).to_le_bytes());
            out.extend_from_slice(&change.key);
            for row in [&change.old, &change.new].into_iter().flatten() {
                out.extend_from_slice(&(row.len() as u32).to_le_bytes());
                out.extend_from_slice(row);
            }
        }
        for (table, last) in &self.counters {
            out.extend_from_slice(&table.0.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
    }

    /// Reads one encoding; all of `bytes` must be used. Whether the rows are rows is checked when they are installed.
    ///
    /// # Errors
    /// `malformed` for bytes that are no encoding of changes, `limit` for too many.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > CHANGES_BYTES_MAX {
            return Err(Error::new(Code::Limit, "changes: over CHANGES_BYTES_MAX"));
        }
        Self::read(bytes).ok_or_else(|| Error::new(Code::Malformed, "changes: not the encoding of any"))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let row_count = reader.count(10)?;
        let counter_count = reader.count(10)?;
        let mut rows = Vec::with_capacity(row_count);
        for _ in 0..row_count {
            let table = TableId(reader.u16()?);
            let flags = reader.u8()?;
            let key_length = usize::from(reader.u16()?);
            if !(1..=3).contains(&flags) || key_length > KEY_BYTES_MAX {
                return None;
            }
            let key = Key::new(reader.take(key_length)?);
            let mut row = |flag: u8| match flags & flag {
                0 => Some(None),
                _ => reader.block(VALUE_BYTES_MAX).map(|bytes| Some(Row::new(bytes))),
            };
            let (old, new) = (row(1)?, row(2)?);
            if old == new {
                return None;
            }
            rows.push(Change { table, key, old, new });
        }
        let mut counters = Vec::with_capacity(counter_count);
        for _ in 0..counter_count {
            counters.push((TableId(reader.u16()?), reader.u64()?));
        }
        let mut keys: Vec<_> = rows.iter().map(|change| (change.table, &change.key)).collect();
        keys.sort_unstable();
        let unique = keys.windows(2).all(|pair| pair[0] != pair[1]);
        let ascending = counters.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (reader.is_empty() && unique && ascending).then_some(Self { rows, counters })
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One change for each key: from what was there before the first to what is there after the last, in the order of the
/// first; changes without effect are left out.
pub(crate) fn net(mut changes: Vec<Change>) -> Vec<Change> {
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by(|&a, &b| (changes[a].table, &changes[a].key).cmp(&(changes[b].table, &changes[b].key)));
    let mut position = 0;
    while position < order.len() {
        let first = order[position];
        let same = |other: &&usize| {
            changes[**other].table == changes[first].table && changes[**other].key == changes[first].key
        };
        let count = order[position..].iter().take_while(same).count();
        let last = order[position + count - 1];
        if first != last {
            changes[first].new = changes[last].new.take();
            for &other in &order[position + 1..position + count] {
                changes[other].old = None;
                changes[other].new = None;
            }
        }
        position += count;
    }
    changes.retain(|change| change.old != change.new);
    changes
}
