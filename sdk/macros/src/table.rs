//! `#[isx::table]`: checks a row's struct, declares the table in the schema and makes its typed handle, for a volatile table
//! what says why there is none.

mod volatile;

use crate::attributes::{Settings, name_in, name_of, snake_name_of};
use crate::default;
use crate::function::refuse_borrowed;
use crate::record;
use crate::typed::{self, Part};
use isx_row::schema::Hook;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, Fields, Ident, ItemStruct, Member, Result, Type, Visibility};

/// A secondary index.
pub struct Index {
    /// As the schema names it.
    pub name: String,
    /// Its columns, by position.
    pub columns: Vec<usize>,
    /// `Btree` or `Hash`.
    pub kind: &'static str,
    /// Whether two rows may share a key.
    pub unique: bool,
}

/// A column that holds something where nobody writes it.
pub struct Filled {
    /// The column, by position.
    pub column: usize,
    /// What it holds.
    pub fill: Fill,
}

/// What a column holds where nobody writes it.
pub enum Fill {
    /// In older rows: a value.
    Value {
        /// As it is written.
        expression: Box<Expr>,
        /// The SDK's `Literal` of it.
        literal: TokenStream,
    },
    /// The time of the insert.
    Created,
    /// The time of the last change.
    Updated,
    /// The session whose row it is.
    Session,
    /// Who put it.
    Caller,
}

/// A checked table.
pub struct Table {
    /// As the schema names it.
    pub name: String,
    /// `Durable`, `Session`, `Event` or `Volatile`.
    pub kind: &'static str,
    /// Whether callers that reach the module may read it.
    pub public: bool,
    /// In the order of the struct.
    pub columns: Vec<Part>,
    /// What columns hold where nobody writes them, ascending by position.
    pub filled: Vec<Filled>,
    /// By position.
    pub primary_key: Vec<usize>,
    /// By position.
    pub auto_inc: Option<usize>,
    /// Sorted by name.
    pub indexes: Vec<Index>,
}

impl Table {
    /// What a column holds where nobody writes it.
    pub fn fill(&self, column: usize) -> Option<&Fill> {
        self.filled.iter().find(|filled| filled.column == column).map(|filled| &filled.fill)
    }

    /// The table version that introduced a column: the columns behind the last one that nothing fills came one by one, and
    /// none can come before it any more. So a version stays a column's for ever, and nobody has to count.
    pub fn since(&self, column: usize) -> u16 {
        let columns = 0..self.columns.len();
        let last = columns.rev().find(|position| self.fill(*position).is_none());
        1 + column.saturating_sub(last.unwrap_or_default()) as u16
    }

    /// The version of the table: that of its last column.
    pub fn version(&self) -> u16 {
        self.since(self.columns.len().saturating_sub(1))
    }
}

/// Expands the attribute with its `settings` on `item`.
pub fn expand(settings: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut row: ItemStruct = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), "`#[isx::table]` stands on a struct: the row of the table"))?;
    let table = parse(settings, &mut row)?;
    let section = record::table(&table);
    let typed = typed::of_struct(&row.ident, &table.columns);
    // A volatile table is of no function's: its row is no `isx::Table`.
    let (implementation, handle) = match table.kind {
        "Volatile" => (TokenStream::new(), volatile::no_handle(&row, &table)),
        _ => (implementation(&row.ident, &table), handle(&row, &table)),
    };
    Ok(quote! {
        #row
        #typed
        #implementation
        const _: () = { #section };
        #handle
    })
}

fn parse(settings: TokenStream, row: &mut ItemStruct) -> Result<Table> {
    let mut settings = Settings::read(settings)?;
    let public = settings.word("public")?;
    if settings.word("private")? && public {
        return Err(Error::new(row.ident.span(), "`public` and `private` exclude each other; keep one"));
    }
    let durable = settings.word("durable")?;
    let session = settings.word("session")?;
    let event = settings.word("event")?;
    let volatile = settings.word("volatile")?;
    if [durable, session, event, volatile].into_iter().filter(|is| *is).count() > 1 {
        let cure = "a table has one kind; keep `durable`, `session`, `event` or `volatile`";
        return Err(Error::new(row.ident.span(), cure));
    }
    let name = match settings.text("name")? {
        Some(text) => name_in(&text)?,
        None => snake_name_of(&row.ident)?,
    };
    settings.done("public, durable, session, event, volatile, name = \"…\"")?;
    if !row.generics.params.is_empty() {
        return Err(Error::new(row.generics.span(), "a row has one type for all callers; write the types out"));
    }

    let mut table = Table {
        name,
        kind: match (session, event, volatile) {
            (true, _, _) => "Session",
            (_, true, _) => "Event",
            (_, _, true) => "Volatile",
            _ => "Durable",
        },
        public,
        columns: Vec::new(),
        filled: Vec::new(),
        primary_key: Vec::new(),
        auto_inc: None,
        indexes: Vec::new(),
    };
    let Fields::Named(fields) = &mut row.fields else {
        return Err(Error::new(row.ident.span(), "columns have names: write `struct Row { column: Type }`"));
    };
    for (position, field) in fields.named.iter_mut().enumerate() {
        let Some(ident) = field.ident.clone() else { continue };
        refuse_borrowed(&field.ty)?;
        let column = Part { name: name_of(&ident)?, member: Member::Named(ident), ty: field.ty.clone() };
        for attribute in take_attributes(&mut field.attrs, COLUMN_ATTRIBUTES) {
            column_attribute(&attribute, position, &column, &mut table)?;
        }
        table.columns.push(column);
    }
    for attribute in take_attributes(&mut row.attrs, COLUMN_ATTRIBUTES) {
        index_over_columns(&attribute, &mut table)?;
    }
    check(&table, row)?;
    table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(table)
}

fn check(table: &Table, row: &ItemStruct) -> Result<()> {
    if table.primary_key.is_empty() {
        let cure = "a table has a primary key: put `#[primary_key]` on the column that names a row, \
                    or `#[primary_key(auto_inc)]` on an integer column to have rows numbered";
        return Err(Error::new(row.ident.span(), cure));
    }
    volatile::check(table, row)?;
    for filled in &table.filled {
        let in_key = table.primary_key.contains(&filled.column);
        match &filled.fill {
            Fill::Value { expression, .. } if in_key => {
                let cure = "a primary key was there from the start, so no row needs a default for it; delete \
                            `#[default(…)]`";
                return Err(Error::new(expression.span(), cure));
            }
            Fill::Value { expression, .. } if table.since(filled.column) == 1 => {
                let cure = "a column that rows may lack was added later and stands behind all others; move it to the end, \
                            or delete `#[default(…)]`";
                return Err(Error::new(expression.span(), cure));
            }
            Fill::Created | Fill::Updated if in_key => {
                let ty = &table.columns[filled.column].ty;
                let cure = "the host writes this column, so it names no row; put `#[primary_key]` on another";
                return Err(Error::new(ty.span(), cure));
            }
            _ => {}
        }
    }
    let of_sessions = table.filled.iter().find(|filled| matches!(filled.fill, Fill::Session));
    match (table.kind, of_sessions) {
        ("Session", None) => {
            let cure = "a row of a session says of which: add `#[session] session: isx::SessionId`";
            return Err(Error::new(row.ident.span(), cure));
        }
        ("Durable" | "Event" | "Volatile", Some(filled)) => {
            let cure = "only rows of a `#[isx::table(session)]` are of a session; add the word, or delete `#[session]`";
            return Err(Error::new(table.columns[filled.column].ty.span(), cure));
        }
        _ => {}
    }
    if table.kind == "Event" && (table.auto_inc.is_some() || !table.indexes.is_empty()) {
        return Err(Error::new(
            row.ident.span(),
            "an event table keeps no rows, so it has no indexes and no auto_inc; remove them",
        ));
    }
    for (position, index) in table.indexes.iter().enumerate() {
        if table.indexes[..position].iter().any(|earlier| earlier.name == index.name) {
            let text = format!("two indexes are called `{}`; give one `name = \"…\"`", index.name);
            return Err(Error::new(row.ident.span(), text));
        }
    }
    Ok(())
}

/// The helper attributes of columns.
const COLUMN_ATTRIBUTES: &[&str] =
    &["primary_key", "auto_inc", "index", "unique", "due", "default", "created_at", "updated_at", "session", "caller"];

/// Takes the helper attributes out: the compiler does not know them.
fn take_attributes(attributes: &mut Vec<Attribute>, names: &[&str]) -> Vec<Attribute> {
    let (ours, others) = std::mem::take(attributes)
        .into_iter()
        .partition(|attribute| names.iter().any(|name| attribute.path().is_ident(name)));
    *attributes = others;
    ours
}

fn column_attribute(attribute: &Attribute, position: usize, column: &Part, table: &mut Table) -> Result<()> {
    if let Some(fill) = fill(attribute, column)? {
        return fill_column(attribute, position, fill, table);
    }
    let mut settings = Settings::of(attribute)?;
    if attribute.path().is_ident("primary_key") {
        if table.primary_key.contains(&position) {
            return Err(Error::new(attribute.span(), "this column is in the primary key already; delete one"));
        }
        table.primary_key.push(position);
        if settings.word("auto_inc")? {
            check_auto_inc(&column.ty)?;
            table.auto_inc = Some(position);
        }
        return settings.done("auto_inc");
    }
    if attribute.path().is_ident("auto_inc") {
        return Err(Error::new(attribute.span(), "only a primary key is numbered; write `#[primary_key(auto_inc)]`"));
    }
    if attribute.path().is_ident("due") {
        settings.done("nothing: when log time reaches it, the hook `on = \"TABLE.due\"` runs with the row")?;
        if !is_time(&column.ty) {
            return Err(Error::new(column.ty.span(), "a row is due at a log time; write `isx::Time`"));
        }
        let (name, columns) = (Hook::DUE.to_owned(), vec![position]);
        table.indexes.push(Index { name, columns, kind: "Btree", unique: false });
        return Ok(());
    }
    let unique = attribute.path().is_ident("unique");
    let index = index(attribute, &mut settings, unique, &column.name, vec![position])?;
    settings.done(if unique { "hash, name = \"…\"" } else { "btree, hash, unique, name = \"…\"" })?;
    table.indexes.push(index);
    Ok(())
}

/// `#[default(…)]`, `#[created_at]` or `#[updated_at]` on a column.
fn fill(attribute: &Attribute, column: &Part) -> Result<Option<Fill>> {
    let path = attribute.path();
    if path.is_ident("default") {
        let Ok(expression) = attribute.parse_args::<Expr>() else {
            let cure = "say what older rows have: `#[default(0)]`, `#[default(\"\")]`, `#[default(None)]`";
            return Err(Error::new(attribute.span(), cure));
        };
        let literal = default::literal(&expression)?;
        return Ok(Some(Fill::Value { expression: Box::new(expression), literal }));
    }
    let fill = match path {
        path if path.is_ident("created_at") => Fill::Created,
        path if path.is_ident("updated_at") => Fill::Updated,
        path if path.is_ident("session") => {
            Settings::of(attribute)?.done("nothing: the host writes the session")?;
            if !is_named(&column.ty, "SessionId") {
                return Err(Error::new(column.ty.span(), "the host writes the session here; write `isx::SessionId`"));
            }
            return Ok(Some(Fill::Session));
        }
        path if path.is_ident("caller") => {
            Settings::of(attribute)?.done("nothing: the host writes who put the row")?;
            if !is_named(&column.ty, "Principal") {
                return Err(Error::new(
                    column.ty.span(),
                    "the host writes who put the row here; write `isx::Principal`",
                ));
            }
            return Ok(Some(Fill::Caller));
        }
        _ => return Ok(None),
    };
    Settings::of(attribute)?.done("nothing: the host writes the log time")?;
    if !is_time(&column.ty) {
        return Err(Error::new(column.ty.span(), "the host writes the log time here; write `isx::Time`"));
    }
    Ok(Some(fill))
}

fn is_time(ty: &Type) -> bool {
    is_named(ty, "Time")
}

fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(ty) if ty.path.segments.last().is_some_and(|last| last.ident == name))
}

fn fill_column(attribute: &Attribute, position: usize, fill: Fill, table: &mut Table) -> Result<()> {
    if table.fill(position).is_some() {
        let cure = "this column has a default or a time already, and rows older than a time have 0 in it; delete one";
        return Err(Error::new(attribute.span(), cure));
    }
    let is_value = matches!(fill, Fill::Value { .. });
    let same = |other: &Filled| std::mem::discriminant(&other.fill) == std::mem::discriminant(&fill);
    if !is_value && table.filled.iter().any(same) {
        return Err(Error::new(attribute.span(), "another column has this already; delete one"));
    }
    if matches!(fill, Fill::Session) {
        let (name, columns) = (isx_row::schema::Fill::SESSION.to_owned(), vec![position]);
        table.indexes.push(Index { name, columns, kind: "Btree", unique: false });
    }
    table.filled.push(Filled { column: position, fill });
    Ok(())
}

/// `#[index(btree, columns(a, b))]` below `#[isx::table]`.
fn index_over_columns(attribute: &Attribute, table: &mut Table) -> Result<()> {
    if !attribute.path().is_ident("index") {
        return Err(Error::new(
            attribute.span(),
            "this stands on a column; on the struct stands `#[index(btree, columns(a, b))]`",
        ));
    }
    let mut settings = Settings::of(attribute)?;
    let Some(idents) = settings.names("columns")?.filter(|idents| !idents.is_empty()) else {
        return Err(Error::new(attribute.span(), "say which columns: `#[index(btree, columns(a, b))]`"));
    };
    let mut columns = Vec::with_capacity(idents.len());
    for ident in &idents {
        let Some(position) = table.columns.iter().position(|column| column.member == Member::Named(ident.clone()))
        else {
            return Err(Error::new(ident.span(), "there is no such column"));
        };
        if columns.contains(&position) {
            return Err(Error::new(ident.span(), "this column is named twice; delete one"));
        }
        columns.push(position);
    }
    let name: Vec<&str> = columns.iter().map(|position| table.columns[*position].name.as_str()).collect();
    let index = index(attribute, &mut settings, false, &name.join("_"), columns)?;
    settings.done("btree, hash, unique, columns(…), name = \"…\"")?;
    table.indexes.push(index);
    Ok(())
}

fn index(
    attribute: &Attribute,
    settings: &mut Settings,
    unique: bool,
    name: &str,
    columns: Vec<usize>,
) -> Result<Index> {
    let hash = settings.word("hash")?;
    let btree = settings.word("btree")?;
    if hash && btree {
        return Err(Error::new(attribute.span(), "an index is `btree` or `hash`; keep one"));
    }
    if !hash && !btree && !unique {
        return Err(Error::new(
            attribute.span(),
            "say how it is kept: `#[index(btree)]` for ranges and order, `#[index(hash)]` for equality",
        ));
    }
    let unique = unique || settings.word("unique")?;
    let name = match settings.text("name")? {
        Some(text) => name_in(&text)?,
        None => name.to_owned(),
    };
    Ok(Index { name, columns, kind: if hash { "Hash" } else { "Btree" }, unique })
}

fn check_auto_inc(ty: &Type) -> Result<()> {
    let integer = ["u8", "u16", "u32", "u64", "u128", "i8", "i16", "i32", "i64", "i128"];
    match ty {
        Type::Path(path) if integer.iter().any(|name| path.path.is_ident(name)) => Ok(()),
        _ => Err(Error::new(ty.span(), "a numbered column is an integer; write `u64`")),
    }
}

fn implementation(row: &Ident, table: &Table) -> TokenStream {
    let name = &table.name;
    let written = (0..table.columns.len())
        .any(|column| matches!(table.fill(column), Some(Fill::Created | Fill::Updated | Fill::Session)));
    let host_writes = table.auto_inc.is_some() || written;
    let version = table.version();
    let key = key_type(table, &table.primary_key);
    let key_columns = table.primary_key.iter().filter_map(|column| Some(&table.columns.get(*column)?.name));
    quote! {
        impl ::isx::Table for #row {
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;
            const HOST_WRITES: bool = #host_writes;
            const KEY_COLUMNS: &'static [&'static str] = &[#(#key_columns),*];
            type Key = #key;

            fn __number() -> &'static ::isx::__rt::Number {
                static NUMBER: ::isx::__rt::Number = ::isx::__rt::Number::new();
                &NUMBER
            }
        }
    }
}

/// The type of a key over these columns: one column's own, several columns' tuple.
fn key_type(table: &Table, columns: &[usize]) -> TokenStream {
    let types: Vec<&Type> = columns.iter().map(|position| &table.columns[*position].ty).collect();
    match types.as_slice() {
        [one] => quote!(#one),
        several => quote!((#(#several,)*)),
    }
}

/// The method of `Db` that gives the table's handle, and the handle with a method for each index.
fn handle(row: &ItemStruct, table: &Table) -> TokenStream {
    let (ident, visibility) = (&row.ident, &row.vis);
    let handle = format_ident!("{ident}Table");
    let door = format_ident!("{ident}Db");
    let method = format_ident!("{}", table.name);
    let name = &table.name;
    let handle_doc = format!("The table `{name}`: what `isx::Handle` has, and its indexes.");
    let door_doc = format!("Gives `ctx.db.{name}()`.");
    let indexes = table.indexes.iter().map(|index| index_methods(ident, visibility, table, index));
    quote! {
        #[doc = #handle_doc]
        #visibility struct #handle<A>(::isx::Handle<#ident, A>);

        impl<A> ::core::ops::Deref for #handle<A> {
            type Target = ::isx::Handle<#ident, A>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        #[allow(dead_code, reason = "a module need not use every index")]
        impl<A> #handle<A> {
            #(#indexes)*
        }

        #[doc = #door_doc]
        #visibility trait #door<A> {
            #[doc = #handle_doc]
            fn #method(&self) -> #handle<A>;
        }

        impl<A> #door<A> for ::isx::Db<A> {
            fn #method(&self) -> #handle<A> {
                #handle(self.table())
            }
        }
    }
}

fn index_methods(row: &Ident, visibility: &Visibility, table: &Table, index: &Index) -> TokenStream {
    let name = &index.name;
    let key = key_type(table, &index.columns);
    let number = quote! { static INDEX: ::isx::__rt::Index = ::isx::__rt::Index::new(#name); };
    let equal = if index.unique {
        let method = format_ident!("find_by_{name}");
        let doc = format!("The row with this key in the unique index `{name}`.");
        quote! {
            #[doc = #doc]
            #visibility fn #method<K: ::isx::Key<#key> + ?Sized>(&self, key: &K) -> ::core::result::Result<::core::option::Option<#row>, ::isx::Error> {
                #number
                self.0.__find(&INDEX, key)
            }
        }
    } else {
        let method = format_ident!("by_{name}");
        let doc = format!("The rows with this key in the index `{name}`, by primary key.");
        quote! {
            #[doc = #doc]
            #visibility fn #method<K: ::isx::Key<#key> + ?Sized>(&self, key: &K) -> ::isx::Rows<#row> {
                #number
                self.0.__equal(&INDEX, key)
            }
        }
    };
    if index.kind != "Btree" {
        return equal;
    }
    let method = format_ident!("range_by_{name}");
    let doc = format!("The rows whose key in the index `{name}` lies within bounds ([`isx::Within`]), by that key.");
    quote! {
        #equal

        #[doc = #doc]
        #visibility fn #method(&self, bounds: impl ::isx::Within<#key>) -> ::isx::Rows<#row> {
            #number
            self.0.__range(&INDEX, bounds)
        }
    }
}
