//! `#[isx::reducer]`, `#[isx::query]` and `#[isx::view]`: checks a function, declares it in the schema and makes it callable by name.

use crate::attributes::{Settings, name_in, name_of};
use crate::record;
use isx_row::cron::Cron;
use isx_row::limits::{SCHEDULE_EVERY_MAX_US, SCHEDULE_EVERY_MIN_US};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Error, FnArg, GenericArgument, Ident, ItemFn, LitStr, Pat, Path, PathArguments, Result, ReturnType, Safety,
    Signature, Type,
};

/// Which attribute stands on the function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `#[isx::reducer]`.
    Reducer,
    /// `#[isx::query]`.
    Query,
    /// `#[isx::view]`.
    View,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Reducer => "reducer",
            Self::Query => "query",
            Self::View => "view",
        }
    }

    fn context(self) -> &'static str {
        match self {
            Self::Reducer => "ReducerContext",
            Self::Query => "QueryContext",
            Self::View => "ViewContext",
        }
    }
}

/// The event of a hook.
enum Hook {
    /// One that takes nothing: its variant of `HookDesc`.
    Plain(&'static str),
    Upgrade,
    Table {
        table: String,
        event: &'static str,
        place: LitStr,
    },
    /// A distance in microseconds.
    Every(i64),
    Cron(String),
    Due {
        table: String,
        place: LitStr,
    },
    /// A table of the module before.
    Migrate(String),
    /// A table of the mount at a path.
    OtherTable {
        path: String,
        table: String,
        event: &'static str,
    },
    /// The reply of a reducer of the mount at a path.
    Reply {
        path: String,
        reducer: String,
    },
}

/// Tables that the function says it touches; `None` where it says nothing.
struct Access {
    reads: Option<Vec<String>>,
    inserts: Option<Vec<String>>,
    updates: Option<Vec<String>>,
    deletes: Option<Vec<String>>,
}

/// Expands the attribute `kind` with its `settings` on `item`.
pub fn expand(kind: Kind, settings: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item.clone())
        .map_err(|error| Error::new(error.span(), format!("`#[isx::{}]` stands on a function", kind.word())))?;
    let mut settings = Settings::read(settings)?;
    let public = settings.word("public")?;
    if settings.word("private")? && public {
        return Err(Error::new(function.sig.ident.span(), "`public` and `private` exclude each other; keep one"));
    }
    let hook = match kind {
        Kind::Reducer => read_hook(&mut settings)?,
        Kind::Query | Kind::View => None,
    };
    let key = if kind == Kind::View { settings.names("key")? } else { None };
    let access = parse_access(kind, &mut settings)?;
    settings.done(match kind {
        Kind::Reducer => {
            "public, on = \"…\", every = \"…\", cron = \"…\", reads(…), inserts(…), updates(…), deletes(…)"
        }
        Kind::Query => "public, reads(…)",
        Kind::View => "public, key(…), reads(…)",
    })?;

    check_plain(kind.word(), &function.sig)?;
    let arguments = parse_arguments(kind, &function)?;
    let answer = Answer::of(&function.sig.output);
    if let Some(hook) = &hook {
        check_hook(hook, &arguments, &function, public)?;
    }
    let view = match kind {
        Kind::View => Some(View::of(&function, key)?),
        _ => None,
    };
    let name = name_of(&function.sig.ident)?;
    let section = record::function(record::Function {
        kind,
        name: &name,
        public,
        arguments: &arguments,
        outcome: &answer.outcome,
        hook: hook.as_ref().map(hook_tokens),
        access: access_tokens(kind, &access),
        key: view.as_ref().map(View::key_tokens),
    });
    let view_check = view.as_ref().map(View::check);
    let run = runner(kind, &function, &arguments, &answer);
    let row_check = hook.as_ref().map(|hook| hook_row_check(hook, &arguments));
    Ok(quote! {
        #function
        const _: () = {
            #section
            #run
            #row_check
            #view_check
            ::isx::__rt::inventory::submit! { ::isx::__rt::Function { name: #name, run } }
        };
    })
}

/// An argument after the context.
pub struct Argument {
    /// As the schema names it.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// What the function returns.
struct Answer {
    /// The `Result` type that stands for it.
    outcome: TokenStream,
    /// Whether the function itself returns that `Result`.
    fallible: bool,
}

impl Answer {
    fn of(output: &ReturnType) -> Self {
        let ReturnType::Type(_, ty) = output else {
            return Self { outcome: quote!(::core::result::Result<(), ::isx::Error>), fallible: false };
        };
        // A trait could not tell `Result` from the types that encode: the name decides.
        let fallible =
            matches!(&**ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result"));
        if fallible {
            Self { outcome: quote!(#ty), fallible }
        } else {
            Self { outcome: quote_spanned!(ty.span()=> ::core::result::Result<#ty, ::isx::Error>), fallible }
        }
    }
}

/// What a view gives.
struct View {
    row: Type,
    /// The fields that tell its rows apart; those of the table's primary key where none are named.
    key: Option<Vec<(Ident, String)>>,
}

impl View {
    fn of(function: &ItemFn, key: Option<Vec<Ident>>) -> Result<Self> {
        let wanted = "a view gives rows: write `-> isx::Result<Vec<Row>>` or `-> Vec<Row>`, with a table's struct or a \
                      `#[derive(isx::Typed)]` one";
        let ReturnType::Type(_, ty) = &function.sig.output else {
            return Err(Error::new(function.sig.ident.span(), wanted));
        };
        let rows = first_argument(ty, "Result").unwrap_or(ty);
        let row = first_argument(rows, "Vec").ok_or_else(|| Error::new(ty.span(), wanted))?;
        let mut named: Vec<(Ident, String)> = Vec::new();
        for ident in key.iter().flatten() {
            let name = name_of(ident)?;
            if named.iter().any(|(_, before)| *before == name) {
                return Err(Error::new(ident.span(), "this field is named twice; delete one"));
            }
            named.push((ident.clone(), name));
        }
        if key.is_some() && named.is_empty() {
            let wanted = "a key has a field at least: those that tell the rows of the view apart";
            return Err(Error::new(function.sig.ident.span(), wanted));
        }
        Ok(Self { row: row.clone(), key: key.map(|_| named) })
    }

    fn key_tokens(&self) -> TokenStream {
        match &self.key {
            Some(named) => {
                let names = named.iter().map(|(_, name)| name);
                quote!(&[#(#names),*])
            }
            None => {
                let row = &self.row;
                quote_spanned!(row.span()=> <#row as ::isx::Table>::KEY_COLUMNS)
            }
        }
    }

    /// Refuses, at compile time, a key that is not of the rows.
    fn check(&self) -> TokenStream {
        let row = &self.row;
        let checks = self.key.iter().flatten().map(|(ident, name)| {
            let message = format!("the rows of this view have no field `{name}` that has an order");
            quote_spanned! {ident.span()=>
                const _: () = assert!(::isx::__rt::has_key(<#row as ::isx::Typed>::DESC, #name), #message);
            }
        });
        quote!(#(#checks)*)
    }
}

/// The `T` of a type `name<T, …>`.
fn first_argument<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(list) = &last.arguments else { return None };
    match list.args.first()? {
        GenericArgument::Type(argument) => Some(argument),
        _ => None,
    }
}

/// Refuses a function that is more than a name, arguments and an answer.
pub fn check_plain(what: &str, signature: &Signature) -> Result<()> {
    let refuse = |span, text: &str| Err(Error::new(span, format!("a {what} {text}")));
    if let Some(token) = &signature.asyncness {
        return refuse(token.span(), "runs to its end within one transaction; delete `async`");
    }
    if !matches!(signature.safety, Safety::Default) {
        return refuse(signature.safety.span(), "is called by the host; delete `unsafe` or `safe`");
    }
    if let Some(abi) = &signature.abi {
        return refuse(abi.span(), "is a plain function; delete `extern`");
    }
    if !signature.generics.params.is_empty() {
        return refuse(signature.generics.span(), "has one signature for all callers; write the types out");
    }
    if let Some(variadic) = &signature.variadic {
        return refuse(variadic.span(), "has a fixed list of arguments; use a `Vec`");
    }
    Ok(())
}

fn parse_arguments(kind: Kind, function: &ItemFn) -> Result<Vec<Argument>> {
    let mut inputs = function.sig.inputs.iter();
    let wanted = format!("the first argument of a {} is `ctx: &{}`", kind.word(), kind.context());
    match inputs.next() {
        Some(FnArg::Typed(first)) if is_context(kind, &first.ty) => {}
        Some(other) => return Err(Error::new(other.span(), wanted)),
        None => return Err(Error::new(function.sig.paren_token.span.join(), wanted)),
    }
    let mut arguments: Vec<Argument> = Vec::new();
    for input in inputs {
        let FnArg::Typed(typed) = input else { return Err(Error::new(input.span(), wanted)) };
        let Pat::Ident(pattern) = &*typed.pat else {
            return Err(Error::new(typed.pat.span(), "callers know an argument by its name: give it one"));
        };
        refuse_borrowed(&typed.ty)?;
        let text = pattern.ident.to_string();
        // `_row` says that the body does not use it: no business of callers.
        let ident = Ident::new(
            match text.trim_start_matches('_') {
                "" => &text,
                rest => rest,
            },
            pattern.ident.span(),
        );
        arguments.push(Argument { name: name_of(&ident)?, ty: (*typed.ty).clone() });
    }
    Ok(arguments)
}

fn is_context(kind: Kind, ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_none()
        && matches!(&*reference.elem, Type::Path(path) if ends_with(&path.path, kind.context())))
}

fn ends_with(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name && matches!(last.arguments, PathArguments::None))
}

/// Refuses types that own nothing: arguments and columns are decoded from bytes that go away.
pub fn refuse_borrowed(ty: &Type) -> Result<()> {
    match ty {
        Type::Reference(reference) => {
            let owned = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
                Type::Slice(slice) => {
                    let element = &slice.elem;
                    format!("Vec<{}>", quote!(#element))
                }
                other => quote!(#other).to_string(),
            };
            Err(Error::new(ty.span(), format!("values here are owned; write `{owned}`")))
        }
        Type::ImplTrait(_) | Type::TraitObject(_) | Type::FnPtr(_) | Type::Ptr(_) | Type::Infer(_) => {
            Err(Error::new(ty.span(), "a value here has a type that the schema can name; write it out"))
        }
        _ => Ok(()),
    }
}

/// The event of a reducer: `on`, `every` or `cron`.
fn read_hook(settings: &mut Settings) -> Result<Option<Hook>> {
    let given = [
        settings.text("on")?.map(|text| (text.span(), parse_event(text))),
        settings.text("every")?.map(|text| (text.span(), parse_every(&text))),
        settings.text("cron")?.map(|text| (text.span(), parse_cron(&text))),
    ];
    let mut given = given.into_iter().flatten();
    let hook = given.next().map(|(_, hook)| hook).transpose()?;
    match given.next() {
        Some((span, _)) => Err(Error::new(span, "a hook has one event; write two hooks that call one function")),
        None => Ok(hook),
    }
}

fn parse_event(text: LitStr) -> Result<Hook> {
    let known = "events: \"init\", \"upgrade\", \"connect\", \"disconnect\", and with a table of this module \"TABLE.insert\", \"TABLE.update\", \
                 \"TABLE.delete\", \"TABLE.due\"; with a table of the version before \"TABLE.migrate\"; of another module \"/self/hello:TABLE.insert\", and \"/self/hello:REDUCER.reply\" for \
                 what was sent there; times are `every = \"5s\"` and `cron = \"0 3 * * *\"`";
    let value = text.value();
    if value.starts_with('/') {
        return parse_other(&text, &value);
    }
    let event = match value.split_once('.') {
        None if value == "init" => return Ok(Hook::Plain("Init")),
        None if value == "connect" => return Ok(Hook::Plain("Connect")),
        None if value == "disconnect" => return Ok(Hook::Plain("Disconnect")),
        None if value == "upgrade" => return Ok(Hook::Upgrade),
        Some((_, event @ ("insert" | "update" | "delete" | "due" | "migrate"))) => event,
        _ => return Err(Error::new(text.span(), known)),
    };
    let table = value.split('.').next().unwrap_or_default();
    let table = name_in(&LitStr::new(table, text.span()))?;
    Ok(match event {
        "insert" => Hook::Table { table, event: "Insert", place: text },
        "update" => Hook::Table { table, event: "Update", place: text },
        "delete" => Hook::Table { table, event: "Delete", place: text },
        "due" => Hook::Due { table, place: text },
        _ => Hook::Migrate(table),
    })
}

/// An event at another mount: `/self/hello:greeting.insert`, `/self/hello:greet.reply`.
fn parse_other(text: &LitStr, value: &str) -> Result<Hook> {
    let usage = "an event of another module is \"/self/hello:TABLE.insert\", \".update\", \".delete\", or \
                 \"/self/hello:REDUCER.reply\" for what was sent there";
    let (path, member) = value.rsplit_once(':').ok_or_else(|| Error::new(text.span(), usage))?;
    let (name, event) = member.split_once('.').ok_or_else(|| Error::new(text.span(), usage))?;
    crate::send::check_path(text, path)?;
    let (path, name) = (path.to_owned(), name_in(&LitStr::new(name, text.span()))?);
    Ok(match event {
        "insert" => Hook::OtherTable { path, table: name, event: "Insert" },
        "update" => Hook::OtherTable { path, table: name, event: "Update" },
        "delete" => Hook::OtherTable { path, table: name, event: "Delete" },
        "reply" => Hook::Reply { path, reducer: name },
        _ => return Err(Error::new(text.span(), usage)),
    })
}

fn parse_every(text: &LitStr) -> Result<Hook> {
    let value = text.value();
    let (number, unit) = value.split_at(value.bytes().take_while(u8::is_ascii_digit).count());
    let unit_us = match unit {
        "ms" => Some(1_000),
        "s" => Some(1_000_000),
        "m" => Some(60_000_000),
        "h" => Some(3_600_000_000),
        "d" => Some(86_400_000_000_i64),
        _ => None,
    };
    let distance = number.parse::<i64>().ok().zip(unit_us).and_then(|(number, unit_us)| number.checked_mul(unit_us));
    match distance.filter(|distance| (SCHEDULE_EVERY_MIN_US..=SCHEDULE_EVERY_MAX_US).contains(distance)) {
        Some(distance) => Ok(Hook::Every(distance)),
        None => Err(Error::new(
            text.span(),
            "a distance from 10 ms to 400 days, with its unit: `every = \"500ms\"`, \"5s\", \"10m\", \"1h\", \"7d\"",
        )),
    }
}

fn parse_cron(text: &LitStr) -> Result<Hook> {
    let value = text.value();
    match Cron::parse(&value) {
        Ok(_) => Ok(Hook::Cron(value)),
        Err(error) => Err(Error::new(text.span(), format!("{error}; as in `cron = \"30 3 * * mon-fri\"`, in UTC"))),
    }
}

fn check_hook(hook: &Hook, arguments: &[Argument], function: &ItemFn, public: bool) -> Result<()> {
    let span = function.sig.ident.span();
    if public {
        return Err(Error::new(span, "a hook is called by its event and by nothing else; delete `public`"));
    }
    let (counts, wanted) = match hook {
        Hook::Plain(_) => (0..=0, "this hook has no argument but the context"),
        Hook::Upgrade => (0..=1, "an `upgrade` hook has at most the argument `from: String`: the version before"),
        Hook::Every(_) | Hook::Cron(_) => {
            (0..=1, "a hook on times has at most the argument `count: u64`: how many of them have passed")
        }
        Hook::Table { event: "Update", .. } | Hook::OtherTable { event: "Update", .. } => {
            (2..=2, "an update hook has the arguments `old: Row, new: Row`")
        }
        Hook::Reply { .. } => (2..=2, "a hook on replies has the arguments `number: u64, reply: isx::Reply<Answer>`"),
        Hook::Table { .. } | Hook::OtherTable { .. } => (1..=1, "an insert or delete hook has the argument `row: Row`"),
        Hook::Due { .. } => (1..=1, "a hook on due rows has the argument `row: Row`"),
        Hook::Migrate(_) => {
            (1..=1, "a hook that migrates has the argument `old: Row`, a struct of the columns as they were")
        }
    };
    if counts.contains(&arguments.len()) { Ok(()) } else { Err(Error::new(span, wanted)) }
}

fn hook_tokens(hook: &Hook) -> TokenStream {
    let described = match hook {
        Hook::Plain(event) => format_ident!("{event}").into_token_stream(),
        Hook::Upgrade => quote!(Upgrade),
        Hook::Table { table, event, .. } => {
            let event = format_ident!("{event}");
            quote!(OwnTable(#table, ::isx::__rt::RowEvent::#event))
        }
        Hook::Every(distance) => quote!(Every(#distance)),
        Hook::Cron(calendar) => quote!(Cron(#calendar)),
        Hook::Due { table, .. } => quote!(Due(#table)),
        Hook::Migrate(table) => quote!(Migrate(#table)),
        Hook::OtherTable { path, table, event } => {
            let event = format_ident!("{event}");
            quote!(OtherTable(#path, #table, ::isx::__rt::RowEvent::#event))
        }
        Hook::Reply { path, reducer } => quote!(Reply(#path, #reducer)),
    };
    quote!(::isx::__rt::record::HookDesc::#described)
}

/// Refuses, at compile time, a hook whose row is not the row of its table.
fn hook_row_check(hook: &Hook, arguments: &[Argument]) -> TokenStream {
    let (Hook::Table { table, place, .. } | Hook::Due { table, place }) = hook else { return TokenStream::new() };
    let message = format!("the row of this hook is not the row of table `{table}`");
    let rows = arguments.iter().map(|argument| &argument.ty);
    quote_spanned! {place.span()=>
        #(const _: () = assert!(::isx::__rt::same_text(<#rows as ::isx::Table>::NAME, #table), #message);)*
    }
}

fn parse_access(kind: Kind, settings: &mut Settings) -> Result<Access> {
    let mut names = |word: &str| -> Result<Option<Vec<String>>> {
        let Some(idents) = settings.names(word)? else { return Ok(None) };
        let mut names = Vec::with_capacity(idents.len());
        for ident in &idents {
            let name = name_of(ident)?;
            if names.contains(&name) {
                return Err(Error::new(ident.span(), "this table is named twice; delete one"));
            }
            names.push(name);
        }
        names.sort();
        Ok(Some(names))
    };
    let reads = names("reads")?;
    if kind != Kind::Reducer {
        return Ok(Access { reads, inserts: None, updates: None, deletes: None });
    }
    Ok(Access { reads, inserts: names("inserts")?, updates: names("updates")?, deletes: names("deletes")? })
}

/// Nothing declared means every own table; anything declared means that and no more.
fn access_tokens(kind: Kind, access: &Access) -> Option<TokenStream> {
    let Access { reads, inserts, updates, deletes } = access;
    if [reads, inserts, updates, deletes].iter().all(|names| names.is_none()) {
        return None;
    }
    let list = |names: &Option<Vec<String>>| {
        let names = names.iter().flatten();
        quote!(&[#(#names),*])
    };
    let [reads, inserts, updates, deletes] = [list(reads), list(inserts), list(updates), list(deletes)];
    Some(match kind {
        Kind::Query | Kind::View => reads,
        Kind::Reducer => quote!(::isx::__rt::record::AccessDesc {
            reads: #reads, inserts: #inserts, updates: #updates, deletes: #deletes,
        }),
    })
}

/// The function that decodes arguments, calls, and encodes the answer.
fn runner(kind: Kind, function: &ItemFn, arguments: &[Argument], answer: &Answer) -> TokenStream {
    let called = &function.sig.ident;
    let context = format_ident!("{}", kind.context());
    let types: Vec<&Type> = arguments.iter().map(|argument| &argument.ty).collect();
    let names: Vec<Ident> = (0..arguments.len()).map(|position| format_ident!("argument_{position}")).collect();
    let call = quote!(#called(&::isx::#context::__begin() #(, #names)*));
    let outcome = &answer.outcome;
    let value = if answer.fallible { call } else { quote!(::core::result::Result::Ok(#call)) };
    quote! {
        fn run(arguments: &[u8]) -> ::isx::__rt::Outcome {
            let slots_bytes = const { ::isx::__rt::slots_bytes(&[#(<#types as ::isx::Typed>::FIXED),*]) };
            #[allow(unused_mut, reason = "there may be no arguments")]
            let mut record = ::isx::__rt::arguments(arguments, slots_bytes)?;
            #(let #names: #types = ::isx::__rt::argument(&mut record)?;)*
            ::isx::__rt::end(record)?;
            let outcome: #outcome = #value;
            ::isx::__rt::Returned::into_outcome(outcome)
        }
    }
}
