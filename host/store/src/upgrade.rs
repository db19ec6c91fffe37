//! Changes of a schema.
//!
//! Compatible ones, columns added behind with defaults, tables added, indexes dropped or relaxed, touch no row: rows keep the
//! version they were written under and are completed when they are read. Others move rows: [`Database::moving_to`] gives a
//! database without those rows, and whoever moves them puts them there one after another while the one before stays as it is.

use crate::changes::{Change, Changes};
use crate::database::{Database, Usage};
use crate::packed::{Key, Row};
use crate::plan::{Plan, TableId, TablePlan, Versions, no_table};
use crate::post;
use crate::table::{IndexState, TableState};
use isx_row::schema::{Fate, Schema, Table, Way};
use isx_row::{Code, Error};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A table whose rows an upgrade moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The table, in the database before.
    pub table: TableId,
    /// Its name.
    pub name: String,
    /// How.
    pub how: How,
}

/// How rows move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// They are put into the table as they are.
    Whole,
    /// They are put there without the columns that it does not have.
    Cut,
    /// This hook takes them, with so many of their columns.
    Hook(String, u16),
    /// They do not: they go.
    Lost,
}

impl Database {
    /// The same rows under a new schema; this root stays as it is. Table ids stay, added tables get the next ones.
    ///
    /// # Errors
    /// `incompatible` when a table is missing or its kind, key, numbering or present columns differ, or an added column
    /// lacks a default or a new version; `unsupported` when rows would have to move; whatever [`Database::new`] refuses. Each
    /// names the table.
    pub fn with_schema(&self, schema: Arc<Schema>) -> Result<Self, Error> {
        match self.moves(&schema, Way::On)?.first() {
            None => self.under(schema, &[]),
            Some(moved) => {
                let text = format!("table {}: its rows would have to move", moved.name);
                Err(Error::new(Code::Unsupported, text))
            }
        }
    }

    /// The tables whose rows have to move for a new schema, this way, in the order of their ids.
    ///
    /// # Errors
    /// `incompatible` as [`Database::with_schema`]; also for a hook that takes other rows.
    pub fn moves(&self, schema: &Schema, way: Way) -> Result<Vec<Move>, Error> {
        let mut moves = Vec::new();
        for old in self.plan.tables.iter().filter(|old| !old.is_post) {
            let name = &old.table.name;
            let how = match schema.fate(&old.table, way).map_err(|why| incompatible(&old.table, &why))? {
                Fate::Kept | Fate::Forgotten => continue,
                Fate::Indexed if self.row_count(old.id) == Some(0) => continue,
                Fate::Indexed => How::Whole,
                Fate::Cut => How::Cut,
                Fate::Lost => How::Lost,
                Fate::Migrated { hook, columns } => {
                    How::Hook(hook.name.clone(), u16::try_from(columns).unwrap_or(u16::MAX))
                }
            };
            moves.push(Move { table: old.id, name: name.clone(), how });
        }
        Ok(moves)
    }

    /// A database under a new schema to which these moves are to be made: the tables that move are empty in it, all others as
    /// here. What is written to it before [`Database::set_moving`] is written as given: no column is stamped.
    ///
    /// # Errors
    /// Whatever [`Database::new`] refuses.
    pub fn moving_to(&self, schema: Arc<Schema>, moves: &[Move]) -> Result<Self, Error> {
        Ok(Self { is_moving: true, ..self.under(schema, moves)? })
    }

    /// Whether rows are still being moved here.
    pub fn is_moving(&self) -> bool {
        self.is_moving
    }

    /// The same database when every row has been moved, or is still to be.
    pub fn set_moving(&mut self, is_moving: bool) {
        self.is_moving = is_moving;
    }

    /// Puts a row of the database before into the table of the same name, as it is stored there, or cut.
    ///
    /// # Errors
    /// `incompatible` for a value that its column does not have here, `duplicate` for a taken key of a unique index, `limit` when a key is too long or the database full. The database is good
    /// for nothing then.
    pub fn put_moved(&mut self, before: &Self, moved: &Move, key: &Key) -> Result<Changes, Error> {
        let table = self.table(&moved.name).ok_or_else(|| no_table(moved.table))?;
        let (old, state) = before.parts(moved.table)?;
        let row = state.rows.get(key);
        let row = match moved.how {
            How::Cut => row.map(|row| cut(old, row, self.plan.table(table)?)).transpose()?,
            _ => row.cloned(),
        };
        let changes = Changes::new(vec![Change { table, key: key.clone(), old: None, new: row }], Vec::new());
        self.install(&changes)?;
        if self.usage.bytes > self.limits.bytes_max {
            return Err(Error::new(Code::Limit, format!("table {}: the mount is full", moved.name)));
        }
        Ok(changes)
    }

    fn under(&self, schema: Arc<Schema>, moves: &[Move]) -> Result<Self, Error> {
        let present: BTreeSet<&str> = self.plan.tables.iter().map(|plan| plan.table.name.as_str()).collect();
        let mut added = schema.stored().map(|table| table.name.as_str()).filter(|name| !present.contains(name));
        let is_stored = |name: &str| schema.table(name).is_some_and(|table| table.kind.is_stored());
        let is_there = |name: &str| is_stored(name) || post::table(name).is_some() && !post::is_gone(name);
        // Ids stay, as they are in the hashes of rows; that of a table that is gone goes to the next that comes.
        let mut names: Vec<String> = Vec::new();
        for (id, old) in self.plan.tables.iter().enumerate() {
            names.push(match is_there(&old.table.name) {
                true => old.table.name.clone(),
                false => added.next().map_or_else(|| post::gone(id), str::to_owned),
            });
        }
        names.extend(added.map(str::to_owned));
        let plan = Plan::new(schema.clone(), names.iter().map(String::as_str))?;
        let mut tables = Vec::with_capacity(plan.tables.len());
        for new in &plan.tables {
            let moves = moves.iter().any(|moved| moved.name == new.table.name);
            tables.push(match self.table(&new.table.name).and_then(|id| self.parts(id).ok()) {
                Some((old, state)) if !moves => carry(old, state, new)?,
                // Numbers are never given out again.
                Some((_, state)) => TableState { last: state.last, ..TableState::new(new) },
                None => TableState::new(new),
            });
        }
        let indexed = |tables: &[TableState]| {
            tables.iter().flat_map(|table| &table.indexes).map(|index| index.bytes).sum::<u64>()
        };
        let mut bytes = self.usage.bytes.saturating_sub(indexed(&self.tables)) + indexed(&tables);
        let mut rows = self.usage.rows;
        for (_, state) in moves.iter().filter_map(|moved| self.parts(moved.table).ok()) {
            bytes = bytes.saturating_sub(state.bytes);
            rows = rows.saturating_sub(state.rows.len() as u64);
        }
        let usage = Usage { bytes, rows };
        Ok(Self { plan: Arc::new(plan), tables, usage, limits: self.limits, is_moving: false })
    }
}

/// A row with the first of its columns, which are those of `new`.
fn cut(old: &TablePlan, row: &Row, new: &TablePlan) -> Result<Row, Error> {
    let unknown = |why: &dyn std::fmt::Display| incompatible(&new.table, &format!("a row is none of it: {why}"));
    let members: Option<Vec<&[u8]>> = (0..new.table.columns.len()).map(|position| old.member(row, position)).collect();
    let members = members.ok_or_else(|| unknown(&"a column is missing"))?;
    let layout = new.table.layout(new.table.version);
    let cut = layout.assemble(new.table.version, &members).map_err(|error| unknown(&error))?;
    new.check(&cut, Versions::Present).map_err(|error| unknown(&error.text))?;
    Ok(Row::new(&cut))
}

/// A table's state under its new declaration.
fn carry(old: &TablePlan, state: &TableState, new: &TablePlan) -> Result<TableState, Error> {
    let mut indexes = Vec::with_capacity(new.table.indexes.len());
    for index in &new.table.indexes {
        let same = old.table.indexes.iter().position(|other| index.follows(other));
        indexes.push(match same.and_then(|position| state.indexes.get(position)) {
            Some(index) => index.clone(),
            None if state.rows.is_empty() => IndexState::default(),
            None => {
                let text = format!("table {}: index {} on rows that are there already", new.table.name, index.name);
                return Err(Error::new(Code::Unsupported, text));
            }
        });
    }
    Ok(TableState { rows: state.rows.clone(), indexes, sum: state.sum, bytes: state.bytes, last: state.last })
}

fn incompatible(table: &Table, what: &str) -> Error {
    Error::new(Code::Incompatible, format!("table {}: {what}", table.name))
}
