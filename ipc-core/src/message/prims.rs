//! The primitives: each is stored with one atomic store of its own width.

use super::store::{store_u8, store_u16, store_u32, store_u64, store_u128};
use super::{Invalid, IpcMessage, Reason};
use crate::schema::{Kind, Prim, Type};

/// Implements the trait for primitives: the integer that carries the bits, how a value becomes it, how it is stored,
/// and the check of a candidate, or `any` where every pattern is a value.
macro_rules! prims {
    ($($prim:ident $kind:ident: $bits:ty, $to_bits:expr, $store:ident, $check:tt;)*) => {$(
        // SAFETY: a primitive has a fixed layout without padding, the store covers all of it, and zero is a value of
        // each of them. `check_bits` accepts what the language reference calls valid.
        unsafe impl IpcMessage for $prim {
            const NAME: &'static str = stringify!($prim);
            const TYPE: &'static Type = &Type {
                name: stringify!($prim),
                size: size_of::<$prim>(),
                align: align_of::<$prim>(),
                kind: Kind::Prim(Prim::$kind),
            };
            const ANY_BITS: bool = any_bits!($check);
            const DENSE: bool = true;

            #[inline(always)]
            fn tail_len(_: *const Self) -> usize {
                0
            }

            #[inline(always)]
            fn pointer(at: *mut u8, _: usize) -> *mut Self {
                at.cast()
            }

            #[inline(always)]
            unsafe fn validate(at: *const Self) -> Result<(), Invalid> {
                check_bits!($check, at, $bits)
            }

            #[inline(always)]
            unsafe fn place(&self, to: *mut Self) {
                // SAFETY: `$bits` has the size and alignment of `Self`, and the caller vouches for `to`.
                unsafe { $store(to.cast::<$bits>(), $to_bits(*self)) }
            }

            #[inline(always)]
            unsafe fn place_blank(to: *mut Self) {
                // SAFETY: as in `place`.
                unsafe { $store(to.cast::<$bits>(), 0) }
            }
        }
    )*};
}

/// Whether a check is `any`.
macro_rules! any_bits {
    (any) => {
        true
    };
    ($check:ident) => {
        false
    };
}

/// Reads the candidate's bits and hands them to the check, or does nothing for `any`.
macro_rules! check_bits {
    (any, $at:ident, $bits:ty) => {{
        let _ = $at;
        Ok(())
    }};
    ($check:ident, $at:ident, $bits:ty) => {{
        // SAFETY: the caller of `validate` vouches for initialised bytes, and an integer takes any of them.
        let bits = unsafe { $at.cast::<$bits>().read() };
        $check(bits)
    }};
}

prims! {
    bool Bool: u8, u8::from, store_u8, check_bool;
    char Char: u32, u32::from, store_u32, check_char;
    u8 U8: u8, (|value| value), store_u8, any;
    u16 U16: u16, (|value| value), store_u16, any;
    u32 U32: u32, (|value| value), store_u32, any;
    u64 U64: u64, (|value| value), store_u64, any;
    u128 U128: u128, (|value| value), store_u128, any;
    i8 I8: u8, (|value| value as u8), store_u8, any;
    i16 I16: u16, (|value| value as u16), store_u16, any;
    i32 I32: u32, (|value| value as u32), store_u32, any;
    i64 I64: u64, (|value| value as u64), store_u64, any;
    i128 I128: u128, (|value| value as u128), store_u128, any;
    f32 F32: u32, f32::to_bits, store_u32, any;
    f64 F64: u64, f64::to_bits, store_u64, any;
}

#[inline(always)]
fn check_bool(bits: u8) -> Result<(), Invalid> {
    if bits <= 1 { Ok(()) } else { Err(Invalid::new(Reason::Bool(bits))) }
}

#[inline(always)]
fn check_char(bits: u32) -> Result<(), Invalid> {
    if char::from_u32(bits).is_some() { Ok(()) } else { Err(Invalid::new(Reason::Char(bits))) }
}
