//! The command line.

use crate::stop::say;
use crate::transport::Transport;
use clap::{Args, Parser, Subcommand};
use std::num::NonZeroU32;
use std::path::PathBuf;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/nycflights13/flights-2013-01.csv");
const AIRLINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/nycflights13/airlines.csv");

/// Statistics of the flights out of New York City, computed by processes that know each other by channel name only.
///
/// Without a role, the program starts itself once for each of them, in a domain of their own:
///
///   ingest ---> enrich ---> aggregate ---> the parent, which prints the result
///
/// It checks the result against one that a single process computes, then has the same roles do the same work over pipes,
/// and prints both side by side.
///
/// With a role, it plays that role and meets the others in your domain (SLIPRING_DOMAIN, or "default"). Start ingest,
/// enrich and aggregate in three terminals, in any order.
#[derive(Debug, Parser)]
#[command(name = "flights", args_conflicts_with_subcommands = true, verbatim_doc_comment)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The part that one process plays.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Reads the data and sends every row as a typed message on the channel `flights.rows`
    ///
    /// A row that does not parse is shown with its line number and left out. Interrupted with Ctrl-C, ingest closes its
    /// channel, and the others finish with what it has sent. Killed and started anew, it sends all rows again, and
    /// enrich takes each of them once.
    Ingest(IngestArgs),
    /// Receives rows, adds the airline's name and a delay class, and sends them on the channel `flights.enriched`
    ///
    /// If ingest dies without closing its channel, enrich says so and waits for another ingest.
    Enrich(EnrichArgs),
    /// Receives enriched flights and, when all are in, prints their statistics
    ///
    /// They are by airline, by airport and by hour of the day.
    Aggregate(AggregateArgs),
}

impl Role {
    /// As it is called on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Role::Ingest(_) => "ingest",
            Role::Enrich(_) => "enrich",
            Role::Aggregate(_) => "aggregate",
        }
    }

    /// How it is tied to the others.
    pub(crate) fn link(&self) -> &LinkArgs {
        match self {
            Role::Ingest(args) => &args.link,
            Role::Enrich(args) => &args.link,
            Role::Aggregate(args) => &args.link,
        }
    }
}

/// Options of a run of all roles.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) join: JoinArgs,
    /// Check the aggregate, bit for bit, against one computed in a single process; this is the default
    #[arg(long, overrides_with = "no_verify")]
    verify: bool,
    /// Do not check the aggregate
    #[arg(long, overrides_with = "verify")]
    no_verify: bool,
    /// Do not run the roles over pipes for comparison
    #[arg(long)]
    pub(crate) no_pipes: bool,
    /// Write the figures to FILE, one JSON object for each transport on a line of its own
    ///
    /// With `-` they are written to standard output, and what people read goes to standard error. `ratio` says how many
    /// times as many records per second slipring carries.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl RunArgs {
    /// Whether to check the aggregate.
    pub(crate) fn verify(&self) -> bool {
        self.verify || !self.no_verify
    }
}

/// Where the rows come from, and how fast.
#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// The flights: a CSV file with the columns of nycflights13's flights.csv, or a .zip with one such file
    #[arg(long, value_name = "FILE", default_value = DATA)]
    pub(crate) data: PathBuf,
    /// Send at most N rows per second, instead of as many as the other roles take
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<NonZeroU32>,
}

/// What is joined to the rows.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The airlines: a CSV file with the columns carrier,name
    #[arg(long, value_name = "FILE", default_value = AIRLINES)]
    pub(crate) airlines: PathBuf,
}

/// How a role is tied to the others.
#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// What carries the records
    ///
    /// With pipes the shell ties the roles together: flights ingest --over pipe | flights enrich --over pipe |
    /// flights aggregate --over pipe
    #[arg(long, value_enum, default_value_t = Transport::Slipring, value_name = "TRANSPORT")]
    pub(crate) over: Transport,
    /// Report to a parent process, on the channels `flights.ingest` and `flights.outcome`, instead of to the terminal
    #[arg(long)]
    pub(crate) to_parent: bool,
}

impl LinkArgs {
    /// Tells a user who started the role by hand what it is waiting for.
    pub(crate) fn greet(&self, line: &str) {
        if self.over == Transport::Slipring && !self.to_parent {
            say(line);
        }
    }
}

/// Options of ingest.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,
    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

/// Options of enrich.
#[derive(Debug, Args)]
pub(crate) struct EnrichArgs {
    #[command(flatten)]
    pub(crate) join: JoinArgs,
    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

/// Options of aggregate.
#[derive(Debug, Args)]
pub(crate) struct AggregateArgs {
    #[command(flatten)]
    pub(crate) link: LinkArgs,
}
