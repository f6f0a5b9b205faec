//! The page: everything in one file, which needs nothing from elsewhere.

use super::charts::Chart;
use super::row::{Ratio, Row};
use super::table::{show, size};
use crate::harness::machine::{Run, versions};
use crate::harness::plan::Failure;
use crate::works;
use std::fmt::Write;

/// What each contestant is, and how it is used.
const CONTESTANTS: [(&str, &str); 24] = [
    (
        "slipring",
        "exclusive queues, and the other kinds where a work is about them; every option as it is by default, but for the capacity",
    ),
    (
        "limit",
        "what bounds the work: one word in one cache line written in turns; a single-producer ring written by hand, with an index a side and private copies of the other side's; memory mapped and nothing else. It cannot be used for anything: nobody survives anything, nobody sleeps, nobody is told",
    ),
    ("pipe", "a pipe as it comes (64 KiB), a read and a write for each message"),
    ("pipe-enlarged", "the same with a buffer of 1 MiB (F_SETPIPE_SZ)"),
    ("unix-stream", "a pair of Unix stream sockets"),
    ("unix-seqpacket", "a pair of Unix sockets that keep the ends of messages"),
    ("tcp", "a connection over the loopback interface, TCP_NODELAY"),
    ("posix-mq", "a POSIX message queue with 10 places of 8 KiB, which is what anybody may have by default"),
    ("futex", "a mailbox in shared memory for one message, and a futex"),
    ("eventfd", "the same, and an eventfd"),
    ("seqlock", "a value behind a stamp that is odd while it is written; a writer starves its readers"),
    (
        "iceoryx2",
        "publish-subscribe (request-response for services), zero-copy, polling; no overflow, and a publisher that waits, so that nothing is lost; a buffer as large as the case's capacity",
    ),
    ("shmem-ipc", "its ring buffer over shared memory, polling: its eventfds are not used"),
    ("ipc-channel", "channels of bytes, met over a one-shot server"),
    (
        "hand-made",
        "what one writes by hand with shared_memory and raw_sync: a ring in a mapping, a process-shared mutex, an event a side",
    ),
    ("rtrb-threads", "a single-producer ring between two threads of one process, polling"),
    ("crossbeam-threads", "a bounded crossbeam-channel between threads of one process"),
    ("kanal-threads", "a bounded kanal channel between threads of one process"),
    ("python-queue", "multiprocessing.Queue, bytes"),
    ("python-simple-queue", "multiprocessing.SimpleQueue, bytes"),
    ("python-pipe", "multiprocessing.Pipe, send_bytes and recv_bytes"),
    ("python-pool", "multiprocessing.Pool, chunks of 1"),
    ("python-pool-100", "multiprocessing.Pool, chunks of 100"),
    ("python-executor", "ProcessPoolExecutor"),
];

/// Packages whose versions are told.
const PACKAGES: [&str; 9] = [
    "slipring",
    "iceoryx2",
    "ipc-channel",
    "shmem-ipc",
    "shared_memory",
    "raw_sync",
    "rtrb",
    "crossbeam-channel",
    "kanal",
];

/// The page.
pub(super) fn page(rows: &[Row], charts: &[Chart]) -> Result<String, Failure> {
    let mut out = String::from(HEAD);
    head(&mut out, rows)?;
    for chart in charts.iter().filter(|chart| chart.work == "overview") {
        figure(&mut out, chart)?;
    }
    ahead(&mut out, rows)?;
    for work in works::ALL {
        let own: Vec<&Row> = rows.iter().filter(|row| row.work == work.name && row.is_main()).collect();
        if own.is_empty() {
            continue;
        }
        write!(out, "<section id=\"{0}\"><h2>{0}</h2><p>{1}</p>", work.name, escape(work.about))?;
        for chart in charts.iter().filter(|chart| chart.work == work.name) {
            figure(&mut out, chart)?;
        }
        table(&mut out, &own)?;
        out.push_str("</section>\n");
    }
    contestants(&mut out, rows)?;
    method(&mut out, rows)?;
    out.push_str("</main></body></html>\n");
    Ok(out)
}

/// Where this was measured, and the works.
fn head(out: &mut String, rows: &[Row]) -> Result<(), Failure> {
    out.push_str("<header><h1>Slipring, measured</h1>");
    for run in runs(rows, |run| Run { command: String::new(), line_ns: [0.0; 3], ..run.clone() }) {
        write!(
            out,
            "<p class=\"where\"><b>{}</b> {} &middot; {} &middot; {}</p>",
            escape(&run.date),
            escape(&run.machine),
            escape(&run.kernel),
            escape(&run.rust)
        )?;
    }
    out.push_str("<p>Two processes, on a processor each, take turns with what bounds them and with what else there is; every message is verified. Shown are medians over rounds, and ratios formed within a round.</p><nav>");
    for work in works::ALL.iter().filter(|work| rows.iter().any(|row| row.work == work.name)) {
        write!(out, "<a href=\"#{0}\">{0}</a> ", work.name)?;
    }
    out.push_str("</nav></header><main>");
    Ok(())
}

/// The runs that the rows come from, each once, as far as `part` of them differs.
fn runs(rows: &[Row], part: impl Fn(&Run) -> Run) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for run in rows.iter().map(|row| part(&row.run)) {
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    runs
}

fn figure(out: &mut String, chart: &Chart) -> Result<(), Failure> {
    // The numbers of its size become the most that it takes.
    write!(out, "<figure>{}<figcaption>{}</figcaption></figure>", chart.svg, escape(&chart.note))?;
    Ok(())
}

/// Where somebody else is ahead: by the median of the ratios formed within rounds.
fn ahead(out: &mut String, rows: &[Row]) -> Result<(), Failure> {
    let ahead = rows.iter().filter_map(|row| {
        let ratio = row.time_relative_to.get("slipring")?;
        (row.is_main() && is_peer(&row.contestant) && ratio.median < 1.0).then_some((row, ratio))
    });
    let mut items = String::new();
    for (row, ratio) in ahead {
        let work = format!("{} {}", row.work, row.variant);
        let what = format!("{}, {}, {} slots, {}", work.trim_end(), size(row.size_bytes), row.capacity, row.placement);
        let (name, value) = (escape(&row.contestant), show(row.value, &row.unit));
        write!(items, "<tr><td>{}<td><b>{name}</b><td class=\"n\">{value}", escape(&what))?;
        write!(items, "<td class=\"n\">{:.2} [{:.2} &ndash; {:.2}]", ratio.median, ratio.min, ratio.max)?;
    }
    out.push_str("<section id=\"ahead\"><h2>Where others are ahead</h2>");
    if items.is_empty() {
        out.push_str("<p>Nowhere, among those that took part.</p></section>");
        return Ok(());
    }
    out.push_str(
        "<p>Threads of one process are among them: they share an address space, and nobody of them can die alone.</p>",
    );
    out.push_str("<div class=\"wide\"><table><thead><tr><th>case<th>who<th class=\"n\">median");
    write!(out, "<th class=\"n\">time, Slipring's = 1</thead><tbody>{items}</tbody></table></div></section>")?;
    Ok(())
}

/// Whether it can be used in place of Slipring, and is not something that bounds or varies it.
fn is_peer(contestant: &str) -> bool {
    contestant != "limit" && !contestant.starts_with("slipring")
}

/// All figures of a work.
fn table(out: &mut String, rows: &[&Row]) -> Result<(), Failure> {
    let latency = rows.iter().any(|row| !row.percentiles.is_empty());
    let noted = rows.iter().any(|row| row.noted > 0);
    out.push_str("<details><summary>All figures</summary><div class=\"wide\"><table><thead><tr><th>case<th>contestant");
    let mut heads = vec!["median", "min &ndash; max", "n"];
    heads.extend(if latency { &["p50", "p99", "p99.9"][..] } else { &[] });
    heads.extend(["CPU", "time, Slipring's = 1"]);
    heads.extend(noted.then_some("noted"));
    for head in heads {
        write!(out, "<th class=\"n\">{head}")?;
    }
    out.push_str("</thead><tbody>");
    let mut last = None;
    for row in rows {
        let first = last != Some(row.case());
        last = Some(row.case());
        figures(out, row, first, latency, noted)?;
    }
    out.push_str("</tbody></table></div></details>");
    Ok(())
}

/// One line of the table; the `first` of a case says which case it is.
fn figures(out: &mut String, row: &Row, first: bool, latency: bool, noted: bool) -> Result<(), Failure> {
    let case = format!("{} {} / {} / {}", row.variant, size(row.size_bytes), row.capacity, row.placement);
    let class = match row.contestant.as_str() {
        "slipring" => "ours",
        "limit" => "limit",
        _ => "",
    };
    let (class_first, case) = if first { (" first", escape(case.trim_start())) } else { ("", String::new()) };
    write!(out, "<tr class=\"{class}{class_first}\"><td>{case}<td>{}", escape(&row.contestant))?;
    let [value, min, max] = [row.value, row.min, row.max].map(|value| show(value, &row.unit));
    let mut cells = vec![value, format!("{min} &ndash; {max}"), row.n.to_string()];
    if latency {
        let percentile = |percentile| row.percentile(percentile).map_or_else(String::new, |value| show(value, "ns"));
        cells.extend([50.0, 99.0, 99.9].map(percentile));
    }
    cells.push(row.cpu_percent.map_or_else(String::new, |percent| format!("{percent:.0} %")));
    let relative = row.time_relative_to.get("slipring");
    let spread = |ratio: &Ratio| format!("{:.2} [{:.2} &ndash; {:.2}]", ratio.median, ratio.min, ratio.max);
    cells.push(relative.map_or_else(String::new, spread));
    cells.extend(noted.then(|| row.noted.to_string()));
    for cell in cells {
        write!(out, "<td class=\"n\">{cell}")?;
    }
    Ok(())
}

/// Who took part, and how.
fn contestants(out: &mut String, rows: &[Row]) -> Result<(), Failure> {
    out.push_str("<section id=\"contestants\"><h2>Who took part</h2><table><tbody>");
    for (name, about) in CONTESTANTS {
        if rows.iter().any(|row| row.contestant == name) {
            write!(out, "<tr><td><b>{name}</b><td>{}", escape(about))?;
        }
    }
    out.push_str("</tbody></table><p>Versions: ");
    let versions = versions(&PACKAGES)?;
    let versions: Vec<_> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    write!(out, "{}.</p></section>", escape(&versions.join(", ")))?;
    Ok(())
}

/// What there is to know of the runs.
fn method(out: &mut String, rows: &[Row]) -> Result<(), Failure> {
    out.push_str("<section id=\"method\"><h2>How it was measured</h2><p>Before and after every sample, one cache line is sent back and forth between the two processors. If that took less than 220 ns both times, the sample is <i>near</i>; if it took as long or longer both times, <i>far</i>; otherwise <i>mixed</i>, and it counts only where a contestant has no others. <i>CPU</i> is the share of one processor that all processes of a contestant used from the order to the report. Percentiles are those of single round trips, each with a look at the clock (some 20 ns) in it.</p><div class=\"wide\"><table><thead><tr><th>command<th>processors<th class=\"n\">one line there and back</thead><tbody>");
    for run in runs(rows, Run::clone) {
        let [min, median, max] = run.line_ns.map(|value| show(value, "ns"));
        write!(
            out,
            "<tr><td><code>{}</code><td>{}<td class=\"n\">{median} [{min} &ndash; {max}]",
            escape(&run.command),
            escape(&run.topology)
        )?;
    }
    out.push_str("</tbody></table></div></section>");
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The beginning of the page, with its style.
const HEAD: &str = r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Slipring, measured</title>
<style>
:root{--paper:#fff;--card:#f6f8fa;--text:#1f2328;--soft:#59636e;--rule:#d8dee4;--accent:#c2410c;--ours:#fff4ec}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--card:#151b23;--text:#e6edf3;--soft:#9198a1;--rule:#343b44;--accent:#ff8a4c;--ours:#2a1a10}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header,main{max-width:960px;margin:0 auto;padding:0 20px}
header{padding-top:40px}
h1{font-size:2rem;margin:0 0 .4em}
h2{font-size:1.25rem;margin:2.4em 0 .4em;padding-top:.6em;border-top:1px solid var(--rule)}
p{margin:.5em 0}
.where{color:var(--soft)}.where b{color:var(--text)}
nav{margin:1.2em 0;display:flex;flex-wrap:wrap;gap:6px}
nav a{background:var(--card);border:1px solid var(--rule);border-radius:999px;padding:2px 12px;font-size:.85rem;color:var(--text);text-decoration:none}
nav a:hover{border-color:var(--accent)}
figure{margin:1.2em 0;padding:14px 14px 8px;background:var(--card);border:1px solid var(--rule);border-radius:10px}
figure svg{display:block;width:100%;height:auto;max-width:860px}
figcaption{color:var(--soft);font-size:.85rem;padding-top:6px}
details{margin:1em 0}summary{cursor:pointer;color:var(--accent)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.84rem;width:100%}
th,td{text-align:left;padding:3px 10px 3px 0;vertical-align:top}
th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--rule)}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
tr.first td{border-top:1px solid var(--rule)}
tr.ours td{background:var(--ours);font-weight:600}
tr.limit td{color:var(--soft)}
code{font-size:.85em}
</style></head><body>
"##;
