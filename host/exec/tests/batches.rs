//! The instance law: no outcome depends on where lists are cut.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod modules;

use isx_row::Code;
use isx_store::{Executed, Invocation};
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
