//! Operating one node through the real binary: what it counts, what it serves, what it holds to.

mod support;

use serde_json::Value as Json;
use support::{Stage, guest};

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];

/// A stage with a node that has `tally`.
fn stage() -> Stage {
    let mut stage = Stage::new();
    stage.start(&START);
    let published = stage.say(&["publish", &guest("tally").to_string_lossy()]);
    assert_eq!(published.code, 0, "{}", published.stderr);
    stage
}

/// The records that a command prints.
fn records(stage: &Stage, arguments: &[&str]) -> Vec<Json> {
    let said = stage.say(&[&["--json"], arguments].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
    said.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn top_shows_what_calls_came_to() {
    let stage = stage();
    for _ in 0..3 {
        assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "2"]).code, 0);
    }
    assert_ne!(stage.say(&["call", "/self/tally", "remove", "a", "100"]).code, 0);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).stdout.trim(), "6");

    let functions = records(&stage, &["top", "/self/tally"]);
    let of = |name: &str| {
        let found = functions.iter().find(|one| one["function"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {functions:?}"));
        ["calls", "answered", "application", "rows_changed"]
            .map(|column| found[column].as_str().unwrap_or("").to_string())
    };
    assert_eq!(of("add"), ["3", "3", "0", "6"]);
    assert_eq!(of("remove"), ["1", "0", "1", "0"]);
    assert_eq!(of("total"), ["1", "1", "0", "0"]);
    let mounts = records(&stage, &["top"]);
    assert_eq!((mounts[0]["path"].as_str(), mounts[0]["calls"].as_str()), (Some("/alpha/tally"), Some("5")));

    // What is no terminal gets one table.
    let table = stage.say(&["top"]).stdout;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(&lines[0][..5], ["path", "calls", "errors", "traps", "refused"], "{table}");
    assert_eq!(&lines[1][..5], ["/alpha/tally", "5", "1", "0", "0"], "{table}");
    assert_eq!(stage.say(&["top", "/self/nothing"]).code, 127);
}
