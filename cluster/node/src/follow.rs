//! Following a table: the rows of one revision, or what came after a cursor, then what comes. Views: [`live`]; volatile
//! tables: [`values`].

pub(crate) mod live;
pub(crate) mod values;

use crate::gauges::Follower;
use crate::limits::{FOLLOW_PART_BYTES_MAX, FOLLOW_PROGRESS_REVISIONS, FOLLOW_ROWS_MAX};
use crate::planted::Bug;
use crate::shared::{Shared, mount_in};
use crate::source::{self, Source};
use isx_cluster::{Resume, View};
use isx_iface::payload::encode_value;
use isx_iface::table::{Changed, Part, RowChange};
use isx_iface::{Item, Items};
use isx_raft::{Follow, Group};
use isx_row::{Bytes, Code, Error, Incarnation, MountId, Revision};
use isx_store::{Change, Database, Position, Scan, TableId};
use std::collections::VecDeque;
use std::sync::Arc;

/// The table followed.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) group: Group,
    pub(crate) mount: MountId,
    pub(crate) table: TableId,
    /// As it was when it was begun to be followed.
    pub(crate) begun: Arc<isx_row::schema::Table>,
}

/// The items of a table after a cursor, or from its rows now.
///
/// # Errors
/// `gone` when the mount is no longer there.
pub(crate) fn follow(
    shared: &Arc<Shared>,
    table: Table,
    after: Option<(Incarnation, Revision)>,
) -> Result<Items, Error> {
    // Followed before the first look, so that nothing falls between.
    let follow = shared.raft.follow(table.group)?;
    let view = shared.raft.view(table.group)?;
    mount_in(&view, &table.mount)?;
    let at = match after {
        Some((incarnation, _)) if shared.planted.has(Bug::ResumeSkips) => {
            At::Changes((incarnation, mount_in(&view, &table.mount)?.revision()))
        }
        Some((incarnation, Revision(revision))) if shared.planted.has(Bug::ResumeRepeats) => {
            At::Changes((incarnation, Revision(revision.saturating_sub(1))))
        }
        Some(cursor) => At::Changes(cursor),
        None => At::Rows(Box::new(Rows::of(view.clone(), &table)?)),
    };

    let counted = shared.gauges.follower();
    let following = Following { follow, view, table, at, ready: VecDeque::new(), _counted: counted };
    Ok(source::stream(following))
}

struct Following {
    follow: Follow,
    /// The newest version seen.
    view: View,
    table: Table,
    at: At,
    ready: VecDeque<Item>,
    _counted: Follower,
}

/// Where a follower is.
enum At {
    /// Within the rows of one revision.
    Rows(Box<Rows>),
    /// After a revision, through changes.
    Changes((Incarnation, Revision)),
}

/// The rows of one version, taken part by part.
struct Rows {
    view: View,
    cursor: (Incarnation, Revision),
    position: Option<Position>,
    number: u32,
}

impl Rows {
    /// # Errors
    /// `gone` or `stale_bindings` when the table has become another than the one that was to be followed.
    fn of(view: View, table: &Table) -> Result<Self, Error> {
        let mount = mount_in(&view, &table.mount)?;
        let name = &table.begun.name;
        let there = mount.database().table_schema(table.table).filter(|there| there.name == *name);
        let there = there.ok_or_else(|| Error::new(Code::Gone, format!("table {name} is not there any more")))?;
        if let Err(why) = there.follows(&table.begun) {
            return Err(Error::new(Code::StaleBindings, format!("table {name} is another now: {why}")));
        }
        let cursor = (mount.incarnation(), mount.revision());
        Ok(Self { view, cursor, position: None, number: 0 })
    }

    /// The next part, and whether it is the last.
    fn part(&mut self, table: &Table) -> Result<(Item, bool), Error> {
        let mount = mount_in(&self.view, &table.mount)?;
        let rows_max = FOLLOW_ROWS_MAX;
        let scan = Scan::all(table.table);
        let chunk = mount.database().scan(&scan, self.position.as_ref(), rows_max, FOLLOW_PART_BYTES_MAX)?;
        let present = |row: &[u8]| Changed { what: RowChange::Present, old: None, new: Some(Bytes(row.to_vec())) };
        let changes = chunk.rows.iter().map(|(_, row)| present(row)).collect();
        let last = chunk.next.is_none();
        // Only with the last part the rows are whole: who is cut off before has nothing to continue from.
        let cursor = if last { self.cursor } else { Default::default() };
        let item = item(cursor, Part { number: self.number, last, reset: true, changes })?;
        self.position = chunk.next;
        self.number = self.number.saturating_add(1);
        Ok((item, last))
    }
}

impl Source for Following {
    type Item = Item;

    async fn next(&mut self) -> Option<Result<Item, Error>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(Ok(item));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => self.view = self.follow.next().await?.view,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Following {
    /// Makes items ready, or moves on; false when there is nothing until the next version.
    fn advance(&mut self) -> Result<bool, Error> {
        let (incarnation, revision) = match &mut self.at {
            At::Rows(rows) => {
                let (item, last) = rows.part(&self.table)?;
                let cursor = rows.cursor;
                self.ready.push_back(item);
                if last {
                    self.at = At::Changes(cursor);
                }
                return Ok(true);
            }
            At::Changes(cursor) => *cursor,
        };
        let mount = mount_in(&self.view, &self.table.mount)?;
        match mount.changes_after(incarnation, revision) {
            Resume::Continue { through, .. } if through == revision => Ok(false),
            Resume::Continue { transactions, through } => {
                let changes = transactions.iter().flat_map(|transaction| transaction.changes.iter());
                let ours = changes.filter(|change| change.table == self.table.table);
                let changed = ours.map(|change| changed(mount.database(), change)).collect::<Result<Vec<_>, _>>()?;
                // A follower of a quiet table hears from time to time how far the mount is, so that its cursor stays
                // within the ring.
                if !changed.is_empty() || through.0 - revision.0 >= FOLLOW_PROGRESS_REVISIONS {
                    self.ready = parts((incarnation, through), (incarnation, revision), false, changed)?;
                    self.at = At::Changes((incarnation, through));
                    return Ok(true);
                }
                let newest = through == mount.revision();
                if !newest {
                    self.at = At::Changes((incarnation, through));
                }
                Ok(!newest)
            }
            Resume::Reset(_) => {
                self.at = At::Rows(Box::new(Rows::of(self.view.clone(), &self.table)?));
                Ok(true)
            }
            Resume::Ahead(_) => Ok(false),
        }
    }
}

fn changed(database: &Database, change: &Change) -> Result<Changed, Error> {
    let row = |row: &Option<isx_store::Row>| {
        let complete = row.as_ref().map(|row| database.complete(change.table, row)).transpose()?;
        Ok::<_, Error>(complete.map(|row| Bytes(row.to_vec())))
    };
    let what = match (&change.old, &change.new) {
        (None, _) => RowChange::Insert,
        (Some(_), Some(_)) => RowChange::Update,
        (Some(_), None) => RowChange::Delete,
    };
    Ok(Changed { what, old: row(&change.old)?, new: row(&change.new)? })
}

/// A step in parts that fit into payloads: all but the last carry the cursor before the step.
fn parts(
    cursor: (Incarnation, Revision),
    before: (Incarnation, Revision),
    reset: bool,
    changes: Vec<Changed>,
) -> Result<VecDeque<Item>, Error> {
    let size = |change: &Changed| {
        let row = |row: &Option<Bytes>| row.as_ref().map_or(0, |row| row.0.len());
        row(&change.old) + row(&change.new) + 32
    };
    let mut parts: Vec<Vec<Changed>> = vec![Vec::new()];
    let mut bytes = 0;
    for mut change in changes {
        // A row before and after may together be larger than a payload: then only the row after travels.
        if size(&change) > FOLLOW_PART_BYTES_MAX && change.new.is_some() {
            change.old = None;
        }
        bytes += size(&change);
        if bytes > FOLLOW_PART_BYTES_MAX && parts.last().is_some_and(|part| !part.is_empty()) {
            bytes = size(&change);
            parts.push(Vec::new());
        }
        parts.last_mut().into_iter().for_each(|part| part.push(change.clone()));
    }
    let count = parts.len();
    let part = |(number, changes)| {
        let last = number + 1 == count;
        let cursor = if last { cursor } else { before };
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        item(cursor, Part { number, last, reset, changes })
    };
    parts.into_iter().enumerate().map(part).collect()
}

fn item(cursor: (Incarnation, Revision), part: Part) -> Result<Item, Error> {
    Ok(Item { cursor, payload: encode_value(part)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_anchors::GroupId;
    use isx_cluster::twin::Twin;
    use isx_cluster::{Entry, EntryHeader, FEATURE_LEVEL, Machine, ReducerCall, Request};
    use isx_iface::payload::decode_value;
    use isx_row::{Principal, Time, Value};
    use isx_store::Executor;

    const MOUNT: MountId = MountId([7; 16]);

    fn put(number: usize) -> Request {
        let arguments = [Value::String(number.to_string()), Value::Bytes(vec![1; 8])];
        let call = ReducerCall::new(MOUNT, "put", Twin::arguments("put", &arguments));
        Request::Call(Box::new(ReducerCall { trusted: true, ..call }))
    }

    /// A version with this many rows in its mount's table.
    fn view(rows_count: usize) -> View {
        let twin = Twin::default();
        let mut machine = Machine::new(GroupId::MOUNTS, twin.execution_id());
        let header = EntryHeader { level: FEATURE_LEVEL, execution: twin.execution_id(), time: Time(1) };
        let create = Request::CreateMount {
            mount: MOUNT,
            incarnation: Incarnation(1),
            module: Twin::module(1),
            creator: Principal::anonymous(),
        };
        for (index, request) in std::iter::once(create).chain((0..rows_count).map(put)).enumerate() {
            let entry = Entry::pack(header, &[7; 32], [&request.pack().unwrap()]).unwrap();
            machine.apply(index as u64 + 1, &Entry::decode(&entry).unwrap(), &twin).unwrap();
        }
        machine.view()
    }

    /// The cursors of the parts in which first rows travel, and the rows of each.
    fn first_rows(rows_count: usize) -> Vec<((Incarnation, Revision), usize)> {
        let view = view(rows_count);
        let table = view.mount(&MOUNT).unwrap().database().table("kv").unwrap();
        let begun = view.mount(&MOUNT).unwrap().database().table_schema(table).unwrap().clone().into();
        let table = Table { group: Group(1), mount: MOUNT, table, begun };
        let mut rows = Rows::of(view, &table).unwrap();
        let mut parts = Vec::new();
        loop {
            let (item, last) = rows.part(&table).unwrap();
            let part: Part = decode_value(&item.payload).unwrap();
            parts.push((item.cursor, part.changes.len()));
            if last {
                return parts;
            }
        }
    }

    #[test]
    fn first_rows_can_be_continued_only_when_they_are_whole() {
        let whole = |rows_count: usize| (Incarnation(1), Revision(rows_count as u64 + 1));
        // The twin's `init` makes one row more.
        assert_eq!(first_rows(0), [(whole(0), 1)]);
        let none = (Incarnation::default(), Revision::default());
        assert_eq!(first_rows(FOLLOW_ROWS_MAX), [(none, FOLLOW_ROWS_MAX), (whole(FOLLOW_ROWS_MAX), 1)]);
    }
}
