//! Bounded writing and reading of canonical bytes: the primitives of every format of the tree and of the log.
//!
//! Integers are little-endian, lengths u32, options and booleans one byte 0 or 1. Each value has one encoding; a
//! reader checks lengths against what is there before it allocates.

use crate::limits::ERROR_TEXT_BYTES_MAX;
use isx_row::{
    Code, ContentHash, Error, Fence, HomeId, Incarnation, MountId, ObjectId, Principal, Revision, Sequence, SessionId,
    Signature, Time,
};
use std::fmt;

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The bytes end before the value does.
    Short,
    /// Bytes follow the value.
    Trailing,
    /// A tag, order or bit pattern is not the canonical one; the text says which.
    Canonical(&'static str),
    /// A bound is exceeded; the text names it.
    Limit(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the bytes end too early"),
            Self::Trailing => f.write_str("bytes follow the value"),
            Self::Canonical(what) => write!(f, "not the canonical encoding: {what}"),
            Self::Limit(name) => write!(f, "over the limit {name}"),
        }
    }
}

impl std::error::Error for WireError {}

/// A value with one encoding.
pub trait Wire: Sized {
    /// Appends the encoding.
    fn put(&self, out: &mut Vec<u8>);

    /// Reads one value.
    ///
    /// # Errors
    /// [`WireError`] for bytes that are not an encoding.
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError>;

    /// The encoding alone.
    fn to_wire(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// Reads a value that uses all of `bytes`.
    ///
    /// # Errors
    /// As [`Wire::take`], and `Trailing`.
    fn from_wire(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let value = Self::take(&mut reader)?;
        reader.end()?;
        Ok(value)
    }
}

/// Reads values off the front of bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// `Short`.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// `Short`.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Bytes with their length before them, at most `max`.
    ///
    /// # Errors
    /// `Short`, or `Limit` with `limit`.
    pub fn bytes(&mut self, max: usize, limit: &'static str) -> Result<&'a [u8], WireError> {
        let count = self.count(max, limit)?;
        self.raw(count)
    }

    /// A string with its length before it, at most `max` bytes.
    ///
    /// # Errors
    /// As [`Reader::bytes`], and `Canonical` when it is not UTF-8.
    pub fn text(&mut self, max: usize, limit: &'static str) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(max, limit)?).map_err(|_| WireError::Canonical("a text is not UTF-8"))
    }

    /// A count of things that follow, at most `max`. Every thing takes a byte or more, so that a count above what is
    /// left is `Short` before anything is allocated for it.
    ///
    /// # Errors
    /// `Short`, or `Limit` with `limit`.
    pub fn count(&mut self, max: usize, limit: &'static str) -> Result<usize, WireError> {
        let count = u32::take(self)? as usize;
        if count > max {
            return Err(WireError::Limit(limit));
        }
        if count > self.rest.len() {
            return Err(WireError::Short);
        }
        Ok(count)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Refuses bytes that are left.
    ///
    /// # Errors
    /// `Trailing`.
    pub fn end(&self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// Appends bytes with their length before them. What is longer than a u32 can say is bounded far below by its owner.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Appends a count. Saturates: owners bound their lists far below it.
pub fn put_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).unwrap_or(u32::MAX).put(out);
}

macro_rules! integers {
    ($($ty:ty),*) => {$(
        impl Wire for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self::from_le_bytes(reader.array()?))
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i64);

macro_rules! newtypes {
    ($($ty:ident),*) => {$(
        impl Wire for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self(Wire::take(reader)?))
            }
        }
    )*};
}

newtypes!(HomeId, MountId, ObjectId, SessionId, Revision, Fence, Incarnation, Sequence, Time, Principal, Signature);

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.array()
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match u8::take(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Canonical("a boolean is neither 0 nor 1")),
        }
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(if bool::take(reader)? { Some(T::take(reader)?) } else { None })
    }
}

impl Wire for ContentHash {
    fn put(&self, out: &mut Vec<u8>) {
        self.algorithm.put(out);
        self.digest.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        if u8::take(reader)? != Self::BLAKE3 {
            return Err(WireError::Canonical("a content hash is not BLAKE3-256"));
        }
        Ok(Self { algorithm: Self::BLAKE3, digest: reader.array()? })
    }
}

/// A longer text is cut, so that every error can be written.
impl Wire for Error {
    fn put(&self, out: &mut Vec<u8>) {
        (self.code as u16).put(out);
        put_bytes(&self.text.as_bytes()[..self.text.floor_char_boundary(ERROR_TEXT_BYTES_MAX)], out);
        self.retry_after_ms.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let code = Code::from_number(u16::take(reader)?).ok_or(WireError::Canonical("no such error code"))?;
        let text = reader.text(ERROR_TEXT_BYTES_MAX, "ERROR_TEXT_BYTES_MAX")?.to_owned();
        Ok(Self { code, text, retry_after_ms: Wire::take(reader)? })
    }
}
