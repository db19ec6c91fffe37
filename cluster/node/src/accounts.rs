//! What calls cost this node, by mount and function.
//!
//! Counters are found by name behind a lock that only a first call takes for itself; counting is adding, once for calls
//! of one function that stand together. They are no state: a node begins at zero, and counts what it runs.

use crate::limits::{ACCOUNTS_FUNCTIONS_MAX, ACCOUNTS_MAX};
use isx_iface::usage::{FunctionUsage, Usage};
use isx_row::{Class, Code, MountId, Span};
use isx_store::{Executed, Invocation};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The counters of a node.
#[derive(Default)]
pub(crate) struct Accounts {
    mounts: RwLock<BTreeMap<MountId, Arc<Account>>>,
    /// Functions that have counters of their own.
    functions_count: AtomicUsize,
    /// Mounts over the bound.
    rest: Counters,
}

/// The counters of a mount.
#[derive(Default)]
struct Account {
    functions: RwLock<BTreeMap<Box<str>, Counters>>,
    /// Names that are no function, and functions over the bound.
    rest: Counters,
}

/// Sums of what is in a [`Usage`].
#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    application: AtomicU64,
    trapped: AtomicU64,
    refused: AtomicU64,
    busy: AtomicU64,
    failed: AtomicU64,
    fuel: AtomicU64,
    host_calls: AtomicU64,
    in_bytes: AtomicU64,
    out_bytes: AtomicU64,
    rows_changed: AtomicU64,
    wall_ns: AtomicU64,
}

/// What is counted together before it is added.
#[derive(Default)]
struct Tally {
    usage: Usage,
    wall_ns: u64,
}

impl Accounts {
    /// Counts calls that ran together for `wall`; `is_function` says which names are worth a counter.
    pub(crate) fn note(
        &self,
        calls: &[Invocation<'_>],
        executed: &[Executed],
        wall: Duration,
        is_function: impl Fn(&str) -> bool,
    ) {
        let all = Share { wall, fuel: executed.iter().map(|done| done.fuel).sum(), count: executed.len() };
        let mut executed = executed;
        for of_mount in calls.chunk_by(|one, next| one.mount == next.mount) {
            let Some(account) = of_mount.first().map(|call| self.account(&call.mount)) else { continue };
            for of_function in of_mount.chunk_by(|one, next| one.name == next.name) {
                let (here, later) = executed.split_at(of_function.len().min(executed.len()));
                executed = later;
                let mut tally = Tally::default();
                of_function.iter().zip(here).for_each(|(call, done)| tally.count(call, done));
                tally.wall_ns = all.of(tally.usage.fuel, here.len());
                match (&account, of_function.first()) {
                    (Some(account), Some(call)) => self.add(account, call.name, &tally, &is_function),
                    _ => self.rest.add(&tally),
                }
            }
        }
    }

    /// The counters of a mount; none over the bound.
    fn account(&self, mount: &MountId) -> Option<Arc<Account>> {
        if let Some(account) = self.mounts.read().unwrap_or_else(PoisonError::into_inner).get(mount) {
            return Some(account.clone());
        }
        let mut mounts = self.mounts.write().unwrap_or_else(PoisonError::into_inner);
        (mounts.len() < ACCOUNTS_MAX).then(|| mounts.entry(*mount).or_default().clone())
    }

    fn add(&self, account: &Account, function: &str, tally: &Tally, is_function: impl Fn(&str) -> bool) {
        if let Some(counters) = account.functions.read().unwrap_or_else(PoisonError::into_inner).get(function) {
            return counters.add(tally);
        }
        if !is_function(function) {
            return account.rest.add(tally);
        }
        let mut functions = account.functions.write().unwrap_or_else(PoisonError::into_inner);
        if !functions.contains_key(function) {
            if self.functions_count.fetch_add(1, Ordering::Relaxed) >= ACCOUNTS_FUNCTIONS_MAX {
                self.functions_count.fetch_sub(1, Ordering::Relaxed);
                return account.rest.add(tally);
            }
            functions.insert(function.into(), Counters::default());
        }
        if let Some(counters) = functions.get(function) {
            counters.add(tally);
        }
    }

    /// Forgets mounts that are gone: what they came to is gone with them.
    pub(crate) fn retain(&self, is_there: impl Fn(&MountId) -> bool) {
        self.mounts.write().unwrap_or_else(PoisonError::into_inner).retain(|mount, account| {
            let kept = is_there(mount);
            if !kept {
                let functions = account.functions.read().unwrap_or_else(PoisonError::into_inner).len();
                self.functions_count.fetch_sub(functions, Ordering::Relaxed);
            }
            kept
        });
    }

    /// What each mount came to, by id.
    pub(crate) fn mounts(&self) -> Vec<(MountId, Usage)> {
        let mounts = self.mounts.read().unwrap_or_else(PoisonError::into_inner);
        mounts.iter().map(|(mount, account)| (*mount, account.total())).collect()
    }

    /// What the mounts over the bound came to; none while there are none.
    pub(crate) fn rest(&self) -> Option<Usage> {
        Some(self.rest.read()).filter(|usage| usage.calls > 0)
    }

    /// What each function of a mount came to, by name.
    pub(crate) fn functions(&self, mount: &MountId) -> Vec<FunctionUsage> {
        let account = self.mounts.read().unwrap_or_else(PoisonError::into_inner).get(mount).cloned();
        account.map(|account| account.read()).unwrap_or_default()
    }
}

impl Account {
    fn total(&self) -> Usage {
        let mut total = Usage::default();
        self.read().iter().for_each(|function| total.add(&function.usage));
        total
    }

    fn read(&self) -> Vec<FunctionUsage> {
        let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
        let rest = Some((String::new(), self.rest.read())).filter(|(_, usage)| usage.calls > 0);
        let named = functions.iter().map(|(name, counters)| (name.to_string(), counters.read()));
        rest.into_iter().chain(named).map(|(function, usage)| FunctionUsage { function, usage }).collect()
    }
}

/// What calls that ran together have together.
struct Share {
    wall: Duration,
    fuel: u64,
    count: usize,
}

impl Share {
    /// The part of the time of `count` calls of them that used so much fuel.
    fn of(&self, fuel: u64, count: usize) -> u64 {
        let (part, whole) = match self.fuel {
            0 => (count as u128, self.count as u128),
            all => (u128::from(fuel), u128::from(all)),
        };
        u64::try_from(self.wall.as_nanos() * part / whole.max(1)).unwrap_or(u64::MAX)
    }
}

impl Tally {
    fn count(&mut self, call: &Invocation<'_>, done: &Executed) {
        let usage = &mut self.usage;
        usage.calls += 1;
        let out_bytes = match &done.outcome {
            Ok(answer) => answer.len(),
            Err(error) => {
                *match (error.code, error.class()) {
                    (Code::Application, _) => &mut usage.application,
                    (Code::Trap | Code::OutOfFuel, _) => &mut usage.trapped,
                    (_, Class::Refused) => &mut usage.refused,
                    (_, Class::Busy) => &mut usage.busy,
                    _ => &mut usage.failed,
                } += 1;
                done.detail.as_ref().map_or(0, Vec::len)
            }
        };
        usage.fuel += done.fuel;
        usage.host_calls += done.host_calls;
        usage.in_bytes += call.arguments.len() as u64;
        usage.out_bytes += out_bytes as u64;
        usage.rows_changed += done.changes.len() as u64;
    }
}

impl Counters {
    fn add(&self, Tally { usage, wall_ns }: &Tally) {
        let pairs = [
            (&self.calls, usage.calls),
            (&self.application, usage.application),
            (&self.trapped, usage.trapped),
            (&self.refused, usage.refused),
            (&self.busy, usage.busy),
            (&self.failed, usage.failed),
            (&self.fuel, usage.fuel),
            (&self.host_calls, usage.host_calls),
            (&self.in_bytes, usage.in_bytes),
            (&self.out_bytes, usage.out_bytes),
            (&self.rows_changed, usage.rows_changed),
            (&self.wall_ns, *wall_ns),
        ];
        for (counter, more) in pairs.into_iter().filter(|(_, more)| *more > 0) {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Usage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            calls: read(&self.calls),
            application: read(&self.application),
            trapped: read(&self.trapped),
            refused: read(&self.refused),
            busy: read(&self.busy),
            failed: read(&self.failed),
            fuel: read(&self.fuel),
            host_calls: read(&self.host_calls),
            in_bytes: read(&self.in_bytes),
            out_bytes: read(&self.out_bytes),
            rows_changed: read(&self.rows_changed),
            wall: Span(i64::try_from(read(&self.wall_ns) / 1000).unwrap_or(i64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::{Error, Principal, Signature};
    use isx_store::{Cause, Changes, Reads};

    fn call(mount: u32, name: &str) -> Invocation<'_> {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&mount.to_be_bytes());
        Invocation {
            mount: MountId(id),
            cause: Cause::Call,
            name,
            signature: Signature::ANY,
            arguments: &[1, 2, 3],
            caller: Principal::anonymous(),
            trusted: false,
            session: None,
            hops: 0,
            place: 0,
            fuel_max: 0,
        }
    }

    fn done(fuel: u64, failed: Option<Code>) -> Executed {
        let outcome = failed.map_or(Ok(vec![0; 5]), |code| Err(Error::new(code, "")));
        Executed {
            joined: Vec::new(),
            outcome,
            detail: None,
            fuel,
            host_calls: 2,
            changes: Changes::default(),
            log: Vec::new(),
            reads: Reads::default(),
        }
    }

    fn told(accounts: &Accounts, mount: u32) -> Vec<(String, u64, u64)> {
        let functions = accounts.functions(&call(mount, "").mount);
        functions.into_iter().map(|one| (one.function, one.usage.calls, one.usage.wall.0 as u64)).collect()
    }

    #[test]
    fn calls_that_ran_together_are_told_apart_and_share_their_time_by_fuel() {
        let accounts = Accounts::default();
        let calls = [call(1, "add"), call(1, "add"), call(1, "sum"), call(1, "add"), call(1, "junk")];
        let executed = [
            done(10, None),
            done(20, Some(Code::Application)),
            done(60, Some(Code::OutOfFuel)),
            done(10, Some(Code::Limit)),
            done(0, Some(Code::NotFound)),
        ];
        accounts.note(&calls, &executed, Duration::from_micros(1000), |name| name != "junk");
        let told = told(&accounts, 1);
        assert_eq!(told, [(String::new(), 1, 0), ("add".into(), 3, 400), ("sum".into(), 1, 600)]);
        let (_, total) = accounts.mounts().remove(0);
        assert_eq!((total.calls, total.answered(), total.application, total.trapped, total.refused), (5, 1, 1, 1, 2));
        assert_eq!((total.in_bytes, total.out_bytes, total.host_calls, total.fuel), (15, 5, 10, 100));
    }

    #[test]
    fn what_is_over_a_bound_is_counted_together_and_room_comes_back() {
        let accounts = Accounts::default();
        let note = |mount: u32, name: &str| {
            accounts.note(&[call(mount, name)], &[done(1, None)], Duration::ZERO, |_| true);
        };
        let names: Vec<String> = (0..=ACCOUNTS_FUNCTIONS_MAX).map(|number| format!("f{number}")).collect();
        names.iter().for_each(|name| note(0, name));
        assert_eq!(told(&accounts, 0).len(), ACCOUNTS_FUNCTIONS_MAX + 1);
        assert_eq!(told(&accounts, 0)[0], (String::new(), 1, 0));
        (0..=ACCOUNTS_MAX as u32).for_each(|mount| note(mount, "f0"));
        assert_eq!(accounts.rest().map(|usage| usage.calls), Some(1));
        assert_eq!(accounts.mounts().len(), ACCOUNTS_MAX);
        accounts.retain(|mount| *mount != call(0, "").mount);
        note(u32::MAX, "f0");
        assert_eq!(told(&accounts, u32::MAX), [("f0".to_string(), 1, 0)]);
    }
}
