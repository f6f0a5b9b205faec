//! A word that many sleep on, under loom, with a futex that does what the kernel's does: it compares and goes to sleep in
//! one step, and wakes those who sleep in the order in which they came. No sleep here ends by itself, so whoever is
//! forgotten sleeps for ever, and loom says that the model is stuck.
//!
//! What is published are *permits*, of which a sleeper takes one and is done: work for one of them. Or all of them
//! watch, and take nothing: news for everybody. Sleepers do what `Announced` and its callers do. The barrier between
//! announcing and looking, and what it is to the other side, are full fences.

use super::*;
use crate::atomics::explore::explore;
use loom::sync::atomic::AtomicU32;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A word, and the kernel's list of those who sleep on it.
struct Futex {
    word: AtomicU32,
    sleepers: Mutex<Vec<usize>>,
    /// One for each sleeper.
    woken: Vec<Condvar>,
    /// What there is to sleep for.
    permits: AtomicU32,
}

impl Word for Futex {
    fn load(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }

    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.word.fetch_or(bits, order)
    }

    fn fetch_and(&self, bits: u32, order: Ordering) {
        self.word.fetch_and(bits, order);
    }

    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.word.fetch_add(value, order)
    }

    fn swap_exactly(&self, current: u32, new: u32, order: Ordering) -> bool {
        // Relaxed: as the trait says.
        self.word.compare_exchange(current, new, order, Ordering::Relaxed).is_ok()
    }

    fn wake_sleepers(&self, count: u32) -> u32 {
        let mut sleepers = self.sleepers.lock().unwrap();
        let count = sleepers.len().min(count as usize);
        for sleeper in sleepers.drain(..count) {
            self.woken[sleeper].notify_one();
        }
        count as u32
    }
}

impl Futex {
    fn new(sleepers: usize) -> Arc<Self> {
        let woken = (0..sleepers).map(|_| Condvar::new()).collect();
        let (word, permits) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Futex { word, sleepers: Mutex::new(Vec::new()), woken, permits })
    }

    /// What FUTEX_WAIT does, without a limit.
    fn wait(&self, me: usize, expected: u32) {
        let mut sleepers = self.sleepers.lock().unwrap();
        // A read-modify-write: the kernel reads what comes last in the word's order, as far as the lock of the list orders
        // it, and wakers change the word before they take that lock.
        if self.word.fetch_add(0, Ordering::Relaxed) != expected {
            return;
        }
        sleepers.push(me);
        while sleepers.contains(&me) {
            sleepers = self.woken[me].wait(sleepers).unwrap();
        }
    }

    /// How many permits there are, as far as the announcement shows them: a look at an old number by one who sleeps on
    /// another's announcement is a wake-up lost (W4).
    fn seen(&self) -> u32 {
        // Relaxed, here and below: only the number counts.
        self.permits.load(Ordering::Relaxed)
    }

    fn try_take(&self) -> bool {
        let mut permits = self.seen();
        while permits > 0 {
            // Relaxed: only the number counts.
            match self.permits.compare_exchange(permits, permits - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => permits = now,
            }
        }
        false
    }

    /// Waits for a permit, and takes it.
    fn take(&self, me: usize) {
        self.sleep_until(me, || self.try_take());
    }

    /// Waits until there are so many, and leaves them to others.
    fn watch(&self, me: usize, permits: u32) {
        self.sleep_until(me, || self.seen() >= permits);
    }

    fn sleep_until(&self, me: usize, is_there: impl Fn() -> bool) {
        loop {
            let left = announce(self);
            // SeqCst: in the place of the barrier.
            fence(Ordering::SeqCst);
            let mut expected = standing(self, left);
            loop {
                if is_there() {
                    return;
                }
                let Some(value) = expected else { break };
                self.wait(me, value);
                expected = standing(self, value);
            }
        }
    }

    /// Publishes permits, and wakes as many.
    fn give(&self, count: u32) {
        // Relaxed: only the number counts, and the fence in `wake_some` orders it.
        self.permits.fetch_add(count, Ordering::Relaxed);
        wake_some(self, count);
    }

    /// Publishes permits, and wakes everybody.
    fn give_all(&self, count: u32) {
        // Relaxed: as in `give`.
        self.permits.fetch_add(count, Ordering::Relaxed);
        wake(self);
    }
}

/// So many sleepers, and wakers who give so many permits, one call after the other.
fn model(sleepers: usize, wakers: &'static [&'static [u32]]) -> impl Fn() {
    move || {
        let futex = Futex::new(sleepers);
        let sleepers = (0..sleepers).map(|me| {
            let futex = futex.clone();
            thread::spawn(move || futex.take(me))
        });
        let sleepers: Vec<_> = sleepers.collect();
        let (first, others) = wakers.split_first().unwrap();
        let others = others.iter().map(|counts| {
            let futex = futex.clone();
            thread::spawn(move || counts.iter().for_each(|&count| futex.give(count)))
        });
        let others: Vec<_> = others.collect();
        first.iter().for_each(|&count| futex.give(count));
        others.into_iter().chain(sleepers).for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn one_of_many_is_not_forgotten() {
    explore("one sleeper, one permit", Some(4), model(1, &[&[1]]));
}

#[test]
fn two_of_many_are_not_forgotten() {
    explore("two sleepers, two permits in turn", Some(3), model(2, &[&[1, 1]]));
}

#[test]
fn two_of_many_are_woken_at_once() {
    explore("two sleepers, two permits at once", Some(3), model(2, &[&[2]]));
}

#[test]
fn two_of_many_are_woken_by_two() {
    explore("two sleepers, two wakers", Some(2), model(2, &[&[1], &[1]]));
}

/// Sleepers who wait for so many permits each, and a waker who publishes as many, one after the other, for all of them.
fn news(sleepers: &'static [u32]) -> impl Fn() {
    move || {
        let futex = Futex::new(sleepers.len());
        // One who has gone has left the bit, as those do who are one of many. It spares loom the preemptions up to
        // here.
        announce(&*futex);
        let watch = |(me, &permits): (usize, &u32)| {
            let futex = futex.clone();
            thread::spawn(move || futex.watch(me, permits))
        };
        let threads: Vec<_> = sleepers.iter().enumerate().map(watch).collect();
        (0..sleepers.iter().copied().max().unwrap_or(0)).for_each(|_| futex.give_all(1));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn all_are_woken_for_what_all_wait_for() {
    explore("two sleepers, news", Some(3), news(&[1, 1]));
}

#[test]
fn who_wants_more_sleeps_on_and_is_woken_again() {
    explore("one sleeper, news twice", Some(4), news(&[2]));
    explore("two sleepers, news twice", Some(3), news(&[1, 2]));
}

#[test]
fn one_is_woken_by_one_and_all_by_another() {
    explore("two sleepers, one waker for one, one for all", Some(2), || {
        let futex = Futex::new(2);
        let sleepers = [0, 1].map(|me| {
            let futex = futex.clone();
            thread::spawn(move || futex.take(me))
        });
        let other = futex.clone();
        let other = thread::spawn(move || other.give(1));
        // Enough for both, whatever has become of the other one's.
        futex.give_all(2);
        sleepers.into_iter().chain([other]).for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_bit_that_was_cleared_for_one_does_not_stand_for_another() {
    explore("two sleepers, one who does not sleep, three permits", Some(2), || {
        let futex = Futex::new(2);
        // As in `news`.
        announce(&*futex);
        let sleepers = [0, 1].map(|me| {
            let futex = futex.clone();
            thread::spawn(move || futex.take(me))
        });
        let spinner = futex.clone();
        let spinner = thread::spawn(move || _ = spinner.try_take());
        [1, 2].into_iter().for_each(|count| futex.give(count));
        sleepers.into_iter().chain([spinner]).for_each(|thread| thread.join().unwrap());
    });
}
