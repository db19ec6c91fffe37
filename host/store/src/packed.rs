//! How keys, index entries and rows lie in memory: as small as a map of millions of them asks for.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use triomphe::ThinArc;

/// A primary key: memcomparable bytes. Cloning is cheap.
pub type Key = Packed<22>;

/// An index entry: the key of the indexed columns, the primary key, and the primary key's length as u16 little-endian.
/// Holds the common case, a short string and a u64, without an allocation.
pub(crate) type Entry = Packed<30>;

const _: () = assert!(size_of::<Key>() == 24);
const _: () = assert!(size_of::<Entry>() == 32);
const _: () = assert!(size_of::<Row>() == 8);

/// Immutable bytes, up to `N` of them without an allocation.
#[derive(Clone)]
pub struct Packed<const N: usize>(Form<N>);

#[derive(Clone)]
enum Form<const N: usize> {
    Inline(u8, [u8; N]),
    Shared(ThinArc<(), u8>),
}

impl<const N: usize> Packed<N> {
    /// The same bytes, packed.
    pub fn new(bytes: &[u8]) -> Self {
        match u8::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= N => {
                let mut inline = [0; N];
                inline[..bytes.len()].copy_from_slice(bytes);
                Self(Form::Inline(length, inline))
            }
            _ => Self(Form::Shared(ThinArc::from_header_and_slice((), bytes))),
        }
    }
}

impl<const N: usize> Deref for Packed<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Inline(length, bytes) => &bytes[..usize::from(*length)],
            Form::Shared(bytes) => &bytes.slice,
        }
    }
}

impl<const N: usize> Borrow<[u8]> for Packed<N> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> PartialEq for Packed<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for Packed<N> {}

impl<const N: usize> PartialOrd for Packed<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Packed<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Most keys differ in their first word: comparing it in place spares the call of memcmp at every node.
        match (self.split_first_chunk(), other.split_first_chunk()) {
            (Some((word, rest)), Some((other_word, other_rest))) => {
                u64::from_be_bytes(*word).cmp(&u64::from_be_bytes(*other_word)).then_with(|| rest.cmp(other_rest))
            }
            _ => (**self).cmp(&**other),
        }
    }
}

impl<const N: usize> fmt::Debug for Packed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(self, f)
    }
}

/// A row: the canonical bytes of its record, version first. Cloning is cheap.
#[derive(Clone)]
pub struct Row(ThinArc<(), u8>);

impl Row {
    /// A row of these bytes, which nobody has checked.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice((), bytes))
    }

    /// The table version it was written under; 0 for bytes that are no row.
    pub(crate) fn version(&self) -> u16 {
        self.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes))
    }
}

impl Deref for Row {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.slice
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Row {}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(self, f)
    }
}

fn hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
