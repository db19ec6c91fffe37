//! How a command fails: one clear error, and an exit code that scripts can use.

use isx_row::{Class, Code, Error};
use serde_json::json;
use std::process::ExitCode;

/// isx's own exit codes.
const DEADLINE: u8 = 124;
/// What was asked for failed, or something needs doing.
pub const FAILED: u8 = 125;
const REFUSED: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Prints the error with its cure and returns the exit code it stands for.
pub fn report(error: &anyhow::Error, as_json: bool) -> ExitCode {
    let known = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
    let text = format!("{error:#}");
    if as_json {
        let shown = json!({ "error": {
            "code": known.map(|error| error.code.word()),
            "class": known.map(|error| error.class().word()),
            "text": text,
            "cure": known.map(|error| error.code.cure()),
        }});
        eprintln!("{shown}");
    } else {
        eprintln!("error: {text}");
        if let Some(error) = known {
            eprintln!("  {}", error.code.cure());
        }
    }
    ExitCode::from(known.map_or(FAILED, exit_code))
}

/// The exit code that stands for an error.
pub fn exit_code(error: &Error) -> u8 {
    match (error.code, error.class()) {
        (Code::NotFound, _) => NOT_FOUND,
        (Code::Missing | Code::Denied, _) => REFUSED,
        (_, Class::Unknown) => DEADLINE,
        _ => FAILED,
    }
}
