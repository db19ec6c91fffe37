//! What becomes of the rows of a module's tables when another takes its place.

use super::{Hook, Index, Reducer, Schema, Table};
use alloc::boxed::Box;
use alloc::format;

/// Which way a mount goes from one module to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// On: what rows hold is kept.
    #[default]
    On,
    /// Back to a module that it had: what that did not know yet is lost.
    Back,
}

/// What becomes of a table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// They stay as they are.
    Kept,
    /// They are put into indexes that are new.
    Indexed,
    /// They go through a hook, which gets so many of their columns.
    Migrated {
        /// The hook.
        hook: &'a Reducer,
        /// How many columns.
        columns: usize,
    },
    /// They lose their last columns, which the module does not know; a value that it does not know stops it.
    Cut,
    /// They are lost with the table, which the module does not know.
    Lost,
    /// They are last values, which nobody keeps.
    Forgotten,
}

impl Schema {
    /// The hook that takes the rows of a table of the module before.
    pub fn migration(&self, table: &str) -> Option<&Reducer> {
        let takes = |hook: &Hook| matches!(hook, Hook::Migrate { table: of } if of == table);
        self.reducers.iter().find(|reducer| reducer.hook.as_ref().is_some_and(takes))
    }

    /// What becomes of the rows of `old`, a table of a module that this one replaces. A hook takes them only if they can not be
    /// kept, so that it may stay in the module's later versions.
    ///
    /// # Errors
    /// Why they can not be kept, in the words of a refusal.
    pub fn fate<'a>(&'a self, old: &Table, way: Way) -> Result<Fate<'a>, Box<str>> {
        if !old.kind.is_stored() {
            let kept = self.table(&old.name).is_some_and(|new| new.keeps_values_of(old));
            return Ok(if kept { Fate::Kept } else { Fate::Forgotten });
        }
        let why = match self.table(&old.name) {
            Some(new) => match new.follows(old) {
                Ok(()) => {
                    let known = |index: &Index| old.indexes.iter().any(|old| index.follows(old));
                    return Ok(if new.indexes.iter().all(known) { Fate::Kept } else { Fate::Indexed });
                }
                // A hook of then is for the rows of before then.
                Err(_) if way == Way::Back && old.follows(new).is_ok() => return Ok(Fate::Cut),
                Err(why) if way == Way::Back => return Err(why.into()),
                Err(why) => why,
            },
            None if way == Way::Back => return Ok(Fate::Lost),
            None => "it is missing; its rows would be lost",
        };
        let hook = self.migration(&old.name).ok_or(why)?;
        let row = hook.arguments.first().ok_or("its hook takes no row")?;
        let columns = old.known_as(&row.ty).map_err(|why| format!("hook `{}`: {why}", hook.name))?;
        Ok(Fate::Migrated { hook, columns })
    }
}
