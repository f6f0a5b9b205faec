//! A histogram of latencies in shared memory, in the buckets of HdrHistogram.
//!
//! Values from 0 to [`HIGHEST_NS`] are told apart to two significant digits: each bucket is at most 1/128 of its values
//! wide. Up to 255 every value has a counter of its own, from 256 on there are 128 counters for each power of two:
//!
//! ```text
//! value            0 .. 255      256 .. 511      512 .. 1023           2^41 .. 2^42 - 1
//! counter          0 .. 255      256 .. 383      384 .. 511    ...     4480 .. 4607
//! values for each  1             2               4                     2^34
//! ```
//!
//! That is what HdrHistogram has for a lowest discernible value of 1, this highest one, and two digits, counter by counter,
//! so its libraries can go on with the numbers.
//!
//! Zeroed memory, but for the head, is an empty histogram. Anyone may count at any time, and read at any time; a reader
//! sees each counter at some moment of its reading. Nothing is addressed by what is read here.

mod latency;

pub use latency::{Iter, Latency};

use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The form that is described here.
const FORMAT: u32 = 1;

/// Significant digits to which values are told apart.
pub(crate) const DIGITS: u32 = 2;

/// The lowest value that is told from 0.
pub(crate) const LOWEST_NS: u64 = 1;

/// The highest value that has a place: an hour. Whatever took longer has either been waiting for a receiver to be started,
/// or has a time from another clock.
pub(crate) const HIGHEST_NS: u64 = 3_600_000_000_000;

/// Bits of the values that have a counter each, and, less one, of the counters for a power of two.
const EXACT_BITS: u32 = 8;

/// Counters for each power of two.
const HALF: usize = 1 << (EXACT_BITS - 1);

/// Number of counters: up to the last one of the power of two that [`HIGHEST_NS`] lies in.
pub(crate) const COUNTERS: usize = index_of(HIGHEST_NS.next_power_of_two() - 1) + 1;

/// The shared words.
///
/// ```text
///   0  format         u32   1            32  total         u64
///   4  digits         u32   2            40  out_of_range  u64
///   8  lowest_ns      u64   1            48  max_ns        u64
///  16  highest_ns     u64                56  min_not       u64
///  24  counters       u64   4608         64  (zero)        64 bytes
///
/// 128  counts         u64 x counters
/// ```
///
/// The head, the first 32 bytes, is written by the creator and describes the rest to tools. All else is counted by
/// receivers, several at a time.
#[repr(C, align(128))]
pub(crate) struct Histogram {
    /// [`FORMAT`].
    format: AtomicU32,
    /// [`DIGITS`].
    digits: AtomicU32,
    /// [`LOWEST_NS`].
    lowest_ns: AtomicU64,
    /// [`HIGHEST_NS`].
    highest_ns: AtomicU64,
    /// [`COUNTERS`].
    counters: AtomicU64,
    /// How many values have been counted, for those who want to know only that. Each is added after its counter.
    total: AtomicU64,
    /// How many values were below 0 or above the highest, and are in none of the counters.
    out_of_range: AtomicU64,
    /// The highest value that has been counted.
    max_ns: AtomicU64,
    /// The complement of the lowest value that has been counted, which rises as that falls; 0 if there is none.
    min_not: AtomicU64,
    /// Zero.
    padding: [AtomicU64; 8],
    /// How often a value of each bucket has been counted.
    counts: [AtomicU64; COUNTERS],
}

const _: () = {
    assert!(COUNTERS == 4608);
    assert!(offset_of!(Histogram, digits) == 4);
    assert!(offset_of!(Histogram, lowest_ns) == 8);
    assert!(offset_of!(Histogram, highest_ns) == 16);
    assert!(offset_of!(Histogram, counters) == 24);
    assert!(offset_of!(Histogram, total) == HEAD_BYTES);
    assert!(offset_of!(Histogram, out_of_range) == 40);
    assert!(offset_of!(Histogram, max_ns) == 48);
    assert!(offset_of!(Histogram, min_not) == 56);
    assert!(offset_of!(Histogram, counts) == 128);
    assert!(size_of::<Histogram>() == 128 + 8 * COUNTERS);
};

/// Bytes of the head.
const HEAD_BYTES: usize = 32;

/// The head, to be written into a new segment.
pub(crate) fn head() -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&FORMAT.to_ne_bytes());
    head[4..8].copy_from_slice(&DIGITS.to_ne_bytes());
    head[8..16].copy_from_slice(&LOWEST_NS.to_ne_bytes());
    head[16..24].copy_from_slice(&HIGHEST_NS.to_ne_bytes());
    head[24..].copy_from_slice(&(COUNTERS as u64).to_ne_bytes());
    head
}

/// What a histogram held, word by word, when it was read.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) out_of_range: u64,
    pub(crate) max_ns: u64,
    pub(crate) min_ns: u64,
    /// [`COUNTERS`] of them.
    pub(crate) counts: Box<[u64]>,
}

impl Histogram {
    /// An empty histogram in memory of this process.
    pub(crate) fn own() -> Box<Self> {
        let zero = || AtomicU64::new(0);
        Box::new(Histogram {
            format: AtomicU32::new(FORMAT),
            digits: AtomicU32::new(DIGITS),
            lowest_ns: AtomicU64::new(LOWEST_NS),
            highest_ns: AtomicU64::new(HIGHEST_NS),
            counters: AtomicU64::new(COUNTERS as u64),
            total: zero(),
            out_of_range: zero(),
            max_ns: zero(),
            min_not: zero(),
            padding: [const { AtomicU64::new(0) }; 8],
            counts: [const { AtomicU64::new(0) }; COUNTERS],
        })
    }

    /// Counts the time from `sent_ns` to `received_ns`, two readings of the same clock unless the processes that took them
    /// see different ones.
    pub(crate) fn record(&self, sent_ns: u64, received_ns: u64) {
        // Relaxed, here and below: statistics, on which nothing else depends. Each word is right by itself, since every
        // change is a single read-modify-write.
        match received_ns.checked_sub(sent_ns).filter(|&latency_ns| latency_ns <= HIGHEST_NS) {
            None => {
                self.out_of_range.fetch_add(1, Ordering::Relaxed); // Relaxed: as above.
            }
            Some(latency_ns) => {
                self.counts[index_of(latency_ns)].fetch_add(1, Ordering::Relaxed); // Relaxed: as above.
                self.total.fetch_add(1, Ordering::Relaxed); // Relaxed: as above.
                raise(&self.max_ns, latency_ns);
                raise(&self.min_not, !latency_ns);
            }
        }
    }

    /// How many values have been counted.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed) // Relaxed: as in `record`.
    }

    /// Reads it all. `None` if the head is not that of the form which is described here.
    pub(crate) fn read(&self) -> Option<Counted> {
        // Relaxed, here and below: the head was there before the segment had a name, and for the others as in `record`.
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let is_known = [&self.format, &self.digits].map(|word| word.load(Ordering::Relaxed)) == [FORMAT, DIGITS] // Relaxed: as above.
            && [&self.lowest_ns, &self.highest_ns, &self.counters].map(load)
                == [LOWEST_NS, HIGHEST_NS, COUNTERS as u64];
        is_known.then(|| Counted {
            out_of_range: load(&self.out_of_range),
            max_ns: load(&self.max_ns),
            min_ns: Some(load(&self.min_not)).filter(|&not| not != 0).map_or(0, |not| !not),
            counts: self.counts.iter().map(load).collect(),
        })
    }
}

/// Makes `word` at least `value`. It rarely is less, and to look is cheaper than to change.
fn raise(word: &AtomicU64, value: u64) {
    // Relaxed, both: as in `Histogram::record`.
    if word.load(Ordering::Relaxed) < value {
        word.fetch_max(value, Ordering::Relaxed); // Relaxed: as above.
    }
}

/// The counter of a value, which is at most [`HIGHEST_NS`] or so.
const fn index_of(value: u64) -> usize {
    // Values of so many bits more than the exact ones share a counter by so many powers of two.
    let shift = (u64::BITS - (value | 1 << (EXACT_BITS - 1)).leading_zeros()).saturating_sub(EXACT_BITS);
    HALF * shift as usize + (value >> shift) as usize
}

/// The lowest and the highest of the values that share a counter, which is one of [`COUNTERS`].
pub(crate) fn values_of(index: usize) -> (u64, u64) {
    // The inverse of `index_of`: the part of the value that is kept has its highest bit set, unless it is exact.
    let shift = (index / HALF).saturating_sub(1);
    let lowest = ((index - HALF * shift) as u64) << shift;
    (lowest, lowest + (1 << shift) - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use hdrhistogram::Histogram as Hdr;
    use proptest::prelude::*;

    fn hdr() -> Hdr<u64> {
        Hdr::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS as u8).unwrap()
    }

    /// An empty histogram, as a new segment has it.
    fn empty() -> Box<Histogram> {
        with_head(head())
    }

    #[test]
    fn one_of_a_process_own_is_as_an_empty_one_in_a_new_segment() {
        let bytes = |histogram: &Histogram| {
            let start: *const u8 = core::ptr::from_ref(histogram).cast();
            // SAFETY: a histogram is words without padding, and nobody counts.
            unsafe { core::slice::from_raw_parts(start, size_of::<Histogram>()) }.to_vec()
        };
        assert_eq!(bytes(&Histogram::own()), bytes(&empty()));
    }

    fn with_head(head: [u8; HEAD_BYTES]) -> Box<Histogram> {
        let layout = std::alloc::Layout::new::<Histogram>();
        // SAFETY: the layout has bytes.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        // SAFETY: there are more bytes than the head has, and nobody else knows of them.
        unsafe { memory.copy_from_nonoverlapping(head.as_ptr(), HEAD_BYTES) };
        // SAFETY: the memory is laid out for a histogram, whose words may be any numbers.
        unsafe { Box::from_raw(memory.cast()) }
    }

    /// Latencies of every size, most of them near where buckets begin and end.
    fn latencies() -> impl Strategy<Value = u64> {
        let near_a_power = (0..42_u32, -3..4_i64).prop_map(|(bits, by)| (1_u64 << bits).saturating_add_signed(by));
        prop_oneof![near_a_power, 0..=HIGHEST_NS, 0..2000_u64].prop_map(|value| value.min(HIGHEST_NS))
    }

    #[test]
    fn there_are_as_many_counters_as_hdr_histogram_has() {
        assert_eq!(hdr().distinct_values(), COUNTERS);
        assert_eq!(values_of(COUNTERS - 1).1, (1 << 42) - 1);
    }

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        let mut next = 0;
        for index in 0..COUNTERS {
            let (lowest, highest) = values_of(index);
            assert_eq!(lowest, next);
            assert_eq!([index_of(lowest), index_of(highest)], [index; 2]);
            next = highest + 1;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn buckets_are_those_of_hdr_histogram(value in latencies()) {
            let hdr = hdr();
            let (lowest, highest) = values_of(index_of(value));
            prop_assert_eq!((lowest, highest), (hdr.lowest_equivalent(value), hdr.highest_equivalent(value)));
        }
    }

    #[test]
    fn what_is_no_latency_is_counted_apart() {
        let histogram = empty();
        for (sent, received) in [(1, 0), (u64::MAX, 0), (0, u64::MAX), (5, 5 + HIGHEST_NS + 1)] {
            histogram.record(sent, received);
        }
        let counted = histogram.read().unwrap();
        assert_eq!((counted.out_of_range, counted.min_ns, counted.max_ns), (4, 0, 0));
        assert!(counted.counts.iter().all(|&count| count == 0));
        histogram.record(5, 5 + HIGHEST_NS);
        histogram.record(7, 10);
        let counted = histogram.read().unwrap();
        assert_eq!((counted.out_of_range, counted.min_ns, counted.max_ns), (4, 3, HIGHEST_NS));
        assert_eq!((counted.counts[3], counted.counts[index_of(HIGHEST_NS)]), (1, 1));
        assert_eq!(histogram.total(), 2);
    }

    #[test]
    fn a_latency_of_zero_is_the_lowest() {
        let histogram = empty();
        histogram.record(9, 12);
        histogram.record(9, 9);
        let counted = histogram.read().unwrap();
        assert_eq!((counted.min_ns, counted.max_ns, counted.counts[0]), (0, 3, 1));
    }

    #[test]
    fn a_head_of_another_form_is_not_read() {
        for at in 0..HEAD_BYTES {
            let mut head = head();
            assert!(with_head(head).read().is_some());
            head[at] ^= 1;
            assert!(with_head(head).read().is_none(), "byte {at}");
        }
    }
}
