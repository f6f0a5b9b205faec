//! Requests that a server has taken.

use super::desk::Desk;
use super::server::Server;
use crate::error::ReplyError;
use crate::message::IpcMessage;
use crate::ring::calls::{End, Progress, Taken};
use crate::station::Patience;
use crate::waiting::{self, Sleepers};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

/// A request, which derefs to its message: a validated copy. Dropping it unanswered tells the client so.
#[must_use = "dropping it leaves the client without a reply"]
pub struct Request<'s, Req: IpcMessage, Rep: IpcMessage> {
    answer: Answer<'s, Rep>,
    message: Req,
}

/// The right to answer a call.
struct Answer<'s, Rep> {
    desk: &'s Desk,
    taken: Taken,
    /// Whether the call is still this server's.
    is_open: bool,
    reply: PhantomData<fn(Rep)>,
}

impl<'s, Req: IpcMessage, Rep: IpcMessage> Request<'s, Req, Rep> {
    /// Takes the call over, whose request has been copied out; or tells the client that it was no value.
    #[inline(always)]
    pub(super) fn new<E>(
        server: &'s Server<Req, Rep>,
        taken: Taken,
        copy: impl FnOnce(&Desk) -> Result<Req, E>,
    ) -> Result<Self, E> {
        // If the copy is refused, dropping this answers.
        let answer = Answer { desk: &server.desk, taken, is_open: true, reply: PhantomData };
        let message = copy(&server.desk)?;
        Ok(Request { answer, message })
    }

    /// Sends the reply. `false` if the client has died or does not wait for it any longer, which is no concern of most
    /// servers.
    #[inline(always)]
    pub fn reply(mut self, reply: Rep) -> bool {
        self.answer.place(reply);
        self.answer.say(Progress::ANSWERED)
    }

    /// Sends what `handler` makes of the request.
    #[inline(always)]
    pub(super) fn reply_with(self, handler: impl FnOnce(Req) -> Rep) {
        let Request { mut answer, message } = self;
        let reply = handler(message);
        answer.place(reply);
        answer.say(Progress::ANSWERED);
    }

    /// Begins a reply of many parts, each of which is a message. [`Client::call_stream`](super::Client::call_stream)
    /// receives them all, and the other calls the first.
    pub fn reply_stream(self) -> ReplyStream<'s, Req, Rep> {
        let Request { answer, message } = self;
        ReplyStream { answer, message }
    }
}

impl<Req: IpcMessage, Rep: IpcMessage> Deref for Request<'_, Req, Rep> {
    type Target = Req;

    fn deref(&self) -> &Req {
        &self.message
    }
}

impl<Req: IpcMessage + fmt::Debug, Rep: IpcMessage> fmt::Debug for Request<'_, Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.message).finish()
    }
}

impl<Rep> Answer<'_, Rep> {
    /// Writes a reply to its place, which is free.
    #[inline(always)]
    fn place(&self, reply: Rep)
    where
        Rep: IpcMessage,
    {
        if self.desk.is_forked() {
            return;
        }
        // SAFETY: the call is this server's, and the place of the reply with it, as has been seen if a reply was sent
        // before; the geometry ensures that there is room and alignment for a `Rep`.
        unsafe { reply.place(self.desk.calls.reply(self.taken.index()).as_ptr().cast()) };
    }

    /// Says how far the answer has come, and wakes the client. `false` if it has gone.
    #[inline(always)]
    fn say(&mut self, progress: Progress) -> bool {
        if self.desk.is_forked() {
            self.is_open = false;
            return false;
        }
        let is_heard = self.desk.calls.answer(self.taken, progress);
        if progress.end != End::Open || !is_heard {
            self.is_open = false;
        }
        if is_heard {
            waiting::wake(&self.desk.head(self.taken.index()).replies);
        } else {
            waiting::wake_some(self.desk.slot_word(), 1);
        }
        is_heard
    }

    /// Waits until the client has read the last reply. `false` if it has gone.
    fn wait_for_place(&mut self) -> bool {
        if self.desk.is_forked() {
            return false;
        }
        let look = || match self.desk.calls.server_progress(self.taken) {
            Progress::NONE => Some(true),
            Progress { end: End::Open, .. } => None,
            _ => Some(false),
        };
        if let Some(found) = look() {
            return found;
        }
        let probe = || {
            if self.desk.is_gone(self.taken.client()) {
                self.desk.resolve(self.taken.index());
            }
            None
        };
        let word = &self.desk.head(self.taken.index()).room;
        self.desk.wait(word, Sleepers::One, Patience::Forever, look, probe).unwrap_or(false)
    }
}

impl<Rep> Drop for Answer<'_, Rep> {
    fn drop(&mut self) {
        if self.is_open {
            self.say(Progress { end: End::Dropped, ..Progress::NONE });
        }
    }
}

/// A reply of many parts. It derefs to the request. Dropping it without [`finish`](ReplyStream::finish) tells the client
/// that something is missing.
#[must_use = "dropping it tells the client that something is missing"]
pub struct ReplyStream<'s, Req: IpcMessage, Rep: IpcMessage> {
    answer: Answer<'s, Rep>,
    message: Req,
}

impl<Req: IpcMessage, Rep: IpcMessage> ReplyStream<'_, Req, Rep> {
    /// Sends the next reply. There is room for one at a time, so this waits until the client has read the last one.
    ///
    /// # Errors
    ///
    /// [`ReplyError::ClientGone`] if the client has died or does not want more.
    pub fn send(&mut self, reply: Rep) -> Result<(), ReplyError> {
        let is_heard = self.answer.is_open && self.answer.wait_for_place() && {
            self.answer.place(reply);
            self.answer.say(Progress { has_reply: true, ..Progress::NONE })
        };
        if !is_heard {
            self.close();
            return Err(ReplyError::ClientGone);
        }
        Ok(())
    }

    /// Says that this is all. `false` if the client has gone before it has heard of it.
    pub fn finish(mut self) -> bool {
        self.answer.is_open && self.answer.say(Progress { end: End::Finished, ..Progress::NONE })
    }

    /// Gives the slot back, if the client has left it to this server.
    fn close(&mut self) {
        if self.answer.is_open {
            self.answer.say(Progress { end: End::Dropped, ..Progress::NONE });
        }
    }
}

impl<Req: IpcMessage, Rep: IpcMessage> Deref for ReplyStream<'_, Req, Rep> {
    type Target = Req;

    fn deref(&self) -> &Req {
        &self.message
    }
}

impl<Req: IpcMessage + fmt::Debug, Rep: IpcMessage> fmt::Debug for ReplyStream<'_, Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyStream").field(&self.message).finish()
    }
}
