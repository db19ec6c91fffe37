//! Steps: named commands run one after another, with their place, their time and a clear end.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The workspace's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_path_buf()
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The `isx` binary of the development profile.
pub fn isx() -> PathBuf {
    target().join("debug").join("isx")
}

/// A command in the workspace's root.
pub fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// `cargo` with these arguments, as a shell would run it: build scripts that look at what the cargo that runs this program says
/// of its package would be run again, and all behind them be compiled, by each of the two in turn.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments);
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|of_package| name.as_encoded_bytes().starts_with(of_package.as_bytes()))
        {
            command.env_remove(name);
        }
    }
    command
}

/// A list of steps under way.
pub struct Steps {
    done: usize,
    total: usize,
    begun: Instant,
}

impl Steps {
    /// Announces `total` steps and how long they take.
    pub fn begin(task: &str, total: usize, takes: &str) -> Self {
        println!("{task}: {total} steps, {takes}");
        Self { done: 0, total, begun: Instant::now() }
    }

    /// Runs one step; its output goes where ours goes.
    pub fn run(&mut self, what: &str, command: &mut Command) -> Result<()> {
        self.step(what, || {
            let shown = format!("{command:?}");
            let status = command.stdin(Stdio::null()).status().with_context(|| format!("can not start {shown}"))?;
            if !status.success() {
                bail!("{shown} ended with {status}");
            }
            Ok(())
        })
    }

    /// Runs one step that is not a single command.
    pub fn step<T>(&mut self, what: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
        self.done += 1;
        println!("[{}/{}] {what}", self.done, self.total);
        let begun = Instant::now();
        let result = body().with_context(|| format!("step {} of {}: {what}", self.done, self.total))?;
        let took = begun.elapsed().as_secs();
        if took >= 5 {
            println!("[{}/{}] done in {took} s", self.done, self.total);
        }
        Ok(result)
    }

    /// Says that everything is done.
    pub fn end(self, task: &str) {
        println!("{task}: all {} steps done in {} s", self.total, self.begun.elapsed().as_secs());
    }
}
