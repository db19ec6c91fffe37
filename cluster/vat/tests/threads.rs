//! The real composition: two vat threads, libp2p between them, callers on a runtime.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use futures::future::{BoxFuture, join_all};
use futures::{StreamExt, stream};
use isx_iface::{Answer, Call, Delivery, Item, Items, Login, LoginStub, Object, ObjectRef, async_trait};
use isx_net::{Config, Key, Libp2p};
use isx_port::{Clock, Instant, Net, PeerId, WallTime};
use isx_row::{Class, Code, Error, Signature};
use isx_vat::authority::{Authority, Rules};
use isx_vat::{Admission, LoginGate, PROTOCOL, Vats, connect, serve, vats};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

struct Real(std::time::Instant, Handle);

impl Clock for Real {
    fn now(&self) -> Instant {
        Instant::from_origin(self.0.elapsed())
    }
    fn wall(&self) -> WallTime {
        WallTime::default()
    }
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let _entered = self.1.enter();
        Box::pin(tokio::time::sleep_until((self.0 + deadline.since_origin()).into()))
    }
}

struct Echo;

#[async_trait]
impl Object for Echo {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        let objects: Vec<ObjectRef> = if call.method == "again" { vec![Arc::new(Echo)] } else { Vec::new() };
        Ok(Answer { payload: call.payload, objects, ..Answer::default() })
    }
    async fn stream(&self, call: Call) -> Result<Items, Error> {
        let item = Item { cursor: Default::default(), payload: call.payload };
        Ok(stream::iter((0..2000).map(move |_| Ok(item.clone()))).boxed())
    }
    async fn whois(&self) -> Result<String, Error> {
        Ok("test.Echo".into())
    }
}

#[async_trait]
impl LoginGate for Echo {
    async fn admit(&self, _: PeerId, _: Option<&[u8]>) -> Result<Admission, Error> {
        Ok(Admission { host: Arc::new(Echo), rules: Rules::All })
    }
}

fn vat_thread() -> Vats {
    let (vats, driving) = vats();
    std::thread::spawn(move || futures::executor::block_on(driving.drive()));
    vats
}

fn call(method: &str, bytes: usize) -> Call {
    let delivery = Delivery::default();
    Call {
        method: method.into(),
        signature: Signature::ANY,
        payload: vec![7; bytes],
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery,
    }
}

#[test]
fn calls_batches_walks_and_streams_cross_threads_and_sockets() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let handle = Handle::current();
        let clock = || Arc::new(Real(std::time::Instant::now(), handle.clone()));
        let start = async |seed, listen: &[&str]| {
            let listen = listen.iter().map(ToString::to_string).collect();
            Libp2p::start(&handle, Config { key: Key::from_seed([seed; 32]), listen }).await.unwrap()
        };
        let (server, client) = (start(1, &["/ip4/127.0.0.1/tcp/0"]).await, start(2, &[]).await);
        let mut incoming = server.accept(PROTOCOL).unwrap();
        let (serving, clock_there) = (vat_thread(), clock());
        tokio::spawn(async move {
            let authority = Authority::default();
            while let Some((peer, stream)) = incoming.next().await {
                serving.drive(serve(stream, peer, Arc::new(Echo), &authority, clock_there.clone())).unwrap();
            }
        });

        let peer = client.learn(&server.listen_addresses()[0]).unwrap();
        let stream = client.open(peer, PROTOCOL, Duration::from_secs(10)).await.unwrap();
        let (login, connection) = connect(stream, clock());
        let calling = vat_thread();
        calling.drive(connection).unwrap();
        let host = LoginStub(login).login(None).await.unwrap().0;

        for _ in 0..200 {
            assert_eq!(host.call(call("echo", 64)).await.unwrap().payload.len(), 64);
        }
        let answers = join_all((0..2000).map(|_| host.call(call("echo", 64)))).await;
        assert!(answers.iter().all(Result::is_ok));
        let answers = host.batch((0..3000).map(|_| call("echo", 1000)).collect()).await;
        assert!(answers.iter().all(Result::is_ok));
        let far = (0..20).fold(host.clone(), |object, _| object.first(call("again", 0)));
        assert_eq!(far.whois().await.unwrap(), "test.Echo");
        let items = host.stream(call("items", 1000)).await.unwrap();
        assert_eq!(items.filter(|item| std::future::ready(item.is_ok())).count().await, 2000);

        // The vat thread ends with its handle: a call under way may be unknown, those after it are told.
        drop(calling);
        let error = loop {
            match host.call(call("echo", 1)).await {
                Err(error) if error.class() != Class::Unknown => break error,
                _ => {}
            }
        };
        assert_eq!(error.code, Code::Disconnected);
    });
}
