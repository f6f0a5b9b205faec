//! Many channels in one process: descriptors, and channels that do not hold each other up.

mod support;

use ipc_core::OpenError;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use support::{Child, Domain, listen, lock_lifecycle, memory, path, queue, recv, say};

/// The usual soft limit of descriptors.
const USUAL_LIMIT: libc::rlim_t = 1024;

/// Channels that have to fit under it.
const CHANNELS: usize = 1000;

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    support::play(&[("open-a-thousand", open_a_thousand), ("stop-while-joining", stop_while_joining)]);
}

#[test]
#[cfg_attr(feature = "portable", ignore = "the memory takes a descriptor, and each participant another one")]
fn a_thousand_channels_fit_under_the_usual_limit() {
    let domain = Domain::new("thousand");
    Child::start("open-a-thousand", &domain).finish();
}

fn open_a_thousand(domain: &str) {
    let limit = libc::rlimit { rlim_cur: USUAL_LIMIT, rlim_max: USUAL_LIMIT };
    // SAFETY: the pointer leads to an `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    let open = |number: usize| {
        let queue = queue::<u64>(domain, &format!("channel-{number}")).capacity(2);
        queue.sender().and_then(|tx| Ok((tx, queue.receiver()?)))
    };
    let mut channels: Vec<_> = (0..CHANNELS).map(|number| open(number).unwrap()).collect();
    for (number, (tx, _)) in channels.iter_mut().enumerate() {
        tx.send(number as u64).unwrap();
    }
    for (number, (_, rx)) in channels.iter_mut().enumerate() {
        assert_eq!(recv(rx), Ok(Some(number as u64)));
    }

    let (new, existing) = (queue::<u64>(domain, "new"), queue::<u64>(domain, "existing"));
    existing.sender().unwrap().send(7).unwrap();
    // Whatever else the process needs descriptors for gets the rest.
    let rest: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!rest.is_empty(), "a channel takes one descriptor, not more");
    for queue in [&new, &existing] {
        let error = queue.sender().unwrap_err();
        let OpenError::Descriptors { limit: 1024, .. } = &error else { panic!("{error:?}") };
        let text = error.to_string();
        for words in ["no descriptor is left for /dev/shm", "of 1024 that this process may have", "ulimit -n"] {
            assert!(text.contains(words), "{words:?} is not in {text:?}");
        }
    }
    // A channel that is open needs none for another handle.
    let (tx, rx) = channels.pop().unwrap();
    let reopened = queue::<u64>(domain, &tx.info().name);
    drop(tx);
    drop((reopened.sender().unwrap(), rx));
    // And what is closed makes room.
    drop(new.sender().unwrap());
    assert_eq!(recv(&mut existing.receiver().unwrap()), Ok(Some(7)));
    drop(rest);
}

#[test]
fn a_channel_that_is_held_up_holds_up_no_other() {
    let domain = Domain::new("held-up");
    let mut stopped = Child::start("stop-while-joining", &domain);
    assert_eq!(stopped.hear(), "locked");
    stopped.stop();
    let (held_up, free) = (domain.queue::<u64>("held-up"), domain.queue::<u64>("free"));
    let joining = thread::spawn(move || held_up.receiver());
    // Once it has opened the segment, the other thread waits for the one that is stopped.
    while descriptors(&memory(&domain.path("held-up"))) == 0 {
        assert!(!joining.is_finished(), "it cannot join before the lock is free");
        thread::yield_now();
    }
    for number in 0..10 {
        let (mut tx, mut rx) = (free.sender().unwrap(), free.receiver().unwrap());
        tx.send(number).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(number)));
    }
    assert!(!joining.is_finished(), "all this was while the other one waited");
    stopped.kill();
    let mut rx = joining.join().unwrap().expect("the lock went with the one who had it");
    assert_eq!(recv(&mut rx), Ok(Some(1)));
}

/// Sends a message, and then takes the lock under which processes join and leave, and keeps it.
fn stop_while_joining(domain: &str) {
    let mut tx = queue::<u64>(domain, "held-up").sender().unwrap();
    tx.send(1).unwrap();
    let _lock = lock_lifecycle(&path(domain, "held-up"));
    say("locked");
    listen();
}

/// How many of this process's descriptors lead to a file.
fn descriptors(path: &Path) -> usize {
    let file = fs::metadata(path).unwrap();
    let is_it = |other: &fs::Metadata| (other.dev(), other.ino()) == (file.dev(), file.ino());
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    descriptors.filter(|path| fs::metadata(path).is_ok_and(|other| is_it(&other))).count()
}
