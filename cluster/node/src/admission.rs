//! Letting calls of mounts in, as far as the node's budgets allow.
//!
//! Where there is no room for what a call might add, it is tried on a version that nobody else sees: what would make the
//! state larger is refused, everything else goes into the log as always.

use crate::budget::{Demand, Full, Running, Taken};
use crate::shared::{Shared, mount_in};
use isx_cluster::ReducerCall;
use isx_port::{Instant, Lane};
use isx_raft::Group;
use isx_row::schema::{Hook, Schema};
use isx_row::{Code, Error, Time};
use isx_store::EntryContext;
use std::sync::Arc;

/// A call that was let in, until it is dropped.
pub(crate) struct Admitted<'a> {
    _running: Running<'a>,
    _taken: Taken<'a>,
}

/// Whether a call of a reducer may make the state larger, by what its module declares: unless it does nothing but delete, and
/// nothing else comes of that.
pub(crate) fn may_grow(schema: &Schema, reducer: &str) -> bool {
    // What is not there is refused by whoever runs it.
    let Some(reducer) = schema.reducer(reducer) else { return false };
    let Some(access) = &reducer.access else { return true };
    let has_hooks = || schema.reducers.iter().any(|one| matches!(one.hook, Some(Hook::OwnTable { .. })));
    !access.inserts.is_empty() || !access.updates.is_empty() || !schema.links.is_empty() || has_hooks()
}

impl Shared {
    /// Lets a call of a reducer in, before the log.
    ///
    /// # Errors
    /// `busy` at the deadline, or while the log is made shorter; `limit` where there is no room for what it adds.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(crate) async fn admit_call(
        self: &Arc<Self>,
        group: Group,
        call: &ReducerCall,
        may_grow: bool,
        deadline: Instant,
    ) -> Result<Admitted<'_>, Error> {
        let running = self.governor.paced(deadline).await?;
        let bytes = call.payload.len() + call.name.len();
        let demand = match may_grow && !self.has_answer(group, call)? {
            true => Demand::growing(bytes),
            false => Demand::shrinking(bytes),
        };
        let taken = match self.governor.admit(&self.raft, demand) {
            Err(full) if demand.growth_bytes.is_some() && !full.is_passing() => {
                let demand = demand.with_growth(self.growth(group, call).await?);
                self.governor.admit(&self.raft, demand)
            }
            admitted => admitted,
        };
        Ok(Admitted { _running: running, _taken: taken.map_err(Full::refuse)? })
    }

    /// Whether a call only asks again for the answer it got.
    fn has_answer(&self, group: Group, call: &ReducerCall) -> Result<bool, Error> {
        let (Some(session), true) = (&call.session, self.governor.has_bounds()) else { return Ok(false) };
        let view = self.raft.view(group)?;
        Ok(mount_in(&view, &call.mount)?.has_answer(session, &call.principal))
    }

    /// Bytes that a call would add to the tables as they are now.
    async fn growth(self: &Arc<Self>, group: Group, call: &ReducerCall) -> Result<u64, Error> {
        let (view, shared, call) = (self.raft.view(group)?, self.clone(), call.clone());
        let mut seed = [0; 32];
        self.ports.entropy.fill(&mut seed);
        let time = view.time().max(Time(self.ports.clock.wall().unix_us));
        let attempt = move || {
            let grown = mount_in(&view, &call.mount)?.growth(&*shared.exec, &call, &EntryContext { time, seed });
            grown.map_err(|hold| Error::new(Code::Busy, format!("the call can not be tried now: {hold:?}")))
        };
        self.on(Lane::Query(group.0), attempt).await
    }
}
