//! A running node: its parts composed, started in order, stopped in order.

use crate::blobs::Blobs;
use crate::gate::Gate;
use crate::host::NodeHost;
use crate::limits::{DRAIN_WITHIN, LEADER_WITHIN};
use crate::real::{Folder, SystemClock, SystemEntropy, Threads};
use crate::saga;
use crate::shared::{Shared, Who};
use crate::state::{StateError, StateFolder};
use futures::future::{Either, select};
use isx_anchors::Name;
use isx_cluster::{Outcome, Request};
use isx_exec::Exec;
use isx_iface::{HostStub, serve_host};
use isx_net::{Key, Libp2p, peer_text};
use isx_port::{Clock, Entropy, Net, Ports};
use isx_raft::{Options, Origin, Raft, TREE};
use isx_row::{Code, Error, HomeId, Principal};
use isx_vat::authority::Authority;
use isx_vat::{Vats, serve, vats};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// The file that says that the log has begun.
const BEGUN: &str = "begun";

/// What a node is started with.
pub struct Config {
    /// Where its state is kept; made if missing.
    pub state_dir: PathBuf,
    /// The name its home would like to have.
    pub alias: String,
    /// Where it listens, as multiaddresses.
    pub listen: Vec<String>,
    /// Whether callers without a right are let in to what is public.
    pub public: bool,
    /// What its executor needs of the process.
    pub exec: isx_exec::Ports,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder can not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The log or a snapshot can not be used.
    #[error(transparent)]
    Raft(#[from] isx_raft::StartError),
    /// The network can not be used; mostly an address is taken.
    #[error("can not listen: {0}")]
    Net(#[from] isx_net::StartError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] isx_port::DiskError),
    /// A part refused, and says why.
    #[error(transparent)]
    Refused(#[from] Error),
    /// No thread for the node's tasks.
    #[error("no thread for the node: {0}")]
    Thread(std::io::Error),
}

/// A running node. Dropping it ends it as a crash would: [`Node::stop`] ends it in order.
pub struct Node {
    /// Ended before the state folder is let go.
    _thread: Thread,
    shared: Arc<Shared>,
    net: Libp2p,
    secret: [u8; 32],
    state: StateFolder,
}

/// The thread of a node's network, connections and tasks. A call goes from its socket to the log and back without leaving
/// it, but for what blocks or computes: that has lanes.
struct Thread {
    runtime: tokio::runtime::Handle,
    /// Ends the thread when it is dropped.
    end: Option<oneshot::Sender<()>>,
    joined: Option<std::thread::JoinHandle<()>>,
}

impl Thread {
    fn start() -> std::io::Result<(Self, Vats)> {
        let (vats, driving) = vats();
        let (end, ended) = oneshot::channel();
        let drive = move || async move {
            select(pin!(driving.drive()), ended).await;
        };
        let (runtime, joined) = isx_net::thread("isx-node", drive)?;
        Ok((Self { runtime, end: Some(end), joined: Some(joined) }, vats))
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.end.take());
        // Waits for no more than a task's turn. Its panic was its own: what it held is gone with it.
        if let Some(joined) = self.joined.take() {
            let _ = joined.join();
        }
    }
}

impl Node {
    /// Starts a node, whose timers run on the present tokio runtime and the rest on threads of its own. It answers callers
    /// when this returns.
    ///
    /// # Errors
    /// See [`StartError`]; the state folder is as it was.
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::current();
        let alias = Name::new(&config.alias)?;
        let state = StateFolder::take(&config.state_dir)?;
        let fresh = || {
            let mut key = [0; 32];
            SystemEntropy.fill(&mut key);
            key
        };
        let origin = if state.has(BEGUN) { Origin::Existing } else { Origin::New };
        let key = Key::from_seed(state.identity("key", fresh)?);
        let home = HomeId(first_half(state.identity("home", fresh)?));
        let peer = key.peer();

        let (thread, vats) = Thread::start().map_err(StartError::Thread)?;
        let net = Libp2p::start(&thread.runtime, isx_net::Config { key, listen: config.listen }).await?;
        let ports = Ports {
            net: Arc::new(net.clone()),
            disk: Arc::new(Folder::new(state.path())),
            clock: Arc::new(SystemClock::start(runtime)),
            entropy: Arc::new(SystemEntropy),
            spawn: Arc::new(Threads::new(thread.runtime.clone(), isx_exec::limits::THREAD_STACK_BYTES)),
        };
        let exec = Arc::new(Exec::new(config.exec)?);
        let blobs = Blobs::open(ports.disk.clone(), ports.clock.clone())?;
        let loading = exec.clone();
        let blobs = tokio::task::spawn_blocking(move || load_all(blobs, &loading)).await;
        let blobs = blobs.map_err(|_| Error::new(Code::Fatal, "the modules could not be loaded"))?;

        let cluster = first_half(state.identity("cluster", fresh)?);
        let raft = Raft::start(ports.clone(), Options::single(cluster, peer, origin), exec.clone()).await?;
        // The log has begun: an empty one is a loss from now on. A crash before this line leaves a log that is not empty,
        // or a beginning that may be repeated.
        state.identity(BEGUN, fresh)?;
        raft.wait_leader(TREE, ports.clock.now().after(LEADER_WITHIN)).await?;
        raft.wait_leader(isx_raft::MOUNTS, ports.clock.now().after(LEADER_WITHIN)).await?;

        let addresses = net.listen_addresses();
        let join = Request::Join { peer: peer.0, home, alias, addresses: addresses.clone() };
        let joined = raft.propose(TREE, join, ports.clock.now().after(LEADER_WITHIN)).await?;
        let (home, alias) = match joined {
            Outcome::Tree(isx_anchors::Reply::Home(anchor, alias)) => (anchor, alias),
            Outcome::Refused(error) => return Err(error.into()),
            other => return Err(crate::shared::unexpected(&other).into()),
        };
        let warnings = Vec::new();
        let started = ports.clock.now();
        let (stopping, _) = watch::channel(false);
        let (callers, _) = watch::channel(0);
        let peer_text = peer_text(peer);
        let shared = Arc::new(Shared {
            ports,
            raft,
            exec,
            blobs,
            peer_text,
            home,
            alias,
            addresses,
            started,
            warnings,
            stopping,
            callers,
        });
        saga::drive(&shared).await?;
        let secret = fresh();
        open(&shared, &net, secret, config.public, vats)?;
        tracing::info!(peer = %shared.peer_text, state = %state.path().display(), "the node answers");
        Ok(Self { _thread: thread, shared, net, secret, state })
    }

    /// Its peer id in libp2p's text form.
    pub fn peer(&self) -> &str {
        &self.shared.peer_text
    }

    /// The name of its home.
    pub fn alias(&self) -> &str {
        self.shared.alias.as_str()
    }

    /// The addresses it listens on, each with its peer id.
    pub fn addresses(&self) -> &[String] {
        &self.shared.addresses
    }

    /// Gives the owner's root at login. Made anew at each start.
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Where its state is kept.
    pub fn state_dir(&self) -> &Path {
        self.state.path()
    }

    /// The owner's `Host`, in this process.
    pub fn host(&self) -> HostStub {
        let peer = self.net.local();
        let who = Who { principal: Principal::of_peer(&peer.0), owner: true };
        self.shared.callers.send_modify(|callers| *callers += 1);
        HostStub(serve_host(NodeHost { shared: self.shared.clone(), peer, who }))
    }

    /// Completes when somebody asked the node to stop, or when it must end: then with the reason.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn ended(&self) -> Option<String> {
        let mut stopping = self.shared.stopping.subscribe();
        let asked = stopping.wait_for(|stopping| *stopping);
        let failed = self.shared.raft.failed();
        futures::pin_mut!(asked, failed);
        match select(asked, failed).await {
            Either::Left(_) => None,
            Either::Right((reason, _)) => Some(reason),
        }
    }

    /// Completes when no login is alive.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn left_alone(&self) {
        // The sender lives as long as the node: the wait ends by the condition only.
        let _ = self.shared.callers.subscribe().wait_for(|callers| *callers == 0).await;
    }

    /// Stops in order: callers finish within a bound, snapshots are taken, the log is closed.
    ///
    /// # Errors
    /// `fatal` when a snapshot could not be taken; nothing acknowledged is lost, the log has it.
    pub async fn stop(self) -> Result<(), Error> {
        let clock = &self.shared.ports.clock;
        let deadline = clock.sleep_until(clock.now().after(DRAIN_WITHIN));
        let alone = self.left_alone();
        futures::pin_mut!(alone);
        select(alone, deadline).await;
        self.shared.raft.stop().await
    }
}

fn first_half(bytes: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&bytes[..16]);
    half
}

/// Has every published module ready before the log is applied. One that is damaged is left: a mount that needs it
/// waits, and says so.
fn load_all(blobs: Blobs, exec: &Exec) -> Blobs {
    for hash in blobs.hashes() {
        let loaded = blobs.read(&hash).and_then(|bytes| exec.add(&bytes));
        if let Err(error) = loaded {
            tracing::error!(%error, blob = %hash, "a published module can not be loaded");
        }
    }
    blobs
}

/// Lets callers in: a task accepts their connections, the node's thread drives them.
fn open(shared: &Arc<Shared>, net: &Libp2p, secret: [u8; 32], public: bool, vats: Vats) -> Result<(), Error> {
    let incoming = net.accept(isx_vat::PROTOCOL).map_err(|error| Error::new(Code::Fatal, error.to_string()))?;
    let gate = Arc::new(Gate { shared: shared.clone(), secret, public });
    let clock = shared.ports.clock.clone();
    shared.ports.spawn.spawn("accept", Box::pin(accept(incoming, gate, vats, clock)));
    Ok(())
}

async fn accept(mut incoming: Box<dyn isx_port::Incoming>, gate: Arc<Gate>, vats: Vats, clock: Arc<dyn Clock>) {
    let authority = Arc::new(Authority::default());
    while let Some((peer, stream)) = incoming.next().await {
        // Beyond its bound the stream is dropped, which the peer sees as a closed connection.
        if let Err(error) = vats.drive(serve(stream, peer, gate.clone(), &authority, clock.clone())) {
            tracing::warn!(%error, "a connection was refused");
        }
    }
}
