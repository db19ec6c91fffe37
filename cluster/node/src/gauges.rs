//! What a node counts beside its accounts.

use isx_iface::Answer;
use isx_row::{Class, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Why a call got no answer, beside refusals, which are answers.
const CLASSES: [Class; 4] = [Class::Broken, Class::Busy, Class::Unknown, Class::Fatal];

/// The counters of a node.
#[derive(Default)]
pub(crate) struct Gauges {
    followers: AtomicUsize,
    unanswered: [AtomicU64; CLASSES.len()],
}

/// A table or an anchor that somebody follows, counted until it is dropped.
pub(crate) struct Follower(Arc<Gauges>);

impl Gauges {
    pub(crate) fn follower(self: &Arc<Self>) -> Follower {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Follower(self.clone())
    }

    /// Notes how a call ended.
    pub(crate) fn note(&self, answered: &Result<Answer, Error>) {
        let Err(error) = answered else { return };
        let class = CLASSES.iter().position(|class| *class == error.class());
        if let Some(counter) = class.and_then(|class| self.unanswered.get(class)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(feature = "real")]
impl Gauges {
    pub(crate) fn followers_count(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    /// Calls without an answer, by why.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = (Class, u64)> {
        CLASSES.into_iter().zip(self.unanswered.iter().map(|counter| counter.load(Ordering::Relaxed)))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
