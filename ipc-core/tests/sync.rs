//! What the locks, semaphores, events and shared values do between the threads of one process.

mod support;

extern crate ipc_core as slipring;

use ipc_core::inspect::{Observer, State};
use ipc_core::sync::{
    AddError, Atomic, Barrier, BarrierTimeoutError, Condvar, Event, LockError, LockTimeoutError, Mutex, Once, Options,
    PermitError, PermitTimeoutError, RwLock, Semaphore, Shared, SharedError, TryLockError, TryPermitError,
};
use ipc_core::{IpcMessage, Lifetime, OpenError, Queue, Role, Str};
use ipc_macros::IpcMessage;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use support::Domain;

/// Long enough for what does not come.
const SHORT: Duration = Duration::from_millis(5);

/// Never passes, unless something is broken.
const LONG: Duration = Duration::from_secs(60);

const THREADS: u64 = 4;
const TURNS: u64 = 5_000;

impl Domain {
    fn named(&self, name: &str) -> Options {
        Options::new(name).domain(self.name())
    }
}

#[derive(IpcMessage, Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
struct Stats {
    jobs: u64,
    failed: u64,
    last: Str<8>,
}

#[test]
fn a_mutex_is_had_by_one_thread_at_a_time_through_one_handle_and_many() {
    let domain = Domain::new("mutex-threads");
    let shared = Mutex::<Stats>::open(domain.named("stats"), Stats::default).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (domain, shared) = (&domain, &shared);
            scope.spawn(move || {
                let own = Mutex::<Stats>::open(domain.named("stats"), || panic!("it is there")).unwrap();
                let mutex = if thread % 2 == 0 { shared } else { &own };
                for _ in 0..TURNS {
                    let mut stats = mutex.lock().unwrap();
                    assert_eq!(stats.jobs, stats.failed);
                    stats.jobs += 1;
                    stats.failed += 1;
                }
            });
        }
    });
    let stats = *shared.lock().unwrap();
    assert_eq!((stats.jobs, stats.failed), (THREADS * TURNS, THREADS * TURNS));
}

#[test]
fn a_thread_that_locks_twice_is_told_so() {
    let domain = Domain::new("mutex-twice");
    let mutex = Mutex::<u64>::open(domain.named("word"), || 1).unwrap();
    let other = Mutex::<u64>::open(domain.named("word"), || 2).unwrap();
    let guard = mutex.lock().unwrap();
    assert!(matches!(mutex.lock(), Err(LockError::WouldDeadlock)));
    assert!(matches!(other.lock(), Err(LockError::WouldDeadlock)), "by way of another handle, too");
    assert!(matches!(mutex.lock_timeout(LONG), Err(LockTimeoutError::Lock(LockError::WouldDeadlock))));
    assert!(matches!(other.try_lock(), Err(TryLockError::Lock(LockError::WouldDeadlock))));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
            assert!(matches!(other.lock_timeout(SHORT), Err(LockTimeoutError::Timeout)));
        });
    });
    drop(guard);
    assert_eq!(*other.try_lock().unwrap(), 1);
}

#[test]
fn a_panic_with_a_guard_marks_the_value_until_it_is_put_right() {
    let domain = Domain::new("mutex-panic");
    let mutex = Mutex::<Stats>::open(domain.named("stats"), Stats::default).unwrap();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut stats = mutex.lock().unwrap();
        stats.jobs = 7;
        panic::resume_unwind(Box::new("half done"));
    }));
    assert!(panicked.is_err());
    for _ in 0..2 {
        let Err(LockError::OwnerDied(guard)) = mutex.lock() else { panic!("the next one is told, and told again") };
        assert_eq!(guard.jobs, 7);
    }
    let Err(TryLockError::Lock(LockError::OwnerDied(mut guard))) = mutex.try_lock() else { panic!("by any way") };
    guard.make_consistent();
    drop(guard);
    drop(mutex.lock().unwrap());
}

#[test]
fn a_forgotten_guard_goes_with_its_handle() {
    let domain = Domain::new("mutex-forgotten");
    let mutex = Mutex::<u64>::open(domain.named("word"), || 1).unwrap();
    let other = Mutex::<u64>::open(domain.named("word"), || 2).unwrap();
    std::mem::forget(other.lock().unwrap());
    thread::scope(|scope| {
        let waits = scope.spawn(|| matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
        drop(other);
        assert!(waits.join().unwrap());
    });
}

#[test]
fn readers_read_together_and_a_writer_alone() {
    let domain = Domain::new("rwlock");
    let lock = RwLock::<[u64; 2]>::open(domain.named("pair"), || [0; 2]).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..TURNS {
                    let mut pair = lock.write().unwrap();
                    pair[0] += 1;
                    pair[1] += 1;
                }
            });
            scope.spawn(|| {
                let own = RwLock::<[u64; 2]>::open(domain.named("pair"), || unreachable!()).unwrap();
                for _ in 0..TURNS {
                    let pair = own.read().unwrap();
                    assert_eq!(pair[0], pair[1]);
                }
            });
        }
    });
    let (one, other) = (lock.read().unwrap(), lock.try_read().unwrap());
    assert_eq!((one[0], other[1]), (2 * TURNS, 2 * TURNS));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
            assert!(matches!(lock.write_timeout(SHORT), Err(LockTimeoutError::Timeout)));
            drop(lock.read_timeout(LONG).unwrap());
        });
    });
    drop((one, other));
    let writing = lock.write().unwrap();
    assert!(matches!(lock.read(), Err(LockError::WouldDeadlock)));
    assert!(matches!(lock.write(), Err(LockError::WouldDeadlock)));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
            assert!(matches!(lock.read_timeout(SHORT), Err(LockTimeoutError::Timeout)));
        });
    });
    let reading = writing.downgrade();
    assert_eq!(lock.read().unwrap()[0], reading[0]);
}

#[test]
fn a_writer_that_panics_is_told_of_to_readers_too() {
    let domain = Domain::new("rwlock-panic");
    let lock = RwLock::<u64>::open(domain.named("word"), || 0).unwrap();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        *lock.write().unwrap() = 1;
        let mut guard = lock.write().unwrap();
        *guard = 2;
        panic::resume_unwind(Box::new("half done"));
    }));
    assert!(panicked.is_err());
    assert!(matches!(lock.read(), Err(LockError::OwnerDied(guard)) if *guard == 2));
    let Err(LockError::OwnerDied(mut guard)) = lock.write() else { panic!("so is a writer") };
    guard.make_consistent();
    drop(guard);
    assert_eq!(*lock.read().unwrap(), 2);
}

#[test]
fn permits_are_taken_given_back_spent_and_added() {
    let domain = Domain::new("semaphore");
    let semaphore = Semaphore::bounded(domain.named("slots"), 3).unwrap();
    let other = Semaphore::open(domain.named("slots"), 9).unwrap();
    assert_eq!((other.free(), other.bound()), (Ok(3), 3), "it is as it was created");
    let two = semaphore.acquire_many(2).unwrap();
    assert!(matches!(other.try_acquire_many(2), Err(TryPermitError::WouldBlock)));
    let one = other.acquire().unwrap();
    assert!(matches!(semaphore.acquire_timeout(SHORT), Err(PermitTimeoutError::Timeout)));
    assert!(matches!(semaphore.acquire_many(4), Err(PermitError::TooMany { asked: 4, most: 3 })));
    thread::scope(|scope| {
        let waits = scope.spawn(|| semaphore.acquire_many_timeout(2, LONG).unwrap().permits());
        drop(two);
        assert_eq!(waits.join().unwrap(), 2);
    });
    one.spend();
    assert_eq!(semaphore.free(), Ok(2));
    other.add(1).unwrap();
    assert_eq!(semaphore.add(1), Err(AddError::Bound { free: 3, bound: 3 }));
    std::mem::forget(other.acquire().unwrap());
    drop(other);
    assert_eq!(semaphore.free(), Ok(3), "a forgotten permit comes back with its handle");
    let none = Semaphore::bounded(domain.named("none"), 0).unwrap_err();
    assert_eq!(none.to_string(), "0 permits are not possible: a bounded semaphore has at least 1 permit");
    let bytes = fs::read(domain.memory("slots")).unwrap();
    let error = Semaphore::bounded(domain.named("slots"), 4).unwrap_err();
    assert!(matches!(error, OpenError::OtherCount { unit: "permits", found: 3, expected: 4, .. }), "{error:?}");
    assert!(fs::read(domain.memory("slots")).unwrap() == bytes, "who was refused has not even joined");
    assert_eq!(Semaphore::open(domain.named("slots"), 4).unwrap().bound(), 3, "one that leaves it open is welcome");
}

#[test]
fn as_many_threads_hold_permits_as_there_are() {
    let domain = Domain::new("semaphore-threads");
    let semaphore = Semaphore::open(domain.named("slots"), 2).unwrap();
    let inside = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (domain, semaphore, inside) = (&domain, &semaphore, &inside);
            scope.spawn(move || {
                let own = Semaphore::open(domain.named("slots"), 2).unwrap();
                let semaphore = if thread % 2 == 0 { semaphore } else { &own };
                for _ in 0..TURNS {
                    let permit = semaphore.acquire().unwrap();
                    // AcqRel, both: with each other.
                    assert!(inside.fetch_add(1, Ordering::AcqRel) < 2);
                    inside.fetch_sub(1, Ordering::AcqRel);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!(semaphore.free(), Ok(2));
}

#[test]
fn an_event_lets_all_go_or_one() {
    let domain = Domain::new("event");
    let manual = Event::manual(domain.named("manual")).unwrap();
    assert_eq!((manual.is_set(), manual.wait_timeout(SHORT), manual.try_wait()), (Ok(false), Ok(false), Ok(false)));
    manual.set().unwrap();
    assert_eq!(
        (manual.wait(), manual.try_wait(), manual.reset(), manual.reset()),
        (Ok(()), Ok(true), Ok(true), Ok(false))
    );
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| manual.wait())).collect();
        // However short it is set, as long as they have come: those who have not yet need another time.
        while waiting.iter().any(|thread| !thread.is_finished()) {
            manual.set().unwrap();
            manual.reset().unwrap();
        }
    });
    let automatic = Event::automatic(domain.named("automatic")).unwrap();
    automatic.set().unwrap();
    automatic.set().unwrap();
    assert_eq!((automatic.try_wait(), automatic.try_wait()), (Ok(true), Ok(false)));
    let gone = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                automatic.wait().unwrap();
                // Release: pairs with the Acquire below.
                gone.fetch_add(1, Ordering::Release);
            });
        }
        for turn in 1..=2 {
            automatic.set().unwrap();
            // Acquire: pairs with the Release above.
            while gone.load(Ordering::Acquire) < turn {
                thread::yield_now();
            }
        }
    });
    assert_eq!(automatic.is_set(), Ok(false));
}

#[test]
fn what_is_waited_for_under_a_mutex_comes() {
    let domain = Domain::new("condvar");
    let jobs = Mutex::<u64>::open(domain.named("jobs"), || 0).unwrap();
    let changed = Condvar::open(domain.named("changed")).unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TURNS / 10 {
                    *changed.wait_while(jobs.lock().unwrap(), |jobs| *jobs == 0).unwrap() -= 1;
                }
            });
        }
        for _ in 0..THREADS * TURNS / 10 {
            *jobs.lock().unwrap() += 1;
            changed.notify_one().unwrap();
        }
        changed.notify_all().unwrap();
    });
    let guard = jobs.lock().unwrap();
    assert_eq!(*guard, 0);
    let (guard, is_notified) = changed.wait_timeout(guard, SHORT).unwrap();
    assert!(!is_notified);
    let waited = changed.wait_while_timeout(guard, SHORT, |jobs| *jobs == 0);
    assert!(matches!(waited, Err(LockTimeoutError::Timeout)));
    drop(waited);
    assert!(jobs.try_lock().is_ok(), "the mutex is not kept");
}

#[test]
fn a_barrier_lets_all_go_when_all_have_come() {
    let domain = Domain::new("barrier");
    let barrier = Barrier::open(domain.named("phase"), THREADS as u32).unwrap();
    let (came, leaders) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for phase in 1..=50 {
                    // Release, with the Acquire below, by way of the barrier as well.
                    came.fetch_add(1, Ordering::Release);
                    let is_leader = barrier.wait().unwrap();
                    assert!(came.load(Ordering::Acquire) >= phase * THREADS as u32);
                    leaders.fetch_add(u32::from(is_leader), Ordering::Relaxed);
                    barrier.wait().unwrap();
                }
            });
        }
    });
    assert_eq!(leaders.load(Ordering::Relaxed), 50, "one leader a phase");
    assert_eq!(barrier.wait_timeout(SHORT), Err(BarrierTimeoutError::Timeout));
    assert_eq!((barrier.waiting(), barrier.is_broken(), barrier.reset()), (Ok(0), Ok(false), Ok(false)));
    let none = Barrier::open(domain.named("none"), 0).unwrap_err();
    assert_eq!(none.to_string(), "0 parties are not possible: a barrier has 1 to 65,535 parties");
}

#[test]
fn a_barrier_of_other_parties_is_refused_and_stays_whole() {
    let domain = Domain::new("barrier-parties");
    let barrier = Barrier::open(domain.named("phase"), 1).unwrap();
    let bytes = fs::read(domain.memory("phase")).unwrap();
    let error = Barrier::open(domain.named("phase"), 3).unwrap_err();
    assert!(fs::read(domain.memory("phase")).unwrap() == bytes, "who was refused has not even joined");
    let OpenError::OtherCount { unit: "parties", found: 1, expected: 3, creator, .. } = &error else {
        panic!("{error}")
    };
    let said = format!(
        "\"phase\" was created for another number of parties (1, by {creator}) than this program opens it for (3)"
    );
    assert!(error.to_string().starts_with(&said), "{error}");
    assert_eq!(barrier.wait(), Ok(true), "who was refused has broken nothing");
}

#[test]
fn once_is_done_once_and_again_after_a_panic() {
    let domain = Domain::new("once");
    let once = Once::open(domain.named("once")).unwrap();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| once.call_once(|_| panic::resume_unwind(Box::new("half")))));
    assert!(panicked.is_err());
    assert_eq!((once.is_done(), once.wait_timeout(SHORT)), (Ok(false), Ok(false)));
    let times = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let own = Once::open(domain.named("once")).unwrap();
                own.call_once(|state| {
                    assert!(state.was_begun);
                    assert!(own.call_once(|_| ()).is_err(), "it would wait for itself");
                    times.fetch_add(1, Ordering::Relaxed);
                })
                .unwrap();
                assert_eq!((own.is_done(), own.wait_timeout(LONG)), (Ok(true), Ok(true)));
            });
        }
    });
    assert_eq!(times.load(Ordering::Relaxed), 1);
}

#[test]
fn atomics_of_every_type() {
    let domain = Domain::new("atomic");
    let count = Atomic::<u64>::open(domain.named("count"), 5).unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..TURNS).for_each(|_| assert!(count.fetch_add(1).is_ok())));
        }
    });
    assert_eq!(count.load(), Ok(5 + THREADS * TURNS));
    assert_eq!(count.fetch_update(|value| (value > 7).then_some(7)), Ok(Ok(5 + THREADS * TURNS)));
    assert_eq!(count.fetch_update(|value| (value > 7).then_some(7)), Ok(Err(7)));
    let byte = Atomic::<i8>::open(domain.named("byte"), 127).unwrap();
    assert_eq!((byte.fetch_add(1), byte.load()), (Ok(127), Ok(-128)));
    let flag = Atomic::<bool>::open(domain.named("flag"), false).unwrap();
    assert_eq!(
        (flag.compare_exchange(true, false), flag.swap(true), flag.load()),
        (Ok(Err(false)), Ok(false), Ok(true))
    );
    let level = Atomic::<f64>::open(domain.named("level"), -0.5).unwrap();
    level.store(level.load().unwrap() * 3.0).unwrap();
    assert_eq!(level.load(), Ok(-1.5));
}

#[test]
fn a_shared_value_is_read_whole() {
    let domain = Domain::new("shared");
    let levels = Shared::<[u64; 40]>::open(domain.named("levels"), || [0; 40]).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                (0..TURNS).for_each(|_| levels.update(|levels| levels.iter_mut().for_each(|one| *one += 1)).unwrap())
            });
            scope.spawn(|| {
                let own = Shared::<[u64; 40]>::open(domain.named("levels"), || unreachable!()).unwrap();
                for _ in 0..TURNS {
                    let levels = own.load().unwrap();
                    assert!(levels.iter().all(|&one| one == levels[0]), "{levels:?}");
                }
            });
        }
    });
    assert_eq!(levels.load(), Ok([2 * TURNS; 40]));
    let mut within = None;
    levels.update(|_| within = Some(levels.store([0; 40]))).unwrap();
    assert_eq!(within, Some(Err(SharedError::WouldDeadlock)));
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        levels.update(|levels| {
            levels[0] = 1;
            panic::resume_unwind(Box::new("half done"));
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(levels.load(), Ok([2 * TURNS; 40]));
}

#[test]
fn another_type_or_another_kind_is_refused() {
    let domain = Domain::new("refused");
    let mutex = Mutex::<Stats>::open(domain.named("stats"), Stats::default).unwrap();
    let mismatch = Mutex::<[u64; 2]>::open(domain.named("stats"), || [0; 2]);
    assert!(matches!(mismatch, Err(OpenError::Mismatch(_))), "{mismatch:?}");
    let kind = Semaphore::open(domain.named("stats"), 1).unwrap_err().to_string();
    assert!(kind.contains("is a mutex") && kind.contains("as a semaphore"), "{kind}");
    assert!(matches!(Queue::<Stats>::new("stats").domain(domain.name()).sender(), Err(OpenError::Kind { .. })));
    assert!(matches!(domain.named("stats").remove(), Err(OpenError::InUse { .. })));
    let observer = Observer::open_in(domain.name(), "stats").unwrap();
    assert_eq!(format!("{:?}", observer.kind()), "Mutex");
    let seen: Vec<_> = observer.participants().iter().map(|one| (one.role, one.state)).collect();
    assert_eq!(seen, [(Role::User, State::Live)]);
    drop(mutex);
    assert!(!observer.is_current(), "the last one has removed it");
}

#[test]
fn a_value_that_is_kept_is_found_again() {
    let domain = Domain::new("kept");
    let kept = domain.named("kept").lifetime(Lifetime::Persistent);
    *Mutex::<u64>::open(kept.clone(), || 1).unwrap().lock().unwrap() = 2;
    assert_eq!(*Mutex::<u64>::open(kept.clone(), || 3).unwrap().lock().unwrap(), 2);
    assert_eq!((kept.remove().unwrap(), kept.remove().unwrap()), (true, false));
}

#[test]
fn there_are_places_for_so_many_handles() {
    let domain = Domain::new("places");
    let open = || Event::manual(domain.named("event"));
    let events: Vec<_> = (0..ipc_core::sync::PLACES).map(|_| open().unwrap()).collect();
    assert!(matches!(open(), Err(OpenError::TableFull { role: Role::User, .. })));
    events[0].set().unwrap();
    assert_eq!(events[255].try_wait(), Ok(true));
}

/// That each of them can be named.
#[test]
fn errors_say_what_to_do() {
    fn said<T: IpcMessage + std::fmt::Debug>(result: Result<T, impl std::fmt::Display>) -> String {
        result.map(|value| format!("{value:?}")).unwrap_or_else(|error| error.to_string())
    }
    let domain = Domain::new("errors");
    let mutex = Mutex::<bool>::open(domain.named("flag"), || true).unwrap();
    let guard = mutex.lock().unwrap();
    assert!(said(mutex.lock().map(|guard| *guard)).contains("this thread has the lock"));
    drop(guard);
}
