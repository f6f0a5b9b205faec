//! Atomics whose Release can be withheld: the race that ThreadSanitizer has to find.
//!
//! They are the real ones, until the environment has `SLIPRING_WITHHOLD_RELEASE`. Then every store and every
//! read-modify-write that would publish what was written before it publishes nothing. A threaded test that has such a
//! program pass without a report watches nothing either, and `ci/tsan.sh` refuses it.

use core::ops::Deref;
use core::sync::atomic::{self, Ordering};
use std::sync::LazyLock;

/// Whether the seeded race is asked for.
static IS_WITHHELD: LazyLock<bool> = LazyLock::new(|| std::env::var_os("SLIPRING_WITHHOLD_RELEASE").is_some());

/// A word that does all that the real one does.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

#[allow(dead_code, reason = "the rings decide which of the operations that publish they use")]
impl AtomicU64 {
    /// As for the real one.
    pub(crate) const fn new(value: u64) -> Self {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    /// As for the real one, but for what it publishes.
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        let order = if *IS_WITHHELD { Ordering::Relaxed } else { order };
        // As the caller says, who names the partner.
        self.0.store(value, order);
    }

    /// As for the real one, but for what it publishes.
    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        // As the caller says, who names the partner.
        self.0.swap(value, acquiring(order))
    }

    /// As for the real one, but for what it publishes.
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        // As the caller says, who names the partner.
        self.0.fetch_add(value, acquiring(order))
    }

    /// As for the real one, but for what it publishes.
    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        // As the caller says, who names the partner.
        self.0.compare_exchange(current, new, acquiring(success), failure)
    }

    /// As for the real one, but for what it publishes.
    pub(crate) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        // As the caller says, who names the partner.
        self.0.compare_exchange_weak(current, new, acquiring(success), failure)
    }
}

impl Deref for AtomicU64 {
    type Target = atomic::AtomicU64;

    /// Loads, and whatever else publishes nothing.
    fn deref(&self) -> &atomic::AtomicU64 {
        &self.0
    }
}

/// What is left of a read-modify-write's `order` when its Release is withheld.
fn acquiring(order: Ordering) -> Ordering {
    match order {
        order if !*IS_WITHHELD => order,
        // The Acquire half stays, with the partner that the caller names.
        Ordering::AcqRel | Ordering::SeqCst => Ordering::Acquire,
        Ordering::Release => Ordering::Relaxed,
        order => order,
    }
}
