//! Atomic words for tests in which a participant dies: at any of its stores, the thread can be made to stop for good.
//!
//! A death between two loads leaves the same as one before the next store, so dying before each store in turn is dying
//! at every instruction, as far as the others can tell. And what they hold, and what is loaded from them, may be two
//! things: see `liar`. Others may act between two loads: see `rival`.

#![cfg_attr(slipring_hostile, allow(dead_code, reason = "only tests die"))]

#[cfg(not(loom))]
use super::liar;
use std::cell::Cell;
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;

#[cfg(slipring_tsan)]
use super::withheld as base;
#[cfg(not(any(loom, slipring_tsan)))]
use core::sync::atomic as base;
#[cfg(loom)]
use loom::sync::atomic as base;
#[cfg(loom)]
use loom::thread_local;

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's macro does not know it")]
    /// How many stores this thread has left to live.
    static LEFT: Cell<u32> = Cell::new(u32::MAX);
}

/// An atomic word that counts the stores of whoever uses it.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicU64(base::AtomicU64);

/// What a thread that has run out of stores unwinds with.
struct Death;

/// Runs `life`, which dies before its store number `stores` (from 0); `None` if it came to that.
pub(crate) fn die_after<T>(stores: u32, life: impl FnOnce() -> T) -> Option<T> {
    LEFT.with(|left| left.set(stores));
    let outcome = panic::catch_unwind(AssertUnwindSafe(life));
    LEFT.with(|left| left.set(u32::MAX));
    match outcome {
        Ok(value) => Some(value),
        Err(death) if death.is::<Death>() => None,
        Err(panic) => panic::resume_unwind(panic),
    }
}

/// Counts a store, or dies before it.
fn step() {
    #[cfg(all(test, not(loom)))]
    super::rival::tick(super::rival::Access::Store);
    let left = LEFT.with(Cell::get);
    if left == 0 {
        // Without the panic hook: this is no failure.
        panic::resume_unwind(Box::new(Death));
    }
    if left != u32::MAX {
        LEFT.with(|cell| cell.set(left - 1));
    }
}

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        AtomicU64(base::AtomicU64::new(value))
    }

    pub(crate) fn store(&self, value: u64, ordering: Ordering) {
        step();
        self.0.store(value, ordering);
    }

    #[cfg(not(loom))]
    pub(crate) fn load(&self, ordering: Ordering) -> u64 {
        #[cfg(test)]
        super::rival::tick(super::rival::Access::Load);
        liar::answer(self.0.load(ordering))
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        step();
        #[cfg(all(not(loom), not(slipring_tsan)))]
        liar::humour(&self.0, current);
        self.0.compare_exchange(current, new, success, failure).map_err(answered)
    }

    pub(crate) fn fetch_add(&self, value: u64, ordering: Ordering) -> u64 {
        step();
        self.0.fetch_add(value, ordering)
    }
}

/// What somebody is told who finds that in a word.
fn answered(found: u64) -> u64 {
    #[cfg(not(loom))]
    let found = liar::answer(found);
    found
}

/// What does not change the word is as it always is.
impl Deref for AtomicU64 {
    type Target = base::AtomicU64;

    fn deref(&self) -> &base::AtomicU64 {
        &self.0
    }
}
