//! Columns that say when a row was inserted and changed: written by the store, whatever a row has in them.

use crate::tables::{column, counter, counters, decode, encode, id_key, index, key_of, schema, table};
use isx_row::schema::{Column, Fill, Table, TableKind};
use isx_row::{Time, Type, Value};
use isx_store::{Database, TableId};

const VISIT: TableId = TableId(0);
const FORGED: i64 = 666;

/// `id`, `came`, `note`, `changed`, which is indexed.
fn visits() -> Table {
    let written = |name, fill| Column { default: Some(fill), ..column(name, Type::Time) };
    let columns = vec![
        column("id", Type::U64),
        written("came", Fill::Created),
        column("note", Type::String),
        written("changed", Fill::Updated),
    ];
    table("visit", columns, &[0], vec![index("by_changed", &[3], false)])
}

fn visit(came: i64, note: &str, changed: i64) -> [Value; 4] {
    [Value::U64(1), Value::Time(Time(came)), Value::String(note.into()), Value::Time(Time(changed))]
}

/// A row as a guest gives it that would have the times its own way.
fn forged(note: &str) -> Vec<u8> {
    encode(&visits(), &visit(FORGED, note, -FORGED))
}

fn changed_at(database: &Database, time: i64) -> bool {
    let by_changed = database.index(VISIT, "by_changed").unwrap();
    database.find(VISIT, by_changed, &key_of(&[(&Type::Time, &Value::Time(Time(time)))])).unwrap().is_some()
}

#[test]
fn the_times_are_the_transactions() {
    let mut database = Database::new(schema(vec![visits()])).unwrap();
    let mut replica = database.clone();
    let mut transaction = database.begin();
    transaction.set_time(Time(100));
    let stored = transaction.insert(VISIT, &forged("a")).unwrap();
    assert_eq!(decode(&visits(), &stored), visit(100, "a", 100));
    replica.install(&transaction.commit()).unwrap();

    let mut transaction = database.begin();
    transaction.set_time(Time(250));
    let (old, new) = transaction.update(VISIT, &forged("b")).unwrap();
    assert_eq!(
        (decode(&visits(), &old), decode(&visits(), &new)),
        (visit(100, "a", 100).into(), visit(100, "b", 250).into())
    );
    assert_eq!(transaction.get(VISIT, &id_key(1)).unwrap(), Some(new));
    assert!(changed_at(transaction.database(), 250) && !changed_at(transaction.database(), 100));
    transaction.rollback();
    assert!(changed_at(transaction.database(), 100) && !changed_at(transaction.database(), 250));
    transaction.update(VISIT, &forged("c")).unwrap();
    replica.install(&transaction.commit()).unwrap();

    assert_eq!(decode(&visits(), &replica.get(VISIT, &id_key(1)).unwrap().unwrap()), visit(100, "c", 250));
    assert_eq!(replica.state_hash(), database.state_hash());
    assert!(!changed_at(&database, FORGED) && !changed_at(&database, -FORGED));
    database.audit().unwrap();
}

#[test]
fn rows_of_event_tables_have_times_too() {
    let table = Table { kind: TableKind::Event, indexes: vec![], ..visits() };
    let mut database = Database::new(schema(vec![table])).unwrap();
    let mut transaction = database.begin();
    transaction.set_time(Time(-5));
    transaction.insert(VISIT, &forged("a")).unwrap();
    let changes = transaction.commit();
    let row = changes.iter().next().unwrap().new.clone().unwrap();
    assert_eq!(decode(&visits(), &row), visit(-5, "a", -5));
}

#[test]
fn rows_older_than_a_time_have_none_until_they_change() {
    let mut database = Database::new(schema(vec![counters(false)])).unwrap();
    let mut transaction = database.begin();
    transaction.insert(VISIT, &counter(0, "a", 1)).unwrap();
    transaction.commit();
    let mut wider = Table { version: 2, ..counters(false) };
    for (name, fill) in [("came", Fill::Created), ("changed", Fill::Updated)] {
        wider.columns.push(Column { default: Some(fill), since: 2, ..column(name, Type::Time) });
    }
    let mut database = database.with_schema(schema(vec![wider.clone()])).unwrap();
    let row = |count, came, changed| {
        let times = [came, changed].map(|time| Value::Time(Time(time)));
        [&[Value::U64(1), Value::String("a".into()), Value::U64(count)], &times[..]].concat()
    };
    let found = |database: &Database| decode(&wider, &database.get(VISIT, &id_key(1)).unwrap().unwrap());
    assert_eq!(found(&database), row(1, 0, 0));
    let mut transaction = database.begin();
    transaction.set_time(Time(9));
    transaction.update(VISIT, &encode(&wider, &row(2, FORGED, FORGED))).unwrap();
    transaction.commit();
    assert_eq!(found(&database), row(2, 0, 9));
    database.audit().unwrap();
}
