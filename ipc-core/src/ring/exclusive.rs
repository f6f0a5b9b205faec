//! The exclusive ring: one producer, one consumer.
//!
//! ```text
//! slot i:       | payload ... | stamp |      written by the producer; the stamp counts how often the slot was filled
//! taken:        place of the consumer        written by the consumer, in a line of its own
//! ```
//!
//! A *place* is a slot's index and the parity of the lap, as a number below `2 * capacity` (as in rtrb), so that a full
//! ring and an empty one differ. In lap *l* (from 0) the producer fills slot *i* and stores *l + 1* to its stamp; the
//! consumer, who waits at slot *i* for exactly that value, takes the message and stores the place after it to `taken`.
//! Zeroed memory is therefore an empty ring.
//!
//! The stamp is the last word of the slot, and the payload before it is written in ascending order. So a
//! message of up to 56 bytes travels in one cache line, and whoever sees the stamp has the message already: there is no
//! index to fetch first. The producer does not look at the slot before it fills it, and it looks at `taken` only when
//! the room that it knows of is used up.
//!
//! # Invariants
//!
//! R1. *The producer stores only to slots that are not between `taken` and its own place; the consumer reads only slots
//!     that are, and stores to their payloads at most what is there already*, for the sake of their [lines](super::lines).
//!     The stamp (Release, Acquire) gives a slot to the consumer, `taken` (Release, Acquire) gives it back.
//! R2. *A message is committed by one store, that of the stamp; it is taken by one store, that of `taken`.* Whoever
//!     dies before it has sent (or taken) nothing, and whoever dies after it has done so entirely.
//! R3. *Stamps never rise with the index, and the first and the last differ by at most one*, since the producer fills
//!     slot i before slot i + 1, and the last slot before slot 0 of the next lap.
//!
//! # Taking over a place
//!
//! A consumer finds its predecessor's place in `taken`. A producer finds it from the stamps alone: by R3 the slots that
//! have been filled once more than the others are a prefix, and the place is the first slot after it, which a binary
//! search finds in `log2(capacity)` loads. The other side may be at work meanwhile, since it stores neither. So there is
//! nothing to repair after a death, and by R2 the successor goes on exactly where the dead one stopped.
//!
//! Stamps are compared for equality, modulo 2^64, so the ring would go on through their wrap.

use super::end::pauses_when_full;
pub(crate) use super::end::{End, Evidence, Turn};
use super::lines::{self, Handover};
use super::slots::{Slot, Slots};
use crate::atomics::AtomicU64;
use crate::words;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// The shared parts of a ring.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) slots: Slots,
    /// The consumer's place. It stays mapped for as long as the slots do.
    taken: NonNull<AtomicU64>,
}

// SAFETY: `taken` leads to an atomic, which any thread may use.
unsafe impl Send for Parts {}
// SAFETY: as for `Send`.
unsafe impl Sync for Parts {}

impl Parts {
    /// A ring of these slots.
    ///
    /// # Safety
    ///
    /// `taken` leads to an atomic word that stays mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(slots: Slots, taken: NonNull<AtomicU64>) -> Self {
        Parts { slots, taken }
    }

    /// Number of messages in the ring: exact while both ends stand still, an estimate (at most the capacity) otherwise.
    pub(crate) fn len(self) -> usize {
        let (filled, _) = self.producer_place();
        let (taken, capacity) = (self.load_taken(), self.slots.capacity());
        // A damaged ring counts as full, so that nobody takes it for drained and removes it.
        if taken >= 2 * capacity as u64 { capacity } else { self.distance(taken, filled as u64).min(capacity) }
    }

    #[inline(always)]
    fn taken(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.taken.as_ref() }
    }

    /// The consumer's place, as far as it has come.
    fn load_taken(&self) -> u64 {
        // Acquire: pairs with the Release in `Consumer::pass`, so that the slots before it have been read (R1).
        self.taken().load(Ordering::Acquire)
    }

    /// From one place forward to the other.
    fn distance(&self, from: u64, to: u64) -> usize {
        let places = 2 * self.slots.capacity() as u64;
        ((to + places - from % places) % places) as usize
    }

    /// Where the producer is, and how often it has filled the slot that it fills next.
    fn producer_place(&self) -> (usize, u64) {
        let slots = &self.slots;
        let first = filled(slots, 0);
        let (mut low, mut high) = (1, slots.capacity());
        while low < high {
            let middle = low + (high - low) / 2;
            if filled(slots, middle) == first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = if low == slots.capacity() { 0 } else { low };
        let lap = filled(slots, index);
        (index + (lap % 2) as usize * slots.capacity(), lap)
    }
}

/// How often slot `index` has been filled.
fn filled(slots: &Slots, index: usize) -> u64 {
    // Relaxed: only the number counts. Nothing is read or written on the strength of it before `look` has acquired the
    // slot, and a successor comes after its predecessor by way of the participant's lock.
    slots.stamp(slots.slot(index)).load(Ordering::Relaxed)
}

/// The end that fills slots.
pub(crate) struct Producer {
    parts: Parts,
    /// The slot to fill next.
    slot: Slot,
    /// The stamp that the slot gets.
    stamp: u64,
    /// Free slots from here on, as far as they are known.
    room: usize,
    /// Whether the lines of slots further on are asked for.
    asks_ahead: bool,
}

impl Producer {
    /// Takes over the place that the producer before, if there was one, left. The caller is the only one.
    pub(crate) fn attach(parts: Parts) -> Self {
        let (place, lap) = parts.producer_place();
        let slot = parts.slots.slot(place % parts.slots.capacity());
        let asks_ahead = lines::are_asked_for_ahead(parts.slots.words(), parts.slots.stride_words());
        Producer { parts, slot, stamp: lap.wrapping_add(1), room: 0, asks_ahead }
    }

    /// Asks for the lines of a slot further on than `slot`: see [`lines`].
    #[inline(always)]
    fn ask_ahead(&self, slot: Slot) {
        if self.asks_ahead {
            self.parts.slots.ask_ahead(slot);
        }
    }
}

impl End for Producer {
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.room != 0
    }

    fn look(&mut self) -> Turn {
        let capacity = self.parts.slots.capacity();
        let lap = self.stamp.wrapping_sub(1);
        let place = self.parts.slots.index(self.slot) + (lap % 2) as usize * capacity;
        let taken = self.parts.load_taken();
        let used = self.parts.distance(taken, place as u64);
        if taken >= 2 * capacity as u64 || used > capacity {
            let evidence = Evidence { slot: self.parts.slots.index(self.slot), found: taken, expected: place as u64 };
            return Turn::Broken(evidence);
        }
        self.room = capacity - used;
        if self.room == 0 { Turn::Theirs } else { Turn::Ours }
    }

    fn owned(&mut self, max: usize) -> usize {
        if self.room == 0 {
            self.look();
        }
        self.room.min(max)
    }

    fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        let slot = self.parts.slots.ahead(self.slot, ahead);
        // A batch in place is filled before any of it is passed.
        self.ask_ahead(slot);
        slot.payload()
    }

    #[inline(always)]
    fn pass_each(&mut self, mut fill: impl FnMut(NonNull<AtomicU64>) -> bool) {
        let slots = self.parts.slots;
        let (slot, stamp, room, asks_ahead) = (self.slot, self.stamp, self.room, self.asks_ahead);
        let mut walk = Walk { producer: self, slot, stamp, room };
        while walk.room != 0 && fill(walk.slot.payload()) {
            // Release: as in `pass`.
            slots.stamp(walk.slot).store(walk.stamp, Ordering::Release);
            if asks_ahead {
                slots.ask_ahead(walk.slot);
            }
            walk.room -= 1;
            let (slot, is_next_lap) = slots.after(walk.slot);
            walk.slot = slot;
            walk.stamp = walk.stamp.wrapping_add(u64::from(is_next_lap));
        }
    }

    fn stand_back(&self) -> u32 {
        pauses_when_full(self.parts.slots.capacity() as u64)
    }

    fn len(&self) -> usize {
        self.parts.len()
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        self.slot.payload()
    }

    #[inline(always)]
    fn pass(&mut self) {
        // Release: publishes the payload; pairs with the Acquire in `Consumer::look`.
        self.parts.slots.stamp(self.slot).store(self.stamp, Ordering::Release);
        self.ask_ahead(self.slot);
        self.room -= 1;
        let (slot, is_next_lap) = self.parts.slots.after(self.slot);
        self.slot = slot;
        if is_next_lap {
            self.stamp = self.stamp.wrapping_add(1);
        }
    }
}

/// A producer on its way through slots of its own. What it has come to is noted when it is dropped, once for all of them: a store
/// to its own fields for each would wait behind those to lines that the consumer has.
struct Walk<'a> {
    producer: &'a mut Producer,
    slot: Slot,
    stamp: u64,
    room: usize,
}

impl Drop for Walk<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let Walk { slot, stamp, room, .. } = *self;
        (self.producer.slot, self.producer.stamp, self.producer.room) = (slot, stamp, room);
    }
}

/// The end that empties slots.
pub(crate) struct Consumer {
    parts: Parts,
    /// The slot to take next.
    slot: Slot,
    /// The stamp that says that it is filled.
    stamp: u64,
    /// The place, as `taken` has it.
    place: u64,
    /// Whether the lines of the slots are taken before they are freed.
    handover: Handover,
    /// The slot in the middle of the ring.
    halfway: Slot,
}

impl Consumer {
    /// Takes over the place that the consumer before, if there was one, left. The caller is the only one.
    pub(crate) fn attach(parts: Parts) -> Self {
        let capacity = parts.slots.capacity();
        let taken = parts.load_taken();
        let place = taken % (2 * capacity as u64);
        let (index, parity) = (place as usize % capacity, place / capacity as u64);
        // The slot was filled `lap` times if it is empty in this lap, and once more if it is full, whose parity differs.
        let fills = filled(&parts.slots, index);
        let lap = if fills % 2 == parity { fills } else { fills.wrapping_sub(1) };
        // No slot has the stamp that a place beyond all places leads to, so every look at it finds the ring broken.
        let is_damaged = taken != place;
        let stamp = lap.wrapping_add(if is_damaged { 1 << 63 } else { 1 });
        let (slot, halfway) = (parts.slots.slot(index), parts.slots.slot(capacity / 2));
        Consumer { parts, slot, stamp, place, handover: Handover::new(parts.slots.stride_words()), halfway }
    }

    /// Steps over `count` slots that are this end's own, without telling the producer.
    #[inline(always)]
    fn step(&mut self, count: usize) {
        let slots = self.parts.slots;
        if self.handover.is_on() {
            let mut slot = self.slot;
            for _ in 0..count {
                slots.take_lines(slot);
                (slot, _) = slots.after(slot);
            }
        }
        self.place += count as u64;
        let (slot, is_next_lap) = if count == 1 { slots.after(self.slot) } else { slots.over(self.slot, count) };
        self.slot = slot;
        if is_next_lap {
            self.end_lap(count);
        }
    }

    /// Begins a lap, after a step over `count` slots, and looks where the producer is.
    #[cold]
    #[inline(never)]
    fn end_lap(&mut self, count: usize) {
        let capacity = self.parts.slots.capacity();
        self.stamp = self.stamp.wrapping_add(1);
        self.place %= 2 * capacity as u64;
        // The slot in the middle is a part of a longer step, and says nothing of where the producer is then.
        if count < capacity.div_ceil(2) {
            // Relaxed: only the number counts.
            let is_far_behind = self.parts.slots.stamp(self.halfway).load(Ordering::Relaxed) == self.stamp;
            self.handover.end_lap(is_far_behind);
        }
    }

    /// Frees every slot that has been stepped over.
    #[inline(always)]
    fn release(&self) {
        // Release: the payloads have been read; pairs with the Acquire in `Parts::load_taken`.
        self.parts.taken().store(self.place, Ordering::Release);
    }
}

impl End for Consumer {
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        // Acquire: pairs with the Release in `Producer::pass`, so that the payload is there.
        self.parts.slots.stamp(self.slot).load(Ordering::Acquire) == self.stamp
    }

    fn look(&mut self) -> Turn {
        // Acquire: as in `is_ready`.
        let found = self.parts.slots.stamp(self.slot).load(Ordering::Acquire);
        if found == self.stamp {
            Turn::Ours
        } else if found == self.stamp.wrapping_sub(1) {
            // A longer message begins in another line than the one that is being waited for: both travel together.
            words::prefetch_to_read(self.slot.payload().as_ptr().cast());
            Turn::Theirs
        } else {
            Turn::Broken(Evidence { slot: self.parts.slots.index(self.slot), found, expected: self.stamp })
        }
    }

    fn owned(&mut self, max: usize) -> usize {
        let slots = &self.parts.slots;
        let (mut slot, mut stamp, mut owned) = (self.slot, self.stamp, 0);
        // Acquire: as in `is_ready`.
        while owned < max.min(slots.capacity()) && slots.stamp(slot).load(Ordering::Acquire) == stamp {
            let (next, is_next_lap) = slots.after(slot);
            (slot, stamp) = (next, stamp.wrapping_add(u64::from(is_next_lap)));
            owned += 1;
        }
        owned
    }

    fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        self.parts.slots.ahead(self.slot, ahead).payload()
    }

    fn pass_many(&mut self, count: usize) {
        self.step(count);
        self.release();
    }

    fn len(&self) -> usize {
        self.parts.len()
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        self.slot.payload()
    }

    #[inline(always)]
    fn pass(&mut self) {
        self.step(1);
        self.release();
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
