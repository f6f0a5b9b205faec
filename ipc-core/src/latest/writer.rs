//! The writing end of a latest value.

use crate::error::WriteError;
use crate::info::ChannelInfo;
use crate::layout::Side;
use crate::message::IpcMessage;
use crate::ring::latest as ring;
use crate::station::Station;
use crate::timing::Timing;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// The writing end of a latest value. It never waits.
///
/// Dropping the writer closes it. Readers can still read the last value; those that wait for a newer one get
/// [`WaitNewerError::Closed`](crate::WaitNewerError::Closed).
pub struct Writer<T> {
    ring: ring::Writer,
    /// Of a channel with timestamps.
    timing: Option<Timing>,
    station: Station,
    message: PhantomData<fn(T)>,
}

impl<T: IpcMessage> Writer<T> {
    pub(super) fn new((station, ring): (Station, ring::Writer)) -> Self {
        let timing = Timing::new(station.segment(), Side::First);
        Writer { ring, timing, station, message: PhantomData }
    }

    /// Makes `value` the newest value, and returns its version.
    ///
    /// The first value has version 1, and each write adds 1. Fill a large value in place instead: see
    /// [`loan`](Writer::loan).
    ///
    /// # Errors
    ///
    /// [`WriteError::Forked`] in a forked child, [`WriteError::Evicted`] if this writer was evicted; nothing else.
    ///
    /// ```
    /// # let level = ipc_core::Latest::<u32>::new("write").domain(format!("doc-{}", std::process::id()));
    /// let mut writer = level.writer()?;
    /// assert_eq!(writer.write(6)?, 1);
    /// assert_eq!(writer.write(7)?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn write(&mut self, value: T) -> Result<u64, WriteError<T>> {
        if self.station.is_forked() {
            return Err(WriteError::Forked(value));
        }
        if self.station.is_evicted() {
            return Err(WriteError::Evicted(value));
        }
        let slot = self.ring.open().as_ptr().cast();
        // SAFETY: the open slot is this writer's to store to, and large and aligned enough for a `T`, which the
        // geometry ensures.
        unsafe { value.place(slot) };
        Ok(self.publish())
    }

    /// Lends the slot of the next value to be filled in place. [`Draft::publish`] makes it the newest value.
    ///
    /// # Errors
    ///
    /// [`WriteError::Hardened`] if this end is [hardened](crate::Queue::hardened); otherwise as for
    /// [`write`](Writer::write).
    ///
    /// ```
    /// # let image = ipc_core::Latest::<[u8; 65_536]>::new("loan").domain(format!("doc-{}", std::process::id()));
    /// let mut writer = image.writer()?;
    /// let mut reader = image.reader()?;
    /// let mut draft = writer.loan()?;
    /// draft.fill(255);
    /// assert_eq!(draft.publish(), 1);
    /// assert_eq!(reader.read_ref()?.unwrap()[9], 255);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan(&mut self) -> Result<Draft<'_, T>, WriteError<()>> {
        if self.station.is_forked() {
            return Err(WriteError::Forked(()));
        }
        if self.station.is_evicted() {
            return Err(WriteError::Evicted(()));
        }
        if self.station.check_in_place().is_err() {
            return Err(WriteError::Hardened(()));
        }
        Ok(Draft::new(self))
    }

    /// The version of the newest value, or 0 if there is none. Writes by earlier writers count.
    pub fn version(&self) -> u64 {
        self.ring.version()
    }

    /// The channel's actual options, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.station.info()
    }

    /// Makes what is in the open slot the newest value, and wakes everybody who waits for it.
    #[inline(always)]
    fn publish(&mut self) -> u64 {
        publish(&mut self.ring, self.timing.as_ref());
        // Everybody, by way of a count: among many, one who is about to sleep is kept from it by that alone.
        self.station.wake_some(u32::MAX);
        self.ring.version()
    }
}

/// Makes what is in the open slot the newest value, stamped with the time if that is asked for.
#[inline(always)]
pub(crate) fn publish(ring: &mut ring::Writer, timing: Option<&Timing>) {
    if let Some(timing) = timing {
        // SAFETY: the open slot is the writer's to store to, and the segment of both is mapped.
        unsafe { timing.stamp(ring.payload()) };
    }
    ring.publish();
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.station.close();
        // A value is never undelivered.
        self.station.leave(|| true);
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("channel", &self.station.info().name).finish_non_exhaustive()
    }
}

/// A slot for the next value, to be filled in place. It dereferences to the value.
///
/// [`publish`](Draft::publish) makes it the newest value. Dropping the draft has no effect.
///
/// The slot initially holds *some* valid value: an earlier one, or a blank one. Assigning a whole value copies its
/// padding into the segment, if it has any. Assigning field by field, or using [`Writer::write`], does not.
///
/// The slot is memory that other participants can write. That is sound as long as they are slipring programs: those
/// never write to a slot that is not theirs. A slow reader may still be copying from this slot; it discards the copy.
#[must_use = "a value that is not published is given up"]
pub struct Draft<'a, T: IpcMessage> {
    writer: &'a mut Writer<T>,
    value: *mut T,
}

// SAFETY: `value` is a place in the segment that `writer` keeps mapped, and is used as the unique reference to it is.
unsafe impl<T: IpcMessage + Send> Send for Draft<'_, T> {}
// SAFETY: as for `Send`; a shared draft gives out shared references alone.
unsafe impl<T: IpcMessage + Sync> Sync for Draft<'_, T> {}

impl<'a, T: IpcMessage> Draft<'a, T> {
    fn new(writer: &'a mut Writer<T>) -> Self {
        let value: *mut T = writer.ring.open().as_ptr().cast();
        if !T::ANY_BITS {
            // SAFETY: the open slot is the writer's to store to, and large and aligned enough for a `T`.
            unsafe { T::place_blank(value) };
        }
        Draft { writer, value }
    }

    /// Makes the value the newest one, wakes the readers that wait for it, and returns its version.
    ///
    /// In a child that was forked since the slot was loaned, it does nothing, and returns the old version.
    pub fn publish(self) -> u64 {
        if self.writer.station.is_forked() { self.writer.version() } else { self.writer.publish() }
    }

    /// The value's place, of which a forked child has only a blank page.
    ///
    /// # Panics
    ///
    /// In a child that was forked since the slot was loaned, if a blank page is not a value for certain.
    #[inline(always)]
    fn place(&self) -> *mut T {
        let is_value = T::ANY_BITS || !self.writer.station.is_forked();
        assert!(is_value, "this guard was taken before a fork, and its value is not in the child");
        self.value
    }
}

impl<T: IpcMessage> Deref for Draft<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: only this writer stores to the slot that it has opened, and it holds a valid `T`: any bits are one,
        // or `new` has placed one, and `place` vouches for its still being there.
        unsafe { &*self.place() }
    }
}

impl<T: IpcMessage> DerefMut for Draft<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `self` is borrowed uniquely. A reader that copies from here at the same time finds
        // the slot's mark afterwards and discards the copy (V1 in `ring/latest.rs`): nothing depends on what it saw.
        unsafe { &mut *self.place() }
    }
}

impl<T: IpcMessage + fmt::Debug> fmt::Debug for Draft<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Draft").field(&**self).finish()
    }
}
