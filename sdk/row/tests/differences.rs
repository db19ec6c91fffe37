//! What a new schema changes, and what it means.

use expect_test::{Expect, expect};
use isx_row::schema::{Access, Column, Fill, Hook, Index, IndexKind, Query, Reducer, Schema, Table, TableKind, Way};
use isx_row::{Field, Type, Variant};

fn column(name: &str, ty: Type) -> Column {
    Column { name: name.into(), ty, default: None, since: 1 }
}

fn color(tags: &[(&str, u16)]) -> Type {
    let variant = |(name, tag): &(&str, u16)| Variant { name: (*name).into(), tag: *tag, fields: vec![] };
    Type::Enum(tags.iter().map(variant).collect())
}

fn index(name: &str, columns: &[u16], unique: bool) -> Index {
    Index { name: name.into(), columns: columns.to_vec(), kind: IndexKind::Btree, unique }
}

fn schema() -> Schema {
    let rows = Table {
        name: "rows".into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns: vec![column("id", Type::U64), column("color", Type::List(Box::new(color(&[("red", 1)]))))],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![index("by_color", &[1], false)],
    };
    let act = Reducer {
        name: "act".into(),
        public: true,
        arguments: vec![Field { name: "n".into(), ty: Type::U64 }],
        answer: Type::UNIT,
        error: None,
        hook: None,
        access: None,
    };
    let ask = Query {
        name: "ask".into(),
        public: true,
        arguments: vec![],
        answer: Type::U64,
        error: None,
        reads: None,
        key: None,
    };
    Schema {
        name: "count".into(),
        version: "0.1.0".into(),
        public: true,
        tables: vec![rows],
        reducers: vec![act],
        queries: vec![ask],
        links: vec![],
    }
}

/// The differences after `change`, each with its effect.
fn check(change: impl FnOnce(&mut Schema), expect: Expect) {
    let mut new = schema();
    change(&mut new);
    let lines = schema().differences(&new, Way::On).into_iter().map(|one| format!("{one} ({})\n", one.effect));
    expect.assert_eq(&lines.collect::<String>());
}

#[test]
fn a_version_is_no_difference() {
    check(|new| new.version = "0.2.0".into(), expect![[""]]);
}

#[test]
fn what_comes_and_goes() {
    check(
        |new| {
            new.tables[0].name = "others".into();
            new.reducers.clear();
            new.queries[0].name = "tell".into();
        },
        expect![[r#"
            - table rows (refused: rows would be lost)
            + table others { id: u64, color: list<enum {red = 1}> } (data is kept)
            - reducer act (callers made for the old one are refused)
            - query ask (callers made for the old one are refused)
            + query tell() -> u64 (data is kept)
        "#]],
    );
}

#[test]
fn tables_grow_behind() {
    check(
        |new| {
            let added = Column { default: Some(Fill::Value(vec![0; 8])), since: 2, ..column("weight", Type::U64) };
            new.tables[0].columns.push(added);
            new.tables[0].version = 2;
            new.tables[0].columns[1].ty = Type::List(Box::new(color(&[("red", 1), ("green", 2)])));
        },
        expect![[r#"
            ~ table rows: column color: list<enum {red = 1, green = 2}> instead of list<enum {red = 1}> (callers made for the old one are refused)
            ~ table rows: column weight: u64 added; older rows have its default (data is kept)
        "#]],
    );
}

#[test]
fn what_rows_can_not_be_read_under_is_refused() {
    let refused = |change: fn(&mut Table), expect| check(|new| change(&mut new.tables[0]), expect);
    refused(
        |table| table.columns.push(column("weight", Type::U64)),
        expect![[r#"
            ~ table rows: an added column needs a default and a new version of the table (refused: rows would be lost)
        "#]],
    );
    refused(
        |table| table.columns[1].ty = color(&[]),
        expect![[r#"
            ~ table rows: a column differs; columns are added behind (refused: rows would be lost)
        "#]],
    );
    refused(
        |table| drop(table.columns.pop()),
        expect![[r#"
            ~ table rows: it has lost a column (refused: rows would be lost)
        "#]],
    );
    refused(
        |table| table.kind = TableKind::Session,
        expect![[r#"
            ~ table rows: its kind differs (refused: rows would be lost)
        "#]],
    );
    refused(
        |table| table.auto_inc = Some(0),
        expect![[r#"
            ~ table rows: its primary key or numbering differs (refused: rows would be lost)
        "#]],
    );
}

#[test]
fn indexes_over_rows_that_are_there() {
    check(
        |new| new.tables[0].indexes = vec![index("by_color_too", &[1], false), index("by_id", &[0], true)],
        expect![[r#"
            ~ table rows: index by_color_too added (data is kept)
            ~ table rows: unique index by_id added (data is kept; calls wait while rows are put into it)
            ~ table rows: index by_color removed (data is kept)
        "#]],
    );
}

#[test]
fn last_values_are_kept_or_forgotten_and_never_moved() {
    let cursor = || Table {
        name: "cursor".into(),
        kind: TableKind::Volatile,
        columns: vec![Column { default: Some(Fill::Caller), ..column("who", Type::Principal) }, column("x", Type::F32)],
        indexes: vec![],
        ..schema().tables.remove(0)
    };
    let check = |change: fn(&mut Schema), expect: Expect| {
        let mut old = schema();
        old.tables.insert(0, cursor());
        let mut new = old.clone();
        change(&mut new);
        let lines = old.differences(&new, Way::On).into_iter().map(|one| format!("{one} ({})\n", one.effect));
        expect.assert_eq(&lines.collect::<String>());
        let back = old.differences(&new, Way::Back);
        assert_eq!(old.differences(&new, Way::On), back, "there is no other way back");
    };
    check(|_| (), expect![""]);
    check(
        |new| new.tables[0].public = false,
        expect![[r#"
        ~ table cursor: it is private now (callers made for the old one are refused)
    "#]],
    );
    check(
        |new| drop(new.tables.remove(0)),
        expect![[r#"
        - table cursor (its last values are forgotten; callers made for the old one are refused)
    "#]],
    );
    check(
        |new| new.tables[0].columns[1].ty = Type::F64,
        expect![[r#"
        ~ table cursor: its rows are { who: principal, x: f64 }, volatile (its last values are forgotten; callers made for the old one are refused)
    "#]],
    );
    check(
        |new| {
            new.tables[0].kind = TableKind::Durable;
            new.tables[0].columns[0].default = None;
        },
        expect![[r#"
            ~ table cursor: it is durable now (its last values are forgotten; callers made for the old one are refused)
        "#]],
    );
    // The other way round rows would be lost.
    self::check(
        |new| new.tables[0].kind = TableKind::Volatile,
        expect![[r#"
        ~ table rows: its kind differs (refused: rows would be lost)
    "#]],
    );
    self::check(
        |new| {
            let who = Column { default: Some(Fill::Caller), ..column("who", Type::Principal) };
            let columns = vec![who, column("x", Type::F32)];
            new.tables.push(Table {
                name: "values".into(),
                kind: TableKind::Volatile,
                columns,
                ..new.tables[0].clone()
            });
        },
        expect![[r#"
            + table values { who: principal, x: f32 }, volatile (data is kept)
        "#]],
    );
}

#[test]
fn functions_change_for_their_callers() {
    check(
        |new| {
            new.public = false;
            new.reducers[0].answer = Type::String;
            new.reducers[0].access = Some(Access::default());
            new.queries[0].error = Some(Type::U8);
            new.queries[0].public = false;
        },
        expect![[r#"
            ~ module count: it is private now (callers made for the old one are refused)
            ~ reducer act: (n: u64) -> string instead of (n: u64) -> () (callers made for the old one are refused)
            ~ reducer act: what it may touch differs (data is kept)
            ~ query ask: it is private now (callers made for the old one are refused)
            ~ query ask: () -> u64, or u8 instead of () -> u64 (data is kept)
        "#]],
    );
    check(
        |new| new.reducers[0].hook = Some(Hook::Init),
        expect![[r#"
            ~ reducer act: it is a hook now (callers made for the old one are refused)
        "#]],
    );
}

#[test]
fn a_hook_takes_the_rows_of_a_table_that_can_not_be_kept() {
    let hook = |row: &[(&str, Type)]| Reducer {
        name: "mend".into(),
        public: false,
        arguments: vec![Field {
            name: "old".into(),
            ty: Type::Struct(row.iter().map(|(name, ty)| Field { name: (*name).into(), ty: ty.clone() }).collect()),
        }],
        answer: Type::UNIT,
        error: None,
        hook: Some(Hook::Migrate { table: "rows".into() }),
        access: None,
    };
    let other = |new: &mut Schema| new.tables[0].columns[1] = column("color", Type::String);
    check(
        |new| {
            other(new);
            new.reducers.push(hook(&[("id", Type::U64)]));
        },
        expect![[r#"
            ~ table rows: its rows go through mend (rows go through the module's hook; calls wait meanwhile)
            + reducer mend(old: {id: u64}) -> () (data is kept)
        "#]],
    );
    // It was made for rows from before it: on the way back it takes none.
    let later = schema();
    let mut earlier = later.clone();
    other(&mut earlier);
    earlier.reducers.push(hook(&[("id", Type::U64)]));
    let fate = earlier.fate(&later.tables[0], Way::Back).map(drop);
    assert_eq!(fate.unwrap_err().as_ref(), "a column differs; columns are added behind");
    // One of other columns is refused, and one that nothing is in need of changes nothing.
    check(
        |new| {
            other(new);
            new.reducers.push(hook(&[("id", Type::U32)]));
        },
        expect![[r#"
            ~ table rows: hook `mend`: its column `id` is u64, not u32 (refused: rows would be lost)
            + reducer mend(old: {id: u32}) -> () (data is kept)
        "#]],
    );
    check(
        |new| new.reducers.push(hook(&[("id", Type::U32)])),
        expect![[r#"
        + reducer mend(old: {id: u32}) -> () (data is kept)
    "#]],
    );
    check(
        |new| {
            new.tables.clear();
            new.reducers.push(hook(&[("id", Type::U64)]));
        },
        expect![[r#"
            ~ table rows: its rows go through mend (rows go through the module's hook; calls wait meanwhile)
            + reducer mend(old: {id: u64}) -> () (data is kept)
        "#]],
    );
}
