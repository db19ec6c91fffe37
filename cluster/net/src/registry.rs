//! Who takes the streams of which protocol.

use crate::limits::ACCEPT_QUEUE_COUNT_MAX;
use futures::FutureExt;
use futures::future::BoxFuture;
use isx_port::{Incoming, NetError, PeerId, Protocol, Stream};
use libp2p::StreamProtocol;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

type Taker = mpsc::Sender<(PeerId, Box<dyn Stream>)>;

/// The protocols served; shared by the network's handle and the handlers of its connections.
#[derive(Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<BTreeMap<&'static str, Taker>>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Taker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves `protocol` until the listener is dropped.
    pub(crate) fn accept(&self, protocol: Protocol) -> Result<Listener, NetError> {
        let mut takers = self.lock();
        takers.retain(|_, taker| !taker.is_closed());
        if takers.contains_key(protocol.0) {
            return Err(NetError::Busy { what: "listeners of one protocol" });
        }
        let (taker, streams) = mpsc::channel(ACCEPT_QUEUE_COUNT_MAX);
        takers.insert(protocol.0, taker);
        Ok(Listener(streams))
    }

    /// The protocols that somebody serves.
    pub(crate) fn protocols(&self) -> Vec<StreamProtocol> {
        let takers = self.lock();
        takers.iter().filter(|(_, taker)| !taker.is_closed()).map(|(name, _)| StreamProtocol::new(name)).collect()
    }

    /// Hands a stream over; one that nobody takes is dropped, which resets it.
    pub(crate) fn deliver(&self, peer: PeerId, protocol: &StreamProtocol, stream: libp2p::Stream) {
        let delivered = match self.lock().get(protocol.as_ref()) {
            Some(taker) => taker.try_send((peer, Box::new(stream))).is_ok(),
            None => false,
        };
        if !delivered {
            tracing::warn!(?peer, %protocol, "a stream was refused: too many wait, or nobody listens any more");
        }
    }

    /// Ends every listener.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }
}

/// The streams of one protocol.
pub(crate) struct Listener(mpsc::Receiver<(PeerId, Box<dyn Stream>)>);

impl Incoming for Listener {
    fn next(&mut self) -> BoxFuture<'_, Option<(PeerId, Box<dyn Stream>)>> {
        self.0.recv().boxed()
    }
}
