//! Time through the real binary: what was, who did it, what differs; and what bad input gets.

mod support;

use serde_json::{Value as Json, json};
use support::{Said, Stage, guest};

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];
const TALLY: &str = "/self/tally";

fn well(stage: &Stage, arguments: &[&str]) -> String {
    let said = stage.say(arguments);
    assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    said.stdout.trim().to_string()
}

fn lines(stage: &Stage, arguments: &[&str]) -> Vec<Json> {
    let arguments = [arguments, &["--json"]].concat();
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    well(stage, &arguments).lines().map(read).collect()
}

fn refused(said: &Said, code: i32, text: &str) {
    assert_eq!(said.code, code, "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains(text), "says nothing of {text:?}: {}", said.stderr);
}

fn total(stage: &Stage, at: &str) -> String {
    well(stage, &["query", TALLY, "total", "--at", at])
}

/// A node with a tally: revision 1 made it, 2 to 4 are calls.
fn counted() -> Stage {
    let mut stage = Stage::new();
    stage.start(&START);
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    for (key, count) in [("apples", "3"), ("pears", "2"), ("apples", "4")] {
        well(&stage, &["call", TALLY, "add", key, count]);
    }
    stage
}

#[test]
fn a_mount_is_asked_as_it_was() {
    let mut stage = counted();
    let check = |stage: &Stage| {
        assert_eq!(["1", "2", "3", "4"].map(|at| total(stage, at)), ["0", "3", "5", "9"]);
        let rows = |at: &str| lines(stage, &["rows", &format!("{TALLY}:counter"), "--at", at]);
        assert_eq!(rows("2"), [json!({ "key": "apples", "count": "3" })]);
        assert_eq!(rows("3").len(), 2);
        // The time of a revision is its own: the microsecond before is of the one before.
        let history = lines(stage, &["history", TALLY]);
        let time = |revision: &str| {
            let step = history.iter().find(|step| step["revision"] == revision).expect("the revision is told");
            step["time"].as_str().expect("a time").to_string()
        };
        assert_eq!(total(stage, &time("3")), "5");
        assert_eq!(total(stage, "0s"), "9");
        assert_eq!(well(stage, &["replay", TALLY]).split(',').next(), Some("equal: revisions 0 to 4"));
        assert_eq!(lines(stage, &["replay", TALLY, "--to", "3"])[0]["equal"], true);
    };
    check(&stage);
    // Out of the log after a crash, out of history after a snapshot, and by a node that a command brings along.
    stage.kill();
    stage.start(&START);
    check(&stage);
    well(&stage, &["stop"]);
    stage.ended();
    check(&stage);
    stage.start(&START);
    check(&stage);
}

#[test]
fn a_moment_that_is_not_there_is_refused() {
    let stage = counted();
    let ask = |at: &str| stage.say(&["query", TALLY, "total", "--at", at]);
    refused(&ask("5"), 125, "revision 5 is of the future: the mount is at revision 4");
    refused(&ask("0"), 125, "revisions begin with 1");
    refused(&ask("2999-01-01T00:00:00Z"), 125, "the time is of the future");
    refused(&ask("2001-01-01T00:00:00Z"), 127, "the mount was not there yet");
    for wrong in ["yesterday", "2026-02-30T00:00:00Z", "5w"] {
        refused(&ask(wrong), 2, "a moment is a revision like 12");
    }
    refused(&stage.say(&["rows", "/self/tally:counter", "--at", "9"]), 125, "conflict");
    refused(&stage.say(&["replay", TALLY, "--to", "9"]), 125, "of the future");
    refused(&stage.say(&["query", TALLY, "add", "a", "1", "--at", "2"]), 125, "add is a reducer");
    refused(&stage.say(&["history", "/self/nothing"]), 127, "not_found");
}

#[test]
fn history_says_who_did_what() {
    let stage = counted();
    refused(&stage.say(&["call", TALLY, "remove", "plums", "1"]), 125, "");
    let principal = lines(&stage, &["whoami"])[0]["principal"].clone();
    let steps = lines(&stage, &["history", TALLY]);
    let told: Vec<String> = steps
        .iter()
        .map(|step| {
            assert_eq!(step["principal"], principal, "{step}");
            assert_eq!(step["trace"].is_string(), step["kind"] == "call", "{step}");
            format!("{} {} {} {} {}", step["revision"], step["kind"], step["name"], step["outcome"], step["rows"])
        })
        .collect();
    expect_test::expect![[r#"
        null "call" "remove" "application" 0
        "4" "call" "add" "ok" 2
        "3" "call" "add" "ok" 2
        "2" "call" "add" "ok" 2
        "1" "create" null "ok" 0"#]]
    .assert_eq(&told.join("\n"));
    let revisions = |arguments: &[&str]| -> Vec<String> {
        let steps = lines(&stage, &[&["history", TALLY], arguments].concat());
        steps.iter().filter_map(|step| step["revision"].as_str()).map(str::to_string).collect()
    };
    assert_eq!(revisions(&["-n", "1"]), ["4"]);
    assert_eq!(revisions(&["--before", "4", "-n", "2"]), ["3", "2"]);
    assert_eq!(revisions(&["--before", "2"]), ["1"]);
    let table = stage.say(&["history", TALLY, "-n", "1"]);
    assert!(table.stdout.starts_with("revision  time"), "{}", table.stdout);
    assert!(table.stderr.contains("--before 4"), "{}", table.stderr);
}

#[test]
fn what_differs_is_shown_by_row() {
    let stage = counted();
    let diff = |arguments: &[&str]| well(&stage, &[&["diff", TALLY], arguments].concat());
    assert_eq!(
        diff(&["--from", "2", "--to", "3"]),
        "counter insert {\"count\":\"2\",\"key\":\"pears\"}\nsum update {\"count\":\"3\",\"id\":0} -> {\"count\":\"5\",\"id\":0}"
    );
    assert!(diff(&[]).contains("{\"count\":\"3\",\"key\":\"apples\"} -> {\"count\":\"7\",\"key\":\"apples\"}"));
    assert!(diff(&["--from", "4", "--to", "2"]).contains("counter delete {\"count\":\"2\",\"key\":\"pears\"}"));
    let same = stage.say(&["diff", TALLY, "--from", "3", "--to", "3"]);
    assert_eq!((same.code, same.stdout.as_str()), (0, ""), "{}", same.stderr);
    assert!(same.stderr.contains("no row differs"), "{}", same.stderr);

    well(&stage, &["publish", &guest("tally").to_string_lossy(), "/self/other"]);
    well(&stage, &["call", "/self/other", "add", "apples", "3"]);
    assert_eq!(diff(&["/self/other", "--from", "2"]), "");
    let changes = lines(&stage, &["diff", TALLY, "/self/other"]);
    let of = |change: &Json| format!("{} {}", change["table"], change["change"]);
    assert_eq!(
        changes.iter().map(of).collect::<Vec<_>>(),
        ["\"counter\" \"update\"", "\"counter\" \"delete\"", "\"sum\" \"update\""]
    );
}

#[test]
fn blame_finds_the_call_that_changed_a_row() {
    let mut stage = counted();
    let check = |stage: &Stage| {
        let blame = |key: &str| lines(stage, &["blame", "/self/tally:counter", key]).remove(0);
        for (key, revision) in [("apples", "4"), ("pears", "3")] {
            let step = blame(key);
            assert_eq!((&step["revision"], &step["name"]), (&json!(revision), &json!("add")), "{step}");
        }
        assert_eq!(lines(stage, &["blame", "/self/tally:sum", "0"])[0]["revision"], "4");
        refused(&stage.say(&["blame", "/self/tally:counter", "plums"]), 127, "nothing changed this row");
        refused(&stage.say(&["blame", "/self/tally:counter", "a", "b"]), 125, "the key of counter is (key: string)");
        refused(&stage.say(&["blame", "/self/tally:nothing", "a"]), 127, "has no table nothing");
    };
    check(&stage);
    well(&stage, &["stop"]);
    stage.ended();
    check(&stage);
}

#[test]
fn what_is_older_than_is_kept_is_too_old() {
    let mut stage = Stage::new();
    let short = [&START[..], &["--history", "2"]].concat();
    stage.start(&short);
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    // The rule is remembered; snapshots are taken at each stop, and cut what is old from what is not.
    for _ in 0..3 {
        for _ in 0..3 {
            well(&stage, &["call", TALLY, "add", "apples", "1"]);
        }
        well(&stage, &["stop"]);
        stage.ended();
        stage.start(&START);
    }
    let old = stage.say(&["query", TALLY, "total", "--at", "1", "--json"]);
    refused(&old, 125, "\"code\":\"too_old\"");
    refused(&old, 125, "revision 1 is older than what is kept: the oldest kept is revision ");
    refused(
        &stage.say(&["rows", "/self/tally:counter", "--at", "2001-01-01T00:00:00Z"]),
        125,
        "the oldest kept is revision ",
    );
    // Two revisions are kept, and whatever goes with them.
    assert_eq!(["8", "9", "10"].map(|at| total(&stage, at)), ["7", "8", "9"]);
    assert_eq!(lines(&stage, &["replay", TALLY])[0]["equal"], true);
    refused(&stage.say(&["start", "--new", "--history", "much"]), 2, "a count of revisions, or all");
}
