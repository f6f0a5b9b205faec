//! The calling side of a service, without the message types: it claims slots and puts tickets into the queue. What becomes of a
//! call is in `ongoing`.
//!
//! Threads may share a caller. A lock guards the end of the queue while a ticket is put in; everything else is atomic,
//! in the table or here.

use super::desk::{Desk, turn};
use super::ongoing::Ongoing;
use super::place::Place;
use super::spare::Spare;
use crate::error::{Corrupt, Peer};
use crate::info::ChannelInfo;
use crate::interest::Interest;
use crate::layout::Side;
use crate::liveness::{self, Census};
use crate::ring::Company;
use crate::ring::calls::Call;
use crate::ring::shared::{self, Producer};
use crate::station::Patience;
use crate::waiting;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The calling end of a service.
pub(crate) struct Caller {
    pub(super) desk: Desk,
    queue: Mutex<Producer>,
    pub(super) spare: Spare,
    /// Deaths of servers that are known to this end.
    deaths: AtomicU64,
}

/// Why a call could not be made.
pub(crate) enum Failure {
    Timeout,
    /// No server is left, and this one died.
    Died(Peer),
    /// Every slot is taken by a call of this end.
    Full,
    Corrupt(Corrupt),
    Forked,
    Evicted,
}

impl Caller {
    pub(super) fn new((desk, queue): (Desk, shared::Parts)) -> Self {
        // The queue's ends are never alone: a client that is the only one now would have to be told when it no longer
        // is.
        let queue = Mutex::new(Producer::attach(queue, desk.queue_line(), Company::Others));
        let deaths = AtomicU64::new(census(&desk).deaths);
        let spare = Spare::new(desk.calls.slots());
        Caller { desk, queue, spare, deaths }
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The service as it is.
    pub(crate) fn info(&self) -> &ChannelInfo {
        self.desk.info()
    }

    /// The place of any request, as far as the room in it is concerned.
    pub(crate) fn request_room(&self) -> Place<'_> {
        self.desk.request(0)
    }

    /// Claims a slot, and waits for one if there is none.
    #[inline(always)]
    pub(crate) fn open(&self, patience: Patience) -> Result<Ongoing<'_>, Failure> {
        if self.desk.is_forked() {
            return Err(Failure::Forked);
        }
        if self.desk.is_evicted() {
            return Err(Failure::Evicted);
        }
        // Relaxed: a count of this end's own. Whoever sees an older one takes a death that was reported for a new one,
        // once.
        let deaths = self.deaths.load(Ordering::Relaxed);
        let call = match self.claim() {
            Some(call) => call,
            None => self.wait_for_slot(patience, deaths)?,
        };
        Ok(Ongoing::new(self, call, deaths))
    }

    /// Whether a call can be made without waiting, as far as can be seen by looking alone.
    pub(crate) fn has_slot(&self) -> bool {
        let calls = &self.desk.calls;
        let is_spare = self.spare.next().is_some_and(|index| calls.is_free(index));
        (is_spare || (0..calls.slots()).any(|index| calls.is_free(index))) && self.desk.has_room()
    }

    /// Whether making a call would not wait, for whatever reason: R2 of the waiting protocol.
    pub(crate) fn probe(&self) -> bool {
        self.probe_slot() || self.is_full()
    }

    /// The same for one of several tasks, which wait for each other's slots.
    pub(crate) fn probe_slot(&self) -> bool {
        if self.desk.is_forked() || self.desk.is_evicted() {
            return true;
        }
        self.desk.tend();
        // Relaxed: as in `open`.
        let deaths = self.deaths.load(Ordering::Relaxed);
        let Census { living, deaths: now, .. } = census(&self.desk);
        self.has_slot() || living == 0 && now != deaths
    }

    /// What it takes to wait for a slot on this end's behalf.
    pub(crate) fn interest(&self) -> Interest {
        self.desk.interest(self.desk.slot_word(), 0..self.desk.segment().geometry().participants)
    }

    /// Claims a slot if one is free, those first that this end had before.
    #[inline(always)]
    fn claim(&self) -> Option<Call> {
        let (calls, line) = (&self.desk.calls, self.desk.line());
        while let Some(index) = self.spare.pop() {
            if let Some(call) = calls.claim(index, line) {
                return Some(call);
            }
        }
        self.search()
    }

    /// Looks at all slots, from a place on that differs from end to end.
    #[cold]
    fn search(&self) -> Option<Call> {
        self.slots().find_map(|index| self.desk.calls.claim(index, self.desk.line()))
    }

    /// All slots, those first that no other end begins with.
    fn slots(&self) -> impl Iterator<Item = usize> + use<> {
        let slots = self.desk.calls.slots();
        let places = Side::First.lines_of(self.desk.segment().geometry()).len().max(1);
        let first = (self.desk.line() as usize * slots / places).min(slots);
        (first..slots).chain(0..first)
    }

    #[cold]
    fn wait_for_slot(&self, patience: Patience, deaths: u64) -> Result<Call, Failure> {
        if self.is_full() {
            return Err(Failure::Full);
        }
        let probe = || self.probe_queue(deaths).map(Err);
        let found = self.desk.wait(self.desk.slot_word(), patience, || self.claim().map(Ok), probe);
        found.unwrap_or(Err(Failure::Timeout))
    }

    /// Whether every slot is taken by a call of this end.
    fn is_full(&self) -> bool {
        let calls = &self.desk.calls;
        (0..calls.slots()).all(|index| calls.is_clients(index, self.desk.line()))
    }

    /// Puts a ticket into the queue, and wakes a server.
    #[inline(always)]
    pub(super) fn announce(&self, ticket: u64, patience: Patience, deaths: u64) -> Result<(), Failure> {
        let is_done = self.enqueue(ticket).map_err(Failure::Corrupt)?;
        if !is_done {
            self.wait_for_room(ticket, patience, deaths)?;
        }
        waiting::wake_some(self.desk.call_word(), 1);
        Ok(())
    }

    #[inline(always)]
    fn enqueue(&self, ticket: u64) -> Result<bool, Corrupt> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !turn(queue.claim(1))? {
            return Ok(false);
        }
        // SAFETY: the cell has been claimed, and its first word holds the ticket.
        let word = unsafe { queue.payload().as_ref() };
        // Relaxed: published by `pass`.
        word.store(ticket, Ordering::Relaxed);
        queue.pass();
        Ok(true)
    }

    /// Waits until the queue has room: it is full of the tickets of calls that were withdrawn, or somebody has died.
    #[cold]
    fn wait_for_room(&self, ticket: u64, patience: Patience, deaths: u64) -> Result<(), Failure> {
        let look = || match self.enqueue(ticket) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(corrupt) => Some(Err(Failure::Corrupt(corrupt))),
        };
        let probe = || self.probe_queue(deaths).map(Err);
        let found = self.desk.wait(self.desk.slot_word(), patience, look, probe);
        found.unwrap_or(Err(Failure::Timeout))
    }

    /// Does what is to be done for the dead while waiting for the queue or the table.
    fn probe_queue(&self, deaths: u64) -> Option<Failure> {
        if self.desk.is_evicted() {
            return Some(Failure::Evicted);
        }
        self.desk.tend();
        self.nobody_left(deaths).map(Failure::Died)
    }

    /// Who died, if no server is left and one has died since `deaths` were known.
    pub(super) fn nobody_left(&self, deaths: u64) -> Option<Peer> {
        let Census { living, deaths: now, fallen } = census(&self.desk);
        // Relaxed: as in `open`.
        self.deaths.store(now, Ordering::Relaxed);
        if living > 0 || now == deaths {
            return None;
        }
        let first_server = Side::Second.lines_of(self.desk.segment().geometry()).start;
        Some(liveness::last_dead(self.desk.segment(), fallen.unwrap_or(first_server)))
    }

    /// Fetches the lines of the slot that comes next, while there is nothing to do but to wait.
    #[inline(always)]
    pub(super) fn prepare(&self) {
        match self.spare.next() {
            Some(index) => self.desk.calls.prefetch_to_fill(index),
            None => self.find_spare(),
        }
    }

    /// Finds a second slot, once, so that there is one to be fetched while the other is in use.
    #[cold]
    fn find_spare(&self) {
        if self.spare.is_first_search() {
            if let Some(index) = self.slots().find(|&index| self.desk.calls.is_free(index)) {
                self.spare.push(index);
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let Caller { desk, queue, .. } = self;
        desk.leave(|| queue.get_mut().unwrap_or_else(PoisonError::into_inner).detach());
    }
}

/// Who of the servers lives.
pub(super) fn census(desk: &Desk) -> Census {
    liveness::census(desk.segment(), Side::Second.lines_of(desk.segment().geometry()))
}
