//! The README's first tour, line by line, through the real binary.

mod support;

use std::fs::File;
use std::path::Path;
use support::{Stage, guest, said};

/// A line to run and what it must print.
struct Line {
    command: String,
    printed: Vec<String>,
}

fn tour(readme: &str) -> Vec<Line> {
    let block = readme.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the tour");
    let mut lines: Vec<Line> = Vec::new();
    for text in block.lines() {
        match text.strip_prefix("$ isx ") {
            Some(command) => lines.push(Line { command: command.into(), printed: Vec::new() }),
            None => lines.last_mut().expect("a command comes first").printed.push(text.into()),
        }
    }
    lines
}

/// Whether `text` is `pattern`, in which `…` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || last == Some("")
}

#[test]
fn the_tour_does_what_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the README");
    let lines = tour(&readme);
    assert!(lines.len() > 10, "the tour was not found");
    let mut stage = Stage::new();
    for line in lines {
        let (command, stdin) = line.command.split_once(" < ").unwrap_or((&line.command, ""));
        let background = command.ends_with('&');
        let files =
            [("target/guests/tally.wasm", guest("tally")), ("target/guests/wordcount.wasm", guest("wordcount"))];
        let words = command.trim_end_matches([' ', '&']).split(' ').map(|word| {
            let file =
                files.iter().find(|(name, _)| *name == word).map(|(_, file)| file.to_string_lossy().into_owned());
            file.unwrap_or_else(|| word.to_string())
        });
        let words: Vec<String> = words.collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = if background {
            stage.start(&words);
            stage.node_log()
        } else {
            let mut command = stage.isx(&words);
            if !stdin.is_empty() {
                command.stdin(File::open(root.join(stdin)).expect("the file"));
            }
            let said = said(command.output().expect("the binary runs"));
            assert_eq!(said.code, 0, "isx {}: {}", line.command, said.stderr);
            said.stdout
        };
        let expected = line.printed.join("\n");
        assert!(fits(&expected, printed.trim_end()), "isx {}\nexpected\n{expected}\nprinted\n{printed}", line.command);
    }
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
}

#[test]
fn the_comparison_bites() {
    assert!(fits("a … c", "a b c"));
    assert!(fits("…", "x\ny"));
    assert!(!fits("a … c", "a b d"));
    assert!(!fits("a", "ab"));
}
