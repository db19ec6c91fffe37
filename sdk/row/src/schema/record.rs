//! The self-describing records that a module's object files carry in their custom section: made at compile time from
//! [`TypeDesc`]s, read by [`Schema::lift`], never executed.
//!
//! A record: `isxr`, u8 format, u8 kind, u32 length of the content, CRC-32C of format, kind, length and content, the
//! content as in the canonical schema. Integers are little-endian. A linker puts records one after the other, in any
//! order, with zero bytes between.
//!
//! ```
//! use isx_row::desc::FieldDesc;
//! use isx_row::schema::record::{self, RecordDesc, ReducerDesc};
//! use isx_row::typed::Typed;
//!
//! const RECORD: RecordDesc = RecordDesc::Reducer(ReducerDesc {
//!     name: "greet",
//!     public: true,
//!     arguments: &[FieldDesc { name: "name", ty: <String as Typed>::DESC }],
//!     answer: <u64 as Typed>::DESC,
//!     error: None,
//!     hook: None,
//!     access: None,
//! });
//! // In a guest: #[used] #[unsafe(link_section = "isx:schema")]
//! static BYTES: [u8; record::len(&RECORD)] = record::bytes(&RECORD);
//! assert_eq!(BYTES[..4], *b"isxr");
//! ```

mod desc;

pub use desc::{
    AccessDesc, ColumnDesc, FillDesc, HookDesc, IndexDesc, LinkDesc, ModuleDesc, QueryDesc, RecordDesc, ReducerDesc,
    SentDesc, TableDesc,
};

use super::canonical::{Reader, code, malformed, over};
use super::{Hook, Link, Schema};
use crate::cron::CRON_BYTES_MAX;
use crate::desc::{FieldDesc, TypeDesc};
use crate::error::Error;
use crate::limits::{LINK_PATH_BYTES_MAX, NAME_BYTES_MAX, SCHEMA_BYTES_MAX, VERSION_TEXT_BYTES_MAX};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The name of the custom section.
pub const SECTION: &str = "isx:schema";

const MAGIC: [u8; 4] = *b"isxr";
const FORMAT: u8 = 1;
const MODULE: u8 = 1;
const TABLE: u8 = 2;
const REDUCER: u8 = 3;
const QUERY: u8 = 4;
const LINK: u8 = 5;
const HEADER_BYTES: usize = 14;

/// The bytes of the record: the `N` of [`bytes`].
///
/// # Panics
/// As [`bytes`].
pub const fn len(desc: &RecordDesc) -> usize {
    let mut sink = Sink { bytes: &mut [], at: 0 };
    sink.content(desc);
    HEADER_BYTES + sink.at
}

/// The record.
///
/// # Panics
/// At compile time: when `N` is not [`len`], or a name or list is longer than any limit.
pub const fn bytes<const N: usize>(desc: &RecordDesc) -> [u8; N] {
    let mut out = [0; N];
    let mut sink = Sink { bytes: &mut out, at: 0 };
    sink.raw(&MAGIC);
    sink.u8(FORMAT);
    sink.u8(match desc {
        RecordDesc::Module(_) => MODULE,
        RecordDesc::Table(_) => TABLE,
        RecordDesc::Reducer(_) => REDUCER,
        RecordDesc::Query(_) => QUERY,
        RecordDesc::Link(_) => LINK,
    });
    sink.u32(N - HEADER_BYTES);
    sink.u32(0);
    sink.content(desc);
    assert!(sink.at == N, "the record's size is not `len` of it");
    let checksum =
        crc32c(crc32c(0, out.split_at(HEADER_BYTES - 4).0.split_at(MAGIC.len()).1), out.split_at(HEADER_BYTES).1);
    let checksum = checksum.to_le_bytes();
    let mut index = 0;
    while index < checksum.len() {
        out[HEADER_BYTES - 4 + index] = checksum[index];
        index += 1;
    }
    out
}

/// Writes what fits and counts all: run once on no bytes for the length, once for the bytes.
struct Sink<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Sink<'_> {
    const fn u8(&mut self, byte: u8) {
        if self.at < self.bytes.len() {
            self.bytes[self.at] = byte;
        }
        self.at += 1;
    }

    const fn raw(&mut self, bytes: &[u8]) {
        let mut index = 0;
        while index < bytes.len() {
            self.u8(bytes[index]);
            index += 1;
        }
    }

    const fn flag(&mut self, flag: bool) {
        self.u8(flag as u8);
    }

    const fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    const fn u32(&mut self, value: usize) {
        assert!(value <= u32::MAX as usize, "a part of the record is too long");
        self.raw(&(value as u32).to_le_bytes());
    }

    const fn count(&mut self, count: usize) {
        assert!(count <= u16::MAX as usize, "a list of the record is too long");
        self.u16(count as u16);
    }

    const fn text(&mut self, text: &str, max: usize) {
        assert!(text.len() <= max, "a name of the module is longer than isx allows");
        self.u8(text.len() as u8);
        self.raw(text.as_bytes());
    }

    const fn name(&mut self, name: &str) {
        self.text(name, NAME_BYTES_MAX);
    }

    const fn path(&mut self, path: &str) {
        self.text(path, LINK_PATH_BYTES_MAX);
    }

    const fn positions(&mut self, positions: &[u16]) {
        self.count(positions.len());
        let mut index = 0;
        while index < positions.len() {
            self.u16(positions[index]);
            index += 1;
        }
    }

    const fn names(&mut self, names: &[&str]) {
        self.count(names.len());
        let mut index = 0;
        while index < names.len() {
            self.name(names[index]);
            index += 1;
        }
    }

    const fn fields(&mut self, fields: &[FieldDesc]) {
        self.count(fields.len());
        let mut index = 0;
        while index < fields.len() {
            self.name(fields[index].name);
            self.ty(fields[index].ty);
            index += 1;
        }
    }

    const fn ty(&mut self, ty: &TypeDesc) {
        match ty {
            TypeDesc::Bool => self.u8(code::BOOL),
            TypeDesc::U8 => self.u8(code::U8),
            TypeDesc::U16 => self.u8(code::U16),
            TypeDesc::U32 => self.u8(code::U32),
            TypeDesc::U64 => self.u8(code::U64),
            TypeDesc::U128 => self.u8(code::U128),
            TypeDesc::I8 => self.u8(code::I8),
            TypeDesc::I16 => self.u8(code::I16),
            TypeDesc::I32 => self.u8(code::I32),
            TypeDesc::I64 => self.u8(code::I64),
            TypeDesc::I128 => self.u8(code::I128),
            TypeDesc::F32 => self.u8(code::F32),
            TypeDesc::F64 => self.u8(code::F64),
            TypeDesc::String => self.u8(code::STRING),
            TypeDesc::Bytes => self.u8(code::BYTES),
            TypeDesc::Blob => self.u8(code::BLOB),
            TypeDesc::Time => self.u8(code::TIME),
            TypeDesc::Duration => self.u8(code::DURATION),
            TypeDesc::Principal => self.u8(code::PRINCIPAL),
            TypeDesc::Uuid => self.u8(code::UUID),
            TypeDesc::Locator => self.u8(code::LOCATOR),
            TypeDesc::Option(inner) => {
                self.u8(code::OPTION);
                self.ty(inner);
            }
            TypeDesc::List(element) => {
                self.u8(code::LIST);
                self.ty(element);
            }
            TypeDesc::Map(key, value) => {
                self.u8(code::MAP);
                self.ty(key);
                self.ty(value);
            }
            TypeDesc::Tuple(members) => {
                self.u8(code::TUPLE);
                self.count(members.len());
                let mut index = 0;
                while index < members.len() {
                    self.ty(members[index]);
                    index += 1;
                }
            }
            TypeDesc::Struct(fields) => {
                self.u8(code::STRUCT);
                self.fields(fields);
            }
            TypeDesc::Enum(variants) => {
                self.u8(code::ENUM);
                self.count(variants.len());
                let mut index = 0;
                while index < variants.len() {
                    self.name(variants[index].name);
                    self.u16(variants[index].tag);
                    self.fields(variants[index].fields);
                    index += 1;
                }
            }
        }
    }

    const fn content(&mut self, desc: &RecordDesc) {
        match desc {
            RecordDesc::Module(module) => {
                self.name(module.name);
                self.text(module.version, VERSION_TEXT_BYTES_MAX);
                self.flag(module.public);
            }
            RecordDesc::Table(table) => self.table(table),
            RecordDesc::Reducer(reducer) => self.reducer(reducer),
            RecordDesc::Query(query) => {
                self.name(query.name);
                self.flag(query.public);
                self.fields(query.arguments);
                self.ty(query.answer);
                self.error(query.error);
                self.flag(query.reads.is_some());
                if let Some(reads) = query.reads {
                    self.names(reads);
                }
                self.flag(query.key.is_some());
                if let Some(key) = query.key {
                    self.names(key);
                }
            }
            RecordDesc::Link(link) => {
                self.path(link.path);
                self.all_sent(link.sends);
                self.all_sent(link.joins);
            }
        }
    }

    const fn all_sent(&mut self, functions: &[SentDesc]) {
        self.count(functions.len());
        let mut index = 0;
        while index < functions.len() {
            self.name(functions[index].name);
            self.fields(functions[index].arguments);
            self.ty(functions[index].answer);
            index += 1;
        }
    }

    const fn table(&mut self, table: &TableDesc) {
        self.name(table.name);
        self.u8(table.kind as u8);
        self.flag(table.public);
        self.u16(table.version);
        self.count(table.columns.len());
        let mut index = 0;
        while index < table.columns.len() {
            let column = &table.columns[index];
            self.name(column.name);
            self.ty(column.ty);
            match column.default {
                None => self.u8(code::FILL_NONE),
                Some(FillDesc::Value(value)) => {
                    self.u8(code::FILL_VALUE);
                    self.u32(value.len());
                    self.raw(value);
                }
                Some(FillDesc::Created) => self.u8(code::FILL_CREATED),
                Some(FillDesc::Updated) => self.u8(code::FILL_UPDATED),
                Some(FillDesc::Session) => self.u8(code::FILL_SESSION),
                Some(FillDesc::Caller) => self.u8(code::FILL_CALLER),
            }
            self.u16(column.since);
            index += 1;
        }
        self.positions(table.primary_key);
        self.flag(table.auto_inc.is_some());
        if let Some(column) = table.auto_inc {
            self.u16(column);
        }
        self.count(table.indexes.len());
        let mut index = 0;
        while index < table.indexes.len() {
            self.name(table.indexes[index].name);
            self.positions(table.indexes[index].columns);
            self.u8(table.indexes[index].kind as u8);
            self.flag(table.indexes[index].unique);
            index += 1;
        }
    }

    const fn error(&mut self, error: Option<&TypeDesc>) {
        self.flag(error.is_some());
        if let Some(error) = error {
            self.ty(error);
        }
    }

    const fn reducer(&mut self, reducer: &ReducerDesc) {
        self.name(reducer.name);
        self.flag(reducer.public);
        self.fields(reducer.arguments);
        self.ty(reducer.answer);
        self.error(reducer.error);
        match reducer.hook {
            None => self.u8(code::HOOK_NONE),
            Some(HookDesc::Init) => self.u8(code::HOOK_INIT),
            Some(HookDesc::OwnTable(table, event)) => {
                self.u8(code::HOOK_OWN_TABLE);
                self.name(table);
                self.u8(event as u8);
            }
            Some(HookDesc::Upgrade) => self.u8(code::HOOK_UPGRADE),
            Some(HookDesc::Connect) => self.u8(code::HOOK_CONNECT),
            Some(HookDesc::Disconnect) => self.u8(code::HOOK_DISCONNECT),
            Some(HookDesc::Every(micros)) => {
                self.u8(code::HOOK_EVERY);
                self.raw(&micros.to_le_bytes());
            }
            Some(HookDesc::Cron(calendar)) => {
                self.u8(code::HOOK_CRON);
                self.text(calendar, CRON_BYTES_MAX);
            }
            Some(HookDesc::Due(table)) => {
                self.u8(code::HOOK_DUE);
                self.name(table);
            }
            Some(HookDesc::Migrate(table)) => {
                self.u8(code::HOOK_MIGRATE);
                self.name(table);
            }
            Some(HookDesc::OtherTable(path, table, event)) => {
                self.u8(code::HOOK_OTHER_TABLE);
                self.path(path);
                self.name(table);
                self.u8(event as u8);
            }
            Some(HookDesc::Reply(path, reducer)) => {
                self.u8(code::HOOK_REPLY);
                self.path(path);
                self.name(reducer);
            }
        }
        self.flag(reducer.access.is_some());
        if let Some(access) = &reducer.access {
            self.names(access.reads);
            self.names(access.inserts);
            self.names(access.updates);
            self.names(access.deletes);
        }
    }
}

/// CRC-32C, continued from `crc`: unlike BLAKE3 it runs at compile time.
const fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    let mut crc = !crc;
    let mut index = 0;
    while index < bytes.len() {
        crc = CRC_TABLE[((crc ^ bytes[index] as u32) & 0xff) as usize] ^ (crc >> 8);
        index += 1;
    }
    !crc
}

static CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { 0x82f6_3b78 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Reads a section's records. Sorts what a schema sorts; rules are left to [`Schema::check`].
pub(super) fn lift(section: &[u8]) -> Result<Schema, Error> {
    if section.len() > SCHEMA_BYTES_MAX {
        return Err(over("SCHEMA_BYTES_MAX", "declare less in one module"));
    }
    let mut schema = Schema::default();
    let mut has_module = false;
    let mut rest = section;
    while let Some(start) = rest.iter().position(|byte| *byte != 0) {
        let mut reader = Reader { bytes: rest.get(start..).unwrap_or_default() };
        let (kind, content) = record(&mut reader)?;
        rest = reader.bytes;
        let mut content = Reader { bytes: content };
        match kind {
            MODULE if has_module => {
                return Err(malformed("the section has two module records: `isx::module!` is used twice"));
            }
            MODULE => {
                (schema.name, schema.version, schema.public) = content.module()?;
                has_module = true;
            }
            TABLE => {
                let mut table = content.table()?;
                table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
                schema.tables.push(table);
            }
            REDUCER => {
                let mut reducer = content.reducer()?;
                if let Some(access) = &mut reducer.access {
                    for tables in [&mut access.reads, &mut access.inserts, &mut access.updates, &mut access.deletes] {
                        tables.sort();
                    }
                }
                schema.reducers.push(reducer);
            }
            QUERY => {
                let mut query = content.query()?;
                query.reads.iter_mut().for_each(|tables| tables.sort());
                schema.queries.push(query);
            }
            LINK => {
                let link = content.link()?;
                merge(&mut schema.links, link);
            }
            kind => return Err(malformed(format!("the section has a record of kind {kind}, which is unknown"))),
        }
        content.end()?;
    }
    if !has_module {
        return Err(malformed("the section has no module record: `isx::module!` is missing"));
    }
    schema.tables.sort_by(|a, b| a.name.cmp(&b.name));
    schema.reducers.sort_by(|a, b| a.name.cmp(&b.name));
    schema.queries.sort_by(|a, b| a.name.cmp(&b.name));
    // A hook names its path itself: that is a link too.
    for reducer in &schema.reducers {
        if let Some(Hook::OtherTable { path, .. } | Hook::Reply { path, .. }) = &reducer.hook {
            merge(&mut schema.links, Link { path: String::clone(path), sends: Vec::new(), joins: Vec::new() });
        }
    }
    schema.links.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(schema)
}

/// Adds a link, or what it sends and joins to the one of the same path.
fn merge(links: &mut Vec<Link>, link: Link) {
    let place = links.iter().position(|other| other.path == link.path).unwrap_or(links.len());
    let Link { path, sends, joins } = link;
    if place == links.len() {
        links.push(Link { path, sends: Vec::new(), joins: Vec::new() });
    }
    if let Some(link) = links.get_mut(place) {
        for (all, new) in [(&mut link.sends, sends), (&mut link.joins, joins)] {
            all.extend(new);
            all.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
}

/// Takes one record off the reader: its kind and content.
fn record<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Error> {
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(malformed("the section has bytes that are no record; build the module again"));
    }
    let after_magic = reader.bytes;
    let (format, kind) = (reader.u8()?, reader.u8()?);
    if format != FORMAT {
        return Err(malformed(format!("record format {format} is unknown; this version reads {FORMAT}")));
    }
    let length = reader.u32()? as usize;
    let expected = reader.u32()?;
    let content = reader.take(length)?;
    let head = after_magic.get(..HEADER_BYTES - 4 - MAGIC.len()).unwrap_or_default();
    if crc32c(crc32c(0, head), content) != expected {
        return Err(malformed("a record of the section is damaged: its checksum differs; build the module again"));
    }
    Ok((kind, content))
}
