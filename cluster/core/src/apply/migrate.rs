//! Requests that move the rows of a mount to the tables of a new module: an upgrade that rows do not fit begins it, each
//! [`Migrate`](crate::Request::Migrate) moves some, the last ends it as an upgrade ends.

use super::hooks::why;
use super::{Engine, Place, Run, held, no_mount, skipped};
use crate::entry::Effect;
use crate::group::MountsGroup;
use crate::limits::{MIGRATE_BYTES_MAX, MIGRATE_ROWS_MAX, MIGRATE_SLICE_ROWS};
use crate::machine::{Hold, LogLine};
use crate::mount::{Mount, cut, outcome, schema};
use crate::moving::Moving;
use crate::outcome::Outcome;
use crate::planted::Bug;
use crate::request::ModuleRecord;
use isx_row::schema::Way;
use isx_row::{Code, Error, MountId};
use isx_store::{Cause, Changes, Database, How, Key, Move, Position, Row, Scan};
use std::sync::Arc;

/// Rows that move next, with one request or some.
struct Chunk {
    /// The table's place among those that move.
    table: u16,
    rows: Vec<(Key, Row)>,
    /// The table has no more.
    is_last: bool,
}

impl Run<'_> {
    /// Begins to move the rows of a mount to a module.
    pub(super) fn begin_moving(
        group: &mut MountsGroup,
        mount: &Mount,
        (module, way): (&Arc<ModuleRecord>, Way),
        moves: &[Move],
    ) -> Result<Outcome, Error> {
        let mut database = mount.database.moving_to(schema(module)?, moves)?;
        database.set_limits(module.limits);
        let candidate = mount.candidate_id();
        group.check_moving()?;
        let moving = Moving::Candidate { way, moved: 0, table: 0, after: None };
        let made = Mount {
            database,
            moving,
            ..Mount::new(candidate, mount.incarnation, Arc::clone(module), mount.creator, mount.changed)?
        };
        group.put(Mount { moving: Moving::Waits, ..mount.clone() });
        group.put(made);
        Ok(Outcome::Migrating { moved: 0, rows: mount.rows_of(moves) })
    }

    /// Moves the next rows, if so many have moved before.
    pub(super) fn migrate(
        &mut self,
        group: &mut MountsGroup,
        place: Place,
        id: &MountId,
        expected: u64,
    ) -> Result<Outcome, Hold> {
        let Some(slot) = group.mounts.get(id) else { return Ok(no_mount()) };
        let mount = Arc::clone(&slot.mount);
        if !mount.moving.is_waiting() {
            return Ok(Outcome::refused(Code::Conflict, "no rows of the mount move"));
        }
        let Some(slot) = group.mounts.get(&mount.candidate_id()) else {
            let error = Error::new(Code::Fatal, "where its rows move to is not there");
            return Ok(self.give_up(group, &mount, &mount, &Outcome::Refused(error)));
        };
        let mut candidate = Mount::clone(&slot.mount);
        let Moving::Candidate { way, moved, table, after } = candidate.moving.clone() else {
            return Ok(Outcome::refused(Code::Conflict, "no rows of the mount move"));
        };
        let moves = mount.database.moves(candidate.database.schema(), way);
        let next = moves.and_then(|moves| {
            let chunk = next_chunk(&mount.database, &moves, table, after.as_deref())?;
            Ok((mount.rows_of(&moves), moves, chunk))
        });
        let (rows, moves, chunk) = match next {
            Ok(next) => next,
            Err(error) => return Ok(self.give_up(group, &mount, &candidate, &Outcome::Refused(error))),
        };
        if moved != expected {
            return Ok(Outcome::Migrating { moved, rows });
        }
        let Some(mut chunk) = chunk else { return self.end_moving(group, place, &mount, candidate) };
        if self.planted.has(Bug::RowLeftBehind) && chunk.is_last {
            chunk.rows.pop();
        }
        let step = match self.skips.contains(&(self.index, place.0 as u32)) {
            true => Err(skipped()),
            false => self.move_rows(&mount, &mut candidate, &moves, (&chunk, moved), place)?,
        };
        let count = match step {
            Ok(count) => count,
            Err(failed) => return Ok(self.give_up(group, &mount, &candidate, &failed)),
        };
        let is_last = chunk.is_last && count == chunk.rows.len();
        let moved = moved.saturating_add(count as u64);
        let last = chunk.rows.get(..count).and_then(<[_]>::last).map(|(key, _)| key.to_vec());
        let (table, after) = match is_last {
            true => (table.saturating_add(1), None),
            false => (table, last.or(after)),
        };
        candidate.moving = Moving::Candidate { way, moved, table, after };
        group.put(candidate);
        Ok(Outcome::Migrating { moved, rows })
    }

    /// Moves a chunk, or the beginning of it; how many rows, or why one of them can not be moved.
    fn move_rows(
        &mut self,
        mount: &Mount,
        candidate: &mut Mount,
        moves: &[Move],
        (chunk, moved): (&Chunk, u64),
        place: Place,
    ) -> Result<Result<usize, Outcome>, Hold> {
        let before = candidate.database.state_hash();
        if let Engine::Install = self.engine {
            return self.install_moved(candidate, place.0, before);
        }
        let Some(of) = moves.get(usize::from(chunk.table)) else { return Ok(Ok(0)) };
        let mut changes = Vec::new();
        let done = match &of.how {
            How::Hook(hook, columns) => {
                let run = (hook.as_str(), *columns, of);
                self.run_migration(mount, candidate, run, (chunk, moved), (place, &mut changes))?
            }
            How::Whole | How::Cut | How::Lost => chunk
                .rows
                .iter()
                .try_for_each(|(key, _)| {
                    changes.push(candidate.database.put_moved(&mount.database, of, key)?);
                    Ok(())
                })
                .map(|()| chunk.rows.len()),
        };
        let after = candidate.database.state_hash();
        if let Engine::Record(_, effects) = &mut self.engine {
            let changes = changes.into_iter().reduce(Changes::then).unwrap_or_default();
            let (outcome, changes, after) = match &done {
                Ok(count) => (Ok((*count as u64).to_le_bytes().to_vec()), changes, after),
                Err(error) => (Err(error.clone()), Changes::default(), before),
            };
            let joined = Vec::new();
            effects.insert(place.0, Effect { outcome, detail: None, fuel: 0, before, after, changes, joined });
        }
        Ok(done.map_err(Outcome::Refused))
    }

    /// Runs the hook with the rows of a chunk until they are all moved, or a call's fuel is used up; how many.
    fn run_migration(
        &mut self,
        mount: &Mount,
        candidate: &mut Mount,
        (hook, columns, of): (&str, u16, &Move),
        (chunk, moved): (&Chunk, u64),
        ((position, nonce), changes): (Place, &mut Vec<Changes>),
    ) -> Result<Result<usize, Error>, Hold> {
        let (context, code) = (candidate.context(self.time), candidate.module.code);
        let (mut fuel, mut count) = (0_u64, 0);
        for slice in chunk.rows.chunks(MIGRATE_SLICE_ROWS) {
            let arguments = slice.iter().map(|(_, row)| mount.database.hook_arguments(of.table, columns, &[row]));
            let arguments: Vec<Vec<u8>> = match arguments.collect() {
                Ok(arguments) => arguments,
                Err(error) => return Ok(Err(error)),
            };
            // Each row has a place of its own in the mount's randomness, wherever chunks are cut.
            let place = |row: usize| nonce ^ moved.saturating_add((count + row) as u64).wrapping_mul(SPREAD);
            let call = |(row, arguments)| candidate.hook(Cause::Hook, hook, arguments, place(row));
            let calls: Vec<_> = arguments.iter().map(Vec::as_slice).enumerate().map(call).collect();
            let (executor, is_recorded) = match &self.engine {
                Engine::Execute(executor) => (*executor, false),
                Engine::Record(executor, _) => (*executor, true),
                Engine::Install => return Ok(Ok(count)),
            };
            let executed = executor.execute(&code, &mut candidate.database, &context, &calls);
            for (done, (key, _)) in executed.map_err(|hold| held(hold, |_| position))?.into_iter().zip(slice) {
                let line = |(level, text)| LogLine { mount: mount.id, time: self.time, level, text };
                self.effects.log.extend(done.log.into_iter().map(line));
                fuel = fuel.saturating_add(done.fuel);
                if done.outcome.is_err() {
                    let why = why(&outcome(&done.outcome, done.detail.as_ref(), candidate.revision));
                    let key: String = key.iter().take(SHOWN_KEY_BYTES).map(|byte| format!("{byte:02x}")).collect();
                    let text = format!("table {}, row with the key {key}: {hook}: {why}", of.name);
                    return Ok(Err(Error::new(Code::Application, cut(&text))));
                }
                if is_recorded {
                    changes.push(done.changes);
                }
            }
            count += slice.len();
            if fuel >= candidate.module.fuel_max {
                break;
            }
        }
        Ok(Ok(count))
    }

    /// Installs what a step did where it was executed; how many rows it moved.
    fn install_moved(
        &self,
        candidate: &mut Mount,
        position: usize,
        before: [u8; 32],
    ) -> Result<Result<usize, Outcome>, Hold> {
        let diverged = || Hold::Diverged { position };
        let effect = self.entry.records.get(position).and_then(|record| record.effect.as_ref()).ok_or_else(diverged)?;
        if effect.before != before {
            return Err(diverged());
        }
        let count = match &effect.outcome {
            Ok(count) => count.as_slice().try_into().map_err(|_| diverged())?,
            Err(error) => return Ok(Err(Outcome::Refused(error.clone()))),
        };
        let installed = candidate.database.install(&effect.changes).is_ok();
        match installed && candidate.database.state_hash() == effect.after {
            true => Ok(Ok(usize::try_from(u64::from_le_bytes(count)).map_err(|_| diverged())?)),
            false => Err(diverged()),
        }
    }

    /// Ends an upgrade whose rows have all moved.
    fn end_moving(
        &mut self,
        group: &mut MountsGroup,
        place: Place,
        mount: &Arc<Mount>,
        candidate: Mount,
    ) -> Result<Outcome, Hold> {
        let module = Arc::clone(&candidate.module);
        let mut database: Database = candidate.database.clone();
        database.set_moving(false);
        let mut upgraded = Mount { moving: Moving::No, ..Mount::clone(mount) };
        upgraded.take_module(module, database, self.time);
        // Changes from before are of other rows: who follows begins again.
        upgraded.ring.forget(upgraded.revision.next());
        match self.begin_upgraded(&mut upgraded, mount, place)? {
            Err(failed) => Ok(self.give_up(group, mount, &candidate, &failed)),
            Ok(()) => {
                let outcome = super::mounted(&upgraded);
                group.take_out(&candidate.id);
                group.put(upgraded);
                Ok(outcome)
            }
        }
    }

    /// Ends an upgrade whose rows can not be moved: the mount is as it was.
    pub(super) fn give_up(
        &mut self,
        group: &mut MountsGroup,
        mount: &Mount,
        candidate: &Mount,
        failed: &Outcome,
    ) -> Outcome {
        let text = why(failed);
        let text = cut(&text);
        let line = format!("the migration to {} failed: {text}", candidate.module.code);
        self.effects.log.push(LogLine { mount: mount.id, time: self.time, level: 1, text: line });
        group.take_out(&candidate.id);
        let moving = Moving::Failed { code: candidate.module.code, text };
        group.put(Mount { moving, ..mount.clone() });
        failed.clone()
    }
}

/// Bytes of a key that an error shows.
const SHOWN_KEY_BYTES: usize = 32;

/// An odd number, so that no two rows of a migration get the same place.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The rows that move next; none when all have.
fn next_chunk(database: &Database, moves: &[Move], table: u16, after: Option<&[u8]>) -> Result<Option<Chunk>, Error> {
    let Some(moved) = moves.get(usize::from(table)) else { return Ok(None) };
    if moved.how == How::Lost {
        return Ok(Some(Chunk { table, rows: Vec::new(), is_last: true }));
    }
    let after = after.map(|key| Position::from_bytes(key.to_vec()));
    let chunk = database.scan(&Scan::all(moved.table), after.as_ref(), MIGRATE_ROWS_MAX, MIGRATE_BYTES_MAX)?;
    Ok(Some(Chunk { table, is_last: chunk.next.is_none(), rows: chunk.rows }))
}
