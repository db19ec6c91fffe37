//! The tree and its read side: walk, list, read, watch.

use crate::anchor::{Anchor, AnchorId, Binding, BindingState, Caller};
use crate::limits::{DEPTH_MAX, PAGE_MAX};
use crate::operation::{Place, TreeChange};
use crate::path::{Name, Path};
use crate::sum::DigestSum;
use imbl::OrdMap;
use isx_row::{Code, Error, HomeId, MountId, Revision};
use std::ops::Bound;

/// The tree of names. A clone is free and stays as it is.
#[derive(Clone, Debug)]
pub struct Tree {
    pub(crate) anchors: OrdMap<AnchorId, Anchor>,
    /// By the anchor above and the name there. The name is always given: `None` sorts before every name, and so begins
    /// a range.
    pub(crate) edges: OrdMap<(AnchorId, Option<Name>), AnchorId>,
    pub(crate) homes: OrdMap<HomeId, Home>,
    pub(crate) mounts: OrdMap<MountId, AnchorId>,
    /// Bytes by home; `None` is what is below `/cluster`. Derived.
    pub(crate) accounts: OrdMap<Option<HomeId>, u64>,
    pub(crate) changes: OrdMap<Revision, TreeChange>,
    pub(crate) revision: Revision,
    /// The id the next anchor gets.
    pub(crate) next: AnchorId,
    /// The sum over the records of everything above but what is derived.
    pub(crate) sum: DigestSum,
}

/// A home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The owner's peer key.
    pub owner: [u8; 32],
    /// Its names; the first is its anchor's.
    pub aliases: Vec<Name>,
    /// Its anchor.
    pub anchor: AnchorId,
}

/// What stands at a name, in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Name,
    /// The anchor.
    pub anchor: AnchorId,
    /// What it is.
    pub kind: EntryKind,
}

/// What an anchor is, in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A home.
    Home,
    /// A mount, and how far it is.
    Mount(BindingState),
    /// A cell with a value.
    Cell,
    /// Names below, or nothing.
    Folder,
}

/// Where a watcher continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeResume {
    /// The changes after the revision asked for that the caller may see.
    Continue {
        /// The changes, by revision.
        changes: Vec<TreeChange>,
        /// Continue after this revision.
        through: Revision,
    },
    /// Changes after the revision asked for are no longer kept: list at this revision, then continue after it.
    Reset(Revision),
    /// This replica is not as far as the revision asked for; here is how far it is.
    Ahead(Revision),
}

impl Tree {
    /// The revision: counts the changes.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The anchor with this id.
    pub fn anchor(&self, id: AnchorId) -> Option<&Anchor> {
        self.anchors.get(&id)
    }

    /// The home with this id.
    pub fn home(&self, id: &HomeId) -> Option<&Home> {
        self.homes.get(id)
    }

    /// Bytes that all anchors take together, as [`crate::limits::ANCHOR_BYTES`] counts them.
    pub fn bytes(&self) -> u64 {
        self.accounts.values().sum()
    }

    /// The homes, by id.
    pub fn homes(&self) -> impl Iterator<Item = (&HomeId, &Home)> {
        self.homes.iter()
    }

    /// The anchor that a mount is bound to, and how far it is.
    pub fn mount(&self, mount: &MountId) -> Option<(AnchorId, &Binding)> {
        let id = *self.mounts.get(mount)?;
        Some((id, self.anchors.get(&id)?.binding.as_ref()?))
    }

    /// The mounts whose creation or removal is under way, by id: whoever drives the sagas takes the next step of each.
    pub fn pending(&self) -> impl Iterator<Item = (AnchorId, &Binding)> {
        self.bindings().filter(|(_, binding)| matches!(binding.state, BindingState::Creating | BindingState::Removing))
    }

    /// Every mount, by id.
    pub fn bindings(&self) -> impl Iterator<Item = (AnchorId, &Binding)> {
        self.mounts.values().filter_map(|id| Some((*id, self.anchors.get(id)?.binding.as_ref()?)))
    }

    /// Walks to an anchor. Never creates.
    ///
    /// # Errors
    /// `gone` when the anchor held is no longer there; `not_found`, in the same words, for a name that is missing and
    /// for one that the caller may not know of.
    pub fn walk(&self, caller: &Caller, place: &Place) -> Result<AnchorId, Error> {
        if !self.anchors.contains_key(&place.at) {
            return Err(Error::new(Code::Gone, "the anchor is no longer there"));
        }
        let step = |at, name: &Name| self.child(at, name).filter(|(_, anchor)| anchor.visible_to(caller));
        place
            .path
            .names()
            .iter()
            .try_fold(place.at, |at, name| step(at, name).map(|(id, _)| id))
            .ok_or_else(|| not_found(place))
    }

    /// The path of an anchor from the root, by its home's first alias.
    pub fn path(&self, id: AnchorId) -> Option<Path> {
        let mut names = Vec::new();
        let mut at = id;
        while at != AnchorId::ROOT {
            // Records being restored may go in a circle.
            let anchor = self.anchors.get(&at).filter(|_| names.len() < DEPTH_MAX)?;
            names.push(anchor.name.clone()?);
            at = anchor.parent;
        }
        names.into_iter().rev().try_fold(Path::default(), |path, name| path.join(name).ok())
    }

    /// One page of what is directly below an anchor, by name, without what the caller may not know of: at most `count`
    /// entries (and [`PAGE_MAX`]) after the name `after`. An empty page is the end.
    ///
    /// # Errors
    /// As [`Tree::walk`].
    pub fn ls(&self, caller: &Caller, place: &Place, after: Option<&Name>, count: usize) -> Result<Vec<Entry>, Error> {
        let at = self.walk(caller, place)?;
        let entries = self.below(at, after).filter_map(|(name, id)| {
            let anchor = self.anchors.get(&id).filter(|anchor| anchor.visible_to(caller))?;
            let kind = match anchor {
                Anchor { parent: AnchorId::ROOT, home: Some(_), .. } => EntryKind::Home,
                Anchor { binding: Some(binding), .. } => EntryKind::Mount(binding.state),
                Anchor { cell: Some(_), .. } => EntryKind::Cell,
                _ => EntryKind::Folder,
            };
            Some(Entry { name: name.clone(), anchor: id, kind })
        });
        Ok(entries.take(count.min(PAGE_MAX)).collect())
    }

    /// The value of a cell.
    ///
    /// # Errors
    /// As [`Tree::walk`].
    pub fn get(&self, caller: &Caller, place: &Place) -> Result<Option<&[u8]>, Error> {
        let id = self.walk(caller, place)?;
        Ok(self.anchors.get(&id).and_then(|anchor| anchor.cell.as_ref()).map(|cell| cell.bytes()))
    }

    /// The mount at a place, if it answers.
    ///
    /// # Errors
    /// As [`Tree::walk`]; `not_found`, in the same words, when no mount answers there.
    pub fn resolve(&self, caller: &Caller, place: &Place) -> Result<(AnchorId, &Binding), Error> {
        let id = self.walk(caller, place)?;
        let binding = self.anchors.get(&id).and_then(|anchor| anchor.binding.as_ref());
        let ready = binding.filter(|binding| binding.state == BindingState::Ready);
        ready.map(|binding| (id, binding)).ok_or_else(|| not_found(place))
    }

    /// The changes at and below an anchor after a revision, as far as the caller may see them; at most [`PAGE_MAX`].
    /// Of anchors that were removed together with the one above them only the topmost is told.
    ///
    /// # Errors
    /// As [`Tree::walk`].
    pub fn changes_after(&self, caller: &Caller, place: &Place, after: Revision) -> Result<TreeResume, Error> {
        let at = self.walk(caller, place)?;
        if after > self.revision {
            return Ok(TreeResume::Ahead(self.revision));
        }
        if after < self.changes_floor() {
            return Ok(TreeResume::Reset(self.revision));
        }
        let mut changes = Vec::new();
        for (revision, change) in self.changes.range(after.next()..) {
            if changes.len() == PAGE_MAX {
                let through = changes.last().map_or(*revision, |last: &TreeChange| last.revision);
                return Ok(TreeResume::Continue { changes, through });
            }
            if self.shows(caller, at, change) {
                changes.push(change.clone());
            }
        }
        Ok(TreeResume::Continue { changes, through: self.revision })
    }

    /// Every change after a revision that is still kept, whoever may see it.
    pub fn log_after(&self, after: Revision) -> impl Iterator<Item = &TreeChange> {
        self.changes.range(after.next()..).map(|(_, change)| change)
    }

    /// The revision before the oldest change that is kept.
    fn changes_floor(&self) -> Revision {
        let oldest = self.changes.get_min().map_or(self.revision.next(), |(revision, _)| *revision);
        Revision(oldest.0.saturating_sub(1))
    }

    /// Whether a change is at or below `at` and no anchor between hides it from the caller.
    fn shows(&self, caller: &Caller, at: AnchorId, change: &TreeChange) -> bool {
        if change.anchor == at {
            return true;
        }
        let visible = change.public || caller.trusted || change.owner == Some(caller.who);
        let mut above = change.parent;
        for _ in 0..=DEPTH_MAX {
            if above == at {
                return visible;
            }
            match self.anchors.get(&above).filter(|anchor| anchor.visible_to(caller)) {
                Some(anchor) if above != AnchorId::ROOT => above = anchor.parent,
                _ => return false,
            }
        }
        false
    }

    /// The anchor under a name, by whatever name a home has: an alias or its id in hexadecimal digits.
    pub(crate) fn child(&self, at: AnchorId, name: &Name) -> Option<(AnchorId, &Anchor)> {
        let id = match self.edges.get(&(at, Some(name.clone()))) {
            Some(id) => *id,
            None if at == AnchorId::ROOT => self.homes.get(&home_id(name.as_str())?)?.anchor,
            None => return None,
        };
        Some((id, self.anchors.get(&id)?))
    }

    /// The names below an anchor, after one of them.
    fn below<'a>(&'a self, at: AnchorId, after: Option<&Name>) -> impl Iterator<Item = (&'a Name, AnchorId)> {
        let lower = (at, after.cloned());
        self.edges
            .range((Bound::Excluded(lower), Bound::Unbounded))
            .take_while(move |((parent, _), _)| *parent == at)
            .filter_map(|((_, name), id)| Some((name.as_ref()?, *id)))
    }
}

/// The home whose id is written in hexadecimal digits, lower case.
pub(crate) fn home_id(text: &str) -> Option<HomeId> {
    let digits = text.as_bytes();
    if digits.len() != 32 || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(HomeId(id))
}

/// The one refusal for what is missing and for what may not be known.
pub(crate) fn not_found(place: &Place) -> Error {
    Error::new(Code::NotFound, format!("{} is not found", place.path))
}
