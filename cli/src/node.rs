//! The verbs on nodes: start, stop, status, whoami, cluster skip.

use crate::arguments::{Global, Start};
use crate::bounds;
use crate::reach::{Kept, run_node};
use crate::runtime;
use crate::show::Show;
use crate::signals::Signals;
use anyhow::{Context, Result};
use futures::future::{Either, select};
use isx_iface::{Host, HostStub};
use isx_row::{Code, Error};
use serde_json::json;
use std::pin::pin;
use std::time::{Duration, Instant};

/// How often a stopping node is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// `isx whoami`.
pub async fn whoami(host: &HostStub, show: Show) -> Result<()> {
    let who = host.whoami().await?;
    let rights = if who.owner { "owner" } else { "public" };
    Ok(show.one(
        || {
            format!(
                "principal  {}\npeer       {}\nrights     {rights}\nnode       {} ({}), isx {}",
                who.principal, who.peer, who.alias, who.node, who.version
            )
        },
        || {
            json!({ "principal": who.principal.to_string(), "peer": who.peer, "rights": rights,
                    "node": who.node, "alias": who.alias, "version": who.version })
        },
    )?)
}

/// `isx start`: runs until it is stopped, by `isx stop` or a signal.
pub async fn start(global: &Global, start: &Start, show: Show) -> Result<()> {
    let running = runtime::find(&runtime::path()?)?.into_iter().find(|node| !node.embedded);
    if let Some(node) = running.filter(|_| !start.new) {
        let text = format!(
            "the node {} of this user runs already (process {}); a second one needs --new",
            node.alias, node.process
        );
        return Err(Error::new(Code::Taken, text).into());
    }
    let running = run_node(global, start, Kept::Standing).await?;
    let node = running.node;
    let state = node.state_dir().display().to_string();
    show.one(
        || {
            let http =
                node.http().map(|http| format!("\n  {http} has /metrics, /healthz, /readyz")).unwrap_or_default();
            format!(
                "node {} answers at {}{http}\n  state in {state}; stop it with `isx stop`",
                node.alias(),
                node.addresses().join(", ")
            )
        },
        || {
            json!({ "alias": node.alias(), "peer": node.peer(), "addresses": node.addresses(), "http": node.http(),
                    "state_dir": state })
        },
    )?;
    let reason = match select(pin!(node.ended()), pin!(Signals::listen()?.next())).await {
        Either::Left((reason, _)) => reason,
        Either::Right(_) => None,
    };
    match reason {
        // What is not on disk was not acknowledged: the process ends as it stands.
        Some(reason) => Err(Error::new(Code::Fatal, reason)).context("the node had to end"),
        None => Ok(node.stop().await?),
    }
}

/// `isx stop`: returns when the node has ended.
pub async fn stop(host: &HostStub, global: &Global, show: Show) -> Result<()> {
    let identity = host.whoami().await?;
    let folder = runtime::path()?;
    let process = runtime::find(&folder)?.into_iter().find(|node| node.peer == identity.node);
    host.stop().await?;
    let until = Instant::now() + global.within;
    if let Some(node) = process {
        while node.is_alive() && runtime::find(&folder)?.contains(&node) {
            if Instant::now() > until {
                return Err(Error::new(Code::Deadline, format!("process {} has not ended yet", node.process)).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(show.one(|| format!("stopped {}", identity.alias), || json!({ "stopped": identity.alias }))?)
}

/// `isx status`.
pub async fn status(host: &HostStub, show: Show) -> Result<()> {
    let status = host.status().await?;
    let groups: Vec<_> = status
        .groups
        .iter()
        .map(|group| {
            json!({
                "group": group.group, "role": group.role, "voters": group.voters_count, "term": group.term.to_string(),
                "committed": group.committed.to_string(), "applied": group.applied.to_string(), "held": group.held,
            })
        })
        .collect();
    let budgets = bounds::budgets(&status.budgets, show);
    let uptime = Duration::from_micros(u64::try_from(status.uptime.0).unwrap_or(0));
    if show.json {
        return Ok(show.one(String::new, || {
            json!({
                "alias": status.alias, "version": status.version, "uptime_ms": uptime.as_millis().to_string(),
                "addresses": status.addresses, "http": status.http, "connections": status.connections_count,
                "mounts": status.mounts_count.to_string(), "warnings": status.warnings, "budgets": budgets,
                "groups": groups,
            })
        })?);
    }
    println!(
        "node {} {}, up {} s, {} mounts, {} callers",
        status.alias,
        status.version,
        uptime.as_secs(),
        status.mounts_count,
        status.connections_count
    );
    status.addresses.iter().for_each(|address| println!("  {address}"));
    status.http.iter().for_each(|http| println!("  {http}"));
    status.warnings.iter().for_each(|warning| println!("  warning: {warning}"));
    show.table(&["resource", "used", "max"], &budgets)?;
    Ok(show.table(&["group", "role", "voters", "term", "committed", "applied", "held"], &groups)?)
}

/// `isx cluster skip`.
pub async fn skip(host: &HostStub, group: u64, show: Show) -> Result<()> {
    host.skip(group).await?;
    Ok(show.one(|| format!("group {group} goes on after the call that held it"), || json!({ "group": group }))?)
}
