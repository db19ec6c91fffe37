//! One call in flight over loopback, in turns with what it can not do without: a sync and a round trip.

use crate::figure::{Target, median, print};
use crate::flight::fly;
use crate::log::Synced;
use crate::loopback::Connected;
use crate::plain::Plain;
use crate::{Outcome, started};
use std::time::Duration;

const ROUNDS: usize = 10;
const ROUND: Duration = Duration::from_millis(300);
const SYNCS: usize = 200;
/// What a node may add to a sync and a round trip, in microseconds.
const OWN_US: f64 = 100.0;

/// Prints the figures.
pub fn measure() -> Outcome<()> {
    started::run(async {
        let (_folder, node) = started::node().await?;
        let tally = started::mount_tally(&node.host()).await?;
        let plain = Plain::start().await?;
        let client = Connected::new(&node, &plain, 0).await?;
        let mut synced = Synced::new()?;
        let (mut syncs, mut trips, mut near, mut far) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for _ in 0..SYNCS {
                syncs.push(synced.sync()?);
            }
            trips.extend(client.plain.fly(1, ROUND).await?.micros);
            near.extend(fly(1, ROUND, || started::add(tally.clone(), 0)).await?.micros);
            far.extend(fly(1, ROUND, || started::add(client.lasting.clone(), 0)).await?.micros);
        }
        let (sync, trip) = (median(&mut syncs), median(&mut trips));
        print("bare fdatasync of 512 bytes, median", sync, "us", Target::None);
        print("bare capnp round trip over loopback, median", trip, "us", Target::None);
        print("one call in flight, in process, answered, median", median(&mut near), "us", Target::None);
        let most = Target::AtMost(sync + trip + OWN_US);
        print("one call in flight, over loopback, answered, median", median(&mut far), "us", most);
        Ok(())
    })
}
