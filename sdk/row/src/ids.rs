//! Ids and the small scalar types of the system.

use core::fmt;

macro_rules! id128 {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}

id128! {
    /// A home: the first part of a path. Made once, never reused.
    HomeId,
    /// A mount. Made once, never reused.
    MountId,
    /// An object that a locator or a saved reference names.
    ObjectId,
    /// A caller's exactly-once context: 8 bytes of birth time (big-endian microseconds), 8 of randomness.
    SessionId,
}

impl SessionId {
    /// The id of a session born at `birth` with the given randomness.
    pub fn new(birth: Time, random: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&birth.0.to_be_bytes());
        bytes[8..].copy_from_slice(&random.to_be_bytes());
        Self(bytes)
    }

    /// When the session says it was born.
    pub fn birth(self) -> Time {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[..8]);
        Time(i64::from_be_bytes(bytes))
    }
}

macro_rules! counter {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// The next one. Saturates: a counter is never reused.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

counter! {
    /// Counts the committed transactions of a mount.
    Revision,
    /// Makes a stale holder of a device harmless.
    Fence,
    /// Changes when a mount is restored or re-created.
    Incarnation,
    /// The number of a call within its session, from 1.
    Sequence,
}

/// A point of log time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// A length of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

/// The hash of a blob's bytes, with the algorithm that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash {
    /// 1 = BLAKE3-256; others are refused.
    pub algorithm: u8,
    /// The digest.
    pub digest: [u8; 32],
}

impl ContentHash {
    /// The algorithm byte of BLAKE3-256.
    pub const BLAKE3: u8 = 1;

    /// The BLAKE3-256 hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self { algorithm: Self::BLAKE3, digest: *blake3::hash(bytes).as_bytes() }
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.algorithm)?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// Who a call speaks for: BLAKE3 of a kind and a key, or of an issuer and a subject.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(pub [u8; 32]);

impl Principal {
    /// The principal of a peer's Ed25519 public key.
    pub fn of_peer(public_key: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"isx:principal:peer\0");
        hasher.update(public_key);
        Self(*hasher.finalize().as_bytes())
    }

    /// The principal of a mount: of what its module sends to others.
    pub fn of_mount(mount: &MountId) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"isx:principal:mount\0");
        hasher.update(&mount.0);
        Self(*hasher.finalize().as_bytes())
    }

    /// The principal of callers that proved nothing.
    pub fn anonymous() -> Self {
        Self(*blake3::hash(b"isx:principal:anonymous").as_bytes())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({self})")
    }
}

/// The hash of a function's or table's name and types; a call typed against another is `stale_bindings`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 16]);

impl Signature {
    /// Asks for the function whatever its types: for callers that read the schema first.
    pub const ANY: Self = Self([0; 16]);
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}
