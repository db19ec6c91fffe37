//! Time: a monotonic instant for everything that decides, wall time only as a proposal for log time.

use futures::future::BoxFuture;
use std::time::Duration;

/// A point of monotonic time: nanoseconds since the node's (or the simulation's) own start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `since_start` after the clock's origin; saturates after 584 years.
    pub fn from_origin(since_start: Duration) -> Self {
        Self(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Time since the clock's origin.
    pub fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved later by `by`; saturates.
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// What the operating system believes the time is: microseconds since the Unix epoch. It may jump; no decision about
/// safety may use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub unix_us: i64,
}

/// The clocks of one node.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time; never goes back.
    fn now(&self) -> Instant;
    /// Wall time; may jump.
    fn wall(&self) -> WallTime;
    /// Completes at `deadline`, or at once if it has passed.
    ///
    /// # Cancel safety
    /// Dropping the future forgets the timer.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;
}
