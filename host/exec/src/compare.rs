//! Does what a module's tests did natively again in WebAssembly, and says what differs.

use crate::exec::Exec;
use crate::limits::{CALL_FUEL_MAX, COMPARED_LIST_COUNT_MAX};
use isx_row::{Code, ContentHash, Error, MountId, Revision, Signature};
use isx_store::transcript::{Step, Told, stage};
use isx_store::{Cause, Database, EntryContext, Executed, Executor, Hold, Invocation};

/// How calls are cut into lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Each call is one.
    Alone,
    /// Those that follow each other at one time, with one seed, are one.
    Together,
}

/// What is not the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The step, from 0.
    pub step: usize,
    /// How calls were cut.
    pub cut: Cut,
    /// What it is.
    pub what: What,
}

/// What differs.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The answer or the error, which is this one in WebAssembly.
    Outcome(Result<Vec<u8>, Error>),
    /// The state after it, or after its list.
    State,
}

/// The first that differs of what a test did, when its calls are made alone, and when they are made together.
///
/// Errors must be the same to the letter, but for what a panic says: natively that is its text.
///
/// # Errors
/// When the module's code is not here, or its tables can not be made.
pub fn compare(exec: &Exec, code: &ContentHash, steps: &[Step]) -> Result<Vec<Difference>, Error> {
    let mut found = Vec::new();
    for cut in [Cut::Alone, Cut::Together] {
        let schema = exec.schema(code).ok_or_else(|| held(&Hold::NoCode(*code)))?;
        let again = Again { exec, code, root: stage(schema)?, cut };
        found.extend(again.first_difference(steps)?);
    }
    Ok(found)
}

fn held(hold: &Hold) -> Error {
    Error::new(Code::Fatal, format!("the module can not run here: {hold:?}"))
}

/// A test that is done again.
struct Again<'a> {
    exec: &'a Exec,
    code: &'a ContentHash,
    root: Database,
    cut: Cut,
}

impl Again<'_> {
    fn first_difference(mut self, steps: &[Step]) -> Result<Option<Difference>, Error> {
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            let found = match step {
                Step::Called { .. } => {
                    let list = self.list(steps, at);
                    at = list.last().map_or(at, |(last, _)| *last);
                    self.call(steps, &list)?
                }
                Step::Asked(told) => {
                    let call = invocation(told, Cause::Call, 0);
                    let asked = self.exec.query(self.code, &self.root, (Revision::default(), told.time), &call);
                    differs(told, asked).map(|what| (at, what))
                }
                Step::Taken { to, number } => {
                    let mut transaction = self.root.begin();
                    transaction.settle(to, *number)?;
                    transaction.commit();
                    None
                }
                Step::Cut => return Ok(None),
            };
            if let Some((step, what)) = found {
                return Ok(Some(Difference { step, cut: self.cut, what }));
            }
            at += 1;
        }
        Ok(None)
    }

    /// The calls that are made in one list with the one at `at`, each with its step. Queries between them are passed over:
    /// they are asked where calls are made alone.
    fn list<'s>(&self, steps: &'s [Step], at: usize) -> Vec<(usize, Invocation<'s>)> {
        let most = match self.cut {
            Cut::Alone => 1,
            Cut::Together => COMPARED_LIST_COUNT_MAX,
        };
        let mut list = Vec::new();
        let mut entry = None;
        for (at, step) in steps.iter().enumerate().skip(at) {
            match step {
                Step::Called { cause, told, random: (seed, place), .. } => {
                    if *entry.get_or_insert((told.time, seed)) != (told.time, seed) || list.len() == most {
                        break;
                    }
                    list.push((at, invocation(told, *cause, *place)));
                }
                Step::Asked(_) => {}
                Step::Taken { .. } | Step::Cut => break,
            }
        }
        list
    }

    /// Makes the calls of a list.
    fn call(&mut self, steps: &[Step], list: &[(usize, Invocation<'_>)]) -> Result<Option<(usize, What)>, Error> {
        let called = |at: usize| match steps.get(at) {
            Some(Step::Called { told, random: (seed, _), state, .. }) => Some((told, seed, state)),
            _ => None,
        };
        let Some((first, seed, _)) = list.first().and_then(|(at, _)| called(*at)) else { return Ok(None) };
        let entry = EntryContext { time: first.time, seed: *seed };
        let calls: Vec<Invocation<'_>> = list.iter().map(|(_, call)| call.clone()).collect();
        let done = self.exec.execute(self.code, &mut self.root, &entry, &calls).map_err(|hold| held(&hold))?;
        for ((at, _), executed) in list.iter().zip(done) {
            let what = called(*at).and_then(|(told, ..)| differs(told, executed));
            if let Some(what) = what {
                return Ok(Some((*at, what)));
            }
        }
        let last = list.last().and_then(|(at, _)| Some((*at, called(*at)?.2)));
        Ok(last.filter(|(_, state)| self.root.state_hash() != **state).map(|(at, _)| (at, What::State)))
    }
}

/// As the owner calls.
fn invocation(told: &Told, cause: Cause, place: u64) -> Invocation<'_> {
    Invocation {
        mount: MountId::default(),
        cause,
        name: &told.name,
        signature: Signature::ANY,
        arguments: &told.arguments,
        caller: told.caller,
        trusted: true,
        session: told.session,
        hops: 0,
        place,
        fuel_max: CALL_FUEL_MAX,
    }
}

fn differs(told: &Told, done: Executed) -> Option<What> {
    let same = match (&told.outcome, &done.outcome) {
        (Err(native), Err(wasm)) if native.code == Code::Trap => wasm.code == Code::Trap,
        (native, wasm) => native == wasm && told.detail == done.detail.unwrap_or_default(),
    };
    (!same).then_some(What::Outcome(done.outcome))
}
