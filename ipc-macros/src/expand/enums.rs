//! Enums: a tag, and for some variants fields behind it.
//!
//! `offset_of!` into a variant is unstable, so the layout of `repr(C, u8)` is spelled out as the reference defines it:
//! a struct of the tag and a union of one struct for each variant. A check compares its size and alignment with the
//! enum's.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{Extent, Members, Placed, field_table};
use crate::ast::{Message, Variant};

pub(super) fn members(message: &Message<'_>, name: &str, variants: &[Variant<'_>]) -> Members {
    let tag = match &message.attrs.repr.int {
        Some(int) => int.clone(),
        // `valid` refused an enum without one.
        None => format_ident!("u8"),
    };
    let tags: Vec<Ident> = (0..variants.len()).map(|at| format_ident!("__TAG_{at}")).collect();
    let values = tag_values(&tag, &tags, variants);
    let has_fields = variants.iter().any(|variant| !variant.fields.is_empty());
    let placed: Vec<Vec<Placed>> = placed_fields(message, variants);
    let layout = has_fields.then(|| layout(message, &tag, variants));
    let checks = has_fields.then(|| {
        let (_, ty_generics, _) = message.generics.split_for_impl();
        quote!(__private::check_layout::<Self, __Layout #ty_generics>();)
    });
    let kind = kind(&tag, &tags, variants, has_fields.then_some(placed.as_slice()));
    Members {
        kind,
        any_bits: quote!(false),
        dense: if has_fields { quote!(false) } else { quote!(true) },
        extent: Extent::fixed(),
        validate: validate(name, &tag, &tags, &placed),
        place: place(&tags, variants, &placed),
        place_blank: place_blank(&tags, &placed),
        items: quote!(#values #layout),
        checks: quote!(#checks),
    }
}

/// A constant for each variant's tag, by the rule of the language: the given value, or one more than the last.
fn tag_values(tag: &Ident, tags: &[Ident], variants: &[Variant<'_>]) -> TokenStream {
    let values = variants.iter().enumerate().map(|(at, variant)| {
        let name = &tags[at];
        let value = match (variant.discriminant, at.checked_sub(1).map(|last| &tags[last])) {
            (Some(value), _) => quote!(#value),
            (None, Some(last)) => quote!(#last.wrapping_add(1)),
            (None, None) => quote!(0),
        };
        quote!(const #name: ::core::primitive::#tag = #value;)
    });
    values.collect()
}

/// The structs that the language defines the layout of an enum with fields by.
fn layout(message: &Message<'_>, tag: &Ident, variants: &[Variant<'_>]) -> TokenStream {
    let generics = message.generics;
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let params: Vec<_> = generics.type_params().map(|param| &param.ident).collect();
    let with_fields = || variants.iter().enumerate().filter(|(_, variant)| !variant.fields.is_empty());
    let structs = with_fields().map(|(at, variant)| {
        let ident = variant_struct(at);
        let fields = (0..variant.fields.len()).map(field_name);
        let types = variant.fields.iter().map(|field| field.ty);
        quote! {
            #[repr(C)]
            struct #ident #impl_generics #where_clause {
                #(#fields: #types,)*
                // Uses every parameter, and takes no room.
                params: ::core::marker::PhantomData<fn() -> (#(#params,)*)>,
            }
        }
    });
    let payload_fields = with_fields().map(|(at, _)| format_ident!("v{at}"));
    let payload_types = with_fields().map(|(at, _)| variant_struct(at));
    quote! {
        #(#structs)*
        #[repr(C)]
        union __Payload #impl_generics #where_clause {
            #(#payload_fields: ::core::mem::ManuallyDrop<#payload_types #ty_generics>,)*
        }
        #[repr(C)]
        struct __Layout #impl_generics #where_clause {
            tag: ::core::primitive::#tag,
            payload: __Payload #ty_generics,
        }
    }
}

fn placed_fields<'a>(message: &Message<'_>, variants: &'a [Variant<'a>]) -> Vec<Vec<Placed<'a>>> {
    let (_, ty_generics, _) = message.generics.split_for_impl();
    let of_variant = |(at, variant): (usize, &'a Variant<'a>)| {
        let layout = variant_struct(at);
        let variant_name = variant.name();
        let placed = variant.fields.iter().enumerate().map(|(at, field)| {
            let binding = field_name(at);
            let name = field.name();
            Placed {
                ty: field.ty,
                label: format!("{variant_name}.{name}"),
                name,
                offset: quote! {
                    ::core::mem::offset_of!(__Layout #ty_generics, payload)
                        + ::core::mem::offset_of!(#layout #ty_generics, #binding)
                },
                value: quote!(#binding),
                varies: false,
            }
        });
        placed.collect()
    };
    variants.iter().enumerate().map(of_variant).collect()
}

/// The `schema::Kind`; an enum with fields comes with them.
fn kind(tag: &Ident, tags: &[Ident], variants: &[Variant<'_>], fields: Option<&[Vec<Placed<'_>>]>) -> TokenStream {
    let names = variants.iter().map(Variant::name);
    let prim = format_ident!("{}", tag.to_string().to_uppercase());
    // Through the unsigned type of the same width, so that a negative tag is not sign-extended.
    let unsigned = format_ident!("{}", tag.to_string().replace('i', "u"));
    let bits = tags.iter().map(|tag| quote!(#tag as ::core::primitive::#unsigned as ::core::primitive::u64));
    match fields {
        None => quote! {
            __schema::Kind::Enum {
                tag: __schema::Prim::#prim,
                values: &[#(__schema::UnitVariant { name: #names, bits: #bits }),*],
            }
        },
        Some(fields) => {
            let tables = fields.iter().map(|fields| field_table(fields));
            quote! {
                __schema::Kind::Union {
                    tag: __schema::Prim::#prim,
                    variants: &[#(__schema::Variant { name: #names, bits: #bits, fields: #tables }),*],
                }
            }
        }
    }
}

fn validate(name: &str, tag: &Ident, tags: &[Ident], placed: &[Vec<Placed<'_>>]) -> TokenStream {
    let arms = tags.iter().zip(placed).map(|(tag, fields)| {
        let fields = fields.iter().map(|field| field.validate(name));
        quote!(#tag => { #(#fields)* })
    });
    quote! {
        // SAFETY: the tag is at the start of what the caller vouches for.
        match unsafe { __at.cast::<::core::primitive::#tag>().read() } {
            #(#arms)*
            __tag => return ::core::result::Result::Err(__private::Tag::invalid(__tag, #name)),
        }
    }
}

fn place(tags: &[Ident], variants: &[Variant<'_>], placed: &[Vec<Placed<'_>>]) -> TokenStream {
    let arms = variants.iter().zip(tags).zip(placed).map(|((variant, tag), fields)| {
        let ident = variant.ident;
        let members = variant.fields.iter().map(|field| &field.member);
        let bindings = (0..variant.fields.len()).map(field_name);
        let store = store_tag(tag);
        let fields = fields.iter().map(Placed::place);
        quote!(Self::#ident { #(#members: #bindings),* } => { #store #(#fields)* })
    });
    quote!(match self { #(#arms)* })
}

fn place_blank(tags: &[Ident], placed: &[Vec<Placed<'_>>]) -> TokenStream {
    let tag = tags.first().map(store_tag);
    let fields = placed.iter().take(1).flatten().map(Placed::place_blank);
    quote!(#tag #(#fields)*)
}

fn store_tag(tag: &Ident) -> TokenStream {
    quote! {
        // SAFETY: the tag is at the start of the destination that the caller vouches for.
        unsafe { __private::Tag::store(#tag, __to.cast()) };
    }
}

fn variant_struct(at: usize) -> Ident {
    format_ident!("__Variant{at}")
}

fn field_name(at: usize) -> Ident {
    format_ident!("__f{at}")
}
