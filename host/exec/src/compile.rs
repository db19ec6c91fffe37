//! Compiling a component, as a port: in a node a capped child process does it, since a compiler fed by strangers may take
//! all the memory and time there is; elsewhere a twin in this process with caps on size and count.

use crate::component;
use crate::engine::engine;
use crate::limits::{COMPILE_STACK_BYTES, TWIN_COMPILES_MAX, TWIN_COMPONENT_BYTES_MAX};
use isx_row::{Code, Error};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Compiles components.
pub trait Compile: Send + Sync + 'static {
    /// The compiled code of a component that [`crate::read_schema`] accepts: what [`compile`] gives for it, made by this
    /// program and nobody else, since it is run as it is.
    ///
    /// # Errors
    /// `malformed` for a component that does not compile, `limit` or `busy` at a cap.
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error>;
}

/// Compiles a component in this process: the work of whoever implements [`Compile`].
///
/// # Errors
/// `malformed`, naming why.
pub fn compile(component: &[u8]) -> Result<Vec<u8>, Error> {
    let engine = engine()?;
    engine
        .precompile_component(component)
        .map_err(|error| component::malformed(format!("the component does not compile: {error:#}")))
}

/// The compiler in this process.
#[derive(Debug, Default)]
pub struct CompileHere {
    compiled_count: AtomicUsize,
}

impl Compile for CompileHere {
    fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Error> {
        if component.len() > TWIN_COMPONENT_BYTES_MAX {
            return Err(Error::new(
                Code::Limit,
                format!("the component is larger than TWIN_COMPONENT_BYTES_MAX ({TWIN_COMPONENT_BYTES_MAX})"),
            ));
        }
        if self.compiled_count.fetch_add(1, Ordering::Relaxed) >= TWIN_COMPILES_MAX {
            return Err(Error::new(
                Code::Busy,
                "the compiler in this process has compiled TWIN_COMPILES_MAX components",
            ));
        }
        // On a stack of its own: the caller's may be a small one.
        thread::scope(|scope| {
            let compiler = thread::Builder::new().name("compile".into()).stack_size(COMPILE_STACK_BYTES);
            let running = compiler.spawn_scoped(scope, || compile(component));
            let running =
                running.map_err(|error| Error::new(Code::Busy, format!("no thread to compile on: {error}")))?;
            running.join().unwrap_or_else(|_| Err(component::malformed("the compiler failed on the component")))
        })
    }
}
