//! Locks, semaphores, events and barriers between processes that are killed and stopped.

use super::support::{Child, Domain, PATIENCE, Part, listen, say};
use ipc_core::inspect::{Observer, State};
use ipc_core::sync::{
    Barrier, BarrierError, Condvar, Event, LockError, LockTimeoutError, Mutex, Once, Options, RwLock, Semaphore,
    Shared, TryLockError,
};
use ipc_core::{OpenError, Opt};
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("sync_hold_mutex", hold_mutex),
    ("sync_wait_for_mutex", wait_for_mutex),
    ("sync_change_mutex_for_ever", change_mutex_for_ever),
    ("sync_spoil_mutex", spoil_mutex),
    ("sync_initialise_for_ever", initialise_for_ever),
    ("sync_read", read),
    ("sync_write", write),
    ("sync_write_behind_readers", write_behind_readers),
    ("sync_hold_permits", hold_permits),
    ("sync_take_permits_for_ever", take_permits_for_ever),
    ("sync_wait_for_event", wait_for_event),
    ("sync_wait_for_condvar", wait_for_condvar),
    ("sync_meet", meet),
    ("sync_do_once", do_once),
    ("sync_replace_for_ever", replace_for_ever),
];

/// Longer than it takes to find out that somebody is dead, who would be taken for dead if that were a matter of time.
const WHILE: Duration = Duration::from_millis(300);

/// Kills at random moments, a test.
const KILLS: u64 = 30;

fn named(domain: &str, name: &str) -> Options {
    Options::new(name).domain(domain)
}

fn pair(domain: &str) -> Mutex<[u64; 2]> {
    Mutex::open(named(domain, "pair"), || [0; 2]).unwrap()
}

fn hold_mutex(domain: &str) {
    let mutex = pair(domain);
    let mut guard = mutex.lock().unwrap();
    guard[0] += 1;
    say("held");
    listen();
    guard[1] += 1;
}

fn wait_for_mutex(domain: &str) {
    let mutex = pair(domain);
    say("waits");
    drop(mutex.lock());
    say("had it");
    listen();
}

/// Counts up both halves, and says so, until it is killed.
fn change_mutex_for_ever(domain: &str) {
    let mutex = pair(domain);
    loop {
        let mut guard = match mutex.lock() {
            Ok(guard) => {
                assert_eq!(guard[0], guard[1], "nobody has died, so it is whole");
                guard
            }
            Err(LockError::OwnerDied(mut guard)) => {
                assert!(guard[0] == guard[1] || guard[0] == guard[1] + 1, "{guard:?}");
                guard[1] = guard[0];
                guard.make_consistent();
                guard
            }
            Err(error) => panic!("{error}"),
        };
        guard[0] += 1;
        guard[1] += 1;
        let number = guard[1];
        drop(guard);
        say(number.to_string());
    }
}

#[test]
fn who_waits_for_a_dead_owner_is_told_and_goes_on() {
    let domain = Domain::new("sync-owner-killed");
    let mutex = pair(domain.name());
    let mut child = Child::start("sync_hold_mutex", &domain);
    assert_eq!(child.hear(), "held");
    assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| match mutex.lock() {
            Err(LockError::OwnerDied(guard)) => *guard,
            other => panic!("{other:?}"),
        });
        child.kill();
        assert_eq!(waits.join().unwrap(), [1, 0], "and reaches what it has left");
    });
    let Err(TryLockError::Lock(LockError::OwnerDied(mut guard))) = mutex.try_lock() else { panic!("it is told again") };
    guard[1] = guard[0];
    guard.make_consistent();
    drop(guard);
    assert_eq!(*mutex.lock().unwrap(), [1, 1]);
}

#[test]
fn one_that_does_not_wait_finds_the_dead_too() {
    let domain = Domain::new("sync-owner-killed-try");
    let mutex = pair(domain.name());
    let mut child = Child::start("sync_hold_mutex", &domain);
    assert_eq!(child.hear(), "held");
    child.kill();
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Lock(LockError::OwnerDied(_)))));
}

#[test]
fn a_newcomer_on_the_dead_ones_line_frees_what_it_held() {
    let domain = Domain::new("sync-owner-line");
    let mut child = Child::start("sync_hold_mutex", &domain);
    assert_eq!(child.hear(), "held");
    child.kill();
    // It takes the first free line, which is the dead one's.
    let mutex = pair(domain.name());
    assert!(!mutex.info().created && mutex.info().predecessor.is_some());
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Lock(LockError::OwnerDied(_)))));
}

#[test]
fn a_stopped_owner_is_not_robbed() {
    let domain = Domain::new("sync-owner-stopped");
    let mutex = pair(domain.name());
    let mut child = Child::start("sync_hold_mutex", &domain);
    assert_eq!(child.hear(), "held");
    child.stop();
    assert!(matches!(mutex.lock_timeout(WHILE), Err(LockTimeoutError::Timeout)));
    child.resume();
    child.tell("go on");
    assert_eq!(*mutex.lock_timeout(PATIENCE).unwrap(), [1, 1]);
    child.finish();
}

#[test]
fn dead_and_stopped_waiters_hold_up_nobody() {
    let domain = Domain::new("sync-waiters");
    let mutex = pair(domain.name());
    for turn in 0..4 {
        let guard = mutex.lock().unwrap();
        let mut children: Vec<_> = (0..3).map(|_| Child::start("sync_wait_for_mutex", &domain)).collect();
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), "waits"));
        // Long enough for them to sleep, and to ask to be handed the mutex.
        std::thread::sleep(if turn % 2 == 0 { Duration::ZERO } else { WHILE });
        let mut stopped = children.remove(0);
        stopped.stop();
        children.remove(0).kill();
        drop(guard);
        let mut left = children.remove(0);
        assert_eq!(left.hear(), "had it");
        drop(mutex.lock_timeout(PATIENCE).unwrap());
        stopped.resume();
        assert_eq!(stopped.hear(), "had it");
        stopped.finish();
        left.finish();
    }
}

#[test]
fn whoever_is_killed_at_random_leaves_a_mutex_that_goes_on() {
    let domain = Domain::new("sync-mutex-kills");
    let mutex = pair(domain.name());
    let mut children: Vec<_> = (0..3).map(|_| Child::start("sync_change_mutex_for_ever", &domain)).collect();
    let mut newest = 0;
    for kill in 0..KILLS {
        let (at, hears) = ((kill % 3) as usize, kill % 7);
        (0..=hears).for_each(|_| drop(children[at].hear()));
        children.remove(at).kill();
        let value = match mutex.lock_timeout(PATIENCE) {
            Ok(guard) => guard[1],
            Err(LockTimeoutError::Lock(LockError::OwnerDied(guard))) => guard[1],
            Err(error) => panic!("{error}"),
        };
        assert!(value >= newest);
        newest = value;
        children.insert(at, Child::start("sync_change_mutex_for_ever", &domain));
    }
    assert!(newest > 0);
    children.into_iter().for_each(Child::kill);
}

fn spoil_mutex(domain: &str) {
    let mutex = Mutex::<Opt<u32>>::open(named(domain, "option"), || Opt::None).unwrap();
    let mut guard = mutex.lock().unwrap();
    let bytes = (&raw mut *guard).cast::<u8>();
    // SAFETY: this is a value of so many bytes, and what is made of it is for others to find.
    (0..size_of::<Opt<u32>>()).for_each(|at| unsafe { bytes.wrapping_add(at).write(0xA5) });
    say("spoilt");
    listen();
    std::process::exit(0);
}

#[test]
fn a_value_that_is_none_can_be_replaced() {
    let domain = Domain::new("sync-spoilt");
    let mutex = Mutex::<Opt<u32>>::open(named(domain.name(), "option"), || Opt::None).unwrap();
    let mut child = Child::start("sync_spoil_mutex", &domain);
    assert_eq!(child.hear(), "spoilt");
    child.kill();
    for _ in 0..2 {
        assert!(matches!(mutex.lock(), Err(LockError::Invalid(_))));
    }
    let Err(LockError::Invalid(spoilt)) = mutex.lock() else { panic!("still") };
    assert_eq!(*spoilt.replace(Opt::Some(5)), Opt::Some(5));
    assert_eq!(*mutex.lock().unwrap(), Opt::Some(5));
}

fn initialise_for_ever(domain: &str) {
    let _ = Mutex::<u64>::open(named(domain, "slow"), || {
        say("initialises");
        listen();
        1
    });
}

#[test]
fn an_initialiser_that_is_killed_leaves_nothing() {
    let domain = Domain::new("sync-initialiser");
    let mut child = Child::start("sync_initialise_for_ever", &domain);
    assert_eq!(child.hear(), "initialises");
    child.kill();
    assert!(matches!(Observer::open_in(domain.name(), "slow"), Err(OpenError::NoChannel { .. })));
    let mut slow = Child::start("sync_initialise_for_ever", &domain);
    assert_eq!(slow.hear(), "initialises");
    let mutex = Mutex::<u64>::open(named(domain.name(), "slow"), || 2).unwrap();
    slow.tell("go on");
    slow.finish();
    assert_eq!(*mutex.lock().unwrap(), 2, "who is slower finds the value of who was faster");
}

fn table(domain: &str) -> RwLock<[u64; 2]> {
    RwLock::open(named(domain, "table"), || [0; 2]).unwrap()
}

fn read(domain: &str) {
    let table = table(domain);
    let guard = table.read().unwrap();
    say("reads");
    listen();
    drop(guard);
}

fn write(domain: &str) {
    let table = table(domain);
    let mut guard = table.write().unwrap();
    guard[0] += 1;
    say("writes");
    listen();
    guard[1] += 1;
}

fn write_behind_readers(domain: &str) {
    let table = table(domain);
    say("waits");
    drop(table.write());
    say("had it");
    listen();
}

#[test]
fn a_writer_goes_on_when_readers_die_and_waits_for_stopped_ones() {
    let domain = Domain::new("sync-readers");
    let table = table(domain.name());
    let mut readers: Vec<_> = (0..2).map(|_| Child::start("sync_read", &domain)).collect();
    readers.iter_mut().for_each(|child| assert_eq!(child.hear(), "reads"));
    let mut stopped = readers.remove(0);
    stopped.stop();
    readers.remove(0).kill();
    assert!(matches!(table.write_timeout(WHILE), Err(LockTimeoutError::Timeout)));
    drop(table.read().unwrap());
    stopped.kill();
    drop(table.write_timeout(PATIENCE).unwrap());
}

#[test]
fn the_death_of_a_writer_is_told_to_readers_and_writers() {
    let domain = Domain::new("sync-writer");
    let table = table(domain.name());
    let mut child = Child::start("sync_write", &domain);
    assert_eq!(child.hear(), "writes");
    assert!(matches!(table.try_read(), Err(TryLockError::WouldBlock)));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| match table.read() {
            Err(LockError::OwnerDied(guard)) => *guard,
            other => panic!("{other:?}"),
        });
        child.kill();
        assert_eq!(waits.join().unwrap(), [1, 0]);
    });
    let Err(LockError::OwnerDied(mut guard)) = table.write() else { panic!("so is a writer") };
    guard[1] = 1;
    guard.make_consistent();
    drop(guard);
    assert_eq!(*table.read().unwrap(), [1, 1]);
}

#[test]
fn a_writer_that_dies_before_it_has_begun_is_none() {
    let domain = Domain::new("sync-writer-waits");
    let table = table(domain.name());
    let guard = table.read().unwrap();
    let mut child = Child::start("sync_write_behind_readers", &domain);
    assert_eq!(child.hear(), "waits");
    // It keeps further readers out.
    while table.try_read().is_ok() {}
    child.kill();
    drop(table.read().unwrap());
    drop(guard);
    drop(table.write().unwrap());
}

fn slots(domain: &str) -> Semaphore {
    Semaphore::bounded(named(domain, "slots"), 3).unwrap()
}

fn hold_permits(domain: &str) {
    let slots = slots(domain);
    let permits = slots.acquire_many(2).unwrap();
    say("held");
    listen();
    drop(permits);
}

fn take_permits_for_ever(domain: &str) {
    let slots = slots(domain);
    loop {
        let permits = slots.acquire_many(2).unwrap();
        drop(slots.acquire().unwrap());
        say("took");
        drop(permits);
    }
}

#[test]
fn the_permits_of_the_dead_come_back_and_those_of_the_stopped_do_not() {
    let domain = Domain::new("sync-permits");
    let slots = slots(domain.name());
    let mut child = Child::start("sync_hold_permits", &domain);
    assert_eq!(child.hear(), "held");
    child.stop();
    assert!(slots.acquire_many_timeout(2, WHILE).is_err());
    assert_eq!(slots.free(), Ok(1));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| slots.acquire_many_timeout(3, PATIENCE).map(drop));
        child.kill();
        waits.join().unwrap().unwrap();
    });
    assert_eq!(slots.free(), Ok(3));
    let mut child = Child::start("sync_hold_permits", &domain);
    assert_eq!(child.hear(), "held");
    child.kill();
    drop(slots.try_acquire_many(3).expect("one that does not wait finds them, too"));
}

#[test]
fn no_kill_loses_or_doubles_a_permit() {
    let domain = Domain::new("sync-permit-kills");
    let slots = slots(domain.name());
    let start = || Child::start("sync_take_permits_for_ever", &domain);
    let mut child = start();
    for kill in 0..KILLS {
        (0..=kill % 5).for_each(|_| drop(child.hear()));
        child.kill();
        let all = slots.acquire_many_timeout(3, PATIENCE).unwrap();
        assert_eq!(slots.free(), Ok(0));
        drop(all);
        child = start();
    }
    child.kill();
    drop(slots.acquire_many_timeout(3, PATIENCE).unwrap());
    assert_eq!(slots.free(), Ok(3));
}

fn wait_for_event(domain: &str) {
    let event = Event::automatic(named(domain, "event")).unwrap();
    say("waits");
    event.wait().unwrap();
    say("had it");
    listen();
}

#[test]
fn an_event_does_not_wait_for_the_dead() {
    let domain = Domain::new("sync-event");
    let event = Event::automatic(named(domain.name(), "event")).unwrap();
    let mut children: Vec<_> = (0..2).map(|_| Child::start("sync_wait_for_event", &domain)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "waits"));
    children.remove(0).kill();
    event.set().unwrap();
    assert_eq!(children[0].hear(), "had it");
    assert_eq!(event.is_set(), Ok(false));
}

fn wait_for_condvar(domain: &str) {
    let (mutex, changed) = (pair(domain), Condvar::open(named(domain, "changed")).unwrap());
    let guard = mutex.lock().unwrap();
    say("waits");
    let waited = changed.wait_while(guard, |pair| pair[0] == 0);
    say(match waited {
        Ok(_) => "had it",
        Err(LockError::OwnerDied(_)) => "owner died",
        Err(_) => "failed",
    });
    listen();
}

#[test]
fn notifications_reach_those_who_live() {
    let domain = Domain::new("sync-condvar");
    let (mutex, changed) = (pair(domain.name()), Condvar::open(named(domain.name(), "changed")).unwrap());
    let mut children: Vec<_> = (0..3).map(|_| Child::start("sync_wait_for_condvar", &domain)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "waits"));
    drop(mutex.lock().unwrap());
    children.remove(0).kill();
    children.remove(0).stop();
    mutex.lock().unwrap()[0] = 1;
    changed.notify_one().unwrap();
    assert_eq!(children[0].hear(), "had it");
}

#[test]
fn one_who_waits_for_a_change_learns_of_the_death_of_who_was_making_it() {
    let domain = Domain::new("sync-condvar-owner");
    let mut waits = Child::start("sync_wait_for_condvar", &domain);
    assert_eq!(waits.hear(), "waits");
    let mut child = Child::start("sync_hold_mutex", &domain);
    assert_eq!(child.hear(), "held");
    child.kill();
    assert_eq!(waits.hear(), "owner died");
    waits.finish();
}

fn meet(domain: &str) {
    let barrier = Barrier::open(named(domain, "barrier"), 3).unwrap();
    say("joined");
    while listen().is_some() {
        say(match barrier.wait() {
            Ok(_) => "met".to_owned(),
            Err(BarrierError::Broken(who)) => format!("broken by {}", who.pid),
            Err(error) => panic!("{error}"),
        });
    }
}

#[test]
fn a_death_breaks_a_barrier_for_all_until_it_is_reset() {
    for has_arrived in [true, false] {
        let domain = Domain::new(&format!("sync-barrier-{has_arrived}"));
        let barrier = Barrier::open(named(domain.name(), "barrier"), 3).unwrap();
        let mut children: Vec<_> = (0..2).map(|_| Child::start("sync_meet", &domain)).collect();
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), "joined"));
        children.iter_mut().for_each(|child| child.tell("meet"));
        barrier.wait().unwrap();
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), "met"));

        let (mut victim, mut other) = (children.remove(0), children.remove(0));
        let pid = victim.pid();
        other.tell("meet");
        if has_arrived {
            victim.tell("meet");
            while barrier.waiting() != Ok(2) {
                std::thread::yield_now();
            }
        }
        victim.kill();
        assert_eq!(other.hear(), format!("broken by {pid}"));
        assert!(matches!(barrier.wait(), Err(BarrierError::Broken(who)) if who.pid == pid));
        assert_eq!((barrier.is_broken(), barrier.reset(), barrier.reset()), (Ok(true), Ok(true), Ok(false)));

        let mut successor = Child::start("sync_meet", &domain);
        assert_eq!(successor.hear(), "joined");
        let mut children = [other, successor];
        children.iter_mut().for_each(|child| child.tell("meet"));
        barrier.wait().unwrap();
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), "met"));
        children.into_iter().for_each(Child::finish);
    }
}

#[test]
fn a_stopped_party_breaks_nothing() {
    let domain = Domain::new("sync-barrier-stopped");
    let barrier = Barrier::open(named(domain.name(), "barrier"), 3).unwrap();
    let mut children: Vec<_> = (0..2).map(|_| Child::start("sync_meet", &domain)).collect();
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "joined"));
    children[0].stop();
    children.iter_mut().for_each(|child| child.tell("meet"));
    assert!(barrier.wait_timeout(WHILE).is_err());
    assert_eq!(barrier.is_broken(), Ok(false));
    children[0].resume();
    barrier.wait().unwrap();
    children.iter_mut().for_each(|child| assert_eq!(child.hear(), "met"));
}

fn do_once(domain: &str) {
    let once = Once::open(named(domain, "once")).unwrap();
    once.call_once(|state| {
        say(format!("begun before: {}", state.was_begun));
        listen();
    })
    .unwrap();
    say("done");
    listen();
}

#[test]
fn what_a_dead_one_has_not_done_is_done_by_the_next() {
    let domain = Domain::new("sync-once");
    let mut first = Child::start("sync_do_once", &domain);
    assert_eq!(first.hear(), "begun before: false");
    let mut second = Child::start("sync_do_once", &domain);
    first.kill();
    assert_eq!(second.hear(), "begun before: true");
    second.tell("go on");
    assert_eq!(second.hear(), "done");
    let once = Once::open(named(domain.name(), "once")).unwrap();
    once.call_once(|_| panic!("it is done")).unwrap();
    second.finish();
}

fn replace_for_ever(domain: &str) {
    let shared = Shared::<[u64; 64]>::open(named(domain, "shared"), || [0; 64]).unwrap();
    loop {
        shared.update(|value| value.iter_mut().for_each(|word| *word += 1)).unwrap();
        say(shared.load().unwrap()[0].to_string());
    }
}

#[test]
fn no_kill_tears_a_shared_value() {
    let domain = Domain::new("sync-shared-kills");
    let shared = Shared::<[u64; 64]>::open(named(domain.name(), "shared"), || [0; 64]).unwrap();
    let mut children: Vec<_> = (0..2).map(|_| Child::start("sync_replace_for_ever", &domain)).collect();
    let mut newest = 0;
    for kill in 0..KILLS {
        let at = (kill % 2) as usize;
        (0..=kill % 7).for_each(|_| drop(children[at].hear()));
        children.remove(at).kill();
        let value = shared.load().unwrap();
        assert!(value.iter().all(|&word| word == value[0]) && value[0] >= newest, "{value:?} after {newest}");
        newest = value[0];
        children.insert(at, Child::start("sync_replace_for_ever", &domain));
    }
    children.into_iter().for_each(Child::kill);
}

#[test]
fn everybody_killed_leaves_what_the_next_one_goes_on_with() {
    let domain = Domain::new("sync-all-killed");
    let mut child = Child::start("sync_hold_mutex", &domain);
    assert_eq!(child.hear(), "held");
    let observer = Observer::open_in(domain.name(), "pair").unwrap();
    child.kill();
    assert_eq!(observer.participants()[0].state, State::Dead);
    let mutex = Mutex::<[u64; 2]>::open(named(domain.name(), "pair"), || panic!("it is there")).unwrap();
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(guard)) if *guard == [1, 0]));
}
