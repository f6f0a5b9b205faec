//! A slot that a sender fills in place.

use super::link::SenderLink;
#[cfg(doc)]
use super::port::Port;
use crate::message::tail::{bytes_with, place_text, truncated_len};
use crate::message::{IpcMessage, TooLong};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

/// An end that owns a slot, or several in a row, to be filled in place.
pub(crate) trait Lender: Send + Sync {
    /// The payload of the slot.
    fn payload(&self) -> *mut u8;

    /// See [`Port::owned`].
    fn owned(&mut self, max: usize) -> usize;

    /// See [`Port::payload_ahead`].
    fn payload_ahead(&self, ahead: usize) -> *mut u8;

    /// Makes the slot shorter, to so many bytes, where messages vary in length.
    fn shorten(&mut self, bytes: usize);

    /// Publishes the message in the slot.
    fn pass(&mut self);

    /// See [`Port::pass_many`].
    fn pass_many(&mut self, count: usize);

    /// Gives the slots back as they are.
    fn abandon(&mut self);

    /// See [`Port::is_forked`].
    fn is_forked(&self) -> bool;

    /// See [`Port::assert_not_forked`].
    fn assert_not_forked(&self);
}

impl Lender for SenderLink {
    fn payload(&self) -> *mut u8 {
        self.start()
    }

    fn owned(&mut self, max: usize) -> usize {
        SenderLink::owned(self, max)
    }

    fn payload_ahead(&self, ahead: usize) -> *mut u8 {
        SenderLink::payload_ahead(self, ahead)
    }

    fn shorten(&mut self, bytes: usize) {
        SenderLink::shorten(self, bytes);
    }

    fn pass(&mut self) {
        SenderLink::pass(self);
    }

    fn pass_many(&mut self, count: usize) {
        SenderLink::pass_many(self, count);
    }

    fn abandon(&mut self) {
        SenderLink::abandon(self);
    }

    fn is_forked(&self) -> bool {
        SenderLink::is_forked(self)
    }

    fn assert_not_forked(&self) {
        SenderLink::assert_not_forked(self);
    }
}

/// A slot of the channel, to be filled in place. It dereferences to the message.
///
/// [`send`](Loan::send) publishes the message. Dropping the loan gives the slot back, and nothing is sent. In a shared
/// queue and in a broadcast, the slot has its place among those of others by then, so there is room for another message
/// once the receivers have passed it, and not at once.
///
/// The slot initially holds *some* valid value: an earlier message, or a blank one. Assigning a whole message copies
/// its padding into the segment, if it has any. Assigning field by field, or using
/// [`Sender::send`](super::Sender::send), does not.
///
/// The slot is memory that other participants can write. That is sound as long as they are slipring programs: those
/// never write to a loaned slot, even if they crash.
///
/// A loan is `Send` and `Sync` if the message is: another thread may fill and send it.
///
/// A fork does not affect the parent's loan. The child's copy refers to a blank slot; dereferencing it panics, unless
/// every bit pattern is a valid message. References taken before the fork must not be used in the child.
#[must_use = "a loaned slot that is not sent is given back"]
pub struct Loan<'a, T: IpcMessage + ?Sized> {
    link: &'a mut dyn Lender,
    /// The length of the message's tail; 0 if it has none.
    tail_len: usize,
    message: PhantomData<&'a mut T>,
}

impl<'a, T: IpcMessage + ?Sized> Loan<'a, T> {
    /// Takes the slot that `link` has been found to own, and that was claimed for a tail of this length.
    pub(crate) fn new(link: &'a mut dyn Lender, tail_len: usize) -> Self {
        let loan: Self = Loan { link, tail_len, message: PhantomData };
        if !T::ANY_BITS {
            // SAFETY: the slot is this end's own, aligned for a `T`, and large enough for one whose tail is so long.
            unsafe { T::place_blank(loan.message()) };
        }
        loan
    }

    /// Publishes the message. Does nothing in a child that was forked since the slot was loaned.
    pub fn send(self) {
        let mut unsent = ManuallyDrop::new(self);
        unsent.link.pass();
    }

    /// Shortens the tail to `len` items or bytes of text. Does nothing if the tail is not longer than that. Text is cut
    /// before a character that would not fit as a whole.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<[u8]>::new("truncate").spsc().domain(format!("doc-{}", std::process::id()));
    /// # let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// # let mut file: &[u8] = b"less than a page";
    /// use std::io::Read;
    /// let mut loan = tx.loan_len(4096)?;
    /// let len = file.read(&mut loan)?;
    /// loan.truncate(len);
    /// loan.send();
    /// assert_eq!(rx.recv_ref()?.unwrap().len(), len);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn truncate(&mut self, len: usize) {
        if len < self.tail_len {
            self.tail_len = truncated_len(&**self, len);
            self.shorten();
        }
    }

    /// Replaces the tail, which is a `str`, by a copy of `text`.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if the loan's tail is shorter than the text. The loan is unchanged then.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<str>::new("set_text").spsc().domain(format!("doc-{}", std::process::id()));
    /// # let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// let mut loan = tx.loan_len(100)?;
    /// loan.set_text("of nine bytes")?;
    /// assert_eq!(&*loan, "of nine bytes");
    /// loan.send();
    /// # assert_eq!(&*rx.recv_ref()?.unwrap(), "of nine bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_text(&mut self, text: &str) -> Result<(), TooLong> {
        // SAFETY: the slot is this end's own, and the tail of the message in it is so long.
        unsafe { place_text(self.message(), text) }?;
        self.tail_len = text.len();
        self.shorten();
        Ok(())
    }

    /// Replaces the whole message, tail included, by a copy of `message`.
    ///
    /// For messages of tens of kilobytes this uses non-temporal stores where they are faster, as between distant cores
    /// (see ARCHITECTURE.md). Assigning through `DerefMut` never does.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if the loan's tail is shorter than the message's. The loan is unchanged then.
    ///
    /// ```
    /// # let queue = ipc_core::Queue::<[u32]>::new("copy_from").spsc().domain(format!("doc-{}", std::process::id()));
    /// # let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// let mut loan = tx.loan_len(1000)?;
    /// loan.copy_from(&[1, 2, 3])?;
    /// loan.send();
    /// assert_eq!(*rx.recv_ref()?.unwrap(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_from(&mut self, message: &T) -> Result<(), TooLong> {
        let len = T::tail_len(message);
        if len > self.tail_len {
            return Err(TooLong { len, capacity: self.tail_len });
        }
        // SAFETY: the slot is this end's own, and large enough for a message whose tail is not longer than the loan's.
        unsafe { message.place(T::pointer(self.link.payload(), len)) };
        if len < self.tail_len {
            self.tail_len = len;
            self.shorten();
        }
        Ok(())
    }

    fn message(&self) -> *mut T {
        if !T::ANY_BITS {
            self.link.assert_not_forked();
        }
        T::pointer(self.link.payload(), self.tail_len)
    }

    fn shorten(&mut self) {
        if let Some(bytes) = bytes_with::<T>(self.tail_len) {
            self.link.shorten(bytes);
        }
    }
}

impl<T: IpcMessage + ?Sized> Deref for Loan<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is this end's own and holds a valid `T`: any bits are one (in a forked child,
        // where the slot is a blank one), or `new` has placed one.
        unsafe { &*self.message() }
    }
}

impl<T: IpcMessage + ?Sized> DerefMut for Loan<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `self.link` is borrowed uniquely.
        unsafe { &mut *self.message() }
    }
}

impl<T: IpcMessage + ?Sized> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        self.link.abandon();
    }
}

impl<T: IpcMessage + fmt::Debug + ?Sized> fmt::Debug for Loan<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Loan").field(&&**self).finish()
    }
}
