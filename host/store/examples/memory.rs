//! Prints what a million rows of (u64, 16-byte string, u64) with the string indexed cost in memory, and the time of the
//! store's operations on them, as time on a processor so that a busy machine tells the same: `cargo run --release -p isx-store --example memory`.
#![allow(clippy::print_stdout, reason = "it is there to print")]

use isx_row::schema::{Column, Index, IndexKind, Schema, Table, TableKind};
use isx_row::{Type, key};
use isx_store::{Database, Restore, TableId};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const ROWS: u64 = 1_000_000;
const BATCH: u64 = 1_000;
const ITEM: TableId = TableId(0);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // Both are built before anything is freed, or the second would be measured in the memory of the first.
    let mut databases = Vec::new();
    for (order, id) in [("ascending", ascending as fn(u64) -> u64), ("scattered", scattered)] {
        let before = resident_bytes()?;
        let mut database = empty()?;
        let insert = fill(&mut database, id)?;
        let resident = (resident_bytes()? - before) / 1_000_000;
        println!("{order} keys, {ROWS} rows: {resident} MB, {} MB by the account", database.usage().bytes / 1_000_000);
        println!("  insert {:?} a row, a commit every {BATCH}", each(insert));
        databases.push((order, id, database));
    }
    for (order, id, database) in &mut databases {
        println!("{order} keys");
        measure(database, *id)?;
    }
    Ok(())
}

fn measure(database: &mut Database, id: fn(u64) -> u64) -> Outcome<()> {
    let begun = processor_time()?;
    let mut bytes = Vec::new();
    for number in 0..ROWS {
        bytes.clear();
        key::append(&Type::U64, &id(number.wrapping_mul(7919) % ROWS).to_le_bytes(), &mut bytes)?;
        black_box(database.get(ITEM, &bytes)?);
    }
    let get = each(processor_time()? - begun);
    let bare: imbl::OrdMap<u64, Arc<[u8]>> =
        (0..ROWS).map(|number| (id(number), Arc::<[u8]>::from(row(number)))).collect();
    let begun = processor_time()?;
    for number in 0..ROWS {
        black_box(bare.get(&id(number.wrapping_mul(7919) % ROWS)).cloned());
    }
    println!("  get {get:?}, of a bare map with numbers for keys {:?}", each(processor_time()? - begun));
    drop(bare);

    let rows: Vec<_> = (0..ROWS).map(|number| row(id(ROWS + number))).collect();
    let begun = processor_time()?;
    for row in &rows {
        let mut transaction = database.begin();
        transaction.insert(ITEM, row)?;
        transaction.rollback();
    }
    println!("  insert and roll back {:?}", each(processor_time()? - begun));

    let begun = processor_time()?;
    let mut snapshot = database.snapshot();
    let chunks: Vec<_> = snapshot.by_ref().collect();
    let manifest = snapshot.manifest();
    println!("  snapshot {:?}, {} chunks", processor_time()? - begun, chunks.len());

    let begun = processor_time()?;
    let mut restore = Restore::new(manifest);
    for chunk in &chunks {
        restore.put(&chunk.bytes)?;
    }
    restore.finish()?;
    println!("  restore {:?}", processor_time()? - begun);

    let begun = processor_time()?;
    let kept = database.clone();
    for row in &rows {
        let mut transaction = database.begin();
        transaction.insert(ITEM, row)?;
        black_box(transaction.commit());
    }
    println!("  insert, a commit each, beside a version that is kept {:?}", each(processor_time()? - begun));
    let begun = processor_time()?;
    drop(kept);
    println!("  drop of that version {:?}", processor_time()? - begun);
    Ok(())
}

fn empty() -> Outcome<Database> {
    let column = |name: &str, ty| Column { name: name.into(), ty, default: None, since: 1 };
    let index = Index { name: "by_name".into(), columns: vec![1], kind: IndexKind::Btree, unique: false };
    let table = Table {
        name: "item".into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns: vec![column("id", Type::U64), column("name", Type::String), column("count", Type::U64)],
        primary_key: vec![0],
        auto_inc: None,
        indexes: vec![index],
    };
    let schema = Schema { name: "bench".into(), version: "0.1.0".into(), tables: vec![table], ..Schema::default() };
    Ok(Database::new(Arc::new(schema))?)
}

fn fill(database: &mut Database, id: fn(u64) -> u64) -> Outcome<Duration> {
    let begun = processor_time()?;
    for batch in 0..ROWS / BATCH {
        let mut transaction = database.begin();
        for number in batch * BATCH..(batch + 1) * BATCH {
            transaction.insert(ITEM, &row(id(number)))?;
        }
        black_box(transaction.commit());
    }
    Ok(processor_time()? - begun)
}

/// The encoding of (id, sixteen characters, id), written by hand so that the store is what is measured.
fn row(id: u64) -> Vec<u8> {
    let mut row = vec![1, 0];
    row.extend_from_slice(&id.to_le_bytes());
    row.extend_from_slice(&16_u32.to_le_bytes());
    row.extend_from_slice(&id.to_le_bytes());
    row.extend_from_slice(format!("{:016x}", scattered(!id)).as_bytes());
    row
}

fn ascending(number: u64) -> u64 {
    number
}

fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn each(total: Duration) -> Duration {
    total / ROWS as u32
}

fn resident_bytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<u64>()? * 1024)
}

fn processor_time() -> Outcome<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics.split_whitespace().next().ok_or("no number")?.parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}
