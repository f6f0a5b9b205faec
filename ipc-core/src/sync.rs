//! Locks, semaphores, events, barriers and shared values with a name, for the threads of several processes.
//!
//! | to | use |
//! |---|---|
//! | have a value to oneself | [`Mutex`] |
//! | change it alone, and read it with others | [`RwLock`] |
//! | limit how many do something at a time | [`Semaphore`] |
//! | say that something has happened, or wait for it | [`Event`] |
//! | wait until a value under a mutex is as one needs it | [`Condvar`] |
//! | wait for each other | [`Barrier`] |
//! | have something done once | [`Once`] |
//! | count, or set a flag | [`Atomic`] |
//! | read and replace a value as a whole | [`Shared`] |
//!
//! ```
//! use ipc_core::sync::Mutex;
//! # use ipc_core::sync::Options;
//!
//! # let domain = format!("doc-{}", std::process::id());
//! # let name = |name: &str| Options::new(name).domain(&domain);
//! // In as many programs as you like, started in any order:
//! let total = Mutex::<u64>::open("total", || 0);
//! # drop(total);
//! # let total = Mutex::<u64>::open(name("total"), || 0);
//! let total = total?;
//! *total.lock().unwrap() += 1;
//! # assert_eq!(*total.lock().unwrap(), 1);
//! # Ok::<(), ipc_core::OpenError>(())
//! ```
//!
//! # What they have in common
//!
//! - *Whoever comes first creates it*, and gives it its value, before it has a name. So the others find it complete, whatever
//!   becomes of the one who came first. Of two who come first at the same time, one is thrown away unseen, although its
//!   function has been called. Programs that mean different things by the value are told so, field by field.
//! - *A handle is a participant*: a line in the segment's table, and a lock of the kernel's that goes with the process. Handles
//!   are `Send` and `Sync`, and any number of threads may use one. There are places for [`PLACES`] of them.
//! - *A death is no hang.* Who waits for somebody looks at least every 50 ms whether that one lives, and goes on in its place
//!   if not: see each type. A process that is stopped lives, and is waited for. Time is no evidence.
//! - *Who is not waited for pays nothing*: to lock and to unlock, to set an event or to give a permit back takes no system call
//!   unless somebody sleeps. Who waits spins for up to 50 us before it sleeps.
//! - *In place means trust.* The guards of [`Mutex`] and [`RwLock`] lead to the value in shared memory. It is checked to be one
//!   whenever a guard is had; that nobody changes it without the lock rests on the other programs, which are of the same user
//!   and use this library. [`Shared`] and [`Atomic`] hand out copies that were checked, and rest on nobody.
//! - *In a forked child* the handles are dead, and say so ([`Forked`]); a guard that was held at the fork panics
//!   when it is used. The child may open what it needs anew.
//!
//! # A panic is a death
//!
//! A guard that is dropped by a panic may leave its value as half changed as a process that is killed, so it leaves the lock in
//! the same state: the next one is told [`LockError::OwnerDied`], until somebody has called `make_consistent`. (The mutexes of
//! the standard library are poisoned in this case, for good.) Permits of a semaphore are given back by a panic, as by every drop.

mod atomic;
mod barrier;
mod condvar;
mod door;
mod event;
mod member;
mod mutex;
mod once;
mod options;
mod rwlock;
mod semaphore;
mod shared;

pub use atomic::{Atomic, AtomicInteger, AtomicValue};
pub use barrier::Barrier;
pub use condvar::Condvar;
pub use event::Event;
pub use member::PLACES;
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceState};
pub use options::Options;
pub use rwlock::{ReadGuard, ReadResult, RwLock, WriteGuard, WriteResult};
pub use semaphore::{Permit, Semaphore};
pub use shared::Shared;

pub use crate::error::{
    AddError, BarrierError, BarrierTimeoutError, Forked, LockError, LockTimeoutError, OnceError, PermitError,
    PermitTimeoutError, SharedError, Spoilt, TryLockError, TryPermitError,
};
