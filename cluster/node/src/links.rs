//! The links between modules, at publish: which mounts their paths stand for, and whether both sides fit.

use crate::shared::{Shared, Who, mount_in, tree_of};
use futures::future::{Either, select};
use isx_anchors::{Binding, BindingState};
use isx_cluster::limits::BUNDLE_MOUNTS_MAX;
use isx_cluster::{Migration, MountView, View};
use isx_raft::{Consistency, MOUNTS};
use isx_row::schema::{Link, RowEvent, Schema, TableKind};
use isx_row::{Code, Error, MountId};
use isx_store::Linked;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

/// The mounts that a module's links stand for, as who publishes it sees them; it takes the place of that of a mount, or is new.
///
/// # Errors
/// `limit` when its calls reach into too many, `not_found` when nothing is mounted at a path, `incompatible` when what is there has not what the module declares: both
/// are named.
pub(crate) async fn resolve(
    shared: &Arc<Shared>,
    who: Who,
    schema: &Schema,
    replaced: Option<MountId>,
) -> Result<Vec<Linked>, Error> {
    if schema.links.is_empty() {
        return Ok(Vec::new());
    }
    let tree = shared.tree_view().await?;
    let mounts = shared.raft.read(MOUNTS, Consistency::Linearizable, shared.soon()).await?;
    let resolve = |link: &Link| {
        let path = &link.path;
        let found = tree_of(&tree)?.resolve(&who.caller(), &shared.place(path)?);
        let ready = |binding: &&Binding| binding.state == BindingState::Ready;
        let mount = found.ok().map(|(_, binding)| binding).filter(ready).map(|binding| binding.mount);
        let missing = || {
            let text = format!("{} is linked to {path}, where nothing is mounted: publish that first", schema.name);
            Error::new(Code::NotFound, text)
        };
        let mount = mount.ok_or_else(missing)?;
        if let Some(Migration::Moving { .. }) = mounts.migration(&mount) {
            let text = format!("{path}, to which {} is linked, is being migrated", schema.name);
            return Err(Error::new(Code::Busy, text));
        }
        fits(schema, link, mount_in(&mounts, &mount)?.database().schema(), who.owner)?;
        Ok(Linked { path: path.clone(), mount, trusted: who.owner })
    };
    let links: Vec<Linked> = schema.links.iter().map(resolve).collect::<Result<_, _>>()?;
    check_bundles(&mounts, schema, &links, replaced)?;
    Ok(links)
}

/// Whether nobody's calls reach into more mounts than each of them may have at hand, once a module takes a place, or the place of
/// another's.
fn check_bundles(mounts: &View, schema: &Schema, links: &[Linked], replaced: Option<MountId>) -> Result<(), Error> {
    let joins = links.iter().filter(|linked| schema.link(&linked.path).is_some_and(|link| !link.joins.is_empty()));
    let joins: Vec<MountId> = joins.map(|linked| linked.mount).collect();
    let joins_of = |id: &MountId| match mounts.mount(id) {
        _ if replaced == Some(*id) => joins.as_slice(),
        Some(mount) => mount.joins(),
        None => &[],
    };
    let reach = |of: Option<MountId>, first: &[MountId]| {
        let (mut reached, mut next) = (BTreeSet::new(), first.to_vec());
        while let Some(id) = next.pop() {
            if Some(id) != of && reached.insert(id) {
                next.extend_from_slice(joins_of(&id));
            }
        }
        reached
    };
    let refuse = |name: &str, count: usize| {
        let text = format!(
            "{name} would call into {count} mounts, one through another; BUNDLE_MOUNTS_MAX is {BUNDLE_MOUNTS_MAX}: let {} send \
             what need not happen in the same transaction",
            schema.name
        );
        Err(Error::new(Code::Limit, text))
    };
    let own = reach(replaced, &joins).len();
    if own > BUNDLE_MOUNTS_MAX {
        return refuse(&schema.name, own);
    }
    let Some(replaced) = replaced else { return Ok(()) };
    for caller in mounts.mounts().filter(|caller| !caller.joins().is_empty() && caller.id() != replaced) {
        let reached = reach(Some(caller.id()), caller.joins());
        if reached.contains(&replaced) && reached.len() > BUNDLE_MOUNTS_MAX {
            return refuse(&caller.database().schema().name, reached.len());
        }
    }
    Ok(())
}

/// Whether a module has what another declares of it.
fn fits(schema: &Schema, link: &Link, other: &Schema, trusted: bool) -> Result<(), Error> {
    let refuse = |what: String| {
        let text = format!("{} and {} at {} do not fit: {what}", schema.name, other.name, link.path);
        Err(Error::new(Code::Incompatible, text))
    };
    for (name, event, hook, row) in schema.listens(&link.path) {
        let table = other.table(name).filter(|table| trusted || other.public && table.public);
        let Some(table) = table else { return refuse(format!("hook {hook} is on table {name}, which is not there")) };
        if let Err(why) = table.known_as(row) {
            return refuse(format!("hook {hook} is on table {name}: {why}"));
        }
        let happens = match table.kind {
            TableKind::Durable | TableKind::Session => true,
            TableKind::Event => event == RowEvent::Insert,
            TableKind::Volatile => false,
        };
        if !happens {
            return refuse(format!("hook {hook} is on an event that table {name} never has"));
        }
    }
    for sent in &link.sends {
        let reducer = other.reducer(&sent.name).filter(|reducer| reducer.hook.is_none());
        match reducer.filter(|reducer| trusted || other.public && reducer.public) {
            None => return refuse(format!("reducer {}, which is sent to, is not there", sent.name)),
            Some(reducer) if reducer.signature() != sent.signature() => {
                return refuse(format!("reducer {}, which is sent to, has other types", sent.name));
            }
            Some(_) => {}
        }
    }
    for joined in &link.joins {
        let reducer = other.reducer(&joined.name).filter(|reducer| reducer.hook.is_none());
        let reducer = reducer.map(|reducer| (reducer.public, reducer.signature()));
        let query = || other.query(&joined.name).map(|query| (query.public, query.signature()));
        match reducer.or_else(query).filter(|(public, _)| trusted || other.public && *public) {
            None => return refuse(format!("function {}, which is called, is not there", joined.name)),
            Some((_, signature)) if signature != joined.signature() => {
                return refuse(format!("function {}, which is called, has other types", joined.name));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether the modules that are linked to a mount fit one that is to take the place of its own.
///
/// # Errors
/// `incompatible`, naming both and the cure.
pub(crate) fn check_dependents(
    tree: &View,
    mounts: &View,
    mount: &MountView<'_>,
    schema: &Schema,
) -> Result<(), Error> {
    for dependent in mounts.mounts().filter(|dependent| dependent.id() != mount.id()) {
        for linked in dependent.module().links.iter().filter(|linked| linked.mount == mount.id()) {
            let its = dependent.database().schema();
            let Some(link) = its.link(&linked.path) else { continue };
            fits(its, link, schema, linked.trusted).map_err(|error| {
                let path = tree_of(tree).ok().and_then(|tree| tree.path(tree.mount(&dependent.id())?.0));
                let path = path.map_or_else(|| its.name.clone(), |path| path.to_string());
                Error::new(error.code, format!("{}; publish {path} without that first", error.text))
            })?;
        }
    }
    Ok(())
}

/// Completes when the mounts that a mount is linked to know what it listens to, or nobody waits for it any longer.
pub(crate) async fn heard(shared: &Shared, mount: MountId) {
    let deadline = shared.soon();
    let Ok(mut follow) = shared.raft.follow(MOUNTS) else { return };
    while is_telling(shared, &mount) {
        match select(pin!(follow.next()), shared.ports.clock.sleep_until(deadline)).await {
            Either::Left((Some(_), _)) => {}
            _ => return,
        }
    }
}

fn is_telling(shared: &Shared, mount: &MountId) -> bool {
    shared.raft.view(MOUNTS).is_ok_and(|view| view.mount(mount).is_some_and(|mount| mount.database().is_telling()))
}
