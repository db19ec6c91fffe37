//! Reads and writes records: slots, then a tail. Lists and maps are records too, with a count in front.

use super::CodecError;
use crate::Typed;
use alloc::vec::Vec;

/// Bytes of the slot of a var member: the end of its body in the tail.
pub(crate) const OFFSET_BYTES: usize = 4;

/// The bytes of the slots of a record with members of these widths ([`Typed::FIXED`]).
pub const fn slots_bytes(widths: &[Option<usize>]) -> usize {
    let (mut sum, mut index) = (0, 0);
    while index < widths.len() {
        sum += match widths[index] {
            Some(width) => width,
            None => OFFSET_BYTES,
        };
        index += 1;
    }
    sum
}

/// The width of a record with members of these widths, if it is fixed.
pub const fn record_fixed(widths: &[Option<usize>]) -> Option<usize> {
    let mut index = 0;
    while index < widths.len() {
        if widths[index].is_none() {
            return None;
        }
        index += 1;
    }
    Some(slots_bytes(widths))
}

/// Appends a record in two passes over its members, in order: first every slot, then every tail.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the slot of the next member of the second pass stands.
    slot: usize,
    /// Where the tail begins; known with the second pass.
    tail: Option<usize>,
}

impl<'a> RecordWriter<'a> {
    /// A writer of a record at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let slot = out.len();
        Self { out, slot, tail: None }
    }

    /// First pass: the slot of the next member.
    pub fn slot<T: Typed>(&mut self, member: &T) {
        if let Some(out) = self.open_slot(T::FIXED) {
            member.encode(out);
        }
    }

    /// Second pass: the body of the next member, if it has one.
    pub fn tail<T: Typed>(&mut self, member: &T) {
        if let Some(out) = self.open_tail(T::FIXED) {
            member.encode(out);
            self.close_tail();
        }
    }

    /// First pass for a member of the given width: where to append its encoding if it goes here.
    pub(crate) fn open_slot(&mut self, width: Option<usize>) -> Option<&mut Vec<u8>> {
        match width {
            Some(_) => Some(self.out),
            None => {
                self.out.extend_from_slice(&[0; OFFSET_BYTES]);
                None
            }
        }
    }

    /// Second pass: where to append the member's body if it has one; [`RecordWriter::close_tail`] must follow.
    pub(crate) fn open_tail(&mut self, width: Option<usize>) -> Option<&mut Vec<u8>> {
        self.tail.get_or_insert(self.out.len());
        match width {
            Some(width) => {
                self.slot += width;
                None
            }
            None => Some(self.out),
        }
    }

    /// Notes the end of a body in its slot.
    pub(crate) fn close_tail(&mut self) {
        // What does not fit u32 is far above VALUE_BYTES_MAX and refused by whoever asked for the encoding.
        let end = self.out.len() - self.tail.unwrap_or_default();
        let end = u32::try_from(end).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(slot) = self.out.get_mut(self.slot..self.slot + OFFSET_BYTES) {
            slot.copy_from_slice(&end);
        }
        self.slot += OFFSET_BYTES;
    }
}

/// Reads the members of a record in order. Checks offsets, never the members themselves.
#[derive(Clone, Debug)]
pub struct RecordReader<'a> {
    slots: &'a [u8],
    tail: &'a [u8],
    tail_at: usize,
}

impl<'a> RecordReader<'a> {
    /// A reader of all of `bytes`, whose slots take `slots_bytes` ([`slots_bytes`]).
    ///
    /// # Errors
    /// `Short` when the slots do not fit.
    pub fn new(bytes: &'a [u8], slots_bytes: usize) -> Result<Self, CodecError> {
        let (slots, tail) = bytes.split_at_checked(slots_bytes).ok_or(CodecError::Short)?;
        Ok(Self { slots, tail, tail_at: 0 })
    }

    /// A reader of the elements of a list, and their count.
    pub(crate) fn elements(bytes: &'a [u8], width: Option<usize>) -> Result<(usize, Self), CodecError> {
        let (count, elements) = bytes.split_first_chunk::<OFFSET_BYTES>().ok_or(CodecError::Short)?;
        let count = u32::from_le_bytes(*count) as usize;
        if width == Some(0) {
            return Err(CodecError::Type);
        }
        let slots_bytes = count.checked_mul(width.unwrap_or(OFFSET_BYTES)).ok_or(CodecError::Short)?;
        Ok((count, Self::new(elements, slots_bytes)?))
    }

    /// The standalone encoding of the next member, given its width if it is fixed.
    ///
    /// # Errors
    /// `Short`, or `NotCanonical` when its offset goes back.
    pub fn slice(&mut self, width: Option<usize>) -> Result<&'a [u8], CodecError> {
        let Some(width) = width else {
            let (end, slots) = self.slots.split_first_chunk::<OFFSET_BYTES>().ok_or(CodecError::Short)?;
            let end = u32::from_le_bytes(*end) as usize;
            if end < self.tail_at {
                return Err(CodecError::NotCanonical("an offset goes back"));
            }
            let body = self.tail.get(self.tail_at..end).ok_or(CodecError::Short)?;
            (self.slots, self.tail_at) = (slots, end);
            return Ok(body);
        };
        let (member, slots) = self.slots.split_at_checked(width).ok_or(CodecError::Short)?;
        self.slots = slots;
        Ok(member)
    }

    /// The next member.
    ///
    /// # Errors
    /// As [`crate::codec::decode`].
    pub fn member<T: Typed>(&mut self) -> Result<T, CodecError> {
        T::decode(self.slice(T::FIXED)?)
    }

    /// Ends the record.
    ///
    /// # Errors
    /// `Trailing` when bytes are left.
    pub fn end(self) -> Result<(), CodecError> {
        if self.slots.is_empty() && self.tail_at == self.tail.len() { Ok(()) } else { Err(CodecError::Trailing) }
    }
}
