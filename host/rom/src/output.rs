//! Where a program's output goes: a bounded queue, and a thread that writes it out.
//!
//! A program that writes faster than its reader reads waits, and nothing else of this process does: the system blocks the
//! thread alone. All the streams that a program opens on one output share its queue, so that what it writes stays in order.

use crate::handles::Exit;
use crate::limits::OUTPUT_BYTES_MAX;
use crate::run::READER_GONE;
use bytes::Bytes;
use std::future::poll_fn;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Standard output or standard error of one program. Once it is dropped, the thread ends with what is left.
pub(crate) struct Output {
    queue: Arc<Queue>,
    is_terminal: bool,
}

/// What the run of a program knows of one of its outputs.
pub(crate) struct Watch(Arc<Queue>);

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    /// What the thread has not taken.
    waiting: Vec<u8>,
    /// Bytes that it has taken and not written.
    taken_count: usize,
    failed: Option<io::ErrorKind>,
    is_closed: bool,
    wakers: Vec<Waker>,
}

impl State {
    fn room(&self) -> usize {
        OUTPUT_BYTES_MAX.saturating_sub(self.waiting.len() + self.taken_count)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.taken_count == 0
    }

    fn well(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// The same for who can wait: a reader that has gone ends the run, by [`Watch::unread`], and the wait with it.
    fn poll_well(&self) -> Poll<io::Result<()>> {
        match self.failed {
            Some(io::ErrorKind::BrokenPipe) => Poll::Pending,
            _ => Poll::Ready(self.well()),
        }
    }

    /// Waits for the thread's next word.
    fn wait<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        if !self.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            self.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked left bytes and counts, each whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, state: &mut State, bytes: &[u8]) {
        state.waiting.extend_from_slice(bytes);
        self.filled.notify_one();
    }

    /// Writes what comes until the output is closed or fails.
    fn write_out(&self, mut to: impl Write) {
        loop {
            let bytes = {
                let idle = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
                let state = self.filled.wait_while(self.state(), idle);
                let mut state = state.unwrap_or_else(PoisonError::into_inner);
                state.taken_count = state.waiting.len();
                std::mem::take(&mut state.waiting)
            };
            if bytes.is_empty() {
                return;
            }
            let written = to.write_all(&bytes).and_then(|()| to.flush());
            let mut state = self.state();
            state.taken_count = 0;
            if let Err(error) = &written {
                state.failed = Some(error.kind());
                state.waiting.clear();
            }
            std::mem::take(&mut state.wakers).into_iter().for_each(Waker::wake);
            if written.is_err() {
                return;
            }
        }
    }
}

impl Output {
    /// An output that ends in `to`, and the way to watch it.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(crate) fn new(to: impl Write + Send + 'static, is_terminal: bool) -> io::Result<(Self, Watch)> {
        let queue = Arc::new(Queue::default());
        let (ours, watched) = (queue.clone(), queue.clone());
        std::thread::Builder::new().name("isx-rom-output".into()).spawn(move || ours.write_out(to))?;
        Ok((Self { queue, is_terminal }, Watch(watched)))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.queue.state().is_closed = true;
        self.queue.filled.notify_one();
    }
}

impl Watch {
    /// Completes when nobody can read the output any more.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(crate) async fn unread(&self) {
        let unread = |state: &State| state.failed == Some(io::ErrorKind::BrokenPipe);
        poll_fn(|context| until(&mut self.0.state(), context, unread)).await;
    }

    /// Completes when everything is written, or can not be.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect: what is queued is written all the same.
    pub(crate) async fn drained(&self) {
        let done = |state: &State| state.failed.is_some() || state.is_empty();
        poll_fn(|context| until(&mut self.0.state(), context, done)).await;
    }
}

fn until(state: &mut State, context: &Context<'_>, done: impl Fn(&State) -> bool) -> Poll<()> {
    if done(state) { Poll::Ready(()) } else { state.wait(context) }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Writer { queue: self.queue.clone(), is_flushing: false })
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Writer { queue: self.queue.clone(), is_flushing: false })
    }
}

/// A stream that a program opened.
struct Writer {
    queue: Arc<Queue>,
    is_flushing: bool,
}

/// A reader that has gone is the end of the program, which is not to say that it can not write; everything else it hears of.
fn refused(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::Trap(wasmtime::Error::new(Exit(READER_GONE))),
        _ => StreamError::LastOperationFailed(error.into()),
    }
}

impl OutputStream for Writer {
    fn check_write(&mut self) -> StreamResult<usize> {
        let state = self.queue.state();
        state.well().map_err(refused)?;
        self.is_flushing &= !state.is_empty();
        Ok(if self.is_flushing { 0 } else { state.room() })
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut state = self.queue.state();
        state.well().map_err(refused)?;
        if bytes.len() > state.room() {
            return Err(StreamError::trap("more was written than there was room for"));
        }
        self.queue.push(&mut state, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.is_flushing = true;
        self.queue.state().well().map_err(refused)
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        let flushing = self.is_flushing;
        let ready = |state: &State| match flushing {
            _ if state.failed.is_some() => true,
            true => state.is_empty(),
            false => state.room() > 0,
        };
        poll_fn(|context| until(&mut self.queue.state(), context, ready)).await;
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.queue.state();
        ready!(state.poll_well())?;
        match bytes.len().min(state.room()) {
            0 if !bytes.is_empty() => state.wait(context),
            count => {
                self.queue.push(&mut state, &bytes[..count]);
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.queue.state();
        ready!(state.poll_well())?;
        if state.is_empty() { Poll::Ready(Ok(())) } else { state.wait(context) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::task::noop_waker_ref;
    use std::io::Read;
    use std::sync::mpsc::{Receiver, channel};

    /// Writes when it is told to, to where the test looks.
    struct Gate(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_waits_for_its_reader_and_nothing_is_lost() {
        let (open, gate) = channel();
        let arrived = Arc::<Mutex<Vec<u8>>>::default();
        let (output, watch) = Output::new(Gate(gate, arrived.clone()), false).unwrap();
        let mut writer = Pin::from(output.async_stream());
        let mut context = Context::from_waker(noop_waker_ref());
        let mut written = 0;
        while let Poll::Ready(count) = writer.as_mut().poll_write(&mut context, &[b'x'; 5000]) {
            written += count.unwrap();
        }
        assert_eq!(written, OUTPUT_BYTES_MAX, "nobody reads: no more than the bound");
        assert!(writer.as_mut().poll_flush(&mut context).is_pending());
        assert!(watch.drained().now_or_never().is_none());
        // As often as the thread can ask.
        (0..written).for_each(|_| open.send(()).unwrap());
        block_on(watch.drained());
        assert_eq!(arrived.lock().unwrap().len(), written);
        assert!(writer.as_mut().poll_write(&mut context, b"more").is_ready());
        drop(output);
        block_on(watch.drained());
        assert_eq!(arrived.lock().unwrap().len(), written + 4);
    }

    #[test]
    fn a_reader_that_has_gone_is_told() {
        let (read, write) = io::pipe().unwrap();
        let (output, watch) = Output::new(write, false).unwrap();
        let mut stream = output.p2_stream();
        drop(read);
        let room = stream.check_write().unwrap();
        assert!(matches!(stream.write(vec![0; room + 1].into()), Err(StreamError::Trap(_))));
        stream.write("gone".into()).unwrap();
        block_on(watch.unread());
        block_on(watch.drained());
        let ends = |error: Option<StreamError>| match error {
            Some(StreamError::Trap(error)) => error.downcast_ref::<Exit>().is_some_and(|exit| exit.0 == READER_GONE),
            _ => false,
        };
        assert!(ends(stream.check_write().err()) && ends(stream.write("more".into()).err()));
        let mut waiting = Pin::from(output.async_stream());
        assert!(waiting.as_mut().poll_write(&mut Context::from_waker(noop_waker_ref()), b"more").is_pending());
    }

    #[test]
    fn a_flush_is_done_when_all_is_written() {
        let (mut read, write) = io::pipe().unwrap();
        let (output, _watch) = Output::new(write, false).unwrap();
        let mut stream = output.p2_stream();
        stream.write("a line".into()).unwrap();
        stream.flush().unwrap();
        block_on(stream.ready());
        assert_eq!(stream.check_write().unwrap(), OUTPUT_BYTES_MAX);
        drop((stream, output));
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a line");
    }
}
