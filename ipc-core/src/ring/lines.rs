//! Cache lines, and how they get back to who stores to them next.
//!
//! A line that one processor has stored to and another one has read is in both their caches, so the next store to it has to
//! have the reader's copy dropped first. Processors do that for one line after the other: a producer whose ring is in its
//! cache, as one of 1,024 slots is, waits for 10 ns (AMD EPYC, Zen 4, two cores near each other) to 48 ns (far apart) with each
//! line, however far ahead it asks for it. A line that the reader has stored to is in its cache alone, and is fetched like
//! any other one, many at once: 4 ns. So a consumer stores to the lines that it has read what is there already, before it gives
//! them back. It costs the consumer next to nothing: 64 bytes through 1,024 slots took 15 ns near and 54 far, and take 5 to 8.
//!
//! What is stored is what was there, so whoever dies in between has changed nothing.
//!
//! Where a ring is larger than a processor's own cache, near each other, lines have left it by the time that they are stored to
//! again, and the stores only keep the consumer. So it does without them while its producer is far ahead all the same
//! ([`Handover`]).
//!
//! On other processors (Intel, Emerald Rapids) it is the producer who gets its lines one after the other, whatever the consumer did
//! with them, unless all of its stores go upwards: a single store to anything of its own in between, such as where its place is
//! kept, and the next line is not fetched before it is needed. 64 bytes through 1,024 slots took 40 ns. So it asks for lines that it
//! will come to ([`ask_ahead`]), where the ring is small and so are the messages, and they take 10. Larger rings hardly gain.

use crate::atomics::AtomicU64;
use crate::words;
use core::ops::RangeInclusive;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// Words in a cache line. In loom's models two, so that a slot of two words has one to be stored to.
const LINE_WORDS: usize = if cfg!(loom) { 2 } else { 8 };

/// The longest run of words that is worth it: it holds a payload of 1 KiB. Longer messages are bound by their copies, and those of
/// 4 KiB made their round trips 15 % slower.
const MAX_WORDS: usize = 17 * LINE_WORDS;

/// How far ahead lines are asked for, in words: eight of them. Further, and a ring of 64 slots is asked for what is being read.
const WORDS_AHEAD: usize = 8 * 8;

/// Sizes of rings whose lines are asked for ahead, in words: up to 1 MiB, and where there is something ahead.
const WORDS_ASKED_FOR: RangeInclusive<usize> = 2 * WORDS_AHEAD..=(1 << 20) / 8;

/// Whether the lines of a ring of so many words, so many of them a slot, are asked for ahead.
pub(crate) fn are_asked_for_ahead(words: usize, stride_words: usize) -> bool {
    WORDS_ASKED_FOR.contains(&words) && stride_words <= WORDS_AHEAD
}

/// Asks for the lines [`WORDS_AHEAD`] on from the `words` words that begin with `first`, to store to them. Those behind the last word
/// of the ring are asked for in vain, which costs less than to see that they are.
#[inline(always)]
pub(crate) fn ask_ahead(first: NonNull<AtomicU64>, words: usize) {
    let ask = |word| words::prefetch_to_write(first.as_ptr().wrapping_add(WORDS_AHEAD + word).cast());
    ask(0);
    let mut word = LINE_WORDS;
    while word < words {
        ask(word);
        word += LINE_WORDS;
    }
}

/// Whether the lines of so many words that were read are worth to be taken.
pub(crate) fn are_worth_it(words: usize) -> bool {
    (2..=MAX_WORDS).contains(&words)
}

/// One word in each line that ends within the words from `from` to before `to`, counted from the beginning of a line. The last of
/// two or more words is none of them: it may be a stamp, which is not to come from anybody but who has published it.
fn one_of_each(from: usize, to: usize) -> impl Iterator<Item = usize> {
    (from / LINE_WORDS..to / LINE_WORDS).map(move |line| from.max(line * LINE_WORDS))
}

/// Takes the lines for this processor that end within the words from `from` to before `to` of `words`, the first of which begins a
/// line.
///
/// # Safety
///
/// `words` leads to at least `to` words, which are the caller's own from `from` on.
#[inline(always)]
pub(crate) unsafe fn take(words: NonNull<AtomicU64>, from: usize, to: usize) {
    for at in one_of_each(from, to) {
        // SAFETY: the word lies in a line that ends before `to`.
        let word = unsafe { words.add(at) };
        // SAFETY: as above.
        let word = unsafe { word.as_ref() };
        // Relaxed: only whose the line is matters. The Release that gives the words back orders the store before whatever is
        // stored next.
        word.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Whether a consumer takes the lines that it has read: as long as that may make its producer faster. It is decided once a lap.
///
/// A consumer that is far behind is the slower one of the two, and tries to do without. If it has caught up a lap later, its producer
/// cannot do without: the lines are taken again, and the next trial comes after four times as many laps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handover {
    is_on: bool,
    is_worth_it: bool,
    /// Laps until the next trial.
    laps_left: u16,
    /// How many there were before the last one.
    interval: u16,
}

/// The most laps from one trial to the next. With cores far apart, one costs as much as eight laps.
const MAX_INTERVAL: u16 = 4096;

impl Handover {
    /// For slots of so many words.
    pub(crate) fn new(words: usize) -> Self {
        let is_worth_it = are_worth_it(words);
        Handover { is_on: is_worth_it, is_worth_it, laps_left: 0, interval: 1 }
    }

    /// Whether to take the lines of the slots in this lap.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Notes that a lap has ended. `is_far_behind` says whether the producer is at least half a lap ahead.
    pub(crate) fn end_lap(&mut self, is_far_behind: bool) {
        if !self.is_worth_it {
            return;
        }
        if self.is_on {
            self.laps_left = self.laps_left.saturating_sub(1);
            self.is_on = !is_far_behind || self.laps_left != 0;
        } else if is_far_behind {
            self.interval = 1.max(self.interval / 4);
        } else {
            self.interval = MAX_INTERVAL.min(self.interval * 4);
            (self.is_on, self.laps_left) = (true, self.interval);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::atomics::AtomicU64;

    #[test]
    fn lines_are_taken_unless_the_producer_is_far_ahead_without() {
        let mut handover = Handover::new(9);
        for _ in 0..3 {
            handover.end_lap(false);
            assert!(handover.is_on(), "a consumer that keeps up takes them");
        }
        for _ in 0..3 {
            handover.end_lap(true);
            assert!(!handover.is_on(), "one that is behind with and without does not");
        }
        handover.end_lap(false);
        assert!(handover.is_on(), "one that catches up without does");
    }

    #[test]
    fn trials_that_fail_become_rare() {
        let mut handover = Handover::new(9);
        let mut trials = 0;
        for _ in 0..100 * u32::from(MAX_INTERVAL) {
            // A producer that is fast while its lines are taken, and slow in a lap without.
            handover.end_lap(handover.is_on());
            trials += u32::from(!handover.is_on());
        }
        assert!((100..=110).contains(&trials), "{trials} trials");
    }

    #[test]
    fn lines_are_asked_for_ahead_in_small_rings_of_small_messages() {
        assert!(are_asked_for_ahead(1024 * 9, 9), "1,024 slots of 72 bytes");
        assert!(!are_asked_for_ahead(65_536 * 9, 9), "65,536 of them");
        assert!(!are_asked_for_ahead(8 * 9, 9), "eight, where what is ahead is being read");
        assert!(!are_asked_for_ahead(64 * 129, 129), "slots that are longer than what is ahead");
    }

    #[test]
    fn to_ask_for_a_line_that_is_not_there_does_nothing() {
        words::prefetch_to_write(core::ptr::null());
        words::prefetch_to_write(core::ptr::dangling::<u8>());
        words::prefetch_to_write(c"read only".as_ptr().cast());
        words::prefetch_to_write(core::ptr::without_provenance(usize::MAX));
    }

    #[test]
    fn each_line_that_ends_within_is_taken_by_a_word_of_its_own_that_is_not_the_last() {
        let taken = |from, to| one_of_each(from, to).collect::<Vec<_>>();
        assert_eq!(taken(0, 8), [0], "a slot of a line");
        assert_eq!([taken(0, 9), taken(9, 18), taken(63, 72)], [vec![0], vec![9], vec![63, 64]], "slots of nine words");
        assert_eq!([taken(0, 2), taken(6, 8)], [vec![], vec![6]], "the last one of the small slots in a line");
        assert_eq!(taken(3, 40), [3, 8, 16, 24, 32]);
        for (from, to) in (0..40).flat_map(|from| (from + 2..80).map(move |to| (from, to))) {
            assert!(taken(from, to).iter().all(|at| (from..to - 1).contains(at)), "{from} to {to}");
        }
    }

    #[test]
    fn what_is_stored_is_what_was_there() {
        let words: Vec<_> = (0..32).map(AtomicU64::new).collect();
        // SAFETY: so many words are there, and are the test's own.
        unsafe { take(NonNull::from(&words[0]), 3, 32) };
        assert!(words.iter().zip(0..).all(|(word, value)| word.load(Ordering::Relaxed) == value));
    }
}
