//! Ordered reading in chunks: bounded, fallible and resumable, so that rows need not lie in memory.

use crate::database::{Database, no_index};
use crate::limits::{SCAN_BYTES_MAX, SCAN_ROWS_MAX};
use crate::packed::{Key, Row};
use crate::plan::{IndexId, TableId, TablePlan};
use crate::table;
use isx_row::{Code, Error, key};
use std::borrow::Cow;
use std::ops::{Bound, ControlFlow};

/// Which way a scan goes through the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// From the least key.
    #[default]
    Ascending,
    /// From the greatest key.
    Descending,
}

/// What to read: a range of the primary key or of an index.
///
/// Bounds are memcomparable keys of all or of the first columns. A bound stands for every key that begins with it: an
/// included bound takes all of them in, an excluded one leaves all of them out.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The table.
    pub table: TableId,
    /// The index; `None` for the primary key.
    pub index: Option<IndexId>,
    /// Where the keys begin.
    pub lower: Bound<&'a [u8]>,
    /// Where the keys end.
    pub upper: Bound<&'a [u8]>,
    /// Which way.
    pub direction: Direction,
}

/// Where a scan stands: after the row of this entry. Opaque; bytes from outside are harmless, they never lead out of the
/// scan's bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(Vec<u8>);

/// Rows of a scan, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Primary keys and rows, completed to the table's present version.
    pub rows: Vec<(Key, Row)>,
    /// Where to go on; `None` when the scan is at its end.
    pub next: Option<Position>,
}

impl Position {
    /// A position from [`Position::as_bytes`].
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to keep or to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Scan<'a> {
    /// Every row of a table by primary key.
    pub fn all(table: TableId) -> Self {
        Self { table, index: None, lower: Bound::Unbounded, upper: Bound::Unbounded, direction: Direction::Ascending }
    }

    /// The rows of a table whose key in the index, or whose primary key, is `key` or begins with it.
    pub fn equal(table: TableId, index: Option<IndexId>, key: &'a [u8]) -> Self {
        let bound = Bound::Included(key);
        Self { table, index, lower: bound, upper: bound, direction: Direction::Ascending }
    }

    pub(crate) fn chunk(
        &self,
        database: &Database,
        after: Option<&Position>,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        let (plan, state) = database.parts(self.table)?;
        let mut collector = Collector {
            plan,
            chunk: Chunk::default(),
            last: Vec::new(),
            rows_left: rows_max.clamp(1, SCAN_ROWS_MAX),
            bytes_left: bytes_max.min(SCAN_BYTES_MAX),
        };
        match self.index {
            None => {
                let Some(range) = self.range(after) else { return Ok(collector.chunk) };
                each(state.rows.range::<_, [u8]>(borrow(&range)), self.direction, |(key, row)| {
                    collector.take(key, key, row)
                });
            }
            Some(id) => {
                let index = state.indexes.get(usize::from(id.0)).ok_or_else(|| no_index(plan, id))?;
                let Some(range) = self.range(after) else { return Ok(collector.chunk) };
                let mut lost = false;
                each(index.entries.range::<_, [u8]>(borrow(&range)), self.direction, |entry| {
                    let primary = table::primary(entry);
                    match state.rows.get(primary) {
                        Some(row) => collector.take(entry, &Key::new(primary), row),
                        None => {
                            lost = true;
                            ControlFlow::Break(())
                        }
                    }
                });
                if lost {
                    let text = format!("table {}: an index has entries without rows", plan.table.name);
                    return Err(Error::new(Code::Fatal, text));
                }
            }
        }
        Ok(collector.chunk)
    }

    /// The range of entries to read, `None` when it is empty.
    pub(crate) fn range(&self, after: Option<&Position>) -> Option<Range<'a>> {
        let mut lower = match self.lower {
            Bound::Excluded(prefix) => Bound::Included(Cow::Owned(key::after_prefix(prefix)?)),
            other => other.map(Cow::Borrowed),
        };
        let mut upper = match self.upper {
            Bound::Included(prefix) => match key::after_prefix(prefix) {
                Some(end) => Bound::Excluded(Cow::Owned(end)),
                None => Bound::Unbounded,
            },
            other => other.map(Cow::Borrowed),
        };
        if let Some(Position(position)) = after {
            let inner = match self.direction {
                Direction::Ascending => &mut lower,
                Direction::Descending => &mut upper,
            };
            let narrower = match (&inner, self.direction) {
                (Bound::Unbounded, _) => true,
                (Bound::Included(bound) | Bound::Excluded(bound), Direction::Ascending) => position[..] >= bound[..],
                (Bound::Included(bound) | Bound::Excluded(bound), Direction::Descending) => position[..] < bound[..],
            };
            if narrower {
                *inner = Bound::Excluded(Cow::Owned(position.clone()));
            }
        }
        let empty = match (&lower, &upper) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
            (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
                lower >= upper
            }
        };
        (!empty).then_some((lower, upper))
    }
}

pub(crate) type Range<'a> = (Bound<Cow<'a, [u8]>>, Bound<Cow<'a, [u8]>>);

/// Fills a chunk until it is full.
struct Collector<'a> {
    plan: &'a TablePlan,
    chunk: Chunk,
    last: Vec<u8>,
    rows_left: usize,
    bytes_left: usize,
}

impl Collector<'_> {
    fn take(&mut self, entry: &[u8], key: &Key, row: &Row) -> ControlFlow<()> {
        if self.rows_left == 0 || (self.bytes_left == 0 && !self.chunk.rows.is_empty()) {
            self.chunk.next = Some(Position(std::mem::take(&mut self.last)));
            return ControlFlow::Break(());
        }
        let row = self.plan.complete(row);
        self.rows_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(row.len());
        if self.rows_left == 0 || self.bytes_left == 0 {
            self.last = entry.to_vec();
        }
        self.chunk.rows.push((key.clone(), row));
        ControlFlow::Continue(())
    }
}

fn each<I: DoubleEndedIterator>(mut rows: I, direction: Direction, take: impl FnMut(I::Item) -> ControlFlow<()>) {
    // Both break as soon as the chunk is full.
    let _full = match direction {
        Direction::Ascending => rows.try_for_each(take),
        Direction::Descending => rows.rev().try_for_each(take),
    };
}

fn borrow<'b>(range: &'b Range<'_>) -> (Bound<&'b [u8]>, Bound<&'b [u8]>) {
    (range.0.as_ref().map(|bound| &**bound), range.1.as_ref().map(|bound| &**bound))
}
