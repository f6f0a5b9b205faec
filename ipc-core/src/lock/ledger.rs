//! The ledger: a number of permits, and who has how many of them.
//!
//! ```text
//! word:     permits that are free (20 bits) | line + 1 (13) | number (24)      the last change, and who made it
//! record:   | claim    number (24) | held before (20) | held after (20)        what its owner is about to change
//!           | units    number of the last change that is known to have happened
//! ```
//!
//! To change what it holds, a participant writes down the change: its number, how many permits it holds before it, and how
//! many after. Then it swaps the word for one that has the free permits after the change, and the change's name: its own line
//! and the number. That swap is the change. Whoever wants to make the next one first *settles* this one: it notes in the
//! owner's record that the change of this number has happened. So the word may forget it.
//!
//! # Invariants
//!
//! G1. *A change happens as a whole, by one swap*: the free permits and what the participant holds change together. What it
//!     holds is, by definition, *held after* if the change in its record has happened, and *held before* if not; and it has
//!     happened if the word names it or `units` is its number. Before the swap neither is so; after it the word names it, until
//!     it is settled.
//! G2. *The word has a value once.* It names a change, and a participant's changes have numbers that rise by one for each that
//!     happened (it tries again with the same one). A successor on the line goes on with the numbers, since `units` stays. So
//!     a swap of a word that was read fails if anything has happened since. (The numbers come round after 2^24 changes of one
//!     participant within one such moment of another one.)
//! G3. *`units` rises by one at a time.* Settling is a swap from the number that was read while the word named the next one,
//!     as a second look at the word shows, in which case it is the one before.
//!
//! # The dead
//!
//! Anybody may give back what a dead participant holds: by a change of *its*, to nothing, with the next number. To write it
//! down is a swap of the very claim that was read, and the change is a swap of the very word that was read before `units` and
//! `claim` were.
//!
//! *Proof that it is given back once.* Say two do so, A and B, and A's swap of the word succeeds. B read the word either before
//! that, and then B's swap fails, by G2; or afterwards, and then it read A's change or a later one, and settled it or saw
//! it settled (whoever made a later one had settled it before, Release to Acquire), so `units` is the number of A's change, and
//! what the dead one holds is nothing. If a repairer dies, the next one finds its change written down and not made, which is
//! *held before*, or made.
//!
//! The claim is read before `units`, which is therefore the number of the claim or the one before it, or else the claim has
//! changed since, and its swap fails. (The other way round, a participant that makes two steps in between and dies would have
//! its second intent taken for its first one, and be robbed of what it holds.)
//!
//! *Proof that no living participant loses anything by it.* The repairer asks whether the one on the line is dead after it has
//! read all three words. If it is taken over after that, its successor has given back what was held before, or found nothing to
//! give back; in the first case the word has changed, and the swap fails. In the second case there was nothing for the repairer
//! either. The swap of the claim fails likewise: a successor's record is zero, or has a greater number.

use super::lines::Lines;
use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// The most permits.
pub(crate) const MAX_PERMITS: u32 = (1 << 20) - 1;

const PERMITS_BITS: u32 = 20;
const LINE_BITS: u32 = 13;
const NUMBER_MASK: u64 = (1 << 24) - 1;

/// How often the word may change under the hands of somebody before it is told to come back. Each time, somebody else has
/// made a change.
const ROUNDS: usize = 1000;

/// What the word says: what is free, and which change was made last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    free: u32,
    /// `None` if none has been made.
    line: Option<usize>,
    number: u64,
}

impl State {
    fn from_word(word: u64) -> Self {
        let line = (word >> PERMITS_BITS & ((1 << LINE_BITS) - 1)) as usize;
        let free = (word & u64::from(MAX_PERMITS)) as u32;
        State { free, line: line.checked_sub(1), number: word >> (PERMITS_BITS + LINE_BITS) & NUMBER_MASK }
    }

    fn word(self) -> u64 {
        let line = self.line.map_or(0, |line| line as u64 + 1);
        u64::from(self.free) | line << PERMITS_BITS | self.number << (PERMITS_BITS + LINE_BITS)
    }
}

/// What a record says that its owner is about to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Intent {
    number: u64,
    before: u32,
    after: u32,
}

impl Intent {
    fn from_word(word: u64) -> Self {
        let permits = |word: u64| (word & u64::from(MAX_PERMITS)) as u32;
        Intent { number: word >> (2 * PERMITS_BITS), before: permits(word >> PERMITS_BITS), after: permits(word) }
    }

    fn word(self) -> u64 {
        self.number << (2 * PERMITS_BITS) | u64::from(self.before) << PERMITS_BITS | u64::from(self.after)
    }
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<E> {
    /// It has been made.
    Made,
    /// It is not possible now.
    Refused(E),
    /// Others have made so many changes meanwhile that it was given up. To be tried again.
    Overtaken,
}

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Ledger {
    word: NonNull<AtomicU64>,
    lines: Lines,
}

// SAFETY: the pointer leads to an atomic, which any thread may use.
unsafe impl Send for Ledger {}
// SAFETY: as for `Send`.
unsafe impl Sync for Ledger {}

impl Ledger {
    /// The ledger in this word, for participants on these lines.
    ///
    /// # Safety
    ///
    /// It leads to an atomic word that stays mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(word: NonNull<AtomicU64>, lines: Lines) -> Self {
        Ledger { word, lines }
    }

    /// Begins with so many free permits; before anybody else knows of the ledger.
    pub(crate) fn init(&self, free: u32) {
        // Relaxed: published with the segment's name.
        self.word().store(State { free, line: None, number: 0 }.word(), Ordering::Relaxed);
    }

    /// Permits that are free.
    pub(crate) fn free(&self) -> u32 {
        // Acquire: whoever finds a permit sees what was done before it was given back; pairs with the AcqRel of that swap.
        State::from_word(self.word().load(Ordering::Acquire)).free
    }

    /// Permits that the participant on `line` holds, as far as it can be seen: for figures, and for the participant itself.
    pub(crate) fn held(&self, line: usize) -> u32 {
        let word = self.word().load(Ordering::Acquire);
        // Acquire, all: G1; pairs with the Releases of the changes. It may change between the loads.
        let (known, claim) =
            (self.lines.units(line).load(Ordering::Acquire), self.lines.claim(line).load(Ordering::Acquire));
        let (state, intent) = (State::from_word(word), Intent::from_word(claim));
        let is_named = state.line == Some(line) && state.number == intent.number;
        if is_named || known == intent.number { intent.after } else { intent.before }
    }

    /// Changes what the participant on `line` holds, by its own process, in which one thread does so at a time. `change` gets
    /// what is free and what is held, and returns what both are to be.
    pub(crate) fn change<E>(&self, line: usize, change: impl Fn(u32, u32) -> Result<(u32, u32), E>) -> Change<E> {
        for _ in 0..ROUNDS {
            let state = self.settled();
            // Relaxed: its own changes are settled, and nobody else changes it while it lives.
            let known = self.lines.units(line).load(Ordering::Relaxed);
            // Relaxed: as above.
            let claim = Intent::from_word(self.lines.claim(line).load(Ordering::Relaxed));
            let held = if claim.number == known { claim.after } else { claim.before };
            let (free, after) = match change(state.free, held) {
                Ok(changed) => changed,
                Err(error) => return Change::Refused(error),
            };
            let number = (known + 1) & NUMBER_MASK;
            // Release: whoever finds it made sees it; pairs with the Acquire in `give_back`.
            self.lines.claim(line).store(Intent { number, before: held, after }.word(), Ordering::Release);
            if self.make(state, State { free, line: Some(line), number }) {
                return Change::Made;
            }
        }
        Change::Overtaken
    }

    /// Gives back what the participant on `line` holds, which is dead or about to leave. `is_gone` is asked whether it is still
    /// so. Returns how many permits that were.
    pub(crate) fn give_back(&self, line: usize, is_gone: impl Fn() -> bool) -> u32 {
        for _ in 0..ROUNDS {
            let state = self.settled();
            // Acquire: what was settled before it was written is seen below; pairs with the Release in `change`, and the AcqRel of
            // another repairer below.
            let claim = self.lines.claim(line).load(Ordering::Acquire);
            // Acquire: as the proof needs it; pairs with the AcqRel in `settle`.
            let known = self.lines.units(line).load(Ordering::Acquire);
            let intent = Intent::from_word(claim);
            let held = if intent.number == known { intent.after } else { intent.before };
            if held == 0 || !is_gone() {
                return 0;
            }
            let number = (known + 1) & NUMBER_MASK;
            let returned = Intent { number, before: held, after: 0 }.word();
            let word = self.lines.claim(line);
            // AcqRel: as above. Relaxed: another repairer did it, and the next round sees how.
            let swap = || word.compare_exchange(claim, returned, Ordering::AcqRel, Ordering::Relaxed);
            let is_written = claim == returned || swap().is_ok();
            let free = (state.free + held).min(MAX_PERMITS);
            if is_written && self.make(state, State { free, line: Some(line), number }) {
                return held;
            }
        }
        0
    }

    /// Whether there is anything to give back, or to settle, on `line`.
    pub(crate) fn is_open(&self, line: usize) -> bool {
        self.held(line) != 0
    }

    /// Lines that have been used.
    pub(crate) fn lines(&self) -> usize {
        self.lines.in_use()
    }

    /// Makes a change, and settles it.
    fn make(&self, from: State, to: State) -> bool {
        // AcqRel: Release publishes what was done before a permit was given back, and that the change before has been settled;
        // Acquire for whoever gets the permit. Pairs with itself and with the Acquires of the loads. Relaxed: the next round
        // looks anew.
        let swap = self.word().compare_exchange(from.word(), to.word(), Ordering::AcqRel, Ordering::Relaxed);
        if swap.is_ok() {
            self.settle(to);
        }
        swap.is_ok()
    }

    /// What the word says, when the change that it names has been settled.
    fn settled(&self) -> State {
        // Acquire: pairs with the AcqRel in `make`.
        let state = State::from_word(self.word().load(Ordering::Acquire));
        self.settle(state);
        state
    }

    /// Notes that the change that `state` names has happened, before the word may forget it.
    fn settle(&self, state: State) {
        let Some(line) = state.line.filter(|&line| line < self.lines.all()) else { return };
        let units = self.lines.units(line);
        // Acquire: pairs with the AcqRel below.
        let known = units.load(Ordering::Acquire);
        // Acquire: the look at `units` comes before this one, by which G3 is had.
        if known != state.number && self.word().load(Ordering::Acquire) == state.word() {
            // AcqRel: whoever makes the next change publishes it with that; pairs with the Acquires of the loads. Relaxed: it
            // fails if somebody else has done it.
            let _ = units.compare_exchange(known, state.number, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.word.as_ref() }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
