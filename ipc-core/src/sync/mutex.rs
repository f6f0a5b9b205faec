//! A value that one thread has at a time. The algorithm, and the proof that it is one, are in `lock/gate.rs`.

use super::Options;
use super::door::{Door, Refused};
use super::member::{Count, Member};
use crate::error::{LockError, LockTimeoutError, OpenError, Spoilt, TryLockError};
use crate::info::ChannelInfo;
use crate::layout::KIND_MUTEX;
use crate::lock::{Owner, Purpose};
use crate::message::IpcMessage;
use crate::segment::Segment;
use crate::station::Patience;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::time::Duration;
use std::thread;

/// Mutual exclusion: one thread of one process has access to the value at a time.
///
/// ```
/// use ipc_core::sync::{LockError, Mutex};
/// use ipc_core::IpcMessage;
/// # use ipc_core::sync::Options;
/// # use ipc_macros::IpcMessage;
/// # extern crate ipc_core as slipring;
///
/// #[derive(IpcMessage, Default)]
/// #[repr(C)]
/// struct Stats {
///     jobs: u64,
///     failed: u64,
/// }
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let stats = Mutex::<Stats>::open(Options::new("stats").domain(&domain), Stats::default)?;
/// # /*
/// let stats = Mutex::<Stats>::open("stats", Stats::default)?;
/// # */
/// let mut guard = match stats.lock() {
///     Ok(guard) => guard,
///     // Whoever had it was killed, perhaps between the two additions.
///     Err(LockError::OwnerDied(mut guard)) => {
///         guard.failed = guard.failed.min(guard.jobs);
///         guard.make_consistent();
///         guard
///     }
///     Err(error) => panic!("{error}"),
/// };
/// guard.jobs += 1;
/// guard.failed += 1;
/// # Ok::<(), ipc_core::OpenError>(())
/// ```
///
/// # Fairness
///
/// Any thread may lock a free mutex, even while another one is being woken for it. This *barging* makes it fast. A
/// handle that has slept in vain four times, at most 50 ms each, asks to be handed the mutex. Unlocking then hands it
/// over, to one such handle after the other. So a handle waits for at most as many turns as there are handles. Threads
/// that share a handle share its turn; open a handle for each thread if that matters.
pub struct Mutex<T> {
    door: Door,
    value: NonNull<T>,
    member: Member,
}

// SAFETY: `value` leads into a mapping that `member` keeps alive, and is used by whoever has the lock, as a reference
// that is sent between threads; messages are `Send`.
unsafe impl<T: IpcMessage> Send for Mutex<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: IpcMessage> Sync for Mutex<T> {}

impl<T: IpcMessage> Mutex<T> {
    /// Opens the mutex with this name, or creates it with the value that `init` returns.
    ///
    /// # Errors
    ///
    /// - [`OpenError::Mismatch`] if it exists with another value type.
    /// - [`OpenError::Kind`] if the name belongs to something else.
    /// - [`OpenError::TableFull`] if there are [`PLACES`](super::PLACES) handles.
    /// - Any other [`OpenError`], as documented there.
    pub fn open(options: impl Into<Options>, init: impl FnOnce() -> T) -> Result<Self, OpenError> {
        let mut init = placing(init);
        let member = Member::open::<T>(&options.into(), KIND_MUTEX, Count::ONE, &mut init, Door::sweep, |_, _, _| {})?;
        let (door, value) = (Door::new(member.segment()), member.segment().value().cast());
        Ok(Mutex { door, value, member })
    }

    /// Locks the mutex, and waits until it is free.
    ///
    /// # Errors
    ///
    /// - [`LockError::OwnerDied`] if an owner died or panicked while it held the lock. The lock is taken all the same;
    ///   the error holds the guard.
    /// - [`LockError::Invalid`] if the bytes are not a valid `T`.
    /// - [`LockError::WouldDeadlock`] if this thread holds the lock already.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        match self.door.enter(&self.member, Purpose::Change, Patience::Forever) {
            Ok(is_marked) => self.admit(is_marked),
            Err(Refused::WouldDeadlock | Refused::Timeout) => Err(LockError::WouldDeadlock),
            Err(Refused::Forked(forked)) => Err(LockError::Forked(forked)),
        }
    }

    /// Locks the mutex without waiting. If it is locked, one system call checks whether the owner still lives.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if a live owner holds the lock; otherwise as for [`lock`](Mutex::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        match self.door.enter(&self.member, Purpose::Change, Patience::None) {
            Ok(is_marked) => Ok(self.admit(is_marked)?),
            Err(Refused::Timeout) => Err(TryLockError::WouldBlock),
            Err(Refused::WouldDeadlock) => Err(LockError::WouldDeadlock.into()),
            Err(Refused::Forked(forked)) => Err(LockError::Forked(forked).into()),
        }
    }

    /// Locks the mutex, and waits for at most `limit` until it is free.
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if it was not free in time; otherwise as for [`lock`](Mutex::lock).
    pub fn lock_timeout(&self, limit: Duration) -> Result<MutexGuard<'_, T>, LockTimeoutError<MutexGuard<'_, T>>> {
        match self.door.enter(&self.member, Purpose::Change, Patience::from_timeout(limit)) {
            Ok(is_marked) => Ok(self.admit(is_marked)?),
            Err(Refused::Timeout) => Err(LockTimeoutError::Timeout),
            Err(Refused::WouldDeadlock) => Err(LockError::WouldDeadlock.into()),
            Err(Refused::Forked(forked)) => Err(LockError::Forked(forked).into()),
        }
    }

    /// The actual options of the mutex's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }

    /// Makes a guard for this thread, which has entered.
    #[inline(always)]
    fn admit(&self, is_marked: bool) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        let guard = MutexGuard { mutex: self, is_marked, was_panicking: thread::panicking(), thread: PhantomData };
        // SAFETY: this thread has the lock, so nobody writes to the value, which has room for a `T` and is initialised.
        let checked = unsafe { check(self.value) };
        match checked {
            Ok(()) if is_marked => Err(LockError::OwnerDied(guard)),
            Ok(()) => Ok(guard),
            Err(invalid) => Err(LockError::Invalid(Spoilt { guard, invalid })),
        }
    }
}

impl<T> Mutex<T> {
    /// Whether whoever has it, or had it last, died with it, or panicked, as far as it can be told from outside.
    pub(super) fn is_abandoned(&self) -> bool {
        self.door.is_left_marked(&self.member)
    }
}

impl<T> Drop for Mutex<T> {
    fn drop(&mut self) {
        let door = &self.door;
        self.member.leave(|member| door.abandon(member));
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}

/// A locked mutex. It dereferences to the value, and dropping it unlocks the mutex.
#[must_use = "the mutex is unlocked at once if the guard is not kept"]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Whether the next one is to be told that the value may be half changed.
    is_marked: bool,
    was_panicking: bool,
    /// The lock is this thread's.
    thread: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out shared references to the value alone, and messages are `Sync`.
unsafe impl<T: IpcMessage> Sync for MutexGuard<'_, T> {}

impl<'a, T> MutexGuard<'a, T> {
    /// Declares the value consistent again, after [`LockError::OwnerDied`]. Later owners do not get the error any more.
    pub fn make_consistent(&mut self) {
        self.is_marked = false;
    }

    /// Unlocks, and returns what to lock again.
    pub(super) fn unlock(self) -> &'a Mutex<T> {
        let mutex = self.mutex;
        drop(self);
        mutex
    }

    /// The value's place, of which a forked child has only a blank page.
    ///
    /// # Panics
    ///
    /// In a child that was forked since the mutex was locked.
    #[inline(always)]
    fn place(&self) -> NonNull<T> {
        assert!(
            !self.mutex.member.is_forked(),
            "this guard was taken before a fork, and its value is not in the child"
        );
        self.mutex.value
    }

    #[inline(always)]
    fn me(&self) -> Owner {
        self.mutex.member.me()
    }
}

impl<'a, T: IpcMessage> Spoilt<MutexGuard<'a, T>> {
    /// Replaces invalid bytes by a valid value.
    pub fn replace(self, value: T) -> MutexGuard<'a, T> {
        let mut guard = self.guard;
        // SAFETY: this thread has the lock, and there is room for a `T`.
        unsafe { value.place(guard.place().as_ptr()) };
        guard.make_consistent();
        guard
    }
}

impl<T: IpcMessage> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this thread has the lock, so nobody else writes to the value, which `admit` has found to be a `T`;
        // and `place` vouches for its still being there.
        unsafe { self.place().as_ref() }
    }
}

impl<T: IpcMessage> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; nobody else reads it either, and `self` is borrowed uniquely.
        unsafe { self.place().as_mut() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let member = &self.mutex.member;
        if !member.is_forked() {
            let is_panicking = !self.was_panicking && thread::panicking();
            self.mutex.door.leave(member, self.me(), self.is_marked || is_panicking);
        }
    }
}

impl<T: IpcMessage + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MutexGuard").field(&**self).finish()
    }
}

/// Gives a new segment the value that `init` returns, which is called once, also if several segments are created.
pub(super) fn placing<T: IpcMessage>(init: impl FnOnce() -> T) -> impl FnMut(&Segment) {
    let (mut init, mut made) = (Some(init), None::<T>);
    move |segment| {
        if let Some(init) = init.take() {
            made = Some(init());
        }
        if let Some(value) = &made {
            // SAFETY: the segment was made for a `T` in this place, and nobody else has it.
            unsafe { value.place(segment.value().cast().as_ptr()) };
        }
    }
}

/// Whether the bytes at `value` are one.
///
/// # Safety
///
/// `value` leads to initialised bytes of a `T`'s size and alignment, and nobody writes to them.
#[inline(always)]
pub(super) unsafe fn check<T: IpcMessage>(value: NonNull<T>) -> Result<(), crate::message::Invalid> {
    if T::ANY_BITS {
        return Ok(());
    }
    // SAFETY: as promised by the caller.
    unsafe { T::validate(value.as_ptr()) }
}
