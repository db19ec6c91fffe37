//! Types known at compile time: what [`Type`] is, made of `'static` references, so that constants can hold it and
//! [`crate::schema::record`] can write it without running anything.

use crate::types::{Field, Type, Variant};
use alloc::boxed::Box;
use alloc::string::String;

/// A [`Type`] at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are those of Type")]
pub enum TypeDesc {
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    String,
    Bytes,
    Blob,
    Time,
    Duration,
    Principal,
    Uuid,
    Locator,
    Option(&'static TypeDesc),
    List(&'static TypeDesc),
    Map(&'static TypeDesc, &'static TypeDesc),
    Tuple(&'static [&'static TypeDesc]),
    Struct(&'static [FieldDesc]),
    /// By ascending tag.
    Enum(&'static [VariantDesc]),
}

/// A [`Field`] at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDesc {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub ty: &'static TypeDesc,
}

/// A [`Variant`] at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariantDesc {
    /// The name.
    pub name: &'static str,
    /// The tag.
    pub tag: u16,
    /// The payload's fields.
    pub fields: &'static [FieldDesc],
}

impl TypeDesc {
    /// As [`crate::codec::fixed_width`].
    pub const fn fixed_width(&self) -> Option<usize> {
        match self {
            Self::Bool | Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 | Self::Time | Self::Duration => Some(8),
            Self::U128 | Self::I128 | Self::Uuid => Some(16),
            Self::Principal => Some(32),
            Self::Blob => Some(33),
            Self::String | Self::Bytes | Self::Locator | Self::Option(_) | Self::List(_) | Self::Map(..) => None,
            Self::Tuple(members) => {
                let (mut sum, mut index) = (0, 0);
                while index < members.len() {
                    match members[index].fixed_width() {
                        Some(width) => sum += width,
                        None => return None,
                    }
                    index += 1;
                }
                Some(sum)
            }
            Self::Struct(fields) => {
                let (mut sum, mut index) = (0, 0);
                while index < fields.len() {
                    match fields[index].ty.fixed_width() {
                        Some(width) => sum += width,
                        None => return None,
                    }
                    index += 1;
                }
                Some(sum)
            }
            Self::Enum(variants) => {
                let mut index = 0;
                while index < variants.len() {
                    if !variants[index].fields.is_empty() {
                        return None;
                    }
                    index += 1;
                }
                Some(2)
            }
        }
    }

    /// As [`crate::key::is_key_type`].
    pub const fn is_key(&self) -> bool {
        match self {
            Self::Map(..) | Self::Locator => false,
            Self::Option(inner) | Self::List(inner) => inner.is_key(),
            Self::Tuple(members) => {
                let mut index = 0;
                while index < members.len() {
                    if !members[index].is_key() {
                        return false;
                    }
                    index += 1;
                }
                true
            }
            Self::Struct(fields) => are_keys(fields),
            Self::Enum(variants) => {
                let mut index = 0;
                while index < variants.len() {
                    if !are_keys(variants[index].fields) {
                        return false;
                    }
                    index += 1;
                }
                true
            }
            _ => true,
        }
    }

    /// Whether the type's encoding is a record: a struct's or a tuple's.
    pub const fn is_record(&self) -> bool {
        matches!(self, Self::Struct(_) | Self::Tuple(_))
    }

    /// The type at run time.
    pub fn to_type(&self) -> Type {
        match *self {
            Self::Bool => Type::Bool,
            Self::U8 => Type::U8,
            Self::U16 => Type::U16,
            Self::U32 => Type::U32,
            Self::U64 => Type::U64,
            Self::U128 => Type::U128,
            Self::I8 => Type::I8,
            Self::I16 => Type::I16,
            Self::I32 => Type::I32,
            Self::I64 => Type::I64,
            Self::I128 => Type::I128,
            Self::F32 => Type::F32,
            Self::F64 => Type::F64,
            Self::String => Type::String,
            Self::Bytes => Type::Bytes,
            Self::Blob => Type::Blob,
            Self::Time => Type::Time,
            Self::Duration => Type::Duration,
            Self::Principal => Type::Principal,
            Self::Uuid => Type::Uuid,
            Self::Locator => Type::Locator,
            Self::Option(inner) => Type::Option(Box::new(inner.to_type())),
            Self::List(element) => Type::List(Box::new(element.to_type())),
            Self::Map(key, value) => Type::Map(Box::new(key.to_type()), Box::new(value.to_type())),
            Self::Tuple(members) => Type::Tuple(members.iter().map(|member| member.to_type()).collect()),
            Self::Struct(fields) => Type::Struct(fields.iter().map(FieldDesc::to_field).collect()),
            Self::Enum(variants) => Type::Enum(variants.iter().map(VariantDesc::to_variant).collect()),
        }
    }
}

const fn are_keys(fields: &[FieldDesc]) -> bool {
    let mut index = 0;
    while index < fields.len() {
        if !fields[index].ty.is_key() {
            return false;
        }
        index += 1;
    }
    true
}

impl FieldDesc {
    /// The field at run time.
    pub fn to_field(&self) -> Field {
        Field { name: String::from(self.name), ty: self.ty.to_type() }
    }
}

impl VariantDesc {
    /// The variant at run time.
    pub fn to_variant(&self) -> Variant {
        Variant {
            name: String::from(self.name),
            tag: self.tag,
            fields: self.fields.iter().map(FieldDesc::to_field).collect(),
        }
    }
}
