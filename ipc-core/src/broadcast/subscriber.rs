//! The subscribing end of a broadcast.

use super::feed::{Feed, Hindrance};
use crate::error::{BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, Corrupt};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::queue::port::check;
use crate::station::{Blocked, Patience};
use crate::words;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::time::Duration;
use crossbeam_utils::CachePadded;

/// The subscribing end of a broadcast. It gets every message from when it was opened, and before that the channel's
/// [history](super::Broadcast::history). Dropping it closes it.
///
/// The verbs that return a message *by value* copy it out, word by word, make sure that it was not overwritten meanwhile,
/// and validate the copy, so they are sound whatever the other side does.
///
/// Every verb returns `Ok(None)` (or 0) when every publisher that ever joined has closed, and everything that they
/// published was received. A subscriber that comes before the first publisher waits for it. When the last publisher dies
/// without closing, that is reported once, after its messages; then the wait is for a successor.
///
/// A message that a publisher had begun and not published when it died is skipped, and counted by
/// [`lost`](Subscriber::lost). On a lossy channel it is missed as well, and reported as such.
///
/// # Threads and forks
///
/// As for [`Receiver`](crate::Receiver).
pub struct Subscriber<T> {
    /// Padded, so that two ends in one process do not share a cache line.
    feed: CachePadded<Feed>,
    /// What a guard refers to where messages do not stay in their place. Allocated by the first verb that needs it.
    buffer: Option<Box<MaybeUninit<T>>>,
}

impl<T: IpcMessage> Subscriber<T> {
    pub(super) fn new(feed: Feed) -> Self {
        Subscriber { feed: CachePadded::new(feed), buffer: None }
    }

    /// Receives the next message, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvError::Lagged`] if publishers of a lossy channel have overtaken this subscriber;
    /// [`Evicted`](BroadcastRecvError::Evicted), from then on, if those of a lossless one have gone on without it;
    /// [`PublisherDied`](BroadcastRecvError::PublisherDied) once when the last publisher died without closing;
    /// [`Corrupt`](BroadcastRecvError::Corrupt) if a message (which is then skipped) or the segment is damaged.
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
        self.recv_within(|| Patience::Forever).map_or_else(recv_end, |taken| Ok(Some(taken?)))
    }

    /// Receives the next message if there is one now.
    ///
    /// # Errors
    ///
    /// [`BroadcastTryRecvError::Empty`] if there is none but more may come; otherwise as for [`recv`](Subscriber::recv).
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<Option<T>, BroadcastTryRecvError> {
        self.recv_within(|| Patience::None).map_or_else(try_recv_end, |taken| Ok(Some(taken?)))
    }

    /// Receives the next message, and waits for one at most `limit`.
    ///
    /// # Errors
    ///
    /// [`BroadcastRecvTimeoutError::Timeout`] if none came in time; otherwise as for [`recv`](Subscriber::recv).
    #[inline(always)]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<T>, BroadcastRecvTimeoutError> {
        self.recv_within(|| Patience::from_timeout(limit)).map_or_else(recv_timeout_end, |taken| Ok(Some(taken?)))
    }

    /// Appends up to `max` messages to `batch`, and waits for the first if there is none. Returns how many; 0 is the end.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv). What was received before a damaged message is in `batch`; call again for what
    /// comes after it.
    pub fn recv_batch(&mut self, batch: &mut Vec<T>, max: usize) -> Result<usize, BroadcastRecvError> {
        if max == 0 {
            return Ok(0);
        }
        let first = match self.recv_within(|| Patience::Forever) {
            Ok(taken) => taken?,
            Err(hindrance) => return recv_end::<T>(hindrance).map(|_| 0),
        };
        batch.push(first);
        let mut received = 1;
        while received < max && self.feed.is_ready() {
            let copy = self.copy();
            if !self.feed.accept() {
                break;
            }
            self.feed.wake();
            batch.push(check(copy)?);
            received += 1;
        }
        Ok(received)
    }

    /// Waits at most `limit` until there is something to receive: `Ok(true)` if a message, or the end, can be received
    /// without waiting, `Ok(false)` if not. With a limit of zero it only looks. (A message of a lossy channel may have
    /// been overwritten when it is received.)
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv): what is reported here is not reported again.
    pub fn poll(&mut self, limit: Duration) -> Result<bool, BroadcastRecvError> {
        match self.feed.take_turn(|| Patience::from_timeout(limit)) {
            Ok(()) => Ok(true),
            Err(Hindrance::Blocked(Blocked::Timeout)) => Ok(false),
            Err(hindrance) => recv_end(hindrance).map(|_: Option<T>| true),
        }
    }

    /// Receives one message after the other, until the end. An error is an item too, after which the iteration goes on;
    /// after an eviction, or damage to the segment itself, it would go on for ever, so stop there.
    pub fn iter(&mut self) -> Iter<'_, T> {
        Iter { subscriber: self }
    }

    /// Receives the next message without moving it, and waits for one if there is none. Dropping the guard steps on to
    /// the next message.
    ///
    /// On a lossless channel that evicts nobody the guard refers to the message in the segment, validated before this
    /// returns. It stays in memory that the channel's other participants can write too: that is sound as long as they are
    /// slipring programs, which leave it alone until the guard is dropped.
    ///
    /// Elsewhere publishers may overwrite a message while it is read, so the guard refers to a copy, validated as well,
    /// in memory of this subscriber's own on the heap.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv).
    pub fn recv_ref(&mut self) -> Result<Option<Published<'_, T>>, BroadcastRecvError> {
        self.publish_within(Patience::Forever).map_or_else(recv_end, |taken| Ok(Some(taken?)))
    }

    /// As [`recv_ref`](Subscriber::recv_ref), if there is a message now.
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Subscriber::try_recv).
    pub fn try_recv_ref(&mut self) -> Result<Option<Published<'_, T>>, BroadcastTryRecvError> {
        self.publish_within(Patience::None).map_or_else(try_recv_end, |taken| Ok(Some(taken?)))
    }

    /// As [`recv_ref`](Subscriber::recv_ref), waiting for a message at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Subscriber::recv_timeout).
    pub fn recv_ref_timeout(&mut self, limit: Duration) -> Result<Option<Published<'_, T>>, BroadcastRecvTimeoutError> {
        self.publish_within(Patience::from_timeout(limit)).map_or_else(recv_timeout_end, |taken| Ok(Some(taken?)))
    }

    /// Messages that a publisher can be ahead of a subscriber that has just joined.
    pub fn capacity(&self) -> usize {
        self.feed.info().capacity
    }

    /// Messages that this subscriber has yet to receive, or to be told to have missed, as far as can be seen at this
    /// moment.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.feed.unread() as usize
    }

    /// Messages that publishers had begun and not published when they died, since the channel was created.
    pub fn lost(&self) -> u64 {
        self.feed.losses()
    }

    /// The channel as it is, beside what was asked for.
    pub fn info(&self) -> &ChannelInfo {
        self.feed.info()
    }

    #[inline(always)]
    fn recv_within(&mut self, patience: impl Fn() -> Patience) -> Result<Result<T, Corrupt>, Hindrance> {
        loop {
            self.feed.take_turn(&patience)?;
            let copy = self.copy();
            if self.feed.accept() {
                self.feed.wake();
                return Ok(check(copy));
            }
            // The next look says what has become of the message, and so there is no third.
        }
    }

    /// Copies the message that can be taken. Whether the copy is the message has yet to be asked.
    #[inline(always)]
    fn copy(&self) -> MaybeUninit<T> {
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: a slot starts at a multiple of 8 bytes and has room for a `T` in whole words.
        unsafe { words::load(self.feed.payload(), copy.as_mut_ptr().cast(), size_of::<T>()) };
        copy
    }

    fn publish_within(&mut self, patience: Patience) -> Result<Result<Published<'_, T>, Corrupt>, Hindrance> {
        if !self.feed.stays() {
            return self.fill_buffer(patience);
        }
        self.feed.take_turn(|| patience)?;
        if !T::ANY_BITS {
            // SAFETY: the message stays as it is until this subscriber passes it; its place is aligned for a `T`, and
            // holds as many initialised bytes.
            if let Err(invalid) = unsafe { T::validate(self.feed.payload().cast()) } {
                self.feed.accept();
                self.feed.wake();
                return Ok(Err(invalid.into()));
            }
        }
        Ok(Ok(Published { place: Place::Segment(&mut self.feed), message: PhantomData }))
    }

    /// Copies the next message into the buffer.
    fn fill_buffer(&mut self, patience: Patience) -> Result<Result<Published<'_, T>, Corrupt>, Hindrance> {
        let buffer = self.buffer.get_or_insert_with(Box::new_uninit);
        loop {
            self.feed.take_turn(|| patience)?;
            // SAFETY: a slot starts at a multiple of 8 bytes and has room for a `T` in whole words, as the buffer has.
            unsafe { words::load(self.feed.payload(), buffer.as_mut_ptr().cast(), size_of::<T>()) };
            if self.feed.accept() {
                break;
            }
        }
        self.feed.wake();
        if !T::ANY_BITS {
            // SAFETY: every byte of the buffer has been initialised above.
            if let Err(invalid) = unsafe { T::validate(buffer.as_ptr()) } {
                return Ok(Err(invalid.into()));
            }
        }
        // SAFETY: every byte is initialised, and any bits are a `T`, or `validate` has found these to be one.
        let copy = unsafe { buffer.assume_init_ref() };
        Ok(Ok(Published { place: Place::Copy(copy), message: PhantomData }))
    }
}

impl<T> Sealed for Subscriber<T> {
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

impl<T> fmt::Debug for Subscriber<T> {
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

/// The messages of a broadcast, by value. Made by [`Subscriber::iter`].
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

/// A message as it was published, in its place or in a copy of the subscriber's. Dropping it steps on to the next one.
///
/// It is `Send` and `Sync`, as the message is. After a fork the child's copy of it must not be used; where it refers to
/// the segment, that panics unless any bits are a message.
#[must_use = "dropping the guard steps on to the next message"]
pub struct Published<'a, T: IpcMessage> {
    place: Place<'a, T>,
    message: PhantomData<&'a T>,
}

enum Place<'a, T> {
    /// At the subscriber's place in the ring.
    Segment(&'a mut Feed),
    Copy(&'a T),
}

impl<T: IpcMessage> Deref for Published<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.place {
            Place::Copy(message) => message,
            Place::Segment(feed) => {
                assert!(
                    T::ANY_BITS || !feed.is_forked(),
                    "this guard was taken before a fork, and its message is not in the child"
                );
                // SAFETY: the message stays as it is until `drop` passes it, and is a valid `T`: any bits are one (in a
                // forked child, where the slot is a blank one), or it has been validated.
                unsafe { &*feed.payload().cast::<T>() }
            }
        }
    }
}

impl<T: IpcMessage> Drop for Published<'_, T> {
    fn drop(&mut self) {
        if let Place::Segment(feed) = &mut self.place {
            if !feed.is_forked() {
                feed.accept();
                feed.wake();
            }
        }
    }
}

impl<T: IpcMessage + fmt::Debug> fmt::Debug for Published<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Published").field(&&**self).finish()
    }
}

#[cold]
fn recv_end<V>(hindrance: Hindrance) -> Result<Option<V>, BroadcastRecvError> {
    match hindrance {
        Hindrance::Lagged(missed) => Err(BroadcastRecvError::Lagged { missed }),
        Hindrance::Evicted => Err(BroadcastRecvError::Evicted),
        // A wait without a limit does not end in time.
        Hindrance::Blocked(Blocked::Timeout | Blocked::Closed) => Ok(None),
        Hindrance::Blocked(Blocked::Died(peer)) => Err(BroadcastRecvError::PublisherDied(peer)),
        Hindrance::Blocked(Blocked::Corrupt(corrupt)) => Err(BroadcastRecvError::Corrupt(corrupt)),
        Hindrance::Blocked(Blocked::Forked) => Err(BroadcastRecvError::Forked),
    }
}

#[cold]
fn try_recv_end<V>(hindrance: Hindrance) -> Result<Option<V>, BroadcastTryRecvError> {
    match hindrance {
        Hindrance::Blocked(Blocked::Timeout) => Err(BroadcastTryRecvError::Empty),
        hindrance => Ok(recv_end(hindrance)?),
    }
}

#[cold]
fn recv_timeout_end<V>(hindrance: Hindrance) -> Result<Option<V>, BroadcastRecvTimeoutError> {
    match hindrance {
        Hindrance::Blocked(Blocked::Timeout) => Err(BroadcastRecvTimeoutError::Timeout),
        hindrance => Ok(recv_end(hindrance)?),
    }
}
