//! The state hash: a sum over rows that is kept as they come and go.

use crate::plan::TableId;

/// A sum of row hashes modulo 2^256, least significant word first: the order of changes does not matter, and what was
/// added can be taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    pub(crate) fn add(&mut self, row: Self) {
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(row.0) {
            (*word, carry) = word.carrying_add(other, carry);
        }
    }

    pub(crate) fn subtract(&mut self, row: Self) {
        let mut borrow = false;
        for (word, other) in self.0.iter_mut().zip(row.0) {
            (*word, borrow) = word.borrowing_sub(other, borrow);
        }
    }

    /// BLAKE3-256 of the table id (u16), the key's length (u16), the key and the row, numbers little-endian.
    pub(crate) fn of_row(table: TableId, key: &[u8], row: &[u8]) -> Self {
        // One contiguous buffer takes half the time of a streaming hasher for rows of the usual size.
        let mut buffer = [0; 512];
        let length = (key.len() as u16).to_le_bytes();
        let id = table.0.to_le_bytes();
        let parts: [&[u8]; 4] = [&id, &length, key, row];
        let total = parts.iter().map(|part| part.len()).sum::<usize>();
        let digest = match buffer.get_mut(..total) {
            Some(joined) => {
                let mut at = 0;
                for part in parts {
                    joined[at..at + part.len()].copy_from_slice(part);
                    at += part.len();
                }
                blake3::hash(joined)
            }
            None => {
                let mut hasher = blake3::Hasher::new();
                for part in parts {
                    hasher.update(part);
                }
                hasher.finalize()
            }
        };
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(digest.as_bytes().as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    pub(crate) fn bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0).for_each(|(to, word)| *to = word.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn carries_and_borrows_go_through() {
        let mut sum = Sum([u64::MAX, u64::MAX, 5, 0]);
        let one = Sum([1, 0, 0, 0]);
        sum.add(one);
        assert_eq!(sum, Sum([0, 0, 6, 0]));
        sum.subtract(one);
        assert_eq!(sum, Sum([u64::MAX, u64::MAX, 5, 0]));
        let mut zero = Sum::default();
        zero.subtract(one);
        assert_eq!(zero, Sum([u64::MAX; 4]));
    }
}
