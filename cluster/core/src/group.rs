//! A group's replicated state: what its kind keeps, and what every kind does.

use crate::limits::{MEMBERS_MAX, MIGRATIONS_MAX, MOUNTS_MAX, TOMBSTONE_AGE, TOMBSTONES_MAX};
use crate::mount::Mount;
use crate::moving::Moving;
use crate::outcome::Outcome;
use crate::request::{put_addresses, take_addresses};
use imbl::{OrdMap, OrdSet};
use isx_anchors::sum::DigestSum;
use isx_anchors::wire::{Reader, Wire, WireError};
use isx_anchors::{Caller, GroupId, Name, Operation, Tree};
use isx_row::{Code, ContentHash, Error, HomeId, MountId, Principal, Time};
use isx_store::ExecutionId;
use std::sync::Arc;

/// The newest feature level this code knows.
pub const FEATURE_LEVEL: u16 = 1;

/// Everything replicated in a group. A clone is free.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    /// The index of the last entry applied.
    pub(crate) applied: u64,
    /// Log time.
    pub(crate) time: Time,
    /// The feature level.
    pub(crate) level: u16,
    /// The execution id under which the state was made.
    pub(crate) execution: ExecutionId,
    pub(crate) content: Content,
}

/// What a group keeps.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Group 0.
    Tree(TreeGroup),
    /// Any other.
    Mounts(MountsGroup),
}

/// The tree and the members.
#[derive(Clone, Debug, Default)]
pub(crate) struct TreeGroup {
    pub(crate) tree: Tree,
    pub(crate) members: OrdMap<[u8; 32], Member>,
    sum: DigestSum,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its home.
    pub home: HomeId,
    /// Where it is reached.
    pub addresses: Vec<String>,
}

/// Mounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct MountsGroup {
    pub(crate) mounts: OrdMap<MountId, Slot>,
    /// Dropped mounts, and when.
    pub(crate) tombstones: OrdMap<MountId, Time>,
    /// When time alone sets something off in which mount, the first of each.
    timers: OrdSet<(Time, MountId)>,
    /// Mounts with messages that are not settled.
    senders: OrdSet<MountId>,
    /// Mounts whose rows move.
    moving: OrdSet<MountId>,
    sum: DigestSum,
}

/// A mount, with what was computed of it after the last entry.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) mount: Arc<Mount>,
    digest: [u8; 32],
    timer: Option<Time>,
}

impl Group {
    pub(crate) fn new(id: GroupId, execution: ExecutionId) -> Self {
        let content = match id {
            GroupId::TREE => Content::Tree(TreeGroup::default()),
            _ => Content::Mounts(MountsGroup::default()),
        };
        Self { id, applied: 0, time: Time(0), level: FEATURE_LEVEL, execution, content }
    }

    /// The hash over everything replicated. Costs nothing in proportion to what is kept.
    pub(crate) fn state_hash(&self) -> [u8; 32] {
        let mut bytes = b"isx:group\x01".to_vec();
        self.id.put(&mut bytes);
        self.time.put(&mut bytes);
        self.level.put(&mut bytes);
        match &self.content {
            Content::Tree(group) => {
                group.tree.state_hash().put(&mut bytes);
                group.sum.bytes().put(&mut bytes);
            }
            Content::Mounts(group) => group.sum.bytes().put(&mut bytes),
        }
        ContentHash::of(&bytes).digest
    }

    pub(crate) fn mount(&self, id: &MountId) -> Option<&Arc<Mount>> {
        match &self.content {
            Content::Mounts(group) => group.mounts.get(id).map(|slot| &slot.mount),
            Content::Tree(_) => None,
        }
    }
}

/// The cluster itself, which may do what no caller may.
fn cluster() -> Caller {
    Caller { who: Principal::anonymous(), trusted: true }
}

impl TreeGroup {
    pub(crate) fn join(&mut self, peer: [u8; 32], home: HomeId, alias: &Name, addresses: &[String]) -> Outcome {
        match self.members.get(&peer) {
            Some(member) if member.home != home => {
                return Outcome::refused(Code::Taken, "the node is a member with another home");
            }
            None if self.members.len() >= MEMBERS_MAX => {
                return Outcome::refused(Code::Limit, format!("over MEMBERS_MAX = {MEMBERS_MAX}"));
            }
            _ => (),
        }
        match self.tree.apply(&cluster(), &Operation::MakeHome { home, owner: peer, alias: alias.clone() }) {
            Ok(reply) => {
                self.put_member(peer, Some(Member { home, addresses: addresses.to_vec() }));
                Outcome::Tree(reply)
            }
            Err(error) => Outcome::Refused(error),
        }
    }

    pub(crate) fn leave(&mut self, peer: [u8; 32]) -> Outcome {
        let Some(member) = self.members.get(&peer) else { return Outcome::Done };
        let home = member.home;
        let mounted =
            self.tree.bindings().any(|(id, _)| self.tree.anchor(id).is_some_and(|anchor| anchor.home == Some(home)));
        if mounted {
            return Outcome::refused(Code::Conflict, "the node's home has mounts: adopt or remove them first");
        }
        self.put_member(peer, None);
        Outcome::Done
    }

    pub(crate) fn put_member(&mut self, peer: [u8; 32], new: Option<Member>) {
        if let Some(old) = self.members.remove(&peer) {
            self.sum.remove(&MemberRecord(peer, old).to_wire());
        }
        if let Some(new) = new {
            self.sum.add(&MemberRecord(peer, new.clone()).to_wire());
            self.members.insert(peer, new);
        }
    }
}

impl MountsGroup {
    /// Puts a mount in place.
    pub(crate) fn put(&mut self, mount: Mount) {
        let (id, digest, waits) = (mount.id, mount.digest(), mount.moving.is_waiting());
        let waited = self.moving.contains(&id);
        self.take(&id);
        self.sum.add_digest(&digest);
        if waits {
            self.moving.insert(id);
        }
        self.mounts.insert(id, Slot { mount: Arc::new(mount), digest, timer: None });
        self.reseal(&id);
        if waits != waited {
            // Their calls wait with it.
            self.callers(&id).iter().for_each(|caller| self.reseal(caller));
        }
    }

    /// The mounts whose calls reach into one.
    fn callers(&self, id: &MountId) -> Vec<MountId> {
        let callers = self.mounts.iter().filter(|(_, slot)| !slot.mount.joins.is_empty());
        callers.map(|(caller, _)| *caller).filter(|caller| self.reach(caller).contains(id)).collect()
    }

    /// Whether rows of any mount move.
    pub(crate) fn is_moving(&self) -> bool {
        !self.moving.is_empty()
    }

    /// Whether rows of a mount move.
    pub(crate) fn moves(&self, id: &MountId) -> bool {
        self.moving.contains(id)
    }

    /// Takes a mount out, with all it holds.
    fn take(&mut self, id: &MountId) {
        if let Some(slot) = self.mounts.remove(id) {
            self.sum.remove_digest(&slot.digest);
            slot.timer.map(|time| self.timers.remove(&(time, *id)));
            self.senders.remove(id);
            self.moving.remove(id);
        }
    }

    /// Whether rows of one more mount may move.
    ///
    /// # Errors
    /// `busy` when too many do.
    pub(crate) fn check_moving(&self) -> Result<(), Error> {
        match self.moving.len() < MIGRATIONS_MAX {
            true => Ok(()),
            false => Err(Error::new(
                Code::Busy,
                format!("over MIGRATIONS_MAX = {MIGRATIONS_MAX}: other mounts are being migrated"),
            )),
        }
    }

    /// Takes a candidate out, which was nobody's mount.
    pub(crate) fn take_out(&mut self, candidate: &MountId) {
        self.take(candidate);
    }

    /// The candidate to which the rows of a mount move, how many have, and how many there are.
    pub(crate) fn migration(&self, mount: &Mount) -> Option<(&Arc<Mount>, u64, u64)> {
        let candidate = &self.mounts.get(&mount.candidate_id()).filter(|_| mount.moving.is_waiting())?.mount;
        let Moving::Candidate { way, moved, .. } = &candidate.moving else { return None };
        let moves = mount.database.moves(candidate.database.schema(), *way).unwrap_or_default();
        Some((candidate, *moved, mount.rows_of(&moves)))
    }

    /// The mounts whose rows move.
    pub(crate) fn moving(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.moving.iter().filter_map(|id| self.mounts.get(id)).map(|slot| &slot.mount)
    }

    /// Brings what is computed of a mount up to date, after it was changed in place.
    pub(crate) fn reseal(&mut self, id: &MountId) {
        let waits = self.mounts.get(id).is_some_and(|slot| self.waits(&slot.mount));
        if let Some(slot) = self.mounts.get_mut(id) {
            self.sum.remove_digest(&slot.digest);
            slot.digest = slot.mount.digest();
            self.sum.add_digest(&slot.digest);
            // What time sets off and what is to be sent wait as calls do.
            let timer = slot.mount.next_timer().filter(|_| !waits);
            let before = std::mem::replace(&mut slot.timer, timer);
            let sends = slot.mount.is_sending() && !waits;
            if before != timer {
                before.map(|time| self.timers.remove(&(time, *id)));
                self.timers.extend(timer.map(|time| (time, *id)));
            }
            self.note_sender(id, sends);
        }
    }

    fn note_sender(&mut self, id: &MountId, sends: bool) {
        match sends {
            true if !self.senders.contains(id) => drop(self.senders.insert(*id)),
            false if !self.senders.is_empty() => drop(self.senders.remove(id)),
            _ => {}
        }
    }

    /// The mounts with messages that are not settled.
    pub(crate) fn senders(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.senders.iter().filter_map(|id| self.mounts.get(id)).map(|slot| &slot.mount)
    }

    /// Whether one more mount may be made.
    ///
    /// # Errors
    /// `gone` for a mount that was dropped, `limit` when there are too many.
    pub(crate) fn check_new(&self, id: &MountId) -> Result<(), Error> {
        if self.tombstones.contains_key(id) {
            return Err(Error::new(Code::Gone, "the mount was dropped"));
        }
        // Candidates are nobody's.
        if self.mounts.len().saturating_sub(self.moving.len()) >= MOUNTS_MAX {
            return Err(Error::new(Code::Limit, format!("over MOUNTS_MAX = {MOUNTS_MAX}")));
        }
        Ok(())
    }

    pub(crate) fn drop_mount(&mut self, id: MountId, time: Time) -> Outcome {
        if self.tombstones.contains_key(&id) {
            return Outcome::Done;
        }
        if self.tombstones.len() >= TOMBSTONES_MAX {
            return Outcome::refused(Code::Busy, format!("over TOMBSTONES_MAX = {TOMBSTONES_MAX}"));
        }
        if let Some(candidate) = self.mounts.get(&id).map(|slot| slot.mount.candidate_id()) {
            // There is one while its rows move.
            self.take(&candidate);
        }
        let waiting = if self.moving.contains(&id) { self.callers(&id) } else { Vec::new() };
        self.take(&id);
        waiting.iter().for_each(|caller| self.reseal(caller));
        self.put_tombstone(id, time);
        Outcome::Done
    }

    pub(crate) fn put_tombstone(&mut self, id: MountId, time: Time) {
        self.sum.add(&tombstone(&id, time));
        self.tombstones.insert(id, time);
    }

    /// When time alone sets something off first.
    pub(crate) fn next_timer(&self) -> Option<Time> {
        self.timers.get_min().map(|(time, _)| *time)
    }

    /// For each schedule and row to be run by `time` its mount, at most `max` in all: every mount has one before any has
    /// another.
    pub(crate) fn due(&self, time: Time, max: usize) -> Vec<MountId> {
        let ids = self.timers.iter().take_while(|(next, _)| *next <= time).take(max).map(|(_, id)| *id);
        let count = |mount: &Mount| mount.timetable.count(&mount.timers, &mount.database, time, max);
        let mut left: Vec<(MountId, usize)> =
            ids.filter_map(|id| Some((id, count(&self.mounts.get(&id)?.mount)))).collect();
        let mut due = Vec::new();
        while due.len() < max && !left.is_empty() {
            left.retain(|(_, count)| *count > 0);
            due.extend(left.iter().map(|(id, _)| *id));
            left.iter_mut().for_each(|(_, count)| *count = count.saturating_sub(1));
        }
        due.truncate(max);
        due
    }

    /// Whether [`MountsGroup::tick`] has something to do.
    pub(crate) fn is_due(&self, time: Time) -> bool {
        self.mounts.values().any(|slot| slot.mount.is_ticking(time))
            || self.tombstones.values().any(|dropped| is_old(*dropped, time))
    }

    /// Does what is due: forgets idle sessions, some at a time, and old tombstones.
    pub(crate) fn tick(&mut self, time: Time) {
        let ids: Vec<MountId> = self.mounts.keys().copied().collect();
        for id in ids {
            if let Some(slot) = self.mounts.get_mut(&id)
                && slot.mount.is_ticking(time)
            {
                Arc::make_mut(&mut slot.mount).sessions.tick(time);
                self.reseal(&id);
            }
        }
        let old: Vec<_> = self
            .tombstones
            .iter()
            .filter(|(_, dropped)| is_old(**dropped, time))
            .map(|(id, dropped)| (*id, *dropped))
            .collect();
        for (id, dropped) in old {
            self.sum.remove(&tombstone(&id, dropped));
            self.tombstones.remove(&id);
        }
    }
}

fn is_old(dropped: Time, time: Time) -> bool {
    dropped.0 < time.0.saturating_sub(TOMBSTONE_AGE.0)
}

fn tombstone(id: &MountId, time: Time) -> Vec<u8> {
    let mut bytes = b"tombstone\0".to_vec();
    id.put(&mut bytes);
    time.put(&mut bytes);
    bytes
}

/// A member in the format of snapshots and of the state hash.
pub(crate) struct MemberRecord(pub(crate) [u8; 32], pub(crate) Member);

impl Wire for MemberRecord {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.home.put(out);
        put_addresses(&self.1.addresses, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let peer = Wire::take(reader)?;
        Ok(Self(peer, Member { home: Wire::take(reader)?, addresses: take_addresses(reader)? }))
    }
}
