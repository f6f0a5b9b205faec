//! The exclusive ring against a naive oracle, through the wrap of its stamps, and between two threads.

use super::*;
use crate::ring::payload;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::panic;
use std::thread;

/// Words of a slot: two of payload and the stamp.
const STRIDE: usize = 3;

/// A ring on the heap whose slots have all been filled, and taken, `laps` times.
struct Memory {
    words: Vec<AtomicU64>,
    taken: AtomicU64,
}

impl Memory {
    fn new(capacity: usize, laps: u64) -> Self {
        let stamp_or_zero = |at| if at % STRIDE == STRIDE - 1 { laps } else { 0 };
        Memory {
            words: (0..capacity * STRIDE).map(|at| AtomicU64::new(stamp_or_zero(at))).collect(),
            taken: AtomicU64::new((laps % 2) * capacity as u64),
        }
    }

    fn parts(&self) -> Parts {
        let words = NonNull::from(&self.words[0]);
        // SAFETY: the vector has whole slots, and the tests keep it for longer than its ends.
        let slots = unsafe { Slots::new(words, STRIDE, self.words.len() / STRIDE) };
        // SAFETY: the word lives as long as the slots.
        unsafe { Parts::new(slots, NonNull::from(&self.taken)) }
    }

    fn stamp(&self, slot: usize) -> &AtomicU64 {
        &self.words[slot * STRIDE + STRIDE - 1]
    }
}

/// Payload word `word` of the slot at the end's place.
fn word(end: &impl End, word: usize) -> &AtomicU64 {
    assert!(word < STRIDE - 1);
    // SAFETY: every slot has `STRIDE - 1` payload words.
    let word = unsafe { end.payload().add(word) };
    // SAFETY: as above; the memory outlives the ends.
    unsafe { word.as_ref() }
}

fn fill(end: &Producer, value: u64) {
    fill_at(end.payload(), value);
}

fn fill_at(payload: NonNull<AtomicU64>, value: u64) {
    for (word, value) in [value, !value].into_iter().enumerate() {
        // SAFETY: every slot has `STRIDE - 1` payload words, which is two at least.
        let word = unsafe { payload.add(word) };
        // SAFETY: as above; the memory outlives the ends.
        payload::store(unsafe { word.as_ref() }, value);
    }
}

fn read(end: &Consumer) -> u64 {
    let value = payload::load(word(end, 0));
    assert_eq!(payload::load(word(end, 1)), !value, "torn message");
    value
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    /// So many messages in a row, and perhaps a panic in the middle of the next one.
    SendEach(usize, bool),
    Receive,
    /// Up to so many messages, which are read first and passed together.
    ReceiveMany(usize),
    /// The sender leaves or dies between two messages, and a successor takes over.
    ReplaceSender,
    /// The sender dies after writing a payload, before the stamp.
    KillSenderMidway,
    /// The receiver leaves or dies between two messages.
    ReplaceReceiver,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Send),
        2 => (0..12usize, any::<bool>()).prop_map(|(count, panics)| Step::SendEach(count, panics)),
        4 => Just(Step::Receive),
        2 => (1..12usize).prop_map(Step::ReceiveMany),
        1 => Just(Step::ReplaceSender),
        1 => Just(Step::KillSenderMidway),
        1 => Just(Step::ReplaceReceiver),
    ];
    prop::collection::vec(step, 0..200)
}

/// Numbers of laps at which half of the stamp, and the stamp itself, are about to wrap.
const LAPS: [u64; 6] = [0, 1, (1 << 32) - 2, (1 << 32) - 1, u64::MAX - 1, u64::MAX];

proptest! {
    #[test]
    fn behaves_like_a_bounded_deque(capacity in 1usize..9, laps in prop::sample::select(&LAPS[..]), steps in steps()) {
        let memory = Memory::new(capacity, laps);
        let parts = memory.parts();
        let (mut producer, mut consumer) = (Producer::attach(parts), Consumer::attach(parts));
        let (mut oracle, mut next) = (VecDeque::new(), 0);
        for step in steps {
            match step {
                Step::Send if producer.is_ready() || producer.look() == Turn::Ours => {
                    fill(&producer, next);
                    producer.pass();
                    oracle.push_back(next);
                    next += 1;
                }
                Step::Send => prop_assert_eq!((producer.look(), oracle.len()), (Turn::Theirs, capacity)),
                Step::SendEach(count, panics) => {
                    producer.look();
                    let (before, room) = (next, capacity - oracle.len());
                    let end = before + count as u64;
                    let sent = panic::catch_unwind(panic::AssertUnwindSafe(|| producer.pass_each(|payload| {
                        if next == end && panics {
                            fill_at(payload, u64::MAX);
                            panic::resume_unwind(Box::new(()));
                        }
                        if next < end {
                            fill_at(payload, next);
                            next += 1;
                            true
                        } else {
                            false
                        }
                    })));
                    prop_assert_eq!(next - before, count.min(room) as u64);
                    prop_assert_eq!(sent.is_err(), panics && count < room);
                    oracle.extend(before..next);
                }
                Step::ReceiveMany(max) => {
                    let owned = consumer.owned(max);
                    prop_assert_eq!(owned, max.min(oracle.len()));
                    for (ahead, expected) in oracle.drain(..owned).enumerate() {
                        // SAFETY: the slot is the consumer's own, and the memory outlives it.
                        let first = unsafe { consumer.payload_ahead(ahead).as_ref() };
                        prop_assert_eq!(payload::load(first), expected);
                    }
                    consumer.pass_many(owned);
                }
                Step::Receive if consumer.is_ready() => {
                    prop_assert_eq!(Some(read(&consumer)), oracle.pop_front());
                    consumer.pass();
                }
                Step::Receive => prop_assert_eq!((consumer.look(), oracle.len()), (Turn::Theirs, 0)),
                Step::ReplaceSender => producer = Producer::attach(parts),
                Step::KillSenderMidway => {
                    if producer.look() == Turn::Ours {
                        fill(&producer, u64::MAX);
                    }
                    producer = Producer::attach(parts);
                }
                Step::ReplaceReceiver => consumer = Consumer::attach(parts),
            }
            prop_assert_eq!(parts.len(), oracle.len());
        }
    }
}

#[test]
fn zeroed_memory_is_an_empty_ring() {
    let memory = Memory::new(4, 0);
    assert_eq!(Producer::attach(memory.parts()).look(), Turn::Ours);
    assert_eq!(Consumer::attach(memory.parts()).look(), Turn::Theirs);
    assert_eq!(memory.parts().len(), 0);
}

#[test]
fn a_stamp_of_no_state_is_broken() {
    let memory = Memory::new(2, 5);
    let mut consumer = Consumer::attach(memory.parts());
    for found in [0, 4, 7, u64::MAX] {
        // Relaxed: one thread.
        memory.stamp(0).store(found, Ordering::Relaxed);
        assert_eq!(consumer.look(), Turn::Broken(Evidence { slot: 0, found, expected: 6 }));
        assert!(!consumer.is_ready());
    }
}

#[test]
fn a_place_of_no_state_is_broken() {
    let memory = Memory::new(3, 0);
    let mut producer = Producer::attach(memory.parts());
    for found in [1, 2, 6, u64::MAX] {
        // Relaxed: one thread.
        memory.taken.store(found, Ordering::Relaxed);
        assert_eq!(producer.look(), Turn::Broken(Evidence { slot: 0, found, expected: 0 }), "{found}");
    }
}

#[test]
fn a_consumer_that_joins_at_a_place_of_no_state_finds_the_ring_broken() {
    let memory = Memory::new(4, 0);
    let mut producer = Producer::attach(memory.parts());
    assert_eq!(producer.look(), Turn::Ours);
    fill(&producer, 1);
    producer.pass();
    for taken in [8, 9, u64::MAX] {
        // Relaxed: one thread.
        memory.taken.store(taken, Ordering::Relaxed);
        let mut consumer = Consumer::attach(memory.parts());
        assert!(!consumer.is_ready());
        assert!(matches!(consumer.look(), Turn::Broken(_)), "{taken}");
        assert_eq!(memory.parts().len(), 4, "and nobody takes it for drained");
    }
}

#[test]
fn any_words_can_be_attached_to() {
    let wild = [0, 1, 2, 3, u64::MAX, u64::MAX - 1, 1 << 63, 12345];
    for first in wild {
        for second in wild {
            for taken in wild {
                let memory = Memory::new(3, 0);
                // Relaxed: one thread.
                memory.stamp(0).store(first, Ordering::Relaxed);
                memory.stamp(1).store(second, Ordering::Relaxed);
                memory.taken.store(taken, Ordering::Relaxed);
                assert!(memory.parts().len() <= 3);
                Consumer::attach(memory.parts()).look();
                Producer::attach(memory.parts()).look();
            }
        }
    }
}

#[test]
fn two_threads_exchange_everything_in_order() {
    const MESSAGES: u64 = 200_000;
    for capacity in [1, 2, 3, 64] {
        let memory = Memory::new(capacity, (1 << 32) - 3);
        let parts = memory.parts();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut producer = Producer::attach(parts);
                for value in 0..MESSAGES {
                    while !producer.is_ready() && producer.look() != Turn::Ours {
                        thread::yield_now();
                    }
                    fill(&producer, value);
                    producer.pass();
                }
            });
            let mut consumer = Consumer::attach(parts);
            for value in 0..MESSAGES {
                while !consumer.is_ready() {
                    thread::yield_now();
                }
                assert_eq!(read(&consumer), value);
                consumer.pass();
            }
        });
        assert_eq!(parts.len(), 0);
    }
}
