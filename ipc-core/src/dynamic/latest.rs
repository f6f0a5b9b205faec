//! The ends of a latest value whose type is not known.

use crate::error::{ReadError, WaitNewerError};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::latest::{fetch, publish, wait_newer};
use crate::layout::Side;
use crate::ring::latest as ring;
use crate::schema::value::ValueError;
use crate::schema::{Schema, Value};
use crate::station::Station;
use crate::timing::Timing;
use crate::words;
use core::fmt;
use core::time::Duration;
use thiserror::Error;

/// Why a latest value could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadValueError {
    /// It is not a valid value of the schema. It can be read again when a new one was written.
    #[error("the value is invalid: {0}")]
    Invalid(#[from] ValueError),
    /// As for a reader that knows the type.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// As for a reader that knows the type, of a wait for a newer one.
    #[error(transparent)]
    Wait(#[from] WaitNewerError),
}

/// Why a latest value was not written. It is still the caller's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteValueError {
    /// It is no value of the schema.
    #[error("the value does not fit the channel: {0}")]
    Value(#[from] ValueError),
    /// This process was forked from the one that opened the channel, and the handle is dead in it.
    #[error("this handle was opened before a fork: open the channel again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
}

/// A reading end of a latest value, as a [`Value`]. Its verbs are those of [`Reader`](crate::Reader).
pub struct Reader {
    station: Station,
    ring: ring::Reader,
    /// Of a channel with timestamps.
    timing: Option<Timing>,
    seen: u64,
    schema: Schema,
    bytes: Vec<u8>,
}

impl Reader {
    pub(super) fn new((station, ring): (Station, ring::Reader), schema: Schema) -> Self {
        // `Channel::find` held the schema's size against the header's.
        let bytes = vec![0; schema.size_bytes() as usize];
        let timing = Timing::new(station.segment(), Side::Second);
        Reader { station, ring, timing, seen: 0, schema, bytes }
    }

    /// Reads the newest value; `Ok(None)` if none has been written yet.
    ///
    /// # Errors
    ///
    /// [`ReadValueError::Invalid`] if it is no value of the schema; otherwise as for [`Reader::read`](crate::Reader::read).
    pub fn read(&mut self) -> Result<Option<Value>, ReadValueError> {
        if self.station.is_forked() {
            return Err(ReadError::Forked.into());
        }
        let bytes = &mut self.bytes;
        // SAFETY: the buffer has so many bytes, and a slot is not smaller, which `Channel::find` has checked.
        let version =
            unsafe { fetch(&self.ring, self.timing.as_ref(), &mut self.seen, bytes.as_mut_ptr(), bytes.len()) }?;
        if version == 0 {
            return Ok(None);
        }
        Ok(Some(self.schema.read(&self.bytes)?))
    }

    /// Reads the newest value if it is newer than the one that was returned last.
    ///
    /// # Errors
    ///
    /// As for [`read`](Reader::read).
    pub fn read_if_newer(&mut self) -> Result<Option<Value>, ReadValueError> {
        if self.station.is_forked() || self.ring.version() != self.seen { self.read() } else { Ok(None) }
    }

    /// Waits at most `limit` for a newer value than the one that was returned last; `Ok(None)` if there was none.
    ///
    /// # Errors
    ///
    /// As for [`read`](Reader::read), and for [`Reader::wait_newer`](crate::Reader::wait_newer).
    pub fn wait_newer(&mut self, limit: Duration) -> Result<Option<Value>, ReadValueError> {
        if wait_newer(&mut self.station, &mut self.ring, self.seen, limit)? { self.read() } else { Ok(None) }
    }

    /// Version of the value that was returned last, 0 if there is none.
    pub fn version(&self) -> u64 {
        self.seen
    }

    /// What the value is.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The channel as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.station.info()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.station.close();
        // A value is never undelivered.
        self.station.leave(|| true);
    }
}

impl Sealed for Reader {
    fn interest(&self) -> Interest {
        self.station.interest(false)
    }

    fn look(&mut self) -> bool {
        self.ring.version() != self.seen
    }

    fn probe(&mut self) -> bool {
        let Reader { ring, seen, station, .. } = self;
        station.probe(ring, |ring, _| Ok(ring.version() != *seen), |_, _| true)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("channel", &self.info().name).finish_non_exhaustive()
    }
}

/// The writing end of a latest value, as a [`Value`]. Its verbs are those of [`Writer`](crate::Writer).
pub struct Writer {
    station: Station,
    ring: ring::Writer,
    /// Of a channel with timestamps.
    timing: Option<Timing>,
    schema: Schema,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new((station, ring): (Station, ring::Writer), schema: Schema) -> Self {
        let bytes = vec![0; schema.size_bytes() as usize];
        let timing = Timing::new(station.segment(), Side::First);
        Writer { station, ring, timing, schema, bytes }
    }

    /// Makes `value` the newest one, and returns its version.
    ///
    /// # Errors
    ///
    /// [`WriteValueError::Value`] if it is no value of the schema; nothing has changed then.
    pub fn write(&mut self, value: &Value) -> Result<u64, WriteValueError> {
        if self.station.is_forked() {
            return Err(WriteValueError::Forked);
        }
        if self.station.is_evicted() {
            return Err(WriteValueError::Evicted);
        }
        self.schema.write(value, &mut self.bytes)?;
        let slot = self.ring.open().as_ptr().cast();
        // SAFETY: the open slot is this writer's to store to, and not smaller than the schema's size, which `Channel::find`
        // has checked and the buffer has.
        unsafe { words::store(self.bytes.as_ptr(), slot, self.bytes.len()) };
        publish(&mut self.ring, self.timing.as_ref());
        self.station.wake_some(u32::MAX);
        Ok(self.ring.version())
    }

    /// What the value is.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The channel as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.station.info()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.station.close();
        // A value is never undelivered.
        self.station.leave(|| true);
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("channel", &self.info().name).finish_non_exhaustive()
    }
}
