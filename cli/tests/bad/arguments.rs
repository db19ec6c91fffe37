//! Paths, names and arguments that are wrong.

use crate::refused::{START, refused, sound, well};
use crate::support::{Stage, guest};

const TALLY: &str = "/self/tally";

#[test]
fn names_that_are_none_are_refused_wherever_they_stand() {
    let mut stage = Stage::new();
    stage.start(&START);
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    let tree = well(&stage, &["tree"]);
    let vast = "x".repeat(10 * 1024);
    let wrong: &[(&str, &str, &str)] = &[
        ("a/../../b", "malformed", ".."),
        ("..", "malformed", ".."),
        (".", "malformed", "."),
        ("a//b", "malformed", "empty"),
        ("a\u{7}b", "malformed", "control"),
        ("a\nb", "malformed", "control"),
        ("a\u{1b}[2Jb", "malformed", "control"),
        ("a\u{202e}b", "malformed", "invisible"),
        ("a\u{200b}", "malformed", "invisible"),
        (" a", "malformed", "white space"),
        ("a*", "malformed", "*"),
        (&vast, "limit", "NAME_BYTES_MAX"),
    ];
    let tally = guest("tally").to_string_lossy().into_owned();
    for (name, code, says) in wrong {
        let path = format!("/self/{name}");
        let verbs: [&[&str]; 9] = [
            &["get", &path],
            &["set", &path, "1"],
            &["ls", &path],
            &["watch", &path],
            &["rm", &path, "--yes"],
            &["mount", &path, &"01".repeat(33)],
            &["unmount", &path],
            &["call", &path, "add", "a", "1"],
            &["publish", &tally, &path],
        ];
        for verb in verbs {
            refused(&stage, verb, 125, code, &["/self/", says]);
        }
    }
    let deep = "/a".repeat(1000);
    refused(&stage, &["set", &format!("/self{deep}"), "1"], 125, "limit", &["DEPTH_MAX"]);
    refused(&stage, &["get", "self/tally"], 127, "not_found", &["self/tally", "a path begins with /"]);
    refused(&stage, &["set", "motd", "1"], 127, "not_found", &["motd", "a path begins with /"]);
    refused(&stage, &["get", "/nobody/tally"], 127, "not_found", &["/nobody/tally"]);
    assert_eq!(well(&stage, &["tree"]), tree, "nothing was made");
    sound(stage);
}

#[test]
fn arguments_that_do_not_fit_are_refused_by_name() {
    let mut stage = Stage::new();
    stage.start(&START);
    well(&stage, &["publish", &guest("tally").to_string_lossy()]);
    well(&stage, &["publish", &guest("probe").to_string_lossy()]);
    well(&stage, &["call", TALLY, "add", "a", "7"]);
    let add = |arguments: &[&str], code: &str, says: &[&str]| {
        refused(&stage, &[&["call", TALLY, "add"], arguments].concat(), 125, code, says);
    };
    add(&[], "bad_arguments", &["add takes (key: string, n: u64)", "got 0"]);
    add(&["a"], "bad_arguments", &["add takes (key: string, n: u64)", "got 1"]);
    add(&["a", "1", "2"], "bad_arguments", &["add takes (key: string, n: u64)", "got 3"]);
    for number in ["-1", "1.5", "1e3", "0x10", "18446744073709551616", "", "one", "[1]", "null", "\"1\" 2", "NaN"] {
        add(&["a", number], "bad_arguments", &["n: ", "expected"]);
    }
    add(&["@/no/where", "1"], "bad_arguments", &["key: ", "/no/where"]);
    add(&["a", "@/dev/null"], "bad_arguments", &["n: "]);
    let file = stage.folder.path().join("large");
    std::fs::write(&file, "x".repeat(1 << 20)).expect("a file");
    let large = format!("@{}", file.display());
    add(&[&large, "1"], "limit", &["key: ", "262144 bytes"]);
    // A word of the command line has no more than 128 KiB; what is in a row has more than its text.
    std::fs::write(&file, "x".repeat(255 * 1024)).expect("a file");
    add(&[&large, "1"], "limit", &["KEY_BYTES_MAX"]);
    let word = "x".repeat(120 * 1024);
    add(&[&word, "1"], "limit", &["KEY_BYTES_MAX"]);
    add(&["a", &word], "bad_arguments", &["n: "]);
    refused(&stage, &["call", TALLY, &word[..10240], "1"], 127, "not_found", &["/self/tally", "it has add, remove"]);
    refused(&stage, &["call", &word[..10240], "add"], 127, "not_found", &["there is no isx.toml"]);
    refused(
        &stage,
        &["rows", "/self/tally:counter", "--at", "999999"],
        125,
        "conflict",
        &[TALLY, "999999 is of the future"],
    );
    refused(&stage, &["query", TALLY, "total", "extra"], 125, "bad_arguments", &["total takes ()", "got 1"]);
    assert_eq!(well(&stage, &["query", TALLY, "total"]), "7");
    assert_eq!(well(&stage, &["rows", "/self/tally:counter", "--json"]), r#"{"count":"7","key":"a"}"#);
    sound(stage);
}
