//! The verbs on names: ls, tree, get, set, mount, unmount, rm.

use crate::json::content_hash;
use crate::project::no_limits;
use crate::rights::answered;
use crate::show::Show;
use anyhow::{Context, Result, bail};
use isx_iface::anchor::{AnchorStub, Entry, EntryKind};
use isx_iface::{Anchor, Host, HostStub};
use isx_row::{Bytes, Code, Error, SessionId, Time};
use serde_json::{Value as Json, json};
use std::io::IsTerminal;
use std::time::SystemTime;

/// The parent of a path and the last name.
///
/// # Errors
/// `malformed` when the path has no parent.
pub fn split(path: &str) -> Result<(&str, &str), Error> {
    let whole = |(parent, name): &(&str, &str)| !parent.is_empty() && !parent.ends_with('/') && !name.is_empty();
    path.trim_end_matches('/').rsplit_once('/').filter(whole).ok_or_else(|| {
        Error::new(Code::Malformed, format!("{path:?} is not a path like /self/name, or a name in it is empty"))
    })
}

/// A fresh session, for calls that must happen once however often they are asked.
pub fn session() -> Result<SessionId> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(SessionId::new(Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)), u64::from_le_bytes(random)))
}

/// `isx ls`.
pub async fn ls(host: &HostStub, path: &str, show: Show) -> Result<()> {
    let children = children(&walk(host, path).await?).await?;
    let records: Vec<Json> = children.iter().map(|entry| entry_json(&entry.name, entry)).collect();
    Ok(show.table(&["name", "kind", "value"], &records)?)
}

/// `isx tree`.
pub async fn tree(host: &HostStub, path: &str, show: Show) -> Result<()> {
    let anchor = walk(host, path).await?;
    let root = path.trim_end_matches('/').to_string();
    if !show.json {
        show.one(|| path.to_string(), || Json::Null)?;
    }
    // What is still to be shown, the next last.
    let mut rest: Vec<(String, usize, Entry)> = Vec::new();
    let below = |entries: Vec<Entry>, path: &str, depth: usize, rest: &mut Vec<_>| {
        rest.extend(entries.into_iter().rev().map(|entry| (format!("{path}/{}", entry.name), depth, entry)));
    };
    below(children(&anchor).await?, &root, 1, &mut rest);
    while let Some((path, depth, entry)) = rest.pop() {
        let note = match entry.kind {
            EntryKind::Mount => " (mount)",
            EntryKind::Home => " (home)",
            EntryKind::Anchor => "",
        };
        show.one(|| format!("{}{}{note}", "  ".repeat(depth), entry.name), || entry_json(&path, &entry))?;
        match host.walk(path.clone()).await {
            Ok(anchor) => below(children(&anchor).await?, &path, depth + 1, &mut rest),
            // It was removed meanwhile, or is not ours to see.
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => return Err(anyhow::Error::new(error).context(path)),
        }
    }
    Ok(())
}

/// The children of an anchor, by name.
async fn children(anchor: &AnchorStub) -> Result<Vec<Entry>> {
    let (mut after, mut children) = (None, Vec::new());
    loop {
        let page = anchor.ls(after).await?;
        children.extend(page.entries);
        after = page.next;
        if after.is_none() {
            return Ok(children);
        }
    }
}

fn entry_json(name: &str, entry: &Entry) -> Json {
    let kind = match entry.kind {
        EntryKind::Home => "home",
        EntryKind::Anchor => "anchor",
        EntryKind::Mount => "mount",
    };
    json!({ "name": name, "kind": kind, "value": entry.value })
}

/// `isx get`.
pub async fn get(host: &HostStub, path: &str, show: Show) -> Result<()> {
    let value = walk(host, path).await?.get().await?;
    let value = value.ok_or_else(|| Error::new(Code::NotFound, format!("{path} has no value")))?;
    let text = String::from_utf8_lossy(&value.0).into_owned();
    Ok(show.one(|| text.clone(), || json!({ "path": path, "value": text }))?)
}

/// `isx set`.
pub async fn set(host: &HostStub, path: &str, value: &str, expect: Option<&str>, show: Show) -> Result<()> {
    let (parent, name) = split(path)?;
    let anchor = walk(host, parent).await?.make(name.into()).await.with_context(|| path.to_string())?;
    let value = Some(Bytes(value.as_bytes().to_vec()));
    match expect {
        None => anchor.set(value).await.with_context(|| path.to_string())?,
        Some(expected) => {
            let expected = Some(expected).filter(|expected| !expected.is_empty());
            let expected = expected.map(|expected| Bytes(expected.as_bytes().to_vec()));
            if !anchor.swap(expected, value).await.with_context(|| path.to_string())? {
                return Err(Error::new(Code::Conflict, format!("{path} has another value")).into());
            }
        }
    }
    Ok(show.one(String::new, || json!({ "path": path }))?)
}

/// `isx mount`.
pub async fn mount(host: &HostStub, path: &str, code: &str, show: Show) -> Result<()> {
    let (parent, name) = split(path)?;
    let (parent, code_hash) = (walk(host, parent).await?, content_hash(code)?);
    parent.mount(name.into(), code_hash, no_limits(), session()?).await.with_context(|| path.to_string())?;
    Ok(show.one(|| format!("mounted {path}"), || json!({ "path": path, "code": code }))?)
}

/// `isx unmount`.
pub async fn unmount(host: &HostStub, path: &str, show: Show) -> Result<()> {
    let (parent, name) = split(path)?;
    walk(host, parent).await?.unmount(name.into()).await.with_context(|| path.to_string())?;
    Ok(show.one(|| format!("unmounted {path}; its data is kept"), || json!({ "path": path }))?)
}

/// `isx rm`.
pub async fn rm(host: &HostStub, path: &str, yes: bool, show: Show) -> Result<()> {
    let (parent, name) = split(path)?;
    walk(host, path).await?;
    let parent = walk(host, parent).await?;
    if !yes && !confirmed(&format!("remove {path} and everything below it, data included?"))? {
        bail!("nothing was removed");
    }
    parent.remove(name.into()).await.with_context(|| path.to_string())?;
    Ok(show.one(|| format!("removed {path}"), || json!({ "path": path, "removed": true }))?)
}

/// The anchor at a path; an error names the path.
pub async fn walk(host: &HostStub, path: &str) -> Result<AnchorStub> {
    let anchor = match path {
        "/" => host.root().await,
        path => host.walk(path.trim_end_matches('/').into()).await,
    };
    anchor.with_context(|| path.to_string())
}

/// Asks on the terminal; without one the answer is an error that names the flag.
pub fn confirmed(question: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("{question} Say so with --yes");
    }
    Ok(answered(question, &mut stdin.lock(), &mut std::io::stderr()))
}

/// A target `PATH:member`, or a path alone.
pub fn member(target: &str) -> (&str, Option<&str>) {
    target.rsplit_once(':').map_or((target, None), |(path, member)| (path, Some(member)))
}

/// `isx watch PATH`.
pub async fn watch(host: &HostStub, path: &str, count: Option<u64>, show: Show) -> Result<()> {
    use futures::StreamExt;
    let mut items = walk(host, path).await?.watch().await?;
    let mut left = count;
    while left != Some(0) {
        let Some(cell) = items.next().await else { break };
        let text = cell?.value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
        let json = text.clone().map_or(Json::Null, Json::String);
        show.one(|| text.unwrap_or_default(), || json!({ "path": path, "value": json }))?;
        left = left.map(|left| left - 1);
    }
    Ok(())
}
