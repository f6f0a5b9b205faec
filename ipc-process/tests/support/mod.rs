//! What the tests of processes share.
//!
//! A test that needs a program with properties of its own starts this test executable again, running the ignored test
//! `child_main`, which plays the part that the environment names. Tests hear of others' progress by lines of output
//! and by descriptors of processes; whoever waits longer than [`PATIENCE`] fails.

#![allow(dead_code, reason = "every test executable uses its own part of this")]

use ipc_core::IpcMessage;
use ipc_process::{Pool, PoolBuilder, Worker};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what has to come. It never passes unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Says a process what to do.
const PART_VARIABLE: &str = "SLIPRING_TEST_PART";

/// Tells the lines that a part says from those that the test harness prints.
const MARK: &str = "@ ";

/// After so long a part is stuck, and ends itself so that the test fails instead of hanging.
const PART_LIMIT_S: u32 = 120;

/// What a process of its own does.
pub(crate) type Part = fn();

/// The body of `child_main`: does the part that this process was started for, if it was.
pub(crate) fn play(parts: &[(&str, Part)]) {
    let Ok(wanted) = std::env::var(PART_VARIABLE) else { return };
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::alarm(PART_LIMIT_S) };
    let (_, part) = parts.iter().find(|(name, _)| *name == wanted).expect("a part that this executable has");
    part();
}

/// The command that plays a part.
pub(crate) fn part(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the executable has a path"));
    command.args(["--exact", "child_main", "--ignored", "--nocapture"]).env(PART_VARIABLE, name);
    command
}

/// Says a line to the test.
pub(crate) fn say(line: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    // The harness may have left a line unfinished.
    write!(out, "\n{MARK}{}\n", line.as_ref()).and_then(|()| out.flush()).expect("the test listens");
}

/// A process with what it says.
pub(crate) struct Talker {
    pub(crate) worker: Worker,
    says: Lines<BufReader<ChildStdout>>,
}

impl Talker {
    pub(crate) fn start(mut command: Command) -> Talker {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let worker = Worker::spawn(command).expect("it can be started");
        let says = BufReader::new(worker.take_stdout().expect("it is piped")).lines();
        Talker { worker, says }
    }

    /// The next line that it says by [`say`], or that begins with the mark.
    pub(crate) fn hear(&mut self) -> String {
        for line in &mut self.says {
            if let Some(said) = line.expect("its output can be read").strip_prefix(MARK) {
                return said.to_owned();
            }
        }
        panic!("it ended without a word: {}", self.worker.join());
    }

    /// The next line that it says, as a number.
    pub(crate) fn hear_number(&mut self) -> u32 {
        self.hear().parse().expect("a number")
    }
}

/// Plays a part to its end, and returns what it says at last.
pub(crate) fn verdict(name: &str) -> String {
    let mut talker = Talker::start(part(name));
    let verdict = talker.hear();
    assert!(talker.worker.join().is_success());
    verdict
}

/// The command `sh -c script`.
pub(crate) fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A command that does not end by itself.
pub(crate) fn endless() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// Any process of this machine, seen from outside. It is killed if it has not gone when this is dropped.
pub(crate) struct Onlooker(OwnedFd);

impl Onlooker {
    pub(crate) fn of(pid: u32) -> Onlooker {
        let pid = Pid::from_raw(pid.try_into().expect("a process id")).expect("a process id");
        Onlooker(pidfd_open(pid, PidfdFlags::empty()).expect("the process is there"))
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Stops it, until it gets SIGCONT or SIGKILL.
    pub(crate) fn stop(&self) {
        pidfd_send_signal(&self.0, Signal::STOP).expect("it can be signalled");
    }

    /// Waits for its end.
    pub(crate) fn ends_within(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).expect("a short time");
        let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&timeout)).expect("it can be waited for") > 0
    }

    /// Waits until its exit status has been collected.
    pub(crate) fn wait_collected(&self) {
        // A zombie can still be signalled.
        wait_until(|| pidfd_send_signal(&self.0, Signal::CONT).is_err());
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

/// Looks again and again.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come about");
        thread::yield_now();
    }
}

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("it can be listed").count()
}

/// The children of this process that have ended and whose status nobody has collected.
pub(crate) fn zombies() -> usize {
    let own = std::process::id();
    let stats = fs::read_dir("/proc").expect("it can be listed").filter_map(|entry| {
        // Processes come and go.
        fs::read_to_string(entry.ok()?.path().join("stat")).ok()
    });
    let is_own_zombie = |stat: &String| {
        let mut fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
        fields.next() == Some("Z") && fields.next() == Some(own.to_string().as_str())
    };
    stats.filter(is_own_zombie).count()
}

/// Says that a test cannot run here. Past the harness, which swallows what passing tests print.
pub(crate) fn skip(what: &str, why: &str) {
    writeln!(io::stderr(), "SKIPPED: {what}: {why}").expect("standard error can be written");
}

/// A pool whose workers play a part of this executable, in a domain of this test's own.
pub(crate) fn pool<T: IpcMessage + ?Sized, O: IpcMessage + ?Sized>(name: &str, workers: usize) -> PoolBuilder<T, O> {
    static POOLS: AtomicU32 = AtomicU32::new(0);
    // Relaxed: a number that nobody else has, and no more.
    let number = POOLS.fetch_add(1, Ordering::Relaxed);
    let domain = format!("pool-{}-{number}", std::process::id());
    Pool::builder(name).workers(workers).program(part(name)).domain(domain)
}

/// The segments of a domain.
pub(crate) fn segments_of(domain: &str) -> Vec<String> {
    let prefix = format!("slipring.{domain}.");
    let names = fs::read_dir("/dev/shm").expect("it can be listed").map(|entry| entry.expect("and read").file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with(&prefix)).collect()
}
