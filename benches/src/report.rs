//! The figures, for people and for programs.

use crate::harness::figure::{Figure, Spread};
use crate::harness::plan::{Failure, Metric};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// A table with a row per figure.
pub(crate) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    let (what, who) = (["work", "size", "capacity", "placement"], ["contestant", "median", "min - max", "n", "noted"]);
    table.set_header(what.into_iter().chain(who).chain(["time relative to"]));
    for figure in figures {
        let Spread { min, median, max } = figure.spread();
        let ratios = figure.ratios.iter().filter(|_| figure.contestant == "slipring");
        let ratios: Vec<_> =
            ratios.map(|(other, ratios)| format!("{other} {:.3}", Spread::of(ratios).median)).collect();
        let (scale, unit) = scale(figure.metric);
        table.add_row([
            format!("{} {}", figure.work, figure.variant).trim_end().to_string(),
            format!("{} B", figure.size_bytes),
            figure.capacity.to_string(),
            figure.place.to_string(),
            figure.contestant.to_string(),
            format!("{:.3} {unit}", median / scale),
            format!("{:.3} - {:.3}", min / scale, max / scale),
            figure.samples.len().to_string(),
            figure.notes.to_string(),
            ratios.join(", "),
        ]);
    }
    for column in [1, 2, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// What a person reads a metric in.
fn scale(metric: Metric) -> (f64, &'static str) {
    match metric {
        Metric::Mean => (1.0, "ns"),
        Metric::Rate => (1e6, "M/s"),
        Metric::Bandwidth => (1e9, "GB/s"),
        Metric::Percent => (1.0, "%"),
    }
}

/// One JSON object per line for every figure.
pub(crate) fn write_json(path: &Path, figures: &[Figure]) -> Result<(), Failure> {
    let mut out: Box<dyn Write> =
        if path.as_os_str() == "-" { Box::new(io::stdout()) } else { Box::new(File::create(path)?) };
    for figure in figures {
        let Spread { min, median, max } = figure.spread();
        let (metric, unit) = match figure.metric {
            Metric::Mean => ("mean", "ns"),
            Metric::Rate => ("rate", "msg/s"),
            Metric::Bandwidth => ("bandwidth", "B/s"),
            Metric::Percent => ("mean", "%"),
        };
        let ratio = |ratios: &[f64]| {
            let Spread { min, median, max } = Spread::of(ratios);
            json!({ "median": median, "min": min, "max": max })
        };
        let ratios: serde_json::Map<_, _> =
            figure.ratios.iter().map(|(other, ratios)| (other.to_string(), ratio(ratios))).collect();
        let line = json!({
            "work": figure.work, "variant": figure.variant, "contestant": figure.contestant,
            "size_bytes": figure.size_bytes, "metric": metric, "value": median, "unit": unit, "min": min, "max": max,
            "n": figure.samples.len(), "capacity": figure.capacity, "placement": figure.place, "noted": figure.notes,
            "time_relative_to": ratios,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
