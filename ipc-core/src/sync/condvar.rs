//! Where those wait who have found that a value under a mutex is not as they need it.

use super::member::{Member, Queue};
use super::{Mutex, MutexGuard, Options};
use crate::error::{Forked, LockError, LockTimeoutError, OpenError};
use crate::info::ChannelInfo;
use crate::layout::KIND_CONDVAR;
use crate::lock::Signal;
use crate::message::IpcMessage;
use crate::station::Patience;
use core::fmt;
use core::time::Duration;

/// Where those wait who have found that a value under a [`Mutex`] is not as they need it.
///
/// Which mutex that is, those who wait and those who notify agree on. As everywhere, a wait may end for no reason: look at the
/// value again, or use [`wait_while`](Condvar::wait_while).
///
/// # The dead
///
/// Nobody who waits is counted: a notification is a number that changes, and everybody who waits looks at it at least every
/// 50 ms. So [`notify_one`](Condvar::notify_one) wakes one of those who sleep, and if that one dies, the others come to look
/// all the same. Whoever notifies waits for nobody. If one of those who change the value dies with the mutex locked, the wait
/// ends, with [`LockError::OwnerDied`].
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
    /// Opens the condition variable of this name.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the name is that of something else, and the other [`OpenError`]s as they say.
    pub fn open(options: impl Into<Options>) -> Result<Self, OpenError> {
        let member = Member::open::<u64>(&options.into(), KIND_CONDVAR, 1, &mut |_| {}, |_, _| {}, |_, _, _| {})?;
        // SAFETY: the word is mapped for as long as the member lives.
        let signal = unsafe { Signal::new(member.segment().state_word()) };
        Ok(Condvar { signal, member })
    }

    /// Wakes one of those who wait, if there are any.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a process that was forked after this was opened. There is no other way to fail.
    pub fn notify_one(&self) -> Result<(), Forked> {
        self.notify(1)
    }

    /// Wakes all who wait.
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

    /// Unlocks the mutex, waits to be notified, and locks it again. Nothing that is notified in between is missed.
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

    /// As [`wait`](Condvar::wait), for `limit` at most. With the guard comes whether it was notified, as far as it can tell.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::lock`]: for the mutex it waits as long as it takes.
    pub fn wait_timeout<'a, T: IpcMessage>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> Result<(MutexGuard<'a, T>, bool), LockError<MutexGuard<'a, T>>> {
        let (mutex, is_notified) = self.wait_within(guard, Patience::from_timeout(limit));
        Ok((mutex.lock()?, is_notified))
    }

    /// Waits as long as `is_to_wait` says so of the value.
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

    /// As [`wait_while`](Condvar::wait_while), for `limit` at most.
    ///
    /// # Errors
    ///
    /// [`LockTimeoutError::Timeout`] if the value is not as it should be after that time; otherwise as for [`Mutex::lock`].
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

    /// What there is to know about the condition variable's segment.
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
