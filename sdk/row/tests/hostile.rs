//! Hostile bytes: refused bytes cost no allocation, accepted ones a bounded multiple of their length, none a panic.

#![allow(unsafe_code, reason = "a counting allocator is unsafe to write")]

mod random;

use isx_row::schema::Schema;
use isx_row::{Type, codec, key};
use proptest::prelude::*;
use random::{any_type, config, key_type};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the bytes that each thread asks for.
struct Counting;

thread_local! {
    static ASKED_BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: forwards to the system's allocator; the counter neither allocates nor is dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED_BYTES.with(|asked| asked.set(asked.get() + layout.size()));
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn asked_bytes<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = ASKED_BYTES.get();
    let result = run();
    (result, ASKED_BYTES.get() - before)
}

/// Bytes that building values may ask for, for each byte of input: a `Value` is 48 bytes, a list grows by doubling, and
/// the types here nest a few levels.
const FACTOR: usize = 256;

fn check(ty: &Type, bytes: &[u8]) {
    let (valid, asked) = asked_bytes(|| codec::validate(ty, bytes));
    assert_eq!(asked, 0, "validating asks for no memory: {ty}");
    let (decoded, asked) = asked_bytes(|| codec::decode(ty, bytes));
    assert_eq!(valid, decoded.as_ref().map(drop).map_err(|error| *error));
    match decoded {
        Ok(_) => assert!(asked <= FACTOR * (bytes.len() + 4), "{asked} bytes for {} of {ty}", bytes.len()),
        Err(_) => assert_eq!(asked, 0, "refusing asks for no memory: {ty}"),
    }
}

/// Bytes in which small numbers are likely: counts, offsets, markers, tags.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![4 => 0u8..3, 1 => any::<u8>(), 1 => Just(0xff)], 0..64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..config() })]

    #[test]
    fn values(ty in any_type(), bytes in bytes()) {
        check(&ty, &bytes);
    }

    #[test]
    fn keys(ty in key_type(), bytes in bytes()) {
        let (_, asked) = asked_bytes(|| key::split(&ty, &bytes).is_ok());
        prop_assert!(asked <= FACTOR * (bytes.len() + 4), "{} bytes for {} of {}", asked, bytes.len(), ty);
        key::compare(&ty, &bytes, &bytes);
        let _ = key::append(&ty, &bytes, &mut Vec::new());
    }

    #[test]
    fn schemas(mut bytes in bytes(), headed: bool) {
        if headed {
            bytes.splice(..0, *b"isxr\x01\x02");
        }
        let (lifted, asked) = asked_bytes(|| Schema::lift(&bytes));
        prop_assert!(lifted.is_err() && asked <= FACTOR);
        prop_assert!(Schema::decode(&bytes).is_err());
    }
}

#[test]
fn a_count_buys_nothing() {
    let lists = [Type::U8, Type::U64, Type::String, Type::Option(Box::new(Type::U8))];
    for element in lists {
        let list = Type::List(Box::new(element.clone()));
        let map = Type::Map(Box::new(element), Box::new(Type::Bytes));
        for tail in [0, 1, 4, 8, 60] {
            let bytes = [[0xff; 4].as_slice(), &vec![0; tail]].concat();
            check(&list, &bytes);
            check(&map, &bytes);
        }
    }
}

#[test]
fn the_largest_list_is_accepted_within_bounds() {
    let mut bytes = vec![0; isx_row::limits::VALUE_BYTES_MAX];
    let count = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&count.to_le_bytes());
    check(&Type::List(Box::new(Type::U8)), &bytes);
}
