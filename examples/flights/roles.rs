//! The three roles, each of which is a process.

use crate::cli::{AggregateArgs, EnrichArgs, IngestArgs};
use crate::clock::now_ns;
use crate::data::{self, Rejected, Rows};
use crate::enrich::Airlines;
use crate::messages::{Enriched, Flight, Group, IngestReport, Outcome, Timing};
use crate::stats::Aggregate;
use crate::stop::{self, PATIENCE, Result, say};
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

/// Reads rows, and sends those that parse.
pub(crate) fn ingest(args: &IngestArgs) -> Result<()> {
    let text = data::load(&args.input.data)?;
    let rows = Rows::new(&text)?;
    let pace = Pace::new(args.input.rate);
    stop::install()?;
    let mut report = Report::new(args.link.to_parent)?;
    match args.link.over {
        Transport::Slipring => {
            report.start("sending on channel flights.rows; enrich may be started before or after");
            let sent = send_rows(rows, &mut Outbox::new("ingest", Flight::sender()?), pace, &mut report);
            tidy_if_failed(sent, || Flight::channel().remove().is_ok())
        }
        Transport::Pipe => send_rows(rows, &mut pipe::output()?, pace, &mut report),
        Transport::Pipe64k => send_rows(rows, &mut pipe::buffered_output()?, pace, &mut report),
    }
}

fn send_rows(mut rows: Rows, sink: &mut impl Sink<Flight>, pace: Pace, report: &mut Report) -> Result<()> {
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
pub(crate) fn enrich(args: &EnrichArgs) -> Result<()> {
    let airlines = Airlines::new(data::load_airlines(&args.join.airlines)?);
    stop::install()?;
    let repeated = match args.link.over {
        Transport::Slipring => {
            if !args.link.to_parent {
                say("enrich: receiving on channel flights.rows, sending on flights.enriched");
            }
            let enriched = Flight::receiver().map_err(Into::into).and_then(|rows| {
                let mut sink = Outbox::new("enrich", Enriched::sender()?);
                enrich_rows(&airlines, &mut Inbox::new("enrich", rows), &mut sink)
            });
            tidy_if_failed(enriched, || {
                Flight::channel().remove().is_ok() & Enriched::channel().remove().is_ok()
            })
        }
        Transport::Pipe => enrich_rows(&airlines, &mut pipe::input()?, &mut pipe::output()?),
        Transport::Pipe64k => enrich_rows(&airlines, &mut pipe::buffered_input()?, &mut pipe::buffered_output()?),
    }?;
    if repeated > 0 {
        say(format_args!(
            "enrich: {repeated} rows came twice, from an ingest that was started anew, and were taken once"
        ));
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
pub(crate) fn aggregate(args: &AggregateArgs) -> Result<()> {
    stop::install()?;
    let (groups, timing) = match args.link.over {
        Transport::Slipring => {
            if !args.link.to_parent {
                say("aggregate: receiving on channel flights.enriched; the statistics appear when enrich is through");
            }
            let counted = Enriched::receiver()
                .map_err(Into::into)
                .and_then(|channel| count(&mut Inbox::new("aggregate", channel)));
            tidy_if_failed(counted, || Enriched::channel().remove().is_ok())
        }
        Transport::Pipe => count(&mut pipe::input()?),
        Transport::Pipe64k => count(&mut pipe::buffered_input()?),
    }?;
    if args.link.to_parent {
        let mut parent = Outbox::new("aggregate", Outcome::sender()?);
        groups
            .into_iter()
            .map(Outcome::Group)
            .try_for_each(|group| parent.put(group))?;
        parent.put(Outcome::Done(timing))
    } else {
        report::print_groups(&mut io::stdout(), &groups)?;
        report::print_timing(&mut io::stdout(), &timing)
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

/// Has the channels of a role removed that ended before its time, along with messages that nobody will want any more.
///
/// A channel is not removed while another role takes part in it, so the last one to end does it, whichever that is. By
/// now this role has closed its ends, because they are gone out of scope.
fn tidy_if_failed<T>(outcome: Result<T>, remove: impl FnOnce() -> bool) -> Result<T> {
    if outcome.is_err() {
        remove();
    }
    outcome
}

/// Holds the rows to a rate.
struct Pace {
    start: Instant,
    rate: Option<NonZeroU32>,
}

impl Pace {
    fn new(rate: Option<NonZeroU32>) -> Self {
        Pace {
            start: Instant::now(),
            rate,
        }
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

/// Where ingest's remarks go: to the parent, or to the terminal.
struct Report {
    parent: Option<Outbox<IngestReport>>,
}

impl Report {
    fn new(to_parent: bool) -> Result<Self> {
        let parent = if to_parent {
            Some(Outbox::new("ingest", IngestReport::sender()?))
        } else {
            None
        };
        Ok(Report { parent })
    }

    fn start(&self, what: &str) {
        if self.parent.is_none() {
            say(format_args!("ingest: {what}"));
        }
    }

    fn rejected(&mut self, row: &Rejected) -> Result<()> {
        match &mut self.parent {
            Some(parent) => parent.put(IngestReport::Rejected {
                line: row.line,
                reason: Str::truncated(&row.reason),
            }),
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
