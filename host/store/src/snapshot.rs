//! Cuts a version into chunks known by their content.
//!
//! A chunk holds rows of one table in key order. It ends before a row whose key hashes below a threshold that grows with
//! the row's length, so that a chunk has about the same number of bytes whatever its rows are, and a change moves no
//! boundary but those next to it: the chunks elsewhere keep their hashes, and who has them need not be sent them again.
//!
//! Encoding of a chunk: version (u8, 1), table (u16), count of rows (u32), then each row's length (u32) and bytes. Keys are
//! made from the rows. Numbers are little-endian.

use crate::database::Database;
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MEAN, CHUNK_BYTES_MIN};
use crate::manifest::{ChunkRecord, Manifest};
use crate::packed::{Key, Row};
use crate::plan::TableId;
use isx_row::ContentHash;
use std::ops::Bound;
use std::sync::Arc;

/// The version of the encoding of chunks.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a chunk before its first row.
const HEADER_BYTES: usize = 7;

/// A version being cut into chunks, each made when it is asked for. Holds its root, so later changes do not show.
pub struct Snapshot {
    root: Database,
    /// The table to go on with.
    table: usize,
    /// The last key of it that is in a chunk.
    after: Option<Key>,
    chunks: Vec<ChunkRecord>,
}

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotChunk {
    /// What the manifest says of it.
    pub record: ChunkRecord,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Snapshot {
    pub(crate) fn new(root: Database) -> Self {
        Self { root, table: 0, after: None, chunks: Vec::new() }
    }

    /// The manifest; cuts whatever has not been asked for yet.
    pub fn manifest(mut self) -> Manifest {
        while self.next().is_some() {}
        Manifest {
            state_hash: self.root.state_hash(),
            limits: self.root.limits,
            plan: Arc::clone(&self.root.plan),
            last: self.root.tables.iter().map(|state| state.last).collect(),
            chunks: self.chunks,
        }
    }

    /// The bytes and the number of rows of the next chunk of the table, if it has one.
    fn cut(&mut self) -> Option<(Vec<u8>, u32)> {
        let state = self.root.tables.get(self.table)?;
        let start = self.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = Vec::new();
        let mut count = 0_u32;
        let mut last = None;
        for (key, row) in state.rows.range::<_, [u8]>((start, Bound::Unbounded)) {
            if count == 0 {
                bytes = vec![VERSION];
                bytes.extend_from_slice(&(self.table as u16).to_le_bytes());
                bytes.extend_from_slice(&[0; size_of::<u32>()]);
            } else if ends_before(bytes.len(), key, row) {
                break;
            }
            bytes.extend_from_slice(&(row.len() as u32).to_le_bytes());
            bytes.extend_from_slice(row);
            count += 1;
            last = Some(key);
        }
        self.after = Some(last?.clone());
        bytes.get_mut(HEADER_BYTES - size_of::<u32>()..HEADER_BYTES)?.copy_from_slice(&count.to_le_bytes());
        Some((bytes, count))
    }
}

impl Iterator for Snapshot {
    type Item = SnapshotChunk;

    fn next(&mut self) -> Option<SnapshotChunk> {
        while self.table < self.root.tables.len() {
            let Some((bytes, rows)) = self.cut() else {
                self.table += 1;
                self.after = None;
                continue;
            };
            let table = TableId(self.table as u16);
            let record = ChunkRecord { table, rows, bytes: bytes.len() as u32, hash: ContentHash::of(&bytes) };
            self.chunks.push(record);
            return Some(SnapshotChunk { record, bytes });
        }
        None
    }
}

/// Whether a chunk that has `filled` bytes ends before this row.
fn ends_before(filled: usize, key: &[u8], row: &Row) -> bool {
    let length = size_of::<u32>() + row.len();
    if filled < CHUNK_BYTES_MIN {
        return false;
    }
    if filled + length > CHUNK_BYTES_MAX {
        return true;
    }
    let digest = blake3::hash(key);
    let draw = digest.as_bytes().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    // Ends with a chance of length / CHUNK_BYTES_MEAN.
    u64::from(draw) * (CHUNK_BYTES_MEAN as u64) < (length as u64) << 32
}
