//! Descriptors that become readable when they are told to.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A new descriptor for [`signal`] and [`drain`], which neither blocks nor passes to other programs.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes two integers.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Makes it readable.
pub(crate) fn signal(eventfd: &OwnedFd) {
    let one = 1_u64;
    // SAFETY: the pointer and the length describe `one`. The write fails only if the descriptor has been signalled 2^64
    // times and not been drained, and then it is readable.
    unsafe { libc::write(eventfd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
}

/// Makes it not readable.
pub(crate) fn drain(eventfd: &OwnedFd) {
    let mut count = 0_u64;
    // SAFETY: the pointer and the length describe `count`, which is writable. The read fails if there is nothing to
    // drain.
    unsafe { libc::read(eventfd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
}
