//! Random schemas and operations, carried out by the store and by maps of values; both must agree after every step.

use crate::tables;
use isx_row::schema::{Column, Index, IndexKind, Table, TableKind};
use isx_row::{Code, Error, Type, Value};
use isx_store::{Change, Changes, Database, IndexId, Limits, Restore, Savepoint, Scan, TableId, Transaction};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A value of a key, ordered as keys must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Atom {
    Bool(bool),
    Unsigned(u64),
    Signed(i32),
    Text(String),
    Bytes(Vec<u8>),
    Option(Option<Box<Atom>>),
}

fn atom(value: &Value) -> Atom {
    match value {
        Value::Bool(it) => Atom::Bool(*it),
        Value::U8(it) => Atom::Unsigned(u64::from(*it)),
        Value::U64(it) => Atom::Unsigned(*it),
        Value::I32(it) => Atom::Signed(*it),
        Value::String(it) => Atom::Text(it.clone()),
        Value::Bytes(it) => Atom::Bytes(it.clone()),
        Value::Option(it) => Atom::Option(it.as_ref().map(|it| Box::new(atom(it)))),
        other => panic!("not of the test's types: {other:?}"),
    }
}

/// The value of a type that a number stands for: few enough that keys meet.
fn value(ty: &Type, seed: u8) -> Value {
    let texts = ["", "a", "a\0", "a\0b", "b", "\u{ff}", "a string that no short key has room for"];
    let text = texts[usize::from(seed) % texts.len()];
    match ty {
        Type::Bool => Value::Bool(seed % 2 == 1),
        Type::U8 => Value::U8(if seed == 255 { 255 } else { seed % 4 }),
        Type::U64 => Value::U64(if seed == 255 { u64::MAX } else { u64::from(seed % 5) }),
        Type::I32 => Value::I32(i32::from(seed % 5) - 2),
        Type::String => Value::String(text.into()),
        Type::Bytes => Value::Bytes(text.as_bytes().to_vec()),
        Type::Option(inner) => Value::Option((!seed.is_multiple_of(3)).then(|| Box::new(value(inner, seed / 3)))),
        other => panic!("not of the test's types: {other:?}"),
    }
}

/// A table of the model: rows by the atoms of their primary key.
#[derive(Clone, Debug, Default, PartialEq)]
struct Naive {
    rows: BTreeMap<Vec<Atom>, Vec<Value>>,
    last: u64,
}

#[derive(Clone, Debug)]
struct Model {
    schema: Vec<Table>,
    tables: Vec<Naive>,
    rows_max: usize,
}

fn atoms(columns: &[u16], row: &[Value]) -> Vec<Atom> {
    columns.iter().map(|&column| atom(&row[usize::from(column)])).collect()
}

impl Model {
    fn insert(&mut self, at: usize, mut row: Vec<Value>) -> Result<Vec<Value>, Code> {
        let count: usize = self.tables.iter().map(|table| table.rows.len()).sum();
        let (table, state) = (&self.schema[at], &self.tables[at]);
        let mut last = state.last;
        if let Some(column) = table.auto_inc {
            let (number, max) = match &mut row[usize::from(column)] {
                Value::U8(number) => (u64::from(*number), 255),
                Value::U64(number) => (*number, u64::MAX),
                Value::I32(number) if *number < 0 => (1.min(last), 1),
                Value::I32(number) => (*number as u64, i32::MAX as u64),
                other => panic!("numbers {other:?}"),
            };
            if number == 0 && !matches!(row[usize::from(column)], Value::I32(..0)) {
                if last >= max {
                    return Err(Code::Limit);
                }
                last += 1;
                row[usize::from(column)] = match row[usize::from(column)] {
                    Value::U8(_) => Value::U8(last as u8),
                    Value::U64(_) => Value::U64(last),
                    _ => Value::I32(last as i32),
                };
            } else {
                last = last.max(number);
            }
        }
        let key = atoms(&table.primary_key, &row);
        if state.rows.contains_key(&key) || self.violates(at, &key, &row) {
            return Err(Code::Duplicate);
        }
        if count >= self.rows_max {
            return Err(Code::Limit);
        }
        self.tables[at].last = last;
        self.tables[at].rows.insert(key, row.clone());
        Ok(row)
    }

    fn update(&mut self, at: usize, row: Vec<Value>) -> Result<Vec<Value>, Code> {
        let key = atoms(&self.schema[at].primary_key, &row);
        if !self.tables[at].rows.contains_key(&key) {
            return Err(Code::NoRow);
        }
        if self.violates(at, &key, &row) {
            return Err(Code::Duplicate);
        }
        Ok(self.tables[at].rows.insert(key, row).unwrap())
    }

    fn delete(&mut self, at: usize, key: &[Atom]) -> Result<Vec<Value>, Code> {
        self.tables[at].rows.remove(key).ok_or(Code::NoRow)
    }

    fn violates(&self, at: usize, key: &[Atom], row: &[Value]) -> bool {
        self.schema[at].indexes.iter().filter(|index| index.unique).any(|index| {
            let same = |other: &Vec<Value>| atoms(&index.columns, other) == atoms(&index.columns, row);
            self.tables[at].rows.iter().any(|(other, values)| other != key && same(values))
        })
    }

    /// What a commit says has changed since `before`, by table and key; event rows leave.
    fn commit(&mut self, before: &Self) -> BTreeMap<(usize, Vec<Atom>), Delta> {
        let mut deltas = BTreeMap::new();
        for at in 0..self.schema.len() {
            let (old, new) = (&before.tables[at].rows, &self.tables[at].rows);
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
            for key in keys {
                let delta = (old.get(&key).cloned(), new.get(&key).cloned());
                if delta.0 != delta.1 {
                    deltas.insert((at, key), delta);
                }
            }
            if self.schema[at].kind == TableKind::Event {
                self.tables[at].rows.clear();
            }
        }
        deltas
    }
}

type Delta = (Option<Vec<Value>>, Option<Vec<Value>>);

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, Vec<u8>),
    Update(u8, Vec<u8>),
    Delete(u8, Vec<u8>),
    Savepoint,
    RollbackTo(u8),
    Rollback,
    Commit,
    Look(u8, Vec<u8>, Vec<u8>),
}

fn op() -> impl Strategy<Value = Op> {
    let seeds = || prop::collection::vec(prop_oneof![9 => 0_u8..20, 1 => Just(255_u8)], 5);
    prop_oneof![
        8 => (any::<u8>(), seeds()).prop_map(|(table, seeds)| Op::Insert(table, seeds)),
        4 => (any::<u8>(), seeds()).prop_map(|(table, seeds)| Op::Update(table, seeds)),
        3 => (any::<u8>(), seeds()).prop_map(|(table, seeds)| Op::Delete(table, seeds)),
        2 => Just(Op::Savepoint),
        2 => any::<u8>().prop_map(Op::RollbackTo),
        1 => Just(Op::Rollback),
        2 => Just(Op::Commit),
        3 => (any::<u8>(), seeds(), seeds()).prop_map(|(table, lower, upper)| Op::Look(table, lower, upper)),
    ]
}

fn random_table(name: String) -> impl Strategy<Value = Table> {
    let types = vec![
        Type::U64,
        Type::U8,
        Type::I32,
        Type::Bool,
        Type::String,
        Type::Bytes,
        Type::Option(Box::new(Type::U8)),
        Type::Option(Box::new(Type::String)),
    ];
    let columns = prop::collection::vec(prop::sample::select(types), 1..=5);
    let indexes = prop::collection::vec((prop::collection::vec(any::<u16>(), 1..=2), any::<(bool, bool)>()), 0..=3);
    (columns, any::<(bool, bool, bool)>(), indexes).prop_map(move |(types, (wide, auto_inc, event), indexes)| {
        let width = types.len() as u16;
        let columns: Vec<Column> =
            types.iter().enumerate().map(|(at, ty)| tables::column(&format!("c{at}"), ty.clone())).collect();
        let integer = matches!(types[0], Type::U8 | Type::U64 | Type::I32);
        let index = |(at, (columns, (unique, hash))): (usize, (Vec<u16>, (bool, bool)))| {
            let mut columns: Vec<u16> = columns.into_iter().map(|column| column % width).collect();
            columns.dedup();
            let kind = if hash { IndexKind::Hash } else { IndexKind::Btree };
            Index { name: format!("i{at}"), columns, kind, unique }
        };
        Table {
            name: name.clone(),
            kind: if event { TableKind::Event } else { TableKind::Durable },
            public: true,
            version: 1,
            columns,
            primary_key: if wide && width > 1 { vec![1, 0] } else { vec![0] },
            auto_inc: (integer && auto_inc && !event).then_some(0),
            indexes: indexes.into_iter().enumerate().filter(|_| !event).map(index).collect(),
        }
    })
}

fn random_tables() -> impl Strategy<Value = Vec<Table>> {
    (1_usize..=3).prop_flat_map(|count| (0..count).map(|at| random_table(format!("t{at}"))).collect::<Vec<_>>())
}

fn row(table: &Table, seeds: &[u8]) -> Vec<Value> {
    table.columns.iter().zip(seeds).map(|(column, seed)| value(&column.ty, *seed)).collect()
}

fn key(table: &Table, columns: &[u16], row: &[Value]) -> Vec<u8> {
    let part = |&column: &u16| (&table.columns[usize::from(column)].ty, &row[usize::from(column)]);
    tables::key_of(&columns.iter().map(part).collect::<Vec<_>>())
}

fn code<T>(result: Result<T, Error>) -> Result<T, Code> {
    result.map_err(|error| error.code)
}

/// Every row by primary key, both ways, and the account of rows.
fn check_rows(database: &Database, model: &Model) {
    for (at, id) in tables::table_ids(database).into_iter().enumerate() {
        let expected: Vec<_> = model.tables[at].rows.values().cloned().collect();
        let found = |rows: Vec<(isx_store::Key, isx_store::Row)>| -> Vec<_> {
            rows.iter().map(|(_, row)| tables::decode(&model.schema[at], row)).collect()
        };
        assert_eq!(found(tables::rows(database, &Scan::all(id), 3)), expected);
        let mut backwards = found(tables::rows(database, &tables::descending(Scan::all(id)), 2));
        backwards.reverse();
        assert_eq!(backwards, expected);
    }
    assert_eq!(database.usage().rows, model.tables.iter().map(|table| table.rows.len() as u64).sum::<u64>());
}

/// Ranges of an index or of the primary key, every kind of bound, both ways; and find.
fn check_ranges(database: &Database, model: &Model, at: usize, lower: &[Value], upper: &[Value]) {
    let table = &model.schema[at];
    let id = TableId(at as u16);
    let primary = (None, &table.primary_key);
    let indexes = table.indexes.iter().enumerate().map(|(place, it)| (Some(IndexId(place as u16)), &it.columns));
    for (index, columns) in std::iter::once(primary).chain(indexes) {
        let mut expected: Vec<_> =
            model.tables[at].rows.iter().map(|(key, row)| ((atoms(columns, row), key.clone()), row.clone())).collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let (least, most) = (atoms(columns, lower), atoms(columns, upper));
        let (lower_key, upper_key) = (key(table, columns, lower), key(table, columns, upper));
        let bounds = |bytes| [Bound::Unbounded, Bound::Included(bytes), Bound::Excluded(bytes)];
        for (lower_place, lower_bound) in bounds(&lower_key[..]).into_iter().enumerate() {
            for (upper_place, upper_bound) in bounds(&upper_key[..]).into_iter().enumerate() {
                let inside = |atoms: &Vec<Atom>| {
                    let above = [true, *atoms >= least, *atoms > least][lower_place];
                    above && [true, *atoms <= most, *atoms < most][upper_place]
                };
                let mut expected: Vec<_> =
                    expected.iter().filter(|((atoms, _), _)| inside(atoms)).map(|(_, row)| row.clone()).collect();
                let scan = Scan { index, lower: lower_bound, upper: upper_bound, ..Scan::all(id) };
                for scan in [scan, tables::descending(scan)] {
                    let found: Vec<_> =
                        tables::rows(database, &scan, 2).iter().map(|(_, row)| tables::decode(table, row)).collect();
                    assert_eq!(found, expected, "{scan:?}");
                    expected.reverse();
                }
            }
        }
        if let Some(index) = index {
            let found = database.find(id, index, &lower_key).unwrap().map(|row| tables::decode(table, &row));
            let first = expected.iter().find(|((atoms, _), _)| *atoms == least).map(|(_, row)| row.clone());
            assert_eq!(found, first);
        }
    }
}

fn check_changes(changes: &Changes, model: &Model, mut deltas: BTreeMap<(usize, Vec<Atom>), Delta>) {
    for Change { table, old, new, .. } in changes {
        let at = usize::from(table.0);
        let decode = |row: &Option<isx_store::Row>| row.as_ref().map(|row| tables::decode(&model.schema[at], row));
        let (old, new) = (decode(old), decode(new));
        let key = atoms(&model.schema[at].primary_key, new.as_ref().or(old.as_ref()).unwrap());
        assert_eq!(deltas.remove(&(at, key)), Some((old, new)));
    }
    assert!(deltas.is_empty(), "{deltas:?}");
}

/// What is kept of a transaction's beginning.
struct Begun {
    root: Database,
    model: Model,
}

fn commit(transaction: &mut Transaction<Database>, model: &mut Model, begun: &mut Begun) {
    let deltas = model.commit(&begun.model);
    let changes = transaction.commit();
    check_changes(&changes, model, deltas);
    let database = transaction.database();
    database.audit().unwrap();

    let mut bytes = Vec::new();
    changes.encode(&mut bytes);
    assert_eq!(bytes.len(), changes.encoded_len());
    let read = Changes::decode(&bytes).unwrap();
    assert_eq!(read, changes);
    let mut replica = begun.root.clone();
    replica.install(&read).unwrap();
    replica.audit().unwrap();
    assert_eq!(replica.state_hash(), database.state_hash());
    assert_eq!(replica.usage(), database.usage());
    if changes.iter().any(|change| durable(model, change)) {
        assert_ne!(begun.root.state_hash(), database.state_hash());
    }
    *begun = Begun { root: database.clone(), model: model.clone() };
}

fn durable(model: &Model, change: &Change) -> bool {
    model.schema[usize::from(change.table.0)].kind == TableKind::Durable
}

fn check(schema: Vec<Table>, rows_max: usize, ops: Vec<Op>) {
    let mut database = Database::new(tables::schema(schema.clone())).unwrap();
    database.set_limits(Limits { rows_max: rows_max as u64, ..database.limits() });
    let mut model = Model { tables: vec![Naive::default(); schema.len()], schema: schema.clone(), rows_max };
    let mut begun = Begun { root: database.clone(), model: model.clone() };
    let mut transaction = database.into_transaction();
    let mut savepoints: Vec<(Savepoint, Vec<Naive>, [u8; 32])> = Vec::new();
    for op in ops {
        match op {
            Op::Insert(at, seeds) => {
                let at = usize::from(at) % schema.len();
                let values = row(&schema[at], &seeds);
                let found = transaction.insert(TableId(at as u16), &tables::encode(&schema[at], &values));
                let found = code(found).map(|row| tables::decode(&schema[at], &row));
                assert_eq!(found, model.insert(at, values));
            }
            Op::Update(at, seeds) => {
                let at = usize::from(at) % schema.len();
                let values = row(&schema[at], &seeds);
                let found = transaction.update(TableId(at as u16), &tables::encode(&schema[at], &values));
                let found = code(found).map(|(old, _)| tables::decode(&schema[at], &old));
                assert_eq!(found, model.update(at, values));
            }
            Op::Delete(at, seeds) => {
                let at = usize::from(at) % schema.len();
                let values = row(&schema[at], &seeds);
                let columns = &schema[at].primary_key;
                let found = transaction.delete(TableId(at as u16), &key(&schema[at], columns, &values));
                let found = code(found).map(|row| tables::decode(&schema[at], &row));
                assert_eq!(found, model.delete(at, &atoms(columns, &values)));
            }
            Op::Savepoint => {
                let hash = transaction.database().state_hash();
                savepoints.push((transaction.savepoint(), model.tables.clone(), hash));
            }
            Op::RollbackTo(place) => {
                if !savepoints.is_empty() {
                    savepoints.truncate(usize::from(place) % savepoints.len() + 1);
                    let (savepoint, tables, hash) = &savepoints[savepoints.len() - 1];
                    transaction.rollback_to(*savepoint);
                    model.tables.clone_from(tables);
                    assert_eq!(transaction.database().state_hash(), *hash);
                }
            }
            Op::Rollback => {
                savepoints.clear();
                transaction.rollback();
                model = begun.model.clone();
                assert_eq!(transaction.database().state_hash(), begun.root.state_hash());
                assert_eq!(transaction.database().usage(), begun.root.usage());
                transaction.database().audit().unwrap();
            }
            Op::Commit => {
                savepoints.clear();
                commit(&mut transaction, &mut model, &mut begun);
            }
            Op::Look(at, lower, upper) => {
                let at = usize::from(at) % schema.len();
                let (lower, upper) = (row(&schema[at], &lower), row(&schema[at], &upper));
                check_ranges(transaction.database(), &model, at, &lower, &upper);
            }
        }
        check_rows(transaction.database(), &model);
    }
    let database = transaction.into_database();
    assert_eq!(database.state_hash(), begun.root.state_hash());
    let mut snapshot = database.snapshot();
    let chunks: Vec<_> = snapshot.by_ref().collect();
    let mut restore = Restore::new(snapshot.manifest());
    chunks.iter().for_each(|chunk| restore.put(&chunk.bytes).unwrap());
    let restored = restore.finish().unwrap();
    restored.audit().unwrap();
    assert_eq!(restored.state_hash(), database.state_hash());
    assert_eq!(restored.usage(), database.usage());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_transactions(
        schema in random_tables(),
        rows_max in 4_usize..40,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        check(schema, rows_max, ops);
    }
}
