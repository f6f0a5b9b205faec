//! Those who empty a shared ring.

use super::*;

/// One of those who empty the ring.
pub(crate) struct Consumer {
    pub(super) parts: Parts,
    claimant: Claimant,
    /// The count of returns at which no cell held a returned message.
    seen_returns: u64,
    /// Where the message is that is this consumer's own, if there is one.
    pub(super) at: Position,
    /// Its stamp; free if there is none.
    stamp: Stamp,
    /// How many more messages are, in the cells behind it. Their stamps are the same.
    more: u16,
    /// How many messages a look takes at most.
    pub(super) wanted: u16,
    /// Whether cells of gaps were freed of which nobody has been told: see [`End::take_room_made`](crate::ring::End::take_room_made).
    pub(super) has_made_room: bool,
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

    /// See [`Claimant::may_claim`].
    pub(crate) fn may_claim(&self) -> bool {
        self.claimant.may_claim()
    }

    /// Claims the next message. `Ours`: it is this consumer's own until it [passes](Consumer::pass) it on or
    /// [puts it back](Consumer::put_back). `Theirs`: the ring is empty, or the next message has not been committed, or the
    /// only consumer before this one has yet to notice it.
    pub(crate) fn claim(&mut self) -> Turn {
        if self.try_one() { Turn::Ours } else { self.claim_between(1) }
    }

    /// Whether a message could be claimed. Not inlined, as [`Producer::claim_one`].
    #[inline(never)]
    pub(crate) fn claim_one(&mut self) -> bool {
        self.try_one() || self.claim_between(1) == Turn::Ours
    }

    /// One attempt to claim a message of one cell: see `Producer::try_one`.
    #[inline(always)]
    fn try_one(&mut self) -> bool {
        debug_assert!(self.units() == 0);
        // Relaxed: as in `claim_between`.
        if self.parts.returns().load(Ordering::Relaxed) != self.seen_returns {
            return false;
        }
        let cells = self.parts.cells;
        let full = |at| Stamp::new(State::Full, cells.lap(at), 1);
        // Acquire: as in `claim_between`.
        let is_full = |at| cells.stamp(at).load(Ordering::Acquire) == full(at).word();
        let Some(at) = self.claimant.claim_next(&cells, is_full) else { return false };
        (self.at, self.stamp) = (at, full(at));
        cells.prefetch_to_read(at, AHEAD);
        true
    }

    /// Where [`begin`](Consumer::begin) would take a cell, if this consumer is alone.
    #[inline(always)]
    pub(super) fn next_alone(&self) -> Option<Position> {
        self.claimant.next_alone().filter(|_| self.units() == 0)
    }

    /// Claims the next message, of one cell, if this consumer is alone and it is there. It is to be copied at once, and its cell
    /// then [freed](Consumer::complete). It says nothing if it does not.
    #[inline(always)]
    pub(crate) fn begin(&mut self) -> Option<Begun> {
        let at = self.next_alone()?;
        let cells = self.parts.cells;
        // Relaxed: as in `claim_between`.
        let has_returned = self.parts.returns().load(Ordering::Relaxed) != self.seen_returns;
        // Acquire: as in `claim_between`.
        let found = cells.stamp(at).load(Ordering::Acquire);
        let is_ready = !has_returned && found == Stamp::new(State::Full, cells.lap(at), 1).word();
        let next = if is_ready { self.claimant.claim_plainly(&cells, at)? } else { return None };
        self.claimant.step_alone(next);
        cells.prefetch_to_read(at, AHEAD);
        Some(Begun { payload: cells.payload(at), at, next })
    }

    /// Frees the cell of the message that was copied after [`begin`](Consumer::begin).
    #[inline(always)]
    pub(crate) fn complete(&mut self, begun: Begun) {
        let cells = &self.parts.cells;
        cells.take_lines(begun.at);
        // Release: as in `pass`.
        cells.stamp(begun.at).store(Stamp::free(cells.next_lap(begun.at)).word(), Ordering::Release);
    }

    /// As [`claim`](Consumer::claim), of 1 to `most` messages of a cell each: all that are there from the head on.
    pub(crate) fn claim_up_to(&mut self, most: u16) -> Turn {
        debug_assert!(self.parts.framing == Framing::PerCell);
        self.claim_between(most)
    }

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
                    cells.prefetch_to_read(at, 0);
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
            cells.prefetch_to_read(at, AHEAD);
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
        if self.units() > 1 {
            self.free_behind_first(free);
        }
        if self.more == 0 {
            cells.take_lines(self.at);
        }
        // Release: the payload has been read; pairs with the Acquire in `Producer::first_taken`.
        cells.stamp(self.at).store(free, Ordering::Release);
        self.leave_behind(1);
    }

    /// Frees all cells of the message but the first, by this stamp.
    #[inline(never)]
    fn free_behind_first(&self, free: u64) {
        let cells = &self.parts.cells;
        for unit in (1..self.units()).rev() {
            // Relaxed: nobody acts on it before the first one is free (S3), whose Release comes after.
            cells.stamp(cells.after(self.at, unit)).store(free, Ordering::Relaxed);
        }
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
            let at = cells.after(self.at, unit);
            cells.take_lines(at);
            // Release: as in `pass`.
            cells.stamp(at).store(free, Ordering::Release);
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
pub(super) fn returned(stamp: Stamp) -> Stamp {
    let times = if stamp.state == State::Held { stamp.owner.wrapping_add(1) } else { 1 };
    Stamp { state: State::Returned, owner: times, ..stamp }
}
