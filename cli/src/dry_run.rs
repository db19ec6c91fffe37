//! `isx call --dry-run`: what a call would do, told and not done.

use crate::calls::{Function, own_error};
use crate::json::to_json;
use crate::names::walk;
use crate::rows::{fields, row, table};
use crate::show::{Show, cell};
use anyhow::{Context, Result};
use isx_iface::module::DryRun;
use isx_iface::{Anchor, HostStub, Module};
use isx_row::codec::decode_record;
use isx_row::schema::Schema;
use isx_row::{Bytes, Code, Condition, Error, Field};
use serde_json::{Value as Json, json};

/// Tries a call and tells what it would do; a call that would be refused is this command's error too.
pub async fn dry_run(
    host: &HostStub,
    (path, name): (&str, &str),
    (schema, function): (&Schema, &Function<'_>),
    (payload, conditions): (Vec<u8>, Vec<Condition>),
    show: Show,
) -> Result<()> {
    let module = walk(host, path).await?.module().await?;
    let tried =
        module.dry_run(name.into(), Bytes(payload), conditions).await.with_context(|| format!("{path} {name}"))?;
    if let Some(refused) = &tried.refused {
        let text = match &refused.detail {
            Some(detail) => own_error(function, &detail.0)?,
            None => refused.text.clone(),
        };
        let code = Code::from_number(refused.code).unwrap_or(Code::Unknown);
        return Err(Error::new(code, format!("{path} {name} would be refused: {text}")).into());
    }
    let answer = answer(function, &tried)?;
    let changes = changes(schema, path, &tried)?;
    let more = tried.changes_count.saturating_sub(changes.len() as u64);
    let DryRun { revision, fuel, messages_count, joined, log, .. } = &tried;
    let text = || {
        let mut lines = vec![format!("would answer {}", cell(&answer))];
        lines.extend(changes.iter().map(|change| {
            let (sign, row) = match (&change["old"], &change["new"]) {
                (Json::Null, new) => ('+', new.to_string()),
                (old, Json::Null) => ('-', old.to_string()),
                (old, new) => ('~', format!("{old} -> {new}")),
            };
            format!("{sign} {} {row}", cell(&change["table"]))
        }));
        if more > 0 {
            lines.push(format!("and {more} more rows"));
        }
        if *messages_count > 0 {
            lines.push(format!("would send {messages_count} messages"));
        }
        lines.extend(joined.iter().map(|other| format!("would change {} rows of {}", other.changes_count, other.path)));
        lines.extend(log.iter().map(|line| format!("would log {}", cell(&json!(line)))));
        lines.push(format!("nothing was done; tried on revision {revision}, with {fuel} fuel"));
        lines.join("\n")
    };
    let json = || {
        let joined = joined.iter().map(|other| json!({ "path": other.path, "changes_count": other.changes_count }));
        json!({ "answer": answer, "changes": changes, "changes_count": tried.changes_count, "messages_count": messages_count,
                "joined": joined.collect::<Json>(), "log": log, "fuel": fuel.to_string(), "revision": revision.to_string(), "dry_run": true })
    };
    Ok(show.one(text, json)?)
}

fn answer(function: &Function<'_>, tried: &DryRun) -> Result<Json> {
    let answer = tried.answer.as_ref().context("the node told neither an answer nor a refusal")?;
    let member = [Field { name: "answer".into(), ty: function.answer.clone() }];
    let (_, values) = decode_record(&member, &answer.0)?;
    Ok(to_json(function.answer, values.first().context("an answer has one member")?))
}

fn changes(schema: &Schema, path: &str, tried: &DryRun) -> Result<Vec<Json>> {
    let one = |change: &isx_iface::module::RowChanged| -> Result<Json> {
        let columns = fields(table(schema, path, &change.table)?);
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| row(&columns, &bytes.0)).transpose();
        Ok(json!({ "table": change.table, "old": of(&change.old)?, "new": of(&change.new)? }))
    };
    tried.changes.iter().map(one).collect()
}
