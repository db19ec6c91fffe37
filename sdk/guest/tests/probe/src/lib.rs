//! What tests of the SDK call through the executor: a module that is not shipped, with a file for each part of the SDK.
//!
//! Knows nothing of the tests: they call it as anybody would, and take its types to read what it answers.

isx::module!(public);

pub mod accounts;
pub mod alarms;
pub mod cursors;
pub mod items;
pub mod notes;
pub mod online;
pub mod players;
pub mod visits;
pub mod words;
