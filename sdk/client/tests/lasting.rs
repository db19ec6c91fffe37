//! References live through lost connections: obtained again, asked again under the same numbers.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use async_trait::async_trait;
use futures::executor::block_on;
use futures::future::BoxFuture;
use isx_client::limits::CALL_WITHIN;
use isx_client::{Client, Connect, Ports};
use isx_iface::{Answer, Call, Items, Object, ObjectRef, SessionCall};
use isx_port::{Clock, Entropy, Instant, Job, Lane, Spawn, Task, WallTime};
use isx_row::{Code, Error, Signature};
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
        self.node.asked.lock().unwrap().push((call.method, call.delivery.session));
        let left = self.node.breaks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(Error::new(Code::Disconnected, "the connection broke")),
            Err(_) => Ok(Answer::default()),
        }
    }
    async fn stream(&self, _call: Call) -> Result<Items, Error> {
        Ok(Box::pin(futures::stream::empty()))
    }
    async fn whois(&self) -> Result<String, Error> {
        Ok("tally".into())
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
    let node = Arc::new(Node { breaks: AtomicU64::new(breaks), ..Node::default() });
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
