//! One call of a client: making it, waiting for what it comes to, and giving its slot back.

use super::caller::{Caller, Failure, census};
use super::desk::{self, Desk};
use super::place::Place;
use crate::error::{Corrupt, Peer};
use crate::interest::Interest;
use crate::layout::Side;
use crate::liveness::{self, Census};
use crate::os;
use crate::ring::calls::{Call, Cancelled, End, Holder, Progress};
use crate::station::Patience;
use crate::waiting;
use core::sync::atomic::Ordering;

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
    /// A call of `caller`, who has claimed the slot.
    #[inline(always)]
    pub(super) fn new(caller: &'c Caller, call: Call, deaths: u64) -> Self {
        Ongoing { caller, call, deaths, made_ns: None, ended: None, stage: Stage::Filling }
    }

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
