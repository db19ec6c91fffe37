//! Last values put by several and followed by several, over cuts, a restart, an upgrade and the ends of sessions: each has rows
//! of his own, who follows has the newest of all of them, and the log hears of none.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use crate::disk::Crash;
use crate::random::Random;
use crate::vat::ConfigureNode;
use crate::vat::dial::{Dialled, Right};
use crate::vat::probe::{self, Probe, object};
use crate::world::World;
use futures::StreamExt;
use isx_iface::table::{Doing, RowChange, Step, change, follow};
use isx_iface::{Host, ObjectRef};
use isx_row::typed::{decode_record, encode_arguments};
use isx_row::{Bytes, Class, Code, Error, Incarnation, Principal, Revision, Signature};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longer than a node takes to find a connection dead, a session may be away, and the node takes to see that it is.
const LONG: Duration = Duration::from_secs(45);
/// How long followers may take to have what there is.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const STEPS: u64 = 600;
/// So many of a thousand steps reset every stream, upgrade the module, end the node.
const STORM_PER_MILLE: u64 = 30;
const UPGRADE_PER_MILLE: u64 = 10;
const KILL_PER_MILLE: u64 = 8;

/// A cursor as the module's table has it.
type Cursor = (u8, Principal, f32, String);
/// Rows by their key.
type Rows = BTreeMap<(u8, Principal), (f32, String)>;

/// What somebody has of the table.
#[derive(Default)]
struct Seen {
    cursor: Option<(Incarnation, Revision)>,
    rows: Rows,
    resets: u64,
    steps: u64,
}

impl Seen {
    fn step(&mut self, step: &Step) {
        let cursor = (step.incarnation, step.revision);
        let before = self.cursor.replace(cursor);
        self.steps += 1;
        if step.reset {
            self.rows.clear();
            self.resets += 1;
        } else {
            assert!(before.is_some_and(|before| before.0 == cursor.0 && before.1 < cursor.1), "{before:?}, {cursor:?}");
        }
        for change in &step.changes {
            let row =
                change.new.as_ref().or(change.old.as_ref()).map(|Bytes(row)| decode_record::<Cursor>(row).unwrap().1);
            let (hand, who, x, label) = row.unwrap();
            let had = match change.what {
                RowChange::Delete => self.rows.remove(&(hand, who)),
                _ => self.rows.insert((hand, who), (x, label)),
            };
            let is_new = matches!(change.what, RowChange::Present | RowChange::Insert);
            assert_eq!(had.is_none(), is_new, "{:?} of {hand}", change.what);
        }
    }
}

/// Somebody with a program of its own.
struct Person {
    program: Arc<Dialled>,
    who: Principal,
    object: ObjectRef,
}

impl Person {
    async fn new(world: &Arc<World>, right: Right) -> Self {
        let program = Arc::new(Dialled::new(world, right));
        let who = program.host().whoami().await.unwrap().principal;
        let object = object(&program).await.unwrap();
        Self { program, who, object }
    }

    async fn put(&self, hand: u8, x: f32, label: &str) -> Result<(), Error> {
        let columns = encode_arguments(&(hand, x, label.to_string())).unwrap();
        change(&self.object, ("cursor", Doing::Put), Signature::ANY, columns).await
    }

    async fn delete(&self, hand: u8) -> Result<(), Error> {
        change(&self.object, ("cursor", Doing::Delete), Signature::ANY, encode_arguments(&(hand,)).unwrap()).await
    }
}

/// Follows from where it is, taking a step each `pause`, until the stream ends.
async fn watch(world: &World, program: &Dialled, seen: &Mutex<Seen>, pause: Duration) -> Result<(), Error> {
    let object = object(program).await?;
    let cursor = seen.lock().unwrap().cursor;
    let mut steps = follow(&object, "cursor", cursor).await?;
    while let Some(step) = steps.next().await {
        seen.lock().unwrap().step(&step?);
        world.sleep(pause).await;
    }
    Ok(())
}

/// A follower, until its program is ended.
fn follower(world: &Arc<World>, pause: Duration) -> Arc<Mutex<Seen>> {
    let program = Dialled::new(world, Right::Stranger);
    let (world, life, seen) = (world.clone(), program.life, Arc::<Mutex<Seen>>::default());
    let (executor, told) = (world.executor.clone(), seen.clone());
    let task = async move {
        loop {
            if let Err(error) = watch(&world, &program, &told, pause).await {
                assert!(matches!(error.class(), Class::Unknown | Class::Fatal | Class::Busy), "{error}");
            }
            world.sleep(Duration::from_millis(20)).await;
        }
    };
    executor.spawn(life, "follower", Box::pin(task));
    seen
}

/// Waits until somebody has these rows.
async fn settled(world: &Arc<World>, seen: &Mutex<Seen>, rows: &Rows) {
    let end = world.executor.now() + SETTLED_WITHIN;
    while seen.lock().unwrap().rows != *rows && world.executor.now() < end {
        world.sleep(Duration::from_millis(50)).await;
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.rows, *rows, "at {:?}", seen.cursor);
}

/// The entries of all groups.
async fn entries(program: &Dialled) -> u64 {
    program.host().status().await.unwrap().groups.iter().map(|group| group.applied).sum()
}

/// What is promised of single rows.
async fn rows(world: Arc<World>, probe: Arc<Probe>) {
    world.start(0);
    probe.publish(&world, 0).await;
    let owner = Dialled::new(&world, Right::Owner);
    let [ada, bob] = [Person::new(&world, Right::Stranger).await, Person::new(&world, Right::Stranger).await];
    let seen = follower(&world, Duration::ZERO);
    let slow = follower(&world, Duration::from_millis(400));
    let refused = |done: Result<(), Error>| done.unwrap_err().code;

    // One row for each of them, whatever the other does.
    let mut there = Rows::new();
    for person in [&ada, &bob] {
        person.put(1, 2.5, "here").await.unwrap();
        there.insert((1, person.who), (2.5, "here".into()));
    }
    bob.put(1, 7.0, "there").await.unwrap();
    bob.delete(2).await.unwrap();
    there.insert((1, bob.who), (7.0, "there".into()));
    settled(&world, &seen, &there).await;
    bob.delete(1).await.unwrap();
    there.remove(&(1, bob.who));
    settled(&world, &seen, &there).await;

    // What is wrong, and what is not for everybody.
    let put = async |table: &str, signature, columns: Vec<u8>| {
        change(&ada.object, (table, Doing::Put), signature, columns).await
    };
    let columns = encode_arguments(&(1_u8, 0.5_f32, "x".to_string())).unwrap();
    assert_eq!(refused(put("cursor", Signature([1; 16]), columns.clone()).await), Code::StaleBindings);
    let whole = encode_arguments(&(1_u8, bob.who, 0.5_f32, "x".to_string())).unwrap();
    assert_eq!(refused(put("cursor", Signature::ANY, whole).await), Code::BadArguments, "nobody says who he is");
    assert_eq!(refused(put("cursor", Signature::ANY, columns[..3].to_vec()).await), Code::BadArguments);
    let large = encode_arguments(&(1_u8, 0.5_f32, "x".repeat(20_000))).unwrap();
    assert_eq!(refused(put("cursor", Signature::ANY, large).await), Code::Limit);
    for hidden in ["glance", "note", "nothing"] {
        assert_eq!(refused(put(hidden, Signature::ANY, columns.clone()).await), Code::NotFound, "{hidden}");
    }
    assert!(follow(&ada.object, "glance", None).await.is_err_and(|error| error.code == Code::NotFound));
    let many = futures::future::join_all((1..=64).map(|hand| ada.put(hand, 0.0, ""))).await;
    assert!(many.iter().all(Result::is_ok), "as many as one may have");
    assert_eq!(refused(ada.put(65, 0.0, "").await), Code::Limit);
    for hand in 2..=64 {
        ada.delete(hand).await.unwrap();
    }
    ada.put(1, 3.0, "here").await.unwrap();
    there.insert((1, ada.who), (3.0, "here".into()));

    // A thousand a second, of which the log hears nothing, and who is slow little.
    world.sleep(Duration::from_secs(5)).await;
    let (before, told) = (entries(&owner).await, slow.lock().unwrap().steps);
    for number in 0_u16..1000 {
        ada.put(1, f32::from(number), "moving").await.unwrap();
        world.sleep(Duration::from_millis(1)).await;
    }
    there.insert((1, ada.who), (999.0, "moving".into()));
    // The module's own schedule goes on meanwhile, four times a second.
    assert!(entries(&owner).await - before < 100, "in no log");
    settled(&world, &seen, &there).await;
    settled(&world, &slow, &there).await;
    let (heard, told) = (seen.lock().unwrap().steps, slow.lock().unwrap().steps - told);
    assert!(told < 300 && heard > 50, "the slow one heard {told} steps, the other {heard} in all");

    // Values stay over cuts of connections and an upgrade to a module with the same table, and nobody begins again.
    world.net.storm();
    probe.publish(&world, 1).await;
    bob.put(3, 0.0, "after").await.unwrap();
    // Who comes back says so: what is there already is news to nobody.
    ada.put(1, 999.0, "moving").await.unwrap();
    there.insert((3, bob.who), (0.0, "after".into()));
    settled(&world, &seen, &there).await;
    assert_eq!(seen.lock().unwrap().resets, 1, "at the beginning");

    // They go with their session, and with the node that keeps them.
    world.end_caller(bob.program.life);
    world.sleep(Duration::from_secs(6)).await;
    assert!(seen.lock().unwrap().rows.contains_key(&(3, bob.who)), "he may come back");
    world.sleep(LONG).await;
    there.remove(&(3, bob.who));
    settled(&world, &seen, &there).await;
    world.kill(0, Crash::KeepAll, &mut Random::new(1));
    world.start(0);
    settled(&world, &seen, &Rows::new()).await;
    assert_eq!(seen.lock().unwrap().resets, 2, "what there was is void");
    ada.put(1, 1.0, "again").await.unwrap();
    settled(&world, &seen, &[((1, ada.who), (1.0, "again".to_string()))].into()).await;
}

/// Anything at any time.
async fn anything(world: Arc<World>, probe: Arc<Probe>) {
    world.start(0);
    probe.publish(&world, 0).await;
    let mut random = world.split("story");
    let people = [Person::new(&world, Right::Stranger).await, Person::new(&world, Right::Owner).await];
    let followers = [0, 30, 700].map(|pause| follower(&world, Duration::from_millis(pause)));
    let mut there = Rows::new();
    let mut kills = 0;
    for step in 0..STEPS {
        let (person, hand) = (&people[random.below(2) as usize], random.below(4) as u8);
        if random.per_mille(300) {
            person.delete(hand).await.unwrap();
            there.remove(&(hand, person.who));
        } else {
            let (x, label) = (step as f32, "x".repeat(random.below(3000) as usize));
            person.put(hand, x, &label).await.unwrap();
            there.insert((hand, person.who), (x, label));
        }
        if random.per_mille(STORM_PER_MILLE) {
            world.net.storm();
        }
        if random.per_mille(UPGRADE_PER_MILLE) {
            probe.publish(&world, step).await;
        }
        if random.per_mille(KILL_PER_MILLE) {
            kills += 1;
            world.kill(0, Crash::KeepAll, &mut Random::new(step));
            world.start(0);
            there.clear();
        }
        world.sleep(Duration::from_millis(random.below(40))).await;
    }
    for seen in &followers {
        settled(&world, seen, &there).await;
        let resets = seen.lock().unwrap().resets;
        assert!(resets <= kills + 1, "{resets} resets after {kills} kills");
    }
}

#[test]
fn rows_are_their_callers_and_go_with_them() {
    probe::run(1, rows);
}

#[test]
fn who_follows_has_the_newest_of_all_whatever_happens() {
    for seed in 1..5 {
        probe::run(seed, anything);
    }
}

#[test]
fn a_value_that_outlives_its_session_is_seen() {
    let bug = Arc::new(|node: &mut isx_node::Opened| node.plant(isx_node::Bug::ValueStays));
    let configure = ConfigureNode { node: bug, ..ConfigureNode::default() };
    let played = std::thread::spawn(move || probe::run_with(1, configure, rows)).join();
    assert!(played.is_err(), "nobody sees it");
}
