//! A root of one mount's tables.

use crate::changes::{Change, Changes};
use crate::hash::Sum;
use crate::limits::{DATABASE_BYTES_MAX_DEFAULT, DATABASE_ROWS_MAX_DEFAULT};
use crate::packed::{Entry, Key, Row};
use crate::plan::{IndexId, Plan, TableId, TablePlan, Versions, no_table};
use crate::scan::{Chunk, Position, Scan};
use crate::snapshot::Snapshot;
use crate::table::{self, TableState};
use crate::transaction::Transaction;
use isx_row::schema::{Schema, Table};
use isx_row::{Code, Error};
use std::fmt;
use std::sync::Arc;

/// A root of one mount's tables. A clone is another root of the same version: it costs a few words a table and shares
/// the rows.
#[derive(Clone)]
pub struct Database {
    pub(crate) plan: Arc<Plan>,
    /// By table id.
    pub(crate) tables: Vec<TableState>,
    pub(crate) usage: Usage,
    pub(crate) limits: Limits,
    /// Rows of a database before are being moved here.
    pub(crate) is_moving: bool,
}

/// What a database may hold. Part of its state: every replica refuses the same inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, as [`Usage`] counts them.
    pub bytes_max: u64,
    /// Rows.
    pub rows_max: u64,
}

/// What a database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of keys, rows and index entries with what they cost in memory; equal on every replica.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes_max: DATABASE_BYTES_MAX_DEFAULT, rows_max: DATABASE_ROWS_MAX_DEFAULT }
    }
}

impl Usage {
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.rows += other.rows;
    }

    pub(crate) fn subtract(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.rows = self.rows.saturating_sub(other.rows);
    }
}

/// A database without tables.
impl Default for Database {
    fn default() -> Self {
        Self::empty(Arc::new(Plan::empty()))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("module", &self.plan.schema.name)
            .field("usage", &self.usage)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// The empty database of a schema: of its volatile tables it knows nothing.
    ///
    /// # Errors
    /// Whatever [`Schema::check`] refuses.
    pub fn new(schema: Arc<Schema>) -> Result<Self, Error> {
        let plan = Plan::new(schema.clone(), schema.stored().map(|table| table.name.as_str()))?;
        Ok(Self::empty(Arc::new(plan)))
    }

    pub(crate) fn empty(plan: Arc<Plan>) -> Self {
        let tables = plan.tables.iter().map(TableState::new).collect();
        Self { plan, tables, usage: Usage::default(), limits: Limits::default(), is_moving: false }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.plan.schema
    }

    /// The table called `name`.
    pub fn table(&self, name: &str) -> Option<TableId> {
        self.plan.id(name)
    }

    /// The declaration of a table.
    pub fn table_schema(&self, table: TableId) -> Option<&Table> {
        self.plan.table(table).ok().map(|plan| &plan.table)
    }

    /// The secondary index of a table called `name`.
    pub fn index(&self, table: TableId, name: &str) -> Option<IndexId> {
        let indexes = &self.table_schema(table)?.indexes;
        indexes.iter().position(|index| index.name == name).and_then(|at| u16::try_from(at).ok()).map(IndexId)
    }

    /// The number of rows of a table.
    pub fn row_count(&self, table: TableId) -> Option<u64> {
        self.tables.get(usize::from(table.0)).map(|state| state.rows.len() as u64)
    }

    /// What the database holds.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// What the database may hold.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes what the database may hold; it may hold more already, then inserts are refused.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The primary key of a row of a table.
    ///
    /// # Errors
    /// `malformed` when the bytes are no row of the table, `limit` when the key is too long.
    pub fn key_of(&self, table: TableId, row: &[u8]) -> Result<Key, Error> {
        let plan = self.plan.table(table)?;
        plan.check(row, Versions::Any)?;
        plan.key(row)
    }

    /// The row as the table's present version has it: what [`Changes`] hold is what is stored, and rows written
    /// before an upgrade keep their form until they are written again.
    ///
    /// # Errors
    /// `not_found` for a table that is not there.
    pub fn complete(&self, table: TableId, row: &Row) -> Result<Row, Error> {
        Ok(self.plan.table(table)?.complete(row))
    }

    /// What a change's row before and its row after have in an index.
    pub(crate) fn entries_of(&self, change: &Change, index: IndexId) -> Result<(Option<Entry>, Option<Entry>), Error> {
        let plan = self.plan.table(change.table)?;
        let of = plan.indexes.get(usize::from(index.0)).ok_or_else(|| no_index(plan, index))?;
        let entry = |row: &Option<Row>| row.as_ref().map(|row| plan.entry(of, row, &change.key)).transpose();
        Ok((entry(&change.old)?, entry(&change.new)?))
    }

    /// A column of a row that this database gave, by its position in the table: the standalone encoding of the value.
    ///
    /// # Errors
    /// `not_found` for a table or column that is not there.
    pub fn column<'a>(&'a self, table: TableId, row: &'a Row, position: usize) -> Result<&'a [u8], Error> {
        let plan = self.plan.table(table)?;
        let missing = || Error::new(Code::NotFound, format!("table {}: column {position}", plan.table.name));
        plan.member(row, position).ok_or_else(missing)
    }

    /// The row under a primary key.
    ///
    /// # Errors
    /// `not_found` for a table that is not there.
    pub fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Row>, Error> {
        let (plan, state) = self.parts(table)?;
        Ok(state.rows.get(&Key::new(key)).map(|row| plan.complete(row)))
    }

    /// The first row, by primary key, whose indexed columns have this key, or begin with it; the only one if the index
    /// is unique and the key whole.
    ///
    /// # Errors
    /// `not_found` for a table or index that is not there.
    pub fn find(&self, table: TableId, index: IndexId, key: &[u8]) -> Result<Option<Row>, Error> {
        let (plan, state) = self.parts(table)?;
        let index = state.indexes.get(usize::from(index.0)).ok_or_else(|| no_index(plan, index))?;
        let entry = index.first(key).filter(|entry| table::indexed(entry).starts_with(key));
        Ok(entry.and_then(|entry| state.rows.get(table::primary(entry))).map(|row| plan.complete(row)))
    }

    /// The entries of an index in its order: the key of the indexed columns, and the row's primary key.
    ///
    /// # Errors
    /// `not_found` for a table or index that is not there.
    pub fn entries(&self, table: TableId, index: IndexId) -> Result<impl Iterator<Item = (&[u8], &[u8])>, Error> {
        let (plan, state) = self.parts(table)?;
        let index = state.indexes.get(usize::from(index.0)).ok_or_else(|| no_index(plan, index))?;
        Ok(index.entries.iter().map(|entry| (table::indexed(entry), table::primary(entry))))
    }

    /// One chunk of a scan: at most `rows_max` rows, and no more once `bytes_max` bytes are reached; both are bounded by
    /// [`crate::limits`], and one row is always taken. Give the chunk's `next` to go on.
    ///
    /// # Errors
    /// `not_found` for a table or index that is not there.
    pub fn scan(
        &self,
        scan: &Scan<'_>,
        after: Option<&Position>,
        rows_max: usize,
        bytes_max: usize,
    ) -> Result<Chunk, Error> {
        scan.chunk(self, after, rows_max, bytes_max)
    }

    /// Begins a transaction on this root. Dropped without a commit it is rolled back.
    pub fn begin(&mut self) -> Transaction<&mut Self> {
        Transaction::new(self)
    }

    /// As [`Database::begin`], for holders that can not borrow: the transaction owns the root until
    /// [`Transaction::into_database`].
    pub fn into_transaction(self) -> Transaction<Self> {
        Transaction::new(self)
    }

    /// Does what a transaction on a root of this state did, without running it.
    ///
    /// # Errors
    /// `conflict` when the changes were not made on this state, `malformed` or `duplicate` when no transaction can have
    /// made them; the database is as it was then.
    pub fn install(&mut self, changes: &Changes) -> Result<(), Error> {
        self.begin().install(changes)
    }

    /// The hash of everything here that replicas must agree on: schema, table ids, limits, rows, counters. Costs time in
    /// proportion to the tables, not the rows.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"isx:state\x01").update(&self.plan.identity);
        hasher.update(&self.limits.bytes_max.to_le_bytes()).update(&self.limits.rows_max.to_le_bytes());
        for (plan, state) in self.plan.tables.iter().zip(&self.tables) {
            hasher.update(&plan.id.0.to_le_bytes()).update(&(plan.table.name.len() as u32).to_le_bytes());
            hasher.update(plan.table.name.as_bytes()).update(&(state.rows.len() as u64).to_le_bytes());
            hasher.update(&state.sum.bytes()).update(&state.last.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// A snapshot of this version, made while its chunks are asked for.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.clone())
    }

    /// Computes from the rows what is kept as they come and go, and compares: hash sums, indexes, account. Costs time in
    /// proportion to the rows: for scrubs and tests.
    ///
    /// # Errors
    /// `fatal`, naming the table whose state is damaged.
    pub fn audit(&self) -> Result<(), Error> {
        let mut usage = Usage::default();
        for (plan, state) in self.plan.tables.iter().zip(&self.tables) {
            let damaged = |what: &str| Error::new(Code::Fatal, format!("table {}: {what}", plan.table.name));
            let mut sum = Sum::default();
            let mut bytes = 0;
            for (key, row) in &state.rows {
                bytes += table::cost(key, row, &[]).bytes;
                plan.check(row, Versions::Any)?;
                let entries = plan.entries(row, key)?;
                sum.add(Sum::of_row(plan.id, key, row));
                usage.add(table::cost(key, row, &entries));
                if plan.key(row)? != *key {
                    return Err(damaged("a row is under a key that is not its own"));
                }
                let indexed = entries.iter().zip(&state.indexes).all(|(entry, index)| index.entries.contains(entry));
                if !indexed {
                    return Err(damaged("a row is missing from an index"));
                }
            }
            if sum != state.sum {
                return Err(damaged("the hash is not that of the rows"));
            }
            if bytes != state.bytes {
                return Err(damaged("the account is not that of its rows"));
            }
            if state.indexes.iter().any(|index| index.entries.len() != state.rows.len()) {
                return Err(damaged("an index has entries without rows"));
            }
        }
        match usage == self.usage {
            true => Ok(()),
            false => Err(Error::new(Code::Fatal, "the account is not that of the rows")),
        }
    }

    pub(crate) fn parts(&self, table: TableId) -> Result<(&TablePlan, &TableState), Error> {
        let state = self.tables.get(usize::from(table.0)).ok_or_else(|| no_table(table))?;
        Ok((self.plan.table(table)?, state))
    }
}

/// The refusal of an index id that the table does not have.
pub(crate) fn no_index(plan: &TablePlan, index: IndexId) -> Error {
    Error::new(Code::NotFound, format!("index {} of table {}", index.0, plan.table.name))
}
