//! Compatible changes of a schema: columns added behind with defaults, tables added, indexes dropped or relaxed. No row
//! is touched: rows keep the version they were written under and are completed when they are read.

use crate::database::{Database, Usage};
use crate::plan::{Plan, TablePlan};
use crate::table::{IndexState, TableState};
use isx_row::schema::{Schema, Table};
use isx_row::{Code, Error};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Database {
    /// The same rows under a new schema; this root stays as it is. Table ids stay, added tables get the next ones.
    ///
    /// # Errors
    /// `incompatible` when a table is missing or its kind, key, numbering or present columns differ, or an added column
    /// lacks a default or a new version; `unsupported` for an index that existing rows would have to be put into;
    /// whatever [`Database::new`] refuses. Each names the table.
    pub fn with_schema(&self, schema: Arc<Schema>) -> Result<Self, Error> {
        let present: BTreeSet<&str> = self.plan.tables.iter().map(|plan| plan.table.name.as_str()).collect();
        let added = schema.tables.iter().map(|table| table.name.as_str()).filter(|name| !present.contains(name));
        for old in self.plan.tables.iter().filter(|old| !old.is_post) {
            let new = schema.table(&old.table.name);
            let new = new.ok_or_else(|| incompatible(&old.table, "it is missing; its rows would be lost"))?;
            new.follows(&old.table).map_err(|why| incompatible(&old.table, why))?;
        }
        let names = self.plan.tables.iter().map(|plan| plan.table.name.as_str()).chain(added);
        let plan = Plan::new(schema.clone(), names)?;
        let mut tables = Vec::with_capacity(plan.tables.len());
        for new in &plan.tables {
            tables.push(match self.parts(new.id) {
                Ok((old, state)) => carry(old, state, new)?,
                Err(_) => TableState::new(new),
            });
        }
        let indexed = |tables: &[TableState]| {
            tables.iter().flat_map(|table| &table.indexes).map(|index| index.bytes).sum::<u64>()
        };
        let bytes = self.usage.bytes.saturating_sub(indexed(&self.tables)) + indexed(&tables);
        let usage = Usage { bytes, rows: self.usage.rows };
        Ok(Self { plan: Arc::new(plan), tables, usage, limits: self.limits })
    }
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
    Ok(TableState { rows: state.rows.clone(), indexes, sum: state.sum, last: state.last })
}

fn incompatible(table: &Table, what: &str) -> Error {
    Error::new(Code::Incompatible, format!("table {}: {what}", table.name))
}
