//! A reading end of a latest value.

use crate::error::{Corrupt, Peer, ReadError, WaitNewerError};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::layout::Side;
use crate::liveness;
use crate::message::IpcMessage;
use crate::ring::Evidence;
use crate::ring::latest as ring;
use crate::ring::latest::Outcome;
use crate::station::{Blocked, Patience, Station};
use crate::timing::Timing;
use crate::words;
use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;
use std::thread;

/// How often to let the processor go and try again when the writer has overtaken a whole round of attempts. It is a
/// bound and not a tuning knob: to be overtaken in one round already takes a writer that is several times faster than a
/// copy.
const ROUNDS: usize = 1000;

/// How many bytes to copy in vain at most, where values are large: a call that somebody foils on purpose ends all the
/// same.
const ROUND_BYTES: usize = 64 << 20;

/// A reading end of a latest value.
///
/// All methods copy the value out of the segment and validate the copy. They are sound whatever the writer does, and
/// never return a torn value. The reader remembers the version of the value that it returned last; *newer* means newer
/// than that. A reader never sees versions go backwards.
pub struct Reader<T> {
    ring: ring::Reader,
    /// Version of the value that was returned last.
    seen: u64,
    /// What [`read_ref`](Reader::read_ref) gives out.
    buffer: Option<Box<MaybeUninit<T>>>,
    /// Version of the valid value in `buffer`, 0 if there is none.
    buffered: u64,
    /// Of a channel with timestamps.
    timing: Option<Timing>,
    station: Station,
}

impl<T: IpcMessage> Reader<T> {
    pub(super) fn new((station, ring): (Station, ring::Reader)) -> Self {
        let timing = Timing::new(station.segment(), Side::Second);
        Reader { ring, seen: 0, buffer: None, buffered: 0, timing, station }
    }

    /// Reads the newest value. Returns `Ok(None)` if none has been written yet.
    ///
    /// It does not wait. It does not check whether the writer still lives; use [`writer`](Reader::writer) for that. For
    /// large values use [`read_ref`](Reader::read_ref).
    ///
    /// # Errors
    ///
    /// - [`ReadError::Corrupt`] if the value is invalid, or the segment is damaged.
    /// - [`ReadError::Overtaken`] if the writer overwrote the value during every one of many attempts, which takes a
    ///   writer that is several times faster than a copy.
    /// - [`ReadError::Forked`] in a forked child.
    ///
    /// ```
    /// # let level = ipc_core::Latest::<u32>::new("read").domain(format!("doc-{}", std::process::id()));
    /// let (mut writer, mut reader) = (level.writer()?, level.reader()?);
    /// assert_eq!(reader.read()?, None);
    /// writer.write(6)?;
    /// writer.write(7)?;
    /// assert_eq!(reader.read()?, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn read(&mut self) -> Result<Option<T>, ReadError> {
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: `copy` has room for a `T`, which is what the channel was opened for.
        let version = unsafe {
            fetch(&self.ring, self.timing.as_ref(), &mut self.seen, copy.as_mut_ptr().cast(), size_of::<T>())
        }?;
        if version == 0 {
            return nothing(&self.station);
        }
        // SAFETY: `fetch` has returned a version, and so has initialised every byte.
        unsafe { validate(copy.as_ptr()) }?;
        // SAFETY: every byte is initialised, and `validate` has found these to be a `T`.
        Ok(Some(unsafe { copy.assume_init() }))
    }

    /// Reads the newest value if this reader has not returned it yet. Otherwise returns `Ok(None)`, at the cost of one
    /// load.
    ///
    /// # Errors
    ///
    /// As for [`read`](Reader::read).
    ///
    /// ```
    /// # let level = ipc_core::Latest::<u32>::new("newer").domain(format!("doc-{}", std::process::id()));
    /// let (mut writer, mut reader) = (level.writer()?, level.reader()?);
    /// writer.write(7)?;
    /// assert_eq!(reader.read_if_newer()?, Some(7));
    /// assert_eq!(reader.read_if_newer()?, None);
    /// assert_eq!(reader.read()?, Some(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn read_if_newer(&mut self) -> Result<Option<T>, ReadError> {
        // Where there is nothing, reading finds out why.
        if self.is_newer() || self.seen == 0 { self.read() } else { Ok(None) }
    }

    /// Waits for at most `limit` for a newer value, and reads it. Returns `Ok(None)` if none came in time.
    ///
    /// It returns at once if a newer value is there already. [`Duration::MAX`] means no limit.
    ///
    /// # Errors
    ///
    /// - [`WaitNewerError::Closed`] if there is no newer value and the writer has closed.
    /// - [`WaitNewerError::WriterDied`] if there is no newer value and the writer died; once for each writer that died.
    /// - [`WaitNewerError::Read`] as for [`read`](Reader::read).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let level = ipc_core::Latest::<u32>::new("wait").domain(format!("doc-{}", std::process::id()));
    /// # let (mut writer, mut reader) = (level.writer()?, level.reader()?);
    /// # let program = std::thread::spawn(move || writer.write(7));
    /// // The writer is another program.
    /// let value = reader.wait_newer(Duration::from_secs(10))?;
    /// assert_eq!(value, Some(7));
    /// # program.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_newer(&mut self, limit: Duration) -> Result<Option<T>, WaitNewerError> {
        if self.poll(limit)? { Ok(self.read()?) } else { Ok(None) }
    }

    /// Waits for at most `limit` for a newer value, without reading it. Returns whether there is one.
    ///
    /// A `limit` of zero does not wait.
    ///
    /// # Errors
    ///
    /// As for `wait_newer`.
    pub fn poll(&mut self, limit: Duration) -> Result<bool, WaitNewerError> {
        if !self.station.is_forked() && self.is_newer() {
            return Ok(true);
        }
        wait_newer(&mut self.station, &mut self.ring, self.seen, limit)
    }

    /// Copies the newest value into a buffer on the heap, and returns a reference to it. Returns `Ok(None)` if none has
    /// been written yet.
    ///
    /// Use it for values that are too large to move. The first call allocates the buffer. If the value has not changed
    /// since the last call, nothing is copied.
    ///
    /// # Errors
    ///
    /// As for [`read`](Reader::read).
    pub fn read_ref(&mut self) -> Result<Option<&T>, ReadError> {
        let buffer = self.buffer.get_or_insert_with(Box::new_uninit);
        if self.buffered == 0 || self.buffered != self.ring.version() {
            // Whatever goes wrong below leaves no value behind.
            self.buffered = 0;
            // SAFETY: the buffer has room for a `T`, which is what the channel was opened for.
            let version = unsafe {
                fetch(&self.ring, self.timing.as_ref(), &mut self.seen, buffer.as_mut_ptr().cast(), size_of::<T>())
            }?;
            if version == 0 {
                return nothing(&self.station);
            }
            // SAFETY: `fetch` has returned a version, and so has initialised every byte.
            unsafe { validate(buffer.as_ptr()) }?;
            self.buffered = version;
        }
        self.seen = self.buffered;
        // SAFETY: `buffered` is not 0, so every byte was initialised, and found to be a `T`.
        Ok(Some(unsafe { buffer.assume_init_ref() }))
    }

    /// The version of the value that this reader returned last, or 0 if there is none.
    ///
    /// The first value has version 1, and each write adds 1. So the difference of two versions is a number of writes.
    pub fn version(&self) -> u64 {
        self.seen
    }

    /// The live writer, or `None` if there is none. It makes a system call.
    pub fn writer(&self) -> Option<Peer> {
        if self.station.is_forked() {
            return None;
        }
        let segment = self.station.segment();
        liveness::first_living(segment, Side::First.lines_of(segment.geometry())).map(|(_, peer)| peer)
    }

    /// The channel's actual options, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.station.info()
    }

    /// Whether there is a value newer than the one that was returned last. Versions rise; if this one fell, something
    /// is wrong, and reading will tell.
    #[inline(always)]
    fn is_newer(&self) -> bool {
        self.ring.version() != self.seen
    }
}

/// Ready when there is a newer value.
impl<T> Sealed for Reader<T> {
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

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.station.close();
        // A value is never undelivered.
        self.station.leave(|| true);
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("channel", &self.station.info().name).finish_non_exhaustive()
    }
}

/// Copies the newest value, of `len` bytes, to `to` and returns its version; 0, and perhaps half of something at `to`,
/// if there is none. `seen` becomes that version, and if it was another one and there is a `timing`, the value is
/// counted.
///
/// # Safety
///
/// `to` is writable for `len` bytes, and the ring is one of values that are not smaller. `timing` is that of its
/// segment.
#[inline(always)]
pub(crate) unsafe fn fetch(
    ring: &ring::Reader,
    timing: Option<&Timing>,
    seen: &mut u64,
    to: *mut u8,
    len: usize,
) -> Result<u64, ReadError> {
    // SAFETY: as promised by the caller.
    let (mut outcome, mut sent_ns) = unsafe { attempt(ring, timing, to, len) };
    if outcome == Outcome::Again {
        // SAFETY: as promised by the caller.
        (outcome, sent_ns) = unsafe { attempt_patiently(ring, timing, to, len) };
    }
    let version = match outcome {
        Outcome::Value(version) => version,
        Outcome::Nothing => return Ok(0),
        Outcome::Broken(evidence) => return Err(broken(evidence)),
        Outcome::Again => return Err(ReadError::Overtaken),
    };
    if let Some(timing) = timing.filter(|_| version != *seen) {
        // SAFETY: the segment is mapped, as the ring is.
        unsafe { timing.count(sent_ns) };
    }
    *seen = version;
    Ok(version)
}

/// Makes more attempts, when a round of them was in vain.
///
/// # Safety
///
/// As for [`fetch`].
#[cold]
#[inline(never)]
unsafe fn attempt_patiently(ring: &ring::Reader, timing: Option<&Timing>, to: *mut u8, len: usize) -> (Outcome, u64) {
    for _ in 0..(ROUND_BYTES / len.max(1)).clamp(4, ROUNDS) {
        thread::yield_now();
        // SAFETY: as promised by the caller.
        let attempted = unsafe { attempt(ring, timing, to, len) };
        if attempted.0 != Outcome::Again {
            return attempted;
        }
    }
    (Outcome::Again, 0)
}

/// One round of attempts to copy the newest value to `to`. With it comes its time, if it has one.
///
/// # Safety
///
/// As for [`fetch`].
#[inline(always)]
unsafe fn attempt(ring: &ring::Reader, timing: Option<&Timing>, to: *mut u8, len: usize) -> (Outcome, u64) {
    let mut sent_ns = 0;
    let outcome = ring.read(|slot| {
        // SAFETY: a slot starts at a multiple of 8 bytes and has room for a value in whole words, which the geometry
        // ensures; the caller vouches for `to`.
        unsafe { words::load(slot.as_ptr().cast(), to, len) };
        if let Some(timing) = timing {
            // SAFETY: the slot is one of the segment, which is mapped.
            sent_ns = unsafe { timing.time_ns(slot) };
        }
    });
    (outcome, sent_ns)
}

/// Waits at most `limit` until the version is another one than `seen`.
pub(crate) fn wait_newer(
    station: &mut Station,
    ring: &mut ring::Reader,
    seen: u64,
    limit: Duration,
) -> Result<bool, WaitNewerError> {
    match station.wait(Patience::from_timeout(limit), ring, |ring, _| Ok(ring.version() != seen), |_, _| true) {
        Ok(()) => Ok(true),
        Err(Blocked::Timeout) => Ok(false),
        Err(Blocked::Closed) => Err(WaitNewerError::Closed),
        Err(Blocked::Died(peer)) => Err(WaitNewerError::WriterDied(peer)),
        Err(Blocked::Corrupt(corrupt)) => Err(WaitNewerError::Read(corrupt.into())),
        // Values are copied out: there is nothing that a hardened reader refuses.
        Err(Blocked::Evicted) => Err(WaitNewerError::Read(ReadError::Evicted)),
        Err(Blocked::Forked | Blocked::Hardened) => Err(WaitNewerError::Read(ReadError::Forked)),
    }
}

/// Says why there is no value: because none has been written, or because the memory of a forked child's handles is
/// blank. Asked nowhere else, so that to read a value costs no look at that.
#[cold]
fn nothing<V>(station: &Station) -> Result<Option<V>, ReadError> {
    if station.is_forked() { Err(ReadError::Forked) } else { Ok(None) }
}

#[cold]
fn broken(Evidence { slot, found, expected }: Evidence) -> ReadError {
    ReadError::Corrupt(Corrupt::Stamp { slot, found, expected })
}

/// Whether the bytes of a copy are a value.
///
/// # Safety
///
/// `copy` leads to `size_of::<T>()` initialised bytes.
#[inline(always)]
unsafe fn validate<T: IpcMessage>(copy: *const T) -> Result<(), Corrupt> {
    if !T::ANY_BITS {
        // SAFETY: as promised by the caller.
        unsafe { T::validate(copy) }?;
    }
    Ok(())
}
