//! Why a latest value was not read or written.

use super::{Corrupt, Peer};
use thiserror::Error;

/// Why a latest value could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The writer wrote new values faster than this process could copy one, in every one of many attempts. A later
    /// attempt may succeed.
    #[error("the writer has overtaken every attempt to copy the value")]
    Overtaken,
    /// Shared memory is damaged. After [`Corrupt::Message`], the value can be read again when a new one was written.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// This is a forked child, and its parent opened the handle. Open the channel again in the child.
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
}

/// Why waiting for a newer value brought none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WaitNewerError {
    /// The writer has closed, and its last value was read before. Another one may come.
    #[error("the writer has closed")]
    Closed,
    /// The writer died without closing, and its last value was read before. Each death is reported once, and the next
    /// call waits for a successor.
    #[error("the writer ({0}) died without closing")]
    WriterDied(Peer),
    /// There is a newer value, which could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a latest value was not written. It gives the value back.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError<T> {
    /// This is a forked child, and its parent opened the handle. Open the channel again in the child.
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked(T),
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted(T),
    /// This end is [hardened](crate::Queue::hardened), and the call would lend a slot of the segment.
    #[error(
        "this end is hardened and gives out no references into shared memory: send or receive by value, or open it with `hardened(false)`"
    )]
    Hardened(T),
}
