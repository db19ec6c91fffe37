//! The listener, its thread and its connections.

use crate::limits::{ACCEPT_AGAIN, CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADERS_MAX, HEADERS_WITHIN, REQUEST_WITHIN};
use crate::pages::{Operated, answer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[error("can not listen on {address} for HTTP: {source}")]
pub struct StartError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// Why it does not; mostly the port is taken.
    pub source: io::Error,
}

/// A gateway that answers. Dropping it ends it and the answers that are under way.
pub struct Gateway {
    address: SocketAddr,
    /// Ends the thread when it is dropped.
    end: Option<oneshot::Sender<()>>,
    joined: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Listens on `address`, and answers from then on; port 0 takes a free one.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(address: SocketAddr, operated: Arc<dyn Operated>) -> Result<Self, StartError> {
        let failed = |source| StartError { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let (end, ended) = oneshot::channel();
        let (began, beginning) = mpsc::channel();
        // The runtime is made and dropped on its thread: whoever starts a gateway may be on one that must not block.
        let body = move || match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                // Who waits for this is there until it comes.
                let _ = began.send(Ok(()));
                runtime.block_on(serve(listener, operated, ended));
            }
            Err(error) => drop(began.send(Err(error))),
        };
        let joined = std::thread::Builder::new().name("isx-http".into()).spawn(body).map_err(failed)?;
        beginning.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended"))).map_err(failed)?;
        Ok(Self { address: bound, end: Some(end), joined: Some(joined) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.end.take());
        // Its panic was its own: it holds nothing that others need.
        if let Some(joined) = self.joined.take() {
            let _ = joined.join();
        }
    }
}

/// Accepts until told to end; the connections end with it.
async fn serve(listener: TcpListener, operated: Arc<dyn Operated>, mut ended: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "HTTP is not served"),
    };
    let mut tasks = JoinSet::new();
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            _ = &mut ended => return,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.retain(|connection| !connection.is_finished());
                    let extra = (open.len() + 1).saturating_sub(CONNECTIONS_MAX);
                    open.drain(..extra).for_each(|connection| connection.abort());
                    open.push_back(tasks.spawn(connection(stream, operated.clone())));
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
}

/// Serves one request.
async fn connection(stream: TcpStream, operated: Arc<dyn Operated>) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(|request| {
        let operated = operated.clone();
        async move { Ok::<_, Infallible>(answer(&*operated, local.ip(), &request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_header_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(REQUEST_WITHIN, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection was given up"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
}
