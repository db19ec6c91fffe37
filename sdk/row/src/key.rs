//! Memcomparable keys: comparing the bytes compares the values.
//!
//! Unsigned integers big-endian, signed with the sign flipped, floats in total order (−0 as +0, one NaN last), strings
//! and bytes with `00` written `00 FF` and ended by `00 00`, none (`00`) before some (`01`), enums by tag, tuples and
//! structs by member, lists element by element with `01` before each and `00` at the end. No key is a prefix of another
//! key of its type, so a key of several columns is the concatenation of their keys.
//!
//! # Invariants
//! - The order of keys is the order of values: `tests/laws.rs`.

use crate::codec::{self, CodecError, RecordReader, fixed_width};
use crate::limits::{KEY_BYTES_MAX, TYPE_DEPTH_MAX};
use crate::types::{Type, Value};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

const NONE: u8 = 0;
const SOME: u8 = 1;
const END: u8 = 0;
const ELEMENT: u8 = 1;
const ESCAPED: u8 = 0xff;

/// Appends the key of a value given by its validated standalone encoding.
///
/// # Errors
/// `Type` for types that have no order (`map`, `locator`), `Limit` when `out` grows above
/// [`crate::limits::KEY_BYTES_MAX`]; `out` is then of no use.
pub fn append(ty: &Type, standalone: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    match ty {
        Type::Map(..) | Type::Locator => return Err(CodecError::Type),
        Type::String | Type::Bytes => {
            for &byte in standalone.iter().take(KEY_BYTES_MAX) {
                out.push(byte);
                if byte == 0 {
                    out.push(ESCAPED);
                }
            }
            if standalone.len() > KEY_BYTES_MAX {
                return Err(CodecError::Limit("KEY_BYTES_MAX"));
            }
            out.extend_from_slice(&[0, 0]);
        }
        Type::Option(inner) => match standalone.split_first() {
            Some((1, value)) => {
                out.push(SOME);
                append(inner, value, out)?;
            }
            _ => out.push(NONE),
        },
        Type::List(element) => {
            let width = fixed_width(element);
            let (count, mut elements) = RecordReader::elements(standalone, width)?;
            for _ in 0..count {
                out.push(ELEMENT);
                append(element, elements.slice(width)?, out)?;
            }
            out.push(END);
        }
        Type::Tuple(members) => append_members(members.iter(), standalone, out)?,
        Type::Struct(fields) => append_members(fields.iter().map(|field| &field.ty), standalone, out)?,
        Type::Enum(variants) => {
            let (variant, record) = codec::split_tag(variants, standalone)?;
            out.extend_from_slice(&variant.tag.to_be_bytes());
            append_members(variant.fields.iter().map(|field| &field.ty), record, out)?;
        }
        _ => {
            let mut key = [0; SCALAR_BYTES_MAX];
            out.extend_from_slice(scalar(ty, standalone, &mut key)?);
        }
    }
    if out.len() > KEY_BYTES_MAX { Err(CodecError::Limit("KEY_BYTES_MAX")) } else { Ok(()) }
}

fn append_members<'t>(
    types: impl Iterator<Item = &'t Type> + Clone,
    record: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mut members = RecordReader::new(record, codec::slots_of(types.clone()))?;
    for ty in types {
        append(ty, members.slice(fixed_width(ty))?, out)?;
    }
    Ok(())
}

/// Appends the key of a value.
///
/// # Errors
/// As [`append`] and [`codec::encode`].
pub fn append_value(ty: &Type, value: &Value, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut standalone = Vec::new();
    codec::encode(ty, value, &mut standalone)?;
    append(ty, &standalone, out)
}

/// Orders two values of a key type, given by their validated standalone encodings, as their keys are ordered; without
/// allocating. Bytes that are no encodings are ordered as bytes.
pub fn compare(ty: &Type, a: &[u8], b: &[u8]) -> Ordering {
    try_compare(ty, a, b).unwrap_or_else(|_| a.cmp(b))
}

fn try_compare(ty: &Type, a: &[u8], b: &[u8]) -> Result<Ordering, CodecError> {
    match ty {
        Type::String | Type::Bytes | Type::Locator | Type::Map(..) => Ok(a.cmp(b)),
        Type::Option(inner) => match (a.split_first(), b.split_first()) {
            (Some((1, a)), Some((1, b))) => try_compare(inner, a, b),
            _ => Ok(a.first().cmp(&b.first())),
        },
        Type::List(element) => {
            let width = fixed_width(element);
            let (a_count, mut a) = RecordReader::elements(a, width)?;
            let (b_count, mut b) = RecordReader::elements(b, width)?;
            for _ in 0..a_count.min(b_count) {
                let order = try_compare(element, a.slice(width)?, b.slice(width)?)?;
                if order != Ordering::Equal {
                    return Ok(order);
                }
            }
            Ok(a_count.cmp(&b_count))
        }
        Type::Tuple(members) => compare_members(members.iter(), a, b),
        Type::Struct(fields) => compare_members(fields.iter().map(|field| &field.ty), a, b),
        Type::Enum(variants) => {
            let ((a_variant, a), (b_variant, b)) = (codec::split_tag(variants, a)?, codec::split_tag(variants, b)?);
            match a_variant.tag.cmp(&b_variant.tag) {
                Ordering::Equal => compare_members(a_variant.fields.iter().map(|field| &field.ty), a, b),
                order => Ok(order),
            }
        }
        _ => {
            let (mut a_key, mut b_key) = ([0; SCALAR_BYTES_MAX], [0; SCALAR_BYTES_MAX]);
            Ok(scalar(ty, a, &mut a_key)?.cmp(scalar(ty, b, &mut b_key)?))
        }
    }
}

fn compare_members<'t>(
    types: impl Iterator<Item = &'t Type> + Clone,
    a: &[u8],
    b: &[u8],
) -> Result<Ordering, CodecError> {
    let slots_bytes = codec::slots_of(types.clone());
    let (mut a, mut b) = (RecordReader::new(a, slots_bytes)?, RecordReader::new(b, slots_bytes)?);
    for ty in types {
        let width = fixed_width(ty);
        let order = try_compare(ty, a.slice(width)?, b.slice(width)?)?;
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}

/// Reads one value's key from the front of `bytes`; returns the value and the rest.
///
/// # Errors
/// Any [`CodecError`] for bytes that are no key of the type.
pub fn split<'a>(ty: &Type, bytes: &'a [u8]) -> Result<(Value, &'a [u8]), CodecError> {
    split_at_depth(ty, bytes, TYPE_DEPTH_MAX)
}

fn split_at_depth<'a>(ty: &Type, bytes: &'a [u8], depth: usize) -> Result<(Value, &'a [u8]), CodecError> {
    let depth = depth.checked_sub(1).ok_or(CodecError::Limit("TYPE_DEPTH_MAX"))?;
    match ty {
        Type::Map(..) | Type::Locator => Err(CodecError::Type),
        Type::Bytes => {
            let (content, rest) = unescape(bytes)?;
            Ok((Value::Bytes(content), rest))
        }
        Type::String => {
            let (content, rest) = unescape(bytes)?;
            Ok((Value::String(String::from_utf8(content).map_err(|_| CodecError::Utf8)?), rest))
        }
        Type::Option(inner) => match bytes.split_first().ok_or(CodecError::Short)? {
            (&NONE, rest) => Ok((Value::Option(None), rest)),
            (&SOME, rest) => {
                let (value, rest) = split_at_depth(inner, rest, depth)?;
                Ok((Value::Option(Some(Box::new(value))), rest))
            }
            _ => Err(CodecError::NotCanonical("an option's marker is 0 or 1")),
        },
        Type::List(element) => {
            if fixed_width(element) == Some(0) {
                return Err(CodecError::Type);
            }
            let (mut values, mut rest) = (Vec::new(), bytes);
            loop {
                match rest.split_first().ok_or(CodecError::Short)? {
                    (&END, rest) => return Ok((Value::List(values), rest)),
                    (&ELEMENT, element_bytes) => {
                        let (value, after) = split_at_depth(element, element_bytes, depth)?;
                        values.push(value);
                        rest = after;
                    }
                    _ => return Err(CodecError::NotCanonical("an element's marker is 0 or 1")),
                }
            }
        }
        Type::Tuple(members) => {
            let (values, rest) = split_members(members.iter(), bytes, depth)?;
            Ok((Value::Tuple(values), rest))
        }
        Type::Struct(fields) => {
            let (values, rest) = split_members(fields.iter().map(|field| &field.ty), bytes, depth)?;
            Ok((Value::Struct(values), rest))
        }
        Type::Enum(variants) => {
            let (tag, rest) = bytes.split_first_chunk::<2>().ok_or(CodecError::Short)?;
            let tag = u16::from_be_bytes(*tag);
            let variant = variants.iter().find(|variant| variant.tag == tag);
            let variant = variant.ok_or(CodecError::NotCanonical("the enum has no such tag"))?;
            let (values, rest) = split_members(variant.fields.iter().map(|field| &field.ty), rest, depth)?;
            Ok((Value::Enum(tag, values), rest))
        }
        _ => {
            let width = fixed_width(ty).ok_or(CodecError::Type)?;
            let (key, rest) = bytes.split_at_checked(width).ok_or(CodecError::Short)?;
            let mut standalone = [0; SCALAR_BYTES_MAX];
            Ok((codec::decode(ty, scalar_back(ty, key, &mut standalone)?)?, rest))
        }
    }
}

fn split_members<'t, 'a>(
    types: impl Iterator<Item = &'t Type>,
    bytes: &'a [u8],
    depth: usize,
) -> Result<(Vec<Value>, &'a [u8]), CodecError> {
    let (mut values, mut rest) = (Vec::new(), bytes);
    for ty in types {
        let (value, after) = split_at_depth(ty, rest, depth)?;
        values.push(value);
        rest = after;
    }
    Ok((values, rest))
}

fn unescape(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), CodecError> {
    let (mut content, mut rest) = (Vec::new(), bytes);
    loop {
        match rest {
            [0, 0, after @ ..] => return Ok((content, after)),
            [0, ESCAPED, after @ ..] => {
                content.push(0);
                rest = after;
            }
            [0, _, ..] => return Err(CodecError::NotCanonical("a zero byte is escaped or ends the key")),
            [] | [0] => return Err(CodecError::Short),
            [byte, after @ ..] => {
                content.push(*byte);
                rest = after;
            }
        }
    }
}

/// Whether values of the type may be keys.
pub fn is_key_type(ty: &Type) -> bool {
    match ty {
        Type::Map(..) | Type::Locator => false,
        Type::Option(inner) | Type::List(inner) => is_key_type(inner),
        Type::Tuple(members) => members.iter().all(is_key_type),
        Type::Struct(fields) => fields.iter().all(|field| is_key_type(&field.ty)),
        Type::Enum(variants) => variants.iter().flat_map(|variant| &variant.fields).all(|field| is_key_type(&field.ty)),
        _ => true,
    }
}

/// The least byte string above every string that starts with `prefix`; `None` when there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|&byte| byte != u8::MAX)? + 1;
    let mut bound = prefix.get(..keep)?.to_vec();
    if let Some(last) = bound.last_mut() {
        *last += 1;
    }
    Some(bound)
}

/// The widest scalar: a blob's hash.
const SCALAR_BYTES_MAX: usize = 33;

/// The key of a scalar, in `buffer`.
fn scalar<'b>(ty: &Type, standalone: &[u8], buffer: &'b mut [u8; SCALAR_BYTES_MAX]) -> Result<&'b [u8], CodecError> {
    let key = copy(ty, standalone, buffer)?;
    match ty {
        Type::Bool | Type::Principal | Type::Uuid | Type::Blob => {}
        _ => key.reverse(),
    }
    match (ty, key.first().copied()) {
        (Type::F32 | Type::F64, Some(first)) if first & SIGN != 0 => key.iter_mut().for_each(|byte| *byte = !*byte),
        (ty, Some(first)) if is_signed(ty) => key[0] = first ^ SIGN,
        _ => {}
    }
    Ok(key)
}

/// The standalone encoding of a scalar from its key, in `buffer`.
fn scalar_back<'b>(ty: &Type, key: &[u8], buffer: &'b mut [u8; SCALAR_BYTES_MAX]) -> Result<&'b [u8], CodecError> {
    let standalone = copy(ty, key, buffer)?;
    match (ty, standalone.first().copied()) {
        (Type::F32 | Type::F64, Some(first)) if first & SIGN == 0 => {
            standalone.iter_mut().for_each(|byte| *byte = !*byte);
        }
        (ty, Some(first)) if is_signed(ty) => standalone[0] = first ^ SIGN,
        _ => {}
    }
    match ty {
        Type::Bool | Type::Principal | Type::Uuid | Type::Blob => {}
        _ => standalone.reverse(),
    }
    Ok(standalone)
}

const SIGN: u8 = 0x80;

fn is_signed(ty: &Type) -> bool {
    use Type::{Duration, F32, F64, I8, I16, I32, I64, I128, Time};
    matches!(ty, I8 | I16 | I32 | I64 | I128 | Time | Duration | F32 | F64)
}

fn copy<'b>(ty: &Type, from: &[u8], buffer: &'b mut [u8; SCALAR_BYTES_MAX]) -> Result<&'b mut [u8], CodecError> {
    let to = fixed_width(ty).and_then(|width| buffer.get_mut(..width)).ok_or(CodecError::Type)?;
    if from.len() != to.len() {
        return Err(CodecError::Short);
    }
    to.copy_from_slice(from);
    Ok(to)
}
