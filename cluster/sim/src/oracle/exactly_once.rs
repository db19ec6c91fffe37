//! A counter is the sum of what was added to it, each call once, however often it was sent.

use crate::findings::Findings;
use crate::history::{Action, Operation};
use std::collections::BTreeMap;

/// Compares the counters at the end with the calls: all that were answered, and any of those that were not.
pub fn check(history: &[Operation], totals: &BTreeMap<u64, u64>, findings: &Findings) {
    for (key, total) in totals {
        let of_key = || history.iter().filter(|operation| operation.key == *key);
        let sum = |heard: bool| -> u64 {
            let added = of_key().filter(|operation| operation.end.is_some() == heard);
            let amount = |action| if let Action::Add(n, _) | Action::Postpone(n) = action { n } else { 0 };
            added.map(|operation| amount(operation.action)).sum()
        };
        let (answered, unanswered) = (sum(true), sum(false));
        if *total < answered || *total > answered + unanswered {
            let what = format!("counter {key} is {total}; answered {answered}, perhaps {unanswered} more");
            findings.report("exactly once", format_args!("{what}"));
        }
    }
}
