//! What a node looks after by itself.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use crate::vat::dial::{Dialled, Right};
use crate::vat::probe::{self, Probe, ask, object};
use crate::world::World;
use isx_port::Disk;
use isx_raft::limits::LOG_SEGMENTS_BEHIND;
use isx_row::Principal;
use std::sync::Arc;
use std::time::Duration;

/// Calls, and what each writes: some dozens of segments.
const CALLS: u64 = 120;
const TEXT_BYTES: usize = 60_000;

fn segments(world: &World) -> usize {
    world.disk(0).unwrap().list("wal").unwrap().len()
}

async fn story(world: Arc<World>, probe: Arc<Probe>) {
    world.start(0);
    probe.publish(&world, 0).await;
    let object = object(&Dialled::new(&world, Right::Owner)).await.unwrap();
    let mut most = 0;
    for number in 0..CALLS {
        let note = (number % 9, Principal([1; 32]), 1_u32, "x".repeat(TEXT_BYTES));
        ask::<_, ()>(&object, "hang", note).await;
        most = most.max(segments(&world));
    }
    world.sleep(Duration::from_secs(5)).await;
    // The tree was changed at the beginning alone, and its entries were in the first segment.
    assert!(segments(&world) <= LOG_SEGMENTS_BEHIND + 4, "{} segments, {most} at most", segments(&world));
}

#[test]
fn a_group_that_rests_does_not_keep_the_log_of_others() {
    probe::run(1, story);
}
