//! A way through the past of a group, some entries a job.

use super::{Moment, gone, unreadable};
use crate::history::{Mark, Start, skips_of};
use crate::limits::{PAST_BYTES_MAX, PAST_ENTRIES_PER_JOB, PASTS_MAX, PASTS_WAITING_MAX};
use crate::log::GroupLog;
use crate::planted::{Bug, Planted};
use crate::replica::{Shared, load, new_machine};
use crate::types::Payload;
use futures::channel::oneshot;
use isx_cluster::{Entry, Goal, Machine, Past, Step, View};
use isx_port::{Instant, Lane};
use isx_row::{Code, Error, MountId, Revision};
use openraft::RaftLogReader;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The walks of a group, and what they came to.
pub(crate) struct Pasts {
    turn: Semaphore,
    waiting: AtomicUsize,
    held: Mutex<VecDeque<HeldPast>>,
}

/// A version that was reached, and the machine that goes on from there.
struct HeldPast {
    mount: MountId,
    revision: Revision,
    view: View,
    past: Past,
    bytes: u64,
}

impl Default for Pasts {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), waiting: AtomicUsize::new(0), held: Mutex::default() }
    }
}

impl Pasts {
    fn held(&self) -> MutexGuard<'_, VecDeque<HeldPast>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version that is held.
    pub(super) fn find(&self, mount: &MountId, revision: Revision) -> Option<View> {
        let mut held = self.held();
        let at = held.iter().position(|past| past.mount == *mount && past.revision == revision)?;
        let found = held.remove(at)?;
        let view = found.view.clone();
        held.push_back(found);
        Some(view)
    }

    /// The last machine that is held before a revision.
    fn before(&self, mount: &MountId, revision: Revision) -> Option<(Past, u64)> {
        let held = self.held();
        let before = |past: &&HeldPast| past.past.view().mount(mount).is_some_and(|mount| mount.revision() <= revision);
        held.iter().filter(before).max_by_key(|past| past.past.wants()).map(|past| (past.past.clone(), past.bytes))
    }

    /// Lets versions go until there is room for so many bytes and one more.
    fn make_room(&self, bytes: u64) -> Vec<HeldPast> {
        let mut held = self.held();
        let mut gone = Vec::new();
        while held.len() >= PASTS_MAX || held.iter().map(|past| past.bytes).sum::<u64>() + bytes > PAST_BYTES_MAX {
            let Some(oldest) = held.pop_front() else { break };
            gone.push(oldest);
        }
        gone
    }
}

/// Waits no more when it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A way through the past of a group, for the sake of one mount.
pub(super) struct Walk<'a> {
    shared: &'a Arc<Shared>,
    mount: MountId,
    deadline: Instant,
    past: Option<Past>,
    /// Bytes of the snapshot it began with.
    bytes: u64,
    /// Entries that are fetched: the machine's, and the index of the first that is not fetched.
    fetched: (VecDeque<(u64, Vec<u8>)>, u64),
    /// The present, and the last entry of it.
    pub(super) present: (View, u64),
    /// State hashes that are kept, by the index of the last entry.
    kept: BTreeMap<u64, [u8; 32]>,
    _turn: SemaphorePermit<'a>,
}

/// What a part of a walk came to.
#[derive(Default)]
pub(super) struct Part {
    pub(super) steps: Vec<Step>,
    pub(super) reached: Option<View>,
    /// State hashes that are kept and were come by: the index, whether it was the same, and where the mount was.
    pub(super) compared: Vec<(u64, bool, View)>,
}

impl<'a> Walk<'a> {
    /// Begins at the last place before a goal.
    pub(super) async fn begin(
        shared: &'a Arc<Shared>,
        mount: MountId,
        goal: Goal,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let before = |mark: &Mark| match goal {
            Goal::Revision(mount, revision) => mark.revision(&mount).is_none_or(|at| at <= revision),
            Goal::Time(time) => mark.time <= time,
            Goal::Never => true,
        };
        let choose = |starts: Vec<Start>| starts.into_iter().rev().find(|start| before(&start.mark));
        let moment = match goal {
            Goal::Revision(_, revision) => Moment::Revision(revision),
            Goal::Time(time) => Moment::Time(time),
            Goal::Never => Moment::Revision(Revision(0)),
        };
        let mut walk = Self::wait(shared, mount, deadline).await?;
        let start = choose(shared.starts()).ok_or_else(|| shared.too_old(&mount, moment))?;
        let held = match goal {
            Goal::Revision(mount, revision) => shared.pasts.before(&mount, revision),
            Goal::Time(_) | Goal::Never => None,
        };
        match held {
            Some((past, bytes)) if past.wants() >= start.next() => walk.go_from(past, bytes).await?,
            _ => walk.load(&start).await?,
        }
        Ok(walk)
    }

    /// Begins at the oldest place.
    pub(super) async fn begin_oldest(
        shared: &'a Arc<Shared>,
        mount: MountId,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let mut walk = Self::wait(shared, mount, deadline).await?;
        let start = shared.starts().into_iter().next();
        let start = start.ok_or_else(|| shared.too_old(&mount, Moment::Revision(Revision(0))))?;
        walk.load(&start).await?;
        Ok(walk)
    }

    /// Waits for its turn.
    async fn wait(shared: &'a Arc<Shared>, mount: MountId, deadline: Instant) -> Result<Self, Error> {
        let pasts = &shared.pasts;
        if shared.history.is_none() {
            return Err(Error::new(Code::NotFound, "the group keeps no past"));
        }
        let waits = Waits(&pasts.waiting);
        if pasts.waiting.fetch_add(1, Ordering::Relaxed) >= PASTS_WAITING_MAX {
            return Err(Error::new(Code::Busy, format!("over PASTS_WAITING_MAX = {PASTS_WAITING_MAX}")));
        }
        let turn = pasts.turn.acquire().await.map_err(|_| Error::new(Code::Busy, "the node stops"))?;
        drop(waits);
        let (view, upto) = {
            let published = shared.published();
            (published.view.clone(), published.applied.map_or(0, |id| id.index))
        };
        let (fetched, present) = ((VecDeque::new(), 0), (view, upto));
        Ok(Self { shared, mount, deadline, past: None, bytes: 0, fetched, present, kept: BTreeMap::new(), _turn: turn })
    }

    /// Loads the machine of a place to begin at.
    async fn load(&mut self, start: &Start) -> Result<(), Error> {
        let (shared, planted) = (self.shared, self.shared.planted);
        let held = match start.index {
            Some(index) => Some(shared.store().at(index).ok_or_else(gone)?),
            None => None,
        };
        let chunks = held.iter().flat_map(|held| held.manifest().chunks());
        let bytes: u64 = chunks.map(|(_, bytes)| u64::from(*bytes)).sum();
        if bytes > PAST_BYTES_MAX {
            let text =
                format!("the group's state of that time has {bytes} bytes, over PAST_BYTES_MAX = {PAST_BYTES_MAX}");
            return Err(Error::new(Code::Limit, text));
        }
        let gone = shared.pasts.make_room(bytes);
        let (group, executor) = (shared.group, shared.executor.clone());
        let machine = self
            .on_lane(move || {
                drop(gone);
                Ok(match held {
                    Some(held) => load(&held, planted).map_err(|error| unreadable(&error))?,
                    None => new_machine(group, &*executor, planted),
                })
            })
            .await?;
        self.go_from(at(machine, start, planted), bytes).await
    }

    /// Goes on from a machine, told of the calls that were passed over.
    async fn go_from(&mut self, mut past: Past, bytes: u64) -> Result<(), Error> {
        let from = past.wants();
        let Some(history) = &self.shared.history else { return Err(gone()) };
        let mut skips = history.skips(from);
        // What ends a hold stands behind what is held.
        let (mut log, committed) = self.log()?;
        let mut index = history.next().0;
        while index <= committed {
            let entries = read(&mut log, index, committed).await?;
            let Some(last) = entries.last().map(|(index, _)| *index) else { break };
            let of = move || Ok(entries.iter().filter_map(|(_, entry)| entry.as_deref()).flat_map(skips_of).collect());
            let found: Vec<(u64, u32)> = self.on_lane(of).await?;
            skips.extend(found);
            index = last.saturating_add(1);
        }
        skips.into_iter().for_each(|(index, position)| past.skip(index, position));
        self.kept = self.shared.store().hashes().into_iter().filter(|(index, _)| *index >= from).collect();
        (self.past, self.bytes, self.fetched) = (Some(past), bytes, (VecDeque::new(), from));
        Ok(())
    }

    fn log(&self) -> Result<(GroupLog, u64), Error> {
        self.shared.log_and_committed().ok_or_else(|| Error::new(Code::Busy, "the group is starting"))
    }

    /// Has entries to apply; whether there are any.
    async fn fetch(&mut self) -> Result<bool, Error> {
        let upto = self.present.1;
        // What was not there at first may have come into history meanwhile, once.
        let mut again = false;
        while self.fetched.0.is_empty() && self.fetched.1 <= upto {
            let index = self.fetched.1;
            let Some(history) = self.shared.history.clone() else { return Err(gone()) };
            let kept = self.on_lane(move || history.entries(index).map_err(|error| unreadable(&error))).await?;
            let (entries, next) = match kept {
                Some((entries, next)) => (entries, next),
                None => {
                    let (mut log, _) = self.log()?;
                    let entries = read(&mut log, index, upto).await?;
                    let next = entries.last().map(|(last, _)| last.saturating_add(1));
                    // What is not there any more has gone into history meanwhile, or away.
                    match (entries.first(), next) {
                        (Some((first, _)), Some(next)) if *first == index => {
                            let of_machine = entries.into_iter().filter_map(|(index, entry)| Some((index, entry?)));
                            (of_machine.collect(), next)
                        }
                        _ if self.shared.history.as_ref().is_some_and(|history| history.has(index)) && !again => {
                            again = true;
                            continue;
                        }
                        _ => return Err(gone()),
                    }
                }
            };
            self.fetched.0 = entries.into_iter().filter(|(index, _)| *index <= upto).collect();
            self.fetched.1 = next;
        }
        Ok(!self.fetched.0.is_empty())
    }

    /// The next part of the way; none at its end.
    pub(super) async fn next(&mut self, goal: Goal) -> Result<Option<Part>, Error> {
        if self.shared.clock.now() > self.deadline {
            return Err(Error::new(
                Code::Busy,
                "the past could not be rebuilt before the deadline; ask with more time",
            ));
        }
        if let Some(view) = self.past.as_ref().and_then(|past| past.reached(goal)) {
            return Ok(Some(Part { reached: Some(view), ..Part::default() }));
        }
        let more = self.fetch().await?;
        let Some(past) = self.past.take() else { return Ok(None) };
        let count = self.fetched.0.len().min(PAST_ENTRIES_PER_JOB);
        let entries: Vec<(u64, Vec<u8>)> = self.fetched.0.drain(..count).collect();
        // Everything that is kept of entries before the next one is come by.
        let behind = self.fetched.0.front().map_or(self.fetched.1, |(index, _)| *index);
        let later = self.kept.split_off(&behind);
        let kept = std::mem::replace(&mut self.kept, later);
        if !more && kept.is_empty() {
            self.past = Some(past);
            return Ok(None);
        }
        let (executor, mount) = (self.shared.executor.clone(), self.mount);
        let job = Job { past, entries, kept, goal, mount };
        let (past, part) = self.on_lane(move || job.run(&*executor)).await?;
        self.past = Some(past);
        Ok(Some(part))
    }

    pub(super) fn view(&self) -> Option<View> {
        self.past.as_ref().map(Past::view)
    }

    /// Whether the mount in the snapshot that is kept of an entry has another hash.
    pub(super) async fn differs_at(&self, index: u64, hash: Option<[u8; 32]>) -> Result<bool, Error> {
        let (shared, mount, planted) = (self.shared, self.mount, self.shared.planted);
        let Some(held) = shared.store().at(index) else { return Ok(false) };
        self.on_lane(move || {
            let machine = load(&held, planted).map_err(|error| unreadable(&error))?;
            Ok(machine.view().mount(&mount).map(|mount| mount.state_hash()) != hash)
        })
        .await
    }

    /// Holds what was reached for who asks again.
    pub(super) fn hold(&mut self, revision: Revision, view: &View) {
        let Some(past) = self.past.take() else { return };
        let gone = self.shared.pasts.make_room(self.bytes);
        let held = HeldPast { mount: self.mount, revision, view: view.clone(), past, bytes: self.bytes };
        self.shared.pasts.held().push_back(held);
        drop(self.shared.spawn.run(Lane::Past(self.shared.group), Box::new(move || drop(gone))));
    }

    async fn on_lane<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || drop(sender.send(work())));
        self.shared.spawn.run(Lane::Past(self.shared.group), job).await;
        receiver.await.map_err(|_| Error::new(Code::Busy, "the node stops"))?
    }
}

/// Some entries to be applied.
struct Job {
    past: Past,
    entries: Vec<(u64, Vec<u8>)>,
    kept: BTreeMap<u64, [u8; 32]>,
    goal: Goal,
    mount: MountId,
}

impl Job {
    fn run(self, executor: &dyn isx_store::Executor) -> Result<(Past, Part), Error> {
        let Self { mut past, entries, mut kept, goal, mount } = self;
        let mut part = Part::default();
        for (index, entry) in entries {
            let later = kept.split_off(&index);
            compare(&past, std::mem::replace(&mut kept, later), &mut part);
            let entry = Entry::decode(&entry)?;
            let mut tell = |step: Step| part.steps.extend((step.mount == mount).then_some(step));
            let held = |hold| Error::new(Code::Unsupported, format!("the past can not be gone through: {hold}"));
            part.reached = past.apply(index, &entry, executor, goal, &mut tell).map_err(held)?;
            if part.reached.is_some() {
                return Ok((past, part));
            }
        }
        compare(&past, kept, &mut part);
        Ok((past, part))
    }
}

fn compare(past: &Past, kept: BTreeMap<u64, [u8; 32]>, part: &mut Part) {
    let view = past.view();
    let hash = view.state_hash();
    part.compared.extend(kept.into_iter().map(|(index, kept)| (index, kept == hash, view.clone())));
}

/// A machine at a place to begin at, whose next entry is known.
fn at(machine: Machine, start: &Start, planted: Planted) -> Past {
    let mut past = Past::new(machine);
    if let Some(index) = start.index {
        past.pass(if planted.has(Bug::BaseOffByOne) { index + 1 } else { index });
    }
    past
}

/// Entries of the log, from an index up to another, some at a time: the index, and the machine's bytes.
pub(crate) async fn read(log: &mut GroupLog, from: u64, upto: u64) -> Result<Vec<(u64, Option<Vec<u8>>)>, Error> {
    let entries = log.limited_get_log_entries(from, upto.saturating_add(1)).await;
    let entries = entries.map_err(|error| Error::new(Code::Fatal, format!("the log: {error}")))?;
    let of = |payload: Payload| match payload {
        Payload::Normal(command) => Some(command.entry().to_vec()),
        Payload::Blank | Payload::Membership(_) => None,
    };
    Ok(entries.into_iter().map(|entry| (entry.log_id.index, of(entry.payload))).collect())
}
