//! The link to a node: connected when first needed, connected again when it broke.

use crate::limits::{PAUSE_MAX, PAUSE_MIN};
use crate::planted::Planted;
use async_trait::async_trait;
use futures::future::{Either, select};
use isx_iface::ObjectRef;
use isx_port::{Clock, Entropy, Instant, Spawn};
use isx_row::{Class, Code, Error};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Finds a node and logs in. Asked again after every loss, so that it can find the node where it is now.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// A fresh `Host` of the node.
    ///
    /// # Errors
    /// `disconnected` or `busy` when nothing answers (the link tries again), `refused` codes when the login is denied
    /// (it does not).
    async fn connect(&self) -> Result<ObjectRef, Error>;
}

/// The ports a client needs.
#[derive(Clone)]
pub struct Ports {
    /// Time, for deadlines and pauses.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for sessions and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Tasks.
    pub spawn: Arc<dyn Spawn>,
}

#[cfg(feature = "dial")]
impl Ports {
    /// Those of this machine: tasks and timers run on the present tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn here() -> Self {
        let runtime = tokio::runtime::Handle::current();
        Self {
            clock: Arc::new(isx_net::SystemClock::start(runtime.clone())),
            entropy: Arc::new(isx_net::SystemEntropy),
            spawn: Arc::new(crate::dial::Tasks(runtime)),
        }
    }
}

/// Counts the connections of a link; what was obtained over an earlier one is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u64);

pub(crate) struct Link {
    connector: Box<dyn Connect>,
    pub(crate) ports: Ports,
    within: Duration,
    pub(crate) planted: Planted,
    current: Mutex<Current>,
}

struct Current {
    generation: Generation,
    host: Option<ObjectRef>,
}

impl Link {
    pub(crate) fn new(connector: Box<dyn Connect>, ports: Ports, within: Duration, host: Option<ObjectRef>) -> Self {
        let current = Mutex::new(Current { generation: Generation(0), host });
        Self { connector, ports, within, planted: Planted::none(), current }
    }

    /// When something that says nothing must be done.
    pub(crate) fn soon(&self) -> Instant {
        self.ports.clock.now().after(self.within)
    }

    /// The node's `Host` over the present connection, connecting if there is none, until `deadline`.
    pub(crate) async fn host(&self, deadline: Instant) -> Result<(Generation, ObjectRef), Error> {
        let mut pause = PAUSE_MIN;
        loop {
            // The lock is held while connecting: one dial at a time, everybody else waits for it.
            let mut current = self.by(deadline, self.current.lock()).await?;
            if let Some(host) = &current.host {
                return Ok((current.generation, host.clone()));
            }
            match self.by(deadline, self.connector.connect()).await? {
                Ok(host) => {
                    current.generation = Generation(current.generation.0 + 1);
                    current.host = Some(host.clone());
                    return Ok((current.generation, host));
                }
                Err(error) if matches!(error.class(), Class::Refused | Class::Fatal) => return Err(error),
                Err(error) => tracing::debug!(%error, "no connection"),
            }
            drop(current);
            self.pause(pause, deadline).await?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Says that the connection of `generation` is dead.
    pub(crate) async fn lost(&self, generation: Generation) {
        let mut current = self.current.lock().await;
        if current.generation == generation {
            current.host = None;
        }
    }

    /// Waits `pause` and up to half as much again, or fails at `deadline`.
    pub(crate) async fn pause(&self, pause: Duration, deadline: Instant) -> Result<(), Error> {
        let jitter_us = self.ports.entropy.next_u64() % u64::try_from(pause.as_micros() / 2 + 1).unwrap_or(1);
        let until = self.ports.clock.now().after(pause + Duration::from_micros(jitter_us));
        if until > deadline {
            return Err(Error::new(Code::Deadline, "no answer from the node in time"));
        }
        self.ports.clock.sleep_until(until).await;
        Ok(())
    }

    /// The output of `body`, or `deadline`.
    pub(crate) async fn by<T>(&self, deadline: Instant, body: impl Future<Output = T>) -> Result<T, Error> {
        // Begun when the body waits: most do not, or not for long.
        let late = async { self.ports.clock.sleep_until(deadline).await };
        futures::pin_mut!(body, late);
        match select(body, late).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(_) => Err(Error::new(Code::Deadline, "no answer from the node in time")),
        }
    }
}
