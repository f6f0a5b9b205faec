//! Tasks that wait for channels, under several runtimes: between processes, cancelled at any moment, with closes and deaths.

#[path = "task/idle.rs"]
mod idle;
mod support;

use futures_util::future::{Either, join, join_all, select};
use futures_util::{FutureExt, SinkExt, StreamExt, TryStreamExt, stream};
use ipc_core::{
    Async, AsyncReceiver, AsyncSender, Broadcast, Latest, Pipe, Queue, Receiver, RecvError, SendError, Sender,
    TryRecvError, TrySendError, WaitNewerError, WaitSet,
};
use std::fs;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;
use support::runtimes::{RUNTIMES, run};
use support::{Child, Domain, Part, listen, memory, play, queue, say};

const PARTS: &[(&str, Part)] = &[
    ("echo", echo),
    ("echo_each", echo_each),
    ("hold_senders", hold_senders),
    ("send_numbers", send_numbers),
    ("idle", idle::wait),
    ("come_and_go", come_and_go),
    ("fork", fork),
    ("subscribe", subscribe),
    ("subscribe_lossy", subscribe_lossy),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// Queues of both kinds, which sleep and wake differently.
fn queues(domain: &str, channel: &str) -> [Queue<u64>; 2] {
    [queue(domain, &format!("{channel}.x")).capacity(4), Queue::new(format!("{channel}.s")).domain(domain).capacity(4)]
}

fn receiver(queue: &Queue<u64>) -> AsyncReceiver<u64> {
    queue.receiver().unwrap().into_async().unwrap()
}

fn sender(queue: &Queue<u64>) -> AsyncSender<u64> {
    queue.sender().unwrap().into_async().unwrap()
}

/// Returns what comes until the end.
async fn return_all(mut rx: AsyncReceiver<u64>, mut tx: AsyncSender<u64>) {
    while let Some(message) = rx.recv().await.unwrap() {
        tx.send(message).await.unwrap();
    }
}

fn echo(domain: &str) {
    let runtime = listen().unwrap();
    let [there, back] = ["there", "back"].map(|channel| queues(domain, channel));
    for (there, back) in there.iter().zip(&back) {
        run(&runtime, return_all(receiver(there), sender(back)));
    }
    say("done");
}

#[test]
fn messages_go_back_and_forth_between_processes() {
    const ROUNDS: u64 = 3_000;
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("echo-{runtime}"));
        let mut child = Child::start("echo", &domain);
        child.tell(runtime);
        let [there, back] = ["there", "back"].map(|channel| queues(domain.name(), channel));
        for (there, back) in there.iter().zip(&back) {
            let (mut tx, mut rx) = (sender(there), receiver(back));
            run(runtime, async move {
                for round in 0..ROUNDS {
                    tx.send(round).await.unwrap();
                    assert_eq!(rx.recv().await, Ok(Some(round)));
                }
                drop(tx);
                assert_eq!(rx.recv().await, Ok(None));
            });
        }
        assert_eq!(child.hear(), "done");
        child.finish();
    }
}

/// More tasks than one thread of the lookout watches.
const TASKS: usize = 150;

fn small(domain: &str, direction: &str, number: usize) -> Queue<u64> {
    queue(domain, &format!("{direction}.{number}")).capacity(2)
}

fn echo_each(domain: &str) {
    let tasks = (0..TASKS)
        .map(|number| return_all(receiver(&small(domain, "there", number)), sender(&small(domain, "back", number))));
    run(&listen().unwrap(), join_all(tasks.collect::<Vec<_>>()).map(drop));
    say("done");
}

#[test]
fn many_tasks_wait_at_once() {
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("many-{runtime}"));
        let mut child = Child::start("echo_each", &domain);
        child.tell(runtime);
        let tasks = (0..TASKS).map(|number| {
            let mut tx = sender(&small(domain.name(), "there", number));
            let mut rx = receiver(&small(domain.name(), "back", number));
            async move {
                for round in 0..20 {
                    tx.send(round).await.unwrap();
                    assert_eq!(rx.recv().await, Ok(Some(round)));
                }
            }
        });
        run(runtime, join_all(tasks.collect::<Vec<_>>()).map(drop));
        assert_eq!(child.hear(), "done");
        child.finish();
    }
}

/// Is ready when it has been polled `polls` times.
async fn after(mut polls: u64) {
    poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// As many as a pseudo-random sequence says, and mostly few.
fn patience(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *random >> 55 >> (*random >> 40 & 7)
}

/// Sends numbers, with pauses that let the receiver fall asleep.
fn send_numbers(domain: &str) {
    let numbers: u64 = listen().unwrap().parse().unwrap();
    let mut txs = queues(domain, "cancel").map(|queue| queue.sender().unwrap());
    for number in 0..numbers {
        for tx in &mut txs {
            tx.send(number).unwrap();
        }
        if number % 3 == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn dropping_a_future_loses_no_message() {
    const NUMBERS: u64 = 20_000;
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("cancel-{runtime}"));
        let mut child = Child::start("send_numbers", &domain);
        child.tell(&NUMBERS.to_string());
        let [mut exclusive, shared] = queues(domain.name(), "cancel").map(|queue| [receiver(&queue)]);
        let others = [shared, [receiver(&queues(domain.name(), "cancel")[1])]];
        run(runtime, async move {
            let [exclusive] = &mut exclusive;
            let alone = async {
                let (mut expected, mut dropped, mut random) = (0, 0, 1);
                while expected < NUMBERS {
                    match select(pin!(exclusive.recv()), pin!(after(patience(&mut random)))).await {
                        Either::Left((received, _)) => {
                            assert_eq!(received, Ok(Some(expected)));
                            expected += 1;
                        }
                        Either::Right(_) => dropped += 1,
                    }
                }
                dropped
            };
            // Two receivers of one queue, who take wake-ups from each other when they give up.
            let together = join_all(others.into_iter().zip(7..).map(async |([mut rx], mut random)| {
                let mut received = Vec::new();
                loop {
                    match select(pin!(rx.recv()), pin!(after(patience(&mut random)))).await {
                        Either::Left((Ok(Some(number)), _)) => received.push(number),
                        Either::Left((end, _)) => return end.map(|_| received),
                        Either::Right(_) => {}
                    }
                }
            }));
            let (dropped, received) = join(alone, together).await;
            let mut received: Vec<_> = received.into_iter().flat_map(Result::unwrap).collect();
            received.sort_unstable();
            assert!(received.into_iter().eq(0..NUMBERS), "each exactly once");
            assert!(dropped > 0, "no future was ever dropped");
        });
        child.finish();
    }
}

#[test]
fn a_send_that_is_dropped_has_not_happened() {
    let domain = Domain::new("unsent");
    for queue in queues(domain.name(), "unsent") {
        let (mut tx, mut rx) = (sender(&queue), queue.receiver().unwrap());
        let mut cx = Context::from_waker(Waker::noop());
        for number in 0..4 {
            assert_eq!(pin!(tx.send(number)).poll(&mut cx), Poll::Ready(Ok(())));
        }
        assert_eq!(pin!(tx.send(4)).poll(&mut cx), Poll::Pending);
        assert_eq!(rx.recv(), Ok(Some(0)));
        assert_eq!(pin!(tx.send(5)).poll(&mut cx), Poll::Ready(Ok(())));
        drop(tx);
        assert!(rx.iter().map(Result::unwrap).eq([1, 2, 3, 5]));
    }
}

#[test]
fn room_wakes_a_sender() {
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("room-{runtime}"));
        for queue in queues(domain.name(), "room") {
            let (mut tx, mut rx) = (sender(&queue), receiver(&queue));
            let sent = async move {
                for number in 0..2_000 {
                    tx.send(number).await.unwrap();
                }
            };
            let received = async move {
                for number in 0..2_000 {
                    // The sender has the time to fill the queue and to wait.
                    after(number % 16).await;
                    assert_eq!(rx.recv().await, Ok(Some(number)));
                }
                assert_eq!(rx.recv().await, Ok(None));
            };
            run(runtime, join(sent, received).map(|_| ()));
        }
    }
}

#[test]
fn streams_and_sinks_combine() {
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("stream-{runtime}"));
        for queue in queues(domain.name(), "numbers") {
            let (tx, rx) = (sender(&queue), receiver(&queue));
            run(runtime, async move {
                let sent = stream::iter(0..500).map(Ok).forward(tx);
                let received = rx.try_filter(|number| std::future::ready(number % 2 == 0)).map_ok(|number| number / 2);
                let (sent, received) = join(sent, received.try_collect::<Vec<_>>()).await;
                assert_eq!(sent, Ok(()));
                assert!(received.unwrap().into_iter().eq(0..250));
            });
        }
    }
}

#[test]
fn a_sink_says_why_it_takes_no_more() {
    let domain = Domain::new("sink");
    let queue = domain.queue::<u64>("sink").capacity(1);
    let (mut tx, rx) = (sender(&queue), receiver(&queue));
    smol::block_on(async {
        tx.feed(1).await.unwrap();
        drop(rx);
        assert_eq!(tx.feed(2).await, Err(SendError::Closed(())));
        assert_eq!(tx.send(3).await, Err(SendError::Closed(3)));
        tx.close().await.unwrap();
    });
    assert_eq!(queue.receiver().unwrap().recv(), Ok(Some(1)));
}

#[test]
fn a_sink_that_lends_nothing_says_why_as_well() {
    let domain = Domain::new("hardened-sink");
    for queue in queues(domain.name(), "hardened").map(|queue| queue.capacity(1).hardened(true)) {
        let (mut tx, mut rx) = (sender(&queue), queue.receiver().unwrap());
        smol::block_on(async {
            tx.feed(1).await.unwrap();
            let (fed, received) = join(tx.feed(2), async { rx.recv() }).await;
            assert_eq!((fed, received), (Ok(()), Ok(Some(1))));
            drop(rx);
            assert_eq!(tx.feed(3).await, Err(SendError::Closed(())));
        });
        assert_eq!(queue.receiver().unwrap().recv(), Ok(Some(2)));
    }
}

#[test]
fn messages_of_any_length_wait_for_room_and_are_waited_for() {
    let long = "long ".repeat(200);
    let text = |number: usize| &long[..5 + number * 13 % 900];
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("lengths-{runtime}"));
        let queue = |name: &str| Queue::<str>::new(name).domain(domain.name()).capacity(4096);
        for queue in [queue("x").spsc(), queue("s")] {
            let mut tx = queue.sender().unwrap().into_async().unwrap();
            let mut rx = queue.receiver().unwrap().into_async().unwrap();
            smol::block_on(async {
                let sent = async {
                    for number in 0..500 {
                        tx.send_copy(text(number)).await.unwrap();
                    }
                    assert!(matches!(tx.send_copy(&long.repeat(9)).await, Err(SendError::TooLarge((), _))));
                    drop(tx);
                };
                let received = async {
                    for number in 0..500 {
                        after(number as u64 % 7).await;
                        assert_eq!(rx.recv_boxed().await.unwrap().as_deref(), Some(text(number)));
                    }
                    assert_eq!(rx.recv_boxed().await, Ok(None));
                };
                join(sent, received).await;
            });
        }
        let notes = Broadcast::<str>::new("notes").domain(domain.name()).capacity(4096);
        let mut subscriber = notes.subscriber().unwrap().into_async().unwrap();
        let mut publisher = notes.publisher().unwrap().into_async().unwrap();
        let published = async {
            for number in 0..500 {
                publisher.send_copy(text(number)).await.unwrap();
            }
            drop(publisher);
        };
        let received = async {
            for number in 0..500 {
                after(number as u64 % 7).await;
                assert_eq!(subscriber.recv_boxed().await.unwrap().as_deref(), Some(text(number)));
            }
            assert_eq!(subscriber.recv_boxed().await, Ok(None));
        };
        smol::block_on(join(published, received));
    }
}

#[test]
fn a_send_that_is_dropped_asks_for_no_room() {
    let domain = Domain::new("unsent-length");
    let queue = Queue::<[u8]>::new("x").spsc().domain(domain.name()).capacity(4096);
    let (mut tx, mut rx) = (queue.sender().unwrap().into_async().unwrap(), queue.receiver().unwrap());
    let mut cx = Context::from_waker(Waker::noop());
    let large = vec![1; tx.get_ref().max_len()];
    assert_eq!(pin!(tx.send_copy(&large)).poll(&mut cx), Poll::Ready(Ok(())));
    assert_eq!(pin!(tx.send_copy(&large)).poll(&mut cx), Poll::Pending);
    assert_eq!(pin!(tx.send_copy(&[2])).poll(&mut cx), Poll::Ready(Ok(())));
    assert_eq!(rx.recv_boxed(), Ok(Some(large.into())));
    assert_eq!(rx.recv_boxed(), Ok(Some([2].into())));
}

#[test]
fn both_ends_of_a_pipe_wait() {
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("pipe-{runtime}"));
        let pipe = Pipe::<u64, u32>::new("pipe").domain(domain.name()).capacity(2);
        let mut left = pipe.left().unwrap().into_async().unwrap();
        let right = pipe.right().unwrap().into_async().unwrap();
        run(runtime, async move {
            let (mut tx, mut rx) = right.split();
            let answer = async move {
                while let Some(number) = rx.next().await {
                    tx.feed(number.unwrap() as u32 + 1).await.unwrap();
                }
            };
            let ask = async move {
                for number in 0..500 {
                    left.send(number).await.unwrap();
                    assert_eq!(left.recv().await, Ok(Some(number as u32 + 1)));
                }
                let mut left = left.into_inner();
                left.send(500).unwrap();
                assert_eq!(left.into_async().unwrap().next().await, Some(Ok(501)));
            };
            join(answer, ask).await;
        });
    }
}

fn hold_senders(domain: &str) {
    let senders = queues(domain, "held").map(|queue| queue.sender().unwrap());
    say("ready");
    listen();
    drop(senders);
}

#[test]
fn a_newer_value_wakes_a_task() {
    let domain = Domain::new("value");
    let value = Latest::<u32>::new("value").domain(domain.name());
    let mut reader = value.reader().unwrap().into_async().unwrap();
    let mut writer = value.writer().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for version in 1..=1_000 {
                writer.write(version).unwrap();
            }
        });
        smol::block_on(async {
            let mut seen = 0;
            while seen < 1_000 {
                let newer = reader.wait_newer().await.unwrap();
                assert!(newer > seen);
                seen = newer;
            }
            assert_eq!(reader.wait_newer().await, Err(WaitNewerError::Closed));
        });
    });
}

#[test]
fn room_wakes_a_publisher_and_a_message_its_subscribers() {
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("publish-{runtime}"));
        let ticks = Broadcast::<u64>::new("ticks").capacity(4).domain(domain.name());
        let subscribers: Vec<_> = (0..3).map(|_| Async::new(ticks.subscriber().unwrap()).unwrap()).collect();
        let mut publisher = Async::new(ticks.publisher().unwrap()).unwrap();
        let published = async move {
            for number in 0..1_000 {
                publisher.send(number).await.unwrap();
            }
            let rest = stream::iter(1_000..2_000).map(Ok).forward(publisher);
            rest.await.unwrap();
        };
        let received = subscribers.into_iter().zip(3..).map(async |(mut subscriber, slow)| {
            for number in 0..1_000 {
                after(number % slow).await;
                assert_eq!(subscriber.recv().await, Ok(Some(number)));
            }
            let rest: Vec<_> = subscriber.try_collect().await.unwrap();
            assert!(rest.into_iter().eq(1_000..2_000));
        });
        run(runtime, join(published, join_all(received.collect::<Vec<_>>())).map(drop));
    }
}

/// Subscribes, and gets no further than the first message.
fn subscribe(domain: &str) {
    let mut subscriber = Broadcast::<u64>::new("ticks").domain(domain).subscriber().unwrap();
    say("ready");
    assert_eq!(subscriber.recv(), Ok(Some(0)));
    say("one");
    listen();
}

#[test]
fn the_end_of_a_slow_subscriber_wakes_a_publisher() {
    for evicts in [false, true] {
        let domain = Domain::new(&format!("slow-{evicts}"));
        let mut ticks = Broadcast::<u64>::new("ticks").capacity(2).domain(domain.name());
        if evicts {
            ticks = ticks.evict_after(Duration::from_millis(10));
        }
        let mut publisher = Async::new(ticks.publisher().unwrap()).unwrap();
        let mut child = Child::start("subscribe", &domain);
        assert_eq!(child.hear(), "ready");
        smol::block_on(publisher.send(0)).unwrap();
        assert_eq!(child.hear(), "one");
        let publishing = thread::spawn(move || {
            run("smol", async move {
                for number in 1..10 {
                    publisher.send(number).await.unwrap();
                }
            });
        });
        if evicts {
            publishing.join().unwrap();
            child.finish();
        } else {
            child.kill();
            publishing.join().unwrap();
        }
    }
}

/// Has the segment mapped read-only: this process has no other end of it.
fn subscribe_lossy(domain: &str) {
    let ticks = Broadcast::<u64>::new("lossy").lossy().domain(domain);
    let subscribers = [0, 1].map(|_| ticks.subscriber().unwrap());
    let mut set = WaitSet::new();
    let [first, mut second] = subscribers;
    let mut first = Async::new(first).unwrap();
    for number in 0..100 {
        say("next");
        assert_eq!(smol::block_on(first.recv()), Ok(Some(number)));
        while second.try_recv() != Ok(Some(number)) {
            let _ = set.wait([&mut second]);
        }
    }
    say("end");
    assert_eq!(smol::block_on(first.recv()), Ok(None));
}

#[test]
fn a_subscriber_that_cannot_write_is_woken() {
    let domain = Domain::new("lossy");
    let ticks = Broadcast::<u64>::new("lossy").lossy().capacity(4).domain(domain.name());
    let mut publisher = ticks.publisher().unwrap();
    let mut child = Child::start("subscribe_lossy", &domain);
    for number in 0..100 {
        assert_eq!(child.hear(), "next");
        publisher.send(number).unwrap();
    }
    assert_eq!(child.hear(), "end");
    drop(publisher);
    child.finish();
}

#[test]
fn the_end_itself_is_there_for_verbs_that_do_not_wait() {
    let domain = Domain::new("verbs");
    let queue = domain.queue::<u64>("verbs").capacity(1);
    let (mut tx, mut rx) = (sender(&queue), receiver(&queue));
    smol::block_on(async {
        tx.ready().await;
        tx.get_mut().try_send(1).unwrap();
        assert_eq!(tx.get_mut().try_send(2), Err(TrySendError::Full(2)));
        rx.ready().await;
        assert_eq!(*rx.get_mut().try_recv_ref().unwrap().unwrap(), 1);
        assert_eq!(rx.get_mut().try_recv(), Err(TryRecvError::Empty));
    });
    let (mut tx, mut rx): (Sender<u64>, Receiver<u64>) = (tx.into_inner(), rx.into_inner());
    tx.send(3).unwrap();
    assert_eq!(rx.recv(), Ok(Some(3)));
}

/// Threads of this process.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn come_and_go(domain: &str) {
    let before = threads();
    for count in [1, 127, 128, 254, 255, 1] {
        let rxs: Vec<_> = (0..count).map(|number| receiver(&small(domain, "count", number))).collect();
        assert_eq!(threads() - before, 1 + count.div_ceil(127), "{count}");
        drop(rxs);
        while threads() != before {
            thread::yield_now();
        }
    }
    say("done");
}

#[test]
fn threads_come_with_the_first_end_and_go_with_the_last() {
    let domain = Domain::new("threads");
    let mut child = Child::start("come_and_go", &domain);
    assert_eq!(child.hear(), "done");
    child.finish();
}

/// Forks while a task waits.
fn fork(domain: &str) {
    let queue = domain_queue(domain);
    let mut rx = receiver(&queue);
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(pin!(rx.recv()).poll(&mut cx), Poll::Pending);
    // SAFETY: has no preconditions; what the child does is what this crate says a child may do.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let forked = pin!(rx.recv()).poll(&mut cx) == Poll::Ready(Err(RecvError::Forked));
        drop(rx);
        // A lookout of its own.
        let mut tx = queue.sender().unwrap();
        let own = support::queue::<u64>(domain, "own");
        let (mut own_tx, mut own_rx) = (own.sender().unwrap(), receiver(&own));
        let received = thread::scope(|scope| {
            scope.spawn(move || own_tx.send(7).unwrap());
            smol::block_on(own_rx.recv())
        });
        drop(own_rx);
        tx.send(8).unwrap();
        drop(tx);
        // SAFETY: takes an integer, and does not return.
        unsafe { libc::_exit(i32::from(!(forked && received == Ok(Some(7))))) };
    }
    assert_eq!(smol::block_on(rx.recv()), Ok(Some(8)), "the parent's end goes on");
    let mut status = 0;
    // SAFETY: `status` is writable, and the child has not been waited for.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child found something else");
    say("done");
}

fn domain_queue(domain: &str) -> Queue<u64> {
    queue(domain, "forked")
}

#[test]
fn a_forked_child_starts_anew() {
    let domain = Domain::new("fork");
    let mut child = Child::start("fork", &domain);
    assert_eq!(child.hear(), "done");
    child.finish();
}
