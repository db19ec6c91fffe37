//! Proposes what time alone makes due, so that an idle group stays silent: what is forgotten for its age, at which a
//! leader looks now and then; and schedules and rows, when they are due.

use crate::batch::Queue;
use crate::limits::{FIRE_EVERY, FIRES_MAX, TICK_EVERY, TICK_WITHIN};
use crate::replica::Shared;
use futures::future::{join_all, select};
use isx_cluster::Request;
use isx_port::Clock;
use isx_row::Time;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Proposes [`Request::Tick`] until the group is gone. Holds nothing of it meanwhile.
pub(crate) async fn run(queue: Weak<Queue>, shared: Weak<Shared>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now().after(TICK_EVERY)).await;
        let (Some(queue), Some(shared)) = (queue.upgrade(), shared.upgrade()) else { return };
        if shared.is_stopping() {
            return;
        }
        let mut due = shared.leads() && shared.is_due(Some(Time(clock.wall().unix_us)));
        while due {
            let ticked = queue.propose(Request::Tick, clock.now().after(TICK_WITHIN)).await;
            // A tick does a bounded part; the next follows at once if more is due by log time. By the wall clock it may be
            // due for long, where that was set ahead and log time follows slowly.
            due = ticked.is_ok() && shared.is_due(None);
        }
    }
}

/// Proposes [`Request::Fire`] until the group is gone. Holds nothing of it while it waits.
pub(crate) async fn fire(queue: Weak<Queue>, shared: Weak<Shared>, clock: Arc<dyn Clock>) {
    let Some(sooner) = shared.upgrade().map(|shared| shared.sooner.clone()) else { return };
    loop {
        let wait = {
            let (Some(queue), Some(shared)) = (queue.upgrade(), shared.upgrade()) else { return };
            if shared.is_stopping() {
                return;
            }
            until_next(&shared, &*clock, fire_due(&queue, &shared, &*clock).await)
        };
        match wait {
            Some(wait) => drop(select(pin!(sooner.notified()), clock.sleep_until(clock.now().after(wait))).await),
            None => sooner.notified().await,
        }
    }
}

/// Proposes what is due, together; whether this node may, and all were taken.
async fn fire_due(queue: &Queue, shared: &Shared, clock: &dyn Clock) -> bool {
    if !shared.leads() {
        return false;
    }
    let mounts = shared.due(Time(clock.wall().unix_us), FIRES_MAX);
    let deadline = clock.now().after(TICK_WITHIN);
    let fires = mounts.into_iter().map(|mount| queue.propose(Request::Fire { mount }, deadline));
    let refused = join_all(fires).await.into_iter().find_map(Result::err);
    refused.inspect(|error| tracing::debug!(%error, "a timer was not fired")).is_none()
}

/// How long to wait for the next; nothing while there is none.
fn until_next(shared: &Shared, clock: &dyn Clock, fired: bool) -> Option<Duration> {
    let (next, log_time) = shared.next_timer()?;
    let now = Time(clock.wall().unix_us);
    // One that is due by the wall clock alone waits for log time, which follows slowly.
    if !fired || next <= now && next > log_time {
        return Some(FIRE_EVERY);
    }
    Some(Duration::from_micros(next.0.saturating_sub(now.0.max(log_time.0)).max(0).unsigned_abs()))
}
