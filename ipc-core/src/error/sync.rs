//! Why something of [`sync`](crate::sync) could not be had.

use super::{Corrupt, Peer};
use crate::message::Invalid;
use thiserror::Error;

/// This process was forked from the one that opened the handle, and the handle is dead in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this handle was opened before a fork: open it again in the child")]
pub struct Forked;

/// Why a lock was not had as it should be. `G` is the guard: in two of the cases the lock *is* held.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LockError<G> {
    /// The lock is held, and whoever had it before died with it, or panicked. The value may be half changed. Whoever
    /// has put it right says so by `make_consistent`; otherwise the next one is told again.
    #[error(
        "whoever had the lock died, or panicked: the value may be half changed; put it right, and call `make_consistent`"
    )]
    OwnerDied(G),
    /// The lock is held, and its bytes are no value: somebody died while changing it, or wrote where it should not.
    #[error("{0}")]
    Invalid(Spoilt<G>),
    /// This thread has the lock already, and would wait for itself.
    #[error("this thread has the lock already")]
    WouldDeadlock,
    /// As [`Forked`](struct@Forked).
    #[error(transparent)]
    Forked(#[from] Forked),
}

impl<G> LockError<G> {
    /// The error alone. A guard that is in it is dropped, and the lock is free for the next one, who is told the same.
    ///
    /// A guard borrows from its lock and belongs to its thread, so an error with one in it cannot be passed on by `?` to
    /// whoever called. This can:
    ///
    /// ```
    /// use ipc_core::sync::{LockError, Mutex};
    /// # use ipc_core::sync::Options;
    ///
    /// fn count(total: &Mutex<u64>) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    ///     let mut total = total.lock().map_err(LockError::without_guard)?;
    ///     *total += 1;
    ///     Ok(*total)
    /// }
    /// # let domain = format!("doc-{}", std::process::id());
    /// # let total = Mutex::<u64>::open(Options::new("without-guard").domain(&domain), || 0)?;
    /// # assert_eq!(count(&total).unwrap(), 1);
    /// # Ok::<(), ipc_core::OpenError>(())
    /// ```
    pub fn without_guard(self) -> LockError<()> {
        match self {
            LockError::OwnerDied(_) => LockError::OwnerDied(()),
            LockError::Invalid(Spoilt { invalid, .. }) => LockError::Invalid(Spoilt { guard: (), invalid }),
            LockError::WouldDeadlock => LockError::WouldDeadlock,
            LockError::Forked(forked) => LockError::Forked(forked),
        }
    }
}

/// Why a lock was not had at once. `G` is the guard.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryLockError<G> {
    /// Somebody else has it.
    #[error("somebody else has the lock")]
    WouldBlock,
    /// As for those who wait.
    #[error(transparent)]
    Lock(#[from] LockError<G>),
}

impl<G> TryLockError<G> {
    /// As [`LockError::without_guard`].
    pub fn without_guard(self) -> TryLockError<()> {
        match self {
            TryLockError::WouldBlock => TryLockError::WouldBlock,
            TryLockError::Lock(error) => TryLockError::Lock(error.without_guard()),
        }
    }
}

/// Why a lock was not had in time. `G` is the guard.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LockTimeoutError<G> {
    /// Somebody else has had it for all that time.
    #[error("the lock was not free in time")]
    Timeout,
    /// As for those who wait longer.
    #[error(transparent)]
    Lock(#[from] LockError<G>),
}

impl<G> LockTimeoutError<G> {
    /// As [`LockError::without_guard`].
    pub fn without_guard(self) -> LockTimeoutError<()> {
        match self {
            LockTimeoutError::Timeout => LockTimeoutError::Timeout,
            LockTimeoutError::Lock(error) => LockTimeoutError::Lock(error.without_guard()),
        }
    }
}

/// A lock that is held, and whose value is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoilt<G> {
    pub(crate) guard: G,
    pub(crate) invalid: Invalid,
}

impl<G> Spoilt<G> {
    /// What is wrong with the bytes.
    pub fn invalid(&self) -> &Invalid {
        &self.invalid
    }
}

impl<G> core::fmt::Display for Spoilt<G> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the value is invalid ({}): replace it by another one", self.invalid)
    }
}

/// Why permits of a semaphore were not had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PermitError {
    /// There will never be so many.
    #[error("{asked} permits were asked for, and there can be {most} at most")]
    TooMany {
        /// How many were asked for.
        asked: u32,
        /// The most that the semaphore can have.
        most: u32,
    },
    /// As [`Forked`](struct@Forked).
    #[error(transparent)]
    Forked(#[from] Forked),
}

/// Why permits of a semaphore were not had at once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryPermitError {
    /// So many are not free.
    #[error("the semaphore has not so many free permits")]
    WouldBlock,
    /// As for those who wait.
    #[error(transparent)]
    Permit(#[from] PermitError),
}

/// Why permits of a semaphore were not had in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PermitTimeoutError {
    /// So many were not free.
    #[error("the semaphore had not so many free permits in time")]
    Timeout,
    /// As for those who wait longer.
    #[error(transparent)]
    Permit(#[from] PermitError),
}

/// Why no permits were added to a semaphore.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddError {
    /// More permits would be free then than the semaphore may have.
    #[error("the semaphore may have {bound} free permits at most, and has {free}")]
    Bound {
        /// Permits that are free.
        free: u32,
        /// The most that may be.
        bound: u32,
    },
    /// As [`Forked`](struct@Forked).
    #[error(transparent)]
    Forked(#[from] Forked),
}

/// Why the others of a barrier were not met.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// One of them has died, so that they will never be complete. It stays so until somebody calls `reset`.
    #[error("a party of the barrier ({0}) has died: call `reset` when it has a successor")]
    Broken(Peer),
    /// As [`Forked`](struct@Forked).
    #[error(transparent)]
    Forked(#[from] Forked),
}

/// Why the others of a barrier were not met in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BarrierTimeoutError {
    /// Not all came. The one who has waited in vain does not count any more.
    #[error("not all parties of the barrier came in time")]
    Timeout,
    /// As for those who wait longer.
    #[error(transparent)]
    Barrier(#[from] BarrierError),
}

/// Why something that is to be done once was not done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OnceError {
    /// This thread is doing it, and would wait for itself.
    #[error("this thread is doing it already")]
    WouldDeadlock,
    /// As [`Forked`](struct@Forked).
    #[error(transparent)]
    Forked(#[from] Forked),
}

/// Why a shared value was not read, or not replaced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SharedError {
    /// Its bytes are no value, or shared memory is damaged otherwise.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// It was replaced again and again while it was read. To be tried again.
    #[error("the value was replaced again and again while it was read: try again")]
    Overtaken,
    /// This thread is replacing it, and would wait for itself.
    #[error("this thread is replacing the value already")]
    WouldDeadlock,
    /// As [`Forked`](struct@Forked).
    #[error(transparent)]
    Forked(#[from] Forked),
}
