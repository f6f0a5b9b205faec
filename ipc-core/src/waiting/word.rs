//! The word that is slept on: what sleepers and wakers do to it. The protocol, and its proof, are in `waiting.rs`.
//!
//! The word is whatever does what the kernel and the processor do to one ([`Word`]), so that loom explores the very code
//! that ships, with a futex that is made of its own parts.

use crate::atomics::fence;
#[cfg(loom)]
use crate::atomics::light_fence;
use crate::crash;
use crate::os;
#[cfg(not(loom))]
use core::sync::atomic::compiler_fence;
use core::sync::atomic::{AtomicU32, Ordering};

/// Bit of a word: somebody sleeps, or is about to. The other bits of its byte are zero.
const SLEEPING: u32 = 1;

/// Bit of a word: membarrier cannot be relied on here.
pub(super) const FENCE: u32 = 1 << 8;

/// What one wake-up adds to a word.
const WAKE_UP: u32 = 1 << 9;

/// Which byte of a word SLEEPING is in, and the value that it has there.
pub(crate) const SLEEPING_BYTE: (usize, u8) = (if cfg!(target_endian = "little") { 0 } else { 3 }, SLEEPING as u8);

/// Who may sleep on a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleepers {
    /// One participant.
    One,
    /// Any number of them.
    Many,
}

/// A word in shared memory that can be slept on.
pub(crate) trait Word {
    /// As [`AtomicU32::load`].
    fn load(&self, order: Ordering) -> u32;

    /// As [`AtomicU32::fetch_or`].
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32;

    /// As [`AtomicU32::fetch_and`], the result apart.
    fn fetch_and(&self, bits: u32, order: Ordering);

    /// As [`AtomicU32::fetch_add`].
    fn fetch_add(&self, value: u32, order: Ordering) -> u32;

    /// As [`AtomicU32::compare_exchange`], Relaxed if it fails. Whether it succeeded.
    fn swap_exactly(&self, current: u32, new: u32, order: Ordering) -> bool;

    /// Wakes up to `count` of those who sleep on the word, and returns how many there were.
    fn wake_sleepers(&self, count: u32) -> u32;
}

impl Word for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    #[inline(always)]
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        crash::point();
        self.fetch_or(bits, order)
    }

    #[inline(always)]
    fn fetch_and(&self, bits: u32, order: Ordering) {
        crash::point();
        self.fetch_and(bits, order);
    }

    #[inline(always)]
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        crash::point();
        self.fetch_add(value, order)
    }

    #[inline(always)]
    fn swap_exactly(&self, current: u32, new: u32, order: Ordering) -> bool {
        crash::point();
        // Relaxed: as the trait says.
        self.compare_exchange(current, new, order, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    fn wake_sleepers(&self, count: u32) -> u32 {
        os::futex_wake(self, count)
    }
}

/// Wakes everybody who sleeps on `word`. To be called after publishing; costs one load of a quiet line if nobody sleeps.
#[inline(always)]
pub(crate) fn wake(word: &impl Word) {
    if needs_attention(word) {
        wake_all_slow(word);
    }
}

/// As [`wake`], if `is_due` says so, which is asked only when somebody sleeps.
#[inline(always)]
pub(crate) fn wake_if(word: &impl Word, is_due: impl FnOnce() -> bool) {
    if needs_attention(word) && is_sleeper_certain(word) && is_due() {
        wake_all(word);
    }
}

/// Wakes up to `count` of those who sleep on `word`, as [`wake`] does.
#[inline(always)]
pub(crate) fn wake_some(word: &impl Word, count: u32) {
    if needs_attention(word) {
        wake_some_slow(word, count);
    }
}

/// Whether `word` is anything but quiet: S2 of the protocol.
#[inline(always)]
pub(super) fn needs_attention(word: &impl Word) -> bool {
    // SeqCst: keeps the compiler from looking before it has published; the processor is kept from it by the sleeper's
    // barrier.
    #[cfg(not(loom))]
    compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    light_fence();
    // Relaxed: the case proof in the module's docs needs the load's place, which the barrier pins, and no more.
    word.load(Ordering::Relaxed) & (SLEEPING | FENCE) != 0
}

#[cold]
fn wake_all_slow(word: &impl Word) {
    if is_sleeper_certain(word) {
        wake_all(word);
    }
}

#[cold]
fn wake_all(word: &impl Word) {
    // Release, each time: publishes what there is to wake for; pairs with the Acquire in `standing`. That they have a
    // place in the word's own order is what `futex_wait` needs, which compares. The first count is for those who compare
    // without being woken: if this process is stopped or killed here, what they compare with does not come back. The
    // second is for those who have found the bit since: with it still there, an announcement by another, once it is
    // gone, would bring back the value that they are about to sleep on.
    word.fetch_add(WAKE_UP, Ordering::Release);
    word.fetch_and(!SLEEPING, Ordering::Release);
    word.fetch_add(WAKE_UP, Ordering::Release);
    word.wake_sleepers(u32::MAX);
}

#[cold]
fn wake_some_slow(word: &impl Word, count: u32) {
    if is_sleeper_certain(word) {
        // Release: as in `wake_all_slow`.
        let bumped = word.fetch_add(WAKE_UP, Ordering::Release).wrapping_add(WAKE_UP);
        if word.wake_sleepers(count) < count {
            // Another value than the first bump left, which some have announced themselves in, and which the next
            // announcement would else bring back.
            let quiet = bumped.wrapping_add(WAKE_UP) & !SLEEPING;
            // Release: as above. Relaxed: it fails if anybody has woken since, and leaves the rest to them.
            if word.swap_exactly(bumped, quiet, Ordering::Release) {
                // For those who have come since: to announce what is announced already leaves no trace in the word.
                word.wake_sleepers(u32::MAX);
            }
        }
    }
}

/// Whether somebody sleeps on a word that needs attention.
#[cold]
fn is_sleeper_certain(word: &impl Word) -> bool {
    // Relaxed: FENCE is never cleared, and a late sight of it is covered by W2.
    if word.load(Ordering::Relaxed) & FENCE != 0 {
        // SeqCst: S1 before the look below, against the sleeper's fence between R1 and R2.
        fence(Ordering::SeqCst);
    }
    is_asleep(word)
}

/// Whether somebody has announced to sleep on `word`.
pub(crate) fn is_asleep(word: &impl Word) -> bool {
    // Relaxed: as in `needs_attention`.
    word.load(Ordering::Relaxed) & SLEEPING != 0
}

/// R1: says that somebody is going to sleep on `word`. To be followed by [`barrier`](super::barrier), and by a look (R2) at everything
/// that is waited for. Returns the value that the word is left with, which the announcement stands as long as (W4).
pub(crate) fn announce(word: &impl Word) -> u32 {
    // SeqCst, with the fence in `barrier`: the sleeper's half of the textbook form.
    word.fetch_or(SLEEPING, Ordering::SeqCst) | SLEEPING
}

/// As [`announce`], for one who cannot write to the word: `write` puts [`SLEEPING_BYTE`] there by other means. `None` if
/// that fails.
pub(crate) fn announce_by(word: &impl Word, write: impl FnOnce() -> bool) -> Option<u32> {
    // Acquire: comes before the write. If a waker comes between the two, the word has another value afterwards than the
    // one that is returned, and the announcement counts as used up, which costs another one.
    let before = word.load(Ordering::Acquire);
    write().then_some(before | SLEEPING)
}

/// The value of `word` to sleep on, which is the one that it was `left` with, if the announcement still stands. A waker
/// that comes afterwards gives the word another value, for good, even if it is about to clear SLEEPING only then (W3).
pub(crate) fn standing(word: &impl Word, left: u32) -> Option<u32> {
    // Acquire: pairs with the Release of wakers, so that who finds the announcement used up sees what for.
    (word.load(Ordering::Acquire) == left).then_some(left)
}

/// Whether wake-ups from `word` cannot be relied on, so that it takes a look from time to time. Where nobody has barriers,
/// FENCE is set by the first who joins, and nobody misses it.
pub(crate) fn is_unreliable(word: &impl Word) -> bool {
    // Relaxed: FENCE is never cleared, and a late sight of it delays a look.
    os::HAS_BARRIERS && word.load(Ordering::Relaxed) & FENCE != 0
}

/// Takes an announcement back.
pub(crate) fn retract(word: &impl Word, sleepers: Sleepers) {
    if sleepers == Sleepers::One && is_asleep(word) {
        // Relaxed: spares the other side a system call; missing it is harmless.
        word.fetch_and(!SLEEPING, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
