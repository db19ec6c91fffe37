//! Schemas and rows for the tests.

use isx_row::schema::{Column, Index, IndexKind, Schema, Table, TableKind};
use isx_row::{Field, Type, Value, codec, key};
use isx_store::{Database, Direction, Key, Position, Row, Scan, TableId};
use std::sync::Arc;

pub fn column(name: &str, ty: Type) -> Column {
    Column { name: name.into(), ty, default: None, since: 1 }
}

pub fn index(name: &str, columns: &[u16], unique: bool) -> Index {
    Index { name: name.into(), columns: columns.to_vec(), kind: IndexKind::Btree, unique }
}

pub fn table(name: &str, columns: Vec<Column>, primary_key: &[u16], indexes: Vec<Index>) -> Table {
    Table {
        name: name.into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns,
        primary_key: primary_key.to_vec(),
        auto_inc: None,
        indexes,
    }
}

pub fn schema(tables: Vec<Table>) -> Arc<Schema> {
    Arc::new(Schema { name: "test".into(), version: "0.1.0".into(), public: true, tables, ..Schema::default() })
}

/// `id` (auto_inc), `name` (unique if asked), `count`.
pub fn counters(unique: bool) -> Table {
    let columns = vec![column("id", Type::U64), column("name", Type::String), column("count", Type::U64)];
    let table = table("counter", columns, &[0], vec![index("by_name", &[1], unique)]);
    Table { auto_inc: Some(0), ..table }
}

pub fn fields(table: &Table) -> Vec<Field> {
    table.columns.iter().map(|column| Field { name: column.name.clone(), ty: column.ty.clone() }).collect()
}

pub fn encode(table: &Table, values: &[Value]) -> Vec<u8> {
    codec::encode_record(table.version, &fields(table), values).unwrap()
}

pub fn decode(table: &Table, row: &[u8]) -> Vec<Value> {
    codec::decode_record(&fields(table), row).unwrap().1
}

pub fn counter(id: u64, name: &str, count: u64) -> Vec<u8> {
    encode(&counters(false), &[Value::U64(id), Value::String(name.into()), Value::U64(count)])
}

pub fn key_of(values: &[(&Type, &Value)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (ty, value) in values {
        key::append_value(ty, value, &mut bytes).unwrap();
    }
    bytes
}

pub fn id_key(id: u64) -> Vec<u8> {
    key_of(&[(&Type::U64, &Value::U64(id))])
}

pub fn name_key(name: &str) -> Vec<u8> {
    key_of(&[(&Type::String, &Value::String(name.into()))])
}

/// Everything a scan gives, taken in small chunks.
pub fn rows(database: &Database, scan: &Scan<'_>, rows_max: usize) -> Vec<(Key, Row)> {
    let mut rows = Vec::new();
    let mut position: Option<Position> = None;
    loop {
        let chunk = database.scan(scan, position.as_ref(), rows_max, usize::MAX).unwrap();
        assert!(chunk.rows.len() <= rows_max);
        rows.extend(chunk.rows);
        position = chunk.next.map(|next| Position::from_bytes(next.as_bytes().to_vec()));
        if position.is_none() {
            return rows;
        }
    }
}

pub fn descending(scan: Scan<'_>) -> Scan<'_> {
    Scan { direction: Direction::Descending, ..scan }
}

/// Tables and counters are there, in the order of the schema.
pub fn table_ids(database: &Database) -> Vec<TableId> {
    database.schema().tables.iter().map(|table| database.table(&table.name).unwrap()).collect()
}
