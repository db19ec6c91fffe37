//! A mount of the module under test.

use crate::access::Access;
use crate::callable::{Callable, name_of};
use crate::host::{Call, Context, Host, Stop, cut};
use crate::journal::Journal;
use crate::limits::ERROR_TEXT_BYTES_MAX;
use isx::__rt::{Record, Refused as Failure, inventory, within};
use isx::{QueryContext, ReducerContext, Typed, ViewContext};
use isx_row::codec::decode_record;
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::schema::{Hook, Reducer, Schema};
use isx_row::typed::decode_answer;
use isx_row::{Code, Error, Principal, SessionId, Time, Type, Value};
use isx_store::transcript::{Step, Told, stage};
use isx_store::{Cause, Database, Transaction};
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

/// The module that this test is part of, mounted: fresh tables, and what calls are told.
pub struct Module {
    schema: Arc<Schema>,
    tables: Transaction<Database>,
    context: Context,
    /// Log time of the last call that committed: what queries are told.
    changed: Time,
    log: Vec<(String, String)>,
    journal: Option<Journal>,
}

/// Why a call gave no answer. Everything it did was rolled back.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// As callers get it.
    pub error: Error,
    detail: Vec<u8>,
    /// Of `detail`.
    own: Option<Type>,
}

/// A call that was sent to another module.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Under which path the module knows the other.
    pub path: String,
    /// The reducer.
    pub reducer: String,
    /// The number that sending gave.
    pub number: u64,
    /// The arguments.
    pub arguments: Vec<Value>,
}

/// The beginning of 2026.
const BEGIN: Time = Time(1_767_225_600_000_000);

impl Module {
    /// Mounts the module: without rows but those of its `init` hook. Callers are anonymous and without a session, it is
    /// the beginning of 2026, and random is the same in every run, until the test says otherwise.
    ///
    /// # Panics
    /// When the crate under test is no module, its schema is refused, or its `init` hook fails; says why.
    #[expect(clippy::new_without_default, reason = "a mount is made on purpose")]
    pub fn new() -> Self {
        let records: Vec<u8> = inventory::iter::<Record>().flat_map(|record| record.0).copied().collect();
        let schema = Schema::lift(&records).unwrap_or_else(|error| {
            panic!("the crate under test makes no schema; a module has `isx::module!();` at its root, once: {error}")
        });
        let schema = Arc::new(schema);
        let database = stage(Arc::clone(&schema)).unwrap_or_else(|error| panic!("the schema is refused: {error}"));
        let context = Context { caller: Principal::anonymous(), session: None, time: BEGIN, random: ([0; 32], 0) };
        let (tables, journal) = (database.into_transaction(), Journal::begin(&schema));
        let mut module = Self { schema, tables, context, changed: BEGIN, log: Vec::new(), journal };
        let init = module.schema.reducers.iter().position(|reducer| reducer.hook == Some(Hook::Init));
        if let Some(init) = init {
            let done = module.transact(init, &[0, 0]);
            done.unwrap_or_else(|refused| panic!("the init hook fails: {refused}"));
        }
        module
    }

    /// Who calls, from now on.
    pub fn set_caller(&mut self, caller: Principal) {
        self.context.caller = caller;
    }

    /// The session of calls, from now on.
    pub fn set_session(&mut self, session: Option<SessionId>) {
        self.context.session = session;
    }

    /// The log time of calls, from now on. Queries are told that of the last call that committed, as on a node.
    pub fn set_time(&mut self, time: Time) {
        self.context.time = time;
    }

    /// The entry's randomness: the next call's stream is made of it, as of the entry's first call, and those of the calls
    /// after it as of the next ones.
    pub fn set_seed(&mut self, seed: [u8; 32]) {
        self.context.random = (seed, 0);
    }

    /// What calls have sent since this was asked last, in order for each path. Nothing answers here: every path of the module's
    /// links is that of some mount.
    pub fn sent(&mut self) -> Vec<Sent> {
        let outbox = self.tables.database().outbox(usize::MAX, usize::MAX);
        let sent = outbox.into_iter().filter_map(|(to, number, message)| {
            drop(self.tables.settle(&to, number));
            if let Some(journal) = &mut self.journal {
                journal.add(&Step::Taken { to, number });
            }
            let fields = &self.schema.link(&message.path)?.sent(&message.name)?.arguments;
            let (_, arguments) = decode_record(fields, &message.payload).ok()?;
            Some(Sent { path: message.path, reducer: message.name, number, arguments })
        });
        let sent = sent.collect();
        drop(self.tables.commit());
        sent
    }

    /// Runs a reducer as one transaction, with the hooks that it sets off.
    ///
    /// # Errors
    /// What a caller would get, a panic of the function included (`trap`). Everything is rolled back then.
    ///
    /// # Panics
    /// When the function is no reducer of the module.
    pub fn call<Kind, F: Callable<ReducerContext, Kind>>(
        &mut self,
        reducer: F,
        arguments: F::Arguments,
    ) -> Result<F::Answer, Refused> {
        drop(reducer);
        self.call_encoded(name_of::<F>(), &encoded(&arguments)?).and_then(|answer| decoded(&answer))
    }

    /// Asks a query.
    ///
    /// # Errors
    /// As [`Module::call`].
    ///
    /// # Panics
    /// When the function is no query of the module.
    pub fn query<Kind, F: Callable<QueryContext, Kind>>(
        &mut self,
        query: F,
        arguments: F::Arguments,
    ) -> Result<F::Answer, Refused> {
        drop(query);
        self.ask(name_of::<F>(), &encoded(&arguments)?).and_then(|answer| decoded(&answer))
    }

    /// The rows of a view, for [`Module::set_caller`].
    ///
    /// # Errors
    /// As [`Module::call`].
    ///
    /// # Panics
    /// When the function is no view of the module.
    pub fn view<Kind, F: Callable<ViewContext, Kind>>(
        &mut self,
        view: F,
        arguments: F::Arguments,
    ) -> Result<F::Answer, Refused> {
        drop(view);
        self.ask(name_of::<F>(), &encoded(&arguments)?).and_then(|answer| decoded(&answer))
    }

    fn ask(&mut self, name: &str, arguments: &[u8]) -> Result<Vec<u8>, Refused> {
        let schema = Arc::clone(&self.schema);
        let Some(query) = schema.query(name) else {
            panic!("`{name}` is no query and no view of the module: give `query` or `view` the function itself");
        };
        let (done, _) = self.run(self.changed, |host| {
            let access = Access::Query(query.reads.clone());
            Function { name, error: query.error.as_ref(), access }.run(host, arguments, 0)
        });
        let told = self.journal.is_some().then(|| self.told(name, arguments, self.changed, &done));
        if let Some((journal, told)) = self.journal.as_mut().zip(told) {
            journal.add(&Step::Asked(told));
        }
        done
    }

    /// Runs a reducer by name, its arguments and answer encoded.
    ///
    /// # Errors
    /// As [`Module::call`]; `denied` for a hook, which its event runs and nothing else.
    ///
    /// # Panics
    /// As [`Module::call`].
    pub fn call_encoded(&mut self, name: &str, arguments: &[u8]) -> Result<Vec<u8>, Refused> {
        let position = self.schema.reducers.iter().position(|reducer| reducer.name == name);
        let position =
            position.unwrap_or_else(|| panic!("`{name}` is no reducer of the module: give `call` the function itself"));
        if self.schema.reducers.get(position).is_some_and(|reducer| reducer.hook.is_some()) {
            return Err(
                Error::new(Code::Denied, format!("{name} is a hook: its event runs it and nothing else")).into()
            );
        }
        self.transact(position, arguments)
    }

    /// Looks at the tables as they are, whatever functions declare.
    pub fn read<T>(&mut self, look: impl FnOnce(&QueryContext) -> T) -> T {
        let (done, _) = self.run(self.changed, |host| {
            host.enter(Access::Query(None), 0);
            Ok(look(&QueryContext::__begin()))
        });
        done.unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// What the last call logged through `isx::log!`: level and line, those of a call that was rolled back too.
    pub fn log(&self) -> &[(String, String)] {
        &self.log
    }

    /// The tables, for what the module's own types do not show.
    pub fn database(&self) -> &Database {
        self.tables.database()
    }

    /// Runs the reducer at this position and its hooks, and keeps what they did, or nothing.
    fn transact(&mut self, position: usize, arguments: &[u8]) -> Result<Vec<u8>, Refused> {
        let schema = Arc::clone(&self.schema);
        let reducer = |position: usize, host: &Rc<Host>, arguments: &[u8], depth| {
            let Some(reducer) = schema.reducers.get(position) else { return Ok(Vec::new()) };
            let access = Access::Reducer(reducer.access.clone());
            Function { name: &reducer.name, error: reducer.error.as_ref(), access }.run(host, arguments, depth)
        };
        let (done, log) = self.run(self.context.time, |host| {
            let answer = reducer(position, host, arguments, 0)?;
            while let Some(hook) = host.next_hook() {
                reducer(hook.reducer, host, &hook.arguments, hook.depth)?;
            }
            Ok(answer)
        });
        self.log = log;
        match &done {
            Ok(_) => {
                self.tables.commit();
                self.changed = self.context.time;
            }
            Err(_) => self.tables.rollback(),
        }
        if let Some(reducer) = schema.reducers.get(position) {
            self.note(reducer, arguments, &done);
        }
        self.context.random.1 += 1;
        done
    }

    /// Writes down what a reducer did.
    fn note(&mut self, reducer: &Reducer, arguments: &[u8], done: &Result<Vec<u8>, Refused>) {
        if self.journal.is_none() {
            return;
        }
        let told = self.told(&reducer.name, arguments, self.context.time, done);
        let cause = if reducer.hook.is_some() { Cause::Hook } else { Cause::Call };
        let state = self.tables.database().state_hash();
        let step = Step::Called { cause, told, random: self.context.random, state };
        if let Some(journal) = &mut self.journal {
            journal.add(&step);
        }
    }

    fn told(&self, name: &str, arguments: &[u8], time: Time, done: &Result<Vec<u8>, Refused>) -> Told {
        let Context { caller, session, .. } = self.context;
        let (outcome, detail) = match done {
            Ok(answer) => (Ok(answer.clone()), Vec::new()),
            Err(refused) => (Err(refused.error.clone()), refused.detail.clone()),
        };
        Told { name: name.into(), arguments: arguments.into(), time, caller, session, outcome, detail }
    }

    /// Lends the tables to a host while `work` runs at this log time; also gives what was logged.
    fn run<T>(
        &mut self,
        time: Time,
        work: impl FnOnce(&Rc<Host>) -> Result<T, Refused>,
    ) -> (Result<T, Refused>, Vec<(String, String)>) {
        let mut tables = std::mem::replace(&mut self.tables, Database::default().into_transaction());
        tables.set_time(time);
        tables.set_session(self.context.session);
        let host = Rc::new(Host::new(Arc::clone(&self.schema), tables, Context { time, ..self.context.clone() }));
        let ended = catch_unwind(AssertUnwindSafe(|| within(Rc::<Host>::clone(&host), || work(&host))));
        let Ok(host) = Rc::try_unwrap(host) else { panic!("the code under test keeps its host beyond its call") };
        let Call { tables, log, .. } = host.into_call();
        self.tables = tables;
        (ended.unwrap_or_else(|why| Err(trap(why).into())), log)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.schema.name)
    }
}

impl Refused {
    /// The module's own error, where it is of this type.
    pub fn own<E: Typed>(&self) -> Option<E> {
        (self.own.as_ref() == Some(&E::ty())).then(|| decode_answer(&self.detail).ok()).flatten()
    }

    /// The module's own error, encoded; empty for none.
    pub fn detail(&self) -> &[u8] {
        &self.detail
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, detail: Vec::new(), own: None }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Refused {}

/// A function as the schema says it.
struct Function<'a> {
    name: &'a str,
    error: Option<&'a Type>,
    access: Access,
}

impl Function<'_> {
    /// Runs it, as the guest's `call` does.
    fn run(self, host: &Rc<Host>, arguments: &[u8], depth: u8) -> Result<Vec<u8>, Refused> {
        let Self { name, error, access } = self;
        host.enter(access, depth);
        let answer = isx::__rt::call(name, arguments).map_err(|failure| failed(name, failure, error))?;
        if answer.len() > VALUE_BYTES_MAX {
            return Err(Error::new(Code::Limit, format!("the answer of {name} is larger than VALUE_BYTES_MAX")).into());
        }
        Ok(answer)
    }
}

/// Reads the function's own failure. Only codes that tables give are passed on: a module does not speak for the system.
fn failed(name: &str, failure: Failure, own: Option<&Type>) -> Refused {
    let (code, text, detail) = match failure {
        Failure::Application(refusal) => (Code::Application, refusal.text, refusal.detail),
        Failure::Fault(fault) => {
            let code = Code::from_number(fault.code).filter(|code| {
                use Code::{BadArguments, Duplicate, Limit, Malformed, NoRow};
                matches!(code, BadArguments | Limit | Duplicate | NoRow | Malformed)
            });
            (code.unwrap_or(Code::Application), fault.text, Vec::new())
        }
        Failure::Absent => {
            return Error::new(Code::Malformed, format!("the schema declares {name}, the module does not have it"))
                .into();
        }
    };
    Refused { error: Error::new(code, cut(&text, ERROR_TEXT_BYTES_MAX)), detail, own: own.cloned() }
}

/// What ended a call by unwinding: the host, or a panic, which is a trap in WebAssembly.
fn trap(why: Box<dyn Any + Send>) -> Error {
    match why.downcast::<Stop>() {
        Ok(stop) => stop.0,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
            Error::new(Code::Trap, format!("the function panicked: {text}"))
        }
    }
}

fn encoded(arguments: &impl Typed) -> Result<Vec<u8>, Refused> {
    // A tuple of arguments is a record, and its standalone encoding follows the version.
    let mut bytes = vec![0, 0];
    arguments.encode(&mut bytes);
    match bytes.len() > VALUE_BYTES_MAX {
        true => Err(Error::new(Code::BadArguments, "the arguments are larger than VALUE_BYTES_MAX").into()),
        false => Ok(bytes),
    }
}

fn decoded<T: Typed>(answer: &[u8]) -> Result<T, Refused> {
    decode_answer(answer).map_err(|error| Error::new(Code::Malformed, format!("the answer: {error}")).into())
}
