//! The verbs that call a mount: `isx call` and `isx query`.

use crate::arguments::Call as Arguments;
use crate::conditions;
use crate::dry_run::dry_run;
use crate::json::{fields_name, to_json};
use crate::moment::{Moment, administration};
use crate::names::walk;
use crate::show::Show;
use crate::words;
use anyhow::{Context, Result, bail};
use isx_iface::module::describe;
use isx_iface::{Anchor, HostStub, Module};
use isx_iface::{Call, Delivery};
use isx_row::codec::{decode_record, encode_record};
use isx_row::schema::{Query, Schema};
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

/// The encoded arguments of a query.
///
/// # Errors
/// `bad_arguments`, naming what it takes.
pub fn payload_of(query: &Query, words: &[String]) -> Result<Vec<u8>> {
    let Query { name, arguments, answer, error, .. } = query;
    let function = Function { arguments, answer, error: error.as_ref(), signature: query.signature() };
    payload(&function, name, words)
}

fn payload(function: &Function<'_>, name: &str, words: &[String]) -> Result<Vec<u8>> {
    if words.len() != function.arguments.len() {
        let text = format!("{name} takes ({}), got {} arguments", fields_name(function.arguments), words.len());
        return Err(Error::new(Code::BadArguments, text).into());
    }
    let values = words::values(function.arguments, words, &mut std::io::stdin().lock())?;
    Ok(encode_record(0, function.arguments, &values)?)
}
