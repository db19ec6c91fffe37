//! openraft's runtime over `Clock`, `Entropy` and `Spawn`.
//!
//! openraft asks its runtime through functions without a receiver, so the node that a future belongs to is kept in a
//! thread-local for the time of each poll ([`Node::scope`]). Every future of ours that reaches into openraft is
//! scoped, and what openraft spawns is scoped by [`Runtime`]. Channels are tokio's, which need no runtime; the watch is
//! our own, because tokio's wakes its receivers in an order drawn from the operating system.

mod watch;

use futures::FutureExt;
use futures::future::BoxFuture;
use isx_port::{Clock, Entropy, Spawn};
use openraft::AsyncRuntime;
use openraft::async_runtime::{self as port, Mpsc, MpscReceiver, MpscSender, MpscWeakSender, Oneshot, OneshotSender};
use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The ports that openraft's tasks of one node run on.
pub(crate) struct Node {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    spawn: Arc<dyn Spawn>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Node>>> = const { RefCell::new(None) };
}

impl Node {
    pub(crate) fn new(ports: &isx_port::Ports) -> Arc<Self> {
        Arc::new(Self { clock: ports.clock.clone(), entropy: ports.entropy.clone(), spawn: ports.spawn.clone() })
    }

    /// The node whose future is being polled on this thread.
    ///
    /// # Panics
    /// Outside of [`Node::scope`]: a future that reaches openraft was not scoped.
    #[allow(clippy::expect_used, reason = "a missing scope is a fault of this crate, found by its first test")]
    fn current() -> Arc<Self> {
        CURRENT.with_borrow(|current| current.clone()).expect("openraft is polled inside the scope of a node")
    }

    /// `future`, polled and dropped with this node current.
    pub(crate) fn scope<F: Future>(self: &Arc<Self>, future: F) -> Scoped<F> {
        Scoped { node: self.clone(), future: Some(Box::pin(future)) }
    }

    /// Runs `task` on the node's executor, scoped.
    pub(crate) fn spawn(self: &Arc<Self>, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn.spawn(name, Box::pin(self.scope(task)));
    }

    fn enter(self: &Arc<Self>) -> Entered {
        Entered { before: CURRENT.replace(Some(self.clone())) }
    }
}

struct Entered {
    before: Option<Arc<Node>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// A future that belongs to a node.
pub(crate) struct Scoped<F> {
    node: Arc<Node>,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _entered = this.node.enter();
        match &mut this.future {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Scoped<F> {
    fn drop(&mut self) {
        let _entered = self.node.enter();
        self.future = None;
    }
}

/// The type that stands for the runtime; it holds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Runtime;

/// Monotonic time of the current node, in nanoseconds; signed, so that openraft may look back before the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Moment {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(by)))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(by)))
    }
}

impl SubAssign<Duration> for Moment {
    fn sub_assign(&mut self, by: Duration) {
        *self = *self - by;
    }
}

impl Sub for Moment {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl port::Instant for Moment {
    fn now() -> Self {
        Self(nanoseconds(Node::current().clock.now().since_origin()))
    }
}

impl Moment {
    fn to_port(self) -> isx_port::Instant {
        isx_port::Instant::from_origin(Duration::from_nanos(u64::try_from(self.0).unwrap_or(0)))
    }
}

/// Why a task gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It panicked.
    #[error("the task panicked")]
    Panicked,
    /// The executor dropped it: the node ended.
    #[error("the task was dropped")]
    Dropped,
}

/// Waits for a spawned task.
pub struct JoinHandle<T>(oneshot::Receiver<Result<T, JoinError>>);

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(cx).map(|received| received.unwrap_or(Err(JoinError::Dropped)))
    }
}

/// Tells the joiner of a panic from the unwinding itself, so that the executor need not catch it.
struct Report<T>(Option<oneshot::Sender<Result<T, JoinError>>>);

impl<T> Report<T> {
    fn send(mut self, value: T) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(Ok(value));
        }
    }
}

impl<T> Drop for Report<T> {
    fn drop(&mut self) {
        if let (Some(sender), true) = (self.0.take(), std::thread::panicking()) {
            let _ = sender.send(Err(JoinError::Panicked));
        }
    }
}

/// The deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// A future with a deadline.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: BoxFuture<'static, ()>,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        self.sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    }
}

/// Random numbers of the current node.
#[derive(Clone, Copy, Debug)]
pub struct NodeRng;

impl rand_core::TryRng for NodeRng {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [a, b, c, d, ..] = Node::current().entropy.next_u64().to_le_bytes();
        Ok(u32::from_le_bytes([a, b, c, d]))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(Node::current().entropy.next_u64())
    }
    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        Node::current().entropy.fill(into);
        Ok(())
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = JoinError;
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;
    type Sleep = BoxFuture<'static, ()>;
    type Instant = Moment;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = Timeout<T>;
    type ThreadLocalRng = NodeRng;
    type Mpsc = Channels;
    type Watch = watch::Watches;
    type Oneshot = Channels;
    type Mutex<T: Send + 'static> = Mutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let report = Report(Some(sender));
        Node::current().spawn("openraft", async move { report.send(future.await) });
        JoinHandle(receiver)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        let clock = Node::current().clock.clone();
        let deadline = clock.now().after(duration);
        clock.sleep_until(deadline)
    }

    fn sleep_until(deadline: Moment) -> Self::Sleep {
        Node::current().clock.sleep_until(deadline.to_port())
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Moment, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Self::sleep_until(deadline) }
    }

    fn is_panic(join_error: &JoinError) -> bool {
        *join_error == JoinError::Panicked
    }

    fn thread_rng() -> NodeRng {
        NodeRng
    }

    fn new(_threads: usize) -> Self {
        Self
    }

    /// Parks this thread between polls: the tasks run on the node's executor, not here.
    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut cx) {
                Poll::Ready(value) => return value,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

/// tokio's channels, which need no runtime and are first in, first out.
pub struct Channels;

impl Mpsc for Channels {
    type Sender<T: Send> = Sender<T>;
    type Receiver<T: Send> = Receiver<T>;
    type WeakSender<T: Send> = WeakSender<T>;

    fn channel<T: Send>(buffer: usize) -> (Sender<T>, Receiver<T>) {
        let (sender, receiver) = mpsc::channel(buffer);
        (Sender(sender), Receiver(receiver))
    }
}

/// The sending side of a bounded channel.
pub struct Sender<T>(mpsc::Sender<T>);
/// The receiving side of a bounded channel.
pub struct Receiver<T>(mpsc::Receiver<T>);
/// A sending side that does not keep the channel open.
pub struct WeakSender<T>(mpsc::WeakSender<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send> MpscSender<Channels, T> for Sender<T> {
    async fn send(&self, message: T) -> Result<(), port::SendError<T>> {
        self.0.send(message).await.map_err(|error| port::SendError(error.0))
    }
    fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }
}

impl<T: Send> MpscReceiver<T> for Receiver<T> {
    async fn recv(&mut self) -> Option<T> {
        self.0.recv().await
    }
    fn try_recv(&mut self) -> Result<T, port::TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            mpsc::error::TryRecvError::Empty => port::TryRecvError::Empty,
            mpsc::error::TryRecvError::Disconnected => port::TryRecvError::Disconnected,
        })
    }
}

impl<T: Send> MpscWeakSender<Channels, T> for WeakSender<T> {
    fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }
}

impl Oneshot for Channels {
    type Sender<T: Send> = Once<T>;
    type Receiver<T: Send> = oneshot::Receiver<T>;
    type ReceiverError = oneshot::error::RecvError;

    fn channel<T: Send>() -> (Once<T>, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Once(sender), receiver)
    }
}

/// Sends one value.
pub struct Once<T>(oneshot::Sender<T>);

impl<T: Send> OneshotSender<T> for Once<T> {
    fn send(self, value: T) -> Result<(), T> {
        self.0.send(value)
    }
}

/// A fair lock that may be held across waiting points.
pub struct Mutex<T>(tokio::sync::Mutex<T>);

impl<T: Send + 'static> port::mutex::Mutex<T> for Mutex<T> {
    type Guard<'a> = tokio::sync::MutexGuard<'a, T>;
    fn new(value: T) -> Self {
        Self(tokio::sync::Mutex::new(value))
    }
    async fn lock(&self) -> Self::Guard<'_> {
        self.0.lock().await
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}
