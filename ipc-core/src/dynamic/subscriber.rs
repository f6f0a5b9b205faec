//! The subscribing end of a broadcast whose message type is not known.

use crate::broadcast::{Feed, Hindrance, recv_end};
use crate::error::BroadcastRecvError;
use crate::histogram::Latency;
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::schema::value::ValueError;
use crate::schema::{Schema, Value};
use crate::station::{Blocked, Patience};
use crate::words;
use core::fmt;
use core::iter;
use core::time::Duration;
use thiserror::Error;

/// Why a blocking receive from a broadcast returned no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BroadcastRecvValueError {
    /// A message is not a valid value of the schema. It has been skipped; the next call goes on after it.
    #[error("a message is invalid and was skipped: {0}")]
    Invalid(ValueError),
    /// As for a subscriber that knows the type.
    #[error(transparent)]
    Recv(#[from] BroadcastRecvError),
}

/// Why a receive from a broadcast that does not wait returned no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BroadcastTryRecvValueError {
    /// There is no message now.
    #[error("nothing has been published")]
    Empty,
    /// As for a receive that waits.
    #[error(transparent)]
    Recv(#[from] BroadcastRecvValueError),
}

/// Why a receive from a broadcast with a time limit returned no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BroadcastRecvValueTimeoutError {
    /// No message came in time.
    #[error("no message came in time")]
    Timeout,
    /// As for a receive without a limit.
    #[error(transparent)]
    Recv(#[from] BroadcastRecvValueError),
}

/// The subscribing end of a broadcast, of messages as [`Value`]s. Its verbs are those of [`Subscriber`](crate::Subscriber).
pub struct Subscriber {
    feed: Feed,
    schema: Schema,
    /// The message that is being looked at, copied out.
    bytes: Vec<u8>,
}

impl Subscriber {
    pub(super) fn new(feed: Feed, schema: Schema) -> Self {
        Subscriber { feed, schema, bytes: Vec::new() }
    }

    /// Receives the next message, and waits for one if there is none. `Ok(None)` is the end: every publisher has closed.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvValueError::Invalid`] if a message is no value of the schema; otherwise as for
    /// [`Subscriber::recv`](crate::Subscriber::recv).
    pub fn recv(&mut self) -> Result<Option<Value>, BroadcastRecvValueError> {
        match self.recv_within(Patience::Forever) {
            Ok(taken) => Ok(Some(taken.map_err(BroadcastRecvValueError::Invalid)?)),
            Err(hindrance) => Ok(recv_end(hindrance).map(|()| None)?),
        }
    }

    /// Receives the next message if there is one now.
    ///
    /// # Errors
    ///
    /// [`BroadcastTryRecvValueError::Empty`] if there is none but more may come; otherwise as for [`recv`](Subscriber::recv).
    pub fn try_recv(&mut self) -> Result<Option<Value>, BroadcastTryRecvValueError> {
        match self.recv_within(Patience::None) {
            Ok(taken) => Ok(Some(taken.map_err(BroadcastRecvValueError::Invalid)?)),
            Err(Hindrance::Blocked(Blocked::Timeout)) => Err(BroadcastTryRecvValueError::Empty),
            Err(hindrance) => Ok(recv_end(hindrance).map(|()| None).map_err(BroadcastRecvValueError::Recv)?),
        }
    }

    /// Receives the next message, and waits for one at most `limit`.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvValueTimeoutError::Timeout`] if none came in time; otherwise as for [`recv`](Subscriber::recv).
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<Value>, BroadcastRecvValueTimeoutError> {
        match self.recv_within(Patience::from_timeout(limit)) {
            Ok(taken) => Ok(Some(taken.map_err(BroadcastRecvValueError::Invalid)?)),
            Err(Hindrance::Blocked(Blocked::Timeout)) => Err(BroadcastRecvValueTimeoutError::Timeout),
            Err(hindrance) => Ok(recv_end(hindrance).map(|()| None).map_err(BroadcastRecvValueError::Recv)?),
        }
    }

    /// Messages that publishers had begun and not published when they died, since the channel was created.
    pub fn lost(&self) -> u64 {
        self.feed.losses()
    }

    /// How long messages have taken, as [`Subscriber::latency`](crate::Subscriber::latency) tells.
    pub fn latency(&self) -> Option<Latency> {
        self.feed.latency()
    }

    /// Receives one message after the other, until the end. An error is an item too; what there is to say about it is said
    /// at [`Subscriber::iter`](crate::Subscriber::iter).
    pub fn iter(&mut self) -> impl Iterator<Item = Result<Value, BroadcastRecvValueError>> {
        iter::from_fn(|| self.recv().transpose())
    }

    /// What the messages are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The channel as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.feed.info()
    }

    /// Copies the next message out, and reads the copy.
    fn recv_within(&mut self, patience: Patience) -> Result<Result<Value, ValueError>, Hindrance> {
        loop {
            self.feed.take_turn(|| patience)?;
            // A message of one length has that of its schema, which `Channel::find` held against the header.
            let len = self.feed.bytes().unwrap_or(self.schema.size_bytes() as usize);
            self.bytes.resize(len, 0);
            // SAFETY: the payload starts at a multiple of 8 bytes, and has room for `len` bytes in whole words, whatever is
            // stored there; the vector has as many.
            unsafe { words::load(self.feed.payload(), self.bytes.as_mut_ptr(), len) };
            if self.feed.accept() {
                break;
            }
            // The next look says what has become of the message.
        }
        self.feed.wake();
        Ok(self.schema.read(&self.bytes))
    }
}

impl Sealed for Subscriber {
    fn interest(&self) -> Interest {
        self.feed.interest()
    }

    fn look(&mut self) -> bool {
        self.feed.look()
    }

    fn probe(&mut self) -> bool {
        self.feed.probe()
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("channel", &self.info().name).finish_non_exhaustive()
    }
}
