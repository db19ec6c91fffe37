//! Entries: one write, one fsync, one round of replication for everything that waited.
//!
//! Format, numbers little-endian: magic `ISXE`, version (u16, 1), length of the body (u32), CRC-32C of the body (u32),
//! body. Body: feature level (u16), execution id (32), mode (u8), the proposer's time (i64), count of records (u32),
//! records. A record is its nonce (u64), the request's length (u32) and bytes; in mode `effects` then a byte 0, or 1
//! and what the request's execution did: outcome (0 and the answer, or 1 and the error), the module's own error if any,
//! fuel, hash of the tables before and after, changes, and for each other mount of the bundle where it did something (u32 count,
//! nearest first) the mount, the hashes of its tables and the changes.

use crate::limits::{
    BUNDLE_MOUNTS_MAX, EFFECTS_BYTES_MAX, ENTRY_BYTES_MAX, ENTRY_REQUESTS_MAX, ENTRY_ROOM_BYTES, REQUEST_BYTES_MAX,
};
use crate::request::Request;
use isx_anchors::wire::{Reader, Wire, WireError, put_bytes, put_count};
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::{Code, ContentHash, Error, MountId, Time};
use isx_store::limits::CHANGES_BYTES_MAX;
use isx_store::{Changes, ExecutionId};

const MAGIC: [u8; 4] = *b"ISXE";
const VERSION: u16 = 1;
/// Bytes before the body.
const HEAD_BYTES: usize = 14;
/// Bytes of a body before its records.
const BODY_HEAD_BYTES: usize = 47;
/// Bytes of a record beside its request.
const RECORD_HEAD_BYTES: usize = 12;

/// An entry of a group's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What its proposer says of it.
    pub header: EntryHeader,
    /// Whether it holds what its calls did.
    pub mode: Mode,
    /// The requests.
    pub records: Vec<Record>,
}

/// What an entry's proposer says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// The feature level whose formats it uses.
    pub level: u16,
    /// The execution id under which its calls were checked.
    pub execution: ExecutionId,
    /// The proposer's log time. Applied, time is the greater of this and what it was.
    pub time: Time,
}

/// Whether an entry holds what its calls did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Every replica executes the calls.
    Calls = 1,
    /// Every replica installs what the leader's execution did.
    Effects = 2,
}

/// A request in an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Drawn for the request when it was batched: the place of its call in the mount's random stream. It goes with the
    /// request, so that a call's randomness does not depend on where batches are cut.
    pub nonce: u64,
    /// The request.
    pub request: Request,
    /// What its execution did; only in mode `effects`, and only if it was executed.
    pub effect: Option<Effect>,
}

/// A request as its bytes, which can be read back: how it waits for its entry. See [`Request::pack`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed(pub(crate) Vec<u8>);

impl Packed {
    /// Bytes it takes of an entry's [`ENTRY_ROOM_BYTES`].
    pub fn room_bytes(&self) -> usize {
        RECORD_HEAD_BYTES + self.0.len()
    }
}

/// What the execution of a call did.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The encoded answer, or why everything was rolled back.
    pub outcome: Result<Vec<u8>, Error>,
    /// The module's own typed error, encoded.
    pub detail: Option<Vec<u8>>,
    /// Fuel used.
    pub fuel: u64,
    /// The state hash of the mount's tables before.
    pub before: [u8; 32],
    /// The state hash of the mount's tables after.
    pub after: [u8; 32],
    /// The rows it changed.
    pub changes: Changes,
    /// What it did in other mounts of the bundle.
    pub joined: Vec<JoinedEffect>,
}

/// What the execution of a call did in another mount.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedEffect {
    /// The mount.
    pub mount: MountId,
    /// The state hash of its tables before.
    pub before: [u8; 32],
    /// The state hash of its tables after.
    pub after: [u8; 32],
    /// The rows it changed.
    pub changes: Changes,
}

impl Entry {
    /// The encoding of an entry that holds requests, in order, for every replica to execute. `seed` is fresh randomness:
    /// the nonces are drawn from it.
    ///
    /// # Errors
    /// `limit` when they take more than [`ENTRY_ROOM_BYTES`] or are more than [`ENTRY_REQUESTS_MAX`].
    pub fn pack<'a>(
        header: EntryHeader,
        seed: &[u8; 32],
        requests: impl IntoIterator<Item = &'a Packed>,
    ) -> Result<Vec<u8>, Error> {
        let mut nonces = Nonces::new(*seed);
        let mut body = Vec::new();
        let mut count = 0;
        for Packed(request) in requests {
            nonces.next().put(&mut body);
            put_bytes(request, &mut body);
            count += 1;
            if body.len() > ENTRY_ROOM_BYTES || count > ENTRY_REQUESTS_MAX {
                return Err(Error::new(Code::Limit, "entry: over ENTRY_ROOM_BYTES or ENTRY_REQUESTS_MAX"));
            }
        }
        Ok(seal(&header, Mode::Calls, count, &body))
    }

    /// The one encoding of the entry.
    ///
    /// # Errors
    /// `limit` when it would be larger than an entry of its mode may be.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        for record in &self.records {
            put_record(record.nonce, &record.request, &mut body);
            if self.mode == Mode::Effects {
                record.effect.put(&mut body);
            }
        }
        let encoded = seal(&self.header, self.mode, self.records.len(), &body);
        let (max, name) = bound(self.mode);
        if encoded.len() > max || self.records.len() > ENTRY_REQUESTS_MAX {
            return Err(Error::new(Code::Limit, format!("entry: over {name} = {max}")));
        }
        Ok(encoded)
    }

    /// Reads one encoding; all of `bytes` must be used.
    ///
    /// # Errors
    /// `malformed` for bytes that are no entry or damaged, `limit` for too many. Allocates no more than a small multiple
    /// of `bytes.len()`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map_err(|error| {
            let code = if matches!(error, WireError::Limit(_)) { Code::Limit } else { Code::Malformed };
            Error::new(code, format!("entry: {error}"))
        })
    }

    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC || u16::take(&mut reader)? != VERSION {
            return Err(WireError::Canonical("neither magic nor version of an entry"));
        }
        let length = u32::take(&mut reader)? as usize;
        let checksum = u32::take(&mut reader)?;
        let body = reader.raw(length)?;
        reader.end()?;
        if crc32c::crc32c(body) != checksum {
            return Err(WireError::Canonical("the checksum is another"));
        }
        let mut reader = Reader::new(body);
        let level = Wire::take(&mut reader)?;
        let execution = ExecutionId(reader.array()?);
        let mode = match u8::take(&mut reader)? {
            1 => Mode::Calls,
            2 => Mode::Effects,
            _ => return Err(WireError::Canonical("no such mode")),
        };
        let (max, name) = bound(mode);
        if bytes.len() > max {
            return Err(WireError::Limit(name));
        }
        let time = Wire::take(&mut reader)?;
        let count = reader.count(ENTRY_REQUESTS_MAX, "ENTRY_REQUESTS_MAX")?;
        let mut records = Vec::new();
        for _ in 0..count {
            records.push(Record {
                nonce: Wire::take(&mut reader)?,
                request: Request::from_wire(reader.bytes(REQUEST_BYTES_MAX, "REQUEST_BYTES_MAX")?)?,
                effect: if mode == Mode::Effects { Wire::take(&mut reader)? } else { None },
            });
        }
        reader.end()?;
        Ok(Self { header: EntryHeader { level, execution, time }, mode, records })
    }
}

fn bound(mode: Mode) -> (usize, &'static str) {
    match mode {
        Mode::Calls => (ENTRY_BYTES_MAX, "ENTRY_BYTES_MAX"),
        Mode::Effects => (EFFECTS_BYTES_MAX, "EFFECTS_BYTES_MAX"),
    }
}

/// Numbers nobody can foresee, drawn from a seed.
struct Nonces {
    /// The seed, and how often it was drawn from.
    seed: [u8; 36],
    drawn: [u8; 32],
    used_bytes: usize,
}

impl Nonces {
    fn new(seed: [u8; 32]) -> Self {
        let mut counted = [0; 36];
        counted[..32].copy_from_slice(&seed);
        Self { seed: counted, drawn: [0; 32], used_bytes: 32 }
    }

    fn next(&mut self) -> u64 {
        if self.used_bytes == self.drawn.len() {
            self.drawn = ContentHash::of(&self.seed).digest;
            let (_, count) = self.seed.split_at_mut(32);
            let drawn = u32::from_le_bytes(count.try_into().unwrap_or_default()).wrapping_add(1);
            count.copy_from_slice(&drawn.to_le_bytes());
            self.used_bytes = 0;
        }
        let next = self.drawn.get(self.used_bytes..).and_then(|rest| rest.first_chunk());
        self.used_bytes += size_of::<u64>();
        next.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

fn put_record(nonce: u64, request: &Request, out: &mut Vec<u8>) {
    nonce.put(out);
    let length_at = out.len();
    put_count(0, out);
    request.put(out);
    let length = (out.len() - length_at - size_of::<u32>()) as u32;
    if let Some(place) = out.get_mut(length_at..length_at + size_of::<u32>()) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn seal(header: &EntryHeader, mode: Mode, count: usize, records: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + BODY_HEAD_BYTES + records.len());
    out.extend_from_slice(&MAGIC);
    VERSION.put(&mut out);
    put_count(BODY_HEAD_BYTES + records.len(), &mut out);
    0_u32.put(&mut out);
    header.level.put(&mut out);
    out.extend_from_slice(&header.execution.0);
    out.push(mode as u8);
    header.time.put(&mut out);
    put_count(count, &mut out);
    out.extend_from_slice(records);
    let checksum = out.get(HEAD_BYTES..).map_or(0, crc32c::crc32c);
    if let Some(place) = out.get_mut(HEAD_BYTES - size_of::<u32>()..HEAD_BYTES) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    out
}

impl Wire for Effect {
    fn put(&self, out: &mut Vec<u8>) {
        match &self.outcome {
            Ok(answer) => {
                out.push(0);
                put_bytes(answer, out);
            }
            Err(error) => {
                out.push(1);
                error.put(out);
            }
        }
        self.detail.is_some().put(out);
        if let Some(detail) = &self.detail {
            put_bytes(detail, out);
        }
        self.fuel.put(out);
        self.before.put(out);
        self.after.put(out);
        put_changes(&self.changes, out);
        put_count(self.joined.len(), out);
        for JoinedEffect { mount, before, after, changes } in &self.joined {
            mount.put(out);
            before.put(out);
            after.put(out);
            put_changes(changes, out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let value = |reader: &mut Reader<'_>| Ok(reader.bytes(VALUE_BYTES_MAX, "VALUE_BYTES_MAX")?.to_vec());
        Ok(Self {
            outcome: match u8::take(reader)? {
                0 => Ok(value(reader)?),
                1 => Err(Wire::take(reader)?),
                _ => return Err(WireError::Canonical("no such outcome of an execution")),
            },
            detail: if bool::take(reader)? { Some(value(reader)?) } else { None },
            fuel: Wire::take(reader)?,
            before: Wire::take(reader)?,
            after: Wire::take(reader)?,
            changes: take_changes(reader)?,
            joined: take_joined(reader)?,
        })
    }
}

fn put_changes(changes: &Changes, out: &mut Vec<u8>) {
    put_count(changes.encoded_len(), out);
    changes.encode(out);
}

fn take_changes(reader: &mut Reader<'_>) -> Result<Changes, WireError> {
    Changes::decode(reader.bytes(CHANGES_BYTES_MAX, "CHANGES_BYTES_MAX")?)
        .map_err(|_| WireError::Canonical("no encoding of changes"))
}

fn take_joined(reader: &mut Reader<'_>) -> Result<Vec<JoinedEffect>, WireError> {
    let count = reader.count(BUNDLE_MOUNTS_MAX, "BUNDLE_MOUNTS_MAX")?;
    let mut joined: Vec<JoinedEffect> = Vec::new();
    for _ in 0..count {
        let mount = Wire::take(reader)?;
        if joined.iter().any(|other| other.mount == mount) {
            return Err(WireError::Canonical("a mount comes twice"));
        }
        let (before, after) = (Wire::take(reader)?, Wire::take(reader)?);
        joined.push(JoinedEffect { mount, before, after, changes: take_changes(reader)? });
    }
    Ok(joined)
}

// A request of the largest size still makes an entry.
const _: () = assert!(RECORD_HEAD_BYTES + REQUEST_BYTES_MAX <= ENTRY_ROOM_BYTES);
const _: () = assert!(HEAD_BYTES + BODY_HEAD_BYTES + ENTRY_ROOM_BYTES <= ENTRY_BYTES_MAX);
