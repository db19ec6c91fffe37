//! References to the other side's objects, for any thread: plain data crosses to the vat thread, which owns the
//! capability.

use crate::limits::{
    BATCH_BYTES_MAX, BATCH_CALLS_MAX, CALL_BYTES_IN_FLIGHT_MAX, CALL_WITHIN, CALL_WITHIN_MAX, CALLS_IN_FLIGHT_MAX,
    GRACE,
};
use crate::wire::check_call;
use async_trait::async_trait;
use futures::channel::mpsc::UnboundedSender;
use futures::future::{Either, select};
use futures::{StreamExt, stream};
use isx_iface::{Answer, Call, Item, Items, Object, ObjectRef};
use isx_port::{Clock, Instant};
use isx_row::{Code, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// An import's place in the vat thread's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(pub(crate) u64);

impl Number {
    /// What the connection began with.
    pub(crate) const BOOTSTRAP: Self = Self(0);
}

/// What a reference asks of its vat thread. Their number is bounded by the permits, releases by the imports.
pub(crate) enum Command {
    Call { target: Number, call: Call, answer: oneshot::Sender<Result<Answer, Error>>, permit: Permit },
    Batch { target: Number, calls: Vec<Call>, answers: oneshot::Sender<Vec<Result<Answer, Error>>>, permit: Permit },
    Pipeline { target: Number, call: Call, first: Number, permit: Permit },
    Stream { target: Number, call: Call, items: oneshot::Sender<Result<Feed, Error>>, permit: Permit },
    Whois { target: Number, name: oneshot::Sender<Result<String, Error>>, permit: Permit },
    Release(Number),
}

/// Items on their way to a consumer; `None` is the end. A feed that closes without it lost its connection.
pub(crate) type Feed = mpsc::Receiver<Option<Result<Item, Error>>>;

/// A place among the calls in flight; given back when the answer is here, or its caller gone and the call withdrawn.
pub(crate) struct Permit {
    _call: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// The way from references to their vat thread.
pub(crate) struct Link {
    commands: UnboundedSender<Command>,
    next: AtomicU64,
    calls: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

/// The connection is gone and the call was not sent.
pub(crate) fn disconnected() -> Error {
    Error::new(Code::Disconnected, "the connection is closed")
}

/// The connection went while the call was under way.
fn unknown() -> Error {
    Error::new(Code::Unknown, "the connection closed before the answer came")
}

impl Link {
    pub(crate) fn new(commands: UnboundedSender<Command>, clock: Arc<dyn Clock>) -> Self {
        Self {
            commands,
            next: AtomicU64::new(Number::BOOTSTRAP.0 + 1),
            calls: Arc::new(Semaphore::new(CALLS_IN_FLIGHT_MAX)),
            bytes: Arc::new(Semaphore::new(CALL_BYTES_IN_FLIGHT_MAX)),
            clock,
        }
    }

    pub(crate) fn next_number(&self) -> Number {
        Number(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for a place among the calls in flight.
    async fn permit(&self, bytes: usize, deadline: Instant) -> Result<Permit, Error> {
        let bytes = u32::try_from(bytes.min(CALL_BYTES_IN_FLIGHT_MAX)).unwrap_or(u32::MAX);
        if let (Ok(call), Ok(bytes)) =
            (self.calls.clone().try_acquire_owned(), self.bytes.clone().try_acquire_many_owned(bytes))
        {
            return Ok(Permit { _call: call, _bytes: bytes });
        }
        let both = async {
            let call = self.calls.clone().acquire_owned().await;
            let bytes = self.bytes.clone().acquire_many_owned(bytes).await;
            Some(Permit { _call: call.ok()?, _bytes: bytes.ok()? })
        };
        match self.by(deadline, both).await {
            Some(permit) => permit.ok_or_else(disconnected),
            None => Err(Error::new(Code::Busy, "too many calls in flight on this connection")),
        }
    }

    /// The output of `body`, or nothing at `deadline`.
    async fn by<T>(&self, deadline: Instant, body: impl Future<Output = T>) -> Option<T> {
        // Begun when the body waits: most do not, or not for long.
        let late = async { self.clock.sleep_until(deadline).await };
        futures::pin_mut!(body, late);
        match select(body, late).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }

    fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.unbounded_send(command).map_err(|_| disconnected())
    }

    /// Sends a command and waits for what it answers; `lost` says what it means when the connection goes meanwhile.
    async fn ask<T>(
        &self,
        bytes: usize,
        deadline: Instant,
        lost: fn() -> Error,
        command: impl FnOnce(Permit, oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let permit = self.permit(bytes, deadline).await?;
        let (answer, answered) = oneshot::channel();
        self.send(command(permit, answer))?;
        match self.by(deadline.after(GRACE), answered).await {
            Some(answer) => answer.map_err(|_| lost()),
            None => Err(Error::new(Code::Deadline, "no answer in time")),
        }
    }
}

/// A reference to an object of the other side.
pub(crate) struct Remote {
    link: Arc<Link>,
    number: Number,
}

impl Remote {
    pub(crate) fn new(link: Arc<Link>, number: Number) -> Self {
        Self { link, number }
    }

    /// When to give up, telling the callee how long that is.
    fn deadline(&self, call: &mut Call) -> Instant {
        let within = call.delivery.within.unwrap_or(CALL_WITHIN).min(CALL_WITHIN_MAX);
        call.delivery.within = Some(within);
        self.link.clock.now().after(within)
    }

    async fn batch_once(&self, mut calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        let target = self.number;
        let count = calls.len();
        let bytes = calls.iter().map(|call| call.bytes()).sum();
        let deadline = calls.iter_mut().map(|call| self.deadline(call)).max().unwrap_or_default();
        let asked = self.link.ask(bytes, deadline, unknown, |permit, answers| Command::Batch {
            target,
            calls,
            answers,
            permit,
        });
        match asked.await {
            Ok(answers) => answers,
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.link.send(Command::Release(self.number));
    }
}

#[async_trait]
impl Object for Remote {
    async fn call(&self, mut call: Call) -> Result<Answer, Error> {
        check_call(&call)?;
        let (target, bytes, deadline) = (self.number, call.bytes(), self.deadline(&mut call));
        self.link.ask(bytes, deadline, unknown, |permit, answer| Command::Call { target, call, answer, permit }).await?
    }

    async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
        let mut answers: Vec<Option<Result<Answer, Error>>> = Vec::with_capacity(calls.len());
        let (mut places, mut sending, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut rest = calls.into_iter().enumerate().peekable();
        while let Some((place, call)) = rest.next() {
            answers.push(check_call(&call).err().map(Err));
            if answers[place].is_none() {
                bytes += call.bytes();
                places.push(place);
                sending.push(call);
            }
            let next_bytes = rest.peek().map(|(_, next)| bytes + next.bytes());
            if !sending.is_empty()
                && (sending.len() == BATCH_CALLS_MAX || next_bytes.is_none_or(|bytes| bytes > BATCH_BYTES_MAX))
            {
                bytes = 0;
                let outcomes = self.batch_once(std::mem::take(&mut sending)).await;
                for (place, outcome) in places.drain(..).zip(outcomes) {
                    answers[place] = Some(outcome);
                }
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unknown()))).collect()
    }

    fn first(self: Arc<Self>, mut call: Call) -> ObjectRef {
        let _ = self.deadline(&mut call);
        let number = self.link.next_number();
        let target = self.number;
        let bytes = u32::try_from(call.bytes()).unwrap_or(u32::MAX);
        let permits =
            (self.link.calls.clone().try_acquire_owned(), self.link.bytes.clone().try_acquire_many_owned(bytes));
        let sent = match (check_call(&call), permits) {
            (Err(error), _) => Err(error),
            (Ok(()), (Ok(calls), Ok(bytes))) => {
                let permit = Permit { _call: calls, _bytes: bytes };
                self.link.send(Command::Pipeline { target, call, first: number, permit })
            }
            _ => Err(Error::new(Code::Busy, "too many calls in flight on this connection")),
        };
        match sent {
            Ok(()) => Arc::new(Self { link: self.link.clone(), number }),
            Err(error) => isx_iface::refusing(error),
        }
    }

    async fn stream(&self, mut call: Call) -> Result<Items, Error> {
        check_call(&call)?;
        let (target, bytes, deadline) = (self.number, call.bytes(), self.deadline(&mut call));
        let asked = self.link.ask(bytes, deadline, disconnected, |permit, items| Command::Stream {
            target,
            call,
            items,
            permit,
        });
        let feed = asked.await??;
        // The items keep the link, and so the connection, alive.
        let following = Some((feed, self.link.clone()));
        Ok(stream::unfold(following, |following| async move {
            let (mut feed, link) = following?;
            match feed.recv().await {
                Some(Some(Ok(item))) => Some((Ok(item), Some((feed, link)))),
                Some(Some(Err(error))) => Some((Err(error), None)),
                Some(None) => None,
                None => Some((Err(disconnected()), None)),
            }
        })
        .boxed())
    }

    async fn whois(&self) -> Result<String, Error> {
        let (target, deadline) = (self.number, self.link.clock.now().after(CALL_WITHIN));
        self.link.ask(0, deadline, disconnected, |permit, name| Command::Whois { target, name, permit }).await?
    }
}
