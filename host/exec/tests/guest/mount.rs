//! A mount of the module `probe`.

use isx_exec::{Exec, Ports};
use isx_row::schema::Schema;
use isx_row::typed::{decode_answer, encode_arguments};
use isx_row::{ContentHash, Error, Principal, Revision, Signature, Time, Typed};
use isx_store::{Cause, Database, EntryContext, Executed, Executor, Invocation};
use std::path::PathBuf;
use std::sync::Arc;

/// An executor that has the module, and a mount of it.
pub struct Mount {
    pub exec: Exec,
    pub code: ContentHash,
    pub root: Database,
    /// Log time of the next entry.
    pub time: Time,
}

impl Mount {
    /// A mount without rows.
    pub fn new() -> Self {
        let exec = Exec::new(Ports::here()).unwrap();
        let (code, schema) = exec.add(&component()).unwrap();
        Self { exec, code, root: Database::new(schema).unwrap(), time: Time(1_000_000) }
    }

    pub fn schema(&self) -> Arc<Schema> {
        self.exec.schema(&self.code).unwrap()
    }

    /// Runs a reducer in an entry of its own.
    pub fn execute<A: Typed>(&mut self, name: &str, arguments: &A) -> Executed {
        self.run(&call(name, &encode_arguments(arguments).unwrap()))
    }

    /// Runs one invocation in an entry of its own.
    pub fn run(&mut self, invocation: &Invocation<'_>) -> Executed {
        let entry = EntryContext { time: self.time, seed: [9; 32] };
        let invocation = std::slice::from_ref(invocation);
        self.exec.execute(&self.code, &mut self.root, &entry, invocation).unwrap().remove(0)
    }

    /// Runs reducers in one entry.
    pub fn execute_all<const N: usize>(&mut self, calls: [(&str, Vec<u8>); N]) -> [Executed; N] {
        let entry = EntryContext { time: self.time, seed: [9; 32] };
        let calls: Vec<_> = calls.iter().map(|(name, arguments)| call(name, arguments)).collect();
        let done = self.exec.execute(&self.code, &mut self.root, &entry, &calls).unwrap();
        done.try_into().unwrap()
    }

    /// Runs a reducer that must answer.
    pub fn reduce<A: Typed, T: Typed>(&mut self, name: &str, arguments: A) -> T {
        decode_answer(&self.execute(name, &arguments).outcome.unwrap()).unwrap()
    }

    /// Runs a query with so much fuel.
    pub fn query_within<A: Typed, T: Typed>(&self, fuel_max: u64, name: &str, arguments: A) -> Result<T, Error> {
        let arguments = encode_arguments(&arguments).unwrap();
        let call = Invocation { fuel_max, ..call(name, &arguments) };
        let answer = self.exec.query(&self.code, &self.root, (Revision(1), self.time), &call).outcome?;
        Ok(decode_answer(&answer).unwrap())
    }

    /// Runs a query that must answer.
    pub fn query<A: Typed, T: Typed>(&self, name: &str, arguments: A) -> T {
        self.query_within(isx_exec::limits::CALL_FUEL_DEFAULT, name, arguments).unwrap()
    }
}

/// A call without a session.
pub fn call<'a>(name: &'a str, arguments: &'a [u8]) -> Invocation<'a> {
    Invocation {
        mount: isx_row::MountId::default(),
        cause: Cause::Call,
        name,
        signature: Signature::ANY,
        arguments,
        caller: Principal([5; 32]),
        trusted: false,
        session: None,
        hops: 0,
        place: 0,
        fuel_max: isx_exec::limits::CALL_FUEL_DEFAULT,
    }
}

/// A hook, as its event sets it off.
pub fn hook<'a>(cause: Cause, name: &'a str, arguments: &'a [u8]) -> Invocation<'a> {
    Invocation { cause, trusted: cause != Cause::Call, ..call(name, arguments) }
}

fn component() -> Vec<u8> {
    guest("probe")
}

/// The component of a guest.
pub fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(3).unwrap().join("guests")
    });
    let file = folder.join(format!("{name}.wasm"));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()))
}
