//! Checks encodings against types, without allocating.

use super::record::RecordReader;
use super::{CodecError, f32_bits, f64_bits, fixed_width, slots_of};
use crate::ids::ContentHash;
use crate::key;
use crate::types::{Type, Variant};
use core::cmp::Ordering;

/// Checks a standalone encoding; `depth` is how many levels of type are left.
pub(super) fn check(ty: &Type, bytes: &[u8], depth: usize) -> Result<(), CodecError> {
    let depth = depth.checked_sub(1).ok_or(CodecError::Limit("TYPE_DEPTH_MAX"))?;
    match ty {
        Type::String => core::str::from_utf8(bytes).map(drop).map_err(|_| CodecError::Utf8),
        Type::Bytes | Type::Locator => Ok(()),
        Type::Option(inner) => match bytes.split_first() {
            None => Err(CodecError::Short),
            Some((0, [])) => Ok(()),
            Some((0, _)) => Err(CodecError::Trailing),
            Some((1, value)) => check(inner, value, depth),
            Some(_) => Err(CodecError::NotCanonical("an option's marker is 0 or 1")),
        },
        Type::List(element) => check_list(element, bytes, depth),
        Type::Map(key, value) => check_map(key, value, bytes, depth),
        Type::Tuple(members) => check_members(members.iter(), bytes, depth),
        Type::Struct(fields) => check_members(fields.iter().map(|field| &field.ty), bytes, depth),
        Type::Enum(variants) => {
            let (variant, record) = split_tag(variants, bytes)?;
            check_members(variant.fields.iter().map(|field| &field.ty), record, depth)
        }
        _ => check_scalar(ty, bytes),
    }
}

/// Checks a record.
pub(super) fn check_members<'t>(
    types: impl Iterator<Item = &'t Type> + Clone,
    bytes: &[u8],
    depth: usize,
) -> Result<(), CodecError> {
    let mut members = RecordReader::new(bytes, slots_of(types.clone()))?;
    for ty in types {
        check(ty, members.slice(fixed_width(ty))?, depth)?;
    }
    members.end()
}

/// Splits an enum's encoding into its variant and the record of the variant's fields.
pub(crate) fn split_tag<'t, 'a>(
    variants: &'t [Variant],
    bytes: &'a [u8],
) -> Result<(&'t Variant, &'a [u8]), CodecError> {
    let (tag, record) = bytes.split_first_chunk::<2>().ok_or(CodecError::Short)?;
    let tag = u16::from_le_bytes(*tag);
    let variant = variants.iter().find(|variant| variant.tag == tag);
    Ok((variant.ok_or(CodecError::NotCanonical("the enum has no such tag"))?, record))
}

fn check_list(element: &Type, bytes: &[u8], depth: usize) -> Result<(), CodecError> {
    let width = fixed_width(element);
    let (count, mut elements) = RecordReader::elements(bytes, width)?;
    for _ in 0..count {
        check(element, elements.slice(width)?, depth)?;
    }
    elements.end()
}

fn check_map(key: &Type, value: &Type, bytes: &[u8], depth: usize) -> Result<(), CodecError> {
    if !key::is_key_type(key) {
        return Err(CodecError::Type);
    }
    let depth = depth.checked_sub(1).ok_or(CodecError::Limit("TYPE_DEPTH_MAX"))?;
    let (key_width, value_width) = (fixed_width(key), fixed_width(value));
    let width = key_width.zip(value_width).map(|(key, value)| key + value);
    let (count, mut entries) = RecordReader::elements(bytes, width)?;
    let mut last: Option<&[u8]> = None;
    for _ in 0..count {
        let mut entry = RecordReader::new(entries.slice(width)?, slots_of([key, value]))?;
        let (key_bytes, value_bytes) = (entry.slice(key_width)?, entry.slice(value_width)?);
        check(key, key_bytes, depth)?;
        check(value, value_bytes, depth)?;
        entry.end()?;
        if last.is_some_and(|last| key::compare(key, last, key_bytes) != Ordering::Less) {
            return Err(CodecError::NotCanonical("a map's keys ascend"));
        }
        last = Some(key_bytes);
    }
    entries.end()
}

fn check_scalar(ty: &Type, bytes: &[u8]) -> Result<(), CodecError> {
    let width = fixed_width(ty).ok_or(CodecError::Type)?;
    match bytes.len().cmp(&width) {
        Ordering::Less => return Err(CodecError::Short),
        Ordering::Greater => return Err(CodecError::Trailing),
        Ordering::Equal => {}
    }
    let (canonical, rule) = match (ty, bytes) {
        (Type::Bool, &[byte]) => (byte <= 1, "a bool is 0 or 1"),
        (Type::F32, &[a, b, c, d]) => {
            let bits = u32::from_le_bytes([a, b, c, d]);
            (f32_bits(f32::from_bits(bits)) == bits, "a float has one zero and one NaN")
        }
        (Type::F64, &[a, b, c, d, e, f, g, h]) => {
            let bits = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            (f64_bits(f64::from_bits(bits)) == bits, "a float has one zero and one NaN")
        }
        (Type::Blob, &[algorithm, ..]) => (algorithm == ContentHash::BLAKE3, "the hash algorithm is unknown"),
        _ => return Ok(()),
    };
    if canonical { Ok(()) } else { Err(CodecError::NotCanonical(rule)) }
}
