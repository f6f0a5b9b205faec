//! The slots of a ring, as one end sees them.

use super::lines;
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
    first: NonNull<AtomicU64>,
    /// One past the last slot.
    end: NonNull<AtomicU64>,
    /// Words from one slot to the next, at least 1.
    stride_words: usize,
}

/// One of the slots of a [`Slots`], and of no other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(NonNull<AtomicU64>);

// SAFETY: every access through `Slots` is an atomic one, or goes through a payload pointer whose use is the
// responsibility of the ring that hands it out.
unsafe impl Send for Slots {}
// SAFETY: as for `Send`.
unsafe impl Sync for Slots {}
// SAFETY: a slot is a place in a `Slots`, which may itself be sent.
unsafe impl Send for Slot {}
// SAFETY: as for `Send`.
unsafe impl Sync for Slot {}

impl Slots {
    /// Looks at `capacity` slots of `stride_words` words each.
    ///
    /// # Safety
    ///
    /// `words` leads to `capacity * stride_words` atomic words, which stay mapped for as long as the value and its
    /// copies are used. Both numbers are at least 1.
    pub(crate) unsafe fn new(words: NonNull<AtomicU64>, stride_words: usize, capacity: usize) -> Self {
        debug_assert!(stride_words >= 1 && capacity >= 1);
        // SAFETY: the caller vouches for so many words.
        let end = unsafe { words.add(capacity * stride_words) };
        Slots { first: words, end, stride_words }
    }

    /// Number of slots.
    pub(crate) fn capacity(&self) -> usize {
        self.words() / self.stride_words
    }

    /// Number of words of all slots.
    pub(crate) fn words(&self) -> usize {
        self.words_before(self.end)
    }

    /// Words from one slot to the next, at least 1.
    pub(crate) fn stride_words(&self) -> usize {
        self.stride_words
    }

    /// Slot `index`, which is below the capacity.
    #[inline(always)]
    pub(crate) fn slot(&self, index: usize) -> Slot {
        debug_assert!(index < self.capacity());
        // SAFETY: below the capacity, so within the words that the constructor's caller vouched for.
        Slot(unsafe { self.first.add(index * self.stride_words) })
    }

    /// Which slot `slot` is.
    pub(crate) fn index(&self, slot: Slot) -> usize {
        self.words_before(slot.0) / self.stride_words
    }

    /// The slot after `slot`, and whether it is the first one of the next lap.
    #[inline(always)]
    pub(crate) fn after(&self, slot: Slot) -> (Slot, bool) {
        // SAFETY: a slot is followed by another one or by the end of the words that the constructor's caller vouched for.
        let next = unsafe { slot.0.add(self.stride_words) };
        if next == self.end { (Slot(self.first), true) } else { (Slot(next), false) }
    }

    /// The slot `ahead` slots on from `slot`, at most a lap.
    #[inline(always)]
    pub(crate) fn ahead(&self, slot: Slot, ahead: usize) -> Slot {
        debug_assert!(ahead <= self.capacity());
        let (words, left) = (ahead * self.stride_words, self.words_between(slot.0, self.end));
        let (from, words) = if words < left { (slot.0, words) } else { (self.first, words - left) };
        // SAFETY: so many words on there is a slot, before the end: a lap on from `slot` it is `slot`.
        Slot(unsafe { from.add(words) })
    }

    /// The slot `count` slots on from `slot`, at most a lap, and whether it is one of the next lap.
    #[inline(always)]
    pub(crate) fn over(&self, slot: Slot, count: usize) -> (Slot, bool) {
        let next = self.ahead(slot, count);
        (next, count != 0 && next.0 <= slot.0)
    }

    /// The stamp of `slot`: its last word.
    #[inline(always)]
    pub(crate) fn stamp(&self, slot: Slot) -> &AtomicU64 {
        // SAFETY: a slot has `stride_words` words.
        let stamp = unsafe { slot.0.add(self.stride_words - 1) };
        // SAFETY: the constructor's caller vouched for the words being atomics that outlive `self`.
        unsafe { stamp.as_ref() }
    }

    /// Takes the cache lines that end within `slot` for this processor, whose slot it is: see [`lines`].
    #[inline(always)]
    pub(crate) fn take_lines(&self, slot: Slot) {
        let from = self.words_before(slot.0);
        // SAFETY: a slot has `stride_words` words.
        unsafe { lines::take(self.first, from, from + self.stride_words) };
    }

    /// Asks for the lines of a slot further on than `slot`, to store to them: see [`lines`].
    #[inline(always)]
    pub(crate) fn ask_ahead(&self, slot: Slot) {
        lines::ask_ahead(slot.0, self.stride_words);
    }

    #[inline(always)]
    fn words_before(&self, place: NonNull<AtomicU64>) -> usize {
        self.words_between(self.first, place)
    }

    #[inline(always)]
    fn words_between(&self, from: NonNull<AtomicU64>, to: NonNull<AtomicU64>) -> usize {
        (to.addr().get() - from.addr().get()) / size_of::<AtomicU64>()
    }
}

impl Slot {
    /// The first word, where the payload begins.
    #[inline(always)]
    pub(crate) fn payload(self) -> NonNull<AtomicU64> {
        self.0
    }
}
