//! The ways to wait, and what each has to return when the one that it waits for dies.

use super::{Staged, Wait, Waiter};
use crate::check::{Check, Context, ensure};
use slipring::sync::{Barrier, BarrierError, LockError, Mutex, Options, RwLock, Semaphore};
use slipring::{
    Broadcast, BroadcastRecvError, CallError, Latest, Pipe, Queue, RecvError, SendError, Sender, Service, TryRecvError,
    WaitNewerError, WaitSet,
};
use std::fmt::Debug;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// Messages that each channel holds.
pub(super) const CAPACITY: usize = 4;

/// More ends than a set waits for by itself.
pub(super) const MANY: usize = 200;

/// What is sent.
pub(super) type Message = [u64; 4];

/// Longer than any of the waits may last, so that it is not what ends them.
const LONG: Duration = Duration::from_secs(3600);

pub(super) fn exclusive(domain: &str) -> Queue<Message> {
    Queue::new("exclusive").domain(domain).capacity(CAPACITY).spsc()
}

pub(super) fn shared(domain: &str) -> Queue<Message> {
    Queue::new("shared").domain(domain).capacity(CAPACITY)
}

pub(super) fn any_length(domain: &str) -> Queue<[u8]> {
    Queue::new("any-length").domain(domain).capacity(4096).spsc()
}

pub(super) fn broadcast(domain: &str) -> Broadcast<Message> {
    Broadcast::new("lossless").domain(domain).capacity(CAPACITY)
}

pub(super) fn lossy(domain: &str) -> Broadcast<Message> {
    Broadcast::new("lossy").domain(domain).capacity(CAPACITY).lossy()
}

pub(super) fn broadcast_any_length(domain: &str) -> Broadcast<[u8]> {
    Broadcast::new("news").domain(domain).capacity(4096)
}

pub(super) fn latest(domain: &str) -> Latest<Message> {
    Latest::new("latest").domain(domain)
}

pub(super) fn service(domain: &str) -> Service<Message, Message> {
    Service::new("service").domain(domain).capacity(CAPACITY)
}

pub(super) fn pipe(domain: &str) -> Pipe<Message, Message> {
    Pipe::new("pipe").domain(domain).capacity(CAPACITY)
}

/// One of many queues.
pub(super) fn numbered(domain: &str, number: usize) -> Queue<Message> {
    Queue::new(format!("many-{number}")).domain(domain).capacity(1).spsc()
}

const BLANK: Message = [0; 4];

/// A wait for a victim that is ready before the survivor is.
const fn wait(name: &'static str, victim: &'static str, stage: fn(&str) -> Check<Staged>) -> Wait {
    Wait { name, victim, takes_late: false, stage }
}

/// A wait for a server, which has something in hand only when it has been called.
const fn call(name: &'static str, victim: &'static str, stage: fn(&str) -> Check<Staged>) -> Wait {
    Wait { name, victim, takes_late: true, stage }
}

/// All of them.
pub(super) const WAITS: &[Wait] = &[
    wait("queue-exclusive/recv", "exclusive-sender", |domain| receive(exclusive(domain))),
    wait("queue-exclusive/send-on-full", "exclusive-receiver", |domain| send_on_full(exclusive(domain))),
    wait("queue/recv", "shared-sender", |domain| receive(shared(domain))),
    wait("queue/recv-behind-a-hole", "shared-loan", receive_behind_a_hole),
    wait("queue/send-on-full", "shared-receiver", |domain| send_on_full(shared(domain))),
    wait("queue/recv-of-a-held-message", "shared-guard", receive_what_the_dead_held),
    wait("queue/send-behind-a-given-up-message", "shared-guard", send_behind_a_given_up_message),
    wait("queue-any-length/recv", "any-length-sender", receive_any_length),
    wait("queue-any-length/loan-on-full", "any-length-receiver", loan_on_full),
    wait("broadcast-lossless/recv", "publisher", |domain| subscribe(broadcast(domain))),
    wait("broadcast-lossless/recv-behind-a-hole", "publisher-loan", subscribe_behind_a_hole),
    wait("broadcast-lossless/send-on-full", "subscriber", publish_on_full),
    wait("broadcast-lossy/recv", "lossy-publisher", |domain| subscribe(lossy(domain))),
    wait("broadcast-lossy/recv-behind-a-hole", "lossy-loan", subscribe_lossily_behind_a_hole),
    wait("broadcast-any-length/recv", "any-length-publisher", subscribe_any_length),
    wait("broadcast-any-length/loan-on-full", "any-length-subscriber", publish_any_length_on_full),
    wait("latest/wait-newer", "writer", wait_newer),
    call("service/wait", "server-with-call", wait_for_a_reply),
    wait("service/wait-untaken", "server", wait_for_a_server),
    call("service/next-of-a-stream", "server-with-stream", wait_for_the_rest),
    wait("service/submit-on-full", "client-with-all-slots", submit_on_full),
    wait("pipe/recv", "left", receive_on_the_right),
    wait("pipe/send-on-full", "left", send_on_the_right),
    wait("pipe/poll", "left", poll_on_the_right),
    wait("wait-set/1", "senders-1", |domain| wait_for_many(domain, 1)),
    wait("wait-set/128", "senders-128", |domain| wait_for_many(domain, 128)),
    wait("wait-set/200", "senders-many", |domain| wait_for_many(domain, MANY)),
    wait("wait-set/descriptor", "senders-128", |domain| wait_for_a_descriptor(domain, 128)),
    wait("task/recv", "shared-sender", receive_as_a_task),
    wait("task/send-on-full", "exclusive-receiver", send_as_a_task),
    wait("task/publish-on-full", "subscriber", publish_as_a_task),
    wait("task/subscribe", "publisher", subscribe_as_a_task),
    wait("task/newer", "writer", wait_newer_as_a_task),
    call("task/call", "server-with-call", call_as_a_task),
    wait("mutex/lock", "mutex-owner", lock_a_mutex),
    wait("rwlock/read", "lock-writer", read_behind_a_writer),
    wait("rwlock/write", "lock-reader", write_behind_a_reader),
    wait("semaphore/acquire", "permit-holder", acquire),
    wait("barrier/wait", "barrier-party", meet),
];

pub(super) fn mutex(domain: &str) -> Check<Mutex<Message>> {
    Mutex::open(Options::new("mutex").domain(domain), || BLANK).at("a mutex is opened")
}

pub(super) fn lock(domain: &str) -> Check<RwLock<Message>> {
    RwLock::open(Options::new("lock").domain(domain), || BLANK).at("a lock is opened")
}

/// A semaphore of one permit.
pub(super) fn semaphore(domain: &str) -> Check<Semaphore> {
    Semaphore::open(Options::new("semaphore").domain(domain), 1).at("a semaphore is opened")
}

/// A barrier of two parties.
pub(super) fn barrier(domain: &str) -> Check<Barrier> {
    Barrier::open(Options::new("barrier").domain(domain), 2).at("a barrier is opened")
}

/// What waits, with nothing to be done when the victim is ready.
fn at_once(waiter: impl FnOnce() -> Check + Send + 'static) -> Check<Staged> {
    let waiter: Waiter = Box::new(waiter);
    Ok(Box::new(move || Ok(waiter)))
}

/// What waits, after a step that is taken when the victim is ready.
fn then<W: FnOnce() -> Check + Send + 'static>(step: impl FnOnce() -> Check<W> + 'static) -> Check<Staged> {
    Ok(Box::new(move || step().map(|waiter| Box::new(waiter) as Waiter)))
}

/// That a wait has ended as it has to.
fn expect<T: Debug>(result: T, is_right: impl FnOnce(&T) -> bool) -> Check {
    ensure(is_right(&result), || format!("the death is told as {result:?}"))
}

fn receive(queue: Queue<Message>) -> Check<Staged> {
    let mut rx = queue.receiver().at("the survivor attaches")?;
    at_once(move || expect(rx.recv(), |result| matches!(result, Err(RecvError::SenderDied(_)))))
}

/// Fills a channel.
fn fill(tx: &mut Sender<Message>) -> Check {
    (0..CAPACITY).try_for_each(|_| tx.try_send(BLANK)).at("the survivor sends")
}

fn send_on_full(queue: Queue<Message>) -> Check<Staged> {
    let mut tx = queue.sender().at("the survivor attaches")?;
    then(move || {
        fill(&mut tx)?;
        Ok(move || expect(tx.send(BLANK), |result| matches!(result, Err(SendError::ReceiverDied(..)))))
    })
}

fn receive_behind_a_hole(domain: &str) -> Check<Staged> {
    let queue = shared(domain);
    let (mut tx, mut rx) = (queue.sender().at("a survivor attaches")?, queue.receiver().at("a survivor attaches")?);
    then(move || {
        tx.try_send(BLANK).at("a survivor sends")?;
        Ok(move || {
            expect(rx.recv(), |result| *result == Ok(Some(BLANK)))?;
            drop(tx);
            Ok(())
        })
    })
}

fn receive_what_the_dead_held(domain: &str) -> Check<Staged> {
    let queue = shared(domain);
    let (mut tx, mut rx) = (queue.sender().at("a survivor attaches")?, queue.receiver().at("a survivor attaches")?);
    tx.try_send([7; 4]).at("a survivor sends")?;
    at_once(move || {
        expect(rx.recv(), |result| *result == Ok(Some([7; 4])))?;
        drop(tx);
        Ok(())
    })
}

fn send_behind_a_given_up_message(domain: &str) -> Check<Staged> {
    let queue = shared(domain).redeliver(false);
    let (mut tx, mut rx) = (queue.sender().at("a survivor attaches")?, queue.receiver().at("a survivor attaches")?);
    tx.try_send([7; 4]).at("a survivor sends")?;
    then(move || {
        // The victim has it in hand. The others come and go, and then its place is needed.
        (1..CAPACITY).try_for_each(|_| tx.try_send(BLANK)).at("a survivor sends")?;
        (1..CAPACITY).try_for_each(|_| rx.try_recv().map(drop)).at("a survivor receives")?;
        Ok(move || {
            tx.send(BLANK).at("a survivor sends")?;
            let came = (rx.try_recv(), rx.lost());
            ensure(came == (Ok(Some(BLANK)), 1), || format!("{came:?} came after the death"))
        })
    })
}

fn receive_any_length(domain: &str) -> Check<Staged> {
    let mut rx = any_length(domain).receiver().at("the survivor attaches")?;
    at_once(move || expect(rx.recv_boxed(), |result| matches!(result, Err(RecvError::SenderDied(_)))))
}

fn loan_on_full(domain: &str) -> Check<Staged> {
    let mut tx = any_length(domain).sender().at("the survivor attaches")?;
    then(move || {
        while let Ok(loan) = tx.try_loan_len(500) {
            loan.send();
        }
        Ok(move || expect(tx.loan_len(500).map(drop), |result| matches!(result, Err(SendError::ReceiverDied(..)))))
    })
}

fn subscribe(broadcast: Broadcast<Message>) -> Check<Staged> {
    let mut subscriber = broadcast.subscriber().at("the survivor attaches")?;
    at_once(move || expect(subscriber.recv(), |result| matches!(result, Err(BroadcastRecvError::PublisherDied(_)))))
}

fn subscribe_behind_a_hole(domain: &str) -> Check<Staged> {
    let broadcast = broadcast(domain);
    let mut publisher = broadcast.publisher().at("a survivor attaches")?;
    let mut subscriber = broadcast.subscriber().at("a survivor attaches")?;
    then(move || {
        publisher.try_send(BLANK).at("a survivor publishes")?;
        Ok(move || {
            expect(subscriber.recv(), |result| *result == Ok(Some(BLANK)))?;
            drop(publisher);
            Ok(())
        })
    })
}

fn subscribe_lossily_behind_a_hole(domain: &str) -> Check<Staged> {
    let broadcast = lossy(domain);
    let mut publisher = broadcast.publisher().at("a survivor attaches")?;
    let mut subscriber = broadcast.subscriber().at("a survivor attaches")?;
    then(move || {
        publisher.try_send(BLANK).at("a survivor publishes")?;
        Ok(move || {
            let first = subscriber.recv();
            let is_told = matches!(first, Err(BroadcastRecvError::Lagged { missed: 1 }));
            ensure(is_told || first == Ok(Some(BLANK)), || format!("the hole is told as {first:?}"))?;
            drop(publisher);
            Ok(())
        })
    })
}

fn publish_on_full(domain: &str) -> Check<Staged> {
    let mut publisher = broadcast(domain).publisher().at("the survivor attaches")?;
    then(move || {
        (0..CAPACITY).try_for_each(|_| publisher.try_send(BLANK)).at("the survivor publishes")?;
        Ok(move || publisher.send(BLANK).at("the survivor goes on"))
    })
}

fn subscribe_any_length(domain: &str) -> Check<Staged> {
    let mut subscriber = broadcast_any_length(domain).subscriber().at("the survivor attaches")?;
    at_once(move || {
        expect(subscriber.recv_boxed(), |result| matches!(result, Err(BroadcastRecvError::PublisherDied(_))))
    })
}

fn publish_any_length_on_full(domain: &str) -> Check<Staged> {
    let mut publisher = broadcast_any_length(domain).publisher().at("the survivor attaches")?;
    then(move || {
        while let Ok(loan) = publisher.try_loan_len(500) {
            loan.send();
        }
        Ok(move || publisher.loan_len(500).map(drop).at("the survivor goes on"))
    })
}

fn wait_newer(domain: &str) -> Check<Staged> {
    let mut reader = latest(domain).reader().at("the survivor attaches")?;
    at_once(move || expect(reader.wait_newer(LONG), |result| matches!(result, Err(WaitNewerError::WriterDied(_)))))
}

fn wait_for_a_reply(domain: &str) -> Check<Staged> {
    let client = service(domain).client().at("the survivor attaches")?;
    at_once(move || expect(client.call(BLANK), |result| matches!(result, Err(CallError::ServerDied(None, _)))))
}

fn wait_for_a_server(domain: &str) -> Check<Staged> {
    let client = service(domain).client().at("the survivor attaches")?;
    at_once(move || expect(client.call(BLANK), |result| matches!(result, Err(CallError::ServerDied(Some(_), _)))))
}

fn wait_for_the_rest(domain: &str) -> Check<Staged> {
    let client = service(domain).client().at("the survivor attaches")?;
    at_once(move || {
        let mut replies = client.call_stream(BLANK).at("the survivor calls")?;
        expect(replies.next(), |result| *result == Some(Ok(BLANK)))?;
        expect(replies.next(), |result| matches!(result, Some(Err(CallError::ServerDied(None, _)))))
    })
}

fn submit_on_full(domain: &str) -> Check<Staged> {
    let client = service(domain).client().at("the survivor attaches")?;
    at_once(move || client.submit(BLANK).map(drop).at("the survivor gets a slot"))
}

fn receive_on_the_right(domain: &str) -> Check<Staged> {
    let mut right = pipe(domain).right().at("the survivor attaches")?;
    at_once(move || expect(right.recv(), |result| matches!(result, Err(RecvError::SenderDied(_)))))
}

fn send_on_the_right(domain: &str) -> Check<Staged> {
    let mut right = pipe(domain).right().at("the survivor attaches")?;
    then(move || {
        fill(right.halves().0)?;
        Ok(move || expect(right.send(BLANK), |result| matches!(result, Err(SendError::ReceiverDied(..)))))
    })
}

fn poll_on_the_right(domain: &str) -> Check<Staged> {
    let mut right = pipe(domain).right().at("the survivor attaches")?;
    at_once(move || expect(right.poll(LONG), |result| matches!(result, Err(RecvError::SenderDied(_)))))
}

fn wait_for_many(domain: &str, count: usize) -> Check<Staged> {
    let receivers = (0..count).map(|number| numbered(domain, number).receiver());
    let mut receivers = receivers.collect::<Result<Vec<_>, _>>().at("the survivor attaches")?;
    at_once(move || {
        let ready: Vec<_> = WaitSet::new().wait(&mut receivers).collect();
        let first = *ready.first().ok_or("nothing is ready")?;
        expect(receivers[first].try_recv(), |result| matches!(result, Err(TryRecvError::SenderDied(_))))
    })
}

fn wait_for_a_descriptor(domain: &str, count: usize) -> Check<Staged> {
    let receivers = (0..count).map(|number| numbered(domain, number).receiver());
    let mut receivers = receivers.collect::<Result<Vec<_>, _>>().at("the survivor attaches")?;
    at_once(move || {
        let mut set = WaitSet::new();
        let descriptor = set.descriptor().at("the set has a descriptor")?;
        while set.try_wait(&mut receivers).len() == 0 {
            let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: `poll` is one element, and writable.
            unsafe { libc::poll(&raw mut poll, 1, -1) };
        }
        Ok(())
    })
}

fn receive_as_a_task(domain: &str) -> Check<Staged> {
    let mut rx = shared(domain).receiver().at("the survivor attaches")?.into_async().at("it is one for tasks")?;
    at_once(move || expect(block_on(rx.recv()), |result| matches!(result, Err(RecvError::SenderDied(_)))))
}

fn send_as_a_task(domain: &str) -> Check<Staged> {
    let mut tx = exclusive(domain).sender().at("the survivor attaches")?;
    then(move || {
        fill(&mut tx)?;
        let mut tx = tx.into_async().at("it is one for tasks")?;
        Ok(move || expect(block_on(tx.send(BLANK)), |result| matches!(result, Err(SendError::ReceiverDied(..)))))
    })
}

fn publish_as_a_task(domain: &str) -> Check<Staged> {
    let mut publisher = broadcast(domain).publisher().at("the survivor attaches")?;
    then(move || {
        (0..CAPACITY).try_for_each(|_| publisher.try_send(BLANK)).at("the survivor publishes")?;
        let mut publisher = slipring::Async::new(publisher).at("it is one for tasks")?;
        Ok(move || block_on(publisher.send(BLANK)).at("the survivor goes on"))
    })
}

fn subscribe_as_a_task(domain: &str) -> Check<Staged> {
    let subscriber = broadcast(domain).subscriber().at("the survivor attaches")?;
    let mut subscriber = slipring::Async::new(subscriber).at("it is one for tasks")?;
    at_once(move || {
        expect(block_on(subscriber.recv()), |result| matches!(result, Err(BroadcastRecvError::PublisherDied(_))))
    })
}

fn wait_newer_as_a_task(domain: &str) -> Check<Staged> {
    let reader = latest(domain).reader().at("the survivor attaches")?;
    let mut reader = slipring::Async::new(reader).at("it is one for tasks")?;
    at_once(move || {
        block_on(reader.ready());
        let newer = reader.get_mut().wait_newer(Duration::ZERO);
        expect(newer, |result| matches!(result, Err(WaitNewerError::WriterDied(_))))
    })
}

fn call_as_a_task(domain: &str) -> Check<Staged> {
    let client = service(domain).client().at("the survivor attaches")?.into_async().at("it is one for tasks")?;
    at_once(move || {
        expect(block_on(client.call(BLANK)), |result| matches!(result, Err(CallError::ServerDied(None, _))))
    })
}

fn lock_a_mutex(domain: &str) -> Check<Staged> {
    let mutex = mutex(domain)?;
    at_once(move || {
        let is_told = matches!(mutex.lock(), Err(LockError::OwnerDied(_)));
        ensure(is_told, || "the owner's death is not told".to_string())
    })
}

fn read_behind_a_writer(domain: &str) -> Check<Staged> {
    let lock = lock(domain)?;
    at_once(move || {
        let is_told = matches!(lock.read(), Err(LockError::OwnerDied(_)));
        ensure(is_told, || "the writer's death is not told".to_string())
    })
}

fn write_behind_a_reader(domain: &str) -> Check<Staged> {
    let lock = lock(domain)?;
    at_once(move || ensure(lock.write().is_ok(), || "the writer does not get the lock".to_string()))
}

fn acquire(domain: &str) -> Check<Staged> {
    let semaphore = semaphore(domain)?;
    at_once(move || semaphore.acquire().map(drop).at("the permit of the dead comes back"))
}

fn meet(domain: &str) -> Check<Staged> {
    let barrier = barrier(domain)?;
    at_once(move || expect(barrier.wait(), |result| matches!(result, Err(BarrierError::Broken(_)))))
}

/// Wakes a thread that has parked itself.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a task in this thread.
fn block_on<F: Future>(task: F) -> F::Output {
    let mut task = pin!(task);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    loop {
        match task.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
