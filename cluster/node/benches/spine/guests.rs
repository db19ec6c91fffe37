//! The modules that are called: the shipped tally, and one made here that does nothing but insert.

use crate::Outcome;
use isx_iface::{Call, Delivery};
use isx_row::schema::{Column, Index, IndexKind, Reducer, Schema, Table, TableKind};
use isx_row::{Field, Signature, Type, Value, codec};
use std::borrow::Cow;
use std::path::Path;
use wasm_encoder::{CustomSection, Encode, Section};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../../sdk/wit/module.wit");
const ROWS: &str = include_str!("rows.wat");
/// Keys that tally counts.
const KEYS: u64 = 1024;

/// The shipped tally.
pub fn tally() -> Outcome<Vec<u8>> {
    let folder = std::env::var_os("ISX_GUESTS").ok_or("ISX_GUESTS names no folder: `cargo xtask bench` builds one")?;
    let file = Path::new(&folder).join("tally.wasm");
    std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()).into())
}

/// The arguments of tally's `add`, one to each key in turn.
pub fn add(number: u64) -> Outcome<Vec<u8>> {
    let fields = [field("key", Type::String), field("n", Type::U64)];
    let values = [Value::String(format!("key{:04}", number % KEYS)), Value::U64(1)];
    Ok(codec::encode_record(0, &fields, &values)?)
}

/// A call of tally's `add`.
pub fn add_call(number: u64) -> Outcome<Call> {
    let (payload, delivery) = (add(number)?, Delivery::default());
    Ok(Call {
        method: "add".into(),
        signature: Signature::ANY,
        payload,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery,
    })
}

/// A module with a reducer for each of its two tables, which inserts its arguments.
pub fn rows() -> Outcome<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| format!("rows.wat: {error}");
    let mut core = wat::parse_str(ROWS)?;
    let mut resolve = Resolve::default();
    let package = resolve.push_source("module.wit", CONTRACT).map_err(|error| failed(&error))?;
    let world = resolve.select_world(&[package], Some("module")).map_err(|error| failed(&error))?;
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).map_err(|error| failed(&error))?;
    let encoder = ComponentEncoder::default().module(&core).map_err(|error| failed(&error))?;
    let mut component = encoder.validate(true).encode().map_err(|error| failed(&error))?;
    let schema = rows_schema().encode()?;
    let section = CustomSection { name: Cow::Borrowed(isx_exec::SCHEMA_SECTION), data: Cow::Borrowed(&schema) };
    component.push(section.id());
    section.encode(&mut component);
    Ok(component)
}

/// The schema of the module in `rows.wat`.
pub fn rows_schema() -> Schema {
    let by_name = Index { name: "by_name".into(), columns: vec![1], kind: IndexKind::Btree, unique: false };
    let item = [field("id", Type::U64), field("name", Type::String), field("count", Type::U64)];
    let plain = [field("id", Type::U64), field("body", Type::Bytes)];
    Schema {
        name: "rows".into(),
        version: "0.1.0".into(),
        public: true,
        tables: vec![table("items", &item, vec![by_name]), table("plains", &plain, Vec::new())],
        reducers: vec![reducer("item", &item), reducer("plain", &plain)],
        ..Schema::default()
    }
}

fn table(name: &str, fields: &[Field], indexes: Vec<Index>) -> Table {
    let column = |field: &Field| Column { name: field.name.clone(), ty: field.ty.clone(), default: None, since: 1 };
    Table {
        name: name.into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns: fields.iter().map(column).collect(),
        primary_key: vec![0],
        auto_inc: None,
        indexes,
    }
}

fn reducer(name: &str, arguments: &[Field]) -> Reducer {
    let (arguments, answer) = (arguments.to_vec(), Type::Tuple(Vec::new()));
    Reducer { name: name.into(), public: true, arguments, answer, error: None, hook: None, access: None }
}

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), ty }
}

/// A record of (id, sixteen characters, number): the arguments of `item`, and with version 1 its row.
pub fn item(version: u16, id: u64) -> Vec<u8> {
    let scattered = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let name = format!("{scattered:016x}");
    [&version.to_le_bytes()[..], &id.to_le_bytes(), &16_u32.to_le_bytes(), &id.to_le_bytes(), name.as_bytes()].concat()
}

/// The arguments of `plain`: its row is 64 bytes.
pub fn plain(id: u64) -> Vec<u8> {
    const BODY: [u8; 50] = [7; 50];
    [&[0, 0][..], &id.to_le_bytes(), &(BODY.len() as u32).to_le_bytes(), &BODY].concat()
}
