//! Why bytes are not a message.

use core::fmt;

/// Bytes that are not a value of the message type: which field of which struct, and why.
///
/// Names are those of the innermost struct or enum that was being looked at. They are absent if the message itself is
/// no struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid {
    place: Option<Place>,
    reason: Reason,
}

/// A field of a type, both by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    type_name: &'static str,
    field: &'static str,
}

/// Why the bytes of one field are not a value of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A `bool` that is neither 0 nor 1.
    Bool(u8),
    /// A `char` that is not a Unicode scalar value.
    Char(u32),
    /// The tag of an [`Opt`](super::Opt) that is neither 0 nor 1.
    Opt(u8),
    /// The tag of an enum that belongs to none of its variants.
    Variant {
        /// The tag, extended to 64 bits by its sign if it has one.
        bits: u64,
        /// Whether the tag's type is signed.
        signed: bool,
        /// The enum.
        of: &'static str,
    },
    /// A length that exceeds the capacity of a [`Str`](super::Str) or [`List`](super::List).
    Length {
        /// The length that was found.
        len: u32,
        /// The most that fits.
        capacity: usize,
    },
    /// The text of a [`Str`](super::Str) or a tail that is not UTF-8.
    Utf8 {
        /// How many of its bytes are.
        valid_up_to: usize,
    },
    /// A number of bytes that is not the size of the message, or less than what is before its tail.
    Size {
        /// How many there are.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A tail that does not consist of whole items.
    Tail {
        /// How many bytes it has.
        bytes: usize,
        /// How many an item has.
        item_bytes: usize,
    },
}

impl Invalid {
    /// An error that belongs to no field yet; the struct that is being validated adds its own with
    /// [`within`](Self::within).
    #[cold]
    pub fn new(reason: Reason) -> Self {
        Self { place: None, reason }
    }

    /// Adds the field, unless an inner one is already known.
    #[cold]
    #[must_use]
    pub fn within(self, type_name: &'static str, field: &'static str) -> Self {
        Self { place: self.place.or(Some(Place { type_name, field })), ..self }
    }

    /// The innermost type that has a field with invalid bytes.
    pub fn type_name(&self) -> Option<&'static str> {
        self.place.map(|place| place.type_name)
    }

    /// The field with the invalid bytes.
    pub fn field(&self) -> Option<&'static str> {
        self.place.map(|place| place.field)
    }

    /// What is wrong with the bytes.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { type_name, field }) = self.place {
            write!(f, "`{type_name}`.`{field}`: ")?;
        }
        self.reason.fmt(f)
    }
}

impl core::error::Error for Invalid {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bool(byte) => write!(f, "{byte} is not a `bool`"),
            Self::Char(code) => write!(f, "{code:#x} is not a `char`"),
            Self::Opt(tag) => write!(f, "{tag} is not a variant of `Opt`"),
            Self::Variant { bits, signed: true, of } => write!(f, "{} is not a variant of `{of}`", bits as i64),
            Self::Variant { bits, signed: false, of } => write!(f, "{bits} is not a variant of `{of}`"),
            Self::Length { len, capacity } => {
                write!(f, "length {len} exceeds the capacity of {capacity}")
            }
            Self::Utf8 { valid_up_to } => {
                write!(f, "the text is not UTF-8 from byte {valid_up_to} on")
            }
            Self::Size { given, expected } => {
                write!(f, "{given} bytes, where the message has {expected}")
            }
            Self::Tail { bytes, item_bytes } => {
                write!(f, "a tail of {bytes} bytes, which is no multiple of an item's {item_bytes}")
            }
        }
    }
}
