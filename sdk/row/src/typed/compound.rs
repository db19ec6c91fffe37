//! Options, lists, maps and tuples.

use super::Typed;
use crate::codec::{CodecError, RecordReader, RecordWriter, record_fixed, slots_bytes};
use crate::desc::TypeDesc;
use crate::key;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Ordering;

impl<T: Typed> Typed for Option<T> {
    const DESC: &'static TypeDesc = &TypeDesc::Option(T::DESC);

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match bytes.split_first() {
            None => Err(CodecError::Short),
            Some((0, [])) => Ok(None),
            Some((0, _)) => Err(CodecError::Trailing),
            Some((1, value)) => T::decode(value).map(Some),
            Some(_) => Err(CodecError::NotCanonical("an option's marker is 0 or 1")),
        }
    }
}

fn encode_count(count: usize, out: &mut Vec<u8>) {
    // A count that does not fit u32 has as many bytes at least: whoever asked for the encoding refuses its length.
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

impl<T: Typed> Typed for Vec<T> {
    const DESC: &'static TypeDesc = &TypeDesc::List(T::DESC);

    fn encode(&self, out: &mut Vec<u8>) {
        const { assert!(!matches!(T::FIXED, Some(0)), "an element of a list has at least one byte") }
        encode_count(self.len(), out);
        let mut record = RecordWriter::new(out);
        self.iter().for_each(|element| record.slot(element));
        if T::FIXED.is_none() {
            self.iter().for_each(|element| record.tail(element));
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (count, mut elements) = RecordReader::elements(bytes, T::FIXED)?;
        let values = (0..count).map(|_| elements.member()).collect::<Result<_, _>>()?;
        elements.end()?;
        Ok(values)
    }
}

impl<K: Typed + Ord, V: Typed> Typed for BTreeMap<K, V> {
    const DESC: &'static TypeDesc = &TypeDesc::Map(K::DESC, V::DESC);

    fn encode(&self, out: &mut Vec<u8>) {
        const { assert!(K::DESC.is_key(), "maps and locators have no order and are no keys") }
        let width = const { record_fixed(&[K::FIXED, V::FIXED]) };
        const { assert!(!matches!(record_fixed(&[K::FIXED, V::FIXED]), Some(0)), "an entry has at least one byte") }
        encode_count(self.len(), out);
        // Rust's order of K need not be the order of keys: an enum's is by declaration, not by tag.
        let ty = K::ty();
        let mut sorted: Vec<(Vec<u8>, &K, &V)> = Vec::with_capacity(self.len());
        for (key, value) in self {
            let mut key_bytes = Vec::new();
            key.encode(&mut key_bytes);
            sorted.push((key_bytes, key, value));
        }
        sorted.sort_by(|(a, ..), (b, ..)| key::compare(&ty, a, b));
        let entry = |key: &K, value: &V, out: &mut Vec<u8>| {
            let mut record = RecordWriter::new(out);
            record.slot(key);
            record.slot(value);
            record.tail(key);
            record.tail(value);
        };
        let mut record = RecordWriter::new(out);
        for (_, key, value) in &sorted {
            if let Some(out) = record.open_slot(width) {
                entry(key, value, out);
            }
        }
        for (_, key, value) in &sorted {
            if let Some(out) = record.open_tail(width) {
                entry(key, value, out);
                record.close_tail();
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let width = const { record_fixed(&[K::FIXED, V::FIXED]) };
        let (count, mut entries) = RecordReader::elements(bytes, width)?;
        let ty = K::ty();
        let mut last: Option<&[u8]> = None;
        let mut map = Self::new();
        for _ in 0..count {
            let mut entry = RecordReader::new(entries.slice(width)?, const { slots_bytes(&[K::FIXED, V::FIXED]) })?;
            let key_bytes = entry.slice(K::FIXED)?;
            let key = K::decode(key_bytes)?;
            let value = entry.member()?;
            entry.end()?;
            // A key of which Rust thinks that it is there already would vanish: refused as well.
            if last.is_some_and(|last| key::compare(&ty, last, key_bytes) != Ordering::Less)
                || map.insert(key, value).is_some()
            {
                return Err(CodecError::NotCanonical("a map's keys ascend"));
            }
            last = Some(key_bytes);
        }
        entries.end()?;
        Ok(map)
    }
}

impl Typed for () {
    const DESC: &'static TypeDesc = &TypeDesc::Tuple(&[]);

    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.is_empty() { Ok(()) } else { Err(CodecError::Trailing) }
    }
}

macro_rules! tuples {
    ($($($member:ident $index:tt),+;)*) => {$(
        impl<$($member: Typed),+> Typed for ($($member,)+) {
            const DESC: &'static TypeDesc = &TypeDesc::Tuple(&[$($member::DESC),+]);

            fn encode(&self, out: &mut Vec<u8>) {
                let mut record = RecordWriter::new(out);
                $(record.slot(&self.$index);)+
                $(record.tail(&self.$index);)+
            }

            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                let mut record = RecordReader::new(bytes, const { slots_bytes(&[$($member::FIXED),+]) })?;
                let this = ($(record.member::<$member>()?,)+);
                record.end()?;
                Ok(this)
            }
        }
    )*};
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11;
}
