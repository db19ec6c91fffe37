//! The hostile corpus: whatever a module does or is, the end is a typed error and unchanged tables.
#![allow(clippy::unwrap_used, reason = "a test fails where it is wrong")]

mod modules;

use isx_exec::{Compile, CompileHere, Exec, Ports, read_schema};
use isx_row::{Code, ContentHash};
use isx_store::{Executor, Hold, Invocation};
use modules::{ENTRY, KV, Mount, arguments, bare, call, component, kv_schema, with_section};

#[test]
fn hostile_calls_end_in_typed_errors() {
    let mut mount = Mount::new();
    mount.one("add", 1, 1);
    let before = mount.root.state_hash();
    let mut check = |name: &str, code: Code, text: &str| {
        // Alone, and in an instance that has served before.
        let (three, two) = (arguments(3, 3), arguments(2, 2));
        for calls in [vec![call(name, &two, 1)], vec![call("keep_log", &three, 0), call(name, &two, 1)]] {
            let error = mount.execute(&calls).pop().unwrap().outcome.unwrap_err();
            assert_eq!((error.code, error.text.as_str()), (code, text), "{name}");
            assert_eq!(mount.root.state_hash(), before, "{name}");
        }
    };
    let contract = "the module gave what its types do not allow, or more than HOST_CALL_BYTES_MAX at once";
    check("loop", Code::OutOfFuel, "the call used up its fuel");
    check("nest", Code::Limit, "the call recursed beyond WASM_STACK_BYTES_MAX (524288)");
    check("memory", Code::Limit, "the call needs a larger memory than MEMORY_BYTES_MAX (67108864)");
    check("vast_table", Code::Limit, "the call needs a larger table of functions than TABLE_ELEMENTS_MAX (65536)");
    check("trap", Code::Trap, "wasm trap: wasm `unreachable` instruction executed");
    check("utf8", Code::Trap, contract);
    check("huge", Code::Trap, contract);
    check("junk", Code::Malformed, "the answer of junk: bytes follow the value");
    check("forge", Code::Malformed, "the error of forge is not of the type that its schema has");
    check("yonder", Code::Malformed, "the schema declares yonder, the module does not have it");
    check("pretend", Code::Denied, "the function does not declare inserts(kv)");
    mount.root.audit().unwrap();
}

#[test]
fn growth_is_never_an_answer() {
    let check = |found: &str, replaced: &str, name: &str, text: &str| {
        let exec = Exec::new(Ports::here()).unwrap();
        let (hash, schema) = exec.add(&component(&KV.replace(found, replaced), &kv_schema())).unwrap();
        let mut root = isx_store::Database::new(schema).unwrap();
        let given = arguments(1, 1);
        let error =
            exec.execute(&hash, &mut root, &ENTRY, &[call(name, &given, 0)]).unwrap().remove(0).outcome.unwrap_err();
        assert_eq!((error.code, error.text.as_str()), (Code::Limit, text));
    };
    let memory = "the call needs a larger memory than";
    check("\"memory\") 2)", "\"memory\") 2 300)", "memory", &format!("{memory} its module declares (19660800)"));
    // Growth beyond the address space never comes here: it is refused in every instance alike.
    let table = "the call needs a larger table of functions than";
    check("$functions 1 funcref", "$functions 1 9 funcref", "vast_table", &format!("{table} its module declares (9)"));
}

#[test]
fn no_fuel_is_no_call() {
    let mut mount = Mount::new();
    let given = arguments(1, 1);
    for fuel_max in [0, 1, 100, 1_000, 2_000] {
        let done = mount.execute(&[Invocation { fuel_max, ..call("add", &given, 0) }]).remove(0);
        assert_eq!(done.outcome.unwrap_err().code, Code::OutOfFuel);
        assert!(done.fuel <= fuel_max);
    }
    assert_eq!(mount.rows("kv"), 0);
}

fn refused(bytes: &[u8], code: Code, text: &str) {
    let exec = Exec::new(Ports::here()).unwrap();
    let error = exec.add(bytes).unwrap_err();
    assert_eq!(error.code, code, "{error}");
    assert!(error.text.contains(text), "{error}");
    assert!(!exec.has(&ContentHash::of(bytes)));
}

#[test]
fn hostile_components_are_refused() {
    let kv = component(KV, &kv_schema());
    let exec = Exec::new(Ports::here()).unwrap();
    exec.add(&kv).unwrap();

    refused(b"", Code::Malformed, "no WebAssembly component");
    refused(b"junk and more junk", Code::Malformed, "no WebAssembly component");
    refused(&wat::parse_str("(module)").unwrap(), Code::Malformed, "this is a core module");
    refused(&wat::parse_str("(component)").unwrap(), Code::Malformed, "exports no function `call`");
    refused(&vec![0; 33 * 1024 * 1024], Code::Limit, "COMPONENT_BYTES_MAX");

    let schema = kv_schema().encode().unwrap();
    refused(&bare(KV), Code::Malformed, "no section `isx:schema`");
    refused(&with_section(kv.clone(), &schema), Code::Malformed, "more than one section");
    refused(&with_section(bare(KV), b"no schema"), Code::Malformed, "");
    refused(&with_section(bare(KV), &schema[..schema.len() - 1]), Code::Malformed, "");
    refused(&with_section(bare(KV), &vec![0; 2 * 1024 * 1024]), Code::Limit, "SCHEMA_BYTES_MAX");

    let foreign =
        r#"(component (import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func (result u64))))))"#;
    refused(&wat::parse_str(foreign).unwrap(), Code::Malformed, "imports `wasi:random/random@0.2.0`");
    let untyped = r#"(component
        (core module $m (func (export "call")))
        (core instance $i (instantiate $m))
        (func (export "call") (canon lift (core func $i "call"))))"#;
    refused(
        &with_section(wat::parse_str(untyped).unwrap(), &schema),
        Code::Malformed,
        "`call` is not of the guest contract's type",
    );
    let other = r#"(component
        (import "isx:module/context@0.1.0" (instance $c (export "time" (func (result string)))))
        (alias export $c "time" (func $t))
        (export "call" (func $t)))"#;
    refused(&with_section(wat::parse_str(other).unwrap(), &schema), Code::Malformed, "");

    let memory = KV.replace("(memory (export \"memory\") 2)", "(memory (export \"memory\") 2000)");
    refused(&component(&memory, &kv_schema()), Code::Malformed, "memory");
    let threads = r#"(component (core module (memory 1 1 shared)))"#;
    refused(&wat::parse_str(threads).unwrap(), Code::Malformed, "threads");
    let relaxed =
        "(component (core module (func (param v128) (result v128) local.get 0 local.get 0 i8x16.relaxed_swizzle)))";
    refused(&wat::parse_str(relaxed).unwrap(), Code::Malformed, "relaxed");
}

#[test]
fn a_schema_that_contradicts_itself_or_is_damaged_is_refused() {
    let mut schema = kv_schema();
    let sound = schema.encode().unwrap();
    let hook = schema.reducers.iter_mut().find(|reducer| reducer.name == "on_add").unwrap();
    hook.arguments.clear();
    assert_eq!(schema.encode().unwrap_err().code, Code::Malformed);
    for at in (0..sound.len()).step_by(7) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        let error = read_schema(&with_section(bare(KV), &damaged)).unwrap_err();
        assert!(matches!(error.code, Code::Malformed | Code::Limit), "byte {at}: {error}");
    }
}

#[test]
fn damaged_components_never_get_through_or_kill() {
    let kv = component(KV, &kv_schema());
    for length in (0..kv.len()).step_by(97) {
        assert!(read_schema(&kv[..length]).is_err(), "cut at {length}");
    }
    // Every byte that is another is refused, or gives a component that can be run within the limits.
    for at in (8..kv.len()).step_by(61) {
        let mut damaged = kv.clone();
        damaged[at] ^= 0x55;
        let exec = Exec::new(Ports::here()).unwrap();
        if let Ok((code, schema)) = exec.add(&damaged)
            && let Ok(mut root) = isx_store::Database::new(schema)
        {
            let given = arguments(1, 1);
            let before = root.state_hash();
            let done = exec.execute(&code, &mut root, &ENTRY, &[call("add", &given, 0)]).unwrap();
            assert!(done[0].outcome.is_ok() || root.state_hash() == before);
        }
    }
}

#[test]
fn starting_is_bounded_and_sees_nothing() {
    let start = |body: &str| {
        KV.replace(
            "(global $warm (mut i32) (i32.const 0))",
            &format!("(global $warm (mut i32) (i32.const 0))\n(start $start)\n(func $start {body})"),
        )
    };
    let check = |body: &str, code: Code, text: &str| {
        let exec = Exec::new(Ports::here()).unwrap();
        let (hash, schema) = exec.add(&component(&start(body), &kv_schema())).unwrap();
        let mut root = isx_store::Database::new(schema).unwrap();
        let given = arguments(1, 1);
        let error =
            exec.execute(&hash, &mut root, &ENTRY, &[call("add", &given, 0)]).unwrap().remove(0).outcome.unwrap_err();
        assert_eq!((error.code, error.text.as_str()), (code, text));
    };
    check("(loop $ever (br $ever))", Code::Limit, "the module needs more than START_FUEL_MAX (10000000) to start");
    check("(unreachable)", Code::Trap, "wasm trap: wasm `unreachable` instruction executed");
    check("(drop (call $time))", Code::Trap, "a start function may not use the guest contract");
}

#[test]
fn code_that_is_not_here_holds() {
    let mut mount = Mount::new();
    let before = mount.root.state_hash();
    mount.exec.remove(&mount.code);
    let held = mount.exec.execute(&mount.code, &mut mount.root, &ENTRY, &[]);
    assert_eq!(held, Err(Hold::NoCode(mount.code)));
    assert_eq!(mount.root.state_hash(), before);
    assert_eq!(mount.query("sum", 0).unwrap_err().code, Code::Busy);
}

#[test]
fn the_compiler_here_has_caps() {
    let big = vec![0; 5 * 1024 * 1024];
    assert_eq!(CompileHere::default().compile(&big).unwrap_err().code, Code::Limit);
    assert_eq!(CompileHere::default().compile(b"junk").unwrap_err().code, Code::Malformed);
}
