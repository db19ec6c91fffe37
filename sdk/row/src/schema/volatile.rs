//! Volatile tables: the methods by which callers put and delete, and what these take.

use super::canonical::malformed;
use super::{Column, Fill, Schema, Table, TableKind};
use crate::error::Error;
use crate::types::Field;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What a caller does with its rows of a volatile table: a method of the mount's object, `cursor.put`. No function has such a
/// name. It is typed by the table's signature and answers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Puts the row, in the place of the one with its key.
    Put,
    /// Deletes the row with a key; there need not be one.
    Delete,
}

impl Doing {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Put, Self::Delete];

    /// As methods name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }

    /// The method that does it with a table.
    pub fn method(self, table: &str) -> String {
        format!("{table}.{}", self.word())
    }
}

impl Schema {
    /// The volatile table that a method puts into or deletes from.
    pub fn doing(&self, method: &str) -> Option<(&Table, Doing)> {
        let (name, word) = method.split_once('.')?;
        let doing = Doing::ALL.into_iter().find(|doing| doing.word() == word)?;
        self.table(name).filter(|table| table.kind == TableKind::Volatile).map(|table| (table, doing))
    }
}

impl Table {
    /// The position of the column that says whose a row is; every volatile table has one, no other table has.
    pub fn caller(&self) -> Option<usize> {
        self.columns.iter().position(|column| column.default == Some(Fill::Caller))
    }

    /// The positions of the columns that a caller gives: all, or those of the key, but the one that the host writes.
    pub fn given(&self, doing: Doing) -> Vec<usize> {
        let caller = self.caller();
        let in_key = |position: &usize| self.primary_key.iter().any(|key| usize::from(*key) == *position);
        let is_given = |position: &usize| match doing {
            Doing::Put => true,
            Doing::Delete => in_key(position),
        };
        (0..self.columns.len()).filter(|position| Some(*position) != caller && is_given(position)).collect()
    }

    /// The arguments of the method: those columns, in the order of the table.
    pub fn arguments(&self, doing: Doing) -> Vec<Field> {
        let field = |column: &Column| Field { name: column.name.clone(), ty: column.ty.clone() };
        self.given(doing).into_iter().filter_map(|position| self.columns.get(position)).map(field).collect()
    }

    /// Whether last values of `old` are such of this table as they are.
    pub fn keeps_values_of(&self, old: &Self) -> bool {
        self.kind == TableKind::Volatile
            && old.kind == TableKind::Volatile
            && self.signature() == old.signature()
            && self.caller() == old.caller()
    }
}

/// A volatile table knows whose its rows are, and has no rows of before; others are of nobody.
///
/// # Errors
/// `malformed`, naming table and cure.
pub(super) fn check(table: &Table) -> Result<(), Error> {
    let is_caller = |column: &&Column| column.default == Some(Fill::Caller);
    let callers = table.columns.iter().filter(is_caller).count();
    let name = &table.name;
    match (table.kind, callers) {
        (TableKind::Volatile, 1) => {}
        (TableKind::Volatile, _) => {
            return Err(malformed(format!(
                "table `{name}` is volatile and has not one column that says whose a row is: mark a principal of its \
                 primary key"
            )));
        }
        (_, 0) => return Ok(()),
        _ => {
            return Err(malformed(format!(
                "a column of `{name}` says who put a row: only rows of volatile tables are put"
            )));
        }
    }
    if !table.caller().is_some_and(|caller| table.primary_key.iter().any(|key| usize::from(*key) == caller)) {
        return Err(malformed(format!(
            "the primary key of volatile table `{name}` lacks the column that says whose a row is, so that one caller could \
             overwrite another's: add it to the key"
        )));
    }
    let written = |column: &&Column| column.default.as_ref().is_some_and(|fill| *fill != Fill::Caller);
    match table.columns.iter().find(written) {
        Some(column) => Err(malformed(format!(
            "column `{name}.{}` has a default or is written by the host: a volatile table has no older rows and no log \
             time, remove it",
            column.name
        ))),
        None if table.version > 1 => {
            Err(malformed(format!("volatile table `{name}` has version {}: it has no older rows, so 1", table.version)))
        }
        None => Ok(()),
    }
}
