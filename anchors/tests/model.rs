//! The tree against a naive model: a map from paths to what stands there.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use isx_anchors::wire::Wire;
use isx_anchors::{
    AnchorId, BindingState, Caller, EntryKind, GroupId, Name, Operation, Path, Place, Reply, Tree, TreeRestore,
    TreeResume,
};
use isx_row::{Code, HomeId, MountId, Principal, Revision};
use proptest::prelude::*;
use std::collections::BTreeMap;

const OWNERS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

#[derive(Clone, Debug, PartialEq)]
struct Spot {
    owner: Option<Principal>,
    public: bool,
    cell: Option<Vec<u8>>,
    mount: Option<(MountId, BindingState)>,
}

/// Paths as lists of names; the root is the empty one.
#[derive(Clone, Debug, PartialEq)]
struct Model(BTreeMap<Vec<String>, Spot>);

impl Model {
    fn new() -> Self {
        let spot = Spot { owner: None, public: true, cell: None, mount: None };
        Self(BTreeMap::from([(vec![], spot.clone()), (vec!["cluster".into()], spot)]))
    }

    fn sees(&self, caller: &Caller, path: &[String]) -> bool {
        (1..=path.len()).all(|end| {
            self.0.get(&path[..end]).is_some_and(|spot| spot.public || caller.trusted || spot.owner == Some(caller.who))
        })
    }

    fn may_write(&self, caller: &Caller, path: &[String]) -> Result<(), Code> {
        match self.0.get(path) {
            Some(spot) if self.sees(caller, path) => {
                let may = !path.is_empty() && (caller.trusted || spot.owner == Some(caller.who));
                if may { Ok(()) } else { Err(Code::Denied) }
            }
            _ => Err(Code::NotFound),
        }
    }

    /// Makes the spot if it is free and may be made.
    fn reach(&mut self, caller: &Caller, path: &[String], public: bool) -> Result<bool, Code> {
        match self.may_write(caller, path) {
            Ok(()) => return Ok(false),
            Err(Code::NotFound) => (),
            Err(code) => return Err(code),
        }
        let (name, above) = path.split_last().ok_or(Code::NotFound)?;
        if self.may_write(caller, above).is_err() || self.0.contains_key(path) {
            return Err(Code::NotFound);
        }
        if above.len() == 1 && above[0] != "cluster" && (name == "dev" || name == "proc") {
            return Err(Code::Taken);
        }
        let owner = self.0[above].owner;
        self.0.insert(path.to_vec(), Spot { owner, public, cell: None, mount: None });
        Ok(true)
    }

    fn of_mount(&self, mount: &MountId) -> Option<Vec<String>> {
        let found = self.0.iter().find(|(_, spot)| spot.mount.is_some_and(|(id, _)| id == *mount));
        found.map(|(path, _)| path.clone())
    }

    fn has_below(&self, path: &[String]) -> bool {
        self.0.keys().any(|other| other.len() > path.len() && other.starts_with(path))
    }

    /// Applies an operation to a copy, so that a refusal leaves no trace; answers whether a swap happened.
    fn apply(&mut self, caller: &Caller, operation: &Operation) -> Result<bool, Code> {
        let mut next = self.clone();
        let done = next.change(caller, operation)?;
        *self = next;
        Ok(done)
    }

    fn change(&mut self, caller: &Caller, operation: &Operation) -> Result<bool, Code> {
        let path = |place: &Place| place.path.names().iter().map(Name::to_string).collect::<Vec<_>>();
        match operation {
            Operation::Make { place, public } => match self.reach(caller, &path(place), *public)? {
                true => Ok(true),
                false => Err(Code::Taken),
            },
            Operation::Set { place, value } => {
                self.reach(caller, &path(place), false)?;
                self.spot(&path(place)).cell = Some(value.clone());
                Ok(true)
            }
            Operation::Swap { place, expected, new } => {
                let made = self.reach(caller, &path(place), false)?;
                let swaps = self.spot(&path(place)).cell == *expected;
                if swaps && new.is_some() {
                    self.spot(&path(place)).cell = new.clone();
                } else if made {
                    self.0.remove(&path(place));
                } else if swaps {
                    self.spot(&path(place)).cell = None;
                }
                Ok(swaps)
            }
            Operation::Share { place, public } => {
                self.may_write(caller, &path(place))?;
                self.spot(&path(place)).public = *public;
                Ok(true)
            }
            Operation::Remove { place } => {
                let path = path(place);
                self.may_write(caller, &path)?;
                if path.len() == 1 {
                    return Err(Code::Denied);
                }
                if self.spot(&path).mount.is_some() || self.has_below(&path) {
                    return Err(Code::Conflict);
                }
                self.0.remove(&path);
                Ok(true)
            }
            Operation::Reserve { place, mount, public, .. } => {
                let path = path(place);
                let elsewhere = self.of_mount(mount).is_some_and(|other| other != path);
                self.reach(caller, &path, *public)?;
                match self.spot(&path).mount {
                    Some((there, _)) if there == *mount => return Ok(true),
                    Some(_) => return Err(Code::Taken),
                    None if path.len() == 1 => return Err(Code::Denied),
                    None if elsewhere => return Err(Code::Taken),
                    None => self.spot(&path).mount = Some((*mount, BindingState::Creating)),
                }
                Ok(true)
            }
            Operation::Ready { mount } => {
                self.trusted(caller)?;
                let path = self.of_mount(mount).ok_or(Code::NotFound)?;
                self.turn(&path, |state| match state {
                    BindingState::Creating => Some(BindingState::Ready),
                    BindingState::Removing => None,
                    other => Some(other),
                })
            }
            Operation::Unmount { place } => {
                self.may_write(caller, &path(place))?;
                self.turn(&path(place), |state| match state {
                    BindingState::Ready | BindingState::Unmounted => Some(BindingState::Unmounted),
                    _ => None,
                })
            }
            Operation::Attach { place } => {
                self.may_write(caller, &path(place))?;
                self.turn(&path(place), |state| match state {
                    BindingState::Ready | BindingState::Unmounted => Some(BindingState::Ready),
                    _ => None,
                })
            }
            Operation::Retire { place } => {
                self.may_write(caller, &path(place))?;
                self.turn(&path(place), |_| Some(BindingState::Removing))
            }
            Operation::Clear { mount } => {
                self.trusted(caller)?;
                let Some(path) = self.of_mount(mount) else { return Ok(true) };
                if self.spot(&path).mount != Some((*mount, BindingState::Removing)) {
                    return Err(Code::Conflict);
                }
                self.spot(&path).mount = None;
                if self.spot(&path).cell.is_none() && !self.has_below(&path) {
                    self.0.remove(&path);
                }
                Ok(true)
            }
            Operation::MakeHome { owner, alias, .. } => {
                self.trusted(caller)?;
                let owner = Some(Principal::of_peer(owner));
                let spot = Spot { owner, public: true, cell: None, mount: None };
                self.0.entry(vec![alias.to_string()]).or_insert(spot);
                Ok(true)
            }
            Operation::AddAlias { .. } | Operation::DropAlias { .. } => unreachable!("not generated"),
        }
    }

    fn spot(&mut self, path: &[String]) -> &mut Spot {
        self.0.get_mut(path).expect("it was reached")
    }

    fn trusted(&self, caller: &Caller) -> Result<(), Code> {
        if caller.trusted { Ok(()) } else { Err(Code::Denied) }
    }

    fn turn(&mut self, path: &[String], to: fn(BindingState) -> Option<BindingState>) -> Result<bool, Code> {
        let (mount, state) = self.spot(path).mount.ok_or(Code::NotFound)?;
        self.spot(path).mount = Some((mount, to(state).ok_or(Code::Conflict)?));
        Ok(true)
    }
}

fn cluster() -> Caller {
    Caller { who: Principal::anonymous(), trusted: true }
}

fn stranger() -> Caller {
    Caller { who: Principal::anonymous(), trusted: false }
}

fn caller() -> impl Strategy<Value = Caller> {
    let owner = |n: usize| Caller { who: Principal::of_peer(&OWNERS[n]), trusted: false };
    prop_oneof![3 => Just(cluster()), 4 => Just(owner(0)), 2 => Just(owner(1)), 1 => Just(stranger())]
}

fn home(n: usize) -> Operation {
    let alias = Name::new(["alpha", "beta"][n]).unwrap();
    Operation::MakeHome { home: HomeId([n as u8 + 1; 16]), owner: OWNERS[n], alias }
}

fn place() -> impl Strategy<Value = Place> {
    let first = prop_oneof![5 => Just("alpha"), 2 => Just("beta"), 1 => Just("cluster"), 1 => Just("nobody")];
    let rest = prop::collection::vec(prop_oneof![4 => Just("x"), 4 => Just("y"), 1 => Just("dev")], 0..4);
    (first, rest, 0..20_u8).prop_map(|(first, rest, root)| {
        let text = if root == 0 { String::new() } else { format!("/{first}/{}", rest.join("/")) };
        Place::absolute(Path::parse(text.trim_end_matches('/')).unwrap())
    })
}

/// Places below a home that nothing is at yet.
fn private() -> impl Strategy<Value = Place> {
    prop::sample::select(vec!["/alpha/x", "/alpha/y", "/beta/x"])
        .prop_map(|text| Place::absolute(Path::parse(text).unwrap()))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..2_u8, 0..2)
}

fn operation() -> impl Strategy<Value = Operation> {
    let mount = || (1..4_u8).prop_map(|n| MountId([n; 16]));
    let maybe = || prop::option::of(value());
    prop_oneof![
        1 => (0..2_usize).prop_map(home),
        4 => (place(), any::<bool>()).prop_map(|(place, public)| Operation::Make { place, public }),
        4 => (place(), value()).prop_map(|(place, value)| Operation::Set { place, value }),
        4 => (place(), maybe(), maybe()).prop_map(|(place, expected, new)| Operation::Swap { place, expected, new }),
        2 => (place(), any::<bool>()).prop_map(|(place, public)| Operation::Share { place, public }),
        3 => place().prop_map(|place| Operation::Remove { place }),
        5 => (place(), mount(), any::<bool>()).prop_map(|(place, mount, public)| Operation::Reserve {
            place, mount, group: GroupId::MOUNTS, public, plan: vec![1],
        }),
        3 => mount().prop_map(|mount| Operation::Ready { mount }),
        2 => place().prop_map(|place| Operation::Unmount { place }),
        2 => place().prop_map(|place| Operation::Attach { place }),
        3 => place().prop_map(|place| Operation::Retire { place }),
        3 => mount().prop_map(|mount| Operation::Clear { mount }),
    ]
}

/// What a caller finds by walking everything from the root.
fn found(tree: &Tree, caller: &Caller) -> BTreeMap<Vec<String>, Spot> {
    let mut found = BTreeMap::new();
    let mut open = vec![(AnchorId::ROOT, vec![])];
    while let Some((at, path)) = open.pop() {
        let anchor = tree.anchor(at).unwrap();
        let cell = tree.get(caller, &Place { at, path: Path::default() }).unwrap().map(<[u8]>::to_vec);
        let mount = anchor.binding.as_ref().map(|binding| (binding.mount, binding.state));
        found.insert(path.clone(), Spot { owner: anchor.owner, public: anchor.public, cell, mount });
        let mut after = None;
        loop {
            let page = tree.ls(caller, &Place { at, path: Path::default() }, after.as_ref(), 1).unwrap();
            let Some(entry) = page.into_iter().next() else { break };
            assert_eq!(entry.kind == EntryKind::Home, path.is_empty() && entry.name.as_str() != "cluster");
            let below = [path.clone(), vec![entry.name.to_string()]].concat();
            open.push((entry.anchor, below));
            after = Some(entry.name);
        }
    }
    found
}

fn restored(tree: &Tree) -> Tree {
    let mut restore = TreeRestore::default();
    tree.records().for_each(|record| restore.put(&record).unwrap());
    restore.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn tree_is_the_model(operations in prop::collection::vec((caller(), operation()), 1..80)) {
        let (mut tree, mut model) = (Tree::default(), Model::new());
        for n in 0..2 {
            tree.apply(&cluster(), &home(n)).unwrap();
            model.apply(&cluster(), &home(n)).unwrap();
        }
        for (caller, operation) in &operations {
            let before = tree.state_hash();
            let expected = model.apply(caller, operation);
            let reply = tree.apply(caller, operation);
            let swapped = reply.as_ref().map(|reply| *reply != Reply::Swapped(false)).map_err(|error| error.code);
            prop_assert_eq!(swapped, expected, "{:?}", operation);
            if reply.is_err() {
                prop_assert_eq!(tree.state_hash(), before);
            }
            let step = matches!(operation, Operation::Reserve { .. } | Operation::Ready { .. } | Operation::Clear { .. }
                | Operation::Retire { .. } | Operation::Unmount { .. } | Operation::Attach { .. });
            // Clearing may remove the anchor it cleared; every other step answers the same.
            if step && reply.is_ok() {
                let after = tree.state_hash();
                prop_assert_eq!(tree.apply(caller, operation), reply);
                prop_assert_eq!(tree.state_hash(), after);
            }
        }
        prop_assert_eq!(found(&tree, &cluster()), model.0.clone());
        let seen: BTreeMap<_, _> = model.0.iter().filter(|(path, _)| model.sees(&stranger(), path))
            .map(|(path, spot)| (path.clone(), spot.clone())).collect();
        prop_assert_eq!(found(&tree, &stranger()), seen);

        let again = restored(&tree);
        prop_assert_eq!(again.state_hash(), tree.state_hash());
        prop_assert_eq!(found(&again, &cluster()), model.0);
        let revisions: Vec<u64> = tree.log_after(Revision(0)).map(|change| change.revision.0).collect();
        prop_assert_eq!(revisions, (1..=tree.revision().0).collect::<Vec<_>>());
    }

    #[test]
    fn denied_and_missing_look_alike(operation in operation(), hidden in private(), extra in any::<bool>()) {
        // Two trees, in one of which an owner has something private: a stranger can not tell them apart.
        let mut without = Tree::default();
        (0..2).for_each(|n| drop(without.apply(&cluster(), &home(n)).unwrap()));
        let mut with = without.clone();
        let private = Operation::Set { place: hidden.clone(), value: vec![1] };
        with.apply(&cluster(), &private).unwrap();
        if extra {
            let below = hidden.path.clone().join(Name::new("x").unwrap()).unwrap();
            with.apply(&cluster(), &Operation::Make { place: Place::absolute(below), public: true }).unwrap();
        }
        prop_assert_eq!(found(&with, &stranger()), found(&without, &stranger()));
        for place in [hidden.clone(), Place::absolute(hidden.path.join(Name::new("x").unwrap()).unwrap())] {
            prop_assert_eq!(with.walk(&stranger(), &place), without.walk(&stranger(), &place));
            prop_assert_eq!(with.get(&stranger(), &place), without.get(&stranger(), &place));
        }
        prop_assert_eq!(with.apply(&stranger(), &operation), without.apply(&stranger(), &operation));
    }

    #[test]
    fn hostile_bytes(operations in prop::collection::vec((caller(), operation()), 1..30),
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut tree = Tree::default();
        (0..2).for_each(|n| drop(tree.apply(&cluster(), &home(n)).unwrap()));
        for (caller, operation) in &operations {
            let mut bytes = operation.to_wire();
            prop_assert_eq!(&Operation::from_wire(&bytes).unwrap(), operation);
            let place = at.index(bytes.len());
            bytes[place] = byte;
            if let Ok(other) = Operation::from_wire(&bytes) {
                prop_assert_eq!(other.to_wire(), bytes);
            }
            let _ = tree.apply(caller, operation);
        }
        let mut records: Vec<_> = tree.records().collect();
        let which = which.index(records.len());
        let record = &mut records[which];
        let place = at.index(record.len());
        record[place] = byte;
        let mut restore = TreeRestore::default();
        if records.iter().all(|record| restore.put(record).is_ok()) && let Ok(other) = restore.finish() {
            // Whatever it is, it is a tree.
            found(&other, &cluster());
            prop_assert_eq!(restored(&other).state_hash(), other.state_hash());
        }
    }
}

/// The names of the changes that a caller is told of below a place.
fn told(tree: &Tree, caller: &Caller, path: &str, after: u64) -> String {
    match tree.changes_after(caller, &Place::absolute(Path::parse(path).unwrap()), Revision(after)).unwrap() {
        TreeResume::Continue { changes, through } => {
            let names: Vec<_> = changes.iter().map(|c| format!("{} {:?}", c.name, c.happening)).collect();
            format!("{} through {through}", names.join(", "))
        }
        TreeResume::Reset(revision) => format!("reset at {revision}"),
        TreeResume::Ahead(revision) => format!("ahead of {revision}"),
    }
}

#[test]
fn watching() {
    let mut tree = Tree::default();
    tree.apply(&cluster(), &home(0)).unwrap();
    let at = |path: &str| Place::absolute(Path::parse(path).unwrap());
    let make = |path: &str, public| Operation::Make { place: at(path), public };
    tree.apply(&cluster(), &make("/alpha/open", true)).unwrap();
    tree.apply(&cluster(), &make("/alpha/shut", false)).unwrap();
    tree.apply(&cluster(), &make("/alpha/shut/in", true)).unwrap();
    tree.apply(&cluster(), &Operation::Set { place: at("/alpha/open"), value: vec![] }).unwrap();
    assert_eq!(told(&tree, &cluster(), "/", 0), "alpha Made, open Made, shut Made, in Made, open Cell through 5");
    assert_eq!(told(&tree, &stranger(), "/", 0), "alpha Made, open Made, open Cell through 5");
    assert_eq!(told(&tree, &stranger(), "/alpha/open", 2), "open Cell through 5");
    assert_eq!(told(&tree, &cluster(), "/alpha/shut", 3), "in Made through 5");
    assert_eq!(told(&tree, &cluster(), "/", 5), " through 5");
    assert_eq!(told(&tree, &cluster(), "/", 6), "ahead of 5");
    for n in 0..4096_u32 {
        let set = Operation::Set { place: at("/alpha/open"), value: n.to_le_bytes().to_vec() };
        tree.apply(&cluster(), &set).unwrap();
    }
    assert_eq!(told(&tree, &cluster(), "/", 4), "reset at 4101");
    assert!(told(&tree, &cluster(), "/", 5).ends_with("through 261"));
    assert_eq!(restored(&tree).state_hash(), tree.state_hash());
}

#[test]
fn aliases() {
    let mut tree = Tree::default();
    let mut shown = |operation: &Operation| match tree.apply(&cluster(), operation) {
        Ok(Reply::Home(_, alias)) => alias.to_string(),
        Ok(reply) => format!("{reply:?}"),
        Err(error) => error.to_string(),
    };
    let name = |text: &str| Name::new(text).unwrap();
    let make = |n: u8, alias: &str| Operation::MakeHome { home: HomeId([n; 16]), owner: [n; 32], alias: name(alias) };
    assert_eq!(shown(&make(1, "host")), "host");
    assert_eq!(shown(&make(2, "host")), "host-2");
    assert_eq!(shown(&make(3, "cluster")), "cluster-2");
    assert_eq!(shown(&make(4, "self")), "self-2");
    assert_eq!(shown(&make(1, "other")), "host");
    let add = |n: u8, alias: &str| Operation::AddAlias { home: HomeId([n; 16]), alias: name(alias) };
    let last = |alias: &str| Operation::DropAlias { alias: name(alias) };
    assert_eq!(shown(&add(1, "host-2")), "taken: the alias host-2 is taken");
    assert_eq!(shown(&add(1, &"02".repeat(16))), format!("taken: the alias {} is taken", "02".repeat(16)));
    assert_eq!(shown(&add(1, "desk")), "desk");
    assert_eq!(shown(&last("host")), "Done");
    assert_eq!(shown(&last("desk")), "conflict: it is the home's last alias");
    let walk = |text: &str| tree.walk(&stranger(), &Place::absolute(Path::parse(text).unwrap()));
    assert_eq!(walk(&"01".repeat(16)), walk("desk"));
    assert_eq!(tree.path(walk("desk").unwrap()).unwrap().to_string(), "/desk");
    assert!(walk("host").is_err());
    assert_eq!(restored(&tree).state_hash(), tree.state_hash());
}

#[test]
fn bounds() {
    let mut tree = Tree::default();
    tree.apply(&cluster(), &home(0)).unwrap();
    let place = |path: &str| Place::absolute(Path::parse(path).unwrap());
    let mut shown = |operation: Operation| match tree.apply(&cluster(), &operation) {
        Ok(_) => "done".to_owned(),
        Err(error) => error.to_string(),
    };
    let set = |path: &str, bytes: usize| Operation::Set { place: place(path), value: vec![0; bytes] };
    assert_eq!(shown(set("/alpha/a", 65_536)), "done");
    assert_eq!(shown(set("/alpha/a", 65_537)), "limit: over CELL_BYTES_MAX = 65536");
    assert_eq!(shown(set("/alpha/dev", 1)), "taken: dev is reserved below a home");
    assert_eq!(shown(set("/alpha/a/dev", 1)), "done");
    assert_eq!(shown(set("/self", 1)), "not_found: /self is not found");
    // A home's bytes: a thousand cells of the largest size and what they cost beside.
    let full = (0..2000).find(|n| shown(set(&format!("/alpha/{n}"), 65_536)) != "done").unwrap();
    assert!((1000..1024).contains(&full), "{full}");
    assert_eq!(shown(set("/alpha/last", 65_536)), "limit: over HOME_BYTES_MAX = 67108864");
    assert_eq!(shown(Operation::Remove { place: place("/alpha/0") }), "done");
    assert_eq!(shown(set("/alpha/last", 65_000)), "done");
    // Depth, reached in steps from anchors on the way.
    let deep = "/alpha".to_owned() + &"/d".repeat(15);
    for end in 2..=16 {
        let path: Vec<_> = deep.split('/').take(end + 1).collect();
        assert_eq!(shown(set(&path.join("/"), 0)), "done");
    }
    let bottom = tree.walk(&cluster(), &place(&deep)).unwrap();
    let below = Place { at: bottom, path: Path::parse("x").unwrap() };
    let error = tree.apply(&cluster(), &Operation::Make { place: below.clone(), public: true }).unwrap_err();
    assert_eq!(error.to_string(), "limit: over DEPTH_MAX = 16");
    // Who holds an anchor reaches what is below, and learns that it is gone.
    tree.apply(&cluster(), &Operation::Remove { place: place(&deep) }).unwrap();
    assert_eq!(tree.walk(&cluster(), &below).unwrap_err().code, Code::Gone);
    for n in 0..4096 {
        let made = Operation::Make { place: place(&format!("/cluster/{n}")), public: true };
        tree.apply(&cluster(), &made).unwrap();
    }
    let error = tree.apply(&cluster(), &Operation::Make { place: place("/cluster/more"), public: true }).unwrap_err();
    assert_eq!(error.to_string(), "limit: over CHILDREN_MAX = 4096");
}

#[test]
fn records_that_go_in_a_circle() {
    let mut tree = Tree::default();
    let place = |path: &str| Place::absolute(Path::parse(path).unwrap());
    for path in ["/cluster/a", "/cluster/a/b"] {
        tree.apply(&cluster(), &Operation::Make { place: place(path), public: true }).unwrap();
    }
    let mut records: Vec<_> = tree.records().collect();
    // The record of `a`: tag, id, kind, parent. It is put below `b`, which is below it.
    let (a, b) = (2_u64, 3_u64);
    let record = records.iter_mut().find(|record| record[0] == 3 && record[1..9] == a.to_le_bytes()).unwrap();
    record[10..18].copy_from_slice(&b.to_le_bytes());
    let mut restore = TreeRestore::default();
    records.iter().for_each(|record| restore.put(record).unwrap());
    assert!(restore.finish().is_err());
}
