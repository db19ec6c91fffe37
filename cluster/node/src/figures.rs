//! What a node counts and measures, as its gateway tells it.
//!
//! Names begin with `isx_`, values are in base units; the gateway puts unit and `_total` behind.

use crate::budget::Resource;
use crate::limits::MEASURED_FOR;
use crate::real::Meter;
use crate::shared::Shared;
use isx_gateway::{Distribution, Family, Labels, Unit, Values};
use isx_iface::usage::Usage;
use isx_raft::{GroupStatus, MOUNTS, Observed, Role, TREE};
use isx_row::MountId;
use std::fmt::Display;

/// Microseconds of a second.
const SECOND_US: f64 = 1e6;

/// All figures; of a node that does not serve yet those of its process.
pub(crate) fn figures(shared: Option<&Shared>, meter: &Meter) -> Vec<Family> {
    let mut all = process(meter);
    if let Some(shared) = shared {
        all.extend(node(shared));
        all.extend(budgets(shared));
        all.extend(log(shared));
        all.extend(groups(shared));
        all.extend(mounts(shared));
        all.extend(calls(shared));
    }
    all
}

fn process(meter: &Meter) -> Vec<Family> {
    let measured = meter.read(MEASURED_FOR);
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_string())];
    let space = measured.space;
    let parts = [
        ("log", space.log_bytes),
        ("history", space.history_bytes),
        ("blobs", space.blob_bytes),
        ("rest", space.rest_bytes),
    ];
    vec![
        Family::new("isx_build_info", "The build that runs.", Values::Gauges(vec![(version, 1.0)])),
        Family::new("isx_memory_resident", "Memory of the process.", Values::now(measured.memory_bytes as f64))
            .with(Unit::Bytes),
        Family::new(
            "isx_cpu",
            "Processor time of the process.",
            Values::Counters(vec![(Labels::new(), measured.cpu.as_secs_f64())]),
        )
        .with(Unit::Seconds),
        Family::new("isx_disk", "What the state folder takes, by part.", by("part", parts)).with(Unit::Bytes),
    ]
}

fn node(shared: &Shared) -> Vec<Family> {
    let uptime = shared.ports.clock.now().since(shared.started);
    let unanswered =
        shared.gauges.unanswered().map(|(class, count)| (vec![("class", class.word().into())], count as f64));
    vec![
        Family::new("isx_uptime", "How long the node has served.", Values::now(uptime.as_secs_f64()))
            .with(Unit::Seconds),
        Family::new("isx_connections", "Logins that are alive.", Values::now(*shared.callers.borrow() as f64)),
        Family::new(
            "isx_subscriptions",
            "Tables and anchors that are followed.",
            Values::now(shared.gauges.followers_count() as f64),
        ),
        Family::new(
            "isx_module_log_lines_dropped",
            "Lines of modules that were dropped for newer ones.",
            Values::count(shared.logs.dropped_count()),
        ),
        Family::new(
            "isx_calls_unanswered",
            "Calls of mounts that got no outcome, by the class of their error.",
            Values::Counters(unanswered.collect()),
        ),
    ]
}

fn budgets(shared: &Shared) -> Vec<Family> {
    let accounts = shared.governor.accounts(&shared.raft);
    let label = |resource: Resource| vec![("resource", resource.word().to_string())];
    let refused = accounts.iter().map(|account| (label(account.resource), account.refused_count as f64));
    let waited = accounts.iter().filter(|account| account.resource == Resource::Cpu);
    let waited = waited.map(|account| (Labels::new(), account.waited.as_secs_f64()));
    let mut all = vec![
        Family::new("isx_budget_refused", "Calls that a budget refused.", Values::Counters(refused.collect())),
        Family::new(
            "isx_budget_waited",
            "Time that calls waited for processor time, all together.",
            Values::Counters(waited.collect()),
        )
        .with(Unit::Seconds),
    ];
    for account in accounts {
        let max = account.max.map(|max| max as f64);
        let family = match account.resource {
            Resource::Cpu => max.map(|max| {
                Family::new("isx_budget_processors", "Processors that the node may use.", Values::now(max / 1000.0))
            }),
            Resource::Memory => {
                let used = account.used.unwrap_or(0) as f64;
                all.push(Family::new("isx_state", "State of mounts and tree.", Values::now(used)).with(Unit::Bytes));
                let text = "State that the node may hold.";
                max.map(|max| Family::new("isx_budget_state", text, Values::now(max)).with(Unit::Bytes))
            }
            Resource::Disk => {
                let text = "Disk that the state folder may take.";
                max.map(|max| Family::new("isx_budget_disk", text, Values::now(max)).with(Unit::Bytes))
            }
        };
        all.extend(family);
    }
    all
}

fn log(shared: &Shared) -> Vec<Family> {
    let log = shared.raft.log_figures();
    vec![
        Family::new("isx_log_write", "Writes of the log, each with its sync.", Values::observed(times(&log.writes)))
            .with(Unit::Seconds),
        Family::new(
            "isx_log_write_under_way",
            "How long the write under way has taken.",
            Values::now(log.under_way.as_secs_f64()),
        )
        .with(Unit::Seconds),
        Family::new("isx_log_full", "Whether the log waits for room on the disk.", Values::now(flag(log.is_full))),
    ]
}

fn groups(shared: &Shared) -> Vec<Family> {
    let label = |group: isx_raft::Group| vec![("group", group.0.to_string())];
    let status = shared.raft.status();
    let gauge = |value: &dyn Fn(&GroupStatus) -> f64| {
        Values::Gauges(status.iter().map(|(group, status)| (label(*group), value(status))).collect())
    };
    let figures = shared.raft.group_figures();
    let observed = |of: &dyn Fn(&isx_raft::GroupFigures) -> Distribution| {
        Values::Distributions(figures.iter().map(|(group, figures)| (label(*group), of(figures))).collect())
    };
    let waiting = figures.iter().map(|(group, figures)| (label(*group), figures.waiting_count as f64));
    vec![
        Family::new(
            "isx_group_leads",
            "Whether this node leads the group.",
            gauge(&|one| flag(one.role == Role::Leader)),
        ),
        Family::new(
            "isx_group_held",
            "Whether the group is held and serves nothing.",
            gauge(&|one| flag(one.hold.is_some())),
        ),
        Family::new(
            "isx_group_committed_entries",
            "Entries committed.",
            gauge(&|one| one.committed.unwrap_or(0) as f64),
        ),
        Family::new(
            "isx_group_applied_entries",
            "Entries applied here.",
            gauge(&|one| one.applied.unwrap_or(0) as f64),
        ),
        Family::new("isx_requests_waiting", "Requests that wait to be proposed.", Values::Gauges(waiting.collect())),
        Family::new(
            "isx_entry_requests",
            "Requests of each entry proposed here.",
            observed(&|one| counts(&one.requests)),
        ),
        Family::new("isx_apply", "Applying what was committed.", observed(&|one| times(&one.applies)))
            .with(Unit::Seconds),
        Family::new("isx_snapshot", "Snapshots that were made.", observed(&|one| times(&one.snapshots)))
            .with(Unit::Seconds),
    ]
}

fn mounts(shared: &Shared) -> Vec<Family> {
    let Ok(view) = shared.raft.view(MOUNTS) else { return Vec::new() };
    let named = named(shared);
    let gauge = |value: &dyn Fn(&isx_cluster::MountView<'_>) -> f64| {
        Values::Gauges(view.mounts().map(|mount| (vec![("mount", named(&mount.id()))], value(&mount))).collect())
    };
    let kept = shared.values.usage();
    let values = |value: &dyn Fn(u64, u64) -> f64| {
        let gauge = |(mount, rows, bytes): &(MountId, u64, u64)| (vec![("mount", named(mount))], value(*rows, *bytes));
        Values::Gauges(kept.iter().map(gauge).collect())
    };
    vec![
        Family::new("isx_mounts", "Mounts that this node has replicas of.", Values::now(view.mounts().count() as f64)),
        Family::new("isx_mount_rows", "Rows of a mount.", gauge(&|mount| mount.database().usage().rows as f64)),
        Family::new("isx_mount_table", "State of a mount.", gauge(&|mount| mount.database().usage().bytes as f64))
            .with(Unit::Bytes),
        Family::new(
            "isx_mount_sessions",
            "Sessions that a mount's module knows as connected.",
            gauge(&|mount| mount.connected().count() as f64),
        ),
        Family::new("isx_mount_values", "Rows of a mount's volatile tables.", values(&|rows, _| rows as f64)),
        Family::new("isx_mount_volatile", "Memory of a mount's volatile tables.", values(&|_, bytes| bytes as f64))
            .with(Unit::Bytes),
    ]
}

fn calls(shared: &Shared) -> Vec<Family> {
    let accounts = &shared.metered.accounts;
    let named = named(shared);
    let mut all: Vec<(String, Usage)> =
        accounts.mounts().into_iter().map(|(mount, usage)| (named(&mount), usage)).collect();
    all.extend(accounts.rest().map(|usage| ("other".into(), usage)));
    let counter = |value: &dyn Fn(&Usage) -> f64| {
        Values::Counters(all.iter().map(|(mount, usage)| (vec![("mount", mount.clone())], value(usage))).collect())
    };
    let mut outcomes = Vec::new();
    for (mount, usage) in &all {
        let counts = [
            ("answered", usage.answered()),
            ("application", usage.application),
            ("trapped", usage.trapped),
            ("refused", usage.refused),
            ("busy", usage.busy),
            ("failed", usage.failed),
        ];
        let labels = |outcome: &str| vec![("mount", mount.clone()), ("outcome", outcome.to_string())];
        outcomes.extend(counts.map(|(outcome, count)| (labels(outcome), count as f64)));
    }
    vec![
        Family::new("isx_calls", "Calls that were run, by how they ended.", Values::Counters(outcomes)),
        Family::new("isx_call", "Time that calls took.", counter(&|usage| usage.wall.0 as f64 / SECOND_US))
            .with(Unit::Seconds),
        Family::new("isx_call_fuel", "Fuel that calls used.", counter(&|usage| usage.fuel as f64)),
        Family::new(
            "isx_call_host_calls",
            "Host functions that calls called.",
            counter(&|usage| usage.host_calls as f64),
        ),
        Family::new("isx_call_in", "Arguments of calls.", counter(&|usage| usage.in_bytes as f64)).with(Unit::Bytes),
        Family::new("isx_call_out", "Answers of calls.", counter(&|usage| usage.out_bytes as f64)).with(Unit::Bytes),
        Family::new("isx_call_rows_changed", "Rows that calls changed.", counter(&|usage| usage.rows_changed as f64)),
    ]
}

/// What a mount is called: its path, or its id where it has none.
fn named(shared: &Shared) -> impl Fn(&MountId) -> String {
    let view = shared.raft.view(TREE).ok();
    move |mount| {
        let tree = view.as_ref().and_then(|view| view.tree());
        let path = tree.and_then(|tree| tree.path(tree.mount(mount)?.0));
        path.map_or_else(|| mount.to_string(), |path| path.to_string())
    }
}

fn by<T: Display, const N: usize>(label: &'static str, values: [(T, u64); N]) -> Values {
    Values::Gauges(values.into_iter().map(|(name, value)| (vec![(label, name.to_string())], value as f64)).collect())
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Observed microseconds in seconds.
fn times(observed: &Observed) -> Distribution {
    scaled(observed, SECOND_US)
}

fn counts(observed: &Observed) -> Distribution {
    scaled(observed, 1.0)
}

fn scaled(observed: &Observed, unit: f64) -> Distribution {
    let bounds = observed.bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
    Distribution { sum: observed.sum as f64 / unit, buckets: bounds.zip(observed.counts.iter().copied()).collect() }
}
