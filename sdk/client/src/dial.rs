//! Dialling a node over libp2p.

use crate::limits::DIAL_WITHIN;
use crate::link::Connect;
use async_trait::async_trait;
use isx_iface::{Login, LoginStub, ObjectRef};
use isx_net::{Config, Key, Libp2p};
use isx_port::{Clock, Net};
use isx_row::{Bytes, Code, Error};
use isx_vat::{PROTOCOL, Vats, vats};
use std::sync::Arc;

/// Where a node is, and what admits us.
#[derive(Clone)]
pub struct Target {
    /// Its addresses, each with its peer id: `/ip4/127.0.0.1/tcp/4711/p2p/12D3Koo…`.
    pub addresses: Vec<String>,
    /// Gives the owner's root; without it the key alone must admit us.
    pub secret: Option<Vec<u8>>,
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
