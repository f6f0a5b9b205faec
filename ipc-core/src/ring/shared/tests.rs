//! The shared ring against a naive oracle with deaths at every store, on wild words, and between threads.

use super::*;
use crate::atomics::mortal::die_after;
use crate::atomics::rival::beside_stores;
use crate::ring::claims::{Counter, Kind, Records};
use crate::ring::payload;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::AtomicU64 as Plain;
use std::thread;

mod batches;
mod oracle;

/// Payload words of a cell.
const PAYLOAD: usize = 2;

/// Lines of each role.
const LINES: usize = 3;

/// Words of a record, a line of its own.
const RECORD: usize = 16;

/// A ring on the heap.
struct Memory {
    payloads: Vec<AtomicU64>,
    stamps: Vec<AtomicU64>,
    /// Tail and the producers' `solo`; head, the consumers' `solo`, and `returns`.
    control: [AtomicU64; 5],
    records: Vec<AtomicU64>,
    framing: Framing,
}

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl Memory {
    /// An empty ring that has been in use up to position `start`, or a little later if that has no cell.
    fn new(capacity: usize, start: u64) -> Self {
        Self::with_framing(capacity, start, Framing::Whole)
    }

    fn with_framing(capacity: usize, start: u64, framing: Framing) -> Self {
        let control = [0; 5].map(AtomicU64::new);
        let memory = Memory {
            payloads: words(capacity * PAYLOAD),
            stamps: words(capacity),
            control,
            records: words(2 * LINES * RECORD),
            framing,
        };
        let cells = memory.parts().cells;
        let start = (start..).find_map(|word| cells.position(word)).expect("one of the next has a cell");
        for index in 0..capacity as u64 {
            let lap = if index < cells.index(start) { cells.next_lap(start) } else { cells.lap(start) };
            // Relaxed, here and below: whoever is handed the memory comes afterwards.
            memory.stamps[index as usize].store(Stamp::free(lap).word(), Ordering::Relaxed);
        }
        memory.control[0].store(start.word(), Ordering::Relaxed);
        memory.control[2].store(start.word(), Ordering::Relaxed);
        memory
    }

    fn parts(&self) -> Parts {
        let at = |words: &[AtomicU64], index: usize| NonNull::from(&words[index]);
        let (payloads, stamps) = (at(&self.payloads, 0), at(&self.stamps, 0));
        // SAFETY: the vectors have so many payloads and stamps, and the tests keep them for longer than the ends.
        let cells = unsafe { Cells::with_stamps_apart(payloads, PAYLOAD, stamps, self.stamps.len()) };
        let role = |control, record| {
            // SAFETY: as above.
            let counter = unsafe { Counter::new(at(&self.control, control), at(&self.control, control + 1)) };
            // SAFETY: as above; each role has `LINES` records.
            let records = unsafe { Records::new(at(&self.records, record), RECORD, LINES) };
            Role { counter, records }
        };
        // SAFETY: as above.
        unsafe { Parts::new(cells, role(0, 0), role(2, LINES * RECORD), at(&self.control, 4), self.framing) }
    }

    /// All words but the payloads.
    fn shared(&self) -> Vec<&AtomicU64> {
        self.stamps.iter().chain(&self.control).chain(&self.records).collect()
    }
}

fn word(payload: NonNull<AtomicU64>, word: usize) -> &'static AtomicU64 {
    assert!(word < PAYLOAD);
    // SAFETY: every cell has so many words.
    let word = unsafe { payload.add(word) };
    // SAFETY: as above. The tests use it at once, while the memory is there.
    unsafe { word.as_ref() }
}

/// Fills the cell `ahead` of the first one that the producer has.
fn fill(producer: &Producer, ahead: u16, value: u64) {
    let payload = producer.parts.cells.payload(producer.parts.cells.after(producer.at, ahead));
    payload::store(word(payload, 0), value);
    payload::store(word(payload, 1), !value);
}

/// What the cell `ahead` of the first one that the consumer has says.
fn read(consumer: &Consumer, ahead: u16) -> u64 {
    let payload = consumer.parts.cells.payload(consumer.parts.cells.after(consumer.at, ahead));
    let value = payload::load(word(payload, 0));
    assert_eq!(payload::load(word(payload, 1)), !value, "torn message");
    value
}

/// A participant that joins beside others. The barrier is a fence: nothing here runs at the same time.
fn joined<T>(counter: Counter, attach: impl FnOnce(Company) -> T) -> T {
    counter.announce();
    // SeqCst: the heavy side of `light_fence`.
    std::sync::atomic::fence(Ordering::SeqCst);
    attach(Company::Others)
}

#[test]
fn zeroed_memory_is_an_empty_ring() {
    let memory = Memory::new(3, 0);
    // Relaxed: one thread.
    assert!(memory.shared().iter().all(|word| word.load(Ordering::Relaxed) == 0));
    let parts = memory.parts();
    assert!(parts.is_drained() && parts.len() == 0);
    assert_eq!(Consumer::attach(parts, 0, Company::Alone).claim(), Turn::Theirs);
    assert_eq!(Producer::attach(parts, 0, Company::Alone).claim(1), Turn::Ours);
    assert_eq!(parts.len(), 0, "it has not been published");
}

#[test]
fn nothing_is_stored_to_a_cell_that_has_been_freed() {
    /// Words of a cell, of which the last is the stamp: three lines.
    const STRIDE: usize = 20;
    /// Sends one message, if there is room for it.
    fn send(producer: &mut Producer, value: u64) -> bool {
        let is_free = producer.claim(1) == Turn::Ours;
        if is_free {
            (0..STRIDE - 1).for_each(|at| payload::store(word_of(producer.payload(), at), value));
            producer.pass();
        }
        is_free
    }
    fn word_of(payload: NonNull<AtomicU64>, at: usize) -> &'static AtomicU64 {
        // SAFETY: the cell has so many words before its stamp.
        let word = unsafe { payload.add(at) };
        // SAFETY: as above. It is used at once, while the memory is there.
        unsafe { word.as_ref() }
    }
    fn receive(consumer: &mut Consumer, plainly: bool) -> Vec<u64> {
        let words = |payload| (0..STRIDE - 1).map(|at| payload::load(word_of(payload, at))).collect();
        match if plainly { consumer.begin() } else { None } {
            Some(begun) => {
                let received = words(begun.payload);
                consumer.complete(begun);
                received
            }
            None => {
                assert_eq!((consumer.claim(), plainly), (Turn::Ours, false));
                let received = words(consumer.payload());
                consumer.pass();
                received
            }
        }
    }
    for plainly in [false, true] {
        // More than a receiver makes stores.
        for stores in 1..12 {
            let (memory, slots) = (Memory::new(1, 0), words(STRIDE));
            // SAFETY: one cell of so many words, which the test keeps for longer than the ends.
            let cells = unsafe { Cells::with_stamps_inside(NonNull::from(&slots[0]), STRIDE, 1) };
            let parts = Parts { cells, ..memory.parts() };
            let producer = Rc::new(RefCell::new(Producer::attach(parts, 0, Company::Alone)));
            let mut consumer = Consumer::attach(parts, 0, Company::Alone);
            for value in [1, 2] {
                assert!(send(&mut producer.borrow_mut(), value));
                assert_eq!(receive(&mut consumer, plainly && value == 2), [value; STRIDE - 1]);
            }
            assert!(send(&mut producer.borrow_mut(), 3));
            let rival = producer.clone();
            let act = move || {
                send(&mut rival.borrow_mut(), 4);
            };
            assert_eq!(beside_stores(stores, act, || receive(&mut consumer, plainly)), [3; STRIDE - 1]);
            send(&mut producer.borrow_mut(), 4);
            assert_eq!(receive(&mut consumer, plainly), [4; STRIDE - 1], "sent before store {stores}");
        }
    }
}

#[test]
fn what_the_only_producer_does_not_finish_is_a_gap() {
    let memory = Memory::new(2, 0);
    let parts = memory.parts();
    let mut producer = Producer::attach(parts, 0, Company::Alone);
    let mut consumer = Consumer::attach(parts, 0, Company::Alone);
    assert_eq!(producer.begin(), None, "it has claimed nothing yet, and how many cells is not noted");
    for lap in 0..3 {
        assert_eq!(producer.claim(1), Turn::Ours);
        fill(&producer, 0, lap);
        producer.pass();
        let begun = producer.begin().expect("it is alone");
        producer.relinquish(begun);
        assert_eq!(consumer.claim(), Turn::Ours);
        assert_eq!(read(&consumer, 0), lap);
        consumer.pass();
        assert_eq!(consumer.claim(), Turn::Theirs);
    }
    assert!(parts.is_drained() && parts.losses() == 0);
}

#[test]
fn a_gap_at_the_end_lets_a_message_of_the_whole_capacity_through() {
    let memory = Memory::new(5, 0);
    let parts = memory.parts();
    let mut producer = Producer::attach(parts, 0, Company::Alone);
    let mut consumer = Consumer::attach(parts, 0, Company::Alone);
    for value in 0..20 {
        let units = [5, 1, 4, 2, 3][value as usize % 5];
        while producer.claim(units) != Turn::Ours {
            assert_eq!(consumer.claim(), Turn::Theirs, "a gap is jumped over");
        }
        fill(&producer, 0, value);
        producer.pass();
        assert_eq!((consumer.claim(), consumer.units()), (Turn::Ours, units));
        assert_eq!(read(&consumer, 0), value);
        consumer.pass();
    }
    assert!(parts.is_drained());
}

#[test]
fn a_newcomer_waits_for_the_only_one_until_that_has_noticed_or_died() {
    let memory = Memory::new(4, 0);
    let parts = memory.parts();
    let records = parts.producers.records;
    let mut only = Producer::attach(parts, 0, Company::Alone);
    assert_eq!(only.claim(1), Turn::Ours);
    only.pass();
    // Dies with SOLO in its record: after units and the claim.
    let died = die_after(1, || only.claim(1));
    assert_eq!(died, None);
    let mut newcomer = joined(parts.producers.counter, |company| Producer::attach(parts, 1, company));
    assert_eq!(newcomer.claim(1), Turn::Theirs);
    assert!(!newcomer.settle(|_| Life::Live));
    assert!(newcomer.settle(|line| if line == 0 { Life::Dead { generation: 1 } } else { Life::Live }));
    assert_eq!(newcomer.claim(1), Turn::Ours);
    newcomer.pass();
    // The same, with one that lives and notices.
    assert_ne!(records.claim(0).load(Ordering::Relaxed), 0);
    assert_eq!(only.claim(1), Turn::Ours, "as one of several");
    only.pass();
    assert_eq!((parts.len(), parts.losses()), (3, 0));
}

#[test]
fn a_message_that_is_put_back_or_left_behind_comes_again() {
    let memory = Memory::new(4, 0);
    let parts = memory.parts();
    let mut producer = Producer::attach(parts, 0, Company::Alone);
    for value in 0..3 {
        assert_eq!(producer.claim(1), Turn::Ours);
        fill(&producer, 0, value);
        producer.pass();
    }
    let mut consumer = Consumer::attach(parts, 0, Company::Alone);
    for returned in 0..3 {
        assert_eq!((consumer.claim(), read(&consumer, 0), consumer.returned()), (Turn::Ours, 0, returned));
        consumer.put_back();
    }
    assert_eq!(consumer.claim(), Turn::Ours);
    consumer.detach();
    let mut consumer = Consumer::attach(parts, 1, Company::Alone);
    for value in 0..3 {
        assert_eq!((consumer.claim(), read(&consumer, 0)), (Turn::Ours, value));
        consumer.pass();
    }
    producer.detach();
    assert!(parts.is_drained());
}

#[test]
fn what_was_claimed_long_ago_is_not_taken_for_a_hole() {
    // A stamp has 33 bits of the lap: here they come round while an idle producer's record stays.
    let memory = Memory::new(1, 0);
    let parts = memory.parts();
    let mut producer = Producer::attach(parts, 0, Company::Alone);
    let mut consumer = Consumer::attach(parts, 0, Company::Alone);
    assert_eq!(producer.claim(1), Turn::Ours);
    producer.pass();
    assert_eq!(consumer.claim(), Turn::Ours);
    consumer.pass();
    // Relaxed, here and below: one thread.
    memory.control[0].store(1 << 33, Ordering::Relaxed);
    memory.control[2].store(1 << 33, Ordering::Relaxed);
    memory.stamps[0].store(Stamp::free(0).word(), Ordering::Relaxed);
    let dead = |_| Life::Dead { generation: 1 };
    assert_eq!(parts.repair_producer(0, dead), Repair::Resolved);
    assert_eq!(parts.repair_consumer(0, dead, Orphans::Redeliver), Repair::Resolved);
    // Relaxed: as above.
    assert_eq!((parts.losses(), memory.stamps[0].load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn which_of_two_dead_producers_has_claimed_follows_from_what_came_after() {
    // Units of the one who loses and of the one who wins, and of a third one that follows, if it does; in the second and
    // the last case its claim ends where the loser's would have.
    let cases = [(3, 1, None), (3, 1, Some(2)), (3, 1, Some(1)), (1, 3, None), (1, 3, Some(1)), (2, 1, Some(1))];
    for (losing, winning, following) in cases {
        for has_followed_on in [false, true] {
            let memory = Memory::new(8, 0);
            let parts = memory.parts();
            let join = |line| joined(parts.producers.counter, |company| Producer::attach(parts, line, company));
            let (mut loser, mut winner, mut third) = (join(0), join(1), join(2));
            // Both have written units and TRYING, and only one of them has moved the tail.
            assert_eq!(die_after(2, || loser.claim(losing)), None);
            assert_eq!(die_after(3, || winner.claim(winning)), None);
            if let Some(units) = following {
                assert_eq!(third.claim(units), Turn::Ours);
                fill(&third, 0, 7);
                third.pass();
                if has_followed_on {
                    assert_eq!(third.claim(1), Turn::Ours);
                }
            }
            let life = |line| if line == 2 { Life::Live } else { Life::Dead { generation: 1 } };
            assert_eq!([0, 1].map(|line| parts.repair_producer(line, life)), [Repair::Resolved; 2]);
            assert_eq!(parts.losses(), 1);
            // Relaxed: one thread.
            assert_eq!(Stamp::from_word(memory.stamps[0].load(Ordering::Relaxed)).units, winning);
            let mut consumer = Consumer::attach(parts, 0, Company::Alone);
            assert_eq!(consumer.claim(), if following.is_some() { Turn::Ours } else { Turn::Theirs });
        }
    }
}

/// Of two consumers that have taken messages of so many units before, if any, one dies when it is about to take a returned
/// message of two units, and the other one when it has, be it at once or when it is about to put it back.
fn two_consumers_die_over_a_message(earlier: [u16; 2], is_put_back: bool, orphans: Orphans) {
    let memory = Memory::new(16, 0);
    let parts = memory.parts();
    let mut producer = Producer::attach(parts, 0, Company::Alone);
    let mut send = |units, value| {
        assert_eq!(producer.claim(units), Turn::Ours);
        fill(&producer, 0, value);
        producer.pass();
    };
    let join = |line| joined(parts.consumers.counter, |company| Consumer::attach(parts, line, company));
    let (mut loser, mut holder, mut third) = (join(0), join(1), join(2));
    for (consumer, units) in [&mut loser, &mut holder].into_iter().zip(earlier).filter(|&(_, units)| units != 0) {
        send(units, 6);
        assert_eq!(consumer.claim(), Turn::Ours);
        consumer.pass();
    }
    send(2, 7);
    send(1, 8);
    assert_eq!(third.claim(), Turn::Ours);
    let at = third.at;
    third.put_back();

    // Stores to a record before it names the message: that clears a claim of other units, and that of the units.
    let noted = |earlier| if earlier == 2 { 0 } else { 1 + u32::from(earlier != 0) };
    // It has written TRYING, and does not get to the swap of the stamp.
    assert_eq!(die_after(noted(earlier[0]) + 1, || loser.claim()), None);
    if is_put_back {
        assert_eq!(holder.claim(), Turn::Ours);
        assert_eq!(die_after(1, || holder.put_back()), None);
    } else {
        assert_eq!(die_after(noted(earlier[1]) + 2, || holder.claim()), None);
    }
    // Relaxed, here and below: one thread.
    let stamp = |at| Stamp::from_word(parts.cells.stamp(at).load(Ordering::Relaxed));
    assert_eq!(stamp(at).state, State::Held);
    let named = at.word() << 2 | Kind::Trying as u64;
    assert_eq!([0, 1].map(|line| parts.consumers.records.claim(line).load(Ordering::Relaxed)), [named; 2]);

    let life = |line| if line == 2 { Life::Live } else { Life::Dead { generation: 1 } };
    assert_eq!([0, 1].map(|line| parts.repair_consumer(line, life, orphans)), [Repair::Resolved; 2]);
    match orphans {
        Orphans::Redeliver => {
            assert_eq!((third.claim(), third.units(), third.returned()), (Turn::Ours, 2, 2));
            assert_eq!(read(&third, 0), 7);
            third.pass();
        }
        Orphans::Drop => assert_eq!(stamp(at), Stamp::free(parts.cells.next_lap(at))),
    }
    assert_eq!(parts.losses(), u64::from(orphans == Orphans::Drop));
    assert_eq!((third.claim(), read(&third, 0)), (Turn::Ours, 8));
    third.pass();
    assert!(parts.is_drained());
}

#[test]
fn what_dead_consumers_took_before_does_not_matter_to_a_returned_message() {
    for earlier in (0..16).map(|pair| [pair % 4, pair / 4]) {
        for is_put_back in [false, true] {
            for orphans in [Orphans::Redeliver, Orphans::Drop] {
                two_consumers_die_over_a_message(earlier, is_put_back, orphans);
            }
        }
    }
}

/// Words that a wild peer might leave, near those that mean something.
fn wild() -> impl proptest::strategy::Strategy<Value = u64> {
    use proptest::prelude::*;
    let small_stamp = (0..8u64, 0..4u64, 0..9u64, 0..3u64)
        .prop_map(|(state, owner, units, lap)| lap << 31 | units << 15 | owner << 3 | state);
    prop_oneof![any::<u64>(), 0..20u64, (0..20u64).prop_map(|near| !near), small_stamp, Just(1 << 62)]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_words_can_be_worked_on(
        capacity in 1usize..6,
        words in proptest::collection::vec((0..200usize, wild()), 0..12),
        units in 1u16..6,
        is_alone in proptest::bool::ANY,
        attach_first in proptest::bool::ANY,
    ) {
        let memory = Memory::new(capacity, 0);
        let parts = memory.parts();
        let shared = memory.shared();
        // Relaxed: one thread.
        let scribble = || words.iter().for_each(|&(at, word)| shared[at % shared.len()].store(word, Ordering::Relaxed));
        if !attach_first {
            scribble();
        }
        let company = if is_alone { Company::Alone } else { Company::Others };
        let mut producer = Producer::attach(parts, 0, company);
        let mut consumer = Consumer::attach(parts, 0, company);
        if attach_first {
            scribble();
        }
        for _ in 0..3 {
            if producer.claim(units.min(capacity as u16)) == Turn::Ours {
                fill(&producer, 0, 7);
                producer.pass();
            }
            if consumer.claim() == Turn::Ours {
                assert!(u64::from(consumer.units()) <= parts.cells.room(consumer.at));
                consumer.pass();
            }
            let life = |line| if line == 0 { Life::Live } else { Life::Dead { generation: 1 } };
            for line in 0..LINES {
                parts.repair_producer(line, life);
                parts.repair_consumer(line, life, Orphans::Redeliver);
                parts.repair_consumer(line, life, Orphans::Drop);
            }
            producer.settle(life);
            consumer.settle(life);
            assert!(parts.len() <= capacity);
            parts.is_drained();
            parts.losses();
        }
    }
}

#[test]
fn threads_exchange_everything_once_and_in_order() {
    const MESSAGES: u64 = 10_000;
    const SENDERS: u64 = 2;
    for (capacity, is_variable) in [(1, false), (2, false), (64, false), (61, true)] {
        let memory = Memory::new(capacity, (1 << 32) - 5);
        let parts = memory.parts();
        let received = Plain::new(0);
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let attach = |company| Producer::attach(parts, sender as usize, company);
                let mut producer =
                    if sender == 0 { attach(Company::Alone) } else { joined(parts.producers.counter, attach) };
                scope.spawn(move || {
                    for number in 0..MESSAGES {
                        let units = if is_variable { 1 + (number * 7 % 30) as u16 } else { 1 };
                        while producer.claim(units) != Turn::Ours {
                            thread::yield_now();
                        }
                        fill(&producer, 0, sender << 32 | number);
                        producer.pass();
                    }
                    producer.detach();
                });
            }
            for receiver in 0..2 {
                let attach = |company| Consumer::attach(parts, receiver, company);
                let mut consumer =
                    if receiver == 0 { attach(Company::Alone) } else { joined(parts.consumers.counter, attach) };
                let received = &received;
                scope.spawn(move || {
                    let (mut next, mut sum) = ([0; SENDERS as usize], 0);
                    // Relaxed: only the number counts.
                    while received.load(Ordering::Relaxed) < SENDERS * MESSAGES {
                        if consumer.claim() != Turn::Ours {
                            thread::yield_now();
                            continue;
                        }
                        let value = read(&consumer, 0);
                        consumer.pass();
                        let (sender, number) = ((value >> 32) as usize, value & 0xffff_ffff);
                        assert!(number >= next[sender], "out of order");
                        next[sender] = number + 1;
                        sum += number + 1;
                        // Relaxed: as above.
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                    consumer.detach();
                    sum
                });
            }
        });
        assert!(parts.is_drained() && parts.losses() == 0);
    }
}
