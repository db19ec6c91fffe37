//! The time that proposals bear: how log time follows the clocks of the node that proposes.

use isx_port::{Clock, Instant};
use isx_row::Time;
use std::time::Duration;

/// Log time follows the wall clock; but never back, at most twice as fast as the monotonic clock and at least half as
/// fast. So a wall clock that was set wrong makes no leap in it, and one that was set back does not stop it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    last: Option<(Instant, Time)>,
}

impl Pace {
    /// The time of a proposal made now, after log time `applied`.
    pub(crate) fn propose(&mut self, applied: Time, clock: &dyn Clock) -> Time {
        let time = self.at_present(applied, clock);
        self.last = Some((clock.now(), time));
        time
    }

    /// The time that a proposal made now would bear.
    pub(crate) fn at_present(&self, applied: Time, clock: &dyn Clock) -> Time {
        let wall = wall(clock);
        let Some((before, last)) = self.last else { return wall.max(applied) };
        let elapsed = i64::try_from(clock.now().since(before).as_micros()).unwrap_or(i64::MAX);
        let earliest = Time(last.0.saturating_add(elapsed / 2));
        let latest = Time(last.0.saturating_add(elapsed.saturating_mul(2)));
        wall.clamp(earliest, latest).max(applied)
    }

    /// How long to wait until a proposal may bear `next`; a little early where log time changes its pace meanwhile.
    pub(crate) fn until(&self, next: Time, applied: Time, clock: &dyn Clock) -> Duration {
        let present = self.at_present(applied, clock);
        let missing = Duration::from_micros(next.0.saturating_sub(present.0).max(0).unsigned_abs());
        if wall(clock) > present { missing / 2 } else { missing }
    }
}

fn wall(clock: &dyn Clock) -> Time {
    Time(clock.wall().unix_us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::BoxFuture;
    use isx_port::WallTime;

    /// A clock that says this, in seconds.
    struct At {
        monotonic: u64,
        wall: i64,
    }

    impl Clock for At {
        fn now(&self) -> Instant {
            Instant::from_origin(Duration::from_secs(self.monotonic))
        }
        fn wall(&self) -> WallTime {
            WallTime { unix_us: self.wall * 1_000_000 }
        }
        fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn seconds(time: Time) -> i64 {
        time.0 / 1_000_000
    }

    #[test]
    fn log_time_follows_the_wall_clock_without_leaps_and_without_standing_still() {
        let mut pace = Pace::default();
        let mut at = |monotonic, wall| seconds(pace.propose(Time(0), &At { monotonic, wall }));
        assert_eq!(at(0, 1000), 1000, "the first proposal has nothing to go by");
        assert_eq!(at(10, 1010), 1010);
        assert_eq!(at(20, 8020), 1030, "set ahead: twice as fast");
        assert_eq!(at(40, 1040), 1040, "and back on the clock");
        assert_eq!(at(60, 40), 1050, "set back: half as fast, and never back");
        assert_eq!(at(60, 40), 1050);
        let pace = Pace::default();
        assert_eq!(seconds(pace.at_present(Time(5_000_000), &At { monotonic: 9, wall: 1 })), 5, "not before the log's");
    }

    #[test]
    fn who_waits_is_not_late() {
        let mut pace = Pace::default();
        pace.propose(Time(0), &At { monotonic: 0, wall: 1000 });
        let until = |next: i64, monotonic, wall| {
            pace.until(Time(next * 1_000_000), Time(0), &At { monotonic, wall }).as_secs_f64()
        };
        assert!((until(1010, 0, 1000) - 10.0).abs() < 1e-9);
        assert!((until(1010, 4, 1004) - 6.0).abs() < 1e-9);
        assert!((until(1010, 2, 9000) - 3.0).abs() < 1e-9, "it runs twice as fast");
        assert!((until(1010, 2, 0) - 9.0).abs() < 1e-9, "it runs half as fast: then one waits again");
        assert_eq!(until(900, 0, 1000), 0.0);
    }
}
