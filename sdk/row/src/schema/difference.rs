//! What a new schema changes for the data and the callers of an old one.

use super::{Column, Fate, Index, Link, Query, Reducer, Schema, Sent, Table, Way};
use crate::types::{Field, Type};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whether it came, went or is another.
    pub change: Change,
    /// What differs: `table greeting`, `reducer greet`.
    pub item: String,
    /// How, for what is another; what it is like, for what came.
    pub detail: String,
    /// What it means.
    pub effect: Effect,
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

/// What a difference means for what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Rows are kept, and no caller is affected.
    Kept,
    /// Rows are kept; callers that were made for the old schema are refused.
    Callers,
    /// Rows are put into an index that is new: calls wait meanwhile.
    Indexed,
    /// Rows go through a hook of the new module: calls wait meanwhile.
    Migrated,
    /// What rows hold, or rows, are lost: it is the way back.
    Lost,
    /// Last values of a volatile table are forgotten, and those who follow it are told so; callers put them again.
    Forgotten,
    /// An upgrade is refused: rows would be lost, or could not be read.
    Refused,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "data is kept",
            Self::Callers => "callers made for the old one are refused",
            Self::Indexed => "data is kept; calls wait while rows are put into it",
            Self::Migrated => "rows go through the module's hook; calls wait meanwhile",
            Self::Lost => "this data is lost; calls wait meanwhile",
            Self::Forgotten => "its last values are forgotten; callers made for the old one are refused",
            Self::Refused => "refused: rows would be lost",
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        };
        let between = match self.change {
            Change::Changed => ": ",
            _ => "",
        };
        write!(f, "{sign} {}{between}{}", self.item, self.detail)
    }
}

impl Schema {
    /// What `new` changes, tables first, each kind by name. The version is no difference.
    pub fn differences(&self, new: &Self, way: Way) -> Vec<Difference> {
        let mut found = Vec::new();
        if self.name != new.name {
            let detail = format!("its name is {}", new.name);
            found.push(changed(format!("module {}", self.name), detail, Effect::Kept));
        }
        visibility(&mut found, &format!("module {}", new.name), self.public, new.public);
        let (mut left, mut there) = (all(&self.tables), all(&new.tables));
        for table in &self.tables {
            let item = format!("table {}", table.name);
            match (new.fate(table, way), new.migration(&table.name)) {
                (Ok(Fate::Lost), _) => {
                    let (change, detail) = (Change::Removed, String::new());
                    found.push(Difference { change, item, detail, effect: Effect::Lost });
                }
                (Ok(Fate::Forgotten), _) => found.push(match new.table(&table.name) {
                    None => {
                        Difference { change: Change::Removed, item, detail: String::new(), effect: Effect::Forgotten }
                    }
                    Some(new) => changed(item, forgotten(table, new), Effect::Forgotten),
                }),
                (Ok(Fate::Cut), _) => {
                    let known = new.table(&table.name).map_or(0, |new| new.columns.len());
                    let lost = table.columns.iter().skip(known).map(|column| format!("column {} removed", column.name));
                    let lost: Vec<String> = lost.collect();
                    let detail = match lost.is_empty() {
                        true => "a column had fewer values; rows with others stop it".into(),
                        false => lost.join(", "),
                    };
                    found.push(changed(item, detail, Effect::Lost));
                }
                (Ok(Fate::Migrated { hook, .. }), _) => {
                    found.push(changed(item, format!("its rows go through {}", hook.name), Effect::Migrated));
                }
                (Err(why), Some(_)) => found.push(changed(item, why.into(), Effect::Refused)),
                (_, None) | (Ok(_), _) => continue,
            }
            left.retain(|one| one.name != table.name);
            there.retain(|one| one.name != table.name);
        }
        compare(&mut found, &left, &there);
        compare(&mut found, &all(&self.reducers), &all(&new.reducers));
        compare(&mut found, &all(&self.queries), &all(&new.queries));
        compare(&mut found, &all(&self.links), &all(&new.links));
        found
    }
}

impl Table {
    /// Whether rows of `old` can be read under this declaration, without touching them.
    ///
    /// # Errors
    /// Why not.
    pub fn follows(&self, old: &Self) -> Result<(), &'static str> {
        if old.kind != self.kind {
            return Err("its kind differs");
        }
        if old.primary_key != self.primary_key || old.auto_inc != self.auto_inc {
            return Err("its primary key or numbering differs");
        }
        let Some((present, added)) = self.columns.split_at_checked(old.columns.len()) else {
            return Err("it has lost a column");
        };
        let same = |new: &Column, old: &Column| {
            new.name == old.name && new.default == old.default && new.since == old.since && new.ty.follows(&old.ty)
        };
        if !present.iter().zip(&old.columns).all(|(new, old)| same(new, old)) {
            return Err("a column differs; columns are added behind");
        }
        if added.iter().any(|column| column.default.is_none() || column.since <= old.version) {
            return Err("an added column needs a default and a new version of the table");
        }
        let version_follows = if added.is_empty() { self.version == old.version } else { self.version > old.version };
        match version_follows {
            true => Ok(()),
            false => Err("its version must grow exactly when columns are added"),
        }
    }
}

impl Type {
    /// Whether every value of `old` is one of this type, in the same encoding: the same type, or one whose enums have more
    /// tags.
    pub fn follows(&self, old: &Self) -> bool {
        let fields = |new: &[Field], old: &[Field]| {
            new.len() == old.len()
                && new.iter().zip(old).all(|(new, old)| new.name == old.name && new.ty.follows(&old.ty))
        };
        match (self, old) {
            (Self::Option(new), Self::Option(old)) | (Self::List(new), Self::List(old)) => new.follows(old),
            (Self::Map(new_key, new), Self::Map(old_key, old)) => new_key.follows(old_key) && new.follows(old),
            (Self::Tuple(new), Self::Tuple(old)) => {
                new.len() == old.len() && new.iter().zip(old).all(|(new, old)| new.follows(old))
            }
            (Self::Struct(new), Self::Struct(old)) => fields(new, old),
            (Self::Enum(new), Self::Enum(old)) => old.iter().all(|old| {
                let same = new.iter().find(|new| new.tag == old.tag);
                same.is_some_and(|new| new.name == old.name && fields(&new.fields, &old.fields))
            }),
            _ => self == old,
        }
    }
}

impl Index {
    /// Whether what an index of `old` has is what this one would have.
    pub fn follows(&self, old: &Self) -> bool {
        old.columns == self.columns && (old.unique || !self.unique)
    }
}

/// How a table differs from a volatile one of the same name whose values it does not keep.
fn forgotten(old: &Table, new: &Table) -> String {
    match old.kind == new.kind {
        true => format!("its rows are{}", new.shape()),
        false => format!("it is {} now", new.kind.word()),
    }
}

fn changed(item: String, detail: String, effect: Effect) -> Difference {
    Difference { change: Change::Changed, item, detail, effect }
}

fn visibility(found: &mut Vec<Difference>, item: &str, old: bool, new: bool) {
    match (old, new) {
        (true, false) => found.push(changed(item.to_string(), "it is private now".into(), Effect::Callers)),
        (false, true) => found.push(changed(item.to_string(), "it is public now".into(), Effect::Kept)),
        _ => {}
    }
}

/// What schemas have lists of.
trait Item {
    /// What it is called.
    fn name(&self) -> &str;
    /// What kind of thing it is.
    const KIND: &'static str;
    /// What it means when one is gone.
    const GONE: Effect;
    /// What it is like.
    fn shape(&self) -> String;
    /// How `new` differs.
    fn differences(&self, new: &Self, item: &str, found: &mut Vec<Difference>);
}

fn all<T>(items: &[T]) -> Vec<&T> {
    items.iter().collect()
}

fn compare<T: Item>(found: &mut Vec<Difference>, old: &[&T], new: &[&T]) {
    let named = |list: &[&T], name: &str| list.iter().position(|one| one.name() == name);
    let item = |one: &T| format!("{} {}", T::KIND, one.name());
    for &one in old {
        match named(new, one.name()) {
            Some(position) => one.differences(new[position], &item(one), found),
            None => found.push(Difference {
                change: Change::Removed,
                item: item(one),
                detail: String::new(),
                effect: T::GONE,
            }),
        }
    }
    let added = new.iter().filter(|one| named(old, one.name()).is_none());
    found.extend(added.map(|one| Difference {
        change: Change::Added,
        item: item(one),
        detail: one.shape(),
        effect: Effect::Kept,
    }));
}

impl Item for Table {
    const KIND: &'static str = "table";
    const GONE: Effect = Effect::Refused;

    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("{}: {}", column.name, column.ty)).collect();
        let kind = if self.kind.is_stored() { "" } else { ", volatile" };
        format!(" {{ {} }}{kind}", columns.join(", "))
    }

    fn differences(&self, new: &Self, item: &str, found: &mut Vec<Difference>) {
        visibility(found, item, self.public, new.public);
        if let Err(why) = new.follows(self) {
            found.push(changed(item.into(), why.into(), Effect::Refused));
            return;
        }
        for (new, old) in new.columns.iter().zip(&self.columns).filter(|(new, old)| new.ty != old.ty) {
            let detail = format!("column {}: {} instead of {}", new.name, new.ty, old.ty);
            found.push(changed(item.into(), detail, Effect::Callers));
        }
        for column in &new.columns[self.columns.len()..] {
            let detail = format!("column {}: {} added; older rows have its default", column.name, column.ty);
            found.push(changed(item.into(), detail, Effect::Kept));
        }
        for index in new.indexes.iter().filter(|index| !self.indexes.contains(index)) {
            let effect = match self.indexes.iter().any(|old| index.follows(old)) {
                true => Effect::Kept,
                false => Effect::Indexed,
            };
            let unique = if index.unique { "unique " } else { "" };
            found.push(changed(item.into(), format!("{unique}index {} added", index.name), effect));
        }
        for index in self.indexes.iter().filter(|old| !new.indexes.iter().any(|index| index.name == old.name)) {
            found.push(changed(item.into(), format!("index {} removed", index.name), Effect::Kept));
        }
    }
}

/// What reducers and queries have in common.
struct Function<'a> {
    public: bool,
    arguments: &'a [Field],
    answer: &'a Type,
    error: Option<&'a Type>,
}

impl Function<'_> {
    fn shape(&self) -> String {
        let arguments: Vec<String> = self.arguments.iter().map(ToString::to_string).collect();
        let error = self.error.map(|error| format!(", or {error}")).unwrap_or_default();
        format!("({}) -> {}{error}", arguments.join(", "), self.answer)
    }

    fn differences(&self, new: &Self, item: &str, found: &mut Vec<Difference>) {
        visibility(found, item, self.public, new.public);
        if (self.arguments, self.answer) != (new.arguments, new.answer) {
            let detail = format!("{} instead of {}", new.shape(), self.shape());
            found.push(changed(item.into(), detail, Effect::Callers));
        } else if self.error != new.error {
            let detail = format!("{} instead of {}", new.shape(), self.shape());
            found.push(changed(item.into(), detail, Effect::Kept));
        }
    }
}

impl Reducer {
    fn function(&self) -> Function<'_> {
        let Self { public, arguments, answer, error, .. } = self;
        Function { public: *public, arguments, answer, error: error.as_ref() }
    }
}

impl Item for Reducer {
    const KIND: &'static str = "reducer";
    const GONE: Effect = Effect::Callers;

    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> String {
        self.function().shape()
    }

    fn differences(&self, new: &Self, item: &str, found: &mut Vec<Difference>) {
        self.function().differences(&new.function(), item, found);
        if self.hook != new.hook {
            let detail = match (&self.hook, &new.hook) {
                (None, Some(_)) => "it is a hook now",
                (Some(_), None) => "it is no hook any more",
                _ => "another event runs it",
            };
            let effect = if self.hook.is_none() { Effect::Callers } else { Effect::Kept };
            found.push(changed(item.into(), detail.into(), effect));
        }
        if self.access != new.access {
            found.push(changed(item.into(), "what it may touch differs".into(), Effect::Kept));
        }
    }
}

impl Item for Query {
    const KIND: &'static str = "query";
    const GONE: Effect = Effect::Callers;

    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> String {
        self.function().shape()
    }

    fn differences(&self, new: &Self, item: &str, found: &mut Vec<Difference>) {
        self.function().differences(&new.function(), item, found);
        if self.reads != new.reads {
            found.push(changed(item.into(), "what it may read differs".into(), Effect::Kept));
        }
        if self.key != new.key {
            let detail = match (&self.key, &new.key) {
                (None, _) => "it is a view now",
                (_, None) => "it is no view any more",
                _ => "other fields tell its rows apart",
            };
            let effect = if self.key.is_none() { Effect::Kept } else { Effect::Callers };
            found.push(changed(item.into(), detail.into(), effect));
        }
    }
}

impl Item for Link {
    const KIND: &'static str = "link";
    const GONE: Effect = Effect::Kept;

    fn name(&self) -> &str {
        &self.path
    }

    fn shape(&self) -> String {
        let names = |functions: &[Sent]| functions.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
        let part = |word: &str, functions: &[Sent]| match functions.is_empty() {
            true => String::new(),
            false => format!(" {word} {}", names(functions)),
        };
        part("to", &self.sends) + &part("together with", &self.joins)
    }

    fn differences(&self, new: &Self, item: &str, found: &mut Vec<Difference>) {
        if self.sends != new.sends {
            found.push(changed(item.into(), "what is sent there differs".into(), Effect::Kept));
        }
        if self.joins != new.joins {
            found.push(changed(item.into(), "what is called there differs".into(), Effect::Kept));
        }
    }
}

impl Query {
    fn function(&self) -> Function<'_> {
        let Self { public, arguments, answer, error, .. } = self;
        Function { public: *public, arguments, answer, error: error.as_ref() }
    }
}
