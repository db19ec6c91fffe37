//! Bad input for one node, through the real binary: whatever is thrown at it, the end is one clear error with a code and
//! a cure, nothing that was acknowledged is lost, and the node goes on answering.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../../host/exec/tests/modules/mod.rs"]
mod modules;

mod arguments;
mod clock;
mod components;
mod crash;
mod damage;
mod full;
mod guests;
mod refused;
mod schemas;
mod starting;
