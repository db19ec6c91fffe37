//! Payloads of typed calls as records of [`isx_row::codec`], with the errors of calls, and the [`record!`](crate::record)
//! and [`choice!`](crate::choice) macros that give a plain struct or enum its isx type.

use crate::object::{Answer, Call};
use isx_row::Error;
use isx_row::typed::{decode_answer, decode_arguments, encode_answer, encode_arguments};

// The macros name them from here, so that their users need not depend on isx-row.
#[doc(no_inline)]
pub use isx_row::codec::{CodecError, RecordReader, RecordWriter, slots_bytes};
#[doc(no_inline)]
pub use isx_row::desc::{FieldDesc, TypeDesc, VariantDesc};
#[doc(no_inline)]
pub use isx_row::{Bytes, Code, Field, Type, Typed};

/// The arguments of a call: a tuple with a member for each.
///
/// # Errors
/// `limit` when they are too large.
pub fn encode<T: Typed>(arguments: &T) -> Result<Vec<u8>, Error> {
    encode_arguments(arguments).map_err(|error| Error::new(Code::Limit, format!("the arguments: {error}")))
}

/// Reads the arguments of a call.
///
/// # Errors
/// `bad_arguments` when they are not of the method's types.
pub fn decode<T: Typed>(call: &Call) -> Result<T, Error> {
    decode_arguments(&call.payload).map_err(|error| Error::new(Code::BadArguments, format!("{}: {error}", call.method)))
}

/// An answer or item.
///
/// # Errors
/// `limit` when it is too large.
pub fn encode_value<T: Typed>(value: T) -> Result<Vec<u8>, Error> {
    encode_answer(value).map_err(|error| Error::new(Code::Limit, format!("the answer: {error}")))
}

/// Reads an answer or item.
///
/// # Errors
/// `malformed` when it is not the encoding of a `T`.
pub fn decode_value<T: Typed>(payload: &[u8]) -> Result<T, Error> {
    decode_answer(payload).map_err(|error| Error::new(Code::Malformed, format!("the answer does not decode: {error}")))
}

/// Reads an answer that is a value.
///
/// # Errors
/// `application` when the callee answered its own typed error, `malformed` when the payload is no `T`.
pub fn value_of<T: Typed>(answer: &Answer) -> Result<T, Error> {
    if answer.application_error.is_some() {
        return Err(Error::new(Code::Application, "the object answered an error of its own"));
    }
    decode_value(&answer.payload)
}

/// Declares structs with their isx type: `struct` of the members in order.
#[macro_export]
macro_rules! record {
    ($($(#[$attribute:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $member:ident: $ty:ty,)* })*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $member: $ty,)* }

        impl $crate::payload::Typed for $name {
            const DESC: &'static $crate::payload::TypeDesc = &$crate::payload::TypeDesc::Struct(&[$(
                $crate::payload::FieldDesc {
                    name: stringify!($member),
                    ty: <$ty as $crate::payload::Typed>::DESC,
                },
            )*]);

            fn encode(&self, out: &mut Vec<u8>) {
                let mut record = $crate::payload::RecordWriter::new(out);
                $(record.slot(&self.$member);)*
                $(record.tail(&self.$member);)*
            }

            fn decode(bytes: &[u8]) -> Result<Self, $crate::payload::CodecError> {
                let slots = const { $crate::payload::slots_bytes(&[$(<$ty as $crate::payload::Typed>::FIXED),*]) };
                let mut record = $crate::payload::RecordReader::new(bytes, slots)?;
                let value = Self { $($member: record.member()?,)* };
                record.end()?;
                Ok(value)
            }
        }
    )*};
}

/// Declares enums of plain tags, ascending, with their isx type.
#[macro_export]
macro_rules! choice {
    ($($(#[$attribute:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $tag:literal,)* })*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum $name { $($(#[$doc])* $variant = $tag,)* }

        impl $crate::payload::Typed for $name {
            const DESC: &'static $crate::payload::TypeDesc = &$crate::payload::TypeDesc::Enum(&[$(
                $crate::payload::VariantDesc { name: stringify!($variant), tag: $tag, fields: &[] },
            )*]);

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&(*self as u16).to_le_bytes());
            }

            fn decode(bytes: &[u8]) -> Result<Self, $crate::payload::CodecError> {
                let tag = bytes.try_into().map_err(|_| $crate::payload::CodecError::Short)?;
                match u16::from_le_bytes(tag) {
                    $($tag => Ok(Self::$variant),)*
                    _ => Err($crate::payload::CodecError::NotCanonical("the enum has no such tag")),
                }
            }
        }
    )*};
}
