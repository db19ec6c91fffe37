//! The way to the host: in WebAssembly the imports of the guest contract, elsewhere whatever stands in for a host.

#[cfg(target_family = "wasm")]
pub use crate::module::bindings::isx::module::{context, links, log, tables};

#[cfg(not(target_family = "wasm"))]
pub use stand_in::{Port, context, links, log, tables, within};

#[cfg(not(target_family = "wasm"))]
#[path = "port_native.rs"]
mod stand_in;
