//! The other mounts that a call may reach into within its own transaction, and calls into them.
//!
//! A call into another mount runs as a call there: by the right of its caller, in an instance of its own, with the hooks that it
//! sets off, on what is left of the outer call's fuel and further on in its random stream. It keeps what it did until the
//! outermost call ends, or nothing when it fails, which its caller is told. What it starts with is always the same, so the
//! instance law needs no more of it.

use crate::code::{Code, Function};
use crate::exec::check;
use crate::host::{Context, Host, Savepoints, Stop, Tables};
use crate::instance::{Ended, Instance, Work};
use crate::limits::{JOINED_DEPTH_MAX, START_FUEL_MAX};
use crate::log::Log;
use crate::poison::JoinedSuspect;
use isx_row::{Code as ErrorCode, Error, MountId, Principal, Signature, Time};
use isx_store::{Joined, JoinedChanges};
use std::sync::Arc;

/// The other mounts of a call.
#[derive(Default)]
pub(crate) struct Bundle {
    parts: Vec<Part>,
    /// The mounts whose functions wait for one another's answers: the outermost first, the running one last.
    running: Vec<MountId>,
}

/// One of them.
struct Part {
    mount: MountId,
    code: Arc<Code>,
    /// Elsewhere while a function of it runs.
    tables: Tables,
    log: Log,
}

/// What a call into another mount came to.
pub(crate) struct Reached {
    pub(crate) outcome: Result<Vec<u8>, Error>,
    pub(crate) fuel: u64,
}

impl Bundle {
    /// Takes the tables of mounts whose code is here, to change at this log time.
    pub(crate) fn new(codes: Vec<Arc<Code>>, joined: &mut [Joined], time: Time) -> Self {
        let part = |(code, joined): (Arc<Code>, &mut Joined)| Part {
            mount: joined.mount,
            tables: Tables::to_change(&code, std::mem::take(&mut joined.root), time),
            code,
            log: Log::default(),
        };
        Self { parts: codes.into_iter().zip(joined).map(part).collect(), running: Vec::new() }
    }

    /// Begins a call of a mount, from outside.
    pub(crate) fn begin(&mut self, mount: MountId) {
        self.running.clear();
        self.running.push(mount);
        self.parts.iter_mut().for_each(|part| part.log = Log::default());
    }

    /// Undoes what is not committed.
    pub(crate) fn rollback(&mut self) {
        self.parts.iter_mut().for_each(|part| part.tables.rollback());
    }

    /// Keeps what the last call did.
    pub(crate) fn commit(&mut self) -> Vec<JoinedChanges> {
        let part = |part: &mut Part| JoinedChanges {
            mount: part.mount,
            changes: part.tables.commit(),
            log: std::mem::take(&mut part.log).into_lines(),
        };
        let did = |one: &JoinedChanges| !one.changes.is_empty() || !one.log.is_empty();
        self.parts.iter_mut().map(part).filter(did).collect()
    }

    /// Gives the roots back, with what was committed.
    pub(crate) fn give_back(self, joined: &mut [Joined]) {
        for (part, joined) in self.parts.into_iter().zip(joined) {
            joined.root = part.tables.into_database();
        }
    }

    /// The mounts between calls, as a trial needs them.
    pub(crate) fn suspects(&self) -> Vec<JoinedSuspect<'_>> {
        fn suspect(part: &Part) -> JoinedSuspect<'_> {
            JoinedSuspect {
                mount: part.mount,
                root: part.tables.root().cloned().unwrap_or_default(),
                artifact: part.code.pre.component(),
            }
        }
        self.parts.iter().map(suspect).collect()
    }

    /// The part of a mount that may be called now.
    fn find(&self, mount: &MountId, path: &str) -> Result<usize, Error> {
        if self.running.contains(mount) {
            let text = format!("{path} waits for what comes of this call: nothing can be called there now");
            return Err(Error::new(ErrorCode::Cycle, text));
        }
        if self.running.len() > JOINED_DEPTH_MAX {
            let text = format!("{path} is called more than JOINED_DEPTH_MAX ({JOINED_DEPTH_MAX}) modules deep");
            return Err(Error::new(ErrorCode::Limit, text));
        }
        self.parts.iter().position(|part| part.mount == *mount).ok_or_else(|| Joined::gone(path))
    }

    /// A place to roll back to, in all that is not elsewhere.
    pub(crate) fn savepoints(&self) -> Vec<Savepoints> {
        self.parts.iter().map(|part| part.tables.savepoints()).collect()
    }

    /// Undoes what was done since.
    pub(crate) fn rollback_to(&mut self, savepoints: &[Savepoints]) {
        self.parts.iter_mut().zip(savepoints).for_each(|(part, savepoints)| part.tables.rollback_to(savepoints));
    }
}

/// A function of another mount that may be called.
struct Place {
    /// Which part of the bundle.
    part: usize,
    /// As the caller knows the function.
    signature: Signature,
    /// Whether private functions answer.
    trusted: bool,
}

impl Host {
    /// Calls a function of another mount within this transaction, with at most so much fuel.
    ///
    /// # Errors
    /// Ends a query.
    pub(crate) fn call(&mut self, path: &str, name: &str, arguments: &[u8], fuel: u64) -> Result<Reached, Stop> {
        self.database()?;
        if self.context.is_query {
            return Err(Stop::new(ErrorCode::Denied, "a query calls no other module"));
        }
        let reached = self.find(path, name).and_then(|place| {
            let Some(part) = self.tables.bundle.parts.get(place.part) else { return Err(Joined::gone(path)) };
            let code = Arc::clone(&part.code);
            let function = code.reducer(name).filter(|reducer| !reducer.is_hook).or_else(|| code.query(name));
            let function = function
                .filter(|function| place.trusted || function.public)
                .ok_or_else(|| Error::new(ErrorCode::NotFound, format!("{path} has no {name:.64}")))?;
            check(function, place.signature, arguments)?;
            Ok(self.run_joined(&place, &code, function, arguments, fuel))
        });
        Ok(reached.unwrap_or_else(|error| Reached { outcome: Err(error), fuel: 0 }))
    }

    /// Where the function is that a module knows by path and name.
    fn find(&self, path: &str, name: &str) -> Result<Place, Error> {
        let undeclared = || {
            let text = format!("the module does not declare that it calls {name:.64} of {path:.255}");
            Error::new(ErrorCode::NotFound, text)
        };
        let signature = self.code.joined(path, name).ok_or_else(undeclared)?.signature;
        let link = self.tables.root().and_then(|database| database.linked(path));
        let unlinked = || Error::new(ErrorCode::NotFound, format!("{path} is not linked: publish the module again"));
        let link = link.ok_or_else(unlinked)?;
        let part = self.tables.bundle.find(&link.mount, path)?;
        Ok(Place { part, signature, trusted: link.trusted })
    }

    fn run_joined(
        &mut self,
        place: &Place,
        code: &Arc<Code>,
        function: &Function,
        arguments: &[u8],
        fuel: u64,
    ) -> Reached {
        let mut instance = match Instance::start(code) {
            Ok(instance) => instance,
            Err(error) => return Reached { outcome: Err(error), fuel: fuel.min(START_FUEL_MAX) },
        };
        let Some(fuel_max) = fuel.checked_sub(instance.started.saturating_add(instance.memory_fuel())) else {
            let error = Error::new(ErrorCode::OutOfFuel, "the call used up its fuel");
            return Reached { outcome: Err(error), fuel };
        };
        let (mount, mut tables) = self.tables.enter(place.part);
        let random = if function.is_query { None } else { self.context.random.take() };
        let caller = Principal::of_mount(&self.context.mount);
        let Context { time, hops, .. } = self.context;
        let context = Context { mount, caller, session: None, time, hops, random, is_query: function.is_query };
        let savepoints = tables.savepoints();
        let work = Work { function, arguments, is_due: false, context, fuel_max };
        let attempt = instance.run(&mut tables, &work, fuel_max);
        if attempt.outcome.is_err() {
            tables.rollback_to(&savepoints);
        }
        self.tables.leave(place.part, tables, &attempt.log);
        if !function.is_query {
            self.context.random = instance.take_random();
        }
        self.host_calls = self.host_calls.saturating_add(attempt.host_calls);
        let outcome = attempt.outcome.map_err(|ended| match ended {
            Ended::Refused(error, _) | Ended::Broken(error) => error,
        });
        let used = attempt.fuel.saturating_add(instance.started).saturating_add(instance.memory_fuel());
        Reached { outcome, fuel: used.min(fuel) }
    }
}

impl Tables {
    /// Takes the tables of another mount, which have the bundle from then on.
    fn enter(&mut self, part: usize) -> (MountId, Self) {
        let mut bundle = std::mem::take(&mut self.bundle);
        let (mount, mut tables) = match bundle.parts.get_mut(part) {
            Some(part) => (part.mount, std::mem::take(&mut part.tables)),
            None => (MountId::default(), Self::default()),
        };
        bundle.running.push(mount);
        tables.bundle = bundle;
        (mount, tables)
    }

    /// Puts them back, and what was logged there.
    fn leave(&mut self, part: usize, mut tables: Self, log: &[(u8, String)]) {
        self.bundle = std::mem::take(&mut tables.bundle);
        self.bundle.running.pop();
        if let Some(part) = self.bundle.parts.get_mut(part) {
            part.tables = tables;
            log.iter().for_each(|(level, text)| part.log.write(*level, text));
        }
    }
}
