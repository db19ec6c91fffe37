//! `Anchor`: a node of the tree of names.

use crate::module::ModuleStub;
use crate::{ObjectRef, choice, interface, record};
use isx_row::{Bytes, ContentHash, SessionId};

choice! {
    /// What an entry of the tree is.
    pub enum EntryKind {
        /// A home: the first part of a path.
        Home = 1,
        /// An anchor with children or a value.
        Anchor = 2,
        /// An anchor bound to a module.
        Mount = 3,
    }
}

record! {
    /// A child of an anchor.
    pub struct Entry {
        /// Its name.
        pub name: String,
        /// What it is.
        pub kind: EntryKind,
        /// Whether it has a value.
        pub value: bool,
    }

    /// Children of an anchor, by name.
    pub struct Entries {
        /// At most `PAGE_COUNT_MAX`.
        pub entries: Vec<Entry>,
        /// The name to continue after; none when this is the last page.
        pub next: Option<String>,
    }

    /// What a mount may use; none leaves the node's default.
    pub struct MountLimits {
        /// Fuel of one call.
        pub fuel_max: Option<u64>,
        /// Bytes of its tables; beyond it inserts are refused and deletes work.
        pub table_bytes_max: Option<u64>,
    }

    /// The value of an anchor at one moment.
    pub struct Cell {
        /// The value; none when it has none.
        pub value: Option<Bytes>,
    }
}

interface! {
    /// A node of the tree of names. Holding one gives its descendants only.
    ///
    /// Alive as long as the `Host` it was obtained from; when the anchor is removed its calls answer `not_found`.
    "isx.Anchor": trait Anchor, stub AnchorStub, served by serve_anchor {
        /// The anchor's absolute path. Idempotent.
        call fn path() -> String;

        /// The children after the name `after`, from the first when absent. Idempotent.
        call fn ls(after: Option<String>) -> Entries;

        /// The descendant at a relative path, `a/b`. Idempotent; walking never creates.
        ///
        /// Errors: `not_found` for a name that is missing or denied.
        object fn walk(path: String) -> AnchorStub;

        /// Makes a child anchor without a value, or gives the one there is. Idempotent.
        ///
        /// Errors: `taken` by a mount, `limit`.
        object fn make(name: String) -> AnchorStub;

        /// The value; none when it has none. Linearizable. Idempotent.
        call fn get() -> Option<Bytes>;

        /// Sets or clears the value. The same value twice is harmless.
        ///
        /// Errors: `limit` when the value is too large.
        call fn set(value: Option<Bytes>) -> ();

        /// Sets or clears the value if it is `expected`; whether it did. Not idempotent.
        call fn swap(expected: Option<Bytes>, value: Option<Bytes>) -> bool;

        /// The value now, and then whenever it changed. Values that came and went between two items may be passed
        /// over; the last one never is. Ends with `not_found` when the anchor is removed.
        stream fn watch() -> Cell;

        /// Mounts a published module as the child `name`. `session` makes it exactly once: with the same session it
        /// gives the same mount again.
        ///
        /// Errors: `taken`, `not_found` when no such blob was published, `limit`.
        object fn mount(name: String, code: ContentHash, limits: MountLimits, session: SessionId) -> ModuleStub;

        /// Unbinds the mount `name`, keeping its data. Idempotent.
        call fn unmount(name: String) -> ();

        /// Removes the child `name`: an anchor with all its descendants, or a mount with its data. Idempotent.
        call fn remove(name: String) -> ();

        /// The object mounted here: its methods are the module's reducers, queries and tables. Idempotent. It lives on
        /// over upgrades; after `remove` its calls answer `gone`.
        ///
        /// Errors: `not_found` when nothing is mounted here or it is not the caller's to see.
        object fn object() -> ObjectRef;

        /// The administration of what is mounted here. Idempotent. Lives as [`Anchor::object`].
        ///
        /// Errors: `not_found` without the owner's rights.
        object fn module() -> ModuleStub;
    }
}
