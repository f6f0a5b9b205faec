//! A figure as it is written down and read again.

use crate::harness::figure::{Figure, Spread};
use crate::harness::machine::Run;
use crate::harness::plan::Metric;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was measured of one contestant in one case and placement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Name of the work.
    pub(crate) work: String,
    /// Which of its variants; empty if it has none.
    pub(crate) variant: String,
    /// Who.
    pub(crate) contestant: String,
    /// Bytes of a message.
    pub(crate) size_bytes: usize,
    /// `mean`, `p50`, `p99`, `p99.9`, `rate`, `bandwidth` or `size`.
    pub(crate) metric: String,
    /// The median of the samples; for a percentile, that of all messages.
    pub(crate) value: f64,
    /// What the value is in.
    pub(crate) unit: String,
    /// The smallest sample.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// Samples; for a percentile, messages.
    pub(crate) n: u64,
    /// Messages that the channel holds.
    pub(crate) capacity: usize,
    /// `near`, `far`, `mixed`, or what the work says instead.
    pub(crate) placement: String,
    /// What there was to note in all samples.
    pub(crate) noted: u64,
    /// The time that a piece of work took, divided by that of others in the same round.
    pub(crate) time_relative_to: BTreeMap<String, Ratio>,
    /// Percent of a processor that all its processes together used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_percent: Option<f64>,
    /// How long single pieces of work took: percentiles, and nanoseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) percentiles: Vec<(f64, f64)>,
    /// The run.
    pub(crate) run: Run,
}

/// The spread of a ratio over the rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    /// The middle one.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
}

/// Percentiles that have a row of their own.
const ROWS: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)];

/// Percentiles of a curve.
const CURVE: [f64; 14] = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.99];

impl Row {
    /// What tells a figure from all others.
    pub(crate) fn key(&self) -> (String, String, String, usize, usize, String, String) {
        let Row { work, variant, contestant, size_bytes, capacity, placement, metric, .. } = self.clone();
        (work, variant, contestant, size_bytes, capacity, placement, metric)
    }

    /// What tells a comparison from all others.
    pub(crate) fn case(&self) -> (&str, &str, usize, usize, &str) {
        (&self.work, &self.variant, self.size_bytes, self.capacity, &self.placement)
    }

    /// Whether this is what the work is about, and not a percentile beside it.
    pub(crate) fn is_main(&self) -> bool {
        !ROWS.iter().any(|(name, _)| *name == self.metric)
    }

    /// Whether less is better.
    pub(crate) fn less_is_better(&self) -> bool {
        !matches!(self.metric.as_str(), "rate" | "bandwidth")
    }

    /// The percentile, if pieces of work were timed by themselves.
    pub(crate) fn percentile(&self, percentile: f64) -> Option<f64> {
        self.percentiles.iter().find(|(own, _)| *own == percentile).map(|(_, value)| *value)
    }

    /// The rows of a figure: what the work is about comes first.
    pub(crate) fn of(figure: &Figure, run: &Run) -> Vec<Row> {
        let Spread { min, median, max } = figure.spread();
        let (metric, unit) = match figure.metric {
            Metric::Mean => ("mean", "ns"),
            Metric::Rate => ("rate", "msg/s"),
            Metric::Bandwidth => ("bandwidth", "B/s"),
            Metric::Percent => ("mean", "%"),
            Metric::Bytes => ("size", "B"),
        };
        let relative = |(other, ratios): &(&str, Vec<f64>)| {
            let Spread { min, median, max } = Spread::of(ratios);
            (other.to_string(), Ratio { median, min, max })
        };
        let busy = (!figure.busy.is_empty()).then(|| 100.0 * Spread::of(&figure.busy).median);
        let main = Row {
            work: figure.work.into(),
            variant: figure.variant.clone(),
            contestant: figure.contestant.into(),
            size_bytes: figure.size_bytes,
            metric: metric.into(),
            value: median,
            unit: unit.into(),
            min,
            max,
            n: figure.samples.len() as u64,
            capacity: figure.capacity,
            placement: figure.place.into(),
            noted: figure.notes,
            time_relative_to: figure.ratios.iter().map(relative).collect(),
            cpu_percent: busy,
            percentiles: figure.latency.as_ref().map(curve).unwrap_or_default(),
            run: run.clone(),
        };
        let percentile = |&(name, percentile): &(&str, f64)| {
            let latency = figure.latency.as_ref()?;
            let value = latency.value_at_percentile(percentile) as f64;
            Some(Row {
                metric: name.into(),
                value,
                unit: "ns".into(),
                min: latency.min() as f64,
                max: latency.max() as f64,
                n: latency.len(),
                time_relative_to: BTreeMap::new(),
                cpu_percent: None,
                percentiles: Vec::new(),
                ..main.clone()
            })
        };
        let percentiles: Vec<Row> = ROWS.iter().filter_map(percentile).collect();
        [main].into_iter().chain(percentiles).collect()
    }
}

/// The curve, as far as there are pieces of work enough: at least ten beyond each point.
fn curve(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    let beyond = |percentile: f64| latency.len() as f64 * (1.0 - percentile / 100.0);
    let points = CURVE.into_iter().filter(|&percentile| percentile <= 99.0 || beyond(percentile) >= 10.0);
    points.map(|percentile| (percentile, latency.value_at_percentile(percentile) as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::plan::{Case, Filing};
    use crate::harness::sample::{Report, histogram};

    #[test]
    fn a_figure_is_read_as_it_was_written() {
        let case = Case {
            work: "test",
            variant: "1x1".into(),
            size_bytes: 64,
            capacity: 4,
            metric: Metric::Mean,
            filing: Filing::ByLine,
            contestants: Vec::new(),
        };
        let mut figure = Figure::new(&case, "slipring", "near");
        let mut latency = histogram();
        (1..=100).for_each(|value| latency.record(value).expect("it is within the bounds"));
        figure.samples = vec![70.0, 80.0, 75.0];
        figure.ratios = vec![("limit", vec![1.5, 2.0, 1.0])];
        figure.take(&Report { cpu_ns: 150, wall_ns: 100, notes: 2, latency: Some(latency), ..Report::default() });
        let rows = Row::of(&figure, &Run::default());
        let metrics: Vec<_> = rows.iter().map(|row| (row.metric.as_str(), row.value)).collect();
        assert_eq!(metrics, [("mean", 75.0), ("p50", 50.0), ("p99", 99.0), ("p99.9", 100.0)]);
        assert_eq!((rows[0].cpu_percent, rows[0].noted), (Some(150.0), 2));
        assert_eq!(rows[0].time_relative_to["limit"].median, 1.5);
        for row in rows {
            let line = serde_json::to_string(&row).expect("it can be written");
            assert_eq!(serde_json::from_str::<Row>(&line).ok(), Some(row));
        }
    }
}
