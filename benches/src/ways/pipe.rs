//! Pipes: what two processes have without any library.

use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;

/// The two ends of a new pipe: what is written to the second can be read from the first.
pub(crate) fn pair() -> Result<[File; 2], Failure> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    // SAFETY: the descriptors were just made and belong to nobody else.
    Ok(ends.map(|end| unsafe { File::from_raw_fd(end) }))
}

/// The writing end.
pub(crate) struct PipeTx(pub(crate) File);

impl<const N: usize> Tx<N> for PipeTx {
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        Ok(self.0.write_all(message.map(u64::to_ne_bytes).as_flattened())?)
    }
}

/// The reading end.
pub(crate) struct PipeRx(pub(crate) File);

impl<const N: usize> Rx<N> for PipeRx {
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        let mut bytes = [[0; 8]; N];
        self.0.read_exact(bytes.as_flattened_mut())?;
        Ok(bytes.map(u64::from_ne_bytes))
    }
}
