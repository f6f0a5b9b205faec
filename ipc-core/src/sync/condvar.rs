//! Where those wait who have found that a value under a mutex is not as they need it.

use super::member::{Count, Member, Queue};
use super::{Mutex, MutexGuard, Options};
use crate::error::{Forked, LockError, LockTimeoutError, OpenError};
use crate::info::ChannelInfo;
use crate::layout::KIND_CONDVAR;
use crate::lock::Signal;
use crate::message::IpcMessage;
use crate::station::Patience;
use core::fmt;
use core::time::Duration;

/// A condition variable: threads wait for a condition on the value under a [`Mutex`].
///
/// Waiters and notifiers must use the same mutex. A wait may end spuriously: check the condition again, or use
/// [`wait_while`](Condvar::wait_while).
///
/// # Crashes
///
/// A notification is not lost with a waiter that dies. [`notify_one`](Condvar::notify_one) changes a counter and wakes
/// one sleeper, and every waiter checks the counter at least every 50 ms. A notifier never waits. If a thread dies
/// while it holds the mutex, the wait ends with [`LockError::OwnerDied`].
///
/// ```
/// use ipc_core::sync::{Condvar, Mutex};
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let name = |name: &str| Options::new(name).domain(&domain);
/// # let (jobs, changed) = (Mutex::<u32>::open(name("jobs"), || 0)?, Condvar::open(name("changed"))?);
/// # /*
/// let jobs = Mutex::<u32>::open("jobs", || 0)?;
/// let changed = Condvar::open("jobs.changed")?;
/// # */
/// # std::thread::scope(|scope| {
/// # scope.spawn(|| {
/// // One program:
/// *jobs.lock().unwrap() += 1;
/// changed.notify_one().unwrap();
/// # });
///
/// // Another one:
/// let mut left = changed.wait_while(jobs.lock().unwrap(), |jobs| *jobs == 0).unwrap();
/// *left -= 1;
/// # });
/// # Ok::<(), ipc_core::OpenError>(())
/// ```
pub struct Condvar {
    signal: Signal,
    member: Member,
}

impl Condvar {
    /// Opens the condition variable with this name, or creates it.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the name belongs to something else, or any other [`OpenError`], as documented there.
    pub fn open(options: impl Into<Options>) -> Result<Self, OpenError> {
        let member =
            Member::open::<u64>(&options.into(), KIND_CONDVAR, Count::ONE, &mut |_| {}, |_, _| {}, |_, _, _| {})?;
        // SAFETY: the word is mapped for as long as the member lives.
        let signal = unsafe { Signal::new(member.segment().state_word()) };
        Ok(Condvar { signal, member })
    }

    /// Wakes one waiter, if there is one.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a forked child; nothing else.
    pub fn notify_one(&self) -> Result<(), Forked> {
        self.notify(1)
    }

    /// Wakes all waiters.
    ///
    /// # Errors
    ///
    /// As for [`notify_one`](Condvar::notify_one).
    pub fn notify_all(&self) -> Result<(), Forked> {
        self.notify(u32::MAX)
    }

    fn notify(&self, count: u32) -> Result<(), Forked> {
        self.member.check_forked()?;
        self.signal.change();
        self.member.wake(Queue::Turn, count);
        Ok(())
    }

    /// Unlocks the mutex, waits for a notification, and locks the mutex again. A notification that comes after the
    /// unlocking is never missed.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::lock`].
    pub fn wait<'a, T: IpcMessage>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>> {
        self.wait_within(guard, Patience::Forever).0.lock()
    }

    /// Waits for at most `limit` for a notification: see [`wait`](Condvar::wait). Returns whether it was notified, as
    /// far as it can tell.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::lock`]. The limit does not apply to locking the mutex again.
    pub fn wait_timeout<'a, T: IpcMessage>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> Result<(MutexGuard<'a, T>, bool), LockError<MutexGuard<'a, T>>> {
        let (mutex, is_notified) = self.wait_within(guard, Patience::from_timeout(limit));
        Ok((mutex.lock()?, is_notified))
    }

    /// Waits while `is_to_wait` returns `true` for the value.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::lock`].
    pub fn wait_while<'a, T: IpcMessage>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut is_to_wait: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>> {
        while is_to_wait(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits while `is_to_wait` returns `true` for the value, for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if it still does after that time; otherwise as for [`Mutex::lock`].
    pub fn wait_while_timeout<'a, T: IpcMessage>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
        mut is_to_wait: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, LockTimeoutError<MutexGuard<'a, T>>> {
        let patience = Patience::from_timeout(limit);
        while is_to_wait(&mut guard) {
            if patience.left().is_none() {
                return Err(LockTimeoutError::Timeout);
            }
            guard = self.wait_within(guard, patience).0.lock()?;
        }
        Ok(guard)
    }

    /// Unlocks, and waits. Returns what to lock again, and whether there was a reason to go on.
    fn wait_within<'a, T>(&self, guard: MutexGuard<'a, T>, patience: Patience) -> (&'a Mutex<T>, bool) {
        // Before the mutex is unlocked: whoever changes the value after that notifies after this.
        let before = self.signal.changes();
        let mutex = guard.unlock();
        if self.member.is_forked() {
            // To lock the mutex says so.
            return (mutex, false);
        }
        let is_notified = self.member.wait(Queue::Turn, patience, |round| {
            let is_over = self.signal.changes() != before || round.probes && mutex.is_abandoned();
            is_over.then_some(())
        });
        (mutex, is_notified.is_some())
    }

    /// The actual options of the condition variable's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }
}

impl Drop for Condvar {
    fn drop(&mut self) {
        self.member.leave(|_| {});
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}
