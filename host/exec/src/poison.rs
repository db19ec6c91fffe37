//! Poison: a call that kills the process is recognised, tried in a child, and held if it kills that too.
//!
//! A guest can not end the process by anything the engine knows of; a bug in the engine can let it. The [`Mark`] names each
//! call while it is applied. When a process starts and finds a mark, the call in it is a suspect: when it comes up again,
//! the [`Trial`] runs it in a child first. A child that dies, or a second death of the process, makes it poisoned, and the
//! executor answers [`Hold::Poisoned`](isx_store::Hold) from then on.

use crate::limits::{INSTANCES_MAX, MARKS_MAX};
use isx_row::{ContentHash, MountId};
use isx_store::{Database, EntryContext, ExecutionId, Invocation};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A call, recognised after a restart: its entry's seed and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// The entry's seed.
    pub seed: [u8; 32],
    /// The call's place in the entry.
    pub place: u64,
}

/// A call in a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The call.
    pub call: CallId,
    /// How often a process had died of it before.
    pub deaths: u32,
}

impl Marked {
    /// Bytes of a marked call.
    pub const BYTES: usize = 48;

    /// The call as bytes: seed, place, deaths (little-endian), and four bytes of BLAKE3 over those. All zero is no call.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.call.seed);
        bytes[32..40].copy_from_slice(&self.call.place.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.deaths.to_le_bytes());
        let check = blake3::hash(&bytes[..44]);
        bytes[44..].copy_from_slice(&check.as_bytes()[..4]);
        bytes
    }

    /// Reads [`Marked::to_bytes`]; none for anything else, as a torn write or an empty slot.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let check = blake3::hash(&bytes[..44]);
        if bytes[44..] != check.as_bytes()[..4] {
            return None;
        }
        let (mut seed, mut place, mut deaths) = ([0; 32], [0; 8], [0; 4]);
        seed.copy_from_slice(&bytes[..32]);
        place.copy_from_slice(&bytes[32..40]);
        deaths.copy_from_slice(&bytes[40..44]);
        let call = CallId { seed, place: u64::from_le_bytes(place) };
        Some(Self { call, deaths: u32::from_le_bytes(deaths) })
    }
}

/// Names the calls being applied, so that a death is recognised.
///
/// What is set must survive the death of the process, not of the machine: a write into a file that is not synced does.
/// It is set before each call, so it must cost little.
pub trait Mark: Send + Sync + 'static {
    /// What was set, by slot, when the process before this one ended.
    fn left(&self) -> Vec<(usize, Marked)>;

    /// Sets a slot below [`MARKS_MAX`], or clears it.
    fn set(&self, slot: usize, call: Option<&Marked>);
}

/// Runs a suspect where its death does no harm.
pub trait Trial: Send + Sync + 'static {
    /// Runs the suspect alone on a copy of the tables, and says whether that was survived. What it answers is of no matter.
    fn run(&self, suspect: &Suspect<'_>) -> Verdict;
}

/// A call that was being applied when a process died.
#[derive(Clone)]
pub struct Suspect<'a> {
    /// The module.
    pub code: &'a ContentHash,
    /// The tables before the call.
    pub root: &'a Database,
    /// The call's entry.
    pub entry: &'a EntryContext,
    /// The call.
    pub call: &'a Invocation<'a>,
    pub(crate) execution: ExecutionId,
    pub(crate) artifact: &'a wasmtime::component::Component,
    pub(crate) joined: Vec<JoinedSuspect<'a>>,
}

impl Suspect<'_> {
    /// Bytes of the tables that its trial needs, those too of mounts that it may reach into.
    pub fn table_bytes(&self) -> u64 {
        let joined = self.joined.iter().map(|joined| joined.root.usage().bytes);
        joined.fold(self.root.usage().bytes, u64::saturating_add)
    }

    /// Mounts whose code and tables its trial needs.
    pub fn mounts_count(&self) -> usize {
        1 + self.joined.len()
    }
}

/// Another mount that a suspect may reach into.
#[derive(Clone)]
pub(crate) struct JoinedSuspect<'a> {
    pub(crate) mount: MountId,
    pub(crate) root: Database,
    pub(crate) artifact: &'a wasmtime::component::Component,
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The child lived.
    Survived,
    /// It died, or did not end in time.
    Died,
    /// There was no trial: no child could be made, or it never came to the call. To be tried again later.
    Untried,
}

/// The mark of a process that keeps nothing beyond its own life: for tests, simulators and embedders without files. Two
/// executors that share one stand for two lives of a process.
#[derive(Debug, Default)]
pub struct MemoryMark(Mutex<BTreeMap<usize, Marked>>);

impl Mark for MemoryMark {
    fn left(&self) -> Vec<(usize, Marked)> {
        lock(&self.0).iter().map(|(slot, marked)| (*slot, *marked)).collect()
    }

    fn set(&self, slot: usize, call: Option<&Marked>) {
        match call {
            Some(call) => lock(&self.0).insert(slot, *call),
            None => lock(&self.0).remove(&slot),
        };
    }
}

/// The trial of a process that has no child to send ahead: every suspect is held. Safe, and never needed where nothing dies.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrial;

impl Trial for NoTrial {
    fn run(&self, _suspect: &Suspect<'_>) -> Verdict {
        Verdict::Died
    }
}

/// Deaths after which a call is not tried again.
const DEATHS_POISONED: u32 = 2;
/// Slots of calls being applied; those above keep suspects until they come up again.
const APPLYING_SLOTS: usize = INSTANCES_MAX as usize;

/// The suspects of this process's life.
#[derive(Debug)]
pub(crate) struct Suspects(Mutex<BTreeMap<CallId, Known>>);

#[derive(Clone, Copy, Debug)]
struct Known {
    deaths: u32,
    /// The slot that keeps it, if one was free.
    slot: Option<usize>,
}

impl Suspects {
    /// Reads the mark of the life before and moves it to where this life's calls do not overwrite it.
    pub(crate) fn read(mark: &dyn Mark) -> Self {
        let mut deaths: BTreeMap<CallId, u32> = BTreeMap::new();
        let left = mark.left();
        for (slot, marked) in &left {
            // A kept suspect did not run when the process died.
            let count = marked.deaths.saturating_add(u32::from(*slot < APPLYING_SLOTS));
            let known = deaths.entry(marked.call).or_insert(count);
            *known = count.max(*known);
        }
        let slots = (APPLYING_SLOTS..MARKS_MAX).map(Some).chain(std::iter::repeat(None));
        let known: BTreeMap<_, _> =
            deaths.into_iter().zip(slots).map(|((call, deaths), slot)| (call, Known { deaths, slot })).collect();
        for (call, Known { deaths, slot }) in &known {
            if let Some(slot) = slot {
                mark.set(*slot, Some(&Marked { call: *call, deaths: *deaths }));
            }
        }
        let kept = known.values().filter_map(|known| known.slot).collect::<Vec<_>>();
        left.iter().filter(|(slot, _)| !kept.contains(slot)).for_each(|(slot, _)| mark.set(*slot, None));
        Self(Mutex::new(known))
    }

    /// Deaths of a call; 0 for those that are no suspects.
    pub(crate) fn deaths(&self, call: &CallId) -> u32 {
        lock(&self.0).get(call).map_or(0, |known| known.deaths)
    }

    /// Whether any of the entry's calls is a suspect.
    pub(crate) fn any_of(&self, entry: &EntryContext) -> bool {
        let first = CallId { seed: entry.seed, place: 0 };
        let last = CallId { seed: entry.seed, place: u64::MAX };
        lock(&self.0).range(first..=last).next().is_some()
    }

    /// Whether a call with so many deaths is poisoned without another trial.
    pub(crate) fn is_poisoned(deaths: u32) -> bool {
        deaths >= DEATHS_POISONED
    }

    /// Remembers that the trial died: poisoned from now on.
    pub(crate) fn condemn(&self, mark: &dyn Mark, call: CallId) {
        if let Some(known) = lock(&self.0).get_mut(&call) {
            known.deaths = DEATHS_POISONED;
            if let Some(slot) = known.slot {
                mark.set(slot, Some(&Marked { call, deaths: DEATHS_POISONED }));
            }
        }
    }

    /// Forgets a suspect that was applied and lived.
    pub(crate) fn clear(&self, mark: &dyn Mark, call: &CallId) {
        if let Some(Known { slot: Some(slot), .. }) = lock(&self.0).remove(call) {
            mark.set(slot, None);
        }
    }
}

/// A lock whose holder can not have left it half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: CallId = CallId { seed: [3; 32], place: 9 };

    #[test]
    fn marked_calls_read_back_or_not_at_all() {
        let bytes = Marked { call: CALL, deaths: 1 }.to_bytes();
        assert_eq!(Marked::from_bytes(&bytes), Some(Marked { call: CALL, deaths: 1 }));
        assert_eq!(Marked::from_bytes(&[0; Marked::BYTES]), None);
        for at in 0..Marked::BYTES {
            let mut torn = bytes;
            torn[at] ^= 1;
            assert_eq!(Marked::from_bytes(&torn), None, "byte {at}");
        }
    }

    #[test]
    fn a_suspect_is_kept_until_it_comes_up() {
        let mark = MemoryMark::default();
        mark.set(5, Some(&Marked { call: CALL, deaths: 0 }));
        assert_eq!(Suspects::read(&mark).deaths(&CALL), 1);
        // The process dies of something else before the suspect comes up: it is no more suspect than before.
        let other = CallId { seed: [4; 32], place: 0 };
        mark.set(5, Some(&Marked { call: other, deaths: 0 }));
        let suspects = Suspects::read(&mark);
        assert_eq!((suspects.deaths(&CALL), suspects.deaths(&other)), (1, 1));
        // It dies of the suspect.
        mark.set(5, Some(&Marked { call: CALL, deaths: 1 }));
        let suspects = Suspects::read(&mark);
        assert!(Suspects::is_poisoned(suspects.deaths(&CALL)));
        suspects.clear(&mark, &CALL);
        suspects.clear(&mark, &other);
        assert_eq!(mark.left(), []);
    }
}
