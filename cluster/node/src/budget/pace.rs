//! Processor time: a balance that fills as time passes and falls by what the process uses. Who would begin while it is spent
//! waits, first come, first served.
//!
//! What runs has not been paid for yet, so each call that is let in counts for what the last ones came to until it ends;
//! otherwise all that wait would be let in with the first microsecond of credit. Rejected: a pause on the threads that run
//! modules. It would hold up what is in the log.

use super::{Account, Machine, Resource};
use crate::limits::{CPU_BURST, CPU_DEBT_MAX, CPU_LOOK_EVERY, CPU_WAIT_MAX, CPU_WAITING_MAX, CPU_WINDOW};
use futures::future::{Either, select};
use isx_port::{Clock, Instant};
use isx_row::{Code, Error};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Lets callers in as fast as the budget allows.
pub(super) struct Pace {
    machine: Option<Arc<dyn Machine>>,
    clock: Arc<dyn Clock>,
    milli_max: Option<u64>,
    state: Mutex<State>,
    /// Whose turn it is.
    turn: tokio::sync::Mutex<()>,
    /// A call has ended.
    ended: Notify,
    waiting_count: AtomicUsize,
    refused_count: AtomicU64,
    waited_us: AtomicU64,
}

/// Processor time, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When was looked last, and what the process had used.
    at: Instant,
    cpu: Duration,
    /// What is left; below zero it is owed.
    balance_us: i64,
    /// What a call comes to, by the last ones.
    call_us: i64,
    running_count: u32,
    ended_count: u32,
    /// The begins of the window before and of this one, for who asks what is used.
    windows: [(Instant, Duration); 2],
}

/// A call that was let in, until it is dropped.
pub(crate) struct Running<'a>(Option<&'a Pace>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(pace) = self.0 {
            let mut state = pace.state();
            state.running_count = state.running_count.saturating_sub(1);
            state.ended_count = state.ended_count.saturating_add(1);
            drop(state);
            pace.ended.notify_one();
        }
    }
}

/// One that waits, until it is dropped.
struct Waiting<'a>(&'a Pace, Instant);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting_count.fetch_sub(1, Ordering::Relaxed);
        self.0.waited_us.fetch_add(micros(self.0.clock.now().since(self.1)).unsigned_abs(), Ordering::Relaxed);
    }
}

impl Pace {
    pub(super) fn new(milli_max: Option<u64>, machine: Option<Arc<dyn Machine>>, clock: Arc<dyn Clock>) -> Self {
        let (at, cpu) = (clock.now(), machine.as_ref().map(|machine| machine.cpu()).unwrap_or_default());
        let balance_us = milli_max.map_or(0, |milli| share(CPU_BURST, milli));
        let state = State { at, cpu, balance_us, windows: [(at, cpu); 2], ..State::default() };
        Self {
            machine,
            clock,
            milli_max,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
            ended: Notify::new(),
            waiting_count: AtomicUsize::new(0),
            refused_count: AtomicU64::new(0),
            waited_us: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.machine.is_some() && self.milli_max.is_some()
    }

    /// See [`super::Governor::paced`].
    pub(super) async fn enter(&self, deadline: Instant) -> Result<Running<'_>, Error> {
        let (Some(machine), Some(milli)) = (&self.machine, self.milli_max) else { return Ok(Running(None)) };
        let begin = || {
            let now = self.clock.now();
            let mut state = self.state();
            if now.since(state.at) >= CPU_LOOK_EVERY {
                state.look(now, machine.cpu(), milli);
            }
            state.begin(milli)
        };
        // Nobody goes before those who wait.
        if let Ok(_turn) = self.turn.try_lock()
            && begin().is_ok()
        {
            return Ok(Running(Some(self)));
        }
        let waiting = Waiting(self, self.clock.now());
        if self.waiting_count.fetch_add(1, Ordering::Relaxed) >= CPU_WAITING_MAX {
            return Err(self.refused("too many calls wait for it", CPU_WAIT_MAX));
        }
        let late = || self.refused("it is used up", CPU_WAIT_MAX);
        let turn = match select(pin!(self.turn.lock()), self.clock.sleep_until(deadline)).await {
            Either::Left((turn, _)) => Some(turn),
            Either::Right(_) => None,
        };
        let Some(_turn) = turn else { return Err(late()) };
        loop {
            let Err(wait) = begin() else {
                drop(waiting);
                return Ok(Running(Some(self)));
            };
            let now = self.clock.now();
            if now >= deadline {
                return Err(self.refused("it is used up", wait));
            }
            let until = now.after(wait.clamp(CPU_LOOK_EVERY, CPU_WAIT_MAX)).min(deadline);
            select(pin!(self.ended.notified()), self.clock.sleep_until(until)).await;
        }
    }

    fn refused(&self, why: &str, wait: Duration) -> Error {
        self.refused_count.fetch_add(1, Ordering::Relaxed);
        let text = format!(
            "the node is held to --cpu-max {}, and {why}: ask for less, or start it with more",
            percent(self.milli_max.unwrap_or(0))
        );
        let retry_after_ms = Some(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
        Error { code: Code::Busy, text, retry_after_ms }
    }

    pub(super) fn account(&self) -> Account {
        let used = self.machine.as_ref().map(|machine| {
            let (now, cpu) = (self.clock.now(), machine.cpu());
            let mut state = self.state();
            let [(at, before), (newer, _)] = state.windows;
            let passed_us = micros(now.since(at)).max(1);
            if now.since(newer) >= CPU_WINDOW {
                state.windows = [state.windows[1], (now, cpu)];
            }
            let used_us = micros(cpu.saturating_sub(before)).saturating_mul(1000);
            (used_us / passed_us).unsigned_abs()
        });
        Account {
            resource: Resource::Cpu,
            used,
            max: self.milli_max,
            refused_count: self.refused_count.load(Ordering::Relaxed),
            waited: Duration::from_micros(self.waited_us.load(Ordering::Relaxed)),
        }
    }
}

impl State {
    /// Takes in what was used since the last look.
    fn look(&mut self, now: Instant, cpu: Duration, milli: u64) {
        let (passed, used_us) = (now.since(self.at), micros(cpu.saturating_sub(self.cpu)));
        let balance_us = self.balance_us.saturating_add(share(passed, milli)).saturating_sub(used_us);
        self.balance_us = balance_us.clamp(-share(CPU_DEBT_MAX, milli), share(CPU_BURST, milli));
        self.call_us = match (self.ended_count, self.running_count) {
            (0, 0) => self.call_us,
            // None has ended yet: it costs that much at least. More than the balance can hold would let nobody else begin.
            (0, running) => self.call_us.max((used_us / i64::from(running)).min(share(CPU_BURST, milli) / 2)),
            (ended, _) if self.call_us == 0 => used_us / i64::from(ended),
            (ended, _) => (3 * self.call_us + used_us / i64::from(ended)) / 4,
        };
        (self.at, self.cpu, self.ended_count) = (now, cpu, 0);
        if now.since(self.windows[1].0) >= CPU_WINDOW {
            self.windows = [self.windows[1], (now, cpu)];
        }
    }

    /// Lets a call begin, or says after how long to ask again at the latest.
    fn begin(&mut self, milli: u64) -> Result<(), Duration> {
        let spoken_for_us = self.call_us.saturating_mul(i64::from(self.running_count));
        let left_us = self.balance_us.saturating_sub(spoken_for_us);
        if self.balance_us > 0 && (left_us > 0 || self.running_count == 0) {
            self.running_count += 1;
            return Ok(());
        }
        // What runs gives back what it is counted for when it ends: only what is owed has to be waited for.
        let owed_us = self.balance_us.min(0).unsigned_abs() + 1;
        Err(Duration::from_micros(owed_us.saturating_mul(1000) / milli.max(1)))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// What a budget gives in a time.
fn share(time: Duration, milli: u64) -> i64 {
    micros(time).saturating_mul(i64::try_from(milli).unwrap_or(i64::MAX)) / 1000
}

/// Thousandths of a processor as the flag has them.
fn percent(milli: u64) -> String {
    match milli % 10 {
        0 => format!("{}%", milli / 10),
        rest => format!("{}.{rest}%", milli / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Space;
    use super::*;
    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::future::{BoxFuture, join_all};
    use isx_port::WallTime;

    /// A machine whose time passes when somebody sleeps.
    #[derive(Default)]
    struct Pretended {
        now_us: AtomicU64,
        cpu_us: AtomicU64,
    }

    impl Pretended {
        fn work(&self, us: u64) {
            self.now_us.fetch_add(us, Ordering::Relaxed);
            self.cpu_us.fetch_add(us, Ordering::Relaxed);
        }
    }

    impl Clock for Pretended {
        fn now(&self) -> Instant {
            Instant::from_origin(Duration::from_micros(self.now_us.load(Ordering::Relaxed)))
        }
        fn wall(&self) -> WallTime {
            WallTime::default()
        }
        fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
            let until = u64::try_from(deadline.since_origin().as_micros()).unwrap();
            // Others have their turn first; then time has come.
            let asked = AtomicUsize::new(0);
            if self.now_us.load(Ordering::Relaxed) + 1_000_000 < until {
                return futures::future::pending().boxed();
            }
            self.now_us.fetch_max(until, Ordering::Relaxed);
            futures::future::poll_fn(move |context| {
                context.waker().wake_by_ref();
                match asked.fetch_add(1, Ordering::Relaxed) {
                    0 => std::task::Poll::Pending,
                    _ => std::task::Poll::Ready(()),
                }
            })
            .boxed()
        }
    }

    impl Machine for Pretended {
        fn cpu(&self) -> Duration {
            Duration::from_micros(self.cpu_us.load(Ordering::Relaxed))
        }
        fn space(&self) -> Space {
            Space::default()
        }
    }

    fn pace(milli: u64) -> (Arc<Pretended>, Pace) {
        let machine = Arc::new(Pretended::default());
        (machine.clone(), Pace::new(Some(milli), Some(machine.clone()), machine))
    }

    fn after(machine: &Pretended, time: Duration) -> Instant {
        machine.now().after(time)
    }

    /// Callers that call again and again; thousandths of a processor that they got.
    fn used_milli(milli: u64, callers: u64, call_us: u64, rounds: u64) -> u64 {
        let (machine, pace) = pace(milli);
        block_on(join_all((0..callers).map(|_| async {
            for _ in 0..rounds {
                let running = pace.enter(after(&machine, Duration::from_secs(3600))).await.unwrap();
                machine.work(call_us);
                drop(running);
            }
        })));
        machine.cpu_us.load(Ordering::Relaxed) * 1000 / machine.now_us.load(Ordering::Relaxed)
    }

    #[test]
    fn calls_of_any_size_use_their_share_and_no_more() {
        for (milli, callers, call_us, rounds) in
            [(100, 1, 200, 20_000), (100, 64, 200, 400), (250, 32, 20_000, 20), (50, 8, 400_000, 10)]
        {
            let used = used_milli(milli, callers, call_us, rounds);
            assert!(used <= milli * 13 / 10 && used >= milli / 2, "{used} of {milli}: {callers} callers, {call_us} us");
        }
    }

    #[test]
    fn a_crowd_is_not_let_in_with_the_first_credit() {
        let (machine, pace) = pace(100);
        let first = block_on(pace.enter(after(&machine, Duration::from_secs(1)))).unwrap();
        machine.work(100_000);
        drop(first);
        // It costs 100 ms, and 80 of them are owed; what comes then lasts for one.
        let mut held = Vec::new();
        let crowd = join_all((0..100).map(|_| pace.enter(after(&machine, Duration::from_millis(2000)))));
        held.extend(block_on(crowd).into_iter().filter_map(Result::ok));
        assert!(!held.is_empty() && held.len() <= 3, "{} of 100 at once", held.len());
        assert_eq!(pace.account().refused_count + held.len() as u64, 100);
    }

    #[test]
    fn who_comes_to_the_deadline_is_told_when_to_come_again() {
        let (machine, pace) = pace(100);
        let first = block_on(pace.enter(after(&machine, Duration::from_secs(1)))).unwrap();
        machine.work(1_000_000);
        drop(first);
        let late = block_on(pace.enter(after(&machine, Duration::from_millis(50)))).err().unwrap();
        assert!(late.code == Code::Busy && late.text.contains("--cpu-max 10%"), "{late}");
        assert!(late.retry_after_ms.unwrap() > 1000, "{late:?}");
        assert_eq!(pace.waiting_count.load(Ordering::Relaxed), 0);
        assert!(pace.account().waited >= Duration::from_millis(50));
    }

    #[test]
    fn a_debt_is_forgiven_beyond_its_bound() {
        let (machine, pace) = pace(100);
        machine.cpu_us.fetch_add(3_600_000_000, Ordering::Relaxed);
        machine.now_us.fetch_add(1_000_000, Ordering::Relaxed);
        let waits = CPU_DEBT_MAX + Duration::from_secs(1);
        drop(block_on(pace.enter(after(&machine, waits))).unwrap());
    }

    #[test]
    fn without_a_budget_nobody_waits() {
        let machine = Arc::new(Pretended::default());
        let pace = Pace::new(None, Some(machine.clone()), machine.clone());
        machine.work(1_000_000);
        assert!(!pace.is_limited() && pace.enter(Instant::default()).now_or_never().unwrap().is_ok());
        assert_eq!(pace.account().used, Some(1000));
    }
}
