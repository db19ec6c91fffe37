//! The tree as records: what a snapshot holds and the state hash sums over.

use crate::anchor::{Anchor, AnchorId};
use crate::limits::{ALIASES_MAX, CHANGES_KEPT_MAX, HOMES_MAX};
use crate::operation::TreeChange;
use crate::path::Name;
use crate::sum::DigestSum;
use crate::tree::{Home, Tree};
use crate::wire::{Reader, Wire, WireError, put_count};
use imbl::OrdMap;
use isx_row::{ContentHash, HomeId, Revision};
use std::collections::BTreeMap;

/// One record.
pub(crate) enum Record {
    /// The counters: revision and next anchor.
    Head(Revision, AnchorId),
    Home(HomeId, Home),
    Anchor(AnchorId, Anchor),
    Change(TreeChange),
}

impl Default for Tree {
    /// The tree with `/` and `/cluster`, which every cluster begins with.
    fn default() -> Self {
        let bare = Anchor {
            parent: AnchorId::ROOT,
            name: None,
            home: None,
            owner: None,
            public: true,
            cell: None,
            binding: None,
            children: 0,
        };
        let mut tree = Self::bare();
        let name = Name::new("cluster").ok();
        tree.edges.insert((AnchorId::ROOT, name.clone()), AnchorId::CLUSTER);
        tree.put_anchor(AnchorId::ROOT, Some(Anchor { children: 1, ..bare.clone() }));
        tree.put_anchor(AnchorId::CLUSTER, Some(Anchor { name, ..bare }));
        tree.next = AnchorId(2);
        tree
    }
}

impl Tree {
    /// A tree with nothing at all: what a restore begins with.
    fn bare() -> Self {
        Self {
            anchors: OrdMap::new(),
            edges: OrdMap::new(),
            homes: OrdMap::new(),
            mounts: OrdMap::new(),
            accounts: OrdMap::new(),
            changes: OrdMap::new(),
            revision: Revision(0),
            next: AnchorId::ROOT,
            sum: DigestSum::default(),
        }
    }

    /// The hash over the whole tree, kept as it changes.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut bytes = Record::Head(self.revision, self.next).bytes();
        bytes.extend_from_slice(&self.sum.bytes());
        ContentHash::of(&bytes).digest
    }

    /// The tree as canonical records, each a few hundred bytes to a cell's bound, made one by one.
    pub fn records(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let Self { anchors, homes, changes, .. } = self.clone();
        let head = std::iter::once(Record::Head(self.revision, self.next).bytes());
        head.chain(homes.into_iter().map(|(id, home)| Record::Home(id, home).bytes()))
            .chain(anchors.into_iter().map(|(id, anchor)| Record::Anchor(id, anchor).bytes()))
            .chain(changes.into_iter().map(|(_, change)| Record::Change(change).bytes()))
    }
}

/// Puts a tree together from its records, in their order, and checks that they fit each other.
pub struct TreeRestore {
    tree: Tree,
    last: Option<Vec<u8>>,
}

impl Default for TreeRestore {
    fn default() -> Self {
        Self { tree: Tree::bare(), last: None }
    }
}

impl TreeRestore {
    /// Takes the next record.
    ///
    /// # Errors
    /// [`WireError`] for bytes that are no record, or out of order.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let record = Record::from_wire(bytes)?;
        let place = record.place();
        if self.last.as_ref().is_some_and(|last| *last >= place) {
            return Err(WireError::Canonical("records of the tree are out of order"));
        }
        self.last = Some(place);
        match record {
            Record::Head(revision, next) => {
                self.tree.revision = revision;
                self.tree.next = next;
            }
            Record::Home(id, home) => {
                for alias in &home.aliases {
                    self.edge(AnchorId::ROOT, alias, home.anchor)?;
                }
                self.tree.put_home(id, home);
            }
            Record::Anchor(id, anchor) => {
                let homes_anchor = anchor.parent == AnchorId::ROOT && anchor.home.is_some();
                if let (Some(name), false) = (&anchor.name, homes_anchor) {
                    self.edge(anchor.parent, name, id)?;
                }
                if let Some(binding) = &anchor.binding
                    && self.tree.mounts.insert(binding.mount, id).is_some()
                {
                    return Err(WireError::Canonical("a mount is at two paths"));
                }
                self.tree.put_anchor(id, Some(anchor));
            }
            Record::Change(change) => {
                if self.tree.changes.len() >= CHANGES_KEPT_MAX || change.revision > self.tree.revision {
                    return Err(WireError::Canonical("a change of the tree is not of its last"));
                }
                self.tree.sum.add(bytes);
                self.tree.changes.insert(change.revision, change);
            }
        }
        Ok(())
    }

    fn edge(&mut self, parent: AnchorId, name: &Name, id: AnchorId) -> Result<(), WireError> {
        match self.tree.edges.insert((parent, Some(name.clone())), id) {
            Some(_) => Err(WireError::Canonical("two anchors have one name")),
            None => Ok(()),
        }
    }

    /// The tree, once every record is there.
    ///
    /// # Errors
    /// `Canonical` when the records do not make a tree. Whether it is the right one says its state hash.
    pub fn finish(self) -> Result<Tree, WireError> {
        let tree = self.tree;
        let mut children: BTreeMap<AnchorId, u32> = BTreeMap::new();
        for (id, anchor) in &tree.anchors {
            if *id >= tree.next {
                return Err(WireError::Canonical("an anchor's id was not given out"));
            }
            if *id == AnchorId::ROOT {
                if anchor.name.is_some() || anchor.parent != AnchorId::ROOT {
                    return Err(WireError::Canonical("the root is not one"));
                }
                continue;
            }
            *children.entry(anchor.parent).or_default() += 1;
            let owned = match (anchor.parent, anchor.home) {
                (AnchorId::ROOT, None) => {
                    *id == AnchorId::CLUSTER && anchor.name.as_ref().is_some_and(|name| name.as_str() == "cluster")
                }
                (AnchorId::ROOT, Some(home)) => tree
                    .homes
                    .get(&home)
                    .is_some_and(|home| home.anchor == *id && home.aliases.first() == anchor.name.as_ref()),
                (parent, home) => tree.anchors.get(&parent).is_some_and(|parent| parent.home == home),
            };
            let reached = tree.path(*id).is_some();
            if !owned || !reached {
                return Err(WireError::Canonical("an anchor is not in the tree"));
            }
        }
        let counted = |(id, anchor): (&AnchorId, &Anchor)| anchor.children == children.remove(id).unwrap_or(0);
        let whole = tree.anchors.contains_key(&AnchorId::ROOT)
            && tree.anchors.contains_key(&AnchorId::CLUSTER)
            && tree.anchors.iter().all(counted)
            && children.is_empty()
            && tree.homes.len() <= HOMES_MAX
            && tree.homes.iter().all(|(id, home)| {
                tree.anchors
                    .get(&home.anchor)
                    .is_some_and(|anchor| anchor.parent == AnchorId::ROOT && anchor.home == Some(*id))
            });
        if whole { Ok(tree) } else { Err(WireError::Canonical("the records do not make a tree")) }
    }
}

impl Record {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.to_wire()
    }

    /// Where the record stands among the others: kind, then id, big-endian.
    fn place(&self) -> Vec<u8> {
        match self {
            Self::Head(..) => vec![1],
            Self::Home(id, _) => [&[2][..], &id.0].concat(),
            Self::Anchor(id, _) => [&[3][..], &id.0.to_be_bytes()].concat(),
            Self::Change(change) => [&[4][..], &change.revision.0.to_be_bytes()].concat(),
        }
    }
}

impl Wire for Record {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Head(revision, next) => {
                out.push(1);
                revision.put(out);
                next.put(out);
            }
            Self::Home(id, home) => {
                out.push(2);
                id.put(out);
                home.owner.put(out);
                put_count(home.aliases.len(), out);
                home.aliases.iter().for_each(|alias| alias.put(out));
                home.anchor.put(out);
            }
            Self::Anchor(id, anchor) => {
                out.push(3);
                id.put(out);
                anchor.put(out);
            }
            Self::Change(change) => {
                out.push(4);
                change.put(out);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(match u8::take(reader)? {
            1 => Self::Head(Wire::take(reader)?, Wire::take(reader)?),
            2 => {
                let id = Wire::take(reader)?;
                let owner = Wire::take(reader)?;
                let count = reader.count(ALIASES_MAX, "ALIASES_MAX")?;
                if count == 0 {
                    return Err(WireError::Canonical("a home without an alias"));
                }
                let aliases = (0..count).map(|_| Name::take(reader)).collect::<Result<_, _>>()?;
                Self::Home(id, Home { owner, aliases, anchor: Wire::take(reader)? })
            }
            3 => Self::Anchor(Wire::take(reader)?, Wire::take(reader)?),
            4 => Self::Change(Wire::take(reader)?),
            _ => return Err(WireError::Canonical("no such record of the tree")),
        })
    }
}
