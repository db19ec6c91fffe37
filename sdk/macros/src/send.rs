//! `#[isx::send]`: declares the reducers of another module that this one sends calls of.

use crate::attributes::name_of;
use crate::function::{Argument, check_plain, refuse_borrowed};
use crate::record;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, FnArg, ItemTrait, LitStr, Pat, Result, ReturnType, TraitItem, TraitItemFn, Type};

/// A reducer of the other module.
pub struct Sent {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// What it answers.
    pub answer: TokenStream,
}

/// Expands `#[isx::send("/path")]` on `item`.
pub fn expand(path: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let usage = "write `#[isx::send(\"/self/hello\")] trait Hello { fn greet(name: String) -> u64; }`";
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
            return Err(Error::new(function.span(), "a module has reducers here and nothing else"));
        };
        let one = read(function)?;
        methods.push(method(&path, function, &one));
        sent.push(one);
    }
    if sent.is_empty() {
        return Err(Error::new(item.ident.span(), "name the reducers that are sent to"));
    }
    let section = record::link(&path, &sent);
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

fn read(function: &TraitItemFn) -> Result<Sent> {
    check_plain("reducer that is sent to", &function.sig)?;
    if let Some(body) = &function.default {
        return Err(Error::new(body.span(), "the other module has the body; write `;`"));
    }
    let mut arguments = Vec::new();
    for input in &function.sig.inputs {
        let FnArg::Typed(typed) = input else {
            return Err(Error::new(input.span(), "name the reducer's own arguments, without `self` and `ctx`"));
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
                return Err(Error::new(
                    ty.span(),
                    "name what the reducer answers; what it refuses comes with the reply",
                ));
            }
            ty => {
                refuse_borrowed(ty)?;
                quote!(#ty)
            }
        },
    };
    Ok(Sent { name: name_of(&function.sig.ident)?, arguments, answer })
}

fn method(path: &LitStr, function: &TraitItemFn, sent: &Sent) -> TokenStream {
    let (attributes, ident, reducer) = (&function.attrs, &function.sig.ident, &sent.name);
    let names: Vec<_> = (0..sent.arguments.len()).map(|position| format_ident!("argument_{position}")).collect();
    let types = sent.arguments.iter().map(|argument| &argument.ty);
    let documentation = format!(
        "Sends a call of `{reducer}` to {}: it leaves when this call commits, arrives once and in order, and gives the number \
         under which the hook on its reply hears of it.\n\n# Errors\n`limit` when too much waits to be delivered, `not_found` \
         when the link was not made.",
        path.value()
    );
    quote! {
        #(#attributes)*
        #[doc = #documentation]
        #[allow(clippy::too_many_arguments, reason = "as many as the reducer has")]
        pub fn #ident(_: &::isx::ReducerContext #(, #names: #types)*) -> ::core::result::Result<u64, ::isx::Error> {
            #[allow(unused_mut, reason = "there may be no arguments")]
            let mut bytes = ::std::vec![0, 0];
            {
                #[allow(unused_mut, unused_variables, reason = "there may be no arguments")]
                let mut record = ::isx::__rt::RecordWriter::new(&mut bytes);
                #(record.slot(&#names);)*
                #(record.tail(&#names);)*
            }
            ::isx::__rt::send(#path, #reducer, &bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: TokenStream, item: TokenStream, expected: &str) {
        match (expand(path, item), expected) {
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
        check(path(), hello(quote!()), "name the reducers");
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
}
