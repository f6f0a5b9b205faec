//! Which charts there are, and what of the figures they show.

use super::Row;
use super::draw::{Axis, Bar, Series, bars, lines};
use super::table::{show, size};
use crate::harness::plan::Failure;

/// A chart.
pub(crate) struct Chart {
    /// Name of its file, without the extension.
    pub(super) name: String,
    /// The work that it belongs to; `overview` for those that stand before all works.
    pub(super) work: &'static str,
    /// What to know when looking at it.
    pub(super) note: String,
    /// The picture.
    pub(super) svg: String,
}

/// The work of large messages, whose figures go on where those of messages by value end.
const LARGE: &str = "large-touched";

/// All charts for which there are figures.
pub(super) fn all(rows: &[Row]) -> Result<Vec<Chart>, Failure> {
    let mut charts = Vec::new();
    charts.extend(overview(rows)?);
    charts.extend(relative_to_limit(rows)?);
    charts.extend(against_size(rows, "round-trip", "round-trip", "latency-against-size")?);
    charts.extend(against_size(rows, "one-way", "one-way", "throughput-against-size")?);
    for work in ["round-trip", "round-trip-blocked", "wake", "open-loop", "service", "first-message"] {
        charts.extend(percentiles(rows, work)?);
    }
    for work in ["round-trip", "round-trip-blocked", "open-loop"] {
        charts.extend(processors(rows, work)?);
    }
    for work in ["shared-queue", "fan-in", "work-queue", "broadcast", "memory", "idle-cpu", "create", "attach"] {
        charts.extend(by_variant(rows, work)?);
    }
    Ok(charts)
}

/// The placement of which there is most: the one that charts show.
fn placement<'a>(rows: &[&'a Row]) -> &'a str {
    let count = |place: &str| rows.iter().filter(|row| row.placement == place && row.contestant == "slipring").count();
    let mut places: Vec<&str> = rows.iter().map(|row| row.placement.as_str()).collect();
    places.sort_by_key(|place| (usize::MAX - count(place), *place));
    places.first().copied().unwrap_or("near")
}

/// What the placement means, for people.
fn placed(place: &str) -> String {
    match place {
        "near" => "Cores near each other.".into(),
        "far" => "Cores far from each other.".into(),
        "mixed" => "The host moved the cores during every sample; good for order only.".into(),
        _ => String::new(),
    }
}

/// The main rows of a work, of one placement, for which `wanted` holds.
fn chosen<'a>(rows: &'a [Row], work: &str, wanted: impl Fn(&Row) -> bool) -> (Vec<&'a Row>, &'a str) {
    let all: Vec<&Row> = rows.iter().filter(|row| row.work == work && row.is_main() && wanted(row)).collect();
    let place = placement(&all);
    (all.into_iter().filter(|row| row.placement == place).collect(), place)
}

/// Bars with the value of each row, in order.
fn bars_of(rows: &[&Row]) -> Vec<Bar> {
    let mut rows = rows.to_vec();
    rows.sort_by(|one, other| {
        let order = one.value.total_cmp(&other.value);
        if one.less_is_better() { order } else { order.reverse() }
    });
    let bar = |row: &&Row| Bar {
        label: row.contestant.clone(),
        contestant: row.contestant.clone(),
        value: row.value,
        text: show(row.value, &row.unit),
    };
    rows.iter().map(bar).collect()
}

/// What somebody sees first: small messages there and back, one after the other, and a receiver that sleeps.
fn overview(rows: &[Row]) -> Result<Option<Chart>, Failure> {
    let panels = [
        (
            "round-trip",
            48,
            1024,
            "There and back, 48 bytes, both spinning (time, on a logarithmic scale; shorter is better)",
        ),
        (
            "one-way",
            64,
            1024,
            "Stream of 64-byte messages, one send each, 1,024 slots (rate, on a logarithmic scale; longer is better)",
        ),
        (
            "round-trip-blocked",
            48,
            1024,
            "There and back, 48 bytes, the receiver asleep (time, on a logarithmic scale; shorter is better)",
        ),
    ];
    let mut groups = Vec::new();
    let mut run = None;
    for (work, bytes, capacity, heading) in panels {
        let (own, place) = chosen(rows, work, |row| row.size_bytes == bytes && row.capacity == capacity);
        if let Some(row) = own.first() {
            let place = if place == "near" { "" } else { place };
            groups.push((format!("{heading} {place}").trim_end().to_string(), bars_of(&own)));
            run.get_or_insert(&row.run);
        }
    }
    let Some(run) = run else { return Ok(None) };
    let title = format!("Between two processes, {}, {}", run.date, run.kernel);
    let note = format!(
        "{}. The limit is what bounds the work: one bare cache line there and back, or a ring written by hand.",
        run.machine
    );
    Ok(Some(Chart { name: "overview".into(), work: "overview", note, svg: bars(&title, &groups)? }))
}

/// How close Slipring is to what bounds each work.
fn relative_to_limit(rows: &[Row]) -> Result<Option<Chart>, Failure> {
    let mut own: Vec<&Row> = rows.iter().filter(|row| row.contestant == "slipring" && row.is_main()).collect();
    let place = placement(&own);
    own.retain(|row| [place, "any"].contains(&row.placement.as_str()));
    let bar = |row: &&Row| {
        let ratio = row.time_relative_to.get("limit")?;
        let work = format!("{} {}", row.work, row.variant);
        let capacity = if row.work.starts_with("one-way") { format!(" / {}", row.capacity) } else { String::new() };
        Some(Bar {
            label: format!("{} {}{capacity}", work.trim_end(), size(row.size_bytes)),
            contestant: "slipring".into(),
            value: ratio.median,
            text: format!("{:.2} [{:.2} - {:.2}]", ratio.median, ratio.min, ratio.max),
        })
    };
    let bars_of: Vec<Bar> = own.iter().filter_map(bar).collect();
    if bars_of.is_empty() {
        return Ok(None);
    }
    let groups =
        [("Time of a piece of work, divided by the limit's in the same round; 1 is the limit".into(), bars_of)];
    let note = format!("Medians over rounds, and the range. {}", placed(place));
    let svg = bars("Slipring and the limit", &groups)?;
    Ok(Some(Chart { name: "ratio-to-limit".into(), work: "overview", note, svg }))
}

/// Latency or throughput against the size of messages: by value up to 4 KiB, in place beyond.
fn against_size(rows: &[Row], work: &'static str, large: &str, name: &str) -> Result<Option<Chart>, Failure> {
    let (small, place) = chosen(rows, work, |row| row.capacity == 1024);
    let beyond =
        rows.iter().filter(|row| row.work == LARGE && row.variant == large && row.is_main() && row.placement == place);
    let rate = work == "one-way";
    let mut series: Vec<Series> = Vec::new();
    for row in small.iter().copied().chain(beyond) {
        let value = if row.metric == "bandwidth" { row.value / row.size_bytes as f64 } else { row.value };
        let at = series.iter().position(|(name, _)| *name == row.contestant).unwrap_or_else(|| {
            series.push((row.contestant.clone(), Vec::new()));
            series.len() - 1
        });
        series[at].1.push((row.size_bytes as f64, value));
    }
    for (_, points) in &mut series {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    let sizes: Vec<f64> = series.iter().flat_map(|(_, points)| points).map(|point| point.0).collect();
    if sizes.iter().all(|size| *size == sizes[0]) {
        return Ok(None);
    }
    let x = Axis { name: "size of a message", marks: marks(&sizes), show: |value| size(value as usize) };
    let (title, y_name, show_y): (_, _, fn(f64) -> String) = if rate {
        ("Messages a second, sent one by one", "messages a second", |value| show(value, "msg/s"))
    } else {
        ("A message there and back", "time", |value| show(value, "ns"))
    };
    let y = Axis { name: y_name, marks: Vec::new(), show: show_y };
    let note = format!(
        "From 64 KiB on, messages are made and read in place where a way allows it, and touched in full. {}",
        placed(place)
    );
    Ok(Some(Chart { name: name.into(), work, note, svg: lines(title, x, y, &series)? }))
}

/// The values, once each.
fn marks(values: &[f64]) -> Vec<f64> {
    let mut marks = values.to_vec();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    // 48 would stand on top of 64.
    marks.retain(|mark| *mark != 48.0 || !values.contains(&64.0));
    marks
}

/// Percentile curves, one chart for each variant and size.
fn percentiles(rows: &[Row], work: &'static str) -> Result<Vec<Chart>, Failure> {
    let (own, place) = chosen(rows, work, |row| !row.percentiles.is_empty());
    let mut cases: Vec<(&str, usize)> = own.iter().map(|row| (row.variant.as_str(), row.size_bytes)).collect();
    cases.dedup();
    let mut charts = Vec::new();
    for (variant, bytes) in cases {
        if work == "round-trip" && ![48, 64, 1024].contains(&bytes) {
            continue;
        }
        let here = own.iter().filter(|row| row.variant == variant && row.size_bytes == bytes);
        let series: Vec<Series> = here.map(|row| (row.contestant.clone(), tail(&row.percentiles))).collect();
        let x = Axis {
            name: "percentile",
            marks: vec![2.0, 4.0, 10.0, 100.0, 1000.0, 10_000.0],
            show: |beyond| format!("{} %", 100.0 - 100.0 / beyond),
        };
        let y = Axis { name: "time", marks: Vec::new(), show: |value| show(value, "ns") };
        let what = format!("{work} {variant}");
        let title = format!("Percentiles: {}, {}", what.trim_end(), size(bytes));
        let file = format!("percentiles-{work}-{variant}-{bytes}").replace(['/', ' '], "").replace("--", "-");
        let note = placed(place);
        charts.push(Chart { name: file, work, note, svg: lines(&title, x, y, &series)? });
    }
    Ok(charts)
}

/// A curve from the median on, over what is beyond: one message in so many.
fn tail(percentiles: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let beyond = |&(percentile, value): &(f64, f64)| (100.0 / (100.0 - percentile), value.max(1.0));
    percentiles.iter().filter(|(percentile, _)| *percentile >= 50.0).map(beyond).collect()
}

/// How much of the processors is used.
fn processors(rows: &[Row], work: &'static str) -> Result<Option<Chart>, Failure> {
    let (own, place) = chosen(rows, work, |row| row.cpu_percent.is_some() && [48, 64].contains(&row.size_bytes));
    let mut groups: Vec<(String, Vec<Bar>)> = Vec::new();
    for row in own {
        let heading = format!("{} {}", row.variant, size(row.size_bytes)).trim_start().to_string();
        if groups.last().is_none_or(|(last, _)| *last != heading) {
            groups.push((heading, Vec::new()));
        }
        if let (Some((_, bars)), Some(percent)) = (groups.last_mut(), row.cpu_percent) {
            let (label, contestant) = (row.contestant.clone(), row.contestant.clone());
            bars.push(Bar { label, contestant, value: percent.max(0.01), text: show(percent, "%") });
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let note = format!("Percent of one processor, all processes together: 200 % are two that spin. {}", placed(place));
    let svg = bars(&format!("Processors used: {work}"), &groups)?;
    Ok(Some(Chart { name: format!("processors-{work}"), work, note, svg }))
}

/// Bars for each variant and size of a work.
fn by_variant(rows: &[Row], work: &'static str) -> Result<Option<Chart>, Failure> {
    let (own, place) = chosen(rows, work, |_| true);
    let capacities = own.iter().any(|row| row.capacity != own[0].capacity);
    let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in own {
        let slots = if capacities { format!(", {} slots", row.capacity) } else { String::new() };
        let heading = format!("{} {}{slots}", row.variant, size(row.size_bytes)).trim_start().to_string();
        match groups.iter_mut().find(|(own, _)| *own == heading) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((heading, vec![row])),
        }
    }
    if groups.is_empty() {
        return Ok(None);
    }
    let groups: Vec<_> = groups.iter().map(|(heading, rows)| (heading.clone(), bars_of(rows))).collect();
    let svg = bars(work, &groups)?;
    Ok(Some(Chart { name: work.into(), work, note: placed(place), svg }))
}
