//! Waiting for many channels at once: few and many, between threads and processes, with closes and deaths, by descriptor,
//! and where the kernel cannot.

mod support;

use ipc_core::{Broadcast, Latest, Pipe, Queue, Receiver, Sender, Source, TryRecvError, WaitSet};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;
use support::{Child, Domain, PATIENCE, Part, listen, play, queue, say, usage};

const PARTS: &[(&str, Part)] = &[
    ("echo", echo),
    ("echo_without_futex_waitv", echo_without_futex_waitv),
    ("hold_senders", hold_senders),
    ("wait_idly", wait_idly),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// Channels with which a set sleeps by itself, and with which it takes one and several threads.
const SIZES: [usize; 5] = [1, 3, 128, 129, 300];

/// A queue whose segment is small.
fn small(domain: &str, direction: &str, number: usize) -> Queue<u64> {
    queue(domain, &format!("{direction}.{number}")).capacity(2)
}

fn receivers(domain: &str, direction: &str, count: usize) -> Vec<Receiver<u64>> {
    (0..count).map(|number| small(domain, direction, number).receiver().unwrap()).collect()
}

fn senders(domain: &str, direction: &str, count: usize) -> Vec<Sender<u64>> {
    (0..count).map(|number| small(domain, direction, number).sender().unwrap()).collect()
}

/// Waits for one of `sources`; it has to come.
fn wait<'a, S: Source + ?Sized + 'a>(set: &mut WaitSet, sources: impl IntoIterator<Item = &'a mut S>) -> Vec<usize> {
    let ready: Vec<_> = set.wait_timeout(sources, PATIENCE).collect();
    assert!(!ready.is_empty(), "nothing has come in {PATIENCE:?}");
    ready
}

#[test]
fn all_that_are_ready_are_returned_and_no_others() {
    for size in SIZES {
        let domain = Domain::new(&format!("ready-{size}"));
        let mut rxs = receivers(domain.name(), "in", size);
        let mut txs = senders(domain.name(), "in", size);
        let mut set = WaitSet::new();
        assert_eq!(set.try_wait(&mut rxs).len(), 0);
        assert_eq!(set.wait_timeout(&mut rxs, Duration::from_millis(1)).len(), 0);
        let chosen: Vec<_> = (0..size).filter(|number| number % 3 == 0).collect();
        chosen.iter().for_each(|&number| txs[number].send(7).unwrap());
        assert_eq!(set.wait(&mut rxs).collect::<Vec<_>>(), chosen);
        assert_eq!(set.try_wait(&mut rxs).collect::<Vec<_>>(), chosen, "until they are received");
        chosen.iter().for_each(|&number| assert_eq!(rxs[number].try_recv(), Ok(Some(7))));
        assert_eq!(set.try_wait(&mut rxs).len(), 0);
    }
}

#[test]
fn a_set_without_sources_does_not_wait() {
    let mut set = WaitSet::new();
    assert_eq!(set.wait(<[&mut dyn Source; 0]>::default()).len(), 0);
}

/// Sends numbers over channels in turn and gets them back over others, so that the set sleeps between any two.
fn ask(domain: &Domain, size: usize, rounds: u64) {
    let mut txs = senders(domain.name(), "there", size);
    let mut rxs = receivers(domain.name(), "back", size);
    let mut set = WaitSet::new();
    for round in 0..rounds {
        let number = (round * 31) as usize % size;
        txs[number].send(round).unwrap();
        assert_eq!(wait(&mut set, &mut rxs), [number]);
        assert_eq!(rxs[number].try_recv(), Ok(Some(round)));
        assert_eq!(rxs[number].try_recv(), Err(TryRecvError::Empty));
    }
}

/// Returns what comes, over the channel with the same number.
fn answer(domain: &str, size: usize) {
    let mut rxs = receivers(domain, "there", size);
    let mut txs = senders(domain, "back", size);
    let mut set = WaitSet::new();
    loop {
        for number in wait(&mut set, &mut rxs) {
            match rxs[number].try_recv() {
                Ok(Some(message)) => txs[number].send(message).unwrap(),
                Ok(None) => return,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn echo(domain: &str) {
    let size = listen().unwrap().parse().unwrap();
    answer(domain, size);
    say("done");
}

#[test]
fn messages_from_another_process_wake() {
    for size in SIZES {
        let domain = Domain::new(&format!("echo-{size}"));
        let mut child = Child::start("echo", &domain);
        child.tell(&size.to_string());
        ask(&domain, size, 2_000);
        assert_eq!(child.hear(), "done");
        child.finish();
    }
}

#[test]
fn messages_from_another_thread_wake() {
    for size in [2, 200] {
        let domain = Domain::new(&format!("threads-{size}"));
        thread::scope(|scope| {
            scope.spawn(|| answer(domain.name(), size));
            ask(&domain, size, 2_000);
        });
    }
}

/// Has the kernel refuse `futex_waitv`, as one before 5.16 does.
fn refuse_futex_waitv() {
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut filter = [
        // The number of the system call is the first word of what the filter is shown.
        instruction(load, 0, 0, 0),
        instruction(equal, 0, 1, libc::SYS_futex_waitv as u32),
        instruction(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        instruction(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the program and its instructions outlive the call, which copies them.
    let answer = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(answer, 0);
}

fn echo_without_futex_waitv(domain: &str) {
    refuse_futex_waitv();
    echo(domain);
}

#[test]
fn a_kernel_without_futex_waitv_will_do() {
    for size in [3, 200] {
        let domain = Domain::new(&format!("refused-{size}"));
        let mut child = Child::start("echo_without_futex_waitv", &domain);
        child.tell(&size.to_string());
        ask(&domain, size, 200);
        assert_eq!(child.hear(), "done");
        child.finish();
    }
}

#[test]
fn room_makes_a_sender_ready() {
    let domain = Domain::new("room");
    let mut txs = senders(domain.name(), "out", 3);
    let mut rxs = receivers(domain.name(), "out", 3);
    let mut set = WaitSet::new();
    assert_eq!(set.wait(&mut txs).collect::<Vec<_>>(), [0, 1, 2]);
    for tx in &mut txs {
        while tx.try_send(1).is_ok() {}
    }
    assert_eq!(set.try_wait(&mut txs).len(), 0);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(rxs[1].recv(), Ok(Some(1))));
        assert_eq!(wait(&mut set, &mut txs), [1]);
    });
    rxs.iter_mut().for_each(|rx| while rx.try_recv().is_ok() {});
}

#[test]
fn ends_of_every_kind_can_be_mixed() {
    let domain = Domain::new("mixed");
    let shared = Queue::<u64>::new("shared").domain(domain.name());
    let value = Latest::<u32>::new("value").domain(domain.name());
    let pipe = Pipe::<u8, u16>::new("pipe").domain(domain.name());
    let mut rx = shared.receiver().unwrap();
    let mut other = shared.receiver().unwrap();
    let mut tx = shared.sender().unwrap();
    let mut reader = value.reader().unwrap();
    let mut writer = value.writer().unwrap();
    let mut left = pipe.left().unwrap();
    let mut right = pipe.right().unwrap();
    let ticks = Broadcast::<u64>::new("ticks").domain(domain.name());
    let mut subscriber = ticks.subscriber().unwrap();
    let mut publisher = ticks.publisher().unwrap();
    let mut set = WaitSet::new();
    let mut look = |set: &mut WaitSet| {
        let sources = [&mut rx as &mut dyn Source, &mut other, &mut reader, &mut left, &mut subscriber];
        set.try_wait(sources).collect::<Vec<_>>()
    };
    assert_eq!(look(&mut set), []);
    writer.write(7).unwrap();
    assert_eq!(look(&mut set), [2]);
    right.send(7).unwrap();
    assert_eq!(look(&mut set), [2, 3]);
    tx.send(1).unwrap();
    // One message is for one receiver.
    assert_eq!(look(&mut set), [0, 2, 3]);
    publisher.send(5).unwrap();
    assert_eq!(look(&mut set), [0, 2, 3, 4]);
    assert_eq!(subscriber.try_recv(), Ok(Some(5)));
    assert_eq!(rx.try_recv(), Ok(Some(1)));
    assert_eq!(reader.read_if_newer(), Ok(Some(7)));
    assert_eq!(left.try_recv(), Ok(Some(7)));
    assert_eq!(other.try_recv(), Err(TryRecvError::Empty));
}

fn hold_senders(domain: &str) {
    let count = listen().unwrap().parse().unwrap();
    raise_descriptor_limit();
    let txs = senders(domain, "in", count);
    say("ready");
    listen();
    drop(txs);
}

/// Whether a descriptor is readable, or becomes so within `limit_ms` milliseconds.
fn is_readable(descriptor: &OwnedFd, limit_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` is one element, and writable.
    let ready = unsafe { libc::poll(&raw mut poll, 1, limit_ms) };
    ready == 1 && poll.revents == libc::POLLIN
}

#[test]
fn a_descriptor_is_readable_until_nothing_is_ready() {
    let domain = Domain::new("descriptor");
    let mut rxs = receivers(domain.name(), "in", 3);
    let mut txs = senders(domain.name(), "in", 3);
    let mut set = WaitSet::new();
    let descriptor = set.descriptor().unwrap();
    assert!(is_readable(&descriptor, 0), "before the first look");
    for round in 0..1_000 {
        assert_eq!(set.try_wait(&mut rxs).len(), 0);
        // It may have been signalled once more, for nothing.
        thread::scope(|scope| {
            let number = round % 3;
            let tx = &mut txs[number];
            scope.spawn(|| tx.send(1).unwrap());
            loop {
                assert!(is_readable(&descriptor, 60_000));
                if let Some(found) = set.try_wait(&mut rxs).next() {
                    assert_eq!(found, number);
                    break;
                }
            }
            assert!(is_readable(&descriptor, 0), "as long as one is ready");
            assert_eq!(rxs[number].try_recv(), Ok(Some(1)));
        });
    }
}

/// A process has a thousand descriptors by default, and every channel takes one.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is readable.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

const IDLE: Duration = Duration::from_secs(1);

fn wait_idly(domain: &str) {
    let count = listen().unwrap().parse().unwrap();
    raise_descriptor_limit();
    let mut rxs = receivers(domain, "in", count);
    let mut set = WaitSet::new();
    assert_eq!(set.wait_timeout(&mut rxs, Duration::from_millis(100)).len(), 0);
    let before = usage();
    assert_eq!(set.wait_timeout(&mut rxs, IDLE).len(), 0);
    let after = usage();
    say(format!("{} {}", (after.0 - before.0).as_micros(), after.1 - before.1));
}

#[test]
#[cfg_attr(feature = "portable", ignore = "what is idle is looked at")]
fn a_thousand_idle_channels_cost_next_to_nothing() {
    for count in [100, 1000] {
        let domain = Domain::new(&format!("idle-{count}"));
        let mut sender = Child::start("hold_senders", &domain);
        sender.tell(&count.to_string());
        assert_eq!(sender.hear(), "ready");
        let mut waiter = Child::start("wait_idly", &domain);
        waiter.tell(&count.to_string());
        let said = waiter.hear();
        waiter.finish();
        sender.finish();
        let (used, sleeps) = said.split_once(' ').unwrap();
        let (used, sleeps): (f64, u64) = (used.parse().unwrap(), sleeps.parse().unwrap());
        let percent = used / IDLE.as_micros() as f64 * 100.0;
        println!("{count} idle channels of another process: {percent:.2} % of a processor, {sleeps} sleeps a second");
        // Who spins does not sleep at all, and who polls each channel sleeps for each.
        assert!((1..count).contains(&sleeps), "{sleeps} sleeps: the channels are being polled");
    }
}
