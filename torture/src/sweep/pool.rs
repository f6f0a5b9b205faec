//! Many cases at the same time: most of a case's time is spent waiting.

use crate::domain;
use std::collections::HashMap;
use std::process;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// After so long a case hangs, and with it what it tests.
const LIMIT: Duration = Duration::from_secs(90);

/// Plays the cases, `jobs` at a time, and tells `done` of each that is over. One that hangs is told by its `name`.
pub(super) fn run<C: Copy + Send, O: Send>(
    cases: Vec<C>,
    jobs: usize,
    name: impl Fn(&C) -> String,
    play: impl Fn(C) -> O + Sync,
    mut done: impl FnMut(),
) -> Vec<O> {
    let (cases, under_way) = (Mutex::new(cases.into_iter()), Mutex::new(HashMap::new()));
    let mut outcomes = Vec::new();
    thread::scope(|scope| {
        let (over, results) = mpsc::channel();
        for job in 0..jobs {
            let (over, cases, under_way, play) = (over.clone(), &cases, &under_way, &play);
            scope.spawn(move || {
                while let Some(case) = next(cases) {
                    note(under_way, job, Some(case));
                    let outcome = play(case);
                    note(under_way, job, None);
                    if over.send(outcome).is_err() {
                        return;
                    }
                }
            });
        }
        drop(over);
        loop {
            match results.recv_timeout(Duration::from_secs(1)) {
                Ok(outcome) => {
                    outcomes.push(outcome);
                    done();
                }
                Err(RecvTimeoutError::Timeout) => end_if_hanging(&under_way, &name),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    outcomes
}

type UnderWay<C> = Mutex<HashMap<usize, (C, Instant)>>;

fn next<C>(cases: &Mutex<impl Iterator<Item = C>>) -> Option<C> {
    cases.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next()
}

fn note<C>(under_way: &UnderWay<C>, job: usize, case: Option<C>) {
    let mut under_way = under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    match case {
        Some(case) => under_way.insert(job, (case, Instant::now())),
        None => under_way.remove(&job),
    };
}

/// A thread that hangs cannot be ended, so the process ends.
fn end_if_hanging<C>(under_way: &UnderWay<C>, name: &impl Fn(&C) -> String) {
    let under_way = under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let hanging: Vec<_> = under_way.values().filter(|(_, since)| since.elapsed() > LIMIT).collect();
    if !hanging.is_empty() {
        for (case, _) in hanging {
            let name = name(case);
            eprintln!("FAILED: a survivor hangs. Again: cargo run --release -p torture -- --case {name}");
        }
        domain::remove_all();
        process::exit(1);
    }
}
