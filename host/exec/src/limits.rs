//! Limits of the executor. Each has a unit and says what happens at it. Those of the first group are part of the
//! execution id: a replica with others would decide otherwise.

use isx_row::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Bytes of an instance's memory; growing beyond ends the call with `limit`. Bounds what 64 instances may hold.
pub const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Memories of a component; more are refused at publish.
pub const MEMORIES_MAX: u32 = 1;
/// Elements of one table of function references; growing beyond ends the call with `limit`.
pub const TABLE_ELEMENTS_MAX: usize = 64 * 1024;
/// Tables of function references of a component; more are refused at publish.
pub const TABLES_MAX: u32 = 8;
/// Core instances that a component is made of; more are refused at publish.
pub const CORE_INSTANCES_MAX: u32 = 16;
/// Bytes of stack for WebAssembly frames; deeper recursion ends the call with `limit`.
pub const WASM_STACK_BYTES_MAX: usize = 512 * 1024;
/// Fuel of one call with its hooks, whatever its mount allows; beyond, the call ends with `out_of_fuel`. About a second.
pub const CALL_FUEL_MAX: u64 = 2_000_000_000;
/// Fuel of one call where nothing else is said: about 50 ms, so that others wait no longer behind it.
pub const CALL_FUEL_DEFAULT: u64 = 100_000_000;
/// Fuel of an instance's start functions, apart from the call's; beyond, the call ends with `limit`.
pub const START_FUEL_MAX: u64 = 10_000_000;
/// Levels of hooks set off by hooks; a deeper one ends the call with `limit`.
pub const HOOK_DEPTH_MAX: u8 = 8;
/// Hooks of one call; one more ends it with `limit`.
pub const HOOKS_MAX: usize = 4096;
/// Modules that call one another within one transaction, beneath the first; a deeper call is answered `limit`. Each has a stack
/// and an instance of its own.
pub const JOINED_DEPTH_MAX: usize = 4;
/// Bytes that a guest may give the host at once, in an argument or an answer; more ends the call with `trap`.
pub const HOST_CALL_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of random that a guest may ask for at once; more is answered `limit`.
pub const RANDOM_BYTES_MAX: u32 = 4096;
/// Bytes of a chunk of a scan, but for its last row; the guest goes on from its position.
pub const SCAN_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the text of a module's own error; longer is cut.
pub const ERROR_TEXT_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a line that a call logs; longer is cut.
pub const LOG_LINE_BYTES_MAX: usize = 4 * 1024;
/// Bytes that a call logs; further lines are counted, and a last line says how many were left out.
pub const LOG_BYTES_MAX: usize = 64 * 1024;
/// Lines that a call logs; as [`LOG_BYTES_MAX`].
pub const LOG_LINES_MAX: usize = 256;
/// Instances alive at once in one process; who needs one more waits until another ends.
pub const INSTANCES_MAX: u32 = 64;
/// Lists of calls that reach into other mounts, at once; further ones wait. Bounds the instances beneath others.
pub const JOINED_LISTS_MAX: usize = 4;
/// Calls named in a mark: those being applied, and as many suspects that have not come up again yet. Suspects beyond are
/// remembered until the process ends.
pub const MARKS_MAX: usize = 2 * INSTANCES_MAX as usize;
/// Bytes of a component; larger is refused before it is read.
pub const COMPONENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of compiled code of a component; larger is refused, it would crowd out others.
pub const ARTIFACT_BYTES_MAX: usize = 8 * COMPONENT_BYTES_MAX;
/// Components that the compiler in the process compiles at most; beyond it answers `busy`. Keeps a twin a twin.
pub const TWIN_COMPILES_MAX: usize = 1024;
/// Bytes of a component that the compiler in the process accepts; larger is refused.
pub const TWIN_COMPONENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Calls of a test that are made in one list where they are compared with what they did natively; more are in the next one.
pub const COMPARED_LIST_COUNT_MAX: usize = 256;
/// Stack of the thread that compiles.
pub const COMPILE_STACK_BYTES: usize = 16 * 1024 * 1024;
/// Stack that a thread needs to run [`Executor`](isx_store::Executor): that of every guest one beneath the other, and for the
/// host beneath and within them; hooks run after the function that set them off, so that they do not add to it. On less the
/// process may die.
pub const THREAD_STACK_BYTES: usize = 6 * 1024 * 1024;
/// Instances that the engine has room for: permitted ones, and those that are beneath them.
pub(crate) const POOL_INSTANCES: u32 = INSTANCES_MAX + (JOINED_LISTS_MAX * JOINED_DEPTH_MAX) as u32;

const _: () = assert!(THREAD_STACK_BYTES >= (1 + JOINED_DEPTH_MAX) * (WASM_STACK_BYTES_MAX + 512 * 1024) + 512 * 1024);
const _: () = assert!(HOST_CALL_BYTES_MAX >= 2 * VALUE_BYTES_MAX + KEY_BYTES_MAX);
const _: () = assert!(CALL_FUEL_DEFAULT <= CALL_FUEL_MAX);
const _: () = assert!(TWIN_COMPONENT_BYTES_MAX <= COMPONENT_BYTES_MAX);
const _: () = assert!(LOG_LINE_BYTES_MAX <= LOG_BYTES_MAX);
