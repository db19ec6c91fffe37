//! What a snapshot consists of: the schema, the counters, and its chunks by content hash.
//!
//! Encoding: magic `ISXS`, version (u16, 1), length of the body (u32), the body, BLAKE3-256 of all before. The body: state
//! hash (32), limits (u64 bytes, u64 rows), the schema's canonical bytes (u32 length), the tables by id (u32 count; each
//! its name with a u32 length, and the last number given out, u64), the chunks (u32 count; each its table u16, rows u32,
//! bytes u32, BLAKE3-256 digest). Chunks stand by table id, then in key order. Numbers are little-endian.

use crate::database::Limits;
use crate::limits::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::plan::{Plan, TableId};
use crate::reader::Reader;
use isx_row::limits::{NAME_BYTES_MAX, SCHEMA_BYTES_MAX};
use isx_row::schema::Schema;
use isx_row::{Code, ContentHash, Error};
use std::sync::Arc;

const MAGIC: [u8; 4] = *b"ISXS";
const VERSION: u16 = 1;

/// What a snapshot consists of.
#[derive(Clone)]
pub struct Manifest {
    pub(crate) state_hash: [u8; 32],
    pub(crate) limits: Limits,
    pub(crate) plan: Arc<Plan>,
    /// The last number given out, by table id.
    pub(crate) last: Vec<u64>,
    pub(crate) chunks: Vec<ChunkRecord>,
}

/// A chunk of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRecord {
    /// The table whose rows it holds.
    pub table: TableId,
    /// The number of rows.
    pub rows: u32,
    /// The number of bytes.
    pub bytes: u32,
    /// The hash of its bytes.
    pub hash: ContentHash,
}

impl Manifest {
    /// The state hash of the version.
    pub fn state_hash(&self) -> [u8; 32] {
        self.state_hash
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.plan.schema
    }

    /// The chunks, in the order in which [`crate::Restore::put`] takes them.
    pub fn chunks(&self) -> &[ChunkRecord] {
        &self.chunks
    }

    /// The one encoding of the manifest.
    ///
    /// # Errors
    /// `limit` when it would be larger than a manifest may be.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut body = self.state_hash.to_vec();
        body.extend_from_slice(&self.limits.bytes_max.to_le_bytes());
        body.extend_from_slice(&self.limits.rows_max.to_le_bytes());
        block(&mut body, &self.plan.schema.encode()?);
        body.extend_from_slice(&(self.plan.tables.len() as u32).to_le_bytes());
        for (plan, last) in self.plan.tables.iter().zip(&self.last) {
            block(&mut body, plan.table.name.as_bytes());
            body.extend_from_slice(&last.to_le_bytes());
        }
        body.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        for chunk in &self.chunks {
            body.extend_from_slice(&chunk.table.0.to_le_bytes());
            body.extend_from_slice(&chunk.rows.to_le_bytes());
            body.extend_from_slice(&chunk.bytes.to_le_bytes());
            body.extend_from_slice(&chunk.hash.digest);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        block(&mut bytes, &body);
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        match bytes.len() <= MANIFEST_BYTES_MAX {
            true => Ok(bytes),
            false => Err(Error::new(Code::Limit, "snapshot: over MANIFEST_BYTES_MAX")),
        }
    }

    /// Reads one encoding; all of `bytes` must be used.
    ///
    /// # Errors
    /// `malformed` for bytes that are no manifest, `limit` for too many, whatever [`crate::Database::new`] refuses of
    /// the schema.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(Error::new(Code::Limit, "snapshot: over MANIFEST_BYTES_MAX"));
        }
        let body = envelope(bytes).ok_or_else(|| malformed("no manifest, or a damaged one"))?;
        let mut reader = Reader::new(body);
        let parts =
            Parts::read(&mut reader).filter(|_| reader.is_empty()).ok_or_else(|| malformed("a damaged body"))?;
        let schema = Arc::new(Schema::decode(parts.schema)?);
        let plan = Plan::new(schema, parts.tables.iter().map(|(name, _)| *name))?;
        let known = |chunk: &ChunkRecord| plan.table(chunk.table).is_ok_and(|table| table.is_durable());
        if !parts.chunks.is_sorted_by_key(|chunk| chunk.table) || !parts.chunks.iter().all(known) {
            return Err(malformed("a chunk of a table that has none, or out of order"));
        }
        let last = parts.tables.iter().map(|(_, last)| *last).collect();
        let Parts { state_hash, limits, chunks, .. } = parts;
        Ok(Self { state_hash, limits, plan: Arc::new(plan), last, chunks })
    }
}

/// The fields of a body, none of them checked against another.
struct Parts<'a> {
    state_hash: [u8; 32],
    limits: Limits,
    schema: &'a [u8],
    tables: Vec<(&'a str, u64)>,
    chunks: Vec<ChunkRecord>,
}

impl<'a> Parts<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let state_hash = reader.array()?;
        let limits = Limits { bytes_max: reader.u64()?, rows_max: reader.u64()? };
        let schema = reader.block(SCHEMA_BYTES_MAX)?;
        let count = reader.count(12)?;
        let mut tables = Vec::with_capacity(count);
        for _ in 0..count {
            tables.push((std::str::from_utf8(reader.block(NAME_BYTES_MAX)?).ok()?, reader.u64()?));
        }
        let count = reader.count(42)?;
        let mut chunks = Vec::with_capacity(count);
        for _ in 0..count {
            let (table, rows, bytes) = (TableId(reader.u16()?), reader.u32()?, reader.u32()?);
            let hash = ContentHash { algorithm: ContentHash::BLAKE3, digest: reader.array()? };
            let possible = rows > 0 && usize::try_from(bytes).is_ok_and(|bytes| bytes <= CHUNK_BYTES_MAX);
            chunks.push(Some(ChunkRecord { table, rows, bytes, hash }).filter(|_| possible)?);
        }
        Some(Self { state_hash, limits, schema, tables, chunks })
    }
}

fn envelope(bytes: &[u8]) -> Option<&[u8]> {
    let (checked, checksum) = bytes.split_last_chunk::<32>()?;
    let mut reader = Reader::new(checked);
    let known = reader.array()? == MAGIC && reader.u16()? == VERSION;
    let body = reader.block(MANIFEST_BYTES_MAX)?;
    (known && reader.is_empty() && blake3::hash(checked) == *checksum).then_some(body)
}

fn block(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn malformed(what: &str) -> Error {
    Error::new(Code::Malformed, format!("snapshot: {what}"))
}
