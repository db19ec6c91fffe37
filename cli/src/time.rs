//! The verbs of time: history, diff, blame, replay.

use crate::arguments::{Blame, Diff, History};
use crate::json::{members_to_json, rfc3339};
use crate::keys::{key_fields, key_of};
use crate::moment::{Moment, administration};
use crate::rows::{fields, table};
use crate::show::Show;
use crate::words;
use anyhow::{Context, Result};
use isx_iface::module::{Blamed, ModuleStub, Replayed, Step, StepKind, describe};
use isx_iface::{HostStub, Module};
use isx_row::codec::decode_record;
use isx_row::schema::{Schema, Table};
use isx_row::{Bytes, Code, Error, Field, Value};
use serde_json::{Value as Json, json};
use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};

/// Rows of a page of a comparison.
const PAGE_COUNT: u32 = 256;

fn kind(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Call => "call",
        StepKind::Create => "create",
        StepKind::Upgrade => "upgrade",
        StepKind::Timer => "timer",
        StepKind::Connect => "connect",
        StepKind::Disconnect => "disconnect",
        StepKind::Message => "message",
    }
}

fn step_json(step: &Step) -> Json {
    let trace: String = step.trace.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let trace = Some(trace).filter(|_| step.trace.0.iter().any(|byte| *byte != 0));
    json!({
        "revision": step.committed.then(|| step.revision.to_string()), "time": rfc3339(step.time),
        "kind": kind(step.kind), "name": Some(&step.name).filter(|name| !name.is_empty()),
        "principal": step.principal.to_string(), "trace": trace, "outcome": step.outcome,
        "text": Some(&step.text).filter(|text| !text.is_empty()), "rows": step.rows_count,
    })
}

/// A step for people: ids by their beginnings.
fn step_short(step: &Step) -> Json {
    let mut shown = step_json(step);
    for id in ["principal", "trace"] {
        let short = shown[id].as_str().map(|id| id.chars().take(12).collect::<String>());
        shown[id] = json!(short);
    }
    shown
}

/// `isx history`.
pub async fn history(host: &HostStub, arguments: &History, show: Show) -> Result<()> {
    let module = administration(host, &arguments.path, None).await?;
    let (mut before, mut left, mut shown) = (arguments.before, arguments.limit, Vec::new());
    let mut untold = 0;
    let mut from = None;
    while left > 0 {
        let wanted = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE_COUNT);
        let page = module.history(before, wanted).await?;
        left = left.saturating_sub(wanted as usize);
        untold += page.untold_count;
        before = Some(page.from.saturating_add(1));
        from = Some((page.from, page.more));
        shown.extend(page.steps.iter().rev().map(|step| if show.json { step_json(step) } else { step_short(step) }));
        if !page.more {
            break;
        }
    }
    show.table(&["revision", "time", "kind", "name", "rows", "outcome", "principal", "trace"], &shown)?;
    match from {
        Some((from, true)) => eprintln!("older ones follow; go on with --before {}", from + 1),
        Some((from, false)) if from > 0 => eprintln!("of revision {from} and before nothing is kept"),
        _ => {}
    }
    if untold > 0 {
        eprintln!("{untold} calls that changed nothing are left out");
    }
    Ok(())
}

/// `isx blame`.
pub async fn blame(host: &HostStub, arguments: &Blame, show: Show) -> Result<()> {
    let (path, name) = crate::names::member(&arguments.target);
    let name = name.with_context(|| format!("say PATH:table, for example {path}:rows"))?;
    let module = administration(host, path, None).await?;
    let schema = Schema::decode(&describe(&module).await?.schema.0)?;
    let table = table(&schema, path, name)?;
    let columns = key_fields(table);
    if arguments.key.len() != columns.len() {
        let takes = crate::json::fields_name(&columns);
        let text = format!("the key of {name} is ({takes}), got {} words", arguments.key.len());
        return Err(Error::new(Code::BadArguments, text).into());
    }
    let values = words::values(&columns, &arguments.key, &mut std::io::stdin().lock())?;
    let Blamed { step, from } = module.blame(name.into(), Bytes(key_of(&columns, &values)?)).await?;
    let Some(step) = step else {
        let since =
            if from == 0 { "ever".to_string() } else { format!("after revision {from}, and before nothing is kept") };
        return Err(Error::new(Code::NotFound, format!("nothing changed this row of {path}:{name} {since}")).into());
    };
    if show.json {
        return Ok(show.one(String::new, || step_json(&step))?);
    }
    Ok(show.table(&["revision", "time", "kind", "name", "principal", "trace"], &[step_json(&step)])?)
}

/// `isx replay`.
pub async fn replay(host: &HostStub, path: &str, to: Option<u64>, show: Show) -> Result<()> {
    let module = administration(host, path, None).await?;
    let Replayed { from, to, compared_count, differs_from, differs_to } = module.replay(to).await?;
    show.one(
        || match (differs_from, differs_to) {
            (Some(first), Some(last)) if first == last => format!("differs: revision {first} is the first"),
            (Some(first), Some(last)) => format!("differs: the first is one of the revisions {first} to {last}"),
            _ => format!("equal: revisions {from} to {to}, compared {compared_count} times"),
        },
        || {
            let text = |number: u64| number.to_string();
            json!({ "equal": differs_from.is_none(), "from": text(from), "to": text(to), "compared": text(compared_count),
                    "differs_from": differs_from.map(text), "differs_to": differs_to.map(text) })
        },
    )?;
    match differs_from {
        Some(_) => Err(Error::new(Code::Conflict, format!("{path} is not what its past makes it")).into()),
        None => Ok(()),
    }
}

/// `isx diff`.
pub async fn diff(host: &HostStub, arguments: &Diff, show: Show) -> Result<()> {
    let other = arguments.other.as_ref().unwrap_or(&arguments.path);
    let new = Side::open(host, other, arguments.to).await?;
    let from = match (arguments.from, &arguments.other) {
        (None, None) => Some(Moment::Revision(new.revision.saturating_sub(1).max(1))),
        (from, _) => from,
    };
    let old = Side::open(host, &arguments.path, from).await?;
    let tables = old.schema.stored().chain(new.schema.stored()).map(|table| table.name.as_str());
    let names: BTreeSet<&str> = tables.collect();
    let mut count = 0;
    for name in names {
        count += diff_table(&old, &new, name, show).await?;
    }
    if count == 0 {
        eprintln!("no row differs between revision {} and revision {}", old.revision, new.revision);
    }
    Ok(())
}

/// One side of a comparison: a version of a mount.
struct Side {
    module: ModuleStub,
    schema: Schema,
    revision: u64,
}

impl Side {
    async fn open(host: &HostStub, path: &str, moment: Option<Moment>) -> Result<Self> {
        let module = administration(host, path, moment).await?;
        let described = describe(&module).await?;
        // What is compared is of one revision, whatever happens meanwhile.
        let module = match moment {
            Some(_) => module,
            None => administration(host, path, Some(Moment::Revision(described.revision))).await?,
        };
        Ok(Self { module, schema: Schema::decode(&described.schema.0)?, revision: described.revision })
    }

    fn rows<'a>(&'a self, name: &'a str) -> Rows<'a> {
        let table = self.schema.table(name).filter(|table| table.kind.is_stored());
        let keys = table.map(key_fields).unwrap_or_default();
        Rows { module: &self.module, name, table, keys, page: VecDeque::new(), after: None, ended: table.is_none() }
    }
}

/// The rows of a table, in the order of their keys.
struct Rows<'a> {
    module: &'a ModuleStub,
    name: &'a str,
    table: Option<&'a Table>,
    keys: Vec<Field>,
    page: VecDeque<Bytes>,
    after: Option<Bytes>,
    ended: bool,
}

impl Rows<'_> {
    /// The next row, with its key.
    async fn next(&mut self) -> Result<Option<(Vec<u8>, Json)>> {
        while self.page.is_empty() && !self.ended {
            let page = self.module.rows(self.name.into(), self.after.take(), PAGE_COUNT).await?;
            self.page = page.rows.into();
            self.after = page.next;
            self.ended = self.after.is_none();
        }
        let (Some(Bytes(row)), Some(table)) = (self.page.pop_front(), self.table) else { return Ok(None) };
        let fields = fields(table);
        let (_, values) = decode_record(&fields, &row)?;
        let keys: Vec<Value> =
            table.primary_key.iter().filter_map(|column| values.get(usize::from(*column)).cloned()).collect();
        Ok(Some((key_of(&self.keys, &keys)?, members_to_json(&fields, &values))))
    }
}

/// Shows the rows of a table that differ, in the order of their keys; how many they are.
async fn diff_table(old: &Side, new: &Side, name: &str, show: Show) -> Result<usize> {
    let (mut before, mut after) = (old.rows(name), new.rows(name));
    let (mut left, mut right) = (before.next().await?, after.next().await?);
    let mut count = 0;
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(count),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let gone = if order.is_le() { left.take() } else { None };
        let came = if order.is_ge() { right.take() } else { None };
        let (was, is) = (gone.map(|(_, row)| row), came.map(|(_, row)| row));
        if was != is {
            count += 1;
            changed(name, was.as_ref(), is.as_ref(), show)?;
        }
        if order.is_le() {
            left = before.next().await?;
        }
        if order.is_ge() {
            right = after.next().await?;
        }
    }
}

fn changed(table: &str, old: Option<&Json>, new: Option<&Json>, show: Show) -> Result<()> {
    let what = match (old, new) {
        (None, _) => "insert",
        (_, None) => "delete",
        _ => "update",
    };
    let shown: Vec<String> = [old, new].into_iter().flatten().map(Json::to_string).collect();
    Ok(show.one(
        || format!("{table} {what} {}", shown.join(" -> ")),
        || json!({ "table": table, "change": what, "old": old, "new": new }),
    )?)
}
