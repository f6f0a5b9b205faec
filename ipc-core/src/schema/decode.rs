//! Reading an encoded schema, from whoever wrote it.
//!
//! The bytes come from shared memory or a file, so nothing about them is trusted: lengths are checked against what is
//! left of the input, nesting against [`MAX_DEPTH`], sizes against overflow, and fields against the struct that they
//! stand in. Every node takes at least one byte of input, which bounds both the time and the memory.

use super::tree::{Field, Schema, UnitVariant, Variant, round_up};
use super::{FORMAT_VERSION, MAX_DEPTH, MAX_NAME_BYTES, MAX_SCHEMA_BYTES, Prim, tags};

/// Why bytes are not an encoded schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The schema goes on where the bytes end.
    #[error("the schema ends early")]
    Truncated,
    /// The bytes go on where the schema ends.
    #[error("the schema ends at byte {0}, but more bytes follow")]
    Trailing(usize),
    /// There are more bytes than a schema may have.
    #[error("the schema has {0} bytes, more than the {MAX_SCHEMA_BYTES} allowed")]
    TooLong(usize),
    /// Another version of the format.
    #[error("the schema has format version {0}, and this program reads version {FORMAT_VERSION}")]
    Version(u8),
    /// A byte that opens no type.
    #[error("{byte:#04x} at byte {at} of the schema stands for no type")]
    Kind {
        /// What was found.
        byte: u8,
        /// Where.
        at: usize,
    },
    /// A number of more than 64 bits, or not in its shortest form.
    #[error("the number that ends at byte {0} of the schema is malformed")]
    Number(usize),
    /// A name that is empty, too long, or not UTF-8.
    #[error("the name at byte {0} of the schema is malformed")]
    Name(usize),
    /// Types nest too deep.
    #[error("the types nest more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A type that cannot have the layout it claims: a field outside its struct, say, or a size beyond 64 bits.
    #[error("the type that ends at byte {0} of the schema has an impossible layout")]
    Layout(usize),
}

/// Reads an encoded schema.
///
/// ```
/// use ipc_core::message::{IpcMessage, Opt};
/// use ipc_core::schema::{Prim, Schema, decode};
///
/// let schema = decode(<Opt<u32>>::SCHEMA)?;
/// assert_eq!(schema, Schema::Opt { item: Box::new(Schema::Prim(Prim::U32)), offset: 4 });
/// # Ok::<(), ipc_core::schema::DecodeError>(())
/// ```
///
/// # Errors
///
/// [`DecodeError`] says where the bytes are not a schema. No input causes a panic, or more work and memory than a small
/// multiple of its length.
pub fn decode(bytes: &[u8]) -> Result<Schema, DecodeError> {
    if bytes.len() > MAX_SCHEMA_BYTES {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    let mut reader = Reader { bytes, at: 0 };
    let version = reader.byte()?;
    if version != FORMAT_VERSION {
        return Err(DecodeError::Version(version));
    }
    let sized = reader.ty(MAX_DEPTH, true)?;
    if reader.at != bytes.len() {
        return Err(DecodeError::Trailing(reader.at));
    }
    Ok(sized.schema)
}

/// The undecoded rest of the input.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A type with its size, so that sizes are computed once, on the way up.
struct Sized {
    schema: Schema,
    size: u64,
}

/// Name, size and alignment of a struct or enum.
struct Head {
    name: String,
    size: u64,
    align: u64,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.at).ok_or(DecodeError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let overflows = (bits << shift) >> shift != bits;
            let overlong = byte == 0 && shift > 0;
            if overflows || overlong {
                return Err(DecodeError::Number(self.at));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::Number(self.at))
    }

    fn name(&mut self) -> Result<String, DecodeError> {
        let start = self.at;
        let len = self.number()?;
        if len == 0 || len > MAX_NAME_BYTES as u64 {
            return Err(DecodeError::Name(start));
        }
        let end = self.at + len as usize;
        let name = self.bytes.get(self.at..end).ok_or(DecodeError::Truncated)?;
        self.at = end;
        let name = core::str::from_utf8(name).map_err(|_| DecodeError::Name(start))?;
        Ok(name.to_owned())
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let head = Head { name: self.name()?, size: self.number()?, align: self.number()? };
        self.require(head.align.is_power_of_two() && head.size % head.align == 0)?;
        Ok(head)
    }

    fn prim(byte: u8) -> Option<Prim> {
        Prim::ALL.into_iter().find(|&prim| prim as u8 == byte)
    }

    fn tag(&mut self) -> Result<Prim, DecodeError> {
        let byte = self.byte()?;
        let at = self.at - 1;
        Self::prim(byte).filter(|prim| prim.is_tag()).ok_or(DecodeError::Kind { byte, at })
    }

    /// The bits of a tag's value, which have to fit the tag.
    fn bits(&mut self, tag: Prim) -> Result<u64, DecodeError> {
        let bits = self.number()?;
        let width = 8 * tag.size_bytes();
        self.require(width == 64 || bits >> width == 0)?;
        Ok(bits)
    }

    /// Refuses an impossible layout.
    fn require(&self, possible: bool) -> Result<(), DecodeError> {
        self.some(possible.then_some(()))
    }

    /// Refuses a size that is not there, because computing it overflowed.
    fn some<T>(&self, size: Option<T>) -> Result<T, DecodeError> {
        size.ok_or(DecodeError::Layout(self.at))
    }

    /// Reads a type that may nest `depth` levels deep, itself included, and may be a tail if `may_vary`.
    fn ty(&mut self, depth: u32, may_vary: bool) -> Result<Sized, DecodeError> {
        let is_outermost = depth == MAX_DEPTH;
        let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let byte = self.byte()?;
        match byte {
            tags::ARRAY => {
                let len = self.number()?;
                let item = self.ty(depth, false)?;
                let size = self.some(item.size.checked_mul(len))?;
                Ok(Sized { schema: Schema::Array { item: Box::new(item.schema), len }, size })
            }
            tags::STRUCT => {
                let Head { name, size, align } = self.head()?;
                let fields = self.fields(0, size, depth, is_outermost)?;
                if let Some(Field { offset, ty: Schema::Slice { .. } | Schema::Text, .. }) = fields.last() {
                    self.require(round_up(*offset, align) == Some(size))?;
                }
                Ok(Sized { schema: Schema::Struct { name, size, align, fields }, size })
            }
            tags::ENUM => self.enumeration(),
            tags::UNION => self.union(depth),
            tags::OPT => {
                let offset = self.number()?;
                let item = self.ty(depth, false)?;
                self.require(offset.is_power_of_two())?;
                let size = self.some(item.size.checked_add(offset))?;
                Ok(Sized { schema: Schema::Opt { item: Box::new(item.schema), offset }, size })
            }
            tags::STR => {
                let capacity = self.number()?;
                self.require(capacity <= u16::MAX.into())?;
                let schema = Schema::Str { capacity };
                let size = schema.size_bytes();
                Ok(Sized { schema, size })
            }
            tags::LIST => {
                let (capacity, offset) = (self.number()?, self.number()?);
                let item = self.ty(depth, false)?;
                self.require(capacity <= u32::MAX.into() && offset.is_power_of_two() && offset >= 4)?;
                let end = item.size.checked_mul(capacity).and_then(|size| size.checked_add(offset));
                let size = self.some(end.and_then(|end| round_up(end, offset)))?;
                Ok(Sized { schema: Schema::List { item: Box::new(item.schema), capacity, offset }, size })
            }
            tags::SLICE => {
                let item = self.ty(depth, false)?;
                self.require(may_vary && item.size > 0)?;
                Ok(Sized { schema: Schema::Slice { item: Box::new(item.schema) }, size: 0 })
            }
            tags::TEXT => {
                self.require(may_vary)?;
                Ok(Sized { schema: Schema::Text, size: 0 })
            }
            _ => {
                let at = self.at - 1;
                let prim = Self::prim(byte).ok_or(DecodeError::Kind { byte, at })?;
                Ok(Sized { schema: Schema::Prim(prim), size: prim.size_bytes() })
            }
        }
    }

    /// Reads an enum without fields, behind its opening byte.
    fn enumeration(&mut self) -> Result<Sized, DecodeError> {
        let name = self.name()?;
        let tag = self.tag()?;
        let mut values = Vec::new();
        for _ in 0..self.number()? {
            values.push(UnitVariant { name: self.name()?, bits: self.bits(tag)? });
        }
        Ok(Sized { schema: Schema::Enum { name, tag, values }, size: tag.size_bytes() })
    }

    /// Reads an enum with fields, behind its opening byte.
    fn union(&mut self, depth: u32) -> Result<Sized, DecodeError> {
        let Head { name, size, align } = self.head()?;
        let tag = self.tag()?;
        self.require(tag.size_bytes() <= size)?;
        let mut variants = Vec::new();
        for _ in 0..self.number()? {
            let (name, bits) = (self.name()?, self.bits(tag)?);
            variants.push(Variant { name, bits, fields: self.fields(tag.size_bytes(), size, depth, false)? });
        }
        Ok(Sized { schema: Schema::Union { name, size, align, tag, variants }, size })
    }

    /// Reads fields that have to lie within `start .. end` without overlap, and of which the last one may be a tail if
    /// `may_vary`.
    fn fields(&mut self, start: u64, end: u64, depth: u32, may_vary: bool) -> Result<Vec<Field>, DecodeError> {
        let mut fields = Vec::new();
        let mut free = start;
        let count = self.number()?;
        for at in 0..count {
            let (name, offset) = (self.name()?, self.number()?);
            let Sized { schema, size } = self.ty(depth, may_vary && at + 1 == count)?;
            self.require(offset >= free)?;
            free = self.some(offset.checked_add(size).filter(|&free| free <= end))?;
            fields.push(Field { name, offset, ty: schema });
        }
        Ok(fields)
    }
}
