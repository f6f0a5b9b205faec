//! Taking up what the dead have left in a shared ring.
//!
//! Holes of producers are closed as `claims` says. For consumers, whose claim a position is, is decided in the same way,
//! with the head for a message that is FULL or a gap, and with the stamp's HELD, which comes after the record, for one
//! that had been returned before. The stamp tells how many units there are, so which of several dead ones was the owner does
//! not matter. Their records need not agree on the units: who attempts a returned message stores none. If the owner is
//! dead, the stamp is swapped:
//!
//! ```text
//! redeliver:  FULL or HELD --> RETURNED, and `returns` is raised
//! drop:       FULL or HELD --> DROPPED, naming a line; the loss is counted there; the cells are freed
//! a gap:      SKIP, whose cells are freed
//! ```
//!
//! - Stamps do not come back (see `cells`), so a swap that succeeds finds the state in which the owner was decided. The
//!   owner is then still the owner, since only it or a repairer could have changed the stamp.
//! - A repairer that dies between RETURNED and raising `returns` leaves the dead one's record, so whoever looks at that
//!   line next raises it. It may be raised too often, which costs the consumers a search.
//! - The cells are freed from the last to the first as by a consumer (S3), each by a swap: from free in this lap to free
//!   in the next one, which is possible only while the message is there, and the first one last.
//! - The loss is counted as in `claims`: DROPPED names one line, whose dead owner has one claim, and the line is not taken
//!   over before the steps are finished, for the same reason.

use super::super::claims::{Cargo, Line, Owner};
use super::*;

/// Rounds in which the words changed under a repairer before it leaves them to the others.
const MAX_ROUNDS: usize = 8;

impl Parts {
    /// Resolves what the dead producer on `line` has left. To be called by whoever waits, for the lines of the dead, and
    /// by whoever takes a line over, before it attaches.
    pub(crate) fn repair_producer(&self, line: usize, life: impl Fn(usize) -> Life) -> Repair {
        let is_open = |stamp, lap| stamp == Stamp::free(lap);
        self.producers.repair_producer(&self.cells, line, life, is_open, Cargo::One)
    }

    /// Resolves what the dead consumer on `line` has left, in the same way.
    pub(crate) fn repair_consumer(&self, line: usize, life: impl Fn(usize) -> Life, orphans: Orphans) -> Repair {
        let records = &self.consumers.records;
        let corpse = match records.examine(line, &life) {
            Line::Absent | Line::Clear => return Repair::Resolved,
            Line::Live(_) => return Repair::Pending,
            Line::Dead(corpse) => corpse,
        };
        let Some(at) = self.cells.position(corpse.at) else { return Repair::Resolved };
        for _ in 0..MAX_ROUNDS {
            match self.consumers.is_claimed(&self.cells, at) {
                Ok(true) => {}
                // It did not win, or it did so long ago.
                Ok(false) => return Repair::Resolved,
                Err(evidence) => return Repair::Broken(evidence),
            }
            // Acquire: pairs with the Release of whoever stamped it; HELD comes with the record of the one who holds it.
            let found = self.cells.stamp(at).load(Ordering::Acquire);
            let stamp = Stamp::from_word(found);
            if stamp.lap != self.cells.lap(at) {
                return Repair::Resolved;
            }
            match stamp.state {
                State::Full | State::Held | State::Skip => {}
                State::Returned => {
                    self.tell_of_return();
                    return Repair::Resolved;
                }
                State::Dropped => {
                    let finish = |generation| self.drop_orphan(at, stamp, generation);
                    return records.with_named(stamp, at, &life, finish);
                }
                _ => return Repair::Resolved,
            }
            if !(1..=self.cells.room(at)).contains(&u64::from(stamp.units)) {
                return Repair::Broken(self.evidence(at, found, State::Full));
            }
            match records.holder(at, &life) {
                Owner::Living => return Repair::Resolved,
                Owner::Unclear => return Repair::Pending,
                // Its owner has passed it on meanwhile, and the stamp says so, or the words are wild.
                Owner::Nobody => continue,
                Owner::Dead(_) => {}
            }
            let is_done = match (stamp.state, orphans) {
                (State::Skip, _) => {
                    self.free(at, stamp);
                    true
                }
                (_, Orphans::Redeliver) => self.return_orphan(at, stamp),
                (_, Orphans::Drop) => {
                    let dropped = Stamp { state: State::Dropped, owner: line as u16, ..stamp };
                    let is_ours = self.swap(at, stamp, dropped);
                    if is_ours {
                        self.drop_orphan(at, dropped, corpse.generation);
                    }
                    is_ours
                }
            };
            if is_done {
                return Repair::Resolved;
            }
        }
        Repair::Pending
    }

    /// Gives a message to the consumers again.
    fn return_orphan(&self, at: Position, stamp: Stamp) -> bool {
        let is_ours = self.swap(at, stamp, returned(stamp));
        if is_ours {
            self.tell_of_return();
        }
        is_ours
    }

    /// Counts the loss that `dropped` names, and frees the cells.
    fn drop_orphan(&self, at: Position, dropped: Stamp, generation: u32) {
        self.consumers.records.count_losses(usize::from(dropped.owner), generation, 1);
        self.free(at, dropped);
    }

    /// Frees the cells of what lies at `at` with this stamp, unless somebody else does.
    fn free(&self, at: Position, stamp: Stamp) {
        let next_lap = Stamp::free(self.cells.next_lap(at));
        for unit in (1..stamp.units).rev() {
            // If it fails, another repairer or the dead one itself has done it.
            self.swap(self.cells.after(at, unit), Stamp::free(stamp.lap), next_lap);
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
