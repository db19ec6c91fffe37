//! A second time through the entries is as the first, and every revision can be stopped at.

use crate::stage::{FOUR, NOW, ONE, Stage, TWO, add, bare, call, caller, requests, session, within, word};
use isx_cluster::{Entry, Goal, Past, Request, Step, StepKind, View};
use isx_row::Time;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Goes through entries to the goal; the version there and the steps.
fn go(past: &mut Past, entries: &[Entry], from: u64, stage: &Stage, goal: Goal) -> (Option<View>, Vec<Step>) {
    let mut steps = Vec::new();
    if let Some(view) = past.reached(goal) {
        return (Some(view), steps);
    }
    for (entry, index) in entries.iter().zip(from..) {
        if let Some(view) = past.apply(index, entry, &stage.twin, goal, &mut |step| steps.push(step)).unwrap() {
            return (Some(view), steps);
        }
    }
    (None, steps)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn every_revision_is_found_again(requests in requests(50), size in 1..30_usize, snapshot in 0..8_usize) {
        let begin = Stage::mounted();
        let (mut first, mut single) = (begin.clone(), begin.clone());
        // What a mount is when it comes to a revision, of a machine that can be looked at after each request.
        let mut known = BTreeMap::new();
        for record in &requests {
            single.apply(vec![record.clone()]);
            for mount in single.machine.view().mounts() {
                known.entry((mount.id(), mount.revision())).or_insert_with(|| mount.state_hash());
            }
        }
        let from = first.machine.applied() + 1;
        let mut entries = Vec::new();
        let mut kept = Past::new(first.machine.clone());
        for (number, batch) in requests.chunks(size).enumerate() {
            let entry = first.entry(batch.to_vec());
            first.try_apply(&entry).unwrap();
            entries.push(entry);
            if number == snapshot {
                kept = Past::new(first.restored().machine);
            }
        }
        let mut whole = Past::new(begin.machine.clone());
        let (reached, steps) = go(&mut whole, &entries, from, &first, Goal::Never);
        prop_assert!(reached.is_none());
        prop_assert_eq!(whole.view().state_hash(), first.machine.state_hash());
        // From a snapshot on it is the same.
        go(&mut kept, &entries, from, &first, Goal::Never);
        prop_assert_eq!(kept.view().state_hash(), first.machine.state_hash());

        for mount in [ONE, TWO, FOUR] {
            let began = begin.machine.view().mount(&mount).unwrap().revision();
            let mut tables = begin.machine.view().mount(&mount).unwrap().database().clone();
            let told: Vec<&Step> = steps.iter().filter(|step| step.mount == mount && step.committed).collect();
            let ended = first.machine.view().mount(&mount).unwrap().revision();
            prop_assert_eq!(told.len() as u64, ended.0 - began.0);
            for (step, revision) in told.into_iter().zip(began.0 + 1..) {
                prop_assert_eq!(step.revision.0, revision);
                let mut past = Past::new(begin.machine.clone());
                let (view, _) = go(&mut past, &entries, from, &first, Goal::Revision(mount, step.revision));
                let view = view.unwrap();
                let at = view.mount(&mount).unwrap();
                prop_assert_eq!((at.revision(), at.changed()), (step.revision, step.time));
                // One that a request passes in a hurry is known by the tables alone.
                if let Some(known) = known.get(&(mount, step.revision)) {
                    prop_assert_eq!(at.state_hash(), *known);
                }
                if let Some(transaction) = &step.transaction {
                    tables.install(&transaction.changes).unwrap();
                }
                if step.kind == StepKind::Upgrade {
                    tables = at.database().clone();
                }
                prop_assert_eq!(tables.state_hash(), at.database().state_hash());
                // Who goes on from there comes to the same end.
                go(&mut past, &entries, from, &first, Goal::Never);
                prop_assert_eq!(past.view().state_hash(), first.machine.state_hash());
            }
        }
    }
}

/// A stage that tells what its requests did.
fn told(stage: &mut Stage, requests: Vec<Request>) -> Vec<Step> {
    let mut past = Past::new(stage.machine.clone());
    let index = stage.machine.applied() + 1;
    let entry = stage.entry(requests.into_iter().zip(1..).map(|(request, nonce)| (nonce, request)).collect());
    stage.try_apply(&entry).unwrap();
    go(&mut past, &[entry], index, stage, Goal::Never).1
}

#[test]
fn steps_say_who_did_what() {
    let mut stage = Stage::mounted();
    let refused = call(ONE, "missing", &[]);
    let connect = Request::Connect { mount: FOUR, session: session(1), principal: caller() };
    let steps = told(
        &mut stage,
        vec![bare(add(ONE, "a", 1)), bare(refused), connect, within(add(ONE, "a", 1), session(1), 1, 1)],
    );
    let lines: Vec<String> = steps
        .iter()
        .map(|step| {
            let rows = step.transaction.as_ref().map_or(0, |transaction| transaction.changes.len());
            assert_eq!((step.principal, step.time), (caller(), NOW));
            format!(
                "{:?} {} at {} {} rows {rows}: {}",
                step.kind,
                step.name,
                step.revision,
                step.committed,
                word(&step.outcome)
            )
        })
        .collect();
    expect_test::expect![[r#"
        Call add at 2 true rows 1: answer at 2
        Call missing at 2 false rows 0: not_found
        Connect came at 2 true rows 1: done
        Call add at 3 true rows 1: answer at 3"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn time_ends_before_the_first_later_entry() {
    let mut stage = Stage::mounted();
    let mut past = Past::new(stage.machine.clone());
    let from = stage.machine.applied() + 1;
    let mut entries = Vec::new();
    for second in 1..=3_i64 {
        stage.time = Time(NOW.0 + second * 1_000_000);
        let entry = stage.entry(vec![(1, bare(add(ONE, "a", 1)))]);
        stage.try_apply(&entry).unwrap();
        entries.push(entry);
    }
    let (view, steps) = go(&mut past, &entries, from, &stage, Goal::Time(Time(NOW.0 + 2_500_000)));
    assert_eq!(view.unwrap().time(), Time(NOW.0 + 2_000_000));
    assert_eq!(steps.len(), 2);
}

#[test]
fn a_call_that_was_passed_over_is_passed_over_again() {
    let mut stage = Stage::mounted();
    let mut past = Past::new(stage.machine.clone());
    let index = stage.machine.applied() + 1;
    let entry = stage.entry(vec![
        (1, bare(add(ONE, "a", 1))),
        (2, bare(call(ONE, "poison", &[]))),
        (3, bare(add(ONE, "a", 1))),
    ]);
    stage.machine.skip(index, 1);
    stage.try_apply(&entry).unwrap();
    let mut blind = past.clone();
    assert!(blind.apply(index, &entry, &stage.twin, Goal::Never, &mut |_| ()).is_err());
    past.skip(index, 1);
    assert!(past.apply(index, &entry, &stage.twin, Goal::Never, &mut |_| ()).unwrap().is_none());
    assert_eq!(past.view().state_hash(), stage.machine.state_hash());
}
