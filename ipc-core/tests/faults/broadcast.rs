//! Broadcasts between processes that are stopped and killed.

use super::support::news::{BURST, MOMENT, Message, TIMEOUT, check, lossless, lossy, message, publish_bursts, recv};
use super::support::{Child, Domain, PATIENCE, Part, listen, program, say};
use ipc_core::{Broadcast, BroadcastRecvTimeoutError, LoanBatch, WaitSet};
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("news_publish_bursts", publish_bursts),
    ("news_publish_until_killed", publish_until_killed),
    ("news_hold_a_loan", hold_a_loan),
    ("news_hold_batches", hold_batches),
    ("news_subscribe_and_wait", subscribe_and_wait),
    ("news_subscribe_and_say", subscribe_and_say),
    ("news_subscribe_lossily", subscribe_lossily),
];

/// Publishes to a lossy channel as fast as it can.
fn publish_until_killed(domain: &str) {
    let mut publisher = lossy(domain).publisher().unwrap();
    say("ready");
    let me = listen().unwrap().parse().unwrap();
    for number in 0.. {
        publisher.send(message(me, number)).unwrap();
    }
}

fn hold_a_loan(domain: &str) {
    let mut publisher = lossless(domain).publisher().unwrap();
    let loan = publisher.loan().unwrap();
    say("held");
    listen();
    drop(loan);
}

/// A lossless channel, and a lossy one that lends several slots.
fn of_batches(domain: &str) -> [Broadcast<Message>; 2] {
    [lossless(domain), Broadcast::new("wide").domain(domain).capacity(32).lossy()]
}

/// Holds a batch of each kind, and says how long they are.
fn hold_batches(domain: &str) {
    let mut publishers = of_batches(domain).map(|channel| channel.publisher().unwrap());
    let batches = publishers.each_mut().map(|publisher| publisher.loan_batch(3).unwrap());
    let [lossless, lossy] = batches.each_ref().map(LoanBatch::len);
    say(format!("{lossless} {lossy}"));
    listen();
    drop(batches);
}

fn subscribe_and_wait(domain: &str) {
    let subscriber = lossless(domain).subscriber().unwrap();
    say("ready");
    listen();
    drop(subscriber);
}

/// Says every message that it receives, after a line of the parent's.
fn subscribe_and_say(domain: &str) {
    let mut subscriber = lossless(domain).subscriber().unwrap();
    say("ready");
    listen();
    while let Some((publisher, number)) = recv(&mut subscriber).unwrap() {
        say(format!("{publisher} {number}"));
    }
    say("end");
}

/// Says, after a line of the parent's, what it gets and how many it misses, until the end.
fn subscribe_lossily(domain: &str) {
    let mut subscriber = lossy(domain).subscriber().unwrap();
    say("ready");
    listen();
    let (mut count, mut missed) = (0, 0);
    loop {
        match recv(&mut subscriber) {
            Ok(Some(_)) => count += 1,
            Ok(None) => break say(format!("{count} {missed}")),
            Err(BroadcastRecvTimeoutError::Lagged { missed: more }) => missed += more,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_stopped_subscriber_is_waited_for_and_a_dead_one_is_not() {
    let domain = Domain::new("news-stopped");
    let mut publisher = lossless(domain.name()).publisher().unwrap();
    let mut child = Child::start("news_subscribe_and_say", &domain);
    assert_eq!(child.hear(), "ready");
    child.stop();
    (0..8).for_each(|number| publisher.send(message(0, number)).unwrap());
    assert!(publisher.send_timeout(message(0, 8), Duration::from_millis(300)).is_err(), "it is not robbed");
    child.resume();
    child.tell("go");
    publisher.send_timeout(message(0, 8), PATIENCE).unwrap();
    (0..9).for_each(|number| assert_eq!(child.hear(), format!("0 {number}")));
    let mut second = Child::start("news_subscribe_and_wait", &domain);
    assert_eq!(second.hear(), "ready");
    (9..17).for_each(|number| publisher.send(message(0, number)).unwrap());
    second.kill();
    publisher.send_timeout(message(0, 17), PATIENCE).expect("nobody waits for the dead");
    drop(publisher);
    (9..18).for_each(|number| assert_eq!(child.hear(), format!("0 {number}")));
    assert_eq!(child.hear(), "end");
    child.finish();
}

#[test]
fn what_a_publisher_died_with_holds_nobody_up() {
    let domain = Domain::new("news-hole");
    let mut publisher = lossless(domain.name()).publisher().unwrap();
    let mut subscriber = lossless(domain.name()).subscriber().unwrap();
    for deaths in 1..=10 {
        let mut child = Child::start("news_hold_a_loan", &domain);
        assert_eq!(child.hear(), "held");
        publisher.send(message(0, deaths)).unwrap();
        assert_eq!(subscriber.recv_timeout(MOMENT).map(|_| None), TIMEOUT, "a live one is waited for");
        child.kill();
        assert_eq!(recv(&mut subscriber), Ok(Some((0, deaths))));
        assert_eq!((subscriber.lost(), publisher.lost()), (deaths, deaths));
    }
}

#[test]
fn of_a_batch_that_a_publisher_died_with_nothing_is_left() {
    let domain = Domain::new("news-batches");
    let [mut publisher, mut wide] = of_batches(domain.name()).map(|channel| channel.publisher().unwrap());
    let [mut subscriber, mut reader] = of_batches(domain.name()).map(|channel| channel.subscriber().unwrap());
    let mut lost = 0;
    for deaths in 1..=8 {
        let mut child = Child::start("news_hold_batches", &domain);
        let held = child.hear();
        let (lossless, lossy) = held.split_once(' ').expect("there are two");
        lost += lossless.parse::<u64>().unwrap();
        for publisher in [&mut publisher, &mut wide] {
            publisher.send(message(0, deaths)).unwrap();
        }
        for subscriber in [&mut subscriber, &mut reader] {
            assert_eq!(subscriber.recv_timeout(MOMENT).map(|_| None), TIMEOUT, "a live one is waited for");
        }
        child.kill();
        assert_eq!(recv(&mut subscriber), Ok(Some((0, deaths))));
        assert_eq!((subscriber.lost(), publisher.lost()), (lost, lost));
        // It cannot write, and so cannot close the hole.
        let missed = lossy.parse().unwrap();
        assert_eq!(recv(&mut reader), Err(BroadcastRecvTimeoutError::Lagged { missed }));
        assert_eq!(recv(&mut reader), Ok(Some((0, deaths))));
    }
    assert!(lost > 16, "batches of three, but at the end of the ring: {lost}");
}

#[test]
fn holes_that_lie_together_are_passed_at_once() {
    let domain = Domain::new("news-holes");
    let mut publisher = lossless(domain.name()).publisher().unwrap();
    let mut subscribers: Vec<_> = (0..2).map(|_| lossless(domain.name()).subscriber().unwrap()).collect();
    let mut children: Vec<_> = (0..4).map(|_| Child::start("news_hold_a_loan", &domain)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "held"));
    publisher.send(message(0, 7)).unwrap();
    children.into_iter().for_each(Child::kill);
    assert_eq!(recv(&mut subscribers[0]), Ok(Some((0, 7))), "this one closes them");
    assert_eq!(WaitSet::new().try_wait(&mut subscribers[1..]).len(), 1, "the other one has to look once");
    assert_eq!(recv(&mut subscribers[1]), Ok(Some((0, 7))));
    assert_eq!(subscribers[1].lost(), 4);
}

#[test]
fn the_last_publishers_death_is_reported_once() {
    let domain = Domain::new("news-last");
    let mut subscribers: Vec<_> = (0..2).map(|_| lossless(domain.name()).subscriber().unwrap()).collect();
    let mut child = Child::start("news_publish_bursts", &domain);
    assert_eq!(child.hear(), "ready");
    child.tell("7");
    for number in 0..BURST {
        subscribers.iter_mut().for_each(|subscriber| assert_eq!(recv(subscriber), Ok(Some((7, number)))));
    }
    assert_eq!(child.hear(), "sent");
    let pid = child.pid();
    child.kill();
    for subscriber in &mut subscribers {
        match recv(subscriber) {
            Err(BroadcastRecvTimeoutError::PublisherDied(peer)) => {
                assert_eq!((peer.pid, &*peer.program), (pid, &*program()));
            }
            other => panic!("{other:?} is no report of a death"),
        }
        assert_eq!(subscriber.recv_timeout(MOMENT).map(|_| None), TIMEOUT, "and now for a successor");
    }
    let mut successor = lossless(domain.name()).publisher().unwrap();
    successor.send(message(8, 0)).unwrap();
    subscribers.iter_mut().for_each(|subscriber| assert_eq!(recv(subscriber), Ok(Some((8, 0)))));
}

#[test]
fn whoever_is_killed_whenever_the_others_go_on() {
    const ROUNDS: u64 = 20;
    let domain = Domain::new("news-soak");
    let mut subscriber = lossless(domain.name()).subscriber().unwrap();
    let mut witness = lossless(domain.name()).subscriber().unwrap();
    let keeper = lossless(domain.name()).publisher().unwrap();
    for round in 0..ROUNDS {
        let victims: Vec<_> = (0..2).map(|_| Child::start("news_subscribe_and_wait", &domain)).collect();
        let mut publishers: Vec<_> = (0..2).map(|_| Child::start("news_publish_bursts", &domain)).collect();
        let mut counts = [0u64; 2];
        for (at, child) in publishers.iter_mut().enumerate() {
            assert_eq!(child.hear(), "ready");
            child.tell(&at.to_string());
        }
        let mut victims = victims.into_iter();
        for turn in 0..round * 3 {
            // One that never receives holds everybody up until it dies.
            if turn == round || turn == round * 2 {
                victims.next().unwrap().kill();
            }
            while let Ok(Some(received)) = subscriber.recv_timeout(if turn < round { MOMENT } else { 5 * MOMENT }) {
                let (publisher, number) = check(received);
                assert_eq!(number, counts[publisher as usize], "in order, and none left out");
                counts[publisher as usize] += 1;
                assert_eq!(recv(&mut witness), Ok(Some((publisher, number))));
            }
            publishers.iter_mut().for_each(|child| child.tell("go on"));
        }
        victims.for_each(Child::kill);
        publishers.into_iter().for_each(Child::kill);
        while let Ok(Some(received)) = subscriber.recv_timeout(Duration::from_millis(150)) {
            assert_eq!(recv(&mut witness), Ok(Some(check(received))));
        }
    }
    assert!(keeper.lost() <= 2 * ROUNDS);
}

#[test]
fn lossy_publishers_that_are_killed_leave_no_torn_message_and_the_count_is_right() {
    let domain = Domain::new("news-killed");
    let mut subscriber = lossy(domain.name()).subscriber().unwrap();
    let keeper = lossy(domain.name()).publisher().unwrap();
    let (mut random, mut total) = (0x2545_F491_u64, 0);
    for round in 0..30 {
        let mut child = Child::start("news_publish_until_killed", &domain);
        assert_eq!(child.hear(), "ready");
        child.tell(&round.to_string());
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let until = total + (random >> 56);
        while total < until {
            match subscriber.recv_timeout(PATIENCE) {
                Ok(message) => total += u64::from(check(message.unwrap()).0 == round),
                Err(BroadcastRecvTimeoutError::Lagged { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        child.kill();
        // What it had claimed is closed, by whoever comes there.
        loop {
            match subscriber.recv_timeout(Duration::from_millis(150)) {
                Ok(message) => assert_eq!(check(message.unwrap()).0, round),
                Err(BroadcastRecvTimeoutError::Lagged { .. }) => {}
                Err(BroadcastRecvTimeoutError::Timeout) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    drop(keeper);
    let deaths = std::iter::from_fn(|| recv(&mut subscriber).err()).count();
    assert_eq!(deaths, 30, "while somebody published they were of no concern");
    assert_eq!(recv(&mut subscriber), Ok(None));
}

#[test]
fn nobody_waits_for_a_lossy_subscriber_whether_it_is_stopped_or_dead() {
    const MESSAGES: u64 = 100;
    let domain = Domain::new("news-lossy-stopped");
    let mut publisher = lossy(domain.name()).publisher().unwrap();
    let mut children: Vec<_> = (0..2).map(|_| Child::start("news_subscribe_lossily", &domain)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "ready"));
    children.iter_mut().for_each(Child::stop);
    (0..MESSAGES / 2).for_each(|number| publisher.try_send(message(0, number)).unwrap());
    children.pop().unwrap().kill();
    (MESSAGES / 2..MESSAGES).for_each(|number| publisher.try_send(message(0, number)).unwrap());
    drop(publisher);
    let mut child = children.pop().unwrap();
    child.resume();
    child.tell("go");
    let told = child.hear();
    let (count, missed) = told.split_once(' ').unwrap();
    assert_eq!(count.parse::<u64>().unwrap() + missed.parse::<u64>().unwrap(), MESSAGES, "{told}");
    child.finish();
}
