//! The situations, and what Slipring does in each. The other side of each is the Python program of the same name.

use crate::Result;
use slipring::process::{Exit, Pool, SubmitError, TaskError, Worker};
use slipring::sync::{self, Condvar, LockError, Semaphore};
use slipring::{Latest, Lifetime, Queue, RecvError};
use std::fmt::Display;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// How long to wait for what has to come, which is longer than any deadline.
const PATIENCE: Duration = Duration::from_secs(100);

/// A situation, on both sides.
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    /// What happens.
    pub(crate) what: &'static str,
    pub(crate) python: &'static str,
    pub(crate) slipring: fn() -> Result<Verdict>,
}

/// What came of a situation that came to an end.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// Nothing was lost.
    Ok,
    /// What could not be done was told, and everything else was done.
    Reported,
}

/// A situation whose Python program has its name.
macro_rules! situation {
    ($name:ident, $what:literal) => {
        Situation {
            name: stringify!($name),
            what: $what,
            python: include_str!(concat!(stringify!($name), ".py")),
            slipring: $name,
        }
    };
}

/// All situations.
pub(crate) static ALL: [Situation; 14] = [
    situation!(worker_killed, "a worker of a pool is killed in the middle of `map`"),
    situation!(executor_crash, "1 of 100 tasks that were submitted kills its worker"),
    situation!(strange_exception, "a task fails with an exception that cannot be unpickled"),
    situation!(failing_initializer, "the initializer of a pool's workers fails"),
    situation!(endless_input, "10 outputs of an endless iterator of tasks are wanted"),
    situation!(orphans, "the process that has the pool is killed"),
    situation!(lock_at_fork, "a thread holds a lock when the workers are started"),
    situation!(join_before_drain, "a process that has put 1 MB into a queue is joined before that is read"),
    situation!(reader_killed, "a process is killed while it waits for a queue"),
    situation!(writer_killed, "a process is killed in the middle of sending 4 MB"),
    situation!(attacher_exits, "a process that has attached to shared memory exits"),
    situation!(lock_owner_killed, "a process is killed while it has a lock"),
    situation!(permit_holder_killed, "a process is killed while it has the only permit of a semaphore"),
    situation!(waiter_killed, "one of two processes that wait for a condition is killed, and all are notified"),
];

/// Does what a process of its own does in a situation: the parts of [`part`].
pub(crate) fn play(part: &str) -> Result<()> {
    match part {
        "send" => Queue::<[u8]>::new("gauntlet.queue").sender()?.send_copy(&vec![b'x'; 1_000_000])?,
        "send in two parts" => {
            let mut sender = Queue::<[u8]>::new("gauntlet.queue").capacity(1 << 25).sender()?;
            let _loan = sender.loan_len(4_000_000)?;
            println!("in the middle");
            thread::sleep(PATIENCE);
        }
        "receive" => {
            let mut receiver = Queue::<u64>::new("gauntlet.queue").receiver()?;
            println!("waits");
            receiver.recv()?;
        }
        "attach" => drop(Latest::<u64>::new("gauntlet.latest").reader()?.read()?),
        "have a pool" => {
            let pool = pool(2)?;
            pool.wait_for_workers(2, PATIENCE);
            let pids: Vec<_> = pool.workers().iter().map(|worker| worker.pid.to_string()).collect();
            println!("{}", pids.join(" "));
            thread::sleep(PATIENCE);
        }
        "lock" => {
            let lock = lock()?;
            let _guard = lock.lock().map_err(text)?;
            println!("has it");
            thread::sleep(PATIENCE);
        }
        "take a permit" => {
            let permits = permits()?;
            let _permit = permits.acquire()?;
            println!("has it");
            thread::sleep(PATIENCE);
        }
        "wait for a condition" => {
            let (lock, condition) = (lock()?, condition()?);
            let is_over = lock.lock().map_err(text)?;
            // Whoever locks the mutex after this finds that the wait has begun.
            println!("waits");
            drop(condition.wait_while(is_over, |is_over| !*is_over).map_err(text)?);
        }
        other => return Err(format!("there is no part {other:?}").into()),
    }
    Ok(())
}

/// A task that kills its worker.
const KILL: u64 = u64::MAX;

/// A task that panics with something that is no text.
const PANIC: u64 = u64::MAX - 1;

/// What the workers do.
pub(crate) fn work(&task: &u64) -> u64 {
    // In the parent it may be held; this process has one of its own.
    let _guard = HELD.lock();
    match task {
        KILL => {
            // SAFETY: has no preconditions.
            unsafe { libc::raise(libc::SIGKILL) };
        }
        PANIC => std::panic::panic_any(vec![1, 2, 3]),
        _ => {}
    }
    task
}

/// A worker that cannot make what it needs.
pub(crate) fn serve_without_beginning() {
    Pool::<u64, u64>::serve_with("gauntlet-unable", || panic!("no"), |(), &task, _| task);
}

static HELD: Mutex<()> = Mutex::new(());

fn pool(workers: usize) -> Result<Pool<u64, u64>> {
    Ok(Pool::builder("gauntlet").workers(workers).start()?)
}

fn lock() -> Result<sync::Mutex<bool>> {
    Ok(sync::Mutex::open("gauntlet.lock", || false)?)
}

fn permits() -> Result<Semaphore> {
    Ok(Semaphore::bounded("gauntlet.permits", 1)?)
}

fn condition() -> Result<Condvar> {
    Ok(Condvar::open("gauntlet.condition")?)
}

/// A process that plays a part, in the domain of this one.
fn part(name: &str) -> Result<Worker> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["part", name]).stdout(std::process::Stdio::piped());
    Ok(Worker::spawn(command)?)
}

/// The next line that a process writes.
fn line_of(worker: &Worker) -> Result<String> {
    let mut line = String::new();
    let stdout = worker.take_stdout().ok_or("its output is not piped")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    Ok(line)
}

fn expect(is_so: bool) -> Result<()> {
    if is_so { Ok(()) } else { Err("not what was expected".into()) }
}

/// What an error says, without the guard that may be in it.
fn text(error: impl Display) -> String {
    error.to_string()
}

fn worker_killed() -> Result<Verdict> {
    let outcomes: Vec<_> = pool(2)?.map((0..10).map(|number| if number == 3 { KILL } else { number })).collect();
    let is_right = |(number, outcome): (usize, &std::result::Result<u64, TaskError>)| match outcome {
        Ok(output) => *output == number as u64,
        Err(error) => number == 3 && matches!(error, TaskError::WorkerDied { signal: Some(libc::SIGKILL), .. }),
    };
    expect(outcomes.len() == 10 && outcomes.iter().enumerate().all(is_right))?;
    Ok(Verdict::Reported)
}

fn executor_crash() -> Result<Verdict> {
    let pool = pool(2)?;
    let submit = |number| pool.submit(if number == 50 { KILL } else { number });
    let jobs = (0..100).map(submit).collect::<std::result::Result<Vec<_>, _>>()?;
    let failed = jobs.into_iter().map(|job| job.wait()).filter(|outcome| outcome.is_err()).count();
    expect(failed == 1)?;
    Ok(Verdict::Reported)
}

fn strange_exception() -> Result<Verdict> {
    let pool = pool(1)?;
    let outcome = pool.submit(PANIC)?.wait();
    expect(matches!(outcome, Err(TaskError::Panicked { .. })) && pool.submit(1)?.wait() == Ok(1))?;
    Ok(Verdict::Reported)
}

fn failing_initializer() -> Result<Verdict> {
    let pool = Pool::<u64, u64>::builder("gauntlet-unable").workers(2).start()?;
    expect(matches!(pool.submit(1)?.wait(), Err(TaskError::NotTaken(SubmitError::NoWorkers(_)))))?;
    Ok(Verdict::Reported)
}

fn endless_input() -> Result<Verdict> {
    let (pool, mut read) = (pool(2)?, 0);
    let outputs = pool.imap((0..).inspect(|_| read += 1), 10).take(10).collect::<std::result::Result<Vec<u64>, _>>()?;
    expect(outputs == (0..10).collect::<Vec<_>>() && read <= 20)?;
    Ok(Verdict::Ok)
}

fn orphans() -> Result<Verdict> {
    let parent = part("have a pool")?;
    let line = line_of(&parent)?;
    let pids: Vec<i32> = line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
    expect(pids.len() == 2)?;
    parent.kill()?;
    parent.join();
    // SAFETY: has no preconditions, and a signal 0 does nothing.
    while pids.iter().any(|&pid| unsafe { libc::kill(pid, 0) } == 0) {
        thread::sleep(Duration::from_millis(1));
    }
    // What it has left behind is taken over, seat by seat, and removed.
    let heir = pool(2)?;
    let is_whole = heir.wait_for_workers(2, PATIENCE);
    heir.join();
    expect(is_whole)?;
    Ok(Verdict::Ok)
}

fn lock_at_fork() -> Result<Verdict> {
    let guard = HELD.lock();
    let output = pool(1)?.submit(1)?.wait()?;
    drop(guard);
    expect(output == 1)?;
    Ok(Verdict::Ok)
}

fn join_before_drain() -> Result<Verdict> {
    // The default capacity: what is longer than that is refused or waits for a receiver, of which the documentation warns.
    let mut receiver = Queue::<[u8]>::new("gauntlet.queue").receiver()?;
    expect(part("send")?.join() == Exit::Code(0))?;
    expect(receiver.recv_boxed()?.is_some_and(|bytes| bytes.len() == 1_000_000))?;
    Ok(Verdict::Ok)
}

fn reader_killed() -> Result<Verdict> {
    let queue = Queue::<u64>::new("gauntlet.queue").lifetime(Lifetime::Attached);
    let (mut sender, mut receiver) = (queue.sender()?, queue.receiver()?);
    let reader = part("receive")?;
    line_of(&reader)?;
    reader.kill()?;
    reader.join();
    sender.send(7)?;
    expect(receiver.recv()? == Some(7))?;
    Ok(Verdict::Ok)
}

fn writer_killed() -> Result<Verdict> {
    let mut receiver =
        Queue::<[u8]>::new("gauntlet.queue").capacity(1 << 25).lifetime(Lifetime::Attached).receiver()?;
    let writer = part("send in two parts")?;
    line_of(&writer)?;
    writer.kill()?;
    writer.join();
    expect(matches!(receiver.recv_boxed(), Err(RecvError::SenderDied(_))))?;
    Ok(Verdict::Reported)
}

fn attacher_exits() -> Result<Verdict> {
    let latest = Latest::<u64>::new("gauntlet.latest").lifetime(Lifetime::Attached);
    let mut writer = latest.writer()?;
    writer.write(7)?;
    expect(part("attach")?.join() == Exit::Code(0))?;
    expect(latest.reader()?.read()? == Some(7))?;
    Ok(Verdict::Ok)
}

fn lock_owner_killed() -> Result<Verdict> {
    let lock = lock()?;
    let owner = part("lock")?;
    line_of(&owner)?;
    owner.kill()?;
    owner.join();
    match lock.lock() {
        Err(LockError::OwnerDied(mut guard)) => guard.make_consistent(),
        _ => return Err("the death is not reported".into()),
    }
    drop(lock.lock().map_err(text)?);
    Ok(Verdict::Reported)
}

fn permit_holder_killed() -> Result<Verdict> {
    let permits = permits()?;
    let holder = part("take a permit")?;
    line_of(&holder)?;
    expect(permits.try_acquire().is_err())?;
    holder.kill()?;
    holder.join();
    drop(permits.acquire()?);
    Ok(Verdict::Ok)
}

fn waiter_killed() -> Result<Verdict> {
    let (lock, condition) = (lock()?, condition()?);
    let waiters = [part("wait for a condition")?, part("wait for a condition")?];
    for waiter in &waiters {
        line_of(waiter)?;
    }
    waiters[0].kill()?;
    waiters[0].join();
    *lock.lock().map_err(text)? = true;
    condition.notify_all()?;
    expect(waiters[1].join() == Exit::Code(0))?;
    Ok(Verdict::Ok)
}
