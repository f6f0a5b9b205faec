//! The publishing end of a broadcast.

use super::outlet::Outlet;
use crate::error::{
    LoanError, LoanTimeoutError, SendBatchError, SendError, SendTimeoutError, TryLoanError, TrySendError,
};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::message::tail::longest_tail;
use crate::queue::port::Port;
use crate::queue::sender::{send_error, send_timeout_error, try_send_error};
use crate::queue::{Loan, LoanBatch};
use crate::ring::End;
use crate::station::Patience;
use core::borrow::Borrow;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use crossbeam_utils::CachePadded;

/// The publishing end of a broadcast.
///
/// Dropping a publisher closes it. When the last one closes, subscribers get the rest of the messages and then end of
/// stream.
///
/// A message that is published while there is no subscriber reaches only the subscribers that join while it is still in
/// the [history](super::Broadcast::history).
///
/// # When it waits
///
/// - In a lossless channel, a publisher waits while the slowest subscriber is a whole
///   [capacity](super::Broadcast::capacity) behind, or so far that the message has no room.
/// - In either kind, it waits for another publisher that is still writing to the slot that comes next. That takes
///   nanoseconds, unless the other one is stopped in the middle, or holds a [`Loan`], for a whole lap of the ring. The
///   death of a publisher in the middle of a slot is noticed within 100 ms.
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
    /// [`SendError::Corrupt`] if the segment is damaged; [`SendError::Forked`] in a forked child. Subscribers that have
    /// closed or died are no error.
    ///
    /// ```
    /// # let ticks = ipc_core::Broadcast::<u64>::new("publish").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (ticks.publisher()?, ticks.subscriber()?);
    /// publisher.send(7)?;
    /// drop(publisher);
    /// assert_eq!(subscriber.recv()?, Some(7));
    /// assert_eq!(subscriber.recv()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.port.send(message, || Patience::Forever).map_err(|(message, blocked)| send_error(message, blocked))
    }

    /// Publishes a message without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`], with the message, if it would have to wait; otherwise as for [`send`](Publisher::send).
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

    /// Publishes a message, and waits for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`], with the message, if there was no room in time; otherwise as for
    /// [`send`](Publisher::send).
    #[inline(always)]
    pub fn send_timeout(&mut self, message: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        self.port
            .send(message, || Patience::from_timeout(limit))
            .map_err(|(message, blocked)| send_timeout_error(message, blocked))
    }

    /// Publishes all of `messages` in order, and returns how many there were.
    ///
    /// Sleeping subscribers are woken once, at the end of the batch or when it has to wait.
    ///
    /// # Errors
    ///
    /// As for [`send`](Publisher::send). [`SendBatchError`] holds the number of messages published and the one that was
    /// not. The rest stay in the iterator; pass `&mut iterator` to keep it.
    pub fn send_batch(&mut self, messages: impl IntoIterator<Item = T>) -> Result<usize, SendBatchError<T>> {
        self.port
            .send_batch(messages.into_iter(), || Patience::Forever)
            .map_err(|(sent, message, blocked)| SendBatchError { sent, error: send_error(message, blocked) })
    }

    /// Lends the next slot to be filled in place. [`Loan::send`] publishes the message.
    ///
    /// The loan fixes the message's position in the order. Messages that other publishers publish meanwhile are
    /// delivered only after it, so do not keep a loan for long. A loan that is dropped unsent leaves a gap in the
    /// sequence numbers. A subscriber of a lossy channel that is overtaken there counts the gap as a missed message. In
    /// a lossless channel, the room of the gap is free again when every subscriber has passed it, as that of a message.
    ///
    /// # Errors
    ///
    /// [`SendError::Hardened`] if this end is [hardened](crate::Queue::hardened); otherwise as for
    /// [`send`](Publisher::send).
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

    /// Lends the next slot without waiting: see [`loan`](Publisher::loan).
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if it would have to wait; otherwise as for `loan`.
    pub fn try_loan(&mut self) -> Result<Loan<'_, T>, TryLoanError> {
        self.port.take_turn_in_place(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, 0))
    }

    /// Lends the next slot, and waits for it at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] if there was none in time; otherwise as for [`send`](Publisher::send).
    pub fn loan_timeout(&mut self, limit: Duration) -> Result<Loan<'_, T>, LoanTimeoutError> {
        self.port
            .take_turn_in_place(|| Patience::from_timeout(limit))
            .map_err(|blocked| send_timeout_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, 0))
    }

    /// Lends up to `max` slots in a row to be filled in place and published together. Waits for the first one.
    ///
    /// There may be fewer than `max`: if subscribers have left no room for more, if another publisher is still at work
    /// in one of the slots, or if the ring ends before. If `max` is 0, none is taken, and nothing waited for. In a lossy channel there are at most 1,024, and no more than
    /// an eighth of the [capacity](super::Broadcast::capacity), rounded down, but always one.
    ///
    /// The batch fixes the messages' positions in the order, as a [`loan`](Publisher::loan) does, and no other message
    /// comes between them. To a subscriber that receives in order, [`LoanBatch::send`] publishes all of them at once.
    /// (One that begins in the middle of the batch, with its history or after it was overtaken, may receive the later
    /// ones before that.) If this publisher dies, either all of the messages are published or none, and
    /// [`lost`](Publisher::lost) then counts the whole batch.
    ///
    /// Slots that are given back, by [`LoanBatch::send_first`] or by dropping the batch, leave a gap in the sequence
    /// numbers.
    ///
    /// # Errors
    ///
    /// As for [`loan`](Publisher::loan).
    ///
    /// ```
    /// # let pages = ipc_core::Broadcast::<[u64; 4]>::new("loan_batch").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (pages.publisher()?, pages.subscriber()?);
    /// let mut batch = publisher.loan_batch(3)?;
    /// for (number, message) in batch.iter_mut().enumerate() {
    ///     *message = [number as u64; 4];
    /// }
    /// batch.send();
    /// let received = subscriber.recv_batch_ref(100)?.unwrap();
    /// assert!(received.iter().map(|message| message[0]).eq([0, 1, 2]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan_batch(&mut self, max: usize) -> Result<LoanBatch<'_, T>, LoanError> {
        self.port.take_turns_in_place(max, || Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        Ok(LoanBatch::lent_by(&mut *self.port, max))
    }

    /// Lends up to `max` slots without waiting: see [`loan_batch`](Publisher::loan_batch).
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if it would have to wait; otherwise as for `loan_batch`.
    pub fn try_loan_batch(&mut self, max: usize) -> Result<LoanBatch<'_, T>, TryLoanError> {
        self.port.take_turns_in_place(max, || Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(LoanBatch::lent_by(&mut *self.port, max))
    }

    /// As [`loan_batch`](Publisher::loan_batch), waiting for the first slot at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] if there was none in time; otherwise as for `loan_batch`.
    pub fn loan_batch_timeout(&mut self, max: usize, limit: Duration) -> Result<LoanBatch<'_, T>, LoanTimeoutError> {
        self.port
            .take_turns_in_place(max, || Patience::from_timeout(limit))
            .map_err(|blocked| send_timeout_error((), blocked))?;
        Ok(LoanBatch::lent_by(&mut *self.port, max))
    }

    /// Takes the next slot if that does not take waiting. It is this publisher's until it has published.
    #[cfg(feature = "async")]
    pub(crate) fn try_room(&mut self) -> Result<(), TryLoanError> {
        self.port.take_turn(|| Patience::None).map_err(|blocked| try_send_error((), blocked))
    }
}

/// Messages of any kind.
impl<T: IpcMessage + ?Sized> Publisher<T> {
    pub(super) fn new(port: Port<Outlet>) -> Self {
        Publisher { port: CachePadded::new(port), message: PhantomData }
    }

    /// Lends room for a message whose tail has `len` items, or `len` bytes of text. Waits if there is no room.
    ///
    /// See [`Sender::loan_len`](crate::Sender::loan_len) for the contents of the loan, and [`loan`](Publisher::loan)
    /// for the order of messages, and for when the room of a dropped loan is free again.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if the message is longer than the channel can carry; otherwise as for
    /// [`loan`](Publisher::loan).
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

    /// Lends room without waiting: see [`loan_len`](Publisher::loan_len).
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if it would have to wait; otherwise as for `loan_len`.
    pub fn try_loan_len(&mut self, len: usize) -> Result<Loan<'_, T>, TryLoanError> {
        self.port.claim::<T>(len).map_err(|too_large| TrySendError::TooLarge((), too_large))?;
        self.port.take_turn_in_place(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(Loan::new(&mut *self.port, len))
    }

    /// Lends room, and waits for it for at most `limit`: see [`loan_len`](Publisher::loan_len).
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

    /// Publishes a copy of a message of any length, and waits for room if there is none.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if the message is longer than the channel can carry; otherwise as for
    /// [`send`](Publisher::send).
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

    /// Publishes a copy of a message of any length without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if it would have to wait; otherwise as for [`send_copy`](Publisher::send_copy).
    pub fn try_send_copy(&mut self, message: &T) -> Result<(), TryLoanError> {
        self.port.claim::<T>(T::tail_len(message)).map_err(|too_large| TrySendError::TooLarge((), too_large))?;
        self.port.take_turn(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        self.publish(message);
        Ok(())
    }

    /// Publishes a copy of a message, and waits for room at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`loan_len_timeout`](Publisher::loan_len_timeout).
    pub fn send_copy_timeout(&mut self, message: &T, limit: Duration) -> Result<(), LoanTimeoutError> {
        self.port.claim::<T>(T::tail_len(message)).map_err(|too_large| SendTimeoutError::TooLarge((), too_large))?;
        self.port.take_turn(|| Patience::from_timeout(limit)).map_err(|blocked| send_timeout_error((), blocked))?;
        self.publish(message);
        Ok(())
    }

    /// Publishes copies of messages of any length in order: see [`send_batch`](Publisher::send_batch).
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
        self.port.send_frames(messages.into_iter())
    }

    /// The longest tail that this channel can carry, in items or bytes of text; 0 if the message type has no tail.
    pub fn max_len(&self) -> usize {
        longest_tail::<T>(self.port.limit_bytes())
    }

    /// The number of messages that a publisher can be ahead of a subscriber that has just joined; if messages vary in
    /// length, the size of the ring in bytes.
    pub fn capacity(&self) -> usize {
        self.port.info().capacity
    }

    /// The number of messages that the slowest subscriber has yet to receive: a snapshot. Always 0 in a lossy channel,
    /// whose subscribers do not report their positions.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.port.end().len()
    }

    /// The number of messages that publishers had begun but not published when they died, since the channel was
    /// created.
    pub fn lost(&self) -> u64 {
        self.port.end().losses()
    }

    /// The channel's actual options, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.port.info()
    }

    /// Writes the message into the room that was claimed for it, and publishes it.
    fn publish(&mut self, message: &T) {
        // SAFETY: the room is this end's own, aligned for a `T`, and large enough for one with such a tail.
        unsafe { message.place(T::pointer(self.port.payload(), T::tail_len(message))) };
        self.port.pass();
    }
}

/// Ready when it can publish without waiting, which in a lossy channel is nearly always so. A subscriber that closes or
/// dies is not an event for a publisher: it only stops waiting for that subscriber.
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
