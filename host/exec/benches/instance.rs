//! Measures the executor against bare wasmtime: `cargo bench -p isx-exec`. A fresh instance with one call, and a get in
//! a reducer, each in turns with what it can not do without; prints a line for each figure, with its target and whether
//! it is met.
#![allow(clippy::print_stdout, reason = "it is there to print")]
#![allow(clippy::unwrap_used, reason = "a measurement that can not go on fails")]

#[path = "../tests/modules/mod.rs"]
mod modules;

use isx_exec::limits::{CALL_FUEL_MAX, MEMORY_BYTES_MAX};
use isx_exec::{Exec, Ports};
use isx_row::schema::{Column, Reducer, Schema, Table, TableKind};
use isx_row::{ContentHash, Field, Type};
use isx_store::{Database, Executor, Invocation};
use modules::{ENTRY, arguments, call};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::{Component, ComponentType, InstancePre, Lift, Linker, Lower, TypedFunc, WasmList};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

const MODULE: &str = include_str!("instance.wat");
/// Gets of one call of `gets`: as the module has it.
const GETS: u64 = 1000;
const ROUNDS: u64 = 2000;
/// What isx may add to a host call and a get of a map, in microseconds.
const GET_OWN_US: f64 = 0.2;

fn main() {
    let component = modules::component(MODULE, &schema());
    let bare = Bare::new(&component);
    fresh(&Isx::new(&component, 1), &bare);
    for rows in [1_000, 1_000_000] {
        gets(&mut Isx::new(&component, rows), &bare, rows);
    }
}

/// An instance and one call of a function that does nothing.
fn fresh(isx: &Isx, bare: &Bare) {
    let mut root = isx.root.clone();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(micros(|| isx.call(&mut root, "noop", 0, 1)));
        theirs.push(micros(|| bare.start().call("noop", 0, 1)));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("bare wasmtime: a fresh instance and one call      {theirs:>8.3} us");
    println!("isx: a list of one call, all in                   {ours:>8.3} us");
    let ratio = ours / theirs;
    println!(
        "a fresh instance to bare wasmtime                 {ratio:>8.2} times  at most 1.5  {}",
        verdict(ratio <= 1.5)
    );
}

/// A get in a reducer. What a call costs beside its gets is measured by a call without any, and taken off.
fn gets(isx: &mut Isx, bare: &Bare, rows: u64) {
    let row = arguments(7, 7);
    let map: imbl::OrdMap<u64, Arc<[u8]>> = (0..rows).map(|id| (id, Arc::<[u8]>::from(row.as_slice()))).collect();
    let mut instance = bare.start();
    let mut root = std::mem::take(&mut isx.root);
    let (mut ours, mut theirs, mut maps) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let first = round * GETS;
        let beside = micros(|| isx.call(&mut root, "noop", first, rows));
        ours.push((micros(|| isx.call(&mut root, "gets", first, rows)) - beside) / GETS as f64);
        let beside = micros(|| instance.call("noop", first, rows));
        theirs.push((micros(|| instance.call("gets", first, rows)) - beside) / GETS as f64);
        let all =
            micros(|| (first..first + GETS).for_each(|id| drop(black_box(map.get(&(id * 7919 % rows)).cloned()))));
        maps.push(all / GETS as f64);
    }
    let (ours, theirs, maps) = (median(ours), median(theirs), median(maps));
    let most = theirs + maps + GET_OWN_US;
    println!("bare wasmtime: a host call that gives a row       {theirs:>8.3} us");
    println!("bare map of {rows:>9} rows: a get                  {maps:>8.3} us");
    println!(
        "isx: a get in a reducer, {rows:>9} rows            {ours:>8.3} us     at most {most:.3}  {}",
        verdict(ours <= most)
    );
}

fn micros(body: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    body();
    begun.elapsed().as_secs_f64() * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// A mount of the module with so many rows.
struct Isx {
    exec: Exec,
    code: ContentHash,
    root: Database,
}

impl Isx {
    fn new(component: &[u8], rows: u64) -> Self {
        let exec = Exec::new(Ports::here()).unwrap();
        let (code, schema) = exec.add(component).unwrap();
        let mut root = Database::new(schema).unwrap();
        let table = root.table("row").unwrap();
        for first in (0..rows).step_by(GETS as usize) {
            let mut transaction = root.begin();
            for id in first..(first + GETS).min(rows) {
                let mut row = arguments(id, id);
                row[0] = 1;
                transaction.insert(table, &row).unwrap();
            }
            transaction.commit();
        }
        Self { exec, code, root }
    }

    fn call(&self, root: &mut Database, name: &str, first: u64, rows: u64) {
        let given = arguments(first, rows);
        let invocation = Invocation { fuel_max: CALL_FUEL_MAX, ..call(name, &given, 0) };
        let done = self.exec.execute(&self.code, root, &ENTRY, &[invocation]).unwrap().remove(0);
        assert!(done.outcome.is_ok(), "{:?}", done.outcome);
    }
}

fn schema() -> Schema {
    let column = |name: &str| Column { name: name.into(), ty: Type::U64, default: None, since: 1 };
    let table = Table {
        name: "row".into(),
        kind: TableKind::Durable,
        public: true,
        version: 1,
        columns: vec![column("id"), column("value")],
        primary_key: vec![0],
        auto_inc: None,
        indexes: Vec::new(),
    };
    let field = |name: &str| Field { name: name.into(), ty: Type::U64 };
    let reducer = |name: &str| Reducer {
        name: name.into(),
        public: true,
        arguments: vec![field("first"), field("rows")],
        answer: Type::Tuple(Vec::new()),
        error: None,
        hook: None,
        access: None,
    };
    Schema {
        name: "instance".into(),
        version: "0.1.0".into(),
        public: true,
        tables: vec![table],
        reducers: vec![reducer("gets"), reducer("noop")],
        ..Schema::default()
    }
}

/// The same module on wasmtime and nothing else, set as the executor sets it: fuel, no concurrency, canonical NaNs, a
/// pool that keeps as much. `get` gives the same row whatever is asked.
struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
}

struct BareInstance {
    store: Store<()>,
    #[allow(clippy::type_complexity, reason = "the contract's export, as it is")]
    call: TypedFunc<(String, Vec<u8>), (Result<Vec<u8>, Failure>,)>,
}

/// `fault` of the guest contract.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
struct Fault {
    code: u16,
    text: String,
}

/// `refusal` of the guest contract.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
#[allow(dead_code, reason = "lifted from the guest's value")]
struct Refusal {
    detail: Vec<u8>,
    text: String,
}

/// `failure` of the guest contract.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
#[allow(dead_code, reason = "read by its Debug form only")]
enum Failure {
    #[component(name = "application")]
    Application(Refusal),
    #[component(name = "fault")]
    Fault(Fault),
    #[component(name = "absent")]
    Absent,
}

impl Bare {
    fn new(component: &[u8]) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_stacks(0)
            .max_memory_size(MEMORY_BYTES_MAX)
            .linear_memory_keep_resident(256 * 1024)
            .table_keep_resident(16 * 1024);
        let mut config = Config::new();
        config.concurrency_support(false).consume_fuel(true).cranelift_nan_canonicalization(true);
        config.wasm_backtrace_max_frames(None).allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).unwrap();
        let mut linker: Linker<()> = Linker::new(&engine);
        let row = arguments(7, 7);
        let get = move |_: wasmtime::StoreContextMut<'_, ()>, (_, _): (u32, WasmList<u8>)| {
            Ok((Ok::<Option<Vec<u8>>, Fault>(Some(row.clone())),))
        };
        linker.instance("isx:module/tables@0.1.0").unwrap().func_wrap("get", get).unwrap();
        let pre = linker.instantiate_pre(&Component::new(&engine, component).unwrap()).unwrap();
        Self { engine, pre }
    }

    fn start(&self) -> BareInstance {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(u64::MAX).unwrap();
        let instance = self.pre.instantiate(&mut store).unwrap();
        let call = instance.get_typed_func(&mut store, "call").unwrap();
        BareInstance { store, call }
    }
}

impl BareInstance {
    fn call(&mut self, name: &str, first: u64, rows: u64) {
        let (answer,) = self.call.call(&mut self.store, (name.to_owned(), arguments(first, rows))).unwrap();
        assert!(answer.is_ok(), "{answer:?}");
    }
}
