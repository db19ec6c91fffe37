//! What belongs to a user, through the real binary: contexts and key.

mod support;

use serde_json::Value as Json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use support::{Said, Stage, said};

const START: [&str; 5] = ["start", "--alias", "alpha", "--listen", "127.0.0.1:0"];
/// Where nobody listens.
const NOWHERE: &str = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

fn well(stage: &Stage, arguments: &[&str]) -> String {
    let said = stage.say(arguments);
    assert_eq!(said.code, 0, "isx {arguments:?}: {}{}", said.stdout, said.stderr);
    said.stdout.trim().to_string()
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refused(said: &Said, code: i32, text: &str) {
    assert_eq!(said.code, code, "{}{}", said.stdout, said.stderr);
    assert!(said.stderr.contains(text), "says nothing of {text:?}: {}", said.stderr);
}

#[test]
fn the_first_that_names_a_node_decides_and_none_is_a_fallback() {
    let mut stage = Stage::new();
    stage.start(&START);
    let address = json(&well(&stage, &["status", "--json"]))["addresses"][0].as_str().expect("an address").to_string();
    let here = stage.folder.path();
    assert_eq!(well(&stage, &["context", "show", "--json"]), "null");
    well(&stage, &["context", "add", "good", &address]);
    well(&stage, &["context", "add", "gone", NOWHERE]);
    refused(&stage.say(&["context", "add", "good", &address]), 125, "isx context rm good");
    refused(&stage.say(&["context", "add", "odd", "localhost:1"]), 125, "is no address");
    refused(&stage.say(&["context", "use", "other"]), 125, "there are gone, good");
    assert_eq!(well(&stage, &["whoami", "--context", "good"]), well(&stage, &["whoami"]));

    let gone = |said: &Said, by: &str| refused(said, 125, &format!("no node answers at {NOWHERE}, said by {by}"));
    gone(&stage.say(&["ls", "--context", "gone"]), "the context gone");
    refused(&stage.say(&["ls", "--context", "other"]), 125, "no context \"other\"");
    let with = |variables: &[(&str, &str)], arguments: &[&str]| {
        said(stage.isx(arguments).current_dir(here).envs(variables.iter().copied()).output().expect("the binary runs"))
    };
    gone(&with(&[("ISX_CONTEXT", "gone")], &["ls"]), "the context gone");
    assert_eq!(with(&[("ISX_CONTEXT", "gone")], &["ls", "--context", "good"]).code, 0, "a flag before its variable");
    assert_eq!(with(&[("ISX_DIAL", &address)], &["ls", "--context", "gone"]).code, 0, "an address before a context");
    gone(&with(&[("ISX_DIAL", &address)], &["ls", "--dial", NOWHERE]), "--dial");

    // What is in use goes before the project, and that before the node that runs here.
    fs::write(here.join("isx.toml"), format!("dial = {NOWHERE:?}\n")).expect("a file");
    gone(&with(&[], &["ls"]), &here.join("isx.toml").display().to_string());
    well(&stage, &["context", "use", "good"]);
    assert_eq!(with(&[], &["ls"]).code, 0);
    assert_eq!(json(&with(&[], &["context", "show", "--json"]).stdout)["dial"], address);
    let listed = well(&stage, &["context", "ls", "--json"]);
    let current: Vec<Json> = listed.lines().map(|line| json(line)["current"].clone()).collect();
    assert_eq!(current, [Json::Bool(false), Json::Bool(true)], "{listed}");
    well(&stage, &["context", "rm", "good"]);
    gone(&with(&[], &["ls"]), &here.join("isx.toml").display().to_string());
    fs::write(here.join("isx.toml"), "context = \"gone\"\n").expect("a file");
    gone(&with(&[], &["ls"]), "the context gone, of ");
}

#[test]
fn a_key_is_shown_as_the_node_sees_it() {
    let mut stage = Stage::new();
    stage.start(&START);
    let (key, who) = (json(&well(&stage, &["key", "show", "--json"])), json(&well(&stage, &["whoami", "--json"])));
    assert_eq!((&key["peer"], &key["principal"]), (&who["peer"], &who["principal"]));
    let path = well(&stage, &["key", "path"]);
    assert_eq!(fs::metadata(&path).expect("the key").permissions().mode() & 0o777, 0o600);
    let secret: String = fs::read(&path).expect("the key").iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!well(&stage, &["key", "show"]).contains(&secret));

    // A context may have a key of its own.
    let other = stage.folder.path().join("other.key");
    fs::write(&other, [7; 32]).expect("a key");
    let address = json(&well(&stage, &["status", "--json"]))["addresses"][0].as_str().expect("an address").to_string();
    well(&stage, &["context", "add", "other", &address, "--identity", &other.to_string_lossy()]);
    let seen = json(&well(&stage, &["whoami", "--json", "--context", "other"]));
    assert_ne!(seen["principal"], who["principal"]);
    fs::write(&other, "short").expect("a file");
    refused(&stage.say(&["whoami", "--context", "other"]), 125, "is no key");
}
