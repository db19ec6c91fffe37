//! Schedules and due rows: each runs once, at its time by the log, whatever is proposed and however late.

use crate::stage::{NOW, ONE, Stage, TWO, bare, call, caller};
use isx_anchors::GroupId;
use isx_cluster::twin::Twin;
use isx_cluster::{Entry, Hold, Machine, Mode, Outcome, Request};
use isx_row::schema::Schedule;
use isx_row::schema::Way;
use isx_row::{Incarnation, Span, Time, Value};

const SECOND: i64 = 1_000_000;

const FIRE: Request = Request::Fire { mount: ONE };

fn later(key: &str, n: u64, seconds: i64) -> Request {
    let after = Value::Duration(Span(seconds * SECOND));
    bare(call(ONE, "postpone", &[Value::String(key.into()), Value::U64(n), after]))
}

fn every(seconds: i64) -> Schedule {
    Schedule::Every(Span(seconds * SECOND))
}

fn beating(generation: u8, schedule: Schedule) -> Stage {
    let mut stage = Stage::bare(GroupId::MOUNTS);
    let module = Twin::beating(generation, schedule);
    stage.one(Request::CreateMount { mount: ONE, incarnation: Incarnation(5), module, creator: caller() });
    stage
}

impl Stage {
    /// Lets so much log time go by and fires what is due, as whoever leads does.
    fn go(&mut self, seconds: i64) -> usize {
        self.time = Time(self.time.0 + seconds * SECOND);
        let due = self.machine.view().due(self.time, 100);
        self.all(due.iter().map(|mount| Request::Fire { mount: *mount }).collect()).len()
    }

    fn total(&self, key: &str) -> u64 {
        match self.query(ONE, "total", key) {
            Value::U64(total) => total,
            other => panic!("{other:?}"),
        }
    }

    fn next(&self) -> Option<i64> {
        self.machine.view().next_timer().map(|time| (time.0 - NOW.0) / SECOND)
    }
}

#[test]
fn a_due_row_runs_its_hook_once_and_goes() {
    let mut stage = Stage::mounted();
    assert_eq!(stage.next(), None);
    stage.all(vec![later("a", 5, 10), later("b", 7, 20), later("a", 1, 10)]);
    assert_eq!(stage.next(), Some(10));
    // Too early, and for a mount that has nothing: log time goes on, and nothing else.
    let mut ticked = stage.clone();
    (stage.time, ticked.time) = (Time(NOW.0 + 10 * SECOND - 1), Time(NOW.0 + 10 * SECOND - 1));
    stage.all(vec![FIRE, Request::Fire { mount: TWO }]);
    ticked.one(Request::Tick);
    assert_eq!(stage.machine.state_hash(), ticked.machine.state_hash());
    stage.time = NOW;
    assert_eq!(stage.go(10), 2);
    assert_eq!((stage.total("a"), stage.total("b"), stage.next()), (6, 0, Some(20)));
    // Once more than there is to do.
    stage.all(vec![FIRE, FIRE]);
    assert_eq!(stage.total("a"), 6);
    assert_eq!(stage.go(100), 1);
    assert_eq!((stage.total("b"), stage.next()), (7, None));
    stage.machine.audit().unwrap();
}

#[test]
fn a_due_row_whose_hook_fails_goes_too_and_the_log_says_why() {
    let mut stage = Stage::mounted();
    stage.all(vec![later("never", 5, 1), later("a", 1, 1)]);
    stage.time = Time(NOW.0 + SECOND);
    let applied = stage.apply(vec![(1, FIRE), (2, FIRE)]);
    assert_eq!(applied.outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!((stage.total("never"), stage.total("a"), stage.next()), (0, 1, None));
    let failed = applied.effects.log.iter().find(|line| line.text.contains("mature failed")).unwrap();
    assert_eq!((failed.level, failed.text.as_str()), (1, "the hook mature failed: it fails, as asked"));
    // The deletion is a change that subscribers see.
    let changed = &applied.effects.mounts[&ONE].transactions;
    assert_eq!(changed.len(), 2);
    assert_eq!(changed[0].changes.len(), 1);
}

#[test]
fn a_schedule_goes_on_from_its_creation_and_counts_what_it_missed() {
    let mut stage = beating(0, every(10));
    assert_eq!(stage.next(), Some(10));
    assert_eq!(stage.go(9), 0);
    assert_eq!(stage.go(1), 1);
    assert_eq!((stage.total("beat"), stage.next()), (1, Some(20)));
    // 20 to 50 were missed: it runs once, and keeps its beat.
    assert_eq!(stage.go(45), 1);
    assert_eq!((stage.total("beat"), stage.next()), (5, Some(60)));
    stage.all(vec![FIRE, FIRE]);
    assert_eq!(stage.total("beat"), 5);

    // 1,700,000,000 s is 2023-11-14 22:13:20.
    let mut stage = beating(0, Schedule::Cron("0 * * * *".into()));
    assert_eq!(stage.next(), Some(46 * 60 + 40));
    stage.go(46 * 60 + 40);
    stage.go(3 * 3600 + 5);
    assert_eq!(stage.total("beat"), 4);
    stage.go(10 * 365 * 24 * 3600);
    assert_eq!(stage.total("beat"), 4 + 1000, "so many are counted and no more");
    assert!(stage.next().unwrap() > (stage.time.0 - NOW.0) / SECOND);
}

#[test]
fn an_upgrade_keeps_the_beat_of_a_schedule_that_stays() {
    let mut stage = beating(0, every(10));
    let upgrade = |from: u8, to| {
        let expected = Twin::module(from).code;
        Request::Upgrade { mount: ONE, expected, module: to, way: Way::On }
    };
    stage.time = Time(NOW.0 + 4 * SECOND);
    stage.one(upgrade(0, Twin::beating(1, every(10))));
    assert_eq!(stage.next(), Some(10));
    stage.one(upgrade(1, Twin::beating(2, every(3))));
    assert_eq!(stage.next(), Some(7));
    stage.one(upgrade(2, Twin::module(3)));
    assert_eq!(stage.next(), None);
    stage.one(upgrade(3, Twin::beating(4, every(3))));
    assert_eq!(stage.next(), Some(7));
}

#[test]
fn snapshots_effects_and_cuts_keep_timers() {
    let mut stage = beating(0, every(10));
    stage.all(vec![later("a", 5, 3), later("never", 5, 3), later("b", 7, 12)]);
    stage.go(5);
    let mut restored = stage.restored();
    assert_eq!(restored.machine.state_hash(), stage.machine.state_hash());
    assert_eq!((restored.go(20), stage.go(20)), (2, 2));
    assert_eq!(restored.machine.state_hash(), stage.machine.state_hash());
    assert_eq!((stage.total("b"), stage.total("beat")), (7, 2));

    // What executing does is what installing does, failed hooks too.
    let mut executing = beating(0, every(1));
    executing.all(vec![later("a", 5, 1), later("never", 5, 1)]);
    executing.time = Time(NOW.0 + 2 * SECOND);
    let entry = executing.entry(vec![(1, FIRE), (2, FIRE), (3, FIRE), (4, FIRE)]);
    let mut installing: Machine = executing.machine.clone();
    let index = installing.applied() + 1;
    let with_effects = installing.with_effects(index, &entry, &executing.twin).unwrap();
    assert_eq!(with_effects.mode, Mode::Effects);
    let with_effects = Entry::decode(&with_effects.encode().unwrap()).unwrap();
    installing.apply(index, &with_effects, &executing.twin).unwrap();
    // And one by one.
    let mut single = executing.clone();
    for (nonce, request) in [(1, FIRE), (2, FIRE), (3, FIRE), (4, FIRE)] {
        single.apply(vec![(nonce, request)]);
    }
    executing.try_apply(&entry).unwrap();
    assert_eq!((executing.total("a"), executing.total("beat")), (5, 2));
    assert_eq!(installing.state_hash(), executing.machine.state_hash());
    assert_eq!(single.machine.state_hash(), executing.machine.state_hash());
}

#[test]
fn a_hook_that_holds_leaves_no_trace_and_a_skipped_row_goes() {
    let mut stage = Stage::mounted();
    stage.all(vec![later("a", 1, 1), later("poison", 5, 1), later("b", 2, 2)]);
    stage.time = Time(NOW.0 + 3 * SECOND);
    let entry = stage.entry(vec![(1, FIRE), (2, FIRE), (3, FIRE)]);
    let before = stage.machine.state_hash();
    assert_eq!(stage.try_apply(&entry).unwrap_err(), Hold::Poisoned { position: 1 });
    assert_eq!(stage.machine.state_hash(), before, "what came before in the entry too");
    stage.machine.skip(stage.machine.applied() + 1, 1);
    let applied = stage.try_apply(&entry).unwrap();
    assert_eq!((stage.total("a"), stage.total("poison"), stage.total("b"), stage.next()), (1, 0, 2, None));
    assert!(applied.effects.log.iter().any(|line| line.text.contains("passed over")));
}

#[test]
fn without_its_code_a_timer_waits() {
    let mut stage = Stage::mounted();
    stage.all(vec![later("a", 5, 1)]);
    stage.time = Time(NOW.0 + SECOND);
    let before = stage.machine.state_hash();
    let entry = stage.entry(vec![(1, FIRE)]);
    stage.twin.missing = Some(Twin::module(0).code);
    stage.try_apply(&entry).unwrap_err();
    assert_eq!(stage.machine.state_hash(), before);
    stage.twin.missing = None;
    stage.try_apply(&entry).unwrap();
    assert_eq!(stage.total("a"), 5);
}
