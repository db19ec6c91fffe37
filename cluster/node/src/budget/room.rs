//! Room for state in memory and for files on disk.
//!
//! State is counted by the version that is applied, with what is on its way. Files are looked at from time to time; between
//! two looks what was admitted is added. On disk a snapshot of all there is must always fit beside the last one, and so must
//! the log once more, which goes into history: that keeps the log able to shrink, and so deletes working.

use super::{Account, Budgets, Machine, MakeRoom, Resource, Space};
use crate::limits::{
    DISK_SEGMENTS, LOG_PARTS, MAKE_ROOM_PARTS, REQUEST_BYTES, RETRY_FOR_ROOM_MS, SEGMENT_BYTES_LEAST, SEGMENT_PARTS,
};
use isx_raft::{MOUNTS, Raft, TREE};
use isx_row::{Code, Error};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Bytes that it has in the log, about.
    pub(crate) log_bytes: u64,
    /// Bytes that it may add to the state; none where it can only make it smaller.
    pub(crate) growth_bytes: Option<u64>,
}

impl Demand {
    /// A request of so many bytes that makes the state larger by as many.
    pub(crate) fn growing(bytes: usize) -> Self {
        let bytes = bytes as u64 + REQUEST_BYTES;
        Self { log_bytes: bytes, growth_bytes: Some(bytes) }
    }

    /// A request of so many bytes that does not make the state larger.
    pub(crate) fn shrinking(bytes: usize) -> Self {
        Self { log_bytes: bytes as u64 + REQUEST_BYTES, growth_bytes: None }
    }
}

impl Demand {
    /// The same request, that adds so many bytes to the state.
    pub(crate) fn with_growth(self, bytes: u64) -> Self {
        Self { growth_bytes: Some(bytes).filter(|bytes| *bytes > 0), ..self }
    }
}

/// There is no room: the refusal that is not counted yet.
#[derive(Debug)]
pub(crate) struct Full<'a> {
    counter: &'a AtomicU64,
    error: Error,
}

impl Full<'_> {
    /// Whether room comes by itself.
    pub(crate) fn is_passing(&self) -> bool {
        self.error.code == Code::Busy
    }

    /// Refuses.
    pub(crate) fn refuse(self) -> Error {
        self.counter.fetch_add(1, Ordering::Relaxed);
        self.error
    }
}

/// Keeps room.
pub(super) struct Room {
    memory_max: Option<u64>,
    disk_max: Option<u64>,
    machine: Option<Arc<dyn Machine>>,
    files: Mutex<Files>,
    /// The state at versions of the two groups.
    counted: Mutex<([u64; 2], u64)>,
    /// Bytes that are kept in memory beside it: they are in no snapshot.
    kept_bytes: Arc<AtomicU64>,
    memory_refused_count: AtomicU64,
    disk_refused_count: AtomicU64,
}

/// What the state folder takes.
#[derive(Default)]
struct Files {
    space: Space,
    /// Bytes of requests that were admitted and can not have been seen at the last look.
    since_bytes: u64,
    /// Of them, those that came after it was begun.
    during_bytes: u64,
    /// Bytes that requests under way may add to the state.
    growing_bytes: u64,
    /// Bytes of state at the last request.
    state_bytes: u64,
}

/// Room that a request takes until its outcome is there, when it is dropped.
pub(crate) struct Taken<'a>(Option<(&'a Room, u64)>);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some((room, bytes)) = self.0 {
            let mut files = room.files();
            files.growing_bytes = files.growing_bytes.saturating_sub(bytes);
        }
    }
}

impl Room {
    pub(super) fn new(budgets: Budgets, machine: Option<Arc<dyn Machine>>) -> Self {
        Self {
            memory_max: budgets.memory_bytes,
            disk_max: budgets.disk_bytes.filter(|_| machine.is_some()),
            machine,
            files: Mutex::default(),
            counted: Mutex::default(),
            kept_bytes: Arc::default(),
            memory_refused_count: AtomicU64::new(0),
            disk_refused_count: AtomicU64::new(0),
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.memory_max.is_some() || self.disk_max.is_some()
    }

    /// See [`super::Governor::admit`].
    pub(super) fn admit(&self, raft: &Raft, demand: Demand) -> Result<Taken<'_>, Full<'_>> {
        match self.is_limited() {
            true => self.admit_beside(self.state_bytes(raft), demand),
            false => Ok(Taken(None)),
        }
    }

    fn admit_beside(&self, state_bytes: u64, demand: Demand) -> Result<Taken<'_>, Full<'_>> {
        let mut files = self.files();
        files.state_bytes = state_bytes;
        let growth_bytes = demand.growth_bytes.unwrap_or(0);
        let state_bytes = state_bytes + files.growing_bytes + growth_bytes;
        if demand.growth_bytes.is_some() {
            self.check_memory(files.state_bytes, state_bytes)?;
        }
        if let Some(max) = self.disk_max {
            let checked = match demand.growth_bytes {
                Some(_) => files.check(max, state_bytes, demand.log_bytes),
                None => files.check_log(max, demand.log_bytes),
            };
            checked.map_err(|error| Full { counter: &self.disk_refused_count, error })?;
        }
        files.growing_bytes += growth_bytes;
        files.since_bytes += demand.log_bytes;
        files.during_bytes += demand.log_bytes;
        Ok(Taken(Some((self, growth_bytes))))
    }

    /// Whether there is memory for so many bytes of state, and what is kept beside it; `present_bytes` are there now.
    fn check_memory(&self, present_bytes: u64, state_bytes: u64) -> Result<(), Full<'_>> {
        let kept_bytes = self.kept_bytes.load(Ordering::Relaxed);
        match self.memory_max.filter(|max| state_bytes + kept_bytes > *max) {
            Some(max) => {
                let error = memory_is_full(present_bytes + kept_bytes, max);
                Err(Full { counter: &self.memory_refused_count, error })
            }
            None => Ok(()),
        }
    }

    /// See [`super::Governor::kept_bytes`].
    pub(super) fn kept_bytes(&self) -> Arc<AtomicU64> {
        self.kept_bytes.clone()
    }

    /// See [`super::Governor::admit_kept`].
    pub(super) fn admit_kept(&self, raft: &Raft, bytes: u64) -> Result<(), Full<'_>> {
        if self.memory_max.is_none() {
            return Ok(());
        }
        let state_bytes = self.state_bytes(raft);
        let growing_bytes = self.files().growing_bytes;
        self.check_memory(state_bytes, state_bytes + growing_bytes + bytes)
    }

    /// See [`super::Governor::admit_file`].
    pub(super) fn admit_file(&self, raft: &Raft, bytes: u64) -> Result<(), Full<'_>> {
        let Some(max) = self.disk_max else { return Ok(()) };
        let state_bytes = self.state_bytes(raft);
        let mut files = self.files();
        files.state_bytes = state_bytes;
        let state_bytes = state_bytes + files.growing_bytes;
        let checked = files.check(max, state_bytes, bytes);
        checked.map_err(|error| Full { counter: &self.disk_refused_count, error })?;
        files.since_bytes += bytes;
        files.during_bytes += bytes;
        Ok(())
    }

    /// Bytes of state that is applied.
    fn state_bytes(&self, raft: &Raft) -> u64 {
        let (Ok(tree), Ok(mounts)) = (raft.view(TREE), raft.view(MOUNTS)) else { return 0 };
        let version = [tree.applied(), mounts.applied()];
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != version {
            *counted = (version, tree.bytes() + mounts.bytes());
        }
        counted.1
    }

    /// See [`super::Governor::look`].
    pub(super) fn look(&self) -> Option<MakeRoom> {
        let (max, machine) = self.disk_max.zip(self.machine.as_ref())?;
        self.files().during_bytes = 0;
        let space = machine.space();
        let mut files = self.files();
        files.space = space;
        files.since_bytes = files.during_bytes;
        files.make_room(max)
    }

    pub(super) fn accounts(&self, raft: &Raft) -> [Account; 2] {
        let account = |resource, used, max, refused: &AtomicU64| {
            let refused_count = refused.load(Ordering::Relaxed);
            Account { resource, used, max, refused_count, waited: Duration::ZERO }
        };
        let files = self.files();
        let disk_used = match (self.disk_max, &self.machine) {
            // It is looked at in any case.
            (Some(_), _) => Some(files.space.total_bytes() + files.since_bytes),
            (None, machine) => machine.as_ref().map(|machine| machine.space().total_bytes()),
        };
        drop(files);
        let memory_used = self.state_bytes(raft) + self.kept_bytes.load(Ordering::Relaxed);
        [
            account(Resource::Memory, Some(memory_used), self.memory_max, &self.memory_refused_count),
            account(Resource::Disk, disk_used, self.disk_max, &self.disk_refused_count),
        ]
    }
}

impl Files {
    /// Whether there is room for more in the log, and for state of so many bytes.
    fn check(&self, max: u64, state_bytes: u64, bytes: u64) -> Result<(), Error> {
        let more = self.since_bytes + bytes;
        let used = self.space.total_bytes() + more;
        let reserve = DISK_SEGMENTS * segment_bytes(max);
        if used + self.space.log_bytes + more + state_bytes + reserve <= max {
            return Ok(());
        }
        // What stays when log and history have given all they can: blobs, the last snapshot, the next one.
        let least = self.space.blob_bytes + self.space.rest_bytes + state_bytes + reserve;
        if least + bytes <= max && self.make_room(max).is_some() {
            return Err(shortening(used, max));
        }
        let text = format!(
            "the node's files take {used} bytes, the next snapshot of its state may take {state_bytes} beside them, and \
             --disk-max is {max}: delete rows, remove mounts, or start the node with a larger --disk-max"
        );
        Err(Error::new(Code::Limit, text))
    }

    /// Whether there is room for more in the log, of what does not make the state larger. While the log is short there is:
    /// otherwise a node with less disk than it had could not delete.
    fn check_log(&self, max: u64, bytes: u64) -> Result<(), Error> {
        let more = self.since_bytes + bytes;
        let used = self.space.total_bytes() + more;
        let is_long = self.space.log_bytes + more > max / LOG_PARTS + 2 * segment_bytes(max);
        match used + segment_bytes(max) > max && is_long {
            true => Err(shortening(used, max)),
            false => Ok(()),
        }
    }

    fn make_room(&self, max: u64) -> Option<MakeRoom> {
        let (segment, log_bytes) = (segment_bytes(max), self.space.log_bytes);
        let needed = self.space.total_bytes() + log_bytes + self.state_bytes + DISK_SEGMENTS * segment;
        let is_close = needed > max - max / MAKE_ROOM_PARTS;
        // The log has one segment at least, and mostly the next one; a file takes a little more than its length.
        if log_bytes > max / LOG_PARTS + segment + segment / 2 || is_close && log_bytes > 2 * segment + segment / 2 {
            return Some(MakeRoom::ShortenLog);
        }
        // The last part of history is that of the present snapshot.
        (is_close && self.space.history_bytes > segment).then_some(MakeRoom::ForgetPast)
    }
}

/// See [`super::segment_bytes`].
pub(super) fn segment_bytes(disk_bytes: u64) -> u64 {
    (disk_bytes / SEGMENT_PARTS).clamp(SEGMENT_BYTES_LEAST, isx_raft::limits::LOG_SEGMENT_BYTES_MAX)
}

fn memory_is_full(state_bytes: u64, max: u64) -> Error {
    let text = format!(
        "the node's state takes {state_bytes} bytes of --memory-max {max}: delete rows, remove mounts, or start the node with \
         a larger --memory-max"
    );
    Error::new(Code::Limit, text)
}

fn shortening(used: u64, max: u64) -> Error {
    let text = format!(
        "the node's files take {used} bytes of --disk-max {max}, and its log is being made shorter: try again, or start the \
         node with a larger --disk-max"
    );
    Error { code: Code::Busy, text, retry_after_ms: Some(RETRY_FOR_ROOM_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn room(budgets: Budgets, space: Space) -> Room {
        struct Still(Space);
        impl Machine for Still {
            fn cpu(&self) -> Duration {
                Duration::ZERO
            }
            fn space(&self) -> Space {
                self.0
            }
        }
        let room = Room::new(budgets, Some(Arc::new(Still(space))));
        room.look();
        room
    }

    fn memory(max: u64) -> Room {
        room(Budgets { memory_bytes: Some(max), ..Budgets::default() }, Space::default())
    }

    fn disk(space: Space) -> Room {
        room(Budgets { disk_bytes: Some(256 * MIB), ..Budgets::default() }, space)
    }

    fn code(admitted: Result<Taken<'_>, Full<'_>>) -> Option<Code> {
        admitted.err().map(|full| full.refuse().code)
    }

    fn grow(bytes: u64) -> Demand {
        Demand { log_bytes: bytes, growth_bytes: Some(bytes) }
    }

    const SHRINK: Demand = Demand { log_bytes: 100, growth_bytes: None };

    #[test]
    fn what_is_on_its_way_takes_room_until_it_is_there() {
        let room = memory(1000);
        let first = room.admit_beside(500, grow(400)).unwrap();
        assert_eq!(code(room.admit_beside(500, grow(200))), Some(Code::Limit));
        assert!(room.admit_beside(500, grow(100)).is_ok());
        assert!(room.admit_beside(5000, SHRINK).is_ok(), "what makes it smaller works");
        drop(first);
        assert!(room.admit_beside(500, grow(200)).is_ok());
        assert_eq!(code(room.admit_beside(900, grow(200))), Some(Code::Limit));
        assert_eq!(room.memory_refused_count.load(Ordering::Relaxed), 2);
        // What is kept beside the state takes room too, but none on disk.
        room.kept_bytes().store(500, Ordering::Relaxed);
        assert_eq!(code(room.admit_beside(500, grow(1))), Some(Code::Limit));
        assert!(room.check_memory(400, 500).is_ok() && room.check_memory(400, 501).is_err());
    }

    #[test]
    fn a_refusal_names_flag_and_cure() {
        let memory = memory(1000);
        let disk = disk(Space { rest_bytes: 255 * MIB, ..Space::default() });
        for (room, flag) in [(memory, "--memory-max 1000"), (disk, "--disk-max")] {
            let error = room.admit_beside(1000, grow(1)).err().unwrap().refuse();
            assert!(error.text.contains(flag) && error.text.contains("delete rows"), "{error}");
            assert_eq!((error.code, error.retry_after_ms), (Code::Limit, None));
        }
    }

    #[test]
    fn a_long_log_is_waited_for_and_a_large_state_is_refused() {
        let long = Space { log_bytes: 120 * MIB, rest_bytes: MIB, ..Space::default() };
        assert_eq!(code(disk(long).admit_beside(MIB, grow(1000))), Some(Code::Busy));
        assert!(disk(Space { log_bytes: 32 * MIB, ..long }).admit_beside(MIB, grow(1000)).is_ok());
        let large = Space { rest_bytes: 120 * MIB, log_bytes: 16 * MIB, ..Space::default() };
        assert_eq!(code(disk(large).admit_beside(120 * MIB, grow(1000))), Some(Code::Limit));
        let short = Space { rest_bytes: 120 * MIB, log_bytes: 16 * MIB, history_bytes: MIB, ..Space::default() };
        assert_eq!(code(disk(short).admit_beside(80 * MIB, grow(1000))), Some(Code::Limit), "there is nothing to give");
        assert!(disk(large).admit_beside(120 * MIB, SHRINK).is_ok(), "what makes it smaller works");
        let over = Space { rest_bytes: 300 * MIB, log_bytes: 16 * MIB, ..Space::default() };
        assert!(disk(over).admit_beside(120 * MIB, SHRINK).is_ok(), "also of one that had more");
        let spent = Space { log_bytes: 250 * MIB, ..Space::default() };
        assert_eq!(code(disk(spent).admit_beside(0, SHRINK)), Some(Code::Busy));
    }

    #[test]
    fn what_came_between_two_looks_is_counted_for_both_copies() {
        let room = disk(Space { log_bytes: 32 * MIB, ..Space::default() });
        let admitted = (0..1000).take_while(|_| room.admit_beside(0, grow(MIB)).is_ok()).count();
        assert!((50..100).contains(&admitted), "{admitted}");
        room.look();
        assert!(room.admit_beside(0, grow(MIB)).is_ok(), "the look saw what there is");
    }

    #[test]
    fn the_log_goes_first_then_the_past() {
        let check = |log, history, rest, expected| {
            let space =
                Space { log_bytes: log * MIB, history_bytes: history * MIB, blob_bytes: 0, rest_bytes: rest * MIB };
            assert_eq!(disk(space).look(), expected, "{space:?}");
        };
        check(16, 60, 10, None);
        check(64, 0, 10, Some(MakeRoom::ShortenLog));
        check(44, 80, 60, Some(MakeRoom::ShortenLog));
        check(24, 80, 100, Some(MakeRoom::ForgetPast));
        check(24, 0, 180, None);
    }
}
