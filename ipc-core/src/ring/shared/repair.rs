//! Taking up what the dead have left in a shared ring.
//!
//! Holes of producers are closed as `claims` says. For consumers, whose claim a position is, is decided in the same way,
//! with the head for messages that are FULL or a gap, and with the stamp's HELD, which comes after the record, for one that
//! had been returned before. If the owner is dead, the stamp is swapped, in a batch that of the first message that is left:
//!
//! ```text
//! redeliver:  FULL or HELD --> RETURNED, and `returns` is raised
//!             several FULL --> ORPHANED, telling how many; from the last to the second FULL --> RETURNED; `returns` is
//!                              raised; ORPHANED --> RETURNED; `returns` is raised
//! drop:       FULL or HELD --> DROPPED, naming a line and telling how many; the losses are counted there; the cells are freed
//! a gap:      SKIP, whose cells are freed
//! ```
//!
//! - Stamps do not come back (see `cells`), so a swap that succeeds finds the state in which the owner was decided. The
//!   owner is then still the owner, since only it or a repairer could have changed the stamp.
//! - A repairer that dies between RETURNED and raising `returns` leaves the dead one's record, so whoever looks at that
//!   line next raises it. It may be raised too often, which costs the consumers a search. It is raised before ORPHANED goes,
//!   since a record that says TRYING names no other cell: who looks at that line finds nothing once somebody has taken the
//!   first message.
//! - One that has put back all of a batch but the first message says TRYING again, and may have stamped the cells after it. So
//!   the number of cells that `claims` finds may be too small; but one message is left, and any number will do.
//! - How many messages ORPHANED and DROPPED are for is settled by the swap (S5, `claims`). If the dead one had begun to put
//!   them back, those that are RETURNED or HELD already come after the others, and are no part of that.
//! - A consumer that searches meanwhile may take the second before the first. Returned messages come before all others, and in
//!   their order if nobody searches while they are being returned.
//! - The cells are freed from the last to the first as by a consumer (S3), each by a swap: from free in this lap to free
//!   in the next one, which is possible only while the message is there, and the first one last.
//! - The loss is counted as in `claims`: DROPPED names one line, whose dead owner has one claim, and the line is not taken
//!   over before the steps are finished, for the same reason.

use super::super::claims::{Corpse, Line, Owner};
use super::consumer::returned;
use super::*;

/// Rounds in which the words changed under a repairer before it leaves them to the others.
const MAX_ROUNDS: usize = 8;

impl Parts {
    /// Resolves what the dead producer on `line` has left. To be called by whoever waits, for the lines of the dead, and
    /// by whoever takes a line over, before it attaches.
    pub(crate) fn repair_producer(&self, line: usize, life: impl Fn(usize) -> Life) -> Repair {
        let is_open = |stamp, lap| stamp == Stamp::free(lap);
        self.producers.repair_producer(&self.cells, line, self.framing, life, is_open)
    }

    /// Resolves what the dead consumer on `line` has left, in the same way.
    pub(crate) fn repair_consumer(&self, line: usize, life: impl Fn(usize) -> Life, orphans: Orphans) -> Repair {
        let records = &self.consumers.records;
        let corpse = match records.examine(line, &life) {
            Line::Absent | Line::Clear => return Repair::Resolved,
            Line::Live(_) => return Repair::Pending,
            Line::Dead(corpse) => corpse,
        };
        let Some(first) = self.cells.position(corpse.at) else { return Repair::Resolved };
        let reach = corpse.reach(&self.cells, first, self.framing);
        for _ in 0..MAX_ROUNDS {
            // Once the last cell has been claimed again, all have.
            match self.consumers.is_claimed(&self.cells, self.cells.after(first, reach - 1)) {
                Ok(true) => {}
                // It did not win, or it did so long ago.
                Ok(false) => return Repair::Resolved,
                Err(evidence) => return Repair::Broken(evidence),
            }
            let Some((at, found)) = self.first_left(first, reach) else { return Repair::Resolved };
            let stamp = Stamp::from_word(found);
            if !(1..=self.cells.room(at)).contains(&u64::from(stamp.units)) {
                return Repair::Broken(self.evidence(at, found, State::Full));
            }
            let is_done = match stamp.state {
                State::Dropped => {
                    let finish = |generation| self.drop_orphan(at, stamp, generation);
                    let outcome = records.with_named(stamp, at, &life, finish);
                    if outcome != Repair::Resolved {
                        return outcome;
                    }
                    true
                }
                State::Orphaned => self.return_orphans(at, stamp),
                _ => {
                    let owner = match stamp.state {
                        State::Held => records.holder(at, &life),
                        _ => self.consumers.owner(&self.cells, first, &life, is_taken_up),
                    };
                    match owner {
                        Owner::Living => return Repair::Resolved,
                        Owner::Unclear => return Repair::Pending,
                        // Its owner has passed it on meanwhile, and the stamp says so, or the words are wild.
                        Owner::Nobody => continue,
                        Owner::Dead(owner) => {
                            let end = self.cells.after(first, owner.units);
                            self.take_up(at, stamp, end, &corpse, orphans)
                        }
                    }
                }
            };
            if is_done {
                if reach > 1 {
                    // The dead one may have been putting its messages back, and have told nobody.
                    self.tell_of_return();
                }
                return Repair::Resolved;
            }
        }
        Repair::Pending
    }

    /// The first of `reach` cells from `first` on that a dead consumer may have left as it claimed it, or of which it is
    /// known that it has, and its stamp.
    fn first_left(&self, first: Position, reach: u16) -> Option<(Position, u64)> {
        for unit in 0..reach {
            let at = self.cells.after(first, unit);
            // Acquire: pairs with the Release of whoever stamped it; HELD comes with the record of the one who holds it.
            let found = self.cells.stamp(at).load(Ordering::Acquire);
            let stamp = Stamp::from_word(found);
            match stamp.state {
                _ if stamp.lap != self.cells.lap(at) => {}
                State::Full | State::Skip | State::Dropped | State::Orphaned => return Some((at, found)),
                // Others hold it if it is not the first: it was taken as one message.
                State::Held if unit == 0 => return Some((at, found)),
                // Perhaps nobody was told.
                State::Returned => self.tell_of_return(),
                _ => {}
            }
        }
        None
    }

    /// Takes up what begins at `at`, which belongs to a dead one whose claim ends at `end`. False if somebody else has.
    fn take_up(&self, at: Position, stamp: Stamp, end: Position, corpse: &Corpse, orphans: Orphans) -> bool {
        if stamp.state == State::Skip {
            self.free(at, stamp);
            return true;
        }
        let units = match (self.framing, stamp.state) {
            (Framing::PerCell, State::Full) => {
                let most = self.cells.cells_between(at, end).clamp(1, self.cells.room(at));
                self.count_like(at, stamp.word(), most as u16)
            }
            _ => stamp.units,
        };
        match orphans {
            Orphans::Redeliver if units == stamp.units => {
                let is_ours = self.swap(at, stamp, returned(stamp));
                if is_ours {
                    self.tell_of_return();
                }
                is_ours
            }
            Orphans::Redeliver => {
                let orphaned = Stamp { state: State::Orphaned, units, ..stamp };
                self.swap(at, stamp, orphaned) && self.return_orphans(at, orphaned)
            }
            Orphans::Drop => {
                let dropped = Stamp { state: State::Dropped, owner: corpse.line as u16, units, ..stamp };
                let is_ours = self.swap(at, stamp, dropped);
                if is_ours {
                    self.drop_orphan(at, dropped, corpse.generation);
                }
                is_ours
            }
        }
    }

    /// Gives the messages that `orphaned` names to the consumers again. True: nobody else need do it.
    fn return_orphans(&self, at: Position, orphaned: Stamp) -> bool {
        let full = Stamp::new(State::Full, orphaned.lap, 1);
        for unit in (1..orphaned.units).rev() {
            // If it fails, another repairer has done it.
            self.swap(self.cells.after(at, unit), full, returned(full));
        }
        // Before the first one: whoever sees that one dealt with looks no further.
        self.tell_of_return();
        let is_ours = self.swap(at, orphaned, returned(full));
        if is_ours {
            self.tell_of_return();
        }
        is_ours
    }

    /// Counts the loss that `dropped` names, and frees the cells.
    fn drop_orphan(&self, at: Position, dropped: Stamp, generation: u32) {
        self.consumers.records.count_losses(
            usize::from(dropped.owner),
            generation,
            self.framing.messages_in(dropped.units),
        );
        self.free(at, dropped);
    }

    /// Frees the cells of what lies at `at` with this stamp, unless somebody else does.
    fn free(&self, at: Position, stamp: Stamp) {
        let next_lap = Stamp::free(self.cells.next_lap(at));
        for unit in (1..stamp.units).rev() {
            let cell = self.cells.after(at, unit);
            // Acquire: as for the swap, which fails if another repairer or the dead one itself has done it.
            let found = Stamp::from_word(self.cells.stamp(cell).load(Ordering::Acquire));
            if found.lap == stamp.lap {
                self.swap(cell, found, next_lap);
            }
        }
        self.swap(at, stamp, next_lap);
    }

    fn swap(&self, at: Position, from: Stamp, to: Stamp) -> bool {
        // AcqRel: Release for whoever goes on from here, be it a repairer, a consumer or the next producer; Acquire for
        // what the one before did. Relaxed on failure: the stamp is loaded again.
        let swap = self.cells.stamp(at).compare_exchange(from.word(), to.word(), Ordering::AcqRel, Ordering::Relaxed);
        swap.is_ok()
    }
}

/// Whether somebody has dealt with a cell that a consumer had claimed.
fn is_taken_up(state: State) -> bool {
    matches!(state, State::Orphaned | State::Returned | State::Held | State::Dropped)
}
