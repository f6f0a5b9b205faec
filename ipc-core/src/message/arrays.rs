//! Arrays of messages.

use super::store::{store_words, store_zeros};
use super::{Invalid, IpcMessage};
use crate::schema::{Kind, Type};
use crate::words;

// SAFETY: an array is its items one after the other, and each of them is a message. The shortcuts hold for the items of
// a `DENSE` type: their bytes are all initialised and none is padding; zeros are a value where `ANY_BITS` holds too.
unsafe impl<T: IpcMessage, const N: usize> IpcMessage for [T; N] {
    const NAME: &'static str = "array";
    const TYPE: &'static Type = &Type {
        name: Self::NAME,
        size: size_of::<Self>(),
        align: align_of::<Self>(),
        kind: Kind::Array { item: T::TYPE, len: N },
    };
    const ANY_BITS: bool = T::ANY_BITS || N == 0;
    const DENSE: bool = T::DENSE || N == 0;

    #[inline(always)]
    fn tail_len(_: *const Self) -> usize {
        0
    }

    #[inline(always)]
    fn pointer(at: *mut u8, _: usize) -> *mut Self {
        at.cast()
    }

    #[inline]
    unsafe fn validate(at: *const Self) -> Result<(), Invalid> {
        if Self::ANY_BITS {
            return Ok(());
        }
        for index in 0..N {
            // SAFETY: item `index < N` lies inside the array that the caller vouches for.
            unsafe { T::validate(at.cast::<T>().wrapping_add(index)) }?;
        }
        Ok(())
    }

    #[inline]
    unsafe fn place(&self, to: *mut Self) {
        // SAFETY: the destination is an array of the same length.
        unsafe { place_items(self, to.cast()) };
    }

    #[inline]
    unsafe fn place_blank(to: *mut Self) {
        if T::DENSE && T::ANY_BITS {
            // SAFETY: the caller vouches for all of `to`, none of which is padding.
            unsafe { store_zeros(to.cast(), size_of::<Self>()) };
        } else {
            for index in 0..N {
                // SAFETY: item `index < N` lies inside the destination that the caller vouches for.
                unsafe { T::place_blank(to.cast::<T>().wrapping_add(index)) };
            }
        }
    }
}

/// Stores items one after the other, as bytes or words where they have no padding.
///
/// # Safety
///
/// As for [`IpcMessage::place`], of as many items as the slice has.
#[inline]
pub(super) unsafe fn place_items<T: IpcMessage>(items: &[T], to: *mut T) {
    let size_bytes = size_of_val(items);
    if T::DENSE && align_of::<T>() >= size_of::<u64>() && size_bytes < words::BULK_BYTES {
        // SAFETY: the items are dense, hence initialised, and since they are aligned like a word they are whole words;
        // the caller vouches for `to`, which has the same type.
        unsafe { store_words(items.as_ptr().cast(), to.cast(), size_bytes / size_of::<u64>()) };
    } else if T::DENSE {
        // SAFETY: the items are dense, hence initialised; the caller vouches for `to`.
        unsafe { words::store(items.as_ptr().cast(), to.cast(), size_bytes) };
    } else {
        for (index, item) in items.iter().enumerate() {
            // SAFETY: the caller vouches for a destination of as many items.
            unsafe { item.place(to.wrapping_add(index)) };
        }
    }
}
