//! A run of the example `flights` that a test started, and what it prints.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails: much longer than it takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(5);

/// A process, in a process group of its own. It and its group end with the test, whatever happens to that.
pub(crate) struct Program {
    child: Child,
    status: Option<ExitStatus>,
    stdout: Option<JoinHandle<String>>,
    stderr: Receiver<String>,
    /// The lines of standard error that were waited for or passed over.
    seen: Vec<String>,
}

/// What a process that has ended left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: Vec<String>,
}

impl Program {
    /// Starts `flights` with these arguments. `domain` is where roles by hand meet.
    pub(crate) fn start(domain: &str, args: &[&str]) -> Self {
        let mut command = Command::new(example());
        command.args(args).env("SLIPRING_DOMAIN", domain).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the example starts");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let (lines, seen) = channel();
        thread::spawn(move || {
            // The receiver is gone once the test needs no more lines.
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        let stdout = Some(thread::spawn(move || read_to_end(stdout)));
        Program { child, status: None, stdout, stderr: seen, seen: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that contains `text`, and returns it.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        loop {
            match self.stderr.recv_timeout(DEADLINE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with {text:?} ({error}); there were {:#?}", self.seen),
            }
        }
    }

    /// Waits for the line that names the roles, and returns their process ids.
    pub(crate) fn wait_for_roles(&mut self, transport: &str) -> Vec<Role> {
        let line = self.wait_for_line(&format!("flights: over {transport}: "));
        let words: Vec<_> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let pairs = words.windows(2).filter_map(|pair| Some((pair[0].to_owned(), pair[1].parse().ok()?)));
        pairs.map(|(name, pid)| Role { name, pid }).collect()
    }

    /// Sends a signal to the process alone.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        send_signal(self.child.id() as libc::pid_t, signal);
    }

    /// Sends a signal to the process and those it started, as a terminal does for Ctrl-C.
    pub(crate) fn signal_group(&self, signal: libc::c_int) {
        send_signal(-(self.child.id() as libc::pid_t), signal);
    }

    /// Waits for the process to end.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            match self.child.try_wait().expect("the example can be waited for") {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("it still runs; it said {:#?}", self.seen),
                None => thread::sleep(POLL),
            }
        };
        self.status = Some(status);
        loop {
            match self.stderr.recv_timeout(DEADLINE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("a process that it started still runs"),
            }
        }
        let stdout = self.stdout.take().expect("it is taken here only").join().expect("standard output is text");
        Ended { code: status.code(), stdout, stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.status.is_none() {
            // The process has not been waited for, so its number still names its group and no other.
            self.signal_group(libc::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Ended {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "it said {:#?}", self.stderr);
        self
    }

    /// Fails unless a line of standard error contains `text`.
    #[track_caller]
    pub(crate) fn expect_line(self, text: &str) -> Self {
        assert!(self.stderr.iter().any(|line| line.contains(text)), "no {text:?} in {:#?}", self.stderr);
        self
    }

    /// The figures on standard output.
    pub(crate) fn figures(&self) -> Vec<serde_json::Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }

    /// The table of the aggregate on standard output.
    pub(crate) fn groups(&self) -> &str {
        let end = self.stdout.find('└').expect("the table has a lower border");
        &self.stdout[..end]
    }
}

/// A process that a run of `flights` started.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) pid: libc::pid_t,
}

impl Role {
    /// Kills the role, whose parent runs and has not waited for it.
    pub(crate) fn kill(&self) {
        send_signal(self.pid, libc::SIGKILL);
    }

    /// Waits until the role runs no more.
    pub(crate) fn wait_for_end(&self) {
        wait_until(&format!("{} (pid {}) ends", self.name, self.pid), || {
            // The third field is the state; the second is the program's name in parentheses.
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
            !stat.contains("(flights) ") || stat.contains("(flights) Z")
        });
    }
}

/// Polls a condition until it holds.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(POLL);
    }
}

/// The segments that a domain has.
pub(crate) fn segments_of(domain: &str) -> Vec<String> {
    let prefix = format!("slipring.{domain}.");
    let files = fs::read_dir("/dev/shm").expect("there is shared memory");
    let names = files.filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| name.starts_with(&prefix)).collect()
}

/// The example, which cargo builds along with the tests, into a directory beside theirs.
fn example() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own file");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("cargo runs it from target/<profile>/deps");
    let example = profile.join("examples/flights");
    assert!(example.exists(), "{} is not there: run cargo build --example flights", example.display());
    example
}

fn read_to_end(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("the example prints text");
    text
}

fn send_signal(pid: libc::pid_t, signal: libc::c_int) {
    // SAFETY: no memory is involved. Every caller names a process that a test started and nobody has waited for.
    unsafe { libc::kill(pid, signal) };
}
