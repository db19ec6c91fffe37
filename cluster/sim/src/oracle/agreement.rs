//! Replicas that have applied the same entries are in the same state, and log time never goes back.

use crate::world::World;
use isx_cluster::View;
use isx_raft::Group;
use isx_row::Time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was seen after each entry, by group and index.
#[derive(Default)]
pub struct Agreement(BTreeMap<(u64, u64), Seen>);

#[derive(Clone, Copy)]
struct Seen {
    hash: [u8; 32],
    time: Time,
    node: u64,
}

impl Agreement {
    /// Looks at every machine that is up.
    pub fn look(&mut self, world: &Arc<World>) {
        for index in world.up() {
            let Some(raft) = world.raft(index) else { continue };
            for group in [isx_raft::TREE, isx_raft::MOUNTS] {
                let Ok(view) = raft.view(group) else { continue };
                if let Some(wrong) = self.judge(group, index as u64 + 1, &view) {
                    let what = format!("group {} after {}: {wrong}", group.0, view.applied());
                    world.findings.report("agreement", format_args!("{what}"));
                }
            }
        }
    }

    fn judge(&mut self, group: Group, node: u64, view: &View) -> Option<String> {
        let place = (group.0, view.applied());
        let seen = Seen { hash: view.state_hash(), time: view.time(), node };
        if let Some(known) = self.0.get(&place) {
            return (known.hash != seen.hash).then(|| format!("nodes {} and {node} differ", known.node));
        }
        self.0.insert(place, seen);
        let before = self.0.range((group.0, 0)..place).next_back();
        let after = self.0.range((group.0, place.1 + 1)..(group.0 + 1, 0)).next();
        let backwards = before.is_some_and(|(_, before)| before.time > seen.time)
            || after.is_some_and(|(_, after)| after.time < seen.time);
        backwards.then(|| "log time went back".into())
    }

    /// The state hash that was seen after an entry.
    pub(crate) fn hash(&self, group: Group, index: u64) -> Option<[u8; 32]> {
        self.0.get(&(group.0, index)).map(|seen| seen.hash)
    }

    /// The last entry after which a state was seen.
    pub(crate) fn applied(&self, group: Group) -> Option<u64> {
        let ((_, index), _) = self.0.range((group.0, 0)..(group.0 + 1, 0)).next_back()?;
        Some(*index)
    }
}
