//! Reads the words and settings inside an attribute: `#[isx::table(public, event, name = "x")]`.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Meta, Result, Token};

/// The settings of one attribute, each a word or `word = value`, none twice.
pub struct Settings {
    metas: Vec<Meta>,
}

impl Parse for Settings {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let metas: Vec<Meta> = Punctuated::<Meta, Token![,]>::parse_terminated(input)?.into_iter().collect();
        for (position, meta) in metas.iter().enumerate() {
            if metas[..position].iter().any(|earlier| earlier.path() == meta.path()) {
                return Err(Error::new(meta.span(), "this is given twice; delete one"));
            }
        }
        Ok(Self { metas })
    }
}

impl Settings {
    /// Reads the settings of an attribute macro.
    pub fn read(tokens: proc_macro2::TokenStream) -> Result<Self> {
        Self::parse.parse2(tokens)
    }

    /// The settings of a helper attribute: `#[name]`, or `#[name(…)]`.
    pub fn of(attribute: &syn::Attribute) -> Result<Self> {
        match &attribute.meta {
            Meta::Path(_) => Ok(Self { metas: Vec::new() }),
            _ => attribute.parse_args_with(Self::parse),
        }
    }

    /// Takes the word out; whether it was there.
    pub fn word(&mut self, word: &str) -> Result<bool> {
        match self.take(word) {
            None => Ok(false),
            Some(Meta::Path(_)) => Ok(true),
            Some(other) => Err(Error::new(other.span(), format!("`{word}` takes no value; write `{word}`"))),
        }
    }

    /// Takes `word = "text"` out.
    pub fn text(&mut self, word: &str) -> Result<Option<LitStr>> {
        match self.take(word) {
            None => Ok(None),
            Some(Meta::NameValue(pair)) => match pair.value {
                Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(Some(text)),
                other => Err(Error::new(other.span(), format!("`{word}` takes a text; write `{word} = \"…\"`"))),
            },
            Some(other) => Err(Error::new(other.span(), format!("`{word}` takes a text; write `{word} = \"…\"`"))),
        }
    }

    /// Takes `word(a, b)` out: names.
    pub fn names(&mut self, word: &str) -> Result<Option<Vec<Ident>>> {
        match self.take(word) {
            None => Ok(None),
            Some(Meta::List(list)) => {
                Ok(Some(list.parse_args_with(Punctuated::<Ident, Token![,]>::parse_terminated)?.into_iter().collect()))
            }
            Some(other) => Err(Error::new(other.span(), format!("`{word}` takes names; write `{word}(one, two)`"))),
        }
    }

    /// Refuses whatever was not taken out.
    pub fn done(self, allowed: &str) -> Result<()> {
        match self.metas.first() {
            None => Ok(()),
            Some(meta) => Err(Error::new(meta.span(), format!("unknown here; allowed: {allowed}"))),
        }
    }

    fn take(&mut self, word: &str) -> Option<Meta> {
        let position = self.metas.iter().position(|meta| meta.path().is_ident(word))?;
        Some(self.metas.remove(position))
    }
}

/// Bytes of a name; the same bound as isx-row's, which refuses the schema later and without a place in the source.
const NAME_BYTES_MAX: usize = 64;

/// A name as the schema has it: without `r#`, and bounded.
pub fn name_of(ident: &Ident) -> Result<String> {
    let text = ident.to_string();
    checked_name(text.strip_prefix("r#").unwrap_or(&text), ident.span())
}

/// The name of a struct or variant as the schema has it.
pub fn snake_name_of(ident: &Ident) -> Result<String> {
    checked_name(&snake_case(&ident.to_string()), ident.span())
}

/// A name given as text.
pub fn name_in(text: &LitStr) -> Result<String> {
    checked_name(&text.value(), text.span())
}

fn checked_name(name: &str, span: Span) -> Result<String> {
    let mut letters = name.bytes();
    let begins = letters.next().is_some_and(|letter| letter.is_ascii_lowercase() || letter == b'_');
    if !begins || !letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_') {
        return Err(Error::new(span, "names in a schema are spelled with a to z, 0 to 9 and `_`, a letter first"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::new(span, format!("a name has at most {NAME_BYTES_MAX} bytes; shorten it")));
    }
    Ok(name.to_owned())
}

/// `HighScore` as `high_score`.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let word_begins = letter.is_uppercase()
            && !snake.is_empty()
            && !snake.ends_with('_')
            && (previous_lower || letters.peek().is_some_and(|next| next.is_lowercase()));
        if word_begins {
            snake.push('_');
        }
        previous_lower = letter.is_lowercase() || letter.is_ascii_digit();
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (camel, snake) in
            [("Greeting", "greeting"), ("HighScore", "high_score"), ("HTTPCall", "http_call"), ("V2Row", "v2_row")]
        {
            assert_eq!(snake_case(camel), snake);
        }
    }
}
