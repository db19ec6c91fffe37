//! Where batches are cut, and whether calls are executed or their effects installed, changes nothing.

use crate::stage::{ONE, Stage, TWO, requests};
use isx_cluster::{Mode, Request};
use isx_row::{Incarnation, Revision};
use proptest::prelude::*;

/// What can be seen of a machine.
fn seen(stage: &Stage) -> impl PartialEq + std::fmt::Debug + use<> {
    let view = stage.machine.view();
    let rings = [ONE, TWO].map(|mount| view.mount(&mount).unwrap().changes_after(Incarnation(5), Revision(0)));
    (stage.machine.state_hash(), rings)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn batched_equals_unbatched(requests in requests(60), cuts in prop::collection::vec(1..20_usize, 60)) {
        let (mut batched, mut single) = (Stage::mounted(), Stage::mounted());
        let mut expected = Vec::new();
        for record in &requests {
            expected.extend(single.apply(vec![record.clone()]).outcomes);
        }
        let mut outcomes = Vec::new();
        let mut rest = requests.as_slice();
        for cut in cuts {
            let (batch, more) = rest.split_at(cut.min(rest.len()));
            rest = more;
            if !batch.is_empty() {
                outcomes.extend(batched.apply(batch.to_vec()).outcomes);
            }
        }
        prop_assert_eq!(outcomes, expected);
        prop_assert_eq!(seen(&batched), seen(&single));
        batched.machine.audit().unwrap();
    }

    #[test]
    fn effects_equal_calls(requests in requests(60), size in 1..30_usize) {
        let (mut leader, mut replica) = (Stage::mounted(), Stage::mounted());
        for batch in requests.chunks(size) {
            let entry = leader.entry(batch.to_vec());
            let index = leader.machine.applied() + 1;
            let untouched = leader.machine.state_hash();
            let effects = leader.machine.with_effects(index, &entry, &leader.twin).unwrap();
            prop_assert_eq!(leader.machine.state_hash(), untouched);
            prop_assert_eq!(effects.mode, Mode::Effects);
            // Whoever installs needs no code.
            replica.twin.missing = Some(isx_cluster::twin::Twin::module(0).code);
            let executed = leader.try_apply(&entry).unwrap();
            let installed = replica.try_apply(&effects).unwrap();
            prop_assert_eq!(executed.outcomes, installed.outcomes);
            prop_assert_eq!(executed.effects.mounts, installed.effects.mounts);
        }
        prop_assert_eq!(seen(&leader), seen(&replica));
    }
}

#[test]
fn mounts_do_not_disturb_each_other() {
    use crate::stage::{add, bare};
    let (mut mixed, mut apart) = (Stage::mounted(), Stage::mounted());
    let calls = |mount| (0..4).map(move |n| bare(add(mount, "a", n)));
    let woven: Vec<Request> = calls(ONE).zip(calls(TWO)).flat_map(|(one, two)| [one, two]).collect();
    mixed.all(woven);
    apart.all(calls(ONE).collect());
    apart.all(calls(TWO).collect());
    assert_eq!(seen(&mixed), seen(&apart));
}

#[test]
fn forgetting_does_not_depend_on_batches() {
    use crate::stage::{NOW, add, within};
    use isx_row::{SessionId, Time};
    let (mut batched, mut single) = (Stage::mounted(), Stage::mounted());
    // More sessions than are kept, born in another order than they call, and some calling again after that.
    let id = |number: u64| SessionId::new(Time(NOW.0 + (number % 7) as i64), number);
    let numbers = (0..4200_u64).chain((0..4200).step_by(50));
    let requests: Vec<_> = numbers.map(|number| within(add(ONE, "a", 1), id(number), 1, 1)).collect();
    let expected: Vec<_> = requests.iter().map(|request| single.one(request.clone())).collect();
    let outcomes = batched.apply(requests.into_iter().map(|request| (1, request)).collect()).outcomes;
    assert!(outcomes == expected);
    assert_eq!(seen(&batched), seen(&single));
    let words = outcomes.iter().skip(4200).filter(|outcome| crate::stage::word(outcome) == "expired");
    assert!(words.count() > 0);
}

#[test]
fn each_call_has_its_own_place_in_the_random_stream() {
    use crate::stage::{bare, call, total};
    use isx_row::Value;
    use std::collections::BTreeSet;
    let mut stage = Stage::mounted();
    let draw = |n: u64| (n, bare(call(ONE, "draw", &[Value::String(format!("key {n}"))])));
    let drawn = |outcomes: &[isx_cluster::Outcome]| outcomes.iter().map(total).collect::<Vec<_>>();
    let first = drawn(&stage.clone().apply((0..16).map(draw).collect()).outcomes);
    assert!(first.iter().collect::<BTreeSet<_>>().len() > 8, "{first:?}");
    // A copy of the call has its place, wherever it stands.
    let second = drawn(&stage.apply((0..16).rev().map(draw).collect()).outcomes);
    assert_eq!(first, second.into_iter().rev().collect::<Vec<_>>());
}
