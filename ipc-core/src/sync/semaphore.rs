//! A number of permits. The algorithm, and the proof that no permit is lost or doubled, are in `lock/ledger.rs`.

use super::Options;
use super::member::{Count, Member, Queue};
use crate::error::{AddError, Forked, OpenError, PermitError, PermitTimeoutError, TryPermitError};
use crate::info::ChannelInfo;
use crate::layout::KIND_SEMAPHORE;
use crate::liveness;
use crate::lock::{Change, Ledger, MAX_PERMITS};
use crate::segment::Segment;
use crate::station::Patience;
use core::fmt;
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

/// A counting semaphore. Threads of several processes acquire permits and release them.
///
/// The segment records how many permits each handle holds. The permits of a process that dies are released: within 100
/// ms if another thread waits for one, otherwise when they are next needed.
///
/// ```
/// use ipc_core::sync::Semaphore;
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let downloads = Semaphore::bounded(Options::new("downloads").domain(&domain), 2)?;
/// # /*
/// let downloads = Semaphore::bounded("downloads", 2)?;
/// # */
/// let one = downloads.acquire()?;
/// let another = downloads.acquire()?;
/// assert!(downloads.try_acquire().is_err());
/// drop(one);
/// assert_eq!(downloads.free()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Permits can also count items that one process produces and others consume: [`add`](Semaphore::add) creates permits,
/// and [`Permit::spend`] uses one up for good.
///
/// Waiters get permits in no particular order.
pub struct Semaphore {
    ledger: Ledger,
    /// What a participant holds is changed by one thread at a time.
    turn: Mutex<()>,
    member: Member,
}

impl Semaphore {
    /// Opens the semaphore with this name, or creates it with `permits` free permits. More can be added later.
    ///
    /// A semaphore that exists is opened as it is, with the permits that it has, and its bound.
    ///
    /// # Errors
    ///
    /// - [`OpenError::Count`] if `permits` is more than 1,048,575.
    /// - [`OpenError::Kind`] if the name belongs to something else.
    /// - Any other [`OpenError`], as documented there.
    pub fn open(options: impl Into<Options>, permits: u32) -> Result<Self, OpenError> {
        Self::open_within(&options.into(), permits, Count { number: MAX_PERMITS, agreed: None })
    }

    /// Opens the semaphore with this name, or creates it with `permits` free permits, at least one. There are never
    /// more free permits than that.
    ///
    /// # Errors
    ///
    /// [`OpenError::Count`] if `permits` is 0, and [`OpenError::OtherCount`] if the semaphore was created with another
    /// bound, or without one; otherwise as for [`open`](Semaphore::open).
    pub fn bounded(options: impl Into<Options>, permits: u32) -> Result<Self, OpenError> {
        if permits == 0 {
            return Err(refuse(0, "a bounded semaphore has at least 1 permit"));
        }
        Self::open_within(&options.into(), permits, Count { number: permits, agreed: Some("permits") })
    }

    fn open_within(options: &Options, permits: u32, bound: Count) -> Result<Self, OpenError> {
        if permits > MAX_PERMITS {
            return Err(refuse(permits, "a semaphore has at most 1,048,575 permits"));
        }
        let mut init = |segment: &Segment| segment.ledger().init(permits);
        let sweep = |segment: &Segment, line| {
            segment.ledger().give_back(line as usize, || true);
        };
        let member = Member::open::<u64>(options, KIND_SEMAPHORE, bound, &mut init, sweep, |_, _, _| {})?;
        Ok(Semaphore { ledger: member.segment().ledger(), turn: Mutex::new(()), member })
    }

    /// Acquires a permit, and waits for one if none is free.
    ///
    /// # Errors
    ///
    /// [`PermitError::Forked`] in a forked child.
    #[inline]
    pub fn acquire(&self) -> Result<Permit<'_>, PermitError> {
        self.acquire_many(1)
    }

    /// Acquires `permits` permits at once, and waits until that many are free.
    ///
    /// # Errors
    ///
    /// [`PermitError::TooMany`] if the semaphore can never have that many; otherwise as for
    /// [`acquire`](Semaphore::acquire).
    #[inline]
    pub fn acquire_many(&self, permits: u32) -> Result<Permit<'_>, PermitError> {
        self.acquire_within(permits, Patience::Forever).map_err(|error| match error {
            PermitTimeoutError::Permit(error) => error,
            // Which takes longer than anybody lives.
            PermitTimeoutError::Timeout => PermitError::TooMany { asked: permits, most: self.bound() },
        })
    }

    /// Acquires a permit without waiting.
    ///
    /// # Errors
    ///
    /// [`TryPermitError::WouldBlock`] if none is free.
    #[inline]
    pub fn try_acquire(&self) -> Result<Permit<'_>, TryPermitError> {
        self.try_acquire_many(1)
    }

    /// Acquires `permits` permits at once without waiting. If too few are free, it first releases those of dead
    /// processes.
    ///
    /// # Errors
    ///
    /// [`TryPermitError::WouldBlock`] if too few are free.
    #[inline]
    pub fn try_acquire_many(&self, permits: u32) -> Result<Permit<'_>, TryPermitError> {
        self.acquire_within(permits, Patience::None).map_err(|error| match error {
            PermitTimeoutError::Permit(error) => error.into(),
            PermitTimeoutError::Timeout => TryPermitError::WouldBlock,
        })
    }

    /// Acquires a permit, and waits for one for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`PermitTimeoutError::Timeout`] if none was free in time.
    pub fn acquire_timeout(&self, limit: Duration) -> Result<Permit<'_>, PermitTimeoutError> {
        self.acquire_many_timeout(1, limit)
    }

    /// Acquires `permits` permits at once, and waits for at most `limit` until that many are free.
    ///
    /// # Errors
    ///
    /// [`PermitTimeoutError::Timeout`] if too few were free in time.
    pub fn acquire_many_timeout(&self, permits: u32, limit: Duration) -> Result<Permit<'_>, PermitTimeoutError> {
        self.acquire_within(permits, Patience::from_timeout(limit))
    }

    #[inline(always)]
    fn acquire_within(&self, permits: u32, patience: Patience) -> Result<Permit<'_>, PermitTimeoutError> {
        self.member.check_forked().map_err(PermitError::from)?;
        if permits > self.bound() {
            return Err(PermitError::TooMany { asked: permits, most: self.bound() }.into());
        }
        if self.take(permits) || self.take_patiently(permits, patience) {
            Ok(Permit { semaphore: self, permits })
        } else {
            Err(PermitTimeoutError::Timeout)
        }
    }

    /// Takes so many permits, if they are free.
    #[inline]
    fn take(&self, permits: u32) -> bool {
        let take = |free: u32, held: u32| free.checked_sub(permits).map(|free| (free, held + permits)).ok_or(());
        self.change(take) == Change::Made
    }

    /// Waits until it can take so many permits. `false` if the patience is over before.
    #[cold]
    fn take_patiently(&self, permits: u32, patience: Patience) -> bool {
        let look = |probes: bool| self.take(permits) || probes && self.bring_back() && self.take(permits);
        self.member.wait(Queue::Turn, patience, |round| look(round.probes).then_some(())).is_some()
    }

    /// Creates `permits` new permits, and wakes threads that wait for them.
    ///
    /// # Errors
    ///
    /// [`AddError::Bound`] if there would be more free permits than the bound.
    pub fn add(&self, permits: u32) -> Result<(), AddError> {
        self.member.check_forked()?;
        let bound = self.bound();
        let add = |free: u32, held: u32| match free.checked_add(permits).filter(|&free| free <= bound) {
            Some(free) => Ok((free, held)),
            None => Err(free),
        };
        loop {
            match self.change(add) {
                Change::Made => break,
                Change::Refused(free) => return Err(AddError::Bound { free, bound }),
                Change::Overtaken => std::thread::yield_now(),
            }
        }
        self.member.wake(Queue::Turn, permits);
        Ok(())
    }

    /// The number of free permits. The permits of a dead process count once a waiter has found its death.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a forked child.
    pub fn free(&self) -> Result<u32, Forked> {
        self.member.check_forked()?;
        Ok(self.ledger.free())
    }

    /// The bound: the most permits that can be free.
    pub fn bound(&self) -> u32 {
        self.member.segment().geometry().capacity as u32
    }

    /// The actual options of the semaphore's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }

    /// Changes what this participant holds.
    #[inline]
    fn change<E>(&self, change: impl Fn(u32, u32) -> Result<(u32, u32), E>) -> Change<E> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.ledger.change(self.member.line(), change)
    }

    /// Gives the permits of the dead back. Whether there were any.
    fn bring_back(&self) -> bool {
        let segment = self.member.segment();
        let mut permits = 0;
        for line in 0..self.ledger.lines() {
            let is_dead = || liveness::has_died(segment, line as u32);
            if line != self.member.line() && self.ledger.is_open(line) && is_dead() {
                permits += self.ledger.give_back(line, is_dead);
            }
        }
        if permits > 0 {
            self.member.wake(Queue::Turn, permits);
        }
        permits > 0
    }

    /// Takes permits from this participant, and frees so many of them.
    #[inline]
    fn put_back(&self, permits: u32, freed: u32) {
        // A participant holds what its permits say, so that there is nothing to be refused.
        let give = |free: u32, held: u32| Ok::<_, ()>(((free + freed).min(MAX_PERMITS), held.saturating_sub(permits)));
        while self.change(give) == Change::Overtaken {
            std::thread::yield_now();
        }
        if freed > 0 {
            self.member.wake(Queue::Turn, freed);
        }
    }
}

fn refuse(permits: u32, rule: &'static str) -> OpenError {
    OpenError::Count { count: permits, unit: "permits", rule }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        let ledger = &self.ledger;
        self.member.leave(|member| {
            // Permits that were forgotten.
            let permits = ledger.give_back(member.line(), || true);
            if permits > 0 {
                member.wake(Queue::Turn, permits);
            }
        });
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}

/// One or more acquired permits. Dropping it releases them. It may move to another thread.
#[must_use = "the permits are given back at once if they are not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: u32,
}

impl Permit<'_> {
    /// The number of permits.
    pub fn permits(&self) -> u32 {
        self.permits
    }

    /// Uses the permits up: they are not released. [`Semaphore::add`] creates new ones.
    pub fn spend(self) {
        if !self.semaphore.member.is_forked() {
            self.semaphore.put_back(self.permits, 0);
        }
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.semaphore.member.is_forked() {
            self.semaphore.put_back(self.permits, self.permits);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("permits", &self.permits).finish_non_exhaustive()
    }
}
