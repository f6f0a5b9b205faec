//! The calling side of a service, without the message types: it claims slots, posts calls, and waits for replies.
//!
//! Threads may share a caller. A lock guards the end of the queue while a ticket is put in; everything else is atomic,
//! in the table or here.

use super::desk::{self, Desk, turn};
use super::place::Place;
use super::spare::Spare;
use crate::error::{Corrupt, Peer};
use crate::info::ChannelInfo;
use crate::interest::Interest;
use crate::layout::Side;
use crate::liveness::{self, Census};
use crate::os;
use crate::ring::Company;
use crate::ring::calls::{Call, Cancelled, End, Holder, Progress};
use crate::ring::shared::{self, Producer};
use crate::station::Patience;
use crate::waiting;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The calling end of a service.
pub(crate) struct Caller {
    desk: Desk,
    queue: Mutex<Producer>,
    spare: Spare,
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
        Ok(Ongoing { caller: self, call, deaths, made_ns: None, ended: None, stage: Stage::Filling })
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
    fn announce(&self, ticket: u64, patience: Patience, deaths: u64) -> Result<(), Failure> {
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
    fn nobody_left(&self, deaths: u64) -> Option<Peer> {
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
    fn prepare(&self) {
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

/// How far a call has come, as its client knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The slot is this client's, who writes the request.
    Filling,
    /// The call has been made.
    Posted,
    /// The request is this client's again.
    Back,
    /// The slot is this call's no longer.
    Over,
}

/// A call for which a slot has been claimed. Dropping it gives the slot back, and cancels the call if it was made.
pub(crate) struct Ongoing<'c> {
    caller: &'c Caller,
    call: Call,
    /// Deaths of servers that were known when the call was begun.
    deaths: u64,
    /// When it was made, if calls are timed and no reply has come.
    made_ns: Option<u64>,
    /// How the call ended, if that came with a reply that has been read.
    ended: Option<End>,
    stage: Stage,
}

/// What a call has come to.
pub(crate) enum Found {
    /// A reply, to be read, and then to be handed to [`Ongoing::finish_reading`].
    Reply(End),
    /// The server has sent all that it had to send.
    Finished,
    /// No reply, for this reason. The call is over.
    Failed(Fate),
}

/// Why there is no reply.
pub(crate) enum Fate {
    /// The server that had taken the call died.
    Died(Peer),
    /// No server had taken it, none is left, and this one died. The request can be read back.
    Untaken(Peer),
    /// The server dropped the request.
    Dropped,
    Corrupt(Corrupt),
    Forked,
    Evicted,
}

/// What came of giving a call up.
pub(crate) enum GivenUp {
    /// No server had taken it. The request can be read back.
    Back,
    /// A server has it, and nobody will hear of the reply.
    Unheard,
    /// It has ended, and there is something to be found.
    TooLate,
}

impl<'c> Ongoing<'c> {
    pub(super) fn desk(&self) -> &'c Desk {
        &self.caller.desk
    }

    /// The slot, for people.
    pub(crate) fn slot(&self) -> usize {
        self.call.index()
    }

    /// Whether the slot is still this call's.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.stage != Stage::Over
    }

    /// The place of the request, which is this client's until the call is made, and when it is back.
    #[inline(always)]
    pub(crate) fn request(&self) -> Place<'c> {
        self.caller.desk.request(self.call.index())
    }

    /// The place of the reply, which is this client's when one has been found.
    #[inline(always)]
    pub(crate) fn reply(&self) -> Place<'c> {
        self.caller.desk.reply(self.call.index())
    }

    /// Makes the call, whose request has been written. If that fails, the request may be [back](Ongoing::is_back).
    #[inline(always)]
    pub(crate) fn post(&mut self, patience: Patience) -> Result<(), Failure> {
        if self.caller.desk.is_forked() {
            return Err(Failure::Forked);
        }
        let calls = &self.caller.desk.calls;
        if let Some(time) = calls.time(self.call.index()) {
            let now = os::monotonic_ns();
            // Relaxed: published with the request.
            time.store(now, Ordering::Relaxed);
            self.made_ns = Some(now);
        }
        let ticket = calls.post(self.call);
        self.stage = Stage::Posted;
        match self.caller.announce(ticket, patience, self.deaths) {
            Ok(()) => {
                self.caller.prepare();
                Ok(())
            }
            Err(failure) => {
                self.take_back();
                Err(failure)
            }
        }
    }

    /// Whether the request is this client's again, to be read and then [released](Ongoing::release).
    pub(crate) fn is_back(&self) -> bool {
        self.stage == Stage::Back
    }

    /// What the call has come to next. `None` if the patience is over, or if the call is.
    #[inline(always)]
    pub(crate) fn next(&mut self, patience: Patience) -> Option<Found> {
        if self.stage != Stage::Posted {
            return None;
        }
        if self.caller.desk.is_forked() {
            self.stage = Stage::Over;
            return Some(Found::Failed(Fate::Forked));
        }
        let outcome = match self.look() {
            Some(outcome) => outcome,
            None => self.wait(patience)?,
        };
        Some(match outcome {
            Outcome::Reply(end) => {
                self.count();
                Found::Reply(end)
            }
            outcome => self.end(outcome),
        })
    }

    /// Whether there is something to be found by looking alone.
    pub(crate) fn is_decided(&self) -> bool {
        self.stage != Stage::Posted || self.look().is_some()
    }

    /// Whether there is something to be found, for whatever reason: R2 of the waiting protocol. What it is, is left to
    /// [`next`](Ongoing::next), which takes steps of its own.
    pub(crate) fn probe_ready(&self) -> bool {
        let desk = &self.caller.desk;
        if self.stage != Stage::Posted || desk.is_forked() || desk.is_evicted() {
            return true;
        }
        let is_ended = match desk.calls.holder(self.call) {
            Holder::Nobody => {
                let Census { living, deaths, .. } = census(desk);
                living == 0 && deaths != self.deaths
            }
            Holder::Server(line) => desk.is_gone(line),
            Holder::Broken(_) => true,
        };
        is_ended || self.look().is_some()
    }

    /// What it takes to wait for the reply on this call's behalf.
    pub(crate) fn interest(&self) -> Interest {
        let desk = &self.caller.desk;
        let servers = Side::Second.lines_of(desk.segment().geometry());
        let word = if self.is_open() { &desk.head(self.call.index()).replies } else { desk.slot_word() };
        desk.interest(word, servers)
    }

    /// Says that a reply, which was found with this end, has been read: gives its place, or the slot, back.
    #[inline(always)]
    pub(crate) fn finish_reading(&mut self, end: End) {
        let desk = &self.caller.desk;
        let end = match end {
            End::Open => {
                // The call may have ended meanwhile, with this reply as its last.
                let end = desk.calls.acknowledge(self.call).end;
                waiting::wake(&desk.head(self.call.index()).room);
                end
            }
            end => end,
        };
        match end {
            End::Open => {}
            End::Finished => self.release(),
            end => self.ended = Some(end),
        }
    }

    /// Frees the slot, which is this client's.
    #[inline(always)]
    pub(crate) fn release(&mut self) {
        self.stage = Stage::Over;
        self.caller.desk.calls.free(self.call);
        self.freed();
    }

    /// Gives the call up, which was not answered in time.
    #[cold]
    pub(crate) fn give_up(&mut self) -> GivenUp {
        if self.take_back() {
            return GivenUp::Back;
        }
        match self.caller.desk.calls.cancel(self.call) {
            Cancelled::TooLate(_) => GivenUp::TooLate,
            Cancelled::Withdrawn => {
                self.stage = Stage::Over;
                self.freed();
                GivenUp::Unheard
            }
            Cancelled::Abandoned => {
                self.stage = Stage::Over;
                GivenUp::Unheard
            }
        }
    }

    /// Ends a call that nobody wants to hear of.
    #[cold]
    pub(crate) fn cancel(&mut self) {
        let desk = &self.caller.desk;
        if desk.is_forked() {
            self.stage = Stage::Over;
            return;
        }
        if self.stage != Stage::Posted {
            return self.release();
        }
        match desk.calls.cancel(self.call) {
            Cancelled::TooLate(_) => self.release(),
            Cancelled::Withdrawn => {
                self.stage = Stage::Over;
                self.freed();
            }
            Cancelled::Abandoned => {
                self.stage = Stage::Over;
                // The server may be waiting for room for another reply.
                waiting::wake(&desk.head(self.call.index()).room);
            }
        }
    }

    /// Notes that the slot is free.
    #[inline(always)]
    fn freed(&self) {
        self.caller.spare.push(self.call.index());
        waiting::wake_some(self.caller.desk.slot_word(), 1);
    }

    /// Takes the call back, if no server has taken it.
    fn take_back(&mut self) -> bool {
        let is_back = self.caller.desk.calls.take_back(self.call);
        if is_back {
            self.stage = Stage::Back;
        }
        is_back
    }

    /// Counts the time from the call to the first reply.
    #[inline(always)]
    fn count(&mut self) {
        if let Some(made_ns) = self.made_ns.take() {
            if let Some(histogram) = self.caller.desk.segment().round_trips() {
                histogram.record(made_ns, os::monotonic_ns());
            }
        }
    }

    #[inline(always)]
    fn look(&self) -> Option<Outcome> {
        if let Some(end) = self.ended {
            return Some(Outcome::End(end));
        }
        match self.caller.desk.calls.progress(self.call) {
            Progress::NONE => None,
            Progress { has_reply: true, end } => Some(Outcome::Reply(end)),
            Progress { end, .. } => Some(Outcome::End(end)),
        }
    }

    #[cold]
    fn wait(&self, patience: Patience) -> Option<Outcome> {
        let desk = &self.caller.desk;
        let word = &desk.head(self.call.index()).replies;
        desk.wait(word, patience, || self.look(), || self.probe())
    }

    /// Finds out whether there is still somebody to wait for. If the server that took the call has died, the call ends.
    fn probe(&self) -> Option<Outcome> {
        let desk = &self.caller.desk;
        if desk.is_evicted() {
            return Some(Outcome::Evicted);
        }
        match desk.calls.holder(self.call) {
            Holder::Nobody => {
                let peer = self.caller.nobody_left(self.deaths)?;
                // Whoever comes now may still take it.
                if desk.calls.take_back(self.call) { Some(Outcome::NobodyLeft(peer)) } else { None }
            }
            Holder::Server(line) => {
                if desk.is_gone(line) {
                    desk.resolve(self.call.index());
                }
                None
            }
            // The call may have ended a moment ago; and if not, it never will.
            Holder::Broken(evidence) => self.look().or(Some(Outcome::Corrupt(desk::corrupt(evidence)))),
        }
    }

    /// Gives the slot back unless the request is to be read, and says what the call has come to.
    #[cold]
    fn end(&mut self, outcome: Outcome) -> Found {
        let desk = &self.caller.desk;
        match outcome {
            Outcome::NobodyLeft(peer) => {
                self.stage = Stage::Back;
                Found::Failed(Fate::Untaken(peer))
            }
            Outcome::Evicted => {
                // Given back, if it is still this client's to give back.
                self.cancel();
                Found::Failed(Fate::Evicted)
            }
            Outcome::Corrupt(corrupt) => {
                // The slot is left alone, since it cannot be known whose it is.
                self.stage = Stage::Over;
                Found::Failed(Fate::Corrupt(corrupt))
            }
            Outcome::Reply(end) | Outcome::End(end) => {
                let server = match desk.calls.holder(self.call) {
                    Holder::Server(line) if line < desk.segment().geometry().participants => line,
                    _ => 0,
                };
                self.release();
                match end {
                    End::Finished | End::Open => Found::Finished,
                    End::Died => Found::Failed(Fate::Died(liveness::last_dead(desk.segment(), server))),
                    End::Dropped | End::Abandoned => Found::Failed(Fate::Dropped),
                }
            }
        }
    }
}

impl Drop for Ongoing<'_> {
    fn drop(&mut self) {
        if self.is_open() {
            self.cancel();
        }
    }
}

/// What a call has come to, before the slot has been given back.
enum Outcome {
    /// A reply that has to be read, and how the call goes on after it.
    Reply(End),
    /// No (further) reply.
    End(End),
    /// No server has taken it, none is left, and this one died. It has been taken back.
    NobodyLeft(Peer),
    Corrupt(Corrupt),
    /// This client was sent away.
    Evicted,
}

fn census(desk: &Desk) -> Census {
    liveness::census(desk.segment(), Side::Second.lines_of(desk.segment().geometry()))
}
