//! The shared ring: many producers, many consumers, one order, and nobody is held up by the dead.
//!
//! ```text
//! tail, solo            position of the next claim by a producer, in a line of its own
//! head, solo, returns   position of the next claim by a consumer, in a line of its own
//! cells                 payloads, and a stamp for each (see `cells`)
//! records               a line for each producer and each consumer (see `claims`)
//! ```
//!
//! A producer claims the next cells by moving the tail, fills them, and stamps the first one FULL. A consumer claims the
//! message at the head by moving the head, reads it, and stamps its cells FREE for the next lap. How a claim is made,
//! and how it is known whose it is, is in `claims`; this module says when.
//!
//! # Invariants
//!
//! S1. *A producer claims cells only when all of them are free for its lap*, and it stores to cells only between its
//!     claim and its commit. The tail is then still where it was, or the claim fails (C1).
//! S2. *A consumer claims a message only when its first cell is FULL (or SKIP) in the head's lap*, so the head never
//!     passes the tail, nor a cell that has been claimed and not committed.
//! S3. *The cells of a message are freed from the last to the first, and nobody claims any of them before the first is
//!     free.* A claim that begins at or before the first cell finds it taken (S1). One that begins after it, inside, would
//!     follow one that ended inside or at the first cell in the same lap, and so on back to one that contains the first
//!     cell, since the claims of a lap cover it without gaps (C1).
//! S4. *A message is committed by one store, and freed by one store*, that of its first stamp. Whoever dies before has
//!     not sent (not freed) it, and by S3 its payload is then whole.
//!
//! The orderings follow: the first stamp's Release store gives the cells on, and the Acquire load in the next claim takes
//! them. A claim that begins inside the cells of an earlier message does not load that message's first stamp; the
//! producer before it did, and moved the tail afterwards (Release), which this one has loaded (Acquire).
//!
//! A message that would cross the end of the ring does not: its producer claims the rest of the lap as a gap, stamps it
//! SKIP, and claims again. So a message of up to the whole capacity can be sent through a ring that is being emptied.
//!
//! # Deaths
//!
//! A producer that dies between its claim and its commit leaves a *hole*, at which the consumers stop. Repair makes it a
//! gap and counts a loss (see `claims`). A consumer that dies between its claim and its release leaves a message at which
//! the producers stop when they come round. Repair stamps it RETURNED and counts `returns` up, at which the consumers
//! search the cells for it; or, if that is the policy, counts it as lost and frees it. A consumer takes a returned
//! message by swapping its stamp from RETURNED to HELD, with its record naming the position as in every claim.
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
use super::exclusive::{Evidence, Turn};
use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

mod end;
mod frames;
mod repair;

pub(in crate::ring) use frames::length;
pub(crate) use frames::{FrameConsumer, FrameProducer, FrameShape};

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

/// One of those who fill the ring.
pub(crate) struct Producer {
    parts: Parts,
    claimant: Claimant,
    /// The first of the cells that are this producer's own, if any are.
    at: Position,
    /// How many are; 0 if none.
    units: u16,
    /// How many a look takes at most.
    wanted: u16,
}

impl Producer {
    /// Joins on `line` of the producers' records. What has to come before is said at [`Claimant::attach`].
    pub(crate) fn attach(parts: Parts, line: usize, company: Company) -> Self {
        let claimant = Claimant::attach(parts.producers, &parts.cells, line, company);
        Producer { parts, claimant, at: Position::default(), units: 0, wanted: 1 }
    }

    /// Leaves. Cells that were claimed become a gap.
    pub(crate) fn detach(&mut self) {
        if self.units != 0 {
            self.abandon();
        }
        self.claimant.detach();
    }

    /// Whether this producer may claim, when it is known who lives: see [`Claimant::settle`].
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        self.claimant.settle(life)
    }

    /// Claims the next `units` cells, at least 1 and at most the capacity. `Ours`: they are this producer's own until it
    /// [passes](Producer::pass) or [abandons](Producer::abandon) them. `Theirs`: the ring is full, or the only producer
    /// before this one has yet to notice it.
    #[inline]
    pub(crate) fn claim(&mut self, units: u16) -> Turn {
        self.claim_between(units, units)
    }

    /// As [`claim`](Producer::claim), of 1 to `most` cells in a row: all that are free from the tail on.
    pub(crate) fn claim_up_to(&mut self, most: u16) -> Turn {
        self.claim_between(1, most)
    }

    #[inline(always)]
    fn claim_between(&mut self, least: u16, most: u16) -> Turn {
        debug_assert!(self.units == 0 && least >= 1 && u64::from(least) <= self.parts.cells.capacity());
        if !self.claimant.is_settled() {
            return Turn::Theirs;
        }
        for _ in 0..attempts(most) {
            let at = match self.claimant.position(&self.parts.cells) {
                Ok(at) => at,
                Err(evidence) => return self.without(Turn::Broken(evidence)),
            };
            let room = self.parts.cells.room(at);
            let fits = u64::from(least) <= room;
            // Where there is less room than units, it is 16 bits as well.
            let mut wanted = if u64::from(most) <= room { most } else { room as u16 };
            if let Some((free, found)) = self.first_taken(at, wanted) {
                if free < least {
                    if self.claimant.has_moved(at) {
                        continue;
                    }
                    let taken = self.parts.cells.after(at, free);
                    let is_full = Stamp::from_word(found).is_of_lap_before(self.parts.cells.lap(taken));
                    let evidence = self.parts.evidence(taken, found, State::Free);
                    return self.without(if is_full { Turn::Theirs } else { Turn::Broken(evidence) });
                }
                wanted = free;
            }
            if !self.claimant.claim(at, self.parts.cells.after(at, wanted), wanted) {
                continue;
            }
            (self.at, self.units) = (at, wanted);
            self.parts.cells.prefetch_to_write(self.parts.cells.after(at, AHEAD));
            if fits {
                return Turn::Ours;
            }
            self.abandon();
        }
        self.without(Turn::Theirs)
    }

    /// The first word of the cells that have been claimed. Their payloads follow each other if the stamps are apart.
    #[inline(always)]
    pub(crate) fn payload(&self) -> NonNull<AtomicU64> {
        self.parts.cells.payload(self.at)
    }

    /// How many cells have been claimed and not been passed on.
    #[inline(always)]
    pub(crate) fn units(&self) -> u16 {
        self.units
    }

    /// Publishes the message in the cells that have been claimed, which is one.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.commit(State::Full, self.units);
    }

    /// Publishes the message in the first of the cells that have been claimed, in each of which there is one.
    #[inline(always)]
    pub(crate) fn pass_one(&mut self) {
        self.commit(State::Full, 1);
    }

    /// As [`pass_one`](Producer::pass_one), for the first `count` cells.
    pub(crate) fn pass_many(&mut self, count: u16) {
        if count < self.units {
            // A repair expects what is left of a batch in one piece.
            return (0..count).for_each(|_| self.pass_one());
        }
        let cells = &self.parts.cells;
        let full = Stamp::new(State::Full, cells.lap(self.at), 1).word();
        for unit in (0..count).rev() {
            // Release: as in `commit`. The consumers stop at the first one, which comes last.
            cells.stamp(cells.after(self.at, unit)).store(full, Ordering::Release);
        }
        self.leave_behind(count);
    }

    /// Gives the cells that have been claimed up: there is no message in them.
    pub(crate) fn abandon(&mut self) {
        self.commit(State::Skip, self.units);
    }

    #[inline(always)]
    fn commit(&mut self, state: State, units: u16) {
        debug_assert!(self.units != 0);
        let stamp = Stamp::new(state, self.parts.cells.lap(self.at), units);
        // Release: publishes the payload; pairs with the Acquire in `Consumer::claim`, and in the repair.
        self.parts.cells.stamp(self.at).store(stamp.word(), Ordering::Release);
        self.leave_behind(units);
    }

    /// Goes on with the cells after the first `units`.
    #[inline(always)]
    fn leave_behind(&mut self, units: u16) {
        self.units -= units;
        if self.units != 0 {
            self.at = self.parts.cells.after(self.at, units);
        }
    }

    /// How many of `units` cells from `at` come before the first that is not free in this lap, and what its stamp is.
    #[inline(always)]
    fn first_taken(&self, at: Position, units: u16) -> Option<(u16, u64)> {
        let free = Stamp::free(self.parts.cells.lap(at)).word();
        for unit in 0..units {
            let cell = self.parts.cells.after(at, unit);
            // Acquire: the last message here has been read; pairs with the Release in `Consumer::pass`.
            let found = self.parts.cells.stamp(cell).load(Ordering::Acquire);
            if found != free {
                return Some((unit, found));
            }
        }
        None
    }

    /// Comes away without a claim.
    #[cold]
    fn without(&mut self, turn: Turn) -> Turn {
        self.claimant.give_up();
        turn
    }
}

/// One of those who empty the ring.
pub(crate) struct Consumer {
    parts: Parts,
    claimant: Claimant,
    /// The count of returns at which no cell held a returned message.
    seen_returns: u64,
    /// Where the message is that is this consumer's own, if there is one.
    at: Position,
    /// Its stamp; free if there is none.
    stamp: Stamp,
    /// How many more messages are, in the cells behind it. Their stamps are the same.
    more: u16,
    /// How many messages a look takes at most.
    wanted: u16,
    /// Whether cells of gaps were freed of which nobody has been told: see [`End::take_room_made`](super::End::take_room_made).
    has_made_room: bool,
}

impl Consumer {
    /// Joins on `line` of the consumers' records. What has to come before is said at [`Claimant::attach`].
    pub(crate) fn attach(parts: Parts, line: usize, company: Company) -> Self {
        let claimant = Claimant::attach(parts.consumers, &parts.cells, line, company);
        let (at, stamp) = (Position::default(), Stamp::free(0));
        Consumer { parts, claimant, seen_returns: 0, at, stamp, more: 0, wanted: 1, has_made_room: false }
    }

    /// Leaves. A message that was claimed is delivered again, to another one.
    pub(crate) fn detach(&mut self) {
        if self.units() != 0 {
            self.put_back();
        }
        self.claimant.detach();
    }

    /// Whether this consumer may claim, when it is known who lives: see [`Claimant::settle`].
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        self.claimant.settle(life)
    }

    /// Claims the next message. `Ours`: it is this consumer's own until it [passes](Consumer::pass) it on or
    /// [puts it back](Consumer::put_back). `Theirs`: the ring is empty, or the next message has not been committed, or the
    /// only consumer before this one has yet to notice it.
    #[inline]
    pub(crate) fn claim(&mut self) -> Turn {
        self.claim_between(1)
    }

    /// As [`claim`](Consumer::claim), of 1 to `most` messages of a cell each: all that are there from the head on.
    pub(crate) fn claim_up_to(&mut self, most: u16) -> Turn {
        debug_assert!(self.parts.framing == Framing::PerCell);
        self.claim_between(most)
    }

    #[inline(always)]
    fn claim_between(&mut self, most: u16) -> Turn {
        debug_assert!(self.units() == 0);
        if !self.claimant.is_settled() {
            return Turn::Theirs;
        }
        // Relaxed: if it has changed, it is loaded again.
        if self.parts.returns().load(Ordering::Relaxed) != self.seen_returns {
            if let Some(turn) = self.take_returned() {
                return turn;
            }
        }
        // Cells of gaps that have been freed on the way. Whoever makes gaps as fast as they are jumped over does it in vain.
        let mut freed = 0;
        for _ in 0..attempts(most) {
            let cells = &self.parts.cells;
            let at = match self.claimant.position(cells) {
                Ok(at) => at,
                Err(evidence) => return self.without(Turn::Broken(evidence)),
            };
            // Acquire: the payload is there; pairs with the Release in `Producer::commit`.
            let found = cells.stamp(at).load(Ordering::Acquire);
            let stamp = Stamp::from_word(found);
            let is_committed = matches!(stamp.state, State::Full | State::Skip) && stamp.lap == cells.lap(at);
            if !is_committed || !(1..=cells.room(at)).contains(&u64::from(stamp.units)) {
                if !is_committed && is_awaited(stamp, cells.lap(at)) {
                    // The message begins in another line than the one that is being waited for: both travel together.
                    cells.prefetch_to_read(at);
                    return self.without(Turn::Theirs);
                }
                if self.claimant.has_moved(at) {
                    continue;
                }
                let evidence = self.parts.evidence(at, found, State::Full);
                return self.without(Turn::Broken(evidence));
            }
            let is_one = most > 1 && stamp.state == State::Full && stamp.units == 1;
            let more = if is_one { self.parts.count_like(at, found, most) - 1 } else { 0 };
            let units = stamp.units + more;
            if !self.claimant.claim(at, cells.after(at, units), units) {
                continue;
            }
            (self.at, self.stamp, self.more) = (at, stamp, more);
            cells.prefetch_to_read(cells.after(at, AHEAD));
            if stamp.state == State::Full {
                return Turn::Ours;
            }
            freed += u64::from(stamp.units);
            self.pass();
            self.has_made_room = true;
            if freed > 4 * self.parts.cells.capacity() {
                break;
            }
        }
        self.without(Turn::Theirs)
    }

    /// The first word of the message's cells.
    #[inline(always)]
    pub(crate) fn payload(&self) -> NonNull<AtomicU64> {
        self.parts.cells.payload(self.at)
    }

    /// How many cells the message takes, at most as many as there are from its first one to the end of the ring; 0 if
    /// there is no message that has been claimed and not been passed on.
    #[inline(always)]
    pub(crate) fn units(&self) -> u16 {
        self.stamp.units
    }

    /// How often the message was returned by consumers that died with it, modulo 2^12.
    pub(crate) fn returned(&self) -> u16 {
        if self.stamp.state == State::Held { self.stamp.owner } else { 0 }
    }

    /// Frees the cells of the message, which has been read.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        let cells = &self.parts.cells;
        let free = Stamp::free(cells.next_lap(self.at)).word();
        for unit in (1..self.units()).rev() {
            // Relaxed: nobody acts on it before the first one is free (S3), whose Release comes after.
            cells.stamp(cells.after(self.at, unit)).store(free, Ordering::Relaxed);
        }
        // Release: the payload has been read; pairs with the Acquire in `Producer::first_taken`.
        cells.stamp(self.at).store(free, Ordering::Release);
        self.leave_behind(1);
    }

    /// How many messages are this consumer's own.
    pub(crate) fn messages(&self) -> u16 {
        u16::from(self.stamp.units != 0) + self.more
    }

    /// As [`pass`](Consumer::pass), for the first `count` messages of a cell each.
    pub(crate) fn pass_many(&mut self, count: u16) {
        if count <= self.more {
            // A repair expects what is left of a batch in one piece.
            return (0..count).for_each(|_| self.pass());
        }
        let cells = &self.parts.cells;
        let free = Stamp::free(cells.next_lap(self.at)).word();
        for unit in (0..count).rev() {
            // Release: as in `pass`.
            cells.stamp(cells.after(self.at, unit)).store(free, Ordering::Release);
        }
        self.leave_behind(count);
    }

    /// Goes on with the message after the next `count`.
    #[inline(always)]
    fn leave_behind(&mut self, count: u16) {
        if count <= self.more {
            self.at = self.parts.cells.after(self.at, count);
            self.more -= count;
        } else {
            self.stamp = Stamp::free(0);
            self.more = 0;
        }
    }

    /// Gives what is left unread back: it is delivered again, as after a death.
    pub(crate) fn put_back(&mut self) {
        let cells = &self.parts.cells;
        for unit in (1..=self.more).rev() {
            let returned = returned(self.stamp).word();
            // Release: as below. The record still says whose the others are.
            cells.stamp(cells.after(self.at, unit)).store(returned, Ordering::Release);
        }
        if self.more != 0 {
            // Before the first one: whoever sees that one dealt with looks no further.
            self.parts.tell_of_return();
        }
        self.more = 0;
        // From here on it is not certain any more that the position is this one's, as somebody else may take it.
        self.claimant.doubt(self.at);
        let returned = returned(self.stamp).word();
        // Release: nothing has been written; pairs with the Acquire in `Parts::stamps_from`, as every stamp's does.
        self.parts.cells.stamp(self.at).store(returned, Ordering::Release);
        self.parts.tell_of_return();
        self.claimant.give_up();
        self.stamp = Stamp::free(0);
    }

    /// Takes the first returned message, if one is to be found.
    #[cold]
    fn take_returned(&mut self) -> Option<Turn> {
        let parts = self.parts;
        // Acquire: pairs with the Release in `tell_of_return`. A message that is returned after this raises it again.
        let returns = parts.returns().load(Ordering::Acquire);
        let first = match parts.consumers.counter.load(&parts.cells) {
            Ok(head) => head,
            Err(evidence) => return Some(self.without(Turn::Broken(evidence))),
        };
        for (index, found) in parts.stamps_from(first) {
            let stamp = Stamp::from_word(found);
            if stamp.state != State::Returned {
                continue;
            }
            // It may have been claimed, by way of the head, after the search began.
            let head = match parts.consumers.counter.load(&parts.cells) {
                Ok(head) => head,
                Err(evidence) => return Some(self.without(Turn::Broken(evidence))),
            };
            let at = parts.cells.recent(index, stamp.lap, head);
            let Some(at) = at.filter(|&at| (1..=parts.cells.room(at)).contains(&u64::from(stamp.units))) else {
                let evidence = Evidence { slot: index as usize, found, expected: 0 };
                return Some(self.without(Turn::Broken(evidence)));
            };
            self.claimant.attempt(at, stamp.units);
            let held = Stamp { state: State::Held, ..stamp };
            // AcqRel: Release shows the record to whoever sees HELD, as for a claim of the counter; Acquire for the
            // payload. Relaxed on failure: somebody else has it.
            let swap = parts.cells.stamp(at).compare_exchange(found, held.word(), Ordering::AcqRel, Ordering::Relaxed);
            if swap.is_ok() {
                self.claimant.keep(at);
                (self.at, self.stamp) = (at, held);
                return Some(Turn::Ours);
            }
        }
        self.claimant.give_up();
        self.seen_returns = returns;
        None
    }

    /// Comes away without a claim.
    #[inline(always)]
    fn without(&mut self, turn: Turn) -> Turn {
        self.claimant.give_up();
        turn
    }
}

/// Whether a stamp at the head, whose lap is `lap`, is that of a cell whose message has yet to be committed: free, a hole
/// that is being closed, or still in use from the lap before.
#[inline(always)]
fn is_awaited(stamp: Stamp, lap: u64) -> bool {
    let is_open = matches!(stamp.state, State::Free | State::Lost) && stamp.lap == lap;
    is_open || stamp.is_of_lap_before(lap)
}

/// What the stamp of a message becomes when it is returned once more.
fn returned(stamp: Stamp) -> Stamp {
    let times = if stamp.state == State::Held { stamp.owner.wrapping_add(1) } else { 1 };
    Stamp { state: State::Returned, owner: times, ..stamp }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
