//! A disk that is full: a folder in memory of a few megabytes that only the node sees.

use crate::refused::{START, no_panic, refused, well};
use crate::support::{Stage, guest, said};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes that the disk has.
const DISK: &str = "16m";
/// How long a node may need to go on once there is room.
const WITHIN: Duration = Duration::from_secs(30);

/// A command within namespaces of its own, in which `$0` is a disk of [`DISK`].
fn on_small_disk(stage: &Stage, arguments: &[&str]) -> Command {
    let inner = stage.isx(arguments);
    let mount = format!("mount -t tmpfs -o size={DISK},mode=700 none \"$0\" && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &mount]).arg(stage.folder.path().join("state"));
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(stage.folder.path());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_is_old() {
    let mut stage = Stage::new();
    std::fs::create_dir(stage.folder.path().join("state")).expect("a folder");
    let tried = said(on_small_disk(&stage, &["limits"]).output().expect("unshare runs"));
    if tried.code != 0 {
        eprintln!("no small disk can be made here, so nothing is tested: {}", tried.stderr);
        return;
    }
    let start = on_small_disk(&stage, &START);
    stage.run(start);
    // The namespace that the node lives in, seen from here.
    let state = PathBuf::from(format!("/proc/{}/root{}", stage.process(), stage.folder.path().join("state").display()));
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    well(&stage, &["call", "/self/tally", "add", "a", "1"]);
    well(&stage, &["set", "/self/motd", "here"]);

    // What somebody else keeps there takes the rest.
    let filler = state.join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while std::io::Write::write(&mut file, &[1; 64 * 1024]).is_ok_and(|written| written > 0) {}
    drop(file);
    let large = "x".repeat(60 * 1024);
    let mut acknowledged = 0;
    while stage.say(&["set", &format!("/self/cell-{acknowledged}"), &large, "--within", "2s"]).code == 0 {
        acknowledged += 1;
        assert!(acknowledged < 1000, "the disk is never full");
    }
    // That one found out: it is in the log and waits. What comes now is told.
    let full = ["the node's disk is full", "free space"];
    refused(&stage, &["set", "/self/motd", "there", "--within", "2s"], 124, "deadline", &full);
    refused(&stage, &["call", "/self/tally", "add", "a", "1", "--within", "2s"], 124, "deadline", &full);
    let hello = guest("hello").to_string_lossy().into_owned();
    refused(&stage, &["publish", &hello, "--within", "2s"], 124, "deadline", &full);
    let readable = |stage: &Stage| {
        assert_eq!(well(stage, &["get", "/self/motd"]), "here");
        assert_eq!(well(stage, &["query", "/self/tally", "total"]), "1");
        for cell in 0..acknowledged {
            assert_eq!(well(stage, &["get", &format!("/self/cell-{cell}")]).len(), large.len());
        }
    };
    readable(&stage);

    std::fs::remove_file(&filler).expect("a file");
    let until = Instant::now() + WITHIN;
    while stage.say(&["call", "/self/tally", "add", "a", "1", "--within", "5s"]).code != 0 {
        assert!(Instant::now() < until, "it does not go on: {}", stage.node_log());
    }
    well(&stage, &["publish", &hello]);
    assert_eq!(well(&stage, &["get", "/self/motd"]), "here");
    no_panic(&stage.node_log(), "the node");
}
