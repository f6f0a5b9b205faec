//! Waiting: spin for a little while, then sleep on a futex until the other side wakes us.
//!
//! # The problem
//!
//! A sender makes a system call only when somebody sleeps, so after publishing it has to look whether somebody does.
//! A receiver looks at the ring once more after it has announced that it is going to sleep. In the plain form
//!
//! ```text
//! sender                          receiver
//! S1  stamp := full               R1  word := SLEEPING
//! S2  word == SLEEPING?           R2  stamp == full?
//! ```
//!
//! both processors may let their load overtake their store, both looks come too early, and the receiver sleeps on a
//! full ring. The textbook cure is a full fence on both sides; on the sender's it would cost 30 to 150 ns a message.
//!
//! # The protocol
//!
//! The sleeper pays for both. Between R1 and R2 it calls `membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED)`, which returns
//! after every processor that runs a thread of a *registered* process has executed a full barrier since the call began.
//! Every participant registers before it can send. The sender has a compiler fence between S1 and S2 and nothing else.
//!
//! *Proof.* Consider the barrier B that the call makes the sender's processor execute (if the sender is not running,
//! the kernel's switch away from it was one). In the sender's program order, B falls
//!
//! - before S2: then S2 loads after B. R1 was done before the call, so before B, and S2 sees the value that R1 left, or
//!   a later one. If SLEEPING is in it, the sender wakes the sleeper. Otherwise another waker has, since R1 (W4).
//! - after S2, and so after S1: then S1 is visible to all once B is done, so before the call returns, so before R2. R2
//!   sees the message: the sleeper does not sleep.
//!
//! There is no third case. The wake itself cannot be missed: the sender clears SLEEPING *before* it calls
//! `futex_wake`, and `futex_wait` returns at once unless the word still has the value that the sleeper announced. In
//! between it bumps the counter above the two bits, as it does before it clears SLEEPING, so that the value does not come
//! back when somebody announces anew: a word that has the value that it had was not woken in between (W3).
//! Leaving a channel is published in the same way, with the participant's state in the place of the stamp.
//!
//! # Where membarrier is refused
//!
//! A participant that cannot register, or finds that it cannot issue the barrier, sets FENCE in the words, for good.
//! A sender that sees FENCE executes a full fence and looks again, and a sleeper always executes one as well: the
//! textbook form. A sender may miss a FENCE that was set a moment ago; what it can miss with it, one wake-up, the
//! sleeper recovers by itself, since no sleep is longer than [`SLICE`].
//!
//! # A sleeper that cannot write
//!
//! A subscriber of a lossy broadcast has the segment mapped read-only. It announces itself by writing the word's byte with
//! SLEEPING, which nothing else is in, through the segment's file (R1). A file in a tmpfs has no other memory than the
//! pages that are mapped, and the kernel stores a single byte in one piece. So the byte changes as if this processor had
//! stored it there: a read-modify-write of the word by a waker, which the processor does in one piece as well, comes
//! before it or after it, and loses nothing. The store comes before the system call returns, and so before the barrier.
//!
//! If the barrier is refused, or the file cannot be written either, the sleeper looks around every [`POLL`] instead. It
//! takes no announcement back: such words have many sleepers.
//!
//! # Many sleepers on one word
//!
//! Receivers of a shared queue sleep on one word, and one message is work for one of them. So a waker wakes as many
//! as it has made work for, and leaves SLEEPING for the others. It bumps the counter above the two bits first: a
//! sleeper that has announced itself and is not yet in the kernel then finds another value there, and looks again.
//! When fewer were woken than it meant to, nobody is left in the kernel, and it clears SLEEPING and bumps the counter
//! once more, by a compare-and-swap of the very value that its bump left; if that fails, somebody has woken since,
//! and clears the bit or leaves it in their turn. If it succeeds, somebody may have announced since all the same:
//! while the bit is set, that does not change the word. They then sleep on the value that the first bump left. So the
//! waker makes a second call, which wakes all who went to sleep before the swap; who comes after it finds another
//! value.
//!
//! A sleeper leaves the bit alone when it goes, since it cannot know whom else it stands for: too many wake-ups, never too
//! few. One who is woken and dies, or leaves without the message, may leave others asleep for a slice. One who is woken in
//! vain announces its next sleep anew, even if the bit is there.
//!
//! Whoever clears SLEEPING for all adds to the count before and afterwards, or with it, and wakes all after that. Without
//! the count afterwards, a sleeper might look at the word in between, and find the value to sleep on that the next
//! announcement by another brings back; a waker that has looked in the meantime, when the bit was clear, would have left it
//! asleep. Without the count before, the same would befall those who compare at intervals (`lookout`), if the waker is
//! stopped between its two steps.
//!
//! # What an announcement stands for
//!
//! A sleeper whose announcement was used up may find the bit set all the same, by another since. It must not take that for
//! its own: it has no barrier between that announcement and its look, so it would miss a message whose store is still
//! on its way, by a sender that has looked at the word when the bit was clear. So it goes by the whole value (W4), and not by
//! the bit.
//!
//! *Proof.* Let R1 leave the value e, and let a sender publish what R2 does not see. By the case proof, S2 loads e or a
//! later value.
//!
//! - SLEEPING is in it: the sender counts, so that the word is e no more, and calls `futex_wake`.
//! - It is not: somebody has cleared it since R1. Whoever does that has counted before, or does with it, and wakes all
//!   who sleep afterwards.
//!
//! Either way e is gone for good (W3), and a call follows. A sleeper that sleeps on e alone finds another value in the
//! word, in the kernel at the latest, or is in the kernel before the word changes, where the call finds it. (One that
//! wakes fewer than there are has made work for no more.)
//!
//! # Invariants
//!
//! W1. A word is slept on by one ([`Sleepers::One`]) or by many ([`Sleepers::Many`]), and its sleepers and wakers agree
//!     which. (Exclusive queues have one receiver, who sleeps on the data word, and one sender, who sleeps on the space
//!     word.)
//! W2. Nobody sleeps longer than [`SLICE`] without looking at the ring and at the other side's life. So a waker that is
//!     killed between clearing the word and the system call delays the sleeper and never strands it. (Those whom the lookout
//!     watches are looked at by it, in longer intervals: `lookout/rounds.rs`.)
//! W3. Every wake-up gives the word a value that it never had (short of 2^23 wake-ups within one sleep). So announcing,
//!     looking, and sleeping on the value that was announced may be done by different threads: `lookout.rs`.
//! W4. An announcement stands for as long as the word has the value that R1 left in it, and its sleeper sleeps on that
//!     value and no other.

use crate::os;
use core::sync::atomic::{AtomicU32, Ordering, fence};
use core::time::Duration;
use std::hint;
use std::thread;
use std::time::Instant;

mod word;

use word::FENCE;
#[cfg(all(test, not(loom)))]
pub(crate) use word::is_asleep;
pub(crate) use word::{
    SLEEPING_BYTE, Sleepers, announce, announce_by, is_unreliable, retract, standing, wake, wake_if, wake_some,
};

/// Longest sleep without a look around.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// How often those who cannot be woken look around.
const POLL: Duration = Duration::from_millis(1);

/// Prepares this process for taking part: to be called at attach, with every word of the segment.
pub(crate) fn register<'a>(words: impl IntoIterator<Item = &'a AtomicU32>) {
    if !os::joins_barriers() {
        for word in words {
            // SeqCst: as far as possible ahead of whatever this participant will publish; see the module's docs.
            word.fetch_or(FENCE, Ordering::SeqCst);
        }
    }
}

/// What R1 and R2 need between them: one barrier, however many announcements were made before it. `false` if it was refused,
/// which `words` say from then on.
pub(crate) fn barrier<'a>(words: impl IntoIterator<Item = &'a AtomicU32>) -> bool {
    let is_everywhere = os::barrier_everywhere();
    if !is_everywhere {
        for word in words {
            // SeqCst: as in `register`.
            word.fetch_or(FENCE, Ordering::SeqCst);
        }
    }
    // SeqCst: R1 before R2, against the fence of a waker that has seen FENCE.
    fence(Ordering::SeqCst);
    is_everywhere
}

/// An announced sleep. From here on the other side wakes; dropped, it stops.
pub(crate) struct Announced<'a> {
    word: &'a AtomicU32,
    sleepers: Sleepers,
    /// Whether nobody has been told.
    is_unheard: bool,
    /// The value that the announcement left in the word; `None` if it had another one before the caller last looked at
    /// what it may be woken for.
    expected: Option<u32>,
}

impl<'a> Announced<'a> {
    /// R1 and the barrier. The caller looks (R2) at everything that it may be woken for before it calls
    /// [`sleep`](Announced::sleep).
    pub(crate) fn new(word: &'a AtomicU32, sleepers: Sleepers) -> Self {
        let left = announce(word);
        barrier([word]);
        Announced { word, sleepers, is_unheard: false, expected: standing(word, left) }
    }

    /// As [`new`](Announced::new), for one of many sleepers who cannot write to the word: see [`announce_by`].
    pub(crate) fn by(word: &'a AtomicU32, write: impl FnOnce() -> bool) -> Self {
        let left = announce_by(word, write).filter(|_| os::barrier_everywhere());
        // SeqCst: R1 before R2, as in `barrier`.
        fence(Ordering::SeqCst);
        let expected = left.and_then(|left| standing(word, left));
        Announced { word, sleepers: Sleepers::Many, is_unheard: left.is_none(), expected }
    }

    /// Sleeps until woken, for `limit` or for [`SLICE`], whichever is shorter; perhaps for no reason. `false` if the
    /// announcement has been used up: whoever wants to sleep on makes a new one.
    pub(crate) fn sleep(&mut self, limit: Duration) -> bool {
        if self.is_unheard {
            thread::sleep(limit.min(POLL));
            return true;
        }
        let Some(expected) = self.expected else { return false };
        os::futex_wait(self.word, expected, limit.min(SLICE));
        self.expected = standing(self.word, expected);
        self.expected.is_some()
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        retract(self.word, self.sleepers);
    }
}

/// Shortest time that is spun for before arming. Arming costs up to 8 us, and a wake-up 20 us.
const SPIN_MIN: Duration = Duration::from_micros(12);

/// Longest time that is spun for before arming: what a sleep and a wake-up would cost, so that spinning in vain at most
/// doubles the cost of waiting.
const SPIN_MAX: Duration = Duration::from_micros(50);

/// What is spun longer for every byte of a message, in nanoseconds: for one of a MiB, which takes its sender a hundred
/// microseconds to write and the other side as many to read, some hundred more. Such a message would else be slept for
/// every time, and be a quarter later.
const SPIN_NS_PER_BYTE: f64 = 0.3;

/// How long to spin without letting anybody else have the processor, as long as nobody else is known to want it. With
/// more busy processes than processors, the one that is being waited for may be waiting for this one's: three processes
/// on two processors got 1.4 times more done with this than without.
const YIELD_AFTER: Duration = Duration::from_micros(5);

/// A yield that takes longer has let somebody else run. To yield where nobody else wants to run takes half a microsecond.
const LENT_MIN: Duration = Duration::from_nanos(1_500);

/// A yield that takes longer has let somebody run who has work of its own: whoever waits in turn with this one gives
/// the processor back much sooner.
const LENT_MAX: Duration = Duration::from_micros(500);

/// Looks at the ring between two looks at the clock. A look and a `pause` take about 25 ns.
const POLLS_PER_CLOCK: u32 = 32;

/// How long one end spins before it sleeps, and before it lets others have the processor. Both follow how waiting has
/// gone of late.
pub(crate) struct Spin {
    budget: Duration,
    /// The most that `budget` comes to.
    longest: Duration,
    /// When the last wait began.
    started: Option<Instant>,
    /// At most [`YIELD_AFTER`]. It is nothing after a yield that has let somebody run who gave the processor back soon,
    /// which is what ends do that wait in turn on too few processors: then the sooner this one yields, the less is lost
    /// for the one that all of them wait for. It is the whole again after a yield that nobody made use of, or that
    /// somebody made use of who has nothing to do with this: the one that is waited for is then more likely to be
    /// running elsewhere, and about to be done.
    yield_after: Duration,
}

impl Spin {
    /// Starts out expecting a busy channel, and a processor for each end of it.
    pub(crate) fn new() -> Self {
        Self::for_messages_of(0)
    }

    /// As [`new`](Spin::new), where a message takes so many bytes.
    pub(crate) fn for_messages_of(bytes: usize) -> Self {
        let longest = SPIN_MAX + Duration::from_nanos((bytes as f64 * SPIN_NS_PER_BYTE) as u64).min(SLICE / 50);
        Spin { budget: longest, longest, started: None, yield_after: YIELD_AFTER }
    }

    /// Learns that what was slept for has come: soon enough to have been spun for, perhaps.
    pub(crate) fn note_woken(&mut self) {
        if self.started.is_some_and(|started| started.elapsed() < self.longest) {
            self.budget = self.longest;
        }
    }

    /// Polls `ready` for a while, or until `deadline`. `false` if it is time to sleep.
    ///
    /// With `shares_processor`, the other side cannot get anything done while this one spins, and every poll yields.
    pub(crate) fn until(
        &mut self,
        deadline: Option<Instant>,
        shares_processor: bool,
        mut ready: impl FnMut() -> bool,
    ) -> bool {
        let mut yields = shares_processor || self.yield_after.is_zero();
        // On a busy channel the other side is a few nanoseconds behind, and this is all there is to waiting.
        if !yields && poll(&mut ready) {
            return true;
        }
        let started = Instant::now();
        self.started = Some(started);
        let mut looked = started;
        // For how long others have had the processor, which costs nobody anything.
        let mut lent = Duration::ZERO;
        loop {
            let found = if yields { poll_yielding(&mut ready) } else { poll(&mut ready) };
            let now = Instant::now();
            if yields {
                lent += self.note_yield(now - looked);
            }
            if found {
                self.budget = (self.budget * 2).min(self.longest);
                return true;
            }
            looked = now;
            let spun = (now - started).saturating_sub(lent);
            yields |= spun >= self.yield_after;
            if spun >= self.budget {
                self.budget = (self.budget / 2).max(SPIN_MIN);
                return false;
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                return false;
            }
        }
    }

    /// Learns from a yield that took so long, and returns how much of that is not to be counted as spinning.
    fn note_yield(&mut self, took: Duration) -> Duration {
        let is_turn = (LENT_MIN..LENT_MAX).contains(&took);
        self.yield_after = if is_turn { Duration::ZERO } else { YIELD_AFTER };
        if is_turn { took - LENT_MIN } else { Duration::ZERO }
    }
}

/// Polls `ready` for about a microsecond. One `pause` a poll: more of them only add to the latency.
#[inline(always)]
pub(crate) fn poll(ready: &mut impl FnMut() -> bool) -> bool {
    for _ in 0..POLLS_PER_CLOCK {
        if ready() {
            return true;
        }
        hint::spin_loop();
    }
    false
}

fn poll_yielding(ready: &mut impl FnMut() -> bool) -> bool {
    thread::yield_now();
    ready()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;

    const NUMBERS: u64 = 20_000;

    /// One thread publishes numbers, each a moment after the other thread has taken the last one and is about to sleep.
    /// Returns how often the sleeper slept through a number, and how often it slept.
    fn stream(word: AtomicU32, numbers: u64) -> (u64, u64) {
        #[derive(Default)]
        #[repr(align(128))]
        struct Line(AtomicU64);
        #[repr(align(128))]
        struct Word(AtomicU32);

        // Stores to lines that the other processor has keep the one to `published` waiting, as a payload would.
        let payload: [Line; 16] = Default::default();
        let (published, taken, word) = (Line::default(), Line::default(), Word(word));
        // The last number whose waking is done.
        let woken = Line::default();
        register([&word.0]);
        let (mut lost, mut sleeps, mut seen) = (0, 0, 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = 0x9E37_79B9_u64;
                for number in 1..=numbers {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // Acquire: pairs with the Release of `taken` below.
                    while taken.0.load(Ordering::Acquire) != number - 1 {
                        hint::spin_loop();
                    }
                    // Up to 500 steps of a nanosecond or less, to try every overlap.
                    (0..random >> 55).for_each(|step| {
                        hint::black_box(step);
                    });
                    // Relaxed: published by the Release that follows, which pairs with the Acquire of whoever looks.
                    payload.iter().for_each(|line| line.0.store(number, Ordering::Relaxed));
                    published.0.store(number, Ordering::Release);
                    wake(&word.0);
                    // Release: publishes what was done to the word, which the sleeper looks at anew.
                    woken.0.store(number, Ordering::Release);
                }
            });
            while seen < numbers {
                let mut announced = Announced::new(&word.0, Sleepers::One);
                // Every lost wake-up takes a whole slice; some are enough to know. Acquire: pairs with the Release of
                // `published`.
                if published.0.load(Ordering::Acquire) == seen && lost <= 3 {
                    sleeps += 1;
                    announced.sleep(SLICE);
                    // Announced, although the waking is done: nobody saw the announcement. (Before it is done, a sleep
                    // may end for other reasons: the slice is over, or a wake-up for the last number came late.)
                    // Acquire: pairs with the Release of `woken`.
                    let is_done = woken.0.load(Ordering::Acquire) > seen;
                    lost += u64::from(is_done && is_asleep(&word.0));
                }
                // Acquire: the payload is there; pairs with the Release of `published`.
                seen = published.0.load(Ordering::Acquire);
                // Relaxed: it is only to be in this processor's cache.
                payload.iter().for_each(|line| {
                    hint::black_box(line.0.load(Ordering::Relaxed));
                });
                // Release: the next number may come; pairs with the Acquire of who publishes it.
                taken.0.store(seen, Ordering::Release);
            }
        });
        (lost, sleeps)
    }

    #[test]
    fn no_wake_up_is_lost_with_membarrier() {
        let (lost, sleeps) = stream(AtomicU32::new(0), NUMBERS);
        assert_eq!(lost, 0, "wake-ups of {sleeps} were lost");
    }

    #[test]
    fn no_wake_up_is_lost_with_fences() {
        let (lost, sleeps) = stream(AtomicU32::new(FENCE), NUMBERS);
        assert_eq!(lost, 0, "wake-ups of {sleeps} were lost");
    }

    #[test]
    fn an_announcement_that_is_dropped_costs_the_waker_nothing() {
        let word = AtomicU32::new(0);
        drop(Announced::new(&word, Sleepers::One));
        assert!(!is_asleep(&word));
    }

    #[test]
    fn an_announcement_is_used_up_by_one_wake() {
        let word = AtomicU32::new(0);
        let mut announced = Announced::new(&word, Sleepers::One);
        wake(&word);
        assert!(!announced.sleep(SLICE), "and so the sleep returns at once");
        assert!(!is_asleep(&word));
    }

    #[test]
    fn a_crowd_keeps_its_announcement_until_nobody_is_left_to_wake() {
        let word = AtomicU32::new(0);
        let mut first = Announced::new(&word, Sleepers::Many);
        drop(Announced::new(&word, Sleepers::Many));
        assert!(is_asleep(&word), "the one who went does not take the others' announcement away");
        wake_some(&word, 1);
        assert!(!is_asleep(&word), "nobody was in the kernel");
        assert!(!first.sleep(SLICE), "and whoever is about to sleep makes a new announcement");
    }

    #[test]
    fn a_wake_up_wakes_one_of_a_crowd() {
        const SLEEPERS: u64 = 4;
        let (word, permits, served) = (AtomicU32::new(0), AtomicU64::new(0), AtomicU64::new(0));
        // AcqRel, with the Release of whoever adds a permit: nothing but the number of permits has to be seen.
        let take = || permits.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        let serve = || {
            loop {
                let mut announced = Announced::new(&word, Sleepers::Many);
                loop {
                    if take() {
                        // Release: pairs with the Acquire of who counts.
                        served.fetch_add(1, Ordering::Release);
                        return;
                    }
                    if !announced.sleep(SLICE) {
                        break;
                    }
                }
            }
        };
        thread::scope(|scope| {
            (0..SLEEPERS).for_each(|_| drop(scope.spawn(serve)));
            for expected in 1..=SLEEPERS {
                // Release: pairs with the AcqRel of `take`.
                permits.fetch_add(1, Ordering::Release);
                wake_some(&word, 1);
                // Acquire: pairs with the Release of who was served.
                while served.load(Ordering::Acquire) != expected {
                    thread::yield_now();
                }
            }
        });
        // Acquire: as above.
        assert_eq!(served.load(Ordering::Acquire), SLEEPERS);
    }

    #[test]
    fn a_yield_is_worth_repeating_if_somebody_has_had_a_turn() {
        let mut spin = Spin::new();
        let turn = Duration::from_micros(20);
        let counted = turn - spin.note_yield(turn);
        assert_eq!((spin.yield_after, counted), (Duration::ZERO, LENT_MIN), "that was a turn");
        let vain = LENT_MIN / 2;
        assert_eq!((spin.note_yield(vain), spin.yield_after), (Duration::ZERO, YIELD_AFTER), "nobody wanted to run");
        spin.note_yield(turn);
        assert_eq!((spin.note_yield(LENT_MAX), spin.yield_after), (Duration::ZERO, YIELD_AFTER), "that was a stranger");
    }

    #[test]
    fn one_that_waits_in_turn_with_others_yields_before_it_looks() {
        let mut spin = Spin::new();
        spin.note_yield(LENT_MIN);
        let mut looks = 0;
        // A single yield teaches it something else, unless somebody else runs on this processor, who is welcome.
        spin.until(Some(Instant::now()), false, || {
            looks += 1;
            false
        });
        assert_eq!(looks, 1, "a look after a yield, and not a run of looks before");
    }

    #[test]
    fn spinning_ends_with_the_deadline() {
        let now = Instant::now();
        assert!(!Spin::new().until(Some(now), false, || false));
        assert!(!Spin::new().until(Some(now), true, || false));
        assert!(Spin::new().until(Some(now), false, || true));
    }
}
