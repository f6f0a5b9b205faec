//! Tasks that do nothing, through a pool of two processes: what a pool costs by itself. Beside it are Python's, with chunks
//! of one task and of a hundred.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::peer::Seat;
#[cfg(feature = "python")]
use crate::ways::python;
use slipring::process::Pool;
use std::time::Duration;

/// Pools.
pub(crate) static WORK: Work = Work {
    name: "pool",
    about: "Tasks that return their number, through a pool of two worker processes: many at once, one after the other, and \
            how long it takes to start four workers.",
    cases,
    play,
};

/// Many at once, whose outputs come in order.
const TASKS: &str = "tasks";
/// One after the other.
const ROUND_TRIP: &str = "round trip";
/// Until four workers have joined.
const START: &str = "start";

/// The contestants that are written in Python.
#[cfg(feature = "python")]
const PYTHON: [&str; 3] = ["python-pool", "python-pool-100", "python-executor"];

/// What they run.
#[cfg(feature = "python")]
const SCRIPT: &str = include_str!("pool.py");

/// The pool of the workers that this executable is.
const NAME: &str = "benches";

/// Tasks before a sample.
const WARM_UP: u64 = 1_000;

/// How long workers may take to join.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does not return in a worker's process.
pub(crate) fn serve() {
    Pool::<u64, u64>::serve(NAME, |&number| number);
}

fn cases(_: &Plan) -> Vec<Case> {
    let case = |(variant, metric, count, python): (&str, Metric, u64, [u64; 3])| {
        let contestants = vec![Contestant::new("slipring", count).seats([Processor::Either])];
        Case {
            work: WORK.name,
            variant: variant.to_owned(),
            size_bytes: size_of::<u64>(),
            capacity: 1024,
            metric,
            filing: Filing::As("any"),
            contestants: contestants.into_iter().chain(in_python(python)).collect(),
        }
    };
    let all = [
        (TASKS, Metric::Rate, 1_000_000, [5_000, 100_000, 2_000]),
        (ROUND_TRIP, Metric::Mean, 50_000, [1_000, 0, 500]),
        (START, Metric::Mean, 10, [5, 0, 5]),
    ];
    all.into_iter().map(case).collect()
}

/// The contestants in Python, with the length of their samples; 0 for one that does not take part.
#[cfg(feature = "python")]
fn in_python(counts: [u64; 3]) -> impl Iterator<Item = Contestant> {
    let there = PYTHON.into_iter().zip(counts).filter(|&(_, count)| count > 0 && python::is_there());
    there.map(|(name, count)| Contestant::new(name, count).seats([Processor::Either]))
}

/// None of them.
#[cfg(not(feature = "python"))]
fn in_python(_: [u64; 3]) -> impl Iterator<Item = Contestant> {
    std::iter::empty()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    #[cfg(feature = "python")]
    if PYTHON.contains(&seat.contestant.as_str()) {
        let processors = seat.pins.iter().map(usize::to_string);
        return python::run(SCRIPT, [seat.contestant.clone(), seat.variant.clone()].into_iter().chain(processors));
    }
    if seat.contestant != "slipring" {
        return seat.unknown();
    }
    let domain = seat.domain.clone();
    if seat.variant == START {
        return Ok(Box::new(move |count| starts(&domain, count)));
    }
    let pool = start(&domain, 2)?;
    let act = if seat.variant == TASKS { tasks } else { round_trips };
    Ok(Box::new(move |count| {
        act(&pool, WARM_UP)?;
        let from = now_ns();
        act(&pool, count)?;
        Ok(Report::since(from, count))
    }))
}

/// A pool whose workers have joined.
fn start(domain: &str, workers: usize) -> Result<Pool<u64, u64>, Failure> {
    let pool = Pool::builder(NAME).workers(workers).domain(domain).start()?;
    if pool.wait_for_workers(workers, PATIENCE) { Ok(pool) } else { Err("the workers do not join".into()) }
}

fn tasks(pool: &Pool<u64, u64>, count: u64) -> Result<(), Failure> {
    for (expected, output) in (0..).zip(pool.map(0..count)) {
        verify(output?, expected)?;
    }
    Ok(())
}

fn round_trips(pool: &Pool<u64, u64>, count: u64) -> Result<(), Failure> {
    (0..count).try_for_each(|number| verify(pool.submit(number)?.wait()?, number))
}

/// Starts pools of four workers, one after the other.
fn starts(domain: &str, count: u64) -> Result<Report, Failure> {
    let mut spent = 0;
    for _ in 0..count {
        let from = now_ns();
        let pool = start(domain, 4)?;
        spent += now_ns() - from;
        pool.join();
    }
    Ok(Report::spent(spent, count))
}

fn verify(output: u64, expected: u64) -> Result<(), Failure> {
    if output == expected { Ok(()) } else { Err(format!("the output is {output} and not {expected}").into()) }
}
