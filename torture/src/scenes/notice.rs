//! How soon a death is noticed by whoever waits for the dead, without a timeout of the user's: for every kind, and every way
//! to wait.
//!
//! A survivor waits in a thread for what only the victim can give, the victim is killed at some moment of the survivor's
//! slices of sleep, and the time is taken until the survivor's verb returns. A wait that does not end fails, and so does one
//! that takes longer than 100 ms more often than not. That a busy machine makes one late now and then is no failure, and
//! is in the figures: `worst_ms`, `median_ms`, and how many were `late`.

mod parts;
mod waits;

pub(crate) use parts::PARTS;

use super::{End, Plan, Seen};
use crate::check::{Check, PATIENCE, ensure};
use crate::child::Child;
use crate::domain::Domain;
use crate::report::Tally;
use serde_json::json;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use waits::WAITS;

/// The campaign's name.
pub(crate) const NAME: &str = "deaths-noticed";

/// Within this a death has to be noticed.
const LIMIT: Duration = Duration::from_millis(100);

/// The longest time between the beginning of a wait and the kill: longer than a slice of sleep.
const LONGEST_PAUSE_MS: u64 = 60;

/// What a survivor does, from the wait on.
pub(super) type Waiter = Box<dyn FnOnce() -> Check + Send>;

/// A way to wait for somebody who dies.
pub(super) struct Wait {
    /// Kind and verb.
    name: &'static str,
    /// What the victim does.
    victim: &'static str,
    /// Whether the victim gets what it dies with only when the survivor waits already.
    takes_late: bool,
    /// Opens the ends that have to be there before the victim's, and returns what opens the others and waits.
    stage: fn(domain: &str) -> Check<Staged>,
}

/// What waits, given that the victim is ready.
pub(super) type Staged = Box<dyn FnOnce() -> Check<Waiter>>;

/// Runs the campaign.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) {
    let rounds = if plan.is_long { 200 } else { 6 };
    for wait in WAITS.iter().filter(|wait| plan.has(wait.name)) {
        super::run(NAME, wait.name, tally, || measure(wait, rounds).map(End::from));
    }
}

fn measure(wait: &Wait, rounds: u64) -> Check<Seen> {
    let mut times = Vec::new();
    for round in 0..rounds {
        times.push(notice(wait, Duration::from_millis(5 + round * 37 % LONGEST_PAUSE_MS))?);
    }
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    ensure(median <= LIMIT, || format!("of {times:?} until a death was noticed, half are longer than {LIMIT:?}"))?;
    let ms = |time: Duration| json!((time.as_secs_f64() * 10_000.0).round() / 10.0);
    let late = times.iter().filter(|time| **time > LIMIT).count();
    let more = vec![("median_ms", ms(median)), ("worst_ms", ms(worst)), ("late", json!(late))];
    Ok(Seen { cases: rounds, messages: None, more })
}

/// One death, `pause` after the wait has begun: the time until it is noticed.
fn notice(wait: &Wait, pause: Duration) -> Check<Duration> {
    let domain = Domain::new();
    let staged = (wait.stage)(domain.name())?;
    let mut victim = Child::start(["part", wait.victim, domain.name()])?;
    victim.hear_word("ready")?;
    let waiter = staged()?;
    let (over, result) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let verdict = waiter();
        // Nobody listens any more only if this was late.
        let _ = over.send((Instant::now(), verdict));
    });
    if wait.takes_late {
        victim.hear_word("taken")?;
    }
    thread::sleep(pause);
    if let Ok((_, verdict)) = result.try_recv() {
        return Err(format!("the wait was over while the victim lived: {verdict:?}"));
    }
    let killed = Instant::now();
    victim.kill()?;
    let (noticed, verdict) = result.recv_timeout(PATIENCE).map_err(|_| "the death was never noticed".to_string())?;
    verdict?;
    waiting.join().map_err(|_| "the survivor panicked".to_string())?;
    Ok(noticed.saturating_duration_since(killed))
}
