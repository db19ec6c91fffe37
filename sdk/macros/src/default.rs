//! `#[default(…)]`: reads a literal of the source, which the SDK turns into bytes of the column's type at compile time.

use crate::attributes::snake_name_of;
use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, LitInt, Path, Result, UnOp};

const CURE: &str = "a default is a literal: a number, a text, `true`, `None`, `Some(…)`, `[]`, `Time(…)`, `Span(…)` or a variant \
                    `Type::Variant` without fields";

/// The `Literal` of the SDK that the expression stands for.
pub fn literal(expression: &Expr) -> Result<TokenStream> {
    Ok(match expression {
        Expr::Paren(inner) => return literal(&inner.expr),
        Expr::Group(inner) => return literal(&inner.expr),
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Bool(flag) => quote!(::isx::__rt::literal::Literal::Bool(#flag)),
            Lit::Int(number) => integer(number, false)?,
            Lit::Float(number) => float(number, false)?,
            Lit::Str(text) => quote!(::isx::__rt::literal::Literal::Text(#text)),
            Lit::ByteStr(bytes) => quote!(::isx::__rt::literal::Literal::Bytes(#bytes)),
            other => return Err(Error::new(other.span(), CURE)),
        },
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => match &*unary.expr {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => integer(number, true)?,
            Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => float(number, true)?,
            other => return Err(Error::new(other.span(), CURE)),
        },
        Expr::Path(path) if path.path.is_ident("None") => quote!(::isx::__rt::literal::Literal::None),
        Expr::Path(path) if names_variant(expression) => {
            let Some(last) = path.path.segments.last() else { return Err(Error::new(path.span(), CURE)) };
            let name = snake_name_of(&last.ident)?;
            quote!(::isx::__rt::literal::Literal::Variant(#name))
        }
        Expr::Call(call) => {
            let (Expr::Path(called), Some(inner), 1) = (&*call.func, call.args.first(), call.args.len()) else {
                return Err(Error::new(call.span(), CURE));
            };
            if ends_with(&called.path, "Some") {
                let inner = literal(inner)?;
                quote!(::isx::__rt::literal::Literal::Some(&#inner))
            } else if ends_with(&called.path, "Time") {
                quote!(::isx::__rt::literal::Literal::Time(#inner))
            } else if ends_with(&called.path, "Span") {
                quote!(::isx::__rt::literal::Literal::Span(#inner))
            } else {
                return Err(Error::new(call.span(), CURE));
            }
        }
        Expr::Array(array) if array.elems.is_empty() => quote!(::isx::__rt::literal::Literal::Empty),
        other => return Err(Error::new(other.span(), CURE)),
    })
}

/// Whether the expression names a variant: by a path, which the compiler can check against the column's type.
pub fn names_variant(expression: &Expr) -> bool {
    match expression {
        Expr::Path(path) => path.path.segments.len() > 1,
        Expr::Paren(inner) => names_variant(&inner.expr),
        Expr::Group(inner) => names_variant(&inner.expr),
        Expr::Call(call) => call.args.iter().any(names_variant),
        _ => false,
    }
}

fn integer(number: &LitInt, negative: bool) -> Result<TokenStream> {
    unsuffixed(number.suffix(), number.span())?;
    let value: u128 = number.base10_parse()?;
    Ok(quote!(::isx::__rt::literal::Literal::Integer { negative: #negative, value: #value }))
}

fn float(number: &syn::LitFloat, negative: bool) -> Result<TokenStream> {
    unsuffixed(number.suffix(), number.span())?;
    let value: f64 = number.base10_parse()?;
    if !value.is_finite() {
        return Err(Error::new(number.span(), "a default is finite; write a smaller number"));
    }
    let minus = negative.then(|| quote!(-));
    Ok(quote!(::isx::__rt::literal::Literal::Float(#minus #value)))
}

fn unsuffixed(suffix: &str, span: proc_macro2::Span) -> Result<()> {
    if suffix.is_empty() {
        return Ok(());
    }
    Err(Error::new(span, format!("the column says which type; write the number without `{suffix}`")))
}

fn ends_with(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name)
}
