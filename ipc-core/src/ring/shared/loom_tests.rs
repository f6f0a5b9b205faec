//! The shared ring under loom, with deaths before every store. Run as the exclusive ring's.
//!
//! Three threads are more than loom can explore in full, so the models are bounded: in every execution, a thread is
//! interrupted at most so many times where it could have gone on (`PREEMPTIONS`). What a load may see is not bounded.
//! Nobody waits in them: with more than one thread that does, there is no end to the interleavings. The threads try, and
//! what they have not done is done when they have ended.

use super::*;
use crate::atomics::explore::explore;
use crate::atomics::mortal::die_after;
use crate::ring::claims::{Counter, Records};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64 as Word, fence};
use loom::thread;

mod batches;

/// Interruptions in an execution, unless the model says otherwise.
const PREEMPTIONS: usize = 3;

/// The same for one that has a message behind it when it dies.
fn preemptions(company: Company) -> usize {
    if company == Company::Alone { PREEMPTIONS - 1 } else { PREEMPTIONS }
}

/// Lines of each role.
const LINES: usize = 2;

/// An empty ring of loom's atomics. The payloads are cells beside it, so that loom notices every access to one that is
/// not ordered after the last access by somebody else, even where the values happen to be right.
struct Memory {
    stamps: Vec<AtomicU64>,
    control: [AtomicU64; 5],
    records: Vec<AtomicU64>,
    payloads: Vec<UnsafeCell<u64>>,
    framing: Framing,
    /// Which lines' owners have died, producers first.
    dead: Vec<Word>,
}

// SAFETY: loom checks the accesses to the cells; finding one that is not exclusive is what the models are for.
unsafe impl Sync for Memory {}

fn words(count: usize) -> Vec<AtomicU64> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

impl Memory {
    fn new(capacity: usize) -> Arc<Self> {
        Self::with_framing(capacity, Framing::Whole)
    }

    fn with_framing(capacity: usize, framing: Framing) -> Arc<Self> {
        Arc::new(Memory {
            framing,
            stamps: words(capacity),
            control: [0; 5].map(AtomicU64::new),
            records: words(2 * LINES * 3),
            payloads: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
            dead: (0..2 * LINES).map(|_| Word::new(0)).collect(),
        })
    }

    fn parts(&self) -> Parts {
        let at = |words: &[AtomicU64], index: usize| NonNull::from(&words[index]);
        // SAFETY: there are so many words, and every thread of the models keeps them. The payloads go unused.
        let cells = unsafe { Cells::with_stamps_inside(at(&self.stamps, 0), 1, self.stamps.len()) };
        let role = |control, record| {
            // SAFETY: as above.
            let counter = unsafe { Counter::new(at(&self.control, control), at(&self.control, control + 1)) };
            // SAFETY: as above; each role has `LINES` records of three words.
            let records = unsafe { Records::new(at(&self.records, record), 3, LINES) };
            Role { counter, records }
        };
        // SAFETY: as above.
        unsafe { Parts::new(cells, role(0, 0), role(2, LINES * 3), at(&self.control, 4), self.framing) }
    }

    fn producer(&self, line: usize) -> Producer {
        Producer::attach(self.parts(), line, Company::Others)
    }

    fn consumer(&self, line: usize) -> Consumer {
        Consumer::attach(self.parts(), line, Company::Others)
    }

    fn try_send(&self, producer: &mut Producer, value: u64) -> bool {
        // One that is alone claims by two stores, from its second message on.
        if let Some(begun) = producer.begin() {
            self.store(begun.at, value);
            producer.complete(begun);
            return true;
        }
        match producer.claim(1) {
            Turn::Ours => {}
            Turn::Theirs => return false,
            Turn::Broken(evidence) => panic!("{evidence:?}"),
        }
        self.store(producer.at, value);
        producer.pass();
        true
    }

    fn store(&self, at: Position, value: u64) {
        let cell = &self.payloads[self.parts().cells.index(at) as usize];
        // SAFETY: loom checks that nobody else has access.
        cell.with_mut(|payload| unsafe { *payload = value });
    }

    fn load(&self, at: Position) -> u64 {
        let cell = &self.payloads[self.parts().cells.index(at) as usize];
        // SAFETY: loom checks that nobody else writes.
        cell.with(|payload| unsafe { *payload })
    }

    /// Tries to send some values; those that were sent.
    fn send(&self, producer: &mut Producer, values: impl IntoIterator<Item = u64>) -> Vec<u64> {
        values.into_iter().filter(|&value| self.try_send(producer, value)).collect()
    }

    fn try_receive(&self, consumer: &mut Consumer) -> Option<u64> {
        if let Some(begun) = consumer.begin() {
            let value = self.load(begun.at);
            consumer.complete(begun);
            return Some(value);
        }
        match consumer.claim() {
            Turn::Ours => {}
            Turn::Theirs => return None,
            Turn::Broken(evidence) => panic!("{evidence:?}"),
        }
        let value = self.load(consumer.at);
        consumer.pass();
        Some(value)
    }

    /// Tries to receive so many times; what was received.
    fn receive(&self, consumer: &mut Consumer, times: usize) -> Vec<u64> {
        (0..times).filter_map(|_| self.try_receive(consumer)).collect()
    }

    /// Receives what is there.
    fn drain(&self, consumer: &mut Consumer) -> Vec<u64> {
        std::iter::from_fn(|| self.try_receive(consumer)).collect()
    }

    /// What happens when a process ends by death, which the others can find out.
    fn bury(&self, dead: usize) {
        // Release: everything the dead one did comes before; pairs with the Acquire in `life`. The kernel sees to this.
        self.dead[dead].store(1, Ordering::Release);
    }

    fn life(&self, dead: usize) -> Life {
        // Acquire: as above.
        match self.dead[dead].load(Ordering::Acquire) {
            0 => Life::Live,
            _ => Life::Dead { generation: 1 },
        }
    }

    fn repair_producer(&self, line: usize) -> Repair {
        self.parts().repair_producer(line, |line| self.life(line))
    }

    fn repair_consumer(&self, line: usize, orphans: Orphans) -> Repair {
        self.parts().repair_consumer(line, |line| self.life(LINES + line), orphans)
    }
}

/// A newcomer's heavy barrier.
fn barrier() {
    // SeqCst: pairs with `light_fence`.
    fence(Ordering::SeqCst);
}

/// The same in ascending order.
fn sorted(mut values: Vec<u64>) -> Vec<u64> {
    values.sort_unstable();
    values
}

/// Whether the values of each sender, who counts within its ten, come in order.
fn is_in_order(values: &[u64]) -> bool {
    let of = |sender| values.iter().filter(move |&value| value / 10 == sender);
    (0..2).all(|sender| of(sender).is_sorted())
}

#[test]
fn loom_two_producers_and_a_consumer() {
    for capacity in [1, 2] {
        explore(&format!("two producers, a consumer, capacity {capacity}"), Some(PREEMPTIONS), move || {
            let memory = Memory::new(capacity);
            let senders = [0, 1].map(|line| {
                let shared = memory.clone();
                let mut producer = memory.producer(line);
                thread::spawn(move || shared.send(&mut producer, [line as u64 * 10 + 1, line as u64 * 10 + 2]))
            });
            let mut consumer = memory.consumer(0);
            let mut received = memory.receive(&mut consumer, 2);
            let sent = senders.map(|sender| sender.join().unwrap()).concat();
            received.extend(memory.drain(&mut consumer));
            assert!(is_in_order(&received));
            assert!(!sent.is_empty() && sorted(received) == sorted(sent));
            assert!(memory.parts().is_drained());
        });
    }
}

#[test]
fn loom_a_producer_and_two_consumers() {
    for capacity in [1, 2] {
        explore(&format!("a producer, two consumers, capacity {capacity}"), Some(PREEMPTIONS), move || {
            let memory = Memory::new(capacity);
            let mut producer = memory.producer(0);
            let mut sent = memory.send(&mut producer, [1]);
            let mut last = memory.consumer(0);
            let receivers = [0, 1].map(|line| {
                let shared = memory.clone();
                let mut consumer = memory.consumer(line);
                thread::spawn(move || shared.receive(&mut consumer, 2))
            });
            sent.extend(memory.send(&mut producer, 2..=4));
            let received = receivers.map(|receiver| receiver.join().unwrap());
            assert!(received.iter().all(|received| received.is_sorted()), "each sees them in order");
            let received = [received.concat(), memory.drain(&mut last)].concat();
            assert_eq!(sorted(received), sent);
        });
    }
}

#[test]
fn loom_the_only_producer_gets_company() {
    for capacity in [1, 3] {
        explore(&format!("a second producer joins, capacity {capacity}"), Some(PREEMPTIONS), move || {
            let memory = Memory::new(capacity);
            let mut only = Producer::attach(memory.parts(), 0, Company::Alone);
            let shared = memory.clone();
            let first = thread::spawn(move || shared.send(&mut only, [1, 2]));
            let shared = memory.clone();
            let second = thread::spawn(move || {
                shared.parts().producers.counter.announce();
                barrier();
                shared.send(&mut shared.producer(1), [11])
            });
            let mut consumer = Consumer::attach(memory.parts(), 0, Company::Alone);
            let mut received = memory.receive(&mut consumer, 1);
            let sent = [first.join().unwrap(), second.join().unwrap()].concat();
            received.extend(memory.drain(&mut consumer));
            assert!(is_in_order(&received));
            assert!(!sent.is_empty() && sorted(received) == sorted(sent));
            assert_eq!(memory.parts().len(), 0);
        });
    }
}

#[test]
fn loom_the_only_consumer_gets_company() {
    for capacity in [2, 3] {
        explore(&format!("a second consumer joins, capacity {capacity}"), Some(PREEMPTIONS), move || {
            let memory = Memory::new(capacity);
            let mut producer = Producer::attach(memory.parts(), 0, Company::Alone);
            let mut sent = memory.send(&mut producer, [1, 2]);
            let mut only = Consumer::attach(memory.parts(), 0, Company::Alone);
            let shared = memory.clone();
            let first = thread::spawn(move || (shared.receive(&mut only, 2), only));
            let shared = memory.clone();
            let second = thread::spawn(move || {
                shared.parts().consumers.counter.announce();
                barrier();
                shared.receive(&mut shared.consumer(1), 1)
            });
            sent.extend(memory.send(&mut producer, [3]));
            let (received, mut only) = first.join().unwrap();
            assert!(received.is_sorted());
            let received = [received, second.join().unwrap(), memory.drain(&mut only)].concat();
            assert_eq!(sorted(received), sent);
        });
    }
}

/// A producer dies before store number `death` of sending 1, while another one sends, and the consumer repairs.
fn dying_producer(death: u32, company: Company) {
    let memory = Memory::new(2);
    let mut mortal = Producer::attach(memory.parts(), 0, company);
    // Then it sends by the short way.
    let early = if company == Company::Alone { memory.send(&mut mortal, [0]) } else { Vec::new() };
    let shared = memory.clone();
    let doomed = thread::spawn(move || {
        let end = die_after(death, || shared.send(&mut mortal, [1]));
        shared.bury(0);
        end.unwrap_or_default()
    });
    let shared = memory.clone();
    let live = thread::spawn(move || {
        shared.parts().producers.counter.announce();
        barrier();
        let mut producer = shared.producer(1);
        producer.settle(|line| shared.life(line));
        shared.send(&mut producer, [11, 12])
    });
    let mut consumer = memory.consumer(0);
    memory.repair_producer(0);
    let mut received = memory.receive(&mut consumer, 1);
    let sent = [early, doomed.join().unwrap(), live.join().unwrap()].concat();
    assert_eq!(memory.repair_producer(0), Repair::Resolved);
    received.extend(memory.drain(&mut consumer));
    assert!(is_in_order(&received));
    let parts = memory.parts();
    let claimed = parts.cells.cells_between(Position::default(), parts.producers.counter.load(&parts.cells).unwrap());
    assert_eq!(claimed, received.len() as u64 + parts.losses(), "what was claimed is there or is counted");
    received.retain(|value| *value != 1 || sent.contains(&1));
    assert_eq!(sorted(received), sorted(sent), "what was sent arrives");
    assert_eq!(parts.len(), 0);
}

#[test]
fn loom_a_producer_is_killed_at_every_store() {
    for company in [Company::Others, Company::Alone] {
        for death in 0..6 {
            let name = format!("a producer dies before store {death}, {company:?}");
            explore(&name, Some(preemptions(company)), move || dying_producer(death, company));
        }
    }
}

#[test]
fn loom_two_producers_are_killed_and_two_repair() {
    // Each claims a different number of units, so that it matters which of them won.
    for deaths in [(2, 2), (2, 3), (3, 2), (3, 3)] {
        explore(&format!("two producers die before stores {deaths:?}"), Some(PREEMPTIONS), move || {
            let memory = Memory::new(4);
            let doom = |line: usize, death| {
                let shared = memory.clone();
                let mut producer = memory.producer(line);
                thread::spawn(move || {
                    let end = die_after(death, || producer.claim(line as u16 + 1));
                    assert_eq!(end, None);
                    shared.bury(line);
                })
            };
            let doomed = [doom(0, deaths.0), doom(1, deaths.1)];
            let mut consumer = memory.consumer(0);
            memory.repair_producer(0);
            assert_eq!(memory.try_receive(&mut consumer), None);
            doomed.into_iter().for_each(|doomed| doomed.join().unwrap());
            assert_eq!([0, 1].map(|line| memory.repair_producer(line)), [Repair::Resolved; 2]);
            assert_eq!(memory.try_receive(&mut consumer), None);
            let parts = memory.parts();
            assert_eq!(parts.len(), 0, "the consumer has jumped over exactly what had been claimed");
            let claims = (deaths.0 == 3) as u64 + (deaths.1 == 3) as u64;
            assert!(parts.losses() >= claims.min(1) && parts.losses() <= 2);
        });
    }
}

#[test]
fn loom_repairers_are_killed_beside_each_other() {
    for death in 0..4 {
        explore(&format!("a repairer of a hole dies before store {death}"), Some(PREEMPTIONS), move || {
            let memory = Memory::new(2);
            let mut producer = memory.producer(0);
            assert_eq!(producer.claim(1), Turn::Ours);
            memory.bury(0);
            let repair = |death| {
                let shared = memory.clone();
                thread::spawn(move || die_after(death, || assert_eq!(shared.repair_producer(0), Repair::Resolved)))
            };
            let repairers = [repair(death), repair(u32::MAX)];
            let mut consumer = memory.consumer(0);
            assert_eq!(memory.try_receive(&mut consumer), None);
            repairers.into_iter().for_each(|repairer| _ = repairer.join().unwrap());
            assert_eq!(memory.try_receive(&mut consumer), None);
            assert_eq!((memory.parts().losses(), memory.parts().len()), (1, 0));
        });
    }
}

#[test]
fn loom_the_only_producer_goes_on_where_another_one_died() {
    explore("the only producer beside a repair", Some(PREEMPTIONS), || {
        let memory = Memory::new(2);
        let mut mortal = memory.producer(0);
        // Has written that it tries the first position, and has not moved the tail.
        assert_eq!(die_after(2, || mortal.claim(1)), None);
        memory.bury(0);
        let mut only = Producer::attach(memory.parts(), 1, Company::Alone);
        let shared = memory.clone();
        let sender = thread::spawn(move || shared.send(&mut only, [11, 12]));
        memory.repair_producer(0);
        assert_eq!(sender.join().unwrap(), [11, 12]);
        assert_eq!(memory.drain(&mut memory.consumer(0)), [11, 12]);
        assert_eq!(memory.parts().losses(), 0);
    });
}

/// A consumer dies before store number `death` of receiving, while another one receives and repairs.
fn dying_consumer(death: u32, company: Company, orphans: Orphans) {
    let memory = Memory::new(2);
    let mut mortal = Consumer::attach(memory.parts(), 0, company);
    let mut producer = Producer::attach(memory.parts(), 0, Company::Alone);
    if company == Company::Alone {
        // Then it receives by the short way.
        assert_eq!(memory.send(&mut producer, [0]), [0]);
        assert_eq!(memory.try_receive(&mut mortal), Some(0));
    }
    assert_eq!(memory.send(&mut producer, [1, 2]), [1, 2]);
    let shared = memory.clone();
    let doomed = thread::spawn(move || {
        let got = die_after(death, || shared.try_receive(&mut mortal));
        shared.bury(LINES);
        got.flatten()
    });
    let shared = memory.clone();
    let live = thread::spawn(move || {
        shared.parts().consumers.counter.announce();
        barrier();
        let mut consumer = shared.consumer(1);
        consumer.settle(|line| shared.life(LINES + line));
        (shared.receive(&mut consumer, 2), consumer)
    });
    memory.repair_consumer(0, orphans);
    let got = doomed.join().unwrap();
    let (mut received, mut consumer) = live.join().unwrap();
    assert!(consumer.settle(|line| memory.life(LINES + line)));
    assert_eq!(memory.repair_consumer(0, orphans), Repair::Resolved);
    received.extend(memory.drain(&mut consumer));
    let received = sorted([received, Vec::from_iter(got)].concat());
    let losses = memory.parts().losses();
    assert!(received == [1, 2] && losses == 0 || received.len() == 1 && losses == 1 && orphans == Orphans::Drop);
    assert!(memory.parts().is_drained());
    // The cells can be used again.
    assert_eq!(memory.send(&mut producer, [3, 4]), [3, 4]);
    assert_eq!(memory.drain(&mut consumer), [3, 4]);
}

#[test]
fn loom_a_consumer_is_killed_at_every_store() {
    for orphans in [Orphans::Redeliver, Orphans::Drop] {
        for company in [Company::Others, Company::Alone] {
            for death in 0..6 {
                let name = format!("a consumer dies before store {death}, {company:?}, {orphans:?}");
                explore(&name, Some(preemptions(company)), move || dying_consumer(death, company, orphans));
            }
        }
    }
}

#[test]
fn loom_repairers_of_a_consumer_are_killed_beside_each_other() {
    for orphans in [Orphans::Redeliver, Orphans::Drop] {
        for death in 0..4 {
            let name = format!("a repairer of a consumer dies before store {death}, {orphans:?}");
            explore(&name, Some(PREEMPTIONS), move || {
                let memory = Memory::new(2);
                let mut producer = memory.producer(0);
                assert_eq!(memory.send(&mut producer, [1]), [1]);
                assert_eq!(memory.consumer(0).claim(), Turn::Ours);
                memory.bury(LINES);
                let repair = |death| {
                    let shared = memory.clone();
                    // Pending, if it takes the consumer below for the one that may have the message.
                    thread::spawn(move || die_after(death, || shared.repair_consumer(0, orphans)))
                };
                let repairers = [repair(death), repair(u32::MAX)];
                let mut consumer = memory.consumer(1);
                let mut all = Vec::from_iter(memory.try_receive(&mut consumer));
                repairers.into_iter().for_each(|repairer| _ = repairer.join().unwrap());
                assert_eq!(memory.repair_consumer(0, orphans), Repair::Resolved);
                all.extend(memory.try_receive(&mut consumer));
                let losses = memory.parts().losses();
                assert_eq!((all.len() as u64, losses), if orphans == Orphans::Drop { (0, 1) } else { (1, 0) });
                assert!(memory.parts().is_drained());
            });
        }
    }
}

/// A consumer puts its message back, another one takes it and dies before store number `death`, and a third repairs.
fn dying_with_a_returned_message(death: u32) {
    let memory = Memory::new(1);
    let mut producer = memory.producer(0);
    assert_eq!(memory.send(&mut producer, [1]), [1]);
    let mut first = memory.consumer(0);
    let mut mortal = memory.consumer(1);
    assert_eq!(first.claim(), Turn::Ours);
    let shared = memory.clone();
    let doomed = thread::spawn(move || {
        let got = die_after(death, || shared.try_receive(&mut mortal));
        shared.bury(LINES + 1);
        got.flatten()
    });
    let shared = memory.clone();
    let repairer = thread::spawn(move || shared.repair_consumer(1, Orphans::Redeliver));
    first.put_back();
    let mut received = Vec::from_iter(doomed.join().unwrap());
    repairer.join().unwrap();
    assert_eq!(memory.repair_consumer(1, Orphans::Redeliver), Repair::Resolved);
    received.extend(memory.drain(&mut first));
    assert_eq!(received, [1]);
    assert_eq!(memory.send(&mut producer, [2]), [2]);
}

#[test]
fn loom_a_consumer_is_killed_with_a_message_that_was_put_back() {
    for death in 0..6 {
        let name = format!("a consumer of a returned message dies before store {death}");
        explore(&name, Some(PREEMPTIONS), move || dying_with_a_returned_message(death));
    }
}

/// A consumer watches `returns` while another one's message is returned, once: by a repairer, or by its consumer. Neither
/// comes again, so what the search misses for which the count is good is missed for good.
fn watching_for_a_return(is_put_back: bool) {
    let memory = Memory::new(1);
    let mut producer = memory.producer(0);
    assert_eq!(memory.send(&mut producer, [1]), [1]);
    let mut first = memory.consumer(0);
    assert_eq!(first.claim(), Turn::Ours);
    let shared = memory.clone();
    let returner = thread::spawn(move || match is_put_back {
        true => first.put_back(),
        false => {
            shared.bury(LINES);
            assert_eq!(shared.repair_consumer(0, Orphans::Redeliver), Repair::Resolved);
        }
    });
    let mut watcher = memory.consumer(1);
    let mut received = memory.receive(&mut watcher, 2);
    returner.join().unwrap();
    received.extend(memory.drain(&mut watcher));
    assert_eq!(received, [1]);
    assert!(memory.parts().is_drained());
}

#[test]
fn loom_a_consumer_watches_for_a_returned_message() {
    for is_put_back in [true, false] {
        let name = format!("a consumer watches for a message that is put back: {is_put_back}");
        explore(&name, None, move || watching_for_a_return(is_put_back));
    }
}

/// A consumer puts back, read, what a producer has just sent, while another one is searching for returned messages anyhow, so
/// that it finds this one by the stamp alone.
fn found_by_the_stamp() {
    let memory = Memory::new(1);
    let mut producer = memory.producer(0);
    let mut first = memory.consumer(0);
    assert_eq!(memory.send(&mut producer, [1]), [1]);
    assert_eq!(first.claim(), Turn::Ours);
    first.put_back();
    assert_eq!(memory.drain(&mut first), [1]);
    let shared = memory.clone();
    let sender = thread::spawn(move || (shared.send(&mut producer, [2]), producer));
    let shared = memory.clone();
    let returner = thread::spawn(move || {
        if first.claim() == Turn::Ours {
            // SAFETY: loom checks that nobody else writes.
            shared.payloads[0].with(|payload| assert_ne!(unsafe { *payload }, 1));
            first.put_back();
        }
    });
    let mut second = memory.consumer(1);
    let mut received = memory.receive(&mut second, 1);
    let (sent, mut producer) = sender.join().unwrap();
    assert_eq!(sent, [2]);
    // Where the message was is free if it has been received.
    let mut expected = vec![2];
    expected.extend(memory.send(&mut producer, [3]));
    returner.join().unwrap();
    received.extend(memory.drain(&mut second));
    expected.extend(memory.send(&mut producer, [4]));
    received.extend(memory.drain(&mut second));
    assert_eq!(received, expected);
}

#[test]
fn loom_a_returned_message_is_found_by_its_stamp_alone() {
    explore("a returned message is found by its stamp", Some(PREEMPTIONS), found_by_the_stamp);
}
