//! An implementation that only type-checks, written where the real one cannot be: the uses of a refused type then give
//! no errors of their own.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, GenericParam, Generics, Path, TypeParamBound, parse_quote};

use crate::ast;
use crate::attr::Attrs;
use crate::expand;
use crate::valid;

/// The errors, and the stand-in.
pub(crate) fn message(input: &DeriveInput, attrs: &Attrs, errors: Option<TokenStream>) -> TokenStream {
    let krate = &attrs.krate;
    let ident = &input.ident;
    let (impl_generics, ty_generics, where_clause) = stand_in_generics(&input.generics, krate);
    let thread_bound = is_thread_bound(&input.data).then(|| {
        quote! {
            // SAFETY: nothing of this is ever run, since the errors beside it end the build; so below.
            unsafe impl #impl_generics ::core::marker::Send for #ident #ty_generics #where_clause {}
            // SAFETY: as for `Send`.
            unsafe impl #impl_generics ::core::marker::Sync for #ident #ty_generics #where_clause {}
        }
    });
    let channel = attrs.channel.as_ref().map(|declared| {
        // What takes messages of one length only cannot even be named with another one.
        let message = if has_tail(&input.data) { quote!(u8) } else { quote!(Self) };
        let functions = expand::channel::functions(declared, &input.vis, krate, &message, None);
        quote!(impl #impl_generics #ident #ty_generics #where_clause { #functions })
    });
    quote! {
        #errors
        #thread_bound
        #channel
        // SAFETY: as for `Send`.
        #[automatically_derived]
        unsafe impl #impl_generics #krate::message::IpcMessage for #ident #ty_generics #where_clause {
            const NAME: &'static str = "refused";
            const TYPE: &'static #krate::schema::Type = <u8 as #krate::message::IpcMessage>::TYPE;
            const ANY_BITS: bool = false;
            fn tail_len(_: *const Self) -> usize {
                ::core::unreachable!()
            }
            fn pointer(_: *mut u8, _: usize) -> *mut Self {
                ::core::unreachable!()
            }
            unsafe fn validate(_: *const Self) -> ::core::result::Result<(), #krate::message::Invalid> {
                ::core::unreachable!()
            }
            unsafe fn place(&self, _: *mut Self) {}
            unsafe fn place_blank(_: *mut Self) {}
        }
    }
}

/// The generics of the stand-in: every type parameter is a message, and every lifetime is `'static`, as the trait
/// demands.
fn stand_in_generics(generics: &Generics, krate: &Path) -> (TokenStream, TokenStream, TokenStream) {
    let mut generics = generics.clone();
    for param in generics.type_params_mut() {
        let bounds = core::mem::take(&mut param.bounds).into_iter();
        param.bounds = bounds.filter(|bound| !matches!(bound, TypeParamBound::Lifetime(_))).collect();
        param.bounds.push(parse_quote!(#krate::message::IpcMessage));
    }
    let arguments = generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(_) => quote!('static),
        GenericParam::Type(param) => param.ident.to_token_stream(),
        GenericParam::Const(param) => param.ident.to_token_stream(),
    });
    let ty_generics = quote!(<#(#arguments),*>);
    let has_lifetimes = generics.lifetimes().next().is_some();
    let kept = generics.params.iter().filter(|param| !matches!(param, GenericParam::Lifetime(_)));
    generics.params = kept.cloned().collect();
    if has_lifetimes {
        // A clause may name a lifetime that is gone.
        generics.where_clause = None;
    }
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    (quote!(#impl_generics), ty_generics, quote!(#where_clause))
}

/// Whether it is a struct that varies in length.
fn has_tail(data: &Data) -> bool {
    match data {
        Data::Struct(data) => data.fields.iter().next_back().is_some_and(|last| ast::is_tail(&last.ty)),
        Data::Enum(_) | Data::Union(_) => false,
    }
}

/// Whether a field keeps the type from being `Send` and `Sync`, which the trait demands.
fn is_thread_bound(data: &Data) -> bool {
    match data {
        Data::Struct(data) => data.fields.iter().any(|field| valid::is_thread_bound(&field.ty)),
        Data::Enum(data) => {
            data.variants.iter().flat_map(|variant| &variant.fields).any(|field| valid::is_thread_bound(&field.ty))
        }
        Data::Union(data) => data.fields.named.iter().any(|field| valid::is_thread_bound(&field.ty)),
    }
}
