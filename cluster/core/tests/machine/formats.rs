//! Formats: one encoding a value, known bytes, and no panic for any.

use crate::stage::{NOW, ONE, Stage, add, bare, requests};
use expect_test::expect;
use isx_anchors::wire::Wire;
use isx_cluster::limits::{ENTRY_BYTES_MAX, ENTRY_ROOM_BYTES, LOCATORS_MAX};
use isx_cluster::{Entry, EntryHeader, Outcome, Request};
use isx_store::ExecutionId;
use proptest::prelude::*;
use std::collections::BTreeSet;

const HEADER: EntryHeader = EntryHeader { level: 1, execution: ExecutionId([0xee; 32]), time: NOW };

/// Changes bytes somewhere: one replaced, one gone, or one more.
fn damaged(mut bytes: Vec<u8>, at: prop::sample::Index, byte: u8, how: u8) -> Vec<u8> {
    let at = at.index(bytes.len());
    match how {
        0 => bytes[at] = byte,
        1 => drop(bytes.remove(at)),
        _ => bytes.insert(at, byte),
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn entries_round_trip(requests in requests(20), at in any::<prop::sample::Index>(), byte: u8, how in 0..3_u8) {
        let stage = Stage::mounted();
        let calls = stage.entry(requests);
        let effects = stage.machine.with_effects(stage.machine.applied() + 1, &calls, &stage.twin).unwrap();
        for entry in [calls, effects] {
            let bytes = entry.encode().unwrap();
            prop_assert_eq!(&Entry::decode(&bytes).unwrap(), &entry);
            let damaged = damaged(bytes.clone(), at, byte, how);
            prop_assert!(damaged == bytes || Entry::decode(&damaged).is_err());
        }
    }

    #[test]
    fn a_body_has_one_encoding(requests in requests(20), at in any::<prop::sample::Index>(), byte: u8, how in 0..3_u8) {
        // As a hostile proposer writes it: with length and checksum that fit.
        let stage = Stage::mounted();
        let calls = stage.entry(requests);
        let effects = stage.machine.with_effects(stage.machine.applied() + 1, &calls, &stage.twin).unwrap();
        let bytes = effects.encode().unwrap();
        let body = damaged(bytes[14..].to_vec(), at, byte, how);
        let mut forged = bytes[..6].to_vec();
        forged.extend_from_slice(&(body.len() as u32).to_le_bytes());
        forged.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        forged.extend_from_slice(&body);
        if let Ok(entry) = Entry::decode(&forged) {
            prop_assert_eq!(entry.encode().unwrap(), forged);
            // Whatever it says, applying it does not panic.
            let mut stage = stage;
            let _ = stage.machine.apply(stage.machine.applied() + 1, &entry, &stage.twin);
            stage.machine.audit().unwrap();
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Entry::decode(&bytes);
        if let Ok(request) = Request::from_wire(&bytes) {
            prop_assert_eq!(request.to_wire(), bytes.clone());
        }
        if let Ok(outcome) = Outcome::from_wire(&bytes) {
            prop_assert_eq!(outcome.to_wire(), bytes);
        }
    }

    #[test]
    fn outcomes_round_trip(requests in requests(40)) {
        for outcome in Stage::mounted().apply(requests).outcomes {
            prop_assert_eq!(Outcome::from_wire(&outcome.to_wire()).unwrap(), outcome);
        }
    }

    #[test]
    fn packing_keeps_order_and_bound(sizes in prop::collection::vec(0..250_000_usize, 1..8)) {
        let requests: Vec<Request> = sizes.iter().map(|size| {
            let mut call = add(ONE, "a", *size as u64);
            call.payload = vec![0; *size];
            bare(call)
        }).collect();
        let packed: Vec<_> = requests.iter().map(|request| request.pack().unwrap()).collect();
        let room: usize = packed.iter().map(isx_cluster::Packed::room_bytes).sum();
        match Entry::pack(HEADER, &[1; 32], &packed) {
            Ok(bytes) => {
                prop_assert!(room <= ENTRY_ROOM_BYTES && bytes.len() <= ENTRY_BYTES_MAX);
                let entry = Entry::decode(&bytes).unwrap();
                prop_assert_eq!(&entry.encode().unwrap(), &bytes);
                prop_assert_eq!(entry.records.into_iter().map(|record| record.request).collect::<Vec<_>>(), requests);
            }
            Err(error) => prop_assert!(room > ENTRY_ROOM_BYTES, "{}", error),
        }
    }

    /// A call's bounds are looked at, not read back: both must refuse the same.
    #[test]
    fn packed_calls_can_be_read_back(
        name in 0..80_usize, payload in 262_100..262_200_usize, locators in 0..70_usize, locator in 1000..1050_usize, hops in 0..20_u8,
    ) {
        let mut call = add(ONE, &"x".repeat(name), 1);
        call.payload = vec![7; payload];
        call.locators = vec![vec![1; locator]; locators];
        call.hops = hops;
        let request = bare(call);
        let read = Request::from_wire(&request.to_wire());
        prop_assert_eq!(request.pack().map(drop).map_err(|error| error.to_string()), read.map(drop).map_err(|error| format!("limit: request: {error}")));
    }
}

#[test]
fn nonces_are_drawn_apart() {
    let packed = vec![Request::Tick.pack().unwrap(); 4096];
    let nonces = |seed| -> BTreeSet<u64> {
        let entry = Entry::decode(&Entry::pack(HEADER, &[seed; 32], &packed).unwrap()).unwrap();
        entry.records.iter().map(|record| record.nonce).collect()
    };
    assert_eq!(nonces(1).union(&nonces(2)).count(), 2 * 4096);
}

#[test]
fn known_bytes() {
    let packed = [Request::Tick, bare(add(ONE, "a", 3))].map(|request| request.pack().unwrap());
    let bytes = Entry::pack(HEADER, &[0; 32], &packed).unwrap();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<_> = text.as_bytes().chunks(96).map(|line| std::str::from_utf8(line).unwrap()).collect();
    expect![[r#"
        495358450100c10000004e3543b60100eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
        0100401e18240a060002000000245097bfbd7049db01000000082fb9a8004cb070f17900000001010101010101010101
        0101010101010103000000616464000000000000000000000000000000000010c88922147f11129b9ade6083544df69b
        cdb6aae56c285eb9eed0f44a4b7ca4000000000000000000000000000000000000000000000000000f00000000000100
        000003000000000000006100000000"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn requests_over_a_bound() {
    let check = |change: fn(&mut isx_cluster::ReducerCall), expect: &str| {
        let mut call = add(ONE, "a", 1);
        change(&mut call);
        let shown = bare(call).pack().map_or_else(|error| error.to_string(), |_| "fits".into());
        assert_eq!(shown, expect);
    };
    check(|_| (), "fits");
    check(|call| call.payload = vec![0; 256 * 1024], "fits");
    check(|call| call.payload = vec![0; 256 * 1024 + 1], "limit: request: over the limit VALUE_BYTES_MAX");
    check(|call| call.hops = 17, "limit: request: over the limit HOPS_MAX");
    check(|call| call.name = "x".repeat(65), "limit: request: over the limit NAME_BYTES_MAX");
    check(|call| call.locators = vec![vec![]; LOCATORS_MAX + 1], "limit: request: over the limit LOCATORS_MAX");
    check(|call| call.locators = vec![vec![0; 1025]], "limit: request: over the limit LOCATOR_BYTES_MAX");
}
