//! Broadcasts: what each verb promises, in one process and between several.

mod support;

use ipc_core::{Broadcast, BroadcastRecvError, BroadcastRecvTimeoutError, Lifetime, OpenError, Role, TrySendError};
use std::collections::HashSet;
use std::thread;
use std::time::Duration;
use support::news::{
    BURST, MOMENT, Message, TIMEOUT, check, drain, lossless, lossy, message, publish_bursts, recv, recv_all,
};
use support::{Child, Domain, PATIENCE, Part, play, say};

const PARTS: &[(&str, Part)] = &[("publish_bursts", publish_bursts), ("sum_up", sum_up)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// Receives until the end, and says how many messages there were and a digest of their order.
fn sum_up(domain: &str) {
    let mut subscriber = lossless(domain).subscriber().unwrap();
    say("ready");
    let received = recv_all(&mut subscriber);
    let digest = received.iter().fold(7u64, |hash, &(publisher, number)| {
        (hash ^ (publisher << 32 | number)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    say(format!("{} {digest:x}", received.len()));
}

#[test]
fn every_subscriber_gets_every_message_in_one_order() {
    const PUBLISHERS: u64 = 3;
    const EACH: u64 = 20_000;
    let domain = Domain::new("order");
    let subscribers: Vec<_> = (0..4).map(|_| lossless(domain.name()).subscriber().unwrap()).collect();
    let publishers: Vec<_> = (0..PUBLISHERS).map(|_| lossless(domain.name()).publisher().unwrap()).collect();
    let received: Vec<_> = thread::scope(|scope| {
        for (me, mut publisher) in publishers.into_iter().enumerate() {
            scope.spawn(move || {
                (0..EACH).for_each(|number| publisher.send(message(me as u64, number)).unwrap());
            });
        }
        let threads = subscribers.into_iter().map(|mut subscriber| scope.spawn(move || recv_all(&mut subscriber)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(received[0].len() as u64, PUBLISHERS * EACH);
    for publisher in 0..PUBLISHERS {
        let numbers = received[0].iter().filter(|message| message.0 == publisher).map(|message| message.1);
        assert!(numbers.eq(0..EACH), "publisher {publisher}'s messages come in order");
    }
    assert!(received.iter().all(|other| *other == received[0]), "all have the same order");
}

#[test]
fn every_process_gets_every_message_in_one_order() {
    let domain = Domain::new("processes");
    let mut subscribers: Vec<_> = (0..4).map(|_| Child::start("sum_up", &domain)).collect();
    subscribers.iter_mut().for_each(|child| assert_eq!(child.hear(), "ready"));
    let mut publishers: Vec<_> = (0..3).map(|_| Child::start("publish_bursts", &domain)).collect();
    for (me, child) in publishers.iter_mut().enumerate() {
        assert_eq!(child.hear(), "ready");
        child.tell(&me.to_string());
    }
    for _ in 0..20 {
        for child in &mut publishers {
            assert_eq!(child.hear(), "sent");
            child.tell("go on");
        }
    }
    publishers.iter_mut().for_each(|child| assert_eq!(child.hear(), "sent"));
    publishers.into_iter().for_each(Child::finish);
    let sums: HashSet<_> = subscribers.iter_mut().map(Child::hear).collect();
    assert_eq!(sums.len(), 1, "{sums:?}");
    assert!(sums.into_iter().next().unwrap().starts_with(&format!("{} ", 3 * 21 * BURST)));
    subscribers.into_iter().for_each(Child::finish);
}

#[test]
fn there_are_places_for_64_publishers_and_128_subscribers() {
    let domain = Domain::new("places");
    let mut publishers: Vec<_> = (0..64).map(|_| lossless(domain.name()).publisher().unwrap()).collect();
    let mut subscribers: Vec<_> = (0..128).map(|_| lossless(domain.name()).subscriber().unwrap()).collect();
    let error = lossless(domain.name()).publisher().unwrap_err();
    assert!(matches!(error, OpenError::TableFull { role: Role::Publisher, places: 64, .. }), "{error:?}");
    let error = lossless(domain.name()).subscriber().unwrap_err();
    assert!(matches!(error, OpenError::TableFull { role: Role::Subscriber, places: 128, .. }), "{error:?}");
    for (me, publisher) in publishers.iter_mut().enumerate().take(8) {
        publisher.try_send(message(me as u64, 0)).unwrap();
    }
    assert!(matches!(publishers[8].try_send(message(8, 0)), Err(TrySendError::Full(_))));
    for subscriber in &mut subscribers {
        (0..8).for_each(|me| assert_eq!(recv(subscriber), Ok(Some((me, 0)))));
    }
    drop(subscribers.pop());
    subscribers.push(lossless(domain.name()).subscriber().unwrap());
    drop(publishers);
    assert_eq!(recv(&mut subscribers[127]), Ok(None));
}

#[test]
fn a_publisher_waits_for_the_slowest_subscriber_and_for_nobody_else() {
    let domain = Domain::new("pressure");
    let mut publisher = lossless(domain.name()).publisher().unwrap();
    for number in 0..100 {
        publisher.try_send(message(0, number)).expect("nobody listens");
    }
    let mut fast = lossless(domain.name()).subscriber().unwrap();
    let mut slow = lossless(domain.name()).subscriber().unwrap();
    for number in 0..8 {
        publisher.try_send(message(1, number)).unwrap();
        assert_eq!(recv(&mut fast), Ok(Some((1, number))));
    }
    assert_eq!((publisher.len(), fast.len(), slow.len()), (8, 0, 8));
    assert_eq!(publisher.try_send(message(1, 8)), Err(TrySendError::Full(message(1, 8))));
    assert!(publisher.send_timeout(message(1, 8), MOMENT).is_err());
    assert_eq!(recv(&mut slow), Ok(Some((1, 0))));
    publisher.try_send(message(1, 8)).unwrap();
    assert!(publisher.try_send(message(1, 9)).is_err());
    drop(slow);
    publisher.try_send(message(1, 9)).expect("the slow one has gone");
    assert_eq!(drain(&mut fast), (vec![(1, 8), (1, 9)], 0));
}

#[test]
fn a_blocked_publisher_is_woken_by_the_slowest_subscriber() {
    let domain = Domain::new("woken");
    let mut publisher = lossless(domain.name()).publisher().unwrap();
    let mut slow = lossless(domain.name()).subscriber().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || (0..2000).for_each(|number| publisher.send(message(0, number)).unwrap()));
        for number in 0..2000 {
            if number % 100 == 0 {
                // Long enough for the publisher to go to sleep, as it often does; nothing depends on it.
                thread::sleep(MOMENT);
            }
            assert_eq!(recv(&mut slow), Ok(Some((0, number))));
        }
        assert_eq!(recv(&mut slow), Ok(None));
    });
}

#[test]
fn a_late_subscriber_gets_exactly_the_history() {
    for is_lossy in [false, true] {
        let domain = Domain::new("history");
        let news = if is_lossy { lossy(domain.name()) } else { lossless(domain.name()) }.history(5);
        let mut publisher = news.publisher().unwrap();
        for published in 0..40 {
            let mut late = news.subscriber().unwrap();
            let oldest = published - published.min(5);
            let expected: Vec<_> = (oldest..published).map(|number| (0, number)).collect();
            assert_eq!(late.len(), expected.len());
            assert_eq!(drain(&mut late), (expected, 0), "of {published}");
            publisher.send(message(0, published)).unwrap();
            assert_eq!(recv(&mut late), Ok(Some((0, published))));
        }
        // There is room for a whole capacity besides.
        let mut late = news.subscriber().unwrap();
        (40..48).for_each(|number| publisher.try_send(message(0, number)).unwrap());
        assert_eq!(drain(&mut late), ((35..48).map(|number| (0, number)).collect(), 0));
        drop(publisher);
        assert_eq!(recv(&mut late), Ok(None));
        assert_eq!(recv_all(&mut news.subscriber().unwrap()), (43..48).map(|number| (0, number)).collect::<Vec<_>>());
        drop(late);
    }
}

#[test]
fn a_history_outlives_its_publishers_and_is_gone_when_it_has_been_received() {
    let domain = Domain::new("kept");
    let news = lossless(domain.name()).history(5);
    let mut publisher = news.publisher().unwrap();
    publisher.send_batch((0..3).map(|number| message(0, number))).unwrap();
    drop(publisher);
    assert!(domain.path("news").exists());
    let mut late = news.subscriber().unwrap();
    assert_eq!(recv_all(&mut late), [(0, 0), (0, 1), (0, 2)]);
    drop(late);
    assert!(!domain.path("news").exists());
}

#[test]
fn what_a_lossy_subscriber_missed_is_counted_exactly() {
    let domain = Domain::new("lag");
    let mut publisher = lossy(domain.name()).publisher().unwrap();
    let mut subscribers: Vec<_> = (0..5).map(|_| lossy(domain.name()).subscriber().unwrap()).collect();
    let mut seen = [0u64; 5];
    let mut published = 0;
    for round in 1..400u64 {
        for _ in 0..round % 37 {
            publisher.try_send(message(0, published)).expect("a lossy publisher never waits");
            published += 1;
        }
        for (at, subscriber) in subscribers.iter_mut().enumerate() {
            // Some look every time, others seldom.
            if round % (at as u64 * 3 + 1) == 0 {
                let (received, missed) = drain(subscriber);
                let mut expected = seen[at] + missed;
                for (_, number) in received {
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
fn a_lossy_subscriber_that_is_a_whole_capacity_behind_misses_nothing() {
    let domain = Domain::new("whole");
    for (capacity, history) in [(1, 0), (2, 1), (7, 0), (100, 30), (1000, 0), (10_000, 5)] {
        let channel = Broadcast::<u64>::new(format!("of-{capacity}")).domain(domain.name()).lossy();
        let channel = channel.capacity(capacity).history(history).lifetime(Lifetime::Attached);
        let mut publisher = channel.publisher().unwrap();
        publisher.send_batch(0..history as u64).unwrap();
        let (mut subscriber, mut batch) = (channel.subscriber().unwrap(), Vec::new());
        let mut published = history as u64;
        // From places all over the ring.
        for _ in 0..30 {
            let next = published - subscriber.len() as u64;
            publisher.send_batch(published..published + capacity as u64).unwrap();
            published += capacity as u64;
            batch.clear();
            assert_eq!(subscriber.recv_batch(&mut batch, usize::MAX), Ok((published - next) as usize), "{capacity}");
            assert!(batch.iter().copied().eq(next..published), "{capacity}");
            let step = published..published + capacity as u64 / 3;
            publisher.send_batch(step.clone()).unwrap();
            published = step.end;
            step.for_each(|number| assert_eq!(subscriber.try_recv(), Ok(Some(number)), "{capacity}"));
        }
    }
}

#[test]
fn a_subscriber_that_was_overtaken_is_told_so_and_goes_on() {
    let domain = Domain::new("told");
    let (mut publisher, mut subscriber) =
        (lossy(domain.name()).publisher().unwrap(), lossy(domain.name()).subscriber().unwrap());
    publisher.send_batch((0..100).map(|number| message(0, number))).unwrap();
    assert_eq!(subscriber.len(), 100);
    // Three quarters of the ring are left.
    assert_eq!(subscriber.recv(), Err(BroadcastRecvError::Lagged { missed: 94 }));
    assert_eq!(subscriber.len(), 6);
    assert_eq!(recv(&mut subscriber), Ok(Some((0, 94))));
    publisher.send_batch((100..200).map(|number| message(0, number))).unwrap();
    assert_eq!(subscriber.poll(PATIENCE), Err(BroadcastRecvError::Lagged { missed: 99 }));
    let guard = subscriber.recv_ref().unwrap().unwrap();
    assert_eq!(check(*guard), (0, 194));
    drop(guard);
    let mut batch = Vec::new();
    assert_eq!(subscriber.recv_batch(&mut batch, 3), Ok(3));
    assert_eq!(subscriber.recv_batch(&mut batch, 30), Ok(2));
    assert_eq!(batch.into_iter().map(check).collect::<Vec<_>>(), (195..200).map(|n| (0, n)).collect::<Vec<_>>());
}

#[test]
fn lossy_publishers_at_full_speed_tear_no_message_and_every_count_is_right() {
    const PUBLISHERS: u64 = 2;
    const EACH: u64 = 200_000;
    let domain = Domain::new("speed");
    let mut publishers: Vec<_> = (0..PUBLISHERS).map(|_| lossy(domain.name()).publisher().unwrap()).collect();
    let subscribers: Vec<_> = (0..2).map(|_| lossy(domain.name()).subscriber().unwrap()).collect();
    thread::scope(|scope| {
        for (me, mut publisher) in publishers.drain(..).enumerate() {
            scope.spawn(move || {
                (0..EACH).for_each(|number| publisher.send(message(me as u64, number)).unwrap());
            });
        }
        for mut subscriber in subscribers {
            scope.spawn(move || {
                let (mut received, mut missed) = (0u64, 0);
                let mut latest = [None; PUBLISHERS as usize];
                loop {
                    match subscriber.recv_timeout(PATIENCE) {
                        Ok(Some(message)) => {
                            let (publisher, number) = check(message);
                            let before = latest[publisher as usize].replace(number);
                            assert!(before < Some(number), "no message comes twice, or late");
                            received += 1;
                        }
                        Ok(None) => break,
                        Err(BroadcastRecvTimeoutError::Lagged { missed: more }) => missed += more,
                        Err(error) => panic!("{error}"),
                    }
                }
                assert_eq!(received + missed, PUBLISHERS * EACH);
            });
        }
    });
}

#[test]
fn a_subscriber_that_is_too_slow_is_evicted_and_knows_it() {
    let domain = Domain::new("evicted");
    let news = lossless(domain.name()).evict_after(Duration::from_millis(20));
    let mut publisher = news.publisher().unwrap();
    let (mut slow, mut fast) = (news.subscriber().unwrap(), news.subscriber().unwrap());
    for number in 0..8 {
        publisher.send(message(0, number)).unwrap();
        assert_eq!(recv(&mut fast), Ok(Some((0, number))));
    }
    publisher.send_timeout(message(0, 8), PATIENCE).expect("the slow one is given up");
    assert_eq!(recv(&mut fast), Ok(Some((0, 8))));
    assert_eq!(slow.recv(), Err(BroadcastRecvError::Evicted));
    assert_eq!(slow.poll(Duration::ZERO), Err(BroadcastRecvError::Evicted), "for good");
    assert!(matches!(slow.recv_ref(), Err(BroadcastRecvError::Evicted)));
    let mut anew = news.subscriber().unwrap();
    for number in 9..30 {
        publisher.send_timeout(message(0, number), PATIENCE).unwrap();
        assert_eq!(recv(&mut anew), Ok(Some((0, number))));
        assert_eq!(recv(&mut fast), Ok(Some((0, number))));
    }
    // Its place can be had again, and whoever has it then is no outcast.
    drop(slow);
    let mut successor = news.subscriber().unwrap();
    publisher.send_timeout(message(0, 30), PATIENCE).unwrap();
    assert_eq!(recv(&mut successor), Ok(Some((0, 30))));
}

#[test]
fn a_subscriber_that_makes_progress_is_not_evicted() {
    let domain = Domain::new("progress");
    let news = lossless(domain.name()).evict_after(Duration::from_secs(3600));
    let mut publisher = news.publisher().unwrap();
    let mut slow = news.subscriber().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || (0..50).for_each(|number| publisher.send(message(0, number)).unwrap()));
        for number in 0..50 {
            thread::sleep(MOMENT);
            assert_eq!(recv(&mut slow), Ok(Some((0, number))));
        }
        assert_eq!(recv(&mut slow), Ok(None));
    });
}

#[test]
fn a_loan_that_is_given_back_is_no_message() {
    let domain = Domain::new("loan");
    let mut publisher = lossless(domain.name()).publisher().unwrap();
    let mut subscriber = lossless(domain.name()).subscriber().unwrap();
    for number in 0..50 {
        drop(publisher.loan().unwrap());
        let mut loan = publisher.try_loan().unwrap();
        *loan = message(1, number);
        loan.send();
        let guard = subscriber.recv_ref().unwrap().unwrap();
        assert_eq!(check(*guard), (1, number));
        drop(guard);
    }
    assert_eq!((subscriber.lost(), subscriber.len()), (0, 0));
}

#[test]
fn the_end_is_when_every_publisher_has_gone() {
    let domain = Domain::new("end");
    let mut early = lossless(domain.name()).subscriber().unwrap();
    assert_eq!(early.recv_timeout(MOMENT).map(|_| None), TIMEOUT, "nobody has come yet");
    let (mut first, second) =
        (lossless(domain.name()).publisher().unwrap(), lossless(domain.name()).publisher().unwrap());
    first.send(message(0, 0)).unwrap();
    drop(first);
    assert_eq!(recv(&mut early), Ok(Some((0, 0))));
    assert_eq!(early.recv_timeout(MOMENT).map(|_| None), TIMEOUT);
    drop(second);
    assert_eq!(recv(&mut early), Ok(None));
    assert_eq!(recv(&mut early), Ok(None));
    assert_eq!(recv(&mut lossless(domain.name()).subscriber().unwrap()), Ok(None));
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let domain = Domain::new("options");
    assert!(matches!(lossy(domain.name()).evict_after(MOMENT).publisher(), Err(OpenError::Unsupported(_))));
    assert!(matches!(lossless(domain.name()).capacity(0).publisher(), Err(OpenError::Capacity { .. })));
    assert!(matches!(lossless(domain.name()).history(1 << 29).subscriber(), Err(OpenError::Capacity { .. })));
    let news = Broadcast::<Message>::new("news").domain(domain.name());
    assert!(matches!(news.history(usize::MAX).subscriber(), Err(OpenError::Capacity { .. })));
    let keeper = lossless(domain.name()).lifetime(Lifetime::Persistent).publisher().unwrap();
    assert!(matches!(lossy(domain.name()).subscriber(), Err(OpenError::Kind { .. })));
    assert!(matches!(lossless(domain.name()).remove(), Err(OpenError::InUse { role: Role::Publisher, .. })));
    drop(keeper);
    assert!(lossless(domain.name()).remove().unwrap());
}
