//! Waiting without a futex: a look at the word, a pause, and another look.
//!
//! Pauses begin short and become longer, so that a wake-up from another process is noticed within [`LONGEST_PAUSE`], and soon
//! if it comes soon. Whoever wakes a thread of its own process ends its pause.
//!
//! It is never known who was woken. So every wake-up counts as one of nobody, upon which the waker wakes everybody (see
//! `waiting.rs` of the crate): those who look find another value in the word, all of them.

use crate::os::fork::Local;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Words that one thread can wait for. Nothing limits it here; it is what others can do.
pub(crate) const FUTEX_WAITV_MAX: usize = 128;

/// The first pause: about what a system takes to wake somebody.
const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// The longest pause, which is how late a wake-up can be.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// Places to pause at, so that threads that wait for different words mostly pause at different ones.
const LOUNGES: usize = 64;

/// Where threads of this process pause.
#[derive(Default)]
struct Lounge {
    gate: Mutex<()>,
    calls: Condvar,
}

impl Lounge {
    /// Where those pause who wait for `word`.
    fn of(word: &AtomicU32) -> &'static Self {
        static ALL: Local<Lounges> = Local::new();
        &ALL.get().0[word.as_ptr().addr() / size_of::<u128>() % LOUNGES]
    }

    /// Pauses, again and again, until `is_over` or for `limit`. Whether it was over.
    fn wait(&self, limit: Duration, is_over: impl Fn() -> bool) -> bool {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        while !is_over() {
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                return false;
            }
            gate = self.calls.wait_timeout(gate, pause.min(left)).unwrap_or_else(PoisonError::into_inner).0;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        true
    }
}

struct Lounges([Lounge; LOUNGES]);

impl Default for Lounges {
    fn default() -> Self {
        Lounges(core::array::from_fn(|_| Lounge::default()))
    }
}

/// Waits while `word` holds `expected`, at most `limit`. The caller looks for itself.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, limit: Duration) {
    // Acquire: pairs with the Release of wakers.
    Lounge::of(word).wait(limit, || word.load(Ordering::Acquire) != expected);
}

/// Waits while every word holds the value beside it, at most `limit` (`None`: for ever). The caller looks for itself. `true` if it
/// is known that nobody has woken it.
///
/// Who bumps the *last* of the words in this process is noticed at once.
pub(crate) fn futex_wait_any(words: &[(&AtomicU32, u32)], limit: Option<Duration>) -> bool {
    let Some((last, _)) = words.last() else { return true };
    // Acquire: pairs with the Release of wakers.
    let has_changed = || words.iter().any(|(word, expected)| word.load(Ordering::Acquire) != *expected);
    !Lounge::of(last).wait(limit.unwrap_or(Duration::MAX), has_changed)
}

/// Ends the pauses of this process's threads that wait for `word`, whose value the caller has changed; the others see it by
/// themselves. Nobody knows how many there are: 0.
pub(crate) fn futex_wake(word: &AtomicU32, _count: u32) -> u32 {
    let lounge = Lounge::of(word);
    // Whoever has looked at the word before its value changed is pausing once this has been locked.
    drop(lounge.gate.lock().unwrap_or_else(PoisonError::into_inner));
    lounge.calls.notify_all();
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_wait_on_another_value_returns_at_once() {
        let words: Vec<AtomicU32> = (0..4).map(AtomicU32::new).collect();
        futex_wait(&words[0], 1, Duration::MAX);
        for other in 0..4 {
            let expected = |at: usize| if at == other { u32::MAX } else { at as u32 };
            let waiters: Vec<_> = words.iter().enumerate().map(|(at, word)| (word, expected(at))).collect();
            assert!(!futex_wait_any(&waiters, None));
        }
    }

    #[test]
    fn a_wait_ends_with_its_limit() {
        let word = AtomicU32::new(7);
        futex_wait(&word, 7, Duration::from_millis(2));
        assert!(futex_wait_any(&[(&word, 7)], Some(Duration::from_millis(2))));
        assert!(futex_wait_any(&[(&word, 7)], Some(Duration::ZERO)));
    }

    #[test]
    fn a_change_is_noticed_without_a_call() {
        let words = [AtomicU32::new(0), AtomicU32::new(0)];
        thread::scope(|scope| {
            scope.spawn(|| futex_wait(&words[0], 0, Duration::MAX));
            scope.spawn(|| futex_wait_any(&[(&words[0], 0), (&words[1], 0)], None));
            // Relaxed: only the value counts.
            words[0].store(1, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_call_ends_a_pause() {
        let lounge = Lounge::default();
        let is_over = AtomicU32::new(0);
        thread::scope(|scope| {
            // Relaxed, here and below: only the value counts.
            let waiter = scope.spawn(|| lounge.wait(Duration::MAX, || is_over.load(Ordering::Relaxed) != 0));
            is_over.store(1, Ordering::Relaxed);
            drop(lounge.gate.lock());
            lounge.calls.notify_all();
            assert!(waiter.join().unwrap());
        });
    }
}
