//! The sagas that create and remove mounts over two groups: the tree reserves the path, the mounts' group makes or
//! drops the mount, the tree marks it ready or frees the path. Every step may be repeated; [`drive`] takes the next
//! step of whatever a crash left under way.

use crate::limits::CALL_FUEL;
use crate::links;
use crate::shared::{Shared, Who, cluster, tree_of, unexpected};
use isx_anchors::wire::{Reader, Wire, WireError};
use isx_anchors::{Binding, BindingState, GroupId, Operation, Place, Reply};
use isx_cluster::{ModuleRecord, Outcome, Request, put_links, take_links};
use isx_iface::anchor::MountLimits;
use isx_row::schema::Schema;
use isx_row::{Code, ContentHash, Error, MountId, Principal, SessionId};
use isx_store::{Limits, Linked};
use std::sync::Arc;

/// What whoever drives a creation needs to go on: kept in the tree until the mount is ready.
struct Plan {
    code: ContentHash,
    fuel_max: u64,
    table_bytes_max: u64,
    creator: Principal,
    links: Vec<Linked>,
}

impl Wire for Plan {
    fn put(&self, out: &mut Vec<u8>) {
        self.code.put(out);
        self.fuel_max.put(out);
        self.table_bytes_max.put(out);
        self.creator.put(out);
        put_links(&self.links, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            code: Wire::take(reader)?,
            fuel_max: Wire::take(reader)?,
            table_bytes_max: Wire::take(reader)?,
            creator: Wire::take(reader)?,
            links: take_links(reader)?,
        })
    }
}

/// The mount that a session makes at a place: the same however often it is asked.
fn mount_id(session: SessionId, place: &Place) -> MountId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"isx:mount\0").update(&session.0).update(&place.at.0.to_le_bytes());
    hasher.update(place.path.to_string().as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    MountId(id)
}

/// The record of a published module.
pub(crate) fn module(
    shared: &Shared,
    code: ContentHash,
    fuel_max: u64,
    limits: Limits,
    links: Vec<Linked>,
) -> Result<Arc<ModuleRecord>, Error> {
    let schema = published(shared, &code)?;
    Ok(Arc::new(ModuleRecord { code, schema: schema.encode()?, fuel_max, limits, config: Vec::new(), links }))
}

fn published(shared: &Shared, code: &ContentHash) -> Result<Arc<Schema>, Error> {
    shared.exec.schema(code).ok_or_else(|| Error::new(Code::NotFound, format!("no module {code} was published")))
}

/// Creates a mount.
///
/// # Errors
/// `taken`, `not_found` for code that was not published, `limit`, or what the module's `init` answered: then the path
/// is free again.
///
/// # Cancel safety
/// Dropping the future leaves a creation that [`drive`] completes.
pub(crate) async fn create(
    shared: &Arc<Shared>,
    who: Who,
    place: Place,
    code: ContentHash,
    limits: MountLimits,
    session: SessionId,
) -> Result<Binding, Error> {
    shared.load(code).await?;
    let plan = Plan {
        code,
        fuel_max: limits.fuel_max.unwrap_or(CALL_FUEL),
        table_bytes_max: limits.table_bytes_max.unwrap_or(Limits::default().bytes_max),
        creator: who.principal,
        links: links::resolve(shared, who, &*published(shared, &code)?, None).await?,
    };
    let public = published(shared, &code)?.public;
    let mount = mount_id(session, &place);
    let operation = Operation::Reserve { place, mount, group: GroupId::MOUNTS, public, plan: plan.to_wire() };
    let Reply::Binding(_, binding) = shared.tree(who.caller(), operation).await? else {
        return Err(Error::new(Code::Fatal, "the tree reserved no path"));
    };
    step(shared, &binding).await
}

/// Removes a mount with its data.
///
/// # Cancel safety
/// Dropping the future leaves a removal that [`drive`] completes.
pub(crate) async fn remove(shared: &Arc<Shared>, who: Who, place: Place) -> Result<(), Error> {
    match shared.tree(who.caller(), Operation::Retire { place }).await? {
        Reply::Binding(_, binding) => step(shared, &binding).await.map(drop),
        _ => Err(Error::new(Code::Fatal, "the tree retired no mount")),
    }
}

/// Takes the steps that are left of one saga.
async fn step(shared: &Arc<Shared>, binding: &Binding) -> Result<Binding, Error> {
    let mount = binding.mount;
    match binding.state {
        BindingState::Creating => {
            let plan = Plan::from_wire(&binding.plan)
                .map_err(|error| Error::new(Code::Fatal, format!("a mount's plan: {error}")))?;
            shared.load(plan.code).await?;
            let limits = Limits { bytes_max: plan.table_bytes_max, ..Limits::default() };
            let module = module(shared, plan.code, plan.fuel_max, limits, plan.links)?;
            let create =
                Request::CreateMount { mount, incarnation: binding.incarnation, module, creator: plan.creator };
            match shared.raft.propose(isx_raft::MOUNTS, create, shared.soon()).await? {
                Outcome::Mounted { .. } => {}
                // `init` failed, or the schema does not fit: the path is freed, the caller hears why.
                failed @ (Outcome::Refused(_) | Outcome::Application { .. }) => {
                    abandon(shared, mount).await?;
                    return Err(failure(failed));
                }
                other => return Err(unexpected(&other)),
            }
            match shared.tree(cluster(), Operation::Ready { mount }).await? {
                Reply::Binding(_, binding) => {
                    links::heard(shared, mount).await;
                    Ok(binding)
                }
                _ => Err(Error::new(Code::Fatal, "the tree made no mount ready")),
            }
        }
        BindingState::Removing => {
            shared.mounts(Request::DropMount { mount }).await?;
            match shared.tree(cluster(), Operation::Clear { mount }).await {
                Err(error) if error.code != Code::NotFound => Err(error),
                _ => Ok(binding.clone()),
            }
        }
        BindingState::Ready | BindingState::Unmounted => Ok(binding.clone()),
    }
}

/// Frees the path of a mount that could not be made.
async fn abandon(shared: &Arc<Shared>, mount: MountId) -> Result<(), Error> {
    let view = shared.tree_view().await?;
    let Some((anchor, _)) = tree_of(&view)?.mount(&mount) else { return Ok(()) };
    let place = Place { at: anchor, path: Default::default() };
    shared.tree(cluster(), Operation::Retire { place }).await?;
    shared.mounts(Request::DropMount { mount }).await?;
    shared.tree(cluster(), Operation::Clear { mount }).await.map(drop)
}

fn failure(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Refused(error) => error,
        Outcome::Application { text, .. } => Error::new(Code::Application, format!("init: {text}")),
        other => unexpected(&other),
    }
}

/// Completes what an earlier life of the node left under way.
pub(crate) async fn drive(shared: &Arc<Shared>) -> Result<(), Error> {
    let view = shared.tree_view().await?;
    let pending: Vec<Binding> = tree_of(&view)?.pending().map(|(_, binding)| binding.clone()).collect();
    for binding in pending {
        if let Err(error) = step(shared, &binding).await {
            tracing::warn!(%error, mount = %binding.mount, "a mount stays half-way; it is tried again at the next start");
        }
    }
    Ok(())
}
