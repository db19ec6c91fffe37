//! Schemas change under rows that stay.

use crate::tables::{column, counter, counters, decode, encode, id_key, index, name_key, rows, schema, table};
use isx_row::schema::{Column, Fill, Table};
use isx_row::{Code, Type, Value};
use isx_store::{Database, Restore, Scan, TableId};

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
    assert_eq!(error.text, "table counter: index by_count on rows that are there already");
    let empty = Database::new(schema(vec![counters(false)])).unwrap();
    empty.with_schema(schema(vec![both])).unwrap();
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
