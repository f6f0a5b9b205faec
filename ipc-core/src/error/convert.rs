//! From one error to another, and from an error to what it gives back.

use super::{
    RecvError, RecvTimeoutError, SendBatchError, SendError, SendTimeoutError, TryRecvError, TrySendError, WriteError,
};

impl<T> SendError<T> {
    /// The message that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            SendError::Closed(message) | SendError::ReceiverDied(message, _) | SendError::TooLarge(message, _) => {
                message
            }
            SendError::Corrupt(message, _) | SendError::Hardened(message) => message,
            SendError::Forked(message) | SendError::Evicted(message) => message,
        }
    }
}

impl<T> TrySendError<T> {
    /// The message that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(message) | TrySendError::Closed(message) | TrySendError::ReceiverDied(message, _) => {
                message
            }
            TrySendError::TooLarge(message, _) | TrySendError::Corrupt(message, _) => message,
            TrySendError::Forked(message) | TrySendError::Evicted(message) | TrySendError::Hardened(message) => message,
        }
    }

    /// Whether there is merely no room now.
    pub fn is_full(&self) -> bool {
        matches!(self, TrySendError::Full(_))
    }
}

impl<T> SendTimeoutError<T> {
    /// The message that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            SendTimeoutError::Timeout(message) | SendTimeoutError::Closed(message) => message,
            SendTimeoutError::ReceiverDied(message, _) | SendTimeoutError::TooLarge(message, _) => message,
            SendTimeoutError::Corrupt(message, _) | SendTimeoutError::Hardened(message) => message,
            SendTimeoutError::Forked(message) | SendTimeoutError::Evicted(message) => message,
        }
    }

    /// Whether there was merely no room in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, SendTimeoutError::Timeout(_))
    }
}

impl<T> WriteError<T> {
    /// The value that was not written.
    pub fn into_inner(self) -> T {
        match self {
            WriteError::Forked(value) | WriteError::Evicted(value) | WriteError::Hardened(value) => value,
        }
    }
}

/// Why the batch ended; how many messages were sent before is lost.
impl<T> From<SendBatchError<T>> for SendError<T> {
    fn from(batch: SendBatchError<T>) -> Self {
        batch.error
    }
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Closed(message) => Self::Closed(message),
            SendError::ReceiverDied(message, peer) => Self::ReceiverDied(message, peer),
            SendError::TooLarge(message, limit) => Self::TooLarge(message, limit),
            SendError::Corrupt(message, corrupt) => Self::Corrupt(message, corrupt),
            SendError::Forked(message) => Self::Forked(message),
            SendError::Evicted(message) => Self::Evicted(message),
            SendError::Hardened(message) => Self::Hardened(message),
        }
    }
}

impl<T> From<SendError<T>> for SendTimeoutError<T> {
    fn from(error: SendError<T>) -> Self {
        match error {
            SendError::Closed(message) => Self::Closed(message),
            SendError::ReceiverDied(message, peer) => Self::ReceiverDied(message, peer),
            SendError::TooLarge(message, limit) => Self::TooLarge(message, limit),
            SendError::Corrupt(message, corrupt) => Self::Corrupt(message, corrupt),
            SendError::Forked(message) => Self::Forked(message),
            SendError::Evicted(message) => Self::Evicted(message),
            SendError::Hardened(message) => Self::Hardened(message),
        }
    }
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::SenderDied(peer) => Self::SenderDied(peer),
            RecvError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            RecvError::Forked => Self::Forked,
            RecvError::Evicted => Self::Evicted,
            RecvError::Hardened => Self::Hardened,
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::SenderDied(peer) => Self::SenderDied(peer),
            RecvError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            RecvError::Forked => Self::Forked,
            RecvError::Evicted => Self::Evicted,
            RecvError::Hardened => Self::Hardened,
        }
    }
}
