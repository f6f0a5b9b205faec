//! The sending end of a queue.

use super::link::{Link, SenderLink};
use crate::error::{LoanError, SendBatchError, SendError, SendTimeoutError, TryLoanError, TrySendError};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::station::{Blocked, Patience};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use crossbeam_utils::CachePadded;

/// The sending end of a queue. Dropping it closes it: the receiver gets what was sent, and then the end.
///
/// A sender may be moved to another thread. What it sends while nobody receives waits in the channel.
pub struct Sender<T> {
    /// Padded, so that two ends in one process do not share a cache line.
    link: CachePadded<SenderLink>,
    message: PhantomData<fn(T)>,
}

impl<T: IpcMessage> Sender<T> {
    pub(super) fn new(link: SenderLink) -> Self {
        Sender { link: CachePadded::new(link), message: PhantomData }
    }

    /// Sends a message, and waits for room if the channel is full.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] or [`SendError::ReceiverDied`] if the channel is full and nobody will empty it (while there
    /// is room, messages are kept for the next receiver), [`SendError::Corrupt`] if the segment is damaged.
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

    /// Sends a message if there is room now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] gives the message back; otherwise as for [`send`](Sender::send).
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

    /// Sends a message, and waits for room at most `limit`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError::Timeout`] gives the message back; otherwise as for [`send`](Sender::send).
    #[inline(always)]
    pub fn send_timeout(&mut self, message: T, limit: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_within(message, || Patience::from_timeout(limit)).map_err(|(message, blocked)| match blocked {
            Blocked::Timeout => SendTimeoutError::Timeout(message),
            Blocked::Closed => SendTimeoutError::Closed(message),
            Blocked::Died(peer) => SendTimeoutError::ReceiverDied(message, peer),
            Blocked::Corrupt(corrupt) => SendTimeoutError::Corrupt(message, corrupt),
        })
    }

    /// Sends every message of `messages`, in order, waiting for room as [`send`](Sender::send) does, and returns how
    /// many there were. The receiver is woken once for the batch, or when the channel is full.
    ///
    /// # Errors
    ///
    /// As for `send`; [`SendBatchError`] says how many were sent, gives the next one back, and leaves the rest in the
    /// iterator (pass `&mut iterator` to keep it).
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
        };
        sent.map_err(|(sent, message, blocked)| SendBatchError { sent, error: send_error(message, blocked) })
    }

    /// Lends the next slot, to be filled in place; waits for one if the channel is full. [`Loan::send`] publishes it.
    ///
    /// # Errors
    ///
    /// As for [`send`](Sender::send).
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
        self.link.take_turn(|| Patience::Forever).map_err(|blocked| send_error((), blocked))?;
        Ok(Loan::new(&mut self.link))
    }

    /// Lends the next slot if one is free now.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] if none is; otherwise as for [`send`](Sender::send).
    pub fn try_loan(&mut self) -> Result<Loan<'_, T>, TryLoanError> {
        self.link.take_turn(|| Patience::None).map_err(|blocked| try_send_error((), blocked))?;
        Ok(Loan::new(&mut self.link))
    }

    /// Messages that fit into the channel.
    pub fn capacity(&self) -> usize {
        self.link.info().capacity
    }

    /// Messages in the channel, as far as can be seen at this moment: the receiver may be at work.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.link.len()
    }

    /// Messages that were lost with those who died, since the channel was created: those that a sender of a shared queue
    /// had begun and not published, and those that a receiver held, if they are not to be delivered again (see
    /// [`Queue::redeliver`](super::Queue::redeliver)). Of an exclusive queue there are none.
    pub fn lost(&self) -> u64 {
        self.link.losses()
    }

    /// The channel as it is, beside what was asked for.
    pub fn info(&self) -> &ChannelInfo {
        self.link.info()
    }

    #[inline(always)]
    fn send_within(&mut self, message: T, patience: impl FnOnce() -> Patience) -> Result<(), (T, Blocked)> {
        match &mut *self.link {
            Link::Exclusive(port) => port.send(message, patience),
            Link::Shared(port) => port.send(message, patience),
        }
    }
}

impl<T> Sealed for Sender<T> {
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

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("channel", &self.link.info().name).finish_non_exhaustive()
    }
}

/// A slot of the channel, to be filled in place: it derefs to the message.
///
/// It holds *some* valid value: an earlier message, or a blank one. Dropped without [`send`](Loan::send), it is given
/// back and nothing is sent. Assigning a whole message copies its padding, if it has any, into the segment; assigning
/// field by field, or [`Sender::send`], does not.
///
/// The slot is memory that the channel's other participants can write too. That is sound as long as they are slipring
/// programs, which leave a loaned slot alone whatever happens to them.
#[must_use = "a loaned slot that is not sent is given back"]
pub struct Loan<'a, T: IpcMessage> {
    link: &'a mut SenderLink,
    message: PhantomData<&'a mut T>,
}

impl<'a, T: IpcMessage> Loan<'a, T> {
    /// Takes the slot that `link` has been found to own.
    fn new(link: &'a mut SenderLink) -> Self {
        if !T::ANY_BITS {
            // SAFETY: the slot is this end's own, and large and aligned enough for a `T`, which the geometry ensures.
            unsafe { T::place_blank(link.payload()) };
        }
        Loan { link, message: PhantomData }
    }

    /// Publishes the message.
    pub fn send(self) {
        let mut unsent = ManuallyDrop::new(self);
        unsent.link.pass();
    }
}

impl<T: IpcMessage> Deref for Loan<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is this end's own and holds a valid `T`: any bits are one, or `new` has placed one.
        unsafe { &*self.link.payload::<T>() }
    }
}

impl<T: IpcMessage> DerefMut for Loan<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `self.link` is borrowed uniquely.
        unsafe { &mut *self.link.payload::<T>() }
    }
}

impl<T: IpcMessage> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        self.link.abandon();
    }
}

impl<T: IpcMessage + fmt::Debug> fmt::Debug for Loan<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Loan").field(&**self).finish()
    }
}

#[cold]
fn send_error<V>(value: V, blocked: Blocked) -> SendError<V> {
    match blocked {
        // A wait without a limit does not end in time; a clock that ran out all the same means a closed channel.
        Blocked::Timeout | Blocked::Closed => SendError::Closed(value),
        Blocked::Died(peer) => SendError::ReceiverDied(value, peer),
        Blocked::Corrupt(corrupt) => SendError::Corrupt(value, corrupt),
    }
}

#[cold]
fn try_send_error<V>(value: V, blocked: Blocked) -> TrySendError<V> {
    match blocked {
        Blocked::Timeout => TrySendError::Full(value),
        Blocked::Closed => TrySendError::Closed(value),
        Blocked::Died(peer) => TrySendError::ReceiverDied(value, peer),
        Blocked::Corrupt(corrupt) => TrySendError::Corrupt(value, corrupt),
    }
}
