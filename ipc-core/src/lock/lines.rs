//! The lines of the participant table, as far as locks are concerned: a record of three words each, and how many of them have
//! ever been used.

use crate::atomics::AtomicU64;
use crate::ring::claims::Records;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// The records of all participants. What their words mean is the affair of each lock.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    records: Records,
    /// Lines that have ever been used.
    top: NonNull<AtomicU64>,
}

// SAFETY: `top` leads to an atomic, which any thread may use.
unsafe impl Send for Lines {}
// SAFETY: as for `Send`.
unsafe impl Sync for Lines {}

impl Lines {
    /// These records, of which the first `top` have been used.
    ///
    /// # Safety
    ///
    /// `top` leads to an atomic word that stays mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn new(records: Records, top: NonNull<AtomicU64>) -> Self {
        Lines { records, top }
    }

    /// Notes that `line` is used from now on. To be called by whoever joins on it, before anything else, under the lock that
    /// serialises joining.
    pub(crate) fn use_line(&self, line: usize) {
        let top = self.top().load(Ordering::Relaxed);
        if top <= line as u64 {
            // Relaxed, both: only those who join write it, one after the other. Whoever has to see it looks behind a fence
            // that pairs with one of this participant's.
            self.top().store(line as u64 + 1, Ordering::Relaxed);
        }
    }

    /// How many lines have been used: no participant has one beyond.
    pub(crate) fn in_use(&self) -> usize {
        // Relaxed: as in `use_line`.
        (self.top().load(Ordering::Relaxed) as usize).min(self.records.lines())
    }

    /// Lines that there are.
    pub(crate) fn all(&self) -> usize {
        self.records.lines()
    }

    /// The first word of a line's record. It is zero when somebody joins on the line.
    pub(crate) fn claim(&self, line: usize) -> &AtomicU64 {
        self.records.claim(line)
    }

    /// The second word of a line's record, which keeps its value from owner to owner.
    pub(crate) fn units(&self, line: usize) -> &AtomicU64 {
        self.records.units(line)
    }

    fn top(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.top.as_ref() }
    }
}
