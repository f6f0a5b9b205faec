//! Services, for tasks.
//!
//! Calls of one client are made and waited for by as many tasks as like to. Each waits for its own slot's word, which the
//! lookout watches for it; so what a task waits with is made when it has to wait, and not before.

use super::{ATTEMPTS, Async, Waiting};
use crate::error::{AcceptError, CallError, OpenError};
use crate::interest::Interest;
use crate::lookout::{self, Watched};
use crate::message::IpcMessage;
use crate::ring::calls::Taken;
use crate::service::{Client, InPlace, Pending, Replies, Request, Server};
use core::fmt;
use core::future::{Future, IntoFuture, poll_fn};
use core::pin::Pin;
use core::slice;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;

/// The calling end of a service, for tasks.
pub type AsyncClient<Req, Rep> = Async<Client<Req, Rep>>;

/// The answering end of a service, for tasks.
pub type AsyncServer<Req, Rep> = Async<Server<Req, Rep>>;

impl<Req: IpcMessage, Rep: IpcMessage> Async<Client<Req, Rep>> {
    /// Calls the service, and waits for the reply: [`Client::call`]. Tasks may share the client. If the future is dropped
    /// before it is finished, the call is cancelled, as by dropping a [`Pending`].
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let service = ipc_core::Service::<u32, u32>::new("call").domain(format!("doc-{}", std::process::id()));
    /// let client = service.client()?.into_async()?;
    /// let mut server = service.server()?.into_async()?;
    /// let serving = tokio::spawn(async move {
    ///     let request = server.accept().await?.expect("nobody stops the server");
    ///     let number = *request;
    ///     request.reply(number + 1);
    ///     Ok::<(), ipc_core::AcceptError>(())
    /// });
    /// assert_eq!(client.call(41).await?, 42);
    /// # serving.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call(&self, request: Req) -> Result<Rep, CallError<Req>> {
        self.submit(request).await?.await
    }
}

impl<Req: IpcMessage, Rep: IpcMessage + ?Sized> Async<Client<Req, Rep>> {
    /// Makes a call, and waits for a free slot if there is none: [`Client::submit`]. What it returns can be awaited. If the
    /// future is dropped before it is finished, no call was made.
    ///
    /// Where every slot is taken by calls of this client, it waits for one of them to end, since another task may have it: a
    /// task that keeps them all to itself waits for ever.
    ///
    /// # Errors
    ///
    /// As for [`Client::submit`], but for [`CallError::Full`].
    pub async fn submit(&self, request: Req) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        let mut unsent = Some(request);
        self.poll_slot(|client| match client.submit_timeout(unsent.take()?, Duration::ZERO) {
            Err(CallError::Timeout(Some(request)) | CallError::Full(request)) => {
                unsent = Some(*request);
                None
            }
            result => Some(result),
        })
        .await
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Async<Client<Req, Rep>> {
    /// Makes a call with a copy of a request, whatever its length: [`Client::submit_copy`]. Otherwise as
    /// [`submit`](Async::submit).
    ///
    /// # Errors
    ///
    /// As for [`Client::submit_copy`].
    pub async fn submit_copy(&self, request: &Req) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.poll_slot(|client| match client.submit_copy_timeout(request, Duration::ZERO) {
            Err(CallError::Timeout(_) | CallError::Full(_)) => None,
            result => Some(result),
        })
        .await
    }

    /// Waits until `attempt`, which does not wait for a slot, has a result.
    async fn poll_slot<'c, R>(&'c self, mut attempt: impl FnMut(&'c Client<Req, Rep>) -> Option<R>) -> R {
        let (client, caller) = (&self.end, self.end.caller());
        let mut wait = Wait::default();
        let (look, probe) = (|| caller.has_slot(), || caller.probe_slot());
        poll_fn(|cx| wait.poll(cx, || caller.interest(), look, probe, || attempt(client))).await
    }
}

impl<Req: IpcMessage, Rep: IpcMessage + ?Sized> Async<Server<Req, Rep>> {
    /// Takes the next request, and waits for one if there is none: [`Server::accept`]. If the future is dropped before it is
    /// finished, no request was taken.
    ///
    /// # Errors
    ///
    /// As for [`Server::accept`].
    pub async fn accept(&mut self) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        let taken = self.take().await?;
        taken.map(|taken| self.end.begin(taken)).transpose()
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Async<Server<Req, Rep>> {
    /// As [`accept`](Async::accept), for a request that is read in its place: [`Server::accept_ref`].
    ///
    /// # Errors
    ///
    /// As for [`Server::accept`].
    pub async fn accept_ref(&mut self) -> Result<Option<Request<'_, InPlace<'_, Req>, Rep>>, AcceptError> {
        let taken = self.take().await?;
        taken.map(|taken| self.end.begin_ref(taken)).transpose()
    }

    /// As [`accept`](Async::accept), for a request of any length, copied out: [`Server::accept_boxed`].
    ///
    /// # Errors
    ///
    /// As for [`Server::accept`].
    pub async fn accept_boxed(&mut self) -> Result<Option<Request<'_, Box<Req>, Rep>>, AcceptError> {
        let taken = self.take().await?;
        taken.map(|taken| self.end.begin_boxed(taken)).transpose()
    }

    /// Takes the next call. `None` if the server has been stopped.
    async fn take(&mut self) -> Result<Option<Taken>, AcceptError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_attempt(cx, |server| server.acceptor().try_take())).await
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Pending<'_, Req, Rep> {
    /// Waits until there is a result, as a task. To be used with the verbs that do not wait, as
    /// [`try_take_ref`](Pending::try_take_ref); a reply of one length is had by awaiting this itself.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let service = ipc_core::Service::<str, str>::new("ready").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?.into_async()?, service.server()?);
    /// let mut call = client.submit_copy("a word").await?;
    /// # server.accept_ref()?.unwrap().reply_copy("another")?;
    /// call.ready().await;
    /// if let Some(reply) = call.try_take_ref() {
    ///     assert_eq!(&*reply?, "another");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&mut self) {
        let ongoing = self.ongoing();
        let mut wait = Wait::default();
        let (look, probe) = (|| ongoing.is_decided(), || ongoing.probe_ready());
        poll_fn(|cx| wait.poll(cx, || ongoing.interest(), look, probe, || Some(()))).await
    }
}

impl<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage> IntoFuture for Pending<'c, Req, Rep> {
    type Output = Result<Rep, CallError<Req>>;
    type IntoFuture = PendingFuture<'c, Req, Rep>;

    fn into_future(self) -> PendingFuture<'c, Req, Rep> {
        PendingFuture { wait: Wait::default(), pending: self }
    }
}

/// A [`Pending`] call that is awaited, or polled. Dropping it cancels the call.
#[must_use = "dropping it cancels the call"]
pub struct PendingFuture<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage> {
    // Dropped first, while the slot is still this call's.
    wait: Wait,
    pending: Pending<'c, Req, Rep>,
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> PendingFuture<'_, Req, Rep> {
    fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Pending<'_, Req, Rep>) -> Option<R>,
    ) -> Poll<R> {
        let PendingFuture { wait, pending } = self;
        for _ in 0..ATTEMPTS {
            let ongoing = pending.ongoing();
            let (look, probe) = (|| ongoing.is_decided(), || ongoing.probe_ready());
            ready!(wait.poll(cx, || ongoing.interest(), look, probe, || Some(())));
            if let Some(result) = attempt(pending) {
                return Poll::Ready(result);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> Future for PendingFuture<'_, Req, Rep> {
    type Output = Result<Rep, CallError<Req>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().poll_with(cx, |pending| match pending.is_over() {
            true => Some(Err(CallError::Dropped)),
            false => pending.try_take(),
        })
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> fmt::Debug for PendingFuture<'_, Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PendingFuture").field(&self.pending).finish()
    }
}

impl<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage> Replies<'c, Req, Rep> {
    /// The replies for a task: a [`Stream`] that ends when the server has finished, or after an error.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use futures_util::TryStreamExt;
    /// # let service = ipc_core::Service::<u32, u32>::new("stream").domain(format!("doc-{}", std::process::id()));
    /// # let (client, mut server) = (service.client()?.into_async()?, service.server()?.into_async()?);
    /// # let serving = tokio::spawn(async move {
    /// #     let request = server.accept().await.unwrap().unwrap();
    /// #     let mut replies = request.reply_stream();
    /// #     replies.send(1).unwrap();
    /// #     replies.finish();
    /// # });
    /// let replies = client.submit(3).await?.into_replies().into_stream();
    /// let numbers: Vec<u32> = replies.try_collect().await?;
    /// # assert_eq!(numbers, [1]);
    /// # serving.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream(self) -> AsyncReplies<'c, Req, Rep> {
        AsyncReplies { wait: Wait::default(), replies: self }
    }
}

/// The [`Replies`] to a call, for tasks. Dropping it early tells the server that nobody listens.
#[must_use = "dropping it cancels the call"]
pub struct AsyncReplies<'c, Req: IpcMessage + ?Sized, Rep: IpcMessage> {
    // Dropped first, while the slot is still this call's.
    wait: Wait,
    replies: Replies<'c, Req, Rep>,
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> Stream for AsyncReplies<'_, Req, Rep> {
    type Item = Result<Rep, CallError<Req>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let AsyncReplies { wait, replies } = self.get_mut();
        for _ in 0..ATTEMPTS {
            if !replies.pending().is_over() {
                let ongoing = replies.pending().ongoing();
                let (look, probe) = (|| ongoing.is_decided(), || ongoing.probe_ready());
                ready!(wait.poll(cx, || ongoing.interest(), look, probe, || Some(())));
            }
            if let Some(next) = replies.try_next() {
                return Poll::Ready(next);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage> fmt::Debug for AsyncReplies<'_, Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncReplies").field(self.replies.pending()).finish()
    }
}

/// What a task waits with that shares an end with others: made when it has to.
#[derive(Default)]
struct Wait {
    watched: Option<Watched>,
}

impl Wait {
    /// Polls until `attempt`, which does not wait, has a result. `look` tells whether it may have one, by looking alone, and
    /// `probe` for whatever reason (R2 of the waiting protocol).
    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        interest: impl Fn() -> Interest,
        look: impl Fn() -> bool,
        probe: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        for _ in 0..ATTEMPTS {
            if !look() {
                if self.watched.is_none() {
                    self.watched = Watched::new(interest()).ok();
                }
                let Some(watched) = &mut self.watched else { break };
                lookout::arm(slice::from_mut(watched), cx.waker());
                if !probe() {
                    return Poll::Pending;
                }
            }
            if let Some(watched) = &mut self.watched {
                // Before the attempt, after which the word may be somebody else's.
                watched.disarm();
            }
            if let Some(result) = attempt() {
                return Poll::Ready(result);
            }
        }
        // Also where the system refuses the thread that would watch: then this is asked again and again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Client<Req, Rep> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub fn into_async(self) -> Result<AsyncClient<Req, Rep>, OpenError> {
        Async::new(self)
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Server<Req, Rep> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub fn into_async(self) -> Result<AsyncServer<Req, Rep>, OpenError> {
        Async::new(self)
    }
}
