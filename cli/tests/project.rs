//! Projects through the real binary: what `isx.toml` makes of bare names, and what is wrong with one.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::{Said, Stage, guest, said};

/// `isx` in a folder.
fn say(stage: &Stage, folder: &Path, arguments: &[&str]) -> Said {
    said(stage.isx(arguments).current_dir(folder).output().expect("the binary runs"))
}

fn well(stage: &Stage, folder: &Path, arguments: &[&str]) -> String {
    let said = say(stage, folder, arguments);
    assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    said.stdout.trim().to_string()
}

fn refused(stage: &Stage, folder: &Path, arguments: &[&str], code: i32, text: &str) {
    let said = say(stage, folder, arguments);
    assert_eq!(said.code, code, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains(text), "isx {arguments:?} says nothing of {text:?}: {}", said.stderr);
}

/// A project of built components, and a folder deep in it.
fn project(stage: &Stage) -> (PathBuf, PathBuf) {
    let root = stage.folder.path().join("project");
    let deep = root.join("some/where");
    fs::create_dir_all(&deep).expect("a folder");
    let tally = guest("tally");
    let text = format!(
        "[[module]]\nname = \"tally\"\nfolder = {tally:?}\n\n[[module]]\nname = \"small\"\nfolder = {tally:?}\n\
         path = \"/self/second\"\ntable_bytes_max = 1\n\n[[rom]]\nname = \"count\"\nfolder = {:?}\n\
         allow = [\"host\", \"anchor\", \"module\", \"tally\"]\n",
        guest("wordcount")
    );
    fs::write(root.join("isx.toml"), text).expect("a file");
    (root, deep)
}

#[test]
fn a_bare_name_is_the_projects() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let (root, deep) = project(&stage);

    let planned = well(&stage, &root, &["publish", "--dry-run"]);
    assert!(planned.starts_with("would mount /self/tally"), "{planned}");
    refused(&stage, &root, &["query", "tally", "total"], 127, "/self/tally");
    let published = well(&stage, &root, &["publish"]);
    let (first, second) = (published.find("mounted /self/tally"), published.find("mounted /self/second"));
    assert!(first.is_some() && first < second, "{published}");
    assert!(well(&stage, &deep, &["publish", "small"]).starts_with("unchanged /self/second"));

    assert_eq!(well(&stage, &deep, &["call", "tally", "add", "a", "3"]), "3");
    assert_eq!(well(&stage, &deep, &["query", "tally", "total"]), "3");
    assert_eq!(well(&stage, &deep, &["rows", "tally:counter", "--json"]), r#"{"count":"3","key":"a"}"#);
    assert_eq!(well(&stage, &deep, &["watch", "tally:counter", "--count", "1", "--json"]).lines().count(), 1);
    assert_eq!(well(&stage, &deep, &["logs", "tally"]), "");
    assert!(well(&stage, &deep, &["schema", "tally"]).contains("add(key: string"));
    assert!(well(&stage, &deep, &["inspect", "small"]).contains("/self/second"));
    assert_eq!(well(&stage, &deep, &["query", "/self/second", "total"]), "0", "a path is a path");
    refused(&stage, &deep, &["call", "small", "add", "a", "3"], 125, "limit");

    refused(&stage, &deep, &["call", "tall", "add", "a", "3"], 127, "no module \"tall\", it has tally, small");
    refused(&stage, stage.folder.path(), &["call", "tally", "add", "a", "3"], 127, "no isx.toml here or above");
    refused(&stage, &deep, &["dev"], 125, "isx dev NAME");

    let text = stage.folder.path().join("text");
    fs::write(&text, "one two two").expect("a file");
    // What is not built here has only the rights of whoever runs it.
    refused(&stage, &deep, &["run", "count"], 126, "is not built here");
    let allow = ["--allow", "host", "--allow", "anchor", "--allow", "module", "--allow", "tally"];
    let mut run = stage.isx(&[&["run", "count"], &allow[..]].concat());
    run.current_dir(&deep).stdin(fs::File::open(text).expect("a file"));
    let run = said(run.output().expect("the binary runs"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("is not built here"), "{}", run.stderr);
    assert_eq!(well(&stage, &deep, &["query", "/self/wordcount", "get", "two"]), "2");
    refused(&stage, &deep, &[&["run", "count"], &allow[..6]].concat(), 126, "--allow tally");
    assert_eq!(well(&stage, &deep, &["rm", "tally", "--yes"]), "removed /self/tally");
}

#[test]
fn what_is_wrong_in_a_project_file_is_named_with_its_line() {
    let stage = Stage::new();
    let root = stage.folder.path();
    let check = |text: &str, expected: &str| {
        fs::write(root.join("isx.toml"), text).expect("a file");
        refused(&stage, root, &["publish"], 125, expected);
    };
    check("\n[[module]]\nname = \"a\"\nfolder = \".\"\nport = 1\n", "line 5");
    check("\n[[module]]\nname = \"a\"\nfolder = \".\"\nport = 1\n", "unknown field `port`, expected one of");
    check("dial = \"nowhere\"\n", "is no address");
    check("context = \"missing\"\n", "isx context add missing");
    check(&"#".repeat(64 * 1024 + 1), "has more than 65536 bytes");
    assert!(!well(&stage, root, &["key", "path"]).is_empty(), "what needs no project goes on");
    fs::write(root.join("isx.toml"), "").expect("a file");
    refused(&stage, root, &["publish"], 125, "add a [[module]]");
}
