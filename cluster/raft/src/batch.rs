//! Requests wait here until they are proposed, as many together as fit one entry.
//!
//! While no entry is on its way a request leaves at once. While fewer than [`limits::ENTRIES_IN_FLIGHT_MAX`] are, it
//! leaves when half as many wait as are on their way: it would be applied behind them in any case, and entries keep an
//! even size. That is all the batching there is: no timer, no delay when idle. At its deadline a request that still waits
//! is taken back and answered `busy`: it is surely in no log. One that has left is
//! answered `deadline`: it may have happened, and its session can be asked.

use crate::limits;
use crate::planted::{Bug, Planted};
use crate::replica::Shared;
use crate::types::{Command, Raft};
use futures::StreamExt;
use futures::channel::oneshot;
use futures::future::Either;
use futures::stream::FuturesUnordered;
use isx_cluster::{Entry, EntryHeader, Outcome, Packed, Request};
use isx_port::{Clock, Entropy, Instant};
use isx_row::{Code, Error, Time};
use isx_store::ExecutionId;
use openraft::errors::{ClientWriteError, RaftError};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a caller at its bound is told to wait.
const RETRY_AFTER_MS: u32 = 100;

/// The requests of one group.
pub(crate) struct Queue {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    work: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
    /// How many must wait for the proposer to be woken; 0 when it needs no waking.
    wanted: usize,
}

struct Waiting {
    request: Packed,
    place: Arc<Place>,
    answer: oneshot::Sender<Result<Outcome, Error>>,
}

/// Where a request is; decided once, by whoever comes first.
struct Place(AtomicU8);

impl Place {
    const WAITS: u8 = 0;
    const LEFT: u8 = 1;
    const WITHDRAWN: u8 = 2;

    fn decide(&self, place: u8) -> bool {
        self.0.compare_exchange(Self::WAITS, place, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

fn busy(what: &str) -> Error {
    Error { code: Code::Busy, text: what.into(), retry_after_ms: Some(RETRY_AFTER_MS) }
}

/// What to tell a caller who asked a node that does not lead.
pub(crate) fn not_leader(leader: Option<u64>) -> Error {
    let text = match leader {
        Some(leader) => format!("node {leader} leads"),
        None => "no leader is known".into(),
    };
    Error { code: Code::NotLeader, text, retry_after_ms: Some(RETRY_AFTER_MS) }
}

impl Queue {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default(), work: Notify::new(), room: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state();
        (state.waiting.len(), state.bytes)
    }

    /// Nothing further is taken; what waits is answered `busy`.
    pub(crate) fn close(&self) {
        let waiting = {
            let mut state = self.state();
            state.closed = true;
            state.bytes = 0;
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting {
            if waiting.place.decide(Place::WITHDRAWN) {
                let _ = waiting.answer.send(Err(busy("the node stops")));
            }
        }
        self.work.notify_one();
        self.room.notify_waiters();
    }

    /// See [`crate::Raft::propose`].
    pub(crate) async fn propose(&self, request: &Request, deadline: Instant) -> Result<Outcome, Error> {
        let (place, answer) = self.enter(request.pack()?, deadline).await?;
        match futures::future::select(answer, self.clock.sleep_until(deadline)).await {
            Either::Left((Ok(answer), _)) => answer,
            Either::Left((Err(_), _)) => Err(Error::new(Code::Unknown, "the node stopped meanwhile")),
            Either::Right(_) if place.decide(Place::WITHDRAWN) => Err(busy("too many requests wait")),
            Either::Right(_) => Err(Error::new(Code::Deadline, "no answer before the deadline")),
        }
    }

    async fn enter(
        &self,
        request: Packed,
        deadline: Instant,
    ) -> Result<(Arc<Place>, oneshot::Receiver<Result<Outcome, Error>>), Error> {
        let bytes = request.room_bytes();
        loop {
            let room = self.room.notified();
            {
                let mut state = self.state();
                if state.closed {
                    return Err(busy("the node stops"));
                }
                if state.waiting.len() < limits::REQUESTS_QUEUED_MAX
                    && state.bytes + bytes <= limits::REQUESTS_QUEUED_BYTES_MAX
                {
                    let place = Arc::new(Place(AtomicU8::new(Place::WAITS)));
                    let (answer, answered) = oneshot::channel();
                    state.bytes += bytes;
                    state.waiting.push_back(Waiting { request, place: place.clone(), answer });
                    if state.wanted > 0 && state.waiting.len() >= state.wanted {
                        state.wanted = 0;
                        self.work.notify_one();
                    }
                    return Ok((place, answered));
                }
            }
            futures::pin_mut!(room);
            if let Either::Right(_) = futures::future::select(room, self.clock.sleep_until(deadline)).await {
                return Err(busy("too many requests wait"));
            }
        }
    }

    /// The requests of the next entry, as many as fit one. None, while fewer than `least` wait: then the proposer is
    /// woken when they do.
    fn take(&self, least: usize) -> Vec<Waiting> {
        let mut state = self.state();
        let mut batch = Vec::new();
        if state.waiting.len() < least {
            state.wanted = least;
            return batch;
        }
        let mut bytes = 0;
        while let Some(next) = state.waiting.front() {
            let more = next.request.room_bytes();
            if bytes + more > limits::ENTRY_ROOM_BYTES || batch.len() == limits::REQUESTS_PER_ENTRY_MAX {
                break;
            }
            state.bytes = state.bytes.saturating_sub(more);
            // Who has withdrawn, or is not waited for, is left out.
            if let Some(next) = state.waiting.pop_front()
                && !next.answer.is_canceled()
                && next.place.decide(Place::LEFT)
            {
                bytes += more;
                batch.push(next);
            }
        }
        if batch.is_empty() {
            // Whoever waited has withdrawn.
            state.wanted = least;
        }
        drop(state);
        self.room.notify_waiters();
        batch
    }

    /// Proposes until the queue is closed.
    pub(crate) async fn run(self: Arc<Self>, proposer: Proposer) {
        let mut on_the_way = FuturesUnordered::new();
        let mut requests_on_the_way = 0;
        loop {
            while on_the_way.len() < limits::ENTRIES_IN_FLIGHT_MAX {
                let batch = self.take((requests_on_the_way / 2).max(1));
                if batch.is_empty() {
                    break;
                }
                requests_on_the_way += batch.len();
                proposer.shared.measures.requests.observe(batch.len() as u64);
                let mut seed = [0; 32];
                proposer.entropy.fill(&mut seed);
                let header = proposer.header(&*self.clock);
                let entry = Entry::pack(header, &seed, batch.iter().map(|waiting| &waiting.request));
                on_the_way.push(propose(&proposer.raft, batch, entry));
            }
            if on_the_way.is_empty() {
                if self.state().closed {
                    return;
                }
                self.work.notified().await;
            } else {
                let work = self.work.notified();
                futures::pin_mut!(work);
                if let Either::Left((Some(answered), _)) = futures::future::select(on_the_way.next(), work).await {
                    requests_on_the_way -= answered;
                }
            }
        }
    }
}

/// What a group's entries are proposed with.
pub(crate) struct Proposer {
    pub(crate) raft: Raft,
    pub(crate) shared: Arc<Shared>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) execution: ExecutionId,
    pub(crate) planted: Planted,
}

impl Proposer {
    fn header(&self, clock: &dyn Clock) -> EntryHeader {
        let level = self.shared.published().view.level();
        let time = match self.planted.has(Bug::TimeFromWall) {
            true => Time(clock.wall().unix_us),
            false => self.shared.proposal_time(clock),
        };
        EntryHeader { level, execution: self.execution, time }
    }
}

/// Proposes an entry and answers its requests; how many they are.
async fn propose(raft: &Raft, batch: Vec<Waiting>, entry: Result<Vec<u8>, Error>) -> usize {
    let count = batch.len();
    let answers = batch.into_iter().map(|one| one.answer);
    match outcomes(raft, entry, count).await {
        // Who asked may have gone.
        Ok(outcomes) => answers.zip(outcomes).for_each(|(answer, outcome)| drop(answer.send(Ok(outcome)))),
        Err(error) => answers.for_each(|answer| drop(answer.send(Err(error.clone())))),
    }
    count
}

async fn outcomes(raft: &Raft, entry: Result<Vec<u8>, Error>, count: usize) -> Result<Vec<Outcome>, Error> {
    match raft.client_write(Command::new(&entry?)).await {
        Ok(response) if response.data.0.len() == count => Ok(response.data.0),
        Ok(_) => Err(Error::new(Code::Unknown, "the entry answers another number of requests")),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => Err(not_leader(forward.leader_id)),
        Err(error) => Err(Error::new(Code::Unknown, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use isx_port::WallTime;

    /// Time does not pass.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Instant {
            Instant::default()
        }
        fn wall(&self) -> WallTime {
            WallTime::default()
        }
        fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
            futures::future::pending().boxed()
        }
    }

    fn enter(queue: &Queue) -> oneshot::Receiver<Result<Outcome, Error>> {
        let request = Request::Tick.pack().unwrap();
        queue.enter(request, Instant::default()).now_or_never().expect("there is room").unwrap().1
    }

    fn is_woken(queue: &Queue) -> bool {
        queue.work.notified().now_or_never().is_some()
    }

    #[test]
    fn the_proposer_is_woken_once_by_as_many_as_it_wants() {
        let queue = Queue::new(Arc::new(Still));
        assert!(queue.take(2).is_empty());
        let _first = enter(&queue);
        assert!(!is_woken(&queue), "one is too few");
        assert!(queue.take(2).is_empty());
        let _rest = [enter(&queue), enter(&queue)];
        assert!(is_woken(&queue));
        assert_eq!(queue.take(2).len(), 3);
        let _later = enter(&queue);
        assert!(!is_woken(&queue), "nobody asked to be woken");
    }

    #[test]
    fn requests_nobody_waits_for_do_not_keep_the_proposer_asleep() {
        let queue = Queue::new(Arc::new(Still));
        drop(enter(&queue));
        assert!(queue.take(1).is_empty());
        let _next = enter(&queue);
        assert!(is_woken(&queue));
        assert_eq!(queue.take(1).len(), 1);
    }
}
