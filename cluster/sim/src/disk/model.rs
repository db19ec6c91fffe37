//! What a log must hold after some records, and records that raft could submit. Shares no code with the log.

use super::SimDisk;
use crate::random::Random;
use isx_wal::{Entry, Group, Record, Wal};
use std::collections::BTreeMap;

const GROUPS: u64 = 4;

/// One group as it must be.
#[derive(Clone, Debug, Default)]
struct GroupModel {
    vote: Option<Vec<u8>>,
    committed: Option<Vec<u8>>,
    meta: Option<Vec<u8>>,
    purged: Option<(u64, Vec<u8>)>,
    entries: BTreeMap<u64, (u64, Vec<u8>)>,
    /// Counts what the group was given, so that votes and payloads differ.
    given: u64,
}

impl GroupModel {
    /// The index after the last entry.
    fn end(&self) -> u64 {
        let purged = self.purged.as_ref().map_or(0, |(upto, _)| upto + 1);
        self.entries.last_key_value().map_or(purged, |(index, _)| (index + 1).max(purged))
    }
}

/// The whole log as it must be after some records.
#[derive(Clone, Debug, Default)]
pub(super) struct Model(BTreeMap<u64, GroupModel>);

impl Model {
    pub(super) fn after(&self, group: Group, record: &Record) -> Self {
        let mut model = self.clone();
        let group = model.0.entry(group.0).or_default();
        group.given += 1;
        match record {
            Record::Vote(bytes) => group.vote = Some(bytes.to_vec()),
            Record::Committed(bytes) => group.committed = Some(bytes.to_vec()),
            Record::Meta(bytes) => group.meta = Some(bytes.to_vec()),
            Record::Entry(entry) => drop(group.entries.insert(entry.index, (entry.term, entry.payload.to_vec()))),
            Record::Truncate { from } => group.entries.retain(|index, _| index < from),
            Record::Purge { upto, mark } => {
                group.purged = Some((*upto, mark.to_vec()));
                group.entries.retain(|index, _| index > upto);
            }
        }
        model
    }

    pub(super) fn compare(&self, wal: &Wal, disk: &SimDisk) -> Result<(), String> {
        let groups: Vec<u64> = wal.groups().map(|group| group.0).collect();
        if groups != self.0.keys().copied().collect::<Vec<_>>() {
            return Err(format!("groups {groups:?}, expected {:?}", self.0.keys()));
        }
        self.0.iter().try_for_each(|(group, model)| compare(Group(*group), model, wal, disk))
    }
}

fn compare(group: Group, model: &GroupModel, wal: &Wal, disk: &SimDisk) -> Result<(), String> {
    let state = wal.state(group);
    let parts = [(&state.vote, &model.vote), (&state.committed, &model.committed), (&state.meta, &model.meta)];
    if let Some((found, expected)) = parts.iter().find(|(found, expected)| found.as_deref() != expected.as_deref()) {
        return Err(format!("group {}: state {found:?}, expected {expected:?}", group.0));
    }
    let purged = state.purged.map(|purged| (purged.upto, purged.mark.to_vec()));
    if purged != model.purged {
        return Err(format!("group {}: purged {purged:?}, expected {:?}", group.0, model.purged));
    }
    let fetch = wal.entries(group, 0..u64::MAX, usize::MAX);
    let entries = fetch.perform(disk).map_err(|error| format!("group {}: {error}", group.0))?;
    let found = entries.into_iter().map(|entry| (entry.index, (entry.term, entry.payload.to_vec())));
    let found: BTreeMap<u64, (u64, Vec<u8>)> = found.collect();
    if found != model.entries {
        let (found, expected): (Vec<_>, Vec<_>) = (found.keys().collect(), model.entries.keys().collect());
        return Err(format!("group {}: entries {found:?}, expected {expected:?} or others at these indexes", group.0));
    }
    Ok(())
}

/// A record that raft could submit now.
pub(super) fn random_record(model: &Model, random: &mut Random) -> (Group, Record) {
    let number = random.next() % GROUPS;
    let fresh = GroupModel::default();
    let group = model.0.get(&number).unwrap_or(&fresh);
    let given = group.given;
    let end = group.end();
    let first = group.entries.first_key_value().map_or(end, |(index, _)| *index);
    let mark = || given.to_be_bytes().as_slice().into();
    let record = match random.next() % 16 {
        0 | 1 => Record::Vote(mark()),
        2 => Record::Committed(mark()),
        3 => Record::Meta(mark()),
        4 if end > first => Record::Truncate { from: first + random.next() % (end - first) },
        // Sometimes beyond the last entry, as when a snapshot was installed.
        5 | 6 if end > 0 => {
            let least = group.purged.as_ref().map_or(0, |(upto, _)| upto + 1);
            let beyond = if random.below(8) == 0 { 3 } else { 0 };
            let upto = least + random.next() % (end + beyond - least).max(1);
            Record::Purge { upto, mark: mark() }
        }
        _ => {
            let length = if random.below(16) == 0 { 5000 } else { random.next() % 300 };
            let payload: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            let term = given + 1;
            Record::Entry(Entry { index: end, term, payload: payload.into() })
        }
    };
    (Group(number), record)
}
