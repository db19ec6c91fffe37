//! Serves HTTP to who operates a node: what it counts, whether it lives, whether it serves.
//!
//! [`Gateway::start`] listens on a thread of its own, so that what HTTP's clients do delays nobody else. It asks an
//! [`Operated`] for all it tells: `/metrics` in the text form that Prometheus reads, `/healthz`, `/readyz` with what is
//! missing, `/version`. A connection has one request and a time for it; one connection too many ends the oldest.
//!
//! Knows nothing of libp2p, Raft, WebAssembly, files and what the figures mean.
//!
//! # Invariants
//! - Clients that are slow, many or wrong keep nobody from an answer: `tests/gateway.rs`.
//! - A page of another name does not read what only this machine may: `tests/gateway.rs`.
//! - What is served can be parsed, and says what was counted: `exposition::tests`, `tests/gateway.rs`.
//!
//! # Example
//! ```
//! use isx_gateway::{Family, Gateway, Missing, Operated, Values};
//! use std::sync::Arc;
//!
//! struct Kettle;
//!
//! #[isx_gateway::async_trait]
//! impl Operated for Kettle {
//!     fn name(&self) -> &str { "kettle" }
//!     fn version(&self) -> &str { "1.0.0" }
//!     fn ails(&self) -> Vec<Missing> { Vec::new() }
//!     async fn missing(&self) -> Vec<Missing> { vec![Missing { what: "water".into(), why: "it is too cold".into() }] }
//!     fn figures(&self) -> Vec<Family> {
//!         vec![Family::new("kettle_boils", "Times that it boiled.", Values::count(3))]
//!     }
//! }
//!
//! let gateway = Gateway::start("127.0.0.1:0".parse()?, Arc::new(Kettle))?;
//! assert_ne!(gateway.address().port(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod exposition;
mod figures;
mod gateway;
pub mod limits;
mod pages;

pub use async_trait::async_trait;
pub use figures::{Distribution, Family, Labels, Unit, Values};
pub use gateway::{Gateway, StartError};
pub use pages::{Missing, Operated};
