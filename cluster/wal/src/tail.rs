//! Reads batches from a segment, and tells the end, a torn tail and damage apart.
//!
//! What can be told and what cannot: `decisions/001-torn-or-damaged.md`.

use crate::error::WalError;
use crate::format::{self, BATCH_HEAD_BYTES, BATCH_MAGIC, BatchHead, Frame, SECTOR_BYTES, Salt};
use crate::limits::{READ_AHEAD_BYTES, SEGMENT_BYTES_MAX};
use crate::planted::{Bug, Planted};
use isx_port::File;

/// A segment's bytes, read ahead in pieces; beyond the file's end they are zero.
pub(crate) struct Window<'a> {
    file: &'a dyn File,
    file_bytes: u64,
    pub(crate) size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// A window on `file`, which counts as at least `size` bytes long.
    pub(crate) fn new(file: &'a dyn File, size: u64) -> Result<Self, WalError> {
        let file_bytes = file.len()?;
        Ok(Self { file, file_bytes, size: size.max(file_bytes).min(SEGMENT_BYTES_MAX), start: 0, bytes: Vec::new() })
    }

    /// The bytes at `offset`: `length`, or fewer at the segment's end.
    pub(crate) fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], WalError> {
        let offset = offset.min(self.size);
        let length = length.min((self.size - offset) as usize);
        let held = self.start..self.start + self.bytes.len() as u64;
        if offset < held.start || offset + length as u64 > held.end {
            let ahead = length.max(READ_AHEAD_BYTES).min((self.size - offset) as usize);
            self.bytes.clear();
            self.bytes.resize(ahead, 0);
            let stored = (self.file_bytes.saturating_sub(offset) as usize).min(ahead);
            // A segment that found no room is shorter than it says: behind its end there is nothing to read.
            if stored > 0 {
                self.file.read_at(offset, &mut self.bytes[..stored])?;
            }
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..from + length])
    }

    /// The offset after the last byte at or after `offset` that is not zero.
    pub(crate) fn end_of_content(&mut self, offset: u64) -> Result<Option<u64>, WalError> {
        let (mut at, mut last) = (offset, None);
        while at < self.size {
            let piece = self.at(at, READ_AHEAD_BYTES)?;
            if let Some(position) = last_nonzero(piece) {
                last = Some(at + position as u64 + 1);
            }
            at += piece.len() as u64;
        }
        Ok(last)
    }

    /// Whether an intact head of a batch after `number` lies behind `offset`.
    fn later_batch(&mut self, offset: u64, number: u64, salt: Salt) -> Result<bool, WalError> {
        let mut at = offset;
        while at < self.size {
            let piece = self.at(at, READ_AHEAD_BYTES)?;
            let found = piece.windows(BATCH_HEAD_BYTES).enumerate().any(|(position, window)| {
                window[..4] == BATCH_MAGIC
                    && BatchHead::decode(window, salt, at + position as u64).is_some_and(|head| head.number > number)
            });
            if found {
                return Ok(true);
            }
            // The next piece overlaps by one head, so that none is missed at the seam.
            at += piece.len().saturating_sub(BATCH_HEAD_BYTES - 1).max(1) as u64;
        }
        Ok(false)
    }
}

/// What the next batch must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) number: u64,
    pub(crate) chain: u32,
}

/// What lies where a batch may be.
#[derive(Debug)]
pub(crate) enum Found {
    /// A batch, its records with their offsets, where it ends, and the crc the next one chains to.
    Batch { head: BatchHead, frames: Vec<(u64, Frame)>, end: u64, chain: u32 },
    /// Nothing, up to the segment's end.
    End,
    /// The beginning of a batch that was never synced; the offset after its last byte.
    Torn { end: u64 },
    /// Bytes that were synced once and are not what was written.
    Damaged { offset: u64, what: &'static str },
}

/// Reads what lies at `offset`.
pub(crate) fn next(
    window: &mut Window<'_>,
    salt: Salt,
    offset: u64,
    expected: Expected,
    planted: Planted,
) -> Result<Found, WalError> {
    let head_bytes = window.at(offset, BATCH_HEAD_BYTES)?.to_vec();
    let found = match BatchHead::decode(&head_bytes, salt, offset) {
        Some(head) => batch(window, salt, offset, expected, head)?,
        None => no_batch(window, salt, offset, expected, &head_bytes)?,
    };
    if let Found::Damaged { .. } = found
        && planted.has(Bug::CutAtBadChecksum)
    {
        return Ok(Found::Torn { end: window.size });
    }
    Ok(found)
}

fn batch(
    window: &mut Window<'_>,
    salt: Salt,
    offset: u64,
    expected: Expected,
    head: BatchHead,
) -> Result<Found, WalError> {
    if (head.number, head.chain) != (expected.number, expected.chain) {
        return Ok(Found::Damaged { offset, what: "a batch that does not follow the one before it" });
    }
    let end = offset.saturating_add(u64::from(head.length));
    if end > window.size {
        return Ok(Found::Damaged { offset, what: "a batch longer than its segment" });
    }
    let bytes = window.at(offset, head.length as usize)?;
    let broken = match format::decode_batch(bytes, &head, salt, offset) {
        Ok((frames, chain)) => return Ok(Found::Batch { head, frames, end, chain }),
        Err(broken) => broken,
    };
    let unfinished = bytes.last() == Some(&0) || any_sector_untouched(bytes, offset, broken);
    if !unfinished {
        return Ok(Found::Damaged { offset: offset + broken as u64, what: "a record's checksum" });
    }
    // The next batch is written only when this one was synced.
    match window.end_of_content(end)? {
        Some(_) => Ok(Found::Damaged { offset: offset + broken as u64, what: "a sector of a synced batch is empty" }),
        None => Ok(Found::Torn { end }),
    }
}

/// Where no head of a batch reads: the end, a head that did not reach the disk, or damage.
fn no_batch(
    window: &mut Window<'_>,
    salt: Salt,
    offset: u64,
    expected: Expected,
    head: &[u8],
) -> Result<Found, WalError> {
    let Some(content) = window.end_of_content(offset)? else {
        return Ok(Found::End);
    };
    let cut_short = content < offset + BATCH_HEAD_BYTES as u64;
    let missing = cut_short || any_sector_untouched(head, offset, 0);
    if !missing {
        return Ok(Found::Damaged { offset, what: "the head of a batch" });
    }
    if window.later_batch(offset, expected.number, salt)? {
        return Ok(Found::Damaged { offset, what: "a batch is missing before a later one" });
    }
    Ok(Found::Torn { end: content })
}

/// Where the last byte that is not zero stands. Block by block, because most of a segment is zeros and a loop that may
/// stop at each byte is not vectorised.
fn last_nonzero(bytes: &[u8]) -> Option<usize> {
    const BLOCK_BYTES: usize = 256;
    let mut start = bytes.len();
    for block in bytes.rchunks(BLOCK_BYTES) {
        start -= block.len();
        if block.iter().fold(0, |all, byte| all | byte) != 0 {
            return block.iter().rposition(|byte| *byte != 0).map(|position| start + position);
        }
    }
    None
}

/// Whether a sector that `bytes` (at `offset` in the file) reach into from their byte `from` on was never written:
/// all of what lies of them in it is zero. Heads and ends of batches are never all zero.
fn any_sector_untouched(bytes: &[u8], offset: u64, from: usize) -> bool {
    let end = offset + bytes.len() as u64;
    let mut sector = (offset + from as u64) / SECTOR_BYTES * SECTOR_BYTES;
    while sector < end {
        let part = (sector.max(offset) - offset) as usize..((sector + SECTOR_BYTES).min(end) - offset) as usize;
        if bytes[part].iter().all(|byte| *byte == 0) {
            return true;
        }
        sector += SECTOR_BYTES;
    }
    false
}
