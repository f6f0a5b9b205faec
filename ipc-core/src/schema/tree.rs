//! A decoded schema: the same tree as [`Type`], owned.

use super::{Kind, Prim, Type};

/// The layout of a message, as read from an encoded schema.
///
/// `Display` shows it in the manner of Rust, with the offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// One primitive.
    Prim(Prim),
    /// Items, one after the other.
    Array {
        /// Each of them.
        item: Box<Schema>,
        /// How many there are.
        len: u64,
    },
    /// Fields.
    Struct {
        /// The type's name.
        name: String,
        /// Size in bytes.
        size: u64,
        /// Alignment in bytes.
        align: u64,
        /// In ascending order of their offsets.
        fields: Vec<Field>,
    },
    /// A tag only.
    Enum {
        /// The type's name.
        name: String,
        /// The integer that the tag is.
        tag: Prim,
        /// The values it may have.
        values: Vec<UnitVariant>,
    },
    /// A tag, and fields that depend on it.
    Union {
        /// The type's name.
        name: String,
        /// Size in bytes.
        size: u64,
        /// Alignment in bytes.
        align: u64,
        /// The integer that the tag is, at byte 0.
        tag: Prim,
        /// The fields for each of its values.
        variants: Vec<Variant>,
    },
    /// A byte that is 0, or 1 and followed by the item.
    Opt {
        /// What there may be.
        item: Box<Schema>,
        /// Where it lies.
        offset: u64,
    },
    /// A `u16` length, and UTF-8 text of so many bytes.
    Str {
        /// The most bytes of text.
        capacity: u64,
    },
    /// A `u32` length, and so many items.
    List {
        /// Each of them.
        item: Box<Schema>,
        /// The most there may be.
        capacity: u64,
        /// Where the first one lies.
        offset: u64,
    },
    /// A tail: as many items as there are.
    Slice {
        /// Each of them.
        item: Box<Schema>,
    },
    /// A tail: UTF-8 text, as many bytes as there are.
    Text,
}

/// A field of a struct or of an enum's variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, or its number in a tuple struct.
    pub name: String,
    /// Bytes from the start of the struct or enum.
    pub offset: u64,
    /// Its type.
    pub ty: Schema,
}

/// A variant without fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitVariant {
    /// Its name.
    pub name: String,
    /// The bits of its tag, zero-extended.
    pub bits: u64,
}

/// A variant that may have fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// The bits of its tag, zero-extended.
    pub bits: u64,
    /// In ascending order of their offsets.
    pub fields: Vec<Field>,
}

impl Schema {
    /// The size of a message in bytes; if there is a tail, with the tail empty. Sizes that do not fit 64 bits, which [`decode`](super::decode()) refuses, are
    /// capped.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Prim(prim) => prim.size_bytes(),
            Self::Array { item, len } => item.size_bytes().saturating_mul(*len),
            Self::Struct { size, .. } | Self::Union { size, .. } => *size,
            Self::Enum { tag, .. } => tag.size_bytes(),
            Self::Opt { item, offset } => item.size_bytes().saturating_add(*offset),
            Self::Str { capacity } => round_up(capacity.saturating_add(2), 2).unwrap_or(u64::MAX),
            Self::List { item, capacity, offset } => {
                let end = item.size_bytes().saturating_mul(*capacity).saturating_add(*offset);
                round_up(end, *offset).unwrap_or(u64::MAX)
            }
            Self::Slice { .. } | Self::Text => 0,
        }
    }

    /// The tail, if messages of this schema have one: where it begins, in bytes, and what it is, a
    /// [`Slice`](Schema::Slice) or [`Text`](Schema::Text).
    pub fn tail(&self) -> Option<(u64, &Schema)> {
        match self {
            Self::Slice { .. } | Self::Text => Some((0, self)),
            Self::Struct { fields, .. } => match fields.last() {
                Some(Field { offset, ty: ty @ (Self::Slice { .. } | Self::Text), .. }) => Some((*offset, ty)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl From<&Type> for Schema {
    fn from(ty: &Type) -> Self {
        match ty.kind {
            Kind::Prim(prim) => Self::Prim(prim),
            Kind::Array { item, len } => Self::Array { item: Box::new(item.into()), len: len as u64 },
            Kind::Struct { fields } => Self::Struct {
                name: ty.name.into(),
                size: ty.size as u64,
                align: ty.align as u64,
                fields: fields.iter().map(Field::from).collect(),
            },
            Kind::Enum { tag, values } => Self::Enum {
                name: ty.name.into(),
                tag,
                values: values.iter().map(|value| UnitVariant { name: value.name.into(), bits: value.bits }).collect(),
            },
            Kind::Union { tag, variants } => Self::Union {
                name: ty.name.into(),
                size: ty.size as u64,
                align: ty.align as u64,
                tag,
                variants: variants.iter().map(Variant::from).collect(),
            },
            Kind::Opt { item, offset } => Self::Opt { item: Box::new(item.into()), offset: offset as u64 },
            Kind::Str { capacity } => Self::Str { capacity: capacity as u64 },
            Kind::List { item, capacity, offset } => {
                Self::List { item: Box::new(item.into()), capacity: capacity as u64, offset: offset as u64 }
            }
            Kind::Slice { item } => Self::Slice { item: Box::new(item.into()) },
            Kind::Text => Self::Text,
        }
    }
}

impl From<&super::Field> for Field {
    fn from(field: &super::Field) -> Self {
        Self { name: field.name.into(), offset: field.offset as u64, ty: field.ty.into() }
    }
}

impl From<&super::Variant> for Variant {
    fn from(variant: &super::Variant) -> Self {
        Self { name: variant.name.into(), bits: variant.bits, fields: variant.fields.iter().map(Field::from).collect() }
    }
}

/// Rounds a size up to a multiple of an alignment, unless that overflows.
pub(super) fn round_up(size: u64, align: u64) -> Option<u64> {
    size.checked_next_multiple_of(align)
}
