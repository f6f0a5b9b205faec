#![doc = include_str!("../README.md")]

mod cargo;
mod check;
mod child;
mod domain;
mod fuzz;
mod loom;
mod points;
mod refused;
mod report;
mod scenes;
mod scribble;
mod seeded;
mod soak;
mod surroundings;
mod sweep;
mod trace;

use check::Check;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use report::Tally;
use scenes::{bugs, environments, notice};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

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
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = PossibleValuesParser::new(CAMPAIGNS))]
    only: Vec<String>,
    /// Only this kind of channel.
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(kinds()))]
    kind: Option<String>,
    /// Kills per kind of the soak.
    #[arg(long, value_name = "N")]
    kills: Option<u64>,
    /// Only the seeded bugs, the crash points and the pairs of operations that have this in their name, and the scene of this
    /// name.
    #[arg(long, value_name = "NAME")]
    part: Option<String>,
    /// Only the seeded bugs of these numbers.
    #[arg(long, value_name = "FIRST-LAST", value_parser = numbers)]
    bugs: Option<RangeInclusive<u32>>,
    /// At most so many seconds for each kind of the soak, of the live scribbler and of the fuzzer, which say how many cases are
    /// left; and begin no seeded bug after so long: what was done by then is passed over the next time.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Go on where the soaks, the live scribbler and the fuzzer stopped that have written this file, and add to it.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    resume: Option<PathBuf>,
    /// Cases at the same time; most of them wait for a death to be noticed.
    #[arg(long, value_name = "N", default_value_t = sweep::JOBS)]
    jobs: usize,
    /// Play this one case of the instruction sweep, of one victim or of two, as the report of a failure names it.
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Write one JSON object per kind and campaign to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    process: Option<Process>,
}

/// The campaigns' names.
const CAMPAIGNS: [&str; 10] = [
    sweep::NAME,
    points::NAME,
    soak::NAME,
    notice::NAME,
    environments::NAME,
    bugs::NAME,
    scribble::NAME,
    fuzz::NAME,
    seeded::NAME,
    loom::NAME,
];

/// What the crash points are as a whole, rather than those of a kind.
pub(crate) const POINTS: &str = "points";

#[derive(Subcommand)]
enum Process {
    /// The victim of an instruction sweep. Started by this program itself.
    #[command(hide = true)]
    Victim { case: String, domain: String },
    /// Who dies before the victim. Started by this program itself.
    #[cfg(feature = "crash-points")]
    #[command(hide = true)]
    Corpse { role: String, operation: String, domain: String },
    /// A process whose system calls are refused. Started by this program itself.
    #[command(hide = true)]
    Refused { call: String, error: i32, scenario: String, domain: String },
    /// A process of a soak. Started by this program itself.
    #[command(hide = true)]
    Soak { kind: String, role: String, domain: String, life: u64, surroundings: String },
    /// The victim of the live scribbler. Started by this program itself.
    #[command(hide = true)]
    Scribbled { kind: String, domain: String, board: String },
    /// Who is given rubbish. Started by this program itself.
    #[command(hide = true)]
    Fuzzed { kind: String, domain: String, seed: u64, cases: u64 },
    /// A process of a scene. Started by this program itself.
    #[command(hide = true)]
    Part { part: String, domain: String },
    /// Tries to enter surroundings. Started by this program itself.
    #[command(hide = true)]
    Surroundings { name: String },
    /// Starts the processes of an environment. Started by this program itself.
    #[command(hide = true)]
    Environment { name: String, kills: u64 },
    /// Another user. Started by this program itself.
    #[command(hide = true)]
    Intruder { domain: String },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.process {
        Some(process) => play(process).map(|()| true),
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

/// The part of a process that this program has started.
fn play(process: &Process) -> Check {
    match process {
        Process::Victim { case, domain } => sweep::victim(case, domain),
        Process::Soak { kind, role, domain, life, surroundings } => soak::play(kind, role, domain, *life, surroundings),
        #[cfg(feature = "crash-points")]
        Process::Corpse { role, operation, domain } => sweep::repair::corpse(role, operation, domain),
        Process::Refused { call, error, scenario, domain } => refused::child(call, *error, scenario, domain),
        Process::Scribbled { kind, domain, board } => scribble::play(kind, domain, board),
        Process::Fuzzed { kind, domain, seed, cases } => fuzz::play(kind, domain, *seed, *cases),
        Process::Part { part, domain } => scenes::play(part, domain),
        Process::Surroundings { name } => environments::try_surroundings(name),
        Process::Environment { name, kills } => environments::play(name, *kills),
        Process::Intruder { domain } => environments::intrude(domain),
    }
}

/// Runs what was asked for. `false` if something failed.
fn run(args: &Args) -> Check<bool> {
    let mut tally = Tally::new(args.json.as_ref().is_some_and(|path| path.as_os_str() == "-"));
    if let Some(path) = &args.resume {
        tally.resume(path)?;
    }
    let kind = args.kind.as_deref();
    let has = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    if let Some(case) = &args.case {
        sweep::replay(case, &mut tally)?;
    } else {
        let jobs = args.jobs.max(1);
        let plan = sweep::Plan { is_long: args.long, kind, part: args.part.as_deref(), jobs };
        if has(sweep::NAME) {
            sweep::run(&plan, &mut tally)?;
        }
        if has(points::NAME) {
            points::run(&plan, &mut tally)?;
            if cfg!(not(feature = "crash-points")) && kind.is_none_or(|kind| kind == refused::KIND) {
                refused::run(points::NAME, &mut tally);
            }
        }
        let limit = args.seconds.map_or(Duration::MAX, Duration::from_secs);
        if has(soak::NAME) {
            let kills = args.kills.unwrap_or(if args.long { 100_000 } else { 2_000 });
            soak::run(&soak::Plan { kills, limit, kind }, &mut tally);
        }
        let plan = scenes::Plan { is_long: args.long, part: args.part.as_deref() };
        if has(notice::NAME) {
            notice::run(&plan, &mut tally);
        }
        if has(environments::NAME) {
            environments::run(&plan, &mut tally);
        }
        if has(bugs::NAME) {
            bugs::run(&plan, &mut tally);
        }
        if has(scribble::NAME) {
            scribble::run(&scribble::Plan { is_long: args.long, limit, kind }, &mut tally)?;
        }
        if has(seeded::NAME) {
            let limit = args.seconds.map(Duration::from_secs);
            let (part, numbers) = (args.part.as_deref(), args.bugs.clone());
            seeded::run(&seeded::Plan { is_long: args.long, kind, part, numbers, limit }, &mut tally)?;
        }
        // The models are run before a change lands, with the other tests.
        if args.long && args.only.is_empty() || args.only.iter().any(|only| only == loom::NAME) {
            loom::run(kind, &mut tally)?;
        }
        if has(fuzz::NAME) {
            let cases = if args.long { 1_000_000 } else { 2_000 };
            fuzz::run(&fuzz::Plan { cases, limit, kind }, &mut tally)?;
        }
    }
    if let Some(path) = args.json.as_ref().or(args.resume.as_ref()) {
        tally.write_json(path)?;
    }
    Ok(tally.is_clean())
}

/// A number, or the first and the last of several: `7`, `31-40`.
fn numbers(text: &str) -> Result<RangeInclusive<u32>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |digits: &str| digits.parse().map_err(|_| format!("`{digits}` is no number"));
    Ok(number(first)?..=number(last)?)
}

/// The kinds of all campaigns.
pub(crate) fn kinds() -> Vec<&'static str> {
    let mut kinds: Vec<_> = sweep::kinds()
        .chain(soak::kinds())
        .chain(scribble::kinds())
        .chain(fuzz::kinds())
        .chain(loom::kinds())
        .chain([seeded::PATCHES, seeded::ORDERINGS, POINTS, refused::KIND])
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}
