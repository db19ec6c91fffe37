//! A running node: its parts composed, started in order, stopped in order.

use crate::budget::{Budgets, segment_bytes};
use crate::host::NodeHost;
use crate::limits::{DRAIN_WITHIN, HISTORY_PARTS};
use crate::operation::Operation;
use crate::real::{Folder, Meter, SystemClock, SystemEntropy, Threads, keep_room};
use crate::serving::{Opened, Parts, ServeError, Serving};
use crate::shared::Who;
use crate::state::{StateError, StateFolder};
use futures::future::select;
use isx_anchors::Name;
use isx_exec::Exec;
use isx_gateway::Gateway;
use isx_iface::{HostStub, serve_host};
use isx_net::{Key, Libp2p, peer_text};
use isx_port::{Entropy, Ports};
use isx_raft::{Options, Origin, Rule};
use isx_row::{Code, Error, HomeId, Principal};
use isx_vat::{Vats, vats};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// What a node is started with.
pub struct Config {
    /// Where its state is kept; made if missing.
    pub state_dir: PathBuf,
    /// The name its home would like to have.
    pub alias: String,
    /// Where it listens, as multiaddresses.
    pub listen: Vec<String>,
    /// Where its gateway listens for HTTP; none for no gateway.
    pub http: Option<SocketAddr>,
    /// Whether callers without a right are let in to what is public.
    pub public: bool,
    /// What it keeps of the past of its mounts; without it what it was told the last time, at first a week.
    pub history: Option<Rule>,
    /// What it may take of this machine.
    pub budgets: Budgets,
    /// What its executor needs of the process.
    pub exec: isx_exec::Ports,
}

impl Config {
    /// A node for development and tests: on loopback wherever there is room, without HTTP, for nobody but its owner; modules
    /// are compiled in this process.
    pub fn dev(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            alias: "dev".into(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            http: None,
            public: false,
            history: None,
            budgets: Budgets::default(),
            exec: isx_exec::Ports::here(),
        }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder can not be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The network can not be used; mostly an address is taken.
    #[error("can not listen: {0}")]
    Net(#[from] isx_net::StartError),
    /// HTTP can not be served; mostly the address is taken.
    #[error(transparent)]
    Http(#[from] isx_gateway::StartError),
    /// What is on the disk can not be used, or a part refused.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A part refused, and says why.
    #[error(transparent)]
    Refused(#[from] Error),
    /// No temporary folder for its state.
    #[error("no temporary folder for the node: {0}")]
    Temporary(std::io::Error),
    /// No thread for the node's tasks.
    #[error("no thread for the node: {0}")]
    Thread(std::io::Error),
}

impl StartError {
    /// The code that says what to do about it.
    pub fn code(&self) -> Code {
        match self {
            Self::State(error) => error.code(),
            Self::Net(isx_net::StartError::Address { .. }) => Code::BadArguments,
            Self::Net(isx_net::StartError::Key { .. }) => Code::Damaged,
            Self::Net(isx_net::StartError::Listen { .. }) | Self::Http(_) => Code::Taken,
            Self::Serve(error) => error.code(),
            Self::Refused(error) => error.code,
            Self::Thread(_) => Code::Busy,
            Self::Temporary(error) if error.kind() == std::io::ErrorKind::StorageFull => Code::Busy,
            Self::Temporary(_) => Code::Fatal,
        }
    }
}

/// A running node. Dropping it ends it as a crash would: [`Node::stop`] ends it in order.
pub struct Node {
    /// Ended first: it asks the others.
    gateway: Option<Gateway>,
    /// Ended before the state folder is let go.
    _thread: Thread,
    serving: Serving,
    peer_text: String,
    secret: [u8; 32],
    state: StateFolder,
    /// Removed last, with everything in it.
    _temporary: Option<TempDir>,
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
    /// An embedded node of its own, for tests and programs: with its state in a temporary folder, which goes when the node
    /// does. For one that stays, [`Node::start`] with [`Config::dev`] of a folder.
    ///
    /// ```
    /// use isx_iface::{Anchor, Host};
    /// use isx_node::Node;
    /// use isx_row::Bytes;
    ///
    /// # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let node = Node::dev().await?;
    /// let motd = node.host().walk("/self".into()).await?.make("motd".into()).await?;
    /// motd.set(Some(Bytes(b"hello".to_vec()))).await?;
    /// let found = node.host().walk("/dev/motd".into()).await?.get().await?;
    /// assert_eq!(found, Some(Bytes(b"hello".to_vec())));
    /// # drop(motd);
    /// node.stop().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`StartError`].
    ///
    /// # Cancel safety
    /// Dropping the future ends what was started.
    pub async fn dev() -> Result<Self, StartError> {
        let folder = tempfile::Builder::new().prefix("isx-dev-").tempdir().map_err(StartError::Temporary)?;
        let node = Self::start(Config::dev(folder.path())).await?;
        Ok(Self { _temporary: Some(folder), ..node })
    }

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
        // From here on who operates the node sees that it lives.
        let meter = Arc::new(Meter::new(state.path()));
        let operation = Arc::new(Operation::new(meter.clone()));
        let gateway = config.http.map(|address| Gateway::start(address, operation.clone())).transpose()?;
        let fresh = || {
            let mut key = [0; 32];
            SystemEntropy.fill(&mut key);
            key
        };
        let origin = if state.has_begun() { Origin::Existing } else { Origin::New };
        let key = Key::from_seed(state.identity("key", fresh)?);
        let home = HomeId(first_half(state.identity("home", fresh)?));
        let peer = key.peer();

        let (thread, vats) = Thread::start().map_err(StartError::Thread)?;
        let net = Libp2p::start(&thread.runtime, isx_net::Config { key, listen: config.listen }).await?;
        let addresses = net.listen_addresses();
        let ports = Ports {
            net: Arc::new(net),
            disk: Arc::new(Folder::new(state.path())),
            clock: Arc::new(SystemClock::start(runtime)),
            entropy: Arc::new(SystemEntropy),
            spawn: Arc::new(Threads::new(thread.runtime.clone(), isx_exec::limits::THREAD_STACK_BYTES)),
        };
        let cluster = first_half(state.identity("cluster", fresh)?);
        let secret = fresh();
        let mut raft = Options::single(cluster, peer, origin);
        raft.history.rule = state.history(config.history, raft.history.rule)?;
        if let Some(disk_bytes) = config.budgets.disk_bytes {
            raft.segment_bytes_max = segment_bytes(disk_bytes);
            raft.history.bytes_max = raft.history.bytes_max.min(disk_bytes / HISTORY_PARTS);
        }
        let parts = Parts {
            ports,
            exec: Arc::new(Exec::new(config.exec)?),
            raft,
            peer_text,
            home,
            alias,
            addresses,
            http: gateway.as_ref().map(|gateway| http_text(gateway.address())),
            secret,
            public: config.public,
            budgets: config.budgets,
            machine: Some(meter),
        };
        let opened = Opened::open(parts).await?;
        // The log has begun: an empty one is a loss from now on. A crash before this line leaves a log that is not empty,
        // or a beginning that may be repeated.
        state.begin(fresh)?;
        let serving = opened.serve(vats).await?;
        operation.serves(&serving.shared);
        if config.budgets.disk_bytes.is_some() {
            keep_room(Arc::downgrade(&serving.shared)).map_err(StartError::Thread)?;
        }
        let peer_text = peer_text(peer);
        tracing::info!(peer = %peer_text, state = %state.path().display(), "the node answers");
        Ok(Self { gateway, _thread: thread, serving, peer_text, secret, state, _temporary: None })
    }

    /// Its peer id in libp2p's text form.
    pub fn peer(&self) -> &str {
        &self.peer_text
    }

    /// The name of its home.
    pub fn alias(&self) -> &str {
        self.serving.shared.alias.as_str()
    }

    /// The addresses it listens on, each with its peer id.
    pub fn addresses(&self) -> &[String] {
        &self.serving.shared.addresses
    }

    /// Where its gateway answers, as a URL.
    pub fn http(&self) -> Option<String> {
        self.gateway.as_ref().map(|gateway| http_text(gateway.address()))
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
        let shared = &self.serving.shared;
        let peer = shared.ports.net.local();
        let who = Who { principal: Principal::of_peer(&peer.0), owner: true };
        shared.callers.send_modify(|callers| *callers += 1);
        HostStub(serve_host(NodeHost { shared: shared.clone(), peer, who }))
    }

    /// Completes when somebody asked the node to stop, or when it must end: then with the reason.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn ended(&self) -> Option<String> {
        self.serving.ended().await
    }

    /// Completes when no login is alive.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn left_alone(&self) {
        // The sender lives as long as the node: the wait ends by the condition only.
        let _ = self.serving.shared.callers.subscribe().wait_for(|callers| *callers == 0).await;
    }

    /// Stops in order: callers finish within a bound, snapshots are taken, the log is closed.
    ///
    /// # Errors
    /// `fatal` when a snapshot could not be taken; nothing acknowledged is lost, the log has it.
    pub async fn stop(self) -> Result<(), Error> {
        self.serving.shared.stopping.send_replace(true);
        let clock = &self.serving.shared.ports.clock;
        let deadline = clock.sleep_until(clock.now().after(DRAIN_WITHIN));
        let alone = self.left_alone();
        futures::pin_mut!(alone);
        select(alone, deadline).await;
        self.serving.shared.raft.stop().await
    }
}

fn http_text(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn first_half(bytes: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&bytes[..16]);
    half
}
