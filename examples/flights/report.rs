//! What the program shows: tables for people, lines of JSON for programs.

use crate::messages::{Delays, Group, Key, Origin, Stats, Timing};
use crate::run::{Counted, Run};
use crate::stop::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Where the results go.
pub(crate) struct Output {
    people: Box<dyn Write>,
    programs: Option<Box<dyn Write>>,
}

impl Output {
    /// Opens the file for the figures, before the work, so that an error does not come after it. With `-`, standard
    /// output is left to them.
    pub(crate) fn open(json: Option<&Path>) -> Result<Self> {
        Ok(match json {
            None => Output { people: Box::new(io::stdout()), programs: None },
            Some(path) if path.as_os_str() == "-" => {
                Output { people: Box::new(io::stderr()), programs: Some(Box::new(io::stdout())) }
            }
            Some(path) => {
                let file = File::create(path).map_err(|error| {
                    format!("cannot write {}: {error}; give --json a file in a directory of yours", path.display())
                })?;
                Output { people: Box::new(io::stdout()), programs: Some(Box::new(file)) }
            }
        })
    }

    /// Where text for people goes.
    pub(crate) fn people(&mut self) -> &mut dyn Write {
        &mut *self.people
    }

    /// Writes the figures for programs, if they were asked for.
    pub(crate) fn write_figures(&mut self, figures: &[Figures]) -> Result<()> {
        let Some(out) = &mut self.programs else { return Ok(()) };
        for line in figures {
            writeln!(out, "{}", serde_json::to_string(line)?)?;
        }
        Ok(out.flush()?)
    }
}

/// The figures of one transport.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    example: &'static str,
    verified: Option<bool>,
    records: u64,
    rejected: u64,
    transport: &'static str,
    records_per_s: f64,
    latency_p50_ns: u64,
    latency_p99_ns: u64,
    latency_p99_9_ns: u64,
    cpu_s: f64,
    /// How many times as many records per second the first transport carries.
    ratio: f64,
}

impl Figures {
    /// The figures of several runs, each compared with the first.
    pub(crate) fn of(runs: &[Run], verified: Option<bool>) -> Vec<Self> {
        let first_per_s = runs.first().map_or(0.0, |run| per_s(&run.timing));
        let figures = runs.iter().map(|run| Figures {
            example: "flights",
            verified,
            records: run.counted.records,
            rejected: run.counted.rejected,
            transport: run.transport.name(),
            records_per_s: per_s(&run.timing),
            latency_p50_ns: run.timing.latency_p50_ns,
            latency_p99_ns: run.timing.latency_p99_ns,
            latency_p99_9_ns: run.timing.latency_p99_9_ns,
            cpu_s: run.cpu.as_secs_f64(),
            ratio: first_per_s / per_s(&run.timing),
        });
        figures.collect()
    }
}

/// Records per second. A run of no length is taken to be the shortest that the clock can tell.
fn per_s(timing: &Timing) -> f64 {
    timing.records as f64 / (timing.elapsed_ns.max(1) as f64 / 1e9)
}

/// Prints the aggregate.
pub(crate) fn print_groups(out: &mut dyn Write, groups: &[Group]) -> Result<()> {
    let header = [
        "",
        "flights",
        "can-\ncelled",
        "di-\nverted",
        "early",
        "on\ntime",
        "late",
        "very\nlate",
        "departure late\nby, minutes",
        "arrival late\nby, minutes",
    ];
    let mut table = table(&header);
    for Group { key, stats } in groups {
        let label = match key {
            Key::Carrier(code, name) => format!("{code} {name}"),
            Key::Origin(Origin::Ewr) => "EWR Newark".to_owned(),
            Key::Origin(Origin::Jfk) => "JFK John F. Kennedy".to_owned(),
            Key::Origin(Origin::Lga) => "LGA LaGuardia".to_owned(),
            Key::Hour(hour) => format!("{hour:02}:00"),
        };
        table.add_row(row(label, stats));
    }
    print(out, table)
}

fn row(label: String, stats: &Stats) -> Vec<String> {
    let mut row = vec![label];
    row.extend([stats.flights, stats.cancelled, stats.diverted].map(grouped));
    row.extend(stats.classes.map(grouped));
    row.extend([&stats.departure, &stats.arrival].map(range));
    row
}

/// Mean, least and greatest.
fn range(delays: &Delays) -> String {
    if delays.known == 0 {
        return "-".to_owned();
    }
    let mean_min = delays.sum_min as f64 / delays.known as f64;
    format!("{mean_min:.1} ({}..{})", delays.least_min, delays.greatest_min)
}

/// Prints what was counted, and whether it was checked.
pub(crate) fn print_summary(out: &mut dyn Write, counted: &Counted, verified: Option<bool>) -> Result<()> {
    let (records, rejected) = (grouped(counted.records), grouped(counted.rejected));
    let verdict = match verified {
        Some(true) => "verified: equal, bit for bit, to the aggregate of a single process",
        Some(false) => "NOT VERIFIED: different from the aggregate of a single process",
        None => "not compared with the aggregate of a single process (--no-verify)",
    };
    print(out, format_args!("{records} records, {rejected} rows rejected; {verdict}"))
}

/// Prints the transports side by side.
pub(crate) fn print_comparison(out: &mut dyn Write, figures: &[Figures]) -> Result<()> {
    let mut table = table(&["over", "records/s", "latency p50", "p99", "p99.9", "CPU seconds", "slipring carries"]);
    for line in figures {
        table.add_row(vec![
            line.transport.to_owned(),
            grouped(line.records_per_s as u64),
            time(line.latency_p50_ns),
            time(line.latency_p99_ns),
            time(line.latency_p99_9_ns),
            format!("{:.3}", line.cpu_s),
            format!("{:.2} x", line.ratio),
        ]);
    }
    let note = "Latency is from ingest's send to aggregate's receipt. At full speed that is mostly waiting in full channels; \
                --rate shows it without.";
    print(out, format_args!("{table}\n{note}"))
}

/// Prints how a run by hand went.
pub(crate) fn print_timing(out: &mut dyn Write, timing: &Timing) -> Result<()> {
    let latencies = [timing.latency_p50_ns, timing.latency_p99_ns, timing.latency_p99_9_ns].map(time);
    let [p50, p99, p99_9] = latencies;
    let (records, per_s) = (grouped(timing.records), grouped(per_s(timing) as u64));
    print(out, format_args!("{records} records, {per_s} per second; latency p50 {p50}, p99 {p99}, p99.9 {p99_9}"))
}

/// Where a run differs from what it should have come to.
pub(crate) fn explain_difference(run: &Run, expected: &Counted) -> String {
    let Counted { records, rejected, groups } = &run.counted;
    let group = groups.iter().zip(&expected.groups).find(|(found, expected)| found != expected);
    let group = group.map_or(String::new(), |(found, expected)| format!("; first {found:?} in place of {expected:?}"));
    format!(
        "over {} the aggregate has {records} records, {rejected} rejected rows and {} groups where a single process \
         finds {}, {} and {}{group}",
        run.transport.name(),
        groups.len(),
        expected.records,
        expected.rejected,
        expected.groups.len(),
    )
}

fn print(out: &mut dyn Write, text: impl fmt::Display) -> Result<()> {
    writeln!(out, "{text}").map_err(|error| format!("cannot write the results: {error}").into())
}

/// A table with text in its first column and numbers in the others.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time in the unit that fits it.
fn time(ns: u64) -> String {
    match ns {
        ..10_000 => format!("{ns} ns"),
        10_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000.. => format!("{:.1} ms", ns as f64 / 1e6),
    }
}
