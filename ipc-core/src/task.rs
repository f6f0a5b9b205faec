//! Ends that tasks wait for: `recv().await`, `send().await`, [`Stream`] and [`Sink`], under any runtime.
//!
//! While a task waits, background threads watch its end: the *lookout* (`lookout.rs`), with one thread for every 127
//! ends. A waiting task costs nothing until something happens. The lookout wakes a task through its [`Waker`], so it
//! needs no reactor and no file descriptor. Its module has the proof that no wake-up is lost.
//!
//! [`Waker`]: core::task::Waker

mod broadcast;
mod latest;
mod pipe;
mod queue;
mod service;

pub use broadcast::{AsyncPublisher, AsyncSubscriber};
pub use latest::AsyncReader;
pub use pipe::AsyncPipeEnd;
pub use queue::{AsyncReceiver, AsyncSender};
pub use service::{AsyncClient, AsyncReplies, AsyncServer, PendingFuture};

use crate::error::{OpenError, SendError, TryLoanError, TrySendError};
use crate::interest::Source;
use crate::lookout::{self, Watched};
use core::convert::identity;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::slice;
use core::task::{Context, Poll, ready};
#[cfg(doc)]
use futures_core::Stream;
use futures_sink::Sink;

/// Looks that one poll takes at an end that was said to be ready and is not, before it lets other tasks run.
const ATTEMPTS: usize = 2;

/// An end of a channel for tasks: its methods suspend the task instead of blocking the thread.
///
/// Every end has an `into_async` that makes it one, and [`Async::new`] makes one of whatever can be waited for. The
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
    /// as [`Receiver::try_recv_ref`](crate::Receiver::try_recv_ref) and [`Sender::try_loan`](crate::Sender::try_loan).
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

    /// Sends a copy of a message by a verb that does not wait.
    ///
    /// It is called before the first look, because the end is looked at for room for the message that was asked for last.
    async fn send_copy_by(
        &mut self,
        mut try_send: impl FnMut(&mut S) -> Result<(), TryLoanError>,
    ) -> Result<(), SendError<()>> {
        let mut attempt = |end: &mut S| match try_send(end) {
            Err(TryLoanError::Full(())) => None,
            sent => Some(sent.map_err(|error| no_room(error, identity))),
        };
        if let Some(sent) = attempt(&mut self.end) {
            return sent;
        }
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_attempt(cx, &mut attempt)).await
    }
}

/// An end that sends messages of one length.
pub trait Sends: Source {
    /// The messages.
    type Message;

    /// Sends a message if there is room now.
    #[doc(hidden)]
    fn try_send(&mut self, message: Self::Message) -> Result<(), TrySendError<Self::Message>>;

    /// Takes the room for a message, if there is some now. It is this end's own until it has sent.
    #[doc(hidden)]
    fn try_room(&mut self) -> Result<(), TryLoanError>;
}

impl<S: Sends> Async<S> {
    /// Sends a message, and waits for room if the channel is full: [`Sender::send`](crate::Sender::send),
    /// [`Publisher::send`](crate::Publisher::send). If the future is dropped before it is finished, the message was not sent,
    /// and is dropped with it; to keep it, wait for [`ready`](Async::ready) and use the verb that does not wait.
    ///
    /// # Errors
    ///
    /// As for the end's own `send`.
    pub async fn send(&mut self, message: S::Message) -> Result<(), SendError<S::Message>> {
        let waiting = Waiting(self);
        let mut unsent = Some(message);
        poll_fn(|cx| {
            waiting.0.poll_attempt(cx, |end| match end.try_send(unsent.take()?) {
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
}

/// Each message is sent at once, so there is nothing to flush. Closing it changes nothing either: the channel is closed
/// when the end is dropped.
///
/// A sink that is ready has room for one message. Of a queue that others share, and of a broadcast, that is the next place
/// in the order: what others send is held up until the sink is used or dropped.
impl<S: Sends + Unpin> Sink<S::Message> for Async<S> {
    type Error = SendError<()>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().poll_attempt(cx, |end| match end.try_room() {
            Err(TryLoanError::Full(())) => None,
            room => Some(room.map_err(|error| no_room(error, identity))),
        })
    }

    fn start_send(self: Pin<&mut Self>, message: S::Message) -> Result<(), Self::Error> {
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

impl<S: Source> fmt::Debug for Async<S>
where
    S: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(&self.end).finish()
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
