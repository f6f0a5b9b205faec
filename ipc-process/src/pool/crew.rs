//! The processes that a pool has started: how many there are to be, and what is done when they end.

use crate::error::SpawnError;
use crate::exit::Exit;
use crate::keeper::Launcher;
use crate::worker::Worker;
use std::time::{Duration, Instant};

/// How long to wait before a worker is started again that has ended without having joined, at first; twice as long each
/// time after that.
const FIRST_DELAY: Duration = Duration::from_millis(10);

/// The longest such wait.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How often in a row workers may fail to join, before a pool that has none is given up.
const MAX_FAILURES: u32 = 5;

/// How long a worker that is to leave has for it.
const GRACE: Duration = Duration::from_secs(5);

/// How long a process that has lost its locks may take until its exit status can be had.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// The processes that a pool has started.
#[derive(Debug)]
pub(super) struct Crew {
    launcher: Option<Launcher>,
    /// How many there are to be.
    wanted: usize,
    hands: Vec<Hand>,
    /// How often in a row one has failed to join, and how that came about last.
    failures: u32,
    last_failure: String,
    retry_at: Instant,
    join_limit: Duration,
}

/// One of the processes.
#[derive(Debug)]
struct Hand {
    worker: Worker,
    stage: Stage,
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It was started at this time, and has not joined yet.
    Starting(Instant),
    /// It sits here.
    Seated(u32),
    /// It has left its seat and has to have ended by then.
    Leaving(Instant),
}

impl Crew {
    /// A crew of so many processes, of which none has been started yet.
    pub(super) fn new(launcher: Option<Launcher>, wanted: usize, join_limit: Duration) -> Self {
        let (hands, last_failure) = (Vec::new(), String::new());
        Crew { launcher, wanted, hands, failures: 0, last_failure, retry_at: Instant::now(), join_limit }
    }

    /// Starts what is missing, if it is time.
    pub(super) fn fill(&mut self, now: Instant) -> Result<(), SpawnError> {
        let Some(launcher) = &mut self.launcher else { return Ok(()) };
        if now < self.retry_at {
            return Ok(());
        }
        let is_leaving = |hand: &&Hand| matches!(hand.stage, Stage::Leaving(_));
        let present = self.hands.len() - self.hands.iter().filter(is_leaving).count();
        for _ in present..self.wanted {
            let worker = Worker::from(launcher.launch()?);
            self.hands.push(Hand { worker, stage: Stage::Starting(now) });
        }
        Ok(())
    }

    /// As [`fill`](Self::fill), where it failing is a worker that fails to join.
    pub(super) fn refill(&mut self, now: Instant) {
        if let Err(error) = self.fill(now) {
            self.fail(error.to_string(), now);
        }
    }

    /// Looks after those that have not joined, or have left.
    pub(super) fn look(&mut self, now: Instant) {
        let mut failed = Vec::new();
        self.hands.retain(|Hand { worker, stage }| match *stage {
            Stage::Seated(_) => true,
            Stage::Leaving(until) => {
                if now >= until {
                    // Where that is not permitted, it is another user's by now, and its own master.
                    let _ = worker.kill();
                }
                worker.is_alive()
            }
            Stage::Starting(since) => {
                if let Some(exit) = worker.exit() {
                    failed.push(format!("it ended before it joined ({exit})"));
                    return false;
                }
                if now.saturating_duration_since(since) < self.join_limit {
                    return true;
                }
                let _ = worker.kill();
                failed.push(format!("it did not join within {:?}", self.join_limit));
                false
            }
        });
        failed.into_iter().for_each(|how| self.fail(how, now));
    }

    /// Notes that a worker sits on a seat now, whose process says that it has this id. `false` if it is none of these
    /// processes, or of those that they have started.
    pub(super) fn seat(&mut self, pid: u32, seat: u32) -> bool {
        let is_starting = |hand: &&mut Hand| matches!(hand.stage, Stage::Starting(_));
        let own = self.hands.iter().any(|hand| hand.worker.id() == pid && matches!(hand.stage, Stage::Starting(_)));
        let mut starting = self.hands.iter_mut().filter(is_starting);
        match starting.find(|hand| !own || hand.worker.id() == pid) {
            Some(hand) => {
                hand.stage = Stage::Seated(seat);
                true
            }
            None => false,
        }
    }

    /// Notes that a worker works.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Notes that a worker could not be had, and how.
    pub(super) fn fail(&mut self, how: String, now: Instant) {
        self.last_failure = how;
        let delay = FIRST_DELAY.saturating_mul(1 << self.failures.min(16)).min(LONGEST_DELAY);
        self.failures += 1;
        self.retry_at = now + delay;
    }

    /// Notes how a worker was refused, which says more than how it has ended.
    pub(super) fn refuse(&mut self, pid: u32, how: String, now: Instant) {
        let at = self.hands.iter().position(|hand| hand.worker.id() == pid);
        if let Some(at) = at {
            self.hands[at].stage = Stage::Leaving(now + GRACE);
            self.fail(how, now);
        }
    }

    /// Why no worker can be had, if that is so.
    pub(super) fn hopeless(&self) -> Option<String> {
        (self.failures >= MAX_FAILURES).then(|| {
            format!(
                "{} workers in a row have failed to join, the last one like this: {}",
                self.failures, self.last_failure
            )
        })
    }

    /// Notes that the worker on `seat` has closed its channels, and how long it has to end.
    pub(super) fn leave(&mut self, seat: u32, now: Instant) {
        if let Some(hand) = self.hands.iter_mut().find(|hand| hand.stage == Stage::Seated(seat)) {
            hand.stage = Stage::Leaving(now + GRACE);
        }
    }

    /// How the worker on `seat`, which has lost its locks, has ended.
    pub(super) fn bury(&mut self, seat: u32) -> Option<Exit> {
        let at = self.hands.iter().position(|hand| hand.stage == Stage::Seated(seat))?;
        let Hand { worker, .. } = self.hands.swap_remove(at);
        if let Some(exit) = worker.join_timeout(EXIT_LIMIT) {
            return Some(exit);
        }
        // It has closed its channels, and goes on for some reason.
        let _ = worker.kill();
        worker.join_timeout(EXIT_LIMIT)
    }

    /// The process on `seat`.
    pub(super) fn on(&self, seat: u32) -> Option<&Worker> {
        self.hands.iter().find(|hand| hand.stage == Stage::Seated(seat)).map(|hand| &hand.worker)
    }

    /// Kills all of them.
    pub(super) fn kill(&mut self, now: Instant) {
        self.wanted = 0;
        for hand in &mut self.hands {
            let _ = hand.worker.kill();
            hand.stage = Stage::Leaving(now + GRACE);
        }
    }

    /// Starts no more.
    pub(super) fn dismiss(&mut self, now: Instant) {
        self.wanted = 0;
        for hand in &mut self.hands {
            if matches!(hand.stage, Stage::Starting(_)) {
                let _ = hand.worker.kill();
                hand.stage = Stage::Leaving(now + GRACE);
            }
        }
    }

    /// Whether there is one that has not joined or not ended, so that they have to be looked after often.
    pub(super) fn is_restless(&self) -> bool {
        self.hands.iter().any(|hand| !matches!(hand.stage, Stage::Seated(_))) || self.hands.len() < self.wanted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hands.is_empty()
    }
}
