//! Tidy rules of the sources: heads, lengths, words, limits.

use std::fs;
use std::path::{Path, PathBuf};

/// Longer files must say why in their `//!`.
const LINES_MAX: usize = 600;
/// The word with which a head explains its file's length.
const LENGTH_REASON: &str = "one file";
/// Names that say nothing.
const NAMES_BANNED: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];
/// Words that stand for work not done. Written apart, so that this list does not find itself.
const WORDS_BANNED: &[&[&str]] = &[&["TO", "DO"], &["FIX", "ME"], &["XX", "X"], &["not yet ", "implemented"]];
/// The top level is fixed: a folder is a subsystem.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "anchors",
    "cli",
    "clippy.toml",
    "cluster",
    "deny.toml",
    "host",
    "rom",
    "rustfmt.toml",
    "sdk",
    "stdlib",
    "target",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace").to_path_buf()
}

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
                walk(&path, found);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.sort();
    assert!(found.len() > 40, "the walk found only {} sources", found.len());
    found
}

fn refuse(rule: &str, broken_by: impl Fn(&Path, &str) -> Option<String>) {
    let mut found = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source");
        if let Some(what) = broken_by(&path, &text) {
            found.push(format!("{}: {what}", path.strip_prefix(root()).unwrap_or(&path).display()));
        }
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn every_source_begins_with_its_subject() {
    refuse("a source begins with `//!`", |_, text| (!text.starts_with("//!")).then(|| "no `//!` head".into()));
}

#[test]
fn every_crate_head_says_what_it_never_knows() {
    refuse("a lib.rs head says `Knows nothing of`", |path, text| {
        let guest = path.components().any(|part| part.as_os_str() == "rom" || part.as_os_str() == "stdlib");
        let head = path.ends_with("src/lib.rs") && !guest;
        (head && !text.contains("Knows nothing of")).then(|| "no `Knows nothing of …`".into())
    });
}

#[test]
fn long_files_say_why() {
    refuse("a file over 600 lines says why", |_, text| {
        let lines = text.lines().count();
        let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        (lines > LINES_MAX && !head.contains(LENGTH_REASON)).then(|| format!("{lines} lines"))
    });
}

#[test]
fn file_names_are_nouns_of_the_domain() {
    refuse("no file is named after nothing", |path, _| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        NAMES_BANNED.contains(&name.as_str()).then_some(name)
    });
}

#[test]
fn nothing_stands_for_work_not_done() {
    refuse("no word stands for work not done", |_, text| {
        let words = WORDS_BANNED.iter().map(|parts| parts.concat());
        words.into_iter().find(|word| text.contains(word.as_str()))
    });
}

#[test]
fn no_test_is_ignored_or_sleeps() {
    let ignore = ["#[ig", "nore"].concat();
    let sleep = ["thread::", "sleep"].concat();
    refuse("tests run and wait for events", |path, text| {
        let test = path.components().any(|part| part.as_os_str() == "tests");
        let found = text.contains(&ignore) || (test && text.contains(&sleep));
        found.then(|| "an ignored test, or a sleep in a test".into())
    });
}

#[test]
fn the_top_level_is_fixed() {
    let entries = fs::read_dir(root()).expect("the workspace");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let strangers: Vec<_> = names.filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str())).collect();
    assert!(strangers.is_empty(), "not part of the fixed top level: {strangers:?}");
}

#[test]
fn limits_are_explained() {
    refuse("every limit has a sentence", |path, text| {
        if !path.ends_with("limits.rs") {
            return None;
        }
        let lines: Vec<&str> = text.lines().collect();
        let bare = lines
            .windows(2)
            .find(|pair| pair[1].starts_with("pub const") && !pair[0].starts_with("///") && !pair[0].starts_with("#["));
        bare.map(|pair| pair[1].to_string())
    });
}
