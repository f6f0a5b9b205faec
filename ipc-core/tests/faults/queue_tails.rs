//! Queues of messages that vary in length, between processes that are killed.

use super::support::packet::{Packet, check, fill, length};
use super::support::{Child, Domain, Part, listen, program, say};
use ipc_core::{Peer, Queue, RecvError, SendError, TryRecvError};

pub(super) const PARTS: &[(&str, Part)] =
    &[("queue_tails_send", send_until_killed), ("queue_tails_receive", receive_until_killed)];

/// Small, so that most messages have to wait for room, and many need padding.
fn packets(domain: &str) -> Queue<Packet> {
    Packet::channel().domain(domain).capacity(4096)
}

const LONGEST: usize = 2000;

/// Sends packets from the number that it is told on, without a word.
fn send_until_killed(domain: &str) {
    let mut tx = packets(domain).sender().unwrap();
    say("ready");
    let first: u64 = listen().unwrap().parse().unwrap();
    for number in first.. {
        let mut loan = tx.loan_len(length(number, LONGEST)).unwrap();
        fill(&mut loan, number);
        loan.send();
    }
}

/// Receives packets, every other one in place, without a word.
fn receive_until_killed(domain: &str) {
    let mut rx = packets(domain).receiver().unwrap();
    say("ready");
    listen();
    loop {
        let number = {
            let packet = rx.recv_ref().unwrap().unwrap();
            check(&packet, packet.time_ns);
            packet.time_ns
        };
        check(&rx.recv_boxed().unwrap().unwrap(), number + 1);
    }
}

#[test]
fn whenever_a_sender_is_killed_what_it_sent_is_whole_and_in_order() {
    let domain = Domain::new("var-senders");
    let mut rx = packets(domain.name()).receiver().unwrap();
    let mut next = 0;
    for round in 0..40 {
        let mut child = Child::start("queue_tails_send", &domain);
        assert_eq!(child.hear(), "ready");
        child.tell(&next.to_string());
        let until = next + length(round, 300) as u64;
        while next < until {
            let packet = rx.recv_ref().unwrap().unwrap();
            check(&packet, next);
            next += 1;
        }
        let died = RecvError::SenderDied(Peer { pid: child.pid(), program: program().into() });
        child.kill();
        loop {
            match rx.recv_boxed() {
                Ok(packet) => check(&packet.expect("nobody closes"), next),
                Err(error) => {
                    assert_eq!(error, died);
                    break;
                }
            }
            next += 1;
        }
    }
    assert!(next > 1000);
}

#[test]
fn whenever_a_receiver_is_killed_the_next_goes_on_after_it() {
    let domain = Domain::new("var-receivers");
    let queue = packets(domain.name());
    let mut tx = queue.sender().unwrap();
    let mut next = 0;
    for round in 0..40 {
        let mut child = Child::start("queue_tails_receive", &domain);
        assert_eq!(child.hear(), "ready");
        child.tell("go");
        let until = next + length(round, 300) as u64;
        while next < until {
            let mut loan = match tx.loan_len(length(next, LONGEST)) {
                // The one of the round before, of whom a sender hears when the channel is full.
                Err(SendError::ReceiverDied(..)) => continue,
                loan => loan.unwrap(),
            };
            fill(&mut loan, next);
            loan.send();
            next += 1;
        }
        child.kill();
        // The rest, from wherever the dead one has come to.
        let mut rx = queue.receiver().unwrap();
        let left = rx.len() as u64;
        (next - left..next).for_each(|number| check(&rx.recv_ref().unwrap().unwrap(), number));
        assert_eq!(rx.try_recv_boxed(), Err(TryRecvError::Empty));
    }
}
