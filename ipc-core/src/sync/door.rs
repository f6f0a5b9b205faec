//! A *door* is a [gate](crate::lock), which only tries, together with the wait queue of those who want to enter.
//! Mutexes, reader-writer locks, onces and shared values are built on it.

use super::member::{Member, Queue};
use crate::error::Forked;
use crate::lock::{Entry, Gate, Left, Owner, Purpose, Seen};
use crate::segment::Segment;
use crate::station::Patience;
use crate::waiting::SLICE;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How often one sleeps, and is woken in vain or by the clock, before it asks to be handed the gate.
const SLEEPS_BEFORE_ASKING: u32 = 4;

/// Why somebody did not get in.
#[derive(Debug)]
pub(super) enum Refused {
    /// The patience was over.
    Timeout,
    /// The thread is inside.
    WouldDeadlock,
    /// The handle is dead.
    Forked(Forked),
}

/// See the module.
pub(super) struct Door {
    gate: Gate,
    /// What the word said, and since when, as far as somebody has been handed the gate and has not come.
    unclaimed: Mutex<Option<(Seen, Instant)>>,
}

impl Door {
    /// The door of a segment.
    pub(super) fn new(segment: &Segment) -> Self {
        Door { gate: segment.gate(), unclaimed: Mutex::new(None) }
    }

    /// Its gate.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Enters, and waits for whoever is inside. Returns whether the value may be half changed.
    #[inline(always)]
    pub(super) fn enter(&self, member: &Member, purpose: Purpose, patience: Patience) -> Result<bool, Refused> {
        if member.is_forked() {
            return Err(Refused::Forked(Forked));
        }
        let me = member.me();
        match self.gate.try_enter(me, purpose) {
            Entry::Inside { is_marked } => Ok(is_marked),
            Entry::Taken(seen) => self.enter_patiently(member, me, purpose, patience, seen),
        }
    }

    #[cold]
    fn enter_patiently(
        &self,
        member: &Member,
        me: Owner,
        purpose: Purpose,
        patience: Patience,
        seen: Seen,
    ) -> Result<bool, Refused> {
        if !seen.is_granted() && seen.owner().is_some_and(|owner| member.is_this_thread(owner)) {
            return Err(Refused::WouldDeadlock);
        }
        let mut has_asked = false;
        let entered = member.wait(Queue::Turn, patience, |round| {
            let seen = match self.gate.try_enter(me, purpose) {
                Entry::Inside { is_marked } => return Some(is_marked),
                Entry::Taken(seen) => seen,
            };
            if round.sleeps >= SLEEPS_BEFORE_ASKING {
                self.gate.ask(me);
                has_asked = true;
            }
            let is_free = round.probes && self.is_abandoned(member, seen);
            if is_free { self.gate.take_over(seen, me, purpose) } else { None }
        });
        if has_asked && !self.gate.take_back(me) && entered.is_none() {
            // It has been handed the gate in the last moment, or another thread of this participant has, or has
            // entered.
            if let Entry::Inside { is_marked } = self.gate.try_enter(me, purpose) {
                return Ok(is_marked);
            }
        }
        entered.ok_or(Refused::Timeout)
    }

    /// Whether nobody comes from the one whom `seen` names.
    fn is_abandoned(&self, member: &Member, seen: Seen) -> bool {
        let Some(owner) = seen.owner() else { return false };
        member.is_gone(owner) || seen.is_granted() && self.is_unclaimed(seen)
    }

    /// Whether the one that has been handed the gate has not come for a while. (It may have come and gone, and been
    /// handed the gate again; then it loses a turn.)
    fn is_unclaimed(&self, seen: Seen) -> bool {
        let mut unclaimed = self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        match *unclaimed {
            Some((before, since)) if before == seen => since.elapsed() >= SLICE,
            _ => {
                *unclaimed = Some((seen, Instant::now()));
                false
            }
        }
    }

    /// Whether the one inside is gone, or does not come, so that somebody has to take its place.
    pub(super) fn is_left(&self, member: &Member) -> bool {
        self.is_abandoned(member, self.gate.look())
    }

    /// Whether whoever enters next is going to be told of a death.
    pub(super) fn is_left_marked(&self, member: &Member) -> bool {
        let seen = self.gate.look();
        seen.is_marked() || !seen.is_granted() && seen.owner().is_some_and(|owner| member.is_gone(owner))
    }

    /// Leaves as `me`, who is inside, and wakes who is next.
    #[inline(always)]
    pub(super) fn leave(&self, member: &Member, me: Owner, is_marked: bool) {
        match self.gate.leave(me, is_marked) {
            Left::Free => member.wake(Queue::Turn, 1),
            Left::HandedOn => member.wake(Queue::Turn, u32::MAX),
        }
    }

    /// Frees the gate of whoever had `line`, which is dead: its lock is held.
    pub(super) fn sweep(segment: &Segment, line: u32) {
        segment.gate().free_of(line as usize, |_| true);
    }

    /// Frees the gate of `member`, which leaves, in case that a guard was forgotten, or that it was handed the gate in
    /// vain.
    pub(super) fn abandon(&self, member: &Member) {
        let participant = member.participant();
        self.gate.take_back(participant);
        if self.gate.free_of(member.line(), |owner| owner.participant() == participant) {
            member.wake(Queue::Turn, 1);
        }
    }
}
