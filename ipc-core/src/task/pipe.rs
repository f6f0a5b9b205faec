//! Pipes, for tasks.

use super::{AsyncReceiver, AsyncSender};
use crate::error::{LoanError, OpenError, RecvError, SendError};
use crate::message::IpcMessage;
use crate::pipe::PipeEnd;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;
use futures_sink::Sink;

/// One end of a pipe, for tasks: sends `S` and receives `R`. Made by [`PipeEnd::into_async`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let roots = ipc_core::Pipe::<u32, f64>::new("async-roots").domain(format!("doc-{}", std::process::id()));
/// let mut left = roots.left()?.into_async()?;
/// let mut right = roots.right()?.into_async()?;
/// left.send(2).await?;
/// let question = right.recv().await?.expect("the left end is there");
/// right.send(f64::from(question).sqrt()).await?;
/// assert_eq!(left.recv().await?, Some(2f64.sqrt()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncPipeEnd<S: ?Sized, R: ?Sized> {
    // Dropped first, as of a `PipeEnd`.
    tx: AsyncSender<S>,
    rx: AsyncReceiver<R>,
}

impl<S: IpcMessage, R: IpcMessage + ?Sized> AsyncPipeEnd<S, R> {
    /// Sends a message, and waits for room if there is none. If the future is dropped before it is finished, the message
    /// was not sent.
    ///
    /// # Errors
    ///
    /// As for [`PipeEnd::send`].
    pub async fn send(&mut self, message: S) -> Result<(), SendError<S>> {
        self.tx.send(message).await
    }
}

impl<S: IpcMessage + ?Sized, R: IpcMessage> AsyncPipeEnd<S, R> {
    /// Receives a message, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// As for [`PipeEnd::recv`].
    pub async fn recv(&mut self) -> Result<Option<R>, RecvError> {
        self.rx.recv().await
    }
}

impl<S: IpcMessage + ?Sized, R: IpcMessage + ?Sized> AsyncPipeEnd<S, R> {
    /// Sends a copy of a message, whatever its length, and waits for room if there is none.
    ///
    /// # Errors
    ///
    /// As for [`PipeEnd::send_copy`].
    pub async fn send_copy(&mut self, message: &S) -> Result<(), LoanError> {
        self.tx.send_copy(message).await
    }

    /// Receives a message by value, whatever its length, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// As for [`PipeEnd::recv_boxed`].
    pub async fn recv_boxed(&mut self) -> Result<Option<Box<R>>, RecvError> {
        self.rx.recv_boxed().await
    }

    /// Both directions at once: to send while another task receives, and for what only the halves have.
    pub fn halves(&mut self) -> (&mut AsyncSender<S>, &mut AsyncReceiver<R>) {
        (&mut self.tx, &mut self.rx)
    }

    /// Takes the end apart, so that each direction can be moved to a task of its own, as by [`PipeEnd::split`].
    pub fn split(self) -> (AsyncSender<S>, AsyncReceiver<R>) {
        (self.tx, self.rx)
    }

    /// The end, for verbs that block.
    pub fn into_inner(self) -> PipeEnd<S, R> {
        PipeEnd::of_halves(self.tx.into_inner(), self.rx.into_inner())
    }
}

/// The messages from the other end, until it has closed. An error is an item too, after which the stream goes on.
impl<S: IpcMessage + ?Sized, R: IpcMessage> Stream for AsyncPipeEnd<S, R> {
    type Item = Result<R, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().rx).poll_next(cx)
    }
}

/// As that of the half that sends.
impl<S: IpcMessage, R: IpcMessage + ?Sized> Sink<S> for AsyncPipeEnd<S, R> {
    type Error = SendError<()>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Sink::poll_ready(Pin::new(&mut self.get_mut().tx), cx)
    }

    fn start_send(self: Pin<&mut Self>, message: S) -> Result<(), Self::Error> {
        Pin::new(&mut self.get_mut().tx).start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.get_mut().tx).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.get_mut().tx).poll_close(cx)
    }
}

impl<S: IpcMessage + ?Sized, R: IpcMessage + ?Sized> PipeEnd<S, R> {
    /// Makes this an end for tasks.
    ///
    /// # Errors
    ///
    /// As for [`Async::new`](super::Async::new).
    pub fn into_async(self) -> Result<AsyncPipeEnd<S, R>, OpenError> {
        let (tx, rx) = self.split();
        Ok(AsyncPipeEnd { tx: tx.into_async()?, rx: rx.into_async()? })
    }
}
