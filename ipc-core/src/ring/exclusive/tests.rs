//! The exclusive ring against a naive oracle, through the wrap of its stamps, and between two threads.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

/// Words of a slot: two of payload and the stamp.
const STRIDE: usize = 3;

/// Slots on the heap, every one of them free in lap `lap`.
struct Memory {
    words: Vec<AtomicU64>,
}

impl Memory {
    fn new(capacity: usize, lap: u64) -> Self {
        let stamp_or_zero = |at| {
            if at % STRIDE == STRIDE - 1 { lap.wrapping_mul(2) } else { 0 }
        };
        Memory { words: (0..capacity * STRIDE).map(|at| AtomicU64::new(stamp_or_zero(at))).collect() }
    }

    fn slots(&self) -> Slots {
        let words = NonNull::from(&self.words[0]);
        // SAFETY: the vector has `capacity * STRIDE` words, and the tests keep it for longer than its ends.
        unsafe { Slots::new(words, STRIDE, self.words.len() / STRIDE) }
    }
}

/// Payload word `word` of the slot at the end's place.
fn payload(end: &End, word: usize) -> &AtomicU64 {
    assert!(word < STRIDE - 1);
    // SAFETY: every slot has `STRIDE - 1` payload words.
    let word = unsafe { end.payload().add(word) };
    // SAFETY: as above; the memory outlives the ends.
    unsafe { word.as_ref() }
}

fn fill(end: &End, value: u64) {
    payload(end, 0).store(value, Ordering::Relaxed);
    payload(end, 1).store(!value, Ordering::Relaxed);
}

fn read(end: &End) -> u64 {
    let value = payload(end, 0).load(Ordering::Relaxed);
    assert_eq!(payload(end, 1).load(Ordering::Relaxed), !value, "torn message");
    value
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send,
    Receive,
    /// The sender leaves or dies between two messages, and a successor takes over.
    ReplaceSender,
    /// The sender dies after writing a payload, before the stamp.
    KillSenderMidway,
    /// The receiver leaves or dies between two messages.
    ReplaceReceiver,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Send),
        6 => Just(Step::Receive),
        1 => Just(Step::ReplaceSender),
        1 => Just(Step::KillSenderMidway),
        1 => Just(Step::ReplaceReceiver),
    ];
    prop::collection::vec(step, 0..200)
}

/// Laps at which halves of the stamp, and the stamp itself, are about to wrap.
const LAPS: [u64; 5] = [0, (1 << 31) - 2, (1 << 32) - 2, (1 << 63) - 2, u64::MAX - 1];

proptest! {
    #[test]
    fn behaves_like_a_bounded_deque(capacity in 1usize..9, lap in prop::sample::select(&LAPS[..]), steps in steps()) {
        let memory = Memory::new(capacity, lap);
        let slots = memory.slots();
        let (mut sender, mut receiver) = (End::attach(slots, Side::Sender), End::attach(slots, Side::Receiver));
        let (mut oracle, mut next) = (VecDeque::new(), 0);
        for step in steps {
            match step {
                Step::Send => match sender.poll() {
                    Turn::Ours => {
                        fill(&sender, next);
                        sender.pass();
                        oracle.push_back(next);
                        next += 1;
                    }
                    turn => prop_assert_eq!((turn, oracle.len()), (Turn::Theirs, capacity)),
                },
                Step::Receive => match receiver.poll() {
                    Turn::Ours => {
                        prop_assert_eq!(Some(read(&receiver)), oracle.pop_front());
                        receiver.pass();
                    }
                    turn => prop_assert_eq!((turn, oracle.len()), (Turn::Theirs, 0)),
                },
                Step::ReplaceSender => sender = End::attach(slots, Side::Sender),
                Step::KillSenderMidway => {
                    if sender.poll() == Turn::Ours {
                        fill(&sender, u64::MAX);
                    }
                    sender = End::attach(slots, Side::Sender);
                }
                Step::ReplaceReceiver => receiver = End::attach(slots, Side::Receiver),
            }
            prop_assert_eq!(len(slots), oracle.len());
        }
    }
}

#[test]
fn zeroed_memory_is_an_empty_ring() {
    let memory = Memory::new(4, 0);
    assert_eq!(End::attach(memory.slots(), Side::Sender).poll(), Turn::Ours);
    assert_eq!(End::attach(memory.slots(), Side::Receiver).poll(), Turn::Theirs);
    assert_eq!(len(memory.slots()), 0);
}

#[test]
fn a_stamp_of_no_state_is_broken_for_both_ends() {
    let memory = Memory::new(2, 5);
    let (sender, receiver) = (End::attach(memory.slots(), Side::Sender), End::attach(memory.slots(), Side::Receiver));
    for stamp in [0, 8, 12, u64::MAX] {
        memory.slots().stamp(0).store(stamp, Ordering::Relaxed);
        assert_eq!((sender.poll(), receiver.poll()), (Turn::Broken, Turn::Broken), "{stamp}");
        assert_eq!(sender.evidence(), (0, stamp, 10));
    }
}

#[test]
fn any_stamps_can_be_attached_to() {
    let wild = [0, 1, 2, 3, u64::MAX, u64::MAX - 1, 1 << 63, 12345];
    for first in wild {
        for second in wild {
            for third in wild {
                let memory = Memory::new(3, 0);
                for (slot, stamp) in [first, second, third].into_iter().enumerate() {
                    memory.slots().stamp(slot).store(stamp, Ordering::Relaxed);
                }
                assert!(len(memory.slots()) <= 3);
            }
        }
    }
}

#[test]
fn two_threads_exchange_everything_in_order() {
    const MESSAGES: u64 = 200_000;
    for capacity in [1, 2, 3, 64] {
        let memory = Memory::new(capacity, (1 << 32) - 3);
        let slots = memory.slots();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut sender = End::attach(slots, Side::Sender);
                for value in 0..MESSAGES {
                    while sender.poll() != Turn::Ours {
                        thread::yield_now();
                    }
                    fill(&sender, value);
                    sender.pass();
                }
            });
            let mut receiver = End::attach(slots, Side::Receiver);
            for value in 0..MESSAGES {
                while receiver.poll() != Turn::Ours {
                    thread::yield_now();
                }
                assert_eq!(read(&receiver), value);
                receiver.pass();
            }
        });
        assert_eq!(len(slots), 0);
    }
}
