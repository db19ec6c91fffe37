//! A watched value whose receivers are woken in the order in which they began to wait.

use openraft::async_runtime::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Poll, Waker};

/// The family of watched values.
pub struct Watches;

impl Watch for Watches {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = Ref<'a, T>;

    fn channel<T: Send + Sync>(init: T) -> (Sender<T>, Receiver<T>) {
        let state = State { version: 0, senders: 1, next_waiter: 0, waiters: BTreeMap::new() };
        let shared = Arc::new(Shared { value: RwLock::new(init), state: Mutex::new(state) });
        (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
    }
}

struct Shared<T> {
    value: RwLock<T>,
    state: Mutex<State>,
}

struct State {
    version: u64,
    senders: usize,
    next_waiter: u64,
    waiters: BTreeMap<u64, Waker>,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Ref<'_, T> {
        Ref(self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the value; value and version change together, so that no receiver takes one value for two.
    fn set(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let mut value = self.value.write().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut value) {
            return false;
        }
        let waiters = {
            let mut state = self.state();
            state.version += 1;
            std::mem::take(&mut state.waiters)
        };
        drop(value);
        waiters.into_values().for_each(Waker::wake);
        true
    }
}

/// The value, read.
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// Sets the value.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.state().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waiters = {
            let mut state = self.shared.state();
            state.senders -= 1;
            if state.senders > 0 {
                return;
            }
            std::mem::take(&mut state.waiters)
        };
        waiters.into_values().for_each(Waker::wake);
    }
}

impl<T: Send + Sync> WatchSender<Watches, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        // As tokio: a value nobody can see is refused. The sender's own reference is one.
        let senders = self.shared.state().senders;
        if Arc::strong_count(&self.shared) <= senders {
            return Err(SendError(value));
        }
        self.shared.set(|current| {
            *current = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.shared.set(modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.shared.read()
    }

    fn subscribe(&self) -> Receiver<T> {
        let seen = self.shared.state().version;
        Receiver { shared: self.shared.clone(), seen }
    }
}

/// Sees the value change.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T: Send + Sync> WatchReceiver<Watches, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        let mut place = Place { shared: &self.shared, waiter: None };
        let seen = self.seen;
        let version = poll_fn(|cx| {
            let mut state = place.shared.state();
            if state.version != seen {
                return Poll::Ready(Ok(state.version));
            }
            if state.senders == 0 {
                return Poll::Ready(Err(RecvError(())));
            }
            let waiter = match place.waiter {
                Some(waiter) => waiter,
                None => {
                    state.next_waiter += 1;
                    state.next_waiter
                }
            };
            state.waiters.insert(waiter, cx.waker().clone());
            drop(state);
            place.waiter = Some(waiter);
            Poll::Pending
        })
        .await?;
        self.seen = version;
        Ok(())
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.shared.read()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.read();
        self.seen = self.shared.state().version;
        value
    }
}

/// A receiver's place among the waiters, left when it stops waiting.
struct Place<'a, T> {
    shared: &'a Shared<T>,
    waiter: Option<u64>,
}

impl<T> Drop for Place<'_, T> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.shared.state().waiters.remove(&waiter);
        }
    }
}
