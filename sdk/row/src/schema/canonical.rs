//! The canonical bytes of schemas and their parts: writing and reading stand beside each other in one file.
//!
//! Integers are little-endian. A name or text is a u8 length and its bytes, a list a u16 count and its elements, a flag
//! a byte 0 or 1, what may be absent a flag and what is there. A type is a code and its parts. A column's default is a
//! byte: 0 none, 1 a value (u32 length and its bytes), 2 the time of the insert, 3 that of the last change, 4 the session,
//! 5 the caller. A hook is a byte: 0 none, 1 init, 2 an own table (name, event), 3 upgrade, 4 a distance (i64 microseconds), 5 a calendar (text),
//! 6 a due row (name of the table), 7 connect, 8 disconnect, 9 another's table (path, name, event), 10 a reply (path, name).
//! A link is its path, the reducers it sends to and the functions it joins, each its name, arguments and answer.

use super::{
    Access, Column, Fill, Hook, Index, IndexKind, Link, Query, Reducer, RowEvent, Schedule, Schema, Sent, Table,
};
use crate::cron::CRON_BYTES_MAX;
use crate::error::{Code, Error};
use crate::ids::Span;
use crate::limits::{
    FIELDS_MAX, FUNCTIONS_MAX, INDEXES_MAX, LINK_PATH_BYTES_MAX, LINKS_MAX, NAME_BYTES_MAX, SCHEMA_BYTES_MAX,
    TABLES_MAX, TYPE_DEPTH_MAX, VALUE_BYTES_MAX, VERSION_TEXT_BYTES_MAX,
};
use crate::types::{Field, Type, Variant};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

const MAGIC: &[u8; 4] = b"isxs";
const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 14;

/// The codes of types, defaults and hooks; shared with [`super::record`].
pub(super) mod code {
    pub(crate) const BOOL: u8 = 1;
    pub(crate) const U8: u8 = 2;
    pub(crate) const U16: u8 = 3;
    pub(crate) const U32: u8 = 4;
    pub(crate) const U64: u8 = 5;
    pub(crate) const U128: u8 = 6;
    pub(crate) const I8: u8 = 7;
    pub(crate) const I16: u8 = 8;
    pub(crate) const I32: u8 = 9;
    pub(crate) const I64: u8 = 10;
    pub(crate) const I128: u8 = 11;
    pub(crate) const F32: u8 = 12;
    pub(crate) const F64: u8 = 13;
    pub(crate) const STRING: u8 = 14;
    pub(crate) const BYTES: u8 = 15;
    pub(crate) const BLOB: u8 = 16;
    pub(crate) const TIME: u8 = 17;
    pub(crate) const DURATION: u8 = 18;
    pub(crate) const PRINCIPAL: u8 = 19;
    pub(crate) const UUID: u8 = 20;
    pub(crate) const LOCATOR: u8 = 21;
    pub(crate) const OPTION: u8 = 32;
    pub(crate) const LIST: u8 = 33;
    pub(crate) const MAP: u8 = 34;
    pub(crate) const TUPLE: u8 = 35;
    pub(crate) const STRUCT: u8 = 36;
    pub(crate) const ENUM: u8 = 37;
    pub(crate) const FILL_NONE: u8 = 0;
    pub(crate) const FILL_VALUE: u8 = 1;
    pub(crate) const FILL_CREATED: u8 = 2;
    pub(crate) const FILL_UPDATED: u8 = 3;
    pub(crate) const FILL_SESSION: u8 = 4;
    pub(crate) const FILL_CALLER: u8 = 5;
    pub(crate) const HOOK_NONE: u8 = 0;
    pub(crate) const HOOK_INIT: u8 = 1;
    pub(crate) const HOOK_OWN_TABLE: u8 = 2;
    pub(crate) const HOOK_UPGRADE: u8 = 3;
    pub(crate) const HOOK_EVERY: u8 = 4;
    pub(crate) const HOOK_CRON: u8 = 5;
    pub(crate) const HOOK_DUE: u8 = 6;
    pub(crate) const HOOK_CONNECT: u8 = 7;
    pub(crate) const HOOK_DISCONNECT: u8 = 8;
    pub(crate) const HOOK_OTHER_TABLE: u8 = 9;
    pub(crate) const HOOK_REPLY: u8 = 10;
    pub(crate) const HOOK_MIGRATE: u8 = 11;
}

pub(super) fn encode(schema: &Schema) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    put_module(&mut content, &schema.name, &schema.version, schema.public);
    put_list(&mut content, &schema.tables, put_table);
    put_list(&mut content, &schema.reducers, put_reducer);
    put_list(&mut content, &schema.queries, put_query);
    put_list(&mut content, &schema.links, put_link);
    if HEADER_BYTES + content.len() > SCHEMA_BYTES_MAX {
        return Err(over("SCHEMA_BYTES_MAX", "declare less in one module"));
    }
    let mut out = Vec::with_capacity(HEADER_BYTES + content.len());
    out.extend_from_slice(MAGIC);
    put_u16(&mut out, FORMAT);
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    let checksum = checksum(&out, &content);
    out.extend_from_slice(&checksum);
    out.extend_from_slice(&content);
    Ok(out)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Schema, Error> {
    if bytes.len() > SCHEMA_BYTES_MAX {
        return Err(over("SCHEMA_BYTES_MAX", "declare less in one module"));
    }
    let mut reader = Reader { bytes };
    if reader.take(4)? != MAGIC {
        return Err(malformed("this is no schema: its first bytes are not `isxs`"));
    }
    let format = reader.u16()?;
    if format != FORMAT {
        return Err(malformed(format!("schema format {format} is unknown; this version reads {FORMAT}")));
    }
    let length = reader.u32()? as usize;
    let expected = reader.take(4)?;
    let (header, _) = bytes.split_at(HEADER_BYTES - 4);
    if length != reader.bytes.len() || checksum(header, reader.bytes) != expected {
        return Err(malformed("the schema is damaged: length or checksum differs; build the module again"));
    }
    let (name, version, public) = reader.module()?;
    let schema = Schema {
        name,
        version,
        public,
        tables: reader.list(TABLES_MAX, "TABLES_MAX", Reader::table)?,
        reducers: reader.list(FUNCTIONS_MAX, "FUNCTIONS_MAX", Reader::reducer)?,
        queries: reader.list(FUNCTIONS_MAX, "FUNCTIONS_MAX", Reader::query)?,
        links: reader.list(LINKS_MAX, "LINKS_MAX", Reader::link)?,
    };
    reader.end()?;
    Ok(schema)
}

fn checksum(header: &[u8], content: &[u8]) -> [u8; 4] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    hasher.update(content);
    let mut checksum = [0; 4];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

pub(super) fn malformed(text: impl Into<String>) -> Error {
    Error::new(Code::Malformed, text)
}

pub(super) fn over(limit: &str, cure: &str) -> Error {
    Error::new(Code::Limit, format!("over the limit {limit}: {cure}"))
}

// Writers. Lengths are checked before: by `Schema::check`, or for signatures by whoever made the names.

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_u16(out, items.len() as u16);
    items.iter().for_each(|item| put(out, item));
}

fn put_option<T: ?Sized>(out: &mut Vec<u8>, item: Option<&T>, put: impl Fn(&mut Vec<u8>, &T)) {
    out.push(u8::from(item.is_some()));
    if let Some(item) = item {
        put(out, item);
    }
}

pub(super) fn put_name(out: &mut Vec<u8>, name: &str) {
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

fn put_module(out: &mut Vec<u8>, name: &str, version: &str, public: bool) {
    put_name(out, name);
    put_name(out, version);
    out.push(u8::from(public));
}

pub(super) fn put_fields(out: &mut Vec<u8>, fields: &[Field]) {
    put_list(out, fields, |out, field| {
        put_name(out, &field.name);
        put_type(out, &field.ty);
    });
}

pub(super) fn put_type(out: &mut Vec<u8>, ty: &Type) {
    out.push(match ty {
        Type::Bool => code::BOOL,
        Type::U8 => code::U8,
        Type::U16 => code::U16,
        Type::U32 => code::U32,
        Type::U64 => code::U64,
        Type::U128 => code::U128,
        Type::I8 => code::I8,
        Type::I16 => code::I16,
        Type::I32 => code::I32,
        Type::I64 => code::I64,
        Type::I128 => code::I128,
        Type::F32 => code::F32,
        Type::F64 => code::F64,
        Type::String => code::STRING,
        Type::Bytes => code::BYTES,
        Type::Blob => code::BLOB,
        Type::Time => code::TIME,
        Type::Duration => code::DURATION,
        Type::Principal => code::PRINCIPAL,
        Type::Uuid => code::UUID,
        Type::Locator => code::LOCATOR,
        Type::Option(_) => code::OPTION,
        Type::List(_) => code::LIST,
        Type::Map(..) => code::MAP,
        Type::Tuple(_) => code::TUPLE,
        Type::Struct(_) => code::STRUCT,
        Type::Enum(_) => code::ENUM,
    });
    match ty {
        Type::Option(inner) | Type::List(inner) => put_type(out, inner),
        Type::Map(key, value) => {
            put_type(out, key);
            put_type(out, value);
        }
        Type::Tuple(members) => put_list(out, members, put_type),
        Type::Struct(fields) => put_fields(out, fields),
        Type::Enum(variants) => put_list(out, variants, |out, variant| {
            put_name(out, &variant.name);
            put_u16(out, variant.tag);
            put_fields(out, &variant.fields);
        }),
        _ => {}
    }
}

/// What a table's signature covers.
pub(super) fn put_table_identity(out: &mut Vec<u8>, table: &Table) {
    put_name(out, &table.name);
    put_list(out, &table.columns, |out, column| {
        put_name(out, &column.name);
        put_type(out, &column.ty);
    });
    put_list(out, &table.primary_key, |out, column| put_u16(out, *column));
}

fn put_table(out: &mut Vec<u8>, table: &Table) {
    put_name(out, &table.name);
    out.push(table.kind as u8);
    out.push(u8::from(table.public));
    put_u16(out, table.version);
    put_list(out, &table.columns, |out, column| {
        put_name(out, &column.name);
        put_type(out, &column.ty);
        match &column.default {
            None => out.push(code::FILL_NONE),
            Some(Fill::Value(value)) => {
                out.push(code::FILL_VALUE);
                out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
            Some(Fill::Created) => out.push(code::FILL_CREATED),
            Some(Fill::Updated) => out.push(code::FILL_UPDATED),
            Some(Fill::Session) => out.push(code::FILL_SESSION),
            Some(Fill::Caller) => out.push(code::FILL_CALLER),
        }
        put_u16(out, column.since);
    });
    put_list(out, &table.primary_key, |out, column| put_u16(out, *column));
    put_option(out, table.auto_inc.as_ref(), |out, column| put_u16(out, *column));
    put_list(out, &table.indexes, |out, index| {
        put_name(out, &index.name);
        put_list(out, &index.columns, |out, column| put_u16(out, *column));
        out.push(index.kind as u8);
        out.push(u8::from(index.unique));
    });
}

fn put_names(out: &mut Vec<u8>, names: &[String]) {
    put_list(out, names, |out, name| put_name(out, name));
}

fn put_reducer(out: &mut Vec<u8>, reducer: &Reducer) {
    put_name(out, &reducer.name);
    out.push(u8::from(reducer.public));
    put_fields(out, &reducer.arguments);
    put_type(out, &reducer.answer);
    put_option(out, reducer.error.as_ref(), put_type);
    match &reducer.hook {
        None => out.push(code::HOOK_NONE),
        Some(Hook::Init) => out.push(code::HOOK_INIT),
        Some(Hook::OwnTable { table, event }) => {
            out.push(code::HOOK_OWN_TABLE);
            put_name(out, table);
            out.push(*event as u8);
        }
        Some(Hook::Upgrade) => out.push(code::HOOK_UPGRADE),
        Some(Hook::Connect) => out.push(code::HOOK_CONNECT),
        Some(Hook::Disconnect) => out.push(code::HOOK_DISCONNECT),
        Some(Hook::Schedule(Schedule::Every(Span(micros)))) => {
            out.push(code::HOOK_EVERY);
            out.extend_from_slice(&micros.to_le_bytes());
        }
        Some(Hook::Schedule(Schedule::Cron(calendar))) => {
            out.push(code::HOOK_CRON);
            put_name(out, calendar);
        }
        Some(Hook::Due { table }) => {
            out.push(code::HOOK_DUE);
            put_name(out, table);
        }
        Some(Hook::Migrate { table }) => {
            out.push(code::HOOK_MIGRATE);
            put_name(out, table);
        }
        Some(Hook::OtherTable { path, table, event }) => {
            out.push(code::HOOK_OTHER_TABLE);
            put_name(out, path);
            put_name(out, table);
            out.push(*event as u8);
        }
        Some(Hook::Reply { path, reducer }) => {
            out.push(code::HOOK_REPLY);
            put_name(out, path);
            put_name(out, reducer);
        }
    }
    put_option(out, reducer.access.as_ref(), |out, access| {
        put_names(out, &access.reads);
        put_names(out, &access.inserts);
        put_names(out, &access.updates);
        put_names(out, &access.deletes);
    });
}

fn put_query(out: &mut Vec<u8>, query: &Query) {
    put_name(out, &query.name);
    out.push(u8::from(query.public));
    put_fields(out, &query.arguments);
    put_type(out, &query.answer);
    put_option(out, query.error.as_ref(), put_type);
    put_option(out, query.reads.as_deref(), put_names);
    put_option(out, query.key.as_deref(), put_names);
}

fn put_link(out: &mut Vec<u8>, link: &Link) {
    put_name(out, &link.path);
    for functions in [&link.sends, &link.joins] {
        put_list(out, functions, |out, sent| {
            put_name(out, &sent.name);
            put_fields(out, &sent.arguments);
            put_type(out, &sent.answer);
        });
    }
}

/// Reads the parts of a schema. Refuses what is not canonical and what is over a limit; the other rules are
/// [`Schema::check`]'s.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| malformed("the schema ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn end(self) -> Result<(), Error> {
        if self.bytes.is_empty() { Ok(()) } else { Err(malformed("bytes follow the schema")) }
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.take(1).map(|bytes| bytes.first().copied().unwrap_or_default())
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        let bytes = self.take(2)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u16::from(*byte)))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn i64(&mut self) -> Result<i64, Error> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | i64::from(*byte)))
    }

    fn flag(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(malformed("a flag of the schema is neither 0 nor 1")),
        }
    }

    fn text(&mut self, max: usize, limit: &str) -> Result<String, Error> {
        let length = usize::from(self.u8()?);
        if length > max {
            return Err(over(limit, "use a shorter name"));
        }
        let text = core::str::from_utf8(self.take(length)?).map_err(|_| malformed("a name is not UTF-8"))?;
        Ok(String::from(text))
    }

    fn name(&mut self) -> Result<String, Error> {
        self.text(NAME_BYTES_MAX, "NAME_BYTES_MAX")
    }

    fn list<T>(
        &mut self,
        max: usize,
        limit: &str,
        mut read: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = usize::from(self.u16()?);
        if count > max {
            return Err(over(limit, "declare fewer"));
        }
        (0..count).map(|_| read(self)).collect()
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    fn ty(&mut self, depth: usize) -> Result<Type, Error> {
        let depth =
            depth.checked_sub(1).ok_or_else(|| over("TYPE_DEPTH_MAX", "nest types less, or keep parts in tables"))?;
        Ok(match self.u8()? {
            code::BOOL => Type::Bool,
            code::U8 => Type::U8,
            code::U16 => Type::U16,
            code::U32 => Type::U32,
            code::U64 => Type::U64,
            code::U128 => Type::U128,
            code::I8 => Type::I8,
            code::I16 => Type::I16,
            code::I32 => Type::I32,
            code::I64 => Type::I64,
            code::I128 => Type::I128,
            code::F32 => Type::F32,
            code::F64 => Type::F64,
            code::STRING => Type::String,
            code::BYTES => Type::Bytes,
            code::BLOB => Type::Blob,
            code::TIME => Type::Time,
            code::DURATION => Type::Duration,
            code::PRINCIPAL => Type::Principal,
            code::UUID => Type::Uuid,
            code::LOCATOR => Type::Locator,
            code::OPTION => Type::Option(Box::new(self.ty(depth)?)),
            code::LIST => Type::List(Box::new(self.ty(depth)?)),
            code::MAP => Type::Map(Box::new(self.ty(depth)?), Box::new(self.ty(depth)?)),
            code::TUPLE => Type::Tuple(self.list(FIELDS_MAX, "FIELDS_MAX", |reader| reader.ty(depth))?),
            code::STRUCT => Type::Struct(self.fields(depth)?),
            code::ENUM => Type::Enum(self.list(FIELDS_MAX, "FIELDS_MAX", |reader| {
                Ok(Variant { name: reader.name()?, tag: reader.u16()?, fields: reader.fields(depth)? })
            })?),
            code => return Err(malformed(format!("the schema has a type of code {code}, which is unknown"))),
        })
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<Field>, Error> {
        self.list(FIELDS_MAX, "FIELDS_MAX", |reader| Ok(Field { name: reader.name()?, ty: reader.ty(depth)? }))
    }

    fn positions(&mut self) -> Result<Vec<u16>, Error> {
        self.list(FIELDS_MAX, "FIELDS_MAX", Self::u16)
    }

    pub(super) fn module(&mut self) -> Result<(String, String, bool), Error> {
        Ok((self.name()?, self.text(VERSION_TEXT_BYTES_MAX, "VERSION_TEXT_BYTES_MAX")?, self.flag()?))
    }

    pub(super) fn table(&mut self) -> Result<Table, Error> {
        let (name, kind) = (self.name()?, self.u8()?);
        let kind = super::TableKind::ALL.into_iter().find(|known| *known as u8 == kind);
        Ok(Table {
            name,
            kind: kind.ok_or_else(|| malformed("the schema has a table of an unknown kind"))?,
            public: self.flag()?,
            version: self.u16()?,
            columns: self.list(FIELDS_MAX, "FIELDS_MAX", Self::column)?,
            primary_key: self.positions()?,
            auto_inc: self.option(Self::u16)?,
            indexes: self.list(INDEXES_MAX, "INDEXES_MAX", |reader| {
                Ok(Index {
                    name: reader.name()?,
                    columns: reader.positions()?,
                    kind: match reader.u8()? {
                        1 => IndexKind::Btree,
                        2 => IndexKind::Hash,
                        _ => return Err(malformed("the schema has an index of an unknown kind")),
                    },
                    unique: reader.flag()?,
                })
            })?,
        })
    }

    fn column(&mut self) -> Result<Column, Error> {
        Ok(Column {
            name: self.name()?,
            ty: self.ty(TYPE_DEPTH_MAX)?,
            default: match self.u8()? {
                code::FILL_NONE => None,
                code::FILL_VALUE => {
                    let length = self.u32()? as usize;
                    if length > VALUE_BYTES_MAX {
                        return Err(over("VALUE_BYTES_MAX", "use a smaller default"));
                    }
                    Some(Fill::Value(self.take(length)?.to_vec()))
                }
                code::FILL_CREATED => Some(Fill::Created),
                code::FILL_UPDATED => Some(Fill::Updated),
                code::FILL_SESSION => Some(Fill::Session),
                code::FILL_CALLER => Some(Fill::Caller),
                _ => return Err(malformed("the schema has a column with an unknown default")),
            },
            since: self.u16()?,
        })
    }

    fn names(&mut self) -> Result<Vec<String>, Error> {
        self.list(TABLES_MAX, "TABLES_MAX", Self::name)
    }

    fn path(&mut self) -> Result<String, Error> {
        self.text(LINK_PATH_BYTES_MAX, "LINK_PATH_BYTES_MAX")
    }

    fn event(&mut self) -> Result<RowEvent, Error> {
        Ok(match self.u8()? {
            1 => RowEvent::Insert,
            2 => RowEvent::Update,
            3 => RowEvent::Delete,
            _ => return Err(malformed("the schema has a hook on an unknown event")),
        })
    }

    pub(super) fn link(&mut self) -> Result<Link, Error> {
        Ok(Link { path: self.path()?, sends: self.all_sent()?, joins: self.all_sent()? })
    }

    fn all_sent(&mut self) -> Result<Vec<Sent>, Error> {
        self.list(FUNCTIONS_MAX, "FUNCTIONS_MAX", |reader| {
            Ok(Sent {
                name: reader.name()?,
                arguments: reader.fields(TYPE_DEPTH_MAX)?,
                answer: reader.ty(TYPE_DEPTH_MAX)?,
            })
        })
    }

    pub(super) fn reducer(&mut self) -> Result<Reducer, Error> {
        Ok(Reducer {
            name: self.name()?,
            public: self.flag()?,
            arguments: self.fields(TYPE_DEPTH_MAX)?,
            answer: self.ty(TYPE_DEPTH_MAX)?,
            error: self.option(|reader| reader.ty(TYPE_DEPTH_MAX))?,
            hook: match self.u8()? {
                code::HOOK_NONE => None,
                code::HOOK_INIT => Some(Hook::Init),
                code::HOOK_OWN_TABLE => Some(Hook::OwnTable { table: self.name()?, event: self.event()? }),
                code::HOOK_UPGRADE => Some(Hook::Upgrade),
                code::HOOK_CONNECT => Some(Hook::Connect),
                code::HOOK_DISCONNECT => Some(Hook::Disconnect),
                code::HOOK_EVERY => Some(Hook::Schedule(Schedule::Every(Span(self.i64()?)))),
                code::HOOK_CRON => Some(Hook::Schedule(Schedule::Cron(self.text(CRON_BYTES_MAX, "CRON_BYTES_MAX")?))),
                code::HOOK_DUE => Some(Hook::Due { table: self.name()? }),
                code::HOOK_MIGRATE => Some(Hook::Migrate { table: self.name()? }),
                code::HOOK_OTHER_TABLE => {
                    Some(Hook::OtherTable { path: self.path()?, table: self.name()?, event: self.event()? })
                }
                code::HOOK_REPLY => Some(Hook::Reply { path: self.path()?, reducer: self.name()? }),
                _ => return Err(malformed("the schema has an unknown hook")),
            },
            access: self.option(|reader| {
                Ok(Access {
                    reads: reader.names()?,
                    inserts: reader.names()?,
                    updates: reader.names()?,
                    deletes: reader.names()?,
                })
            })?,
        })
    }

    pub(super) fn query(&mut self) -> Result<Query, Error> {
        Ok(Query {
            name: self.name()?,
            public: self.flag()?,
            arguments: self.fields(TYPE_DEPTH_MAX)?,
            answer: self.ty(TYPE_DEPTH_MAX)?,
            error: self.option(|reader| reader.ty(TYPE_DEPTH_MAX))?,
            reads: self.option(Self::names)?,
            key: self.option(Self::names)?,
        })
    }
}
