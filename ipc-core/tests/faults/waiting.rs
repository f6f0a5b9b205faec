//! Deaths of which whoever waits for many ends at once has to hear: in a set, by a descriptor, as a task.

use super::support::runtimes::{RUNTIMES, run};
use super::support::{Child, Domain, PATIENCE, Part, listen, queue, say};
use ipc_core::{Queue, Receiver, RecvError, Source, TryRecvError, WaitSet};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] =
    &[("waiting_hold_senders", hold_senders), ("waiting_hold_both_kinds", hold_both_kinds)];

/// A queue whose segment is small.
fn small(domain: &str, number: usize) -> Queue<u64> {
    queue(domain, &format!("in.{number}")).capacity(2)
}

fn receivers(domain: &str, count: usize) -> Vec<Receiver<u64>> {
    (0..count).map(|number| small(domain, number).receiver().unwrap()).collect()
}

fn hold_senders(domain: &str) {
    let count = listen().unwrap().parse().unwrap();
    let senders: Vec<_> = (0..count).map(|number| small(domain, number).sender().unwrap()).collect();
    say("ready");
    listen();
    drop(senders);
}

/// Queues of both kinds, which sleep and wake differently.
fn both_kinds(domain: &str) -> [Queue<u64>; 2] {
    [queue(domain, "held.x").capacity(4), Queue::new("held.s").domain(domain).capacity(4)]
}

fn hold_both_kinds(domain: &str) {
    let senders = both_kinds(domain).map(|queue| queue.sender().unwrap());
    say("ready");
    listen();
    drop(senders);
}

/// Waits for one of `sources`; it has to come.
fn wait<'a, S: Source + ?Sized + 'a>(set: &mut WaitSet, sources: impl IntoIterator<Item = &'a mut S>) -> Vec<usize> {
    let ready: Vec<_> = set.wait_timeout(sources, PATIENCE).collect();
    assert!(!ready.is_empty(), "nothing has come in {PATIENCE:?}");
    ready
}

/// Whether a descriptor is readable, or becomes so within `limit_ms` milliseconds.
fn is_readable(descriptor: &OwnedFd, limit_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `poll` is one element, and writable.
    let ready = unsafe { libc::poll(&raw mut poll, 1, limit_ms) };
    ready == 1 && poll.revents == libc::POLLIN
}

#[test]
fn a_close_and_a_death_wake() {
    for size in [2, 150] {
        let domain = Domain::new(&format!("waiting-ends-{size}"));
        let mut child = Child::start("waiting_hold_senders", &domain);
        child.tell(&size.to_string());
        assert_eq!(child.hear(), "ready");
        let mut rxs = receivers(domain.name(), size);
        let mut set = WaitSet::new();
        assert_eq!(set.wait_timeout(&mut rxs, Duration::from_millis(1)).len(), 0);
        child.kill();
        let mut died = vec![false; size];
        while died.contains(&false) {
            for number in wait(&mut set, &mut rxs) {
                assert!(matches!(rxs[number].try_recv(), Err(TryRecvError::SenderDied(_))));
                assert!(!died[number], "a death is reported once");
                died[number] = true;
            }
        }
        let successor = small(domain.name(), 1).sender().unwrap();
        assert_eq!(set.try_wait(&mut rxs).len(), 0);
        thread::scope(|scope| {
            scope.spawn(|| drop(successor));
            assert_eq!(wait(&mut set, &mut rxs), [1]);
        });
        assert_eq!(rxs[1].recv(), Ok(None) as Result<_, RecvError>);
    }
}

#[test]
fn a_death_makes_the_descriptor_readable() {
    let domain = Domain::new("waiting-descriptor");
    let mut child = Child::start("waiting_hold_senders", &domain);
    child.tell("3");
    assert_eq!(child.hear(), "ready");
    let mut rxs = receivers(domain.name(), 3);
    let mut set = WaitSet::new();
    let descriptor = set.descriptor().unwrap();
    assert_eq!(set.try_wait(&mut rxs).len(), 0);
    child.kill();
    while set.try_wait(&mut rxs).len() == 0 {
        assert!(is_readable(&descriptor, 60_000));
    }
    for rx in &mut rxs {
        assert!(matches!(rx.recv(), Err(RecvError::SenderDied(_))));
    }
}

#[test]
fn a_death_and_a_close_wake_a_task() {
    for runtime in RUNTIMES {
        let domain = Domain::new(&format!("waiting-{runtime}"));
        let mut rxs = both_kinds(domain.name()).map(|queue| queue.receiver().unwrap().into_async().unwrap());
        let mut child = Child::start("waiting_hold_both_kinds", &domain);
        assert_eq!(child.hear(), "ready");
        let waiting = thread::spawn(move || {
            run(runtime, async move {
                for rx in &mut rxs {
                    assert!(matches!(rx.recv().await, Err(RecvError::SenderDied(_))));
                }
                for rx in &mut rxs {
                    assert_eq!(rx.recv().await, Ok(None));
                }
            });
        });
        child.kill();
        // Their successors close.
        while !waiting.is_finished() {
            for queue in both_kinds(domain.name()) {
                drop(queue.sender());
            }
        }
        waiting.join().unwrap();
    }
}
