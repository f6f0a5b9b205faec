//! The thread that starts all workers of a process, and looks after those whose handles are gone.
//!
//! # Why one thread
//!
//! A worker dies with its parent because it asks the kernel for a signal then (`PR_SET_PDEATHSIG`). The kernel counts
//! the *thread* that forked as the parent. If whoever calls `spawn` forked, a worker that a thread of a pool has
//! started would be killed when the pool has no more use for that thread. So one thread forks for all, and it runs as
//! long as the process: it returns only when it was not needed (two were started at once).
//!
//! # Why no worker outlives its parent
//!
//! Between fork and exec the child asks for the signal and *then* looks whether its parent is still the process that
//! it was forked from. If the thread has died before the child asked, there are two cases. The process had another
//! thread that was not exiting yet: the child was handed over to that one, and when that exits, it finds the child's
//! wish. Or it had none: the child has another parent process by now, sees it, and ends.
//!
//! # Why the descriptor is the right one
//!
//! The child opens the pidfd, of itself, before exec, and hands it over through a socket. At that time the process id
//! cannot be another's, even where somebody else collects exit statuses or the kernel keeps none.
//!
//! # Forks
//!
//! A child that was forked from this process has no such thread, and starts one when it needs it. No lock is involved,
//! which another thread could have held during the fork.

use crate::child::Child;
use crate::error::SpawnError;
use crate::poll::{Wake, poll, readable};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{PidfdFlags, Signal, getpid, getppid, pidfd_open, set_parent_process_death_signal};
use std::borrow::BorrowMut;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, Command};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread;
use std::time::Instant;

/// The keeper of this process, or of one that it was forked from, or null. What it points to is never freed.
static KEEPER: AtomicPtr<Keeper> = AtomicPtr::new(ptr::null_mut());

/// A command that can be started any number of times. It is owned, or borrowed from somebody who may do something else
/// with it afterwards.
#[derive(Debug)]
pub(crate) struct Launcher<C: BorrowMut<Command> = Command> {
    command: C,
    keeper: &'static Keeper,
    /// Whether the command is being started by this launcher. What was added to a command stays with it, and is to do
    /// nothing in a child that somebody else starts.
    is_launching: Arc<AtomicBool>,
}

impl<C: BorrowMut<Command>> Launcher<C> {
    /// Prepares a command, to which nothing may be added as long as the launcher has it.
    pub(crate) fn new(mut command: C) -> Result<Self, SpawnError> {
        let keeper = keeper()?;
        let parent = process::id();
        let handover = Arc::clone(&keeper.handover);
        let is_launching = Arc::new(AtomicBool::new(false));
        let is_meant = Arc::clone(&is_launching);
        let introduce = move || {
            // Relaxed: a child that is forked for this launcher has the store of `launch` in its copy of the memory,
            // since the request that it was forked for came after it.
            if is_meant.load(Ordering::Relaxed) { introduce(parent, handover.as_fd()) } else { Ok(()) }
        };
        // SAFETY: the closure makes system calls, and neither allocates nor takes a lock, so it may run in the child
        // of a process with other threads.
        unsafe { command.borrow_mut().pre_exec(introduce) };
        Ok(Launcher { command, keeper, is_launching })
    }

    /// Starts the command.
    pub(crate) fn launch(&mut self) -> Result<Launched, SpawnError> {
        let command = mem::replace(self.command.borrow_mut(), Command::new(""));
        let (answer, answered) = sync_channel(1);
        // Relaxed: the request, which is sent after it, publishes it to the thread that forks.
        self.is_launching.store(true, Ordering::Relaxed);
        self.keeper.ask(Request::Launch { command, answer });
        let answer = answered.recv();
        // Relaxed: the fork is over, and whoever forks next has the command from this thread.
        self.is_launching.store(false, Ordering::Relaxed);
        let gone = |_| SpawnError::Keeper(io::Error::other("it has come to an end"));
        let (command, launched) = answer.map_err(gone)?;
        *self.command.borrow_mut() = command;
        launched.map_err(|error| SpawnError::new(self.command.borrow(), error))
    }
}

/// A process that has just been started, and this end of the pipes that its command asked for.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) child: Arc<Child>,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

/// Has a child's exit status collected when it ends, and the child killed at `kill_at` if it has not ended by then.
pub(crate) fn look_after(child: Arc<Child>, kill_at: Option<Instant>) {
    // There is a keeper, since it has started the child.
    if let Ok(keeper) = keeper() {
        keeper.ask(Request::LookAfter(Ward { child, kill_at }));
    }
}

/// How the thread is reached.
#[derive(Debug)]
struct Keeper {
    /// The process that it is a thread of.
    process: u32,
    requests: Sender<Request>,
    wake: Arc<Wake>,
    /// The end of the socket that children send their pidfds into.
    handover: Arc<OwnedFd>,
}

/// What the thread is asked to do.
#[derive(Debug)]
enum Request {
    /// Start a process, and give the command back.
    Launch { command: Command, answer: SyncSender<(Command, io::Result<Launched>)> },
    /// Look after a child whose handle is gone.
    LookAfter(Ward),
    /// Return: another keeper has been started at the same time.
    Leave,
}

/// A child whose handle is gone.
#[derive(Debug)]
struct Ward {
    child: Arc<Child>,
    /// When it is to be killed.
    kill_at: Option<Instant>,
}

/// The keeper of this process, which is started if there is none.
fn keeper() -> Result<&'static Keeper, SpawnError> {
    // Acquire: the keeper's contents; pairs with the Release of the exchange below.
    let found = KEEPER.load(Ordering::Acquire);
    // SAFETY: it is null or points to a keeper that was forgotten below, so it is never freed.
    let known = unsafe { found.as_ref() };
    if let Some(keeper) = known.filter(|keeper| keeper.process == process::id()) {
        return Ok(keeper);
    }
    let made = Arc::new(Keeper::start().map_err(SpawnError::Keeper)?);
    // Release: publishes the keeper's contents; pairs with the Acquire of the load above. On failure the value is not
    // used.
    match KEEPER.compare_exchange(found, Arc::as_ptr(&made).cast_mut(), Ordering::Release, Ordering::Relaxed) {
        Ok(_) => mem::forget(made),
        Err(_) => made.ask(Request::Leave),
    }
    // It is found now: within a process the pointer is exchanged once.
    keeper()
}

impl Keeper {
    fn start() -> io::Result<Self> {
        let (requests, requested) = channel();
        let wake = Arc::new(Wake::new()?);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (handover, received) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let woken = Arc::clone(&wake);
        thread::Builder::new()
            .name("slipring-keeper".to_owned())
            .spawn(move || keep(&requested, &woken, received.as_fd()))?;
        Ok(Keeper { process: process::id(), requests, wake, handover: Arc::new(handover) })
    }

    fn ask(&self, request: Request) {
        // It fails when the thread has come to an end, and then there is nobody to do it; `Launcher::launch` notices.
        let _ = self.requests.send(request);
        self.wake.ring();
    }
}

/// The body of the thread.
fn keep(requests: &Receiver<Request>, wake: &Wake, handover: BorrowedFd<'_>) {
    let mut wards: Vec<Ward> = Vec::new();
    loop {
        let now = Instant::now();
        let next = wards.iter().filter_map(|ward| ward.kill_at).min();
        let mut fds: Vec<_> = wards.iter().map(|ward| readable(ward.child.as_fd())).collect();
        fds.push(readable(wake.as_fd()));
        poll(&mut fds, next.map(|next| next.saturating_duration_since(now)));

        wake.clear();
        loop {
            match requests.try_recv() {
                Ok(Request::Launch { mut command, answer }) => {
                    let launched = launch(&mut command, handover);
                    // Whoever asked waits for the answer.
                    let _ = answer.send((command, launched));
                }
                Ok(Request::LookAfter(ward)) => wards.push(ward),
                Ok(Request::Leave) | Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => break,
            }
        }
        let now = Instant::now();
        wards.retain_mut(|ward| ward.is_alive(now));
    }
}

impl Ward {
    /// Whether it has not ended. Kills it if it is time.
    fn is_alive(&mut self, now: Instant) -> bool {
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            // Where it is not permitted, because the child is another user's by now, waiting is all that is left.
            let _ = self.child.signal(Signal::KILL);
        }
        self.child.exit().is_none()
    }
}

/// Starts a command that a [`Launcher`] has prepared.
fn launch(command: &mut Command, handover: BorrowedFd<'_>) -> io::Result<Launched> {
    let spawned = command.spawn();
    // Looked for in any case: a child that could not become the program has sent it, too.
    let pidfd = receive(handover);
    let mut process = spawned?;
    match pidfd {
        Ok(pidfd) => Ok(Launched {
            child: Arc::new(Child::new(process.id(), pidfd)),
            stdin: process.stdin.take(),
            stdout: process.stdout.take(),
            stderr: process.stderr.take(),
        }),
        Err(error) => {
            // Without the descriptor it could not be looked after.
            let _ = process.kill();
            let _ = process.wait();
            Err(error)
        }
    }
}

/// What the child does between fork and exec: asks to die with its parent, and hands a descriptor of itself over.
fn introduce(parent: u32, handover: BorrowedFd<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let has_parent = getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent);
    if !has_parent {
        return Err(Errno::SRCH.into());
    }
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty())?;
    let fds = [pidfd.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(handover, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The descriptor that a child has handed over.
fn receive(handover: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(handover, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    // The kernel leaves it out if there is no free place for it.
    fds.ok_or_else(|| Errno::MFILE.into())
}
