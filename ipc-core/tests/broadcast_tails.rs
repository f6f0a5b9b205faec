//! Broadcasts of messages that vary in length: what each verb promises, in one process.

mod support;

use ipc_core::{
    Broadcast, BroadcastRecvError, BroadcastTryRecvError, Lifetime, OpenError, Publisher, Role, SendBatchError,
    SendError, SendTimeoutError, Str, Subscriber, TooLarge, TrySendError, WaitSet,
};
use ipc_macros::IpcMessage;
use std::thread;
use std::time::Duration;
use support::packet::{self, HEAD_BYTES, Packet, check, fill, length};
use support::{Domain, PATIENCE};

#[derive(IpcMessage, Debug, PartialEq)]
#[repr(C)]
#[ipc(crate = "ipc_core", broadcast = "notes", capacity = 4096, lossy, history = 2, lifetime = "attached")]
struct Note {
    from: Str<8>,
    text: str,
}

#[derive(IpcMessage, Debug, PartialEq)]
#[repr(C, align(128))]
#[ipc(crate = "ipc_core")]
struct Track {
    name: Str<5>,
    points: [[u64; 2]],
}

/// Units of 64 bytes in the rings of these tests, which the messages of a handful of tests fill.
const UNITS: usize = 64;

const MOMENT: Duration = Duration::from_millis(1);

/// The three ways in which a broadcast may treat its subscribers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Lossless,
    Evicting,
    Lossy,
}

const WAYS: [Way; 3] = [Way::Lossless, Way::Evicting, Way::Lossy];

fn broadcast(domain: &Domain, way: Way) -> Broadcast<Packet> {
    let packets = Broadcast::new("packets").domain(domain.name()).capacity(UNITS * 64);
    match way {
        Way::Lossless => packets,
        Way::Evicting => packets.evict_after(Duration::from_secs(3600)),
        Way::Lossy => packets.lossy(),
    }
}

/// Publishes a packet that fills in place.
fn publish(publisher: &mut Publisher<Packet>, number: u64, len: usize) {
    let mut loan = publisher.loan_len_timeout(len, PATIENCE).unwrap();
    fill(&mut loan, number);
    loan.send();
}

/// Numbers of everything that can be had now, and how many messages were missed.
fn drain(subscriber: &mut Subscriber<Packet>) -> (Vec<u64>, u64) {
    let (mut received, mut missed) = (Vec::new(), 0);
    loop {
        let error = match received.len() % 2 {
            0 => match subscriber.try_recv_boxed() {
                Ok(Some(packet)) => {
                    received.push(packet::number(&packet));
                    continue;
                }
                Ok(None) => return (received, missed),
                Err(error) => error,
            },
            _ => match subscriber.try_recv_ref() {
                Ok(Some(packet)) => {
                    received.push(packet::number(&packet));
                    continue;
                }
                Ok(None) => return (received, missed),
                Err(error) => error,
            },
        };
        match error {
            BroadcastTryRecvError::Lagged { missed: more } => missed += more,
            BroadcastTryRecvError::Empty => return (received, missed),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn every_length_arrives_in_place_and_by_value() {
    for way in WAYS {
        let domain = Domain::new("bv-lengths");
        let packets = broadcast(&domain, way).capacity(2048);
        let (mut publisher, mut first) = (packets.publisher().unwrap(), packets.subscriber().unwrap());
        let mut second = packets.subscriber().unwrap();
        assert_eq!(publisher.max_len(), 1024 - 8 - HEAD_BYTES);
        for len in 0..=publisher.max_len() {
            for number in 0..2 {
                let mut loan = publisher.try_loan_len(len).expect("everything has been read");
                assert_eq!(loan.data.len(), len);
                fill(&mut loan, number);
                loan.send();
                check(&first.recv_ref().unwrap().unwrap(), number);
                check(&second.recv_boxed().unwrap().unwrap(), number);
            }
        }
        drop(publisher);
        assert!(first.recv_ref().unwrap().is_none() && second.recv_boxed().unwrap().is_none());
    }
}

#[test]
fn payloads_are_aligned_also_in_a_copy() {
    for lossy in [false, true] {
        let domain = Domain::new("bv-aligned");
        let tracks = Broadcast::<Track>::new("tracks").domain(domain.name()).capacity(8192);
        let tracks = if lossy { tracks.lossy() } else { tracks };
        let (mut publisher, mut subscriber) = (tracks.publisher().unwrap(), tracks.subscriber().unwrap());
        for len in [0, 1, 5, 2, 20] {
            let mut loan = publisher.loan_len(len).unwrap();
            loan.name = "track".parse().unwrap();
            loan.points.iter_mut().zip(1..).for_each(|(point, number)| *point = [number, !number]);
            loan.send();
            let track = subscriber.recv_ref().unwrap().unwrap();
            assert_eq!((&raw const *track).addr() % 128, 0);
            assert_eq!((track.name.as_str(), track.points.len()), ("track", len));
            assert!(track.points.iter().zip(1..).all(|(point, number)| *point == [number, !number]));
        }
    }
}

#[test]
fn every_subscriber_gets_every_message_in_one_order() {
    const PUBLISHERS: u64 = 3;
    const EACH: u64 = 4_000;
    let domain = Domain::new("bv-order");
    let packets = broadcast(&domain, Way::Lossless);
    let subscribers: Vec<_> = (0..3).map(|_| packets.subscriber().unwrap()).collect();
    let publishers: Vec<_> = (0..PUBLISHERS).map(|_| packets.publisher().unwrap()).collect();
    let received: Vec<Vec<u64>> = thread::scope(|scope| {
        for (me, mut publisher) in publishers.into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..EACH {
                    let len = length(number, publisher.max_len());
                    publish(&mut publisher, (me as u64) << 32 | number, len);
                }
            });
        }
        let receive = |mut subscriber: Subscriber<Packet>| {
            let next = || subscriber.recv_ref_timeout(PATIENCE).unwrap().map(|packet| packet::number(&packet));
            std::iter::from_fn(next).collect()
        };
        let threads: Vec<_> = subscribers.into_iter().map(|end| scope.spawn(move || receive(end))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(received[0].len() as u64, PUBLISHERS * EACH);
    for me in 0..PUBLISHERS {
        let numbers = received[0].iter().filter(|&number| number >> 32 == me).map(|number| number & 0xffff_ffff);
        assert!(numbers.eq(0..EACH), "publisher {me}'s messages come in order");
    }
    assert!(received.iter().all(|other| *other == received[0]), "all have the same order");
}

#[test]
fn lossy_publishers_at_full_speed_tear_no_message_and_every_count_is_right() {
    const EACH: u64 = 40_000;
    let domain = Domain::new("bv-speed");
    let packets = broadcast(&domain, Way::Lossy);
    let publishers: Vec<_> = (0..2).map(|_| packets.publisher().unwrap()).collect();
    let subscribers: Vec<_> = (0..2).map(|_| packets.subscriber().unwrap()).collect();
    thread::scope(|scope| {
        for (me, mut publisher) in publishers.into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..EACH {
                    let len = length(number, publisher.max_len());
                    publish(&mut publisher, (me as u64) << 32 | number, len);
                }
            });
        }
        for (index, mut subscriber) in subscribers.into_iter().enumerate() {
            scope.spawn(move || {
                let (mut received, mut missed, mut next) = (0, 0, [0; 2]);
                let mut arrived = |number: u64| {
                    let (me, number) = ((number >> 32) as usize, number & 0xffff_ffff);
                    assert!(number >= next[me], "no message comes twice, or late");
                    next[me] = number + 1;
                    received += 1;
                };
                loop {
                    let error = match index {
                        0 => match subscriber.recv_boxed() {
                            Ok(Some(packet)) => {
                                arrived(packet::number(&packet));
                                continue;
                            }
                            Ok(None) => break,
                            Err(error) => error,
                        },
                        _ => match subscriber.recv_ref() {
                            Ok(Some(packet)) => {
                                arrived(packet::number(&packet));
                                continue;
                            }
                            Ok(None) => break,
                            Err(error) => error,
                        },
                    };
                    let BroadcastRecvError::Lagged { missed: more } = error else { panic!("{error}") };
                    missed += more;
                }
                assert_eq!(received + missed, 2 * EACH);
            });
        }
    });
}

#[test]
fn what_a_lossy_subscriber_missed_is_counted_exactly() {
    let domain = Domain::new("bv-lag");
    let packets = broadcast(&domain, Way::Lossy);
    let mut publisher = packets.publisher().unwrap();
    let mut subscribers: Vec<_> = (0..4).map(|_| packets.subscriber().unwrap()).collect();
    let (mut seen, mut published) = ([0u64; 4], 0);
    for round in 1..300u64 {
        for _ in 0..round % 37 {
            let len = length(published, if round % 3 == 0 { publisher.max_len() } else { 100 });
            drop(publisher.try_loan_len(len).expect("a lossy publisher never waits"));
            publish(&mut publisher, published, len);
            published += 1;
        }
        for (at, subscriber) in subscribers.iter_mut().enumerate() {
            // Some look every time, others seldom.
            if round % (at as u64 * 3 + 1) == 0 {
                assert_eq!(subscriber.len() as u64, published - seen[at]);
                let (received, missed) = drain(subscriber);
                let mut expected = seen[at] + missed;
                for number in received {
                    assert_eq!(number, expected, "subscriber {at}");
                    expected += 1;
                }
                assert_eq!(expected, published, "subscriber {at}: what came and what was missed is everything");
                seen[at] = expected;
            }
        }
    }
}

#[test]
fn a_publisher_waits_for_the_slowest_subscriber_and_for_nobody_else() {
    let domain = Domain::new("bv-pressure");
    let packets = broadcast(&domain, Way::Lossless);
    let mut publisher = packets.publisher().unwrap();
    (0..500).for_each(|number| publish(&mut publisher, number, length(number, 500)));
    let (mut fast, mut slow) = (packets.subscriber().unwrap(), packets.subscriber().unwrap());
    let mut sent = 0;
    for round in 0..200u64 {
        loop {
            match publisher.try_loan_len(length(sent, publisher.max_len())) {
                Ok(mut loan) => {
                    fill(&mut loan, sent);
                    loan.send();
                    sent += 1;
                }
                Err(error) => {
                    assert_eq!(error, TrySendError::Full(()));
                    break;
                }
            }
        }
        let error = publisher.loan_len_timeout(publisher.max_len(), MOMENT).unwrap_err();
        assert_eq!(error, SendTimeoutError::Timeout(()));
        assert_eq!((publisher.len(), slow.len()), (slow.len(), slow.len()));
        drain(&mut fast);
        for _ in 0..(1 + round % 4).min(slow.len() as u64) {
            let next = sent - slow.len() as u64;
            let packet = slow.recv_ref().unwrap().unwrap();
            check(&packet, next);
        }
    }
    drop(slow);
    publisher.try_loan_len(publisher.max_len()).expect("the slow one has gone").send();
}

#[test]
fn what_is_read_in_place_stays_until_it_has_been_read() {
    let domain = Domain::new("bv-held");
    let packets = broadcast(&domain, Way::Lossless);
    let (mut publisher, mut subscriber) = (packets.publisher().unwrap(), packets.subscriber().unwrap());
    for number in 0..50 {
        publish(&mut publisher, number, 1500);
        let held = subscriber.recv_ref().unwrap().unwrap();
        let mut more = 0;
        while let Ok(mut loan) = publisher.try_loan_len(700) {
            fill(&mut loan, 1000 + number);
            loan.send();
            more += 1;
        }
        check(&held, number);
        drop(held);
        assert_eq!(drain(&mut subscriber).0, vec![1000 + number; more]);
    }
}

#[test]
fn a_copy_that_is_being_read_does_not_change() {
    for way in [Way::Lossy, Way::Evicting] {
        let domain = Domain::new("bv-copy");
        let packets = broadcast(&domain, way);
        let (mut publisher, mut subscriber) = (packets.publisher().unwrap(), packets.subscriber().unwrap());
        publish(&mut publisher, 7, 1500);
        let copy = subscriber.recv_ref().unwrap().unwrap();
        // A copy has been received, so that nobody waits for it.
        (0..2).for_each(|number| publish(&mut publisher, number, 1500));
        check(&copy, 7);
    }
}

/// The place of the frames of a ring, as the specification has it, for one publisher that gives nothing up.
struct Model {
    units: usize,
    tail: usize,
    frames: Vec<(u64, usize)>,
}

impl Model {
    fn publish(&mut self, number: u64, len: usize) {
        let units = (8 + HEAD_BYTES + len).div_ceil(64);
        let room = self.units - self.tail % self.units;
        self.tail += if room < units { room } else { 0 };
        self.frames.push((number, self.tail));
        self.tail += units;
    }

    /// What a newcomer gets.
    fn history(&self, most: usize) -> Vec<u64> {
        let kept = self.frames.iter().filter(|&&(_, at)| at + UNITS >= self.tail).map(|&(number, _)| number);
        let kept: Vec<_> = kept.collect();
        kept[kept.len().saturating_sub(most)..].to_vec()
    }
}

#[test]
fn a_late_subscriber_gets_exactly_the_history() {
    for way in WAYS {
        for (most, longest) in [(1, 2000), (3, 2000), (5, 200), (40, 300)] {
            let domain = Domain::new("bv-history");
            let packets = broadcast(&domain, way).history(most).lifetime(Lifetime::Attached);
            let mut publisher = packets.publisher().unwrap();
            assert_eq!(publisher.max_len(), UNITS * 32 - 8 - HEAD_BYTES, "what is kept is not for the longest message");
            let mut model = Model { units: 2 * UNITS, tail: 0, frames: Vec::new() };
            for number in 0..150 {
                let mut late = packets.subscriber().unwrap();
                let expected = model.history(most);
                assert!(!expected.is_empty() || number == 0);
                let (received, missed) = drain(&mut late);
                assert_eq!(missed, 0);
                // What lies there is as good as kept, where nobody waits for it.
                let more = if way == Way::Lossy { received.len() - expected.len() } else { 0 };
                assert_eq!(received[more..], expected);
                assert!(received.len() <= most && received.last().is_none_or(|&last| last + 1 == number));
                let len = length(number, longest);
                publish(&mut publisher, number, len);
                model.publish(number, len);
                assert_eq!(drain(&mut late), (vec![number], 0));
            }
        }
    }
}

#[test]
fn a_history_outlives_its_publishers_and_is_gone_when_it_has_been_received() {
    let domain = Domain::new("bv-kept");
    let packets = broadcast(&domain, Way::Lossless).history(5);
    let mut publisher = packets.publisher().unwrap();
    (0..3).for_each(|number| publish(&mut publisher, number, 10));
    drop(publisher);
    assert!(domain.path("packets").exists());
    let mut late = packets.subscriber().unwrap();
    assert_eq!(drain(&mut late), (vec![0, 1, 2], 0));
    drop(late);
    assert!(!domain.path("packets").exists());
}

#[test]
fn a_message_that_is_too_large_is_told_the_limit() {
    for (way, history) in [(Way::Lossless, 0), (Way::Lossless, 9), (Way::Lossy, 0), (Way::Lossy, 9)] {
        let domain = Domain::new("bv-large");
        let packets = broadcast(&domain, way).capacity(1000).history(history);
        let (mut publisher, subscriber) = (packets.publisher().unwrap(), packets.subscriber().unwrap());
        // 1000 bytes are 16 units of 64, of which a message may take 8.
        assert_eq!((publisher.capacity(), publisher.info().requested_capacity), (1024, Some(1024)));
        assert!(!subscriber.info().capacity_differs());
        let too_large = TooLarge { bytes: 505, limit: 504 };
        let len = 505 - HEAD_BYTES;
        assert_eq!(publisher.loan_len(len).unwrap_err(), SendError::TooLarge((), too_large));
        assert_eq!(publisher.try_loan_len(len).unwrap_err(), TrySendError::TooLarge((), too_large));
        assert_eq!(publisher.loan_len_timeout(len, MOMENT).unwrap_err(), SendTimeoutError::TooLarge((), too_large));
        let error = publisher.loan_len(usize::MAX).unwrap_err().to_string();
        assert!(error.contains(&usize::MAX.to_string()) && error.contains("504"), "{error}");
        assert_eq!(publisher.max_len(), len - 1);
        publisher.loan_len(len - 1).unwrap().send();
        drop(subscriber);
        assert!(matches!(packets.remove(), Err(OpenError::InUse { role: Role::Publisher, .. })));
        drop(publisher);
        packets.remove().unwrap();
    }
}

#[test]
fn a_ring_has_4_mib_unless_told_otherwise() {
    let domain = Domain::new("bv-default");
    let text = Broadcast::<str>::new("text").domain(domain.name());
    let publisher = text.publisher().unwrap();
    assert_eq!((publisher.capacity(), publisher.max_len()), (4 << 20, (2 << 20) - 8));
    assert!(matches!(text.clone().capacity(0).publisher(), Err(OpenError::Capacity { .. })));
    // 2^29 units, and as many again for the history.
    #[cfg(target_pointer_width = "64")]
    assert!(matches!(text.clone().capacity(1 << 35).history(1).publisher(), Err(OpenError::Capacity { .. })));
    let error = text.lossy().subscriber().unwrap_err();
    assert!(matches!(error, OpenError::Kind { .. }), "{error}");
}

#[test]
fn batches_are_of_any_length() {
    for way in WAYS {
        let domain = Domain::new("bv-batches");
        let text = Broadcast::<str>::new("text").domain(domain.name()).capacity(4096);
        let text = if way == Way::Lossy { text.lossy() } else { text };
        let (mut publisher, mut subscriber) = (text.publisher().unwrap(), text.subscriber().unwrap());
        let words = ["one", "", "three hundred"];
        assert_eq!(publisher.send_copy_batch(words), Ok(3));
        let mut batch = Vec::new();
        assert_eq!(subscriber.recv_boxed_batch(&mut batch, 0), Ok(0));
        assert_eq!(subscriber.recv_boxed_batch(&mut batch, 2), Ok(2));
        assert_eq!(subscriber.recv_boxed_batch(&mut batch, 9), Ok(1));
        assert!(batch.iter().map(|text| &**text).eq(words));
        // What was received can be sent as it is, and a message that is too long ends the batch.
        batch.push("x".repeat(4096).into());
        batch.push("not sent".into());
        let mut rest = batch.into_iter();
        let SendBatchError { sent, error } = publisher.send_copy_batch(&mut rest).unwrap_err();
        assert_eq!(sent, 3);
        assert!(matches!(error, SendError::TooLarge(text, TooLarge { limit: 2040, .. }) if text.len() == 4096));
        assert_eq!(rest.next().as_deref(), Some("not sent"));
        drop(publisher);
        let mut batch = Vec::new();
        assert_eq!(subscriber.recv_boxed_batch(&mut batch, 9), Ok(3));
        assert_eq!(subscriber.recv_boxed_batch(&mut batch, 9), Ok(0), "the end");
    }
}

#[test]
fn a_type_declares_a_broadcast_of_its_own() {
    let domain = Domain::new("bv-derived");
    let notes = Note::channel().domain(domain.name());
    let mut publisher = notes.publisher().unwrap();
    for text in ["lost to newcomers", "größer", ""] {
        let mut loan = publisher.loan_len(20).unwrap();
        loan.from = "me".parse().unwrap();
        loan.set_text(text).unwrap();
        loan.send();
    }
    let mut loan = publisher.loan_len(9).unwrap();
    loan.set_text("given up").unwrap();
    drop(loan);
    let mut subscriber = notes.subscriber().unwrap();
    let note = subscriber.recv_boxed().unwrap().unwrap();
    assert_eq!((note.from.as_str(), &note.text), ("me", "größer"));
    publisher.send_copy(&note).unwrap();
    publisher.try_send_copy(&note).unwrap();
    assert_eq!(&subscriber.recv_ref().unwrap().unwrap().text, "");
    assert_eq!(*subscriber.recv_ref().unwrap().unwrap(), *note);
    assert!(subscriber.poll(PATIENCE).unwrap());
    assert_eq!(subscriber.recv_boxed_timeout(MOMENT), Ok(Some(note)));
    assert!(!subscriber.poll(Duration::ZERO).unwrap());
}

#[test]
fn a_set_waits_for_messages_of_any_length() {
    let domain = Domain::new("bv-set");
    let packets = broadcast(&domain, Way::Lossy);
    let (mut publisher, mut subscriber) = (packets.publisher().unwrap(), packets.subscriber().unwrap());
    let mut set = WaitSet::new();
    for number in 0..20 {
        assert!(set.wait_timeout([&mut subscriber], MOMENT).next().is_none());
        publish(&mut publisher, number, length(number, 500));
        assert_eq!(set.wait_timeout([&mut subscriber], PATIENCE).next(), Some(0));
        assert_eq!(drain(&mut subscriber), (vec![number], 0));
    }
}
