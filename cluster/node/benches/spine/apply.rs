//! Apply alone: entries of 1,024 calls, decoded, executed and committed, without a log.

use crate::figure::{Target, median, print};
use crate::{Outcome, guests};
use isx_anchors::GroupId;
use isx_cluster::{
    Entry, EntryHeader, FEATURE_LEVEL, Machine, ModuleRecord, Outcome as Applied, ReducerCall, Request, View,
};
use isx_exec::{Exec, Ports};
use isx_row::{Incarnation, MountId, Principal, Time};
use isx_store::{Executor, Limits};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Calls of an entry.
pub const CALLS: u64 = 1024;
/// Entries of a round.
const ENTRIES: u64 = 16;
const ROUNDS: usize = 15;
const MOUNT: MountId = MountId([7; 16]);

/// Prints the figures.
pub fn measure() -> Outcome<()> {
    let mut tally = Replica::new(&guests::tally()?)?;
    let mut rows = Replica::new(&guests::rows()?)?;
    let (mut adds, mut lone, mut inserts) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        adds.push(tally.round("add", guests::add)?);
        lone.push(tally.round_of(1, "add", guests::add)?);
        inserts.push(rows.round("plain", |number| Ok(guests::plain(round * ENTRIES * CALLS + number)))?);
    }
    let (add, insert) = (median(&mut adds), median(&mut inserts));
    print("apply, tally's `add`, 1,024 calls an entry", add, "calls/s", Target::None);
    print("apply, tally's `add`, all in", 1e6 / add, "us a call", Target::None);
    print("apply, tally's `add`, a call an entry, all in", 1e6 / median(&mut lone), "us a call", Target::None);
    print("apply of a 64-byte insert, all in", 1e6 / insert, "us a call", Target::AtMost(4.0));
    Ok(())
}

/// The machine of a group with one mount.
pub struct Replica {
    exec: Exec,
    pub machine: Machine,
    published: View,
    index: u64,
}

impl Replica {
    /// A group with a mount of this module.
    pub fn new(component: &[u8]) -> Outcome<Self> {
        let exec = Exec::new(Ports::here())?;
        let (code, schema) = exec.add(component)?;
        let machine = Machine::new(GroupId::MOUNTS, exec.execution_id());
        let published = machine.view();
        let mut replica = Self { exec, machine, published, index: 0 };
        let (schema, fuel_max) = (schema.encode()?, isx_node::limits::CALL_FUEL);
        let module =
            ModuleRecord { code, schema, fuel_max, limits: Limits::default(), config: Vec::new(), links: Vec::new() };
        let (module, creator) = (Arc::new(module), Principal::anonymous());
        let create = Request::CreateMount { mount: MOUNT, incarnation: Incarnation(1), module, creator };
        replica.apply(&replica.entry(VecDeque::from([create]))?)?;
        Ok(replica)
    }

    /// An entry of calls.
    pub fn calls(&self, name: &str, payloads: impl Iterator<Item = Outcome<Vec<u8>>>) -> Outcome<Vec<u8>> {
        let call = |payload| Ok(Request::Call(Box::new(call(name, payload?))));
        self.entry(payloads.map(call).collect::<Outcome<_>>()?)
    }

    fn entry(&self, requests: VecDeque<Request>) -> Outcome<Vec<u8>> {
        let time = Time(i64::try_from(self.index)?);
        let header = EntryHeader { level: FEATURE_LEVEL, execution: self.exec.execution_id(), time };
        let packed = requests.iter().map(Request::pack).collect::<Result<Vec<_>, _>>()?;
        Ok(Entry::pack(header, &[7; 32], &packed)?)
    }

    /// Does what a replica does with an entry.
    pub fn apply(&mut self, entry: &[u8]) -> Outcome<()> {
        self.index += 1;
        let applied = self.machine.apply(self.index, &Entry::decode(entry)?, &self.exec)?;
        // A replica publishes every version, so the next entry finds all of it shared.
        self.published = self.machine.view();
        let failed = |outcome: &&Applied| !matches!(outcome, Applied::Answer { .. } | Applied::Mounted { .. });
        match applied.outcomes.iter().find(failed) {
            None => Ok(()),
            Some(outcome) => Err(format!("a call failed: {outcome:?}").into()),
        }
    }

    /// Calls a second of a round of entries.
    pub fn round(&mut self, name: &str, payload: impl Fn(u64) -> Outcome<Vec<u8>>) -> Outcome<f64> {
        self.round_of(CALLS, name, payload)
    }

    /// Calls a second of a round of entries with so many calls each.
    fn round_of(&mut self, calls: u64, name: &str, payload: impl Fn(u64) -> Outcome<Vec<u8>>) -> Outcome<f64> {
        let entry = |entry: u64| self.calls(name, (entry * calls..(entry + 1) * calls).map(&payload));
        let entries = (0..ENTRIES * CALLS / calls).map(entry).collect::<Outcome<Vec<_>>>()?;
        let mut elapsed = Duration::ZERO;
        for entry in &entries {
            let begun = Instant::now();
            self.apply(entry)?;
            elapsed += begun.elapsed();
        }
        Ok((ENTRIES * CALLS) as f64 / elapsed.as_secs_f64())
    }
}

fn call(name: &str, payload: Vec<u8>) -> ReducerCall {
    ReducerCall { trace: [7; 16], ..ReducerCall::new(MOUNT, name, payload) }
}
