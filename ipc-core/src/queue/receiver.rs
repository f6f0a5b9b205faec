//! The receiving end of a queue.

use super::chunk::ReceivedBatch;
use super::link::{Link, ReceiverLink};
use crate::error::{Corrupt, RecvError, RecvTimeoutError, TryRecvError};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::message::tail::Copied;
use crate::station::{Blocked, Patience};
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::time::Duration;
use crossbeam_utils::CachePadded;

/// The receiving end of a queue. Dropping it closes it; what was not received stays for the next receiver.
///
/// The verbs that return a message *by value* copy it out, word by word, free its slot and then validate the copy, so
/// they are sound whatever the other side does. Those that return a guard read in place.
///
/// Every verb returns `Ok(None)` (or 0) when the sender has closed and everything it sent was received. A receiver
/// that comes before the first sender waits for it, and one that comes back to a channel without messages waits for
/// the next. A sender that died without closing is reported once, after its messages; then the wait is for a successor.
///
/// # Threads and forks
///
/// A receiver is `Send`: it may move to another thread. It is `Sync`, too, but every verb takes `&mut self`, so threads
/// that share one get to ask for [`info`](Receiver::info), [`len`](Receiver::len) and [`capacity`](Receiver::capacity)
/// and nothing else; who wants to receive in many threads puts it into a `Mutex`.
///
/// In a child that was forked while it was open, it is dead: every verb returns `Forked`, and dropping it does nothing
/// to the channel, which is still the parent's. The child may open the channel again.
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
    /// [`RecvError::SenderDied`] once for every sender that died without closing; [`RecvError::Corrupt`] if a message
    /// (which is then skipped) or the segment is damaged.
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

    /// Receives a message if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is none but more may come; otherwise as for [`recv`](Receiver::recv).
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

    /// Receives a message, and waits for one at most `limit`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError::Timeout`] if none came in time; otherwise as for [`recv`](Receiver::recv).
    #[inline(always)]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<T>, RecvTimeoutError> {
        self.recv_within(|| Patience::from_timeout(limit), recv_timeout_end)
    }

    /// Appends up to `max` messages to `batch`, and waits for the first if there is none. Returns how many; 0 is the end.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Receiver::recv). What was received before a damaged message is in `batch`; call again for what
    /// comes after it.
    pub fn recv_batch(&mut self, batch: &mut Vec<T>, max: usize) -> Result<usize, RecvError> {
        let received = match &mut *self.link {
            Link::Exclusive(port) => port.recv_batch(batch, max, || Patience::Forever),
            Link::Shared(port) => port.recv_batch(batch, max, || Patience::Forever),
            Link::Frames(_) | Link::SharedFrames(_) => unreachable!("a message of one length travels in slots"),
        };
        match received {
            Ok(received) => Ok(received?),
            Err(blocked) => recv_end(blocked).map(|()| 0),
        }
    }

    /// Receives up to `max` messages in place, and waits for the first if there is none. `Ok(None)` is the end. All slots
    /// are freed together, when the guard is dropped. A shared queue gives one message at a time.
    ///
    /// # Errors
    ///
    /// As for [`recv_ref`](Receiver::recv_ref). The messages before a damaged one come first.
    pub fn recv_batch_ref(&mut self, max: usize) -> Result<Option<ReceivedBatch<'_, T>>, RecvError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::Forever) {
            return recv_end(blocked).map(|()| None);
        }
        Ok(Some(ReceivedBatch::new(&mut self.link, max)?))
    }

    /// As [`recv_batch_ref`](Receiver::recv_batch_ref), if there is a message now.
    ///
    /// # Errors
    ///
    /// As for [`try_recv_ref`](Receiver::try_recv_ref).
    pub fn try_recv_batch_ref(&mut self, max: usize) -> Result<Option<ReceivedBatch<'_, T>>, TryRecvError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::None) {
            return try_recv_end(blocked).map(|()| None);
        }
        Ok(Some(ReceivedBatch::new(&mut self.link, max)?))
    }

    /// Receives one message after the other, until the end. An error is an item too, after which the iteration goes on;
    /// after damage to the segment itself it would go on for ever, so stop there.
    pub fn iter(&mut self) -> Iter<'_, T> {
        Iter { receiver: self }
    }

    #[inline(always)]
    fn recv_within<E: From<Corrupt>>(
        &mut self,
        patience: impl FnOnce() -> Patience,
        end: impl FnOnce(Blocked) -> Result<(), E>,
    ) -> Result<Option<T>, E> {
        match &mut *self.link {
            Link::Exclusive(port) => port.recv(patience, end),
            link => {
                // What a call writes to lies in memory on every other way as well, so its message has a place of its own.
                let mut message = MaybeUninit::uninit();
                if recv_otherwise(link, &mut message, patience, end)? {
                    // SAFETY: so `recv_otherwise` has put a message there.
                    Ok(Some(unsafe { message.assume_init() }))
                } else {
                    Ok(None)
                }
            }
        }
    }
}

/// Messages of any kind.
impl<T: IpcMessage + ?Sized> Receiver<T> {
    pub(super) fn new(link: ReceiverLink) -> Self {
        Receiver { link: CachePadded::new(link), message: PhantomData }
    }

    /// Receives a message in place, and waits for one if there is none. The slot is freed when the guard is dropped.
    ///
    /// The message was validated before this returns. It stays in memory that the channel's other participants can
    /// write too: that is sound as long as they are slipring programs, which leave a received slot alone whatever
    /// happens to them. Receive by value where you trust them less than that.
    ///
    /// If this process dies while it holds the guard, the message was not received: another receiver gets it again (see
    /// [`Received::redelivered`]), on an exclusive queue the next one, whose [`ChannelInfo::predecessor`] says why.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Receiver::recv).
    pub fn recv_ref(&mut self) -> Result<Option<Received<'_, T>>, RecvError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::Forever) {
            return recv_end(blocked).map(|()| None);
        }
        Ok(Some(Received::new(&mut self.link)?))
    }

    /// Receives a message in place if there is one now.
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Receiver::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<Option<Received<'_, T>>, TryRecvError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::None) {
            return try_recv_end(blocked).map(|()| None);
        }
        Ok(Some(Received::new(&mut self.link)?))
    }

    /// Receives a message in place, and waits for one at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Receiver::recv_timeout).
    pub fn recv_ref_timeout(&mut self, limit: Duration) -> Result<Option<Received<'_, T>>, RecvTimeoutError> {
        if let Err(blocked) = self.link.take_turn_in_place(|| Patience::from_timeout(limit)) {
            return recv_timeout_end(blocked).map(|()| None);
        }
        Ok(Some(Received::new(&mut self.link)?))
    }

    /// Waits at most `limit` until there is something to receive: `Ok(true)` if a message, or the end, can be received
    /// without waiting, `Ok(false)` if not. With a limit of zero it only looks. On a shared queue the message is this
    /// receiver's own from then on, and goes to another one only if this one is dropped or dies without receiving it.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Receiver::recv): a death that is reported here is not reported again.
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

    /// Messages that fit into the channel; if they vary in length, the size of its ring in bytes.
    pub fn capacity(&self) -> usize {
        self.link.info().capacity
    }

    /// Messages in the channel, as far as can be seen at this moment: the sender may be at work.
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

    /// Receives a message by value, whatever its length, and waits for one if there is none. It is copied out, word by word,
    /// its slot is freed, and the copy is validated.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Receiver::recv).
    pub fn recv_boxed(&mut self) -> Result<Option<Box<T>>, RecvError> {
        if let Err(blocked) = self.link.take_turn(|| Patience::Forever) {
            return recv_end(blocked).map(|()| None);
        }
        Ok(Some(self.take_boxed()?))
    }

    /// As [`recv_boxed`](Receiver::recv_boxed), if there is a message now.
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

    /// As [`recv_boxed`](Receiver::recv_boxed), waiting for a message at most `limit`.
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

    /// Copies the message out of the slot that this end has been found to own, frees the slot, validates the copy.
    fn take_boxed(&mut self) -> Result<Box<T>, Corrupt> {
        let (bytes, tail_len) = match self.link.extent::<T>() {
            Ok(extent) => extent,
            Err(invalid) => return Err(self.link.skip(invalid)),
        };
        let slot = self.link.payload::<T>(tail_len).cast();
        // SAFETY: the slot is this end's own; it starts at a multiple of 8 bytes, has `bytes` in whole words, and `extent`
        // has told the length of the tail from them.
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

impl<'a, T: IpcMessage> IntoIterator for &'a mut Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The messages of a channel, by value. Made by [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T: IpcMessage> Iterator for Iter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.recv().transpose()
    }
}

/// A message in its slot. Dropping it frees the slot.
///
/// It is `Send` and `Sync`, as the message is: another thread may read it and drop it. After a fork the child's copy of
/// it leads to a blank slot of the child's own, and to use it there panics unless any bits are a message. The parent's is
/// what it was. References that were taken before the fork must not be used in the child.
#[must_use = "dropping the guard frees the slot"]
pub struct Received<'a, T: IpcMessage + ?Sized> {
    link: &'a mut ReceiverLink,
    /// The length of the message's tail; 0 if it has none.
    tail_len: usize,
    message: PhantomData<&'a T>,
}

impl<'a, T: IpcMessage + ?Sized> Received<'a, T> {
    /// Validates the message in the slot that `link` has been found to own. An invalid one is skipped.
    fn new(link: &'a mut ReceiverLink) -> Result<Self, Corrupt> {
        link.note_arrival();
        let tail_len = match link.extent::<T>() {
            Ok((_, tail_len)) => tail_len,
            Err(invalid) => return Err(link.skip(invalid)),
        };
        if !T::ANY_BITS {
            // SAFETY: the slot is this end's own, is aligned for a `T`, and holds as many initialised bytes as one with
            // this tail has.
            if let Err(invalid) = unsafe { T::validate(link.payload(tail_len)) } {
                return Err(link.skip(invalid));
            }
        }
        Ok(Received { link, tail_len, message: PhantomData })
    }

    /// How often the message has been delivered before, to receivers of a shared queue that died with it. 0 if never,
    /// and for every message of an exclusive queue.
    pub fn redelivered(&self) -> u16 {
        self.link.returned()
    }
}

impl<T: IpcMessage + ?Sized> Deref for Received<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        if !T::ANY_BITS {
            self.link.assert_not_forked();
        }
        // SAFETY: the slot is this end's own until `drop`, and holds a valid `T`: any bits are one (in a forked child, where
        // the slot is a blank one), or `new` has checked.
        unsafe { &*self.link.payload::<T>(self.tail_len) }
    }
}

impl<T: IpcMessage + ?Sized> Drop for Received<'_, T> {
    fn drop(&mut self) {
        if !self.link.is_forked() {
            self.link.pass();
        }
    }
}

impl<T: IpcMessage + fmt::Debug + ?Sized> fmt::Debug for Received<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Received").field(&&**self).finish()
    }
}

/// Receives from another ring than the exclusive one, in a function of its own for the reason that sending has one. Whether
/// `message` has got one, rather than the channel its end.
#[inline(never)]
fn recv_otherwise<T: IpcMessage, E: From<Corrupt>>(
    link: &mut ReceiverLink,
    message: &mut MaybeUninit<T>,
    patience: impl FnOnce() -> Patience,
    end: impl FnOnce(Blocked) -> Result<(), E>,
) -> Result<bool, E> {
    let received = match link {
        Link::Exclusive(port) => port.recv(patience, end),
        Link::Shared(port) => port.recv(patience, end),
        Link::Frames(_) | Link::SharedFrames(_) => unreachable!("a message of one length travels in slots"),
    };
    Ok(received?.map(|received| message.write(received)).is_some())
}

#[cold]
#[inline(never)]
fn recv_end(blocked: Blocked) -> Result<(), RecvError> {
    match blocked {
        // A wait without a limit does not end in time.
        Blocked::Timeout | Blocked::Closed => Ok(()),
        Blocked::Died(peer) => Err(RecvError::SenderDied(peer)),
        Blocked::Corrupt(corrupt) => Err(RecvError::Corrupt(corrupt)),
        Blocked::Forked => Err(RecvError::Forked),
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
        Blocked::Hardened => Err(RecvTimeoutError::Hardened),
    }
}
