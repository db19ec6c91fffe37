//! Messages between mounts: each runs once and in order, whatever is lost, repeated or restored on the way.

use crate::stage::{NOW, ONE, Stage, TWO, add, bare, call, caller, put};
use isx_anchors::wire::Wire;
use isx_cluster::twin::Twin;
use isx_cluster::{Entry, Mode, Outcome, Outgoing, Request};
use isx_row::schema::Way;
use isx_row::{Code, Incarnation, MountId, Principal, Value};
use isx_store::MessageKind;
use proptest::prelude::*;

/// Linked to [`ONE`].
pub const FIVE: MountId = MountId([5; 16]);

fn create_linked() -> Request {
    Request::CreateMount { mount: FIVE, incarnation: Incarnation(5), module: Twin::linked(0, ONE), creator: caller() }
}

pub fn give(key: &str, n: u64) -> Request {
    bare(call(FIVE, "give", &[Value::String(key.into()), Value::U64(n)]))
}

fn deliver(outgoing: &Outgoing) -> Request {
    let Outgoing { from, incarnation, to, number, done_below, message } = outgoing.clone();
    Request::Deliver { from, incarnation, to, number, done_below, message: Box::new(message) }
}

fn settle(outgoing: &Outgoing, outcome: &Outcome) -> Request {
    let Outcome::Delivered(answer) = outcome else { panic!("not delivered: {outcome:?}") };
    Request::Settle { mount: outgoing.from, to: outgoing.to, number: outgoing.number, answer: answer.clone() }
}

impl Stage {
    pub fn linked() -> Self {
        let mut stage = Self::mounted();
        assert!(matches!(stage.one(create_linked()), Outcome::Mounted { .. }));
        stage
    }

    pub fn outgoing(&self) -> Vec<Outgoing> {
        self.machine.view().outgoing(100, usize::MAX)
    }

    /// Delivers and settles until nothing is on its way, as whoever leads does.
    pub fn carry(&mut self) {
        while self.machine.view().has_outgoing() {
            let outgoing = self.outgoing();
            let delivered = self.all(outgoing.iter().map(deliver).collect());
            let settles = outgoing.iter().zip(&delivered).map(|(one, outcome)| settle(one, outcome)).collect();
            self.all(settles);
        }
    }

    pub fn of(&self, mount: MountId, key: &str) -> u64 {
        match self.query(mount, "total", key) {
            Value::U64(total) => total,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_sent_arrives_once_and_its_answer_comes_back() {
    let mut stage = Stage::linked();
    stage.carry();
    stage.all(vec![give("a", 5), give("a", 7)]);
    assert_eq!((stage.of(FIVE, "a"), stage.of(ONE, "a")), (12_u64.wrapping_neg(), 0));
    let outgoing = stage.outgoing();
    assert_eq!(outgoing.iter().map(|one| (one.number, one.done_below)).collect::<Vec<_>>(), [(2, 2), (3, 2)]);

    // Out of turn: refused, and nothing happened.
    let tables = |stage: &Stage| stage.machine.view().mount(&ONE).unwrap().database().state_hash();
    let before = tables(&stage);
    let Outcome::Refused(error) = stage.one(deliver(&outgoing[1])) else { panic!("it was not its turn") };
    assert_eq!((error.code, before), (Code::Conflict, tables(&stage)));

    let first = stage.one(deliver(&outgoing[0]));
    assert_eq!(stage.of(ONE, "a"), 5);
    // Once more, in the same entry as the next and after a restore: the same answer.
    assert_eq!(stage.all(vec![deliver(&outgoing[0]), deliver(&outgoing[1]), deliver(&outgoing[0])])[2], first);
    let mut stage = stage.restored();
    assert_eq!(stage.one(deliver(&outgoing[0])), first);
    assert_eq!(stage.of(ONE, "a"), 12);

    stage.all(vec![settle(&outgoing[0], &first), settle(&outgoing[0], &first)]);
    assert_eq!((stage.of(FIVE, "answered"), stage.outgoing().len()), (1, 1));
    stage.carry();
    assert_eq!((stage.of(FIVE, "answered"), stage.outgoing().len()), (2, 0));
    // What is settled is known to be old.
    stage.one(give("a", 1));
    stage.carry();
    let Outcome::Refused(error) = stage.one(deliver(&outgoing[0])) else { panic!("it was settled") };
    assert_eq!(error.code, Code::Gone);
    assert_eq!((stage.of(ONE, "a"), stage.of(FIVE, "a")), (13, 13_u64.wrapping_neg()));
    stage.machine.audit().unwrap();
}

#[test]
fn a_mount_hears_of_changes_in_another_one() {
    let mut stage = Stage::linked();
    // Nothing is heard before the other knows that somebody listens.
    stage.one(bare(put(ONE, "early", vec![1])));
    assert_eq!(stage.outgoing().len(), 1);
    stage.carry();
    stage.all(vec![bare(put(ONE, "a", vec![1])), bare(put(ONE, "b", vec![2])), bare(put(ONE, "a", vec![3]))]);
    // What is rolled back was never told.
    stage.one(bare(call(ONE, "fail", &[Value::String("c".into())])));
    let outgoing = stage.outgoing();
    assert!(outgoing.iter().all(|one| (one.from, one.to, one.message.kind) == (ONE, FIVE, MessageKind::Rows)));
    let mut stage = stage.restored();
    stage.carry();
    assert_eq!((stage.of(FIVE, "heard"), stage.of(FIVE, "changed")), (2, 1));

    // Its hooks are nobody's to call, under any name.
    let direct = stage.one(bare(call(FIVE, "heard", &[Value::Struct(vec![Value::String("x".into())])])));
    assert!(matches!(direct, Outcome::Refused(error) if error.code == Code::NotFound), "called");
    let forged = Outgoing { from: TWO, number: 1, done_below: 1, ..outgoing[0].clone() };
    let Outcome::Delivered(answer) = stage.one(deliver(&forged)) else { panic!("not delivered") };
    let answer = Outcome::from_wire(&answer).unwrap();
    assert!(matches!(&answer, Outcome::Refused(error) if error.code == Code::NotFound), "{answer:?}");
    assert_eq!(stage.of(FIVE, "heard"), 2);
}

#[test]
fn a_module_that_listens_no_more_is_told_nothing() {
    let mut stage = Stage::linked();
    stage.carry();
    let upgrade = |from, to| Request::Upgrade { mount: FIVE, expected: from, module: to, way: Way::On };
    stage.one(upgrade(Twin::linked(0, ONE).code, Twin::module(1)));
    stage.carry();
    stage.one(bare(put(ONE, "a", vec![1])));
    assert!(stage.outgoing().is_empty());
    // Back, and linked to another one.
    stage.one(upgrade(Twin::module(1).code, Twin::linked(2, TWO)));
    stage.carry();
    stage.all(vec![bare(put(ONE, "b", vec![1])), bare(put(TWO, "b", vec![1]))]);
    stage.carry();
    assert_eq!(stage.of(FIVE, "heard"), 1);
}

#[test]
fn who_is_gone_answers_gone_and_listens_to_nothing() {
    let mut stage = Stage::linked();
    stage.carry();
    stage.all(vec![give("a", 5), bare(put(ONE, "a", vec![1]))]);
    stage.one(Request::DropMount { mount: ONE });
    stage.carry();
    assert_eq!((stage.of(FIVE, "refused"), stage.of(FIVE, "heard")), (1, 0));

    let mut stage = Stage::linked();
    stage.carry();
    stage.one(bare(put(ONE, "a", vec![1])));
    stage.one(Request::DropMount { mount: FIVE });
    stage.carry();
    stage.one(bare(put(ONE, "b", vec![1])));
    assert!(stage.outgoing().is_empty());
}

#[test]
fn the_other_sees_the_mount_and_not_who_called_it() {
    let mut stage = Stage::linked();
    stage.carry();
    stage.one(give("a", 5));
    let outgoing = stage.outgoing();
    let effects = stage.apply(vec![(1, deliver(&outgoing[0]))]).effects;
    assert!(effects.log.iter().any(|line| line.mount == ONE && line.text == "ran add"));
    assert_ne!(Principal::of_mount(&FIVE), caller());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is delivered and settled when, repeated, cut into batches or restored on the way: nothing is lost, nothing is
    /// doubled, and every replica ends the same, by executing and by installing.
    #[test]
    fn sums_are_kept_through_lost_and_repeated_messages(
        steps in prop::collection::vec((0..6_u8, 0..4_usize, any::<u8>()), 1..60),
    ) {
        let mut stage = Stage::linked();
        stage.carry();
        let mut replica = stage.clone();
        let mut answered: Vec<(Outgoing, Outcome)> = Vec::new();
        let mut puts = 0;
        for (step, which, n) in steps {
            let outgoing = stage.outgoing();
            let some = outgoing.get(which);
            let requests = match (step, some) {
                (0, _) => vec![give("a", u64::from(n)), give("b", 1)],
                (1, _) => {
                    puts += 1;
                    vec![bare(put(ONE, &format!("key {puts}"), vec![n])), bare(add(ONE, "a", 0))]
                }
                (2, _) => {
                    stage = stage.restored();
                    continue;
                }
                // Some are lost, some come twice, some out of turn.
                (3 | 4, Some(one)) => vec![deliver(one), deliver(one)],
                (5, _) => answered.iter().filter(|(one, _)| one.number % 2 == u64::from(n % 2)).map(|(one, outcome)| settle(one, outcome)).collect(),
                _ => continue,
            };
            let entry = stage.entry(requests.iter().cloned().zip(1..).map(|(request, nonce)| (nonce, request)).collect());
            let with = stage.machine.with_effects(stage.machine.applied() + 1, &entry, &stage.twin).unwrap();
            let with = Entry::decode(&with.encode().unwrap()).unwrap();
            prop_assert_eq!(with.mode, Mode::Effects);
            let index = replica.machine.applied() + 1;
            let outcomes = stage.try_apply(&entry).unwrap().outcomes;
            replica.machine.apply(index, &with, &stage.twin).unwrap();
            prop_assert_eq!(replica.machine.state_hash(), stage.machine.state_hash());
            if let (3 | 4, Some(one)) = (step, some) {
                let delivered = |outcome: &&Outcome| matches!(outcome, Outcome::Delivered(_));
                answered.extend(outcomes.iter().find(delivered).map(|outcome| (one.clone(), outcome.clone())));
            }
        }
        stage.carry();
        for key in ["a", "b"] {
            prop_assert_eq!(stage.of(ONE, key).wrapping_add(stage.of(FIVE, key)), 0);
        }
        prop_assert_eq!(stage.of(FIVE, "heard"), puts);
        prop_assert_eq!(stage.of(FIVE, "refused"), 0);
        prop_assert_eq!(stage.time, NOW);
        stage.machine.audit().unwrap();
    }
}
