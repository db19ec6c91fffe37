//! openraft's own suite for storage, run over our log and state machine.

use crate::log::{DIR, GroupLog, Log};
use crate::planted::Planted;
use crate::replica::{Replica, Shared};
use crate::runtime::Node;
use crate::types::Types;
use isx_port::Ports;
use isx_store::Executor;
use isx_wal::{Group, LogIdentity};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use std::sync::Arc;

struct Builder<F> {
    node: Arc<Node>,
    ports: F,
    executor: Arc<dyn Executor>,
}

impl<F: Fn() -> Ports + Send + Sync> StoreBuilder<Types, GroupLog, Replica> for Builder<F> {
    async fn build(&self) -> Result<((), GroupLog, Replica), StorageError<Types>> {
        let ports = (self.ports)();
        let failed = |text: String| StorageError::read(Types::err_from_string(text));
        let opened =
            Log::open(&ports, &self.node, isx_wal::Options::new(DIR, LogIdentity([1; 16])), Planted::NONE).await;
        let (log, _) = opened.map_err(|error| failed(error.to_string()))?;
        let shared = Shared::open(&ports, 1, self.executor.clone(), None, Planted::NONE).await;
        let shared = shared.map_err(|error| failed(error.to_string()))?;
        Ok(((), GroupLog::new(log, Group(1)), Replica::new(shared)))
    }
}

/// Runs the suite; `ports` gives an empty disk each time, and the same executor.
///
/// # Errors
/// What the suite found wrong.
///
/// # Panics
/// Where the suite asserts.
pub async fn storage_suite(
    ports: impl Fn() -> Ports + Send + Sync + 'static,
    executor: Arc<dyn Executor>,
) -> Result<(), String> {
    let node = Node::new(&ports());
    let builder = Builder { node: node.clone(), ports, executor };
    node.scope(Suite::test_all(builder)).await.map_err(|error| error.to_string())
}
