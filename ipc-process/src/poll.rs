//! Waiting for descriptors, and a descriptor to end that wait with.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

/// How long to hold still where the kernel gives no way to wait. It keeps the loops around it from taking a processor.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Waits until one of `fds` is ready or `timeout` is over, or for a shorter time.
pub(crate) fn poll(fds: &mut [PollFd<'_>], timeout: Option<Duration>) {
    // A time that the kernel cannot count is as good as for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match rustix::event::poll(fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        // The kernel has no memory just now.
        Err(_) => thread::sleep(PAUSE),
    }
}

/// Asks for `fd` to be waited for until it can be read, or has come to an end.
pub(crate) fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// Whether `fd` can be read now, or has come to an end.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [readable(fd)];
    poll(&mut fds, Some(Duration::ZERO));
    !fds[0].revents().is_empty()
}

/// Ends another thread's [`poll`].
#[derive(Debug)]
pub(crate) struct Wake(OwnedFd);

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Wake(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Makes the descriptor readable. What the other thread is to find must be there before.
    pub(crate) fn ring(&self) {
        // It fails only when the counter is full, and then the descriptor is readable.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable. What it was rung for is to be looked at afterwards.
    pub(crate) fn clear(&self) {
        // It fails only when the counter is zero, and then there is nothing to clear.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
