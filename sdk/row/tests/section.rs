//! Records made at compile time, in a section, lift to the schema they describe.

#![allow(unsafe_code, reason = "a link section is unsafe to name")]

use expect_test::{Expect, expect};
use isx_row::desc::{FieldDesc, TypeDesc, VariantDesc};
use isx_row::schema::record::{
    self, AccessDesc, ColumnDesc, FillDesc, HookDesc, IndexDesc, ModuleDesc, QueryDesc, RecordDesc, ReducerDesc,
    TableDesc,
};
use isx_row::schema::{
    Access, Column, Fill, Hook, Index, IndexKind, Query, Reducer, RowEvent, Schedule, Schema, Table, TableKind,
    signature,
};
use isx_row::{ContentHash, Field, Locator, Principal, Span, Time, Type, Typed, Uuid};
use std::collections::BTreeMap;

type Everything = (
    (bool, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32),
    (f64, String, isx_row::Bytes, ContentHash, Time, Span, Principal, Uuid, Locator),
    (Option<u8>, Vec<String>, BTreeMap<String, (u8, i8)>),
);

const COLOUR: &TypeDesc = &TypeDesc::Enum(&[
    VariantDesc { name: "red", tag: 0, fields: &[] },
    VariantDesc { name: "grey", tag: 9, fields: &[FieldDesc { name: "_0", ty: <u8 as Typed>::DESC }] },
]);

const ROW: &TypeDesc = &TypeDesc::Struct(&[
    FieldDesc { name: "id", ty: <u64 as Typed>::DESC },
    FieldDesc { name: "name", ty: <String as Typed>::DESC },
    FieldDesc { name: "colour", ty: COLOUR },
]);

const MODULE: RecordDesc = RecordDesc::Module(ModuleDesc { name: "hello", version: "1.2.0", public: true });
const TABLE: RecordDesc = RecordDesc::Table(TableDesc {
    name: "greeting",
    kind: TableKind::Durable,
    public: true,
    version: 2,
    columns: &[
        ColumnDesc { name: "id", ty: <u64 as Typed>::DESC, default: None, since: 1 },
        ColumnDesc {
            name: "name",
            ty: <String as Typed>::DESC,
            default: Some(FillDesc::Value("nobody".as_bytes())),
            since: 1,
        },
        ColumnDesc { name: "colour", ty: COLOUR, default: Some(FillDesc::Value(&[0, 0])), since: 2 },
    ],
    primary_key: &[0],
    auto_inc: Some(0),
    indexes: &[
        IndexDesc { name: "name", columns: &[1, 2], kind: IndexKind::Btree, unique: false },
        IndexDesc { name: "colour", columns: &[2], kind: IndexKind::Hash, unique: true },
    ],
});
const LOG: RecordDesc = RecordDesc::Table(TableDesc {
    name: "a_log",
    kind: TableKind::Event,
    public: false,
    version: 1,
    columns: &[
        ColumnDesc { name: "id", ty: <u8 as Typed>::DESC, default: None, since: 1 },
        ColumnDesc { name: "came", ty: <Time as Typed>::DESC, default: Some(FillDesc::Created), since: 1 },
        ColumnDesc { name: "changed", ty: <Time as Typed>::DESC, default: Some(FillDesc::Updated), since: 1 },
    ],
    primary_key: &[0],
    auto_inc: None,
    indexes: &[],
});
const GREET: RecordDesc = RecordDesc::Reducer(ReducerDesc {
    name: "greet",
    public: true,
    arguments: &[FieldDesc { name: "everything", ty: <Everything as Typed>::DESC }],
    answer: <u64 as Typed>::DESC,
    error: Some(<String as Typed>::DESC),
    hook: None,
    access: Some(AccessDesc { reads: &["greeting", "a_log"], inserts: &["greeting"], updates: &[], deletes: &[] }),
});
const ON_GREETING: RecordDesc = RecordDesc::Reducer(ReducerDesc {
    name: "on_greeting",
    public: false,
    arguments: &[FieldDesc { name: "row", ty: ROW }],
    answer: <() as Typed>::DESC,
    error: None,
    hook: Some(HookDesc::OwnTable("greeting", RowEvent::Insert)),
    access: None,
});
const BEGIN: RecordDesc = RecordDesc::Reducer(ReducerDesc {
    name: "begin",
    public: false,
    arguments: &[],
    answer: <() as Typed>::DESC,
    error: None,
    hook: Some(HookDesc::Init),
    access: None,
});
const COUNT: RecordDesc = RecordDesc::Query(QueryDesc {
    name: "count",
    public: false,
    arguments: &[],
    answer: <Option<u64> as Typed>::DESC,
    error: Some(<(u8, bool) as Typed>::DESC),
    reads: Some(&["greeting"]),
    key: None,
});

/// As a guest's macros emit them.
#[used]
#[cfg_attr(any(target_os = "linux", target_family = "wasm"), unsafe(link_section = "isx:schema"))]
static IN_SECTION: [u8; record::len(&TABLE)] = record::bytes(&TABLE);

fn records() -> Vec<Vec<u8>> {
    vec![
        IN_SECTION.to_vec(),
        record::bytes::<{ record::len(&LOG) }>(&LOG).to_vec(),
        record::bytes::<{ record::len(&ON_GREETING) }>(&ON_GREETING).to_vec(),
        record::bytes::<{ record::len(&BEGIN) }>(&BEGIN).to_vec(),
        record::bytes::<{ record::len(&COUNT) }>(&COUNT).to_vec(),
        record::bytes::<{ record::len(&GREET) }>(&GREET).to_vec(),
        record::bytes::<{ record::len(&MODULE) }>(&MODULE).to_vec(),
    ]
}

fn expected() -> Schema {
    let unit = Type::UNIT;
    let colour = COLOUR.to_type();
    let column = |name: &str, ty, default: Option<&[u8]>, since| Column {
        name: name.into(),
        ty,
        default: default.map(|value| Fill::Value(value.to_vec())),
        since,
    };
    let names = |names: &[&str]| names.iter().map(|name| String::from(*name)).collect::<Vec<_>>();
    Schema {
        name: "hello".into(),
        version: "1.2.0".into(),
        public: true,
        tables: vec![
            Table {
                name: "a_log".into(),
                kind: TableKind::Event,
                public: false,
                version: 1,
                columns: vec![
                    column("id", Type::U8, None, 1),
                    Column { default: Some(Fill::Created), ..column("came", Type::Time, None, 1) },
                    Column { default: Some(Fill::Updated), ..column("changed", Type::Time, None, 1) },
                ],
                primary_key: vec![0],
                auto_inc: None,
                indexes: vec![],
            },
            Table {
                name: "greeting".into(),
                kind: TableKind::Durable,
                public: true,
                version: 2,
                columns: vec![
                    column("id", Type::U64, None, 1),
                    column("name", Type::String, Some(b"nobody"), 1),
                    column("colour", colour, Some(&[0, 0]), 2),
                ],
                primary_key: vec![0],
                auto_inc: Some(0),
                indexes: vec![
                    Index { name: "colour".into(), columns: vec![2], kind: IndexKind::Hash, unique: true },
                    Index { name: "name".into(), columns: vec![1, 2], kind: IndexKind::Btree, unique: false },
                ],
            },
        ],
        reducers: vec![
            Reducer {
                name: "begin".into(),
                public: false,
                arguments: vec![],
                answer: unit.clone(),
                error: None,
                hook: Some(Hook::Init),
                access: None,
            },
            Reducer {
                name: "greet".into(),
                public: true,
                arguments: vec![Field { name: "everything".into(), ty: Everything::ty() }],
                answer: Type::U64,
                error: Some(Type::String),
                hook: None,
                access: Some(Access {
                    reads: names(&["a_log", "greeting"]),
                    inserts: names(&["greeting"]),
                    ..Access::default()
                }),
            },
            Reducer {
                name: "on_greeting".into(),
                public: false,
                arguments: vec![Field { name: "row".into(), ty: ROW.to_type() }],
                answer: unit,
                error: None,
                hook: Some(Hook::OwnTable { table: "greeting".into(), event: RowEvent::Insert }),
                access: None,
            },
        ],
        links: vec![],
        queries: vec![Query {
            name: "count".into(),
            public: false,
            arguments: vec![],
            answer: Type::Option(Box::new(Type::U64)),
            error: Some(Type::Tuple(vec![Type::U8, Type::Bool])),
            reads: Some(names(&["greeting"])),
            key: None,
        }],
    }
}

#[test]
fn records_lift_in_any_order() {
    let mut records = records();
    for turn in 0..records.len() {
        records.rotate_left(1);
        // What a linker may put between.
        let section = records.join(&vec![0; turn * 3][..]);
        let schema = Schema::lift(&section).unwrap();
        assert_eq!(schema, expected());
        assert_eq!(Schema::decode(&schema.encode().unwrap()).unwrap(), schema);
    }
    assert_eq!(expected().tables[1].row_type(), ROW.to_type());
}

/// A record of a hook, and what it lifts to.
macro_rules! lifted {
    ($hook:expr) => {{
        const RECORD: RecordDesc = RecordDesc::Reducer(ReducerDesc {
            name: "hook",
            public: false,
            arguments: &[],
            answer: <() as Typed>::DESC,
            error: None,
            hook: Some($hook),
            access: None,
        });
        let module = record::bytes::<{ record::len(&MODULE) }>(&MODULE);
        let record = record::bytes::<{ record::len(&RECORD) }>(&RECORD);
        let schema = Schema::lift(&[&module[..], &record[..]].concat()).unwrap();
        assert_eq!(Schema::decode(&schema.encode().unwrap()).unwrap(), schema);
        schema.reducers[0].hook.clone().unwrap()
    }};
}

#[test]
fn records_of_hooks_on_times_lift() {
    assert_eq!(lifted!(HookDesc::Upgrade), Hook::Upgrade);
    assert_eq!(lifted!(HookDesc::Every(12_345)), Hook::Schedule(Schedule::Every(Span(12_345))));
    assert_eq!(lifted!(HookDesc::Cron("@daily")), Hook::Schedule(Schedule::Cron("@daily".into())));
}

#[test]
fn the_section_is_in_the_program() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(program.windows(IN_SECTION.len()).any(|window| window == IN_SECTION));
}

#[test]
fn what_is_damaged_is_refused() {
    let section = records().concat();
    for at in 0..section.len() {
        let mut damaged = section.clone();
        damaged[at] ^= 0x10;
        assert!(Schema::lift(&damaged).is_err(), "byte {at}");
    }
    // The module's record is the last: whatever is cut off, it is missing.
    for length in 0..section.len() {
        assert!(Schema::lift(&section[..length]).is_err(), "length {length}");
    }
}

fn check(section: &[Vec<u8>], expect: Expect) {
    expect.assert_eq(&Schema::lift(&section.concat()).expect_err("it contradicts").to_string());
}

#[test]
fn what_contradicts_is_refused() {
    let all = records();
    let without = |index: usize| [&all[..index], &all[index + 1..]].concat();
    let doubled = |index: usize| [&all[..], &[all[index].clone()]].concat();
    check(&without(6), expect!["malformed: the section has no module record: `isx::module!` is missing"]);
    check(&doubled(6), expect!["malformed: the section has two module records: `isx::module!` is used twice"]);
    check(&doubled(0), expect!["malformed: the tables name `greeting` twice: rename or remove one"]);
    check(&doubled(4), expect!["malformed: the queries name `count` twice: rename or remove one"]);
    check(&without(0), expect!["malformed: `greet` declares reads of `greeting`, which the module has not"]);
}

#[test]
fn a_signature_covers_name_arguments_and_answer() {
    let base = expected();
    let greet = &base.reducers[1];
    assert_eq!(greet.signature(), signature("greet", &greet.arguments, &greet.answer));
    let mut others = vec![greet.signature()];
    others.push(signature("greets", &greet.arguments, &greet.answer));
    others.push(signature("greet", &[], &greet.answer));
    others.push(signature("greet", &greet.arguments, &Type::I64));
    let mut renamed = greet.arguments.clone();
    renamed[0].name.push('s');
    others.push(signature("greet", &renamed, &greet.answer));
    let mut table = base.tables[1].clone();
    others.push(table.signature());
    table.primary_key = vec![1];
    others.push(table.signature());
    table.columns.pop();
    others.push(table.signature());
    let count = others.len();
    others.sort();
    others.dedup();
    assert_eq!(others.len(), count);
}
