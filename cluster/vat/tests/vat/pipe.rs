//! A duplex byte pipe with a bounded buffer each way, that a test can cut.

use futures::{AsyncRead, AsyncWrite};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Bytes under way in one direction.
const BUFFER_BYTES: usize = 64 * 1024;

#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    closed: bool,
    held: bool,
    writes: usize,
    wakers: Vec<Waker>,
}

impl Way {
    fn wake(&mut self) {
        std::mem::take(&mut self.wakers).into_iter().for_each(Waker::wake);
    }

    fn close(&mut self) {
        self.closed = true;
        self.wake();
    }
}

type Shared = Arc<Mutex<Way>>;

/// One end.
pub(crate) struct Pipe {
    read: Shared,
    write: Shared,
}

/// Cuts a pipe, both ways.
pub(crate) struct Cut(Shared, Shared);

impl Cut {
    pub(crate) fn cut(&self) {
        self.0.lock().unwrap().close();
        self.1.lock().unwrap().close();
    }

    /// Lets no byte through any more, either way, without closing anything.
    pub(crate) fn hold(&self) {
        self.0.lock().unwrap().held = true;
        self.1.lock().unwrap().held = true;
    }

    /// Lets no byte through to the end that this was made of.
    pub(crate) fn hold_answers(&self) {
        self.0.lock().unwrap().held = true;
    }

    /// Writes to the end that this was made of, and by it.
    pub(crate) fn writes(&self) -> (usize, usize) {
        (self.0.lock().unwrap().writes, self.1.lock().unwrap().writes)
    }

    /// Whether an end was closed or dropped.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().unwrap().closed || self.1.lock().unwrap().closed
    }
}

/// Two ends.
pub(crate) fn pipe() -> (Pipe, Pipe) {
    let (one, other) = (Shared::default(), Shared::default());
    (Pipe { read: one.clone(), write: other.clone() }, Pipe { read: other, write: one })
}

impl Pipe {
    pub(crate) fn cut(&self) -> Cut {
        Cut(self.read.clone(), self.write.clone())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.cut().cut();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = self.read.lock().unwrap();
        if (way.bytes.is_empty() || way.held) && !way.closed {
            way.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let count = into.len().min(way.bytes.len());
        for (slot, byte) in into.iter_mut().zip(way.bytes.drain(..count)) {
            *slot = byte;
        }
        way.wake();
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = self.write.lock().unwrap();
        if way.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(BUFFER_BYTES - way.bytes.len());
        if count == 0 {
            way.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        way.bytes.extend(&bytes[..count]);
        way.writes += 1;
        way.wake();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write.lock().unwrap().close();
        Poll::Ready(Ok(()))
    }
}
