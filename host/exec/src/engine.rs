//! The WebAssembly engine, configured so that equal calls do equal things on every machine with an equal execution id.
//!
//! The compile target and its CPU features are named, never detected: a CPU that lacks them refuses the code. Fuel, no
//! epochs; canonical NaNs; no threads, no relaxed SIMD, no garbage-collected types; growth is decided by
//! [`limits`](crate::limits), never by what the machine can spare.

use crate::{fuel, limits};
use isx_row::{Code, Error};
use isx_store::ExecutionId;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;
use wasmparser::WasmFeatures;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OperatorCost, OptLevel, PoolingAllocationConfig};

/// The target and the CPU features that code is compiled for.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
const TARGET: (&str, &[&str]) = ("x86_64-unknown-linux-gnu", X86_64_V2);
#[cfg(all(target_arch = "x86_64", target_os = "macos"))]
const TARGET: (&str, &[&str]) = ("x86_64-apple-darwin", X86_64_V2);
#[cfg(all(target_arch = "x86_64", target_os = "windows"))]
const TARGET: (&str, &[&str]) = ("x86_64-pc-windows-msvc", X86_64_V2);
#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
const TARGET: (&str, &[&str]) = ("aarch64-unknown-linux-gnu", &[]);
#[cfg(all(target_arch = "aarch64", target_os = "macos"))]
const TARGET: (&str, &[&str]) = ("aarch64-apple-darwin", &[]);

/// What every x86-64 server and desktop of the last fifteen years has.
#[cfg(target_arch = "x86_64")]
const X86_64_V2: &[&str] = &["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"];

/// The WebAssembly that modules may use. Named, so that a new engine's new defaults change nothing unasked.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Versions of what rows, keys and the guest contract look like: see `isx_row::codec`, `isx_row::key`, `sdk/wit`.
const CONTRACTS: &str = "codec 1, keys 1, isx:module 0.1.0";

/// The engine of this process. One for all executors: it is a constant, and its pool of memories is reserved address space.
///
/// # Errors
/// `unsupported` when this machine can not run code for the target.
pub(crate) fn engine() -> Result<&'static Engine, Error> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let engine = ENGINE
        .get_or_init(|| configure().and_then(|config| Engine::new(&config)).map_err(|error| format!("{error:#}")));
    engine
        .as_ref()
        .map_err(|text| Error::new(Code::Unsupported, format!("the WebAssembly engine does not start: {text}")))
}

/// The execution id of this process.
///
/// # Errors
/// As [`engine`].
pub(crate) fn execution_id() -> Result<ExecutionId, Error> {
    let engine = engine()?;
    let mut absorb = Absorb(blake3::Hasher::new());
    absorb.write(b"isx:execution\x01");
    // Covers the engine's version, target, CPU features, fuel of instructions and everything else that shapes code.
    engine.precompile_compatibility_hash().hash(&mut absorb);
    absorb.field("contracts", CONTRACTS);
    for (name, amount) in fuel::TABLE {
        absorb.field(name, &amount.to_string());
    }
    for (name, amount) in deciding_limits() {
        absorb.field(name, &amount.to_string());
    }
    Ok(ExecutionId(*absorb.0.finalize().as_bytes()))
}

/// The limits that a guest can meet, and that therefore decide outcomes.
fn deciding_limits() -> [(&'static str, u64); 17] {
    [
        ("memory bytes", limits::MEMORY_BYTES_MAX as u64),
        ("memories", limits::MEMORIES_MAX.into()),
        ("table elements", limits::TABLE_ELEMENTS_MAX as u64),
        ("tables", limits::TABLES_MAX.into()),
        ("core instances", limits::CORE_INSTANCES_MAX.into()),
        ("wasm stack bytes", limits::WASM_STACK_BYTES_MAX as u64),
        ("call fuel", limits::CALL_FUEL_MAX),
        ("start fuel", limits::START_FUEL_MAX),
        ("hook depth", limits::HOOK_DEPTH_MAX.into()),
        ("hooks", limits::HOOKS_MAX as u64),
        ("joined depth", limits::JOINED_DEPTH_MAX as u64),
        ("host call bytes", limits::HOST_CALL_BYTES_MAX as u64),
        ("random bytes", limits::RANDOM_BYTES_MAX.into()),
        ("scan chunk bytes", limits::SCAN_CHUNK_BYTES_MAX as u64),
        ("error text bytes", limits::ERROR_TEXT_BYTES_MAX as u64),
        ("value bytes", isx_row::limits::VALUE_BYTES_MAX as u64),
        ("key bytes", isx_row::limits::KEY_BYTES_MAX as u64),
    ]
}

fn configure() -> wasmtime::Result<Config> {
    let mut config = Config::new();
    let (target, cpu) = TARGET;
    config.target(target)?;
    for flag in cpu {
        enable_cpu_feature(&mut config, flag);
    }
    config.wasm_features(FEATURES.complement(), false);
    config
        .concurrency_support(false)
        .consume_fuel(true)
        .operator_cost(instruction_fuel())
        .max_wasm_stack(limits::WASM_STACK_BYTES_MAX)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .parallel_compilation(false)
        // What a trap says must not depend on how much of a name section a module carries, and walking frames costs time.
        .wasm_backtrace_max_frames(None)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    Ok(config)
}

/// One unit an instruction, and for those that do more as much as they do.
fn instruction_fuel() -> OperatorCost {
    let mut cost = OperatorCost::new();
    // A page is 64 KiB to be zeroed: more than the table can say.
    cost.variable.memory_grow_per_page = u8::MAX;
    cost
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits::POOL_INSTANCES)
        .total_core_instances(limits::POOL_INSTANCES * limits::CORE_INSTANCES_MAX)
        .total_memories(limits::POOL_INSTANCES * limits::MEMORIES_MAX)
        .total_tables(limits::POOL_INSTANCES * limits::TABLES_MAX)
        .total_stacks(0)
        .max_core_instances_per_component(limits::CORE_INSTANCES_MAX)
        .max_memories_per_component(limits::MEMORIES_MAX)
        .max_memories_per_module(limits::MEMORIES_MAX)
        .max_tables_per_component(limits::TABLES_MAX)
        .max_tables_per_module(limits::TABLES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .max_memory_size(limits::MEMORY_BYTES_MAX)
        // Zeroing what a small guest touched is cheaper than giving it back to the kernel; measured for 64 pages of 4 KiB.
        .linear_memory_keep_resident(256 * 1024)
        // A guest's stack and heap lie a megabyte from where its memory begins: what it touched is found by asking.
        .pagemap_scan(Enabled::Auto)
        .table_keep_resident(16 * 1024)
        .max_unused_warm_slots(8);
    pool
}

#[allow(unsafe_code, reason = "the engine offers CPU features by name through an unsafe function only")]
fn enable_cpu_feature(config: &mut Config, flag: &str) {
    // SAFETY: the flag names a CPU feature, which widens the instructions used and touches no calling convention; loading
    // code on a CPU without it is refused by the engine.
    unsafe {
        config.cranelift_flag_enable(flag);
    }
}

/// Feeds what is hashed for comparison within Rust into a hash that can be written down.
struct Absorb(blake3::Hasher);

impl Absorb {
    fn field(&mut self, name: &str, text: &str) {
        self.write(format!("{name}={text}\n").as_bytes());
    }
}

impl Hasher for Absorb {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
