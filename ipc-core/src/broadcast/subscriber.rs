//! The subscribing end of a broadcast.

use super::buffer::Buffer;
use super::feed::{Feed, Hindrance};
use super::published::Published;
use crate::error::{BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, Corrupt};
use crate::histogram::Latency;
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::tail::{Copied, extent_of};
use crate::message::{Invalid, IpcMessage};
use crate::queue::port::{check, received};
use crate::station::{Blocked, Patience};
use crate::words;
use core::fmt;
use core::iter;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::time::Duration;
use crossbeam_utils::CachePadded;

mod batch;

/// The subscribing end of a broadcast.
///
/// A subscriber first gets the channel's [history](super::Broadcast::history), if there is one, and then every message
/// that is published while it exists. Dropping it closes it.
///
/// Methods that receive *by value* copy the message out word by word, check that it was not overwritten meanwhile, and
/// then validate the copy. They are sound whatever other processes write.
///
/// # End of stream and deaths
///
/// Every method returns `Ok(None)` (or 0) once all publishers have closed and all of their messages were received. A
/// subscriber that is opened before the first publisher waits for it. If the last publisher dies without closing, its
/// death is reported once, after its messages. The next call then waits for a successor.
///
/// A message that a publisher had begun but not published when it died is skipped, and [`lost`](Subscriber::lost)
/// counts it. In a lossy channel it is also reported as missed.
///
/// # Threads and forks
///
/// As for [`Receiver`](crate::Receiver).
pub struct Subscriber<T: ?Sized> {
    /// Padded, so that two ends in one process do not share a cache line.
    feed: CachePadded<Feed>,
    /// What a guard refers to where messages do not stay in their place.
    buffer: Buffer,
    message: PhantomData<fn() -> T>,
}

/// Messages of one length.
impl<T: IpcMessage> Subscriber<T> {
    /// Receives the next message, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// - [`Lagged`](BroadcastRecvError::Lagged) if publishers of a lossy channel overtook this subscriber.
    /// - [`Evicted`](BroadcastRecvError::Evicted), for ever, if publishers of a lossless channel evicted it.
    /// - [`PublisherDied`](BroadcastRecvError::PublisherDied) once if the last publisher died without closing.
    /// - [`Corrupt`](BroadcastRecvError::Corrupt) if a message is invalid (it is skipped), or if the segment is
    ///   damaged.
    /// - [`Forked`](BroadcastRecvError::Forked) in a forked child.
    ///
    /// ```
    /// use ipc_core::BroadcastRecvError;
    /// # let ticks = ipc_core::Broadcast::<u64>::new("recv").lossy().domain(format!("doc-{}", std::process::id()));
    /// # let (mut publisher, mut subscriber) = (ticks.publisher()?, ticks.subscriber()?);
    /// # publisher.send(7)?;
    /// # drop(publisher);
    /// loop {
    ///     match subscriber.recv() {
    ///         Ok(Some(tick)) => println!("{tick}"),
    ///         Ok(None) => break,
    ///         Err(BroadcastRecvError::Lagged { missed }) => println!("({missed} ticks missed)"),
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn recv(&mut self) -> Result<Option<T>, BroadcastRecvError> {
        self.recv_within(|| Patience::Forever, recv_end)
    }

    /// Receives the next message without waiting.
    ///
    /// # Errors
    ///
    /// [`BroadcastTryRecvError::Empty`] if there is none but the channel is not closed; otherwise as for
    /// [`recv`](Subscriber::recv).
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<Option<T>, BroadcastTryRecvError> {
        self.recv_within(|| Patience::None, try_recv_end)
    }

    /// Receives the next message, and waits for one for at most `limit`.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvTimeoutError::Timeout`] if no message came in time; otherwise as for [`recv`](Subscriber::recv).
    #[inline(always)]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<T>, BroadcastRecvTimeoutError> {
        self.recv_within(|| Patience::from_timeout(limit), recv_timeout_end)
    }

    /// Appends up to `max` messages to `batch`, and returns how many. Waits for the first one; 0 means end of stream.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv). After an invalid message, `batch` holds the messages before it. Call again
    /// for the ones after it.
    ///
    /// ```
    /// # let ticks = ipc_core::Broadcast::<u64>::new("recv_batch").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (ticks.publisher()?, ticks.subscriber()?);
    /// publisher.send_batch(1..=3)?;
    /// let mut batch = Vec::new();
    /// assert_eq!(subscriber.recv_batch(&mut batch, 100)?, 3);
    /// assert_eq!(batch, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_batch(&mut self, batch: &mut Vec<T>, max: usize) -> Result<usize, BroadcastRecvError> {
        self.recv_batch_within(batch, max, Patience::Forever, recv_end)
    }

    /// As [`recv_batch`](Subscriber::recv_batch), if there is a message now.
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Subscriber::try_recv), and for `recv_batch`.
    pub fn try_recv_batch(&mut self, batch: &mut Vec<T>, max: usize) -> Result<usize, BroadcastTryRecvError> {
        self.recv_batch_within(batch, max, Patience::None, try_recv_end)
    }

    /// As [`recv_batch`](Subscriber::recv_batch), waiting for the first message at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Subscriber::recv_timeout), and for `recv_batch`.
    pub fn recv_batch_timeout(
        &mut self,
        batch: &mut Vec<T>,
        max: usize,
        limit: Duration,
    ) -> Result<usize, BroadcastRecvTimeoutError> {
        self.recv_batch_within(batch, max, Patience::from_timeout(limit), recv_timeout_end)
    }

    fn recv_batch_within<F: From<Corrupt>>(
        &mut self,
        batch: &mut Vec<T>,
        max: usize,
        patience: Patience,
        end: impl FnOnce(Hindrance) -> Result<(), F>,
    ) -> Result<usize, F> {
        if max == 0 {
            return Ok(0);
        }
        let Some(first) = self.recv_within(|| patience, end)? else { return Ok(0) };
        let before = batch.len();
        batch.push(first);
        while batch.len() - before < max && self.feed.is_ready() {
            let copy = self.copy();
            if !self.feed.accept() {
                break;
            }
            self.feed.wake();
            batch.push(check(copy)?);
        }
        Ok(batch.len() - before)
    }

    /// Iterates over the messages, by value, until end of stream. It waits as [`recv`](Subscriber::recv) does.
    ///
    /// An error is an item, and does not end the iteration. Stop at [`Evicted`](BroadcastRecvError::Evicted) and at
    /// [`Corrupt::Stamp`]: they would come again and again.
    pub fn iter(&mut self) -> Iter<'_, T> {
        Iter { subscriber: self }
    }

    /// Iterates over the messages that are there now, without waiting. An error is an item, as for
    /// [`iter`](Subscriber::iter).
    pub fn try_iter(&mut self) -> impl Iterator<Item = Result<T, BroadcastRecvError>> {
        // A wait that ends in time, and the end of the stream, are both `None`.
        iter::from_fn(|| self.recv_within(|| Patience::None, recv_end).transpose())
    }

    /// Receives the next message. `end` converts the reason for which a wait ended without one; `Ok` is the end of the stream.
    ///
    /// What is returned is made of the copy here, at once, for the reason that `Port::recv` has.
    #[inline(always)]
    fn recv_within<F: From<Corrupt>>(
        &mut self,
        patience: impl Fn() -> Patience,
        end: impl FnOnce(Hindrance) -> Result<(), F>,
    ) -> Result<Option<T>, F> {
        if let Some(payload) = self.feed.begin() {
            let copy = Self::copy_from(payload);
            if self.feed.complete() {
                // SAFETY: all bytes of the copy have been loaded, and this is all that is done with it.
                return unsafe { received(&copy) };
            }
        }
        loop {
            if let Err(hindrance) = self.feed.take_turn_at_length(&patience) {
                return end(hindrance).map(|()| None);
            }
            let copy = self.copy();
            if self.feed.accept_at_length() {
                // SAFETY: all bytes of the copy have been loaded, and this is all that is done with it.
                return unsafe { received(&copy) };
            }
            // The next look says what has become of the message, and so there is no third.
        }
    }

    /// Copies the message that can be taken. The caller has to check that it was not overwritten meanwhile.
    #[inline(always)]
    fn copy(&self) -> MaybeUninit<T> {
        Self::copy_from(self.feed.payload())
    }

    /// As [`copy`](Subscriber::copy), where the payload of that message is `payload`.
    #[inline(always)]
    fn copy_from(payload: *mut u8) -> MaybeUninit<T> {
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: a slot starts at a multiple of 8 bytes and has room for a `T` in whole words.
        unsafe { words::load(payload, copy.as_mut_ptr().cast(), size_of::<T>()) };
        copy
    }
}

/// Messages of any kind.
impl<T: IpcMessage + ?Sized> Subscriber<T> {
    pub(super) fn new(feed: Feed) -> Self {
        Subscriber { feed: CachePadded::new(feed), buffer: Buffer::default(), message: PhantomData }
    }

    /// Waits for at most `limit` until a message, or end of stream, can be received without waiting. Returns whether it
    /// can.
    ///
    /// A `limit` of zero does not wait. In a lossy channel, the message may be overwritten before it is received.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv). What is reported here is not reported again.
    pub fn poll(&mut self, limit: Duration) -> Result<bool, BroadcastRecvError> {
        match self.feed.take_turn(|| Patience::from_timeout(limit)) {
            Ok(()) => Ok(true),
            Err(Hindrance::Blocked(Blocked::Timeout)) => Ok(false),
            Err(hindrance) => recv_end(hindrance).map(|()| true),
        }
    }

    /// Receives the next message by reference, and waits for one if there is none. Dropping the guard advances to the
    /// next message.
    ///
    /// In a lossless channel without eviction, the guard refers to the message in the segment, which is validated
    /// before this returns. Other participants can write to that memory. That is sound as long as they are slipring
    /// programs: those leave the message alone until the guard is dropped.
    ///
    /// In other channels, publishers may overwrite a message while it is read; and a [hardened](crate::Queue::hardened)
    /// subscriber does not trust them. There the guard refers to a validated copy on this process's heap.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv).
    pub fn recv_ref(&mut self) -> Result<Option<Published<'_, T>>, BroadcastRecvError> {
        self.publish_within(Patience::Forever)
            .map_or_else(|hindrance| recv_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// Receives the next message by reference without waiting: see [`recv_ref`](Subscriber::recv_ref).
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Subscriber::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<Option<Published<'_, T>>, BroadcastTryRecvError> {
        self.publish_within(Patience::None)
            .map_or_else(|hindrance| try_recv_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// Receives the next message by reference, and waits for at most `limit`: see [`recv_ref`](Subscriber::recv_ref).
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Subscriber::recv_timeout).
    pub fn recv_ref_timeout(&mut self, limit: Duration) -> Result<Option<Published<'_, T>>, BroadcastRecvTimeoutError> {
        self.publish_within(Patience::from_timeout(limit))
            .map_or_else(|hindrance| recv_timeout_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// Receives the next message by value, whatever its length, and waits for one if there is none.
    ///
    /// The message is copied out word by word, and the copy is validated.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv).
    ///
    /// ```
    /// # let notes = ipc_core::Broadcast::<str>::new("boxed").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (notes.publisher()?, notes.subscriber()?);
    /// publisher.send_copy("text of any length")?;
    /// assert_eq!(*subscriber.recv_boxed()?.unwrap(), *"text of any length");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_boxed(&mut self) -> Result<Option<Box<T>>, BroadcastRecvError> {
        self.box_within(Patience::Forever)
            .map_or_else(|hindrance| recv_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// Receives the next message of any length by value without waiting: see [`recv_boxed`](Subscriber::recv_boxed).
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Subscriber::try_recv).
    pub fn try_recv_boxed(&mut self) -> Result<Option<Box<T>>, BroadcastTryRecvError> {
        self.box_within(Patience::None)
            .map_or_else(|hindrance| try_recv_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// Receives the next message of any length by value, and waits for at most `limit`: see
    /// [`recv_boxed`](Subscriber::recv_boxed).
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Subscriber::recv_timeout).
    pub fn recv_boxed_timeout(&mut self, limit: Duration) -> Result<Option<Box<T>>, BroadcastRecvTimeoutError> {
        self.box_within(Patience::from_timeout(limit))
            .map_or_else(|hindrance| recv_timeout_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// Appends up to `max` messages of any length to `batch`, each in its own box: see
    /// [`recv_batch`](Subscriber::recv_batch).
    ///
    /// # Errors
    ///
    /// As for `recv_batch`.
    pub fn recv_boxed_batch(&mut self, batch: &mut Vec<Box<T>>, max: usize) -> Result<usize, BroadcastRecvError> {
        if max == 0 {
            return Ok(0);
        }
        match self.box_within(Patience::Forever) {
            Ok(taken) => batch.push(taken?),
            Err(hindrance) => return recv_end(hindrance).map(|()| 0),
        }
        let mut received = 1;
        while received < max && self.feed.is_ready() {
            let Some(taken) = self.take_boxed() else { break };
            batch.push(taken?);
            received += 1;
        }
        Ok(received)
    }

    /// The number of messages that a publisher can be ahead of a subscriber that has just joined; if messages vary in
    /// length, the size of the ring in bytes.
    pub fn capacity(&self) -> usize {
        self.feed.info().capacity
    }

    /// The number of messages that this subscriber has yet to receive, missed ones included: a snapshot.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.feed.unread() as usize
    }

    /// The number of messages that publishers had begun but not published when they died, since the channel was
    /// created.
    pub fn lost(&self) -> u64 {
        self.feed.losses()
    }

    /// The latencies of messages, from being published to being received. `None` if the channel has no
    /// [timestamps](super::Broadcast::timestamps).
    ///
    /// In a lossy channel, these are the messages that this subscriber received. In a lossless one, these are the
    /// messages of all subscribers since the channel was created, as in
    /// [`Observer::latency`](crate::inspect::Observer::latency).
    ///
    /// ```
    /// # let ticks = ipc_core::Broadcast::<u64>::new("latency").domain(format!("doc-{}", std::process::id()));
    /// let ticks = ticks.lossy().timestamps(true);
    /// let (mut publisher, mut subscriber) = (ticks.publisher()?, ticks.subscriber()?);
    /// publisher.send(7)?;
    /// subscriber.recv()?;
    /// let latency = subscriber.latency().expect("it has timestamps");
    /// assert_eq!(latency.count(), 1);
    /// println!("the slowest message took {} ns", latency.max_ns());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn latency(&self) -> Option<Latency> {
        self.feed.latency()
    }

    /// The channel's actual options, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.feed.info()
    }

    fn publish_within(&mut self, patience: Patience) -> Result<Result<Published<'_, T>, Corrupt>, Hindrance> {
        if !self.feed.stays() {
            return self.copy_within(patience);
        }
        self.feed.take_turn(|| patience)?;
        self.feed.note_arrival();
        Ok(match self.check_in_place() {
            Ok(tail_len) => Ok(Published::in_place(&mut self.feed, tail_len)),
            Err(invalid) => {
                self.feed.accept();
                self.feed.wake();
                Err(invalid.into())
            }
        })
    }

    /// Validates the message that can be taken, which stays as it is, and returns the length of its tail.
    fn check_in_place(&self) -> Result<usize, Invalid> {
        let (_, tail_len) = extent_of::<T>(self.feed.bytes())?;
        if !T::ANY_BITS {
            // SAFETY: the message stays as it is until this subscriber passes it; its place is aligned for a `T`, and
            // holds as many initialised bytes as one with this tail has.
            unsafe { T::validate(T::pointer(self.feed.payload(), tail_len)) }?;
        }
        Ok(tail_len)
    }

    /// Copies the next message into the buffer.
    fn copy_within(&mut self, patience: Patience) -> Result<Result<Published<'_, T>, Corrupt>, Hindrance> {
        let tail_len = loop {
            self.feed.take_turn(|| patience)?;
            let extent = extent_of::<T>(self.feed.bytes());
            if let Ok((bytes, _)) = extent {
                let buffer = self.buffer.reserve(bytes.max(T::TYPE.size));
                // SAFETY: the payload starts at a multiple of 8 bytes and has room for `bytes` in whole words, whatever
                // is stored there; the buffer has room for them as well.
                unsafe { words::load(self.feed.payload(), buffer, bytes) };
            }
            if self.feed.accept() {
                break extent.map(|(_, tail_len)| tail_len);
            }
        };
        self.feed.wake();
        Ok(tail_len.and_then(|tail_len| self.check_copy(tail_len)).map(Published::copied).map_err(Corrupt::from))
    }

    /// Validates the message in the buffer, whose tail has the length `tail_len`.
    fn check_copy(&self, tail_len: usize) -> Result<&T, Invalid> {
        let copy = T::pointer(self.buffer.start().cast_mut(), tail_len).cast_const();
        if !T::ANY_BITS {
            // SAFETY: the buffer is aligned for a `T`, and every byte of one with this tail, but padding at its end,
            // has been copied there.
            unsafe { T::validate(copy) }?;
        }
        // SAFETY: as above, and any bits are a `T`, or `validate` has found these to be one.
        Ok(unsafe { &*copy })
    }

    /// Receives the next message in a box.
    fn box_within(&mut self, patience: Patience) -> Result<Result<Box<T>, Corrupt>, Hindrance> {
        loop {
            self.feed.take_turn(|| patience)?;
            if let Some(taken) = self.take_boxed() {
                return Ok(taken);
            }
        }
    }

    /// Copies the message that can be taken into a box. `None` if it was overwritten meanwhile.
    fn take_boxed(&mut self) -> Option<Result<Box<T>, Corrupt>> {
        let copy = extent_of::<T>(self.feed.bytes()).map(|(bytes, tail_len)| {
            // SAFETY: the payload starts at a multiple of 8 bytes and has room for `bytes` in whole words, whatever is
            // stored there; `extent_of` has told the length of the tail from them.
            unsafe { Copied::<T>::from_shared(self.feed.payload(), bytes, tail_len) }
        });
        if !self.feed.accept() {
            return None;
        }
        self.feed.wake();
        Some(copy.and_then(Copied::check).map_err(Corrupt::from))
    }
}

impl<T: ?Sized> Sealed for Subscriber<T> {
    fn interest(&self) -> Interest {
        self.feed.interest()
    }

    fn look(&mut self) -> bool {
        self.feed.look()
    }

    fn probe(&mut self) -> bool {
        self.feed.probe()
    }
}

impl<T: ?Sized> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("channel", &self.feed.info().name).finish_non_exhaustive()
    }
}

impl<'a, T: IpcMessage> IntoIterator for &'a mut Subscriber<T> {
    type Item = Result<T, BroadcastRecvError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: IpcMessage> IntoIterator for Subscriber<T> {
    type Item = Result<T, BroadcastRecvError>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { subscriber: self }
    }
}

/// The messages of a broadcast, by value, together with its subscriber.
#[derive(Debug)]
pub struct IntoIter<T> {
    subscriber: Subscriber<T>,
}

impl<T: IpcMessage> Iterator for IntoIter<T> {
    type Item = Result<T, BroadcastRecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.subscriber.recv().transpose()
    }
}

/// An iterator over the messages of a broadcast, by value: see [`Subscriber::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    subscriber: &'a mut Subscriber<T>,
}

impl<T: IpcMessage> Iterator for Iter<'_, T> {
    type Item = Result<T, BroadcastRecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.subscriber.recv().transpose()
    }
}

/// Whether a wait has ended with the channel, or why else. (It is not told what would have been received, so that nothing
/// that is not inlined writes to what `recv` returns, and a message stays in registers.)
#[cold]
#[inline(never)]
pub(crate) fn recv_end(hindrance: Hindrance) -> Result<(), BroadcastRecvError> {
    match hindrance {
        Hindrance::Lagged(missed) => Err(BroadcastRecvError::Lagged { missed }),
        Hindrance::Evicted => Err(BroadcastRecvError::Evicted),
        // A wait without a limit does not end in time.
        Hindrance::Blocked(Blocked::Timeout | Blocked::Closed) => Ok(()),
        Hindrance::Blocked(Blocked::Died(peer)) => Err(BroadcastRecvError::PublisherDied(peer)),
        Hindrance::Blocked(Blocked::Corrupt(corrupt)) => Err(BroadcastRecvError::Corrupt(corrupt)),
        // A hardened subscriber copies where another one refers.
        Hindrance::Blocked(Blocked::Evicted) => Err(BroadcastRecvError::Evicted),
        Hindrance::Blocked(Blocked::Forked | Blocked::Hardened) => Err(BroadcastRecvError::Forked),
    }
}

#[cold]
#[inline(never)]
pub(crate) fn try_recv_end(hindrance: Hindrance) -> Result<(), BroadcastTryRecvError> {
    match hindrance {
        Hindrance::Blocked(Blocked::Timeout) => Err(BroadcastTryRecvError::Empty),
        hindrance => Ok(recv_end(hindrance)?),
    }
}

#[cold]
#[inline(never)]
pub(crate) fn recv_timeout_end(hindrance: Hindrance) -> Result<(), BroadcastRecvTimeoutError> {
    match hindrance {
        Hindrance::Blocked(Blocked::Timeout) => Err(BroadcastRecvTimeoutError::Timeout),
        hindrance => Ok(recv_end(hindrance)?),
    }
}
