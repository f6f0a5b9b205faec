//! The figures, for people and for programs.

use super::measure::Figure;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Smallest, middle and largest of the values.
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

fn spread(values: &[f64]) -> Spread {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 };
    Spread { min: at(0), median, max: at(sorted.len().wrapping_sub(1)) }
}

/// A table with a row per figure.
pub(crate) fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "work",
        "size",
        "capacity",
        "placement",
        "contestant",
        "median",
        "min - max",
        "n",
        "time relative to",
    ]);
    for figure in figures {
        let Spread { min, median, max } = spread(&figure.samples);
        let unit = if figure.work == "idle-cpu" { "%" } else { "ns" };
        let ratios: Vec<String> = figure
            .ratios
            .iter()
            .filter(|(_, ratios)| figure.contestant == "slipring" && !ratios.is_empty())
            .map(|(other, ratios)| format!("{} {:.3}", label(other), spread(ratios).median))
            .collect();
        table.add_row([
            figure.work.to_string(),
            format!("{} B", figure.size_bytes),
            figure.capacity.to_string(),
            figure.placement.to_string(),
            figure.contestant.to_string(),
            format!("{median:.3} {unit}"),
            format!("{min:.3} - {max:.3}"),
            figure.samples.len().to_string(),
            ratios.join(", "),
        ]);
    }
    for column in [1, 2, 5, 6, 7] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// One JSON object per line for every figure.
pub(crate) fn write_json(path: &Path, figures: &[Figure]) -> Result<(), Box<dyn Error>> {
    let mut out: Box<dyn Write> =
        if path.as_os_str() == "-" { Box::new(io::stdout()) } else { Box::new(File::create(path)?) };
    for figure in figures {
        let Spread { min, median, max } = spread(&figure.samples);
        let (metric, unit, value, min, max) = match figure.work {
            "one-way" => ("rate", "msg/s", 1e9 / median, 1e9 / max, 1e9 / min),
            "idle-cpu" => ("mean", "%", median, min, max),
            _ => ("mean", "ns", median, min, max),
        };
        let ratios: serde_json::Map<_, _> = figure
            .ratios
            .iter()
            .filter(|(_, ratios)| !ratios.is_empty())
            .map(|(other, ratios)| (label(other).to_string(), json!(spread(ratios).median)))
            .collect();
        let line = json!({
            "work": figure.work, "contestant": figure.contestant, "size_bytes": figure.size_bytes, "metric": metric,
            "value": value, "unit": unit, "min": min, "max": max, "n": figure.samples.len(),
            "capacity": figure.capacity, "placement": figure.placement, "time_relative_to": ratios,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn label(contestant: &str) -> &str {
    if contestant == "ring" { "limit" } else { contestant }
}
