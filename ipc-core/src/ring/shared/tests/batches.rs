//! Batches, step by step: what a claim takes, and what a death leaves.

use super::*;

const CAPACITY: usize = 8;

/// A ring of a message per cell, with `count` messages from 0 on in it, and a producer and a consumer that have company.
fn ring_with(memory: &Memory, count: u64) -> (Parts, Producer, Consumer) {
    let parts = memory.parts();
    let mut producer = joined(parts.producers.counter, |company| Producer::attach(parts, 0, company));
    let consumer = joined(parts.consumers.counter, |company| Consumer::attach(parts, 0, company));
    for value in 0..count {
        send(&mut producer, value);
    }
    (parts, producer, consumer)
}

fn memory() -> Memory {
    Memory::with_framing(CAPACITY, 0, Framing::PerCell)
}

fn send(producer: &mut Producer, value: u64) {
    assert_eq!(producer.claim(1), Turn::Ours);
    fill(producer, 0, value);
    producer.pass();
}

/// Claims up to `most` cells and fills them with values from `first` on. How many there are.
fn fill_batch(producer: &mut Producer, most: u16, first: u64) -> u16 {
    assert_eq!(producer.claim_up_to(most), Turn::Ours);
    (0..producer.units()).zip(first..).for_each(|(ahead, value)| fill(producer, ahead, value));
    producer.units()
}

/// The messages that a consumer has, if it gets up to `most` of them.
fn take_batch(consumer: &mut Consumer, most: u16) -> Vec<u64> {
    match consumer.claim_up_to(most) {
        Turn::Ours => (0..consumer.messages()).map(|ahead| read(consumer, ahead)).collect(),
        turn => {
            assert_eq!(turn, Turn::Theirs);
            Vec::new()
        }
    }
}

/// What is left for a consumer that comes later.
fn drain(parts: Parts) -> Vec<u64> {
    let mut consumer = joined(parts.consumers.counter, |company| Consumer::attach(parts, 2, company));
    let mut left = Vec::new();
    loop {
        let batch = take_batch(&mut consumer, 3);
        if batch.is_empty() {
            return left;
        }
        left.extend(batch);
        consumer.pass_many(consumer.messages());
    }
}

/// Line 0 is dead, and no other one.
fn life(line: usize) -> Life {
    if line == 0 { Life::Dead { generation: 1 } } else { Life::Live }
}

#[test]
fn a_claim_takes_what_is_free_up_to_the_end_of_the_ring() {
    let memory = memory();
    let (_, mut producer, mut consumer) = ring_with(&memory, 5);
    assert_eq!(fill_batch(&mut producer, 100, 5), 3, "the ring ends");
    producer.pass_many(3);
    assert_eq!(producer.claim_up_to(2), Turn::Theirs, "it is full");
    assert_eq!(take_batch(&mut consumer, 2), [0, 1]);
    consumer.pass();
    assert_eq!(fill_batch(&mut producer, 2, 8), 1, "one of two is free");
    producer.pass_many(1);
    consumer.pass();
    assert_eq!(take_batch(&mut consumer, 100), [2, 3, 4, 5, 6, 7], "the ring ends");
    consumer.pass_many(6);
    assert_eq!(take_batch(&mut consumer, 100), [8]);
    consumer.pass();
}

#[test]
fn a_batch_ends_before_a_gap_and_before_what_has_not_been_committed() {
    let memory = memory();
    let (parts, mut producer, mut consumer) = ring_with(&memory, 2);
    assert_eq!(fill_batch(&mut producer, 3, 2), 3);
    producer.pass_one();
    producer.abandon();
    send(&mut producer, 9);
    let mut late = joined(parts.producers.counter, |company| Producer::attach(parts, 1, company));
    assert_eq!(late.claim(1), Turn::Ours);
    send(&mut producer, 10);
    assert_eq!(take_batch(&mut consumer, 100), [0, 1, 2]);
    consumer.pass_many(3);
    assert_eq!(take_batch(&mut consumer, 100), [9], "behind the gap");
    consumer.pass();
    assert_eq!(take_batch(&mut consumer, 100), []);
    fill(&late, 0, 11);
    late.pass();
    assert_eq!(take_batch(&mut consumer, 100), [11, 10]);
    consumer.pass_many(2);
    assert!(parts.is_drained());
}

#[test]
fn what_a_dead_producer_has_committed_of_a_batch_is_there_and_the_rest_is_counted() {
    // How it passes the batch on, after how many stores of that it dies, and what is there then.
    type Pass = fn(&mut Producer);
    let one_by_one: Pass = |producer| (0..4).for_each(|_| producer.pass_one());
    let together: Pass = |producer| producer.pass_many(4);
    let one_and_the_rest: Pass = |producer| {
        producer.pass_one();
        producer.pass_many(3);
    };
    let half: Pass = |producer| {
        producer.pass_many(2);
        producer.abandon();
    };
    let cases: [(Pass, u32, &[u64]); 12] = [
        (one_by_one, 0, &[]),
        (one_by_one, 1, &[10]),
        (one_by_one, 3, &[10, 11, 12]),
        (together, 0, &[]),
        (together, 1, &[13]),
        (together, 3, &[11, 12, 13]),
        (together, 4, &[10, 11, 12, 13]),
        (one_and_the_rest, 2, &[10, 13]),
        (one_and_the_rest, 3, &[10, 12, 13]),
        (half, 1, &[10]),
        (half, 2, &[10, 11]),
        // It has given the others up.
        (half, 3, &[10, 11]),
    ];
    for (number, (pass, stores, there)) in cases.into_iter().enumerate() {
        let memory = memory();
        let (parts, mut mortal, _) = ring_with(&memory, 1);
        let mut other = joined(parts.producers.counter, |company| Producer::attach(parts, 1, company));
        assert_eq!(fill_batch(&mut mortal, 4, 10), 4);
        send(&mut other, 20);
        die_after(stores, || pass(&mut mortal));
        assert_eq!(parts.repair_producer(0, life), Repair::Resolved);
        assert_eq!(drain(parts), [&[0], there, &[20]].concat(), "case {number}");
        let given_up = if number == 11 { 2 } else { 0 };
        assert_eq!(parts.losses(), 4 - given_up - there.len() as u64, "case {number}");
        assert!(parts.is_drained());
    }
}

#[test]
fn what_a_dead_consumer_has_not_freed_of_a_batch_comes_again_or_is_counted() {
    type Pass = fn(&mut Consumer);
    let one_by_one: Pass = |consumer| (0..4).for_each(|_| consumer.pass());
    let together: Pass = |consumer| consumer.pass_many(4);
    let put_back: Pass = |consumer| {
        consumer.pass();
        consumer.put_back();
    };
    // How it passes the batch on, after how many stores of that it dies, and how many messages it has freed, or put back.
    let cases: [(Pass, u32, [usize; 2]); 8] = [
        (one_by_one, 0, [0, 0]),
        (one_by_one, 1, [1, 0]),
        (one_by_one, 4, [4, 0]),
        (together, 1, [1, 0]),
        (together, 3, [3, 0]),
        (put_back, 1, [1, 0]),
        (put_back, 2, [1, 1]),
        // The last two stores are a count and a stamp.
        (put_back, 4, [1, 2]),
    ];
    for orphans in [Orphans::Redeliver, Orphans::Drop] {
        for (number, &(pass, stores, [freed, put_back])) in cases.iter().enumerate() {
            let memory = memory();
            let (parts, _, mut mortal) = ring_with(&memory, 6);
            assert_eq!(take_batch(&mut mortal, 4), [0, 1, 2, 3]);
            die_after(stores, || pass(&mut mortal));
            assert_eq!(parts.repair_consumer(0, life, orphans), Repair::Resolved);
            let left = 4 - freed - put_back;
            let lost = if orphans == Orphans::Drop { left } else { 0 };
            assert_eq!(parts.losses(), lost as u64, "case {number}");
            let received = drain(parts);
            assert_eq!(received.len(), 6 - freed - lost, "case {number}");
            assert!(received.is_sorted(), "{received:?}: what is returned comes first, and in its order");
            assert!(parts.is_drained());
        }
    }
}

#[test]
fn a_repairer_that_dies_over_a_batch_is_continued_also_when_some_was_taken_meanwhile() {
    for death in 0..8 {
        let memory = memory();
        let (parts, _, mut mortal) = ring_with(&memory, 4);
        // It has moved the head, and not said so: its record says TRYING.
        assert_eq!(die_after(3, || mortal.claim_up_to(3)), None);
        let repair = || parts.repair_consumer(0, life, Orphans::Redeliver);
        die_after(death, || assert_eq!(repair(), Repair::Resolved));
        let mut other = joined(parts.consumers.counter, |company| Consumer::attach(parts, 1, company));
        let mut received = take_batch(&mut other, 1);
        if other.messages() != 0 {
            other.pass();
        }
        assert_eq!(repair(), Repair::Resolved);
        received.extend(drain(parts));
        received.sort_unstable();
        assert_eq!(received, [0, 1, 2, 3], "a repairer died before store {death}");
        assert!(parts.is_drained());
    }
}

#[test]
fn who_found_nothing_while_a_batch_was_being_returned_is_told_of_the_rest() {
    for death in 0..6 {
        let memory = memory();
        let (parts, _, mut mortal) = ring_with(&memory, 3);
        // It has moved the head, and not said so. Its record says TRYING, and does not lead beyond the first message.
        assert_eq!(die_after(3, || mortal.claim_up_to(3)), None);
        let [mut other, mut last] =
            [1, 2].map(|line| joined(parts.consumers.counter, |company| Consumer::attach(parts, line, company)));
        // Whatever was returned before has been taken.
        parts.tell_of_return();
        let repair = || parts.repair_consumer(0, life, Orphans::Redeliver);
        assert_eq!(die_after(1, repair), None, "the first message is ORPHANED, and none is returned");
        assert_eq!(take_batch(&mut last, 3), [], "a search that finds none");
        die_after(death, repair);
        // Another one, which has yet to search, takes what it finds, and is gone.
        let mut received = take_batch(&mut other, 3);
        if !received.is_empty() {
            other.pass_many(other.messages());
        }
        other.detach();
        assert_eq!(repair(), Repair::Resolved);
        for _ in 0..3 {
            received.extend(take_batch(&mut last, 3));
            if last.messages() != 0 {
                last.pass_many(last.messages());
            }
        }
        received.sort_unstable();
        assert_eq!(received, [0, 1, 2], "a repairer died before store {death}");
        assert!(parts.is_drained());
    }
}

#[test]
fn one_that_is_stopped_before_it_has_claimed_holds_up_no_repair() {
    let ring = memory();
    let (parts, mut winner, _) = ring_with(&ring, 0);
    let mut stopped = joined(parts.producers.counter, |company| Producer::attach(parts, 1, company));
    assert_eq!(die_after(2, || stopped.claim(1)), None);
    assert_eq!(fill_batch(&mut winner, 3, 1), 3);
    assert_eq!(parts.repair_producer(0, life), Repair::Resolved);
    assert_eq!(parts.losses(), 3);

    let ring = memory();
    let (parts, _, mut winner) = ring_with(&ring, 3);
    let mut stopped = joined(parts.consumers.counter, |company| Consumer::attach(parts, 1, company));
    assert_eq!(die_after(2, || stopped.claim()), None);
    assert_eq!(take_batch(&mut winner, 2), [0, 1]);
    assert_eq!(parts.repair_consumer(0, life, Orphans::Redeliver), Repair::Resolved);
    assert_eq!(drain(parts), [0, 1, 2]);
}
