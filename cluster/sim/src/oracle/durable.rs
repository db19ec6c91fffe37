//! An acknowledged call is in the durable log of a quorum, or behind its snapshot, at the moment of the acknowledgement.

use crate::disk::{Crash, SimDisk};
use crate::world::{CLUSTER, World};
use isx_cluster::{Entry, Request, SessionCall};
use isx_raft::MOUNTS;
use isx_raft::inspect::{DurableEntry, DurableGroup, durable_group};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Looks for the call on each machine's disk, as a power cut would leave it now.
pub fn check(world: &Arc<World>, call: &SessionCall) {
    let groups: Vec<Option<DurableGroup>> =
        (0..world.nodes.len()).map(|index| world.disk(index).and_then(|disk| read(&disk, world, index))).collect();
    let groups: Vec<DurableGroup> = groups.into_iter().flatten().collect();
    // A call that was asked again stands in the log more than once: one place on a quorum is enough.
    let places: BTreeSet<(u64, u64)> = groups.iter().flat_map(|group| places(group, call)).collect();
    let holds = |(index, term): (u64, u64)| {
        let in_log =
            |group: &DurableGroup| group.entries.iter().any(|entry| (entry.index, entry.term) == (index, term));
        groups.iter().filter(|group| group.purged >= Some(index) || in_log(group)).count()
    };
    // Nowhere in a log: then every log that has it has dropped it behind a snapshot.
    let behind_snapshots = || groups.iter().filter(|group| group.purged.is_some()).count();
    let held = places.iter().map(|place| holds(*place)).max().unwrap_or_else(behind_snapshots);
    let quorum = world.nodes.len() / 2 + 1;
    if held < quorum {
        let what = format!("{call:?} at {places:?} is durable on {held} of {} machines", world.nodes.len());
        world.findings.report("durable", format_args!("{what}"));
    }
}

fn read(disk: &SimDisk, world: &World, index: usize) -> Option<DurableGroup> {
    let found = disk.crash(Crash::DropUnsynced, &mut || 0);
    match durable_group(&found, CLUSTER, index as u64 + 1, MOUNTS) {
        Ok(group) => group,
        Err(error) => {
            world.findings.report("durable", format_args!("the log of node {} does not open: {error}", index + 1));
            None
        }
    }
}

/// Where the call is: index and term of each entry that has it.
fn places(group: &DurableGroup, call: &SessionCall) -> Vec<(u64, u64)> {
    let has = |entry: &&DurableEntry| {
        let decoded = entry.command.as_ref().and_then(|command| Entry::decode(command).ok());
        decoded.is_some_and(|decoded| {
            decoded.records.iter().any(|record| match &record.request {
                Request::Call(reducer) => {
                    let asked = reducer.session.as_ref();
                    asked.is_some_and(|asked| (asked.session, asked.sequence) == (call.session, call.sequence))
                }
                _ => false,
            })
        })
    };
    group.entries.iter().filter(has).map(|entry| (entry.index, entry.term)).collect()
}
