//! The instance law: one instance serves the calls of a list, and no outcome depends on that.
//!
//! Why this is sound is argued in `decisions/001-outcomes-do-not-depend-on-batches.md`.

use crate::code::Code;
use crate::host::Tables;
use crate::instance::{Attempt, Ended, Instance, Work};
use std::sync::Arc;

/// Calls run one after another on the same tables.
pub(crate) struct Series {
    code: Arc<Code>,
    pub(crate) tables: Tables,
    /// Kept while its calls return Ok.
    instance: Option<Instance>,
}

impl Series {
    pub(crate) fn new(code: Arc<Code>, tables: Tables) -> Self {
        Self { code, tables, instance: None }
    }

    /// Runs a call. Whatever did not end with an answer is rolled back; an answer is for the caller to commit.
    pub(crate) fn run(&mut self, work: &Work<'_>) -> Attempt {
        if let Some(mut used) = self.instance.take() {
            // What earlier calls left in memory can have saved this one no more fuel than they spent. So an instance's
            // calls share one call's fuel: what is answered within it would be answered in a fresh instance too. Strictly
            // within: fuel is looked at where code branches, so a call that used all of it ends or not by where that was.
            let left = work.fuel_max.saturating_sub(used.spent);
            if left > 0 {
                let attempt = self.attempt(&mut used, work, left);
                match &attempt.outcome {
                    Ok(_) if attempt.fuel < left => {
                        used.spent = used.spent.saturating_add(attempt.fuel);
                        self.instance = Some(used);
                        return attempt;
                    }
                    Err(Ended::Refused(..)) if attempt.fuel < left => return attempt,
                    _ => self.tables.rollback(),
                }
            }
        }
        self.run_fresh(work)
    }

    /// Runs a call in an instance that has served none before it.
    pub(crate) fn run_fresh(&mut self, work: &Work<'_>) -> Attempt {
        self.instance = None;
        let mut fresh = match Instance::start(&self.code) {
            Ok(instance) => instance,
            Err(error) => {
                let (log, reads) = Default::default();
                return Attempt { outcome: Err(Ended::Broken(error)), fuel: 0, host_calls: 0, log, reads };
            }
        };
        let attempt = self.attempt(&mut fresh, work, work.fuel_max);
        // One that used all its fuel may have used more than is known: nobody can reckon with it.
        if attempt.outcome.is_ok() && attempt.fuel < work.fuel_max {
            fresh.spent = attempt.fuel;
            self.instance = Some(fresh);
        }
        attempt
    }

    fn attempt(&mut self, instance: &mut Instance, work: &Work<'_>, fuel_max: u64) -> Attempt {
        self.tables.bundle.begin(work.context.mount);
        let attempt = instance.run(&mut self.tables, work, fuel_max);
        if attempt.outcome.is_err() {
            self.tables.rollback();
        }
        attempt
    }
}
