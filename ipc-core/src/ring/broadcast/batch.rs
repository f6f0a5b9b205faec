//! Several cells at once: a publisher that claims them together, and a subscriber that passes them together.
//!
//! A publisher may claim the n cells from p on, all of one lap, by one step of the counter. Its record says p and, in
//! its `units`, n. Each cell gets a message of its own, or is given up, and has its own stamp. The stamps are stored
//! from the last cell to the first.
//!
//! B7. *For everybody else a batch is as n claims by n publishers.* All n cells are done with for the lap before (P1),
//!     and none is kept by a cursor, before the counter passes the first; the horizon is beyond the last before the
//!     first word is stored (P3, P4); and each stamp is stored after its payload (P6). So B1 to B6 hold for each cell,
//!     and none of them asks who has claimed the next one. In a lossy ring n is at most the margin, by which the
//!     horizon is moved anyway.
//! B8. *Until p is dealt with, the record names p and tells n*, as C2 says of any claim, *and once p is dealt with, so
//!     are the other cells*, since p's stamp is stored last. So those who find no record that names p, or p dealt
//!     with, need not ask for the others.
//! B9. *A batch whose publisher dies is published as a whole or not at all.* It is dead before p's stamp, or after all
//!     of them. Before, p becomes LOST; repairers put SKIP (units 1) in the place of what the others have, a stamp of
//!     the lap before, FULL, or SKIP of what was given up; they count n losses, and put SKIP in the place of LOST.
//!     Until then no publisher claims p for the next lap (P1), nor what comes after it, so that whatever is found
//!     there of this lap or the one before is the dead publisher's affair. A repairer that is late finds another
//!     stamp, as no word comes back.
//!
//! A subscriber that begins in the middle of a batch, with its history or after it was overtaken, may receive what
//! comes there before those who come to p see anything; of a batch that is lost then as well. Each message is whole.
//!
//! To look at n cells takes longer than to look at one, and a publisher that looks is too late if another one claims
//! meanwhile. So one that has lost a round looks only at what it has not seen: a cell that was done with stays so until it is
//! claimed. In every round it looks at half as many new ones, so that in the end a batch is claimed as easily as a single cell.
//!
//! A lossless subscriber may read the messages from its cursor on where they are (B5), and pass all of them by one
//! store.

use super::*;

/// What a publisher that wants several cells has found out in the rounds that it has lost.
#[derive(Default)]
struct Outlook {
    /// Cells before it that nobody has claimed are done with for the lap before.
    done: Option<Position>,
    rounds: u32,
}

impl Publisher {
    /// As [`claim`](Publisher::claim), for as many cells in a row as can be claimed at once, at most `max`, and one at
    /// least.
    pub(crate) fn claim_many(&mut self, max: usize, counted: impl Fn(usize) -> Option<u32>) -> Turn {
        let max = u16::try_from(max).unwrap_or(u16::MAX).max(1);
        if self.at.is_some() {
            self.shrink(max);
            return Turn::Ours;
        }
        let (mut units, mut outlook) = (1, Outlook::default());
        let turn = self.reserve(&counted, |publisher, at| {
            units = publisher.reach(at, max, &mut outlook, &counted);
            outlook.rounds += 1;
            units
        });
        match turn {
            Turn::Ours => {
                self.rest = units - 1;
                self.open(units - 1);
            }
            _ => self.claimant.give_up(),
        }
        turn
    }

    /// How many cells are claimed.
    pub(crate) fn claimed(&self) -> usize {
        self.at.map_or(0, |_| usize::from(self.rest) + 1)
    }

    /// The payload `ahead` cells after the first one that is claimed.
    pub(crate) fn payload_ahead(&self, ahead: usize) -> Option<NonNull<AtomicU64>> {
        debug_assert!(ahead < self.claimed());
        self.at.map(|at| self.parts.payload_ahead(at, ahead))
    }

    /// Publishes the messages in the first `count` cells that are claimed, at least one, and gives the others up.
    pub(crate) fn pass_many(&mut self, count: usize) {
        self.shrink(u16::try_from(count).unwrap_or(u16::MAX).max(1));
        self.finish_rest(1, State::Full, 1);
        self.pass();
    }

    /// Gives up all cells but the first `count`.
    #[inline(always)]
    pub(super) fn shrink(&mut self, count: u16) {
        if self.rest >= count {
            self.finish_rest(count, State::Skip, 0);
        }
    }

    /// P6 for the cells from the last one that is claimed to the one `first` after the first.
    pub(super) fn finish_rest(&mut self, first: u16, state: State, units: u16) {
        let (Some(at), cells) = (self.at, self.parts.cells) else { return };
        let stamp = Stamp::new(state, cells.lap(at), units).word();
        while self.rest >= first {
            // Release (P6): publishes the payload; pairs with the Acquire in `Parts::see` and in `reserve`.
            cells.stamp(cells.after(at, self.rest)).store(stamp, Ordering::Release);
            self.rest -= 1;
        }
    }

    /// How many of the cells from `at` on, which may be claimed, may be claimed together, at most `max`.
    fn reach(&mut self, at: Position, max: u16, outlook: &mut Outlook, counted: impl Fn(usize) -> Option<u32>) -> u16 {
        let cells = self.parts.cells;
        let wanted = u64::from(max).min(cells.room(at));
        let reach = match self.parts.guard {
            Guard::Lossy(horizon) => wanted.min(u64::from(horizon.margin)),
            Guard::Lossless(gate) => {
                // A scan takes as long as many looks.
                if outlook.rounds == 0 && self.room(at) < wanted {
                    self.scan(&gate, at, counted);
                }
                wanted.min(self.room(at))
            }
        };
        if matches!(self.parts.guard, Guard::Lossy(_)) && self.claimant.has_come_round(&cells, at) {
            return reach as u16;
        }
        // One is free, as the caller has found, though a newcomer's preliminary cursor may hide it from the last scan.
        let reach = (reach as u16).max(1);
        let known = outlook.done.map_or(1, |done| at.ahead(done).clamp(1, i64::from(reach)) as u16);
        let end = reach.min(known.saturating_add(max.checked_shr(outlook.rounds).unwrap_or(0)));
        let units = (known..end).find(|&ahead| !self.is_done(cells.after(at, ahead))).unwrap_or(end);
        outlook.done = Some(cells.after(at, units));
        units
    }

    /// How many cells from `at` on may be claimed for all that is known of the subscribers, the gaps between laps
    /// included.
    fn room(&self, at: Position) -> u64 {
        let one_lap = self.parts.cells.one_lap();
        self.floor.map_or(0, |floor| (one_lap as i64 - floor.ahead(at)).max(0) as u64)
    }
}

impl Parts {
    /// Whether there is a message `ahead` cells after `at`.
    #[inline(always)]
    pub(super) fn has_message_ahead(&self, at: Position, ahead: usize) -> bool {
        self.has_message(self.cells.forward(at, ahead as u64))
    }

    /// The payload of the cell `ahead` cells after `at`.
    #[inline(always)]
    pub(super) fn payload_ahead(&self, at: Position, ahead: usize) -> NonNull<AtomicU64> {
        self.cells.payload(self.cells.forward(at, ahead as u64))
    }

    /// How many cells from `at` on are those of a dead publisher, which has claimed them and will never be done with
    /// them. The caller has seen the counter beyond `at`.
    ///
    /// The records are looked at after the counter, and the stamp of the first cell of a claim after the record. So if
    /// a dead publisher's record names that cell (`claims`), and the stamp is still none of this lap, then nobody has
    /// dealt with the claim, and nobody will but to close the hole (B9).
    ///
    /// If it is LOST, the records may have told too few cells: of several dead candidates `claims` takes the one whose claim
    /// ends where the counter has been, and takes a withdrawn cell inside the claim for evidence of that. But its SKIP (Release)
    /// comes after LOST, so whoever has seen the one (Acquire) finds the other in this look, and LOST tells the cells itself:
    /// the swap to it settles who the owner was. It does so as well where the records are of no help any more.
    pub(super) fn left_by_dead(&self, at: Position, life: impl Fn(usize) -> Life) -> Option<u16> {
        let Parts { cells, publishers, .. } = self;
        let left = |first: Position| {
            let behind = u16::try_from(first.ahead(at)).ok().filter(|_| cells.lap(first) == cells.lap(at))?;
            let by_records = publishers.left_by_dead(cells, first, &life);
            let (Seen::Coming, found) = self.see(first) else { return None };
            let units = match Stamp::from_word(found) {
                // A wild stamp does not lead out of the ring.
                Stamp { state: State::Lost, lap, units, .. } if lap == cells.lap(first) => {
                    u64::from(units).min(cells.room(first)) as u16
                }
                _ => by_records?,
            };
            (units > behind).then(|| units - behind)
        };
        // Most claims are of one cell, which the record names.
        left(at).or_else(|| publishers.records.positions().filter_map(|word| cells.position(word)).find_map(left))
    }
}
