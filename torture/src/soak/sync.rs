//! Mutexes and semaphores: what was changed under a lock is there, and there are as many permits as ever.

use super::{Life, Witness, note};
use crate::check::{Check, Context, PATIENCE, ensure};
pub(super) use crate::sweep::{MUTEX, SEMAPHORE};
use slipring::sync::{LockError, LockTimeoutError, Mutex, MutexGuard, Options, Semaphore};

/// Permits of the semaphore.
const PERMITS: u32 = 3;

/// Which of the times that a process has counted it notes.
const NOTED: u64 = 32;

/// Three counts that are the same, unless somebody is changing them.
type Counts = [u64; 3];

fn mutex(domain: &str) -> Check<Mutex<Counts>> {
    Mutex::open(Options::new("counts").domain(domain), || [0; 3]).at("a mutex is opened")
}

fn semaphore(domain: &str) -> Check<Semaphore> {
    Semaphore::bounded(Options::new("permits").domain(domain), PERMITS).at("a semaphore is opened")
}

/// Locks, and puts right what a dead one has left.
fn lock(mutex: &Mutex<Counts>) -> Check<MutexGuard<'_, Counts>> {
    match mutex.lock_timeout(PATIENCE) {
        Ok(guard) => {
            let is_whole = guard.iter().all(|&count| count == guard[0]);
            ensure(is_whole, || format!("nobody was said to have died, and the counts are {guard:?}"))?;
            Ok(guard)
        }
        Err(LockTimeoutError::Lock(LockError::OwnerDied(mut guard))) => {
            let is_possible = guard.is_sorted_by(|one, next| one >= next) && guard[0] - guard[2] <= 1;
            ensure(is_possible, || format!("one who died has left {guard:?}"))?;
            *guard = [guard[0]; 3];
            guard.make_consistent();
            Ok(guard)
        }
        Err(error) => Err(format!("somebody locks: {error:?}")),
    }
}

/// The part of a process with a mutex.
pub(super) fn play_mutex(_: &str, _: &str, domain: &str, _: u64) -> Check {
    let mutex = mutex(domain)?;
    for times in 1.. {
        let mut guard = lock(&mutex)?;
        for at in 0..guard.len() {
            guard[at] += 1;
        }
        let count = guard[0];
        drop(guard);
        // To note it takes ten times as long as to count.
        if times % NOTED == 0 {
            note("counted", &[count, times])?;
        }
    }
    Ok(())
}

/// The part of a process with a semaphore.
pub(super) fn play_semaphore(_: &str, _: &str, domain: &str, _: u64) -> Check {
    let semaphore = semaphore(domain)?;
    for number in 0.. {
        let permits = semaphore.acquire_many(1 + number as u32 % PERMITS).at("somebody acquires")?;
        note("took", &[number])?;
        drop(permits);
    }
    Ok(())
}

/// Locks all the time.
pub(super) fn witness_mutex(_: &str, domain: &str) -> Check<Box<dyn Witness>> {
    Ok(Box::new(Counter { mutex: mutex(domain)?, newest: 0 }))
}

struct Counter {
    mutex: Mutex<Counts>,
    newest: u64,
}

impl Witness for Counter {
    fn watch(&mut self) -> Check {
        let count = lock(&self.mutex)?[0];
        ensure(count >= self.newest, || format!("the count fell from {} to {count}", self.newest))?;
        self.newest = count;
        Ok(())
    }

    fn settle(mut self: Box<Self>, lives: &[Life]) -> Check<usize> {
        self.watch()?;
        let mut counts: Vec<u64> = lives.iter().flat_map(|life| life.firsts("counted")).collect();
        counts.sort_unstable();
        let twice = counts.windows(2).find(|pair| pair[0] == pair[1]);
        ensure(twice.is_none(), || format!("two counted to {twice:?}"))?;
        let times = |life: &Life| life.lines("counted").filter_map(|numbers| numbers.get(1).copied()).max();
        let noted: u64 = lives.iter().filter_map(times).sum();
        let (all, unnoted) = (self.newest, lives.len() as u64 * NOTED);
        let is_right = (noted..=noted + unnoted).contains(&all) && counts.last().is_none_or(|&last| last <= all);
        ensure(is_right, || format!("{noted} were noted in {} lives, and {all} are there", lives.len()))?;
        Ok(all as usize)
    }
}

/// Takes permits now and then.
pub(super) fn witness_semaphore(_: &str, domain: &str) -> Check<Box<dyn Witness>> {
    Ok(Box::new(Heir(semaphore(domain)?)))
}

struct Heir(Semaphore);

impl Witness for Heir {
    fn settle(self: Box<Self>, lives: &[Life]) -> Check<usize> {
        let all = self.0.acquire_many_timeout(PERMITS, PATIENCE).at("the permits of the dead come back")?;
        ensure(self.0.try_acquire().is_err() && self.0.free() == Ok(0), || "there are too many permits".to_string())?;
        drop(all);
        ensure(self.0.free() == Ok(PERMITS), || format!("{:?} permits are free in the end", self.0.free()))?;
        Ok(lives.iter().map(|life| life.firsts("took").count()).sum())
    }
}
