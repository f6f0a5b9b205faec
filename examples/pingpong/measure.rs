//! The measuring process: starts the peers, takes the samples in turns, files them by placement.

use super::links::{CachedIndexRing, End, Futex, Line, Link, Pipe, Shared, Slipring};
use super::peer::{message, pin, verify};
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What to measure.
pub(crate) struct Plan {
    /// Rounds per work.
    pub(crate) rounds: usize,
    /// The processors of the two processes.
    pub(crate) pins: (usize, usize),
    /// Only this work.
    pub(crate) only: Option<String>,
    /// Shorter samples.
    pub(crate) quick: bool,
}

/// What was measured of one contestant in one work and placement.
pub(crate) struct Figure {
    /// `round-trip`, `one-way`, ...
    pub(crate) work: &'static str,
    /// Who.
    pub(crate) contestant: &'static str,
    /// Bytes of a message.
    pub(crate) size_bytes: usize,
    /// Messages that the channel holds.
    pub(crate) capacity: usize,
    /// `near`, `far`, `one-core` or `any`.
    pub(crate) placement: &'static str,
    /// Nanoseconds per round trip or message, one for each sample; or percent of a processor.
    pub(crate) samples: Vec<f64>,
    /// Nanoseconds divided by those of each of these contestants in the same round.
    pub(crate) ratios: Vec<(&'static str, Vec<f64>)>,
}

/// Takes every measurement of the plan.
pub(crate) fn run(plan: &Plan) -> Result<Vec<Figure>, Box<dyn Error>> {
    let wanted = |work: &str| plan.only.as_deref().is_none_or(|only| only == work);
    pin(plan.pins.0)?;
    let mut figures = Vec::new();
    for capacity in [1024, 65_536] {
        if wanted("round-trip") && capacity == 1024 {
            figures.extend(race::<6>(plan, "round-trip", capacity)?);
            figures.extend(race::<8>(plan, "round-trip", capacity)?);
        }
        if wanted("one-way") {
            figures.extend(race::<6>(plan, "one-way", capacity)?);
            figures.extend(race::<8>(plan, "one-way", capacity)?);
        }
    }
    if wanted("round-trip-blocked") {
        figures.extend(race::<6>(plan, "round-trip-blocked", 1024)?);
    }
    if wanted("one-core") {
        figures.extend(race::<6>(plan, "one-core", 1024)?);
    }
    if wanted("idle-cpu") {
        figures.push(idle(plan)?);
    }
    if figures.is_empty() {
        let works = "round-trip, one-way, round-trip-blocked, one-core, idle-cpu";
        return Err(format!("--only takes one of {works}").into());
    }
    Ok(figures)
}

/// A contestant: the other process, and what this one does for one sample.
struct Contestant {
    name: &'static str,
    peer: Child,
    count: u64,
    sample: Box<dyn FnMut(u64) -> f64>,
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // A peer that finds its standard input closed, or its channel, comes to its end and leaves nothing behind.
        drop(self.peer.stdin.take());
        self.sample = Box::new(|_| f64::NAN);
        let _ = self.peer.wait();
    }
}

/// Lets the contestants of a work take turns, and files what they did.
fn race<const N: usize>(plan: &Plan, work: &'static str, capacity: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut line = start::<N>(plan, work, "line", capacity)?;
    let names: &[&'static str] = match work {
        "round-trip" | "one-core" => &["slipring", "pipe"],
        "one-way" => &["slipring", "ring", "pipe"],
        _ => &["slipring", "futex"],
    };
    let mut contestants =
        names.iter().map(|name| start::<N>(plan, work, name, capacity)).collect::<Result<Vec<_>, _>>()?;
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        let mut before = (line.sample)(line.count);
        let mut results = Vec::new();
        for turn in 0..contestants.len() {
            let index = (turn + round) % contestants.len();
            let contestant = &mut contestants[index];
            let taken = (contestant.sample)(contestant.count);
            let after = (line.sample)(line.count);
            results.push(Sample {
                contestant: contestant.name,
                taken,
                line: (before + after) / 2.0,
                around: (before, after),
            });
            before = after;
        }
        eprint!("\r{work} {} B, capacity {capacity}: round {} of {}   ", N * 8, round + 1, plan.rounds);
        rounds.push(results);
    }
    eprintln!();
    Ok(file::<N>(work, capacity, names, &rounds))
}

/// One sample, and the limit as it was around it.
struct Sample {
    contestant: &'static str,
    taken: f64,
    line: f64,
    around: (f64, f64),
}

/// Round trips of one line below this are near, in nanoseconds; twice as long is far, and between is neither.
const NEAR_BELOW_NS: f64 = 160.0;

fn placement(work: &str, around: (f64, f64)) -> Option<&'static str> {
    let is_near = |line: f64| line < NEAR_BELOW_NS;
    let is_far = |line: f64| line > 200.0;
    match work {
        "one-core" => Some("one-core"),
        _ if is_near(around.0) && is_near(around.1) => Some("near"),
        _ if is_far(around.0) && is_far(around.1) => Some("far"),
        _ => None,
    }
}

fn file<const N: usize>(
    work: &'static str,
    capacity: usize,
    names: &[&'static str],
    rounds: &[Vec<Sample>],
) -> Vec<Figure> {
    let mut figures: Vec<Figure> = Vec::new();
    let works = if work == "round-trip" { vec!["limit"] } else { vec![] };
    for place in ["near", "far", "one-core"] {
        let of =
            |name| move |sample: &&Sample| sample.contestant == name && placement(work, sample.around) == Some(place);
        for &name in names.iter().chain(&works) {
            let mut figure = Figure {
                work,
                contestant: if name == "ring" { "limit" } else { name },
                size_bytes: N * 8,
                capacity,
                placement: place,
                samples: Vec::new(),
                ratios: names
                    .iter()
                    .chain(&works)
                    .filter(|&&other| other != name)
                    .map(|&other| (other, vec![]))
                    .collect(),
            };
            for round in rounds {
                let source = if name == "limit" { "slipring" } else { name };
                let Some(sample) = round.iter().find(of(source)) else { continue };
                let taken = if name == "limit" { sample.line } else { sample.taken };
                figure.samples.push(taken);
                for (other, ratios) in &mut figure.ratios {
                    if *other == "limit" {
                        ratios.push(taken / sample.line);
                    } else if let Some(other) = round.iter().find(of(other)) {
                        ratios.push(taken / other.taken);
                    }
                }
            }
            if !figure.samples.is_empty() {
                figures.push(figure);
            }
        }
    }
    figures
}

/// Starts the peer of a contestant and opens this side.
fn start<const N: usize>(
    plan: &Plan,
    work: &'static str,
    name: &'static str,
    capacity: usize,
) -> Result<Contestant, Box<dyn Error>> {
    let bytes = match name {
        "line" => Line::BYTES,
        "futex" => Futex::BYTES,
        _ => CachedIndexRing::<N>::bytes(capacity),
    };
    let memory = memory(bytes)?;
    let channel = format!("pingpong-{}-{name}-{work}-{}-{capacity}", std::process::id(), N * 8);
    let processor = if work == "one-core" && name != "line" { plan.pins.0 } else { plan.pins.1 };
    let mut peer = Command::new(std::env::current_exe()?)
        .args(["peer", name, work, &N.to_string(), &capacity.to_string(), &channel, &processor.to_string()])
        .arg(format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd()))
        .stdin(Stdio::piped())
        .stdout(if name == "pipe" { Stdio::piped() } else { Stdio::inherit() })
        .spawn()?;
    let stdin = peer.stdin.as_ref().ok_or("the peer has no standard input")?;
    let orders = File::from(std::os::fd::AsFd::as_fd(stdin).try_clone_to_owned()?);
    let shared = Shared::map(&memory)?;
    let sample: Box<dyn FnMut(u64) -> f64> = match name {
        "line" => {
            let line = Line(shared);
            let mut warm = false;
            Box::new(move |count| {
                if !std::mem::replace(&mut warm, true) {
                    // The first sample of all includes the time in which the peer starts.
                    timed(&orders, count, 0, |count| line.ping(count));
                }
                timed(&orders, count, 0, |count| line.ping(count))
            })
        }
        "futex" => futex_sampler(orders, Futex::new(shared, End::Parent)),
        "slipring" => sampler::<N>(work, orders, Slipring::open(&channel, capacity, End::Parent)?),
        "ring" => sampler::<N>(work, orders, CachedIndexRing::<N>::new(shared, capacity, End::Parent)),
        _ => {
            let stdout = peer.stdout.take().ok_or("the peer has no standard output")?;
            let pipe = Pipe::new(File::from(OwnedFd::from(stdout)), orders.try_clone()?);
            sampler::<N>(work, orders, pipe)
        }
    };
    // The peer opens the memory by the descriptor's path, so it has to be there until then.
    KEPT.with_borrow_mut(|kept| kept.push(memory));
    Ok(Contestant { name, peer, count: count_of(plan, work, name), sample })
}

thread_local! {
    /// Descriptors that peers open by path.
    static KEPT: std::cell::RefCell<Vec<File>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Messages or round trips of one sample: some ten milliseconds' worth.
fn count_of(plan: &Plan, work: &str, name: &str) -> u64 {
    let count = match (work, name) {
        (_, "line") => 20_000,
        ("round-trip-blocked", _) => 200,
        ("one-way", "pipe") => 20_000,
        ("one-way", _) => 2_000_000,
        (_, "pipe") => 1_000,
        ("one-core", _) => 2_000,
        _ => 50_000,
    };
    if plan.quick { count / 2 } else { count }
}

/// Orders the peer to do `warm_up + count`, and returns nanoseconds per piece of the `count`.
fn timed(mut orders: &File, count: u64, warm_up: u64, mut work: impl FnMut(u64)) -> f64 {
    orders.write_all(&(count + warm_up).to_ne_bytes()).expect("the peer lives");
    if warm_up > 0 {
        work(warm_up);
    }
    let started = Instant::now();
    work(count);
    started.elapsed().as_nanos() as f64 / count as f64
}

/// Enough for the peer to wake up and for both to have touched everything.
const WARM_UP: u64 = 200;

fn sampler<const N: usize>(work: &str, orders: File, mut link: impl Link<N> + 'static) -> Box<dyn FnMut(u64) -> f64> {
    match work {
        "one-way" => Box::new(move |count| {
            let mut next = 0;
            timed(&orders, count, count / 20, |count| {
                for sequence in next..next + count {
                    verify(link.recv(), sequence);
                }
                next += count;
            })
        }),
        "round-trip-blocked" => Box::new(move |count| {
            blocked(&orders, count, |sequence| {
                link.send(message(sequence));
                verify(link.recv(), sequence);
            })
        }),
        _ => Box::new(move |count| {
            timed(&orders, count, WARM_UP, |count| {
                for sequence in 0..count {
                    link.send(message(sequence));
                    verify(link.recv(), sequence);
                }
            })
        }),
    }
}

fn futex_sampler(orders: File, mut futex: Futex) -> Box<dyn FnMut(u64) -> f64> {
    let mut turn = 0;
    let mut first = true;
    Box::new(move |count| {
        if first {
            // The peer of the first order has yet to map the memory.
            thread::sleep(Duration::from_millis(100));
            first = false;
        }
        blocked(&orders, count, |_| {
            turn += 1;
            futex.send();
            futex.recv(turn);
        })
    })
}

/// Mean time of a round trip to a peer that has had the time to fall asleep before each.
fn blocked(mut orders: &File, count: u64, mut round_trip: impl FnMut(u64)) -> f64 {
    orders.write_all(&count.to_ne_bytes()).expect("the peer lives");
    let mut spent = Duration::ZERO;
    for sequence in 0..count {
        // Long enough for any spinning to be over; this is a measurement, nothing depends on it.
        thread::sleep(Duration::from_micros(300));
        let started = Instant::now();
        round_trip(sequence);
        spent += started.elapsed();
    }
    spent.as_nanos() as f64 / count as f64
}

/// Percent of a processor that a receiver uses while it waits.
fn idle(plan: &Plan) -> Result<Figure, Box<dyn Error>> {
    let mut contestant = start::<6>(plan, "round-trip", "slipring", 1024)?;
    (contestant.sample)(1000);
    let mut orders = contestant.peer.stdin.as_ref().ok_or("the peer has no standard input")?;
    orders.write_all(&1u64.to_ne_bytes())?;
    // Past the spinning that follows the last message.
    thread::sleep(Duration::from_millis(200));
    let used = |pid: u32| -> Result<f64, Box<dyn Error>> {
        let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
        Ok(schedstat.split_whitespace().next().ok_or("no figure in schedstat")?.parse()?)
    };
    let (pid, period) = (contestant.peer.id(), Duration::from_secs(if plan.quick { 1 } else { 5 }));
    let before = used(pid)?;
    thread::sleep(period);
    let percent = 100.0 * (used(pid)? - before) / period.as_nanos() as f64;
    Ok(Figure {
        work: "idle-cpu",
        contestant: "slipring",
        size_bytes: 48,
        capacity: 1024,
        placement: "any",
        samples: vec![percent],
        ratios: Vec::new(),
    })
}

/// Memory without a name, as a segment is before it is linked.
fn memory(bytes: usize) -> Result<File, Box<dyn Error>> {
    // SAFETY: the name is NUL-terminated.
    let fd = unsafe { libc::memfd_create(c"pingpong".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(bytes as u64)?;
    Ok(file)
}
