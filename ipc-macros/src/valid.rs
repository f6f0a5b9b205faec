//! What cannot be placed in shared memory, and what to write instead.
//!
//! Types are recognised by how they are written, which is enough for those of `std` that people reach for first.
//! Everything else is left to the trait bound, whose error says the same in general terms.

mod channel;
mod types;

use proc_macro2::Ident;
use syn::{GenericParam, Generics, LitInt, TraitBound, Type, TypeParam, TypeParamBound, WherePredicate};

use crate::ast::{Message, Shape, Variant};
use crate::attr::Repr;
use crate::errors::Errors;

pub(crate) use types::is_thread_bound;

/// The strictest alignment that a slot of a segment offers.
const MAX_ALIGN: u64 = 128;

/// The most bytes in a type's name.
const MAX_TYPE_NAME: usize = 255;

/// Reports everything that keeps a declaration from being a message.
pub(crate) fn check(message: &Message<'_>, errors: &mut Errors) {
    let tail = message.shape.tail().map(|tail| tail.ty);
    for field in message.shape.fields() {
        if tail.is_some_and(|tail| core::ptr::eq(tail, field.ty)) {
            types::check_tail(field.ty, errors);
        } else {
            types::check(field.ty, errors);
        }
    }
    check_generics(message.generics, errors);
    match &message.shape {
        Shape::Struct(fields) => {
            check_struct_repr(message.ident, &message.attrs.repr, errors);
            if fields.is_empty() {
                errors.at(message.ident, "this message has no bytes, so there is nothing to send: give it a field");
            }
        }
        Shape::Enum(variants) => check_enum(message.ident, variants, &message.attrs.repr, errors),
    }
    if let Some(align) = &message.attrs.repr.align {
        check_align(align, errors);
    }
    if let Some(name) = &message.attrs.name {
        if name.value().is_empty() || name.value().len() > MAX_TYPE_NAME {
            errors.at(name, format!("a type's name has 1 to {MAX_TYPE_NAME} bytes"));
        }
    }
    if let Some(channel) = &message.attrs.channel {
        channel::check(message, channel, errors);
    }
}

/// A message borrows nothing, and is generic over messages only.
fn check_generics(generics: &Generics, errors: &mut Errors) {
    for param in &generics.params {
        match param {
            // A field that borrows has been reported, and is the better place.
            GenericParam::Lifetime(param) if errors.is_empty() => {
                errors.at(
                    param,
                    "a message outlives the program that sends it, so it cannot borrow: hold the value itself",
                );
            }
            GenericParam::Type(param) if !is_bounded(param, generics) => {
                let ident = &param.ident;
                errors.at(param, format!("this may be any type, and has to be a message: write `{ident}: IpcMessage`"));
            }
            GenericParam::Type(param) if may_be_unsized(param, generics) => {
                errors.at(param, "a field of any length is written out, as `[T]` or `str`: remove `?Sized`");
            }
            _ => {}
        }
    }
}

/// Whether a type parameter has the bound `?Sized`, where it is declared or in the `where` clause.
fn may_be_unsized(param: &TypeParam, generics: &Generics) -> bool {
    has_bound(param, generics, |bound| bound.maybe.is_some())
}

/// Whether a type parameter is bounded by `IpcMessage`, where it is declared or in the `where` clause.
fn is_bounded(param: &TypeParam, generics: &Generics) -> bool {
    has_bound(param, generics, |bound| bound.path.segments.last().is_some_and(|last| last.ident == "IpcMessage"))
}

/// Whether a type parameter has a bound like this, where it is declared or in the `where` clause.
fn has_bound(param: &TypeParam, generics: &Generics, is_wanted: impl Fn(&TraitBound) -> bool) -> bool {
    let is_wanted = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => is_wanted(bound),
        _ => false,
    };
    let predicates = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let mut in_clause = predicates.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) => Some(predicate),
        _ => None,
    });
    param.bounds.iter().any(&is_wanted)
        || in_clause.any(|predicate| match &predicate.bounded_ty {
            Type::Path(ty) => ty.path.is_ident(&param.ident) && predicate.bounds.iter().any(&is_wanted),
            _ => false,
        })
}

fn check_struct_repr(ident: &Ident, repr: &Repr, errors: &mut Errors) {
    if let Some(packed) = &repr.packed {
        errors.at(
            packed,
            "the fields of a packed message could not be borrowed: remove `packed`, and order them by size",
        );
    } else if let Some(transparent) = &repr.transparent {
        errors.at(transparent, "a message is a type of its own in every program: use `#[repr(C)]`");
    } else if !repr.c && !repr.unknown && repr.int.is_none() {
        // What is unknown, and an integer, the compiler refuses on a struct.
        errors.at(ident, "add `#[repr(C)]`: without it, each compilation may lay the fields out differently");
    }
}

fn check_enum(ident: &Ident, variants: &[Variant<'_>], repr: &Repr, errors: &mut Errors) {
    let has_fields = variants.iter().any(|variant| !variant.fields.is_empty());
    let wanted = if has_fields { "#[repr(C, u8)]" } else { "#[repr(u8)]" };
    if variants.is_empty() {
        errors.at(ident, "this enum has no variants, so there is no value to send: give it one");
        return;
    }
    if repr.unknown || repr.packed.is_some() || repr.transparent.is_some() {
        // The compiler refuses these on an enum.
        return;
    }
    match &repr.int {
        None => errors.at(ident, format!("add `{wanted}`: without it, the tag may be of any size and value")),
        Some(int) if int == "usize" || int == "isize" => {
            let fixed = if int == "usize" { "u64" } else { "i64" };
            errors.at(int, format!("`{int}` is not the same size in every program: use `{fixed}`, or a smaller one"));
        }
        Some(int) if int == "u128" || int == "i128" => {
            errors.at(int, format!("a tag has at most 64 bits: use `{wanted}`"));
        }
        Some(int) if has_fields && !repr.c => {
            errors.at(int, format!("this enum has fields: use `#[repr(C, {int})]`"));
        }
        Some(_) => {}
    }
}

fn check_align(align: &LitInt, errors: &mut Errors) {
    if align.base10_parse::<u64>().is_ok_and(|align| align > MAX_ALIGN) {
        errors.at(align, format!("a slot is aligned to {MAX_ALIGN} bytes: use at most that"));
    }
}
