//! `isx::module!`: declares the module in the schema and exports it to the host.

use crate::attributes::Settings;
use crate::record;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Result};

/// Expands `isx::module!(settings)`.
pub fn expand(settings: TokenStream) -> Result<TokenStream> {
    let mut settings = Settings::read(settings)?;
    let public = settings.word("public")?;
    if settings.word("private")? && public {
        return Err(Error::new(Span::call_site(), "`public` and `private` exclude each other; keep one"));
    }
    settings.done("public, private")?;
    let section = record::module(public);
    Ok(quote! {
        const _: () = {
            #section
            #[allow(dead_code, reason = "there is nothing to export to on the host")]
            struct Exports;
            impl ::isx::__rt::Guest for Exports {
                fn call(name: ::std::string::String, arguments: ::std::vec::Vec<u8>) -> ::isx::__rt::Outcome {
                    ::isx::__rt::call(&name, &arguments)
                }
            }
            #[cfg(target_family = "wasm")]
            ::isx::__rt::export!(Exports with_types_in ::isx::__rt::bindings);
        };
    })
}
