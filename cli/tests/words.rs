//! Arguments of calls from files and standard input, through the real binary.

mod support;

use std::fs::{self, File};
use support::{Said, Stage, guest, said};

/// What a command says with this on its standard input.
fn fed(stage: &Stage, input: &str, arguments: &[&str]) -> Said {
    let file = stage.folder.path().join("stdin");
    fs::write(&file, input).expect("a file");
    let mut command = stage.isx(arguments);
    command.stdin(File::open(file).expect("a file"));
    said(command.output().expect("the binary runs"))
}

#[test]
fn arguments_come_from_files_and_standard_input() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    assert_eq!(stage.say(&["publish", &guest("tally").to_string_lossy()]).code, 0);
    let key = stage.folder.path().join("key");
    fs::write(&key, "two words\n").expect("a file");
    let key = format!("@{}", key.display());

    let added = fed(&stage, "3\n", &["call", "/self/tally", "add", &key, "-"]);
    assert_eq!((added.code, added.stdout.trim()), (0, "3"), "{}", added.stderr);
    assert_eq!(stage.say(&["call", "/self/tally", "add", "\"@ada\"", "4"]).stdout.trim(), "4");
    assert_eq!(stage.say(&["call", "/self/tally", "add", "\"-\"", "5"]).stdout.trim(), "5");
    let rows = stage.say(&["rows", "/self/tally:counter", "--json"]).stdout;
    for key in [r#""key":"two words\n""#, r#""key":"@ada""#, r#""key":"-""#] {
        assert!(rows.contains(key), "no {key}: {rows}");
    }

    let refused: &[(&[&str], &str, i32, &str)] = &[
        (&["@/no/where", "1"], "", 125, "key: no file \"/no/where\"; a word that begins with @ is a file"),
        (&["-", "-"], "", 125, "standard input, which can be read once"),
        (&["-", "1"], &"x".repeat(256 * 1024 + 1), 125, "key: standard input has more than 262144 bytes"),
        (&["@/dev/zero", "1"], "", 125, "key: /dev/zero has more than 262144 bytes"),
        (&["a", "-"], "many\n", 125, "n: standard input: expected u64, got many"),
        (&["-", "1"], &"x".repeat(256 * 1024), 125, "limit"),
    ];
    for (words, input, code, text) in refused {
        let said = fed(&stage, input, &[&["call", "/self/tally", "add"], *words].concat());
        assert_eq!(said.code, *code, "{words:?}: {}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains(text), "{words:?} says nothing of {text:?}: {}", said.stderr);
    }
}
