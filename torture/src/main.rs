#![doc = include_str!("../README.md")]

mod check;
mod child;
mod domain;
mod report;
mod scribble;
mod soak;
mod sweep;
mod trace;

use check::Check;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use report::Tally;
use std::path::PathBuf;
use std::process::ExitCode;

/// Kills and stops processes at every instruction, and checks what becomes of their messages.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// What fits into a few minutes; so it is by default.
    #[arg(long, conflicts_with = "long")]
    short: bool,
    /// Every instruction of everything, and 100,000 kills per kind: hours.
    #[arg(long)]
    long: bool,
    /// Only these campaigns.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = PossibleValuesParser::new([sweep::NAME, soak::NAME, scribble::NAME]))]
    only: Vec<String>,
    /// Only this kind of channel.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(kinds()))]
    kind: Option<String>,
    /// Kills per kind of the soak.
    #[arg(long, value_name = "N")]
    kills: Option<u64>,
    /// Cases at the same time; most of them wait for a death to be noticed.
    #[arg(long, value_name = "N", default_value_t = 64)]
    jobs: usize,
    /// Play this one case of the instruction sweep, as the report of a failure names it.
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Write one JSON object per kind and campaign to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// The victim of an instruction sweep. Started by this program itself.
    #[command(hide = true)]
    Victim { case: String, domain: String },
    /// A process of a soak. Started by this program itself.
    #[command(hide = true)]
    Soak { kind: String, role: String, domain: String, life: u64 },
    /// The victim of the live scribbler. Started by this program itself.
    #[command(hide = true)]
    Scribbled { kind: String, domain: String, board: String },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.part {
        Some(Part::Victim { case, domain }) => sweep::victim(case, domain).map(|()| true),
        Some(Part::Soak { kind, role, domain, life }) => soak::play(kind, role, domain, *life).map(|()| true),
        Some(Part::Scribbled { kind, domain, board }) => scribble::play(kind, domain, board).map(|()| true),
        None => run(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => {
            eprintln!("torture: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for. `false` if something failed.
fn run(args: &Args) -> Check<bool> {
    let mut tally = Tally::new(args.json.as_ref().is_some_and(|path| path.as_os_str() == "-"));
    let kind = args.kind.as_deref();
    let has = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    if let Some(case) = &args.case {
        sweep::replay(case, &mut tally)?;
    } else {
        if has(sweep::NAME) {
            sweep::run(&sweep::Plan { is_long: args.long, kind, jobs: args.jobs.max(1) }, &mut tally)?;
        }
        if has(soak::NAME) {
            let kills = args.kills.unwrap_or(if args.long { 100_000 } else { 2_000 });
            soak::run(kills, kind, &mut tally);
        }
        if has(scribble::NAME) {
            scribble::run(&scribble::Plan { is_long: args.long, kind }, &mut tally)?;
        }
    }
    if let Some(path) = &args.json {
        tally.write_json(path)?;
    }
    Ok(tally.is_clean())
}

/// The kinds of all campaigns.
fn kinds() -> Vec<&'static str> {
    let mut kinds: Vec<_> = sweep::kinds().chain(soak::kinds()).chain(scribble::kinds()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}
