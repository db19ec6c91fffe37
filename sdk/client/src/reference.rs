//! References that outlive their connection: obtained again by the way they were obtained first.

use crate::batch::Batcher;
use crate::limits::{PAUSE_MAX, PAUSE_MIN};
use crate::link::{Generation, Link};
use crate::planted::Bug;
use crate::session::{Session, Ticket};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use isx_iface::{Answer, Call, Host, HostStub, Item, Items, Object, ObjectRef};
use isx_port::Instant;
use isx_row::{Class, Code, Error, Incarnation, Revision, SessionId, Time};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;

/// Methods of the system's objects by which a reference is obtained: the same call obtains it again.
const OBTAINING: &[&str] = &["root", "walk", "make", "mount", "object", "module"];
/// The one of them that gives a module's own object; its calls are numbered, and so safe to ask again.
const MODULE_OBJECT: &str = "object";
/// Methods of the system's objects that may not be made twice; all others are idempotent.
const ONCE: &[&str] = &["swap"];

/// How a reference was obtained.
enum Origin {
    /// It is the login's `Host`.
    Host,
    /// By this call on another reference.
    Walked { from: Arc<Reference>, call: Box<Call> },
}

/// An object of the node, reached over whatever connection there is.
pub(crate) struct Reference {
    pub(crate) link: Arc<Link>,
    origin: Origin,
    session: std::sync::Mutex<Arc<Session>>,
    /// Whether its methods are a module's.
    numbered: bool,
    current: Mutex<Option<Reached>>,
}

/// What the reference is over one connection.
#[derive(Clone)]
struct Reached {
    generation: Generation,
    object: ObjectRef,
    batcher: Arc<Batcher>,
}

impl Reference {
    pub(crate) fn host(link: Arc<Link>) -> Arc<Self> {
        Self::new(link, Origin::Host)
    }

    fn new(link: Arc<Link>, origin: Origin) -> Arc<Self> {
        let birth = Time(link.ports.clock.wall().unix_us);
        let session = Session::new(SessionId::new(birth, link.ports.entropy.next_u64()));
        let numbered = matches!(&origin, Origin::Walked { call, .. } if call.method == MODULE_OBJECT);
        Arc::new(Self { link, origin, session: session.into(), numbered, current: Mutex::new(None) })
    }

    /// The session that numbers its calls.
    fn session(&self) -> Arc<Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins another session in the place of one that is `expired`: it was forgotten, for it rested too long, or it was
    /// never known, for the clock here is not the cluster's. So the other is born at the node's time.
    async fn renew(&self, expired: &Arc<Session>, deadline: Instant) -> Result<(), Error> {
        let (_, host) = self.link.host(deadline).await?;
        let birth = self.link.by(deadline, HostStub(host).whoami()).await??.time;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&session, expired) {
            *session = Session::new(SessionId::new(birth, self.link.ports.entropy.next_u64()));
        }
        Ok(())
    }

    /// The object over the present connection, obtained again if the connection is new.
    async fn reach(&self, deadline: Instant) -> Result<Reached, Error> {
        let (generation, host) = self.link.host(deadline).await?;
        let mut current = self.link.by(deadline, self.current.lock()).await?;
        if let Some(reached) = current.as_ref().filter(|reached| reached.generation == generation) {
            return Ok(reached.clone());
        }
        let (generation, object) = match &self.origin {
            Origin::Host => (generation, host),
            Origin::Walked { from, call } => {
                let Reached { generation, object, .. } = Box::pin(from.reach(deadline)).await?;
                let answer = self.link.by(deadline, object.call(Call::clone(call))).await?;
                if answer.as_ref().is_err_and(|error| error.class() == Class::Broken) {
                    self.link.lost(generation).await;
                }
                (generation, first_object(answer?.objects)?)
            }
        };
        let batcher = Batcher::new(object.clone(), self.link.ports.spawn.clone());
        let reached = Reached { generation, object, batcher };
        *current = Some(reached.clone());
        Ok(reached)
    }

    /// Tries `once` until it answers, fails for good, or the deadline passes.
    async fn persist<T, F>(
        &self,
        deadline: Instant,
        repeatable: bool,
        mut once: impl FnMut(Reached) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut pause = PAUSE_MIN;
        loop {
            let error = match self.reach(deadline).await {
                Ok(reached) => {
                    let generation = reached.generation;
                    let error = match self.link.by(deadline, once(reached)).await? {
                        Ok(answer) => return Ok(answer),
                        Err(error) => error,
                    };
                    if error.class() == Class::Broken {
                        self.link.lost(generation).await;
                    }
                    if !again(&error) {
                        return Err(error);
                    }
                    if !(self.numbered || repeatable) && error.class() != Class::Busy {
                        return Err(Error::new(Code::Unknown, error.text));
                    }
                    error
                }
                // Nothing of the call was sent, and to obtain a reference twice is to obtain it.
                Err(error) if again(&error) => error,
                Err(error) => return Err(error),
            };
            tracing::debug!(%error, "asking again");
            self.link.pause(pause, deadline).await.map_err(|late| explain(late, &error))?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn deadline(&self, call: &Call) -> Instant {
        match call.delivery.within {
            Some(within) => self.link.ports.clock.now().after(within),
            None => self.link.soon(),
        }
    }
}

/// Whether what failed so may end otherwise when it is asked again.
fn again(error: &Error) -> bool {
    match error.class() {
        Class::Broken | Class::Busy => true,
        Class::Unknown => error.code == Code::Unknown,
        Class::Refused | Class::Fatal => false,
    }
}

/// Whether what was asked did not happen, for its session is not known.
fn is_expired<T>(answer: &Result<T, Error>) -> bool {
    answer.as_ref().is_err_and(|error| error.code == Code::Expired)
}

/// What to say when there is no more time to ask again.
fn explain(late: Error, last: &Error) -> Error {
    match last.code {
        // A person must do something, and the code says what.
        Code::Held => last.clone(),
        _ => Error::new(late.code, format!("{}; at last: {last}", late.text)),
    }
}

fn first_object(objects: Vec<ObjectRef>) -> Result<ObjectRef, Error> {
    objects.into_iter().next().ok_or_else(|| Error::new(Code::Malformed, "the answer carries no object"))
}

/// The client's face of a [`Reference`].
#[derive(Clone)]
pub(crate) struct Lasting(pub(crate) Arc<Reference>);

impl Lasting {
    fn walked(&self, call: Call) -> ObjectRef {
        let origin = Origin::Walked { from: self.0.clone(), call: Box::new(call) };
        Arc::new(Self(Reference::new(self.0.link.clone(), origin)))
    }

    /// Makes a call under a number, and says whether it is in doubt that a try of it ran.
    async fn numbered(&self, call: &Call, ticket: &Ticket, deadline: Instant) -> (Result<Answer, Error>, bool) {
        let planted = &self.0.link.planted;
        let repeatable = !ONCE.contains(&call.method.as_str()) || planted.has(Bug::OnceTwice);
        let in_doubt = AtomicBool::new(false);
        let answer = self.0.persist(deadline, repeatable, |reached| {
            let mut call = call.clone();
            call.delivery.within = Some(deadline.since(self.0.link.ports.clock.now()));
            if self.0.numbered {
                call.delivery.session = Some(planted.numbered(ticket.coordinates(), reached.generation));
            }
            let in_doubt = &in_doubt;
            async move {
                let answer = reached.batcher.call(call).await;
                let lost = |error: &Error| matches!(error.class(), Class::Broken | Class::Unknown);
                in_doubt.fetch_or(answer.as_ref().is_err_and(lost), Ordering::Relaxed);
                answer
            }
        });
        (answer.await, in_doubt.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Object for Lasting {
    async fn call(&self, call: Call) -> Result<Answer, Error> {
        if call.delivery.session.is_some() {
            return Err(Error::new(Code::BadArguments, "the client numbers its calls itself"));
        }
        if !self.0.numbered && OBTAINING.contains(&call.method.as_str()) {
            let deadline = self.0.deadline(&call);
            let mut answer = self
                .0
                .persist(deadline, true, |reached| {
                    let call = call.clone();
                    async move { reached.object.call(call).await }
                })
                .await?;
            first_object(std::mem::take(&mut answer.objects))?;
            answer.objects = vec![self.walked(call)];
            return Ok(answer);
        }
        let deadline = self.0.deadline(&call);
        let mut renewed = false;
        loop {
            let session = self.0.session();
            let ticket = self.0.link.by(deadline, session.ticket()).await?;
            let (answer, in_doubt) = self.numbered(&call, &ticket, deadline).await;
            if in_doubt || renewed || !self.0.numbered || !is_expired(&answer) {
                return answer;
            }
            self.0.renew(&session, deadline).await?;
            renewed = true;
        }
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        // Each call coalesces with the others on its own.
        futures::future::join_all(calls.into_iter().map(|call| self.call(call))).await
    }

    async fn stream(&self, call: Call) -> Result<Items, Error> {
        let deadline = self.0.deadline(&call);
        let first = open(&self.0, deadline, call.clone()).await?;
        let following = Following { reference: self.0.clone(), call, opened: Some(first) };
        Ok(stream::unfold(following, |mut following| async move {
            let item = following.next().await?;
            Some((item, following))
        })
        .boxed())
    }

    async fn whois(&self) -> Result<String, Error> {
        let deadline = self.0.link.soon();
        self.0.persist(deadline, true, |reached| async move { reached.object.whois().await }).await
    }
}

/// A stream over one connection.
struct Opened {
    generation: Generation,
    items: Items,
}

async fn open(reference: &Reference, deadline: Instant, mut call: Call) -> Result<Opened, Error> {
    let mut renewed = false;
    loop {
        let session = reference.session();
        if reference.numbered {
            // Who follows is there, although it may not call for long.
            call.delivery.session = Some(session.present());
        }
        let opened = reference.persist(deadline, true, |Reached { generation, object, .. }| {
            let call = call.clone();
            async move { Ok(Opened { generation, items: object.stream(call).await? }) }
        });
        let opened = opened.await;
        if renewed || !reference.numbered || !is_expired(&opened) {
            return opened;
        }
        reference.renew(&session, deadline).await?;
        renewed = true;
    }
}

/// A stream that is opened again at its cursor when the connection broke.
struct Following {
    reference: Arc<Reference>,
    call: Call,
    /// Nothing after an error that is final.
    opened: Option<Opened>,
}

impl Following {
    async fn next(&mut self) -> Option<Result<Item, Error>> {
        loop {
            let Opened { generation, items } = self.opened.as_mut()?;
            let error = match items.next().await? {
                Ok(item) => {
                    let kept = item.cursor != (Incarnation::default(), Revision::default());
                    if kept && !self.reference.link.planted.has(Bug::CursorForgotten) {
                        self.call.delivery.after = Some(item.cursor);
                    }
                    return Some(Ok(item));
                }
                Err(error) => error,
            };
            let opened = match error.class() {
                Class::Broken => {
                    self.reference.link.lost(*generation).await;
                    self.open().await
                }
                Class::Busy => self.open().await,
                Class::Unknown | Class::Refused | Class::Fatal => Err(error),
            };
            match opened {
                Ok(opened) => self.opened = Some(opened),
                Err(error) => {
                    self.opened = None;
                    return Some(Err(error));
                }
            }
        }
    }

    fn open(&self) -> impl Future<Output = Result<Opened, Error>> + Send {
        open(&self.reference, self.reference.link.soon(), self.call.clone())
    }
}
