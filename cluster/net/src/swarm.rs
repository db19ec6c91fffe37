//! The swarm's task, and the handle to it.

use crate::behaviour::Streams;
use crate::handler::{OpenFailure, Opening};
use crate::identity::{Key, of_libp2p, peer_text, to_libp2p};
use crate::limits::{
    COMMANDS_MAX, CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX, HANDSHAKE_WITHIN, IDLE_WITHIN, NEGOTIATING_MAX,
    PENDING_INBOUND_MAX, PENDING_OUTBOUND_MAX, STREAMS_PER_CONNECTION_MAX,
};
use crate::registry::Registry;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use isx_port::{Incoming, Net, NetError, PeerId, Protocol, Stream};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, ListenerId};
use libp2p::core::upgrade::Version;
use libp2p::multiaddr::Protocol as Part;
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, Transport, noise, tcp, yamux};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// What a network is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's or client's key.
    pub key: Key,
    /// Where to listen, as multiaddresses: `/ip4/127.0.0.1/tcp/0`. None for clients.
    pub listen: Vec<String>,
}

/// Why a network did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address does not read. Cure: `/ip4/HOST/tcp/PORT` or `/ip6/HOST/tcp/PORT`.
    #[error("{address}: not an address: {text}")]
    Address {
        /// The address given.
        address: String,
        /// What is wrong with it.
        text: String,
    },
    /// An address can not be listened on; mostly its port is taken.
    #[error("{address}: {text}")]
    Listen {
        /// The address given.
        address: String,
        /// The system's reason.
        text: String,
    },
    /// The key can not be used for Noise.
    #[error("the key can not be used: {text}")]
    Key {
        /// The reason.
        text: String,
    },
}

/// A handle to the network; the network closes when the last clone is dropped.
#[derive(Clone)]
pub struct Libp2p {
    local: PeerId,
    runtime: Handle,
    registry: Registry,
    commands: mpsc::Sender<Command>,
    listening: Arc<Mutex<BTreeSet<Multiaddr>>>,
}

enum Command {
    Open { peer: libp2p::PeerId, opening: Opening },
    AddAddress { peer: libp2p::PeerId, address: Multiaddr },
    Listen { address: Multiaddr, listening: oneshot::Sender<Result<(), String>> },
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Behaviour {
    limits: connection_limits::Behaviour,
    streams: Streams,
}

impl Libp2p {
    /// Starts a network on `runtime`, which must have IO and time; listens on every address before it returns.
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Cancel safety
    /// Dropping the future stops the network.
    pub async fn start(runtime: &Handle, config: Config) -> Result<Self, StartError> {
        let registry = Registry::default();
        let behaviour = Behaviour {
            limits: connection_limits::Behaviour::new(
                ConnectionLimits::default()
                    .with_max_established(Some(CONNECTIONS_MAX))
                    .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
                    .with_max_pending_incoming(Some(PENDING_INBOUND_MAX))
                    .with_max_pending_outgoing(Some(PENDING_OUTBOUND_MAX)),
            ),
            streams: Streams::new(registry.clone()),
        };
        let executor = runtime.clone();
        let settings = libp2p::swarm::Config::with_executor(move |task: BoxFuture<'static, ()>| {
            executor.spawn(task);
        })
        .with_idle_connection_timeout(IDLE_WITHIN)
        .with_max_negotiating_inbound_streams(NEGOTIATING_MAX);
        let swarm = Swarm::new(transport(&config.key)?, behaviour, config.key.pair().public().to_peer_id(), settings);
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let listening = Arc::default();
        let task =
            Task { swarm, asked, registry: registry.clone(), listening: Arc::clone(&listening), begun: Vec::new() };
        runtime.spawn(task.run());
        let network = Self { local: config.key.peer(), runtime: runtime.clone(), registry, commands, listening };
        for address in config.listen {
            network.listen(address).await?;
        }
        Ok(network)
    }

    async fn listen(&self, text: String) -> Result<(), StartError> {
        let address = text.parse::<Multiaddr>();
        let address =
            address.map_err(|error| StartError::Address { address: text.clone(), text: error.to_string() })?;
        if let Some(socket) = socket_of(&address) {
            // libp2p listens with SO_REUSEPORT: a port that another process of this user has would be shared silently.
            let free = std::net::TcpListener::bind(socket);
            drop(free.map_err(|error| StartError::Listen { address: text.clone(), text: error.to_string() })?);
        }
        let (listening, listened) = oneshot::channel();
        let _ = self.commands.send(Command::Listen { address, listening }).await;
        let outcome = listened.await.unwrap_or_else(|_| Err("the network is closed".into()));
        outcome.map_err(|reason| StartError::Listen { address: text, text: reason })
    }

    /// The addresses listened on, each with our peer: what others [`learn`](Self::learn).
    pub fn listen_addresses(&self) -> Vec<String> {
        let suffix = format!("/p2p/{}", peer_text(self.local));
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        listening.iter().map(|address| format!("{address}{suffix}")).collect()
    }

    /// Remembers that `peer` may be found at `address`.
    ///
    /// # Errors
    /// `Unreachable` when one of them does not read.
    pub fn add_address(&self, peer: PeerId, address: &str) -> Result<(), NetError> {
        let unreachable = |text: String| NetError::Unreachable { peer, text };
        let to = to_libp2p(peer).ok_or_else(|| unreachable("not a public key".into()))?;
        let address: Multiaddr = address.parse().map_err(|error| unreachable(format!("{address}: {error}")))?;
        let sent = self.commands.try_send(Command::AddAddress { peer: to, address });
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NetError::Busy { what: "commands to the network" },
            mpsc::error::TrySendError::Closed(_) => NetError::Closed,
        })
    }

    /// Remembers an address that ends with its peer, `/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…`; gives the peer.
    ///
    /// # Errors
    /// `Unreachable` when it does not read or names no peer with an Ed25519 key.
    pub fn learn(&self, address: &str) -> Result<PeerId, NetError> {
        let bad = |text: &str| NetError::Unreachable { peer: PeerId([0; 32]), text: format!("{address}: {text}") };
        let parsed: Multiaddr = address.parse().map_err(|_| bad("not an address"))?;
        let named = parsed.iter().last();
        let Some(Part::P2p(peer)) = named else { return Err(bad("it does not end with /p2p/ and a peer")) };
        let peer = of_libp2p(&peer).ok_or_else(|| bad("the peer's key is not Ed25519"))?;
        self.add_address(peer, address)?;
        Ok(peer)
    }
}

/// The socket address of `/ip…/tcp/…`.
fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Part::Ip4(ip) => ip.into(),
        Part::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Part::Tcp(port) = parts.next()? else { return None };
    Some(SocketAddr::new(ip, port))
}

/// TCP, then Noise, then yamux, all within [`HANDSHAKE_WITHIN`].
fn transport(key: &Key) -> Result<Boxed<(libp2p::PeerId, StreamMuxerBox)>, StartError> {
    let noise = noise::Config::new(key.pair()).map_err(|error| StartError::Key { text: error.to_string() })?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    Ok(tcp.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux).timeout(HANDSHAKE_WITHIN).boxed())
}

impl Net for Libp2p {
    fn local(&self) -> PeerId {
        self.local
    }

    fn open(
        &self,
        peer: PeerId,
        protocol: Protocol,
        within: Duration,
    ) -> BoxFuture<'static, Result<Box<dyn Stream>, NetError>> {
        let commands = self.commands.clone();
        let opening = async move {
            let unreachable = |text: &str| NetError::Unreachable { peer, text: text.into() };
            let to = to_libp2p(peer).ok_or_else(|| unreachable("not a public key"))?;
            let (stream, opened) = oneshot::channel();
            let opening = Opening { protocol: protocol.0, stream };
            commands.send(Command::Open { peer: to, opening }).await.map_err(|_| NetError::Closed)?;
            match opened.await {
                Ok(Ok(stream)) => Ok(Box::new(stream) as Box<dyn Stream>),
                Ok(Err(OpenFailure::Unsupported)) => Err(NetError::Unsupported { peer, protocol: protocol.0 }),
                Ok(Err(OpenFailure::WrongPeer(found))) => Err(NetError::WrongPeer { expected: peer, found }),
                Ok(Err(OpenFailure::Busy(what))) => Err(NetError::Busy { what }),
                Ok(Err(OpenFailure::Unreachable(text))) => Err(unreachable(&text)),
                Err(_) => Err(unreachable("the connection closed")),
            }
        };
        // On the runtime, because its timer wants one and our caller may be on another.
        let opening = self.runtime.spawn(async move {
            let late = || Err(NetError::Unreachable { peer, text: format!("no stream within {within:?}") });
            tokio::time::timeout(within, opening).await.unwrap_or_else(|_| late())
        });
        let abandon = AbortOnDrop(opening);
        async move {
            let mut abandon = abandon;
            (&mut abandon.0).await.unwrap_or(Err(NetError::Closed))
        }
        .boxed()
    }

    fn accept(&self, protocol: Protocol) -> Result<Box<dyn Incoming>, NetError> {
        Ok(Box::new(self.registry.accept(protocol)?))
    }
}

/// A task that ends with its owner.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Who waits for a listener to begin.
type Begun = (ListenerId, oneshot::Sender<Result<(), String>>);

/// The swarm's task.
struct Task {
    swarm: Swarm<Behaviour>,
    asked: mpsc::Receiver<Command>,
    registry: Registry,
    listening: Arc<Mutex<BTreeSet<Multiaddr>>>,
    begun: Vec<Begun>,
}

impl Task {
    /// Runs until the last handle is dropped.
    async fn run(mut self) {
        loop {
            tokio::select! {
                command = self.asked.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                event = self.swarm.select_next_some() => self.note(event),
            }
        }
        self.registry.close();
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { peer, opening } => self.swarm.behaviour_mut().streams.open(peer, opening),
            Command::AddAddress { peer, address } => {
                self.swarm.behaviour_mut().streams.add_address(peer, address);
            }
            Command::Listen { address, listening } => match self.swarm.listen_on(address) {
                Ok(listener) => self.begun.push((listener, listening)),
                Err(error) => drop(listening.send(Err(error.to_string()))),
            },
        }
    }

    fn note(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                self.listening().insert(address);
                self.tell(listener_id, &Ok(()));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening().remove(&address);
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.listening().retain(|address| !addresses.contains(address));
                self.tell(listener_id, &Err(reason.err().map_or_else(|| "closed".into(), |error| error.to_string())));
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "an inbound connection failed");
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                tracing::debug!(?peer_id, %error, "an outbound connection failed");
            }
            SwarmEvent::ConnectionClosed { peer_id, cause, .. } => {
                tracing::debug!(%peer_id, ?cause, "a connection closed");
            }
            _ => {}
        }
    }

    fn listening(&self) -> std::sync::MutexGuard<'_, BTreeSet<Multiaddr>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&mut self, listener: ListenerId, outcome: &Result<(), String>) {
        for (_, listening) in self.begun.extract_if(.., |(waiting, _)| *waiting == listener) {
            let _ = listening.send(outcome.clone());
        }
    }
}
