//! A *desk* is what clients and servers share: the participant, the table of calls, the queue of tickets, waiting, and
//! the repair of what dead participants left behind.

use super::place::Place;
use crate::error::{Corrupt, OpenError, Role};
use crate::info::ChannelInfo;
use crate::interest::Interest;
use crate::layout::{CallHead, Side};
use crate::liveness::{self, PROBE_INTERVAL, Participant};
use crate::os::fork::Epoch;
use crate::ring::calls::{Calls, End, Resolved};
use crate::ring::{Evidence, Life, Repair, Turn, shared};
use crate::segment::{Segment, Spec};
use crate::station::{self, Patience};
use crate::waiting::{self, Announced, Sleepers, Spin};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How often a slot that a dead participant had a part in may change under the hands of whoever takes its line over,
/// before that is put off.
const SWEEP_ROUNDS: usize = 64;

/// A place at a service. Any number of threads may use it at once.
pub(super) struct Desk {
    participant: Participant,
    pub(super) calls: Calls,
    /// Bytes of a request, or of the longest one, and the same of replies.
    rooms: [usize; 2],
    queue: shared::Parts,
    info: Box<ChannelInfo>,
    /// When the service was opened. In a child that was forked since, nothing here leads to it any more.
    epoch: Epoch,
    spin: Mutex<Spin>,
    last_tended: Mutex<Option<Instant>>,
}

impl Desk {
    /// Opens the service and takes a place on `side`.
    pub(super) fn open(spec: &Spec, side: Side, role: Role) -> Result<(Self, shared::Parts), OpenError> {
        let joined = station::join(spec, side, role, sweep)?;
        let segment = joined.segment().clone();
        let calls = segment.calls().ok_or_else(|| OpenError::NotASegment {
            path: segment.path().into(),
            reason: "its header is damaged: sizes that do not fit together".into(),
        })?;
        let words = [&segment.wait_line(0).word, &segment.wait_line(1).word];
        let heads = (0..calls.slots()).map(|index| segment.call_head(index));
        waiting::register(words.into_iter().chain(heads.flat_map(|head| [&head.replies, &head.room])));
        let (participant, info) = joined.into_place(spec);
        let (queue, epoch) = (segment.call_queue(), segment.epoch());
        let rooms = segment.geometry().call_rooms();
        let (spin, last_tended) = (Mutex::new(Spin::new()), Mutex::default());
        Ok((Desk { participant, calls, rooms, queue, info, epoch, spin, last_tended }, queue))
    }

    /// The line in the participant table.
    #[inline(always)]
    pub(super) fn line(&self) -> u32 {
        self.participant.line()
    }

    /// The line among those of its side, as the queue counts them.
    pub(super) fn queue_line(&self) -> usize {
        let first_role = self.segment().geometry().first_role;
        (if self.line() < first_role { self.line() } else { self.line() - first_role }) as usize
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        self.participant.segment()
    }

    pub(super) fn info(&self) -> &ChannelInfo {
        &self.info
    }

    /// Whether this process was forked from the one that opened the service. To be asked before anything that should
    /// have an effect.
    #[inline(always)]
    pub(super) fn is_forked(&self) -> bool {
        self.epoch.is_past()
    }

    /// Whether this participant was sent away: to be asked before anything is claimed.
    #[inline(always)]
    pub(super) fn is_evicted(&self) -> bool {
        self.participant.is_evicted()
    }

    /// Whether this end refuses what refers to a place in the segment.
    pub(super) fn is_hardened(&self) -> bool {
        self.info.hardened
    }

    /// The word that servers sleep on who wait for a call.
    #[inline(always)]
    pub(super) fn call_word(&self) -> &AtomicU32 {
        &self.segment().wait_line(0).word
    }

    /// The word that clients sleep on who wait for a slot of the table, or for room in the queue.
    #[inline(always)]
    pub(super) fn slot_word(&self) -> &AtomicU32 {
        &self.segment().wait_line(1).word
    }

    /// The beginning of the slot of a call.
    #[inline(always)]
    pub(super) fn head(&self, index: usize) -> &CallHead {
        self.segment().call_head(index)
    }

    /// The place of the request of a call.
    #[inline(always)]
    pub(super) fn request(&self, index: usize) -> Place<'_> {
        // SAFETY: the segment, which the participant keeps, has a place of this size there, aligned as the geometry
        // says.
        unsafe { Place::new(self.calls.request(index), self.calls.request_length(index), self.rooms[0]) }
    }

    /// The place of the reply of a call.
    #[inline(always)]
    pub(super) fn reply(&self, index: usize) -> Place<'_> {
        // SAFETY: as in `request`.
        unsafe { Place::new(self.calls.reply(index), self.calls.reply_length(index), self.rooms[1]) }
    }

    /// For guards over messages that not all bits are: in a forked child their slot is blank.
    ///
    /// # Panics
    ///
    /// In a child that was forked since the service was opened.
    pub(super) fn assert_not_forked(&self) {
        assert!(!self.is_forked(), "this guard was taken before a fork, and its message is not in the child");
    }

    /// Whether there is room for another ticket in the queue, as far as can be seen at this moment.
    pub(super) fn has_room(&self) -> bool {
        self.queue.has_room()
    }

    /// What somebody has to know who waits for `word`, and for the lives of `lines`, on behalf of this participant.
    pub(super) fn interest(&self, word: &AtomicU32, lines: Range<u32>) -> Interest {
        let is_client = Side::First.lines_of(self.segment().geometry()).contains(&self.line());
        let side = if is_client { Side::First } else { Side::Second };
        // SAFETY: the words of a desk lie in its segment.
        unsafe { Interest::new(self.segment().clone(), NonNull::from(word), Sleepers::Many, lines, side, false) }
    }

    /// Waits on `word` until `look` finds something. `None` if the patience is over.
    ///
    /// Before this participant falls asleep, and whenever it wakes, `probe` finds out who has died and acts on it, so
    /// that `look` sees the consequences; it too may end the wait.
    #[cold]
    #[inline(never)]
    pub(super) fn wait<T>(
        &self,
        word: &AtomicU32,
        patience: Patience,
        mut look: impl FnMut() -> Option<T>,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        if !matches!(patience, Patience::None) {
            let mut found = None;
            let ready = || {
                found = look();
                found.is_some()
            };
            // A thread that waits at the same time finds the spin in use, and has one of its own.
            let (mut own, mut spin) = (Spin::new(), self.spin.try_lock());
            let spin = spin.as_deref_mut().unwrap_or(&mut own);
            if spin.until(patience.deadline(), false, ready) {
                return found;
            }
            self.participant.publish_processor();
        }
        loop {
            let mut announced = match patience {
                Patience::None => None,
                _ => Some(Announced::new(word, Sleepers::Many)),
            };
            loop {
                // R2 of the waiting protocol; whoever was found dead did everything that it did before this look.
                if let Some(found) = probe().or_else(&mut look) {
                    return Some(found);
                }
                let left = patience.left()?;
                let is_still_announced = announced.as_mut()?.sleep(left);
                if let Some(found) = look() {
                    return Some(found);
                }
                if !is_still_announced {
                    break;
                }
            }
        }
    }

    /// Repairs what dead participants hold up in the queue, and resolves their calls, if the last time is a while ago.
    pub(super) fn tend(&self) {
        let mut last_tended = self.last_tended.lock().unwrap_or_else(PoisonError::into_inner);
        if last_tended.is_some_and(|last| last.elapsed() < PROBE_INTERVAL) {
            return;
        }
        *last_tended = Some(Instant::now());
        drop(last_tended);
        let segment = self.segment();
        // Observed before it is asked who lives, as `Calls::resolve` demands.
        let observed: Vec<_> = (0..self.calls.slots()).map(|index| self.calls.observe(index)).collect();
        let lives: Vec<_> = (0..segment.geometry().participants).map(|line| liveness::life(segment, line)).collect();
        if !lives.iter().any(|life| matches!(life, Life::Dead { .. })) {
            return;
        }
        for (line, _) in lives.iter().enumerate().filter(|(_, life)| matches!(life, Life::Dead { .. })) {
            // What is still pending is done by the next one who tends; others who wait for it look by themselves in
            // time.
            repair(segment, &self.queue, line as u32, |line| liveness::life(segment, line));
        }
        let is_gone = |line: u32| lives.get(line as usize).is_none_or(|life| *life != Life::Live);
        for (index, observed) in observed.into_iter().enumerate() {
            if let Some(observed) = observed {
                self.announce(index, self.calls.resolve(index, observed, is_gone, End::Died));
            }
        }
    }

    /// Resolves call `index` if one of the two that it is between is found to be gone.
    pub(super) fn resolve(&self, index: usize) {
        if let Some(observed) = self.calls.observe(index) {
            let is_gone = |line| self.is_gone(line);
            self.announce(index, self.calls.resolve(index, observed, is_gone, End::Died));
        }
    }

    /// Whether nobody who lives has a line.
    pub(super) fn is_gone(&self, line: u32) -> bool {
        let segment = self.segment();
        line >= segment.geometry().participants || liveness::life(segment, line) != Life::Live
    }

    /// Leaves: what this participant has left undone is resolved, its end of the queue given back by `detach`.
    pub(super) fn leave(&mut self, detach: impl FnOnce()) {
        if self.is_forked() {
            return;
        }
        if self.participant.is_struck() {
            // Its calls are resolved by those who hold it for dead, or by its successor.
            return self.participant.leave(|| true);
        }
        let me = self.line();
        for index in 0..self.calls.slots() {
            settle(&self.calls, index, me, |line| line == me, End::Dropped, |resolved| self.announce(index, resolved));
        }
        detach();
        self.participant.close();
        // A server that was found ready has given its ticket back, for another one.
        waiting::wake(self.call_word());
        // A request without its client means nothing, so when everybody has left nothing is undelivered.
        self.participant.leave(|| true);
    }

    fn announce(&self, index: usize, resolved: Resolved) {
        match resolved {
            Resolved::Freed => waiting::wake_some(self.slot_word(), 1),
            Resolved::Ended => {
                let head = self.head(index);
                waiting::wake(&head.replies);
                waiting::wake(&head.room);
            }
            Resolved::Nothing | Resolved::Changed => {}
        }
    }
}

/// Whether it is this end's turn; an error if the queue's words are none that it can have.
#[inline(always)]
pub(super) fn turn(turn: Turn) -> Result<bool, Corrupt> {
    match turn {
        Turn::Ours => Ok(true),
        Turn::Theirs => Ok(false),
        Turn::Broken(evidence) => Err(corrupt(evidence)),
    }
}

pub(super) fn corrupt(Evidence { slot, found, expected }: Evidence) -> Corrupt {
    Corrupt::Stamp { slot, found, expected }
}

/// Resolves everything that the last owner of `line`, whose lock the caller has just taken, has left undone.
fn sweep(segment: &Segment, line: u32) -> bool {
    let Some(calls) = segment.calls() else { return true };
    let life = |other| if other == line { liveness::afterlife(segment, line) } else { liveness::life(segment, other) };
    let is_resolved = repair(segment, &segment.call_queue(), line, life);
    let is_gone = |other| {
        other == line || other >= segment.geometry().participants || liveness::life(segment, other) != Life::Live
    };
    let settle = |index| {
        settle(&calls, index, line, is_gone, End::Died, |resolved| {
            if resolved == Resolved::Ended {
                let head = segment.call_head(index);
                waiting::wake(&head.replies);
                waiting::wake(&head.room);
            }
        })
    };
    is_resolved && (0..calls.slots()).all(settle)
}

/// Resolves slot `index` until nothing in it waits for the participant on `line`, who is gone. `false` if it kept
/// changing.
fn settle(
    calls: &Calls,
    index: usize,
    line: u32,
    is_gone: impl Fn(u32) -> bool,
    end: End,
    mut announce: impl FnMut(Resolved),
) -> bool {
    for _ in 0..SWEEP_ROUNDS {
        let Some(observed) = calls.observe(index).filter(|&observed| calls.involves(observed, line)) else {
            return true;
        };
        match calls.resolve(index, observed, &is_gone, end) {
            Resolved::Changed => {}
            resolved => {
                announce(resolved);
                return true;
            }
        }
    }
    false
}

/// Repairs what the dead participant on `line` holds up in the queue. `false` if that has to wait for a live one.
fn repair(segment: &Segment, queue: &shared::Parts, line: u32, life: impl Fn(u32) -> Life) -> bool {
    let first_role = segment.geometry().first_role;
    let (first, is_client) = if line < first_role { (0, true) } else { (first_role, false) };
    let life = |of: usize| life(first + of as u32);
    let of = (line - first) as usize;
    let repair = if is_client {
        queue.repair_producer(of, life)
    } else {
        // A ticket that is delivered again is void if its call was taken, so nothing is done twice.
        queue.repair_consumer(of, life, shared::Orphans::Redeliver)
    };
    // A damaged queue reports itself to those who use it.
    repair != Repair::Pending
}
