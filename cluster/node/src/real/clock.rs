//! The kernel's clocks and tokio's timers.

use futures::future::BoxFuture;
use isx_port::{Clock, Instant, WallTime};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;
use tokio::task::{JoinError, JoinHandle};

/// Monotonic time since the node's start, wall time of the operating system.
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: std::time::Instant,
    runtime: tokio::runtime::Handle,
}

impl SystemClock {
    /// A clock that starts now; its timers run on `runtime`.
    pub fn start(runtime: tokio::runtime::Handle) -> Self {
        Self { origin: std::time::Instant::now(), runtime }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallTime { unix_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX) }
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let Some(at) = self.origin.checked_add(deadline.since_origin()) else {
            return Box::pin(std::future::pending());
        };
        let runtime = self.runtime.clone();
        Box::pin(async move {
            // The timer is a task of the runtime, begun when it is first waited for: waiters on threads of their own
            // may outlive the runtime, and then wait for nothing.
            let timer = Timer(runtime.spawn(async move { tokio::time::sleep_until(at.into()).await }));
            if timer.await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// A timer that is forgotten when it is dropped.
struct Timer(JoinHandle<()>);

impl Future for Timer {
    type Output = Result<(), JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}
