//! The network between simulated nodes: streams with delay, loss, resets, stalls, and links cut in one direction.
//!
//! A stream keeps its bytes in order, as the transports below [`Net`] do: loss shows as delay, and a link that stays
//! cut as a stall that ends in a reset. Chunks of different streams overtake each other. A node that dies leaves its
//! peers a reset or silence.

use crate::executor::{Executor, Life};
use crate::random::Random;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt, StreamExt};
use isx_port::{Incoming, Net, NetError, PeerId, Protocol, Stream};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Bytes a stream takes before its reader has read; then the writer waits.
const WINDOW_BYTES: usize = 256 * 1024;
/// How often a cut link is tried again.
const RETRY: Duration = Duration::from_millis(50);
/// How long a link may be cut before its streams are reset.
const GIVE_UP: Duration = Duration::from_secs(5);
/// Streams that a listener has not taken; more are refused.
const INCOMING_MAX: usize = 64;

/// How the network behaves.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The shortest and longest time of a chunk on its way.
    pub delay: (Duration, Duration),
    /// Chunks in a thousand that are lost and sent again.
    pub loss_per_mille: u64,
    /// Streams in ten thousand chunks that are reset.
    pub reset_per_myriad: u64,
}

impl Weather {
    /// A quiet local network.
    pub fn fair() -> Self {
        Self { delay: (Duration::from_micros(50), Duration::from_micros(500)), loss_per_mille: 0, reset_per_myriad: 0 }
    }
}

/// The network of a world. Cheap to clone.
#[derive(Clone)]
pub struct SimNet {
    executor: Executor,
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    weather: Weather,
    nodes: BTreeMap<PeerId, Node>,
    /// Links cut, from → to.
    cuts: BTreeSet<(PeerId, PeerId)>,
    streams: Vec<Weak<Pipe>>,
    /// Lives that lost their power: what they held says nothing more.
    dead: BTreeSet<Life>,
}

/// A stream and who opened it.
type Opened = (PeerId, Box<dyn Stream>);

struct Node {
    life: Life,
    listeners: BTreeMap<Protocol, mpsc::Sender<Opened>>,
}

/// One direction of a stream.
struct Pipe {
    net: SimNet,
    from: (PeerId, Life),
    to: (PeerId, Life),
    state: Mutex<PipeState>,
}

#[derive(Default)]
struct PipeState {
    on_the_way: VecDeque<(Duration, Vec<u8>)>,
    delivered: VecDeque<u8>,
    bytes: usize,
    closing: bool,
    end: Option<End>,
    stalled_since: Option<Duration>,
    scheduled: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimNet {
    /// A network without nodes.
    pub fn new(executor: Executor, random: Random, weather: Weather) -> Self {
        let (nodes, cuts, streams, dead) = (BTreeMap::new(), BTreeSet::new(), Vec::new(), BTreeSet::new());
        let state = State { random, weather, nodes, cuts, streams, dead };
        Self { executor, state: Arc::new(Mutex::new(state)) }
    }

    /// The port of one life of a node.
    pub fn port(&self, peer: PeerId, life: Life) -> Arc<dyn Net> {
        lock(&self.state).nodes.insert(peer, Node { life, listeners: BTreeMap::new() });
        Arc::new(Port { net: self.clone(), peer, life })
    }

    /// Changes the weather.
    pub fn set_weather(&self, weather: Weather) {
        lock(&self.state).weather = weather;
    }

    /// Cuts the link from one node to another; the other direction stays.
    pub fn cut(&self, from: PeerId, to: PeerId) {
        lock(&self.state).cuts.insert((from, to));
    }

    /// Mends every link.
    pub fn heal(&self) {
        lock(&self.state).cuts.clear();
    }

    /// Resets every stream, as a switch that restarts.
    pub fn storm(&self) {
        for pipe in self.pipes() {
            pipe.finish(End::Reset);
        }
    }

    /// The node is dead: nothing listens, and its streams reset or fall silent. To be said before its tasks are dropped.
    pub fn kill(&self, peer: PeerId, life: Life) {
        let removed = {
            let mut state = lock(&self.state);
            state.dead.insert(life);
            if state.nodes.get(&peer).is_some_and(|node| node.life == life) { state.nodes.remove(&peer) } else { None }
        };
        drop(removed);
        for pipe in self.pipes() {
            if pipe.from.1 == life || pipe.to.1 == life {
                let reset = lock(&self.state).random.per_mille(500);
                if reset {
                    self.executor.after(Life::WORLD, self.delay(), move || pipe.finish(End::Reset));
                } else {
                    // Silence: what is on the way arrives, nothing follows.
                    self.executor.after(Life::WORLD, GIVE_UP, move || pipe.finish(End::Reset));
                }
            }
        }
    }

    fn pipes(&self) -> Vec<Arc<Pipe>> {
        let mut state = lock(&self.state);
        state.streams.retain(|pipe| pipe.strong_count() > 0);
        state.streams.iter().filter_map(Weak::upgrade).collect()
    }

    fn delay(&self) -> Duration {
        let mut state = lock(&self.state);
        let (from, to) = state.weather.delay;
        Duration::from_nanos(state.random.range(from.as_nanos() as u64..to.as_nanos() as u64))
    }

    fn is_cut(&self, from: PeerId, to: PeerId) -> bool {
        lock(&self.state).cuts.contains(&(from, to))
    }

    fn pipe(&self, from: (PeerId, Life), to: (PeerId, Life)) -> Arc<Pipe> {
        let pipe = Arc::new(Pipe { net: self.clone(), from, to, state: Mutex::default() });
        let mut state = lock(&self.state);
        if state.streams.len() % 64 == 63 {
            state.streams.retain(|pipe| pipe.strong_count() > 0);
        }
        state.streams.push(Arc::downgrade(&pipe));
        pipe
    }

    async fn open(
        self,
        from: (PeerId, Life),
        to: PeerId,
        protocol: Protocol,
        within: Duration,
    ) -> Result<Box<dyn Stream>, NetError> {
        let unreachable = |text: &str| NetError::Unreachable { peer: to, text: text.into() };
        let deadline = self.executor.now() + within;
        let arrives = self.executor.now() + self.delay();
        self.executor.sleep_until(from.1, arrives).await;
        while self.is_cut(from.0, to) || self.is_cut(to, from.0) {
            let now = self.executor.now();
            if now >= deadline {
                return Err(unreachable("no answer"));
            }
            self.executor.sleep_until(from.1, deadline.min(now + RETRY)).await;
        }
        let (ours, theirs, mut listener) = {
            let (life, listener) = {
                let state = lock(&self.state);
                let Some(node) = state.nodes.get(&to) else { return Err(unreachable("the node is down")) };
                let Some(listener) = node.listeners.get(&protocol) else {
                    return Err(NetError::Unsupported { peer: to, protocol: protocol.0 });
                };
                (node.life, listener.clone())
            };
            let there = self.pipe(from, (to, life));
            let back = self.pipe((to, life), from);
            let ours = SimStream { read: back.clone(), write: there.clone() };
            (ours, SimStream { read: there, write: back }, listener)
        };
        if listener.try_send((from.0, Box::new(theirs))).is_err() {
            return Err(NetError::Busy { what: "streams" });
        }
        let back = self.executor.now() + self.delay();
        self.executor.sleep_until(from.1, back).await;
        Ok(Box::new(ours))
    }
}

struct Port {
    net: SimNet,
    peer: PeerId,
    life: Life,
}

impl Net for Port {
    fn local(&self) -> PeerId {
        self.peer
    }

    fn open(
        &self,
        peer: PeerId,
        protocol: Protocol,
        within: Duration,
    ) -> BoxFuture<'static, Result<Box<dyn Stream>, NetError>> {
        self.net.clone().open((self.peer, self.life), peer, protocol, within).boxed()
    }

    fn accept(&self, protocol: Protocol) -> Result<Box<dyn Incoming>, NetError> {
        let (sender, receiver) = mpsc::channel(INCOMING_MAX);
        let mut state = lock(&self.net.state);
        let node = state.nodes.get_mut(&self.peer).filter(|node| node.life == self.life).ok_or(NetError::Closed)?;
        node.listeners.insert(protocol, sender);
        Ok(Box::new(Listener(receiver)))
    }
}

struct Listener(mpsc::Receiver<Opened>);

impl Incoming for Listener {
    fn next(&mut self) -> BoxFuture<'_, Option<(PeerId, Box<dyn Stream>)>> {
        self.0.next().boxed()
    }
}

impl Pipe {
    fn finish(&self, end: End) {
        let mut state = lock(&self.state);
        if state.end != Some(End::Reset) {
            state.end = Some(end);
        }
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Delivers what has arrived, and comes back for the rest.
    fn pump(self: &Arc<Self>) {
        let now = self.net.executor.now();
        let cut = self.net.is_cut(self.from.0, self.to.0);
        let mut state = lock(&self.state);
        state.scheduled = false;
        let again = loop {
            let Some((at, _)) = state.on_the_way.front() else {
                if state.closing && state.end.is_none() {
                    state.end = Some(End::Closed);
                }
                break None;
            };
            if *at > now {
                break Some(*at - now);
            }
            if cut {
                let since = *state.stalled_since.get_or_insert(now);
                if now - since >= GIVE_UP {
                    state.end = Some(End::Reset);
                    break None;
                }
                break Some(RETRY);
            }
            state.stalled_since = None;
            if let Some((_, bytes)) = state.on_the_way.pop_front() {
                state.delivered.extend(bytes);
            }
        };
        if let (Some(delay), None) = (again, state.end) {
            self.schedule(&mut state, delay);
        }
        let reader = state.reader.take();
        let writer = if state.end.is_some() { state.writer.take() } else { None };
        drop(state);
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }

    fn schedule(self: &Arc<Self>, state: &mut PipeState, delay: Duration) {
        if !state.scheduled {
            state.scheduled = true;
            let pipe = Arc::downgrade(self);
            self.net.executor.after(Life::WORLD, delay, move || {
                if let Some(pipe) = pipe.upgrade() {
                    pipe.pump();
                }
            });
        }
    }

    /// When the next chunk arrives, and whether the stream is reset instead.
    fn fate(&self) -> (Duration, bool) {
        let delay = self.net.delay();
        let mut state = lock(&self.net.state);
        let weather = state.weather;
        let lost = state.random.per_mille(weather.loss_per_mille);
        let reset = state.random.below(10_000) < weather.reset_per_myriad;
        (if lost { delay + Duration::from_millis(200) } else { delay }, reset)
    }
}

struct SimStream {
    read: Arc<Pipe>,
    write: Arc<Pipe>,
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the stream was reset")
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.read.state);
        if state.end == Some(End::Reset) {
            return Poll::Ready(Err(reset()));
        }
        if state.delivered.is_empty() {
            if state.end.is_some() {
                return Poll::Ready(Ok(0));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = into.len().min(state.delivered.len());
        for (place, byte) in into.iter_mut().zip(state.delivered.drain(..count)) {
            *place = byte;
        }
        state.bytes -= count;
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        {
            let mut state = lock(&self.write.state);
            if state.end.is_some() || state.closing {
                return Poll::Ready(Err(reset()));
            }
            if state.bytes >= WINDOW_BYTES {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let (delay, is_reset) = self.write.fate();
        if is_reset {
            self.write.finish(End::Reset);
            self.read.finish(End::Reset);
            return Poll::Ready(Err(reset()));
        }
        let now = self.write.net.executor.now();
        let mut state = lock(&self.write.state);
        let count = bytes.len().min(WINDOW_BYTES - state.bytes.min(WINDOW_BYTES));
        let after = state.on_the_way.back().map_or(now, |(at, _)| *at);
        state.on_the_way.push_back((after.max(now + delay), bytes[..count].to_vec()));
        state.bytes += count;
        self.write.schedule(&mut state, delay);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.write.state);
        state.closing = true;
        self.write.schedule(&mut state, Duration::ZERO);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if lock(&self.write.net.state).dead.contains(&self.write.from.1) {
            return;
        }
        let (read, write) = (self.read.clone(), self.write.clone());
        let delay = self.write.net.delay();
        self.write.net.executor.after(Life::WORLD, delay, move || {
            read.finish(End::Reset);
            write.finish(End::Reset);
        });
    }
}
