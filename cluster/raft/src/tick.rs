//! Proposes what time alone makes due: a leader looks now and then, and writes an entry only when it would change
//! something, so that an idle group stays silent.

use crate::batch::Queue;
use crate::limits::{TICK_EVERY, TICK_WITHIN};
use crate::replica::Shared;
use isx_cluster::Request;
use isx_port::Clock;
use isx_row::Time;
use std::sync::{Arc, Weak};

/// Looks until the group is gone. Holds nothing of it meanwhile.
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
