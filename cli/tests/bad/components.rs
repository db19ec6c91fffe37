//! Files that are no module and no ROM, or dangerous ones, published and run.

use crate::modules::{kv_schema, with_section};
use crate::refused::{START, refused, sound, well};
use crate::support::{Stage, guest};
use std::fs::{self, File};
use std::path::Path;

/// Writes a file of these bytes and gives its name.
fn put(stage: &Stage, name: &str, bytes: &[u8]) -> String {
    let path = stage.folder.path().join(name);
    fs::write(&path, bytes).expect("a file");
    path.to_string_lossy().into_owned()
}

/// A file of this many bytes of junk, of which the disk keeps none.
fn junk(path: &Path, bytes: u64) -> String {
    File::create(path).and_then(|file| file.set_len(bytes)).expect("a file");
    path.to_string_lossy().into_owned()
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("WebAssembly as text")
}

#[test]
fn files_that_are_no_module_are_refused_and_never_kept() {
    let mut stage = Stage::new();
    stage.start(&START);
    let tally = fs::read(guest("tally")).expect("tally");
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    let kept = || fs::read_dir(stage.folder.path().join("state/blobs")).expect("the blobs").count();
    let before = kept();

    let schema = kv_schema().encode().unwrap();
    let imports =
        r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance (export "now" (func (result u64))))))"#;
    let many = format!("(component {})", "(core module)".repeat(2000));
    let here = stage.folder.path();
    let files = [
        (put(&stage, "empty.wasm", b""), "malformed", "no WebAssembly component"),
        (put(&stage, "script.wasm", b"#!/bin/sh\nexit 1\n"), "malformed", "no WebAssembly component"),
        (put(&stage, "magic.wasm", b"\0asm\xff\xff\xff\xff"), "malformed", "no WebAssembly component"),
        (put(&stage, "head.wasm", &tally[..100]), "malformed", "the component is not valid"),
        (put(&stage, "short.wasm", &tally[..tally.len() - 1]), "malformed", "the component is not valid"),
        (put(&stage, "core.wasm", &wat("(module)")), "malformed", "isx build"),
        (put(&stage, "bare.wasm", &wat("(component)")), "malformed", "exports no function `call`"),
        (put(&stage, "imports.wasm", &wat(imports)), "malformed", "imports `wasi:clocks/wall-clock@0.2.0`"),
        (put(&stage, "many.wasm", &with_section(wat(&many), &schema)), "malformed", "modules count exceeds limit"),
        (junk(&here.join("junk33.wasm"), 33 << 20), "limit", "COMPONENT_BYTES_MAX is 33554432"),
        (junk(&here.join("junk64.wasm"), 64 << 20), "limit", "COMPONENT_BYTES_MAX is 33554432"),
        (junk(&here.join("junk1024.wasm"), 1 << 30), "limit", "at most 67108864 bytes"),
        ("/dev/zero".to_string(), "limit", "/dev/zero is no component"),
    ];
    for (file, code, says) in &files {
        refused(&stage, &["publish", file, "/self/bad"], 125, code, &[file, says]);
    }
    refused(&stage, &["publish", "/no/where.wasm"], 127, "not_found", &["no file /no/where.wasm"]);
    let rom = guest("wordcount").to_string_lossy().into_owned();
    refused(&stage, &["publish", &rom], 125, "bad_arguments", &[&rom, "is a ROM", "isx run"]);
    refused(&stage, &["schema", &rom], 125, "malformed", &[&rom, "this is a program", "isx run"]);
    let whole = fs::read(&rom).expect("a ROM");
    let short = put(&stage, "rom.wasm", &whole[..whole.len() - 1]);
    refused(&stage, &["publish", &short, "/self/bad"], 125, "malformed", &[&short, "the component is not valid"]);
    refused(&stage, &["schema", "/self/bad"], 127, "not_found", &["/self/bad"]);
    assert_eq!(kept(), before, "nothing of them is kept");
    sound(stage);
}

#[test]
fn files_that_are_no_rom_are_refused_before_anything_runs() {
    let mut stage = Stage::new();
    stage.start(&START);
    let wordcount = fs::read(guest("wordcount")).expect("wordcount");
    // A command that exports what it has to, and asks for more than there is.
    let imports = r#"(component
        (import "wasi:sockets/tcp@9.9.9" (instance (export "listen" (func))))
        (core module $m (func (export "run") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $exported (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $exported)))"#;
    let other = r#"(component
        (core module $m (func (export "run") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $run (result u32) (canon lift (core func $i "run")))
        (instance $exported (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $exported)))"#;
    let here = stage.folder.path();
    let files = [
        (put(&stage, "empty.wasm", b""), "malformed", "not WebAssembly"),
        (put(&stage, "script.wasm", b"#!/bin/sh\nexit 1\n"), "malformed", "not WebAssembly"),
        (put(&stage, "head.wasm", &wordcount[..100]), "malformed", ""),
        (put(&stage, "short.wasm", &wordcount[..wordcount.len() - 1]), "malformed", "does not compile"),
        (put(&stage, "core.wasm", &wat("(module)")), "malformed", "isx build"),
        (put(&stage, "bare.wasm", &wat("(component)")), "malformed", "exports no `wasi:cli/run`"),
        (put(&stage, "imports.wasm", &wat(imports)), "malformed", "wasi:sockets/tcp@9.9.9"),
        (put(&stage, "other.wasm", &wat(other)), "malformed", "does not fit"),
        (guest("tally").to_string_lossy().into_owned(), "malformed", "a module is published, not run"),
        (junk(&here.join("junk64.wasm"), 64 << 20), "malformed", "not WebAssembly"),
        (junk(&here.join("junk65.wasm"), 65 << 20), "limit", "at most 67108864 bytes"),
    ];
    for (file, code, says) in &files {
        refused(&stage, &["run", "-A", file], 125, code, &[file, says]);
    }
    refused(&stage, &["run", "/no/where.wasm"], 127, "not_found", &["no file /no/where.wasm"]);
    let rom = guest("wordcount").to_string_lossy().into_owned();
    refused(&stage, &["run", &rom], 126, "missing_right", &["wordcount", "--allow"]);
    refused(&stage, &["run", &rom, "--allow", "no rule"], 125, "malformed", &["no rule"]);
    refused(&stage, &["run", &rom, "-A", "--env", "x"], 125, "usage", &["--env x", "K=V"]);
    refused(&stage, &["run", &rom, "-A", "--dir", "/"], 125, "usage", &["--dir /", "HOST::GUEST"]);
    refused(&stage, &["run", &rom, "-A", "--dir", "/no/where::/"], 127, "not_found", &["the folder /no/where"]);
    sound(stage);
}
