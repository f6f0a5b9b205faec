//! What is left of a segment by those who die, and what becomes of one whose name is taken away.

use super::support::{Child, Domain, Part, listen, program, queue, recv, recv_all, say};
use ipc_core::{IpcMessage, Peer, Queue, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::fs;
use std::os::unix::fs::MetadataExt;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("segment_send_three", send_three),
    ("segment_receive_two", receive_two),
    ("segment_use_both_ends", use_both_ends),
    ("segment_open", open),
];

fn send_three(domain: &str) {
    let mut tx = queue::<u64>(domain, "channel").sender().unwrap();
    tx.send_batch(1..=3).unwrap();
    say("sent");
    listen();
}

fn receive_two(domain: &str) {
    let mut rx = queue::<u64>(domain, "channel").receiver().unwrap();
    assert_eq!([recv(&mut rx), recv(&mut rx)], [Ok(Some(1)), Ok(Some(2))]);
    // The third is only looked at, and so not received.
    let third = rx.recv_ref().unwrap();
    assert_eq!(third.as_deref(), Some(&3));
    say("received");
    listen();
}

fn use_both_ends(domain: &str) {
    let (mut tx, mut rx) = both::<u64>(&queue(domain, "channel").capacity(8));
    // More than a lap, so that the ring is anything but fresh.
    for message in 1..=20 {
        tx.send(message).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(message)));
    }
    tx.send_batch(21..=25).unwrap();
    say("sent");
    listen();
}

fn open(domain: &str) {
    let mut tx = queue::<u64>(domain, "channel").sender().unwrap();
    say(if tx.info().created { "created" } else { "joined" });
    tx.send(77).unwrap();
    listen();
}

/// Both ends of a queue.
fn both<T: IpcMessage>(queue: &Queue<T>) -> (Sender<T>, Receiver<T>) {
    (queue.sender().unwrap(), queue.receiver().unwrap())
}

#[test]
fn a_channel_that_only_the_dead_used_is_removed() {
    let domain = Domain::new("segment-dead");
    let mut child = Child::start("segment_send_three", &domain);
    assert_eq!(child.hear(), "sent");
    child.kill();
    assert!(domain.path("channel").exists());
    assert!(domain.queue::<u64>("channel").remove().unwrap());
    assert!(!domain.path("channel").exists());
}

#[test]
fn a_name_that_is_taken_away_harms_nobody() {
    let domain = Domain::new("segment-rm");
    let queue = domain.queue::<u64>("channel");
    let (mut tx, mut rx) = both(&queue);
    tx.send(1).unwrap();
    fs::remove_file(domain.path("channel")).unwrap();
    tx.send(2).unwrap();
    assert_eq!([recv(&mut rx), recv(&mut rx)], [Ok(Some(1)), Ok(Some(2))]);

    let mut child = Child::start("segment_open", &domain);
    assert_eq!(child.hear(), "created");
    let inode = fs::metadata(domain.path("channel")).unwrap().ino();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "the new channel is another one");
    let mut new = queue.receiver().unwrap();
    assert!(!new.info().created);
    assert_eq!(recv(&mut new), Ok(Some(77)));
    tx.send(3).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(3)), "the old one goes on");

    drop((tx, rx));
    assert_eq!(fs::metadata(domain.path("channel")).unwrap().ino(), inode, "whoever leaves removes no other's segment");
    child.finish();
    assert_eq!(recv(&mut new), Ok(None));
}

#[test]
fn what_a_killed_sender_left_is_delivered_and_taken_over() {
    let domain = Domain::new("segment-killed-sender");
    let queue = domain.queue::<u64>("channel");
    let mut rx = queue.receiver().unwrap();
    let mut child = Child::start("segment_send_three", &domain);
    assert_eq!(child.hear(), "sent");
    let dead = Peer { pid: child.pid(), program: program().into() };
    child.kill();
    assert_eq!([recv(&mut rx), recv(&mut rx), recv(&mut rx)], [1, 2, 3].map(|message| Ok(Some(message))));
    assert_eq!(recv(&mut rx), Err(RecvTimeoutError::SenderDied(dead.clone())));
    let mut tx = queue.sender().unwrap();
    assert_eq!(tx.info().predecessor, Some(dead));
    tx.send(4).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(4)), "each death is reported once");
    drop(tx);
    assert_eq!(recv(&mut rx), Ok(None));
}

#[test]
fn what_a_killed_receiver_left_is_taken_over() {
    let domain = Domain::new("segment-killed-receiver");
    let queue = domain.queue::<u64>("channel");
    let mut tx = queue.sender().unwrap();
    tx.send_batch(1..=5).unwrap();
    let mut child = Child::start("segment_receive_two", &domain);
    assert_eq!(child.hear(), "received");
    let dead = Peer { pid: child.pid(), program: program().into() };
    child.kill();
    let mut rx = queue.receiver().unwrap();
    assert_eq!(rx.info().predecessor, Some(dead));
    // A message that was held in place when its holder died comes again.
    assert_eq!([recv(&mut rx), recv(&mut rx), recv(&mut rx)], [3, 4, 5].map(|message| Ok(Some(message))));
    drop(tx);
    assert_eq!(recv(&mut rx), Ok(None));
}

#[test]
fn what_a_process_with_both_ends_left_is_taken_over() {
    let domain = Domain::new("segment-killed-both");
    let queue = domain.queue::<u64>("channel");
    let mut child = Child::start("segment_use_both_ends", &domain);
    assert_eq!(child.hear(), "sent");
    let dead = Peer { pid: child.pid(), program: program().into() };
    child.kill();
    assert!(domain.path("channel").exists(), "nobody was there to remove it");

    let mut tx = queue.sender().unwrap();
    assert!(!tx.info().created);
    assert_eq!((tx.info().creator.clone(), tx.info().predecessor.clone()), (dead.clone(), Some(dead.clone())));
    // Three places are left of eight.
    assert_eq!([tx.try_send(26), tx.try_send(27), tx.try_send(28)], [Ok(()), Ok(()), Ok(())]);
    let mut rx = queue.receiver().unwrap();
    assert_eq!(rx.info().predecessor, Some(dead));
    drop(tx);
    assert_eq!(recv_all(&mut rx), (21..=28).collect::<Vec<_>>());
    drop(rx);
    assert!(!domain.path("channel").exists());
}
