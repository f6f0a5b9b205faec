//! Requests that a server has taken.

use super::answer::Answer;
use super::desk::Desk;
use super::draft::Draft;
use crate::error::{Corrupt, ReplyError, TooLarge};
use crate::message::{IpcMessage, TooLong};
use crate::ring::calls::Progress;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// One reply of several.
const ONE_OF_SEVERAL: Progress = Progress { has_reply: true, ..Progress::NONE };

/// A request that a server has taken. It dereferences to its message `M`: a validated copy (`Req` or `Box<Req>`), or the
/// message [in the segment](InPlace).
///
/// Dropping it without a reply drops the request: the client gets [`CallError::Dropped`](crate::CallError::Dropped).
#[must_use = "dropping it leaves the client without a reply"]
pub struct Request<'s, M, Rep: ?Sized> {
    answer: Answer<'s>,
    message: M,
    reply: PhantomData<fn(&Rep)>,
}

/// Replies of one length.
impl<'s, M, Rep: IpcMessage> Request<'s, M, Rep> {
    /// Sends the reply. Returns `false` if the client has died or has cancelled the call, which most servers can
    /// ignore.
    #[inline(always)]
    pub fn reply(mut self, reply: Rep) -> bool {
        put(&self.answer, &reply);
        self.answer.say(Progress::ANSWERED)
    }

    /// Sends the result of `handler`.
    #[inline(always)]
    pub(super) fn reply_with(self, handler: impl FnOnce(M) -> Rep) {
        let Request { mut answer, message, .. } = self;
        put(&answer, &handler(message));
        answer.say(Progress::ANSWERED);
    }
}

/// Replies of any kind.
impl<'s, M, Rep: IpcMessage + ?Sized> Request<'s, M, Rep> {
    #[inline(always)]
    pub(super) fn new(answer: Answer<'s>, message: M) -> Self {
        Request { answer, message, reply: PhantomData }
    }

    /// Sends a copy of a reply of any length. Returns `Ok(false)` if the client has died or has cancelled the call.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if the reply is longer than [`Server::max_reply_len`](super::Server::max_reply_len) allows. The
    /// client gets [`CallError::Dropped`](crate::CallError::Dropped).
    pub fn reply_copy(mut self, reply: &Rep) -> Result<bool, TooLarge> {
        put_copy(&self.answer, reply)?;
        Ok(self.answer.say(Progress::ANSWERED))
    }

    /// Lends room for a reply whose tail has `len` items, or `len` bytes of text. The loan keeps the request.
    ///
    /// [`ReplyLoan::send`] sends the reply. The tail starts out with valid items (text: NUL characters), to be
    /// overwritten. `len` is ignored for a reply without a tail.
    ///
    /// # Errors
    ///
    /// As for [`reply_copy`](Request::reply_copy).
    ///
    /// ```
    /// # let service = ipc_core::Service::<[u16], [u32]>::new("reply_loan").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let call = client.submit_copy(&[3, 4, 5])?;
    /// let request = server.accept_ref()?.expect("nobody stops the server");
    /// let len = request.len();
    /// let mut squares = request.loan_len(len)?;
    /// let (numbers, reply) = squares.parts();
    /// for (square, &number) in reply.iter_mut().zip(numbers.iter()) {
    ///     *square = u32::from(number).pow(2);
    /// }
    /// squares.send();
    /// assert_eq!(*call.wait_boxed()?, [9, 16, 25]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan_len(self, len: usize) -> Result<ReplyLoan<'s, M, Rep>, ReplyError> {
        let Request { answer, message, .. } = self;
        if answer.desk().is_hardened() {
            return Err(ReplyError::Hardened);
        }
        // SAFETY: the call is this server's, and with it the place of the reply, which is one for a `Rep`.
        let draft = unsafe { Draft::new(answer.desk(), answer.reply(), len) }?;
        Ok(ReplyLoan { draft, answer, message })
    }

    /// Begins a stream of replies.
    ///
    /// [`Client::call_stream`](super::Client::call_stream) and [`Pending::into_replies`](super::Pending::into_replies)
    /// receive all of them; other calls receive the first.
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("reply_stream").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let client = std::thread::spawn(move || client.call_stream(3).unwrap().map(Result::unwrap).sum::<u32>());
    /// let mut stream = server.accept()?.expect("nobody stops the server").reply_stream();
    /// for number in 1..=*stream {
    ///     stream.send(number)?;
    /// }
    /// stream.finish();
    /// # assert_eq!(client.join().unwrap(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reply_stream(self) -> ReplyStream<'s, M, Rep> {
        let Request { answer, message, reply } = self;
        ReplyStream { answer, message, reply }
    }
}

/// Writes a reply of one length to its place, which is free.
#[inline(always)]
fn put<Rep: IpcMessage>(answer: &Answer<'_>, reply: &Rep) {
    if !answer.is_forked() {
        // SAFETY: the call is this server's, and the place of the reply with it, as has been seen if a reply was sent
        // before; it is one for a `Rep`.
        unsafe { answer.reply().put(reply) };
    }
}

/// Writes a reply of any length to its place, which is free.
fn put_copy<Rep: IpcMessage + ?Sized>(answer: &Answer<'_>, reply: &Rep) -> Result<(), TooLarge> {
    let place = answer.reply();
    let bytes = place.bytes_for::<Rep>(Rep::tail_len(reply))?;
    if !answer.is_forked() {
        // SAFETY: as in `put`, and there is room for so many bytes.
        unsafe { place.put_copy(reply, bytes) };
    }
    Ok(())
}

impl<M, Rep: ?Sized> Deref for Request<'_, M, Rep> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: fmt::Debug, Rep: ?Sized> fmt::Debug for Request<'_, M, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.message).finish()
    }
}

/// A request in the segment: see [`Server::accept_ref`](super::Server::accept_ref). It dereferences to the message.
///
/// In a child that was forked since, it refers to blank memory. Dereferencing it panics there, unless every bit pattern
/// is a valid message.
pub struct InPlace<'s, Req: ?Sized> {
    desk: &'s Desk,
    message: *const Req,
}

// SAFETY: the message is memory that any thread may read for as long as the request is not answered.
unsafe impl<Req: IpcMessage + ?Sized> Send for InPlace<'_, Req> {}
// SAFETY: a shared one gives out shared references to a message, which is `Sync`.
unsafe impl<Req: IpcMessage + ?Sized> Sync for InPlace<'_, Req> {}

impl<'s, Req: IpcMessage + ?Sized> InPlace<'s, Req> {
    /// The request of a call, if it is valid.
    ///
    /// # Safety
    ///
    /// The place of the request is one for a `Req`, and the value is used only as long as the call is this server's.
    pub(super) unsafe fn new(answer: &Answer<'s>) -> Result<Self, Corrupt> {
        let place = answer.request();
        // SAFETY: as the caller promises.
        let tail_len = unsafe { place.check::<Req>() }?;
        Ok(InPlace { desk: answer.desk(), message: Req::pointer(place.start(), tail_len) })
    }
}

impl<Req: IpcMessage + ?Sized> Deref for InPlace<'_, Req> {
    type Target = Req;

    fn deref(&self) -> &Req {
        if !Req::ANY_BITS {
            self.desk.assert_not_forked();
        }
        // SAFETY: the place is this server's as long as this is used (`new`), and holds a valid `Req`: any bits are one
        // (in a forked child, where the place is a blank one), or `new` has checked.
        unsafe { &*self.message }
    }
}

impl<Req: IpcMessage + fmt::Debug + ?Sized> fmt::Debug for InPlace<'_, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InPlace").field(&&**self).finish()
    }
}

/// Room for a reply, to be filled in place. It dereferences to the reply.
///
/// Dropping it unsent drops the request: the client gets [`CallError::Dropped`](crate::CallError::Dropped).
///
/// It is memory that other participants can write. That is sound as long as they are slipring programs: those never
/// write to a loaned reply, even if they crash.
#[must_use = "dropping it leaves the client without a reply"]
pub struct ReplyLoan<'s, M, Rep: IpcMessage + ?Sized> {
    draft: Draft<'s, Rep>,
    answer: Answer<'s>,
    message: M,
}

impl<M, Rep: IpcMessage + ?Sized> ReplyLoan<'_, M, Rep> {
    /// Sends the reply. Returns `false` if the client has died or has cancelled the call.
    pub fn send(mut self) -> bool {
        if !self.answer.is_forked() {
            self.draft.finish();
        }
        self.answer.say(Progress::ANSWERED)
    }

    /// The request.
    pub fn request(&self) -> &M {
        &self.message
    }

    /// The request, and the reply to it.
    pub fn parts(&mut self) -> (&M, &mut Rep) {
        (&self.message, &mut self.draft)
    }

    /// Shortens the tail to `len` items or bytes of text. Does nothing if the tail is not longer than that. Text is cut
    /// before a character that would not fit as a whole.
    pub fn truncate(&mut self, len: usize) {
        self.draft.truncate(len);
    }

    /// Replaces the tail, which is a `str`, by a copy of `text`.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if the loan's tail is shorter than the text. The loan is unchanged then.
    pub fn set_text(&mut self, text: &str) -> Result<(), TooLong> {
        self.draft.set_text(text)
    }
}

impl<M, Rep: IpcMessage + ?Sized> Deref for ReplyLoan<'_, M, Rep> {
    type Target = Rep;

    fn deref(&self) -> &Rep {
        &self.draft
    }
}

impl<M, Rep: IpcMessage + ?Sized> DerefMut for ReplyLoan<'_, M, Rep> {
    fn deref_mut(&mut self) -> &mut Rep {
        &mut self.draft
    }
}

impl<M, Rep: IpcMessage + fmt::Debug + ?Sized> fmt::Debug for ReplyLoan<'_, M, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyLoan").field(&&**self).finish()
    }
}

/// A stream of replies to one request. It dereferences to the request.
///
/// Dropping it without [`finish`](ReplyStream::finish) ends the stream with an error:
/// [`CallError::Dropped`](crate::CallError::Dropped).
#[must_use = "dropping it tells the client that something is missing"]
pub struct ReplyStream<'s, M, Rep: ?Sized> {
    answer: Answer<'s>,
    message: M,
    reply: PhantomData<fn(&Rep)>,
}

impl<M, Rep: IpcMessage> ReplyStream<'_, M, Rep> {
    /// Sends the next reply. There is room for one at a time, so this waits until the client has read the last one.
    ///
    /// # Errors
    ///
    /// [`ReplyError::ClientGone`] if the client has died or has cancelled the call.
    pub fn send(&mut self, reply: Rep) -> Result<(), ReplyError> {
        self.wait_for_place()?;
        put(&self.answer, &reply);
        self.say()
    }
}

impl<M, Rep: IpcMessage + ?Sized> ReplyStream<'_, M, Rep> {
    /// Sends a copy of the next reply, of any length: see [`send`](ReplyStream::send).
    ///
    /// # Errors
    ///
    /// [`ReplyError::TooLarge`] if the reply is longer than the service has room for; the stream goes on. Otherwise as
    /// for `send`.
    pub fn send_copy(&mut self, reply: &Rep) -> Result<(), ReplyError> {
        self.wait_for_place()?;
        put_copy(&self.answer, reply)?;
        self.say()
    }

    /// Fills the next reply in place, with a tail of `len` items or bytes of text, and sends it.
    ///
    /// `fill` gets the request and the reply. The reply's tail starts out with valid items (text: NUL characters).
    ///
    /// # Errors
    ///
    /// As for [`send_copy`](ReplyStream::send_copy).
    pub fn send_with(&mut self, len: usize, fill: impl FnOnce(&M, &mut Rep)) -> Result<(), ReplyError> {
        if self.answer.desk().is_hardened() {
            return Err(ReplyError::Hardened);
        }
        self.wait_for_place()?;
        // SAFETY: the place is this server's until a reply is said to be there, and one for a `Rep`.
        let mut draft = unsafe { Draft::new(self.answer.desk(), self.answer.reply(), len) }?;
        fill(&self.message, &mut draft);
        draft.finish();
        self.say()
    }

    /// Ends the stream. Returns `false` if the client has died or has cancelled the call.
    pub fn finish(mut self) -> bool {
        self.answer.finish()
    }

    fn wait_for_place(&self) -> Result<(), ReplyError> {
        if self.answer.wait_for_place() { Ok(()) } else { Err(ReplyError::ClientGone) }
    }

    fn say(&mut self) -> Result<(), ReplyError> {
        if self.answer.say(ONE_OF_SEVERAL) { Ok(()) } else { Err(ReplyError::ClientGone) }
    }
}

impl<M, Rep: ?Sized> Deref for ReplyStream<'_, M, Rep> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: fmt::Debug, Rep: ?Sized> fmt::Debug for ReplyStream<'_, M, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyStream").field(&self.message).finish()
    }
}
