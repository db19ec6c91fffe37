//! A mount: its module's record, its tables, its sessions, its change ring, its revision.

use crate::entry::Effect;
use crate::inbox::Inbox;
use crate::limits::MODULES_EARLIER_MAX;
use crate::moving::Moving;
use crate::outcome::Outcome;
use crate::presence::Presence;
use crate::request::{ModuleRecord, ReducerCall};
use crate::ring::{Ring, Transaction};
use crate::session::Sessions;
use crate::snapshot::put_earlier;
use crate::timers::{Timers, Timetable};
use isx_anchors::limits::ERROR_TEXT_BYTES_MAX;
use isx_anchors::wire::Wire;
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::schema::Schema;
use isx_row::{Code, ContentHash, Error, Incarnation, MountId, Principal, Revision, SessionId, Signature, Time};
use isx_store::{Cause, Database, EntryContext, Executed, Invocation, JoinedChanges, Reads};
use std::sync::Arc;

/// A mount of a group. A clone shares everything.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    pub(crate) id: MountId,
    pub(crate) incarnation: Incarnation,
    pub(crate) revision: Revision,
    /// Log time of the revision.
    pub(crate) changed: Time,
    /// Counts the modules it has had.
    pub(crate) version: u64,
    /// The revision at which it got the present one.
    pub(crate) module_since: Revision,
    /// The codes of those before, and since when it had them, oldest first: the last of them.
    pub(crate) earlier: Vec<(ContentHash, Revision)>,
    pub(crate) creator: Principal,
    pub(crate) module: Arc<ModuleRecord>,
    pub(crate) database: Database,
    pub(crate) sessions: Sessions,
    pub(crate) ring: Ring,
    /// Of the module.
    pub(crate) timetable: Arc<Timetable>,
    pub(crate) timers: Timers,
    /// The mounts that the module calls within its transactions.
    pub(crate) joins: Arc<[MountId]>,
    /// Whether the module has to know which sessions are connected.
    pub(crate) tracks_sessions: bool,
    pub(crate) presence: Presence,
    pub(crate) inbox: Inbox,
    pub(crate) moving: Moving,
}

impl Mount {
    /// A mount as it is at this log time, before its first transaction.
    ///
    /// # Errors
    /// Whatever the schema is refused for.
    pub(crate) fn new(
        id: MountId,
        incarnation: Incarnation,
        module: Arc<ModuleRecord>,
        creator: Principal,
        time: Time,
    ) -> Result<Self, Error> {
        let mut database = Database::new(schema(&module)?)?;
        database.set_limits(module.limits);
        let timetable = Timetable::new(&database);
        let timers = timetable.begin(time, &Timetable::default(), &Timers::default());
        let tracks_sessions = database.schema().tracks_sessions();
        let joins = module.joins(database.schema());
        Ok(Self {
            joins,
            id,
            incarnation,
            revision: Revision(0),
            changed: Time(0),
            version: 1,
            module_since: Revision(1),
            earlier: Vec::new(),
            creator,
            module,
            database,
            sessions: Sessions::default(),
            ring: Ring::default(),
            timetable: Arc::new(timetable),
            timers,
            tracks_sessions,
            presence: Presence::default(),
            inbox: Inbox::default(),
            moving: Moving::No,
        })
    }

    /// The same mount under another module, from this log time on.
    ///
    /// # Errors
    /// Whatever the schema is refused for; the mount is as it was then.
    pub(crate) fn upgrade(&mut self, module: Arc<ModuleRecord>, time: Time) -> Result<(), Error> {
        let database = self.database.with_schema(schema(&module)?)?;
        self.take_module(module, database, time);
        Ok(())
    }

    /// Takes a module with the tables for it, from this log time on.
    pub(crate) fn take_module(&mut self, module: Arc<ModuleRecord>, mut database: Database, time: Time) {
        database.set_limits(module.limits);
        let timetable = Timetable::new(&database);
        self.timers = timetable.begin(time, &self.timetable, &self.timers);
        self.timetable = Arc::new(timetable);
        self.tracks_sessions = database.schema().tracks_sessions();
        self.joins = module.joins(database.schema());
        self.database = database;
        self.earlier.push((self.module.code, self.module_since));
        let over = self.earlier.len().saturating_sub(MODULES_EARLIER_MAX);
        self.earlier.drain(..over);
        self.module = module;
        self.version += 1;
        self.module_since = self.revision.next();
        self.moving = Moving::No;
    }

    /// What its calls in an entry of this time share. The seed is the mount's and the same in every entry: each call
    /// brings a place of its own in the stream, so that neither depends on where batches are cut.
    pub(crate) fn context(&self, time: Time) -> EntryContext {
        let mut bytes = b"isx:random\0".to_vec();
        self.id.put(&mut bytes);
        self.incarnation.put(&mut bytes);
        EntryContext { time, seed: ContentHash::of(&bytes).digest }
    }

    /// The invocation of a call.
    pub(crate) fn invocation<'a>(&self, call: &'a ReducerCall, nonce: u64) -> Invocation<'a> {
        Invocation {
            mount: self.id,
            cause: Cause::Call,
            name: &call.name,
            signature: call.signature,
            arguments: &call.payload,
            caller: call.principal,
            trusted: call.trusted,
            session: call.session.map(|session| session.session),
            hops: 0,
            place: nonce,
            fuel_max: self.module.fuel_max,
        }
    }

    /// The invocation of a hook that no call sets off: on behalf of who made the mount.
    pub(crate) fn hook<'a>(&self, cause: Cause, name: &'a str, arguments: &'a [u8], nonce: u64) -> Invocation<'a> {
        Invocation {
            mount: self.id,
            cause,
            name,
            signature: Signature::ANY,
            arguments,
            caller: self.creator,
            trusted: true,
            session: None,
            hops: 0,
            place: nonce,
            fuel_max: self.module.fuel_max,
        }
    }

    /// Whether a session may be connected, or is.
    ///
    /// # Errors
    /// `expired` for a session that is another's or too old, `busy` at a bound.
    pub(crate) fn check_connect(&self, session: SessionId, principal: &Principal, time: Time) -> Result<(), Error> {
        self.presence.check(session, principal)?;
        self.sessions.check(session, principal, time)
    }

    /// Whether a tick forgets sessions of it. Those that wait for rows to move are none that idle.
    pub(crate) fn is_ticking(&self, time: Time) -> bool {
        !self.moving.is_waiting() && self.sessions.is_due(time)
    }

    /// Whether it has messages that are to be delivered now.
    pub(crate) fn is_sending(&self) -> bool {
        self.database.outbox_len() > 0 && self.moving.is_at_rest()
    }

    /// When the first of its schedules and rows that become due runs.
    pub(crate) fn next_timer(&self) -> Option<Time> {
        if !self.moving.is_at_rest() {
            return None;
        }
        self.timetable.next(&self.timers, &self.database)
    }

    /// Counts a committed transaction and keeps its changes; gives them, if there are any that subscribers may see.
    pub(crate) fn commit(&mut self, time: Time, changes: isx_store::Changes) -> Option<Arc<Transaction>> {
        self.revision = self.revision.next();
        self.changed = time;
        // What waits to be delivered is no subscriber's.
        let changes = changes.without(|table| self.database.is_post(table));
        if changes.is_empty() {
            return None;
        }
        let transaction = Arc::new(Transaction { revision: self.revision, changes });
        self.ring.push(Arc::clone(&transaction));
        Some(transaction)
    }

    /// The hash over everything of the mount that replicas must agree on.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(512);
        self.put_head(&mut bytes);
        self.database.state_hash().put(&mut bytes);
        self.sessions.hash_into(&mut bytes);
        self.ring.hash_into(&mut bytes);
        ContentHash::of(&bytes).digest
    }

    /// Appends what a mount is beside tables, sessions and ring; the module by its hash.
    fn put_head(&self, out: &mut Vec<u8>) {
        self.id.put(out);
        self.incarnation.put(out);
        self.revision.put(out);
        self.changed.put(out);
        self.version.put(out);
        self.module_since.put(out);
        put_earlier(&self.earlier, out);
        self.creator.put(out);
        self.module.code.put(out);
        self.module.fuel_max.put(out);
        ContentHash::of(&self.module.config).put(out);
        self.timers.put(out);
        self.presence.hash_into(out);
        self.inbox.hash_into(out);
        self.moving.put(out);
    }
}

/// What a call gets for what its execution did, the mount being at the revision it committed.
pub(crate) fn outcome(result: &Result<Vec<u8>, Error>, detail: Option<&Vec<u8>>, revision: Revision) -> Outcome {
    let large = |revision, answer: &[u8]| Outcome::Large {
        revision,
        hash: ContentHash::of(answer),
        bytes: u32::try_from(answer.len()).unwrap_or(u32::MAX),
    };
    match (result, detail) {
        (Ok(payload), _) if payload.len() > VALUE_BYTES_MAX => large(Some(revision), payload),
        (Ok(payload), _) => Outcome::Answer { revision, payload: payload.clone() },
        (Err(error), Some(detail)) if error.code == Code::Application && detail.len() > VALUE_BYTES_MAX => {
            large(None, detail)
        }
        (Err(error), Some(detail)) if error.code == Code::Application => {
            Outcome::Application { detail: detail.clone(), text: cut(&error.text) }
        }
        (Err(error), _) => Outcome::Refused(Error { text: cut(&error.text), ..error.clone() }),
    }
}

impl From<&Effect> for Executed {
    fn from(effect: &Effect) -> Self {
        Self {
            outcome: effect.outcome.clone(),
            detail: effect.detail.clone(),
            fuel: effect.fuel,
            host_calls: 0,
            changes: effect.changes.clone(),
            log: Vec::new(),
            reads: Reads::default(),
            joined: effect
                .joined
                .iter()
                .map(|joined| JoinedChanges { mount: joined.mount, changes: joined.changes.clone(), log: Vec::new() })
                .collect(),
        }
    }
}

/// A text as formats hold it, so that an answer given and an answer kept are the same.
pub(crate) fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(ERROR_TEXT_BYTES_MAX)].to_owned()
}

pub(crate) fn schema(module: &ModuleRecord) -> Result<Arc<Schema>, Error> {
    Schema::decode(&module.schema).map(Arc::new)
}
