//! The sending end of a queue whose message type is not known.

use crate::error::{Corrupt, Peer, TooLarge};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::queue::SenderLink;
use crate::schema::value::ValueError;
use crate::schema::{Schema, Value};
use crate::station::{Blocked, Patience};
use crate::words;
use core::fmt;
use core::time::Duration;
use thiserror::Error;

/// Why a value was not sent. The value is still the caller's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendValueError {
    /// It is no value of the schema.
    #[error("the value does not fit the channel's messages: {0}")]
    Value(#[from] ValueError),
    /// It is longer than the channel can carry.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// As [`SendError::Closed`](crate::SendError::Closed).
    #[error("the channel is full and its receiver has closed")]
    Closed,
    /// As [`SendError::ReceiverDied`](crate::SendError::ReceiverDied).
    #[error("the channel is full and its receiver ({0}) died")]
    ReceiverDied(Peer),
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

/// Why a value was not sent at once, or in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrySendValueError {
    /// There is no room now, or there was none in time.
    #[error("the channel is full")]
    Full,
    /// As for a send that waits.
    #[error(transparent)]
    Send(#[from] SendValueError),
}

/// The sending end of a queue, of messages as [`Value`]s. Its verbs are those of [`Sender`](crate::Sender).
pub struct Sender {
    link: SenderLink,
    schema: Schema,
    /// The message that is about to be sent.
    bytes: Vec<u8>,
}

impl Sender {
    pub(super) fn new(link: SenderLink, schema: Schema) -> Self {
        Sender { link, schema, bytes: Vec::new() }
    }

    /// Sends a value, and waits for room if the channel is full.
    ///
    /// # Errors
    ///
    /// [`SendValueError::Value`] if it is no value of the schema, [`SendValueError::TooLarge`] if it is too long for the
    /// channel; otherwise as for [`Sender::send`](crate::Sender::send). Nothing of it has reached the channel then.
    pub fn send(&mut self, value: &Value) -> Result<(), SendValueError> {
        self.send_within(value, Patience::Forever)?.map_err(refused)
    }

    /// Sends a value if there is room now.
    ///
    /// # Errors
    ///
    /// [`TrySendValueError::Full`] if there is none; otherwise as for [`send`](Sender::send).
    pub fn try_send(&mut self, value: &Value) -> Result<(), TrySendValueError> {
        self.send_within(value, Patience::None)?.map_err(refused_in_time)
    }

    /// Sends a value, and waits for room at most `limit`.
    ///
    /// # Errors
    ///
    /// [`TrySendValueError::Full`] if there was none in time; otherwise as for [`send`](Sender::send).
    pub fn send_timeout(&mut self, value: &Value, limit: Duration) -> Result<(), TrySendValueError> {
        self.send_within(value, Patience::from_timeout(limit))?.map_err(refused_in_time)
    }

    /// What the messages are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The channel as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.link.info()
    }

    fn send_within(&mut self, value: &Value, patience: Patience) -> Result<Result<(), Blocked>, SendValueError> {
        let len = usize::try_from(self.schema.bytes_for(value)).unwrap_or(usize::MAX);
        // Before memory is spent on it. A message of one length has that of its schema.
        self.link.claim_bytes(len)?;
        self.bytes.resize(len, 0);
        self.schema.write(value, &mut self.bytes)?;
        if let Err(blocked) = self.link.take_turn(|| patience) {
            return Ok(Err(blocked));
        }
        // SAFETY: the slot is this end's own and has room for `len` bytes: as many as were claimed, or as the schema says,
        // which `Channel::find` held against the header. The vector has as many.
        unsafe { words::store(self.bytes.as_ptr(), self.link.start(), len) };
        self.link.pass();
        Ok(Ok(()))
    }
}

impl Sealed for Sender {
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

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("channel", &self.info().name).finish_non_exhaustive()
    }
}

/// Why a value was not sent at once, or in time.
#[cold]
pub(super) fn refused_in_time(blocked: Blocked) -> TrySendValueError {
    match blocked {
        Blocked::Timeout => TrySendValueError::Full,
        blocked => refused(blocked).into(),
    }
}

/// Why a value was not sent, of a wait that did not end in time.
#[cold]
pub(super) fn refused(blocked: Blocked) -> SendValueError {
    match blocked {
        // A wait without a limit does not end in time.
        Blocked::Timeout | Blocked::Closed => SendValueError::Closed,
        Blocked::Died(peer) => SendValueError::ReceiverDied(peer),
        Blocked::Corrupt(corrupt) => SendValueError::Corrupt(corrupt),
        // Values are copied in: there is nothing that a hardened end refuses.
        Blocked::Evicted => SendValueError::Evicted,
        Blocked::Forked | Blocked::Hardened => SendValueError::Forked,
    }
}
