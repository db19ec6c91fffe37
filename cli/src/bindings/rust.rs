//! Bindings for Rust: the module's types, and a typed method for each function, over a reference to the mount.
//!
//! They are for ROMs, and for programs on the host that link the SDK beside `isx-client`: both hold an `ObjectRef`.

use super::names::{Names, camel};
use super::{Callable, Kind};
use anyhow::{Result, bail, ensure};
use isx_row::schema::{Doing, Query, Schema, Table};
use isx_row::{Field, Type, Variant};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The beginning of a hook that moves the rows of a table that a newer module can not keep: what a row was, and a function
/// that refuses every row until it says what becomes of it.
///
/// # Errors
/// As [`source`].
pub fn migration(old: &Schema, table: &Table) -> Result<String> {
    let composed = |ty: &Type| matches!(ty, Type::Struct(_) | Type::Enum(_));
    if let Some(column) = table.columns.iter().find(|column| contains(&column.ty, &composed)) {
        bail!(
            "table {}: column {} is {}: write the hook by hand, with types of that shape",
            table.name,
            column.name,
            column.ty
        );
    }
    let names = Names::new(old, RESERVED);
    let columns = table.columns.iter().map(|column| Field { name: column.name.clone(), ty: column.ty.clone() });
    let columns = members(&format!("table {}", table.name), &columns.collect::<Vec<_>>(), "    pub ", &names)?;
    let columns = qualified(&columns);
    let (name, version, row) = (&table.name, &old.version, format!("Old{}", camel(&table.name)));
    Ok(format!(
        "\n/// A row of `{name}` as version {version} had it.\n#[derive(isx::Typed, Clone, Debug)]\npub struct {row} {{\n{columns}}}\n\n\
         /// What becomes of a row of `{name}` that version {version} left.\n#[isx::reducer(on = \"{name}.migrate\")]\n\
         fn migrate_{name}(ctx: &isx::ReducerContext, old: {row}) -> Result<(), isx::Error> {{\n    let _ = (ctx, old);\n    \
         Err(isx::refused(\"migrate_{name} does not say yet what becomes of a row\"))\n}}\n"
    ))
}

/// Whether a type is one of these, or has one within.
fn contains(ty: &Type, such: &impl Fn(&Type) -> bool) -> bool {
    such(ty)
        || match ty {
            Type::Option(inner) | Type::List(inner) => contains(inner, such),
            Type::Map(key, value) => contains(key, such) || contains(value, such),
            Type::Tuple(members) => members.iter().any(|member| contains(member, such)),
            _ => false,
        }
}

/// Source with the names of the SDK's types in full, for where they are not imported.
fn qualified(source: &str) -> String {
    const OF_SDK: &[&str] = &["Bytes", "ContentHash", "Locator", "Principal", "Span", "Time", "Uuid"];
    let mut out = String::new();
    let mut rest = source;
    while !rest.is_empty() {
        let is_name = |character: char| character.is_alphanumeric() || character == '_';
        let end = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
        let end = if end == 0 { rest.find(is_name).unwrap_or(rest.len()) } else { end };
        let (word, after) = rest.split_at(end);
        match word {
            "BTreeMap" => out.push_str("std::collections::"),
            word if OF_SDK.contains(&word) => out.push_str("isx::"),
            _ => {}
        }
        out.push_str(word);
        rest = after;
    }
    out
}

/// Names that the generated source uses.
const RESERVED: &[&str] = &[
    "BTreeMap",
    "Bytes",
    "Clone",
    "Code",
    "ContentHash",
    "Copy",
    "Debug",
    "Delivery",
    "Err",
    "Error",
    "Failed",
    "From",
    "Hash",
    "Locator",
    "None",
    "Object",
    "ObjectRef",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Principal",
    "Result",
    "Self",
    "Signature",
    "Some",
    "Span",
    "String",
    "Time",
    "Typed",
    "Uuid",
    "Vec",
    "Eq",
    "Call",
];
/// Members of a tuple that has an isx type.
const TUPLE_MAX: usize = 12;

/// The source of a module to be declared as `mod NAME;`.
///
/// # Errors
/// Names what the SDK has no Rust type for, and names that are one in Rust.
pub fn source(schema: &Schema) -> Result<String> {
    let mut names = Names::new(schema, RESERVED);
    let module = names.free(&camel(&schema.name));
    let mut out = format!(
        "//! The module `{} {}`, made by `isx bindings`. Make it again when the module changes: calls are typed against\n\
         //! signatures, and `stale_bindings` says that these are old.\n\
         //!\n\
         //! Declare it as `mod NAME;`; it needs the SDK, `isx`, and nothing else.\n\
         #![allow(dead_code, missing_docs, unused_imports, clippy::too_many_arguments, reason = \"generated from a schema\")]\n\n\
         use isx::rom::iface::{{self, Object as _, ObjectRef}};\n\
         use isx::{{Bytes, Code, ContentHash, Error, Locator, Principal, Span, Time, Typed, Uuid}};\n\
         use std::collections::BTreeMap;\n\n",
        schema.name, schema.version
    );
    for (name, ty) in names.iter() {
        out.push_str(&declaration(name, ty, &names)?);
    }
    for table in &schema.tables {
        out.push_str(&row("table", table, &names));
    }
    for view in schema.queries.iter().filter_map(Query::rows) {
        out.push_str(&row("view", &view, &names));
    }
    out += &format!(
        "/// A reference to a mount of the module.\n#[derive(Clone)]\npub struct {module}(pub ObjectRef);\n\nimpl {module} {{\n"
    );
    let functions: Vec<String> = Callable::all(schema).map(|callable| callable.function()).collect();
    distinct(&module, functions.iter().map(String::as_str), identifier)?;
    for callable in Callable::all(schema) {
        out.push_str(&method(&callable, &names)?);
    }
    out.push_str(ASK);
    Ok(out)
}

/// What methods are made of, and the error of functions that have one of their own.
const ASK: &str = r#"}

async fn ask(to: &ObjectRef, name: &str, signature: [u8; 16], arguments: &impl Typed) -> Result<iface::Answer, Error> {
    let call = iface::Call {
        method: name.into(),
        signature: isx::Signature(signature),
        payload: iface::payload::encode(arguments)?,
        objects: Vec::new(),
        conditions: Vec::new(),
        delivery: iface::Delivery::default(),
    };
    to.call(call).await
}

/// Why a function gave no answer that has an error of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Failed<E> {
    /// The module decided so.
    Own(E),
    /// Anything else; `application` where the module refused with a text only.
    System(Error),
}

impl<E> From<Error> for Failed<E> {
    fn from(error: Error) -> Self {
        Self::System(error)
    }
}

fn answer<T: Typed, E: Typed>(answer: iface::Answer) -> Result<T, Failed<E>> {
    match &answer.application_error {
        Some(detail) => Err(Failed::Own(iface::payload::decode_value(detail)?)),
        None => Ok(iface::payload::value_of(&answer)?),
    }
}

/// Reads a row of a table that was followed.
fn row<T: Typed>(table: &str, version: u16, bytes: &[u8]) -> Result<T, Error> {
    let record = bytes.strip_prefix(&version.to_le_bytes()).ok_or_else(|| {
        Error::new(Code::StaleBindings, format!("the rows of table {table} have another version: make the bindings again"))
    })?;
    T::decode(record).map_err(|error| Error::new(Code::Malformed, format!("a row of table {table}: {error}")))
}
"#;

fn declaration(name: &str, ty: &Type, names: &Names) -> Result<String> {
    // Keys of maps are ordered; floats and locators are not.
    let derives =
        if is_ordered(ty) { "Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash" } else { "Clone, Debug, PartialEq" };
    let head = format!("#[derive({derives}, isx::Typed)]\n");
    match ty {
        Type::Struct(fields) => {
            Ok(format!("{head}pub struct {name} {{\n{}}}\n\n", members(name, fields, "    pub ", names)?))
        }
        Type::Enum(variants) => {
            distinct(name, variants.iter().map(|variant| variant.name.as_str()), case_name)?;
            let mut out = format!("{head}pub enum {name} {{\n");
            for variant in variants {
                writeln!(out, "    #[tag({})]\n    {},", variant.tag, case(variant, names)?)?;
            }
            Ok(out + "}\n\n")
        }
        _ => Ok(String::new()),
    }
}

fn members(place: &str, fields: &[Field], indent: &str, names: &Names) -> Result<String> {
    distinct(place, fields.iter().map(|field| field.name.as_str()), identifier)?;
    let mut out = String::new();
    for field in fields {
        writeln!(out, "{indent}{}: {},", identifier(&field.name), expression(&field.ty, names)?)?;
    }
    Ok(out)
}

fn case(variant: &Variant, names: &Names) -> Result<String> {
    let name = case_name(&variant.name);
    if variant.fields.is_empty() {
        return Ok(name);
    }
    let by_position = variant.fields.iter().enumerate().all(|(position, field)| field.name == format!("_{position}"));
    if by_position {
        let types = variant.fields.iter().map(|field| expression(&field.ty, names)).collect::<Result<Vec<_>>>()?;
        return Ok(format!("{name}({})", types.join(", ")));
    }
    Ok(format!("{name} {{\n{}    }}", members(&name, &variant.fields, "        ", names)?))
}

/// The name of a variant as Rust takes it.
fn case_name(name: &str) -> String {
    match camel(name) {
        name if name.starts_with(|first: char| first.is_ascii_alphabetic()) && name != "Self" => name,
        name => format!("T{name}"),
    }
}

/// Refuses names of one scope that are one as Rust spells them.
fn distinct<'a>(place: &str, names: impl Iterator<Item = &'a str>, spell: fn(&str) -> String) -> Result<()> {
    let mut spelled = BTreeMap::new();
    for name in names {
        let rust = spell(name);
        if let Some(other) = spelled.insert(rust.clone(), name) {
            bail!("`{other}` and `{name}` in `{place}` are both `{rust}` in Rust: rename one");
        }
    }
    Ok(())
}

/// A type as Rust writes it.
fn expression(ty: &Type, names: &Names) -> Result<String> {
    let word = match ty {
        Type::String => "String",
        Type::Bytes => "Bytes",
        Type::Blob => "ContentHash",
        Type::Time => "Time",
        Type::Duration => "Span",
        Type::Principal => "Principal",
        Type::Uuid => "Uuid",
        Type::Locator => "Locator",
        Type::Option(inner) => return Ok(format!("Option<{}>", expression(inner, names)?)),
        Type::List(element) => return Ok(format!("Vec<{}>", expression(element, names)?)),
        Type::Map(key, value) => {
            ensure!(is_ordered(key), "Rust has no map with keys of type `{key}`: floats have no order there");
            return Ok(format!("BTreeMap<{}, {}>", expression(key, names)?, expression(value, names)?));
        }
        Type::Tuple(members) => {
            if members.len() > TUPLE_MAX {
                bail!(
                    "the SDK has no Rust type for a tuple of {} members, {TUPLE_MAX} at most: make it a struct",
                    members.len()
                );
            }
            let members = members.iter().map(|member| expression(member, names)).collect::<Result<Vec<_>>>()?;
            return Ok(tuple(&members));
        }
        Type::Struct(_) | Type::Enum(_) => names.of(ty),
        scalar => return Ok(scalar.to_string()),
    };
    Ok(word.to_string())
}

/// A tuple of these: of one with the comma that makes it one.
fn tuple(members: &[String]) -> String {
    match members {
        [one] => format!("({one},)"),
        several => format!("({})", several.join(", ")),
    }
}

/// Whether its Rust type has an order.
fn is_ordered(ty: &Type) -> bool {
    match ty {
        Type::F32 | Type::F64 | Type::Locator => false,
        Type::Option(inner) | Type::List(inner) => is_ordered(inner),
        Type::Map(key, value) => is_ordered(key) && is_ordered(value),
        Type::Tuple(members) => members.iter().all(is_ordered),
        Type::Struct(fields) => fields.iter().all(|field| is_ordered(&field.ty)),
        Type::Enum(variants) => variants.iter().flat_map(|variant| &variant.fields).all(|field| is_ordered(&field.ty)),
        _ => true,
    }
}

fn row(what: &str, table: &Table, names: &Names) -> String {
    let (row, name, version) = (names.of(&table.row_type()), &table.name, table.version);
    let function = identifier(&format!("{name}_row"));
    format!(
        "/// A row of the {what} `{name}`, from the bytes that following it gives.\n///\n/// # Errors\n\
         /// `stale_bindings` for a row of another version, `malformed` for what is no row.\n\
         pub fn {function}(bytes: &[u8]) -> Result<{row}, Error> {{\n    row({name:?}, {version}, bytes)\n}}\n\n"
    )
}

fn method(callable: &Callable<'_>, names: &Names) -> Result<String> {
    let (name, function) = (&*callable.name, callable.function());
    let what = match callable.kind {
        Kind::Values(Doing::Put, table) => format!("Puts the caller's row into the volatile table `{table}`."),
        Kind::Values(Doing::Delete, table) => format!("Deletes the caller's row from the volatile table `{table}`."),
        _ => format!("The {} `{name}`.", callable.kind_word()),
    };
    if callable.arguments.len() > TUPLE_MAX {
        bail!(
            "{name} takes {} arguments; the SDK calls with {TUPLE_MAX} at most: make some of them a struct",
            callable.arguments.len()
        );
    }
    distinct(name, callable.arguments.iter().map(|argument| argument.name.as_str()), identifier)?;
    let mut parameters = String::new();
    let mut values = Vec::new();
    for argument in callable.arguments.iter() {
        let identifier = identifier(&argument.name);
        write!(parameters, ", {identifier}: {}", expression(&argument.ty, names)?)?;
        values.push(identifier);
    }
    let answer = expression(callable.answer, names)?;
    let (outcome, read) = match callable.error {
        Some(error) => {
            let error = expression(error, names)?;
            (format!("Result<{answer}, Failed<{error}>>"), "self::answer(given)")
        }
        None => (format!("Result<{answer}, Error>"), "iface::payload::value_of(&given)"),
    };
    let signature: Vec<String> = callable.signature.0.iter().map(|byte| format!("{byte:#04x}")).collect();
    Ok(format!(
        "    /// {what}\n    ///\n    /// # Errors\n    /// See [`Code`].\n    ///\n    /// # Cancel safety\n    \
         /// Dropping the future abandons the answer; the call may happen all the same.\n    \
         pub async fn {}(&self{parameters}) -> {outcome} {{\n        \
         let given = self::ask(&self.0, {name:?}, [{}], &{}).await?;\n        {read}\n    }}\n\n",
        identifier(&function),
        signature.join(", "),
        tuple(&values),
    ))
}

/// A name as Rust takes it.
fn identifier(name: &str) -> String {
    const KEYWORDS: &[&str] = &[
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
        "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
        "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type",
        "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    ];
    match name {
        "self" | "super" | "crate" | "_" => format!("{name}_"),
        name if KEYWORDS.contains(&name) => format!("r#{name}"),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::schema::{Column, Fill, Query, TableKind};

    /// A module with one query and one table `from`, which has one column.
    fn module(query: &str, arguments: &[&str], column: Type) -> Schema {
        let field = |name: &&str| Field { name: name.to_string(), ty: Type::U8 };
        let query = Query {
            name: query.into(),
            public: true,
            arguments: arguments.iter().map(field).collect(),
            answer: Type::U8,
            error: None,
            reads: None,
            key: None,
        };
        let table = Table {
            name: "from".into(),
            kind: TableKind::Durable,
            public: true,
            version: 1,
            columns: vec![
                Column { name: "id".into(), ty: Type::U8, default: None, since: 1 },
                Column { name: "it".into(), ty: column, default: None, since: 1 },
            ],
            primary_key: vec![0],
            auto_inc: None,
            indexes: vec![],
        };
        let version = "1.0.0".into();
        let schema =
            Schema { name: "m".into(), version, tables: vec![table], queries: vec![query], ..Schema::default() };
        schema.check().unwrap();
        schema
    }

    fn cases(names: &[&str]) -> Type {
        let case = |(tag, name): (u16, &&str)| Variant { name: name.to_string(), tag, fields: vec![] };
        Type::Enum((0..).zip(names).map(case).collect())
    }

    fn refused(schema: &Schema, expected: &str) {
        let error = source(schema).unwrap_err().to_string();
        assert_eq!(error, format!("{expected}: rename one"));
    }

    #[test]
    fn names_that_the_source_uses_are_the_modules_too() {
        let text =
            source(&module("ask", &["ask", "from", "self", "given", "iface"], cases(&["self", "Ok", "from"]))).unwrap();
        for part in [
            "pub struct From2 {",
            "TSelf,",
            "pub async fn ask(&self, ask: u8, from: u8, self_: u8, given: u8, iface: u8) -> Result<u8, Error> {",
            "let given = self::ask(&self.0, \"ask\",",
            "impl<E> From<Error> for Failed<E>",
        ] {
            assert!(text.contains(part), "no {part:?}: {text}");
        }
    }

    #[test]
    fn rows_of_volatile_tables_are_put_without_their_caller() {
        let mut schema = module("q", &[], Type::U8);
        let who = Column { name: "who".into(), ty: Type::Principal, default: Some(Fill::Caller), since: 1 };
        let table = &mut schema.tables[0];
        (table.name, table.kind, table.primary_key) = ("mouse".into(), TableKind::Volatile, vec![2, 0]);
        table.columns.push(who);
        schema.check().unwrap();
        let text = source(&schema).unwrap();
        for part in [
            "pub async fn put_mouse(&self, id: u8, it: u8) -> Result<(), Error> {",
            "let given = self::ask(&self.0, \"mouse.put\",",
            "pub async fn delete_mouse(&self, id: u8) -> Result<(), Error> {",
            "/// Deletes the caller's row from the volatile table `mouse`.",
            "pub fn mouse_row(bytes: &[u8]) -> Result<Mouse, Error> {",
        ] {
            assert!(text.contains(part), "no {part:?}: {text}");
        }
        schema.queries[0].name = "put_mouse".into();
        refused(&schema, "`put_mouse` and `put_mouse` in `M` are both `put_mouse` in Rust");
    }

    #[test]
    fn names_that_are_one_in_rust_are_refused() {
        refused(&module("q", &["self", "self_"], Type::U8), "`self` and `self_` in `q` are both `self_` in Rust");
        let variants = |names: &[&str]| module("q", &[], cases(names));
        refused(&variants(&["foo", "Foo"]), "`foo` and `Foo` in `From2It` are both `Foo` in Rust");
        refused(&variants(&["a_b", "AB"]), "`a_b` and `AB` in `From2It` are both `AB` in Rust");
        let fields = ["crate", "crate_"].map(|name| Field { name: name.into(), ty: Type::U8 });
        let fields = Type::Struct(fields.into());
        refused(&module("q", &[], fields), "`crate` and `crate_` in `From2It` are both `crate_` in Rust");
        let mut two = module("self", &[], Type::U8);
        two.queries.push(Query { name: "self_".into(), ..two.queries[0].clone() });
        refused(&two, "`self` and `self_` in `M` are both `self_` in Rust");
    }
}
