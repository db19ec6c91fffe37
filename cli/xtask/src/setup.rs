//! Set-up: from a bare machine with a Rust toolchain to one where every task runs.

use crate::steps::{Steps, cargo, command, target};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compile targets of guests.
const GUEST_TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip2"];
/// The version of cargo-deny that the test command runs.
const DENY_VERSION: &str = "0.20.2";

/// What tests run with Node.js, and its versions.
const NODE_PACKAGES: [(&str, &str); 2] = [("typescript", "5.9.3"), ("componentize-qjs", "0.4.5")];

/// The task `setup`.
pub fn setup() -> Result<()> {
    let mut steps = Steps::begin("setup", 3, "about 4 minutes the first time, then none");
    steps.step("wasm targets and system packages", toolchain)?;
    steps.step("Node.js, compilers of TypeScript and JavaScript", node)?;
    steps.step("cargo-deny", deny)?;
    steps.end("setup");
    Ok(())
}

/// Checks the system's packages and adds the guests' compile targets.
pub fn toolchain() -> Result<()> {
    if Command::new("cc").arg("--version").output().is_err() {
        bail!("no C compiler: install it first, on Debian with `apt-get install gcc libc6-dev`");
    }
    let missing: Vec<&str> = GUEST_TARGETS.into_iter().filter(|target| !has_target(target)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut add = command("rustup", &["target", "add"]);
    let status = add.args(&missing).status().context(
        "rustup is not here; install the targets wasm32-unknown-unknown and wasm32-wasip2 as your toolchain does",
    )?;
    if !status.success() {
        bail!("`rustup target add {}` ended with {status}", missing.join(" "));
    }
    Ok(())
}

/// Checks for Node.js and installs what tests run with it below the target folder, where they look for it: the TypeScript
/// compiler, and one that makes components of JavaScript.
pub fn node() -> Result<()> {
    let runs =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !runs("node") {
        bail!("no Node.js, which runs tests of TypeScript and JavaScript: on Debian `apt-get install nodejs npm`");
    }
    for (package, version) in NODE_PACKAGES {
        let tools = target().join("tools").join(package);
        let manifest = tools.join("node_modules").join(package).join("package.json");
        let installed = format!("\"version\": \"{version}\"");
        if std::fs::read_to_string(&manifest).is_ok_and(|text| text.contains(&installed)) {
            continue;
        }
        if !runs("npm") {
            bail!("no npm, which installs {package}: on Debian `apt-get install npm`");
        }
        let package = format!("{package}@{version}");
        let mut install =
            command("npm", &["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix"]);
        let status = install.arg(&tools).arg(&package).status()?;
        if !status.success() {
            bail!("`npm install {package}` ended with {status}");
        }
    }
    Ok(())
}

/// Installs cargo-deny below the target folder, unless it is there or on the path; returns where it is.
pub fn deny() -> Result<PathBuf> {
    if Command::new("cargo-deny").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok("cargo-deny".into());
    }
    let tools = target().join("tools");
    let binary = tools.join("bin").join("cargo-deny");
    if !binary.exists() {
        println!("  building cargo-deny {DENY_VERSION}, once");
        let mut install = cargo(&["install", "cargo-deny", "--version", DENY_VERSION, "--locked", "--quiet", "--root"]);
        let status = install.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")).status()?;
        if !status.success() {
            bail!("`cargo install cargo-deny` ended with {status}");
        }
        let _ = std::fs::remove_dir_all(tools.join("build"));
    }
    Ok(binary)
}

/// The toolchain's documentation, a large real text that every machine has; installs it where it is missing.
pub fn documentation() -> Result<PathBuf> {
    let folder = sysroot()?.join("share/doc/rust/html");
    if !folder.is_dir() {
        let status = command("rustup", &["component", "add", "rust-docs"]).status().context("rustup is not here")?;
        if !status.success() || !folder.is_dir() {
            bail!("`rustup component add rust-docs` did not give {}", folder.display());
        }
    }
    Ok(folder)
}

fn has_target(target: &str) -> bool {
    sysroot().is_ok_and(|sysroot| Path::new(&sysroot).join("lib/rustlib").join(target).join("lib").is_dir())
}

fn sysroot() -> Result<PathBuf> {
    let output = command("rustc", &["--print", "sysroot"]).output().context("rustc is not here")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
