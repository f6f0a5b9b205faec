//! The sending end of a queue.

use super::chunk::LoanBatch;
use super::link::{Link, SenderLink};
use super::loan::Loan;
use crate::error::{
    LoanError, LoanTimeoutError, SendBatchError, SendError, SendTimeoutError, TryLoanError, TrySendError,
};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::station::{Blocked, Patience};
use core::borrow::Borrow;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use crossbeam_utils::CachePadded;

/// The sending end of a queue.
///
/// Dropping a sender closes it. The receiver still gets every message that was sent, and then end-of-stream
/// (`Ok(None)`). Messages that are sent before a receiver exists stay in the channel until one comes.
///
/// # Choosing a method
///
/// | | waits for room | does not wait | waits at most a limit |
/// |---|---|---|---|
/// | by value | [`send`] | [`try_send`] | [`send_timeout`] |
/// | a copy of a message of any length | [`send_copy`] | [`try_send_copy`] | |
/// | in place | [`loan`] | [`try_loan`] | |
/// | in place, any length | [`loan_len`] | [`try_loan_len`] | [`loan_len_timeout`] |
/// | many messages | [`send_batch`], [`loan_batch`] | [`try_loan_batch`] | |
///
/// [`send`]: Sender::send
/// [`try_send`]: Sender::try_send
/// [`send_timeout`]: Sender::send_timeout
/// [`send_copy`]: Sender::send_copy
/// [`try_send_copy`]: Sender::try_send_copy
/// [`loan`]: Sender::loan
/// [`try_loan`]: Sender::try_loan
/// [`loan_len`]: Sender::loan_len
/// [`try_loan_len`]: Sender::try_loan_len
/// [`loan_len_timeout`]: Sender::loan_len_timeout
/// [`send_batch`]: Sender::send_batch
/// [`loan_batch`]: Sender::loan_batch
/// [`try_loan_batch`]: Sender::try_loan_batch
///
/// # Threads and forks
///
/// A sender is `Send` and `Sync`. All methods that send take `&mut self`; threads that share a sender by reference can
/// only call [`info`](Sender::info), [`len`](Sender::len), [`capacity`](Sender::capacity), [`max_len`](Sender::max_len)
/// and [`lost`](Sender::lost). To send from several threads, use a `Mutex`, or open a sender of a shared queue for each
/// thread.
///
/// A sender does not survive a fork. In the child every method returns `Forked`, and dropping the sender has no effect
/// on the channel, which still belongs to the parent. The child may open the channel again.
pub struct Sender<T: ?Sized> {
    /// Padded, so that two ends in one process do not share a cache line.
    link: CachePadded<SenderLink>,
    message: PhantomData<fn(T)>,
}

/// Messages of one length.
impl<T: IpcMessage> Sender<T> {
    /// Sends a message, and waits for room if the channel is full.
    ///
    /// # Errors
    ///
    /// - [`SendError::Closed`] if the channel is full and its receivers have closed.
    /// - [`SendError::ReceiverDied`] if the channel is full and its receiver died. Each death is reported once.
    /// - [`SendError::Corrupt`] if the segment is damaged.
    /// - [`SendError::Forked`] in a forked child.
    ///
    /// While the channel has room, sending succeeds even without a receiver: the message stays for the next one.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<u64>::new("send").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send(7)?;
    /// drop(tx);
    /// assert_eq!(rx.recv()?, Some(7));
    /// assert_eq!(rx.recv()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn send(&mut self, message: T) -> Result<(), SendError<T>> {
        self.send_within(message, || Patience::Forever).map_err(|(message, blocked)| send_error(message, blocked))
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`], with the message, if the channel is full; otherwise as for [`send`](Sender::send).
    ///
    /// ```
    /// use ipc_core::{Queue, TrySendError};
    /// # let queue = Queue::<u64>::new("try").spsc().capacity(1).domain(format!("doc-{}", std::process::id()));
    /// let mut tx = queue.sender()?;
    /// # let rx = queue.receiver()?; // so that the doctest leaves nothing behind
    /// tx.try_send(1)?;
    /// assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    /// # drop(tx); drop(rx); queue.remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn try_send(&mut self, message: T) -> Result<(), TrySendError<T>> {
        self.send_within(message, || Patience::None).map_err(|(message, blocked)| try_send_error(message, blocked))
    }

    /// Sends a message, and waits for room for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`], with the message, if the channel stayed full; otherwise as for
    /// [`send`](Sender::send).
    ///
    /// ```
    /// use ipc_core::{Queue, SendTimeoutError};
    /// use std::time::Duration;
    /// # let queue = Queue::<u64>::new("send_timeout").spsc().capacity(1).domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send_timeout(1, Duration::from_secs(1))?;
    /// assert_eq!(tx.send_timeout(2, Duration::from_millis(1)), Err(SendTimeoutError::Timeout(2)));
    /// # rx.recv()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn send_timeout(&mut self, message: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_within(message, || Patience::from_timeout(limit))
            .map_err(|(message, blocked)| send_timeout_error(message, blocked))
    }

    /// Sends all of `messages` in order, and returns how many there were. Waits for room as [`send`](Sender::send)
    /// does.
    ///
    /// A sleeping receiver is woken once, at the end of the batch or when the channel is full; of a shared queue, as often as
    /// messages are published.
    ///
    /// A shared queue is asked for several slots at once: for as many as the iterator says that it still has messages for
    /// (the lower bound of its `size_hint`), and 64 at most. Their messages are published together, and what others send after
    /// that waits behind. So the iterator is not to wait for anything before its last message, and not to send to this queue by
    /// another sender.
    ///
    /// # Errors
    ///
    /// As for `send`. [`SendBatchError`] holds the number of messages sent and the one that was not. The rest stay in
    /// the iterator; pass `&mut iterator` to keep it. (Messages that have not been published when this sender is evicted, at most
    /// 64, are not sent; they count as [`lost`](Sender::lost).)
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<u64>::new("batch").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// assert_eq!(tx.send_batch(1..=3)?, 3);
    /// let mut batch = Vec::new();
    /// assert_eq!(rx.recv_batch(&mut batch, 100)?, 3);
    /// assert_eq!(batch, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_batch(&mut self, messages: impl IntoIterator<Item = T>) -> Result<usize, SendBatchError<T>> {
        let messages = messages.into_iter();
        let sent = match &mut *self.link {
            Link::Exclusive(port) => port.send_batch(messages, || Patience::Forever),
            Link::Shared(port) => port.send_batch(messages, || Patience::Forever),
            Link::Frames(_) | Link::SharedFrames(_) => unreachable!("a message of one length travels in slots"),
        };
        sent.map_err(|(sent, message, blocked)| SendBatchError { sent, error: send_error(message, blocked) })
    }

    /// Lends the next slot to be filled in place, and waits for one if the channel is full.
    ///
    /// [`Loan::send`] publishes the message. Dropping the loan gives the slot back unsent. In a shared queue, the slot has
    /// its place in the order by then: it counts against the capacity until a receiver has passed it.
    ///
    /// # Errors
    ///
    /// [`SendError::Hardened`] if this end is [hardened](super::Queue::hardened); otherwise as for
    /// [`send`](Sender::send).
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<[u64; 512]>::new("loan").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// let mut page = tx.loan()?;
    /// page.fill(9);
    /// page.send();
    /// assert_eq!(rx.recv_ref()?.unwrap()[511], 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan(&mut self) -> Result<Loan<'_, T>, LoanError> {
        self.link.take_turn_in_place(|| Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        Ok(Loan::new(&mut *self.link, 0))
    }

    /// Lends the next slot without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if the channel is full; otherwise as for [`loan`](Sender::loan).
    pub fn try_loan(&mut self) -> Result<Loan<'_, T>, TryLoanError> {
        self.link.take_turn_in_place(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(Loan::new(&mut *self.link, 0))
    }

    /// Lends the next slot, and waits for one at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] if none was free in time; otherwise as for [`send`](Sender::send).
    pub fn loan_timeout(&mut self, limit: Duration) -> Result<Loan<'_, T>, LoanTimeoutError> {
        self.link
            .take_turn_in_place(|| Patience::from_timeout(limit))
            .map_err(|blocked| send_timeout_error((), blocked))?;
        Ok(Loan::new(&mut *self.link, 0))
    }

    /// Lends up to `max` slots to be filled in place and published together. Waits for the first one if the channel is
    /// full. There are fewer if the others are not free, or beyond the end of the ring.
    ///
    /// In a shared queue, the slots have their place in the order by then, as that of a single [`loan`](Sender::loan) has:
    /// what others send meanwhile waits behind them. If the sender dies, the messages that it has not published are lost, and
    /// [counted](Sender::lost) one by one.
    ///
    /// # Errors
    ///
    /// As for [`loan`](Sender::loan).
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<[u64; 4]>::new("chunk").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// let mut batch = tx.loan_batch(3)?;
    /// for (number, message) in batch.iter_mut().enumerate() {
    ///     *message = [number as u64; 4];
    /// }
    /// batch.send();
    /// let received = rx.recv_batch_ref(100)?.unwrap();
    /// assert!(received.iter().map(|message| message[0]).eq([0, 1, 2]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan_batch(&mut self, max: usize) -> Result<LoanBatch<'_, T>, LoanError> {
        self.link.take_turns_in_place(max, || Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        Ok(LoanBatch::new(&mut self.link, max))
    }

    /// Lends up to `max` slots without waiting: see [`loan_batch`](Sender::loan_batch).
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if the channel is full; otherwise as for [`loan`](Sender::loan).
    pub fn try_loan_batch(&mut self, max: usize) -> Result<LoanBatch<'_, T>, TryLoanError> {
        self.link.take_turns_in_place(max, || Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(LoanBatch::new(&mut self.link, max))
    }

    /// As [`loan_batch`](Sender::loan_batch), waiting for the first slot at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] if none was free in time; otherwise as for [`send`](Sender::send).
    pub fn loan_batch_timeout(&mut self, max: usize, limit: Duration) -> Result<LoanBatch<'_, T>, LoanTimeoutError> {
        self.link
            .take_turns_in_place(max, || Patience::from_timeout(limit))
            .map_err(|blocked| send_timeout_error((), blocked))?;
        Ok(LoanBatch::new(&mut self.link, max))
    }

    /// Takes the next slot if one is free now. It is this sender's until it has sent.
    #[cfg(feature = "async")]
    pub(crate) fn try_room(&mut self) -> Result<(), TryLoanError> {
        self.link.take_turn(|| Patience::None).map_err(|blocked| try_send_error((), blocked))
    }

    #[inline(always)]
    fn send_within(&mut self, message: T, patience: impl FnOnce() -> Patience) -> Result<(), (T, Blocked)> {
        match &mut *self.link {
            Link::Exclusive(port) => port.send(message, patience),
            Link::Shared(port) => port.send(message, patience),
            _ => unreachable!("a message of one length travels in slots"),
        }
    }
}

/// Messages of any kind.
impl<T: IpcMessage + ?Sized> Sender<T> {
    pub(super) fn new(link: SenderLink) -> Self {
        Sender { link: CachePadded::new(link), message: PhantomData }
    }

    /// Lends room for a message whose tail has `len` items, or `len` bytes of text. Waits if there is no room.
    ///
    /// The *tail* is the trailing `[T]` or `str` of a message that varies in length. It starts out with valid items
    /// (text: NUL characters), to be overwritten. [`Loan::truncate`] shortens it. `len` is ignored for a message
    /// without a tail.
    ///
    /// [`Loan::send`] publishes the message. Dropping the loan gives the room back unsent; in a shared queue, when a
    /// receiver has passed it.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if the message is longer than the channel can carry; otherwise as for
    /// [`loan`](Sender::loan).
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<[u16]>::new("loan_len").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// let mut loan = tx.loan_len(3)?;
    /// loan.copy_from_slice(&[7, 8, 9]);
    /// loan.send();
    /// assert_eq!(rx.recv_ref()?.unwrap()[..], [7, 8, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    // Inlined, so that the guard is not moved: its fields would be read as soon as they were stored, and in wider pieces, for
    // which a processor waits until all stores before them are done, those to the last slot as well.
    #[inline]
    pub fn loan_len(&mut self, len: usize) -> Result<Loan<'_, T>, LoanError> {
        self.link.claim::<T>(len).map_err(|too_large| SendError::TooLarge((), too_large))?;
        self.link.take_turn_in_place(|| Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        Ok(Loan::new(&mut *self.link, len))
    }

    /// Lends room without waiting: see [`loan_len`](Sender::loan_len).
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is no room; otherwise as for `loan_len`. An empty channel has room for every
    /// message that is not too large.
    #[inline]
    pub fn try_loan_len(&mut self, len: usize) -> Result<Loan<'_, T>, TryLoanError> {
        self.link.claim::<T>(len).map_err(|too_large| TrySendError::TooLarge((), too_large))?;
        self.link.take_turn_in_place(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(Loan::new(&mut *self.link, len))
    }

    /// Lends room, and waits for it for at most `limit`: see [`loan_len`](Sender::loan_len).
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] if there was no room in time; otherwise as for `loan_len`.
    pub fn loan_len_timeout(&mut self, len: usize, limit: Duration) -> Result<Loan<'_, T>, LoanTimeoutError> {
        self.link.claim::<T>(len).map_err(|too_large| SendTimeoutError::TooLarge((), too_large))?;
        self.link
            .take_turn_in_place(|| Patience::from_timeout(limit))
            .map_err(|blocked| send_timeout_error((), blocked))?;
        Ok(Loan::new(&mut *self.link, len))
    }

    /// Sends a copy of a message of any length, and waits for room if there is none.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLarge`] if the message is longer than the channel can carry; otherwise as for
    /// [`send`](Sender::send).
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<str>::new("send_copy").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send_copy("text of any length")?;
    /// assert_eq!(*rx.recv_boxed()?.unwrap(), *"text of any length");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn send_copy(&mut self, message: &T) -> Result<(), LoanError> {
        if let Link::Exclusive(port) = &mut *self.link {
            return port.send_copy(message, || Patience::Forever).map_err(|blocked| send_error((), blocked));
        }
        let len = T::tail_len(message);
        self.link.claim::<T>(len).map_err(|too_large| SendError::TooLarge((), too_large))?;
        self.link.take_turn(|| Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        self.publish(message, len);
        Ok(())
    }

    /// Sends a copy of a message of any length without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if there is no room; otherwise as for [`send_copy`](Sender::send_copy).
    pub fn try_send_copy(&mut self, message: &T) -> Result<(), TryLoanError> {
        let len = T::tail_len(message);
        self.link.claim::<T>(len).map_err(|too_large| TrySendError::TooLarge((), too_large))?;
        self.link.take_turn(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        self.publish(message, len);
        Ok(())
    }

    /// Sends a copy of a message, and waits for room at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`loan_len_timeout`](Sender::loan_len_timeout).
    pub fn send_copy_timeout(&mut self, message: &T, limit: Duration) -> Result<(), LoanTimeoutError> {
        let len = T::tail_len(message);
        self.link.claim::<T>(len).map_err(|too_large| SendTimeoutError::TooLarge((), too_large))?;
        self.link.take_turn(|| Patience::from_timeout(limit)).map_err(|blocked| send_timeout_error((), blocked))?;
        self.publish(message, len);
        Ok(())
    }

    /// As [`send_batch`](Sender::send_batch), for messages of any length, of which copies are sent.
    ///
    /// # Errors
    ///
    /// As for `send_batch`, and [`SendError::TooLarge`] for a message that is too long.
    ///
    /// ```
    /// # let lines = ipc_core::Queue::<str>::new("copies").domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (lines.sender()?, lines.receiver()?);
    /// assert_eq!(tx.send_copy_batch(["one", "two", "three"])?, 3);
    /// let mut batch = Vec::new();
    /// assert_eq!(rx.recv_boxed_batch(&mut batch, 100)?, 3);
    /// assert_eq!(&*batch[2], "three");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send_copy_batch<M: Borrow<T>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<usize, SendBatchError<M>> {
        self.link.send_copy_batch(messages.into_iter())
    }

    /// The longest tail that this channel can carry, in items or bytes of text; 0 if the message type has no tail.
    pub fn max_len(&self) -> usize {
        self.link.max_tail_len::<T>()
    }

    /// The number of messages that the channel holds; if messages vary in length, the size of the ring in bytes.
    pub fn capacity(&self) -> usize {
        self.link.info().capacity
    }

    /// The number of messages in the channel. A snapshot: other ends may send and receive meanwhile.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.link.len()
    }

    /// The number of messages that were lost to crashes since the channel was created.
    ///
    /// A shared queue loses a message if its sender dies before publishing it, or, with
    /// [`redeliver(false)`](super::Queue::redeliver), if a receiver dies while holding it. An exclusive queue loses
    /// none.
    pub fn lost(&self) -> u64 {
        self.link.losses()
    }

    /// The channel's actual options, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.link.info()
    }

    /// Writes the message into the slot that was claimed for it, and publishes it.
    fn publish(&mut self, message: &T, tail_len: usize) {
        // SAFETY: the slot is this end's own, aligned for a `T`, and large enough for one whose tail is so long.
        unsafe { message.place(self.link.payload(tail_len)) };
        self.link.pass();
    }
}

/// Messages that are a slice.
impl<T: IpcMessage> Sender<[T]> {
    /// Sends a copy of `items` as one message: the same as [`send_copy`](Sender::send_copy).
    ///
    /// # Errors
    ///
    /// As for `send_copy`.
    pub fn send_slice(&mut self, items: &[T]) -> Result<(), LoanError> {
        self.send_copy(items)
    }
}

impl<T: ?Sized> Sealed for Sender<T> {
    fn interest(&self) -> Interest {
        self.link.interest()
    }

    fn look(&mut self) -> bool {
        self.link.look()
    }

    fn probe(&mut self) -> bool {
        self.link.probe()
    }
}

impl<T: ?Sized> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("channel", &self.link.info().name).finish_non_exhaustive()
    }
}

#[cold]
#[inline(never)]
pub(crate) fn send_error<V>(value: V, blocked: Blocked) -> SendError<V> {
    match blocked {
        // A wait without a limit cannot time out.
        Blocked::Timeout | Blocked::Closed => SendError::Closed(value),
        Blocked::Died(peer) => SendError::ReceiverDied(value, peer),
        Blocked::Corrupt(corrupt) => SendError::Corrupt(value, corrupt),
        Blocked::Forked => SendError::Forked(value),
        Blocked::Evicted => SendError::Evicted(value),
        Blocked::Hardened => SendError::Hardened(value),
    }
}

#[cold]
#[inline(never)]
pub(crate) fn try_send_error<V>(value: V, blocked: Blocked) -> TrySendError<V> {
    match blocked {
        Blocked::Timeout => TrySendError::Full(value),
        Blocked::Closed => TrySendError::Closed(value),
        Blocked::Died(peer) => TrySendError::ReceiverDied(value, peer),
        Blocked::Corrupt(corrupt) => TrySendError::Corrupt(value, corrupt),
        Blocked::Forked => TrySendError::Forked(value),
        Blocked::Evicted => TrySendError::Evicted(value),
        Blocked::Hardened => TrySendError::Hardened(value),
    }
}

#[cold]
#[inline(never)]
pub(crate) fn send_timeout_error<V>(value: V, blocked: Blocked) -> SendTimeoutError<V> {
    match blocked {
        Blocked::Timeout => SendTimeoutError::Timeout(value),
        Blocked::Closed => SendTimeoutError::Closed(value),
        Blocked::Died(peer) => SendTimeoutError::ReceiverDied(value, peer),
        Blocked::Corrupt(corrupt) => SendTimeoutError::Corrupt(value, corrupt),
        Blocked::Forked => SendTimeoutError::Forked(value),
        Blocked::Evicted => SendTimeoutError::Evicted(value),
        Blocked::Hardened => SendTimeoutError::Hardened(value),
    }
}
