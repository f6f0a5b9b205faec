//! Structs whose last field has a type with a name, which may turn out to vary in length.
//!
//! Such a message cannot stand in another one, and only the compiler knows whether it is one. It would complain wherever a
//! size is asked for. So what is written here asks in ways that get a stand-in for an answer then, and a check of all fields
//! gives the one error.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Type;

use super::{Extent, Members, Placed, struct_members};
use crate::ast::{Field, Message};

pub(super) fn members(message: &Message<'_>, name: &str, fields: &[Field<'_>], last: &Field<'_>) -> Members {
    let ty = last.ty;
    let before = &fields[..fields.len() - 1];
    let mut placed: Vec<_> = fields.iter().map(Placed::in_struct).collect();
    if let Some(last) = placed.last_mut() {
        last.offset = offset(before, last.ty);
        last.varies = true;
    }
    let types = before.iter().map(|field| field.ty);
    let mut sizes: Vec<_> = types.map(|ty| quote!(::core::mem::size_of::<#ty>())).collect();
    sizes.push(quote!(__private::size(__private::Measured::<#ty>::LAYOUT)));
    let extent = Extent {
        size: quote!(__private::size(__private::Measured::<Self>::LAYOUT)),
        align: quote!(__private::align(__private::Measured::<Self>::LAYOUT)),
        tail_len: quote!(0),
        pointer: quote!(<#ty as __IpcMessage>::pointer(__at, 0) as *mut Self),
        len: quote!(let __len = 0;),
    };
    let krate = &message.attrs.krate;
    let items = quote!(use #krate::message::private::Unmeasured as _;);
    Members { items, ..struct_members(name, &placed, &sizes, extent) }
}

/// An expression for the offset of the last field. `offset_of!` does not take one that varies in length.
fn offset(before: &[Field<'_>], ty: &Type) -> TokenStream {
    let end = match before.last() {
        Some(Field { ty, member }) => quote!(::core::mem::offset_of!(Self, #member) + ::core::mem::size_of::<#ty>()),
        None => quote!(0),
    };
    quote! {
        const { __private::last_offset(#end, __private::Measured::<#ty>::LAYOUT, __private::Measured::<Self>::LAYOUT) }
    }
}
