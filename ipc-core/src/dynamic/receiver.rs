//! The receiving end of a queue whose message type is not known.

use crate::error::{Corrupt, Peer};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::queue::ReceiverLink;
use crate::schema::value::ValueError;
use crate::schema::{Schema, Value};
use crate::station::{Blocked, Patience};
use crate::words;
use core::fmt;
use core::iter;
use core::time::Duration;
use thiserror::Error;

/// Why a blocking receive returned no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvValueError {
    /// A message is not a valid value of the schema. It has been skipped; the next call goes on after it.
    #[error("a message is invalid and was skipped: {0}")]
    Invalid(ValueError),
    /// As [`RecvError::SenderDied`](crate::RecvError::SenderDied).
    #[error("the sender ({0}) died without closing")]
    SenderDied(Peer),
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(Corrupt),
    /// This process was forked from the one that opened the channel, and the handle is dead in it.
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
}

/// Why a receive that does not wait returned no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryRecvValueError {
    /// There is no message now.
    #[error("the channel is empty")]
    Empty,
    /// As for a receive that waits.
    #[error(transparent)]
    Recv(#[from] RecvValueError),
}

/// Why a receive with a time limit returned no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvValueTimeoutError {
    /// No message came in time.
    #[error("no message came in time")]
    Timeout,
    /// As for a receive without a limit.
    #[error(transparent)]
    Recv(#[from] RecvValueError),
}

/// The receiving end of a queue, of messages as [`Value`]s. Its verbs are those of [`Receiver`](crate::Receiver).
pub struct Receiver {
    link: ReceiverLink,
    schema: Schema,
    /// The message that is being looked at, copied out.
    bytes: Vec<u8>,
}

impl Receiver {
    pub(super) fn new(link: ReceiverLink, schema: Schema) -> Self {
        Receiver { link, schema, bytes: Vec::new() }
    }

    /// Receives a message, and waits for one if there is none. `Ok(None)` is the end: every sender has closed.
    ///
    /// # Errors
    ///
    /// [`RecvValueError::Invalid`] if a message is no value of the schema; otherwise as for
    /// [`Receiver::recv`](crate::Receiver::recv).
    pub fn recv(&mut self) -> Result<Option<Value>, RecvValueError> {
        match self.link.take_turn(|| Patience::Forever) {
            Ok(()) => self.take().map(Some),
            Err(blocked) => ended(blocked),
        }
    }

    /// Receives a message if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvValueError::Empty`] if there is none but more may come; otherwise as for [`recv`](Receiver::recv).
    pub fn try_recv(&mut self) -> Result<Option<Value>, TryRecvValueError> {
        match self.link.take_turn(|| Patience::None) {
            Ok(()) => Ok(Some(self.take()?)),
            Err(Blocked::Timeout) => Err(TryRecvValueError::Empty),
            Err(blocked) => Ok(ended(blocked)?),
        }
    }

    /// Receives a message, and waits for one at most `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvValueTimeoutError::Timeout`] if none came in time; otherwise as for [`recv`](Receiver::recv).
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<Value>, RecvValueTimeoutError> {
        match self.link.take_turn(|| Patience::from_timeout(limit)) {
            Ok(()) => Ok(Some(self.take()?)),
            Err(Blocked::Timeout) => Err(RecvValueTimeoutError::Timeout),
            Err(blocked) => Ok(ended(blocked)?),
        }
    }

    /// Receives one message after the other, until the end. An error is an item too; what there is to say about it is said
    /// at [`Receiver::iter`](crate::Receiver::iter).
    pub fn iter(&mut self) -> impl Iterator<Item = Result<Value, RecvValueError>> {
        iter::from_fn(|| self.recv().transpose())
    }

    /// What the messages are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The channel as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.link.info()
    }

    /// Copies the message out of the slot that this end has been found to own, frees the slot, and reads the copy.
    fn take(&mut self) -> Result<Value, RecvValueError> {
        // A message of one length has that of its schema, which `Channel::find` held against the header.
        let len = self.link.bytes().unwrap_or(self.schema.size_bytes() as usize);
        self.bytes.resize(len, 0);
        // SAFETY: the slot is this end's own, starts at a multiple of 8 bytes, and has room for `len` bytes in whole words;
        // the vector has as many.
        unsafe { words::load(self.link.start(), self.bytes.as_mut_ptr(), len) };
        self.link.pass();
        self.schema.read(&self.bytes).map_err(RecvValueError::Invalid)
    }
}

impl Sealed for Receiver {
    fn interest(&self) -> Interest {
        self.link.interest()
    }

    fn look(&mut self) -> bool {
        self.link.look()
    }

    fn probe(&mut self) -> bool {
        self.link.probe()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("channel", &self.info().name).finish_non_exhaustive()
    }
}

/// Why there is nothing to receive, of a wait that did not end in time.
#[cold]
fn ended(blocked: Blocked) -> Result<Option<Value>, RecvValueError> {
    match blocked {
        Blocked::Timeout | Blocked::Closed => Ok(None),
        Blocked::Died(peer) => Err(RecvValueError::SenderDied(peer)),
        Blocked::Corrupt(corrupt) => Err(RecvValueError::Corrupt(corrupt)),
        // Values are copied out: there is nothing that a hardened end refuses.
        Blocked::Evicted => Err(RecvValueError::Evicted),
        Blocked::Forked | Blocked::Hardened => Err(RecvValueError::Forked),
    }
}
