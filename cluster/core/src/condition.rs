//! Whether preconditions of a call hold of a mount.

use crate::mount::Mount;
use isx_row::condition::{Condition, RowKey};
use isx_row::schema::Table;
use isx_row::{Code, Error, Incarnation, Revision, Signature, Type, codec};
use isx_store::{Row, TableId};

/// Bytes of a value that the text of a conflict shows.
const SHOWN_BYTES_MAX: usize = 64;

impl Mount {
    /// Checks the preconditions of a call, in order.
    ///
    /// # Errors
    /// `conflict` for the first that does not hold, naming both sides; `not_found` for what the caller may not read or is not
    /// there, `stale_bindings` for a table that is another by now, `bad_arguments` for a value not of its column.
    pub(crate) fn check(&self, conditions: &[Condition], trusted: bool) -> Result<(), Error> {
        conditions.iter().try_for_each(|condition| self.check_one(condition, trusted))
    }

    fn check_one(&self, condition: &Condition, trusted: bool) -> Result<(), Error> {
        let (row, column) = match condition {
            Condition::At { revision, incarnation } => return self.check_revision(*revision, *incarnation),
            Condition::Absent(row) | Condition::Present(row) => (row, None),
            Condition::Holds { row, column, value } => (row, Some((column.as_str(), value.0.as_slice()))),
        };
        let (id, table) = self.readable(row, trusted)?;
        let found = self.database.get(id, &row.key.0)?;
        let conflict = |text: &str| Err(Error::new(Code::Conflict, format!("table {}: {text}", table.name)));
        match (condition, found, column) {
            (Condition::Absent(_), Some(_), _) => conflict("a row is there that was expected to be absent"),
            (Condition::Absent(_), None, _) | (_, Some(_), None) => Ok(()),
            (_, None, _) => conflict("no row is there that was expected to be"),
            (_, Some(found), Some(column)) => self.check_column(id, table, &found, column),
        }
    }

    fn check_revision(&self, revision: Revision, incarnation: Option<Incarnation>) -> Result<(), Error> {
        let conflict = |text: String| Err(Error::new(Code::Conflict, text));
        match incarnation {
            Some(expected) if expected != self.incarnation => {
                conflict(format!("the mount is incarnation {}, not {expected}", self.incarnation))
            }
            _ if revision != self.revision => {
                conflict(format!("the mount is at revision {}, not {revision}", self.revision))
            }
            _ => Ok(()),
        }
    }

    /// The table of a row, as a caller may read it.
    fn readable(&self, row: &RowKey, trusted: bool) -> Result<(TableId, &Table), Error> {
        let schema = self.database.schema();
        let table = schema.table(&row.table).filter(|table| trusted || schema.public && table.public);
        let table = table.and_then(|table| Some((self.database.table(&table.name)?, table)));
        let (id, table) =
            table.ok_or_else(|| Error::new(Code::NotFound, format!("table {} is not found", row.table)))?;
        if row.signature != Signature::ANY && row.signature != table.signature() {
            return Err(Error::new(Code::StaleBindings, format!("table {} has other columns by now", table.name)));
        }
        Ok((id, table))
    }

    fn check_column(
        &self,
        id: TableId,
        table: &Table,
        row: &Row,
        (column, expected): (&str, &[u8]),
    ) -> Result<(), Error> {
        let position = table.columns.iter().position(|one| one.name == column);
        let found = position.and_then(|position| Some((table.columns.get(position)?, position)));
        let (ty, position) = found
            .map(|(column, position)| (&column.ty, position))
            .ok_or_else(|| Error::new(Code::NotFound, format!("table {} has no column {column}", table.name)))?;
        codec::validate(ty, expected).map_err(|error| {
            Error::new(Code::BadArguments, format!("the value for column {column} of table {}: {error}", table.name))
        })?;
        let there = self.database.column(id, row, position)?;
        if there == expected {
            return Ok(());
        }
        let (there, expected) = (shown(ty, there), shown(ty, expected));
        Err(Error::new(Code::Conflict, format!("table {}: {column} is {there}, not {expected}", table.name)))
    }
}

/// A value for people.
fn shown(ty: &Type, bytes: &[u8]) -> String {
    let text = codec::decode(ty, bytes).map_or_else(|_| "unreadable".into(), |value| value.to_string());
    match text.floor_char_boundary(SHOWN_BYTES_MAX) {
        end if end < text.len() => format!("{}…", &text[..end]),
        _ => text,
    }
}
