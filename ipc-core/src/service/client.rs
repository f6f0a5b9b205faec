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

/// The calling end of a service. Dropping it cancels the calls that it has not waited for.
///
/// Threads may share a client by reference, each with its own calls. Give the service more slots than one client's
/// threads can have calls in flight: if a client holds all slots itself, another call returns [`CallError::Full`]
/// instead of waiting for ever.
///
/// A call that is made before the first server exists waits for it. So does a call that is made after all servers have
/// closed: a service may be restarted, and clients only see a delay. Use [`call_timeout`](Client::call_timeout) to
/// limit the wait.
///
/// In a [`WaitSet`](crate::WaitSet), a client is ready when it can make a call without waiting for a slot.
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
    /// - [`CallError::ServerDied`] if the server that took the call died, or if no server had taken it and the last one
    ///   died.
    /// - [`CallError::Dropped`] if the server dropped the request without a reply.
    /// - [`CallError::Full`] if this client's own calls hold all slots.
    /// - [`CallError::Corrupt`] if the reply is invalid, or the segment is damaged.
    /// - [`CallError::Forked`] in a forked child.
    ///
    /// An error gives the request back if no server had taken it, so that the call may be made again.
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

    /// Calls the service, and waits for the reply for at most `limit`. A call that is not answered in time is
    /// cancelled.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`], with the request if no server had taken it; otherwise as for [`call`](Client::call).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use ipc_core::CallError;
    /// # let service = ipc_core::Service::<u32, u32>::new("call_timeout").domain(format!("doc-{}", std::process::id()));
    /// let client = service.client()?;
    /// // There is no server yet.
    /// let error = client.call_timeout(41, Duration::from_millis(1)).unwrap_err();
    /// assert_eq!(error, CallError::Timeout(Some(Box::new(41))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_timeout(&self, request: Req, limit: Duration) -> Result<Rep, CallError<Req>> {
        let patience = Patience::from_timeout(limit);
        self.start(request, patience)?.wait_or_cancel(patience)
    }

    /// Makes a call and returns the stream of its replies.
    ///
    /// The server sends any number of them with [`Request::reply_stream`](super::Request::reply_stream), or just one.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Client::submit).
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("call_stream").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let server = std::thread::spawn(move || {
    /// #     let mut stream = server.accept().unwrap().unwrap().reply_stream();
    /// #     (1..=3).for_each(|number| stream.send(number).unwrap());
    /// #     stream.finish();
    /// # });
    /// let replies = client.call_stream(3)?.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(replies, [1, 2, 3]);
    /// # server.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_stream(&self, request: Req) -> Result<Replies<'_, Req, Rep>, CallError<Req>> {
        self.submit(request).map(Pending::into_replies)
    }
}

/// Requests of one length, whatever the replies are.
impl<Req: IpcMessage, Rep: IpcMessage + ?Sized> Client<Req, Rep> {
    /// Makes a call without waiting for the reply, so that several calls can be in flight. Waits for a free slot.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] if this client's own calls hold all slots; otherwise as for [`call`](Client::call).
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

    /// Makes a call without waiting for the reply, and waits for a free slot for at most `limit`: see
    /// [`submit`](Client::submit).
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`], with the request, if there was no slot in time; otherwise as for `submit`.
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

    /// Makes a call with a copy of a request of any length: see [`submit`](Client::submit).
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

    /// Makes a call with a copy of a request of any length, and waits for a free slot for at most `limit`: see
    /// [`submit_copy`](Client::submit_copy).
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if there was no slot in time; otherwise as for `submit_copy`.
    pub fn submit_copy_timeout(&self, request: &Req, limit: Duration) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.start_copy(request, Patience::from_timeout(limit))
    }

    /// Calls the service with a copy of a request, and waits for the reply. Both may have any length.
    ///
    /// # Errors
    ///
    /// As for [`submit_copy`](Client::submit_copy) and [`call`](Client::call).
    pub fn call_copy(&self, request: &Req) -> Result<Box<Rep>, CallError<Req>> {
        self.submit_copy(request)?.wait_boxed()
    }

    /// Lends room for a request whose tail has `len` items, or `len` bytes of text. Waits for a free slot.
    ///
    /// [`RequestLoan::submit`] makes the call. The tail starts out with valid items (text: NUL characters), to be
    /// overwritten. `len` is ignored for a request without a tail.
    ///
    /// # Errors
    ///
    /// As for [`submit_copy`](Client::submit_copy), without a request to give back.
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

    /// Lends room for a request, and waits for a free slot for at most `limit`: see [`loan_len`](Client::loan_len).
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] if there was no slot in time; otherwise as for `loan_len`.
    pub fn loan_len_timeout(&self, len: usize, limit: Duration) -> Result<RequestLoan<'_, Req, Rep>, CallError<()>> {
        self.lend(len, Patience::from_timeout(limit))
    }

    /// The longest tail that a request can have, in items or bytes of text; 0 if the request type has no tail.
    pub fn max_request_len(&self) -> usize {
        self.caller.desk().request(0).max_tail_len::<Req>()
    }

    /// The longest tail that a reply can have, in items or bytes of text; 0 if the reply type has no tail.
    pub fn max_reply_len(&self) -> usize {
        self.caller.desk().reply(0).max_tail_len::<Rep>()
    }

    /// The number of calls that can be in flight at a time, of all clients together.
    pub fn capacity(&self) -> usize {
        self.caller.desk().calls.slots()
    }

    /// The number of calls that hold a slot, of all clients together: a snapshot.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.caller.desk().calls.in_use()
    }

    /// The service's actual options, and who created it.
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

/// Room for a request, to be filled in place. It dereferences to the request.
///
/// [`submit`](RequestLoan::submit) makes the call. Dropping the loan gives the room back, and no call is made.
///
/// It is memory that other participants can write. That is sound as long as they are slipring programs: those never
/// write to a loaned request, even if they crash.
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
