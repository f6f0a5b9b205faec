//! Structs whose last field, the tail, varies in length.
//!
//! `offset_of!` and `size_of` do not take such a struct, so its layout is spelled out by one with an empty array in place
//! of the tail, which the language lays out alike. A check compares that with the struct itself.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Type;

use super::{Extent, Members, Placed, field_table};
use crate::ast::{Field, Message};

pub(super) fn members(message: &Message<'_>, name: &str, fields: &[Field<'_>], tail: &Field<'_>) -> Members {
    let (_, ty_generics, _) = message.generics.split_for_impl();
    let head = quote!(__Head #ty_generics);
    let (ty, member) = (tail.ty, &tail.member);
    let mut placed: Vec<_> = fields.iter().map(Placed::in_struct).collect();
    if let Some(last) = placed.last_mut() {
        last.offset = quote!(::core::mem::offset_of!(#head, #member));
        last.varies = true;
    }
    let types = fields.iter().map(|field| field.ty);
    let table = field_table(&placed);
    Members {
        kind: quote!(__schema::Kind::Struct { fields: #table }),
        any_bits: quote!(#(<#types as __IpcMessage>::ANY_BITS)&&*),
        dense: quote!(false),
        extent: Extent {
            size: quote!(::core::mem::size_of::<#head>()),
            align: quote!(::core::mem::align_of::<#head>()),
            tail_len: quote!(<#ty as __IpcMessage>::tail_len(__at as *const #ty)),
            pointer: quote!(<#ty as __IpcMessage>::pointer(__at, __len) as *mut Self),
            len: quote!(let __len = <Self as __IpcMessage>::tail_len(__wide);),
        },
        validate: placed.iter().map(|field| field.validate(name)).collect(),
        place: placed.iter().map(Placed::place).collect(),
        place_blank: placed.iter().map(Placed::place_blank).collect(),
        items: layout(message, fields, tail),
        checks: quote! {
            let __memory = ::core::mem::MaybeUninit::<#head>::zeroed();
            let __narrow = ::core::ptr::slice_from_raw_parts(__memory.as_ptr().cast::<::core::primitive::u8>(), 0);
            // SAFETY: the memory is as large and aligned as a message with an empty tail, which the check is about, and
            // nothing is read through the reference but what the compiler knows of its type.
            let __message: &Self = unsafe { &*(__narrow as *const Self) };
            // SAFETY: the tail lies in the same memory as the message.
            let __offset = unsafe { (&raw const __message.#member).byte_offset_from(__narrow) };
            __private::check_tail::<Self, #head>(__message, __offset, ::core::mem::offset_of!(#head, #member));
        },
    }
}

/// The struct with an empty array in place of the tail.
fn layout(message: &Message<'_>, fields: &[Field<'_>], tail: &Field<'_>) -> TokenStream {
    let (impl_generics, _, where_clause) = message.generics.split_for_impl();
    let align = message.attrs.repr.align.as_ref().map(|align| quote!(, align(#align)));
    let item = match tail.ty {
        Type::Slice(slice) => {
            let item = &slice.elem;
            quote!(#item)
        }
        _ => quote!(::core::primitive::u8),
    };
    let before = &fields[..fields.len() - 1];
    match &tail.member {
        syn::Member::Named(ident) => {
            let (members, types) = (before.iter().map(|field| &field.member), before.iter().map(|field| field.ty));
            quote! {
                #[repr(C #align)]
                struct __Head #impl_generics #where_clause {
                    #(#members: #types,)*
                    #ident: [#item; 0],
                }
            }
        }
        syn::Member::Unnamed(_) => {
            let types = before.iter().map(|field| field.ty);
            quote! {
                #[repr(C #align)]
                struct __Head #impl_generics (#(#types,)* [#item; 0]) #where_clause;
            }
        }
    }
}
