//! How long the messages of a broadcast take is counted by each of its subscribers, in the segment or by itself.

mod support;

use ipc_core::inspect::Observer;
use ipc_core::{Broadcast, IpcMessage, Subscriber};
use std::thread;
use std::time::{Duration, Instant};
use support::packet::damage;
use support::{Child, Domain, PATIENCE, Part, listen, play, say};

const PARTS: &[(&str, Part)] = &[("subscribe_three", subscribe_three)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

#[derive(ipc_macros::IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core", broadcast = "declared", capacity = 4, lossy, timestamps)]
#[repr(C)]
struct Declared {
    number: u64,
}

fn broadcast<T: IpcMessage + ?Sized>(domain: &str, is_lossy: bool) -> Broadcast<T> {
    let channel = Broadcast::<T>::new("channel").domain(domain).timestamps(true);
    if is_lossy { channel.lossy() } else { channel }
}

/// What somebody sees who takes no part.
fn observed(domain: &Domain) -> Option<u64> {
    let observer = Observer::open_in(domain.name(), "channel").unwrap();
    assert!(observer.info().timestamps);
    let count = observer.latency().map(|latency| latency.count());
    assert_eq!(observer.received(), count);
    count
}

/// How many messages a subscriber knows of, none of which may be out of range.
fn count<T: IpcMessage + ?Sized>(subscriber: &Subscriber<T>) -> u64 {
    let latency = subscriber.latency().expect("the channel has timestamps");
    assert_eq!(latency.out_of_range(), 0);
    latency.count()
}

/// Receives three messages, and says so.
fn subscribe_three(domain: &str) {
    let mut subscriber = broadcast::<u64>(domain, false).subscriber().unwrap();
    say("ready");
    (0..3).for_each(|number| assert_eq!(subscriber.recv(), Ok(Some(number))));
    say("received");
    listen();
}

#[test]
fn every_message_counts_once_for_each_subscriber_however_it_is_received() {
    for evicts in [false, true] {
        let domain = Domain::new("tb-once");
        let channel = broadcast::<u64>(domain.name(), false);
        let channel = if evicts { channel.evict_after(PATIENCE) } else { channel };
        let (mut publisher, mut first) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
        let mut second = channel.subscriber().unwrap();
        publisher.send_batch(0..3).unwrap();
        assert_eq!(observed(&domain), Some(0), "it has been sent, and not received");
        assert_eq!(first.recv_batch(&mut Vec::new(), 9), Ok(3));
        assert_eq!((count(&first), count(&second), observed(&domain)), (3, 3, Some(3)), "all count in one place");
        let mut loan = publisher.loan().unwrap();
        *loan = 3;
        loan.send();
        drop(publisher.loan().unwrap());
        let held = first.recv_ref().unwrap().unwrap();
        // A copy has been received, and what is read in place counts when its slot is free.
        assert_eq!((*held, observed(&domain)), (3, Some(if evicts { 4 } else { 3 })));
        drop(held);
        assert!(second.poll(PATIENCE).unwrap());
        assert_eq!(observed(&domain), Some(4), "looking is not receiving");
        (0..4).for_each(|number| assert_eq!(second.iter().next(), Some(Ok(number))));
        assert_eq!(observed(&domain), Some(8));
    }
}

#[test]
fn a_lossy_subscriber_counts_for_itself() {
    let domain = Domain::new("tb-lossy");
    let channel = broadcast::<u64>(domain.name(), true).capacity(4);
    let (mut publisher, mut first) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    let mut second = channel.subscriber().unwrap();
    publisher.send_batch(0..3).unwrap();
    (0..3).for_each(|number| assert_eq!(first.recv(), Ok(Some(number))));
    assert_eq!((count(&first), count(&second)), (3, 0));
    assert_eq!(second.recv_ref().unwrap().map(|number| *number), Some(0));
    publisher.send_batch(3..13).unwrap();
    assert!(second.recv().is_err(), "what was missed was not received");
    assert_eq!((second.recv(), second.recv()), (Ok(Some(10)), Ok(Some(11))));
    assert_eq!((count(&first), count(&second), observed(&domain)), (3, 3, None));
}

#[test]
fn messages_of_any_length_count_too_and_keep_their_alignment() {
    for is_lossy in [false, true] {
        let domain = Domain::new("tb-variable");
        let channel = broadcast::<[u128]>(domain.name(), is_lossy).capacity(8192);
        let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
        for len in 0..=publisher.max_len() {
            let message: Vec<u128> = (0..len).map(|item| item as u128 ^ u128::MAX).collect();
            publisher.send_copy(&message).unwrap();
            match len % 2 {
                0 => assert_eq!(*subscriber.recv_boxed().unwrap().unwrap(), *message),
                _ => assert_eq!(*subscriber.recv_ref().unwrap().unwrap(), *message),
            }
            assert_eq!(count(&subscriber), len as u64 + 1);
        }
        assert_eq!(observed(&domain), (!is_lossy).then_some(count(&subscriber)));
    }
}

#[test]
fn a_message_that_is_skipped_as_invalid_counts() {
    for is_lossy in [false, true] {
        let domain = Domain::new("tb-invalid");
        let channel = broadcast::<str>(domain.name(), is_lossy);
        let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
        publisher.send_copy_batch(["letters", "letters"]).unwrap();
        for _ in 0..2 {
            damage(&publisher.info().path, b"letters", b"lett\xffrs");
        }
        assert!(subscriber.recv_ref().is_err());
        assert!(subscriber.recv_boxed().is_err());
        assert_eq!(count(&subscriber), 2);
    }
}

#[test]
fn a_latency_lies_between_what_the_ends_see_of_it() {
    for is_lossy in [false, true] {
        for in_place in [false, true] {
            let domain = Domain::new("tb-between");
            let channel = broadcast::<u64>(domain.name(), is_lossy);
            let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
            let before_sending = Instant::now();
            publisher.send(1).unwrap();
            let sent = Instant::now();
            thread::sleep(Duration::from_millis(20));
            let before_receiving = Instant::now();
            let received = if in_place {
                let held = subscriber.recv_ref().unwrap().unwrap();
                let received = Instant::now();
                // How long it is held does not matter.
                thread::sleep(Duration::from_millis(20));
                drop(held);
                received
            } else {
                assert_eq!(subscriber.recv(), Ok(Some(1)));
                Instant::now()
            };
            let ns = |from: Instant, to: Instant| (to - from).as_nanos() as u64;
            let bounds = ns(sent, before_receiving)..=ns(before_sending, received);
            let latency = subscriber.latency().unwrap();
            assert!(bounds.contains(&latency.min_ns()), "{latency:?}, not in {bounds:?}");
            assert_eq!((latency.count(), latency.min_ns()), (1, latency.max_ns()));
        }
    }
}

#[test]
fn subscribers_of_other_processes_count_in_the_same_place() {
    let domain = Domain::new("tb-processes");
    let channel = broadcast::<u64>(domain.name(), false);
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    let mut children: Vec<_> = (0..2).map(|_| Child::start("subscribe_three", &domain)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "ready"));
    publisher.send_batch(0..3).unwrap();
    assert_eq!(subscriber.recv(), Ok(Some(0)));
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "received"));
    let mut killed = children.into_iter();
    killed.next().unwrap().kill();
    killed.next().unwrap().finish();
    assert_eq!((count(&subscriber), observed(&domain)), (7, Some(7)));
}

#[test]
fn a_declared_broadcast_has_them_and_one_without_has_none() {
    let domain = Domain::new("tb-declared");
    let channel = Declared::channel().domain(domain.name());
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    publisher.send(Declared { number: 7 }).unwrap();
    assert_eq!(subscriber.recv(), Ok(Some(Declared { number: 7 })));
    assert_eq!(count(&subscriber), 1);
    let plain = Broadcast::<u64>::new("plain").domain(domain.name());
    let subscriber = plain.subscriber().unwrap();
    assert!(subscriber.latency().is_none() && !subscriber.info().timestamps);
}
