//! Runs the tasks of the workspace: `cargo xtask setup | guests | demo | test | check | bench | sim | install`.
//!
//! Each task is a list of named steps ([`steps`]); each step is one command that a person could type. The tasks do
//! their own set-up from a Rust toolchain and nothing else.
//!
//! Knows nothing of the workspace's crates but their names: it depends on none of them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod demo;
mod guests;
mod setup;
mod steps;
mod tasks;
mod text;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Tasks of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the other tasks need: wasm targets, cargo-deny, the toolchain's documentation
    Setup,
    /// Build the shipped modules and ROMs into target/guests, and an `isx` that carries them
    Guests,
    /// Show isx at work: words counted through a node that is killed half-way
    Demo,
    /// Everything that must pass before a change lands (the test command)
    Test,
    /// The quick loop: format, lints, unit tests
    Check,
    /// Measure, in the release profile; prints each figure beside its target
    Bench {
        /// Run only the measurements whose name contains this
        filter: Option<String>,
    },
    /// Simulate whole clusters, one for each seed
    Sim {
        /// How many seeds
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Simulated seconds for each seed
        #[arg(long, default_value_t = 30)]
        seconds: u64,
    },
    /// Build the release binary and install it as `isx` in cargo's bin folder
    Install,
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Setup => setup::setup(),
        Task::Guests => guests::guests(),
        Task::Demo => demo::demo(),
        Task::Test => tasks::test(),
        Task::Check => tasks::check(),
        Task::Bench { filter } => tasks::bench(filter.as_deref()),
        Task::Sim { seeds, seed, seconds } => tasks::sim(seeds, seed, seconds),
        Task::Install => tasks::install(),
    }
}
