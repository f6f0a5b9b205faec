//! Queues, for tasks.

use super::{Async, Sends, Waiting};
use crate::error::{LoanError, OpenError, RecvError, TryLoanError, TryRecvError, TrySendError};
use crate::message::IpcMessage;
use crate::queue::{Receiver, Sender};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;

/// The receiving end of a queue, for tasks.
pub type AsyncReceiver<T> = Async<Receiver<T>>;

/// The sending end of a queue, for tasks.
pub type AsyncSender<T> = Async<Sender<T>>;

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

    /// As [`recv`](Async::recv), for those who write futures by hand. After `Pending`, the task of `cx` is woken.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>, RecvError>> {
        self.poll_attempt(cx, |rx| received(rx.try_recv()))
    }
}

impl<T: IpcMessage + ?Sized> Async<Receiver<T>> {
    /// Receives a message by value, whatever its length, and waits for one if there is none: [`Receiver::recv_boxed`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_boxed`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let lines = ipc_core::Queue::<str>::new("async-lines").domain(format!("doc-{}", std::process::id()));
    /// let mut tx = lines.sender()?.into_async()?;
    /// let mut rx = lines.receiver()?.into_async()?;
    /// tx.send_copy("text of any length").await?;
    /// assert_eq!(rx.recv_boxed().await?.as_deref(), Some("text of any length"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_boxed(&mut self) -> Result<Option<Box<T>>, RecvError> {
        let waiting = Waiting(self);
        poll_fn(|cx| waiting.0.poll_attempt(cx, |rx| received(rx.try_recv_boxed()))).await
    }
}

/// The messages of the channel, until the end. An error is an item too, after which the stream goes on.
impl<T: IpcMessage> Stream for Async<Receiver<T>> {
    type Item = Result<T, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(cx).map(Result::transpose)
    }
}

impl<T: IpcMessage + ?Sized> Async<Sender<T>> {
    /// Sends a copy of a message, whatever its length, and waits for room if there is none: [`Sender::send_copy`]. If the
    /// future is dropped before it is finished, nothing was sent.
    ///
    /// # Errors
    ///
    /// As for [`Sender::send_copy`].
    pub async fn send_copy(&mut self, message: &T) -> Result<(), LoanError> {
        self.send_copy_by(|tx| tx.try_send_copy(message)).await
    }
}

impl<T: IpcMessage> Sends for Sender<T> {
    type Message = T;

    fn try_send(&mut self, message: T) -> Result<(), TrySendError<T>> {
        Sender::try_send(self, message)
    }

    fn try_room(&mut self) -> Result<(), TryLoanError> {
        Sender::try_room(self)
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

/// What a receive that does not wait says to one that does. `None` if that is to wait.
fn received<V>(received: Result<Option<V>, TryRecvError>) -> Option<Result<Option<V>, RecvError>> {
    Some(match received {
        Ok(received) => Ok(received),
        Err(TryRecvError::Empty) => return None,
        Err(TryRecvError::Forked) => Err(RecvError::Forked),
        Err(TryRecvError::Evicted) => Err(RecvError::Evicted),
        Err(TryRecvError::Hardened) => Err(RecvError::Hardened),
        Err(TryRecvError::SenderDied(peer)) => Err(RecvError::SenderDied(peer)),
        Err(TryRecvError::Corrupt(corrupt)) => Err(RecvError::Corrupt(corrupt)),
    })
}
