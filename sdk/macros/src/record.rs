//! The schema records that expansions carry: constants that the compiler turns into bytes of the section `isx:schema`.

use crate::default;
use crate::function::{Argument, Kind};
use crate::send::{Sent, When};
use crate::table::{Fill, Table};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

/// The record of the module itself.
pub fn module(public: bool) -> TokenStream {
    section(quote! {
        Module(::isx::__rt::record::ModuleDesc {
            name: ::core::env!("CARGO_PKG_NAME"),
            version: ::core::env!("CARGO_PKG_VERSION"),
            public: #public,
        })
    })
}

/// The record of a table.
pub fn table(table: &Table) -> TokenStream {
    let Table { name, public, .. } = table;
    let kind = format_ident!("{}", table.kind);
    let version = table.version();
    let columns = table.columns.iter().enumerate().map(|(position, column)| {
        let (name, ty, since) = (&column.name, &column.ty, table.since(position));
        let default = option(table.fill(position).map(|fill| fill_tokens(fill, ty)));
        quote!(::isx::__rt::record::ColumnDesc {
            name: #name,
            ty: <#ty as ::isx::Typed>::DESC,
            default: #default,
            since: #since,
        })
    });
    let primary_key = positions(&table.primary_key);
    let auto_inc = option(table.auto_inc.map(|position| {
        let position = position as u16;
        quote!(#position)
    }));
    let indexes = table.indexes.iter().map(|index| {
        let (name, columns, unique) = (&index.name, positions(&index.columns), index.unique);
        let kind = format_ident!("{}", index.kind);
        quote!(::isx::__rt::record::IndexDesc {
            name: #name, columns: #columns, kind: ::isx::__rt::IndexKind::#kind, unique: #unique,
        })
    });
    section(quote! {
        Table(::isx::__rt::record::TableDesc {
            name: #name,
            kind: ::isx::__rt::TableKind::#kind,
            public: #public,
            version: #version,
            columns: &[#(#columns),*],
            primary_key: #primary_key,
            auto_inc: #auto_inc,
            indexes: &[#(#indexes),*],
        })
    })
}

/// The `FillDesc` of a column. The compiler says at its place in the source what is no value of the column's type.
fn fill_tokens(fill: &Fill, ty: &Type) -> TokenStream {
    let (expression, literal) = match fill {
        Fill::Created => return quote!(::isx::__rt::record::FillDesc::Created),
        Fill::Updated => return quote!(::isx::__rt::record::FillDesc::Updated),
        Fill::Session => return quote!(::isx::__rt::record::FillDesc::Session),
        Fill::Caller => return quote!(::isx::__rt::record::FillDesc::Caller),
        Fill::Value { expression, literal } => (expression, literal),
    };
    // A variant is known to the schema by its name alone: that it is this type's is Rust's to check.
    let variant = default::names_variant(expression).then(|| quote!(const _: #ty = #expression;));
    quote_spanned! {expression.span()=> {
        #variant
        const LITERAL: ::isx::__rt::literal::Literal = #literal;
        const BYTES: [u8; ::isx::__rt::literal::len(<#ty as ::isx::Typed>::DESC, &LITERAL)] =
            ::isx::__rt::literal::bytes(<#ty as ::isx::Typed>::DESC, &LITERAL);
        ::isx::__rt::record::FillDesc::Value(&BYTES)
    }}
}

/// What the record of a reducer, query or view says.
pub struct Function<'a> {
    /// Which of the three.
    pub kind: Kind,
    /// Its name.
    pub name: &'a str,
    /// Whether any principal that reaches the module may call it.
    pub public: bool,
    /// Its arguments.
    pub arguments: &'a [Argument],
    /// The `Result` type that it returns or that stands for it.
    pub outcome: &'a TokenStream,
    /// The `HookDesc` of a hook.
    pub hook: Option<TokenStream>,
    /// The `AccessDesc` of a reducer, the tables of a query; none when it declares nothing.
    pub access: Option<TokenStream>,
    /// The fields that tell the rows of a view apart.
    pub key: Option<TokenStream>,
}

/// The record of a reducer, query or view.
pub fn function(function: Function<'_>) -> TokenStream {
    let Function { kind, name, public, arguments, outcome, hook, access, key } = function;
    let arguments = arguments.iter().map(|argument| {
        let (name, ty) = (&argument.name, &argument.ty);
        quote!(::isx::__rt::FieldDesc { name: #name, ty: <#ty as ::isx::Typed>::DESC })
    });
    let (hook, access, key) = (option(hook), option(access), option(key));
    let common = quote! {
        name: #name,
        public: #public,
        arguments: &[#(#arguments),*],
        answer: <<#outcome as ::isx::__rt::Returned>::Answer as ::isx::Typed>::DESC,
        error: <<#outcome as ::isx::__rt::Returned>::Failure as ::isx::Failure>::__DESC,
    };
    section(match kind {
        Kind::Reducer => quote!(Reducer(::isx::__rt::record::ReducerDesc { #common hook: #hook, access: #access })),
        Kind::Query | Kind::View => {
            quote!(Query(::isx::__rt::record::QueryDesc { #common reads: #access, key: #key }))
        }
    })
}

/// The record of another module that is called.
pub fn link(when: When, path: &syn::LitStr, sent: &[Sent]) -> TokenStream {
    let functions = sent.iter().map(|Sent { name, arguments, answer }| {
        let arguments = arguments.iter().map(|argument| {
            let (name, ty) = (&argument.name, &argument.ty);
            quote!(::isx::__rt::FieldDesc { name: #name, ty: <#ty as ::isx::Typed>::DESC })
        });
        quote!(::isx::__rt::record::SentDesc {
            name: #name,
            arguments: &[#(#arguments),*],
            answer: <#answer as ::isx::Typed>::DESC,
        })
    });
    let functions = quote!(&[#(#functions),*]);
    let (sends, joins) = match when {
        When::Send => (functions, quote!(&[])),
        When::Together => (quote!(&[]), functions),
    };
    section(quote!(Link(::isx::__rt::record::LinkDesc { path: #path, sends: #sends, joins: #joins })))
}

/// A static in the custom section. On the host, where there is no such section, it is registered for tests.
fn section(record: TokenStream) -> TokenStream {
    quote! {
        const RECORD: ::isx::__rt::record::RecordDesc = ::isx::__rt::record::RecordDesc::#record;
        #[cfg_attr(target_family = "wasm", unsafe(link_section = "isx:schema"))]
        #[used]
        static BYTES: [u8; ::isx::__rt::record::len(&RECORD)] = ::isx::__rt::record::bytes(&RECORD);
        #[cfg(not(target_family = "wasm"))]
        ::isx::__rt::inventory::submit! { ::isx::__rt::Record(&BYTES) }
    }
}

fn positions(positions: &[usize]) -> TokenStream {
    let positions = positions.iter().map(|position| *position as u16);
    quote!(&[#(#positions),*])
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
