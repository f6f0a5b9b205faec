//! What derived code calls. Not part of the public interface.

use core::mem::needs_drop;

use super::store::{store_u8, store_u16, store_u32, store_u64};
use super::{Invalid, IpcMessage, MAX_ALIGN, Reason};

/// Refuses, at compile time, what only the compiler can see about a derived type.
#[track_caller]
pub const fn check<T: IpcMessage>() {
    assert!(size_of::<T>() != 0, "this message has no bytes: give it at least one field that has a size");
    assert!(align_of::<T>() <= MAX_ALIGN, "this message's alignment exceeds 128 bytes, the most that a slot offers");
    assert!(
        !needs_drop::<T>(),
        "this message has a destructor, which would run in the receiving program for what the sending one owns: \
         remove `impl Drop`, here or in a field's type"
    );
}

/// As [`check`], for a message with a tail: `message` is one whose tail is empty and begins `tail_offset` bytes into it.
/// Refuses, too, a layout that is not the one of `Described`, where the tail is at byte `described_offset`.
#[track_caller]
pub const fn check_tail<T: IpcMessage + ?Sized, Described>(message: &T, tail_offset: isize, described_offset: usize) {
    assert!(
        align_of_val(message) <= MAX_ALIGN,
        "this message's alignment exceeds 128 bytes, the most that a slot offers"
    );
    assert!(
        !needs_drop::<T>(),
        "this message has a destructor, which would run in the receiving program for what the sending one owns: \
         remove `impl Drop`, here or in a field's type"
    );
    assert!(
        size_of_val(message) == size_of::<Described>()
            && align_of_val(message) == align_of::<Described>()
            && tail_offset == described_offset as isize,
        "the layout of a message with a tail differs from its described one"
    );
}

/// The field of type `T` that lies `offset` bytes into a message.
#[inline(always)]
pub const fn field<T>(message: *const u8, offset: usize) -> *const T {
    message.wrapping_add(offset).cast()
}

/// As [`field`], of a destination.
#[inline(always)]
pub const fn field_mut<T>(message: *mut u8, offset: usize) -> *mut T {
    message.wrapping_add(offset).cast()
}

/// The integer types that an enum's tag may have.
pub trait Tag: Copy {
    /// Stores the tag.
    ///
    /// # Safety
    ///
    /// `to` is aligned and writable, and this process accesses it only atomically during the call.
    unsafe fn store(self, to: *mut Self);

    /// The error for a tag that belongs to no variant of the enum `of`.
    fn invalid(self, of: &'static str) -> Invalid;
}

macro_rules! tags {
    ($($tag:ty: $bits:ty, $store:ident, $signed:literal;)*) => {$(
        impl Tag for $tag {
            #[inline(always)]
            unsafe fn store(self, to: *mut Self) {
                // SAFETY: the caller vouches for `to`; the unsigned integer has the same size and alignment.
                unsafe { $store(to.cast(), self as $bits) }
            }

            #[cold]
            fn invalid(self, of: &'static str) -> Invalid {
                Invalid::new(Reason::Variant { bits: self as u64, signed: $signed, of })
            }
        }
    )*};
}

tags! {
    u8: u8, store_u8, false;
    u16: u16, store_u16, false;
    u32: u32, store_u32, false;
    u64: u64, store_u64, false;
    i8: u8, store_u8, true;
    i16: u16, store_u16, true;
    i32: u32, store_u32, true;
    i64: u64, store_u64, true;
}

/// Refuses, at compile time, an enum whose layout is not the one that its description assumes.
pub const fn check_layout<T: IpcMessage, Described>() {
    assert!(size_of::<T>() == size_of::<Described>(), "the size of an enum differs from its described layout");
    assert!(align_of::<T>() == align_of::<Described>(), "the alignment of an enum differs from its described layout");
}
