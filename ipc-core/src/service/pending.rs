//! Calls that have been made and not yet answered.

use super::caller::Failure;
use super::ongoing::{Fate, Found, GivenUp, Ongoing};
use super::place::Place;
use crate::error::{CallError, Corrupt};
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::ring::calls::End;
use crate::station::Patience;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::time::Duration;

/// A call in flight: see [`Client::submit`](super::Client::submit).
///
/// Dropping it cancels the call. If no server has taken it, none will; otherwise the reply is discarded.
///
/// The first reply is the result. Methods with `_ref` return it by reference; methods with `boxed` copy a reply of any
/// length. To get all replies of a server that sends several, convert it to a [stream](Pending::into_replies).
///
/// In a [`WaitSet`](crate::WaitSet), it is ready when there is a result.
#[must_use = "dropping it cancels the call"]
pub struct Pending<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> {
    ongoing: Ongoing<'c>,
    messages: PhantomData<fn(&Req) -> Rep>,
}

/// Replies of one length.
impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> Pending<'_, Req, Rep> {
    /// Waits for the reply.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    #[inline(always)]
    pub fn wait(mut self) -> Result<Rep, CallError<Req>> {
        self.first(Patience::Forever, take).unwrap_or(Err(CallError::Dropped))
    }

    /// Waits for the reply for at most `limit`. Returns `None` if it has not come; the call goes on.
    ///
    /// After the result has been returned once, this returns `None` at once.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<Rep, CallError<Req>>> {
        self.first(Patience::from_timeout(limit), take)
    }

    /// Returns the reply if it has come: see [`wait_timeout`](Pending::wait_timeout).
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn try_take(&mut self) -> Option<Result<Rep, CallError<Req>>> {
        self.first(Patience::None, take)
    }

    /// Waits for the reply at most so long, and cancels the call if it does not come.
    pub(super) fn wait_or_cancel(mut self, patience: Patience) -> Result<Rep, CallError<Req>> {
        match self.first(patience, take) {
            Some(result) => result,
            None => match self.ongoing.give_up() {
                GivenUp::Back => Err(CallError::Timeout(self.read_back())),
                GivenUp::Unheard => Err(CallError::Timeout(None)),
                GivenUp::TooLate => self.first(Patience::None, take).unwrap_or(Err(CallError::Timeout(None))),
            },
        }
    }
}

/// Replies of any kind.
impl<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Pending<'c, Req, Rep> {
    /// For a slot whose request is yet to be written, and posted.
    #[inline(always)]
    pub(super) fn new(ongoing: Ongoing<'c>) -> Self {
        Pending { ongoing, messages: PhantomData }
    }

    /// Makes the call, whose request has been written.
    #[inline(always)]
    pub(super) fn post(mut self, patience: Patience) -> Result<Self, CallError<Req>> {
        match self.ongoing.post(patience) {
            Ok(()) => Ok(self),
            Err(failure) => {
                let request = if self.ongoing.is_back() { self.read_back() } else { None };
                Err(failure.with(request))
            }
        }
    }

    /// Waits for the reply, and returns it by reference.
    ///
    /// The reply is validated before this returns. It stays in memory that other participants can write. That is sound
    /// as long as they are slipring programs: those never write to a reply that is being read.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call); [`CallError::Dropped`] if the result was returned before.
    ///
    /// ```
    /// # let service = ipc_core::Service::<str, str>::new("wait_ref").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// let mut call = client.submit_copy("what is it like?")?;
    /// # server.accept_ref()?.unwrap().reply_copy("as long as it has to be")?;
    /// assert_eq!(&*call.wait_ref()?, "as long as it has to be");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_ref(&mut self) -> Result<Reply<'_, Rep>, CallError<Req>> {
        self.first_ref(Patience::Forever).unwrap_or(Err(CallError::Dropped))
    }

    /// Waits for at most `limit`, and returns the reply by reference: see [`wait_ref`](Pending::wait_ref). Returns
    /// `None` if the reply has not come, or was returned before.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn wait_ref_timeout(&mut self, limit: Duration) -> Option<Result<Reply<'_, Rep>, CallError<Req>>> {
        self.first_ref(Patience::from_timeout(limit))
    }

    /// Returns the reply by reference if it has come: see [`wait_ref_timeout`](Pending::wait_ref_timeout).
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn try_take_ref(&mut self) -> Option<Result<Reply<'_, Rep>, CallError<Req>>> {
        self.first_ref(Patience::None)
    }

    /// Waits for the reply, of any length, and returns a copy.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn wait_boxed(mut self) -> Result<Box<Rep>, CallError<Req>> {
        self.first(Patience::Forever, take_boxed).unwrap_or(Err(CallError::Dropped))
    }

    /// Returns a copy of the reply, of any length, if it has come. Returns `None` if it has not, or was returned
    /// before.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn try_take_boxed(&mut self) -> Option<Result<Box<Rep>, CallError<Req>>> {
        self.first(Patience::None, take_boxed)
    }

    /// Converts the call to the stream of all replies that the server sends with
    /// [`Request::reply_stream`](super::Request::reply_stream).
    pub fn into_replies(self) -> Replies<'c, Req, Rep> {
        Replies { pending: self }
    }

    #[cfg(feature = "async")]
    pub(crate) fn ongoing(&self) -> &Ongoing<'c> {
        &self.ongoing
    }

    /// Whether there is nothing more to come.
    #[cfg(feature = "async")]
    pub(crate) fn is_over(&self) -> bool {
        !self.ongoing.is_open()
    }

    /// The first reply, which is the only one that anybody asked for.
    #[inline(always)]
    fn first<R>(
        &mut self,
        patience: Patience,
        read: impl FnOnce(Place<'_>) -> Result<R, Corrupt>,
    ) -> Option<Result<R, CallError<Req>>> {
        let result = self.next(patience, read)?;
        if self.ongoing.is_open() {
            // A stream, of which the rest is of no interest.
            self.ongoing.cancel();
        }
        Some(result.unwrap_or(Err(CallError::Dropped)))
    }

    /// The same in its place.
    fn first_ref(&mut self, patience: Patience) -> Option<Result<Reply<'_, Rep>, CallError<Req>>> {
        self.next_ref(patience, true).map(|result| result.unwrap_or(Err(CallError::Dropped)))
    }

    /// The next reply. `None` if the patience is over; `Some(None)` if the server has sent all that it had to send.
    #[inline(always)]
    fn next<R>(
        &mut self,
        patience: Patience,
        read: impl FnOnce(Place<'_>) -> Result<R, Corrupt>,
    ) -> Option<Option<Result<R, CallError<Req>>>> {
        Some(match self.ongoing.next(patience)? {
            Found::Reply(end) => {
                let reply = read(self.ongoing.reply());
                self.ongoing.finish_reading(end);
                Some(reply.map_err(|corrupt| CallError::Corrupt(None, corrupt)))
            }
            Found::Finished => None,
            Found::Failed(fate) => Some(Err(self.failed(fate))),
        })
    }

    /// The same in its place.
    fn next_ref(
        &mut self,
        patience: Patience,
        is_only: bool,
    ) -> Option<Option<Result<Reply<'_, Rep>, CallError<Req>>>> {
        if self.ongoing.desk().is_hardened() {
            return Some(Some(Err(CallError::Hardened)));
        }
        Some(match self.ongoing.next(patience)? {
            Found::Reply(end) => {
                let mut reply = Reply { held: &mut self.ongoing, end, is_only, tail_len: 0, message: PhantomData };
                // SAFETY: a reply has been found, so that its place is this client's; and it is one for a `Rep`.
                match unsafe { reply.held.place().check::<Rep>() } {
                    Ok(tail_len) => {
                        reply.tail_len = tail_len;
                        Some(Ok(reply))
                    }
                    Err(corrupt) => Some(Err(CallError::Corrupt(None, corrupt))),
                }
            }
            Found::Finished => None,
            Found::Failed(fate) => Some(Err(self.failed(fate))),
        })
    }

    #[cold]
    fn failed(&mut self, fate: Fate) -> CallError<Req> {
        match fate {
            Fate::Died(peer) => CallError::ServerDied(None, peer),
            Fate::Untaken(peer) => CallError::ServerDied(self.read_back(), peer),
            Fate::Dropped => CallError::Dropped,
            Fate::Corrupt(corrupt) => CallError::Corrupt(None, corrupt),
            Fate::Forked => CallError::Forked(None),
            Fate::Evicted => CallError::Evicted(None),
        }
    }

    /// Reads the request back, which has become this client's again, and frees the slot. `None` if it was damaged.
    #[cold]
    fn read_back(&mut self) -> Option<Box<Req>> {
        // SAFETY: the request is this client's again, and its place is one for a `Req`.
        let request = unsafe { self.ongoing.request().take_boxed::<Req>() };
        self.ongoing.release();
        request.ok()
    }
}

impl Failure {
    /// The error of a call that no server has taken, and whose request is given back, if there is one.
    #[cold]
    pub(super) fn with<Req: ?Sized>(self, request: Option<Box<Req>>) -> CallError<Req> {
        match (self, request) {
            (Failure::Timeout, request) => CallError::Timeout(request),
            (Failure::Died(peer), request) => CallError::ServerDied(request, peer),
            (Failure::Full, Some(request)) => CallError::Full(request),
            (Failure::Full, None) => CallError::Timeout(None),
            (Failure::Corrupt(corrupt), request) => CallError::Corrupt(request, corrupt),
            (Failure::Forked, request) => CallError::Forked(request),
            (Failure::Evicted, request) => CallError::Evicted(request),
        }
    }
}

/// Reads a reply of one length.
#[inline(always)]
fn take<Rep: IpcMessage>(place: Place<'_>) -> Result<Rep, Corrupt> {
    // SAFETY: called when a reply has been found, so that its place is this client's; and it is one for a `Rep`.
    unsafe { place.take() }
}

/// Reads a reply of any length.
fn take_boxed<Rep: IpcMessage + ?Sized>(place: Place<'_>) -> Result<Box<Rep>, Corrupt> {
    // SAFETY: as in `take`.
    unsafe { place.take_boxed() }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Sealed for Pending<'_, Req, Rep> {
    fn interest(&self) -> Interest {
        self.ongoing.interest()
    }

    fn look(&mut self) -> bool {
        self.ongoing.is_decided()
    }

    fn probe(&mut self) -> bool {
        self.ongoing.probe_ready()
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> fmt::Debug for Pending<'_, Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("slot", &self.ongoing.slot()).finish_non_exhaustive()
    }
}

/// The stream of replies to a call: see [`Client::call_stream`](super::Client::call_stream) and
/// [`Pending::into_replies`].
///
/// Replies of one length are items of an iterator, which ends when the server has finished, or after an error. Dropping
/// the stream early cancels the call, and the server gets [`ReplyError::ClientGone`](crate::ReplyError::ClientGone).
#[must_use = "dropping it cancels the call"]
#[derive(Debug)]
pub struct Replies<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> {
    pending: Pending<'c, Req, Rep>,
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> Replies<'_, Req, Rep> {
    /// Waits for the next reply for at most `limit`. Returns `None` if it has not come, in which case the call goes on,
    /// and `Some(None)` if there are no more.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn next_timeout(&mut self, limit: Duration) -> Option<Option<Result<Rep, CallError<Req>>>> {
        self.next_within(Patience::from_timeout(limit))
    }

    /// Returns the next reply if it has come: see [`next_timeout`](Replies::next_timeout).
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn try_next(&mut self) -> Option<Option<Result<Rep, CallError<Req>>>> {
        self.next_within(Patience::None)
    }

    fn next_within(&mut self, patience: Patience) -> Option<Option<Result<Rep, CallError<Req>>>> {
        if self.pending.ongoing.is_open() { self.pending.next(patience, take) } else { Some(None) }
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Replies<'_, Req, Rep> {
    /// Waits for the next reply, and returns it by reference: see [`Pending::wait_ref`]. Returns `None` if there are no
    /// more. The server can send another reply once the guard is dropped.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    ///
    /// ```
    /// # let service = ipc_core::Service::<str, [u8]>::new("next_ref").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let call = client.submit_copy("/etc/hosts")?;
    /// # let server = std::thread::spawn(move || {
    /// #     let mut replies = server.accept_ref().unwrap().unwrap().reply_stream();
    /// #     replies.send_copy(b"a part, ").unwrap();
    /// #     replies.send_copy(b"and another one").unwrap();
    /// #     replies.finish();
    /// # });
    /// let mut file = Vec::new();
    /// let mut parts = call.into_replies();
    /// while let Some(part) = parts.next_ref() {
    ///     file.extend_from_slice(&part?);
    /// }
    /// assert_eq!(file, b"a part, and another one");
    /// # server.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_ref(&mut self) -> Option<Result<Reply<'_, Rep>, CallError<Req>>> {
        self.pending.next_ref(Patience::Forever, false).flatten()
    }

    /// Waits for the next reply, of any length, and returns a copy. Returns `None` if there are no more.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`](super::Client::call).
    pub fn next_boxed(&mut self) -> Option<Result<Box<Rep>, CallError<Req>>> {
        self.pending.next(Patience::Forever, take_boxed).flatten()
    }

    #[cfg(feature = "async")]
    pub(crate) fn pending(&self) -> &Pending<'_, Req, Rep> {
        &self.pending
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> Iterator for Replies<'_, Req, Rep> {
    type Item = Result<Rep, CallError<Req>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.pending.next(Patience::Forever, take).flatten()
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Sealed for Replies<'_, Req, Rep> {
    fn interest(&self) -> Interest {
        self.pending.interest()
    }

    fn look(&mut self) -> bool {
        self.pending.look()
    }

    fn probe(&mut self) -> bool {
        self.pending.probe()
    }
}

/// What a reply in its place is held by. It hides a lifetime, so that a guard has one.
trait Held: Send + Sync {
    fn place(&self) -> Place<'_>;
    fn finish(&mut self, end: End, is_only: bool);
    fn assert_not_forked(&self);
}

impl Held for Ongoing<'_> {
    fn place(&self) -> Place<'_> {
        self.reply()
    }

    fn finish(&mut self, end: End, is_only: bool) {
        if self.desk().is_forked() {
            return;
        }
        self.finish_reading(end);
        if is_only && self.is_open() {
            // A stream, of which the rest is of no interest.
            self.cancel();
        }
    }

    fn assert_not_forked(&self) {
        self.desk().assert_not_forked();
    }
}

/// A reply in its place. Dropping it gives the place back.
///
/// It is `Send` and `Sync`, as the message is. After a fork the child's copy of it leads to a blank place of the
/// child's own, and to use it there panics unless any bits are a message.
#[must_use = "dropping the guard gives the reply's place back"]
pub struct Reply<'p, Rep: IpcMessage + ?Sized> {
    held: &'p mut dyn Held,
    end: End,
    /// Whether the rest of a stream is of no interest.
    is_only: bool,
    /// The length of the message's tail; 0 if it has none.
    tail_len: usize,
    message: PhantomData<&'p Rep>,
}

impl<Rep: IpcMessage + ?Sized> Deref for Reply<'_, Rep> {
    type Target = Rep;

    fn deref(&self) -> &Rep {
        if !Rep::ANY_BITS {
            self.held.assert_not_forked();
        }
        // SAFETY: the place is this client's until `drop`, and holds a valid `Rep`: any bits are one (in a forked
        // child, where the place is a blank one), or `next_ref` has checked.
        unsafe { &*Rep::pointer(self.held.place().start(), self.tail_len) }
    }
}

impl<Rep: IpcMessage + ?Sized> Drop for Reply<'_, Rep> {
    fn drop(&mut self) {
        self.held.finish(self.end, self.is_only);
    }
}

impl<Rep: IpcMessage + fmt::Debug + ?Sized> fmt::Debug for Reply<'_, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&&**self).finish()
    }
}
