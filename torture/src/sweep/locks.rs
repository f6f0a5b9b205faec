//! Mutexes and reader-writer locks: the victim locks, changes both halves of a value, and unlocks.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Check, Context, PATIENCE, PAUSE, ensure};
use crate::trace::act;
use slipring::sync::{LockError, LockTimeoutError, Mutex, Options, RwLock, TryLockError, WriteGuard};
use std::mem;
use std::time::Duration;

/// The kinds' names.
pub(crate) const MUTEX: &str = "mutex";
pub(crate) const RW_LOCK: &str = "rwlock";

/// Two halves that are the same, unless somebody is between the two changes.
type Halves = [u64; 2];

const MUTEX_OPERATIONS: &[&str] = &["lock", "unlock", "change", "repair", "wait-in-vain", "close", "attach"];
const WRITING: &[&str] = &["lock", "unlock", "change", "wait-in-vain", "close", "attach"];
const READING: &[&str] = &["read", "end-read", "wait-in-vain"];

pub(crate) fn mutex_scenes() -> Vec<Scene> {
    let scene = |&operation| Scene { kind: MUTEX, operation, role: "owner", has_company: false };
    MUTEX_OPERATIONS.iter().map(scene).collect()
}

pub(crate) fn rw_lock_scenes() -> Vec<Scene> {
    let scene = |role| move |&operation| Scene { kind: RW_LOCK, operation, role, has_company: false };
    WRITING.iter().map(scene("writer")).chain(READING.iter().map(scene("reader"))).collect()
}

fn mutex(domain: &str) -> Check<Mutex<Halves>> {
    Mutex::open(Options::new("halves").domain(domain), || [0; 2]).at("a mutex is opened")
}

fn rw_lock(domain: &str) -> Check<RwLock<Halves>> {
    RwLock::open(Options::new("halves").domain(domain), || [0; 2]).at("a lock is opened")
}

fn change(halves: &mut Halves) {
    halves[0] += 1;
    halves[1] += 1;
}

/// The victim's part with a mutex.
pub(crate) fn mutex_victim(stage: &Stage) -> Check {
    stage.play_handle(
        || mutex(&stage.domain),
        |mutex, stage| {
            let operation = stage.scene().operation;
            if operation == "repair" {
                let dead = self::mutex(&stage.domain)?;
                mem::forget(dead.lock().at("one locks that is to leave")?);
            }
            let held = if operation == "unlock" { Some(mutex.lock().at("the victim locks")?) } else { None };
            stage.join()?;
            let mut kept = None;
            match operation {
                "lock" => kept = Some(act(|| mutex.lock())?.at("the victim locks")?),
                "unlock" => act(|| drop(held))?,
                "change" => act(|| mutex.lock().map(|mut guard| change(&mut guard)))?.at("the victim changes")?,
                "repair" => act(|| repair(mutex))??,
                _ => act(|| drop(mutex.lock_timeout(Duration::from_millis(1))))?,
            }
            stage.done(&[])?;
            drop(kept);
            Ok(())
        },
    )
}

fn repair(mutex: &Mutex<Halves>) -> Check {
    match mutex.lock() {
        Err(LockError::OwnerDied(mut guard)) => {
            guard.make_consistent();
            Ok(())
        }
        other => Err(format!("the victim is told nothing of the one before: {other:?}")),
    }
}

/// What came of an attempt to lock.
enum Had<G> {
    /// As it should be.
    Whole(G),
    /// With the report of a death.
    Reported(G),
    /// Not in time.
    Late,
}

fn had<G: std::fmt::Debug>(result: Result<G, LockTimeoutError<G>>) -> Check<Had<G>> {
    match result {
        Ok(guard) => Ok(Had::Whole(guard)),
        Err(LockTimeoutError::Lock(LockError::OwnerDied(guard))) => Ok(Had::Reported(guard)),
        Err(LockTimeoutError::Timeout) => Ok(Had::Late),
        Err(error) => Err(format!("a survivor locks: {error:?}")),
    }
}

/// What the survivors have to find.
struct Expected {
    /// Whether the victim has it, in the end, or in the beginning.
    holds: [bool; 2],
    /// Whether it may have it on the way, and change the value.
    changes: bool,
}

impl Expected {
    fn of(operation: &str) -> Self {
        let holds = [operation == "unlock", operation == "lock"];
        Expected { holds, changes: operation == "change" }
    }

    /// Whether the one who was killed had the lock: `None` if that is in doubt.
    fn held(&self, play: &Play) -> Option<bool> {
        match (play.is_untouched(), play.progress().is_finished) {
            (true, _) => Some(self.holds[0]),
            (_, true) => Some(self.holds[1]),
            _ if self.holds == [false; 2] && !self.changes => Some(false),
            _ => None,
        }
    }
}

/// That the halves are what a victim can have left.
fn check_halves(play: &mut Play, expected: &Expected, halves: Halves, is_reported: bool) -> Check {
    play.saw("a survivor", (halves, is_reported));
    let [first, second] = halves;
    let most = u64::from(expected.changes);
    ensure(second <= first && first <= most, || format!("the halves are {halves:?}"))?;
    ensure(is_reported || first == second, || format!("nobody has died, and the halves are {halves:?}"))?;
    let is_certain = expected.changes && (play.is_stopped() || play.progress().is_finished);
    ensure(!is_certain || halves == [1; 2], || format!("the victim has changed them to {halves:?}"))
}

/// The survivors' part with a mutex.
pub(crate) fn mutex_survivors(play: &mut Play) -> Check {
    let scene = play.scene();
    let expected = Expected::of(scene.operation);
    // Of "repair" the mark is there from the beginning, until the victim has taken it away.
    let is_marked_before = scene.operation == "repair";
    let survivor = mutex(play.domain.name())?;
    let held = if scene.operation == "wait-in-vain" { Some(survivor.lock().at("a survivor locks")?) } else { None };
    play.enter()?;
    play.strike()?;
    drop(held);
    if play.is_stopped() {
        match had(survivor.lock_timeout(PAUSE))? {
            Had::Reported(_) if !is_marked_before => return Err("the stopped victim was robbed".to_string()),
            _ => {}
        }
        play.resume()?;
        if expected.holds[1] {
            let second = survivor.try_lock();
            ensure(matches!(second, Err(TryLockError::WouldBlock)), || format!("two have it: {second:?}"))?;
        }
        play.release()?;
    }
    let died = play.is_stopped().then_some(false).or(expected.held(play));
    match had(survivor.lock_timeout(PATIENCE))? {
        Had::Whole(guard) => {
            ensure(died != Some(true), || "the death of the owner is not told".to_string())?;
            check_halves(play, &expected, *guard, false)?;
        }
        Had::Reported(mut guard) => {
            let may_be = died != Some(false) || is_marked_before && !play.progress().is_finished && !play.is_stopped();
            ensure(may_be, || "a death is told of one who did not have it".to_string())?;
            check_halves(play, &expected, *guard, true)?;
            guard[1] = guard[0];
            guard.make_consistent();
        }
        Had::Late => return Err("the lock does not come".to_string()),
    }
    let newcomer = mutex(play.domain.name())?;
    for turn in 0..3 {
        let guard = newcomer.try_lock().at("a newcomer locks")?;
        ensure(guard[0] == guard[1], || format!("turn {turn}: {guard:?}"))?;
        drop(guard);
        drop(survivor.try_lock().at("a survivor locks")?);
    }
    drop((newcomer, survivor));
    play.end()
}

/// The victim's part with a reader-writer lock.
pub(crate) fn rw_lock_victim(stage: &Stage) -> Check {
    stage.play_handle(
        || rw_lock(&stage.domain),
        |lock, stage| {
            let Scene { role, operation, .. } = stage.scene();
            let writes = if operation == "unlock" { Some(lock.write().at("the victim writes")?) } else { None };
            let reads = if operation == "end-read" { Some(lock.read().at("the victim reads")?) } else { None };
            stage.join()?;
            let moment = Duration::from_millis(1);
            let (mut kept_to_write, mut kept_to_read) = (None, None);
            match (role, operation) {
                (_, "lock") => kept_to_write = Some(act(|| lock.write())?.at("the victim writes")?),
                (_, "unlock") => act(|| drop(writes))?,
                (_, "change") => act(|| lock.write().map(|mut guard| change(&mut guard)))?.at("the victim changes")?,
                (_, "read") => kept_to_read = Some(act(|| lock.read())?.at("the victim reads")?),
                (_, "end-read") => act(|| drop(reads))?,
                ("writer", _) => act(|| drop(lock.write_timeout(moment)))?,
                _ => act(|| drop(lock.read_timeout(moment)))?,
            }
            stage.done(&[])?;
            drop((kept_to_write, kept_to_read));
            Ok(())
        },
    )
}

/// The survivors' part with a reader-writer lock.
pub(crate) fn rw_lock_survivors(play: &mut Play) -> Check {
    let scene = play.scene();
    let expected = Expected::of(scene.operation);
    let survivor = rw_lock(play.domain.name())?;
    let waits = scene.operation == "wait-in-vain";
    let held: (Option<WriteGuard<'_, Halves>>, _) = match (waits, scene.role) {
        (true, "writer") => (None, Some(survivor.read().at("a survivor reads")?)),
        (true, _) => (Some(survivor.write().at("a survivor writes")?), None),
        _ => (None, None),
    };
    play.enter()?;
    play.strike()?;
    drop(held);
    if play.is_stopped() {
        let writes = had(survivor.write_timeout(PAUSE))?;
        ensure(!matches!(writes, Had::Reported(_)), || "the stopped victim was robbed".to_string())?;
        drop(writes);
        play.resume()?;
        if expected.holds[1] || scene.operation == "read" {
            let second = survivor.try_write();
            ensure(matches!(second, Err(TryLockError::WouldBlock)), || {
                format!("it writes beside another: {second:?}")
            })?;
        }
        if scene.operation == "read" {
            drop(survivor.try_read().at("two read")?);
        }
        play.release()?;
    }
    let died = play.is_stopped().then_some(false).or(expected.held(play));
    let is_told = match had(survivor.read_timeout(PATIENCE))? {
        Had::Whole(guard) => {
            check_halves(play, &expected, *guard, false)?;
            false
        }
        Had::Reported(guard) => {
            check_halves(play, &expected, *guard, true)?;
            true
        }
        Had::Late => return Err("a survivor does not come to read".to_string()),
    };
    ensure(died.is_none_or(|died| died == is_told), || format!("told of a death: {is_told}"))?;
    match had(survivor.write_timeout(PATIENCE))? {
        Had::Reported(mut guard) if is_told => {
            guard[1] = guard[0];
            guard.make_consistent();
        }
        Had::Whole(_) if !is_told => {}
        Had::Late => return Err("a survivor does not come to write".to_string()),
        _ => return Err(format!("a reader was told of a death: {is_told}, and a writer otherwise")),
    }
    let newcomer = rw_lock(play.domain.name())?;
    let (one, other) = (newcomer.try_read().at("a newcomer reads")?, survivor.try_read().at("a survivor reads")?);
    ensure(one[0] == one[1] && *one == *other, || format!("the halves are {one:?}"))?;
    drop((one, other));
    drop(newcomer.try_write().at("a newcomer writes")?);
    drop((newcomer, survivor));
    play.end()
}
