//! What a receiver gives out: its messages one after the other, and a message in its slot.

use super::link::ReceiverLink;
use super::receiver::Receiver;
use crate::error::{Corrupt, RecvError};
use crate::message::IpcMessage;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

impl<'a, T: IpcMessage> IntoIterator for &'a mut Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: IpcMessage> IntoIterator for Receiver<T> {
    type Item = Result<T, RecvError>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}

/// The messages of a channel, by value, together with its receiver.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T: IpcMessage> Iterator for IntoIter<T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.recv().transpose()
    }
}

/// An iterator over the messages of a channel, by value: see [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    pub(super) receiver: &'a mut Receiver<T>,
}

impl<T: IpcMessage> Iterator for Iter<'_, T> {
    type Item = Result<T, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.receiver.recv().transpose()
    }
}

/// A received message in its slot. Dropping the guard frees the slot.
///
/// It is `Send` and `Sync` if the message is: another thread may read and drop it.
///
/// A fork does not affect the parent's guard. The child's copy refers to a blank slot; dereferencing it panics, unless
/// every bit pattern is a valid message. References taken before the fork must not be used in the child.
#[must_use = "dropping the guard frees the slot"]
pub struct Received<'a, T: IpcMessage + ?Sized> {
    link: &'a mut ReceiverLink,
    /// The length of the message's tail; 0 if it has none.
    tail_len: usize,
    message: PhantomData<&'a T>,
}

impl<'a, T: IpcMessage + ?Sized> Received<'a, T> {
    /// Validates the message in the slot that `link` owns. An invalid message is skipped.
    pub(super) fn new(link: &'a mut ReceiverLink) -> Result<Self, Corrupt> {
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

    /// The number of receivers that died while holding this message. Always 0 in an exclusive queue.
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
        // SAFETY: the slot is this end's own until `drop`, and holds a valid `T`: any bits are one (in a forked child,
        // where the slot is a blank one), or `new` has checked.
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
