//! `isx::embed!`: the bytes of a component that was built before this one.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{LitStr, Result};

/// Expands `isx::embed!("name")`.
pub fn expand(name: TokenStream) -> Result<TokenStream> {
    let name: LitStr = syn::parse2(name)?;
    let variable = variable(&name.value());
    // Cargo builds again when the variable or the file changes: both are named in the expansion.
    Ok(match std::env::var(&variable) {
        Ok(path) => quote!({
            const _: ::core::option::Option<&str> = ::core::option_env!(#variable);
            const EMBEDDED: &[u8] = ::core::include_bytes!(#path);
            EMBEDDED
        }),
        Err(_) => {
            let text = format!(
                "the component `{0}` to embed was not given: build through `isx build --embed {0}=FILE`, or set {variable} \
                 to the file's path",
                name.value()
            );
            // Unit tests on the host need no component.
            quote!({
                const _: ::core::option::Option<&str> = ::core::option_env!(#variable);
                #[cfg(target_family = "wasm")]
                ::core::compile_error!(#text);
                const EMBEDDED: &[u8] = &[];
                EMBEDDED
            })
        }
    })
}

/// As `isx build` names it.
fn variable(name: &str) -> String {
    let word =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    "ISX_EMBED_".chars().chain(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_variables() {
        assert_eq!(variable("word-count"), "ISX_EMBED_WORD_COUNT");
    }

    #[test]
    fn without_the_file_only_wasm_is_refused() {
        let expanded = expand(quote!("nobody-built-this")).unwrap().to_string();
        assert!(expanded.contains("cfg (target_family = \"wasm\")"), "{expanded}");
        assert!(expanded.contains("isx build --embed nobody-built-this=FILE"), "{expanded}");
    }
}
