//! Which thread waits for the workers.
//!
//! A thread of the program that waits for an output receives it itself: then it takes no switch of threads, and no thread
//! is woken but by the worker. So whoever waits for something *leads*: it listens to all workers, enters what they say, and
//! looks whether what it waits for has come about. Others that wait meanwhile sleep, and are woken after every round; when
//! the leader has what it wants, one of them leads.
//!
//! While none of them waits, the pool's own thread leads, the *keeper*. It rings a bell to end the keeper's wait when
//! somebody else wants to lead, and the keeper does not come back before nobody has waited for a while, so that a program
//! that submits and waits in turn does not wake it every time.

use super::core::{Core, Lead, Phase};
use super::ears::{Ears, SLICE};
use super::report::Due;
use ipc_core::IpcMessage;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long nobody has to have waited until the keeper leads.
const LINGER: Duration = Duration::from_millis(5);

/// What a pool's handles and its thread share.
pub(super) struct Shared<T: ?Sized, O: ?Sized> {
    core: Mutex<Core<T, O>>,
    /// Locked before the core, and only by who leads. `None` when the pool has ended.
    ears: Mutex<Option<Ears<T, O>>>,
    /// Where threads wait whose turn it is not.
    turn: Condvar,
    /// Where the keeper does.
    keeper_turn: Condvar,
}

impl<T: IpcMessage + ?Sized, O: IpcMessage + ?Sized> Shared<T, O> {
    pub(super) fn new(core: Core<T, O>, ears: Ears<T, O>) -> Self {
        let (turn, keeper_turn) = (Condvar::new(), Condvar::new());
        Shared { core: Mutex::new(core), ears: Mutex::new(Some(ears)), turn, keeper_turn }
    }

    /// The books. Nothing in them is half done when a panic leaves them.
    #[inline]
    pub(super) fn core(&self) -> MutexGuard<'_, Core<T, O>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `look` finds something in the books, or until `deadline`.
    pub(super) fn wait<R>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut(&mut Core<T, O>) -> Option<R>,
    ) -> Option<R> {
        let mut core = self.core();
        core.waiting += 1;
        let found = loop {
            if let Some(found) = look(&mut core) {
                break Some(found);
            }
            let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()).min(SLICE));
            if left.is_zero() || core.phase == Phase::Ended {
                break None;
            }
            if core.lead == Lead::Nobody {
                core = self.lead(core, Lead::Waiter, left);
            } else {
                if core.lead == Lead::Keeper {
                    core.ring();
                }
                core = self.turn.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        };
        core.waiting -= 1;
        if core.waiting > 0 {
            self.turn.notify_all();
        } else {
            core.left_at = Instant::now();
        }
        found
    }

    /// Does what is due about outcomes, without a lock.
    pub(super) fn settle<'a>(&'a self, mut core: MutexGuard<'a, Core<T, O>>) -> MutexGuard<'a, Core<T, O>> {
        let due = core.reports.take_due();
        if due.is_empty() {
            return core;
        }
        drop(core);
        due.into_iter().for_each(Due::run);
        self.core()
    }

    /// The body of the pool's own thread.
    pub(super) fn keep(&self) {
        let mut core = self.core();
        while core.phase != Phase::Ended {
            let is_wanted = core.waiting == 0 && core.lead == Lead::Nobody && core.left_at.elapsed() >= LINGER;
            core = if is_wanted {
                self.lead(core, Lead::Keeper, SLICE)
            } else {
                self.keeper_turn.wait_timeout(core, LINGER).unwrap_or_else(PoisonError::into_inner).0
            };
        }
        core.release();
        self.turn.notify_all();
        drop(core);
        // Jobs may outlive the pool, its name should not.
        *self.ears.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Listens to the workers for one round.
    fn lead<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core<T, O>>,
        lead: Lead,
        limit: Duration,
    ) -> MutexGuard<'a, Core<T, O>> {
        core.lead = lead;
        drop(core);
        // Nothing in them is half done either.
        if let Some(ears) = self.ears.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            ears.listen(self, limit);
        }
        let mut core = self.core();
        core.lead = Lead::Nobody;
        if core.waiting > usize::from(lead == Lead::Waiter) {
            self.turn.notify_all();
        }
        self.settle(core)
    }
}

impl<T: ?Sized, O: ?Sized> fmt::Debug for Shared<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
