//! Newcomers whose only companion is stopped on the way from A1 to A4 of `ring/claims.rs`: its claim may yet be made, and
//! until that is known a newcomer can tell nothing of the ring.

use crate::interest::Sealed;
use crate::ring::claims::Role;
use crate::ring::shared::Parts;
use crate::{Queue, Receiver, Sender, TryRecvError, TrySendError, waiting};
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::thread;
#[cfg(feature = "async")]
use {
    core::sync::atomic::AtomicUsize,
    core::task::{Context, Poll, Waker},
    std::sync::Arc,
    std::task::Wake,
    std::time::Instant,
};

fn queue(channel: &str) -> Queue<u64> {
    Queue::new(channel).domain(format!("unit-{}", std::process::id())).capacity(8)
}

/// Leaves the only one of a role as if it had just stored its claim, SOLO.
fn stop_in_claim(ring: &Parts, role: &Role) {
    let at = ring_position(ring, role);
    // Relaxed: this thread is the only one.
    role.records.claim(0).store(at << 2 | 3, Ordering::Relaxed);
}

fn ring_position(ring: &Parts, role: &Role) -> u64 {
    role.counter.load(&ring.cells).expect("it is a position").word()
}

/// Two messages, a receiver that is stopped in its claim of the first, and no sender any more.
fn stopped_receiver(queue: &Queue<u64>) -> Receiver<u64> {
    let (mut tx, rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    let ring = rx.interest().segment().shared_ring();
    stop_in_claim(&ring, &ring.consumers);
    rx
}

#[test]
fn a_newcomer_does_not_take_a_stopped_ones_claim_for_the_end_of_the_stream() {
    let queue = queue("stopped-receiver");
    let mut stopped = stopped_receiver(&queue);
    let mut newcomer = queue.receiver().unwrap();
    for _ in 0..2 {
        assert_eq!(newcomer.try_recv(), Err(TryRecvError::Empty), "it cannot tell yet");
        assert!(!newcomer.probe());
    }
    // The other one goes on.
    assert_eq!(stopped.try_recv(), Ok(Some(1)));
    assert!(newcomer.probe());
    assert_eq!(newcomer.try_recv(), Ok(Some(2)));
    assert_eq!(newcomer.try_recv(), Ok(None));
}

#[test]
fn a_newcomer_that_waits_goes_on_with_the_stopped_one() {
    let queue = queue("stopped-and-waited-for");
    let mut stopped = stopped_receiver(&queue);
    let mut newcomer = queue.receiver().unwrap();
    let interest = newcomer.interest();
    let waiting_for = thread::spawn(move || (newcomer.recv(), newcomer.recv()));
    // By the time that it sleeps it has looked around.
    while !waiting::is_asleep(interest.word()) && !waiting_for.is_finished() {
        thread::sleep(Duration::from_micros(50));
    }
    assert_eq!(stopped.try_recv(), Ok(Some(1)));
    assert_eq!(waiting_for.join().unwrap(), (Ok(Some(2)), Ok(None)));
}

/// Counts how often it is called.
#[cfg(feature = "async")]
#[derive(Default)]
struct Calls(AtomicUsize);

#[cfg(feature = "async")]
impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        // Relaxed: what it is called for is seen in the channel.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(feature = "async")]
#[test]
fn a_task_of_a_newcomer_goes_on_with_the_stopped_one() {
    let queue = queue("stopped-and-awaited");
    let (mut tx, mut stopped) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    let ring = stopped.interest().segment().shared_ring();
    stop_in_claim(&ring, &ring.consumers);
    let mut newcomer = queue.receiver().unwrap().into_async().unwrap();
    let calls = Arc::new(Calls::default());
    let waker = Waker::from(calls.clone());
    let mut context = Context::from_waker(&waker);
    let mut first = Box::pin(newcomer.recv());
    assert_eq!(first.as_mut().poll(&mut context), Poll::Pending);
    // The end of the last sender is told, and nothing comes of it.
    drop(tx);
    let started = Instant::now();
    let mut count = 0;
    for is_last in [false, true] {
        if is_last {
            // Of this the task is not told.
            assert_eq!(stopped.try_recv(), Ok(Some(1)));
        }
        // Relaxed: as above.
        while calls.0.load(Ordering::Relaxed) == count {
            assert!(started.elapsed() < Duration::from_secs(20), "the task is not woken");
            thread::sleep(Duration::from_micros(50));
        }
        // Relaxed: as above.
        count = calls.0.load(Ordering::Relaxed);
        let polled = first.as_mut().poll(&mut context);
        assert_eq!(polled, if is_last { Poll::Ready(Ok(Some(2))) } else { Poll::Pending });
    }
}

#[test]
fn a_newcomer_does_not_take_a_stopped_ones_claim_for_a_closed_queue() {
    let queue = queue("stopped-sender");
    let (mut stopped, rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let ring = rx.interest().segment().shared_ring();
    stop_in_claim(&ring, &ring.producers);
    let mut newcomer: Sender<u64> = queue.sender().unwrap();
    drop(rx);
    assert_eq!(newcomer.try_send(1), Err(TrySendError::Full(1)), "it cannot tell yet");
    stopped.try_send(2).unwrap();
    newcomer.try_send(1).unwrap();
    drop(newcomer);
    drop(stopped);
    let mut rx = queue.receiver().unwrap();
    assert_eq!([rx.recv(), rx.recv(), rx.recv()], [Ok(Some(2)), Ok(Some(1)), Ok(None)]);
}
