//! Plain Cap'n Proto RPC over the same streams as a node's, a message a call, answered at once with what was sent: what
//! the vat, sessions, consensus, the log and apply are measured against.

use crate::Outcome;
use crate::flight::{Flight, fly};
use capnp::any_pointer;
use capnp::capability::{
    Client, DispatchCallResult, FromClientHook, FromServer, Params, Promise, Request, Results, Server,
};
use capnp::private::capability::ClientHook;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use futures::executor::{LocalPool, block_on};
use futures::future::{Either, select};
use futures::io::{AsyncReadExt, BufReader, BufWriter};
use futures::task::LocalSpawnExt;
use isx_net::{Config, Key, Libp2p};
use isx_port::{Incoming, Net, PeerId, Protocol, Stream};
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

const PLAIN: Protocol = Protocol("/isx/bench/plain/1");
const WITHIN: Duration = Duration::from_secs(10);
/// Bytes gathered before they are written, and read at once: as in a vat.
const BUFFER_BYTES: usize = 16 * 1024;
/// The one interface there is.
const INTERFACE: u64 = 0xb0a3_5a97_7143_26f1;
/// About the bytes of a call of tally's `add`.
const PAYLOAD: [u8; 24] = [7; 24];

/// A server and where it is.
pub struct Plain {
    net: Libp2p,
    address: String,
}

/// A client's connection.
pub struct Caller {
    net: Libp2p,
    server: PeerId,
}

impl Plain {
    /// Serves on a thread of its own, on the present runtime's network.
    pub async fn start() -> Outcome<Self> {
        let net = network(100, vec!["/ip4/127.0.0.1/tcp/0".into()]).await?;
        let incoming = net.accept(PLAIN)?;
        let address = net.listen_addresses().first().cloned().ok_or("no address")?;
        std::thread::Builder::new().name("plain".into()).spawn(move || serve(incoming))?;
        Ok(Self { net, address })
    }

    /// A client.
    pub async fn caller(&self, number: u8) -> Outcome<Caller> {
        let net = network(101 + number, Vec::new()).await?;
        net.learn(&self.address)?;
        Ok(Caller { net, server: self.net.local() })
    }
}

async fn network(seed: u8, listen: Vec<String>) -> Outcome<Libp2p> {
    let config = Config { key: Key::from_seed([seed; 32]), listen };
    Ok(Libp2p::start(&tokio::runtime::Handle::current(), config).await?)
}

/// One thread drives all connections, as a node's does.
fn serve(mut incoming: Box<dyn Incoming>) {
    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    pool.run_until(async move {
        while let Some((_, stream)) = incoming.next().await {
            let echo = capnp_rpc::new_client::<EchoClient, _>(Echo);
            let system = system(stream, Side::Server, Some(echo.0));
            // A connection that can not be driven is dropped, which its caller sees.
            let _ = spawner.spawn_local(async move { drop(system.await) });
        }
    });
}

fn system(stream: Box<dyn Stream>, side: Side, bootstrap: Option<Client>) -> RpcSystem<Side> {
    let (reader, writer) = stream.split();
    let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
    let network = twoparty::VatNetwork::new(reader, writer, side, Default::default());
    RpcSystem::new(Box::new(network), bootstrap)
}

impl Caller {
    /// Keeps calls in flight for so long, on a thread of its own.
    pub async fn fly(&self, in_flight: usize, during: Duration) -> Outcome<Flight> {
        let stream = self.net.open(self.server, PLAIN, WITHIN).await?;
        let (flown, flight) = futures::channel::oneshot::channel();
        let body = move || drop(flown.send(block_on(calls(stream, in_flight, during))));
        std::thread::Builder::new().name("plain-client".into()).spawn(body)?;
        flight.await?
    }
}

async fn calls(stream: Box<dyn Stream>, in_flight: usize, during: Duration) -> Outcome<Flight> {
    let mut system = system(stream, Side::Client, None);
    let EchoClient(echo) = system.bootstrap(Side::Server);
    let flight = async {
        // The first call waits for the handshakes.
        call(&echo).await?;
        fly(in_flight, during, || call(&echo)).await
    };
    futures::pin_mut!(flight);
    match select(flight, system).await {
        Either::Left((flight, _)) => flight,
        Either::Right((end, _)) => Err(format!("the connection ended: {end:?}").into()),
    }
}

async fn call(echo: &Client) -> Outcome<()> {
    let mut request: Request<any_pointer::Owned, any_pointer::Owned> = echo.new_call(INTERFACE, 0, None);
    request.get().set_as::<capnp::data::Owned>(PAYLOAD.as_slice())?;
    let response = request.send().promise.await?;
    let answer: &[u8] = response.get()?.get_as()?;
    if answer == PAYLOAD { Ok(()) } else { Err("the echo is another".into()) }
}

/// Answers with what was sent.
struct Echo;

/// A reference to an [`Echo`].
struct EchoClient(Client);

#[derive(Clone)]
struct Dispatch(Rc<Echo>);

impl FromClientHook for EchoClient {
    fn new(hook: Box<dyn ClientHook>) -> Self {
        Self(Client::new(hook))
    }
    fn into_client_hook(self) -> Box<dyn ClientHook> {
        self.0.hook
    }
    fn as_client_hook(&self) -> &dyn ClientHook {
        &*self.0.hook
    }
}

impl FromServer<Echo> for EchoClient {
    type Dispatch = Dispatch;

    fn from_server(server: Rc<Echo>) -> Dispatch {
        Dispatch(server)
    }
}

impl Deref for Dispatch {
    type Target = Echo;

    fn deref(&self) -> &Echo {
        &self.0
    }
}

impl Server for Dispatch {
    fn dispatch_call(
        self,
        _interface: u64,
        _method: u16,
        params: Params<any_pointer::Owned>,
        mut results: Results<any_pointer::Owned>,
    ) -> DispatchCallResult {
        let mut answer = || results.set(params.get()?);
        DispatchCallResult::new(answer().map_or_else(Promise::err, |()| Promise::ok(())), false)
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }
}
