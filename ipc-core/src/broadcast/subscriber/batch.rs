//! Receiving several messages at once, without a call for each.

use super::super::published::PublishedBatch;
use super::{Hindrance, Subscriber, recv_end, recv_timeout_end, try_recv_end};
use crate::error::{BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, Corrupt};
use crate::message::{Invalid, IpcMessage};
use crate::station::Patience;
use crate::words;
use core::slice;
use core::time::Duration;

/// Batches of messages of one length, by reference.
impl<T: IpcMessage> Subscriber<T> {
    /// Receives up to `max` messages by reference, and waits for the first one. Dropping the guard passes all of them
    /// at once.
    ///
    /// A batch ends before a gap in the numbers (a loan that was dropped unsent, or a publisher's death), and in a
    /// lossy channel before a message that is being overwritten.
    ///
    /// Where the messages are is as for [`recv_ref`](Subscriber::recv_ref): in the segment, in a lossless channel
    /// without eviction; in other channels, and for a [hardened](crate::Queue::hardened) subscriber, in validated
    /// copies on this process's heap. In either case they count as read when the guard is dropped, and publishers of a
    /// lossless channel wait for it.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Subscriber::recv). The messages before an invalid one are returned first.
    ///
    /// ```
    /// # let ticks = ipc_core::Broadcast::<u64>::new("recv_batch_ref").domain(format!("doc-{}", std::process::id()));
    /// let (mut publisher, mut subscriber) = (ticks.publisher()?, ticks.subscriber()?);
    /// publisher.send_batch(1..=3)?;
    /// let batch = subscriber.recv_batch_ref(100)?.expect("the publisher has not closed");
    /// assert_eq!(batch.iter().sum::<u64>(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_batch_ref(&mut self, max: usize) -> Result<Option<PublishedBatch<'_, T>>, BroadcastRecvError> {
        self.batch_within(max, Patience::Forever)
            .map_or_else(|hindrance| recv_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// Receives up to `max` messages by reference without waiting: see [`recv_batch_ref`](Subscriber::recv_batch_ref).
    ///
    /// # Errors
    ///
    /// As for [`try_recv`](Subscriber::try_recv).
    pub fn try_recv_batch_ref(&mut self, max: usize) -> Result<Option<PublishedBatch<'_, T>>, BroadcastTryRecvError> {
        self.batch_within(max, Patience::None)
            .map_or_else(|hindrance| try_recv_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    /// As [`recv_batch_ref`](Subscriber::recv_batch_ref), waiting for the first message at most `limit`.
    ///
    /// # Errors
    ///
    /// As for [`recv_timeout`](Subscriber::recv_timeout).
    pub fn recv_batch_ref_timeout(
        &mut self,
        max: usize,
        limit: Duration,
    ) -> Result<Option<PublishedBatch<'_, T>>, BroadcastRecvTimeoutError> {
        self.batch_within(max, Patience::from_timeout(limit))
            .map_or_else(|hindrance| recv_timeout_end(hindrance).map(|()| None), |taken| Ok(Some(taken?)))
    }

    fn batch_within(
        &mut self,
        max: usize,
        patience: Patience,
    ) -> Result<Result<PublishedBatch<'_, T>, Corrupt>, Hindrance> {
        if !self.feed.stays() {
            return self.copies_within(max, patience);
        }
        self.feed.take_turn(|| patience)?;
        self.feed.note_arrival();
        let ready = self.feed.ready(max);
        let mut len = 0;
        while len < ready {
            match self.check_ahead(len) {
                Ok(()) => len += 1,
                Err(invalid) if len == 0 => {
                    self.feed.pass_many(1);
                    self.feed.wake();
                    return Ok(Err(invalid.into()));
                }
                Err(_) => break,
            }
        }
        Ok(Ok(PublishedBatch::in_place(&mut self.feed, len)))
    }

    /// Validates the message `ahead` slots on, which stays as it is.
    fn check_ahead(&self, ahead: usize) -> Result<(), Invalid> {
        if T::ANY_BITS {
            return Ok(());
        }
        // SAFETY: the message stays as it is until this subscriber passes it; its slot is aligned for a `T`, and holds
        // `size_of::<T>()` initialised bytes.
        unsafe { T::validate(self.feed.payload_ahead(ahead).cast()) }
    }

    /// Copies the next messages into the buffer.
    fn copies_within(
        &mut self,
        max: usize,
        patience: Patience,
    ) -> Result<Result<PublishedBatch<'_, T>, Corrupt>, Hindrance> {
        let len = loop {
            self.feed.take_turn(|| patience)?;
            self.feed.note_arrival();
            match self.copy_many(max) {
                // The next look says what has become of the message.
                Ok(0) if max != 0 => {}
                Ok(len) => break len,
                Err(invalid) => {
                    self.feed.pass_copied(1);
                    self.feed.wake();
                    return Ok(Err(invalid.into()));
                }
            }
        };
        // SAFETY: so many messages were copied there in a row, aligned as every message is, and found to be valid.
        let copies = unsafe { slice::from_raw_parts(self.buffer.start().cast::<T>(), len) };
        Ok(Ok(PublishedBatch::copied(&mut self.feed, copies)))
    }

    /// Copies up to `max` messages, whole and valid ones, and returns how many. The error is that of the first one.
    fn copy_many(&mut self, max: usize) -> Result<usize, Invalid> {
        let Subscriber { feed, buffer, .. } = self;
        // One is there, though a damaged ring may say otherwise.
        let most = max.min(feed.unread().max(1).min(feed.slots()) as usize);
        let copies = buffer.reserve(most.saturating_mul(size_of::<T>())).cast::<T>();
        for len in 0..most {
            let copy = copies.wrapping_add(len);
            let is_copied = feed.copy_ahead(len, |payload| {
                // SAFETY: a slot starts at a multiple of 8 bytes and has room for a `T` in whole words; the buffer has
                // room for so many of them.
                unsafe { words::load(payload, copy.cast(), size_of::<T>()) };
            });
            if !is_copied {
                return Ok(len);
            }
            if !T::ANY_BITS {
                // SAFETY: the copy is this process's own, aligned as every message is, and every byte has been copied.
                match unsafe { T::validate(copy) } {
                    Err(invalid) if len == 0 => return Err(invalid),
                    Err(_) => return Ok(len),
                    Ok(()) => {}
                }
            }
        }
        Ok(most)
    }
}
