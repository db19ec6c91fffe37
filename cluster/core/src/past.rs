//! The past: a machine that applies entries a second time, to be at a revision again, or to tell who did what.
//!
//! Requests are applied one by one, each as an entry of its own, which ends in the same state: so each is told apart, and
//! the way can be broken off between any two. Of a request that commits twice the state between is caught, too.

use crate::apply::{Engine, Run, check};
use crate::entry::{Entry, Mode};
use crate::group::{Content, Group};
use crate::machine::{Applied, Hold, Machine};
use crate::mount::Mount;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::ring::Transaction;
use crate::timers::hook_on;
use crate::view::View;
use isx_row::schema::Hook;
use isx_row::{MountId, Principal, Revision, Time};
use isx_store::Executor;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where the way through the past ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// After the transaction that committed this revision of a mount, or before any if the machine is there already.
    Revision(MountId, Revision),
    /// Before the first entry of a later log time.
    Time(Time),
    /// Nowhere.
    Never,
}

/// A machine on its way through entries that were applied before.
#[derive(Clone, Debug)]
pub struct Past {
    machine: Machine,
    /// The index of the last entry begun, and how many of its requests are applied.
    done: (u64, usize),
    /// Calls that were passed over: (index, position).
    skips: BTreeSet<(u64, u32)>,
}

/// What one request did to one mount.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The mount.
    pub mount: MountId,
    /// Its revision after it; of what committed nothing, the one before.
    pub revision: Revision,
    /// Log time.
    pub time: Time,
    /// What kind of request it was.
    pub kind: StepKind,
    /// The reducer or hook that ran; empty where none did.
    pub name: String,
    /// On whose behalf.
    pub principal: Principal,
    /// Tells the calls of one cause apart from others; zero where no call did it.
    pub trace: [u8; 16],
    /// Whether it committed; if not, what it was answered says why.
    pub committed: bool,
    /// What it was answered.
    pub outcome: Outcome,
    /// The rows it changed, if there are any.
    pub transaction: Option<Arc<Transaction>>,
}

/// What kind of request a step is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// A call of a reducer.
    Call,
    /// The mount was made.
    Create,
    /// The mount got another module.
    Upgrade,
    /// A schedule or a row was due.
    Timer,
    /// A session came.
    Connect,
    /// A session went.
    Disconnect,
    /// A message of another mount came, or one that was sent to it was answered.
    Message,
}

/// What is known of a request before it is applied.
struct Origin {
    mount: MountId,
    kind: StepKind,
    name: String,
    principal: Principal,
    trace: [u8; 16],
}

/// Catches a mount at a revision that a request passes.
pub(crate) struct Watch {
    mount: MountId,
    revision: Revision,
    caught: Option<Mount>,
}

impl Watch {
    /// Looks at a mount that has just committed.
    pub(crate) fn see(&mut self, mount: &Mount) {
        if (mount.id, mount.revision) == (self.mount, self.revision) {
            self.caught = Some(mount.clone());
        }
    }
}

impl Past {
    /// Begins where a machine is.
    pub fn new(machine: Machine) -> Self {
        let done = (machine.group.applied, usize::MAX);
        Self { machine, done, skips: BTreeSet::new() }
    }

    /// Notes that a call was passed over, before its entry comes: see [`Machine::skip`].
    pub fn skip(&mut self, index: u64, position: u32) {
        self.skips.insert((index, position));
    }

    /// The index of the first entry to be applied: one that was begun is given again, and goes on where it stands.
    pub fn wants(&self) -> u64 {
        match self.done {
            (index, usize::MAX) => index.saturating_add(1),
            (index, _) => index,
        }
    }

    /// Passes over indexes whose entries are not the machine's.
    pub fn pass(&mut self, index: u64) {
        self.done = self.done.max((index, usize::MAX));
    }

    /// The version that was reached. Inside an entry its index counts as applied.
    pub fn view(&self) -> View {
        self.machine.view()
    }

    /// Applies an entry up to the goal, and gives the steps of it to `tell`; the version of the goal, if it is reached.
    /// Entries before [`Past::wants`] are passed over.
    ///
    /// # Errors
    /// [`Hold`] as [`Machine::apply`]: what comes after can not be reached here and now.
    pub fn apply(
        &mut self,
        index: u64,
        entry: &Entry,
        executor: &dyn Executor,
        goal: Goal,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Option<View>, Hold> {
        if index < self.wants() {
            return Ok(None);
        }
        if let Goal::Time(time) = goal
            && self.machine.group.time.max(entry.header.time) > time
        {
            return Ok(Some(self.view()));
        }
        let begun = if self.done.0 == index { self.done.1 } else { 0 };
        for (position, record) in entry.records.iter().enumerate().skip(begun) {
            if let Some(view) = self.reached(goal) {
                return Ok(Some(view));
            }
            let one = Entry { records: vec![record.clone()], ..*entry };
            let caught = self.apply_one((index, position), &one, executor, goal, tell)?;
            self.done = (index, position + 1);
            if let Some(mount) = caught {
                let mut group = self.machine.group.clone();
                if let Content::Mounts(mounts) = &mut group.content {
                    mounts.put(mount);
                }
                return Ok(Some(View::new(group)));
            }
        }
        self.done = (index, usize::MAX);
        Ok(self.reached(goal))
    }

    /// The version here, if the goal is reached by it.
    pub fn reached(&self, goal: Goal) -> Option<View> {
        let Goal::Revision(mount, revision) = goal else { return None };
        let at = self.machine.group.mount(&mount)?.revision;
        (at == revision).then(|| self.view())
    }

    /// Applies an entry of one request; the mount of the goal if it was there in between, and is not now.
    fn apply_one(
        &mut self,
        (index, position): (u64, usize),
        one: &Entry,
        executor: &dyn Executor,
        goal: Goal,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Option<Mount>, Hold> {
        let group = &mut self.machine.group;
        // The pieces of an entry have its index, one after the other.
        group.applied = group.applied.min(index.saturating_sub(1));
        check(group, index, one, executor)?;
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        let skips = if self.skips.contains(&(index, position)) { [(index, 0)].into() } else { BTreeSet::new() };
        let engine = match one.mode {
            Mode::Calls => Engine::Execute(executor),
            Mode::Effects => Engine::Install,
        };
        let before = group.clone();
        let request = one.records.first().map(|record| &record.request);
        let origin = request.and_then(|request| origin(&before, request, one.header.time));
        let mut watch = match goal {
            Goal::Revision(mount, revision) => Some(Watch { mount, revision, caught: None }),
            Goal::Time(_) | Goal::Never => None,
        };
        let mut run = Run::new(index, one, &skips, engine, self.machine.planted);
        run.watch = watch.as_mut();
        match run.apply(group).map(|(applied, _)| applied) {
            Ok(applied) => {
                steps(&before, origin, applied).into_iter().for_each(tell);
                let passed = |watch: &Watch| group.mount(&watch.mount).is_some_and(|at| at.revision != watch.revision);
                Ok(watch.filter(passed).and_then(|watch| watch.caught))
            }
            Err(hold) => {
                *group = before;
                Err(hold)
            }
        }
    }
}

/// Who asks for what of which mount.
fn origin(group: &Group, request: &Request, time: Time) -> Option<Origin> {
    let of = |id: &MountId, kind, hook: Option<&Hook>| {
        let mount = group.mount(id)?;
        let name = hook.and_then(|hook| hook_on(mount.database.schema(), hook)).map(|(name, _)| name.to_owned());
        let (name, principal) = (name.unwrap_or_default(), mount.creator);
        Some(Origin { mount: *id, kind, name, principal, trace: [0; 16] })
    };
    match request {
        Request::Call(call) => Some(Origin {
            mount: call.mount,
            kind: StepKind::Call,
            name: call.name.clone(),
            principal: call.principal,
            trace: call.trace,
        }),
        Request::CreateMount { mount, creator, .. } => Some(Origin {
            mount: *mount,
            kind: StepKind::Create,
            name: String::new(),
            principal: *creator,
            trace: [0; 16],
        }),
        Request::Upgrade { mount, .. } | Request::Migrate { mount, .. } => of(mount, StepKind::Upgrade, None),
        Request::Connect { mount, principal, .. } => {
            let origin = of(mount, StepKind::Connect, Some(&Hook::Connect))?;
            Some(Origin { principal: *principal, ..origin })
        }
        Request::Disconnect { mount, session } => {
            let origin = of(mount, StepKind::Disconnect, Some(&Hook::Disconnect))?;
            let connected = group.mount(mount)?.presence.get(*session);
            Some(Origin { principal: connected.map_or(origin.principal, |connected| connected.principal), ..origin })
        }
        Request::Fire { mount } => {
            let origin = of(mount, StepKind::Timer, None)?;
            let Mount { timetable, timers, database, .. } = &**group.mount(mount)?;
            let time = group.time.max(time);
            let firing = timetable.first(timers, database, time, crate::planted::Planted::NONE)?;
            Some(Origin { name: firing.hook, ..origin })
        }
        Request::Deliver { from, to, message, .. } => {
            let origin = of(to, StepKind::Message, None)?;
            Some(Origin { name: message.name.clone(), principal: Principal::of_mount(from), ..origin })
        }
        Request::Settle { mount, to, .. } => {
            let origin = of(mount, StepKind::Message, None)?;
            Some(Origin { principal: Principal::of_mount(to), ..origin })
        }
        _ => None,
    }
}

/// What an entry of one request did: a step a revision that it committed, or one of what committed nothing.
fn steps(before: &Group, origin: Option<Origin>, applied: Applied) -> Vec<Step> {
    let Some(origin) = origin else { return Vec::new() };
    let Applied { time, outcomes, effects, .. } = applied;
    let outcome = outcomes.into_iter().next().unwrap_or(Outcome::Done);
    let at = |mount: &MountId| before.mount(mount).map_or(Revision(0), |mount| mount.revision);
    let step = |mount, revision, committed, transaction| Step {
        mount,
        revision,
        time,
        kind: origin.kind,
        name: origin.name.clone(),
        // In another mount of the bundle it was the outermost one that called.
        principal: if mount == origin.mount { origin.principal } else { Principal::of_mount(&origin.mount) },
        trace: origin.trace,
        committed,
        outcome: outcome.clone(),
        transaction,
    };
    let mut steps = Vec::new();
    for (mount, done) in &effects.mounts {
        for number in at(mount).0 + 1..=done.revision.0 {
            let transaction = done.transactions.iter().find(|one| one.revision.0 == number).cloned();
            steps.push(step(*mount, Revision(number), true, transaction));
        }
    }
    let failed =
        matches!(outcome, Outcome::Refused(_) | Outcome::Application { .. } | Outcome::Large { revision: None, .. });
    if steps.is_empty() && failed {
        steps.push(step(origin.mount, at(&origin.mount), false, None));
    }
    steps
}
