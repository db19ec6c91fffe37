//! A schema made ready: where the columns of each table stand, how its keys are made, how older rows are completed.

use crate::packed::{Entry, Key, Row};
use crate::post;
use isx_row::codec::{self, CodecError, Layout};
use isx_row::schema::{Column, Fill, Schema, Table, TableKind};
use isx_row::{Code, Error, SessionId, Time, Type, key};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A table of a database. Stays the same when the schema is upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// A secondary index of a table: its place among the indexes of the schema, until the schema is upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u16);

/// A schema made ready.
pub(crate) struct Plan {
    pub(crate) schema: Arc<Schema>,
    /// The hash of the schema's canonical bytes.
    pub(crate) identity: [u8; 32],
    /// By table id.
    pub(crate) tables: Vec<TablePlan>,
    names: BTreeMap<String, TableId>,
}

/// A table made ready.
pub(crate) struct TablePlan {
    pub(crate) id: TableId,
    pub(crate) table: Table,
    /// The first version with this layout, ascending; columns are only ever added behind.
    layouts: Vec<(u16, Layout)>,
    primary: Vec<KeyColumn>,
    pub(crate) indexes: Vec<IndexPlan>,
    pub(crate) auto_inc: Option<AutoInc>,
    pub(crate) stamps: Vec<Stamp>,
    /// Whether it is one of [`crate::post`], whose bounds are its own.
    pub(crate) is_post: bool,
}

/// An index made ready.
pub(crate) struct IndexPlan {
    columns: Vec<KeyColumn>,
    pub(crate) unique: bool,
}

/// A column that takes part in a key.
struct KeyColumn {
    position: usize,
    ty: Type,
}

/// The numbered column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AutoInc {
    /// Bytes before the column in a row of any version.
    offset: usize,
    width: usize,
    signed: bool,
}

/// A column that the host writes.
pub(crate) struct Stamp {
    position: usize,
    /// Where it stands in a row of the present version.
    range: Range<usize>,
    written: Written,
}

/// With what the host writes a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// Log time, at the insert.
    Created,
    /// Log time.
    Updated,
    /// The session, at the insert.
    Session,
}

/// What the host writes into columns.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamps {
    pub(crate) time: Time,
    pub(crate) session: Option<SessionId>,
}

/// Whether rows of earlier table versions are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    /// The present version only: what reducers write.
    Present,
    /// Any that the table ever had: what logs and snapshots hold.
    Any,
}

impl Plan {
    /// The plan of a database without tables.
    pub(crate) fn empty() -> Self {
        Self { schema: Arc::default(), identity: [0; 32], tables: Vec::new(), names: BTreeMap::new() }
    }

    /// The plan of a schema whose tables get their ids in the order of `names`: the schema's, in any order, and those of
    /// [`crate::post`] or none of them.
    pub(crate) fn new<'a>(schema: Arc<Schema>, names: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        schema.check()?;
        let identity = *blake3::hash(&schema.encode()?).as_bytes();
        let mut plan = Self { schema, identity, tables: Vec::new(), names: BTreeMap::new() };
        for name in names {
            let table = plan.schema.table(name).cloned().or_else(|| post::table(name));
            let table = table.ok_or_else(|| malformed(name, "is not in the schema"))?;
            let id = TableId(u16::try_from(plan.tables.len()).map_err(|_| malformed(name, "is one table too many"))?);
            if plan.names.insert(name.to_owned(), id).is_some() {
                return Err(malformed(name, "has two ids"));
            }
            plan.tables.push(TablePlan::new(id, table)?);
        }
        let has_all = plan.schema.stored().all(|table| plan.names.contains_key(&table.name));
        match has_all {
            true => Ok(plan),
            false => Err(Error::new(Code::Malformed, "a table of the schema has no id")),
        }
    }

    pub(crate) fn id(&self, name: &str) -> Option<TableId> {
        self.names.get(name).copied()
    }

    pub(crate) fn table(&self, id: TableId) -> Result<&TablePlan, Error> {
        self.tables.get(usize::from(id.0)).ok_or_else(|| no_table(id))
    }
}

impl TablePlan {
    fn new(id: TableId, table: Table) -> Result<Self, Error> {
        if table.kind == TableKind::Volatile {
            return Err(malformed(&table.name, "is volatile: no row of it is stored"));
        }
        let ascending = table.columns.is_sorted_by_key(|column| column.since);
        if !ascending || table.columns.iter().any(|column| column.since == 0 || column.since > table.version) {
            return Err(malformed(&table.name, "has columns that are not in the order of their versions"));
        }
        let key_columns = |positions: &[u16]| -> Result<Vec<KeyColumn>, Error> {
            positions.iter().map(|&position| KeyColumn::new(&table, position)).collect()
        };
        let primary = key_columns(&table.primary_key)?;
        let indexes = table
            .indexes
            .iter()
            .map(|index| Ok(IndexPlan { columns: key_columns(&index.columns)?, unique: index.unique }))
            .collect::<Result<_, Error>>()?;
        let mut layouts = Vec::new();
        for (position, column) in table.columns.iter().enumerate() {
            if table.columns.get(position + 1).is_none_or(|next| next.since > column.since) {
                layouts.push((column.since, Layout::new(table.columns[..=position].iter().map(|column| &column.ty))));
            }
        }
        let auto_inc = table.auto_inc.map(|position| AutoInc::new(&table, position)).transpose()?;
        let stamps = stamps(&table, layouts.last().map(|(_, layout)| layout));
        let is_post = post::table(&table.name).is_some();
        Ok(Self { id, layouts, primary, indexes, auto_inc, stamps, is_post, table })
    }

    /// A checked row of the present version as it is stored with these stamps: in the place of `old`, or as a new one.
    ///
    /// # Errors
    /// `bad_arguments` for a row of a session when there is none.
    pub(crate) fn stamped(&self, row: &[u8], old: Option<&Row>, stamps: Stamps) -> Result<Vec<u8>, Error> {
        let now = stamps.time.0.to_le_bytes();
        let mut bytes = row.to_vec();
        for stamp in &self.stamps {
            let value = match (old, stamp.written, &stamps.session) {
                (Some(old), Written::Created | Written::Session, _) => {
                    self.member(old, stamp.position).unwrap_or(&Fill::TIMELESS)
                }
                (_, Written::Created | Written::Updated, _) => &now[..],
                (None, Written::Session, Some(session)) => &session.0,
                (None, Written::Session, None) => {
                    let text = format!("table {}: its rows are of sessions, and the call has none", self.table.name);
                    return Err(Error::new(Code::BadArguments, text));
                }
            };
            if let Some(place) = bytes.get_mut(stamp.range.clone()).filter(|place| place.len() == value.len()) {
                place.copy_from_slice(value);
            }
        }
        Ok(bytes)
    }

    /// Whether rows stay after their transaction.
    pub(crate) fn is_durable(&self) -> bool {
        matches!(self.table.kind, TableKind::Durable | TableKind::Session)
    }

    /// Checks that `row` is the canonical encoding of a row of this table.
    pub(crate) fn check(&self, row: &[u8], versions: Versions) -> Result<(), Error> {
        let found = row.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        let wrong = |text: &str| Error::new(Code::Malformed, format!("row of table {}: {text}", self.table.name));
        if found != self.table.version && (versions == Versions::Present || found > self.table.version) {
            return Err(wrong(&format!("version {found}, the table has {}", self.table.version)));
        }
        let layout = self.layout(found).ok_or_else(|| wrong("a version that never was"))?;
        layout.validate(row).map(drop).map_err(|error| self.codec(error))
    }

    /// The primary key of a checked row.
    pub(crate) fn key(&self, row: &[u8]) -> Result<Key, Error> {
        let mut bytes = Vec::with_capacity(32);
        self.append(&self.primary, row, &mut bytes)?;
        Ok(Key::new(&bytes))
    }

    /// The entry of a checked row in an index.
    pub(crate) fn entry(&self, index: &IndexPlan, row: &[u8], primary: &[u8]) -> Result<Entry, Error> {
        let mut bytes = Vec::with_capacity(64);
        self.append(&index.columns, row, &mut bytes)?;
        let length = u16::try_from(primary.len()).map_err(|_| self.codec(CodecError::Limit("KEY_BYTES_MAX")))?;
        bytes.extend_from_slice(primary);
        bytes.extend_from_slice(&length.to_le_bytes());
        Ok(Entry::new(&bytes))
    }

    /// The entries of a checked row, one an index.
    pub(crate) fn entries(&self, row: &[u8], primary: &[u8]) -> Result<Vec<Entry>, Error> {
        self.indexes.iter().map(|index| self.entry(index, row, primary)).collect()
    }

    /// The row as the present version has it: columns that came after it was written get their defaults.
    pub(crate) fn complete(&self, row: &Row) -> Row {
        if row.version() == self.table.version {
            return row.clone();
        }
        let mut fixed = self.table.version.to_le_bytes().to_vec();
        let mut tail = Vec::new();
        for (position, column) in self.table.columns.iter().enumerate() {
            let member = self.member(row, position).unwrap_or_default();
            match codec::fixed_width(&column.ty) {
                Some(_) => fixed.extend_from_slice(member),
                None => {
                    tail.extend_from_slice(member);
                    // Rows are far smaller than 4 GiB; one that were not would not be written.
                    fixed.extend_from_slice(&u32::try_from(tail.len()).unwrap_or(u32::MAX).to_le_bytes());
                }
            }
        }
        fixed.extend_from_slice(&tail);
        Row::new(&fixed)
    }

    /// A failure of the codec, with the table it happened in.
    pub(crate) fn codec(&self, error: CodecError) -> Error {
        let code = match error {
            CodecError::Limit(_) => Code::Limit,
            _ => Code::Malformed,
        };
        Error::new(code, format!("row of table {}: {error}", self.table.name))
    }

    fn append(&self, columns: &[KeyColumn], row: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        for column in columns {
            let member = self.member(row, column.position).ok_or_else(|| self.codec(CodecError::Short))?;
            key::append(&column.ty, member, out).map_err(|error| self.codec(error))?;
        }
        Ok(())
    }

    /// A column of a checked row of any version.
    pub(crate) fn member<'a>(&'a self, row: &'a [u8], position: usize) -> Option<&'a [u8]> {
        let column = self.table.columns.get(position)?;
        let version = u16::from_le_bytes(*row.first_chunk()?);
        match column.since <= version {
            true => self.layout(version)?.member(row, position),
            false => column.default.as_ref().map(Fill::older),
        }
    }

    fn layout(&self, version: u16) -> Option<&Layout> {
        self.layouts.iter().rev().find(|(since, _)| *since <= version).map(|(_, layout)| layout)
    }
}

impl KeyColumn {
    fn new(table: &Table, position: u16) -> Result<Self, Error> {
        let column = column(table, position)?;
        match key::is_key_type(&column.ty) {
            true => Ok(Self { position: usize::from(position), ty: column.ty.clone() }),
            false => Err(malformed(&table.name, "has a key column whose type has no order")),
        }
    }
}

impl AutoInc {
    fn new(table: &Table, position: u16) -> Result<Self, Error> {
        let signed = match column(table, position)?.ty {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::U128 => false,
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::I128 => true,
            _ => return Err(malformed(&table.name, "numbers a column that is no integer")),
        };
        let slot = |column: &Column| codec::fixed_width(&column.ty).unwrap_or(size_of::<u32>());
        let before = table.columns.iter().take(usize::from(position));
        let offset = size_of::<u16>() + before.map(slot).sum::<usize>();
        Ok(Self { offset, width: slot(column(table, position)?), signed })
    }

    /// The column of a checked row; `None` for negative numbers, numbers that a counter has not read as its largest.
    pub(crate) fn read(&self, row: &[u8]) -> Option<u64> {
        let bytes = row.get(self.offset..self.offset + self.width).unwrap_or_default();
        if self.signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
            return None;
        }
        let mut wide = [0; 16];
        wide.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Some(u64::try_from(u128::from_le_bytes(wide)).unwrap_or(u64::MAX))
    }

    /// A checked row with the column set to `value`, which is at most [`AutoInc::max`].
    pub(crate) fn write(&self, row: &[u8], value: u64) -> Vec<u8> {
        let mut row = row.to_vec();
        let wide = u128::from(value).to_le_bytes();
        if let Some(bytes) = row.get_mut(self.offset..self.offset + self.width) {
            bytes.iter_mut().zip(wide).for_each(|(to, from)| *to = from);
        }
        row
    }

    /// The largest number the column and the counter have.
    pub(crate) fn max(&self) -> u64 {
        let bits = self.width * 8 - usize::from(self.signed);
        match bits >= 64 {
            true => u64::MAX,
            false => (1 << bits) - 1,
        }
    }
}

/// The refusal of a table id that the database does not have.
pub(crate) fn no_table(id: TableId) -> Error {
    Error::new(Code::NotFound, format!("table {}", id.0))
}

fn stamps(table: &Table, layout: Option<&Layout>) -> Vec<Stamp> {
    let stamp = |(position, column): (usize, &Column)| {
        let written = match column.default.as_ref()? {
            Fill::Created => Written::Created,
            Fill::Updated => Written::Updated,
            Fill::Session => Written::Session,
            Fill::Value(_) | Fill::Caller => return None,
        };
        Some(Stamp { position, range: layout?.fixed_range(position)?, written })
    };
    table.columns.iter().enumerate().filter_map(stamp).collect()
}

fn column(table: &Table, position: u16) -> Result<&Column, Error> {
    table.columns.get(usize::from(position)).ok_or_else(|| malformed(&table.name, "names a column that it has not"))
}

fn malformed(table: &str, what: &str) -> Error {
    Error::new(Code::Malformed, format!("table {table} {what}"))
}
