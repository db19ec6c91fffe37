//! The guest SDK through the executor: the module `probe`, built by `cargo xtask guests`, called as a mount calls it.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod bundles;
mod defaults;
mod failures;
mod hooks;
mod mount;
mod scans;
mod sessions;
mod times;
mod views;
mod words;
