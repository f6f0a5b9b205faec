//! The receiving end of a queue.

use super::chunk::ReceivedBatch;
use super::link::{Link, ReceiverLink};
use super::received::{Iter, Received};
use crate::error::{Corrupt, RecvError, RecvTimeoutError, TryRecvError};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::message::tail::Copied;
use crate::station::{Blocked, Patience};
use core::fmt;
use core::iter;
use core::marker::PhantomData;
use core::time::Duration;
use crossbeam_utils::CachePadded;

/// The receiving end of a queue.
///
/// Dropping a receiver closes it. Messages that it did not receive stay for the next receiver.
///
/// # Choosing a method
///
/// | | waits for a message | does not wait | waits at most a limit |
/// |---|---|---|---|
/// | by value | [`recv`] | [`try_recv`] | [`recv_timeout`] |
/// | by value, any length | [`recv_boxed`] | [`try_recv_boxed`] | [`recv_boxed_timeout`] |
/// | in place | [`recv_ref`] | [`try_recv_ref`] | [`recv_ref_timeout`] |
/// | many messages | [`recv_batch`], [`recv_batch_ref`] | [`try_recv_batch_ref`] | |
///
/// [`recv`]: Receiver::recv
/// [`try_recv`]: Receiver::try_recv
/// [`recv_timeout`]: Receiver::recv_timeout
/// [`recv_boxed`]: Receiver::recv_boxed
/// [`try_recv_boxed`]: Receiver::try_recv_boxed
/// [`recv_boxed_timeout`]: Receiver::recv_boxed_timeout
/// [`recv_ref`]: Receiver::recv_ref
/// [`try_recv_ref`]: Receiver::try_recv_ref
/// [`recv_ref_timeout`]: Receiver::recv_ref_timeout
/// [`recv_batch`]: Receiver::recv_batch
/// [`recv_batch_ref`]: Receiver::recv_batch_ref
/// [`try_recv_batch_ref`]: Receiver::try_recv_batch_ref
///
/// Methods that receive *by value* copy the message out word by word, free its slot, and then validate the copy. They
/// are sound whatever other processes write. Methods that receive *in place* return a guard that refers to shared
/// memory.
///
/// # End of stream and deaths
///
/// Every method returns `Ok(None)` (or 0) once all senders have closed and all of their messages were received. A
/// receiver that opens an empty channel waits for the next sender instead. The death of a sender that did not close is
/// reported once, after its messages. The next call then waits for a successor.
///
/// # Threads and forks
///
/// A receiver is `Send` and `Sync`. All methods that receive take `&mut self`; threads that share a receiver by
/// reference can only call [`info`](Receiver::info), [`len`](Receiver::len), [`capacity`](Receiver::capacity) and
/// [`lost`](Receiver::lost). To receive in several threads, use a `Mutex`, or open a receiver of a shared queue for
/// each thread.
///
/// A receiver does not survive a fork. In the child every method returns `Forked`, and dropping the receiver has no
/// effect on the channel, which still belongs to the parent. The child may open the channel again.
pub struct Receiver<T: ?Sized> {
    /// Padded, so that two ends in one process do not share a cache line.
    link: CachePadded<ReceiverLink>,
    message: PhantomData<fn() -> T>,
}

/// Messages of one length.
impl<T: IpcMessage> Receiver<T> {
    /// Receives a message, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// - [`RecvError::SenderDied`] once for every sender that died without closing.
    /// - [`RecvError::Corrupt`] if a message is invalid (it is skipped), or if the segment is damaged.
    /// - [`RecvError::Forked`] in a forked child.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<u64>::new("recv").spsc().domain(format!("doc-{}", std::process::id()));
    /// # let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// # tx.send(7)?;
    /// # drop(tx);
    /// while let Some(message) = rx.recv()? {
    ///     println!("{message}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn recv(&mut self) -> Result<Option<T>, RecvError> {
        self.recv_within(|| Patience::Forever, recv_end)
    }

    /// Receives a message without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if the channel is empty but not closed; otherwise as for [`recv`](Receiver::recv).
    ///
    /// ```
    /// use ipc_core::{Queue, TryRecvError};
    /// # let queue = Queue::<u64>::new("try").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// tx.send(1)?;
    /// assert_eq!(rx.try_recv(), Ok(Some(1)));
    /// drop(tx);
    /// assert_eq!(rx.try_recv(), Ok(None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<Option<T>, TryRecvError> {
        self.recv_within(|| Patience::None, try_recv_end)
    }

    /// Receives a message, and waits for one for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`] if no message came in time; otherwise as for [`recv`](Receiver::recv).
    ///
    /// ```
    /// use ipc_core::{Queue, RecvTimeoutError};
    /// use std::time::Duration;
    /// # let queue = Queue::<u64>::new("recv_timeout").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    /// tx.send(1)?;
    /// assert_eq!(rx.recv_timeout(Duration::from_secs(1))?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<T>, RecvTimeoutError> {
        self.recv_within(|| Patience::from_timeout(limit), recv_timeout_end)
    }

    /// Appends up to `max` messages to `batch`, and returns how many. Waits for the first one; 0 means end of stream.
    ///
    /// Of a shared queue this takes what is there, up to `max`, for this receiver alone, and others get what comes after it.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Receiver::recv). After an invalid message, `batch` holds the messages before it. Call again for
    /// the ones after it.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<u64>::new("recv_batch").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send_batch(1..=3)?;
    /// let mut batch = Vec::new();
    /// assert_eq!(rx.recv_batch(&mut batch, 2)?, 2);
    /// assert_eq!(rx.recv_batch(&mut batch, 2)?, 1);
    /// assert_eq!(batch, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_batch(&mut self, batch: &mut Vec<T>, max: usize) -> Result<usize, RecvError> {
        match self.recv_batch_within(batch, max, Patience::Forever) {
            Ok(received) => Ok(received?),
            Err(blocked) => recv_end(blocked).map(|()| 0),
        }
    }

    /// As [`recv_batch`](Receiver::recv_batch), if there is a message now.
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Receiver::try_recv), and for `recv_batch`.
    pub fn try_recv_batch(&mut self, batch: &mut Vec<T>, max: usize) -> Result<usize, TryRecvError> {
        match self.recv_batch_within(batch, max, Patience::None) {
            Ok(received) => Ok(received?),
            Err(blocked) => try_recv_end(blocked).map(|()| 0),
        }
    }

    /// As [`recv_batch`](Receiver::recv_batch), waiting for the first message at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Receiver::recv_timeout), and for `recv_batch`.
    pub fn recv_batch_timeout(
        &mut self,
        batch: &mut Vec<T>,
        max: usize,
        limit: Duration,
    ) -> Result<usize, RecvTimeoutError> {
        match self.recv_batch_within(batch, max, Patience::from_timeout(limit)) {
            Ok(received) => Ok(received?),
            Err(blocked) => recv_timeout_end(blocked).map(|()| 0),
        }
    }

    fn recv_batch_within(
        &mut self,
        batch: &mut Vec<T>,
        max: usize,
        patience: Patience,
    ) -> Result<Result<usize, Corrupt>, Blocked> {
        match &mut *self.link {
            Link::Exclusive(port) => port.recv_batch(batch, max, || patience),
            Link::Shared(port) => port.recv_batch(batch, max, || patience),
            Link::Frames(_) | Link::SharedFrames(_) => unreachable!("a message of one length travels in slots"),
        }
    }

    /// Receives up to `max` messages in place, and waits for the first one. Dropping the guard frees all of their
    /// slots.
    ///
    /// Of a shared queue this takes what is there, up to `max`, for this receiver alone: also the messages that it does not
    /// [release](ReceivedBatch::release_first). If it dies, those that it has not released are delivered again.
    ///
    /// # Errors
    ///
    /// As for [`recv_ref`](Receiver::recv_ref). The messages before an invalid one are returned first.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<u64>::new("recv_batch_ref").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send_batch(1..=3)?;
    /// let batch = rx.recv_batch_ref(100)?.expect("the sender has not closed");
    /// assert_eq!(batch.iter().sum::<u64>(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_batch_ref(&mut self, max: usize) -> Result<Option<ReceivedBatch<'_, T>>, RecvError> {
        if let Err(blocked) = self.link.take_turns_in_place(max, || Patience::Forever) {
            return recv_end(blocked).map(|()| None);
        }
        Ok(Some(ReceivedBatch::new(&mut self.link, max)?))
    }

    /// Receives up to `max` messages in place without waiting: see [`recv_batch_ref`](Receiver::recv_batch_ref).
    ///
    /// # Errors
    ///
    /// As for [`try_recv_ref`](Receiver::try_recv_ref).
    pub fn try_recv_batch_ref(&mut self, max: usize) -> Result<Option<ReceivedBatch<'_, T>>, TryRecvError> {
        if let Err(blocked) = self.link.take_turns_in_place(max, || Patience::None) {
            return try_recv_end(blocked).map(|()| None);
        }
        Ok(Some(ReceivedBatch::new(&mut self.link, max)?))
    }

    /// As [`recv_batch_ref`](Receiver::recv_batch_ref), waiting for the first message at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`recv_ref_timeout`](Receiver::recv_ref_timeout).
    pub fn recv_batch_ref_timeout(
        &mut self,
        max: usize,
        limit: Duration,
    ) -> Result<Option<ReceivedBatch<'_, T>>, RecvTimeoutError> {
        if let Err(blocked) = self.link.take_turns_in_place(max, || Patience::from_timeout(limit)) {
            return recv_timeout_end(blocked).map(|()| None);
        }
        Ok(Some(ReceivedBatch::new(&mut self.link, max)?))
    }

    /// Iterates over the messages, by value, until end of stream. It waits as [`recv`](Receiver::recv) does.
    ///
    /// An error is an item, and does not end the iteration. Stop at [`Corrupt::Stamp`], after which every item is that
    /// error.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<u64>::new("iter").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send_batch(1..=3)?;
    /// drop(tx);
    /// assert_eq!(rx.iter().collect::<Result<Vec<_>, _>>()?, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&mut self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    /// Receives the messages that are there now, without waiting for others. An error is an item too; what there is to say
    /// about it is said at [`iter`](Receiver::iter).
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<u64>::new("try_iter").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send_batch([1, 2])?;
    /// let sum: u64 = rx.try_iter().sum::<Result<_, _>>()?;
    /// assert_eq!(sum, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_iter(&mut self) -> impl Iterator<Item = Result<T, RecvError>> {
        // `None` where there is none now, and where the end has come.
        iter::from_fn(|| self.recv_within(|| Patience::None, recv_end).transpose())
    }

    #[inline(always)]
    fn recv_within<E: From<Corrupt>>(
        &mut self,
        patience: impl FnOnce() -> Patience,
        end: impl FnOnce(Blocked) -> Result<(), E>,
    ) -> Result<Option<T>, E> {
        match &mut *self.link {
            Link::Exclusive(port) => port.recv(patience, end),
            Link::Shared(port) => port.recv(patience, end),
            _ => unreachable!("a message of one length travels in slots"),
        }
    }
}

/// Messages of any kind.
impl<T: IpcMessage + ?Sized> Receiver<T> {
    pub(super) fn new(link: ReceiverLink) -> Self {
        Receiver { link: CachePadded::new(link), message: PhantomData }
    }

    /// Receives a message in place, and waits for one if there is none. Dropping the guard frees the slot.
    ///
    /// The message is validated before this returns. It stays in memory that other participants can write. That is
    /// sound as long as they are slipring programs: those never write to a received slot, even if they crash. Receive
    /// by value if you trust the other participants less than that.
    ///
    /// If this process dies while it holds the guard, the message counts as not received. A shared queue delivers it to
    /// another receiver (see [`Received::redelivered`]). In an exclusive queue, the next receiver gets it, and its
    /// [`ChannelInfo::predecessor`] reports the death.
    ///
    /// # Errors
    ///
    /// [`RecvError::Hardened`] if this end is [hardened](super::Queue::hardened); otherwise as for
    /// [`recv`](Receiver::recv).
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<[u64; 512]>::new("recv_ref").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send([9; 512])?;
    /// let page = rx.recv_ref()?.expect("the sender has not closed");
    /// assert_eq!(page[511], 9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_ref(&mut self) -> Result<Option<Received<'_, T>>, RecvError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::Forever) {
            return recv_end(blocked).map(|()| None);
        }
        Ok(Some(Received::new(&mut self.link)?))
    }

    /// Receives a message in place without waiting: see [`recv_ref`](Receiver::recv_ref).
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Hardened`] if this end is hardened; otherwise as for [`try_recv`](Receiver::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<Option<Received<'_, T>>, TryRecvError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::None) {
            return try_recv_end(blocked).map(|()| None);
        }
        Ok(Some(Received::new(&mut self.link)?))
    }

    /// Shows messages that are there to `take`, one after the other and `max` at most, and frees the slot of each after it.
    /// Returns how many there were, which is not always all. Does not wait. From a shared queue they are taken by one claim.
    ///
    /// # Errors
    ///
    /// As for [`try_recv_ref`](Receiver::try_recv_ref). The messages before an invalid one have been shown.
    #[doc(hidden)]
    #[inline]
    pub fn try_recv_each(&mut self, max: usize, mut take: impl FnMut(&T)) -> Result<Option<usize>, TryRecvError> {
        if let Err(blocked) = self.link.take_turns_in_place(max, || Patience::None) {
            return try_recv_end(blocked).map(|()| None);
        }
        match &mut *self.link {
            Link::Exclusive(port) => Ok(Some(port.recv_each(max, take)?)),
            Link::Shared(port) => Ok(Some(port.recv_each(max, take)?)),
            _ if max == 0 => Ok(Some(0)),
            _ => {
                take(&*Received::new(&mut self.link)?);
                Ok(Some(1))
            }
        }
    }

    /// Receives a message in place, and waits for one for at most `limit`: see [`recv_ref`](Receiver::recv_ref).
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Hardened`] if this end is hardened; otherwise as for
    /// [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_ref_timeout(&mut self, limit: Duration) -> Result<Option<Received<'_, T>>, RecvTimeoutError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::from_timeout(limit)) {
            return recv_timeout_end(blocked).map(|()| None);
        }
        Ok(Some(Received::new(&mut self.link)?))
    }

    /// Waits for at most `limit` until a message, or end of stream, can be received without waiting. Returns whether it
    /// can.
    ///
    /// A `limit` of zero does not wait. In a shared queue, the message is reserved for this receiver. Another receiver
    /// gets it only if this one is dropped or dies first.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Receiver::recv). A death that is reported here is not reported again.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # let queue = ipc_core::Queue::<u64>::new("poll").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// assert!(!rx.poll(Duration::ZERO)?);
    /// tx.send(7)?;
    /// assert!(rx.poll(Duration::from_secs(1))?);
    /// assert_eq!(rx.try_recv(), Ok(Some(7)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll(&mut self, limit: Duration) -> Result<bool, RecvError> {
        match self.link.take_turn(|| Patience::from_timeout(limit)) {
            Ok(()) => Ok(true),
            Err(Blocked::Timeout) => Ok(false),
            Err(blocked) => recv_end(blocked).map(|()| true),
        }
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

    /// Receives a message of any length by value, and waits for one if there is none.
    ///
    /// The message is copied out word by word, its slot is freed, and the copy is validated.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Receiver::recv).
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<str>::new("recv_boxed").spsc().domain(format!("doc-{}", std::process::id()));
    /// let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// tx.send_copy("text of any length")?;
    /// drop(tx);
    /// assert_eq!(rx.recv_boxed()?.as_deref(), Some("text of any length"));
    /// assert_eq!(rx.recv_boxed()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_boxed(&mut self) -> Result<Option<Box<T>>, RecvError> {
        if let Err(blocked) = self.link.take_turn(|| Patience::Forever) {
            return recv_end(blocked).map(|()| None);
        }
        Ok(Some(self.take_boxed()?))
    }

    /// Receives a message of any length by value without waiting: see [`recv_boxed`](Receiver::recv_boxed).
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Receiver::try_recv).
    pub fn try_recv_boxed(&mut self) -> Result<Option<Box<T>>, TryRecvError> {
        if let Err(blocked) = self.link.take_turn(|| Patience::None) {
            return try_recv_end(blocked).map(|()| None);
        }
        Ok(Some(self.take_boxed()?))
    }

    /// Receives a message of any length by value, and waits for at most `limit`: see
    /// [`recv_boxed`](Receiver::recv_boxed).
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_boxed_timeout(&mut self, limit: Duration) -> Result<Option<Box<T>>, RecvTimeoutError> {
        if let Err(blocked) = self.link.take_turn(|| Patience::from_timeout(limit)) {
            return recv_timeout_end(blocked).map(|()| None);
        }
        Ok(Some(self.take_boxed()?))
    }

    /// As [`recv_batch`](Receiver::recv_batch), for messages of any length, each in a box of its own.
    ///
    /// # Errors
    ///
    /// As for `recv_batch`.
    pub fn recv_boxed_batch(&mut self, batch: &mut Vec<Box<T>>, max: usize) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        if let Err(blocked) = self.link.take_turn(|| Patience::Forever) {
            return recv_end(blocked).map(|()| 0);
        }
        let before = batch.len();
        loop {
            batch.push(self.take_boxed()?);
            let received = batch.len() - before;
            if received == max || self.link.take_turn(|| Patience::None).is_err() {
                return Ok(received);
            }
        }
    }

    /// Copies the message out of the slot that this end owns, frees the slot, and validates the copy.
    fn take_boxed(&mut self) -> Result<Box<T>, Corrupt> {
        let (bytes, tail_len) = match self.link.extent::<T>() {
            Ok(extent) => extent,
            Err(invalid) => return Err(self.link.skip(invalid)),
        };
        let slot = self.link.payload::<T>(tail_len).cast();
        // SAFETY: the slot is this end's own; it starts at a multiple of 8 bytes, has `bytes` in whole words, and
        // `extent` has told the length of the tail from them.
        let copy = unsafe { Copied::<T>::from_shared(slot, bytes, tail_len) };
        self.link.pass();
        Ok(copy.check()?)
    }
}

impl<T: ?Sized> Sealed for Receiver<T> {
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

impl<T: ?Sized> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("channel", &self.link.info().name).finish_non_exhaustive()
    }
}

#[cold]
#[inline(never)]
fn recv_end(blocked: Blocked) -> Result<(), RecvError> {
    match blocked {
        // A wait without a limit cannot time out.
        Blocked::Timeout | Blocked::Closed => Ok(()),
        Blocked::Died(peer) => Err(RecvError::SenderDied(peer)),
        Blocked::Corrupt(corrupt) => Err(RecvError::Corrupt(corrupt)),
        Blocked::Forked => Err(RecvError::Forked),
        Blocked::Evicted => Err(RecvError::Evicted),
        Blocked::Hardened => Err(RecvError::Hardened),
    }
}

#[cold]
#[inline(never)]
fn try_recv_end(blocked: Blocked) -> Result<(), TryRecvError> {
    match blocked {
        Blocked::Timeout => Err(TryRecvError::Empty),
        Blocked::Closed => Ok(()),
        Blocked::Died(peer) => Err(TryRecvError::SenderDied(peer)),
        Blocked::Corrupt(corrupt) => Err(TryRecvError::Corrupt(corrupt)),
        Blocked::Forked => Err(TryRecvError::Forked),
        Blocked::Evicted => Err(TryRecvError::Evicted),
        Blocked::Hardened => Err(TryRecvError::Hardened),
    }
}

#[cold]
#[inline(never)]
fn recv_timeout_end(blocked: Blocked) -> Result<(), RecvTimeoutError> {
    match blocked {
        Blocked::Timeout => Err(RecvTimeoutError::Timeout),
        Blocked::Closed => Ok(()),
        Blocked::Died(peer) => Err(RecvTimeoutError::SenderDied(peer)),
        Blocked::Corrupt(corrupt) => Err(RecvTimeoutError::Corrupt(corrupt)),
        Blocked::Forked => Err(RecvTimeoutError::Forked),
        Blocked::Evicted => Err(RecvTimeoutError::Evicted),
        Blocked::Hardened => Err(RecvTimeoutError::Hardened),
    }
}
