//! Replicas that have applied the same entries are in the same state.

use crate::world::World;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The state hash that was seen after each entry, by group and index.
#[derive(Default)]
pub struct Agreement(BTreeMap<(u64, u64), ([u8; 32], u64)>);

impl Agreement {
    /// Looks at every machine that is up.
    pub fn look(&mut self, world: &Arc<World>) {
        for index in world.up() {
            let Some(raft) = world.raft(index) else { continue };
            for group in [isx_raft::TREE, isx_raft::MOUNTS] {
                let Ok(view) = raft.view(group) else { continue };
                let hash = view.state_hash();
                let node = index as u64 + 1;
                let (known, by) = *self.0.entry((group.0, view.applied())).or_insert((hash, node));
                if known != hash {
                    let what = format!("group {} after {}: nodes {by} and {node} differ", group.0, view.applied());
                    world.findings.report("agreement", format_args!("{what}"));
                }
            }
        }
    }
}
