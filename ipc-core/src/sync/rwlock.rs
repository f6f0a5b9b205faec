//! A value that any number of threads read at a time, or one changes. The algorithm, and the proof, are in
//! `lock/readers.rs` and `lock/gate.rs`.

use super::Options;
use super::door::{Door, Refused};
use super::member::{Count, Member, Queue};
use super::mutex::{check, placing};
use crate::error::{Forked, LockError, LockTimeoutError, OpenError, Spoilt, TryLockError};
use crate::info::ChannelInfo;
use crate::layout::KIND_RW_LOCK;
use crate::lock::{Purpose, Readers};
use crate::message::IpcMessage;
use crate::segment::Segment;
use crate::station::Patience;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::time::Duration;
use std::thread;

/// How often one who wants to read sleeps before it waits in turn with the writers.
const SLEEPS_BEFORE_QUEUEING: u32 = 4;

/// A reader-writer lock: any number of threads of any processes read the value at a time, or one thread changes it.
///
/// A waiting writer keeps new readers out. Each handle counts its own readers in its own cache line. So readers do not
/// contend, and the readers of a process that dies are gone with it. A writer that dies has the same effect as the dead
/// owner of a [`Mutex`](super::Mutex): the next reader or writer gets [`LockError::OwnerDied`], until a writer calls
/// [`make_consistent`](WriteGuard::make_consistent).
///
/// Writers take turns as the owners of a mutex do. A handle that has slept four times in vain to read takes turns with
/// them.
///
/// A thread that holds a write guard and locks again gets [`LockError::WouldDeadlock`]. A thread that holds a read
/// guard and locks for writing deadlocks, as with the standard library. So may one that reads twice while another
/// thread waits to write.
///
/// ```
/// use ipc_core::sync::RwLock;
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let limits = RwLock::<[u32; 2]>::open(Options::new("limits").domain(&domain), || [10, 20])?;
/// # /*
/// let limits = RwLock::<[u32; 2]>::open("limits", || [10, 20])?;
/// # */
/// limits.write().unwrap()[1] = 30;
/// let (one, another) = (limits.read().unwrap(), limits.read().unwrap());
/// assert_eq!(one[1] + another[0], 40);
/// # Ok::<(), ipc_core::OpenError>(())
/// ```
pub struct RwLock<T> {
    door: Door,
    readers: Readers,
    value: NonNull<T>,
    member: Member,
}

// SAFETY: `value` leads into a mapping that `member` keeps alive, and is used by whoever has the lock, as references
// that are sent between threads; messages are `Send` and `Sync`.
unsafe impl<T: IpcMessage> Send for RwLock<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: IpcMessage> Sync for RwLock<T> {}

/// The result of [`RwLock::read`]; its variants have another error type.
pub type ReadResult<'a, T, E = LockError<ReadGuard<'a, T>>> = Result<ReadGuard<'a, T>, E>;

/// The result of [`RwLock::write`]; its variants have another error type.
pub type WriteResult<'a, T, E = LockError<WriteGuard<'a, T>>> = Result<WriteGuard<'a, T>, E>;

impl<T: IpcMessage> RwLock<T> {
    /// Opens the lock with this name, or creates it with the value that `init` returns.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::open`](super::Mutex::open).
    pub fn open(options: impl Into<Options>, init: impl FnOnce() -> T) -> Result<Self, OpenError> {
        let mut init = placing(init);
        let attach = |segment: &Segment, line, generation| readers(segment).attach(line, generation);
        let member = Member::open::<T>(&options.into(), KIND_RW_LOCK, Count::ONE, &mut init, Door::sweep, attach)?;
        let segment = member.segment();
        let (door, readers, value) = (Door::new(segment), readers(segment), segment.value().cast());
        Ok(RwLock { door, readers, value, member })
    }

    /// Locks the value for reading, and waits for a writer to finish.
    ///
    /// # Errors
    ///
    /// - [`LockError::OwnerDied`] if a writer died or panicked while it held the lock. The lock is taken all the same;
    ///   the error holds the guard.
    /// - [`LockError::Invalid`] if the bytes are not a valid `T`.
    /// - [`LockError::WouldDeadlock`] if this thread holds the lock for writing.
    #[inline]
    pub fn read(&self) -> ReadResult<'_, T> {
        self.admit_reader(self.begin_read(Patience::Forever)).map_err(|error| match error {
            LockTimeoutError::Timeout => LockError::WouldDeadlock,
            LockTimeoutError::Lock(error) => error,
        })
    }

    /// Locks the value for reading without waiting.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if there is a live writer; otherwise as for [`read`](RwLock::read).
    #[inline]
    pub fn try_read(&self) -> ReadResult<'_, T, TryLockError<ReadGuard<'_, T>>> {
        self.admit_reader(self.begin_read(Patience::None)).map_err(|error| match error {
            LockTimeoutError::Timeout => TryLockError::WouldBlock,
            LockTimeoutError::Lock(error) => error.into(),
        })
    }

    /// Locks the value for reading, and waits for at most `limit` for a writer to finish.
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if the writer did not finish in time; otherwise as for [`read`](RwLock::read).
    pub fn read_timeout(&self, limit: Duration) -> ReadResult<'_, T, LockTimeoutError<ReadGuard<'_, T>>> {
        self.admit_reader(self.begin_read(Patience::from_timeout(limit)))
    }

    /// Locks the value for writing, and waits until all other guards are dropped.
    ///
    /// # Errors
    ///
    /// As for [`read`](RwLock::read).
    #[inline]
    pub fn write(&self) -> WriteResult<'_, T> {
        self.admit_writer(self.begin_write(Patience::Forever)).map_err(|error| match error {
            LockTimeoutError::Timeout => LockError::WouldDeadlock,
            LockTimeoutError::Lock(error) => error,
        })
    }

    /// Locks the value for writing without waiting.
    ///
    /// # Errors
    ///
    /// [`TryLockError::WouldBlock`] if a live reader or writer holds the lock; otherwise as for [`read`](RwLock::read).
    pub fn try_write(&self) -> WriteResult<'_, T, TryLockError<WriteGuard<'_, T>>> {
        self.admit_writer(self.begin_write(Patience::None)).map_err(|error| match error {
            LockTimeoutError::Timeout => TryLockError::WouldBlock,
            LockTimeoutError::Lock(error) => error.into(),
        })
    }

    /// Locks the value for writing, and waits for at most `limit` until all other guards are dropped.
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if they were not dropped in time; otherwise as for [`read`](RwLock::read).
    pub fn write_timeout(&self, limit: Duration) -> WriteResult<'_, T, LockTimeoutError<WriteGuard<'_, T>>> {
        self.admit_writer(self.begin_write(Patience::from_timeout(limit)))
    }

    /// The actual options of the lock's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }

    #[inline(always)]
    fn admit_reader(&self, read: Result<bool, Refused>) -> ReadResult<'_, T, LockTimeoutError<ReadGuard<'_, T>>> {
        let is_marked = read.map_err(refusal)?;
        let guard = ReadGuard { lock: self, thread: PhantomData };
        // SAFETY: this thread reads, so nobody writes to the value, which has room for a `T` and is initialised.
        let checked = unsafe { check(self.value) };
        match checked {
            Ok(()) if is_marked => Err(LockError::OwnerDied(guard).into()),
            Ok(()) => Ok(guard),
            Err(invalid) => Err(LockError::Invalid(Spoilt { guard, invalid }).into()),
        }
    }

    // As for readers, inlined with its callers, so that a guard is not moved right after its fields were stored: it would be
    // read in one piece, for which a processor waits until all stores before are done.
    #[inline(always)]
    fn admit_writer(&self, write: Result<bool, Refused>) -> WriteResult<'_, T, LockTimeoutError<WriteGuard<'_, T>>> {
        let is_marked = write.map_err(refusal)?;
        let guard = WriteGuard { lock: self, is_marked, was_panicking: thread::panicking(), thread: PhantomData };
        // SAFETY: this thread has the lock, so nobody writes to the value, which has room for a `T` and is initialised.
        let checked = unsafe { check(self.value) };
        match checked {
            Ok(()) if is_marked => Err(LockError::OwnerDied(guard).into()),
            Ok(()) => Ok(guard),
            Err(invalid) => Err(LockError::Invalid(Spoilt { guard, invalid }).into()),
        }
    }
}

/// The readers of a segment.
fn readers(segment: &Segment) -> Readers {
    Readers::new(segment.gate(), segment.lines())
}

fn refusal<G>(refused: Refused) -> LockTimeoutError<G> {
    match refused {
        Refused::Timeout => LockTimeoutError::Timeout,
        Refused::WouldDeadlock => LockError::WouldDeadlock.into(),
        Refused::Forked(forked) => LockError::Forked(forked).into(),
    }
}

impl<T> RwLock<T> {
    /// Counts a read, when nobody is inside the gate. Returns whether the value may be half changed.
    #[inline(always)]
    fn begin_read(&self, patience: Patience) -> Result<bool, Refused> {
        if self.member.is_forked() {
            return Err(Refused::Forked(Forked));
        }
        match self.try_read_once() {
            Some(is_marked) => Ok(is_marked),
            None => self.begin_read_patiently(patience),
        }
    }

    #[cold]
    fn begin_read_patiently(&self, patience: Patience) -> Result<bool, Refused> {
        let is_own = |owner| self.member.is_this_thread(owner);
        if self.door.gate().look().owner().is_some_and(is_own) {
            return Err(Refused::WouldDeadlock);
        }
        let mut is_to_queue = matches!(patience, Patience::None);
        let read = self.member.wait(Queue::Turn, patience, |round| {
            is_to_queue |= round.sleeps >= SLEEPS_BEFORE_QUEUEING || round.probes && self.door.is_left(&self.member);
            if is_to_queue { Some(None) } else { self.try_read_once().map(Some) }
        });
        match read {
            Some(Some(is_marked)) => Ok(is_marked),
            Some(None) => self.read_in_turn(patience),
            None => Err(Refused::Timeout),
        }
    }

    /// Goes through the gate like a writer, but does not wait for the other readers.
    fn read_in_turn(&self, patience: Patience) -> Result<bool, Refused> {
        let is_marked = self.door.enter(&self.member, Purpose::Pass, patience)?;
        self.readers.count_read(self.member.line());
        self.leave(is_marked);
        Ok(is_marked)
    }

    fn try_read_once(&self) -> Option<bool> {
        let read = self.readers.try_read(self.member.line());
        if read.is_none() {
            // A writer may have taken this for a reader.
            self.member.wake(Queue::Readers, u32::MAX);
        }
        read
    }

    fn end_read(&self) {
        self.readers.end_read(self.member.line());
        self.member.wake(Queue::Readers, u32::MAX);
    }

    /// Enters the gate, and waits for those who read. Returns whether the value may be half changed.
    #[inline]
    fn begin_write(&self, patience: Patience) -> Result<bool, Refused> {
        let is_marked = self.door.enter(&self.member, Purpose::Pass, patience)?;
        self.readers.shut_out();
        if self.wait_for_readers(patience) {
            self.door.gate().begin_change(self.member.me(), is_marked);
            return Ok(is_marked);
        }
        self.leave(is_marked);
        Err(Refused::Timeout)
    }

    /// Waits, inside the gate, until nobody reads. `false` if the patience is over before.
    fn wait_for_readers(&self, patience: Patience) -> bool {
        let mut from = 0;
        // Those on the lines before `from` do not read, and nobody begins to.
        let mut is_read = |probes: bool| {
            let first = match probes {
                true => self.readers.first_reading(from, |owner| self.member.is_gone(owner)),
                false => self.readers.first_reading(from, |_| false),
            };
            from = first.unwrap_or(usize::MAX);
            first.is_some()
        };
        !is_read(false)
            || self.member.wait(Queue::Readers, patience, |round| (!is_read(round.probes)).then_some(())).is_some()
    }

    /// Leaves the gate. Those who want to read are woken, with whoever is next.
    #[inline]
    fn leave(&self, is_marked: bool) {
        self.door.leave(&self.member, self.member.me(), is_marked);
        self.member.wake(Queue::Turn, u32::MAX);
    }
}

impl<T> Drop for RwLock<T> {
    fn drop(&mut self) {
        let (door, readers) = (&self.door, &self.readers);
        self.member.leave(|member| {
            door.abandon(member);
            // Guards that were forgotten keep nobody out.
            readers.detach(member.line());
            member.wake(Queue::Readers, u32::MAX);
        });
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}

/// A lock held for reading. It dereferences to the value, and dropping it unlocks.
#[must_use = "the lock is given up at once if the guard is not kept"]
pub struct ReadGuard<'a, T> {
    lock: &'a RwLock<T>,
    thread: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives out shared references to the value alone, and messages are `Sync`.
unsafe impl<T: IpcMessage> Sync for ReadGuard<'_, T> {}

impl<T: IpcMessage> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this thread reads, so nobody writes to the value, which `admit_reader` has found to be a `T`; and
        // `place` vouches for its still being there.
        unsafe { self.lock.place().as_ref() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !self.lock.member.is_forked() {
            self.lock.end_read();
        }
    }
}

impl<T: IpcMessage + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadGuard").field(&**self).finish()
    }
}

/// A lock held for writing. It dereferences to the value, and dropping it unlocks.
#[must_use = "the lock is given up at once if the guard is not kept"]
pub struct WriteGuard<'a, T> {
    lock: &'a RwLock<T>,
    /// Whether the next one is to be told that the value may be half changed.
    is_marked: bool,
    was_panicking: bool,
    thread: PhantomData<*const ()>,
}

// SAFETY: as for `ReadGuard`.
unsafe impl<T: IpcMessage> Sync for WriteGuard<'_, T> {}

impl<'a, T> WriteGuard<'a, T> {
    /// Declares the value consistent again, after [`LockError::OwnerDied`]. Later guards do not get the error any more.
    pub fn make_consistent(&mut self) {
        self.is_marked = false;
    }

    /// Converts this guard to a read guard, without a moment in between at which another writer could come.
    pub fn downgrade(self) -> ReadGuard<'a, T> {
        let lock = self.lock;
        if !lock.member.is_forked() {
            lock.readers.count_read(lock.member.line());
        }
        drop(self);
        ReadGuard { lock, thread: PhantomData }
    }
}

impl<T> RwLock<T> {
    /// The value's place, of which a forked child has only a blank page.
    ///
    /// # Panics
    ///
    /// In a child that was forked since the guard was taken.
    #[inline(always)]
    fn place(&self) -> NonNull<T> {
        assert!(!self.member.is_forked(), "this guard was taken before a fork, and its value is not in the child");
        self.value
    }
}

impl<'a, T: IpcMessage> Spoilt<WriteGuard<'a, T>> {
    /// Replaces invalid bytes by a valid value.
    pub fn replace(self, value: T) -> WriteGuard<'a, T> {
        let mut guard = self.guard;
        // SAFETY: this thread has the lock, and there is room for a `T`.
        unsafe { value.place(guard.lock.place().as_ptr()) };
        guard.make_consistent();
        guard
    }
}

impl<T: IpcMessage> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this thread has the lock, so nobody else writes to the value, which `admit_writer` has found to be a
        // `T`; and `place` vouches for its still being there.
        unsafe { self.lock.place().as_ref() }
    }
}

impl<T: IpcMessage> DerefMut for WriteGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; nobody else reads it either, and `self` is borrowed uniquely.
        unsafe { self.lock.place().as_mut() }
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !self.lock.member.is_forked() {
            let is_panicking = !self.was_panicking && thread::panicking();
            self.lock.leave(self.is_marked || is_panicking);
        }
    }
}

impl<T: IpcMessage + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WriteGuard").field(&**self).finish()
    }
}
