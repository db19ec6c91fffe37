//! Rust types encode as their isx types do.

mod random;

use isx_row::codec::{self, CodecError, RecordReader, RecordWriter, slots_bytes};
use isx_row::desc::{FieldDesc, TypeDesc, VariantDesc};
use isx_row::typed::{self, Typed};
use isx_row::{
    Bytes, Code, Condition, ContentHash, Incarnation, Locator, Principal, Revision, RowKey, SessionId, Signature, Span,
    Time, Type, Uuid, condition,
};
use proptest::prelude::*;
use random::config;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// As derived: declared in another order than the tags', so that Rust's order is not the keys'.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Named(String, u8),
    Point,
}

impl Typed for Shape {
    const DESC: &'static TypeDesc = &TypeDesc::Enum(&[
        VariantDesc { name: "point", tag: 0, fields: &[] },
        VariantDesc {
            name: "named",
            tag: 1,
            fields: &[
                FieldDesc { name: "_0", ty: <String as Typed>::DESC },
                FieldDesc { name: "_1", ty: <u8 as Typed>::DESC },
            ],
        },
    ]);

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Point => out.extend_from_slice(&0u16.to_le_bytes()),
            Self::Named(name, size) => {
                out.extend_from_slice(&1u16.to_le_bytes());
                let mut record = RecordWriter::new(out);
                record.slot(name);
                record.slot(size);
                record.tail(name);
                record.tail(size);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (tag, bytes) = typed::split_tag(bytes)?;
        let (this, record) = match tag {
            0 => (Self::Point, RecordReader::new(bytes, 0)?),
            1 => {
                let slots_bytes = const { slots_bytes(&[<String as Typed>::FIXED, <u8 as Typed>::FIXED]) };
                let mut record = RecordReader::new(bytes, slots_bytes)?;
                (Self::Named(record.member()?, record.member()?), record)
            }
            _ => return Err(CodecError::NotCanonical("the enum has no such tag")),
        };
        record.end()?;
        Ok(this)
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Point), (".{0,3}", any::<u8>()).prop_map(|(name, size)| Shape::Named(name, size))]
}

/// A Rust value's bytes are the canonical ones of its type, and damaged bytes are refused exactly when the type does.
fn check<T: Typed + Debug>(value: &T) {
    let ty = T::ty();
    assert_eq!(T::FIXED, codec::fixed_width(&ty));
    assert_eq!(T::DESC.is_key(), isx_row::key::is_key_type(&ty));
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    let seen = codec::decode(&ty, &bytes).unwrap_or_else(|error| panic!("{error}: {value:?} as {ty}"));
    let mut again = Vec::new();
    codec::encode(&ty, &seen, &mut again).expect("the value is of the type");
    assert_eq!(again, bytes, "{value:?}");
    for at in 0..bytes.len().min(80) {
        for flip in [1, 2, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            check_agreement::<T>(&damaged);
        }
        check_agreement::<T>(&bytes[..at]);
    }
    check_agreement::<T>(&[&bytes[..], &[0]].concat());
    check_agreement::<T>(&bytes);
}

fn check_agreement<T: Typed + Debug>(bytes: &[u8]) {
    let mut again = Vec::new();
    match T::decode(bytes) {
        Ok(value) => {
            assert_eq!(codec::validate(&T::ty(), bytes), Ok(()), "{value:?}");
            value.encode(&mut again);
            assert_eq!(again, bytes, "{value:?}");
        }
        Err(error) => assert!(codec::validate(&T::ty(), bytes).is_err(), "{error} for {bytes:?} of {}", T::ty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..config() })]

    #[test]
    fn scalars(a: (u8, u16, u32, u64, u128), b: (i8, i16, i32, i64, i128), c: (f32, f64, bool), d: [u8; 16], e: [u8; 32]) {
        check(&a);
        check(&b);
        check(&c);
        check(&(Uuid(d), SessionId(d), Principal(e), ContentHash::of(&e), Time(b.3), Span(b.3)));
    }

    #[test]
    fn compounds(
        lists: (Vec<u8>, Vec<String>, Vec<(u16, bool)>),
        options: (Option<Option<String>>, Option<u64>, Option<Vec<Option<bool>>>),
        maps: (BTreeMap<String, Vec<u32>>, BTreeMap<(i16, bool), u8>),
        bytes: Vec<u8>,
    ) {
        check(&lists);
        check(&options);
        check(&maps);
        check(&(Bytes(bytes.clone()), 7u8, Locator(bytes)));
    }

    #[test]
    fn derived(map in prop::collection::btree_map(shape(), shape(), 0..4)) {
        map.keys().for_each(check);
        check(&map);
    }
}

#[test]
fn preconditions_are_of_their_type() {
    let row = || RowKey { table: "t".into(), signature: Signature([3; 16]), key: Bytes(vec![1, 2]) };
    let conditions = vec![
        Condition::At { revision: Revision(7), incarnation: None },
        Condition::At { revision: Revision(7), incarnation: Some(Incarnation(2)) },
        Condition::Absent(row()),
        Condition::Present(row()),
        Condition::Holds { row: row(), column: "c".into(), value: Bytes(vec![]) },
    ];
    check(&conditions);
    let bytes = condition::encode(&conditions).unwrap();
    assert_eq!(condition::decode(&bytes).unwrap(), conditions);
    assert_eq!((condition::encode(&[]).unwrap(), condition::decode(&[]).unwrap()), (vec![], vec![]));
    assert_eq!(condition::decode(&[0; 4]).unwrap_err().code, Code::Malformed);
    assert_eq!(condition::encode(&vec![Condition::Absent(row()); 65]).unwrap_err().code, Code::Limit);
    assert_eq!(condition::decode(&[1; 64 * 1024 + 1]).unwrap_err().code, Code::Limit);
}

#[test]
fn other_floats_are_written_canonically() {
    let bytes = |value: f64| {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    };
    assert_eq!(bytes(-0.0), bytes(0.0));
    assert_eq!(bytes(-f64::NAN), bytes(f64::NAN));
    assert!(f64::decode(&(-0.0f64).to_le_bytes()).is_err() && f64::decode(&(-f64::NAN).to_le_bytes()).is_err());
}

#[test]
fn arguments_and_answers_are_records_of_version_0() {
    let arguments = (7u8, String::from("hi"));
    let bytes = typed::encode_arguments(&arguments).unwrap();
    assert_eq!(bytes, [0, 0, 7, 2, 0, 0, 0, b'h', b'i']);
    assert_eq!(typed::decode_arguments::<(u8, String)>(&bytes), Ok(arguments));
    assert_eq!(typed::encode_arguments(&()), Ok(vec![0, 0]));
    assert_eq!(typed::decode_answer(&typed::encode_answer(Some(7u8)).unwrap()), Ok(Some(7u8)));
    assert_eq!(typed::decode_answer::<()>(&typed::encode_answer(()).unwrap()), Ok(()));
    let versioned = typed::encode_record(1, &(7u8,)).unwrap();
    assert!(typed::decode_arguments::<(u8,)>(&versioned).is_err());
    let large = Bytes(vec![0; isx_row::limits::VALUE_BYTES_MAX]);
    assert_eq!(typed::encode_answer(large), Err(CodecError::Limit("VALUE_BYTES_MAX")));
    assert_eq!(<()>::ty(), Type::UNIT);
}
