//! Puts a snapshot together again, believing nothing.

use crate::database::Database;
use crate::limits::CHUNK_BYTES_MAX;
use crate::manifest::{ChunkRecord, Manifest};
use crate::packed::{Key, Row};
use crate::plan::Versions;
use crate::reader::Reader;
use crate::snapshot;
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::{Code, ContentHash, Error};
use std::sync::Arc;

/// A database being restored, chunk by chunk. After a refusal it can be given the right chunk again only if the refused
/// one had another hash; else the snapshot itself is wrong and every further chunk is refused.
pub struct Restore {
    manifest: Manifest,
    database: Database,
    /// Chunks taken.
    taken: usize,
    /// The last key of the chunk taken last.
    last: Option<Key>,
    broken: bool,
}

impl Restore {
    /// Begins with a manifest.
    pub fn new(manifest: Manifest) -> Self {
        let mut database = Database::empty(Arc::clone(&manifest.plan));
        database.limits = manifest.limits;
        for (state, last) in database.tables.iter_mut().zip(&manifest.last) {
            state.last = *last;
        }
        Self { manifest, database, taken: 0, last: None, broken: false }
    }

    /// The chunk to put next; `None` when all are there.
    pub fn expected(&self) -> Option<&ChunkRecord> {
        self.manifest.chunks.get(self.taken)
    }

    /// Takes the expected chunk. Costs time in proportion to its rows: not for the thread that applies entries.
    ///
    /// # Errors
    /// `malformed` when the bytes are not those of the expected chunk, or the snapshot is wrong: rows that are not
    /// canonical, out of key order or in conflict with a unique index.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let expected = *self.expected().ok_or_else(|| malformed("a chunk too many"))?;
        if self.broken {
            return Err(malformed("it was refused before"));
        }
        if bytes.len() > CHUNK_BYTES_MAX || ContentHash::of(bytes) != expected.hash {
            return Err(malformed("not the expected chunk, or a damaged one"));
        }
        if self
            .taken
            .checked_sub(1)
            .and_then(|at| self.manifest.chunks.get(at))
            .is_some_and(|it| it.table != expected.table)
        {
            self.last = None;
        }
        self.broken = true;
        self.read(&expected, bytes)?;
        self.broken = false;
        self.taken += 1;
        Ok(())
    }

    /// The database, once every chunk is there.
    ///
    /// # Errors
    /// `malformed` when a chunk is missing or the state hash is not the manifest's.
    pub fn finish(self) -> Result<Database, Error> {
        if self.broken || self.expected().is_some() {
            return Err(malformed("a chunk is missing"));
        }
        match self.database.state_hash() == self.manifest.state_hash {
            true => Ok(self.database),
            false => Err(malformed("the state hash is not that of the rows")),
        }
    }

    fn read(&mut self, expected: &ChunkRecord, bytes: &[u8]) -> Result<(), Error> {
        let damaged = || malformed("a damaged chunk");
        let mut reader = Reader::new(bytes);
        let header = (reader.u8(), reader.u16(), reader.u32());
        let length = u32::try_from(bytes.len()).ok();
        if header != (Some(snapshot::VERSION), Some(expected.table.0), Some(expected.rows))
            || length != Some(expected.bytes)
        {
            return Err(damaged());
        }
        let plan = self.manifest.plan.table(expected.table)?;
        let state = self.database.tables.get_mut(usize::from(expected.table.0)).ok_or_else(damaged)?;
        for _ in 0..expected.rows {
            let row = reader.block(VALUE_BYTES_MAX).ok_or_else(damaged)?;
            plan.check(row, Versions::Any)?;
            let key = plan.key(row)?;
            if self.last.as_ref().is_some_and(|last| *last >= key) {
                return Err(malformed("rows out of key order"));
            }
            let entries = plan.entries(row, &key)?;
            state.check_unique(plan, &key, &entries).map_err(|error| malformed(&error.text))?;
            state.put(plan, &key, Row::new(row), entries, &mut self.database.usage);
            self.last = Some(key);
        }
        match reader.is_empty() {
            true => Ok(()),
            false => Err(damaged()),
        }
    }
}

fn malformed(what: &str) -> Error {
    Error::new(Code::Malformed, format!("snapshot: {what}"))
}
