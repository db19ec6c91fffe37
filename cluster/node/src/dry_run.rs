//! Dry runs: what a call would do to a version of a mount, told and not done.

use isx_cluster::{MountView, ReducerCall};
use isx_iface::limits::PAGE_BYTES_MAX;
use isx_iface::module::{DryRun, JoinedRun, RowChanged, WouldRefuse};
use isx_row::{Bytes, Code, Error, MountId};
use isx_store::{Change, Database, EntryContext, Executed, Executor, JoinedChanges, Row};

/// Tries a call.
///
/// # Errors
/// `busy` when the executor can not run it now.
pub(crate) fn dry_run(
    mount: &MountView<'_>,
    executor: &dyn Executor,
    call: &ReducerCall,
    entry: &EntryContext,
) -> Result<DryRun, Error> {
    let executed = mount.dry_run(executor, call, entry);
    let (executed, roots) =
        executed.map_err(|hold| Error::new(Code::Busy, format!("the call can not be tried now: {hold:?}")))?;
    let Executed { outcome, detail, fuel, changes, log, joined, .. } = executed;
    let database = mount.database();
    let (mut room, mut told) = (PAGE_BYTES_MAX / 2, Vec::new());
    let (mut changes_count, mut messages_count) = (0, 0);
    for change in &changes {
        if database.is_post(change.table) {
            messages_count += u64::from(database.is_outbox(change.table));
            continue;
        }
        changes_count += 1;
        let (changed, bytes) = row_changed(database, change)?;
        // In order: what follows one that does not fit is not told either.
        room = room.saturating_sub(bytes);
        if room > 0 {
            told.push(changed);
        }
    }
    let mut room = PAGE_BYTES_MAX / 8;
    let fits = |line: &String| {
        room = room.saturating_sub(line.len() + 8);
        room > 0
    };
    let log = log.into_iter().map(|(_, text)| text).take_while(fits).collect();
    let (answer, refused) = match outcome {
        Ok(answer) => (Some(Bytes(answer)), None),
        Err(error) => {
            // One without a type of its own, or larger than what is left of a page, is told by its text alone.
            let fits = |detail: &Vec<u8>| !detail.is_empty() && detail.len() < PAGE_BYTES_MAX / 4;
            let detail = detail.filter(fits).map(Bytes);
            (None, Some(WouldRefuse { code: error.code as u16, text: error.text, detail }))
        }
    };
    let answer = match answer {
        Some(Bytes(bytes)) if bytes.len() > PAGE_BYTES_MAX / 4 => {
            let text = format!("the answer of {} bytes is larger than a dry run tells", bytes.len());
            return Err(Error::new(Code::Limit, text));
        }
        answer => answer,
    };
    let revision = mount.revision().0;
    let links = &mount.module().links;
    let path = |id: MountId| {
        links.iter().find(|link| link.mount == id).map_or_else(|| id.to_string(), |link| link.path.clone())
    };
    let mut elsewhere = Vec::new();
    for JoinedChanges { mount, changes, .. } in joined {
        let Some(root) = roots.iter().find(|root| root.mount == mount).map(|joined| &joined.root) else { continue };
        messages_count += changes.iter().filter(|change| root.is_outbox(change.table)).count() as u64;
        let changes_count = changes.iter().filter(|change| !root.is_post(change.table)).count() as u64;
        if changes_count > 0 {
            elsewhere.push(JoinedRun { path: path(mount), changes_count });
        }
    }
    Ok(DryRun { revision, answer, refused, fuel, changes: told, changes_count, messages_count, joined: elsewhere, log })
}

/// A change as its table's present version has it, and about how many bytes it takes.
fn row_changed(database: &Database, change: &Change) -> Result<(RowChanged, usize), Error> {
    let complete = |row: &Option<Row>| -> Result<Option<Bytes>, Error> {
        let row = row.as_ref().map(|row| database.complete(change.table, row)).transpose()?;
        Ok(row.map(|row| Bytes(row.to_vec())))
    };
    let table = database.table_schema(change.table).map(|table| table.name.clone()).unwrap_or_default();
    let changed = RowChanged { table, old: complete(&change.old)?, new: complete(&change.new)? };
    let length = |row: &Option<Bytes>| row.as_ref().map_or(0, |row| row.0.len());
    let bytes = changed.table.len() + length(&changed.old) + length(&changed.new) + 32;
    Ok((changed, bytes))
}
