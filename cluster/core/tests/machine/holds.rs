//! A hold leaves no trace, and what cures it lets the machine go on.

use crate::stage::{ONE, Stage, TWO, add, bare, call, create, requests, session, within, word};
use isx_cluster::twin::Twin;
use isx_cluster::{Entry, EntryHeader, Hold, Mode, Request};
use isx_row::schema::Way;
use isx_row::{MountId, Value};
use isx_store::ExecutionId;
use proptest::prelude::*;

fn check(stage: &mut Stage, entry: &Entry, expect: Hold) {
    let before = (stage.machine.state_hash(), stage.machine.applied());
    assert_eq!(stage.try_apply(entry), Err(expect));
    assert_eq!((stage.machine.state_hash(), stage.machine.applied()), before);
    stage.machine.audit().unwrap();
}

fn entry(stage: &Stage, requests: Vec<Request>) -> Entry {
    stage.entry(requests.into_iter().zip(1..).map(|(request, nonce)| (nonce, request)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_poisoned_call_anywhere(before in requests(20), after in requests(20)) {
        let mut stage = Stage::mounted();
        stage.all(vec![within(add(ONE, "a", 1), session(1), 1, 1)]);
        let position = before.len();
        let mut records = before;
        records.push((0, bare(call(ONE, "poison", &[]))));
        records.extend(after);
        let entry = stage.entry(records.clone());
        check(&mut stage, &entry, Hold::Poisoned { position });

        // Passed over, the others are as if it had not been there.
        let mut without = stage.clone();
        records.remove(position);
        let expected = without.apply(records).outcomes;
        stage.machine.skip(stage.machine.applied() + 1, position as u32);
        let mut outcomes = stage.try_apply(&entry).unwrap().outcomes;
        prop_assert_eq!(word(&outcomes.remove(position)), "trap");
        prop_assert_eq!(outcomes, expected);
        prop_assert_eq!(stage.machine.state_hash(), without.machine.state_hash());
    }
}

#[test]
fn a_skip_is_an_answer() {
    let mut stage = Stage::mounted();
    let poison = || within(call(ONE, "poison", &[]), session(1), 1, 1);
    let held = entry(&stage, vec![poison()]);
    check(&mut stage, &held, Hold::Poisoned { position: 0 });
    let index = stage.machine.applied() + 1;
    stage.machine.skip(index, 0);
    assert_eq!(word(&stage.try_apply(&held).unwrap().outcomes[0]), "trap");
    assert_eq!(word(&stage.one(poison())), "trap");
    // The entry that named it is only a note.
    assert_eq!(word(&stage.one(Request::Skip { index, position: 0 })), "done");
    assert_eq!(word(&stage.one(Request::Skip { index: index + 100, position: 0 })), "bad_arguments");
}

#[test]
fn missing_code() {
    let mut stage = Stage::mounted();
    let upgrade =
        Request::Upgrade { mount: ONE, expected: Twin::module(0).code, module: Twin::module(1), way: Way::On };
    let newer = Twin::module(1).code;
    stage.twin.missing = Some(newer);
    let held = entry(&stage, vec![bare(add(TWO, "a", 1)), upgrade, bare(add(ONE, "a", 1))]);
    check(&mut stage, &held, Hold::NoCode(newer));
    let tick = entry(&stage, vec![Request::Tick]);
    stage.clone().try_apply(&tick).unwrap();
    stage.twin.missing = None;
    let words: Vec<_> = stage.try_apply(&held).unwrap().outcomes.iter().map(word).collect();
    assert_eq!(words, ["answer at 2", "mounted at 2, version 2", "answer at 3"]);

    let mut stage = Stage::mounted();
    let older = Twin::module(0).code;
    stage.twin.missing = Some(older);
    let held = entry(&stage, vec![bare(add(ONE, "a", 1))]);
    check(&mut stage, &held, Hold::NoCode(older));
    let held = entry(&stage, vec![create(MountId([3; 16]))]);
    check(&mut stage, &held, Hold::NoCode(older));
    // Repeating a step needs no code.
    assert_eq!(word(&stage.one(create(ONE))), "mounted at 1, version 1");
}

#[test]
fn another_execution_id_or_level() {
    let mut stage = Stage::mounted();
    let mut held = entry(&stage, vec![bare(add(ONE, "a", 1))]);
    held.header.execution = ExecutionId([7; 32]);
    let here = ExecutionId([0; 32]);
    check(&mut stage, &held, Hold::Execution { entry: ExecutionId([7; 32]), here });
    held.header = EntryHeader { level: 9, execution: here, ..held.header };
    check(&mut stage, &held, Hold::Level { needs: 9 });
}

#[test]
fn an_entry_twice() {
    let mut stage = Stage::mounted();
    let entry = entry(&stage, vec![bare(add(ONE, "a", 1))]);
    let index = stage.machine.applied() + 1;
    stage.machine.apply(index, &entry, &stage.twin).unwrap();
    assert_eq!(stage.machine.apply(index, &entry, &stage.twin), Err(Hold::Applied { applied: index }));
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(1));
}

#[test]
fn effects_that_do_not_fit() {
    let mut stage = Stage::mounted();
    let calls = entry(&stage, vec![bare(add(ONE, "a", 1)), bare(add(ONE, "a", 2))]);
    let good = stage.machine.with_effects(stage.machine.applied() + 1, &calls, &stage.twin).unwrap();
    let mut missing = good.clone();
    missing.records[1].effect = None;
    check(&mut stage, &missing, Hold::Diverged { position: 1 });
    let mut wrong = good.clone();
    wrong.records[1].effect.as_mut().unwrap().after[0] ^= 1;
    check(&mut stage, &wrong, Hold::Diverged { position: 1 });
    let mut swapped = good.clone();
    let (first, rest) = swapped.records.split_at_mut(1);
    std::mem::swap(&mut first[0].effect, &mut rest[0].effect);
    check(&mut stage, &swapped, Hold::Diverged { position: 0 });
    // Effects of another state.
    let mut other = stage.clone();
    other.all(vec![bare(add(ONE, "a", 5))]);
    check(&mut other, &good, Hold::Diverged { position: 0 });
    assert_eq!(good.mode, Mode::Effects);
    stage.try_apply(&good).unwrap();
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(3));
}
