//! What stands at a name: an anchor, its cell, its mount; and who may see it.

use crate::limits::{ANCHOR_BYTES, CELL_BYTES_MAX, PLAN_BYTES_MAX};
use crate::path::Name;
use crate::wire::{Reader, Wire, WireError, put_bytes};
use isx_row::{HomeId, Incarnation, MountId, Principal};
use std::sync::Arc;

/// An anchor. Made once, never reused: what is removed and made again under the same name is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnchorId(pub u64);

impl AnchorId {
    /// `/`.
    pub const ROOT: Self = Self(0);
    /// `/cluster`, which belongs to no node.
    pub const CLUSTER: Self = Self(1);
}

/// A Raft group. Group 0 keeps the tree; mounts live in the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The group that keeps the tree and the membership.
    pub const TREE: Self = Self(0);
    /// The first group that keeps mounts.
    pub const MOUNTS: Self = Self(1);
}

impl From<u32> for GroupId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The principal the call speaks for.
    pub who: Principal,
    /// Whether the caller holds a reference that the owner gave.
    pub trusted: bool,
}

/// An anchor: a node of the tree of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The anchor above; the root's is itself.
    pub parent: AnchorId,
    /// Its name there; of a home, the first alias. The root has none.
    pub name: Option<Name>,
    /// The home it belongs to; none for the root and for what is below `/cluster`.
    pub home: Option<HomeId>,
    /// Who may change it; none: trusted callers alone.
    pub owner: Option<Principal>,
    /// Whether any caller sees it; private anchors are there for their owner and for trusted callers.
    pub public: bool,
    /// The cell.
    pub cell: Option<Cell>,
    /// The mount.
    pub binding: Option<Binding>,
    /// How many anchors are below it, directly.
    pub children: u32,
}

impl Anchor {
    /// Whether `caller` may know of it.
    pub fn visible_to(&self, caller: &Caller) -> bool {
        self.public || self.writable_by(caller)
    }

    /// Whether `caller` may change it and make anchors below it.
    pub fn writable_by(&self, caller: &Caller) -> bool {
        caller.trusted || self.owner == Some(caller.who)
    }

    /// What it counts for in its home's account.
    pub(crate) fn cost(&self) -> u64 {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        let cell = self.cell.as_ref().map_or(0, |cell| cell.bytes().len());
        let plan = self.binding.as_ref().map_or(0, |binding| binding.plan.len());
        ANCHOR_BYTES + (name + cell + plan) as u64
    }
}

/// The value of an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Bytes.
    Data(Arc<[u8]>),
}

impl Cell {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Data(bytes) => bytes,
        }
    }
}

/// A path's mount, and how far its creation or removal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The mount.
    pub mount: MountId,
    /// The group it lives in.
    pub group: GroupId,
    /// Tells the mounts apart that a path has had.
    pub incarnation: Incarnation,
    /// How far it is.
    pub state: BindingState,
    /// While it is being created: what whoever drives the creation needs to go on; empty after.
    pub plan: Arc<[u8]>,
}

/// How far the creation or removal of a mount is.
///
/// Creation: reserved here (`Creating`), made in its group, `Ready` here. Removal: `Removing` here, dropped in its
/// group, cleared here. Each step may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BindingState {
    /// The path is reserved; the group does not have the mount yet.
    Creating = 1,
    /// The mount answers.
    Ready = 2,
    /// The mount does not answer, its data is kept.
    Unmounted = 3,
    /// The group drops the mount.
    Removing = 4,
}

impl Wire for AnchorId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self(Wire::take(reader)?))
    }
}

impl Wire for GroupId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self(Wire::take(reader)?))
    }
}

impl Wire for Caller {
    fn put(&self, out: &mut Vec<u8>) {
        self.who.put(out);
        self.trusted.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { who: Wire::take(reader)?, trusted: Wire::take(reader)? })
    }
}

impl Wire for Cell {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Data(bytes) => {
                out.push(1);
                put_bytes(bytes, out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match u8::take(reader)? {
            1 => Ok(Self::Data(reader.bytes(CELL_BYTES_MAX, "CELL_BYTES_MAX")?.into())),
            _ => Err(WireError::Canonical("no such kind of cell")),
        }
    }
}

impl Wire for BindingState {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match u8::take(reader)? {
            1 => Ok(Self::Creating),
            2 => Ok(Self::Ready),
            3 => Ok(Self::Unmounted),
            4 => Ok(Self::Removing),
            _ => Err(WireError::Canonical("no such state of a mount")),
        }
    }
}

impl Wire for Binding {
    fn put(&self, out: &mut Vec<u8>) {
        self.mount.put(out);
        self.group.put(out);
        self.incarnation.put(out);
        self.state.put(out);
        put_bytes(&self.plan, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            mount: Wire::take(reader)?,
            group: Wire::take(reader)?,
            incarnation: Wire::take(reader)?,
            state: Wire::take(reader)?,
            plan: reader.bytes(PLAN_BYTES_MAX, "PLAN_BYTES_MAX")?.into(),
        })
    }
}

/// Kinds of anchors in the format. A leased anchor, which vanishes with its node, will be another.
const KIND_DURABLE: u8 = 1;

impl Wire for Anchor {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(KIND_DURABLE);
        self.parent.put(out);
        self.name.put(out);
        self.home.put(out);
        self.owner.put(out);
        self.public.put(out);
        self.cell.put(out);
        self.binding.put(out);
        self.children.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        if u8::take(reader)? != KIND_DURABLE {
            return Err(WireError::Canonical("no such kind of anchor"));
        }
        Ok(Self {
            parent: Wire::take(reader)?,
            name: Wire::take(reader)?,
            home: Wire::take(reader)?,
            owner: Wire::take(reader)?,
            public: Wire::take(reader)?,
            cell: Wire::take(reader)?,
            binding: Wire::take(reader)?,
            children: Wire::take(reader)?,
        })
    }
}
