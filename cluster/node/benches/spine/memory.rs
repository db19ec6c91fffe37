//! Memory: an idle node, a million rows, and what apply feels of a snapshot of them.

use crate::apply::Replica;
use crate::environment::resident_bytes;
use crate::figure::{Target, micros, print, quantile};
use crate::{Outcome, guests, started};
use isx_cluster::View;
use isx_store::Database;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Instant;

const ROWS: u64 = 1_000_000;
/// Rows of a commit while a table is filled.
const BATCH: u64 = 1000;
/// Calls of an entry while snapshots are taken: what clients with 128 calls in flight give.
const CALLS: u64 = 128;
/// Entries that are timed.
const ENTRIES: u64 = 4000;

/// Prints what a node takes that has nothing to do.
pub fn idle() -> Outcome<()> {
    started::run(async {
        let (_folder, _node) = started::node().await?;
        print("idle node, resident", resident_bytes()? as f64 / (1024.0 * 1024.0), "MiB", Target::AtMost(64.0));
        Ok(())
    })
}

/// Prints what a million rows of (u64, 16-byte string, u64) take, the string indexed, and how long apply takes beside
/// snapshots of them.
pub fn rows() -> Outcome<()> {
    let before = resident_bytes()?;
    let database = filled()?;
    let resident = (resident_bytes()?.saturating_sub(before)) as f64 / 1e6;
    print("a million rows, the string indexed, resident", resident, "MB", Target::AtMost(250.0));
    drop(database);

    let mut replica = Replica::new(&guests::rows()?)?;
    for first in (0..ROWS).step_by(BATCH as usize) {
        let entry = items(&replica, first, BATCH)?;
        replica.apply(&entry)?;
    }
    let mut alone = timed(&mut replica, ROWS, |_| Ok(()))?;
    print("apply of 128 inserts, alone, p50", quantile(&mut alone, 0.5) / 1e3, "ms", Target::None);
    print("apply of 128 inserts, alone, p99.9", quantile(&mut alone, 0.999) / 1e3, "ms", Target::None);
    let (views, taken) = snapshots()?;
    let (mut begun, mut ended) = (0_u64, 0_u64);
    let mut beside = timed(&mut replica, ROWS + ENTRIES * CALLS, |replica| {
        ended += u64::from(finished(&taken)?);
        // The thread has one at a time, so the channel has room.
        if begun == ended {
            views.send(replica.machine.view())?;
            begun += 1;
        }
        Ok(())
    })?;
    print("snapshots meanwhile", begun as f64, "", Target::None);
    print("apply of 128 inserts, beside snapshots, p50", quantile(&mut beside, 0.5) / 1e3, "ms", Target::None);
    print(
        "apply of 128 inserts, beside snapshots, p99.9",
        quantile(&mut beside, 0.999) / 1e3,
        "ms",
        Target::AtMost(10.0),
    );
    Ok(())
}

fn filled() -> Outcome<Database> {
    let mut database = Database::new(Arc::new(guests::rows_schema()))?;
    let table = database.table("items").ok_or("no table of items")?;
    for first in (0..ROWS).step_by(BATCH as usize) {
        let mut transaction = database.begin();
        for id in first..first + BATCH {
            transaction.insert(table, &guests::item(1, id))?;
        }
        black_box(transaction.commit());
    }
    Ok(database)
}

fn items(replica: &Replica, first: u64, count: u64) -> Outcome<Vec<u8>> {
    replica.calls("item", (first..first + count).map(|id| Ok(guests::item(0, id))))
}

/// Microseconds of each entry applied, with ids from `first` on; `between` runs before each and is not timed.
fn timed(replica: &mut Replica, first: u64, mut between: impl FnMut(&Replica) -> Outcome<()>) -> Outcome<Vec<f64>> {
    let mut times = Vec::new();
    for number in 0..ENTRIES {
        between(replica)?;
        let entry = items(replica, first + number * CALLS, CALLS)?;
        let begun = Instant::now();
        replica.apply(&entry)?;
        times.push(micros(begun.elapsed()));
    }
    Ok(times)
}

/// Views to take a snapshot of, and how each went.
type Snapshots = (SyncSender<View>, Receiver<Result<(), isx_row::Error>>);

/// A thread that takes a snapshot of each view it is given, and says when it has.
fn snapshots() -> Outcome<Snapshots> {
    let (views, given) = sync_channel::<View>(1);
    let (done, taken) = sync_channel(1);
    let body = move || {
        for view in given {
            let mut snapshot = view.snapshot();
            snapshot.by_ref().for_each(|chunk| drop(black_box(chunk)));
            let finished = snapshot.finish().map(drop);
            // The version is dropped here, away from apply, as in a node.
            drop(view);
            if done.send(finished).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("snapshots".into()).spawn(body)?;
    Ok((views, taken))
}

/// Whether a snapshot has ended since it was asked last.
fn finished(taken: &Receiver<Result<(), isx_row::Error>>) -> Outcome<bool> {
    match taken.try_recv() {
        Ok(finished) => Ok(finished.map(|()| true)?),
        Err(TryRecvError::Empty) => Ok(false),
        Err(TryRecvError::Disconnected) => Err("the thread of the snapshots ended".into()),
    }
}
