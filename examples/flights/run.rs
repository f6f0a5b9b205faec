//! The parent: it has the roles do the work over each transport, checks what comes out, and shows it.

use crate::cli::RunArgs;
use crate::crew::{Crew, Domain};
use crate::data::{self, Rows};
use crate::enrich::Airlines;
use crate::messages::{Group, IngestReport, Outcome, Timing};
use crate::report::{self, Figures, Output};
use crate::stats::Aggregate;
use crate::stop::{self, PATIENCE, Result, say};
use crate::transport::Transport;
use indicatif::{ProgressBar, ProgressStyle};
use slipring::{IpcMessage, Receiver, RecvTimeoutError};
use std::time::Duration;

/// What one run of the roles came to.
pub(crate) struct Run {
    pub(crate) transport: Transport,
    pub(crate) counted: Counted,
    pub(crate) timing: Timing,
    /// Processor time of the three roles.
    pub(crate) cpu: Duration,
}

/// What the transports, and a single process, must agree on.
#[derive(Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) records: u64,
    pub(crate) rejected: u64,
    pub(crate) groups: Vec<Group>,
}

/// Runs everything that the command line asks for.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let text = data::load(&args.input.data)?;
    let airlines = Airlines::new(data::load_airlines(&args.join.airlines)?);
    // Without anything to compare with, a look at the header tells early whether this is the right kind of file.
    let rows = Rows::new(&text)?;
    let expected = args.verify().then(|| count_alone(rows, &airlines));
    let mut output = Output::open(args.json.as_deref())?;
    stop::install()?;

    let domain = Domain::claim();
    let transports = if args.no_pipes { &Transport::ALL[..1] } else { &Transport::ALL[..] };
    let mut runs = Vec::new();
    for &transport in transports {
        runs.push(run_over(transport, &domain, args, text.len())?);
    }

    let differing = expected.as_ref().and_then(|expected| {
        let run = runs.iter().find(|run| run.counted != *expected)?;
        Some(report::explain_difference(run, expected))
    });
    let verified = expected.map(|_| differing.is_none());
    let figures = Figures::of(&runs, verified);
    report::print_groups(output.people(), &runs[0].counted.groups)?;
    report::print_summary(output.people(), &runs[0].counted, verified)?;
    report::print_comparison(output.people(), &figures)?;
    output.write_figures(&figures)?;
    match differing {
        None => Ok(()),
        Some(difference) => Err(difference.into()),
    }
}

/// The same work without roles, channels or pipes, to compare with.
fn count_alone(rows: Rows, airlines: &Airlines) -> Counted {
    let mut aggregate = Aggregate::default();
    let (mut records, mut rejected) = (0, 0);
    for row in rows {
        match row {
            Ok(flight) => {
                records += 1;
                aggregate.add(&airlines.enrich(&flight));
            }
            Err(_) => rejected += 1,
        }
    }
    Counted { records, rejected, groups: aggregate.groups() }
}

/// Has the roles do the work over one transport.
fn run_over(transport: Transport, domain: &Domain, args: &RunArgs, text_bytes: usize) -> Result<Run> {
    let mut from_ingest = IngestReport::channel().domain(domain.name()).receiver()?;
    let mut from_aggregate = Outcome::channel().domain(domain.name()).receiver()?;
    let mut crew = Crew::start(transport, domain, args)?;
    let first = transport == Transport::ALL[0];
    say(format_args!("flights: over {}: {} in domain {}", transport.name(), crew.members(), domain.name()));

    let bar = progress_bar(transport, text_bytes);
    let rejected = loop {
        match receive(&mut from_ingest, &mut crew)? {
            IngestReport::Progress { bytes } => bar.set_position(bytes),
            // Every transport gets the same rows, so that one report of each is enough.
            IngestReport::Rejected { line, reason } if first => {
                bar.suspend(|| say(format_args!("flights: line {line}: {reason}")));
            }
            IngestReport::Rejected { .. } => {}
            IngestReport::Done { rejected, .. } => break rejected,
        }
    };
    let mut groups = Vec::new();
    let timing = loop {
        match receive(&mut from_aggregate, &mut crew)? {
            Outcome::Group(group) => groups.push(group),
            Outcome::Done(timing) => break timing,
        }
    };
    bar.finish_and_clear();
    let cpu = crew.finish()?;
    Ok(Run { transport, counted: Counted { records: timing.records, rejected, groups }, timing, cpu })
}

/// The next message from a role, unless one of them fails first.
fn receive<T: IpcMessage>(channel: &mut Receiver<T>, crew: &mut Crew) -> Result<T> {
    loop {
        stop::check()?;
        crew.check()?;
        match channel.recv_timeout(PATIENCE) {
            Ok(Some(message)) => return Ok(message),
            Ok(None) => {
                // A role that fails closes its channels in good order; how it ends says that it failed.
                crew.wait()?;
                return Err("a role closed its channel before it had reported everything".into());
            }
            // The next look at the roles finds the dead one.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::SenderDied(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A progress bar on standard error, if that is a terminal.
fn progress_bar(transport: Transport, text_bytes: usize) -> ProgressBar {
    let bar = ProgressBar::new(text_bytes as u64).with_prefix(transport.name());
    let style = ProgressStyle::with_template("{prefix:9} {wide_bar} {bytes} of {total_bytes}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
