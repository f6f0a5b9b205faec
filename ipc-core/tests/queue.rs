//! The exclusive queue through its public interface, both ends in one process.

use ipc_core::{Lifetime, OpenError, Queue, RecvTimeoutError, SendError, Str, TryRecvError, TrySendError};
use ipc_macros::IpcMessage;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue of its own for the test `name`. Its segment goes with the last handle.
fn queue<T: ipc_core::IpcMessage>(name: &str) -> Queue<T> {
    Queue::new(name).domain(format!("queue-test-{}", std::process::id())).spsc().lifetime(Lifetime::Attached)
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
#[ipc(crate = "ipc_core")]
struct Order {
    id: u64,
    side: Side,
    symbol: Str<6>,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
#[ipc(crate = "ipc_core")]
enum Side {
    Buy = 1,
    Sell = 2,
}

fn order(id: u64) -> Order {
    let side = if id % 2 == 0 { Side::Buy } else { Side::Sell };
    Order { id, side, symbol: Str::truncated("SLIP") }
}

#[test]
fn exactly_as_many_messages_fit_as_were_asked_for() {
    for capacity in [1, 2, 3, 5, 64] {
        let queue = queue::<u64>("fit").capacity(capacity);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        for lap in 0..3 {
            for number in 0..capacity as u64 {
                tx.try_send(lap + number).unwrap();
            }
            assert_eq!(tx.try_send(99), Err(TrySendError::Full(99)), "{capacity}");
            assert_eq!((tx.len(), rx.len()), (capacity, capacity));
            for number in 0..capacity as u64 {
                assert_eq!(rx.try_recv(), Ok(Some(lap + number)));
            }
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

#[test]
fn a_receiver_that_comes_first_waits() {
    let queue = queue("first");
    let mut rx = queue.receiver().unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    thread::scope(|scope| {
        scope.spawn(|| queue.sender().unwrap().send(order(1)).unwrap());
        assert_eq!(rx.recv(), Ok(Some(order(1))));
        assert_eq!(rx.recv(), Ok(None));
    });
}

#[test]
fn a_receiver_that_comes_late_gets_what_was_sent() {
    let queue = queue("late").lifetime(Lifetime::Drained);
    queue.sender().unwrap().send(order(7)).unwrap();
    let mut rx = queue.receiver().unwrap();
    assert!(!rx.info().created);
    assert_eq!(rx.recv(), Ok(Some(order(7))));
    assert_eq!(rx.recv(), Ok(None));
}

#[test]
fn a_receiver_that_comes_back_to_an_empty_channel_waits_for_the_next_sender() {
    let queue = queue::<Order>("again").lifetime(Lifetime::Persistent);
    drop(queue.sender().unwrap());
    let mut rx = queue.receiver().unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    drop(queue.sender().unwrap());
    assert_eq!(rx.try_recv(), Ok(None));
    drop(rx);
    assert!(queue.remove().unwrap());
    assert!(!queue.remove().unwrap());
}

#[test]
fn a_batch_tells_how_far_it_got_and_keeps_the_rest() {
    let queue = queue("rest").capacity(2);
    let mut tx = queue.sender().unwrap();
    drop(queue.receiver().unwrap());
    // A receiver that was gone before this sender looked does not count, so make one that it has met.
    let rx = queue.receiver().unwrap();
    tx.try_send(0u64).unwrap();
    drop(rx);
    let mut numbers = 1..10;
    let error = tx.send_batch(&mut numbers).unwrap_err();
    assert_eq!((error.sent, error.error), (1, SendError::Closed(2)));
    assert_eq!(numbers, 3..10);
}

#[test]
fn batches_are_bounded_and_append() {
    let queue = queue("batches").capacity(10);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    assert_eq!(tx.send_batch(0u64..7).unwrap(), 7);
    let mut batch = vec![100];
    assert_eq!(rx.recv_batch(&mut batch, 0), Ok(0));
    assert_eq!(rx.recv_batch(&mut batch, 3), Ok(3));
    assert_eq!(rx.recv_batch(&mut batch, 100), Ok(4));
    assert_eq!(batch, [100, 0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_loan_is_sent_or_given_back() {
    let queue = queue::<Order>("loan").capacity(2);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut loan = tx.loan().unwrap();
    assert_eq!(loan.side, Side::Buy, "a blank message is a valid one");
    *loan = order(1);
    drop(loan);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    for id in [2, 3] {
        let mut loan = tx.try_loan().unwrap();
        loan.id = id;
        loan.side = Side::Sell;
        loan.symbol = Str::truncated("GAP");
        loan.send();
    }
    assert!(matches!(tx.try_loan(), Err(TrySendError::Full(()))));
    assert_eq!(rx.recv().unwrap().unwrap().id, 2);
    let received = rx.try_recv_ref().unwrap().unwrap();
    assert_eq!((received.id, received.symbol.as_str()), (3, "GAP"));
    drop(received);
    assert_eq!(tx.len(), 0);
}

#[test]
fn a_guard_keeps_the_slot_until_it_is_dropped() {
    let queue = queue("guard").capacity(1);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send(5u64).unwrap();
    let guard = rx.recv_ref_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(*guard, 5);
    assert_eq!(tx.try_send(6), Err(TrySendError::Full(6)));
    drop(guard);
    assert_eq!(tx.try_send(6), Ok(()));
    // A guard that is forgotten has not received the message.
    std::mem::forget(rx.recv_ref().unwrap());
    assert_eq!(rx.recv(), Ok(Some(6)));
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
#[ipc(crate = "ipc_core")]
struct Aligned {
    bytes: [u8; 100],
}

#[test]
fn messages_are_aligned_in_place() {
    let queue = queue("aligned").capacity(3);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for byte in 0..7 {
        tx.send(Aligned { bytes: [byte; 100] }).unwrap();
        let received = rx.recv_ref().unwrap().unwrap();
        assert!((&raw const *received).addr() % 64 == 0);
        assert_eq!(received.bytes, [byte; 100]);
    }
}

#[test]
fn a_large_message_goes_through() {
    let queue = queue::<[u8; 1 << 20]>("large").capacity(2);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    for byte in [1, 2, 3] {
        let mut loan = tx.loan().unwrap();
        loan.fill(byte);
        loan.send();
        assert!(rx.recv_ref().unwrap().unwrap().iter().all(|&found| found == byte));
    }
}

#[test]
fn odd_sizes_arrive_whole() {
    fn check<const N: usize>() {
        let queue = queue(&format!("odd-{N}")).capacity(3);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        for round in 0..8u8 {
            let message: [u8; N] = std::array::from_fn(|at| at as u8 ^ round);
            tx.send(message).unwrap();
            assert_eq!(rx.recv(), Ok(Some(message)));
        }
    }
    check::<1>();
    check::<7>();
    check::<9>();
    check::<55>();
    check::<56>();
    check::<57>();
    check::<63>();
    check::<65>();
    check::<131>();
}

#[test]
fn both_ends_may_block_in_threads() {
    const MESSAGES: u64 = 50_000;
    let queue = queue("threads").capacity(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || (0..MESSAGES).for_each(|id| tx.send(order(id)).unwrap()));
        for (id, received) in (0..).zip(rx.iter()) {
            assert_eq!(received, Ok(order(id)));
            if id + 1 == MESSAGES {
                break;
            }
        }
        assert_eq!(rx.recv(), Ok(None));
    });
}

#[test]
fn a_refused_removal_stays_refused() {
    let queue = queue::<u64>("refused");
    let tx = queue.sender().unwrap();
    for _ in 0..2 {
        assert!(matches!(queue.remove(), Err(OpenError::InUse { .. })));
    }
    drop(tx);
    assert!(!queue.remove().unwrap());
}

#[test]
fn a_place_is_free_as_soon_as_its_end_was_seen() {
    for _ in 0..300 {
        let queue = queue::<u64>("handover");
        let (tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        thread::scope(|scope| {
            scope.spawn(move || drop(tx));
            assert_eq!(rx.recv(), Ok(None));
            queue.sender().unwrap();
        });
    }
}

#[test]
fn a_sender_goes_on_as_soon_as_there_is_room() {
    // The sender sleeps for room on the first channel, and the receiver waits for what it says on the second one then.
    let (requests, replies) = (queue("requests").capacity(16), queue("replies"));
    let (mut tx, mut rx) = (requests.sender().unwrap(), requests.receiver().unwrap());
    let (mut reply, mut replied) = (replies.sender().unwrap(), replies.receiver().unwrap());
    assert_eq!(tx.send_batch(0u64..16).unwrap(), 16);
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 16u64..48 {
                tx.send(number).unwrap();
                reply.send(number).unwrap();
            }
        });
        for number in 0..32 {
            assert_eq!(rx.recv(), Ok(Some(number)));
            assert_eq!(replied.recv(), Ok(Some(number + 16)));
        }
    });
}

#[test]
fn the_default_capacity_makes_a_ring_of_some_mib() {
    let small = queue::<u64>("default-small").sender().unwrap();
    assert_eq!(small.capacity(), 65_536);
    let large = queue::<[u8; 1 << 20]>("default-large").sender().unwrap();
    assert_eq!(large.capacity(), 16);
    let line = queue::<[u8; 64]>("default-1024").capacity(1024).sender().unwrap();
    assert!(line.info().segment_bytes <= 160 * 1024);
}

#[test]
fn the_last_handle_takes_the_segment_along() {
    let queue = queue::<u64>("leaves");
    let (tx, rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let path: PathBuf = tx.info().path.clone();
    drop(tx);
    assert!(fs::exists(&path).unwrap());
    drop(rx);
    assert!(!fs::exists(&path).unwrap());
}
