//! Slices records by column.

use super::record::{OFFSET_BYTES, RecordReader, RecordWriter};
use super::{CodecError, VERSION_BYTES, bounded, fixed_width, split_version, validate};
use crate::limits::TYPE_DEPTH_MAX;
use crate::types::Type;
use alloc::vec::Vec;
use core::ops::Range;

/// Where the columns of a record stand: made once for each schema, then slices rows without decoding them.
#[derive(Clone, Debug)]
pub struct Layout {
    columns: Vec<Slot>,
    slots_bytes: usize,
}

#[derive(Clone, Debug)]
struct Slot {
    ty: Type,
    /// Position of the slot in the record, its version included.
    at: usize,
    width: Option<usize>,
    /// Position of the slot of the var member before: its end is where this body begins.
    before: Option<usize>,
}

impl Layout {
    /// The layout of a record with members of these types.
    pub fn new<'a>(types: impl IntoIterator<Item = &'a Type>) -> Self {
        let mut at = VERSION_BYTES;
        let mut last_var = None;
        let mut columns = Vec::new();
        for ty in types {
            let width = fixed_width(ty);
            columns.push(Slot { ty: ty.clone(), at, width, before: last_var });
            if width.is_none() {
                last_var = Some(at);
            }
            at = at.saturating_add(width.unwrap_or(OFFSET_BYTES));
        }
        Self { columns, slots_bytes: at - VERSION_BYTES }
    }

    /// The number of members.
    pub fn count(&self) -> usize {
        self.columns.len()
    }

    /// Checks that `bytes` (version first) are a canonical record of these types; returns the version. Does not
    /// allocate.
    ///
    /// # Errors
    /// As [`crate::codec::decode`].
    pub fn validate(&self, bytes: &[u8]) -> Result<u16, CodecError> {
        bounded(bytes.len())?;
        let (version, record) = split_version(bytes)?;
        let mut members = RecordReader::new(record, self.slots_bytes)?;
        for column in &self.columns {
            validate::check(&column.ty, members.slice(column.width)?, TYPE_DEPTH_MAX)?;
        }
        members.end()?;
        Ok(version)
    }

    /// The standalone encoding of member `index` within a validated record (version first), in constant time; `None`
    /// when the index or the bytes do not fit, never a panic.
    pub fn member<'a>(&self, bytes: &'a [u8], index: usize) -> Option<&'a [u8]> {
        let column = self.columns.get(index)?;
        if let Some(width) = column.width {
            return bytes.get(column.at..)?.get(..width);
        }
        let tail = bytes.get(VERSION_BYTES + self.slots_bytes..)?;
        let start = column.before.map_or(Some(0), |at| offset(bytes, at))?;
        tail.get(start..offset(bytes, column.at)?)
    }

    /// Where a fixed member stands in every record: for writing over it in place.
    pub fn fixed_range(&self, index: usize) -> Option<Range<usize>> {
        let column = self.columns.get(index)?;
        column.width.map(|width| column.at..column.at + width)
    }

    /// Puts a record together from the validated standalone encodings of its members.
    ///
    /// # Errors
    /// `Type` when their number or a fixed width is wrong, `Limit` when the record is too large.
    pub fn assemble(&self, version: u16, members: &[&[u8]]) -> Result<Vec<u8>, CodecError> {
        let fits = |(column, member): (&Slot, &&[u8])| column.width.is_none_or(|width| width == member.len());
        if members.len() != self.columns.len() || !self.columns.iter().zip(members).all(fits) {
            return Err(CodecError::Type);
        }
        bounded(members.iter().fold(VERSION_BYTES, |sum, member| sum.saturating_add(member.len())))?;
        let mut out = Vec::new();
        out.extend_from_slice(&version.to_le_bytes());
        let mut record = RecordWriter::new(&mut out);
        for (column, member) in self.columns.iter().zip(members) {
            if let Some(out) = record.open_slot(column.width) {
                out.extend_from_slice(member);
            }
        }
        for (column, member) in self.columns.iter().zip(members) {
            if let Some(out) = record.open_tail(column.width) {
                out.extend_from_slice(member);
                record.close_tail();
            }
        }
        bounded(out.len())?;
        Ok(out)
    }
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk::<OFFSET_BYTES>().map(|end| u32::from_le_bytes(*end) as usize)
}
