//! openraft's log storage over the one log of the node.
//!
//! Every group submits to the same [`Wal`]; a driver takes what has gathered as one job, performs it on the disk's lane
//! and tells whoever waits. While a job is out the next one gathers: that is the group commit. Records stay in order, so
//! a vote or a truncation is durable before any entry submitted after it.

use crate::figures::{Histogram, LogFigures};
use crate::format::{self, FormatError};
use crate::limits;
use crate::planted::{Bug, Planted};
use crate::runtime::Node;
use crate::types::{LogEntry, LogId, Types, Vote, log_id};
use futures::channel::oneshot;
use futures::{Stream, stream};
use isx_port::{Disk, Instant, Lane, Spawn};
use isx_row::ContentHash;
use isx_store::ExecutionId;
use isx_wal::{Fetch, Group, LogIdentity, Record, Recovered, Ticket, Wal, WalError};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, RaftLogReader};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The folder of the log.
pub(crate) const DIR: &str = "wal";
/// How long to wait before a full disk is tried again.
pub(crate) const FULL_RETRY: Duration = Duration::from_millis(200);

/// The log of a node, shared by its groups.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    spawn: Arc<dyn Spawn>,
    clock: Arc<dyn isx_port::Clock>,
    state: Mutex<State>,
    /// Times of writes with their sync.
    writes: Histogram,
    /// There may be a job.
    work: Notify,
    /// There is room again, or the log failed.
    room: Notify,
    /// The log failed.
    failed: Notify,
    planted: Planted,
}

struct State {
    wal: Wal,
    /// The last write found the disk full, and is tried again.
    full: bool,
    waiting: VecDeque<(Ticket, Waiter)>,
    failure: Option<String>,
    stopping: bool,
    /// Since when a write is under way.
    begun: Option<Instant>,
    /// Who can make room on a full disk.
    rooms: Vec<Arc<Notify>>,
}

/// Who is told that a ticket is durable.
enum Waiter {
    Append(IOFlushed<Types>),
    Once(oneshot::Sender<Result<(), io::Error>>),
}

impl Waiter {
    fn tell(self, result: Result<(), io::Error>) {
        match self {
            Self::Append(flushed) => flushed.io_completed(result),
            Self::Once(sender) => drop(sender.send(result)),
        }
    }
}

/// The identity of a node's log: of this cluster and this node.
pub(crate) fn identity(cluster: &[u8; 16], node: u64) -> LogIdentity {
    let name = [b"isx:log".as_slice(), cluster, &node.to_le_bytes()].concat();
    let [identity @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = ContentHash::of(&name).digest;
    LogIdentity(identity)
}

fn damaged(error: FormatError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Log {
    /// Opens the log and starts its driver; blocks, on the disk's lane.
    pub(crate) async fn open(
        ports: &isx_port::Ports,
        node: &Arc<Node>,
        mut options: isx_wal::Options,
        planted: Planted,
    ) -> Result<(Arc<Self>, Recovered), WalError> {
        let disk = ports.disk.clone();
        let (sender, receiver) = oneshot::channel();
        planted.in_log(&mut options);
        let open = move || drop(sender.send(Wal::open(&*disk, options)));
        ports.spawn.run(Lane::Disk, Box::new(open)).await;
        let gone = |_| WalError::Fatal { text: "the disk's lane ended".into() };
        let (wal, recovered) = receiver.await.map_err(gone)??;
        tracing::info!(?recovered, "log opened");
        let log = Arc::new(Self {
            disk: ports.disk.clone(),
            spawn: ports.spawn.clone(),
            clock: ports.clock.clone(),
            state: Mutex::new(State {
                wal,
                full: false,
                waiting: VecDeque::new(),
                failure: None,
                stopping: false,
                begun: None,
                rooms: Vec::new(),
            }),
            writes: Histogram::of_times(),
            work: Notify::new(),
            room: Notify::new(),
            failed: Notify::new(),
            planted,
        });
        node.spawn("log", log.clone().drive());
        Ok((log, recovered))
    }

    /// The groups whose entries reach back further than so many segments.
    pub(crate) fn laggards(&self, segments: usize) -> Vec<Group> {
        self.state().wal.laggards(segments).into_iter().map(|laggard| laggard.group).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the log failed, once it has.
    pub(crate) async fn failure(&self) -> String {
        loop {
            let notified = self.failed.notified();
            if let Some(failure) = &self.state().failure {
                return failure.clone();
            }
            notified.await;
        }
    }

    /// How it does.
    pub(crate) fn figures(&self) -> LogFigures {
        let state = self.state();
        LogFigures {
            writes: self.writes.read(),
            under_way: state.begun.map(|begun| self.clock.now().since(begun)).unwrap_or_default(),
            is_full: state.full,
            failure: state.failure.clone(),
        }
    }

    /// Whether it waits for room on the disk.
    pub(crate) fn is_full(&self) -> bool {
        self.state().full
    }

    /// Wakes this whenever the disk is full.
    pub(crate) fn wake_when_full(&self, room: Arc<Notify>) {
        self.state().rooms.push(room);
    }

    /// Ends the driver when everything submitted is written and sealed.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.wal.seal();
        state.stopping = true;
        drop(state);
        self.work.notify_one();
    }

    /// The execution id that the group's entries are for, and the index after its last entry.
    pub(crate) fn execution(&self, group: Group) -> (Option<ExecutionId>, u64) {
        let state = self.state();
        let meta = state.wal.state(group).meta;
        let execution =
            meta.and_then(|meta| Some(ExecutionId(meta.strip_prefix(&[format::VERSION])?.try_into().ok()?)));
        (execution, state.wal.range(group).end)
    }

    /// Records the execution id; durable when this returns.
    pub(crate) async fn set_execution(&self, group: Group, execution: ExecutionId) -> Result<(), io::Error> {
        let meta = [&[format::VERSION], execution.0.as_slice()].concat();
        self.submit_durably(group, Record::Meta(meta.into())).await
    }

    async fn drive(self: Arc<Self>) {
        loop {
            let (job, stopping) = {
                let mut state = self.state();
                (state.wal.take_job(), state.stopping)
            };
            let Some(job) = job else {
                if stopping {
                    return;
                }
                self.work.notified().await;
                continue;
            };
            let disk = self.disk.clone();
            let (sender, receiver) = oneshot::channel();
            let begun = self.clock.now();
            self.state().begun = Some(begun);
            self.spawn.run(Lane::Disk, Box::new(move || drop(sender.send(job.perform(&*disk))))).await;
            self.state().begun = None;
            self.writes.observe_time(self.clock.now().since(begun));
            let completed = match receiver.await {
                Ok(done) => self.state().wal.completed(done),
                Err(_) => Err(WalError::Fatal { text: "the disk's lane ended".into() }),
            };
            match completed {
                Ok(completion) => {
                    self.state().full = completion.full;
                    self.tell_durable(completion.durable);
                    self.room.notify_waiters();
                    if completion.full {
                        self.state().rooms.iter().for_each(|room| room.notify_one());
                        let later = self.clock.now().after(FULL_RETRY);
                        self.clock.sleep_until(later).await;
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
    }

    fn tell_durable(&self, durable: Ticket) {
        loop {
            let mut state = self.state();
            let Some((ticket, _)) = state.waiting.front() else { return };
            if *ticket > durable {
                return;
            }
            let waiter = state.waiting.pop_front();
            drop(state);
            if let Some((_, waiter)) = waiter {
                waiter.tell(Ok(()));
            }
        }
    }

    /// Nothing is known about unsynced bytes any more: everyone who waits hears of it, and nothing is acknowledged.
    fn fail(&self, error: &WalError) {
        let text = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ");
        tracing::error!(error = %text, "the log failed; this node must end");
        let waiting = {
            let mut state = self.state();
            state.failure = Some(text.clone());
            std::mem::take(&mut state.waiting)
        };
        for (_, waiter) in waiting {
            waiter.tell(Err(io::Error::other(text.clone())));
        }
        self.room.notify_waiters();
        self.failed.notify_waiters();
    }

    /// Submits one record, waiting for room.
    async fn submit(&self, group: Group, record: Record) -> Result<Ticket, io::Error> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state();
                if let Some(failure) = &state.failure {
                    return Err(io::Error::other(failure.clone()));
                }
                match state.wal.submit(group, record.clone()) {
                    Ok(ticket) => {
                        drop(state);
                        self.work.notify_one();
                        return Ok(ticket);
                    }
                    Err(WalError::Busy | WalError::Full) => {}
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
            room.await;
        }
    }

    /// Tells `waiter` when `ticket` is durable.
    fn when_durable(&self, ticket: Ticket, waiter: Waiter) {
        let mut state = self.state();
        if let Some(failure) = state.failure.clone() {
            drop(state);
            waiter.tell(Err(io::Error::other(failure)));
        } else if state.wal.durable() >= ticket {
            drop(state);
            waiter.tell(Ok(()));
        } else {
            // Groups submit concurrently, so a waiter may come after one with a later ticket.
            let position = state.waiting.partition_point(|(other, _)| *other <= ticket);
            state.waiting.insert(position, (ticket, waiter));
        }
    }

    async fn submit_durably(&self, group: Group, record: Record) -> Result<(), io::Error> {
        let ticket = self.submit(group, record).await?;
        let (sender, receiver) = oneshot::channel();
        self.when_durable(ticket, Waiter::Once(sender));
        receiver.await.map_err(|_| io::Error::other("the log ended"))?
    }

    fn fetch(&self, group: Group, range: Range<u64>, bytes_max: usize) -> Fetch {
        self.state().wal.entries(group, range, bytes_max)
    }

    async fn read(&self, group: Group, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, io::Error> {
        let fetch = self.fetch(group, range, bytes_max);
        let entries = if fetch.is_ready() {
            fetch.perform(&*self.disk)
        } else {
            let disk = self.disk.clone();
            let (sender, receiver) = oneshot::channel();
            // Not the disk's own lane: a follower that catches up must not delay anybody's sync.
            self.spawn.run(Lane::Snapshot, Box::new(move || drop(sender.send(fetch.perform(&*disk))))).await;
            receiver.await.map_err(|_| io::Error::other("the lane ended"))?
        };
        let entries = entries.map_err(io::Error::other)?;
        entries.into_iter().map(entry_from_log).collect()
    }
}

fn entry_from_log(entry: isx_wal::Entry) -> Result<LogEntry, io::Error> {
    let payload = format::payload_from_bytes(entry.payload).map_err(damaged)?;
    Ok(LogEntry { log_id: log_id(entry.term, entry.index), payload })
}

fn to_range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end.max(start)
}

/// The log of one group.
#[derive(Clone)]
pub(crate) struct GroupLog {
    log: Arc<Log>,
    group: Group,
}

impl GroupLog {
    pub(crate) fn new(log: Arc<Log>, group: Group) -> Self {
        Self { log, group }
    }

    fn state(&self) -> isx_wal::State {
        self.log.state().wal.state(self.group)
    }

    fn purged(&self) -> Result<Option<LogId>, io::Error> {
        let Some(purged) = self.state().purged else { return Ok(None) };
        let mut reader = format::Reader::new(&purged.mark);
        let id = format::read_log_id(&mut reader).and_then(|id| reader.end().map(|()| id)).map_err(damaged)?;
        Ok(Some(id))
    }
}

impl RaftLogReader<Types> for GroupLog {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<LogEntry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        self.log.read(self.group, to_range(&range), usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.state().vote.map(|bytes| format::vote_from_bytes(&bytes)).transpose().map_err(damaged)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, io::Error> {
        self.log.read(self.group, start..end, limits::APPEND_BYTES_MAX).await
    }

    /// In pieces, so that replaying a long log holds one piece in memory.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<LogEntry, io::Error>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let log = self.clone();
        let pieces = stream::try_unfold((log, to_range(&range)), |(log, range)| async move {
            let entries = log.log.read(log.group, range.clone(), limits::APPEND_BYTES_MAX).await?;
            let Some(last) = entries.last() else { return Ok(None) };
            let next = last.log_id.index.saturating_add(1);
            Ok::<_, io::Error>(Some((stream::iter(entries.into_iter().map(Ok)), (log, next..range.end))))
        });
        Box::pin(futures::TryStreamExt::try_flatten(pieces))
    }
}

impl RaftLogStorage<Types> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let last_purged_log_id = self.purged()?;
        let last = {
            let state = self.log.state();
            let last = state.wal.range(self.group).last();
            last.and_then(|index| Some((state.wal.term(self.group, index)?, index)))
        };
        let last_log_id = last.map(|(term, index)| log_id(term, index)).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let record = Record::Vote(format::vote_to_bytes(vote).into());
        if self.log.planted.has(Bug::VoteNotSaved) {
            return Ok(());
        }
        self.log.submit_durably(self.group, record).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = LogEntry> + Send,
        I::IntoIter: Send,
    {
        let mut last = Ticket::default();
        for entry in entries {
            let payload = format::payload_to_bytes(&entry.payload);
            let (index, term) = (entry.log_id.index, entry.log_id.leader_id.term);
            last = self.log.submit(self.group, Record::Entry(isx_wal::Entry { index, term, payload })).await?;
        }
        let ticket = if self.log.planted.has(Bug::FlushedEarly) { Ticket::default() } else { last };
        self.log.when_durable(ticket, Waiter::Append(callback));
        Ok(())
    }

    /// Durable with whatever is appended next: until then a crash brings back what nobody was told is gone.
    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |last| last.index.saturating_add(1));
        if self.log.planted.has(Bug::TruncateForgotten) {
            return Ok(());
        }
        self.log.submit(self.group, Record::Truncate { from }).await.map(drop)
    }

    /// Called when a durable snapshot covers the entries; a crash before it is written only brings them back.
    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let upto =
            if self.log.planted.has(Bug::PurgeAhead) { log_id(upto.leader_id.term, upto.index + 64) } else { upto };
        let mut mark = Vec::new();
        format::put_log_id(&mut mark, &upto);
        self.log.submit(self.group, Record::Purge { upto: upto.index, mark: mark.into() }).await.map(drop)
    }
}
