//! Dialling a node over libp2p.

use crate::Client;
use crate::limits::{CALL_WITHIN, DIAL_WITHIN};
use crate::link::{Connect, Ports};
use async_trait::async_trait;
use futures::future::BoxFuture;
use isx_iface::{Login, LoginStub, ObjectRef};
use isx_net::{Config, Key, Libp2p};
use isx_port::{Clock, Job, Lane, Net, Spawn, Task};
use isx_row::{Bytes, Code, Error};
use isx_vat::{PROTOCOL, Vats, vats};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Where a node is, and what admits us.
#[derive(Clone)]
pub struct Target {
    /// Its addresses, each with its peer id: `/ip4/127.0.0.1/tcp/4711/p2p/12D3Koo…`.
    pub addresses: Vec<String>,
    /// Gives the owner's root; without it the key alone must admit us.
    pub secret: Option<Vec<u8>>,
}

/// Dials a node in one call, with the user's key. The client finds the node again where it is, whenever the connection breaks.
///
/// ```
/// use isx_client::Target;
/// use isx_iface::{Anchor, Host, HostStub};
///
/// # let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// // A node of this program, for a program without one; any address of any node does.
/// let node = isx_node::Node::dev().await?;
/// let target = Target { addresses: node.addresses().to_vec(), secret: Some(node.secret().to_vec()) };
/// let client = isx_client::dial(target, [7; 32]).await?;
///
/// let host = HostStub(client.host());
/// assert!(host.whoami().await?.owner);
/// host.walk("/self".into()).await?.make("seen".into()).await?;
/// assert!(node.host().walk("/self/seen".into()).await.is_ok());
/// # drop((host, client));
/// node.stop().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Client::connected`] and [`Dial::new`].
///
/// # Panics
/// Outside of a tokio runtime.
///
/// # Cancel safety
/// Dropping the future abandons the connection.
pub async fn dial(target: Target, key: [u8; 32]) -> Result<Client, Error> {
    let ports = Ports::here();
    let dial = Dial::new(key, ports.clock.clone(), Box::new(move || Ok(target.clone()))).await?;
    Client::connected(Box::new(dial), ports, CALL_WITHIN).await
}

/// Tasks of a client, on a runtime. It has no lanes: its work does not block.
pub(crate) struct Tasks(pub(crate) Handle);

impl Spawn for Tasks {
    fn spawn(&self, _name: &'static str, task: Task) {
        self.0.spawn(task);
    }

    fn run(&self, _lane: Lane, job: Job) -> BoxFuture<'static, ()> {
        let running = self.0.spawn_blocking(job);
        Box::pin(async move {
            // A job that panicked is as done as it will be.
            let _ = running.await;
        })
    }
}

/// Finds the node: asked at each connection, so that a node that was started again is found where it is now.
pub type Find = Box<dyn Fn() -> Result<Target, Error> + Send + Sync>;

/// Dials the node that `find` names.
pub struct Dial {
    net: Libp2p,
    vats: Vats,
    clock: Arc<dyn Clock>,
    find: Find,
}

impl Dial {
    /// A dialler with the user's key. A thread of its own drives the network and the connections.
    ///
    /// # Errors
    /// `fatal` when this machine gives no network or no thread.
    pub async fn new(seed: [u8; 32], clock: Arc<dyn Clock>, find: Find) -> Result<Self, Error> {
        let fatal = |text: String| Error::new(Code::Fatal, text);
        let config = Config { key: Key::from_seed(seed), listen: Vec::new() };
        let (vats, driving) = vats();
        let runtime = isx_net::thread("isx-client-vat", move || driving.drive());
        let (runtime, _) = runtime.map_err(|error| fatal(format!("no thread for the connection: {error}")))?;
        let net = Libp2p::start(&runtime, config).await.map_err(|error| fatal(error.to_string()))?;
        Ok(Self { net, vats, clock, find })
    }
}

#[async_trait]
impl Connect for Dial {
    async fn connect(&self) -> Result<ObjectRef, Error> {
        let target = (self.find)()?;
        let mut last = Error::new(Code::Disconnected, "the node has no address");
        for address in &target.addresses {
            let peer = match self.net.learn(address) {
                Ok(peer) => peer,
                Err(error) => return Err(Error::new(Code::Malformed, format!("{address}: {error}"))),
            };
            match self.net.open(peer, PROTOCOL, DIAL_WITHIN).await {
                Ok(stream) => {
                    let (login, connection) = isx_vat::connect(stream, self.clock.clone());
                    self.vats.drive(connection)?;
                    return Ok(LoginStub(login).login(target.secret.clone().map(Bytes)).await?.0);
                }
                Err(error) => last = Error::new(Code::Disconnected, format!("{address}: {error}")),
            }
        }
        Err(last)
    }
}
