//! `#[derive(isx::Typed)]` and `#[derive(isx::Failure)]`: gives structs and enums their isx type and canonical encoding.

use crate::attributes::{name_of, snake_case, snake_name_of};
use crate::function::refuse_borrowed;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Index, LitInt, Member, Result, Type, Variant};

/// A member of a struct, a tuple or a variant.
pub struct Part {
    /// How Rust names it.
    pub member: Member,
    /// How the schema names it; empty within tuples.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// Expands `#[derive(isx::Typed)]`.
pub fn derive(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new(input.generics.span(), "a type of the schema has no parameters; write the types out"));
    }
    match &input.data {
        Data::Struct(data) => {
            let parts = parts(&data.fields)?;
            Ok(of_struct(&input.ident, &parts))
        }
        Data::Enum(data) => of_enum(&input.ident, data.variants.iter()),
        Data::Union(data) => Err(Error::new(data.union_token.span, "a union has no encoding; use an enum")),
    }
}

/// Expands `#[derive(isx::Failure)]`.
pub fn derive_failure(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new(input.generics.span(), "an error of a module has no parameters; write the types out"));
    }
    let ident = &input.ident;
    let text = match &input.data {
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|variant| {
                let ident = &variant.ident;
                let words = words(ident);
                quote!(Self::#ident { .. } => #words,)
            });
            quote!(match self { #(#variants)* })
        }
        _ => {
            let words = words(ident);
            quote!(#words)
        }
    };
    Ok(quote! {
        impl ::isx::Failure for #ident {
            const __DESC: ::core::option::Option<&'static ::isx::__rt::TypeDesc> =
                ::core::option::Option::Some(<Self as ::isx::Typed>::DESC);

            fn __fail(self) -> ::isx::__rt::Refused {
                let text = #text;
                ::isx::__rt::typed_failure(self, text)
            }
        }

        impl ::core::convert::From<#ident> for ::isx::Failed<#ident> {
            fn from(error: #ident) -> Self {
                Self::Own(error)
            }
        }

        // Never there: where `?` would need it, the compiler says what to do instead. The lifetime makes it wait until then.
        impl<'never> ::core::convert::From<::isx::Error> for #ident
        where
            &'never #ident: ::isx::__rt::BecomesOwn,
        {
            fn from(_: ::isx::Error) -> Self {
                match <&'never #ident as ::isx::__rt::BecomesOwn>::never() {}
            }
        }
    })
}

/// The implementation for a struct, or a tuple struct.
pub fn of_struct(ident: &Ident, parts: &[Part]) -> TokenStream {
    let members: Vec<&Member> = parts.iter().map(|part| &part.member).collect();
    let widths = widths(parts);
    let description = if parts.iter().any(|part| part.name.is_empty()) || parts.is_empty() {
        let types = parts.iter().map(|part| &part.ty);
        quote!(::isx::__rt::TypeDesc::Tuple(&[#(<#types as ::isx::Typed>::DESC),*]))
    } else {
        let fields = field_descriptions(parts);
        quote!(::isx::__rt::TypeDesc::Struct(#fields))
    };
    quote! {
        impl ::isx::Typed for #ident {
            const DESC: &'static ::isx::__rt::TypeDesc = &#description;

            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                let mut record = ::isx::__rt::RecordWriter::new(out);
                #(record.slot(&self.#members);)*
                #(record.tail(&self.#members);)*
            }

            fn decode(bytes: &[u8]) -> ::core::result::Result<Self, ::isx::__rt::CodecError> {
                let mut record = ::isx::__rt::RecordReader::new(bytes, const { ::isx::__rt::slots_bytes(#widths) })?;
                let value = Self { #(#members: record.member()?,)* };
                record.end()?;
                ::core::result::Result::Ok(value)
            }
        }
    }
}

fn of_enum<'a>(ident: &Ident, variants: impl Iterator<Item = &'a Variant>) -> Result<TokenStream> {
    let mut tags: Vec<u16> = Vec::new();
    let (mut described, mut encoded, mut decoded) = (Vec::new(), Vec::new(), Vec::new());
    for variant in variants {
        let tag = tag_of(variant, &tags)?;
        tags.push(tag);
        let parts = parts(&variant.fields)?;
        let (case, name) = (&variant.ident, snake_name_of(&variant.ident)?);
        let members: Vec<&Member> = parts.iter().map(|part| &part.member).collect();
        let bound: Vec<Ident> = (0..parts.len()).map(|position| format_ident!("part_{position}")).collect();
        let widths = widths(&parts);
        let fields = field_descriptions(&parts);
        described.push((tag, quote!(::isx::__rt::VariantDesc { name: #name, tag: #tag, fields: #fields })));
        encoded.push(quote!(Self::#case { #(#members: #bound),* } => {
            ::std::vec::Vec::extend_from_slice(out, &u16::to_le_bytes(#tag));
            let mut record = ::isx::__rt::RecordWriter::new(out);
            #(record.slot(#bound);)*
            #(record.tail(#bound);)*
        }));
        decoded.push(quote!(#tag => {
            let mut record = ::isx::__rt::RecordReader::new(record, const { ::isx::__rt::slots_bytes(#widths) })?;
            let value = Self::#case { #(#members: record.member()?,)* };
            record.end()?;
            ::core::result::Result::Ok(value)
        }));
    }
    if tags.is_empty() {
        return Err(Error::new(ident.span(), "an enum without variants has no value; add one"));
    }
    described.sort_by_key(|(tag, _)| *tag);
    let described = described.iter().map(|(_, variant)| variant);
    Ok(quote! {
        impl ::isx::Typed for #ident {
            const DESC: &'static ::isx::__rt::TypeDesc = &::isx::__rt::TypeDesc::Enum(&[#(#described),*]);

            fn encode(&self, out: &mut ::std::vec::Vec<u8>) {
                match self { #(#encoded)* }
            }

            fn decode(bytes: &[u8]) -> ::core::result::Result<Self, ::isx::__rt::CodecError> {
                let (tag, record) = ::isx::__rt::split_tag(bytes)?;
                match tag {
                    #(#decoded)*
                    _ => ::core::result::Result::Err(::isx::__rt::CodecError::NotCanonical("an unknown tag")),
                }
            }
        }
    })
}

fn parts(fields: &Fields) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (position, field) in fields.iter().enumerate() {
        refuse_borrowed(&field.ty)?;
        let (member, name) = match &field.ident {
            Some(ident) => (Member::Named(ident.clone()), name_of(ident)?),
            None => (Member::Unnamed(Index::from(position)), String::new()),
        };
        parts.push(Part { member, name, ty: field.ty.clone() });
    }
    Ok(parts)
}

fn tag_of(variant: &Variant, earlier: &[u16]) -> Result<u16> {
    let mut tags = variant.attrs.iter().filter(|attribute| attribute.path().is_ident("tag"));
    let (Some(attribute), None) = (tags.next(), tags.next()) else {
        let cure =
            "each variant has one tag, which stays its own for ever: put `#[tag(1)]` on it, another number on each";
        return Err(Error::new(variant.ident.span(), cure));
    };
    let tag = attribute.parse_args::<LitInt>()?.base10_parse::<u16>()?;
    if earlier.contains(&tag) {
        return Err(Error::new(attribute.span(), format!("tag {tag} is another variant's; use a number of its own")));
    }
    Ok(tag)
}

/// Fields as the schema describes them; those of tuple variants are called by position.
fn field_descriptions(parts: &[Part]) -> TokenStream {
    let fields = parts.iter().enumerate().map(|(position, part)| {
        let name = if part.name.is_empty() { format!("_{position}") } else { part.name.clone() };
        let ty = &part.ty;
        quote!(::isx::__rt::FieldDesc { name: #name, ty: <#ty as ::isx::Typed>::DESC })
    });
    quote!(&[#(#fields),*])
}

fn widths(parts: &[Part]) -> TokenStream {
    let types = parts.iter().map(|part| &part.ty);
    quote!(&[#(<#types as ::isx::Typed>::FIXED),*])
}

/// `NotEnough` as `not enough`.
fn words(ident: &Ident) -> String {
    snake_case(&ident.to_string()).replace('_', " ")
}
