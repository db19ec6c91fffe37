//! openraft's state machine over the replicated machine.
//!
//! Entries are applied on the group's apply lane, some at a time; the view they lead to is published when they are done,
//! for queries, subscribers and snapshots, none of which waits for the lane. A machine that must wait (its code is not
//! here, a call killed its process twice) makes the group hold: the entries stay where they are and are tried again when
//! poked, while openraft goes on appending and voting; a request further on in the committed log may tell the machine to
//! pass over a call. The state is in memory: a restart loads the last snapshot and
//! openraft applies what the log has after it once a leader has said that it is committed.

use crate::figures::GroupMeasures;
use crate::history::{History, Mark, Replaced, Retention};
use crate::limits;
use crate::log::{FULL_RETRY, GroupLog};
use crate::pace::Pace;
use crate::past::Pasts;
use crate::planted::{Bug, Planted};
use crate::runtime::Runtime;
use crate::snapshot::{Held, Manifest, SnapshotError, Store};
use crate::types::{Answers, LogEntry, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, Types};
use futures::channel::oneshot;
use futures::{Stream, StreamExt};
use isx_cluster::{Applied, Effects, Entry, Hold, Machine, Request, Restore, View};
use isx_port::{Clock, DiskError, Lane, Spawn};
use isx_row::{Code, Error, MountId, Time};
use isx_store::Executor;
use openraft::async_runtime::{Watch, WatchReceiver};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{AsyncRuntime, OptionalSend, RaftLogReader, RaftMetrics, RaftSnapshotBuilder, ServerState};
use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a group that holds waits before it looks by itself: code may arrive without a poke.
const HOLD_RETRY: Duration = Duration::from_secs(1);

/// The replicated machine of one group, as everything but openraft reaches it.
pub(crate) struct Shared {
    pub(crate) group: u64,
    pub(crate) spawn: Arc<dyn Spawn>,
    pub(crate) clock: Arc<dyn Clock>,
    store: Arc<Store>,
    pub(crate) executor: Arc<dyn Executor>,
    /// What is kept of the past; none of a group that has no mounts.
    pub(crate) history: Option<Arc<History>>,
    pub(crate) pasts: Pasts,
    /// Held by the apply lane while it applies.
    machine: Mutex<Machine>,
    published: Mutex<Published>,
    /// Something was published.
    changed: Notify,
    /// A group that holds should try again.
    poked: Notify,
    /// What proposals of this node bear.
    pace: Mutex<Pace>,
    /// A timer is to be fired sooner than was known, or the group stops.
    pub(crate) sooner: Arc<Notify>,
    /// Messages are to be delivered, or the group stops.
    pub(crate) sent: Arc<Notify>,
    /// The log finds the disk full, or the group stops.
    pub(crate) full: Arc<Notify>,
    /// Where a group that holds reads on.
    log: OnceLock<(GroupLog, MetricsReceiver)>,
    pub(crate) measures: GroupMeasures,
    pub(crate) planted: Planted,
}

type MetricsReceiver = <<Runtime as AsyncRuntime>::Watch as Watch>::Receiver<RaftMetrics<Types>>;

/// What everyone may see of the state.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) view: View,
    pub(crate) applied: Option<LogId>,
    membership: StoredMembership,
    pub(crate) hold: Option<Hold>,
    /// What the last entries did, by index.
    recent: VecDeque<(u64, Arc<Effects>)>,
    /// What the entries from this index on did is in `recent`.
    recent_from: u64,
    stopping: bool,
}

fn after(applied: Option<LogId>) -> u64 {
    applied.map_or(0, |id| id.index.saturating_add(1))
}

impl Published {
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// What the entries after `seen` did, if all of it is still here.
    pub(crate) fn effects_after(&self, seen: Option<u64>) -> Option<Vec<Arc<Effects>>> {
        let whole = self.recent_from <= seen.map_or(0, |seen| seen.saturating_add(1));
        let later = self.recent.iter().filter(|(index, _)| Some(*index) > seen);
        whole.then(|| later.map(|(_, effects)| effects.clone()).collect())
    }
}

type Batch = VecDeque<(LogEntry, Option<ApplyResponder<Types>>)>;

impl Shared {
    /// Loads the last snapshot, if there is one.
    pub(crate) async fn open(
        ports: &isx_port::Ports,
        group: u64,
        executor: Arc<dyn Executor>,
        retention: Option<(Retention, u64)>,
        planted: Planted,
    ) -> Result<Arc<Self>, SnapshotError> {
        let store = Store::new(ports, group, planted);
        let (execution, of_history) = (executor.clone(), ports.clone());
        let (machine, meta, history) = store
            .on_lane(move |store| {
                let (machine, meta) = match store.open()? {
                    Some(held) => (load(&held, planted)?, held.manifest().meta().clone()),
                    None => (new_machine(group, &*execution, planted), SnapshotMeta::default()),
                };
                let open = |(retention, entries_per_snapshot)| {
                    History::open(&of_history, group, retention, (execution.execution_id(), entries_per_snapshot))
                };
                // Without its past a node serves as well.
                let unread = |error: &SnapshotError| tracing::error!(%error, "history can not be used in this life");
                let history = retention.and_then(|asked| open(asked).inspect_err(unread).ok());
                if let (Some(history), Some(last)) = (&history, meta.last_log_id) {
                    history.at_snapshot(last.index, Mark::of(&machine.view()));
                    drop(history.enforce(store).inspect_err(unread));
                }
                Ok((machine, meta, history.map(Arc::new)))
            })
            .await?;
        let published = Published {
            view: machine.view(),
            applied: meta.last_log_id,
            membership: meta.last_membership,
            hold: None,
            recent: VecDeque::new(),
            recent_from: after(meta.last_log_id),
            stopping: false,
        };
        Ok(Arc::new(Self {
            group,
            spawn: ports.spawn.clone(),
            clock: ports.clock.clone(),
            store,
            executor,
            history,
            pasts: Pasts::default(),
            machine: Mutex::new(machine),
            published: Mutex::new(published),
            changed: Notify::new(),
            poked: Notify::new(),
            pace: Mutex::default(),
            sooner: Arc::default(),
            sent: Arc::default(),
            full: Arc::default(),
            log: OnceLock::new(),
            measures: GroupMeasures::default(),
            planted,
        }))
    }

    /// Says where a group that holds reads on, and how far that is committed.
    pub(crate) fn attach(&self, log: GroupLog, metrics: MetricsReceiver) {
        let _ = self.log.set((log, metrics));
    }

    /// The log, and the last index that is known to be committed.
    pub(crate) fn log_and_committed(&self) -> Option<(GroupLog, u64)> {
        let (log, metrics) = self.log.get()?;
        Some((log.clone(), metrics.borrow_watched().local_committed.map_or(0, |id| id.index)))
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.published());
        self.changed.notify_waiters();
    }

    /// Completes with what `ready` finds in what is published.
    pub(crate) async fn when<T>(&self, mut ready: impl FnMut(&Published) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            if let Some(value) = ready(&self.published()) {
                return value;
            }
            changed.await;
        }
    }

    /// Code has arrived, or a call may be skipped.
    pub(crate) fn poke(&self) {
        self.poked.notify_one();
    }

    /// A group that holds gives up, and whoever waits for changes hears of it.
    pub(crate) fn stop(&self) {
        self.publish(|published| published.stopping = true);
        self.poked.notify_one();
        self.sooner.notify_one();
        self.sent.notify_one();
        self.full.notify_one();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.published().stopping
    }

    /// Whether this node leads the group.
    pub(crate) fn leads(&self) -> bool {
        self.log.get().is_some_and(|(_, metrics)| metrics.borrow_watched().state == ServerState::Leader)
    }

    /// Whether this node may propose what time makes due: it leads, and the group is not held. What a held group has no use
    /// for would only be in the way of what ends the hold.
    pub(crate) fn may_propose(&self) -> bool {
        self.leads() && self.published().hold.is_none()
    }

    /// Whether a tick proposed now would change something.
    pub(crate) fn is_due(&self, clock: &dyn Clock) -> bool {
        let view = self.published().view.clone();
        view.is_due(self.pace().at_present(view.time(), clock))
    }

    /// For each timer that would be fired if that were proposed now its mount, at most `max`.
    pub(crate) fn due(&self, clock: &dyn Clock, max: usize) -> Vec<MountId> {
        let view = self.published().view.clone();
        view.due(self.pace().at_present(view.time(), clock), max)
    }

    /// How long until the first timer can be fired; none while there is none.
    pub(crate) fn until_timer(&self, clock: &dyn Clock) -> Option<Duration> {
        let (next, time) = {
            let published = self.published();
            (published.view.next_timer()?, published.view.time())
        };
        Some(self.pace().until(next, time, clock))
    }

    /// Whether a bug is planted.
    pub(crate) fn gives_timers_up(&self) -> bool {
        self.planted.has(Bug::TimerGivenUp)
    }

    /// The time that a proposal made now bears.
    pub(crate) fn proposal_time(&self, clock: &dyn Clock) -> Time {
        let applied = self.published().view.time();
        self.pace().propose(applied, clock)
    }

    pub(crate) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for the next timer, if that is sooner than before.
    fn note_timers(&self, before: &View, next: Option<Time>) {
        if next.is_some_and(|next| before.next_timer().is_none_or(|before| next < before)) {
            self.sooner.notify_one();
        }
    }

    /// Whether the group serves callers: one that waits for a person does not.
    ///
    /// # Errors
    /// `held`, with the reason.
    pub(crate) fn check_serves(&self) -> Result<(), Error> {
        match &self.published().hold {
            // It is over as soon as there is a process to try the call in.
            None | Some(Hold::Untried { .. }) => Ok(()),
            Some(hold) => Err(Error::new(Code::Held, format!("group {}: {hold}", self.group))),
        }
    }

    /// Applies from the front of `batch` until it is empty or the machine must wait. Blocks.
    fn apply(&self, mut batch: Batch) -> Result<(Batch, Option<Hold>), io::Error> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::with_capacity(batch.len());
        let mut effects = Vec::new();
        let mut applied = None;
        let mut membership = None;
        let mut hold = None;
        let mut replaced_count = 0_usize;
        while let Some((entry, _)) = batch.front() {
            let index = entry.log_id.index;
            let outcomes = match &entry.payload {
                Payload::Blank => Vec::new(),
                Payload::Membership(new) => {
                    membership = Some(StoredMembership::new(Some(entry.log_id), new.clone()));
                    Vec::new()
                }
                Payload::Normal(command) => {
                    let decoded = Entry::decode(command.entry()).map_err(io::Error::other)?;
                    match machine.apply(index, &decoded, &*self.executor) {
                        Ok(Applied { outcomes, effects: of_entry, .. }) => {
                            replaced_count = replaced_count.saturating_add(replaced(&decoded, &of_entry));
                            effects.push((index, Arc::new(of_entry)));
                            outcomes
                        }
                        Err(wait) => {
                            hold = Some(wait);
                            break;
                        }
                    }
                }
            };
            applied = Some(entry.log_id);
            if let Some((_, Some(responder))) = batch.pop_front() {
                answers.push((responder, outcomes));
            }
        }
        let view = machine.view();
        drop(machine);
        let timer = view.next_timer();
        let has_outgoing = view.has_outgoing();
        let mut before = None;
        self.publish(|published| {
            before = Some(std::mem::replace(&mut published.view, view));
            published.applied = applied.or(published.applied);
            if let Some(membership) = membership {
                published.membership = membership;
            }
            published.hold = hold.clone();
            published.recent.extend(effects);
            let extra = published.recent.len().saturating_sub(limits::EFFECTS_KEPT_MAX);
            if let Some((dropped, _)) = published.recent.drain(..extra).next_back() {
                published.recent_from = dropped + 1;
            }
        });
        if has_outgoing {
            self.sent.notify_one();
        }
        if let Some(before) = &before {
            self.note_timers(before, timer);
        }
        // Answers leave after the view shows them, so that who was answered reads what it wrote.
        for (responder, outcomes) in answers {
            responder.send(Answers(outcomes));
        }
        // Where little was replaced, waking another lane costs more than dropping the version before.
        if replaced_count > limits::REPLACED_HERE_MAX {
            self.drop_elsewhere(before);
        }
        Ok((batch, hold))
    }

    /// Dropping the last view of a version takes time in proportion to what was replaced since: not the apply lane's.
    fn drop_elsewhere(&self, view: Option<View>) {
        drop(self.spawn.run(Lane::Query(self.group), Box::new(move || drop(view))));
    }

    /// Reads on in the committed log for what the machine is told to pass over.
    async fn read_skips(self: &Arc<Self>, held: u64) -> Result<(), io::Error> {
        let Some((mut log, committed)) = self.log_and_committed() else { return Ok(()) };
        let mut entries = pin!(log.entries_stream(held + 1..committed + 1).await);
        while let Some(entry) = entries.next().await {
            let Payload::Normal(command) = entry?.payload else { continue };
            let decoded = Entry::decode(command.entry()).map_err(io::Error::other)?;
            for record in decoded.records {
                if let Request::Skip { index, position } = record.request {
                    self.machine.lock().unwrap_or_else(PoisonError::into_inner).skip(index, position);
                }
            }
        }
        Ok(())
    }

    async fn on_apply_lane<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, io::Error> {
        let shared = self.clone();
        let (sender, receiver) = oneshot::channel();
        let job = Box::new(move || drop(sender.send(work(&shared))));
        self.spawn.run(Lane::Apply(self.group), job).await;
        receiver.await.map_err(|_| io::Error::other("the apply lane ended"))
    }

    /// Does `work` on the snapshot files; a full disk is waited out, as the log does, when history has no more to give.
    /// Doing it again is harmless.
    pub(crate) async fn when_room<T: Send + 'static>(
        &self,
        work: impl Fn(&Arc<Store>) -> Result<T, SnapshotError> + Clone + Send + 'static,
    ) -> Result<T, SnapshotError> {
        loop {
            match self.store.on_lane(work.clone()).await {
                Err(SnapshotError::Disk(DiskError::Full { path })) if !self.is_stopping() => {
                    if self.give_way().await? {
                        tracing::warn!(group = self.group, path, "the disk is full: the oldest of history goes");
                        continue;
                    }
                    tracing::warn!(group = self.group, path, "no room for a snapshot");
                    self.clock.sleep_until(self.clock.now().after(FULL_RETRY)).await;
                }
                done => return done,
            }
        }
    }

    /// Gives the oldest of history for room; whether there was any.
    pub(crate) async fn give_way(&self) -> Result<bool, SnapshotError> {
        let Some(history) = self.history.clone() else { return Ok(false) };
        self.store.on_lane(move |store| history.give_way(store)).await
    }

    async fn wait_for_poke(&self) -> Result<(), io::Error> {
        let retry = self.clock.sleep_until(self.clock.now().after(HOLD_RETRY));
        let poked = self.poked.notified();
        futures::pin_mut!(poked);
        futures::future::select(poked, retry).await;
        if self.is_stopping() { Err(io::Error::other("the node stops")) } else { Ok(()) }
    }
}

/// How much of the state an entry may have replaced, in calls and changes. What is no call may have given up a table or an
/// index with all its rows.
fn replaced(entry: &Entry, effects: &Effects) -> usize {
    let changes_little = |record: &isx_cluster::Record| {
        matches!(record.request, Request::Call(_) | Request::Deliver { .. } | Request::Settle { .. })
    };
    match entry.records.iter().all(changes_little) {
        true => entry.records.len() + effects.changes_count(),
        false => usize::MAX,
    }
}

/// The machine before its first entry.
pub(crate) fn new_machine(group: u64, executor: &dyn Executor, planted: Planted) -> Machine {
    let mut machine = Machine::new(u32::try_from(group).unwrap_or(u32::MAX).into(), executor.execution_id());
    planted.in_machine(&mut machine);
    machine
}

/// The machine that a snapshot describes. Blocks.
pub(crate) fn load(held: &Held, planted: Planted) -> Result<Machine, SnapshotError> {
    let mut restore = Restore::new(held.manifest().machine()).map_err(SnapshotError::Machine)?;
    planted.in_restore(&mut restore);
    while let Some(chunk) = restore.expected() {
        restore.put(&held.read(&chunk.hash)?).map_err(SnapshotError::Machine)?;
    }
    restore.finish().map_err(SnapshotError::Machine)
}

/// openraft's handle on the machine.
pub(crate) struct Replica {
    shared: Arc<Shared>,
}

impl Replica {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl RaftStateMachine<Types> for Replica {
    type SnapshotData = Held;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let published = self.shared.published();
        Ok((published.applied, published.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut pieces = entries.ready_chunks(limits::ENTRIES_PER_APPLY_MAX);
        while let Some(piece) = pieces.next().await {
            let mut batch = piece.into_iter().collect::<Result<Batch, _>>()?;
            while !batch.is_empty() {
                let begun = self.shared.clock.now();
                let (rest, hold) = self.shared.on_apply_lane(move |shared| shared.apply(batch)).await??;
                self.shared.measures.applies.observe_time(self.shared.clock.now().since(begun));
                batch = rest;
                if let Some(hold) = hold {
                    tracing::warn!(group = self.shared.group, %hold, "the group holds");
                    self.shared.wait_for_poke().await?;
                    if let Some((held, _)) = batch.front() {
                        self.shared.read_skips(held.log_id.index).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let published = self.shared.published().clone();
        Builder { shared: self.shared.clone(), published }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, held: Held) -> Result<(), io::Error> {
        let planted = self.shared.planted;
        // Loaded before it replaces anything: a snapshot that does not load is never the current one.
        let loaded = held.clone();
        let machine = self.shared.store.on_lane(move |_| load(&loaded, planted)).await?;
        let (history, mark) = (self.shared.history.clone(), Mark::of(&machine.view()));
        if !planted.has(Bug::InstallNotKept) {
            self.shared.when_room(move |store| held.adopt(store)).await?;
        }
        if let (Some(history), Some(last)) = (history, meta.last_log_id) {
            // Of what lies between nothing is kept: history before it can not be gone on from.
            history.at_snapshot(last.index, mark);
        }
        let meta = meta.clone();
        let replace = move |shared: &Shared| {
            let mut current = shared.machine.lock().unwrap_or_else(PoisonError::into_inner);
            if !planted.has(Bug::InstallKeepsState) {
                *current = machine;
            }
            let view = current.view();
            drop(current);
            let timer = view.next_timer();
            let mut before = None;
            shared.publish(|published| {
                before = Some(std::mem::replace(&mut published.view, view));
                published.applied = meta.last_log_id;
                published.membership = meta.last_membership;
                published.hold = None;
                if planted.has(Bug::InstallHidesGap) {
                    return;
                }
                // What lies between is known to nobody here: followers are told to begin again.
                published.recent.clear();
                published.recent_from = after(meta.last_log_id);
            });
            if let Some(before) = &before {
                shared.note_timers(before, timer);
            }
            shared.drop_elsewhere(before);
        };
        self.shared.on_apply_lane(replace).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let current = self.shared.store.current();
        Ok(current.map(|held| Snapshot { meta: held.manifest().meta().clone(), snapshot: held }))
    }
}

/// A version of the state about to become files.
pub(crate) struct Builder {
    shared: Arc<Shared>,
    published: Published,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Held;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let Published { view, applied, membership, .. } = self.published.clone();
        let forgotten = self.shared.planted.has(Bug::MembersForgotten);
        let last_membership = if forgotten { StoredMembership::default() } else { membership };
        let meta = SnapshotMeta { last_log_id: applied, last_membership };
        let begun = self.shared.clock.now();
        let history = self.shared.history.clone();
        let mark = Mark::of(&view);
        // What the snapshot covers is in history before the log may drop it.
        let replaced = self.shared.keep_history(applied.map(|id| id.index), &mark).await;
        let building = move |store: &Arc<Store>| build(store, meta.clone(), &view, replaced);
        let held = self.shared.when_room(building).await?;
        self.shared.measures.snapshots.observe_time(self.shared.clock.now().since(begun));
        if let (Some(history), Some(index)) = (history, held.manifest().last_index())
            && Some(index) == applied.map(|id| id.index)
        {
            history.at_snapshot(index, mark);
            if let Err(error) = self.shared.store.on_lane(move |store| history.enforce(store)).await {
                tracing::error!(%error, "what is old in history stays until the next snapshot");
            }
        }
        Ok(Snapshot { meta: held.manifest().meta().clone(), snapshot: held })
    }
}

/// Writes a version's chunks and manifest. Blocks.
fn build(store: &Arc<Store>, meta: SnapshotMeta, view: &View, replaced: Replaced) -> Result<Held, SnapshotError> {
    let mut pin = store.pin();
    let mut snapshot = view.snapshot();
    for chunk in snapshot.by_ref() {
        pin.add(chunk.hash);
        store.put_chunk(chunk.hash, &chunk.bytes)?;
    }
    if replaced == Replaced::Stays {
        store.keep_base()?;
    }
    store.commit(Manifest::new(meta, snapshot.finish().map_err(SnapshotError::Machine)?)?)
}
