//! How long messages took, as it was counted.

use super::{Counted, values_of};
use core::fmt;

/// How long messages took, from being sent to being received, in nanoseconds.
///
/// Latencies are told apart to two significant digits, in the buckets of
/// [HdrHistogram](https://hdrhistogram.github.io/HdrHistogram/), which also says how quantiles and means are computed from
/// them. With the feature `hdrhistogram`, one can be made of this: `hdrhistogram::Histogram::from(&latency)`.
#[derive(Clone)]
pub struct Latency {
    counted: Counted,
    count: u64,
}

impl Latency {
    pub(crate) fn new(counted: Counted) -> Self {
        // The words come from a segment, so they may be anything.
        let count = counted.counts.iter().fold(0, |sum: u64, &count| sum.saturating_add(count));
        Latency { counted, count }
    }

    /// How many messages it is about.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many messages are not in here, because they took less than nothing or more than an hour. Below nothing, the sender
    /// and the receiver are in different time namespaces, or the message is damaged.
    pub fn out_of_range(&self) -> u64 {
        self.counted.out_of_range
    }

    /// The shortest latency, to the nanosecond; 0 if there is none.
    pub fn min_ns(&self) -> u64 {
        self.counted.min_ns
    }

    /// The longest latency, to the nanosecond; 0 if there is none.
    pub fn max_ns(&self) -> u64 {
        self.counted.max_ns
    }

    /// The mean, in nanoseconds; 0 if there is no latency. Every latency counts as the middle of its bucket.
    pub fn mean_ns(&self) -> f64 {
        let middle = |index| {
            let (lowest, highest) = values_of(index);
            (lowest + (highest - lowest).div_ceil(2)) as f64
        };
        let weighted = |(index, count)| middle(index) * count as f64 / self.count as f64;
        self.recorded().map(weighted).sum()
    }

    /// The latency, in nanoseconds, that a part `quantile` of the messages did not exceed: the highest value of its bucket,
    /// for 0 the lowest one. 0 if there is no latency.
    ///
    /// A quantile is from 0 to 1 (0.99 for what is called p99); what is beyond is taken for the nearer end.
    pub fn value_at_quantile(&self, quantile: f64) -> u64 {
        let wanted = ((quantile.min(1.0) * self.count as f64).ceil() as u64).max(1);
        let mut passed: u64 = 0;
        for (index, count) in self.recorded() {
            passed = passed.saturating_add(count);
            if passed >= wanted {
                let (lowest, highest) = values_of(index);
                return if quantile == 0.0 { lowest } else { highest };
            }
        }
        // In floating point, a count of more than 2^53 may be less than the whole of it.
        self.recorded().last().map_or(0, |(index, _)| values_of(index).1)
    }

    /// The buckets that there are latencies in, in ascending order: the highest value of each, in nanoseconds, and how many
    /// it holds.
    pub fn iter(&self) -> Iter<'_> {
        Iter { counts: self.counted.counts.iter().enumerate() }
    }

    fn recorded(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.counted.counts.iter().copied().enumerate().filter(|&(_, count)| count != 0)
    }
}

impl<'a> IntoIterator for &'a Latency {
    type Item = (u64, u64);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency")
            .field("count", &self.count)
            .field("out_of_range", &self.out_of_range())
            .field("min_ns", &self.min_ns())
            .field("median_ns", &self.value_at_quantile(0.5))
            .field("max_ns", &self.max_ns())
            .finish_non_exhaustive()
    }
}

/// The buckets of a [`Latency`] that are not empty. Made by [`Latency::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    counts: core::iter::Enumerate<core::slice::Iter<'a, u64>>,
}

impl Iterator for Iter<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let (index, &count) = self.counts.find(|&(_, &count)| count != 0)?;
        Some((values_of(index).1, count))
    }
}

/// The same latencies, for all that the library can do with them. It knows each by its bucket.
#[cfg(feature = "hdrhistogram")]
impl From<&Latency> for hdrhistogram::Histogram<u64> {
    fn from(latency: &Latency) -> Self {
        use crate::histogram::{DIGITS, HIGHEST_NS, LOWEST_NS};
        let Ok(mut histogram) = hdrhistogram::Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS as u8) else {
            unreachable!("the bounds are ones that the library has histograms for")
        };
        for (value, count) in latency {
            // The two have the same buckets, so each of them has its place. The last ones lie beyond the bounds and do too.
            histogram.saturating_record_n(value, count);
        }
        histogram
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::histogram::{COUNTERS, DIGITS, HIGHEST_NS, LOWEST_NS};
    use hdrhistogram::Histogram as Hdr;
    use proptest::prelude::*;

    /// The latencies, and what the library makes of the same.
    fn pair(latencies: &[(u64, u64)]) -> (Latency, Hdr<u64>) {
        let mut hdr = Hdr::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS as u8).unwrap();
        let mut counts = vec![0; COUNTERS];
        for &(value, count) in latencies {
            hdr.record_n(value, count).unwrap();
            let index = (0..COUNTERS).find(|&index| values_of(index).1 >= value).unwrap();
            counts[index] += count;
        }
        let values = || latencies.iter().map(|&(value, _)| value);
        let (min_ns, max_ns) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
        (Latency::new(Counted { out_of_range: 0, max_ns, min_ns, counts: counts.into() }), hdr)
    }

    fn latencies() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let value = prop_oneof![0..600_u64, 0..1_000_000_u64, 0..=HIGHEST_NS];
        prop::collection::vec((value, 1..50_u64), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn figures_are_those_of_hdr_histogram(latencies in latencies(), quantile in -0.1..1.1_f64) {
            let (ours, hdr) = pair(&latencies);
            prop_assert_eq!(ours.count(), hdr.len());
            for quantile in [quantile, 0.0, 0.5, 0.9, 0.99, 0.999, 1.0] {
                prop_assert_eq!(ours.value_at_quantile(quantile), hdr.value_at_quantile(quantile), "{}", quantile);
            }
            prop_assert!((ours.mean_ns() - hdr.mean()).abs() <= hdr.mean() * 1e-9, "{} {}", ours.mean_ns(), hdr.mean());
            let theirs = hdr.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value()));
            prop_assert_eq!(ours.iter().collect::<Vec<_>>(), theirs.collect::<Vec<_>>());
            let (min, max) = (hdr.lowest_equivalent(ours.min_ns()), hdr.highest_equivalent(ours.max_ns()));
            prop_assert_eq!((min, max), (hdr.min(), if latencies.is_empty() { max } else { hdr.max() }));
            #[cfg(feature = "hdrhistogram")]
            prop_assert_eq!(Hdr::from(&ours).iter_recorded().collect::<Vec<_>>(), hdr.iter_recorded().collect::<Vec<_>>());
        }
    }

    #[test]
    fn counters_that_say_anything_are_survived() {
        for word in [u64::MAX, u64::MAX / 2, 1 << 63] {
            let counts = vec![word; COUNTERS].into();
            let latency = Latency::new(Counted { out_of_range: word, max_ns: word, min_ns: word, counts });
            assert_eq!(latency.count(), u64::MAX);
            assert_eq!(latency.value_at_quantile(f64::NAN), latency.value_at_quantile(1.0));
            assert!(latency.value_at_quantile(0.5) <= latency.value_at_quantile(1.0));
            assert_eq!(latency.iter().count(), COUNTERS);
            assert!(latency.mean_ns().is_finite());
            assert!(format!("{latency:?}").contains("count: 18446744073709551615"));
            #[cfg(feature = "hdrhistogram")]
            assert_eq!(Hdr::from(&latency).len(), u64::MAX);
        }
    }
}
