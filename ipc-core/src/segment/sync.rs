//! What the kinds of [`sync`](crate::sync) have in a segment, as borrowed parts.

use super::Segment;
use crate::atomics::AtomicU64;
use crate::layout::{LATEST_SLOTS, Side, WORD_BYTES};
use crate::lock::{Gate, Ledger, Lines, Rendezvous};
use crate::ring::{Slots, latest};
use core::ptr::NonNull;

impl Segment {
    /// The lines of those who take part.
    pub(crate) fn lines(&self) -> Lines {
        // SAFETY: the word is mapped for as long as the segment lives, as the records are.
        unsafe { Lines::new(self.records(Side::First), self.ring_word(1, 0)) }
    }

    /// The gate of what one has at a time.
    pub(crate) fn gate(&self) -> Gate {
        // SAFETY: both words are mapped for as long as the segment lives.
        unsafe { Gate::new(self.ring_word(0, 0), self.ring_word(0, 1), self.lines()) }
    }

    /// The permits of a semaphore.
    pub(crate) fn ledger(&self) -> Ledger {
        // SAFETY: the word is mapped for as long as the segment lives.
        unsafe { Ledger::new(self.ring_word(0, 0), self.lines()) }
    }

    /// The state of a barrier.
    pub(crate) fn rendezvous(&self) -> Rendezvous {
        // `Geometry::check` has bounded the capacity, and a barrier's is the number of its parties.
        let parties = u16::try_from(self.geometry.capacity).unwrap_or(u16::MAX);
        // SAFETY: the word is mapped for as long as the segment lives.
        unsafe { Rendezvous::new(self.ring_word(0, 0), self.lines(), parties) }
    }

    /// The word that an event, a condition variable or a once is about, for as long as the segment lives.
    pub(crate) fn state_word(&self) -> NonNull<AtomicU64> {
        self.ring_word(0, 0)
    }

    /// The word that says whether a once is done, for as long as the segment lives.
    pub(crate) fn done_word(&self) -> NonNull<AtomicU64> {
        self.ring_word(0, 2)
    }

    /// Where the value of a mutex, a reader-writer lock or an atomic lies, which has room there, for as long as the segment
    /// lives.
    pub(crate) fn value(&self) -> NonNull<u8> {
        self.at(self.geometry.slots_offset)
    }

    /// The slots and the version of a shared value. They are mapped for as long as the segment lives.
    pub(crate) fn shared_value(&self) -> latest::Parts {
        let words = self.at(self.geometry.slots_offset).cast();
        let stride = self.geometry.slot_bytes as usize / WORD_BYTES;
        // SAFETY: `Geometry::check` found the slots of this kind to lie in the segment, all of which is mapped; the offset and
        // the slot size are multiples of a word.
        let slots = unsafe { Slots::new(words, stride, LATEST_SLOTS as usize) };
        // SAFETY: the word is mapped for as long as the segment lives, as the slots are.
        unsafe { latest::Parts::new(slots, self.ring_word(1, 1)) }
    }
}
