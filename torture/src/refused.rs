//! System calls that fail: a process creates, joins, works and leaves while one of its system calls is refused, with each error
//! that the call can give, by a filter of its own (seccomp). It has to end in order, with a clear error or with what it wanted,
//! and the channel has to work afterwards and to leave nothing behind.

use crate::check::{Check, Context, Message, PATIENCE, ensure, message};
use crate::child::{self, Child};
use crate::domain::Domain;
use crate::report::{Failure, Figure, Tally};
use slipring::{Queue, Receiver, Sender};
use std::fmt::Display;
use std::io;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// The kind's name.
pub(crate) const KIND: &str = "refused-calls";

/// A system call, and which of its calls are meant: those that have this value as this argument, or that have not.
struct Call {
    name: &'static str,
    number: libc::c_long,
    argument: Option<(u32, u32, bool)>,
    errors: &'static [i32],
}

const CALLS: &[Call] = &[
    call("openat", libc::SYS_openat, &[libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EACCES, libc::ENOSPC]),
    call("fallocate", libc::SYS_fallocate, &[libc::ENOSPC, libc::EFBIG, libc::EOPNOTSUPP, libc::ENOMEM, libc::EPERM]),
    call("pwrite64", libc::SYS_pwrite64, &[libc::ENOSPC, libc::EIO, libc::EFBIG]),
    call("pread64", libc::SYS_pread64, &[libc::EIO]),
    call("linkat", libc::SYS_linkat, &[libc::EPERM, libc::ENOENT, libc::EACCES, libc::ENOSPC, libc::ENOMEM]),
    call("unlink", libc::SYS_unlink, &[libc::EPERM, libc::EACCES, libc::EBUSY]),
    call("statx", libc::SYS_statx, &[libc::ENOSYS, libc::ENOMEM, libc::EACCES]),
    call("madvise", libc::SYS_madvise, &[libc::EINVAL, libc::ENOMEM, libc::EAGAIN]),
    call("membarrier", libc::SYS_membarrier, &[libc::EPERM, libc::ENOSYS, libc::EINVAL]),
    call("getrandom", libc::SYS_getrandom, &[libc::ENOSYS, libc::EPERM]),
    call("sched_getaffinity", libc::SYS_sched_getaffinity, &[libc::EINVAL, libc::EPERM]),
    // With a file; the others are the allocator's.
    narrow("mmap", libc::SYS_mmap, (4, u32::MAX, false), &[libc::ENOMEM, libc::EACCES, libc::EAGAIN, libc::EPERM]),
    narrow("lock", libc::SYS_fcntl, (1, libc::F_OFD_SETLK as u32, true), &[libc::ENOLCK, libc::EINVAL, libc::EINTR]),
    narrow("look-at-lock", libc::SYS_fcntl, (1, libc::F_OFD_GETLK as u32, true), &[libc::ENOLCK, libc::EINVAL]),
    // Of several processes; the others are the standard library's.
    narrow("futex-wait", libc::SYS_futex, (1, 0, true), &[libc::EINTR, libc::EAGAIN, libc::EINVAL, libc::ENOSYS]),
    narrow("futex-wake", libc::SYS_futex, (1, 1, true), &[libc::EINVAL, libc::ENOSYS]),
];

const fn call(name: &'static str, number: libc::c_long, errors: &'static [i32]) -> Call {
    Call { name, number, argument: None, errors }
}

const fn narrow(name: &'static str, number: libc::c_long, argument: (u32, u32, bool), errors: &'static [i32]) -> Call {
    Call { name, number, argument: Some(argument), errors }
}

/// From when on the calls are refused.
const SCENARIOS: [&str; 3] = ["create", "join", "work"];

/// A case.
type Case = (&'static Call, i32, &'static str);

/// Plays all cases.
pub(crate) fn run(campaign: &'static str, tally: &mut Tally) {
    let began = Instant::now();
    let errors = CALLS.iter().flat_map(|call| call.errors.iter().map(move |&error| (call, error)));
    let cases: Vec<Case> = errors.flat_map(|(call, error)| SCENARIOS.map(|scenario| (call, error, scenario))).collect();
    let mut figure = Figure::new(campaign, KIND, None);
    figure.cases = cases.len() as u64;
    let (cases, wrongs) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
    let next = || cases.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    if let Err(wrong) = play(case) {
                        wrongs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((case, wrong));
                    }
                }
            });
        }
    });
    for ((call, error, scenario), wrong) in wrongs.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        figure.failures += 1;
        let what = format!("{} fails with {}, {scenario}", call.name, io::Error::from_raw_os_error(error));
        tally.fail(Failure { campaign, what, wrong, saw: Vec::new(), case: None });
    }
    figure.seconds = began.elapsed().as_secs_f64();
    tally.add(figure);
}

fn channel(domain: &str) -> Queue<Message> {
    Queue::new("work").domain(domain).capacity(4)
}

fn play((call, error, scenario): Case) -> Check {
    let domain = Domain::new();
    let queue = channel(domain.name());
    let ends = if scenario == "create" { None } else { Some(open(&queue)?) };
    let error = error.to_string();
    let mut child = Child::start(["refused", call.name, &error, scenario, domain.name()])?;
    child.hear_word("end")?;
    child.finish()?;
    drop(ends);
    // Whatever the other one could not do, the next ones do.
    let (mut tx, mut rx) = open(&queue)?;
    while let Ok(Some(_)) = rx.recv_timeout(Duration::ZERO) {}
    tx.send_timeout(message(7), PATIENCE).at("another one sends afterwards")?;
    let received = rx.recv_timeout(PATIENCE).at("another one receives afterwards")?;
    ensure(received == Some(message(7)), || format!("afterwards came {received:?}"))?;
    drop((tx, rx));
    domain.check_empty()
}

fn open(queue: &Queue<Message>) -> Check<(Sender<Message>, Receiver<Message>)> {
    Ok((queue.sender().at("another sender attaches")?, queue.receiver().at("another receiver attaches")?))
}

/// The part of the process whose calls are refused.
pub(crate) fn child(name: &str, error: i32, scenario: &str, domain: &str) -> Check {
    child::settle_in()?;
    let call = CALLS.iter().find(|call| call.name == name).ok_or("no such call")?;
    let queue = channel(domain);
    if scenario != "work" {
        refuse(call, error)?;
        if let (Some(tx), Some(rx)) = (told(queue.sender())?, told(queue.receiver())?) {
            work(tx, rx)?;
        }
    } else {
        let (tx, rx) = open(&queue)?;
        refuse(call, error)?;
        work(tx, rx)?;
    }
    child::say("end")
}

/// Sends and receives, waits in vain, and leaves.
fn work(mut tx: Sender<Message>, mut rx: Receiver<Message>) -> Check {
    told(tx.send_timeout(message(1), Duration::from_millis(50)))?;
    told(rx.recv_timeout(Duration::from_millis(50)))?;
    told(rx.recv_timeout(Duration::from_millis(50)))?;
    drop((tx, rx));
    Ok(())
}

/// What came of something. An error is one that says something.
fn told<T, E: Display>(result: Result<T, E>) -> Check<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => ensure(error.to_string().len() > 5, || "an error that says nothing".to_string()).map(|()| None),
    }
}

/// Has `call` fail from now on in this process.
fn refuse(call: &Call, error: i32) -> Check {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |k| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, k);
    let equal = |k, jt, jf| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, k);
    let mut filter = vec![load(0)];
    match call.argument {
        None => filter.push(equal(call.number as u32, 0, 1)),
        Some((argument, value, is_meant)) => {
            filter.push(equal(call.number as u32, 0, 3));
            // The lower half of the argument.
            filter.push(load(16 + 8 * argument));
            filter.push(if is_meant { equal(value, 0, 1) } else { equal(value, 1, 0) });
        }
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32));
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes integers.
    let is_bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the program and its steps outlive the call, which copies them.
    let is_set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } == 0;
    ensure(is_bound && is_set, || format!("no filter can be set here: {}", io::Error::last_os_error()))
}
