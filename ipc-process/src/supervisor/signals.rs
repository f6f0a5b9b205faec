//! Noticing that the program is asked to end.
//!
//! Signals are taken by handlers, of which a process has one per signal. `signal-hook` keeps a list behind it:
//! whoever had one before still gets its call, and so do those who come later by way of the same library (tokio
//! does). A `signalfd` would leave handlers alone, but sees only signals that every thread of the process has
//! blocked, which a library cannot bring about.

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// Listens for SIGINT (Ctrl-C) and SIGTERM as long as it exists.
#[derive(Debug)]
pub(super) struct Signals {
    /// Every signal puts a byte into the other end.
    pipe: UnixStream,
    ids: Vec<SigId>,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        let (pipe, written) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let mut signals = Signals { pipe, ids: Vec::new() };
        for signal in [SIGINT, SIGTERM] {
            signals.ids.push(pipe::register(signal, written.try_clone()?)?);
        }
        Ok(signals)
    }

    /// How many signals have come since the last time.
    pub(super) fn count(&self) -> usize {
        // Nothing to read is an error here. More than fit into the buffer are enough.
        (&self.pipe).read(&mut [0; 64]).unwrap_or(0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.ids.drain(..).for_each(|id| {
            unregister(id);
        });
    }
}
