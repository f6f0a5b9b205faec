//! What the tests of segments share: a domain for each test, child processes, and the messages that they send.
//!
//! A child process is this test executable again, running the ignored test `child_main`, which calls the [`Part`] that
//! its environment names. Parent and child talk in lines over the child's standard input and output, so nobody has to
//! sleep to find out how far the other has come.

#![allow(dead_code, reason = "every test executable uses its own part of this")]

pub(crate) mod desk;
pub(crate) mod news;
pub(crate) mod packet;
pub(crate) mod runtimes;
pub(crate) mod sums;

use ipc_core::{IpcMessage, OpenError, Queue, Receiver, RecvTimeoutError};
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Where segments live.
pub(crate) const SHM: &str = "/dev/shm";

/// Whether segments are those of the portable backend: an entry in [`SHM`] that leads to the memory.
pub(crate) const IS_PORTABLE: bool = cfg!(feature = "portable");

/// Says a child what to do: the name of its part, and its domain.
const PART_VARIABLE: &str = "SLIPRING_TEST_PART";

/// Tells the lines that a child says from those that the test harness prints.
const MARK: &str = "@ ";

/// After so long a child is stuck, and ends itself so that the test fails instead of hanging.
const CHILD_LIMIT_S: u32 = 120;

/// How long to wait for a message that has to come. It never passes unless something is broken, and then the test fails
/// instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The domain of one test. When it is dropped, everything in it has to be gone from /dev/shm.
pub(crate) struct Domain {
    name: String,
}

impl Domain {
    /// The domain of the test that is called `test`.
    pub(crate) fn new(test: &str) -> Self {
        Domain { name: format!("test-{}-{test}", process::id()) }
    }

    /// As it is given to [`Queue::domain`].
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// An exclusive queue in this domain.
    pub(crate) fn queue<T: IpcMessage>(&self, channel: &str) -> Queue<T> {
        queue(&self.name, channel)
    }

    /// The file of a channel's segment.
    pub(crate) fn path(&self, channel: &str) -> PathBuf {
        path(&self.name, channel)
    }

    /// The file that has the bytes of a channel's segment.
    pub(crate) fn memory(&self, channel: &str) -> PathBuf {
        memory(&self.path(channel))
    }

    /// Whatever lies in /dev/shm under this domain.
    fn leftovers(&self) -> Vec<PathBuf> {
        let prefix = format!("slipring.{}.", self.name);
        let files = fs::read_dir(SHM).expect("/dev/shm can be listed").map(|entry| entry.expect("it goes on").path());
        files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))).collect()
    }
}

impl Domain {
    /// Removes what segments of the portable backend have left whose entries have gone otherwise than by themselves, as
    /// the next process would.
    pub(crate) fn sweep(&self) {
        for id in self.remains() {
            let files = fs::read_dir(SHM).expect("/dev/shm can be listed").flatten().map(|entry| entry.path());
            // The first lock, which says whose they are, goes last.
            let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().contains(&id)).collect();
            files.sort_by_key(|path| path.extension().is_some_and(|extension| extension == "0"));
            files.iter().for_each(|path| drop(fs::remove_file(path)));
        }
    }

    /// The segments of the portable backend that have locks under this domain, as the names of their memory.
    pub(crate) fn remains(&self) -> Vec<String> {
        let prefix = format!("slipring.{}.", self.name);
        let files = fs::read_dir(SHM).expect("/dev/shm can be listed").flatten().map(|entry| entry.path());
        let id = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".0")?.to_owned();
            let is_ours = name.starts_with("sr-") && fs::read_to_string(&path).ok()?.starts_with(&prefix);
            is_ours.then_some(name)
        };
        files.filter_map(id).collect()
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        let leftovers = self.leftovers();
        for path in &leftovers {
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
        self.sweep();
        // A test that has failed already leaves things behind for that reason.
        if !std::thread::panicking() {
            assert!(leftovers.is_empty(), "left behind: {leftovers:?}");
        }
    }
}

/// An exclusive queue in `domain`.
pub(crate) fn queue<T: IpcMessage>(domain: &str, channel: &str) -> Queue<T> {
    Queue::new(channel).domain(domain).spsc()
}

/// Receives the next message, or learns why there is none.
pub(crate) fn recv<T: IpcMessage>(rx: &mut Receiver<T>) -> Result<Option<T>, RecvTimeoutError> {
    rx.recv_timeout(PATIENCE)
}

/// Receives everything until the sender's end.
pub(crate) fn recv_all<T: IpcMessage>(rx: &mut Receiver<T>) -> Vec<T> {
    std::iter::from_fn(|| recv(rx).expect("the sender closes")).collect()
}

/// The file of a channel's segment.
pub(crate) fn path(domain: &str, channel: &str) -> PathBuf {
    Path::new(SHM).join(format!("slipring.{domain}.{channel}"))
}

/// The error of a queue neither of whose ends can be opened.
#[track_caller]
pub(crate) fn refusal<T: IpcMessage>(queue: &Queue<T>) -> OpenError {
    let error = queue.sender().map(drop).expect_err("the sender is refused");
    let again = queue.receiver().map(drop).expect_err("the receiver is refused");
    assert_eq!(error.to_string(), again.to_string());
    error
}

/// Asserts that the error's text has all of these words in it.
#[track_caller]
pub(crate) fn assert_says(error: &dyn Display, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// The file that has the bytes of the segment that has the name `path`.
pub(crate) fn memory(path: &Path) -> PathBuf {
    if !IS_PORTABLE {
        return path.to_owned();
    }
    // The instance number, five bits to a digit.
    let entry = fs::read(path).expect("the segment has an entry");
    let instance = u128::from_le_bytes(entry[24..40].try_into().expect("it has 16 bytes"));
    let digit = |at| char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[(instance >> (5 * at)) as usize & 31]);
    Path::new(SHM).join("sr-".chars().chain((0..26).rev().map(digit)).collect::<String>())
}

/// The file whose lock is the lifecycle lock of the segment that has the name `path`: of its first byte, or of all of it.
pub(crate) fn lifecycle_file(path: &Path) -> PathBuf {
    let memory = memory(path);
    if !IS_PORTABLE {
        return memory;
    }
    let name = memory.file_name().expect("it has a name").to_string_lossy().into_owned();
    memory.with_file_name(format!(".{name}.0"))
}

/// Takes the lock under which processes join and leave a channel. It is held for as long as the file is open.
pub(crate) fn lock_lifecycle(path: &Path) -> File {
    let file = OpenOptions::new().read(true).write(true).open(lifecycle_file(path)).expect("the file can be opened");
    // SAFETY: `flock` is a C struct of integers, for which zero is a valid value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_len = 1;
    let locked = if IS_PORTABLE {
        // SAFETY: `file` keeps the descriptor open.
        unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }
    } else {
        // SAFETY: `file` keeps the descriptor open, and F_OFD_SETLK takes a pointer to a `flock`, which `lock` is.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }
    };
    assert_eq!(locked, 0, "nobody joins or leaves just now");
    file
}

/// The program name under which the processes of this test appear in errors.
pub(crate) fn program() -> String {
    let executable = std::env::current_exe().expect("the executable has a path");
    let name = executable.file_name().expect("and a name").to_string_lossy().into_owned();
    assert!(name.len() <= 40, "segments keep 40 bytes of a program's name");
    name
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Says that a test, or a part of one, cannot run here. Past the harness, which swallows what passing tests print.
pub(crate) fn skip(what: &str, why: &str) {
    writeln!(io::stderr(), "SKIPPED: {what}: {why}").expect("standard error can be written");
}

/// What a child does; its argument is the domain.
pub(crate) type Part = fn(&str);

/// The body of `child_main`: does the part that this process was started for, if it was.
pub(crate) fn play(parts: &[(&str, Part)]) {
    let Ok(wanted) = std::env::var(PART_VARIABLE) else { return };
    let (wanted, domain) = wanted.split_once(' ').expect("a part and a domain");
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::alarm(CHILD_LIMIT_S) };
    let (_, part) = parts.iter().find(|(name, _)| *name == wanted).expect("a part that this executable has");
    part(domain);
}

/// Says a line to the parent.
pub(crate) fn say(line: impl AsRef<str>) {
    let mut out = io::stdout().lock();
    // The harness may have left a line unfinished.
    write!(out, "\n{MARK}{}\n", line.as_ref()).and_then(|()| out.flush()).expect("the parent listens");
}

/// Waits for a line from the parent. `None` if it says no more.
pub(crate) fn listen() -> Option<String> {
    let mut line = String::new();
    let bytes = io::stdin().lock().read_line(&mut line).expect("standard input can be read");
    (bytes > 0).then(|| line.trim_end().to_owned())
}

/// A child process. If it is dropped early, it is killed.
pub(crate) struct Child {
    process: process::Child,
    says: Lines<BufReader<ChildStdout>>,
    hears: Option<ChildStdin>,
}

impl Child {
    /// Starts a child that plays `part` in `domain`.
    pub(crate) fn start(part: &str, domain: &Domain) -> Child {
        Child::try_start(part, domain, |_| {}).expect("a child can be started")
    }

    /// Starts a child whose command has been changed, which may not be permitted.
    pub(crate) fn try_start(part: &str, domain: &Domain, change: impl FnOnce(&mut Command)) -> io::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", "child_main", "--ignored", "--nocapture"]);
        command.env(PART_VARIABLE, format!("{part} {}", domain.name()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let die_with_parent = || {
            // SAFETY: takes two integers.
            match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure makes one system call, which is allowed between fork and exec.
        unsafe { command.pre_exec(die_with_parent) };
        change(&mut command);
        let mut process = command.spawn()?;
        let says = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let hears = process.stdin.take();
        Ok(Child { process, says, hears })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next line that the child says.
    pub(crate) fn hear(&mut self) -> String {
        for line in &mut self.says {
            if let Some(said) = line.expect("the child's output can be read").strip_prefix(MARK) {
                return said.to_owned();
            }
        }
        panic!("the child ended without a word: {:?}", self.process.wait());
    }

    /// Says a line to the child.
    pub(crate) fn tell(&mut self, line: &str) {
        let hears = self.hears.as_mut().expect("the child is still told things");
        // In one piece: two programs may listen, and half a line would go to each.
        hears.write_all(format!("{line}\n").as_bytes()).expect("the child listens");
    }

    /// Kills the child, and returns when it is dead.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("a child can be killed");
        let status = self.process.wait().expect("a child can be waited for");
        assert_eq!(status.signal(), Some(libc::SIGKILL), "the child was to be alive until now");
    }

    /// As [`kill`](Child::kill); returns what it had said and was not heard yet. A line that it did not finish is none.
    pub(crate) fn kill_and_listen(mut self) -> Vec<String> {
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("a child can be waited for");
        let lines = (&mut self.says).map_while(Result::ok);
        lines.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned)).collect()
    }

    /// Stops the child, and returns when it has stopped.
    pub(crate) fn stop(&mut self) {
        let pid = self.pid() as libc::pid_t;
        let mut status = 0;
        // SAFETY: takes two integers; the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGSTOP) }, 0);
        // SAFETY: `status` is writable.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) }, pid);
        assert!(libc::WIFSTOPPED(status), "the child has stopped");
    }

    /// Lets a stopped child go on.
    pub(crate) fn resume(&mut self) {
        // SAFETY: takes two integers; the child has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(self.pid() as libc::pid_t, libc::SIGCONT) }, 0);
    }

    /// Says no more to the child, and waits for it to end. Everything that it says after the last line that was heard
    /// is returned, so that a child that failed can be asked how far it had come.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        self.hears = None;
        let lines = (&mut self.says).map(|line| line.expect("the child's output can be read"));
        let said = lines.filter_map(|line| line.strip_prefix(MARK).map(str::to_owned)).collect();
        (self.process.wait().expect("a child can be waited for"), said)
    }

    /// As [`end`](Child::end), of a child that has to succeed.
    pub(crate) fn finish(self) {
        let (status, said) = self.end();
        assert!(status.success(), "the child failed: {status}; it said {said:?}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Processor time that this process has used, and how often it has gone to sleep.
#[cfg(unix)]
pub(crate) fn usage() -> (Duration, i64) {
    // SAFETY: `rusage` is a C struct of integers, for which zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is writable.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) }, 0);
    let duration =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    (duration(usage.ru_utime) + duration(usage.ru_stime), usage.ru_nvcsw as i64)
}
