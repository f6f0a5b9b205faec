//! Slots that a client had, to be tried before others are searched for: it has their lines in its cache.
//!
//! They are hints. Whoever takes one claims the slot all the same, so one that was lost, or is taken twice because threads got
//! in each other's way, costs a search and nothing else. That is why there is no read-modify-write in here.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Most hints that are kept.
const MAX_HINTS: usize = 1024;

/// A queue of hints. The slot that was freed first comes first: by then a server that had it is done with its lines.
pub(super) struct Spare {
    hints: Box<[AtomicU32]>,
    pushed: AtomicU32,
    popped: AtomicU32,
    has_searched: AtomicBool,
}

// Relaxed, everywhere in here: hints, see above.
impl Spare {
    /// For a table of so many slots.
    pub(super) fn new(slots: usize) -> Self {
        let hints = (0..slots.next_power_of_two().min(MAX_HINTS)).map(|_| AtomicU32::new(0)).collect();
        let (pushed, popped) = (AtomicU32::new(0), AtomicU32::new(0));
        Spare { hints, pushed, popped, has_searched: AtomicBool::new(false) }
    }

    /// The slot that [`pop`](Spare::pop) would return.
    #[inline(always)]
    pub(super) fn next(&self) -> Option<usize> {
        let popped = self.popped.load(Ordering::Relaxed); // Relaxed: a hint.
        let left = self.pushed.load(Ordering::Relaxed).wrapping_sub(popped); // Relaxed: a hint.
        let is_there = (1..=self.hints.len() as u32).contains(&left);
        is_there.then(|| self.hint(popped).load(Ordering::Relaxed) as usize) // Relaxed: a hint.
    }

    /// The next slot to try.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<usize> {
        let next = self.next();
        if next.is_some() {
            let popped = self.popped.load(Ordering::Relaxed); // Relaxed: a hint.
            self.popped.store(popped.wrapping_add(1), Ordering::Relaxed); // Relaxed: a hint.
        }
        next
    }

    /// Notes a slot that was freed.
    #[inline(always)]
    pub(super) fn push(&self, slot: usize) {
        let pushed = self.pushed.load(Ordering::Relaxed); // Relaxed: a hint.
        let left = pushed.wrapping_sub(self.popped.load(Ordering::Relaxed)); // Relaxed: a hint.
        if left as usize >= self.hints.len() {
            // Full, or the two counts have come apart: begin anew.
            self.popped.store(pushed, Ordering::Relaxed); // Relaxed: a hint.
        }
        self.hint(pushed).store(slot as u32, Ordering::Relaxed); // Relaxed: a hint.
        self.pushed.store(pushed.wrapping_add(1), Ordering::Relaxed); // Relaxed: a hint.
    }

    /// Whether nobody has asked before.
    pub(super) fn is_first_search(&self) -> bool {
        // Relaxed: a hint.
        !self.has_searched.swap(true, Ordering::Relaxed)
    }

    fn hint(&self, count: u32) -> &AtomicU32 {
        // A power of two, at least 1, so that the counts may wrap.
        &self.hints[count as usize & (self.hints.len() - 1)]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_first_comes_first() {
        let spare = Spare::new(5);
        assert_eq!(spare.pop(), None);
        (0..8).for_each(|slot| spare.push(slot));
        assert_eq!((spare.next(), spare.pop(), spare.pop()), (Some(0), Some(0), Some(1)));
        spare.push(8);
        assert_eq!((2..9).map(|_| spare.pop()).collect::<Vec<_>>(), (2..9).map(Some).collect::<Vec<_>>());
        assert_eq!(spare.pop(), None);
    }

    #[test]
    fn too_many_and_counts_that_came_apart_begin_anew() {
        let spare = Spare::new(1);
        (0..3).for_each(|slot| spare.push(slot));
        assert_eq!((spare.pop(), spare.pop()), (Some(2), None));
        spare.popped.store(7, Ordering::Relaxed); // Relaxed: one thread.
        assert_eq!(spare.pop(), None);
        spare.push(4);
        assert_eq!((spare.pop(), spare.pop()), (Some(4), None));
    }
}
