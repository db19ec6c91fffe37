//! Proposes what time alone makes due, so that an idle group stays silent: what is forgotten for its age, at which a
//! leader looks now and then; and schedules and rows, when they are due.

use crate::batch::Queue;
use crate::limits::{FIRE_AGAIN, FIRES_MAX, TICK_EVERY, TICK_WITHIN};
use crate::replica::Shared;
use futures::future::{join_all, select};
use isx_cluster::Request;
use isx_port::Clock;
use std::pin::pin;
use std::sync::{Arc, Weak};

/// Proposes [`Request::Tick`] until the group is gone. Holds nothing of it meanwhile.
pub(crate) async fn run(queue: Weak<Queue>, shared: Weak<Shared>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now().after(TICK_EVERY)).await;
        let (Some(queue), Some(shared)) = (queue.upgrade(), shared.upgrade()) else { return };
        if shared.is_stopping() {
            return;
        }
        // A tick does a bounded part; the next follows at once if more is due.
        while shared.leads() && shared.is_due(&*clock) {
            if queue.propose(&Request::Tick, clock.now().after(TICK_WITHIN)).await.is_err() {
                break;
            }
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
            let fired = fire_due(&queue, &shared, &*clock).await;
            let until = shared.until_timer(&*clock).filter(|_| fired || !shared.gives_timers_up());
            until.map(|until| if fired { until } else { until.max(FIRE_AGAIN) })
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
    let mounts = shared.due(clock, FIRES_MAX);
    let deadline = clock.now().after(TICK_WITHIN);
    let fires: Vec<Request> = mounts.into_iter().map(|mount| Request::Fire { mount }).collect();
    let refused =
        join_all(fires.iter().map(|fire| queue.propose(fire, deadline))).await.into_iter().find_map(Result::err);
    refused.inspect(|error| tracing::debug!(%error, "a timer was not fired")).is_none()
}
