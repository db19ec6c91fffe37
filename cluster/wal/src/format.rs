//! The bytes of a segment. All numbers are little-endian.
//!
//! ```text
//! segment  = header (512 bytes), batches, zeros
//! header   = "isx-wal\n", version u32, 0 u32, identity 16, number u64, size u64, first batch u64, chain u32,
//!            zeros, crc u32
//! batch    = "bEgn", length u32, number u64, first sequence u64, chain u32, count u32, crc u32, mark u8
//!            records, crc u32, "eNd!"
//! record   = length u32, kind u8, copy u8, 0 u16, group u64, sequence u64, index u64, term u64, crc u32, payload
//! ```
//!
//! Every crc is CRC-32C and covers besides its own bytes the identity, the segment's number and the offset at which
//! they lie: bytes that a disk put in the wrong place do not read. A batch's last crc covers its head and the crc of
//! each record; the next batch's `chain` repeats it, across segments too, so that a stale or misplaced segment or batch
//! is told. Head and end of a batch finish with a byte that is not zero: what a torn write left is told from damage by
//! that (`tail.rs`).

use crate::planted::{Bug, Planted};
use crate::record::{Bytes, Entry, Group, LogIdentity, Purged, Record, State};

/// Version of the format.
pub(crate) const VERSION: u32 = 1;
/// A segment's header has a sector of its own: no later write touches it.
pub(crate) const HEADER_BYTES: u64 = 512;
/// The smallest unit that a disk writes wholly or not at all.
pub(crate) const SECTOR_BYTES: u64 = 512;
pub(crate) const BATCH_HEAD_BYTES: usize = 37;
pub(crate) const BATCH_END_BYTES: usize = 8;
pub(crate) const RECORD_HEAD_BYTES: usize = 44;
/// Bytes of the batch that closes a segment.
pub(crate) const ROLL_BYTES: u64 = batch_bytes(RECORD_HEAD_BYTES) as u64;

pub(crate) const BATCH_MAGIC: [u8; 4] = *b"bEgn";
const HEADER_MAGIC: [u8; 8] = *b"isx-wal\n";
const BATCH_MARK: u8 = 0xb5;
const BATCH_END: [u8; 4] = *b"eNd!";

/// Bytes of a batch whose records take `records` bytes.
pub(crate) const fn batch_bytes(records: usize) -> usize {
    BATCH_HEAD_BYTES + records + BATCH_END_BYTES
}

/// Bytes of a record with a payload of `payload` bytes.
pub(crate) const fn record_bytes(payload: usize) -> usize {
    RECORD_HEAD_BYTES + payload
}

/// What every checksum of a segment covers besides the bytes themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salt {
    segment: u32,
    planted: Planted,
}

impl Salt {
    pub(crate) fn new(identity: LogIdentity, number: u64, planted: Planted) -> Self {
        let segment = crc32c::crc32c_append(crc32c::crc32c(&identity.0), &number.to_le_bytes());
        Self { segment, planted }
    }

    fn at(self, offset: u64) -> u32 {
        crc32c::crc32c_append(self.segment, &offset.to_le_bytes())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: LogIdentity,
    pub(crate) number: u64,
    /// Bytes allocated for the segment.
    pub(crate) size: u64,
    /// The number of its first batch.
    pub(crate) first_batch: u64,
    /// The crc at the end of the batch before it.
    pub(crate) chain: u32,
}

/// Why a header does not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged,
    Version(u32),
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(&HEADER_MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.identity.0);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(&self.first_batch.to_le_bytes());
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        bytes.resize(HEADER_BYTES as usize - 4, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let parse = || {
            let crc_at = HEADER_BYTES as usize - 4;
            let sound = u32_at(bytes, crc_at)? == crc32c::crc32c(bytes.get(..crc_at)?);
            let ours = bytes.get(..8)? == HEADER_MAGIC;
            let version = u32_at(bytes, 8)?;
            let identity = LogIdentity(bytes.get(16..32)?.try_into().ok()?);
            let header = Self {
                identity,
                number: u64_at(bytes, 32)?,
                size: u64_at(bytes, 40)?,
                first_batch: u64_at(bytes, 48)?,
                chain: u32_at(bytes, 56)?,
            };
            (sound && ours).then_some((version, header))
        };
        match parse() {
            None => Err(HeaderFault::Damaged),
            Some((version, _)) if version != VERSION => Err(HeaderFault::Version(version)),
            Some((_, header)) => Ok(header),
        }
    }
}

/// A batch's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// Bytes of the whole batch.
    pub(crate) length: u32,
    pub(crate) number: u64,
    /// The sequence of the first submitted record in it, or of the next one submitted.
    pub(crate) first_sequence: u64,
    /// The crc at the end of the batch before it.
    pub(crate) chain: u32,
    pub(crate) count: u32,
}

impl BatchHead {
    /// The head at the beginning of `bytes`, which lie at `offset`; `None` if its checksum does not hold.
    pub(crate) fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Option<Self> {
        let bytes = bytes.get(..BATCH_HEAD_BYTES)?;
        let sound = u32_at(bytes, 32)? == crc32c::crc32c_append(salt.at(offset), &bytes[..32]);
        let shaped = bytes[..4] == BATCH_MAGIC && bytes[36] == BATCH_MARK;
        let head = Self {
            length: u32_at(bytes, 4)?,
            number: u64_at(bytes, 8)?,
            first_sequence: u64_at(bytes, 16)?,
            chain: u32_at(bytes, 24)?,
            count: u32_at(bytes, 28)?,
        };
        (sound && shaped).then_some(head)
    }

    fn encode(&self, salt: Salt, offset: u64) -> [u8; BATCH_HEAD_BYTES] {
        let mut bytes = [0; BATCH_HEAD_BYTES];
        bytes[..4].copy_from_slice(&BATCH_MAGIC);
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.chain.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.count.to_le_bytes());
        let crc = crc32c::crc32c_append(salt.at(offset), &bytes[..32]);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        bytes[36] = BATCH_MARK;
        bytes
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Vote = 1,
    Entry = 2,
    Truncate = 3,
    Purge = 4,
    Committed = 5,
    Meta = 6,
    /// Begins the copy of a group's state: `index` is the next entry's, if `term` is 1.
    Base = 7,
    /// Closes the segment: the segment `index` exists.
    Roll = 8,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        use Kind::*;
        [Vote, Entry, Truncate, Purge, Committed, Meta, Base, Roll].into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A record as it lies in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// A copy of a group's state at the beginning of a segment, not a submitted record.
    pub(crate) copy: bool,
    pub(crate) group: Group,
    pub(crate) sequence: u64,
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) payload: Bytes,
}

impl Frame {
    pub(crate) fn submitted(sequence: u64, group: Group, record: &Record) -> Self {
        let empty = || Bytes::from([].as_slice());
        let (kind, index, term, payload) = match record {
            Record::Vote(vote) => (Kind::Vote, 0, 0, vote.clone()),
            Record::Entry(entry) => (Kind::Entry, entry.index, entry.term, entry.payload.clone()),
            Record::Truncate { from } => (Kind::Truncate, *from, 0, empty()),
            Record::Purge { upto, mark } => (Kind::Purge, *upto, 0, mark.clone()),
            Record::Committed(mark) => (Kind::Committed, 0, 0, mark.clone()),
            Record::Meta(meta) => (Kind::Meta, 0, 0, meta.clone()),
        };
        Self { kind, copy: false, group, sequence, index, term, payload }
    }

    /// The state of a group, to stand at the beginning of a segment.
    pub(crate) fn copies(group: Group, state: &State) -> impl Iterator<Item = Self> {
        let frame = |kind, index, term, payload| Self { kind, copy: true, group, sequence: 0, index, term, payload };
        let base =
            frame(Kind::Base, state.next.unwrap_or(0), u64::from(state.next.is_some()), Bytes::from([].as_slice()));
        let purge = state.purged.as_ref().map(|Purged { upto, mark }| frame(Kind::Purge, *upto, 0, mark.clone()));
        let vote = state.vote.clone().map(|bytes| frame(Kind::Vote, 0, 0, bytes));
        let committed = state.committed.clone().map(|bytes| frame(Kind::Committed, 0, 0, bytes));
        let meta = state.meta.clone().map(|bytes| frame(Kind::Meta, 0, 0, bytes));
        [Some(base), purge, vote, committed, meta].into_iter().flatten()
    }

    pub(crate) fn roll(next: u64) -> Self {
        let payload = Bytes::from([].as_slice());
        Self { kind: Kind::Roll, copy: true, group: Group(0), sequence: 0, index: next, term: 0, payload }
    }

    pub(crate) fn bytes(&self) -> usize {
        record_bytes(self.payload.len())
    }

    /// The submitted record, or the part of a copied state, that the frame holds; `None` for `Base` and `Roll`.
    pub(crate) fn record(&self) -> Option<Record> {
        let payload = self.payload.clone();
        Some(match self.kind {
            Kind::Vote => Record::Vote(payload),
            Kind::Entry => Record::Entry(Entry { index: self.index, term: self.term, payload }),
            Kind::Truncate => Record::Truncate { from: self.index },
            Kind::Purge => Record::Purge { upto: self.index, mark: payload },
            Kind::Committed => Record::Committed(payload),
            Kind::Meta => Record::Meta(payload),
            Kind::Base | Kind::Roll => return None,
        })
    }

    /// The record at the beginning of `bytes`, which lie at `offset`; `None` if it does not read. Allocates no more
    /// than `bytes` has.
    pub(crate) fn decode(bytes: &[u8], salt: Salt, offset: u64) -> Option<(Self, u32)> {
        let head = bytes.get(..RECORD_HEAD_BYTES)?;
        let length = usize::try_from(u32_at(head, 0)?).ok()?;
        let payload = bytes.get(RECORD_HEAD_BYTES..RECORD_HEAD_BYTES.checked_add(length)?)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(salt.at(offset), &head[..40]), payload);
        let stored = u32_at(head, 40)?;
        if crc != stored && !salt.planted.has(Bug::ChecksumIgnored) {
            return None;
        }
        if head[5] > 1 || head[6..8] != [0; 2] {
            return None;
        }
        let frame = Self {
            kind: Kind::of(head[4])?,
            copy: head[5] == 1,
            group: Group(u64_at(head, 8)?),
            sequence: u64_at(head, 16)?,
            index: u64_at(head, 24)?,
            term: u64_at(head, 32)?,
            payload: payload.into(),
        };
        Some((frame, stored))
    }

    fn encode(&self, into: &mut Vec<u8>, salt: Salt, offset: u64) -> u32 {
        let mut head = [0; RECORD_HEAD_BYTES];
        head[..4].copy_from_slice(&(self.payload.len() as u32).to_le_bytes());
        head[4] = self.kind as u8;
        head[5] = u8::from(self.copy);
        head[8..16].copy_from_slice(&self.group.0.to_le_bytes());
        head[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        head[24..32].copy_from_slice(&self.index.to_le_bytes());
        head[32..40].copy_from_slice(&self.term.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(salt.at(offset), &head[..40]), &self.payload);
        head[40..].copy_from_slice(&crc.to_le_bytes());
        into.extend_from_slice(&head);
        into.extend_from_slice(&self.payload);
        crc
    }
}

/// The end of a batch: the crc that the next one chains to, and the mark.
struct BatchEnd(u32);

impl BatchEnd {
    fn of(head: &[u8], salt: Salt, offset: u64) -> Self {
        Self(crc32c::crc32c_append(salt.at(offset), head))
    }

    fn record(&mut self, crc: u32) {
        self.0 = crc32c::crc32c_append(self.0, &crc.to_le_bytes());
    }

    fn encode(&self) -> [u8; BATCH_END_BYTES] {
        let mut bytes = [0; BATCH_END_BYTES];
        bytes[..4].copy_from_slice(&self.0.to_le_bytes());
        bytes[4..].copy_from_slice(&BATCH_END);
        bytes
    }
}

/// The bytes of a batch at `offset`, and the crc that the next one chains to.
pub(crate) fn encode_batch(
    salt: Salt,
    offset: u64,
    (number, first_sequence, chain): (u64, u64, u32),
    frames: &[Frame],
) -> (Vec<u8>, u32) {
    let length = batch_bytes(frames.iter().map(Frame::bytes).sum());
    let head = BatchHead { length: length as u32, number, first_sequence, chain, count: frames.len() as u32 };
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&head.encode(salt, offset));
    let mut end = BatchEnd::of(&bytes, salt, offset);
    for frame in frames {
        let at = offset + bytes.len() as u64;
        let crc = frame.encode(&mut bytes, salt, at);
        end.record(crc);
    }
    bytes.extend_from_slice(&end.encode());
    (bytes, end.0)
}

/// The records of a batch whose head was read, with their offsets in the file, and the crc that the next one chains
/// to; or where it stops to read.
pub(crate) fn decode_batch(
    bytes: &[u8],
    head: &BatchHead,
    salt: Salt,
    offset: u64,
) -> Result<(Vec<(u64, Frame)>, u32), usize> {
    let mut at = BATCH_HEAD_BYTES;
    let mut end = BatchEnd::of(bytes.get(..at).ok_or(0_usize)?, salt, offset);
    let mut frames = Vec::new();
    for _ in 0..head.count {
        let place = offset + at as u64;
        let (frame, crc) = bytes.get(at..).and_then(|rest| Frame::decode(rest, salt, place)).ok_or(at)?;
        end.record(crc);
        at += frame.bytes();
        frames.push((place, frame));
    }
    let sound = bytes.get(at..) == Some(end.encode().as_slice());
    if sound || salt.planted.has(Bug::ChecksumIgnored) { Ok((frames, end.0)) } else { Err(at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    const IDENTITY: LogIdentity = LogIdentity(*b"0123456789abcdef");

    fn salt() -> Salt {
        Salt::new(IDENTITY, 2, Planted::NONE)
    }

    fn hex(bytes: &[u8]) -> String {
        let lines = bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn check(bytes: &[u8], expected: Expect) {
        expected.assert_eq(&hex(bytes));
    }

    fn entry(payload: &[u8]) -> Frame {
        let entry = Entry { index: 9, term: 4, payload: payload.into() };
        Frame::submitted(77, Group(5), &Record::Entry(entry))
    }

    /// The formats are for ever: these bytes do not change without a new version.
    #[test]
    fn vectors() {
        let header = Header { identity: IDENTITY, number: 2, size: 4 << 20, first_batch: 11, chain: 0xaabb_ccdd };
        let bytes = header.encode();
        assert_eq!(bytes.len() as u64, HEADER_BYTES);
        assert!(bytes[60..508].iter().all(|byte| *byte == 0));
        check(
            &[&bytes[..60], &bytes[508..]].concat(),
            expect![[r#"
            6973782d77616c0a010000000000000030313233343536373839616263646566
            020000000000000000004000000000000b00000000000000ddccbbaa2ab4f3f7"#]],
        );
        let (batch, chain) = encode_batch(salt(), 512, (11, 77, 0xaabb_ccdd), &[entry(b"hello"), Frame::roll(3)]);
        check(
            &batch,
            expect![[r#"
            6245676e8a0000000b000000000000004d00000000000000ddccbbaa02000000
            84c0af43b5050000000200000005000000000000004d00000000000000090000
            00000000000400000000000000a329318e68656c6c6f00000000080100000000
            00000000000000000000000000000300000000000000000000000000000022bc
            d79b35dbd559654e6421"#]],
        );
        check(&chain.to_le_bytes(), expect!["35dbd559"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), offset: u64) {
            let _ = Header::decode(&bytes);
            let _ = BatchHead::decode(&bytes, salt(), offset);
            let _ = Frame::decode(&bytes, salt(), offset);
            let head = BatchHead { length: 600, number: 1, first_sequence: 1, chain: 0, count: u32::MAX };
            prop_assert!(decode_batch(&bytes, &head, salt(), offset.min(1 << 40)).is_err());
        }

        #[test]
        fn a_batch_reads_as_written_and_only_there(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
            offset in 0_u64..1 << 40,
        ) {
            let frames: Vec<Frame> = payloads.iter().map(|payload| entry(payload)).collect();
            let (bytes, chain) = encode_batch(salt(), offset, (3, 77, 5), &frames);
            let head = BatchHead::decode(&bytes, salt(), offset).unwrap();
            let (found, end) = decode_batch(&bytes, &head, salt(), offset).unwrap();
            prop_assert_eq!(found.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>(), frames);
            prop_assert_eq!((head.length as usize, end), (bytes.len(), chain));
            prop_assert_eq!(BatchHead::decode(&bytes, salt(), offset + 512), None);
            prop_assert_eq!(BatchHead::decode(&bytes, Salt::new(IDENTITY, 3, Planted::NONE), offset), None);
        }
    }
}
