//! Messages as values: what a program reads and writes that was never compiled with their type.
//!
//! [`Schema::read`] makes a [`Value`] of a message's bytes, and [`Schema::write`] makes the bytes of a [`Value`]:
//!
//! ```
//! use ipc_core::message::{IpcMessage, Opt, Str};
//! use ipc_core::schema::{Value, decode};
//! use ipc_macros::IpcMessage;
//!
//! #[derive(IpcMessage)]
//! #[ipc(crate = "ipc_core")]
//! #[repr(C)]
//! struct Flight {
//!     carrier: Str<2>,
//!     number: u16,
//!     delay_min: Opt<i16>,
//!     status: Status,
//! }
//!
//! #[derive(IpcMessage)]
//! #[ipc(crate = "ipc_core")]
//! #[repr(u8)]
//! enum Status {
//!     Flown = 1,
//!     Cancelled = 2,
//! }
//!
//! // All that a program needs is in the segment.
//! let schema = decode(Flight::SCHEMA)?;
//! let flight = Value::from([
//!     ("carrier", "UA".into()),
//!     ("number", 1545u16.into()),
//!     ("delay_min", None.into()),
//!     ("status", "Flown".into()),
//! ]);
//! let mut bytes = vec![0; schema.size_bytes() as usize];
//! schema.write(&flight, &mut bytes)?;
//!
//! let read = schema.read(&bytes)?;
//! assert_eq!(read.to_string(), r#"{carrier: "UA", number: 1545, delay_min: None, status: Flown}"#);
//! assert_eq!(read.get("number"), Some(&Value::Uint(1545)));
//!
//! bytes[core::mem::offset_of!(Flight, status)] = 3;
//! assert_eq!(schema.read(&bytes).unwrap_err().to_string(), "field `status`: 3 is not a variant of `Status`");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One form to read, some more to write
//!
//! For each type, `read` gives exactly one form, which the first column lists. `write` takes it back, and the looser
//! ones that JSON and scripting languages have:
//!
//! | type | read as | also written from |
//! |---|---|---|
//! | `bool` | `Bool` | |
//! | `char` | `Char` | `Str` of one character |
//! | `u8` to `u128` | `Uint` | `Int` of a number that fits; decimal digits in a `Str` |
//! | `i8` to `i128` | `Int` | `Uint` of a number that fits; decimal digits in a `Str` |
//! | `f32`, `f64` | `F32`, `F64` | the other one, rounded; an integer that it can express; `Str` of `NaN`, `inf` or `-inf` |
//! | arrays and lists of `u8` | `Bytes` | `List` |
//! | other arrays and lists | `List` | |
//! | struct | `Struct` | `List`, if the fields have numbers for names; the value of its only field, if that is `0` |
//! | enum without fields | `Enum` | `Str`; `Union` without fields |
//! | enum with fields | `Union` | `Str` or `Enum`, without fields; `Struct` of one field: the variant, and what a struct is written from |
//! | `Opt` | `Opt` | what its item is written from |
//! | `Str` | `Str` | |
//!
//! With the feature `serde`, a [`Value`] serializes as the type itself would by serde's derive, and deserializes from
//! whatever describes itself, so that JSON can be handed to `write`.
//!
//! # Why reading is bounded
//!
//! The bytes, and the schema too, come from somebody else. [`decode`](super::decode()) bounds the schema; what is left
//! is how many values a few bytes can be made to hold. Count them by depth, of which there are at most
//! [`MAX_DEPTH`](super::MAX_DEPTH):
//!
//! - *Those that have bytes.* At one depth they do not share any, because fields and items lie side by side. So there
//!   are at most [`MAX_DEPTH`](super::MAX_DEPTH) of them for each byte of the message.
//! - *Those that have none*, such as a `[T; 0]`, or the 2^60 items of a `[[T; 0]; 2^60]`. Nothing in the bytes bounds
//!   them, so `read` counts all values, and gives up at twice the number that the first kind can reach, plus
//!   [`SPARE_VALUES`].
//!
//! So a message without types of zero bytes is never refused for its number of values. Each value takes a constant
//! amount of memory, plus a name of at most 255 bytes, and, where it is an enum's, a look at each of its variants.

mod error;
mod read;
#[cfg(feature = "serde")]
mod serial;
mod show;
mod write;

pub use error::{ValueError, ValueReason};
pub use read::SPARE_VALUES;

#[cfg(doc)]
use super::Schema;
use super::tree::Field;

/// The value of a message, or of a part of one.
///
/// `Display` shows it in the manner of Rust, in one line, or with `{:#}` in many.
///
/// Values compare like what they stand for: two `NaN`s differ, and so do a `List` and the `Bytes` of the same numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A `bool`.
    Bool(bool),
    /// A `char`.
    Char(char),
    /// An integer without a sign, of any width.
    Uint(u128),
    /// An integer with a sign, of any width.
    Int(i128),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// A text.
    Str(String),
    /// The items of an array or list of `u8`.
    Bytes(Vec<u8>),
    /// The items of another array or list.
    List(Vec<Value>),
    /// What an `Opt` has, if anything.
    Opt(Option<Box<Value>>),
    /// The fields of a struct, with their names; those of a tuple struct are `0`, `1` and so on.
    Struct(Vec<(String, Value)>),
    /// The variant of an enum whose variants have no fields.
    Enum(String),
    /// The variant of an enum whose variants have fields.
    Union {
        /// Its name.
        variant: String,
        /// Its fields, as those of a struct; there may be none.
        fields: Vec<(String, Value)>,
    },
}

impl Value {
    /// The field of this name of a struct or of an enum's variant.
    ///
    /// ```
    /// use ipc_core::schema::Value;
    ///
    /// let tick = Value::from([("price", 1.5.into()), ("size", 100u32.into())]);
    /// assert_eq!(tick.get("price"), Some(&Value::F64(1.5)));
    /// assert_eq!(tick.get("volume"), None);
    /// assert_eq!(Value::Bool(true).get("price"), None);
    /// ```
    pub fn get(&self, field: &str) -> Option<&Self> {
        match self {
            Self::Struct(fields) | Self::Union { fields, .. } => {
                fields.iter().find(|(name, _)| name == field).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// What it is, for an error.
    fn kind_text(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a bool",
            Self::Char(_) => "a char",
            Self::Uint(_) | Self::Int(_) => "an integer",
            Self::F32(_) | Self::F64(_) => "a float",
            Self::Str(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Opt(None) => "none",
            Self::Opt(Some(_)) => "an option",
            Self::Struct(_) => "a struct",
            Self::Enum(_) => "a variant",
            Self::Union { .. } => "a variant with fields",
        }
    }
}

/// Converts what has one obvious form.
macro_rules! from {
    ($($($ty:ty),* => $variant:ident;)*) => {$($(
        impl From<$ty> for Value {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        }
    )*)*};
}

from! {
    bool => Bool;
    char => Char;
    u8, u16, u32, u64, u128 => Uint;
    i8, i16, i32, i64, i128 => Int;
    f32 => F32;
    f64 => F64;
    &str, String => Str;
    Vec<u8> => Bytes;
    Vec<Value> => List;
}

impl From<Option<Value>> for Value {
    fn from(value: Option<Value>) -> Self {
        Self::Opt(value.map(Box::new))
    }
}

impl<const N: usize> From<[(&str, Value); N]> for Value {
    fn from(fields: [(&str, Value); N]) -> Self {
        Self::Struct(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

/// Whether fields with these names are those of a tuple struct or variant. No fields at all may be.
fn are_numbered<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    let mut numbers = 0u64..;
    names.all(|name| numbers.next().is_some_and(|number| name == number.to_string()))
}

/// The names of fields, for [`are_numbered`].
fn names(fields: &[Field]) -> impl Iterator<Item = &str> {
    fields.iter().map(|field| field.name.as_str())
}
