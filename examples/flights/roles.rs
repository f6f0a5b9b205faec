//! The three roles, each of which is a process.

use crate::cli::{AggregateArgs, EnrichArgs, IngestArgs, LinkArgs, Role};
use crate::clock::now_ns;
use crate::data::{self, Rejected, Rows};
use crate::enrich::Airlines;
use crate::messages::{Enriched, Flight, Group, IngestReport, Outcome, Timing};
use crate::stats::Aggregate;
use crate::stop::{self, Interrupted, PATIENCE, Result, say};
use crate::transport::{Inbox, Outbox, Sink, Source, Transport};
use crate::{pipe, report};
use hdrhistogram::Histogram;
use slipring::Str;
use std::io;
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

/// How many rows ingest sends from one report of its progress to the next.
const ROWS_PER_REPORT: u64 = 1000;

/// Plays a role to its end.
pub(crate) fn play(role: &Role) -> Result<()> {
    let to_parent = role.link().to_parent;
    if to_parent {
        // The parent has opened channels already, which somebody has to remove if it is killed.
        stop::install()?;
    }
    let outcome = match role {
        Role::Ingest(args) => ingest(args),
        Role::Enrich(args) => enrich(args),
        Role::Aggregate(args) => aggregate(args),
    };
    match &outcome {
        Err(_) if to_parent => remove_channels_of_run(),
        Err(error) if error.is::<Interrupted>() => remove_channels(role),
        _ => {}
    }
    outcome
}

/// Removes the channels of a role that the user interrupted, along with messages that nobody will want any more.
///
/// This fails, which is as it should be, while another role takes part in a channel: the last one to end removes it.
fn remove_channels(role: &Role) {
    if matches!(role, Role::Ingest(_) | Role::Enrich(_)) {
        let _ = Flight::channel().remove();
    }
    if matches!(role, Role::Enrich(_) | Role::Aggregate(_)) {
        let _ = Enriched::channel().remove();
    }
}

/// Removes all channels of a run that ended before its time.
///
/// This is the parent's job, which fails here while the parent lives, but the parent may have been killed. It may not be
/// quite gone yet, nor the other roles, so this tries again for a while.
fn remove_channels_of_run() {
    let deadline = Instant::now() + PATIENCE;
    let all_removed = || {
        let records = [Flight::channel().remove().is_ok(), Enriched::channel().remove().is_ok()];
        let reports = [IngestReport::channel().remove().is_ok(), Outcome::channel().remove().is_ok()];
        records == [true; 2] && reports == [true; 2]
    };
    while !all_removed() && Instant::now() < deadline {
        thread::sleep(PATIENCE / 50);
    }
}

/// Reads rows, and sends those that parse.
fn ingest(args: &IngestArgs) -> Result<()> {
    let text = data::load(&args.input.data)?;
    let rows = Rows::new(&text)?;
    stop::install()?;
    args.link.greet("ingest: sending on channel flights.rows; enrich may be started before or after");
    let mut report = IngestReports::to(&args.link)?;
    let pace = Pace::new(args.input.rate);
    match args.link.over {
        Transport::Slipring => send_rows(rows, &mut Outbox::new("ingest", Flight::sender()?), &pace, &mut report),
        Transport::Pipe => send_rows(rows, &mut pipe::output(), &pace, &mut report),
        Transport::Pipe64k => send_rows(rows, &mut pipe::buffered_output(), &pace, &mut report),
    }
}

fn send_rows(mut rows: Rows, sink: &mut impl Sink<Flight>, pace: &Pace, report: &mut IngestReports) -> Result<()> {
    let (mut sent, mut rejected) = (0, 0);
    while let Some(row) = rows.next() {
        match row {
            Ok(mut flight) => {
                pace.wait_for_turn(sent)?;
                flight.sent_ns = now_ns();
                sink.put(flight)?;
                sent += 1;
            }
            Err(row) => {
                rejected += 1;
                report.rejected(&row)?;
            }
        }
        if (sent + rejected) % ROWS_PER_REPORT == 0 {
            report.progress(rows.position_bytes())?;
        }
    }
    sink.flush()?;
    report.done(sent, rejected)
}

/// Receives rows, and sends them on with what there is to add.
fn enrich(args: &EnrichArgs) -> Result<()> {
    let airlines = Airlines::new(data::load_airlines(&args.join.airlines)?);
    stop::install()?;
    args.link.greet("enrich: receiving on channel flights.rows, sending on flights.enriched");
    let repeated = match args.link.over {
        Transport::Slipring => {
            let mut source = Inbox::new("enrich", Flight::receiver()?);
            enrich_rows(&airlines, &mut source, &mut Outbox::new("enrich", Enriched::sender()?))?
        }
        Transport::Pipe => enrich_rows(&airlines, &mut pipe::input(), &mut pipe::output())?,
        Transport::Pipe64k => enrich_rows(&airlines, &mut pipe::buffered_input(), &mut pipe::buffered_output())?,
    };
    if repeated > 0 {
        say(format_args!("enrich: {repeated} rows came twice, from an ingest that was started anew; they count once"));
    }
    Ok(())
}

/// Returns how many rows had come before.
fn enrich_rows(airlines: &Airlines, source: &mut impl Source<Flight>, sink: &mut impl Sink<Enriched>) -> Result<u64> {
    let (mut last_line, mut repeated) = (0, 0);
    while let Some(flight) = source.next()? {
        if flight.line > last_line {
            last_line = flight.line;
            sink.put(airlines.enrich(&flight))?;
        } else {
            repeated += 1;
        }
    }
    sink.flush()?;
    Ok(repeated)
}

/// Receives enriched flights, and counts them.
fn aggregate(args: &AggregateArgs) -> Result<()> {
    stop::install()?;
    args.link.greet("aggregate: receiving on channel flights.enriched; the statistics appear when enrich is through");
    // Opened before the work, because a channel that both sides have joined is removed whichever of them dies first.
    let parent = if args.link.to_parent { Some(Outbox::new("aggregate", Outcome::sender()?)) } else { None };
    let (groups, timing) = match args.link.over {
        Transport::Slipring => count(&mut Inbox::new("aggregate", Enriched::receiver()?))?,
        Transport::Pipe => count(&mut pipe::input())?,
        Transport::Pipe64k => count(&mut pipe::buffered_input())?,
    };
    match parent {
        Some(mut parent) => {
            groups.into_iter().map(Outcome::Group).try_for_each(|group| parent.put(group))?;
            parent.put(Outcome::Done(timing))
        }
        None => {
            report::print_groups(&mut io::stdout(), &groups)?;
            report::print_timing(&mut io::stdout(), &timing)
        }
    }
}

fn count(source: &mut impl Source<Enriched>) -> Result<(Vec<Group>, Timing)> {
    let mut aggregate = Aggregate::default();
    let mut latencies_ns = Histogram::<u64>::new(3)?;
    let (mut first_sent_ns, mut last_received_ns) = (None, 0);
    while let Some(flight) = source.next()? {
        last_received_ns = now_ns();
        first_sent_ns.get_or_insert(flight.sent_ns);
        latencies_ns.record(last_received_ns.saturating_sub(flight.sent_ns))?;
        aggregate.add(&flight);
    }
    let timing = Timing {
        records: latencies_ns.len(),
        elapsed_ns: last_received_ns.saturating_sub(first_sent_ns.unwrap_or(last_received_ns)),
        latency_p50_ns: latencies_ns.value_at_quantile(0.5),
        latency_p99_ns: latencies_ns.value_at_quantile(0.99),
        latency_p99_9_ns: latencies_ns.value_at_quantile(0.999),
    };
    Ok((aggregate.groups(), timing))
}

/// Holds the rows to a rate.
struct Pace {
    start: Instant,
    rate: Option<NonZeroU32>,
}

impl Pace {
    fn new(rate: Option<NonZeroU32>) -> Self {
        Pace { start: Instant::now(), rate }
    }

    /// Waits until row `index`, counted from 0, may be sent.
    fn wait_for_turn(&self, index: u64) -> Result<()> {
        let Some(rate) = self.rate else { return Ok(()) };
        let due = self.start + Duration::from_secs_f64(index as f64 / f64::from(rate.get()));
        loop {
            stop::check()?;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(PATIENCE));
        }
    }
}

/// Where ingest's reports go: to the parent, or to the terminal.
struct IngestReports {
    parent: Option<Outbox<IngestReport>>,
}

impl IngestReports {
    fn to(link: &LinkArgs) -> Result<Self> {
        let parent = if link.to_parent { Some(Outbox::new("ingest", IngestReport::sender()?)) } else { None };
        Ok(IngestReports { parent })
    }

    fn rejected(&mut self, row: &Rejected) -> Result<()> {
        match &mut self.parent {
            Some(parent) => parent.put(IngestReport::Rejected { line: row.line, reason: Str::truncated(&row.reason) }),
            None => {
                say(format_args!("ingest: line {}: {}", row.line, row.reason));
                Ok(())
            }
        }
    }

    fn progress(&mut self, bytes: u64) -> Result<()> {
        match &mut self.parent {
            Some(parent) => parent.put(IngestReport::Progress { bytes }),
            None => Ok(()),
        }
    }

    fn done(&mut self, sent: u64, rejected: u64) -> Result<()> {
        match &mut self.parent {
            Some(parent) => parent.put(IngestReport::Done { sent, rejected }),
            None => {
                say(format_args!("ingest: {sent} rows sent, {rejected} rejected"));
                Ok(())
            }
        }
    }
}
