//! A flipped bit in each kind of file that a node keeps.

use crate::refused::{START, is_refusal, no_panic, refused, well};
use crate::support::{Stage, guest};
use std::fs;
use std::path::{Path, PathBuf};

const TALLY: &str = "/self/tally";

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = vec![folder.to_path_buf()];
    while let Some(folder) = rest.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { rest.push(path) } else { found.push(path) }
        }
    }
    let mut files: Vec<PathBuf> =
        found.iter().map(|path| path.strip_prefix(folder).expect("it is below").to_path_buf()).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(from.join(&file), target).expect("a copy");
    }
}

/// Flips a bit in the middle of what a file holds.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).expect("a file");
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    assert!(length > 0, "{} is empty", file.display());
    bytes[length / 2] ^= 0x04;
    fs::write(file, bytes).expect("a file");
}

/// A stage whose node has stopped in order once, then gone on, and was killed: what it has acknowledged is in its log, in
/// snapshots, and in history.
fn kept() -> Stage {
    let mut stage = Stage::new();
    stage.start(&START);
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    for count in 1..=8 {
        assert_eq!(well(&stage, &["call", TALLY, "add", "a", "1"]), count.to_string());
    }
    well(&stage, &["set", "/self/motd", "here"]);
    well(&stage, &["stop"]);
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
    stage.start(&START);
    for count in 9..=12 {
        assert_eq!(well(&stage, &["call", TALLY, "add", "a", "1"]), count.to_string());
    }
    stage.kill();
    stage
}

/// Everything that was acknowledged is there.
fn whole(stage: &Stage, what: &str) {
    assert_eq!(well(stage, &["get", "/self/motd"]), "here", "{what}");
    assert_eq!(well(stage, &["query", TALLY, "total"]), "12", "{what}");
}

#[test]
fn a_flipped_bit_is_found_and_named_or_costs_what_can_be_spared() {
    let mut stage = kept();
    let state = stage.folder.path().join("state");
    let master = stage.folder.path().join("master");
    copy(&state, &master);
    let mut kinds = std::collections::BTreeSet::new();
    for file in files(&master) {
        let name = file.to_string_lossy().into_owned();
        let kind = name.split('/').next().expect("a name").to_string();
        copy(&master, &state);
        if kind == "lock" || kind == "apply.mark" {
            continue;
        }
        kinds.insert(kind.clone());
        flip(&state.join(&file));
        match kind.as_str() {
            "wal" | "snap" if !name.contains("/base.") => {
                refused(&stage, &START, 125, "damaged", &[&name]);
            }
            "begun" | "cluster" | "home" | "key" => {
                refused(&stage, &START, 125, "damaged", &[&name, "restore the file from a backup"]);
                fs::remove_file(state.join(&file)).expect("a file");
                if kind != "begun" {
                    refused(&stage, &START, 125, "damaged", &[&name, "is gone"]);
                }
            }
            "version" => drop(refused(&stage, &START, 125, "unsupported", &["version"])),
            // Of the past: an older snapshot too.
            "hist" | "snap" => {
                stage.start(&START);
                whole(&stage, &name);
                well(&stage, &["call", TALLY, "add", "b", "1"]);
                past(&stage);
                no_panic(&stage.node_log(), &name);
                stage.kill();
            }
            "blobs" => damaged_blob(&mut stage),
            other => panic!("a file of a kind that this test does not know: {other}"),
        }
    }
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(kinds, ["begun", "blobs", "cluster", "hist", "home", "key", "snap", "version", "wal"]);
    // What was damaged was a copy.
    copy(&master, &state);
    stage.start(&START);
    whole(&stage, "undamaged");
}

/// Revision 1 made the mount, and each call another: of the past there is the truth or a refusal.
fn past(stage: &Stage) {
    for revision in 2..10_u64 {
        let said = stage.say(&["query", TALLY, "total", "--at", &revision.to_string(), "--json"]);
        no_panic(&said.stderr, "the past");
        if said.code == 0 {
            assert!(said.stdout.contains(&format!(r#""answer":"{}""#, revision - 1)), "{}", said.stdout);
        } else {
            is_refusal(&said, "the past", 125, "damaged", &[TALLY, "hist/"]);
        }
    }
}

/// A module whose code is damaged waits, and says what cures it; the rest serves.
fn damaged_blob(stage: &mut Stage) {
    // Without the cache that has it compiled.
    let _ = fs::remove_dir_all(stage.folder.path().join("cache"));
    stage.start(&START);
    assert_eq!(well(stage, &["get", "/self/motd"]), "here");
    refused(stage, &["query", TALLY, "total", "--within", "2s"], 125, "held", &[TALLY, "isx publish"]);
    well(stage, &["publish", &guest("tally").to_string_lossy()]);
    whole(stage, "published again");
    no_panic(&stage.node_log(), "a damaged blob");
    stage.kill();
}
