//! The formats do not change: every line of `vectors/` is produced again, byte for byte.
//!
//! `UPDATE_EXPECT=1 cargo test -p isx-row --test vectors` writes the files again, after a change that is meant.

use expect_test::expect_file;
use isx_row::schema::{
    Access, Column, Fill, Hook, Index, IndexKind, Query, Reducer, RowEvent, Schedule, Schema, Table, TableKind,
};
use isx_row::{ContentHash, Field, Principal, Span, Time, Type, Value, Variant, codec, key};
use std::fmt::Write;

const REGENERATE: &str = "UPDATE_EXPECT=1 cargo test -p isx-row --test vectors";

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), ty }
}

fn option(ty: Type) -> Type {
    Type::Option(Box::new(ty))
}

fn list(ty: Type) -> Type {
    Type::List(Box::new(ty))
}

fn some(value: Value) -> Value {
    Value::Option(Some(Box::new(value)))
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn shape() -> Type {
    Type::Enum(vec![
        Variant { name: "point".into(), tag: 1, fields: vec![] },
        Variant {
            name: "circle".into(),
            tag: 300,
            fields: vec![field("name", Type::String), field("radius", Type::U16)],
        },
    ])
}

fn keys() -> Vec<(Type, Value)> {
    let colour = Type::Enum(vec![
        Variant { name: "red".into(), tag: 0, fields: vec![] },
        Variant { name: "green".into(), tag: 256, fields: vec![] },
    ]);
    let row = Type::Struct(vec![field("id", Type::U64), field("name", Type::String), field("size", Type::I16)]);
    vec![
        (Type::Bool, Value::Bool(false)),
        (Type::Bool, Value::Bool(true)),
        (Type::U8, Value::U8(255)),
        (Type::U16, Value::U16(0x0102)),
        (Type::U32, Value::U32(0x0102_0304)),
        (Type::U64, Value::U64(0x0102_0304_0506_0708)),
        (Type::U128, Value::U128(1 << 127 | 1)),
        (Type::I8, Value::I8(-1)),
        (Type::I16, Value::I16(-2)),
        (Type::I32, Value::I32(i32::MIN)),
        (Type::I64, Value::I64(i64::MAX)),
        (Type::I128, Value::I128(-1)),
        (Type::F32, Value::F32(1.5)),
        (Type::F32, Value::F32(-0.0)),
        (Type::F64, Value::F64(-2.0)),
        (Type::F64, Value::F64(f64::INFINITY)),
        (Type::F64, Value::F64(f64::NAN)),
        (Type::String, string("")),
        (Type::String, string("aß\0z")),
        (Type::Bytes, Value::Bytes(vec![0, 0xff, 0])),
        (Type::Blob, Value::Blob(ContentHash::of(b"isx"))),
        (Type::Time, Value::Time(Time(1_700_000_000_000_000))),
        (Type::Time, Value::Time(Time(-1))),
        (Type::Duration, Value::Duration(Span(60_000_000))),
        (Type::Principal, Value::Principal(Principal::anonymous())),
        (Type::Uuid, Value::Uuid(*b"0123456789abcdef")),
        (option(Type::U16), Value::Option(None)),
        (option(Type::U16), some(Value::U16(7))),
        (option(option(Type::String)), some(Value::Option(None))),
        (list(Type::U16), Value::List(vec![])),
        (list(Type::U16), Value::List(vec![Value::U16(1), Value::U16(2)])),
        (list(Type::String), Value::List(vec![string("a"), string(""), string("bc")])),
        (list(Type::String), Value::List(vec![])),
        (Type::UNIT, Value::Tuple(vec![])),
        (Type::Tuple(vec![Type::U8, Type::U16]), Value::Tuple(vec![Value::U8(1), Value::U16(2)])),
        (Type::Tuple(vec![Type::String, Type::String]), Value::Tuple(vec![string("a"), string("b")])),
        (row, Value::Struct(vec![Value::U64(1), string("x"), Value::I16(-1)])),
        (colour.clone(), Value::Enum(0, vec![])),
        (colour.clone(), Value::Enum(256, vec![])),
        (list(colour), Value::List(vec![Value::Enum(256, vec![])])),
        (shape(), Value::Enum(1, vec![])),
        (shape(), Value::Enum(300, vec![string("c"), Value::U16(9)])),
    ]
}

fn values() -> Vec<(Type, Value)> {
    let fixed = Type::Map(Box::new(Type::I8), Box::new(Type::U16));
    let var = Type::Map(Box::new(Type::String), Box::new(list(Type::U8)));
    let bytes = |bytes: &[u8]| Value::List(bytes.iter().map(|byte| Value::U8(*byte)).collect());
    let mut all = keys();
    all.extend([
        (Type::Locator, Value::Locator(vec![1, 2, 3])),
        (fixed.clone(), Value::Map(vec![])),
        (fixed, Value::Map(vec![(Value::I8(-1), Value::U16(1)), (Value::I8(1), Value::U16(2))])),
        (var, Value::Map(vec![(string("a"), bytes(&[1, 2])), (string("b"), bytes(&[]))])),
    ]);
    all
}

/// Values as the vectors write them: bytes and ids in hex (`-` for none), enums by tag.
fn text(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(text).collect::<Vec<_>>().join(", ");
    match value {
        Value::Bool(value) => value.to_string(),
        Value::U8(value) => value.to_string(),
        Value::U16(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::U128(value) => value.to_string(),
        Value::I8(value) => value.to_string(),
        Value::I16(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::I128(value) => value.to_string(),
        Value::F32(value) => format!("{value:?}"),
        Value::F64(value) => format!("{value:?}"),
        Value::String(value) => format!("{value:?}"),
        Value::Bytes(value) | Value::Locator(value) => format!("x{}", hex(value)),
        Value::Blob(value) => value.to_string(),
        Value::Time(Time(value)) | Value::Duration(Span(value)) => format!("{value}us"),
        Value::Principal(value) => value.to_string(),
        Value::Uuid(value) => hex(value),
        Value::Option(None) => "none".into(),
        Value::Option(Some(value)) => format!("some({})", text(value)),
        Value::List(values) => format!("[{}]", all(values)),
        Value::Map(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{} => {}", text(key), text(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Tuple(values) => format!("({})", all(values)),
        Value::Struct(values) => format!("{{{}}}", all(values)),
        Value::Enum(tag, values) => format!("#{tag}({})", all(values)),
    }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".into();
    }
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a string takes all");
        out
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let text = text.trim_matches('-');
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

/// The hex at the end of each line of a file, comments left out.
fn lines(name: &str) -> Vec<Vec<u8>> {
    let file =
        std::fs::read_to_string(format!("{}/vectors/{name}", env!("CARGO_MANIFEST_DIR"))).expect("the file is there");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| unhex(line.rsplit(" | ").next().unwrap_or_default().trim())).collect()
}

#[test]
fn standalone_encodings() {
    let mut file = format!("# type | value | standalone encoding. Written by: {REGENERATE}\n");
    for (ty, value) in values() {
        let mut bytes = Vec::new();
        codec::encode(&ty, &value, &mut bytes).unwrap();
        writeln!(file, "{ty} | {} | {}", text(&value), hex(&bytes)).unwrap();
    }
    expect_file!["../vectors/values.txt"].assert_eq(&file);
    for ((ty, value), bytes) in values().iter().zip(lines("values.txt")) {
        let read = text(&codec::decode(ty, &bytes).unwrap());
        assert_eq!(read.replace("-0.0", "0.0"), text(value).replace("-0.0", "0.0"));
    }
}

#[test]
fn memcomparable_keys() {
    let mut file = format!("# type | value | key. Written by: {REGENERATE}\n");
    for (ty, value) in keys() {
        let mut bytes = Vec::new();
        key::append_value(&ty, &value, &mut bytes).unwrap();
        writeln!(file, "{ty} | {} | {}", text(&value), hex(&bytes)).unwrap();
    }
    expect_file!["../vectors/keys.txt"].assert_eq(&file);
}

#[test]
fn records() {
    let fields = [
        field("id", Type::U64),
        field("name", Type::String),
        field("on", Type::Bool),
        field("tags", list(Type::String)),
    ];
    let row = |name: &str, tags: &[&str]| {
        vec![Value::U64(7), string(name), Value::Bool(true), Value::List(tags.iter().map(|tag| string(tag)).collect())]
    };
    let mut file = format!("# fields | version | values | record. Written by: {REGENERATE}\n");
    let mut put = |fields: &[Field], version, values: &[Value]| {
        let bytes = codec::encode_record(version, fields, values).unwrap();
        let (ty, value) = (Type::Struct(fields.to_vec()), Value::Struct(values.to_vec()));
        writeln!(file, "{ty} | {version} | {} | {}", text(&value), hex(&bytes)).unwrap();
    };
    put(&fields, 1, &row("", &[]));
    put(&fields, 2, &row("isx", &["a", "", "bc"]));
    put(&[], 0, &[]);
    put(&[field("answer", Type::UNIT)], 0, &[Value::Tuple(vec![])]);
    put(&[field("answer", option(Type::U8))], 0, &[some(Value::U8(1))]);
    expect_file!["../vectors/records.txt"].assert_eq(&file);
}

/// Bytes that a sloppy decoder takes.
fn refusals() -> Vec<(Type, &'static str)> {
    let pair = Type::Tuple(vec![Type::String, Type::String]);
    let map = Type::Map(Box::new(Type::U8), Box::new(Type::U8));
    vec![
        (Type::Bool, "02"),
        (Type::Bool, "-"),
        (Type::U32, "010203"),
        (Type::U32, "0102030405"),
        (Type::F32, "00000080"),
        (Type::F32, "0100c07f"),
        (Type::F64, "000000000000f8ff"),
        (Type::String, "ff"),
        (Type::String, "eda080"),
        (Type::Blob, "020000000000000000000000000000000000000000000000000000000000000000"),
        (option(Type::U8), "-"),
        (option(Type::U8), "0000"),
        (option(Type::U8), "0207"),
        (option(Type::U8), "01"),
        (list(Type::U16), "010000"),
        (list(Type::U16), "020000000100"),
        (list(Type::U16), "01000000010002"),
        (list(Type::U16), "ffffffff"),
        (list(Type::String), "0100000002000000ff"),
        (list(Type::String), "02000000010000000000000061"),
        (list(Type::String), "01000000010000006161"),
        (list(Type::UNIT), "ffffffff"),
        (pair.clone(), "020000000100000061"),
        (pair, "010000000100000061ff"),
        (map.clone(), "0200000002000100"),
        (map, "0200000001000100"),
        (shape(), "0000"),
        (shape(), "010000"),
        (shape(), "2c01010000000900"),
    ]
}

#[test]
fn refused_encodings() {
    let mut file = format!("# type | why it is refused | bytes. Written by: {REGENERATE}\n");
    for (ty, bytes) in refusals() {
        let error = codec::decode(&ty, &unhex(bytes)).unwrap_err();
        writeln!(file, "{ty} | {error} | {bytes}").unwrap();
    }
    expect_file!["../vectors/refused.txt"].assert_eq(&file);
}

fn schema() -> Schema {
    let column = |name: &str, ty: Type| Column { name: name.into(), ty, default: None, since: 1 };
    let later = Column { default: Some(Fill::Value(b"hi".to_vec())), since: 2, ..column("text", Type::String) };
    let greeting = Table {
        name: "greeting".into(),
        kind: TableKind::Durable,
        public: true,
        version: 2,
        columns: vec![column("id", Type::U64), column("name", Type::String), later],
        primary_key: vec![0],
        auto_inc: Some(0),
        indexes: vec![Index { name: "name".into(), columns: vec![1], kind: IndexKind::Btree, unique: false }],
    };
    let on_greeting = Reducer {
        name: "on_greeting".into(),
        public: false,
        arguments: vec![Field { name: "row".into(), ty: greeting.row_type() }],
        answer: Type::UNIT,
        error: None,
        hook: Some(Hook::OwnTable { table: "greeting".into(), event: RowEvent::Insert }),
        access: Some(Access { reads: vec!["greeting".into()], ..Access::default() }),
    };
    let greet = Reducer {
        name: "greet".into(),
        public: true,
        arguments: vec![field("name", Type::String)],
        answer: Type::U64,
        error: Some(shape()),
        hook: None,
        access: None,
    };
    let greetings_for = Query {
        name: "greetings_for".into(),
        public: true,
        arguments: vec![field("name", Type::String)],
        answer: list(greeting.row_type()),
        error: Some(Type::String),
        reads: Some(vec!["greeting".into()]),
        key: None,
    };
    let newest = Query {
        name: "newest".into(),
        arguments: vec![],
        error: None,
        key: Some(vec!["id".into()]),
        ..greetings_for.clone()
    };
    Schema {
        name: "hello".into(),
        version: "1.2.0".into(),
        public: true,
        tables: vec![greeting],
        reducers: vec![greet, on_greeting],
        queries: vec![greetings_for, newest],
        links: vec![],
    }
}

/// A module whose host writes times into its rows.
fn timed() -> Schema {
    let column = |name: &str, ty: Type, default| Column { name: name.into(), ty, default, since: 1 };
    let visit = Table {
        name: "visit".into(),
        kind: TableKind::Durable,
        public: false,
        version: 1,
        columns: vec![
            column("id", Type::U64, None),
            column("came", Type::Time, Some(Fill::Created)),
            column("changed", Type::Time, Some(Fill::Updated)),
        ],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![],
    };
    Schema { name: "times".into(), version: "1.0.0".into(), tables: vec![visit], ..Schema::default() }
}

/// A module with last values.
fn volatile() -> Schema {
    let column = |name: &str, ty: Type, default| Column { name: name.into(), ty, default, since: 1 };
    let cursor = Table {
        name: "cursor".into(),
        kind: TableKind::Volatile,
        public: true,
        version: 1,
        columns: vec![
            column("hand", Type::U8, None),
            column("who", Type::Principal, Some(Fill::Caller)),
            column("x", Type::F32, None),
        ],
        primary_key: vec![1, 0],
        auto_inc: None,
        indexes: vec![],
    };
    Schema { name: "values".into(), version: "1.0.0".into(), tables: vec![cursor], ..Schema::default() }
}

/// A module with every hook that time or an upgrade sets off.
fn hooked() -> Schema {
    let column = |name: &str, ty: Type| Column { name: name.into(), ty, default: None, since: 1 };
    let alarm = Table {
        name: "alarm".into(),
        kind: TableKind::Durable,
        public: false,
        version: 1,
        columns: vec![column("id", Type::U64), column("at", Type::Time)],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![Index { name: Hook::DUE.into(), columns: vec![1], kind: IndexKind::Btree, unique: false }],
    };
    let reducer = |name: &str, arguments, hook| Reducer {
        name: name.into(),
        public: false,
        arguments,
        answer: Type::UNIT,
        error: None,
        hook: Some(hook),
        access: None,
    };
    let online = Table {
        name: "online".into(),
        kind: TableKind::Session,
        columns: vec![
            Column { default: Some(Fill::Session), ..column("session", Type::Uuid) },
            column("name", Type::String),
        ],
        indexes: vec![Index { name: Fill::SESSION.into(), columns: vec![0], kind: IndexKind::Btree, unique: false }],
        ..alarm.clone()
    };
    let ring = Hook::Due { table: "alarm".into() };
    let nightly = Hook::Schedule(Schedule::Cron("30 3 * * *".into()));
    Schema {
        name: "hooks".into(),
        version: "1.0.0".into(),
        reducers: vec![
            reducer("beat", vec![field("count", Type::U64)], Hook::Schedule(Schedule::Every(Span(500_000)))),
            reducer("came", vec![], Hook::Connect),
            reducer("grown", vec![field("from", Type::String)], Hook::Upgrade),
            reducer("nightly", vec![], nightly),
            reducer("ring", vec![field("row", alarm.row_type())], ring),
            reducer("went", vec![], Hook::Disconnect),
        ],
        tables: vec![alarm, online],
        ..Schema::default()
    }
}

#[test]
fn schemas_and_signatures() {
    let schema = schema();
    let bytes = schema.encode().unwrap();
    let mut file = format!("# what | bytes. Written by: {REGENERATE}\n");
    writeln!(file, "schema | {}", hex(&bytes)).unwrap();
    writeln!(file, "schema with times | {}", hex(&timed().encode().unwrap())).unwrap();
    writeln!(file, "schema with hooks | {}", hex(&hooked().encode().unwrap())).unwrap();
    writeln!(file, "schema with last values | {}", hex(&volatile().encode().unwrap())).unwrap();
    for table in &schema.tables {
        writeln!(file, "signature of table {} | {}", table.name, table.signature()).unwrap();
    }
    for reducer in &schema.reducers {
        writeln!(file, "signature of reducer {} | {}", reducer.name, reducer.signature()).unwrap();
    }
    for query in &schema.queries {
        writeln!(file, "signature of query {} | {}", query.name, query.signature()).unwrap();
    }
    expect_file!["../vectors/schema.txt"].assert_eq(&file);
    assert_eq!(Schema::decode(&lines("schema.txt")[0]).unwrap(), schema);
    assert_eq!(Schema::decode(&lines("schema.txt")[1]).unwrap(), timed());
    assert_eq!(Schema::decode(&lines("schema.txt")[2]).unwrap(), hooked());
    assert_eq!(Schema::decode(&lines("schema.txt")[3]).unwrap(), volatile());
}
