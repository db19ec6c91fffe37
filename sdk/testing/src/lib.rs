//! Runs the reducers and queries of a module natively, on the real store, in the module's own tests.
//!
//! [`Module`] is a mount of the module that the test is part of: its schema is lifted from the records that the SDK's
//! macros leave, its tables are an [`isx_store::Database`]. [`Module::call`] runs a reducer as one transaction, the hooks
//! that it sets off included, and rolls all of it back where it fails; [`Module::query`] reads. Arguments and answers take
//! the way through the encoding that they take on a node. Who calls, what time it is and what random gives are the test's
//! to say.
//!
//! Under `isx test` each mount writes down what it was told and said, and the same is done again with the module's
//! WebAssembly: what differs fails the tests.
//!
//! What differs from a node: there is no fuel and no bound on memory and stack, statics keep what they hold from call to
//! call, what libraries say through the crate `log` is not heard, and private functions answer, as to the owner. Time sets
//! nothing off, sessions neither connect nor end, and nothing is upgraded: the hooks on those do not run here.
//!
//! Knows nothing of WebAssembly and of nodes; no module links it but in its tests.
//!
//! # Invariants
//! - A call ends as on a node: outcome, error, rows, hooks, log (`probe`: `tests/native.rs`, against the executor), with
//!   the same random (`random::tests::the_stream_is_the_executors`).
//! - A call that fails leaves nothing behind (`tests/module.rs`: `what_fails_is_rolled_back`).
//! - A function touches what it declares and nothing else (`tests/module.rs`: `declared_access_holds`).
//!
//! # Example
//! ```
//! # mod module {
//! use isx::{Error, QueryContext, ReducerContext};
//!
//! isx::module!();
//!
//! #[isx::table]
//! pub struct Greeting {
//!     #[primary_key(auto_inc)]
//!     id: u64,
//!     name: String,
//! }
//!
//! #[isx::reducer]
//! pub fn greet(ctx: &ReducerContext, name: String) -> Result<u64, Error> {
//!     if name.is_empty() {
//!         return Err(isx::refused("whom to greet?"));
//!     }
//!     Ok(ctx.db.greeting().insert(Greeting { id: 0, name })?.id)
//! }
//!
//! #[isx::query]
//! pub fn greetings(ctx: &QueryContext) -> Result<u64, Error> {
//!     ctx.db.greeting().count()
//! }
//! # }
//! # use module::*;
//! // In a test of the module:
//! let mut module = isx_testing::Module::new();
//! assert_eq!(module.call(greet, ("ada".into(),))?, 1);
//! let refused = module.call(greet, (String::new(),)).unwrap_err();
//! assert_eq!(refused.to_string(), "application: whom to greet?");
//! assert_eq!(module.query(greetings, ())?, 1);
//! # Ok::<(), isx_testing::Refused>(())
//! ```

mod access;
mod callable;
mod host;
mod journal;
pub mod limits;
mod module;
mod random;

pub use callable::Callable;
pub use module::{Module, Refused, Sent};
