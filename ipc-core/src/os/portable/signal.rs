//! A descriptor that becomes readable when it is told to, made of a pair of sockets.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// A descriptor that can be made readable, and not readable again. It neither blocks nor passes to other programs.
pub(crate) struct Signal {
    /// What others have duplicates of.
    ear: UnixStream,
    mouth: UnixStream,
}

impl Signal {
    /// One that is not readable.
    pub(crate) fn new() -> io::Result<Self> {
        let (ear, mouth) = UnixStream::pair()?;
        ear.set_nonblocking(true)?;
        mouth.set_nonblocking(true)?;
        Ok(Signal { ear, mouth })
    }

    /// Another descriptor for the same thing.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.ear.try_clone().map(OwnedFd::from)
    }

    /// Makes it readable.
    pub(crate) fn raise(&self) {
        // It fails if the socket is full, and then it is readable.
        let _ = (&self.mouth).write(&[1]);
    }

    /// Makes it not readable.
    pub(crate) fn clear(&self) {
        let mut bytes = [0; 64];
        // A short read, or none, has emptied the socket.
        while (&self.ear).read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
    }
}
