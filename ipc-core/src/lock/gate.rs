//! The gate: one at a time, whoever dies.
//!
//! ```text
//! word:     0, or who is in: see `owner.rs`          in one line with
//!           | wanted                                 0, or 1: somebody has asked to be handed the gate
//! record:   | claim                                  0, or the participant: it asks to be handed the gate
//! ```
//!
//! A participant enters by one compare-and-swap of the free word, and leaves by one store. Whoever finds the gate taken may
//! find out that the one inside is dead, and takes its place by one compare-and-swap of the very word that names the dead.
//!
//! # Invariants
//!
//! M1. *At most one thread is inside.* The word names it. From outside, the word changes by a compare-and-swap of a word that
//!     names nobody, or somebody who has only been handed the gate, or somebody who is dead; so while a live thread is inside,
//!     nobody else changes it, which is why that thread leaves by a plain store. A word that names the dead changes once: the
//!     dead do not enter again, and the generation in the word keeps anybody else from being named like them.
//! M2. *A death inside is not overlooked.* Whoever takes the place of one that may have been changing the value, or frees the
//!     gate of it, sets MARKED in the same step, and everybody who enters carries MARKED along until somebody who is inside
//!     says that the value is right. A thread that dies, or panics, in between leaves CHANGING or MARKED.
//! M3. *Being handed the gate is no possession.* GRANTED names a participant, and it is inside only after its own
//!     compare-and-swap. So whoever waits may take the gate back from one that does not come, without asking whether that one
//!     lives: a participant that is stopped, or has stopped to wait, keeps nobody out, and loses nothing but its turn.
//! M4. *A participant that asks is inside before the gate has been passed on more often than there are lines* (see below).
//!
//! # Fairness
//!
//! Whoever comes along may enter a free gate before those who were woken for it: that is what makes a lock fast. A participant
//! that was woken in vain a few times asks: it writes itself into its record, and sets `wanted`. Whoever leaves looks at
//! `wanted`, and if it is set, does not free the gate, but hands it to the next participant that asks, going round the table
//! from the line after its own.
//!
//! *Proof of M4.* Consider the time from when `wanted` is visible to whoever is inside. As long as anybody asks, `wanted` is
//! set whenever somebody looks at it before leaving: who hands the gate on leaves it set; who has found nobody had cleared it
//! *before* it looked at the records, with a full fence between, and whoever asks writes the record before it sets `wanted`,
//! with a full fence between. If the look missed the record, the fence of the one who asks came second, and so did its setting
//! `wanted`. So the gate is not free, and nobody but those who ask gets in. Each is handed the gate by the one before,
//! going round, so a participant is passed over by every other line at most once. (Where the gate is taken back from a
//! participant that does not come, or from the dead, somebody who does not ask may get in. That happens once in the time
//! that such a one is waited for.) `wanted` is seen at the latest by the one who enters after those who had looked before it
//! was set have left, and there is one of those at most: it looks while it is inside.
//!
//! A participant that no longer wants the gate takes its request back by a compare-and-swap, as the one who hands on takes it.
//! If it comes too late, it has been handed the gate.

use super::lines::Lines;
use super::owner::{CHANGING, GRANTED, MARKED, Owner, Seen, requested};
use crate::atomics::{AtomicU64, fence};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// How often the word may change under the hands of one who tries to enter, before it is for later.
const ROUNDS: usize = 4;

/// What somebody wants inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Nothing that would be half done if it died.
    Pass = 0,
    /// To change the value.
    Change = CHANGING,
}

/// What came of trying to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The caller is inside.
    Inside {
        /// Whether somebody may have left the value half changed.
        is_marked: bool,
    },
    /// Somebody else is, or has been handed the gate.
    Taken(Seen),
}

/// How the gate was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Free. One of those who wait is to be woken.
    Free,
    /// Handed to one of those who wait, all of whom are to be woken.
    HandedOn,
}

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Gate {
    word: NonNull<AtomicU64>,
    wanted: NonNull<AtomicU64>,
    lines: Lines,
}

// SAFETY: both pointers lead to atomics, which any thread may use.
unsafe impl Send for Gate {}
// SAFETY: as for `Send`.
unsafe impl Sync for Gate {}

impl Gate {
    /// The gate in these two words, which belong into one line; zero at first.
    ///
    /// # Safety
    ///
    /// Both lead to atomic words that stay mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(word: NonNull<AtomicU64>, wanted: NonNull<AtomicU64>, lines: Lines) -> Self {
        Gate { word, wanted, lines }
    }

    /// Enters as `me`, if nobody is inside.
    #[inline(always)]
    pub(crate) fn try_enter(&self, me: Owner, purpose: Purpose) -> Entry {
        let mine = me.word() | purpose as u64;
        // Acquire: what was done inside before is seen; pairs with the Releases in `leave` and `hand_on`. Relaxed: if it fails,
        // nothing rests on it.
        match self.word().compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Entry::Inside { is_marked: false },
            Err(found) => self.try_enter_found(me, mine, Seen(found)),
        }
    }

    /// Enters a gate that is marked, or that this participant has been handed.
    #[cold]
    fn try_enter_found(&self, me: Owner, mine: u64, mut seen: Seen) -> Entry {
        for _ in 0..ROUNDS {
            let is_open = match seen.owner() {
                None => true,
                Some(owner) => seen.is_granted() && owner.participant() == me.participant(),
            };
            if !is_open {
                break;
            }
            // Acquire, Relaxed: as in `try_enter`.
            let swap =
                self.word().compare_exchange(seen.0, mine | seen.0 & MARKED, Ordering::Acquire, Ordering::Relaxed);
            match swap {
                Ok(_) => return Entry::Inside { is_marked: seen.is_marked() },
                Err(found) => seen = Seen(found),
            }
        }
        Entry::Taken(seen)
    }

    /// What the word says. Whoever finds nobody inside sees what was done there.
    pub(crate) fn look(&self) -> Seen {
        // Acquire: pairs with the Release in `leave`.
        Seen(self.word().load(Ordering::Acquire))
    }

    /// Says that `me`, who is inside, may be changing the value from now on.
    pub(crate) fn begin_change(&self, me: Owner, is_marked: bool) {
        // Release: whoever enters after this one's death sees nothing by it, but a plain store by the one inside is all that
        // M1 allows; it keeps what was published by the one before (Acquire in `try_enter`) published.
        self.word().store(me.word() | CHANGING | mark(is_marked), Ordering::Release);
    }

    /// Leaves as `me`, who is inside. With `is_marked`, the value may be half changed.
    #[inline(always)]
    pub(crate) fn leave(&self, me: Owner, is_marked: bool) -> Left {
        // Relaxed: when it is seen is discussed in the module's docs.
        if self.wanted().load(Ordering::Relaxed) != 0 {
            return self.hand_on(me, is_marked);
        }
        // Release: publishes what was done inside; pairs with the Acquires in `try_enter` and `look`. A plain store, by M1.
        self.word().store(mark(is_marked), Ordering::Release);
        Left::Free
    }

    /// Leaves as `me`, in favour of the next one who asks, if anybody does.
    #[cold]
    fn hand_on(&self, me: Owner, is_marked: bool) -> Left {
        // Relaxed: the fence orders it before the look at the records.
        self.wanted().store(0, Ordering::Relaxed);
        // SeqCst: `wanted` is cleared before the records are looked at, against the fence in `ask`.
        fence(Ordering::SeqCst);
        let lines = self.lines.in_use();
        let own = me.line();
        let heir = (1..=lines).find_map(|ahead| self.take_request((own + ahead) % lines));
        let Some(heir) = heir else {
            // Release: as in `leave`.
            self.word().store(mark(is_marked), Ordering::Release);
            return Left::Free;
        };
        // Relaxed: there may be others, who are looked for by the heir, and by nobody before it.
        self.wanted().store(1, Ordering::Relaxed);
        // Release: as in `leave`; the heir's Acquire is that of its own swap.
        self.word().store(heir.word() | GRANTED | mark(is_marked), Ordering::Release);
        Left::HandedOn
    }

    /// Takes the request of `line`, if there is one, so that it is answered once.
    fn take_request(&self, line: usize) -> Option<Owner> {
        let request = self.lines.claim(line);
        // Relaxed: the fence in `hand_on` orders it.
        let found = request.load(Ordering::Relaxed);
        let owner = requested(found, line)?;
        // Relaxed, both: the word itself is all there is to it, and one of the two who swap it away gets it.
        request.compare_exchange(found, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok().then_some(owner)
    }

    /// Asks to be handed the gate, as the participant of `me`.
    pub(crate) fn ask(&self, me: Owner) {
        // Relaxed: the fence orders it before `wanted`.
        self.lines.claim(me.line()).store(me.participant().word(), Ordering::Relaxed);
        // SeqCst: the record is there before `wanted` says so, against the fence in `hand_on`.
        fence(Ordering::SeqCst);
        // Relaxed: as above.
        self.wanted().store(1, Ordering::Relaxed);
    }

    /// Takes back what [`ask`](Gate::ask) did. `false` if the participant has been handed the gate, or is about to be.
    pub(crate) fn take_back(&self, me: Owner) -> bool {
        self.take_request(me.line()).is_some()
    }

    /// Enters in the place of the one whom `seen` names, who is dead, or has been handed the gate and does not come. `None` if
    /// the word has changed since; otherwise whether the value may be half changed.
    pub(crate) fn take_over(&self, seen: Seen, me: Owner, purpose: Purpose) -> Option<bool> {
        let is_marked = leaves_mark(seen);
        let mine = me.word() | purpose as u64 | mark(is_marked);
        // Acquire: as in `try_enter`; what the dead did comes before it was found dead. Relaxed: somebody else did it.
        let swap = self.word().compare_exchange(seen.0, mine, Ordering::Acquire, Ordering::Relaxed);
        swap.is_ok().then_some(is_marked)
    }

    /// Frees the gate of the participant `gone`, which is dead or leaves, if it is inside or has been handed it. Whether it was
    /// so.
    pub(crate) fn free_of(&self, line: usize, mut is_gone: impl FnMut(Owner) -> bool) -> bool {
        let seen = self.look();
        let is_its = seen.owner().is_some_and(|owner| owner.line() == line && is_gone(owner));
        // AcqRel: what the dead one did, which was found before, is published to whoever enters next, with the Acquire of
        // `try_enter`. Relaxed: somebody else did it.
        is_its
            && self
                .word()
                .compare_exchange(seen.0, mark(leaves_mark(seen)), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.word.as_ref() }
    }

    #[inline(always)]
    fn wanted(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.wanted.as_ref() }
    }
}

#[inline(always)]
fn mark(is_marked: bool) -> u64 {
    if is_marked { MARKED } else { 0 }
}

/// Whether one who is gone leaves the gate marked (M2).
fn leaves_mark(seen: Seen) -> bool {
    seen.is_marked() || seen.is_changing()
}

#[cfg(all(test, loom))]
mod loom_tests;
