//! The past of a mount: entries applied a second time, from a snapshot that is kept on, aside of everything else.
//!
//! A [`Walk`] begins where history can be begun last before what is wanted, loads the machine of there and applies entries
//! out of history, then out of the log, up to what is applied here. Everything runs on
//! [`Lane::Past`](isx_port::Lane::Past), some entries a job; one walk of a group goes at a time, and the versions that were
//! reached are held for a while.

mod walk;

pub(crate) use walk::{Pasts, read};

use crate::history::{Start, oldest};
use crate::raft::Raft;
use crate::replica::Shared;
use crate::snapshot::SnapshotError;
use isx_cluster::{Goal, Step, Transaction, View};
use isx_port::Instant;
use isx_row::{Code, Error, MountId, Revision, Time};
use isx_wal::Group;
use std::collections::BTreeMap;
use std::sync::Arc;
use walk::{Part, Walk};

/// A moment of a mount's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// When it came to this revision.
    Revision(Revision),
    /// This log time.
    Time(Time),
}

/// What came of applying a mount's past again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The revision it began behind; 0 for the mount's beginning.
    pub from: Revision,
    /// The revision it ended at.
    pub to: Revision,
    /// How often it was compared with what is kept: snapshots, the present, and each transaction in the change ring.
    pub compared_count: u64,
    /// The revisions of which one is the first that differs.
    pub differs: Option<(Revision, Revision)>,
}

impl Raft {
    /// A version of the group in which a mount is as it was at a moment, as far as this node keeps it. Rebuilding takes time
    /// in proportion to the entries behind the last base before it; some versions are held for who asks again.
    ///
    /// # Errors
    /// `too_old`, with the oldest that is kept; `conflict` for a revision of the future; `not_found` for a time before the
    /// mount; `busy` at the deadline or when too many wait; `limit` when it does not fit in memory.
    ///
    /// # Cancel safety
    /// Dropping the future ends the rebuilding.
    pub async fn past(&self, group: Group, mount: MountId, moment: Moment, deadline: Instant) -> Result<View, Error> {
        let shared = &self.group(group)?.shared;
        self.before(deadline, shared.past(mount, moment, deadline)).await?
    }

    /// The steps of a mount after a revision, told in order until `tell` says that it is enough; from the oldest kept on
    /// where the revision is older. Gives the revision behind which they begin.
    ///
    /// # Errors
    /// As [`Raft::past`].
    ///
    /// # Cancel safety
    /// As [`Raft::past`].
    pub async fn steps(
        &self,
        group: Group,
        mount: MountId,
        after: Revision,
        deadline: Instant,
        tell: impl FnMut(Step) -> bool,
    ) -> Result<Revision, Error> {
        let shared = &self.group(group)?.shared;
        self.before(deadline, shared.steps(mount, after, deadline, tell)).await?
    }

    /// Applies what is kept of a mount's past again, up to a revision or the present, and compares it with the snapshots, the
    /// change ring and the state that are kept.
    ///
    /// # Errors
    /// As [`Raft::past`].
    ///
    /// # Cancel safety
    /// As [`Raft::past`].
    pub async fn replay(
        &self,
        group: Group,
        mount: MountId,
        to: Option<Revision>,
        deadline: Instant,
    ) -> Result<Replayed, Error> {
        let shared = &self.group(group)?.shared;
        self.before(deadline, shared.replay(mount, to, deadline)).await?
    }
}

impl Shared {
    /// A version of the group in which a mount is as it was at a moment.
    ///
    /// # Errors
    /// See [`crate::Raft::past`].
    pub(crate) async fn past(
        self: &Arc<Self>,
        mount: MountId,
        moment: Moment,
        deadline: Instant,
    ) -> Result<View, Error> {
        let present = self.published().view.clone();
        let now = present.mount(&mount).ok_or_else(|| Error::new(Code::Gone, "the mount was removed"))?.revision();
        let goal = match moment {
            Moment::Revision(Revision(0)) => {
                return Err(Error::new(Code::BadArguments, "revisions begin with 1"));
            }
            Moment::Revision(revision) if revision > now => {
                let text = format!("revision {revision} is of the future: the mount is at revision {now}");
                return Err(Error::new(Code::Conflict, text));
            }
            Moment::Revision(revision) if revision == now => return Ok(present),
            Moment::Revision(revision) => match self.pasts.find(&mount, revision) {
                Some(view) => return Ok(view),
                None => Goal::Revision(mount, revision),
            },
            Moment::Time(time) if time >= present.time() => return Ok(present),
            Moment::Time(time) => Goal::Time(time),
        };
        let mut walk = Walk::begin(self, mount, goal, deadline).await?;
        let view = loop {
            let part = walk.next(goal).await?;
            match part {
                Some(Part { reached: Some(view), .. }) => break view,
                Some(_) => {}
                None => match goal {
                    Goal::Time(_) => break walk.present.0.clone(),
                    _ => return Err(Error::new(Code::Fatal, "the revision did not come up again")),
                },
            }
        };
        let Some(revision) = view.mount(&mount).map(|mount| mount.revision()) else {
            return Err(Error::new(Code::NotFound, "the mount was not there yet"));
        };
        walk.hold(revision, &view);
        Ok(view)
    }

    /// The steps of a mount after a revision, told to `tell` in order until it says that it is enough; what is kept of them
    /// where the revision is older. Gives the revision behind which they begin.
    ///
    /// # Errors
    /// As [`Shared::past`].
    pub(crate) async fn steps(
        self: &Arc<Self>,
        mount: MountId,
        after: Revision,
        deadline: Instant,
        mut tell: impl FnMut(Step) -> bool,
    ) -> Result<Revision, Error> {
        let starts = self.starts();
        // Of an older revision what is kept is all there is to tell.
        let first = starts.first().and_then(|start| start.mark.revision(&mount)).unwrap_or(Revision(0));
        let mut walk = Walk::begin(self, mount, Goal::Revision(mount, after.max(first)), deadline).await?;
        let from = after.max(first);
        while let Some(part) = walk.next(Goal::Never).await? {
            if !part.steps.into_iter().filter(|step| step.revision > from || !step.committed).all(&mut tell) {
                break;
            }
        }
        Ok(from)
    }

    /// Applies what is kept of a mount's past again, and compares.
    ///
    /// # Errors
    /// As [`Shared::past`].
    pub(crate) async fn replay(
        self: &Arc<Self>,
        mount: MountId,
        to: Option<Revision>,
        deadline: Instant,
    ) -> Result<Replayed, Error> {
        let first = self.starts().first().and_then(|start| start.mark.revision(&mount)).unwrap_or(Revision(0));
        let goal = to.map_or(Goal::Never, |to| Goal::Revision(mount, to));
        let present = self.published().view.clone();
        let now = present.mount(&mount).ok_or_else(|| Error::new(Code::Gone, "the mount was removed"))?.revision();
        match to {
            Some(to) if to > now => {
                let text = format!("revision {to} is of the future: the mount is at revision {now}");
                return Err(Error::new(Code::Conflict, text));
            }
            Some(to) if to < first => return Err(self.too_old(&mount, Moment::Revision(to))),
            _ => {}
        }
        let mut walk = Walk::begin_oldest(self, mount, deadline).await?;
        let mut replayed = Replayed { from: first, to: to.unwrap_or(now), compared_count: 0, differs: None };
        let mut same_until = first;
        let ring = ring(&present, &mount);
        while let Some(part) = walk.next(goal).await? {
            for step in part.steps.iter().filter(|step| step.committed) {
                let Some(kept) = ring.get(&step.revision) else { continue };
                replayed.compared_count += 1;
                if step.transaction.as_ref() != Some(kept) {
                    replayed.differs = Some((step.revision, step.revision));
                    return Ok(replayed);
                }
            }
            for (index, same, view) in part.compared {
                replayed.compared_count += 1;
                let at = view.mount(&mount);
                let revision = at.map_or(Revision(0), |mount| mount.revision());
                // Another mount of the group may be what differs.
                if !same && walk.differs_at(index, at.map(|mount| mount.state_hash())).await? {
                    replayed.differs = Some((same_until.next(), revision));
                    return Ok(replayed);
                }
                same_until = revision;
            }
            if part.reached.is_some() {
                return Ok(replayed);
            }
        }
        let end = walk.view();
        let of = |view: &View| view.mount(&mount).map(|mount| (mount.revision(), mount.state_hash()));
        replayed.compared_count += 1;
        replayed.to = of(&walk.present.0).map_or(now, |(revision, _)| revision);
        if end.as_ref().map(of) != Some(of(&walk.present.0)) {
            replayed.differs = Some((same_until.next(), replayed.to));
        }
        Ok(replayed)
    }

    /// Where the past can be begun, the oldest first.
    pub(crate) fn starts(&self) -> Vec<Start> {
        self.history.as_ref().map(|history| history.starts(&self.store().bases())).unwrap_or_default()
    }

    pub(crate) fn too_old(&self, mount: &MountId, moment: Moment) -> Error {
        let asked = match moment {
            Moment::Revision(revision) => format!("revision {revision}"),
            Moment::Time(time) => format!("what was at {}", told(time)),
        };
        let kept = match oldest(&self.starts(), mount) {
            Some((Some(revision), time)) => format!("the oldest kept is revision {revision}, of {}", told(time)),
            Some((None, time)) => format!("the oldest kept is of {}", told(time)),
            None => "nothing is kept".into(),
        };
        Error::new(Code::TooOld, format!("{asked} is older than what is kept: {kept}"))
    }
}

/// Log time for people: RFC 3339 in UTC.
fn told(time: Time) -> String {
    let told = jiff::Timestamp::from_microsecond(time.0).map(|timestamp| format!("{timestamp:.6}"));
    told.unwrap_or_else(|_| format!("{} µs since 1970", time.0))
}

/// The transactions that a version's change ring has of a mount.
fn ring(view: &View, mount: &MountId) -> BTreeMap<Revision, Arc<Transaction>> {
    let Some(mount) = view.mount(mount) else { return BTreeMap::new() };
    mount.recent().map(|transaction| (transaction.revision, transaction)).collect()
}

fn gone() -> Error {
    Error::new(Code::TooOld, "what is needed of the past has gone meanwhile")
}

fn unreadable(error: &SnapshotError) -> Error {
    match error {
        SnapshotError::Disk(isx_port::DiskError::NotFound { .. }) => gone(),
        error => Error::new(error.code(), format!("history: {error}")),
    }
}
