//! The asking side: one stream for each of openraft's clients of a peer, requests in order, answers in the same order.
//!
//! openraft makes a client for replication, one for heartbeats, one for snapshots and one for votes, so a long append
//! never delays a heartbeat. A stream lives as long as it works; a late answer ends it, because those behind it would
//! be taken for others.

use crate::format::FormatError;
use crate::frame::{Frame, FrameError};
use crate::limits;
use crate::message::{Request, Response};
use crate::runtime::{Node, Runtime};
use crate::snapshot::Held;
use crate::types::{LogId, Member, Snapshot, Types, Vote};
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either};
use futures::stream::BoxStream;
use futures::{AsyncReadExt, FutureExt, Stream, StreamExt, stream};
use isx_port::{Net, PeerId, Protocol};
use openraft::AsyncRuntime;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{Backoff, RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{RaftNetworkFactory, RaftNetworkV2};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;

/// The protocol's name.
pub(crate) const PROTOCOL: Protocol = Protocol("/isx/raft/1");

/// Makes clients for one group.
pub(crate) struct Links {
    pub(crate) node: Arc<Node>,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) local: u64,
    pub(crate) group: u64,
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, member: &Member) -> Link {
        let (node, net) = (self.node.clone(), self.net.clone());
        Link { node, net, local: self.local, group: self.group, target, peer: member.peer, stream: None }
    }
}

/// One client of one peer.
pub(crate) struct Link {
    node: Arc<Node>,
    net: Arc<dyn Net>,
    local: u64,
    group: u64,
    target: u64,
    peer: PeerId,
    stream: Option<Asking>,
}

/// A request on its way to the task that owns the stream.
type Sent = (Frame, oneshot::Sender<Result<Response, FormatError>>);

/// The way to a stream's task.
struct Asking(mpsc::Sender<Sent>);

/// Writes requests and gives each answer to whoever asked first among those who wait.
async fn ask(stream: Box<dyn isx_port::Stream>, mut requests: mpsc::Receiver<Sent>) -> Result<(), FrameError> {
    let (mut read, mut write) = stream.split();
    let waiting = Mutex::new(VecDeque::new());
    let writer = async {
        while let Some((frame, answer)) = requests.recv().await {
            waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
            frame.write(&mut write).await?;
        }
        Ok(())
    };
    let reader = async {
        while let Some(frame) = Frame::read(&mut read).await? {
            let answer = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(answer) = answer else { break };
            let _ = answer.send(Response::decode(frame.kind, &frame.contents));
        }
        Ok(())
    };
    futures::pin_mut!(writer, reader);
    futures::future::select(reader, writer).await.factor_first().0
}

impl Link {
    fn unreachable(&self, text: impl ToString) -> RPCError<Types> {
        RPCError::Unreachable(Unreachable::from_string(text))
    }

    fn broken(&mut self, text: impl ToString) -> RPCError<Types> {
        self.stream = None;
        RPCError::Network(NetworkError::from_string(text))
    }

    fn late(&mut self, action: RPCTypes, timeout: Duration) -> RPCError<Types> {
        self.stream = None;
        RPCError::Timeout(Timeout { action, id: self.local, target: self.target, timeout })
    }

    async fn connect(&mut self) -> Result<(), RPCError<Types>> {
        if self.stream.as_ref().is_some_and(|stream| !stream.0.is_closed()) {
            return Ok(());
        }
        let stream =
            self.net.open(self.peer, PROTOCOL, limits::DIAL_WITHIN).await.map_err(|error| self.unreachable(error))?;
        let (sender, receiver) = mpsc::channel(limits::FRAMES_QUEUED_MAX);
        let (peer, group) = (self.peer, self.group);
        self.node.spawn("raft link", async move {
            if let Err(error) = ask(stream, receiver).await {
                tracing::debug!(?peer, group, %error, "a stream to a peer ended");
            }
        });
        self.stream = Some(Asking(sender));
        Ok(())
    }

    /// Sends a request; the answer comes through the receiver, which fails when the stream ends.
    async fn send(
        &mut self,
        request: &Request,
    ) -> Result<oneshot::Receiver<Result<Response, FormatError>>, RPCError<Types>> {
        self.connect().await?;
        let (kind, contents) = request.encode();
        let (sender, receiver) = oneshot::channel();
        let sent = (Frame { group: self.group, kind, contents }, sender);
        let Some(stream) = &self.stream else { return Err(self.unreachable("no stream")) };
        if stream.0.send(sent).await.is_err() {
            return Err(self.broken("the stream ended"));
        }
        Ok(receiver)
    }

    async fn call(
        &mut self,
        request: &Request,
        action: RPCTypes,
        within: Duration,
    ) -> Result<Response, RPCError<Types>> {
        let exchange = async {
            let answer = self.send(request).await?;
            answer.await.map_err(|_| RPCError::Network(NetworkError::from_string("the stream ended")))
        };
        match Runtime::timeout(within, exchange).await {
            Ok(Ok(Ok(Response::Failed))) => Err(self.unreachable("the peer can not answer")),
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(error))) => Err(self.broken(error)),
            Ok(Err(error)) => {
                self.stream = None;
                Err(error)
            }
            Err(_) => Err(self.late(action, within)),
        }
    }

    fn unexpected(&mut self, response: &Response) -> RPCError<Types> {
        self.broken(format!("an answer to another question: {response:?}"))
    }

    async fn send_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let action = RPCTypes::InstallSnapshot;
        let held = snapshot.snapshot;
        let begin = Request::SnapshotBegin { vote, manifest: held.manifest().bytes().to_vec() };
        let missing = match self.call(&begin, action, limits::ANSWER_WITHIN).await? {
            Response::Missing(missing) => missing,
            Response::Installed(vote) => return Ok(SnapshotResponse::new(vote)),
            other => return Err(self.unexpected(&other).into()),
        };
        for position in missing {
            let chunk = held.chunk(position as usize).await;
            let (hash, bytes) = chunk.map_err(|error| self.broken(error))?;
            match self.call(&Request::SnapshotChunk { hash, bytes }, action, limits::ANSWER_WITHIN).await? {
                Response::Kept => {}
                other => return Err(self.unexpected(&other).into()),
            }
        }
        match self.call(&Request::SnapshotEnd, action, limits::INSTALL_WITHIN).await? {
            Response::Installed(vote) => Ok(SnapshotResponse::new(vote)),
            other => Err(self.unexpected(&other).into()),
        }
    }
}

/// An append on its way: what it says, and its answer.
struct Pending {
    prev: Option<LogId>,
    last: Option<LogId>,
    answer: oneshot::Receiver<Result<Response, FormatError>>,
    late: BoxFuture<'static, ()>,
}

/// A pipelined run of appends.
struct Appending<'a, S> {
    link: &'a mut Link,
    input: Option<S>,
    pending: VecDeque<Pending>,
}

enum Event {
    Answer(Result<Result<Response, FormatError>, oneshot::Canceled>),
    Late,
    Request(AppendEntriesRequest<Types>),
    End,
}

impl<S: Stream<Item = AppendEntriesRequest<Types>> + Unpin> Appending<'_, S> {
    /// Answers first: they make room.
    async fn event(&mut self) -> Event {
        poll_fn(|cx| {
            if let Some(first) = self.pending.front_mut() {
                if let Poll::Ready(answer) = first.answer.poll_unpin(cx) {
                    return Poll::Ready(Event::Answer(answer));
                }
                if first.late.poll_unpin(cx).is_ready() {
                    return Poll::Ready(Event::Late);
                }
            }
            if self.pending.len() < limits::APPENDS_IN_FLIGHT_MAX
                && let Some(input) = &mut self.input
            {
                match input.poll_next_unpin(cx) {
                    Poll::Ready(Some(request)) => return Poll::Ready(Event::Request(request)),
                    Poll::Ready(None) => self.input = None,
                    Poll::Pending => {}
                }
            }
            if self.input.is_none() && self.pending.is_empty() { Poll::Ready(Event::End) } else { Poll::Pending }
        })
        .await
    }

    /// The next result, and whether the run goes on after it.
    async fn next(&mut self) -> Option<(Result<StreamAppendResult<Types>, RPCError<Types>>, bool)> {
        loop {
            match self.event().await {
                Event::End => return None,
                Event::Late => {
                    return Some((Err(self.link.late(RPCTypes::AppendEntries, limits::ANSWER_WITHIN)), false));
                }
                Event::Request(request) => {
                    let prev = request.prev_log_id;
                    let last = request.entries.last().map(|entry| entry.log_id).or(prev);
                    match self.link.send(&Request::Append(request)).await {
                        Ok(answer) => {
                            let late = Runtime::sleep(limits::ANSWER_WITHIN);
                            self.pending.push_back(Pending { prev, last, answer, late });
                        }
                        Err(error) => return Some((Err(error), false)),
                    }
                }
                Event::Answer(answer) => {
                    let pending = self.pending.pop_front()?;
                    return Some(self.answered(&pending, answer));
                }
            }
        }
    }

    fn answered(
        &mut self,
        pending: &Pending,
        answer: Result<Result<Response, FormatError>, oneshot::Canceled>,
    ) -> (Result<StreamAppendResult<Types>, RPCError<Types>>, bool) {
        let response = match answer {
            Ok(Ok(Response::Append(response))) => response,
            Ok(Ok(Response::Failed)) => return (Err(self.link.unreachable("the peer can not answer")), false),
            Ok(Ok(other)) => return (Err(self.link.unexpected(&other)), false),
            Ok(Err(error)) => return (Err(self.link.broken(error)), false),
            Err(_) => return (Err(self.link.broken("the stream ended")), false),
        };
        let whole = match &response {
            AppendEntriesResponse::Success => true,
            AppendEntriesResponse::PartialSuccess(matching) => *matching == pending.last,
            AppendEntriesResponse::Conflict if pending.prev.is_none() => {
                return (Err(self.link.broken("a conflict before the first entry")), false);
            }
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => false,
        };
        (Ok(response.into_stream_result(pending.prev, pending.last)), whole)
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = Held;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        match self.call(&Request::Append(rpc), RPCTypes::AppendEntries, limits::ANSWER_WITHIN).await? {
            Response::Append(response) => Ok(response),
            other => Err(self.unexpected(&other)),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        async move {
            self.connect().await?;
            let run = Appending { link: self, input: Some(input), pending: VecDeque::new() };
            let results = stream::unfold(Some(run), |run| async move {
                let mut run = run?;
                let (result, more) = run.next().await?;
                Some((result, more.then_some(run)))
            });
            Ok(results.boxed())
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(&Request::Vote(rpc), RPCTypes::Vote, option.hard_ttl()).await? {
            Response::Vote(response) => Ok(response),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.call(&Request::PreVote(rpc), RPCTypes::Vote, option.hard_ttl()).await? {
            Response::Vote(response) => Ok(response),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sent = {
            let sending = self.send_snapshot(vote, snapshot);
            futures::pin_mut!(sending, cancel);
            match futures::future::select(cancel, sending).await {
                Either::Left((closed, _)) => Err(closed),
                Either::Right((sent, _)) => Ok(sent),
            }
        };
        sent.unwrap_or_else(|closed| {
            // Half a snapshot lies on the stream.
            self.stream = None;
            Err(closed.into())
        })
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let (from, to) = (*request.from_leader(), *request.to_node_id());
        let request = Request::Transfer { from, to, last: request.last_log_id().copied() };
        match self.call(&request, RPCTypes::TransferLeader, option.hard_ttl()).await? {
            Response::Transfer(true) => Ok(Ok(())),
            Response::Transfer(false) => Err(self.unreachable("the peer does not take over")),
            other => Err(self.unexpected(&other)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let growing = [50, 100, 200, 400].map(Duration::from_millis);
        Some(Backoff::new(growing.into_iter().chain(std::iter::repeat(limits::ELECTION_MIN))))
    }
}
