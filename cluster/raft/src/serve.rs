//! The answering side: takes the streams of members, hands requests to their group's Raft, answers in order.
//!
//! A peer that is no member of any group is dropped before a byte is read; a request for a group it is no member of, or
//! in the name of another node, ends the stream before openraft sees it. Appends are handed over as they come, so that
//! a leader's pipeline is one here too.

use crate::frame::{Frame, FrameError};
use crate::limits;
use crate::message::{Request, Response};
use crate::network::PROTOCOL;
use crate::runtime::Node;
use crate::snapshot::{Held, Manifest, Pin, SnapshotError, Store};
use crate::types::{Raft, Snapshot, Types, Vote};
use futures::future::BoxFuture;
use futures::{AsyncReadExt, FutureExt};
use isx_port::{Net, NetError, PeerId};
use isx_row::ContentHash;
use openraft::async_runtime::WatchReceiver;
use openraft::raft::TransferLeaderRequest;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// One group, as its peers reach it.
pub(crate) struct Served {
    pub(crate) raft: Raft,
    pub(crate) store: Arc<Store>,
    /// Who may speak before the log says so.
    pub(crate) founders: BTreeMap<u64, PeerId>,
}

impl Served {
    /// The Raft id of a member.
    fn member(&self, peer: PeerId) -> Option<u64> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let mut members = metrics.membership_config.membership().nodes().peekable();
        if members.peek().is_none() {
            return self.founders.iter().find(|(_, founder)| **founder == peer).map(|(id, _)| *id);
        }
        members.find(|(_, member)| member.peer == peer).map(|(id, _)| *id)
    }
}

/// Every group of the node by its number.
pub(crate) type Groups = Arc<BTreeMap<u64, Served>>;

/// Why a stream was ended.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Format(#[from] crate::format::FormatError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("not a member of group {0}")]
    Stranger(u64),
    #[error("speaks for node {claimed} and is node {actual}")]
    Impostor { claimed: u64, actual: u64 },
    #[error("a chunk of no snapshot")]
    Unasked,
}

/// Serves peers until the network closes.
pub(crate) async fn serve(node: Arc<Node>, net: Arc<dyn Net>, groups: Groups) -> Result<(), NetError> {
    let mut incoming = net.accept(PROTOCOL)?;
    let open: Arc<Mutex<BTreeMap<PeerId, usize>>> = Arc::default();
    let task_node = node.clone();
    node.spawn("raft serve", async move {
        while let Some((peer, stream)) = incoming.next().await {
            if groups.values().all(|group| group.member(peer).is_none()) {
                tracing::debug!(?peer, "a stranger's stream was dropped");
                continue;
            }
            let Some(place) = Place::take(&open, peer) else {
                tracing::warn!(?peer, "too many streams of one member");
                continue;
            };
            let groups = groups.clone();
            task_node.spawn("raft stream", async move {
                let _place = place;
                if let Err(refusal) = answer(peer, stream, &groups).await {
                    tracing::debug!(?peer, %refusal, "a peer's stream was ended");
                }
            });
        }
    });
    Ok(())
}

/// One of a peer's streams, counted while it is open.
struct Place {
    open: Arc<Mutex<BTreeMap<PeerId, usize>>>,
    peer: PeerId,
}

impl Place {
    fn take(open: &Arc<Mutex<BTreeMap<PeerId, usize>>>, peer: PeerId) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= limits::STREAMS_PER_PEER_MAX {
            return None;
        }
        *count += 1;
        Some(Self { open: open.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

type Answer = (u64, BoxFuture<'static, Response>);

async fn answer(peer: PeerId, stream: Box<dyn isx_port::Stream>, groups: &Groups) -> Result<(), Refusal> {
    let (mut read, mut write) = stream.split();
    let (sender, mut answers) = mpsc::channel::<Answer>(limits::APPENDS_IN_FLIGHT_MAX);
    let reader = async {
        let mut receiving = None;
        while let Some(frame) = Frame::read(&mut read).await? {
            let group = frame.group;
            let mut answer = take(peer, &frame, groups, &mut receiving).await?;
            // Polled once here, so that openraft gets appends in the order of the stream.
            if let Some(response) = (&mut answer).now_or_never() {
                answer = std::future::ready(response).boxed();
            }
            if sender.send((group, answer)).await.is_err() {
                break;
            }
        }
        drop(sender);
        Ok(())
    };
    let writer = async {
        while let Some((group, answer)) = answers.recv().await {
            let (kind, contents) = answer.await.encode();
            Frame { group, kind, contents }.write(&mut write).await?;
        }
        Ok(())
    };
    futures::pin_mut!(reader, writer);
    futures::future::try_join(reader, writer).await.map(drop)
}

/// A snapshot on its way to us.
struct Receiving {
    vote: Vote,
    manifest: Manifest,
    _pin: Pin,
}

/// Checks a request, and begins to answer it.
async fn take(
    peer: PeerId,
    frame: &Frame,
    groups: &Groups,
    receiving: &mut Option<Receiving>,
) -> Result<BoxFuture<'static, Response>, Refusal> {
    let stranger = Refusal::Stranger(frame.group);
    let Some(group) = groups.get(&frame.group) else { return Err(stranger) };
    let Some(actual) = group.member(peer) else { return Err(stranger) };
    let speaks_for = |vote: &Vote| match vote.leader_id.voted_for {
        claimed if claimed == actual => Ok(()),
        claimed => Err(Refusal::Impostor { claimed, actual }),
    };
    let raft = group.raft.clone();
    let answer = match Request::decode(frame.kind, &frame.contents)? {
        Request::Append(append) => {
            speaks_for(&append.vote)?;
            async move { raft.append_entries(append).await.map_or(Response::Failed, Response::Append) }.boxed()
        }
        Request::Vote(request) => {
            speaks_for(&request.vote)?;
            async move { raft.vote(request).await.map_or(Response::Failed, Response::Vote) }.boxed()
        }
        Request::PreVote(request) => {
            speaks_for(&request.vote)?;
            async move { raft.pre_vote(request).await.map_or(Response::Failed, Response::Vote) }.boxed()
        }
        Request::Transfer { from, to, last } => {
            speaks_for(&from)?;
            let request = TransferLeaderRequest::<Types>::new(from, to, last);
            let taken = async move { raft.handle_transfer_leader(request).await };
            async move { taken.await.map_or(Response::Failed, |result| Response::Transfer(result.is_ok())) }.boxed()
        }
        Request::SnapshotBegin { vote, manifest } => {
            speaks_for(&vote)?;
            let (begun, missing) = begin(&group.store, vote, manifest).await?;
            *receiving = Some(begun);
            std::future::ready(Response::Missing(missing)).boxed()
        }
        Request::SnapshotChunk { hash, bytes } => {
            let expected = receiving.as_ref().ok_or(Refusal::Unasked)?;
            if !expected
                .manifest
                .chunks()
                .iter()
                .any(|(known, length)| *known == hash && *length as usize == bytes.len())
            {
                return Err(Refusal::Unasked);
            }
            group.store.on_lane(move |store| store.put_chunk(hash, &bytes)).await?;
            std::future::ready(Response::Kept).boxed()
        }
        Request::SnapshotEnd => {
            let received = receiving.take().ok_or(Refusal::Unasked)?;
            let vote = received.vote;
            let held = finish(&group.store, received).await?;
            let snapshot = Snapshot { meta: held.manifest().meta().clone(), snapshot: held };
            let installed = async move { raft.install_full_snapshot(vote, snapshot).await };
            async move { installed.await.map_or(Response::Failed, |response| Response::Installed(response.vote)) }
                .boxed()
        }
    };
    Ok(answer)
}

async fn begin(store: &Arc<Store>, vote: Vote, manifest: Vec<u8>) -> Result<(Receiving, Vec<u32>), SnapshotError> {
    store
        .on_lane(move |store| {
            let manifest = Manifest::decode(manifest)?;
            let mut pin = store.pin();
            let mut missing = Vec::new();
            for (position, (hash, _)) in (0..).zip(manifest.chunks()) {
                pin.add(*hash);
                if !store.has_chunk(hash)? {
                    missing.push(position);
                }
            }
            Ok((Receiving { vote, manifest, _pin: pin }, missing))
        })
        .await
}

async fn finish(store: &Arc<Store>, received: Receiving) -> Result<Held, SnapshotError> {
    store
        .on_lane(move |store| {
            let absent =
                |hash: &ContentHash| SnapshotError::Damaged { file: hash.to_string(), what: "it was not sent" };
            for (hash, _) in received.manifest.chunks() {
                if !store.has_chunk(hash)? {
                    return Err(absent(hash));
                }
            }
            Ok(store.hold(Arc::new(received.manifest)))
        })
        .await
}
