//! The atomics that the rings are written against: the real ones, or loom's when the rings are being model-checked
//! (`RUSTFLAGS="--cfg loom"`), or some that can be made to publish nothing when they run under ThreadSanitizer
//! (`--cfg slipring_tsan`, by `ci/tsan.sh`).
//!
//! Everything in [`ring`](crate::ring) names its atomics through this module, so that the very code that ships is
//! the code that loom explores and ThreadSanitizer watches.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU64;

#[cfg(slipring_tsan)]
mod withheld;
#[cfg(slipring_tsan)]
pub(crate) use withheld::AtomicU64;

#[cfg(not(any(loom, slipring_tsan)))]
pub(crate) use core::sync::atomic::AtomicU64;
