//! Timers: a schedule runs at each of its times, counted once, on every machine; and in a sound world nothing that is due
//! stays undone.

use crate::client::{BEAT, MOUNT};
use crate::world::World;
use isx_cluster::twin::Twin;
use isx_cluster::{MountView, QueryCall, View};
use isx_raft::MOUNTS;
use isx_row::{Principal, Signature, Value};
use std::sync::Arc;
use std::time::Duration;

/// How long a healed world may take to do what is due: rows that were postponed, and two more beats.
const WITHIN: Duration = Duration::from_secs(20);

/// When the schedule began, as a version of the state says: its next time, less the times that were counted and one.
pub(crate) fn origin(view: &View) -> Option<i64> {
    let mount = view.mount(&MOUNT)?;
    let (_, next) = mount.schedules().find(|(hook, _)| *hook == "beat")?;
    Some(next.0 - (beats(&mount)? as i64 + 1) * BEAT.0)
}

/// Sees that the schedule has one origin, whoever is asked and whenever.
#[derive(Default)]
pub(crate) struct Origin(Option<i64>);

impl Origin {
    pub(crate) fn look(&mut self, world: &World) {
        for index in world.up() {
            let view = world.raft(index).and_then(|raft| raft.view(MOUNTS).ok());
            let Some(origin) = view.as_ref().and_then(origin) else { continue };
            let first = *self.0.get_or_insert(origin);
            if first != origin {
                let what = format_args!("node {}: the schedule began at {origin}, and at {first} before", index + 1);
                return world.findings.report("timers", what);
            }
        }
    }
}

/// Waits until everything that is due was done.
pub(crate) async fn wait(world: &Arc<World>) {
    let end = world.executor.now() + WITHIN;
    let state = |world: &World| -> Option<(u64, u64)> {
        let view = world.up().first().and_then(|index| world.raft(*index)).and_then(|raft| raft.view(MOUNTS).ok())?;
        let mount = view.mount(&MOUNT)?;
        let later = mount.database().table("later").and_then(|table| mount.database().row_count(table))?;
        Some((later, beats(&mount)?))
    };
    let mut first = None;
    loop {
        let now = state(world);
        if let Some((later, beats)) = now
            && later == 0
            && beats > *first.get_or_insert(beats) + 1
        {
            return;
        }
        if world.executor.now() >= end {
            let what = format_args!("{now:?} rows that are due and beats, at first {first:?} beats");
            return world.findings.report("timers", what);
        }
        world.sleep(Duration::from_millis(100)).await;
    }
}

fn beats(mount: &MountView<'_>) -> Option<u64> {
    let call = QueryCall {
        name: "total".into(),
        signature: Signature::ANY,
        principal: Principal([9; 32]),
        trusted: true,
        payload: Twin::arguments("total", &[Value::String("beat".into())]),
    };
    match Twin::answer("total", &mount.query(&Twin::default(), &call).ok()?) {
        Ok(Value::U64(beats)) => Some(beats),
        _ => None,
    }
}
