//! Forks without `exec`: the handles are dead in the child, alive in the parent, and no lock of the parent outlives it.
//!
//! Every fork happens in a helper process, whose standard input and output the forked child shares. A forked child ends
//! by `_exit`, and by an alarm if it hangs.

use super::support::{Child, Domain, IS_PORTABLE, PATIENCE, Part, listen, path, program, queue, recv, recv_all, say};
use ipc_core::{
    OpenError, Opt, Receiver, RecvError, RecvTimeoutError, Role, SendError, SendTimeoutError, Sender, TryRecvError,
    TrySendError,
};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// After so long a forked child is stuck.
const FORK_LIMIT_S: u32 = 60;

/// Forks of a process whose other threads open and close channels.
const BUSY_FORKS: u64 = 150;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("fork_use_dead_handles", use_dead_handles),
    ("fork_drop_dead_handles", drop_dead_handles),
    ("fork_hold_guards", hold_guards),
    ("fork_leave_a_child", leave_a_child),
    ("fork_leave_a_grandchild", leave_a_grandchild),
    ("fork_leave_programs", leave_programs),
    ("fork_open_again", open_again),
    ("fork_open_again_alone", open_again_alone),
    ("fork_beside_threads", fork_beside_threads),
];

/// Forks; the child does `what` and ends. Returns the child's id.
fn fork(what: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child goes on in this thread alone, and the other threads of a helper hold no lock that it needs: that
    // those of the library are none of them is what is tested.
    match unsafe { libc::fork() } {
        -1 => panic!("no fork: {}", std::io::Error::last_os_error()),
        0 => {
            // SAFETY: has no preconditions and cannot fail.
            unsafe { libc::alarm(FORK_LIMIT_S) };
            let code = if catch_unwind(AssertUnwindSafe(what)).is_ok() { 0 } else { 1 };
            // SAFETY: ends the process.
            unsafe { libc::_exit(code) }
        }
        child => child,
    }
}

/// Leaves a forked child that outlives it.
fn leave_a_child(domain: &str) {
    let _tx = queue::<u64>(domain, "channel").sender().unwrap();
    fork(linger);
    say("forked");
    listen();
}

/// Leaves a child of a forked child that outlives it, and both.
fn leave_a_grandchild(domain: &str) {
    let mut tx = Some(queue::<u64>(domain, "channel").sender().unwrap());
    fork(|| {
        drop(tx.take());
        fork(linger);
        linger();
    });
    say("forked");
    std::thread::park();
}

/// Waits for a forked child, which has to succeed.
#[track_caller]
fn wait(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the forked child failed: {status:#x}");
}

/// Forks a child that has to succeed, and waits for it.
#[track_caller]
fn fork_and_wait(what: impl FnOnce()) {
    wait(fork(what));
}

/// Stays until the test says a word, and answers it.
fn linger() {
    if listen().is_some() {
        say("alive");
    }
}

/// Kills a helper whose forked children stay.
fn kill_alone(helper: &Child) {
    // SAFETY: takes two integers; the helper has not been waited for, so the id is still its own.
    assert_eq!(unsafe { libc::kill(helper.pid() as libc::pid_t, libc::SIGKILL) }, 0);
}

#[test]
fn every_verb_of_a_dead_handle_says_so_and_changes_nothing() {
    let domain = Domain::new("fork-verbs");
    let mut helper = Child::start("fork_use_dead_handles", &domain);
    let mut rx = domain.queue::<u64>("out").receiver().unwrap();
    let mut tx = domain.queue::<u64>("in").sender().unwrap();
    tx.send_batch([11, 12]).unwrap();
    assert_eq!(helper.hear(), "done");
    assert_eq!(recv_all(&mut rx), [1, 2]);
    helper.finish();
    assert_eq!(tx.len(), 0, "the helper received both, and its child none");
}

fn use_dead_handles(domain: &str) {
    let mut tx = queue::<u64>(domain, "out").sender().unwrap();
    let mut rx = queue::<u64>(domain, "in").receiver().unwrap();
    let (mut full, mut full_rx) = both(domain, "full");
    full.send(1).unwrap();
    tx.send(1).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(11)));
    fork_and_wait(|| {
        assert_nothing_is_inherited([path(domain, "out"), path(domain, "in"), path(domain, "full")]);
        assert_verbs_are_dead(&mut tx, &mut rx);
        assert_eq!(full.try_send(7), Err(TrySendError::Forked(7)), "whatever the ring looked like");
        assert_eq!((tx.len(), rx.len()), (0, 0));
        assert_eq!(tx.info().name, "out");
    });
    tx.send(2).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(12)));
    assert_eq!((full.try_send(7), recv(&mut full_rx)), (Err(TrySendError::Full(7)), Ok(Some(1))));
    say("done");
}

/// Both ends of a queue of one message.
fn both(domain: &str, channel: &str) -> (Sender<u64>, Receiver<u64>) {
    let queue = queue(domain, channel).capacity(1);
    (queue.sender().unwrap(), queue.receiver().unwrap())
}

fn assert_verbs_are_dead(tx: &mut Sender<u64>, rx: &mut Receiver<u64>) {
    let soon = Duration::from_millis(1);
    assert_eq!(tx.send(7), Err(SendError::Forked(7)));
    assert_eq!(tx.try_send(8), Err(TrySendError::Forked(8)));
    assert_eq!(tx.send_timeout(9, soon), Err(SendTimeoutError::Forked(9)));
    let mut rest = 10..20;
    let error = tx.send_batch(&mut rest).unwrap_err();
    assert_eq!((error.sent, error.error, rest), (0, SendError::Forked(10), 11..20));
    assert!(matches!(tx.loan(), Err(SendError::Forked(()))));
    assert!(matches!(tx.try_loan(), Err(TrySendError::Forked(()))));

    assert_eq!(rx.recv(), Err(RecvError::Forked));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Forked));
    assert_eq!(rx.recv_timeout(soon), Err(RecvTimeoutError::Forked));
    assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Forked));
    assert_eq!(rx.recv_batch(&mut Vec::new(), 5), Err(RecvError::Forked));
    assert_eq!(rx.iter().next(), Some(Err(RecvError::Forked)));
    assert!(matches!(rx.recv_ref(), Err(RecvError::Forked)));
    assert!(matches!(rx.try_recv_ref(), Err(TryRecvError::Forked)));
    assert!(matches!(rx.recv_ref_timeout(soon), Err(RecvTimeoutError::Forked)));
    let text = rx.recv().unwrap_err().to_string();
    assert_eq!(text, "this handle was opened before a fork: open the channel again in the child");
}

/// Neither a descriptor nor a mapping of this process leads to any of the files.
fn assert_nothing_is_inherited(paths: impl IntoIterator<Item = impl AsRef<Path>>) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    for path in paths {
        let file = fs::metadata(path).unwrap();
        let is_it = |other: &fs::Metadata| (other.dev(), other.ino()) == (file.dev(), file.ino());
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(descriptors.filter(|path| fs::metadata(path).is_ok_and(|other| is_it(&other))).count(), 0);
        let inode = file.ino().to_string();
        assert!(!maps.lines().any(|line| line.split_whitespace().nth(4) == Some(&inode) && line.contains("/dev/shm")));
    }
}

/// No segment is open or mapped here, whether or not it has a name.
fn assert_no_segment_is_open() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("/dev/shm"), "{maps}");
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let leads_to = fs::read_link(entry.unwrap().path());
        // The memory of the portable backend has no lock that would be inherited with it.
        let is_open = |path: std::path::PathBuf| {
            path.starts_with("/dev/shm") && !(IS_PORTABLE && path.to_string_lossy().starts_with("/dev/shm/sr-"))
        };
        assert!(!leads_to.is_ok_and(is_open));
    }
}

#[test]
fn dropping_dead_handles_closes_nothing() {
    let domain = Domain::new("fork-drops");
    let mut helper = Child::start("fork_drop_dead_handles", &domain);
    let mut rx = domain.queue::<u64>("out").receiver().unwrap();
    assert_eq!(helper.hear(), "dropped");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "neither closed nor dead");
    let error = domain.queue::<u64>("out").sender().unwrap_err();
    assert!(matches!(error, OpenError::InUse { role: Role::Sender, .. }), "{error:?}");
    assert!(domain.path("both").exists());
    helper.tell("go on");
    assert_eq!(recv_all(&mut rx), [5]);
    helper.finish();
}

fn drop_dead_handles(domain: &str) {
    let mut tx = queue::<u64>(domain, "out").sender().unwrap();
    let (mut both_tx, mut both_rx) = both(domain, "both");
    let before = open_descriptors();
    let mut handles = Some((tx, both_tx, both_rx));
    fork_and_wait(|| {
        let (at_once, when_dropped) = if IS_PORTABLE { (3, 2) } else { (2, 0) };
        assert_eq!(open_descriptors(), before - at_once, "two segments with three ends");
        // What the child opens may get the numbers of what it has let go.
        let opened: Vec<_> = (0..4).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        drop(handles.take());
        assert_eq!(open_descriptors(), before - at_once - when_dropped + opened.len());
        assert!(opened.iter().all(|file| file.metadata().is_ok()), "no descriptor is closed twice");
    });
    (tx, both_tx, both_rx) = handles.unwrap();
    say("dropped");
    listen();
    tx.send(5).unwrap();
    both_tx.send(6).unwrap();
    assert_eq!(recv(&mut both_rx), Ok(Some(6)));
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn guards_of_the_parent_are_not_the_child_s() {
    let domain = Domain::new("fork-guards");
    let mut helper = Child::start("fork_hold_guards", &domain);
    let mut rx = domain.queue::<[u64; 4]>("numbers").receiver().unwrap();
    assert_eq!(helper.hear(), "forked");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "what the child sent is nowhere");
    helper.tell("go on");
    assert_eq!(recv_all(&mut rx), [[3; 4]]);
    helper.finish();
}

fn hold_guards(domain: &str) {
    let mut numbers = queue::<[u64; 4]>(domain, "numbers").sender().unwrap();
    let flags = queue::<Opt<bool>>(domain, "flags");
    let (mut flags_tx, mut flags_rx) = (flags.sender().unwrap(), flags.receiver().unwrap());
    flags_tx.send_batch([Opt::Some(true), Opt::Some(false)]).unwrap();
    let mut loan = numbers.loan().unwrap();
    loan.fill(3);
    let flag = flags_rx.recv_ref().unwrap().unwrap();
    let (mut loan, mut flag) = (Some(loan), Some(flag));
    fork_and_wait(|| {
        let mut loan = loan.take().unwrap();
        assert_eq!(*loan, [0; 4], "a blank slot of the child's own");
        loan.fill(4);
        loan.send();
        let flag = flag.take().unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        assert!(catch_unwind(AssertUnwindSafe(|| *flag)).is_err(), "a blank slot need not be a message");
    });
    say("forked");
    listen();
    loan.take().unwrap().send();
    assert_eq!(flag.as_deref(), Some(&Opt::Some(true)));
    drop(flag);
    assert_eq!(recv(&mut flags_rx), Ok(Some(Opt::Some(false))));
}

#[test]
fn a_death_is_seen_although_a_forked_child_lives() {
    for part in ["fork_leave_a_child", "fork_leave_a_grandchild"] {
        let domain = Domain::new(part);
        let mut rx = domain.queue::<u64>("channel").receiver().unwrap();
        let mut helper = Child::start(part, &domain);
        assert_eq!(helper.hear(), "forked");
        let dead = ipc_core::Peer { pid: helper.pid(), program: program().into() };
        kill_alone(&helper);
        assert_eq!(rx.recv_timeout(PATIENCE), Err(RecvTimeoutError::SenderDied(dead)), "{part}");
        let mut successor = domain.queue::<u64>("channel").sender().unwrap();
        successor.send(3).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(3)));
        helper.tell("are you there?");
        assert_eq!(helper.hear(), "alive", "{part}: it is the child that lives");
        let (status, _) = helper.end();
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }
}

#[test]
fn programs_that_were_started_keep_no_lock() {
    let domain = Domain::new("fork-programs");
    let mut rx = domain.queue::<u64>("channel").receiver().unwrap();
    let mut helper = Child::start("fork_leave_programs", &domain);
    assert_eq!(helper.hear(), "started");
    kill_alone(&helper);
    assert_eq!(recv(&mut rx), Ok(Some(1)));
    assert!(matches!(rx.recv_timeout(PATIENCE), Err(RecvTimeoutError::SenderDied(_))));
    // What `hear` takes for a line of a child's, as the programs pass it on.
    helper.tell("\n@ alive");
    assert_eq!(helper.hear(), "alive", "the programs are");
    drop(helper.end());
}

/// Starts two programs, one of them by a fork with code before `exec`, and uses the channel in between.
fn leave_programs(domain: &str) {
    let mut tx = queue::<u64>(domain, "channel").sender().unwrap();
    // Both say what the test says, so one of them will get the word, and the other the end. (They read all that there is at
    // once: an unbuffered `sed` reads single bytes, and each would get some of them.)
    let mut echo = Command::new("cat");
    echo.stdin(Stdio::inherit());
    let mut plain = echo.spawn().unwrap();
    // SAFETY: the closure does nothing; that there is one makes `spawn` fork.
    unsafe { echo.pre_exec(|| Ok(())) };
    let mut forked = echo.spawn().unwrap();
    tx.send(1).unwrap();
    say("started");
    // They end when the test has no more to say, and this one is killed before.
    plain.wait().unwrap();
    forked.wait().unwrap();
}

#[test]
fn a_child_opens_the_channel_again() {
    let domain = Domain::new("fork-again");
    Child::start("fork_open_again", &domain).finish();
    Child::start("fork_open_again_alone", &domain).finish();
}

/// The parent sends to its own child, which has opened the other end, and both wait for each other.
fn open_again(domain: &str) {
    let to_child = queue::<u64>(domain, "to-child");
    let to_parent = queue::<u64>(domain, "to-parent");
    let mut tx = to_child.sender().unwrap();
    let mut rx = to_parent.receiver().unwrap();
    let child = fork(|| {
        let error = to_child.sender().unwrap_err();
        assert!(matches!(error, OpenError::InUse { role: Role::Sender, .. }), "the parent lives: {error}");
        let mut child_rx = to_child.receiver().unwrap();
        let mut child_tx = to_parent.sender().unwrap();
        assert_eq!(tx.send(0), Err(SendError::Forked(0)), "the old handle is as dead as before");
        for round in 0..100 {
            assert_eq!(recv(&mut child_rx), Ok(Some(round)));
            child_tx.send(round).unwrap();
        }
        assert_eq!(recv(&mut child_rx), Ok(None));
    });
    for round in 0..100 {
        if round % 10 == 0 {
            // Long enough for the child to fall asleep, so that it has to be woken.
            std::thread::sleep(Duration::from_millis(2));
        }
        tx.send(round).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(round)));
    }
    drop(tx);
    wait(child);
    assert_eq!(recv(&mut rx), Ok(None));
}

/// The child takes over what its parent has closed, and its own child takes over from it.
fn open_again_alone(domain: &str) {
    let channel = queue::<u64>(domain, "handed-down");
    let mut tx = channel.sender().unwrap();
    let mut rx = channel.receiver().unwrap();
    tx.send(1).unwrap();
    drop(tx);
    fork_and_wait(|| {
        let mut tx = channel.sender().unwrap();
        tx.send(2).unwrap();
        fork_and_wait(|| {
            assert_eq!(tx.send(9), Err(SendError::Forked(9)));
            let error = channel.sender().unwrap_err();
            assert!(matches!(error, OpenError::InUse { role: Role::Sender, .. }), "{error}");
        });
        tx.send(3).unwrap();
        drop(tx);
    });
    assert_eq!(recv_all(&mut rx), [1, 2, 3]);
}

#[test]
fn a_fork_beside_threads_that_open_and_close_hangs_nobody() {
    let domain = Domain::new("fork-threads");
    Child::start("fork_beside_threads", &domain).finish();
}

fn fork_beside_threads(domain: &str) {
    let is_over = AtomicBool::new(false);
    let exchange = |channel: &str| {
        let queue = queue::<u64>(domain, channel).capacity(1);
        // Two of the threads are after the same channel.
        let (Ok(mut rx), Ok(mut tx)) = (queue.receiver(), queue.sender()) else { return false };
        tx.send(1).unwrap();
        recv(&mut rx) == Ok(Some(1))
    };
    let (mut tx, mut rx) = both(domain, "kept");
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (is_over, exchange) = (&is_over, &exchange);
            scope.spawn(move || {
                // Relaxed: a sign to stop, and nothing else.
                while !is_over.load(Ordering::Relaxed) {
                    exchange(&format!("busy-{}", thread / 2));
                }
            });
        }
        let _over = Over(&is_over);
        for fork in 0..BUSY_FORKS {
            fork_and_wait(|| {
                assert_nothing_is_inherited([path(domain, "kept")]);
                assert_no_segment_is_open();
                assert!(exchange("the-child-s"));
                exchange("busy-0");
            });
            tx.send(fork).unwrap();
            assert_eq!(recv(&mut rx), Ok(Some(fork)));
        }
    });
}

/// Sets the sign to stop, also when what the threads wait for has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        // Relaxed: a sign to stop, and nothing else.
        self.0.store(true, Ordering::Relaxed);
    }
}
