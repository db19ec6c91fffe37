//! Streams of one connection.

use crate::registry::Registry;
use futures::future::{Ready, ready};
use isx_port::PeerId;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol};
use libp2p::{Stream, StreamProtocol};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// Why a stream was not opened.
#[derive(Debug)]
pub(crate) enum OpenFailure {
    /// The peer does not speak the protocol.
    Unsupported,
    /// Who answered has another key.
    WrongPeer(String),
    /// A bound was reached.
    Busy(&'static str),
    /// The transport failed.
    Unreachable(String),
}

/// A stream asked for.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) protocol: &'static str,
    pub(crate) stream: oneshot::Sender<Result<Stream, OpenFailure>>,
}

impl Opening {
    pub(crate) fn fail(self, failure: OpenFailure) {
        let _ = self.stream.send(Err(failure));
    }
}

/// Agrees on one of some protocols and hands the bare stream over.
pub(crate) struct Agreement(Vec<StreamProtocol>);

impl UpgradeInfo for Agreement {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Agreement {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Agreement {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

/// Opens and accepts the streams of one connection.
pub(crate) struct Handler {
    peer: Option<PeerId>,
    registry: Registry,
    /// Bounded by the behaviour, which counts what it has sent here.
    asked: VecDeque<Opening>,
    waker: Option<Waker>,
}

impl Handler {
    /// Without a `peer`, its key being none of ours, nothing is accepted.
    pub(crate) fn new(peer: Option<PeerId>, registry: Registry) -> Self {
        Self { peer, registry, asked: VecDeque::new(), waker: None }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Opening;
    type ToBehaviour = Infallible;
    type InboundProtocol = Agreement;
    type OutboundProtocol = Agreement;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Opening;

    fn listen_protocol(&self) -> SubstreamProtocol<Agreement> {
        let protocols = if self.peer.is_some() { self.registry.protocols() } else { Vec::new() };
        SubstreamProtocol::new(Agreement(protocols), ())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Agreement, Opening, Infallible>> {
        while let Some(opening) = self.asked.pop_front() {
            if opening.stream.is_closed() {
                continue;
            }
            let agreement = Agreement(vec![StreamProtocol::new(opening.protocol)]);
            let protocol = SubstreamProtocol::new(agreement, opening);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, opening: Opening) {
        self.asked.push_back(opening);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Agreement, Agreement, (), Opening>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol), ..
            }) => {
                if let Some(peer) = self.peer {
                    self.registry.deliver(peer, &protocol, stream);
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                let _ = info.stream.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => info.fail(match error {
                StreamUpgradeError::NegotiationFailed => OpenFailure::Unsupported,
                StreamUpgradeError::Timeout => OpenFailure::Unreachable("the peer did not agree in time".into()),
                StreamUpgradeError::Io(error) => OpenFailure::Unreachable(error.to_string()),
                StreamUpgradeError::Apply(never) => match never {},
            }),
            _ => {}
        }
    }
}
