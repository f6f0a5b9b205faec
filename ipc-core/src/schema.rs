//! The layout of a message, as data: built at compile time, stored in the segment, compared and shown.
//!
//! [`Type`] is the tree that [`IpcMessage::TYPE`] holds. It is encoded at compile time into
//! [`IpcMessage::SCHEMA`], a pointer-free byte string that is stored in every segment. A program that was never
//! compiled with the type can [`decode`] it, and then [`read`](Schema::read) and [`write`](Schema::write) messages as
//! [`Value`]s; two programs that disagree get the [`diff`]erences, field by field.
//!
//! # The encoded form
//!
//! ```text
//! schema  := version type
//! version := 1                                           one byte, FORMAT_VERSION
//! type    := prim
//!          | 0x40 len item                               array; item := type
//!          | 0x41 name size align count field*           struct
//!          | 0x42 name prim count (name value)*          enum whose variants have no fields; prim is its tag
//!          | 0x43 name size align prim count variant*    enum whose variants have fields; prim is its tag, at byte 0
//!          | 0x44 offset item                            Opt: one byte, 0 or 1, then the item at the offset
//!          | 0x45 capacity                               Str: u16 length, then so many bytes
//!          | 0x46 capacity offset item                   List: u32 length, then so many items from the offset on
//!          | 0x47 item                                   tail: as many items as there are
//!          | 0x48                                        tail: UTF-8 text, as many bytes as there are
//! field   := name offset type
//! variant := name value count field*
//! name    := len byte*                                   UTF-8, 1 to 255 bytes
//! prim    := 0x01 bool | 0x02 char
//!          | 0x10 u8 | 0x11 u16 | 0x12 u32 | 0x13 u64 | 0x14 u128
//!          | 0x18 i8 | 0x19 i16 | 0x1a i32 | 0x1b i64 | 0x1c i128
//!          | 0x22 f32 | 0x23 f64
//! ```
//!
//! - `len`, `size`, `align`, `count`, `value`, `offset` and `capacity` are unsigned LEB128 integers of at most 64
//!   bits, in their shortest form: seven bits a byte, the lowest first, the top bit set in all bytes but the last.
//! - Sizes, alignments and offsets are in bytes. The offset of a field counts from the start of the struct or enum that
//!   it stands in. Fields are listed in ascending order of offset, and do not overlap.
//! - A `value` is the tag's bits, zero-extended: -1 in an `i8` is 255.
//! - The tag of an enum is a `u8`, `u16`, `u32`, `u64`, `i8`, `i16`, `i32` or `i64`.
//! - Sizes that are not listed follow: an array's is `len` times its item's; an `Opt`'s is `offset` plus its item's;
//!   a `List`'s is `offset` plus `capacity` times its item's, rounded up to a multiple of `offset`; a `Str`'s is 2 plus
//!   `capacity`, rounded up to a multiple of 2.
//! - A tail is the message itself, or the last field of the outermost struct, and nothing else. Its length comes with the
//!   message. It counts as 0 bytes; so the `size` of a struct with a tail is the tail's offset, rounded up to `align`. The
//!   items of a tail have at least 1 byte.
//! - Types nest at most [`MAX_DEPTH`] deep, and a schema has at most [`MAX_SCHEMA_BYTES`] bytes.
//! - Multi-byte primitives in messages have the byte order of the machine; the segment's header has a mark for it.
//!
//! The fingerprint is FNV-1a of 128 bits over all of these bytes.

mod decode;
mod diff;
mod encode;
mod show;
pub mod tree;
pub mod value;

pub use decode::{DecodeError, decode};
pub use diff::{Difference, diff};
pub use encode::{bytes_of, fingerprint};
pub use tree::Schema;
pub use value::{Value, ValueError, ValueReason};

#[cfg(doc)]
use crate::message::IpcMessage;

/// The first byte of an encoded schema.
pub const FORMAT_VERSION: u8 = 1;

/// How deep types may nest in each other.
pub const MAX_DEPTH: u32 = 32;

/// The most bytes that an encoded schema may have.
pub const MAX_SCHEMA_BYTES: usize = 16_384;

/// The most bytes that a name may have.
pub const MAX_NAME_BYTES: usize = 255;

/// The layout of a message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// The name as it is written in the source, without path or arguments.
    pub name: &'static str,
    /// Size in bytes. If there is a tail, that of a message whose tail is empty.
    pub size: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// What the bytes mean.
    pub kind: Kind,
}

/// What the bytes of a [`Type`] mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One primitive.
    Prim(Prim),
    /// Items, one after the other.
    Array {
        /// Each of them.
        item: &'static Type,
        /// How many there are.
        len: usize,
    },
    /// Fields.
    Struct {
        /// In ascending order of their offsets.
        fields: &'static [Field],
    },
    /// A tag only.
    Enum {
        /// The integer that the tag is.
        tag: Prim,
        /// The values it may have.
        values: &'static [UnitVariant],
    },
    /// A tag, and fields that depend on it.
    Union {
        /// The integer that the tag is, at byte 0.
        tag: Prim,
        /// The fields for each of its values.
        variants: &'static [Variant],
    },
    /// A byte that is 0, or 1 and followed by the item.
    Opt {
        /// What there may be.
        item: &'static Type,
        /// Where it lies.
        offset: usize,
    },
    /// A `u16` length, and UTF-8 text of so many bytes.
    Str {
        /// The most bytes of text.
        capacity: usize,
    },
    /// A `u32` length, and so many items.
    List {
        /// Each of them.
        item: &'static Type,
        /// The most there may be.
        capacity: usize,
        /// Where the first one lies.
        offset: usize,
    },
    /// A tail: as many items as there are.
    Slice {
        /// Each of them.
        item: &'static Type,
    },
    /// A tail: UTF-8 text, as many bytes as there are.
    Text,
}

/// The part of a message that varies in length. It comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Where it begins, in bytes from the start of the message.
    pub offset: usize,
    /// Bytes of each item; 1 for text.
    pub item_bytes: usize,
    /// Whether it is text, and not items.
    pub is_text: bool,
}

impl Type {
    /// The tail, if messages of this type have one.
    pub const fn tail(&self) -> Option<Tail> {
        match self.kind {
            Kind::Slice { item } => Some(Tail { offset: 0, item_bytes: item.size, is_text: false }),
            Kind::Text => Some(Tail { offset: 0, item_bytes: 1, is_text: true }),
            Kind::Struct { fields } => match fields {
                [.., Field { offset, ty: Type { kind: Kind::Slice { item }, .. }, .. }] => {
                    Some(Tail { offset: *offset, item_bytes: item.size, is_text: false })
                }
                [.., Field { offset, ty: Type { kind: Kind::Text, .. }, .. }] => {
                    Some(Tail { offset: *offset, item_bytes: 1, is_text: true })
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// A field of a struct or of an enum's variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, or its number in a tuple struct.
    pub name: &'static str,
    /// Bytes from the start of the struct or enum.
    pub offset: usize,
    /// Its type.
    pub ty: &'static Type,
}

/// A variant without fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitVariant {
    /// Its name.
    pub name: &'static str,
    /// The bits of its tag, zero-extended.
    pub bits: u64,
}

/// A variant that may have fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// The bits of its tag, zero-extended.
    pub bits: u64,
    /// In ascending order of their offsets.
    pub fields: &'static [Field],
}

/// The primitives, with the bytes that stand for them in an encoded schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Prim {
    /// `bool`
    Bool = 0x01,
    /// `char`
    Char = 0x02,
    /// `u8`
    U8 = 0x10,
    /// `u16`
    U16 = 0x11,
    /// `u32`
    U32 = 0x12,
    /// `u64`
    U64 = 0x13,
    /// `u128`
    U128 = 0x14,
    /// `i8`
    I8 = 0x18,
    /// `i16`
    I16 = 0x19,
    /// `i32`
    I32 = 0x1a,
    /// `i64`
    I64 = 0x1b,
    /// `i128`
    I128 = 0x1c,
    /// `f32`
    F32 = 0x22,
    /// `f64`
    F64 = 0x23,
}

impl Prim {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Char,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::U128,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::I128,
        Self::F32,
        Self::F64,
    ];

    /// Its name in Rust.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Char => "char",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::U128 => "u128",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::I128 => "i128",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Its size in bytes.
    pub const fn size_bytes(self) -> u64 {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::Char | Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::U128 | Self::I128 => 16,
        }
    }

    /// Whether it is an integer with a sign.
    pub const fn is_signed(self) -> bool {
        matches!(self, Self::I8 | Self::I16 | Self::I32 | Self::I64 | Self::I128)
    }

    /// Whether an enum's tag may be one.
    pub const fn is_tag(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64 | Self::I8 | Self::I16 | Self::I32 | Self::I64)
    }

    /// The number that zero-extended `bits` of a tag stand for.
    pub const fn tag_value(self, bits: u64) -> i128 {
        match self {
            Self::I8 => bits as i8 as i128,
            Self::I16 => bits as i16 as i128,
            Self::I32 => bits as i32 as i128,
            Self::I64 => bits as i64 as i128,
            _ => bits as i128,
        }
    }
}

/// The bytes that open each composite type in an encoded schema.
mod tags {
    pub(super) const ARRAY: u8 = 0x40;
    pub(super) const STRUCT: u8 = 0x41;
    pub(super) const ENUM: u8 = 0x42;
    pub(super) const UNION: u8 = 0x43;
    pub(super) const OPT: u8 = 0x44;
    pub(super) const STR: u8 = 0x45;
    pub(super) const LIST: u8 = 0x46;
    pub(super) const SLICE: u8 = 0x47;
    pub(super) const TEXT: u8 = 0x48;
}
