//! Volatile tables: rows that callers put and follow, and no function sees.

use super::{Fill, Table};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, ItemStruct, Result};

/// Checks what a volatile table has to have, and must not have.
pub fn check(table: &Table, row: &ItemStruct) -> Result<()> {
    let caller = table.filled.iter().find(|filled| matches!(filled.fill, Fill::Caller));
    if table.kind != "Volatile" {
        return caller.map_or(Ok(()), |filled| {
            let cure = "only rows of a `#[isx::table(volatile)]` are put by their caller; add the word, or delete `#[caller]` \
                        and write `ctx.caller()` in the reducer";
            Err(Error::new(table.columns[filled.column].ty.span(), cure))
        });
    }
    if let Some(filled) = table.filled.iter().find(|filled| !matches!(filled.fill, Fill::Caller)) {
        let cure = "a volatile table has no older rows, no log time and no `#[session]` column: its rows go with their \
                    session anyway; delete the attribute";
        return Err(Error::new(table.columns[filled.column].ty.span(), cure));
    }
    if table.auto_inc.is_some() || !table.indexes.is_empty() {
        let cure = "a volatile table keeps last values by their key alone: it has no indexes, nothing unique or due, and no \
                    auto_inc; remove them";
        return Err(Error::new(row.ident.span(), cure));
    }
    match caller {
        None => {
            let cure = "everybody puts rows of his own: add `#[primary_key] #[caller] who: isx::Principal`, which the host \
                        writes";
            Err(Error::new(row.ident.span(), cure))
        }
        Some(filled) if !table.primary_key.contains(&filled.column) => {
            let cure = "without it in the key one caller could overwrite another's row; add `#[primary_key]`";
            Err(Error::new(table.columns[filled.column].ty.span(), cure))
        }
        Some(_) => Ok(()),
    }
}

/// What stands where other tables have their handle: `ctx.db.NAME()` does not compile, and says what to do.
pub fn no_handle(row: &ItemStruct, table: &Table) -> TokenStream {
    let (ident, visibility) = (&row.ident, &row.vis);
    let (door, method) = (format_ident!("{ident}Db"), format_ident!("{}", table.name));
    let doc =
        format!("The table `{}` is volatile: callers put and follow its rows, and no function sees them.", table.name);
    // Where it is not asked for it waits for a lifetime, and nobody is told.
    let never = quote!(where &'never #ident: ::isx::__rt::OfFunctions);
    quote! {
        #[doc = #doc]
        #[allow(dead_code, reason = "it is there to say why there is none")]
        #visibility trait #door<A> {
            #[doc = #doc]
            fn #method<'never>(&self) -> ::core::convert::Infallible #never;
        }

        impl<A> #door<A> for ::isx::Db<A> {
            fn #method<'never>(&self) -> ::core::convert::Infallible #never {
                <&'never #ident as ::isx::__rt::OfFunctions>::never()
            }
        }
    }
}
