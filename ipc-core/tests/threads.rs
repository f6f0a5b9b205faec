//! Which handle may go where between threads.

mod support;

use ipc_core::{Loan, OpenError, Queue, Received, Receiver, SendError, Sender, Str, TryRecvError, TrySendError};
use std::sync::Mutex;
use std::thread;
use support::{Domain, recv, recv_all};

const fn is_send_and_sync<T: Send + Sync>() {}

// Ends move between threads and may be shared; `&mut self` keeps two threads from using one at once.
const _: () = is_send_and_sync::<Sender<[u8; 3]>>();
const _: () = is_send_and_sync::<Receiver<Str<8>>>();
// Guards are what they guard.
const _: () = is_send_and_sync::<Loan<'static, u64>>();
const _: () = is_send_and_sync::<Received<'static, u64>>();
// Descriptions and errors go anywhere.
const _: () = is_send_and_sync::<Queue<u64>>();
const _: () = is_send_and_sync::<OpenError>();
const _: () = is_send_and_sync::<(SendError<u64>, TrySendError<u64>, TryRecvError)>();

#[test]
fn ends_and_guards_move_to_other_threads() {
    let domain = Domain::new("moves");
    let queue = domain.queue::<u64>("channel").capacity(4);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    thread::scope(|scope| {
        let mut loan = tx.loan().unwrap();
        // Filled and sent in another thread than the one that has the sender.
        scope.spawn(move || {
            *loan = 1;
            loan.send();
        });
    });
    thread::scope(|scope| {
        let received = rx.recv_ref().unwrap().unwrap();
        scope.spawn(move || assert_eq!(*received, 1));
    });
    let sending = thread::spawn(move || {
        assert_eq!(tx.send_batch(2..=100).unwrap(), 99);
        tx
    });
    assert!((2..=100).all(|number| recv(&mut rx) == Ok(Some(number))));
    drop(sending.join().unwrap());
    assert_eq!(recv_all(&mut rx), []);
}

#[test]
fn many_threads_send_through_a_mutex() {
    let domain = Domain::new("mutex");
    let queue = domain.queue::<u64>("channel").capacity(4);
    let mut rx = queue.receiver().unwrap();
    let tx = Mutex::new(queue.sender().unwrap());
    thread::scope(|scope| {
        for thread in 0..4 {
            let tx = &tx;
            scope.spawn(move || (0..100).for_each(|number| tx.lock().unwrap().send(thread * 100 + number).unwrap()));
        }
        let mut next = [0, 100, 200, 300];
        for _ in 0..400 {
            let number = recv(&mut rx).unwrap().unwrap();
            let next = &mut next[number as usize / 100];
            assert_eq!(number, *next, "each thread's numbers are in order");
            *next += 1;
        }
    });
    drop(tx);
    assert_eq!(recv_all(&mut rx), []);
}
