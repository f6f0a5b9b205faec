//! One end of a queue, whichever ring the queue has.

use super::port::{Port, Tended};
use crate::error::{Corrupt, SendBatchError, TooLarge};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::message::tail::{bytes_with, extent_of, longest_tail};
use crate::message::{Invalid, IpcMessage};
use crate::ring::{VariableConsumer, exclusive, frames, shared};
use crate::station::{Blocked, Patience};
use core::borrow::Borrow;

/// An end of a queue, whichever ring the queue has. `Sender::send` and `Receiver::recv` match on it once and then call
/// one port; the methods below match for everything else.
pub(crate) enum Link<X, F, S, G>
where
    X: Tended,
    F: Tended,
    S: Tended,
    G: Tended,
{
    /// The only one on its side, for messages of one length.
    Exclusive(Port<X>),
    /// The only one on its side, for messages that vary in length.
    Frames(Port<F>),
    /// One of several, for messages of one length.
    Shared(Port<S>),
    /// One of several, for messages that vary in length.
    SharedFrames(Port<G>),
}

/// The end of a sender.
pub(crate) type SenderLink = Link<exclusive::Producer, frames::Producer, shared::Producer, shared::FrameProducer>;

/// The end of a receiver.
pub(crate) type ReceiverLink = Link<exclusive::Consumer, frames::Consumer, shared::Consumer, shared::FrameConsumer>;

/// Calls a function of the port that a link has.
macro_rules! of_port {
    ($link:expr, $port:ident => $call:expr) => {
        match $link {
            Link::Exclusive($port) => $call,
            Link::Frames($port) => $call,
            Link::Shared($port) => $call,
            Link::SharedFrames($port) => $call,
        }
    };
}

impl<X: Tended, F: Tended, S: Tended, G: Tended> Link<X, F, S, G> {
    /// The channel's actual options, and who created it.
    pub(crate) fn info(&self) -> &ChannelInfo {
        of_port!(self, port => port.info())
    }

    /// The number of messages in the ring: a snapshot.
    pub(crate) fn len(&self) -> usize {
        of_port!(self, port => port.end().len())
    }

    /// The number of messages that were lost to crashes.
    pub(crate) fn losses(&self) -> u64 {
        of_port!(self, port => port.end().losses())
    }

    /// How often the message in this end's slot has been delivered before.
    pub(crate) fn returned(&self) -> u16 {
        of_port!(self, port => port.end().returned())
    }

    /// Whether this process was forked from the one that opened the channel.
    pub(crate) fn is_forked(&self) -> bool {
        of_port!(self, port => port.is_forked())
    }

    /// See [`Port::assert_not_forked`].
    pub(crate) fn assert_not_forked(&self) {
        of_port!(self, port => port.assert_not_forked())
    }

    /// See [`Station::check_in_place`](crate::station::Station::check_in_place).
    pub(crate) fn check_in_place(&self) -> Result<(), Blocked> {
        of_port!(self, port => port.check_in_place())
    }

    /// As [`take_turn`](Link::take_turn), for a call that hands out a reference into shared memory.
    pub(crate) fn take_turn_in_place(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Blocked> {
        self.check_in_place()?;
        self.take_turn(patience)
    }

    /// See [`Port::take_turns_in_place`].
    pub(crate) fn take_turns_in_place(
        &mut self,
        max: usize,
        patience: impl FnOnce() -> Patience,
    ) -> Result<(), Blocked> {
        of_port!(self, port => port.take_turns_in_place(max, patience))
    }

    /// Waits until this end owns a slot. Calls `patience` for the time limit if it has to wait.
    pub(crate) fn take_turn(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Blocked> {
        of_port!(self, port => port.take_turn(patience))
    }

    /// Where the message in the slot that this end owns begins.
    pub(crate) fn start(&self) -> *mut u8 {
        of_port!(self, port => port.payload())
    }

    /// The message of type `T` in the slot that this end owns; its tail, if it has one, has the length `tail_len`.
    pub(crate) fn payload<T: IpcMessage + ?Sized>(&self, tail_len: usize) -> *mut T {
        T::pointer(self.start(), tail_len)
    }

    /// See [`Port::note_arrival`].
    pub(crate) fn note_arrival(&mut self) {
        of_port!(self, port => port.note_arrival())
    }

    /// Passes the slot to the other side.
    pub(crate) fn pass(&mut self) {
        of_port!(self, port => port.pass())
    }

    /// How many slots this end owns from its position on, at most `max`.
    pub(crate) fn owned(&mut self, max: usize) -> usize {
        of_port!(self, port => port.owned(max))
    }

    /// The message `ahead` slots on, of those that this end owns.
    pub(crate) fn payload_ahead<T>(&self, ahead: usize) -> *mut T {
        of_port!(self, port => port.payload_ahead(ahead)).cast()
    }

    /// Passes the next `count` slots, all of which this end owns, to the other side.
    pub(crate) fn pass_many(&mut self, count: usize) {
        of_port!(self, port => port.pass_many(count))
    }

    /// Gives the slot back without a message.
    pub(crate) fn abandon(&mut self) {
        of_port!(self, port => port.abandon())
    }
}

impl SenderLink {
    /// Requests a slot for a message whose tail has the length `tail_len`.
    pub(crate) fn claim<T: IpcMessage + ?Sized>(&mut self, tail_len: usize) -> Result<(), TooLarge> {
        self.claim_bytes(bytes_with::<T>(tail_len).unwrap_or(usize::MAX))
    }

    /// Requests a slot for a message of `bytes` bytes, if messages vary in length.
    pub(crate) fn claim_bytes(&mut self, bytes: usize) -> Result<(), TooLarge> {
        match self {
            Link::Exclusive(_) | Link::Shared(_) => Ok(()),
            Link::Frames(port) => port.claim_bytes(bytes),
            Link::SharedFrames(port) => port.claim_bytes(bytes),
        }
    }

    /// Shortens the slot that this end owns to `bytes` bytes, if messages vary in length.
    pub(crate) fn shorten(&mut self, bytes: usize) {
        match self {
            Link::Exclusive(_) | Link::Shared(_) => {}
            Link::Frames(port) => port.shorten(bytes),
            Link::SharedFrames(port) => port.shorten(bytes),
        }
    }

    /// See [`Port::send_copy_batch`].
    pub(crate) fn send_copy_batch<T: IpcMessage + ?Sized, M: Borrow<T>>(
        &mut self,
        messages: impl Iterator<Item = M>,
    ) -> Result<usize, SendBatchError<M>> {
        match self {
            Link::Exclusive(port) => port.send_copy_batch(messages, |_, _| Ok(())),
            Link::Frames(port) => port.send_frames(messages),
            Link::Shared(port) => port.send_copy_batch(messages, |_, _| Ok(())),
            Link::SharedFrames(port) => port.send_frames(messages),
        }
    }

    /// The length of the longest tail that can be sent.
    pub(crate) fn max_tail_len<T: IpcMessage + ?Sized>(&self) -> usize {
        let limit_bytes = match self {
            Link::Exclusive(_) | Link::Shared(_) => 0,
            Link::Frames(port) => port.limit_bytes(),
            Link::SharedFrames(port) => port.limit_bytes(),
        };
        longest_tail::<T>(limit_bytes)
    }
}

impl ReceiverLink {
    /// Bytes of the message in the slot that this end owns, and the length of its tail.
    pub(crate) fn extent<T: IpcMessage + ?Sized>(&self) -> Result<(usize, usize), Invalid> {
        extent_of::<T>(self.bytes())
    }

    /// Bytes of the message in the slot that this end owns, if messages vary in length.
    pub(crate) fn bytes(&self) -> Option<usize> {
        match self {
            Link::Exclusive(_) | Link::Shared(_) => None,
            Link::Frames(port) => Some(port.end().bytes()),
            Link::SharedFrames(port) => Some(port.end().bytes()),
        }
    }

    /// Passes a slot whose message is invalid, and returns the error.
    #[cold]
    pub(crate) fn skip(&mut self, invalid: Invalid) -> Corrupt {
        self.pass();
        invalid.into()
    }
}

impl<X: Tended, F: Tended, S: Tended, G: Tended> Sealed for Link<X, F, S, G> {
    fn interest(&self) -> Interest {
        of_port!(self, port => port.interest())
    }

    fn look(&mut self) -> bool {
        of_port!(self, port => port.look())
    }

    fn probe(&mut self) -> bool {
        of_port!(self, port => port.probe())
    }
}
