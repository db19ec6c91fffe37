//! Guests that take what they can get: modules and ROMs that never return, log, recurse, and hoard.

use crate::modules::{KV, component, encoded, kv_schema};
use crate::refused::{START, no_panic, refused, sound, well};
use crate::support::{Stage, said};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The world of ROMs.
const CONTRACT: &str = include_str!("../../../sdk/wit/host.wit");

/// How long a program may take to begin, or to end once it is told to.
const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn calls_that_take_too_much_cost_themselves_and_nobody_else() {
    let mut stage = Stage::new();
    stage.start(&START);
    // Writes a hundred megabytes, in lines of 100,000 bytes.
    let log = "(call $write (i32.const 2) (i32.const 610) (i32.const 7)) (return (call $ok_nothing))";
    let flood = "(local.set $f (i32.const 1000)) (loop $more
        (call $write (i32.const 2) (i32.const 16384) (i32.const 100000))
        (local.set $f (i32.sub (local.get $f) (i32.const 1))) (br_if $more (local.get $f)))
        (return (call $ok_nothing))";
    assert!(KV.contains(log));
    let file = stage.folder.path().join("kv.wasm");
    fs::write(&file, component(&KV.replace(log, flood), &kv_schema())).expect("a file");
    well(&stage, &["publish", &file.to_string_lossy()]);
    well(&stage, &["call", "/self/kv", "add", "1", "5"]);
    let call = |function: &str, code: &str, says: &str| {
        refused(&stage, &["call", "/self/kv", function, "2", "7"], 125, code, &["/self/kv", function, says]);
        assert_eq!(well(&stage, &["query", "/self/kv", "get", "2", "0"]), "0", "{function} is rolled back");
    };
    call("loop", "out_of_fuel", "used up its fuel");
    call("nest", "limit", "WASM_STACK_BYTES_MAX");
    call("memory", "limit", "MEMORY_BYTES_MAX");
    call("vast_table", "limit", "TABLE_ELEMENTS_MAX");

    let flooded = stage.say(&["call", "/self/kv", "keep_log", "2", "7"]);
    assert!(flooded.code == 0 || flooded.stderr.contains("out_of_fuel"), "{}", flooded.stderr);
    let logged = well(&stage, &["logs", "/self/kv"]);
    assert!((1000..100_000).contains(&logged.len()), "{} bytes", logged.len());
    assert!(logged.lines().last().is_some_and(|line| line.contains("left out")), "what is missing is said");
    assert_eq!(well(&stage, &["query", "/self/kv", "get", "1", "0"]), "5");
    sound(stage);
}

/// A ROM of core WebAssembly text, with what it declares that it wants.
fn rom(stage: &Stage, name: &str, text: &str) -> String {
    let path = stage.folder.path().join(name);
    fs::write(&path, encoded(text, CONTRACT, "rom")).expect("a file");
    path.to_string_lossy().into_owned()
}

#[test]
fn a_rom_that_hoards_handles_is_ended_at_the_bound() {
    let mut stage = Stage::new();
    stage.start(&START);
    // Asks for its host a million times, and keeps every handle.
    let hoard = rom(
        &stage,
        "hoard.wasm",
        r#"(module
            (import "isx:host/start@0.1.0" "host" (func $host (result i32)))
            (func (export "wasi:cli/run@0.3.0#run") (result i32)
                (local $left i32)
                (local.set $left (i32.const 1000000))
                (loop $more
                    (drop (call $host))
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if $more (local.get $left)))
                (i32.const 0)))"#,
    );
    refused(&stage, &["run", &hoard], 125, "limit", &["HANDLES_MAX", "65536"]);
    let grow = rom(
        &stage,
        "grow.wasm",
        r#"(module
            (memory (export "memory") 1)
            (func (export "wasi:cli/run@0.3.0#run") (result i32)
                (loop $more
                    (br_if $more (i32.ne (memory.grow (i32.const 256)) (i32.const -1))))
                (unreachable)))"#,
    );
    refused(&stage, &["run", &grow], 125, "trap", &["unreachable"]);
    sound(stage);
}

#[test]
fn a_rom_that_never_returns_ends_when_it_is_interrupted() {
    let mut stage = Stage::new();
    stage.start(&START);
    let endless = rom(
        &stage,
        "endless.wasm",
        r#"(module (func (export "wasi:cli/run@0.3.0#run") (result i32) (loop $ever (br $ever)) (i32.const 0)))"#,
    );
    // Compiled now, so that it is soon in its loop.
    let running = stage.isx(&["run", &endless]).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let programs = stage.folder.path().join("cache/programs");
    let until = Instant::now() + WITHIN;
    while !programs.read_dir().is_ok_and(|mut files| files.next().is_some()) {
        assert!(Instant::now() < until, "it never began");
        std::thread::yield_now();
    }
    well(&stage, &["status"]);
    let ended = Instant::now();
    kill_process(Pid::from_child(&running), Signal::INT).expect("it runs");
    let said = said(running.wait_with_output().expect("it ends"));
    assert!(ended.elapsed() < WITHIN, "it ended late");
    assert_eq!(said.code, 130, "what shells say of one that Ctrl-C ended: {}", said.stderr);
    no_panic(&said.stderr, "an interrupted ROM");
    sound(stage);
}
