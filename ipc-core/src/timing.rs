//! How long messages take: stamped with the time by those who send them, counted by those who receive them.
//!
//! Each slot of a channel with timestamps has a word for the time at which its message was published, which is written
//! like the payload and goes from owner to owner with it. What the times are good for is in the segment's histogram. A
//! lossy broadcast's has none: its subscribers store nothing to the segment, so each has one of its own.
//!
//! A latest value is not passed on: it is there, and grows old. What is counted is its age when a reader reads it first,
//! once for each reader and value. Readers store nothing to its slot, and copy its time along with it.
//!
//! A death leaves nothing to repair: a time without its message is overwritten with the next one, and a receiver that dies
//! between taking a message and counting it leaves one that is not counted.

use crate::atomics::AtomicU64;
use crate::histogram::{Histogram, Latency};
use crate::layout::Side;
use crate::os;
use crate::segment::Segment;
use core::ptr::NonNull;
use core::sync::atomic::{self, Ordering};

/// What one end of a channel with timestamps needs, to stamp or to count.
pub(crate) struct Timing {
    /// Bytes from the beginning of a message to the word with its time.
    offset: isize,
    /// Where those on the second side count. Those on the first stamp.
    tally: Option<Tally>,
    /// When the messages in this end's slots were received, if they were and the slots are not free yet.
    arrival_ns: Option<u64>,
}

/// Where latencies are counted.
enum Tally {
    /// In the segment, by all who receive. Mapped for as long as the slots are.
    Shared(NonNull<Histogram>),
    /// In memory of this end's own.
    Own(Box<Histogram>),
}

// SAFETY: the histogram consists of atomics, which any thread may use.
unsafe impl Send for Tally {}
// SAFETY: as for `Send`.
unsafe impl Sync for Tally {}

impl Tally {
    /// The histogram.
    ///
    /// # Safety
    ///
    /// The segment is mapped for as long as the reference is used.
    unsafe fn histogram(&self) -> &Histogram {
        match self {
            // SAFETY: as the caller promises.
            Tally::Shared(histogram) => unsafe { histogram.as_ref() },
            Tally::Own(histogram) => histogram,
        }
    }
}

impl Timing {
    /// For an end on `side`. `None` if the channel has no timestamps.
    pub(crate) fn new(segment: &Segment, side: Side) -> Option<Self> {
        let offset = segment.geometry().time_offset()?;
        // One that only reads the segment counts for itself.
        let shared = segment.histogram().filter(|_| segment.is_writable());
        let shared = || shared.map(|histogram| Tally::Shared(NonNull::from(histogram)));
        let tally = (side == Side::Second).then(|| shared().unwrap_or_else(|| Tally::Own(Histogram::own())));
        Some(Timing { offset, tally, arrival_ns: None })
    }

    /// Notes that the messages in this end's slots are received now. Otherwise each is when its slot is passed.
    pub(crate) fn note_arrival(&mut self) {
        self.arrival_ns = Some(os::monotonic_ns());
    }

    /// The arrival that was noted. It counts for the next slot alone; for more slots that were received at once it is noted
    /// again.
    pub(crate) fn arrival(&self) -> Option<u64> {
        self.arrival_ns
    }

    /// Notes an arrival again, for the next slot.
    pub(crate) fn note_arrival_again(&mut self, arrival_ns: Option<u64>) {
        self.arrival_ns = arrival_ns;
    }

    /// Whether this end counts messages; otherwise it stamps them.
    pub(crate) fn counts(&self) -> bool {
        self.tally.is_some()
    }

    /// What has been counted where this end counts. `None` if it does not count, or if the segment's histogram is of a form
    /// that this version does not know.
    ///
    /// # Safety
    ///
    /// The segment is mapped.
    pub(crate) unsafe fn latency(&self) -> Option<Latency> {
        // SAFETY: as the caller promises.
        let histogram = unsafe { self.tally.as_ref()?.histogram() };
        Some(Latency::new(histogram.read()?))
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

    /// The time of the message at `payload`, which is copied like the rest of it where it may change meanwhile.
    ///
    /// # Safety
    ///
    /// As for [`stamp`](Timing::stamp), except that the slot may be somebody else's.
    #[inline(always)]
    pub(crate) unsafe fn time_ns(&self, payload: NonNull<AtomicU64>) -> u64 {
        // SAFETY: as the caller promises.
        let word = unsafe { self.word(payload) };
        // Relaxed: acquired with the payload, or doubted with it.
        word.load(Ordering::Relaxed)
    }

    /// Counts a message that was sent at `sent_ns` and is received now.
    ///
    /// # Safety
    ///
    /// The segment is mapped.
    #[cold]
    pub(crate) unsafe fn count(&self, sent_ns: u64) {
        if let Some(tally) = &self.tally {
            // SAFETY: as the caller promises.
            unsafe { tally.histogram() }.record(sent_ns, os::monotonic_ns());
        }
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
        unsafe {
            self.receive(payload, || {
                pass();
                true
            })
        };
    }

    /// Receives the message of a slot by calling `accept`, and counts it afterwards if that has returned that it was.
    ///
    /// # Safety
    ///
    /// `payload` is where the message of a slot of the segment begins, which is mapped. If others may store to the slot
    /// before `accept` is called, that finds it out and returns `false`.
    pub(crate) unsafe fn receive(&mut self, payload: NonNull<AtomicU64>, accept: impl FnOnce() -> bool) -> bool {
        // SAFETY: as the caller promises.
        let word = unsafe { self.word(payload) };
        // Relaxed: acquired with the payload, or found to be another message's with it.
        let sent_ns = word.load(Ordering::Relaxed);
        let is_accepted = accept();
        if is_accepted {
            // SAFETY: the segment is mapped, as the caller promises.
            unsafe { self.count_arrived(sent_ns) };
        } else {
            self.arrival_ns = None;
        }
        is_accepted
    }

    /// Counts a message that was sent at `sent_ns` and received when [`note_arrival`](Timing::note_arrival) was called, or now.
    ///
    /// # Safety
    ///
    /// The segment is mapped.
    pub(crate) unsafe fn count_arrived(&mut self, sent_ns: u64) {
        let arrival_ns = self.arrival_ns.take();
        if let Some(tally) = &self.tally {
            let received_ns = arrival_ns.unwrap_or_else(os::monotonic_ns);
            // SAFETY: as the caller promises.
            unsafe { tally.histogram() }.record(sent_ns, received_ns);
        }
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
