//! The limit of streams: a ring as one writes it by hand, with an index per side in a line of its own, and a private copy
//! of the other side's index that is refreshed when the ring seems full or empty.
//!
//! Slots are of `N` words, in memory that starts as zeros; several rings can share it, one behind the other.

use super::memory::{LINE, Shared};
use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a ring is, and how large.
struct Place {
    shared: Shared,
    /// Its first word: the index of what was sent. That of what was received is a line further on.
    start: usize,
    capacity: usize,
}

/// Bytes of shared memory that `rings` rings take.
pub(crate) fn bytes<const N: usize>(capacity: usize, rings: usize) -> usize {
    rings * ring_words::<N>(capacity) * 8
}

fn ring_words<const N: usize>(capacity: usize) -> usize {
    (2 * LINE + capacity * N).next_multiple_of(LINE)
}

impl Place {
    fn new<const N: usize>(shared: Shared, capacity: usize, ring: usize) -> Self {
        assert!(capacity.is_power_of_two());
        Place { shared, start: ring * ring_words::<N>(capacity), capacity }
    }

    #[inline(always)]
    fn sent(&self) -> &AtomicU64 {
        self.shared.word(self.start)
    }

    #[inline(always)]
    fn received(&self) -> &AtomicU64 {
        self.shared.word(self.start + LINE)
    }

    #[inline(always)]
    fn slot<const N: usize>(&self, position: u64) -> usize {
        self.start + 2 * LINE + (position as usize & (self.capacity - 1)) * N
    }
}

/// The end that fills ring number `ring` of those in the memory.
pub(crate) struct Producer<const N: usize> {
    place: Place,
    sent: u64,
    /// What `sent` can grow to without another look.
    limit: u64,
}

impl<const N: usize> Producer<N> {
    /// The end of a new ring.
    pub(crate) fn new(shared: Shared, capacity: usize, ring: usize) -> Self {
        Producer { place: Place::new::<N>(shared, capacity, ring), sent: 0, limit: capacity as u64 }
    }

    /// Waits until the next slot is free: `N` words that are this side's own until they are published.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> *mut u64 {
        while self.sent == self.limit {
            // Acquire: pairs with the Release in `Consumer::release`, so that a slot is empty before it is filled again.
            self.limit = self.place.received().load(Ordering::Acquire) + self.place.capacity as u64;
            if self.sent == self.limit {
                spin_loop();
            }
        }
        self.place.shared.at(self.place.slot::<N>(self.sent))
    }

    /// Goes on to the next slot.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.sent += 1;
    }

    /// Gives the slots that were passed to the other side.
    #[inline(always)]
    pub(crate) fn publish(&mut self) {
        // Release: publishes the slots; pairs with the Acquire in `Consumer::slot`.
        self.place.sent().store(self.sent, Ordering::Release);
    }

    /// Fills the next slot, and passes it.
    #[inline(always)]
    pub(crate) fn fill(&mut self, message: [u64; N]) {
        let slot = self.slot();
        for (at, word) in message.into_iter().enumerate() {
            // SAFETY: `slot` leads to `N` words.
            let to = unsafe { slot.add(at) };
            // SAFETY: aligned and mapped, and this side's own until it is published.
            unsafe { to.write(word) };
        }
        self.pass();
    }
}

impl<const N: usize> Tx<N> for Producer<N> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        self.fill(message);
        self.publish();
        Ok(())
    }
}

/// The end that empties ring number `ring` of those in the memory.
pub(crate) struct Consumer<const N: usize> {
    place: Place,
    received: u64,
    /// What `received` can grow to without another look.
    limit: u64,
}

impl<const N: usize> Consumer<N> {
    /// The end of a new ring.
    pub(crate) fn new(shared: Shared, capacity: usize, ring: usize) -> Self {
        Consumer { place: Place::new::<N>(shared, capacity, ring), received: 0, limit: 0 }
    }

    /// Waits until the next slot is filled: `N` words that are this side's own until they are released.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> *const u64 {
        while self.received == self.limit {
            // Acquire: pairs with the Release in `Producer::publish`.
            self.limit = self.place.sent().load(Ordering::Acquire);
            if self.received == self.limit {
                spin_loop();
            }
        }
        self.place.shared.at(self.place.slot::<N>(self.received))
    }

    /// Filled slots that can be had without another look.
    pub(crate) fn ready(&self) -> u64 {
        self.limit - self.received
    }

    /// Goes on to the next slot.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.received += 1;
    }

    /// Gives the slots that were passed back to the other side.
    #[inline(always)]
    pub(crate) fn release(&mut self) {
        // Release: frees the slots; pairs with the Acquire in `Producer::slot`.
        self.place.received().store(self.received, Ordering::Release);
    }

    /// Copies the message out of the next slot, and passes it.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> [u64; N] {
        // SAFETY: `slot` leads to `N` words, initialised as the memory started as zeros, and this side's own.
        let message = unsafe { self.slot().cast::<[u64; N]>().read() };
        self.pass();
        message
    }
}

impl<const N: usize> Rx<N> for Consumer<N> {
    #[inline(always)]
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        let message = self.take();
        self.release();
        Ok(message)
    }
}
