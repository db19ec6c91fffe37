//! The verbs that read rows: `isx rows` and `isx watch`, of tables and of views.

use crate::calls::{payload_of, schema};
use crate::json::members_to_json;
use crate::moment::{Moment, administration};
use crate::names::walk;
use crate::show::Show;
use anyhow::{Context, Result};
use futures::StreamExt;
use isx_iface::module::describe;
use isx_iface::table::{RowChange, follow_view};
use isx_iface::{Anchor, HostStub, Module, ModuleStub};
use isx_row::codec::decode_record;
use isx_row::schema::{Query, Schema, Table};
use isx_row::{Bytes, Code, Error, Field, Value};
use serde_json::{Value as Json, json};
use std::borrow::Cow;

/// A table of a mount's schema.
///
/// # Errors
/// `not_found`, naming those that are there.
pub fn table<'a>(schema: &'a Schema, path: &str, name: &str) -> Result<&'a Table> {
    schema.table(name).ok_or_else(|| {
        let names: Vec<&str> = schema.tables.iter().map(|table| table.name.as_str()).collect();
        Error::new(Code::NotFound, format!("{path} has no table {name}; it has {}", names.join(", "))).into()
    })
}

/// The columns of a table.
pub fn fields(table: &Table) -> Vec<Field> {
    table.columns.iter().map(|column| Field { name: column.name.clone(), ty: column.ty.clone() }).collect()
}

/// A row in JSON.
///
/// # Errors
/// Of bytes that are no such row.
pub fn row(fields: &[Field], bytes: &[u8]) -> Result<Json> {
    let (_, values) = decode_record(fields, bytes)?;
    Ok(members_to_json(fields, &values))
}

/// What rows are read of.
struct Source<'a> {
    /// Its rows, as those of a table.
    rows: Cow<'a, Table>,
    /// The view that gives them, if it is one, with its encoded arguments.
    view: Option<(&'a Query, Vec<u8>)>,
}

impl<'a> Source<'a> {
    fn of(schema: &'a Schema, (path, name): (&str, &str), words: &[String]) -> Result<Self> {
        let Some(rows) = schema.followed(name) else {
            if schema.query(name).is_some() {
                let text = format!("{name} is a query that is no view: `isx query {path} {name}`");
                return Err(Error::new(Code::Unsupported, text).into());
            }
            let views = schema.queries.iter().filter(|query| query.key.is_some()).map(|query| query.name.as_str());
            let names: Vec<&str> = schema.tables.iter().map(|table| table.name.as_str()).chain(views).collect();
            let text = format!("{path} has no table or view {name}; it has {}", names.join(", "));
            return Err(Error::new(Code::NotFound, text).into());
        };
        let view = match schema.query(name) {
            Some(query) => Some((query, payload_of(query, words)?)),
            None if words.is_empty() => None,
            None => {
                let text = format!("{name} is a table: only views take arguments");
                return Err(Error::new(Code::BadArguments, text).into());
            }
        };
        Ok(Self { rows, view })
    }
}

/// `isx rows`.
pub async fn rows(
    host: &HostStub,
    (path, name): (&str, &str),
    words: &[String],
    limit: usize,
    at: Option<Moment>,
    show: Show,
) -> Result<()> {
    let module = administration(host, path, at).await?;
    let schema = Schema::decode(&describe(&module).await.with_context(|| path.to_string())?.schema.0)?;
    let source = Source::of(&schema, (path, name), words)?;
    let fields = fields(&source.rows);
    let (records, more) = match &source.view {
        None => pages(&module, name, &fields, limit).await?,
        Some((query, arguments)) => {
            let asked = module.ask(name.into(), Bytes(arguments.clone())).await;
            let answer = asked.with_context(|| format!("{path} {name}"))?.payload;
            let mut records = answered(query, &fields, &answer.0)?;
            let more = records.len() > limit;
            records.truncate(limit);
            (records, more)
        }
    };
    let columns: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    show.table(&columns, &records)?;
    if more {
        eprintln!("more rows follow; ask for them with --limit");
    }
    Ok(())
}

/// The rows of a table, and whether there are more.
async fn pages(module: &ModuleStub, name: &str, fields: &[Field], limit: usize) -> Result<(Vec<Json>, bool)> {
    let (mut records, mut after) = (Vec::new(), None);
    while records.len() < limit {
        let wanted = u32::try_from(limit - records.len()).unwrap_or(u32::MAX);
        let page = module.rows(name.into(), after, wanted).await?;
        for bytes in &page.rows {
            records.push(row(fields, &bytes.0)?);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok((records, after.is_some()))
}

/// The rows of a view's answer.
fn answered(query: &Query, fields: &[Field], answer: &[u8]) -> Result<Vec<Json>> {
    let answer_fields = [Field { name: "answer".into(), ty: query.answer.clone() }];
    let (_, values) = decode_record(&answer_fields, answer)?;
    let Some(Value::List(rows)) = values.first() else { return Ok(Vec::new()) };
    let members = |row: &Value| match row {
        Value::Struct(values) => Ok(members_to_json(fields, values)),
        _ => Err(Error::new(Code::Malformed, format!("view {} gave what is no row", query.name)).into()),
    };
    rows.iter().map(members).collect()
}

/// `isx watch PATH:table`.
pub async fn watch(
    host: &HostStub,
    (path, name): (&str, &str),
    words: &[String],
    count: Option<u64>,
    show: Show,
) -> Result<()> {
    let schema = schema(host, path).await?;
    let source = Source::of(&schema, (path, name), words)?;
    let fields = fields(&source.rows);
    let object = walk(host, path).await?.object().await?;
    let mut steps = match &source.view {
        None => isx_iface::table::follow(&object, name, None).await?,
        Some((query, arguments)) => follow_view(&object, (name, query.signature()), arguments.clone(), None).await?,
    };
    let (mut left, mut is_first) = (count.unwrap_or(u64::MAX), true);
    while left > 0 {
        let Some(step) = steps.next().await else { break };
        let step = step?;
        let revision = step.revision;
        if step.reset && !std::mem::take(&mut is_first) {
            // What was shown before is void.
            show.one(
                || format!("{revision} reset"),
                || json!({ "revision": revision.0.to_string(), "change": "reset" }),
            )?;
        }
        for change in &step.changes {
            let what = match change.what {
                RowChange::Present => "row",
                RowChange::Insert => "insert",
                RowChange::Update => "update",
                RowChange::Delete => "delete",
            };
            let of = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| row(&fields, &bytes.0)).transpose();
            let (old, new) = (of(&change.old)?, of(&change.new)?);
            let shown = new.as_ref().or(old.as_ref()).map(Json::to_string).unwrap_or_default();
            show.one(
                || format!("{revision} {what} {shown}"),
                || json!({ "revision": revision.0.to_string(), "change": what, "old": old, "new": new }),
            )?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}
