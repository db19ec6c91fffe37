//! Calls in process: 1,024 in flight on a node, in turns with the log alone and apply alone.

use crate::apply::{CALLS, Replica};
use crate::figure::{Target, median, print};
use crate::flight::fly;
use crate::log::Log;
use crate::{Outcome, guests, started};
use futures::future::join_all;
use isx_iface::{Host, HostStub, ObjectRef};
use std::time::{Duration, Instant};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(1);

/// Prints the figures.
pub fn measure() -> Outcome<()> {
    started::run(async {
        let (_folder, node) = started::node().await?;
        let host = node.host();
        let tally = started::mount_tally(&host).await?;
        let mut turns = Turns { log: Log::new()?, replica: Replica::new(&guests::tally()?)? };
        let (mut answered, mut accepted, mut ratios, mut entries) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let alone = turns.take()?;
            accepted.push(accept(&tally).await?);
            let before = committed(&host).await?;
            let mut number = 0;
            let flight = fly(CALLS as usize, ROUND, || {
                number += 1;
                started::add(tally.clone(), number)
            });
            let flight = flight.await?;
            answered.push(flight.rate());
            ratios.push(flight.rate() / alone.log.min(alone.apply));
            entries.push(flight.micros.len() as f64 / (committed(&host).await? - before) as f64);
        }
        print("calls in process, 1,024 in flight, accepted", median(&mut accepted), "calls/s", Target::None);
        print("calls in process, 1,024 in flight, calls an entry", median(&mut entries), "calls", Target::None);
        print("calls in process, 1,024 in flight, answered", median(&mut answered), "calls/s", Target::None);
        print("to the lesser of the log alone and apply alone", median(&mut ratios), "times", Target::AtLeast(0.7));
        Ok(())
    })
}

/// What a node's calls are compared with.
struct Turns {
    log: Log,
    replica: Replica,
}

/// Calls a second.
struct Alone {
    log: f64,
    apply: f64,
}

impl Turns {
    fn take(&mut self) -> Outcome<Alone> {
        let log = self.log.round(CALLS, ROUND / 4)?.fsynced;
        Ok(Alone { log, apply: self.replica.round("add", guests::add)? })
    }
}

/// Calls a second that enter the node's queue.
async fn accept(tally: &ObjectRef) -> Outcome<f64> {
    let mut calls: Vec<_> = (0..CALLS).map(|number| Box::pin(started::add(tally.clone(), number))).collect();
    let begun = Instant::now();
    let mut answered = Vec::new();
    for (place, call) in calls.iter_mut().enumerate() {
        if let std::task::Poll::Ready(answer) = futures::poll!(call) {
            answer?;
            answered.push(place);
        }
    }
    let elapsed = begun.elapsed();
    answered.into_iter().rev().for_each(|place| drop(calls.swap_remove(place)));
    join_all(calls).await.into_iter().collect::<Outcome<()>>()?;
    Ok(CALLS as f64 / elapsed.as_secs_f64())
}

/// Entries that the mounts' group has committed.
async fn committed(host: &HostStub) -> Outcome<u64> {
    let status = host.status().await?;
    let group = status.groups.iter().find(|group| group.group == 1).ok_or("no group of mounts")?;
    Ok(group.committed)
}
