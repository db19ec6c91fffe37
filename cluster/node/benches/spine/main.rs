//! Measures a node and its parts: `cargo bench -p isx-node`, with a part of a group's name as argument for some of them.
//!
//! Prints the environment, then a line for each figure, with its target and whether it is met. Each group runs in a
//! process of its own, so that no group's memory, threads and files are in another's figures. What is compared is
//! measured in turns within one group: a ratio does not depend on what the machine did in between. *Accepted* means
//! queued, *fsynced* durable on disk, *answered* fsynced, committed and applied: a node acknowledges nothing less.
//!
//! `ISX_GUESTS` names the folder of tally.wasm.
#![allow(clippy::print_stdout, reason = "it is there to print")]

mod apply;
mod calls;
mod environment;
mod figure;
mod flight;
mod guests;
mod latency;
mod log;
mod loopback;
mod memory;
mod plain;
mod started;

use std::error::Error;
use std::process::Command;

/// As in the `isx` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The argument before the name of the one group that this process measures.
const ALONE: &str = "--alone";

/// A group of measurements: its name, and what runs it.
type Group = (&'static str, fn() -> Outcome<()>);

/// The groups, in the order of running.
const GROUPS: &[Group] = &[
    ("idle", memory::idle),
    ("rows", memory::rows),
    ("log", log::measure),
    ("apply", apply::measure),
    ("calls", calls::measure),
    ("loopback", loopback::measure),
    ("latency", latency::measure),
];

fn main() -> Outcome<()> {
    #[cfg(target_os = "linux")]
    rustix::thread::disable_transparent_huge_pages(true)?;
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [flag, name] if flag == ALONE => alone(name),
        [] => all(""),
        [filter] => all(filter),
        _ => Err("more than one filter".into()),
    }
}

fn alone(name: &str) -> Outcome<()> {
    let (_, measure) = GROUPS.iter().find(|(group, _)| *group == name).ok_or("no such group")?;
    measure()
}

fn all(filter: &str) -> Outcome<()> {
    let chosen: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).filter(|name| name.contains(filter)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no group's name contains {filter:?}: there are {}", names.join(", ")).into());
    }
    environment::print();
    let mut failed = Vec::new();
    for name in chosen {
        println!("\n{name}");
        let status = Command::new(std::env::current_exe()?).args([ALONE, name]).status()?;
        failed.extend((!status.success()).then_some(name));
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failed.join(", ")).into()) }
}
