//! Encodes and builds [`Value`]s.

use super::record::{RecordReader, RecordWriter};
use super::validate::split_tag;
use super::{CodecError, f32_bits, f64_bits, fixed_width, slots_of};
use crate::ids::{ContentHash, Principal, Span, Time};
use crate::key;
use crate::types::{Type, Value};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Appends the standalone encoding; `depth` is how many levels of type are left.
pub(super) fn encode(ty: &Type, value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), CodecError> {
    let depth = depth.checked_sub(1).ok_or(CodecError::Limit("TYPE_DEPTH_MAX"))?;
    match (ty, value) {
        (Type::Bool, Value::Bool(value)) => out.push(u8::from(*value)),
        (Type::U8, Value::U8(value)) => out.push(*value),
        (Type::U16, Value::U16(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::U32, Value::U32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::U64, Value::U64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::U128, Value::U128(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::I8, Value::I8(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::I16, Value::I16(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::I32, Value::I32(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::I64, Value::I64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::I128, Value::I128(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (Type::F32, Value::F32(value)) => out.extend_from_slice(&f32_bits(*value).to_le_bytes()),
        (Type::F64, Value::F64(value)) => out.extend_from_slice(&f64_bits(*value).to_le_bytes()),
        (Type::Time, Value::Time(Time(value))) | (Type::Duration, Value::Duration(Span(value))) => {
            out.extend_from_slice(&value.to_le_bytes());
        }
        (Type::Principal, Value::Principal(value)) => out.extend_from_slice(&value.0),
        (Type::Uuid, Value::Uuid(value)) => out.extend_from_slice(value),
        (Type::Blob, Value::Blob(hash)) => {
            if hash.algorithm != ContentHash::BLAKE3 {
                return Err(CodecError::NotCanonical("the hash algorithm is unknown"));
            }
            out.push(hash.algorithm);
            out.extend_from_slice(&hash.digest);
        }
        (Type::String, Value::String(value)) => out.extend_from_slice(value.as_bytes()),
        (Type::Bytes, Value::Bytes(value)) | (Type::Locator, Value::Locator(value)) => out.extend_from_slice(value),
        (Type::Option(_), Value::Option(None)) => out.push(0),
        (Type::Option(inner), Value::Option(Some(value))) => {
            out.push(1);
            encode(inner, value, out, depth)?;
        }
        (Type::List(element), Value::List(values)) => {
            if fixed_width(element) == Some(0) {
                return Err(CodecError::Type);
            }
            encode_count(values.len(), out)?;
            encode_members(values.iter().map(|value| (&**element, value)), out, depth)?;
        }
        (Type::Map(key, value), Value::Map(entries)) => encode_map(key, value, entries, out, depth)?,
        (Type::Tuple(members), Value::Tuple(values)) if members.len() == values.len() => {
            encode_members(members.iter().zip(values), out, depth)?;
        }
        (Type::Struct(fields), Value::Struct(values)) if fields.len() == values.len() => {
            encode_members(fields.iter().map(|field| &field.ty).zip(values), out, depth)?;
        }
        (Type::Enum(variants), Value::Enum(tag, values)) => {
            let variant = variants.iter().find(|variant| variant.tag == *tag).ok_or(CodecError::Type)?;
            if variant.fields.len() != values.len() {
                return Err(CodecError::Type);
            }
            out.extend_from_slice(&tag.to_le_bytes());
            encode_members(variant.fields.iter().map(|field| &field.ty).zip(values), out, depth)?;
        }
        _ => return Err(CodecError::Type),
    }
    Ok(())
}

/// Appends a record.
pub(super) fn encode_members<'v>(
    members: impl Iterator<Item = (&'v Type, &'v Value)> + Clone,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), CodecError> {
    let mut record = RecordWriter::new(out);
    for (ty, value) in members.clone() {
        if let Some(out) = record.open_slot(fixed_width(ty)) {
            encode(ty, value, out, depth)?;
        }
    }
    for (ty, value) in members {
        if let Some(out) = record.open_tail(fixed_width(ty)) {
            encode(ty, value, out, depth)?;
            record.close_tail();
        }
    }
    Ok(())
}

fn encode_count(count: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let count = u32::try_from(count).map_err(|_| CodecError::Limit("VALUE_BYTES_MAX"))?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}

fn encode_map(
    key: &Type,
    value: &Type,
    entries: &[(Value, Value)],
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), CodecError> {
    let width = fixed_width(key).zip(fixed_width(value)).map(|(key, value)| key + value);
    if !key::is_key_type(key) || width == Some(0) {
        return Err(CodecError::Type);
    }
    let depth = depth.checked_sub(1).ok_or(CodecError::Limit("TYPE_DEPTH_MAX"))?;
    let mut sorted = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut key_bytes = Vec::new();
        encode(key, &entry.0, &mut key_bytes, depth)?;
        sorted.push((key_bytes, entry));
    }
    sorted.sort_by(|(a, _), (b, _)| key::compare(key, a, b));
    if sorted.windows(2).any(|pair| key::compare(key, &pair[0].0, &pair[1].0) == Ordering::Equal) {
        return Err(CodecError::NotCanonical("a map's key is there twice"));
    }
    encode_count(sorted.len(), out)?;
    let mut record = RecordWriter::new(out);
    let members = |entry: &'_ (Value, Value), out: &mut Vec<u8>| {
        encode_members([(key, &entry.0), (value, &entry.1)].into_iter(), out, depth)
    };
    for (_, entry) in &sorted {
        if let Some(out) = record.open_slot(width) {
            members(entry, out)?;
        }
    }
    for (_, entry) in &sorted {
        if let Some(out) = record.open_tail(width) {
            members(entry, out)?;
            record.close_tail();
        }
    }
    Ok(())
}

/// Builds the value of a validated standalone encoding.
pub(super) fn build(ty: &Type, bytes: &[u8]) -> Result<Value, CodecError> {
    Ok(match ty {
        Type::Bool => Value::Bool(array::<1>(bytes)? != [0]),
        Type::U8 => Value::U8(u8::from_le_bytes(array(bytes)?)),
        Type::U16 => Value::U16(u16::from_le_bytes(array(bytes)?)),
        Type::U32 => Value::U32(u32::from_le_bytes(array(bytes)?)),
        Type::U64 => Value::U64(u64::from_le_bytes(array(bytes)?)),
        Type::U128 => Value::U128(u128::from_le_bytes(array(bytes)?)),
        Type::I8 => Value::I8(i8::from_le_bytes(array(bytes)?)),
        Type::I16 => Value::I16(i16::from_le_bytes(array(bytes)?)),
        Type::I32 => Value::I32(i32::from_le_bytes(array(bytes)?)),
        Type::I64 => Value::I64(i64::from_le_bytes(array(bytes)?)),
        Type::I128 => Value::I128(i128::from_le_bytes(array(bytes)?)),
        Type::F32 => Value::F32(f32::from_le_bytes(array(bytes)?)),
        Type::F64 => Value::F64(f64::from_le_bytes(array(bytes)?)),
        Type::Time => Value::Time(Time(i64::from_le_bytes(array(bytes)?))),
        Type::Duration => Value::Duration(Span(i64::from_le_bytes(array(bytes)?))),
        Type::Principal => Value::Principal(Principal(array(bytes)?)),
        Type::Uuid => Value::Uuid(array(bytes)?),
        Type::Blob => {
            let (algorithm, digest) = bytes.split_first().ok_or(CodecError::Short)?;
            Value::Blob(ContentHash { algorithm: *algorithm, digest: array(digest)? })
        }
        Type::String => Value::String(String::from(core::str::from_utf8(bytes).map_err(|_| CodecError::Utf8)?)),
        Type::Bytes => Value::Bytes(bytes.to_vec()),
        Type::Locator => Value::Locator(bytes.to_vec()),
        Type::Option(inner) => match bytes.split_first() {
            Some((1, value)) => Value::Option(Some(Box::new(build(inner, value)?))),
            _ => Value::Option(None),
        },
        Type::List(element) => {
            let width = fixed_width(element);
            let (count, mut elements) = RecordReader::elements(bytes, width)?;
            Value::List((0..count).map(|_| build(element, elements.slice(width)?)).collect::<Result<_, CodecError>>()?)
        }
        Type::Map(key, value) => {
            let (key_width, value_width) = (fixed_width(key), fixed_width(value));
            let width = key_width.zip(value_width).map(|(key, value)| key + value);
            let (count, mut entries) = RecordReader::elements(bytes, width)?;
            let entry = |_| {
                let mut entry = RecordReader::new(entries.slice(width)?, slots_of([&**key, &**value]))?;
                Ok((build(key, entry.slice(key_width)?)?, build(value, entry.slice(value_width)?)?))
            };
            Value::Map((0..count).map(entry).collect::<Result<_, CodecError>>()?)
        }
        Type::Tuple(members) => Value::Tuple(build_members(members.iter(), bytes)?),
        Type::Struct(fields) => Value::Struct(build_members(fields.iter().map(|field| &field.ty), bytes)?),
        Type::Enum(variants) => {
            let (variant, record) = split_tag(variants, bytes)?;
            Value::Enum(variant.tag, build_members(variant.fields.iter().map(|field| &field.ty), record)?)
        }
    })
}

/// Builds the members of a validated record.
pub(super) fn build_members<'t>(
    types: impl Iterator<Item = &'t Type> + Clone,
    bytes: &[u8],
) -> Result<Vec<Value>, CodecError> {
    let mut members = RecordReader::new(bytes, slots_of(types.clone()))?;
    types.map(|ty| build(ty, members.slice(fixed_width(ty))?)).collect()
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], CodecError> {
    bytes.try_into().map_err(|_| CodecError::Short)
}
