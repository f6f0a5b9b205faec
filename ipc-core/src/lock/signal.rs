//! What events and condition variables are: a state and a count of its changes, in one word.
//!
//! ```text
//! word:   changes << 1 | is set
//! ```
//!
//! Nobody who waits is counted, so nobody's death falsifies a count: whoever waits remembers the number of changes that it
//! came at, and whoever signals changes the number. All further is for the one who waits to see.

use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

const SET: u64 = 1;
const CHANGE: u64 = 2;

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Signal {
    word: NonNull<AtomicU64>,
}

// SAFETY: the pointer leads to an atomic, which any thread may use.
unsafe impl Send for Signal {}
// SAFETY: as for `Send`.
unsafe impl Sync for Signal {}

impl Signal {
    /// The signal in this word, which is zero at first.
    ///
    /// # Safety
    ///
    /// It leads to an atomic word that stays mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(word: NonNull<AtomicU64>) -> Self {
        Signal { word }
    }

    /// How often it has been signalled.
    #[inline(always)]
    pub(crate) fn changes(&self) -> u64 {
        self.load() >> 1
    }

    /// Whether it is set.
    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        self.load() & SET != 0
    }

    /// Counts a change, and leaves the state as it is.
    pub(crate) fn change(&self) {
        // AcqRel: publishes what is signalled; pairs with the Acquire in `load`, as does that of whoever signalled before.
        self.word().fetch_add(CHANGE, Ordering::AcqRel);
    }

    /// Sets it. One who was not let go takes it back by [`reset`](Self::reset), or nobody does.
    pub(crate) fn set(&self) {
        // AcqRel: as in `change`.
        self.word().fetch_or(SET, Ordering::AcqRel);
    }

    /// Resets it. Whether it was set; of several who ask at once, one is told so.
    pub(crate) fn reset(&self) -> bool {
        // AcqRel: what came before the setting is seen by the one that takes it back; pairs with the AcqRel in `set`.
        self.word().fetch_and(!SET, Ordering::AcqRel) & SET != 0
    }

    #[inline(always)]
    fn load(&self) -> u64 {
        // Acquire: whoever is let go sees what it was let go for; pairs with the AcqRel in `change` and `set`.
        self.word().load(Ordering::Acquire)
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.word.as_ref() }
    }
}
