//! Queues of messages that vary in length, through their public interface, in one process.

mod support;

use ipc_core::message::{IpcMessage, Reason};
use ipc_core::{
    Corrupt, Lifetime, OpenError, Opt, Queue, RecvError, SendError, SendTimeoutError, Str, TooLarge, TooLong,
    TryRecvError, TrySendError, WaitSet,
};
use ipc_macros::IpcMessage;
use std::time::Duration;
use support::Domain;
use support::packet::{Packet, check, damage, fill, length};

#[derive(IpcMessage, Debug, PartialEq)]
#[repr(C)]
#[ipc(crate = "ipc_core")]
struct Line {
    level: Opt<u32>,
    text: str,
}

#[derive(IpcMessage, Debug, PartialEq)]
#[repr(C, align(64))]
#[ipc(crate = "ipc_core")]
struct Track<T: IpcMessage> {
    name: Str<5>,
    points: [[T; 2]],
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
#[ipc(crate = "ipc_core")]
enum Step {
    Left = 3,
    Right = 9,
}

/// A queue of its own for the test `name`. Its segment goes with the last handle.
fn queue<T: IpcMessage + ?Sized>(name: &str) -> Queue<T> {
    Queue::new(name).domain(format!("variable-test-{}", std::process::id())).spsc().lifetime(Lifetime::Attached)
}

#[test]
fn every_length_arrives_in_place_and_by_value() {
    let queue = queue::<Packet>("lengths").capacity(2048);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    assert_eq!(tx.max_len(), 1024 - 8 - 10);
    for len in 0..=tx.max_len() {
        for number in 0..2 {
            let mut loan = tx.try_loan_len(len).expect("an empty ring has room");
            assert_eq!(loan.data.len(), len);
            fill(&mut loan, number);
            loan.send();
            match number {
                0 => check(&rx.recv_ref().unwrap().unwrap(), number),
                _ => check(&rx.recv_boxed().unwrap().unwrap(), number),
            }
        }
    }
    drop(tx);
    assert!(rx.recv_ref().unwrap().is_none() && rx.recv_boxed().unwrap().is_none());
}

#[test]
fn a_loan_takes_a_copy_of_a_message_that_is_not_longer() {
    let queue = queue::<[u32]>("copies").capacity(1 << 21);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    // Some of these are long enough to be copied past the caches.
    for len in [0u32, 1, 127, 128, 1_000, 10_000, 100_000] {
        let items: Vec<u32> = (0..len).map(|at| at.wrapping_mul(2_654_435_761) ^ len).collect();
        let mut loan = tx.loan_len(len as usize + 1).unwrap();
        let longer = vec![0; len as usize + 2];
        assert_eq!(loan.copy_from(&longer), Err(TooLong { len: longer.len(), capacity: len as usize + 1 }));
        loan.copy_from(&items).unwrap();
        assert_eq!(*loan, *items);
        loan.send();
        tx.send_slice(&items).unwrap();
        assert_eq!(*rx.recv_ref().unwrap().unwrap(), *items);
        assert_eq!(*rx.recv_boxed().unwrap().unwrap(), *items);
    }
}

#[test]
fn messages_wait_in_line_until_there_is_no_room() {
    let queue = queue::<Packet>("line").capacity(4096);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let (mut sent, mut received) = (0, 0);
    for _ in 0..500 {
        loop {
            let len = length(sent, tx.max_len());
            match tx.try_loan_len(len) {
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
        let error = tx.loan_len_timeout(length(sent, tx.max_len()), Duration::from_millis(1)).unwrap_err();
        assert_eq!(error, SendTimeoutError::Timeout(()));
        assert_eq!((tx.len() as u64, rx.len() as u64), (sent - received, sent - received));
        for _ in 0..(sent - received).min(1 + received % 9) {
            check(&rx.try_recv_ref().unwrap().unwrap(), received);
            received += 1;
        }
    }
    while received < sent {
        check(&rx.try_recv_boxed().unwrap().unwrap(), received);
        received += 1;
    }
    assert_eq!(rx.try_recv_boxed(), Err(TryRecvError::Empty));
    assert!(matches!(rx.recv_ref_timeout(Duration::ZERO), Err(ipc_core::RecvTimeoutError::Timeout)));
}

#[test]
fn a_message_that_is_too_large_is_told_the_limit() {
    let queue = queue::<Track<u32>>("large").capacity(1000);
    let (mut tx, rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    // 1000 bytes are 16 units of 64, of which a message may take 8; the header takes one, to keep the alignment.
    assert_eq!((tx.capacity(), tx.info().requested_capacity), (1024, Some(1024)));
    assert!(!rx.info().capacity_differs());
    let too_large = TooLarge { bytes: 8 + 56 * 8, limit: 448 };
    assert_eq!(tx.loan_len(56).unwrap_err(), SendError::TooLarge((), too_large));
    assert_eq!(tx.try_loan_len(56).unwrap_err(), TrySendError::TooLarge((), too_large));
    assert_eq!(tx.loan_len_timeout(56, Duration::ZERO).unwrap_err(), SendTimeoutError::TooLarge((), too_large));
    let most = usize::MAX.to_string();
    assert_eq!(tx.loan_len(usize::MAX).unwrap_err().to_string().split_whitespace().nth(3), Some(&*most));
    assert_eq!(tx.max_len(), 55);
    tx.loan_len(55).unwrap().send();
}

#[test]
fn a_ring_has_4_mib_unless_told_otherwise() {
    let tx = queue::<Packet>("default").sender().unwrap();
    assert_eq!(tx.capacity(), 4 << 20);
    assert_eq!(tx.max_len(), (2 << 20) - 8 - 10);
    assert!(matches!(queue::<str>("none").capacity(0).sender(), Err(OpenError::Capacity { .. })));
}

#[test]
fn payloads_are_aligned() {
    let queue = queue::<Track<u64>>("aligned").capacity(4096);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for len in [0, 1, 5, 2, 20] {
        let mut loan = tx.loan_len(len).unwrap();
        loan.name = "track".parse().unwrap();
        loan.points.iter_mut().zip(1..).for_each(|(point, number)| *point = [number, !number]);
        loan.send();
        let track = rx.recv_ref().unwrap().unwrap();
        assert_eq!((&raw const *track).addr() % 64, 0);
        assert_eq!(track.name, "track");
        assert!(track.points.iter().zip(1..).all(|(point, number)| *point == [number, !number]));
        assert_eq!(track.points.len(), len);
    }
}

#[test]
fn text_is_set_and_cut_at_characters() {
    let queue = queue::<Line>("text").capacity(4096);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut loan = tx.loan_len(12).unwrap();
    assert_eq!((loan.level, &loan.text), (Opt::None, "\0\0\0\0\0\0\0\0\0\0\0\0"), "blank, and valid");
    assert_eq!(loan.set_text("more than there is room for").unwrap_err().capacity, 12);
    loan.set_text("grün").unwrap();
    assert_eq!(loan.text.len(), 5);
    loan.level = Opt::Some(7);
    // Between the two bytes of the third character.
    loan.truncate(3);
    assert_eq!(&loan.text, "gr");
    loan.truncate(9);
    loan.send();
    let line = rx.recv_boxed().unwrap().unwrap();
    assert_eq!((line.level, &line.text), (Opt::Some(7), "gr"));
    // A copy of a message, as it was received.
    tx.send_copy(&line).unwrap();
    assert_eq!(*rx.recv_ref().unwrap().unwrap(), *line);
    tx.try_send_copy(&line).unwrap();
    assert_eq!(rx.recv_boxed_timeout(Duration::ZERO), Ok(Some(line)));
}

#[test]
fn a_loan_that_is_not_sent_is_given_back() {
    let queue = queue::<[u8]>("unsent").capacity(1024);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for _ in 0..100 {
        tx.try_loan_len(300).unwrap().fill(1);
    }
    assert_eq!(rx.try_recv_boxed(), Err(TryRecvError::Empty));
    tx.try_send_copy(&[1, 2, 3]).unwrap();
    let mut loan = tx.try_loan_len(400).unwrap();
    loan[..2].copy_from_slice(&[4, 5]);
    loan.truncate(2);
    assert_eq!(*loan, [4, 5]);
    loan.send();
    assert_eq!(*rx.recv_boxed().unwrap().unwrap(), [1, 2, 3]);
    assert_eq!(*rx.recv_boxed().unwrap().unwrap(), [4, 5]);
}

#[test]
fn room_that_was_waited_for_is_used() {
    let domain = Domain::new("waited-for");
    let text = "x".repeat(500);
    for queue in [Queue::<str>::new("x").spsc(), Queue::<str>::new("s")] {
        let queue = queue.domain(domain.name()).capacity(4096).lifetime(Lifetime::Attached);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let mut set = WaitSet::new();
        // Further than around the ring, so that what is given back without need would fill it.
        for _ in 0..20 {
            while tx.try_send_copy(&text).is_ok() {}
            assert!(set.try_wait([&mut tx]).next().is_none());
            assert!(rx.recv_boxed().unwrap().is_some());
            assert!(set.try_wait([&mut tx]).next().is_some());
            tx.try_send_copy(&text[1..]).unwrap();
        }
    }
}

#[test]
fn an_invalid_tail_is_skipped() {
    let queue = queue::<[Step]>("invalid");
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let steps = [Step::Left, Step::Right, Step::Left, Step::Right, Step::Right, Step::Left, Step::Left, Step::Left];
    for by_value in [true, false] {
        tx.send_copy(&steps).unwrap();
        tx.send_copy(&steps[..1]).unwrap();
        damage(&tx.info().path, &[3, 9, 3, 9, 9, 3, 3, 3], &[3, 9, 3, 9, 9, 3, 3, 4]);
        let error = if by_value { rx.recv_boxed().unwrap_err() } else { rx.recv_ref().unwrap_err() };
        let RecvError::Corrupt(Corrupt::Message(invalid)) = error else { panic!("{error}") };
        assert_eq!(invalid.to_string(), "4 is not a variant of `Step`");
        assert_eq!(*rx.recv_boxed().unwrap().unwrap(), [Step::Left]);
    }
    let queue = self::queue::<Line>("invalid-text");
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut loan = tx.loan_len(7).unwrap();
    loan.set_text("letters").unwrap();
    loan.send();
    damage(&tx.info().path, b"letters", b"lett\xffrs");
    let RecvError::Corrupt(Corrupt::Message(invalid)) = rx.recv_ref().unwrap_err() else { panic!() };
    assert_eq!(invalid.to_string(), "`Line`.`text`: the text is not UTF-8 from byte 4 on");
}

#[test]
fn a_length_that_no_message_has_is_skipped() {
    let queue = queue::<Track<u32>>("odd");
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for (bytes, reason) in [
        (8 + 8 + 3, Reason::Tail { bytes: 11, item_bytes: 8 }),
        (7, Reason::Size { given: 7, expected: 8 }),
        (0, Reason::Size { given: 0, expected: 8 }),
    ] {
        let mut loan = tx.loan_len(2).unwrap();
        loan.points[0] = [u32::MAX; 2];
        loan.send();
        // The header: bytes of the payload plus 1, in lap 0.
        damage(&tx.info().path, &[25, 0, 0, 0, 0, 0, 0, 0], &[bytes + 1, 0, 0, 0, 0, 0, 0, 0]);
        tx.loan_len(1).unwrap().send();
        let RecvError::Corrupt(Corrupt::Message(invalid)) = rx.recv_ref().unwrap_err() else { panic!() };
        assert_eq!(invalid.reason(), reason);
        // Where the receiver looks next depends on the length that it was told; what it finds there is not a message.
        drop(rx);
        drop(tx);
        (tx, rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    }
}

#[test]
fn a_damaged_header_ends_the_channel() {
    let queue = queue::<[u8]>("damaged");
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send_copy(&[7; 20]).unwrap();
    damage(&tx.info().path, &[21, 0, 0, 0, 0, 0, 0, 0, 7], &[21, 0, 0, 0, 5, 0, 0, 0]);
    for _ in 0..2 {
        assert!(matches!(rx.recv_ref(), Err(RecvError::Corrupt(Corrupt::Stamp { slot: 0, .. }))));
    }
    drop(tx);
    let mut tx = queue.sender().unwrap();
    assert!(matches!(tx.loan_len(1), Err(SendError::Corrupt((), Corrupt::Stamp { .. }))), "a successor finds it too");
}

#[test]
fn a_damaged_length_in_a_shared_queue_is_told_once_and_costs_one_message() {
    let queue = Queue::<[u8]>::new("damaged-shared").domain(format!("variable-test-{}", std::process::id()));
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for length in [21 + 44, u8::MAX] {
        tx.send_copy(&[7; 20]).unwrap();
        tx.send_copy(&[9; 3]).unwrap();
        damage(&tx.info().path, &[20, 0, 0, 0, 0, 0, 0, 0, 7], &[length, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(rx.recv_ref(), Err(RecvError::Corrupt(Corrupt::Stamp { .. }))));
        assert_eq!(*rx.recv_ref().unwrap().unwrap(), [9; 3]);
    }
}

/// The same name with another tail.
mod narrow {
    use super::*;

    #[derive(IpcMessage)]
    #[repr(C)]
    #[ipc(crate = "ipc_core")]
    pub(super) struct Packet {
        time_ns: u64,
        link: u16,
        data: [u16],
    }
}

/// The same name without one.
mod fixed {
    use super::*;

    #[derive(IpcMessage)]
    #[repr(C)]
    #[ipc(crate = "ipc_core")]
    pub(super) struct Packet {
        time_ns: u64,
        link: u16,
    }
}

#[test]
fn another_tail_is_another_message() {
    fn difference<T: IpcMessage + ?Sized>() -> String {
        match queue::<T>("tails").receiver() {
            Err(OpenError::Mismatch(mismatch)) => mismatch.differences[0].to_string(),
            other => panic!("{other:?}"),
        }
    }
    let _tx = queue::<Packet>("tails").sender().unwrap();
    assert_eq!(difference::<narrow::Packet>(), "field `data`: [u16] at byte 10 here, [u8] at byte 10 in the segment");
    assert_eq!(difference::<fixed::Packet>(), "field `data`: missing here, [u8] at byte 10 in the segment");
    assert_eq!(difference::<str>(), "message: str here, Packet in the segment");
}

#[test]
fn what_was_not_received_stays_for_the_next() {
    let domain = Domain::new("stays");
    let queue = Packet::channel().domain(domain.name());
    let mut tx = queue.sender().unwrap();
    for number in 0..3 {
        let mut loan = tx.loan_len(100).unwrap();
        fill(&mut loan, number);
        loan.send();
    }
    drop(tx);
    assert!(domain.path("packets").exists());
    let mut rx = queue.receiver().unwrap();
    check(&rx.recv_ref().unwrap().unwrap(), 0);
    drop(rx);
    let mut rx = queue.receiver().unwrap();
    (1..3).for_each(|number| check(&rx.recv_ref().unwrap().unwrap(), number));
    drop(rx);
    assert!(!domain.path("packets").exists(), "it is drained, and goes");
}
