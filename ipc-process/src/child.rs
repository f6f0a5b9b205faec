//! A child process by its descriptor.
//!
//! A process id may be another process's as soon as the exit status of the one that had it is collected, and anybody in
//! the program may collect it. So the id is for people here, and everything is done by way of the *pidfd*, which stays
//! this process's for ever.
//!
//! - *A stranger is never signalled.* The pidfd is opened by the child itself before it becomes another program (see
//!   `keeper.rs`), so it never was anybody else's; the kernel refuses a signal through it once the process is gone.
//! - *The exit status is collected once.* `waitid` is called under the lock that the result is kept in, without
//!   blocking, so two threads that wait both get it. Waiting is `poll` on the pidfd.

use crate::exit::Exit;
use crate::poll::{PAUSE, is_readable, poll, readable};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait between two looks whether a process stands still, of which nothing tells.
const STOP_PAUSE: Duration = Duration::from_micros(50);

/// A child process that this process has started.
#[derive(Debug)]
pub(crate) struct Child {
    pid: u32,
    pidfd: OwnedFd,
    /// The process that started it; one that was forked from that has a copy of this.
    parent: u32,
    /// How it ended, once somebody has asked.
    exit: Mutex<Option<Exit>>,
}

impl Child {
    /// The child of this process that has this id and this descriptor.
    pub(crate) fn new(pid: u32, pidfd: OwnedFd) -> Self {
        Child { pid, pidfd, parent: process::id(), exit: Mutex::new(None) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether this process has started it, rather than one that this process was forked from.
    pub(crate) fn is_ours(&self) -> bool {
        self.parent == process::id()
    }

    /// How it ended, if it has. Once it has, no zombie is left.
    pub(crate) fn exit(&self) -> Option<Exit> {
        let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        if exit.is_none() {
            *exit = self.collect();
        }
        *exit
    }

    /// Waits until it has ended, or for `timeout`.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Option<Exit> {
        // A time that the clock cannot count is as good as for ever.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(exit) = self.exit() {
                return Some(exit);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            poll(&mut [readable(self.pidfd.as_fd())], left);
        }
    }

    /// Sends it a signal. That it has ended already is no error.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks it to end. A stopped process is continued, so that it hears of it.
    pub(crate) fn ask_to_end(&self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)
    }

    /// Stops it, and waits until it stands still or has ended, or for `limit`.
    pub(crate) fn stop(&self, limit: Duration) {
        if self.signal(Signal::STOP).is_err() {
            return;
        }
        let deadline = Instant::now() + limit;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while self.exit().is_none() && Instant::now() < deadline {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                Ok(Some(_)) => return,
                Ok(None) | Err(Errno::INTR) => thread::sleep(STOP_PAUSE),
                Err(_) => return,
            }
        }
    }

    /// Asks the kernel how it ended.
    fn collect(&self) -> Option<Exit> {
        if let Some(exit) = self.wait_status() {
            return Some(exit);
        }
        if !is_readable(self.pidfd.as_fd()) {
            return None;
        }
        // It has ended in between; or a debugger has it, and the status is not to be had until that has let go of it.
        let exit = self.wait_status();
        if exit.is_none() {
            thread::sleep(PAUSE);
        }
        exit
    }

    /// The exit status that the kernel has for this process, if any.
    fn wait_status(&self) -> Option<Exit> {
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(status) => return status.map(|status| exit_of(&status)),
                Err(Errno::INTR) => {}
                // It is nobody's whom this process could wait for: collected, or the child of another process, in which
                // case it may well be alive.
                Err(_) => return is_readable(self.pidfd.as_fd()).then_some(Exit::Lost),
            }
        }
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// What the kernel's words mean.
fn exit_of(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal { signal, core_dumped: status.dumped() },
        // Only ends were asked for, and there are no others.
        (None, None) => Exit::Lost,
    }
}
