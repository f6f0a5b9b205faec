//! Claiming a position in a ring, as one of several participants, so that anybody can tell who has claimed it.
//!
//! All participants of one role (the producers of a ring, say) share a *counter*, the position that is claimed next,
//! and each has a *record*, three words in a line of its own:
//!
//! ```text
//! counter:  | position |        in one line with
//!           | solo     |        0, or line + 1 of the only participant of the role
//! record:   | claim    |        0, or position << 2 | kind: 1 TRYING, 2 WON, 3 SOLO     written by its owner
//!           | units    |        how many cells the claim takes, from the position on     written by its owner
//!           | losses   |        messages lost on this line << 32 | generation of the last owner who lost one
//! ```
//!
//! To claim position p a participant writes TRYING p, moves the counter from p to the position after the claim by one
//! compare-and-swap, and writes WON p. The claim stays in the record until the next one; that a cell has been dealt with is
//! told by its stamp. A participant that comes away without a claim clears its record. One that wants another number of cells
//! than the last time clears it too, before it writes down how many.
//!
//! # Invariants
//!
//! C1. *The counter passes each position at most once, and only forward*, so a position is claimed by one participant.
//! C2. *From before the counter passes p until p is dealt with, the record of the one who claimed it names p*: it says
//!     where the claim begins, and `units` how far it goes. They are stored before the swap, and whoever sees the counter
//!     beyond p (Acquire) sees them (Release). The next store to the record is after the stamps of all its cells (Release),
//!     so whoever sees another claim (Acquire) sees that p has been dealt with. The units change only while the record
//!     claims nothing, so WON never stands beside those of another claim. The records of the dead are left as they are
//!     until their line is taken over.
//! C3. *A record names a position only if the counter has been there*: it is written by someone who loaded it.
//!
//! # Races
//!
//! A participant that loses a race for the counter to one on another processor stands back before it tries again. While it
//! does, the counter and the cells stay with the winner, which makes a run of claims at the price of one: a line that goes to
//! and fro at each claim would cost both of them the way each time. How long it stands back follows how often it has lost of
//! late: a chance meeting costs a moment, and those that meet all the time take turns of a hundred claims. Before it stands
//! back it looks whether there is anything to claim: a consumer that has lost the only message goes on waiting instead.
//!
//! # Alone in its role
//!
//! The participant whose line is in `solo` moves the counter by a plain store, since nobody else does:
//!
//! ```text
//! the only one                                  a newcomer
//! A1  claim := SOLO p                           B1  solo := 0
//! A2  (light fence)                             B2  (membarrier: the heavy fence)
//! A3  solo == mine?  no: claim as one of many   B3  no record says SOLO p while the counter is at p?
//! A4  position := after p                           otherwise look again later
//! A5  claim := WON p                            B4  claims as one of many
//! ```
//!
//! *Proof that there is never a store A4 while others swap.* The barrier B2 makes the only one's processor execute a
//! full fence at some point of its program. Let p be the last claim whose A1 comes before it. Those before p have been made, and
//! each one after p finds at A3 what B1 stored, and does not reach A4. B3 finds SOLO p in the record, or what was stored there
//! later. In the first case, A4 of p is done if the counter, which was at p before A1, is there no longer. What was stored later
//! was stored after A4, with Release, and B3 loads with Acquire. So the newcomer's first swap finds the counter moved. (If what
//! was stored later is SOLO q, with the counter at q, B3 waits until its owner has found what B1 stored, though it need not.)
//! The owner dies between A1 and A4: then there is no store A4 to come, and the record counts no longer; it is told apart by
//! its owner's life.
//!
//! A claim of one cell may leave A5 out ([`claim_plainly`](Claimant::claim_plainly)): that the counter is beyond p says as much. So
//! it costs two stores.
//!
//! A newcomer executes B2 whether `solo` was set or not, since another newcomer may have died between B1 and B2. Joining
//! and leaving are serialised by a lock of the caller's, claiming is not.

use super::cells::{Cells, Position};
use super::exclusive::Evidence;
use crate::atomics::{AtomicU64, light_fence};
use core::hint;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

mod records;
mod repair;

pub(crate) use records::Records;
use records::{Record, parse};
pub(super) use repair::{Corpse, Line, Owner};

/// What a claim says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The counter may have been moved, by this participant or by another one.
    Trying = 1,
    /// This participant has moved the counter.
    Won = 2,
    /// The only participant of its role moves the counter, or has moved it.
    Solo = 3,
}

/// Whether the owner of a line may still act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It may, however long it has been silent.
    Live,
    /// It never will. Everything it did happened before this was found out.
    Dead {
        /// Which of the owners of this line it was. They are numbered from 1, and grow.
        generation: u32,
    },
    /// There is no owner, or it has left: the record means nothing.
    Absent,
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Nothing that the dead participant left stands in anybody's way, and its line can be taken over.
    Resolved,
    /// It depends on what a live participant is about to do. To be tried again.
    Pending,
    /// The shared words are none that the algorithm can have left there.
    Broken(Evidence),
}

/// Whether a participant that joins has others of its role beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// Nobody else of this role lives, and whoever joins later will execute a barrier first (see
    /// [`Counter::announce`]). Not to be used where the asymmetric barrier is not to be had.
    Alone,
    /// There are others, or there may be.
    Others,
}

/// What is in the cells of one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One message, which takes all of them, and whose state the stamp of the first one tells.
    Whole,
    /// A message in each, with a stamp of its own, which is there as soon as it has one.
    PerCell,
    /// A message in each, with a stamp of its own. The stamp of the first is the last that their owner stores, and if it dies
    /// before, none is there.
    Together,
}

/// The counter of a role.
#[derive(Clone, Copy)]
pub(crate) struct Counter {
    position: NonNull<AtomicU64>,
    solo: NonNull<AtomicU64>,
}

// SAFETY: both pointers lead to atomics, which any thread may use.
unsafe impl Send for Counter {}
// SAFETY: as for `Send`.
unsafe impl Sync for Counter {}

impl Counter {
    /// The counter in these two words, which belong into one line.
    ///
    /// # Safety
    ///
    /// Both lead to atomic words that stay mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(position: NonNull<AtomicU64>, solo: NonNull<AtomicU64>) -> Self {
        Counter { position, solo }
    }

    /// Tells the only one of the role, if there is one, that it is that no longer (B1). To be called by whoever joins
    /// with [`Company::Others`], who executes the heavy barrier (`membarrier`) afterwards, before its first claim, and
    /// does both under the lock that serialises joining.
    pub(crate) fn announce(&self) {
        // Relaxed: the barrier that follows orders it (see the module's proof).
        self.solo().store(0, Ordering::Relaxed);
    }

    /// The position that is claimed next. `Err` if the word is no position.
    #[inline(always)]
    pub(crate) fn load(&self, cells: &Cells) -> Result<Position, Evidence> {
        // Acquire: whoever sees the counter beyond p sees the record of the one who claimed p (C2); pairs with the
        // Release of the swap and the store in `Claimant::claim`.
        let found = self.position().load(Ordering::Acquire);
        cells.position(found).ok_or(Evidence { slot: 0, found, expected: 0 })
    }

    #[inline(always)]
    fn position(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.position.as_ref() }
    }

    #[inline(always)]
    fn solo(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.solo.as_ref() }
    }
}

/// The shared words of a role.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    pub(crate) counter: Counter,
    pub(crate) records: Records,
}

/// How a participant claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// As the only one, whose counter is at this position.
    Solo(Position),
    /// As one of several, when it is known that no other one claims as the only one. Not yet known.
    Joining,
    /// As one of several.
    Shared,
}

/// A participant, as far as claiming is concerned.
pub(crate) struct Claimant {
    role: Role,
    line: usize,
    /// The words of its record.
    record: Record,
    mode: Mode,
    /// Where the counter was when this participant joined. As long as it is alone, all claims from there on are its own.
    since: Option<Position>,
    /// What the record's `units` holds.
    units: u16,
    /// Whether the record names a position that may not be this participant's own.
    is_trying: bool,
    /// Whether the last attempt was lost to somebody else.
    has_lost: bool,
    /// For how many pauses it stands back after the next race that it loses, times [`WINS_PER_PAUSE`].
    restraint: u16,
}

/// Pauses for which a participant stands back that has not lost a race of late; each loss doubles them and adds as many.
const PAUSES_MIN: u16 = 8;

/// The most pauses for which a participant stands back: 4 to 12 us, as processors differ.
const PAUSES_MAX: u16 = 256;

/// How many claims in a row it takes to stand back for one pause less.
const WINS_PER_PAUSE: u16 = 8;

impl Claimant {
    /// Joins on `line`, under the lock that serialises joining. The line has had no owner yet, or its last one has left
    /// properly, or was found [`Repair::Resolved`] after others had begun to find the line alive. With [`Company::Others`], [`Counter::announce`] and the barrier come before.
    pub(crate) fn attach(role: Role, cells: &Cells, line: usize, company: Company) -> Self {
        // Release: whoever sees that the last owner's claim has gone sees how it was resolved (C2); pairs with
        // `Records::load_claim`.
        role.records.claim(line).store(0, Ordering::Release);
        // Relaxed: published with the next claim.
        role.records.units(line).store(0, Ordering::Relaxed);
        let since = role.counter.load(cells).ok();
        let mode = match (company, since) {
            (Company::Alone, Some(at)) => {
                // Relaxed: only its owner acts on the value, and who joins later overwrites it under the same lock.
                role.counter.solo().store(line as u64 + 1, Ordering::Relaxed);
                Mode::Solo(at)
            }
            _ => Mode::Joining,
        };
        let record = role.records.record(line);
        Claimant { role, line, record, mode, since, units: 0, is_trying: false, has_lost: false, restraint: 0 }
    }

    /// Clears the record. To be called on leaving, when nothing that was claimed is left undone.
    pub(crate) fn detach(&mut self) {
        self.is_trying = true;
        self.give_up();
    }

    /// The line of this participant.
    #[allow(dead_code, reason = "for rings that look at their own record")]
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The role that it has.
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn role(&self) -> &Role {
        &self.role
    }

    /// Whether this participant was found to be [settled](Claimant::is_settled).
    #[inline(always)]
    pub(crate) fn may_claim(&self) -> bool {
        self.mode != Mode::Joining
    }

    /// Whether this participant may claim (B3). Once it may, that stays so. Until then claiming is for the other one.
    #[inline(always)]
    pub(crate) fn is_settled(&mut self) -> bool {
        self.may_claim() || self.settle(|_| Life::Live)
    }

    /// The same, when it is known who lives: a dead participant that was the only one stands in nobody's way.
    #[cold]
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        let Role { records, counter } = &self.role;
        // Acquire: if the counter is beyond the claim, it was moved before whatever its owner does next (B3); pairs with the
        // Release of A4.
        let is_at = |at| counter.position().load(Ordering::Acquire) == at;
        let is_solo = |line| matches!(records.load_claim(line), Some((at, Kind::Solo)) if is_at(at));
        // The life is asked for last, so that it is the claimant's or that of a successor, who is not alone.
        let is_in_the_way = |line| line != self.line && is_solo(line) && life(line) == Life::Live;
        let is_clear = !(0..records.lines()).any(is_in_the_way);
        if self.mode == Mode::Joining && is_clear {
            self.mode = Mode::Shared;
        }
        self.may_claim()
    }

    /// The position that comes next, as far as this participant knows. `Err` if the counter holds none.
    #[inline(always)]
    pub(crate) fn position(&self, cells: &Cells) -> Result<Position, Evidence> {
        match self.mode {
            Mode::Solo(at) => Ok(at),
            _ => self.role.counter.load(cells),
        }
    }

    /// Whether this participant has claimed what lies a lap before `at`, a position that [`position`](Claimant::position)
    /// gave: it has been alone for so long. Should it turn out not to be, the [`claim`](Claimant::claim) fails.
    #[inline(always)]
    pub(crate) fn has_come_round(&self, cells: &Cells, at: Position) -> bool {
        let is_alone = matches!(self.mode, Mode::Solo(_));
        is_alone && self.since.is_some_and(|since| since.ahead(at) >= cells.one_lap() as i64)
    }

    /// Whether the counter is no longer at `at`, a position that [`position`](Claimant::position) gave. Then claiming is
    /// to be tried again.
    pub(crate) fn has_moved(&mut self, at: Position) -> bool {
        // Acquire: as in `Counter::load`, which comes next.
        let has_moved = self.role.counter.position().load(Ordering::Acquire) != at.word();
        if has_moved && matches!(self.mode, Mode::Solo(_)) {
            // Somebody else moved it, so this one is no longer the only one.
            self.mode = Mode::Shared;
        }
        has_moved
    }

    /// Claims the `units` cells from `at` to `next`. If it does not succeed, the counter has moved, or may have: the
    /// caller loads the position again, or [gives up](Claimant::give_up). To be called only when
    /// [settled](Claimant::is_settled).
    #[inline(always)]
    pub(crate) fn claim(&mut self, at: Position, next: Position, units: u16) -> bool {
        self.note_units(units);
        if let Mode::Solo(_) = self.mode {
            return self.claim_alone(at, next);
        }
        if self.has_lost {
            self.stand_back();
            return false;
        }
        self.claim_as_one_of_many(at, next)
    }

    #[inline(always)]
    fn claim_as_one_of_many(&mut self, at: Position, next: Position) -> bool {
        self.write(at, Kind::Trying);
        let position = self.role.counter.position();
        // Release: shows the record to whoever sees the counter beyond `at` (C2), and all that was seen before; pairs with
        // the Acquire in `Counter::load`, which has also seen the claim before this one. Relaxed on failure: it is loaded
        // again.
        let swap = position.compare_exchange(at.word(), next.word(), Ordering::Release, Ordering::Relaxed);
        if swap.is_err() {
            self.is_trying = true;
            self.has_lost = true;
            return false;
        }
        self.restraint = self.restraint.saturating_sub(1);
        self.keep(at);
        true
    }

    /// One attempt to claim the next cell, if `is_ready` says that it can be had. It takes fewer instructions than what it is
    /// short for, which is left for whatever is not common: [`is_settled`](Claimant::is_settled),
    /// [`position`](Claimant::position), and [`claim`](Claimant::claim).
    #[inline(always)]
    pub(crate) fn claim_next(&mut self, cells: &Cells, is_ready: impl FnOnce(Position) -> bool) -> Option<Position> {
        if self.has_lost || self.units != 1 {
            return None;
        }
        match self.mode {
            Mode::Shared => {
                let at = self.role.counter.load(cells).ok()?;
                let is_ours = is_ready(at) && self.claim_as_one_of_many(at, cells.after(at, 1));
                is_ours.then_some(at)
            }
            Mode::Solo(at) => {
                let is_ours = is_ready(at) && self.claim_alone(at, cells.after(at, 1));
                is_ours.then_some(at)
            }
            Mode::Joining => None,
        }
    }

    #[inline(always)]
    fn note_units(&mut self, units: u16) {
        if self.units != units {
            if self.units != 0 {
                // Release: as in `write`. A record that said WON with the units of another claim would claim too much.
                self.record.claim().store(0, Ordering::Release);
            }
            // Relaxed: read only when the owner has died, which happened after.
            self.record.units().store(u64::from(units), Ordering::Relaxed);
            self.units = units;
        }
    }

    /// Leaves the counter to those who have won the last race.
    #[cold]
    fn stand_back(&mut self) {
        self.has_lost = false;
        self.restraint = (self.restraint * 2 + PAUSES_MIN * WINS_PER_PAUSE).min(PAUSES_MAX * WINS_PER_PAUSE);
        (0..self.restraint / WINS_PER_PAUSE).for_each(|_| hint::spin_loop());
    }

    /// A1 to A5.
    #[inline(always)]
    fn claim_alone(&mut self, at: Position, next: Position) -> bool {
        if !self.begin_alone(at) {
            return false;
        }
        self.advance(next);
        self.mode = Mode::Solo(next);
        self.keep(at);
        true
    }

    /// Where the next claim will be, of one that is alone and whose claims are of one cell.
    #[inline(always)]
    pub(crate) fn next_alone(&self) -> Option<Position> {
        match self.mode {
            Mode::Solo(at) if self.units == 1 => Some(at),
            _ => None,
        }
    }

    /// A1 to A4, for the cell at [`next_alone`](Claimant::next_alone). If it succeeds, it says what comes next, and
    /// [`step_alone`](Claimant::step_alone) has to come before anything else is claimed. If not, nothing is claimed, and this
    /// participant has others beside it from here on.
    #[inline(always)]
    pub(crate) fn claim_plainly(&mut self, cells: &Cells, at: Position) -> Option<Position> {
        if !self.begin_alone(at) {
            self.give_up();
            return None;
        }
        let next = cells.after(at, 1);
        self.advance(next);
        Some(next)
    }

    /// Steps over the cell that was claimed by [`claim_plainly`](Claimant::claim_plainly), which said that `next` comes then. (What
    /// a sender keeps for itself it stores as late as that, and only this: such stores wait behind those to the lines of the
    /// cell.)
    #[inline(always)]
    pub(crate) fn step_alone(&mut self, next: Position) {
        if let Mode::Solo(at) = &mut self.mode {
            *at = next;
        }
    }

    /// A1 to A3.
    #[inline(always)]
    fn begin_alone(&mut self, at: Position) -> bool {
        self.write(at, Kind::Solo);
        light_fence();
        // Relaxed: the proof in the module's docs needs the load's place, which the fence pins, and no more.
        let is_alone = self.role.counter.solo().load(Ordering::Relaxed) == self.line as u64 + 1;
        if !is_alone {
            self.is_trying = true;
            self.mode = Mode::Shared;
        }
        is_alone
    }

    /// A4.
    #[inline(always)]
    fn advance(&self, next: Position) {
        // Release: as in `claim_as_one_of_many`.
        self.role.counter.position().store(next.word(), Ordering::Release);
    }

    /// Notes the attempt to take the `units` cells at `at` by other means than the counter.
    pub(crate) fn attempt(&mut self, at: Position, units: u16) {
        self.note_units(units);
        self.is_trying = true;
        self.write(at, Kind::Trying);
    }

    /// Notes that what lies at `at` may be somebody else's from here on, if that is where the claim begins.
    pub(crate) fn doubt(&mut self, at: Position) {
        // Relaxed: nobody else stores to it.
        let claim = parse(self.record.claim().load(Ordering::Relaxed));
        if claim.is_some_and(|(claimed, _)| claimed == at.word()) {
            self.is_trying = true;
            self.write(at, Kind::Trying);
        }
    }

    /// Notes that `at` is this participant's own.
    #[inline(always)]
    pub(crate) fn keep(&mut self, at: Position) {
        self.is_trying = false;
        self.write(at, Kind::Won);
    }

    /// Clears a claim that has come to nothing, so that it keeps nobody from resolving what is at its position.
    #[inline(always)]
    pub(crate) fn give_up(&mut self) {
        self.has_lost = false;
        if self.is_trying {
            self.is_trying = false;
            // Release: as in `write`.
            self.record.claim().store(0, Ordering::Release);
        }
    }

    #[inline(always)]
    fn write(&self, at: Position, kind: Kind) {
        // Release: whoever sees this claim sees that the one before has been dealt with, and with WON that the counter
        // has moved; pairs with the Acquire in `Records::load_claim` (C2).
        self.record.claim().store(at.word() << 2 | kind as u64, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::records::RECORD_WORDS;
    use super::*;
    use core::array;

    /// Two of one role that have company, over words of their own.
    fn two_claimants(words: &[AtomicU64; 8], cells: &Cells) -> [Claimant; 2] {
        // SAFETY: the words outlive the claimants in each test.
        let counter = unsafe { Counter::new(NonNull::from(&words[0]), NonNull::from(&words[1])) };
        // SAFETY: two records of three words, which outlive the claimants as well.
        let records = unsafe { Records::new(NonNull::from(&words[2]), RECORD_WORDS, 2) };
        let role = Role { counter, records };
        [0, 1].map(|line| {
            let mut claimant = Claimant::attach(role, cells, line, Company::Others);
            assert!(claimant.is_settled());
            claimant
        })
    }

    #[test]
    fn who_loses_a_race_leaves_the_counter_alone_once_and_less_and_less_often() {
        let stamps: [AtomicU64; 4] = array::from_fn(|_| AtomicU64::new(0));
        // SAFETY: four cells of one word each, which outlive the cells.
        let cells = unsafe { Cells::with_stamps_inside(NonNull::from(&stamps[0]), 1, 4) };
        let words: [AtomicU64; 8] = array::from_fn(|_| AtomicU64::new(0));
        let [mut winner, mut loser] = two_claimants(&words, &cells);
        let mut restraint = 0;
        for _ in 0..8 {
            let at = loser.position(&cells).expect("it is a position");
            assert!(winner.claim(at, cells.after(at, 1), 1));
            assert!(!loser.claim(at, cells.after(at, 1), 1), "the counter has moved");
            let at = loser.position(&cells).expect("it is a position");
            assert!(!loser.claim(at, cells.after(at, 1), 1), "it stands back");
            assert_eq!(loser.position(&cells), Ok(at));
            assert!(loser.restraint > restraint || loser.restraint == PAUSES_MAX * WINS_PER_PAUSE);
            restraint = loser.restraint;
            assert!(loser.claim(at, cells.after(at, 1), 1), "once");
        }
        assert_eq!((loser.restraint, winner.restraint), (PAUSES_MAX * WINS_PER_PAUSE - 1, 0));
    }

    #[test]
    fn who_loses_the_only_message_does_not_stand_back_for_the_next_one() {
        let stamps: [AtomicU64; 4] = array::from_fn(|_| AtomicU64::new(0));
        // SAFETY: as above.
        let cells = unsafe { Cells::with_stamps_inside(NonNull::from(&stamps[0]), 1, 4) };
        let words: [AtomicU64; 8] = array::from_fn(|_| AtomicU64::new(0));
        let [mut winner, mut loser] = two_claimants(&words, &cells);
        let at = Position::default();
        assert!(winner.claim(at, cells.after(at, 1), 1));
        assert!(!loser.claim(at, cells.after(at, 1), 1));
        loser.give_up();
        let at = cells.after(at, 1);
        assert!(loser.claim(at, cells.after(at, 1), 1));
        assert_eq!(loser.restraint, 0);
    }
}
