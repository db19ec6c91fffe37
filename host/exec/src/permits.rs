//! Permits to hold an instance: the pool has room for so many, and running out of it must never be an outcome.

use crate::limits::INSTANCES_MAX;
use crate::poison::lock;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// A permit, numbered below [`INSTANCES_MAX`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(pub(crate) usize);

struct Permits {
    free: Mutex<Vec<usize>>,
    returned: Condvar,
}

/// The permits of this process, as the pool is.
fn permits() -> &'static Permits {
    static PERMITS: OnceLock<Permits> = OnceLock::new();
    PERMITS.get_or_init(|| Permits {
        free: Mutex::new((0..INSTANCES_MAX as usize).rev().collect()),
        returned: Condvar::new(),
    })
}

impl Permit {
    /// Waits for a permit. Holders wait for nothing while they hold one, so this ends.
    pub(crate) fn wait() -> Self {
        let permits = permits();
        let mut free = lock(&permits.free);
        loop {
            if let Some(number) = free.pop() {
                return Self(number);
            }
            free = permits.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let permits = permits();
        lock(&permits.free).push(self.0);
        permits.returned.notify_one();
    }
}
