//! Scalars, strings, bytes and ids.

use super::Typed;
use crate::codec::{CodecError, f32_bits, f64_bits};
use crate::desc::TypeDesc;
use crate::ids::{
    ContentHash, Fence, HomeId, Incarnation, MountId, ObjectId, Principal, Revision, Sequence, SessionId, Signature,
    Span, Time,
};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Bytes. `Vec<u8>` is a list of `u8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

/// A sealed locator of an object; opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Locator(pub Vec<u8>);

/// A UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    /// As RFC 9562 writes it: 8-4-4-4-12.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], CodecError> {
    let (array, rest) = bytes.split_first_chunk().ok_or(CodecError::Short)?;
    if rest.is_empty() { Ok(*array) } else { Err(CodecError::Trailing) }
}

macro_rules! integers {
    ($($rust:ty = $isx:ident),* $(,)?) => {$(
        impl Typed for $rust {
            const DESC: &'static TypeDesc = &TypeDesc::$isx;

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                array(bytes).map(Self::from_le_bytes)
            }
        }
    )*};
}

integers! {
    u8 = U8, u16 = U16, u32 = U32, u64 = U64, u128 = U128, i8 = I8, i16 = I16, i32 = I32, i64 = I64, i128 = I128,
}

macro_rules! newtypes {
    ($($rust:ident = $isx:ident),* $(,)?) => {$(
        impl Typed for $rust {
            const DESC: &'static TypeDesc = &TypeDesc::$isx;

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0.to_le_bytes());
            }

            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                Typed::decode(bytes).map(Self)
            }
        }
    )*};
}

newtypes! { Time = Time, Span = Duration, Revision = U64, Fence = U64, Incarnation = U64, Sequence = U64 }

macro_rules! arrays {
    ($($rust:ident = $isx:ident),* $(,)?) => {$(
        impl Typed for $rust {
            const DESC: &'static TypeDesc = &TypeDesc::$isx;

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }

            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                array(bytes).map(Self)
            }
        }
    )*};
}

arrays! {
    Uuid = Uuid, HomeId = Uuid, MountId = Uuid, ObjectId = Uuid, SessionId = Uuid, Signature = Uuid,
    Principal = Principal,
}

impl Typed for bool {
    const DESC: &'static TypeDesc = &TypeDesc::Bool;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match array(bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(CodecError::NotCanonical("a bool is 0 or 1")),
        }
    }
}

macro_rules! floats {
    ($($rust:ty = $isx:ident, $bits:ident, $integer:ty);* $(;)?) => {$(
        impl Typed for $rust {
            const DESC: &'static TypeDesc = &TypeDesc::$isx;

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&$bits(*self).to_le_bytes());
            }

            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                let bits = <$integer>::from_le_bytes(array(bytes)?);
                let value = Self::from_bits(bits);
                if $bits(value) == bits {
                    Ok(value)
                } else {
                    Err(CodecError::NotCanonical("a float has one zero and one NaN"))
                }
            }
        }
    )*};
}

floats! { f32 = F32, f32_bits, u32; f64 = F64, f64_bits, u64; }

impl Typed for String {
    const DESC: &'static TypeDesc = &TypeDesc::String;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        core::str::from_utf8(bytes).map(Self::from).map_err(|_| CodecError::Utf8)
    }
}

macro_rules! byte_strings {
    ($($rust:ident = $isx:ident),* $(,)?) => {$(
        impl Typed for $rust {
            const DESC: &'static TypeDesc = &TypeDesc::$isx;

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }

            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                Ok(Self(bytes.to_vec()))
            }
        }
    )*};
}

byte_strings! { Bytes = Bytes, Locator = Locator }

impl Typed for ContentHash {
    const DESC: &'static TypeDesc = &TypeDesc::Blob;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.algorithm);
        out.extend_from_slice(&self.digest);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match bytes.split_first() {
            None => Err(CodecError::Short),
            Some((&Self::BLAKE3, digest)) => Ok(Self { algorithm: Self::BLAKE3, digest: array(digest)? }),
            Some(_) => Err(CodecError::NotCanonical("the hash algorithm is unknown")),
        }
    }
}
