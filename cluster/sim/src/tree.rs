//! What clients do in the tree: they read, set and swap cells, and one makes and removes mounts, step by step.
//!
//! An operation on a cell has no session: it is tried once, and one that was not answered may have happened or not. The
//! steps of a mount may be repeated, and are until they are answered.

use crate::client::{CELLS_FROM, Client, principal};
use crate::history::Action;
use crate::world::World;
use isx_anchors::{BindingState, Caller, GroupId, Name, Operation, Path, Place, Reply};
use isx_cluster::twin::Twin;
use isx_cluster::{Outcome, Request};
use isx_raft::{MOUNTS, TREE};
use isx_row::{Class, Code, Error, HomeId, Incarnation, MountId};
use std::time::Duration;

/// The home of everything here.
const HOME: &str = "home";
const CELLS: u64 = 2;

fn caller() -> Caller {
    Caller { who: principal(), trusted: true }
}

fn place(name: &str) -> Result<Place, Error> {
    Ok(Place::absolute(Path::parse(&format!("/{HOME}/{name}"))?))
}

fn tree(operation: Operation) -> Request {
    Request::Tree { caller: caller(), operation }
}

fn value(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_le_bytes)
}

impl Client {
    /// Makes the home. Repeating it is harmless.
    pub(crate) async fn make_home(&mut self) -> Result<(), Error> {
        let join = Request::Join { peer: [1; 32], home: HomeId([1; 16]), alias: Name::new(HOME)?, addresses: vec![] };
        self.insist(TREE, &join, None).await;
        Ok(())
    }

    /// Reads, sets or swaps a cell.
    pub(crate) async fn cell(&mut self) {
        let key = CELLS_FROM + self.random.below(CELLS);
        let Ok(place) = place(&format!("cell-{key}")) else { return };
        let begin = self.world.executor.now();
        let new = self.random.next();
        let found = match self.read(TREE).await {
            Some(view) => match view.tree().map(|tree| tree.get(&caller(), &place).map(|cell| cell.and_then(value))) {
                Some(Ok(found)) => found,
                _ => None,
            },
            None => return,
        };
        self.note(key, Action::Get(found), begin, true);
        let begin = self.world.executor.now();
        let (operation, action) = match self.random.below(2) {
            0 => (Operation::Set { place, value: new.to_le_bytes().to_vec() }, Action::Put(new)),
            _ => {
                let expected = found.map(|found| found.to_le_bytes().to_vec());
                let swap = Operation::Swap { place, expected, new: Some(new.to_le_bytes().to_vec()) };
                (swap, Action::Swap(found, new, None))
            }
        };
        match self.attempt(TREE, tree(operation)).await {
            Some(Ok(Outcome::Tree(Reply::Anchor(_)))) => self.note(key, action, begin, true),
            Some(Ok(Outcome::Tree(Reply::Swapped(told)))) => {
                self.note(key, Action::Swap(found, new, Some(told)), begin, true);
            }
            Some(Ok(other)) => {
                self.world.findings.report("client", format_args!("a cell was answered {other:?}"));
            }
            Some(Err(error)) if matches!(error.class(), Class::Busy | Class::Refused) => self.look_elsewhere().await,
            _ => {
                self.note(key, action, begin, false);
                self.look_elsewhere().await;
            }
        }
    }

    /// Makes and removes mounts until `end`; what is begun then may be left under way.
    pub(crate) async fn mounts(mut self, end: Duration) {
        let mut count: u128 = 0;
        while self.world.executor.now() < end {
            count += 1;
            let mount = MountId((1000 + count).to_le_bytes());
            match self.mount(mount, &format!("mount-{}", count % 3), end).await {
                Some(Ok(())) => {}
                Some(Err(wrong)) => {
                    return self.world.findings.report("mounts", format_args!("mount {count}: {wrong}"));
                }
                None => return,
            }
            let pause = self.random.range(50..600);
            self.world.sleep(Duration::from_millis(pause)).await;
        }
    }

    /// All steps of one mount's life; `None` when the end came first.
    async fn mount(&mut self, mount: MountId, name: &str, end: Duration) -> Option<Result<(), String>> {
        let Ok(place) = place(name) else { return None };
        let reserve =
            Operation::Reserve { place: place.clone(), mount, group: GroupId::MOUNTS, public: false, plan: vec![] };
        let binding = match self.insist(TREE, &tree(reserve), Some(end)).await? {
            Outcome::Tree(Reply::Binding(_, binding)) => binding,
            other => return Some(Err(format!("it was reserved: {other:?}"))),
        };
        let create = Request::CreateMount {
            mount,
            incarnation: binding.incarnation,
            module: Twin::module(2),
            creator: principal(),
        };
        match self.insist(MOUNTS, &create, Some(end)).await? {
            Outcome::Mounted { .. } => {}
            other => return Some(Err(format!("it was made: {other:?}"))),
        }
        match self.insist(TREE, &tree(Operation::Ready { mount }), Some(end)).await? {
            Outcome::Tree(Reply::Binding(_, binding)) if binding.state == BindingState::Ready => {}
            other => return Some(Err(format!("it was ready: {other:?}"))),
        }
        match self.insist(TREE, &tree(Operation::Retire { place }), Some(end)).await? {
            Outcome::Tree(Reply::Binding(..)) => {}
            other => return Some(Err(format!("it was retired: {other:?}"))),
        }
        match self.insist(MOUNTS, &Request::DropMount { mount }, Some(end)).await? {
            Outcome::Done => {}
            other => return Some(Err(format!("it was dropped: {other:?}"))),
        }
        match self.insist(TREE, &tree(Operation::Clear { mount }), Some(end)).await? {
            Outcome::Tree(_) => Some(Ok(())),
            // It was cleared, and the answer lost.
            Outcome::Refused(error) if error.code == Code::NotFound => Some(Ok(())),
            other => Some(Err(format!("it was cleared: {other:?}"))),
        }
    }
}

/// What the tree and the mounts say of each other in a world that has come together: a mount that is ready is there,
/// in the same incarnation, and a mount that is there has its path.
pub(crate) fn check(world: &World, alone: &[MountId]) {
    let Some(raft) = world.up().first().and_then(|index| world.raft(*index)) else { return };
    let (Ok(names), Ok(mounts)) = (raft.view(TREE), raft.view(MOUNTS)) else { return };
    let Some(tree) = names.tree() else { return };
    for (_, binding) in tree.bindings() {
        let there: Option<Incarnation> = mounts.mount(&binding.mount).map(|mount| mount.incarnation());
        if binding.state == BindingState::Ready && there != Some(binding.incarnation) {
            world.findings.report("mounts", format_args!("{binding:?} is ready, and there is {there:?}"));
        }
    }
    for mount in mounts.mounts().filter(|mount| !alone.contains(&mount.id())) {
        if tree.mount(&mount.id()).is_none() {
            world.findings.report("mounts", format_args!("{} has no path", mount.id()));
        }
    }
}
