//! Where a request or a reply lies in its slot, and how a message is copied in and out.
//!
//! The room is known from the geometry, of which every end has a private copy. The length of a message comes from
//! shared memory, and is checked against the room before it is used.

use crate::atomics::AtomicU64;
use crate::error::{Corrupt, TooLarge};
use crate::message::tail::{Copied, bytes_with, tail_len_of};
use crate::message::{Invalid, IpcMessage, Reason};
use crate::words;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// Where a message lies. Nothing in here says whose it is at the moment (K1), which is for the caller to know.
#[derive(Clone, Copy)]
pub(crate) struct Place<'d> {
    start: NonNull<AtomicU64>,
    /// The word with its length, if messages vary in length.
    length: Option<&'d AtomicU64>,
    /// Bytes of the message, or of the longest one.
    room_bytes: usize,
}

impl<'d> Place<'d> {
    /// # Safety
    ///
    /// `start` leads to a place of `room_bytes` bytes, rounded up to whole words, in a mapping that outlives the value,
    /// which is aligned for the messages that it is for and to a word.
    pub(super) unsafe fn new(start: NonNull<AtomicU64>, length: Option<&'d AtomicU64>, room_bytes: usize) -> Self {
        Place { start, length, room_bytes }
    }

    /// Where the message begins.
    #[inline(always)]
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr().cast()
    }

    /// The length of the longest tail that there is room for.
    pub(super) fn max_tail_len<T: IpcMessage + ?Sized>(&self) -> usize {
        T::TYPE.tail().map_or(0, |tail| self.room_bytes.saturating_sub(tail.offset) / tail.item_bytes.max(1))
    }

    /// Bytes of a message whose tail has the length `tail_len`, if there is room for it.
    pub(super) fn bytes_for<T: IpcMessage + ?Sized>(&self, tail_len: usize) -> Result<usize, TooLarge> {
        self.check_room(bytes_with::<T>(tail_len).unwrap_or(usize::MAX))
    }

    /// The same number, if there is room for so many bytes.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<usize, TooLarge> {
        if bytes <= self.room_bytes { Ok(bytes) } else { Err(TooLarge { bytes, limit: self.room_bytes }) }
    }

    /// Says how long the message is, where that varies.
    #[inline(always)]
    pub(crate) fn set_bytes(&self, bytes: usize) {
        if let Some(length) = self.length {
            // Relaxed: published with the message.
            length.store(bytes as u64, Ordering::Relaxed);
        }
    }

    /// How long the message is.
    pub(crate) fn bytes(&self) -> Result<usize, Invalid> {
        let Some(length) = self.length else { return Ok(self.room_bytes) };
        // Relaxed: acquired with the message.
        let given = usize::try_from(length.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let is_within = given <= self.room_bytes;
        if is_within { Ok(given) } else { Err(Invalid::new(Reason::Size { given, expected: self.room_bytes })) }
    }

    /// Stores a message of one length.
    ///
    /// # Safety
    ///
    /// The place is one for a `T`, and the caller's at the moment.
    #[inline(always)]
    pub(super) unsafe fn put<T: IpcMessage>(&self, message: &T) {
        // SAFETY: as the caller promises.
        unsafe { message.place(self.start().cast()) };
    }

    /// Stores a copy of a message.
    ///
    /// # Safety
    ///
    /// As for [`put`](Place::put), and [`bytes_for`](Place::bytes_for) has found room for a tail of this length.
    pub(super) unsafe fn put_copy<T: IpcMessage + ?Sized>(&self, message: &T, bytes: usize) {
        // SAFETY: as the caller promises.
        unsafe { message.place(T::pointer(self.start(), T::tail_len(message))) };
        self.set_bytes(bytes);
    }

    /// Copies a message of one length out, and validates the copy.
    ///
    /// # Safety
    ///
    /// As for [`put`](Place::put).
    #[inline(always)]
    pub(super) unsafe fn take<T: IpcMessage>(&self) -> Result<T, Corrupt> {
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: the place is aligned to a word and has room for a `T` in whole words.
        unsafe { words::load(self.start(), copy.as_mut_ptr().cast(), size_of::<T>()) };
        if !T::ANY_BITS {
            // SAFETY: `load` has initialised every byte of the copy.
            unsafe { T::validate(copy.as_ptr()) }?;
        }
        // SAFETY: every byte is initialised, and any bits are a `T`, or `validate` has found these to be one.
        Ok(unsafe { copy.assume_init() })
    }

    /// Copies a message out, whatever its length, and validates the copy.
    ///
    /// # Safety
    ///
    /// As for [`put`](Place::put).
    pub(super) unsafe fn take_boxed<T: IpcMessage + ?Sized>(&self) -> Result<Box<T>, Corrupt> {
        let bytes = self.bytes()?;
        let tail_len = tail_len_of::<T>(bytes)?;
        // SAFETY: the place is aligned to a word and has room for so many bytes in whole words, which `bytes` has
        // checked, and `tail_len_of` has told the length of the tail from them.
        let copy = unsafe { Copied::<T>::from_shared(self.start(), bytes, tail_len) };
        Ok(copy.check()?)
    }

    /// Validates the message in its place, and returns the length of its tail.
    ///
    /// # Safety
    ///
    /// As for [`put`](Place::put).
    pub(super) unsafe fn check<T: IpcMessage + ?Sized>(&self) -> Result<usize, Corrupt> {
        let tail_len = tail_len_of::<T>(self.bytes()?)?;
        if !T::ANY_BITS {
            // SAFETY: the place is aligned for a `T`, and has as many bytes as one with this tail, all of which are
            // mapped and so initialised.
            unsafe { T::validate(T::pointer(self.start(), tail_len)) }?;
        }
        Ok(tail_len)
    }

    /// Stores a message that is given as bytes.
    ///
    /// # Safety
    ///
    /// As for [`put`](Place::put), and [`check_room`](Place::check_room) has found room for so many bytes.
    pub(crate) unsafe fn put_bytes(&self, bytes: &[u8]) {
        // SAFETY: as the caller promises; nobody else has the slice's memory.
        unsafe { words::store(bytes.as_ptr(), self.start(), bytes.len()) };
        self.set_bytes(bytes.len());
    }

    /// Copies a message out as bytes.
    ///
    /// # Safety
    ///
    /// As for [`put`](Place::put).
    pub(crate) unsafe fn take_bytes(&self) -> Result<Vec<u8>, Corrupt> {
        let mut bytes = vec![0; self.bytes()?];
        // SAFETY: the place is aligned to a word, and has room for so many bytes in whole words; the vector has as
        // many.
        unsafe { words::load(self.start(), bytes.as_mut_ptr(), bytes.len()) };
        Ok(bytes)
    }
}
