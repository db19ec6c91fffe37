//! Raft's own invariants, from what machines say of themselves and from their logs.

use crate::disk::Crash;
use crate::executor::Life;
use crate::world::{CLUSTER, World};
use isx_raft::inspect::durable_group;
use isx_raft::{GroupStatus, Role};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was seen before.
#[derive(Default)]
pub struct Invariants {
    leaders: BTreeMap<(u64, u64), u64>,
    last: BTreeMap<(u64, u64), (Life, GroupStatus)>,
}

impl Invariants {
    /// Looks at every machine that is up.
    pub fn look(&mut self, world: &Arc<World>) {
        for index in world.up() {
            let (Some(raft), Some(life)) = (world.raft(index), world.life(index)) else { continue };
            for (group, status) in raft.status() {
                self.judge(world, (group.0, index as u64 + 1), life, status, world.is_sound(index));
            }
        }
    }

    fn judge(&mut self, world: &World, place: (u64, u64), life: Life, mut status: GroupStatus, sound: bool) {
        let (group, node) = place;
        let wrong = |what: &str| {
            let text = format!("group {group} on node {node}: {what}: {status:?}");
            world.findings.report("raft", format_args!("{text}"));
        };
        if status.role == Role::Leader && *self.leaders.entry((group, status.term)).or_insert(node) != node {
            wrong("two leaders in one term");
        }
        if status.purged > status.snapshot || status.snapshot > status.applied || status.committed > status.last {
            wrong("purged, snapshot, applied, committed, last are out of order");
        }
        let before = self.last.get(&place);
        if before.is_none_or(|(_, before)| (before.role, before.term) != (status.role, status.term)) {
            world.say(format_args!("group {group} on node {node}: {:?} in term {}", status.role, status.term));
        }
        if let Some((before_life, before)) = before {
            if status.term < before.term {
                wrong("the term went back");
            }
            if status.snapshot < before.snapshot || status.purged < before.purged {
                wrong("snapshot or purged went back");
            }
            if *before_life == life && (status.applied < before.applied || status.committed < before.committed) {
                wrong("applied or committed went back");
            }
        }
        if !sound {
            // A node says its term, and what it has purged, before the disk has it; that one may never have it.
            let before = self.last.get(&place).map(|(_, before)| before);
            status.term = before.map_or(0, |before| before.term);
            status.purged = before.and_then(|before| before.purged);
        }
        self.last.insert(place, (life, status));
    }
}

/// Log matching, on the disks of a world that has come together: where two logs have an entry of one index, they have
/// the same one.
pub fn match_logs(world: &Arc<World>) {
    for group in [isx_raft::TREE, isx_raft::MOUNTS] {
        let mut known = BTreeMap::new();
        for index in 0..world.nodes.len() {
            let Some(disk) = world.disk(index) else { continue };
            let found = disk.crash(Crash::KeepAll, &mut || 0);
            let Ok(Some(durable)) = durable_group(&found, CLUSTER, index as u64 + 1, group) else { continue };
            for entry in durable.entries {
                world.trace.bytes(entry.command.as_deref().unwrap_or_default());
                let place = entry.index;
                let value = (entry.term, entry.command);
                if *known.entry(place).or_insert_with(|| value.clone()) != value {
                    world.findings.report("raft", format_args!("group {}: logs differ at {place}", group.0));
                }
            }
        }
    }
}
