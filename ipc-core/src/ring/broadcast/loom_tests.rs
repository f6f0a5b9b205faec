//! The broadcast ring under loom. Lossy subscribers copy what may be overwritten meanwhile, so there the payloads are
//! pairs of atomics whose halves belong together. In a lossless ring they are loom's cells as well, so that every access
//! that is not ordered is noticed.
//!
//! Loom looks for another order of two accesses to a word only if no third one, not even one by the same thread, comes
//! between them. A publisher loads a cell's stamp before it stores to it, which hides a subscriber's load before. So
//! the publisher runs first, on the main thread: what a subscriber finds that comes in between is then among the old
//! values that loom lets it load. And the fence of a publisher that is alone is a full one under loom, which hides what
//! another ordering is for; where that matters, there are others.

use super::*;
use crate::atomics::explore::explore;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

mod alone;
mod holes;

/// Words of a cell: two of payload and the stamp.
const STRIDE: usize = 3;
const RECORD_WORDS: usize = 3;
const LINES: usize = 4;

/// Lines of the subscribers.
const SUBSCRIBER: usize = 2;

/// What makes the second word of a payload from the first.
const MIX: u64 = 0x5555;

/// An empty ring of loom's atomics, with a cell beside each payload.
struct Memory {
    words: Vec<AtomicU64>,
    records: Vec<AtomicU64>,
    counter: [AtomicU64; 2],
    horizon: AtomicU64,
    payloads: Vec<UnsafeCell<u64>>,
    /// Of a lossy ring, and so how long a batch can be.
    margin: u16,
    history: Option<u64>,
}

// SAFETY: loom checks the accesses to the cells; finding one that is not exclusive is what the models are for.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(cells: usize, history: Option<u64>) -> Arc<Self> {
        Arc::new(Memory {
            words: (0..cells * STRIDE).map(|_| AtomicU64::new(0)).collect(),
            records: (0..LINES * RECORD_WORDS).map(|_| AtomicU64::new(0)).collect(),
            counter: [AtomicU64::new(0), AtomicU64::new(0)],
            horizon: AtomicU64::new(0),
            payloads: (0..cells).map(|_| UnsafeCell::new(0)).collect(),
            margin: cells.div_ceil(4) as u16,
            history,
        })
    }

    fn parts(&self) -> Parts {
        // SAFETY: there are whole cells, and every thread of the models keeps the memory alive, as the other words.
        let cells = unsafe { Cells::with_stamps_inside(NonNull::from(&self.words[0]), STRIDE, self.payloads.len()) };
        // SAFETY: as above.
        let records = unsafe { Records::new(NonNull::from(&self.records[0]), RECORD_WORDS, LINES) };
        let [position, solo] = &self.counter;
        // SAFETY: as above.
        let counter = unsafe { Counter::new(NonNull::from(position), NonNull::from(solo)) };
        let role = Role { counter, records };
        match self.history {
            // SAFETY: as above.
            None => unsafe { Parts::lossy(cells, role, NonNull::from(&self.horizon), self.margin) },
            Some(history) => Parts::lossless(cells, role, records, history),
        }
    }

    fn payload(&self, payload: NonNull<AtomicU64>) -> &UnsafeCell<u64> {
        let bytes = payload.addr().get() - NonNull::from(&self.words[0]).addr().get();
        &self.payloads[bytes / size_of::<AtomicU64>() / STRIDE]
    }

    /// Claims a cell and stores a message to it, in a lossless ring also to the cell that loom watches.
    fn fill(&self, publisher: &mut Publisher, value: u64) {
        claim(publisher);
        self.store(publisher, value);
    }

    fn store(&self, publisher: &Publisher, value: u64) {
        self.store_at(publisher.payload().expect("a cell has been claimed"), value);
    }

    fn store_at(&self, payload: NonNull<AtomicU64>, value: u64) {
        let (first, second) = halves(payload);
        // Relaxed: the stamp publishes them.
        first.store(value, Ordering::Relaxed);
        second.store(value ^ MIX, Ordering::Relaxed);
        if self.history.is_some() {
            // SAFETY: loom checks that nobody else has access.
            self.payload(payload).with_mut(|payload| unsafe { *payload = value });
        }
    }

    fn publish(&self, publisher: &mut Publisher, value: u64) {
        self.fill(publisher, value);
        publisher.pass();
    }

    /// Claims two cells and stores a message to each, the first of which is `value`.
    fn fill_two(&self, publisher: &mut Publisher, value: u64) {
        while publisher.claim_many(2, everyone) != Turn::Ours {
            thread::yield_now();
        }
        for ahead in 0..publisher.claimed() {
            let payload = publisher.payload_ahead(ahead).expect("so many cells have been claimed");
            self.store_at(payload, value + ahead as u64);
        }
    }

    /// What a lossless subscriber finds in place.
    fn read(&self, subscriber: &lossless::Subscriber) -> u64 {
        // SAFETY: loom checks that nobody else writes.
        self.payload(subscriber.payload()).with(|payload| unsafe { *payload })
    }

    fn receive(&self, subscriber: &mut lossless::Subscriber) -> u64 {
        while subscriber.look() != Sight::Message {
            thread::yield_now();
        }
        let value = self.read(subscriber);
        assert!(subscriber.accept());
        subscriber.pass();
        value
    }

    fn subscribe(&self, line: usize, history: u64) -> lossless::Subscriber {
        lossless::Subscriber::attach(self.parts(), line, 1, history).expect("the ring is lossless").expect("and whole")
    }
}

/// Claims a cell, as soon as there is one.
fn claim(publisher: &mut Publisher) {
    loop {
        match publisher.claim(everyone) {
            Turn::Ours => return,
            Turn::Theirs => thread::yield_now(),
            Turn::Broken(evidence) => panic!("{evidence:?}"),
        }
    }
}

/// Subscribers that count: all that have a cursor.
fn everyone(line: usize) -> Option<u32> {
    (line >= SUBSCRIBER).then_some(1)
}

/// The two words of a payload.
fn halves<'a>(payload: NonNull<AtomicU64>) -> (&'a AtomicU64, &'a AtomicU64) {
    // SAFETY: a payload has two words.
    let second = unsafe { payload.add(1) };
    // SAFETY: the memory outlives the ends, and what is made of them.
    let first = unsafe { payload.as_ref() };
    // SAFETY: as above.
    (first, unsafe { second.as_ref() })
}

/// What somebody copies who may be overtaken.
fn copy(payload: NonNull<AtomicU64>) -> (u64, u64) {
    let (first, second) = halves(payload);
    // Relaxed: `accept` has the fence.
    (first.load(Ordering::Relaxed), second.load(Ordering::Relaxed))
}

/// One look by a lossy subscriber of messages that are their numbers. Returns how many numbers it got or missed.
fn look_once(subscriber: &mut lossy::Subscriber) -> u64 {
    let number = subscriber.number();
    let begun = subscriber.begin().map(copy);
    if let Some(halves) = begun.filter(|_| subscriber.complete()) {
        assert_eq!(halves, (number, number ^ MIX), "torn message, or the wrong one");
        return 1;
    }
    match subscriber.look() {
        Sight::Nothing => 0,
        Sight::Missed(missed) => {
            assert!(missed > 0);
            missed
        }
        Sight::Message => {
            let halves = copy(subscriber.payload());
            if !subscriber.accept() {
                return 0;
            }
            assert_eq!(halves, (number, number ^ MIX), "torn message, or the wrong one");
            1
        }
        sight => panic!("{sight:?}"),
    }
}

#[test]
fn loom_a_lossy_subscriber_gets_whole_messages_and_counts_the_others() {
    for (cells, messages, looks, bound) in [(1, 2, 2, None), (1, 3, 2, Some(2)), (2, 3, 1, Some(2))] {
        explore("lossy, 1 publisher, 1 subscriber", bound, move || {
            let memory = Memory::new(cells, None);
            let mut publisher = Publisher::attach(memory.parts(), 0, Company::Alone);
            let mut subscriber = lossy::Subscriber::attach(memory.parts(), 0).unwrap();
            let reader = thread::spawn(move || {
                let seen: u64 = (0..looks).map(|_| look_once(&mut subscriber)).sum();
                (subscriber, seen)
            });
            (0..messages).for_each(|number| memory.publish(&mut publisher, number));
            let (mut subscriber, mut seen) = reader.join().unwrap();
            loop {
                match look_once(&mut subscriber) {
                    0 => break,
                    more => seen += more,
                }
            }
            assert_eq!(seen, messages, "every number once");
        });
    }
}

#[test]
fn loom_a_subscriber_that_goes_on_is_overtaken_between_two_messages() {
    for (cells, more, bound) in [(2, 2, None), (4, 3, Some(3))] {
        explore("lossy, 1 publisher that overtakes 1 subscriber on its way", bound, move || {
            let memory = Memory::new(cells, None);
            let mut publisher = Publisher::attach(memory.parts(), 0, Company::Alone);
            let mut subscriber = lossy::Subscriber::attach(memory.parts(), 0).unwrap();
            (0..2).for_each(|number| memory.publish(&mut publisher, number));
            assert_eq!(look_once(&mut subscriber), 1, "from here on the horizon is known");
            let reader = thread::spawn(move || {
                let seen = look_once(&mut subscriber);
                (subscriber, seen)
            });
            (2..2 + more).for_each(|number| memory.publish(&mut publisher, number));
            let (mut subscriber, mut seen) = reader.join().unwrap();
            loop {
                match look_once(&mut subscriber) {
                    0 => break,
                    more => seen += more,
                }
            }
            assert_eq!(seen, 1 + more, "every number once");
        });
    }
}

#[test]
fn loom_what_either_of_two_publishers_overwrites_is_not_accepted() {
    explore("lossy, 2 publishers that overtake 1 subscriber", Some(2), || {
        let memory = Memory::new(2, None);
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        (0..2).for_each(|number| memory.publish(&mut publisher, number));
        let mut subscriber = lossy::Subscriber::attach(memory.parts(), 2).unwrap();
        let shared = memory.clone();
        let other = thread::spawn(move || {
            let mut publisher = Publisher::attach(shared.parts(), 1, Company::Others);
            shared.publish(&mut publisher, 11);
        });
        let reader = thread::spawn(move || {
            if subscriber.look() == Sight::Message {
                let halves = copy(subscriber.payload());
                assert!(!subscriber.accept() || halves == (0, MIX), "torn message, or the wrong one");
            }
        });
        // One of the two comes after the other, whose move of the horizon may be enough for both.
        memory.publish(&mut publisher, 10);
        other.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn loom_two_publishers_have_one_order() {
    explore("lossy, 2 publishers, 1 subscriber", Some(2), || {
        let memory = Memory::new(2, None);
        let publish = |line: usize| {
            let shared = memory.clone();
            thread::spawn(move || {
                let mut publisher = Publisher::attach(shared.parts(), line, Company::Others);
                let value = 10 + line as u64;
                shared.publish(&mut publisher, value);
            })
        };
        let publishers = [publish(0), publish(1)];
        let mut subscriber = lossy::Subscriber::attach(memory.parts(), 2).unwrap();
        let mut values = Vec::new();
        let first = subscriber.number();
        let mut receive = |subscriber: &mut lossy::Subscriber| {
            let sight = subscriber.look();
            if sight == Sight::Message {
                let (value, other) = copy(subscriber.payload());
                assert!(subscriber.accept(), "nobody overtakes");
                assert_eq!(value ^ MIX, other, "torn message");
                values.push(value);
            }
            sight
        };
        receive(&mut subscriber);
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        while receive(&mut subscriber) == Sight::Message {}
        values.sort_unstable();
        assert_eq!(values.len() as u64, 2 - first);
        values.dedup();
        assert_eq!(values.len() as u64, 2 - first, "one of them twice");
    });
}

#[test]
fn loom_publishers_wait_for_the_slowest_subscriber() {
    for (subscribers, messages, preemptions) in [(1, 2, Some(3)), (2, 1, Some(1))] {
        explore(&format!("lossless, 1 publisher, {subscribers} subscribers"), preemptions, move || {
            let memory = Memory::new(1, Some(0));
            let threads: Vec<_> = (0..subscribers)
                .map(|which| {
                    let shared = memory.clone();
                    let mut subscriber = memory.subscribe(SUBSCRIBER + which, 0);
                    thread::spawn(move || {
                        (0..messages).for_each(|number| assert_eq!(shared.receive(&mut subscriber), number));
                        subscriber.detach();
                    })
                })
                .collect();
            let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
            // The last one waits for all of them to have passed those before.
            (0..=messages).for_each(|number| memory.publish(&mut publisher, number));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}

#[test]
fn loom_of_two_that_make_room_one_says_so() {
    explore("lossless, 1 sleeping publisher, 2 subscribers", None, || {
        let memory = Memory::new(1, Some(0));
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        let subscribers = [0, 1].map(|which| memory.subscribe(SUBSCRIBER + which, 0));
        memory.publish(&mut publisher, 0);
        assert_eq!(publisher.claim(everyone), Turn::Theirs);
        // It sleeps, and everybody has seen that: no fence but their own comes between their cursors and their looks.
        let says_so = subscribers.map(|mut subscriber| {
            thread::spawn(move || {
                subscriber.pass();
                subscriber.makes_room(everyone)
            })
        });
        assert!(says_so.map(|thread| thread.join().unwrap()).contains(&true), "the publisher sleeps on");
        assert_eq!(publisher.claim(everyone), Turn::Ours);
    });
}

#[test]
fn loom_a_publisher_that_goes_to_sleep_is_woken() {
    explore("lossless, 1 publisher that goes to sleep, 2 subscribers", Some(3), || {
        let memory = Memory::new(1, Some(0));
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        let subscribers = [0, 1].map(|which| memory.subscribe(SUBSCRIBER + which, 0));
        memory.publish(&mut publisher, 0);
        let is_asleep = Arc::new(AtomicU64::new(0));
        let wake = subscribers.map(|mut subscriber| {
            let is_asleep = is_asleep.clone();
            thread::spawn(move || {
                subscriber.pass();
                crate::atomics::light_fence();
                // Relaxed: the fence orders it after the cursor.
                is_asleep.load(Ordering::Relaxed) == 1 && subscriber.makes_room(everyone)
            })
        });
        // Relaxed: the fence, which is in the place of the barrier, orders it before the look.
        is_asleep.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let sleeps = publisher.claim(everyone) == Turn::Theirs;
        let is_woken = wake.map(|thread| thread.join().unwrap()).contains(&true);
        assert!(!sleeps || is_woken, "the publisher sleeps on");
    });
}

#[test]
fn loom_a_newcomer_gets_its_history_and_everything_after_it() {
    explore("lossless, joining beside a publisher", Some(3), || {
        let memory = Memory::new(2, Some(1));
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Alone);
        let shared = memory.clone();
        let newcomer = thread::spawn(move || {
            let mut subscriber = shared.subscribe(SUBSCRIBER, 1);
            let first = subscriber.number();
            assert!(first <= 3, "one message of history");
            assert_eq!(shared.receive(&mut subscriber), first);
            subscriber.detach();
        });
        (0..4).for_each(|number| memory.publish(&mut publisher, number));
        newcomer.join().unwrap();
    });
}

#[test]
fn loom_two_publishers_take_turns_in_a_cell() {
    explore("lossless, 2 publishers, 1 cell", Some(3), || {
        let memory = Memory::new(1, Some(0));
        let shared = memory.clone();
        let other = thread::spawn(move || {
            let mut publisher = Publisher::attach(shared.parts(), 1, Company::Others);
            // Twice, so that the other one may meet a cell that is done with again since it looked.
            shared.publish(&mut publisher, 1);
            shared.publish(&mut publisher, 2);
        });
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        memory.publish(&mut publisher, 0);
        other.join().unwrap();
        assert_eq!(memory.parts().number(), Ok(3));
    });
}

/// Publishes, if there is room, in the pair of atomics alone: a copy that is overwritten is an access that is not
/// ordered, and comes to nothing.
fn overwrite(publisher: &mut Publisher, value: u64) {
    if publisher.claim(everyone) == Turn::Ours {
        let (first, second) = halves(publisher.payload().expect("a cell has been claimed"));
        // Relaxed: the stamp publishes them.
        first.store(value, Ordering::Relaxed);
        second.store(value ^ MIX, Ordering::Relaxed);
        publisher.pass();
    }
}

/// One look by a subscriber who may be evicted meanwhile. What it accepts is 7.
fn copy_beside_an_evictor(mut subscriber: lossless::Subscriber) {
    match subscriber.look() {
        Sight::Message => {
            let halves = copy(subscriber.payload());
            assert!(!subscriber.accept() || halves == (7, 7 ^ MIX), "torn message, or the wrong one");
        }
        sight => assert_eq!(sight, Sight::Evicted),
    }
}

#[test]
fn loom_an_evicted_subscriber_accepts_nothing_that_was_overwritten() {
    for is_by_another in [false, true] {
        let who = if is_by_another { "a third" } else { "the publisher" };
        // Nobody waits: while a publisher that waits comes round again, what it loads hides the eviction from loom.
        explore(&format!("lossless, eviction by {who}"), None, move || {
            let memory = Memory::new(1, Some(0));
            let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
            let subscriber = memory.subscribe(SUBSCRIBER, 0);
            overwrite(&mut publisher, 7);
            assert_eq!(publisher.claim(everyone), Turn::Theirs);
            let parts = memory.parts();
            let reader = thread::spawn(move || copy_beside_an_evictor(subscriber));
            let publish = move || overwrite(&mut publisher, 8);
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
fn loom_a_batch_in_place_is_published_and_passed_as_a_whole() {
    explore("lossless, batches of 2", Some(3), || {
        let memory = Memory::new(2, Some(0));
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        let shared = memory.clone();
        let mut subscriber = memory.subscribe(SUBSCRIBER, 0);
        let reader = thread::spawn(move || {
            while subscriber.look() != Sight::Message {
                thread::yield_now();
            }
            assert!(subscriber.sees_ahead(1), "the first is published last");
            for ahead in 0..2 {
                // SAFETY: loom checks that nobody else writes.
                let value = shared.payload(subscriber.payload_ahead(ahead)).with(|payload| unsafe { *payload });
                assert_eq!(value, ahead as u64);
            }
            subscriber.pass_many(2);
            assert_eq!(shared.receive(&mut subscriber), 2);
        });
        for number in [0, 2] {
            memory.fill_two(&mut publisher, number);
            assert_eq!(publisher.claimed(), 2, "both cells are passed by one store");
            publisher.pass_many(2);
        }
        reader.join().unwrap();
    });
}

#[test]
fn loom_what_a_batch_overwrites_is_not_accepted() {
    explore("lossy, a batch that overtakes 1 subscriber", Some(3), || {
        let memory = Memory::new(5, None);
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        (0..5).for_each(|number| memory.publish(&mut publisher, number));
        let mut subscriber = lossy::Subscriber::attach(memory.parts(), 5).unwrap();
        let reader = thread::spawn(move || {
            if subscriber.look() != Sight::Message {
                return;
            }
            for ahead in 0..2 {
                if !subscriber.sees_ahead(ahead) {
                    break;
                }
                let (number, halves) = (ahead as u64, copy(subscriber.payload_ahead(ahead)));
                if !subscriber.is_intact(ahead) {
                    break;
                }
                assert_eq!(halves, (number, number ^ MIX), "torn message, or the wrong one");
            }
        });
        memory.fill_two(&mut publisher, 5);
        assert_eq!(publisher.claimed(), 2);
        publisher.pass_many(2);
        reader.join().unwrap();
    });
}

#[test]
fn loom_who_begins_in_the_middle_of_a_batch_gets_whole_messages() {
    explore("lossy, a newcomer whose history is the second of a batch", None, || {
        let memory = Memory::new(5, None);
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Others);
        let parts = memory.parts();
        // It may come to the second before the first is published.
        let reader = thread::spawn(move || look_once(&mut lossy::Subscriber::attach(parts, 1).unwrap()));
        memory.fill_two(&mut publisher, 0);
        assert_eq!(publisher.claimed(), 2);
        publisher.pass_many(2);
        reader.join().unwrap();
    });
}
