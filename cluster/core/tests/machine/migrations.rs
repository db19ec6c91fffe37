//! Rows that move to the tables of a new module: all or none, whatever is repeated, restored or refused on the way.

use crate::stage::{NOW, ONE, Stage, TWO, add, bare, call, caller, put, session, total, within, word};
use isx_anchors::GroupId;
use isx_cluster::twin::Twin;
use isx_cluster::{Migration, Outcome, Request, Resume};
use isx_row::schema::Way;
use isx_row::{Code, MountId, Revision, Value};

/// More than a few requests move.
const ROWS: u64 = 250;
/// As many as one request moves: the fuel of a call.
const STEP: u64 = 16;

fn upgrade() -> Request {
    Request::Upgrade { mount: ONE, expected: Twin::module(0).code, module: Twin::migrating(2), way: Way::On }
}

fn migrate(moved: u64) -> Request {
    Request::Migrate { mount: ONE, moved }
}

impl Stage {
    /// [`ONE`] with so many rows beside the first.
    fn filled(rows: u64) -> Self {
        let mut stage = Self::mounted();
        for at in 0..rows {
            stage.one(bare(put(ONE, &format!("{at:06}"), at.to_le_bytes().to_vec())));
        }
        stage
    }

    /// Proposes what a leader does until nothing moves; the last outcome.
    fn carry_over(&mut self) -> Outcome {
        let mut last = Outcome::Done;
        while let [(mount, moved)] = self.machine.view().migrating()[..] {
            last = self.one(Request::Migrate { mount, moved });
        }
        last
    }

    fn code(&self) -> isx_row::ContentHash {
        self.machine.view().mount(&ONE).unwrap().module().code
    }

    fn moved(&self) -> Value {
        self.query(ONE, "total", "moved")
    }
}

fn progress(outcome: &Outcome) -> (u64, u64) {
    match outcome {
        Outcome::Migrating { moved, rows } => (*moved, *rows),
        other => panic!("nothing moves: {other:?}"),
    }
}

#[test]
fn rows_move_some_at_a_time_while_queries_are_answered_and_calls_wait() {
    let mut stage = Stage::filled(ROWS);
    stage.one(bare(add(ONE, "a", 7)));
    let hash = |stage: &Stage| stage.machine.view().mount(&ONE).unwrap().state_hash();
    assert_eq!(progress(&stage.one(upgrade())), (0, ROWS + 1));
    let waiting = hash(&stage);
    let mounts = stage.machine.view().mounts().count();
    assert_eq!(mounts, 3, "a candidate is no mount");

    assert_eq!(progress(&stage.one(migrate(0))), (STEP, ROWS + 1));
    // Once more, and one that comes too early: neither moves anything.
    assert_eq!(progress(&stage.one(migrate(0))), (STEP, ROWS + 1));
    assert_eq!(progress(&stage.one(migrate(2 * STEP))), (STEP, ROWS + 1));
    let mut stage = stage.restored();
    assert_eq!(hash(&stage), waiting, "the mount itself is as it was");
    let in_between = stage.all(vec![bare(add(ONE, "a", 1)), bare(add(TWO, "a", 1)), upgrade()]);
    assert_eq!(in_between.iter().map(word).collect::<Vec<_>>(), ["busy", "answer at 2", "migrating"]);
    let Outcome::Refused(busy) = &in_between[0] else { unreachable!() };
    assert_eq!((busy.code, busy.retry_after_ms.is_some()), (Code::Busy, true));
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(7));
    assert_eq!(stage.query(ONE, "get", "000001"), some(1));

    let before = stage.machine.view().mount(&ONE).unwrap().revision();
    assert_eq!(word(&stage.carry_over()), format!("mounted at {}, version 2", before.next()));
    assert_eq!((stage.code(), stage.moved()), (Twin::migrating(2).code, Value::U64(ROWS + 1)));
    assert_eq!(stage.query(ONE, "get", "000249"), some(249));
    assert_eq!(total(&stage.one(bare(add(ONE, "a", 1)))), 8);
    stage.machine.audit().unwrap();
    assert_eq!(stage.restored().machine.state_hash(), stage.machine.state_hash());
    assert_eq!(
        (stage.machine.view().mounts().count(), word(&stage.one(upgrade()))),
        (3, format!("mounted at {}, version 2", Revision(before.0 + 2)))
    );

    // Who followed before begins again: the rows are others.
    let view = stage.machine.view();
    let mount = view.mount(&ONE).unwrap();
    assert_eq!(mount.changes_after(mount.incarnation(), before), Resume::Reset(mount.revision()));
    assert!(matches!(mount.changes_after(mount.incarnation(), before.next()), Resume::Continue { .. }));
}

fn some(value: u64) -> Value {
    Value::Option(Some(Box::new(Value::Bytes(value.to_le_bytes().to_vec()))))
}

#[test]
fn a_row_that_can_not_be_moved_leaves_everything_as_it_was() {
    let mut stage = Stage::filled(150);
    stage.one(bare(put(ONE, "never", vec![])));
    let tables = |stage: &Stage| {
        let view = stage.machine.view();
        let mount = view.mount(&ONE).unwrap();
        (mount.database().state_hash(), mount.database().usage(), mount.revision(), mount.version())
    };
    let before = tables(&stage);
    assert_eq!(progress(&stage.one(upgrade())), (0, 152));
    assert_eq!(word(&stage.carry_over()), "refused: application".trim_start_matches("refused: "));
    assert_eq!(tables(&stage), before);
    let Some(Migration::Failed { code, text }) = stage.restored().machine.view().migration(&ONE) else {
        panic!("why it failed is not known")
    };
    assert_eq!(code, Twin::migrating(2).code);
    assert!(text.contains("table kv, row with the key 6e65766572") && text.contains("it fails, as asked"), "{text}");
    assert_eq!(total(&stage.one(bare(add(ONE, "a", 1)))), 1);
    // Without the row it goes well.
    let forgotten =
        Request::Upgrade { mount: ONE, expected: Twin::module(0).code, module: Twin::module(1), way: Way::On };
    assert!(matches!(stage.one(forgotten), Outcome::Mounted { .. }));
    assert_eq!(stage.machine.view().migration(&ONE), None);
}

#[test]
fn a_fork_tells_what_would_come_of_it_and_nothing_else_changes() {
    let stage = Stage::filled(20);
    let before = stage.machine.state_hash();
    let mut fork = Stage { machine: stage.machine.view().fork(), ..stage.clone() };
    fork.one(upgrade());
    assert!(matches!(fork.carry_over(), Outcome::Mounted { .. }));
    assert_eq!((fork.moved(), stage.moved()), (Value::U64(21), Value::U64(0)));
    assert_eq!(stage.machine.state_hash(), before);
}

#[test]
fn a_mount_that_is_dropped_on_the_way_takes_its_candidate_along() {
    let mut stage = Stage::filled(100);
    stage.all(vec![upgrade(), migrate(0), Request::DropMount { mount: ONE }]);
    assert_eq!((word(&stage.one(migrate(STEP))), stage.machine.view().migrating()), ("not_found".into(), vec![]));
    let mut bare_stage = Stage::bare(GroupId::MOUNTS);
    bare_stage.machine = stage.restored().machine;
    assert_eq!(bare_stage.machine.view().mounts().count(), 2);
    bare_stage.machine.audit().unwrap();
}

#[test]
fn what_time_and_sessions_set_off_waits_as_calls_do() {
    let mut stage = Stage::filled(10);
    stage.one(bare(call(
        ONE,
        "postpone",
        &[Value::String("a".into()), Value::U64(5), Value::Duration(isx_row::Span(0))],
    )));
    assert_eq!(stage.machine.view().due(NOW, 9), [ONE]);
    stage.one(upgrade());
    assert_eq!(stage.machine.view().due(NOW, 9), [] as [MountId; 0]);
    assert_eq!(word(&stage.one(Request::Fire { mount: ONE })), "done");
    let connect = Request::Connect { mount: ONE, session: session(1), principal: caller() };
    assert_eq!(word(&stage.one(connect)), "busy");
    // A call that had to wait was not made, and its sequence is not used up.
    let first = within(add(ONE, "b", 3), session(1), 1, 1);
    assert_eq!(word(&stage.one(first.clone())), "busy");
    stage.carry_over();
    assert_eq!(total(&stage.one(first)), 3);
    assert_eq!(stage.machine.view().due(NOW, 9), [ONE]);
    stage.one(Request::Fire { mount: ONE });
    assert_eq!(stage.query(ONE, "total", "a"), Value::U64(5));
}

#[test]
fn what_is_there_is_published_again_to_withdraw_what_is_on_its_way() {
    let mut stage = Stage::filled(100);
    let asked = within(add(ONE, "b", 3), session(1), 1, 1);
    let answer = stage.one(asked.clone());
    stage.all(vec![upgrade(), migrate(0)]);
    // A call that was answered is answered as it was; another is busy.
    let [again, other] = &stage.all(vec![asked, within(add(ONE, "b", 3), session(1), 2, 1)])[..] else { panic!() };
    assert_eq!((again, word(other).as_str()), (&answer, "busy"));
    let candidate = stage.machine.view().migrating().len();
    assert_eq!(candidate, 1);
    let back = Request::Upgrade { mount: ONE, expected: Twin::module(0).code, module: Twin::module(0), way: Way::On };
    assert!(matches!(stage.one(back), Outcome::Mounted { version: 1, .. }));
    assert_eq!(stage.machine.view().migrating(), []);
    assert!(matches!(stage.machine.view().migration(&ONE), Some(Migration::Failed { .. })));
    assert_eq!(total(&stage.one(bare(add(ONE, "b", 1)))), 4);
    stage.machine.audit().unwrap();
}

#[test]
fn a_mount_goes_back_to_a_module_without_what_that_did_not_know() {
    let mut stage = Stage::filled(100);
    let from = |code, module, way| Request::Upgrade { mount: ONE, expected: code, module, way };
    let (old, new) = (Twin::module(0), Twin::wider(1));
    assert!(matches!(stage.one(from(old.code, new.clone(), Way::On)), Outcome::Mounted { version: 2, .. }));
    stage.one(bare(put(ONE, "000001", 9_u64.to_le_bytes().to_vec())));
    stage.one(bare(put(ONE, "new", 5_u64.to_le_bytes().to_vec())));
    assert_eq!(word(&stage.one(from(new.code, old.clone(), Way::On))), "incompatible");

    let back = from(new.code, old.clone(), Way::Back);
    assert_eq!(progress(&stage.one(back.clone())), (0, 102));
    assert_eq!(progress(&stage.one(migrate(0))).1, 102);
    let mut stage = stage.restored();
    assert_eq!(progress(&stage.one(back)).1, 102, "asked again");
    assert!(matches!(stage.carry_over(), Outcome::Mounted { version: 3, .. }));
    assert_eq!((stage.code(), stage.query(ONE, "get", "000001")), (old.code, some(9)));
    assert_eq!((stage.query(ONE, "get", "new"), stage.query(ONE, "get", "000099")), (some(5), some(99)));
    let view = stage.machine.view();
    let mount = view.mount(&ONE).unwrap();
    assert_eq!((mount.database().table("puts"), mount.database().usage().rows), (None, 102));
    let had: Vec<_> = mount.earlier().iter().map(|(code, _)| *code).collect();
    assert_eq!(had, [old.code, new.code]);
    assert_eq!(mount.module_since(), mount.revision());
    stage.machine.audit().unwrap();
    assert_eq!(stage.restored().machine.state_hash(), stage.machine.state_hash());
    // On again: the table is empty, and rows have the default.
    assert!(matches!(stage.one(from(old.code, new, Way::On)), Outcome::Mounted { version: 4, .. }));
    assert_eq!(stage.query(ONE, "get", "new"), some(5));
}
