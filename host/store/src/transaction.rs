//! Transactions: changes in place with a log of how to undo them.

use crate::changes::{Change, Changes, net};
use crate::database::{Database, Usage};
use crate::limits::{TRANSACTION_BYTES_MAX, TRANSACTION_CHANGES_MAX};
use crate::packed::Row;
use crate::plan::{IndexId, Stamps, TableId, TablePlan, Versions};
use crate::scan::{Chunk, Position, Scan};
use crate::table::{self, TableState};
use isx_row::{Code, Error, SessionId, Time};
use std::borrow::BorrowMut;
use std::collections::BTreeMap;

/// A transaction on a root that it borrows, or, as `Transaction<Database>`, owns. It sees what it did; nobody else holds
/// the root meanwhile. Dropped, it is rolled back.
pub struct Transaction<D: BorrowMut<Database>> {
    database: D,
    undo: Vec<Undo>,
    /// Bytes of the changes in `undo`.
    bytes: usize,
    stamps: Stamps,
}

/// A place in a transaction to roll back to. Means nothing to another transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(usize);

enum Undo {
    Row(Change),
    Counter { table: TableId, before: u64 },
}

impl<D: BorrowMut<Database>> Transaction<D> {
    pub(crate) fn new(database: D) -> Self {
        Self { database, undo: Vec::new(), bytes: 0, stamps: Stamps::default() }
    }

    /// Says at which log time the transaction happens: what it writes into columns that tell when a row was inserted or
    /// changed, from now on. 1970 before.
    pub fn set_time(&mut self, time: Time) {
        self.stamps.time = time;
    }

    /// Says whose session inserts rows from now on; none before.
    pub fn set_session(&mut self, session: Option<SessionId>) {
        self.stamps.session = session;
    }

    /// The root as the transaction has changed it. A clone of it keeps what may still be rolled back: only for a dry run.
    pub fn database(&self) -> &Database {
        self.database.borrow()
    }

    /// As [`Database::table`].
    pub fn table(&self, name: &str) -> Option<TableId> {
        self.database().table(name)
    }

    /// As [`Database::index`].
    pub fn index(&self, table: TableId, name: &str) -> Option<IndexId> {
        self.database().index(table, name)
    }

    /// As [`Database::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, Error> {
        self.database().get(table, key)
    }

    /// As [`Database::find`].
    ///
    /// # Errors
    /// As there.
    pub fn find(&self, table: TableId, index: IndexId, key: &[u8]) -> Result<Option<Row>, Error> {
        self.database().find(table, index, key)
    }

    /// As [`Database::scan`]. What is changed between chunks is seen where the scan has not been yet.
    ///
    /// # Errors
    /// As there.
    pub fn scan(
        &self,
        scan: &Scan<'_>,
        after: Option<&Position>,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        self.database().scan(scan, after, rows_max, bytes_max)
    }

    /// Inserts a row given by its canonical bytes; returns it as stored. An auto_inc column that is 0 gets the number after
    /// the largest that was given out or inserted; columns that tell when a row was inserted or changed get the
    /// transaction's time, whatever the row has in them.
    ///
    /// # Errors
    /// `malformed` for bytes that are no row of the table's present version; `duplicate` when the primary key or a unique
    /// index has it; `limit` when a key is too long, the numbers are used up, the database is full or the transaction too
    /// large; `bad_arguments` for a row of a session when there is none.
    pub fn insert(&mut self, table: TableId, row: &[u8]) -> Result<Row, Error> {
        // Rows that are moved keep what was written into them.
        let as_given = self.database().is_moving;
        let (plan, state, usage, limits) = split(self.database.borrow_mut(), table)?;
        plan.check(row, Versions::Present)?;
        let stamped;
        let row = match as_given || plan.stamps.is_empty() {
            true => row,
            false => {
                stamped = plan.stamped(row, None, self.stamps)?;
                &stamped
            }
        };
        let (row, number) = match plan.auto_inc {
            None => (Row::new(row), None),
            Some(auto_inc) => match auto_inc.read(row) {
                Some(0) if state.last >= auto_inc.max() => {
                    return Err(Error::new(Code::Limit, format!("table {}: auto_inc is used up", plan.table.name)));
                }
                Some(0) => (Row::new(&auto_inc.write(row, state.last + 1)), Some(state.last + 1)),
                given => (Row::new(row), given.filter(|given| *given > state.last)),
            },
        };
        let key = plan.key(&row)?;
        if state.rows.contains_key(&key) {
            return Err(Error::new(Code::Duplicate, format!("table {}: the primary key is taken", plan.table.name)));
        }
        let entries = plan.entries(&row, &key)?;
        state.check_unique(plan, &key, &entries)?;
        let cost = table::cost(&key, &row, &entries);
        let is_full = usage.rows >= limits.rows_max || usage.bytes.saturating_add(cost.bytes) > limits.bytes_max;
        if is_full && !plan.is_post {
            return Err(full(*usage, plan));
        }
        let change = Change { table, key, old: None, new: Some(row.clone()) };
        self.bytes = within_limits(self.undo.len(), self.bytes, &change)?;
        if let Some(number) = number {
            self.undo.push(Undo::Counter { table, before: state.last });
            state.last = number;
        }
        state.put(plan, &change.key, row.clone(), entries, usage);
        self.undo.push(Undo::Row(change));
        Ok(row)
    }

    /// Puts a row given by its canonical bytes in the place of the one with its primary key; returns that, completed, and
    /// the row as stored: the column that tells when it was inserted is as it was, the one that tells when it was changed
    /// has the transaction's time.
    ///
    /// # Errors
    /// `no_row` when there is none; else as [`Transaction::insert`]; a row that shrinks is never refused for a full
    /// database.
    pub fn update(&mut self, table: TableId, row: &[u8]) -> Result<(Row, Row), Error> {
        let as_given = self.database().is_moving;
        let (plan, state, usage, limits) = split(self.database.borrow_mut(), table)?;
        plan.check(row, Versions::Present)?;
        let key = plan.key(row)?;
        let old = state.rows.get(&key).cloned().ok_or_else(|| no_row(plan))?;
        let row = match as_given || plan.stamps.is_empty() {
            true => Row::new(row),
            false => Row::new(&plan.stamped(row, Some(&old), self.stamps)?),
        };
        let entries = plan.entries(&row, &key)?;
        state.check_unique(plan, &key, &entries)?;
        let before = table::cost(&key, &old, &plan.entries(&old, &key)?).bytes;
        let after = table::cost(&key, &row, &entries).bytes;
        if after > before && usage.bytes.saturating_add(after - before) > limits.bytes_max && !plan.is_post {
            return Err(full(*usage, plan));
        }
        let completed = plan.complete(&old);
        let change = Change { table, key, old: Some(old), new: Some(row.clone()) };
        self.bytes = within_limits(self.undo.len(), self.bytes, &change)?;
        state.put(plan, &change.key, row.clone(), entries, usage);
        self.undo.push(Undo::Row(change));
        Ok((completed, row))
    }

    /// Deletes the row under a primary key; returns it, completed.
    ///
    /// # Errors
    /// `no_row` when there is none; `limit` when the transaction is too large.
    pub fn delete(&mut self, table: TableId, key: &[u8]) -> Result<Row, Error> {
        let (plan, state, usage, _) = split(self.database.borrow_mut(), table)?;
        let (key, old) = state.rows.get_key_value(key).ok_or_else(|| no_row(plan))?;
        let change = Change { table, key: key.clone(), old: Some(old.clone()), new: None };
        let completed = plan.complete(old);
        self.bytes = within_limits(self.undo.len(), self.bytes, &change)?;
        state.take(plan, &change.key, usage);
        self.undo.push(Undo::Row(change));
        Ok(completed)
    }

    /// A place to roll back to. Costs nothing.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Undoes what was done since the savepoint, at the cost of having done it. The savepoint stays; later ones are spent.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        let database = self.database.borrow_mut();
        while self.undo.len() > savepoint.0 {
            match self.undo.pop() {
                Some(Undo::Row(change)) => {
                    self.bytes = self.bytes.saturating_sub(change.len());
                    let Ok((plan, state, usage, _)) = split(database, change.table) else { continue };
                    match change.old {
                        None => drop(state.take(plan, &change.key, usage)),
                        Some(old) => {
                            // The row was stored: its keys can be made again.
                            let entries = plan.entries(&old, &change.key).unwrap_or_default();
                            state.put(plan, &change.key, old, entries, usage);
                        }
                    }
                }
                Some(Undo::Counter { table, before }) => {
                    if let Ok((_, state, _, _)) = split(database, table) {
                        state.last = before;
                    }
                }
                None => break,
            }
        }
    }

    /// Undoes everything; the transaction goes on as a new one.
    pub fn rollback(&mut self) {
        self.rollback_to(Savepoint(0));
    }

    /// Keeps everything: what is left of the transaction is a new one.
    fn keep(&mut self) -> Changes {
        let database = self.database.borrow_mut();
        let mut counters = BTreeMap::new();
        let mut rows = Vec::with_capacity(self.undo.len());
        for undo in self.undo.drain(..) {
            match undo {
                Undo::Row(change) => rows.push(change),
                Undo::Counter { table, before } => drop(counters.entry(table).or_insert(before)),
            }
        }
        self.bytes = 0;
        let rows = net(rows);
        for change in &rows {
            let Ok((plan, state, usage, _)) = split(database, change.table) else { continue };
            if !plan.is_durable() {
                state.take(plan, &change.key, usage);
            }
        }
        let last = |table: TableId| database.tables.get(usize::from(table.0)).map(|state| state.last);
        let counters = counters.into_keys().filter_map(|table| Some((table, last(table)?))).collect();
        Changes::new(rows, counters)
    }

    /// Installs changes as one transaction of their own.
    pub(crate) fn install(mut self, changes: &Changes) -> Result<(), Error> {
        let conflict = |plan: &TablePlan, what: &str| {
            Error::new(Code::Conflict, format!("changes of table {}: {what}", plan.table.name))
        };
        // Everything goes before anything comes: rows may have exchanged the keys of a unique index.
        for change in changes {
            let (plan, state, usage, _) = split(self.database.borrow_mut(), change.table)?;
            if let Some(new) = &change.new {
                plan.check(new, Versions::Any)?;
                if plan.key(new)? != change.key {
                    return Err(Error::new(
                        Code::Malformed,
                        format!("table {}: a row under another key", plan.table.name),
                    ));
                }
            }
            if state.rows.get(&change.key) != change.old.as_ref() {
                return Err(conflict(plan, "the row is another"));
            }
            if let Some(old) = state.take(plan, &change.key, usage) {
                let (table, key) = (change.table, change.key.clone());
                self.undo.push(Undo::Row(Change { table, key, old: Some(old), new: None }));
            }
        }
        for change in changes {
            let (plan, state, usage, _) = split(self.database.borrow_mut(), change.table)?;
            let Some(new) = change.new.as_ref().filter(|_| plan.is_durable()) else { continue };
            if state.rows.contains_key(&change.key) {
                return Err(conflict(plan, "a row comes twice"));
            }
            let entries = plan.entries(new, &change.key)?;
            state.check_unique(plan, &change.key, &entries)?;
            state.put(plan, &change.key, new.clone(), entries, usage);
            let (table, key) = (change.table, change.key.clone());
            self.undo.push(Undo::Row(Change { table, key, old: None, new: Some(new.clone()) }));
        }
        for &(table, last) in changes.counters() {
            let (plan, state, _, _) = split(self.database.borrow_mut(), table)?;
            if plan.auto_inc.is_none() || last <= state.last {
                return Err(conflict(plan, "the counter is another"));
            }
            self.undo.push(Undo::Counter { table, before: state.last });
            state.last = last;
        }
        self.undo.clear();
        Ok(())
    }
}

impl Transaction<&mut Database> {
    /// Keeps everything and returns it as changes. Rows of event tables leave the database here and stay in the changes.
    pub fn commit(mut self) -> Changes {
        self.keep()
    }
}

impl Transaction<Database> {
    /// As for a borrowed root; the transaction goes on as a new one.
    pub fn commit(&mut self) -> Changes {
        self.keep()
    }

    /// Rolls back what is not committed and gives the root back.
    pub fn into_database(mut self) -> Database {
        self.rollback();
        std::mem::take(&mut self.database)
    }
}

impl<D: BorrowMut<Database>> Drop for Transaction<D> {
    fn drop(&mut self) {
        self.rollback();
    }
}

type Parts<'a> = (&'a TablePlan, &'a mut TableState, &'a mut Usage, crate::Limits);

fn split(database: &mut Database, table: TableId) -> Result<Parts<'_>, Error> {
    let plan = database.plan.table(table)?;
    let state = database.tables.get_mut(usize::from(table.0)).ok_or_else(|| crate::plan::no_table(table))?;
    Ok((plan, state, &mut database.usage, database.limits))
}

/// The bytes of the transaction with one more change.
fn within_limits(count: usize, bytes: usize, change: &Change) -> Result<usize, Error> {
    let bytes = bytes + change.len();
    match count < TRANSACTION_CHANGES_MAX && bytes <= TRANSACTION_BYTES_MAX {
        true => Ok(bytes),
        false => Err(Error::new(
            Code::Limit,
            "the transaction changes too much: TRANSACTION_BYTES_MAX or TRANSACTION_CHANGES_MAX",
        )),
    }
}

fn full(usage: Usage, plan: &TablePlan) -> Error {
    let text =
        format!("table {}: the database is full, it holds {} rows, {} bytes", plan.table.name, usage.rows, usage.bytes);
    Error::new(Code::Limit, text)
}

fn no_row(plan: &TablePlan) -> Error {
    Error::new(Code::NoRow, format!("table {}", plan.table.name))
}
