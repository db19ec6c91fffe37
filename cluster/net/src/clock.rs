//! The kernel's clocks, and timers that cost a call nothing but a place in a map.
//!
//! Nearly every timer is the deadline of something that ends long before it. So a timer is an entry of one map, and one
//! task of the runtime sleeps until the earliest: it is woken for a deadline that is earlier still, and by nothing else.
//! A timer of tokio's own would not do: it panics when it is polled after its runtime ended, and waiters on threads of
//! their own may outlive the runtime.

use futures::future::{BoxFuture, select};
use isx_port::{Clock, Instant, WallTime};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;
use tokio::sync::Notify;

/// Monotonic time since the node's start, wall time of the operating system.
#[derive(Clone, Debug)]
pub struct SystemClock {
    timers: Arc<Timers>,
}

impl SystemClock {
    /// A clock that starts now; its timers run on `runtime`. Once that has ended, whoever waits for one waits for nothing.
    pub fn start(runtime: tokio::runtime::Handle) -> Self {
        let origin = std::time::Instant::now();
        Self { timers: Arc::new(Timers { origin, runtime, state: Mutex::default(), earlier: Notify::new() }) }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        self.timers.now()
    }

    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallTime { unix_us: i64::try_from(since.as_micros()).unwrap_or(i64::MAX) }
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { timers: self.timers.clone(), deadline, place: None })
    }
}

/// A timer's place: what is earlier comes first.
type Place = (Instant, u64);

/// The timers of a clock, and the task that drives them.
#[derive(Debug)]
struct Timers {
    origin: std::time::Instant,
    runtime: tokio::runtime::Handle,
    state: Mutex<State>,
    /// A deadline is earlier than the one that the driver sleeps until.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Place, Waker>,
    next: u64,
    /// Until when the driver sleeps, if there is a driver. It may be the deadline of a timer that was forgotten since.
    until: Option<Instant>,
}

impl Timers {
    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a timer; begins the driver, or wakes it, where it would sleep for too long.
    fn keep(self: &Arc<Self>, deadline: Instant, waker: &Waker) -> Place {
        let (place, before) = {
            let mut state = self.state();
            let place = (deadline, state.next);
            state.next += 1;
            state.waiting.insert(place, waker.clone());
            let before = state.until;
            state.until = Some(before.map_or(deadline, |until| until.min(deadline)));
            (place, before)
        };
        match before {
            None => drop(self.runtime.spawn(self.clone().drive())),
            Some(until) if deadline < until => self.earlier.notify_one(),
            Some(_) => {}
        }
        place
    }

    /// Wakes timers at their deadlines until there are none.
    async fn drive(self: Arc<Self>) {
        while let Some(until) = self.wake_due() {
            let earlier = pin!(self.earlier.notified());
            match self.origin.checked_add(until.since_origin()) {
                Some(until) => {
                    select(earlier, pin!(tokio::time::sleep_until(until.into()))).await;
                }
                None => earlier.await,
            }
        }
    }

    /// Wakes those whose deadline has passed; the deadline to sleep until now.
    fn wake_due(&self) -> Option<Instant> {
        let now = self.now();
        let mut state = self.state();
        let later = state.waiting.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut state.waiting, later);
        state.until = state.waiting.first_key_value().map(|((deadline, _), _)| *deadline);
        let until = state.until;
        drop(state);
        due.into_values().for_each(Waker::wake);
        until
    }
}

/// A timer, kept from its first poll and forgotten when it is dropped.
struct Sleep {
    timers: Arc<Timers>,
    deadline: Instant,
    place: Option<Place>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(place) = self.place else {
            if self.timers.now() >= self.deadline {
                return Poll::Ready(());
            }
            self.place = Some(self.timers.keep(self.deadline, context.waker()));
            return Poll::Pending;
        };
        match self.timers.state().waiting.get_mut(&place) {
            Some(waker) => waker.clone_from(context.waker()),
            // Woken because it was due.
            None => return Poll::Ready(()),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // Dropped after the lock was given back: a waker's end may run code of others.
            let waker = self.timers.state().waiting.remove(&place);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::Either;
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(2);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
    }

    #[test]
    fn an_earlier_timer_does_not_wait_for_a_later_one() {
        let runtime = runtime();
        let clock = SystemClock::start(runtime.handle().clone());
        let late = clock.sleep_until(clock.now().after(LONG));
        let earlier = async {
            for _ in 0..3 {
                let deadline = clock.now().after(SHORT);
                clock.sleep_until(deadline).await;
                assert!(clock.now() >= deadline, "never before its deadline");
            }
        };
        // Waited for on a thread of its own, as a vat does.
        let first = futures::executor::block_on(select(late, Box::pin(earlier)));
        assert!(matches!(first, Either::Right(_)));
    }

    #[test]
    fn timers_of_one_deadline_are_all_woken() {
        let runtime = runtime();
        let clock = SystemClock::start(runtime.handle().clone());
        let deadline = clock.now().after(SHORT);
        futures::executor::block_on(futures::future::join_all((0..64).map(|_| clock.sleep_until(deadline))));
        assert!(clock.timers.state().waiting.is_empty());
    }

    #[test]
    fn a_dropped_timer_is_forgotten_and_a_passed_one_does_not_wait() {
        let runtime = runtime();
        let clock = SystemClock::start(runtime.handle().clone());
        let mut sleep = clock.sleep_until(clock.now().after(LONG));
        assert!((&mut sleep).now_or_never().is_none());
        assert_eq!(clock.timers.state().waiting.len(), 1);
        drop(sleep);
        assert!(clock.timers.state().waiting.is_empty());
        assert!(clock.sleep_until(clock.now()).now_or_never().is_some());
        // Further away than the kernel's clock can say.
        assert!(clock.sleep_until(Instant::from_origin(Duration::MAX)).now_or_never().is_none());
    }

    #[test]
    fn a_timer_whose_runtime_has_ended_waits_for_nothing() {
        let runtime = runtime();
        let clock = SystemClock::start(runtime.handle().clone());
        let mut kept = clock.sleep_until(clock.now().after(LONG));
        assert!((&mut kept).now_or_never().is_none());
        drop(runtime);
        let mut new = clock.sleep_until(clock.now().after(LONG));
        assert!((&mut new).now_or_never().is_none());
        assert!(kept.now_or_never().is_none());
    }
}
