//! Operations on the tree, what they answer, and the changes they leave for watchers.

use crate::anchor::{AnchorId, Binding, GroupId};
use crate::limits::{CELL_BYTES_MAX, PLAN_BYTES_MAX};
use crate::path::{Name, Path};
use crate::wire::{Reader, Wire, WireError, put_bytes};
use isx_row::{HomeId, MountId, Principal, Revision};

/// An anchor somewhere below one that the caller holds; the empty path is the held one itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The anchor held.
    pub at: AnchorId,
    /// The names from there.
    pub path: Path,
}

/// A change of the tree. Each is applied wholly or refused without a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes a home. If the alias is taken by another home, the first free of `alias-2`, `alias-3`, … is used.
    /// Repeating it for a home that is there answers the same. Trusted callers only.
    MakeHome {
        /// The home; made once, never reused.
        home: HomeId,
        /// The owner's peer key.
        owner: [u8; 32],
        /// The name to be known under.
        alias: Name,
    },
    /// Gives a home one more alias. Trusted callers only.
    AddAlias {
        /// The home.
        home: HomeId,
        /// The alias.
        alias: Name,
    },
    /// Takes an alias from its home, but not the last. Trusted callers only.
    DropAlias {
        /// The alias.
        alias: Name,
    },
    /// Makes an empty anchor under one that is there.
    Make {
        /// Where.
        place: Place,
        /// Whether any caller sees it.
        public: bool,
    },
    /// Writes the cell, making a private anchor for it if the name is free.
    Set {
        /// Where.
        place: Place,
        /// The value.
        value: Vec<u8>,
    },
    /// Writes or clears the cell if it has the expected value. Expecting none, it makes the anchor as `Set` does.
    Swap {
        /// Where.
        place: Place,
        /// What must be there.
        expected: Option<Vec<u8>>,
        /// What shall be there.
        new: Option<Vec<u8>>,
    },
    /// Says whether any caller sees the anchor.
    Share {
        /// Where.
        place: Place,
        /// Whether any caller sees it.
        public: bool,
    },
    /// Removes an anchor that has no mount and nothing below it.
    Remove {
        /// Where.
        place: Place,
    },
    /// First step of creating a mount: reserves the path.
    Reserve {
        /// Where.
        place: Place,
        /// The mount; made once, never reused.
        mount: MountId,
        /// The group it will live in.
        group: GroupId,
        /// Whether any caller sees it.
        public: bool,
        /// What whoever drives the creation needs to go on.
        plan: Vec<u8>,
    },
    /// Last step of creating a mount: it answers from now on. Trusted callers only.
    Ready {
        /// The mount.
        mount: MountId,
    },
    /// Makes a mount stop answering; its data is kept.
    Unmount {
        /// Where.
        place: Place,
    },
    /// Makes an unmounted mount answer again.
    Attach {
        /// Where.
        place: Place,
    },
    /// First step of removing a mount, ready or not.
    Retire {
        /// Where.
        place: Place,
    },
    /// Last step of removing a mount: frees the path, and removes the anchor if nothing else is there. Trusted callers
    /// only.
    Clear {
        /// The mount.
        mount: MountId,
    },
}

/// What an operation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done; the anchor it was done to.
    Anchor(AnchorId),
    /// Whether the expected value was there, and so the new one is.
    Swapped(bool),
    /// The mount of the anchor, as it is now.
    Binding(AnchorId, Binding),
    /// The home's anchor and the alias it got.
    Home(AnchorId, Name),
    /// It is done.
    Done,
}

/// What happened to an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Happening {
    /// It was made.
    Made = 1,
    /// It was removed.
    Removed = 2,
    /// Its cell was written or cleared.
    Cell = 3,
    /// Its mount came, went or changed its state.
    Mount = 4,
    /// It was shared or made private.
    Shared = 5,
    /// The home's aliases changed.
    Aliases = 6,
}

/// A change of the tree, as watchers learn of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// The tree's revision after it. A revision has one change.
    pub revision: Revision,
    /// The anchor.
    pub anchor: AnchorId,
    /// The anchor above it.
    pub parent: AnchorId,
    /// Its name there.
    pub name: Name,
    /// Its owner then.
    pub owner: Option<Principal>,
    /// Whether any caller saw it then.
    pub public: bool,
    /// What happened.
    pub happening: Happening,
}

impl Place {
    /// A place given by an absolute path.
    pub fn absolute(path: Path) -> Self {
        Self { at: AnchorId::ROOT, path }
    }
}

impl Wire for Place {
    fn put(&self, out: &mut Vec<u8>) {
        self.at.put(out);
        self.path.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { at: Wire::take(reader)?, path: Wire::take(reader)? })
    }
}

fn put_value(value: &Option<Vec<u8>>, out: &mut Vec<u8>) {
    value.is_some().put(out);
    if let Some(value) = value {
        put_bytes(value, out);
    }
}

fn take_value(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>, WireError> {
    bool::take(reader)?.then(|| reader.bytes(CELL_BYTES_MAX, "CELL_BYTES_MAX").map(<[u8]>::to_vec)).transpose()
}

impl Wire for Operation {
    fn put(&self, out: &mut Vec<u8>) {
        let mut place = |tag: u8, place: &Place| {
            out.push(tag);
            place.put(out);
        };
        match self {
            Self::MakeHome { home, owner, alias } => {
                out.push(1);
                home.put(out);
                owner.put(out);
                alias.put(out);
            }
            Self::AddAlias { home, alias } => {
                out.push(2);
                home.put(out);
                alias.put(out);
            }
            Self::DropAlias { alias } => {
                out.push(3);
                alias.put(out);
            }
            Self::Make { place: at, public } => {
                place(4, at);
                public.put(out);
            }
            Self::Set { place: at, value } => {
                place(5, at);
                put_bytes(value, out);
            }
            Self::Swap { place: at, expected, new } => {
                place(6, at);
                put_value(expected, out);
                put_value(new, out);
            }
            Self::Share { place: at, public } => {
                place(7, at);
                public.put(out);
            }
            Self::Remove { place: at } => place(8, at),
            Self::Reserve { place: at, mount, group, public, plan } => {
                place(9, at);
                mount.put(out);
                group.put(out);
                public.put(out);
                put_bytes(plan, out);
            }
            Self::Ready { mount } => {
                out.push(10);
                mount.put(out);
            }
            Self::Unmount { place: at } => place(11, at),
            Self::Attach { place: at } => place(12, at),
            Self::Retire { place: at } => place(13, at),
            Self::Clear { mount } => {
                out.push(14);
                mount.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            1 => Self::MakeHome { home: Wire::take(reader)?, owner: Wire::take(reader)?, alias: Wire::take(reader)? },
            2 => Self::AddAlias { home: Wire::take(reader)?, alias: Wire::take(reader)? },
            3 => Self::DropAlias { alias: Wire::take(reader)? },
            4 => Self::Make { place: Wire::take(reader)?, public: Wire::take(reader)? },
            5 => Self::Set {
                place: Wire::take(reader)?,
                value: reader.bytes(CELL_BYTES_MAX, "CELL_BYTES_MAX")?.to_vec(),
            },
            6 => Self::Swap { place: Wire::take(reader)?, expected: take_value(reader)?, new: take_value(reader)? },
            7 => Self::Share { place: Wire::take(reader)?, public: Wire::take(reader)? },
            8 => Self::Remove { place: Wire::take(reader)? },
            9 => Self::Reserve {
                place: Wire::take(reader)?,
                mount: Wire::take(reader)?,
                group: Wire::take(reader)?,
                public: Wire::take(reader)?,
                plan: reader.bytes(PLAN_BYTES_MAX, "PLAN_BYTES_MAX")?.to_vec(),
            },
            10 => Self::Ready { mount: Wire::take(reader)? },
            11 => Self::Unmount { place: Wire::take(reader)? },
            12 => Self::Attach { place: Wire::take(reader)? },
            13 => Self::Retire { place: Wire::take(reader)? },
            14 => Self::Clear { mount: Wire::take(reader)? },
            _ => return Err(WireError::Canonical("no such operation on the tree")),
        })
    }
}

impl Wire for Reply {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Anchor(anchor) => {
                out.push(1);
                anchor.put(out);
            }
            Self::Swapped(swapped) => {
                out.push(2);
                swapped.put(out);
            }
            Self::Binding(anchor, binding) => {
                out.push(3);
                anchor.put(out);
                binding.put(out);
            }
            Self::Home(anchor, alias) => {
                out.push(4);
                anchor.put(out);
                alias.put(out);
            }
            Self::Done => out.push(5),
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            1 => Self::Anchor(Wire::take(reader)?),
            2 => Self::Swapped(Wire::take(reader)?),
            3 => Self::Binding(Wire::take(reader)?, Wire::take(reader)?),
            4 => Self::Home(Wire::take(reader)?, Wire::take(reader)?),
            5 => Self::Done,
            _ => return Err(WireError::Canonical("no such reply of the tree")),
        })
    }
}

impl Wire for TreeChange {
    fn put(&self, out: &mut Vec<u8>) {
        self.revision.put(out);
        self.anchor.put(out);
        self.parent.put(out);
        self.name.put(out);
        self.owner.put(out);
        self.public.put(out);
        out.push(self.happening as u8);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            revision: Wire::take(reader)?,
            anchor: Wire::take(reader)?,
            parent: Wire::take(reader)?,
            name: Wire::take(reader)?,
            owner: Wire::take(reader)?,
            public: Wire::take(reader)?,
            happening: match u8::take(reader)? {
                1 => Happening::Made,
                2 => Happening::Removed,
                3 => Happening::Cell,
                4 => Happening::Mount,
                5 => Happening::Shared,
                6 => Happening::Aliases,
                _ => return Err(WireError::Canonical("no such happening")),
            },
        })
    }
}
