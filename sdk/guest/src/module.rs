//! What a module links: its tables, its context, its log, and the way into its functions.

#[doc(hidden)]
pub mod bindings;
mod call;
mod collections;
mod context;
mod failure;
mod key;
mod links;
pub mod literal;
pub mod log;
mod port;
mod rows;
mod table;
mod within;

pub use collections::{FixedHasher, Map, Set};
pub use context::{QueryContext, ReducerContext, ViewContext};
pub use failure::{Failed, Failure, refused};
pub use key::Key;
pub use links::Reply;
pub use rows::Rows;
pub use table::{Db, Handle, Read, Table, Write};
pub use within::{After, Prefix, Within, after, prefix};

/// What the expansions of module macros call.
pub mod rt {
    pub use super::bindings::{self, Failure as Refused, Guest, export_module as export};
    pub use super::call::{Function, Outcome, Returned, argument, arguments, call, end};
    pub use super::failure::{BecomesOwn, typed_failure};
    pub use super::links::{joined, send};
    pub use super::literal;
    #[cfg(not(target_family = "wasm"))]
    pub use super::port::{Port, within};
    pub use super::table::{Index, Number, OfFunctions};
    use isx_row::desc::TypeDesc;
    pub use isx_row::schema::{IndexKind, RowEvent, TableKind, record};

    /// A schema record, where there is no custom section to keep it.
    #[derive(Debug)]
    pub struct Record(pub &'static [u8]);

    #[cfg(not(target_family = "wasm"))]
    inventory::collect!(Record);

    /// Whether a struct has a field of this name that a key may have, at compile time.
    pub const fn has_key(row: &TypeDesc, name: &str) -> bool {
        let TypeDesc::Struct(fields) = row else { return false };
        let mut position = 0;
        while position < fields.len() {
            if same_text(fields[position].name, name) {
                return fields[position].ty.is_key();
            }
            position += 1;
        }
        false
    }

    /// Whether two texts are the same, at compile time.
    pub const fn same_text(a: &str, b: &str) -> bool {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let mut position = 0;
        while position < a.len() && position < b.len() && a[position] == b[position] {
            position += 1;
        }
        position == a.len() && position == b.len()
    }
}
