//! The machine from outside: entries in, outcomes, effects and state out.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod batches;
mod bundles;
mod conditions;
mod exactly_once;
mod formats;
mod groups;
mod holds;
mod migrations;
mod past;
mod post;
mod presence;
mod ring;
mod snapshots;
mod stage;
mod timers;
