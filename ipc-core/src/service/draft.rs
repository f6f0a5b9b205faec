//! A request or a reply that is written in its place.

use super::desk::Desk;
use super::place::Place;
use crate::error::TooLarge;
use crate::message::tail::{place_text, truncated_len};
use crate::message::{IpcMessage, TooLong};
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// A place that is this end's own, with some valid message in it.
pub(super) struct Draft<'d, T: ?Sized> {
    desk: &'d Desk,
    place: Place<'d>,
    /// Bytes of the message.
    bytes: usize,
    /// The length of its tail; 0 if it has none.
    tail_len: usize,
    message: PhantomData<fn() -> T>,
}

// SAFETY: the place is memory that any thread may use, and this is the only one who does.
unsafe impl<T: IpcMessage + ?Sized> Send for Draft<'_, T> {}
// SAFETY: a shared draft gives out shared references to a message, which is `Sync`.
unsafe impl<T: IpcMessage + ?Sized> Sync for Draft<'_, T> {}

impl<'d, T: IpcMessage + ?Sized> Draft<'d, T> {
    /// Makes the place a message whose tail has the length `tail_len`, if there is room for that.
    ///
    /// # Safety
    ///
    /// The place is one for a `T`, and the caller's for as long as the draft is used.
    pub(super) unsafe fn new(desk: &'d Desk, place: Place<'d>, tail_len: usize) -> Result<Self, TooLarge> {
        let bytes = place.bytes_for::<T>(tail_len)?;
        let draft: Self = Draft { desk, place, bytes, tail_len, message: PhantomData };
        if !T::ANY_BITS {
            // SAFETY: the place is the caller's own, aligned for a `T`, and has room for one whose tail is so long.
            unsafe { T::place_blank(draft.message()) };
        }
        Ok(draft)
    }

    /// Says how long the message is, now that it is written.
    pub(super) fn finish(&self) {
        self.place.set_bytes(self.bytes);
    }

    /// Makes the tail shorter, to `len` items or bytes of text.
    pub(super) fn truncate(&mut self, len: usize) {
        if len < self.tail_len {
            self.set_len(truncated_len(&**self, len));
        }
    }

    /// Copies text into the tail, and makes it as long as the text.
    pub(super) fn set_text(&mut self, text: &str) -> Result<(), TooLong> {
        // SAFETY: the message lies in the place, which is this end's own, and its tail is so long.
        unsafe { place_text(self.message(), text) }?;
        self.set_len(text.len());
        Ok(())
    }

    fn set_len(&mut self, len: usize) {
        self.tail_len = len;
        // It is shorter than it was, so there is room.
        self.bytes = self.place.bytes_for::<T>(len).unwrap_or(self.bytes);
    }

    fn message(&self) -> *mut T {
        if !T::ANY_BITS {
            self.desk.assert_not_forked();
        }
        T::pointer(self.place.start(), self.tail_len)
    }
}

impl<T: IpcMessage + ?Sized> Deref for Draft<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the place is this end's own and holds a valid `T`: any bits are one (in a forked child, where the place is
        // a blank one), or `new` has placed one.
        unsafe { &*self.message() }
    }
}

impl<T: IpcMessage + ?Sized> DerefMut for Draft<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the draft is borrowed uniquely.
        unsafe { &mut *self.message() }
    }
}
