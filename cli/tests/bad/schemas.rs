//! Modules whose schema is missing, damaged, wrong, or says something else than their code does.

use crate::modules::{KV, bare, component, kv_schema, with_section};
use crate::refused::{START, refused, sound, well};
use crate::support::Stage;
use isx_row::schema::Schema;

/// Publishes a component whose code is that of `kv.wat` with a section `isx:schema` of these bytes.
fn publish(stage: &Stage, schema: &[u8], code: &str, says: &[&str]) {
    let path = stage.folder.path().join("bad.wasm");
    std::fs::write(&path, with_section(bare(KV), schema)).expect("a file");
    let file = path.to_string_lossy().into_owned();
    refused(stage, &["publish", &file, "/self/bad"], 125, code, &[&[file.as_str()], says].concat());
}

/// Canonical bytes around any content: magic, format, length, checksum.
fn sealed(content: &[u8]) -> Vec<u8> {
    let mut bytes = b"isxs\x01\0".to_vec();
    bytes.extend_from_slice(&u32::try_from(content.len()).expect("a length").to_le_bytes());
    let checksum = blake3::Hasher::new().update(&bytes).update(content).finalize();
    bytes.extend_from_slice(&checksum.as_bytes()[..4]);
    bytes.extend_from_slice(content);
    bytes
}

/// The schema of `kv.wat`, in whose bytes the first `from` is `to`: what no encoder would write.
fn edited(from: &[u8], to: &[u8]) -> Vec<u8> {
    let content = kv_schema().encode().unwrap().split_off(14);
    let at = content.windows(from.len()).position(|window| window == from).expect("it is there");
    sealed(&[&content[..at], to, &content[at + from.len()..]].concat())
}

#[test]
fn schemas_that_no_tool_writes_are_refused() {
    let mut stage = Stage::new();
    stage.start(&START);
    let sound_bytes = kv_schema().encode().unwrap();
    assert_eq!(edited(b"audit", b"audit"), sound_bytes, "the bytes are made as the encoder makes them");

    let path = stage.folder.path().join("bare.wasm");
    std::fs::write(&path, bare(KV)).expect("a file");
    let file = path.to_string_lossy().into_owned();
    refused(&stage, &["publish", &file], 125, "malformed", &[&file, "no section `isx:schema`", "isx build"]);
    std::fs::write(&path, with_section(with_section(bare(KV), &sound_bytes), &sound_bytes)).expect("a file");
    refused(&stage, &["publish", &file], 125, "malformed", &["more than one section"]);

    publish(&stage, b"", "malformed", &["schema"]);
    publish(&stage, b"{\"name\": \"kv\"}", "malformed", &["this is no schema"]);
    publish(
        &stage,
        &sound_bytes[..sound_bytes.len() - 1],
        "malformed",
        &["the schema is damaged", "build the module again"],
    );
    let mut flipped = sound_bytes.clone();
    *flipped.last_mut().expect("a byte") ^= 0x10;
    publish(&stage, &flipped, "malformed", &["the schema is damaged"]);
    let mut newer = sound_bytes.clone();
    newer[4] = 9;
    publish(&stage, &newer, "malformed", &["schema format 9 is unknown", "this version reads 1"]);
    publish(&stage, &vec![0; (1 << 20) + 1], "limit", &["SCHEMA_BYTES_MAX"]);
    publish(&stage, &sealed(&[0; 64]), "malformed", &[]);
    publish(&stage, &sealed(b""), "malformed", &[]);

    // The last column, then the primary key.
    let value = b"\x05value\x05\0\x01\0";
    let with_key = |key: &[u8]| edited(&[value, &b"\x01\0\0\0"[..]].concat(), &[value, key].concat());
    publish(&stage, &with_key(b"\0\0"), "malformed", &["`audit`", "primary key"]);
    publish(&stage, &with_key(b"\x01\0\x09\0"), "malformed", &["`audit`", "primary key"]);
    publish(&stage, &edited(b"\x02kv\x05", b"\x05Kv/..\x05"), "malformed", &["module name `Kv/..`"]);
    publish(&stage, &edited(b"\x05bonds", b"\x05audit"), "malformed", &["`audit` twice"]);
    publish(&stage, &edited(b"\x05audit", b"\x05zudit"), "malformed", &["not sorted"]);
    publish(&stage, &edited(b"\x05audit", b"\x05au\nit"), "malformed", &["table name"]);
    let long = [&[200][..], &[b'a'; 200]].concat();
    publish(&stage, &edited(b"\x05audit", &long), "limit", &["NAME_BYTES_MAX"]);
    // A list of more tables than the bytes have, and more than there may be.
    publish(&stage, &edited(b"\x03\0\x05audit", b"\x04\0\x05audit"), "malformed", &[]);
    publish(&stage, &edited(b"\x03\0\x05audit", b"\xff\xff\x05audit"), "limit", &["TABLES_MAX"]);
    refused(&stage, &["inspect", "/self/bad"], 127, "not_found", &["/self/bad"]);
    sound(stage);
}

#[test]
fn a_schema_that_its_code_contradicts_costs_the_calls_and_nothing_else() {
    let mut stage = Stage::new();
    stage.start(&START);
    let file = stage.folder.path().join("kv.wasm").to_string_lossy().into_owned();
    let put = |schema: &Schema| std::fs::write(&file, component(KV, schema)).expect("a file");
    put(&kv_schema());
    well(&stage, &["publish", &file]);
    well(&stage, &["call", "/self/kv", "add", "1", "5"]);
    // Functions that the code lacks, that answer what the schema does not have, or touch what they do not declare.
    let call = |function: &str, code: &str, says: &[&str]| {
        let exit = if code == "denied" { 126 } else { 125 };
        refused(&stage, &["call", "/self/kv", function, "2", "7"], exit, code, &[&["/self/kv"], says].concat());
    };
    call("yonder", "malformed", &["yonder", "the module does not have it"]);
    call("junk", "malformed", &["the answer of junk"]);
    call("forge", "malformed", &["the error of forge"]);
    call("utf8", "trap", &[]);
    call("huge", "trap", &[]);
    call("pretend", "denied", &["inserts(kv)"]);
    call("trap", "trap", &["unreachable"]);
    refused(&stage, &["query", "/self/kv", "question", "1", "1"], 126, "denied", &["/self/kv"]);
    refused(&stage, &["query", "/self/kv", "z_random", "1", "1"], 126, "denied", &["/self/kv"]);
    assert_eq!(well(&stage, &["rows", "/self/kv:kv", "--json"]).lines().count(), 2, "what they began is rolled back");

    // An upgrade that would lose rows, and one by the wrong code.
    let mut other = kv_schema();
    other.tables.retain(|table| table.name != "kv");
    let uses_kv = |name: &str| ["on_add", "pretend"].contains(&name);
    other.reducers.retain(|reducer| !uses_kv(&reducer.name));
    put(&other);
    refused(&stage, &["publish", &file], 125, "incompatible", &["/self/kv", "kv"]);
    assert_eq!(well(&stage, &["query", "/self/kv", "get", "1", "0"]), "5");
    sound(stage);
}
