//! The executor runs the calls of modules, deterministic and synchronous.
//!
//! [`Exec`] implements [`Executor`](isx_store::Executor) with wasmtime. A module is a component that was checked, compiled
//! and linked once ([`Exec::add`]): its schema is read out of it ([`read_schema`]), never executed, and it can import
//! nothing but the guest contract ([`IMPORTS`]; `sdk/wit/module.wit`). A call is checked against the schema before the guest
//! sees it, runs in one transaction together with the hooks that it sets off, and its answer is checked again. Time and
//! random come from the entry, fuel bounds both what the guest computes and what it asks of the host, and everything that
//! decides an outcome is in the [`ExecutionId`](isx_store::ExecutionId). One instance serves the calls of a list while they
//! return Ok; `decisions/001` says why no outcome depends on that.
//!
//! What may need a process of its own are ports: [`Compile`], [`Trial`], [`Mark`]; [`Ports::here`] are their twins.
//!
//! Knows nothing of tokio, clocks, WASI, the log or the cluster.
//!
//! # Invariants
//! - Outcomes, changes and the state do not depend on where lists are cut: `batches::batched_equals_unbatched`,
//!   `batches::what_a_neighbour_computed_does_not_stretch_the_fuel`.
//! - Two runs of the same calls are equal, fuel included: `batches::batched_equals_unbatched`.
//! - What does not end with an answer leaves the tables as they were: `hostile::hostile_calls_end_in_typed_errors`,
//!   `calls::errors_roll_back_that_call_alone`.
//! - No bytes make it panic: `hostile::hostile_components_are_refused`, `hostile::damaged_components_never_get_through_or_kill`.
//! - What a call does in other mounts is kept with its own or not at all, on one fuel, wherever lists are cut:
//!   `guest::bundles`.
//! - A function touches what it declares and nothing else: `calls::declared_access_is_enforced`.
//! - What a caller may not know looks missing: `calls::private_members_look_missing_and_hooks_are_run_by_events_only`.
//! - A call that killed its process runs again only after a trial survived: `poison::a_suspect_that_dies_again_is_held_and_stays_so`;
//!   the trial runs the same call on the same tables: `poison::a_suspect_in_another_process_runs_as_here`.
//! - Only whole code that this machine made is run: `cache::tests::damaged_or_foreign_files_are_as_good_as_none`.
//!
//! # Example
//! ```
//! use isx_exec::{Exec, Ports};
//! use isx_row::{Error, MountId, Principal, Signature, Time};
//! use isx_store::{Cause, Database, EntryContext, Executor, Invocation};
//!
//! fn first_call(component: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let exec = Exec::new(Ports::here())?;
//!     let (code, schema) = exec.add(component)?;
//!     let mut root = Database::new(schema)?;
//!     let entry = EntryContext { time: Time(0), seed: [0; 32] };
//!     let call = Invocation {
//!         mount: MountId::default(),
//!         cause: Cause::Call,
//!         name: "greet",
//!         signature: Signature::ANY,
//!         arguments: &[0, 0],
//!         caller: Principal::anonymous(),
//!         trusted: false,
//!         session: None,
//!         hops: 0,
//!         place: 0,
//!         fuel_max: isx_exec::limits::CALL_FUEL_DEFAULT,
//!     };
//!     let mut done = exec.execute(&code, &mut root, &entry, &[call]).map_err(|hold| format!("{hold:?}"))?;
//!     Ok(done.remove(0).outcome?)
//! }
//! assert_eq!(first_call(b"junk").unwrap_err().to_string(), "malformed: this is no WebAssembly component");
//! ```

mod access;
mod bundle;
mod cache;
mod code;
mod compare;
mod compile;
mod component;
mod engine;
mod exec;
mod fuel;
mod host;
mod imports;
mod instance;
pub mod limits;
mod log;
mod permits;
mod poison;
mod random;
mod series;
mod trial;

pub use cache::Cache;
pub use compare::{Cut, Difference, What, compare};
pub use compile::{Compile, CompileHere, compile};
pub use component::{IMPORTS, Outline, SCHEMA_SECTION, is_program, outline, read_schema};
pub use exec::{Exec, Ports};
pub use poison::{CallId, Mark, Marked, MemoryMark, NoTrial, Suspect, Trial, Verdict};
pub use trial::try_suspect;
