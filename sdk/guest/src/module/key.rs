//! Values that can be given for a key: the column's type itself, or what borrows it.

use isx_row::Typed;
use isx_row::codec::CodecError;

/// A value that stands for a key of type `K`: `K` itself, `str` and `&str` for `String`, a tuple for several columns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not stand for a key of type `{K}`",
    note = "give a reference to a `{K}`; for several columns, to a tuple of them"
)]
pub trait Key<K> {
    /// Appends the memcomparable key.
    ///
    /// # Errors
    /// `Limit` when it is longer than [`isx_row::limits::KEY_BYTES_MAX`], `Type` when values of the type have no order.
    fn append(&self, out: &mut Vec<u8>) -> Result<(), CodecError>;
}

impl<K: Typed> Key<K> for K {
    fn append(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        const { assert!(K::DESC.is_key(), "maps and locators have no order and are no keys") }
        let mut body = Vec::new();
        self.encode(&mut body);
        isx_row::key::append(&K::ty(), &body, out)
    }
}

impl Key<String> for &str {
    fn append(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        (**self).append(out)
    }
}

impl Key<String> for str {
    fn append(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        isx_row::key::append(&isx_row::Type::String, self.as_bytes(), out)
    }
}
