//! A descriptor that becomes readable when it is told to.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A descriptor that can be made readable, and not readable again. It neither blocks nor passes to other programs.
pub(crate) struct Signal(OwnedFd);

impl Signal {
    /// One that is not readable.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes two integers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        Ok(Signal(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Another descriptor for the same thing.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Makes it readable.
    pub(crate) fn raise(&self) {
        let one = 1_u64;
        // SAFETY: the pointer and the length describe `one`. The write fails only if the descriptor has been raised 2^64
        // times and not been cleared, and then it is readable.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    /// Makes it not readable.
    pub(crate) fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: the pointer and the length describe `count`, which is writable. The read fails if there is nothing to
        // clear.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}
