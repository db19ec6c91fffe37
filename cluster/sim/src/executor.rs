//! One thread runs the tasks, timers and lanes of all nodes, in an order drawn from the seed.
//!
//! Whatever can run now is chosen at random among what is ready; when nothing is, time moves to the next event. A lane
//! runs one job at a time: the job does its work at once when its turn comes, and its completion is told after a
//! simulated time, so that a crash may fall between the two. Killing a node drops its tasks and forgets its jobs.

use crate::random::Random;
use crate::trace::Trace;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use isx_port::{Job, Lane, Spawn, Task};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// One life of a node: a restart is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life(pub u64);

impl Life {
    /// The world's own tasks: clients, nemesis, oracles.
    pub const WORLD: Self = Self(0);
}

/// How long a job of a lane takes.
#[derive(Clone, Copy, Debug)]
pub struct LaneTimes {
    /// A job of the log: around an fdatasync.
    pub disk: (Duration, Duration),
    /// Any other job.
    pub other: (Duration, Duration),
}

impl Default for LaneTimes {
    fn default() -> Self {
        let micros = Duration::from_micros;
        Self { disk: (micros(100), micros(4_000)), other: (micros(5), micros(200)) }
    }
}

/// The executor of a simulation. Cheap to clone.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    ready: Arc<Mutex<Vec<u64>>>,
}

struct State {
    now: Duration,
    random: Random,
    next_id: u64,
    tasks: BTreeMap<u64, Slot>,
    events: BinaryHeap<Reverse<(Duration, u64)>>,
    actions: BTreeMap<u64, (Life, Action)>,
    lanes: BTreeMap<(Life, Lane), Queue>,
    times: LaneTimes,
    trace: Trace,
}

struct Slot {
    life: Life,
    name: &'static str,
    task: Option<Task>,
    wake: Arc<WakeUp>,
}

/// What happens at a point of time.
enum Action {
    Wake(Waker),
    Run(Box<dyn FnOnce() + Send>),
}

#[derive(Default)]
struct Queue {
    busy: bool,
    waiting: VecDeque<(Job, oneshot::Sender<()>)>,
}

struct WakeUp {
    id: u64,
    queued: AtomicBool,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for WakeUp {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.id);
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor {
    /// An executor at time zero.
    pub fn new(random: Random, times: LaneTimes, trace: Trace) -> Self {
        let state = State {
            now: Duration::ZERO,
            random,
            next_id: 1,
            tasks: BTreeMap::new(),
            events: BinaryHeap::new(),
            actions: BTreeMap::new(),
            lanes: BTreeMap::new(),
            times,
            trace,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), ready: Arc::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Simulated time.
    pub fn now(&self) -> Duration {
        self.state().now
    }

    /// A random number of the schedule's generator.
    pub fn draw(&self, range: std::ops::Range<u64>) -> u64 {
        self.state().random.range(range)
    }

    /// The spawner of one life of a node.
    pub fn spawner(&self, life: Life) -> Arc<dyn Spawn> {
        Arc::new(Spawner { executor: self.clone(), life })
    }

    /// Starts a task of `life`.
    pub fn spawn(&self, life: Life, name: &'static str, task: Task) {
        let mut state = self.state();
        let id = state.id();
        let wake = Arc::new(WakeUp { id, queued: AtomicBool::new(true), ready: self.shared.ready.clone() });
        state.tasks.insert(id, Slot { life, name, task: Some(task), wake });
        lock(&self.shared.ready).push(id);
    }

    /// Completes at `at`.
    pub fn sleep_until(&self, life: Life, at: Duration) -> BoxFuture<'static, ()> {
        let executor = self.clone();
        let mut timer: Option<Timer> = None;
        Box::pin(std::future::poll_fn(move |cx| {
            let mut state = executor.state();
            if state.now >= at {
                return Poll::Ready(());
            }
            match &timer {
                // Most timers are polled again by the same task: then the waker it has still serves.
                Some(timer) if state.rewake(timer.id, cx.waker()) => {}
                _ => {
                    let id = state.at(life, at, Action::Wake(cx.waker().clone()));
                    drop(state);
                    timer = Some(Timer { executor: executor.clone(), id });
                }
            }
            Poll::Pending
        }))
    }

    /// Runs `action` for `life` after `delay`.
    pub fn after(&self, life: Life, delay: Duration, action: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        let at = state.now + delay;
        state.at(life, at, Action::Run(Box::new(action)));
    }

    /// Ends a life: its tasks are dropped, its jobs and timers forgotten.
    pub fn kill(&self, life: Life) {
        let dropped = {
            let mut state = self.state();
            let actions: Vec<_> = state.actions.extract_if(.., |_, (owner, _)| *owner == life).collect();
            let lanes: Vec<_> = state.lanes.extract_if(.., |(owner, _), _| *owner == life).collect();
            let tasks: Vec<_> = state.tasks.extract_if(.., |_, slot| slot.life == life).collect();
            (actions, lanes, tasks)
        };
        // Outside of the lock: what is dropped may wake and spawn.
        drop(dropped);
        // And what dropping has spawned.
        let late: Vec<_> = self.state().tasks.extract_if(.., |_, slot| slot.life == life).collect();
        drop(late);
    }

    /// Runs until `end`, or until nothing can happen any more.
    pub fn run_until(&self, end: Duration) {
        while self.step(end) {}
        let mut state = self.state();
        state.now = state.now.max(end);
    }

    /// Runs until `task` is done or `end` has come; the task belongs to the world.
    pub fn block_on<T: Send + 'static>(
        &self,
        end: Duration,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, mut receiver) = oneshot::channel();
        self.spawn(Life::WORLD, "block on", Box::pin(async move { drop(sender.send(task.await)) }));
        loop {
            if let Ok(Some(value)) = receiver.try_recv() {
                return Some(value);
            }
            if !self.step(end) {
                return None;
            }
        }
    }

    fn step(&self, end: Duration) -> bool {
        let mut state = self.state();
        let next = {
            let mut ready = lock(&self.shared.ready);
            if ready.is_empty() {
                None
            } else {
                let chosen = state.random.below(ready.len() as u64) as usize;
                Some(ready.swap_remove(chosen))
            }
        };
        match next {
            Some(id) => {
                let Some(slot) = state.tasks.get_mut(&id) else { return true };
                slot.wake.queued.store(false, Ordering::Relaxed);
                let Some(task) = slot.task.take() else { return true };
                let (name, life, wake) = (slot.name, slot.life, slot.wake.clone());
                let now = state.now;
                state.trace.task(now, life, name, id);
                drop(state);
                self.poll(id, task, wake);
                true
            }
            None => self.event(state, end),
        }
    }

    fn poll(&self, id: u64, mut task: Task, wake: Arc<WakeUp>) {
        let waker = Waker::from(wake);
        let finished = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let leftover = {
            let mut state = self.state();
            if finished {
                state.tasks.remove(&id);
                Some(task)
            } else if let Some(slot) = state.tasks.get_mut(&id) {
                slot.task = Some(task);
                None
            } else {
                // Its node was killed by the task itself.
                Some(task)
            }
        };
        drop(leftover);
    }

    fn event(&self, mut state: MutexGuard<'_, State>, end: Duration) -> bool {
        let Some(Reverse((at, _))) = state.events.peek() else { return false };
        if *at > end {
            return false;
        }
        let Some(Reverse((at, id))) = state.events.pop() else { return false };
        let Some((life, action)) = state.actions.remove(&id) else { return true };
        state.now = state.now.max(at);
        let now = state.now;
        state.trace.event(now, life, id);
        drop(state);
        match action {
            Action::Wake(waker) => waker.wake(),
            Action::Run(run) => run(),
        }
        true
    }

    fn run_job(&self, life: Life, lane: Lane, job: Job, done: oneshot::Sender<()>) {
        job();
        let delay = {
            let mut state = self.state();
            let (from, to) = if lane == Lane::Disk { state.times.disk } else { state.times.other };
            let (from, to) = (from.as_nanos() as u64, to.as_nanos() as u64);
            // Mostly fast, sometimes as slow as it gets: the square of a uniform number.
            let share = state.random.below(1024);
            Duration::from_nanos(from + (to - from) / 1024 * share / 1024 * share)
        };
        let executor = self.clone();
        self.after(life, delay, move || {
            let _ = done.send(());
            executor.next_job(life, lane);
        });
    }

    fn next_job(&self, life: Life, lane: Lane) {
        let next = {
            let mut state = self.state();
            let Some(queue) = state.lanes.get_mut(&(life, lane)) else { return };
            let next = queue.waiting.pop_front();
            queue.busy = next.is_some();
            next
        };
        if let Some((job, done)) = next {
            self.run_job(life, lane, job, done);
        }
    }
}

impl State {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn at(&mut self, life: Life, at: Duration, action: Action) -> u64 {
        let id = self.id();
        self.events.push(Reverse((at, id)));
        self.actions.insert(id, (life, action));
        id
    }

    fn rewake(&mut self, id: u64, waker: &Waker) -> bool {
        let Some((_, Action::Wake(current))) = self.actions.get_mut(&id) else { return false };
        current.clone_from(waker);
        true
    }
}

/// Forgets its event when dropped.
struct Timer {
    executor: Executor,
    id: u64,
}

impl Drop for Timer {
    fn drop(&mut self) {
        let forgotten = self.executor.state().actions.remove(&self.id);
        drop(forgotten);
    }
}

struct Spawner {
    executor: Executor,
    life: Life,
}

impl Spawn for Spawner {
    fn spawn(&self, name: &'static str, task: Task) {
        self.executor.spawn(self.life, name, task);
    }

    fn run(&self, lane: Lane, job: Job) -> BoxFuture<'static, ()> {
        let (done, finished) = oneshot::channel();
        let job = {
            let mut state = self.executor.state();
            let queue = state.lanes.entry((self.life, lane)).or_default();
            if queue.busy {
                queue.waiting.push_back((job, done));
                None
            } else {
                queue.busy = true;
                Some((job, done))
            }
        };
        if let Some((job, done)) = job {
            let executor = self.executor.clone();
            let life = self.life;
            self.executor.after(life, Duration::ZERO, move || executor.run_job(life, lane, job, done));
        }
        Box::pin(async move {
            // A job that was forgotten with its node is waited for by nobody.
            let _ = finished.await;
        })
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("now", &self.now()).finish_non_exhaustive()
    }
}
