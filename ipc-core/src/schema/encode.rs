//! Encoding a [`Type`] at compile time.

use super::{FORMAT_VERSION, Field, Kind, MAX_DEPTH, MAX_NAME_BYTES, MAX_SCHEMA_BYTES, Type, tags};
use crate::message::IpcMessage;

/// The encoded schema of a message type.
///
/// The length of an array cannot depend on a generic type's constant, so the bytes are written into the smallest of a
/// few arrays that holds them, and cut to length.
///
/// # Panics
///
/// During compilation, if the schema is larger than [`MAX_SCHEMA_BYTES`], nests deeper than [`MAX_DEPTH`], or contains
/// a name that is empty or longer than [`MAX_NAME_BYTES`], or a tail that is not at the end of the message.
pub const fn bytes_of<T: IpcMessage + ?Sized>() -> &'static [u8] {
    let len = encode::<0>(T::TYPE).len;
    let bytes: &'static [u8] = match len {
        0..=256 => Encoded::<T, 256>::BYTES,
        257..=1024 => Encoded::<T, 1024>::BYTES,
        1025..=4096 => Encoded::<T, 4096>::BYTES,
        4097..=MAX_SCHEMA_BYTES => Encoded::<T, MAX_SCHEMA_BYTES>::BYTES,
        _ => panic!("the schema of this message exceeds 16,384 bytes: use fewer or shorter names, or less nesting"),
    };
    bytes.split_at(len).0
}

/// FNV-1a of 128 bits.
///
/// ```
/// # use ipc_core::schema::fingerprint;
/// assert_eq!(fingerprint(b""), 0x6c62272e07bb014262b821756295c58d);
/// assert_eq!(fingerprint(b"a"), 0xd228cb696f1a8caf78912b704e4a8964);
/// ```
pub const fn fingerprint(bytes: &[u8]) -> u128 {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = OFFSET_BASIS;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u128).wrapping_mul(PRIME);
        at += 1;
    }
    hash
}

/// Holds the encoded schema of `T` in an array of `N` bytes. If it does not fit, what is there is never used: the
/// compiler evaluates all the sizes, whichever is chosen.
struct Encoded<T: ?Sized, const N: usize>(core::marker::PhantomData<T>);

impl<T: IpcMessage + ?Sized, const N: usize> Encoded<T, N> {
    const BYTES: &'static [u8; N] = &encode::<N>(T::TYPE).bytes;
}

/// Encodes a type. What exceeds `N` bytes is counted but not kept.
const fn encode<const N: usize>(ty: &Type) -> Writer<N> {
    let mut writer = Writer { bytes: [0; N], len: 0 };
    writer.byte(FORMAT_VERSION);
    writer.ty(ty, MAX_DEPTH);
    writer
}

/// Appends to an array of `N` bytes, and counts what would not fit.
struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }

    const fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    const fn name(&mut self, name: &str) {
        assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES, "names in a message have 1 to 255 bytes");
        self.number(name.len() as u64);
        let mut at = 0;
        while at < name.len() {
            self.byte(name.as_bytes()[at]);
            at += 1;
        }
    }

    /// Appends a type that may nest `depth` levels deep, itself included.
    const fn ty(&mut self, ty: &Type, depth: u32) {
        assert!(depth > 0, "the types of this message nest more than 32 deep");
        let is_outermost = depth == MAX_DEPTH;
        let depth = depth - 1;
        match ty.kind {
            Kind::Prim(prim) => self.byte(prim as u8),
            Kind::Array { item, len } => {
                self.byte(tags::ARRAY);
                self.number(len as u64);
                self.ty(item, depth);
            }
            Kind::Struct { fields } => {
                self.byte(tags::STRUCT);
                self.head(ty);
                self.fields(fields, depth, is_outermost);
            }
            Kind::Enum { tag, values } => {
                self.byte(tags::ENUM);
                self.name(ty.name);
                self.byte(tag as u8);
                self.number(values.len() as u64);
                let mut at = 0;
                while at < values.len() {
                    self.name(values[at].name);
                    self.number(values[at].bits);
                    at += 1;
                }
            }
            Kind::Union { tag, variants } => {
                self.byte(tags::UNION);
                self.head(ty);
                self.byte(tag as u8);
                self.number(variants.len() as u64);
                let mut at = 0;
                while at < variants.len() {
                    self.name(variants[at].name);
                    self.number(variants[at].bits);
                    self.fields(variants[at].fields, depth, false);
                    at += 1;
                }
            }
            Kind::Opt { item, offset } => {
                self.byte(tags::OPT);
                self.number(offset as u64);
                self.ty(item, depth);
            }
            Kind::Str { capacity } => {
                self.byte(tags::STR);
                self.number(capacity as u64);
            }
            Kind::List { item, capacity, offset } => {
                self.byte(tags::LIST);
                self.number(capacity as u64);
                self.number(offset as u64);
                self.ty(item, depth);
            }
            Kind::Slice { .. } | Kind::Text => {
                assert!(
                    is_outermost,
                    "only the last field of a message can vary in length, and not one further inside"
                );
                self.tail(ty, depth);
            }
        }
    }

    /// Appends a tail, behind which nothing comes.
    const fn tail(&mut self, ty: &Type, depth: u32) {
        match ty.kind {
            Kind::Slice { item } => {
                self.byte(tags::SLICE);
                self.ty(item, depth);
            }
            _ => self.byte(tags::TEXT),
        }
    }

    const fn head(&mut self, ty: &Type) {
        self.name(ty.name);
        self.number(ty.size as u64);
        self.number(ty.align as u64);
    }

    /// Appends fields, of which the last one may be a tail if `may_vary`.
    const fn fields(&mut self, fields: &[Field], depth: u32, may_vary: bool) {
        self.number(fields.len() as u64);
        let mut at = 0;
        while at < fields.len() {
            self.name(fields[at].name);
            self.number(fields[at].offset as u64);
            let is_last = at + 1 == fields.len();
            match fields[at].ty.kind {
                Kind::Slice { .. } | Kind::Text if may_vary && is_last => {
                    assert!(depth > 0, "the types of this message nest more than 32 deep");
                    self.tail(fields[at].ty, depth - 1);
                }
                _ => self.ty(fields[at].ty, depth),
            }
            at += 1;
        }
    }
}
