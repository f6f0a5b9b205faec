//! The exclusive queue between processes that are started in any order, stopped, and killed.

use super::support::{Child, Domain, PATIENCE, Part, listen, program, queue, say};
use ipc_core::{
    Lifetime, OpenError, Peer, Queue, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError,
};
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("queue_send_thousands", send_thousands),
    ("queue_receive_thousands", receive_thousands),
    ("queue_send_on_request", send_on_request),
    ("queue_receive_on_request", receive_on_request),
    ("queue_hold_a_message", hold_a_message),
    ("queue_send_until_killed", send_until_killed),
    ("queue_receive_until_killed", receive_until_killed),
];

const THOUSANDS: u64 = 100_000;

/// A message that shows whether it is whole.
fn message(number: u64) -> [u64; 4] {
    [number, number.wrapping_mul(3), number ^ 0x5555, !number]
}

fn numbers(domain: &str) -> Queue<[u64; 4]> {
    queue(domain, "numbers").capacity(8)
}

fn send_thousands(domain: &str) {
    let mut tx = numbers(domain).sender().unwrap();
    (0..THOUSANDS).for_each(|number| tx.send(message(number)).unwrap());
}

fn receive_thousands(domain: &str) {
    check_thousands(numbers(domain).receiver().unwrap());
    say("all came");
}

fn check_thousands(mut rx: Receiver<[u64; 4]>) {
    for number in 0..THOUSANDS {
        assert_eq!(rx.recv(), Ok(Some(message(number))));
    }
    assert_eq!(rx.recv(), Ok(None));
}

/// Sends the number that it is told and says so, until it is told no more.
fn send_on_request(domain: &str) {
    let mut tx = numbers(domain).sender().unwrap();
    say("ready");
    while let Some(number) = listen() {
        tx.send(message(number.parse().unwrap())).unwrap();
        say("sent");
    }
}

/// Receives one message for every line that it is told, and says its number.
fn receive_on_request(domain: &str) {
    let mut rx = numbers(domain).receiver().unwrap();
    say("ready");
    while listen().is_some() {
        let [number, ..] = rx.recv().unwrap().unwrap();
        say(number.to_string());
    }
}

fn hold_a_message(domain: &str) {
    let mut rx = numbers(domain).receiver().unwrap();
    let guard = rx.recv_ref().unwrap().unwrap();
    say(guard[0].to_string());
    listen();
}

/// Sends numbers from the one it is told on, and says each that was sent.
fn send_until_killed(domain: &str) {
    let mut tx = numbers(domain).sender().unwrap();
    say("ready");
    let first = listen().unwrap().parse().unwrap();
    for number in first.. {
        tx.send(message(number)).unwrap();
        say(number.to_string());
    }
}

/// Receives, and says each number.
fn receive_until_killed(domain: &str) {
    let mut rx = numbers(domain).receiver().unwrap();
    while let Ok(Some(received)) = rx.recv() {
        assert_eq!(received, message(received[0]));
        say(received[0].to_string());
    }
}

/// A child that sends on request, and has joined.
fn sender_child(domain: &Domain) -> Child {
    let mut child = Child::start("queue_send_on_request", domain);
    assert_eq!(child.hear(), "ready");
    child
}

fn receiver_child(domain: &Domain) -> Child {
    let mut child = Child::start("queue_receive_on_request", domain);
    assert_eq!(child.hear(), "ready");
    child
}

fn send(child: &mut Child, number: u64) {
    child.tell(&number.to_string());
    assert_eq!(child.hear(), "sent");
}

fn receive(child: &mut Child) -> u64 {
    child.tell("receive");
    child.hear().parse().unwrap()
}

fn died(child_pid: u32) -> RecvError {
    RecvError::SenderDied(Peer { pid: child_pid, program: program().into() })
}

#[test]
fn everything_arrives_in_order_whoever_starts_first() {
    for sender_first in [true, false] {
        let domain = Domain::new(&format!("queue-thousands-{sender_first}"));
        let parts = if sender_first {
            ["queue_send_thousands", "queue_receive_thousands"]
        } else {
            ["queue_receive_thousands", "queue_send_thousands"]
        };
        let mut children = parts.map(|part| Child::start(part, &domain));
        assert_eq!(children[usize::from(sender_first)].hear(), "all came");
        children.into_iter().for_each(Child::finish);
    }
}

#[test]
fn a_killed_sender_is_reported_once_and_succeeded() {
    let domain = Domain::new("queue-sender-killed");
    let mut rx = numbers(domain.name()).receiver().unwrap();
    let mut child = sender_child(&domain);
    let pid = child.pid();
    (0..3).for_each(|number| send(&mut child, number));
    child.kill();
    // What it had sent comes first, then the news, and no second time.
    for number in 0..3 {
        assert_eq!(rx.recv(), Ok(Some(message(number))));
    }
    assert_eq!(rx.recv(), Err(died(pid)));
    assert_eq!(rx.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
    let mut child = sender_child(&domain);
    send(&mut child, 3);
    assert_eq!(rx.recv(), Ok(Some(message(3))));
    child.finish();
    assert_eq!(rx.recv(), Ok(None));
}

#[test]
fn a_death_that_a_successor_hides_is_reported_all_the_same() {
    let domain = Domain::new("queue-hidden-death");
    let mut rx = numbers(domain.name()).receiver().unwrap();
    let mut first = sender_child(&domain);
    let pid = first.pid();
    send(&mut first, 0);
    assert_eq!(rx.recv(), Ok(Some(message(0))));
    first.kill();
    let mut second = sender_child(&domain);
    send(&mut second, 1);
    assert_eq!(rx.recv(), Ok(Some(message(1))));
    assert_eq!(rx.recv(), Err(died(pid)), "the dead one is named, and not its successor");
    send(&mut second, 2);
    assert_eq!(rx.recv(), Ok(Some(message(2))));
    second.finish();
    assert_eq!(rx.recv(), Ok(None));
}

#[test]
fn a_receiver_that_is_blocked_learns_of_the_death() {
    let domain = Domain::new("queue-blocked");
    let mut rx = numbers(domain.name()).receiver().unwrap();
    let child = sender_child(&domain);
    let pid = child.pid();
    let received = std::thread::scope(|scope| {
        let blocked = scope.spawn(|| rx.recv());
        child.kill();
        blocked.join().unwrap()
    });
    assert_eq!(received, Err(died(pid)));
}

#[test]
fn a_death_before_the_receiver_came_matters_only_with_messages_left() {
    for messages in [0, 2] {
        let domain = Domain::new(&format!("queue-before-{messages}"));
        let mut child = sender_child(&domain);
        let pid = child.pid();
        (0..messages).for_each(|number| send(&mut child, number));
        child.kill();
        let mut rx = numbers(domain.name()).receiver().unwrap();
        for number in 0..messages {
            assert_eq!(rx.recv(), Ok(Some(message(number))));
        }
        if messages > 0 {
            assert_eq!(rx.recv(), Err(died(pid)));
        }
        assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    }
}

#[test]
fn a_killed_receiver_is_reported_when_the_channel_is_full_and_succeeded() {
    let domain = Domain::new("queue-receiver-killed");
    let mut tx: Sender<[u64; 4]> = numbers(domain.name()).sender().unwrap();
    let mut child = receiver_child(&domain);
    let peer = Peer { pid: child.pid(), program: program().into() };
    tx.send(message(0)).unwrap();
    assert_eq!(receive(&mut child), 0);
    child.kill();
    for number in 1..=tx.capacity() as u64 {
        tx.send(message(number)).unwrap();
    }
    let next = tx.capacity() as u64 + 1;
    assert_eq!(tx.send(message(next)), Err(SendError::ReceiverDied(message(next), peer)));
    let mut child = receiver_child(&domain);
    assert_eq!(receive(&mut child), 1, "the successor begins where the dead one stopped");
    tx.send(message(next)).unwrap();
    drop(tx);
    for number in 2..=next {
        assert_eq!(receive(&mut child), number);
    }
    child.finish();
}

#[test]
fn a_message_held_in_place_by_the_dead_comes_again() {
    let domain = Domain::new("queue-held");
    let mut tx = numbers(domain.name()).sender().unwrap();
    tx.send(message(5)).unwrap();
    let mut child = Child::start("queue_hold_a_message", &domain);
    assert_eq!(child.hear(), "5");
    let peer = Peer { pid: child.pid(), program: program().into() };
    child.kill();
    let mut rx = numbers(domain.name()).receiver().unwrap();
    assert_eq!(rx.info().predecessor, Some(peer));
    assert_eq!(rx.recv(), Ok(Some(message(5))));
}

#[test]
fn a_stopped_sender_is_not_taken_for_dead() {
    let domain = Domain::new("queue-stopped");
    let mut rx = numbers(domain.name()).receiver().unwrap();
    let mut child = sender_child(&domain);
    send(&mut child, 0);
    child.stop();
    assert_eq!(rx.recv(), Ok(Some(message(0))));
    // Several looks at its lock.
    assert_eq!(rx.recv_timeout(Duration::from_millis(300)), Err(RecvTimeoutError::Timeout));
    assert!(numbers(domain.name()).sender().is_err(), "and nobody can take its place");
    child.resume();
    send(&mut child, 1);
    assert_eq!(rx.recv(), Ok(Some(message(1))));
    child.finish();
}

/// A small generator (xorshift), so that a failure can be repeated.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn whoever_is_killed_whenever_nothing_acknowledged_is_lost() {
    let domain = Domain::new("queue-ledger");
    let mut rx = numbers(domain.name()).receiver().unwrap();
    let (mut random, mut expected, mut doubled) = (0x9E37_79B9, 0, 0);
    for _ in 0..30 {
        let mut child = Child::start("queue_send_until_killed", &domain);
        assert_eq!(child.hear(), "ready");
        // What was sent and not acknowledged at the last death may come twice: from the dead and from its successor.
        let resume_at: u64 = expected;
        child.tell(&resume_at.to_string());
        let mut acknowledged = None;
        for _ in 0..next_random(&mut random) % 7 {
            acknowledged = Some(child.hear().parse::<u64>().unwrap());
            let received = rx.recv().unwrap().unwrap();
            assert_eq!(received, message(expected));
            expected += 1;
        }
        let pid = child.pid();
        child.kill();
        loop {
            match rx.recv() {
                Ok(Some(received)) => {
                    assert_eq!(received, message(expected));
                    expected += 1;
                    doubled += 1;
                }
                Ok(None) => unreachable!("nobody closes"),
                Err(error) => {
                    assert_eq!(error, died(pid));
                    break;
                }
            }
        }
        assert!(acknowledged.is_none_or(|acknowledged| acknowledged < expected), "an acknowledged message is missing");
    }
    assert!(doubled > 0, "no sender was killed with messages on the way");
}

#[test]
fn whichever_receiver_is_killed_the_next_goes_on_after_it() {
    let domain = Domain::new("queue-receivers");
    let mut tx = numbers(domain.name()).sender().unwrap();
    let (mut random, mut next) = (0xB5AD_4ECE, 0);
    for _ in 0..30 {
        let mut child = Child::start("queue_receive_until_killed", &domain);
        for _ in 0..1 + next_random(&mut random) % 7 {
            tx.send(message(next)).unwrap();
            assert_eq!(child.hear(), next.to_string());
            next += 1;
        }
        child.kill();
    }
}

#[test]
fn the_end_comes_after_the_last_message() {
    let domain = Domain::new("queue-end");
    let queue = numbers(domain.name());
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send_batch((0..3).map(message)).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Ok(Some(message(0))));
    assert_eq!(rx.try_recv(), Ok(Some(message(1))));
    assert_eq!(rx.recv_timeout(PATIENCE), Ok(Some(message(2))));
    assert_eq!(rx.recv(), Ok(None));
    assert_eq!(rx.try_recv(), Ok(None));
    assert_eq!(rx.recv_timeout(PATIENCE), Ok(None));
    assert_eq!(rx.recv_batch(&mut Vec::new(), 10), Ok(0));
    assert!(rx.recv_ref().unwrap().is_none());
    // A sender that comes now begins anew.
    let mut tx = queue.sender().unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    tx.send(message(3)).unwrap();
    assert_eq!(rx.iter().next(), Some(Ok(message(3))));
}

#[test]
fn a_full_channel_without_receiver_gives_the_message_back() {
    let domain = Domain::new("queue-closed");
    let queue = domain.queue("closed").capacity(1).lifetime(Lifetime::Attached);
    let mut tx = queue.sender().unwrap();
    let rx = queue.receiver().unwrap();
    tx.send(1u64).unwrap();
    assert_eq!(tx.send_timeout(2, Duration::from_millis(1)), Err(SendTimeoutError::Timeout(2)));
    drop(rx);
    assert_eq!(tx.send(2), Err(SendError::Closed(2)));
    assert_eq!(tx.try_send(2), Err(TrySendError::Closed(2)));
    assert_eq!(tx.send_timeout(2, PATIENCE), Err(SendTimeoutError::Closed(2)));
    assert!(matches!(tx.loan(), Err(SendError::Closed(()))));
    let error = tx.send_batch([2, 3]).unwrap_err();
    assert_eq!((error.sent, error.error), (0, SendError::Closed(2)));
    // Whoever comes next gets what is there.
    assert_eq!(queue.receiver().unwrap().recv(), Ok(Some(1)));
    assert_eq!(tx.send(2), Ok(()));
}

#[test]
fn a_second_sender_is_told_who_is_first() {
    let domain = Domain::new("queue-second");
    let queue = domain.queue::<u64>("second");
    let _tx = queue.sender().unwrap();
    let error = queue.sender().unwrap_err();
    assert!(matches!(&error, OpenError::InUse { peer, .. } if peer.pid == std::process::id()), "{error}");
    assert!(queue.remove().is_err());
}

#[test]
fn a_stopped_receiver_is_not_taken_for_dead() {
    let domain = Domain::new("queue-stopped-receiver");
    let mut tx = numbers(domain.name()).sender().unwrap();
    let mut child = receiver_child(&domain);
    child.stop();
    (0..tx.capacity() as u64).for_each(|number| tx.send(message(number)).unwrap());
    // Several looks at its lock.
    let late = message(tx.capacity() as u64);
    assert_eq!(tx.send_timeout(late, Duration::from_millis(300)), Err(SendTimeoutError::Timeout(late)));
    assert!(matches!(numbers(domain.name()).receiver(), Err(OpenError::InUse { .. })), "nobody can take its place");
    child.resume();
    assert_eq!(receive(&mut child), 0);
    tx.send(late).unwrap();
    drop(tx);
    (1..=late[0]).for_each(|number| assert_eq!(receive(&mut child), number));
    child.finish();
}
