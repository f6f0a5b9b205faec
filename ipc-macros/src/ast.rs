//! The declaration, reduced to what a message is made of.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::{Attribute, Data, DeriveInput, Expr, Generics, Member, Type, Visibility};

use crate::attr::Attrs;
use crate::errors::Errors;

/// A struct or enum that is to be a message.
pub(crate) struct Message<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) vis: &'a Visibility,
    pub(crate) generics: &'a Generics,
    pub(crate) attrs: &'a Attrs,
    pub(crate) shape: Shape<'a>,
}

/// What the message is made of.
pub(crate) enum Shape<'a> {
    Struct(Vec<Field<'a>>),
    Enum(Vec<Variant<'a>>),
}

/// A field of a struct or of a variant.
pub(crate) struct Field<'a> {
    pub(crate) member: Member,
    pub(crate) ty: &'a Type,
}

/// A variant of an enum.
pub(crate) struct Variant<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) discriminant: Option<&'a Expr>,
    pub(crate) fields: Vec<Field<'a>>,
}

impl<'a> Message<'a> {
    /// Reads a declaration. A union is none that could be a message.
    pub(crate) fn read(input: &'a DeriveInput, attrs: &'a Attrs, errors: &mut Errors) -> Option<Self> {
        let shape = match &input.data {
            Data::Struct(data) => Shape::Struct(read_fields(&data.fields, errors)),
            Data::Enum(data) => {
                let variants = data.variants.iter().map(|variant| {
                    refuse_attributes(&variant.attrs, errors);
                    Variant {
                        ident: &variant.ident,
                        discriminant: variant.discriminant.as_ref().map(|(_, value)| value),
                        fields: read_fields(&variant.fields, errors),
                    }
                });
                Shape::Enum(variants.collect())
            }
            Data::Union(data) => {
                errors.at(
                    data.union_token,
                    "a union does not say which of its fields is valid: use an enum with `#[repr(C, u8)]`",
                );
                return None;
            }
        };
        Some(Self { ident: &input.ident, vis: &input.vis, generics: &input.generics, attrs, shape })
    }

    /// The name in the schema.
    pub(crate) fn name(&self) -> String {
        match &self.attrs.name {
            Some(name) => name.value(),
            None => self.ident.unraw().to_string(),
        }
    }

    /// The types of fields, and of their items, that are declared elsewhere, so that it cannot be seen what they are.
    pub(crate) fn named_types(&self) -> impl Iterator<Item = &Type> {
        self.shape.fields().filter_map(|field| named_in(field.ty, self.generics))
    }

    /// The last field of a struct, if its type is declared elsewhere.
    pub(crate) fn last_named(&self) -> Option<&Field<'_>> {
        match &self.shape {
            Shape::Struct(fields) => fields.last().filter(|field| is_named(field.ty, self.generics)),
            Shape::Enum(_) => None,
        }
    }
}

impl Shape<'_> {
    /// The last field, if it is one that makes the message vary in length.
    pub(crate) fn tail(&self) -> Option<&Field<'_>> {
        match self {
            Self::Struct(fields) => fields.last().filter(|field| field.varies()),
            Self::Enum(_) => None,
        }
    }

    /// All fields, whichever variant they belong to.
    pub(crate) fn fields(&self) -> Box<dyn Iterator<Item = &Field<'_>> + '_> {
        match self {
            Self::Struct(fields) => Box::new(fields.iter()),
            Self::Enum(variants) => Box::new(variants.iter().flat_map(|variant| &variant.fields)),
        }
    }
}

impl Field<'_> {
    /// Whether its type is written as one without a fixed length: `[T]` or `str`.
    pub(crate) fn varies(&self) -> bool {
        is_tail(self.ty)
    }

    /// The name in the schema: the field's, or its number.
    pub(crate) fn name(&self) -> String {
        match &self.member {
            Member::Named(ident) => ident.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        }
    }
}

impl Variant<'_> {
    /// The name in the schema.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

/// Whether a type is written as one without a fixed length: `[T]` or `str`.
pub(crate) fn is_tail(ty: &Type) -> bool {
    match ty {
        Type::Slice(_) => true,
        Type::Path(ty) => ty.qself.is_none() && ty.path.is_ident("str"),
        _ => false,
    }
}

/// Types of the language, and of slipring, that a message may have, as the last segments of their paths.
const KNOWN: &[&str] = &[
    "u8", "u16", "u32", "u64", "u128", "i8", "i16", "i32", "i64", "i128", "f32", "f64", "bool", "char", "str", "Str",
    "List", "Opt",
];

/// Whether a type is written as the name of one that is declared elsewhere.
fn is_named(ty: &Type, generics: &Generics) -> bool {
    match ty {
        Type::Group(group) => is_named(&group.elem, generics),
        Type::Paren(paren) => is_named(&paren.elem, generics),
        Type::Path(ty) => ty.path.segments.last().is_some_and(|last| {
            let is_parameter = generics.type_params().any(|param| ty.path.is_ident(&param.ident));
            !is_parameter && !KNOWN.iter().any(|known| last.ident == known)
        }),
        Type::Macro(_) => true,
        _ => false,
    }
}

/// The type that a field has, or that its items have, if it is declared elsewhere. Arguments of other types are left out:
/// it cannot be seen whether `N` is a type or a constant.
fn named_in<'a>(ty: &'a Type, generics: &Generics) -> Option<&'a Type> {
    match ty {
        Type::Array(array) => named_in(&array.elem, generics),
        Type::Slice(slice) => named_in(&slice.elem, generics),
        _ => Some(ty).filter(|ty| is_named(ty, generics)),
    }
}

fn read_fields<'a>(fields: &'a syn::Fields, errors: &mut Errors) -> Vec<Field<'a>> {
    let read = fields.members().zip(fields).map(|(mut member, field)| {
        refuse_attributes(&field.attrs, errors);
        if let Member::Unnamed(index) = &mut member {
            index.span = Span::call_site();
        }
        Field { member, ty: &field.ty }
    });
    read.collect()
}

/// Nothing can be said about a single field or variant.
fn refuse_attributes(attrs: &[Attribute], errors: &mut Errors) {
    if let Some(attr) = attrs.iter().find(|attr| attr.path().is_ident("ipc")) {
        errors.at(attr, "`ipc` describes the whole message: move it above the type");
    }
}
