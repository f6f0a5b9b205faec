//! What was measured.

use super::plan::{Case, Metric};
use super::sample::Report;
use hdrhistogram::Histogram;

/// What was measured of one contestant in one case and placement.
pub(crate) struct Figure {
    /// Name of the work.
    pub(crate) work: &'static str,
    /// Which of its variants; empty if it has none.
    pub(crate) variant: String,
    /// Bytes of a message.
    pub(crate) size_bytes: usize,
    /// Messages that the channel holds.
    pub(crate) capacity: usize,
    /// What to make of the samples.
    pub(crate) metric: Metric,
    /// Who.
    pub(crate) contestant: &'static str,
    /// `near`, `far`, or what the case says instead.
    pub(crate) place: &'static str,
    /// Nanoseconds per piece of work, one for each round.
    pub(crate) samples: Vec<f64>,
    /// The same divided by that of each of these in the same round.
    pub(crate) ratios: Vec<(&'static str, Vec<f64>)>,
    /// What there was to note in all samples.
    pub(crate) notes: u64,
    /// How many processors were busy, all processes together, one for each round.
    pub(crate) busy: Vec<f64>,
    /// How long single pieces took in all samples, where each is timed.
    pub(crate) latency: Option<Histogram<u64>>,
}

impl Figure {
    /// Nothing yet.
    pub(crate) fn new(case: &Case, contestant: &'static str, place: &'static str) -> Self {
        Figure {
            work: case.work,
            variant: case.variant.clone(),
            size_bytes: case.size_bytes,
            capacity: case.capacity,
            metric: case.metric,
            contestant,
            place,
            samples: Vec::new(),
            ratios: Vec::new(),
            notes: 0,
            busy: Vec::new(),
            latency: None,
        }
    }

    /// Takes what there is to know of a sample beside its time.
    pub(crate) fn take(&mut self, report: &Report) {
        self.notes += report.notes;
        if report.wall_ns > 0 {
            self.busy.push(report.cpu_ns as f64 / report.wall_ns as f64);
        }
        match (&mut self.latency, &report.latency) {
            (Some(all), Some(latency)) => *all += latency,
            (None, Some(latency)) => self.latency = Some(latency.clone()),
            (_, None) => {}
        }
    }

    /// The samples in the unit of the metric.
    pub(crate) fn spread(&self) -> Spread {
        let Spread { min, median, max } = Spread::of(&self.samples);
        match self.metric {
            Metric::Mean | Metric::Bytes => Spread { min, median, max },
            Metric::Percent => Spread { min: 100.0 * min, median: 100.0 * median, max: 100.0 * max },
            // The slowest sample has the lowest rate.
            Metric::Rate => Spread { min: 1e9 / max, median: 1e9 / median, max: 1e9 / min },
            Metric::Bandwidth => {
                let bytes = self.size_bytes as f64 * 1e9;
                Spread { min: bytes / max, median: bytes / median, max: bytes / min }
            }
        }
    }
}

/// Smallest, middle and largest of some values.
#[derive(Debug, PartialEq)]
pub(crate) struct Spread {
    /// The smallest.
    pub(crate) min: f64,
    /// The one in the middle, or the mean of the two.
    pub(crate) median: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Of these values; NaN if there are none.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let (last, middle) = (sorted.len().wrapping_sub(1), sorted.len() / 2);
        let median = if sorted.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 };
        Spread { min: at(0), median, max: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 9.0]), Spread { min: 1.0, median: 3.0, max: 9.0 });
        assert!(Spread::of(&[]).median.is_nan());
    }
}
