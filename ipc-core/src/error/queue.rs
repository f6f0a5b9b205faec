//! Why a message was not sent or received.

use super::{Corrupt, Peer};
use thiserror::Error;

/// Why a blocking receive returned no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The sender died without closing. All of its messages were received first. Each death is reported once; the next
    /// call waits for a successor.
    #[error("the sender ({0}) died without closing")]
    SenderDied(Peer),
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// This is a forked child, and its parent opened the handle. Open the channel again in the child.
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
    /// This end is [hardened](crate::Queue::hardened), and the call would return a reference into the segment.
    #[error(
        "this end is hardened and gives out no references into shared memory: send or receive by value, or open it with `hardened(false)`"
    )]
    Hardened,
}

/// Why a non-blocking receive returned no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is no message now.
    #[error("the channel is empty")]
    Empty,
    /// As [`RecvError::SenderDied`].
    #[error("the sender ({0}) died without closing")]
    SenderDied(Peer),
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// As [`RecvError::Forked`].
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
    /// This end is [hardened](crate::Queue::hardened), and the call would return a reference into the segment.
    #[error(
        "this end is hardened and gives out no references into shared memory: send or receive by value, or open it with `hardened(false)`"
    )]
    Hardened,
}

/// Why a receive with a time limit returned no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// No message came in time.
    #[error("no message came in time")]
    Timeout,
    /// As [`RecvError::SenderDied`].
    #[error("the sender ({0}) died without closing")]
    SenderDied(Peer),
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// As [`RecvError::Forked`].
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
    /// This end is [hardened](crate::Queue::hardened), and the call would return a reference into the segment.
    #[error(
        "this end is hardened and gives out no references into shared memory: send or receive by value, or open it with `hardened(false)`"
    )]
    Hardened,
}

/// A message that varies in length is longer than its channel can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a message of {bytes} bytes is longer than the {limit} that this channel can carry: create it with a capacity of more than twice the message"
)]
pub struct TooLarge {
    /// Bytes of the message.
    pub bytes: usize,
    /// Bytes of the longest message: a little less than half of the channel's capacity, or what a service was created
    /// with.
    pub limit: usize,
}

/// Why a blocking send failed. Every variant gives the message back.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError<T> {
    /// The channel is full, and its receivers have closed. There will be no room until another receiver joins.
    #[error("the channel is full and its receiver has closed")]
    Closed(T),
    /// The channel is full, and its receiver died. Each death is reported once; the next call waits for a successor.
    #[error("the channel is full and its receiver ({1}) died")]
    ReceiverDied(T, Peer),
    /// The message is longer than the channel's ring can carry.
    #[error("{1}")]
    TooLarge(T, TooLarge),
    /// Shared memory is damaged.
    #[error("{1}")]
    Corrupt(T, Corrupt),
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

/// Why a non-blocking send failed. Every variant gives the message back.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// There is no room now.
    #[error("the channel is full")]
    Full(T),
    /// As [`SendError::Closed`].
    #[error("the channel is full and its receiver has closed")]
    Closed(T),
    /// As [`SendError::ReceiverDied`].
    #[error("the channel is full and its receiver ({1}) died")]
    ReceiverDied(T, Peer),
    /// As [`SendError::TooLarge`].
    #[error("{1}")]
    TooLarge(T, TooLarge),
    /// Shared memory is damaged.
    #[error("{1}")]
    Corrupt(T, Corrupt),
    /// As [`SendError::Forked`].
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

/// Why a send with a time limit failed. Every variant gives the message back.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendTimeoutError<T> {
    /// There was no room in time.
    #[error("the channel stayed full")]
    Timeout(T),
    /// As [`SendError::Closed`].
    #[error("the channel is full and its receiver has closed")]
    Closed(T),
    /// As [`SendError::ReceiverDied`].
    #[error("the channel is full and its receiver ({1}) died")]
    ReceiverDied(T, Peer),
    /// As [`SendError::TooLarge`].
    #[error("{1}")]
    TooLarge(T, TooLarge),
    /// Shared memory is damaged.
    #[error("{1}")]
    Corrupt(T, Corrupt),
    /// As [`SendError::Forked`].
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

/// A batch was sent in part. The messages that had not been taken from the iterator are still in it.
#[derive(Clone, PartialEq, Eq, Error)]
#[error("{sent} messages were sent, then: {error}")]
pub struct SendBatchError<T> {
    /// Messages that were sent.
    pub sent: usize,
    /// Why the next one, which it gives back, was not.
    pub error: SendError<T>,
}

/// Why no slot could be loaned: the reasons of a send, without a message to give back.
pub type LoanError = SendError<()>;

/// Why no slot could be loaned without waiting.
pub type TryLoanError = TrySendError<()>;

/// Why no slot could be loaned in time.
pub type LoanTimeoutError = SendTimeoutError<()>;
