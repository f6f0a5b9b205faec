//! The words of a payload, as the threaded tests of the rings touch them.
//!
//! Channels copy payloads with relaxed atomics (`words.rs`), since a peer's bug must not be a data race here. To
//! ThreadSanitizer no two atomic accesses are a race, whatever order they are in, so under it (`--cfg slipring_tsan`, by
//! `ci/tsan.sh`) these are plain ones. The rings promise that a slot is its owner's alone, and it sees whether that holds.
//!
//! Not for rings whose readers look first and check afterwards whether they were allowed to: their payloads have to be
//! atomic.

use crate::atomics::AtomicU64;
use core::sync::atomic::Ordering;

/// Writes a word of a slot that is the caller's own.
pub(crate) fn store(word: &AtomicU64, value: u64) {
    if cfg!(slipring_tsan) {
        // SAFETY: the word may be written through its `UnsafeCell`. That nobody else has access at this moment is what
        // the ring promises, and what ThreadSanitizer is there to check.
        unsafe { word.as_ptr().write(value) };
    } else {
        // Relaxed: the ring's stamp, stored after it, publishes it.
        word.store(value, Ordering::Relaxed);
    }
}

/// Reads a word of a slot that is the caller's own.
pub(crate) fn load(word: &AtomicU64) -> u64 {
    if cfg!(slipring_tsan) {
        // SAFETY: as in `store`.
        unsafe { word.as_ptr().read() }
    } else {
        // Relaxed: the ring's stamp, loaded before it, has acquired it.
        word.load(Ordering::Relaxed)
    }
}
