//! `isx bindings`: what a module's schema is in another language: types, and the codec of its rows, arguments and answers.
//!
//! The schema has no names for its structs and enums: [`names`] gives each one, the same in every language.

mod json_schema;
mod names;
mod rust;

pub use rust::migration;
mod typescript;

use crate::arguments::{Bindings, Language};
use crate::build::Kind;
use crate::calls;
use crate::show::Show;
use crate::source::Source;
use anyhow::{Context, Result};
use isx_iface::HostStub;
use isx_row::schema::{Query, Reducer, Schema};
use isx_row::{Field, Signature, Type};
use serde_json::json;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Whether the source is here: a component or a project's folder. Else it is a mount, and a node has its schema.
pub fn is_local(source: &str) -> bool {
    Path::new(source).exists() || !source.starts_with('/')
}

/// `isx bindings FILE|DIR`.
pub fn of_file(arguments: &Bindings, show: Show) -> Result<()> {
    let component = Source::of(Path::new(&arguments.source))?.here(Some(Kind::Module))?;
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

/// What can be called: a reducer that is no hook, or a query.
struct Callable<'a> {
    kind: calls::Kind,
    name: &'a str,
    arguments: &'a [Field],
    answer: &'a Type,
    error: Option<&'a Type>,
    signature: Signature,
}

impl<'a> Callable<'a> {
    /// All of a schema: reducers, then queries, each by name.
    fn all(schema: &'a Schema) -> impl Iterator<Item = Self> {
        let reducers = schema.reducers.iter().filter(|reducer| reducer.hook.is_none());
        reducers.map(Self::of_reducer).chain(schema.queries.iter().map(Self::of_query))
    }

    fn of_reducer(reducer: &'a Reducer) -> Self {
        Self {
            kind: calls::Kind::Reducer,
            name: &reducer.name,
            arguments: &reducer.arguments,
            answer: &reducer.answer,
            error: reducer.error.as_ref(),
            signature: reducer.signature(),
        }
    }

    fn of_query(query: &'a Query) -> Self {
        Self {
            kind: calls::Kind::Query,
            name: &query.name,
            arguments: &query.arguments,
            answer: &query.answer,
            error: query.error.as_ref(),
            signature: query.signature(),
        }
    }

    fn kind_word(&self) -> &'static str {
        match self.kind {
            calls::Kind::Reducer => "reducer",
            calls::Kind::Query => "query",
        }
    }
}
