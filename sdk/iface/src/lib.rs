//! Declares the one kind of thing, the [`Object`], and the interfaces of the system's own objects.
//!
//! Every reachable thing is an object, called with (method, payload, objects). What its methods mean is said by an
//! interface, declared with [`interface!`]: a Rust trait for those who serve, with a dispatcher that checks method,
//! signature and arguments, and a typed stub for those who call. Payloads are in the canonical encoding of
//! [`isx_row::codec`]; references travel beside them.
//!
//! Knows nothing of transport.
//!
//! # Invariants
//! - A call typed against another signature is `stale_bindings`, wrong arguments are `bad_arguments`, an unknown method
//!   and one of another kind are `not_found` alike (`tests/dispatch.rs`).
//! - The bytes of a record are those of [`isx_row::codec::encode_record`] (`tests/dispatch.rs`).
//! - The interfaces of the system change only on purpose (`tests/interfaces.rs`).
//!
//! # Example
//! ```
//! use isx_iface::{Error, ObjectRef, async_trait, interface};
//!
//! interface! {
//!     /// Counts.
//!     "example.Counter": trait Counter, stub CounterStub, served by serve_counter {
//!         /// Adds `by`; answers the sum. Not idempotent.
//!         call fn add(by: u64) -> u64;
//!         /// Another counter, beginning at 0, alive as long as somebody holds it.
//!         object fn fresh() -> CounterStub;
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Sum(std::sync::Mutex<u64>);
//!
//! #[async_trait]
//! impl Counter for Sum {
//!     async fn add(&self, by: u64) -> Result<u64, Error> {
//!         let mut sum = self.0.lock().expect("no panic while adding");
//!         *sum += by;
//!         Ok(*sum)
//!     }
//!     async fn fresh(&self) -> Result<CounterStub, Error> {
//!         Ok(CounterStub(serve_counter(Sum::default())))
//!     }
//! }
//!
//! # futures::executor::block_on(async {
//! let object: ObjectRef = serve_counter(Sum::default());
//! let counter = CounterStub(object);
//! assert_eq!(counter.add(2).await?, 2);
//! assert_eq!(counter.fresh().await?.add(40).await?, 40);
//! # Ok::<(), Error>(())
//! # }).expect("the calls succeed");
//! ```

pub mod anchor;
pub mod declaration;
pub mod host;
pub mod limits;
pub mod login;
pub mod module;
mod object;
pub mod payload;
mod precondition;
mod promise;
pub mod publish;
pub mod table;
pub mod usage;

pub use anchor::{Anchor, AnchorStub, serve_anchor};
pub use async_trait::async_trait;
pub use declaration::{Interface, Method, MethodKind};
pub use host::{Host, HostStub, serve_host};
pub use isx_row::Error;
pub use login::{Login, LoginStub, serve_login};
pub use module::{Module, ModuleStub, serve_module};
pub use object::{Answer, Call, Delivery, Item, Items, Object, ObjectRef, SessionCall};
pub use precondition::when;
pub use promise::{object_of, refusing};
