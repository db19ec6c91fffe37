//! One run of a program, from its arguments to its exit code.

use crate::bindings::isx::host::{objects, start};
use crate::handles::{Exit, Held};
use crate::limits::HANDLES_MAX;
use crate::narrow::{Grant, Narrowed};
use crate::output::{Output, Watch};
use crate::program::{Program, Programs, Run};
use crate::state::State;
use futures::future::{Either, select};
use isx_iface::ObjectRef;
use isx_row::{Code, Error};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::pin;
use wasmtime::Store;
use wasmtime::component::{Linker, ResourceTableError};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder};

/// The exit code of a program that wrote what nobody can read any more: as shells say it of a command that SIGPIPE ended.
pub const READER_GONE: u8 = 128 + 13;

/// What a program may do in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and change what is there.
    ReadWrite,
    /// Read what is there.
    ReadOnly,
}

/// A folder that a program may use: what is in it, and nothing that links or `..` lead to outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preopen {
    /// The folder on this machine.
    pub host: PathBuf,
    /// Its name in the program.
    pub guest: String,
    /// What it is there for.
    pub access: Access,
}

/// Where standard input and output go.
pub enum Streams {
    /// This process's own.
    Inherited,
    /// Given bytes in, and out to whatever takes them.
    Piped {
        /// Standard input.
        stdin: Vec<u8>,
        /// Standard output.
        stdout: Box<dyn Write + Send>,
        /// Standard error.
        stderr: Box<dyn Write + Send>,
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
    /// Runs a program to its end and returns its exit code, [`READER_GONE`] when it wrote what nobody reads. What it wrote
    /// is written by then.
    ///
    /// # Errors
    /// `trap` when it trapped; `limit` when it opened more handles than it may hold; `not_found` for a folder that can not be
    /// opened; `malformed` when it wants an import that does not exist.
    ///
    /// # Cancel safety
    /// Dropping the future ends the program and abandons its calls.
    pub async fn run(&self, program: &Program, given: Given) -> Result<u8, Error> {
        let Given { host, grant, arguments, environment, preopens, streams } = given;
        let mut builder = WasiCtxBuilder::new();
        builder.args(&arguments).envs(&environment);
        let outputs = connect(&mut builder, streams)
            .map_err(|error| Error::new(Code::Fatal, format!("no standard output for the program: {error}")))?;
        for Preopen { host, guest, access } in &preopens {
            let permitted = match access {
                Access::ReadWrite => FsPerms::ReadWrite,
                Access::ReadOnly => FsPerms::ReadOnly,
            };
            let opened = builder.preopened_dir(host, guest, permitted);
            opened.map_err(|error| Error::new(Code::NotFound, format!("the folder {}: {error}", host.display())))?;
        }
        let ended = {
            let [stdout, stderr] = &outputs;
            let (stdout, stderr) = (pin!(stdout.unread()), pin!(stderr.unread()));
            let running = pin!(self.run_within(program, Narrowed::host(host, grant), builder.build()));
            // The reader first: the program is not to say that it can not write.
            match select(select(stdout, stderr), running).await {
                Either::Left(_) => Ok(READER_GONE),
                Either::Right((ended, _)) => ended,
            }
        };
        for output in &outputs {
            output.drained().await;
        }
        ended
    }

    async fn run_within(&self, program: &Program, host: ObjectRef, wasi: WasiCtx) -> Result<u8, Error> {
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

/// Gives the program its streams.
fn connect(builder: &mut WasiCtxBuilder, streams: Streams) -> io::Result<[Watch; 2]> {
    let ((stdout, stdout_watch), (stderr, stderr_watch)) = match streams {
        Streams::Inherited => {
            builder.inherit_stdin();
            (inherited(&io::stdout())?, inherited(&io::stderr())?)
        }
        Streams::Piped { stdin, stdout, stderr } => {
            builder.stdin(MemoryInputPipe::new(stdin));
            (Output::new(stdout, false)?, Output::new(stderr, false)?)
        }
    };
    builder.stdout(stdout).stderr(stderr);
    Ok([stdout_watch, stderr_watch])
}

/// An output of this process, by a way of its own: a thread that waits for the reader holds no lock of ours.
fn inherited(stream: &(impl AsFd + IsTerminal)) -> io::Result<(Output, Watch)> {
    Output::new(File::from(stream.as_fd().try_clone_to_owned()?), stream.is_terminal())
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
