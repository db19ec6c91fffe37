//! The byte stream of a connection. What is written in turns of its driver that follow each other leaves together, however
//! many messages it is; and it is watched when bytes last came, and since when the peer takes none.

use crate::limits::UNSENT_BYTES_MAX;
use futures::io::{AsyncRead, AsyncWrite};
use isx_port::{Clock, Instant, Stream};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Whether a peer that takes no bytes is read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenStalled {
    /// Reads on. The dialling side must: were both to wait for the other, none would go on.
    Read,
    /// Stops reading, so that a peer can not make answers pile up.
    Wait,
}

/// A stream, shared by who reads, who writes and who sends what was written. Sending is [`Transport::poll_send`]: the
/// driver's, after everybody who may write had a turn.
#[derive(Clone)]
pub(crate) struct Transport(Rc<RefCell<State>>);

struct State {
    stream: Box<dyn Stream>,
    clock: Arc<dyn Clock>,
    when_stalled: WhenStalled,
    heard: Instant,
    stalled: Option<Instant>,
    unsent: Unsent,
    /// Waits until the peer takes bytes again.
    reader: Option<Waker>,
    /// Waits for room.
    writer: Option<Waker>,
}

/// What was written and not yet sent.
#[derive(Default)]
struct Unsent {
    bytes: Vec<u8>,
    /// How many of them the stream has.
    sent: usize,
    /// How many there were at the end of the turn before.
    settled: usize,
    /// Whether the stream has bytes that it was not told to let go.
    unflushed: bool,
}

impl Transport {
    pub(crate) fn new(stream: Box<dyn Stream>, clock: Arc<dyn Clock>, when_stalled: WhenStalled) -> Self {
        let heard = clock.now();
        let (stalled, unsent, reader, writer) = (None, Unsent::default(), None, None);
        Self(Rc::new(RefCell::new(State { stream, clock, when_stalled, heard, stalled, unsent, reader, writer })))
    }

    /// When bytes came last.
    pub(crate) fn heard(&self) -> Instant {
        self.0.borrow().heard
    }

    /// Since when the peer takes no bytes, if it does not.
    pub(crate) fn stalled(&self) -> Option<Instant> {
        self.0.borrow().stalled
    }

    /// Sends what was written when a turn has written nothing more: who answers many calls does so in several turns.
    /// Completes only when that fails. To be polled last in every turn: nothing wakes it for what is written later.
    pub(crate) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.0.borrow_mut().unsent.grew() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.poll_send_now(cx)
    }

    /// [`Transport::poll_send`] of whatever there is.
    pub(crate) fn poll_send_now(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut state = self.0.borrow_mut();
        while let Some(step) = state.send_step(cx) {
            match step {
                Poll::Ready(Ok(())) => state.stalled = None,
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => {
                    let now = state.clock.now();
                    state.stalled.get_or_insert(now);
                    return Poll::Pending;
                }
            }
        }
        state.reader.take().into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Unsent {
    /// Whether there is more than after the turn before, and room for more.
    fn grew(&mut self) -> bool {
        let before = std::mem::replace(&mut self.settled, self.bytes.len());
        (before + 1..UNSENT_BYTES_MAX).contains(&self.bytes.len())
    }
}

impl State {
    /// The next thing to do with the stream, if there is one.
    fn send_step(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<()>>> {
        let unsent = &mut self.unsent;
        let stream = Pin::new(&mut self.stream);
        let rest = unsent.bytes.get(unsent.sent..).unwrap_or_default();
        if rest.is_empty() {
            return unsent.unflushed.then(|| stream.poll_flush(cx).map_ok(|()| unsent.unflushed = false));
        }
        Some(stream.poll_write(cx, rest).map(|written| {
            unsent.sent += match written? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => count,
            };
            unsent.unflushed = true;
            if unsent.sent >= unsent.bytes.len() {
                unsent.bytes.clear();
                (unsent.sent, unsent.settled) = (0, 0);
                self.writer.take().into_iter().for_each(Waker::wake);
            }
            Ok(())
        }))
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        if state.when_stalled == WhenStalled::Wait && state.stalled.is_some() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let read = Pin::new(&mut state.stream).poll_read(cx, into);
        if read.is_ready() {
            state.heard = state.clock.now();
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        let room = UNSENT_BYTES_MAX.saturating_sub(state.unsent.bytes.len());
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = bytes.get(..room).unwrap_or(bytes);
        state.unsent.bytes.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }

    /// Done at once: what was written leaves at the end of the turn.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        if !state.unsent.bytes.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut state.stream).poll_close(cx)
    }
}
