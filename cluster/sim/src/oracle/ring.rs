//! A follower misses no transaction and hears none twice, by effects or by the change ring.

use crate::client::MOUNT;
use crate::executor::Life;
use crate::world::World;
use isx_cluster::{Effects, Resume, View};
use isx_raft::{MOUNTS, Raft};
use isx_row::Revision;
use std::sync::Arc;

/// Follows the mount on one machine for its life.
pub(crate) fn follow(world: &Arc<World>, life: Life, node: u64, raft: &Raft) {
    let (Ok(mut changes), Ok(view)) = (raft.follow(MOUNTS), raft.view(MOUNTS)) else { return };
    let watched = world.clone();
    let task = async move {
        let mut seen = view.mount(&MOUNT).map(|mount| mount.revision());
        while let Some(change) = changes.next().await {
            if let Some(seen) = seen {
                let ring = ring_after(&change.view, seen);
                let current = change.view.mount(&MOUNT).map_or(seen, |mount| mount.revision());
                if let Some(wrong) = gap(seen, current, change.effects.as_deref(), ring.as_deref()) {
                    watched.findings.report("ring", format_args!("node {node} after {seen}: {wrong}"));
                }
            }
            seen = change.view.mount(&MOUNT).map(|mount| mount.revision());
        }
    };
    world.executor.spawn(life, "ring oracle", Box::pin(task));
}

/// What is wrong with what a follower that has seen a revision was told, by effects or by the ring.
/// Every transaction of the workload changes rows.
fn gap(
    seen: Revision,
    current: Revision,
    effects: Option<&[Arc<Effects>]>,
    ring: Option<&[Revision]>,
) -> Option<String> {
    let mounts = effects.map(|effects| effects.iter().filter_map(|effects| effects.mounts.get(&MOUNT)));
    let told: Option<Vec<Revision>> =
        mounts.map(|mounts| mounts.flat_map(|mount| mount.transactions.iter().map(|one| one.revision)).collect());
    if let (Some(told), Some(ring)) = (&told, ring)
        && told != ring
    {
        return Some(format!("effects say {told:?}, the ring {ring:?}"));
    }
    let mut expected = seen;
    for revision in ring.unwrap_or_default() {
        expected = expected.next();
        if *revision != expected {
            return Some(format!("{revision} comes where {expected} is due"));
        }
    }
    (ring.is_some() && expected != current).then(|| format!("the ring ends at {expected}, the mount at {current}"))
}

/// The revisions after `seen` in the ring; none when it says to begin again.
fn ring_after(view: &View, seen: Revision) -> Option<Vec<Revision>> {
    let mount = view.mount(&MOUNT)?;
    let mut all = Vec::new();
    let mut from = seen;
    while from < mount.revision() {
        match mount.changes_after(mount.incarnation(), from) {
            Resume::Continue { transactions, through } if through > from => {
                all.extend(transactions.iter().map(|transaction| transaction.revision));
                from = through;
            }
            _ => return None,
        }
    }
    Some(all)
}
