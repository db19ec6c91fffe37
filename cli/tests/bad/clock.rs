//! A machine whose clock is set back two hours, and ahead two hours, under a running node and its callers.
//!
//! The wall clock of the programs is that of this machine and as many seconds more as a file says: a library that is loaded
//! before all others answers for it.

use crate::refused::{START, no_panic, well};
use crate::support::{Stage, guest};
use serde_json::Value as Json;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long what time sets off may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Adds the seconds in the file named by `SHIFT` to what the kernel says the wall clock is.
const SHIM: &str = r#"
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

#[repr(C)]
pub struct Timespec { seconds: i64, nanoseconds: i64 }

extern "C" {
    fn syscall(number: i64, ...) -> i64;
}

#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: i64 = 228;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: i64 = 113;
const CLOCK_REALTIME: i32 = 0;

static FILE: OnceLock<Option<File>> = OnceLock::new();

fn shift() -> i64 {
    let file = FILE.get_or_init(|| File::open(std::env::var_os("SHIFT")?).ok());
    let mut text = [0; 16];
    let read = file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or(0);
    std::str::from_utf8(&text[..read]).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[no_mangle]
pub unsafe extern "C" fn clock_gettime(clock: i32, into: *mut Timespec) -> i32 {
    let answer = syscall(CLOCK_GETTIME, clock, into) as i32;
    if answer == 0 && clock == CLOCK_REALTIME {
        (*into).seconds += shift();
    }
    answer
}
"#;

/// A stage whose programs have such a clock, and the file that shifts it.
fn shifted() -> (Stage, PathBuf) {
    let mut stage = Stage::new();
    let [source, shim, shift] = ["shim.rs", "shim.so", "shift"].map(|name| stage.folder.path().join(name));
    fs::write(&source, SHIM).expect("a file");
    fs::write(&shift, "0").expect("a file");
    let mut rustc = Command::new("rustc");
    let built = rustc.args(["--edition=2021", "--crate-type=cdylib", "-o"]).args([&shim, &source]).status();
    assert!(built.expect("rustc runs").success(), "the library is built");
    stage.variables.extend([("LD_PRELOAD", shim), ("SHIFT", shift.clone())]);
    (stage, shift)
}

/// What a node does at any time, and its callers.
fn works(stage: &Stage, round: u64) {
    let total = || well(stage, &["query", "/self/tally", "total"]).parse::<u64>().expect("a number");
    let before = total();
    assert_eq!(well(stage, &["call", "/self/tally", "add", "a", "1"]), (before + 1).to_string());
    assert_eq!(total(), before + 1);
    let number = round.to_string();
    well(stage, &["set", "/self/motd", &number]);
    assert_eq!(well(stage, &["get", "/self/motd"]), number);
    well(stage, &["publish", &guest("tally").to_string_lossy(), &format!("/self/tally-{number}")]);
    assert_eq!(well(stage, &["call", &format!("/self/tally-{number}"), "add", "a", "1"]), "1");
    // Time goes on for what waits for it.
    let beats = || well(stage, &["query", "/self/probe", "beats"]).parse::<u64>().expect("a number");
    let (begun, before) = (Instant::now(), beats());
    while beats() <= before {
        assert!(begun.elapsed() < WITHIN, "no beat after {before}: {}", stage.node_log());
    }
}

/// The times of the revisions of a mount, the last first.
fn times(stage: &Stage) -> Vec<String> {
    let history = well(stage, &["history", "/self/tally", "--json"]);
    let time = |line: &str| {
        let json: Json = serde_json::from_str(line).expect("JSON");
        json["time"].as_str().expect("a time").to_string()
    };
    history.lines().map(time).collect()
}

#[test]
fn a_clock_that_is_set_wrong_stops_nothing() {
    let (mut stage, shift) = shifted();
    let set = |seconds: i64| {
        // Replaced in one write of the same length: whoever reads sees one or the other.
        fs::write(&shift, format!("{seconds:<8}")).expect("a file");
    };
    set(0);
    stage.start(&START);
    for guest_name in ["tally", "probe"] {
        well(&stage, &["publish", &guest(guest_name).to_string_lossy()]);
    }
    works(&stage, 0);
    let logged_in = well(&stage, &["whoami"]);
    set(-7200);
    works(&stage, 1);
    set(7200);
    works(&stage, 2);
    // So that the log is far ahead of the clock when the node begins anew.
    stage.kill();
    stage.start(&START);
    works(&stage, 3);
    stage.kill();
    set(-7200);
    stage.start(&START);
    works(&stage, 4);
    assert_eq!(well(&stage, &["whoami"]), logged_in);
    let times = times(&stage);
    assert!(times.is_sorted_by(|later, earlier| later >= earlier), "log time never goes back: {times:?}");
    well(&stage, &["stop"]);
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
    no_panic(&stage.node_log(), "the node");
}
