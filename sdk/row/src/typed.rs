//! Rust types that have an isx type: what macros and generated code use, without ever building a [`crate::Value`].
//!
//! | Rust | isx |
//! |---|---|
//! | `bool`, integers, `f32`, `f64`, `String` | the same |
//! | [`Bytes`] | `bytes` |
//! | `Vec<T>` | `list<T>`; so `Vec<u8>` is a list of `u8`, and [`Bytes`] is what one wants |
//! | `Option<T>`, `BTreeMap<K, V>`, tuples up to 12 | `option`, `map`, `tuple`; `()` is the empty tuple |
//! | [`Uuid`], [`Locator`], `ContentHash`, `Time`, `Span`, `Principal` | `uuid`, `locator`, `blob`, `time`, `duration`, `principal` |
//! | `HomeId`, `MountId`, `ObjectId`, `SessionId`, `Signature` | `uuid` |
//! | `Revision`, `Fence`, `Incarnation`, `Sequence` | `u64` |
//!
//! # What a derived implementation looks like
//!
//! A struct with named fields is a `struct`; its encoding is a record of the fields in order. A tuple struct is a
//! `tuple`. An enum is an `enum`, its variants sorted by tag; unnamed fields of a variant are called `_0`, `_1`, …
//!
//! ```
//! use isx_row::codec::{CodecError, RecordReader, RecordWriter, slots_bytes};
//! use isx_row::desc::{FieldDesc, TypeDesc, VariantDesc};
//! use isx_row::typed::Typed;
//!
//! struct Greeting { id: u64, text: String }
//!
//! impl Typed for Greeting {
//!     const DESC: &'static TypeDesc = &TypeDesc::Struct(&[
//!         FieldDesc { name: "id", ty: <u64 as Typed>::DESC },
//!         FieldDesc { name: "text", ty: <String as Typed>::DESC },
//!     ]);
//!     fn encode(&self, out: &mut Vec<u8>) {
//!         let mut record = RecordWriter::new(out);
//!         record.slot(&self.id);
//!         record.slot(&self.text);
//!         record.tail(&self.id);
//!         record.tail(&self.text);
//!     }
//!     fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
//!         let mut record = RecordReader::new(
//!             bytes,
//!             const { slots_bytes(&[<u64 as Typed>::FIXED, <String as Typed>::FIXED]) },
//!         )?;
//!         let this = Self { id: record.member()?, text: record.member()? };
//!         record.end()?;
//!         Ok(this)
//!     }
//! }
//!
//! enum Shape { Point, Circle(f64) }
//!
//! impl Typed for Shape {
//!     const DESC: &'static TypeDesc = &TypeDesc::Enum(&[
//!         VariantDesc { name: "point", tag: 0, fields: &[] },
//!         VariantDesc { name: "circle", tag: 1, fields: &[FieldDesc { name: "_0", ty: <f64 as Typed>::DESC }] },
//!     ]);
//!     fn encode(&self, out: &mut Vec<u8>) {
//!         match self {
//!             Self::Point => out.extend_from_slice(&0u16.to_le_bytes()),
//!             Self::Circle(radius) => {
//!                 out.extend_from_slice(&1u16.to_le_bytes());
//!                 let mut record = RecordWriter::new(out);
//!                 record.slot(radius);
//!                 record.tail(radius);
//!             }
//!         }
//!     }
//!     fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
//!         let (tag, bytes) = isx_row::typed::split_tag(bytes)?;
//!         let (this, record) = match tag {
//!             0 => (Self::Point, RecordReader::new(bytes, 0)?),
//!             1 => {
//!                 let mut record = RecordReader::new(bytes, const { slots_bytes(&[<f64 as Typed>::FIXED]) })?;
//!                 (Self::Circle(record.member()?), record)
//!             }
//!             _ => return Err(CodecError::NotCanonical("the enum has no such tag")),
//!         };
//!         record.end()?;
//!         Ok(this)
//!     }
//! }
//!
//! let row = isx_row::typed::encode_record(1, &Greeting { id: 7, text: "hi".into() })?;
//! assert_eq!(row, [1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'h', b'i']);
//! assert!(matches!(Shape::decode(&[0, 0]), Ok(Shape::Point)));
//! # Ok::<(), CodecError>(())
//! ```

mod compound;
mod scalar;

pub use scalar::{Bytes, Locator, Uuid};

use crate::codec::{CodecError, bounded, split_version};
use crate::desc::TypeDesc;
use crate::types::Type;
use alloc::vec::Vec;

/// A Rust type with an isx type and the canonical encoding of [`crate::codec`].
pub trait Typed: Sized {
    /// The type, for use at compile time.
    const DESC: &'static TypeDesc;

    /// The width of the encoding if it is fixed.
    const FIXED: Option<usize> = Self::DESC.fixed_width();

    /// The type.
    fn ty() -> Type {
        Self::DESC.to_type()
    }

    /// Appends the standalone encoding. Does not bound it: [`encode_record`] does.
    fn encode(&self, out: &mut Vec<u8>);

    /// Decodes a standalone encoding; all of `bytes` must be used.
    ///
    /// # Errors
    /// As [`crate::codec::decode`].
    fn decode(bytes: &[u8]) -> Result<Self, CodecError>;
}

/// The version of arguments and answers.
const PLAIN: u16 = 0;

/// Encodes version and record. `T` is a struct or tuple: a row, or the arguments of a call as a tuple.
///
/// # Errors
/// `Limit` above [`crate::limits::VALUE_BYTES_MAX`].
pub fn encode_record<T: Typed>(version: u16, record: &T) -> Result<Vec<u8>, CodecError> {
    const { assert!(T::DESC.is_record(), "only a struct or a tuple is a record") }
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(&version.to_le_bytes());
    record.encode(&mut out);
    bounded(out.len())?;
    Ok(out)
}

/// Decodes version and record.
///
/// # Errors
/// As [`crate::codec::decode`].
pub fn decode_record<T: Typed>(bytes: &[u8]) -> Result<(u16, T), CodecError> {
    const { assert!(T::DESC.is_record(), "only a struct or a tuple is a record") }
    bounded(bytes.len())?;
    let (version, record) = split_version(bytes)?;
    Ok((version, T::decode(record)?))
}

/// Encodes the arguments of a call, a tuple with a member for each.
///
/// # Errors
/// As [`encode_record`].
pub fn encode_arguments<T: Typed>(arguments: &T) -> Result<Vec<u8>, CodecError> {
    encode_record(PLAIN, arguments)
}

/// Decodes the arguments of a call.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_arguments<T: Typed>(bytes: &[u8]) -> Result<T, CodecError> {
    match decode_record(bytes)? {
        (PLAIN, arguments) => Ok(arguments),
        _ => Err(CodecError::NotCanonical("arguments and answers have version 0")),
    }
}

/// Encodes an answer: a record of one member.
///
/// # Errors
/// As [`encode_record`].
pub fn encode_answer<T: Typed>(answer: T) -> Result<Vec<u8>, CodecError> {
    encode_record(PLAIN, &(answer,))
}

/// Decodes an answer.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_answer<T: Typed>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_arguments::<(T,)>(bytes).map(|(answer,)| answer)
}

/// Splits an enum's encoding into its tag and the record of the variant's fields.
///
/// # Errors
/// `Short` when there is no tag.
pub fn split_tag(bytes: &[u8]) -> Result<(u16, &[u8]), CodecError> {
    let (tag, record) = bytes.split_first_chunk::<2>().ok_or(CodecError::Short)?;
    Ok((u16::from_le_bytes(*tag), record))
}
