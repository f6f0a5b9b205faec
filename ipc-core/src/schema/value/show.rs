//! Showing a value to people.
//!
//! Names come from a schema, and so perhaps from somebody who puts control characters into them: they are escaped.

use core::fmt;

use super::{Value, are_numbered};

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => fmt::Display::fmt(value, f),
            Self::Char(value) => fmt::Debug::fmt(value, f),
            Self::Uint(value) => fmt::Display::fmt(value, f),
            Self::Int(value) => fmt::Display::fmt(value, f),
            Self::F32(value) => fmt::Debug::fmt(value, f),
            Self::F64(value) => fmt::Debug::fmt(value, f),
            Self::Str(text) => fmt::Debug::fmt(text, f),
            Self::Bytes(bytes) => f.debug_list().entries(bytes).finish(),
            Self::List(items) => f.debug_list().entries(items.iter().map(Shown)).finish(),
            Self::Opt(None) => f.write_str("None"),
            Self::Opt(Some(value)) => f.debug_tuple("Some").field(&Shown(value)).finish(),
            Self::Struct(fields) => show_fields("", fields, f),
            Self::Enum(variant) => write!(f, "{}", variant.escape_debug()),
            Self::Union { variant, fields } => show_fields(&variant.escape_debug().to_string(), fields, f),
        }
    }
}

/// Shows a struct or variant: `{a: 1, b: 2}`, `(1, 2)`, `Move { x: 1.0 }`, `Say("abc", 4)`, `Stop`.
fn show_fields(name: &str, fields: &[(String, Value)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let pairs = || fields.iter().map(|(name, value)| (name.escape_debug().to_string(), Shown(value)));
    if !fields.is_empty() && are_numbered(fields.iter().map(|(name, _)| name.as_str())) {
        let mut tuple = f.debug_tuple(name);
        pairs().for_each(|(_, value)| {
            tuple.field(&value);
        });
        tuple.finish()
    } else if name.is_empty() {
        f.debug_map().entries(pairs().map(|(name, value)| (Name(name), value))).finish()
    } else {
        let mut shown = f.debug_struct(name);
        pairs().for_each(|(name, value)| {
            shown.field(&name, &value);
        });
        shown.finish()
    }
}

/// Lends `Display` to the helpers of `core`, which call `Debug`.
struct Shown<'a>(&'a Value);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0, f)
    }
}

/// A name, without the quotation marks that `Debug` would give it.
struct Name(String);

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
