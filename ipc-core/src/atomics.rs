//! The atomics that the rings are written against: the real ones, or loom's when the rings are being model-checked
//! (`RUSTFLAGS="--cfg loom"`).
//!
//! Everything in [`ring`](crate::ring) names its atomics through this module, so that the very code that ships is
//! the code that loom explores.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, fence};

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, fence};
