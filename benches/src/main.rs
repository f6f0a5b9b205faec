//! How fast is it here? Processes, pinned to two processors, measured in turns with what bounds them.
//!
//! ```text
//! cargo run --release -p slipring-benches -- [--quick] [--only WORK] [--pin A,B] [--json FILE] [--report DIR]
//! cargo run --release -p slipring-benches --features peers,python   # beside other libraries too
//! cargo run --release -p slipring-benches -- --from A.json,B.json   # a report of what was measured before
//! ```
//!
//! A virtual machine's processors may be siblings of one core in one moment and far apart in the next, and the same
//! code then differs by three to forty times. So the round trip of a single cache line, the limit of everything that
//! passes messages through memory, is measured before and after every sample; the sample is filed as *near* or *far* by
//! it. One between which the two disagree is *mixed*, and counts only for a contestant that has no others. Contestants
//! take turns within a round, ratios are formed within a round, and medians are reported. Every message is verified, by
//! a sequence number in its first word and its complement in the last.
//!
//! A *work* (`works/`) says which *cases* there are, who takes part in them, and what each of a contestant's processes
//! does; the harness (`harness/`) starts these processes (`peer.rs`), has them take samples in turns, and files what
//! they report; `ways/` has the ways of getting a message across, `loops.rs` what is done with them.

mod harness;
mod loops;
mod peer;
mod report;
mod ways;
mod works;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use harness::figure::Spread;
use harness::machine::Run;
use harness::plan::{Failure, Plan};
use report::Row;
use std::path::PathBuf;

/// Measures Slipring between processes, beside what bounds it and what else there is.
#[derive(Parser)]
struct Args {
    /// Fewer rounds of shorter samples: whether it works, and a first impression.
    #[arg(long)]
    quick: bool,
    /// Only these works.
    #[arg(long, value_name = "WORK", value_delimiter = ',', value_parser = PossibleValuesParser::new(works::names()))]
    only: Vec<String>,
    /// Only these contestants; Slipring, if it is not among them, has nothing to be compared with.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    contestants: Vec<String>,
    /// Sizes of messages in bytes, in place of those that a work has by itself.
    #[arg(long, value_name = "BYTES", value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Only variants of works whose names contain one of these, such as `lossless 1 to 8`.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    variants: Vec<String>,
    /// Rounds per case; every contestant takes one sample in a round.
    #[arg(long, value_name = "N")]
    repeat: Option<usize>,
    /// The two processors.
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_values_t = [0, 1])]
    pin: Vec<usize>,
    /// Write one JSON object per figure to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to put the report, its charts and its figures: a directory, or the page itself.
    #[arg(long, value_name = "DIR|FILE.html", default_value = "target/benches-report")]
    report: PathBuf,
    /// Measure nothing, and report what these files have, which `--json` has written.
    #[arg(long, value_name = "FILE", value_delimiter = ',', num_args = 1..)]
    from: Vec<PathBuf>,
    #[command(subcommand)]
    peer: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// One of a contestant's processes. Started by this program itself.
    #[command(hide = true)]
    Peer(Box<peer::Seat>),
}

fn main() -> Result<(), Failure> {
    works::pool::serve();
    let args = Args::parse();
    if let Some(Command::Peer(seat)) = &args.peer {
        return peer::run(seat);
    }
    let rows = if args.from.is_empty() { measure(&args)? } else { report::read_json(&args.from)? };
    if let Some(path) = &args.json {
        report::write_json(path, &rows)?;
    }
    report::write(&args.report, &rows)?;
    if args.json.is_none_or(|path| path.as_os_str() != "-") {
        for (work, table) in report::tables(&rows) {
            println!("\n{work}\n{table}");
        }
        println!("\nThe report is in {}.", args.report.display());
    }
    Ok(())
}

fn measure(args: &Args) -> Result<Vec<Row>, Failure> {
    let &[first, second] = args.pin.as_slice() else {
        return Err("--pin takes two processor numbers, such as --pin 0,1".into());
    };
    let plan = Plan {
        quick: args.quick,
        rounds: args.repeat.unwrap_or(if args.quick { 3 } else { 25 }),
        pins: [first, second],
        only: args.only.clone(),
        contestants: args.contestants.clone(),
        variants: args.variants.clone(),
        sizes: args.sizes.clone(),
    };
    let (figures, lines) = harness::run(&plan)?;
    let Spread { min, median, max } = Spread::of(&lines);
    let run = Run { line_ns: [min, median, max], ..Run::here(plan.pins) };
    Ok(figures.iter().flat_map(|figure| Row::of(figure, &run)).collect())
}
