//! A span: entries of one group's log that follow each other, in a file of history.
//!
//! File, numbers little-endian: magic `isxH`, version, then head and body, each its length (u32), its CRC-32C, its bytes.
//! Head: first and last index, execution id, the mark before the first entry and the one after the last (a flag; log time,
//! count, for each mount its id and revision), calls that were passed over (count; index, position). Body: the entries
//! that are the machine's, each its index, length, bytes. The indexes between are entries that are not.

use crate::format::{FormatError, Reader, put_block, put_count};
use crate::limits::{ENTRY_BYTES_MAX, HISTORY_SPAN_BYTES_MAX};
use isx_cluster::View;
use isx_row::{MountId, Revision, Time};
use isx_store::ExecutionId;

const MAGIC: [u8; 4] = *b"isxH";
const VERSION: u8 = 1;
/// Bytes of magic, version, length and checksum of the head.
const PREFIX_BYTES: usize = 4 + 1 + 4 + 4;
/// Bytes of a body: what is written is cut there, and one entry always fits.
const BODY_BYTES_MAX: usize = HISTORY_SPAN_BYTES_MAX + ENTRY_BYTES_MAX + 64;
/// Bytes of a head: two marks of as many mounts as a group has, and the calls that were passed over.
const HEAD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where the mounts of a group were at an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Log time.
    pub(crate) time: Time,
    /// The mounts by id.
    mounts: Vec<(MountId, Revision)>,
}

impl Mark {
    pub(crate) fn of(view: &View) -> Self {
        Self { time: view.time(), mounts: view.mounts().map(|mount| (mount.id(), mount.revision())).collect() }
    }

    /// The revision of a mount; none where it was not there.
    pub(crate) fn revision(&self, mount: &MountId) -> Option<Revision> {
        let at = self.mounts.binary_search_by_key(mount, |(id, _)| *id).ok()?;
        self.mounts.get(at).map(|(_, revision)| *revision)
    }

    pub(crate) fn mounts(&self) -> impl Iterator<Item = &(MountId, Revision)> {
        self.mounts.iter()
    }

    fn put(mark: Option<&Self>, out: &mut Vec<u8>) {
        out.push(mark.is_some().into());
        if let Some(Self { time, mounts }) = mark {
            out.extend_from_slice(&time.0.to_le_bytes());
            put_count(out, mounts.len());
            for (mount, revision) in mounts {
                out.extend_from_slice(&mount.0);
                out.extend_from_slice(&revision.0.to_le_bytes());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, FormatError> {
        if !reader.flag("mark")? {
            return Ok(None);
        }
        let time = Time(reader.u64()?.cast_signed());
        let count = reader.count("mounts", isx_cluster::limits::MOUNTS_MAX)?;
        let mut mounts: Vec<(MountId, Revision)> = Vec::with_capacity(count);
        for _ in 0..count {
            let mut id = [0; 16];
            id.copy_from_slice(reader.bytes(16)?);
            if mounts.last().is_some_and(|(last, _)| last.0 >= id) {
                return Err(FormatError::Value { what: "order of mounts", value: mounts.len() as u64 });
            }
            mounts.push((MountId(id), Revision(reader.u64()?)));
        }
        Ok(Some(Self { time, mounts }))
    }
}

/// What a span is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpanHead {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Under which its entries were applied.
    pub(crate) execution: ExecutionId,
    /// Before its first entry, where that is known.
    pub(crate) begin: Option<Mark>,
    /// After its last entry, where that is known.
    pub(crate) end: Option<Mark>,
    /// Calls that its entries say were passed over: (index, position).
    pub(crate) skips: Vec<(u64, u32)>,
}

/// An entry of the machine's: its index and bytes.
pub(crate) type Kept = (u64, Vec<u8>);

/// A span as it is in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) head: SpanHead,
    body: Vec<u8>,
}

impl Span {
    /// A span that begins at an index, without entries.
    pub(crate) fn new(first: u64, execution: ExecutionId, begin: Option<Mark>) -> Self {
        let head = SpanHead { first, last: first, execution, begin, end: None, skips: Vec::new() };
        Self { head, body: Vec::new() }
    }

    /// Takes the next entry; of one that is not the machine's only its index.
    pub(crate) fn push(&mut self, index: u64, entry: Option<&[u8]>) {
        self.head.last = index;
        if let Some(entry) = entry {
            self.body.extend_from_slice(&index.to_le_bytes());
            put_block(&mut self.body, entry);
        }
    }

    /// Takes all of a span that follows.
    pub(crate) fn append(&mut self, next: Self) {
        self.head.last = next.head.last;
        self.head.end = next.head.end;
        self.head.skips.extend(next.head.skips);
        self.body.extend_from_slice(&next.body);
    }

    /// Bytes of its entries.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let SpanHead { first, last, execution, begin, end, skips } = &self.head;
        let mut head = Vec::new();
        head.extend_from_slice(&first.to_le_bytes());
        head.extend_from_slice(&last.to_le_bytes());
        head.extend_from_slice(&execution.0);
        Mark::put(begin.as_ref(), &mut head);
        Mark::put(end.as_ref(), &mut head);
        put_count(&mut head, skips.len());
        for (index, position) in skips {
            head.extend_from_slice(&index.to_le_bytes());
            head.extend_from_slice(&position.to_le_bytes());
        }
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        for part in [&head, &self.body] {
            put_count(&mut out, part.len());
            out.extend_from_slice(&crc32c::crc32c(part).to_le_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    /// Reads a file's bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        let length = read_prefix(&mut reader)?;
        let head = read_head(length, &mut reader)?;
        let length = reader.count("bytes of a span", BODY_BYTES_MAX)?;
        let body = checked(length, &mut reader)?.to_vec();
        reader.end()?;
        Ok(Self { head, body })
    }

    /// Its entries, in order.
    pub(crate) fn entries(&self) -> Result<Vec<Kept>, FormatError> {
        let mut reader = Reader::new(&self.body);
        let mut entries: Vec<Kept> = Vec::new();
        while !reader.is_empty() {
            let index = reader.u64()?;
            let after = entries.last().map_or(self.head.first, |(last, _)| last.saturating_add(1));
            if !(after..=self.head.last).contains(&index) {
                return Err(FormatError::Value { what: "index of an entry", value: index });
            }
            entries.push((index, reader.block("bytes of an entry", ENTRY_BYTES_MAX)?.to_vec()));
        }
        Ok(entries)
    }
}

/// Bytes from a file's beginning that say how long its head is.
pub(crate) const fn prefix_bytes() -> usize {
    PREFIX_BYTES
}

/// How many bytes from a file's beginning its head takes, prefix and all.
pub(crate) fn head_bytes(prefix: &[u8]) -> Result<usize, FormatError> {
    read_prefix(&mut Reader::new(prefix)).map(|(length, _)| PREFIX_BYTES + length)
}

/// Reads the head alone.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<SpanHead, FormatError> {
    let mut reader = Reader::new(bytes);
    let length = read_prefix(&mut reader)?;
    read_head(length, &mut reader)
}

/// Length and checksum of the head.
fn read_prefix(reader: &mut Reader<'_>) -> Result<(usize, u32), FormatError> {
    if reader.bytes(4)? != MAGIC {
        return Err(FormatError::Value { what: "magic of a span", value: 0 });
    }
    reader.version()?;
    Ok((reader.count("bytes of a span's head", HEAD_BYTES_MAX)?, reader.u32()?))
}

fn read_head((length, checksum): (usize, u32), reader: &mut Reader<'_>) -> Result<SpanHead, FormatError> {
    let mut reader = Reader::new(check(reader.bytes(length)?, checksum)?);
    let (first, last, execution) = (reader.u64()?, reader.u64()?, ExecutionId(reader.hash()?));
    if first > last {
        return Err(FormatError::Value { what: "last index", value: last });
    }
    let (begin, end) = (Mark::read(&mut reader)?, Mark::read(&mut reader)?);
    let count = reader.count("calls passed over", HEAD_BYTES_MAX / 12)?;
    let skips = (0..count).map(|_| Ok((reader.u64()?, reader.u32()?))).collect::<Result<_, FormatError>>()?;
    reader.end()?;
    Ok(SpanHead { first, last, execution, begin, end, skips })
}

fn checked<'a>(length: usize, reader: &mut Reader<'a>) -> Result<&'a [u8], FormatError> {
    let checksum = reader.u32()?;
    check(reader.bytes(length)?, checksum)
}

fn check(bytes: &[u8], checksum: u32) -> Result<&[u8], FormatError> {
    match crc32c::crc32c(bytes) == checksum {
        true => Ok(bytes),
        false => Err(FormatError::Value { what: "checksum", value: checksum.into() }),
    }
}

const _: () = assert!(crate::format::VERSION == VERSION, "the reader of versions reads these files too");
const _: () = assert!(2 * isx_cluster::limits::MOUNTS_MAX * 24 + 1024 < HEAD_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn span() -> Span {
        let mark = |time, revision| Mark { time: Time(time), mounts: vec![(MountId([7; 16]), Revision(revision))] };
        let mut span = Span::new(3, ExecutionId([9; 32]), Some(mark(1, 2)));
        span.push(3, Some(b"abc"));
        span.push(4, None);
        span.push(5, Some(b""));
        span.head.end = Some(mark(5, 8));
        span.head.skips.push((3, 1));
        span
    }

    #[test]
    fn a_span_has_one_form() {
        let bytes = span().encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        expect!["69737848018a000000376718250300000000000000050000000000000009090909090909090909090909090909090909090909090909090909090909090101000000000000000100000007070707070707070707070707070707020000000000000001050000000000000001000000070707070707070707070707070707070800000000000000010000000300000000000000010000001b0000005d5d901d030000000000000003000000616263050000000000000000000000"].assert_eq(&hex);
        let read = Span::decode(&bytes).expect("its own bytes decode");
        assert_eq!(read, span());
        assert_eq!(read.entries().expect("its own entries"), [(3, b"abc".to_vec()), (5, Vec::new())]);
        let head = head_bytes(&bytes[..prefix_bytes()]).expect("a prefix");
        assert_eq!(decode_head(&bytes[..head]).expect("a head"), span().head);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let bytes = span().encode();
        for cut in 0..bytes.len() {
            assert!(Span::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Span::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
