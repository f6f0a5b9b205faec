//! Named synchronisation primitives and shared values, for the threads of several processes.
//!
//! | you want | use |
//! |---|---|
//! | exclusive access to a value | [`Mutex`] |
//! | exclusive access to change a value, shared access to read it | [`RwLock`] |
//! | a limit on how many threads do something at a time | [`Semaphore`] |
//! | to signal that something has happened, and to wait for it | [`Event`] |
//! | to wait for a condition on a value under a mutex | [`Condvar`] |
//! | threads to wait for each other | [`Barrier`] |
//! | something to be done once | [`Once`] |
//! | a counter or a flag | [`Atomic`] |
//! | to read and replace a whole value | [`Shared`] |
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
//! - *The first process to open a primitive creates it*, with its initial value, before it gets a name. So every other
//!   process finds it complete, even if the creator dies. If two processes race, one attempt is discarded unseen,
//!   although its initialiser has been called. If two programs declare different value types, opening fails and lists
//!   the differences.
//! - *A handle is a participant*: a line in the segment's table, and a kernel lock that is released when the process
//!   dies. Handles are `Send` and `Sync`; any number of threads may use one. A primitive has room for [`PLACES`]
//!   handles.
//! - *A death is not a hang.* A waiter checks at least every 50 ms whether the holder still lives, and continues if it
//!   does not; each type says how. A stopped process counts as alive, and waiters wait for it. No timeout decides that
//!   a process is dead.
//! - *The uncontended path makes no system call.* Locking, unlocking, setting an event and releasing a permit make one
//!   only if another thread sleeps. A waiter spins for up to 50 us before it sleeps.
//! - *Access in place needs trust.* The guards of [`Mutex`] and [`RwLock`] refer to the value in shared memory. The
//!   value is validated each time a guard is created. That nobody writes to it without the lock is up to the other
//!   programs, which run as the same user and use this library. [`Shared`] and [`Atomic`] return validated copies, and
//!   need no trust.
//! - *A handle does not survive a fork.* In the child its methods return [`Forked`], and a guard that was held at the
//!   fork panics when it is used. The child may open the primitive again.
//! - *An error that holds a guard stays where the lock is*, as a guard does: to hand it to whoever called, by `?`, take the guard
//!   out of it with [`LockError::without_guard`].
//!
//! # Panics count as deaths
//!
//! A guard that is dropped by a panic may leave its value half changed, like a process that is killed. So the effect is
//! the same: the next owner gets [`LockError::OwnerDied`], until `make_consistent` is called. (A mutex of the standard
//! library is poisoned in this case.) A panic releases the permits of a semaphore, as every drop does.

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
