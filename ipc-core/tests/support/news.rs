//! A broadcast of messages whose bytes follow from their publisher and number.

use super::{PATIENCE, listen, say};
use ipc_core::{Broadcast, BroadcastRecvTimeoutError, BroadcastTryRecvError, Subscriber};
use std::time::Duration;

/// Publisher, number, filling, and a check over all of it: longer than a line, so that it can be torn.
pub(crate) type Message = [u64; 12];

pub(crate) fn message(publisher: u64, number: u64) -> Message {
    let mut message = [publisher.wrapping_mul(31).wrapping_add(number); 12];
    (message[0], message[1]) = (publisher, number);
    message[11] = check_of(&message);
    message
}

fn check_of(message: &Message) -> u64 {
    message[..11].iter().fold(7, |hash, word| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Publisher and number of a message that is whole.
pub(crate) fn check(message: Message) -> (u64, u64) {
    assert_eq!(message[11], check_of(&message), "a torn message");
    (message[0], message[1])
}

pub(crate) fn lossless(domain: &str) -> Broadcast<Message> {
    Broadcast::new("news").domain(domain).capacity(8)
}

pub(crate) fn lossy(domain: &str) -> Broadcast<Message> {
    lossless(domain).lossy()
}

pub(crate) fn recv(subscriber: &mut Subscriber<Message>) -> Result<Option<(u64, u64)>, BroadcastRecvTimeoutError> {
    Ok(subscriber.recv_timeout(PATIENCE)?.map(check))
}

/// Receives until the end.
pub(crate) fn recv_all(subscriber: &mut Subscriber<Message>) -> Vec<(u64, u64)> {
    std::iter::from_fn(|| recv(subscriber).expect("the publishers close")).collect()
}

/// Everything that can be had now, and how many messages were missed.
pub(crate) fn drain(subscriber: &mut Subscriber<Message>) -> (Vec<(u64, u64)>, u64) {
    let (mut received, mut missed) = (Vec::new(), 0);
    loop {
        match subscriber.try_recv() {
            Ok(Some(message)) => received.push(check(message)),
            Err(BroadcastTryRecvError::Lagged { missed: more }) => missed += more,
            Ok(None) | Err(BroadcastTryRecvError::Empty) => return (received, missed),
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) const MOMENT: Duration = Duration::from_millis(1);

pub(crate) const TIMEOUT: Result<Option<(u64, u64)>, BroadcastRecvTimeoutError> =
    Err(BroadcastRecvTimeoutError::Timeout);

/// How many messages a publisher publishes at a time.
pub(crate) const BURST: u64 = 10;

/// Publishes a burst for every line, the first of which is its number, and says that it has.
pub(crate) fn publish_bursts(domain: &str) {
    let mut publisher = lossless(domain).publisher().unwrap();
    say("ready");
    let me = listen().unwrap().parse().unwrap();
    for burst in 0.. {
        (burst * BURST..(burst + 1) * BURST).for_each(|number| publisher.send(message(me, number)).unwrap());
        say("sent");
        if listen().is_none() {
            return;
        }
    }
}
