//! Brings streams asked for to connections, dialling where there is none.

use crate::handler::{Handler, OpenFailure, Opening};
use crate::identity::of_libp2p;
use crate::limits::{ADDRESSES_PER_PEER_MAX, OPENING_PER_PEER_MAX, PEERS_KNOWN_MAX};
use crate::registry::Registry;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, DialError, DialFailure, FromSwarm, NetworkBehaviour,
    NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

/// Streams to peers.
pub(crate) struct Streams {
    registry: Registry,
    connections: BTreeMap<PeerId, Vec<ConnectionId>>,
    /// Streams that wait for a connection.
    waiting: BTreeMap<PeerId, Vec<Opening>>,
    addresses: Addresses,
    events: VecDeque<ToSwarm<std::convert::Infallible, Opening>>,
    waker: Option<Waker>,
}

/// Where peers may be found.
#[derive(Default)]
struct Addresses {
    known: BTreeMap<PeerId, VecDeque<Multiaddr>>,
    order: VecDeque<PeerId>,
}

impl Addresses {
    fn add(&mut self, peer: PeerId, address: Multiaddr) {
        if !self.known.contains_key(&peer) {
            if self.order.len() == PEERS_KNOWN_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(peer);
        }
        let known = self.known.entry(peer).or_default();
        known.retain(|there| *there != address);
        if known.len() == ADDRESSES_PER_PEER_MAX {
            known.pop_front();
        }
        known.push_back(address);
    }

    /// The newest first: a node that was started again has a new port.
    fn of(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.known.get(peer).into_iter().flatten().rev().cloned().collect()
    }
}

impl Streams {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry,
            connections: BTreeMap::new(),
            waiting: BTreeMap::new(),
            addresses: Addresses::default(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    /// Notes where a peer may be found.
    pub(crate) fn add_address(&mut self, peer: PeerId, address: Multiaddr) {
        self.addresses.add(peer, address);
    }

    /// Opens a stream, over the connection there is or a new one.
    pub(crate) fn open(&mut self, peer: PeerId, opening: Opening) {
        if let Some(connection) = self.connections.get(&peer).and_then(|connections| connections.last()) {
            self.notify(peer, *connection, opening);
            return;
        }
        let waiting = self.waiting.entry(peer).or_default();
        // Callers that gave up make room.
        waiting.retain(|opening| !opening.stream.is_closed());
        if waiting.len() >= OPENING_PER_PEER_MAX {
            opening.fail(OpenFailure::Busy("streams that wait for a connection"));
            return;
        }
        waiting.push(opening);
        let dial = DialOpts::peer_id(peer)
            .addresses(self.addresses.of(&peer))
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .build();
        self.push(ToSwarm::Dial { opts: dial });
    }

    fn notify(&mut self, peer: PeerId, connection: ConnectionId, event: Opening) {
        self.push(ToSwarm::NotifyHandler { peer_id: peer, handler: NotifyHandler::One(connection), event });
    }

    fn push(&mut self, event: ToSwarm<std::convert::Infallible, Opening>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn fail(&mut self, peer: &PeerId, failure: impl Fn() -> OpenFailure) {
        for opening in self.waiting.remove(peer).into_iter().flatten() {
            opening.fail(failure());
        }
    }

    fn handler(&self, peer: &PeerId) -> Handler {
        Handler::new(of_libp2p(peer), self.registry.clone())
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = std::convert::Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(&peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(&peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let (peer, connection) = (established.peer_id, established.connection_id);
                self.connections.entry(peer).or_default().push(connection);
                for opening in self.waiting.remove(&peer).into_iter().flatten() {
                    self.notify(peer, connection, opening);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(connections) = self.connections.get_mut(&peer_id) {
                    connections.retain(|connection| *connection != connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
            }
            FromSwarm::DialFailure(DialFailure { peer_id: Some(peer), error, .. }) => match error {
                // Another dial to the peer is under way, or there is a connection: its event comes.
                DialError::DialPeerConditionFalse(_) => {}
                DialError::WrongPeerId { obtained, .. } => {
                    self.fail(&peer, || OpenFailure::WrongPeer(obtained.to_base58()));
                }
                DialError::Denied { .. } => self.fail(&peer, || OpenFailure::Busy("connections")),
                DialError::NoAddresses => {
                    self.fail(&peer, || OpenFailure::Unreachable("no address of it is known".into()));
                }
                error => self.fail(&peer, || OpenFailure::Unreachable(error.to_string())),
            },
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
