//! The groups of a node, as everything above consensus sees them.

mod start;
mod status;

pub use start::StartError;
pub use status::{GroupStatus, Role, Voting};

use crate::batch::{Proposer, Queue, not_leader};
use crate::history::Retention;
use crate::limits;
use crate::log::{self, GroupLog, Log};
use crate::network::Links;
use crate::planted::{Bug, Planted};
use crate::replica::{Published, Replica, Shared};
use crate::runtime::{Node, Runtime};
use crate::serve::{Groups, Served, serve};
use crate::snapshot::SnapshotError;
use crate::types::{self, Member};
use crate::{post, tick};
use futures::future::{Either, select, select_all};
use isx_cluster::{Effects, Outcome, Request, View};
use isx_port::{Clock, Instant, PeerId, Ports};
use isx_row::{Code, Error, Time};
use isx_store::{ExecutionId, Executor};
use isx_wal::Group;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::{AsyncRuntime, Config, ReadPolicy, SnapshotPolicy};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The tree of names and membership.
pub const TREE: Group = Group(0);
/// The mounts.
pub const MOUNTS: Group = Group(1);
const GROUPS: [Group; 2] = [TREE, MOUNTS];

/// Whether the node has been in the cluster before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It may be its first start: an empty log is begun.
    New,
    /// It has voted before: an empty log means that its votes are lost, and it must come back under another id.
    Existing,
}

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's number in its groups: made once, never used by another node or after a lost disk.
    pub node: u64,
    /// The cluster; the log of another one is refused.
    pub cluster: [u8; 16],
    /// The first voters, the same on each of them. The lowest one begins the groups, once.
    pub founders: BTreeMap<u64, PeerId>,
    /// Whether an empty log is a beginning or a loss.
    pub origin: Origin,
    /// Entries between two snapshots of a group.
    pub entries_per_snapshot: u64,
    /// What is kept of the past of mounts.
    pub history: Retention,
    /// Bytes of the longest segment of the log: so much of the disk may be reserved and unused.
    pub segment_bytes_max: u64,
    pub(crate) planted: Planted,
}

impl Options {
    /// A cluster of this one node.
    pub fn single(cluster: [u8; 16], peer: PeerId, origin: Origin) -> Self {
        Self::new(1, cluster, [(1, peer)].into(), origin)
    }

    /// One of several founders.
    pub fn new(node: u64, cluster: [u8; 16], founders: BTreeMap<u64, PeerId>, origin: Origin) -> Self {
        let entries_per_snapshot = limits::ENTRIES_PER_SNAPSHOT;
        let (history, segment_bytes_max) = (Retention::default(), limits::LOG_SEGMENT_BYTES_MAX);
        let planted = Planted::NONE;
        Self { node, cluster, founders, origin, entries_per_snapshot, history, segment_bytes_max, planted }
    }
}

/// How fresh a view must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Everything acknowledged anywhere before the read began: a read index, answered by the leader only.
    Linearizable,
    /// What this node has applied.
    Stale,
}

/// One group.
pub(crate) struct Running {
    raft: types::Raft,
    pub(crate) shared: Arc<Shared>,
    queue: Arc<Queue>,
}

struct Inner {
    node: Arc<Node>,
    clock: Arc<dyn Clock>,
    id: u64,
    log: Arc<Log>,
    groups: BTreeMap<u64, Running>,
    planted: Planted,
}

/// The groups of a node. Cheap to clone; they run until [`Raft::stop`] or the end of the executor.
#[derive(Clone)]
pub struct Raft {
    inner: Arc<Inner>,
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raft").field("node", &self.inner.id).finish_non_exhaustive()
    }
}

fn config(options: &Options) -> Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "isx".into(),
        heartbeat_interval: millis(limits::HEARTBEAT),
        election_timeout_min: millis(limits::ELECTION_MIN),
        election_timeout_max: millis(limits::ELECTION_MAX),
        install_snapshot_timeout: millis(limits::INSTALL_WITHIN),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.entries_per_snapshot),
        max_in_snapshot_log_to_keep: limits::ENTRIES_KEPT.min(options.entries_per_snapshot / 2),
        // A follower that far behind gets the snapshot.
        replication_lag_threshold: options.entries_per_snapshot.saturating_mul(2),
        enable_pre_vote: Some(true),
        // A restarted leader must be elected again: its state is rebuilt from what a quorum has.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

fn log_options(options: &Options) -> isx_wal::Options {
    let identity = log::identity(&options.cluster, options.node);
    let mut log = isx_wal::Options::new(log::DIR, identity);
    log.segment_bytes_max = options.segment_bytes_max;
    log
}

fn group_error(group: Group) -> impl Fn(&dyn fmt::Display) -> StartError {
    move |error| StartError::Group { group: group.0, text: error.to_string() }
}

impl Raft {
    /// Opens the node's log and snapshots and starts its groups.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is changed by a refused start.
    ///
    /// # Cancel safety
    /// Dropping the future leaves tasks of a half-started node on the executor.
    pub async fn start(ports: Ports, options: Options, executor: Arc<dyn Executor>) -> Result<Self, StartError> {
        let node = Node::new(&ports);
        node.scope(Self::start_scoped(node.clone(), ports, options, executor)).await
    }

    async fn start_scoped(
        node: Arc<Node>,
        ports: Ports,
        options: Options,
        executor: Arc<dyn Executor>,
    ) -> Result<Self, StartError> {
        let (log, recovered) = Log::open(&ports, &node, log_options(&options), options.planted).await?;
        if recovered.created && options.origin == Origin::Existing {
            log.stop();
            return Err(StartError::Forgotten { node: options.node });
        }
        let config = Arc::new(config(&options).validate().map_err(|error| group_error(TREE)(&error))?);
        let mut groups = BTreeMap::new();
        for group in GROUPS {
            let retention = (group != TREE).then_some((options.history, options.entries_per_snapshot));
            let shared = Shared::open(&ports, group.0, executor.clone(), retention, options.planted).await;
            let shared = shared.map_err(|error: SnapshotError| StartError::Snapshot {
                group: group.0,
                code: error.code(),
                text: error.to_string(),
            })?;
            let applied = shared.published().applied.map(|id| id.index);
            claim(&log, group, executor.execution_id(), applied).await?;
            let links = Links { node: node.clone(), net: ports.net.clone(), local: options.node, group: group.0 };
            let storage = GroupLog::new(log.clone(), group);
            let raft =
                types::Raft::new(options.node, config.clone(), links, storage, Replica::new(shared.clone())).await;
            let raft = raft.map_err(|error| group_error(group)(&error))?;
            let queue = Queue::new(ports.clock.clone());
            shared.attach(GroupLog::new(log.clone(), group), raft.metrics());
            let proposer = Proposer {
                raft: raft.clone(),
                shared: shared.clone(),
                entropy: ports.entropy.clone(),
                execution: executor.execution_id(),
                planted: options.planted,
            };
            node.spawn("batch", queue.clone().run(proposer));
            let weak = || (Arc::downgrade(&queue), Arc::downgrade(&shared));
            node.spawn("tick", tick::run(weak(), ports.clock.clone()));
            node.spawn("fire", tick::fire(weak(), ports.clock.clone()));
            node.spawn("post", post::run(weak(), ports.clock.clone()));
            log.wake_when_full(shared.full.clone());
            node.spawn("room", tick::make_room(Arc::downgrade(&shared)));
            groups.insert(group.0, Running { raft, shared, queue });
        }
        let founders = &options.founders;
        let served = |running: &Running| Served {
            raft: running.raft.clone(),
            store: running.shared.store().clone(),
            founders: founders.clone(),
        };
        let served: Groups = Arc::new(groups.iter().map(|(group, running)| (*group, served(running))).collect());
        if founders.len() > 1 {
            serve(node.clone(), ports.net.clone(), served).await?;
        }
        let inner = Inner { node, clock: ports.clock, id: options.node, log, groups, planted: options.planted };
        let raft = Self { inner: Arc::new(inner) };
        for group in GROUPS {
            raft.begin(group, founders).await?;
        }
        Ok(raft)
    }

    /// Begins the group if that is this node's part, and does not let a lone voter wait for its own election timeout.
    async fn begin(&self, group: Group, founders: &BTreeMap<u64, PeerId>) -> Result<(), StartError> {
        let Some(running) = self.inner.groups.get(&group.0) else { return Ok(()) };
        let raft = &running.raft;
        let failed = group_error(group);
        let initialized = raft.is_initialized().await.map_err(|error| failed(&error))?;
        if !initialized && founders.first_key_value().is_some_and(|(first, _)| *first == self.inner.id) {
            let members: BTreeMap<u64, Member> =
                founders.iter().map(|(id, peer)| (*id, Member { peer: *peer })).collect();
            raft.initialize(members).await.map_err(|error| failed(&error))?;
        } else if raft.voter_ids().eq([self.inner.id]) {
            raft.trigger().elect(false).await.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    pub(crate) fn group(&self, group: Group) -> Result<&Running, Error> {
        self.inner.groups.get(&group.0).ok_or_else(|| Error::new(Code::NotFound, format!("no group {}", group.0)))
    }

    /// Puts `request` into the group's log, with others that wait, and answers what applying it came to.
    ///
    /// # Errors
    /// `busy`, `held` and `not_leader`: it is in no log. `deadline` and `unknown`: it may be applied, now or later.
    ///
    /// # Cancel safety
    /// Dropping the future abandons the answer; the request may be applied all the same.
    pub async fn propose(
        &self,
        group: Group,
        request: impl Borrow<Request>,
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        let (running, request) = (self.group(group)?, request.borrow());
        // What ends a hold must get through it.
        if !matches!(request, Request::Skip { .. }) {
            running.shared.check_serves()?;
        }
        self.check_room()?;
        running.queue.propose(request, deadline).await
    }

    /// Whether the disk takes more: what is in the log waits for room, what is not is refused.
    ///
    /// # Errors
    /// `busy`.
    pub fn check_room(&self) -> Result<(), Error> {
        match self.inner.log.is_full() {
            true => Err(busy(&"the node's disk is full; free space, and it goes on")),
            false => Ok(()),
        }
    }

    /// A version of the group's state.
    ///
    /// # Errors
    /// `not_leader` for a linearizable read elsewhere than at the leader, `held`, `busy` at the deadline, `fatal`.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn read(&self, group: Group, consistency: Consistency, deadline: Instant) -> Result<View, Error> {
        let running = self.group(group)?;
        if consistency == Consistency::Linearizable && !self.inner.planted.has(Bug::ReadWithoutIndex) {
            running.shared.check_serves()?;
            let ready = async {
                let linearizer = running.raft.get_read_linearizer(ReadPolicy::ReadIndex).await;
                let linearizer = linearizer.map_err(|error| match error {
                    RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                        not_leader(forward.leader_id)
                    }
                    RaftError::APIError(error) => busy(&error),
                    RaftError::Fatal(error) => Error::new(Code::Fatal, error.to_string()),
                })?;
                linearizer.await_ready(&running.raft).await.map_err(|error| Error::new(Code::Fatal, error.to_string()))
            };
            self.before(deadline, ready).await??;
        }
        let view = running.shared.published().view.clone();
        Ok(view)
    }

    /// What this node has applied: [`Raft::read`] with [`Consistency::Stale`], at once.
    ///
    /// # Errors
    /// `not_found` for a group that is not here.
    pub fn view(&self, group: Group) -> Result<View, Error> {
        let view = self.group(group)?.shared.published().view.clone();
        Ok(view)
    }

    /// The log time that an entry of a group would bear that this node proposed now.
    ///
    /// # Errors
    /// `not_found` for a group that is not here.
    pub fn time(&self, group: Group) -> Result<Time, Error> {
        let shared = &self.group(group)?.shared;
        let applied = shared.published().view.time();
        Ok(shared.pace().at_present(applied, &*self.inner.clock))
    }

    /// Follows what this node applies in a group, from now on.
    ///
    /// # Errors
    /// `not_found` for a group that is not here.
    pub fn follow(&self, group: Group) -> Result<Follow, Error> {
        let shared = self.group(group)?.shared.clone();
        let seen = shared.published().applied.map(|id| id.index);
        Ok(Follow { shared, seen })
    }

    /// Runs `future` in the node's scope until the deadline.
    pub(crate) async fn before<T>(&self, deadline: Instant, future: impl Future<Output = T>) -> Result<T, Error> {
        let scoped = self.inner.node.scope(future);
        match select(scoped, self.inner.clock.sleep_until(deadline)).await {
            Either::Left((value, _)) => Ok(value),
            Either::Right(_) => Err(busy(&"the deadline passed")),
        }
    }

    /// Waits until the group's leader is known.
    ///
    /// # Errors
    /// `busy` at the deadline, `fatal` when consensus ended.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn wait_leader(&self, group: Group, deadline: Instant) -> Result<(u64, PeerId), Error> {
        let mut metrics = self.group(group)?.raft.server_metrics();
        let found = async {
            loop {
                {
                    let metrics = metrics.borrow_watched();
                    let member = metrics.current_leader.and_then(|leader| {
                        metrics.membership_config.get_node(&leader).map(|member| (leader, member.peer))
                    });
                    if let Some(leader) = member {
                        return Ok(leader);
                    }
                }
                metrics.changed().await.map_err(|_| Error::new(Code::Fatal, "the group ended"))?;
            }
        };
        self.before(deadline, found).await?
    }

    /// Writes a snapshot of what is applied now; durable when this returns. Entries behind it are dropped.
    ///
    /// # Errors
    /// `fatal` when consensus ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the snapshot being written.
    pub async fn snapshot_now(&self, group: Group) -> Result<(), Error> {
        let running = self.group(group)?;
        self.inner.node.scope(snapshot(running)).await
    }

    /// Makes the log as short as it can be: writes snapshots and drops every entry behind them, those too that are kept for
    /// followers that are a little behind.
    ///
    /// # Errors
    /// `fatal` when consensus ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a snapshot being written, and the log as long as it is.
    pub async fn shorten_log(&self) -> Result<(), Error> {
        for running in self.inner.groups.values() {
            self.shorten(running).await?;
        }
        Ok(())
    }

    /// Has groups that rest let go of the oldest segments of the log, which go one after the other and are as old as the oldest
    /// entry of any: those whose entries reach back furthest get a snapshot, and their entries are dropped.
    ///
    /// # Errors
    /// `fatal` when consensus ended.
    ///
    /// # Cancel safety
    /// As [`Raft::shorten_log`].
    pub async fn relieve_log(&self) -> Result<(), Error> {
        for group in self.inner.log.laggards(limits::LOG_SEGMENTS_BEHIND) {
            if let Some(running) = self.inner.groups.get(&group.0) {
                self.shorten(running).await?;
            }
        }
        Ok(())
    }

    async fn shorten(&self, running: &Running) -> Result<(), Error> {
        // One that holds or stops has nothing to be dropped.
        let rests = |published: &Published| published.hold.is_some() || published.is_stopping();
        if rests(&running.shared.published()) {
            return Ok(());
        }
        let shortened = async {
            snapshot(running).await?;
            let covered = running.raft.metrics().borrow_watched().snapshot;
            let Some(covered) = covered else { return Ok(()) };
            let purged = running.raft.trigger().purge_log(covered.index).await;
            purged.map_err(|error| Error::new(Code::Fatal, error.to_string()))
        };
        self.inner.node.scope(shortened).await
    }

    /// Lets the oldest of what is kept of the past of mounts go; whether there was any.
    ///
    /// # Errors
    /// `fatal` when the disk failed.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect on what it began.
    pub async fn forget_past(&self) -> Result<bool, Error> {
        let forgotten = self.group(MOUNTS)?.shared.give_way().await;
        forgotten.map_err(|error| Error::new(error.code(), error.to_string()))
    }

    /// Groups that hold try again: code has arrived.
    pub fn poke(&self) {
        self.inner.groups.values().for_each(|running| running.shared.poke());
    }

    /// Completes with the reason when the node can not go on: its log failed, or a group did. Then the process must end.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn failed(&self) -> String {
        let log = self.inner.log.failure();
        let groups = select_all(self.inner.groups.values().map(|running| Box::pin(ended(running))));
        futures::pin_mut!(log, groups);
        match select(log, groups).await {
            Either::Left((failure, _)) => failure,
            Either::Right(((failure, ..), _)) => failure,
        }
    }

    /// Stops taking requests, writes a snapshot of each group, ends their tasks.
    ///
    /// # Errors
    /// `fatal` when it took longer than [`limits::STOP_WITHIN`]; everything acknowledged is in the log all the same.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the node half stopped.
    pub async fn stop(&self) -> Result<(), Error> {
        self.inner.groups.values().for_each(|running| running.queue.close());
        let stopped = async {
            for running in self.inner.groups.values() {
                // A group that holds or has failed gets no snapshot: its log has everything.
                let held = running.shared.published().hold.is_some();
                if !held && let Err(error) = snapshot(running).await {
                    tracing::warn!(%error, "no snapshot at the stop");
                }
                running.shared.stop();
                if let Err(error) = running.raft.shutdown().await {
                    tracing::warn!(%error, "a group ended badly");
                }
            }
        };
        let deadline = self.inner.clock.now().after(limits::STOP_WITHIN);
        let outcome = self.before(deadline, stopped).await;
        self.inner.log.stop();
        outcome.map_err(|_| Error::new(Code::Fatal, "stopping took too long"))
    }
}

/// What a group does, as it is applied here. A slow follower sees fewer views, never a wrong one.
pub struct Follow {
    shared: Arc<Shared>,
    seen: Option<u64>,
}

/// What happened since the change before.
#[derive(Clone, Debug)]
pub struct Change {
    /// The state now.
    pub view: View,
    /// What each entry since did, in order; none when the follower fell too far behind, or a snapshot was installed:
    /// then what lies between is in the change rings of the view, or told as a reset by them.
    pub effects: Option<Vec<Arc<Effects>>>,
}

impl Follow {
    /// What is applied beyond the change before, as soon as there is something; `None` when the node stops.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Change> {
        let seen = self.seen;
        let next = self.shared.when(|published| {
            let applied = published.applied.map(|id| id.index);
            if applied > seen {
                let change = Change { view: published.view.clone(), effects: published.effects_after(seen) };
                Some(Some((applied, change)))
            } else {
                published.is_stopping().then_some(None)
            }
        });
        let (applied, change) = next.await?;
        self.seen = applied;
        Some(change)
    }
}

fn busy(text: &dyn fmt::Display) -> Error {
    Error::new(Code::Busy, text.to_string())
}

/// Records which execution id applies the group's entries.
async fn claim(log: &Arc<Log>, group: Group, execution: ExecutionId, applied: Option<u64>) -> Result<(), StartError> {
    let (known, end) = log.execution(group);
    if known == Some(execution) {
        return Ok(());
    }
    if known.is_some() && end > applied.map_or(0, |applied| applied + 1) {
        return Err(StartError::OtherExecution { group: group.0 });
    }
    log.set_execution(group, execution).await.map_err(|error| group_error(group)(&error))
}

async fn snapshot(running: &Running) -> Result<(), Error> {
    let fatal = |error: &dyn fmt::Display| Error::new(Code::Fatal, error.to_string());
    let Some(target) = running.shared.published().applied else { return Ok(()) };
    let mut metrics = running.raft.metrics();
    let is_there = |snapshot: Option<types::LogId>| snapshot.is_some_and(|snapshot| snapshot.index >= target.index);
    if is_there(metrics.borrow_watched().snapshot) {
        return Ok(());
    }
    loop {
        // A request while another snapshot is being written is forgotten: asked again until it is there, now and then. Asking is a
        // change of its own: who asked at each would leave no time to write.
        running.raft.trigger().snapshot().await.map_err(|error| fatal(&error))?;
        let written = async {
            loop {
                {
                    let metrics = metrics.borrow_watched();
                    if let Err(error) = &metrics.running_state {
                        return Err(fatal(error));
                    }
                    if is_there(metrics.snapshot) {
                        return Ok(());
                    }
                }
                metrics.changed().await.map_err(|_| fatal(&"the group ended"))?;
            }
        };
        if let Ok(written) = Runtime::timeout(limits::ELECTION_MIN, written).await {
            return written;
        }
    }
}

/// Why the group's consensus ended.
async fn ended(running: &Running) -> String {
    let mut metrics = running.raft.metrics();
    loop {
        if let Err(error) = &metrics.borrow_watched().running_state
            && !running.shared.is_stopping()
        {
            return error.to_string();
        }
        if metrics.changed().await.is_err() {
            return "the group ended".into();
        }
    }
}
