//! Schemas change under rows that stay.

use crate::tables::{column, counter, counters, decode, encode, id_key, index, name_key, rows, schema, table};
use isx_row::schema::{Column, Fill, Table, Way};
use isx_row::{Code, Type, Value};
use isx_store::{Database, How, Restore, Scan, TableId};

const COUNTER: TableId = TableId(0);

fn text(value: &str) -> Value {
    Value::String(value.into())
}

/// `counter` with two more columns.
fn wider() -> Table {
    let mut table = Table { version: 2, ..counters(false) };
    table.columns.push(Column {
        default: Some(Fill::Value(b"none".to_vec())),
        since: 2,
        ..column("note", Type::String)
    });
    table.columns.push(Column { default: Some(Fill::Value(vec![7, 0])), since: 2, ..column("rank", Type::U16) });
    table
}

fn two_rows() -> Database {
    let mut database = Database::new(schema(vec![counters(false)])).unwrap();
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(0, "a", 1)).unwrap();
    transaction.insert(COUNTER, &counter(0, "b", 2)).unwrap();
    transaction.commit();
    database
}

#[test]
fn rows_are_completed_when_they_are_read() {
    let before = two_rows();
    let earlier = table("anything", vec![column("id", Type::U64)], &[0], vec![]);
    let mut database = before.with_schema(schema(vec![earlier, wider()])).unwrap();
    assert_eq!((database.table("counter"), database.table("anything")), (Some(COUNTER), Some(TableId(1))));
    assert_ne!(database.state_hash(), before.state_hash());
    database.audit().unwrap();
    let expected = [Value::U64(1), text("a"), Value::U64(1), text("none"), Value::U16(7)];
    let by_name = database.index(COUNTER, "by_name").unwrap();
    let found = database.get(COUNTER, &id_key(1)).unwrap().unwrap();
    assert_eq!(decode(&wider(), &found), expected);
    assert_eq!(database.find(COUNTER, by_name, &name_key("a")).unwrap(), Some(found.clone()));
    assert_eq!(rows(&database, &Scan::all(COUNTER), 1)[0].1, found);
    assert_eq!(found.to_vec(), encode(&wider(), &expected));

    let old = database.clone();
    let mut transaction = database.begin();
    assert_eq!(transaction.insert(COUNTER, &counter(0, "c", 3)).unwrap_err().code, Code::Malformed);
    let newer = [Value::U64(1), text("z"), Value::U64(1), text("seen"), Value::U16(9)];
    assert_eq!(transaction.update(COUNTER, &encode(&wider(), &newer)).unwrap().0, found);
    assert_eq!(decode(&wider(), &transaction.delete(COUNTER, &id_key(2)).unwrap())[4], Value::U16(7));
    let savepoint = transaction.savepoint();
    transaction.delete(COUNTER, &id_key(1)).unwrap();
    transaction.rollback_to(savepoint);
    let changes = transaction.commit();
    database.audit().unwrap();
    let mut replica = old;
    replica.install(&changes).unwrap();
    assert_eq!(replica.state_hash(), database.state_hash());
}

#[test]
fn snapshots_keep_old_rows_and_table_ids() {
    let earlier = table("anything", vec![column("id", Type::U64)], &[0], vec![]);
    let database = two_rows().with_schema(schema(vec![earlier, wider()])).unwrap();
    let mut snapshot = database.snapshot();
    let chunks: Vec<_> = snapshot.by_ref().collect();
    let manifest = isx_store::Manifest::decode(&snapshot.manifest().encode().unwrap()).unwrap();
    let mut restore = Restore::new(manifest);
    chunks.iter().for_each(|chunk| restore.put(&chunk.bytes).unwrap());
    let restored = restore.finish().unwrap();
    assert_eq!(restored.state_hash(), database.state_hash());
    assert_eq!(restored.table("counter"), Some(COUNTER));
}

#[test]
fn indexes_are_dropped_and_relaxed_but_not_built() {
    let mut unique = Database::new(schema(vec![counters(true)])).unwrap();
    let mut transaction = unique.begin();
    transaction.insert(COUNTER, &counter(0, "a", 1)).unwrap();
    transaction.commit();
    let relaxed = unique.with_schema(schema(vec![counters(false)])).unwrap();
    relaxed.audit().unwrap();
    let refused = relaxed.with_schema(schema(vec![counters(true)])).unwrap_err();
    assert_eq!(refused.code, Code::Unsupported);
    let bare = relaxed.with_schema(schema(vec![Table { indexes: vec![], ..counters(false) }])).unwrap();
    bare.audit().unwrap();
    let both = Table { indexes: vec![index("by_count", &[2], false)], ..counters(false) };
    let error = bare.with_schema(schema(vec![both.clone()])).unwrap_err();
    assert_eq!(error.text, "table counter: its rows would have to move");
    let empty = Database::new(schema(vec![counters(false)])).unwrap();
    empty.with_schema(schema(vec![both])).unwrap();
}

/// Moves every row of a database to another, as whoever drives an upgrade does.
fn moved(before: &Database, tables: Vec<Table>) -> Result<Database, isx_row::Error> {
    moved_this_way(before, tables, Way::On)
}

fn moved_this_way(before: &Database, tables: Vec<Table>, way: Way) -> Result<Database, isx_row::Error> {
    let schema = schema(tables);
    let moves = before.moves(&schema, way)?;
    let mut after = before.moving_to(schema, &moves)?;
    after.audit()?;
    for one in moves.iter().filter(|one| one.how != How::Lost) {
        for (key, _) in rows(before, &Scan::all(one.table), 1) {
            after.put_moved(before, one, &key)?;
        }
    }
    after.set_moving(false);
    after.audit().map(|()| after)
}

#[test]
fn an_index_is_built_by_moving_the_rows() {
    let before = two_rows();
    let by_count = index("by_count", &[2], false);
    let after = moved(&before, vec![Table { indexes: vec![by_count.clone()], ..counters(false) }]).unwrap();
    let by_count_id = after.index(COUNTER, "by_count").unwrap();
    let mut key = Vec::new();
    isx_row::key::append_value(&Type::U64, &Value::U64(2), &mut key).unwrap();
    let found = after.find(COUNTER, by_count_id, &key).unwrap().unwrap();
    assert_eq!(decode(&counters(false), &found)[1], text("b"));
    assert_eq!(after.usage().rows, 2);
    // Numbers go on, and rows of earlier versions stay as they are stored.
    let mut wide = after.with_schema(schema(vec![Table { indexes: vec![by_count.clone()], ..wider() }])).unwrap();
    let row = [Value::U64(0), text("c"), Value::U64(1), text("x"), Value::U16(1)];
    let mut transaction = wide.begin();
    let stored = transaction.insert(COUNTER, &encode(&wider(), &row)).unwrap();
    assert_eq!(decode(&wider(), &stored)[0], Value::U64(3));
    transaction.commit();
    let rank = index("by_rank", &[4], false);
    let ranked = moved(&wide, vec![Table { indexes: vec![by_count, rank], ..wider() }]).unwrap();
    let counted = |database: &Database, name: &str| {
        database.entries(COUNTER, database.index(COUNTER, name).unwrap()).unwrap().count()
    };
    assert_eq!((counted(&ranked, "by_rank"), counted(&ranked, "by_count")), (3, 3));

    let unique = index("one", &[2], true);
    let error = moved(&wide, vec![Table { indexes: vec![unique], ..wider() }]).unwrap_err();
    assert_eq!((error.code, error.text.as_str()), (Code::Duplicate, "table counter: index one is unique"));
}

#[test]
fn a_table_that_goes_leaves_the_ids_of_others() {
    use isx_row::schema::{Hook, Reducer, Schema};
    let other = table("other", vec![column("id", Type::U64)], &[0], vec![]);
    let mut before = two_rows().with_schema(schema(vec![counters(false), other.clone()])).unwrap();
    let mut transaction = before.begin();
    transaction.insert(TableId(1), &encode(&other, &[Value::U64(7)])).unwrap();
    transaction.commit();
    let gone = |tables: Vec<Table>| {
        let row = isx_row::Field {
            name: "old".into(),
            ty: Type::Struct(vec![isx_row::Field { name: "id".into(), ty: Type::U64 }]),
        };
        let hook = Reducer {
            name: "drops".into(),
            public: false,
            arguments: vec![row],
            answer: Type::UNIT,
            error: None,
            hook: Some(Hook::Migrate { table: "counter".into() }),
            access: None,
        };
        std::sync::Arc::new(Schema { reducers: vec![hook], ..Schema::clone(&schema(tables)) })
    };
    let without = gone(vec![other.clone()]);
    let moves = before.moves(&without, Way::On).unwrap();
    assert_eq!(moves.len(), 1);
    assert_eq!(moves[0].how, How::Hook("drops".into(), 1));
    let mut after = before.moving_to(without, &moves).unwrap();
    after.set_moving(false);
    after.audit().unwrap();
    assert_eq!((after.table("other"), after.table("counter"), after.usage().rows), (Some(TableId(1)), None, 1));
    // Its id goes to the next that comes, and snapshots know the place meanwhile.
    let mut snapshot = after.snapshot();
    let chunks: Vec<_> = snapshot.by_ref().collect();
    let manifest = isx_store::Manifest::decode(&snapshot.manifest().encode().unwrap()).unwrap();
    let mut restore = Restore::new(manifest);
    chunks.iter().for_each(|chunk| restore.put(&chunk.bytes).unwrap());
    let restored = restore.finish().unwrap();
    assert_eq!(restored.state_hash(), after.state_hash());
    let next = table("next", vec![column("id", Type::U64)], &[0], vec![]);
    let again = restored.with_schema(gone(vec![next, other])).unwrap();
    assert_eq!((again.table("next"), again.table("other")), (Some(TableId(0)), Some(TableId(1))));
    again.audit().unwrap();
}

#[test]
fn incompatible_schemas_are_refused() {
    let database = two_rows();
    let check = |tables: Vec<Table>, text: &str| {
        let error = database.with_schema(schema(tables)).unwrap_err();
        assert_eq!((error.code, error.text.as_str()), (Code::Incompatible, text));
    };
    check(vec![], "table counter: it is missing; its rows would be lost");
    check(vec![Table { auto_inc: None, ..counters(false) }], "table counter: its primary key or numbering differs");
    let mut fewer = counters(false);
    fewer.columns.pop();
    check(vec![fewer], "table counter: it has lost a column");
    let mut other = counters(false);
    other.columns[2].ty = Type::U32;
    check(vec![other], "table counter: a column differs; columns are added behind");
    let unversioned = Table { version: 1, ..wider() };
    check(vec![unversioned], "table counter: its version must grow exactly when columns are added");
    let mut bare = wider();
    bare.columns[3].default = None;
    check(vec![bare], "table counter: an added column needs a default and a new version of the table");
}

#[test]
fn the_way_back_cuts_rows_and_loses_tables_that_were_not_known() {
    let more = table("more", vec![column("id", Type::U64)], &[0], vec![]);
    let mut wide = two_rows().with_schema(schema(vec![wider(), more.clone()])).unwrap();
    let mut transaction = wide.begin();
    transaction.insert(TableId(1), &encode(&more, &[Value::U64(7)])).unwrap();
    let row = [Value::U64(0), text("c"), Value::U64(3), text("a note"), Value::U16(1)];
    transaction.insert(COUNTER, &encode(&wider(), &row)).unwrap();
    transaction.commit();
    let refused = wide.moves(&schema(vec![counters(false)]), Way::On).unwrap_err();
    assert_eq!(refused.code, Code::Incompatible);

    let mut back = moved_this_way(&wide, vec![counters(false)], Way::Back).unwrap();
    assert_eq!((back.table("more"), back.usage().rows), (None, 3));
    let names: Vec<Value> =
        rows(&back, &Scan::all(COUNTER), 9).iter().map(|(_, row)| decode(&counters(false), row)[1].clone()).collect();
    assert_eq!(names, [text("a"), text("b"), text("c")]);
    // Numbers go on, and the index has them all.
    let mut transaction = back.begin();
    assert_eq!(decode(&counters(false), &transaction.insert(COUNTER, &counter(0, "d", 4)).unwrap())[0], Value::U64(4));
    transaction.commit();
    let by_name = back.index(COUNTER, "by_name").unwrap();
    assert!(back.find(COUNTER, by_name, &name_key("c")).unwrap().is_some());
    back.audit().unwrap();
    // And on again: what was lost is as new.
    let again = back.with_schema(schema(vec![wider(), more])).unwrap();
    let found = again.get(COUNTER, &id_key(3)).unwrap().unwrap();
    assert_eq!(decode(&wider(), &found)[3..], [text("none"), Value::U16(7)]);

    // A key of another kind is no way back.
    let other = Table { primary_key: vec![1], auto_inc: None, ..counters(false) };
    assert_eq!(wide.moves(&schema(vec![other]), Way::Back).unwrap_err().code, Code::Incompatible);
}

#[test]
fn a_value_that_was_not_known_stops_the_way_back() {
    use isx_row::Variant;
    let variant = |tag| Variant { name: format!("T{tag}"), tag, fields: vec![] };
    let moods = |tags: &[u16]| {
        let mood = Type::Enum(tags.iter().copied().map(variant).collect());
        table("mood", vec![column("id", Type::U64), column("is", mood)], &[0], vec![])
    };
    let (few, many) = (moods(&[1, 2]), moods(&[1, 2, 3]));
    let mut database = Database::new(schema(vec![many.clone()])).unwrap();
    let mut insert = |id, tag| {
        let mut transaction = database.begin();
        let row = encode(&many, &[Value::U64(id), Value::Enum(tag, vec![])]);
        transaction.insert(TableId(0), &row).unwrap();
        transaction.commit();
        moved_this_way(&database, vec![few.clone()], Way::Back)
    };
    assert_eq!(insert(1, 2).unwrap().usage().rows, 1);
    let stopped = insert(2, 3).unwrap_err();
    assert_eq!(stopped.code, Code::Incompatible);
    assert!(stopped.text.starts_with("table mood: a row is none of it"), "{stopped}");
}
