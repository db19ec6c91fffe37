//! Clocks of simulated nodes: each runs at its own rate, and its wall time may jump.

use crate::executor::{Executor, Life};
use crate::random::Random;
use futures::future::BoxFuture;
use isx_port::{Clock, Entropy, Instant, WallTime};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// 2026-01-01T00:00:00Z, where the simulated world begins.
const WALL_START_US: i64 = 1_767_225_600_000_000;
/// Where monotonic clocks begin: not at zero, so that code may look back.
const ORIGIN: Duration = Duration::from_secs(1000);

/// The clocks of one life of a node.
#[derive(Clone)]
pub struct SimClock {
    executor: Executor,
    life: Life,
    started: Duration,
    /// Parts per million that the monotonic clock runs fast or slow.
    drift_ppm: i64,
    wall_offset_us: Arc<AtomicI64>,
}

impl SimClock {
    /// A clock that starts now. `wall_offset_us` outlives it: the wall clock is the machine's.
    pub fn new(executor: Executor, life: Life, drift_ppm: i64, wall_offset_us: Arc<AtomicI64>) -> Self {
        let started = executor.now();
        Self { executor, life, started, drift_ppm, wall_offset_us }
    }
}

fn scaled(duration: Duration, ppm: i64) -> Duration {
    let nanos = duration.as_nanos() as i128;
    Duration::from_nanos(u64::try_from(nanos + nanos * i128::from(ppm) / 1_000_000).unwrap_or(0))
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        let elapsed = self.executor.now().saturating_sub(self.started);
        Instant::from_origin(ORIGIN + scaled(elapsed, self.drift_ppm))
    }

    fn wall(&self) -> WallTime {
        let now = i64::try_from(self.executor.now().as_micros()).unwrap_or(i64::MAX);
        WallTime { unix_us: WALL_START_US + now + self.wall_offset_us.load(Ordering::Relaxed) }
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let local = deadline.since_origin().saturating_sub(ORIGIN);
        // A microsecond more than the inverse, so that the local clock has reached the deadline when it is told.
        let at = self.started + scaled(local, -self.drift_ppm) + Duration::from_micros(1);
        let now = self.now();
        if now >= deadline {
            return Box::pin(std::future::ready(()));
        }
        let (clock, executor, life) = (self.clone(), self.executor.clone(), self.life);
        Box::pin(async move {
            executor.sleep_until(life, at).await;
            // The inverse of the rate is rounded: what is missing is less than a millisecond.
            while clock.now() < deadline {
                let later = executor.now() + Duration::from_micros(10);
                executor.sleep_until(life, later).await;
            }
        })
    }
}

/// Randomness of one life of a node.
pub struct SimEntropy(Mutex<Random>);

impl SimEntropy {
    /// From a generator of its own.
    pub fn new(random: Random) -> Self {
        Self(Mutex::new(random))
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, into: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in into.chunks_mut(8) {
            let bytes = random.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
