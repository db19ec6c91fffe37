//! Coalescing: calls that wait for the wire travel in one message.

use crate::limits::{BATCH_BYTES_MAX, BATCH_CALLS_MAX, BATCHES_IN_FLIGHT_MAX};
use isx_iface::{Answer, Call, ObjectRef};
use isx_port::Spawn;
use isx_row::{Code, Error};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Where the answer to a call goes.
type Asker = oneshot::Sender<Result<Answer, Error>>;

/// The calls of one object over one connection. While [`BATCHES_IN_FLIGHT_MAX`] messages are under way, further calls
/// gather here and leave together: alone a call costs one message, under load it shares one. What finds nothing under
/// way is sent by its own caller; everything else by a task that no caller owns.
pub(crate) struct Batcher {
    object: ObjectRef,
    spawn: Arc<dyn Spawn>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<(Call, Asker)>,
    batches_in_flight: usize,
}

/// How a call leaves.
enum Turn {
    /// By its caller.
    Alone(Box<Call>, Alone),
    /// With those that wait, by a pump that must be started.
    Begins(oneshot::Receiver<Result<Answer, Error>>),
    /// With those that wait.
    Waits(oneshot::Receiver<Result<Answer, Error>>),
}

/// The place of a batch in flight that one caller has; those that wait get it when it ends or is dropped.
struct Alone(Arc<Batcher>);

impl Drop for Alone {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        if waiting.calls.is_empty() {
            waiting.batches_in_flight -= 1;
        } else {
            drop(waiting);
            self.0.start();
        }
    }
}

impl Batcher {
    pub(crate) fn new(object: ObjectRef, spawn: Arc<dyn Spawn>) -> Arc<Self> {
        Arc::new(Self { object, spawn, waiting: Mutex::default() })
    }

    /// Sends the call, alone or with others.
    pub(crate) async fn call(self: &Arc<Self>, call: Call) -> Result<Answer, Error> {
        let answered = match self.turn(call) {
            Turn::Alone(call, _place) => return self.object.call(*call).await,
            Turn::Waits(answered) => answered,
            Turn::Begins(answered) => {
                self.start();
                answered
            }
        };
        answered.await.unwrap_or_else(|_| Err(Error::new(Code::Unknown, "the call was lost on its way")))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(self: &Arc<Self>, call: Call) -> Turn {
        let mut waiting = self.lock();
        if waiting.batches_in_flight == 0 {
            waiting.batches_in_flight = 1;
            return Turn::Alone(Box::new(call), Alone(self.clone()));
        }
        let (answer, answered) = oneshot::channel();
        waiting.calls.push_back((call, answer));
        if waiting.batches_in_flight == BATCHES_IN_FLIGHT_MAX {
            return Turn::Waits(answered);
        }
        waiting.batches_in_flight += 1;
        Turn::Begins(answered)
    }

    fn start(self: &Arc<Self>) {
        self.spawn.spawn("client batch", Box::pin(self.clone().pump()));
    }

    /// Sends batch after batch until nothing waits. Owned by no caller: a caller that goes away takes nobody along.
    async fn pump(self: Arc<Self>) {
        while let Some((calls, answers)) = self.take() {
            let results = if calls.len() == 1 {
                let mut results = Vec::new();
                for call in calls {
                    results.push(self.object.call(call).await);
                }
                results
            } else {
                self.object.batch(calls).await
            };
            // A callee that answers too few leaves the rest unknown: their senders are dropped.
            for (answer, result) in answers.into_iter().zip(results) {
                let _ = answer.send(result);
            }
        }
    }

    /// The next batch; `None` ends the pump, counted while the lock is held.
    fn take(&self) -> Option<(Vec<Call>, Vec<Asker>)> {
        let mut waiting = self.lock();
        let (mut calls, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((call, _)) = waiting.calls.front() {
            bytes += call.bytes();
            if calls.len() == BATCH_CALLS_MAX || (bytes > BATCH_BYTES_MAX && !calls.is_empty()) {
                break;
            }
            if let Some((call, answer)) = waiting.calls.pop_front() {
                // A call whose caller went away before it was sent is not made.
                if !answer.is_closed() {
                    calls.push(call);
                    answers.push(answer);
                }
            }
        }
        if calls.is_empty() {
            waiting.batches_in_flight -= 1;
            return None;
        }
        Some((calls, answers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use futures::task::{Context, noop_waker_ref};
    use isx_iface::{Delivery, Items, Object};
    use isx_port::{Job, Lane, Task};
    use isx_row::Signature;
    use std::pin::Pin;
    use tokio::sync::Semaphore;

    /// Answers messages as it is let, and keeps how many calls each had.
    struct Gate {
        sizes: Mutex<Vec<usize>>,
        open: Semaphore,
    }

    impl Gate {
        async fn message(&self, size: usize) {
            self.sizes.lock().unwrap().push(size);
            self.open.acquire().await.unwrap().forget();
        }
    }

    #[async_trait]
    impl Object for Gate {
        async fn call(&self, _: Call) -> Result<Answer, Error> {
            self.message(1).await;
            Ok(Answer::default())
        }
        async fn batch(&self, calls: Vec<Call>) -> Vec<Result<Answer, Error>> {
            self.message(calls.len()).await;
            calls.iter().map(|_| Ok(Answer::default())).collect()
        }
        async fn stream(&self, _: Call) -> Result<Items, Error> {
            unreachable!("no test asks for it")
        }
        async fn whois(&self) -> Result<String, Error> {
            unreachable!("no test asks for it")
        }
    }

    /// Tasks that run when the test says.
    #[derive(Default)]
    struct Tasks(Mutex<Vec<Task>>);

    impl Tasks {
        fn step(&self) {
            let mut tasks = std::mem::take(&mut *self.0.lock().unwrap());
            tasks.retain_mut(|task| !poll(task));
            self.0.lock().unwrap().append(&mut tasks);
        }
    }

    impl Spawn for Tasks {
        fn spawn(&self, _: &'static str, task: Task) {
            self.0.lock().unwrap().push(task);
        }
        fn run(&self, _: Lane, job: Job) -> BoxFuture<'static, ()> {
            job();
            futures::future::ready(()).boxed()
        }
    }

    /// Whether it is done.
    fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
        Pin::new(future).poll(&mut Context::from_waker(noop_waker_ref())).is_ready()
    }

    struct Bench {
        gate: Arc<Gate>,
        tasks: Arc<Tasks>,
        batcher: Arc<Batcher>,
    }

    impl Bench {
        fn new() -> Self {
            let gate = Arc::new(Gate { sizes: Mutex::default(), open: Semaphore::new(0) });
            let tasks = Arc::<Tasks>::default();
            let batcher = Batcher::new(gate.clone(), tasks.clone());
            Self { gate, tasks, batcher }
        }

        /// A call that was polled once.
        fn call(&self) -> BoxFuture<'static, Result<Answer, Error>> {
            let delivery = Delivery::default();
            let call = Call {
                method: "add".into(),
                signature: Signature::ANY,
                payload: vec![],
                objects: vec![],
                conditions: vec![],
                delivery,
            };
            let batcher = self.batcher.clone();
            let mut call = async move { batcher.call(call).await }.boxed();
            assert!(!poll(&mut call));
            call
        }

        fn sizes(&self) -> Vec<usize> {
            self.tasks.step();
            self.gate.sizes.lock().unwrap().clone()
        }
    }

    #[test]
    fn what_finds_nothing_under_way_leaves_at_once_and_the_others_together() {
        let bench = Bench::new();
        let mut first = bench.call();
        assert!(bench.tasks.0.lock().unwrap().is_empty(), "its caller sends it");
        assert_eq!(bench.sizes(), [1]);

        let _second = [bench.call(), bench.call(), bench.call()];
        assert_eq!(bench.sizes(), [1, 3]);
        let _third = [bench.call(), bench.call()];
        assert_eq!(bench.sizes(), [1, 3], "BATCHES_IN_FLIGHT_MAX are under way");

        bench.gate.open.add_permits(1);
        assert!(poll(&mut first));
        assert_eq!(bench.sizes(), [1, 3, 2], "those that waited have its place");
    }

    #[test]
    fn a_caller_that_goes_away_leaves_its_place_to_those_that_wait() {
        let bench = Bench::new();
        drop(bench.call());
        assert_eq!(bench.sizes(), [1]);

        let alone = bench.call();
        let _second = bench.call();
        assert_eq!(bench.sizes(), [1, 1, 1]);
        let _third = [bench.call(), bench.call()];
        drop(alone);
        assert_eq!(bench.sizes(), [1, 1, 1, 2]);
    }
}
