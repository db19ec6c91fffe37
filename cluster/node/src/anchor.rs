//! Anchors of the tree, as one caller may see them.

use crate::gauges::Follower;
use crate::host::below;
use crate::module::administration;
use crate::mounted::mounted;
use crate::saga;
use crate::shared::{Shared, Who, tree_of};
use crate::source::{self, Source};
use async_trait::async_trait;
use futures::stream::BoxStream;
use isx_anchors::{AnchorId, BindingState, EntryKind as Kind, Name, Operation, Path, Place, Reply};
use isx_iface::anchor::{Cell, Entries, Entry, EntryKind, MountLimits};
use isx_iface::limits::PAGE_COUNT_MAX;
use isx_iface::{Anchor, AnchorStub, ModuleStub, ObjectRef, serve_anchor};
use isx_raft::{Follow, TREE};
use isx_row::{Bytes, Code, ContentHash, Error, SessionId};
use std::sync::Arc;

/// An anchor for a caller.
pub(crate) fn anchor(shared: &Arc<Shared>, who: Who, at: AnchorId) -> AnchorStub {
    AnchorStub(serve_anchor(NodeAnchor { shared: shared.clone(), who, at }))
}

struct NodeAnchor {
    shared: Arc<Shared>,
    who: Who,
    at: AnchorId,
}

impl NodeAnchor {
    fn here(&self) -> Place {
        Place { at: self.at, path: Path::default() }
    }

    fn child(&self, name: &str) -> Result<Place, Error> {
        Ok(Place { at: self.at, path: Path::default().join(Name::new(name)?)? })
    }

    async fn walked(&self, place: &Place) -> Result<AnchorStub, Error> {
        let view = self.shared.tree_view().await?;
        let found = tree_of(&view)?.walk(&self.who.caller(), place)?;
        Ok(anchor(&self.shared, self.who, found))
    }

    /// Removes what is below an anchor and the anchor, children first.
    async fn remove_all(&self, top: Place) -> Result<(), Error> {
        let mut stack = vec![top];
        while let Some(place) = stack.last().cloned() {
            let view = self.shared.tree_view().await?;
            let tree = tree_of(&view)?;
            let caller = self.who.caller();
            let id = match tree.walk(&caller, &place) {
                Ok(id) => id,
                Err(error) if stack.len() > 1 && error.code == Code::NotFound => {
                    stack.pop();
                    continue;
                }
                Err(error) => return Err(error),
            };
            let children = tree.ls(&caller, &place, None, PAGE_COUNT_MAX)?;
            if !children.is_empty() {
                let place = |child: isx_anchors::Entry| Place { at: child.anchor, path: Path::default() };
                stack.extend(children.into_iter().map(place));
                continue;
            }
            let bound = tree.anchor(id).is_some_and(|anchor| anchor.binding.is_some());
            let removed = if bound {
                saga::remove(&self.shared, self.who, place).await
            } else {
                self.shared.tree(caller, Operation::Remove { place }).await.map(drop)
            };
            match removed {
                Err(error) if !matches!(error.code, Code::NotFound | Code::Gone) => return Err(error),
                _ => stack.pop(),
            };
        }
        Ok(())
    }
}

#[async_trait]
impl Anchor for NodeAnchor {
    async fn path(&self) -> Result<String, Error> {
        let view = self.shared.tree_view().await?;
        let tree = tree_of(&view)?;
        let id = tree.walk(&self.who.caller(), &self.here())?;
        let path = tree.path(id).ok_or_else(|| Error::new(Code::Gone, "the anchor is no longer there"))?;
        Ok(path.to_string())
    }

    async fn ls(&self, after: Option<String>) -> Result<Entries, Error> {
        let after = after.map(|after| Name::new(&after)).transpose()?;
        let view = self.shared.tree_view().await?;
        let tree = tree_of(&view)?;
        let found = tree.ls(&self.who.caller(), &self.here(), after.as_ref(), PAGE_COUNT_MAX)?;
        let next = (found.len() == PAGE_COUNT_MAX).then(|| found.last().map(|entry| entry.name.to_string())).flatten();
        let entry = |entry: &isx_anchors::Entry| Entry {
            name: entry.name.to_string(),
            kind: match entry.kind {
                Kind::Home => EntryKind::Home,
                Kind::Mount(_) => EntryKind::Mount,
                Kind::Cell | Kind::Folder => EntryKind::Anchor,
            },
            value: tree.anchor(entry.anchor).is_some_and(|anchor| anchor.cell.is_some()),
        };
        Ok(Entries { entries: found.iter().map(entry).collect(), next })
    }

    async fn walk(&self, path: String) -> Result<AnchorStub, Error> {
        self.walked(&below(self.at, &path)?).await
    }

    async fn make(&self, name: String) -> Result<AnchorStub, Error> {
        let place = self.child(&name)?;
        match self.shared.tree(self.who.caller(), Operation::Make { place: place.clone(), public: false }).await {
            Ok(Reply::Anchor(id)) => Ok(anchor(&self.shared, self.who, id)),
            Ok(_) => Err(Error::new(Code::Fatal, "the tree made no anchor")),
            Err(error) if error.code == Code::Taken => self.walked(&place).await,
            Err(error) => Err(error),
        }
    }

    async fn get(&self) -> Result<Option<Bytes>, Error> {
        let view = self.shared.tree_view().await?;
        let value = tree_of(&view)?.get(&self.who.caller(), &self.here())?;
        Ok(value.map(|value| Bytes(value.to_vec())))
    }

    async fn set(&self, value: Option<Bytes>) -> Result<(), Error> {
        let caller = self.who.caller();
        if let Some(Bytes(value)) = value {
            return self.shared.tree(caller, Operation::Set { place: self.here(), value }).await.map(drop);
        }
        loop {
            let Some(Bytes(expected)) = self.get().await? else { return Ok(()) };
            let swap = Operation::Swap { place: self.here(), expected: Some(expected), new: None };
            if self.shared.tree(caller, swap).await? == Reply::Swapped(true) {
                return Ok(());
            }
        }
    }

    async fn swap(&self, expected: Option<Bytes>, value: Option<Bytes>) -> Result<bool, Error> {
        let (expected, new) = (expected.map(|bytes| bytes.0), value.map(|bytes| bytes.0));
        let swap = Operation::Swap { place: self.here(), expected, new };
        Ok(self.shared.tree(self.who.caller(), swap).await? == Reply::Swapped(true))
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Cell, Error>>, Error> {
        let follow = self.shared.raft.follow(TREE)?;
        let first = self.get().await?;
        let counted = self.shared.gauges.follower();
        let (who, place) = (self.who, self.here());
        let watching = Watching { follow, who, place, first: Some(first), last: None, _counted: counted };
        Ok(source::stream(watching))
    }

    async fn mount(
        &self,
        name: String,
        code: ContentHash,
        limits: MountLimits,
        session: SessionId,
    ) -> Result<ModuleStub, Error> {
        let place = self.child(&name)?;
        let binding = saga::create(&self.shared, self.who, place, code, limits, session).await?;
        Ok(administration(&self.shared, self.who, &binding))
    }

    async fn unmount(&self, name: String) -> Result<(), Error> {
        let place = self.child(&name)?;
        let caller = self.who.caller();
        let view = self.shared.tree_view().await?;
        let tree = tree_of(&view)?;
        let anchor = tree.anchor(tree.walk(&caller, &place)?);
        let unmounted = |state| state == Some(BindingState::Unmounted);
        if unmounted(anchor.and_then(|anchor| anchor.binding.as_ref()).map(|binding| binding.state)) {
            return Ok(());
        }
        self.shared.tree(caller, Operation::Unmount { place }).await.map(drop)
    }

    async fn remove(&self, name: String) -> Result<(), Error> {
        match self.remove_all(self.child(&name)?).await {
            Err(error) if error.code == Code::NotFound => Ok(()),
            other => other,
        }
    }

    async fn object(&self) -> Result<ObjectRef, Error> {
        let view = self.shared.tree_view().await?;
        let (_, binding) = tree_of(&view)?.resolve(&self.who.caller(), &self.here())?;
        Ok(mounted(&self.shared, self.who, binding))
    }

    async fn module(&self) -> Result<ModuleStub, Error> {
        self.who.owner_only("the mount's administration")?;
        let view = self.shared.tree_view().await?;
        let tree = tree_of(&view)?;
        let id = tree.walk(&self.who.caller(), &self.here())?;
        let binding = tree.anchor(id).and_then(|anchor| anchor.binding.as_ref());
        let binding = binding.ok_or_else(|| Error::new(Code::NotFound, "nothing is mounted here"))?;
        Ok(administration(&self.shared, self.who, binding))
    }
}

/// The values of one anchor.
struct Watching {
    follow: Follow,
    who: Who,
    place: Place,
    first: Option<Option<Bytes>>,
    last: Option<Option<Bytes>>,
    _counted: Follower,
}

impl Source for Watching {
    type Item = Cell;

    async fn next(&mut self) -> Option<Result<Cell, Error>> {
        if let Some(value) = self.first.take() {
            self.last = Some(value.clone());
            return Some(Ok(Cell { value }));
        }
        loop {
            let view = self.follow.next().await?.view;
            let value = tree_of(&view).and_then(|tree| tree.get(&self.who.caller(), &self.place));
            let value = match value {
                Ok(value) => value.map(|value| Bytes(value.to_vec())),
                Err(_) => return Some(Err(Error::new(Code::NotFound, "the anchor was removed"))),
            };
            if self.last.as_ref() != Some(&value) {
                self.last = Some(value.clone());
                return Some(Ok(Cell { value }));
            }
        }
    }
}
