//! `isx top`: what calls cost the node, by mount or by function.

use crate::arguments::Top;
use crate::show::{Show, columns};
use anyhow::{Context, Result};
use isx_iface::usage::{MountUsage, Usage};
use isx_iface::{Anchor, Host, HostStub, Module};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the table is made anew where nothing else is said.
const INTERVAL: Duration = Duration::from_secs(1);
/// Moves to the first place of the terminal.
const HOME: &str = "\x1b[H";
/// Clears to the end of the line, and of the screen.
const LINE_END: &str = "\x1b[K\n";
const SCREEN_END: &str = "\x1b[J";

/// What is counted under one name.
struct Row {
    /// What names it in JSON.
    head: Json,
    name: String,
    usage: Usage,
}

/// `isx top`.
pub async fn top(host: &HostStub, arguments: &Top, show: Show) -> Result<()> {
    let terminal = std::io::stdout().is_terminal() && !show.json;
    let repeats = !arguments.once && (terminal || arguments.interval.is_some());
    let path = arguments.path.as_deref();
    let mut before: Option<(Instant, BTreeMap<String, u64>)> = None;
    loop {
        let mut rows = rows(host, path).await?;
        rows.sort_by(|one, other| (other.usage.wall, &one.name).cmp(&(one.usage.wall, &other.name)));
        let now = Instant::now();
        let per_second = |row: &Row| {
            let (then, calls) = before.as_ref()?;
            let new = row.usage.calls.saturating_sub(calls.get(&row.name).copied().unwrap_or(0));
            Some(new as f64 / now.duration_since(*then).as_secs_f64().max(f64::MIN_POSITIVE))
        };
        let records: Vec<Json> = rows.iter().map(|row| record(row, per_second(row), show)).collect();
        let subject = if path.is_some() { "function" } else { "path" };
        if show.json {
            show.table(&[], &records)?;
        } else {
            print(&table(subject, repeats, &records), terminal && repeats)?;
        }
        if !repeats {
            return Ok(());
        }
        before = Some((now, rows.into_iter().map(|row| (row.name, row.usage.calls)).collect()));
        tokio::time::sleep(arguments.interval.unwrap_or(INTERVAL)).await;
    }
}

/// A row a mount, or where one is named a row a function of it.
async fn rows(host: &HostStub, path: Option<&str>) -> Result<Vec<Row>> {
    if let Some(path) = path {
        let module = crate::names::walk(host, path).await?.module().await.with_context(|| path.to_string())?;
        let functions = module.usage().await?.into_iter().map(|one| {
            let name = if one.function.is_empty() { "(other)".into() } else { one.function.clone() };
            let function = Some(one.function).filter(|function| !function.is_empty());
            Row { head: json!({ "function": function }), name, usage: one.usage }
        });
        return Ok(functions.collect());
    }
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = host.usage(after).await?;
        rows.extend(page.mounts.into_iter().map(|MountUsage { mount, path, usage }| {
            let mount = mount.map(|mount| mount.to_string());
            let name = path.clone().or_else(|| mount.clone()).unwrap_or_else(|| "(other)".into());
            Row { head: json!({ "path": path, "mount": mount }), name, usage }
        }));
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// A row for programs with all there is, for people in short.
fn record(row: &Row, per_second: Option<f64>, show: Show) -> Json {
    let usage = &row.usage;
    let wall_us = u64::try_from(usage.wall.0).unwrap_or(0);
    if show.json {
        let mut record = row.head.clone();
        let numbers = [
            ("calls", usage.calls),
            ("answered", usage.answered()),
            ("application", usage.application),
            ("trapped", usage.trapped),
            ("refused", usage.refused),
            ("busy", usage.busy),
            ("failed", usage.failed),
            ("fuel", usage.fuel),
            ("host_calls", usage.host_calls),
            ("in_bytes", usage.in_bytes),
            ("out_bytes", usage.out_bytes),
            ("rows_changed", usage.rows_changed),
            ("wall_us", wall_us),
        ];
        numbers.iter().for_each(|(name, number)| record[*name] = number.to_string().into());
        return record;
    }
    json!({
        "path": row.name, "function": row.name, "calls": short(usage.calls),
        "per s": per_second.map(|rate| format!("{rate:.0}")),
        "errors": short(usage.application), "traps": short(usage.trapped), "refused": short(usage.refused),
        "other": short(usage.busy + usage.failed), "rows": short(usage.rows_changed), "fuel": short(usage.fuel),
        "host calls": short(usage.host_calls), "in B": short(usage.in_bytes), "out B": short(usage.out_bytes),
        "time ms": (wall_us / 1000).to_string(),
    })
}

fn table(subject: &str, rates: bool, records: &[Json]) -> Vec<String> {
    let mut names = vec![subject, "calls"];
    names.extend(rates.then_some("per s"));
    names.extend(["errors", "traps", "refused", "other", "rows", "fuel", "host calls", "in B", "out B", "time ms"]);
    columns(&names, records)
}

fn print(lines: &[String], over: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let (begin, line_end, end) = if over { (HOME, LINE_END, SCREEN_END) } else { ("", "\n", "") };
    let text = lines.iter().fold(begin.to_string(), |text, line| text + line + line_end) + end;
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A number in at most four digits and a letter for thousands.
fn short(number: u64) -> String {
    let mut rest = number;
    for unit in ["", "k", "M", "G", "T", "P"] {
        if rest < 10_000 {
            return format!("{rest}{unit}");
        }
        rest /= 1000;
    }
    format!("{rest}E")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let told = [0, 9_999, 10_000, 1_234_567, u64::MAX].map(short);
        assert_eq!(told, ["0", "9999", "10k", "1234k", "18E"]);
    }
}
