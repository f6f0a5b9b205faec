//! A process that dies with the one that started it.

use crate::child::Child;
use crate::error::SpawnError;
use crate::exit::Exit;
use crate::keeper::{Launched, Launcher, look_after};
use rustix::process::Signal;
use std::borrow::BorrowMut;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a worker whose handle is dropped has to end by itself.
const GRACE_AFTER_DROP: Duration = Duration::from_secs(5);

/// A process that dies with the one that started it.
///
/// ```
/// use ipc_process::{Exit, Worker};
/// use std::process::Command;
///
/// let worker = Worker::spawn(Command::new("sh").args(["-c", "exit 3"]))?;
/// assert_eq!(worker.join(), Exit::Code(3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// All methods may be called by several threads at once.
///
/// # When the parent dies
///
/// The kernel kills the worker (SIGKILL) as soon as the process that spawned it has come to an end: returned from
/// `main`, crashed, or been killed. There is no moment in which it would not. Exceptions are what the kernel excepts:
/// a program that runs with other rights than its user (set-user-ID, file capabilities), and one that takes its wish
/// back (`PR_SET_PDEATHSIG`). What the worker starts itself is not covered, unless it uses `Worker`, too. A process
/// that `exec`s another program has ended in this respect.
///
/// Which *thread* spawned it does not matter: it may end.
///
/// # When the handle is dropped
///
/// The worker is asked to end (SIGTERM), and killed if it has not 5 seconds later; its exit status is collected, so
/// that no zombie stays. Dropping does not wait for any of this. [`Worker::terminate`] does, and [`Worker::detach`]
/// lets it run on.
///
/// # What it inherits
///
/// What the command says. Where it leaves it to the parent, note that a thread of its own forks for all: the thread
/// that calls `spawn` gives the worker neither its CPU affinity nor its niceness. Set such things by
/// [`CommandExt::pre_exec`](std::os::unix::process::CommandExt::pre_exec).
///
/// # With an event loop
///
/// A worker is a descriptor ([`AsFd`], [`AsRawFd`]) that becomes readable when the process ends: watch it with
/// `poll`, or with `AsyncFd` of tokio.
#[derive(Debug)]
pub struct Worker {
    child: Arc<Child>,
    pipes: Mutex<Pipes>,
    /// Dropping the handle is not to end the worker.
    is_detached: bool,
}

/// This end of the pipes that a command asked for, as long as nobody has taken them.
#[derive(Debug)]
struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Worker {
    /// Starts a process. When this returns, it runs the program; whether it gets far is another question, which
    /// [`join`](Self::join) answers.
    ///
    /// The command is given by value or by `&mut`, as the functions of [`Command`] return it. One that was only borrowed
    /// can be started again, by this function or by its own [`spawn`](Command::spawn), which makes no worker.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] says whether the program is not there, cannot be executed, or the system has refused.
    pub fn spawn(command: impl BorrowMut<Command>) -> Result<Worker, SpawnError> {
        Launcher::new(command)?.launch().map(Worker::from)
    }

    /// The process id, for people. Signals are better sent by [`signal`](Self::signal): after the end, the id may be
    /// that of a stranger.
    pub fn id(&self) -> u32 {
        self.child.pid()
    }

    /// Whether the process has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.exit().is_none()
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.child.exit()
    }

    /// Waits until it ends, and says how. May be called again.
    ///
    /// A pipe to its standard input is closed first, unless it was taken: otherwise a worker that reads until the end
    /// would never come to it. A pipe from its output has to be taken and read, or it will stop when that is full.
    pub fn join(&self) -> Exit {
        self.close_stdin();
        loop {
            if let Some(exit) = self.child.wait(None) {
                return exit;
            }
        }
    }

    /// Waits as [`join`](Self::join) does, but only for so long. `None` says that it runs on.
    pub fn join_timeout(&self, timeout: Duration) -> Option<Exit> {
        self.close_stdin();
        self.child.wait(Some(timeout))
    }

    /// Asks it to end (SIGTERM), kills it (SIGKILL) if it has not after `grace`, and waits. A stopped process is
    /// continued, so that it hears of it.
    ///
    /// ```
    /// use ipc_process::Worker;
    /// use std::process::Command;
    /// use std::time::Duration;
    ///
    /// let worker = Worker::spawn(Command::new("sleep").arg("1000"))?;
    /// let exit = worker.terminate(Duration::from_secs(5))?;
    /// assert_eq!(exit.to_string(), "killed by SIGTERM");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The kernel refuses signals to a process of another user, such as the worker may have become.
    pub fn terminate(&self, grace: Duration) -> io::Result<Exit> {
        self.child.ask_to_end()?;
        match self.child.wait(Some(grace)) {
            Some(exit) => Ok(exit),
            None => {
                self.kill()?;
                Ok(self.join())
            }
        }
    }

    /// Kills it (SIGKILL), and does not wait. That it has ended already is no error.
    ///
    /// # Errors
    ///
    /// As of [`terminate`](Self::terminate).
    pub fn kill(&self) -> io::Result<()> {
        self.child.signal(Signal::KILL)
    }

    /// Sends it a signal by its number. That it has ended already is no error.
    ///
    /// # Errors
    ///
    /// As of [`terminate`](Self::terminate), and `InvalidInput` for what is not the number of a signal that has a name.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        let named = Signal::from_named_raw(signal);
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("{signal} is not the number of a signal"));
        self.child.signal(named.ok_or_else(invalid)?)
    }

    /// Gives the handle up and lets the worker run until it ends, or this process does. No zombie stays. Pipes that
    /// were not taken are closed.
    pub fn detach(mut self) {
        self.is_detached = true;
    }

    /// The pipe to its standard input, if the command asked for one and nobody has taken it.
    pub fn take_stdin(&self) -> Option<ChildStdin> {
        self.pipes().stdin.take()
    }

    /// The pipe from its standard output, if the command asked for one and nobody has taken it.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        self.pipes().stdout.take()
    }

    /// The pipe from its standard error, if the command asked for one and nobody has taken it.
    pub fn take_stderr(&self) -> Option<ChildStderr> {
        self.pipes().stderr.take()
    }

    /// Stops it, and waits until it stands still, or for `limit`.
    pub(crate) fn stop(&self, limit: Duration) {
        self.child.stop(limit);
    }

    /// Lets a stopped one go on.
    pub(crate) fn resume(&self) -> io::Result<()> {
        self.child.signal(Signal::CONT)
    }

    /// Asks it to end, and does not wait.
    pub(crate) fn ask_to_end(&self) -> io::Result<()> {
        self.child.ask_to_end()
    }

    fn close_stdin(&self) {
        drop(self.take_stdin());
    }

    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Launched> for Worker {
    fn from(Launched { child, stdin, stdout, stderr }: Launched) -> Self {
        Worker { child, pipes: Mutex::new(Pipes { stdin, stdout, stderr }), is_detached: false }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A copy of the handle in a forked child says nothing about what this process wants.
        if !self.child.is_ours() || self.child.exit().is_some() {
            return;
        }
        let kill_at = if self.is_detached {
            None
        } else {
            // Where it is not permitted, it is only left to wait for its end.
            let _ = self.child.ask_to_end();
            Instant::now().checked_add(GRACE_AFTER_DROP)
        };
        look_after(Arc::clone(&self.child), kill_at);
    }
}

impl AsFd for Worker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.child.as_fd()
    }
}

impl AsRawFd for Worker {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
