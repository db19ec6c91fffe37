//! Measures what a user waits for: `isx run` of a cached component against a running node, in turns with a process that
//! only loads the same component, compiled, and runs it with wasmtime-wasi.
//!
//! Whole processes are timed, from their start to their end.
#![allow(clippy::print_stdout, reason = "it is there to print")]

#[path = "../../cluster/node/benches/spine/figure.rs"]
#[allow(dead_code, reason = "shared with the node's figures, of which this is one")]
mod figure;

use figure::{Target, median, print, quantile};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::sync;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The argument before the compiled component that this process runs without isx.
const PLAIN: &str = "--plain";
/// What is run: a command of wasi:cli, as any toolchain makes it.
const HELLO: &str = "fn main() { println!(\"hello\"); }";
/// What it says.
const SAID: &[u8] = b"hello\n";
/// Times of each, in turns.
const TURNS: usize = 60;
/// How long the node may take to answer.
const NODE_WITHIN: Duration = Duration::from_secs(60);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [flag, compiled] if flag == PLAIN => plain(Path::new(compiled)),
        [filter] if !"hello".contains(filter.as_str()) => Ok(()),
        _ => measure(),
    }
}

struct Plain {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Plain {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Runs a compiled component and does nothing else.
fn plain(compiled: &Path) -> Outcome<()> {
    let engine = Engine::default();
    // SAFETY: `measure` has just compiled the file with an engine as this one.
    #[allow(unsafe_code, reason = "wasmtime can not check compiled code; this is our own")]
    let component = unsafe { Component::deserialize_file(&engine, compiled)? };
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    let wasi = WasiCtx::builder().inherit_stdio().build();
    let mut store = Store::new(&engine, Plain { wasi, table: ResourceTable::new() });
    let command = sync::Command::instantiate(&mut store, &component, &linker)?;
    command.wasi_cli_run().call_run(&mut store)?.map_err(|()| "the component failed".into())
}

/// A node in folders of its own; ended when dropped.
struct Stage {
    folder: PathBuf,
    node: Option<Child>,
}

impl Stage {
    fn new() -> Outcome<Self> {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hello");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join("runtime"))?;
        let mut stage = Self { folder, node: None };
        let mut start = stage.isx(&["start", "--alias", "hello", "--listen", "127.0.0.1:0"]);
        stage.node = Some(start.stdout(Stdio::null()).spawn()?);
        let until = Instant::now() + NODE_WITHIN;
        while !stage.isx(&["status"]).output()?.status.success() {
            if Instant::now() > until {
                return Err("the node does not answer".into());
            }
        }
        Ok(stage)
    }

    fn isx(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isx"));
        command.args(arguments).env_remove("ISX_DIAL").stdin(Stdio::null());
        for (name, folder) in [
            ("XDG_RUNTIME_DIR", "runtime"),
            ("XDG_CONFIG_HOME", "config"),
            ("ISX_STATE_DIR", "state"),
            ("ISX_CACHE_DIR", "cache"),
        ] {
            command.env(name, self.folder.join(folder));
        }
        command
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

/// Milliseconds of a process that must say hello.
fn time(mut command: Command) -> Outcome<f64> {
    let begun = Instant::now();
    let output = command.output()?;
    let elapsed = begun.elapsed();
    match output.status.success() && output.stdout == SAID {
        true => Ok(elapsed.as_secs_f64() * 1e3),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn measure() -> Outcome<()> {
    let stage = Stage::new()?;
    let (source, component) = (stage.folder.join("hello.rs"), stage.folder.join("hello.wasm"));
    fs::write(&source, HELLO)?;
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--edition", "2024", "--target", "wasm32-wasip2", "-O", "-C", "strip=symbols", "-o"])
        .args([&component, &source]);
    if !rustc.status()?.success() {
        return Err("rustc failed".into());
    }
    let compiled = stage.folder.join("hello.cwasm");
    fs::write(&compiled, Engine::default().precompile_component(&fs::read(&component)?)?)?;

    let with_isx = || stage.isx(&["run", &component.to_string_lossy()]);
    let without = || -> Outcome<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(PLAIN).arg(&compiled);
        Ok(command)
    };
    // The first run compiles and keeps what it compiled.
    let first = time(with_isx())?;
    let (mut isx, mut plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        isx.push(time(with_isx())?);
        plain.push(time(without()?)?);
        ratios.extend(isx.last().zip(plain.last()).map(|(isx, plain)| isx / plain));
    }
    println!("\nhello");
    print("isx run of hello, the first time: compiles", first, "ms", Target::None);
    print("isx run of a cached hello against a running node, median", median(&mut isx), "ms", Target::AtMost(50.0));
    print("the same, p90", quantile(&mut isx, 0.9), "ms", Target::None);
    print("load and run with wasmtime-wasi alone, median", median(&mut plain), "ms", Target::None);
    print("isx to wasmtime-wasi alone, median of the turns", median(&mut ratios), "times", Target::AtMost(1.5));
    Ok(())
}
