//! The write side: every operation is checked first and then done, so that a refusal leaves no trace.

use crate::anchor::{Anchor, AnchorId, Binding, BindingState, Caller, Cell, GroupId};
use crate::limits::{
    ALIASES_MAX, ANCHOR_BYTES, CELL_BYTES_MAX, CHANGES_KEPT_MAX, CHILDREN_MAX, DEPTH_MAX, HOME_BYTES_MAX, HOMES_MAX,
    PLAN_BYTES_MAX,
};
use crate::operation::{Happening, Operation, Place, Reply, TreeChange};
use crate::path::Name;
use crate::record::Record;
use crate::tree::{Home, Tree, home_id, not_found};
use isx_row::{Code, Error, HomeId, Incarnation, MountId, Principal};

/// First parts of a path that are no home's.
const RESERVED_ROOT: [&str; 2] = ["self", "cluster"];
/// Names below a home that the node itself answers.
const RESERVED_HOME: [&str; 2] = ["dev", "proc"];
/// How many numbered forms of an alias are tried.
const ALIAS_TRIES_MAX: u32 = 1000;

impl Tree {
    /// Applies an operation.
    ///
    /// # Errors
    /// As [`Tree::walk`] for what the caller may not know of; `denied` for what it sees and may not change; `taken`,
    /// `conflict`, `limit` as their texts say. The tree is as it was then.
    pub fn apply(&mut self, caller: &Caller, operation: &Operation) -> Result<Reply, Error> {
        match operation {
            Operation::MakeHome { home, owner, alias } => self.make_home(caller, *home, owner, alias),
            Operation::AddAlias { home, alias } => self.add_alias(caller, *home, alias),
            Operation::DropAlias { alias } => self.drop_alias(caller, alias),
            Operation::Make { place, public } => {
                let site = self.free_site(caller, place)?;
                self.room(site.home, ANCHOR_BYTES + site.name.as_str().len() as u64)?;
                Ok(Reply::Anchor(self.grow(site, *public)))
            }
            Operation::Set { place, value } => self.set(caller, place, value),
            Operation::Swap { place, expected, new } => self.swap(caller, place, expected.as_deref(), new.as_deref()),
            Operation::Share { place, public } => {
                let id = self.writable(caller, place)?;
                if self.anchors.get(&id).is_some_and(|anchor| anchor.public != *public) {
                    self.change(id, Happening::Shared, |anchor| anchor.public = *public);
                }
                Ok(Reply::Anchor(id))
            }
            Operation::Remove { place } => self.remove(caller, place),
            Operation::Reserve { place, mount, group, public, plan } => {
                self.reserve(caller, place, *mount, *group, *public, plan)
            }
            Operation::Ready { mount } => {
                let (id, binding) = self.bound(caller, mount)?;
                match binding.state {
                    BindingState::Creating => Ok(self.turn(id, BindingState::Ready)),
                    BindingState::Ready | BindingState::Unmounted => Ok(Reply::Binding(id, binding)),
                    BindingState::Removing => Err(conflict("the mount is being removed")),
                }
            }
            Operation::Unmount { place } => {
                self.switch(caller, place, BindingState::Ready, BindingState::Unmounted, "the mount is not ready")
            }
            Operation::Attach { place } => {
                self.switch(caller, place, BindingState::Unmounted, BindingState::Ready, "the mount is not unmounted")
            }
            Operation::Retire { place } => {
                let id = self.writable(caller, place)?;
                match self.binding(id, place)? {
                    binding if binding.state == BindingState::Removing => Ok(Reply::Binding(id, binding)),
                    _ => Ok(self.turn(id, BindingState::Removing)),
                }
            }
            Operation::Clear { mount } => self.clear(caller, mount),
        }
    }

    fn make_home(&mut self, caller: &Caller, id: HomeId, owner: &[u8; 32], alias: &Name) -> Result<Reply, Error> {
        trusted(caller)?;
        if let Some(home) = self.homes.get(&id) {
            return match (home.owner == *owner, home.aliases.first()) {
                (true, Some(first)) => Ok(Reply::Home(home.anchor, first.clone())),
                _ => Err(Error::new(Code::Taken, "the home has another owner")),
            };
        }
        if self.homes.len() >= HOMES_MAX {
            return Err(limit("HOMES_MAX", HOMES_MAX));
        }
        let alias = self.free_alias(alias)?;
        let site = Site { parent: AnchorId::ROOT, name: alias.clone(), home: Some(id), owner: Some(peer(owner)) };
        let home = Home { owner: *owner, aliases: vec![alias.clone()], anchor: self.next };
        self.put_home(id, home);
        let anchor = self.grow(site, true);
        Ok(Reply::Home(anchor, alias))
    }

    /// The alias or its first free numbered form.
    fn free_alias(&self, alias: &Name) -> Result<Name, Error> {
        if self.alias_is_free(alias) {
            return Ok(alias.clone());
        }
        for number in 2..ALIAS_TRIES_MAX {
            let numbered = Name::new(&format!("{alias}-{number}"))?;
            if self.alias_is_free(&numbered) {
                return Ok(numbered);
            }
        }
        Err(Error::new(Code::Taken, format!("every form of the alias {alias} is taken")))
    }

    /// An alias must not be a reserved name, nor what could be another home's id.
    fn alias_is_free(&self, alias: &Name) -> bool {
        !RESERVED_ROOT.contains(&alias.as_str())
            && home_id(alias.as_str()).is_none()
            && self.child(AnchorId::ROOT, alias).is_none()
    }

    fn add_alias(&mut self, caller: &Caller, id: HomeId, alias: &Name) -> Result<Reply, Error> {
        trusted(caller)?;
        let mut home = self.homes.get(&id).cloned().ok_or_else(|| Error::new(Code::NotFound, "no such home"))?;
        if home.aliases.contains(alias) {
            return Ok(Reply::Home(home.anchor, alias.clone()));
        }
        if home.aliases.len() >= ALIASES_MAX {
            return Err(limit("ALIASES_MAX", ALIASES_MAX));
        }
        if !self.alias_is_free(alias) {
            return Err(Error::new(Code::Taken, format!("the alias {alias} is taken")));
        }
        home.aliases.push(alias.clone());
        let anchor = home.anchor;
        self.edges.insert((AnchorId::ROOT, Some(alias.clone())), anchor);
        self.put_home(id, home);
        self.change(anchor, Happening::Aliases, |_| ());
        Ok(Reply::Home(anchor, alias.clone()))
    }

    fn drop_alias(&mut self, caller: &Caller, alias: &Name) -> Result<Reply, Error> {
        trusted(caller)?;
        let found = self.homes.iter().find(|(_, home)| home.aliases.contains(alias));
        let Some((id, mut home)) = found.map(|(id, home)| (*id, home.clone())) else {
            return Err(Error::new(Code::NotFound, format!("no home has the alias {alias}")));
        };
        home.aliases.retain(|other| other != alias);
        let Some(first) = home.aliases.first().cloned() else {
            return Err(conflict("it is the home's last alias"));
        };
        let anchor = home.anchor;
        self.edges.remove(&(AnchorId::ROOT, Some(alias.clone())));
        self.put_home(id, home);
        self.change(anchor, Happening::Aliases, |anchor| anchor.name = Some(first));
        Ok(Reply::Done)
    }

    fn set(&mut self, caller: &Caller, place: &Place, value: &[u8]) -> Result<Reply, Error> {
        cell_fits(Some(value))?;
        let cell = Some(Cell::Data(value.into()));
        let id = match self.spot(caller, place)? {
            Spot::Taken(id) => {
                let anchor = self.anchors.get(&id).ok_or_else(|| not_found(place))?;
                let had = anchor.cell.as_ref().map_or(0, |cell| cell.bytes().len());
                self.room(anchor.home, value.len().saturating_sub(had) as u64)?;
                id
            }
            Spot::Free(site) => {
                self.room(site.home, ANCHOR_BYTES + (site.name.as_str().len() + value.len()) as u64)?;
                self.grow(site, false)
            }
        };
        self.change(id, Happening::Cell, |anchor| anchor.cell = cell);
        Ok(Reply::Anchor(id))
    }

    fn swap(
        &mut self,
        caller: &Caller,
        place: &Place,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Reply, Error> {
        cell_fits(new)?;
        let present = match self.spot(caller, place)? {
            Spot::Taken(id) => self.anchors.get(&id).and_then(|anchor| anchor.cell.as_ref()),
            Spot::Free(_) => None,
        };
        if present.map(Cell::bytes) != expected {
            return Ok(Reply::Swapped(false));
        }
        match new {
            Some(value) => {
                self.set(caller, place, value)?;
            }
            None if present.is_some() => {
                let id = self.writable(caller, place)?;
                self.change(id, Happening::Cell, |anchor| anchor.cell = None);
            }
            None => (),
        }
        Ok(Reply::Swapped(true))
    }

    fn remove(&mut self, caller: &Caller, place: &Place) -> Result<Reply, Error> {
        let id = self.writable(caller, place)?;
        let anchor = self.anchors.get(&id).ok_or_else(|| not_found(place))?;
        if anchor.parent == AnchorId::ROOT {
            return Err(Error::new(Code::Denied, "a home is not removed this way"));
        }
        if anchor.binding.is_some() {
            return Err(conflict("a mount is there"));
        }
        if anchor.children > 0 {
            return Err(conflict("names are below"));
        }
        self.fell(id);
        Ok(Reply::Done)
    }

    fn reserve(
        &mut self,
        caller: &Caller,
        place: &Place,
        mount: MountId,
        group: GroupId,
        public: bool,
        plan: &[u8],
    ) -> Result<Reply, Error> {
        if plan.len() > PLAN_BYTES_MAX {
            return Err(limit("PLAN_BYTES_MAX", PLAN_BYTES_MAX));
        }
        if group == GroupId::TREE {
            return Err(Error::new(Code::BadArguments, "no mount lives in the tree's group"));
        }
        let bound = self.mounts.get(&mount).copied();
        let spot = self.spot(caller, place)?;
        let (home, bytes) = match &spot {
            Spot::Taken(id) => {
                let anchor = self.anchors.get(id).ok_or_else(|| not_found(place))?;
                match &anchor.binding {
                    Some(binding) if binding.mount == mount && binding.group == group => {
                        return Ok(Reply::Binding(*id, binding.clone()));
                    }
                    Some(_) => return Err(Error::new(Code::Taken, format!("a mount is at {}", place.path))),
                    None if anchor.parent == AnchorId::ROOT => {
                        return Err(Error::new(Code::Denied, "a home is no mount"));
                    }
                    None => (anchor.home, plan.len() as u64),
                }
            }
            Spot::Free(site) => (site.home, ANCHOR_BYTES + (site.name.as_str().len() + plan.len()) as u64),
        };
        if bound.is_some() {
            return Err(Error::new(Code::Taken, "the mount is at another path"));
        }
        self.room(home, bytes)?;
        let id = match spot {
            Spot::Taken(id) => id,
            Spot::Free(site) => self.grow(site, public),
        };
        // The revision this change gets: no two mounts of a path share it.
        let incarnation = Incarnation(self.revision.next().0);
        let binding = Binding { mount, group, incarnation, state: BindingState::Creating, plan: plan.into() };
        self.mounts.insert(mount, id);
        self.change(id, Happening::Mount, |anchor| anchor.binding = Some(binding.clone()));
        Ok(Reply::Binding(id, binding))
    }

    /// Frees the path of a mount that its group has dropped. A mount that is bound nowhere is cleared already.
    fn clear(&mut self, caller: &Caller, mount: &MountId) -> Result<Reply, Error> {
        trusted(caller)?;
        if !self.mounts.contains_key(mount) {
            return Ok(Reply::Done);
        }
        let (id, binding) = self.bound(caller, mount)?;
        if binding.state != BindingState::Removing {
            return Err(conflict("the mount is not being removed"));
        }
        self.mounts.remove(mount);
        self.change(id, Happening::Mount, |anchor| anchor.binding = None);
        if self.anchors.get(&id).is_some_and(|anchor| anchor.children == 0 && anchor.cell.is_none()) {
            self.fell(id);
        }
        Ok(Reply::Done)
    }

    fn switch(
        &mut self,
        caller: &Caller,
        place: &Place,
        from: BindingState,
        to: BindingState,
        otherwise: &str,
    ) -> Result<Reply, Error> {
        let id = self.writable(caller, place)?;
        let binding = self.binding(id, place)?;
        match binding.state {
            state if state == to => Ok(Reply::Binding(id, binding)),
            state if state == from => Ok(self.turn(id, to)),
            _ => Err(conflict(otherwise)),
        }
    }

    /// Brings a mount into a state; the plan is needed while it is being created only.
    fn turn(&mut self, id: AnchorId, state: BindingState) -> Reply {
        self.change(id, Happening::Mount, |anchor| {
            if let Some(binding) = &mut anchor.binding {
                binding.state = state;
                binding.plan = [].into();
            }
        });
        let binding = self.anchors.get(&id).and_then(|anchor| anchor.binding.clone());
        binding.map_or(Reply::Done, |binding| Reply::Binding(id, binding))
    }

    fn bound(&self, caller: &Caller, mount: &MountId) -> Result<(AnchorId, Binding), Error> {
        trusted(caller)?;
        let (id, binding) = self.mount(mount).ok_or_else(|| Error::new(Code::NotFound, "no such mount"))?;
        Ok((id, binding.clone()))
    }

    fn binding(&self, id: AnchorId, place: &Place) -> Result<Binding, Error> {
        self.anchors.get(&id).and_then(|anchor| anchor.binding.clone()).ok_or_else(|| not_found(place))
    }

    /// An anchor that is there and that the caller may change.
    fn writable(&self, caller: &Caller, place: &Place) -> Result<AnchorId, Error> {
        let id = self.walk(caller, place)?;
        match self.anchors.get(&id) {
            Some(anchor) if id != AnchorId::ROOT && anchor.writable_by(caller) => Ok(id),
            _ => Err(Error::new(Code::Denied, format!("{} is not yours to change", place.path))),
        }
    }

    /// An anchor that the caller may change, or the free name where it may make one.
    fn spot(&self, caller: &Caller, place: &Place) -> Result<Spot, Error> {
        let missing = match self.writable(caller, place) {
            Ok(id) => return Ok(Spot::Taken(id)),
            Err(error) if error.code != Code::NotFound => return Err(error),
            Err(error) => error,
        };
        let Some((name, above)) = place.path.split_last() else { return Err(missing) };
        // Whoever may not write here learns nothing: a hidden name and a free one look alike.
        let above = Place { at: place.at, path: above };
        let Ok(parent) = self.writable(caller, &above) else { return Err(missing) };
        let Some(anchor) = self.anchors.get(&parent).filter(|_| self.child(parent, name).is_none()) else {
            return Err(missing);
        };
        if anchor.parent == AnchorId::ROOT && anchor.home.is_some() && RESERVED_HOME.contains(&name.as_str()) {
            return Err(Error::new(Code::Taken, format!("{name} is reserved below a home")));
        }
        if anchor.children >= CHILDREN_MAX {
            return Err(limit("CHILDREN_MAX", CHILDREN_MAX as usize));
        }
        if self.path(parent).is_none_or(|path| path.names().len() >= DEPTH_MAX) {
            return Err(limit("DEPTH_MAX", DEPTH_MAX));
        }
        Ok(Spot::Free(Site { parent, name: name.clone(), home: anchor.home, owner: anchor.owner }))
    }

    fn free_site(&self, caller: &Caller, place: &Place) -> Result<Site, Error> {
        match self.spot(caller, place)? {
            Spot::Free(site) => Ok(site),
            Spot::Taken(_) => Err(Error::new(Code::Taken, format!("{} is taken", place.path))),
        }
    }

    /// Whether a home has room for `more` bytes.
    fn room(&self, home: Option<HomeId>, more: u64) -> Result<(), Error> {
        let used = self.accounts.get(&home).copied().unwrap_or(0);
        if used + more > HOME_BYTES_MAX { Err(limit("HOME_BYTES_MAX", HOME_BYTES_MAX as usize)) } else { Ok(()) }
    }

    /// Makes an anchor at a free name.
    fn grow(&mut self, site: Site, public: bool) -> AnchorId {
        let id = self.next;
        self.next = AnchorId(id.0 + 1);
        self.edges.insert((site.parent, Some(site.name.clone())), id);
        if let Some(mut parent) = self.anchors.get(&site.parent).cloned() {
            parent.children += 1;
            self.put_anchor(site.parent, Some(parent));
        }
        let anchor = Anchor {
            parent: site.parent,
            name: Some(site.name),
            home: site.home,
            owner: site.owner,
            public,
            cell: None,
            binding: None,
            children: 0,
        };
        self.tell(id, &anchor, Happening::Made);
        self.put_anchor(id, Some(anchor));
        id
    }

    /// Removes an anchor that has nothing below it.
    fn fell(&mut self, id: AnchorId) {
        let Some(anchor) = self.anchors.get(&id).cloned() else { return };
        self.edges.remove(&(anchor.parent, anchor.name.clone()));
        if let Some(mut parent) = self.anchors.get(&anchor.parent).cloned() {
            parent.children = parent.children.saturating_sub(1);
            self.put_anchor(anchor.parent, Some(parent));
        }
        self.tell(id, &anchor, Happening::Removed);
        self.put_anchor(id, None);
    }

    fn change(&mut self, id: AnchorId, happening: Happening, how: impl FnOnce(&mut Anchor)) {
        let Some(mut anchor) = self.anchors.get(&id).cloned() else { return };
        how(&mut anchor);
        self.tell(id, &anchor, happening);
        self.put_anchor(id, Some(anchor));
    }

    /// Leaves a change for watchers.
    fn tell(&mut self, id: AnchorId, anchor: &Anchor, happening: Happening) {
        let Some(name) = anchor.name.clone() else { return };
        self.revision = self.revision.next();
        let (revision, parent, owner, public) = (self.revision, anchor.parent, anchor.owner, anchor.public);
        let change = TreeChange { revision, anchor: id, parent, name, owner, public, happening };
        self.sum.add(&Record::Change(change.clone()).bytes());
        self.changes.insert(revision, change);
        if self.changes.len() > CHANGES_KEPT_MAX
            && let Some((oldest, change)) = self.changes.get_min().cloned()
        {
            self.sum.remove(&Record::Change(change).bytes());
            self.changes.remove(&oldest);
        }
    }

    /// Puts an anchor in place or away, keeping hash and account.
    pub(crate) fn put_anchor(&mut self, id: AnchorId, new: Option<Anchor>) {
        if let Some(old) = self.anchors.remove(&id) {
            self.charge(&old, false);
            self.sum.remove(&Record::Anchor(id, old).bytes());
        }
        if let Some(new) = new {
            self.charge(&new, true);
            self.sum.add(&Record::Anchor(id, new.clone()).bytes());
            self.anchors.insert(id, new);
        }
    }

    /// Puts a home in place, keeping the hash.
    pub(crate) fn put_home(&mut self, id: HomeId, new: Home) {
        if let Some(old) = self.homes.remove(&id) {
            self.sum.remove(&Record::Home(id, old).bytes());
        }
        self.sum.add(&Record::Home(id, new.clone()).bytes());
        self.homes.insert(id, new);
    }

    fn charge(&mut self, anchor: &Anchor, more: bool) {
        let account = self.accounts.entry(anchor.home).or_insert(0);
        *account = if more { *account + anchor.cost() } else { account.saturating_sub(anchor.cost()) };
    }
}

/// What is where a caller wants to write.
enum Spot {
    Taken(AnchorId),
    Free(Site),
}

/// A free name where an anchor may be made, and what the anchor inherits.
struct Site {
    parent: AnchorId,
    name: Name,
    home: Option<HomeId>,
    owner: Option<Principal>,
}

fn peer(key: &[u8; 32]) -> Principal {
    Principal::of_peer(key)
}

fn trusted(caller: &Caller) -> Result<(), Error> {
    if caller.trusted { Ok(()) } else { Err(Error::new(Code::Denied, "the cluster alone does this")) }
}

fn cell_fits(value: Option<&[u8]>) -> Result<(), Error> {
    match value {
        Some(value) if value.len() > CELL_BYTES_MAX => Err(limit("CELL_BYTES_MAX", CELL_BYTES_MAX)),
        _ => Ok(()),
    }
}

fn limit(name: &str, value: usize) -> Error {
    Error::new(Code::Limit, format!("over {name} = {value}"))
}

fn conflict(text: &str) -> Error {
    Error::new(Code::Conflict, text)
}
