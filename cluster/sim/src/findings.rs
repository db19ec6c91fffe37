//! What oracles found wrong.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Findings kept; further ones say the same.
pub const FINDINGS_MAX: usize = 32;

/// An error with its causes.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The findings of a run. Cheap to clone.
#[derive(Clone, Default)]
pub struct Findings(Arc<Mutex<Vec<String>>>);

impl Findings {
    /// Notes what an oracle found.
    pub fn report(&self, oracle: &str, what: fmt::Arguments<'_>) {
        let mut findings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let finding = format!("{oracle}: {what}");
        if findings.len() < FINDINGS_MAX && !findings.contains(&finding) {
            findings.push(finding);
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
