//! Links between modules: their rules, their one encoding, what is known of the other side.

use expect_test::{Expect, expect};
use isx_row::desc::FieldDesc;
use isx_row::schema::record::{self, HookDesc, LinkDesc, ModuleDesc, RecordDesc, ReducerDesc, SentDesc};
use isx_row::schema::{Column, Hook, Link, Reducer, RowEvent, Schema, Sent, Table, TableKind};
use isx_row::{Field, Type, Typed};

const OTHER: &str = "/self/hello";

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), ty }
}

fn hook(name: &str, arguments: Vec<Field>, hook: Hook) -> Reducer {
    Reducer {
        name: name.into(),
        public: false,
        arguments,
        answer: Type::UNIT,
        error: None,
        hook: Some(hook),
        access: None,
    }
}

fn on(event: RowEvent) -> Hook {
    Hook::OtherTable { path: OTHER.into(), table: "greeting".into(), event }
}

fn row() -> Type {
    Type::Struct(vec![field("id", Type::U64), field("name", Type::String)])
}

/// Sends to a reducer, hears of its replies, and of a table.
fn linked() -> Schema {
    let sent = |name: &str, answer| Sent { name: name.into(), arguments: vec![field("name", Type::String)], answer };
    let number = field("number", Type::U64);
    let reply = |answer| field("reply", Sent::reply(&answer));
    let replied = |reducer: &str| Hook::Reply { path: OTHER.into(), reducer: reducer.into() };
    Schema {
        name: "caller".into(),
        version: "1.0.0".into(),
        reducers: vec![
            hook("changed", vec![field("old", row()), field("new", row())], on(RowEvent::Update)),
            hook("counted", vec![field("row", row())], on(RowEvent::Insert)),
            hook("forgotten", vec![number.clone(), reply(Type::UNIT)], replied("forget")),
            hook("greeted", vec![number, reply(Type::U64)], replied("greet")),
        ],
        links: vec![Link {
            path: OTHER.into(),
            sends: vec![sent("forget", Type::UNIT), sent("greet", Type::U64)],
            joins: vec![sent("count", Type::U64), sent("greet", Type::U64)],
        }],
        ..Schema::default()
    }
}

fn check(change: impl FnOnce(&mut Schema), expect: Expect) {
    let mut schema = linked();
    change(&mut schema);
    let result = schema.check();
    expect.assert_eq(&result.map_or_else(|error| error.to_string(), |()| "allowed".into()));
}

#[test]
fn rules() {
    check(|_| {}, expect!["allowed"]);
    for path in ["hello", "/hello", "/self/", "//hello", "/self/../hello", "/self/a:b"] {
        let mut schema = linked();
        schema.links[0].path = path.into();
        assert!(schema.check().unwrap_err().text.contains("is no path of a mount"), "{path}");
    }
    check(
        |schema| schema.links[0].path = format!("/self/{}", "x".repeat(300)),
        expect![[r#"
        limit: over the limit LINK_PATH_BYTES_MAX: link to a shorter path than the one that begins `/self/xxxxxxxxxxxxxxxxxxxxxxxxxx`"#]],
    );
    check(
        |schema| schema.links.clear(),
        expect!["malformed: hook `changed` is on /self/hello, which the module has no link to"],
    );
    check(
        |schema| schema.links[0].sends.truncate(1),
        expect!["malformed: hook `greeted` hears of calls of `greet`, which are not sent to /self/hello: declare them"],
    );
    check(
        |schema| schema.links[0].sends[1].answer = Type::Bool,
        expect![
            "malformed: hook `greeted` takes the number of the call, a u64, and the reply of one that answers bool"
        ],
    );
    check(
        |schema| schema.links[0].sends.reverse(),
        expect!["malformed: the reducers of link /self/hello are not sorted: `forget` stands after `greet`"],
    );
    check(
        |schema| schema.links.push(schema.links[0].clone()),
        expect!["malformed: the links name `/self/hello` twice: rename or remove one"],
    );
    check(
        |schema| schema.reducers[1].arguments[0].ty = Type::U64,
        expect!["malformed: hook `counted` takes one row of table `greeting` as a struct and nothing else"],
    );
    check(
        |schema| drop(schema.reducers[0].arguments.pop()),
        expect![
            "malformed: hook `changed` takes the old and the new row of table `greeting` as a struct and nothing else"
        ],
    );
}

#[test]
fn one_encoding() {
    let schema = linked();
    let bytes = schema.encode().unwrap();
    assert_eq!(Schema::decode(&bytes).unwrap(), schema);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let checksum = blake3::Hasher::new().update(&damaged[..10]).update(&damaged[14..]).finalize();
        damaged[10..14].copy_from_slice(&checksum.as_bytes()[..4]);
        if let Ok(other) = Schema::decode(&damaged) {
            assert_eq!(other.encode().unwrap(), damaged, "byte {at}");
        }
    }
}

#[test]
fn records_lift_and_hooks_alone_make_links() {
    const MODULE: RecordDesc = RecordDesc::Module(ModuleDesc { name: "caller", version: "1.0.0", public: false });
    const LINK: RecordDesc = RecordDesc::Link(LinkDesc {
        path: OTHER,
        sends: &[SentDesc {
            name: "greet",
            arguments: &[FieldDesc { name: "name", ty: <String as Typed>::DESC }],
            answer: <u64 as Typed>::DESC,
        }],
        joins: &[],
    });
    const JOIN: RecordDesc = RecordDesc::Link(LinkDesc {
        path: OTHER,
        sends: &[],
        joins: &[SentDesc { name: "count", arguments: &[], answer: <u64 as Typed>::DESC }],
    });
    const GONE: RecordDesc = RecordDesc::Reducer(ReducerDesc {
        name: "gone",
        public: false,
        arguments: &[FieldDesc {
            name: "row",
            ty: &isx_row::desc::TypeDesc::Struct(&[FieldDesc { name: "id", ty: <u64 as Typed>::DESC }]),
        }],
        answer: <() as Typed>::DESC,
        error: None,
        hook: Some(HookDesc::OtherTable("/self/third", "thing", RowEvent::Delete)),
        access: None,
    });
    let section = [
        &record::bytes::<{ record::len(&GONE) }>(&GONE)[..],
        &record::bytes::<{ record::len(&LINK) }>(&LINK),
        &record::bytes::<{ record::len(&JOIN) }>(&JOIN),
        &record::bytes::<{ record::len(&MODULE) }>(&MODULE),
    ]
    .concat();
    let schema = Schema::lift(&section).unwrap();
    let count = Sent { name: "count".into(), arguments: vec![], answer: Type::U64 };
    let sends = vec![linked().links[0].sends[1].clone()];
    assert_eq!(schema.links[0], Link { path: OTHER.into(), sends, joins: vec![count] });
    assert_eq!(schema.links[1], Link { path: "/self/third".into(), sends: vec![], joins: vec![] });
    assert_eq!(
        schema.listens("/self/third").map(|(table, event, hook, _)| (table, event, hook)).collect::<Vec<_>>(),
        [("thing", RowEvent::Delete, "gone")]
    );
    assert_eq!(linked().reply_hook(OTHER, "greet"), Some("greeted"));
    assert_eq!(linked().reply_hook("/self/third", "greet"), None);
}

#[test]
fn a_row_may_be_known_by_its_first_columns() {
    let column = |name: &str, ty| Column { name: name.into(), ty, default: None, since: 1 };
    let table = Table {
        name: "greeting".into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns: vec![column("id", Type::U64), column("name", Type::String), column("text", Type::String)],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![],
    };
    assert_eq!(table.known_as(&row()), Ok(2));
    let known = |fields: Vec<Field>| table.known_as(&Type::Struct(fields)).unwrap_err();
    expect!["its column 1 is `name`, not `text`"]
        .assert_eq(&known(vec![field("id", Type::U64), field("text", Type::String)]));
    expect!["its column `id` is u64, not u32"].assert_eq(&known(vec![field("id", Type::U32)]));
    let more =
        ["id", "name", "text", "more"].map(|name| field(name, if name == "id" { Type::U64 } else { Type::String }));
    expect!["it has no column `more`"].assert_eq(&known(more.to_vec()));
}
