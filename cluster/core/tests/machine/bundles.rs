//! Calls that reach into other mounts of their bundle: both change or neither, wherever batches are cut.

use crate::post::{FIVE, give};
use crate::stage::{NOW, ONE, Stage, TWO, add, bare, call, caller, put, within};
use isx_cluster::twin::Twin;
use isx_cluster::{Goal, Mode, Outcome, Past, Request, Resume};
use isx_row::schema::Way;
use isx_row::{Code, Incarnation, Principal, Revision, SessionId, Value};
use proptest::prelude::*;

fn lend(key: &str, n: u64) -> Request {
    bare(call(FIVE, "lend", &[Value::String(key.into()), Value::U64(n)]))
}

fn revision(stage: &Stage, mount: isx_row::MountId) -> Revision {
    stage.machine.view().mount(&mount).unwrap().revision()
}

/// What can be seen of a machine.
fn seen(stage: &Stage) -> impl PartialEq + std::fmt::Debug + use<> {
    let view = stage.machine.view();
    let rings = [ONE, TWO, FIVE].map(|mount| view.mount(&mount).unwrap().changes_after(Incarnation(5), Revision(0)));
    (stage.machine.state_hash(), rings)
}

#[test]
fn both_change_or_neither() {
    let mut stage = Stage::linked();
    let before = (revision(&stage, FIVE), revision(&stage, ONE));
    let effects = stage.apply(vec![(1, lend("a", 5))]).effects;
    assert_eq!((stage.of(FIVE, "a"), stage.of(ONE, "a")), (5_u64.wrapping_neg(), 5));
    assert_eq!((revision(&stage, FIVE), revision(&stage, ONE)), (before.0.next(), before.1.next()));
    assert!(effects.log.iter().any(|line| line.mount == ONE && line.text == "ran add"));
    // Who follows the other hears of it.
    assert!(effects.mounts[&ONE].transactions.iter().any(|one| one.revision == before.1.next()));
    let resumed = stage.machine.view().mount(&ONE).unwrap().changes_after(Incarnation(5), before.1);
    let Resume::Continue { transactions, .. } = resumed else { panic!("{resumed:?}") };
    assert_eq!(transactions.len(), 1);

    let state = seen(&stage);
    let Outcome::Application { text, .. } = stage.one(lend("never", 5)) else { panic!("it was to fail") };
    assert_eq!(text, "it fails, as asked");
    assert_eq!((stage.of(FIVE, "never"), stage.of(ONE, "never")), (0, 0));
    assert_eq!(seen(&stage), state);
    stage.machine.audit().unwrap();
    assert_eq!(stage.restored().machine.state_hash(), stage.machine.state_hash());
}

#[test]
fn once_under_a_session() {
    let mut stage = Stage::linked();
    let request = || {
        let lend = call(FIVE, "lend", &[Value::String("a".into()), Value::U64(5)]);
        within(lend, SessionId::new(NOW, 1), 1, 1)
    };
    let outcomes = stage.all(vec![request(), bare(add(ONE, "a", 1)), request()]);
    assert_eq!(outcomes[0], outcomes[2]);
    assert_eq!(stage.one(request()), outcomes[0]);
    assert_eq!(stage.of(ONE, "a"), 6);
}

#[test]
fn a_bundle_waits_as_one_while_rows_of_any_move() {
    let mut stage = Stage::linked();
    stage.carry();
    stage.all(vec![bare(put(ONE, "row", vec![1])), lend("a", 1), give("b", 1)]);
    let upgrade =
        Request::Upgrade { mount: ONE, expected: Twin::module(0).code, module: Twin::migrating(3), way: Way::On };
    assert!(matches!(stage.one(upgrade), Outcome::Migrating { .. }));
    let Outcome::Refused(error) = stage.one(lend("a", 5)) else { panic!("it waits") };
    assert_eq!(error.code, Code::Busy);
    assert_eq!(stage.of(FIVE, "a"), 1_u64.wrapping_neg());
    // What is on its way stays there, and uses up no number of a session.
    assert_eq!(stage.outgoing().len(), 0);
    let asked =
        || within(call(FIVE, "lend", &[Value::String("a".into()), Value::U64(5)]), SessionId::new(NOW, 1), 1, 1);
    assert!(matches!(stage.one(asked()), Outcome::Refused(error) if error.code == Code::Busy));
    assert_eq!(stage.restored().outgoing().len(), 0);
    let mut moved = 0;
    while let Outcome::Migrating { moved: so_far, .. } = stage.one(Request::Migrate { mount: ONE, moved }) {
        moved = so_far;
    }
    assert!(matches!(stage.one(asked()), Outcome::Answer { .. }));
    assert_eq!((stage.of(FIVE, "a"), stage.of(ONE, "a")), (6_u64.wrapping_neg(), 6));
    assert!(!stage.outgoing().is_empty());
    stage.carry();
    assert_eq!(stage.of(ONE, "b"), 1);
    stage.machine.audit().unwrap();
}

#[test]
fn a_mount_that_is_gone_is_an_error_for_who_calls() {
    let mut stage = Stage::linked();
    stage.one(Request::DropMount { mount: ONE });
    let Outcome::Application { text, .. } = stage.one(lend("a", 5)) else { panic!("it is gone") };
    assert!(text.contains("was removed"), "{text}");
    assert_eq!(stage.of(FIVE, "a"), 0);
}

#[test]
fn an_entry_waits_for_the_code_of_all_mounts_that_it_reaches() {
    let mut stage = Stage::linked();
    let before = stage.machine.state_hash();
    stage.twin.missing = Some(Twin::module(0).code);
    let entry = stage.entry(vec![(1, lend("a", 5))]);
    let held = stage.try_apply(&entry).unwrap_err();
    assert_eq!(held, isx_cluster::Hold::NoCode(Twin::module(0).code));
    assert_eq!(stage.machine.state_hash(), before);
    stage.twin.missing = None;
    stage.try_apply(&entry).unwrap();
    assert_eq!(stage.of(ONE, "a"), 5);
}

#[test]
fn the_past_of_the_other_has_it_too() {
    let mut stage = Stage::linked();
    let mut past = Past::new(stage.machine.clone());
    let at = revision(&stage, ONE).next();
    let entry = stage.entry(vec![(1, lend("a", 5)), (2, bare(add(ONE, "a", 1)))]);
    let index = stage.machine.applied() + 1;
    stage.try_apply(&entry).unwrap();
    let mut steps = Vec::new();
    let tell = &mut |step| steps.push(step);
    let view = past.apply(index, &entry, &stage.twin, Goal::Revision(ONE, at), tell).unwrap().unwrap();
    assert_eq!(view.mount(&ONE).unwrap().revision(), at);
    let told: Vec<_> =
        steps.iter().map(|step| (step.mount, step.revision, step.name.as_str(), step.principal)).collect();
    let lent = revision(&stage, FIVE);
    assert_eq!(told, [(ONE, at, "lend", Principal::of_mount(&FIVE)), (FIVE, lent, "lend", caller())]);
}

#[test]
fn what_it_would_do_elsewhere_is_told_and_not_done() {
    let stage = Stage::linked();
    let call = call(FIVE, "lend", &[Value::String("a".into()), Value::U64(5)]);
    let view = stage.machine.view();
    let entry = isx_store::EntryContext { time: NOW, seed: [0; 32] };
    let (executed, joined) = view.mount(&FIVE).unwrap().dry_run(&stage.twin, &call, &entry).unwrap();
    assert_ne!(joined[0].root.state_hash(), view.mount(&ONE).unwrap().database().state_hash());
    assert!(executed.outcome.is_ok());
    assert_eq!(executed.joined.iter().map(|one| (one.mount, one.changes.len())).collect::<Vec<_>>(), [(ONE, 1)]);
    assert_eq!(stage.of(ONE, "a"), 0);
}

fn requests() -> impl Strategy<Value = Vec<(u64, Request)>> {
    let request = (0..6_u8, 0..3_usize, any::<u8>()).prop_map(|(kind, key, n)| {
        let (key, n) = (["a", "b", "never"][key], u64::from(n));
        match kind {
            0 | 1 => lend(key, n),
            2 => bare(add(ONE, key, n)),
            3 => bare(put(ONE, key, vec![n as u8])),
            4 => give(key, n),
            _ => bare(add(TWO, key, n)),
        }
    });
    prop::collection::vec(request, 1..60).prop_map(|all| (1..).zip(all).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn batched_equals_unbatched_and_effects_equal_calls(requests in requests(), size in 1..30_usize) {
        let mut single = Stage::linked();
        let (mut batched, mut replica) = (single.clone(), single.clone());
        let mut expected = Vec::new();
        for record in &requests {
            expected.extend(single.apply(vec![record.clone()]).outcomes);
        }
        let mut outcomes = Vec::new();
        for batch in requests.chunks(size) {
            let entry = batched.entry(batch.to_vec());
            let effects = batched.machine.with_effects(batched.machine.applied() + 1, &entry, &batched.twin).unwrap();
            prop_assert_eq!(effects.mode, Mode::Effects);
            replica.twin.missing = Some(Twin::module(0).code);
            let executed = batched.try_apply(&entry).unwrap();
            let installed = replica.try_apply(&effects).unwrap();
            prop_assert_eq!(&executed.outcomes, &installed.outcomes);
            prop_assert_eq!(&executed.effects.mounts, &installed.effects.mounts);
            outcomes.extend(executed.outcomes);
        }
        prop_assert_eq!(outcomes, expected);
        prop_assert_eq!(seen(&batched), seen(&single));
        prop_assert_eq!(seen(&replica), seen(&single));
        batched.machine.audit().unwrap();
    }
}
