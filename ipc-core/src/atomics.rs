//! The atomics that the rings are written against: the real ones, or loom's when the rings are being model-checked
//! (`RUSTFLAGS="--cfg loom"`), or some that can be made to publish nothing when they run under ThreadSanitizer
//! (`--cfg slipring_tsan`, by `ci/tsan.sh`).
//!
//! Everything in [`ring`](crate::ring) names its atomics through this module, so that the very code that ships is
//! the code that loom explores and ThreadSanitizer watches. With the feature `crash-points` every change of a word is a place to die
//! at: see `crash`. In tests the words are mortal as well, may lie, and may be
//! another's first: see `mortal`, `liar` and `rival`. (`--cfg slipring_hostile` has them lie without being tests, for the fuzzers.)

#[cfg(all(loom, not(test)))]
pub(crate) use loom::sync::atomic::AtomicU64;

#[cfg(not(any(loom, test, slipring_hostile, feature = "crash-points")))]
pub(crate) use core::sync::atomic::AtomicU64;

#[cfg(all(feature = "crash-points", not(any(loom, test, slipring_hostile))))]
pub(crate) use crate::crash::AtomicU64;

#[cfg(slipring_tsan)]
mod withheld;

#[cfg(all(test, loom))]
pub(crate) mod explore;
#[cfg(all(any(test, slipring_hostile), not(loom)))]
pub(crate) mod liar;
#[cfg(any(test, slipring_hostile))]
pub(crate) mod mortal;
#[cfg(any(test, slipring_hostile))]
pub(crate) use mortal::AtomicU64;
#[cfg(all(test, not(loom)))]
pub(crate) mod rival;

/// The cheap side of an asymmetric barrier: keeps this thread's earlier stores ahead of its later loads, as far as
/// somebody is concerned who executes the expensive side (`membarrier`, on every registered processor) in between.
///
/// It costs no instruction. Loom has no model of membarrier, and the tests issue none, so there both sides are full
/// fences, which is what the pair amounts to.
#[inline(always)]
pub(crate) fn light_fence() {
    // SeqCst: keeps the compiler from moving the load; the processor is kept from it by the other side's barrier.
    #[cfg(not(any(loom, test)))]
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
    // SeqCst: pairs with the fence that the tests have in the place of the other side's barrier.
    #[cfg(all(test, not(loom)))]
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    // SeqCst: as above.
    #[cfg(loom)]
    loom::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

#[cfg(loom)]
pub(crate) use loom::sync::atomic::fence;

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::fence;
