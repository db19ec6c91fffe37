//! Preconditions: looked at when it is the call's turn, and answered once.

use crate::stage::{FOUR, ONE, Stage, add, bare, counter, session, total, within};
use isx_cluster::twin::Twin;
use isx_cluster::{Outcome, ReducerCall, Request};
use isx_row::{Bytes, Code, Condition, Error, Incarnation, Revision, RowKey, Signature};

fn only_if(call: ReducerCall, conditions: &[Condition]) -> ReducerCall {
    ReducerCall { conditions: conditions.to_vec(), ..call }
}

fn refused(outcome: &Outcome) -> Error {
    match outcome {
        Outcome::Refused(error) => error.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_condition_sees_what_was_done_before_it_in_the_same_entry() {
    let mut stage = Stage::mounted();
    let steps: Vec<Request> = (0..8_u64).map(|n| bare(only_if(add(ONE, "a", 1), &[Twin::holds("a", n)]))).collect();
    let mut requests = vec![bare(only_if(add(ONE, "a", 0), &[Condition::Absent(counter("a"))]))];
    requests.extend(steps.clone());
    let done = stage.all(requests);
    assert_eq!(done.iter().map(total).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    // Each was true once.
    for outcome in stage.all(steps) {
        assert_eq!(refused(&outcome).code, Code::Conflict);
    }
}

#[test]
fn a_conflict_names_both_sides_and_changes_nothing() {
    let mut stage = Stage::mounted();
    stage.all(vec![bare(add(ONE, "a", 5))]);
    let before = stage.machine.view().mount(&ONE).unwrap().revision();
    let mut says = |condition: Condition| {
        let error = refused(&stage.one(bare(only_if(add(ONE, "a", 1), &[condition]))));
        format!("{}: {}", error.code.word(), error.text)
    };
    let other = RowKey { signature: Signature([1; 16]), ..counter("a") };
    let short = Condition::Holds { row: counter("a"), column: "total".into(), value: Bytes(vec![1]) };
    let nameless = Condition::Holds { row: counter("a"), column: "sum".into(), value: Bytes(vec![1]) };
    let told = [
        says(Twin::holds("a", 4)),
        says(Condition::Absent(counter("a"))),
        says(Condition::Present(counter("b"))),
        says(Condition::At { revision: Revision(77), incarnation: None }),
        says(Condition::At { revision: before, incarnation: Some(Incarnation(6)) }),
        says(Condition::Present(other)),
        says(Condition::Present(RowKey { table: "nothing".into(), ..counter("a") })),
        says(short),
        says(nameless),
    ];
    expect_test::expect![[r#"
        conflict: table count: total is 5, not 4
        conflict: table count: a row is there that was expected to be absent
        conflict: table count: no row is there that was expected to be
        conflict: the mount is at revision 2, not 77
        conflict: the mount is incarnation 5, not 6
        stale_bindings: table count has other columns by now
        not_found: table nothing is not found
        bad_arguments: the value for column total of table count: the bytes end too early
        not_found: table count has no column sum"#]]
    .assert_eq(&told.join("\n"));
    assert_eq!(stage.machine.view().mount(&ONE).unwrap().revision(), before);
    let now = Condition::At { revision: before, incarnation: Some(Incarnation(5)) };
    assert_eq!(total(&stage.one(bare(only_if(add(ONE, "a", 1), &[now])))), 6);
}

#[test]
fn a_call_asked_again_is_answered_as_it_was_whatever_holds_by_then() {
    let mut stage = Stage::mounted();
    let first = within(only_if(add(ONE, "a", 1), &[Condition::Absent(counter("a"))]), session(1), 1, 1);
    let second = within(only_if(add(ONE, "a", 1), &[Condition::Absent(counter("a"))]), session(1), 2, 1);
    let done = stage.all(vec![first.clone(), second.clone(), first.clone(), second.clone()]);
    assert_eq!((total(&done[0]), &done[0]), (1, &done[2]));
    assert_eq!(refused(&done[1]).code, Code::Conflict);
    assert_eq!(done[1], done[3]);
    let mut stage = stage.restored();
    assert_eq!(stage.all(vec![first, second]), done[..2]);
}

#[test]
fn what_a_caller_may_not_read_it_may_not_ask_for() {
    let mut stage = Stage::mounted();
    let mut asks = |table: &str, trusted| {
        let row = RowKey { table: table.into(), ..counter("a") };
        let call = ReducerCall { trusted, ..only_if(add(FOUR, "a", 1), &[Condition::Absent(row)]) };
        match stage.one(bare(call)) {
            Outcome::Refused(error) => error.code.word().to_owned(),
            _ => "made".to_owned(),
        }
    };
    // A private table looks like one that is not there; tables of messages are nobody's.
    let asked = [("online", false), ("online", true), ("kv", false), (".outbox", true), ("nothing", true)];
    let told: Vec<String> = asked.into_iter().map(|(table, trusted)| asks(table, trusted)).collect();
    assert_eq!(told, ["not_found", "made", "made", "not_found", "not_found"]);
}
