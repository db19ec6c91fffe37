//! Modules for tests: core WebAssembly as text, made into components with a schema.
#![allow(dead_code, reason = "each test file uses its part")]

use isx_exec::{Exec, Ports, SCHEMA_SECTION};
use isx_row::schema::{Access, Column, Hook, Index, IndexKind, Query, Reducer, RowEvent, Schema, Table, TableKind};
use isx_row::{ContentHash, Field, Principal, Signature, Time, Type};
use isx_store::{Cause, Database, EntryContext, Executed, Executor, Invocation};
use std::borrow::Cow;
use std::sync::Arc;
use wasm_encoder::{CustomSection, Encode, Section};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const CONTRACT: &str = include_str!("../../../../sdk/wit/module.wit");
pub const KV: &str = include_str!("kv.wat");

/// A component of core WebAssembly text, without a schema.
pub fn bare(text: &str) -> Vec<u8> {
    encoded(text, CONTRACT, "module")
}

/// A component of core WebAssembly text for a world.
pub fn encoded(text: &str, contract: &str, world: &str) -> Vec<u8> {
    let mut core = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_source("contract.wit", contract).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&core).unwrap().validate(true).encode().unwrap()
}

/// A component with a section `isx:schema` of these bytes.
pub fn with_section(mut component: Vec<u8>, data: &[u8]) -> Vec<u8> {
    let section = CustomSection { name: Cow::Borrowed(SCHEMA_SECTION), data: Cow::Borrowed(data) };
    component.push(section.id());
    section.encode(&mut component);
    component
}

/// A component of core WebAssembly text with a schema.
pub fn component(text: &str, schema: &Schema) -> Vec<u8> {
    with_section(bare(text), &schema.encode().unwrap())
}

fn table(name: &str, indexes: Vec<Index>) -> Table {
    let column = |name: &str| Column { name: name.into(), ty: Type::U64, default: None, since: 1 };
    Table {
        name: name.into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns: vec![column("key"), column("value")],
        primary_key: vec![0],
        auto_inc: None,
        indexes,
    }
}

fn pair() -> Vec<Field> {
    ["key", "value"].map(|name| Field { name: name.into(), ty: Type::U64 }).to_vec()
}

fn row_argument() -> Vec<Field> {
    vec![Field { name: "row".into(), ty: Type::Struct(pair()) }]
}

/// The schema of the module in `kv.wat`.
pub fn kv_schema() -> Schema {
    let nothing = Type::Tuple(Vec::new());
    let reducer = |name: &str, answer: &Type| Reducer {
        name: name.into(),
        public: true,
        arguments: pair(),
        answer: answer.clone(),
        error: None,
        hook: None,
        access: None,
    };
    let query = |name: &str| Query {
        name: name.into(),
        public: true,
        arguments: pair(),
        answer: Type::U64,
        error: None,
        reads: None,
        key: None,
    };
    let hook = |name: &str, table: &str| Reducer {
        public: false,
        arguments: row_argument(),
        hook: Some(Hook::OwnTable { table: table.into(), event: RowEvent::Insert }),
        ..reducer(name, &nothing)
    };
    let mut reducers: Vec<Reducer> = [
        "add",
        "chain",
        "erase",
        "forge",
        "huge",
        "junk",
        "keep_log",
        "loop",
        "memory",
        "nest",
        "trap",
        "utf8",
        "vast_table",
        "warm",
    ]
    .map(|name| reducer(name, &nothing))
    .to_vec();
    reducers.extend(["bump", "random", "x_caller"].map(|name| reducer(name, &Type::U64)));
    // The module does for `forge` what it does for `fail`, whose error the schema has.
    reducers.push(Reducer { error: Some(Type::U8), ..reducer("fail", &nothing) });
    reducers.push(reducer("yonder", &nothing));
    reducers.push(Reducer { public: false, ..reducer("add_private", &nothing) });
    reducers.push(Reducer {
        access: Some(Access { reads: vec!["kv".into()], ..Access::default() }),
        ..reducer("pretend", &nothing)
    });
    reducers.push(Reducer {
        public: false,
        arguments: Vec::new(),
        hook: Some(Hook::Init),
        ..reducer("init", &nothing)
    });
    reducers.push(hook("on_add", "kv"));
    reducers.push(hook("d_chain", "bonds"));
    reducers.sort_by(|a, b| a.name.cmp(&b.name));
    // The module does for it what it does for `x_caller`, which asks for the time.
    let rows = Type::List(Box::new(Type::Struct(pair())));
    let view = Query { answer: rows, key: Some(vec!["key".into()]), ..query("x_view") };
    let by_value = Index { name: "by_value".into(), columns: vec![1], kind: IndexKind::Btree, unique: false };
    Schema {
        name: "kv".into(),
        version: "0.1.0".into(),
        public: true,
        tables: vec![table("audit", vec![]), table("bonds", vec![]), table("kv", vec![by_value])],
        reducers,
        queries: vec![query("get"), query("question"), query("sum"), view, query("z_random")],
        links: vec![],
    }
}

/// Arguments of a key and a value.
pub fn arguments(key: u64, value: u64) -> Vec<u8> {
    [&[0, 0][..], &key.to_le_bytes(), &value.to_le_bytes()].concat()
}

/// The answer of a function that answers a number.
pub fn number(answer: &[u8]) -> u64 {
    assert_eq!(answer.len(), 10, "{answer:?}");
    u64::from_le_bytes(answer[2..].try_into().unwrap())
}

pub const NOTHING: [u8; 2] = [0, 0];
pub const CALLER: Principal = Principal([5; 32]);
pub const ENTRY: EntryContext = EntryContext { time: Time(1_000_000), seed: [9; 32] };

/// A call that holds no reference of the owner.
pub fn call<'a>(name: &'a str, arguments: &'a [u8], place: u64) -> Invocation<'a> {
    Invocation {
        mount: isx_row::MountId::default(),
        cause: Cause::Call,
        name,
        signature: Signature::ANY,
        arguments,
        caller: CALLER,
        trusted: false,
        session: None,
        hops: 0,
        place,
        fuel_max: 10_000_000,
    }
}

/// An executor that has the module of `kv.wat`, and an empty mount of it.
pub struct Mount {
    pub exec: Arc<Exec>,
    pub code: ContentHash,
    pub root: Database,
}

impl Mount {
    pub fn new() -> Self {
        Self::with(Ports::here())
    }

    pub fn with(ports: Ports) -> Self {
        let exec = Exec::new(ports).unwrap();
        let (code, schema) = exec.add(&component(KV, &kv_schema())).unwrap();
        Self { exec: Arc::new(exec), code, root: Database::new(schema).unwrap() }
    }

    /// Another mount on the same executor.
    pub fn again(&self) -> Self {
        let root = Database::new(self.exec.schema(&self.code).unwrap()).unwrap();
        Self { exec: Arc::clone(&self.exec), code: self.code, root }
    }

    pub fn execute(&mut self, calls: &[Invocation<'_>]) -> Vec<Executed> {
        self.exec.execute(&self.code, &mut self.root, &ENTRY, calls).unwrap()
    }

    pub fn one(&mut self, name: &str, key: u64, value: u64) -> Executed {
        self.execute(&[call(name, &arguments(key, value), 0)]).remove(0)
    }

    /// The value under a key, as the query `get` says.
    pub fn get(&self, key: u64) -> u64 {
        number(&self.query("get", key).unwrap())
    }

    pub fn query(&self, name: &str, key: u64) -> Result<Vec<u8>, isx_row::Error> {
        self.exec
            .query(&self.code, &self.root, (isx_row::Revision(1), Time(5)), &call(name, &arguments(key, 0), 0))
            .outcome
    }

    pub fn rows(&self, table: &str) -> u64 {
        self.root.row_count(self.root.table(table).unwrap()).unwrap()
    }
}
