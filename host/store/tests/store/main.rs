//! The store against a naive model, and what it refuses.

#![allow(clippy::unwrap_used, reason = "these are tests, in their functions beside the test functions too")]

mod changes;
mod model;
mod post;
mod snapshots;
mod tables;
mod times;
mod transactions;
mod upgrades;
