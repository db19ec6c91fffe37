//! Coalescing: calls that wait for the wire travel in one message.

use crate::limits::{BATCH_BYTES_MAX, BATCH_CALLS_MAX, BATCHES_IN_FLIGHT_MAX};
use isx_iface::{Answer, Call, ObjectRef};
use isx_port::Spawn;
use isx_row::{Code, Error};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Where the answer to a call goes.
type Asker = oneshot::Sender<Result<Answer, Error>>;

/// The calls of one object over one connection. While [`BATCHES_IN_FLIGHT_MAX`] messages are under way, further calls
/// gather here and leave together: alone a call costs one message, under load it shares one.
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

impl Batcher {
    pub(crate) fn new(object: ObjectRef, spawn: Arc<dyn Spawn>) -> Arc<Self> {
        Arc::new(Self { object, spawn, waiting: Mutex::default() })
    }

    /// Sends the call, alone or with others.
    pub(crate) async fn call(self: &Arc<Self>, call: Call) -> Result<Answer, Error> {
        let (answer, answered) = oneshot::channel();
        if self.push(call, answer) {
            self.spawn.spawn("client batch", Box::pin(self.clone().pump()));
        }
        answered.await.unwrap_or_else(|_| Err(Error::new(Code::Unknown, "the call was lost on its way")))
    }

    /// Queues a call; whether a pump must be started for it.
    fn push(&self, call: Call, answer: Asker) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.calls.push_back((call, answer));
        let free = waiting.batches_in_flight < BATCHES_IN_FLIGHT_MAX;
        waiting.batches_in_flight += usize::from(free);
        free
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
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut calls, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((call, _)) = waiting.calls.front() {
            bytes += call.payload.len();
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
