//! The rules of schemas.

use super::canonical::{malformed, over};
use super::volatile;
use super::{
    Access, Column, Fill, Hook, Index, IndexKind, Link, Query, Reducer, RowEvent, Schedule, Schema, Sent, Table,
    TableKind,
};
use crate::codec::{self, fixed_width};
use crate::cron::Cron;
use crate::error::Error;
use crate::ids::Span;
use crate::key::is_key_type;
use crate::limits::{
    FIELDS_MAX, FUNCTIONS_MAX, INDEXES_MAX, LINK_PATH_BYTES_MAX, LINKS_MAX, NAME_BYTES_MAX, SCHEDULE_EVERY_MAX_US,
    SCHEDULE_EVERY_MIN_US, TABLES_MAX, TYPE_DEPTH_MAX, VALUE_BYTES_MAX, VERSION_TEXT_BYTES_MAX,
};
use crate::types::{Field, Type};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Names below a home that are the system's.
const RESERVED_MODULES: [&str; 2] = ["dev", "proc"];
/// Begins the names of the system's own members.
const RESERVED_PREFIX: &str = "isx_";

type Checked = Result<(), Error>;

pub(super) fn schema(schema: &Schema) -> Checked {
    module_name(&schema.name)?;
    if schema.version.len() > VERSION_TEXT_BYTES_MAX {
        return Err(over("VERSION_TEXT_BYTES_MAX", "shorten the module's version"));
    }
    if schema.version.is_empty() || !schema.version.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("the module's version is not visible ASCII: write it as in `1.2.0`"));
    }
    at_most(schema.tables.len(), TABLES_MAX, "TABLES_MAX", "the module's tables")?;
    at_most(schema.reducers.len() + schema.queries.len(), FUNCTIONS_MAX, "FUNCTIONS_MAX", "the module's functions")?;
    ascending(schema.tables.iter().map(|table| &table.name), "the tables")?;
    ascending(schema.reducers.iter().map(|reducer| &reducer.name), "the reducers")?;
    ascending(schema.queries.iter().map(|query| &query.name), "the queries")?;
    at_most(schema.links.len(), LINKS_MAX, "LINKS_MAX", "the module's links")?;
    ascending(schema.links.iter().map(|link| &link.path), "the links")?;
    schema.links.iter().try_for_each(link)?;
    for reducer in &schema.reducers {
        if schema.table(&reducer.name).is_some() || schema.query(&reducer.name).is_some() {
            return Err(shared(&reducer.name));
        }
    }
    if let Some(query) = schema.queries.iter().find(|query| schema.table(&query.name).is_some()) {
        return Err(shared(&query.name));
    }
    for (hook, word) in
        [(Hook::Init, "init"), (Hook::Upgrade, "upgrade"), (Hook::Connect, "connect"), (Hook::Disconnect, "disconnect")]
    {
        if schema.reducers.iter().filter(|reducer| reducer.hook.as_ref() == Some(&hook)).count() > 1 {
            return Err(malformed(format!("the module has two {word} hooks: make them one")));
        }
    }
    for (position, reducer) in schema.reducers.iter().enumerate() {
        if let Some(hook @ (Hook::Reply { .. } | Hook::Migrate { .. })) = &reducer.hook
            && schema.reducers.iter().skip(position + 1).any(|other| other.hook.as_ref() == Some(hook))
        {
            return Err(malformed(format!("the module has two hooks {hook}: make them one")));
        }
    }
    for table in &schema.tables {
        let waits = |reducer: &&Reducer| matches!(&reducer.hook, Some(Hook::Due { table: of }) if *of == table.name);
        if schema.reducers.iter().filter(waits).count() > 1 {
            return Err(malformed(format!(
                "two hooks wait for due rows of `{}`, which go with the first: make them one",
                table.name
            )));
        }
    }
    schema.tables.iter().try_for_each(table)?;
    schema.reducers.iter().try_for_each(|one| reducer(schema, one))?;
    schema.queries.iter().try_for_each(|one| query(schema, one))
}

fn shared(name: &str) -> Error {
    malformed(format!("two of the module's tables, reducers and queries are called `{name}`: rename one"))
}

fn at_most(count: usize, max: usize, limit: &str, what: &str) -> Checked {
    if count > max { Err(over(limit, &format!("{what} are {count}, at most {max} are allowed"))) } else { Ok(()) }
}

fn module_name(name: &str) -> Checked {
    if RESERVED_MODULES.contains(&name) {
        return Err(malformed(format!("the module's name `{name}` is reserved: use another")));
    }
    spelled(name, "module", |byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn member_name(name: &str, what: &str) -> Checked {
    if name.starts_with(RESERVED_PREFIX) {
        return Err(malformed(format!("the {what} name `{name}` begins with `{RESERVED_PREFIX}`, which is reserved")));
    }
    field_name(name, what)
}

fn field_name(name: &str, what: &str) -> Checked {
    spelled(name, what, |byte| byte.is_ascii_lowercase())
}

/// Checks a name against `letter`, `_`, and digits but in front.
fn spelled(name: &str, what: &str, letter: impl Fn(u8) -> bool) -> Checked {
    if name.len() > NAME_BYTES_MAX {
        return Err(over("NAME_BYTES_MAX", &format!("shorten the {what} name that begins with `{name:.16}`")));
    }
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if begins && name.bytes().all(|byte| letter(byte) || byte == b'_' || byte.is_ascii_digit()) {
        Ok(())
    } else {
        Err(malformed(format!("the {what} name `{name}` is not spelled with a to z, 0 to 9 and `_`, a letter first")))
    }
}

fn ascending<'a>(names: impl Iterator<Item = &'a String> + Clone, what: &str) -> Checked {
    for (name, next) in names.clone().zip(names.skip(1)) {
        if name == next {
            return Err(malformed(format!("{what} name `{name}` twice: rename or remove one")));
        }
        if name > next {
            return Err(malformed(format!("{what} are not sorted: `{next}` stands after `{name}`")));
        }
    }
    Ok(())
}

/// Whether an encoding of the type may have no bytes at all, ever.
fn is_empty(ty: &Type) -> bool {
    fixed_width(ty) == Some(0)
}

/// Checks a type that stands at `place`; `depth` is how many levels are left.
fn ty(ty: &Type, place: &str, depth: usize) -> Checked {
    let too_deep = || over("TYPE_DEPTH_MAX", &format!("nest {place} less, or keep parts in tables"));
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    if is_empty(ty) {
        return Err(malformed(format!("{place} has a type without content: leave it out, or use an option of it")));
    }
    match ty {
        // `option<()>` is the one place for a type without content.
        Type::Option(inner) if **inner == Type::UNIT => depth.checked_sub(1).map(drop).ok_or_else(too_deep),
        Type::Option(inner) | Type::List(inner) => self::ty(inner, place, depth),
        Type::Map(key, value) => {
            if !is_key_type(key) {
                return Err(malformed(format!("{place} has a map whose key has no order: use another key")));
            }
            let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
            self::ty(key, place, depth)?;
            self::ty(value, place, depth)
        }
        Type::Tuple(members) => {
            at_most(members.len(), FIELDS_MAX, "FIELDS_MAX", &format!("the members of {place}"))?;
            members.iter().try_for_each(|member| self::ty(member, place, depth))
        }
        Type::Struct(members) => fields(members, place, depth),
        Type::Enum(variants) => {
            at_most(variants.len(), FIELDS_MAX, "FIELDS_MAX", &format!("the variants of {place}"))?;
            if variants.is_empty() {
                return Err(malformed(format!("{place} has an enum without variants: give it one")));
            }
            if !variants.is_sorted_by(|a, b| a.tag < b.tag) {
                return Err(malformed(format!("{place} has an enum whose tags do not ascend: sort them, each once")));
            }
            for (index, variant) in variants.iter().enumerate() {
                spelled(&variant.name, "variant", |byte| byte.is_ascii_alphabetic())?;
                if variants.iter().take(index).any(|before| before.name == variant.name) {
                    return Err(malformed(format!("{place} has two variants called `{}`", variant.name)));
                }
                fields(&variant.fields, place, depth)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn fields(fields: &[Field], place: &str, depth: usize) -> Checked {
    at_most(fields.len(), FIELDS_MAX, "FIELDS_MAX", &format!("the fields of {place}"))?;
    for (index, field) in fields.iter().enumerate() {
        field_name(&field.name, "field")?;
        if fields.iter().take(index).any(|before| before.name == field.name) {
            return Err(malformed(format!("{place} has two fields called `{}`: rename one", field.name)));
        }
        ty(&field.ty, place, depth)?;
    }
    Ok(())
}

fn table(table: &Table) -> Checked {
    let name = &table.name;
    member_name(name, "table")?;
    at_most(table.columns.len(), FIELDS_MAX, "FIELDS_MAX", &format!("the columns of `{name}`"))?;
    at_most(table.indexes.len(), INDEXES_MAX, "INDEXES_MAX", &format!("the indexes of `{name}`"))?;
    if table.version == 0 {
        return Err(malformed(format!("table `{name}` has version 0: versions begin with 1")));
    }
    let mut since = 1;
    for (index, column) in table.columns.iter().enumerate() {
        self::column(table, column, since)?;
        since = column.since;
        if table.columns.iter().take(index).any(|before| before.name == column.name) {
            return Err(malformed(format!("table `{name}` has two columns called `{}`: rename one", column.name)));
        }
    }
    let slots_bytes = codec::slots_of(table.columns.iter().map(|column| &column.ty));
    if codec::VERSION_BYTES + slots_bytes > VALUE_BYTES_MAX {
        return Err(over("VALUE_BYTES_MAX", &format!("no row of `{name}` fits: split the table")));
    }
    key_columns(table, &table.primary_key, "primary key")?;
    for &position in &table.primary_key {
        let Some(column) = table.columns.get(usize::from(position)) else { continue };
        if column.since > 1 {
            return Err(malformed(format!("the primary key of `{name}` has a column that was added later")));
        }
        if matches!(column.default, Some(Fill::Created | Fill::Updated)) {
            return Err(malformed(format!(
                "the primary key of `{name}` has column `{}`, which the host writes: name rows by another",
                column.name
            )));
        }
    }
    for (fill, what) in [(Fill::Created, "inserted"), (Fill::Updated, "changed")] {
        if table.columns.iter().filter(|column| column.default.as_ref() == Some(&fill)).count() > 1 {
            return Err(malformed(format!("two columns of `{name}` say when a row was {what}: remove one")));
        }
    }
    sessions(table)?;
    volatile::check(table)?;
    if let Some(position) = table.auto_inc {
        let column = table.columns.get(usize::from(position));
        if !table.primary_key.contains(&position) || !column.is_some_and(|column| is_integer(&column.ty)) {
            return Err(malformed(format!("auto_inc of `{name}` is on no integer column of the primary key")));
        }
    }
    ascending(table.indexes.iter().map(|index| &index.name), &format!("the indexes of `{name}`"))?;
    table.indexes.iter().try_for_each(|one| index(table, one))?;
    let keeps = matches!(table.kind, TableKind::Durable | TableKind::Session);
    if !keeps && (table.auto_inc.is_some() || !table.indexes.is_empty()) {
        return Err(malformed(format!(
            "table `{name}` keeps no rows, so it has no indexes and no auto_inc: remove them"
        )));
    }
    Ok(())
}

/// Tables of sessions know whose their rows are, and find the rows of one.
fn sessions(table: &Table) -> Checked {
    let is_session = |column: &Column| column.default == Some(Fill::Session);
    let columns: Vec<usize> = (0..table.columns.len()).filter(|at| is_session(&table.columns[*at])).collect();
    let name = &table.name;
    match (table.kind, columns.as_slice()) {
        (TableKind::Session, [column]) => {
            let over = |index: &Index| index.columns.iter().copied().map(usize::from).eq([*column]) && !index.unique;
            match table.indexes.iter().any(|index| index.name == Fill::SESSION && over(index)) {
                true => Ok(()),
                false => Err(malformed(format!(
                    "table `{name}` is of sessions and has no index `{}` over its column of those, which is not unique: \
                     add it",
                    Fill::SESSION
                ))),
            }
        }
        (TableKind::Session, _) => {
            Err(malformed(format!("table `{name}` is of sessions and has not one column that says of which: mark one")))
        }
        (_, []) => Ok(()),
        _ => Err(malformed(format!("a column of `{name}` says of which session a row is: only rows of sessions are"))),
    }
}

fn column(table: &Table, column: &Column, since: u16) -> Checked {
    let place = format!("column `{}.{}`", table.name, column.name);
    field_name(&column.name, "column")?;
    ty(&column.ty, &place, TYPE_DEPTH_MAX)?;
    if column.since < since || column.since > table.version {
        return Err(malformed(format!(
            "{place} is there since version {}, which is not from {since} to the table's {}: add columns at the end and \
             raise the version",
            column.since, table.version
        )));
    }
    match &column.default {
        Some(Fill::Value(value)) => codec::validate(&column.ty, value)
            .map_err(|error| malformed(format!("the default of {place} is no value of its type: {error}"))),
        Some(Fill::Created | Fill::Updated) if column.ty != Type::Time => {
            Err(malformed(format!("{place} is written by the host with log time and is no time: make it one")))
        }
        Some(Fill::Session) if column.ty != Type::Uuid => {
            Err(malformed(format!("{place} is written by the host with the session and is no uuid: make it one")))
        }
        Some(Fill::Caller) if column.ty != Type::Principal => Err(malformed(format!(
            "{place} is written by the host with who put the row and is no principal: make it one"
        ))),
        Some(Fill::Session) if column.since > 1 => {
            Err(malformed(format!("{place} says whose a row is, and was added later: rows had no session before")))
        }
        Some(Fill::Created | Fill::Updated | Fill::Session | Fill::Caller) => Ok(()),
        None if column.since > 1 => {
            Err(malformed(format!("{place} was added later and has no default for the older rows: give it one")))
        }
        None => Ok(()),
    }
}

fn key_columns(table: &Table, columns: &[u16], what: &str) -> Checked {
    let name = &table.name;
    if columns.is_empty() {
        return Err(malformed(format!("the {what} of `{name}` has no column: give it one")));
    }
    for (index, position) in columns.iter().enumerate() {
        let Some(column) = table.columns.get(usize::from(*position)) else {
            return Err(malformed(format!("the {what} of `{name}` names column {position}, which is not there")));
        };
        if columns.iter().take(index).any(|before| before == position) {
            return Err(malformed(format!("the {what} of `{name}` has column `{}` twice", column.name)));
        }
        if !is_key_type(&column.ty) {
            return Err(malformed(format!("the {what} of `{name}` has column `{}`, which has no order", column.name)));
        }
    }
    Ok(())
}

fn index(table: &Table, index: &Index) -> Checked {
    field_name(&index.name, "index")?;
    key_columns(table, &index.columns, &format!("index `{}`", index.name))
}

fn is_integer(ty: &Type) -> bool {
    use Type::{I8, I16, I32, I64, I128, U8, U16, U32, U64, U128};
    matches!(ty, U8 | U16 | U32 | U64 | U128 | I8 | I16 | I32 | I64 | I128)
}

fn function(name: &str, arguments: &[Field], answer: &Type, error: Option<&Type>) -> Checked {
    member_name(name, "function")?;
    fields(arguments, &format!("an argument of `{name}`"), TYPE_DEPTH_MAX)?;
    if *answer != Type::UNIT {
        ty(answer, &format!("the answer of `{name}`"), TYPE_DEPTH_MAX)?;
    }
    error.map_or(Ok(()), |error| ty(error, &format!("the error of `{name}`"), TYPE_DEPTH_MAX))
}

fn reducer(schema: &Schema, reducer: &Reducer) -> Checked {
    function(&reducer.name, &reducer.arguments, &reducer.answer, reducer.error.as_ref())?;
    if let Some(hook) = &reducer.hook {
        self::hook(schema, reducer, hook)?;
    }
    let Some(Access { reads, inserts, updates, deletes }) = &reducer.access else { return Ok(()) };
    let name = &reducer.name;
    tables(schema, name, "reads", reads, |_| true)?;
    tables(schema, name, "inserts", inserts, |_| true)?;
    tables(schema, name, "updates", updates, |kind| kind != TableKind::Event)?;
    tables(schema, name, "deletes", deletes, |kind| kind != TableKind::Event)
}

/// Whether a hook on a table that is not the module's own, or not any more, takes rows of it.
fn takes_structs(reducer: &Reducer, table: &str, rows: usize) -> Checked {
    member_name(table, "table")?;
    let (name, row) = (&reducer.name, reducer.arguments.first().map(|argument| &argument.ty));
    let alike = reducer.arguments.iter().all(|argument| Some(&argument.ty) == row);
    match row {
        Some(Type::Struct(_)) if alike && reducer.arguments.len() == rows => Ok(()),
        _ => Err(malformed(format!(
            "hook `{name}` takes {} of table `{table}` as a struct and nothing else",
            if rows == 2 { "the old and the new row" } else { "one row" }
        ))),
    }
}

fn hook(schema: &Schema, reducer: &Reducer, hook: &Hook) -> Checked {
    match hook {
        Hook::Init | Hook::Connect | Hook::Disconnect => takes(reducer, None),
        Hook::Upgrade => takes(reducer, Some((&Type::String, "the version of the module before"))),
        Hook::Schedule(schedule) => {
            self::schedule(&reducer.name, schedule)?;
            takes(reducer, Some((&Type::U64, "how many times of the schedule have passed")))
        }
        Hook::OtherTable { path, table, event } => {
            linked(schema, &reducer.name, path)?;
            takes_structs(reducer, table, if *event == RowEvent::Update { 2 } else { 1 })
        }
        Hook::Migrate { table } => takes_structs(reducer, table, 1),
        Hook::Reply { path, reducer: to } => {
            let name = &reducer.name;
            let sent = linked(schema, name, path)?.sent(to).ok_or_else(|| {
                malformed(format!("hook `{name}` hears of calls of `{to}`, which are not sent to {path}: declare them"))
            })?;
            match reducer.arguments.as_slice() {
                [number, reply] if number.ty == Type::U64 && reply.ty == Sent::reply(&sent.answer) => Ok(()),
                _ => Err(malformed(format!(
                    "hook `{name}` takes the number of the call, a u64, and the reply of one that answers {}",
                    sent.answer
                ))),
            }
        }
        Hook::OwnTable { table, event } => {
            let table = stored_of(schema, reducer, table)?;
            let happens = match table.kind {
                TableKind::Durable | TableKind::Session => true,
                TableKind::Event => *event == RowEvent::Insert,
                TableKind::Volatile => false,
            };
            if !happens {
                let (name, table) = (&reducer.name, &table.name);
                return Err(malformed(format!("hook `{name}` is on an event that table `{table}` never has")));
            }
            takes_rows(reducer, table, if *event == RowEvent::Update { 2 } else { 1 })
        }
        Hook::Due { table } => {
            let table = stored_of(schema, reducer, table)?;
            let is_time = |position: &u16| {
                table.columns.get(usize::from(*position)).is_some_and(|column| column.ty == Type::Time)
            };
            let due = table.indexes.iter().find(|index| index.name == Hook::DUE);
            let due = due.filter(|index| index.columns.len() == 1 && index.columns.iter().all(is_time));
            match due {
                Some(index) if !index.unique && index.kind == IndexKind::Btree => takes_rows(reducer, table, 1),
                _ => Err(malformed(format!(
                    "hook `{}` waits for rows of `{}`, which has no index `{}` of one time, a btree that is not unique: \
                     mark the column that says when",
                    reducer.name,
                    table.name,
                    Hook::DUE
                ))),
            }
        }
    }
}

fn linked<'a>(schema: &'a Schema, hook: &str, path: &str) -> Result<&'a Link, Error> {
    let missing = || malformed(format!("hook `{hook}` is on {path}, which the module has no link to"));
    schema.link(path).ok_or_else(missing)
}

fn link(link: &Link) -> Checked {
    let path = &link.path;
    if path.len() > LINK_PATH_BYTES_MAX {
        return Err(over(
            "LINK_PATH_BYTES_MAX",
            &format!("link to a shorter path than the one that begins `{path:.32}`"),
        ));
    }
    let mut names = path.split('/');
    let rooted = names.next() == Some("");
    let is_name = |name: &str| {
        !name.is_empty()
            && name != "."
            && name != ".."
            && !name.contains(|letter: char| letter.is_control() || letter == ':')
    };
    if !rooted || path.matches('/').count() < 2 || !names.all(is_name) {
        return Err(malformed(format!("the link `{path}` is no path of a mount: write it as in `/self/hello`")));
    }
    for (functions, what) in [(&link.sends, "reducers"), (&link.joins, "functions")] {
        let what = format!("the {what} of link {path}");
        at_most(functions.len(), FUNCTIONS_MAX, "FUNCTIONS_MAX", &what)?;
        ascending(functions.iter().map(|sent| &sent.name), &what)?;
        functions.iter().try_for_each(|sent| function(&sent.name, &sent.arguments, &sent.answer, None))?;
    }
    Ok(())
}

/// Checks that a hook takes nothing, or this.
fn takes(reducer: &Reducer, what: Option<(&Type, &str)>) -> Checked {
    let name = &reducer.name;
    match (reducer.arguments.as_slice(), what) {
        ([], _) => Ok(()),
        ([argument], Some((ty, _))) if argument.ty == *ty => Ok(()),
        (_, Some((ty, what))) => Err(malformed(format!("hook `{name}` takes nothing, or {what} as one {ty}"))),
        (_, None) => Err(malformed(format!("hook `{name}` takes arguments, which nobody gives: remove them"))),
    }
}

fn schedule(name: &str, schedule: &Schedule) -> Checked {
    match schedule {
        Schedule::Every(Span(micros)) if (SCHEDULE_EVERY_MIN_US..=SCHEDULE_EVERY_MAX_US).contains(micros) => Ok(()),
        Schedule::Every(_) => Err(over(
            "SCHEDULE_EVERY_MIN_US or SCHEDULE_EVERY_MAX_US",
            &format!("let `{name}` run every 10 ms at most and every 400 days at least"),
        )),
        Schedule::Cron(calendar) => {
            Cron::parse(calendar).map(drop).map_err(|error| malformed(format!("the schedule of `{name}`: {error}")))
        }
    }
}

fn stored_of<'a>(schema: &'a Schema, reducer: &Reducer, table: &str) -> Result<&'a Table, Error> {
    let hook = &reducer.name;
    match schema.table(table) {
        Some(table) if table.kind.is_stored() => Ok(table),
        Some(_) => Err(malformed(format!(
            "hook `{hook}` is on table `{table}`, which is volatile: its rows are for who follows it and run nothing; call a \
             reducer instead of putting, or make the table durable"
        ))),
        None => Err(malformed(format!("hook `{hook}` is on table `{table}`, which the module has not"))),
    }
}

fn takes_rows(reducer: &Reducer, table: &Table, rows: usize) -> Checked {
    let row = table.row_type();
    if reducer.arguments.len() != rows || reducer.arguments.iter().any(|argument| argument.ty != row) {
        let takes = if rows == 2 { "the old and the new row" } else { "one row" };
        let (name, table) = (&reducer.name, &table.name);
        return Err(malformed(format!("hook `{name}` takes {takes} of table `{table}` and nothing else")));
    }
    Ok(())
}

fn query(schema: &Schema, query: &Query) -> Checked {
    function(&query.name, &query.arguments, &query.answer, query.error.as_ref())?;
    let keeps = |kind| matches!(kind, TableKind::Durable | TableKind::Session);
    query.reads.iter().try_for_each(|reads| tables(schema, &query.name, "reads", reads, keeps))?;
    query.key.as_deref().map_or(Ok(()), |key| view(query, key))
}

/// Its rows are told apart by fields of theirs.
fn view(Query { name, answer, error, .. }: &Query, key: &[String]) -> Checked {
    let row = match answer {
        Type::List(row) => match &**row {
            Type::Struct(fields) => Some(fields),
            _ => None,
        },
        _ => None,
    };
    let row =
        row.ok_or_else(|| malformed(format!("view `{name}` gives {answer}, no rows: make it a list of structs")))?;
    if error.is_some() {
        return Err(malformed(format!(
            "view `{name}` has an error of its own: who follows gets rows and nothing else"
        )));
    }
    if key.is_empty() {
        return Err(malformed(format!("view `{name}` has no key: name the fields that tell its rows apart")));
    }
    for (index, part) in key.iter().enumerate() {
        match row.iter().find(|field| field.name == *part) {
            None => {
                return Err(malformed(format!("the key of view `{name}` is not of its rows: they have no `{part}`")));
            }
            Some(_) if key.iter().take(index).any(|before| before == part) => {
                return Err(malformed(format!("the key of view `{name}` has `{part}` twice")));
            }
            Some(field) if !is_key_type(&field.ty) => {
                return Err(malformed(format!("the key of view `{name}` has `{part}`, which has no order")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn tables(schema: &Schema, function: &str, what: &str, names: &[String], may: impl Fn(TableKind) -> bool) -> Checked {
    ascending(names.iter(), &format!("the {what} of `{function}`"))?;
    for name in names {
        match schema.table(name) {
            None => {
                return Err(malformed(format!("`{function}` declares {what} of `{name}`, which the module has not")));
            }
            Some(table) if !table.kind.is_stored() => {
                return Err(malformed(format!(
                    "`{function}` declares {what} of `{name}`, which is volatile: its rows are put and followed by callers and \
                     seen by no function; remove it there, or make the table durable"
                )));
            }
            Some(table) if !may(table.kind) => {
                return Err(malformed(format!("`{function}` declares {what} of `{name}`, whose kind has none")));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
