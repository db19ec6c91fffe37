//! `Host`: the node as the caller may see it, and the root from which everything else is reached.

use crate::anchor::AnchorStub;
use crate::usage::Usages;
use crate::{interface, record};
use isx_row::{Bytes, ContentHash, MountId, Principal, Span, Time};

record! {
    /// Who a caller is to the node, and what the node is.
    pub struct Identity {
        /// The node's peer id in text form.
        pub node: String,
        /// The caller's peer id in text form.
        pub peer: String,
        /// Who the caller's calls speak for.
        pub principal: Principal,
        /// Whether the caller has the owner's rights.
        pub owner: bool,
        /// The name of the node's home.
        pub alias: String,
        /// The node's version.
        pub version: String,
        /// Log time of mounts, with which a session that begins now is born: a caller's own clock may be wrong.
        pub time: Time,
    }

    /// A replica of a group, as its node sees it.
    pub struct GroupStatus {
        /// The group: 0 keeps the tree and membership, others keep mounts.
        pub group: u64,
        /// What the node is in it: `leader`, `follower`, `candidate`, `learner`.
        pub role: String,
        /// The leader's peer id in text form, if it is known.
        pub leader: Option<String>,
        /// Voters.
        pub voters_count: u32,
        /// Raft's term.
        pub term: u64,
        /// The last entry known to be on a quorum.
        pub committed: u64,
        /// The last entry applied here.
        pub applied: u64,
        /// Why the group serves nothing, if it is held.
        pub held: Option<String>,
    }

    /// What a node takes of a part of its machine.
    pub struct Budget {
        /// `cpu` in thousandths of a processor; `memory`, for what mounts and the tree hold, and `disk` in bytes.
        pub resource: String,
        /// What it takes now; none where that can not be said.
        pub used: Option<u64>,
        /// What it may take; none when nothing was said.
        pub max: Option<u64>,
    }

    /// How a node is.
    pub struct Status {
        /// The name of the node's home.
        pub alias: String,
        /// The node's version.
        pub version: String,
        /// How long it has run.
        pub uptime: Span,
        /// The addresses it listens on, each with its peer id.
        pub addresses: Vec<String>,
        /// Where its gateway answers HTTP, if it has one.
        pub http: Option<String>,
        /// What it takes of its machine, and may take.
        pub budgets: Vec<Budget>,
        /// Connections to peers and clients.
        pub connections_count: u32,
        /// Mounts it has replicas of.
        pub mounts_count: u64,
        /// Warnings that an operator should read, for example an unsafe mode.
        pub warnings: Vec<String>,
        /// Its replicas, by group.
        pub groups: Vec<GroupStatus>,
    }

    /// How far an upload is.
    pub struct Upload {
        /// Bytes that the node has, from the beginning.
        pub received_bytes: u64,
        /// Whether the node holds the whole blob, checked.
        pub complete: bool,
    }

    /// A part of a blob.
    pub struct BlobPart {
        /// The bytes from the offset that was asked for, at most `CHUNK_BYTES_MAX`; none beyond the end.
        pub bytes: Bytes,
        /// Bytes of the whole blob.
        pub size_bytes: u64,
    }
}

interface! {
    /// The node as one caller may see it.
    ///
    /// Alive as long as the connection it was obtained over; the node may revoke it, after which its calls and those of
    /// what was walked to from it answer `gone`.
    "isx.Host": trait Host, stub HostStub, served by serve_host {
        /// Who the caller is and what the node is. Idempotent.
        call fn whoami() -> Identity;

        /// The root `/` of the tree of names. Idempotent.
        object fn root() -> AnchorStub;

        /// The anchor at an absolute path; `/self` is the node's own home. Idempotent; walking never creates.
        ///
        /// Errors: `not_found` for a name that is missing or denied.
        object fn walk(path: String) -> AnchorStub;

        /// How the node is. Idempotent. Errors: `not_found` for callers without the owner's rights.
        call fn status() -> Status;

        /// What the calls of mounts came to on this node since it started, after the mount `after`. Idempotent.
        ///
        /// Errors: `not_found` for callers without the owner's rights.
        call fn usage(after: Option<MountId>) -> Usages;

        /// Begins or continues the upload of a blob of `size_bytes` (at most `COMPONENT_BYTES_MAX`): tells how much
        /// of it the node has. Idempotent. An upload that is not continued for a while is forgotten.
        ///
        /// Errors: `limit`; `busy` when too many uploads are open.
        call fn blob_begin(hash: ContentHash, size_bytes: u64) -> Upload;

        /// The bytes from `offset`, at most `CHUNK_BYTES_MAX`; bytes that the node has already are passed over.
        /// Idempotent.
        ///
        /// Errors: `conflict` when bytes before `offset` are missing; `not_found` when no upload was begun.
        call fn blob_put(hash: ContentHash, offset: u64, bytes: Bytes) -> Upload;

        /// Ends an upload: the blob is checked against its hash, read as a component, and kept on a quorum. Idempotent.
        ///
        /// Errors: `malformed` when it is neither a module that can be mounted nor a program, naming what is wrong; the
        /// upload is gone.
        call fn blob_done(hash: ContentHash) -> Upload;

        /// The bytes of a blob from `offset`. The node checks the whole against its hash at offset 0; who puts the parts
        /// together checks it again. Idempotent.
        ///
        /// Errors: `not_found` when no such blob was published, and for callers without the owner's rights; `damaged`,
        /// which publishing it again cures.
        call fn blob_get(hash: ContentHash, offset: u64) -> BlobPart;

        /// Passes over the call that holds a group, for good: no replica will run it. Idempotent while the group is
        /// held by that call.
        ///
        /// Errors: `conflict` when the group is not held.
        call fn skip(group: u64) -> ();

        /// Stops the node: it takes snapshots, then ends. The answer comes before that. Idempotent.
        call fn stop() -> ();
    }
}
