//! Permits to hold instances: the pool has room for so many, and running out of it must never be an outcome.

use crate::limits::{INSTANCES_MAX, JOINED_LISTS_MAX};
use crate::poison::lock;
use std::sync::{Condvar, Mutex, PoisonError};

/// A permit to hold an instance, numbered below [`INSTANCES_MAX`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(pub(crate) usize);

/// A permit to hold instances beneath a permitted one, as many as calls into other mounts may be deep; given back when dropped.
#[derive(Debug)]
pub(crate) struct JoinedPermit(usize);

/// Permits of this process, as the pool is.
struct Permits {
    /// Numbers given back.
    free: Mutex<Free>,
    returned: Condvar,
}

struct Free {
    numbers: Vec<usize>,
    /// The first number that was never given out.
    unused: usize,
}

static INSTANCES: Permits = Permits::new();
static JOINED: Permits = Permits::new();

impl Permits {
    const fn new() -> Self {
        Self { free: Mutex::new(Free { numbers: Vec::new(), unused: 0 }), returned: Condvar::new() }
    }

    fn wait(&self, max: usize) -> usize {
        let mut free = lock(&self.free);
        loop {
            if let Some(number) = free.numbers.pop() {
                return number;
            }
            if free.unused < max {
                free.unused += 1;
                return free.unused - 1;
            }
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, number: usize) {
        lock(&self.free).numbers.push(number);
        self.returned.notify_one();
    }
}

impl Permit {
    /// Waits for a permit. Holders wait for nothing while they hold one, so this ends.
    pub(crate) fn wait() -> Self {
        Self(INSTANCES.wait(INSTANCES_MAX as usize))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        INSTANCES.give_back(self.0);
    }
}

impl JoinedPermit {
    /// Waits for a permit. Holders wait for a [`Permit`] and nothing else while they hold one, so this ends.
    pub(crate) fn wait() -> Self {
        Self(JOINED.wait(JOINED_LISTS_MAX))
    }
}

impl Drop for JoinedPermit {
    fn drop(&mut self) {
        JOINED.give_back(self.0);
    }
}
