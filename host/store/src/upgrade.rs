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
        for old in &self.plan.tables {
            let new = schema.table(&old.table.name);
            let new = new.ok_or_else(|| incompatible(&old.table, "it is missing; its rows would be lost"))?;
            check(&old.table, new)?;
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
        let same = old
            .table
            .indexes
            .iter()
            .position(|other| other.columns == index.columns && (other.unique || !index.unique));
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

/// Refuses a new declaration under which the rows of the old one could not be read.
fn check(old: &Table, new: &Table) -> Result<(), Error> {
    if old.kind != new.kind {
        return Err(incompatible(old, "its kind differs"));
    }
    if old.primary_key != new.primary_key || old.auto_inc != new.auto_inc {
        return Err(incompatible(old, "its primary key or numbering differs"));
    }
    let Some((present, added)) = new.columns.split_at_checked(old.columns.len()) else {
        return Err(incompatible(old, "it has lost a column"));
    };
    if present != old.columns {
        return Err(incompatible(old, "a column differs; columns are added behind"));
    }
    if added.iter().any(|column| column.default.is_none() || column.since <= old.version) {
        return Err(incompatible(old, "an added column needs a default and a new version of the table"));
    }
    let version_follows = if added.is_empty() { new.version == old.version } else { new.version > old.version };
    match version_follows {
        true => Ok(()),
        false => Err(incompatible(old, "its version must grow exactly when columns are added")),
    }
}

fn incompatible(table: &Table, what: &str) -> Error {
    Error::new(Code::Incompatible, format!("table {}: {what}", table.name))
}
