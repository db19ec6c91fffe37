//! The executor: modules that are here, and calls on them.

use crate::bundle::Bundle;
use crate::cache::Cache;
use crate::code::{Code, Function};
use crate::compile::{Compile, CompileHere};
use crate::component::read_schema;
use crate::engine;
use crate::host::{Context, Tables};
use crate::instance::{Attempt, Ended, Work};
use crate::limits::{ARTIFACT_BYTES_MAX, CALL_FUEL_MAX};
use crate::permits::{JoinedPermit, Permit};
use crate::poison::{CallId, Mark, Marked, MemoryMark, NoTrial, Suspect, Suspects, Trial, Verdict};
use crate::random::Random;
use crate::series::Series;
use isx_row::limits::VALUE_BYTES_MAX;
use isx_row::schema::Schema;
use isx_row::{Code as ErrorCode, ContentHash, Error, Revision, Signature, Time};
use isx_store::{Cause, Changes, Database, EntryContext, Executed, ExecutionId, Executor, Hold, Invocation, Joined};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// What an executor needs of its process.
#[derive(Clone)]
pub struct Ports {
    /// Compiles components.
    pub compile: Arc<dyn Compile>,
    /// Runs suspects.
    pub trial: Arc<dyn Trial>,
    /// Names the calls being applied.
    pub mark: Arc<dyn Mark>,
    /// Keeps compiled code; without it every start compiles again.
    pub cache: Option<Cache>,
}

impl Ports {
    /// Twins in this process, which need no child and no file: for tests, simulators and embedders.
    pub fn here() -> Self {
        Self {
            compile: Arc::new(CompileHere::default()),
            trial: Arc::new(NoTrial),
            mark: Arc::new(MemoryMark::default()),
            cache: None,
        }
    }
}

/// Runs the calls of modules. See [`Executor`]; its functions want a thread with
/// [`THREAD_STACK_BYTES`](crate::limits::THREAD_STACK_BYTES) of stack.
pub struct Exec {
    ports: Ports,
    id: ExecutionId,
    suspects: Suspects,
    codes: RwLock<BTreeMap<ContentHash, Arc<Code>>>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec").field("id", &self.id).field("suspects", &self.suspects).finish_non_exhaustive()
    }
}

impl Exec {
    /// An executor without modules. Reads the mark that the life before left.
    ///
    /// # Errors
    /// `unsupported` when this machine can not run the engine: its processor or system is another.
    pub fn new(ports: Ports) -> Result<Self, Error> {
        let id = engine::execution_id()?;
        let suspects = Suspects::read(&*ports.mark);
        Ok(Self { ports, id, suspects, codes: RwLock::default() })
    }

    /// Checks a module's component, compiles it unless the cache has it, and has it from then on. Blocks for as long as
    /// compiling takes. Adding it again changes nothing.
    ///
    /// # Errors
    /// As [`read_schema`] and [`Compile::compile`]; `malformed` when the component contradicts its schema or the guest
    /// contract.
    pub fn add(&self, component: &[u8]) -> Result<(ContentHash, Arc<Schema>), Error> {
        let hash = ContentHash::of(component);
        if let Some(code) = self.code(&hash) {
            return Ok((hash, Arc::clone(&code.schema)));
        }
        let schema = read_schema(component)?;
        let code = Arc::new(self.load(&hash, schema, component)?);
        let schema = Arc::clone(&code.schema);
        self.codes.write().unwrap_or_else(PoisonError::into_inner).insert(hash, code);
        Ok((hash, schema))
    }

    /// Has compiled code that this build made, under a hash of the caller's.
    pub(crate) fn adopt(&self, hash: ContentHash, schema: Arc<Schema>, artifact: &[u8]) -> Result<(), Error> {
        let code = Arc::new(Code::new(Schema::clone(&schema), artifact)?);
        self.codes.write().unwrap_or_else(PoisonError::into_inner).insert(hash, code);
        Ok(())
    }

    /// Forgets a module; calls that run go on.
    pub fn remove(&self, code: &ContentHash) {
        self.codes.write().unwrap_or_else(PoisonError::into_inner).remove(code);
    }

    /// The schema of a module that is here.
    pub fn schema(&self, code: &ContentHash) -> Option<Arc<Schema>> {
        self.code(code).map(|code| Arc::clone(&code.schema))
    }

    fn code(&self, code: &ContentHash) -> Option<Arc<Code>> {
        self.codes.read().unwrap_or_else(PoisonError::into_inner).get(code).cloned()
    }

    fn load(&self, hash: &ContentHash, schema: Schema, component: &[u8]) -> Result<Code, Error> {
        let cached = self.ports.cache.as_ref().and_then(|cache| cache.get(hash, &self.id));
        if let Some(code) = cached.and_then(|artifact| Code::new(schema.clone(), &artifact).ok()) {
            return Ok(code);
        }
        let artifact = self.ports.compile.compile(component)?;
        if artifact.len() > ARTIFACT_BYTES_MAX {
            return Err(Error::new(
                ErrorCode::Limit,
                format!("the compiled code is larger than ARTIFACT_BYTES_MAX ({ARTIFACT_BYTES_MAX})"),
            ));
        }
        let code = Code::new(schema, &artifact)?;
        if let Some(cache) = &self.ports.cache {
            // A cache that can not be written costs the next start some time and nobody anything else.
            drop(cache.put(hash, &self.id, &artifact));
        }
        Ok(code)
    }
}

impl Executor for Exec {
    fn execution_id(&self) -> ExecutionId {
        self.id
    }

    fn has(&self, code: &ContentHash) -> bool {
        self.code(code).is_some()
    }

    fn execute_joined(
        &self,
        hash: &ContentHash,
        root: &mut Database,
        entry: &EntryContext,
        calls: &[Invocation<'_>],
        joined: &mut [Joined],
    ) -> Result<Vec<Executed>, Hold> {
        let code = |hash: &ContentHash| self.code(hash).ok_or(Hold::NoCode(*hash));
        let codes = joined.iter().map(|one| code(&one.code)).collect::<Result<Vec<_>, _>>()?;
        let code = code(hash)?;
        let joined_permit = (!joined.is_empty()).then(JoinedPermit::wait);
        let permit = Permit::wait();
        // A clone of the roots makes every change copy, so it is kept only when the list may have to be given back.
        let before = self.suspects.any_of(entry).then(|| (root.clone(), joined.to_vec()));
        let mut tables = Tables::to_change(&code, std::mem::take(root), entry.time);
        tables.bundle = Bundle::new(codes, joined, entry.time);
        let series = Series::new(Arc::clone(&code), tables);
        let mut list = List { exec: self, hash, entry, permit, series, code };
        let executed = calls.iter().enumerate().map(|(position, call)| list.run(position, call)).collect();
        let mut tables = list.end();
        drop(joined_permit);
        std::mem::take(&mut tables.bundle).give_back(joined);
        *root = tables.into_database();
        if let (Err(_), Some((root_before, joined_before))) = (&executed, before) {
            *root = root_before;
            joined.clone_from_slice(&joined_before);
        }
        executed
    }

    fn query(
        &self,
        hash: &ContentHash,
        root: &Database,
        (_, time): (Revision, Time),
        call: &Invocation<'_>,
    ) -> Executed {
        let code = match self.code(hash) {
            Some(code) => code,
            None => {
                let text = format!("the module's code {hash} is not here; `isx publish` brings it");
                return Executed::refused(Error::new(ErrorCode::Busy, text));
            }
        };
        let function = code.query(call.name).filter(|query| call.trusted || query.public);
        let function = function.ok_or_else(|| Error::new(ErrorCode::NotFound, format!("query {:.64}", call.name)));
        let checked = |function| check(function, call.signature, call.arguments).map(|()| function);
        let function = match function.and_then(checked) {
            Ok(function) => function,
            Err(error) => return Executed::refused(error),
        };
        let context = Context::new(call, time, None);
        let fuel_max = call.fuel_max.min(CALL_FUEL_MAX);
        let work = Work { function, arguments: call.arguments, is_due: false, context, fuel_max };
        let _permit = Permit::wait();
        Series::new(Arc::clone(&code), Tables::to_read(&code, root.clone())).run(&work).into()
    }
}

impl From<Attempt> for Executed {
    /// What an attempt did, but for what it changed.
    fn from(Attempt { outcome, fuel, host_calls, log, reads }: Attempt) -> Self {
        let (outcome, detail) = match outcome {
            Ok(answer) => (Ok(answer), None),
            Err(Ended::Refused(error, detail)) => (Err(error), detail),
            Err(Ended::Broken(error)) => (Err(error), None),
        };
        Self { outcome, detail, fuel, host_calls, changes: Changes::default(), log, reads, joined: Vec::new() }
    }
}

/// The calls of one list, as they run.
struct List<'a> {
    exec: &'a Exec,
    hash: &'a ContentHash,
    entry: &'a EntryContext,
    code: Arc<Code>,
    series: Series,
    // After the instance, which it permits.
    permit: Permit,
}

impl List<'_> {
    fn run(&mut self, position: usize, call: &Invocation<'_>) -> Result<Executed, Hold> {
        let code = Arc::clone(&self.code);
        let function = match resolve(&code, call) {
            Ok(function) => function,
            Err(error) => return Ok(Executed::refused(error)),
        };
        let id = CallId { seed: self.entry.seed, place: call.place };
        let deaths = self.exec.suspects.deaths(&id);
        if deaths > 0 {
            self.try_suspect(id, deaths, position, call)?;
        }
        let mark = &*self.exec.ports.mark;
        mark.set(self.permit.0, Some(&Marked { call: id, deaths }));
        let context = Context::new(call, self.entry.time, Some(Random::new(self.entry, call.place)));
        let fuel_max = call.fuel_max.min(CALL_FUEL_MAX);
        let work = Work { function, arguments: call.arguments, is_due: call.cause == Cause::Due, context, fuel_max };
        // A suspect runs as it did in its trial.
        let attempt = if deaths > 0 { self.series.run_fresh(&work) } else { self.series.run(&work) };
        if deaths > 0 {
            self.exec.suspects.clear(mark, &id);
        }
        let tables = &mut self.series.tables;
        Ok(Executed { changes: tables.commit(), joined: tables.bundle.commit(), ..Executed::from(attempt) })
    }

    /// Sends a suspect ahead.
    fn try_suspect(&self, id: CallId, deaths: u32, position: usize, call: &Invocation<'_>) -> Result<(), Hold> {
        if Suspects::is_poisoned(deaths) {
            return Err(Hold::Poisoned { position });
        }
        let tables = &self.series.tables;
        let root = tables.root().cloned().unwrap_or_default();
        let artifact = self.code.pre.component();
        let (entry, execution) = (self.entry, self.exec.id);
        let suspect = Suspect {
            code: self.hash,
            root: &root,
            entry,
            call,
            execution,
            artifact,
            joined: tables.bundle.suspects(),
        };
        match self.exec.ports.trial.run(&suspect) {
            Verdict::Survived => Ok(()),
            Verdict::Untried => Err(Hold::Untried { position }),
            Verdict::Died => {
                self.exec.suspects.condemn(&*self.exec.ports.mark, id);
                Err(Hold::Poisoned { position })
            }
        }
    }

    fn end(self) -> Tables {
        self.exec.ports.mark.set(self.permit.0, None);
        self.series.tables
    }
}

/// Finds the reducer that a call is for and checks what can be checked before the guest sees it.
fn resolve<'a>(code: &'a Code, call: &Invocation<'_>) -> Result<&'a Function, Error> {
    let is_call = call.cause == Cause::Call;
    let function = code.reducer(call.name).filter(|reducer| !is_call || call.trusted || reducer.public);
    let function = function.ok_or_else(|| Error::new(ErrorCode::NotFound, format!("reducer {:.64}", call.name)))?;
    match (call.cause, function.is_hook) {
        (Cause::Call, true) => Err(Error::new(
            ErrorCode::Denied,
            format!("{} is a hook: its event runs it and nothing else", function.name),
        )),
        // The schema is the replicas' own, and says which hooks there are.
        (Cause::Hook | Cause::Due, false) => {
            Err(Error::new(ErrorCode::Malformed, format!("{} is no hook", function.name)))
        }
        (Cause::Due, true) => Ok(function),
        _ => check(function, call.signature, call.arguments).map(|()| function),
    }
}

/// Checks signature and arguments of a call.
pub(crate) fn check(function: &Function, signature: Signature, arguments: &[u8]) -> Result<(), Error> {
    if signature != Signature::ANY && signature != function.signature {
        return Err(Error::new(ErrorCode::StaleBindings, format!("{} has other types now", function.name)));
    }
    let refuse = |why: &str| Err(Error::new(ErrorCode::BadArguments, format!("{}: {why}", function.name)));
    if arguments.len() > VALUE_BYTES_MAX {
        return refuse("the arguments are larger than VALUE_BYTES_MAX");
    }
    match function.arguments.validate(arguments) {
        Ok(0) => Ok(()),
        Ok(_) => refuse("the version of arguments is 0"),
        Err(error) => refuse(&error.to_string()),
    }
}
