//! What was read of a database, and so which changes would have it read otherwise.

use crate::changes::Change;
use crate::database::Database;
use crate::limits::{READ_BYTES_MAX, READ_RANGES_MAX};
use crate::packed::Entry;
use crate::plan::{IndexId, TableId};
use crate::scan::{Position, Scan};
use isx_row::limits::KEY_BYTES_MAX;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Every row, range and count that was asked for, found or not. While no change touches it ([`Reads::is_touched`]) and the schema
/// is the same, whoever reads the same way again reads the same: what is asked first is answered alike, and so all that follows.
///
/// Bounded: of a table of which too much was read apart, all counts as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    tables: BTreeMap<TableId, Read>,
    /// Of the ranges.
    bytes: usize,
}

/// What was read of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Read {
    /// Anything.
    Whole,
    /// Ranges of primary keys, and of the entries of indexes.
    Ranges(BTreeMap<Option<IndexId>, Vec<Range>>),
}

type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

impl Reads {
    /// The row with this primary key was read.
    pub fn row(&mut self, table: TableId, key: &[u8]) {
        // No row has a longer one.
        if key.len() <= KEY_BYTES_MAX {
            let bound = || Bound::Included(Cow::Borrowed(key));
            self.range(table, None, (bound(), bound()));
        }
    }

    /// A scan was gone on with after a position: what it gives says also whether more follows, so that all of it counts.
    pub fn scan(&mut self, scan: &Scan<'_>, after: Option<&Position>) {
        if let Some(range) = scan.range(after) {
            self.range(scan.table, scan.index, range);
        }
    }

    /// All of a table was read: its rows were counted.
    pub fn whole(&mut self, table: TableId) {
        if let Some(Read::Ranges(ranges)) = self.tables.insert(table, Read::Whole) {
            let bytes = ranges.values().flatten().map(|(lower, upper)| length(lower) + length(upper));
            self.bytes = self.bytes.saturating_sub(bytes.sum());
        }
    }

    fn range(&mut self, table: TableId, index: Option<IndexId>, (lower, upper): crate::scan::Range<'_>) {
        let read = self.tables.entry(table).or_insert_with(|| Read::Ranges(BTreeMap::new()));
        let Read::Ranges(all) = read else { return };
        let count: usize = all.values().map(Vec::len).sum();
        let ranges = all.entry(index).or_default();
        if ranges.iter().any(|read| covers(read, (slice(&lower), slice(&upper)))) {
            return;
        }
        let range = (lower.map(Cow::into_owned), upper.map(Cow::into_owned));
        let bytes = length(&range.0) + length(&range.1);
        if count >= READ_RANGES_MAX || self.bytes.saturating_add(bytes) > READ_BYTES_MAX {
            return self.whole(table);
        }
        self.bytes += bytes;
        ranges.push(range);
    }

    /// Whether a change of these tables is of something that was read: the row before it, or the row after it. Of a change that
    /// is not of this database too.
    pub fn is_touched(&self, database: &Database, change: &Change) -> bool {
        let ranges = match self.tables.get(&change.table) {
            None => return false,
            Some(Read::Whole) => return true,
            Some(Read::Ranges(ranges)) => ranges,
        };
        ranges.iter().any(|(index, ranges)| match index {
            None => ranges.iter().any(|range| contains(range, &change.key)),
            Some(index) => match database.entries_of(change, *index) {
                Ok((old, new)) => {
                    let within = |entry: &Entry| ranges.iter().any(|range| contains(range, entry));
                    old.iter().chain(&new).any(within)
                }
                Err(_) => true,
            },
        })
    }
}

fn length(bound: &Bound<Vec<u8>>) -> usize {
    match bound {
        Bound::Unbounded => 0,
        Bound::Included(bytes) | Bound::Excluded(bytes) => bytes.len(),
    }
}

fn slice<'a>(bound: &'a Bound<Cow<'_, [u8]>>) -> Bound<&'a [u8]> {
    bound.as_ref().map(|bytes| &**bytes)
}

fn contains((lower, upper): &Range, bytes: &[u8]) -> bool {
    let after = match lower {
        Bound::Unbounded => true,
        Bound::Included(lower) => bytes >= lower.as_slice(),
        Bound::Excluded(lower) => bytes > lower.as_slice(),
    };
    after
        && match upper {
            Bound::Unbounded => true,
            Bound::Included(upper) => bytes <= upper.as_slice(),
            Bound::Excluded(upper) => bytes < upper.as_slice(),
        }
}

/// Whether everything within `inner` is within `outer`.
fn covers(outer: &Range, inner: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    let from = match (&outer.0, inner.0) {
        (Bound::Unbounded, _) => true,
        (_, Bound::Unbounded) => false,
        (Bound::Excluded(outer), Bound::Included(inner)) => outer.as_slice() < inner,
        (Bound::Included(outer) | Bound::Excluded(outer), Bound::Included(inner) | Bound::Excluded(inner)) => {
            outer.as_slice() <= inner
        }
    };
    from && match (&outer.1, inner.1) {
        (Bound::Unbounded, _) => true,
        (_, Bound::Unbounded) => false,
        (Bound::Excluded(outer), Bound::Included(inner)) => outer.as_slice() > inner,
        (Bound::Included(outer) | Bound::Excluded(outer), Bound::Included(inner) | Bound::Excluded(inner)) => {
            outer.as_slice() >= inner
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every bound of at most two of three bytes.
    fn bounds() -> Vec<Bound<Vec<u8>>> {
        let mut keys: Vec<Vec<u8>> = vec![vec![]];
        for first in 0..3 {
            keys.push(vec![first]);
            keys.extend((0..3).map(|second| vec![first, second]));
        }
        let both = keys.into_iter().flat_map(|key| [Bound::Included(key.clone()), Bound::Excluded(key)]);
        both.chain([Bound::Unbounded]).collect()
    }

    #[test]
    fn a_range_covers_only_what_it_contains() {
        let (bounds, mut covered) = (bounds(), 0);
        let keys: Vec<&Vec<u8>> = bounds
            .iter()
            .filter_map(|bound| match bound {
                Bound::Included(key) => Some(key),
                _ => None,
            })
            .collect();
        let ranges: Vec<Range> =
            bounds.iter().flat_map(|lower| bounds.iter().map(|upper| (lower.clone(), upper.clone()))).collect();
        for outer in ranges.iter().step_by(3) {
            for inner in &ranges {
                let (lower, upper) = (inner.0.as_ref().map(Vec::as_slice), inner.1.as_ref().map(Vec::as_slice));
                if covers(outer, (lower, upper)) {
                    covered += 1;
                    assert!(
                        keys.iter().all(|key| !contains(inner, key) || contains(outer, key)),
                        "{outer:?} {inner:?}"
                    );
                }
            }
            assert!(covers(outer, (outer.0.as_ref().map(Vec::as_slice), outer.1.as_ref().map(Vec::as_slice))));
        }
        assert!(covered > 10_000, "{covered}");
    }

    #[test]
    fn what_is_read_apart_too_often_or_too_long_is_read_whole() {
        let table = TableId(0);
        let mut reads = Reads::default();
        for number in 0..READ_RANGES_MAX as u64 {
            reads.row(table, &number.to_be_bytes());
            reads.row(table, &number.to_be_bytes());
        }
        assert!(matches!(reads.tables.get(&table), Some(Read::Ranges(_))));
        reads.row(table, b"one more");
        assert_eq!((reads.tables.get(&table), reads.bytes), (Some(&Read::Whole), 0));

        let mut reads = Reads::default();
        reads.row(TableId(1), &vec![7; KEY_BYTES_MAX + 1]);
        assert!(reads.tables.is_empty());
        let long = vec![7; READ_BYTES_MAX];
        reads.scan(&Scan::equal(TableId(1), None, &long), None);
        assert_eq!(reads.tables.get(&TableId(1)), Some(&Read::Whole));
    }
}
