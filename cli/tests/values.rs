//! Last values through the real binary: put, shown, followed, deleted; each caller has his own.

mod support;

use serde_json::Value as Json;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Said, Stage, guest, said};

const CURSOR: &str = "/self/probe:cursor";
/// Longer than a session that nobody has stays, on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

fn well(stage: &Stage, arguments: &[&str]) -> String {
    let said = stage.say(arguments);
    assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    said.stdout
}

/// A command of another user.
fn other(stage: &Stage, arguments: &[&str]) -> Said {
    let mut command: Command = stage.isx(arguments);
    command.env("XDG_CONFIG_HOME", stage.folder.path().join("other"));
    said(command.output().expect("the binary runs"))
}

fn rows(stage: &Stage) -> Vec<Json> {
    let printed = well(stage, &["rows", CURSOR, "--json"]);
    printed.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

#[test]
fn values_are_put_followed_and_deleted() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    well(&stage, &["publish", &guest("probe").to_string_lossy()]);
    let schema = well(&stage, &["schema", "/self/probe"]);
    let line = "public cursor { hand: u8, who: principal caller, x: f32, label: string }, volatile";
    assert!(schema.contains(line), "{schema}");
    assert!(well(&stage, &["schema", "/self/probe", "--json"]).contains(r#""kind":"volatile""#));

    let mut watch = stage.isx(&["watch", CURSOR, "--json", "--count", "4"]);
    let mut watching = watch.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut told = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Json {
        let line = told.next().expect("it goes on").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    };
    let is = |told: &Json, what: &str, side: &str, x: f64| {
        assert_eq!((told["change"].as_str(), told[side]["x"].as_f64()), (Some(what), Some(x)), "{told}");
        told[side]["who"].as_str().expect("a principal").to_string()
    };
    // It may be that the first is there when it begins to follow.
    assert_eq!(well(&stage, &["put", CURSOR, "1", "-2.5", "here"]), "");
    let first = next();
    let mine = first["new"]["who"].as_str().expect("a principal").to_string();
    well(&stage, &["put", CURSOR, "1", "4", "there"]);
    assert_eq!(is(&next(), "update", "new", 4.0), mine);

    // Another has a row of his own with the same columns, and none of this one's.
    let done = other(&stage, &["put", CURSOR, "1", "8", "mine"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let theirs = is(&next(), "insert", "new", 8.0);
    assert_ne!(theirs, mine);
    assert_eq!(other(&stage, &["put", CURSOR, "1", "--delete"]).code, 0);
    assert_eq!(is(&next(), "delete", "old", 8.0), theirs);
    assert!(watching.wait().expect("it ends").success());
    let there = rows(&stage);
    assert_eq!((there.len(), there[0]["who"].as_str(), there[0]["x"].as_f64()), (1, Some(&*mine), Some(4.0)));
    assert!(well(&stage, &["rows", CURSOR]).starts_with("hand  who "), "as a table too");

    // The row goes with its session, which ended with the command that put it.
    let until = Instant::now() + WITHIN;
    while !rows(&stage).is_empty() {
        assert!(Instant::now() < until, "it stays");
    }
    // One that holds it does not end.
    let mut hold = stage.isx(&["put", CURSOR, "2", "1", "held", "--hold", "1h"]);
    let mut holding = hold.spawn().expect("the binary runs");
    while rows(&stage).is_empty() {
        assert!(Instant::now() < until + WITHIN, "it is not put");
    }
    holding.kill().expect("it runs");
    holding.wait().expect("it ended");
}

#[test]
fn what_is_no_value_is_refused_with_its_cure() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    well(&stage, &["publish", &guest("probe").to_string_lossy()]);
    for (words, code, text) in [
        (&["put", CURSOR, "1", "2"][..], 125, "cursor takes (hand: u8, x: f32, label: string) to put, got 2 words"),
        (&["put", CURSOR, "--delete"], 125, "cursor takes (hand: u8) to delete, got 0 words"),
        (&["put", CURSOR, "1", "left", "x"], 125, "x: expected"),
        (&["put", "/self/probe:note", "1"], 125, "note is a durable table: reducers write its rows"),
        (&["put", "/self/probe:nothing", "1"], 127, "has no table nothing"),
        (&["put", "/self/probe", "1"], 125, "say PATH:table"),
        (&["rows", CURSOR, "--at", "1"], 125, "is volatile: of revision 1 nobody kept its rows"),
        (&["call", "/self/probe", "cursor.put", "1"], 127, "has no cursor.put"),
    ] {
        let said = stage.say(words);
        assert!(said.code == code && said.stderr.contains(text), "{words:?}: {} {}", said.code, said.stderr);
    }
    // A private one is the owner's, and a comparison of the past passes over both.
    well(&stage, &["put", "/self/probe:glance", "7"]);
    assert!(well(&stage, &["rows", "/self/probe:glance"]).trim_end().ends_with("  7"));
    well(&stage, &["diff", "/self/probe", "--from", "1"]);
}
