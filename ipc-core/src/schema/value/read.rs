//! Reading a value: every byte that has an invalid pattern is looked at, as `IpcMessage::validate` does.
//!
//! Every access is checked against the bytes, whatever the schema says, so a schema that was put together rather than
//! decoded gives an error and no panic.

use super::{Value, ValueError, ValueReason};
use crate::schema::tree::{Field, Schema, UnitVariant};
use crate::schema::{MAX_DEPTH, Prim};

/// How many values `read` gives for a message of no bytes; the module's documentation has the rule.
pub const SPARE_VALUES: u64 = 4_096;

impl Schema {
    /// Reads a message from exactly its bytes, at any alignment, in the machine's byte order.
    ///
    /// What it accepts is what the type's own [`validate`](crate::message::IpcMessage::validate) accepts. Bytes that
    /// mean nothing in this message (padding, the rest of a text or list, other variants) are ignored.
    ///
    /// ```
    /// use ipc_core::message::{IpcMessage, List};
    /// use ipc_core::schema::{Value, decode};
    ///
    /// let schema = decode(<List<bool, 3>>::SCHEMA)?;
    /// let read = schema.read(&[2, 0, 0, 0, 1, 0, 77, 77])?;
    /// assert_eq!(read, Value::List(vec![true.into(), false.into()]));
    ///
    /// let refused = schema.read(&[3, 0, 0, 0, 1, 0, 77, 77]).unwrap_err();
    /// assert_eq!(refused.to_string(), "field `[2]`: 77 is not a `bool`");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] names the first field, in ascending order, whose bytes are not a value of its type. No bytes
    /// cause a panic, and the work and memory are bounded by their number, as the
    /// [module's documentation](super) says.
    pub fn read(&self, bytes: &[u8]) -> Result<Value, ValueError> {
        check_size(self, bytes.len())?;
        let most = (bytes.len() as u64).saturating_mul(2 * u64::from(MAX_DEPTH)).saturating_add(SPARE_VALUES);
        Reader { bytes, most, left: most }.value(self, 0)
    }
}

/// Refuses bytes that are not as many as a message has: a tail has whole items.
pub(super) fn check_size(schema: &Schema, given: usize) -> Result<(), ValueError> {
    let (fits, expected) = match schema.tail() {
        None => (given as u64 == schema.size_bytes(), schema.size_bytes()),
        Some((offset, tail)) => {
            let rest = (given as u64).checked_sub(offset);
            (rest.is_some_and(|rest| rest.checked_rem(tail_item_bytes(tail)) == Some(0)), offset)
        }
    };
    if fits { Ok(()) } else { Err(ValueError::new(ValueReason::Size { given, expected })) }
}

/// Bytes of an item of a tail; of text, a byte.
pub(super) fn tail_item_bytes(tail: &Schema) -> u64 {
    match tail {
        Schema::Slice { item } => item.size_bytes(),
        _ => 1,
    }
}

/// The range of a message's bytes that starts at `at`, if it lies in a message of `len` bytes.
pub(super) fn range(at: u64, size: u64, len: usize) -> Result<core::ops::Range<usize>, ValueError> {
    match at.checked_add(size) {
        // Both fit a `usize`, since `len` is one.
        Some(end) if end <= len as u64 => Ok(at as usize..end as usize),
        _ => Err(ValueError::new(ValueReason::Outside(at))),
    }
}

/// Whether items are read as [`Value::Bytes`].
pub(super) fn are_bytes(item: &Schema) -> bool {
    *item == Schema::Prim(Prim::U8)
}

/// The bytes of a message, and how many values may still be made of them.
struct Reader<'a> {
    bytes: &'a [u8],
    most: u64,
    left: u64,
}

impl Reader<'_> {
    /// Reads what lies at `at`. Positions saturate, because nothing lies at the largest one.
    fn value(&mut self, schema: &Schema, at: u64) -> Result<Value, ValueError> {
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Err(ValueError::new(ValueReason::TooManyValues(self.most))),
        };
        match schema {
            Schema::Prim(prim) => self.prim(*prim, at),
            Schema::Array { item, len } => self.items(item, at, *len),
            Schema::Struct { fields, .. } => self.fields(fields, at).map(Value::Struct),
            Schema::Enum { name, tag, values } => {
                let bits = self.tag(*tag, at)?;
                match values.iter().find(|value| value.bits == bits) {
                    Some(UnitVariant { name, .. }) => Ok(Value::Enum(name.clone())),
                    None => Err(unknown_tag(*tag, bits, name)),
                }
            }
            Schema::Union { name, tag, variants, .. } => {
                let bits = self.tag(*tag, at)?;
                let variant = variants.iter().find(|variant| variant.bits == bits);
                let variant = variant.ok_or_else(|| unknown_tag(*tag, bits, name))?;
                let fields = self.fields(&variant.fields, at).map_err(|error| error.within(&variant.name))?;
                Ok(Value::Union { variant: variant.name.clone(), fields })
            }
            Schema::Opt { item, offset } => match self.bits(at, 1)? as u8 {
                0 => Ok(Value::Opt(None)),
                1 => Ok(Value::Opt(Some(Box::new(self.value(item, at.saturating_add(*offset))?)))),
                tag => Err(ValueError::new(ValueReason::Opt(tag))),
            },
            Schema::Str { capacity } => {
                let len = self.length(at, 2, *capacity)?;
                self.text(at.saturating_add(2), len)
            }
            Schema::List { item, capacity, offset } => {
                let len = self.length(at, 4, *capacity)?;
                self.items(item, at.saturating_add(*offset), len)
            }
            Schema::Slice { item } => {
                let count = self.rest(at)?.checked_div(item.size_bytes());
                self.items(item, at, count.ok_or_else(|| ValueError::new(ValueReason::Outside(at)))?)
            }
            Schema::Text => self.text(at, self.rest(at)?),
        }
    }

    /// Bytes from `at` to the end of the message.
    fn rest(&self, at: u64) -> Result<u64, ValueError> {
        (self.bytes.len() as u64).checked_sub(at).ok_or_else(|| ValueError::new(ValueReason::Outside(at)))
    }

    fn prim(&self, prim: Prim, at: u64) -> Result<Value, ValueError> {
        let bits = self.bits(at, prim.size_bytes())?;
        match prim {
            Prim::Bool => match bits {
                0 => Ok(Value::Bool(false)),
                1 => Ok(Value::Bool(true)),
                _ => Err(ValueError::new(ValueReason::Bool(bits as u8))),
            },
            Prim::Char => {
                let code = bits as u32;
                char::from_u32(code).map(Value::Char).ok_or_else(|| ValueError::new(ValueReason::Char(code)))
            }
            Prim::F32 => Ok(Value::F32(f32::from_bits(bits as u32))),
            Prim::F64 => Ok(Value::F64(f64::from_bits(bits as u64))),
            _ if prim.is_signed() => {
                // Moves the sign to the top, and back down with all the bits that it stands for.
                let unused = 128 - 8 * prim.size_bytes();
                Ok(Value::Int((bits << unused) as i128 >> unused))
            }
            _ => Ok(Value::Uint(bits)),
        }
    }

    fn fields(&mut self, fields: &[Field], at: u64) -> Result<Vec<(String, Value)>, ValueError> {
        let mut read = Vec::new();
        for Field { name, offset, ty } in fields {
            let value = self.value(ty, at.saturating_add(*offset)).map_err(|error| error.within(name))?;
            read.push((name.clone(), value));
        }
        Ok(read)
    }

    fn items(&mut self, item: &Schema, at: u64, count: u64) -> Result<Value, ValueError> {
        let size = item.size_bytes();
        let all = range(at, size.saturating_mul(count), self.bytes.len())?;
        if are_bytes(item) {
            return Ok(Value::Bytes(self.bytes[all].to_vec()));
        }
        // Items of no bytes fit in any number: nothing is reserved for them, and `value` gives up on too many.
        let mut items = Vec::with_capacity(all.len().min(count as usize));
        for index in 0..count {
            items.push(self.value(item, at.saturating_add(index * size)).map_err(|error| error.at(index))?);
        }
        Ok(Value::List(items))
    }

    fn text(&self, at: u64, len: u64) -> Result<Value, ValueError> {
        let bytes = &self.bytes[range(at, len, self.bytes.len())?];
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Str(text.to_owned())),
            Err(error) => Err(ValueError::new(ValueReason::Utf8 { valid_up_to: error.valid_up_to() })),
        }
    }

    /// The length that a text or list begins with.
    fn length(&self, at: u64, width: u64, capacity: u64) -> Result<u64, ValueError> {
        let len = self.bits(at, width)? as u64;
        if len <= capacity { Ok(len) } else { Err(ValueError::new(ValueReason::Length { len, capacity })) }
    }

    fn tag(&self, tag: Prim, at: u64) -> Result<u64, ValueError> {
        Ok(self.bits(at, tag.size_bytes())? as u64)
    }

    /// An integer of at most 16 bytes, zero-extended.
    fn bits(&self, at: u64, width: u64) -> Result<u128, ValueError> {
        let from = &self.bytes[range(at, width, self.bytes.len())?];
        let mut bits = [0; 16];
        let unused = if cfg!(target_endian = "little") { 0 } else { bits.len() - from.len() };
        bits[unused..unused + from.len()].copy_from_slice(from);
        Ok(u128::from_ne_bytes(bits))
    }
}

#[cold]
fn unknown_tag(tag: Prim, bits: u64, of: &str) -> ValueError {
    ValueError::new(ValueReason::Tag { tag: tag.tag_value(bits), of: of.to_owned() })
}
