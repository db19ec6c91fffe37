//! Drives many connections on one thread.

use crate::connection::Connection;
use crate::limits::CONNECTIONS_MAX;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use isx_row::{Code, Error};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Gives connections to a vat thread. When every clone is dropped the thread's future ends, and its connections with it.
#[derive(Clone)]
pub struct Vats {
    connections: mpsc::UnboundedSender<(Connection, OwnedSemaphorePermit)>,
    places: Arc<Semaphore>,
}

/// The vat thread's work, to be driven there.
pub struct Driving {
    connections: mpsc::UnboundedReceiver<(Connection, OwnedSemaphorePermit)>,
}

/// A handle for any thread, and the work for the vat thread.
pub fn vats() -> (Vats, Driving) {
    // Unbounded in form: the permits bound what is in it.
    let (sender, connections) = mpsc::unbounded_channel();
    (Vats { connections: sender, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }, Driving { connections })
}

impl Vats {
    /// Has `connection` driven to its end.
    ///
    /// # Errors
    /// `busy` when [`CONNECTIONS_MAX`] are driven already, `fatal` when the vat thread has ended.
    pub fn drive(&self, connection: Connection) -> Result<(), Error> {
        let permit = self.places.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Error::new(Code::Busy, "too many connections"))?;
        self.connections.send((connection, permit)).map_err(|_| Error::new(Code::Fatal, "the vat thread has ended"))
    }
}

impl Driving {
    /// Drives every connection until all handles are dropped. Not `Send`; knows no runtime: any executor that polls it on
    /// one thread will do.
    ///
    /// # Cancel safety
    /// Dropping the future closes all connections.
    pub async fn drive(mut self) {
        let mut driven = FuturesUnordered::new();
        loop {
            futures::select_biased! {
                next = self.connections.recv().fuse() => {
                    let Some((connection, permit)) = next else { return };
                    driven.push(async move {
                        let _permit = permit;
                        // A defect that one peer can reach must not take the others along.
                        match AssertUnwindSafe(connection.drive()).catch_unwind().await {
                            Ok(end) => tracing::debug!(%end, "a connection ended"),
                            Err(_) => tracing::error!("a connection panicked and was closed"),
                        }
                    });
                }
                () = driven.select_next_some() => {}
            }
        }
    }
}
