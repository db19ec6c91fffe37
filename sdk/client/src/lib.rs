//! Dials a node and hands out its `Host`, with references that live through restarts of the node.
//!
//! A [`Client`] holds one link. Whatever is walked to from its `Host` is a lasting reference: when the connection
//! breaks, the client finds the node again as it did first, walks again, opens streams again at their cursors, and asks
//! calls to modules again under the same (session, sequence), so that each happens once. Methods of the system's own
//! objects are asked again where they are idempotent, else they answer `unknown`. Objects obtained otherwise answer
//! `disconnected`.
//!
//! A session that the cluster forgot, because it rested, or never knew, because the clock here is wrong, is begun again at
//! the node's time, unless a call in it may have run.
//!
//! Calls in flight on one reference coalesce into batches; a full session window makes callers wait.
//!
//! [`dial`](fn@dial) does it in one call; a [`Client`] over a [`Dial`] of one's own finds its node otherwise.
//!
//! Knows nothing of wasmtime, files, configuration or the command line.
//!
//! # Invariants
//! - A call to a module keeps its (session, sequence) over every try (`tests/lasting.rs`).
//! - At most `SESSION_WINDOW` numbers are open (`session::tests`).

mod batch;
#[cfg(feature = "dial")]
mod dial;
pub mod limits;
mod link;
#[cfg(feature = "planted")]
mod planted;
#[cfg(not(feature = "planted"))]
#[path = "planted_disabled.rs"]
mod planted;
mod reference;
mod session;

#[cfg(feature = "dial")]
pub use dial::{Dial, Find, Target, dial};
pub use link::{Connect, Ports};
#[cfg(feature = "planted")]
pub use planted::Bug;

use isx_iface::ObjectRef;
use isx_row::Error;
use std::sync::Arc;
use std::time::Duration;

/// A link to a node, and what is reached over it.
#[derive(Clone)]
pub struct Client {
    host: reference::Lasting,
}

impl Client {
    /// A client over `connector`; connects when first used. A call that does not say how long it waits for its outcome
    /// waits `within`, connecting again included.
    pub fn new(connector: Box<dyn Connect>, ports: Ports, within: Duration) -> Self {
        Self::over(link::Link::new(connector, ports, within, None))
    }

    /// [`Client::new`], connected: what does not answer now is an error at once.
    ///
    /// # Errors
    /// As [`Connect::connect`].
    ///
    /// # Cancel safety
    /// Dropping the future abandons the connection.
    pub async fn connected(connector: Box<dyn Connect>, ports: Ports, within: Duration) -> Result<Self, Error> {
        let host = connector.connect().await?;
        Ok(Self::over(link::Link::new(connector, ports, within, Some(host))))
    }

    fn over(link: link::Link) -> Self {
        Self { host: reference::Lasting(reference::Reference::host(Arc::new(link))) }
    }

    /// The node's `Host`.
    pub fn host(&self) -> ObjectRef {
        Arc::new(self.host.clone())
    }
}
