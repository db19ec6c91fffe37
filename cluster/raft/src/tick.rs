//! Proposes what time alone makes due, so that an idle group stays silent: what is forgotten for its age, at which a
//! leader looks now and then; and schedules and rows, when they are due.

use crate::batch::Queue;
use crate::limits::{FIRE_AGAIN, FIRE_PAUSE, FIRES_MAX, TICK_EVERY, TICK_WITHIN};
use crate::replica::Shared;
use futures::future::{join_all, select};
use isx_cluster::Request;
use isx_port::Clock;
use std::pin::pin;
use std::sync::{Arc, Weak};

/// A group, and nothing of it held.
type Group = (Weak<Queue>, Weak<Shared>);

/// Proposes [`Request::Tick`] until the group is gone. Holds nothing of it meanwhile.
pub(crate) async fn run((queue, shared): Group, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now().after(TICK_EVERY)).await;
        let (Some(queue), Some(shared)) = (queue.upgrade(), shared.upgrade()) else { return };
        if shared.is_stopping() {
            return;
        }
        // A tick does a bounded part; the next follows at once if more is due.
        while shared.may_propose() && shared.is_due(&*clock) {
            if queue.propose(&Request::Tick, clock.now().after(TICK_WITHIN)).await.is_err() {
                break;
            }
        }
    }
}

/// Gives the oldest of history whenever the log finds the disk full, until the group is gone.
pub(crate) async fn make_room(shared: Weak<Shared>) {
    let Some(full) = shared.upgrade().map(|shared| shared.full.clone()) else { return };
    loop {
        full.notified().await;
        let Some(shared) = shared.upgrade().filter(|shared| !shared.is_stopping()) else { return };
        match shared.give_way().await {
            Ok(true) => tracing::warn!("the disk is full: the oldest of history has gone"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the disk is full, and history can not make room"),
        }
    }
}

/// Proposes [`Request::Fire`] until the group is gone. Holds nothing of it while it waits.
pub(crate) async fn fire((queue, shared): Group, clock: Arc<dyn Clock>) {
    let Some(sooner) = shared.upgrade().map(|shared| shared.sooner.clone()) else { return };
    loop {
        let wait = {
            let (Some(queue), Some(shared)) = (queue.upgrade(), shared.upgrade()) else { return };
            if shared.is_stopping() {
                return;
            }
            let fired = fire_due(&queue, &shared, &*clock).await;
            let until = shared.until_timer(&*clock).filter(|_| fired || !shared.gives_timers_up());
            let least = if fired { FIRE_PAUSE } else { FIRE_AGAIN };
            // Clocks may be set, so nobody waits for long without looking.
            until.map(|until| until.clamp(least, TICK_EVERY))
        };
        match wait {
            Some(wait) => {
                // Whatever comes sooner meanwhile: what sets itself off again has no log to itself.
                clock.sleep_until(clock.now().after(FIRE_PAUSE)).await;
                let rest = clock.sleep_until(clock.now().after(wait.saturating_sub(FIRE_PAUSE)));
                drop(select(pin!(sooner.notified()), rest).await);
            }
            None => sooner.notified().await,
        }
    }
}

/// Proposes what is due, together; whether this node may, and all were taken.
async fn fire_due(queue: &Queue, shared: &Shared, clock: &dyn Clock) -> bool {
    if !shared.may_propose() {
        return false;
    }
    let mounts = shared.due(clock, FIRES_MAX);
    let deadline = clock.now().after(TICK_WITHIN);
    let fires: Vec<Request> = mounts.into_iter().map(|mount| Request::Fire { mount }).collect();
    let refused =
        join_all(fires.iter().map(|fire| queue.propose(fire, deadline))).await.into_iter().find_map(Result::err);
    refused.inspect(|error| tracing::debug!(%error, "a timer was not fired")).is_none()
}
