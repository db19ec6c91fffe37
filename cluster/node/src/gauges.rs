//! What a node counts beside its accounts.

use crate::limits::{LIVE_BYTES_MAX, LIVE_VIEWS_MAX};
use isx_iface::Answer;
use isx_row::{Class, Code, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Why a call got no answer, beside refusals, which are answers.
const CLASSES: [Class; 4] = [Class::Broken, Class::Busy, Class::Unknown, Class::Fatal];

/// When who found a bound of views may ask again.
const RETRY_AFTER_MS: u32 = 500;

/// The counters of a node.
#[derive(Default)]
pub(crate) struct Gauges {
    followers: AtomicUsize,
    live_views: AtomicUsize,
    live_bytes: AtomicUsize,
    unanswered: [AtomicU64; CLASSES.len()],
}

/// A table or an anchor that somebody follows, counted until it is dropped.
pub(crate) struct Follower(Arc<Gauges>);

/// A view that somebody follows, counted until it is dropped.
pub(crate) struct LiveView(Arc<Gauges>);

/// Bytes of rows that somebody has of a view, counted until it is dropped.
pub(crate) struct LiveBytes(Arc<Gauges>, usize);

impl Gauges {
    /// # Errors
    /// `busy` at the bound.
    pub(crate) fn live_view(self: &Arc<Self>) -> Result<LiveView, Error> {
        let counted = LiveView(self.clone());
        match self.live_views.fetch_add(1, Ordering::Relaxed) < LIVE_VIEWS_MAX {
            true => Ok(counted),
            false => Err(full(format!("over LIVE_VIEWS_MAX = {LIVE_VIEWS_MAX}: too many follow views of this node"))),
        }
    }

    /// # Errors
    /// `busy` at the bound.
    pub(crate) fn live_bytes(self: &Arc<Self>, bytes: usize) -> Result<LiveBytes, Error> {
        let counted = LiveBytes(self.clone(), bytes);
        match self.live_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= LIVE_BYTES_MAX {
            true => Ok(counted),
            false => Err(full(format!(
                "over LIVE_BYTES_MAX = {LIVE_BYTES_MAX}: those who follow views and volatile tables have too many rows"
            ))),
        }
    }

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

fn full(text: String) -> Error {
    Error { retry_after_ms: Some(RETRY_AFTER_MS), ..Error::new(Code::Busy, text) }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.0.live_views.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for LiveBytes {
    fn drop(&mut self) {
        self.0.live_bytes.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
