//! Reads a component without running it: its schema, and whether it asks for nothing but the guest contract.

use crate::engine::FEATURES;
use crate::limits::COMPONENT_BYTES_MAX;
use isx_row::limits::SCHEMA_BYTES_MAX;
use isx_row::schema::Schema;
use isx_row::{Code, Error};
use wasmparser::{ComponentExternalKind, ComponentTypeRef, Parser, Payload, TypeBounds, Validator};

/// The custom section of a component that holds its canonical schema.
pub const SCHEMA_SECTION: &str = "isx:schema";

/// Everything that a module may import. There is nothing else: no WASI, no random but the entry's, no clock but the log's.
pub const IMPORTS: [&str; 5] = [
    "isx:module/types@0.1.0",
    "isx:module/tables@0.1.0",
    "isx:module/context@0.1.0",
    "isx:module/links@0.1.0",
    "isx:module/log@0.1.0",
];

/// What a program exports, a ROM or a command.
const RUN: &str = "wasi:cli/run";
/// The function that a module exports.
pub(crate) const CALL: &str = "call";

/// Reads the schema of a module's component and checks what can be checked without compiling it.
///
/// # Errors
/// `limit` for more than [`COMPONENT_BYTES_MAX`]; `malformed` for bytes that are no valid component, a core module, an
/// import beyond [`IMPORTS`] (named), a missing `call`, no schema, two, or one that breaks a rule.
pub fn read_schema(component: &[u8]) -> Result<Schema, Error> {
    if component.len() > COMPONENT_BYTES_MAX {
        let text = format!("the component has {} bytes, COMPONENT_BYTES_MAX is {COMPONENT_BYTES_MAX}", component.len());
        return Err(Error::new(Code::Limit, text));
    }
    if Parser::is_core_wasm(component) {
        return Err(malformed("this is a core module; make a component of it with `isx build`"));
    }
    if !Parser::is_component(component) {
        return Err(malformed("this is no WebAssembly component"));
    }
    let validated = Validator::new_with_features(FEATURES).validate_all(component).map_err(|error| {
        malformed(format!("the component is not valid: {} at byte {}", error.message(), error.offset()))
    });
    // A program may use what a module may not: what it is comes before that.
    let outline = match (validated, outline(component)) {
        (_, Ok(outline)) if outline.is_program() => {
            return Err(malformed(format!("this is a program, it exports `{RUN}`: run it with `isx run`")));
        }
        (validated, outline) => validated.and(outline)?,
    };
    if let Some(import) = outline.imports.iter().find(|import| !IMPORTS.contains(&import.as_str())) {
        let text = format!("the module imports `{import}`; a module may import only {}", IMPORTS.join(", "));
        return Err(malformed(text));
    }
    if !outline.exports_call {
        return Err(malformed("the component exports no function `call`"));
    }
    match outline.schemas.as_slice() {
        [] => Err(malformed(format!("the component has no section `{SCHEMA_SECTION}`; build it with `isx build`"))),
        [bytes] if bytes.len() > SCHEMA_BYTES_MAX => {
            Err(Error::new(Code::Limit, "the schema is larger than SCHEMA_BYTES_MAX"))
        }
        [bytes] => Schema::decode(bytes),
        _ => Err(malformed(format!("the component has more than one section `{SCHEMA_SECTION}`"))),
    }
}

/// Whether a component is a program, to be run rather than mounted: a ROM, or a command of any toolchain. Its outermost level
/// is read; what it holds is not validated.
pub fn is_program(component: &[u8]) -> bool {
    Parser::is_component(component) && outline(component).is_ok_and(|outline| outline.is_program())
}

/// What the outermost level of a component says of itself.
#[derive(Debug, Default)]
pub struct Outline<'a> {
    /// Names of what it imports, in its order; not of types that another import defines.
    pub imports: Vec<String>,
    /// Names of what it exports, in its order.
    pub exports: Vec<String>,
    /// The contents of its sections [`SCHEMA_SECTION`].
    pub schemas: Vec<&'a [u8]>,
    exports_call: bool,
}

impl Outline<'_> {
    fn is_program(&self) -> bool {
        self.exports.iter().any(|name| name.starts_with(RUN))
    }
}

/// Reads the outermost level of any component. It is not validated.
///
/// # Errors
/// `malformed` for bytes that do not read.
pub fn outline(component: &[u8]) -> Result<Outline<'_>, Error> {
    read_outline(component).map_err(|error| malformed(format!("the component is not valid: {}", error.message())))
}

fn read_outline(component: &[u8]) -> wasmparser::Result<Outline<'_>> {
    let mut outline = Outline::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    // The name of a type that another import defines: it gives nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        outline.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    outline.exports_call |= export.name.name == CALL && export.kind == ComponentExternalKind::Func;
                    outline.exports.push(export.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if section.name() == SCHEMA_SECTION => outline.schemas.push(section.data()),
            _ => {}
        }
    }
    Ok(outline)
}

pub(crate) fn malformed(text: impl Into<String>) -> Error {
    Error::new(Code::Malformed, text)
}
