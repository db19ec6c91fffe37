//! Views followed by two who ask, over kills, cuts and an upgrade: each has its own rows, all of them, and none of the other's.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use crate::disk::Crash;
use crate::random::Random;
use crate::vat::dial::{Dialled, Right};
use crate::vat::probe::{self, Probe, ask, object};
use crate::world::World;
use futures::StreamExt;
use isx_iface::Host;
use isx_iface::payload::encode;
use isx_iface::table::{RowChange, Step, follow_view};
use isx_row::typed::decode_record;
use isx_row::{Bytes, Class, Error, Incarnation, Principal, Revision, Signature};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STEPS: u64 = 400;
/// So many of a thousand steps end the node, reset every stream, upgrade the module.
const KILL_PER_MILLE: u64 = 15;
const STORM_PER_MILLE: u64 = 40;
const UPGRADE_PER_MILLE: u64 = 10;
const IDS: u64 = 20;
const ROOM: u32 = 1;
/// How long followers may take to have what there is.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// A note as the module's table has it: number, for whom, room, text.
type Note = (u64, Principal, u32, String);

/// What somebody has of the view.
#[derive(Default)]
struct Seen {
    cursor: Option<(Incarnation, Revision)>,
    rows: BTreeMap<u64, Note>,
    resets: u64,
}

impl Seen {
    fn step(&mut self, step: &Step, who: Principal) {
        let cursor = (step.incarnation, step.revision);
        let before = self.cursor.replace(cursor);
        assert!(before.is_none_or(|before| before.1 < cursor.1), "after {before:?} comes {cursor:?}");
        if step.reset {
            self.rows.clear();
            self.resets += 1;
        }
        for change in &step.changes {
            let note = |row: &Option<Bytes>| row.as_ref().map(|Bytes(row)| decode_record::<Note>(row).unwrap().1);
            let (old, new) = (note(&change.old), note(&change.new));
            for note in old.iter().chain(&new) {
                assert_eq!(note.1, who, "a note of somebody else");
            }
            let id = old.as_ref().or(new.as_ref()).unwrap().0;
            let had = match new {
                Some(new) => self.rows.insert(id, new),
                None => self.rows.remove(&id),
            };
            match change.what {
                RowChange::Present | RowChange::Insert => assert_eq!(had, None),
                RowChange::Update | RowChange::Delete => assert_eq!(had, old),
            }
        }
    }
}

/// Follows from where it is, until the stream ends.
async fn watch(program: &Dialled, seen: &Mutex<Seen>, who: Principal) -> Result<(), Error> {
    let object = object(program).await?;
    let cursor = seen.lock().unwrap().cursor;
    let mut steps = follow_view(&object, ("mine", Signature::ANY), encode(&())?, cursor).await?;
    while let Some(step) = steps.next().await {
        seen.lock().unwrap().step(&step?, who);
    }
    Ok(())
}

/// A follower, until its program is ended.
fn follower(world: &Arc<World>, program: Arc<Dialled>, seen: Arc<Mutex<Seen>>, who: Principal) {
    let (sleeping, life) = (world.clone(), program.life);
    let task = async move {
        loop {
            if let Err(error) = watch(&program, &seen, who).await {
                assert!(matches!(error.class(), Class::Unknown | Class::Fatal | Class::Busy), "{error}");
            }
            sleeping.sleep(Duration::from_millis(20)).await;
        }
    };
    world.executor.spawn(life, "follower", Box::pin(task));
}

/// Two who follow the view, each from the beginning.
async fn two(world: &Arc<World>) -> [(Principal, Arc<Mutex<Seen>>); 2] {
    let one = async || {
        let program = Arc::new(Dialled::new(world, Right::Stranger));
        let who = program.host().whoami().await.unwrap().principal;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        follower(world, program.clone(), seen.clone(), who);
        (who, seen)
    };
    [one().await, one().await]
}

/// Waits until somebody has these rows.
async fn settled(world: &Arc<World>, seen: &Mutex<Seen>, rows: &BTreeMap<u64, Note>) {
    let end = world.executor.now() + SETTLED_WITHIN;
    while seen.lock().unwrap().rows != *rows && world.executor.now() < end {
        world.sleep(Duration::from_millis(50)).await;
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.rows, *rows, "at {:?}", seen.cursor);
}

/// Nobody who comes back is told again what he has, unless it may be another.
async fn coming_back(world: Arc<World>, probe: Arc<Probe>) {
    world.start(0);
    probe.publish(&world, 0).await;
    let writer = Dialled::new(&world, Right::Owner);
    let [(ada, seen), (bob, _)] = two(&world).await;
    let mut notes: BTreeMap<u64, Note> = BTreeMap::new();
    for step in 0..10 {
        let object = object(&writer).await.unwrap();
        // Nothing of hers changes while she is away.
        for (id, to) in [(100 + step, bob), (step, ada)] {
            let note = (id, to, ROOM, format!("{step}"));
            ask::<_, ()>(&object, "hang", note.clone()).await;
            if to == ada {
                notes.insert(id, note);
                settled(&world, &seen, &notes).await;
            }
            world.net.storm();
            world.sleep(Duration::from_secs(1)).await;
        }
    }
    assert_eq!(seen.lock().unwrap().resets, 1, "at the beginning");
    probe.publish(&world, 1).await;
    world.sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.lock().unwrap().resets, 1, "the other module gives the same rows");
    world.net.storm();
    probe.publish(&world, 2).await;
    world.sleep(Duration::from_secs(5)).await;
    settled(&world, &seen, &notes).await;
}

async fn story(world: Arc<World>, probe: Arc<Probe>) {
    world.start(0);
    probe.publish(&world, 0).await;
    let mut random = world.split("story");
    let writer = Dialled::new(&world, Right::Owner);
    let people = two(&world).await;
    let mut notes: BTreeMap<u64, Note> = BTreeMap::new();
    let mut disturbed = 0;
    for step in 0..STEPS {
        let id = random.below(IDS);
        let object = object(&writer).await.unwrap();
        if random.per_mille(250) {
            ask::<_, ()>(&object, "tear", (id,)).await;
            notes.remove(&id);
        } else {
            let to = people[random.below(2) as usize].0;
            let note = (id, to, ROOM, format!("{step}"));
            ask::<_, ()>(&object, "hang", note.clone()).await;
            notes.insert(id, note);
        }
        if random.per_mille(KILL_PER_MILLE) {
            disturbed += 1;
            world.kill(0, Crash::KeepAll, &mut Random::new(step));
            world.start(0);
        }
        if random.per_mille(UPGRADE_PER_MILLE) {
            disturbed += 1;
            probe.publish(&world, step).await;
        }
        if random.per_mille(STORM_PER_MILLE) {
            disturbed += 1;
            world.net.storm();
        }
        world.sleep(Duration::from_millis(random.below(60))).await;
    }
    for (who, seen) in &people {
        let theirs: BTreeMap<u64, Note> =
            notes.iter().filter(|(_, note)| note.1 == *who).map(|(id, note)| (*id, note.clone())).collect();
        settled(&world, seen, &theirs).await;
        let resets = seen.lock().unwrap().resets;
        assert!(resets <= disturbed + 1, "{resets} resets after {disturbed} disturbances");
    }
}

#[test]
fn two_who_ask_have_their_own_rows_and_never_the_others() {
    for seed in 1..5 {
        probe::run(seed, story);
    }
}

#[test]
fn who_comes_back_to_what_did_not_change_is_not_told_again() {
    probe::run(1, coming_back);
}
