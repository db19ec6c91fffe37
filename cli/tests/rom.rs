//! ROMs through the real binary: many calls in flight, streams, ends by code, by signal and by deadline.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Said, Stage, guest, said};

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];
/// How long what ends at once may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn run(stage: &Stage, flags: &[&str], words: &[&str]) -> Command {
    let rom = guest("rom-probe");
    let rom = rom.to_string_lossy();
    let arguments = [&["run"], flags, &[&*rom, "--"], words].concat();
    stage.isx(&arguments)
}

fn say(stage: &Stage, flags: &[&str], words: &[&str]) -> Said {
    said(run(stage, flags, words).output().expect("the binary runs"))
}

/// Begins a ROM, and waits until it says this on standard error.
fn begin(mut command: Command, sign: &str) -> (Child, impl BufRead + use<>) {
    let running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut running = running.expect("the binary runs");
    let mut told = BufReader::new(running.stderr.take().expect("a pipe"));
    let mut text = String::new();
    while !text.ends_with(&format!("{sign}\n")) {
        assert_ne!(told.read_line(&mut text).expect("a line"), 0, "no {sign:?}: {text}");
    }
    (running, told)
}

#[expect(unsafe_code, reason = "the standard library sends no signals but one")]
fn signal(running: &Child, signal: i32) {
    let process = i32::try_from(running.id()).expect("a process");
    // SAFETY: a signal to our own child, which has not been waited for.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}

#[test]
fn a_thousand_calls_are_in_flight_from_one_rom() {
    let mut stage = Stage::new();
    stage.start(&START);
    let done = say(&stage, &["-A"], &["calls", "1024"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "1024 of 1024 answered, 1024 in all\n"), "{}", done.stderr);
    assert_eq!(stage.say(&["query", "/self/rom-probe", "get", "call"]).stdout.trim(), "1024");
}

#[test]
fn a_rom_puts_and_follows_last_values_as_far_as_it_wants_to() {
    let mut stage = Stage::new();
    stage.start(&START);
    assert_eq!(stage.say(&["publish", &guest("probe").to_string_lossy()]).code, 0);
    let done = say(&stage, &["-A"], &["point", "200"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "at rest, missing_right\n"), "{}", done.stderr);
    assert!(stage.say(&["rows", "/self/probe:cursor"]).stdout.contains("at 200"));
}

#[test]
fn a_rom_brings_its_own_node_where_there_is_none_and_runs_bare_where_it_is_told() {
    let stage = Stage::new();
    let done = say(&stage, &[], &["calls", "10"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "10 of 10 answered, 10 in all\n"), "{}", done.stderr);
    assert!(done.stderr.contains("brings its own"), "{}", done.stderr);
    let bare = say(&stage, &["--no-dial", "-A"], &["calls", "10"]);
    assert_eq!(bare.code, 1, "{}", bare.stderr);
    assert!(
        bare.stderr.contains("the ROM runs bare, with --no-dial") && !bare.stderr.contains("own"),
        "{}",
        bare.stderr
    );
    let timed = say(&stage, &["--no-dial", "-A"], &["timers"]);
    assert_eq!(timed.stdout, "all in time\n", "{}", timed.stderr);
}

#[test]
fn a_rom_ends_with_its_code() {
    let stage = Stage::new();
    for code in [0, 7, 126, 255] {
        assert_eq!(say(&stage, &["--no-dial", "-A"], &["exit", &code.to_string()]).code, code);
    }
    let failed = say(&stage, &["--no-dial", "-A"], &["fail"]);
    assert_eq!((failed.code, failed.stderr.lines().next()), (1, Some("error: conflict: it was told to fail")));
    let trapped = say(&stage, &["--no-dial", "-A"], &["panic"]);
    assert_eq!(trapped.code, 125);
    for text in ["it was told to panic", "the program trapped"] {
        assert!(trapped.stderr.contains(text), "says nothing of {text:?}: {}", trapped.stderr);
    }
    // Nothing is allowed that was not asked for, and there is nobody to ask.
    let refused = say(&stage, &["--no-dial"], &["exit", "0"]);
    assert!(refused.code == 126 && refused.stderr.contains("--allow host.walk=/self"), "{}", refused.stderr);
}

#[test]
fn rights_are_given_rule_by_rule() {
    let stage = Stage::new();
    let all = ["host", "anchor", "module", "tally", "fake", "probe"].map(|rule| ["--allow", rule]);
    assert_eq!(say(&stage, &[&["--no-dial"], all.as_flattened()].concat(), &["exit", "3"]).code, 3);
    let but_one = say(&stage, &[&["--no-dial"], all[1..].as_flattened()].concat(), &["exit", "3"]);
    assert!(but_one.code == 126 && but_one.stderr.contains("--allow host.walk=/self"), "{}", but_one.stderr);
    let wrong = say(&stage, &["--no-dial", "--allow", "host="], &["exit", "3"]);
    assert!(wrong.code == 125 && wrong.stderr.contains("\"host=\""), "{}", wrong.stderr);
}

#[test]
fn a_signal_ends_a_rom_and_its_node_in_order() {
    let stage = Stage::new();
    for (number, code, program, sign) in
        [(libc::SIGINT, 130, "wait", "waiting"), (libc::SIGTERM, 143, "spin", "spinning")]
    {
        let (mut running, mut told) = begin(run(&stage, &[], &[program]), sign);
        let begun = Instant::now();
        signal(&running, number);
        assert_eq!(running.wait().expect("it ends").code(), Some(code), "{program}");
        assert!(begun.elapsed() < SOON, "{program} took {:?}", begun.elapsed());
        let mut rest = String::new();
        told.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "{program}");
    }
    // The node that it brought along has left nothing behind: the next one begins there.
    assert_eq!(stage.say(&["get", "/self/nothing"]).code, 127);
    assert_eq!(say(&stage, &[], &["calls", "1"]).stdout, "1 of 1 answered, 1 in all\n");
}

#[test]
fn a_rom_at_its_deadline_is_ended() {
    let stage = Stage::new();
    let ended = say(&stage, &["--no-dial", "-A", "--deadline", "200ms"], &["wait"]);
    assert!(ended.code == 124 && ended.stderr.contains("--deadline"), "{} {}", ended.code, ended.stderr);
    let ended = say(&stage, &["--no-dial", "-A", "--deadline", "200ms", "--json"], &["spin"]);
    assert!(ended.code == 124 && ended.stderr.contains(r#""code":"deadline""#), "{} {}", ended.code, ended.stderr);
    assert_eq!(say(&stage, &["--no-dial", "-A", "--deadline", "1h"], &["exit", "9"]).code, 9);
}

#[test]
fn lines_are_answered_as_they_come() {
    let stage = Stage::new();
    let mut running = run(&stage, &["--no-dial", "-A"], &["upper"]);
    let running = running.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut running = running.expect("the binary runs");
    let mut typed = running.stdin.take().expect("a pipe");
    let mut said = BufReader::new(running.stdout.take().expect("a pipe"));
    let mut ask = |line: &str| {
        typed.write_all(line.as_bytes()).expect("it is read");
        let mut answer = String::new();
        said.read_line(&mut answer).expect("an answer");
        answer
    };
    // The second is not there yet when the first is answered, and timers go on meanwhile.
    assert_eq!(ask("one\n"), "ONE\n");
    assert_eq!(ask("tick\n"), "TICK\n");
    assert_eq!(ask("two\n"), "TWO\n");
    typed.write_all(b"last").expect("it is read");
    drop(typed);
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "LAST\n");
    assert_eq!(running.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_rom_whose_reader_goes_ends_without_a_word() {
    let stage = Stage::new();
    for words in [&["pour"][..], &["pour", "blocking"]] {
        let (mut running, mut told) = begin(run(&stage, &["--no-dial", "-A"], words), "pouring");
        let mut some = [0; 100_000];
        running.stdout.take().expect("a pipe").read_exact(&mut some).expect("what it pours");
        assert_eq!(running.wait().expect("it ends").code(), Some(141), "{words:?}");
        let mut rest = String::new();
        told.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "{words:?}");
    }
}

/// What `isx` prints when it does well.
fn well(stage: &Stage, arguments: &[&str]) -> String {
    let said = stage.say(arguments);
    assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    said.stdout.trim().to_string()
}

fn refused(stage: &Stage, arguments: &[&str], code: i32, text: &str) {
    let said = stage.say(arguments);
    assert_eq!(said.code, code, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains(text), "isx {arguments:?} says nothing of {text:?}: {}", said.stderr);
}

/// The hash of a shipped guest, and what there is.
fn shipped(stage: &Stage, name: &str) -> String {
    let all = well(stage, &["inspect", "std:", "--json"]);
    let all = all.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let all: Vec<serde_json::Value> = all.collect();
    let names: Vec<&str> = all.iter().filter_map(|guest| guest["name"].as_str()).collect();
    assert_eq!(names, ["std:caller", "std:hello", "std:tally", "std:wordcount"], "shipped: not the tests' own");
    let found = all.iter().find(|guest| guest["name"] == *format!("std:{name}")).expect("it is shipped");
    found["hash"].as_str().expect("a hash").to_string()
}

#[test]
fn one_rom_runs_by_file_by_name_by_hash_and_by_anchor() {
    let mut stage = Stage::new();
    stage.start(&START);
    let hash = shipped(&stage, "wordcount");
    let file = guest("wordcount").to_string_lossy().into_owned();
    refused(&stage, &["run", &hash], 127, "no blob");
    refused(&stage, &["run", "/self/wc"], 127, "no anchor");
    let bound = well(&stage, &["publish", &file, "/self/wc"]);
    assert!(bound.starts_with("bound /self/wc: a ROM of") && bound.ends_with(&format!("code {hash}")), "{bound}");
    assert_eq!(well(&stage, &["get", "/self/wc"]), hash);
    assert!(well(&stage, &["publish", "std:wordcount", "/self/wc"]).starts_with("unchanged /self/wc"));

    for (at, road) in [file.as_str(), "std:wordcount", &hash, "/self/wc"].into_iter().enumerate() {
        refused(&stage, &["run", road], 126, "--allow");
        let text = stage.folder.path().join("text");
        std::fs::write(&text, "one two two").expect("a file");
        let mut run = stage.isx(&["run", "-A", road]);
        let run = said(run.stdin(std::fs::File::open(text).expect("a file")).output().expect("the binary runs"));
        assert_eq!(run.code, 0, "{road}: {}", run.stderr);
        assert_eq!(well(&stage, &["query", "/self/wordcount", "get", "two"]), (2 * (at + 1)).to_string(), "{road}");
        assert!(well(&stage, &["inspect", road]).contains(&hash), "{road}");
    }

    // It is no module, a module is no ROM, and a name is taken once.
    refused(&stage, &["mount", "/self/x", &hash], 125, "run it with `isx run`");
    refused(&stage, &["publish", &file], 125, "which anchor is to hold its hash");
    refused(&stage, &["publish", &file, "/self/wordcount"], 125, "a module is mounted at");
    refused(&stage, &["run", "-A", "std:tally"], 125, "a module is published");
    well(&stage, &["set", "/self/motd", "hello"]);
    refused(&stage, &["run", "/self/motd"], 125, "`isx get /self/motd` shows it");
    refused(&stage, &["publish", &file, "/self/motd"], 125, "would be lost");
    refused(&stage, &["run", "/self"], 127, "has no value");
    refused(&stage, &["run", "--no-dial", &hash], 125, "--no-dial asks none");

    // The node keeps it, and what is damaged there is told, and cured.
    stage.kill();
    let blob = stage.folder.path().join("state/blobs").join(&hash);
    let whole = std::fs::read(&blob).expect("the blob");
    stage.start(&START);
    assert!(!stage.node_log().contains("can not be loaded"), "{}", stage.node_log());
    assert!(well(&stage, &["inspect", &hash]).contains(&hash));
    let mut other = whole.clone();
    *other.last_mut().expect("bytes") ^= 1;
    std::fs::write(&blob, other).expect("the blob");
    refused(&stage, &["run", "-A", "/self/wc"], 125, "damaged");
    well(&stage, &["publish", &file, "/self/wc"]);
    assert!(well(&stage, &["inspect", &hash]).contains(&hash) && std::fs::read(&blob).expect("the blob") == whole);
}

#[test]
fn what_is_shipped_is_taken_wherever_a_component_is() {
    let stage = Stage::new();
    let published = well(&stage, &["publish", "std:tally", "/self/sums"]);
    assert!(published.starts_with("mounted /self/sums: tally") && published.ends_with(&shipped(&stage, "tally")));
    assert_eq!(well(&stage, &["call", "/self/sums", "add", "a", "3"]), "3");
    assert!(well(&stage, &["inspect", "std:tally"]).contains("add(key: string"));
    assert_eq!(well(&stage, &["schema", "std:tally"]), well(&stage, &["schema", "/self/sums"]));
    assert!(well(&stage, &["bindings", "std:tally", "--lang", "rust"]).contains("fn add"));
    // With no node to dial a ROM that one keeps runs on it too.
    well(&stage, &["publish", "std:wordcount", "/self/wc"]);
    let run = stage.say(&["run", "/self/wc"]);
    assert!(run.code == 0 && run.stderr.contains("brings its own"), "{}", run.stderr);

    for none in ["std:", "std:nobody"] {
        for verb in ["run", "publish", "schema"] {
            refused(&stage, &[verb, none], 127, "std:tally, std:wordcount");
        }
    }
    refused(&stage, &["run", "wordcount"], 127, "std:wordcount is shipped");
    // A file goes before a name.
    std::fs::write(stage.folder.path().join("wordcount"), "#!/bin/sh").expect("a file");
    refused(&stage, &["run", "wordcount"], 125, "not WebAssembly");
}
