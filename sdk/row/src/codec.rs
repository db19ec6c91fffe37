//! The canonical encoding: one byte string per value, and the decoder refuses every other.
//!
//! A type is *fixed* or *var*. Fixed: bool (1 byte, 0 or 1), integers and floats (little-endian), `time`, `duration`
//! (i64 microseconds), `principal` (32), `uuid` (16), `blob` (33: algorithm, digest), an enum whose variants are all
//! unit (u16 tag), a tuple or struct whose members are all fixed (their concatenation). Everything else is var.
//!
//! The *standalone* encoding of a fixed value is its bytes; of a var value its *body*:
//! - `string` (UTF-8), `bytes`, `locator`: the bytes themselves;
//! - `option`: `00`, or `01` and the standalone encoding of the value;
//! - `list`: u32 count; then, if the element is fixed, the elements; else a u32 end offset for each body, relative to
//!   the first body, then the bodies;
//! - `map`: as a list of (key, value) tuples, strictly ascending in key order ([`crate::key`]);
//! - `tuple`, `struct`: a *record* of their members;
//! - `enum`: u16 tag, then the record of the variant's fields.
//!
//! A *record* of members is the fixed part, one slot a member in order (the bytes of a fixed member, a u32 end offset
//! into the tail for a var member), then the tail: the bodies in order, without gaps, the last offset being its length.
//!
//! A row, a call's arguments and an answer are a u16 version (rows: the table's, others: 0), then a record. An answer
//! is a record of one member. Floats: −0 is written +0, every NaN as the canonical quiet one.
//!
//! An element of a list or map has at least one byte: a count would otherwise promise values that no byte pays for.
//!
//! # Invariants
//! - Every byte string decodes to one value that encodes to it, or is refused: `tests/laws.rs`.
//! - Hostile bytes neither panic nor allocate more than a small multiple of their length: `tests/hostile.rs`.
//! - The encoding does not change: `tests/vectors.rs` against `vectors/`.

mod layout;
mod record;
mod validate;
mod value;

pub use layout::Layout;
pub use record::{RecordReader, RecordWriter, record_fixed, slots_bytes};
pub(crate) use validate::split_tag;

use crate::error::{Code, Error};
use crate::limits::{TYPE_DEPTH_MAX, VALUE_BYTES_MAX};
use crate::types::{Field, Type, Value};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;

/// Why bytes are not the canonical encoding of a value of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// The bytes end before the value does.
    Short,
    /// Bytes follow the value.
    Trailing,
    /// A byte, tag, offset, order or bit pattern is not the canonical one; the text says which.
    NotCanonical(&'static str),
    /// A string is not UTF-8.
    Utf8,
    /// A bound of [`crate::limits`] is exceeded; the text names it.
    Limit(&'static str),
    /// The value is not of the type.
    Type,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the bytes end too early"),
            Self::Trailing => f.write_str("bytes follow the value"),
            Self::NotCanonical(what) => write!(f, "not the canonical encoding: {what}"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::Limit(name) => write!(f, "over the limit {name}"),
            Self::Type => f.write_str("the value is not of the type"),
        }
    }
}

impl core::error::Error for CodecError {}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        let code = if matches!(error, CodecError::Limit(_)) { Code::Limit } else { Code::Malformed };
        Self::new(code, error.to_string())
    }
}

/// Bytes of the version in front of a row, of arguments and of an answer.
pub const VERSION_BYTES: usize = 2;

/// The width of a fixed type's encoding in bytes; `None` for var types.
pub fn fixed_width(ty: &Type) -> Option<usize> {
    match ty {
        Type::Bool | Type::U8 | Type::I8 => Some(1),
        Type::U16 | Type::I16 => Some(2),
        Type::U32 | Type::I32 | Type::F32 => Some(4),
        Type::U64 | Type::I64 | Type::F64 | Type::Time | Type::Duration => Some(8),
        Type::U128 | Type::I128 | Type::Uuid => Some(16),
        Type::Principal => Some(32),
        Type::Blob => Some(33),
        Type::Enum(variants) => variants.iter().all(|variant| variant.fields.is_empty()).then_some(2),
        Type::Tuple(members) => fixed_sum(members),
        Type::Struct(fields) => fixed_sum(fields.iter().map(|field| &field.ty)),
        Type::String | Type::Bytes | Type::Locator | Type::Option(_) | Type::List(_) | Type::Map(..) => None,
    }
}

fn fixed_sum<'t>(types: impl IntoIterator<Item = &'t Type>) -> Option<usize> {
    types.into_iter().try_fold(0usize, |sum, ty| Some(sum.saturating_add(fixed_width(ty)?)))
}

/// The bytes of the slots of a record of these types.
pub(crate) fn slots_of<'t>(types: impl IntoIterator<Item = &'t Type>) -> usize {
    types.into_iter().fold(0, |sum, ty| sum.saturating_add(fixed_width(ty).unwrap_or(record::OFFSET_BYTES)))
}

/// Appends the standalone encoding of `value`. The entries of a map may come in any order; a doubled key is refused.
///
/// # Errors
/// `Type` when the value is not of the type, `Limit` when it is too large or too deep, `NotCanonical` for a doubled
/// key or an unknown hash algorithm.
pub fn encode(ty: &Type, value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    value::encode(ty, value, out, TYPE_DEPTH_MAX)?;
    bounded(out.len() - start)
}

/// Decodes a standalone encoding; all of `bytes` must be used.
///
/// # Errors
/// Any [`CodecError`] for bytes that are not the one encoding of a value. Allocates no more than a small multiple of
/// `bytes.len()`.
pub fn decode(ty: &Type, bytes: &[u8]) -> Result<Value, CodecError> {
    validate(ty, bytes)?;
    value::build(ty, bytes)
}

/// Checks that `bytes` are a standalone encoding, without allocating.
///
/// # Errors
/// As [`decode`].
pub fn validate(ty: &Type, bytes: &[u8]) -> Result<(), CodecError> {
    bounded(bytes.len())?;
    validate::check(ty, bytes, TYPE_DEPTH_MAX)
}

/// Encodes a row, arguments or an answer: version and record.
///
/// # Errors
/// As [`encode`], and `Limit` above [`crate::limits::VALUE_BYTES_MAX`].
pub fn encode_record(version: u16, fields: &[Field], values: &[Value]) -> Result<Vec<u8>, CodecError> {
    if fields.len() != values.len() {
        return Err(CodecError::Type);
    }
    let mut out = Vec::new();
    out.extend_from_slice(&version.to_le_bytes());
    value::encode_members(fields.iter().map(|field| &field.ty).zip(values), &mut out, TYPE_DEPTH_MAX)?;
    bounded(out.len())?;
    Ok(out)
}

/// Decodes version and record.
///
/// # Errors
/// As [`decode`].
pub fn decode_record(fields: &[Field], bytes: &[u8]) -> Result<(u16, Vec<Value>), CodecError> {
    bounded(bytes.len())?;
    let (version, record) = split_version(bytes)?;
    let types = fields.iter().map(|field| &field.ty);
    validate::check_members(types.clone(), record, TYPE_DEPTH_MAX)?;
    Ok((version, value::build_members(types, record)?))
}

/// The standalone encodings of the elements of a list, given by its own.
///
/// # Errors
/// Of bytes that are no list of such elements.
pub fn elements<'a>(element: &Type, list: &'a [u8]) -> Result<Vec<&'a [u8]>, CodecError> {
    let width = fixed_width(element);
    let (count, mut elements) = RecordReader::elements(list, width)?;
    (0..count).map(|_| elements.slice(width)).collect()
}

/// Splits a row, arguments or an answer into its version and its record.
///
/// # Errors
/// `Short` when there is no version.
pub fn split_version(bytes: &[u8]) -> Result<(u16, &[u8]), CodecError> {
    let (version, record) = bytes.split_first_chunk::<VERSION_BYTES>().ok_or(CodecError::Short)?;
    Ok((u16::from_le_bytes(*version), record))
}

/// Refuses what is larger than a row, arguments or an answer may be.
pub(crate) fn bounded(bytes: usize) -> Result<(), CodecError> {
    if bytes > VALUE_BYTES_MAX { Err(CodecError::Limit("VALUE_BYTES_MAX")) } else { Ok(()) }
}

/// The bits that stand for a float: one zero, one NaN.
pub(crate) fn f32_bits(value: f32) -> u32 {
    if value.is_nan() {
        0x7fc0_0000
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}

/// As [`f32_bits`].
pub(crate) fn f64_bits(value: f64) -> u64 {
    if value.is_nan() {
        0x7ff8_0000_0000_0000
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    }
}
