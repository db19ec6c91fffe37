//! Sessions that come and go: hooks, rows, and what is called without being connected.

use crate::stage::{ONE, Stage, bare, call, caller, session, within, word};
use isx_anchors::GroupId;
use isx_cluster::limits::{CONNECTED_MAX, CONNECTED_OF_ONE_MAX, SESSION_ROWS_REMOVED_MAX};
use isx_cluster::twin::Twin;
use isx_cluster::{Entry, Outcome, ReducerCall, Request};
use isx_row::schema::Way;
use isx_row::{Incarnation, Principal, SessionId, Time, Value};

fn tracking() -> Stage {
    let mut stage = Stage::bare(GroupId::MOUNTS);
    let module = Twin::tracking(0);
    stage.one(Request::CreateMount { mount: ONE, incarnation: Incarnation(5), module, creator: caller() });
    stage
}

fn connect(session: SessionId) -> Request {
    Request::Connect { mount: ONE, session, principal: caller() }
}

fn disconnect(session: SessionId) -> Request {
    Request::Disconnect { mount: ONE, session }
}

fn enter(number: u64, sequence: u64, key: &str) -> Request {
    within(call(ONE, "enter", &[Value::String(key.into())]), session(number), sequence, 1)
}

impl Stage {
    fn online(&self) -> u64 {
        let view = self.machine.view();
        let database = view.mount(&ONE).unwrap().database().clone();
        database.row_count(database.table("online").unwrap()).unwrap()
    }

    fn count(&self, key: &str) -> u64 {
        match self.query(ONE, "total", key) {
            Value::U64(total) => total,
            other => panic!("{other:?}"),
        }
    }

    fn connected(&self) -> usize {
        self.machine.view().mount(&ONE).unwrap().connected().count()
    }
}

#[test]
fn rows_of_a_session_go_with_it_and_hooks_see_it_come_and_go() {
    let mut stage = tracking();
    // Who is not connected is told so, and nothing of the call is kept.
    assert_eq!(stage.one(enter(1, 1, "a")), Outcome::Unconnected);
    let requests = vec![
        connect(session(1)),
        connect(session(1)),
        enter(1, 1, "a"),
        enter(1, 2, "b"),
        connect(session(2)),
        enter(2, 1, "a"),
    ];
    let words: Vec<_> = stage.all(requests).iter().map(word).collect();
    assert_eq!(words, ["done", "done", "answer at 3", "answer at 4", "done", "answer at 6"]);
    assert_eq!((stage.online(), stage.count("came"), stage.connected()), (3, 2, 2));
    // Without a session there is nobody to go with.
    assert_eq!(word(&stage.one(bare(call(ONE, "enter", &[Value::String("c".into())])))), "bad_arguments");

    stage.all(vec![disconnect(session(1)), disconnect(session(1))]);
    assert_eq!((stage.online(), stage.connected()), (1, 1));
    assert_eq!(stage.count("went"), 3, "the hook saw every row, and ran once");
    // What was answered stays answered, connected or not; what is new waits until the session is back.
    assert_eq!(word(&stage.one(enter(1, 2, "b"))), "answer at 4");
    assert_eq!(stage.one(enter(1, 3, "c")), Outcome::Unconnected);
    stage.all(vec![connect(session(1)), enter(1, 3, "c")]);
    assert_eq!((stage.online(), stage.count("came")), (2, 3));
    stage.machine.audit().unwrap();
}

#[test]
fn a_session_that_is_refused_is_not_connected() {
    let mut stage = tracking();
    let refused = stage.one(connect(session(Twin::REFUSED)));
    assert_eq!(word(&refused), "application");
    assert_eq!((stage.connected(), stage.count("came")), (0, 0));
    stage.one(connect(session(1)));
    let others = Request::Connect { mount: ONE, session: session(1), principal: Principal([1; 32]) };
    assert_eq!(word(&stage.one(others)), "expired");
    let missing = Request::Connect { mount: isx_row::MountId([9; 16]), session: session(1), principal: caller() };
    assert_eq!(word(&stage.one(missing)), "not_found");
    let (many, one) = (CONNECTED_MAX as u64, CONNECTED_OF_ONE_MAX as u64);
    let of = |number: u64| Request::Connect {
        mount: ONE,
        session: session(number),
        principal: Principal([(number / one) as u8 + 100; 32]),
    };
    for number in 2..=one {
        assert_eq!(word(&stage.one(connect(session(number)))), "done");
    }
    assert_eq!(word(&stage.one(connect(session(one + 1)))), "busy", "too many of one");
    for number in one + 1..=many {
        assert_eq!(word(&stage.one(of(number))), "done");
    }
    assert_eq!(word(&stage.one(of(many + 1))), "busy");
}

#[test]
fn a_session_is_nobody_elses() {
    let mut stage = tracking();
    let other = Principal([1; 32]);
    let of_other = |number: u64, sequence: u64| match enter(number, sequence, "x") {
        Request::Call(call) => Request::Call(Box::new(ReducerCall { principal: other, ..*call })),
        request => request,
    };
    // Connected, and not called yet.
    stage.one(connect(session(1)));
    assert_eq!(stage.one(of_other(1, 1)), Outcome::Unconnected);
    stage.one(enter(1, 1, "a"));
    // Ended: whose it was is known.
    stage.one(disconnect(session(1)));
    let taken = Request::Connect { mount: ONE, session: session(1), principal: other };
    assert_eq!(word(&stage.one(taken)), "expired");
    let old = SessionId::new(Time(0), 3);
    assert_eq!(word(&stage.one(connect(old))), "expired", "as its calls would be");
    assert_eq!((stage.online(), stage.connected()), (0, 0));
}

#[test]
fn many_rows_go_in_parts() {
    let mut stage = tracking();
    stage.one(connect(session(1)));
    let rows = SESSION_ROWS_REMOVED_MAX as u64 + 5;
    for number in 0..rows {
        stage.one(within(call(ONE, "enter", &[Value::String(number.to_string())]), session(1), number + 1, number + 1));
    }
    stage.one(disconnect(session(1)));
    assert_eq!((stage.online(), stage.connected(), stage.count("went")), (5, 1, rows));
    assert_eq!(stage.one(enter(1, rows + 1, "x")), Outcome::Unconnected, "it is leaving");
    assert_eq!(word(&stage.one(connect(session(1)))), "busy");
    let mut restored = stage.restored();
    restored.one(disconnect(session(1)));
    stage.one(disconnect(session(1)));
    assert_eq!(restored.machine.state_hash(), stage.machine.state_hash());
    assert_eq!((stage.online(), stage.connected(), stage.count("went")), (0, 0, rows));
}

#[test]
fn installing_and_cutting_end_alike() {
    let mut executing = tracking();
    let requests = vec![connect(session(1)), enter(1, 1, "a"), connect(session(2)), disconnect(session(1))];
    let records = (1..).zip(requests).collect::<Vec<(u64, Request)>>();
    let entry = executing.entry(records.clone());
    let mut installing = executing.machine.clone();
    let index = installing.applied() + 1;
    let with_effects = installing.with_effects(index, &entry, &executing.twin).unwrap();
    let with_effects = Entry::decode(&with_effects.encode().unwrap()).unwrap();
    installing.apply(index, &with_effects, &executing.twin).unwrap();
    let mut single = executing.clone();
    for record in records {
        single.apply(vec![record]);
    }
    executing.try_apply(&entry).unwrap();
    assert_eq!(executing.connected(), 1);
    assert_eq!(installing.state_hash(), executing.machine.state_hash());
    assert_eq!(single.machine.state_hash(), executing.machine.state_hash());
}

#[test]
fn a_module_that_does_not_ask_is_not_told() {
    let mut stage = Stage::mounted();
    let put = within(call(ONE, "add", &[Value::String("a".into()), Value::U64(1)]), session(1), 1, 1);
    assert_eq!(word(&stage.one(put)), "answer at 2");
    let upgrade =
        Request::Upgrade { mount: ONE, expected: Twin::module(0).code, module: Twin::tracking(1), way: Way::On };
    assert_eq!(word(&stage.one(upgrade)), "mounted at 3, version 2");
    assert_eq!(stage.one(enter(1, 2, "a")), Outcome::Unconnected, "an upgrade made it ask");
}
