//! The calling end of a service.

use super::caller::Caller;
use super::draft::Draft;
use super::pending::{Pending, Replies};
use crate::error::CallError;
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::{IpcMessage, TooLong, boxed};
use crate::station::Patience;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

/// The calling end of a service. Dropping it withdraws what it has not waited for.
///
/// Threads may share a client, and wait for calls of their own, each for as long as it likes. (To have all slots of the service
/// taken is an error, since a thread that keeps them to itself would wait for ever: have more slots than threads.) A call that comes before the
/// first server waits for it. So does one that comes when all servers have left of their own will: a service may be restarted
/// without its clients noticing more than a delay. Use [`call_timeout`](Client::call_timeout) where that has to have an end.
///
/// It can be waited for in a [`WaitSet`](crate::WaitSet), together with other ends, and is then ready when a call can be
/// made without waiting for a slot.
pub struct Client<Req: ?Sized, Rep: ?Sized> {
    caller: Caller,
    messages: PhantomData<fn(&Req) -> Rep>,
}

/// Requests and replies of one length.
impl<Req: IpcMessage, Rep: IpcMessage> Client<Req, Rep> {
    /// Calls the service, and waits for the reply.
    ///
    /// # Errors
    ///
    /// [`CallError::ServerDied`] if the server that took the call died, or if none has taken it, none is left, and one
    /// died; [`CallError::Dropped`] if the server dropped the request; [`CallError::Corrupt`] if the reply or the segment
    /// is damaged. They give the request back if no server has taken it, so that it may be made again.
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("call").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let stopper = server.stopper();
    /// # let server = std::thread::spawn(move || server.serve(|number| number + 1));
    /// assert_eq!(client.call(41)?, 42);
    /// # stopper.stop();
    /// # server.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn call(&self, request: Req) -> Result<Rep, CallError<Req>> {
        self.submit(request)?.wait()
    }

    /// Calls the service, and waits for the reply at most `limit`. A call that was not answered in time is cancelled.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`], with the request if no server had taken it; otherwise as for [`call`](Client::call).
    pub fn call_timeout(&self, request: Req, limit: Duration) -> Result<Rep, CallError<Req>> {
        let patience = Patience::from_timeout(limit);
        self.start(request, patience)?.wait_or_cancel(patience)
    }

    /// Makes a call whose server may send many replies (with [`Request::reply_stream`](super::Request::reply_stream)); one
    /// that answers with a single reply is fine, too.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Client::submit).
    pub fn call_stream(&self, request: Req) -> Result<Replies<'_, Req, Rep>, CallError<Req>> {
        self.submit(request).map(Pending::into_replies)
    }
}

/// Requests of one length, whatever the replies are.
impl<Req: IpcMessage, Rep: IpcMessage + ?Sized> Client<Req, Rep> {
    /// Makes a call, and leaves waiting for the reply to the caller, who can make others meanwhile. Waits for a free slot
    /// if there is none.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] if every slot of the service is taken by a call of this very client; otherwise as for
    /// [`call`](Client::call).
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("submit").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let stopper = server.stopper();
    /// # let server = std::thread::spawn(move || server.serve(|number| number + 1));
    /// let calls = (0..10).map(|number| client.submit(number)).collect::<Result<Vec<_>, _>>()?;
    /// for (number, call) in calls.into_iter().enumerate() {
    ///     assert_eq!(call.wait()?, number as u32 + 1);
    /// }
    /// # stopper.stop();
    /// # server.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn submit(&self, request: Req) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.start(request, Patience::Forever)
    }

    /// As [`submit`](Client::submit), and waits for a free slot at most `limit`.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] with the request if there was none in time; otherwise as for `submit`.
    pub fn submit_timeout(&self, request: Req, limit: Duration) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.start(request, Patience::from_timeout(limit))
    }

    #[inline(always)]
    fn start(&self, request: Req, patience: Patience) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        let ongoing = match self.caller.open(patience) {
            Ok(ongoing) => ongoing,
            Err(failure) => return Err(failure.with(Some(Box::new(request)))),
        };
        // SAFETY: the slot is this client's own, and the place one for a `Req`.
        unsafe { ongoing.request().put(&request) };
        Pending::new(ongoing).post(patience)
    }
}

/// Requests and replies of any kind.
impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Client<Req, Rep> {
    pub(super) fn new(caller: Caller) -> Self {
        Client { caller, messages: PhantomData }
    }

    /// Makes a call with a copy of a request, whatever its length; otherwise as [`submit`](Client::submit).
    ///
    /// # Errors
    ///
    /// [`CallError::TooLarge`] if the request is longer than the service has room for; otherwise as for `submit`.
    ///
    /// ```
    /// # let service = ipc_core::Service::<str, [u32]>::new("submit_copy").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// let call = client.submit_copy("how long are the words?")?;
    /// # let request = server.accept_ref()?.unwrap();
    /// # let words: Vec<u32> = request.split(' ').map(|word| word.len() as u32).collect();
    /// # request.reply_copy(&words)?;
    /// assert_eq!(*call.wait_boxed()?, [3, 4, 3, 3, 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit_copy(&self, request: &Req) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.start_copy(request, Patience::Forever)
    }

    /// As [`submit_copy`](Client::submit_copy), and waits for a free slot at most `limit`.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if there was none in time; otherwise as for `submit_copy`.
    pub fn submit_copy_timeout(&self, request: &Req, limit: Duration) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.start_copy(request, Patience::from_timeout(limit))
    }

    /// Calls the service with a copy of a request, and waits for the reply, whatever the lengths of the two.
    ///
    /// # Errors
    ///
    /// As for [`submit_copy`](Client::submit_copy) and [`call`](Client::call).
    pub fn call_copy(&self, request: &Req) -> Result<Box<Rep>, CallError<Req>> {
        self.submit_copy(request)?.wait_boxed()
    }

    /// Lends the place of a request whose tail has the length `len`, in items or bytes of text, to be filled; waits for a
    /// free slot if there is none. [`RequestLoan::submit`] makes the call.
    ///
    /// The tail holds some valid items (text: NUL characters), to be overwritten. For a request without a tail, `len` means
    /// nothing.
    ///
    /// # Errors
    ///
    /// As for [`submit_copy`](Client::submit_copy), but that there is no request to give back.
    ///
    /// ```
    /// # let service = ipc_core::Service::<[u16], u64>::new("loan_len").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// let mut samples = client.loan_len(3)?;
    /// samples.copy_from_slice(&[7, 8, 9]);
    /// let call = samples.submit()?;
    /// # let request = server.accept_ref()?.unwrap();
    /// # let sum = request.iter().map(|&sample| u64::from(sample)).sum();
    /// # request.reply(sum);
    /// assert_eq!(call.wait()?, 24);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan_len(&self, len: usize) -> Result<RequestLoan<'_, Req, Rep>, CallError<()>> {
        self.lend(len, Patience::Forever)
    }

    /// As [`loan_len`](Client::loan_len), and waits for a free slot at most `limit`.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if there was none in time; otherwise as for `loan_len`.
    pub fn loan_len_timeout(&self, len: usize, limit: Duration) -> Result<RequestLoan<'_, Req, Rep>, CallError<()>> {
        self.lend(len, Patience::from_timeout(limit))
    }

    /// The length of the longest tail of a request that there is room for, in items or bytes of text; 0 if requests have
    /// none.
    pub fn max_request_len(&self) -> usize {
        self.caller.desk().request(0).max_tail_len::<Req>()
    }

    /// The same of replies.
    pub fn max_reply_len(&self) -> usize {
        self.caller.desk().reply(0).max_tail_len::<Rep>()
    }

    /// Calls that can be under way at the same time, of all clients together.
    pub fn capacity(&self) -> usize {
        self.caller.desk().calls.slots()
    }

    /// Calls that have a slot, of all clients together, as far as can be seen at this moment.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.caller.desk().calls.in_use()
    }

    /// The service as it is, beside what was asked for.
    pub fn info(&self) -> &ChannelInfo {
        self.caller.info()
    }

    #[cfg(feature = "async")]
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    fn start_copy(&self, request: &Req, patience: Patience) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        let room = self.caller.desk().request(0);
        let bytes = room.bytes_for::<Req>(Req::tail_len(request)).map_err(CallError::TooLarge)?;
        let ongoing = self.caller.open(patience).map_err(|failure| failure.with(Some(boxed(request))))?;
        // SAFETY: the slot is this client's own, and the place one for a `Req` with room for so many bytes.
        unsafe { ongoing.request().put_copy(request, bytes) };
        Pending::new(ongoing).post(patience)
    }

    fn lend(&self, len: usize, patience: Patience) -> Result<RequestLoan<'_, Req, Rep>, CallError<()>> {
        if self.caller.desk().is_hardened() {
            return Err(CallError::Hardened);
        }
        let ongoing = self.caller.open(patience).map_err(|failure| failure.with(Some(Box::new(()))))?;
        // SAFETY: the slot is this client's own while the call is not made, and the place one for a `Req`.
        let draft = unsafe { Draft::new(self.caller.desk(), ongoing.request(), len) }.map_err(CallError::TooLarge)?;
        Ok(RequestLoan { draft, pending: Pending::new(ongoing) })
    }
}

impl<Req: ?Sized, Rep: ?Sized> Sealed for Client<Req, Rep> {
    fn interest(&self) -> Interest {
        self.caller.interest()
    }

    fn look(&mut self) -> bool {
        self.caller.has_slot()
    }

    fn probe(&mut self) -> bool {
        self.caller.probe()
    }
}

impl<Req: ?Sized, Rep: ?Sized> fmt::Debug for Client<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("service", &self.caller.info().name).finish_non_exhaustive()
    }
}

/// The place of a request, to be filled: it derefs to the request. Dropped without [`submit`](RequestLoan::submit), it is
/// given back and no call is made.
///
/// It is memory that the service's other participants can write too. That is sound as long as they are slipring programs,
/// which leave a loaned place alone whatever happens to them.
#[must_use = "a loaned place that is not submitted is given back"]
pub struct RequestLoan<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> {
    draft: Draft<'c, Req>,
    pending: Pending<'c, Req, Rep>,
}

impl<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> RequestLoan<'c, Req, Rep> {
    /// Makes the call.
    ///
    /// # Errors
    ///
    /// As for [`Client::submit`].
    pub fn submit(self) -> Result<Pending<'c, Req, Rep>, CallError<Req>> {
        let RequestLoan { draft, pending } = self;
        draft.finish();
        pending.post(Patience::Forever)
    }

    /// Makes the tail shorter, to `len` items or bytes of text; a tail that is not longer stays as it is. Text is cut before
    /// the character that does not fit whole.
    pub fn truncate(&mut self, len: usize) {
        self.draft.truncate(len);
    }

    /// Copies text into the tail, which is a `str`, and makes it as long as the text. What was there is gone.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if the tail is shorter than the text; nothing has changed then.
    pub fn set_text(&mut self, text: &str) -> Result<(), TooLong> {
        self.draft.set_text(text)
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Deref for RequestLoan<'_, Req, Rep> {
    type Target = Req;

    fn deref(&self) -> &Req {
        &self.draft
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> DerefMut for RequestLoan<'_, Req, Rep> {
    fn deref_mut(&mut self) -> &mut Req {
        &mut self.draft
    }
}

impl<Req: IpcMessage + fmt::Debug + ?Sized, Rep: IpcMessage + ?Sized> fmt::Debug for RequestLoan<'_, Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestLoan").field(&&**self).finish()
    }
}
