//! Keeps calls in flight and times them.

use crate::Outcome;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::time::{Duration, Instant};

/// What became of calls that were kept in flight.
pub struct Flight {
    /// From call to answer, in microseconds.
    pub micros: Vec<f64>,
    elapsed: Duration,
}

impl Flight {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Keeps `in_flight` calls in flight for `during`, then waits for the last of them.
pub async fn fly<F: Future<Output = Outcome<()>>>(
    in_flight: usize,
    during: Duration,
    mut call: impl FnMut() -> F,
) -> Outcome<Flight> {
    let begun = Instant::now();
    let mut timed = || {
        let (asked, call) = (Instant::now(), call());
        async move { call.await.map(|()| crate::figure::micros(asked.elapsed())) }
    };
    let mut calls: FuturesUnordered<_> = (0..in_flight).map(|_| timed()).collect();
    let mut micros = Vec::new();
    while let Some(answered) = calls.next().await {
        micros.push(answered?);
        if begun.elapsed() < during {
            calls.push(timed());
        }
    }
    Ok(Flight { micros, elapsed: begun.elapsed() })
}
