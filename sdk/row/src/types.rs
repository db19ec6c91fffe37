//! Types and values. A [`Type`] is data: read from a schema, never executed. A [`Value`] is for tools that learn the
//! type at run time; guests and generated code use [`crate::Typed`].

use crate::ids::{ContentHash, Principal, Span, Time};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A named member of a struct, or a column, or an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// The type.
    pub ty: Type,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name.
    pub name: String,
    /// The tag: explicit, unique, never reused; it gives the order.
    pub tag: u16,
    /// The payload's fields; empty for a unit variant.
    pub fields: Vec<Field>,
}

/// The type of a value. Recursion is impossible by construction; depth is bounded by
/// [`crate::limits::TYPE_DEPTH_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the variants are named after what they are")]
pub enum Type {
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
    /// A blob by content hash.
    Blob,
    Time,
    /// A [`Span`].
    Duration,
    Principal,
    Uuid,
    /// A sealed locator of an object; opaque bytes here.
    Locator,
    Option(Box<Type>),
    List(Box<Type>),
    /// Sorted by key, keys unique.
    Map(Box<Type>, Box<Type>),
    Tuple(Vec<Type>),
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
}

impl Type {
    /// The empty tuple: the answer of functions that answer nothing.
    pub const UNIT: Self = Self::Tuple(Vec::new());
}

impl fmt::Display for Type {
    /// As people write it: `map<string, u64>`, `(u8, bool)`, `{id: u64}`, `enum {red = 0, rgb = 1 {r: u8}}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::U128 => "u128",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::I128 => "i128",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Blob => "blob",
            Self::Time => "time",
            Self::Duration => "duration",
            Self::Principal => "principal",
            Self::Uuid => "uuid",
            Self::Locator => "locator",
            Self::Option(inner) => return write!(f, "option<{inner}>"),
            Self::List(element) => return write!(f, "list<{element}>"),
            Self::Map(key, value) => return write!(f, "map<{key}, {value}>"),
            Self::Tuple(members) => return list(f, "(", members, ")"),
            Self::Struct(fields) => return list(f, "{", fields, "}"),
            Self::Enum(variants) => return list(f, "enum {", variants, "}"),
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.ty)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.tag)?;
        if self.fields.is_empty() { Ok(()) } else { list(f, " {", &self.fields, "}") }
    }
}

fn list(f: &mut fmt::Formatter<'_>, open: &str, items: &[impl fmt::Display], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
    }
    f.write_str(close)
}

/// A value of some [`Type`]. Structs and tuples hold their members in order.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the variants are named after what they are")]
pub enum Value {
    Bool(bool),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    F32(f32),
    F64(f64),
    String(String),
    Bytes(Vec<u8>),
    Blob(ContentHash),
    Time(Time),
    Duration(Span),
    Principal(Principal),
    Uuid([u8; 16]),
    Locator(Vec<u8>),
    Option(Option<Box<Value>>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Tuple(Vec<Value>),
    Struct(Vec<Value>),
    /// Tag and payload.
    Enum(u16, Vec<Value>),
}

impl fmt::Display for Value {
    /// For messages: numbers plain, texts quoted, bytes in hexadecimal, members in order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::U8(value) => write!(f, "{value}"),
            Self::U16(value) => write!(f, "{value}"),
            Self::U32(value) => write!(f, "{value}"),
            Self::U64(value) => write!(f, "{value}"),
            Self::U128(value) => write!(f, "{value}"),
            Self::I8(value) => write!(f, "{value}"),
            Self::I16(value) => write!(f, "{value}"),
            Self::I32(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value}"),
            Self::I128(value) => write!(f, "{value}"),
            Self::F32(value) => write!(f, "{value}"),
            Self::F64(value) => write!(f, "{value}"),
            // Not as Rust would show it, which differs between its versions: replicas say the same.
            Self::String(value) => write!(f, "\"{}\"", value.escape_default()),
            Self::Bytes(bytes) | Self::Locator(bytes) => hex(f, bytes),
            Self::Uuid(bytes) => hex(f, bytes),
            Self::Blob(hash) => write!(f, "{hash}"),
            Self::Time(Time(us)) => write!(f, "{us} us"),
            Self::Duration(Span(us)) => write!(f, "{us} us"),
            Self::Principal(principal) => write!(f, "{principal}"),
            Self::Option(None) => f.write_str("none"),
            Self::Option(Some(value)) => write!(f, "{value}"),
            Self::List(values) => list(f, "[", values, "]"),
            Self::Map(entries) => {
                f.write_str("{")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Self::Tuple(values) => list(f, "(", values, ")"),
            Self::Struct(values) => list(f, "{", values, "}"),
            Self::Enum(tag, values) if values.is_empty() => write!(f, "#{tag}"),
            Self::Enum(tag, values) => {
                write!(f, "#{tag} ")?;
                list(f, "{", values, "}")
            }
        }
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
