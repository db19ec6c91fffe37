//! The JSON form of a module's rows, arguments and answers as a JSON schema (draft 2020-12): one document whose `$defs` has
//! each named type, and `TABLE.row`, `VIEW.row`, `FUNCTION.arguments`, `FUNCTION.answer` and, with an error of its own,
//! `FUNCTION.error`. Tables and functions of a module share no name, and names of members have no full stop.
//!
//! It describes what isx writes ([`crate::json`]). What isx reads is a little more: integers of 64 bits and wider may be
//! numbers.

use super::Callable;
use super::names::Names;
use isx_row::schema::{Query, Schema};
use isx_row::{Field, Type, Variant};
use serde_json::{Map, Value as Json, json};

/// The document.
pub fn document(schema: &Schema) -> Json {
    let names = Names::new(schema, &[]);
    let mut definitions = Map::new();
    for (name, ty) in names.iter() {
        definitions.insert(name.to_string(), definition(ty, &names));
    }
    for table in &schema.tables {
        definitions.insert(format!("{}.row", table.name), of(&table.row_type(), &names));
    }
    for view in schema.queries.iter().filter_map(Query::rows) {
        definitions.insert(format!("{}.row", view.name), of(&view.row_type(), &names));
    }
    for callable in Callable::all(schema) {
        let name = &callable.name;
        definitions.insert(format!("{name}.arguments"), object(&callable.arguments, &names));
        definitions.insert(format!("{name}.answer"), of(callable.answer, &names));
        if let Some(error) = callable.error {
            definitions.insert(format!("{name}.error"), of(error, &names));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{} {}", schema.name, schema.version),
        "$defs": definitions,
    })
}

/// The schema of a type, by its name if it has one.
fn of(ty: &Type, names: &Names) -> Json {
    match ty {
        Type::Struct(_) | Type::Enum(_) => json!({ "$ref": format!("#/$defs/{}", names.of(ty)) }),
        _ => definition(ty, names),
    }
}

fn definition(ty: &Type, names: &Names) -> Json {
    match ty {
        Type::Bool => json!({ "type": "boolean" }),
        Type::U8 => integer(0, i64::from(u8::MAX)),
        Type::U16 => integer(0, i64::from(u16::MAX)),
        Type::U32 => integer(0, i64::from(u32::MAX)),
        Type::I8 => integer(i8::MIN.into(), i8::MAX.into()),
        Type::I16 => integer(i16::MIN.into(), i16::MAX.into()),
        Type::I32 => integer(i32::MIN.into(), i32::MAX.into()),
        Type::U64 => digits("^(0|[1-9][0-9]{0,19})$", "an integer of 64 bits without a sign"),
        Type::I64 => digits("^(0|-?[1-9][0-9]{0,18})$", "an integer of 64 bits"),
        Type::U128 => digits("^(0|[1-9][0-9]{0,38})$", "an integer of 128 bits without a sign"),
        Type::I128 => digits("^(0|-?[1-9][0-9]{0,38})$", "an integer of 128 bits"),
        Type::Duration => digits("^(0|-?[1-9][0-9]{0,18})$", "a length of time in microseconds"),
        Type::F32 | Type::F64 => json!({ "anyOf": [{ "type": "number" }, { "enum": ["NaN", "inf", "-inf"] }] }),
        Type::String => json!({ "type": "string" }),
        Type::Bytes | Type::Locator => {
            json!({ "type": "string", "contentEncoding": "base64url", "pattern": "^[A-Za-z0-9_-]*$" })
        }
        Type::Blob => digits("^01[0-9a-f]{64}$", "a content hash: its algorithm, its digest"),
        Type::Principal => digits("^[0-9a-f]{64}$", "a principal"),
        Type::Uuid => json!({
            "type": "string", "format": "uuid",
            "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        }),
        Type::Time => json!({ "type": "string", "format": "date-time" }),
        Type::Option(inner) => json!({ "anyOf": [of(inner, names), { "type": "null" }] }),
        Type::List(element) => json!({ "type": "array", "items": of(element, names) }),
        Type::Map(key, value) => json!({
            "type": "array", "description": "pairs of a key and a value, by key",
            "items": tuple(&[of(key, names), of(value, names)]),
        }),
        Type::Tuple(members) => tuple(&members.iter().map(|member| of(member, names)).collect::<Vec<_>>()),
        Type::Struct(fields) => object(fields, names),
        Type::Enum(variants) => {
            let bare: Vec<&str> = variants
                .iter()
                .filter(|variant| variant.fields.is_empty())
                .map(|variant| variant.name.as_str())
                .collect();
            let bare = (!bare.is_empty()).then(|| json!({ "enum": bare }));
            let full = variants.iter().filter(|variant| !variant.fields.is_empty()).map(|variant| case(variant, names));
            json!({ "oneOf": bare.into_iter().chain(full).collect::<Vec<_>>() })
        }
    }
}

fn case(variant: &Variant, names: &Names) -> Json {
    json!({
        "type": "object",
        "properties": { &variant.name: object(&variant.fields, names) },
        "required": [&variant.name],
        "additionalProperties": false,
    })
}

/// An object of named members; options may be left out.
fn object(fields: &[Field], names: &Names) -> Json {
    let properties: Map<String, Json> = fields.iter().map(|field| (field.name.clone(), of(&field.ty, names))).collect();
    let required: Vec<&str> =
        fields.iter().filter(|field| !matches!(field.ty, Type::Option(_))).map(|field| field.name.as_str()).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// An array of exactly these.
fn tuple(members: &[Json]) -> Json {
    match members {
        [] => json!({ "type": "array", "maxItems": 0 }),
        _ => json!({ "type": "array", "prefixItems": members, "items": false, "minItems": members.len() }),
    }
}

fn integer(least: i64, most: i64) -> Json {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn digits(pattern: &str, description: &str) -> Json {
    json!({ "type": "string", "pattern": pattern, "description": description })
}
