//! The verbs that come in several forms, on every end that has them: those that wait, those that do not, those that wait
//! for a while, and those for many messages.

mod support;

use ipc_core::dynamic::Channel;
use ipc_core::error::SharedError;
use ipc_core::message::TooMany;
use ipc_core::schema::Value;
use ipc_core::sync::{Atomic, LockError, Mutex, Options};
use ipc_core::{
    Broadcast, BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, Latest, Lifetime, List, Opt, Pipe,
    Queue, RecvError, RecvTimeoutError, SendBatchError, SendError, SendTimeoutError, Service, Source, Str, TooLarge,
    TryRecvError, TrySendError, WaitSet,
};
use ipc_macros::IpcMessage;
use std::error::Error;
use std::panic;
use std::time::Duration;
use support::Domain;

const MOMENT: Duration = Duration::from_millis(1);

/// An exclusive and a shared queue with two slots, or 4 KiB.
fn queues<T: ipc_core::IpcMessage + ?Sized>(domain: &Domain, capacity: usize) -> [Queue<T>; 2] {
    let queue = |name: &str| Queue::new(name).domain(domain.name()).capacity(capacity).lifetime(Lifetime::Attached);
    [queue("x").spsc(), queue("s")]
}

#[test]
fn a_queue_lends_and_gives_in_batches_with_every_patience() {
    let domain = Domain::new("verbs-queue");
    for queue in queues::<u64>(&domain, 2) {
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let mut got = Vec::new();
        assert_eq!(rx.try_recv_batch(&mut got, 9), Err(TryRecvError::Empty));
        assert_eq!(rx.recv_batch_timeout(&mut got, 9, MOMENT), Err(RecvTimeoutError::Timeout));
        assert!(rx.try_iter().next().is_none());
        assert!(matches!(rx.recv_batch_ref_timeout(9, MOMENT), Err(RecvTimeoutError::Timeout)));
        let mut loan = tx.loan_timeout(MOMENT).unwrap();
        *loan = 1;
        loan.send();
        let mut batch = tx.loan_batch_timeout(1, MOMENT).unwrap();
        batch.iter_mut().for_each(|message| *message = 2);
        assert_eq!(batch.send(), 1);
        assert_eq!(tx.loan_timeout(MOMENT).unwrap_err(), SendTimeoutError::Timeout(()));
        assert_eq!(tx.loan_batch_timeout(1, MOMENT).unwrap_err(), SendTimeoutError::Timeout(()));
        assert_eq!(rx.try_recv_batch(&mut got, 9), Ok(2));
        tx.send_batch([3, 4]).unwrap();
        assert_eq!(rx.recv_batch_timeout(&mut got, 1, MOMENT), Ok(1));
        assert_eq!(rx.recv_batch_timeout(&mut got, 0, MOMENT), Ok(0));
        got.extend(rx.try_iter().map(Result::unwrap));
        assert_eq!(got, [1, 2, 3, 4]);
        tx.send(5).unwrap();
        let batch = rx.recv_batch_ref_timeout(9, MOMENT).unwrap().unwrap();
        assert_eq!((&batch).into_iter().len(), 1);
        assert!((&batch).into_iter().eq([&5]) && batch.iter().eq([&5]));
        drop(batch);
        tx.send(6).unwrap();
        drop(tx);
        assert_eq!(rx.try_recv_batch(&mut got, 9), Ok(1));
        assert_eq!(rx.try_recv_batch(&mut got, 9), Ok(0));
        assert_eq!(rx.recv_batch_timeout(&mut got, 9, MOMENT), Ok(0));
        assert!(rx.try_iter().next().is_none());
        queue.sender().unwrap().send(7).unwrap();
        assert!(rx.into_iter().eq([Ok(7)]));
    }
}

#[test]
fn a_batch_in_place_is_filled_in_order() {
    let domain = Domain::new("verbs-fill");
    let queue = domain.queue::<u64>("fill").capacity(8);
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let mut batch = tx.loan_batch(5).unwrap();
    assert_eq!(batch.iter_mut().len(), 5);
    batch.iter_mut().zip(1..).for_each(|(message, number)| *message = number);
    batch.send();
    let batch = rx.recv_batch_ref(9).unwrap().unwrap();
    assert!(batch.iter().copied().eq(1..6));
}

#[test]
fn copies_of_any_length_are_sent_with_every_patience() {
    let domain = Domain::new("verbs-copies");
    for queue in queues::<str>(&domain, 4096) {
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        tx.send_copy_timeout("one", MOMENT).unwrap();
        assert_eq!(tx.send_copy_batch(["two", "three"]), Ok(2));
        assert_eq!(tx.send_copy_batch([String::from("four")]), Ok(1));
        let mut got = Vec::new();
        assert_eq!(rx.recv_boxed_batch(&mut got, 3), Ok(3));
        assert_eq!(rx.recv_boxed_batch(&mut got, 0), Ok(0));
        assert_eq!(rx.recv_boxed_batch(&mut got, 3), Ok(1));
        assert_eq!(got.iter().map(|text| &**text).collect::<Vec<_>>(), ["one", "two", "three", "four"]);
        let long = "x".repeat(tx.max_len());
        while tx.try_send_copy(&long).is_ok() {}
        assert_eq!(tx.send_copy_timeout(&long, MOMENT), Err(SendTimeoutError::Timeout(())));
        let longer = "x".repeat(tx.max_len() + 1);
        let too_large = TooLarge { bytes: longer.len(), limit: long.len() };
        let refused = SendBatchError { sent: 0, error: SendError::TooLarge(&*longer, too_large) };
        assert_eq!(tx.send_copy_batch([&*longer]), Err(refused));
        drop(tx);
        while rx.recv_boxed_batch(&mut got, 1).unwrap() != 0 {}
        assert_eq!(got.last().unwrap().len(), long.len());
    }
    // A message of one length may be sent as a copy as well.
    for queue in queues::<u64>(&domain, 4) {
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        assert_eq!(tx.send_copy_batch([1, 2, 3]), Ok(3));
        assert!(rx.try_iter().eq([Ok(1), Ok(2), Ok(3)]));
    }
}

#[test]
fn a_broadcast_has_the_same_verbs() {
    let domain = Domain::new("verbs-broadcast");
    let lossless = Broadcast::<u64>::new("lossless").domain(domain.name()).capacity(2);
    for ticks in [lossless.clone(), Broadcast::new("lossy").domain(domain.name()).capacity(2).lossy()] {
        let (mut publisher, mut subscriber) = (ticks.publisher().unwrap(), ticks.subscriber().unwrap());
        let mut got = Vec::new();
        assert_eq!(subscriber.try_recv_batch(&mut got, 9), Err(BroadcastTryRecvError::Empty));
        assert_eq!(subscriber.recv_batch_timeout(&mut got, 9, MOMENT), Err(BroadcastRecvTimeoutError::Timeout));
        assert!(subscriber.try_iter().next().is_none());
        let mut loan = publisher.loan_timeout(MOMENT).unwrap();
        *loan = 1;
        loan.send();
        publisher.send(2).unwrap();
        assert_eq!(subscriber.try_recv_batch(&mut got, 1), Ok(1));
        assert_eq!(subscriber.recv_batch_timeout(&mut got, 9, MOMENT), Ok(1));
        publisher.send_batch([3, 4]).unwrap();
        got.extend(subscriber.try_iter().map(Result::unwrap));
        assert_eq!(got, [1, 2, 3, 4]);
        publisher.send(5).unwrap();
        drop(publisher);
        assert!(subscriber.into_iter().eq([Ok(5)]));
    }
    let (mut publisher, _subscriber) = (lossless.publisher().unwrap(), lossless.subscriber().unwrap());
    publisher.send_batch([1, 2]).unwrap();
    assert_eq!(publisher.loan_timeout(MOMENT).unwrap_err(), SendTimeoutError::Timeout(()));

    let notes = Broadcast::<str>::new("notes").domain(domain.name()).capacity(4096);
    let (mut publisher, mut subscriber) = (notes.publisher().unwrap(), notes.subscriber().unwrap());
    publisher.send_copy_timeout("note", MOMENT).unwrap();
    assert_eq!(subscriber.recv_boxed().unwrap().as_deref(), Some("note"));
    let long = "x".repeat(publisher.max_len());
    while publisher.try_send_copy(&long).is_ok() {}
    assert_eq!(publisher.send_copy_timeout(&long, MOMENT), Err(SendTimeoutError::Timeout(())));
}

#[test]
fn a_pipe_has_the_same_verbs() {
    let domain = Domain::new("verbs-pipe");
    let pipe = Pipe::<str, u32>::new("pipe").domain(domain.name());
    let (mut left, mut right) = (pipe.left().unwrap(), pipe.right().unwrap());
    assert_eq!(right.try_recv_boxed(), Err(TryRecvError::Empty));
    assert_eq!(right.recv_boxed_timeout(MOMENT), Err(RecvTimeoutError::Timeout));
    left.send_copy_timeout("one", MOMENT).unwrap();
    left.send_copy_timeout("two", MOMENT).unwrap();
    assert_eq!(right.try_recv_boxed().unwrap().as_deref(), Some("one"));
    assert_eq!(right.recv_boxed_timeout(MOMENT).unwrap().as_deref(), Some("two"));
    let mut loan = right.loan_timeout(MOMENT).unwrap();
    *loan = 3;
    loan.send();
    assert_eq!(left.recv(), Ok(Some(3)));
}

/// A message whose channel's options are worth keeping.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core", queue = "verbs.declared", capacity = 24)]
#[repr(C)]
struct Declared {
    number: u32,
}

#[test]
fn another_name_leads_to_another_channel_with_the_same_options() {
    let domain = Domain::new("verbs-name");
    let name = domain.name();
    let queue = Declared::channel().domain(name).name("queue").sender().unwrap();
    let broadcast = Broadcast::<u64>::new("old").capacity(24).domain(name).name("broadcast").publisher().unwrap();
    let latest = Latest::<u64>::new("old").timestamps(true).domain(name).name("latest").writer().unwrap();
    let service = Service::<u64, u64>::new("old").capacity(24).domain(name).name("service").client().unwrap();
    let mut pipe = Pipe::<u64, u64>::new("old").capacity(24).domain(name).name("pipe").left().unwrap();
    let (to_right, to_left) = pipe.halves();
    let infos = [queue.info(), broadcast.info(), service.info(), to_right.info(), to_left.info()];
    let expected = ["queue", "broadcast", "service", "pipe.lr", "pipe.rl"];
    assert_eq!(infos.map(|info| (&*info.name, info.capacity)), expected.map(|name| (name, 24)));
    assert_eq!((&*latest.info().name, latest.info().timestamps), ("latest", true));
    let again = Pipe::<u64, u64>::new("old").domain(name).name("pipe").left().unwrap_err().to_string();
    assert!(again.contains("channel \"pipe\" has a left end already"), "{again}");
    assert!(!domain.path("old").exists() && !domain.path("verbs.declared").exists());
}

#[test]
fn a_set_waits_for_ends_whose_messages_are_not_known() {
    let domain = Domain::new("verbs-dynamic");
    let name = domain.name();
    let queue = Queue::<u64>::new("queue").domain(name);
    let ticks = Broadcast::<u64>::new("ticks").domain(name);
    let value = Latest::<u64>::new("value").domain(name);
    let service = Service::<u64, u64>::new("service").domain(name);
    let (mut tx, mut publisher) = (queue.sender().unwrap(), ticks.publisher().unwrap());
    let (mut writer, client) = (value.writer().unwrap(), service.client().unwrap());
    let open = |channel: &str| Channel::open_in(name, channel).unwrap();
    let (mut rx, mut subscriber) = (open("queue").receiver().unwrap(), open("ticks").subscriber().unwrap());
    let (mut reader, mut server) = (open("value").reader().unwrap(), open("service").server().unwrap());
    let mut caller = open("service").client().unwrap();
    let mut set = WaitSet::new();
    let all = |ends: [&mut dyn Source; 4], set: &mut WaitSet| set.try_wait(ends).collect::<Vec<_>>();
    assert!(all([&mut rx, &mut subscriber, &mut reader, &mut server], &mut set).is_empty());
    tx.send(1).unwrap();
    assert_eq!(all([&mut rx, &mut subscriber, &mut reader, &mut server], &mut set), [0]);
    publisher.send(2).unwrap();
    writer.write(3).unwrap();
    let typed = client.submit(4).unwrap();
    assert_eq!(all([&mut rx, &mut subscriber, &mut reader, &mut server], &mut set), [0, 1, 2, 3]);
    let (mut out, mut outlet) = (open("queue").sender().unwrap(), open("ticks").publisher().unwrap());
    let ends: [&mut dyn Source; 3] = [&mut out, &mut outlet, &mut caller];
    assert!(set.try_wait(ends).eq([0, 1, 2]));
    drop((out, outlet));
    drop((tx, publisher));
    assert!(rx.iter().eq([Ok(Value::Uint(1))]));
    assert!(subscriber.iter().eq([Ok(Value::Uint(2))]));
    assert_eq!(server.accept().unwrap().unwrap().reply(&Value::Uint(5)), Ok(true));
    assert_eq!(typed.wait().unwrap(), 5);
    let mut pending = caller.submit(&Value::Uint(6)).unwrap();
    assert!(set.try_wait([&mut pending]).next().is_none());
    assert_eq!(server.accept().unwrap().unwrap().reply(&Value::Uint(7)), Ok(true));
    assert!(set.try_wait([&mut pending]).next().is_some());
    assert_eq!(pending.wait(), Ok(Value::Uint(7)));
}

#[test]
fn errors_become_those_of_verbs_that_wait_less() {
    assert_eq!(TrySendError::from(SendError::Closed(1)), TrySendError::Closed(1));
    assert_eq!(SendTimeoutError::from(SendError::Forked(1)), SendTimeoutError::Forked(1));
    assert_eq!(TryRecvError::from(RecvError::Forked), TryRecvError::Forked);
    assert_eq!(RecvTimeoutError::from(RecvError::Hardened), RecvTimeoutError::Hardened);
    assert_eq!(SendError::from(SendBatchError { sent: 3, error: SendError::Closed(4) }), SendError::Closed(4));
    assert_eq!(TrySendError::Full(5).into_inner(), 5);
    assert!(TrySendError::Full(5).is_full() && !TrySendError::Closed(5).is_full());
    assert_eq!(SendError::Closed(6).into_inner(), 6);
    assert_eq!(SendTimeoutError::Timeout(7).into_inner(), 7);
    assert!(SendTimeoutError::Timeout(7).is_timeout() && !SendTimeoutError::Closed(7).is_timeout());
}

#[test]
fn an_error_of_a_lock_can_be_passed_on_without_its_guard() {
    fn value(mutex: &Mutex<u64>) -> Result<u64, Box<dyn Error + Send + Sync>> {
        Ok(*mutex.lock().map_err(LockError::without_guard)?)
    }
    let domain = Domain::new("verbs-lock");
    let mutex = Mutex::<u64>::open(Options::new("value").domain(domain.name()), || 8).unwrap();
    assert_eq!(value(&mutex).unwrap(), 8);
    let died = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _guard = mutex.lock().unwrap();
        panic::resume_unwind(Box::new(()));
    }));
    died.unwrap_err();
    // Once for each who asks, since nobody has put it right.
    for _ in 0..2 {
        let error = value(&mutex).unwrap_err().downcast::<LockError<()>>().unwrap();
        assert_eq!(*error, LockError::OwnerDied(()));
    }
}

#[test]
fn an_atomic_counts_down_and_keeps_extremes() -> Result<(), SharedError> {
    let domain = Domain::new("verbs-atomic");
    let count = Atomic::<i16>::open(Options::new("count").domain(domain.name()), 5).unwrap();
    assert_eq!(count.fetch_sub(7)?, 5);
    assert_eq!(count.fetch_max(3)?, -2);
    assert_eq!(count.fetch_min(-4)?, 3);
    assert_eq!(count.fetch_max(-9)?, -4);
    assert_eq!(count.load()?, -4);
    Ok(())
}

#[test]
fn inline_types_are_made_of_what_std_has() {
    assert_eq!(List::<u8, 4>::try_from([1, 2]).unwrap().as_slice(), [1, 2]);
    assert_eq!(List::<u8, 2>::try_from(vec![1, 2]).unwrap().as_slice(), [1, 2]);
    assert_eq!(List::<u8, 2>::try_from(vec![1; 3]).unwrap_err(), TooMany { len: 3, capacity: 2 });
    assert_eq!(List::<u8, 2>::try_from([1; 3]).unwrap_err(), TooMany { len: 3, capacity: 2 });
    assert_eq!(Str::<4>::try_from(String::from("text")).unwrap().as_str(), "text");
    assert!(Str::<4>::try_from(String::from("texts")).is_err());
    assert_eq!(Opt::Some(1).unwrap_or(2), 1);
    assert_eq!(Opt::None.unwrap_or(2), 2);
    assert_eq!(Opt::<u8>::None.unwrap_or_default(), 0);
}

#[test]
fn what_a_lossy_subscriber_missed_is_an_item_of_what_is_there() {
    let domain = Domain::new("verbs-lagged");
    let ticks = Broadcast::<u64>::new("ticks").domain(domain.name()).capacity(4).lossy();
    let (mut publisher, mut subscriber) = (ticks.publisher().unwrap(), ticks.subscriber().unwrap());
    publisher.send_batch(0..100).unwrap();
    let mut seen = subscriber.try_iter();
    let Some(Err(BroadcastRecvError::Lagged { missed })) = seen.next() else { panic!("it is not told") };
    assert!(seen.map(Result::unwrap).eq(missed..100));
}
