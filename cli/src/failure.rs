//! How a command fails: one clear error, and an exit code that scripts can use.

use isx_row::{Class, Code, Error};
use serde_json::json;
use std::process::ExitCode;

/// isx's own exit codes.
const MISUSED: u8 = 2;
const DEADLINE: u8 = 124;
/// What was asked for failed, or something needs doing.
pub const FAILED: u8 = 125;
const REFUSED: u8 = 126;
const NOT_FOUND: u8 = 127;
/// Characters of an error that are shown: a name in it may be of any length.
const TEXT_CHARS_MAX: usize = 2000;

/// Prints the error with its cure and returns the exit code it stands for. One that has no code is of the command's own.
pub fn report(error: &anyhow::Error, as_json: bool) -> ExitCode {
    let known = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
    let code = known.map_or(Code::Usage, |error| error.code);
    let text = cut(format!("{error:#}"));
    if as_json {
        let (word, class, cure) = (code.word(), code.class().word(), code.cure());
        eprintln!("{}", json!({ "error": { "code": word, "class": class, "text": text, "cure": cure } }));
    } else {
        let lines: Vec<String> = text.lines().map(crate::show::graphic).collect();
        eprintln!("error: {}\n  {}", lines.join("\n"), code.cure());
    }
    ExitCode::from(known.map_or(FAILED, exit_code))
}

/// Whether the command line asks for JSON, be it as wrong as it may.
pub fn asks_for_json() -> bool {
    std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json")
        || std::env::var_os("ISX_JSON").is_some()
}

/// Prints for programs what is wrong with a command line and returns the exit code it stands for.
pub fn misused(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    // Behind the first paragraph stand the verb's usage and whom to ask for help.
    let text = text.split("\n\n").next().unwrap_or_default();
    let (code, text) = (Code::Usage, cut(text.trim_start_matches("error: ").to_string()));
    let (word, class, cure) = (code.word(), code.class().word(), code.cure());
    eprintln!("{}", json!({ "error": { "code": word, "class": class, "text": text, "cure": cure } }));
    ExitCode::from(MISUSED)
}

/// A text without its middle, if it is longer than [`TEXT_CHARS_MAX`].
fn cut(text: String) -> String {
    let Some((end, _)) = text.char_indices().nth(TEXT_CHARS_MAX) else { return text };
    let tail = text.char_indices().rev().nth(TEXT_CHARS_MAX / 4).map_or(end, |(at, _)| at);
    let head = text.char_indices().nth(TEXT_CHARS_MAX / 2).map_or(end, |(at, _)| at);
    format!("{} … {}", &text[..head], &text[tail..])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_ends() {
        assert_eq!(cut("short".into()), "short");
        let long = cut(format!("begin {} end", "ä".repeat(10_000)));
        assert!(long.starts_with("begin ä") && long.ends_with("ä end") && long.contains(" … "), "{long}");
        assert!(long.chars().count() < TEXT_CHARS_MAX);
    }
}
