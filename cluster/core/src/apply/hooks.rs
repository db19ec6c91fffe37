//! Requests that run a hook which no call sets off: mounts that are made and upgraded, timers, sessions that come and go.

use super::bundle::Bundle;
use super::post::link;
use super::{Place, Run, mounted, no_mount, skipped};
use crate::group::MountsGroup;
use crate::limits::SESSION_ROWS_REMOVED_MAX;
use crate::machine::{Hold, LogLine};
use crate::mount::{Mount, outcome, schema};
use crate::moving::Moving;
use crate::outcome::Outcome;
use crate::presence::Connected;
use crate::request::ModuleRecord;
use crate::timers::{Firing, What, hook_on};
use isx_row::codec::encode_record;
use isx_row::schema::{Fill, Hook, Schema, TableKind, Way};
use isx_row::{Code, ContentHash, Incarnation, MountId, Principal, SessionId, Value};
use isx_store::{Cause, Changes, Database, Invocation, TableId};
use std::sync::Arc;

/// The encoded arguments of a function that takes none: version 0.
const NOTHING: [u8; 2] = [0, 0];

impl Run<'_> {
    pub(super) fn create(
        &mut self,
        group: &mut MountsGroup,
        place: Place,
        (id, incarnation, creator): (MountId, Incarnation, Principal),
        module: &Arc<ModuleRecord>,
    ) -> Result<Outcome, Hold> {
        if let Some(slot) = group.mounts.get(&id) {
            return Ok(match &slot.mount {
                mount if mount.incarnation == incarnation => mounted(mount),
                _ => Outcome::refused(Code::Taken, "the mount is there with another incarnation"),
            });
        }
        let new = || Mount::new(id, incarnation, Arc::clone(module), creator, self.time);
        let mut mount = match group.check_new(&id).and_then(|()| new()) {
            Ok(mount) => mount,
            Err(error) => return Ok(Outcome::Refused(error)),
        };
        // A mount whose `init` fails is not made; whoever drives its creation removes it again.
        if let Err(failed) = self.begin(&mut mount, None, place, (&Hook::Init, &[]))? {
            return Ok(failed);
        }
        let outcome = mounted(&mount);
        group.put(mount);
        Ok(outcome)
    }

    pub(super) fn upgrade(
        &mut self,
        group: &mut MountsGroup,
        place: Place,
        id: &MountId,
        expected: &ContentHash,
        (module, way): (&Arc<ModuleRecord>, Way),
    ) -> Result<Outcome, Hold> {
        let Some(slot) = group.mounts.get(id) else { return Ok(no_mount()) };
        if slot.mount.moving.is_waiting() {
            let mount = Arc::clone(&slot.mount);
            let Some((candidate, moved, rows)) = group.migration(&mount) else { return Ok(no_mount()) };
            if candidate.module == *module {
                return Ok(Outcome::Migrating { moved, rows });
            }
            // To have what is there is to withdraw what is on its way.
            if mount.module == *module {
                let candidate = Arc::clone(candidate);
                let withdrawn = Outcome::refused(Code::Conflict, "the module before was published again");
                self.give_up(group, &mount, &candidate, &withdrawn);
                return Ok(mounted(&mount));
            }
            return Ok(Outcome::Refused(Moving::busy()));
        }
        if slot.mount.module == *module {
            return Ok(mounted(&slot.mount));
        }
        if slot.mount.module.code != *expected {
            return Ok(Outcome::refused(Code::Conflict, "the mount has other code than expected"));
        }
        let old = Arc::clone(&slot.mount);
        let begun =
            schema(module).and_then(|schema| old.database.moves(&schema, way)).and_then(|moves| match &moves[..] {
                [] => Ok(None),
                moves => Self::begin_moving(group, &old, (module, way), moves).map(Some),
            });
        match begun {
            Ok(None) => {}
            Ok(Some(migrating)) => return Ok(migrating),
            Err(error) => return Ok(Outcome::Refused(error)),
        }
        let mut mount = Mount::clone(&old);
        if let Err(error) = mount.upgrade(Arc::clone(module), self.time) {
            return Ok(Outcome::Refused(error));
        }
        if let Err(failed) = self.begin_upgraded(&mut mount, &old, place)? {
            return Ok(failed);
        }
        let outcome = mounted(&mount);
        group.put(mount);
        Ok(outcome)
    }

    /// Begins a mount's life under a module that replaces another.
    pub(super) fn begin_upgraded(
        &mut self,
        mount: &mut Mount,
        old: &Mount,
        place: Place,
    ) -> Result<Result<(), Outcome>, Hold> {
        let before = Value::String(old.database.schema().version.clone());
        self.begin(mount, Some(old), place, (&Hook::Upgrade, &[before]))
    }

    /// Begins a mount's life under a module: makes its links, then runs the hook of that, which may take as many of these as it
    /// likes, as a transaction; without one that is empty. What fails leaves no effect.
    fn begin(
        &mut self,
        mount: &mut Mount,
        before: Option<&Mount>,
        place: Place,
        (event, given): (&Hook, &[Value]),
    ) -> Result<Result<(), Outcome>, Hold> {
        let effects = self.effects.mounts.get(&mount.id).cloned();
        match link(mount, before) {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => self.commit(mount, changes),
            Err(error) => return Ok(Err(Outcome::Refused(error))),
        }
        let schema = Arc::clone(mount.database.schema());
        let Some((name, takes)) = hook_on(&schema, event) else {
            self.commit(mount, Changes::default());
            return Ok(Ok(()));
        };
        let arguments = encode_record(0, takes, given.get(..takes.len()).unwrap_or_default()).unwrap_or_default();
        let hook = mount.hook(Cause::Hook, name, &arguments, place.1);
        // What begins reaches into no other mount.
        let run = self.run_hook(mount, &mut Bundle::default(), place, hook)?;
        if run.is_err() {
            match effects {
                Some(effects) => drop(self.effects.mounts.insert(mount.id, effects)),
                None => drop(self.effects.mounts.remove(&mount.id)),
            }
        }
        Ok(run)
    }

    /// Runs what time has set off first. Whatever becomes of its hook, it is not run again: the schedule goes on, the row
    /// goes. Why it failed is in the mount's log.
    pub(super) fn fire(
        &mut self,
        group: &mut MountsGroup,
        bundle: &mut Bundle,
        place: Place,
        id: &MountId,
    ) -> Result<Outcome, Hold> {
        let Some(slot) = group.mounts.get_mut(id) else { return Ok(no_mount()) };
        let Mount { timetable, timers, database, .. } = &*slot.mount;
        let Some(Firing { hook, arguments, what }) = timetable.first(timers, database, self.time, self.planted) else {
            return Ok(Outcome::Done);
        };
        let mount = Arc::make_mut(&mut slot.mount);
        let cause = match what {
            What::Schedule(next) => {
                mount.timers.set(&hook, next);
                Cause::Hook
            }
            What::Row(_) => Cause::Due,
        };
        let run = mount.hook(cause, &hook, &arguments, place.1);
        if let Err(failed) = self.run_hook(mount, bundle, place, run)? {
            self.log_failure(*id, &hook, &failed);
            if let What::Row(table) = what {
                let changes = delete(&mut mount.database, table, &arguments);
                self.commit(mount, changes);
            }
        }
        group.reseal(id);
        Ok(Outcome::Done)
    }

    /// Connects a session, if the module's hook lets it.
    pub(super) fn connect(
        &mut self,
        group: &mut MountsGroup,
        bundle: &mut Bundle,
        place: Place,
        id: &MountId,
        (session, principal): (SessionId, Principal),
    ) -> Result<Outcome, Hold> {
        let Some(slot) = group.mounts.get_mut(id) else { return Ok(no_mount()) };
        if let Err(error) = slot.mount.check_connect(session, &principal, self.time) {
            return Ok(Outcome::Refused(error));
        }
        if slot.mount.presence.get(session).is_some() {
            return Ok(Outcome::Done);
        }
        let mount = Arc::make_mut(&mut slot.mount);
        let schema = Arc::clone(mount.database.schema());
        if let Some((name, _)) = hook_on(&schema, &Hook::Connect) {
            let hook = mount.hook(Cause::Hook, name, &NOTHING, place.1);
            let hook = Invocation { caller: principal, session: Some(session), ..hook };
            if let Err(failed) = self.run_hook(mount, bundle, place, hook)? {
                group.reseal(id);
                return Ok(failed);
            }
        }
        mount.presence.set(session, Some(Connected { principal, leaving: false }));
        group.reseal(id);
        Ok(Outcome::Done)
    }

    /// Ends a session: its hook runs once, then its rows go, so many at a time.
    pub(super) fn disconnect(
        &mut self,
        group: &mut MountsGroup,
        bundle: &mut Bundle,
        place: Place,
        id: &MountId,
        session: SessionId,
    ) -> Result<Outcome, Hold> {
        let Some(slot) = group.mounts.get_mut(id) else { return Ok(no_mount()) };
        let Some(connected) = slot.mount.presence.get(session) else { return Ok(Outcome::Done) };
        let mount = Arc::make_mut(&mut slot.mount);
        let schema = Arc::clone(mount.database.schema());
        if let Some((name, _)) = hook_on(&schema, &Hook::Disconnect).filter(|_| !connected.leaving) {
            let hook = mount.hook(Cause::Hook, name, &NOTHING, place.1);
            let hook = Invocation { caller: connected.principal, session: Some(session), ..hook };
            if let Err(failed) = self.run_hook(mount, bundle, place, hook)? {
                self.log_failure(*id, name, &failed);
            }
        }
        let (changes, more) = remove_session(&mut mount.database, &schema, session);
        if !changes.is_empty() {
            self.commit(mount, changes);
        }
        mount.presence.set(session, more.then_some(Connected { leaving: true, ..connected }));
        group.reseal(id);
        Ok(Outcome::Done)
    }

    pub(super) fn log_failure(&mut self, mount: MountId, hook: &str, failed: &Outcome) {
        let text = format!("the hook {hook} failed: {}", why(failed));
        self.effects.log.push(LogLine { mount, time: self.time, level: 1, text });
    }

    /// Runs a hook that no call sets off, as a transaction, and commits it; or gives the outcome of its failure, and then
    /// only the log lines are kept.
    pub(super) fn run_hook(
        &mut self,
        mount: &mut Mount,
        bundle: &mut Bundle,
        (position, _): Place,
        hook: Invocation<'_>,
    ) -> Result<Result<(), Outcome>, Hold> {
        if self.skips.contains(&(self.index, position as u32)) {
            return Ok(Err(skipped()));
        }
        let executed = self.execute(mount, bundle, &[position], &[hook])?;
        for done in executed {
            let outcome = outcome(&done.outcome, done.detail.as_ref(), mount.revision.next());
            self.keep(mount, bundle, done);
            match outcome {
                Outcome::Answer { .. } | Outcome::Large { revision: Some(_), .. } => (),
                failed => return Ok(Err(failed)),
            }
        }
        Ok(Ok(()))
    }
}

/// A transaction that deletes a row and sets nothing off.
fn delete(database: &mut Database, table: TableId, key: &[u8]) -> Changes {
    let mut transaction = database.begin();
    match transaction.delete(table, key) {
        Ok(_) => transaction.commit(),
        Err(_) => Changes::default(),
    }
}

/// A transaction that removes rows of a session, and sets nothing off; whether there are more.
fn remove_session(database: &mut Database, schema: &Schema, session: SessionId) -> (Changes, bool) {
    let of_sessions = schema.tables.iter().filter(|table| table.kind == TableKind::Session);
    let tables: Vec<TableId> = of_sessions.filter_map(|table| database.table(&table.name)).collect();
    let mut transaction = database.begin();
    let mut left = SESSION_ROWS_REMOVED_MAX;
    for table in tables {
        let Some(index) = transaction.index(table, Fill::SESSION) else { continue };
        while let Ok(Some(row)) = transaction.find(table, index, &session.0) {
            if left == 0 {
                return (transaction.commit(), true);
            }
            left -= 1;
            let key = transaction.database().key_of(table, &row);
            // Removing gives room and has no rules: it fails when a transaction is full.
            if key.and_then(|key| transaction.delete(table, &key)).is_err() {
                return (transaction.commit(), true);
            }
        }
    }
    (transaction.commit(), false)
}

pub(super) fn why(failed: &Outcome) -> String {
    match failed {
        Outcome::Application { text, .. } => text.clone(),
        Outcome::Refused(error) => error.to_string(),
        _ => "its own error is larger than is kept".into(),
    }
}
