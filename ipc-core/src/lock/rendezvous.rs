//! The rendezvous: a number of parties that wait for each other, phase after phase, and all learn of it if one of them dies.
//!
//! ```text
//! word:     phase (24 bits) | arrived (16) | is broken (1) | last broken by: line (15) | broken phases (8, the last one lowest)
//! record:   | claim    generation << 1 | 1: a member, the line's owner of this number
//! ```
//!
//! Whoever arrives counts itself, by one swap, and the last one ends the phase in the same step. Whoever finds a member dead
//! breaks the phase that is under way. A member's claim outlives it, until somebody resets the barrier or takes its line, so
//! that each death breaks one phase.
//!
//! # Invariants
//!
//! Z1. *A phase ends in one of two ways*, by one swap: the last party arrives, or somebody resets it after it was broken. Of
//!     which way it was the word keeps a note, for those who find only later that their phase is over. (For eight phases. Whoever
//!     comes later still, while others have taken its place eight times, is told that it was broken.)
//! Z2. *A broken phase stays broken until it is reset*: nobody arrives any more, and nobody leaves uncounted.
//! Z3. The number of those who have arrived need not be corrected for the dead: they break the phase that they have arrived in.

use super::lines::Lines;
use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// The most parties.
pub(crate) const MAX_PARTIES: u32 = u16::MAX as u32;

const PHASE_SHIFT: u32 = 40;
const ARRIVED_SHIFT: u32 = 24;
const BROKEN: u64 = 1 << 23;
const BREAKER_SHIFT: u32 = 8;
const BREAKER_MASK: u64 = (1 << 15) - 1;
const PHASE_MASK: u32 = (1 << 24) - 1;

/// Phases whose end the word remembers.
const HISTORY: u32 = 8;

/// How often the word may change under the hands of somebody before it is told to come back.
const ROUNDS: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    phase: u32,
    arrived: u16,
    is_broken: bool,
    /// The line of whoever broke this phase, or the last one that was broken.
    breaker: usize,
    /// Which phases before this one were broken.
    history: u8,
}

impl State {
    fn from_word(word: u64) -> Self {
        State {
            phase: (word >> PHASE_SHIFT) as u32,
            arrived: (word >> ARRIVED_SHIFT) as u16,
            is_broken: word & BROKEN != 0,
            breaker: (word >> BREAKER_SHIFT & BREAKER_MASK) as usize,
            history: word as u8,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.phase) << PHASE_SHIFT
            | u64::from(self.arrived) << ARRIVED_SHIFT
            | if self.is_broken { BROKEN } else { 0 }
            | (self.breaker as u64 & BREAKER_MASK) << BREAKER_SHIFT
            | u64::from(self.history)
    }

    /// The next phase.
    fn next(self) -> Self {
        let history = self.history << 1 | u8::from(self.is_broken);
        State { phase: (self.phase + 1) & PHASE_MASK, arrived: 0, is_broken: false, history, ..self }
    }
}

/// What came of arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The last one has arrived, and all may go on.
    Last,
    /// Others have yet to arrive in this phase.
    Waiting(u32),
    /// The phase is broken, by whoever was on this line.
    Broken(usize),
    /// The word has changed again and again. To be tried again.
    Overtaken,
}

/// How a phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is under way.
    Waiting,
    /// All have arrived.
    Passed,
    /// It is broken, or was and has been reset, by whoever was on this line.
    Broken(usize),
}

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Rendezvous {
    word: NonNull<AtomicU64>,
    lines: Lines,
    parties: u16,
}

// SAFETY: the pointer leads to an atomic, which any thread may use.
unsafe impl Send for Rendezvous {}
// SAFETY: as for `Send`.
unsafe impl Sync for Rendezvous {}

impl Rendezvous {
    /// The rendezvous of so many parties in this word, which is zero at first, for participants on these lines.
    ///
    /// # Safety
    ///
    /// It leads to an atomic word that stays mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(word: NonNull<AtomicU64>, lines: Lines, parties: u16) -> Self {
        Rendezvous { word, lines, parties }
    }

    /// How many parties there are.
    pub(crate) fn parties(&self) -> u16 {
        self.parties
    }

    /// Makes the participant on `line`, its owner number `generation`, a member, whose death breaks a phase.
    pub(crate) fn join(&self, line: usize, generation: u32) {
        // Release: before anything that the member does; pairs with the Acquire in `member`.
        self.lines.claim(line).store(u64::from(generation) << 1 | 1, Ordering::Release);
    }

    /// Makes the participant on `line`, which leaves, no member.
    pub(crate) fn leave(&self, line: usize) {
        // Release: what it did comes before; pairs with the Acquire in `member`.
        self.lines.claim(line).store(0, Ordering::Release);
    }

    /// The claim of the one on `line`, if it is a member, or was one when it died.
    pub(crate) fn member(&self, line: usize) -> Option<u64> {
        // Acquire: pairs with the Releases above.
        Some(self.lines.claim(line).load(Ordering::Acquire)).filter(|&claim| claim != 0)
    }

    /// Makes a dead member with this claim no member: its death has been dealt with.
    pub(crate) fn forget(&self, line: usize, claim: u64) {
        // AcqRel: as above. Relaxed: somebody else has done it, or somebody else has the line.
        let _ = self.lines.claim(line).compare_exchange(claim, 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Lines that have been used.
    pub(crate) fn lines(&self) -> usize {
        self.lines.in_use()
    }

    /// Arrives. Who is the last one has to wake the others.
    pub(crate) fn arrive(&self) -> Arrival {
        let mut outcome = Arrival::Overtaken;
        let swapped = self.swap(|state| {
            let is_last = state.arrived.saturating_add(1) >= self.parties;
            outcome = match (state.is_broken, is_last) {
                (true, _) => Arrival::Broken(state.breaker),
                (false, true) => Arrival::Last,
                (false, false) => Arrival::Waiting(state.phase),
            };
            match outcome {
                Arrival::Last => Some(state.next()),
                Arrival::Waiting(_) => Some(State { arrived: state.arrived + 1, ..state }),
                _ => None,
            }
        });
        if swapped || matches!(outcome, Arrival::Broken(_)) { outcome } else { Arrival::Overtaken }
    }

    /// Takes an arrival in `phase` back. `false` if that phase is over, or broken.
    pub(crate) fn withdraw(&self, phase: u32) -> bool {
        self.swap(|state| {
            let is_open = state.phase == phase && !state.is_broken && state.arrived > 0;
            is_open.then(|| State { arrived: state.arrived - 1, ..state })
        })
    }

    /// How `phase` stands, in which the caller has arrived.
    pub(crate) fn standing(&self, phase: u32) -> Standing {
        let state = self.load();
        let since = state.phase.wrapping_sub(phase) & PHASE_MASK;
        match since {
            0 if !state.is_broken => Standing::Waiting,
            1..=HISTORY if state.history >> (since - 1) & 1 == 0 => Standing::Passed,
            _ => Standing::Broken(state.breaker),
        }
    }

    /// Breaks the phase under way, for the death of the member on `line`. `false` if it is broken already.
    pub(crate) fn break_for(&self, line: usize) -> bool {
        self.swap(|state| (!state.is_broken).then_some(State { is_broken: true, breaker: line, ..state }))
    }

    /// Ends a broken phase. `false` if it is not broken.
    pub(crate) fn reset(&self) -> bool {
        self.swap(|state| state.is_broken.then(|| state.next()))
    }

    /// Whether the phase under way is broken.
    pub(crate) fn is_broken(&self) -> bool {
        self.load().is_broken
    }

    /// How many have arrived in the phase under way.
    pub(crate) fn arrived(&self) -> u16 {
        self.load().arrived
    }

    /// Changes the word, unless `change` refuses. Whether it did.
    fn swap(&self, mut change: impl FnMut(State) -> Option<State>) -> bool {
        let mut found = self.load();
        for _ in 0..ROUNDS {
            let Some(changed) = change(found) else { return false };
            // AcqRel: what each party did before it arrived is seen by all who go on; pairs with itself, and with the Acquire
            // in `load`. Acquire: as in `load`.
            let swap = self.word().compare_exchange(found.word(), changed.word(), Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => return true,
                Err(other) => found = State::from_word(other),
            }
        }
        false
    }

    fn load(&self) -> State {
        // Acquire: whoever finds the phase over sees what the others did before they arrived; pairs with the AcqRel in `swap`.
        State::from_word(self.word().load(Ordering::Acquire))
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.word.as_ref() }
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
