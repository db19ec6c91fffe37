//! Rows of a scan, fetched from the host in chunks.

use crate::limits::{CHUNK_ROWS_FIRST, CHUNK_ROWS_MAX};
use crate::module::failure::error_of;
use crate::module::port::tables as host;
use crate::module::table::{Table, decode_row};
use isx_row::{Code, Error};
use std::fmt;
use std::marker::PhantomData;

/// Rows in key order. Sees the tables as they are when a chunk is fetched: what the call changes meanwhile shows where the
/// scan has not been yet. After an error it is at its end.
pub struct Rows<R> {
    state: State,
    /// Rows to give at most.
    left: usize,
    row: PhantomData<fn() -> R>,
}

enum State {
    /// Could not begin.
    Failed(Error),
    /// Between chunks: where the next one begins, none for the first.
    Fetch {
        range: host::Range,
        after: Option<Vec<u8>>,
        rows_max: u32,
    },
    /// Within a chunk.
    Chunk {
        range: host::Range,
        rows: Vec<u8>,
        position: usize,
        next: Option<Vec<u8>>,
        rows_max: u32,
    },
    End,
}

impl<R: Table> Rows<R> {
    pub(crate) fn new(range: Result<host::Range, Error>) -> Self {
        let state = match range {
            Ok(range) => State::Fetch { range, after: None, rows_max: CHUNK_ROWS_FIRST },
            Err(error) => State::Failed(error),
        };
        Self { state, left: usize::MAX, row: PhantomData }
    }

    /// The first `count` rows, in the direction of the scan, whether that is said before or after. No more than these are
    /// fetched, and of many no more than a chunk at once.
    #[must_use]
    pub fn take(mut self, count: usize) -> Self {
        self.left = self.left.min(count);
        self
    }

    /// The same rows, last first. Before the first row is taken; later it changes nothing.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        if let State::Fetch { range, after: None, .. } = &mut self.state {
            range.direction = match range.direction {
                host::Direction::Ascending => host::Direction::Descending,
                host::Direction::Descending => host::Direction::Ascending,
            };
        }
        self
    }
}

impl<R: Table> Iterator for Rows<R> {
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            self.state = State::End;
            return None;
        }
        loop {
            match std::mem::replace(&mut self.state, State::End) {
                State::End => return None,
                State::Failed(error) => return Some(Err(error)),
                State::Fetch { range, after, rows_max } => {
                    let wanted = rows_max.min(u32::try_from(self.left).unwrap_or(u32::MAX));
                    match host::scan(&range, after.as_deref(), wanted) {
                        Ok(host::Chunk { rows, next }) => {
                            self.state = State::Chunk { range, rows, position: 0, next, rows_max };
                        }
                        Err(fault) => return Some(Err(error_of(fault))),
                    }
                }
                State::Chunk { range, rows, position, next, rows_max } => {
                    if position < rows.len() {
                        let Some((row, position)) = split(&rows, position) else {
                            return Some(Err(Error::new(Code::Malformed, "a chunk of rows ends too early")));
                        };
                        let row = decode_row(row);
                        if row.is_ok() {
                            self.left -= 1;
                            self.state = State::Chunk { range, rows, position, next, rows_max };
                        }
                        return Some(row);
                    }
                    if let Some(after) = next {
                        // Few rows first, as many scans are cut short; then more, as a fetch costs more than a row.
                        let rows_max = rows_max.saturating_mul(4).min(CHUNK_ROWS_MAX);
                        self.state = State::Fetch { range, after: Some(after), rows_max };
                    }
                }
            }
        }
    }
}

impl<R: Table> fmt::Debug for Rows<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({})", R::NAME)
    }
}

/// The row at `position` of a chunk and the position behind it.
fn split(rows: &[u8], position: usize) -> Option<(&[u8], usize)> {
    let (length, rest) = rows.get(position..)?.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    Some((rest.get(..length)?, position + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn chunks_are_split_by_length_and_damage_is_seen() {
        let rows = [2, 0, 0, 0, 7, 8, 0, 0, 0, 0];
        assert_eq!(split(&rows, 0), Some((&[7, 8][..], 6)));
        assert_eq!(split(&rows, 6), Some((&[][..], 10)));
        assert_eq!(split(&rows[..5], 0), None);
        assert_eq!(split(&[255, 255, 255, 255, 1], 0), None);
        assert_eq!(split(&rows, 99), None);
    }
}
