//! The instance law: no outcome depends on where lists are cut.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod modules;

use isx_exec::{Cut, Difference, What, compare};
use isx_row::{Code, Error, Revision};
use isx_store::transcript::{Step, Told};
use isx_store::{Cause, Executed, Executor, Invocation};
use modules::{Mount, arguments, call};

/// Runs the calls cut into lists of so many.
fn run(mount: &Mount, calls: &[Invocation<'_>], cut: usize) -> (Vec<Executed>, [u8; 32]) {
    let mut mount = mount.again();
    let done = calls.chunks(cut).flat_map(|calls| mount.execute(calls)).collect();
    (done, mount.root.state_hash())
}

#[test]
fn batched_equals_unbatched() {
    let mount = Mount::new();
    let names = [
        "add", "bump", "random", "fail", "bump", "trap", "bump", "chain", "pretend", "erase", "keep_log", "utf8",
        "junk", "x_caller", "warm",
    ];
    let given: Vec<Vec<u8>> = (0..90).map(|i| arguments(i * 7 % 11, i % 7)).collect();
    let calls: Vec<_> =
        given.iter().enumerate().map(|(i, given)| call(names[i * 31 % names.len()], given, i as u64)).collect();

    let (one_by_one, state) = run(&mount, &calls, 1);
    assert!(one_by_one.iter().any(|done| done.outcome.is_ok()) && one_by_one.iter().any(|done| done.outcome.is_err()));
    for cut in [2, 7, 30, calls.len()] {
        let (batched, batched_state) = run(&mount, &calls, cut);
        assert_eq!(batched_state, state, "lists of {cut}");
        for (place, (batched, alone)) in batched.iter().zip(&one_by_one).enumerate() {
            assert_eq!(batched.outcome, alone.outcome, "call {place} in lists of {cut}");
            assert_eq!((&batched.detail, &batched.changes, &batched.log), (&alone.detail, &alone.changes, &alone.log));
            // This module keeps nothing but what `warm` computes.
            if calls[place].name != "warm" {
                assert_eq!(batched.fuel, alone.fuel, "call {place}, {}, in lists of {cut}", calls[place].name);
            }
        }
        // And in two runs everything is the same.
        assert_eq!(run(&mount, &calls, cut).0, batched);
    }
}

#[test]
fn what_a_neighbour_computed_does_not_stretch_the_fuel() {
    let mount = Mount::new();
    let (first, second) = (arguments(1, 1), arguments(2, 2));
    let cost = |calls: &[Invocation<'_>]| run(&mount, calls, 2).0.iter().map(|done| done.fuel).collect::<Vec<_>>();
    let (cold, warm) = {
        let fuel = cost(&[call("warm", &first, 0), call("warm", &second, 1)]);
        (fuel[0], fuel[1])
    };
    assert!(cold > 10 * warm, "{cold} and {warm}");

    // Where the second call has enough in the instance that the first has warmed, not enough in one of its own, and all
    // around the edges: the engine looks at the fuel where code branches, so the last block may still end beyond it.
    let edges = [warm, cold, cold + warm].into_iter().flat_map(|edge| edge - 40..edge + 40);
    for fuel_max in edges.chain([cold / 2]) {
        let calls = [call("warm", &first, 0), Invocation { fuel_max, ..call("warm", &second, 1) }];
        let (batched, state) = run(&mount, &calls, 2);
        let (alone, alone_state) = run(&mount, &calls, 1);
        assert_eq!(batched[1].outcome, alone[1].outcome, "fuel_max {fuel_max}");
        assert_eq!(state, alone_state);
        if fuel_max + 40 <= cold {
            assert_eq!(alone[1].outcome.as_ref().unwrap_err().code, Code::OutOfFuel);
        }
    }
}

/// A transcript of calls as one execution made them, each alone, and of a query after each third.
fn written(mount: &Mount, calls: &[Invocation<'_>]) -> Vec<Step> {
    let mut mount = mount.again();
    let mut steps = Vec::new();
    for (at, invocation) in calls.iter().enumerate() {
        let told = |name: &str, done: Executed| Told {
            name: name.into(),
            arguments: invocation.arguments.into(),
            time: modules::ENTRY.time,
            caller: invocation.caller,
            session: None,
            outcome: done.outcome,
            detail: done.detail.unwrap_or_default(),
        };
        let done = mount.execute(std::slice::from_ref(invocation)).remove(0);
        let told_call = told(invocation.name, done);
        let (random, state) = ((modules::ENTRY.seed, invocation.place), mount.root.state_hash());
        steps.push(Step::Called { cause: Cause::Call, told: told_call, random, state });
        if at % 3 == 0 {
            let at = (Revision(1), modules::ENTRY.time);
            let asked = mount.exec.query(&mount.code, &mount.root, at, &call("sum", invocation.arguments, 0));
            steps.push(Step::Asked(told("sum", asked)));
        }
    }
    steps
}

#[test]
fn what_differs_from_a_transcript_is_found() {
    let mount = Mount::new();
    let names = ["add", "bump", "random", "fail", "trap", "chain", "erase"];
    let given: Vec<Vec<u8>> = (0..30).map(|i| arguments(i * 7 % 11, i % 7)).collect();
    let calls: Vec<_> =
        given.iter().enumerate().map(|(i, given)| call(names[i % names.len()], given, i as u64)).collect();
    let steps = written(&mount, &calls);
    let differences = |steps: &[Step]| compare(&mount.exec, &mount.code, steps).unwrap();
    assert_eq!(differences(&steps), []);

    // Another answer, another error, other rows; and of a panic only that it was one.
    let found = |change: &dyn Fn(&mut Step) -> bool| {
        let mut steps = steps.clone();
        let at = steps.iter_mut().position(change).expect("a step to change");
        (at, differences(&steps))
    };
    let of =
        |at: usize, what: What| [Cut::Alone, Cut::Together].map(|cut| Difference { step: at, cut, what: what.clone() });
    let outcome = |at: usize| match &steps[at] {
        Step::Called { told, .. } | Step::Asked(told) => What::Outcome(told.outcome.clone()),
        _ => panic!("no call"),
    };
    let (at, differs) = found(&|step| match step {
        Step::Called { told, .. } if told.name == "bump" => {
            told.outcome = Ok(vec![9; 10]);
            true
        }
        _ => false,
    });
    assert_eq!(differs, of(at, outcome(at)));
    let (at, differs) = found(&|step| match step {
        Step::Called { told, .. } if told.name == "fail" => {
            told.detail.push(1);
            true
        }
        _ => false,
    });
    assert_eq!(differs, of(at, outcome(at)));
    let (at, differs) = found(&|step| match step {
        Step::Asked(told) => {
            told.outcome = Err(Error::new(Code::NoRow, "none"));
            true
        }
        _ => false,
    });
    assert_eq!(differs, of(at, outcome(at))[..1], "queries are asked where calls are made alone");
    let (at, differs) = found(&|step| match step {
        Step::Called { state, .. } => {
            state[0] ^= 1;
            true
        }
        _ => false,
    });
    assert_eq!(differs, of(at, What::State)[..1], "the state is looked at behind a list");
    let (_, differs) = found(&|step| match step {
        Step::Called { told, .. } if told.name == "trap" => {
            told.outcome = Err(Error::new(Code::Trap, "the function panicked: so it says"));
            true
        }
        _ => false,
    });
    assert_eq!(differs, []);
    let mut cut = steps.clone();
    cut.insert(0, Step::Cut);
    if let Step::Called { state, .. } = &mut cut[1] {
        state[0] ^= 1;
    }
    assert_eq!(differences(&cut), [], "what comes behind is not known");
}
