//! References live through lost connections: obtained again, asked again under the same numbers.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::BoxFuture;
use isx_client::limits::CALL_WITHIN;
use isx_client::{Client, Connect, Ports};
use isx_iface::host::Identity;
use isx_iface::payload::encode_value;
use isx_iface::{Answer, Call, Items, Object, ObjectRef, SessionCall};
use isx_port::{Clock, Entropy, Instant, Job, Lane, Spawn, Task, WallTime};
use isx_row::{Code, Error, Principal, Signature, Time};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A clock on which every pause is over at once; deadlines never come.
struct Hasty;

impl Clock for Hasty {
    fn now(&self) -> Instant {
        Instant::default()
    }
    fn wall(&self) -> WallTime {
        WallTime { unix_us: 1 }
    }
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        match deadline.since_origin() < Duration::from_secs(10) {
            true => Box::pin(std::future::ready(())),
            false => Box::pin(std::future::pending()),
        }
    }
}

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, into: &mut [u8]) {
        into.fill(self.0.fetch_add(1, Ordering::Relaxed) as u8);
    }
}

struct Threads;

impl Spawn for Threads {
    fn spawn(&self, _name: &'static str, task: Task) {
        std::thread::spawn(|| block_on(task));
    }
    fn run(&self, _lane: Lane, job: Job) -> BoxFuture<'static, ()> {
        job();
        Box::pin(std::future::ready(()))
    }
}

/// A node that breaks the connection in the middle of its first calls.
#[derive(Default)]
struct Node {
    connections: AtomicU64,
    /// Connections up to this one are dead.
    dead: AtomicU64,
    breaks: AtomicU64,
    asked: Mutex<Vec<(String, Option<SessionCall>)>>,
    /// Its time, if it knows no sessions but those that were born then.
    time: Option<Time>,
}

fn identity(time: Time) -> Identity {
    let text = String::new;
    let principal = Principal::anonymous();
    Identity { node: text(), peer: text(), principal, owner: true, alias: text(), version: text(), time }
}

/// An object over a connection.
#[derive(Clone)]
struct Served {
    node: Arc<Node>,
    connection: u64,
}

#[async_trait]
impl Object for Served {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        if self.connection <= self.node.dead.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Disconnected, "the connection is closed"));
        }
        if call.method == "walk" || call.method == "object" {
            return Ok(Answer { objects: vec![Arc::new(self.clone())], ..Answer::default() });
        }
        if let ("whoami", Some(time)) = (call.method.as_str(), self.node.time) {
            return Ok(Answer { payload: encode_value(identity(time))?, ..Answer::default() });
        }
        self.node.asked.lock().unwrap().push((call.method.clone(), call.delivery.session));
        let left = self.node.breaks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(Error::new(Code::Disconnected, "the connection broke")),
            Err(_) => self.node.check(call.delivery.session).map(|()| Answer::default()),
        }
    }
    async fn stream(&self, call: Call) -> Result<Items, Error> {
        self.node.check(call.delivery.session)?;
        Ok(Box::pin(futures::stream::empty()))
    }
    async fn whois(&self) -> Result<String, Error> {
        Ok("tally".into())
    }
}

impl Node {
    fn check(&self, session: Option<SessionCall>) -> Result<(), Error> {
        match (self.time, session) {
            (Some(time), Some(call)) if call.session.birth() != time => {
                Err(Error::new(Code::Expired, "the session is not known any more"))
            }
            _ => Ok(()),
        }
    }
}

struct Dialler(Arc<Node>);

#[async_trait]
impl Connect for Dialler {
    async fn connect(&self) -> Result<ObjectRef, Error> {
        let connection = self.0.connections.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Arc::new(Served { node: self.0.clone(), connection }))
    }
}

fn call(method: &str) -> Call {
    let (method, delivery) = (method.to_string(), Default::default());
    Call {
        method,
        signature: Signature::ANY,
        payload: vec![0, 0],
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery,
    }
}

fn client(breaks: u64) -> (Client, Arc<Node>) {
    client_of(Node { breaks: AtomicU64::new(breaks), ..Node::default() })
}

fn client_of(node: Node) -> (Client, Arc<Node>) {
    let node = Arc::new(node);
    let ports =
        Ports { clock: Arc::new(Hasty), entropy: Arc::new(Counting(AtomicU64::new(1))), spawn: Arc::new(Threads) };
    (Client::new(Box::new(Dialler(node.clone())), ports, CALL_WITHIN), node)
}

fn obtained(from: &ObjectRef, method: &str) -> ObjectRef {
    block_on(from.call(call(method))).unwrap().objects.remove(0)
}

#[test]
fn a_call_to_a_module_keeps_its_number_over_every_try() {
    let (client, node) = client(3);
    let object = obtained(&obtained(&client.host(), "walk"), "object");
    block_on(object.call(call("add"))).unwrap();
    block_on(object.call(call("add"))).unwrap();
    let asked = node.asked.lock().unwrap();
    let numbers: Vec<u64> = asked.iter().map(|(_, session)| session.unwrap().sequence.0).collect();
    assert_eq!(numbers, [1, 1, 1, 1, 2]);
    assert!(asked.iter().all(|(_, session)| session.unwrap().session == asked[0].1.unwrap().session));
    assert_eq!(node.connections.load(Ordering::Relaxed), 4, "each break is followed by a new connection");
}

#[test]
fn what_may_not_be_made_twice_is_not_asked_twice() {
    let (client, node) = client(1);
    let anchor = obtained(&client.host(), "walk");
    assert_eq!(block_on(anchor.call(call("swap"))).err().unwrap().code, Code::Unknown);
    block_on(anchor.call(call("get"))).unwrap();
    let asked = node.asked.lock().unwrap();
    assert_eq!(asked.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>(), ["swap", "get"]);
    assert!(asked.iter().all(|(_, session)| session.is_none()), "only calls to modules are numbered");
}

#[test]
fn a_connection_found_dead_while_a_reference_is_obtained_is_not_used_again() {
    let (client, node) = client(0);
    let anchor = obtained(&client.host(), "walk");
    node.dead.store(1, Ordering::Relaxed);
    block_on(obtained(&anchor, "object").call(call("add"))).unwrap();
    assert_eq!(node.connections.load(Ordering::Relaxed), 2);
}

/// The client's clock says 1, the node's time is 9.
#[test]
fn a_session_that_nobody_knows_is_begun_again_at_the_nodes_time() {
    let (client, node) = client_of(Node { time: Some(Time(9)), ..Node::default() });
    let object = obtained(&obtained(&client.host(), "walk"), "object");
    block_on(object.call(call("add"))).unwrap();
    block_on(object.call(call("add"))).unwrap();
    let seen = |(_, session): &(String, Option<SessionCall>)| {
        let session = session.unwrap();
        (session.session.birth().0, session.sequence.0)
    };
    assert_eq!(node.asked.lock().unwrap().iter().map(seen).collect::<Vec<_>>(), [(1, 1), (9, 1), (9, 2)]);
    let other = obtained(&obtained(&client.host(), "walk"), "object");
    assert!(block_on(other.stream(call("counter"))).is_ok());
}

#[test]
fn a_call_that_may_have_run_is_not_made_in_another_session() {
    let (client, node) = client_of(Node { time: Some(Time(9)), breaks: AtomicU64::new(1), ..Node::default() });
    let object = obtained(&obtained(&client.host(), "walk"), "object");
    assert_eq!(block_on(object.call(call("add"))).err().unwrap().code, Code::Expired);
    assert_eq!(node.asked.lock().unwrap().len(), 2, "the try that broke, and the one that was told");
}
