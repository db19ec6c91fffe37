//! Schemas: one encoding, and every rule refuses its breach by name. A table, in one file so that a rule without a breach shows.

use expect_test::{Expect, expect};
use isx_row::schema::{
    Access, Column, Doing, Fill, Hook, Index, IndexKind, Query, Reducer, RowEvent, Schedule, Schema, Table, TableKind,
};
use isx_row::{Field, Span, Type, Variant};

fn column(name: &str, ty: Type) -> Column {
    Column { name: name.into(), ty, default: None, since: 1 }
}

fn table(name: &str, kind: TableKind) -> Table {
    Table {
        name: name.into(),
        kind,
        public: true,
        version: 1,
        columns: vec![column("id", Type::U64), column("name", Type::String)],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![],
    }
}

/// A volatile table whose rows are those of callers.
fn volatile(name: &str) -> Table {
    let who = Column { default: Some(Fill::Caller), ..column("who", Type::Principal) };
    Table { columns: vec![who, column("x", Type::F32)], ..table(name, TableKind::Volatile) }
}

fn index(name: &str, columns: &[u16]) -> Index {
    Index { name: name.into(), columns: columns.to_vec(), kind: IndexKind::Btree, unique: false }
}

fn reducer(name: &str) -> Reducer {
    Reducer {
        name: name.into(),
        public: true,
        arguments: vec![],
        answer: Type::UNIT,
        error: None,
        hook: None,
        access: None,
    }
}

fn query(name: &str) -> Query {
    Query { name: name.into(), public: true, arguments: vec![], answer: Type::U64, error: None, reads: None, key: None }
}

fn schema() -> Schema {
    Schema {
        name: "word-count".into(),
        version: "0.1.0".into(),
        public: false,
        tables: vec![table("events", TableKind::Event), table("rows", TableKind::Durable), volatile("values")],
        reducers: vec![reducer("act"), reducer("on_rows")],
        queries: vec![query("ask")],
        links: vec![],
    }
}

/// What the rules say of the schema after `change`.
fn check(change: impl FnOnce(&mut Schema), expect: Expect) {
    let mut schema = schema();
    change(&mut schema);
    let result = schema.check();
    assert_eq!(schema.encode().map(drop), result);
    expect.assert_eq(&result.map_or_else(|error| error.to_string(), |()| "allowed".into()));
}

fn with_type(ty: Type) -> impl FnOnce(&mut Schema) {
    |schema| schema.tables[1].columns.push(column("more", ty))
}

fn numbers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("n{number:04}"))
}

#[test]
fn names() {
    check(|_| {}, expect!["allowed"]);
    check(|schema| schema.name = "dev".into(), expect!["malformed: the module's name `dev` is reserved: use another"]);
    check(
        |schema| schema.name = String::new(),
        expect!["malformed: the module name `` is not spelled with a to z, 0 to 9 and `_`, a letter first"],
    );
    check(
        |schema| schema.name = "a".repeat(65),
        expect!["limit: over the limit NAME_BYTES_MAX: shorten the module name that begins with `aaaaaaaaaaaaaaaa`"],
    );
    check(
        |schema| schema.version = "1 0".into(),
        expect!["malformed: the module's version is not visible ASCII: write it as in `1.2.0`"],
    );
    check(
        |schema| schema.version = "1".repeat(65),
        expect!["limit: over the limit VERSION_TEXT_BYTES_MAX: shorten the module's version"],
    );
    check(
        |schema| schema.tables[1].name = "Rows".into(),
        expect!["malformed: the tables are not sorted: `Rows` stands after `events`"],
    );
    check(
        |schema| schema.tables[1].name = "ro-ws".into(),
        expect!["malformed: the table name `ro-ws` is not spelled with a to z, 0 to 9 and `_`, a letter first"],
    );
    check(
        |schema| schema.tables[1].columns[1].name = "1st".into(),
        expect!["malformed: the column name `1st` is not spelled with a to z, 0 to 9 and `_`, a letter first"],
    );
    check(
        |schema| schema.queries[0].name = "isx_ask".into(),
        expect!["malformed: the function name `isx_ask` begins with `isx_`, which is reserved"],
    );
    check(
        |schema| schema.queries[0].name = "act".into(),
        expect!["malformed: two of the module's tables, reducers and queries are called `act`: rename one"],
    );
    check(
        |schema| schema.queries[0].name = "rows".into(),
        expect!["malformed: two of the module's tables, reducers and queries are called `rows`: rename one"],
    );
    check(
        |schema| schema.tables[1].columns[1].name = "id".into(),
        expect!["malformed: table `rows` has two columns called `id`: rename one"],
    );
}

#[test]
fn counts() {
    check(
        |schema| schema.tables = numbers(257).map(|name| table(&name, TableKind::Durable)).collect(),
        expect!["limit: over the limit TABLES_MAX: the module's tables are 257, at most 256 are allowed"],
    );
    check(
        |schema| schema.reducers = numbers(1024).map(|name| reducer(&name)).collect(),
        expect!["limit: over the limit FUNCTIONS_MAX: the module's functions are 1025, at most 1024 are allowed"],
    );
    check(
        |schema| schema.tables[1].columns = numbers(257).map(|name| column(&name, Type::U8)).collect(),
        expect!["limit: over the limit FIELDS_MAX: the columns of `rows` are 257, at most 256 are allowed"],
    );
    check(
        |schema| schema.tables[1].indexes = numbers(17).map(|name| index(&name, &[1])).collect(),
        expect!["limit: over the limit INDEXES_MAX: the indexes of `rows` are 17, at most 16 are allowed"],
    );
    check(
        with_type(Type::Tuple(vec![Type::U8; 257])),
        expect!["limit: over the limit FIELDS_MAX: the members of column `rows.more` are 257, at most 256 are allowed"],
    );
    let wide = Type::Tuple(vec![Type::Tuple(vec![Type::Principal; 256]); 32]);
    check(with_type(wide), expect!["limit: over the limit VALUE_BYTES_MAX: no row of `rows` fits: split the table"]);
}

#[test]
fn types() {
    let nest = |levels| (1..levels).fold(Type::U8, |ty, _| Type::Option(Box::new(ty)));
    check(with_type(nest(16)), expect!["allowed"]);
    check(
        with_type(nest(17)),
        expect!["limit: over the limit TYPE_DEPTH_MAX: nest column `rows.more` less, or keep parts in tables"],
    );
    check(with_type(Type::Option(Box::new(Type::UNIT))), expect!["allowed"]);
    check(
        with_type(Type::List(Box::new(Type::UNIT))),
        expect!["malformed: column `rows.more` has a type without content: leave it out, or use an option of it"],
    );
    check(
        with_type(Type::Struct(vec![])),
        expect!["malformed: column `rows.more` has a type without content: leave it out, or use an option of it"],
    );
    check(
        with_type(Type::Map(Box::new(Type::Locator), Box::new(Type::U8))),
        expect!["malformed: column `rows.more` has a map whose key has no order: use another key"],
    );
    let variant = |name: &str, tag| Variant { name: name.into(), tag, fields: vec![] };
    check(
        with_type(Type::Enum(vec![])),
        expect!["malformed: column `rows.more` has an enum without variants: give it one"],
    );
    check(with_type(Type::Enum(vec![variant("Red", 0), variant("blue", 9)])), expect!["allowed"]);
    check(
        with_type(Type::Enum(vec![variant("a", 1), variant("b", 1)])),
        expect!["malformed: column `rows.more` has an enum whose tags do not ascend: sort them, each once"],
    );
    check(
        with_type(Type::Enum(vec![variant("a", 1), variant("a", 2)])),
        expect!["malformed: column `rows.more` has two variants called `a`"],
    );
    let field = |name: &str| Field { name: name.into(), ty: Type::U8 };
    check(
        with_type(Type::Struct(vec![field("a"), field("a")])),
        expect!["malformed: column `rows.more` has two fields called `a`: rename one"],
    );
}

#[test]
fn keys_and_indexes() {
    check(
        |schema| schema.tables[1].primary_key.clear(),
        expect!["malformed: the primary key of `rows` has no column: give it one"],
    );
    check(
        |schema| schema.tables[1].primary_key = vec![2],
        expect!["malformed: the primary key of `rows` names column 2, which is not there"],
    );
    check(
        |schema| schema.tables[1].primary_key = vec![1, 1],
        expect!["malformed: the primary key of `rows` has column `name` twice"],
    );
    check(
        |schema| schema.tables[1].columns[0].ty = Type::Locator,
        expect!["malformed: the primary key of `rows` has column `id`, which has no order"],
    );
    check(|schema| schema.tables[1].auto_inc = Some(0), expect!["allowed"]);
    check(
        |schema| schema.tables[1].auto_inc = Some(1),
        expect!["malformed: auto_inc of `rows` is on no integer column of the primary key"],
    );
    check(
        |schema| (schema.tables[1].columns[0].ty, schema.tables[1].auto_inc) = (Type::String, Some(0)),
        expect!["malformed: auto_inc of `rows` is on no integer column of the primary key"],
    );
    check(|schema| schema.tables[1].indexes = vec![index("name", &[1, 0])], expect!["allowed"]);
    check(
        |schema| schema.tables[1].indexes = vec![index("b", &[1]), index("a", &[1])],
        expect!["malformed: the indexes of `rows` are not sorted: `a` stands after `b`"],
    );
    check(
        |schema| schema.tables[1].indexes = vec![index("name", &[7])],
        expect!["malformed: the index `name` of `rows` names column 7, which is not there"],
    );
    check(
        |schema| schema.tables[0].indexes = vec![index("name", &[1])],
        expect!["malformed: table `events` keeps no rows, so it has no indexes and no auto_inc: remove them"],
    );
}

#[test]
fn versions_and_defaults() {
    let add = |default: Option<&'static [u8]>, since, version| {
        move |schema: &mut Schema| {
            let table = &mut schema.tables[1];
            table.version = version;
            table.columns.push(Column {
                default: default.map(|value| Fill::Value(value.to_vec())),
                since,
                ..column("more", Type::Bool)
            });
        }
    };
    check(add(Some(&[1]), 2, 2), expect!["allowed"]);
    check(
        add(None, 2, 2),
        expect!["malformed: column `rows.more` was added later and has no default for the older rows: give it one"],
    );
    check(
        add(Some(&[2]), 2, 2),
        expect![
            "malformed: the default of column `rows.more` is no value of its type: not the canonical encoding: a bool is 0 or 1"
        ],
    );
    check(
        add(Some(&[1]), 2, 1),
        expect![
            "malformed: column `rows.more` is there since version 2, which is not from 1 to the table's 1: add columns at the end and raise the version"
        ],
    );
    check(add(None, 1, 0), expect!["malformed: table `rows` has version 0: versions begin with 1"]);
    check(
        |schema| {
            let table = &mut schema.tables[1];
            table.version = 2;
            table.columns[0] = Column { default: Some(Fill::Value(vec![0; 8])), since: 2, ..column("id", Type::U64) };
        },
        expect![
            "malformed: column `rows.name` is there since version 1, which is not from 2 to the table's 2: add columns at the end and raise the version"
        ],
    );
    check(
        |schema| {
            let table = &mut schema.tables[1];
            table.version = 2;
            table.columns.push(Column { default: Some(Fill::Value(vec![0])), since: 2, ..column("more", Type::U8) });
            table.primary_key.push(2);
        },
        expect!["malformed: the primary key of `rows` has a column that was added later"],
    );
}

#[test]
fn times_written_by_the_host() {
    let add = |fills: &'static [(Fill, Type)], keyed: bool| {
        move |schema: &mut Schema| {
            let table = &mut schema.tables[1];
            for (position, (fill, ty)) in fills.iter().enumerate() {
                table
                    .columns
                    .push(Column { default: Some(fill.clone()), ..column(&format!("at{position}"), ty.clone()) });
            }
            if keyed {
                table.primary_key.push(2);
            }
        }
    };
    check(add(&[(Fill::Updated, Type::Time), (Fill::Created, Type::Time)], false), expect!["allowed"]);
    check(
        |schema| {
            let table = &mut schema.tables[1];
            table.version = 2;
            table.columns.push(Column { default: Some(Fill::Created), since: 2, ..column("at", Type::Time) });
        },
        expect!["allowed"],
    );
    check(
        add(&[(Fill::Created, Type::I64)], false),
        expect!["malformed: column `rows.at0` is written by the host with log time and is no time: make it one"],
    );
    check(
        add(&[(Fill::Created, Type::Time), (Fill::Created, Type::Time)], false),
        expect!["malformed: two columns of `rows` say when a row was inserted: remove one"],
    );
    check(
        add(&[(Fill::Updated, Type::Time), (Fill::Updated, Type::Time)], false),
        expect!["malformed: two columns of `rows` say when a row was changed: remove one"],
    );
    check(
        add(&[(Fill::Created, Type::Time)], true),
        expect!["malformed: the primary key of `rows` has column `at0`, which the host writes: name rows by another"],
    );
}

#[test]
fn rows_of_older_versions_are_the_first_columns() {
    let mut table = table("rows", TableKind::Durable);
    table.version = 3;
    table.columns.push(Column { default: Some(Fill::Value(vec![0])), since: 3, ..column("more", Type::U8) });
    assert_eq!([0, 1, 2, 3, 4].map(|version| table.columns_at(version).len()), [0, 2, 2, 3, 3]);
    assert_eq!(table.layout(2).count(), 2);
    assert_eq!((table.column("more"), table.column("other")), (Some(2), None));
}

fn hook(table: &str, event: RowEvent, rows: usize) -> impl FnOnce(&mut Schema) {
    let name = table.to_string();
    move |schema: &mut Schema| {
        let ty = schema.tables[1].row_type();
        let hook = &mut schema.reducers[1];
        hook.hook = Some(Hook::OwnTable { table: name, event });
        hook.arguments = (0..rows).map(|index| Field { name: format!("row{index}"), ty: ty.clone() }).collect();
    }
}

#[test]
fn hooks() {
    check(hook("rows", RowEvent::Insert, 1), expect!["allowed"]);
    check(hook("rows", RowEvent::Update, 2), expect!["allowed"]);
    check(hook("events", RowEvent::Insert, 1), expect!["allowed"]);
    check(
        hook("rows", RowEvent::Update, 1),
        expect!["malformed: hook `on_rows` takes the old and the new row of table `rows` and nothing else"],
    );
    check(
        hook("rows", RowEvent::Delete, 0),
        expect!["malformed: hook `on_rows` takes one row of table `rows` and nothing else"],
    );
    check(
        hook("other", RowEvent::Insert, 1),
        expect!["malformed: hook `on_rows` is on table `other`, which the module has not"],
    );
    check(
        hook("events", RowEvent::Delete, 1),
        expect!["malformed: hook `on_rows` is on an event that table `events` never has"],
    );
    check(
        hook("values", RowEvent::Insert, 1),
        expect![
            "malformed: hook `on_rows` is on table `values`, which is volatile: its rows are for who follows it and run nothing; call a reducer instead of putting, or make the table durable"
        ],
    );
    check(
        |schema| schema.reducers.iter_mut().for_each(|reducer| reducer.hook = Some(Hook::Init)),
        expect!["malformed: the module has two init hooks: make them one"],
    );
    check(
        |schema| {
            schema.reducers[0].hook = Some(Hook::Init);
            schema.reducers[0].arguments = vec![Field { name: "a".into(), ty: Type::U8 }];
        },
        expect!["malformed: hook `act` takes arguments, which nobody gives: remove them"],
    );
}

#[test]
fn hooks_on_times() {
    let on = |hook: Hook, arguments: &[Type]| {
        let field = |(index, ty): (usize, &Type)| Field { name: format!("a{index}"), ty: ty.clone() };
        let arguments = arguments.iter().enumerate().map(field).collect();
        |schema: &mut Schema| {
            schema.reducers[0].hook = Some(hook);
            schema.reducers[0].arguments = arguments;
        }
    };
    let every = |micros| Hook::Schedule(Schedule::Every(Span(micros)));
    let cron = |calendar: &str| Hook::Schedule(Schedule::Cron(calendar.into()));
    check(on(Hook::Upgrade, &[]), expect!["allowed"]);
    check(on(Hook::Upgrade, &[Type::String]), expect!["allowed"]);
    check(
        on(Hook::Upgrade, &[Type::U64]),
        expect!["malformed: hook `act` takes nothing, or the version of the module before as one string"],
    );
    check(on(every(10_000), &[]), expect!["allowed"]);
    check(on(every(10_000), &[Type::U64]), expect!["allowed"]);
    check(
        on(every(10_000), &[Type::U64, Type::U64]),
        expect!["malformed: hook `act` takes nothing, or how many times of the schedule have passed as one u64"],
    );
    for micros in [i64::MIN, -1, 0, 9_999, 400 * 86_400_000_000 + 1, i64::MAX] {
        check(
            on(every(micros), &[]),
            expect![
                "limit: over the limit SCHEDULE_EVERY_MIN_US or SCHEDULE_EVERY_MAX_US: let `act` run every 10 ms at most and every 400 days at least"
            ],
        );
    }
    let said = [(500_000, "500ms"), (90_000_000, "90s"), (3_600_000_000, "1h"), (172_800_000_000, "2d")];
    for (micros, text) in said {
        assert_eq!(every(micros).to_string(), format!("every {text}"));
    }
    check(on(cron("*/5 * * * *"), &[Type::U64]), expect!["allowed"]);
    check(
        on(cron("0 0 30 2 *"), &[]),
        expect!["malformed: the schedule of `act`: the calendar names a day that never comes: look at day and month"],
    );

    let due = |change: fn(&mut Table)| {
        move |schema: &mut Schema| {
            let table = &mut schema.tables[1];
            table.columns.push(column("at", Type::Time));
            let columns = vec![u16::try_from(table.columns.len() - 1).unwrap()];
            table.indexes.push(Index { name: Hook::DUE.into(), columns, kind: IndexKind::Btree, unique: false });
            table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
            change(table);
            let row = Field { name: "row".into(), ty: table.row_type() };
            schema.reducers[0].hook = Some(Hook::Due { table: "rows".into() });
            schema.reducers[0].arguments = vec![row];
        }
    };
    check(due(|_| ()), expect!["allowed"]);
    check(
        |schema: &mut Schema| {
            due(|_| ())(schema);
            schema.reducers[1].hook = schema.reducers[0].hook.clone();
        },
        expect!["malformed: two hooks wait for due rows of `rows`, which go with the first: make them one"],
    );
    check(
        due(|table| table.indexes.retain(|index| index.name != Hook::DUE)),
        expect![
            "malformed: hook `act` waits for rows of `rows`, which has no index `due` of one time, a btree that is not unique: mark the column that says when"
        ],
    );
    check(
        due(|table| table.columns.iter_mut().for_each(|column| column.ty = Type::U64)),
        expect![
            "malformed: hook `act` waits for rows of `rows`, which has no index `due` of one time, a btree that is not unique: mark the column that says when"
        ],
    );
    check(
        on(Hook::Due { table: "rows".into() }, &[]),
        expect![
            "malformed: hook `act` waits for rows of `rows`, which has no index `due` of one time, a btree that is not unique: mark the column that says when"
        ],
    );
    check(
        on(Hook::Due { table: "other".into() }, &[]),
        expect!["malformed: hook `act` is on table `other`, which the module has not"],
    );
}

#[test]
fn tables_of_sessions() {
    let of_sessions = |change: fn(&mut Table)| {
        move |schema: &mut Schema| {
            let table = &mut schema.tables[1];
            table.kind = TableKind::Session;
            table.columns.push(Column { default: Some(Fill::Session), ..column("whose", Type::Uuid) });
            let columns = vec![u16::try_from(table.columns.len() - 1).unwrap()];
            table.indexes.push(Index { name: Fill::SESSION.into(), columns, kind: IndexKind::Btree, unique: false });
            change(table);
        }
    };
    check(of_sessions(|_| ()), expect!["allowed"]);
    check(of_sessions(|table| table.primary_key = vec![table.indexes[0].columns[0]]), expect!["allowed"]);
    check(
        of_sessions(|table| table.kind = TableKind::Durable),
        expect!["malformed: a column of `rows` says of which session a row is: only rows of sessions are"],
    );
    check(
        of_sessions(|table| table.indexes.clear()),
        expect![
            "malformed: table `rows` is of sessions and has no index `session` over its column of those, which is not unique: add it"
        ],
    );
    check(
        of_sessions(|table| table.columns.iter_mut().for_each(|column| column.default = None)),
        expect!["malformed: table `rows` is of sessions and has not one column that says of which: mark one"],
    );
    check(
        of_sessions(|table| table.columns.iter_mut().for_each(|column| column.ty = Type::U64)),
        expect!["malformed: column `rows.whose` is written by the host with the session and is no uuid: make it one"],
    );
    check(
        of_sessions(|table| {
            table.version = 2;
            table.columns.iter_mut().for_each(|column| column.since = if column.ty == Type::Uuid { 2 } else { 1 });
        }),
        expect!["malformed: column `rows.whose` says whose a row is, and was added later: rows had no session before"],
    );
    assert!(!Schema::default().tracks_sessions());
}

#[test]
fn volatile_tables() {
    let values = |change: fn(&mut Table)| move |schema: &mut Schema| change(&mut schema.tables[2]);
    check(values(|_| ()), expect!["allowed"]);
    check(
        values(|table| {
            table.columns.insert(0, column("hand", Type::U8));
            table.primary_key = vec![0, 1];
        }),
        expect!["allowed"],
    );
    check(
        values(|table| table.columns[0].default = None),
        expect![
            "malformed: table `values` is volatile and has not one column that says whose a row is: mark a principal of its primary key"
        ],
    );
    check(
        values(|table| table.columns.push(Column { name: "by".into(), ..table.columns[0].clone() })),
        expect![
            "malformed: table `values` is volatile and has not one column that says whose a row is: mark a principal of its primary key"
        ],
    );
    check(
        values(|table| table.columns[0].ty = Type::U64),
        expect![
            "malformed: column `values.who` is written by the host with who put the row and is no principal: make it one"
        ],
    );
    check(
        values(|table| {
            table.columns.push(column("id", Type::U8));
            table.primary_key = vec![2];
        }),
        expect![
            "malformed: the primary key of volatile table `values` lacks the column that says whose a row is, so that one caller could overwrite another's: add it to the key"
        ],
    );
    check(
        values(|table| table.columns[1].default = Some(Fill::Value(vec![0; 4]))),
        expect![
            "malformed: column `values.x` has a default or is written by the host: a volatile table has no older rows and no log time, remove it"
        ],
    );
    check(
        values(|table| {
            table.columns.push(Column { default: Some(Fill::Updated), ..column("at", Type::Time) });
        }),
        expect![
            "malformed: column `values.at` has a default or is written by the host: a volatile table has no older rows and no log time, remove it"
        ],
    );
    check(
        values(|table| table.version = 2),
        expect!["malformed: volatile table `values` has version 2: it has no older rows, so 1"],
    );
    check(
        values(|table| table.indexes = vec![index("who", &[0])]),
        expect!["malformed: table `values` keeps no rows, so it has no indexes and no auto_inc: remove them"],
    );
    check(
        values(|table| {
            table.columns.push(column("id", Type::U8));
            (table.primary_key, table.auto_inc) = (vec![0, 2], Some(2));
        }),
        expect!["malformed: table `values` keeps no rows, so it has no indexes and no auto_inc: remove them"],
    );
    check(
        values(|table| table.kind = TableKind::Durable),
        expect!["malformed: a column of `values` says who put a row: only rows of volatile tables are put"],
    );

    // No function has to do with them.
    let names = |name: &str| vec![name.to_string()];
    let declare = |access: Access| |schema: &mut Schema| schema.reducers[0].access = Some(access);
    check(
        declare(Access { reads: names("values"), ..Access::default() }),
        expect![
            "malformed: `act` declares reads of `values`, which is volatile: its rows are put and followed by callers and seen by no function; remove it there, or make the table durable"
        ],
    );
    check(
        declare(Access { inserts: names("values"), ..Access::default() }),
        expect![
            "malformed: `act` declares inserts of `values`, which is volatile: its rows are put and followed by callers and seen by no function; remove it there, or make the table durable"
        ],
    );
    check(
        |schema| schema.queries[0].reads = Some(vec!["values".into()]),
        expect![
            "malformed: `ask` declares reads of `values`, which is volatile: its rows are put and followed by callers and seen by no function; remove it there, or make the table durable"
        ],
    );
    check(
        |schema| {
            let row = Field { name: "row".into(), ty: schema.tables[2].row_type() };
            schema.reducers[1].hook = Some(Hook::OwnTable { table: "values".into(), event: RowEvent::Insert });
            schema.reducers[1].arguments = vec![row];
        },
        expect![
            "malformed: hook `on_rows` is on table `values`, which is volatile: its rows are for who follows it and run nothing; call a reducer instead of putting, or make the table durable"
        ],
    );
    check(
        |schema| schema.reducers[1].hook = Some(Hook::Due { table: "values".into() }),
        expect![
            "malformed: hook `on_rows` is on table `values`, which is volatile: its rows are for who follows it and run nothing; call a reducer instead of putting, or make the table durable"
        ],
    );
}

#[test]
fn methods_of_volatile_tables() {
    let mut schema = schema();
    schema.tables[2].columns.insert(0, column("hand", Type::U8));
    schema.tables[2].primary_key = vec![0, 1];
    let found = |method: &str| {
        schema.doing(method).map(|(table, doing)| {
            let names: Vec<String> = table.arguments(doing).into_iter().map(|field| field.name).collect();
            (doing, names.join(", "))
        })
    };
    assert_eq!(found("values.put"), Some((Doing::Put, "hand, x".into())));
    assert_eq!(found(&Doing::Delete.method("values")), Some((Doing::Delete, "hand".into())));
    for none in ["values", "values.", "values.take", "values.put.put", ".put", "rows.put", "other.put"] {
        assert_eq!(found(none), None, "{none}");
    }
    let (table, mut other) = (&schema.tables[2], schema.tables[2].clone());
    other.public = false;
    assert!(other.keeps_values_of(table));
    other.columns[0].ty = Type::U16;
    assert!(!other.keeps_values_of(table));
    assert!(!schema.tables[1].keeps_values_of(&schema.tables[1]), "it is stored");
}

#[test]
fn access() {
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let declare = |access: Access| |schema: &mut Schema| schema.reducers[0].access = Some(access);
    check(
        declare(Access { reads: names(&["events", "rows"]), inserts: names(&["events"]), ..Access::default() }),
        expect!["allowed"],
    );
    check(
        declare(Access { reads: names(&["rows", "rows"]), ..Access::default() }),
        expect!["malformed: the reads of `act` name `rows` twice: rename or remove one"],
    );
    check(
        declare(Access { deletes: names(&["other"]), ..Access::default() }),
        expect!["malformed: `act` declares deletes of `other`, which the module has not"],
    );
    check(
        declare(Access { updates: names(&["events"]), ..Access::default() }),
        expect!["malformed: `act` declares updates of `events`, whose kind has none"],
    );
    check(
        declare(Access { reads: names(&["values"]), ..Access::default() }),
        expect![
            "malformed: `act` declares reads of `values`, which is volatile: its rows are put and followed by callers and seen by no function; remove it there, or make the table durable"
        ],
    );
    check(
        |schema| schema.queries[0].reads = Some(names(&["events"])),
        expect!["malformed: `ask` declares reads of `events`, whose kind has none"],
    );
}

#[test]
fn views_give_rows_that_a_key_tells_apart() {
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| name.to_string()).collect() };
    let view = |key: &[&str], row: Type| {
        let key = Some(names(key));
        move |schema: &mut Schema| {
            let query = &mut schema.queries[0];
            (query.key, query.answer) = (key, Type::List(Box::new(row)));
        }
    };
    let row = || {
        let field = |name: &str, ty| Field { name: name.into(), ty };
        let map = Type::Map(Box::new(Type::U8), Box::new(Type::U8));
        Type::Struct(vec![field("id", Type::U64), field("name", Type::String), field("seen", map)])
    };
    check(view(&["id"], row()), expect!["allowed"]);
    check(view(&["name", "id"], row()), expect!["allowed"]);
    check(view(&[], row()), expect!["malformed: view `ask` has no key: name the fields that tell its rows apart"]);
    check(
        view(&["nobody"], row()),
        expect!["malformed: the key of view `ask` is not of its rows: they have no `nobody`"],
    );
    check(view(&["id", "id"], row()), expect!["malformed: the key of view `ask` has `id` twice"]);
    check(view(&["seen"], row()), expect!["malformed: the key of view `ask` has `seen`, which has no order"]);
    check(
        view(&["id"], Type::U64),
        expect!["malformed: view `ask` gives list<u64>, no rows: make it a list of structs"],
    );
    check(
        |schema| schema.queries[0].key = Some(names(&["id"])),
        expect!["malformed: view `ask` gives u64, no rows: make it a list of structs"],
    );
    let refuses = |schema: &mut Schema| {
        view(&["id"], row())(schema);
        schema.queries[0].error = Some(Type::U8);
    };
    check(refuses, expect!["malformed: view `ask` has an error of its own: who follows gets rows and nothing else"]);

    let mut schema = schema();
    view(&["name", "id"], row())(&mut schema);
    assert_eq!(Schema::decode(&schema.encode().unwrap()).unwrap(), schema);
    let rows = schema.followed("ask").unwrap();
    assert_eq!((rows.primary_key.as_slice(), rows.row_type()), (&[1, 0][..], row()));
    assert!(schema.followed("rows").is_some() && schema.followed("act").is_none());
}

#[test]
fn a_schema_has_one_encoding() {
    let mut schema = schema();
    hook("rows", RowEvent::Insert, 1)(&mut schema);
    schema.tables[1].indexes = vec![index("name", &[1])];
    schema.tables[1].auto_inc = Some(0);
    let bytes = schema.encode().unwrap();
    assert_eq!(Schema::decode(&bytes).unwrap(), schema);
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            assert!(Schema::decode(&damaged).is_err(), "byte {at}");
            // With the checksum made right again, what is accepted still has these bytes as its encoding.
            let checksum = blake3::Hasher::new().update(&damaged[..10]).update(&damaged[14..]).finalize();
            damaged[10..14].copy_from_slice(&checksum.as_bytes()[..4]);
            if let Ok(other) = Schema::decode(&damaged) {
                assert_eq!(other.encode().unwrap(), damaged, "byte {at}");
            }
        }
        assert!(Schema::decode(&bytes[..at]).is_err(), "length {at}");
    }
    assert!(Schema::decode(&[&bytes[..], &[0]].concat()).is_err());
}
