//! What happened, so that two runs of one seed can be compared: a hash of everything, and the last lines to read.

use crate::executor::Life;
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lines kept for reading; older ones are in the hash only.
pub const TRACE_LINES_MAX: usize = 4096;

/// A trace, shared by all parts of a simulation. Cheap to clone.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    hash: u64,
    steps: u64,
    lines: VecDeque<String>,
}

impl Inner {
    /// FNV-1a, eight bytes at a time: this runs for every step.
    fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
}

impl Trace {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A task is polled.
    pub(crate) fn task(&self, now: Duration, life: Life, name: &'static str, id: u64) {
        let mut inner = self.inner();
        inner.steps += 1;
        for value in [now.as_nanos() as u64, life.0, id, name.len() as u64] {
            inner.mix(value);
        }
    }

    /// Something timed happens.
    pub(crate) fn event(&self, now: Duration, life: Life, id: u64) {
        let mut inner = self.inner();
        inner.steps += 1;
        for value in [now.as_nanos() as u64, life.0, id, u64::MAX] {
            inner.mix(value);
        }
    }

    /// Something worth reading.
    pub fn say(&self, now: Duration, what: std::fmt::Arguments<'_>) {
        let mut line = String::new();
        let _ = write!(line, "{:>12.6} {what}", now.as_secs_f64());
        let mut inner = self.inner();
        line.bytes().for_each(|byte| inner.mix(byte.into()));
        if inner.lines.len() == TRACE_LINES_MAX {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line);
    }

    /// Bytes that must be the same in two runs of a seed, such as a disk's.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut inner = self.inner();
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            inner.mix(u64::from_le_bytes(word) ^ (chunk.len() as u64) << 56);
        }
    }

    /// The hash of all that happened.
    pub fn hash(&self) -> u64 {
        self.inner().hash
    }

    /// How many tasks were polled and events happened.
    pub fn steps(&self) -> u64 {
        self.inner().steps
    }

    /// The last lines.
    pub fn lines(&self) -> Vec<String> {
        self.inner().lines.iter().cloned().collect()
    }
}
