//! Publishing: a component's way from bytes to a mount and back, the same for tools and ROMs.

use crate::anchor::{Anchor, AnchorStub, MountLimits};
use crate::host::{Host, HostStub};
use crate::limits::{CHUNK_BYTES_MAX, COMPONENT_BYTES_MAX};
use crate::module::{Migrated, Module, ModuleStub};
use futures::StreamExt;
use isx_row::{Bytes, Code, ContentHash, Error, SessionId};

/// Uploads a component unless the node has it; `progress` hears of the bytes that are there. Asked again it goes on
/// where it was.
///
/// # Errors
/// As [`crate::host::Host::blob_begin`], `blob_put` and `blob_done`.
///
/// # Cancel safety
/// Dropping the future leaves an upload that can be continued.
pub async fn upload(host: &HostStub, component: &[u8], mut progress: impl FnMut(u64)) -> Result<ContentHash, Error> {
    let hash = ContentHash::of(component);
    loop {
        let mut upload = host.blob_begin(hash, component.len() as u64).await?;
        while !upload.complete && upload.received_bytes < component.len() as u64 {
            progress(upload.received_bytes);
            let offset = usize::try_from(upload.received_bytes).unwrap_or(usize::MAX);
            let chunk = component.get(offset..).unwrap_or_default();
            let chunk = &chunk[..chunk.len().min(CHUNK_BYTES_MAX)];
            upload = match host.blob_put(hash, upload.received_bytes, Bytes(chunk.to_vec())).await {
                // The node was started again in between: it keeps no unfinished uploads.
                Err(error) if error.code == Code::NotFound => host.blob_begin(hash, component.len() as u64).await?,
                other => other?,
            };
        }
        match host.blob_done(hash).await {
            Err(error) if error.code == Code::NotFound => continue,
            other => other?,
        };
        progress(component.len() as u64);
        return Ok(hash);
    }
}

/// Reads a published component back and checks it against its hash; `progress` hears of the bytes that are here and of
/// how many there are.
///
/// # Errors
/// As [`crate::host::Host::blob_get`]; `damaged` when what came is not what the hash names, `limit` when it is longer than
/// any component.
///
/// # Cancel safety
/// Dropping the future abandons it.
pub async fn download(
    host: &HostStub,
    hash: ContentHash,
    mut progress: impl FnMut(u64, u64),
) -> Result<Vec<u8>, Error> {
    let mut component = Vec::new();
    loop {
        let here = component.len() as u64;
        let part = host.blob_get(hash, here).await?;
        let size = part.size_bytes;
        if size > COMPONENT_BYTES_MAX || here + part.bytes.0.len() as u64 > size {
            let text = format!(
                "the blob {hash} is longer than its {size} bytes, or than the {COMPONENT_BYTES_MAX} of a component"
            );
            return Err(Error::new(Code::Limit, text));
        }
        component.extend_from_slice(&part.bytes.0);
        progress(component.len() as u64, size);
        if component.len() as u64 == size || part.bytes.0.is_empty() {
            break;
        }
    }
    if ContentHash::of(&component) != hash {
        let text = format!("what came for the blob {hash} is something else; `isx publish` replaces what is damaged");
        return Err(Error::new(Code::Damaged, text));
    }
    Ok(component)
}

/// Mounts the published module as the child `name` of `parent`, or puts it in place of what is mounted there with the
/// data there is, and waits until that is done. Whether it was mounted anew.
///
/// # Errors
/// As [`crate::anchor::Anchor::mount`] and [`crate::module::Module::upgrade`].
///
/// # Cancel safety
/// Dropping the future leaves either state; asking again completes it.
pub async fn mount_or_upgrade(
    parent: &AnchorStub,
    name: &str,
    code: ContentHash,
    limits: MountLimits,
    session: SessionId,
) -> Result<(ModuleStub, bool), Error> {
    mount_or_upgrade_shown(parent, name, code, (limits, session), |_, _| ()).await
}

/// As [`mount_or_upgrade`]; `progress` hears of how many rows have moved where they have to, and how many there are.
///
/// # Errors
/// As there.
///
/// # Cancel safety
/// As there.
pub async fn mount_or_upgrade_shown(
    parent: &AnchorStub,
    name: &str,
    code: ContentHash,
    (limits, session): (MountLimits, SessionId),
    progress: impl FnMut(u64, u64),
) -> Result<(ModuleStub, bool), Error> {
    match parent.mount(name.into(), code, limits, session).await {
        Ok(module) => Ok((module, true)),
        Err(error) if error.code == Code::Taken => {
            let module = parent.walk(name.into()).await?.module().await?;
            upgrade(&module, (code, None), progress).await?;
            Ok((module, false))
        }
        Err(error) => Err(error),
    }
}

/// Puts a published module in place of a mount's own, and waits until its rows have moved where they have to; `progress`
/// hears of how many have, and how many there are.
///
/// # Errors
/// As [`crate::module::Module::upgrade`] and [`crate::module::Module::migration`].
///
/// # Cancel safety
/// Dropping the future leaves rows moving: the upgrade ends by itself.
async fn upgrade(
    module: &ModuleStub,
    (code, back): (ContentHash, Option<ContentHash>),
    mut progress: impl FnMut(u64, u64),
) -> Result<(), Error> {
    if module.upgrade(code, back).await?.rows_to_move.is_some() {
        let mut migration = module.migration(code).await?;
        while let Some(migrated) = migration.next().await {
            let Migrated { moved, rows } = migrated?;
            progress(moved, rows);
        }
    }
    Ok(())
}

/// Goes from one module back to another that the mount had before, as [`Module::upgrade`] says, and waits until that is done;
/// `progress` hears of how many rows have moved, and how many there are.
///
/// # Errors
/// As [`crate::module::Module::upgrade`] and [`crate::module::Module::migration`].
///
/// # Cancel safety
/// Dropping the future leaves rows moving: it ends by itself.
pub async fn roll_back(
    module: &ModuleStub,
    (from, to): (ContentHash, ContentHash),
    progress: impl FnMut(u64, u64),
) -> Result<(), Error> {
    upgrade(module, (to, Some(from)), progress).await
}
