//! `isx bindings`: what a module's schema is in another language: types, and the codec of its rows, arguments and answers.
//!
//! The schema has no names for its structs and enums: [`names`] gives each one, the same in every language.

mod json_schema;
mod names;
mod rust;

pub use rust::migration;
mod typescript;

use crate::arguments::{Bindings, Language};
use crate::build;
use crate::calls;
use crate::show::Show;
use crate::source::Source;
use anyhow::{Context, Result};
use isx_iface::HostStub;
use isx_row::schema::{Doing, Query, Reducer, Schema, Table, TableKind};
use isx_row::{Field, Signature, Type};
use serde_json::json;
use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Whether the source is here: a component or a project's folder. Else it is a mount, and a node has its schema.
pub fn is_local(source: &str) -> bool {
    Path::new(source).exists() || !source.starts_with('/')
}

/// `isx bindings FILE|DIR`.
pub fn of_file(arguments: &Bindings, show: Show) -> Result<()> {
    let component = Source::of(Path::new(&arguments.source))?.here(Some(build::Kind::Module))?;
    give(arguments, &isx_exec::read_schema(&component)?, show)
}

/// `isx bindings PATH`.
pub async fn of_mount(host: &HostStub, arguments: &Bindings, show: Show) -> Result<()> {
    give(arguments, &calls::schema(host, &arguments.source).await?, show)
}

fn give(arguments: &Bindings, schema: &Schema, show: Show) -> Result<()> {
    let text = match arguments.lang {
        Language::Rust => rust::source(schema)?,
        Language::Typescript => typescript::source(schema),
        Language::JsonSchema => format!("{:#}\n", json_schema::document(schema)),
    };
    let (name, version) = (&schema.name, &schema.version);
    match &arguments.out {
        Some(file) => {
            fs::write(file, text).with_context(|| format!("can not write {}", file.display()))?;
            Ok(show.one(
                || format!("wrote {}: {name} {version}", file.display()),
                || json!({ "name": name, "version": version, "file": file.to_string_lossy() }),
            )?)
        }
        None if show.json => Ok(show.one(String::new, || json!({ "name": name, "version": version, "text": text }))?),
        None => Ok(io::stdout().lock().write_all(text.as_bytes())?),
    }
}

/// What kind of method it is.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Reducer,
    Query,
    /// Of this volatile table.
    Values(Doing, &'a str),
}

/// What putting and deleting answer.
static UNIT: Type = Type::UNIT;

/// What can be called: a reducer that is no hook, a query, or what puts into or deletes from a volatile table.
struct Callable<'a> {
    kind: Kind<'a>,
    /// The method.
    name: Cow<'a, str>,
    arguments: Cow<'a, [Field]>,
    answer: &'a Type,
    error: Option<&'a Type>,
    signature: Signature,
}

impl<'a> Callable<'a> {
    /// All of a schema: reducers, queries, then volatile tables, each by name.
    fn all(schema: &'a Schema) -> impl Iterator<Item = Self> {
        let reducers = schema.reducers.iter().filter(|reducer| reducer.hook.is_none());
        let volatile = schema.tables.iter().filter(|table| table.kind == TableKind::Volatile);
        let values = volatile.flat_map(|table| Doing::ALL.map(|doing| Self::of_values(table, doing)));
        reducers.map(Self::of_reducer).chain(schema.queries.iter().map(Self::of_query)).chain(values)
    }

    fn of_reducer(reducer: &'a Reducer) -> Self {
        Self {
            kind: Kind::Reducer,
            name: Cow::Borrowed(&reducer.name),
            arguments: Cow::Borrowed(&reducer.arguments),
            answer: &reducer.answer,
            error: reducer.error.as_ref(),
            signature: reducer.signature(),
        }
    }

    fn of_query(query: &'a Query) -> Self {
        Self {
            kind: Kind::Query,
            name: Cow::Borrowed(&query.name),
            arguments: Cow::Borrowed(&query.arguments),
            answer: &query.answer,
            error: query.error.as_ref(),
            signature: query.signature(),
        }
    }

    fn of_values(table: &'a Table, doing: Doing) -> Self {
        Self {
            kind: Kind::Values(doing, &table.name),
            name: Cow::Owned(doing.method(&table.name)),
            arguments: Cow::Owned(table.arguments(doing)),
            answer: &UNIT,
            error: None,
            signature: table.signature(),
        }
    }

    fn kind_word(&self) -> &'static str {
        match self.kind {
            Kind::Reducer => "reducer",
            Kind::Query => "query",
            Kind::Values(doing, _) => doing.word(),
        }
    }

    /// What it is called among those of its kind: of a table's methods the table.
    fn item(&self) -> &str {
        match self.kind {
            Kind::Values(_, table) => table,
            _ => &self.name,
        }
    }

    /// What it is called among all of them, as functions are named.
    fn function(&self) -> String {
        match self.kind {
            Kind::Values(doing, table) => format!("{}_{table}", doing.word()),
            _ => self.name.to_string(),
        }
    }
}
