//! Calls that have been made and not yet answered.

use super::client::Client;
use super::desk;
use crate::error::{CallError, Corrupt};
use crate::liveness;
use crate::message::IpcMessage;
use crate::ring::calls::{Call, Cancelled, End, Holder, Progress};
use crate::station::Patience;
use crate::waiting::{self, Sleepers};
use core::fmt;
use core::time::Duration;

/// A call that has been made, made by [`Client::submit`]. Dropping it cancels the call: if no server has taken it, none
/// will, and otherwise nobody hears of the reply.
#[must_use = "dropping it cancels the call"]
pub struct Pending<'c, Req: IpcMessage, Rep: IpcMessage> {
    client: &'c Client<Req, Rep>,
    call: Call,
    /// To be given back if no server takes it.
    request: Option<Req>,
    /// Deaths of servers that were known when the call was made.
    deaths: u64,
    /// How the call ended, if that came with a reply that has been read.
    ended: Option<End>,
    /// Whether the slot is still this call's.
    is_open: bool,
}

/// What a call has come to.
enum Outcome {
    /// A reply that has to be read, and how the call goes on after it.
    Reply(End),
    /// No (further) reply.
    End(End),
    /// No server has taken it, none is left, and this one died.
    NobodyLeft(crate::error::Peer),
    Corrupt(Corrupt),
}

impl<'c, Req: IpcMessage, Rep: IpcMessage> Pending<'c, Req, Rep> {
    #[inline(always)]
    pub(super) fn new(client: &'c Client<Req, Rep>, call: Call, deaths: u64) -> Self {
        Pending { client, call, request: None, deaths, ended: None, is_open: true }
    }

    /// Keeps the request, to give it back.
    #[inline(always)]
    pub(super) fn keep(&mut self, request: Req) {
        self.request = Some(request);
    }

    /// Waits for the reply.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    #[inline(always)]
    pub fn wait(mut self) -> Result<Rep, CallError<Req>> {
        // A wait without a limit ends with a result.
        self.advance(Patience::Forever).unwrap_or(Err(CallError::Timeout(None)))
    }

    /// Waits for the reply at most `limit`. `None` if it has not come, in which case the call goes on. After the result
    /// there is nothing more, and this is `None` at once.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<Rep, CallError<Req>>> {
        self.advance(Patience::from_timeout(limit))
    }

    /// The reply, if it has come. Otherwise as [`wait_timeout`](Pending::wait_timeout).
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    pub fn try_take(&mut self) -> Option<Result<Rep, CallError<Req>>> {
        self.advance(Patience::None)
    }

    /// The first reply, which is the only one that anybody asked for.
    #[inline(always)]
    pub(super) fn advance(&mut self, patience: Patience) -> Option<Result<Rep, CallError<Req>>> {
        let result = self.next(patience)?;
        if self.is_open {
            // A stream, of which the rest is of no interest.
            self.cancel();
        }
        Some(result.unwrap_or(Err(CallError::Dropped)))
    }

    /// The next reply. `None` if the patience is over; `Some(None)` if the server has sent all that it had to send.
    #[inline(always)]
    fn next(&mut self, patience: Patience) -> Option<Option<Result<Rep, CallError<Req>>>> {
        if !self.is_open {
            return None;
        }
        if self.client.desk.is_forked() {
            self.is_open = false;
            return Some(Some(Err(CallError::Forked(None))));
        }
        let outcome = match self.look() {
            Some(outcome) => outcome,
            None => self.wait_for_outcome(patience)?,
        };
        Some(match outcome {
            Outcome::Reply(end) => Some(self.read(end).map_err(|corrupt| CallError::Corrupt(None, corrupt))),
            outcome => self.end(outcome).map(Err),
        })
    }

    #[inline(always)]
    fn look(&self) -> Option<Outcome> {
        if let Some(end) = self.ended {
            return Some(Outcome::End(end));
        }
        match self.client.desk.calls.progress(self.call) {
            Progress::NONE => None,
            Progress { has_reply: true, end } => Some(Outcome::Reply(end)),
            Progress { end, .. } => Some(Outcome::End(end)),
        }
    }

    #[cold]
    fn wait_for_outcome(&self, patience: Patience) -> Option<Outcome> {
        let desk = &self.client.desk;
        let word = &desk.head(self.call.index()).replies;
        desk.wait(word, Sleepers::One, patience, || self.look(), || self.probe())
    }

    /// Finds out whether there is still somebody to wait for. If the server that took the call has died, the call ends.
    fn probe(&self) -> Option<Outcome> {
        let desk = &self.client.desk;
        match desk.calls.holder(self.call) {
            Holder::Nobody => {
                let peer = self.client.nobody_left(self.deaths)?;
                // Whoever comes now may still take it.
                if desk.calls.withdraw(self.call) { Some(Outcome::NobodyLeft(peer)) } else { None }
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

    /// Reads a reply, and gives its place, or the slot, back.
    #[inline(always)]
    fn read(&mut self, end: End) -> Result<Rep, Corrupt> {
        let desk = &self.client.desk;
        // SAFETY: the stamp says that the reply is this client's to read, and the geometry that it is laid out for a `Rep`.
        let reply = unsafe { desk::copy_out(desk.calls.reply(self.call.index())) };
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
            End::Finished => self.free(),
            end => self.ended = Some(end),
        }
        reply
    }

    /// Gives the slot back, and says what the call has come to. `None` if everything has been said.
    #[cold]
    fn end(&mut self, outcome: Outcome) -> Option<CallError<Req>> {
        let desk = &self.client.desk;
        match outcome {
            Outcome::NobodyLeft(peer) => {
                // It has been withdrawn, and so the slot is free.
                self.is_open = false;
                self.client.done(self.call, true);
                Some(CallError::ServerDied(self.request.take(), peer))
            }
            Outcome::Corrupt(corrupt) => {
                // The slot is left alone, since it cannot be known whose it is.
                self.is_open = false;
                self.client.done(self.call, false);
                Some(CallError::Corrupt(None, corrupt))
            }
            Outcome::Reply(end) | Outcome::End(end) => {
                let server = match desk.calls.holder(self.call) {
                    Holder::Server(line) if line < desk.segment().geometry().participants => line,
                    _ => 0,
                };
                self.free();
                match end {
                    End::Finished | End::Open => None,
                    End::Died => Some(CallError::ServerDied(None, liveness::last_dead(desk.segment(), server))),
                    End::Dropped | End::Abandoned => Some(CallError::Dropped),
                }
            }
        }
    }

    #[inline(always)]
    fn free(&mut self) {
        self.is_open = false;
        self.client.desk.calls.free(self.call);
        self.client.done(self.call, true);
    }

    /// Cancels a call that was not answered in time.
    #[cold]
    pub(super) fn give_up(&mut self) -> Result<Rep, CallError<Req>> {
        match self.client.desk.calls.cancel(self.call) {
            Cancelled::TooLate(_) => self.advance(Patience::None).unwrap_or(Err(CallError::Timeout(None))),
            cancelled => {
                self.is_open = false;
                self.client.done(self.call, cancelled == Cancelled::Withdrawn);
                let request = if cancelled == Cancelled::Withdrawn { self.request.take() } else { None };
                Err(CallError::Timeout(request))
            }
        }
    }

    fn cancel(&mut self) {
        if self.client.desk.is_forked() {
            self.is_open = false;
            return;
        }
        match self.client.desk.calls.cancel(self.call) {
            Cancelled::TooLate(_) => self.free(),
            cancelled => {
                self.is_open = false;
                self.client.done(self.call, cancelled == Cancelled::Withdrawn);
                // The server may be waiting for room for another reply.
                waiting::wake(&self.client.desk.head(self.call.index()).room);
            }
        }
    }
}

impl<Req: IpcMessage, Rep: IpcMessage> Drop for Pending<'_, Req, Rep> {
    fn drop(&mut self) {
        if self.is_open {
            self.cancel();
        }
    }
}

impl<Req: IpcMessage, Rep: IpcMessage> fmt::Debug for Pending<'_, Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("slot", &self.call.index()).finish_non_exhaustive()
    }
}

/// The replies to a call, one after the other, made by [`Client::call_stream`]. The iteration ends when the server has
/// finished, or with an error. Dropping it early tells the server that nobody listens.
#[must_use = "dropping it cancels the call"]
#[derive(Debug)]
pub struct Replies<'c, Req: IpcMessage, Rep: IpcMessage> {
    pending: Pending<'c, Req, Rep>,
}

impl<'c, Req: IpcMessage, Rep: IpcMessage> Replies<'c, Req, Rep> {
    pub(super) fn new(pending: Pending<'c, Req, Rep>) -> Self {
        Replies { pending }
    }

    /// The next reply, if it comes within `limit`. `None` if it does not, in which case the call goes on; `Some(None)` if
    /// there are no more.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    pub fn next_timeout(&mut self, limit: Duration) -> Option<Option<Result<Rep, CallError<Req>>>> {
        if self.pending.is_open { self.pending.next(Patience::from_timeout(limit)) } else { Some(None) }
    }
}

impl<Req: IpcMessage, Rep: IpcMessage> Iterator for Replies<'_, Req, Rep> {
    type Item = Result<Rep, CallError<Req>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pending.next(Patience::Forever).flatten()
    }
}
