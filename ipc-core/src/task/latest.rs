//! Latest values, for tasks. Who writes one never waits.

use super::{Async, Waiting};
use crate::error::{OpenError, WaitNewerError};
use crate::latest::Reader;
use crate::message::IpcMessage;
use core::future::poll_fn;
use core::time::Duration;

/// The reading end of a latest value, for tasks.
pub type AsyncReader<T> = Async<Reader<T>>;

impl<T: IpcMessage> Async<Reader<T>> {
    /// Waits for a value that is newer than the one that this reader returned last, and reads it:
    /// [`Reader::wait_newer`].
    ///
    /// # Errors
    ///
    /// As for [`Reader::wait_newer`].
    pub async fn wait_newer(&mut self) -> Result<T, WaitNewerError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_attempt(cx, |reader| reader.wait_newer(Duration::ZERO).transpose())).await
    }
}

impl<T: IpcMessage> Reader<T> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub fn into_async(self) -> Result<AsyncReader<T>, OpenError> {
        Async::new(self)
    }
}
