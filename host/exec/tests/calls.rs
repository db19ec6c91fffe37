//! What calls do: answers, changes, errors, access, visibility, hooks.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod modules;

use isx_row::{Code, Signature};
use isx_store::{Cause, Invocation};
use modules::{CALLER, ENTRY, Mount, NOTHING, arguments, call, number};

#[test]
fn calls_commit_answers_changes_and_nothing_else() {
    let mut mount = Mount::new();
    let done = mount.one("add", 1, 10);
    assert_eq!(done.outcome.as_deref(), Ok(&NOTHING[..]));
    // The row, and the one that the hook on it inserted.
    assert_eq!(done.changes.len(), 2);
    assert_eq!((mount.rows("kv"), mount.rows("audit"), mount.get(1)), (1, 1, 10));

    let done = mount.one("bump", 1, 0);
    assert_eq!(done.outcome.map(|answer| number(&answer)), Ok(11));
    assert_eq!(mount.one("sum", 0, 0).outcome.unwrap_err().code, Code::NotFound, "a query is no reducer");
    mount.one("add", 2, 31);
    assert_eq!(mount.query("sum", 0).map(|answer| number(&answer)), Ok(42));

    assert_eq!(mount.one("erase", 1, 0).changes.len(), 1);
    assert_eq!(mount.one("erase", 1, 0).changes.len(), 0);
    assert_eq!(mount.rows("kv"), 1);
    mount.root.audit().unwrap();
}

#[test]
fn a_replica_that_installs_ends_where_one_that_executes_does() {
    let mut mount = Mount::new();
    let mut replica = mount.root.clone();
    let given = arguments(3, 4);
    let calls = ["add", "bump", "trap", "erase", "chain"].map(|name| call(name, &given, 0));
    for done in mount.execute(&calls) {
        replica.install(&done.changes).unwrap();
    }
    assert_eq!(replica.state_hash(), mount.root.state_hash());
}

#[test]
fn errors_roll_back_that_call_alone() {
    let mut mount = Mount::new();
    mount.one("add", 1, 1);
    let before = mount.root.state_hash();

    let done = mount.one("fail", 2, 2);
    let error = done.outcome.unwrap_err();
    assert_eq!(
        (error.code, error.text.as_str(), done.detail.as_deref()),
        (Code::Application, "refused", Some(&[0, 0, 42][..]))
    );
    assert!(done.changes.is_empty());
    let error = mount.one("add", 1, 9).outcome.unwrap_err();
    assert_eq!((error.code, error.text.as_str()), (Code::Duplicate, "table kv: the primary key is taken"));
    assert_eq!(mount.root.state_hash(), before);

    let (two, three) = (arguments(2, 2), arguments(3, 3));
    let done = mount.execute(&[call("add", &two, 0), call("trap", &three, 1), call("add", &three, 2)]);
    assert_eq!(done.iter().map(|done| done.outcome.is_ok()).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(mount.rows("kv"), 3);
}

#[test]
fn a_view_has_no_time() {
    let refused = Mount::new().query("x_view", 0).unwrap_err();
    assert_eq!(refused.code, Code::Denied);
    assert!(refused.text.starts_with("a view has no time"), "{refused}");
}

#[test]
fn the_entry_gives_caller_time_and_random() {
    let mut mount = Mount::new();
    let caller = u64::from_le_bytes(CALLER.0[..8].try_into().unwrap());
    let answer = mount.one("x_caller", 0, 0).outcome.unwrap();
    assert_eq!(number(&answer), caller.wrapping_add(ENTRY.time.0.cast_unsigned()));

    let none = arguments(0, 0);
    let random =
        |mount: &mut Mount, place| number(&mount.execute(&[call("random", &none, place)])[0].outcome.clone().unwrap());
    assert_eq!(random(&mut mount, 4), random(&mut mount, 4));
    assert_ne!(random(&mut mount, 4), random(&mut mount, 5));
    assert_eq!(mount.query("z_random", 0).unwrap_err().code, Code::Denied);
}

#[test]
fn declared_access_is_enforced() {
    let mut mount = Mount::new();
    let error = mount.one("pretend", 1, 1).outcome.unwrap_err();
    assert_eq!((error.code, error.text.as_str()), (Code::Denied, "the function does not declare inserts(kv)"));
    let error = mount.query("question", 1).unwrap_err();
    assert_eq!(error.code, Code::Denied);
    assert_eq!(mount.rows("kv"), 0);
}

#[test]
fn private_members_look_missing_and_hooks_are_run_by_events_only() {
    let mut mount = Mount::new();
    let given = arguments(1, 1);
    let mut code_of = |name, trusted| {
        let invocation = Invocation { trusted, ..call(name, &given, 0) };
        mount.execute(&[invocation]).remove(0).outcome.map_err(|error| error.code)
    };
    assert_eq!(code_of("add_private", false), Err(Code::NotFound));
    assert_eq!(code_of("missing", false), Err(Code::NotFound));
    assert_eq!(code_of("add_private", true), Ok(NOTHING.to_vec()));
    assert_eq!(code_of("on_add", false), Err(Code::NotFound));
    assert_eq!(code_of("on_add", true), Err(Code::Denied));
}

#[test]
fn what_is_not_of_the_types_never_reaches_the_guest() {
    let mut mount = Mount::new();
    let mut code_of = |bytes: &[u8], signature| {
        let done = mount.execute(&[Invocation { signature, ..call("add", bytes, 0) }]).remove(0);
        assert_eq!(done.fuel, 0);
        done.outcome.unwrap_err().code
    };
    let good = arguments(1, 1);
    let mut versioned = good.clone();
    versioned[0] = 1;
    for bad in [&[][..], &good[..17], &[&good[..], &[0]].concat(), &versioned, &vec![0; 300_000]] {
        assert_eq!(code_of(bad, Signature::ANY), Code::BadArguments);
    }
    assert_eq!(code_of(&good, Signature([1; 16])), Code::StaleBindings);

    let signature = modules::kv_schema().reducer("add").unwrap().signature();
    assert!(mount.execute(&[Invocation { signature, ..call("add", &good, 0) }])[0].outcome.is_ok());
}

#[test]
fn init_runs_its_hook() {
    let mut mount = Mount::new();
    let done = mount.execute(&[Invocation { cause: Cause::Hook, ..call("init", &[0, 0], 0) }]).remove(0);
    assert_eq!(done.outcome.as_deref(), Ok(&NOTHING[..]));
    assert_eq!(mount.get(7), 49);
}

#[test]
fn hooks_set_off_hooks_to_a_depth() {
    let mut mount = Mount::new();
    // Eight levels of hooks insert a row each, below the called function's own.
    assert!(mount.one("chain", 0, 8).outcome.is_err(), "the ninth hook would say that nothing is left");
    assert_eq!(mount.rows("bonds"), 0);
    assert_eq!(mount.one("chain", 0, 7).outcome.as_deref(), Ok(&NOTHING[..]));
    assert_eq!(mount.rows("bonds"), 8);
    let error = mount.one("chain", 100, 50).outcome.unwrap_err();
    assert_eq!(
        (error.code, error.text.as_str()),
        (Code::Limit, "hooks set off hooks more than HOOK_DEPTH_MAX (8) levels deep")
    );
    assert_eq!(mount.rows("bonds"), 8);
}

#[test]
fn lines_come_with_the_call() {
    let mut mount = Mount::new();
    assert_eq!(mount.one("keep_log", 0, 0).log, [(3, "refused".to_owned())]);
    assert_eq!(mount.one("add", 0, 0).log, []);
}
