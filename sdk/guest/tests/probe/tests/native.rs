//! The same calls natively and in WebAssembly: equal outcomes, errors, rows and logs, call for call.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use isx_exec::{Exec, Ports};
use isx_row::typed::encode_arguments;
use isx_row::{Code, ContentHash, Principal, SessionId, Signature, Span, Time, Typed};
use isx_store::{Cause, Database, EntryContext, Executor, Invocation};
use isx_testing::Module;
use probe::items::Item;
use std::path::PathBuf;

/// A mount of each kind.
struct Both {
    exec: Exec,
    code: ContentHash,
    root: Database,
    native: Module,
    calls: i64,
    /// Of the calls, from now on.
    session: Option<SessionId>,
}

impl Both {
    fn new() -> Self {
        let folder = std::env::var_os("ISX_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(3).unwrap().join("guests")
        });
        let file = folder.join("probe.wasm");
        let component = std::fs::read(&file);
        let component =
            component.unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()));
        let exec = Exec::new(Ports::here()).unwrap();
        let (code, schema) = exec.add(&component).unwrap();
        Self { exec, code, root: Database::new(schema).unwrap(), native: Module::new(), calls: 0, session: None }
    }

    /// Calls both; what they say and what is left must be the same. Gives the code of the error, if it is one.
    fn call<A: Typed>(&mut self, name: &str, arguments: &A) -> Option<Code> {
        self.calls += 1;
        let arguments = encode_arguments(arguments).unwrap();
        let (time, seed, caller) = (Time(1_000_000 * self.calls), [self.calls as u8; 32], Principal([5; 32]));
        let call = Invocation {
            mount: isx_row::MountId::default(),
            cause: Cause::Call,
            name,
            signature: Signature::ANY,
            arguments: &arguments,
            caller,
            trusted: false,
            session: self.session,
            hops: 0,
            place: 0,
            fuel_max: isx_exec::limits::CALL_FUEL_MAX,
        };
        let entry = EntryContext { time, seed };
        let wasm = self.exec.execute(&self.code, &mut self.root, &entry, &[call]).unwrap().remove(0);
        self.native.set_time(time);
        self.native.set_seed(seed);
        self.native.set_caller(caller);
        self.native.set_session(self.session);
        let native = self.native.call_encoded(name, &arguments);
        match (&wasm.outcome, &native) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "{name}"),
            (Err(one), Err(other)) => {
                assert_eq!(*one, other.error, "{name}");
                assert_eq!(wasm.detail.as_deref().unwrap_or_default(), other.detail(), "{name}");
            }
            (one, other) => panic!("{name}: {one:?} in WebAssembly, {other:?} natively"),
        }
        let levels = ["", "error", "warn", "info", "debug", "trace"];
        let log = wasm.log.iter().map(|(level, line)| (levels[usize::from(*level)].to_string(), line.clone()));
        assert_eq!(log.collect::<Vec<_>>(), self.native.log(), "{name}");
        assert_eq!(self.root.state_hash(), self.native.database().state_hash(), "{name}");
        native.err().map(|refused| refused.error.code)
    }
}

#[test]
fn native_calls_end_as_in_webassembly() {
    let mut both = Both::new();
    // Numbers, times that the host writes, hooks, typed errors, refusals of tables.
    assert_eq!(both.call("open", &("ada".to_string(), 1u64, 9u64)), None);
    assert_eq!(both.call("open", &("grace".to_string(), 1u64, 9u64)), Some(Code::Duplicate));
    assert_eq!(both.call("open", &("ada".to_string(), 2u64, 9u64)), Some(Code::Duplicate));
    assert_eq!(both.call("withdraw", &("ada".to_string(), 10u64)), Some(Code::Application));
    assert_eq!(both.call("withdraw", &("nobody".to_string(), 1u64)), Some(Code::Application));
    assert_eq!(both.call("withdraw", &("ada".to_string(), 4u64)), None);
    assert_eq!(both.call("renumber", &("nobody".to_string(), 4u64)), Some(Code::NoRow));
    for _ in 0..3 {
        assert_eq!(both.call("come", &("ada".to_string(), Time(-1))), None);
    }
    let item = |number: u32| Item {
        room: (number % 3) as u8,
        name: format!("{number}"),
        rank: (number % 7) as i16 - 3,
        label: "ä".repeat(number as usize % 9),
    };
    assert_eq!(both.call("store", &((0..500).map(item).collect::<Vec<_>>(),)), None);
    // The last one is there already: none of them comes.
    assert_eq!(both.call("store", &(vec![item(500), item(7)],)), Some(Code::Duplicate));
    assert_eq!(both.call("counted", &(vec!["b".to_string(), "a".into(), "b".into()],)), None);
    assert_eq!(both.call("counted", &(vec!["x".repeat(250_000)],)), None);
    let _ = both.call("open", &("x".repeat(5_000), 3u64, 0u64));
    assert_eq!(both.call("appear", &("ada".to_string(),)), Some(Code::BadArguments), "without a session");
    both.session = Some(SessionId([3; 16]));
    assert_eq!(both.call("appear", &("ada".to_string(),)), None);
    assert_eq!(both.call("wake_at", &("later".to_string(), Span(5))), None);
}

#[test]
fn the_bounds_are_the_executors() {
    use isx_exec::limits as exec;
    use isx_testing::limits as native;
    assert_eq!(native::HOOK_DEPTH_MAX, exec::HOOK_DEPTH_MAX);
    assert_eq!(native::HOOKS_MAX, exec::HOOKS_MAX);
    assert_eq!(native::RANDOM_BYTES_MAX, exec::RANDOM_BYTES_MAX);
    assert_eq!(native::SCAN_CHUNK_BYTES_MAX, exec::SCAN_CHUNK_BYTES_MAX);
    assert_eq!(native::ERROR_TEXT_BYTES_MAX, exec::ERROR_TEXT_BYTES_MAX);
    assert_eq!(native::LOG_LINE_BYTES_MAX, exec::LOG_LINE_BYTES_MAX);
    assert_eq!(native::LOG_LINES_MAX, exec::LOG_LINES_MAX);
}
