//! One instance of a module: started, called, and how its ways to end are read.

use crate::code::{CallAnswer, CallArguments, Code, Function};
use crate::fuel::JOINED_PAGE;
use crate::host::{Context, Fault, GuestFailure, Host, Refusal, Stop, Tables};
use crate::limits::{ERROR_TEXT_BYTES_MAX, HOST_CALL_BYTES_MAX, START_FUEL_MAX, WASM_STACK_BYTES_MAX};
use crate::log::cut;
use crate::random::Random;
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::{Code as ErrorCode, Error};
use isx_store::Reads;
use std::sync::Arc;
use wasmtime::component::TypedFunc;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

/// Bytes of a page of WebAssembly memory.
const PAGE_BYTES: usize = 64 * 1024;

/// A started instance.
pub(crate) struct Instance {
    store: Store<Host>,
    call: TypedFunc<CallArguments, CallAnswer>,
    /// Fuel of the calls that it has served.
    pub(crate) spent: u64,
    /// Fuel of its start functions.
    pub(crate) started: u64,
}

/// A call, checked and resolved.
#[derive(Clone)]
pub(crate) struct Work<'a> {
    pub(crate) function: &'a Function,
    /// The primary key of the row, where that is due.
    pub(crate) arguments: &'a [u8],
    /// Whether it runs because a row is due.
    pub(crate) is_due: bool,
    pub(crate) context: Context,
    pub(crate) fuel_max: u64,
}

/// What became of a call in one instance.
pub(crate) struct Attempt {
    pub(crate) outcome: Result<Vec<u8>, Ended>,
    pub(crate) fuel: u64,
    pub(crate) host_calls: u64,
    pub(crate) log: Vec<(u8, String)>,
    pub(crate) reads: Reads,
}

/// How a call ends without an answer.
pub(crate) enum Ended {
    /// The module answered with an error, and with its own typed one.
    Refused(Error, Option<Vec<u8>>),
    /// It met a trap, a limit or a denial, or broke the contract: what the instance has served before may be why.
    Broken(Error),
}

impl Instance {
    /// Starts an instance. Its start functions see nothing of any call and cost the call nothing.
    ///
    /// # Errors
    /// The error that ends the call which needs the instance.
    ///
    /// # Panics
    /// As [`Instance::run`].
    pub(crate) fn start(code: &Arc<Code>) -> Result<Self, Error> {
        let mut store = Store::new(code.pre.engine(), Host::new(Arc::clone(code)));
        store.limiter(|host| host);
        store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        let started = store.set_fuel(START_FUEL_MAX).and_then(|()| {
            let instance = code.pre.instantiate(&mut store)?;
            instance.get_typed_func::<CallArguments, CallAnswer>(&mut store, &code.call)
        });
        match started {
            Ok(call) => {
                let started = START_FUEL_MAX.saturating_sub(store.get_fuel().unwrap_or(0));
                Ok(Self { store, call, spent: 0, started })
            }
            Err(error) => Err(match broken(&error) {
                Error { code: ErrorCode::OutOfFuel, .. } => Error::new(
                    ErrorCode::Limit,
                    format!("the module needs more than START_FUEL_MAX ({START_FUEL_MAX}) to start"),
                ),
                error => error,
            }),
        }
    }

    /// Runs a call and the hooks that it sets off, with so much fuel for all of them. What it did to the tables is neither
    /// committed nor rolled back.
    ///
    /// # Panics
    /// When the machine does not give the memory that the limits promise: no outcome is right then, and going on would be
    /// to diverge from the other replicas.
    pub(crate) fn run(&mut self, tables: &mut Tables, work: &Work<'_>, fuel_max: u64) -> Attempt {
        self.store.data_mut().begin(std::mem::take(tables), work.context.clone(), work.function.is_view);
        let outcome = match self.store.set_fuel(fuel_max) {
            Ok(()) => self.run_with_hooks(work),
            Err(error) => Err(Ended::Broken(broken(&error))),
        };
        let fuel = fuel_max.saturating_sub(self.store.get_fuel().unwrap_or(0));
        let host = self.store.data_mut();
        host.hooks.clear();
        let log = std::mem::take(&mut host.log).into_lines();
        let host_calls = host.host_calls;
        let reads = host.reads.take().unwrap_or_default();
        *tables = std::mem::take(&mut host.tables);
        Attempt { outcome, fuel, host_calls, log, reads }
    }

    /// What is left of the random stream of its last call.
    pub(crate) fn take_random(&mut self) -> Option<Random> {
        self.store.data_mut().context.random.take()
    }

    /// The charge for its memory where it serves one call beneath another: giving and clearing pages takes time that no
    /// instruction stands for.
    pub(crate) fn memory_fuel(&self) -> u64 {
        (self.store.data().memory_bytes / PAGE_BYTES) as u64 * JOINED_PAGE
    }

    fn run_with_hooks(&mut self, work: &Work<'_>) -> Result<Vec<u8>, Ended> {
        let arguments = match work.function.due.filter(|_| work.is_due) {
            None => work.arguments.to_vec(),
            Some(table) => {
                self.store.data_mut().take_due(table, work.arguments).map_err(|Stop(error)| Ended::Broken(error))?
            }
        };
        let answer = self.run_function(work.function, arguments, 0)?;
        let code = Arc::clone(&self.store.data().code);
        while let Some(hook) = self.store.data_mut().hooks.pop_front() {
            if let Some(function) = code.function(hook.function) {
                self.run_function(function, hook.arguments, hook.depth)?;
            }
        }
        Ok(answer)
    }

    fn run_function(&mut self, function: &Function, arguments: Vec<u8>, depth: u8) -> Result<Vec<u8>, Ended> {
        self.store.data_mut().enter(function.access, depth);
        let name = Arc::clone(&function.name);
        let (answer,) =
            self.call.call(&mut self.store, (name, arguments)).map_err(|error| Ended::Broken(broken(&error)))?;
        let answer = answer.map_err(|failure| failed(function, failure))?;
        let refuse = |why: &str| {
            Err(Ended::Broken(Error::new(ErrorCode::Malformed, format!("the answer of {}: {why}", function.name))))
        };
        if answer.len() > VALUE_BYTES_MAX {
            return Err(Ended::Broken(Error::new(
                ErrorCode::Limit,
                format!("the answer of {} is larger than VALUE_BYTES_MAX", function.name),
            )));
        }
        match function.answer.validate(&answer) {
            Ok(0) => Ok(answer),
            Ok(_) => refuse("its version is not 0"),
            Err(error) => refuse(&error.to_string()),
        }
    }
}

/// Whether the detail of a refusal is none, or of the function's own error type.
fn is_own_error(function: &Function, detail: &[u8]) -> bool {
    detail.is_empty() || function.error.as_ref().is_some_and(|error| error.validate(detail) == Ok(0))
}

/// Reads the guest's own failure. Only codes that tables give are passed on: a guest does not speak for the system.
fn failed(function: &Function, failure: GuestFailure) -> Ended {
    let detail_max = VALUE_BYTES_MAX;
    match failure {
        GuestFailure::Application(Refusal { detail, .. }) if detail.len() > detail_max => Ended::Broken(Error::new(
            ErrorCode::Limit,
            format!("the error of {} is larger than VALUE_BYTES_MAX", function.name),
        )),
        GuestFailure::Application(Refusal { detail, .. }) if !is_own_error(function, &detail) => {
            let text = format!("the error of {} is not of the type that its schema has", function.name);
            Ended::Broken(Error::new(ErrorCode::Malformed, text))
        }
        GuestFailure::Application(Refusal { detail, text }) => {
            let error = Error::new(ErrorCode::Application, cut(&text, ERROR_TEXT_BYTES_MAX));
            Ended::Refused(error, Some(detail))
        }
        GuestFailure::Fault(Fault { code, text }) => {
            let code = ErrorCode::from_number(code).filter(|code| {
                use ErrorCode::{BadArguments, Duplicate, Limit, Malformed, NoRow};
                matches!(code, BadArguments | Limit | Duplicate | NoRow | Malformed)
            });
            let error = Error::new(code.unwrap_or(ErrorCode::Application), cut(&text, ERROR_TEXT_BYTES_MAX));
            Ended::Refused(error, None)
        }
        GuestFailure::Absent => {
            let text = format!("the schema declares {}, the module does not have it", function.name);
            Ended::Broken(Error::new(ErrorCode::Malformed, text))
        }
    }
}

/// Reads how the engine ended a call. The text is the same on every replica: it is part of the outcome.
fn broken(error: &wasmtime::Error) -> Error {
    if let Some(Stop(error)) = error.downcast_ref() {
        return error.clone();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Error::new(ErrorCode::OutOfFuel, "the call used up its fuel"),
        Some(Trap::StackOverflow) => Error::new(
            ErrorCode::Limit,
            format!("the call recursed beyond WASM_STACK_BYTES_MAX ({WASM_STACK_BYTES_MAX})"),
        ),
        Some(trap) => Error::new(ErrorCode::Trap, trap.to_string()),
        None => {
            refuse_to_starve(error);
            Error::new(
                ErrorCode::Trap,
                "the module gave what its types do not allow, or more than HOST_CALL_BYTES_MAX at once",
            )
        }
    }
}

fn refuse_to_starve(error: &wasmtime::Error) {
    let starved = error.is::<PoolConcurrencyLimitError>() || error.is::<std::io::Error>();
    assert!(!starved, "the machine can not run a call as every other replica does: {error:#}");
}
