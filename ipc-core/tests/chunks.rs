//! Batches that are filled and read in place.

mod support;

use ipc_core::{Queue, RecvError, TryRecvError};
use std::panic;
use support::Domain;

#[test]
fn a_batch_of_none_takes_nothing_and_waits_for_nothing() {
    for is_exclusive in [true, false] {
        let domain = Domain::new(if is_exclusive { "none" } else { "none-shared" });
        let queue = Queue::<u64>::new("none").domain(domain.name()).capacity(1);
        let queue = if is_exclusive { queue.spsc() } else { queue };
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        assert_eq!(rx.recv_batch_ref(0).unwrap().map(|batch| batch.len()), Some(0), "though there is no message");
        assert_eq!(tx.loan_batch(0).unwrap().send(), 0);
        tx.try_send(7).unwrap();
        assert_eq!(tx.loan_batch(0).unwrap().send(), 0, "though the channel is full");
        assert_eq!(rx.try_recv(), Ok(Some(7)));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn batches_in_place_are_filled_and_read_together() {
    for is_exclusive in [true, false] {
        let domain = Domain::new(if is_exclusive { "chunks" } else { "chunks-shared" });
        let queue = Queue::<[u64; 2]>::new("chunks").domain(domain.name()).capacity(5);
        let queue = if is_exclusive { queue.spsc() } else { queue };
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let (mut sent, mut received) = (0, 0);
        for round in 0..200 {
            if let Ok(mut batch) = tx.try_loan_batch(1 + round % 7) {
                assert!((1..=5).contains(&batch.len()));
                for at in 0..batch.len() {
                    batch[at] = [sent + at as u64, !(sent + at as u64)];
                }
                // Every third batch is cut short, and what was not sent is as if it had never been.
                let wanted = if round % 3 == 0 { batch.len().div_ceil(2) } else { batch.len() };
                sent += batch.send_first(wanted) as u64;
            }
            drop(tx.try_loan_batch(2));
            if round % 2 == 0 {
                continue;
            }
            if let Ok(Some(batch)) = rx.try_recv_batch_ref(1 + round % 4) {
                for (at, &message) in batch.iter().enumerate() {
                    assert_eq!(message, [received + at as u64, !(received + at as u64)]);
                }
                let wanted = if round % 5 == 0 { 1 } else { batch.len() };
                batch.release_first(wanted);
                received += wanted as u64;
            }
            assert_eq!(rx.len() as u64, sent - received, "slots that were given back do not count");
        }
        assert!(sent > 90 && received > 60, "{sent} were sent, {received} received");
        drop(tx);
        while let Some(batch) = rx.recv_batch_ref(3).unwrap() {
            received += batch.len() as u64;
        }
        assert_eq!(sent, received);
    }
}

#[test]
fn messages_are_shown_one_after_the_other_and_taken() {
    for is_exclusive in [true, false] {
        let domain = Domain::new(if is_exclusive { "shown" } else { "shown-shared" });
        let queue = Queue::<u64>::new("shown").domain(domain.name()).capacity(5);
        let queue = if is_exclusive { queue.spsc() } else { queue };
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let (mut sent, mut shown) = (0, Vec::new());
        for round in 0..100 {
            while sent < 4 * round && tx.try_send(sent).is_ok() {
                sent += 1;
            }
            let before = shown.len();
            match rx.try_recv_each(3, |&message| shown.push(message)) {
                Ok(Some(count)) => assert!(shown.len() == before + count && (1..=3).contains(&count)),
                other => assert!(round == 0 && other == Err(TryRecvError::Empty), "{other:?}"),
            }
            assert_eq!(rx.len(), sent as usize - shown.len());
        }
        drop(tx);
        while rx.try_recv_each(9, |&message| shown.push(message)).unwrap().is_some() {}
        assert!(shown.into_iter().eq(0..sent));
    }
}

#[test]
fn messages_are_shown_up_to_one_that_is_invalid_or_panics() {
    let domain = Domain::new("shown-invalid");
    let queue = domain.queue::<bool>("chunk");
    let (mut tx, mut rx) = (queue.clone().capacity(8).sender().unwrap(), queue.receiver().unwrap());
    assert_eq!(tx.send_batch([true; 5]), Ok(5));
    let file = std::fs::OpenOptions::new().write(true).open(domain.memory("chunk")).unwrap();
    // The slots, of 64 bytes each, start at the third page.
    std::os::unix::fs::FileExt::write_all_at(&file, &[2], 8192 + 2 * 64).unwrap();
    let mut shown = 0;
    assert!(matches!(rx.try_recv_each(8, |_| shown += 1), Err(TryRecvError::Corrupt(_))));
    assert_eq!((shown, rx.len()), (2, 2));
    let panic = panic::catch_unwind(panic::AssertUnwindSafe(|| rx.try_recv_each(8, |_| panic!("on purpose"))));
    // What has been shown when it panicked has not been received.
    assert!(panic.is_err() && rx.len() == 2);
    assert_eq!(rx.try_recv_each(8, |_| ()), Ok(Some(2)));
}

#[test]
fn a_batch_ends_before_a_message_that_is_invalid_and_the_next_begins_after_it() {
    let domain = Domain::new("batch-invalid");
    let queue = domain.queue::<bool>("chunk");
    let (mut tx, mut rx) = (queue.clone().capacity(8).sender().unwrap(), queue.receiver().unwrap());
    assert_eq!(tx.send_batch([true, false, true, true, false]), Ok(5));
    let file = std::fs::OpenOptions::new().write(true).open(domain.memory("chunk")).unwrap();
    // As above.
    std::os::unix::fs::FileExt::write_all_at(&file, &[2], 8192 + 2 * 64).unwrap();
    let mut batch = Vec::new();
    assert!(matches!(rx.recv_batch(&mut batch, 8), Err(RecvError::Corrupt(_))));
    assert_eq!((&batch[..], rx.len()), (&[true, false][..], 2));
    assert_eq!(rx.recv_batch(&mut batch, 8), Ok(2));
    assert_eq!((&batch[..], rx.len()), (&[true, false, true, false][..], 0));
}

#[test]
fn messages_of_a_shared_queue_are_shown_by_one_claim() {
    let domain = Domain::new("shown-at-once");
    let queue = Queue::<u64>::new("shown").domain(domain.name()).capacity(16);
    let mut tx = queue.sender().unwrap();
    let (mut rx, mut other) = (queue.receiver().unwrap(), queue.receiver().unwrap());
    assert_eq!(tx.send_batch(0..10), Ok(10));
    assert_eq!(rx.try_recv_each(0, |_| panic!("none was asked for")), Ok(Some(0)));
    let mut shown = Vec::new();
    let mut meanwhile = None;
    let received = rx.try_recv_each(4, |&message| {
        meanwhile.get_or_insert_with(|| other.try_recv().unwrap().unwrap());
        shown.push(message);
    });
    assert_eq!((received, meanwhile), (Ok(Some(4)), Some(4)), "the others get what comes after all of them");
    assert_eq!(shown, [0, 1, 2, 3]);
    let panic = panic::catch_unwind(panic::AssertUnwindSafe(|| rx.try_recv_each(3, |_| panic!("on purpose"))));
    assert!(panic.is_err());
    drop(rx);
    // What had been claimed when it panicked is there for others.
    let mut left: Vec<_> = other.try_iter().map(Result::unwrap).collect();
    left.sort_unstable();
    assert_eq!(left, [5, 6, 7, 8, 9]);
}

#[test]
fn a_batch_in_place_ends_before_what_is_invalid() {
    let domain = Domain::new("chunk-invalid");
    let queue = domain.queue::<bool>("chunk");
    let (mut tx, mut rx) = (queue.clone().capacity(8).sender().unwrap(), queue.receiver().unwrap());
    assert_eq!(tx.send_batch([true; 4]), Ok(4));
    let file = std::fs::OpenOptions::new().write(true).open(domain.memory("chunk")).unwrap();
    // The slots, of 64 bytes each, start at the third page.
    std::os::unix::fs::FileExt::write_all_at(&file, &[2], 8192 + 2 * 64).unwrap();
    assert_eq!(rx.recv_batch_ref(8).unwrap().unwrap().len(), 2);
    assert!(matches!(rx.recv_batch_ref(8), Err(RecvError::Corrupt(_))));
    assert_eq!(rx.recv_batch_ref(8).unwrap().unwrap().len(), 1);
}
