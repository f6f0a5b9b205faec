//! The shared queue between processes that are stopped and killed.

use super::support::{Child, Domain, PATIENCE, Part, listen, program, recv, say};
use ipc_core::{Queue, RecvTimeoutError, TryRecvError};
use std::collections::HashSet;
use std::time::{Duration, Instant};

pub(super) const PARTS: &[(&str, Part)] = &[
    ("shared_send_on_request", send_on_request),
    ("shared_send_bursts", send_bursts_until_killed),
    ("shared_receive", receive_until_killed),
    ("shared_hold_a_loan", hold_a_loan),
    ("shared_hold_a_message", hold_a_message),
    ("shared_hold_a_loaned_batch", hold_a_loaned_batch),
    ("shared_send_half_a_batch", send_half_a_batch),
    ("shared_hold_a_batch", hold_a_batch),
];

/// Sender, number, and a check over both.
type Message = [u64; 3];

fn message(sender: u64, number: u64) -> Message {
    [sender, number, !(sender << 32 | number)]
}

fn check([sender, number, check]: Message) -> (u64, u64) {
    assert_eq!(check, !(sender << 32 | number), "a torn message");
    (sender, number)
}

fn work(domain: &str) -> Queue<Message> {
    Queue::new("work").domain(domain).capacity(8)
}

fn send_on_request(domain: &str) {
    let mut tx = work(domain).sender().unwrap();
    say("ready");
    while let Some(number) = listen() {
        tx.send(message(0, number.parse().unwrap())).unwrap();
        say("sent");
    }
}

/// How many messages a sender sends at a time. Few enough for all that is said of them to fit into a pipe.
const BURST: u64 = 10;

/// Sends a burst for every line that it is told, the first of which is its number, and says each that was sent.
fn send_bursts_until_killed(domain: &str) {
    let mut tx = work(domain).sender().unwrap();
    say("ready");
    let sender = listen().unwrap().parse().unwrap();
    for burst in 0.. {
        for number in burst * BURST..(burst + 1) * BURST {
            tx.send(message(sender, number)).unwrap();
            say(number.to_string());
        }
        listen();
    }
}

/// Says what it has received.
fn receive_until_killed(domain: &str) {
    let mut rx = work(domain).receiver().unwrap();
    say("ready");
    while let Some(received) = rx.recv().unwrap() {
        let (sender, number) = check(received);
        say(format!("{sender} {number}"));
    }
    say("end");
}

fn hold_a_loan(domain: &str) {
    let mut tx = work(domain).sender().unwrap();
    let loan = tx.loan().unwrap();
    say("held");
    listen();
    drop(loan);
}

fn hold_a_message(domain: &str) {
    let mut rx = work(domain).receiver().unwrap();
    let guard = rx.recv_ref().unwrap().unwrap();
    say(check(*guard).1.to_string());
    listen();
}

fn hold_a_loaned_batch(domain: &str) {
    let mut tx = work(domain).sender().unwrap();
    let batch = tx.loan_batch(3).unwrap();
    say(batch.len().to_string());
    listen();
}

/// Has a batch of four copied, and waits after the first two.
fn send_half_a_batch(domain: &str) {
    let mut tx = work(domain).sender().unwrap();
    let messages = (0..4).map(|number| {
        if number == 2 {
            say("half");
            listen();
        }
        message(3, number)
    });
    let _ = tx.send_batch(messages);
}

fn hold_a_batch(domain: &str) {
    let mut rx = work(domain).receiver().unwrap();
    let batch = rx.recv_batch_ref(3).unwrap().unwrap();
    say(batch.len().to_string());
    listen();
}

#[test]
fn of_a_batch_that_a_sender_died_with_each_message_is_counted() {
    let domain = Domain::new("shared-batch");
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut tx = work(domain.name()).sender().unwrap();
    for deaths in 1..=5 {
        let mut child = Child::start("shared_hold_a_loaned_batch", &domain);
        // The ring may end before.
        let claimed: u64 = child.hear().parse().unwrap();
        assert!((1..=3).contains(&claimed));
        tx.send(message(0, deaths)).unwrap();
        let before = rx.lost();
        child.kill();
        assert_eq!(recv(&mut rx), Ok(Some(message(0, deaths))));
        assert_eq!(rx.lost() - before, claimed);
    }
    // At the beginning of a lap, the four are claimed together.
    let domain = Domain::new("shared-half-batch");
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut tx = work(domain.name()).sender().unwrap();
    let mut child = Child::start("shared_send_half_a_batch", &domain);
    assert_eq!(child.hear(), "half");
    tx.send(message(0, 0)).unwrap();
    child.kill();
    assert_eq!(recv(&mut rx), Ok(Some(message(0, 0))), "what is claimed together is published together");
    assert_eq!(rx.lost(), 4);
}

#[test]
fn a_batch_held_by_the_dead_is_delivered_again_or_counted() {
    for is_redelivered in [true, false] {
        let domain = Domain::new(if is_redelivered { "shared-batch-again" } else { "shared-batch-lost" });
        let queue = work(domain.name()).redeliver(is_redelivered);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        tx.send_batch((0..5).map(|number| message(0, number))).unwrap();
        let mut child = Child::start("shared_hold_a_batch", &domain);
        assert_eq!(child.hear(), "3");
        child.kill();
        for number in 3..5 {
            assert_eq!(recv(&mut rx), Ok(Some(message(0, number))), "nobody waits for the dead");
        }
        tx.send(message(0, 5)).unwrap();
        let mut received = Vec::new();
        while received.len() < if is_redelivered { 4 } else { 1 } {
            let guard = rx.recv_ref_timeout(PATIENCE).unwrap().unwrap();
            let (_, number) = check(*guard);
            assert_eq!(guard.redelivered(), u16::from(number < 3));
            received.push(number);
        }
        if is_redelivered {
            received.sort_unstable();
            assert_eq!((received, rx.lost()), (vec![0, 1, 2, 5], 0));
            continue;
        }
        // As many as fit, and one more, for which the dead one's slots are needed.
        for number in 6..15 {
            tx.send_timeout(message(0, number), PATIENCE).unwrap();
            assert_eq!(recv(&mut rx), Ok(Some(message(0, number))));
        }
        assert_eq!((received, rx.lost()), (vec![5], 3));
    }
}

#[test]
fn a_message_held_by_the_dead_is_delivered_again() {
    let domain = Domain::new("shared-redelivered");
    let mut tx = work(domain.name()).sender().unwrap();
    let mut rx = work(domain.name()).receiver().unwrap();
    for deaths in 1..=2 {
        if deaths == 1 {
            tx.send(message(0, 7)).unwrap();
        }
        let mut child = Child::start("shared_hold_a_message", &domain);
        assert_eq!(child.hear(), "7");
        child.kill();
    }
    tx.send(message(0, 8)).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(message(0, 8))), "nobody waits for the dead");
    let again = rx.recv_ref_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!((*again, again.redelivered()), (message(0, 7), 2));
    drop(again);
    assert_eq!(rx.lost(), 0);
}

#[test]
fn a_message_held_by_the_dead_can_be_given_up() {
    let domain = Domain::new("shared-given-up");
    let queue = work(domain.name()).redeliver(false);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send(message(0, 7)).unwrap();
    let mut child = Child::start("shared_hold_a_message", &domain);
    assert_eq!(child.hear(), "7");
    child.kill();
    // As many as fit, and one more, for which the dead one's slot is needed.
    for number in 0..9 {
        tx.send_timeout(message(1, number), PATIENCE).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(message(1, number))));
    }
    assert_eq!((rx.lost(), tx.lost()), (1, 1));
}

#[test]
fn what_a_sender_died_with_holds_nobody_up() {
    let domain = Domain::new("shared-hole");
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut tx = work(domain.name()).sender().unwrap();
    for deaths in 1..=10 {
        let mut child = Child::start("shared_hold_a_loan", &domain);
        assert_eq!(child.hear(), "held");
        tx.send(message(0, deaths)).unwrap();
        assert_eq!(
            rx.recv_timeout(Duration::from_millis(1)),
            Err(RecvTimeoutError::Timeout),
            "a live one is waited for"
        );
        child.kill();
        assert_eq!(recv(&mut rx), Ok(Some(message(0, deaths))));
        assert_eq!(rx.lost(), deaths);
    }
    // One who comes to the dead one's line before anybody waits, and whose own claims are written down there.
    let mut child = Child::start("shared_hold_a_loan", &domain);
    assert_eq!(child.hear(), "held");
    child.kill();
    let mut successor = work(domain.name()).sender().unwrap();
    successor.send(message(1, 0)).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(message(1, 0))));
    assert_eq!(rx.lost(), 11);
}

/// Polls until there is something else than nothing. Each poll looks for the dead only if none has for a while.
fn poll<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    let started = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(started.elapsed() < PATIENCE, "nothing has come");
    }
}

#[test]
fn whoever_only_polls_gets_past_the_dead() {
    let domain = Domain::new("shared-polled");
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut tx = work(domain.name()).sender().unwrap();
    for deaths in 1..=3 {
        let mut sender = Child::start("shared_hold_a_loan", &domain);
        assert_eq!(sender.hear(), "held");
        tx.send(message(0, deaths)).unwrap();
        // The last look for the dead was a moment ago when it dies.
        (0..1000).for_each(|_| assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "a live one is waited for"));
        sender.kill();
        let received = poll(|| Some(rx.try_recv()).filter(|received| *received != Err(TryRecvError::Empty)));
        assert_eq!((received, rx.lost()), (Ok(Some(message(0, deaths))), deaths));

        tx.send(message(1, deaths)).unwrap();
        let mut receiver = Child::start("shared_hold_a_message", &domain);
        assert_eq!(receiver.hear(), deaths.to_string());
        (0..1000).for_each(|_| assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "it is in a live one's hands"));
        receiver.kill();
        let received = poll(|| Some(rx.try_recv()).filter(|received| *received != Err(TryRecvError::Empty)));
        assert_eq!(received, Ok(Some(message(1, deaths))), "it comes again");
    }
}

#[test]
fn whoever_only_polls_for_room_gets_that_of_the_dead() {
    let domain = Domain::new("shared-polled-room");
    let queue = work(domain.name()).redeliver(false);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for deaths in 1..=3 {
        tx.send(message(0, deaths)).unwrap();
        let mut child = Child::start("shared_hold_a_message", &domain);
        assert_eq!(child.hear(), deaths.to_string());
        let sent = (0..).take_while(|&number| tx.try_send(message(1, number)).is_ok()).count() as u64;
        (0..sent).for_each(|number| assert_eq!(rx.try_recv(), Ok(Some(message(1, number)))));
        (0..1000).for_each(|_| assert!(tx.try_send(message(1, sent)).is_err(), "a live one's message is in the way"));
        child.kill();
        poll(|| tx.try_send(message(1, sent)).ok());
        assert_eq!((rx.try_recv(), rx.lost()), (Ok(Some(message(1, sent))), deaths));
    }
}

#[test]
fn a_stopped_sender_is_waited_for() {
    let domain = Domain::new("shared-stopped");
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut tx = work(domain.name()).sender().unwrap();
    let mut child = Child::start("shared_hold_a_loan", &domain);
    assert_eq!(child.hear(), "held");
    child.stop();
    tx.send(message(0, 1)).unwrap();
    assert_eq!(rx.recv_timeout(Duration::from_millis(300)), Err(RecvTimeoutError::Timeout));
    child.resume();
    child.finish();
    assert_eq!(recv(&mut rx), Ok(Some(message(0, 1))));
    assert_eq!(rx.lost(), 0);
}

#[test]
fn the_last_senders_death_is_reported_and_no_other() {
    let domain = Domain::new("shared-last");
    let mut rx = work(domain.name()).receiver().unwrap();
    let mut children: Vec<_> = (0..2).map(|_| Child::start("shared_send_on_request", &domain)).collect();
    for (number, child) in children.iter_mut().enumerate() {
        assert_eq!(child.hear(), "ready");
        child.tell(&number.to_string());
        assert_eq!(child.hear(), "sent");
        assert_eq!(recv(&mut rx), Ok(Some(message(0, number as u64))));
    }
    let pids: Vec<_> = children.iter().map(Child::pid).collect();
    let mut children = children.into_iter();
    children.next().unwrap().kill();
    assert_eq!(rx.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout), "the other carries on");
    children.next().unwrap().kill();
    let mut dead = HashSet::new();
    for _ in 0..2 {
        match recv(&mut rx) {
            Err(RecvTimeoutError::SenderDied(peer)) => {
                assert_eq!(&*peer.program, program());
                dead.insert(peer.pid);
            }
            other => panic!("{other:?} is no report of a death"),
        }
    }
    assert_eq!(dead, pids.into_iter().collect());
    assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout), "and now for a successor");
}

#[test]
fn whoever_is_killed_whenever_every_message_comes_once() {
    const ROUNDS: u64 = 20;
    let domain = Domain::new("shared-soak");
    let mut rx = work(domain.name()).receiver().unwrap();
    let keeper = work(domain.name()).sender().unwrap();
    let (mut seen, mut acknowledged) = (HashSet::new(), HashSet::new());
    let mut hidden = 0;
    for round in 0..ROUNDS {
        let mut receiver = Child::start("shared_receive", &domain);
        assert_eq!(receiver.hear(), "ready");
        let mut senders: Vec<_> = (0..2).map(|_| Child::start("shared_send_bursts", &domain)).collect();
        for (at, sender) in senders.iter_mut().enumerate() {
            assert_eq!(sender.hear(), "ready");
            sender.tell(&(round * 2 + at as u64).to_string());
        }
        for _ in 0..round {
            for (at, sender) in senders.iter_mut().enumerate() {
                for _ in 0..BURST {
                    acknowledged.insert((round * 2 + at as u64, sender.hear().parse::<u64>().unwrap()));
                }
                while let Ok(Some(received)) = rx.try_recv() {
                    assert!(seen.insert(check(received)), "a message came twice");
                }
            }
            senders.iter_mut().for_each(|sender| sender.tell("go on"));
        }
        // In the middle of a burst.
        if round % 2 == 0 {
            senders.drain(..).for_each(Child::kill);
        }
        let words = receiver.kill_and_listen();
        senders.drain(..).for_each(Child::kill);
        for word in words {
            let (sender, number) = word.split_once(' ').unwrap();
            let message = (sender.parse().unwrap(), number.parse().unwrap());
            assert!(seen.insert(message), "{message:?} came twice");
        }
        // What it had received and not said yet.
        hidden += 1;
        while let Ok(Some(received)) = rx.recv_timeout(Duration::from_millis(200)) {
            assert!(seen.insert(check(received)), "a message came twice");
        }
    }
    drop(keeper);
    let missing: Vec<_> = acknowledged.difference(&seen).collect();
    assert!(missing.len() <= hidden, "{missing:?} were sent and never came, with {hidden} deaths of receivers");
    assert!(rx.lost() <= 2 * ROUNDS, "a sender loses one message when it dies, at most");
}
