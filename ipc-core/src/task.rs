//! Ends that tasks wait for: `recv().await`, `send().await`, [`Stream`] and [`Sink`], under any runtime.
//!
//! While a task waits, background threads watch its end: the *lookout* (`lookout.rs`), with one thread for every 127
//! ends. A waiting task costs nothing until something happens. The lookout wakes a task through its [`Waker`], so it
//! needs no reactor and no file descriptor. Its module has the proof that no wake-up is lost.
//!
//! [`Waker`]: core::task::Waker

mod service;

pub use service::{AsyncClient, AsyncReplies, AsyncServer, PendingFuture};

use crate::broadcast::{Publisher, Subscriber};
use crate::error::{
    BroadcastRecvError, BroadcastTryRecvError, OpenError, RecvError, SendError, TryLoanError, TryRecvError,
    TrySendError, WaitNewerError,
};
use crate::interest::Source;
use crate::latest::Reader;
use crate::lookout::{self, Watched};
use crate::message::IpcMessage;
use crate::queue::{Receiver, Sender};
use core::convert::identity;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::slice;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use futures_sink::Sink;

/// Looks that one poll takes at an end that was said to be ready and is not, before it lets other tasks run.
const ATTEMPTS: usize = 2;

/// The receiving end of a queue, for tasks.
pub type AsyncReceiver<T> = Async<Receiver<T>>;

/// The sending end of a queue, for tasks.
pub type AsyncSender<T> = Async<Sender<T>>;

/// An end of a channel for tasks: its methods suspend the task instead of blocking the thread.
///
/// [`Receiver::into_async`] and [`Sender::into_async`] return one; [`Async::new`] makes one of any other end. The
/// methods and their errors are those of the end. Call methods that do not wait through [`get_mut`](Async::get_mut).
///
/// All futures are cancel-safe: dropping one before it is finished loses no message. They work under any runtime, and
/// different threads may poll them in turn.
///
/// ```
/// use ipc_core::Queue;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let queue = Queue::<u64>::new("async").spsc().domain(format!("doc-{}", std::process::id()));
/// let mut rx = queue.receiver()?.into_async()?;
/// let mut tx = queue.sender()?.into_async()?;
/// let echo = tokio::spawn(async move { tx.send(42).await });
/// assert_eq!(rx.recv().await?, Some(42));
/// # echo.await??;
/// # Ok(())
/// # }
/// ```
pub struct Async<S: Source> {
    // Dropped first, while the end still takes part: it may pass a wake-up on.
    watched: Watched,
    end: S,
}

impl<S: Source> Async<S> {
    /// Makes an end one for tasks.
    ///
    /// # Errors
    ///
    /// [`OpenError::Os`] if the system refuses the thread that watches it. The end is then closed.
    pub fn new(end: S) -> Result<Self, OpenError> {
        let watched = Watched::new(end.interest())?;
        Ok(Async { watched, end })
    }

    /// Waits until the end is ready: see [`Source`]. Use it for methods that have no async version, such
    /// as [`Receiver::try_recv_ref`] and [`Sender::try_loan`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let domain = format!("doc-{}", std::process::id());
    /// # let queue = ipc_core::Queue::<[u64; 512]>::new("ready").spsc().domain(domain);
    /// # let mut tx = queue.sender()?;
    /// # let mut rx = queue.receiver()?.into_async()?;
    /// # tx.send([9; 512])?;
    /// # drop(tx);
    /// loop {
    ///     rx.ready().await;
    ///     match rx.get_mut().try_recv_ref() {
    ///         Ok(Some(page)) => assert_eq!(page[511], 9),
    ///         Ok(None) => break,
    ///         Err(ipc_core::TryRecvError::Empty) => {}
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&mut self) {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_ready(cx)).await;
    }

    /// Polls for readiness, for hand-written futures: see [`ready`](Async::ready). After `Pending`, the task of `cx`
    /// will be woken.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.end.look() {
            lookout::arm(slice::from_mut(&mut self.watched), cx.waker());
            if !self.end.probe() {
                return Poll::Pending;
            }
        }
        self.watched.disarm();
        Poll::Ready(())
    }

    /// The end.
    pub fn get_ref(&self) -> &S {
        &self.end
    }

    /// The end, for methods that do not wait. A method that waits blocks the thread, and with it other tasks.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.end
    }

    /// Converts back to the blocking end.
    pub fn into_inner(self) -> S {
        self.end
    }

    /// Polls until `attempt`, which does not wait, has a result.
    fn poll_attempt<R>(&mut self, cx: &mut Context<'_>, mut attempt: impl FnMut(&mut S) -> Option<R>) -> Poll<R> {
        for _ in 0..ATTEMPTS {
            ready!(self.poll_ready(cx));
            if let Some(result) = attempt(&mut self.end) {
                return Poll::Ready(result);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends a message by a verb that does not wait.
    async fn send_by<T>(
        &mut self,
        message: T,
        mut try_send: impl FnMut(&mut S, T) -> Result<(), TrySendError<T>>,
    ) -> Result<(), SendError<T>> {
        let waiting = Waiting(self);
        let mut unsent = Some(message);
        poll_fn(|cx| {
            waiting.0.poll_attempt(cx, |end| match try_send(end, unsent.take()?) {
                Ok(()) => Some(Ok(())),
                Err(TrySendError::Full(message)) => {
                    unsent = Some(message);
                    None
                }
                Err(error) => Some(Err(no_room(error, identity))),
            })
        })
        .await
    }

    /// Polls until there is room for a message, of which `try_loan` gives an account if there is none.
    fn poll_room(
        &mut self,
        cx: &mut Context<'_>,
        mut try_loan: impl FnMut(&mut S) -> Result<(), TryLoanError>,
    ) -> Poll<Result<(), SendError<()>>> {
        self.poll_attempt(cx, |end| {
            if end.look() {
                return Some(Ok(()));
            }
            // Ready without room: the verb says why. Room that has come since was given back with the loan, and is this
            // end's own only after another look.
            match try_loan(end) {
                Ok(()) => end.look().then_some(Ok(())),
                Err(TryLoanError::Full(())) => None,
                Err(error) => Some(Err(no_room(error, identity))),
            }
        })
    }
}

impl<S: Source> fmt::Debug for Async<S>
where
    S: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.end).finish()
    }
}

impl<T: IpcMessage> Async<Receiver<T>> {
    /// Receives a message, and waits for one if there is none: [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv`].
    pub async fn recv(&mut self) -> Result<Option<T>, RecvError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_recv(cx)).await
    }

    /// Polls for a message, for hand-written futures. After `Pending`, the task of `cx` will be woken.
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, RecvError>> {
        self.poll_attempt(cx, |rx| match rx.try_recv() {
            Ok(received) => Some(Ok(received)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Forked) => Some(Err(RecvError::Forked)),
            Err(TryRecvError::Evicted) => Some(Err(RecvError::Evicted)),
            Err(TryRecvError::Hardened) => Some(Err(RecvError::Hardened)),
            Err(TryRecvError::SenderDied(peer)) => Some(Err(RecvError::SenderDied(peer))),
            Err(TryRecvError::Corrupt(corrupt)) => Some(Err(RecvError::Corrupt(corrupt))),
        })
    }
}

/// The messages of the channel, until the end. An error is an item too, after which the stream goes on.
impl<T: IpcMessage> Stream for Async<Receiver<T>> {
    type Item = Result<T, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx).map(Result::transpose)
    }
}

impl<T: IpcMessage> Async<Sender<T>> {
    /// Sends a message, and waits for room if the channel is full: [`Sender::send`]. If the future is dropped before it
    /// is finished, the message was not sent, and is dropped with it; to keep it, wait for [`ready`](Async::ready) and
    /// use [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send`].
    pub async fn send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.send_by(message, Sender::try_send).await
    }
}

/// Each message is published at once, so there is nothing to flush. Closing it changes nothing either: the channel is
/// closed when the end is dropped.
impl<T: IpcMessage> Sink<T> for Async<Sender<T>> {
    type Error = SendError<()>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_room(cx, |tx| tx.try_loan().map(drop))
    }

    fn start_send(self: Pin<&mut Self>, message: T) -> Result<(), Self::Error> {
        // It is not full: the room that `poll_ready` has found is nobody else's.
        self.get_mut().end.try_send(message).map_err(|error| no_room(error, |_| ()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl<T: IpcMessage> Async<Publisher<T>> {
    /// Publishes a message, and waits while there is no room: [`Publisher::send`]. If the future is dropped before it
    /// is finished, the message was not published, and is dropped with it.
    ///
    /// # Errors
    ///
    /// As for [`Publisher::send`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use ipc_core::{Async, Broadcast};
    /// # let ticks = Broadcast::<u64>::new("async-ticks").domain(format!("doc-{}", std::process::id()));
    /// let mut subscriber = Async::new(ticks.subscriber()?)?;
    /// let mut publisher = Async::new(ticks.publisher()?)?;
    /// publisher.send(42).await?;
    /// assert_eq!(subscriber.recv().await?, Some(42));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.send_by(message, Publisher::try_send).await
    }
}

/// Each message is published at once, as by the sink of a [`Sender`]. A sink that is ready has the next place in the
/// order: what others publish is held up until it is used or dropped.
impl<T: IpcMessage> Sink<T> for Async<Publisher<T>> {
    type Error = SendError<()>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_room(cx, |publisher| publisher.try_loan().map(drop))
    }

    fn start_send(self: Pin<&mut Self>, message: T) -> Result<(), Self::Error> {
        // It is not full, as for a sender.
        self.get_mut().end.try_send(message).map_err(|error| no_room(error, |_| ()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }
}

impl<T: IpcMessage> Async<Subscriber<T>> {
    /// Receives the next message, and waits for one if there is none: [`Subscriber::recv`].
    ///
    /// # Errors
    ///
    /// As for [`Subscriber::recv`].
    pub async fn recv(&mut self) -> Result<Option<T>, BroadcastRecvError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_recv(cx)).await
    }

    /// Polls for a message, for hand-written futures. After `Pending`, the task of `cx` will be woken.
    ///
    /// # Errors
    ///
    /// As for [`Subscriber::recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, BroadcastRecvError>> {
        self.poll_attempt(cx, |subscriber| match subscriber.try_recv() {
            Ok(received) => Some(Ok(received)),
            Err(BroadcastTryRecvError::Empty) => None,
            Err(BroadcastTryRecvError::Lagged { missed }) => Some(Err(BroadcastRecvError::Lagged { missed })),
            Err(BroadcastTryRecvError::Evicted) => Some(Err(BroadcastRecvError::Evicted)),
            Err(BroadcastTryRecvError::PublisherDied(peer)) => Some(Err(BroadcastRecvError::PublisherDied(peer))),
            Err(BroadcastTryRecvError::Corrupt(corrupt)) => Some(Err(BroadcastRecvError::Corrupt(corrupt))),
            Err(BroadcastTryRecvError::Forked) => Some(Err(BroadcastRecvError::Forked)),
        })
    }
}

/// The messages of the broadcast, until the end. An error is an item too, after which the stream goes on, except that
/// [`Evicted`](BroadcastRecvError::Evicted) comes again for ever.
impl<T: IpcMessage> Stream for Async<Subscriber<T>> {
    type Item = Result<T, BroadcastRecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx).map(Result::transpose)
    }
}

impl<T: IpcMessage> Async<Reader<T>> {
    /// Waits for a value that is newer than the one that this reader returned last, and reads it:
    /// [`Reader::wait_newer`].
    ///
    /// # Errors
    ///
    /// As for [`Reader::wait_newer`].
    pub async fn wait_newer(&mut self) -> Result<T, WaitNewerError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_attempt(cx, |reader| reader.wait_newer(Duration::ZERO).transpose())).await
    }
}

impl<T: IpcMessage + ?Sized> Receiver<T> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub fn into_async(self) -> Result<AsyncReceiver<T>, OpenError> {
        Async::new(self)
    }
}

impl<T: IpcMessage + ?Sized> Sender<T> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub fn into_async(self) -> Result<AsyncSender<T>, OpenError> {
        Async::new(self)
    }
}

/// A task that waits. If it stops waiting before it has looked, nobody is woken in vain in its place.
struct Waiting<'a, S: Source>(&'a mut Async<S>);

impl<S: Source> Drop for Waiting<'_, S> {
    fn drop(&mut self) {
        self.0.watched.abandon();
    }
}

/// What went wrong, if it is not that the channel is full; with what becomes of the message by `change`.
fn no_room<V, W>(error: TrySendError<V>, change: impl FnOnce(V) -> W) -> SendError<W> {
    match error {
        TrySendError::Full(value) | TrySendError::Closed(value) => SendError::Closed(change(value)),
        TrySendError::ReceiverDied(value, peer) => SendError::ReceiverDied(change(value), peer),
        TrySendError::Corrupt(value, corrupt) => SendError::Corrupt(change(value), corrupt),
        TrySendError::Forked(value) => SendError::Forked(change(value)),
        TrySendError::Evicted(value) => SendError::Evicted(change(value)),
        TrySendError::Hardened(value) => SendError::Hardened(change(value)),
        TrySendError::TooLarge(value, limit) => SendError::TooLarge(change(value), limit),
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
