//! Hooks that no call sets off.

use crate::mount::{Mount, hook};
use isx_row::key::append_value;
use isx_row::typed::encode_arguments;
use isx_row::{Code, Span, Time, Type, Value};
use isx_store::{Cause, Executed};
use probe::alarms::{Alarm, Ring};

fn fire(mount: &mut Mount, id: u64) -> Executed {
    let mut key = Vec::new();
    append_value(&Type::U64, &Value::U64(id), &mut key).unwrap();
    mount.run(&hook(Cause::Due, "on_due", &key))
}

#[test]
fn a_due_row_is_gone_when_its_hook_sees_it_and_what_that_sets_off_comes_after() {
    let mut mount = Mount::new();
    let id: u64 = mount.reduce("wake_at", ("wake up".to_string(), Span(5)));
    let alarm = Alarm { id, text: "wake up".into(), at: Time(mount.time.0 + 5) };
    fire(&mut mount, id).outcome.unwrap();
    let rings: Vec<Ring> = mount.query("rings", ());
    let what: Vec<_> = rings.iter().map(|ring| (ring.what.as_str(), &ring.alarm)).collect();
    assert_eq!(what, [("due", &alarm), ("gone", &alarm)]);
    assert_eq!(fire(&mut mount, id).outcome.unwrap_err().code, Code::NoRow);
}

#[test]
fn a_hook_that_fails_on_a_due_row_changes_nothing() {
    let mut mount = Mount::new();
    for (text, code) in [("refused", Code::Application), ("trap", Code::Trap)] {
        let id: u64 = mount.reduce("wake_at", (text.to_string(), Span(0)));
        let before = mount.root.state_hash();
        let done = fire(&mut mount, id);
        assert_eq!(done.outcome.unwrap_err().code, code, "{text}");
        assert!(done.changes.is_empty());
        assert_eq!(mount.root.state_hash(), before);
    }
}

#[test]
fn a_hook_gets_the_arguments_of_its_event_and_nobody_else_runs_it() {
    let mut mount = Mount::new();
    let from = encode_arguments(&("0.9.0".to_string(),)).unwrap();
    mount.run(&hook(Cause::Hook, "on_upgrade", &from)).outcome.unwrap();
    let rings: Vec<Ring> = mount.query("rings", ());
    assert_eq!((rings[0].what.as_str(), rings[0].alarm.text.as_str()), ("upgraded", "0.9.0"));
    for (cause, name, code) in [
        (Cause::Call, "on_upgrade", Code::NotFound),
        (Cause::Hook, "wake_at", Code::Malformed),
        (Cause::Due, "wake_at", Code::Malformed),
        (Cause::Hook, "nothing", Code::NotFound),
    ] {
        assert_eq!(mount.run(&hook(cause, name, &from)).outcome.unwrap_err().code, code, "{cause:?} {name}");
    }
}
