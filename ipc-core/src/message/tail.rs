//! Tails: the last field of a message of variable length, and the messages that are nothing else.
//!
//! A pointer to such a message is a wide one, with the length of the tail. Two functions of the trait take it apart and
//! put it together; everything else is the same for all messages.

use super::arrays::place_items;
use super::store::store_zeros;
use super::{Invalid, IpcMessage, Reason, TooLong};
use crate::schema::{Kind, Tail, Type};
use crate::words;
use core::alloc::Layout;
use core::ptr;
use std::alloc::{alloc, handle_alloc_error};

// SAFETY: a slice is its items one after the other, and each of them is a message; the length is in the pointer. The
// shortcuts hold as for arrays.
unsafe impl<T: IpcMessage> IpcMessage for [T] {
    const NAME: &'static str = "slice";
    const TYPE: &'static Type = {
        assert!(size_of::<T>() != 0, "the items of a tail have at least one byte, or their number could not be told");
        &Type { name: "slice", size: 0, align: align_of::<T>(), kind: Kind::Slice { item: T::TYPE } }
    };
    const ANY_BITS: bool = T::ANY_BITS;
    const DENSE: bool = T::DENSE;

    #[inline(always)]
    fn tail_len(at: *const Self) -> usize {
        at.len()
    }

    #[inline(always)]
    fn pointer(at: *mut u8, tail_len: usize) -> *mut Self {
        ptr::slice_from_raw_parts_mut(at.cast(), tail_len)
    }

    #[inline]
    unsafe fn validate(at: *const Self) -> Result<(), Invalid> {
        if Self::ANY_BITS {
            return Ok(());
        }
        for index in 0..at.len() {
            // SAFETY: item `index < len` lies inside the slice that the caller vouches for.
            unsafe { T::validate(at.cast::<T>().wrapping_add(index)) }?;
        }
        Ok(())
    }

    #[inline]
    unsafe fn place(&self, to: *mut Self) {
        debug_assert_eq!(self.len(), to.len());
        // SAFETY: the destination is a slice of the same length.
        unsafe { place_items(self, to.cast()) };
    }

    #[inline]
    unsafe fn place_blank(to: *mut Self) {
        if T::DENSE && T::ANY_BITS {
            // SAFETY: the caller vouches for all of `to`, none of which is padding.
            unsafe { store_zeros(to.cast(), to.len() * size_of::<T>()) };
        } else {
            for index in 0..to.len() {
                // SAFETY: item `index < len` lies inside the destination that the caller vouches for.
                unsafe { T::place_blank(to.cast::<T>().wrapping_add(index)) };
            }
        }
    }
}

// SAFETY: text is bytes, and its length is in the pointer. `validate` accepts UTF-8; zeros are UTF-8.
unsafe impl IpcMessage for str {
    const NAME: &'static str = "str";
    const TYPE: &'static Type = &Type { name: "str", size: 0, align: 1, kind: Kind::Text };
    const ANY_BITS: bool = false;
    const DENSE: bool = true;

    #[inline(always)]
    fn tail_len(at: *const Self) -> usize {
        (at as *const [u8]).len()
    }

    #[inline(always)]
    fn pointer(at: *mut u8, tail_len: usize) -> *mut Self {
        ptr::slice_from_raw_parts_mut(at, tail_len) as *mut Self
    }

    #[inline]
    unsafe fn validate(at: *const Self) -> Result<(), Invalid> {
        // SAFETY: the caller vouches for so many initialised bytes, to which nobody writes during the call.
        let bytes = unsafe { &*(at as *const [u8]) };
        match core::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(Invalid::new(Reason::Utf8 { valid_up_to: error.valid_up_to() })),
        }
    }

    #[inline]
    unsafe fn place(&self, to: *mut Self) {
        debug_assert_eq!(self.len(), Self::tail_len(to));
        // SAFETY: the destination has as many bytes, which the caller vouches for.
        unsafe { words::store(self.as_ptr(), to.cast(), self.len()) };
    }

    #[inline]
    unsafe fn place_blank(to: *mut Self) {
        // SAFETY: the caller vouches for as many bytes as the pointer says.
        unsafe { store_zeros(to.cast(), Self::tail_len(to)) };
    }
}

/// A copy of a message, whatever its length.
///
/// ```
/// use ipc_core::message::boxed;
///
/// let (text, number): (Box<str>, Box<u32>) = (boxed("as long as it is"), boxed(&7));
/// assert_eq!((&*text, *number), ("as long as it is", 7));
/// ```
pub fn boxed<T: IpcMessage + ?Sized>(message: &T) -> Box<T> {
    let layout = Layout::for_value(message);
    if layout.size() == 0 {
        // SAFETY: a box of no bytes may lead anywhere that is aligned.
        return unsafe { Box::from_raw(T::pointer(ptr::without_provenance_mut(layout.align()), 0)) };
    }
    // SAFETY: the layout has bytes.
    let copy = unsafe { alloc(layout) };
    if copy.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: both have as many bytes as the message, and the copy is new.
    unsafe { copy.copy_from_nonoverlapping((&raw const *message).cast(), layout.size()) };
    // SAFETY: the memory has the message's layout, and holds its bytes; a message has no destructor, nor anything else that a
    // copy could not have as well.
    unsafe { Box::from_raw(T::pointer(copy, T::tail_len(message))) }
}

/// Bytes that a message takes in a ring, whose tail, if it has one, has `tail_len` items. `None` if that overflows.
pub(crate) fn bytes_with<T: IpcMessage + ?Sized>(tail_len: usize) -> Option<usize> {
    match const { T::TYPE.tail() } {
        None => Some(T::TYPE.size),
        Some(Tail { offset, item_bytes, .. }) => tail_len.checked_mul(item_bytes)?.checked_add(offset),
    }
}

/// Items in the longest tail of a message that takes at most `limit_bytes` bytes in a ring; 0 for a type without a tail.
pub(crate) fn longest_tail<T: IpcMessage + ?Sized>(limit_bytes: usize) -> usize {
    T::TYPE.tail().map_or(0, |tail| limit_bytes.saturating_sub(tail.offset) / tail.item_bytes.max(1))
}

/// Items in the tail of a message that takes `bytes` bytes in a ring.
///
/// # Errors
///
/// [`Invalid`] if no message of this type has so many bytes.
pub(crate) fn tail_len_of<T: IpcMessage + ?Sized>(bytes: usize) -> Result<usize, Invalid> {
    let size = |expected| Invalid::new(Reason::Size { given: bytes, expected });
    match const { T::TYPE.tail() } {
        None if bytes == T::TYPE.size => Ok(0),
        None => Err(size(T::TYPE.size)),
        Some(Tail { offset, item_bytes, .. }) => {
            let tail_bytes = bytes.checked_sub(offset).ok_or_else(|| size(offset))?;
            if tail_bytes % item_bytes != 0 {
                return Err(Invalid::new(Reason::Tail { bytes: tail_bytes, item_bytes }));
            }
            Ok(tail_bytes / item_bytes)
        }
    }
}

/// Bytes that a message takes in a ring, and items in its tail, where `bytes` is what the ring says if messages vary in
/// length.
///
/// # Errors
///
/// As for [`tail_len_of`].
pub(crate) fn extent_of<T: IpcMessage + ?Sized>(bytes: Option<usize>) -> Result<(usize, usize), Invalid> {
    match bytes {
        None => Ok((T::TYPE.size, 0)),
        Some(bytes) => Ok((bytes, tail_len_of::<T>(bytes)?)),
    }
}

/// The length to which a tail is cut that is to have at most `len` items or bytes: text ends with a whole character.
pub(crate) fn truncated_len<T: IpcMessage + ?Sized>(message: &T, len: usize) -> usize {
    let mut len = len.min(T::tail_len(message));
    if let Some(Tail { offset, is_text: true, .. }) = T::TYPE.tail() {
        let text =
            str::pointer((&raw const *message).cast::<u8>().cast_mut().wrapping_add(offset), T::tail_len(message));
        // SAFETY: the tail of a valid message is valid text, and it lies at this offset.
        let text = unsafe { &*text };
        while !text.is_char_boundary(len) {
            len -= 1;
        }
    }
    len
}

/// Copies text over the beginning of the tail of a message, which is a `str`.
///
/// # Errors
///
/// [`TooLong`] if the tail is shorter than the text; nothing has changed then.
///
/// # Safety
///
/// `message` leads to a place in shared memory with room for a message with this tail, to which this process has the right.
pub(crate) unsafe fn place_text<T: IpcMessage + ?Sized>(message: *mut T, text: &str) -> Result<(), TooLong> {
    const {
        assert!(matches!(T::TYPE.tail(), Some(tail) if tail.is_text), "only a message whose tail is a `str` has text");
    }
    let capacity = T::tail_len(message);
    if text.len() > capacity {
        return Err(TooLong { len: text.len(), capacity });
    }
    let offset = T::TYPE.tail().map_or(0, |tail| tail.offset);
    let tail = message.cast::<u8>().wrapping_add(offset);
    // SAFETY: the tail lies at this offset of what the caller vouches for, and the text is not longer.
    unsafe { text.place(str::pointer(tail, text.len())) };
    Ok(())
}

/// A message in memory of this process, not checked yet.
pub(crate) struct Copied<T: IpcMessage + ?Sized> {
    at: *mut T,
    layout: Layout,
}

impl<T: IpcMessage + ?Sized> Copied<T> {
    /// Copies a message of `bytes` bytes whose tail has `tail_len` items out of shared memory, each word once.
    ///
    /// # Safety
    ///
    /// `from` is aligned to a word and readable for `bytes` rounded up to whole words, and [`tail_len_of`] gave
    /// `tail_len` for `bytes`.
    pub(crate) unsafe fn from_shared(from: *const u8, bytes: usize, tail_len: usize) -> Self {
        // The tail is followed by padding up to the alignment, which `size_of_val` of the reference will include.
        let layout =
            Layout::from_size_align(bytes.max(T::TYPE.size), T::TYPE.align).map(|layout| layout.pad_to_align());
        // As many bytes are mapped, so they are not too many for a layout.
        let Ok(layout) = layout else { handle_alloc_error(Layout::new::<u8>()) };
        debug_assert!(layout.size() >= bytes);
        let at = if layout.size() == 0 {
            ptr::without_provenance_mut(layout.align())
        } else {
            // SAFETY: the size is not 0, as just checked.
            unsafe { alloc(layout) }
        };
        if at.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the caller vouches for `from`, and as many bytes were just allocated.
        unsafe { words::load(from, at, bytes) };
        Copied { at: T::pointer(at, tail_len), layout }
    }

    /// The message, if it is valid.
    pub(crate) fn check(self) -> Result<Box<T>, Invalid> {
        // SAFETY: all bytes but padding were initialised by `from_shared`, and the memory is this value's own.
        unsafe { T::validate(self.at) }?;
        let at = self.at;
        core::mem::forget(self);
        // SAFETY: the memory was allocated with the layout that the message has, or has no bytes, and it is valid.
        Ok(unsafe { Box::from_raw(at) })
    }
}

impl<T: IpcMessage + ?Sized> Drop for Copied<T> {
    fn drop(&mut self) {
        if self.layout.size() != 0 {
            // SAFETY: it was allocated with this layout, and not given away.
            unsafe { std::alloc::dealloc(self.at.cast(), self.layout) };
        }
    }
}
