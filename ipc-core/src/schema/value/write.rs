//! Writing a value: every part of it is checked against the schema before its bytes are stored.

use super::read::{are_bytes, check_size, range, tail_item_bytes};
use super::{Value, ValueError, ValueReason, are_numbered, names};
use crate::schema::Prim;
use crate::schema::tree::{Field, Schema, Variant};

/// Fields with their names, as a struct or variant is given.
type Given = [(String, Value)];

impl Schema {
    /// Writes a value as a message, in the machine's byte order.
    ///
    /// It may be what [`read`](Self::read) gives, or in one of the looser forms that the [module](super) lists. The
    /// bytes that the value does not use, such as padding, become zero.
    ///
    /// ```
    /// use ipc_core::message::{IpcMessage, Opt, from_bytes};
    /// use ipc_core::schema::{Value, decode};
    ///
    /// let schema = decode(<Opt<u16>>::SCHEMA)?;
    /// let mut bytes = [0xff; 4];
    /// schema.write(&Value::Int(7), &mut bytes)?;
    /// assert_eq!(from_bytes::<Opt<u16>>(&bytes)?, Opt::Some(7));
    ///
    /// let refused = schema.write(&Value::Int(-7), &mut bytes).unwrap_err();
    /// assert_eq!(refused.to_string(), "message: -7 is not a value of `u16`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the first field, in the value's order, that is not one of the message's, or whose value is
    /// not one of its type. The bytes then have no meaning.
    pub fn write(&self, value: &Value, bytes: &mut [u8]) -> Result<(), ValueError> {
        check_size(self, bytes.len())?;
        bytes.fill(0);
        Writer { bytes }.value(self, 0, value)
    }

    /// Bytes of the message that `value` makes: the type's size or, if it has a tail, as many as the tail that the value
    /// has needs. Whether the value fits the schema otherwise is for [`write`](Self::write) to say.
    ///
    /// ```
    /// use ipc_core::message::IpcMessage;
    /// use ipc_core::schema::{Value, decode};
    ///
    /// let schema = decode(<[u16]>::SCHEMA)?;
    /// assert_eq!(schema.bytes_for(&Value::List(vec![7u16.into(), 8u16.into()])), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes_for(&self, value: &Value) -> u64 {
        let Some((offset, tail)) = self.tail() else { return self.size_bytes() };
        let items = match tail_of(self, value) {
            Some(Value::Str(text)) => text.len() as u64,
            Some(tail) => count(tail).unwrap_or(0),
            None => 0,
        };
        items.saturating_mul(tail_item_bytes(tail)).saturating_add(offset)
    }
}

/// The tail in a value that is a message of `schema`, or is to become one. `None` if it has none.
fn tail_of<'a>(schema: &Schema, value: &'a Value) -> Option<&'a Value> {
    match (schema, value) {
        (Schema::Slice { .. } | Schema::Text, tail) => Some(tail),
        (Schema::Struct { fields, .. }, Value::Struct(given)) => {
            let last = fields.last()?;
            given.iter().find(|(name, _)| *name == last.name).map(|(_, tail)| tail)
        }
        (Schema::Struct { fields, .. }, Value::List(items)) if items.len() == fields.len() => items.last(),
        (Schema::Struct { fields, .. }, only) if fields.len() == 1 => Some(only),
        _ => None,
    }
}

/// The bytes of a message, which are zero where nothing has been written yet.
struct Writer<'a> {
    bytes: &'a mut [u8],
}

impl Writer<'_> {
    /// Writes what lies at `at`. Positions saturate, because nothing lies at the largest one.
    fn value(&mut self, schema: &Schema, at: u64, value: &Value) -> Result<(), ValueError> {
        match schema {
            Schema::Prim(prim) => {
                let bits = prim_bits(*prim, value)?;
                self.bits(at, prim.size_bytes(), bits)
            }
            Schema::Array { item, len } => match count(value) {
                Some(given) if given == *len => self.items(schema, item, at, value),
                Some(given) => Err(ValueError::new(ValueReason::Count { given, expected: *len })),
                None => Err(wrong_kind(schema, value)),
            },
            Schema::Struct { fields, .. } => self.record(schema, fields, at, value),
            Schema::Enum { name, tag, values } => {
                let variant = match value {
                    Value::Enum(variant) | Value::Str(variant) => variant,
                    Value::Union { variant, fields } if fields.is_empty() => variant,
                    _ => return Err(wrong_kind(schema, value)),
                };
                let known = values.iter().find(|value| value.name == *variant);
                let known = known.ok_or_else(|| unknown_variant(variant, name, values.iter().map(|value| &value.name)));
                self.bits(at, tag.size_bytes(), known?.bits.into())
            }
            Schema::Union { name, tag, variants, .. } => self.union(schema, (name, *tag, variants), at, value),
            Schema::Opt { item, offset } => {
                let value = match value {
                    Value::Opt(None) => return self.bits(at, 1, 0),
                    Value::Opt(Some(value)) => value,
                    bare => bare,
                };
                self.bits(at, 1, 1)?;
                self.value(item, at.saturating_add(*offset), value)
            }
            Schema::Str { capacity } => match value {
                Value::Str(text) => {
                    self.length(at, 2, text.len() as u64, *capacity)?;
                    self.all(at.saturating_add(2), text.as_bytes())
                }
                _ => Err(wrong_kind(schema, value)),
            },
            Schema::List { item, capacity, offset } => match count(value) {
                Some(len) => {
                    self.length(at, 4, len, *capacity)?;
                    self.items(schema, item, at.saturating_add(*offset), value)
                }
                None => Err(wrong_kind(schema, value)),
            },
            Schema::Slice { item } => {
                self.tail(schema, at, count(value).map(|count| count.saturating_mul(item.size_bytes())), value)?;
                self.items(schema, item, at, value)
            }
            Schema::Text => match value {
                Value::Str(text) => {
                    self.tail(schema, at, Some(text.len() as u64), value)?;
                    self.all(at, text.as_bytes())
                }
                _ => Err(wrong_kind(schema, value)),
            },
        }
    }

    /// Checks that a tail of so many bytes, if it is one, ends where the message does.
    fn tail(&self, schema: &Schema, at: u64, bytes: Option<u64>, value: &Value) -> Result<(), ValueError> {
        let bytes = bytes.ok_or_else(|| wrong_kind(schema, value))?;
        let (given, expected) = (self.bytes.len(), at.saturating_add(bytes));
        if given as u64 == expected { Ok(()) } else { Err(ValueError::new(ValueReason::Size { given, expected })) }
    }

    /// Writes an enum with fields: its name, tag and variants.
    fn union(
        &mut self,
        schema: &Schema,
        (name, tag, variants): (&str, Prim, &[Variant]),
        at: u64,
        value: &Value,
    ) -> Result<(), ValueError> {
        /// The fields as they are given, if they are.
        enum Fields<'a> {
            Named(&'a Given),
            Loose(&'a Value),
        }
        let (variant, fields) = match value {
            Value::Union { variant, fields } => (variant, Fields::Named(fields)),
            Value::Enum(variant) | Value::Str(variant) => (variant, Fields::Named(&[])),
            Value::Struct(only) => match only.as_slice() {
                [(variant, fields)] => (variant, Fields::Loose(fields)),
                _ => return Err(wrong_kind(schema, value)),
            },
            _ => return Err(wrong_kind(schema, value)),
        };
        let known = variants.iter().find(|known| known.name == *variant);
        let known =
            known.ok_or_else(|| unknown_variant(variant, name, variants.iter().map(|variant| &variant.name)))?;
        self.bits(at, tag.size_bytes(), known.bits.into())?;
        let written = match fields {
            Fields::Named(given) => self.named(&known.fields, at, given),
            Fields::Loose(value) => self.record(schema, &known.fields, at, value),
        };
        written.map_err(|error| error.within(variant))
    }

    /// Writes fields from what they are given as: by name, by number, or the only one by itself.
    fn record(&mut self, schema: &Schema, fields: &[Field], at: u64, value: &Value) -> Result<(), ValueError> {
        let numbered = are_numbered(names(fields));
        match (value, fields) {
            // The only field of a tuple, unless it is named.
            (Value::Struct(given), [only])
                if numbered && !matches!(given.as_slice(), [(name, _)] if *name == only.name) =>
            {
                self.value(&only.ty, at.saturating_add(only.offset), value)
            }
            (Value::Struct(given), _) => self.named(fields, at, given),
            (_, [only]) if numbered => self.value(&only.ty, at.saturating_add(only.offset), value),
            (Value::List(items), _) if numbered => {
                let (given, expected) = (items.len() as u64, fields.len() as u64);
                if given != expected {
                    return Err(ValueError::new(ValueReason::Count { given, expected }));
                }
                for (Field { name, offset, ty }, item) in fields.iter().zip(items) {
                    self.value(ty, at.saturating_add(*offset), item).map_err(|error| error.within(name))?;
                }
                Ok(())
            }
            _ => Err(wrong_kind(schema, value)),
        }
    }

    /// Writes fields by their names, in any order.
    fn named(&mut self, fields: &[Field], at: u64, given: &Given) -> Result<(), ValueError> {
        let mut written = vec![false; fields.len()];
        for (position, (name, value)) in given.iter().enumerate() {
            let field = find_field(fields, position, name).map_err(|error| error.within(name))?;
            if core::mem::replace(&mut written[field], true) {
                return Err(ValueError::new(ValueReason::Duplicate).within(name));
            }
            let Field { offset, ty, .. } = &fields[field];
            self.value(ty, at.saturating_add(*offset), value).map_err(|error| error.within(name))?;
        }
        match written.iter().position(|written| !written) {
            Some(missing) => Err(ValueError::new(ValueReason::Missing).within(&fields[missing].name)),
            None => Ok(()),
        }
    }

    /// Writes as many items as the value has; how many there may be was checked.
    fn items(&mut self, schema: &Schema, item: &Schema, at: u64, value: &Value) -> Result<(), ValueError> {
        match value {
            Value::Bytes(bytes) if are_bytes(item) => self.all(at, bytes),
            Value::List(items) => {
                let size = item.size_bytes();
                for (index, value) in (0u64..).zip(items) {
                    let at = at.saturating_add(index.saturating_mul(size));
                    self.value(item, at, value).map_err(|error| error.at(index))?;
                }
                Ok(())
            }
            _ => Err(wrong_kind(schema, value)),
        }
    }

    fn length(&mut self, at: u64, width: u64, len: u64, capacity: u64) -> Result<(), ValueError> {
        if len > capacity {
            return Err(ValueError::new(ValueReason::Length { len, capacity }));
        }
        self.bits(at, width, len.into())
    }

    /// The lowest bytes of an integer.
    fn bits(&mut self, at: u64, width: u64, bits: u128) -> Result<(), ValueError> {
        let bytes = bits.to_ne_bytes();
        let unused = bytes.len() - width as usize;
        let lowest = if cfg!(target_endian = "little") { &bytes[..width as usize] } else { &bytes[unused..] };
        self.all(at, lowest)
    }

    fn all(&mut self, at: u64, bytes: &[u8]) -> Result<(), ValueError> {
        let to = range(at, bytes.len() as u64, self.bytes.len())?;
        self.bytes[to].copy_from_slice(bytes);
        Ok(())
    }
}

/// The index of a field: the one at the same position as in the value, if it has the name.
fn find_field(fields: &[Field], position: usize, name: &str) -> Result<usize, ValueError> {
    if fields.get(position).is_some_and(|field| field.name == name) {
        return Ok(position);
    }
    let known = || ValueReason::Unknown { known: names(fields).map(str::to_owned).collect() };
    fields.iter().position(|field| field.name == name).ok_or_else(|| ValueError::new(known()))
}

/// How many items a value has, if it has any.
fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Bytes(bytes) => Some(bytes.len() as u64),
        Value::List(items) => Some(items.len() as u64),
        _ => None,
    }
}

/// The bits of a primitive, of which the lowest bytes are its own.
fn prim_bits(prim: Prim, value: &Value) -> Result<u128, ValueError> {
    let bits = match prim {
        Prim::Bool => match value {
            Value::Bool(value) => Some(u128::from(*value)),
            _ => None,
        },
        Prim::Char => one_char(value).map(u128::from),
        Prim::F32 | Prim::F64 => return float_bits(prim, value),
        _ => return integer_bits(prim, value),
    };
    bits.ok_or_else(|| wrong_kind(&Schema::Prim(prim), value))
}

fn one_char(value: &Value) -> Option<char> {
    match value {
        Value::Char(value) => Some(*value),
        Value::Str(text) => {
            let mut chars = text.chars();
            chars.next().filter(|_| chars.as_str().is_empty())
        }
        _ => None,
    }
}

fn integer_bits(prim: Prim, value: &Value) -> Result<u128, ValueError> {
    let unused = 128 - 8 * prim.size_bytes();
    let fits = if prim.is_signed() {
        let number = match value {
            Value::Int(number) => Some(*number),
            Value::Uint(number) => i128::try_from(*number).ok(),
            Value::Str(digits) => digits.parse().ok(),
            _ => return Err(wrong_kind(&Schema::Prim(prim), value)),
        };
        number.filter(|number| (number << unused) >> unused == *number).map(|number| number as u128)
    } else {
        let number = match value {
            Value::Uint(number) => Some(*number),
            Value::Int(number) => u128::try_from(*number).ok(),
            Value::Str(digits) => digits.parse().ok(),
            _ => return Err(wrong_kind(&Schema::Prim(prim), value)),
        };
        number.filter(|number| (number << unused) >> unused == *number)
    };
    fits.ok_or_else(|| out_of_range(prim, value))
}

fn float_bits(prim: Prim, value: &Value) -> Result<u128, ValueError> {
    let digits = if prim == Prim::F32 { f32::MANTISSA_DIGITS } else { f64::MANTISSA_DIGITS };
    let number = match value {
        // Not through an `f64`, which need not keep the bits of a NaN.
        Value::F32(number) if prim == Prim::F32 => return Ok(number.to_bits().into()),
        Value::F32(number) => f64::from(*number),
        Value::F64(number) => *number,
        Value::Uint(number) if is_exact(*number, digits) => *number as f64,
        Value::Int(number) if is_exact(number.unsigned_abs(), digits) => *number as f64,
        Value::Uint(_) | Value::Int(_) => return Err(out_of_range(prim, value)),
        Value::Str(text) => match text.as_str() {
            "NaN" => f64::NAN,
            "inf" => f64::INFINITY,
            "-inf" => f64::NEG_INFINITY,
            _ => return Err(wrong_kind(&Schema::Prim(prim), value)),
        },
        _ => return Err(wrong_kind(&Schema::Prim(prim), value)),
    };
    if prim == Prim::F64 {
        return Ok(number.to_bits().into());
    }
    let rounded = number as f32;
    if rounded.is_infinite() && number.is_finite() {
        return Err(out_of_range(prim, value));
    }
    Ok(rounded.to_bits().into())
}

/// Whether a float with so many binary digits can express an integer. The largest such integer of 128 bits is also the
/// largest `f32`, so there is no other limit.
fn is_exact(magnitude: u128, digits: u32) -> bool {
    let odd = magnitude >> magnitude.trailing_zeros().min(127);
    u128::BITS - odd.leading_zeros() <= digits
}

#[cold]
fn wrong_kind(schema: &Schema, value: &Value) -> ValueError {
    let expected = schema.type_text().escape_debug().to_string();
    ValueError::new(ValueReason::Kind { expected, given: value.kind_text() })
}

#[cold]
fn out_of_range(prim: Prim, value: &Value) -> ValueError {
    ValueError::new(ValueReason::Range { number: value.to_string(), prim })
}

#[cold]
fn unknown_variant<'a>(name: &str, of: &str, known: impl Iterator<Item = &'a String>) -> ValueError {
    let (name, of) = (name.to_owned(), of.to_owned());
    ValueError::new(ValueReason::Variant { name, of, known: known.cloned().collect() })
}
