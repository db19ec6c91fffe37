//! The executor of a node, with an account of what it does.

use crate::accounts::Accounts;
use isx_exec::Exec;
use isx_port::Clock;
use isx_row::{ContentHash, Revision, Time};
use isx_store::{Database, EntryContext, Executed, ExecutionId, Executor, Hold, Invocation, Joined};
use std::sync::Arc;

/// Runs calls as [`Exec`] does, and counts them.
pub(crate) struct Metered {
    pub(crate) exec: Arc<Exec>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) accounts: Accounts,
}

impl Metered {
    fn note(&self, code: &ContentHash, calls: &[Invocation<'_>], executed: &[Executed], begun: isx_port::Instant) {
        let wall = self.clock.now().since(begun);
        let is_function = |name: &str| {
            let schema = self.exec.schema(code);
            schema.is_some_and(|schema| schema.reducer(name).is_some() || schema.query(name).is_some())
        };
        self.accounts.note(calls, executed, wall, is_function);
    }
}

impl Executor for Metered {
    fn execution_id(&self) -> ExecutionId {
        self.exec.execution_id()
    }

    fn has(&self, code: &ContentHash) -> bool {
        self.exec.has(code)
    }

    fn execute_joined(
        &self,
        code: &ContentHash,
        root: &mut Database,
        entry: &EntryContext,
        calls: &[Invocation<'_>],
        joined: &mut [Joined],
    ) -> Result<Vec<Executed>, Hold> {
        let begun = self.clock.now();
        let executed = self.exec.execute_joined(code, root, entry, calls, joined)?;
        self.note(code, calls, &executed, begun);
        Ok(executed)
    }

    fn query(&self, code: &ContentHash, root: &Database, at: (Revision, Time), call: &Invocation<'_>) -> Executed {
        let begun = self.clock.now();
        let executed = self.exec.query(code, root, at, call);
        self.note(code, std::slice::from_ref(call), std::slice::from_ref(&executed), begun);
        executed
    }
}
