//! Batches on the shared ring.

use super::*;

impl Memory {
    /// Tries to send values together, from `first` on, of which there may be up to `most`; those that were sent.
    fn send_batch(&self, producer: &mut Producer, first: u64, most: u16) -> Vec<u64> {
        if producer.claim_up_to(most) != Turn::Ours {
            return Vec::new();
        }
        let count = producer.units();
        let values: Vec<_> = (first..first + u64::from(count)).collect();
        for (ahead, &value) in (0..).zip(&values) {
            let cell = producer.parts.cells.after(producer.at, ahead);
            let payload = &self.payloads[producer.parts.cells.index(cell) as usize];
            // SAFETY: loom checks that nobody else has access.
            payload.with_mut(|payload| unsafe { *payload = value });
        }
        producer.pass_many(count);
        values
    }

    /// Tries to receive up to `most` values together, and frees them together, or one by one.
    fn receive_batch(&self, consumer: &mut Consumer, most: u16, is_one_by_one: bool) -> Vec<u64> {
        if consumer.claim_up_to(most) != Turn::Ours {
            return Vec::new();
        }
        let count = consumer.messages();
        let read = |ahead| {
            let cell = consumer.parts.cells.after(consumer.at, ahead);
            // SAFETY: loom checks that nobody else writes.
            self.payloads[consumer.parts.cells.index(cell) as usize].with(|payload| unsafe { *payload })
        };
        let values = (0..count).map(read).collect();
        if is_one_by_one {
            (0..count).for_each(|_| consumer.pass())
        } else {
            consumer.pass_many(count)
        }
        values
    }
}

#[test]
fn loom_batches_of_two_producers_and_a_consumer() {
    for capacity in [2, 3] {
        explore(&format!("batches, two producers, capacity {capacity}"), Some(PREEMPTIONS), move || {
            let memory = Memory::with_framing(capacity, Framing::PerCell);
            let senders = [0, 1].map(|line| {
                let shared = memory.clone();
                let mut producer = memory.producer(line);
                thread::spawn(move || shared.send_batch(&mut producer, line as u64 * 10 + 1, 2))
            });
            let mut consumer = memory.consumer(0);
            let mut received = memory.receive_batch(&mut consumer, 3, false);
            let sent = senders.map(|sender| sender.join().unwrap()).concat();
            received.extend(memory.drain(&mut consumer));
            assert!(is_in_order(&received));
            assert!(!sent.is_empty() && sorted(received) == sorted(sent));
            assert!(memory.parts().is_drained());
        });
    }
}

/// A producer dies before store number `death` of sending two together, while another one sends, and the consumer repairs.
fn dying_batch_producer(death: u32) {
    let memory = Memory::with_framing(3, Framing::PerCell);
    let mut mortal = memory.producer(0);
    let shared = memory.clone();
    let doomed = thread::spawn(move || {
        die_after(death, || shared.send_batch(&mut mortal, 1, 2));
        shared.bury(0);
    });
    let shared = memory.clone();
    let live = thread::spawn(move || shared.send(&mut shared.producer(1), [11]));
    let mut consumer = memory.consumer(0);
    memory.repair_producer(0);
    let mut received = memory.receive_batch(&mut consumer, 2, true);
    doomed.join().unwrap();
    let sent = live.join().unwrap();
    assert_eq!(memory.repair_producer(0), Repair::Resolved);
    received.extend(memory.drain(&mut consumer));
    let parts = memory.parts();
    let claimed = parts.cells.cells_between(Position::default(), parts.producers.counter.load(&parts.cells).unwrap());
    assert_eq!(claimed, received.len() as u64 + parts.losses(), "each message is there or is counted");
    assert!(received.iter().filter(|&&value| value > 10).eq(&sent));
    assert_eq!(parts.len(), 0);
}

#[test]
fn loom_a_producer_of_a_batch_is_killed_at_every_store() {
    for death in 0..6 {
        let name = format!("a producer of a batch dies before store {death}");
        explore(&name, Some(PREEMPTIONS), move || dying_batch_producer(death));
    }
}

/// A consumer dies before store number `death` of receiving two together, while another one receives, and two repair.
fn dying_batch_consumer(death: u32, is_one_by_one: bool, orphans: Orphans) {
    let memory = Memory::with_framing(3, Framing::PerCell);
    let mut mortal = memory.consumer(0);
    let mut producer = memory.producer(0);
    assert_eq!(memory.send_batch(&mut producer, 1, 3), [1, 2, 3]);
    let shared = memory.clone();
    let doomed = thread::spawn(move || {
        die_after(death, || shared.receive_batch(&mut mortal, 2, is_one_by_one));
        shared.bury(LINES);
        // What it had not freed comes again; what it had is not seen any more.
    });
    let shared = memory.clone();
    let live = thread::spawn(move || {
        let mut consumer = shared.consumer(1);
        let received = shared.receive_batch(&mut consumer, 1, false);
        shared.repair_consumer(0, orphans);
        (received, consumer)
    });
    memory.repair_consumer(0, orphans);
    doomed.join().unwrap();
    let (mut received, mut consumer) = live.join().unwrap();
    assert_eq!(memory.repair_consumer(0, orphans), Repair::Resolved);
    received.extend(memory.drain(&mut consumer));
    let parts = memory.parts();
    received = sorted(received);
    received.dedup();
    let freed = if death > 3 || death == u32::MAX { 2 } else { 0 };
    assert!(received.len() as u64 + parts.losses() + freed >= 3, "{received:?}, {} are lost", parts.losses());
    assert!(parts.losses() == 0 || orphans == Orphans::Drop);
    assert!(parts.is_drained());
    // The cells can be used again.
    assert_eq!(memory.send_batch(&mut producer, 21, 3), [21, 22, 23]);
    assert_eq!(memory.receive_batch(&mut consumer, 3, false), [21, 22, 23]);
}

#[test]
fn loom_a_consumer_of_a_batch_is_killed_at_every_store() {
    for orphans in [Orphans::Redeliver, Orphans::Drop] {
        for is_one_by_one in [false, true] {
            for death in 0..6 {
                let name = format!("a consumer of a batch dies before store {death}, {is_one_by_one}, {orphans:?}");
                explore(&name, Some(2), move || dying_batch_consumer(death, is_one_by_one, orphans));
            }
        }
    }
}

#[test]
fn loom_two_consumers_of_batches_are_killed_and_two_repair() {
    // Each claims a different number of messages, so that it matters which of them won.
    for orphans in [Orphans::Redeliver, Orphans::Drop] {
        for deaths in [(2, 2), (2, 3), (3, 2)] {
            let name = format!("two consumers of batches die before stores {deaths:?}, {orphans:?}");
            explore(&name, Some(2), move || {
                let memory = Memory::with_framing(3, Framing::PerCell);
                let mut producer = memory.producer(0);
                assert_eq!(memory.send_batch(&mut producer, 1, 3), [1, 2, 3]);
                // One has moved the head or not, the other one after it.
                let mut first = memory.consumer(0);
                let mut second = memory.consumer(1);
                let doom = thread::spawn({
                    let shared = memory.clone();
                    move || {
                        assert_eq!(die_after(deaths.0, || first.claim_up_to(1)), None);
                        shared.bury(LINES);
                    }
                });
                assert_eq!(die_after(deaths.1, || second.claim_up_to(2)), None);
                memory.bury(LINES + 1);
                memory.repair_consumer(1, orphans);
                doom.join().unwrap();
                let shared = memory.clone();
                let repairer = thread::spawn(move || die_after(1, || shared.repair_consumer(0, orphans)));
                assert_eq!(memory.repair_consumer(1, orphans), Repair::Resolved);
                repairer.join().unwrap();
                assert_eq!([0, 1].map(|line| memory.repair_consumer(line, orphans)), [Repair::Resolved; 2]);
                let received = sorted(memory.drain(&mut Consumer::attach(memory.parts(), 0, Company::Others)));
                let lost = memory.parts().losses();
                assert_eq!(received.len() as u64 + lost, 3);
                assert!(memory.parts().is_drained() && (lost == 0 || orphans == Orphans::Drop));
            });
        }
    }
}

/// A consumer puts two messages back, or what is left of them, while another one searches for returned messages anyhow.
#[test]
fn loom_a_batch_that_is_put_back_is_found_by_its_stamps_alone() {
    explore("a batch is put back", Some(2), || {
        let memory = Memory::with_framing(2, Framing::PerCell);
        let mut first = memory.consumer(0);
        memory.parts().tell_of_return();
        let shared = memory.clone();
        let returner = thread::spawn(move || {
            let sent = shared.send_batch(&mut shared.producer(0), 1, 2);
            assert_eq!(sent, [1, 2]);
            if first.claim_up_to(2) == Turn::Ours {
                first.put_back();
            }
        });
        let shared = memory.clone();
        let receiver = thread::spawn(move || {
            let mut second = shared.consumer(1);
            (shared.receive(&mut second, 2), second)
        });
        returner.join().unwrap();
        let (mut received, mut second) = receiver.join().unwrap();
        received.extend(memory.drain(&mut second));
        assert_eq!(sorted(received), [1, 2]);
    });
}
