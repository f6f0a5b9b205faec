//! The ring of frames under loom: what a lossy subscriber copies while it is being overwritten, what it counts, and
//! the cells that publishers pass on to each other; and what a lossless one copies that is evicted meanwhile. The
//! publisher runs first, on the main thread, as in `broadcast`.

use super::super::claims::Counter;
use super::*;
use crate::atomics::explore::explore;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const LINES: usize = 3;
const RECORD_WORDS: usize = 3;
const CELLS: usize = 2;

/// Line of the subscriber.
const SUBSCRIBER: usize = 2;

/// An empty ring of loom's atomics, of two cells of one word, with a cell of loom's beside each.
struct Memory {
    payloads: Vec<AtomicU64>,
    stamps: Vec<AtomicU64>,
    numbers: Vec<AtomicU64>,
    records: Vec<AtomicU64>,
    words: [AtomicU64; 3],
    watched: Vec<UnsafeCell<u64>>,
    is_lossless: bool,
}

// SAFETY: loom checks the accesses to the cells; finding one that is not exclusive is what the models are for.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(is_lossless: bool) -> Arc<Self> {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Memory {
            payloads: zeros(CELLS),
            stamps: zeros(CELLS),
            numbers: zeros(CELLS),
            records: zeros(LINES * RECORD_WORDS),
            words: [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)],
            watched: (0..CELLS).map(|_| UnsafeCell::new(0)).collect(),
            is_lossless,
        })
    }

    fn parts(&self) -> Parts {
        let [tail, solo, oldest] = self.words.each_ref().map(NonNull::from);
        let (payloads, stamps) = (NonNull::from(&self.payloads[0]), NonNull::from(&self.stamps[0]));
        // SAFETY: there is a word to a cell, and every thread of the models keeps the memory alive, as the other words.
        let cells = unsafe { Cells::with_stamps_apart(payloads, 1, stamps, CELLS) };
        // SAFETY: as above.
        let records = unsafe { Records::new(NonNull::from(&self.records[0]), RECORD_WORDS, LINES) };
        // SAFETY: as above.
        let counter = unsafe { Counter::new(tail, solo) };
        let role = Role { counter, records };
        // SAFETY: as above.
        let parts = unsafe { Parts::lossy(cells, role, oldest, NonNull::from(&self.numbers[0])) };
        if self.is_lossless { parts.lossless(records, 0) } else { parts }
    }

    /// The cell that loom watches beside a payload.
    fn watched(&self, payload: NonNull<AtomicU64>) -> &UnsafeCell<u64> {
        let bytes = payload.addr().get() - NonNull::from(&self.payloads[0]).addr().get();
        &self.watched[bytes / size_of::<AtomicU64>()]
    }

    fn publish(&self, publisher: &mut Publisher, value: u64) {
        loop {
            match publisher.claim(1, |line| (line == SUBSCRIBER).then_some(1)) {
                Turn::Ours => break,
                Turn::Theirs => thread::yield_now(),
                Turn::Broken(evidence) => panic!("{evidence:?}"),
            }
        }
        let payload = publisher.payload().expect("a frame has been claimed");
        if self.is_lossless {
            // SAFETY: loom checks that nobody else has access.
            self.watched(payload).with_mut(|payload| unsafe { *payload = value });
        } else {
            word(payload).store(value, Ordering::Relaxed);
        }
        publisher.pass();
    }
}

fn word<'a>(payload: NonNull<AtomicU64>) -> &'a AtomicU64 {
    // SAFETY: the memory outlives the ends, and what is made of them.
    unsafe { payload.as_ref() }
}

/// One look by a lossy subscriber of messages that are their numbers. Returns how many numbers it got or missed.
fn look_once(subscriber: &mut Subscriber) -> u64 {
    match subscriber.look() {
        Sight::Nothing => 0,
        Sight::Missed(missed) => missed,
        Sight::Message => {
            // Relaxed: the stamp has been acquired, and `accept` tells whether the word belongs to it.
            let value = word(subscriber.payload().expect("there is a message").0).load(Ordering::Relaxed);
            if !subscriber.accept() {
                return 0;
            }
            assert_eq!(value, subscriber.number(), "another message, or another number");
            subscriber.pass();
            1
        }
        sight => panic!("{sight:?}"),
    }
}

#[test]
fn loom_a_lossy_subscriber_gets_its_frames_and_counts_the_others() {
    for (messages, looks) in [(3, 1), (3, 2), (5, 1)] {
        explore("frames, lossy, 1 publisher, 1 subscriber", Some(3), move || {
            let memory = Memory::new(false);
            let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
            let mut subscriber = Subscriber::attach_lossy(memory.parts(), 0).unwrap();
            let reader = thread::spawn(move || {
                let seen: u64 = (0..looks).map(|_| look_once(&mut subscriber)).sum();
                (subscriber, seen)
            });
            (0..messages).for_each(|number| memory.publish(&mut publisher, number));
            let (mut subscriber, mut seen) = reader.join().unwrap();
            // One look may find that the last copy was worth nothing.
            for _ in 0..4 {
                seen += look_once(&mut subscriber);
            }
            assert_eq!(seen, messages, "every number once");
        });
    }
}

#[test]
fn loom_a_subscriber_steps_over_the_dead_while_somebody_repairs_and_overwrites_it() {
    for messages in [1, 3] {
        explore("frames, lossy, a hole, 1 repairer, 1 subscriber that steps over", Some(3), move || {
            let memory = Memory::new(false);
            let life = |line| if line == 0 { Life::Dead { generation: 1 } } else { Life::Live };
            let mut dead = Publisher::attach(memory.parts(), 0, Company::Others);
            assert_eq!(dead.claim(1, |_| None), Turn::Ours);
            let mut publisher = Publisher::attach(memory.parts(), 1, Company::Others);
            let mut subscriber = Subscriber::attach_lossy(memory.parts(), 0).unwrap();
            let reader = thread::spawn(move || {
                subscriber.step_over_dead(life);
                let seen = look_once(&mut subscriber);
                (subscriber, seen)
            });
            assert_eq!(memory.parts().repair(0, life), Repair::Resolved);
            // The hole has the number 0.
            (1..=messages).for_each(|number| memory.publish(&mut publisher, number));
            let (mut subscriber, mut seen) = reader.join().unwrap();
            for _ in 0..4 {
                subscriber.step_over_dead(life);
                seen += look_once(&mut subscriber);
            }
            assert_eq!(seen, messages + 1, "every number once, and the hole");
        });
    }
}

#[test]
fn loom_two_publishers_free_the_same_frames() {
    explore("frames, lossless without subscribers, 2 publishers", Some(3), || {
        let memory = Memory::new(true);
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        (0..2).for_each(|value| memory.publish(&mut publisher, value));
        let shared = memory.clone();
        let other = thread::spawn(move || {
            let mut publisher = Publisher::attach(shared.parts(), 1, Company::Others);
            shared.publish(&mut publisher, 2);
        });
        memory.publish(&mut publisher, 3);
        other.join().unwrap();
        // Both cells are full again, so both frames before were freed, and counted once each.
        assert_eq!(memory.parts().first().unwrap().map(|(_, number)| number), Some(2));
    });
}

#[test]
fn loom_publishers_wait_for_a_subscriber_of_frames() {
    explore("frames, lossless, 1 publisher, 1 subscriber", Some(3), || {
        let memory = Memory::new(true);
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        let mut subscriber = Subscriber::attach_lossless(memory.parts(), SUBSCRIBER, 1, 0).unwrap().unwrap();
        let shared = memory.clone();
        let reader = thread::spawn(move || {
            for value in 0..2 {
                while subscriber.look() != Sight::Message {
                    thread::yield_now();
                }
                let payload = subscriber.payload().expect("there is a message").0;
                // SAFETY: loom checks that nobody else writes.
                assert_eq!(shared.watched(payload).with(|payload| unsafe { *payload }), value);
                assert!(subscriber.accept());
                subscriber.pass();
            }
            subscriber.detach();
        });
        (0..4).for_each(|value| memory.publish(&mut publisher, value));
        reader.join().unwrap();
    });
}

/// Publishes, if there is room, in the word alone: a copy that is overwritten is an access that is not ordered, and
/// comes to nothing.
fn overwrite(publisher: &mut Publisher, value: u64) {
    if publisher.claim(1, |line| (line == SUBSCRIBER).then_some(1)) == Turn::Ours {
        // Relaxed: the stamp publishes it.
        word(publisher.payload().expect("a frame has been claimed")).store(value, Ordering::Relaxed);
        publisher.pass();
    }
}

/// One look by a subscriber who may be evicted meanwhile. What it accepts is 7.
fn copy_beside_an_evictor(mut subscriber: Subscriber) {
    match subscriber.look() {
        Sight::Message => {
            // Relaxed: the stamp has been acquired, and `accept` tells whether the word belongs to it.
            let value = word(subscriber.payload().expect("there is a message").0).load(Ordering::Relaxed);
            assert!(!subscriber.accept() || value == 7, "another message");
        }
        sight => assert_eq!(sight, Sight::Evicted),
    }
}

#[test]
fn loom_an_evicted_subscriber_of_frames_accepts_nothing_that_was_overwritten() {
    for is_by_another in [false, true] {
        let who = if is_by_another { "a third" } else { "the publisher" };
        explore(&format!("frames, lossless, eviction by {who}"), None, move || {
            let memory = Memory::new(true);
            let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
            let subscriber = Subscriber::attach_lossless(memory.parts(), SUBSCRIBER, 1, 0).unwrap().unwrap();
            [7, 8].into_iter().for_each(|value| overwrite(&mut publisher, value));
            let parts = memory.parts();
            let reader = thread::spawn(move || copy_beside_an_evictor(subscriber));
            let publish = move || overwrite(&mut publisher, 9);
            // Nothing but the note tells a publisher on another thread of the eviction.
            let other = if is_by_another { Ok(thread::spawn(publish)) } else { Err(publish) };
            assert!(parts.evict(SUBSCRIBER, 1));
            match other {
                Ok(other) => other.join().unwrap(),
                Err(mut publish) => publish(),
            }
            reader.join().unwrap();
        });
    }
}

#[test]
fn loom_a_publisher_that_comes_to_room_made_by_another_passes_the_eviction_on() {
    explore("frames, lossless, room made by 1 publisher for another, eviction", Some(3), || {
        let memory = Memory::new(true);
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        let subscriber = Subscriber::attach_lossless(memory.parts(), SUBSCRIBER, 1, 0).unwrap().unwrap();
        [7, 8].into_iter().for_each(|value| overwrite(&mut publisher, value));
        let parts = memory.parts();
        let other = thread::spawn(move || overwrite(&mut Publisher::attach(parts, 1, Company::Others), 9));
        let reader = thread::spawn(move || copy_beside_an_evictor(subscriber));
        assert!(parts.evict(SUBSCRIBER, 1));
        // It moves `oldest`, and claims nothing: it has died by then, or the other one was faster.
        let at = parts.tail().unwrap();
        publisher.make_room(at, 1, |line| (line == SUBSCRIBER).then_some(1)).unwrap();
        [other, reader].into_iter().for_each(|thread| thread.join().unwrap());
    });
}
