//! Applying an entry: requests in order, the calls of a mount together.
//!
//! Calls of one mount that stand together, or with calls of other mounts only between them, go to the executor as one
//! list; mounts do not see each other, so this is the same as one by one. Those of a bundle do: their calls stay in order, see
//! [`bundle`]. Before a list runs, every call of it is admitted in order on a copy of the mount's sessions; a call whose
//! admission depends on what earlier ones do (it asks for a revision not reached yet, or has preconditions) begins a new
//! list.
//!
//! A list that is held has changed nothing. An entry with more than one list, or with other requests, is applied on
//! the group after a clone of it was put aside; an entry of one list needs none, and so makes the maps copy nothing.

mod bundle;
mod hooks;
mod migrate;
mod post;

use self::bundle::Bundle;
use crate::entry::{Effect, Entry, Mode, Record};
use crate::group::{Content, Group, MountsGroup, TreeGroup};
use crate::machine::{Applied, Effects, Hold, LogLine, MountEffects};
use crate::mount::{Mount, outcome};
use crate::moving::Moving;
use crate::outcome::Outcome;
use crate::past::Watch;
use crate::planted::{Bug, Planted};
use crate::request::{ReducerCall, Request};
use crate::session::Admission;
use isx_row::{Code, ContentHash, MountId, Sequence, SessionId, Time};
use isx_store::{Changes, Executed, Executor, Invocation};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where what a call does comes from.
pub(crate) enum Engine<'a> {
    /// It is executed.
    Execute(&'a dyn Executor),
    /// It is executed, call by call, and what it does is written down by position.
    Record(&'a dyn Executor, BTreeMap<usize, Effect>),
    /// The entry says it.
    Install,
}

/// One entry being applied.
pub(crate) struct Run<'a> {
    pub(crate) index: u64,
    pub(crate) entry: &'a Entry,
    /// Calls that are passed over: (index, position).
    pub(crate) skips: &'a BTreeSet<(u64, u32)>,
    pub(crate) engine: Engine<'a>,
    time: Time,
    outcomes: Vec<Outcome>,
    effects: Effects,
    planted: Planted,
    /// Who looks at what commits.
    pub(crate) watch: Option<&'a mut Watch>,
}

/// A request's position in its entry, and its place in the mount's random stream.
type Place = (usize, u64);

/// A call of the entry.
struct Work<'a> {
    position: usize,
    record: &'a Record,
    call: &'a ReducerCall,
}

/// What was decided of a call before its list runs.
enum Plan {
    /// It is the next of the list.
    Execute,
    /// Its outcome is that of the call at this position, which is of the same list or done.
    Copy(usize),
    /// Its outcome is known, and kept if it has a session.
    Settled(Outcome),
}

/// Whether the entry can be held only before it has changed anything: one list of one mount.
pub(crate) fn is_one_list(group: &Group, entry: &Entry) -> bool {
    let Some(Record { request: Request::Call(first), .. }) = entry.records.first() else { return false };
    let revision = group.mount(&first.mount).map(|mount| mount.revision);
    entry.mode == Mode::Calls
        && entry.records.iter().enumerate().all(|(position, record)| match &record.request {
            Request::Call(call) => {
                call.mount == first.mount
                    && call.revision_min <= revision
                    && (position == 0 || call.conditions.is_empty())
            }
            _ => false,
        })
}

/// Whether the entry can be applied here: everything that can be known before it is begun.
pub(crate) fn check(group: &Group, index: u64, entry: &Entry, executor: &dyn Executor) -> Result<(), Hold> {
    if index <= group.applied {
        return Err(Hold::Applied { applied: group.applied });
    }
    if entry.header.level > crate::group::FEATURE_LEVEL {
        return Err(Hold::Level { needs: entry.header.level });
    }
    if entry.mode == Mode::Effects {
        return Ok(());
    }
    let (mut checked, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for record in &entry.records {
        let runs = runs(&record.request).filter(|mount| seen.insert(**mount));
        let reached = runs.map(|mount| reached(group, mount)).unwrap_or_default();
        for code in needed(group, &record.request).into_iter().chain(reached) {
            if !checked.insert(code) {
                continue;
            }
            if entry.header.execution != executor.execution_id() {
                return Err(Hold::Execution { entry: entry.header.execution, here: executor.execution_id() });
            }
            if !executor.has(&code) {
                return Err(Hold::NoCode(code));
            }
        }
    }
    Ok(())
}

/// The mount whose functions a request runs with others at hand.
fn runs(request: &Request) -> Option<&MountId> {
    match request {
        Request::Call(call) => Some(&call.mount),
        Request::Fire { mount }
        | Request::Connect { mount, .. }
        | Request::Disconnect { mount, .. }
        | Request::Settle { mount, .. }
        | Request::Deliver { to: mount, .. } => Some(mount),
        _ => None,
    }
}

/// The code of the mounts that calls of one may reach into.
fn reached(group: &Group, mount: &MountId) -> Vec<ContentHash> {
    let Content::Mounts(mounts) = &group.content else { return Vec::new() };
    mounts.reach(mount).iter().filter_map(|id| mounts.mounts.get(id)).map(|slot| slot.mount.module.code).collect()
}

/// The code without which a request can not be applied.
fn needed(group: &Group, request: &Request) -> Option<ContentHash> {
    match request {
        Request::Call(call) => group.mount(&call.mount).map(|mount| mount.module.code),
        Request::Fire { mount }
        | Request::Connect { mount, .. }
        | Request::Disconnect { mount, .. }
        | Request::Settle { mount, .. }
        | Request::Deliver { to: mount, .. } => group.mount(mount).map(|mount| mount.module.code),
        Request::CreateMount { mount, module, .. } => match &group.content {
            Content::Mounts(mounts) => {
                let new = !mounts.mounts.contains_key(mount) && mounts.check_new(mount).is_ok();
                new.then_some(module.code)
            }
            Content::Tree(_) => None,
        },
        Request::Migrate { mount, .. } => {
            let mount = group.mount(mount).filter(|mount| mount.moving.is_waiting())?;
            group.mount(&mount.candidate_id()).map(|candidate| candidate.module.code)
        }
        Request::Upgrade { mount, module, .. } => {
            group.mount(mount).filter(|mount| mount.module != *module).map(|_| module.code)
        }
        _ => None,
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        index: u64,
        entry: &'a Entry,
        skips: &'a BTreeSet<(u64, u32)>,
        engine: Engine<'a>,
        planted: Planted,
    ) -> Self {
        let outcomes = vec![Outcome::Done; entry.records.len()];
        Self { index, entry, skips, engine, time: Time(0), outcomes, effects: Effects::default(), planted, watch: None }
    }

    /// Applies the entry.
    ///
    /// # Errors
    /// The hold; of an entry that [`is_one_list`] the group is as it was then.
    pub(crate) fn apply(mut self, group: &mut Group) -> Result<(Applied, Engine<'a>), Hold> {
        self.time = group.time.max(self.entry.header.time);
        if self.planted.has(Bug::TimeFromEntry) {
            self.time = self.entry.header.time;
        }
        let entry = self.entry;
        let mut position = 0;
        while let Some(record) = entry.records.get(position) {
            match (&record.request, &mut group.content) {
                (Request::Call(_), content) => {
                    let end = self.calls(position, content)?;
                    position = end;
                    continue;
                }
                (Request::Raise { level }, _) => {
                    self.outcomes[position] = raise(&mut group.level, *level);
                }
                (Request::Skip { index, .. }, _) if *index >= self.index => {
                    self.outcomes[position] =
                        Outcome::refused(Code::BadArguments, "only a call of an earlier entry is passed over");
                }
                (Request::Skip { .. }, _) => (),
                (request, Content::Tree(tree)) => self.outcomes[position] = self.tree(tree, request),
                (request, Content::Mounts(mounts)) => {
                    self.outcomes[position] = self.mounts(mounts, (position, record.nonce), request)?;
                }
            }
            position += 1;
        }
        group.time = self.time;
        group.level = group.level.max(self.entry.header.level);
        group.applied = self.index;
        let Self { index, time, outcomes, effects, engine, .. } = self;
        Ok((Applied { index, time, outcomes, effects }, engine))
    }

    fn tree(&mut self, group: &mut TreeGroup, request: &Request) -> Outcome {
        let before = group.tree.revision();
        let outcome = match request {
            Request::Tree { caller, operation } => match group.tree.apply(caller, operation) {
                Ok(reply) => Outcome::Tree(reply),
                Err(error) => Outcome::Refused(error),
            },
            Request::Join { peer, home, alias, addresses } => group.join(*peer, *home, alias, addresses),
            Request::Leave { peer } => group.leave(*peer),
            Request::Tick => Outcome::Done,
            _ => Outcome::refused(Code::BadArguments, "the tree's group keeps no mounts"),
        };
        self.effects.tree.extend(group.tree.log_after(before).cloned());
        outcome
    }

    fn mounts(&mut self, group: &mut MountsGroup, place: Place, request: &Request) -> Result<Outcome, Hold> {
        if let Some(slot) = request.mount().and_then(|id| group.mounts.get(id)) {
            match request {
                // It is no mount to anybody but the one whose rows move there.
                _ if slot.mount.moving.is_candidate() => return Ok(no_mount()),
                _ if !group.waits(&slot.mount) => {}
                // What is set off waits as calls do.
                Request::Fire { .. } => return Ok(Outcome::Done),
                Request::Connect { .. }
                | Request::Disconnect { .. }
                | Request::Deliver { .. }
                | Request::Settle { .. } => return Ok(Outcome::Refused(Moving::busy())),
                _ => {}
            }
        }
        Ok(match request {
            Request::CreateMount { mount, incarnation, module, creator } => {
                return self.create(group, place, (*mount, *incarnation, *creator), module);
            }
            Request::DropMount { mount } => {
                let had = group.mounts.get(mount).map(|slot| Arc::clone(&slot.mount));
                let outcome = group.drop_mount(*mount, self.time);
                if let Some(had) = had.filter(|_| !group.mounts.contains_key(mount)) {
                    post::forget(group, &had);
                    self.effects.dropped.push(*mount);
                }
                outcome
            }
            Request::Upgrade { mount, expected, module, way } => {
                return self.upgrade(group, place, mount, expected, (module, *way));
            }
            Request::Migrate { mount, moved } => return self.migrate(group, place, mount, *moved),
            Request::Fire { mount } => {
                return self.bundled(group, mount, |run, group, bundle| run.fire(group, bundle, place, mount));
            }
            Request::Connect { mount, session, principal } => {
                let who = (*session, *principal);
                return self.bundled(group, mount, |run, group, bundle| run.connect(group, bundle, place, mount, who));
            }
            Request::Disconnect { mount, session } => {
                let session = *session;
                return self
                    .bundled(group, mount, |run, group, bundle| run.disconnect(group, bundle, place, mount, session));
            }
            Request::Deliver { from, incarnation, to, number, done_below, message } => {
                let (way, which) = (((*from, *incarnation), *to), (*number, *done_below));
                return self
                    .bundled(group, to, |run, group, bundle| run.deliver(group, bundle, place, way, which, message));
            }
            Request::Settle { mount, to, number, answer } => {
                let which = (*mount, *to, *number);
                return self
                    .bundled(group, mount, |run, group, bundle| run.settle(group, bundle, place, which, answer));
            }
            Request::Tick => {
                group.tick(self.time);
                Outcome::Done
            }
            _ => Outcome::refused(Code::BadArguments, "the group keeps mounts, not the tree"),
        })
    }

    /// Applies the calls that begin at a position, up to a request that is none; gives where that is.
    fn calls(&mut self, begin: usize, content: &mut Content) -> Result<usize, Hold> {
        let entry = self.entry;
        let mut by_mount: BTreeMap<MountId, Vec<Work<'a>>> = BTreeMap::new();
        let mut end = begin;
        while let Some(record) = entry.records.get(end)
            && let Request::Call(call) = &record.request
        {
            by_mount.entry(call.mount).or_default().push(Work { position: end, record, call });
            end += 1;
        }
        let Content::Mounts(group) = content else {
            by_mount.values().flatten().for_each(|work| self.outcomes[work.position] = no_mount());
            return Ok(end);
        };
        let lists = match self.planted.has(Bug::BundleUnordered) {
            true => by_mount.into_iter().collect(),
            false => bundle::ordered(group, by_mount),
        };
        for (id, mut work) in lists {
            if self.planted.has(Bug::BatchSorted) {
                work.sort_by_key(|work| work.call.session.map(|session| session.session));
            }
            if group.mounts.get(&id).is_none_or(|slot| slot.mount.moving.is_candidate()) {
                work.iter().for_each(|work| self.outcomes[work.position] = no_mount());
                continue;
            }
            let mut rest = work.as_slice();
            while !rest.is_empty() {
                rest = self.bundled(group, &id, |run, group, bundle| match group.mounts.get_mut(&id) {
                    Some(slot) => run.list(Arc::make_mut(&mut slot.mount), bundle, rest),
                    None => Ok(&[]),
                })?;
            }
            group.reseal(&id);
        }
        Ok(end)
    }

    /// Applies the calls of a mount that can run as one list; gives the rest.
    ///
    /// # Errors
    /// The hold; the mount is as it was then.
    fn list<'w>(
        &mut self,
        mount: &mut Mount,
        bundle: &mut Bundle,
        work: &'w [Work<'a>],
    ) -> Result<&'w [Work<'a>], Hold> {
        let mut sessions = mount.sessions.clone();
        let mut admitted: BTreeMap<(SessionId, Sequence), usize> = BTreeMap::new();
        let mut plans = Vec::with_capacity(work.len());
        let mut positions = Vec::new();
        let mut invocations: Vec<Invocation<'_>> = Vec::new();
        for Work { position, record, call } in work {
            if bundle.waits {
                // What was answered stays so; what was not is not made, and uses up no sequence.
                let admit = |session| mount.sessions.clone().admit(session, &call.principal, self.time, self.planted);
                let outcome = match call.session.as_ref().map(admit) {
                    Some(Ok(Admission::Answered(outcome))) => read_kept(&outcome),
                    _ => Outcome::Refused(Moving::busy()),
                };
                plans.push((*position, Plan::Settled(outcome), None));
                continue;
            }
            if call.revision_min.is_some_and(|least| least > mount.revision) {
                // What runs before may bring the mount there.
                if !invocations.is_empty() {
                    break;
                }
                let text = format!("the mount is at revision {}, before the least asked for", mount.revision);
                plans.push((*position, Plan::Settled(Outcome::refused(Code::Conflict, text)), None));
                continue;
            }
            // What must hold of the mount is looked at when all before is done.
            if !call.conditions.is_empty() && !invocations.is_empty() {
                break;
            }
            if let Some(session) = call.session.as_ref().filter(|_| mount.tracks_sessions)
                && !mount.presence.has(session.session, &call.principal)
                && !sessions.has(session, &call.principal)
            {
                plans.push((*position, Plan::Settled(Outcome::Unconnected), None));
                continue;
            }
            let mut kept = None;
            if let Some(session) = &call.session {
                let key = (session.session, session.sequence);
                let settled = match sessions.admit(session, &call.principal, self.time, self.planted) {
                    Ok(Admission::New) => None,
                    Ok(Admission::Answered(outcome)) => Some(Plan::Settled(read_kept(&outcome))),
                    Ok(Admission::Pending) => Some(match admitted.get(&key) {
                        Some(first) => Plan::Copy(*first),
                        None => Plan::Settled(Outcome::refused(Code::Unknown, "the call is being answered")),
                    }),
                    Err(error) => Some(Plan::Settled(Outcome::Refused(error))),
                };
                if let Some(plan) = settled {
                    plans.push((*position, plan, None));
                    continue;
                }
                admitted.insert(key, *position);
                kept = Some(key);
            }
            if self.skips.contains(&(self.index, *position as u32)) {
                plans.push((*position, Plan::Settled(skipped()), kept));
                continue;
            }
            if let Err(error) = mount.check(&call.conditions, call.trusted)
                && !self.planted.has(Bug::ConditionIgnored)
            {
                plans.push((*position, Plan::Settled(Outcome::Refused(error)), kept));
                continue;
            }
            positions.push(*position);
            invocations.push(mount.invocation(call, record.nonce));
            plans.push((*position, Plan::Execute, kept));
        }
        let executed = match invocations.is_empty() {
            true => Vec::new(),
            false => self.execute(mount, bundle, &positions, &invocations)?,
        };
        mount.sessions = sessions;
        let mut executed = executed.into_iter();
        for (position, plan, kept) in &plans {
            let outcome = match plan {
                Plan::Settled(outcome) => outcome.clone(),
                Plan::Copy(first) => as_kept(&self.outcomes[*first]),
                Plan::Execute => {
                    let Some(done) = executed.next() else { continue };
                    let outcome = outcome(&done.outcome, done.detail.as_ref(), mount.revision.next());
                    self.keep(mount, bundle, done);
                    outcome
                }
            };
            if let Some((session, sequence)) = kept {
                mount.sessions.answer(*session, *sequence, outcome.kept());
            }
            self.outcomes[*position] = outcome;
        }
        Ok(work.get(plans.len()..).unwrap_or_default())
    }

    /// Keeps what a call did: its transaction if it committed, its log lines whatever it did.
    fn keep(&mut self, mount: &mut Mount, bundle: &mut Bundle, done: Executed) {
        let line = |(level, text)| LogLine { mount: mount.id, time: self.time, level, text };
        self.effects.log.extend(done.log.into_iter().map(line));
        if done.outcome.is_ok() {
            self.commit(mount, done.changes);
        }
        bundle.note(done.joined);
    }

    /// Counts a transaction.
    fn commit(&mut self, mount: &mut Mount, changes: Changes) {
        let time = if self.planted.has(Bug::StampedBefore) { mount.changed } else { self.time };
        let transaction = mount.commit(time, changes);
        self.effects.of(mount).transactions.extend(transaction);
        if let Some(watch) = &mut self.watch {
            watch.see(mount);
        }
    }

    /// Runs calls, or installs what they did. The tables are as they were when this fails.
    fn execute(
        &mut self,
        mount: &mut Mount,
        bundle: &mut Bundle,
        positions: &[usize],
        invocations: &[Invocation<'_>],
    ) -> Result<Vec<Executed>, Hold> {
        let context = mount.context(self.time);
        let code = mount.module.code;
        match &mut self.engine {
            Engine::Execute(executor) => executor
                .execute_joined(&code, &mut mount.database, &context, invocations, &mut bundle.joined)
                .map_err(|hold| held(hold, |position| positions.get(position).copied().unwrap_or(0))),
            Engine::Record(executor, effects) => {
                let mut all = Vec::with_capacity(invocations.len());
                for (position, invocation) in positions.iter().zip(invocations) {
                    let (before, joined_before) = (mount.database.state_hash(), bundle.hashes());
                    let one = std::slice::from_ref(invocation);
                    let executed = executor
                        .execute_joined(&code, &mut mount.database, &context, one, &mut bundle.joined)
                        .map_err(|hold| held(hold, |_| *position))?;
                    for done in executed {
                        let effect = Effect {
                            outcome: done.outcome.clone(),
                            detail: done.detail.clone(),
                            fuel: done.fuel,
                            before,
                            after: mount.database.state_hash(),
                            changes: done.changes.clone(),
                            joined: bundle.effects(&joined_before, &done.joined),
                        };
                        effects.insert(*position, effect);
                        all.push(done);
                    }
                }
                Ok(all)
            }
            Engine::Install => {
                let install = |position: &usize| {
                    let effect = self.entry.records.get(*position).and_then(|record| record.effect.as_ref());
                    let diverged = Hold::Diverged { position: *position };
                    let effect = effect.ok_or(diverged.clone())?;
                    if mount.database.state_hash() != effect.before
                        || mount.database.install(&effect.changes).is_err()
                        || mount.database.state_hash() != effect.after
                        || !bundle.install(&effect.joined)
                    {
                        return Err(diverged);
                    }
                    Ok(Executed::from(effect))
                };
                positions.iter().map(install).collect()
            }
        }
    }
}

impl Effects {
    /// The effects on a mount, brought to its revision.
    fn of(&mut self, mount: &Mount) -> &mut MountEffects {
        let effects = self.mounts.entry(mount.id).or_insert_with(|| MountEffects {
            incarnation: mount.incarnation,
            revision: mount.revision,
            transactions: Vec::new(),
        });
        effects.revision = mount.revision;
        effects
    }
}

/// An executor's hold, with the position in the entry that a position in its list stands for.
fn held(hold: isx_store::Hold, in_entry: impl Fn(usize) -> usize) -> Hold {
    match hold {
        isx_store::Hold::NoCode(code) => Hold::NoCode(code),
        isx_store::Hold::Poisoned { position } => Hold::Poisoned { position: in_entry(position) },
        isx_store::Hold::Untried { position } => Hold::Untried { position: in_entry(position) },
    }
}

fn raise(level: &mut u16, to: u16) -> Outcome {
    if to > crate::group::FEATURE_LEVEL {
        return Outcome::refused(Code::Unsupported, format!("feature level {to} is not known"));
    }
    *level = to.max(*level);
    Outcome::Done
}

fn mounted(mount: &Mount) -> Outcome {
    Outcome::Mounted { incarnation: mount.incarnation, revision: mount.revision, version: mount.version }
}

fn no_mount() -> Outcome {
    Outcome::refused(Code::NotFound, "no such mount")
}

fn skipped() -> Outcome {
    Outcome::refused(Code::Trap, "the call was passed over by `isx cluster skip`; it changed nothing")
}

fn read_kept(bytes: &[u8]) -> Outcome {
    use isx_anchors::wire::Wire;
    Outcome::from_wire(bytes).unwrap_or_else(|_| Outcome::refused(Code::Unknown, "the answer kept can not be read"))
}

/// An outcome as who asks again gets it, whether the first is of this entry or of an earlier one.
fn as_kept(first: &Outcome) -> Outcome {
    read_kept(&first.kept())
}
