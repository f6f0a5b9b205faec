//! Semaphores, events, condition variables and barriers: the victim takes, gives, signals and waits.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Check, Context, PATIENCE, PAUSE, ensure};
use crate::trace::act;
use slipring::sync::{Barrier, BarrierError, BarrierTimeoutError, Condvar, Event, Mutex, Options, Semaphore};
use std::thread;
use std::time::Duration;

/// The kinds' names.
pub(crate) const SEMAPHORE: &str = "semaphore";
pub(crate) const EVENT: &str = "event";
pub(crate) const CONDVAR: &str = "condvar";
pub(crate) const BARRIER: &str = "barrier";

/// Permits in the beginning.
const PERMITS: u32 = 3;

const PERMIT_OPERATIONS: &[&str] =
    &["acquire", "acquire-many", "release", "add", "spend", "wait-in-vain", "close", "attach"];
const EVENT_OPERATIONS: &[&str] = &["set", "reset", "take", "wait-in-vain"];
const CONDVAR_OPERATIONS: &[&str] = &["notify-one", "notify-all", "wait-in-vain"];
const BARRIER_OPERATIONS: &[&str] = &["meet", "wait-in-vain", "close", "attach"];

fn scenes(kind: &'static str, operations: &'static [&'static str]) -> Vec<Scene> {
    operations.iter().map(|&operation| Scene { kind, operation, role: "member", has_company: false }).collect()
}

pub(crate) fn semaphore_scenes() -> Vec<Scene> {
    scenes(SEMAPHORE, PERMIT_OPERATIONS)
}

pub(crate) fn event_scenes() -> Vec<Scene> {
    scenes(EVENT, EVENT_OPERATIONS)
}

pub(crate) fn condvar_scenes() -> Vec<Scene> {
    scenes(CONDVAR, CONDVAR_OPERATIONS)
}

pub(crate) fn barrier_scenes() -> Vec<Scene> {
    scenes(BARRIER, BARRIER_OPERATIONS)
}

fn named(name: &str, domain: &str) -> Options {
    Options::new(name).domain(domain)
}

const MOMENT: Duration = Duration::from_millis(1);

fn semaphore(domain: &str) -> Check<Semaphore> {
    Semaphore::open(named("permits", domain), PERMITS).at("a semaphore is opened")
}

/// The victim's part with a semaphore.
pub(crate) fn semaphore_victim(stage: &Stage) -> Check {
    stage.play_handle(
        || semaphore(&stage.domain),
        |semaphore, stage| {
            let operation = stage.scene().operation;
            let has_before = matches!(operation, "release" | "spend");
            let before = if has_before { Some(semaphore.acquire().at("the victim acquires")?) } else { None };
            stage.join()?;
            let kept = match operation {
                "acquire" => Some(act(|| semaphore.acquire())?.at("the victim acquires")?),
                "acquire-many" => Some(act(|| semaphore.acquire_many(2))?.at("the victim acquires")?),
                "release" => act(|| drop(before)).map(|()| None)?,
                "spend" => act(|| before.map(slipring::sync::Permit::spend)).map(|_| None)?,
                "add" => act(|| semaphore.add(1))?.at("the victim adds").map(|()| None)?,
                _ => act(|| drop(semaphore.acquire_timeout(MOMENT))).map(|()| None)?,
            };
            stage.done(&[])?;
            drop(kept);
            Ok(())
        },
    )
}

/// The survivors' part with a semaphore.
pub(crate) fn semaphore_survivors(play: &mut Play) -> Check {
    let operation = play.scene().operation;
    let survivor = semaphore(play.domain.name())?;
    let all = if operation == "wait-in-vain" { Some(survivor.acquire_many(PERMITS).at("a survivor")?) } else { None };
    play.enter()?;
    play.strike()?;
    drop(all);
    let taken = if operation == "acquire-many" { 2 } else { 1 };
    let most = if operation == "add" { PERMITS + 1 } else { PERMITS };
    let is_ended = play.is_stopped() || play.progress().is_finished;
    if play.is_stopped() {
        // What the victim neither has nor takes is there, and what it has stays.
        let rest = survivor.acquire_many_timeout(PERMITS - taken, PATIENCE).at("a survivor takes the rest")?;
        if let Ok(more) = survivor.acquire_many_timeout(taken, PAUSE) {
            play.saw("a survivor beside the stopped victim", more.permits());
        }
        drop(rest);
        play.resume()?;
        if operation.starts_with("acquire") {
            ensure(survivor.free() == Ok(PERMITS - taken), || format!("{:?} are free", survivor.free()))?;
        }
        play.release()?;
    }
    let total = match operation {
        "add" => [PERMITS, PERMITS + 1],
        "spend" => [PERMITS, PERMITS - 1],
        _ => [PERMITS; 2],
    };
    let least = total[0].min(total[1]);
    let base = survivor.acquire_many_timeout(least, PATIENCE).at("all permits come back")?;
    let more = survivor.try_acquire().ok();
    let found = least + u32::from(more.is_some());
    play.saw("permits", found);
    let is_right = match (play.is_untouched() && !play.is_stopped(), is_ended) {
        (true, _) => found == total[0],
        (_, true) => found == total[1],
        _ => total.contains(&found),
    };
    ensure(is_right, || format!("there are {found} permits, and have to be of {total:?}"))?;
    ensure(survivor.try_acquire().is_err(), || format!("there are more than {most} permits"))?;
    drop((base, more));
    ensure(survivor.free() == Ok(found), || format!("{:?} are free of {found}", survivor.free()))?;
    let newcomer = semaphore(play.domain.name())?;
    drop(newcomer.try_acquire_many(found).at("a newcomer takes them all")?);
    drop((newcomer, survivor));
    play.end()
}

fn event(domain: &str, is_automatic: bool) -> Check<Event> {
    let options = named("event", domain);
    if is_automatic { Event::automatic(options) } else { Event::manual(options) }.at("an event is opened")
}

/// The victim's part with an event.
pub(crate) fn event_victim(stage: &Stage) -> Check {
    let is_automatic = stage.scene().operation == "take";
    stage.play_handle(
        || event(&stage.domain, is_automatic),
        |event, stage| {
            stage.join()?;
            match stage.scene().operation {
                "set" => act(|| event.set())?.at("the victim sets")?,
                "reset" => act(|| event.reset())?.map(drop).at("the victim resets")?,
                "take" => act(|| event.wait())?.at("the victim waits")?,
                _ => act(|| event.wait_timeout(MOMENT))?.map(drop).at("the victim waits")?,
            }
            stage.done(&[])
        },
    )
}

/// The survivors' part with an event.
pub(crate) fn event_survivors(play: &mut Play) -> Check {
    let operation = play.scene().operation;
    let survivor = event(play.domain.name(), true)?;
    let is_set_before = matches!(operation, "reset" | "take");
    if is_set_before {
        survivor.set().at("a survivor sets")?;
    }
    play.enter()?;
    play.strike()?;
    if play.is_stopped() {
        play.resume()?;
        play.release()?;
    }
    let is_set = survivor.is_set().at("a survivor looks")?;
    play.saw("set", is_set);
    let is_set_after = operation == "set";
    let is_right = match (play.is_untouched() && !play.is_stopped(), play.is_stopped() || play.progress().is_finished) {
        (true, _) => is_set == is_set_before,
        (_, true) => is_set == is_set_after,
        _ => is_set_before != is_set_after || !is_set,
    };
    ensure(is_right, || format!("the event is set: {is_set}"))?;
    survivor.reset().at("a survivor resets")?;
    thread::scope(|scope| {
        let waits = scope.spawn(|| survivor.wait_timeout(PATIENCE));
        survivor.set().at("a survivor sets")?;
        let waited = waits.join().map_err(|_| "a survivor panicked".to_string())?;
        ensure(waited == Ok(true), || format!("a survivor waits: {waited:?}"))
    })?;
    drop(survivor);
    play.end()
}

fn condvar(domain: &str) -> Check<(Mutex<u64>, Condvar)> {
    let mutex = Mutex::open(named("value", domain), || 0).at("a mutex is opened")?;
    Ok((mutex, Condvar::open(named("changed", domain)).at("a condition variable is opened")?))
}

/// The victim's part with a condition variable.
pub(crate) fn condvar_victim(stage: &Stage) -> Check {
    stage.play_handle(
        || condvar(&stage.domain),
        |(mutex, changed), stage| {
            let guard = mutex.lock().at("the victim locks")?;
            let is_waiter = stage.scene().operation == "wait-in-vain";
            let guard = if is_waiter { Some(guard) } else { None };
            stage.join()?;
            match (stage.scene().operation, guard) {
                ("notify-one", _) => act(|| changed.notify_one())?.at("the victim notifies")?,
                ("notify-all", _) => act(|| changed.notify_all())?.at("the victim notifies")?,
                (_, Some(guard)) => act(|| changed.wait_timeout(guard, MOMENT))?.map(drop).at("the victim waits")?,
                _ => {}
            }
            stage.done(&[])
        },
    )
}

/// The survivors' part with a condition variable.
pub(crate) fn condvar_survivors(play: &mut Play) -> Check {
    let (mutex, changed) = condvar(play.domain.name())?;
    play.enter()?;
    play.strike()?;
    if play.is_stopped() {
        changed.notify_all().at("a survivor notifies beside the stopped victim")?;
        play.resume()?;
        play.release()?;
    }
    let relock = || match mutex.lock_timeout(PATIENCE) {
        Ok(guard) => Ok(guard),
        Err(slipring::sync::LockTimeoutError::Lock(slipring::sync::LockError::OwnerDied(mut guard))) => {
            guard.make_consistent();
            Ok(guard)
        }
        Err(error) => Err(format!("a survivor locks: {error:?}")),
    };
    drop(relock()?);
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let guard = relock()?;
            changed.wait_while_timeout(guard, PATIENCE, |value| *value == 0).map(drop).at("a survivor waits")
        });
        *relock()? = 1;
        changed.notify_one().at("a survivor notifies")?;
        waits.join().map_err(|_| "a survivor panicked".to_string())?
    })?;
    drop((mutex, changed));
    play.end()
}

fn barrier(domain: &str) -> Check<Barrier> {
    Barrier::open(named("barrier", domain), 2).at("a barrier is opened")
}

/// The victim's part at a barrier.
pub(crate) fn barrier_victim(stage: &Stage) -> Check {
    stage.play_handle(
        || barrier(&stage.domain),
        |barrier, stage| {
            stage.join()?;
            match stage.scene().operation {
                "meet" => act(|| barrier.wait())?.map(drop).at("the victim meets a survivor")?,
                _ => drop(act(|| barrier.wait_timeout(MOMENT))?),
            }
            stage.done(&[])
        },
    )
}

/// The survivors' part at a barrier.
pub(crate) fn barrier_survivors(play: &mut Play) -> Check {
    let survivor = barrier(play.domain.name())?;
    play.enter()?;
    if play.scene().operation == "meet" {
        meet_the_victim(play, &survivor)?;
    } else {
        play.strike()?;
        if play.is_stopped() {
            let waited = survivor.wait_timeout(MOMENT);
            let is_told = matches!(waited, Err(BarrierTimeoutError::Barrier(_)));
            ensure(!is_told, || format!("a stopped victim is told as {waited:?}"))?;
            play.resume()?;
            play.release()?;
        }
    }
    // A death that nobody has met breaks the next phase, or does not, if that is over sooner.
    survivor.reset().at("a survivor resets")?;
    let newcomer = barrier(play.domain.name())?;
    if newcomer.is_broken() == Ok(true) {
        newcomer.reset().at("a newcomer resets")?;
    }
    thread::scope(|scope| {
        let waits = scope.spawn(|| survivor.wait_timeout(PATIENCE));
        let met = newcomer.wait_timeout(PATIENCE).at("a newcomer comes")?;
        let other = waits.join().map_err(|_| "a survivor panicked".to_string())?.at("a survivor comes")?;
        ensure(met != other, || "there is not one who was last".to_string())
    })?;
    drop((newcomer, survivor));
    play.end()
}

/// A survivor waits, and the victim comes to be the last one.
fn meet_the_victim(play: &mut Play, survivor: &Barrier) -> Check {
    thread::scope(|scope| {
        let waits = scope.spawn(|| survivor.wait_timeout(PATIENCE));
        while survivor.waiting() != Ok(1) {
            thread::yield_now();
        }
        play.strike()?;
        if play.is_stopped() {
            thread::sleep(PAUSE);
            play.resume()?;
            play.release()?;
        }
        let met = waits.join().map_err(|_| "a survivor panicked".to_string())?;
        play.saw("a survivor", &met);
        let is_broken = matches!(met, Err(BarrierTimeoutError::Barrier(BarrierError::Broken(_))));
        let is_right = match (play.is_stopped() || play.progress().is_finished, play.is_untouched()) {
            (true, _) => met == Ok(false),
            (_, true) => is_broken,
            _ => met == Ok(false) || is_broken,
        };
        ensure(is_right, || format!("a survivor comes to know {met:?}"))
    })
}
