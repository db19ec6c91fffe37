//! Two vats, a pipe between them and a clock that stands until it is moved: everything on one thread.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod authority;
mod calls;
mod failures;
mod pipe;
mod schema;
mod service;
mod streams;

use futures::executor::LocalPool;
use futures::future::BoxFuture;
use futures::task::LocalSpawnExt;
use isx_iface::{Call, Delivery, HostStub, Login, LoginStub, ObjectRef};
use isx_port::{Clock, Instant, PeerId, WallTime};
use isx_row::{Error, Signature};
use isx_vat::authority::{Authority, Rules};
use isx_vat::{Admission, LoginGate, Vats, connect, serve, vats};
use pipe::{Pipe, pipe};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Who dials.
pub(crate) const CALLER: PeerId = PeerId([7; 32]);

/// A clock that a test moves.
#[derive(Default)]
pub(crate) struct Hands {
    state: Mutex<(Instant, Vec<Waker>)>,
}

impl Hands {
    pub(crate) fn advance(&self, by: Duration) {
        let mut state = self.state.lock().unwrap();
        state.0 = state.0.after(by);
        std::mem::take(&mut state.1).into_iter().for_each(Waker::wake);
    }
}

/// The clock's handle.
#[derive(Clone, Default)]
pub(crate) struct Watch(pub(crate) Arc<Hands>);

impl Clock for Watch {
    fn now(&self) -> Instant {
        self.0.state.lock().unwrap().0
    }
    fn wall(&self) -> WallTime {
        WallTime::default()
    }
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let hands = self.0.clone();
        Box::pin(futures::future::poll_fn(move |cx| {
            let mut state = hands.state.lock().unwrap();
            if state.0 >= deadline {
                return Poll::Ready(());
            }
            state.1.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

/// Admits the secret `open sesame`, and whoever says nothing, to the same object under the same rules.
struct Gate {
    host: ObjectRef,
    rules: Rules,
}

#[isx_iface::async_trait]
impl LoginGate for Gate {
    async fn admit(&self, peer: PeerId, secret: Option<&[u8]>) -> Result<Admission, Error> {
        assert_eq!(peer, CALLER);
        match secret {
            None | Some(b"open sesame") => Ok(Admission { host: self.host.clone(), rules: self.rules.clone() }),
            Some(_) => Err(Error::new(isx_row::Code::NotFound, "no such login")),
        }
    }
}

/// Two vat threads on one.
pub(crate) struct Stage {
    pub(crate) pool: LocalPool,
    pub(crate) clock: Watch,
    pub(crate) authority: Authority,
    vats: Vats,
    gate: Arc<Gate>,
}

impl Stage {
    pub(crate) fn new(host: ObjectRef) -> Self {
        Self::with_rules(host, Rules::All)
    }

    pub(crate) fn with_rules(host: ObjectRef, rules: Rules) -> Self {
        let pool = LocalPool::new();
        let (vats, driving) = vats();
        pool.spawner().spawn_local(driving.drive()).unwrap();
        let gate = Arc::new(Gate { host, rules });
        Self { pool, clock: Watch::default(), authority: Authority::default(), vats, gate }
    }

    /// Serves one end of a new pipe; the other end, raw.
    pub(crate) fn dial(&self) -> Pipe {
        let (ours, theirs) = pipe();
        let clock = Arc::new(self.clock.clone());
        self.vats.drive(serve(Box::new(theirs), CALLER, self.gate.clone(), &self.authority, clock)).unwrap();
        ours
    }

    /// A connection that has not logged in, and the hand on its pipe.
    pub(crate) fn connect(&self) -> (LoginStub, pipe::Cut) {
        let ours = self.dial();
        let cut = ours.cut();
        let (login, connection) = connect(Box::new(ours), Arc::new(self.clock.clone()));
        self.vats.drive(connection).unwrap();
        (LoginStub(login), cut)
    }

    /// The host over a new connection.
    pub(crate) fn host(&mut self) -> (ObjectRef, pipe::Cut) {
        let (login, cut) = self.connect();
        let HostStub(host) = self.pool.run_until(login.login(None)).unwrap();
        (host, cut)
    }

    pub(crate) fn run<T>(&mut self, body: impl Future<Output = T>) -> T {
        self.pool.run_until(body)
    }

    /// Lets everything that can go on do so.
    pub(crate) fn settle(&mut self) {
        self.pool.run_until_stalled();
    }
}

/// A call of `method` with these bytes.
pub(crate) fn call(method: &str, payload: &[u8]) -> Call {
    Call {
        method: method.into(),
        signature: Signature::ANY,
        payload: payload.to_vec(),
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: Delivery::default(),
    }
}
