//! Expands the attributes of the isx guest SDK: tables, reducers, queries, types, the module itself.
//!
//! Each macro checks its item first, so that misuse is refused where it stands, with its cure. It then declares the item
//! in the schema, as bytes computed at compile time and kept in the custom section `isx:schema` — the schema is read,
//! never executed — and makes it reachable by name. What the expansions call is `isx::__rt` of the SDK.
//!
//! Knows nothing of the host side. Documented, with examples, where the SDK re-exports it.

mod attributes;
mod default;
mod embed;
mod function;
#[cfg(test)]
mod misuse;
mod module;
mod record;
mod rom;
mod send;
mod table;
mod typed;

use function::Kind;
use proc_macro::TokenStream;
use send::When;

/// Declares the module: name and version from its `Cargo.toml`, `public` or private. Once, at the root of the crate.
#[proc_macro]
pub fn module(tokens: TokenStream) -> TokenStream {
    finish(module::expand(tokens.into()))
}

/// The bytes of a component built before this one.
#[proc_macro]
pub fn embed(tokens: TokenStream) -> TokenStream {
    finish(embed::expand(tokens.into()))
}

/// Makes an async function the main function of a ROM.
#[proc_macro_attribute]
pub fn main(settings: TokenStream, item: TokenStream) -> TokenStream {
    finish(rom::expand(settings.into(), item.into()))
}

/// Declares a table; the struct is its row.
#[proc_macro_attribute]
pub fn table(settings: TokenStream, item: TokenStream) -> TokenStream {
    finish(table::expand(settings.into(), item.into()))
}

/// Declares a reducer: a deterministic transaction.
#[proc_macro_attribute]
pub fn reducer(settings: TokenStream, item: TokenStream) -> TokenStream {
    finish(function::expand(Kind::Reducer, settings.into(), item.into()))
}

/// Declares a query: a read-only function.
#[proc_macro_attribute]
pub fn query(settings: TokenStream, item: TokenStream) -> TokenStream {
    finish(function::expand(Kind::Query, settings.into(), item.into()))
}

/// Declares a view: rows of the tables, for who asks.
#[proc_macro_attribute]
pub fn view(settings: TokenStream, item: TokenStream) -> TokenStream {
    finish(function::expand(Kind::View, settings.into(), item.into()))
}

/// Declares the reducers of another module that this one sends calls of.
#[proc_macro_attribute]
pub fn send(path: TokenStream, item: TokenStream) -> TokenStream {
    finish(send::expand(When::Send, path.into(), item.into()))
}

/// Declares the functions of another module that this one calls within its own transactions.
#[proc_macro_attribute]
pub fn together(path: TokenStream, item: TokenStream) -> TokenStream {
    finish(send::expand(When::Together, path.into(), item.into()))
}

/// Makes a struct or an enum a type that columns, arguments and answers may have.
#[proc_macro_derive(Typed, attributes(tag))]
pub fn derive_typed(item: TokenStream) -> TokenStream {
    finish(typed::derive(item.into()))
}

/// Makes a type with `#[derive(isx::Typed)]` an error that reducers and queries may return.
#[proc_macro_derive(Failure)]
pub fn derive_failure(item: TokenStream) -> TokenStream {
    finish(typed::derive_failure(item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
