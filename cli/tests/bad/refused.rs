//! What every refusal is held to.

use crate::support::{Said, Stage, said};
use serde_json::Value as Json;
use std::process::Command;

/// Where nodes of these tests listen.
pub const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];

/// Refuses a command on a stage: with this exit code and error code, in one error that says all of this.
pub fn refused(stage: &Stage, arguments: &[&str], exit: i32, code: &str, says: &[&str]) -> String {
    refuses(stage.isx(&[&["--json"], arguments].concat()), exit, code, says)
}

/// As [`refused`], for a command that was prepared, with `--json` among its arguments.
pub fn refuses(mut command: Command, exit: i32, code: &str, says: &[&str]) -> String {
    let said = said(command.output().expect("the binary runs"));
    is_refusal(&said, &format!("{command:?}"), exit, code, says)
}

/// Checks what a command with `--json` said: one error, and nothing else.
pub fn is_refusal(said: &Said, command: &str, exit: i32, code: &str, says: &[&str]) -> String {
    // A command line may be of any size.
    let command = command.get(..2000).unwrap_or(command);
    let shown = || format!("{command}: {}{}", said.stdout, said.stderr);
    assert_eq!(said.code, exit, "{}", shown());
    no_panic(&said.stderr, command);
    assert_eq!(said.stdout, "", "{}", shown());
    let lines: Vec<&str> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "one error: {}", shown());
    let json: Json = serde_json::from_str(lines[0]).unwrap_or_else(|error| panic!("{error}: {}", shown()));
    let error = &json["error"];
    assert_eq!(error["code"].as_str(), Some(code), "{}", shown());
    assert!(error["cure"].as_str().is_some_and(|cure| !cure.is_empty()), "no cure: {}", shown());
    let text = error["text"].as_str().unwrap_or_default().to_string();
    for part in says {
        assert!(text.contains(part), "nothing of {part:?}: {}", shown());
    }
    assert!(text.len() < 4096, "{} bytes of error: {}", text.len(), shown());
    text
}

/// What a command answers that is not refused.
pub fn well(stage: &Stage, arguments: &[&str]) -> String {
    let said = stage.say(arguments);
    assert_eq!(said.code, 0, "isx {arguments:?}: {}{}{}", said.stdout, said.stderr, stage.node_log());
    no_panic(&said.stderr, &format!("{arguments:?}"));
    said.stdout.trim().to_string()
}

/// Nothing in a text says that a program panicked.
pub fn no_panic(text: &str, what: &str) {
    assert!(!text.contains("panicked"), "{what}: {text}");
}

/// The node that went through it: it answers, stops in order, and never panicked.
pub fn sound(mut stage: Stage) {
    well(&stage, &["status"]);
    well(&stage, &["stop"]);
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
    no_panic(&stage.node_log(), "the node");
}
