//! What a function may touch, by the position of tables in the schema.

use isx_row::limits::TABLES_MAX;
use isx_row::schema::{self, Right, Schema};

/// Tables that a function may read, insert into, update and delete from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    reads: Tables,
    inserts: Tables,
    updates: Tables,
    deletes: Tables,
}

impl Access {
    /// A reducer's: what it declares, or everything when it declares nothing.
    pub(crate) fn of_reducer(schema: &Schema, declared: Option<&schema::Access>) -> Self {
        let Some(declared) = declared else {
            return Self { reads: Tables::ALL, inserts: Tables::ALL, updates: Tables::ALL, deletes: Tables::ALL };
        };
        Self {
            reads: Tables::named(schema, &declared.reads),
            inserts: Tables::named(schema, &declared.inserts),
            updates: Tables::named(schema, &declared.updates),
            deletes: Tables::named(schema, &declared.deletes),
        }
    }

    /// A query's: it reads, whatever it declares.
    pub(crate) fn of_query(schema: &Schema, reads: Option<&[String]>) -> Self {
        Self { reads: reads.map_or(Tables::ALL, |names| Tables::named(schema, names)), ..Self::default() }
    }

    /// Whether it may do this with the table at this position.
    pub(crate) fn allows(&self, right: Right, table: usize) -> bool {
        match right {
            Right::Read => self.reads.contains(table),
            Right::Insert => self.inserts.contains(table),
            Right::Update => self.updates.contains(table),
            Right::Delete => self.deletes.contains(table),
        }
    }
}

/// A set of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tables([u64; TABLES_MAX / 64]);

const _: () = assert!(TABLES_MAX.is_multiple_of(64));

impl Tables {
    const ALL: Self = Self([u64::MAX; TABLES_MAX / 64]);

    fn named(schema: &Schema, names: &[String]) -> Self {
        let mut tables = Self::default();
        for position in
            schema.tables.iter().enumerate().filter(|(_, table)| names.contains(&table.name)).map(|(at, _)| at)
        {
            if let Some(word) = tables.0.get_mut(position / 64) {
                *word |= 1 << (position % 64);
            }
        }
        tables
    }

    fn contains(&self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }
}
