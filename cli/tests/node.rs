//! Nodes through the real binary: embedded, standing, killed, doubled; and what bad input gets.

mod support;

use support::{Stage, guest};

#[test]
fn without_a_node_a_command_brings_its_own_and_keeps_its_data() {
    let stage = Stage::new();
    let tally = guest("tally");
    let published = stage.say(&["publish", &tally.to_string_lossy()]);
    assert_eq!(published.code, 0, "{}", published.stderr);
    assert!(published.stderr.contains("brings its own, its data is in"), "{}", published.stderr);
    assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "41"]).stdout.trim(), "41");
    assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "1"]).stdout.trim(), "42");
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut stage = Stage::new();
    let start = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];
    stage.start(&start);
    stage.say(&["publish", &guest("tally").to_string_lossy()]);
    for count in 1..=20 {
        assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "1"]).stdout.trim(), count.to_string());
    }
    assert_eq!(stage.say(&["set", "/self/motd", "here"]).code, 0);
    stage.kill();
    stage.start(&start);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).stdout.trim(), "20");
    assert_eq!(stage.say(&["get", "/self/motd"]).stdout.trim(), "here");

    let second = stage.say(&start);
    assert_eq!(second.code, 125);
    assert!(second.stderr.contains("runs already") && second.stderr.contains("--new"), "{}", second.stderr);
    assert_eq!(stage.say(&["stop"]).code, 0);
    assert_eq!(stage.ended(), 0, "{}", stage.node_log());
}

#[test]
fn bad_input_gets_one_clear_error_and_the_node_goes_on() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let tally = guest("tally").to_string_lossy().into_owned();
    assert_eq!(stage.say(&["publish", &tally]).code, 0);

    let junk = stage.folder.path().join("junk.wasm");
    std::fs::write(&junk, b"not wasm").expect("a file");
    let core = stage.folder.path().join("core.wasm");
    std::fs::write(&core, b"\0asm\x01\0\0\0").expect("a file");
    let truncated = stage.folder.path().join("truncated.wasm");
    let whole = std::fs::read(&tally).expect("tally");
    std::fs::write(&truncated, &whole[..whole.len() / 2]).expect("a file");
    let wordcount = guest("wordcount").to_string_lossy().into_owned();
    let unpublished = "01".repeat(33);
    let (junk, core, truncated) = (junk.to_string_lossy(), core.to_string_lossy(), truncated.to_string_lossy());

    let refused: &[(&[&str], i32, &str)] = &[
        (&["publish", &junk], 125, "malformed"),
        (&["publish", &core], 125, "malformed"),
        (&["publish", &truncated], 125, "malformed"),
        (&["publish", "/nowhere.wasm"], 127, "/nowhere.wasm"),
        (&["run", &junk], 125, "not WebAssembly"),
        (&["run", &core], 125, "isx build"),
        (&["run", &tally], 125, "a module is published, not run"),
        (&["run", &wordcount], 126, "--allow"),
        (&["call", "/self/nothing", "add", "a", "1"], 127, "/self/nothing"),
        (&["call", "/self/tally", "nothing"], 127, "it has add, remove"),
        (&["call", "/self/tally", "add", "a"], 125, "(key: string, n: u64)"),
        (&["call", "/self/tally", "add", "a", "-1"], 125, "n: "),
        (&["call", "/self/tally", "add", "a", "18446744073709551616"], 125, "n: "),
        (&["call", "/self/tally", "remove", "a", "1"], 125, "there are 0"),
        (&["call", "/self/tally", "total"], 125, "isx query"),
        (&["query", "/self/tally", "add", "a", "1"], 125, "isx call"),
        (&["rows", "/self/tally:nothing"], 127, "it has counter, sum"),
        (&["rows", "/self/tally"], 125, "PATH:table"),
        (&["get", "/self/missing"], 127, "/self/missing"),
        (&["get", "/self/../etc"], 125, ".."),
        (&["set", "/self/a\u{7}b", "x"], 125, ""),
        (&["mount", "/self/other", &unpublished], 127, "published"),
        (&["rm", "/self/tally"], 125, "--yes"),
        (&["rm", "/self/missing", "--yes"], 127, "/self/missing"),
        (
            &["--dial", "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp", "ls"],
            125,
            "no node answers",
        ),
        (&["--dial", "nonsense", "ls"], 125, "nonsense"),
    ];
    for (arguments, code, text) in refused {
        let said = stage.say(arguments);
        assert_eq!(said.code, *code, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains(text), "isx {arguments:?} says nothing of {text:?}: {}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "isx {arguments:?}: {}", said.stderr);
    }
    let large = "x".repeat(1024 * 1024);
    assert_ne!(stage.say(&["set", "/self/large", &large[..100 * 1024]]).code, 0, "over the bound of a value");
    assert_eq!(stage.say(&["call", "/self/tally", "add", "a", "1"]).stdout.trim(), "1", "{}", stage.node_log());
    assert_eq!(stage.say(&["rm", "/self/tally", "--yes"]).code, 0);
    assert_eq!(stage.say(&["query", "/self/tally", "total"]).code, 127);
}

#[test]
fn results_are_json_when_asked() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    stage.say(&["publish", &guest("tally").to_string_lossy()]);
    let answer = stage.say(&["--json", "call", "/self/tally", "add", "a", "7"]).stdout;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["answer"], "7");
    let rows = stage.say(&["rows", "/self/tally:counter", "--json"]).stdout;
    assert_eq!(rows.trim(), r#"{"count":"7","key":"a"}"#);
    let error = stage.say(&["--json", "get", "/self/missing"]).stderr;
    let error: serde_json::Value = serde_json::from_str(&error).expect("JSON");
    assert_eq!(error["error"]["code"], "not_found");
}
