//! The byte stream of a connection, watched: when bytes last came, and since when the peer takes none.

use futures::io::{AsyncRead, AsyncWrite};
use isx_port::{Clock, Instant, Stream};
use std::cell::{Cell, RefCell};
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

/// What is known of a stream's life.
pub(crate) struct Activity {
    clock: Arc<dyn Clock>,
    heard: Cell<Instant>,
    stalled: Cell<Option<Instant>>,
    reader: RefCell<Option<Waker>>,
}

impl Activity {
    /// When bytes came last.
    pub(crate) fn heard(&self) -> Instant {
        self.heard.get()
    }

    /// Since when the peer takes no bytes, if it does not.
    pub(crate) fn stalled(&self) -> Option<Instant> {
        self.stalled.get()
    }

    /// Notes what a write or flush said.
    fn wrote<T>(&self, outcome: Poll<T>) -> Poll<T> {
        if outcome.is_pending() {
            if self.stalled.get().is_none() {
                self.stalled.set(Some(self.clock.now()));
            }
        } else if self.stalled.take().is_some()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
        outcome
    }
}

/// A stream with its [`Activity`].
pub(crate) struct Transport {
    stream: Box<dyn Stream>,
    activity: Rc<Activity>,
    when_stalled: WhenStalled,
}

impl Transport {
    pub(crate) fn new(
        stream: Box<dyn Stream>,
        clock: Arc<dyn Clock>,
        when_stalled: WhenStalled,
    ) -> (Self, Rc<Activity>) {
        let heard = Cell::new(clock.now());
        let activity = Rc::new(Activity { clock, heard, stalled: Cell::default(), reader: RefCell::default() });
        (Self { stream, activity: activity.clone(), when_stalled }, activity)
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.when_stalled == WhenStalled::Wait && self.activity.stalled().is_some() {
            *self.activity.reader.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if read.is_ready() {
            self.activity.heard.set(self.activity.clock.now());
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.wrote(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.activity.wrote(outcome)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}
