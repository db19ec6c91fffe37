//! The past of a mount, for those with its owner's rights: what its administration answers of it.

use crate::limits::CALL_WITHIN_MAX;
use crate::shared::{Shared, mount_in};
use isx_cluster::{Outcome, Step, StepKind};
use isx_iface::limits::{PAGE_BYTES_MAX, PAGE_COUNT_MAX};
use isx_iface::module::{At, Blamed, Replayed, Step as Told, StepKind as Kind, Steps};
use isx_port::Instant;
use isx_raft::{Consistency, Group, Moment};
use isx_row::{Bytes, Code, Error, MountId, Revision, Time};
use std::collections::VecDeque;
use std::sync::Arc;

/// A mount in its group.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) group: Group,
    pub(crate) mount: MountId,
}

/// How long going through the past may take: what is kept of it has a bound, and nobody else waits.
fn patiently(shared: &Shared) -> Instant {
    shared.ports.clock.now().after(CALL_WITHIN_MAX)
}

/// The revision of a moment.
pub(crate) async fn revision_at(shared: &Shared, place: Place, at: At) -> Result<Revision, Error> {
    let moment = match (at.revision, at.time) {
        (Some(revision), None) => Moment::Revision(Revision(revision)),
        (None, Some(time)) => Moment::Time(time),
        _ => return Err(Error::new(Code::BadArguments, "a moment is a revision or a time, one of them")),
    };
    if let Moment::Time(time) = moment
        && time > Time(shared.ports.clock.wall().unix_us)
    {
        return Err(Error::new(Code::Conflict, "the time is of the future"));
    }
    // What is of the future for this node may be the past of another.
    shared.raft.read(place.group, Consistency::Linearizable, shared.soon()).await?;
    let view = shared.raft.past(place.group, place.mount, moment, patiently(shared)).await?;
    Ok(mount_in(&view, &place.mount)?.revision())
}

/// The last steps before a revision.
pub(crate) async fn history(shared: &Shared, place: Place, before: Option<u64>, limit: u32) -> Result<Steps, Error> {
    let view = shared.raft.read(place.group, Consistency::Linearizable, shared.soon()).await?;
    let now = mount_in(&view, &place.mount)?.revision();
    let goes_on = before.is_some();
    let before = before.unwrap_or(u64::MAX).min(now.0.saturating_add(1));
    let count = (limit as usize).clamp(1, PAGE_COUNT_MAX);
    let after = before.saturating_sub(1).saturating_sub(count as u64);
    let mut page = Page::default();
    let tell = |step: Step| {
        let (revision, committed) = (step.revision.0, step.committed);
        if revision >= before {
            return false;
        }
        page.put(told(&step));
        // What was refused behind the last of them is of the page before.
        !(goes_on && committed && revision.saturating_add(1) == before)
    };
    let from = shared.raft.steps(place.group, place.mount, Revision(after), patiently(shared), tell).await?;
    let steps = page.steps.into_iter().map(|(step, _)| step).collect();
    Ok(Steps { steps, untold_count: page.untold_count, more: from.0 > 0 && from.0 == after, from: from.0 })
}

/// The last steps, as many as fit.
#[derive(Default)]
struct Page {
    steps: VecDeque<(Told, usize)>,
    bytes: usize,
    /// Calls that committed nothing, left out.
    untold_count: u64,
}

impl Page {
    fn put(&mut self, step: Told) {
        let bytes = 160 + step.name.len() + step.text.len();
        self.bytes += bytes;
        self.steps.push_back((step, bytes));
        while self.bytes > PAGE_BYTES_MAX || self.steps.len() > 2 * PAGE_COUNT_MAX {
            // As many as a page may have revisions always fit.
            let Some(first) = self.steps.iter().position(|(step, _)| !step.committed) else { break };
            if let Some((_, bytes)) = self.steps.remove(first) {
                self.bytes -= bytes;
                self.untold_count += 1;
            }
        }
    }
}

/// Who last changed a row.
pub(crate) async fn blame(shared: &Shared, place: Place, table: &str, key: &[u8]) -> Result<Blamed, Error> {
    let view = shared.raft.read(place.group, Consistency::Linearizable, shared.soon()).await?;
    let mount = mount_in(&view, &place.mount)?;
    let missing = || Error::new(Code::NotFound, format!("table {table} is not found"));
    let id = mount.database().table(table).ok_or_else(missing)?;
    let changes = |step: &Step| {
        let mut changes = step.transaction.iter().flat_map(|transaction| transaction.changes.iter());
        changes.any(|change| change.table == id && &change.key[..] == key)
    };
    // Most are asked for what is fresh: the change ring knows the revision.
    let in_ring = mount
        .recent()
        .filter(|transaction| transaction.changes.iter().any(|change| change.table == id && &change.key[..] == key));
    let after = in_ring.last().map_or(Revision(0), |transaction| Revision(transaction.revision.0.saturating_sub(1)));
    let mut last = None;
    let tell = |step: Step| {
        if step.committed && changes(&step) {
            last = Some(told(&step));
        }
        after.0 == 0 || last.is_none()
    };
    let from = shared.raft.steps(place.group, place.mount, after, patiently(shared), tell).await?;
    Ok(Blamed { step: last, from: from.0 })
}

/// Applies what is kept again, and compares.
pub(crate) async fn replay(shared: &Arc<Shared>, place: Place, to: Option<u64>) -> Result<Replayed, Error> {
    shared.raft.read(place.group, Consistency::Linearizable, shared.soon()).await?;
    let done = shared.raft.replay(place.group, place.mount, to.map(Revision), patiently(shared)).await?;
    Ok(Replayed {
        from: done.from.0,
        to: done.to.0,
        compared_count: done.compared_count,
        differs_from: done.differs.map(|(first, _)| first.0),
        differs_to: done.differs.map(|(_, last)| last.0),
    })
}

fn told(step: &Step) -> Told {
    let (outcome, text) = match &step.outcome {
        Outcome::Refused(error) => (error.code.word(), error.text.clone()),
        Outcome::Application { text, .. } => (Code::Application.word(), text.clone()),
        Outcome::Large { revision: None, .. } => (Code::Application.word(), String::new()),
        _ => ("ok", String::new()),
    };
    let rows = step.transaction.as_ref().map_or(0, |transaction| transaction.changes.len());
    Told {
        revision: step.revision.0,
        committed: step.committed,
        time: step.time,
        kind: match step.kind {
            StepKind::Call => Kind::Call,
            StepKind::Create => Kind::Create,
            StepKind::Upgrade => Kind::Upgrade,
            StepKind::Timer => Kind::Timer,
            StepKind::Connect => Kind::Connect,
            StepKind::Disconnect => Kind::Disconnect,
            StepKind::Message => Kind::Message,
        },
        name: step.name.clone(),
        principal: step.principal,
        trace: Bytes(step.trace.to_vec()),
        outcome: outcome.into(),
        text,
        rows_count: u32::try_from(rows).unwrap_or(u32::MAX),
    }
}
