//! Other modules that a module knows by the paths of their mounts: what it sends them, what it calls there within its own
//! transactions, and what it hears of them.

use super::{Hook, RowEvent, Schema, Table, signature};
use crate::ids::Signature;
use crate::types::{Field, Type, Variant};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A mount that a module is linked to. Which mount that is, is settled when the module is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it is mounted: `/self/hello`.
    pub path: String,
    /// Reducers that it is sent calls of, as the sender knows them; sorted by name.
    pub sends: Vec<Sent>,
    /// Reducers and queries that it calls within its own transactions, as the caller knows them; sorted by name. With any the
    /// two mounts are of one bundle.
    pub joins: Vec<Sent>,
}

/// A reducer or query of another module, as this one knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The name.
    pub name: String,
    /// The arguments.
    pub arguments: Vec<Field>,
    /// The answer.
    pub answer: Type,
}

impl Sent {
    /// The signature, as the function's own: a call of one that has another by now is answered `stale_bindings`.
    pub fn signature(&self) -> Signature {
        signature(&self.name, &self.arguments, &self.answer)
    }

    /// What became of a call, as the hook that hears of it takes it: `answered` (1) with the `value`, or `refused` (2) with
    /// the number of the error's code and its text.
    pub fn reply(answer: &Type) -> Type {
        let field = |name: &str, ty| Field { name: name.to_string(), ty };
        let variant = |name: &str, tag, fields| Variant { name: name.to_string(), tag, fields };
        // Nothing is no field.
        let value = if *answer == Type::UNIT { Vec::new() } else { Vec::from([field("value", answer.clone())]) };
        Type::Enum(Vec::from([
            variant("answered", 1, value),
            variant("refused", 2, Vec::from([field("code", Type::U16), field("text", Type::String)])),
        ]))
    }
}

impl Link {
    /// The reducer called `name` that is sent to.
    pub fn sent(&self, name: &str) -> Option<&Sent> {
        self.sends.iter().find(|sent| sent.name == name)
    }

    /// The function called `name` that is called within transactions.
    pub fn joined(&self, name: &str) -> Option<&Sent> {
        self.joins.iter().find(|joined| joined.name == name)
    }
}

impl Schema {
    /// The link to the mount at a path.
    pub fn link(&self, path: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.path == path)
    }

    /// The hooks on tables of the mount at a path: table, event, name of the hook, and the row it takes.
    pub fn listens<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, RowEvent, &'a str, &'a Type)> {
        self.reducers.iter().filter_map(move |reducer| match &reducer.hook {
            Some(Hook::OtherTable { path: of, table, event }) if of == path => {
                let row = reducer.arguments.first()?;
                Some((table.as_str(), *event, reducer.name.as_str(), &row.ty))
            }
            _ => None,
        })
    }

    /// The hook that hears what became of calls that were sent to a reducer of the mount at a path.
    pub fn reply_hook(&self, path: &str, reducer: &str) -> Option<&str> {
        let its = |hook: &Hook| matches!(hook, Hook::Reply { path: of, reducer: to } if of == path && to == reducer);
        self.reducers.iter().find(|one| one.hook.as_ref().is_some_and(its)).map(|one| one.name.as_str())
    }
}

impl Table {
    /// How many columns a row has that another module knows as this struct: it may know the first ones only.
    ///
    /// # Errors
    /// What is wrong, in the words of a refusal.
    pub fn known_as(&self, row: &Type) -> Result<usize, Box<str>> {
        let Type::Struct(fields) = row else { return Err("a row is a struct".into()) };
        for (position, field) in fields.iter().enumerate() {
            match self.columns.get(position) {
                None => return Err(alloc::format!("it has no column `{}`", field.name).into()),
                Some(column) if column.name != field.name => {
                    return Err(
                        alloc::format!("its column {position} is `{}`, not `{}`", column.name, field.name).into()
                    );
                }
                Some(column) if column.ty != field.ty => {
                    return Err(
                        alloc::format!("its column `{}` is {}, not {}", column.name, column.ty, field.ty).into()
                    );
                }
                Some(_) => {}
            }
        }
        Ok(fields.len())
    }
}
