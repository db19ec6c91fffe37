//! `#[isx::send]` and `#[isx::together]`: declare the functions of another module that this one sends calls of, or calls within
//! its own transactions.

use crate::attributes::name_of;
use crate::function::{Argument, check_plain, refuse_borrowed};
use crate::record;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemTrait, LitStr, Pat, Result, ReturnType, TraitItem, TraitItemFn, Type};

/// A function of the other module.
pub struct Sent {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// What it answers.
    pub answer: TokenStream,
}

/// When what is called happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After the transaction that sends it.
    Send,
    /// Within the transaction.
    Together,
}

impl When {
    fn usage(self) -> &'static str {
        match self {
            Self::Send => "write `#[isx::send(\"/self/hello\")] trait Hello { fn greet(name: String) -> u64; }`",
            Self::Together => {
                "write `#[isx::together(\"/self/bank\")] trait Bank { fn pay(to: String, amount: u64) -> u64; }`"
            }
        }
    }
}

/// Expands `#[isx::send("/path")]` or `#[isx::together("/path")]` on `item`.
pub fn expand(when: When, path: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let usage = when.usage();
    let path: LitStr = syn::parse2(path.clone()).map_err(|_| Error::new(path.span(), usage))?;
    check_path(&path, &path.value())?;
    let item: ItemTrait = syn::parse2(item).map_err(|error| Error::new(error.span(), usage))?;
    if !item.generics.params.is_empty() || !item.supertraits.is_empty() {
        return Err(Error::new(
            item.ident.span(),
            "this stands for one module; it has neither parameters nor others above it",
        ));
    }
    let mut sent = Vec::new();
    let mut methods = Vec::new();
    for function in &item.items {
        let TraitItem::Fn(function) = function else {
            return Err(Error::new(function.span(), "a module has functions here and nothing else"));
        };
        let one = read(when, function)?;
        methods.push(method(when, &path, function, &one));
        sent.push(one);
    }
    if sent.is_empty() {
        return Err(Error::new(item.ident.span(), "name the functions that are called"));
    }
    let section = record::link(when, &path, &sent);
    let (attributes, visibility, ident) = (&item.attrs, &item.vis, &item.ident);
    Ok(quote! {
        #(#attributes)*
        #[derive(Clone, Copy, Debug)]
        #visibility struct #ident;
        impl #ident {
            #(#methods)*
        }
        const _: () = {
            #section
        };
    })
}

/// Refuses what is no path of a mount.
pub fn check_path(place: &LitStr, path: &str) -> Result<()> {
    let mut names = path.split('/');
    let rooted = names.next() == Some("") && path.matches('/').count() >= 2;
    if !rooted || !names.all(|name| !name.is_empty() && !name.contains([':', '*'])) {
        return Err(Error::new(place.span(), "a mount is named by its whole path, as in \"/self/hello\""));
    }
    Ok(())
}

fn read(when: When, function: &TraitItemFn) -> Result<Sent> {
    check_plain("function of another module", &function.sig)?;
    if let Some(body) = &function.default {
        return Err(Error::new(body.span(), "the other module has the body; write `;`"));
    }
    let mut arguments = Vec::new();
    for input in &function.sig.inputs {
        let FnArg::Typed(typed) = input else {
            return Err(Error::new(input.span(), "name the function's own arguments, without `self` and `ctx`"));
        };
        let Pat::Ident(pattern) = &*typed.pat else {
            return Err(Error::new(typed.pat.span(), "callers know an argument by its name: give it one"));
        };
        refuse_borrowed(&typed.ty)?;
        arguments.push(Argument { name: name_of(&pattern.ident)?, ty: (*typed.ty).clone() });
    }
    let answer = match &function.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => match &**ty {
            Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result") => {
                let refused = match when {
                    When::Send => "name what the reducer answers; what it refuses comes with the reply",
                    When::Together => {
                        "name what the function answers; what it refuses is an `isx::Error` for its caller"
                    }
                };
                return Err(Error::new(ty.span(), refused));
            }
            ty => {
                refuse_borrowed(ty)?;
                quote!(#ty)
            }
        },
    };
    Ok(Sent { name: name_of(&function.sig.ident)?, arguments, answer })
}

fn method(when: When, path: &LitStr, function: &TraitItemFn, sent: &Sent) -> TokenStream {
    let (attributes, ident, name) = (&function.attrs, &function.sig.ident, &sent.name);
    let names: Vec<_> = (0..sent.arguments.len()).map(|position| format_ident!("argument_{position}")).collect();
    let types = sent.arguments.iter().map(|argument| &argument.ty);
    let (documentation, returns, call) = match when {
        When::Send => (
            format!(
                "Sends a call of `{name}` to {}: it leaves when this call commits, arrives once and in order, and gives the \
                 number under which the hook on its reply hears of it.\n\n# Errors\n`limit` when too much waits to be \
                 delivered, `not_found` when the link was not made.",
                path.value()
            ),
            quote!(u64),
            quote!(send),
        ),
        When::Together => (
            format!(
                "Calls `{name}` of {} within this transaction: what it does there is kept if this call commits.\n\n# \
                 Errors\nWhat it refuses, its own error as its text with code `application`; nothing is changed there then. \
                 `cycle` when it waits for what this call answers, `gone` when it was removed.",
                path.value()
            ),
            sent.answer.clone(),
            quote!(joined),
        ),
    };
    quote! {
        #(#attributes)*
        #[doc = #documentation]
        #[allow(clippy::too_many_arguments, reason = "as many as the reducer has")]
        pub fn #ident(_: &::isx::ReducerContext #(, #names: #types)*) -> ::core::result::Result<#returns, ::isx::Error> {
            #[allow(unused_mut, reason = "there may be no arguments")]
            let mut bytes = ::std::vec![0, 0];
            {
                #[allow(unused_mut, unused_variables, reason = "there may be no arguments")]
                let mut record = ::isx::__rt::RecordWriter::new(&mut bytes);
                #(record.slot(&#names);)*
                #(record.tail(&#names);)*
            }
            ::isx::__rt::#call(#path, #name, &bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: TokenStream, item: TokenStream, expected: &str) {
        match (expand(When::Send, path, item), expected) {
            (Ok(_), "") => {}
            (Ok(_), expected) => panic!("allowed; expected {expected:?}"),
            (Err(error), "") => panic!("{error}"),
            (Err(error), expected) => assert!(error.to_string().contains(expected), "{error}; expected {expected:?}"),
        }
    }

    #[test]
    fn misuse_is_refused_with_its_cure() {
        let hello = |inner: TokenStream| quote!(trait Hello { #inner });
        let path = || quote!("/self/hello");
        check(
            path(),
            hello(quote!(
                fn greet(name: String) -> u64;
                fn forget();
            )),
            "",
        );
        check(
            quote!(),
            hello(quote!(
                fn greet();
            )),
            "write `#[isx::send",
        );
        check(
            quote!("hello"),
            hello(quote!(
                fn greet();
            )),
            "\"/self/hello\"",
        );
        check(
            quote!("/self/hello:greet"),
            hello(quote!(
                fn greet();
            )),
            "\"/self/hello\"",
        );
        check(path(), hello(quote!()), "name the functions");
        check(
            path(),
            quote!(
                struct Hello;
            ),
            "write `#[isx::send",
        );
        check(
            path(),
            quote!(
                trait Hello<T> {
                    fn greet();
                }
            ),
            "stands for one module",
        );
        check(
            path(),
            hello(quote!(
                const A: u8;
            )),
            "and nothing else",
        );
        check(
            path(),
            hello(quote!(
                fn greet(&self);
            )),
            "without `self`",
        );
        check(
            path(),
            hello(quote!(
                fn greet(name: &str);
            )),
            "write `String`",
        );
        check(
            path(),
            hello(quote!(
                fn greet() {}
            )),
            "write `;`",
        );
        check(
            path(),
            hello(quote!(
                async fn greet();
            )),
            "delete `async`",
        );
        check(
            path(),
            hello(quote!(
                fn greet() -> Result<u64, Error>;
            )),
            "comes with the reply",
        );
        check(
            path(),
            hello(quote!(
                fn Greet();
            )),
            "spelled with a to z",
        );
    }

    #[test]
    fn what_is_called_within_a_transaction_is_declared_alike() {
        let declared = quote!(
            trait Bank {
                fn pay(to: String, amount: u64) -> u64;
            }
        );
        let expanded = expand(When::Together, quote!("/self/bank"), declared).expect("allowed").to_string();
        assert!(expanded.contains("joins") && expanded.contains("joined"), "{expanded}");
        let refused =
            |path: TokenStream, item: TokenStream| expand(When::Together, path, item).expect_err("refused").to_string();
        let result = quote!(
            trait Bank {
                fn pay() -> Result<u64, Error>;
            }
        );
        assert!(refused(quote!("/self/bank"), result).contains("is an `isx::Error`"));
        assert!(
            refused(
                quote!(),
                quote!(
                    struct Bank;
                )
            )
            .contains("write `#[isx::together")
        );
    }
}
