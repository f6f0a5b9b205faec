//! How long messages take: stamped with the time by those who send them, counted by those who receive them.
//!
//! Each slot of a channel with timestamps has a word for the time at which its message was published, which is written
//! like the payload and goes from owner to owner with it. What the times are good for is in the segment's histogram.
//!
//! A death leaves nothing to repair: a time without its message is overwritten with the next one, and a receiver that dies
//! between taking a message and counting it leaves one that is not counted.

use crate::atomics::AtomicU64;
use crate::histogram::Histogram;
use crate::layout::Side;
use crate::os;
use crate::segment::Segment;
use core::ptr::NonNull;
use core::sync::atomic::{self, Ordering};

/// What one end of a channel with timestamps needs, to stamp or to count.
pub(crate) struct Timing {
    /// Those on the first side stamp, those on the second count.
    side: Side,
    /// Bytes from the beginning of a message to the word with its time.
    offset: isize,
    /// Mapped for as long as the slots are.
    histogram: NonNull<Histogram>,
    /// When the message in this end's slot was received, if it was and the slot is not free yet.
    arrival_ns: Option<u64>,
}

// SAFETY: the histogram consists of atomics, which any thread may use.
unsafe impl Send for Timing {}
// SAFETY: as for `Send`; nothing is done through a shared reference.
unsafe impl Sync for Timing {}

impl Timing {
    /// For an end on `side`. `None` if the channel has no timestamps.
    pub(crate) fn new(segment: &Segment, side: Side) -> Option<Self> {
        let offset = segment.geometry().time_offset()?;
        let histogram = NonNull::from(segment.histogram()?);
        Some(Timing { side, offset, histogram, arrival_ns: None })
    }

    /// Notes that the message in this end's slot is received now. Otherwise it is when the slot is passed.
    pub(crate) fn note_arrival(&mut self) {
        self.arrival_ns = Some(os::monotonic_ns());
    }

    /// Whether this end counts messages; otherwise it stamps them.
    pub(crate) fn counts(&self) -> bool {
        self.side == Side::Second
    }

    /// Stamps the message of a slot with the present time.
    ///
    /// # Safety
    ///
    /// `payload` is where the message of a slot of the segment begins that this end owns, and the segment is mapped.
    pub(crate) unsafe fn stamp(&self, payload: NonNull<AtomicU64>) {
        // SAFETY: as the caller promises.
        let word = unsafe { self.word(payload) };
        // Relaxed: published with the payload, by the store that passes the slot.
        word.store(os::monotonic_ns(), Ordering::Relaxed);
    }

    /// Passes a slot by calling `pass`. Its message is stamped before that, or counted afterwards, when the other side has
    /// the slot already.
    ///
    /// # Safety
    ///
    /// As for [`stamp`](Timing::stamp), until `pass` is called.
    pub(crate) unsafe fn pass(&mut self, payload: NonNull<AtomicU64>, pass: impl FnOnce()) {
        if !self.counts() {
            // SAFETY: as the caller promises.
            unsafe { self.stamp(payload) };
            return pass();
        }
        // SAFETY: as the caller promises.
        let word = unsafe { self.word(payload) };
        // Relaxed: acquired with the payload.
        let sent_ns = word.load(Ordering::Relaxed);
        pass();
        let received_ns = self.arrival_ns.take().unwrap_or_else(os::monotonic_ns);
        // SAFETY: the histogram is mapped, as the slot is.
        unsafe { self.histogram.as_ref() }.record(sent_ns, received_ns);
    }

    /// The word with the time of a message.
    ///
    /// # Safety
    ///
    /// As for [`stamp`](Timing::stamp), for as long as the word is used.
    unsafe fn word<'a>(&self, payload: NonNull<AtomicU64>) -> &'a atomic::AtomicU64 {
        // SAFETY: the geometry has a word for the time at this distance from every message, in the same segment.
        let word = unsafe { payload.cast::<atomic::AtomicU64>().byte_offset(self.offset) };
        // SAFETY: the caller vouches for the mapping; slots and frames are aligned to words, and so is the distance.
        unsafe { word.as_ref() }
    }
}
