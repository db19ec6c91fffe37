//! What a node looks after from time to time.

use crate::limits::UPKEEP_EVERY;
use crate::sessions::end_sessions;
use crate::shared::Shared;
use isx_port::Clock;
use isx_raft::MOUNTS;
use std::sync::{Arc, Weak};

/// Looks after a node until it is gone. Holds nothing of it while it waits.
pub(crate) async fn upkeep(shared: Weak<Shared>, clock: Arc<dyn Clock>) {
    loop {
        clock.sleep_until(clock.now().after(UPKEEP_EVERY)).await;
        let Some(shared) = shared.upgrade() else { return };
        end_sessions(&shared).await;
        if let Err(error) = shared.raft.relieve_log().await {
            tracing::warn!(%error, "old segments of the log can not be let go");
        }
        if let Ok(view) = shared.raft.view(MOUNTS) {
            shared.metered.accounts.retain(|mount| view.mount(mount).is_some());
            shared.values.retain(|mount, reign, table| shared.keeps_values(mount, reign, table));
        }
    }
}
