//! The `Host` of a node, as one caller may see it.

use crate::accounts::Accounts;
use crate::anchor::anchor;
use crate::shared::{Shared, Who, tree_of};
use async_trait::async_trait;
use isx_anchors::{AnchorId, Path, Place, Tree};
use isx_cluster::{Hold, Outcome, Request};
use isx_iface::host::{BlobPart, Budget, GroupStatus, Identity, Status, Upload};
use isx_iface::limits::{PAGE_BYTES_MAX, PAGE_COUNT_MAX};
use isx_iface::usage::{MountUsage, Usages};
use isx_iface::{AnchorStub, Host};
use isx_port::PeerId;
use isx_raft::{Group, Role, Voting};
use isx_row::{Bytes, Code, ContentHash, Error, MountId, Span};
use std::sync::Arc;

pub(crate) struct NodeHost {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: PeerId,
    pub(crate) who: Who,
}

/// Counts a login as alive until it is dropped.
impl Drop for NodeHost {
    fn drop(&mut self) {
        self.shared.callers.send_modify(|callers| *callers = callers.saturating_sub(1));
    }
}

#[async_trait]
impl Host for NodeHost {
    async fn whoami(&self) -> Result<Identity, Error> {
        Ok(Identity {
            node: (self.shared.peer_text)(self.shared.ports.net.local()),
            peer: (self.shared.peer_text)(self.peer),
            principal: self.who.principal,
            owner: self.who.owner,
            alias: self.shared.alias.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            time: self.shared.raft.time(isx_raft::MOUNTS)?,
        })
    }

    async fn root(&self) -> Result<AnchorStub, Error> {
        Ok(anchor(&self.shared, self.who, AnchorId::ROOT))
    }

    async fn walk(&self, path: String) -> Result<AnchorStub, Error> {
        let place = self.shared.place(&path)?;
        let view = self.shared.tree_view().await?;
        let found = tree_of(&view)?.walk(&self.who.caller(), &place)?;
        Ok(anchor(&self.shared, self.who, found))
    }

    async fn status(&self) -> Result<Status, Error> {
        self.who.owner_only("status")?;
        let shared = &self.shared;
        let uptime = shared.ports.clock.now().since(shared.started);
        let mounts_count = shared.raft.view(isx_raft::MOUNTS)?.mounts().count() as u64;
        let mut groups = Vec::new();
        for (group, status) in shared.raft.status() {
            let leader = status.leader.and_then(|leader| status.members.get(&leader));
            let leader = leader.map(|(peer, _)| (shared.peer_text)(*peer));
            let voters = status.members.values().filter(|(_, voting)| *voting == Voting::Voter).count();
            let role = match status.role {
                Role::Leader => "leader",
                Role::Candidate => "candidate",
                Role::Follower => "follower",
                Role::Learner => "learner",
            };
            groups.push(GroupStatus {
                group: group.0,
                role: role.into(),
                leader,
                voters_count: u32::try_from(voters).unwrap_or(u32::MAX),
                term: status.term,
                committed: status.committed.unwrap_or(0),
                applied: status.applied.unwrap_or(0),
                held: status.hold.map(|hold| hold.to_string()),
            });
        }
        Ok(Status {
            alias: shared.alias.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime: Span(i64::try_from(uptime.as_micros()).unwrap_or(i64::MAX)),
            addresses: shared.addresses.clone(),
            http: shared.http.clone(),
            budgets: shared.governor.accounts(&shared.raft).map(Budget::from).to_vec(),
            connections_count: u32::try_from(*shared.callers.borrow()).unwrap_or(u32::MAX),
            mounts_count,
            warnings: shared.warnings.clone(),
            groups,
        })
    }

    async fn usage(&self, after: Option<MountId>) -> Result<Usages, Error> {
        self.who.owner_only("usage")?;
        let view = self.shared.tree_view().await?;
        Ok(usages(tree_of(&view)?, &self.shared.metered.accounts, after))
    }

    async fn blob_begin(&self, hash: ContentHash, size_bytes: u64) -> Result<Upload, Error> {
        self.who.owner_only("blob_begin")?;
        self.shared.raft.check_room()?;
        if !self.shared.blobs.has(&hash) {
            self.shared.governor.admit_file(&self.shared.raft, size_bytes)?;
        }
        self.shared.blobs.begin(hash, size_bytes)
    }

    async fn blob_put(&self, hash: ContentHash, offset: u64, bytes: Bytes) -> Result<Upload, Error> {
        self.who.owner_only("blob_put")?;
        self.shared.blobs.put(hash, offset, &bytes.0)
    }

    async fn blob_done(&self, hash: ContentHash) -> Result<Upload, Error> {
        self.who.owner_only("blob_done")?;
        let _running = self.shared.governor.paced(self.shared.soon()).await?;
        let shared = self.shared.clone();
        let kept = move || {
            if shared.blobs.has(&hash) {
                return shared.blobs.read(&hash).map(|bytes| bytes.len());
            }
            let bytes = shared.blobs.finish(hash)?;
            let had = shared.exec.schema(&hash).is_some();
            // Checked and compiled before it is kept: what is kept can be mounted, but for programs, which whoever runs
            // them compiles.
            if !isx_exec::is_program(&bytes) {
                shared.exec.add(&bytes)?;
            }
            if let Err(error) = shared.blobs.keep(&hash, &bytes, shared.planted) {
                // What is not on the disk is not here: a mount of it would be lost with this process.
                if !had {
                    shared.exec.remove(&hash);
                }
                // Whoever asks again does not begin again.
                shared.blobs.put_back(hash, bytes);
                return Err(error);
            }
            Ok(bytes.len())
        };
        let received_bytes = self.shared.blocking(kept).await? as u64;
        self.shared.raft.poke();
        Ok(Upload { received_bytes, complete: true })
    }

    async fn blob_get(&self, hash: ContentHash, offset: u64) -> Result<BlobPart, Error> {
        self.who.owner_only("blob_get")?;
        let shared = self.shared.clone();
        let read = self.shared.blocking(move || shared.blobs.part(&hash, offset));
        let (bytes, size_bytes) = read.await?;
        Ok(BlobPart { bytes: Bytes(bytes), size_bytes })
    }

    async fn skip(&self, group: u64) -> Result<(), Error> {
        self.who.owner_only("skip")?;
        let conflict = || Error::new(Code::Conflict, format!("group {group} is not held by a call"));
        let status = self.shared.raft.status().remove(&Group(group)).ok_or_else(conflict)?;
        let Some(Hold::Poisoned { position }) = status.hold else { return Err(conflict()) };
        let index = status.applied.unwrap_or(0) + 1;
        let skip = Request::Skip { index, position: u32::try_from(position).unwrap_or(u32::MAX) };
        match self.shared.raft.propose(Group(group), skip, self.shared.soon()).await? {
            Outcome::Refused(error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn stop(&self) -> Result<(), Error> {
        self.who.owner_only("stop")?;
        self.shared.stopping.send_replace(true);
        Ok(())
    }
}

/// A page of what mounts came to; what is counted together stands first.
fn usages(tree: &Tree, accounts: &Accounts, after: Option<MountId>) -> Usages {
    let mut page = Usages { mounts: Vec::new(), next: None };
    let rest = accounts.rest().filter(|_| after.is_none());
    page.mounts.extend(rest.map(|usage| MountUsage { mount: None, path: None, usage }));
    let mut bytes = 0;
    for (mount, usage) in accounts.mounts() {
        if after.is_some_and(|after| mount <= after) {
            continue;
        }
        let path = tree.mount(&mount).and_then(|(anchor, _)| tree.path(anchor)).map(|path| path.to_string());
        bytes += path.as_ref().map_or(0, String::len) + 256;
        if page.mounts.len() >= PAGE_COUNT_MAX || bytes > PAGE_BYTES_MAX {
            page.next = page.mounts.last().and_then(|last| last.mount);
            break;
        }
        page.mounts.push(MountUsage { mount: Some(mount), path, usage });
    }
    page
}

/// The path below an anchor that a relative path names.
pub(crate) fn below(at: AnchorId, path: &str) -> Result<Place, Error> {
    if path.starts_with('/') {
        return Err(Error::new(Code::BadArguments, format!("{path:?} is not a relative path")));
    }
    Ok(Place { at, path: Path::parse(path)? })
}
