//! An acknowledged call is in the durable log of a quorum, or behind its snapshot, at the moment of the acknowledgement.
//!
//! Every acknowledgement is judged, so what is durable is kept as an index, brought up to date with the writes that
//! syncs made durable since. A disk that is new, as after a crash, is read once as a whole. Batches are read here by the
//! log's format as it is written down, with no code of the log's own.

use crate::disk::{Crash, SimDisk};
use crate::findings::causes;
use crate::nemesis::LOG_DIR;
use crate::world::{CLUSTER, World};
use isx_cluster::{Entry, Request, SessionCall};
use isx_raft::inspect::{command, durable_group};
use isx_raft::{Group, MOUNTS, TREE};
use isx_row::{Sequence, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const BATCH_MAGIC: &[u8] = b"bEgn";
const BATCH_HEAD_BYTES: usize = 37;
const BATCH_END_BYTES: usize = 8;
const RECORD_HEAD_BYTES: usize = 44;
const ENTRY: u8 = 2;
const TRUNCATE: u8 = 3;
const PURGE: u8 = 4;

/// What is durable on each machine.
#[derive(Default)]
pub struct Durable(Mutex<Index>);

#[derive(Default)]
struct Index {
    /// By group and machine.
    logs: BTreeMap<(u64, usize), Log>,
    /// Where each call stood in some log of the mounts: a call that was asked again stands in more than one place.
    places: BTreeMap<(SessionId, Sequence), BTreeSet<Place>>,
    /// The same by reducer and arguments: for callers who do not number their calls themselves.
    places_of: BTreeMap<(String, Vec<u8>), BTreeSet<Place>>,
    /// The machine's bytes of every entry that stood in some log, by group.
    commands: BTreeMap<(u64, Place), Option<Arc<[u8]>>>,
    /// The term of each entry that is known to be committed, by group and index.
    committed: BTreeMap<(u64, u64), u64>,
}

/// Index and term of an entry.
type Place = (u64, u64);

#[derive(Default)]
struct Log {
    purged: Option<u64>,
    /// The term of each entry.
    entries: BTreeMap<u64, u64>,
}

impl Log {
    fn holds(&self, (index, term): Place) -> bool {
        self.purged >= Some(index) || self.entries.get(&index) == Some(&term)
    }
}

impl Durable {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what is known of a machine's disk up to date.
    pub(crate) fn follow(&self, world: &World, machine: usize) {
        self.index().follow(world, machine);
    }

    /// Looks for the call on each machine's disk, as a power cut would leave it now.
    pub(crate) fn check(&self, world: &World, call: &SessionCall) {
        let mut index = self.index();
        index.follow_all(world);
        let places = index.places.get(&(call.session, call.sequence));
        index.judge(world, format_args!("{call:?}"), places);
    }

    /// [`Durable::check`] of the one call in the run of a reducer with these arguments.
    pub(crate) fn check_only(&self, world: &World, reducer: &str, arguments: &[u8]) {
        let mut index = self.index();
        index.follow_all(world);
        let places = index.places_of.get(&(reducer.to_owned(), arguments.to_vec()));
        index.judge(world, format_args!("{reducer}{arguments:?}"), places);
    }

    /// The machine's bytes of every committed entry of a group, by index, of a world that has come together with all
    /// entries up to `applied`.
    pub(crate) fn committed(&self, world: &World, group: Group, applied: u64) -> BTreeMap<u64, Option<Arc<[u8]>>> {
        let mut index = self.index();
        for machine in 0..world.nodes.len() {
            index.follow(world, machine);
            let entries = index.logs.get(&(group.0, machine)).map(|log| log.entries.clone()).unwrap_or_default();
            for place in entries.range(..=applied) {
                index.commit(world, group.0, place);
            }
        }
        let of_group = index.committed.range((group.0, 0)..=(group.0, applied));
        let command = |place| index.commands.get(&(group.0, place)).cloned().flatten();
        of_group.map(|((_, at), term)| (*at, command((*at, *term)))).collect()
    }
}

impl Index {
    fn follow_all(&mut self, world: &World) {
        (0..world.nodes.len()).for_each(|machine| self.follow(world, machine));
    }

    fn judge(&self, world: &World, call: fmt::Arguments<'_>, places: Option<&BTreeSet<Place>>) {
        let logs = || self.logs.range((MOUNTS.0, 0)..=(MOUNTS.0, usize::MAX)).map(|(_, log)| log);
        let holds = |place: Place| logs().filter(|log| log.holds(place)).count();
        // One place on a quorum is enough.
        let held = places.into_iter().flatten().map(|place| holds(*place)).max().unwrap_or(0);
        let quorum = world.nodes.len() / 2 + 1;
        if held < quorum {
            let what = format!("{call} at {places:?} is durable on {held} of {} machines", world.nodes.len());
            world.findings.report("durable", format_args!("{what}"));
        }
    }

    /// Only what a snapshot covers is dropped, and only what is committed is in a snapshot: so the entries of a log that
    /// has the last one of them are committed. Of a log that has another one there the snapshot was a leader's.
    fn purge(&mut self, world: &World, group: u64, last: Place, entries: &BTreeMap<u64, u64>) {
        if entries.get(&last.0) == Some(&last.1) {
            entries.range(..=last.0).for_each(|place| self.commit(world, group, place));
        }
    }

    fn commit(&mut self, world: &World, group: u64, (index, term): (&u64, &u64)) {
        let known = *self.committed.entry((group, *index)).or_insert(*term);
        if known != *term {
            let what = format!("group {group}: entries of terms {known} and {term} are committed at {index}");
            world.findings.report("raft", format_args!("{what}"));
        }
    }

    fn follow(&mut self, world: &World, machine: usize) {
        let Some(disk) = world.disk(machine) else { return };
        match disk.take_durable(LOG_DIR) {
            Some(writes) => writes.iter().for_each(|write| self.batch(world, machine, &write.bytes)),
            None => [TREE, MOUNTS].into_iter().for_each(|group| self.read(world, group, machine, &disk)),
        }
    }

    /// Begins with what a power cut would leave of a disk that was not followed.
    fn read(&mut self, world: &World, group: Group, machine: usize, disk: &SimDisk) {
        let before = self.logs.remove(&(group.0, machine)).unwrap_or_default();
        let found = disk.crash(Crash::DropUnsynced, &mut || 0);
        found.mend();
        let durable = match durable_group(&found, CLUSTER, machine as u64 + 1, group) {
            Ok(Some(durable)) => durable,
            Ok(None) => return,
            Err(error) => {
                let what = format!("the log of node {} does not open: {}", machine + 1, causes(&error));
                return world.findings.report("durable", format_args!("{what}"));
            }
        };
        // A purge that no sync covered may have survived the crash.
        if let Some(last) = durable.purged {
            self.purge(world, group.0, last, &before.entries);
        }
        let entries = durable.entries.iter().map(|entry| (entry.index, entry.term)).collect();
        let purged = durable.purged.map(|(index, _)| index);
        self.logs.insert((group.0, machine), Log { purged, entries });
        for entry in durable.entries {
            self.note(group.0, (entry.index, entry.term), entry.command.as_deref());
        }
    }

    /// Takes the records of a batch; a write that is none has none.
    fn batch(&mut self, world: &World, machine: usize, bytes: &[u8]) {
        if !bytes.starts_with(BATCH_MAGIC) {
            return;
        }
        let mut rest = bytes.get(BATCH_HEAD_BYTES..bytes.len() - BATCH_END_BYTES).unwrap_or_default();
        while let Some((head, behind)) = rest.split_first_chunk::<RECORD_HEAD_BYTES>() {
            let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let length = number(0) as u32 as usize;
            let payload = behind.get(..length).unwrap_or_default();
            rest = behind.get(length..).unwrap_or_default();
            let (group, index, term) = (number(8), number(24), number(32));
            let log = self.logs.entry((group, machine)).or_default();
            match head[4] {
                ENTRY => {
                    log.entries.insert(index, term);
                    self.note(group, (index, term), command(payload));
                }
                TRUNCATE => drop(log.entries.split_off(&index)),
                PURGE => {
                    log.purged = log.purged.max(Some(index));
                    let kept = log.entries.split_off(&(index + 1));
                    let before = std::mem::replace(&mut log.entries, kept);
                    let term = payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                    self.purge(world, group, (index, term), &before);
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, group: u64, place: Place, command: Option<&[u8]>) {
        if self.commands.contains_key(&(group, place)) {
            return;
        }
        self.commands.insert((group, place), command.map(Into::into));
        let Some(Ok(entry)) = command.map(Entry::decode) else { return };
        for record in &entry.records {
            let Request::Call(call) = &record.request else { continue };
            let named = (call.name.to_string(), call.payload.to_vec());
            self.places_of.entry(named).or_default().insert(place);
            if let Some(SessionCall { session, sequence, .. }) = call.session {
                self.places.entry((session, sequence)).or_default().insert(place);
            }
        }
    }
}
