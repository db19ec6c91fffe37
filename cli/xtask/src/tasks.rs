//! The tasks that are plain lists of commands.

use crate::steps::{Steps, cargo, command, target};
use crate::{guests, setup};
use anyhow::Result;
use std::process::Command;

/// The test command: everything that must pass before a change lands.
pub fn test() -> Result<()> {
    let mut steps = Steps::begin("test", 9 + guests::STEPS, "under 40 minutes on 2 cores from an empty target folder");
    steps.step("set up", setup::toolchain)?;
    steps.step("Node.js, compilers of TypeScript and JavaScript", setup::node)?;
    steps.run("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    guests::build(&mut steps)?;
    steps.run("lints", &mut lints())?;
    steps.run("tests of the workspace", &mut tests())?;
    let deny = steps.step("cargo-deny", setup::deny)?;
    steps.run(
        "bans, licences, sources",
        &mut command(deny, &["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]),
    )?;
    steps.run("200 seeds of 30 simulated seconds", &mut simulator(200, 1, 30))?;
    steps.step("the demo", crate::demo::tell)?;
    steps.end("test");
    Ok(())
}

/// The quick loop.
pub fn check() -> Result<()> {
    let mut steps = Steps::begin("check", 3, "under three minutes when warm");
    steps.run("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    steps.run("lints", &mut lints())?;
    steps.run("unit tests", &mut cargo(&["test", "--workspace", "--quiet", "--lib", "--bins"]))?;
    steps.end("check");
    Ok(())
}

/// Simulates whole clusters.
pub fn sim(seeds: u64, first: u64, seconds: u64) -> Result<()> {
    let mut steps = Steps::begin("sim", 1 + guests::STEPS, "about 10 seconds for 30 simulated minutes");
    guests::build(&mut steps)?;
    steps.run(&format!("{seeds} seeds from {first}"), &mut simulator(seeds, first, seconds))?;
    steps.end("sim");
    Ok(())
}

/// Measures.
pub fn bench(filter: Option<&str>) -> Result<()> {
    let mut steps = Steps::begin("bench", 3 + guests::STEPS, "about 12 minutes, release build included");
    guests::build(&mut steps)?;
    for (package, bench) in [("isx-node", "spine"), ("isx-exec", "instance"), ("isx", "hello")] {
        let mut measure = cargo(&["bench", "--package", package, "--bench", bench, "--"]);
        measure.env("ISX_GUESTS", guests::folder()).args(filter);
        steps.run(&format!("measure: {bench}"), &mut measure)?;
    }
    steps.end("bench");
    Ok(())
}

/// Installs the release binary.
pub fn install() -> Result<()> {
    let mut steps = Steps::begin("install", 1 + guests::STEPS, "about 15 minutes");
    // What is installed carries them.
    guests::build(&mut steps)?;
    steps.run("build and install isx", &mut cargo(&["install", "--path", "cli", "--locked"]))?;
    steps.end("install");
    println!("begin with `isx help`");
    Ok(())
}

fn lints() -> Command {
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
}

fn tests() -> Command {
    let mut tests = cargo(&["test", "--workspace"]);
    tests.env("ISX_GUESTS", guests::folder());
    tests
}

fn simulator(seeds: u64, first: u64, seconds: u64) -> Command {
    let mut simulator = command(target().join("debug").join("isx-sim"), &[]);
    simulator.args(["--seeds", &seeds.to_string(), "--seed", &first.to_string(), "--seconds", &seconds.to_string()]);
    simulator.env("ISX_GUESTS", guests::folder());
    simulator
}
