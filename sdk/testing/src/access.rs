//! What a function may touch: what it declares, or everything when it declares nothing.

use isx_row::schema::{self, Right};

/// The access of a function.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// A reducer's.
    Reducer(Option<schema::Access>),
    /// A query's: it reads, whatever it declares.
    Query(Option<Vec<String>>),
}

impl Access {
    pub(crate) fn allows(&self, right: Right, table: &str) -> bool {
        let names = |names: &[String]| names.iter().any(|name| name == table);
        match (self, right) {
            (Self::Reducer(None), _) | (Self::Query(None), Right::Read) => true,
            (Self::Reducer(Some(declared)), Right::Read) => names(&declared.reads),
            (Self::Reducer(Some(declared)), Right::Insert) => names(&declared.inserts),
            (Self::Reducer(Some(declared)), Right::Update) => names(&declared.updates),
            (Self::Reducer(Some(declared)), Right::Delete) => names(&declared.deletes),
            (Self::Query(Some(reads)), Right::Read) => names(reads),
            (Self::Query(_), _) => false,
        }
    }
}
