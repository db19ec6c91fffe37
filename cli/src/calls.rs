//! The verbs that use a mount: call, query, rows, watch PATH:table.

use crate::arguments::Call as Arguments;
use crate::conditions;
use crate::dry_run::dry_run;
use crate::json::{fields_name, members_to_json, to_json};
use crate::moment::{Moment, administration};
use crate::names::walk;
use crate::show::Show;
use crate::words;
use anyhow::{Context, Result, bail};
use futures::StreamExt;
use isx_iface::module::describe;
use isx_iface::table::{RowChange, follow};
use isx_iface::{Anchor, HostStub, Module};
use isx_iface::{Call, Delivery};
use isx_row::codec::{decode_record, encode_record};
use isx_row::schema::{Schema, Table};
use isx_row::{Bytes, Code, Error, Field, Signature, Type};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// A function as its schema says it.
pub struct Function<'a> {
    arguments: &'a [Field],
    /// What it answers.
    pub answer: &'a Type,
    error: Option<&'a Type>,
    signature: Signature,
}

/// The schema of a mount.
///
/// # Errors
/// `not_found`, naming the path.
pub async fn schema(host: &HostStub, path: &str) -> Result<Schema> {
    let module = walk(host, path).await?.module().await.with_context(|| path.to_string())?;
    let description = describe(&module).await.with_context(|| path.to_string())?;
    Ok(Schema::decode(&description.schema.0)?)
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A transaction.
    Reducer,
    /// A read-only function.
    Query,
}

/// How it is called.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// What must hold for the call to be made.
    pub conditions: &'a [String],
    /// It is tried, and not made.
    pub dry: bool,
    /// How long to wait.
    pub within: Duration,
}

/// `isx call` and `isx query`: a name that is the other kind is refused with the right verb.
pub async fn call(
    host: &HostStub,
    arguments: &Arguments,
    kind: Kind,
    How { conditions, dry, within }: How<'_>,
    show: Show,
) -> Result<()> {
    let (path, name) = (arguments.path.as_str(), arguments.function.as_str());
    let schema = schema(host, path).await?;
    let function = function(&schema, path, name, kind)?;
    let payload = payload(&function, name, &arguments.arguments)?;
    let conditions = conditions::conditions(&schema, path, conditions)?;
    if dry {
        return dry_run(host, (path, name), (&schema, &function), (payload, conditions), show).await;
    }
    let object = walk(host, path).await?.object().await?;
    let delivery = Delivery { within: Some(within), ..Delivery::default() };
    let answer = object
        .call(Call {
            method: name.into(),
            signature: function.signature,
            payload,
            objects: Vec::new(),
            conditions,
            delivery,
        })
        .await
        .with_context(|| format!("{path} {name}"))?;
    if let Some(detail) = answer.application_error {
        let text = own_error(&function, &detail)?;
        return Err(Error::new(Code::Application, format!("{path} {name}: {text}")).into());
    }
    let value = self::answer(&function, &answer.payload)?;
    let revision = answer.revision.map(|revision| revision.0.to_string());
    Ok(show.one(|| text(&function, &value), || json!({ "answer": value, "revision": revision }))?)
}

/// `isx query --at`: of the module and the rows of then.
pub async fn query_at(host: &HostStub, arguments: &Arguments, at: Moment, show: Show) -> Result<()> {
    let (path, name) = (arguments.path.as_str(), arguments.function.as_str());
    let module = administration(host, path, Some(at)).await?;
    let schema = Schema::decode(&describe(&module).await.with_context(|| path.to_string())?.schema.0)?;
    let function = function(&schema, path, name, Kind::Query)?;
    let payload = payload(&function, name, &arguments.arguments)?;
    let asked = module.ask(name.into(), Bytes(payload)).await.with_context(|| format!("{path} {name}"))?;
    let value = answer(&function, &asked.payload.0)?;
    Ok(show.one(|| text(&function, &value), || json!({ "answer": value, "revision": asked.revision.to_string() }))?)
}

/// The value of an answer.
fn answer(function: &Function<'_>, payload: &[u8]) -> Result<Json> {
    let fields = [Field { name: "answer".into(), ty: function.answer.clone() }];
    let (_, values) = decode_record(&fields, payload)?;
    Ok(to_json(function.answer, values.first().context("an answer has one member")?))
}

/// An answer for people: nothing where it says nothing.
fn text(function: &Function<'_>, value: &Json) -> String {
    match function.answer {
        Type::Tuple(none) if none.is_empty() => String::new(),
        _ => crate::show::cell(value),
    }
}

/// The module's own error, as its schema says it.
pub fn own_error(function: &Function<'_>, detail: &[u8]) -> Result<String> {
    let ty = function.error.context("the module answered an error that its schema does not have")?;
    let fields = [Field { name: "error".into(), ty: ty.clone() }];
    let (_, values) = decode_record(&fields, detail)?;
    Ok(crate::show::cell(&to_json(ty, values.first().context("an error has one member")?)))
}

fn function<'a>(schema: &'a Schema, path: &str, name: &str, kind: Kind) -> Result<Function<'a>> {
    let reducer = schema.reducer(name).map(|reducer| Function {
        arguments: &reducer.arguments,
        answer: &reducer.answer,
        error: reducer.error.as_ref(),
        signature: reducer.signature(),
    });
    let asked = schema.query(name).map(|query| Function {
        arguments: &query.arguments,
        answer: &query.answer,
        error: query.error.as_ref(),
        signature: query.signature(),
    });
    match (reducer, asked, kind) {
        (Some(function), _, Kind::Reducer) | (_, Some(function), Kind::Query) => Ok(function),
        (Some(_), _, Kind::Query) => bail!("{name} is a reducer: `isx call {path} {name}`"),
        (_, Some(_), Kind::Reducer) => bail!("{name} is a query: `isx query {path} {name}`"),
        (None, None, _) => {
            let names: Vec<&str> = match kind {
                Kind::Query => schema.queries.iter().map(|query| query.name.as_str()).collect(),
                Kind::Reducer => {
                    schema.reducers.iter().filter(|reducer| reducer.hook.is_none()).map(|r| r.name.as_str()).collect()
                }
            };
            Err(Error::new(Code::NotFound, format!("{path} has no {name}; it has {}", names.join(", "))).into())
        }
    }
}

fn payload(function: &Function<'_>, name: &str, words: &[String]) -> Result<Vec<u8>> {
    if words.len() != function.arguments.len() {
        let text = format!("{name} takes ({}), got {} arguments", fields_name(function.arguments), words.len());
        return Err(Error::new(Code::BadArguments, text).into());
    }
    let values = words::values(function.arguments, words, &mut std::io::stdin().lock())?;
    Ok(encode_record(0, function.arguments, &values)?)
}

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

/// `isx rows`.
pub async fn rows(
    host: &HostStub,
    (path, name): (&str, &str),
    limit: usize,
    at: Option<Moment>,
    show: Show,
) -> Result<()> {
    let module = administration(host, path, at).await?;
    let schema = Schema::decode(&describe(&module).await.with_context(|| path.to_string())?.schema.0)?;
    let fields = fields(table(&schema, path, name)?);
    let (mut records, mut after) = (Vec::new(), None);
    while records.len() < limit {
        let wanted = u32::try_from(limit - records.len()).unwrap_or(u32::MAX);
        let page = module.rows(name.into(), after, wanted).await?;
        for bytes in &page.rows {
            records.push(row(&fields, &bytes.0)?);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let columns: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    show.table(&columns, &records)?;
    if after.is_some() {
        eprintln!("more rows follow; ask for them with --limit");
    }
    Ok(())
}

/// `isx watch PATH:table`.
pub async fn watch(host: &HostStub, path: &str, name: &str, count: Option<u64>, show: Show) -> Result<()> {
    let schema = schema(host, path).await?;
    let fields = fields(table(&schema, path, name)?);
    let object = walk(host, path).await?.object().await?;
    let mut steps = follow(&object, name, None).await?;
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(step) = steps.next().await else { break };
        let step = step?;
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
            let revision = step.revision;
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
