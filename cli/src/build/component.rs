//! Makes a component of a module's core WebAssembly, lifts its schema, and reads components back. Bytes in, bytes out.

use anyhow::{Context, Result, bail, ensure};
use isx_exec::SCHEMA_SECTION;
use isx_row::schema::Schema;
use std::borrow::Cow;
use wasm_encoder::{CustomSection, Encode, RawSection, Section};
use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The guest contract of modules, for cores that do not carry it themselves.
const MODULE_WIT: &str = include_str!("../../../sdk/wit/module.wit");
/// How the sections begin that carry the guest contract within a core module.
const CONTRACT_SECTION_PREFIX: &str = "component-type";

/// What a component says of itself, without being run.
#[derive(Debug)]
pub struct Inspection {
    /// The schema; absent from ROMs and from components that were not made for isx.
    pub schema: Option<Schema>,
    /// Names of what it imports, in its order.
    pub imports: Vec<String>,
    /// Names of what it exports, in its order.
    pub exports: Vec<String>,
}

/// Makes a module's component of its core WebAssembly: schema lifted, contract embedded, validated.
///
/// # Errors
/// When the core is no valid module, imports what a module may not, or its schema breaks a rule; the text names it.
pub fn wrap_module(core: &[u8]) -> Result<Vec<u8>> {
    let Core { mut bare, records, has_contract } = take_schema(core)?;
    ensure!(
        !records.is_empty(),
        "the module declares nothing; write `isx::module!();` or `isx::module!(public);` at the root of its crate"
    );
    let schema = Schema::lift(&records).context("the module's schema is refused")?;
    let canonical = schema.encode().context("the module's schema is refused")?;
    if !has_contract {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("module.wit", MODULE_WIT).context("the guest contract does not parse")?;
        let world = resolve.select_world(&[package], None).context("the guest contract has no world")?;
        embed_component_metadata(&mut bare, &resolve, world, StringEncoding::UTF8)
            .context("the guest contract does not fit into the module")?;
    }
    let mut component =
        ComponentEncoder::default()
            .module(&bare)
            .and_then(|encoder| encoder.validate(true).encode())
            .context("this is no isx module: it must export `call` and may import only what `isx:module` offers")?;
    append_section(&mut component, SCHEMA_SECTION, &canonical);
    validate(&component)?;
    Ok(component)
}

/// Reads schema, imports and exports of a component.
///
/// # Errors
/// When the bytes are no valid component, or carry a schema that breaks a rule.
pub fn inspect(component: &[u8]) -> Result<Inspection> {
    validate(component)?;
    let isx_exec::Outline { imports, exports, schemas, .. } = isx_exec::outline(component)?;
    ensure!(schemas.len() <= 1, "the component carries two schemas; build it again");
    let schema = schemas.first().map(|bytes| Schema::decode(bytes)).transpose();
    Ok(Inspection { schema: schema.context("the component's schema is refused")?, imports, exports })
}

/// A core module without its schema records.
struct Core {
    bare: Vec<u8>,
    /// The records, one after the other.
    records: Vec<u8>,
    /// Whether it carries the guest contract.
    has_contract: bool,
}

fn take_schema(core: &[u8]) -> Result<Core> {
    let mut taken = Core { bare: wasm_encoder::Module::HEADER.to_vec(), records: Vec::new(), has_contract: false };
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload.context("this is no WebAssembly module")?;
        match &payload {
            Payload::Version { encoding: Encoding::Component, .. } => {
                bail!("this is a component already, not a core module")
            }
            Payload::CustomSection(section) if section.name() == SCHEMA_SECTION => {
                taken.records.extend_from_slice(section.data());
                continue;
            }
            Payload::CustomSection(section) => {
                taken.has_contract |= section.name().starts_with(CONTRACT_SECTION_PREFIX)
            }
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            let data = core.get(range).context("a section lies outside of the module")?;
            RawSection { id, data }.append_to(&mut taken.bare);
        }
    }
    Ok(taken)
}

fn append_section(wasm: &mut Vec<u8>, name: &str, data: &[u8]) {
    let section = CustomSection { name: Cow::Borrowed(name), data: Cow::Borrowed(data) };
    wasm.push(section.id());
    section.encode(wasm);
}

fn validate(component: &[u8]) -> Result<()> {
    ensure!(Parser::is_component(component), "this is no WebAssembly component; make one with `isx build`");
    // What may run is the executors' business: here a component is only read.
    Validator::new_with_features(WasmFeatures::all()).validate_all(component).context("the component is not valid")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::schema::record::{self, ModuleDesc, QueryDesc, RecordDesc};
    use isx_row::typed::Typed;
    use wasm_encoder::{
        CodeSection, ExportKind, ExportSection, Function, FunctionSection, ImportSection, MemorySection, MemoryType,
        Module, TypeSection, ValType,
    };

    const MODULE: RecordDesc = RecordDesc::Module(ModuleDesc { name: "probe", version: "1.2.3", public: true });
    const QUERY: RecordDesc = RecordDesc::Query(QueryDesc {
        name: "ask",
        public: true,
        arguments: &[],
        answer: <u64 as Typed>::DESC,
        error: None,
        reads: None,
        key: None,
    });

    fn records() -> Vec<Vec<u8>> {
        let module: [u8; record::len(&MODULE)] = record::bytes(&MODULE);
        let query: [u8; record::len(&QUERY)] = record::bytes(&QUERY);
        vec![query.to_vec(), module.to_vec()]
    }

    /// A core module that exports what a module must, with each of `records` in a section of its own.
    fn core(import: Option<(&str, &str)>, records: &[Vec<u8>]) -> Vec<u8> {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32; 4], [ValType::I32]);
        module.section(&types);
        let mut imports = ImportSection::new();
        if let Some((from, name)) = import {
            imports.import(from, name, wasm_encoder::EntityType::Function(0));
        }
        module.section(&imports);
        module.section(FunctionSection::new().function(0));
        let memory = MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
        module.section(MemorySection::new().memory(memory));
        let mut exports = ExportSection::new();
        let function = imports.len();
        exports.export("call", ExportKind::Func, function);
        exports.export("cabi_realloc", ExportKind::Func, function);
        exports.export("memory", ExportKind::Memory, 0);
        module.section(&exports);
        let mut body = Function::new([]);
        body.instructions().unreachable().end();
        module.section(CodeSection::new().function(&body));
        for record in records {
            module.section(&CustomSection { name: SCHEMA_SECTION.into(), data: record.into() });
        }
        module.finish()
    }

    fn check_refused(core: &[u8], expected: &str) {
        let error = wrap_module(core).expect_err("must be refused");
        let text = format!("{error:#}");
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_core_becomes_a_component_with_one_canonical_schema() {
        let component = wrap_module(&core(None, &records())).unwrap();
        let inspection = inspect(&component).unwrap();
        let schema = inspection.schema.unwrap();
        assert_eq!((schema.name.as_str(), schema.version.as_str(), schema.public), ("probe", "1.2.3", true));
        assert_eq!(schema.queries.iter().map(|query| query.name.as_str()).collect::<Vec<_>>(), ["ask"]);
        assert_eq!(inspection.exports, ["call"]);
        // The records are not carried along: a component has one schema.
        let sections = Parser::new(0).parse_all(&component).filter(
            |payload| matches!(payload, Ok(Payload::CustomSection(section)) if section.name() == SCHEMA_SECTION),
        );
        assert_eq!(sections.count(), 1);
    }

    #[test]
    fn what_is_no_module_is_refused_by_name() {
        check_refused(b"not wasm", "this is no WebAssembly module");
        check_refused(&core(None, &[]), "write `isx::module!();`");
        check_refused(&core(None, &records()[..1]), "schema is refused");
        check_refused(&core(Some(("env", "open")), &records()), "env");
        let mut damaged = records();
        damaged[0][20] ^= 1;
        check_refused(&core(None, &damaged), "schema is refused");
        check_refused(&wrap_module(&core(None, &records())).unwrap(), "a component already");
    }

    #[test]
    fn inspection_refuses_what_no_build_made() {
        assert!(inspect(b"junk").is_err());
        assert!(inspect(&core(None, &records())).unwrap_err().to_string().contains("no WebAssembly component"));
        let mut twice = wrap_module(&core(None, &records())).unwrap();
        let schema = Schema::lift(&records().concat()).unwrap().encode().unwrap();
        append_section(&mut twice, SCHEMA_SECTION, &schema);
        assert!(inspect(&twice).unwrap_err().to_string().contains("two schemas"));
    }
}
