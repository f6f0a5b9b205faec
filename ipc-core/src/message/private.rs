//! What derived code calls. Not part of the public interface.

use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::needs_drop;

use super::store::{store_u8, store_u16, store_u32, store_u64};
use super::{Invalid, IpcMessage, MAX_ALIGN, Reason};

/// Refuses, at compile time, what only the compiler can see about a derived type of this layout.
#[track_caller]
pub const fn check<T: IpcMessage + ?Sized>(layout: Option<Layout>) {
    assert!(size(layout) != 0, "this message has no bytes: give it at least one field that has a size");
    assert!(align(layout) <= MAX_ALIGN, "this message's alignment exceeds 128 bytes, the most that a slot offers");
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

/// A type whose values all have the same length, as a message's fields have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` varies in length, and cannot stand in another message",
    label = "ends in `[T]` or `str`",
    note = "only a message's own last field may vary in length: write the fields of `{Self}` out in its place",
    note = "or give it one length: a `List<T, N>` holds up to N items inline, and a `Str<N>` up to N bytes"
)]
pub trait OneLength {}

#[diagnostic::do_not_recommend]
impl<T> OneLength for T {}

/// Refuses a field whose type varies in length.
pub const fn one_length<T: OneLength + ?Sized>() {}

/// The layout of a type that may turn out to have none, since it varies in length.
///
/// Derived code that asks for it by `Measured::<T>::LAYOUT` gets the constant of the type itself if `T` has a layout, and
/// that of [`Unmeasured`] otherwise, instead of an error for each time that it asks. [`one_length`] gives the one error.
pub struct Measured<T: ?Sized>(PhantomData<T>);

impl<T> Measured<T> {
    /// The layout of `T`.
    pub const LAYOUT: Option<Layout> = Some(Layout::new::<T>());
}

/// What stands in for the layout of a type that has none.
pub trait Unmeasured {
    /// None.
    const LAYOUT: Option<Layout> = None;
}

impl<T: ?Sized> Unmeasured for Measured<T> {}

/// The size that a layout says. One that is missing has been reported, and is to give no further errors.
pub const fn size(layout: Option<Layout>) -> usize {
    match layout {
        Some(layout) => layout.size(),
        None => 1,
    }
}

/// As [`size`], for the alignment.
pub const fn align(layout: Option<Layout>) -> usize {
    match layout {
        Some(layout) => layout.align(),
        None => 1,
    }
}

/// The offset of the last field of a `repr(C)` struct, given the end of the field before, as the language defines it: the
/// next one that is aligned. Refuses, at compile time, a struct whose size says otherwise.
#[track_caller]
pub const fn last_offset(end: usize, last: Option<Layout>, whole: Option<Layout>) -> usize {
    let offset = end.next_multiple_of(align(last));
    if let Some(whole) = whole {
        let size = (offset + size(last)).next_multiple_of(whole.align());
        assert!(size == whole.size(), "the layout of a message differs from its described one");
    }
    offset
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
