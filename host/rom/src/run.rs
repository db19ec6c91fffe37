//! One run of a program, from its arguments to its exit code.

use crate::bindings::isx::host::{objects, start};
use crate::handles::{Exit, Held};
use crate::limits::HANDLES_MAX;
use crate::narrow::{Grant, Narrowed};
use crate::program::{Program, Programs, Run};
use crate::state::State;
use isx_iface::ObjectRef;
use isx_row::{Code, Error};
use std::path::PathBuf;
use wasmtime::Store;
use wasmtime::component::{Linker, ResourceTableError};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder};

/// A folder that a program may use.
#[derive(Clone, Debug)]
pub struct Preopen {
    /// The folder on this machine.
    pub host: PathBuf,
    /// Its name in the program.
    pub guest: String,
}

/// Where standard input and output go.
#[derive(Clone, Debug)]
pub enum Streams {
    /// This process's own.
    Inherited,
    /// Given bytes in, pipes out.
    Piped {
        /// Standard input.
        stdin: Vec<u8>,
        /// Standard output.
        stdout: MemoryOutputPipe,
        /// Standard error.
        stderr: MemoryOutputPipe,
    },
}

/// What a program is given.
pub struct Given {
    /// The Host, before it is narrowed.
    pub host: ObjectRef,
    /// Its rights.
    pub grant: Grant,
    /// `argv`, the program's name first.
    pub arguments: Vec<String>,
    /// Its environment; nothing is inherited.
    pub environment: Vec<(String, String)>,
    /// Folders.
    pub preopens: Vec<Preopen>,
    /// Standard input and output.
    pub streams: Streams,
}

impl Programs {
    /// Runs a program to its end and returns its exit code.
    ///
    /// # Errors
    /// `trap` when it trapped; `limit` when it opened more handles than it may hold; `missing_right` for a folder that can not be opened; `malformed` when it wants an import
    /// that does not exist.
    ///
    /// # Cancel safety
    /// Dropping the future ends the program.
    pub async fn run(&self, program: &Program, given: Given) -> Result<u8, Error> {
        let wasi = wasi(&given)?;
        let host = Narrowed::host(given.host, given.grant);
        let mut store = Store::new(&self.engine, State::new(host, wasi));
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let linker = self.linker(program.run).map_err(|error| unlinked(&error))?;
        let outcome = match program.run {
            Run::Async => {
                use wasmtime_wasi::p3::bindings::Command;
                let command = Command::instantiate_async(&mut store, &program.component, &linker);
                let command = command.await.map_err(|error| unlinked(&error))?;
                let run = async move |store: &wasmtime::component::Accessor<State>| {
                    command.wasi_cli_run().call_run(store).await
                };
                store.run_concurrent(run).await.and_then(|outcome| outcome)
            }
            Run::Blocking => {
                use wasmtime_wasi::p2::bindings::Command;
                let command = Command::instantiate_async(&mut store, &program.component, &linker);
                let command = command.await.map_err(|error| unlinked(&error))?;
                command.wasi_cli_run().call_run(&mut store).await
            }
        };
        match outcome {
            Ok(Ok(())) => Ok(0),
            Ok(Err(())) => Ok(1),
            Err(error) => ended(&error),
        }
    }

    fn linker(&self, run: Run) -> wasmtime::Result<Linker<State>> {
        let mut linker = Linker::new(&self.engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        if run == Run::Async {
            objects::add_to_linker::<_, Held>(&mut linker, |state| state)?;
            start::add_to_linker::<_, Held>(&mut linker, |state| state)?;
        }
        Ok(linker)
    }
}

/// WASI with the given arguments, environment, folders and streams; no network, nothing inherited.
fn wasi(given: &Given) -> Result<WasiCtx, Error> {
    let mut builder = WasiCtxBuilder::new();
    builder.args(&given.arguments).envs(&given.environment);
    match &given.streams {
        Streams::Inherited => {
            builder.inherit_stdio();
        }
        Streams::Piped { stdin, stdout, stderr } => {
            builder.stdin(MemoryInputPipe::new(stdin.clone())).stdout(stdout.clone()).stderr(stderr.clone());
        }
    }
    for Preopen { host, guest } in &given.preopens {
        let opened = builder.preopened_dir(host, guest, FsPerms::ReadWrite);
        opened.map_err(|error| Error::new(Code::NotFound, format!("the folder {}: {error}", host.display())))?;
    }
    Ok(builder.build())
}

/// What the end of a program means that did not return.
fn ended(error: &wasmtime::Error) -> Result<u8, Error> {
    if let Some(Exit(code)) = error.downcast_ref::<Exit>() {
        return Ok(*code);
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return Ok(u8::try_from(*code).unwrap_or(u8::MAX));
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        let text = format!("the program holds as many handles as HANDLES_MAX ({HANDLES_MAX}), and asked for one more");
        return Err(Error::new(Code::Limit, text));
    }
    Err(Error::new(Code::Trap, format!("the program trapped: {error:#}")))
}

fn unlinked(error: &wasmtime::Error) -> Error {
    Error::new(Code::Malformed, format!("the program does not fit: {error:#}"))
}
