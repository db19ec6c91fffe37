//! Commands of other toolchains, which export `wasi:cli/run@0.2` and know nothing of isx, through the real binary.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use support::{Said, Stage, said};

/// A program of the standard library, compiled as anybody compiles one.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command.wasm");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/program.rs");
        let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "--target", "wasm32-wasip2", "-Copt-level=1", "-o"])
            .args([&file, &source])
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "`cargo xtask setup` adds the target wasm32-wasip2");
        file
    })
}

/// `isx run` with these flags, and the program with these words.
fn run(stage: &Stage, flags: &[&str], words: &[&str]) -> Command {
    let program = program().to_string_lossy();
    let arguments = [&["run"], flags, &[&*program, "--"], words].concat();
    stage.isx(&arguments)
}

fn say(stage: &Stage, flags: &[&str], words: &[&str]) -> Said {
    said(run(stage, flags, words).output().expect("the binary runs"))
}

/// What it printed, and that it ended so.
fn check(stage: &Stage, flags: &[&str], words: &[&str], code: i32, printed: &str) -> String {
    let said = say(stage, flags, words);
    assert_eq!((said.code, said.stdout.as_str()), (code, printed), "{words:?}: {}", said.stderr);
    said.stderr
}

#[test]
fn a_command_has_its_words_its_variables_and_nothing_else() {
    let stage = Stage::new();
    let told = check(
        &stage,
        &["--env", "LANG=C", "--env", "EMPTY="],
        &["say", "-A", "--", "two words"],
        0,
        "command.wasm [\"-A\", \"--\", \"two words\"]\nLANG=C\nEMPTY=\n",
    );
    // It has no use for a node: none is looked for, and none is brought along.
    assert_eq!(told, "");
    assert_eq!(
        fs::read_dir(stage.folder.path())
            .expect("the stage")
            .filter(|entry| { entry.as_ref().is_ok_and(|entry| entry.file_name() == "state") })
            .count(),
        0,
        "a node was begun"
    );
    for flag in [&["--env", "LANG"], &["--dir", "/tmp"]] {
        let wrong = say(&stage, flag, &["say"]);
        assert!(wrong.code == 125 && wrong.stderr.contains("say "), "{}", wrong.stderr);
    }
}

#[test]
fn a_command_ends_as_it_says() {
    let stage = Stage::new();
    check(&stage, &[], &["exit", "0"], 0, "");
    // All that `wasi:cli/exit@0.2` can say.
    check(&stage, &[], &["exit", "7"], 1, "");
    let told = check(&stage, &[], &["panic"], 125, "");
    assert!(told.contains("it was told to panic") && told.contains("trap"), "{told}");
    check(&stage, &[], &["machine", "me"], 1, "");
    let random = [(); 2].map(|()| say(&stage, &[], &["machine"]));
    assert!(random.iter().all(|said| said.code == 0), "{}{}", random[0].stderr, random[1].stderr);
    assert_ne!(random[0].stdout, random[1].stdout);
}

#[test]
fn a_command_reads_and_writes_as_a_filter() {
    let stage = Stage::new();
    let text = "many lines, ".repeat(50_000);
    let file = stage.folder.path().join("text");
    fs::write(&file, &text).expect("a file");
    let mut filter = run(&stage, &[], &["upper"]);
    filter.stdin(fs::File::open(&file).expect("a file"));
    let done = said(filter.output().expect("the binary runs"));
    assert_eq!((done.code, done.stderr.as_str()), (0, "600000 bytes\n"));
    assert_eq!(done.stdout, text.to_uppercase());

    // Whoever reads the first line and goes, ends it, without a word.
    let mut pouring = run(&stage, &[], &["pour"]);
    let mut pouring = pouring.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut line = String::new();
    BufReader::new(pouring.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line.len(), 1_001);
    let done = said(pouring.wait_with_output().expect("it ends"));
    assert_eq!((done.code, done.stderr.as_str()), (141, ""));
}

#[test]
fn a_command_has_the_folders_it_is_given_and_nothing_around_them() {
    let stage = Stage::new();
    let here = stage.folder.path();
    let data = here.join("data");
    fs::create_dir_all(data.join("inner")).expect("a folder");
    fs::write(data.join("a"), "inside\n").expect("a file");
    fs::write(here.join("secret"), "outside\n").expect("a file");
    symlink("a", data.join("near")).expect("a link");
    symlink("../secret", data.join("far")).expect("a link");
    symlink(here.join("secret"), data.join("absolute")).expect("a link");
    symlink("..", data.join("up")).expect("a link");
    let dir = format!("{}::/data", data.display());
    let both = ["--dir", dir.as_str()];

    check(&stage, &both, &["read", "/data/a"], 0, "inside\n");
    check(&stage, &both, &["read", "/data/inner/../near"], 0, "inside\n");
    for path in
        ["/data/../secret", "/data/far", "/data/absolute", "/data/up/secret", "/secret", "secret", "/etc/passwd"]
    {
        check(&stage, &both, &["read", path], 1, "");
        if path != "/data/../secret" {
            check(&stage, &both, &["write", path, "changed"], 1, "");
        }
    }
    assert_eq!(fs::read_to_string(here.join("secret")).expect("the file"), "outside\n");
    check(&stage, &both, &["write", "/data/b", "new"], 0, "written\n");
    assert_eq!(fs::read_to_string(data.join("b")).expect("the file"), "new");
    check(&stage, &both, &["remove", "/data/b"], 0, "removed\n");

    let only = format!("{dir}:ro");
    let reading = ["--dir", only.as_str()];
    check(&stage, &reading, &["read", "/data/a"], 0, "inside\n");
    check(&stage, &reading, &["list", "/data/inner"], 0, "[]\n");
    for words in [&["write", "/data/c", "new"][..], &["write", "/data/a", "new"], &["remove", "/data/a"]] {
        check(&stage, &reading, words, 1, "");
    }
    assert_eq!(fs::read_to_string(data.join("a")).expect("the file"), "inside\n");
    check(&stage, &[], &["read", "/data/a"], 1, "");

    let missing = say(&stage, &["--dir", "/no/such::/data"], &["say"]);
    assert!(
        missing.code == 127 && missing.stderr.contains("the folder /no/such"),
        "{} {}",
        missing.code,
        missing.stderr
    );
}

#[test]
fn a_command_has_no_network() {
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    check(&stage, &["-A"], &["connect", &address], 0, "tcp: refused\nudp: refused\nname: refused\n");
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_err(), "something came through");
}

#[test]
fn a_command_that_goes_on_ends_at_its_deadline() {
    let stage = Stage::new();
    let told = check(&stage, &["--deadline", "300ms"], &["spin"], 124, "spinning\n");
    assert!(told.contains("--deadline"), "{told}");

    // Blocked by its reader, and by a file that never comes.
    let mut blocked = run(&stage, &["--deadline", "300ms"], &["pour"]);
    let mut blocked = blocked.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
    assert_eq!(blocked.wait().expect("it ends").code(), Some(124));
    let mut left = Vec::new();
    blocked.stdout.take().expect("a pipe").read_to_end(&mut left).expect("what it wrote");
    assert!(!left.is_empty());
    let pipe = stage.folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    let dir = format!("{}::/data", stage.folder.path().display());
    check(&stage, &["--deadline", "300ms", "--dir", &dir], &["read", "/data/pipe"], 124, "");
}

#[test]
fn what_is_no_component_is_refused_with_its_cure() {
    let stage = Stage::new();
    let file = stage.folder.path().join("old.wasm");
    // As compilers for wasip1 write it: one type, and one import of it.
    let wasip1 = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x1c\x01\x16wasi_snapshot_preview1\x01f\0\0";
    let ran = |bytes: &[u8]| {
        fs::write(&file, bytes).expect("a file");
        stage.say(&["run", "old.wasm"])
    };
    let old = ran(wasip1);
    assert!(old.code == 125 && old.stderr.contains("compile it for wasm32-wasip2"), "{} {}", old.code, old.stderr);
    assert!(old.stderr.contains("wasm-tools component new"), "{}", old.stderr);
    let text = ran(b"#!/bin/sh\n");
    assert!(text.code == 125 && text.stderr.contains("not WebAssembly"), "{} {}", text.code, text.stderr);
    let missing = stage.say(&["run", "none.wasm"]);
    assert!(missing.code == 127 && missing.stderr.contains("no file none.wasm"), "{} {}", missing.code, missing.stderr);
}

#[test]
fn a_command_in_javascript_runs_too() {
    let stage = Stage::new();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let compiler = target.join("tools/componentize-qjs/node_modules/componentize-qjs/cli.mjs");
    assert!(compiler.is_file(), "{} is missing: run `cargo xtask setup` first", compiler.display());
    let source = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command").join(file);
    let mut compile = Command::new("node");
    compile.arg(&compiler).arg("--sync").arg("--wit").arg(source("program.wit")).arg("--js").arg(source("program.js"));
    let compiled =
        said(compile.args(["-o", "greet.wasm"]).current_dir(stage.folder.path()).output().expect("node runs"));
    assert_eq!(compiled.code, 0, "{}{}", compiled.stdout, compiled.stderr);
    let greeted = stage.say(&["run", "greet.wasm", "--", "ada", "grace"]);
    assert_eq!((greeted.code, greeted.stdout.as_str()), (0, "hello, ada\nhello, grace\n"), "{}", greeted.stderr);
    assert_eq!(stage.say(&["run", "greet.wasm"]).code, 1, "what it throws is its failure");
}
