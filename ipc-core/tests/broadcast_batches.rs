//! Batches of a broadcast that are filled and read in place.

mod support;

use ipc_core::{
    Broadcast, BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, PublishedBatch, SendError,
    SendTimeoutError, TrySendError,
};
use std::time::Duration;
use support::Domain;

const MOMENT: Duration = Duration::from_millis(1);

/// A message whose words belong together.
type Pair = [u64; 2];

fn pair(number: u64) -> Pair {
    [number, !number]
}

fn broadcast<T: ipc_core::IpcMessage>(domain: &Domain, name: &str) -> Broadcast<T> {
    Broadcast::new(name).domain(domain.name())
}

/// A lossless broadcast whose messages stay where they are, one whose subscribers may be evicted and so copy, and a lossy
/// one; of 16 messages.
fn kinds(domain: &Domain) -> [Broadcast<Pair>; 3] {
    let channel = |name| broadcast(domain, name).capacity(16);
    [channel("lossless"), channel("evicting").evict_after(Duration::from_secs(60)), channel("lossy").lossy()]
}

/// Checks that a batch continues at number `next`, and returns how many messages it has.
fn check(batch: &PublishedBatch<'_, Pair>, next: u64) -> u64 {
    assert_eq!(batch.iter().len(), batch.len());
    assert!(batch.into_iter().copied().eq((next..).map(pair).take(batch.len())), "{next}");
    assert!((0..batch.len()).all(|at| batch[at] == pair(next + at as u64)), "{next}");
    batch.len() as u64
}

#[test]
fn batches_in_place_are_filled_and_read_together() {
    let domain = Domain::new("batches");
    for channel in kinds(&domain) {
        let mut publishers = [channel.publisher().unwrap(), channel.publisher().unwrap()];
        let mut subscribers = [channel.subscriber().unwrap(), channel.subscriber().unwrap()];
        let (mut sent, mut received) = (0, [0; 2]);
        for round in 0..400_usize {
            let publisher = &mut publishers[round % 2];
            if let Ok(mut batch) = publisher.try_loan_batch(1 + round % 7) {
                assert!((1..=1 + round % 7).contains(&batch.len()));
                for (at, message) in batch.iter_mut().enumerate() {
                    *message = pair(sent + at as u64);
                }
                // Every third batch is cut short, and what was not sent has no message.
                let wanted = if round % 3 == 0 { batch.len().div_ceil(2) } else { batch.len() };
                sent += batch.send_first(wanted) as u64;
            }
            if round % 5 == 0 {
                drop(publisher.try_loan_batch(2));
            }
            for (which, subscriber) in subscribers.iter_mut().enumerate() {
                // One is always a little behind, but not so much that it would be overtaken.
                while received[which] + 3 * (which as u64) < sent {
                    let batch = subscriber.try_recv_batch_ref(1 + round % 4).unwrap().unwrap();
                    let got = check(&batch, received[which]);
                    let kept = if round % 5 == 0 { 1 } else { got };
                    batch.release_first(kept as usize);
                    received[which] += kept;
                }
            }
        }
        assert!(sent > 500, "{sent}");
        drop(publishers);
        for (subscriber, received) in subscribers.iter_mut().zip(&mut received) {
            while let Some(batch) = subscriber.recv_batch_ref(3).unwrap() {
                *received += check(&batch, *received);
            }
        }
        assert_eq!(received, [sent; 2]);
    }
}

#[test]
fn a_batch_has_every_patience() {
    let domain = Domain::new("batches-patience");
    let channel = broadcast::<u64>(&domain, "patience").capacity(2);
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    assert!(matches!(subscriber.try_recv_batch_ref(9), Err(BroadcastTryRecvError::Empty)));
    assert!(matches!(subscriber.recv_batch_ref_timeout(9, MOMENT), Err(BroadcastRecvTimeoutError::Timeout)));
    let mut batch = publisher.loan_batch_timeout(9, MOMENT).unwrap();
    assert_eq!(batch.len(), 2, "as many as the channel has");
    (batch[0], batch[1]) = (1, 2);
    assert_eq!(batch.send(), 2);
    assert_eq!(publisher.try_loan_batch(1).unwrap_err(), TrySendError::Full(()));
    assert_eq!(publisher.loan_batch_timeout(1, MOMENT).unwrap_err(), SendTimeoutError::Timeout(()));
    assert_eq!(publisher.try_loan_batch(0).unwrap().send(), 0, "there is always room for none");
    assert_eq!(subscriber.len(), 2);
    let batch = subscriber.recv_batch_ref_timeout(9, MOMENT).unwrap().unwrap();
    assert!(batch.iter().eq([&1, &2]));
    assert_eq!(publisher.try_loan_batch(1).unwrap_err(), TrySendError::Full(()), "it is being read");
    drop(batch);
    let mut batch = publisher.loan_batch(1).unwrap();
    batch[0] = 3;
    batch.send();
    drop(publisher);
    assert_eq!(subscriber.recv_batch_ref(9).unwrap().unwrap()[0], 3);
    assert!(subscriber.recv_batch_ref(9).unwrap().is_none());
    assert!(subscriber.try_recv_batch_ref(9).unwrap().is_none());
    assert!(subscriber.recv_batch_ref_timeout(9, MOMENT).unwrap().is_none());
}

#[test]
fn a_batch_that_is_dropped_or_forgotten_keeps_nobody_up() {
    let domain = Domain::new("batches-dropped");
    for channel in kinds(&domain) {
        let (mut first, mut second) = (channel.publisher().unwrap(), channel.publisher().unwrap());
        let mut subscriber = channel.subscriber().unwrap();
        drop(first.loan_batch(2).unwrap());
        second.send(pair(0)).unwrap();
        std::mem::forget(first.loan_batch(2).unwrap());
        // Its first slot is the next message's, and the other one is given up.
        first.send(pair(1)).unwrap();
        second.send(pair(2)).unwrap();
        let none = first.loan_batch(0).unwrap();
        assert_eq!(none.len(), 0);
        second.send(pair(3)).unwrap();
        assert_eq!(subscriber.recv_batch_ref(0).unwrap().unwrap().len(), 0);
        for number in 0..4 {
            assert_eq!(subscriber.try_recv(), Ok(Some(pair(number))), "an empty batch is in nobody's way");
        }
        drop(none);
        assert_eq!((subscriber.lost(), subscriber.len()), (0, 0));
    }
}

#[test]
fn a_batch_in_place_ends_before_what_is_invalid() {
    let domain = Domain::new("batches-invalid");
    for (name, is_lossy) in [("lossless", false), ("lossy", true)] {
        let channel = broadcast::<bool>(&domain, name).capacity(8);
        let channel = if is_lossy { channel.lossy() } else { channel };
        let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
        assert_eq!(publisher.send_batch([true; 4]), Ok(4));
        let file = std::fs::OpenOptions::new().read(true).write(true).open(domain.memory(name)).unwrap();
        let third = header(&file, SLOTS_OFFSET) + 2 * header(&file, SLOT_BYTES);
        std::os::unix::fs::FileExt::write_all_at(&file, &[2], third).unwrap();
        assert_eq!(subscriber.recv_batch_ref(8).unwrap().unwrap().len(), 2);
        assert!(matches!(subscriber.recv_batch_ref(8), Err(BroadcastRecvError::Corrupt(_))));
        assert_eq!(subscriber.recv_batch_ref(8).unwrap().unwrap().len(), 1);
    }
}

/// Where the header says how far apart the slots of a segment are, and where they start.
const SLOT_BYTES: u64 = 64;
const SLOTS_OFFSET: u64 = 104;

/// A word of a segment's header.
fn header(file: &std::fs::File, offset: u64) -> u64 {
    let mut word = [0; 8];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut word, offset).unwrap();
    u64::from_ne_bytes(word)
}

#[test]
fn an_overtaken_subscriber_is_told_what_it_missed_and_goes_on() {
    let domain = Domain::new("batches-overtaken");
    let channel = broadcast::<Pair>(&domain, "overtaken").capacity(16).lossy();
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    let (mut sent, mut next, mut missed) = (0, 0, 0);
    for round in 0..100 {
        for _ in 0..1 + round % 20 {
            let mut batch = publisher.loan_batch(9).unwrap();
            assert!(batch.len() <= 2, "an eighth of the capacity");
            (0..batch.len()).for_each(|at| batch[at] = pair(sent + at as u64));
            sent += batch.send() as u64;
        }
        // Sometimes it keeps up for a while.
        while next + round / 10 < sent {
            match subscriber.try_recv_batch_ref(1 + round as usize % 5) {
                Ok(batch) => next += check(&batch.unwrap(), next),
                Err(BroadcastTryRecvError::Lagged { missed: more }) => (next, missed) = (next + more, missed + more),
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(missed > 500 && next > missed + 500, "{missed} of {next}");
    // The copies of a batch are its own, whatever is published meanwhile.
    while subscriber.try_recv().is_ok() {}
    (0..4).for_each(|number| publisher.send(pair(number)).unwrap());
    let batch = subscriber.recv_batch_ref(4).unwrap().unwrap();
    (4..40).for_each(|number| publisher.send(pair(number)).unwrap());
    assert_eq!(check(&batch, 0), 4);
    batch.release_first(1);
    assert!(matches!(subscriber.try_recv(), Err(BroadcastTryRecvError::Lagged { .. })), "the others are gone");
}

#[test]
fn a_newcomer_may_begin_in_the_middle_of_a_batch() {
    let domain = Domain::new("batches-history");
    let channel = broadcast::<Pair>(&domain, "history").capacity(8).history(3);
    let mut publisher = channel.publisher().unwrap();
    let mut batch = publisher.loan_batch(5).unwrap();
    assert_eq!(batch.len(), 5);
    (0..5).for_each(|at| batch[at] = pair(at as u64));
    batch.send();
    let mut late = channel.subscriber().unwrap();
    assert_eq!(check(&late.recv_batch_ref(9).unwrap().unwrap(), 2), 3);
    drop(publisher);
}

#[test]
fn latencies_are_counted_once_for_each_message_that_is_passed() {
    let domain = Domain::new("batches-timed");
    for channel in kinds(&domain) {
        let channel = channel.timestamps(true);
        let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
        let mut batch = publisher.loan_batch(2).unwrap();
        batch.iter_mut().zip(0..).for_each(|(message, number)| *message = pair(number));
        batch.send();
        publisher.send(pair(2)).unwrap();
        subscriber.recv_batch_ref(9).unwrap().unwrap().release_first(1);
        assert_eq!(subscriber.latency().unwrap().count(), 1);
        assert_eq!(check(&subscriber.recv_batch_ref(9).unwrap().unwrap(), 1), 2);
        let latency = subscriber.latency().unwrap();
        assert_eq!((latency.count(), latency.out_of_range()), (3, 0));
        publisher.send(pair(3)).unwrap();
        assert_eq!(subscriber.recv(), Ok(Some(pair(3))));
        assert_eq!(subscriber.latency().unwrap().count(), 4);
    }
}

#[test]
fn a_hardened_end_lends_nothing_and_copies() {
    let domain = Domain::new("batches-hardened");
    let channel = broadcast::<Pair>(&domain, "hardened").capacity(8);
    let mut trusting = channel.publisher().unwrap();
    let channel = channel.hardened(true);
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    assert_eq!(publisher.loan_batch(2).unwrap_err(), SendError::Hardened(()));
    assert_eq!(publisher.try_loan_batch(2).unwrap_err(), TrySendError::Hardened(()));
    let mut batch = trusting.loan_batch(2).unwrap();
    (batch[0], batch[1]) = (pair(0), pair(1));
    batch.send();
    assert_eq!(check(&subscriber.recv_batch_ref(9).unwrap().unwrap(), 0), 2);
    assert_eq!(subscriber.len(), 0);
}
