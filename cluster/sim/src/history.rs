//! What clients asked and heard, with the times of both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What was asked of a key, and what came back where the answer says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sets the register.
    Put(u64),
    /// Reads the register.
    Get(Option<u64>),
    /// Sets the register if it has the expected value; whether it had, if it was heard.
    Swap(Option<u64>, u64, Option<bool>),
    /// Adds to the counter; the total after it, if it was heard.
    Add(u64, Option<u64>),
    /// Takes from the counter, if it has as much; if it was heard, what is left, or that there was less.
    Take(u64, Option<Option<u64>>),
    /// Reads the counter.
    Total(u64),
    /// Adds to the sum later, whatever the answer says.
    Postpone(u64),
}

/// One operation. Without an end it may have happened at any time after its begin, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The key; registers and counters share no key.
    pub key: u64,
    /// Who asked.
    pub client: u64,
    /// What.
    pub action: Action,
    /// When it was asked.
    pub begin: Duration,
    /// When the answer came.
    pub end: Option<Duration>,
}

/// The operations of a run. Cheap to clone.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Vec<Operation>>>);

impl History {
    /// Notes an operation when it is over or given up.
    pub fn note(&self, operation: Operation) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// All operations.
    pub fn all(&self) -> Vec<Operation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
