//! The shared ring: many producers, many consumers, one order, and nobody is held up by the dead.
//!
//! ```text
//! tail, solo            position of the next claim by a producer, in a line of its own
//! head, solo, returns   position of the next claim by a consumer, in a line of its own
//! cells                 payloads, and a stamp for each (see `cells`)
//! records               a line for each producer and each consumer (see `claims`)
//! ```
//!
//! A producer claims the next cells by moving the tail, fills them, and stamps them FULL. A consumer claims what is at the
//! head by moving the head, reads it, and stamps its cells FREE for the next lap. How a claim is made, and how it is known
//! whose it is, is in `claims`; this module says when.
//!
//! What the cells of a claim hold is a property of the ring, its [`Framing`]:
//!
//! - `Whole`: one message, which takes all of them. The stamp of the first cell is the message's, and the other cells keep
//!   FREE of their lap.
//! - `PerCell`: a message each. Then a claim may be a *batch*: a producer claims as many cells as it wants and as are free in
//!   a row, and a consumer as many messages, by one move of the counter. Each cell has its own stamp, and whoever claimed it
//!   deals with it by itself.
//!
//! Cells that are given up are stamped as in a ring of whole messages, whatever the framing: SKIP with their number in the
//! first, a *gap*.
//!
//! # Invariants
//!
//! S1. *A producer claims cells only when all of them are free for its lap*, and it stores to cells only between its
//!     claim and its commit of them. The tail is then still where it was, or the claim fails (C1).
//! S2. *A consumer claims a message only when its first cell is FULL in the head's lap, and a gap only when that is SKIP*, so
//!     the head never passes the tail, nor a cell that has been claimed and not committed. Of a batch, each cell was FULL,
//!     and stays so: the head is before it until the claim succeeds (C1), and nobody but who claimed it changes it. Until it frees a
//!     cell, a consumer stores to its payload at most what is there (see [`lines`](super::lines)).
//! S3. *The cells of a message, or of a gap, are freed from the last to the first, and nobody claims any of them before the
//!     first is free.* A claim that begins at or before the first cell finds it taken (S1). One that begins after it,
//!     inside, would follow one that ended inside or at the first cell in the same lap, and so on back to one that contains
//!     the first cell, since the claims of a lap cover it without gaps (C1).
//! S4. *A message is committed by one store, and freed by one store*, that of its (first) stamp. Whoever dies before has
//!     not sent (not freed) it, and by S3 its payload is then whole. So a batch whose owner dies is dealt with in part,
//!     message by message.
//! S5. *What has not been dealt with of a batch is in one piece.* Its producer commits one message after the other, each
//!     time the first that is left; or all that are left, from the last to the first; or gives all that are left up by the
//!     one stamp of a gap. Its consumer frees one after the other in the same way; or frees or returns all that are left,
//!     from the last to the first. So a death leaves one hole, or one row of messages, whose loss is counted in one step.
//!
//! The orderings follow: the (first) stamp's Release store gives the cells on, and the Acquire load in the next claim takes
//! them. A claim that begins inside the cells of an earlier message does not load that message's first stamp; the
//! producer before it did, and moved the tail afterwards (Release), which this one has loaded (Acquire).
//!
//! Nothing crosses the end of the ring. A batch ends there. Before a message that would, its producer claims the rest of the
//! lap and gives it up, and claims again. So a message of up to the whole capacity can be sent through a ring that is being
//! emptied.
//!
//! # Deaths
//!
//! A producer that dies between its claim and its commit leaves a *hole*, at which the consumers stop. Repair makes it a
//! gap and counts the messages as lost (see `claims`). A consumer that dies between its claim and its release leaves
//! messages at which the producers stop when they come round. Repair stamps each RETURNED and counts `returns` up, at which
//! the consumers search the cells for them; or, if that is the policy, counts them as lost and frees them. A consumer takes
//! a returned message, and one at a time, by swapping its stamp from RETURNED to HELD, with its record naming the position
//! as in every claim.
//!
//! # Joining and waiting
//!
//! Who joins holds the lock that serialises joining, and has made sure that others find the line that it takes over alive.
//! Then it
//!
//! 1. repairs the line until that is [`Repair::Resolved`], unless its last owner has left properly. To the `life` that it
//!    passes, the last owner is dead still, with the generation that it had;
//! 2. unless it is the only one that lives in its role, calls [`Counter::announce`](super::claims::Counter::announce) and
//!    executes the heavy barrier;
//! 3. attaches.
//!
//! Who finds it to be the turn of the others waits, and now and then repairs the lines of the dead, of both roles, and
//! [settles](Producer::settle) itself. A line whose repair came to `Resolved` needs none until its next owner has died.

use super::cells::{Cells, Position, Stamp, State};
use super::claims::{Claimant, Company, Framing, Life, Repair, Role};
use super::end::{Begun, Evidence, Turn};
use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

mod consumer;
mod end;
mod frames;
mod producer;
mod repair;

pub(crate) use consumer::Consumer;
pub(in crate::ring) use frames::length;
pub(crate) use frames::{FrameConsumer, FrameProducer, FrameShape};
pub(crate) use producer::Producer;

/// How many cells ahead of what it has claimed a participant asks for the lines of a cell. It reads the stamp before it does
/// anything else, and if it is not alone, its claim is a locked operation, before which all stores have to have their lines:
/// without this, the lines of one message travel after those of the other.
const AHEAD: u16 = 4;

/// How often others may get in before one another's claim before a call comes back without one, where a claim is of one cell.
const MAX_LOST_RACES: usize = 1 << 16;

/// The same where it is of several, whose stamps are looked at in each attempt. So the work of a call does not depend on what
/// somebody does to the counter meanwhile.
fn attempts(units: u16) -> usize {
    (MAX_LOST_RACES / usize::from(units.max(1))).max(64)
}

/// What becomes of a message whose consumer died with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orphans {
    /// It is delivered again, ahead of those that follow.
    Redeliver,
    /// It is given up, and counted as lost.
    Drop,
}

/// The shared parts of a ring.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) cells: Cells,
    /// The tail, and the producers' records.
    pub(crate) producers: Role,
    /// The head, and the consumers' records.
    pub(crate) consumers: Role,
    /// How often a message has been returned.
    returns: NonNull<AtomicU64>,
    /// What a claim of several cells is.
    framing: Framing,
}

// SAFETY: `returns` leads to an atomic, which any thread may use.
unsafe impl Send for Parts {}
// SAFETY: as for `Send`.
unsafe impl Sync for Parts {}

impl Parts {
    /// A ring of these cells and roles. `returns` belongs into the line of the consumers' counter.
    ///
    /// # Safety
    ///
    /// `returns` leads to an atomic word that stays mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(
        cells: Cells,
        producers: Role,
        consumers: Role,
        returns: NonNull<AtomicU64>,
        framing: Framing,
    ) -> Self {
        Parts { cells, producers, consumers, returns, framing }
    }

    /// Messages that are waiting, returned ones among them: an estimate while others are at work, at most the capacity. It
    /// looks at the stamps from the head to the tail, and at all others once a message has been returned.
    pub(crate) fn len(&self) -> usize {
        let cells = &self.cells;
        let (head, tail) = (self.consumers.counter.load(cells), self.producers.counter.load(cells));
        let (Ok(mut at), Ok(tail)) = (head, tail) else { return cells.capacity() as usize };
        // Relaxed: a figure.
        let has_returned = self.returns().load(Ordering::Relaxed) != 0;
        let is_returned = |&(_, found): &(u64, u64)| Stamp::from_word(found).state == State::Returned;
        let mut messages = if has_returned { self.stamps_from(at).filter(is_returned).count() } else { 0 };
        for _ in 0..cells.capacity() {
            if at.ahead(tail) <= 0 {
                break;
            }
            // Relaxed: a figure.
            let stamp = Stamp::from_word(cells.stamp(at).load(Ordering::Relaxed));
            let is_committed = stamp.lap == cells.lap(at) && matches!(stamp.state, State::Full | State::Skip);
            messages += usize::from(is_committed && stamp.state == State::Full);
            at = cells.after(at, if is_committed { stamp.units.max(1) } else { 1 });
        }
        messages.min(cells.capacity() as usize)
    }

    /// Whether a cell lies between the tail and the head's next lap. It may still be in the hands of a consumer. A damaged
    /// ring has no room.
    pub(crate) fn has_room(&self) -> bool {
        let (head, tail) = (self.consumers.counter.load(&self.cells), self.producers.counter.load(&self.cells));
        matches!((head, tail), (Ok(head), Ok(tail)) if self.cells.cells_between(head, tail) < self.cells.capacity())
    }

    /// Whether no cell holds a message, be it waiting, returned or in a consumer's hands. It looks at all of them.
    pub(crate) fn is_drained(&self) -> bool {
        let is_message = |state| matches!(state, State::Full | State::Orphaned | State::Returned | State::Held);
        let counters = [self.consumers.counter, self.producers.counter];
        // A damaged ring counts as not drained, so that nobody removes it.
        counters.iter().all(|counter| counter.load(&self.cells).is_ok())
            && self.stamps_from(Position::default()).all(|(_, found)| !is_message(Stamp::from_word(found).state))
    }

    /// Messages that were lost with those who died.
    pub(crate) fn losses(&self) -> u64 {
        self.producers.records.losses() + self.consumers.records.losses()
    }

    /// What the stamps are, each with its index, beginning with the cell of `first` and once round. From the head on, that
    /// is the order of the positions of what has been claimed and not been freed.
    fn stamps_from(&self, first: Position) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (cells, first) = (&self.cells, self.cells.index(first));
        (first..cells.capacity()).chain(0..first).filter_map(move |index| {
            // Acquire: pairs with the Release of whoever stamped it, whose payload may be read next.
            Some((index, cells.stamp(cells.position(index)?).load(Ordering::Acquire)))
        })
    }

    fn returns(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.returns.as_ref() }
    }

    /// Tells the consumers that there is a returned message to search for.
    fn tell_of_return(&self) {
        // Release: whoever sees the count finds the stamp; pairs with the Acquire in `Consumer::take_returned`.
        self.returns().fetch_add(1, Ordering::Release);
    }

    /// How many cells from `at` on, at most `most`, and not beyond the end, have the stamp that the first one has.
    fn count_like(&self, at: Position, stamp: u64, most: u16) -> u16 {
        let most = self.cells.room(at).min(u64::from(most)) as u16;
        // Acquire: each of them is a message; pairs with the Release in `Producer::pass_one`.
        let is_like = |unit| self.cells.stamp(self.cells.after(at, unit)).load(Ordering::Acquire) == stamp;
        (1..most).find(|&unit| !is_like(unit)).unwrap_or(most)
    }

    /// What is wrong with the stamp at `at`, where one in `state` was expected.
    fn evidence(&self, at: Position, found: u64, state: State) -> Evidence {
        let units = u16::from(state != State::Free);
        let expected = Stamp::new(state, self.cells.lap(at), units).word();
        Evidence { slot: self.cells.index(at) as usize, found, expected }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
