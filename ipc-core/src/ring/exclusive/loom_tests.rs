//! The exclusive ring under loom, which tries every interleaving and every value that the orderings allow a load to
//! see. Run with `RUSTFLAGS="--cfg loom" cargo test --release -p ipc-core --lib loom`.

use super::*;
use crate::atomics::explore::explore;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Words of a slot: one of payload, and the stamp.
const STRIDE: usize = 2;

/// An empty ring of loom's atomics. Each payload is in a cell beside it as well, so that loom notices every access to one that
/// is not ordered after the other end's last access, even where the values happen to be right.
struct Memory {
    words: Vec<AtomicU64>,
    taken: AtomicU64,
    payloads: Vec<UnsafeCell<u64>>,
}

// SAFETY: loom checks the accesses to the cells; finding one that is not exclusive is what the models are for.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Memory {
            words: (0..capacity * STRIDE).map(|_| AtomicU64::new(0)).collect(),
            taken: AtomicU64::new(0),
            payloads: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    fn parts(&self) -> Parts {
        // SAFETY: there is a whole number of slots, and every thread of the models keeps the memory alive.
        let slots = unsafe { Slots::new(NonNull::from(&self.words[0]), STRIDE, self.payloads.len()) };
        // SAFETY: as above.
        unsafe { Parts::new(slots, NonNull::from(&self.taken)) }
    }

    fn producer(&self) -> Producer {
        Producer::attach(self.parts())
    }

    fn consumer(&self) -> Consumer {
        Consumer::attach(self.parts())
    }

    /// The payload of a slot.
    fn payload(&self, place: NonNull<AtomicU64>) -> &UnsafeCell<u64> {
        let bytes = place.addr().get() - NonNull::from(&self.words[0]).addr().get();
        &self.payloads[bytes / size_of::<AtomicU64>() / STRIDE]
    }

    fn write(&self, place: NonNull<AtomicU64>, value: u64) {
        // SAFETY: loom checks that nobody else has access.
        self.payload(place).with_mut(|payload| unsafe { *payload = value });
        // SAFETY: a place is a word of this memory's.
        unsafe { place.as_ref() }.store(value, Ordering::Relaxed);
    }

    fn read(&self, place: NonNull<AtomicU64>) -> u64 {
        // SAFETY: loom checks that nobody else writes.
        let value = self.payload(place).with(|payload| unsafe { *payload });
        // SAFETY: as in `write`.
        let word = unsafe { place.as_ref() }.load(Ordering::Relaxed);
        assert_eq!(word, value, "the slot holds what was sent, whatever a consumer has stored to it");
        value
    }

    fn fill(&self, end: &mut Producer, value: u64) {
        await_turn(end);
        self.write(end.payload(), value);
    }

    fn send(&self, end: &mut Producer, value: u64) {
        self.fill(end, value);
        end.pass();
    }

    fn receive(&self, end: &mut Consumer) -> u64 {
        await_turn(end);
        let value = self.read(end.payload());
        end.pass();
        value
    }
}

/// What may be done at once of three steps, the first of which is `step`.
fn batch(end: &mut impl End, step: u64) -> usize {
    loop {
        match end.owned(4 - step as usize) {
            0 => thread::yield_now(),
            owned => return owned,
        }
    }
}

fn await_turn(end: &mut impl End) {
    while !end.is_ready() && end.look() != Turn::Ours {
        thread::yield_now();
    }
}

#[test]
fn loom_messages_arrive_whole_and_in_order() {
    for capacity in [1, 2] {
        explore("exchange", None, move || {
            let memory = Memory::new(capacity);
            let shared = memory.clone();
            let sender = thread::spawn(move || {
                let mut end = shared.producer();
                (1..=3).for_each(|value| shared.send(&mut end, value));
            });
            let mut end = memory.consumer();
            (1..=3).for_each(|value| assert_eq!(memory.receive(&mut end), value));
            sender.join().unwrap();
        });
    }
}

#[test]
fn loom_batches_arrive_whole_and_in_order() {
    explore("batches", None, || {
        let memory = Memory::new(2);
        let shared = memory.clone();
        let sender = thread::spawn(move || {
            let (mut end, mut next) = (shared.producer(), 1);
            while next <= 3 {
                let count = batch(&mut end, next);
                (0..count).for_each(|ahead| shared.write(end.payload_ahead(ahead), next + ahead as u64));
                end.pass_many(count);
                next += count as u64;
            }
        });
        let (mut end, mut next) = (memory.consumer(), 1);
        while next <= 3 {
            let count = batch(&mut end, next);
            (0..count).for_each(|ahead| assert_eq!(memory.read(end.payload_ahead(ahead)), next + ahead as u64));
            end.pass_many(count);
            next += count as u64;
        }
        sender.join().unwrap();
    });
}

#[test]
fn loom_messages_that_are_passed_each_arrive_whole_and_in_order() {
    explore("passed each", None, || {
        let memory = Memory::new(2);
        let shared = memory.clone();
        let sender = thread::spawn(move || {
            let (mut end, mut next) = (shared.producer(), 1);
            while next <= 3 {
                await_turn(&mut end);
                end.pass_each(|payload| {
                    let is_left = next <= 3;
                    if is_left {
                        shared.write(payload, next);
                        next += 1;
                    }
                    is_left
                });
            }
        });
        let mut end = memory.consumer();
        (1..=3).for_each(|value| assert_eq!(memory.receive(&mut end), value));
        sender.join().unwrap();
    });
}

#[test]
fn loom_a_successor_goes_on_where_the_dead_sender_stopped() {
    explore("sender succeeded", None, || {
        let memory = Memory::new(2);
        let shared = memory.clone();
        let sender = thread::spawn(move || {
            let mut end = shared.producer();
            shared.send(&mut end, 1);
            // Dies after the payload of the second message, before its stamp.
            shared.fill(&mut end, 99);
            // The successor begins after the death, as the lock of the participant ensures, while the receiver goes on.
            let mut end = shared.producer();
            shared.send(&mut end, 2);
            shared.send(&mut end, 3);
        });
        let mut end = memory.consumer();
        (1..=3).for_each(|value| assert_eq!(memory.receive(&mut end), value));
        sender.join().unwrap();
    });
}

#[test]
fn loom_a_successor_goes_on_where_the_dead_receiver_stopped() {
    explore("receiver succeeded", None, || {
        let memory = Memory::new(2);
        let shared = memory.clone();
        let receiver = thread::spawn(move || {
            (1..=3).for_each(|value| assert_eq!(shared.receive(&mut shared.consumer()), value));
        });
        let mut end = memory.producer();
        (1..=3).for_each(|value| memory.send(&mut end, value));
        receiver.join().unwrap();
    });
}
