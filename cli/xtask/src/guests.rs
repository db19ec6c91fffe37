//! Guests: the shipped modules and ROMs and the SDK's own probes, built by the `isx` of this workspace as a user would build
//! his own; then `isx` again, which carries those that are shipped as `std:NAME`.

use crate::setup;
use crate::steps::{Steps, cargo, command, isx, target};
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// A guest and the guests it embeds, which must be built before it.
struct Guest {
    package: &'static str,
    folder: &'static str,
    embeds: &'static [&'static str],
}

/// In the order of building.
const GUESTS: &[Guest] = &[
    Guest { package: "tally", folder: "stdlib/tally", embeds: &[] },
    Guest { package: "hello", folder: "stdlib/hello", embeds: &[] },
    Guest { package: "caller", folder: "stdlib/caller", embeds: &[] },
    Guest { package: "probe", folder: "sdk/guest/tests/probe", embeds: &[] },
    Guest { package: "rom-probe", folder: "sdk/guest/tests/rom", embeds: &["tally"] },
    Guest { package: "wordcount", folder: "rom/wordcount", embeds: &["tally"] },
];

/// Steps that [`build`] takes.
pub const STEPS: usize = 3 + GUESTS.len();

/// Where the built guests lie.
pub fn folder() -> PathBuf {
    target().join("guests")
}

/// The task `guests`.
pub fn guests() -> Result<()> {
    let mut steps = Steps::begin("guests", STEPS, "about 7 minutes from nothing, then seconds");
    build(&mut steps)?;
    steps.end("guests");
    println!("they are in {}", folder().display());
    Ok(())
}

/// Builds `isx`, with it every guest, and the `isx` that has them.
pub fn build(steps: &mut Steps) -> Result<()> {
    steps.step("wasm targets", setup::toolchain)?;
    steps.run("build isx", &mut everything())?;
    std::fs::create_dir_all(folder())?;
    for guest in GUESTS {
        let output = folder().join(format!("{}.wasm", guest.package));
        let mut build = command(isx(), &["build", guest.folder, "--output"]);
        build.arg(&output);
        for inner in guest.embeds {
            build.args(["--embed", &format!("{inner}={}", folder().join(format!("{inner}.wasm")).display())]);
        }
        steps.run(&format!("isx build {}", guest.folder), &mut build)?;
    }
    steps.run("build isx with its guests", &mut everything())
}

/// Builds the workspace: tests too, one set of features, so that nothing is compiled twice.
fn everything() -> Command {
    cargo(&["build", "--workspace", "--lib", "--bins", "--tests", "--examples", "--quiet"])
}
