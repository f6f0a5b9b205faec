//! [`Value`] and serde.
//!
//! A value serializes as its type would by serde's derive, which needs no schema: JSON has the fields of a struct in an
//! object, those of a tuple in an array, an only field `0` by itself, a variant as its name or as an object of one
//! entry, and what is absent as `null`. Two things differ in formats for people, where JSON would lose them: integers of
//! more than 64 bits become texts of digits, and the floats that are no numbers `NaN`, `inf` and `-inf`.
//!
//! A value deserializes from whatever describes itself. That is not the form that `read` gives, since JSON tells neither
//! a variant from a text nor a list from a tuple; `write` knows the schema, and accepts it.

use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Value, are_numbered};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let for_people = serializer.is_human_readable();
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::Uint(value) => match u64::try_from(*value) {
                Ok(value) => serializer.serialize_u64(value),
                Err(_) if for_people => serializer.collect_str(value),
                Err(_) => serializer.serialize_u128(*value),
            },
            Self::Int(value) => match i64::try_from(*value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) if for_people => serializer.collect_str(value),
                Err(_) => serializer.serialize_i128(*value),
            },
            Self::F32(value) if for_people && !value.is_finite() => serializer.collect_str(value),
            Self::F64(value) if for_people && !value.is_finite() => serializer.collect_str(value),
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Str(text) | Self::Enum(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.collect_seq(bytes),
            Self::List(items) => serializer.collect_seq(items),
            Self::Opt(None) => serializer.serialize_none(),
            Self::Opt(Some(value)) => serializer.serialize_some(value),
            Self::Struct(fields) => Fields(fields).serialize(serializer),
            Self::Union { variant, fields } if fields.is_empty() => serializer.serialize_str(variant),
            Self::Union { variant, fields } => serializer.collect_map([(variant, Fields(fields))]),
        }
    }
}

/// The fields of a struct or variant.
struct Fields<'a>(&'a [(String, Value)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [] => serializer.serialize_map(Some(0))?.end(),
            [(name, only)] if name == "0" => only.serialize(serializer),
            fields if are_numbered(fields.iter().map(|(name, _)| name.as_str())) => {
                serializer.collect_seq(fields.iter().map(|(_, value)| value))
            }
            fields => serializer.collect_map(fields.iter().map(|(name, value)| (name, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

/// Takes what comes.
struct Anything;

/// Visits what converts by itself.
macro_rules! visit {
    ($($visit:ident: $ty:ty;)*) => {$(
        fn $visit<E>(self, value: $ty) -> Result<Value, E> {
            Ok(value.into())
        }
    )*};
}

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of a message")
    }

    visit! {
        visit_bool: bool;
        visit_i64: i64;
        visit_i128: i128;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_string: String;
        visit_byte_buf: Vec<u8>;
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(bytes.to_vec().into())
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Opt(None))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Opt(None))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Ok(Some(Value::deserialize(deserializer)?).into())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Value::Struct(fields))
    }
}
