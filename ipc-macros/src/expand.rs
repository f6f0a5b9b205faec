//! The implementation of `IpcMessage`, and the channel's functions.
//!
//! What is written here are tables: names, offsets and types. All that does something with memory is in
//! `ipc_core::message`. A field's type is always named as `<Type as IpcMessage>`, so that the compiler reports one that
//! is no message once, and not once for each function.

pub(crate) mod channel;
mod enums;
mod named;
mod tails;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Type;

use crate::ast::{Field, Message, Shape};

/// The members of the implementation that depend on the shape.
struct Members {
    /// The `schema::Kind`.
    kind: TokenStream,
    any_bits: TokenStream,
    dense: TokenStream,
    /// Size and alignment, and how a pointer is taken apart and put together.
    extent: Extent,
    /// Statements on `__at: *const u8`, before the final `Ok(())`.
    validate: TokenStream,
    /// Statements on `self` and `__to: *mut u8`.
    place: TokenStream,
    /// Statements on `__to: *mut u8`.
    place_blank: TokenStream,
    /// Items beside the implementation.
    items: TokenStream,
    /// Checks of the layout that the members assume.
    checks: TokenStream,
}

/// The members of the implementation that differ between messages of one length and messages with a tail.
struct Extent {
    /// An expression for the size in bytes, of an empty tail if there is one.
    size: TokenStream,
    align: TokenStream,
    /// An expression for the length of the tail, given `__at: *const Self`.
    tail_len: TokenStream,
    /// An expression for the pointer, given `__at: *mut u8` and `__len: usize`.
    pointer: TokenStream,
    /// A statement that keeps the length of the tail as `__len`, given `__wide`, a pointer to `Self`.
    len: TokenStream,
}

impl Extent {
    /// That of a type without a tail.
    fn fixed() -> Self {
        Self {
            size: quote!(::core::mem::size_of::<Self>()),
            align: quote!(::core::mem::align_of::<Self>()),
            tail_len: quote!(0),
            pointer: quote!(__at.cast()),
            len: TokenStream::new(),
        }
    }
}

/// Everything that a derive writes for a valid declaration.
pub(crate) fn message(message: &Message<'_>) -> TokenStream {
    let Message { ident, generics, attrs, .. } = message;
    let name = message.name();
    let krate = &attrs.krate;
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let members = match &message.shape {
        Shape::Struct(fields) => match (message.shape.tail(), message.last_named()) {
            (Some(tail), _) => tails::members(message, &name, fields, tail),
            (None, Some(last)) => named::members(message, &name, fields, last),
            (None, None) => plain_members(&name, fields),
        },
        Shape::Enum(variants) => enums::members(message, &name, variants),
    };
    let functions = functions(&members);
    let Members { kind, any_bits, dense, extent: Extent { size, align, .. }, items, checks, .. } = members;
    let (checked_here, checked_in_use) = compile_time_checks(message);
    let named_types = message.named_types();
    let channel = attrs.channel.as_ref().map(|declared| channel::implementation(message, declared));
    quote! {
        #[doc(hidden)]
        #[allow(
            dead_code, non_camel_case_types, non_upper_case_globals, unreachable_patterns, unused_imports, unused_variables
        )]
        const _: () = {
            use #krate::message::{IpcMessage as __IpcMessage, Invalid as __Invalid, private as __private};
            use #krate::schema as __schema;

            #items

            // SAFETY: every field's type is a message, the offsets are the compiler's own, and the type's
            // representation was checked to be one that is the same in every program.
            #[automatically_derived]
            unsafe impl #impl_generics __IpcMessage for #ident #ty_generics #where_clause {
                const NAME: &'static ::core::primitive::str = #name;
                const TYPE: &'static __schema::Type = {
                    #(__private::one_length::<#named_types>();)*
                    #checked_in_use
                    #checks
                    &__schema::Type {
                        name: #name,
                        size: #size,
                        align: #align,
                        kind: #kind,
                    }
                };
                const ANY_BITS: ::core::primitive::bool = #any_bits;
                const DENSE: ::core::primitive::bool = #dense;

                #functions
            }

            #checked_here
        };
        #channel
    }
}

/// The functions of the implementation.
fn functions(members: &Members) -> TokenStream {
    let Members { extent: Extent { tail_len, pointer, len, .. }, validate, place, place_blank, .. } = members;
    quote! {
        #[inline(always)]
        fn tail_len(__at: *const Self) -> ::core::primitive::usize {
            #tail_len
        }

        #[inline(always)]
        fn pointer(__at: *mut ::core::primitive::u8, __len: ::core::primitive::usize) -> *mut Self {
            #pointer
        }

        #[inline]
        unsafe fn validate(__wide: *const Self) -> ::core::result::Result<(), __Invalid> {
            #len
            let __at = __wide.cast::<::core::primitive::u8>();
            #validate
            ::core::result::Result::Ok(())
        }

        #[inline]
        unsafe fn place(&self, __wide: *mut Self) {
            #len
            let __to = __wide.cast::<::core::primitive::u8>();
            #place
        }

        #[inline]
        unsafe fn place_blank(__wide: *mut Self) {
            #len
            let __to = __wide.cast::<::core::primitive::u8>();
            #place_blank
        }
    }
}

/// What the compiler is to check about the type: beside the implementation, and within `TYPE`. A type without
/// parameters is checked where it is declared, and the others where they are used.
fn compile_time_checks(message: &Message<'_>) -> (TokenStream, TokenStream) {
    let has_tail = message.shape.tail().is_some();
    if !message.generics.params.is_empty() {
        // What has a tail is checked with its layout.
        let check = (!has_tail).then(|| quote!(__private::check::<Self>(__private::Measured::<Self>::LAYOUT);));
        return (TokenStream::new(), quote!(#check));
    }
    let ident = message.ident;
    let check = (!has_tail).then(|| {
        quote_spanned! {ident.span()=>
            const _: () = __private::check::<#ident>(__private::Measured::<#ident>::LAYOUT);
        }
    });
    let here = quote_spanned! {ident.span()=>
        #check
        const _: ::core::primitive::u128 = <#ident as __IpcMessage>::FINGERPRINT;
    };
    (here, TokenStream::new())
}

/// A struct of one length.
fn plain_members(name: &str, fields: &[Field<'_>]) -> Members {
    let placed: Vec<_> = fields.iter().map(Placed::in_struct).collect();
    let types = fields.iter().map(|field| field.ty);
    let sizes: Vec<_> = types.map(|ty| quote!(::core::mem::size_of::<#ty>())).collect();
    struct_members(name, &placed, &sizes, Extent::fixed())
}

/// A struct is its fields, one after the other. `sizes` are expressions for theirs.
fn struct_members(name: &str, fields: &[Placed<'_>], sizes: &[TokenStream], extent: Extent) -> Members {
    let types: Vec<_> = fields.iter().map(|field| field.ty).collect();
    let table = field_table(fields);
    let size = &extent.size;
    Members {
        kind: quote!(__schema::Kind::Struct { fields: #table }),
        any_bits: quote!(#(<#types as __IpcMessage>::ANY_BITS)&&*),
        dense: quote!(#(<#types as __IpcMessage>::DENSE &&)* 0 #(+ #sizes)* == #size),
        validate: fields.iter().map(|field| field.validate(name)).collect(),
        place: fields.iter().map(Placed::place).collect(),
        place_blank: fields.iter().map(Placed::place_blank).collect(),
        items: TokenStream::new(),
        checks: TokenStream::new(),
        extent,
    }
}

/// A field, and where it lies in the message.
struct Placed<'a> {
    ty: &'a Type,
    /// The name in the schema.
    name: String,
    /// The name in errors.
    label: String,
    /// An expression for the offset in the message.
    offset: TokenStream,
    /// An expression for a reference to the value, given `self`.
    value: TokenStream,
    /// Whether it is, or may turn out to be, of a type without a fixed size, whose length is `__len`.
    varies: bool,
}

impl<'a> Placed<'a> {
    /// A field of a struct.
    fn in_struct(field: &'a Field<'a>) -> Self {
        let member = &field.member;
        Placed {
            ty: field.ty,
            name: field.name(),
            label: field.name(),
            offset: quote!(::core::mem::offset_of!(Self, #member)),
            value: quote!(&self.#member),
            varies: false,
        }
    }

    /// An expression for a pointer to the field, given `__at`.
    fn source(&self) -> TokenStream {
        let Self { ty, offset, .. } = self;
        if self.varies {
            quote!(<#ty as __IpcMessage>::pointer(__private::field::<::core::primitive::u8>(__at, #offset).cast_mut(), __len))
        } else {
            quote!(__private::field(__at, #offset))
        }
    }

    /// As `source`, of a destination, given `__to`.
    fn destination(&self) -> TokenStream {
        let Self { ty, offset, .. } = self;
        if self.varies {
            quote!(<#ty as __IpcMessage>::pointer(__private::field_mut(__to, #offset), __len))
        } else {
            quote!(__private::field_mut(__to, #offset))
        }
    }

    fn validate(&self, type_name: &str) -> TokenStream {
        let Self { ty, label, .. } = self;
        let at = self.source();
        quote! {
            // SAFETY: the field lies at this offset of what the caller vouches for.
            if let ::core::result::Result::Err(__invalid) = unsafe { <#ty as __IpcMessage>::validate(#at) } {
                return ::core::result::Result::Err(__invalid.within(#type_name, #label));
            }
        }
    }

    fn place(&self) -> TokenStream {
        let Self { ty, value, .. } = self;
        let to = self.destination();
        quote! {
            // SAFETY: the field lies at this offset of the destination that the caller vouches for.
            unsafe { <#ty as __IpcMessage>::place(#value, #to) };
        }
    }

    fn place_blank(&self) -> TokenStream {
        let ty = self.ty;
        let to = self.destination();
        quote! {
            // SAFETY: the field lies at this offset of the destination that the caller vouches for.
            unsafe { <#ty as __IpcMessage>::place_blank(#to) };
        }
    }
}

/// An expression for `&'static [schema::Field]`.
fn field_table(fields: &[Placed<'_>]) -> TokenStream {
    let names = fields.iter().map(|field| &field.name);
    let offsets = fields.iter().map(|field| &field.offset);
    let types = fields.iter().map(|field| field.ty);
    quote! {
        &[#(__schema::Field { name: #names, offset: #offsets, ty: <#types as __IpcMessage>::TYPE }),*]
    }
}
