//! A disk in memory that knows what is durable, can crash, and can fail.
//!
//! Every file has two contents: what reads see, and what a sync made durable; names and folders likewise. Operations
//! that no sync covers yet are kept in order; [`SimDisk::crash`] decides which of them survive. With
//! [`SimDisk::record`] all operations are kept, so that a test can stop after each of them ([`crash_points`]).

mod content;
mod crash;
mod model;
mod operation;
mod points;
mod rot;

pub use crash::Crash;
pub use operation::Operation;
pub use points::{Report, Setup, crash_points, crash_points_with};
pub use rot::rot_points;

use content::Content;
use isx_port::{Disk, DiskError, File, OpenMode};
use operation::folder;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that goes wrong once; counted from when it is planted, 0 being the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This sync fails, and what it should have made durable is lost.
    Sync {
        /// How many syncs succeed before.
        after: u64,
    },
    /// This write fails, having written nothing.
    Write {
        /// How many writes succeed before.
        after: u64,
    },
    /// This read fails.
    Read {
        /// How many reads succeed before.
        after: u64,
    },
    /// From this change on every change fails and nothing reaches the disk, syncs included.
    Gone {
        /// How many changes succeed before.
        after: u64,
    },
    /// This write is acknowledged and never happens.
    LostWrite {
        /// How many writes happen before.
        after: u64,
    },
    /// This write is acknowledged and happens elsewhere in the file.
    MisdirectedWrite {
        /// How many writes happen before.
        after: u64,
        /// Where it happens.
        offset: u64,
    },
}

/// A write that a sync made durable.
#[derive(Clone, Debug)]
pub(crate) struct DurableWrite {
    file: u64,
    /// What was written.
    pub(crate) bytes: Arc<[u8]>,
}

#[derive(Clone, Debug)]
struct Inode {
    live: Content,
    durable: Content,
    /// Held by open files: an unnamed file lives as long as somebody has it open.
    open: Arc<()>,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    dirs: BTreeSet<String>,
    durable_names: BTreeMap<String, u64>,
    durable_dirs: BTreeSet<String>,
    /// Operations that no sync covers, in order.
    pending: Vec<Operation>,
    next_file: u64,
    operation_count: u64,
    recorded: Option<Vec<Operation>>,
    /// Writes that became durable and that nobody has taken.
    watched: Option<Vec<DurableWrite>>,
    faults: Vec<Fault>,
    /// Nothing reaches the disk any more.
    gone: bool,
    /// The paths of writes and syncs that failed.
    failed: Vec<String>,
    capacity_bytes: Option<u64>,
}

impl State {
    /// Does an operation, as programs see it.
    fn apply(&mut self, operation: &Operation) {
        self.operation_count += 1;
        if let Some(recorded) = &mut self.recorded {
            recorded.push(operation.clone());
        }
        match operation {
            Operation::Create { path, file } => {
                let inode = Inode { live: Content::default(), durable: Content::default(), open: Arc::new(()) };
                self.inodes.insert(*file, inode);
                self.next_file = self.next_file.max(file + 1);
                self.names.insert(path.clone(), *file);
            }
            Operation::CreateDir { path } => drop(self.dirs.insert(path.clone())),
            Operation::Rename { from, to, file } => rename(&mut self.names, from, to, *file),
            Operation::Remove { path, file } => remove(&mut self.names, path, *file),
            Operation::Write { .. } | Operation::Allocate { .. } | Operation::Truncate { .. } => {
                if let Some(inode) = operation.file().and_then(|file| self.inodes.get_mut(&file)) {
                    change(&mut inode.live, operation);
                }
            }
            Operation::Sync { file } => {
                for covered in self.covered(|operation| operation.file() == Some(*file)) {
                    self.survive(&covered);
                }
                return;
            }
            Operation::SyncFailed { file } => {
                self.covered(|operation| operation.file() == Some(*file));
                return;
            }
            Operation::SyncDir { dir } => {
                for covered in self.covered(|operation| operation.folder() == Some(dir)) {
                    self.survive(&covered);
                }
                self.collect();
                return;
            }
        }
        self.pending.push(operation.clone());
    }

    /// Takes out the pending operations that a sync covers.
    fn covered(&mut self, covers: impl Fn(&Operation) -> bool) -> Vec<Operation> {
        self.pending.extract_if(.., |operation| covers(operation)).collect()
    }

    /// Makes an operation durable.
    fn survive(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { path, file } => drop(self.durable_names.insert(path.clone(), *file)),
            Operation::CreateDir { path } => drop(self.durable_dirs.insert(path.clone())),
            Operation::Rename { from, to, file } => rename(&mut self.durable_names, from, to, *file),
            Operation::Remove { path, file } => remove(&mut self.durable_names, path, *file),
            _ => {
                if let Some(inode) = operation.file().and_then(|file| self.inodes.get_mut(&file)) {
                    change(&mut inode.durable, operation);
                }
                if let (Operation::Write { file, bytes, .. }, Some(watched)) = (operation, &mut self.watched) {
                    watched.push(DurableWrite { file: *file, bytes: bytes.clone() });
                }
            }
        }
    }

    /// A copy for another machine: as it is, but without faults and open files.
    fn fork(&self) -> Self {
        let mut state = self.clone();
        state.faults.clear();
        state.gone = false;
        state.failed.clear();
        state.recorded = None;
        state.watched = None;
        state.inodes.values_mut().for_each(|inode| inode.open = Arc::new(()));
        state
    }

    /// A copy of what is durable; [`State::settle`] makes it usable.
    fn durable(&self) -> Self {
        let mut state = self.fork();
        state.pending.clear();
        state
    }

    /// What is durable is all there is: for a disk that nobody has open.
    fn settle(&mut self) {
        let dirs = self.durable_dirs.clone();
        let reached = |path: &str| {
            let mut above = folder(path);
            while !above.is_empty() && dirs.contains(above) {
                above = folder(above);
            }
            above.is_empty()
        };
        self.durable_dirs.retain(|dir| reached(dir));
        self.durable_names.retain(|path, _| reached(path));
        self.names = self.durable_names.clone();
        self.dirs = self.durable_dirs.clone();
        for inode in self.inodes.values_mut() {
            inode.live = inode.durable.clone();
        }
        self.pending.clear();
    }

    /// Forgets files that have no name and that nobody has open.
    fn collect(&mut self) {
        let named: BTreeSet<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        let pending: BTreeSet<u64> = self
            .pending
            .iter()
            .filter_map(|operation| match operation {
                Operation::Create { file, .. } => Some(*file),
                other => other.file(),
            })
            .collect();
        self.inodes
            .retain(|file, inode| named.contains(file) || pending.contains(file) || Arc::strong_count(&inode.open) > 1);
    }

    /// Whether the fault that `chosen` picks out is due; counts it down otherwise.
    fn due(&mut self, chosen: impl Fn(&mut Fault) -> Option<&mut u64>) -> Option<Fault> {
        for position in 0..self.faults.len() {
            match chosen(&mut self.faults[position]) {
                Some(0) => return Some(self.faults.remove(position)),
                Some(after) => *after -= 1,
                None => {}
            }
        }
        None
    }

    /// Whether a change of `path` reaches the disk.
    fn reach(&mut self, path: &str) -> Result<(), DiskError> {
        let gone = self.due(|fault| match fault {
            Fault::Gone { after } => Some(after),
            _ => None,
        });
        self.gone |= gone.is_some();
        if self.gone { self.fail(path, "the disk is gone") } else { Ok(()) }
    }

    fn fail(&mut self, path: &str, text: &str) -> Result<(), DiskError> {
        self.failed.push(path.to_owned());
        Err(io(path, text))
    }

    fn named(&self, path: &str) -> Result<u64, DiskError> {
        self.names.get(path).copied().ok_or_else(|| DiskError::NotFound { path: path.to_owned() })
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().filter_map(|file| self.inodes.get(file)).map(|inode| inode.live.length()).sum()
    }
}

/// A name points to a file, not to what another name points to: so it is when operations before it were lost, too.
fn rename(names: &mut BTreeMap<String, u64>, from: &str, to: &str, file: u64) {
    remove(names, from, file);
    names.insert(to.to_owned(), file);
}

fn remove(names: &mut BTreeMap<String, u64>, path: &str, file: u64) {
    if names.get(path) == Some(&file) {
        names.remove(path);
    }
}

fn change(content: &mut Content, operation: &Operation) {
    match operation {
        Operation::Write { offset, bytes, .. } => content.write(*offset, bytes),
        Operation::Allocate { length, .. } => content.grow(*length),
        Operation::Truncate { length, .. } => content.truncate(*length),
        _ => {}
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Another disk with the same contents, durable and not, without its faults; files open on this one stay here.
    pub fn fork(&self) -> Self {
        Self::of(self.state().fork())
    }

    /// The disk that a machine finds after a crash now. This one stays as it is, for whoever still writes to it.
    pub fn crash(&self, model: Crash, random: &mut dyn FnMut() -> u64) -> Self {
        Self::of(crash::crash(&self.state(), model, random))
    }

    /// Begins to keep every operation.
    pub fn record(&self) {
        self.state().recorded = Some(Vec::new());
    }

    /// The operations since [`SimDisk::record`].
    pub fn recorded(&self) -> Vec<Operation> {
        self.state().recorded.clone().unwrap_or_default()
    }

    /// How many operations there were.
    pub fn operation_count(&self) -> u64 {
        self.state().operation_count
    }

    /// The writes into files of `dir` that became durable since the call before, in order; none when this is the first
    /// call, which begins to keep them. A file counts from when its name is durable, too.
    pub(crate) fn take_durable(&self, dir: &str) -> Option<Vec<DurableWrite>> {
        let mut state = self.state();
        let watched = state.watched.replace(Vec::new())?;
        let named: BTreeMap<u64, &String> = state.durable_names.iter().map(|(path, file)| (*file, path)).collect();
        let mut taken = Vec::new();
        let mut unnamed = Vec::new();
        for write in watched {
            match named.get(&write.file) {
                Some(path) if folder(path) == dir => taken.push(write),
                Some(_) => {}
                None if state.inodes.contains_key(&write.file) => unnamed.push(write),
                None => {}
            }
        }
        state.watched = Some(unnamed);
        Some(taken)
    }

    /// Repeats a recorded operation.
    pub fn apply(&self, operation: &Operation) {
        self.state().apply(operation);
    }

    /// Plants a fault.
    pub fn plant(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Whether a write or sync of a file in `dir` has failed.
    pub(crate) fn has_failed(&self, dir: &str) -> bool {
        self.state().failed.iter().any(|path| folder(path) == dir)
    }

    /// Whether [`SimDisk::set_capacity`] has bounded it.
    pub(crate) fn is_bounded(&self) -> bool {
        self.state().capacity_bytes.is_some()
    }

    /// Takes back the faults that have not shown, and every bound.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.capacity_bytes = None;
    }

    /// Bounds the sum of the files' lengths; what would exceed it finds the disk full.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Bytes of all files.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// The paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// What reads of a file see.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).and_then(|file| state.inodes.get(file)).map(|inode| inode.live.to_vec())
    }

    /// Changes bytes behind the back of programs: rot, swapped sectors, an old version. At once durable, not recorded.
    pub fn corrupt(&self, path: &str, offset: u64, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.names.get(path).copied();
        if let Some(inode) = file.and_then(|file| state.inodes.get_mut(&file)) {
            inode.live.write(offset, bytes);
            inode.durable.write(offset, bytes);
        }
    }

    /// Flips one bit.
    pub fn flip(&self, path: &str, bit: u64) {
        let Some(contents) = self.contents(path) else { return };
        if let Some(byte) = contents.get((bit / 8) as usize) {
            self.corrupt(path, bit / 8, &[byte ^ 1 << (bit % 8)]);
        }
    }

    fn file(&self, path: &str, number: u64) -> Box<dyn File> {
        let open = self.state().inodes.get(&number).map(|inode| inode.open.clone());
        Box::new(SimFile { disk: self.clone(), path: path.to_owned(), number, _open: open.unwrap_or_default() })
    }
}

fn io(path: &str, text: &str) -> DiskError {
    DiskError::Io { path: path.to_owned(), kind: ErrorKind::Other, text: text.to_owned() }
}

impl Disk for SimDisk {
    fn open(&self, path: &str, mode: OpenMode) -> Result<Box<dyn File>, DiskError> {
        let found = self.state().names.get(path).copied();
        match (mode, found) {
            (OpenMode::CreateNew, Some(_)) => Err(DiskError::Exists { path: path.to_owned() }),
            (OpenMode::CreateNew, None) => {
                let mut state = self.state();
                let above = folder(path);
                if !above.is_empty() && !state.dirs.contains(above) {
                    return Err(DiskError::NotFound { path: path.to_owned() });
                }
                state.reach(path)?;
                let file = state.next_file;
                state.apply(&Operation::Create { path: path.to_owned(), file });
                drop(state);
                Ok(self.file(path, file))
            }
            (OpenMode::Read | OpenMode::ReadWrite, Some(file)) => Ok(self.file(path, file)),
            (OpenMode::Read | OpenMode::ReadWrite, None) => Err(DiskError::NotFound { path: path.to_owned() }),
        }
    }

    fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for dir in ends.map(|end| &path[..end]).filter(|dir| !dir.is_empty()) {
            if !state.dirs.contains(dir) {
                state.reach(dir)?;
                state.apply(&Operation::CreateDir { path: dir.to_owned() });
            }
        }
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let state = self.state();
        let paths = state.names.keys().chain(state.dirs.iter()).filter(|path| folder(path) == dir && !path.is_empty());
        let mut names: Vec<String> = paths.filter_map(|path| path.rsplit('/').next()).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        let file = state.named(from)?;
        state.reach(to)?;
        state.apply(&Operation::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        let file = state.named(path)?;
        state.reach(path)?;
        state.apply(&Operation::Remove { path: path.to_owned(), file });
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.reach(dir)?;
        state.apply(&Operation::SyncDir { dir: dir.to_owned() });
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    path: String,
    number: u64,
    _open: Arc<()>,
}

impl SimFile {
    /// Refuses what would make the file longer than the disk has room for.
    fn room(&self, state: &State, length: u64) -> Result<(), DiskError> {
        let before = state.inodes.get(&self.number).map_or(0, |inode| inode.live.length());
        let needed = state.used_bytes() + length.saturating_sub(before);
        match state.capacity_bytes {
            Some(capacity) if length > before && needed > capacity => Err(DiskError::Full { path: self.path.clone() }),
            _ => Ok(()),
        }
    }
}

impl File for SimFile {
    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.disk.state().inodes.get(&self.number).map_or(0, |inode| inode.live.length()))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), DiskError> {
        let mut state = self.disk.state();
        let fault = state.due(|fault| match fault {
            Fault::Read { after } => Some(after),
            _ => None,
        });
        if fault.is_some() {
            return Err(io(&self.path, "read failed"));
        }
        let read = state.inodes.get(&self.number).is_some_and(|inode| inode.live.read(offset, into));
        if read { Ok(()) } else { Err(io(&self.path, "the file ends before")) }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.disk.state();
        self.room(&state, offset + bytes.len() as u64)?;
        state.reach(&self.path)?;
        let fault = state.due(|fault| match fault {
            Fault::Write { after } | Fault::LostWrite { after } | Fault::MisdirectedWrite { after, .. } => Some(after),
            Fault::Sync { .. } | Fault::Read { .. } | Fault::Gone { .. } => None,
        });
        let offset = match fault {
            Some(Fault::Write { .. }) => return state.fail(&self.path, "write failed"),
            Some(Fault::LostWrite { .. }) => return Ok(()),
            Some(Fault::MisdirectedWrite { offset, .. }) => offset,
            _ => offset,
        };
        state.apply(&Operation::Write { file: self.number, offset, bytes: bytes.into() });
        Ok(())
    }

    fn allocate(&self, length: u64) -> Result<(), DiskError> {
        let mut state = self.disk.state();
        self.room(&state, length)?;
        state.reach(&self.path)?;
        state.apply(&Operation::Allocate { file: self.number, length });
        Ok(())
    }

    fn truncate(&self, length: u64) -> Result<(), DiskError> {
        let mut state = self.disk.state();
        state.reach(&self.path)?;
        state.apply(&Operation::Truncate { file: self.number, length });
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut state = self.disk.state();
        state.reach(&self.path)?;
        let fault = state.due(|fault| match fault {
            Fault::Sync { after } => Some(after),
            _ => None,
        });
        if fault.is_some() {
            state.apply(&Operation::SyncFailed { file: self.number });
            return state.fail(&self.path, "sync failed");
        }
        state.apply(&Operation::Sync { file: self.number });
        Ok(())
    }
}
