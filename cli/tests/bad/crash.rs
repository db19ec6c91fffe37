//! A node that is killed while it publishes, and while it takes its snapshots.

use crate::refused::{START, no_panic, well};
use crate::support::{Stage, guest};
use std::path::Path;
use std::process::Stdio;

const TALLY: &str = "/self/tally";
/// Tries to kill a node at a moment that is over soon.
const TRIES_MAX: usize = 40;

/// Whether a file whose name ends so lies in a folder.
fn has(folder: &Path, ending: &str) -> bool {
    let names = folder.read_dir().into_iter().flatten().flatten();
    names.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().ends_with(ending))
}

/// Gives a command, and kills the node as soon as `moment` is there; whether it was.
fn killed_within(stage: &mut Stage, command: &[&str], moment: impl Fn(&Path) -> bool) -> bool {
    let state = stage.folder.path().join("state");
    let mut given = stage.isx(&[command, &["--within", "2s"]].concat());
    let mut given = given.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
    let mut there = false;
    while !there && given.try_wait().expect("it runs").is_none() {
        there = moment(&state);
    }
    stage.kill();
    let _ = given.kill();
    given.wait().expect("it ended");
    there
}

#[test]
fn a_kill_while_a_module_is_published_leaves_all_or_nothing() {
    let mut stage = Stage::new();
    stage.start(&START);
    let (tally, hello) = (guest("tally"), guest("hello"));
    let (tally, hello) = (tally.to_string_lossy(), hello.to_string_lossy());
    well(&stage, &["publish", &tally]);
    well(&stage, &["call", TALLY, "add", "a", "7"]);
    let blob = well(&stage, &["inspect", &hello, "--json"]);
    let blob: serde_json::Value = serde_json::from_str(&blob).expect("JSON");
    let blob = blob["hash"].as_str().expect("a hash").to_string();
    // While its code is written, and between that and the mount.
    let moments: [&dyn Fn(&Path) -> bool; 2] =
        [&|state| has(&state.join("blobs"), ".draft"), &|state| state.join("blobs").join(&blob).exists()];
    for moment in moments {
        let mut tries = 0;
        while !killed_within(&mut stage, &["publish", &hello], moment) {
            tries += 1;
            assert!(tries < TRIES_MAX, "it was never killed in time: {}", stage.node_log());
            stage.start(&START);
            well(&stage, &["rm", "/self/hello", "--yes"]);
            stage.kill();
            let _ = std::fs::remove_file(stage.folder.path().join("state/blobs").join(&blob));
            stage.start(&START);
        }
        stage.start(&START);
        assert_eq!(well(&stage, &["query", TALLY, "total"]), "7");
        assert!(!has(&stage.folder.path().join("state/blobs"), ".draft"), "nothing half is left");
        let there = stage.say(&["schema", "/self/hello"]);
        assert!([0, 127].contains(&there.code), "all or nothing: {}", there.stderr);
        well(&stage, &["publish", &hello]);
        well(&stage, &["schema", "/self/hello"]);
        well(&stage, &["rm", "/self/hello", "--yes"]);
        no_panic(&stage.node_log(), "the node");
    }
}

#[test]
fn a_kill_while_snapshots_are_taken_loses_nothing() {
    let mut stage = Stage::new();
    stage.start(&START);
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    // A megabyte, so that a snapshot takes a moment.
    let large = "x".repeat(60 * 1024);
    for cell in 0..16 {
        well(&stage, &["set", &format!("/self/cell-{cell}"), &large]);
    }
    let (mut total, mut hits) = (0, 0);
    for round in 0..TRIES_MAX {
        well(&stage, &["call", TALLY, "add", &format!("round-{round}"), "1"]);
        total += 1;
        let moment = |state: &Path| has(&state.join("snap/0"), ".new") || has(&state.join("snap/1"), ".new");
        hits += usize::from(killed_within(&mut stage, &["stop"], moment));
        stage.start(&START);
        assert_eq!(well(&stage, &["query", TALLY, "total"]), total.to_string(), "{}", stage.node_log());
        assert_eq!(well(&stage, &["rows", "/self/tally:counter", "--json"]).lines().count(), total);
        no_panic(&stage.node_log(), "the node");
        if hits == 2 {
            break;
        }
    }
    assert!(hits > 0, "it was never killed in time");
}
