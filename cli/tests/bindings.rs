//! Bindings in other languages, compiled and run: their codec against the test vectors, their JSON against what isx prints.
//!
//! They need Node.js and the TypeScript compiler, which `cargo xtask setup` names and installs.

mod support;

use serde_json::{Value as Json, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Stage, guest, said};

/// The sources of these tests in JavaScript and TypeScript.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bindings").join(name)
}

/// Runs a program of Node.js; gives what it prints.
fn node(program: &Path, arguments: &[&Path], stdin: &str) -> String {
    let mut command = Command::new("node");
    command.arg(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|why| panic!("Node.js is missing ({why}): run `cargo xtask setup`"));
    child.stdin.take().expect("it is piped").write_all(stdin.as_bytes()).expect("it reads");
    let said = said(child.wait_with_output().expect("it ends"));
    assert_eq!(said.code, 0, "{}: {}{}", program.display(), said.stdout, said.stderr);
    said.stdout
}

/// What compiles generated sources: strictly, and only what can be run by taking types away.
const OPTIONS: &str = r#"{ "compilerOptions": {
    "strict": true, "noUncheckedIndexedAccess": true, "exactOptionalPropertyTypes": true, "noImplicitOverride": true,
    "noImplicitReturns": true, "noUnusedLocals": true, "noUnusedParameters": true, "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true, "noEmitOnError": true,
    "target": "es2022", "lib": ["es2022"], "types": [], "module": "nodenext"
} }"#;

/// Compiles the TypeScript sources in a folder.
fn compile(folder: &Path) {
    let target = Path::new(env!("CARGO_BIN_EXE_isx")).ancestors().nth(2).expect("the target folder");
    let compiler = target.join("tools/typescript/node_modules/typescript/lib/tsc.js");
    assert!(compiler.is_file(), "{} is missing: run `cargo xtask setup`", compiler.display());
    std::fs::write(folder.join("tsconfig.json"), OPTIONS).expect("a file");
    std::fs::write(folder.join("package.json"), r#"{ "type": "module" }"#).expect("a file");
    node(&compiler, &[Path::new("--project"), folder], "");
}

/// Writes the bindings of a source into a file.
fn bind(stage: &Stage, source: &str, language: &str, file: &Path) {
    let said = stage.say(&["bindings", source, "--lang", language, "--out", &file.to_string_lossy()]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.starts_with("wrote "), "{}", said.stdout);
}

#[test]
fn typescript_agrees_with_the_test_vectors() {
    let stage = Stage::new();
    let folder = stage.folder.path();
    bind(&stage, &guest("tally").to_string_lossy(), "typescript", &folder.join("tally.ts"));
    compile(folder);
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("sdk/row/vectors");
    let printed = node(&script("vectors.mjs"), &[&folder.join("tally.js"), &vectors], "");
    assert!(printed.contains(" mutations refused"), "{printed}");
}

#[test]
fn typescript_is_typed_and_does_what_its_types_say() {
    let stage = Stage::new();
    let folder = stage.folder.path();
    bind(&stage, &guest("probe").to_string_lossy(), "typescript", &folder.join("probe.ts"));
    std::fs::copy(script("usage.ts"), folder.join("usage.ts")).expect("the source");
    compile(folder);
    node(&folder.join("usage.js"), &[], "");
}

/// What a command prints with `--json`: a value a line.
fn printed(stage: &Stage, arguments: &[&str]) -> Vec<Json> {
    let said = stage.say(&[&["--json"], arguments].concat());
    assert_eq!(said.code, 0, "isx {arguments:?}: {}", said.stderr);
    said.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// A module, a verb, a function, its arguments.
type Call<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, Json)]);

#[test]
fn the_json_that_is_printed_is_what_schema_and_bindings_say() {
    let mut stage = Stage::new();
    stage.start(&["start", "--alias", "alpha", "--listen", "127.0.0.1:0"]);
    let folder = stage.folder.path().to_path_buf();
    let item = |room: u8, name: &str| json!({ "room": room, "name": name, "rank": -2, "label": "ä\u{1f600}" });
    let calls: [Call<'_>; 10] = [
        ("tally", "call", "add", &[("key", json!("apples")), ("n", json!("18446744073709551614"))]),
        ("tally", "query", "get", &[("key", json!("apples"))]),
        ("tally", "query", "top", &[("n", json!(u32::MAX))]),
        ("probe", "call", "store", &[("items", json!([item(1, "a"), item(1, "b"), item(2, "")]))]),
        (
            "probe",
            "query",
            "items",
            &[
                ("which", json!({ "in_room_from": { "_0": 1, "_1": "b" } })),
                ("reverse", json!(true)),
                ("count", json!(9)),
            ],
        ),
        ("probe", "call", "open", &[("name", json!("ada")), ("number", json!("1")), ("balance", json!("5"))]),
        ("probe", "call", "come", &[("name", json!("ada")), ("forged", json!("2026-01-31T12:00:00.000000Z"))]),
        ("probe", "call", "come", &[("name", json!("ada")), ("forged", json!("1969-12-31T23:59:59.999999Z"))]),
        ("probe", "query", "seen_by_hook", &[]),
        ("probe", "call", "counted", &[("words", json!(["b", "a", "b"]))]),
    ];
    for module in ["tally", "probe"] {
        assert_eq!(stage.say(&["publish", &guest(module).to_string_lossy()]).code, 0);
        // From the mount: what the node has is what the component says.
        let (mount, file) = (format!("/self/{module}"), guest(module));
        for (language, extension) in [("typescript", "ts"), ("json-schema", "json")] {
            let to = folder.join(format!("{module}.{extension}"));
            bind(&stage, &mount, language, &to);
            let same = stage.say(&["bindings", &file.to_string_lossy(), "--lang", language]).stdout;
            assert_eq!(std::fs::read_to_string(to).expect("it was written"), same);
        }
        let mut lines = Vec::new();
        for (_, verb, function, arguments) in calls.iter().filter(|call| call.0 == module) {
            let words =
                arguments.iter().map(|(_, json)| json.as_str().map_or_else(|| json.to_string(), str::to_string));
            let words: Vec<String> = words.collect();
            let words: Vec<&str> =
                [*verb, &mount, function].into_iter().chain(words.iter().map(String::as_str)).collect();
            let answer = printed(&stage, &words).remove(0)["answer"].take();
            lines.push(json!({ "of": format!("{function}.answer"), "json": answer, "valid": true }));
            let arguments: Json = arguments.iter().map(|(name, json)| (name.to_string(), json.clone())).collect();
            lines.push(json!({ "of": format!("{function}.arguments"), "json": arguments, "valid": true }));
        }
        let tables =
            if module == "tally" { ["counter", "sum"].as_slice() } else { &["item", "account", "visit", "seen"] };
        for table in tables {
            let rows = printed(&stage, &["rows", &format!("{mount}:{table}")]);
            assert!(!rows.is_empty(), "{table}");
            for row in rows {
                let mut wrong = row.clone();
                wrong["stranger"] = json!(1);
                lines.push(json!({ "of": format!("{table}.row"), "json": row, "valid": true }));
                lines.push(json!({ "of": format!("{table}.row"), "json": wrong, "valid": false }));
            }
        }
        if module == "probe" {
            for (json, valid) in [
                (json!("no_account"), true),
                (json!({ "too_little": { "balance": "3" } }), true),
                (json!("too_little"), false),
                (json!({ "too_little": { "balance": "-3" } }), false),
                (json!({ "too_little": { "balance": "3" }, "no_account": {} }), false),
            ] {
                lines.push(json!({ "of": "withdraw.error", "json": json, "valid": valid }));
            }
        }
        compile(&folder);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let schema = folder.join(format!("{module}.json"));
        let checked = node(&script("validate.mjs"), &[&schema, &folder.join(format!("{module}.js"))], &text);
        assert_eq!(checked, format!("{} checked\n", lines.len()));
    }
    let nobody = stage.say(&["bindings", "/self/nobody", "--lang", "typescript"]);
    assert_eq!(nobody.code, 127, "{}", nobody.stderr);
    let no_file = stage.say(&["bindings", "nobody.wasm", "--lang", "rust"]);
    assert!(no_file.code == 127 && no_file.stderr.contains("no file nobody.wasm"), "{}", no_file.stderr);
}
