//! How fast is it here? Two processes, pinned to two processors, measured in turns with the physical limit.
//!
//! ```text
//! cargo run --release --example pingpong -- [--quick] [--only WORK] [--pin A,B] [--json FILE]
//! ```
//!
//! A virtual machine's processors may be siblings of one core in one moment and far apart in the next, and the same
//! code then differs by three to forty times. So the round trip of a single cache line, the limit of everything that
//! passes messages through memory, is measured before and after every sample; the sample is filed as *near* or *far*
//! by it, and dropped if the two disagree. Contestants take turns within a round, ratios are formed within a round,
//! and medians are reported. Every message is verified, by a sequence number in its first word and its complement in
//! the last.

#[path = "pingpong/links.rs"]
mod links;
#[path = "pingpong/measure.rs"]
mod measure;
#[path = "pingpong/peer.rs"]
mod peer;
#[path = "pingpong/report.rs"]
mod report;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::path::PathBuf;

/// Measures Slipring between two processes, beside the physical limit and a pipe.
#[derive(Parser)]
struct Args {
    /// Fewer rounds: a first impression in some seconds.
    #[arg(long)]
    quick: bool,
    /// Only this work: round-trip, one-way, round-trip-blocked, one-core or idle-cpu.
    #[arg(long, value_name = "WORK")]
    only: Option<String>,
    /// Rounds per work; every contestant runs once in a round.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// The two processors.
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_values_t = [0, 1])]
    pin: Vec<usize>,
    /// Write one JSON object per figure to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    peer: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The other process of a pair. Started by this program itself.
    #[command(hide = true)]
    Peer(peer::Args),
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if let Some(Command::Peer(peer)) = args.peer {
        return peer::run(&peer);
    }
    let &[near, other] = args.pin.as_slice() else {
        return Err("--pin takes two processor numbers, such as --pin 0,1".into());
    };
    let rounds = args.rounds.unwrap_or(if args.quick { 5 } else { 25 });
    let plan = measure::Plan { rounds, pins: (near, other), only: args.only, quick: args.quick };
    let figures = measure::run(&plan)?;
    if let Some(path) = &args.json {
        report::write_json(path, &figures)?;
    }
    if args.json.is_none_or(|path| path.as_os_str() != "-") {
        println!("{}", report::table(&figures));
    }
    Ok(())
}
