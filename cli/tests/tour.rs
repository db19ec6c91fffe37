//! The README's tours, line by line, through the real binary.

mod support;

use std::fs::File;
use std::path::Path;
use std::process::Command;
use support::{Stage, said};

/// A line to run and what it must print.
struct Line {
    command: String,
    printed: Vec<String>,
}

/// The README's block of a language with this number, from 0.
fn block(language: &str, number: usize) -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let block = readme.split(&format!("```{language}\n")).nth(number + 1).and_then(|rest| rest.split("```").next());
    block.expect("a block").into()
}

/// The lines of the README's console block with this number.
fn tour(number: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for text in block("console", number).lines() {
        match text.strip_prefix("$ ") {
            Some(command) => lines.push(Line { command: command.into(), printed: Vec::new() }),
            None => lines.last_mut().expect("a command comes first").printed.push(text.into()),
        }
    }
    lines
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
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

/// Checks what a line printed.
fn check(line: &Line, printed: &str) {
    let (command, expected) = (&line.command, line.printed.join("\n"));
    assert!(fits(&expected, printed.trim_end()), "{command}\nexpected\n{expected}\nprinted\n{printed}");
}

/// What a command printed that must do well.
fn well(mut command: Command) -> String {
    let said = said(command.output().expect("it runs"));
    assert_eq!(said.code, 0, "{command:?}: {}", said.stderr);
    said.stdout
}

#[test]
fn the_first_tour_does_what_the_readme_says() {
    let lines = tour(0);
    assert!(lines.len() > 10, "the tour was not found");
    let mut stage = Stage::new();
    for line in &lines {
        let command = line.command.strip_prefix("isx ").expect("a command of isx");
        let (command, stdin) = command.split_once(" < ").unwrap_or((command, ""));
        let words: Vec<&str> = command.trim_end_matches([' ', '&']).split(' ').collect();
        if command.ends_with('&') {
            stage.start(&words);
            check(line, &stage.node_log());
            continue;
        }
        let mut command = stage.isx(&words);
        if !stdin.is_empty() {
            command.stdin(File::open(root().join(stdin)).expect("the file"));
        }
        check(line, &well(command));
    }
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
}

#[test]
fn a_module_of_ones_own_does_what_the_readme_says() {
    let lines = tour(1);
    assert!((8..=10).contains(&lines.len()), "a newcomer needs few commands");
    let stage = Stage::new();
    let mut folder = stage.folder.path().to_path_buf();
    // The module that the README shows, in the place of the template's.
    let shown = Line { command: "isx publish . /self/shown".into(), printed: vec!["mounted /self/shown: …".into()] };
    for line in lines.iter().chain([&shown]) {
        if std::ptr::eq(line, &shown) {
            std::fs::write(folder.join("src/lib.rs"), block("rust,ignore", 0)).expect("the module");
        }
        if let Some(name) = line.command.strip_prefix("cd ") {
            folder.push(name);
            continue;
        }
        let mut command = match line.command.strip_prefix("isx ") {
            Some(words) => stage.isx(&words.split(' ').collect::<Vec<_>>()),
            None => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &line.command]);
                shell
            }
        };
        command.current_dir(&folder).env_remove("CARGO_TARGET_DIR");
        // A cargo that has never seen a registry and must not ask one.
        command.env("CARGO_HOME", stage.folder.path().join("cargo")).env("CARGO_NET_OFFLINE", "true");
        check(line, &well(command));
    }
}

#[test]
fn the_comparison_bites() {
    assert!(fits("a … c", "a b c"));
    assert!(fits("…", "x\ny"));
    assert!(!fits("a … c", "a b d"));
    assert!(!fits("a", "ab"));
}
