//! What transactions refuse, number and bound.

use crate::tables::{column, counter, counters, decode, id_key, name_key, rows, schema};
use isx_row::schema::{Column, Fill, Table, TableKind};
use isx_row::{Code, Type, Value};
use isx_store::{Database, Limits, Scan, TableId, limits};

const COUNTER: TableId = TableId(0);

fn database(unique: bool) -> Database {
    Database::new(schema(vec![counters(unique)])).unwrap()
}

fn id(row: &[u8]) -> Value {
    decode(&counters(false), row).swap_remove(0)
}

#[test]
fn refusals() {
    let mut database = database(true);
    let by_name = database.index(COUNTER, "by_name").unwrap();
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(1, "a", 0)).unwrap();
    transaction.insert(COUNTER, &counter(2, "b", 0)).unwrap();
    let before = transaction.database().state_hash();
    let check = |code: Code, result: Result<isx_store::Row, isx_row::Error>, text: &str| {
        let error = result.unwrap_err();
        assert_eq!((error.code, error.text.as_str()), (code, text));
    };
    check(Code::Duplicate, transaction.insert(COUNTER, &counter(1, "c", 0)), "table counter: the primary key is taken");
    check(Code::Duplicate, transaction.insert(COUNTER, &counter(3, "b", 0)), "table counter: index by_name is unique");
    check(
        Code::Duplicate,
        transaction.update(COUNTER, &counter(1, "b", 0)).map(|(old, _)| old),
        "table counter: index by_name is unique",
    );
    check(Code::NoRow, transaction.update(COUNTER, &counter(9, "z", 0)).map(|(old, _)| old), "table counter");
    check(Code::NoRow, transaction.delete(COUNTER, &id_key(9)), "table counter");
    check(Code::NoRow, transaction.delete(COUNTER, b"junk"), "table counter");
    check(Code::NotFound, transaction.insert(TableId(7), &counter(1, "c", 0)), "table 7");
    assert_eq!(transaction.get(TableId(7), &id_key(1)).unwrap_err().code, Code::NotFound);
    let mut row = counter(5, "e", 0);
    row[0] = 2;
    check(Code::Malformed, transaction.insert(COUNTER, &row), "row of table counter: version 2, the table has 1");
    for cut in 0..row.len() {
        assert_eq!(transaction.insert(COUNTER, &counter(5, "e", 0)[..cut]).unwrap_err().code, Code::Malformed);
    }
    let long = "x".repeat(isx_row::limits::KEY_BYTES_MAX);
    assert_eq!(transaction.insert(COUNTER, &counter(5, &long, 0)).unwrap_err().code, Code::Limit);
    assert_eq!(transaction.database().state_hash(), before);
    assert_eq!(id(&transaction.find(COUNTER, by_name, &name_key("b")).unwrap().unwrap()), Value::U64(2));
    assert_eq!(transaction.find(COUNTER, by_name, &name_key("bb")).unwrap(), None);
}

#[test]
fn of_volatile_tables_nothing_is_stored() {
    let who = Column { default: Some(Fill::Caller), ..column("who", Type::Principal) };
    let volatile = Table {
        name: "cursor".into(),
        kind: TableKind::Volatile,
        columns: vec![who, column("x", Type::F32)],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![],
        ..counters(false)
    };
    let both = Database::new(schema(vec![counters(false), volatile.clone()])).unwrap();
    assert_eq!((both.table("counter"), both.table("cursor")), (Some(COUNTER), None));
    // It comes and goes with an upgrade, and the rows of others stay; the other way round rows would be lost.
    let without = both.with_schema(schema(vec![counters(false)])).unwrap();
    assert_eq!(without.table("cursor"), None);
    let again = without.with_schema(both.schema().clone()).unwrap();
    assert_eq!(again.state_hash(), both.state_hash());
    let turned = Table { name: "counter".into(), ..volatile };
    assert_eq!(both.with_schema(schema(vec![turned])).unwrap_err().code, Code::Incompatible);
}

#[test]
fn numbers_are_not_used_up_by_what_is_rolled_back() {
    let mut database = database(false);
    let mut transaction = database.begin();
    assert_eq!(id(&transaction.insert(COUNTER, &counter(0, "a", 0)).unwrap()), Value::U64(1));
    let savepoint = transaction.savepoint();
    assert_eq!(id(&transaction.insert(COUNTER, &counter(0, "b", 0)).unwrap()), Value::U64(2));
    transaction.rollback_to(savepoint);
    assert_eq!(id(&transaction.insert(COUNTER, &counter(0, "c", 0)).unwrap()), Value::U64(2));
    transaction.commit();
    drop({
        let mut dropped = database.begin();
        dropped.insert(COUNTER, &counter(0, "d", 0)).unwrap();
        dropped
    });
    let mut transaction = database.begin();
    assert_eq!(id(&transaction.insert(COUNTER, &counter(0, "e", 0)).unwrap()), Value::U64(3));
    transaction.insert(COUNTER, &counter(10, "f", 0)).unwrap();
    assert_eq!(id(&transaction.insert(COUNTER, &counter(0, "g", 0)).unwrap()), Value::U64(11));
    transaction.delete(COUNTER, &id_key(11)).unwrap();
    assert_eq!(id(&transaction.insert(COUNTER, &counter(0, "h", 0)).unwrap()), Value::U64(12));
}

#[test]
fn a_number_is_given_once_even_if_its_row_did_not_stay() {
    let mut database = database(false);
    let mut replica = database.clone();
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(0, "a", 0)).unwrap();
    transaction.delete(COUNTER, &id_key(1)).unwrap();
    let changes = transaction.commit();
    assert_eq!((changes.len(), changes.is_empty()), (0, false));
    replica.install(&changes).unwrap();
    assert_eq!(replica.state_hash(), database.state_hash());
    assert_eq!(id(&replica.begin().insert(COUNTER, &counter(0, "b", 0)).unwrap()), Value::U64(2));
}

#[test]
fn used_up_numbers_are_refused() {
    let table = Table { columns: vec![column("id", Type::I8)], indexes: vec![], ..counters(false) };
    let mut database = Database::new(schema(vec![table.clone()])).unwrap();
    let mut transaction = database.begin();
    let row = |id| crate::tables::encode(&table, &[Value::I8(id)]);
    transaction.insert(COUNTER, &row(-5)).unwrap();
    assert_eq!(decode(&table, &transaction.insert(COUNTER, &row(0)).unwrap()), [Value::I8(1)]);
    transaction.insert(COUNTER, &row(127)).unwrap();
    assert_eq!(transaction.insert(COUNTER, &row(0)).unwrap_err().code, Code::Limit);
}

#[test]
fn a_full_database_refuses_inserts_and_takes_deletes() {
    let mut database = database(false);
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(1, "a", 0)).unwrap();
    let one = transaction.database().usage().bytes;
    transaction.commit();
    database.set_limits(Limits { bytes_max: 2 * one, rows_max: 100 });
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(2, "b", 0)).unwrap();
    assert_eq!(transaction.insert(COUNTER, &counter(3, "c", 0)).unwrap_err().code, Code::Limit);
    assert_eq!(transaction.update(COUNTER, &counter(2, "bb", 0)).unwrap_err().code, Code::Limit);
    transaction.update(COUNTER, &counter(2, "", 0)).unwrap();
    transaction.delete(COUNTER, &id_key(1)).unwrap();
    transaction.insert(COUNTER, &counter(3, "c", 0)).unwrap();
    transaction.commit();
    database.set_limits(Limits { bytes_max: 0, rows_max: 0 });
    let mut transaction = database.begin();
    transaction.delete(COUNTER, &id_key(2)).unwrap();
    transaction.delete(COUNTER, &id_key(3)).unwrap();
    transaction.commit();
    assert_eq!(database.usage(), isx_store::Usage::default());
}

#[test]
fn a_transaction_is_bounded() {
    let mut database = database(false);
    let mut transaction = database.begin();
    let text = "x".repeat(200 * 1024);
    let table = Table { indexes: vec![], ..counters(false) };
    let mut wide = Database::new(schema(vec![table])).unwrap();
    let mut of_wide = wide.begin();
    let error = (1..=100).find_map(|id| of_wide.insert(COUNTER, &counter(id, &text, 0)).err()).unwrap();
    assert_eq!(error.code, Code::Limit);
    assert!(of_wide.database().usage().rows * 200 * 1024 <= limits::TRANSACTION_BYTES_MAX as u64);
    of_wide.rollback();
    of_wide.insert(COUNTER, &counter(1, &text, 0)).unwrap();
    transaction.insert(COUNTER, &counter(1, "a", 0)).unwrap();
}

#[test]
fn unique_keys_may_be_exchanged() {
    let mut database = database(true);
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(1, "a", 0)).unwrap();
    transaction.insert(COUNTER, &counter(2, "b", 0)).unwrap();
    transaction.commit();
    let mut replica = database.clone();
    let mut transaction = database.begin();
    transaction.update(COUNTER, &counter(1, "free", 0)).unwrap();
    transaction.update(COUNTER, &counter(2, "a", 0)).unwrap();
    transaction.update(COUNTER, &counter(1, "b", 0)).unwrap();
    let changes = transaction.commit();
    assert_eq!(changes.len(), 2);
    replica.install(&changes).unwrap();
    replica.audit().unwrap();
    assert_eq!(replica.state_hash(), database.state_hash());
}

#[test]
fn event_rows_live_for_their_transaction() {
    let event = Table { kind: TableKind::Event, auto_inc: None, indexes: vec![], ..counters(false) };
    let mut database = Database::new(schema(vec![event])).unwrap();
    let mut replica = database.clone();
    let mut transaction = database.begin();
    transaction.insert(COUNTER, &counter(1, "a", 0)).unwrap();
    assert_eq!(transaction.insert(COUNTER, &counter(1, "b", 0)).unwrap_err().code, Code::Duplicate);
    assert!(transaction.get(COUNTER, &id_key(1)).unwrap().is_some());
    let changes = transaction.commit();
    let change = changes.iter().next().unwrap();
    assert_eq!((change.old.is_none(), id(change.new.as_ref().unwrap())), (true, Value::U64(1)));
    assert_eq!(database.usage(), isx_store::Usage::default());
    database.begin().insert(COUNTER, &counter(1, "a", 0)).unwrap();
    replica.install(&changes).unwrap();
    assert_eq!((replica.state_hash(), replica.usage()), (database.state_hash(), database.usage()));
}

#[test]
fn chunks_are_bounded_by_bytes_and_positions_stay_inside_the_bounds() {
    let mut database = database(false);
    let mut transaction = database.begin();
    (1..=9).for_each(|id| drop(transaction.insert(COUNTER, &counter(id, "same", 0)).unwrap()));
    transaction.commit();
    let length = counter(1, "same", 0).len();
    let database = &database;
    let chunk = database.scan(&Scan::all(COUNTER), None, 100, 2 * length).unwrap();
    assert_eq!((chunk.rows.len(), chunk.next.is_some()), (2, true));
    assert_eq!(database.scan(&Scan::all(COUNTER), None, 100, 0).unwrap().rows.len(), 1);
    assert_eq!(database.scan(&Scan::all(COUNTER), None, 0, 0).unwrap().rows.len(), 1);
    assert_eq!(database.scan(&Scan::all(COUNTER), None, 9, usize::MAX).unwrap().next, None);
    let (five, junk) = (id_key(5), isx_store::Position::from_bytes(vec![]));
    let only = Scan::equal(COUNTER, None, &five);
    assert_eq!(database.scan(&only, Some(&junk), 100, usize::MAX).unwrap().rows.len(), 1);
    let junk = isx_store::Position::from_bytes(vec![0xFF; 9]);
    assert_eq!(database.scan(&only, Some(&junk), 100, usize::MAX).unwrap().rows.len(), 0);
    let by_name = database.index(COUNTER, "by_name");
    let same = name_key("same");
    assert_eq!(rows(database, &Scan::equal(COUNTER, by_name, &same), 4).len(), 9);
}
