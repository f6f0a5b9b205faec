//! Guards over a message that was published, and over several.

use super::feed::Feed;
use crate::message::IpcMessage;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, Index, Range};

/// A published message, in the segment or in a copy: see [`Subscriber::recv_ref`](super::Subscriber::recv_ref).
/// Dropping it advances to the next message.
///
/// It is `Send` and `Sync` if the message is. A forked child must not use its copy. If the guard refers to the segment,
/// using it there panics, unless every bit pattern is a valid message.
#[must_use = "dropping the guard steps on to the next message"]
pub struct Published<'a, T: IpcMessage + ?Sized> {
    place: Place<'a, T>,
    message: PhantomData<&'a T>,
}

enum Place<'a, T: ?Sized> {
    /// At the subscriber's place in the ring.
    Segment {
        feed: &'a mut Feed,
        /// The length of the message's tail; 0 if it has none.
        tail_len: usize,
    },
    Copy(&'a T),
}

impl<'a, T: IpcMessage + ?Sized> Published<'a, T> {
    /// The message at the place of `feed`, which has been found to be valid and to stay there.
    pub(super) fn in_place(feed: &'a mut Feed, tail_len: usize) -> Self {
        Published { place: Place::Segment { feed, tail_len }, message: PhantomData }
    }

    /// A copy, which the subscriber has passed already.
    pub(super) fn copied(message: &'a T) -> Self {
        Published { place: Place::Copy(message), message: PhantomData }
    }
}

impl<T: IpcMessage + ?Sized> Deref for Published<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.place {
            Place::Copy(message) => message,
            Place::Segment { feed, tail_len } => {
                assert_not_forked::<T>(feed);
                // SAFETY: the message stays as it is until `drop` passes it, and is a valid `T`: any bits are one (in a
                // forked child, where the slot is a blank one), or it has been validated.
                unsafe { &*T::pointer(feed.payload(), *tail_len) }
            }
        }
    }
}

impl<T: IpcMessage + ?Sized> Drop for Published<'_, T> {
    fn drop(&mut self) {
        if let Place::Segment { feed, .. } = &mut self.place {
            if !feed.is_forked() {
                feed.accept();
                feed.wake();
            }
        }
    }
}

impl<T: IpcMessage + fmt::Debug + ?Sized> fmt::Debug for Published<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Published").field(&&**self).finish()
    }
}

/// Several published messages, in the segment or in copies: see
/// [`Subscriber::recv_batch_ref`](super::Subscriber::recv_batch_ref).
///
/// Index it or iterate over it. Dropping it passes all of the messages at once. The rules of a single [`Published`]
/// hold for each message.
#[must_use = "dropping the guard steps on to the next messages"]
pub struct PublishedBatch<'a, T: IpcMessage> {
    feed: &'a mut Feed,
    /// `None` if the messages are in the segment.
    copies: Option<&'a [T]>,
    len: usize,
    messages: PhantomData<&'a [T]>,
}

impl<'a, T: IpcMessage> PublishedBatch<'a, T> {
    /// The next `len` messages of `feed`, which have been found to be valid and to stay where they are.
    pub(super) fn in_place(feed: &'a mut Feed, len: usize) -> Self {
        PublishedBatch { feed, copies: None, len, messages: PhantomData }
    }

    /// Copies of the next messages of `feed`.
    pub(super) fn copied(feed: &'a mut Feed, copies: &'a [T]) -> Self {
        PublishedBatch { feed, copies: Some(copies), len: copies.len(), messages: PhantomData }
    }

    /// The number of messages.
    #[expect(clippy::len_without_is_empty, reason = "there is one at least, unless none was asked for")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The messages, in order.
    pub fn iter(&self) -> PublishedMessages<'_, T> {
        self.into_iter()
    }

    /// Passes the first `count` messages, or all if there are fewer. The next call receives the others again, or, in a
    /// lossy channel, finds that they were overtaken.
    pub fn release_first(mut self, count: usize) {
        self.len = self.len.min(count);
    }
}

impl<T: IpcMessage> Index<usize> for PublishedBatch<'_, T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        assert!(at < self.len, "there are {} messages, and none with the index {at}", self.len);
        if let Some(copies) = self.copies {
            return &copies[at];
        }
        assert_not_forked::<T>(self.feed);
        // SAFETY: the message stays as it is until `drop` passes it, and is a valid `T`: any bits are one (in a forked
        // child, where the slot is a blank one), or it has been validated.
        unsafe { &*self.feed.payload_ahead(at).cast() }
    }
}

impl<'b, T: IpcMessage> IntoIterator for &'b PublishedBatch<'_, T> {
    type Item = &'b T;
    type IntoIter = PublishedMessages<'b, T>;

    fn into_iter(self) -> PublishedMessages<'b, T> {
        PublishedMessages { batch: self, rest: 0..self.len }
    }
}

/// The messages of a [`PublishedBatch`], in order.
#[derive(Debug)]
pub struct PublishedMessages<'b, T: IpcMessage> {
    batch: &'b PublishedBatch<'b, T>,
    rest: Range<usize>,
}

impl<'b, T: IpcMessage> Iterator for PublishedMessages<'b, T> {
    type Item = &'b T;

    fn next(&mut self) -> Option<&'b T> {
        self.rest.next().map(|at| &self.batch[at])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl<T: IpcMessage> ExactSizeIterator for PublishedMessages<'_, T> {}

impl<T: IpcMessage> Drop for PublishedBatch<'_, T> {
    fn drop(&mut self) {
        if self.len == 0 || self.feed.is_forked() {
            return;
        }
        match self.copies {
            Some(_) => self.feed.pass_copied(self.len),
            None => self.feed.pass_many(self.len),
        }
        self.feed.wake();
    }
}

impl<T: IpcMessage> fmt::Debug for PublishedBatch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedBatch").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Stops a guard from being used in a forked child, where its message is blank, if not every bit pattern is a value.
fn assert_not_forked<T: IpcMessage + ?Sized>(feed: &Feed) {
    assert!(
        T::ANY_BITS || !feed.is_forked(),
        "this guard was taken before a fork, and its message is not in the child"
    );
}
