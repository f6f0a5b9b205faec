//! Broadcasts of messages that vary in length, between processes that are stopped and killed at any step of one, and over
//! segments that are damaged.

use super::support::packet::{self, Packet, check, fill, length};
use super::support::{Child, Domain, PATIENCE, Part, listen, program, say};
use ipc_core::{Broadcast, BroadcastRecvError, BroadcastRecvTimeoutError, Publisher, Subscriber};
use std::thread;
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("tails_hold_a_loan", hold_a_loan),
    ("tails_hold_a_lossy_loan", hold_a_lossy_loan),
    ("tails_hold_a_message", hold_a_message),
    ("tails_publish_until_killed", publish_until_killed),
    ("tails_publish_lossily_until_killed", publish_lossily_until_killed),
    ("tails_read_until_killed", read_until_killed),
];

/// Small, so that publishers have to wait or overtake, and many messages need padding.
fn lossless(domain: &str) -> Broadcast<Packet> {
    Broadcast::new("packets").domain(domain).capacity(4096)
}

fn lossy(domain: &str) -> Broadcast<Packet> {
    lossless(domain).lossy()
}

const LONGEST: usize = 2000;

const MOMENT: Duration = Duration::from_millis(1);

fn publish(publisher: &mut Publisher<Packet>, number: u64, len: usize) {
    let mut loan = publisher.loan_len_timeout(len, PATIENCE).unwrap();
    fill(&mut loan, number);
    loan.send();
}

/// Number of the next message.
fn recv(subscriber: &mut Subscriber<Packet>) -> Result<Option<u64>, BroadcastRecvTimeoutError> {
    Ok(subscriber.recv_ref_timeout(PATIENCE)?.map(|packet| packet::number(&packet)))
}

fn hold(mut publisher: Publisher<Packet>) {
    let len = listen().unwrap().parse().unwrap();
    let mut loan = publisher.loan_len(len).unwrap();
    fill(&mut loan, u64::MAX);
    say("held");
    listen();
    drop(loan);
}

fn hold_a_loan(domain: &str) {
    hold(lossless(domain).publisher().unwrap());
}

fn hold_a_lossy_loan(domain: &str) {
    hold(lossy(domain).publisher().unwrap());
}

/// Holds a message in place.
fn hold_a_message(domain: &str) {
    let mut subscriber = lossless(domain).subscriber().unwrap();
    say("ready");
    let packet = subscriber.recv_ref().unwrap().unwrap();
    check(&packet, packet.time_ns);
    say("held");
    listen();
    drop(packet);
}

fn publish_all(mut publisher: Publisher<Packet>) {
    say("ready");
    let first: u64 = listen().unwrap().parse().unwrap();
    for number in first.. {
        let mut loan = publisher.loan_len(length(number, LONGEST)).unwrap();
        fill(&mut loan, number);
        loan.send();
    }
}

/// Publishes packets from the number that it is told on, without a word.
fn publish_until_killed(domain: &str) {
    publish_all(lossless(domain).publisher().unwrap());
}

fn publish_lossily_until_killed(domain: &str) {
    publish_all(lossy(domain).publisher().unwrap());
}

/// Reads every message, every other one in place, without a word.
fn read_until_killed(domain: &str) {
    let mut subscriber = lossless(domain).subscriber().unwrap();
    say("ready");
    loop {
        packet::number(&subscriber.recv_ref().unwrap().unwrap());
        packet::number(&subscriber.recv_boxed().unwrap().unwrap());
    }
}

#[test]
fn what_a_publisher_died_with_holds_nobody_up() {
    let domain = Domain::new("bvd-hole");
    let (mut publisher, mut subscriber) =
        (lossless(domain.name()).publisher().unwrap(), lossless(domain.name()).subscriber().unwrap());
    for (deaths, len) in (1..).zip([0, 500, 2000, 1, 1999, 300, 2000, 2000]) {
        let mut child = Child::start("tails_hold_a_loan", &domain);
        child.tell(&len.to_string());
        assert_eq!(child.hear(), "held");
        // Of one cell, for which there is room beside the longest message and the padding before it.
        publish(&mut publisher, deaths, 40);
        let waited = subscriber.recv_ref_timeout(MOMENT).map(|_| ());
        assert_eq!(waited, Err(BroadcastRecvTimeoutError::Timeout), "a live one is waited for");
        child.kill();
        assert_eq!(recv(&mut subscriber), Ok(Some(deaths)));
        assert_eq!((subscriber.lost(), publisher.lost()), (deaths, deaths));
    }
}

#[test]
fn a_read_only_subscriber_steps_over_what_a_publisher_died_with() {
    for len in [0, 500, 2000, 1, 1999, 700] {
        let domain = Domain::new("bvd-step");
        let mut subscriber = lossy(domain.name()).subscriber().unwrap();
        let mut child = Child::start("tails_hold_a_lossy_loan", &domain);
        child.tell(&len.to_string());
        assert_eq!(child.hear(), "held");
        // It is neither repaired by the other publisher, which does not have to wait, nor robbed.
        let mut after = Child::start("tails_hold_a_lossy_loan", &domain);
        after.tell("10");
        assert_eq!(after.hear(), "held");
        let waited = subscriber.recv_ref_timeout(Duration::from_millis(200)).map(|_| ());
        assert_eq!(waited, Err(BroadcastRecvTimeoutError::Timeout));
        child.kill();
        assert_eq!(recv(&mut subscriber), Err(BroadcastRecvTimeoutError::Lagged { missed: 1 }));
        // The other one gives its loan up, which is no message, and another one publishes.
        after.finish();
        let died = recv(&mut subscriber);
        assert!(matches!(died, Err(BroadcastRecvTimeoutError::PublisherDied(_))), "{died:?}");
        let mut child = Child::start("tails_publish_lossily_until_killed", &domain);
        assert_eq!(child.hear(), "ready");
        child.tell("0");
        // Laps later the hole has been closed, and everything is counted all the same.
        let mut next = 0;
        while next < 300 {
            match recv(&mut subscriber) {
                Ok(number) => {
                    assert_eq!(number, Some(next));
                    next += 1;
                }
                Err(BroadcastRecvTimeoutError::Lagged { missed }) => next += missed,
                Err(error) => panic!("{error}"),
            }
        }
        child.kill();
    }
}

#[test]
fn whenever_a_publisher_is_killed_what_it_published_is_whole_and_in_order() {
    let domain = Domain::new("bvd-killed");
    let mut subscriber = lossless(domain.name()).subscriber().unwrap();
    let mut witness = lossless(domain.name()).subscriber().unwrap();
    let mut next = 0;
    for round in 0..30 {
        let mut child = Child::start("tails_publish_until_killed", &domain);
        assert_eq!(child.hear(), "ready");
        child.tell(&next.to_string());
        let until = next + length(round, 300) as u64;
        while next < until {
            assert_eq!(recv(&mut subscriber), Ok(Some(next)));
            check(&witness.recv_boxed().unwrap().unwrap(), next);
            next += 1;
        }
        let pid = child.pid();
        child.kill();
        loop {
            match recv(&mut subscriber) {
                Ok(number) => assert_eq!(number, Some(next)),
                Err(BroadcastRecvTimeoutError::PublisherDied(peer)) => {
                    assert_eq!((peer.pid, &*peer.program), (pid, &*program()));
                    break;
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(recv(&mut witness), Ok(Some(next)));
            next += 1;
        }
        assert!(matches!(recv(&mut witness), Err(BroadcastRecvTimeoutError::PublisherDied(_))));
        assert!(subscriber.lost() <= round + 1);
    }
    assert!(next > 1000);
}

#[test]
fn whoever_is_killed_whenever_the_others_go_on() {
    let domain = Domain::new("bvd-soak");
    let mut subscriber = lossless(domain.name()).subscriber().unwrap();
    let mut keeper = lossless(domain.name()).publisher().unwrap();
    for round in 0..15u64 {
        let mut readers: Vec<_> = (0..2).map(|_| Child::start("tails_read_until_killed", &domain)).collect();
        readers.iter_mut().for_each(|child| assert_eq!(child.hear(), "ready"));
        let mut publishers: Vec<_> = (0..2).map(|_| Child::start("tails_publish_until_killed", &domain)).collect();
        let mut next = [0; 2];
        for (me, child) in publishers.iter_mut().enumerate() {
            assert_eq!(child.hear(), "ready");
            next[me] = (round << 8 | me as u64) << 32;
            child.tell(&next[me].to_string());
        }
        let mut receive = |count: usize| {
            for _ in 0..count {
                let number = recv(&mut subscriber).unwrap().unwrap();
                let me = (number >> 32 & 1) as usize;
                assert_eq!(number, next[me], "in order, and none left out");
                next[me] += 1;
            }
        };
        receive(length(round, 200));
        readers.pop().unwrap().kill();
        receive(length(round + 100, 200));
        publishers.pop().unwrap().kill();
        receive(length(round + 200, 200));
        publishers.pop().unwrap().kill();
        readers.pop().unwrap().kill();
        // A message of a publisher that lives comes after everything that the dead have left.
        let mark = u64::MAX - round;
        thread::scope(|scope| {
            scope.spawn(|| publish(&mut keeper, mark, LONGEST));
            while recv(&mut subscriber).unwrap() != Some(mark) {}
        });
    }
    assert!(keeper.lost() <= 30);
}

#[test]
fn lossy_publishers_that_are_killed_leave_no_torn_message() {
    let domain = Domain::new("bvd-lossy");
    let mut subscriber = lossy(domain.name()).subscriber().unwrap();
    for round in 0..20 {
        let mut child = Child::start("tails_publish_lossily_until_killed", &domain);
        assert_eq!(child.hear(), "ready");
        child.tell("0");
        let (mut next, until) = (0, length(round, 3000) as u64);
        // What the one before may have died with is found after its death, and counted as missed.
        let mut holes = u64::from(round > 0);
        loop {
            match recv(&mut subscriber) {
                Ok(number) => {
                    let number = number.unwrap();
                    assert!(number == next || number + holes == next, "what came and what was missed is everything");
                    (next, holes) = (number + 1, 0);
                }
                Err(BroadcastRecvTimeoutError::Lagged { missed }) => next += missed,
                Err(error) => panic!("{error}"),
            }
            if next >= until {
                break;
            }
        }
        child.kill();
        loop {
            match recv(&mut subscriber) {
                Ok(number) => assert!(number.is_some(), "nobody closes"),
                Err(BroadcastRecvTimeoutError::Lagged { .. }) => {}
                Err(error) => {
                    assert!(matches!(error, BroadcastRecvTimeoutError::PublisherDied(_)), "{error}");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_stopped_subscriber_is_waited_for_and_a_dead_one_is_not() {
    let domain = Domain::new("bvd-stopped");
    let mut publisher = lossless(domain.name()).publisher().unwrap();
    for round in 0..5 {
        let mut child = Child::start("tails_hold_a_message", &domain);
        assert_eq!(child.hear(), "ready");
        publish(&mut publisher, round, 1500);
        assert_eq!(child.hear(), "held");
        child.stop();
        while let Ok(mut loan) = publisher.try_loan_len(300) {
            fill(&mut loan, round);
            loan.send();
        }
        let error = publisher.loan_len_timeout(300, Duration::from_millis(300)).unwrap_err();
        assert_eq!(error, ipc_core::SendTimeoutError::Timeout(()), "it is not robbed");
        child.kill();
        publish(&mut publisher, round, LONGEST);
    }
}

#[test]
fn a_subscriber_that_is_too_slow_is_evicted_and_knows_it() {
    let domain = Domain::new("bvd-evicted");
    let packets = lossless(domain.name()).evict_after(Duration::from_millis(20));
    let mut publisher = packets.publisher().unwrap();
    let (mut slow, mut fast) = (packets.subscriber().unwrap(), packets.subscriber().unwrap());
    for number in 0..40 {
        publish(&mut publisher, number, length(number, LONGEST));
        assert_eq!(recv(&mut fast), Ok(Some(number)));
    }
    for _ in 0..2 {
        assert!(matches!(slow.recv_ref(), Err(BroadcastRecvError::Evicted)));
        assert_eq!(slow.recv_boxed(), Err(BroadcastRecvError::Evicted));
    }
    // Its place can be had again, and whoever has it then is no outcast.
    drop(slow);
    let mut successor = packets.subscriber().unwrap();
    publish(&mut publisher, 40, 2000);
    assert_eq!(recv(&mut successor), Ok(Some(40)));
}

#[test]
fn a_subscriber_that_passes_one_small_message_after_the_other_is_not_evicted() {
    let domain = Domain::new("bvd-progress");
    let packets = lossless(domain.name()).evict_after(Duration::from_secs(2));
    let (mut publisher, mut slow) = (packets.publisher().unwrap(), packets.subscriber().unwrap());
    let mut sent = 0;
    while let Ok(mut loan) = publisher.try_loan_len(0) {
        fill(&mut loan, sent);
        loan.send();
        sent += 1;
    }
    thread::scope(|scope| {
        // It needs half of the ring, which the other one takes longer to make than anybody is waited for.
        scope.spawn(|| publish(&mut publisher, sent, LONGEST));
        for number in 0..sent {
            if number < 30 {
                thread::sleep(Duration::from_millis(100));
            }
            assert_eq!(recv(&mut slow), Ok(Some(number)));
        }
        assert_eq!(recv(&mut slow), Ok(Some(sent)));
    });
}
