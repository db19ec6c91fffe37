//! A call in a session runs once, and its answer never changes.

use crate::stage::{NOW, ONE, Stage, add, bare, call, session, total, within, word};
use isx_cluster::{Outcome, Request};
use isx_row::{Principal, SessionId, Time, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Copies of calls 1.. in some order that a network and a client with a window make: (sequence, copy).
fn deliveries() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((1..4_usize, 0..12_u64, 0..12_u64, 0..12_u64), 1..60).prop_map(|calls| {
        let mut sent = Vec::new();
        for (sequence, (copies, a, b, c)) in (1..).zip(calls) {
            sent.extend([a, b, c].iter().take(copies).map(|late| (sequence + late, sequence)));
        }
        sent.sort_unstable();
        sent.into_iter().map(|(_, sequence)| sequence).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn copies_run_once(deliveries in deliveries(), size in 1..20_usize) {
        let mut stage = Stage::mounted();
        let mut first: BTreeMap<u64, Outcome> = BTreeMap::new();
        for batch in deliveries.chunks(size) {
            // The client is done with what it was answered, as far as there is no gap.
            let done_below = (1..).find(|sequence| !first.contains_key(sequence)).unwrap_or(1);
            let requests = batch.iter().map(|sequence| {
                within(add(ONE, "a", *sequence), session(1), *sequence, done_below.min(*sequence))
            });
            let outcomes = stage.all(requests.collect());
            for (sequence, outcome) in batch.iter().zip(outcomes) {
                match first.get(sequence) {
                    None => {
                        first.insert(*sequence, outcome);
                    }
                    // It was done with: refused, not run.
                    Some(_) if word(&outcome) == "window" => prop_assert!(*sequence < done_below),
                    Some(before) => prop_assert_eq!(before, &outcome),
                }
            }
        }
        let sum: u64 = first.keys().sum();
        prop_assert_eq!(stage.query(ONE, "total", "a"), Value::U64(sum));
        let highest = first.values().map(total).max();
        prop_assert_eq!(highest, Some(sum));
    }
}

fn check(stage: &mut Stage, request: Request, expect: &str) {
    assert_eq!(word(&stage.one(request)), expect);
}

#[test]
fn errors_are_answers_too() {
    let mut stage = Stage::mounted();
    let fail = || within(call(ONE, "fail", &[Value::String("a".into())]), session(1), 1, 1);
    let first = stage.one(fail());
    assert_eq!(word(&first), "application");
    assert_eq!(stage.one(fail()), first);
    assert_eq!(stage.query(ONE, "get", "a"), Value::Option(None));
    check(&mut stage, within(call(ONE, "nothing", &[]), session(1), 2, 1), "not_found");
    // The same sequence with another call: the first one's answer.
    check(&mut stage, within(add(ONE, "a", 1), session(1), 2, 1), "not_found");
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(0));
}

#[test]
fn large_answers_are_kept_as_hash() {
    let mut stage = Stage::mounted();
    let large = || within(call(ONE, "large", &[Value::U32(5000)]), session(1), 1, 1);
    let outcomes = stage.all(vec![large(), large()]);
    assert_eq!(outcomes.iter().map(word).collect::<Vec<_>>(), ["answer at 2", "large 5006"]);
    let again = stage.one(large());
    assert_eq!(again, outcomes[1]);
    assert!(again.into_answer().unwrap_err().text.starts_with("the call committed at revision 2"));
}

#[test]
fn the_window() {
    let mut stage = Stage::mounted();
    let mut at = |sequence, done_below, expect: &str| {
        check(&mut stage, within(add(ONE, "a", 1), session(1), sequence, done_below), expect);
    };
    at(1024, 1, "answer at 2");
    at(1025, 1, "window");
    at(1, 1, "answer at 3");
    at(1025, 2, "answer at 4");
    at(1, 1, "window");
    at(2, 1, "answer at 5");
    at(0, 1, "bad_arguments");
    at(3, 4, "bad_arguments");
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(4));
}

#[test]
fn birth_decides_what_is_new() {
    const HOUR: i64 = 3600 * 1_000_000;
    let mut stage = Stage::mounted();
    let mut born = |birth: i64, expect: &str| {
        let id = SessionId::new(Time(birth), 1);
        check(&mut stage, within(add(ONE, "a", 1), id, 1, 1), expect);
    };
    born(NOW.0 - HOUR, "answer at 2");
    born(NOW.0 - HOUR - 1, "expired");
    born(NOW.0 + 4 * 60 * 1_000_000, "answer at 3");
    born(NOW.0 + 6 * 60 * 1_000_000, "expired");
    born(i64::MIN, "expired");
    born(i64::MAX, "expired");
}

#[test]
fn a_forgotten_session_is_never_new_again() {
    const MINUTE: i64 = 60 * 1_000_000;
    let mut stage = Stage::mounted();
    check(&mut stage, within(add(ONE, "a", 1), session(1), 1, 1), "answer at 2");
    // Young enough to be new, were it not for the horizon.
    stage.time = Time(NOW.0 + 61 * MINUTE);
    let late = SessionId::new(Time(stage.time.0 - 2 * MINUTE), 2);
    check(&mut stage, within(add(ONE, "a", 1), late, 1, 1), "answer at 3");
    check(&mut stage, Request::Tick, "done");
    check(&mut stage, within(add(ONE, "a", 1), session(1), 1, 1), "expired");
    check(&mut stage, within(add(ONE, "a", 1), late, 1, 1), "answer at 3");
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(2));
}

#[test]
fn too_many_sessions_forget_the_least_recent() {
    let mut stage = Stage::mounted();
    // One that is born first and called last stays; the second-born goes.
    let id = |number: u64| SessionId::new(Time(NOW.0 + number as i64), number);
    for batch in (0..4096_u64).collect::<Vec<_>>().chunks(1024) {
        stage.all(batch.iter().map(|number| within(add(ONE, "a", 1), id(*number), 1, 1)).collect());
    }
    stage.time = Time(NOW.0 + 2_000_000);
    check(&mut stage, within(add(ONE, "a", 1), id(0), 2, 1), "answer at 4098");
    check(&mut stage, within(add(ONE, "a", 1), id(5000), 1, 1), "answer at 4099");
    check(&mut stage, within(add(ONE, "a", 1), id(1), 1, 1), "expired");
    check(&mut stage, within(add(ONE, "a", 1), id(0), 1, 1), "answer at 2");
    check(&mut stage, within(add(ONE, "a", 1), id(2), 1, 1), "answer at 4");
    stage.machine.audit().unwrap();
}

#[test]
fn a_session_belongs_to_its_principal() {
    let mut stage = Stage::mounted();
    check(&mut stage, within(add(ONE, "a", 1), session(1), 1, 1), "answer at 2");
    let mut stolen = add(ONE, "a", 1);
    stolen.principal = Principal::of_peer(&[8; 32]);
    check(&mut stage, within(stolen, session(1), 1, 1), "expired");
}

#[test]
fn without_a_session_each_copy_runs() {
    let mut stage = Stage::mounted();
    stage.all(vec![bare(add(ONE, "a", 1)), bare(add(ONE, "a", 1))]);
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(2));
}
