//! Broadcasts, for tasks.

use super::{Async, Sends, Waiting};
use crate::broadcast::{Publisher, Subscriber};
use crate::error::{BroadcastRecvError, BroadcastTryRecvError, LoanError, OpenError, TryLoanError, TrySendError};
use crate::message::IpcMessage;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;

/// The publishing end of a broadcast, for tasks.
pub type AsyncPublisher<T> = Async<Publisher<T>>;

/// The subscribing end of a broadcast, for tasks.
pub type AsyncSubscriber<T> = Async<Subscriber<T>>;

impl<T: IpcMessage> Async<Subscriber<T>> {
    /// Receives the next message, and waits for one if there is none: [`Subscriber::recv`].
    ///
    /// # Errors
    ///
    /// As for [`Subscriber::recv`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use ipc_core::Broadcast;
    /// # let ticks = Broadcast::<u64>::new("async-ticks").domain(format!("doc-{}", std::process::id()));
    /// let mut subscriber = ticks.subscriber()?.into_async()?;
    /// let mut publisher = ticks.publisher()?.into_async()?;
    /// publisher.send(42).await?;
    /// assert_eq!(subscriber.recv().await?, Some(42));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&mut self) -> Result<Option<T>, BroadcastRecvError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_recv(cx)).await
    }

    /// As [`recv`](Async::recv), for those who write futures by hand. After `Pending`, the task of `cx` is woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, BroadcastRecvError>> {
        self.poll_attempt(cx, |subscriber| received(subscriber.try_recv()))
    }
}

impl<T: IpcMessage + ?Sized> Async<Subscriber<T>> {
    /// Receives the next message by value, whatever its length, and waits for one if there is none:
    /// [`Subscriber::recv_boxed`].
    ///
    /// # Errors
    ///
    /// As for [`Subscriber::recv_boxed`].
    pub async fn recv_boxed(&mut self) -> Result<Option<Box<T>>, BroadcastRecvError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_attempt(cx, |subscriber| received(subscriber.try_recv_boxed()))).await
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

impl<T: IpcMessage + ?Sized> Async<Publisher<T>> {
    /// Publishes a copy of a message, whatever its length, and waits while there is no room: [`Publisher::send_copy`]. If
    /// the future is dropped before it is finished, nothing was published.
    ///
    /// # Errors
    ///
    /// As for [`Publisher::send_copy`].
    pub async fn send_copy(&mut self, message: &T) -> Result<(), LoanError> {
        self.send_copy_by(|publisher| publisher.try_send_copy(message)).await
    }
}

impl<T: IpcMessage> Sends for Publisher<T> {
    type Message = T;

    fn try_send(&mut self, message: T) -> Result<(), TrySendError<T>> {
        Publisher::try_send(self, message)
    }

    fn try_room(&mut self) -> Result<(), TryLoanError> {
        Publisher::try_room(self)
    }
}

impl<T: IpcMessage + ?Sized> Subscriber<T> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub fn into_async(self) -> Result<AsyncSubscriber<T>, OpenError> {
        Async::new(self)
    }
}

impl<T: IpcMessage + ?Sized> Publisher<T> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`].
    pub fn into_async(self) -> Result<AsyncPublisher<T>, OpenError> {
        Async::new(self)
    }
}

/// What a receive that does not wait says to one that does. `None` if that is to wait.
fn received<V>(received: Result<Option<V>, BroadcastTryRecvError>) -> Option<Result<Option<V>, BroadcastRecvError>> {
    Some(match received {
        Ok(received) => Ok(received),
        Err(BroadcastTryRecvError::Empty) => return None,
        Err(BroadcastTryRecvError::Lagged { missed }) => Err(BroadcastRecvError::Lagged { missed }),
        Err(BroadcastTryRecvError::Evicted) => Err(BroadcastRecvError::Evicted),
        Err(BroadcastTryRecvError::PublisherDied(peer)) => Err(BroadcastRecvError::PublisherDied(peer)),
        Err(BroadcastTryRecvError::Corrupt(corrupt)) => Err(BroadcastRecvError::Corrupt(corrupt)),
        Err(BroadcastTryRecvError::Forked) => Err(BroadcastRecvError::Forked),
    })
}
