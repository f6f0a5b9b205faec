//! Two victims at a mutex, or at a semaphore.

use super::super::play::Stage;
use super::Operations;
use super::duo::{Duo, Extent, extent};
use crate::check::{Check, Context, PATIENCE, PAUSE, ensure};
use crate::trace::act;
use slipring::sync::{
    LockError, LockTimeoutError, Mutex, MutexGuard, Options, PermitTimeoutError, Semaphore, TryLockError,
};
use std::time::Duration;

/// Pairs at a mutex. `change` locks, changes a value, and unlocks.
pub(super) const MUTEX: &[Operations] =
    &[["lock", "lock"], ["unlock", "lock"], ["change", "lock"], ["lock", "change"], ["change", "change"]];

/// Pairs at a semaphore of two permits. `many` is both.
pub(super) const SEMAPHORE: &[Operations] = &[
    ["acquire", "acquire"],
    ["acquire-many", "acquire"],
    ["acquire", "acquire-many"],
    ["release-many", "acquire"],
    ["acquire", "release"],
];

/// How long the second waits for what the first may have. The first waits until it has it.
const MOMENT: Duration = Duration::from_millis(1);

/// Permits in the beginning.
const PERMITS: u32 = 2;

/// Two halves that are the same, unless somebody is between the two changes.
type Halves = [u64; 2];

type Guard<'m> = MutexGuard<'m, Halves>;

fn mutex(domain: &str) -> Check<Mutex<Halves>> {
    Mutex::open(Options::new("halves").domain(domain), || [0; 2]).at("a mutex is opened")
}

fn limit(stage: &Stage) -> Duration {
    if stage.scene().role == "first" { PATIENCE } else { MOMENT }
}

/// What came of an attempt to lock: the guard, unless it was late, and how many deaths were told. The value is whole.
fn had<'m>(result: Result<Guard<'m>, LockTimeoutError<Guard<'m>>>) -> Check<(Option<Guard<'m>>, u64)> {
    match result {
        Ok(guard) => {
            ensure(guard[0] == guard[1], || format!("no death is told, and the halves are {:?}", *guard))?;
            Ok((Some(guard), 0))
        }
        Err(LockTimeoutError::Lock(LockError::OwnerDied(mut guard))) => {
            ensure(guard[0] - guard[1] <= 1, || format!("the halves are {:?}", *guard))?;
            guard[1] = guard[0];
            guard.make_consistent();
            Ok((Some(guard), 1))
        }
        Err(LockTimeoutError::Timeout) => Ok((None, 0)),
        Err(error) => Err(format!("one locks: {error:?}")),
    }
}

/// The part of either victim at a mutex.
pub(super) fn mutex_victim(stage: &Stage) -> Check {
    let (mutex, limit) = (mutex(&stage.domain)?, limit(stage));
    let operation = stage.scene().operation;
    let held = (operation == "unlock").then(|| mutex.lock()).transpose().at("a victim locks")?;
    stage.join()?;
    let (kept, told) = match operation {
        "lock" => act(|| had(mutex.lock_timeout(limit)))??,
        "change" => {
            let told = act(|| {
                let (guard, told) = had(mutex.lock_timeout(limit))?;
                if let Some(mut guard) = guard {
                    guard[0] += 1;
                    guard[1] += 1;
                }
                Ok::<_, String>(told)
            })??;
            (None, told)
        }
        _ => {
            act(|| drop(held))?;
            (None, 0)
        }
    };
    stage.done(&[told])?;
    drop(kept);
    stage.rest(&[])
}

/// The survivors' part at a mutex.
pub(super) fn mutex_survivors(duo: &mut Duo) -> Check {
    let survivor = mutex(duo.domain())?;
    duo.enter()?;
    duo.strike()?;
    let mut told = 0;
    let (operation, reached) = (duo.pair.operations[0], extent(&duo.first));
    if duo.drains_first() {
        let (guard, deaths) = had(survivor.lock_timeout(PAUSE))?;
        told += deaths;
        let is_right = match (operation, reached) {
            ("lock", Extent::All) | ("unlock", Extent::Nothing) => guard.is_none(),
            (_, Extent::Some) => true,
            _ => guard.is_some(),
        };
        ensure(is_right, || format!("beside the stopped victim a survivor has it: {}", guard.is_some()))?;
    }
    if let Some(done) = duo.decide()? {
        told += done.iter().sum::<u64>();
        if operation == "lock" {
            let second = survivor.try_lock();
            ensure(matches!(second, Err(TryLockError::WouldBlock)), || format!("two have it: {second:?}"))?;
        }
        duo.first.release()?;
    }
    let (guard, deaths) = had(survivor.lock_timeout(PATIENCE))?;
    told += deaths;
    let halves = *guard.ok_or("the mutex does not come")?;
    duo.saw("a survivor", (halves, told));
    check_deaths(duo, told)?;
    check_changes(duo, halves[0])?;
    let newcomer = mutex(duo.domain())?;
    for turn in 0..3 {
        let guard = newcomer.try_lock().at("a newcomer locks")?;
        ensure(*guard == [halves[0]; 2], || format!("turn {turn}: {guard:?}"))?;
        drop(guard);
        drop(survivor.try_lock().at("a survivor locks")?);
    }
    Ok(())
}

/// Whether the first one, where it was stopped, cannot have had the mutex.
fn leaves_it_free(duo: &Duo) -> bool {
    matches!(
        (duo.pair.operations[0], extent(&duo.first)),
        ("lock" | "change", Extent::Nothing) | ("unlock" | "change", Extent::All)
    )
}

/// Every owner's death is told once, and nobody else's.
fn check_deaths(duo: &Duo, told: u64) -> Check {
    let (mut least, mut most) = (0, 0);
    for (who, dead) in duo.dead() {
        let (certain, possible) = match (duo.pair.operations[who], extent(dead)) {
            // The second may have waited in vain.
            ("lock", Extent::All) => (u64::from(who == 0 || leaves_it_free(duo)), 1),
            ("unlock", Extent::Nothing) => (1, 1),
            (_, Extent::Some) => (0, 1),
            _ => (0, 0),
        };
        least += certain;
        most += possible;
    }
    ensure((least..=most).contains(&told), || format!("{told} deaths are told, and from {least} to {most} owners died"))
}

/// What was changed to the end is there, and what was not begun is not.
fn check_changes(duo: &Duo, changes: u64) -> Check {
    let (mut least, mut most) = (0, 0);
    for (who, play) in [&duo.first, &duo.second].into_iter().enumerate() {
        if duo.pair.operations[who] == "change" {
            let is_certain = match who {
                0 => duo.goes_on() || extent(play) == Extent::All,
                _ => extent(play) == Extent::All && leaves_it_free(duo),
            };
            let is_possible = is_certain || extent(play) != Extent::Nothing;
            least += u64::from(is_certain);
            most += u64::from(is_possible);
        }
    }
    ensure((least..=most).contains(&changes), || format!("{changes} changes, and there are from {least} to {most}"))
}

fn semaphore(domain: &str) -> Check<Semaphore> {
    Semaphore::open(Options::new("permits").domain(domain), PERMITS).at("a semaphore is opened")
}

/// How many permits an operation is about.
fn share(operation: &str) -> u32 {
    if operation.ends_with("many") { PERMITS } else { 1 }
}

/// The part of either victim at a semaphore.
pub(super) fn semaphore_victim(stage: &Stage) -> Check {
    let (semaphore, limit) = (semaphore(&stage.domain)?, limit(stage));
    let operation = stage.scene().operation;
    let share = share(operation);
    if operation.starts_with("release") {
        let held = semaphore.acquire_many(share).at("a victim acquires")?;
        stage.join()?;
        act(|| drop(held))?;
        stage.done(&[])?;
        return stage.rest(&[]);
    }
    stage.join()?;
    let kept = match act(|| semaphore.acquire_many_timeout(share, limit))? {
        Ok(permits) => Some(permits),
        Err(PermitTimeoutError::Timeout) if stage.scene().role == "second" => None,
        Err(error) => return Err(format!("a victim acquires: {error:?}")),
    };
    stage.done(&[])?;
    drop(kept);
    stage.rest(&[])
}

/// The survivors' part at a semaphore.
pub(super) fn semaphore_survivors(duo: &mut Duo) -> Check {
    let survivor = semaphore(duo.domain())?;
    duo.enter()?;
    duo.strike()?;
    let (operation, reached) = (duo.pair.operations[0], extent(&duo.first));
    let acquires = operation.starts_with("acquire");
    if duo.drains_first() {
        let all = survivor.acquire_many_timeout(PERMITS, PAUSE);
        let is_right = match (acquires, reached) {
            (true, Extent::All) | (false, Extent::Nothing) => all.is_err(),
            (_, Extent::Some) => true,
            _ => all.is_ok(),
        };
        ensure(is_right, || format!("beside the stopped victim a survivor gets {all:?}"))?;
    }
    if duo.decide()?.is_some() {
        let most = if acquires { PERMITS - share(operation) } else { PERMITS };
        let free = survivor.free();
        ensure(free.as_ref().is_ok_and(|free| *free <= most), || format!("{free:?} are free, of {most}"))?;
        duo.first.release()?;
    }
    let all = survivor.acquire_many_timeout(PERMITS, PATIENCE).at("all permits come back")?;
    ensure(survivor.try_acquire().is_err(), || format!("there are more than {PERMITS} permits"))?;
    drop(all);
    ensure(survivor.free() == Ok(PERMITS), || format!("{:?} are free of {PERMITS}", survivor.free()))?;
    let newcomer = semaphore(duo.domain())?;
    drop(newcomer.try_acquire_many(PERMITS).at("a newcomer takes them all")?);
    Ok(())
}
