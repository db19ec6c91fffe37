//! Bindings for TypeScript: one module in need of nothing, the codec with it.
//!
//! Its types can be erased as they stand, so that it is run as it is by what strips types and is compiled by whatever
//! compiles TypeScript.

use super::Callable;
use super::names::Names;
use isx_row::schema::{Column, Fill, Query, Schema, Table};
use isx_row::{Field, Type, Variant};
use serde_json::json;
use std::fmt::Write;

/// The codec and its JSON form.
const RUNTIME: &str = include_str!("runtime.ts");
/// Names that the codec has or uses.
const RESERVED: &[&str] = &[
    "Array",
    "ArrayBuffer",
    "BigInt",
    "Callable",
    "Codec",
    "CodecError",
    "Column",
    "ContentHash",
    "DataView",
    "Date",
    "Duration",
    "Error",
    "Field",
    "Json",
    "Locator",
    "Map",
    "Math",
    "Member",
    "Number",
    "Object",
    "Principal",
    "Reader",
    "Scalar",
    "String",
    "Table",
    "TextDecoder",
    "TextEncoder",
    "Time",
    "Type",
    "Uint8Array",
    "Uuid",
    "Variant",
    "Writer",
    "JSON",
];

/// The source of the module.
pub fn source(schema: &Schema) -> String {
    let names = Names::new(schema, RESERVED);
    // Constants must stand before what uses them: the codec first.
    let mut out = format!(
        "// The module {} {}, made by `isx bindings`. Make it again when the module changes: calls and subscriptions are\n\
         // typed against signatures, and `stale_bindings` says that these are old.\n\n{RUNTIME}\n// What the module has.\n\n",
        schema.name, schema.version
    );
    let put = |out: &mut String, text: std::fmt::Arguments<'_>| {
        // A string takes all that memory holds.
        let _ = out.write_fmt(text);
    };
    for (name, ty) in names.iter() {
        put(&mut out, format_args!("{}\n", declaration(name, ty, &names)));
    }
    for (name, ty) in names.iter() {
        put(&mut out, format_args!("export const {name}Type: Type = {};\n", description(ty, &names, Named::No)));
    }
    put(
        &mut out,
        format_args!(
            "\n/** The module. */\nexport const module = {{ name: {}, version: {} }} as const;\n",
            json!(schema.name),
            json!(schema.version)
        ),
    );
    out.push_str("\n/** The tables, by name. */\nexport const tables = {\n");
    for table in &schema.tables {
        out.push_str(&table_line(table, &names));
    }
    out.push_str("};\n\n/** The rows of the views, by name. */\nexport const views = {\n");
    for view in schema.queries.iter().filter_map(Query::rows) {
        out.push_str(&table_line(&view, &names));
    }
    out.push_str("};\n");
    let titles = [
        ("reducer", "reducers", "The reducers, by name."),
        ("query", "queries", "The queries, by name."),
        ("put", "puts", "What puts the caller's rows into volatile tables, by table."),
        ("delete", "deletes", "What deletes the caller's rows from volatile tables, by table."),
    ];
    for (kind, title, text) in titles {
        put(&mut out, format_args!("\n/** {text} */\nexport const {title} = {{\n"));
        for callable in Callable::all(schema).filter(|callable| callable.kind_word() == kind) {
            out.push_str(&callable_line(&callable, &names));
        }
        out.push_str("};\n");
    }
    out
}

fn declaration(name: &str, ty: &Type, names: &Names) -> String {
    match ty {
        Type::Struct(fields) => {
            let members: String =
                fields.iter().map(|field| format!("  {}: {};\n", field.name, expression(&field.ty, names))).collect();
            format!("export interface {name} {{\n{members}}}\n")
        }
        Type::Enum(variants) => {
            let variants: String = variants.iter().map(|variant| format!("\n  | {}", case(variant, names))).collect();
            format!("export type {name} ={variants};\n")
        }
        _ => String::new(),
    }
}

/// A variant of a tagged union.
fn case(variant: &Variant, names: &Names) -> String {
    let tag = json!(variant.name);
    match variant.fields.is_empty() {
        true => format!("{{ tag: {tag} }}"),
        false => format!("{{ tag: {tag}; value: {} }}", members(&variant.fields, names)),
    }
}

fn members(fields: &[Field], names: &Names) -> String {
    if fields.is_empty() {
        return "{}".into();
    }
    let members: Vec<String> =
        fields.iter().map(|field| format!("{}: {}", field.name, expression(&field.ty, names))).collect();
    format!("{{ {} }}", members.join("; "))
}

/// A type as TypeScript writes it.
fn expression(ty: &Type, names: &Names) -> String {
    let word = match ty {
        Type::Bool => "boolean",
        Type::U8 | Type::U16 | Type::U32 | Type::I8 | Type::I16 | Type::I32 | Type::F32 | Type::F64 => "number",
        Type::U64 | Type::U128 | Type::I64 | Type::I128 => "bigint",
        Type::String => "string",
        Type::Bytes => "Uint8Array",
        Type::Blob => "ContentHash",
        Type::Time => "Time",
        Type::Duration => "Duration",
        Type::Principal => "Principal",
        Type::Uuid => "Uuid",
        Type::Locator => "Locator",
        // None of none would be none: the inner option is told by a member.
        Type::Option(inner) if matches!(**inner, Type::Option(_)) => {
            return format!("{{ some: {} }} | null", expression(inner, names));
        }
        Type::Option(inner) => return format!("{} | null", expression(inner, names)),
        Type::List(element) => return format!("Array<{}>", expression(element, names)),
        Type::Map(key, value) => return format!("Map<{}, {}>", expression(key, names), expression(value, names)),
        Type::Tuple(members) => {
            let members: Vec<String> = members.iter().map(|member| expression(member, names)).collect();
            return format!("[{}]", members.join(", "));
        }
        Type::Struct(_) | Type::Enum(_) => names.of(ty),
    };
    word.to_string()
}

/// Whether a struct or enum is told by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

/// A type as the codec reads it.
fn description(ty: &Type, names: &Names, named: Named) -> String {
    let inner = |ty: &Type| description(ty, names, Named::Yes);
    match ty {
        Type::Struct(_) | Type::Enum(_) if named == Named::Yes => format!("{}Type", names.of(ty)),
        Type::Option(some) => format!("{{ option: {} }}", inner(some)),
        Type::List(element) => format!("{{ list: {} }}", inner(element)),
        Type::Map(key, value) => format!("{{ map: [{}, {}] }}", inner(key), inner(value)),
        Type::Tuple(members) => format!("{{ tuple: [{}] }}", members.iter().map(inner).collect::<Vec<_>>().join(", ")),
        Type::Struct(fields) => format!("{{ struct: {} }}", field_descriptions(fields, names)),
        Type::Enum(variants) => {
            let variant = |variant: &Variant| {
                format!("[{}, {}, {}]", json!(variant.name), variant.tag, field_descriptions(&variant.fields, names))
            };
            format!("{{ enum: [{}] }}", variants.iter().map(variant).collect::<Vec<_>>().join(", "))
        }
        scalar => json!(scalar.to_string()).to_string(),
    }
}

fn field_descriptions(fields: &[Field], names: &Names) -> String {
    let field = |field: &Field| format!("[{}, {}]", json!(field.name), description(&field.ty, names, Named::Yes));
    format!("[{}]", fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

fn table_line(table: &Table, names: &Names) -> String {
    let column = |column: &Column| {
        let older = column.default.as_ref().map(Fill::older).unwrap_or_default();
        let older: String = older.iter().map(|byte| format!("{byte:02x}")).collect();
        let ty = description(&column.ty, names, Named::Yes);
        format!("[{}, {ty}, {}, {}]", json!(column.name), column.since, json!(older))
    };
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    format!(
        "  {}: tableOf<{}>({}, {}, {}, [{}]),\n",
        property(&table.name),
        names.of(&table.row_type()),
        json!(table.name),
        json!(table.signature().to_string()),
        table.version,
        columns.join(", ")
    )
}

fn callable_line(callable: &Callable<'_>, names: &Names) -> String {
    let (failure, failure_type) = match callable.error {
        Some(error) => (expression(error, names), description(error, names, Named::Yes)),
        None => ("never".into(), "{ enum: [] }".into()),
    };
    format!(
        "  {}: callable<{}, {}, {failure}>(\n    {}, {}, {}, {}, {}, {failure_type},\n  ),\n",
        property(callable.item()),
        members(&callable.arguments, names),
        expression(callable.answer, names),
        json!(callable.kind_word()),
        json!(callable.name),
        json!(callable.signature.to_string()),
        field_descriptions(&callable.arguments, names),
        description(callable.answer, names, Named::Yes),
    )
}

/// The name of an object's own property, whatever it means to prototypes.
fn property(name: &str) -> String {
    if name == "__proto__" { "[\"__proto__\"]".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codecs_names_are_reserved() {
        let code =
            RUNTIME.lines().filter(|line| !line.trim_start().starts_with(['/', '*'])).collect::<Vec<_>>().join("\n");
        let words = code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let declares = ["type", "interface", "class", "const", "new", "instanceof"];
        let pairs: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let declared = pairs.windows(2).filter(|pair| declares.contains(&pair[0])).map(|pair| pair[1]);
        let camel = |name: &&str| {
            name.starts_with(|first: char| first.is_ascii_uppercase())
                && name.contains(|c: char| c.is_ascii_lowercase())
        };
        let missing: Vec<&str> = declared.filter(camel).filter(|name| !RESERVED.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(RUNTIME.contains("class Writer"), "the runtime was read");
    }
}
