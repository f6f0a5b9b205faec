//! Those who fill a shared ring.

use super::*;

/// One of those who fill the ring.
pub(crate) struct Producer {
    pub(super) parts: Parts,
    claimant: Claimant,
    /// The first of the cells that are this producer's own, if any are.
    pub(super) at: Position,
    /// How many are; 0 if none.
    pub(super) units: u16,
    /// How many a look takes at most.
    pub(super) wanted: u16,
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

    /// See [`Claimant::may_claim`].
    pub(crate) fn may_claim(&self) -> bool {
        self.claimant.may_claim()
    }

    /// Claims the next `units` cells, at least 1 and at most the capacity. `Ours`: they are this producer's own until it
    /// [passes](Producer::pass) or [abandons](Producer::abandon) them. `Theirs`: the ring is full, or the only producer
    /// before this one has yet to notice it.
    pub(crate) fn claim(&mut self, units: u16) -> Turn {
        if units == 1 && self.try_one() { Turn::Ours } else { self.claim_between(units, units) }
    }

    /// Whether one cell could be claimed.
    ///
    /// It is not inlined, so that the code of an exclusive queue's sender, in which a match leads here, contains no locked
    /// instructions.
    #[inline(never)]
    pub(crate) fn claim_one(&mut self) -> bool {
        self.try_one() || self.claim_between(1, 1) == Turn::Ours
    }

    /// One attempt to claim one cell, in few instructions. It nearly always succeeds, and otherwise says nothing.
    #[inline(always)]
    fn try_one(&mut self) -> bool {
        debug_assert!(self.units == 0);
        let cells = self.parts.cells;
        // Acquire: as in `first_taken`.
        let is_free = |at| cells.stamp(at).load(Ordering::Acquire) == Stamp::free(cells.lap(at)).word();
        let Some(at) = self.claimant.claim_next(&cells, is_free) else { return false };
        (self.at, self.units) = (at, 1);
        cells.prefetch_to_write(at, AHEAD);
        true
    }

    /// Where [`begin`](Producer::begin) would take a cell, if this producer is alone.
    #[inline(always)]
    pub(super) fn next_alone(&self) -> Option<Position> {
        self.claimant.next_alone().filter(|_| self.units == 0)
    }

    /// Claims the next cell, if this producer is alone and the cell is free. The message is to be stored at once, and then
    /// [published](Producer::complete). `None` says nothing.
    #[inline(always)]
    pub(crate) fn begin(&mut self) -> Option<Begun> {
        let cells = self.parts.cells;
        let at = self.next_alone()?;
        // Acquire: as in `first_taken`.
        let is_free = cells.stamp(at).load(Ordering::Acquire) == Stamp::free(cells.lap(at)).word();
        let next = if is_free { self.claimant.claim_plainly(&cells, at)? } else { return None };
        cells.prefetch_to_write(at, AHEAD);
        Some(Begun { payload: cells.payload(at), at, next })
    }

    /// Publishes the message that was stored after [`begin`](Producer::begin).
    #[inline(always)]
    pub(crate) fn complete(&mut self, begun: Begun) {
        let cells = self.parts.cells;
        self.claimant.step_alone(begun.next);
        // Release: as in `commit`.
        cells.stamp(begun.at).store(Stamp::new(State::Full, cells.lap(begun.at), 1).word(), Ordering::Release);
    }

    /// Gives up the cell that was claimed by [`begin`](Producer::begin).
    pub(crate) fn relinquish(&mut self, begun: Begun) {
        self.claimant.step_alone(begun.next);
        (self.at, self.units) = (begun.at, 1);
        self.abandon();
    }

    /// As [`claim`](Producer::claim), of 1 to `most` cells in a row: all that are free from the tail on.
    pub(crate) fn claim_up_to(&mut self, most: u16) -> Turn {
        self.claim_between(1, most)
    }

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
            self.parts.cells.prefetch_to_write(at, AHEAD);
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
