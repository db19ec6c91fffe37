//! `isx limits`: every bound, read from where it is declared, so that none can be missing.

use crate::show::Show;
use anyhow::Result;
use isx_iface::host::Budget;
use isx_iface::{Host, HostStub};
use serde_json::{Value as Json, json};

/// The declarations, by crate.
const DECLARATIONS: &[(&str, &str)] = &[
    ("sdk/row", include_str!("../../sdk/row/src/limits.rs")),
    ("sdk/iface", include_str!("../../sdk/iface/src/limits.rs")),
    ("sdk/guest", include_str!("../../sdk/guest/src/limits.rs")),
    ("sdk/testing", include_str!("../../sdk/testing/src/limits.rs")),
    ("sdk/client", include_str!("../../sdk/client/src/limits.rs")),
    ("anchors", include_str!("../../anchors/src/limits.rs")),
    ("host/store", include_str!("../../host/store/src/limits.rs")),
    ("host/exec", include_str!("../../host/exec/src/limits.rs")),
    ("host/rom", include_str!("../../host/rom/src/limits.rs")),
    ("cluster/core", include_str!("../../cluster/core/src/limits.rs")),
    ("cluster/wal", include_str!("../../cluster/wal/src/limits.rs")),
    ("cluster/raft", include_str!("../../cluster/raft/src/limits.rs")),
    ("cluster/vat", include_str!("../../cluster/vat/src/limits.rs")),
    ("cluster/net", include_str!("../../cluster/net/src/limits.rs")),
    ("cluster/gateway", include_str!("../../cluster/gateway/src/limits.rs")),
    ("cluster/node", include_str!("../../cluster/node/src/limits.rs")),
];

struct Limit {
    part: &'static str,
    name: String,
    value: String,
    reason: String,
}

fn limits() -> Vec<Limit> {
    let mut found = Vec::new();
    for (part, text) in DECLARATIONS {
        let mut reason = Vec::new();
        for line in text.lines() {
            if let Some(sentence) = line.strip_prefix("///") {
                reason.push(sentence.trim());
                continue;
            }
            if let Some((name, value)) = line.strip_prefix("pub const ").and_then(|line| line.split_once(':')) {
                let value = value.split_once('=').map_or(value, |(_, value)| value).trim().trim_end_matches(';');
                found.push(Limit { part, name: name.into(), value: value.into(), reason: reason.join(" ") });
            }
            reason.clear();
        }
    }
    found
}

/// Prints every bound with its value and reason.
pub fn show(show: Show) -> Result<()> {
    let records: Vec<_> = limits()
        .into_iter()
        .map(|limit| json!({ "part": limit.part, "limit": limit.name, "value": limit.value, "reason": limit.reason }))
        .collect();
    Ok(show.table(&["part", "limit", "value", "reason"], &records)?)
}

/// `isx limits --node`: what the node may take of its machine, and takes.
pub async fn of_node(host: &HostStub, show: Show) -> Result<()> {
    Ok(show.table(&["resource", "used", "max", "flag"], &budgets(&host.status().await?.budgets, show))?)
}

/// Budgets, for programs as numbers, for people with units.
pub fn budgets(budgets: &[Budget], show: Show) -> Vec<Json> {
    let told = |resource: &str, number: Option<u64>| match (number, resource) {
        (Some(number), _) if show.json => Json::String(number.to_string()),
        (Some(milli), "cpu") => Json::String(format!("{}%", milli / 10)),
        (Some(bytes), _) => Json::String(format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))),
        (None, _) => Json::Null,
    };
    let record = |budget: &Budget| {
        let Budget { resource, used, max } = budget;
        let (used, max) = (told(resource, *used), told(resource, *max));
        json!({ "resource": resource, "used": used, "max": max, "flag": format!("--{resource}-max") })
    };
    budgets.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_has_a_value_and_a_reason() {
        let found = limits();
        for (part, text) in DECLARATIONS {
            let declared = text.matches("\npub const ").count();
            assert_eq!(found.iter().filter(|limit| limit.part == *part).count(), declared, "{part}");
        }
        for limit in found {
            assert!(!limit.value.is_empty() && !limit.reason.is_empty(), "{} of {}", limit.name, limit.part);
        }
    }
}
