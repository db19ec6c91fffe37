//! What consensus measures of its own work. Not replicated: each node has its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of times, in microseconds.
const TIMES_US: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];
/// Upper bounds of numbers of requests.
const COUNTS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/// What was observed, by size. Observing is adding to two counters.
pub(crate) struct Histogram {
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Upper bounds, growing.
    pub bounds: &'static [u64],
    /// For each bound how many are within it and beyond the one before; one more for what is beyond the last.
    pub counts: Vec<u64>,
    /// The sum of all.
    pub sum: u64,
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Of times.
    pub(crate) fn of_times() -> Self {
        Self::new(TIMES_US)
    }

    pub(crate) fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn read(&self) -> Observed {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Observed { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// What a group measures.
pub(crate) struct GroupMeasures {
    /// Times of applying, a job each.
    pub(crate) applies: Histogram,
    /// Requests, by entry proposed here.
    pub(crate) requests: Histogram,
    /// Times of making snapshots.
    pub(crate) snapshots: Histogram,
}

impl Default for GroupMeasures {
    fn default() -> Self {
        let times = Histogram::of_times;
        Self { applies: times(), requests: Histogram::new(COUNTS), snapshots: times() }
    }
}

/// What a node's log and one of its groups have done since the start. Times are in microseconds.
#[derive(Clone, Debug)]
pub struct GroupFigures {
    /// How long it took to apply what was committed, for each time that something was.
    pub applies: Observed,
    /// How many requests the entries had that were proposed here.
    pub requests: Observed,
    /// How long it took to make each snapshot.
    pub snapshots: Observed,
    /// Requests that wait to be proposed.
    pub waiting_count: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
}

/// How the log of a node does.
#[derive(Clone, Debug)]
pub struct LogFigures {
    /// How long it took to write and sync, for each time that something was.
    pub writes: Observed,
    /// How long the write that is under way has taken; zero while there is none.
    pub under_way: Duration,
    /// Whether it waits for room on the disk.
    pub is_full: bool,
    /// Why it failed, if it has.
    pub failure: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_observed_is_within_its_bound() {
        let histogram = Histogram::new(&[10, 20]);
        [0, 10, 11, 20, 21, 1000].into_iter().for_each(|value| histogram.observe(value));
        assert_eq!(histogram.read(), Observed { bounds: &[10, 20], counts: vec![2, 2, 2], sum: 1062 });
    }
}
