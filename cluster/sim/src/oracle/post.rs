//! What a leader carries on with: in a sound world nothing stays on its way, what was given was taken once and what was lent
//! borrowed with it, every call that was sent was answered once, and rows moved to a new module all or not at all.

use crate::client::{GIVER, TAKER};
use crate::world::World;
use isx_cluster::twin::Twin;
use isx_cluster::{MountView, QueryCall, View};
use isx_raft::MOUNTS;
use isx_row::{MountId, Principal, Signature, Value};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long a healed world may take to deliver what waits.
const WITHIN: Duration = Duration::from_secs(20);

/// Waits until everything that was sent is settled, and adds it up.
pub(crate) async fn check(world: &Arc<World>) {
    let end = world.executor.now() + WITHIN;
    let view = loop {
        let view = world.up().first().and_then(|index| world.raft(*index)).and_then(|raft| raft.view(MOUNTS).ok());
        match view {
            Some(view) if !view.has_outgoing() => break view,
            _ if world.executor.now() >= end => {
                let left = view.map(|view| view.outgoing(8, 0).len());
                return world.findings.report("post", format_args!("{left:?} mounts wait for messages"));
            }
            _ => world.sleep(Duration::from_millis(100)).await,
        }
    };
    let (given, taken) = (total(&view, GIVER, "given"), total(&view, TAKER, "given"));
    if given.wrapping_add(taken) != 0 {
        world.findings.report("post", format_args!("{} was given, {taken} was taken", given.wrapping_neg()));
    }
    let (lent, borrowed) = (total(&view, GIVER, "lent"), total(&view, TAKER, "lent"));
    if lent.wrapping_add(borrowed) != 0 || total(&view, GIVER, "never") != 0 || total(&view, TAKER, "never") != 0 {
        let lent = lent.wrapping_neg();
        world.findings.report("post", format_args!("{lent} was lent and {borrowed} borrowed, in one transaction each"));
    }
    let answered = total(&view, GIVER, "answered");
    // The first message says what the giver listens to.
    let sent = sent(&view, GIVER, TAKER).saturating_sub(1);
    if (answered, total(&view, GIVER, "refused")) != (sent, 0) {
        world.findings.report("post", format_args!("{sent} calls were sent, {answered} were answered"));
    }
    let heard = total(&view, GIVER, "heard").wrapping_add(total(&view, GIVER, "changed"));
    let told = self::sent(&view, TAKER, GIVER);
    if heard != told {
        world.findings.report("post", format_args!("of {told} changes {heard} were heard"));
    }
    let moved = total(&view, TAKER, "moved");
    let of_mount = |mount: &MountView<'_>| (mount.module().code == Twin::migrating(3).code, rows(mount, "kv"));
    let (upgraded, rows) = view.mount(&TAKER).as_ref().map(of_mount).unwrap_or_default();
    let all = if upgraded { 1..=rows } else { 0..=0 };
    if !all.contains(&moved) || view.migration(&TAKER).is_some() {
        let migration = view.migration(&TAKER);
        world.findings.report("migration", format_args!("{moved} of {rows} rows moved, {migration:?}"));
    }
    // What was put is there, wherever it had to move.
    let told = world.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(lost) = told.into_iter().find(|key| get(&view, TAKER, key).is_none()) {
        world.findings.report("migration", format_args!("{lost} was put and is not there"));
    }
}

fn rows(mount: &MountView<'_>, table: &str) -> u64 {
    let database = mount.database();
    database.table(table).and_then(|table| database.row_count(table)).unwrap_or(0)
}

fn sent(view: &View, from: MountId, to: MountId) -> u64 {
    view.mount(&from).map_or(0, |mount| mount.database().sent(&to))
}

fn total(view: &View, mount: MountId, key: &str) -> u64 {
    match ask(view, mount, "total", key) {
        Some(Value::U64(total)) => total,
        _ => 0,
    }
}

fn get(view: &View, mount: MountId, key: &str) -> Option<Value> {
    match ask(view, mount, "get", key) {
        Some(Value::Option(value)) => value.map(|value| *value),
        _ => None,
    }
}

fn ask(view: &View, mount: MountId, query: &str, key: &str) -> Option<Value> {
    let call = QueryCall {
        name: query.into(),
        signature: Signature::ANY,
        principal: Principal([9; 32]),
        trusted: true,
        payload: Twin::arguments(query, &[Value::String(key.into())]),
    };
    let answer = view.mount(&mount)?.query(&Twin::default(), &call).ok()?;
    Twin::answer(query, &answer).ok()
}
