//! The publishing end of a broadcast.

use super::outlet::Outlet;
use crate::error::{
    LoanError, LoanTimeoutError, SendBatchError, SendError, SendTimeoutError, TryLoanError, TrySendError,
};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::message::tail::longest_tail;
use crate::queue::Loan;
use crate::queue::port::Port;
use crate::queue::sender::{send_error, send_timeout_error, try_send_error};
use crate::ring::End;
use crate::station::Patience;
use core::borrow::Borrow;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use crossbeam_utils::CachePadded;

/// The publishing end of a broadcast. Dropping it closes it: subscribers get what was published, and then the end if it
/// was the last.
///
/// What it publishes while nobody subscribes is delivered to nobody, unless it is still in the
/// [history](super::Broadcast::history) when somebody does.
///
/// **Waiting.** On a lossless channel a publisher waits for the slowest subscriber, if that is a whole
/// [capacity](super::Broadcast::capacity) behind, or so far that a message of any length has no room. On either kind it waits for another publisher that is at work in the
/// very slot that comes next, which takes nanoseconds unless that one has been stopped in the middle, or holds a
/// [`Loan`], for a whole lap of the others. One that died there is noticed within 100 ms.
///
/// # Threads and forks
///
/// As for [`Sender`](crate::Sender).
pub struct Publisher<T: ?Sized> {
    /// Padded, so that two ends in one process do not share a cache line.
    port: CachePadded<Port<Outlet>>,
    message: PhantomData<fn(T)>,
}

/// Messages of one length.
impl<T: IpcMessage> Publisher<T> {
    /// Publishes a message to all subscribers.
    ///
    /// # Errors
    ///
    /// [`SendError::Corrupt`] if the segment is damaged, [`SendError::Forked`] in a child that was forked since the
    /// channel was opened. Subscribers that have closed or died are no error.
    #[inline(always)]
    pub fn send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.port.send(message, || Patience::Forever).map_err(|(message, blocked)| send_error(message, blocked))
    }

    /// Publishes a message if that does not take waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] gives the message back; otherwise as for [`send`](Publisher::send).
    ///
    /// ```
    /// use ipc_core::{Broadcast, TrySendError};
    /// # let ticks = Broadcast::<u64>::new("try").domain(format!("doc-{}", std::process::id()));
    /// # let ticks = ticks.capacity(1);
    /// let (mut publisher, mut slow) = (ticks.publisher()?, ticks.subscriber()?);
    /// publisher.try_send(1)?;
    /// assert_eq!(publisher.try_send(2), Err(TrySendError::Full(2)));
    /// assert_eq!(slow.recv()?, Some(1));
    /// publisher.try_send(2)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn try_send(&mut self, message: T) -> Result<(), TrySendError<T>> {
        self.port.send(message, || Patience::None).map_err(|(message, blocked)| try_send_error(message, blocked))
    }

    /// Publishes a message, and waits at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] gives the message back; otherwise as for [`send`](Publisher::send).
    #[inline(always)]
    pub fn send_timeout(&mut self, message: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        self.port
            .send(message, || Patience::from_timeout(limit))
            .map_err(|(message, blocked)| send_timeout_error(message, blocked))
    }

    /// Publishes every message of `messages`, in order, and returns how many there were. Subscribers are woken once for
    /// the batch, or when it has to wait.
    ///
    /// # Errors
    ///
    /// As for [`send`](Publisher::send); [`SendBatchError`] says how many were published, gives the next one back, and
    /// leaves the rest in the iterator (pass `&mut iterator` to keep it).
    pub fn send_batch(&mut self, messages: impl IntoIterator<Item = T>) -> Result<usize, SendBatchError<T>> {
        self.port
            .send_batch(messages.into_iter(), || Patience::Forever)
            .map_err(|(sent, message, blocked)| SendBatchError { sent, error: send_error(message, blocked) })
    }

    /// Lends the next slot, to be filled in place. [`Loan::send`] publishes it.
    ///
    /// The message has its place in the order from now on: what others publish afterwards reaches nobody before it. So a
    /// loan is not to be kept. Given back, it leaves a number without a message, which a subscriber of a lossy channel
    /// counts as missed if it has been overtaken there.
    ///
    /// # Errors
    ///
    /// As for [`send`](Publisher::send).
    ///
    /// ```
    /// # let pages = ipc_core::Broadcast::<[u64; 512]>::new("loan").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (pages.publisher()?, pages.subscriber()?);
    /// let mut page = publisher.loan()?;
    /// page.fill(9);
    /// page.send();
    /// assert_eq!(subscriber.recv_ref()?.unwrap()[511], 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan(&mut self) -> Result<Loan<'_, T>, LoanError> {
        self.port.take_turn_in_place(|| Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, 0))
    }

    /// Lends the next slot if that does not take waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if it does; otherwise as for [`send`](Publisher::send).
    pub fn try_loan(&mut self) -> Result<Loan<'_, T>, TryLoanError> {
        self.port.take_turn_in_place(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, 0))
    }
}

/// Messages of any kind.
impl<T: IpcMessage + ?Sized> Publisher<T> {
    pub(super) fn new(port: Port<Outlet>) -> Self {
        Publisher { port: CachePadded::new(port), message: PhantomData }
    }

    /// Lends room for a message whose tail has the length `len`, in items or bytes of text; waits if there is none.
    /// [`Loan::send`] publishes it. Otherwise as [`Sender::loan_len`](crate::Sender::loan_len) and [`loan`](Publisher::loan).
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if the message is longer than the channel can carry; otherwise as for
    /// [`send`](Publisher::send).
    ///
    /// ```
    /// # let samples = ipc_core::Broadcast::<[u16]>::new("loan_len").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (samples.publisher()?, samples.subscriber()?);
    /// let mut loan = publisher.loan_len(3)?;
    /// loan.copy_from_slice(&[7, 8, 9]);
    /// loan.send();
    /// assert_eq!(subscriber.recv_ref()?.unwrap()[..], [7, 8, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan_len(&mut self, len: usize) -> Result<Loan<'_, T>, LoanError> {
        self.port.claim::<T>(len).map_err(|too_large| SendError::TooLarge((), too_large))?;
        self.port.take_turn_in_place(|| Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, len))
    }

    /// As [`loan_len`](Publisher::loan_len), if that does not take waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if it does; otherwise as for `loan_len`.
    pub fn try_loan_len(&mut self, len: usize) -> Result<Loan<'_, T>, TryLoanError> {
        self.port.claim::<T>(len).map_err(|too_large| TrySendError::TooLarge((), too_large))?;
        self.port.take_turn_in_place(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, len))
    }

    /// As [`loan_len`](Publisher::loan_len), waiting at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] if there was no room in time; otherwise as for `loan_len`.
    pub fn loan_len_timeout(&mut self, len: usize, limit: Duration) -> Result<Loan<'_, T>, LoanTimeoutError> {
        self.port.claim::<T>(len).map_err(|too_large| SendTimeoutError::TooLarge((), too_large))?;
        self.port
            .take_turn_in_place(|| Patience::from_timeout(limit))
            .map_err(|blocked| send_timeout_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, len))
    }

    /// Publishes a copy of a message, and waits for room if there is none.
    ///
    /// # Errors
    ///
    /// As for [`loan_len`](Publisher::loan_len).
    ///
    /// ```
    /// # let notes = ipc_core::Broadcast::<str>::new("send_copy").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (notes.publisher()?, notes.subscriber()?);
    /// publisher.send_copy("text of any length")?;
    /// assert_eq!(*subscriber.recv_ref()?.unwrap(), *"text of any length");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_copy(&mut self, message: &T) -> Result<(), LoanError> {
        self.port.claim::<T>(T::tail_len(message)).map_err(|too_large| SendError::TooLarge((), too_large))?;
        self.port.take_turn(|| Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        self.publish(message);
        Ok(())
    }

    /// Publishes a copy of a message if that does not take waiting.
    ///
    /// # Errors
    ///
    /// As for [`try_loan_len`](Publisher::try_loan_len).
    pub fn try_send_copy(&mut self, message: &T) -> Result<(), TryLoanError> {
        self.port.claim::<T>(T::tail_len(message)).map_err(|too_large| TrySendError::TooLarge((), too_large))?;
        self.port.take_turn(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        self.publish(message);
        Ok(())
    }

    /// As [`send_batch`](Publisher::send_batch), for messages of any length, of which copies are published.
    ///
    /// # Errors
    ///
    /// As for `send_batch`, and [`SendError::TooLarge`] for a message that is too long.
    ///
    /// ```
    /// # let notes = ipc_core::Broadcast::<str>::new("copies").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (notes.publisher()?, notes.subscriber()?);
    /// assert_eq!(publisher.send_copy_batch(["one", "two", "three"])?, 3);
    /// let mut batch = Vec::new();
    /// assert_eq!(subscriber.recv_boxed_batch(&mut batch, 100)?, 3);
    /// assert_eq!(&*batch[2], "three");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_copy_batch<M: Borrow<T>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendBatchError<M>> {
        self.port.send_copy_batch(messages.into_iter())
    }

    /// The length of the longest tail that this channel can carry, in items or bytes of text; 0 if messages have none.
    pub fn max_len(&self) -> usize {
        longest_tail::<T>(self.port.limit_bytes())
    }

    /// Messages that a publisher can be ahead of a subscriber that has just joined; if they vary in length, bytes of the ring.
    pub fn capacity(&self) -> usize {
        self.port.info().capacity
    }

    /// Messages that the slowest subscriber has not passed, as far as can be seen at this moment. Of a lossy channel
    /// nobody knows: 0.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.port.end().len()
    }

    /// Messages that publishers had begun and not published when they died, since the channel was created.
    pub fn lost(&self) -> u64 {
        self.port.end().losses()
    }

    /// The channel as it is, beside what was asked for.
    pub fn info(&self) -> &ChannelInfo {
        self.port.info()
    }

    /// Places the message in the room that this end owns, which was claimed for it, and publishes it.
    fn publish(&mut self, message: &T) {
        // SAFETY: the room is this end's own, aligned for a `T`, and large enough for one with such a tail.
        unsafe { message.place(T::pointer(self.port.payload(), T::tail_len(message))) };
        self.port.pass();
    }
}

/// Ready when there is room to publish without waiting, which on a lossy channel there nearly always is. Of subscribers that
/// have closed or died a publisher takes no notice but that it waits for them no longer.
impl<T: ?Sized> Sealed for Publisher<T> {
    fn interest(&self) -> Interest {
        self.port.interest()
    }

    fn look(&mut self) -> bool {
        self.port.look()
    }

    fn probe(&mut self) -> bool {
        self.port.probe()
    }
}

impl<T: ?Sized> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("channel", &self.port.info().name).finish_non_exhaustive()
    }
}
