//! The publishing end of a broadcast whose message type is not known.

use super::sender::{SendValueError, TrySendValueError, refused, refused_in_time};
use crate::broadcast::Outlet;
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::queue::port::Port;
use crate::ring::End;
use crate::schema::{Schema, Value};
use crate::station::{Blocked, Patience};
use crate::words;
use core::fmt;
use core::time::Duration;

/// The publishing end of a broadcast, of messages as [`Value`]s. Its verbs are those of [`Publisher`](crate::Publisher).
pub struct Publisher {
    port: Port<Outlet>,
    schema: Schema,
    /// The message that is about to be published.
    bytes: Vec<u8>,
}

impl Publisher {
    pub(super) fn new(port: Port<Outlet>, schema: Schema) -> Self {
        Publisher { port, schema, bytes: Vec::new() }
    }

    /// Publishes a value to all subscribers, and waits for the slowest one if the channel is lossless.
    ///
    /// # Errors
    ///
    /// [`SendValueError::Value`] if it is no value of the schema, [`SendValueError::TooLarge`] if it is too long for the
    /// channel; otherwise as for [`Publisher::send`](crate::Publisher::send). Nothing of it has reached the channel then.
    pub fn send(&mut self, value: &Value) -> Result<(), SendValueError> {
        self.send_within(value, Patience::Forever)?.map_err(refused)
    }

    /// Publishes a value if that does not take waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendValueError::Full`] if it does; otherwise as for [`send`](Publisher::send).
    pub fn try_send(&mut self, value: &Value) -> Result<(), TrySendValueError> {
        self.send_within(value, Patience::None)?.map_err(refused_in_time)
    }

    /// Publishes a value, and waits at most `limit`.
    ///
    /// # Errors
    ///
    /// [`TrySendValueError::Full`] if there was no room in time; otherwise as for [`send`](Publisher::send).
    pub fn send_timeout(&mut self, value: &Value, limit: Duration) -> Result<(), TrySendValueError> {
        self.send_within(value, Patience::from_timeout(limit))?.map_err(refused_in_time)
    }

    /// Messages that publishers had begun and not published when they died, since the channel was created.
    pub fn lost(&self) -> u64 {
        self.port.end().losses()
    }

    /// What the messages are.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The channel as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.port.info()
    }

    fn send_within(&mut self, value: &Value, patience: Patience) -> Result<Result<(), Blocked>, SendValueError> {
        let len = usize::try_from(self.schema.bytes_for(value)).unwrap_or(usize::MAX);
        // Before memory is spent on it. A message of one length has that of its schema.
        self.port.claim_bytes(len)?;
        self.bytes.resize(len, 0);
        self.schema.write(value, &mut self.bytes)?;
        if let Err(blocked) = self.port.take_turn(|| patience) {
            return Ok(Err(blocked));
        }
        // SAFETY: the room is this end's own, for `len` bytes: as many as were claimed, or as the schema says, which
        // `Channel::find` held against the header. The vector has as many.
        unsafe { words::store(self.bytes.as_ptr(), self.port.payload(), len) };
        self.port.pass();
        Ok(Ok(()))
    }
}

impl Sealed for Publisher {
    fn interest(&self) -> Interest {
        self.port.interest()
    }

    fn look(&mut self) -> bool {
        self.port.look()
    }

    fn probe(&mut self) -> bool {
        self.port.probe()
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("channel", &self.info().name).finish_non_exhaustive()
    }
}
