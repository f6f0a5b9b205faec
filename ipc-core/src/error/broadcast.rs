//! Why a subscriber of a broadcast got no message.

use super::{Corrupt, Peer};
use thiserror::Error;

/// Why a blocking receive from a broadcast returned no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BroadcastRecvError {
    /// Publishers of a lossy channel have overtaken the subscriber. The next call goes on after what was missed.
    #[error("{missed} messages were missed")]
    Lagged {
        /// Messages between the one that was received last and the one that comes next.
        missed: u64,
    },
    /// The subscriber has kept publishers waiting for longer than the channel allows, and they went on without it; or
    /// somebody has [sent it away](crate::inspect::Observer::evict). It gets nothing any more: drop it, and subscribe anew to go
    /// on with what is published then.
    #[error(
        "publishers go on without this subscriber, which was too slow or was sent away: subscribe anew, and receive faster"
    )]
    Evicted,
    /// The last publisher died without closing. Everything it had published was received before; each death is reported
    /// once, and the next call waits for a successor.
    #[error("the publisher ({0}) died without closing")]
    PublisherDied(Peer),
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// This is a forked child, and its parent opened the handle. Open the channel again in the child.
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
}

/// Why a receive from a broadcast that does not wait returned no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BroadcastTryRecvError {
    /// There is no message now.
    #[error("nothing has been published")]
    Empty,
    /// As [`BroadcastRecvError::Lagged`].
    #[error("{missed} messages were missed")]
    Lagged {
        /// Messages between the one that was received last and the one that comes next.
        missed: u64,
    },
    /// As [`BroadcastRecvError::Evicted`].
    #[error(
        "publishers go on without this subscriber, which was too slow or was sent away: subscribe anew, and receive faster"
    )]
    Evicted,
    /// As [`BroadcastRecvError::PublisherDied`].
    #[error("the publisher ({0}) died without closing")]
    PublisherDied(Peer),
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// As [`BroadcastRecvError::Forked`].
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
}

impl From<BroadcastRecvError> for BroadcastTryRecvError {
    fn from(error: BroadcastRecvError) -> Self {
        match error {
            BroadcastRecvError::Lagged { missed } => Self::Lagged { missed },
            BroadcastRecvError::Evicted => Self::Evicted,
            BroadcastRecvError::PublisherDied(peer) => Self::PublisherDied(peer),
            BroadcastRecvError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            BroadcastRecvError::Forked => Self::Forked,
        }
    }
}

/// Why a receive from a broadcast with a time limit returned no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BroadcastRecvTimeoutError {
    /// No message came in time.
    #[error("no message came in time")]
    Timeout,
    /// As [`BroadcastRecvError::Lagged`].
    #[error("{missed} messages were missed")]
    Lagged {
        /// Messages between the one that was received last and the one that comes next.
        missed: u64,
    },
    /// As [`BroadcastRecvError::Evicted`].
    #[error(
        "publishers go on without this subscriber, which was too slow or was sent away: subscribe anew, and receive faster"
    )]
    Evicted,
    /// As [`BroadcastRecvError::PublisherDied`].
    #[error("the publisher ({0}) died without closing")]
    PublisherDied(Peer),
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// As [`BroadcastRecvError::Forked`].
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
}

impl From<BroadcastRecvError> for BroadcastRecvTimeoutError {
    fn from(error: BroadcastRecvError) -> Self {
        match error {
            BroadcastRecvError::Lagged { missed } => Self::Lagged { missed },
            BroadcastRecvError::Evicted => Self::Evicted,
            BroadcastRecvError::PublisherDied(peer) => Self::PublisherDied(peer),
            BroadcastRecvError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            BroadcastRecvError::Forked => Self::Forked,
        }
    }
}
