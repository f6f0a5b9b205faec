//! The ring of frames under loom, which tries every interleaving and every value that the orderings allow a load to
//! see. Run with `RUSTFLAGS="--cfg loom" cargo test --release -p ipc-core --lib loom`.

use super::*;
use crate::atomics::explore::explore;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Units of two words: the header, and one of payload. A frame of one unit carries up to 8 bytes, one of two up to 24.
const SHAPE: Shape = Shape { units: 4, unit_words: 2, header_words: 1 };

/// Lengths of the messages: the third frame needs padding.
const PADDED: [usize; 3] = [24, 8, 24];

/// Lengths of the messages: the second frame ends where the memory does, and the third one where, in the lap before, there
/// was payload that looks like a header.
const FLUSH: [usize; 3] = [24, 24, 8];

/// An empty ring of loom's atomics. There is a cell for each unit beside it, so that loom notices every access to one that
/// is not ordered after the other end's last access, even where the values happen to be right.
struct Memory {
    words: Vec<AtomicU64>,
    taken: AtomicU64,
    units: Vec<UnsafeCell<u64>>,
}

// SAFETY: loom checks the accesses to the cells; finding one that is not exclusive is what the models are for.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> Arc<Self> {
        let units = SHAPE.units as usize;
        Arc::new(Memory {
            words: (0..units * SHAPE.unit_words).map(|_| AtomicU64::new(0)).collect(),
            taken: AtomicU64::new(0),
            units: (0..units).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    fn parts(&self) -> Parts {
        // SAFETY: the vector has the words of the shape, and every thread of the models keeps the memory alive.
        unsafe { Parts::new(NonNull::from(&self.words[0]), SHAPE, NonNull::from(&self.taken)) }
    }

    fn producer(&self) -> Producer {
        Producer::attach(self.parts())
    }

    fn consumer(&self) -> Consumer {
        Consumer::attach(self.parts())
    }

    /// Waits for room and writes a message, also where headers of the next lap will be looked for.
    fn fill(&self, end: &mut Producer, message: u64, bytes: usize) -> Claim {
        end.ask_for(bytes).unwrap();
        await_turn(end);
        let (claim, start) = (end.claim.unwrap(), end.start());
        for unit in start.unit..start.unit + claim.units {
            // SAFETY: loom checks that nobody else has access.
            self.units[unit as usize].with_mut(|payload| unsafe { *payload = message });
        }
        for unit in start.unit + 1..start.unit + claim.units {
            // Relaxed: payload, which the header publishes. It looks like a frame of the next lap.
            self.parts().header(unit).store(start.next_lap().header(1), Ordering::Relaxed);
        }
        claim
    }

    fn send(&self, end: &mut Producer, message: u64, bytes: usize) {
        self.fill(end, message, bytes);
        end.pass();
    }

    fn receive(&self, end: &mut Consumer, message: u64, bytes: usize) {
        await_turn(end);
        assert_eq!(end.bytes(), bytes);
        let frame = end.frame.unwrap();
        for unit in frame.unit..frame.unit + SHAPE.units_of(bytes) {
            // SAFETY: loom checks that nobody else writes.
            let found = self.units[unit as usize].with(|payload| unsafe { *payload });
            assert_eq!(found, message);
        }
        end.pass();
    }
}

fn await_turn(end: &mut impl End) {
    while !end.is_ready() {
        match end.look() {
            Turn::Ours => return,
            Turn::Theirs => thread::yield_now(),
            Turn::Broken(evidence) => panic!("{evidence:?}"),
        }
    }
}

#[test]
fn loom_frames_arrive_whole_and_in_order() {
    for lengths in [PADDED, FLUSH] {
        explore("frames exchanged", None, move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let sender = thread::spawn(move || {
                let mut end = shared.producer();
                (0..).zip(lengths).for_each(|(message, bytes)| shared.send(&mut end, message, bytes));
            });
            let mut end = memory.consumer();
            (0..).zip(lengths).for_each(|(message, bytes)| memory.receive(&mut end, message, bytes));
            assert_eq!(end.look(), Turn::Theirs);
            sender.join().unwrap();
        });
    }
}

/// The sender dies in its third message, after as many of its steps as `steps` says.
fn sender_succeeded(steps: usize, lengths: [usize; 3]) {
    explore(&format!("frames, sender succeeded after {steps} steps"), None, move || {
        let memory = Memory::new();
        let shared = memory.clone();
        let sender = thread::spawn(move || {
            let mut end = shared.producer();
            shared.send(&mut end, 0, lengths[0]);
            shared.send(&mut end, 1, lengths[1]);
            let claim = shared.fill(&mut end, 99, lengths[2]);
            if steps > 0 {
                end.clear_next(claim);
            }
            if steps > 1 {
                end.prepare(claim);
            }
            // The successor begins after the death, as the lock of the participant ensures, while the receiver goes on.
            let mut end = shared.producer();
            shared.send(&mut end, 2, lengths[2]);
        });
        let mut end = memory.consumer();
        (0..).zip(lengths).for_each(|(message, bytes)| memory.receive(&mut end, message, bytes));
        assert_eq!(end.look(), Turn::Theirs);
        sender.join().unwrap();
    });
}

#[test]
fn loom_a_successor_goes_on_where_the_dead_sender_of_frames_stopped() {
    for lengths in [PADDED, FLUSH] {
        (0..3).for_each(|steps| sender_succeeded(steps, lengths));
    }
}

#[test]
fn loom_a_successor_goes_on_where_the_dead_receiver_of_frames_stopped() {
    for lengths in [PADDED, FLUSH] {
        explore("frames, receiver succeeded", None, move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let receiver = thread::spawn(move || {
                (0..).zip(lengths).for_each(|(message, bytes)| {
                    // Dies after it has seen a message, and is succeeded by one that takes it.
                    await_turn(&mut shared.consumer());
                    shared.receive(&mut shared.consumer(), message, bytes);
                });
            });
            let mut end = memory.producer();
            (0..).zip(lengths).for_each(|(message, bytes)| memory.send(&mut end, message, bytes));
            receiver.join().unwrap();
        });
    }
}
