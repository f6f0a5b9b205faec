//! A guard over a message that was published.

use super::feed::Feed;
use crate::message::IpcMessage;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

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
                assert!(
                    T::ANY_BITS || !feed.is_forked(),
                    "this guard was taken before a fork, and its message is not in the child"
                );
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
