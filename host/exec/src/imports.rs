//! The host functions of the guest contract. What they mean is said in `sdk/wit/module.wit`.

use crate::fuel::{self, bytes, charge};
use crate::host::{Fault, Host, Stop};
use crate::limits::{RANDOM_BYTES_MAX, SCAN_CHUNK_BYTES_MAX};
use isx_row::schema::{Right, RowEvent};
use isx_row::{Code, Error};
use isx_store::{Direction, IndexId, Position, Reads, Row, Scan, TableId};
use std::ops;
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, WasmList, WasmStr};
use wasmtime::{Result, StoreContextMut};

type Store<'a> = StoreContextMut<'a, Host>;
type Bytes = WasmList<u8>;
type Answer<T> = Result<(std::result::Result<T, Fault>,)>;

/// Gives a linker every function that a module may import.
pub(crate) fn link(linker: &mut Linker<Host>) -> Result<()> {
    link_tables(&mut linker.instance("isx:module/tables@0.1.0")?)?;
    link_context(&mut linker.instance("isx:module/context@0.1.0")?)?;
    let mut links = linker.instance("isx:module/links@0.1.0")?;
    links.func_wrap("send", send)?;
    links.func_wrap("call", call)?;
    linker.instance("isx:module/log@0.1.0")?.func_wrap("write", write_log)
}

fn link_tables(tables: &mut LinkerInstance<'_, Host>) -> Result<()> {
    tables.func_wrap("open", open)?;
    tables.func_wrap("index", index)?;
    tables.func_wrap("count", count)?;
    tables.func_wrap("get", get)?;
    tables.func_wrap("find", find)?;
    tables.func_wrap("insert", insert)?;
    tables.func_wrap("update", update)?;
    tables.func_wrap("delete", delete)?;
    tables.func_wrap("scan", scan)
}

fn link_context(context: &mut LinkerInstance<'_, Host>) -> Result<()> {
    context.func_wrap("caller", |mut store: Store<'_>, (): ()| {
        enter(&mut store, bytes(32))?;
        Ok((store.data().context.caller.0.to_vec(),))
    })?;
    context.func_wrap("session", |mut store: Store<'_>, (): ()| {
        enter(&mut store, bytes(16))?;
        Ok((store.data().context.session.map(|session| session.0.to_vec()),))
    })?;
    context.func_wrap("time", |mut store: Store<'_>, (): ()| {
        enter(&mut store, 0)?;
        let host = store.data();
        host.database()?;
        if host.reads.is_some() {
            let text = "a view has no time: its rows stay as they are until a table that it reads changes";
            return Err(Stop::new(Code::Denied, text).into());
        }
        Ok((host.context.time.0,))
    })?;
    context.func_wrap("random", random)
}

/// Begins a host function: counts it and takes its charge, and `amount` for what it does.
fn enter(store: &mut Store<'_>, amount: u64) -> Result<()> {
    store.data_mut().host_calls += 1;
    charge(store, fuel::HOST_CALL + amount)
}

/// Notes what a view reads.
fn note(store: &mut Store<'_>, read: impl FnOnce(&mut Reads, &Store<'_>)) {
    if let Some(mut reads) = store.data_mut().reads.take() {
        read(&mut reads, store);
        store.data_mut().reads = Some(reads);
    }
}

fn open(mut store: Store<'_>, (name, signature): (WasmStr, Bytes)) -> Answer<u32> {
    enter(&mut store, fuel::READ)?;
    let name = name.to_str(&store)?;
    let tables = &store.data().code.schema.tables;
    let Ok(position) = tables.binary_search_by(|table| table.name.as_str().cmp(&name)) else {
        return refuse(Code::NotFound, format!("table {name:.64}"));
    };
    let signature = signature.as_le_slice(&store);
    if tables.get(position).is_some_and(|table| !table.kind.is_stored()) {
        return refuse(Code::Unsupported, format!("table {name:.64} is volatile: no function reads or writes it"));
    }
    let known = signature.is_empty() || tables.get(position).is_some_and(|table| table.signature().0 == signature);
    match (known, u32::try_from(position)) {
        (true, Ok(number)) => Ok((Ok(number),)),
        _ => refuse(Code::StaleBindings, format!("table {name} has other columns")),
    }
}

fn index(mut store: Store<'_>, (table, name): (u32, WasmStr)) -> Answer<u32> {
    enter(&mut store, fuel::READ)?;
    let name = name.to_str(&store)?;
    let table = store.data().code.schema.tables.get(table as usize);
    let position = table.and_then(|table| table.indexes.iter().position(|index| index.name == name));
    match position.and_then(|position| u32::try_from(position + 1).ok()) {
        Some(number) => Ok((Ok(number),)),
        None => refuse(Code::NotFound, format!("index {name:.64}")),
    }
}

fn count(mut store: Store<'_>, (table,): (u32,)) -> Answer<u64> {
    enter(&mut store, 0)?;
    let host = store.data();
    let id = host.permit(table, Right::Read)?;
    let count = host.database()?.row_count(id).unwrap_or(0);
    note(&mut store, |reads, _| reads.whole(id));
    Ok((Ok(count),))
}

fn get(mut store: Store<'_>, (table, key): (u32, Bytes)) -> Answer<Option<Vec<u8>>> {
    enter(&mut store, fuel::READ + bytes(key.len()))?;
    let host = store.data();
    let id = host.permit(table, Right::Read)?;
    let row = host.database()?.get(id, key.as_le_slice(&store));
    if row.is_ok() {
        note(&mut store, |reads, store| reads.row(id, key.as_le_slice(store)));
    }
    give_row(store, row)
}

fn find(mut store: Store<'_>, (table, index, key): (u32, u32, Bytes)) -> Answer<Option<Vec<u8>>> {
    enter(&mut store, fuel::READ + bytes(key.len()))?;
    let host = store.data();
    let id = host.permit(table, Right::Read)?;
    let database = host.database()?;
    let index = match index_id(index) {
        Err(error) => return Ok((Err(error.into()),)),
        Ok(index) => index,
    };
    let bytes = key.as_le_slice(&store);
    let row = match index {
        None => database.get(id, bytes),
        Some(index) => database.find(id, index, bytes),
    };
    if row.is_ok() {
        note(&mut store, |reads, store| reads.scan(&Scan::equal(id, index, key.as_le_slice(store)), None));
    }
    give_row(store, row)
}

fn insert(mut store: Store<'_>, (table, row): (u32, Bytes)) -> Answer<Vec<u8>> {
    charge_write(&mut store, table, RowEvent::Insert, row.len())?;
    let row = row.as_le_slice(&store).to_vec();
    let host = store.data_mut();
    let id = host.permit(table, Right::Insert)?;
    match host.transaction()?.insert(id, &row) {
        Ok(stored) => {
            host.set_off(table, RowEvent::Insert, &[&stored])?;
            charge(&mut store, bytes(stored.len()))?;
            Ok((Ok(stored.to_vec()),))
        }
        Err(error) => Ok((Err(error.into()),)),
    }
}

fn update(mut store: Store<'_>, (table, row): (u32, Bytes)) -> Answer<()> {
    charge_write(&mut store, table, RowEvent::Update, row.len())?;
    let row = row.as_le_slice(&store).to_vec();
    let host = store.data_mut();
    let id = host.permit(table, Right::Update)?;
    match host.transaction()?.update(id, &row) {
        Ok((old, new)) => {
            host.set_off(table, RowEvent::Update, &[&old, &new])?;
            Ok((Ok(()),))
        }
        Err(error) => Ok((Err(error.into()),)),
    }
}

fn delete(mut store: Store<'_>, (table, key): (u32, Bytes)) -> Answer<Option<Vec<u8>>> {
    charge_write(&mut store, table, RowEvent::Delete, key.len())?;
    let key = key.as_le_slice(&store).to_vec();
    let host = store.data_mut();
    let id = host.permit(table, Right::Delete)?;
    match host.transaction()?.delete(id, &key) {
        Ok(old) => {
            host.set_off(table, RowEvent::Delete, &[&old])?;
            give_row(store, Ok(Some(old)))
        }
        Err(error) if error.code == Code::NoRow => Ok((Ok(None),)),
        Err(error) => Ok((Err(error.into()),)),
    }
}

fn send(mut store: Store<'_>, (path, name, arguments): (WasmStr, WasmStr, Bytes)) -> Answer<u64> {
    enter(&mut store, fuel::MESSAGE + bytes(arguments.len()))?;
    let (path, name) = (path.to_str(&store)?.into_owned(), name.to_str(&store)?.into_owned());
    charge(&mut store, bytes(path.len() + name.len()))?;
    let arguments = arguments.as_le_slice(&store).to_vec();
    match store.data_mut().send(&path, &name, arguments)? {
        Ok(number) => Ok((Ok(number),)),
        Err(error) => Ok((Err(error.into()),)),
    }
}

fn call(mut store: Store<'_>, (path, name, arguments): (WasmStr, WasmStr, Bytes)) -> Answer<Vec<u8>> {
    enter(&mut store, fuel::JOINED + bytes(arguments.len()))?;
    let (path, name) = (path.to_str(&store)?.into_owned(), name.to_str(&store)?.into_owned());
    charge(&mut store, bytes(path.len() + name.len()))?;
    let arguments = arguments.as_le_slice(&store).to_vec();
    let left = store.get_fuel()?;
    let reached = store.data_mut().call(&path, &name, &arguments, left)?;
    charge(&mut store, reached.fuel)?;
    match reached.outcome {
        Ok(answer) => {
            charge(&mut store, bytes(answer.len()))?;
            Ok((Ok(answer),))
        }
        Err(error) => Ok((Err(error.into()),)),
    }
}

#[derive(ComponentType, Lift)]
#[component(variant)]
enum Bound {
    #[component(name = "unbounded")]
    Unbounded,
    #[component(name = "included")]
    Included(Bytes),
    #[component(name = "excluded")]
    Excluded(Bytes),
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "made by lifting the guest's value")]
enum Order {
    #[component(name = "ascending")]
    Ascending,
    #[component(name = "descending")]
    Descending,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Range {
    table: u32,
    index: u32,
    lower: Bound,
    upper: Bound,
    direction: Order,
}

impl Range {
    fn scan<'a>(&self, table: TableId, index: Option<IndexId>, store: &'a Store<'_>) -> Scan<'a> {
        let direction = match self.direction {
            Order::Ascending => Direction::Ascending,
            Order::Descending => Direction::Descending,
        };
        Scan { table, index, lower: self.lower.borrow(store), upper: self.upper.borrow(store), direction }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Chunk {
    rows: Vec<u8>,
    next: Option<Vec<u8>>,
}

fn scan(mut store: Store<'_>, (range, after, rows_max): (Range, Option<Bytes>, u32)) -> Answer<Chunk> {
    let given = range.lower.len() + range.upper.len() + after.as_ref().map_or(0, WasmList::len);
    enter(&mut store, fuel::READ + bytes(given))?;
    let host = store.data();
    let table = host.permit(range.table, Right::Read)?;
    let index = match index_id(range.index) {
        Ok(index) => index,
        Err(error) => return Ok((Err(error.into()),)),
    };
    let after = after.map(|after| Position::from_bytes(after.as_le_slice(&store).to_vec()));
    let rows_max = if rows_max == 0 { usize::MAX } else { rows_max as usize };
    let scan = range.scan(table, index, &store);
    let chunk = host.database()?.scan(&scan, after.as_ref(), rows_max, SCAN_CHUNK_BYTES_MAX);
    if chunk.is_ok() {
        note(&mut store, |reads, store| reads.scan(&range.scan(table, index, store), after.as_ref()));
    }
    match chunk {
        Err(error) => Ok((Err(error.into()),)),
        Ok(chunk) => {
            let row_count = chunk.rows.len() as u64;
            let chunk = pack(&chunk);
            charge(&mut store, fuel::SCAN_ROW * row_count + bytes(chunk.rows.len()))?;
            Ok((Ok(chunk),))
        }
    }
}

fn pack(chunk: &isx_store::Chunk) -> Chunk {
    let mut rows = Vec::with_capacity(chunk.rows.iter().map(|(_, row)| 4 + row.len()).sum());
    for (_, row) in &chunk.rows {
        // A stored row is within VALUE_BYTES_MAX.
        rows.extend_from_slice(&u32::try_from(row.len()).unwrap_or(u32::MAX).to_le_bytes());
        rows.extend_from_slice(row);
    }
    Chunk { rows, next: chunk.next.as_ref().map(|position| position.as_bytes().to_vec()) }
}

impl Bound {
    fn len(&self) -> usize {
        match self {
            Self::Unbounded => 0,
            Self::Included(key) | Self::Excluded(key) => key.len(),
        }
    }

    fn borrow<'a>(&self, store: &'a Store<'_>) -> ops::Bound<&'a [u8]> {
        match self {
            Self::Unbounded => ops::Bound::Unbounded,
            Self::Included(key) => ops::Bound::Included(key.as_le_slice(store)),
            Self::Excluded(key) => ops::Bound::Excluded(key.as_le_slice(store)),
        }
    }
}

fn random(mut store: Store<'_>, (length,): (u32,)) -> Answer<Vec<u8>> {
    enter(&mut store, fuel::RANDOM_BYTE.saturating_mul(u64::from(length.min(RANDOM_BYTES_MAX))))?;
    if length > RANDOM_BYTES_MAX {
        return refuse(Code::Limit, format!("random of {length} bytes; RANDOM_BYTES_MAX is {RANDOM_BYTES_MAX}"));
    }
    store.data().database()?;
    let Some(random) = &mut store.data_mut().context.random else {
        return Err(Stop::new(Code::Denied, "a query has no random: it answers the same every time").into());
    };
    let mut out = vec![0; length as usize];
    random.fill(&mut out);
    Ok((Ok(out),))
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "made by lifting the guest's value")]
enum Level {
    #[component(name = "error")]
    Error,
    #[component(name = "warn")]
    Warn,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
    #[component(name = "trace")]
    Trace,
}

fn write_log(mut store: Store<'_>, (level, text): (Level, WasmStr)) -> Result<()> {
    enter(&mut store, fuel::LOG_LINE)?;
    let text = text.to_str(&store)?.into_owned();
    charge(&mut store, bytes(text.len()))?;
    store.data_mut().log.write(level as u8 + 1, &text);
    Ok(())
}

/// The charge for changing a row, for the hooks that it sets off and those that hear of it.
fn charge_write(store: &mut Store<'_>, table: u32, event: RowEvent, length: usize) -> Result<()> {
    let host = store.data();
    let indexes = host.code.schema.tables.get(table as usize).map_or(0, |table| table.indexes.len() as u64);
    let (hooks, listeners) = host.hook_counts(table, event);
    let heard = fuel::HOOK * hooks as u64 + (fuel::MESSAGE + bytes(length)) * listeners as u64;
    enter(store, fuel::WRITE + fuel::INDEX_ENTRY * indexes + heard + bytes(length))
}

fn give_row(mut store: Store<'_>, row: std::result::Result<Option<Row>, Error>) -> Answer<Option<Vec<u8>>> {
    match row {
        Ok(Some(row)) => {
            charge(&mut store, bytes(row.len()))?;
            Ok((Ok(Some(row.to_vec())),))
        }
        Ok(None) => Ok((Ok(None),)),
        Err(error) => Ok((Err(error.into()),)),
    }
}

/// The index with this number of the guest contract; none for the primary key.
fn index_id(number: u32) -> std::result::Result<Option<IndexId>, Error> {
    let Some(position) = number.checked_sub(1) else { return Ok(None) };
    let position = u16::try_from(position).map_err(|_| Error::new(Code::NotFound, format!("index number {number}")))?;
    Ok(Some(IndexId(position)))
}

fn refuse<T>(code: Code, text: String) -> Answer<T> {
    Ok((Err(Error::new(code, text).into()),))
}
