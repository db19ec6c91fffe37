//! `isx test`: the tests of a project, natively, with the SDK that this program carries.
//!
//! They are cargo's: this puts the SDK in its place, so that a fresh copy of a project is tested without network, and
//! hands over. What a test calls through `isx_testing::Module` runs on the tables of a node; WebAssembly is not run.

use crate::arguments::Test;
use crate::{build, sdk};
use anyhow::{Context, Result, ensure};
use std::process::{Command, ExitCode};

/// Runs the tests; ends as they end, so that scripts can tell.
pub fn test(arguments: &Test) -> Result<ExitCode> {
    let manifest = arguments.folder.join("Cargo.toml");
    ensure!(manifest.is_file(), "{} has no Cargo.toml; give the folder of a project", arguments.folder.display());
    sdk::put_for(&arguments.folder)?;
    let mut command = Command::new(build::cargo());
    command.args(["test", "--manifest-path"]).arg(&manifest).args(&arguments.arguments);
    let status = command.status().context("cargo does not start; install Rust from https://rustup.rs")?;
    // Killed, it has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
