//! A healed world comes together: every machine leads or follows one leader, has applied the same, and serves.

use crate::world::World;
use isx_raft::{MOUNTS, TREE};
use std::sync::Arc;
use std::time::Duration;

/// How long a healed world may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Waits until all machines agree; reports when they do not in time.
pub async fn wait(world: &Arc<World>) {
    let end = world.executor.now() + WITHIN;
    loop {
        let Some(reason) = apart(world) else { return };
        if world.executor.now() >= end {
            return world.findings.report("convergence", format_args!("{reason}"));
        }
        world.sleep(Duration::from_millis(100)).await;
    }
}

/// Why the machines do not agree yet.
fn apart(world: &Arc<World>) -> Option<String> {
    for group in [TREE, MOUNTS] {
        let mut first = None;
        for index in 0..world.nodes.len() {
            let Some(raft) = world.raft(index) else { return Some(format!("node {} is not up", index + 1)) };
            let status = raft.status();
            let Some(status) = status.get(&group) else { continue };
            let hash = raft.view(group).ok().map(|view| view.state_hash());
            let state = (status.leader, status.term, status.last, status.applied, hash);
            if status.leader.is_none() || status.last != status.applied {
                return Some(format!("group {} on node {}: {status:?}", group.0, index + 1));
            }
            if first.get_or_insert(state) != &state {
                return Some(format!("group {}: node {} differs: {status:?}", group.0, index + 1));
            }
        }
    }
    None
}
