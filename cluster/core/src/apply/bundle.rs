//! The other mounts that calls of one reach into, while these run: their tables are taken out of the group for that long.

use super::{Run, Work};
use crate::entry::JoinedEffect;
use crate::group::MountsGroup;
use crate::limits::BUNDLE_MOUNTS_MAX;
use crate::machine::{Hold, LogLine};
use crate::mount::Mount;
use isx_row::MountId;
use isx_store::{Database, Joined, JoinedChanges};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The other mounts that calls of one reach into.
#[derive(Default)]
pub(crate) struct Bundle {
    pub(super) joined: Vec<Joined>,
    /// Whether rows of any of them, or of the mount itself, move.
    pub(super) waits: bool,
    /// What calls have done there.
    done: Vec<JoinedChanges>,
}

/// Calls that stay in order.
#[derive(Default)]
struct Ordered<'a> {
    /// The mounts that they are of or reach into.
    mounts: BTreeSet<MountId>,
    calls: Vec<(MountId, Work<'a>)>,
}

impl MountsGroup {
    /// The mounts that calls of one can reach into, the nearest first.
    pub(crate) fn reach(&self, id: &MountId) -> Vec<MountId> {
        let mut found = Vec::new();
        let mut next = 0;
        let mut at = Some(*id);
        while let Some(mount) = at.and_then(|at| self.mounts.get(&at)).map(|slot| &slot.mount) {
            for other in mount.joins.iter() {
                if other != id && !found.contains(other) && self.mounts.contains_key(other) {
                    found.push(*other);
                }
            }
            at = found.get(next).copied();
            next += 1;
            if found.len() >= BUNDLE_MOUNTS_MAX {
                found.truncate(BUNDLE_MOUNTS_MAX);
                break;
            }
        }
        found
    }

    /// Whether calls of a mount wait: its rows move to a new module, or those of a mount that they reach into.
    pub(crate) fn waits(&self, mount: &Mount) -> bool {
        let moves = |id: &MountId| self.moves(id);
        self.is_moving() && (mount.moving.is_waiting() || self.reach(&mount.id).iter().any(moves))
    }

    /// The mounts that calls of one can reach into, with their tables as they are now.
    pub(crate) fn joined(&self, id: &MountId) -> Vec<Joined> {
        let mounts = self.reach(id).into_iter().filter_map(|id| self.mounts.get(&id));
        mounts.map(|slot| joined(&slot.mount, slot.mount.database.clone())).collect()
    }
}

fn joined(mount: &Mount, root: Database) -> Joined {
    Joined { mount: mount.id, code: mount.module.code, root }
}

impl Bundle {
    fn take(group: &mut MountsGroup, id: &MountId) -> Self {
        let waits = group.mounts.get(id).is_some_and(|slot| group.waits(&slot.mount));
        let mut bundle = Self { waits, ..Self::default() };
        for other in group.reach(id) {
            if let Some(slot) = group.mounts.get_mut(&other) {
                let mount = Arc::make_mut(&mut slot.mount);
                let root = std::mem::take(&mut mount.database);
                bundle.joined.push(joined(mount, root));
            }
        }
        bundle
    }

    /// Notes what a call did.
    pub(super) fn note(&mut self, done: Vec<JoinedChanges>) {
        self.done.extend(done);
    }

    /// The state hashes of the tables.
    pub(super) fn hashes(&self) -> Vec<[u8; 32]> {
        self.joined.iter().map(|joined| joined.root.state_hash()).collect()
    }

    /// What a call did, the tables having had these hashes before it.
    pub(super) fn effects(&self, before: &[[u8; 32]], done: &[JoinedChanges]) -> Vec<JoinedEffect> {
        let tables = self.joined.iter().zip(before);
        let effect = |(joined, before): (&Joined, &[u8; 32])| {
            let changes = done.iter().find(|done| done.mount == joined.mount)?.changes.clone();
            let after = joined.root.state_hash();
            (!changes.is_empty()).then_some(JoinedEffect { mount: joined.mount, before: *before, after, changes })
        };
        tables.filter_map(effect).collect()
    }

    /// Installs what a call did; whether it fits.
    pub(super) fn install(&mut self, effects: &[JoinedEffect]) -> bool {
        effects.iter().all(|effect| {
            let joined = self.joined.iter_mut().find(|joined| joined.mount == effect.mount);
            joined.is_some_and(|joined| {
                joined.root.state_hash() == effect.before
                    && joined.root.install(&effect.changes).is_ok()
                    && joined.root.state_hash() == effect.after
            })
        })
    }
}

impl Run<'_> {
    /// Works on a mount with the mounts at hand that its calls reach into, and commits what these did there.
    pub(super) fn bundled<T>(
        &mut self,
        group: &mut MountsGroup,
        id: &MountId,
        work: impl FnOnce(&mut Self, &mut MountsGroup, &mut Bundle) -> Result<T, Hold>,
    ) -> Result<T, Hold> {
        let mut bundle = Bundle::take(group, id);
        let worked = work(self, group, &mut bundle);
        for Joined { mount, root, .. } in bundle.joined {
            if let Some(slot) = group.mounts.get_mut(&mount) {
                Arc::make_mut(&mut slot.mount).database = root;
            }
        }
        for JoinedChanges { mount: id, changes, log } in bundle.done {
            let line = |(level, text)| LogLine { mount: id, time: self.time, level, text };
            self.effects.log.extend(log.into_iter().map(line));
            if let Some(slot) = group.mounts.get_mut(&id).filter(|_| !changes.is_empty()) {
                self.commit(Arc::make_mut(&mut slot.mount), changes);
                group.reseal(&id);
            }
        }
        worked
    }
}

/// The calls of an entry by mount, in an order that comes to the same as theirs: where calls of one mount see what calls of
/// another do, as those of a bundle, they stay as they are.
pub(super) fn ordered<'a>(
    group: &MountsGroup,
    by_mount: BTreeMap<MountId, Vec<Work<'a>>>,
) -> Vec<(MountId, Vec<Work<'a>>)> {
    let reaches: Vec<Vec<MountId>> = by_mount.keys().map(|id| group.reach(id)).collect();
    if reaches.iter().all(Vec::is_empty) {
        return by_mount.into_iter().collect();
    }
    // Their mounts have none in common.
    let mut bundles: Vec<Ordered<'a>> = Vec::new();
    for ((id, work), reach) in by_mount.into_iter().zip(reaches) {
        let mut one = Ordered {
            mounts: reach.into_iter().chain([id]).collect(),
            calls: work.into_iter().map(|work| (id, work)).collect(),
        };
        bundles.retain_mut(|other| {
            let apart = other.mounts.is_disjoint(&one.mounts);
            if !apart {
                one.mounts.append(&mut other.mounts);
                one.calls.append(&mut other.calls);
            }
            apart
        });
        bundles.push(one);
    }
    let mut lists: Vec<(MountId, Vec<Work<'a>>)> = Vec::new();
    for Ordered { mut calls, .. } in bundles {
        calls.sort_by_key(|(_, work)| work.position);
        let mut list: Option<(MountId, Vec<Work<'a>>)> = None;
        for (id, work) in calls {
            match &mut list {
                Some((of, works)) if *of == id => works.push(work),
                _ => lists.extend(list.replace((id, vec![work]))),
            }
        }
        lists.extend(list);
    }
    lists
}
