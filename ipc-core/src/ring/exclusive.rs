//! The exclusive ring: one sender, one receiver, and nothing shared but the slots.
//!
//! There is no head and no tail index. Each slot carries a *stamp* that says whose turn it is, and the two ends take
//! turns on it (the turn of folly's `TurnSequencer`, one per slot). With laps counted from 0:
//!
//! ```text
//! stamp of a slot        meaning                                        who may touch the slot
//! 2 * lap                free in this lap: nothing has been written     the sender
//! 2 * lap + 1            holds the message of this lap                  the receiver
//! 2 * (lap + 1)          taken: free in the next lap                    the sender
//! ```
//!
//! Zeroed memory is therefore an empty ring. An end walks the slots in order and keeps its place, *(index, turn)*, in
//! private memory: the slot is its own once the stamp equals `turn`; it fills or empties the slot, stores `turn + 1`,
//! and steps on, adding 2 to `turn` where the index wraps. Both ends run this same code; the sender starts at turn 0
//! and the receiver at turn 1.
//!
//! The stamp is the last word of the slot's last line, and the payload before it is written in ascending order. So a
//! message of up to 56 bytes travels in one cache line, and whoever sees the stamp has the message already. Freeing
//! by stamp rather than by a shared index measured 1.1 times faster when the two cores are near and 2 to 6 times when
//! they are far apart.
//!
//! # Invariants
//!
//! R1. *One writer at a time.* Only the end whose turn it is stores to a slot, payload or stamp. The stamp alone
//!     passes the right to the other end: Release on the store, Acquire on the load that sees it.
//! R2. *A message is committed by exactly one store*, that of the stamp. Whoever dies before it has sent (or taken)
//!     nothing, whoever dies after it has done so entirely.
//! R3. *Places are contiguous.* In index order, the numbers of times that the slots have been written never rise, and
//!     the first and the last differ by at most one; the same holds for the times they have been read.
//!
//! R3 holds at the start (all zero), and an end keeps it, since it completes slot i before slot i + 1 and slot
//! `capacity - 1` before slot 0 of the next lap.
//!
//! # Taking over a place
//!
//! A new end finds the place of its predecessor from the stamps alone: `writes(stamp) = ceil(stamp / 2)` is how often
//! a slot has been written, `reads(stamp) = floor(stamp / 2)` how often it has been read. By R3 the slots that have
//! been written once more than the others form a prefix, and the sender's place is the first slot after it; a binary
//! search finds it in `log2(capacity)` loads. The other end may be at work meanwhile: a sender's search depends on
//! `writes` alone, which the receiver's store (2 lap + 1 to 2 lap + 2) leaves as it is, and a receiver's on `reads`
//! alone, which the sender's store (2 lap to 2 lap + 1) leaves as it is. There is nothing to repair after a death, and
//! by R2 the successor goes on exactly where the dead one stopped.
//!
//! Stamps are compared for equality, modulo 2^64, so the ring goes on through the wrap. (At a billion messages a
//! second and one slot it would come after 292 years.)

use super::Slots;
use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// Which end of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The end that fills slots.
    Sender,
    /// The end that empties them.
    Receiver,
}

/// What an end finds at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The slot is this end's own until it calls [`End::pass`].
    Ours,
    /// The other end has not come round yet: the ring is full (for a sender) or empty (for a receiver).
    Theirs,
    /// The stamp is none that the algorithm can have left there.
    Broken,
}

/// One end of an exclusive ring, and its place.
pub(crate) struct End {
    slots: Slots,
    /// The slot this end is at, below the capacity.
    index: usize,
    /// The stamp that gives the slot to this end.
    turn: u64,
}

impl End {
    /// Takes over the place that the end before, if there was one, left. The caller is the only one on this side.
    pub(crate) fn attach(slots: Slots, side: Side) -> Self {
        let (mut low, mut high) = (1, slots.capacity());
        let first = completed(&slots, 0, side);
        while low < high {
            let middle = low + (high - low) / 2;
            if completed(&slots, middle, side) == first {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let index = if low == slots.capacity() { 0 } else { low };
        let laps = completed(&slots, index, side);
        let turn = laps.wrapping_mul(2).wrapping_add(side as u64);
        End { slots, index, turn }
    }

    /// Whose turn it is at this end's place.
    #[inline(always)]
    pub(crate) fn poll(&self) -> Turn {
        // Acquire: pairs with the Release in the other end's `pass`, so that what it did to the slot is done.
        let stamp = self.slots.stamp(self.index).load(Ordering::Acquire);
        if stamp == self.turn {
            Turn::Ours
        } else if stamp == self.turn.wrapping_sub(1) {
            Turn::Theirs
        } else {
            Turn::Broken
        }
    }

    /// The payload at this end's place. To be touched only after [`poll`](End::poll) said [`Turn::Ours`].
    #[inline(always)]
    pub(crate) fn payload(&self) -> NonNull<AtomicU64> {
        self.slots.payload(self.index)
    }

    /// Gives the slot to the other end and steps on: this is what publishes a message, and what frees a slot.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        // Release: publishes what this end did to the slot; pairs with the Acquire in the other end's `poll`.
        self.slots.stamp(self.index).store(self.turn.wrapping_add(1), Ordering::Release);
        self.index += 1;
        if self.index == self.slots.capacity() {
            self.index = 0;
            self.turn = self.turn.wrapping_add(2);
        }
    }

    /// The stamp at this end's place and the one that this end is waiting for, to describe a broken ring.
    pub(crate) fn evidence(&self) -> (usize, u64, u64) {
        // Relaxed: for a report to people; nothing is read through it.
        (self.index, self.slots.stamp(self.index).load(Ordering::Relaxed), self.turn)
    }
}

/// Number of messages in the ring: exact while both ends stand still, an estimate (at most the capacity) otherwise.
pub(crate) fn len(slots: Slots) -> usize {
    let (sender, receiver) = (End::attach(slots, Side::Sender), End::attach(slots, Side::Receiver));
    let laps = sender.turn.wrapping_add(1).wrapping_sub(receiver.turn) / 2;
    match laps {
        0 => sender.index.saturating_sub(receiver.index),
        1 => (sender.index + slots.capacity() - receiver.index).min(slots.capacity()),
        _ => slots.capacity(),
    }
}

/// How often `side` has completed slot `index`, modulo 2^63.
fn completed(slots: &Slots, index: usize, side: Side) -> u64 {
    // Acquire: pairs with the predecessor's Release in `pass`, so that a successor that goes on from here has seen
    // all that the predecessor did.
    let stamp = slots.stamp(index).load(Ordering::Acquire);
    match side {
        Side::Sender => stamp.wrapping_add(1) / 2,
        Side::Receiver => stamp / 2,
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
