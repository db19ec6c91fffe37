//! An acknowledged call is in the durable log of a quorum, or behind its snapshot, at the moment of the acknowledgement.
//!
//! Every acknowledgement is judged, so what is durable is kept as an index, brought up to date with the writes that
//! syncs made durable since. A disk that is new, as after a crash, is read once as a whole. Batches are read here by the
//! log's format as it is written down, with no code of the log's own.

use crate::disk::{Crash, SimDisk};
use crate::world::{CLUSTER, World};
use isx_cluster::{Entry, Request, SessionCall};
use isx_raft::MOUNTS;
use isx_raft::inspect::{command, durable_group};
use isx_row::{Sequence, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// The folder of a node's log.
const DIR: &str = "wal";
const BATCH_MAGIC: &[u8] = b"bEgn";
const BATCH_HEAD_BYTES: usize = 37;
const BATCH_END_BYTES: usize = 8;
const RECORD_HEAD_BYTES: usize = 44;
const ENTRY: u8 = 2;
const TRUNCATE: u8 = 3;
const PURGE: u8 = 4;

/// What is durable in the mounts' group, on each machine.
#[derive(Default)]
pub struct Durable(Mutex<Index>);

#[derive(Default)]
struct Index {
    /// By machine.
    logs: BTreeMap<usize, Log>,
    /// Where each call stood in some log: a call that was asked again stands in more than one place.
    places: BTreeMap<(SessionId, Sequence), BTreeSet<Place>>,
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
    /// Looks for the call on each machine's disk, as a power cut would leave it now.
    pub fn check(&self, world: &World, call: &SessionCall) {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for machine in 0..world.nodes.len() {
            index.follow(world, machine);
        }
        let places = index.places.get(&(call.session, call.sequence));
        let holds = |place: Place| index.logs.values().filter(|log| log.holds(place)).count();
        // One place on a quorum is enough.
        let held = places.into_iter().flatten().map(|place| holds(*place)).max().unwrap_or(0);
        let quorum = world.nodes.len() / 2 + 1;
        if held < quorum {
            let what = format!("{call:?} at {places:?} is durable on {held} of {} machines", world.nodes.len());
            world.findings.report("durable", format_args!("{what}"));
        }
    }
}

impl Index {
    fn follow(&mut self, world: &World, machine: usize) {
        let Some(disk) = world.disk(machine) else { return };
        match disk.take_durable(DIR) {
            Some(writes) => writes.iter().for_each(|write| self.batch(machine, &write.bytes)),
            None => self.read(world, machine, &disk),
        }
    }

    /// Begins with what a power cut would leave of a disk that was not followed.
    fn read(&mut self, world: &World, machine: usize, disk: &SimDisk) {
        self.logs.remove(&machine);
        let found = disk.crash(Crash::DropUnsynced, &mut || 0);
        let group = match durable_group(&found, CLUSTER, machine as u64 + 1, MOUNTS) {
            Ok(Some(group)) => group,
            Ok(None) => return,
            Err(error) => {
                let what = format_args!("the log of node {} does not open: {error}", machine + 1).to_string();
                return world.findings.report("durable", format_args!("{what}"));
            }
        };
        let log = self.logs.entry(machine).or_default();
        log.purged = group.purged;
        log.entries = group.entries.iter().map(|entry| (entry.index, entry.term)).collect();
        for entry in group.entries {
            self.note((entry.index, entry.term), entry.command.as_deref());
        }
    }

    /// Takes the records of a batch; a write that is none has none.
    fn batch(&mut self, machine: usize, bytes: &[u8]) {
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
            if group != MOUNTS.0 {
                continue;
            }
            let log = self.logs.entry(machine).or_default();
            match head[4] {
                ENTRY => {
                    log.entries.insert(index, term);
                    self.note((index, term), command(payload));
                }
                TRUNCATE => drop(log.entries.split_off(&index)),
                PURGE => {
                    log.purged = log.purged.max(Some(index));
                    log.entries = log.entries.split_off(&(index + 1));
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, place: Place, command: Option<&[u8]>) {
        let Some(Ok(entry)) = command.map(Entry::decode) else { return };
        for record in &entry.records {
            if let Request::Call(call) = &record.request
                && let Some(SessionCall { session, sequence, .. }) = call.session
            {
                self.places.entry((session, sequence)).or_default().insert(place);
            }
        }
    }
}
