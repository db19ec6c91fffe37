//! Views: a version of a group, for queries, subscriptions and snapshots.

use crate::group::{Content, Group, Member};
use crate::machine::Machine;
use crate::mount::Mount;
use crate::moving::Moving;
use crate::planted::Planted;
use crate::presence::Connected;
use crate::request::{ModuleRecord, ReducerCall, SessionCall};
use crate::ring::{Resume, Transaction};
use crate::snapshot::SnapshotWriter;
use isx_anchors::{GroupId, Tree};
use isx_row::{Condition, ContentHash, Error, Incarnation, MountId, Principal, Revision, SessionId, Signature, Time};
use isx_store::{
    Cause, Database, EntryContext, Executed, ExecutionId, Executor, Hold, Invocation, Joined, Message, Reads,
};
use std::sync::Arc;

/// A version of a group's state. A clone is free. Dropping the last view of an old version costs time in proportion to
/// what has changed since: not for the thread that applies entries.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) group: Group,
}

/// A mount in a view.
#[derive(Clone, Copy, Debug)]
pub struct MountView<'a> {
    mount: &'a Mount,
    /// Where it is.
    group: &'a Group,
}

/// What the moving of a mount's rows to a new module has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Migration {
    /// Rows move, and calls wait.
    Moving {
        /// To be this module's.
        code: ContentHash,
        /// How many have.
        moved: u64,
        /// How many there are.
        rows: u64,
    },
    /// The last try failed, and the mount is as it was.
    Failed {
        /// To be this module's.
        code: ContentHash,
        /// Why.
        text: String,
    },
}

/// A message on its way to another mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Who sent it.
    pub from: MountId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Whom it is for.
    pub to: MountId,
    /// Its number among what was sent there.
    pub number: u64,
    /// Every number below was settled.
    pub done_below: u64,
    /// The message.
    pub message: Message,
}

/// A call of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryCall {
    /// The query.
    pub name: String,
    /// The signature the caller was typed against; [`Signature::ANY`] when it read the schema.
    pub signature: Signature,
    /// Who asks.
    pub principal: Principal,
    /// Whether the caller holds a reference that the owner gave.
    pub trusted: bool,
    /// The arguments: a record of [`isx_row::codec`].
    pub payload: Vec<u8>,
}

impl View {
    pub(crate) fn new(group: Group) -> Self {
        Self { group }
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.group.id
    }

    /// The index of the last entry applied.
    pub fn applied(&self) -> u64 {
        self.group.applied
    }

    /// Log time.
    pub fn time(&self) -> Time {
        self.group.time
    }

    /// Whether a [`Tick`](crate::Request::Tick) at `time` would change something. Costs time in proportion to mounts and
    /// dropped mounts.
    pub fn is_due(&self, time: Time) -> bool {
        match &self.group.content {
            Content::Tree(_) => false,
            Content::Mounts(group) => group.is_due(time),
        }
    }

    /// When time alone sets off a schedule or a row first.
    pub fn next_timer(&self) -> Option<Time> {
        match &self.group.content {
            Content::Tree(_) => None,
            Content::Mounts(group) => group.next_timer(),
        }
    }

    /// For each schedule and row to be run by `time` its mount, at most `max` in all: as often is
    /// [`Fire`](crate::Request::Fire) to be proposed.
    pub fn due(&self, time: Time, max: usize) -> Vec<MountId> {
        match &self.group.content {
            Content::Tree(_) => Vec::new(),
            Content::Mounts(group) => group.due(time, max),
        }
    }

    /// The mounts whose rows move to a new module, and how many have: for each
    /// [`Migrate`](crate::Request::Migrate) is to be proposed.
    pub fn migrating(&self) -> Vec<(MountId, u64)> {
        let Content::Mounts(group) = &self.group.content else { return Vec::new() };
        group.moving().filter_map(|mount| Some((mount.id, group.migration(mount)?.1))).collect()
    }

    /// What the moving of a mount's rows to a new module has come to; none when none move and the last went well.
    pub fn migration(&self, id: &MountId) -> Option<Migration> {
        let Content::Mounts(group) = &self.group.content else { return None };
        let mount = &group.mounts.get(id)?.mount;
        match &mount.moving {
            Moving::No | Moving::Candidate { .. } => None,
            Moving::Waits => {
                let (candidate, moved, rows) = group.migration(mount)?;
                Some(Migration::Moving { code: candidate.module.code, moved, rows })
            }
            Moving::Failed { code, text } => Some(Migration::Failed { code: *code, text: text.clone() }),
        }
    }

    /// A machine that goes on from this version by itself: what is applied to it is nobody else's.
    pub fn fork(&self) -> Machine {
        Machine::from_group(self.group.clone(), Planted::NONE)
    }

    /// Whether messages between mounts are to be delivered, or rows to be moved.
    pub fn has_outgoing(&self) -> bool {
        let moving = match &self.group.content {
            Content::Tree(_) => false,
            Content::Mounts(group) => group.moving().next().is_some(),
        };
        moving || self.senders().next().is_some()
    }

    /// The oldest messages between mounts that are not settled, in order: from one mount to another one at least, and
    /// otherwise at most so many, and so many bytes.
    pub fn outgoing(&self, count_max: usize, bytes_max: usize) -> Vec<Outgoing> {
        let mut all = Vec::new();
        for mount in self.senders() {
            let mut first = None;
            for (to, number, message) in mount.database.outbox(count_max, bytes_max) {
                let done_below = match first {
                    Some((same, oldest)) if same == to => oldest,
                    _ => number,
                };
                first = Some((to, done_below));
                all.push(Outgoing { from: mount.id, incarnation: mount.incarnation, to, number, done_below, message });
            }
        }
        all
    }

    fn senders(&self) -> impl Iterator<Item = &Arc<Mount>> {
        let group = match &self.group.content {
            Content::Tree(_) => None,
            Content::Mounts(group) => Some(group),
        };
        group.into_iter().flat_map(|group| group.senders())
    }

    /// The feature level.
    pub fn level(&self) -> u16 {
        self.group.level
    }

    /// The execution id under which the state was made.
    pub fn execution(&self) -> ExecutionId {
        self.group.execution
    }

    /// The hash over everything replicated.
    pub fn state_hash(&self) -> [u8; 32] {
        self.group.state_hash()
    }

    /// The tree, in group 0.
    pub fn tree(&self) -> Option<&Tree> {
        match &self.group.content {
            Content::Tree(group) => Some(&group.tree),
            Content::Mounts(_) => None,
        }
    }

    /// The members by peer key, in group 0; none in others.
    pub fn members(&self) -> impl Iterator<Item = (&[u8; 32], &Member)> {
        let members = match &self.group.content {
            Content::Tree(group) => Some(group.members.iter()),
            Content::Mounts(_) => None,
        };
        members.into_iter().flatten()
    }

    /// The mounts by id; none in group 0.
    pub fn mounts(&self) -> impl Iterator<Item = MountView<'_>> {
        let mounts = match &self.group.content {
            Content::Tree(_) => None,
            Content::Mounts(group) => Some(group.mounts.values()),
        };
        // Nobody made a candidate, and nobody can reach it.
        let mounts = mounts.into_iter().flatten().filter(|slot| !slot.mount.moving.is_candidate());
        mounts.map(|slot| MountView { mount: &slot.mount, group: &self.group })
    }

    /// A mount.
    pub fn mount(&self, id: &MountId) -> Option<MountView<'_>> {
        self.group.mount(id).map(|mount| MountView { mount, group: &self.group })
    }

    /// Bytes of the tree; of mounts those of tables and indexes, of messages that wait to be delivered, and of change rings,
    /// with those of tables to which rows are being moved. Costs time in proportion to mounts.
    pub fn bytes(&self) -> u64 {
        match &self.group.content {
            Content::Tree(group) => group.tree.bytes(),
            Content::Mounts(group) => {
                group.mounts.values().map(|slot| slot.mount.database.usage().bytes + slot.mount.ring.bytes()).sum()
            }
        }
    }

    /// A snapshot of this version, made while its chunks are asked for.
    pub fn snapshot(&self) -> SnapshotWriter {
        SnapshotWriter::new(self.group.clone())
    }

    pub(crate) fn audit(&self) -> Result<(), Error> {
        let mut chunks = Vec::new();
        let mut snapshot = self.snapshot();
        chunks.extend(snapshot.by_ref().map(|chunk| (chunk.hash, chunk.bytes)));
        if let Content::Mounts(group) = &self.group.content {
            group.mounts.values().try_for_each(|slot| slot.mount.database.audit())?;
        }
        let mut restore = crate::snapshot::Restore::new(&snapshot.finish()?)?;
        while let Some(expected) = restore.expected() {
            let damaged = || Error::new(isx_row::Code::Fatal, "snapshot: a chunk is missing");
            let (_, bytes) = chunks.iter().find(|(hash, _)| *hash == expected.hash).ok_or_else(damaged)?;
            restore.put(bytes)?;
        }
        restore.finish().map(drop)
    }
}

impl<'a> MountView<'a> {
    /// The mount.
    pub fn id(&self) -> MountId {
        self.mount.id
    }

    /// The incarnation.
    pub fn incarnation(&self) -> Incarnation {
        self.mount.incarnation
    }

    /// The revision.
    pub fn revision(&self) -> Revision {
        self.mount.revision
    }

    /// Log time of the revision.
    pub fn changed(&self) -> Time {
        self.mount.changed
    }

    /// Counts the modules it has had.
    pub fn version(&self) -> u64 {
        self.mount.version
    }

    /// The revision at which it got the present one.
    pub fn module_since(&self) -> Revision {
        self.mount.module_since
    }

    /// The codes of those before, and the revisions at which it got them, oldest first: the last of them.
    pub fn earlier(&self) -> &'a [(ContentHash, Revision)] {
        &self.mount.earlier
    }

    /// The module.
    pub fn module(&self) -> &'a Arc<ModuleRecord> {
        &self.mount.module
    }

    /// The mounts that its module calls within its transactions.
    pub fn joins(&self) -> &'a [MountId] {
        &self.mount.joins
    }

    /// The sessions that are connected, those that are leaving too; only of modules that have to know.
    pub fn connected(&self) -> impl Iterator<Item = (SessionId, Connected)> + use<'a> {
        self.mount.presence.iter()
    }

    /// Whether a call under this session has to wait for [`Connect`](crate::Request::Connect), at log time.
    ///
    /// # Errors
    /// What that would be refused with before any hook runs: `expired`, `busy`.
    pub fn must_connect(&self, session: SessionId, principal: &Principal, time: Time) -> Result<bool, Error> {
        if !self.mount.tracks_sessions || self.mount.presence.has(session, principal) {
            return Ok(false);
        }
        self.mount.check_connect(session, principal, time).map(|()| true)
    }

    /// The hooks that have a schedule, and when each runs next.
    pub fn schedules(&self) -> impl Iterator<Item = (&'a str, Time)> {
        self.mount.timers.iter()
    }

    /// The hash over everything of the mount that replicas must agree on.
    pub fn state_hash(&self) -> [u8; 32] {
        self.mount.digest()
    }

    /// The tables.
    pub fn database(&self) -> &'a Database {
        &self.mount.database
    }

    /// Whether a call under a session was admitted before, so that it does not run again.
    pub fn has_answer(&self, call: &SessionCall, principal: &Principal) -> bool {
        self.mount.sessions.has(call, principal)
    }

    /// What follows a revision of this incarnation; a cursor of another one is answered by a reset.
    pub fn changes_after(&self, incarnation: Incarnation, revision: Revision) -> Resume {
        if incarnation == self.mount.incarnation {
            self.mount.ring.after(revision, self.mount.revision)
        } else {
            Resume::Reset(self.mount.revision)
        }
    }

    /// Checks preconditions against this version, in order; `trusted` is whether private tables may be looked at.
    ///
    /// # Errors
    /// `conflict` for the first that does not hold, naming both sides; `not_found` for what may not be read or is not there,
    /// `stale_bindings` for a table that is another by now, `bad_arguments` for a value not of its column.
    pub fn check(&self, conditions: &[Condition], trusted: bool) -> Result<(), Error> {
        self.mount.check(conditions, trusted)
    }

    /// What a call of a reducer does to this version and the mounts that it reaches into, as they are after it, at this time and
    /// with this randomness; the version stays as it is.
    ///
    /// # Errors
    /// [`Hold`] when it can not be executed here and now.
    pub fn dry_run(
        &self,
        executor: &dyn Executor,
        call: &ReducerCall,
        entry: &EntryContext,
    ) -> Result<(Executed, Vec<Joined>), Hold> {
        self.run_apart(executor, call, entry).map(|(executed, _, joined)| (executed, joined))
    }

    /// Bytes by which a call of a reducer would make the tables of this version larger, those too that it reaches into; none
    /// where it would not.
    ///
    /// # Errors
    /// As [`MountView::dry_run`].
    pub fn growth(&self, executor: &dyn Executor, call: &ReducerCall, entry: &EntryContext) -> Result<u64, Hold> {
        let before = self.joined();
        let (_, database, joined) = self.run_apart(executor, call, entry)?;
        let grown = |after: &Database, before: &Database| after.usage().bytes.saturating_sub(before.usage().bytes);
        let elsewhere = joined.iter().zip(&before).map(|(after, before)| grown(&after.root, &before.root));
        Ok(elsewhere.fold(grown(&database, &self.mount.database), u64::saturating_add))
    }

    /// The other mounts that its calls reach into.
    fn joined(&self) -> Vec<Joined> {
        match &self.group.content {
            Content::Mounts(mounts) => mounts.joined(&self.mount.id),
            Content::Tree(_) => Vec::new(),
        }
    }

    fn run_apart(
        &self,
        executor: &dyn Executor,
        call: &ReducerCall,
        entry: &EntryContext,
    ) -> Result<(Executed, Database, Vec<Joined>), Hold> {
        let (mut database, mut joined) = (self.mount.database.clone(), self.joined());
        let waits = match &self.group.content {
            Content::Mounts(mounts) if mounts.waits(self.mount) => Err(Moving::busy()),
            _ => Ok(()),
        };
        if let Err(error) = waits.and_then(|()| self.mount.check(&call.conditions, call.trusted)) {
            return Ok((Executed::refused(error), database, joined));
        }
        let invocation = self.mount.invocation(call, 0);
        let code = &self.mount.module.code;
        let mut executed = executor.execute_joined(code, &mut database, entry, &[invocation], &mut joined)?;
        Ok((executed.swap_remove(0), database, joined))
    }

    /// The transactions of this incarnation that the change ring has, oldest first.
    pub fn recent(&self) -> impl Iterator<Item = Arc<Transaction>> + use<> {
        self.mount.ring.transactions()
    }

    /// Runs a query on this version.
    ///
    /// # Errors
    /// The query's own failure, or `busy` when the code is not here.
    pub fn query(&self, executor: &dyn Executor, call: &QueryCall) -> Result<Vec<u8>, Error> {
        self.ask(executor, call).outcome
    }

    /// Runs a view on this version: its answer, and what it read, which no change may touch for the answer to stand.
    ///
    /// # Errors
    /// As [`MountView::query`].
    pub fn rows(&self, executor: &dyn Executor, call: &QueryCall) -> Result<(Vec<u8>, Reads), Error> {
        let Executed { outcome, reads, .. } = self.ask(executor, call);
        Ok((outcome?, reads))
    }

    fn ask(&self, executor: &dyn Executor, call: &QueryCall) -> Executed {
        let invocation = Invocation {
            mount: self.mount.id,
            cause: Cause::Call,
            name: &call.name,
            signature: call.signature,
            arguments: &call.payload,
            caller: call.principal,
            trusted: call.trusted,
            session: None,
            hops: 0,
            place: 0,
            fuel_max: self.mount.module.fuel_max,
        };
        let at = (self.mount.revision, self.mount.changed);
        executor.query(&self.mount.module.code, &self.mount.database, at, &invocation)
    }
}
