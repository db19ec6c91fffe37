//! Random types, and random values of them.

#![allow(dead_code, reason = "each test uses its part")]

use isx_row::codec::{encode, fixed_width};
use isx_row::key;
use isx_row::{ContentHash, Field, Principal, Span, Time, Type, Value, Variant};
use proptest::collection::vec;
use proptest::prelude::*;

pub fn config() -> ProptestConfig {
    ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() }
}

fn scalar() -> impl Strategy<Value = Type> {
    proptest::sample::select(vec![
        Type::Bool,
        Type::U8,
        Type::U16,
        Type::U32,
        Type::U64,
        Type::U128,
        Type::I8,
        Type::I16,
        Type::I32,
        Type::I64,
        Type::I128,
        Type::F32,
        Type::F64,
        Type::String,
        Type::Bytes,
        Type::Blob,
        Type::Time,
        Type::Duration,
        Type::Principal,
        Type::Uuid,
    ])
}

fn named(types: Vec<Type>) -> Vec<Field> {
    types.into_iter().enumerate().map(|(index, ty)| Field { name: format!("f{index}"), ty }).collect()
}

fn grown(inner: impl Strategy<Value = Type> + Clone + 'static) -> BoxedStrategy<Type> {
    prop_oneof![
        inner.clone().prop_map(|ty| Type::Option(Box::new(ty))),
        inner.clone().prop_map(|ty| Type::List(Box::new(ty))),
        vec(inner.clone(), 1..4).prop_map(Type::Tuple),
        vec(inner.clone(), 1..4).prop_map(|types| Type::Struct(named(types))),
        vec((1u16..300, vec(inner, 0..3)), 1..4).prop_map(|variants| {
            let mut tag = 0;
            let variant = |(step, types): (u16, Vec<Type>)| {
                tag += step;
                Variant { name: format!("v{tag}"), tag, fields: named(types) }
            };
            Type::Enum(variants.into_iter().map(variant).collect())
        }),
    ]
    .boxed()
}

/// Types that may be keys.
pub fn key_type() -> BoxedStrategy<Type> {
    scalar().prop_recursive(3, 12, 3, grown).boxed()
}

/// Any types that a schema may have.
pub fn any_type() -> BoxedStrategy<Type> {
    prop_oneof![9 => scalar(), 1 => Just(Type::Locator)]
        .prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                4 => grown(inner.clone()),
                1 => (key_type(), inner).prop_map(|(key, value)| Type::Map(Box::new(key), Box::new(value))),
            ]
        })
        .boxed()
}

fn f64_value() -> BoxedStrategy<f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("one NaN", |value| !value.is_nan()),
        proptest::sample::select(vec![0.0, 1.0, -1.0, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]),
    ]
    .prop_map(|value| if value == 0.0 { 0.0 } else { value })
    .boxed()
}

fn f32_value() -> BoxedStrategy<f32> {
    any::<u32>()
        .prop_map(f32::from_bits)
        .prop_map(|value| match value {
            value if value.is_nan() => f32::NAN,
            0.0 => 0.0,
            value => value,
        })
        .boxed()
}

/// Integers near the ends as often as anywhere.
macro_rules! integer {
    ($rust:ty, $isx:ident) => {
        prop_oneof![
            any::<$rust>(),
            proptest::sample::select(vec![<$rust>::MIN, <$rust>::MAX, 0, 1, <$rust>::MAX / 2 + 1])
        ]
        .prop_map(Value::$isx)
        .boxed()
    };
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..6)
}

/// Canonical values of the type.
pub fn value(ty: &Type) -> BoxedStrategy<Value> {
    match ty.clone() {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::U8 => integer!(u8, U8),
        Type::U16 => integer!(u16, U16),
        Type::U32 => integer!(u32, U32),
        Type::U64 => integer!(u64, U64),
        Type::U128 => integer!(u128, U128),
        Type::I8 => integer!(i8, I8),
        Type::I16 => integer!(i16, I16),
        Type::I32 => integer!(i32, I32),
        Type::I64 => integer!(i64, I64),
        Type::I128 => integer!(i128, I128),
        Type::F32 => f32_value().prop_map(Value::F32).boxed(),
        Type::F64 => f64_value().prop_map(Value::F64).boxed(),
        Type::String => vec(proptest::sample::select(vec!['\0', '\u{1}', 'a', 'b', 'ß', '𝄞']), 0..5)
            .prop_map(|text| Value::String(text.into_iter().collect()))
            .boxed(),
        Type::Bytes => bytes().prop_map(Value::Bytes).boxed(),
        Type::Locator => bytes().prop_map(Value::Locator).boxed(),
        Type::Blob => any::<u64>().prop_map(|seed| Value::Blob(ContentHash::of(&seed.to_le_bytes()))).boxed(),
        Type::Time => any::<i64>().prop_map(|time| Value::Time(Time(time))).boxed(),
        Type::Duration => any::<i64>().prop_map(|span| Value::Duration(Span(span))).boxed(),
        Type::Principal => any::<[u8; 32]>().prop_map(|bytes| Value::Principal(Principal(bytes))).boxed(),
        Type::Uuid => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        Type::Option(inner) => {
            proptest::option::of(value(&inner)).prop_map(|value| Value::Option(value.map(Box::new))).boxed()
        }
        Type::List(element) => vec(value(&element), 0..4).prop_map(Value::List).boxed(),
        Type::Map(key, item) => {
            vec((value(&key), value(&item)), 0..4).prop_map(move |entries| sorted(&key, entries)).boxed()
        }
        Type::Tuple(members) => members.iter().map(value).collect::<Vec<_>>().prop_map(Value::Tuple).boxed(),
        Type::Struct(fields) => members(&fields).prop_map(Value::Struct).boxed(),
        Type::Enum(variants) => proptest::sample::select(variants)
            .prop_flat_map(|variant| members(&variant.fields).prop_map(move |values| Value::Enum(variant.tag, values)))
            .boxed(),
    }
}

/// Values of the fields.
pub fn members(fields: &[Field]) -> BoxedStrategy<Vec<Value>> {
    fields.iter().map(|field| value(&field.ty)).collect::<Vec<_>>().boxed()
}

fn sorted(ty: &Type, mut entries: Vec<(Value, Value)>) -> Value {
    let standalone = |value: &Value| {
        let mut out = Vec::new();
        encode(ty, value, &mut out).expect("the value is of the type");
        out
    };
    entries.sort_by(|(a, _), (b, _)| key::compare(ty, &standalone(a), &standalone(b)));
    entries.dedup_by_key(|(key, _)| standalone(key));
    Value::Map(entries)
}

/// A type and values of it.
pub fn typed_values(
    types: BoxedStrategy<Type>,
    count: impl Into<proptest::collection::SizeRange> + Clone + 'static,
) -> BoxedStrategy<(Type, Vec<Value>)> {
    types
        .prop_flat_map(move |ty| {
            let values = vec(value(&ty), count.clone());
            (Just(ty), values)
        })
        .boxed()
}

/// Whether the type is fixed: only for messages.
pub fn kind(ty: &Type) -> &'static str {
    if fixed_width(ty).is_some() { "fixed" } else { "var" }
}
