//! Snapshots: a version cut into chunks known by their content, and put together again.
//!
//! The tables' chunks are the store's, so that what has not changed keeps its hashes. Everything else is a stream of
//! items (length u32, tag u8, bytes), cut into chunks wherever one is full. The manifest lists the state's chunks, then
//! the tables'; they are restored in this order.
//!
//! Manifest, numbers little-endian: magic `ISXS`, version (u16, 1), group (u32), applied index (u64), log time (i64),
//! feature level (u16), execution id (32), state hash (32), count of state chunks (u32), count of table chunks (u32),
//! for each its length (u32) and hash (33), BLAKE3-256 of all before (32).

mod mount;

pub(crate) use mount::put_earlier;

use crate::group::{Content, Group, MemberRecord, MountsGroup, TreeGroup};
use crate::inbox::InboxRecord;
use crate::limits::{CHUNK_BYTES_MAX, CHUNKS_MAX, ITEM_BYTES_MAX};
use crate::machine::Machine;
use crate::mount::Mount;
use crate::planted::{Bug, Planted};
use crate::presence::PresenceRecord;
use crate::ring::{Ring, Transaction, put_transaction};
use crate::session::SessionRecord;
use crate::snapshot::mount::{MountHead, MountParts};
use isx_anchors::wire::{Reader, Wire, WireError, put_count};
use isx_anchors::{GroupId, TreeRestore};
use isx_row::{Code, ContentHash, Error, MountId, Revision, Time};
use isx_store::limits::CHANGES_BYTES_MAX;
use isx_store::{Changes, ExecutionId};
use std::collections::VecDeque;
use std::sync::Arc;

const MAGIC: [u8; 4] = *b"ISXS";
const VERSION: u16 = 1;
/// Bytes of a checksum at a manifest's end.
const CHECKSUM_BYTES: usize = 32;

/// Tags of items.
const TREE: u8 = 1;
const MEMBER: u8 = 2;
const TOMBSTONE: u8 = 3;
const MOUNT: u8 = 4;
const SESSION: u8 = 5;
const TRANSACTION: u8 = 6;
const TABLES: u8 = 7;
const PRESENCE: u8 = 8;
const INBOX: u8 = 9;

/// A chunk of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotChunk {
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A chunk in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// Its length in bytes.
    pub bytes: u32,
}

/// What a snapshot is of, read from its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The group.
    pub group: GroupId,
    /// The index of the last entry in it.
    pub applied: u64,
    /// Log time.
    pub time: Time,
    /// The feature level.
    pub level: u16,
    /// The execution id under which its state was made.
    pub execution: ExecutionId,
    /// The hash over everything replicated.
    pub state_hash: [u8; 32],
}

/// A snapshot being made: gives its chunks one by one, then its manifest. Holds its version, so later entries do not
/// show; costs memory for one chunk, and for a few bytes a chunk.
pub struct SnapshotWriter {
    head: SnapshotHead,
    /// Mounts whose tables are still to be cut.
    mounts: VecDeque<Arc<Mount>>,
    tables: Option<(MountId, isx_store::Snapshot)>,
    /// The stores' manifests, for the state's stream.
    manifests: Vec<(MountId, Vec<u8>)>,
    group: Group,
    state: Option<Box<dyn Iterator<Item = Vec<u8>> + Send>>,
    buffer: Vec<u8>,
    table_chunks: Vec<ChunkRef>,
    state_chunks: Vec<ChunkRef>,
    failed: Option<Error>,
}

impl SnapshotWriter {
    pub(crate) fn new(group: Group) -> Self {
        let head = SnapshotHead {
            group: group.id,
            applied: group.applied,
            time: group.time,
            level: group.level,
            execution: group.execution,
            state_hash: group.state_hash(),
        };
        let mounts = match &group.content {
            Content::Tree(_) => VecDeque::new(),
            Content::Mounts(group) => group.mounts.values().map(|slot| Arc::clone(&slot.mount)).collect(),
        };
        Self {
            head,
            mounts,
            tables: None,
            manifests: Vec::new(),
            group,
            state: None,
            buffer: Vec::new(),
            table_chunks: Vec::new(),
            state_chunks: Vec::new(),
            failed: None,
        }
    }

    /// What the snapshot is of.
    pub fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// The manifest, once every chunk was given; gives the rest of them away.
    ///
    /// # Errors
    /// `limit` when the snapshot is larger than one may be.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        while self.next().is_some() {}
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.state_chunks.len() + self.table_chunks.len() > CHUNKS_MAX {
            return Err(Error::new(Code::Limit, format!("snapshot: over CHUNKS_MAX = {CHUNKS_MAX}")));
        }
        Ok(put_manifest(&self.head, &self.state_chunks, &self.table_chunks))
    }

    /// The next chunk of some mount's tables.
    fn table_chunk(&mut self) -> Option<SnapshotChunk> {
        loop {
            if self.tables.is_none() {
                let mount = self.mounts.pop_front()?;
                self.tables = Some((mount.id, mount.database.snapshot()));
            }
            if let Some(chunk) = self.tables.as_mut().and_then(|(_, tables)| tables.next()) {
                return Some(SnapshotChunk { hash: chunk.record.hash, bytes: chunk.bytes });
            }
            let (id, tables) = self.tables.take()?;
            match tables.manifest().encode() {
                Ok(manifest) => self.manifests.push((id, manifest)),
                Err(error) => self.failed = Some(error),
            }
        }
    }

    /// The next chunk of the state's stream.
    fn state_chunk(&mut self) -> Option<SnapshotChunk> {
        let (group, manifests) = (&self.group, &mut self.manifests);
        let items = self.state.get_or_insert_with(|| items(group, std::mem::take(manifests)));
        while self.buffer.len() < CHUNK_BYTES_MAX {
            match items.next() {
                Some(item) => self.buffer.extend_from_slice(&item),
                None => break,
            }
        }
        let rest = self.buffer.split_off(self.buffer.len().min(CHUNK_BYTES_MAX));
        let bytes = std::mem::replace(&mut self.buffer, rest);
        (!bytes.is_empty()).then(|| SnapshotChunk { hash: ContentHash::of(&bytes), bytes })
    }
}

impl Iterator for SnapshotWriter {
    type Item = SnapshotChunk;

    fn next(&mut self) -> Option<SnapshotChunk> {
        let reference = |chunk: &SnapshotChunk| ChunkRef { hash: chunk.hash, bytes: chunk.bytes.len() as u32 };
        if let Some(chunk) = self.table_chunk() {
            self.table_chunks.push(reference(&chunk));
            return Some(chunk);
        }
        let chunk = self.state_chunk()?;
        self.state_chunks.push(reference(&chunk));
        Some(chunk)
    }
}

/// The state's stream: everything but the tables.
fn items(group: &Group, manifests: Vec<(MountId, Vec<u8>)>) -> Box<dyn Iterator<Item = Vec<u8>> + Send> {
    match &group.content {
        Content::Tree(TreeGroup { tree, members, .. }) => {
            let members = members.clone().into_iter().map(|(peer, member)| MemberRecord(peer, member));
            let tree = tree.records().map(|record| item(TREE, &record));
            Box::new(tree.chain(members.map(|member| item(MEMBER, &member.to_wire()))))
        }
        Content::Mounts(MountsGroup { mounts, tombstones, .. }) => {
            let tombstones = tombstones.clone().into_iter().map(|(id, time)| {
                let mut bytes = id.to_wire();
                time.put(&mut bytes);
                item(TOMBSTONE, &bytes)
            });
            let mounts: Vec<_> = mounts.values().map(|slot| Arc::clone(&slot.mount)).collect();
            let mounts = mounts.into_iter().zip(manifests).flat_map(|(mount, (_, manifest))| {
                let sessions = mount.sessions.records().map(|record| item(SESSION, &record.to_wire()));
                let ring = mount.ring.transactions().map(|transaction| {
                    let mut bytes = Vec::new();
                    put_transaction(&transaction, &mut bytes);
                    item(TRANSACTION, &bytes)
                });
                std::iter::once(item(MOUNT, &MountHead::of(&mount).to_wire()))
                    .chain(sessions)
                    .chain(mount.presence.records().map(|record| item(PRESENCE, &record.to_wire())))
                    .chain(mount.inbox.records().map(|record| item(INBOX, &record.to_wire())))
                    .chain(ring)
                    .chain(std::iter::once_with(move || item(TABLES, &manifest)))
            });
            Box::new(tombstones.chain(mounts))
        }
    }
}

fn item(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + bytes.len());
    put_count(bytes.len(), &mut out);
    out.push(tag);
    out.extend_from_slice(bytes);
    out
}

fn put_manifest(head: &SnapshotHead, state: &[ChunkRef], tables: &[ChunkRef]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    VERSION.put(&mut out);
    head.group.put(&mut out);
    head.applied.put(&mut out);
    head.time.put(&mut out);
    head.level.put(&mut out);
    head.execution.0.put(&mut out);
    head.state_hash.put(&mut out);
    put_count(state.len(), &mut out);
    put_count(tables.len(), &mut out);
    for chunk in state.iter().chain(tables) {
        chunk.bytes.put(&mut out);
        chunk.hash.put(&mut out);
    }
    let checksum = ContentHash::of(&out).digest;
    checksum.put(&mut out);
    out
}

/// A manifest, read: what the snapshot is of, its chunks in the order in which they are restored, and how many of them
/// are of the state's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    head: SnapshotHead,
    chunks: Vec<ChunkRef>,
    state_count: usize,
}

impl Manifest {
    /// Reads the one encoding of a manifest; all of `bytes` must be used.
    ///
    /// # Errors
    /// `malformed` for bytes that are no manifest or damaged, `limit` for too many chunks.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(bytes).map_err(|error| malformed(&format!("manifest: {error}")))
    }

    /// What the snapshot is of.
    pub fn head(&self) -> &SnapshotHead {
        &self.head
    }

    /// The chunks, in the order in which [`Restore::put`] takes them.
    pub fn chunks(&self) -> &[ChunkRef] {
        &self.chunks
    }

    fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let (checked, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(WireError::Short)?;
        if ContentHash::of(checked).digest != *checksum {
            return Err(WireError::Canonical("the checksum is another"));
        }
        let mut reader = Reader::new(checked);
        if reader.array()? != MAGIC || u16::take(&mut reader)? != VERSION {
            return Err(WireError::Canonical("neither magic nor version of a manifest"));
        }
        let head = SnapshotHead {
            group: Wire::take(&mut reader)?,
            applied: Wire::take(&mut reader)?,
            time: Wire::take(&mut reader)?,
            level: Wire::take(&mut reader)?,
            execution: ExecutionId(reader.array()?),
            state_hash: reader.array()?,
        };
        let state_count = u32::take(&mut reader)? as usize;
        let table_count = u32::take(&mut reader)? as usize;
        let count = state_count + table_count;
        if count > CHUNKS_MAX {
            return Err(WireError::Limit("CHUNKS_MAX"));
        }
        if reader.left() != count * 37 {
            return Err(WireError::Short);
        }
        let mut chunks = Vec::with_capacity(count);
        for _ in 0..count {
            let bytes = u32::take(&mut reader)?;
            if bytes as usize > CHUNK_BYTES_MAX || bytes == 0 {
                return Err(WireError::Limit("CHUNK_BYTES_MAX"));
            }
            chunks.push(ChunkRef { bytes, hash: Wire::take(&mut reader)? });
        }
        Ok(Self { head, chunks, state_count })
    }
}

/// A machine being put together from a snapshot's chunks, in the manifest's order. After a refusal it can not go on.
pub struct Restore {
    manifest: Manifest,
    /// Chunks taken.
    taken: usize,
    /// Bytes of the state's stream that are not a whole item yet.
    buffer: Vec<u8>,
    content: Parts,
    pub(crate) planted: Planted,
}

/// What has been restored.
enum Parts {
    Tree(Box<(TreeRestore, TreeGroup)>),
    Mounts { group: MountsGroup, waiting: VecDeque<Tables>, mount: Option<Box<MountParts>> },
}

/// A mount whose tables are to be restored.
struct Tables {
    parts: MountParts,
    tables: isx_store::Restore,
}

impl Restore {
    /// Begins with a manifest's bytes.
    ///
    /// # Errors
    /// As [`Manifest::decode`].
    pub fn new(manifest: &[u8]) -> Result<Self, Error> {
        let manifest = Manifest::decode(manifest)?;
        let content = match manifest.head.group {
            GroupId::TREE => Parts::Tree(Box::default()),
            _ => Parts::Mounts { group: MountsGroup::default(), waiting: VecDeque::new(), mount: None },
        };
        Ok(Self { manifest, taken: 0, buffer: Vec::new(), content, planted: Planted::NONE })
    }

    /// What the snapshot is of. Who restores compares the execution id with its own before it replays entries.
    pub fn head(&self) -> &SnapshotHead {
        &self.manifest.head
    }

    /// The chunk to put next; `None` when all are there.
    pub fn expected(&self) -> Option<ChunkRef> {
        self.manifest.chunks.get(self.taken).copied()
    }

    /// Takes the expected chunk. Costs time in proportion to its rows.
    ///
    /// # Errors
    /// `malformed` when the bytes are not those of the expected chunk, which may be put again; or when the snapshot is
    /// wrong.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let expected = self.expected().ok_or_else(|| malformed("every chunk is there"))?;
        if expected.bytes as usize != bytes.len() || expected.hash != ContentHash::of(bytes) {
            return Err(malformed("the bytes are not those of the chunk"));
        }
        self.taken += 1;
        if self.taken <= self.manifest.state_count {
            self.buffer.extend_from_slice(bytes);
            self.take_items()?;
            if self.taken == self.manifest.state_count && !self.buffer.is_empty() {
                return Err(malformed("the state ends within an item"));
            }
            return Ok(());
        }
        let Parts::Mounts { group, waiting, .. } = &mut self.content else {
            return Err(malformed("the tree's group has no tables"));
        };
        settle(group, waiting)?;
        let tables = waiting.front_mut().ok_or_else(|| malformed("a chunk belongs to no mount"))?;
        tables.tables.put(bytes)
    }

    /// The machine, once every chunk is there.
    ///
    /// # Errors
    /// `malformed` when a chunk is missing, the parts do not fit each other, or the state hash is not the manifest's.
    pub fn finish(self) -> Result<Machine, Error> {
        if self.expected().is_some() || !self.buffer.is_empty() {
            return Err(malformed("a chunk is missing"));
        }
        let content = match self.content {
            Parts::Tree(parts) => {
                let (tree, mut group) = *parts;
                group.tree = tree.finish().map_err(|error| malformed(&error.to_string()))?;
                Content::Tree(group)
            }
            Parts::Mounts { mut group, mut waiting, mount } => {
                settle(&mut group, &mut waiting)?;
                if mount.is_some() || !waiting.is_empty() {
                    return Err(malformed("a mount is not whole"));
                }
                Content::Mounts(group)
            }
        };
        let SnapshotHead { group: id, applied, time, level, execution, state_hash } = self.manifest.head;
        let group = Group { id, applied, time, level, execution, content };
        if group.state_hash() != state_hash && !self.planted.has(Bug::SessionsNotRestored) {
            return Err(malformed("the state hash is another"));
        }
        Ok(Machine::from_group(group, self.planted))
    }

    fn take_items(&mut self) -> Result<(), Error> {
        let mut at = 0;
        while let Some((length, rest)) = self.buffer.get(at..).and_then(|rest| rest.split_first_chunk()) {
            let length = u32::from_le_bytes(*length) as usize;
            if length > ITEM_BYTES_MAX {
                return Err(malformed("an item is over ITEM_BYTES_MAX"));
            }
            let Some((tag, bytes)) = rest.get(..=length).and_then(<[u8]>::split_first) else { break };
            take_item(&mut self.content, *tag, bytes, self.planted)?;
            at += 5 + length;
        }
        self.buffer.drain(..at);
        Ok(())
    }
}

fn take_item(content: &mut Parts, tag: u8, bytes: &[u8], planted: Planted) -> Result<(), Error> {
    let broken = |error: WireError| malformed(&error.to_string());
    match (content, tag) {
        (Parts::Tree(parts), TREE) => parts.0.put(bytes).map_err(broken),
        (Parts::Tree(parts), MEMBER) => {
            let group = &mut parts.1;
            let MemberRecord(peer, member) = Wire::from_wire(bytes).map_err(broken)?;
            if group.members.get_max().is_some_and(|(last, _)| *last >= peer) {
                return Err(malformed("members are out of order"));
            }
            group.put_member(peer, Some(member));
            Ok(())
        }
        (Parts::Mounts { group, .. }, TOMBSTONE) => {
            let mut reader = Reader::new(bytes);
            let id = Wire::take(&mut reader).map_err(broken)?;
            let time = Wire::take(&mut reader).map_err(broken)?;
            reader.end().map_err(broken)?;
            if group.tombstones.get_max().is_some_and(|(last, _)| *last >= id) {
                return Err(malformed("tombstones are out of order"));
            }
            group.put_tombstone(id, time);
            Ok(())
        }
        (Parts::Mounts { waiting, mount: mount @ None, .. }, MOUNT) => {
            let head = MountHead::from_wire(bytes).map_err(broken)?;
            if waiting.back().is_some_and(|last| last.parts.head.mount.0 >= head.mount.0) {
                return Err(malformed("mounts are out of order"));
            }
            let ring = Ring::begin(head.ring_floor, head.ring_head);
            let (sessions, presence, inbox) = Default::default();
            *mount = Some(Box::new(MountParts { head, sessions, presence, inbox, ring }));
            Ok(())
        }
        (Parts::Mounts { mount: Some(_), .. }, SESSION) if planted.has(Bug::SessionsNotRestored) => Ok(()),
        (Parts::Mounts { mount: Some(mount), .. }, SESSION) => {
            let record = SessionRecord::from_wire(bytes).map_err(broken)?;
            mount.sessions.restore(record).map_err(broken)
        }
        (Parts::Mounts { mount: Some(mount), .. }, PRESENCE) => {
            let record = PresenceRecord::from_wire(bytes).map_err(broken)?;
            mount.presence.restore(record).map_err(broken)
        }
        (Parts::Mounts { mount: Some(mount), .. }, INBOX) => {
            let record = InboxRecord::from_wire(bytes).map_err(broken)?;
            mount.inbox.restore(record).map_err(broken)
        }
        (Parts::Mounts { mount: Some(mount), .. }, TRANSACTION) => {
            let mut reader = Reader::new(bytes);
            let revision = Revision::take(&mut reader).map_err(broken)?;
            let changes = reader.bytes(CHANGES_BYTES_MAX, "CHANGES_BYTES_MAX").map_err(broken)?;
            reader.end().map_err(broken)?;
            if planted.has(Bug::RingCutAtRestore) && revision == mount.head.revision {
                return Ok(());
            }
            mount.ring.keep(Arc::new(Transaction { revision, changes: Changes::decode(changes)? }));
            Ok(())
        }
        (Parts::Mounts { waiting, mount, .. }, TABLES) => {
            let parts = mount.take().ok_or_else(|| malformed("tables without a mount"))?;
            let tables = isx_store::Restore::new(isx_store::Manifest::decode(bytes)?);
            waiting.push_back(Tables { parts: *parts, tables });
            Ok(())
        }
        _ => Err(malformed("an item is out of place")),
    }
}

/// Puts mounts whose tables are whole in place.
fn settle(group: &mut MountsGroup, waiting: &mut VecDeque<Tables>) -> Result<(), Error> {
    while waiting.front().is_some_and(|next| next.tables.expected().is_none()) {
        if let Some(Tables { parts, tables }) = waiting.pop_front() {
            group.put(parts.into_mount(tables.finish()?)?);
        }
    }
    Ok(())
}

fn malformed(what: &str) -> Error {
    Error::new(Code::Malformed, format!("snapshot: {what}"))
}
