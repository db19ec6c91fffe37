//! `#[isx::main]`: makes a function the main function of a ROM.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, ItemFn, Result};

/// Expands `#[isx::main]` with its `settings` on `item`.
pub fn expand(settings: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !settings.is_empty() {
        return Err(Error::new(settings.span(), "this takes no settings; write `#[isx::main]`"));
    }
    let wanted = "a ROM begins with `async fn main(host: Host) -> isx::rom::Result`";
    let function: ItemFn = syn::parse2(item).map_err(|error| Error::new(error.span(), wanted))?;
    let signature = &function.sig;
    if signature.asyncness.is_none() || signature.inputs.len() != 1 || !signature.generics.params.is_empty() {
        return Err(Error::new(signature.span(), wanted));
    }
    let main = &signature.ident;
    Ok(quote! {
        #function
        const _: () = {
            #[allow(dead_code, reason = "there is nothing to export to on the host")]
            struct Exports;
            impl ::isx::rom::bindings::exports::wasi::cli::run::Guest for Exports {
                async fn run() -> ::core::result::Result<(), ()> {
                    ::isx::rom::run(#main).await
                }
            }
            #[cfg(target_family = "wasm")]
            ::isx::rom::export_rom!(Exports with_types_in ::isx::rom::bindings);
        };
    })
}
