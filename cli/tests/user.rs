//! What belongs to a user, through the real binary: contexts, key, rights that were asked for; and the doctor.

mod support;

use serde_json::Value as Json;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use support::{Said, Stage, guest, said};

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
    assert_eq!(with(&[("ISX_CONTEXT", ""), ("ISX_DIAL", "")], &["ls"]).code, 0, "an empty variable is none");
    refused(&stage.say(&["ls", "--dial", ""]), 125, "is no address");
    refused(&stage.say(&["ls", "--dial", "/ip4/\u{1b}/p2p/x"]), 125, "\"/ip4/\\u{1b}/p2p/x\" is no address");
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
    let closed = || fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("the key");
    fs::write(&other, [7; 32]).expect("a key");
    closed();
    let address = json(&well(&stage, &["status", "--json"]))["addresses"][0].as_str().expect("an address").to_string();
    well(&stage, &["context", "add", "other", &address, "--identity", &other.to_string_lossy()]);
    let seen = json(&well(&stage, &["whoami", "--json", "--context", "other"]));
    assert_ne!(seen["principal"], who["principal"]);
    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).expect("the key");
    refused(&stage.say(&["whoami", "--context", "other"]), 125, &format!("`chmod 600 {}`", other.display()));
    closed();
    fs::write(&other, "short").expect("a file");
    refused(&stage.say(&["whoami", "--context", "other"]), 125, "is no key");
}

/// A terminal: what we write is typed on it.
#[expect(unsafe_code, reason = "no safe wrapper of openpty is among the dependencies")]
fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: both ends are written to, the rest may be null.
    let made = unsafe { libc::openpty(&mut ours, &mut theirs, none, std::ptr::null(), std::ptr::null()) };
    assert_eq!(made, 0, "no terminal");
    // SAFETY: both are open, and nobody else has them.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

/// Runs the ROM on a terminal on which this is typed.
fn typed(stage: &Stage, rom: &str, text: &str) -> Said {
    let (mut ours, theirs) = terminal();
    let mut run = stage.isx(&["run", rom]);
    run.stdin(theirs.try_clone().expect("the terminal")).stderr(theirs).stdout(Stdio::piped());
    let running = run.spawn().expect("the binary runs");
    // The command holds the terminal's other end.
    drop(run);
    ours.write_all(text.as_bytes()).expect("the terminal");
    let mut done = said(running.wait_with_output().expect("it ends"));
    // A terminal whose programs have ended gives what they said, then an error.
    let mut shown = Vec::new();
    let _ = std::io::Read::read_to_end(&mut ours, &mut shown);
    done.stderr = String::from_utf8_lossy(&shown).into_owned();
    done
}

#[test]
fn rights_are_asked_for_once_on_a_terminal() {
    let mut stage = Stage::new();
    stage.start(&START);
    let rom = guest("wordcount").to_string_lossy().into_owned();
    refused(&stage.say(&["run", &rom]), 126, "--allow");
    let no = typed(&stage, &rom, "n\n");
    refused(&no, 126, "wants what it is not allowed");
    refused(&stage.say(&["run", &rom]), 126, "--allow");

    // The end of the text that the ROM counts is typed too.
    let yes = typed(&stage, &rom, "y\none two\n\u{4}");
    assert_eq!(yes.code, 0, "{}", yes.stderr);
    assert!(yes.stderr.contains("[y/N]"), "{}", yes.stderr);
    assert_eq!(well(&stage, &["query", "/self/wordcount", "get", "two"]), "1");
    let again = stage.say(&["run", &rom]);
    assert_eq!(again.code, 0, "remembered: {}", again.stderr);
    // By its hash, and so whichever way it comes.
    well(&stage, &["publish", &rom, "/self/wc"]);
    let hash = well(&stage, &["get", "/self/wc"]);
    for road in ["std:wordcount", "/self/wc", &hash] {
        let again = stage.say(&["run", road]);
        assert_eq!(again.code, 0, "{road}: {}", again.stderr);
    }

    assert_eq!(well(&stage, &["run", "--forget", &rom, "--json"]), r#"{"forgotten":1}"#);
    for road in [rom.as_str(), "std:wordcount", "/self/wc", &hash] {
        refused(&stage.say(&["run", road]), 126, "--allow");
        refused(&stage.say(&["run", "--forget", road]), 127, "nothing is remembered");
    }
    assert_eq!(well(&stage, &["run", "--forget", "--json"]), r#"{"forgotten":0}"#);
    let remembered = stage.folder.path().join("state/rom-rights.json");
    fs::write(&remembered, [0xff]).expect("a file");
    refused(&stage.say(&["run", &rom]), 125, "`isx run --forget` begins anew");
    assert_eq!(well(&stage, &["run", "--forget", "--json"]), r#"{"forgotten":0}"#);
    assert!(!remembered.exists());
}

/// What the doctor found, by check.
fn found(said: &Said, check: &str) -> (bool, String, Option<String>) {
    let line = said.stdout.lines().map(json).find(|line| line["check"] == check);
    let line = line.unwrap_or_else(|| panic!("{check} was not looked at: {}", said.stdout));
    let text = |name: &str| line[name].as_str().map(str::to_string);
    (line["well"] == true, text("found").unwrap_or_default(), text("cure"))
}

#[test]
fn the_doctor_finds_what_is_wrong_and_its_cure() {
    let mut stage = Stage::new();
    let look = |stage: &Stage| {
        let mut command = stage.isx(&["doctor", "--json", "--within", "5s"]);
        said(command.current_dir(stage.folder.path()).output().expect("the binary runs"))
    };
    let before = look(&stage);
    assert!(before.stdout.lines().count() >= 14, "{}", before.stdout);
    for check in ["toolchain", "target of modules", "target of ROMs", "configuration", "key", "contexts", "project"] {
        assert!(found(&before, check).0, "{:?}", found(&before, check));
    }
    for (check, text) in [("state", "not made yet"), ("node", "none runs"), ("key", "not made yet")] {
        assert!(found(&before, check).1.contains(text), "{:?}", found(&before, check));
    }
    let wrong = |said: &Said| said.stdout.lines().any(|line| json(line)["well"] == false);
    assert_eq!(before.code, if wrong(&before) { 125 } else { 0 });
    let nothing_made = || {
        let made = ["state", "config", "cache", "runtime/isx"]
            .into_iter()
            .filter(|name| stage.folder.path().join(name).exists());
        assert_eq!(made.collect::<Vec<_>>(), [""; 0]);
    };
    nothing_made();
    let named = said(stage.isx(&["doctor", "--json", "--dial", NOWHERE]).output().expect("the binary runs"));
    assert!(found(&named, "node").1.contains("no key yet"), "{}", named.stdout);
    nothing_made();

    stage.start(&START);
    let running = look(&stage);
    assert!(found(&running, "node").1.contains("alpha answers"), "{}", running.stdout);
    assert!(found(&running, "state").1.contains("held by the node alpha"), "{}", running.stdout);

    let root = stage.folder.path().to_path_buf();
    let put = |name: &str, text: &str| {
        let file = root.join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a file");
    };
    put("isx.toml", "[[module]]\nnmae = \"a\"\n");
    put("config/isx/contexts.toml", &format!("current = \"gone\"\n[context.gone]\ndial = {NOWHERE:?}\n"));
    let key = root.join("config/isx/key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("the key");
    let said = look(&stage);
    assert_eq!(said.code, 125, "{}", said.stdout);
    let check = |said: &Said, check: &str, text: &str, cure: &str| {
        let (well, is, cured) = found(said, check);
        assert!(!well && is.contains(text) && cured.as_ref().is_some_and(|it| it.contains(cure)), "{is}: {cured:?}");
    };
    check(&said, "project", "line 2", "correct the file");
    check(&said, "key", "open to others", "chmod 600");
    check(&said, "node", "not asked", "see key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("the key");
    let said = look(&stage);
    check(&said, "node", "no node answers", "change the context gone");
    assert!(found(&said, "contexts").1.contains("gone in use"));
    put("config/isx/contexts.toml", "current = \"gone\"\n");
    check(&look(&stage), "contexts", "is gone", "correct the file");
    stage.kill();
    put("state/version", "isx state 9\n");
    check(&look(&stage), "state", "another version", "--state-dir");
    let text = stage.say(&["doctor"]);
    assert!(
        text.stdout.contains("WRONG state") && text.stderr.contains("need doing"),
        "{}{}",
        text.stdout,
        text.stderr
    );
}
