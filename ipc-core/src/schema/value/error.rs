//! Why bytes are not a value of a schema, or a value cannot become its bytes.

use core::fmt;

#[cfg(doc)]
use super::Value;
use crate::schema::Prim;

/// Bytes that are not a message of a schema, or a [`Value`] that is none: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    path: String,
    reason: ValueReason,
}

/// Why a field, or the whole message, cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueReason {
    /// A number of bytes that is not the size of the message.
    #[error("{given} bytes, where the message has {expected}")]
    Size {
        /// How many there are.
        given: usize,
        /// How many there should be.
        expected: u64,
    },
    /// Read: a `bool` that is neither 0 nor 1.
    #[error("{0} is not a `bool`")]
    Bool(u8),
    /// Read: a `char` that is not a Unicode scalar value.
    #[error("{0:#x} is not a `char`")]
    Char(u32),
    /// Read: the tag of an `Opt` that is neither 0 nor 1.
    #[error("{0} is not a variant of `Opt`")]
    Opt(u8),
    /// Read: the tag of an enum that belongs to none of its variants.
    #[error("{tag} is not a variant of `{}`", of.escape_debug())]
    Tag {
        /// The tag.
        tag: i128,
        /// The enum.
        of: String,
    },
    /// Read: text that is not UTF-8.
    #[error("the text is not UTF-8 from byte {valid_up_to} on")]
    Utf8 {
        /// How many of its bytes are.
        valid_up_to: usize,
    },
    /// A text or list that exceeds its capacity.
    #[error("length {len} exceeds the capacity of {capacity}")]
    Length {
        /// Its bytes or items.
        len: u64,
        /// The most that fit.
        capacity: u64,
    },
    /// Read: types of zero bytes, so many that they would make more values than `read` gives for the bytes.
    #[error("the schema has types of zero bytes, which make more values than the {0} allowed for these bytes")]
    TooManyValues(u64),
    /// A schema that was not decoded but put together, and puts a field outside of the message.
    #[error("the schema puts this at byte {0}, where it does not fit the message")]
    Outside(u64),
    /// Write: a value of the wrong kind.
    #[error("{given}, where `{expected}` is expected")]
    Kind {
        /// The field's type.
        expected: String,
        /// What there is instead.
        given: &'static str,
    },
    /// Write: a number that the field's type cannot express.
    #[error("{number} is not a value of `{}`", prim.name())]
    Range {
        /// The number.
        number: String,
        /// The field's type.
        prim: Prim,
    },
    /// Write: as many values as an array does not have.
    #[error("{given} values, where {expected} are expected")]
    Count {
        /// How many there are.
        given: u64,
        /// How many there should be.
        expected: u64,
    },
    /// Write: a field that the message has and the value has not.
    #[error("the value is missing")]
    Missing,
    /// Write: a field that the value has and the message has not.
    #[error("there is no such field, but {}", List(known))]
    Unknown {
        /// The fields that there are.
        known: Vec<String>,
    },
    /// Write: a field that the value has twice.
    #[error("the value is given twice")]
    Duplicate,
    /// Write: a name that belongs to none of an enum's variants.
    #[error("`{}` is not a variant of `{}`, which has {}", name.escape_debug(), of.escape_debug(), List(known))]
    Variant {
        /// The name.
        name: String,
        /// The enum.
        of: String,
        /// The variants that there are.
        known: Vec<String>,
    },
}

impl ValueError {
    /// An error of the message itself; what it lies in adds its place.
    #[cold]
    pub(super) fn new(reason: ValueReason) -> Self {
        Self { path: String::new(), reason }
    }

    /// The error of something in a field or variant.
    #[cold]
    pub(super) fn within(self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{}{dot}{}", name.escape_debug(), self.path), ..self }
    }

    /// The error of something in an item.
    #[cold]
    pub(super) fn at(self, index: u64) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("[{index}]{dot}{}", self.path), ..self }
    }

    /// The way from the message to the field: `order.Limit.price`, `legs[2].name`. Empty for the message itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn reason(&self) -> &ValueReason {
        &self.reason
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "message: {}", self.reason),
            path => write!(f, "field `{path}`: {}", self.reason),
        }
    }
}

impl core::error::Error for ValueError {}

/// Shows names, as many as a person reads.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, name) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}`{}`", name.escape_debug())?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
