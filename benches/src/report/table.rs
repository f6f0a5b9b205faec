//! A table for every work, for the terminal.

use super::Row;
use comfy_table::{CellAlignment, Table, presets};

/// The works in the order in which they come, each with its table.
pub(crate) fn tables(rows: &[Row]) -> Vec<(String, Table)> {
    let mut tables: Vec<(String, Table)> = Vec::new();
    for row in rows.iter().filter(|row| row.is_main()) {
        if tables.last().is_none_or(|(work, _)| *work != row.work) {
            tables.push((row.work.clone(), empty()));
        }
        if let Some((_, table)) = tables.last_mut() {
            add(table, row);
        }
    }
    tables
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    let what = ["variant", "size", "capacity", "placement"];
    let who = ["contestant", "median", "min - max", "n", "p50", "p99", "CPU", "noted", "time relative to"];
    table.set_header(what.into_iter().chain(who));
    for column in [1, 2, 5, 6, 7, 8, 9, 10, 11] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn add(table: &mut Table, row: &Row) {
    let ratios = row.time_relative_to.iter().filter(|_| row.contestant == "slipring");
    let ratios: Vec<_> = ratios.map(|(other, ratio)| format!("{other} {:.3}", ratio.median)).collect();
    let percentile = |percentile| row.percentile(percentile).map_or_else(String::new, |value| show(value, "ns"));
    table.add_row([
        row.variant.clone(),
        size(row.size_bytes),
        row.capacity.to_string(),
        row.placement.clone(),
        row.contestant.clone(),
        show(row.value, &row.unit),
        format!("{} - {}", show(row.min, &row.unit), show(row.max, &row.unit)),
        row.n.to_string(),
        percentile(50.0),
        percentile(99.0),
        row.cpu_percent.map_or_else(String::new, |percent| format!("{percent:.0} %")),
        row.noted.to_string(),
        ratios.join(", "),
    ]);
}

/// A value with three digits, in the unit that a person reads it in.
pub(super) fn show(value: f64, unit: &str) -> String {
    let steps: &[(f64, &str)] = match unit {
        "ns" => &[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")],
        "msg/s" => &[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")],
        "B/s" => &[(1e9, "GB/s"), (1e6, "MB/s"), (1.0, "B/s")],
        "B" => &[(1024.0 * 1024.0, "MiB"), (1024.0, "KiB"), (1.0, "B")],
        _ => &[(1.0, "")],
    };
    let step = steps.iter().find(|(step, _)| value.abs() >= *step).or(steps.last());
    let (step, name) = step.copied().unwrap_or((1.0, ""));
    let name = if name.is_empty() { unit } else { name };
    let scaled = value / step;
    let digits = if unit == "%" && scaled < 1.0 {
        3
    } else {
        [(100.0, 0), (10.0, 1)].iter().find(|(from, _)| scaled >= *from).map_or(2, |(_, digits)| *digits)
    };
    format!("{scaled:.digits$} {name}")
}

/// A size of messages.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 0x10_0000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_with_three_digits() {
        assert_eq!(show(328.4, "ns"), "328 ns");
        assert_eq!(show(41_230.0, "ns"), "41.2 us");
        assert_eq!(show(59_300_000.0, "msg/s"), "59.3 M/s");
        assert_eq!(show(4.2e9, "B/s"), "4.20 GB/s");
        assert_eq!(show(0.0123, "%"), "0.012 %");
        assert_eq!(show(163_840.0, "B"), "160 KiB");
    }
}
