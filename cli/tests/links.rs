//! Modules that are linked: published, heard of, through a kill; and what does not fit.

mod support;

use std::time::{Duration, Instant};
use support::{Stage, guest};

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];

/// What `caller` has counted, asked until it is as wanted.
fn until(stage: &Stage, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let said = stage.say(&["query", "/self/caller", "count", "--json"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        if said.stdout.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "count answers {}, not {wanted}", said.stdout);
    }
}

fn publish(stage: &Stage, module: &str) {
    let said = stage.say(&["publish", &guest(module).to_string_lossy()]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

fn well(stage: &Stage, arguments: &[&str]) -> String {
    let said = stage.say(arguments);
    assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
    said.stdout.trim().into()
}

#[test]
fn a_module_sends_to_another_and_hears_of_it_through_a_kill() {
    let mut stage = Stage::new();
    stage.start(&START);
    let early = stage.say(&["publish", &guest("caller").to_string_lossy()]);
    assert_eq!(early.code, 127, "{}", early.stderr);
    assert!(early.stderr.contains("caller is linked to /self/hello, where nothing is mounted"), "{}", early.stderr);
    assert!(!well(&stage, &["ls", "/self"]).contains("caller"), "a refused publish leaves nothing");

    publish(&stage, "hello");
    assert_eq!(well(&stage, &["call", "/self/hello", "greet", "before"]), "1");
    publish(&stage, "caller");
    for name in ["ada", "bob"] {
        well(&stage, &["call", "/self/caller", "greet", name]);
    }
    well(&stage, &["call", "/self/hello", "greet", "cyd"]);
    until(&stage, r#""heard":"3""#);
    // Refused there, answered here.
    well(&stage, &["call", "/self/caller", "greet", ""]);
    until(&stage, r#""refused":"1""#);
    until(&stage, r#""answered":"2""#);
    let direct = stage.say(&["call", "/self/caller", "heard", r#"{"id":"9","name":"x"}"#]);
    assert_eq!(direct.code, 126, "a hook is nobody's to call: {}", direct.stdout);

    for round in 0..3 {
        well(&stage, &["call", "/self/caller", "greet", "dan"]);
        well(&stage, &["call", "/self/hello", "greet", "eve"]);
        stage.kill();
        stage.start(&START);
        until(&stage, &format!(r#""heard":"{}""#, 5 + 2 * round));
        until(&stage, &format!(r#""last":"{}""#, 6 + 2 * round));
    }
    until(&stage, r#""answered":"5""#);
    assert_eq!(well(&stage, &["stop"]), "stopped alpha");
}

#[test]
fn a_module_calls_another_within_its_transaction() {
    let mut stage = Stage::new();
    stage.start(&START);
    publish(&stage, "hello");
    publish(&stage, "caller");
    assert!(well(&stage, &["inspect", "/self/caller"]).contains("calls greet(name: string) -> u64"));
    for _ in 0..2 {
        assert_eq!(well(&stage, &["call", "/self/caller", "greet_once", "ada"]), "1");
    }
    // Both or nobody.
    let refused = stage.say(&["call", "/self/caller", "greet_both", "bob", ""]);
    assert_eq!(refused.code, 125, "{}", refused.stdout);
    assert!(refused.stderr.contains("a name has 1 to 200 bytes"), "{}", refused.stderr);
    assert!(well(&stage, &["query", "/self/hello", "greetings_for", "bob", "--json"]).contains(r#""answer":[]"#));
    let tried = well(&stage, &["call", "/self/caller", "greet_both", "bob", "cyd", "--dry-run"]);
    assert!(tried.contains("would change 4 rows of /self/hello"), "{tried}");
    assert_eq!(well(&stage, &["call", "/self/caller", "greet_both", "bob", "cyd"]), "3");
    assert_eq!(well(&stage, &["call", "/self/caller", "greet_either", "", "dan"]), "4");
    until(&stage, r#""heard":"4""#);
    stage.kill();
    stage.start(&START);
    assert_eq!(well(&stage, &["call", "/self/caller", "greet_once", "cyd"]), "3");
    let told = well(&stage, &["history", "/self/hello"]);
    assert!(told.contains("greet_both"), "{told}");
    assert_eq!(well(&stage, &["stop"]), "stopped alpha");
}

#[test]
fn an_upgrade_that_others_do_not_fit_is_refused_by_both_names() {
    let mut stage = Stage::new();
    stage.start(&START);
    publish(&stage, "hello");
    publish(&stage, "caller");
    let other = stage.say(&["publish", &guest("tally").to_string_lossy(), "/self/hello"]);
    assert_ne!(other.code, 0);
    let names = ["caller", "tally", "/self/hello", "greet"];
    assert!(names.iter().all(|name| other.stderr.contains(name)), "{}", other.stderr);
    // Who is gone is in nobody's way; what is gone answers nobody.
    assert_eq!(well(&stage, &["rm", "/self/hello", "--yes"]), "removed /self/hello");
    well(&stage, &["call", "/self/caller", "greet", "ada"]);
    until(&stage, r#""refused":"1""#);
}
