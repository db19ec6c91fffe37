//! The laws of encoding and keys, for random types and values.

mod random;

use isx_row::codec::{self, CodecError, Layout};
use isx_row::{Field, Type, Value, key};
use proptest::prelude::*;
use random::{any_type, config, key_type, members, typed_values};
use std::cmp::Ordering;

fn encoded(ty: &Type, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode(ty, value, &mut out).expect("the value is of the type");
    out
}

fn key_of(ty: &Type, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    key::append_value(ty, value, &mut out).expect("the value is a key");
    out
}

/// Equality under which the one NaN is itself.
fn same(a: &Value, b: &Value) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

/// The order of values, said without bytes.
fn order(a: &Value, b: &Value) -> Ordering {
    fn float(a: f64, b: f64) -> Ordering {
        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    }
    fn each(a: &[Value], b: &[Value]) -> Ordering {
        let first = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
        first.unwrap_or(a.len().cmp(&b.len()))
    }
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::U8(a), Value::U8(b)) => a.cmp(b),
        (Value::U16(a), Value::U16(b)) => a.cmp(b),
        (Value::U32(a), Value::U32(b)) => a.cmp(b),
        (Value::U64(a), Value::U64(b)) => a.cmp(b),
        (Value::U128(a), Value::U128(b)) => a.cmp(b),
        (Value::I8(a), Value::I8(b)) => a.cmp(b),
        (Value::I16(a), Value::I16(b)) => a.cmp(b),
        (Value::I32(a), Value::I32(b)) => a.cmp(b),
        (Value::I64(a), Value::I64(b)) => a.cmp(b),
        (Value::I128(a), Value::I128(b)) => a.cmp(b),
        (Value::F32(a), Value::F32(b)) => float(f64::from(*a), f64::from(*b)),
        (Value::F64(a), Value::F64(b)) => float(*a, *b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Principal(a), Value::Principal(b)) => a.cmp(b),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        (Value::Option(a), Value::Option(b)) => match (a, b) {
            (Some(a), Some(b)) => order(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        },
        (Value::List(a), Value::List(b))
        | (Value::Tuple(a), Value::Tuple(b))
        | (Value::Struct(a), Value::Struct(b)) => each(a, b),
        (Value::Enum(a_tag, a), Value::Enum(b_tag, b)) => a_tag.cmp(b_tag).then_with(|| each(a, b)),
        _ => panic!("no key type: {a:?}"),
    }
}

/// Bytes either are refused, or are the encoding of what they decode to.
fn check_one_encoding(ty: &Type, bytes: &[u8]) {
    let valid = codec::validate(ty, bytes);
    match codec::decode(ty, bytes) {
        Ok(value) => {
            assert_eq!(valid, Ok(()));
            assert_eq!(encoded(ty, &value), bytes, "{ty}: {value:?}");
        }
        Err(error) => assert_eq!(valid, Err(error)),
    }
}

/// Ways to damage bytes a little: each byte changed, taken out and doubled, the rest cut off, one more.
fn damaged(bytes: &[u8], flip: u8) -> Vec<Vec<u8>> {
    let mut all = vec![[bytes, &[flip]].concat()];
    for at in 0..bytes.len().min(48) {
        for flip in [1, 2, 3, 0x80, 0xff, flip] {
            let mut changed = bytes.to_vec();
            changed[at] ^= flip;
            all.push(changed);
        }
        let (before, after) = bytes.split_at(at);
        all.extend([before.to_vec(), [before, &after[1..]].concat(), [before, &[after[0]], after].concat()]);
    }
    all
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn values_survive_encoding((ty, values) in typed_values(any_type(), 1)) {
        let bytes = encoded(&ty, &values[0]);
        prop_assert_eq!(codec::fixed_width(&ty).is_none_or(|width| width == bytes.len()), true);
        prop_assert_eq!(codec::validate(&ty, &bytes), Ok(()));
        let back = codec::decode(&ty, &bytes).unwrap();
        prop_assert!(same(&back, &values[0]), "{} {:?} {:?}", random::kind(&ty), values[0], back);
    }

    #[test]
    fn a_value_has_one_encoding(
        (ty, values) in typed_values(any_type(), 1),
        flip in 1u8..,
    ) {
        for bytes in damaged(&encoded(&ty, &values[0]), flip) {
            check_one_encoding(&ty, &bytes);
        }
    }

    #[test]
    fn keys_are_ordered_as_values((ty, values) in typed_values(key_type(), 2..5)) {
        for a in &values {
            for b in &values {
                let expected = order(a, b);
                prop_assert_eq!(key_of(&ty, a).cmp(&key_of(&ty, b)), expected, "{}: {:?} {:?}", ty, a, b);
                prop_assert_eq!(key::compare(&ty, &encoded(&ty, a), &encoded(&ty, b)), expected);
            }
        }
    }

    #[test]
    fn keys_are_read_back(
        (ty, values) in typed_values(key_type(), 2),
        flip in 1u8..,
    ) {
        let mut both = key_of(&ty, &values[0]);
        key::append_value(&ty, &values[1], &mut both).unwrap();
        let (first, rest) = key::split(&ty, &both).unwrap();
        let (second, rest) = key::split(&ty, rest).unwrap();
        prop_assert!(same(&first, &values[0]) && same(&second, &values[1]) && rest.is_empty());
        for bytes in damaged(&both, flip) {
            if let Ok((value, rest)) = key::split(&ty, &bytes) {
                prop_assert_eq!(key_of(&ty, &value), &bytes[..bytes.len() - rest.len()]);
            }
        }
    }

    #[test]
    fn layouts_slice_records(
        (fields, values) in prop::collection::vec(any_type(), 0..6).prop_flat_map(|types| {
            let fields: Vec<Field> =
                types.into_iter().enumerate().map(|(i, ty)| Field { name: format!("c{i}"), ty }).collect();
            let values = members(&fields);
            (Just(fields), values)
        }),
        version: u16,
        flip in 1u8..,
    ) {
        let row = codec::encode_record(version, &fields, &values).unwrap();
        let layout = Layout::new(fields.iter().map(|field| &field.ty));
        prop_assert_eq!(layout.validate(&row), Ok(version));
        prop_assert_eq!(codec::decode_record(&fields, &row).unwrap().0, version);
        let expected: Vec<Vec<u8>> =
            fields.iter().zip(&values).map(|(field, value)| encoded(&field.ty, value)).collect();
        for (index, expected) in expected.iter().enumerate() {
            prop_assert_eq!(layout.member(&row, index), Some(&expected[..]));
            if let Some(range) = layout.fixed_range(index) {
                prop_assert_eq!(&row[range], &expected[..]);
            }
        }
        prop_assert_eq!(layout.member(&row, fields.len()), None);
        let slices: Vec<&[u8]> = expected.iter().map(|member| &member[..]).collect();
        prop_assert_eq!(layout.assemble(version, &slices).unwrap(), row.clone());
        for bytes in damaged(&row, flip) {
            prop_assert_eq!(layout.validate(&bytes), codec::decode_record(&fields, &bytes).map(|(version, _)| version));
            for index in 0..=fields.len() {
                layout.member(&bytes, index);
            }
        }
    }

    #[test]
    fn the_bound_of_a_prefix_is_the_least(prefix: Vec<u8>, more: Vec<u8>) {
        let Some(bound) = key::after_prefix(&prefix) else {
            prop_assert!(prefix.iter().all(|byte| *byte == 0xff));
            return Ok(());
        };
        let inside = [&prefix[..], &more].concat();
        prop_assert!(inside < bound && !bound.starts_with(&prefix));
        // What is below the bound and not below the prefix starts with the prefix.
        let mut below = bound.clone();
        *below.last_mut().unwrap() -= 1;
        prop_assert!(prefix.starts_with(&below));
    }
}

#[test]
fn maps_are_sorted_and_doubled_keys_refused() {
    let ty = Type::Map(Box::new(Type::I8), Box::new(Type::Bool));
    let map = |keys: &[i8]| Value::Map(keys.iter().map(|key| (Value::I8(*key), Value::Bool(true))).collect());
    assert_eq!(encoded(&ty, &map(&[1, -1])), [2, 0, 0, 0, 0xff, 1, 1, 1]);
    let doubled = codec::encode(&ty, &map(&[1, 1]), &mut Vec::new());
    assert_eq!(doubled, Err(CodecError::NotCanonical("a map's key is there twice")));
    let descending = codec::decode(&ty, &[2, 0, 0, 0, 1, 1, 0xff, 1]);
    assert_eq!(descending, Err(CodecError::NotCanonical("a map's keys ascend")));
    let equal = codec::decode(&ty, &[2, 0, 0, 0, 1, 1, 1, 1]);
    assert_eq!(equal, Err(CodecError::NotCanonical("a map's keys ascend")));
}

#[test]
fn limits_are_named() {
    let nest = |levels| (1..levels).fold(Type::U8, |ty, _| Type::Option(Box::new(ty)));
    let value = |levels| (1..levels).fold(Value::U8(7), |value, _| Value::Option(Some(Box::new(value))));
    assert_eq!(codec::encode(&nest(16), &value(16), &mut Vec::new()), Ok(()));
    let deep = Err(CodecError::Limit("TYPE_DEPTH_MAX"));
    assert_eq!(codec::encode(&nest(17), &value(17), &mut Vec::new()), deep);
    let bytes = [[1; 16].as_slice(), &[7]].concat();
    assert_eq!(codec::validate(&nest(17), &bytes), deep);
    assert_eq!(key::split(&nest(17), &bytes).map(drop), deep);

    let large = vec![7; isx_row::limits::VALUE_BYTES_MAX + 1];
    let too_large = Err(CodecError::Limit("VALUE_BYTES_MAX"));
    assert_eq!(codec::validate(&Type::Bytes, &large[1..]), Ok(()));
    assert_eq!(codec::validate(&Type::Bytes, &large), too_large);
    assert_eq!(codec::encode(&Type::Bytes, &Value::Bytes(large.clone()), &mut Vec::new()), too_large);
    let fields = [Field { name: "a".into(), ty: Type::Bytes }];
    assert_eq!(codec::encode_record(0, &fields, &[Value::Bytes(large[7..].to_vec())]).map(drop), Ok(()));
    assert_eq!(codec::encode_record(0, &fields, &[Value::Bytes(large[6..].to_vec())]).map(drop), too_large);

    let key = |length: usize| key::append(&Type::Bytes, &large[..length], &mut Vec::new());
    assert_eq!(key(isx_row::limits::KEY_BYTES_MAX - 2), Ok(()));
    assert_eq!(key(isx_row::limits::KEY_BYTES_MAX - 1), Err(CodecError::Limit("KEY_BYTES_MAX")));
}

#[test]
fn elements_have_bytes() {
    let ty = Type::List(Box::new(Type::UNIT));
    assert_eq!(codec::validate(&ty, &[0xff; 4]), Err(CodecError::Type));
    assert_eq!(codec::encode(&ty, &Value::List(vec![]), &mut Vec::new()), Err(CodecError::Type));
    assert_eq!(key::split(&ty, &[0]).map(drop), Err(CodecError::Type));
}
