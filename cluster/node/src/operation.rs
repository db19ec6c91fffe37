//! A node to its gateway: whether it lives, whether it serves, what it counts.

use crate::figures::figures;
use crate::limits::{LOG_WRITE_WITHIN, READY_WITHIN};
use crate::real::Meter;
use crate::shared::Shared;
use futures::FutureExt;
use isx_gateway::{Family, Missing, Operated};
use isx_raft::{Consistency, Group};
use std::sync::{Arc, OnceLock, Weak};

/// A node from its beginning on: before it serves it lives already.
pub(crate) struct Operation {
    shared: OnceLock<Weak<Shared>>,
    meter: Arc<Meter>,
}

fn missing(what: impl Into<String>, why: impl Into<String>) -> Missing {
    Missing { what: what.into(), why: why.into() }
}

impl Operation {
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self { shared: OnceLock::new(), meter }
    }

    /// The node serves from now on.
    pub(crate) fn serves(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// The node, while it serves or stops.
    fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.get()?.upgrade()
    }
}

#[isx_gateway::async_trait]
impl Operated for Operation {
    fn name(&self) -> &str {
        "isx"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn ails(&self) -> Vec<Missing> {
        self.shared().map(|shared| shared.ails()).unwrap_or_default()
    }

    async fn missing(&self) -> Vec<Missing> {
        match self.shared() {
            Some(shared) => shared.missing().await,
            None => vec![missing("node", "it is starting: its modules are loaded, its log is read")],
        }
    }

    fn figures(&self) -> Vec<Family> {
        figures(self.shared().as_deref(), &self.meter)
    }
}

impl Shared {
    /// What keeps the log from being written.
    fn ails(&self) -> Vec<Missing> {
        let log = self.raft.log_figures();
        let mut ails = Vec::new();
        // A log that failed fails its groups too: their reason is the log's.
        if let Some(reason) = log.failure.or_else(|| self.raft.failed().now_or_never()) {
            ails.push(missing("log", format!("it failed, the node has to end: {reason}")));
        } else if log.is_full {
            ails.push(missing("log", "the disk is full: make room, and it goes on by itself"));
        } else if log.under_way > LOG_WRITE_WITHIN {
            ails.push(missing("log", format!("a write has taken {} s: the disk hangs", log.under_way.as_secs())));
        }
        ails
    }

    /// What keeps the node from serving.
    async fn missing(&self) -> Vec<Missing> {
        let mut all = self.ails();
        if *self.stopping.borrow() {
            all.push(missing("node", "it is stopping"));
            return all;
        }
        for (group, status) in self.raft.status() {
            if let Some(why) = self.group_missing(group, status).await {
                all.push(missing(format!("group {}", group.0), why));
            }
        }
        all
    }

    /// Why a group does not serve here: whoever leads it must answer a read, the others have to know who does.
    async fn group_missing(&self, group: Group, status: isx_raft::GroupStatus) -> Option<String> {
        if let Some(hold) = status.hold {
            return Some(format!("held: {hold}"));
        }
        if status.leader.is_none() {
            return Some("no leader is known".into());
        }
        if status.role != isx_raft::Role::Leader {
            return None;
        }
        let deadline = self.ports.clock.now().after(READY_WITHIN);
        self.raft.read(group, Consistency::Linearizable, deadline).await.err().map(|error| error.to_string())
    }
}
