//! The answering end of a service.

use super::answer::{Acceptor, Answer, Stopper};
use super::place::Place;
use super::request::{InPlace, Request};
use crate::error::{AcceptError, Corrupt};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
#[cfg(feature = "async")]
use crate::ring::calls::Taken;
use crate::station::Patience;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

/// The answering end of a service. Dropping it leaves the calls to other and later servers.
///
/// A server may move to another thread. Threads that answer at the same time need a server each. A server can accept
/// several requests and answer them in any order.
///
/// There is no end of stream, as a queue has it: a server without clients waits for the next client. A [`Stopper`] ends
/// the wait.
///
/// In a [`WaitSet`](crate::WaitSet), a server is ready when it can accept a request, or when it has been stopped. The
/// request is then reserved for this server. Another server gets it only if this one is dropped or dies first.
pub struct Server<Req: ?Sized, Rep: ?Sized> {
    acceptor: Acceptor,
    messages: PhantomData<fn(&Req) -> Rep>,
}

/// Requests and replies of one length.
impl<Req: IpcMessage, Rep: IpcMessage> Server<Req, Rep> {
    /// Answers every request with the result of `handler`, until a [`Stopper`] stops it.
    ///
    /// # Errors
    ///
    /// - [`AcceptError::Corrupt`] if a request is invalid, or the segment is damaged. After an invalid request, whose
    ///   client gets [`CallError::Dropped`](crate::CallError::Dropped), `serve` may be called again.
    /// - [`AcceptError::Forked`] in a forked child.
    pub fn serve(&self, mut handler: impl FnMut(Req) -> Rep) -> Result<(), AcceptError> {
        while let Some(request) = self.accept()? {
            request.reply_with(&mut handler);
        }
        Ok(())
    }
}

/// Requests of one length, whatever the replies are.
impl<Req: IpcMessage, Rep: IpcMessage + ?Sized> Server<Req, Rep> {
    /// Takes the next request, and waits for one if there is none. Returns `None` if a [`Stopper`] has stopped this
    /// server.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("accept").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let call = client.submit(4)?;
    /// if let Some(request) = server.accept()? {
    ///     let number = *request;
    ///     request.reply(number * number);
    /// }
    /// # assert_eq!(call.wait()?, 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn accept(&self) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        self.accept_within(Patience::Forever, take)
    }

    /// Takes the next request, and waits for one for at most `limit`. Returns `None` if none came in time.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn accept_timeout(&self, limit: Duration) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        self.accept_within(Patience::from_timeout(limit), take)
    }

    /// Takes the next request without waiting. Returns `None` if there is none.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn try_accept(&self) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        self.accept_within(Patience::None, take)
    }

    /// The request of a call that this server has taken.
    #[cfg(feature = "async")]
    pub(crate) fn begin(&self, taken: Taken) -> Result<Request<'_, Req, Rep>, AcceptError> {
        read(self.acceptor.answer(taken), take)
    }
}

/// Requests and replies of any kind.
impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Server<Req, Rep> {
    pub(super) fn new(acceptor: Acceptor) -> Self {
        Server { acceptor, messages: PhantomData }
    }

    /// Takes the next request by reference, and waits for one if there is none. Returns `None` if a [`Stopper`] has
    /// stopped this server.
    ///
    /// The request is validated before this returns. It stays in memory that other participants can write. That is
    /// sound as long as they are slipring programs: those never write to a request that a server has taken. Use
    /// [`accept`](Server::accept) or [`accept_boxed`](Server::accept_boxed) if you trust them less than that.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    ///
    /// ```
    /// # let service = ipc_core::Service::<str, u64>::new("accept_ref").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let call = client.submit_copy("how many letters?")?;
    /// if let Some(request) = server.accept_ref()? {
    ///     let letters = request.chars().filter(|c| c.is_alphabetic()).count();
    ///     request.reply(letters as u64);
    /// }
    /// # assert_eq!(call.wait()?, 14);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accept_ref(&self) -> Result<Option<Request<'_, InPlace<'_, Req>, Rep>>, AcceptError> {
        self.accept_in_place(Patience::Forever)
    }

    /// Takes the next request by reference, and waits for at most `limit`: see [`accept_ref`](Server::accept_ref).
    /// Returns `None` if none came in time.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn accept_ref_timeout(
        &self,
        limit: Duration,
    ) -> Result<Option<Request<'_, InPlace<'_, Req>, Rep>>, AcceptError> {
        self.accept_in_place(Patience::from_timeout(limit))
    }

    /// Takes the next request by reference without waiting: see [`accept_ref`](Server::accept_ref).
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn try_accept_ref(&self) -> Result<Option<Request<'_, InPlace<'_, Req>, Rep>>, AcceptError> {
        self.accept_in_place(Patience::None)
    }

    /// Takes a copy of the next request, of any length, and waits for one if there is none. Returns `None` if a
    /// [`Stopper`] has stopped this server.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn accept_boxed(&self) -> Result<Option<Request<'_, Box<Req>, Rep>>, AcceptError> {
        self.accept_within(Patience::Forever, take_boxed)
    }

    /// Takes a copy of the next request, and waits for at most `limit`: see [`accept_boxed`](Server::accept_boxed).
    /// Returns `None` if none came in time.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn accept_boxed_timeout(&self, limit: Duration) -> Result<Option<Request<'_, Box<Req>, Rep>>, AcceptError> {
        self.accept_within(Patience::from_timeout(limit), take_boxed)
    }

    /// Takes a copy of the next request without waiting: see [`accept_boxed`](Server::accept_boxed).
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn try_accept_boxed(&self) -> Result<Option<Request<'_, Box<Req>, Rep>>, AcceptError> {
        self.accept_within(Patience::None, take_boxed)
    }

    /// A handle that stops this server from another thread or from a signal handler.
    pub fn stopper(&self) -> Stopper {
        self.acceptor.stopper()
    }

    /// The longest tail that a reply can have, in items or bytes of text; 0 if the reply type has no tail.
    pub fn max_reply_len(&self) -> usize {
        self.acceptor.desk().reply(0).max_tail_len::<Rep>()
    }

    /// The number of calls that can be in flight at a time, of all clients together.
    pub fn capacity(&self) -> usize {
        self.acceptor.desk().calls.slots()
    }

    /// The number of calls that hold a slot, of all clients together: a snapshot.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.acceptor.desk().calls.in_use()
    }

    /// The service's actual options, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.acceptor.info()
    }

    #[cfg(feature = "async")]
    pub(crate) fn acceptor(&self) -> &Acceptor {
        &self.acceptor
    }

    /// The request of a call that this server has taken, copied out.
    #[cfg(feature = "async")]
    pub(crate) fn begin_boxed(&self, taken: Taken) -> Result<Request<'_, Box<Req>, Rep>, AcceptError> {
        read(self.acceptor.answer(taken), take_boxed)
    }

    /// The same in its place.
    #[cfg(feature = "async")]
    pub(crate) fn begin_ref(&self, taken: Taken) -> Result<Request<'_, InPlace<'_, Req>, Rep>, AcceptError> {
        in_place(self.acceptor.answer(taken))
    }

    /// Takes the next call, and reads its request.
    #[inline(always)]
    fn accept_within<M>(
        &self,
        patience: Patience,
        how: impl FnOnce(Place<'_>) -> Result<M, Corrupt>,
    ) -> Result<Option<Request<'_, M, Rep>>, AcceptError> {
        self.acceptor.accept(patience)?.map(|answer| read(answer, how)).transpose()
    }

    fn accept_in_place(&self, patience: Patience) -> Result<Option<Request<'_, InPlace<'_, Req>, Rep>>, AcceptError> {
        if self.acceptor.desk().is_hardened() {
            return Err(AcceptError::Hardened);
        }
        self.acceptor.accept(patience)?.map(in_place).transpose()
    }
}

/// Reads the request of a call that was taken. One that is no value is told to its client as dropped.
#[inline(always)]
fn read<'s, M, Rep: IpcMessage + ?Sized>(
    answer: Answer<'s>,
    how: impl FnOnce(Place<'_>) -> Result<M, Corrupt>,
) -> Result<Request<'s, M, Rep>, AcceptError> {
    let message = how(answer.request())?;
    Ok(Request::new(answer, message))
}

/// The same in its place.
fn in_place<'s, Req, Rep>(answer: Answer<'s>) -> Result<Request<'s, InPlace<'s, Req>, Rep>, AcceptError>
where
    Req: IpcMessage + ?Sized,
    Rep: IpcMessage + ?Sized,
{
    // SAFETY: the call has been taken, and the request goes with it; its place is one for a `Req`. The request that is
    // made of the two keeps the answer for as long as the message.
    let message = unsafe { InPlace::new(&answer) }?;
    Ok(Request::new(answer, message))
}

/// Reads a request of one length.
#[inline(always)]
fn take<Req: IpcMessage>(place: Place<'_>) -> Result<Req, Corrupt> {
    // SAFETY: called when the call has been taken, and its request with it; and the place is one for a `Req`.
    unsafe { place.take() }
}

/// Reads a request of any length.
fn take_boxed<Req: IpcMessage + ?Sized>(place: Place<'_>) -> Result<Box<Req>, Corrupt> {
    // SAFETY: as in `take`.
    unsafe { place.take_boxed() }
}

impl<Req: ?Sized, Rep: ?Sized> Sealed for Server<Req, Rep> {
    fn interest(&self) -> Interest {
        self.acceptor.interest()
    }

    fn look(&mut self) -> bool {
        self.acceptor.has_call()
    }

    fn probe(&mut self) -> bool {
        self.acceptor.probe()
    }
}

impl<Req: ?Sized, Rep: ?Sized> fmt::Debug for Server<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("service", &self.acceptor.info().name).finish_non_exhaustive()
    }
}
