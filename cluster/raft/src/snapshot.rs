//! Snapshots of a group as files: chunks named by their content, and one manifest that is replaced as a whole.
//!
//! Order of the steps: each chunk is written, synced and renamed to its hash; the folder is synced; the new manifest is
//! written, synced and renamed over the old one; the folder is synced; only then are chunks removed that nothing names.
//! A crash between any two steps leaves the old manifest with all its chunks, or the new one with all of its own.
//!
//! An older snapshot that history is begun from stays as a base: its manifest under a name of its own, before the new one
//! replaces it, so that no chunk of it goes.
//!
//! A chunk file is magic `isxC`, version, length, bytes; its checksum is its name. The manifest file is magic `isxM`,
//! version, length, CRC-32C of the body, the body: log id and membership, and the machine's own manifest, which names
//! the chunks.

use crate::format::{self, FormatError, Reader, put_block, put_count, put_snapshot_meta, read_snapshot_meta};
use crate::limits::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX};
use crate::planted::{Bug, Planted};
use crate::types::SnapshotMeta;
use futures::channel::oneshot;
use isx_port::{Disk, DiskError, Lane, OpenMode, Spawn};
use isx_row::{Code, ContentHash};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const CHUNK_MAGIC: [u8; 4] = *b"isxC";
const MANIFEST_MAGIC: [u8; 4] = *b"isxM";
const VERSION: u8 = 1;
const CHUNK_HEADER_BYTES: usize = 4 + 1 + 4;
const MANIFEST_HEADER_BYTES: usize = 4 + 1 + 4 + 4;
const MANIFEST: &str = "manifest";
const NEW: &str = ".new";
/// What the manifest of a snapshot that stays as a base begins with; the index of its last entry follows.
const BASE: &str = "base.";

/// Why a snapshot can not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes are not what was written, or what was asked for. Repair the node from its peers.
    #[error("{file}: {what}")]
    Damaged { file: String, what: &'static str },
    #[error("a manifest: {0}")]
    Manifest(#[from] FormatError),
    #[error("{what} of {bytes} bytes")]
    TooLarge { what: &'static str, bytes: usize },
    #[error("the lane ended")]
    Gone,
    /// The machine does not take it.
    #[error("the machine: {0}")]
    Machine(isx_row::Error),
}

impl SnapshotError {
    /// The code that says what to do about it.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Disk(DiskError::Full { .. }) => Code::Busy,
            // A chunk that its manifest names, and it is not there.
            Self::Disk(DiskError::NotFound { .. }) => Code::Damaged,
            Self::Disk(_) | Self::Gone => Code::Fatal,
            Self::Damaged { .. } | Self::Manifest(_) | Self::TooLarge { .. } | Self::Machine(_) => Code::Damaged,
        }
    }
}

impl From<SnapshotError> for std::io::Error {
    fn from(error: SnapshotError) -> Self {
        Self::other(error)
    }
}

/// Chunks in order: hash and length.
type Chunks = Vec<(ContentHash, u32)>;

/// What a snapshot consists of.
#[derive(Debug)]
pub(crate) struct Manifest {
    meta: SnapshotMeta,
    chunks: Chunks,
    machine: Vec<u8>,
    state_hash: [u8; 32],
    bytes: Vec<u8>,
}

impl Manifest {
    pub(crate) fn new(meta: SnapshotMeta, machine: Vec<u8>) -> Result<Self, SnapshotError> {
        let (chunks, state_hash) = chunks(&machine)?;
        let mut body = Vec::new();
        put_snapshot_meta(&mut body, &meta);
        put_block(&mut body, &machine);
        let mut bytes = MANIFEST_MAGIC.to_vec();
        bytes.push(VERSION);
        put_count(&mut bytes, body.len());
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(SnapshotError::TooLarge { what: "a manifest", bytes: bytes.len() });
        }
        Ok(Self { meta, chunks, machine, state_hash, bytes })
    }

    pub(crate) fn decode(bytes: Vec<u8>) -> Result<Self, SnapshotError> {
        let damaged = |what| SnapshotError::Damaged { file: MANIFEST.into(), what };
        let mut reader = Reader::new(&bytes);
        if reader.bytes(4)? != MANIFEST_MAGIC {
            return Err(damaged("not a manifest"));
        }
        reader.version()?;
        let length = reader.count("bytes of a manifest", MANIFEST_BYTES_MAX)?;
        let checksum = reader.u32()?;
        let body = reader.bytes(length)?;
        reader.end()?;
        if crc32c::crc32c(body) != checksum {
            return Err(damaged("a damaged manifest"));
        }
        let mut reader = Reader::new(body);
        let meta = read_snapshot_meta(&mut reader)?;
        let machine = reader.block("bytes of a manifest", MANIFEST_BYTES_MAX)?.to_vec();
        reader.end()?;
        let (chunks, state_hash) = chunks(&machine)?;
        Ok(Self { meta, chunks, machine, state_hash, bytes })
    }

    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Hash and length of each chunk, in the machine's order.
    pub(crate) fn chunks(&self) -> &[(ContentHash, u32)] {
        &self.chunks
    }

    /// The machine's own manifest.
    pub(crate) fn machine(&self) -> &[u8] {
        &self.machine
    }

    /// The index of its last entry.
    pub(crate) fn last_index(&self) -> Option<u64> {
        self.meta.last_log_id.map(|id| id.index)
    }

    /// As in a file and on the wire.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The chunks that a machine's manifest names, and its state hash.
fn chunks(machine: &[u8]) -> Result<(Chunks, [u8; 32]), SnapshotError> {
    let manifest = isx_cluster::Manifest::decode(machine).map_err(SnapshotError::Machine)?;
    let chunks = manifest.chunks().iter().map(|chunk| (chunk.hash, chunk.bytes)).collect();
    Ok((chunks, manifest.head().state_hash))
}

/// The snapshot files of one group. The functions that touch files block: they belong on [`Lane::Snapshot`].
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    spawn: Arc<dyn Spawn>,
    dir: String,
    state: Mutex<State>,
    planted: Planted,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Manifest>>,
    /// Older snapshots that history is begun from, by the index of the last entry.
    bases: BTreeMap<u64, Arc<Manifest>>,
    /// Chunks that snapshots being built, sent or received still need.
    pins: BTreeMap<ContentHash, usize>,
}

impl Store {
    pub(crate) fn new(ports: &isx_port::Ports, group: u64, planted: Planted) -> Arc<Self> {
        let (disk, spawn) = (ports.disk.clone(), ports.spawn.clone());
        Arc::new(Self { disk, spawn, dir: format!("snap/{group}"), state: Mutex::default(), planted })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` where it may block.
    pub(crate) async fn on_lane<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, SnapshotError> + Send + 'static,
    ) -> Result<T, SnapshotError> {
        let store = self.clone();
        let (sender, receiver) = oneshot::channel();
        self.spawn.run(Lane::Snapshot, Box::new(move || drop(sender.send(work(&store))))).await;
        receiver.await.map_err(|_| SnapshotError::Gone)?
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Reads the manifest and removes what a crash left. Blocks.
    pub(crate) fn open(self: &Arc<Self>) -> Result<Option<Held>, SnapshotError> {
        self.disk.create_dir(&self.dir)?;
        self.disk.sync_dir("snap")?;
        self.disk.sync_dir("")?;
        self.open_bases()?;
        let manifest = match self.read_manifest(MANIFEST) {
            Ok(manifest) => manifest,
            Err(SnapshotError::Disk(DiskError::NotFound { .. })) => {
                self.collect()?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.state().current = Some(manifest.clone());
        self.collect()?;
        Ok(Some(self.hold(manifest)))
    }

    fn read_manifest(&self, name: &str) -> Result<Arc<Manifest>, SnapshotError> {
        let path = self.path(name);
        let file = self.disk.open(&path, OpenMode::Read)?;
        let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        if !(MANIFEST_HEADER_BYTES..=MANIFEST_BYTES_MAX).contains(&length) {
            return Err(SnapshotError::Damaged { file: path, what: "a manifest of an impossible length" });
        }
        let mut bytes = vec![0; length];
        file.read_at(0, &mut bytes)?;
        let decoded = Manifest::decode(bytes).map_err(|error| match error {
            SnapshotError::Damaged { what, .. } => SnapshotError::Damaged { file: path, what },
            SnapshotError::Manifest(_) | SnapshotError::Machine(_) => {
                SnapshotError::Damaged { file: path, what: "a manifest that does not read" }
            }
            error => error,
        });
        decoded.map(Arc::new)
    }

    /// Reads the bases. One that is damaged stays where it is, and the past is not begun from it.
    fn open_bases(&self) -> Result<(), SnapshotError> {
        for name in self.disk.list(&self.dir)? {
            let Some(index) = name.strip_prefix(BASE).and_then(|index| index.parse().ok()) else { continue };
            match self.read_manifest(&name) {
                Ok(manifest) => drop(self.state().bases.insert(index, manifest)),
                Err(error) => tracing::error!(%error, name, "an older snapshot can not be read"),
            }
        }
        Ok(())
    }

    /// The last entries of the bases, ascending.
    pub(crate) fn bases(&self) -> Vec<u64> {
        self.state().bases.keys().copied().collect()
    }

    /// The snapshot whose last entry has this index: a base, or the current one.
    pub(crate) fn at(self: &Arc<Self>, index: u64) -> Option<Held> {
        let manifest = {
            let state = self.state();
            let current = state.current.iter().find(|manifest| manifest.last_index() == Some(index));
            current.or_else(|| state.bases.get(&index)).cloned()
        };
        manifest.map(|manifest| self.hold(manifest))
    }

    /// The machine's state hash at each snapshot that is here, by the index of its last entry.
    pub(crate) fn hashes(&self) -> Vec<(u64, [u8; 32])> {
        let state = self.state();
        let all = state.bases.values().chain(&state.current);
        all.filter_map(|manifest| Some((manifest.last_index()?, manifest.state_hash))).collect()
    }

    /// Bytes of a base's file, and the chunks it names, each once.
    pub(crate) fn base_chunks(&self, index: u64) -> Option<(u64, BTreeMap<ContentHash, u32>)> {
        let manifest = self.state().bases.get(&index)?.clone();
        Some((manifest.bytes.len() as u64, manifest.chunks.iter().copied().collect()))
    }

    /// The chunks that the current snapshot names.
    pub(crate) fn chunks_of_current(&self) -> BTreeSet<ContentHash> {
        self.state().current.iter().flat_map(|manifest| &manifest.chunks).map(|(hash, _)| *hash).collect()
    }

    /// Keeps the current snapshot beside the next; durable with the next sync of the folder. Blocks.
    pub(crate) fn keep_base(&self) -> Result<(), SnapshotError> {
        let Some(current) = self.state().current.clone() else { return Ok(()) };
        let Some(index) = current.last_index() else { return Ok(()) };
        self.replace(&base_name(index), &current.bytes)?;
        self.state().bases.insert(index, current);
        Ok(())
    }

    /// Lets a base go; its chunks go with the next [`Store::collect`]. Blocks.
    pub(crate) fn drop_base(&self, index: u64) -> Result<(), SnapshotError> {
        match self.disk.remove(&self.path(&base_name(index))) {
            Ok(()) | Err(DiskError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.state().bases.remove(&index);
        Ok(())
    }

    /// The snapshot to send or load now.
    pub(crate) fn current(self: &Arc<Self>) -> Option<Held> {
        let current = self.state().current.clone();
        current.map(|manifest| self.hold(manifest))
    }

    /// Keeps the chunks that `manifest` names from being removed.
    pub(crate) fn hold(self: &Arc<Self>, manifest: Arc<Manifest>) -> Held {
        let mut pin = self.pin();
        manifest.chunks.iter().for_each(|(hash, _)| pin.add(*hash));
        Held { store: self.clone(), manifest, _pin: Arc::new(pin) }
    }

    pub(crate) fn pin(self: &Arc<Self>) -> Pin {
        Pin { store: self.clone(), chunks: Vec::new() }
    }

    /// Keeps a chunk; at once if it is here. The caller has pinned it. Blocks.
    pub(crate) fn put_chunk(&self, hash: ContentHash, bytes: &[u8]) -> Result<(), SnapshotError> {
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(SnapshotError::TooLarge { what: "a chunk", bytes: bytes.len() });
        }
        if ContentHash::of(bytes) != hash {
            return Err(SnapshotError::Damaged { file: hash.to_string(), what: "other bytes than its hash says" });
        }
        if self.has_chunk(&hash)? {
            return Ok(());
        }
        let mut contents = CHUNK_MAGIC.to_vec();
        contents.push(VERSION);
        put_block(&mut contents, bytes);
        self.replace(&hash.to_string(), &contents)
    }

    pub(crate) fn has_chunk(&self, hash: &ContentHash) -> Result<bool, SnapshotError> {
        match self.disk.open(&self.path(&hash.to_string()), OpenMode::Read) {
            Ok(_) => Ok(true),
            Err(DiskError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads and verifies a chunk. Blocks.
    pub(crate) fn read_chunk(&self, hash: &ContentHash) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path(&hash.to_string());
        let file = self.disk.open(&path, OpenMode::Read)?;
        let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        let damaged = |what| SnapshotError::Damaged { file: path.clone(), what };
        if !(CHUNK_HEADER_BYTES..=CHUNK_HEADER_BYTES + CHUNK_BYTES_MAX).contains(&length) {
            return Err(damaged("a chunk of an impossible length"));
        }
        let mut contents = vec![0; length];
        file.read_at(0, &mut contents)?;
        let mut reader = Reader::new(&contents);
        if reader.bytes(4)? != CHUNK_MAGIC {
            return Err(damaged("not a chunk"));
        }
        reader.version()?;
        let bytes = reader.block("bytes of a chunk", CHUNK_BYTES_MAX)?;
        if ContentHash::of(bytes) != *hash {
            return Err(damaged("a damaged chunk"));
        }
        Ok(bytes.to_vec())
    }

    /// Makes `manifest` the current snapshot, unless that is a newer one; gives the current one, durable when this
    /// returns. Its chunks have been put. Blocks.
    pub(crate) fn commit(self: &Arc<Self>, manifest: Manifest) -> Result<Held, SnapshotError> {
        // One that waited for room may come after one that was installed meanwhile, and the log behind that one is gone.
        if let Some(current) = self.current()
            && current.manifest().meta().last_log_id > manifest.meta.last_log_id
        {
            return Ok(current);
        }
        self.disk.sync_dir(&self.dir)?;
        self.replace(MANIFEST, &manifest.bytes)?;
        if !self.planted.has(Bug::SnapshotUnsynced) {
            self.disk.sync_dir(&self.dir)?;
        }
        let manifest = Arc::new(manifest);
        let held = self.hold(manifest.clone());
        self.state().current = Some(manifest);
        self.collect()?;
        Ok(held)
    }

    /// Writes a file aside and renames it; durable after a sync of the folder.
    fn replace(&self, name: &str, contents: &[u8]) -> Result<(), SnapshotError> {
        put_file(&*self.disk, &self.path(name), contents)
    }

    /// Removes chunks that neither a snapshot nor a pin names. A crash that keeps them costs space only.
    pub(crate) fn collect(&self) -> Result<(), SnapshotError> {
        let named: BTreeSet<String> = {
            let state = self.state();
            let snapshots = state.current.iter().chain(state.bases.values());
            let chunks = snapshots.flat_map(|manifest| &manifest.chunks).map(|(hash, _)| hash);
            chunks.chain(state.pins.keys()).map(ToString::to_string).collect()
        };
        for name in self.disk.list(&self.dir)? {
            let stays = name == MANIFEST || name.starts_with(BASE) && !name.ends_with(NEW);
            if !stays && !named.contains(&name) {
                self.disk.remove(&self.path(&name))?;
            }
        }
        Ok(())
    }
}

/// Writes a file aside and renames it; durable after a sync of the folder.
pub(crate) fn put_file(disk: &dyn Disk, path: &str, contents: &[u8]) -> Result<(), SnapshotError> {
    let new = format!("{path}{NEW}");
    match disk.remove(&new) {
        Ok(()) | Err(DiskError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let file = disk.open(&new, OpenMode::CreateNew)?;
    file.write_at(0, contents)?;
    file.sync()?;
    disk.rename(&new, path)?;
    Ok(())
}

/// In the order of indexes.
fn base_name(index: u64) -> String {
    format!("{BASE}{index:020}")
}

/// Keeps chunks from being removed while it lives.
pub(crate) struct Pin {
    store: Arc<Store>,
    chunks: Vec<ContentHash>,
}

impl Pin {
    pub(crate) fn add(&mut self, hash: ContentHash) {
        *self.store.state().pins.entry(hash).or_default() += 1;
        self.chunks.push(hash);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.store.state();
        for hash in &self.chunks {
            if let Some(count) = state.pins.get_mut(hash) {
                *count -= 1;
                if *count == 0 {
                    state.pins.remove(hash);
                }
            }
        }
    }
}

/// A snapshot whose chunks stay as long as this lives.
#[derive(Clone)]
pub(crate) struct Held {
    store: Arc<Store>,
    manifest: Arc<Manifest>,
    _pin: Arc<Pin>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("meta", &self.manifest.meta).finish_non_exhaustive()
    }
}

impl Held {
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The chunk at `position`, read on the snapshot lane.
    pub(crate) async fn chunk(&self, position: usize) -> Result<(ContentHash, Vec<u8>), SnapshotError> {
        let known = self.manifest.chunks.get(position);
        let (hash, _) = *known.ok_or(SnapshotError::Manifest(FormatError::Short))?;
        let bytes = self.store.on_lane(move |store| store.read_chunk(&hash)).await?;
        Ok((hash, bytes))
    }

    /// Reads and verifies a chunk. Blocks.
    pub(crate) fn read(&self, hash: &ContentHash) -> Result<Vec<u8>, SnapshotError> {
        self.store.read_chunk(hash)
    }

    /// The same snapshot, current and durable in `store`. Blocks.
    pub(crate) fn adopt(&self, store: &Arc<Store>) -> Result<Held, SnapshotError> {
        let mut pin = store.pin();
        for (hash, _) in &self.manifest.chunks {
            pin.add(*hash);
            if !store.has_chunk(hash)? {
                store.put_chunk(*hash, &self.read(hash)?)?;
            }
        }
        store.commit(Manifest::decode(self.manifest.bytes.clone())?)
    }
}

const _: () = assert!(format::VERSION == VERSION, "the reader of versions reads these files too");
