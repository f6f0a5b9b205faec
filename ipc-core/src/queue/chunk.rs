//! Several slots at once, filled and read in place, and passed on together.

use super::link::{ReceiverLink, SenderLink};
use super::loan::Lender;
use crate::error::Corrupt;
use crate::message::IpcMessage;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Index, IndexMut, Range};

/// Whose slots are filled.
enum Owner<'a> {
    /// A sender's, which is asked without an indirect call for each message.
    Sender(&'a mut SenderLink),
    Other(&'a mut dyn Lender),
}

impl Owner<'_> {
    fn lender(&self) -> &dyn Lender {
        match self {
            Owner::Sender(link) => *link,
            Owner::Other(lender) => *lender,
        }
    }

    fn lender_mut(&mut self) -> &mut dyn Lender {
        match self {
            Owner::Sender(link) => *link,
            Owner::Other(lender) => *lender,
        }
    }

    /// See [`Port::payload_ahead`](super::port::Port::payload_ahead).
    #[inline(always)]
    fn payload_ahead<T>(&self, ahead: usize) -> *mut T {
        match self {
            Owner::Sender(link) => link.payload_ahead(ahead),
            Owner::Other(lender) => lender.payload_ahead(ahead).cast(),
        }
    }
}

/// Several slots of the channel, to be filled in place by index: see [`Sender::loan_batch`](super::Sender::loan_batch) and
/// [`Publisher::loan_batch`](crate::Publisher::loan_batch).
///
/// [`send`](LoanBatch::send) publishes the messages. Dropping the batch gives the slots back, and nothing is sent. Each
/// slot initially holds *some* valid value, as a single [`Loan`](super::Loan) does, and the same rules hold for it.
#[must_use = "loaned slots that are not sent are given back"]
pub struct LoanBatch<'a, T: IpcMessage> {
    owner: Owner<'a>,
    len: usize,
    /// Whether there are slots to be given back.
    is_unsent: bool,
    messages: PhantomData<&'a mut [T]>,
}

impl<'a, T: IpcMessage> LoanBatch<'a, T> {
    /// Takes the slots, at most `max`, that `link` owns from the one on that it has been found to own.
    pub(super) fn new(link: &'a mut SenderLink, max: usize) -> Self {
        LoanBatch::of(Owner::Sender(link), max)
    }

    /// As [`new`](LoanBatch::new), of any end.
    pub(crate) fn lent_by(lender: &'a mut dyn Lender, max: usize) -> Self {
        LoanBatch::of(Owner::Other(lender), max)
    }

    fn of(mut owner: Owner<'a>, max: usize) -> Self {
        let len = owner.lender_mut().owned(max);
        let batch: Self = LoanBatch { owner, len, is_unsent: len != 0, messages: PhantomData };
        if !T::ANY_BITS {
            for at in 0..len {
                // SAFETY: the slot is this end's own, and large and aligned enough for a `T`, which the geometry
                // ensures.
                unsafe { T::place_blank(batch.message(at)) };
            }
        }
        batch
    }

    /// The number of slots.
    #[expect(clippy::len_without_is_empty, reason = "there is one at least, unless none was asked for")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Publishes all messages, and returns how many there were.
    pub fn send(self) -> usize {
        let len = self.len;
        self.send_first(len)
    }

    /// Publishes the first `count` messages, or all if there are fewer, and gives the other slots back. Returns the
    /// number of messages published.
    pub fn send_first(mut self, count: usize) -> usize {
        let count = count.min(self.len);
        if count != 0 && !self.owner.lender().is_forked() {
            self.owner.lender_mut().pass_many(count);
            // An end with more slots than it passes keeps none that others wait for.
            self.is_unsent = false;
        }
        count
    }

    /// The messages, in order, to be filled.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        let batch = &*self;
        // SAFETY: as in `index_mut`; each of the slots is given out once, and `self` is borrowed uniquely for as long.
        (0..batch.len).map(|at| unsafe { &mut *batch.message(at) })
    }

    fn message(&self, at: usize) -> *mut T {
        assert!(at < self.len, "there are {} messages, and none with the index {at}", self.len);
        if !T::ANY_BITS {
            self.owner.lender().assert_not_forked();
        }
        self.owner.payload_ahead(at)
    }
}

impl<T: IpcMessage> Index<usize> for LoanBatch<'_, T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        // SAFETY: the slot is this end's own and holds a valid `T`: any bits are one (in a forked child, where the slot
        // is a blank one), or `new` has placed one.
        unsafe { &*self.message(at) }
    }
}

impl<T: IpcMessage> IndexMut<usize> for LoanBatch<'_, T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        // SAFETY: as in `index`, and `self.owner` is borrowed uniquely.
        unsafe { &mut *self.message(at) }
    }
}

impl<T: IpcMessage> Drop for LoanBatch<'_, T> {
    fn drop(&mut self) {
        if self.is_unsent && !self.owner.lender().is_forked() {
            self.owner.lender_mut().abandon();
        }
    }
}

impl<T: IpcMessage> fmt::Debug for LoanBatch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoanBatch").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Several received messages in their slots: see [`Receiver::recv_batch_ref`](super::Receiver::recv_batch_ref).
///
/// Index it or iterate over it. Dropping it frees all of the slots at once. The rules of a single
/// [`Received`](super::Received) hold for each message.
#[must_use = "dropping the guard frees the slots"]
pub struct ReceivedBatch<'a, T: IpcMessage> {
    link: &'a mut ReceiverLink,
    len: usize,
    messages: PhantomData<&'a [T]>,
}

impl<'a, T: IpcMessage> ReceivedBatch<'a, T> {
    /// Validates the messages, at most `max`, in the slots that `link` owns. The batch ends before an invalid one,
    /// unless that is the first, which is skipped.
    pub(super) fn new(link: &'a mut ReceiverLink, max: usize) -> Result<Self, Corrupt> {
        let owned = link.owned(max);
        link.note_arrival();
        let mut len = 0;
        while len < owned {
            if !T::ANY_BITS {
                // SAFETY: the slot is this end's own, holds `size_of::<T>()` initialised bytes, and is aligned for a
                // `T`.
                if let Err(invalid) = unsafe { T::validate(link.payload_ahead(len)) } {
                    if len == 0 {
                        return Err(link.skip(invalid));
                    }
                    break;
                }
            }
            len += 1;
        }
        Ok(ReceivedBatch { link, len, messages: PhantomData })
    }

    /// The number of messages.
    #[expect(clippy::len_without_is_empty, reason = "there is one at least, unless none was asked for")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The messages, in order.
    pub fn iter(&self) -> Messages<'_, T> {
        self.into_iter()
    }

    /// Frees the first `count` slots, or all if there are fewer. The next call receives the other messages again.
    pub fn release_first(mut self, count: usize) {
        self.len = self.len.min(count);
    }
}

impl<T: IpcMessage> Index<usize> for ReceivedBatch<'_, T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        assert!(at < self.len, "there are {} messages, and none with the index {at}", self.len);
        if !T::ANY_BITS {
            self.link.assert_not_forked();
        }
        // SAFETY: the slot is this end's own until `drop`, and holds a valid `T`: any bits are one (in a forked child,
        // where the slot is a blank one), or `new` has checked.
        unsafe { &*self.link.payload_ahead::<T>(at) }
    }
}

impl<'b, T: IpcMessage> IntoIterator for &'b ReceivedBatch<'_, T> {
    type Item = &'b T;
    type IntoIter = Messages<'b, T>;

    fn into_iter(self) -> Messages<'b, T> {
        Messages { batch: self, rest: 0..self.len }
    }
}

/// The messages of a [`ReceivedBatch`], in order.
#[derive(Debug)]
pub struct Messages<'b, T: IpcMessage> {
    batch: &'b ReceivedBatch<'b, T>,
    rest: Range<usize>,
}

impl<'b, T: IpcMessage> Iterator for Messages<'b, T> {
    type Item = &'b T;

    fn next(&mut self) -> Option<&'b T> {
        self.rest.next().map(|at| &self.batch[at])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl<T: IpcMessage> ExactSizeIterator for Messages<'_, T> {}

impl<T: IpcMessage> Drop for ReceivedBatch<'_, T> {
    fn drop(&mut self) {
        if self.len != 0 && !self.link.is_forked() {
            self.link.pass_many(self.len);
        }
    }
}

impl<T: IpcMessage> fmt::Debug for ReceivedBatch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedBatch").field("len", &self.len).finish_non_exhaustive()
    }
}
