//! Names for the structs and enums of a schema, which has none: a row is called as its table, any other type as the place
//! where it is met first. Equal types have one name.

use super::Callable;
use isx_row::schema::Schema;
use isx_row::{Field, Type};
use std::collections::{BTreeMap, BTreeSet};

/// The named types of a schema: each stands behind those it is made of.
pub struct Names {
    types: Vec<(String, Type)>,
    /// By the type as people write it, which no other type is written as.
    by_text: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    /// Names every type of a schema; none is called as a word of `reserved`.
    pub fn new(schema: &Schema, reserved: &[&str]) -> Self {
        let taken = reserved.iter().map(ToString::to_string).collect();
        let mut names = Self { types: Vec::new(), by_text: BTreeMap::new(), taken };
        // Rows first, so that a type that is one is called so wherever it stands.
        for table in &schema.tables {
            names.give(&table.row_type(), &camel(&table.name));
        }
        let mut met = BTreeSet::new();
        for table in &schema.tables {
            names.meet(&table.row_type(), &camel(&table.name), &mut met);
        }
        for callable in Callable::all(schema) {
            let name = camel(&callable.function());
            for Field { name: argument, ty } in callable.arguments.iter() {
                names.meet(ty, &format!("{name}{}", camel(argument)), &mut met);
            }
            names.meet(callable.answer, &format!("{name}Answer"), &mut met);
            if let Some(error) = callable.error {
                names.meet(error, &format!("{name}Error"), &mut met);
            }
        }
        names
    }

    /// A name of this spelling that no type has.
    pub fn free(&mut self, wanted: &str) -> String {
        let wanted = if wanted.starts_with(|first: char| first.is_ascii_digit()) || wanted.is_empty() {
            format!("T{wanted}")
        } else {
            wanted.to_string()
        };
        let numbered = (2..).map(|number: u32| format!("{wanted}{number}"));
        let free = std::iter::once(wanted.clone()).chain(numbered).find(|name| !self.taken.contains(name));
        let free = free.unwrap_or(wanted);
        self.taken.insert(free.clone());
        free
    }

    /// The types and their names, parts before wholes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.types.iter().map(|(name, ty)| (name.as_str(), ty))
    }

    /// The name of a struct or an enum.
    pub fn of(&self, ty: &Type) -> &str {
        self.by_text.get(&ty.to_string()).map_or("", String::as_str)
    }

    fn give(&mut self, ty: &Type, wanted: &str) {
        let text = ty.to_string();
        if !self.by_text.contains_key(&text) {
            let name = self.free(wanted);
            self.by_text.insert(text, name);
        }
    }

    /// Names what `ty` is made of and notes the order. Types nest at most as deep as schemas let them.
    fn meet(&mut self, ty: &Type, wanted: &str, met: &mut BTreeSet<String>) {
        match ty {
            Type::Option(inner) | Type::List(inner) => self.meet(inner, wanted, met),
            Type::Map(key, value) => {
                self.meet(key, &format!("{wanted}Key"), met);
                self.meet(value, wanted, met);
            }
            Type::Tuple(members) => {
                for (position, member) in members.iter().enumerate() {
                    self.meet(member, &format!("{wanted}{position}"), met);
                }
            }
            Type::Struct(_) | Type::Enum(_) => {
                self.give(ty, wanted);
                let name = self.of(ty).to_string();
                if met.insert(name.clone()) {
                    self.meet_members(ty, &name, met);
                    self.types.push((name, ty.clone()));
                }
            }
            _ => {}
        }
    }

    fn meet_members(&mut self, ty: &Type, name: &str, met: &mut BTreeSet<String>) {
        match ty {
            Type::Struct(fields) => {
                for field in fields {
                    self.meet(&field.ty, &format!("{name}{}", camel(&field.name)), met);
                }
            }
            Type::Enum(variants) => {
                for variant in variants {
                    for field in &variant.fields {
                        let place = format!("{name}{}{}", camel(&variant.name), camel(&field.name));
                        self.meet(&field.ty, &place, met);
                    }
                }
            }
            _ => {}
        }
    }
}

/// `high_score` as `HighScore`.
pub fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split(['_', '-']).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isx_row::Variant;
    use isx_row::schema::{Column, Query, Table, TableKind};

    fn check(schema: &Schema, expected: &[&str]) {
        let names = Names::new(schema, &["Map"]);
        assert_eq!(names.iter().map(|(name, _)| name).collect::<Vec<_>>(), expected);
    }

    fn field(name: &str, ty: Type) -> Field {
        Field { name: name.into(), ty }
    }

    #[test]
    fn types_are_called_as_their_tables_or_places() {
        let mood = Type::Enum(vec![Variant { name: "happy".into(), tag: 1, fields: vec![] }]);
        let column = |name: &str, ty: Type| Column { name: name.into(), ty, default: None, since: 1 };
        let table = |name: &str, columns: Vec<Column>| Table {
            name: name.into(),
            kind: TableKind::Durable,
            public: true,
            version: 1,
            columns,
            primary_key: vec![0],
            auto_inc: None,
            indexes: vec![],
        };
        let map = table("map", vec![column("id", Type::U8), column("moods", Type::List(Box::new(mood.clone())))]);
        let old_map = table("a_seen", vec![column("id", Type::U8), column("old", map.row_type())]);
        let query = |name: &str, arguments: Vec<Field>, answer: Type| Query {
            name: name.into(),
            public: true,
            arguments,
            answer,
            error: Some(mood.clone()),
            reads: None,
            key: None,
        };
        let point = |name: &str| Type::Struct(vec![field(name, Type::U8)]);
        let queries = vec![
            query("all", vec![field("mood", mood.clone())], Type::Tuple(vec![point("x"), point("y")])),
            query("all_answer0", vec![], point("z")),
        ];
        let schema = Schema { name: "m".into(), tables: vec![old_map, map], queries, ..Schema::default() };
        // `Map` is taken; a row within a row is called as its table; parts stand before wholes.
        check(&schema, &["Map2Moods", "Map2", "ASeen", "AllAnswer0", "AllAnswer1", "AllAnswer0Answer"]);
    }

    #[test]
    fn names_are_identifiers() {
        for (name, expected) in [("high_score", "HighScore"), ("a-b", "AB"), ("_0", "0"), ("__proto__", "Proto")] {
            assert_eq!(camel(name), expected);
        }
        let mut names = Names::new(&Schema::default(), &[]);
        assert_eq!(["0", "", "A", "A"].map(|name| names.free(name)), ["T0", "T", "A", "A2"]);
    }
}
