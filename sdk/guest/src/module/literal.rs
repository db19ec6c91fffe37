//! Defaults of columns: a literal of the source in the canonical encoding of the column's type, at compile time.
//!
//! The schema is read, never executed, so that a default must be bytes before the module runs; `Typed::encode` can not run
//! that early.

use isx_row::desc::TypeDesc;

/// A literal as `#[default(…)]` gives it.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// `true`
    Bool(bool),
    /// `-5`
    Integer {
        /// Whether a minus stands before it.
        negative: bool,
        /// Without its sign.
        value: u128,
    },
    /// `1.5`; finite.
    Float(f64),
    /// `"text"`
    Text(&'static str),
    /// `b"bytes"`
    Bytes(&'static [u8]),
    /// `Time(0)`
    Time(i64),
    /// `Span(0)`
    Span(i64),
    /// `None`
    None,
    /// `Some(5)`
    Some(&'static Literal),
    /// `[]`: a list or a map.
    Empty,
    /// `Mood::Happy`: a variant without fields, as the schema names it.
    Variant(&'static str),
}

/// The length of [`bytes`].
///
/// # Panics
/// As there.
pub const fn len(ty: &TypeDesc, literal: &Literal) -> usize {
    match put(ty, literal, &mut [], 0) {
        Ok(length) => length,
        Err(text) => panic!("{}", text),
    }
}

/// The standalone encoding of the literal as a value of the type; `N` is its [`len`].
///
/// # Panics
/// At compile time: when the literal is no value of the type.
pub const fn bytes<const N: usize>(ty: &TypeDesc, literal: &Literal) -> [u8; N] {
    let mut out = [0; N];
    match put(ty, literal, &mut out, 0) {
        Ok(length) => assert!(length == N, "the default's size is not `len` of it"),
        Err(text) => panic!("{}", text),
    }
    out
}

const OTHER_TYPE: &str = "the default is no value of the column's type: write a literal of that type, or make the column an \
                          `Option` and write `#[default(None)]`";
const OUT_OF_RANGE: &str = "the default does not fit the column's type: write a number within its range";
const NO_VARIANT: &str = "the default is no variant without fields of the column's type: write one that is";

/// Writes the encoding at a position, as far as `out` reaches, and gives the position behind it.
const fn put(ty: &TypeDesc, literal: &Literal, out: &mut [u8], at: usize) -> Result<usize, &'static str> {
    match (ty, literal) {
        (TypeDesc::Bool, Literal::Bool(value)) => Ok(raw(&[*value as u8], out, at)),
        (TypeDesc::F32, Literal::Float(value)) => {
            let value = *value as f32;
            if value.is_infinite() {
                return Err(OUT_OF_RANGE);
            }
            // There is one zero.
            Ok(raw(&(if value == 0.0 { 0 } else { value.to_bits() }).to_le_bytes(), out, at))
        }
        (TypeDesc::F64, Literal::Float(value)) => {
            Ok(raw(&(if *value == 0.0 { 0 } else { value.to_bits() }).to_le_bytes(), out, at))
        }
        (TypeDesc::String, Literal::Text(text)) => Ok(raw(text.as_bytes(), out, at)),
        (TypeDesc::Bytes, Literal::Bytes(bytes)) => Ok(raw(bytes, out, at)),
        (TypeDesc::Time, Literal::Time(micros)) | (TypeDesc::Duration, Literal::Span(micros)) => {
            Ok(raw(&micros.to_le_bytes(), out, at))
        }
        (TypeDesc::Option(_), Literal::None) => Ok(raw(&[0], out, at)),
        (TypeDesc::Option(inner), Literal::Some(literal)) => {
            let at = raw(&[1], out, at);
            put(inner, literal, out, at)
        }
        (TypeDesc::List(_) | TypeDesc::Map(..), Literal::Empty) => Ok(raw(&[0; 4], out, at)),
        (TypeDesc::Enum(variants), Literal::Variant(name)) => {
            let mut index = 0;
            while index < variants.len() {
                let variant = &variants[index];
                if variant.fields.is_empty() && crate::module::rt::same_text(variant.name, name) {
                    return Ok(raw(&variant.tag.to_le_bytes(), out, at));
                }
                index += 1;
            }
            Err(NO_VARIANT)
        }
        (ty, Literal::Integer { negative, value }) => integer(ty, *negative, *value, out, at),
        _ => Err(OTHER_TYPE),
    }
}

const fn integer(ty: &TypeDesc, negative: bool, value: u128, out: &mut [u8], at: usize) -> Result<usize, &'static str> {
    let signed = match ty {
        TypeDesc::U8 | TypeDesc::U16 | TypeDesc::U32 | TypeDesc::U64 | TypeDesc::U128 => false,
        TypeDesc::I8 | TypeDesc::I16 | TypeDesc::I32 | TypeDesc::I64 | TypeDesc::I128 => true,
        _ => return Err(OTHER_TYPE),
    };
    let Some(width) = ty.fixed_width() else { return Err(OTHER_TYPE) };
    let half = 1_u128 << (width * 8 - 1);
    let fits = match (signed, negative) {
        (false, false) => value <= half - 1 + half,
        (false, true) => value == 0,
        (true, false) => value < half,
        (true, true) => value <= half,
    };
    if !fits {
        return Err(OUT_OF_RANGE);
    }
    let value = if negative { value.wrapping_neg() } else { value };
    Ok(raw(value.to_le_bytes().split_at(width).0, out, at))
}

const fn raw(bytes: &[u8], out: &mut [u8], at: usize) -> usize {
    let mut index = 0;
    while index < bytes.len() {
        if at + index < out.len() {
            out[at + index] = bytes[index];
        }
        index += 1;
    }
    at + bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::desc::VariantDesc;
    use isx_row::{Bytes, Span, Time, Typed};
    use std::collections::BTreeMap;

    fn written(ty: &TypeDesc, literal: &Literal) -> Result<Vec<u8>, &'static str> {
        let mut out = vec![0; put(ty, literal, &mut [], 0)?];
        assert_eq!(put(ty, literal, &mut out, 0), Ok(out.len()));
        Ok(out)
    }

    /// The literal's bytes are those of the value that it stands for.
    fn check<T: Typed>(literal: Literal, value: T) {
        let mut expected = Vec::new();
        value.encode(&mut expected);
        assert_eq!(written(T::DESC, &literal), Ok(expected), "{literal:?}");
    }

    fn number(value: i128) -> Literal {
        Literal::Integer { negative: value < 0, value: value.unsigned_abs() }
    }

    #[test]
    fn literals_are_encoded_as_their_values() {
        check(Literal::Bool(true), true);
        check(number(255), u8::MAX);
        check(number(-128), i8::MIN);
        check(number(127), i8::MAX);
        check(number(-2), -2_i16);
        check(number(u32::MAX.into()), u32::MAX);
        check(number(i64::MIN.into()), i64::MIN);
        check(number(i128::MIN), i128::MIN);
        check(Literal::Integer { negative: false, value: u128::MAX }, u128::MAX);
        check(Literal::Integer { negative: true, value: 0 }, 0_u64);
        check(Literal::Float(1.5), 1.5_f32);
        check(Literal::Float(-0.0), 0.0_f32);
        check(Literal::Float(-0.0), 0.0_f64);
        check(Literal::Float(-2.25), -2.25_f64);
        check(Literal::Text("héllo"), String::from("héllo"));
        check(Literal::Text(""), String::new());
        check(Literal::Bytes(b"\0\xff"), Bytes(vec![0, 255]));
        check(Literal::Time(-5), Time(-5));
        check(Literal::Span(5), Span(5));
        check(Literal::None, None::<String>);
        check(Literal::Some(&Literal::None), Some(None::<u8>));
        check(Literal::Some(&Literal::Text("x")), Some(String::from("x")));
        check(Literal::Empty, Vec::<String>::new());
        check(Literal::Empty, BTreeMap::<u8, String>::new());
        let variants =
            &[VariantDesc { name: "low", tag: 3, fields: &[] }, VariantDesc { name: "high", tag: 0x0102, fields: &[] }];
        assert_eq!(written(&TypeDesc::Enum(variants), &Literal::Variant("high")), Ok(vec![2, 1]));
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused_with_its_cure() {
        let refuse = |ty: &TypeDesc, literal: Literal, expected: &str| {
            let text = written(ty, &literal).expect_err("it is refused");
            assert!(text.contains(expected), "{text}");
        };
        refuse(&TypeDesc::U8, number(256), "within its range");
        refuse(&TypeDesc::U8, number(-1), "within its range");
        refuse(&TypeDesc::I8, number(128), "within its range");
        refuse(&TypeDesc::I8, number(-129), "within its range");
        refuse(&TypeDesc::I128, Literal::Integer { negative: false, value: 1 << 127 }, "within its range");
        refuse(&TypeDesc::F32, Literal::Float(1e39), "within its range");
        refuse(&TypeDesc::F64, number(0), "a literal of that type");
        refuse(&TypeDesc::U64, Literal::Float(0.0), "a literal of that type");
        refuse(&TypeDesc::Bytes, Literal::Text("x"), "a literal of that type");
        refuse(&TypeDesc::String, Literal::None, "`#[default(None)]`");
        refuse(&TypeDesc::U64, Literal::Time(0), "a literal of that type");
        refuse(&TypeDesc::Option(&TypeDesc::U8), Literal::Some(&Literal::Bool(true)), "a literal of that type");
        let variants = &[VariantDesc { name: "low", tag: 3, fields: &[] }];
        refuse(&TypeDesc::Enum(variants), Literal::Variant("high"), "one that is");
    }
}
