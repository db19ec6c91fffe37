//! Programs: components checked, compiled once, kept by content hash.

use crate::limits::{CACHED_MAX, COMPONENT_BYTES_MAX, EPOCH};
use crate::rule::{Rule, parse_wants};
use isx_row::{Code, ContentHash, Error};
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use wasmparser::{Parser, Payload, SectionLimited};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// The custom section in which a ROM declares what it wants.
const WANTS_SECTION: &str = "isx:wants";
/// The export of a program that can await.
const RUN_ASYNC: &str = "wasi:cli/run@0.3";
/// The export of a command of any toolchain.
const RUN_BLOCKING: &str = "wasi:cli/run@0.2";

/// Which `run` a program exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// `wasi:cli/run@0.3`: a ROM.
    Async,
    /// `wasi:cli/run@0.2`: a command, with WASI and nothing of isx.
    Blocking,
}

/// A program ready to run.
#[derive(Clone)]
pub struct Program {
    pub(crate) component: Component,
    pub(crate) run: Run,
    wants: Vec<Rule>,
}

impl Program {
    /// What it declares that it wants.
    pub fn wants(&self) -> &[Rule] {
        &self.wants
    }
}

/// Compiles programs and gives way between those that compute.
pub struct Programs {
    pub(crate) engine: Engine,
    cache_dir: Option<PathBuf>,
    ended: Arc<AtomicBool>,
}

impl Programs {
    /// Compiled programs are kept in `cache_dir`, which must belong to this user alone: what lies there is run.
    ///
    /// # Errors
    /// `fatal` when this machine can not run WebAssembly.
    pub fn new(cache_dir: Option<PathBuf>) -> Result<Self, Error> {
        let mut config = Config::new();
        config.epoch_interruption(true).wasm_component_model_async(true).concurrency_support(true);
        let engine = Engine::new(&config).map_err(|error| fatal(&error))?;
        let ended = Arc::new(AtomicBool::new(false));
        let (ticking, until) = (engine.weak(), ended.clone());
        let tick = move || {
            while !until.load(Ordering::Relaxed) {
                std::thread::sleep(EPOCH);
                let Some(engine) = ticking.upgrade() else { return };
                engine.increment_epoch();
            }
        };
        std::thread::Builder::new()
            .name("isx-rom-epoch".into())
            .spawn(tick)
            .map_err(|error| Error::new(Code::Fatal, format!("no thread for the clock of programs: {error}")))?;
        Ok(Self { engine, cache_dir, ended })
    }

    /// Checks what a component says of itself, without compiling it; whether it is a ROM, which has a `Host`, or a command of
    /// any toolchain, which has no use for one.
    ///
    /// # Errors
    /// As [`Programs::load`], but for what only a compiler finds.
    pub fn is_rom(bytes: &[u8]) -> Result<bool, Error> {
        describe(bytes).map(|described| described.run == Run::Async)
    }

    /// Checks and compiles a component, or takes it from the cache.
    ///
    /// # Errors
    /// `malformed` for bytes that are no program, saying what they are; `limit` for too many.
    pub fn load(&self, bytes: &[u8]) -> Result<Program, Error> {
        let described = describe(bytes)?;
        let component = match self.cached(bytes) {
            Some(component) => component,
            None => self.compile(bytes)?,
        };
        Ok(Program { component, run: described.run, wants: described.wants })
    }

    fn compile(&self, bytes: &[u8]) -> Result<Component, Error> {
        let compiled = self.engine.precompile_component(bytes).map_err(|error| malformed(&error.root_cause()))?;
        if let Some(path) = self.cache_path(bytes)
            && let Err(error) = keep(&path, &compiled)
        {
            tracing::warn!(%error, path = %path.display(), "a compiled program could not be kept");
        }
        // SAFETY: the bytes were made by this engine in the line above.
        #[allow(unsafe_code, reason = "wasmtime can not check compiled code; this is our own")]
        unsafe { Component::deserialize(&self.engine, &compiled) }.map_err(|error| fatal(&error))
    }

    fn cached(&self, bytes: &[u8]) -> Option<Component> {
        let path = self.cache_path(bytes)?;
        // SAFETY: only `keep` writes there, in a folder of this user alone, under the hash of the source and of the
        // engine; wasmtime checks version and settings.
        #[allow(unsafe_code, reason = "wasmtime can not check compiled code; this is our own")]
        unsafe { Component::deserialize_file(&self.engine, path) }.ok()
    }

    fn cache_path(&self, bytes: &[u8]) -> Option<PathBuf> {
        let folder = self.cache_dir.as_ref()?;
        let mut engine = std::hash::DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut engine);
        Some(folder.join(format!("{}-{:016x}.cwasm", ContentHash::of(bytes), engine.finish())))
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Writes a compiled program whole or not at all, and lets the oldest go.
fn keep(path: &Path, compiled: &[u8]) -> std::io::Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder)?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    fs::write(&draft, compiled)?;
    fs::rename(&draft, path)?;
    let mut kept: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let compiled = path.extension().is_some_and(|extension| extension == "cwasm");
            compiled.then(|| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))?
        })
        .collect();
    kept.sort();
    for (_, oldest) in kept.iter().rev().skip(CACHED_MAX) {
        fs::remove_file(oldest)?;
    }
    Ok(())
}

struct Description {
    run: Run,
    wants: Vec<Rule>,
}

/// Reads what a component says of itself, without running or compiling it.
fn describe(bytes: &[u8]) -> Result<Description, Error> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(Error::new(Code::Limit, format!("the program is larger than {COMPONENT_BYTES_MAX} bytes")));
    }
    if !Parser::is_component(bytes) {
        return Err(Error::new(Code::Malformed, format!("the program is {}", stranger(bytes))));
    }
    let (mut run, mut wants, mut depth) = (None, Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| malformed(&error))? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let name = export.map_err(|error| malformed(&error))?.name.name;
                    run = match name {
                        name if name.starts_with(RUN_ASYNC) => Some(Run::Async),
                        name if name.starts_with(RUN_BLOCKING) => run.or(Some(Run::Blocking)),
                        _ => run,
                    };
                }
            }
            // The linker leaves the section in the core module that declares it.
            Payload::CustomSection(section) if section.name() == WANTS_SECTION => {
                wants.extend(parse_wants(section.data())?);
            }
            _ => {}
        }
    }
    let run = run.ok_or_else(|| {
        Error::new(Code::Malformed, "the program exports no `wasi:cli/run`; a module is published, not run")
    })?;
    Ok(Description { run, wants })
}

/// What bytes are that are no component, and the cure.
fn stranger(bytes: &[u8]) -> &'static str {
    if !Parser::is_core_wasm(bytes) {
        return "not WebAssembly";
    }
    let imports = Parser::new(0).parse_all(bytes).map_while(Result::ok).filter_map(|payload| match payload {
        Payload::ImportSection(imports) => Some(imports),
        _ => None,
    });
    let is_wasip1 = |name: &str| name == "wasi_snapshot_preview1" || name == "wasi_unstable";
    match imports.flat_map(SectionLimited::into_imports).flatten().any(|import| is_wasip1(import.module)) {
        true => {
            "a core module for wasip1, not a component; compile it for wasm32-wasip2, or make a component of it with \
             `wasm-tools component new FILE --adapt wasi_snapshot_preview1.command.wasm`"
        }
        false => "a core module, not a component; build it with `isx build`",
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Malformed, format!("the program does not compile: {error}"))
}

fn fatal(error: &wasmtime::Error) -> Error {
    Error::new(Code::Fatal, format!("WebAssembly can not run here: {error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_refused_by_what_it_is() {
        let programs = Programs::new(None).unwrap();
        let refused = |bytes: &[u8], text: &str| {
            let error = programs.load(bytes).err().unwrap();
            assert!(error.text.contains(text), "{error}");
        };
        refused(b"", "not WebAssembly");
        refused(b"#!/bin/sh\n", "not WebAssembly");
        refused(b"\0asm\x01\0\0\0", "a core module, not a component; build it with `isx build`");
        // One type, and one import of it.
        let wasip1 = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x1c\x01\x16wasi_snapshot_preview1\x01f\0\0";
        refused(wasip1, "compile it for wasm32-wasip2");
        refused(b"\0asm\x0d\0\x01\0", "exports no `wasi:cli/run`");
        refused(b"\0asm\x0d\0\x01\0\x07\xff\xff\xff\xff\x0f", "does not compile");
    }
}
