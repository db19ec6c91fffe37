//! Programs that dial the node: each is a peer of its own, with isx-client over the simulated network.

use crate::clock::{SimClock, SimEntropy};
use crate::executor::Life;
use crate::local::local;
use crate::vat::program::SECRET;
use crate::world::{Program, World};
use async_trait::async_trait;
use isx_client::limits::DIAL_WITHIN;
use isx_client::{Client, Connect, Ports};
use isx_iface::{HostStub, Login, LoginStub, ObjectRef};
use isx_port::{Clock, Net, PeerId};
use isx_row::{Bytes, Code, Error};
use isx_vat::{PROTOCOL, Vats, vats};
use std::sync::Arc;
use std::time::Duration;

/// Clocks of programs run at most so many parts in a million fast or slow.
const DRIFT_PPM_MAX: u64 = 200;
/// How long a call that says nothing waits.
pub(crate) const WITHIN: Duration = Duration::from_secs(40);

/// What a program may do at the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// It has the secret.
    Owner,
    /// It has nothing, and is let in to what is public.
    Stranger,
}

/// A program with a client.
pub(crate) struct Dialled {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) life: Life,
    client: Client,
}

impl Dialled {
    /// A program that dials when it first needs to.
    pub(crate) fn new(world: &Arc<World>, right: Right) -> Self {
        Self::within(world, right, WITHIN)
    }

    /// One whose calls wait `within` when they say nothing.
    pub(crate) fn within(world: &Arc<World>, right: Right, within: Duration) -> Self {
        let (peer, life) = world.caller();
        let mut random = world.split("program");
        let drift = random.below(2 * DRIFT_PPM_MAX) as i64 - DRIFT_PPM_MAX as i64;
        let clock = Arc::new(SimClock::new(world.executor.clone(), life, drift, Arc::default()));
        let (vats, driving) = vats();
        world.executor.spawn(life, "program's vat", local(driving.drive()));
        let secret = (right == Right::Owner).then_some(SECRET);
        let nodes = world.nodes.iter().map(|node| node.peer).collect();
        let dial = Dial { net: world.net.port(peer, life), nodes, vats, clock: clock.clone(), secret };
        let entropy = Arc::new(SimEntropy::new(random));
        let ports = Ports { clock: clock.clone(), entropy, spawn: world.executor.spawner(life) };
        let client = Client::new(Box::new(dial), ports, within);
        if let Program::Node(program) = &world.program {
            (program.configure.client)(&client);
        }
        Self { clock, life, client }
    }

    pub(crate) fn host(&self) -> HostStub {
        HostStub(self.client.host())
    }
}

struct Dial {
    net: Arc<dyn Net>,
    nodes: Vec<PeerId>,
    vats: Vats,
    clock: Arc<SimClock>,
    secret: Option<[u8; 32]>,
}

#[async_trait]
impl Connect for Dial {
    async fn connect(&self) -> Result<ObjectRef, Error> {
        let mut last = Error::new(Code::Disconnected, "there is no node");
        for node in &self.nodes {
            match self.net.open(*node, PROTOCOL, DIAL_WITHIN).await {
                Ok(stream) => {
                    let clock: Arc<dyn Clock> = self.clock.clone();
                    let (login, connection) = isx_vat::connect(stream, clock);
                    self.vats.drive(connection)?;
                    return Ok(LoginStub(login).login(self.secret.map(|secret| Bytes(secret.to_vec()))).await?.0);
                }
                Err(error) => last = Error::new(Code::Disconnected, error.to_string()),
            }
        }
        Err(last)
    }
}
