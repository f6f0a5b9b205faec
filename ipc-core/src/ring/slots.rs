//! The slots of a ring, as one end sees them.

use crate::atomics::AtomicU64;
use core::ptr::NonNull;

/// A borrowed array of equal slots in shared memory, addressed in words.
///
/// ```text
/// slot i:  | payload, stride_words - 1 words | stamp |
/// ```
///
/// The geometry is private: nothing that another process writes can change where a slot is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Slots {
    words: NonNull<AtomicU64>,
    /// Words from one slot to the next.
    stride_words: usize,
    /// Number of slots, at least 1.
    capacity: usize,
}

// SAFETY: every access through `Slots` is an atomic one, or goes through a payload pointer whose use is the
// responsibility of the ring that hands it out.
unsafe impl Send for Slots {}
// SAFETY: as for `Send`.
unsafe impl Sync for Slots {}

impl Slots {
    /// Looks at `capacity` slots of `stride_words` words each.
    ///
    /// # Safety
    ///
    /// `words` leads to `capacity * stride_words` atomic words, which stay mapped for as long as the value and its
    /// copies are used. Both numbers are at least 1.
    pub(crate) unsafe fn new(words: NonNull<AtomicU64>, stride_words: usize, capacity: usize) -> Self {
        debug_assert!(stride_words >= 1 && capacity >= 1);
        Slots { words, stride_words, capacity }
    }

    /// Number of slots.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// First word of slot `index`, which is below the capacity.
    #[inline(always)]
    pub(crate) fn payload(&self, index: usize) -> NonNull<AtomicU64> {
        debug_assert!(index < self.capacity);
        // SAFETY: `index < capacity`, so the offset stays within the words that the constructor's caller vouched for.
        unsafe { self.words.add(index * self.stride_words) }
    }

    /// The stamp of slot `index`, which is below the capacity.
    #[inline(always)]
    pub(crate) fn stamp(&self, index: usize) -> &AtomicU64 {
        // SAFETY: the last word of a slot that `payload` has found to be within the array.
        let stamp = unsafe { self.payload(index).add(self.stride_words - 1) };
        // SAFETY: the constructor's caller vouched for the words being atomics that outlive `self`.
        unsafe { stamp.as_ref() }
    }
}
