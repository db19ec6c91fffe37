//! Calls over loopback: clients that coalesce, in turns with the same calls one a message, and with plain Cap'n Proto.

use crate::figure::{Target, median, print};
use crate::flight::{Flight, fly};
use crate::plain::{Caller, Plain};
use crate::{Outcome, started};
use futures::future::{join_all, try_join_all};
use isx_client::{Client, Connect, Dial, Find, Ports, Target as Where};
use isx_iface::{HostStub, ObjectRef};
use isx_node::Node;
use isx_node::real::{SystemClock, SystemEntropy, Threads};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

const CLIENTS: u8 = 8;
const IN_FLIGHT: usize = 128;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(1);

/// Prints the figures.
pub fn measure() -> Outcome<()> {
    started::run(async {
        let (_folder, node) = started::node().await?;
        started::mount_tally(&node.host()).await?;
        let plain = Plain::start().await?;
        let clients = try_join_all((0..CLIENTS).map(|number| Connected::new(&node, &plain, number))).await?;
        let (mut plains, mut singles, mut coalesced) = (Vec::new(), Vec::new(), Vec::new());
        let (mut to_plain, mut to_single) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let bare = sum(join_all(clients.iter().map(|client| client.plain.fly(IN_FLIGHT, ROUND))).await)?;
            let single = calls(clients.iter().map(|client| &client.single)).await?;
            let batched = calls(clients.iter().map(|client| &client.lasting)).await?;
            to_plain.push(batched / bare);
            to_single.push(batched / single);
            plains.push(bare);
            singles.push(single);
            coalesced.push(batched);
        }
        print("plain capnp, 8 clients x 128 in flight, a message a call", median(&mut plains), "calls/s", Target::None);
        print("isx, 8 x 128, answered, a message a call", median(&mut singles), "calls/s", Target::None);
        print("isx, 8 x 128, answered, coalesced by the client", median(&mut coalesced), "calls/s", Target::None);
        print("coalesced to a message a call, both isx", median(&mut to_single), "times", Target::None);
        print("isx coalesced to plain capnp", median(&mut to_plain), "times", Target::AtLeast(2.0));
        Ok(())
    })
}

/// One client, by three ways.
pub struct Connected {
    pub plain: Caller,
    /// Tally over one connection: a message a call.
    single: ObjectRef,
    /// Drives that connection.
    _dial: Dial,
    /// Tally as a client has it: calls are numbered, and those that wait go together.
    pub lasting: ObjectRef,
}

impl Connected {
    pub async fn new(node: &Node, plain: &Plain, number: u8) -> Outcome<Self> {
        let clock = Arc::new(SystemClock::start(Handle::current()));
        let dial = async || {
            let target = Where { addresses: node.addresses().to_vec(), secret: Some(node.secret().to_vec()) };
            let find: Find = Box::new(move || Ok(target.clone()));
            Dial::new([number + 1; 32], clock.clone(), find).await
        };
        let bare = dial().await?;
        let single = started::tally(&HostStub(bare.connect().await?)).await?;
        let spawn = Arc::new(Threads::new(Handle::current(), isx_exec::limits::THREAD_STACK_BYTES));
        let ports = Ports { clock: clock.clone(), entropy: Arc::new(SystemEntropy), spawn };
        let client = Client::connected(Box::new(dial().await?), ports, isx_client::limits::CALL_WITHIN).await?;
        let lasting = started::tally(&HostStub(client.host())).await?;
        Ok(Self { plain: plain.caller(number).await?, single, _dial: bare, lasting })
    }
}

/// Answers a second of all clients, each on a task of its own.
async fn calls(tallies: impl Iterator<Item = &ObjectRef>) -> Outcome<f64> {
    let fly = |tally: &ObjectRef| {
        let (tally, mut number) = (tally.clone(), 0);
        tokio::spawn(fly(IN_FLIGHT, ROUND, move || {
            number += 1;
            started::add(tally.clone(), number)
        }))
    };
    let flown: Vec<_> = tallies.map(fly).collect();
    sum(join_all(flown).await.into_iter().collect::<Result<Vec<_>, _>>()?)
}

fn sum(flights: Vec<Outcome<Flight>>) -> Outcome<f64> {
    flights.into_iter().map(|flight| flight.map(|flight| flight.rate())).sum()
}
